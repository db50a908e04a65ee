//! What differs between two versions of prompts, for whom, and at what cost.
//!
//! Values in, a [`PromptDiff`] out: nothing here reads files, records or prices. Serialised, the types are
//! the command line's JSON, whose fields stay.

mod candidates;
mod contracts;
mod cost;
mod keywords;
mod lines;
mod messages;
mod proof;
mod rule;
mod schema;
mod settings;
mod template;
#[cfg(test)]
mod tests;
mod trees;
mod usage;
mod variables;
mod verdict;

pub use contracts::{Contract, Subject};
pub use cost::{CacheEffect, Forecast, MIN_CACHED, Priced};
pub use lines::{DiffLine, Hunk, LineKind, texts};
pub use messages::{MessageChange, MessageDiff};
pub use rule::{Finding, Rule, Verdict};
pub use schema::{Subset, is_subset};
pub use settings::SettingDiff;
pub use trees::{
    Pair, Revision, SharedFile, Side, Tree, WORKING, changed_files, pairs, shared_files,
};
pub use usage::{CallerUsage, Senders, USAGE_DAYS, Usage};
pub use variables::{Variable, VariableDiff, variables};

use crate::domain::{BundleHash, PromptKey};
use crate::metering::{PriceRow, Tokens};
use crate::prompts::bundle::Bundle;
use crate::prompts::problem::Problem;
use crate::prompts::samples::Sample;
use bytes::Bytes;
use cost::Rows;
use lines::SourceLine;
use messages::Message;
use serde::Serialize;
use serde_json::Map;
use std::collections::BTreeSet;
use std::sync::Arc;

/// A diff of prompts, whole. Serialised as its fields.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Diff {
    /// The version of this form: 1.
    pub format: u32,
    /// What is compared.
    pub base: TreeName,
    /// What it is compared with.
    pub head: TreeName,
    /// The gravest verdict; absent when nothing differs.
    pub verdict: Option<Verdict>,
    /// The prompts that differ.
    pub prompts: Vec<PromptDiff>,
    /// Partials, schemas and tools that differ, with everything that is made from them.
    pub shared: Vec<SharedFile>,
    /// Why nothing is known of callers; absent when the records were read.
    pub no_records: Option<String>,
}

/// What a side is called.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TreeName {
    /// As it was asked for.
    pub name: String,
    /// The commit, where there is one.
    pub commit: Option<String>,
}

/// How a prompt differs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PromptDiff {
    /// Its name, in the head where it is there.
    pub name: PromptKey,
    /// What became of it.
    pub change: Change,
    /// The version it was.
    pub base: Option<VersionName>,
    /// The version it is.
    pub head: Option<VersionName>,
    /// The gravest of the findings.
    pub verdict: Verdict,
    /// The rules that fired, the gravest first.
    pub findings: Vec<Finding>,
    /// Why the head does not load.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<Problem>,
    /// The template's lines that differ, partials inlined.
    pub template: Vec<Hunk>,
    /// What the samples become.
    pub samples: Vec<SampleDiff>,
    /// Variables that differ.
    pub variables: Vec<VariableDiff>,
    /// Settings that differ.
    pub settings: Vec<SettingDiff>,
    /// Whether callers, consumers and tools go on working.
    pub contracts: Vec<Contract>,
    /// What calls cost.
    pub forecast: Option<Forecast>,
    /// What becomes of the provider's cache.
    pub cache: Option<CacheEffect>,
    /// Whom it reaches.
    pub reach: Reach,
}

/// What became of a prompt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Change {
    /// It is new.
    Added,
    /// It is gone.
    Removed,
    /// It has another name and the same content.
    Renamed {
        /// The name it had.
        from: PromptKey,
    },
    /// It is another version, or is described in another way.
    Changed,
    /// It does not load any more.
    Broken,
}

/// Which version a side is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VersionName {
    /// The prompt.
    pub name: PromptKey,
    /// `v7`; absent when it has no number.
    pub version: Option<String>,
    /// Its identity.
    pub hash: BundleHash,
    /// Whether it is in no commit.
    pub dirty: bool,
}

/// What a sample becomes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SampleDiff {
    /// The sample's name.
    pub sample: String,
    /// Whether its values were made up from the schema, because the prompt has no samples.
    pub made_up: bool,
    /// Tokens of the messages by the base; absent when it cannot render the sample.
    pub base_tokens: Option<u64>,
    /// The same by the head.
    pub head_tokens: Option<u64>,
    /// Why the base cannot render it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base_error: Option<String>,
    /// Why the head cannot render it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub head_error: Option<String>,
    /// The messages, in order; empty when a side cannot render it.
    pub messages: Vec<MessageDiff>,
}

/// Whom a prompt reaches.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Reach {
    /// Labels that get the head once it is on the tracked branch; absent where `releases.yaml` cannot be read.
    pub labels: Option<Vec<String>>,
    /// What callers did in the last days; absent when there are no records.
    pub usage: Option<Usage>,
}

