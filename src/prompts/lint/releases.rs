//! Rules about `releases.yaml`: what its labels, canaries and aliases mean.
//!
//! This reads no more than it checks: [`read`] is the one place that knows the file's form.

use crate::domain::{BundleHash, PromptKey, Selector, Timestamp, nearest_names};
use crate::prompts::lint::finding::{Finding, Sheet};
use crate::prompts::lint::models::ModelFacts;
use crate::prompts::lint::policy::unknown;
use crate::prompts::lint::rule::Rule;
use crate::prompts::lint::yaml::{Entry, Kind, Node};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;

/// The file's name.
pub(super) const PATH: &str = "releases.yaml";

const KEYS: [&str; 3] = ["aliases", "labels", "shadow"];
const CANARY_KEYS: [&str; 6] = ["guard", "percent", "seed", "sticky", "to", "until"];
const RELEASE_KEYS: [&str; 3] = ["canary", "shadow", "stable"];

/// What selectors can be held against.
#[derive(Debug, Default)]
pub(super) struct Versions {
    /// The hashes of each prompt's versions, `v1` first; `None` where there is no history.
    pub(super) numbered: Option<HashMap<PromptKey, Vec<BundleHash>>>,
    /// Git references of the file that name a commit.
    pub(super) commits: BTreeSet<String>,
}

/// A selector, where it stands, and for which prompt.
#[derive(Debug)]
struct Target {
    /// `None` for `*`.
    prompt: Option<String>,
    selector: String,
    place: Range<usize>,
}

/// What the file says, as far as it is checked.
#[derive(Debug, Default)]
struct Releases {
    /// The prompts that are named, with places.
    prompts: Vec<(String, Range<usize>)>,
    targets: Vec<Target>,
    /// Shares in percent.
    shares: Vec<(String, Range<usize>)>,
    /// The last days of canaries.
    ends: Vec<(String, Range<usize>)>,
    /// Alias, its place, what it means, its place.
    aliases: Vec<(String, Range<usize>, String, Range<usize>)>,
}

/// Returns the selectors of the file that can be read as such.
pub(super) fn selectors(text: &str) -> Vec<Selector> {
    let Some(root) = Node::parse(text, 0) else {
        return Vec::new();
    };
    let sheet = Sheet { path: PATH, text };
    let targets = read(sheet, &root, &mut Vec::new()).targets;
    let selectors = targets.iter().map(|target| target.selector.parse());
    selectors.filter_map(Result::ok).collect()
}

/// Reads the file. Keys that nobody reads, and values of the wrong form, are findings.
fn read(sheet: Sheet<'_>, root: &Node, findings: &mut Vec<Finding>) -> Releases {
    let mut releases = Releases::default();
    for entry in root.entries() {
        match entry.key.as_str() {
            "labels" => {
                for label in entry.value.entries() {
                    releases.label(sheet, label, findings);
                }
            }
            "aliases" => releases
                .aliases
                .extend(entry.value.entries().iter().map(|alias| {
                    let target = alias.value.scalar().unwrap_or_default().to_owned();
                    let range = alias.value.range.clone();
                    (alias.key.clone(), alias.key_range.clone(), target, range)
                })),
            "shadow" => {
                for shadow in entry.value.entries() {
                    let prompt = releases.scope(shadow);
                    releases.share(sheet, prompt.as_deref(), &shadow.value, findings);
                }
            }
            _ => findings.push(unknown(sheet, entry, &KEYS)),
        }
    }
    releases
}

impl Releases {
    fn label(&mut self, sheet: Sheet<'_>, label: &Entry, findings: &mut Vec<Finding>) {
        let is_label = matches!(label.key.parse(), Ok(Selector::Label(_)));
        if !is_label {
            let message = format!("`{}` is no name for a label", label.key);
            let finding = sheet.finding(Rule::BadRelease, &label.key_range, message);
            findings.push(finding.hint(
                "lower-case letters, digits, `.`, `_` and `-`, and nothing that reads as a version",
            ));
        }
        for entry in label.value.entries() {
            let prompt = self.scope(entry);
            self.release(sheet, prompt.as_deref(), &entry.value, findings);
        }
    }

