//! Holds the rules against the prompts: every version they name is found and compiled before any call
//! can ask for it.

use crate::domain::{BundleHash, PromptKey, Selector, nearest_names};
use crate::git::{self, CommitId};
use crate::prompts::bundle::Bundle;
use crate::prompts::error::Error;
use crate::prompts::history::{at_commit, from_archive};
use crate::prompts::numbered::rebuild;
use crate::prompts::numbering::State;
use crate::prompts::problem::Problem;
use crate::prompts::registry::Inner;
use crate::prompts::releases::rules::{Placed, Releases, Rule, Scope, Shadow};
use crate::prompts::releases::table::{CanaryRoute, Found, Route, ShadowRoute, Table, Version};
use crate::prompts::snapshot::Snapshot;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// The file, for problems.
pub(in crate::prompts) const FILE: &str = "releases.yaml";

type Past = (CommitId, Arc<Snapshot>);

/// Finds versions. Blocks.
pub(super) struct Resolver<'a> {
    inner: &'a Inner,
    snapshot: &'a Snapshot,
    /// What was at hand before.
    previous: &'a Table,
    found: HashMap<(PromptKey, Selector), Result<Version, String>>,
    commits: HashMap<String, Result<Past, String>>,
}

impl<'a> Resolver<'a> {
    pub(super) fn new(inner: &'a Inner, snapshot: &'a Snapshot, previous: &'a Table) -> Self {
        Self {
            inner,
            snapshot,
            previous,
            found: HashMap::new(),
            commits: HashMap::new(),
        }
    }

    /// Returns the version of `key` that `selector` names, or what is wrong, in words.
    pub(super) fn version(
        &mut self,
        key: &PromptKey,
        selector: &Selector,
    ) -> Result<Version, String> {
        let asked = (key.clone(), selector.clone());
        if let Some(known) = self.found.get(&asked) {
            return known.clone();
        }
        let found = self.find(key, selector);
        self.found.insert(asked, found.clone());
        found
    }

    fn find(&mut self, key: &PromptKey, selector: &Selector) -> Result<Version, String> {
        match selector {
            Selector::Latest => {
                let served = self.snapshot.get(key).map(|prompt| &prompt.bundle);
                let bundle = served.ok_or_else(|| format!("there is no prompt `{key}`"))?;
                Ok(Version {
                    bundle: Arc::clone(bundle),
                    found: None,
                })
            }
            Selector::Number(number) => self.by_number(key, *number),
            Selector::Hash(hex) => self.by_hash(key, hex),
            Selector::GitRef(reference) => self.at_reference(key, reference),
            Selector::Default | Selector::PullRequest(_) | Selector::Label(_) => {
                Err(format!("`{selector}` names no version"))
            }
        }
    }

    /// What is at hand under the hash: served, or found before.
    fn at_hand(&self, key: &PromptKey, hash: BundleHash) -> Option<Version> {
        let served = self.snapshot.get(key).map(|prompt| &prompt.bundle);
        if let Some(bundle) = served.filter(|bundle| bundle.hash() == hash) {
            return Some(Version {
                bundle: Arc::clone(bundle),
                found: None,
            });
        }
        self.previous.bundle(key, hash).cloned()
    }

    fn by_number(&self, key: &PromptKey, number: u32) -> Result<Version, String> {
        let known = self.inner.numbering.known();
        let numbers = &known.numbers;
        let found = numbers.hash_of(key, number);
        if let (Some(hash), Some(commit)) = (found, numbers.first_commit(key, number)) {
            return self.numbered(key, hash, commit);
        }
        Err(match &known.state {
            State::NoHistory => {
                format!("prompt `{key}` has no version `v{number}`: the prompts are in no commit")
            }
            State::Unavailable { reason, .. } => {
                format!("prompt `{key}`: versions cannot be numbered: {reason}")
            }
            State::Pending => format!("prompt `{key}`: versions are still being numbered"),
            State::Ready => {
                let newest = match numbers.newest(key) {
                    0 => "no version of it is in a commit".to_owned(),
                    1 => "there is `v1`".to_owned(),
                    newest => format!("there are `v1` to `v{newest}`"),
                };
                format!("prompt `{key}` has no version `v{number}`; {newest}")
            }
        })
    }