/// What is known besides the two versions.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// What callers did; absent when there are no records.
    pub usage: Option<Usage>,
    /// The price of the base's model.
    pub base_price: Option<Arc<PriceRow>>,
    /// The price of the head's model.
    pub head_price: Option<Arc<PriceRow>>,
    /// The labels that get the head.
    pub labels: Option<Vec<String>>,
}

/// Compares the versions of a pair; `None` when it has none.
#[must_use]
pub fn compare(pair: &Pair, facts: &Facts) -> Option<PromptDiff> {
    let name = pair.key()?.clone();
    let (base, head) = (pair.base.as_ref(), pair.head.as_ref());
    let usage = facts.usage.as_ref().filter(|usage| 0 < usage.calls);
    let rows = Rows {
        base: facts.base_price.as_deref(),
        head: facts.head_price.as_deref(),
    };
    let lines = |side: Option<&Side>| -> Vec<SourceLine> {
        side.map_or_else(Vec::new, |side| {
            template::expanded(&side.bundle, &side.path)
        })
    };
    let (base_lines, head_lines) = (lines(base), lines(head));
    let samples = samples(base, head);
    let bundles = (
        base.map(|side| &*side.bundle),
        head.map(|side| &*side.bundle),
    );
    let mut diff = PromptDiff {
        change: change(pair),
        base: base.map(version_name),
        head: head.map(version_name),
        verdict: Verdict::Cosmetic,
        findings: Vec::new(),
        problems: pair.problems.clone(),
        template: lines::hunks(&base_lines, &head_lines),
        variables: Vec::new(),
        settings: Vec::new(),
        contracts: Vec::new(),
        forecast: cost::forecast(bundles, rows, &samples, usage),
        cache: None,
        reach: Reach {
            labels: facts.labels.clone(),
            usage: facts.usage.clone(),
        },
        samples,
        name,
    };
    if let (Some(base), Some(head)) = bundles {
        diff.variables = variables::compare(base, head, facts.usage.as_ref());
        diff.settings = settings::compare(base, head);
        diff.contracts = contracts::compare(base, head);
        diff.cache = Some(cost::cache_effect(base, head, rows, usage));
        diff.findings = verdict::judge(&verdict::Evidence {
            base,
            head,
            base_lines: &base_lines,
            head_lines: &head_lines,
            variables: &diff.variables,
            settings: &diff.settings,
            contracts: &diff.contracts,
        });
    }
    diff.findings.splice(0..0, of_change(&diff));
    let gravest = diff.findings.iter().map(|finding| finding.verdict).max();
    diff.verdict = gravest.unwrap_or(Verdict::Cosmetic);
    Some(diff)
}

fn version_name(side: &Side) -> VersionName {
    VersionName {
        name: side.key.clone(),
        version: side.number.map(|number| format!("v{number}")),
        hash: side.bundle.hash(),
        dirty: side.dirty,
    }
}

fn change(pair: &Pair) -> Change {
    match (&pair.base, &pair.head) {
        (_, None) if !pair.problems.is_empty() => Change::Broken,
        (None, _) => Change::Added,
        (_, None) => Change::Removed,
        (Some(base), Some(head))
            if base.key != head.key && base.bundle.hash() == head.bundle.hash() =>
        {
            Change::Renamed {
                from: base.key.clone(),
            }
        }
        _ => Change::Changed,
    }
}

/// What is said about the prompt as a whole.
fn of_change(diff: &PromptDiff) -> Option<Finding> {
    let callers = match &diff.reach.usage {
        None => "no records tell who calls it".to_owned(),
        Some(usage) => {
            let callers = usage
                .callers
                .iter()
                .filter(|caller| 0 < caller.calls)
                .count();
            let who = if callers == 1 { "caller" } else { "callers" };
            format!("{callers} {who} in the last {USAGE_DAYS} days")
        }
    };
    let breaking = |rule, message: String| Some(Finding::new(rule, Verdict::Breaking, message));
    match &diff.change {
        Change::Added => {
            let message = "a new prompt, which nobody calls yet";
            Some(Finding::new(Rule::PromptAdded, Verdict::Cosmetic, message))
        }
        Change::Removed => breaking(
            Rule::PromptRemoved,
            format!("the prompt is gone: {callers}"),
        ),
        Change::Renamed { from } => breaking(
            Rule::PromptRenamed,
            format!("`{from}` is gone under that name: {callers}"),
        ),
        Change::Broken => breaking(Rule::DoesNotLoad, "the prompt does not load".to_owned()),
        Change::Changed => None,
    }
}

