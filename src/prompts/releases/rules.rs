//! What `releases.yaml` can say, before it is held against the prompts.

use crate::domain::{PromptKey, Selector, Timestamp};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;

/// The share of all: ten thousandths, so that one percent can be split.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::prompts) struct Share(pub(super) u16);

impl Share {
    /// The whole.
    pub(super) const ALL: u16 = 10_000;

    /// Returns the share that `percent` is; `None` when it is not within 0 to 100, or finer than a
    /// hundredth of a percent.
    pub(super) fn of_percent(percent: f64) -> Option<Self> {
        let points = percent * 100.0;
        let is_whole = (points - points.round()).abs() < 1e-6;
        if !is_whole || !(0.0..=f64::from(Self::ALL)).contains(&points) {
            return None;
        }
        format!("{points:.0}").parse().ok().map(Self)
    }

    /// Whether a draw of 0 to 9999 is in the share. What is in a share is in every larger one.
    pub(super) const fn holds(self, draw: u16) -> bool {
        draw < self.0
    }
}

impl fmt::Display for Share {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} %", f64::from(self.0) / 100.0)
    }
}

/// What decides that a caller stays in its arm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Sticky {
    /// The end user: `safety_identifier`, else `user`.
    #[default]
    User,
    /// The session: `x-promptgate-session`, else `metadata.session_id`.
    Session,
    /// The header `x-promptgate-sticky`.
    Header,
    /// The key of the caller.
    Key,
    /// Nothing: every call is drawn anew.
    Request,
}

impl Sticky {
    pub(super) const ALL: [(&'static str, Self); 5] = [
        ("user", Self::User),
        ("session", Self::Session),
        ("header", Self::Header),
        ("key", Self::Key),
        ("request", Self::Request),
    ];
}

/// When a canary should be stopped. Kept and shown; nothing measures it yet.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Guard {
    /// The eval suite that judges.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suite: Option<String>,
    /// The least share of passed cases.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_pass: Option<f64>,
    /// The most it may cost, as a multiple of the stable version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_cost_ratio: Option<f64>,
    /// The longest it may take, as a multiple of the stable version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_latency_ratio: Option<f64>,
    /// The largest share of failed calls.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_error_rate: Option<f64>,
}

/// A version that gets a share of the calls.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::prompts) struct Canary {
    /// The version.
    pub to: Selector,
    /// How much of the traffic.
    pub share: Share,
    /// Who stays with it.
    pub sticky: Sticky,
    /// Another seed draws other callers; without one it is `to`, as written.
    pub seed: Option<String>,
    /// When it should be stopped.
    pub guard: Option<Guard>,
    /// From when on it is over.
    pub until: Option<Until>,
}

/// A point in time, as it was written too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::prompts) struct Until {
    /// The point in time.
    pub at: Timestamp,
    /// As written.
    pub text: String,
}

/// A version that runs in the shadow of a share of the calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::prompts) struct Shadow {
    /// The version.
    pub to: Selector,
    /// Of how many calls.
    pub share: Share,
}

/// What a label means for a prompt.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::prompts) struct Rule {
    /// The version.
    pub stable: Selector,
    /// The version that is tried.
    pub canary: Option<Canary>,
    /// The version that runs beside.
    pub shadow: Option<Shadow>,
}

impl fmt::Display for Rule {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.stable)?;
        if let Some(canary) = &self.canary {
            write!(formatter, ", canary {} {}", canary.to, canary.share)?;
            if let Some(until) = &canary.until {
                write!(formatter, " until {}", until.text)?;
            }
        }
        if let Some(shadow) = &self.shadow {
            write!(formatter, ", shadow {} {}", shadow.to, shadow.share)?;
        }
        Ok(())
    }
}

/// For which prompts something is said.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::prompts) enum Scope {
    /// All that have nothing of their own.
    All,
    /// One prompt.
    Prompt(PromptKey),
}

