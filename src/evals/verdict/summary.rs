//! Why the verdict is what it is, in a sentence.

use crate::evals::plan::Side;
use crate::evals::report::{GateLine, MetricLine, Verdict};
use crate::evals::verdict::table::{PASS, Table};
use crate::evals::verdict::{line_of, words};

pub(super) fn sentence(
    table: &Table<'_>,
    verdict: Verdict,
    metrics: &[MetricLine],
    gates: &[GateLine],
) -> String {
    let counts = table.counts();
    if let Some(reason) = table.is_invalid() {
        return reason;
    }
    if let Some(stopped) = &table.finished.spent.stopped
        && verdict == Verdict::Inconclusive
    {
        return format!(
            "{stopped}; {} of {} cases were asked",
            counts.cells.saturating_sub(counts.missing),
            counts.cells
        );
    }
    let telling = gates.iter().find(|gate| gate.verdict == verdict);
    match telling.filter(|_| verdict != Verdict::Passed) {
        Some(gate) => {
            let change = line_of(metrics, &gate.subject, &gate.metric).map(changed);
            let change = change.unwrap_or_default();
            format!("`{}` {}{change}", gate.metric, gate.reason)
        }
        None => overall(table, metrics),
    }
}

/// What a passed suite says: how many cases pass, and against what.
fn overall(table: &Table<'_>, metrics: &[MetricLine]) -> String {
    let lines: Vec<String> = table
        .subjects()
        .filter_map(|subject| line_of(metrics, &subject.label, PASS))
        .map(|line| {
            format!(
                "{} of {} pass{}",
                words::percent(line.head.value),
                words::cases(line.cases),
                changed(line)
            )
        })
        .collect();
    let base = table
        .side(Side::Base)
        .map(|base| format!(", against {}", base.name));
    let tested = table.tested_words().map(|words| format!("; {words}"));
    format!(
        "{}{}{}",
        lines.join("; "),
        base.unwrap_or_default(),
        tested.unwrap_or_default()
    )
}

/// ` (−6.0 pp, 28 newly fail, 10 newly pass, McNemar exact p .0051)`.
fn changed(line: &MetricLine) -> String {
    let Some(delta) = line.delta.filter(|_| line.unit == "share") else {
        return String::new();
    };
    let mut parts = vec![words::points(delta.value)];
    if 0 < line.regressed + line.improved {
        parts.push(format!(
            "{} newly fail, {} newly pass",
            line.regressed, line.improved
        ));
    }
    if let Some((test, p_value)) = &line.p_value {
        parts.push(format!("{test} p {}", words::chance(*p_value)));
    }
    format!(" ({})", parts.join(", "))
}