    fn numbered(
        &self,
        key: &PromptKey,
        hash: BundleHash,
        commit: CommitId,
    ) -> Result<Version, String> {
        if let Some(version) = self.at_hand(key, hash) {
            return Ok(version);
        }
        let kept = self.kept(key, &hash.to_hex())?;
        let bundle = match kept.into_iter().next() {
            Some((_, json)) => Bundle::from_json(&json).ok().map(|(bundle, _)| bundle),
            None => None,
        };
        let bundle = match bundle {
            Some(bundle) => Arc::new(bundle),
            None => rebuild(self.inner, key, hash, commit).map_err(|error| in_words(&error))?,
        };
        Ok(Version {
            bundle,
            found: Some(Found {
                commit: Some(commit.to_string()),
            }),
        })
    }

    fn kept(&self, key: &PromptKey, hex: &str) -> Result<Vec<(BundleHash, Vec<u8>)>, String> {
        from_archive(self.inner.archive.as_ref(), key, hex).map_err(|error| in_words(&error))
    }

    fn by_hash(&self, key: &PromptKey, hex: &str) -> Result<Version, String> {
        let kept = self.kept(key, hex)?;
        let known = self.inner.numbering.known();
        let mut hashes: BTreeSet<BundleHash> = kept.iter().map(|(hash, _)| *hash).collect();
        let served = self.snapshot.get(key).map(|prompt| prompt.bundle.hash());
        let numbered =
            (1..=known.numbers.newest(key)).filter_map(|number| known.numbers.hash_of(key, number));
        let fits = |hash: &BundleHash| hash.to_hex().starts_with(hex);
        hashes.extend(served.into_iter().chain(numbered).filter(fits));
        let unknown = || format!("prompt `{key}` has no version `sha-{hex}`");
        let is_one = hashes.len() == 1;
        let hash = hashes.pop_first().ok_or_else(unknown)?;
        if !is_one {
            return Err(format!(
                "`sha-{hex}` fits several versions of prompt `{key}`; write more digits"
            ));
        }
        if let Some(version) = self.at_hand(key, hash) {
            return Ok(version);
        }
        let number = known.numbers.number_of(key, hash);
        let commit = number.and_then(|number| known.numbers.first_commit(key, number));
        if let Some(commit) = commit {
            return self.numbered(key, hash, commit);
        }
        let json = kept.into_iter().next().map(|(_, json)| json);
        let json = json.ok_or_else(unknown)?;
        let (bundle, _) = Bundle::from_json(&json).map_err(|error| in_words(&error))?;
        Ok(Version {
            bundle: Arc::new(bundle),
            found: Some(Found { commit: None }),
        })
    }

    fn at_reference(&mut self, key: &PromptKey, reference: &str) -> Result<Version, String> {
        let inner = self.inner;
        let known = self.commits.entry(reference.to_owned());
        let past = known.or_insert_with(|| past(inner, reference));
        let (commit, past) = past.as_ref().map_err(Clone::clone)?;
        let prompt = past.get(key).ok_or_else(|| {
            format!("prompt `{key}` has no version `git:{reference}`: it is not in that commit")
        })?;
        let (hash, commit) = (prompt.bundle.hash(), commit.to_string());
        let served = self.snapshot.get(key).map(|prompt| &prompt.bundle);
        let is_served = served.is_some_and(|bundle| bundle.hash() == hash);
        Ok(Version {
            bundle: Arc::clone(&prompt.bundle),
            found: (!is_served).then_some(Found {
                commit: Some(commit),
            }),
        })
    }
}

fn past(inner: &Inner, reference: &str) -> Result<Past, String> {
    let unknown = || format!("there is no commit, tag or branch `{reference}`");
    let (repository, _) = inner.config.source.repository().map_err(|_| unknown())?;
    let commit = match repository.resolve(reference) {
        Ok(commit) => commit,
        Err(git::Error::UnknownReference { .. }) => return Err(unknown()),
        Err(error) => return Err(error.to_string()),
    };
    let past = at_commit(inner, commit).map_err(|error| in_words(&error))?;
    Ok((commit, past))
}

/// An error with its cause, for a problem.
fn in_words(error: &Error) -> String {
    match error {
        Error::Git(cause) => format!("{error}: {cause}"),
        other => other.to_string(),
    }
}