impl fmt::Display for Scope {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => formatter.write_str("*"),
            Self::Prompt(key) => write!(formatter, "{key}"),
        }
    }
}

/// Something with the line it stands on.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::prompts) struct Placed<T> {
    pub(super) line: usize,
    pub(super) value: T,
}

/// `releases.yaml`, as it is written.
#[derive(Debug, Clone, PartialEq, Default)]
pub(in crate::prompts) struct Releases {
    pub(super) labels: BTreeMap<String, BTreeMap<Scope, Placed<Rule>>>,
    /// Whatever the label is.
    pub(super) shadows: BTreeMap<Scope, Placed<Shadow>>,
    pub(super) aliases: BTreeMap<String, Placed<PromptKey>>,
}

impl Releases {
    /// Returns what is said for `key` under `label`.
    pub(super) fn rule(&self, label: &str, key: &PromptKey) -> Option<&Placed<Rule>> {
        let rules = self.labels.get(label)?;
        let own = rules.get(&Scope::Prompt(key.clone()));
        own.or_else(|| rules.get(&Scope::All))
    }

    /// Returns the labels that mean the newest version of `key`, for all calls or for some.
    pub(in crate::prompts) fn labels_of_latest(&self, key: &PromptKey) -> Vec<String> {
        let is_latest = |rule: &Rule| {
            let canary = rule.canary.as_ref().map(|canary| &canary.to);
            rule.stable == Selector::Latest || canary == Some(&Selector::Latest)
        };
        let labels = self.labels.keys().filter(|label| {
            self.rule(label, key)
                .is_some_and(|rule| is_latest(&rule.value))
        });
        labels.cloned().collect()
    }

    /// Returns the shadow that `key` has whatever the label is.
    pub(super) fn shadow(&self, key: &PromptKey) -> Option<&Placed<Shadow>> {
        let own = self.shadows.get(&Scope::Prompt(key.clone()));
        own.or_else(|| self.shadows.get(&Scope::All))
    }

    /// Returns every rule in words, by label and scope: what an auditor compares.
    pub(in crate::prompts) fn in_words(&self) -> BTreeMap<String, BTreeMap<String, String>> {
        let words = |rules: &BTreeMap<Scope, Placed<Rule>>| {
            let rules = rules.iter();
            rules
                .map(|(scope, rule)| (scope.to_string(), rule.value.to_string()))
                .collect()
        };
        let labels = self.labels.iter();
        labels
            .map(|(label, rules)| (label.clone(), words(rules)))
            .collect()
    }

    /// Whether any rule names a version by its number.
    pub(in crate::prompts) fn has_numbers(&self) -> bool {
        let is_number = |selector: &Selector| matches!(selector, Selector::Number(_));
        let rules = self.labels.values().flat_map(BTreeMap::values);
        let mut rules = rules.map(|rule| &rule.value);
        let in_rule = |rule: &Rule| {
            is_number(&rule.stable)
                || rule.canary.as_ref().is_some_and(|it| is_number(&it.to))
                || rule.shadow.as_ref().is_some_and(|it| is_number(&it.to))
        };
        rules.any(in_rule) || self.shadows.values().any(|it| is_number(&it.value.to))
    }
}

#[cfg(test)]
mod tests {
    use super::Share;

    #[test]
    fn percents_are_shares() {
        for (percent, share) in [
            (0.0, Some(0)),
            (0.01, Some(1)),
            (5.0, Some(500)),
            (33.33, Some(3333)),
            (99.99, Some(9999)),
            (100.0, Some(10_000)),
            (100.01, None),
            (-1.0, None),
            (0.001, None),
            (f64::NAN, None),
            (f64::INFINITY, None),
        ] {
            assert_eq!(
                Share::of_percent(percent).map(|share| share.0),
                share,
                "{percent}"
            );
        }
        assert_eq!(Share(1250).to_string(), "12.5 %");
    }
}