/// Renders the samples of the head (else the base) by both sides.
fn samples(base: Option<&Side>, head: Option<&Side>) -> Vec<SampleDiff> {
    let sides = || [head, base].into_iter().flatten();
    let of_file = sides().find(|side| !side.samples.is_empty());
    let Some(of_file) = of_file else {
        return sides()
            .next()
            .map_or_else(Vec::new, |_| vec![made_up_sample(base, head)]);
    };
    let render = |sample: &Sample| {
        let by_base = base.map(|side| {
            let own = side.samples.iter().find(|own| own.name == sample.name);
            messages::rendered(&side.bundle, &side.path, sample).or_else(|error| match own {
                // Variables may have come and gone: each side may have its own values.
                Some(own) => messages::rendered(&side.bundle, &side.path, own),
                None => Err(error),
            })
        });
        let by_head = head.map(|side| messages::rendered(&side.bundle, &side.path, sample));
        sample_diff(&sample.name, false, (base, by_base), (head, by_head))
    };
    of_file.samples.iter().map(render).collect()
}

fn made_up_sample(base: Option<&Side>, head: Option<&Side>) -> SampleDiff {
    let render = |side: &Side| {
        let other = if head.is_some_and(|head| head.key == side.key) {
            head
        } else {
            None
        };
        let sample = made_up(&side.bundle, other.map(|side| &*side.bundle));
        messages::rendered(&side.bundle, &side.path, &sample)
    };
    sample_diff(
        "made up",
        true,
        (base, base.map(render)),
        (head, head.map(render)),
    )
}

/// Makes values up for the variables of `bundle`; where `first` has the variable too, by its schema.
fn made_up(bundle: &Bundle, first: Option<&Bundle>) -> Sample {
    let mut values = Map::new();
    for (name, _) in bundle.variables() {
        let own = variables::property(bundle, name);
        let from = first.filter(|first| first.variables().iter().any(|(other, _)| *other == name));
        let value = from
            .and_then(|first| candidates::made_up(name, &variables::property(first, name)))
            .filter(|value| schema::compiled(&own).is_some_and(|own| own.is_valid(value)))
            .or_else(|| candidates::made_up(name, &own));
        values.extend(value.map(|value| (name.to_owned(), value)));
    }
    Sample {
        name: "made up".to_owned(),
        variables: values,
        messages: Vec::new(),
        context: Map::new(),
    }
}

/// Makes a sample up from the variables of a prompt that has none.
#[must_use]
pub fn made_up_for(bundle: &Bundle) -> Sample {
    made_up(bundle, None)
}

type Outcome = Option<Result<Vec<Message>, String>>;

fn sample_diff(
    name: &str,
    made_up: bool,
    (base, by_base): (Option<&Side>, Outcome),
    (head, by_head): (Option<&Side>, Outcome),
) -> SampleDiff {
    let tokens = |side: Option<&Side>, outcome: &Outcome| {
        let messages = outcome.as_ref()?.as_ref().ok()?;
        let encoded: Vec<Bytes> = messages
            .iter()
            .map(|message| Bytes::from(message.json.to_string()))
            .collect();
        Some(Tokens.count_messages(cost::model(&side?.bundle), &encoded))
    };
    let error = |outcome: &Outcome| {
        outcome
            .as_ref()
            .and_then(|outcome| outcome.as_ref().err().cloned())
    };
    let none = Vec::new();
    let messages = match (&by_base, &by_head) {
        (Some(Err(_)), _) | (_, Some(Err(_))) => Vec::new(),
        (old, new) => {
            let messages = |outcome: &Outcome| match outcome {
                Some(Ok(messages)) => messages.clone(),
                _ => none.clone(),
            };
            messages::compare(&messages(old), &messages(new))
        }
    };
    SampleDiff {
        sample: name.to_owned(),
        made_up,
        base_tokens: tokens(base, &by_base),
        head_tokens: tokens(head, &by_head),
        base_error: error(&by_base),
        head_error: error(&by_head),
        messages,
    }
}

impl Diff {
    /// Puts a diff together.
    #[must_use]
    pub fn new(
        base: TreeName,
        head: TreeName,
        prompts: Vec<PromptDiff>,
        shared: Vec<SharedFile>,
    ) -> Self {
        Self {
            format: 1,
            base,
            head,
            verdict: prompts.iter().map(|prompt| prompt.verdict).max(),
            prompts,
            shared,
            no_records: None,
        }
    }

    /// Says why nothing is known of callers.
    #[must_use]
    pub fn without_records(self, problem: Option<String>) -> Self {
        Self {
            no_records: problem,
            ..self
        }
    }

    /// Keeps the prompts that `only` names (all when it names none) and what they share.
    #[must_use]
    pub fn keeps(only: &BTreeSet<PromptKey>, pair: &Pair) -> bool {
        let sides = [&pair.base, &pair.head].into_iter().flatten();
        only.is_empty() || sides.into_iter().any(|side| only.contains(&side.key))
    }
}
