//! An alarm, and how it is told: what is new, how much of it, since when, and how sure that is.

use crate::embeddings::drift::budget::Standing;
use crate::embeddings::drift::detect::{Finding, Kind, Region};
use crate::embeddings::drift::examples::Group;
use crate::embeddings::drift::retrieval::Retrieval;
use crate::stats::Estimate;
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;

/// How many examples a message has.
const SHOWN: usize = 3;

/// What is told of a window.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    /// The prompt whose traffic it is.
    pub subject: &'a str,
    /// When the first of the new texts came, in words.
    pub since: &'a str,
    /// What was found.
    pub finding: &'a Finding,
    /// What that came to.
    pub standing: Standing,
    /// The groups of new texts.
    pub groups: &'a [Group],
    /// How many false alarms a month are expected at most.
    pub alarms_per_month: f64,
    /// How the monitor is called.
    pub monitor: &'a str,
}

/// An alarm that was raised.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Alarm {
    /// The monitor.
    pub monitor: String,
    /// The prompt whose traffic it is.
    pub subject: String,
    /// When it was raised, in Unix milliseconds.
    pub at_ms: i64,
    /// The message.
    pub text: String,
    /// What was found.
    pub finding: Finding,
    /// The groups of new texts.
    pub groups: Vec<Group>,
    /// The snapshot of the window.
    pub window: String,
    /// The snapshot of the reference.
    pub reference: String,
    /// Whether somebody accepted it as normal.
    pub is_accepted: bool,
    /// Whether it must still be sent to whom it is for.
    #[serde(default)]
    pub is_unsent: bool,
}

/// Returns what a look saw, on a few lines: an alarm, the first half of one, or nothing.
#[must_use]
pub fn message(told: &Message<'_>) -> String {
    let mut out = String::new();
    let finding = told.finding;
    let texts = finding.current;
    if told.standing == Standing::Quiet {
        let _ = write!(
            out,
            "Nothing new in `{}`: {texts} distinct texts lie where the reference does, as far as they show.\n{}.",
            told.subject,
            figures(finding),
        );
        return out;
    }
    match &finding.region {
        Some(region) => {
            let what = what(region, told.groups);
            let _ = writeln!(
                out,
                "{what} in `{}` since {}: {} of {texts} distinct texts ({} before).",
                told.subject,
                told.since,
                percent(region.share),
                share(region.before),
            );
        }
        None => {
            let _ = writeln!(
                out,
                "The traffic of `{}` shifted: {texts} distinct texts differ from the reference, and no part of them is new by itself.",
                told.subject
            );
        }
    }
    examples(told.groups, &mut out);
    if let Some(retrieval) = &finding.retrieval {
        out.push_str(&searches(retrieval));
    }
    if told.standing == Standing::Suspected {
        out.push_str(
            "It is one window so far, and no alarm: that takes another among the next two.\n",
        );
    }
    let _ = writeln!(
        out,
        "{}; budget: {} expected false alarms a month.",
        figures(finding),
        told.alarms_per_month,
    );
    let _ = write!(
        out,
        "Look: `promptgate embeddings drift explain {0}`. Accept as normal: `promptgate embeddings drift accept {0}`.",
        told.monitor
    );
    out
}

/// Returns what new items of a collection are, held against those before, on a few lines; `before` and `after`
/// name the snapshots.
#[must_use]
pub fn documents_message(
    (before, after): (&str, &str),
    finding: &Finding,
    groups: &[Group],
    is_drift: bool,
) -> String {
    let new = finding.current;
    let mut out = String::new();
    let _ = match &finding.region {
        Some(region) if is_drift => writeln!(
            out,
            "{} among {new} new items of `{after}`: {} of them ({} of `{before}`).",
            what(region, groups),
            percent(region.share),
            share(region.before),
        ),
        _ if is_drift => writeln!(
            out,
            "{new} new items of `{after}` are spread otherwise than those of `{before}`, and no part of them is new by itself.",
        ),
        _ => writeln!(
            out,
            "{new} new items of `{after}` lie where those of `{before}` do.",
        ),
    };
    if is_drift {
        examples(groups, &mut out);
    }
    let _ = write!(out, "{}.", figures(finding));
    out
}

fn examples(groups: &[Group], out: &mut String) {
    if let Some(group) = groups.first() {
        let quoted = group.examples.iter().take(SHOWN);
        let quoted: Vec<String> = quoted.map(|text| format!("\"{text}\"")).collect();
        if !quoted.is_empty() {
            let _ = writeln!(out, "Examples: {}.", quoted.join(", "));
        }
        if let Some(nearest) = &group.nearest {
            let words = nearest.words.join(", ");
            let words = if words.is_empty() {
                "one without words of its own"
            } else {
                &words
            };
            let similarity = nearest.similarity;
            let _ = writeln!(out, "Nearest known topic: {words} (cos {similarity:.2}).");
        }
    }
}

/// How sure it is, and how far.
fn figures(finding: &Finding) -> String {
    let moved = finding.centroid_deviations;
    format!(
        "p = {}, AUC {:.2}, centroid moved by {} standard deviations",
        chance(finding.p_value),
        finding.auc,
        moved.map_or_else(|| "?".to_owned(), |moved| format!("{moved:.1}")),
    )
}

/// What becomes of searches, in a line.
fn searches(retrieval: &Retrieval) -> String {
    let below = percent(retrieval.below);
    let mut out = format!(
        "Retrieval: {below} find nothing nearer than {:.2} in `{}` ({} before)",
        retrieval.threshold,
        retrieval.snapshot,
        share(retrieval.before),
    );
    if let Some((new, rest)) = retrieval.new_and_rest {
        let _ = write!(
            out,
            "; {} of what is new, {} of the rest",
            share(new),
            share(rest)
        );
    }
    let (now, before) = retrieval.never_found;
    let _ = writeln!(
        out,
        ". {now} of {} items are found by none of {} queries ({before} before).",
        retrieval.items, retrieval.queries
    );
    out
}

fn what(region: &Region, groups: &[Group]) -> String {
    let words = groups.first().map(|group| group.words.join(", "));
    let words = words.filter(|words| !words.is_empty());
    match (region.kind, words) {
        (Kind::Topic, Some(words)) => format!("New topic ({words})"),
        (Kind::Topic, None) => "New topic".to_owned(),
        (Kind::Scattered, _) => "Texts unlike anything known".to_owned(),
    }
}

/// `6.1 % [4.0, 8.8]`.
fn percent(share: Estimate) -> String {
    format!(
        "{:.1} % [{:.1}, {:.1}]",
        100.0 * share.value,
        100.0 * share.interval.low,
        100.0 * share.interval.high
    )
}

fn share(value: f64) -> String {
    format!("{:.1} %", 100.0 * value)
}

fn chance(p: f64) -> String {
    if p < 0.0001 {
        "below 0.0001".to_owned()
    } else {
        format!("{p:.4}")
    }
}
