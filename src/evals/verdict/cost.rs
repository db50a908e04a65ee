//! Money, time and tokens: means and percentiles over answers, and head over base.
//!
//! Only answers that were really given are measured: one from the cache has a price but no latency.

use crate::domain::TokenUsage;
use crate::evals::plan::{Side, Subject};
use crate::evals::report::{Figure, MetricLine};
use crate::evals::row::{Answer, Row};
use crate::evals::verdict::figures::{as_u64, with};
use crate::evals::verdict::metrics::of_comparison;
use crate::evals::verdict::table::Table;
use crate::stats::{mean, quantile, ratio_of_means, ratio_of_quantiles, t_interval};
use std::collections::BTreeMap;

/// The names of these metrics.
pub(super) const NAMES: [&str; 4] = ["cost", "tokens", "latency_p50", "latency_p95"];

const CONFIDENCE: f64 = 0.95;
const SEED: u64 = 0;

/// What is measured of an answer.
#[derive(Clone, Copy)]
struct Measure {
    name: &'static str,
    unit: &'static str,
    /// The percentile; `None` for the mean.
    quantile: Option<f64>,
    of: fn(&Answer) -> Option<f64>,
}

const MEASURES: [Measure; 4] = [
    Measure {
        name: "cost",
        unit: "usd",
        quantile: None,
        of: dollars,
    },
    Measure {
        name: "tokens",
        unit: "tokens",
        quantile: None,
        of: tokens,
    },
    Measure {
        name: "latency_p50",
        unit: "ms",
        quantile: Some(0.5),
        of: milliseconds,
    },
    Measure {
        name: "latency_p95",
        unit: "ms",
        quantile: Some(0.95),
        of: milliseconds,
    },
];

/// The lines of `subject`; a figure that no answer has is left out.
pub(super) fn lines<'a>(table: &Table<'a>, subject: &'a Subject) -> Vec<MetricLine> {
    let lines = MEASURES
        .iter()
        .map(|measure| line(table, subject, *measure));
    lines.flatten().collect()
}

fn line<'a>(table: &Table<'a>, subject: &'a Subject, measure: Measure) -> Option<MetricLine> {
    let head = values(table, Side::Head, subject, measure);
    let base = table
        .partner(subject)
        .map(|partner| values(table, Side::Base, partner, measure))
        .unwrap_or_default();
    let figure = |values: &BTreeMap<&str, f64>| {
        let values: Vec<f64> = values.values().copied().collect();
        match measure.quantile {
            Some(share) => quantile(&values, share).map(|value| with(value, None)),
            None => mean(&values).map(|value| with(value, t_interval(&values, CONFIDENCE))),
        }
    };
    let (mut old, mut new) = (Vec::new(), Vec::new());
    for (case, value) in &head {
        if let Some(before) = base.get(case) {
            old.push(*before);
            new.push(*value);
        }
    }
    let ratio = match measure.quantile {
        Some(share) => ratio_of_quantiles(&new, &old, (share, CONFIDENCE), SEED),
        None => ratio_of_means(&new, &old, CONFIDENCE),
    };
    Some(MetricLine {
        subject: subject.label.clone(),
        metric: measure.name.to_owned(),
        unit: measure.unit.to_owned(),
        cases: as_u64(head.len()),
        head: figure(&head)?,
        base: figure(&base),
        delta: ratio.map(|ratio| Figure {
            value: ratio.value,
            low: Some(ratio.interval.low),
            high: Some(ratio.interval.high),
        }),
        ..of_comparison(None)
    })
}

/// The value of each case, the mean over its repeats. A case with an answer of unknown value has none.
fn values<'a>(
    table: &Table<'a>,
    side: Side,
    subject: &'a Subject,
    measure: Measure,
) -> BTreeMap<&'a str, f64> {
    let mut values = BTreeMap::new();
    for case in table.cases(side, subject) {
        let rows = table.rows(side, subject, &case.id);
        let measured: Option<Vec<f64>> = rows.iter().map(|row| of_row(row, measure)).collect();
        if let Some(value) = measured.as_deref().and_then(mean) {
            values.insert(case.id.0.as_str(), value);
        }
    }
    values
}

fn of_row(row: &Row, measure: Measure) -> Option<f64> {
    (measure.of)(row.answer.as_ref()?)
}

#[expect(
    clippy::cast_precision_loss,
    reason = "money of one answer is far below 2^53 pico-dollars"
)]
fn dollars(answer: &Answer) -> Option<f64> {
    Some(answer.cost.pico_usd?.0 as f64 / 1e12)
}

#[expect(
    clippy::cast_precision_loss,
    reason = "tokens of one answer are far below 2^53"
)]
fn tokens(answer: &Answer) -> Option<f64> {
    let TokenUsage { input, output, .. } = answer.usage?;
    Some((input + output) as f64)
}

#[expect(
    clippy::cast_precision_loss,
    reason = "microseconds of one answer are far below 2^53"
)]
fn milliseconds(answer: &Answer) -> Option<f64> {
    let is_measured = answer.call.is_some() && answer.cached_from.is_none();
    is_measured.then_some(answer.latency_us as f64 / 1000.0)
}
