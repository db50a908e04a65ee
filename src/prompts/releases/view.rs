//! What labels mean, for people: rules with the versions they lead to, and what is live past Git.

use crate::domain::{BundleHash, Caller, Clock, PromptKey, Timestamp};
use crate::prompts::registry::Prompts;
use crate::prompts::releases::overrides::{Override, git_route};
use crate::prompts::releases::rules::{Canary, Guard, Scope, Shadow, Sticky};
use crate::prompts::releases::table::{DEFAULT_LABEL, Route, Version};
use crate::prompts::snapshot::Snapshot;
use serde::Serialize;
use std::collections::BTreeMap;

/// A rule of `releases.yaml`, and what it leads to.
#[derive(Debug, Clone, Serialize)]
pub struct ReleaseView {
    /// The label.
    pub label: String,
    /// The prompt, or `*` for all that have no rule of their own.
    pub prompt: String,
    /// The rule, as it is written.
    pub stable: String,
    /// The version it leads to, `v7` or a hash; `None` for `*`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The version's hash.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hash: Option<BundleHash>,
    /// The version that is tried.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub canary: Option<CanaryView>,
    /// The version that runs beside.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shadow: Option<ShadowView>,
}

/// A canary.
#[derive(Debug, Clone, Serialize)]
pub struct CanaryView {
    /// As it is written.
    pub to: String,
    /// The version it leads to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// How much of the traffic.
    pub percent: String,
    /// Who stays with it.
    pub sticky: Sticky,
    /// When it ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// Whether it has ended.
    pub expired: bool,
    /// When it should be stopped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guard: Option<Guard>,
    /// Whether anything measures the guard. Nothing does yet: who sets one must look himself.
    pub guard_evaluated: bool,
}

/// A shadow.
#[derive(Debug, Clone, Serialize)]
pub struct ShadowView {
    /// As it is written.
    pub to: String,
    /// The version it leads to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Of how many calls.
    pub percent: String,
}

/// Something live that is not in Git.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Drift {
    /// A label means another version.
    Override {
        /// The label.
        label: String,
        /// The prompt.
        prompt: PromptKey,
        /// What Git says; `None` when the label or the prompt is gone from it.
        git: Option<String>,
        /// What is live.
        live: String,
        /// Why.
        reason: String,
        /// Since when.
        created: Timestamp,
        /// Until when.
        expires: Timestamp,
    },
    /// A prompt's files are not as in the commit.
    Uncommitted {
        /// The prompt.
        prompt: PromptKey,
        /// What is live.
        live: String,
    },
    /// `releases.yaml` is not as in the commit.
    UncommittedReleases,
}

impl Prompts {
    /// Returns what every rule of `releases.yaml` means now.
    #[must_use]
    pub fn releases(&self) -> Vec<ReleaseView> {
        let snapshot = self.snapshot();
        let Some(written) = &snapshot.releases.written else {
            return Vec::new();
        };
        let mut views = Vec::new();
        for (label, rules) in &written.labels {
            for (scope, rule) in rules {
                let key = match scope {
                    Scope::All => None,
                    Scope::Prompt(key) => Some(key),
                };
                let route = key.and_then(|key| Some((key, snapshot.releases.route(label, key)?)));
                let found = Leads {
                    snapshot: &snapshot,
                    route: route.map(|(key, route)| (key, route.as_ref())),
                };
                let rule = &rule.value;
                views.push(ReleaseView {
                    label: label.clone(),
                    prompt: scope.to_string(),
                    stable: rule.stable.to_string(),
                    version: found.name(|route| Some(&route.stable)),
                    hash: found.route.map(|(_, route)| route.stable.hash()),
                    canary: rule.canary.as_ref().map(|canary| found.canary(canary)),
                    shadow: rule.shadow.as_ref().map(|shadow| found.shadow(shadow)),
                });
            }
        }
        views
    }

    /// Returns the labels of a prompt with the versions that a call without a canary gets.
    #[must_use]
    pub fn labels(&self, key: &PromptKey) -> BTreeMap<String, String> {
        let snapshot = self.snapshot();
        let mut labels = snapshot.releases.labels_of(key);
        if !snapshot.has_releases {
            labels.push(DEFAULT_LABEL.to_owned());
        }
        let caller = Caller::local();
        let named = labels.into_iter().filter_map(|label| {
            let released = snapshot.by_label(key, Some(&label), &caller, None).ok()?;
            Some((label, released.prompt.stamp.version()))
        });
        named.collect()
    }

    /// Returns what is live and not in Git.
    #[must_use]
    pub fn drift(&self) -> Vec<Drift> {
        let snapshot = self.snapshot();
        let dirty = snapshot.iter().filter(|(key, _)| snapshot.is_dirty(key));
        let uncommitted = dirty.map(|(key, prompt)| Drift::Uncommitted {
            prompt: key.clone(),
            live: prompt.bundle.hash().short(),
        });
        let releases = snapshot.has_dirty_releases;
        let releases = releases.then_some(Drift::UncommittedReleases);
        let overridden = self.overridden().into_iter();
        overridden.chain(releases).chain(uncommitted).collect()
    }

    /// Returns the labels that mean another version than Git says.
    #[must_use]
    pub fn overridden(&self) -> Vec<Drift> {
        let snapshot = self.snapshot();
        let now = Clock::System.now();
        let overrides = snapshot.releases.overrides.iter();
        overrides
            .filter(|over| now < over.expires)
            .map(|over| drift_of(&snapshot, over))
            .collect()
    }
}

fn drift_of(snapshot: &Snapshot, over: &Override) -> Drift {
    let git = git_route(&snapshot.releases, snapshot, &over.label, &over.prompt);
    Drift::Override {
        label: over.label.clone(),
        prompt: over.prompt.clone(),
        git: git.map(|route| route.stable.name(snapshot, &over.prompt)),
        live: over.to.clone(),
        reason: over.reason.clone(),
        created: over.created,
        expires: over.expires,
    }
}

/// What a rule leads to, where it is about one prompt.
struct Leads<'a> {
    snapshot: &'a Snapshot,
    route: Option<(&'a PromptKey, &'a Route)>,
}

impl Leads<'_> {
    fn name(&self, pick: impl Fn(&Route) -> Option<&Version>) -> Option<String> {
        let (key, route) = self.route?;
        pick(route).map(|version| version.name(self.snapshot, key))
    }

    fn canary(&self, canary: &Canary) -> CanaryView {
        let now = Clock::System.now();
        let until = canary.until.as_ref();
        CanaryView {
            to: canary.to.to_string(),
            version: self.name(|route| route.canary.as_ref().map(|it| &it.version)),
            percent: canary.share.to_string(),
            sticky: canary.sticky,
            until: until.map(|until| until.text.clone()),
            expired: until.is_some_and(|until| until.at <= now),
            guard: canary.guard.clone(),
            guard_evaluated: false,
        }
    }

    fn shadow(&self, shadow: &Shadow) -> ShadowView {
        ShadowView {
            to: shadow.to.to_string(),
            version: self.name(|route| route.shadow.as_ref().map(|it| &it.version)),
            percent: shadow.share.to_string(),
        }
    }
}