/// Makes the table of what `releases` says; all problems together. Blocks.
pub(super) fn table(
    resolver: &mut Resolver<'_>,
    releases: &Arc<Releases>,
) -> Result<Table, Vec<Problem>> {
    let mut builder = Builder {
        snapshot: resolver.snapshot,
        resolver,
        problems: BTreeSet::new(),
    };
    let mut table = Table {
        written: Some(Arc::clone(releases)),
        ..Table::default()
    };
    builder.check_scopes(releases);
    let snapshot = builder.snapshot;
    for label in releases.labels.keys() {
        let mut routes = HashMap::new();
        for (key, _) in snapshot.iter() {
            let Some(rule) = releases.rule(label, key) else {
                continue;
            };
            if let Some(route) = builder.route(key, rule, releases.shadow(key)) {
                routes.insert(key.clone(), Arc::new(route));
            }
        }
        table.routes.insert(label.clone(), routes);
    }
    builder.aliases(releases, &mut table);
    if builder.problems.is_empty() {
        Ok(table)
    } else {
        Err(builder.problems.into_iter().collect())
    }
}

struct Builder<'a, 'b> {
    resolver: &'b mut Resolver<'a>,
    snapshot: &'a Snapshot,
    problems: BTreeSet<Problem>,
}

impl Builder<'_, '_> {
    fn refuse(&mut self, line: usize, message: String, hint: Option<String>) {
        let problem = Problem::new(message).at(line).in_file(FILE);
        self.problems.insert(Problem { hint, ..problem });
    }

    /// Refuses what is said of prompts that do not exist: mostly a slip of the pen.
    fn check_scopes(&mut self, releases: &Releases) {
        let rules = releases.labels.values().flatten();
        let rules = rules.map(|(scope, rule)| (scope, rule.line));
        let shadows = releases.shadows.iter();
        let shadows = shadows.map(|(scope, shadow)| (scope, shadow.line));
        for (scope, line) in rules.chain(shadows) {
            if let Scope::Prompt(key) = scope {
                self.check_prompt(key, line);
            }
        }
    }

    fn check_prompt(&mut self, key: &PromptKey, line: usize) -> bool {
        if self.snapshot.get(key).is_some() {
            return true;
        }
        // A prompt with problems is reported as such; here nothing is wrong.
        if !self.snapshot.is_failed(key) {
            let names = self.snapshot.iter().map(|(key, _)| key.as_str());
            let near = nearest_names(key.as_str(), names);
            let hint = near.first().map(|near| format!("did you mean `{near}`?"));
            self.refuse(line, format!("there is no prompt `{key}`"), hint);
        }
        false
    }

    fn version(&mut self, key: &PromptKey, selector: &Selector, line: usize) -> Option<Version> {
        match self.resolver.version(key, selector) {
            Ok(version) => Some(version),
            Err(message) => {
                let hint = "name another version, or give the prompt an entry of its own";
                self.refuse(line, message, Some(hint.to_owned()));
                None
            }
        }
    }

    fn route(
        &mut self,
        key: &PromptKey,
        rule: &Placed<Rule>,
        general: Option<&Placed<Shadow>>,
    ) -> Option<Route> {
        let (line, rule) = (rule.line, &rule.value);
        let stable = self.version(key, &rule.stable, line)?;
        let canary = match &rule.canary {
            None => None,
            Some(canary) => Some(CanaryRoute {
                version: self.version(key, &canary.to, line)?,
                share: canary.share,
                sticky: canary.sticky,
                seed: canary.seed.clone().unwrap_or_else(|| canary.to.to_string()),
                until: canary.until.clone(),
            }),
        };
        let own = rule.shadow.as_ref().map(|shadow| (shadow, line));
        let shadow = own.or_else(|| general.map(|placed| (&placed.value, placed.line)));
        let shadow = match shadow {
            None => None,
            Some((shadow, line)) => Some(ShadowRoute {
                version: self.version(key, &shadow.to, line)?,
                share: shadow.share,
            }),
        };
        Some(Route {
            canary,
            shadow,
            ..Route::plain(stable)
        })
    }

    fn aliases(&mut self, releases: &Releases, table: &mut Table) {
        for (id, alias) in &releases.aliases {
            let is_prompt = |key: &PromptKey| key.as_str() == id;
            if self.snapshot.iter().any(|(key, _)| is_prompt(key)) {
                let message = format!("alias `{id}` is the name of a prompt");
                self.refuse(alias.line, message, None);
            } else if self.check_prompt(&alias.value, alias.line) {
                table.aliases.insert(id.clone(), alias.value.clone());
            }
        }
    }
}