    /// The prompt that an entry is about; `None` when it is about all.
    fn scope(&mut self, entry: &Entry) -> Option<String> {
        let prompt = (entry.key != "*").then(|| entry.key.clone())?;
        self.prompts.push((prompt.clone(), entry.key_range.clone()));
        Some(prompt)
    }

    fn release(
        &mut self,
        sheet: Sheet<'_>,
        prompt: Option<&str>,
        value: &Node,
        findings: &mut Vec<Finding>,
    ) {
        if value.scalar().is_some() {
            return self.target(prompt, value);
        }
        for entry in value.entries() {
            match entry.key.as_str() {
                "stable" => self.target(prompt, &entry.value),
                "canary" | "shadow" => self.share(sheet, prompt, &entry.value, findings),
                _ => findings.push(unknown(sheet, entry, &RELEASE_KEYS)),
            }
        }
    }

    fn share(
        &mut self,
        sheet: Sheet<'_>,
        prompt: Option<&str>,
        value: &Node,
        findings: &mut Vec<Finding>,
    ) {
        for entry in value.entries() {
            let text = entry.value.scalar().unwrap_or_default().to_owned();
            let place = entry.value.range.clone();
            match entry.key.as_str() {
                "to" => self.target(prompt, &entry.value),
                "percent" => self.shares.push((text, place)),
                "until" => self.ends.push((text, place)),
                "guard" | "seed" | "sticky" => {}
                _ => findings.push(unknown(sheet, entry, &CANARY_KEYS)),
            }
        }
    }

    fn target(&mut self, prompt: Option<&str>, value: &Node) {
        self.targets.push(Target {
            prompt: prompt.map(str::to_owned),
            selector: value.scalar().unwrap_or_default().to_owned(),
            place: value.range.clone(),
        });
    }
}

/// P013 and P016 on the file. `prompts` are those there are, with the hashes of what is there now.
pub(super) fn check(
    sheet: Sheet<'_>,
    prompts: &BTreeMap<&PromptKey, Option<BundleHash>>,
    versions: &Versions,
    facts: ModelFacts<'_>,
    findings: &mut Vec<Finding>,
) {
    let Some(root) = Node::parse(sheet.text, 0) else {
        return;
    };
    if !matches!(root.kind, Kind::Map(_)) && root.scalar() != Some("") {
        let message = "`releases.yaml` is no mapping of `labels` and `aliases`";
        findings.push(sheet.finding(Rule::BadRelease, &(0..0), message));
    }
    let releases = read(sheet, &root, findings);
    let check = Check {
        sheet,
        prompts,
        versions,
        releases: &releases,
    };
    for (name, place) in &releases.prompts {
        findings.extend(check.name(name, place));
    }
    for target in &releases.targets {
        findings.extend(check.target(target));
    }
    for (share, place) in &releases.shares {
        let is_good = share
            .parse::<f64>()
            .is_ok_and(|share| (0.0..=100.0).contains(&share));
        if !is_good {
            let message = format!("`{share}` is no share between 0 and 100 percent");
            findings.push(sheet.finding(Rule::BadRelease, place, message));
        }
    }
    for (end, place) in &releases.ends {
        findings.extend(check.end(end, place, facts.now));
    }
    check.aliases(findings);
}

struct Check<'a> {
    sheet: Sheet<'a>,
    prompts: &'a BTreeMap<&'a PromptKey, Option<BundleHash>>,
    versions: &'a Versions,
    releases: &'a Releases,
}

