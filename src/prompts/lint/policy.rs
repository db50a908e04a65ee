//! `registry.yaml`: which models may be used, how large samples may be, and how bad a finding is.

use crate::domain::{matches_glob, nearest_names};
use crate::prompts::lint::finding::{Finding, Fix, Sheet};
use crate::prompts::lint::rule::{Rule, Severity};
use crate::prompts::lint::yaml::{Entry, Kind, Node};
use std::collections::BTreeMap;

/// The file's name.
pub(super) const PATH: &str = "registry.yaml";

const KEYS: [&str; 3] = ["lint", "limits", "models"];

/// What the file says.
#[derive(Debug, Default)]
pub(super) struct Policy {
    /// Globs of models; `None` allows all.
    models: Option<Vec<String>>,
    /// Tokens of a rendered sample at most.
    pub(super) max_tokens: Option<u64>,
    /// `None` turns a rule off.
    levels: BTreeMap<Rule, Option<Severity>>,
}

impl Policy {
    /// Reads the file; what is wrong with it is added to `findings`.
    pub(super) fn read(sheet: Sheet<'_>, findings: &mut Vec<Finding>) -> Self {
        let mut policy = Self::default();
        // Broken YAML is reported by the load.
        let Some(root) = Node::parse(sheet.text, 0) else {
            return policy;
        };
        for entry in root.entries() {
            match entry.key.as_str() {
                "models" => policy.models = Some(models(sheet, entry, findings)),
                "limits" => policy.limits(sheet, entry, findings),
                "lint" => policy.levels(sheet, entry, findings),
                _ => findings.push(unknown(sheet, entry, &KEYS)),
            }
        }
        policy
    }

    /// Whether prompts may name `model`.
    pub(super) fn allows(&self, model: &str) -> bool {
        let globs = self.models.as_ref();
        globs.is_none_or(|globs| globs.iter().any(|glob| matches_glob(glob, model)))
    }

    /// The globs of models, for hints.
    pub(super) fn models(&self) -> &[String] {
        self.models.as_deref().unwrap_or_default()
    }

    /// Returns how bad `finding` is; `None` when it is not to be shown.
    pub(super) fn level(&self, finding: &Finding) -> Option<Severity> {
        match self.levels.get(&finding.problem.code) {
            Some(level) => *level,
            None => Some(finding.severity),
        }
    }

    fn limits(&mut self, sheet: Sheet<'_>, limits: &Entry, findings: &mut Vec<Finding>) {
        for entry in limits.value.entries() {
            if entry.key != "tokens" {
                findings.push(unknown(sheet, entry, &["tokens"]));
                continue;
            }
            let tokens = entry.value.scalar().and_then(|text| text.parse().ok());
            if tokens.is_none() {
                let message = "`limits.tokens` is a whole number";
                findings.push(sheet.finding(Rule::UnknownKey, &entry.value.range, message));
            }
            self.max_tokens = tokens;
        }
    }

    fn levels(&mut self, sheet: Sheet<'_>, levels: &Entry, findings: &mut Vec<Finding>) {
        for entry in levels.value.entries() {
            let Some(rule) = Rule::of_code(&entry.key) else {
                let message = format!("`{}` is no rule", entry.key);
                let near = nearest_names(&entry.key, Rule::all().map(Rule::code));
                let finding = sheet.finding(Rule::UnknownKey, &entry.key_range, message);
                findings.push(match near.first() {
                    Some(near) => finding.hint(format!("did you mean `{near}`?")),
                    None => finding,
                });
                continue;
            };
            let level = match entry.value.scalar() {
                Some("error") => Some(Severity::Error),
                Some("warn" | "warning") => Some(Severity::Warning),
                Some("hint") => Some(Severity::Hint),
                Some("off") => None,
                _ => {
                    let message =
                        format!("the level of {rule} is `error`, `warn`, `hint` or `off`");
                    findings.push(sheet.finding(Rule::UnknownKey, &entry.value.range, message));
                    continue;
                }
            };
            if rule.stops_loading() && level != Some(Severity::Error) {
                let message = format!("{rule} keeps a prompt from being served; it is an error");
                let finding = sheet.finding(Rule::UnknownKey, &entry.value.range, message);
                findings.push(finding.hint("remove the line"));
                continue;
            }
            self.levels.insert(rule, level);
        }
    }
}

fn models(sheet: Sheet<'_>, entry: &Entry, findings: &mut Vec<Finding>) -> Vec<String> {
    if !matches!(entry.value.kind, Kind::List(_)) {
        let message = "`models` is a list of names, in which `*` stands for anything";
        findings.push(sheet.finding(Rule::UnknownKey, &entry.key_range, message));
    }
    let names = entry.value.items().iter().filter_map(Node::scalar);
    names.map(str::to_owned).collect()
}

/// A key that nobody reads.
pub(super) fn unknown(sheet: Sheet<'_>, entry: &Entry, known: &[&str]) -> Finding {
    let message = format!("`{}` is no key here", entry.key);
    let finding = sheet.finding(Rule::UnknownKey, &entry.key_range, message);
    let near = nearest_names(&entry.key, known.iter().copied());
    match near.first() {
        Some(near) if near.len().abs_diff(entry.key.len()) <= 1 => {
            let title = format!("rename `{}` to `{near}`", entry.key);
            finding
                .hint(format!("did you mean `{near}`?"))
                .fix(Fix::replace(title, &entry.key_range, near))
        }
        Some(near) => finding.hint(format!("did you mean `{near}`?")),
        None => finding.hint(format!("the keys are {}", known.join(", "))),
    }
}