impl Check<'_> {
    fn bad(&self, place: &Range<usize>, message: String) -> Finding {
        self.sheet.finding(Rule::BadRelease, place, message)
    }

    fn key(&self, name: &str) -> Option<&PromptKey> {
        self.prompts
            .keys()
            .find(|key| key.as_str() == name)
            .copied()
    }

    fn name(&self, name: &str, place: &Range<usize>) -> Option<Finding> {
        if self.key(name).is_some() {
            return None;
        }
        let finding = self.bad(place, format!("there is no prompt `{name}`"));
        let near = nearest_names(name, self.prompts.keys().map(|key| key.as_str()));
        Some(match near.first() {
            Some(near) => finding.hint(format!("did you mean `{near}`?")),
            None => finding,
        })
    }

    fn target(&self, target: &Target) -> Option<Finding> {
        let text = &target.selector;
        let selector = match text.parse::<Selector>() {
            Ok(selector) => selector,
            Err(error) => return Some(self.bad(&target.place, error.to_string())),
        };
        let key = target.prompt.as_deref().and_then(|name| self.key(name));
        match selector {
            Selector::Default | Selector::Latest => None,
            Selector::Label(_) | Selector::PullRequest(_) => {
                let finding = self.bad(&target.place, format!("`{text}` is no version"));
                Some(finding.hint("use `latest`, `vN`, `sha-HEX` or `git:REF`"))
            }
            Selector::GitRef(reference) => (!self.versions.commits.contains(&reference))
                .then(|| self.bad(&target.place, format!("`{reference}` names no commit here"))),
            Selector::Number(_) | Selector::Hash(_) if target.prompt.is_none() => {
                let message = format!("`{text}` is the version of one prompt, not of all");
                Some(
                    self.bad(&target.place, message)
                        .hint("use `latest` or `git:REF` for `*`"),
                )
            }
            Selector::Number(number) => self.number(key?, number, target),
            Selector::Hash(hex) => self.hash(key?, &hex, target),
        }
    }

    fn number(&self, key: &PromptKey, number: u32, target: &Target) -> Option<Finding> {
        let numbered = self.versions.numbered.as_ref()?;
        let count = numbered.get(key).map_or(0, Vec::len);
        let is_there = usize::try_from(number).is_ok_and(|number| number <= count);
        if is_there {
            return None;
        }
        let finding = self.bad(&target.place, format!("`{key}` has no version v{number}"));
        Some(match count {
            0 => finding.hint("the prompt is in no commit yet"),
            _ => finding.hint(format!("its newest version is v{count}")),
        })
    }

    fn hash(&self, key: &PromptKey, hex: &str, target: &Target) -> Option<Finding> {
        let numbered = self.versions.numbered.as_ref()?;
        let older = numbered.get(key).into_iter().flatten().copied();
        let now = self.prompts.get(key).copied().flatten();
        let mut all: Vec<_> = older
            .chain(now)
            .filter(|hash| hash.to_hex().starts_with(hex))
            .collect();
        all.sort();
        all.dedup();
        match all.len() {
            1 => None,
            0 => Some(self.bad(&target.place, format!("`{key}` has no version sha-{hex}"))),
            count => Some(
                self.bad(
                    &target.place,
                    format!("sha-{hex} fits {count} versions of `{key}`"),
                )
                .hint("write more digits"),
            ),
        }
    }

    /// A canary ends when its day begins, or at its moment.
    fn end(&self, end: &str, place: &Range<usize>, now: Timestamp) -> Option<Finding> {
        let day = end.parse::<jiff::civil::Date>().ok();
        let midnight = day.and_then(|day| day.to_zoned(jiff::tz::TimeZone::UTC).ok());
        let moment = midnight
            .map(|day| day.timestamp())
            .or_else(|| end.parse().ok());
        let Some(moment) = moment else {
            let message = format!("`{end}` is no date");
            return Some(self.bad(place, message).hint("write it as 2026-12-31"));
        };
        (moment.as_microsecond() <= now.0).then(|| {
            let finding = self.bad(place, format!("the canary ended on {end}"));
            finding.hint("promote it, prolong it, or remove it; until then everybody gets `stable`")
        })
    }

    fn aliases(&self, findings: &mut Vec<Finding>) {
        let mut seen: BTreeMap<String, &str> = BTreeMap::new();
        for (alias, place, target, target_place) in &self.releases.aliases {
            let bad = |message| self.sheet.finding(Rule::BadName, place, message);
            if self.key(alias).is_some() {
                findings.push(bad(format!("the alias `{alias}` is the name of a prompt")));
            }
            if let Some(other) = seen.insert(alias.to_lowercase(), alias) {
                findings.push(bad(format!(
                    "the alias `{alias}` differs from `{other}` in case only"
                )));
            }
            let name = target.split('@').next().unwrap_or(target);
            findings.extend(self.name(name, target_place));
        }
    }
}
