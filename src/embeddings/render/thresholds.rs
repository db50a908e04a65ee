//! The threshold map in words.

use super::numbers;
use super::words::{chosen, score_of, two};
use crate::embeddings::compare::report::{ComparisonReport, Threshold};

/// Returns the row of the threshold map that most resembles what is in use: where about half a list passes.
pub(super) fn typical(report: &ComparisonReport) -> Option<&Threshold> {
    let half = numbers::real(report.method.k) / 2.0;
    let distance = |row: &&Threshold| (row.per_query - half).abs();
    report
        .thresholds
        .iter()
        .filter(|row| row.a.is_finite() && row.b.is_finite())
        .min_by(|one, other| distance(one).total_cmp(&distance(other)))
}

/// Returns what a threshold becomes, in a sentence.
pub(super) fn mapped(row: &Threshold) -> String {
    if (row.a - row.b).abs() < 0.005 {
        let (a, b) = (chosen(row.a), score_of(row.b));
        return format!("Thresholds stay what they are: {a} in A is {b} in B.");
    }
    format!(
        "A threshold of {} in A is {} in B; left as it is, {} answers per query pass instead of {}.",
        chosen(row.a),
        score_of(row.b),
        unchanged(row),
        two(row.per_query)
    )
}

/// Returns how many answers pass the unchanged threshold in B: at least so many where lists end above it.
pub(super) fn unchanged(row: &Threshold) -> String {
    of_unchanged(row, row.per_query_unchanged)
}

/// Returns the shares of labelled queries that are answered above a threshold: in A, in B unchanged, in B mapped. Where
/// lists end above it, that of the second is the least there are.
pub(super) fn hits(row: &Threshold) -> Option<[String; 3]> {
    let [in_a, in_b, mapped] = row.hits?;
    Some([two(in_a), of_unchanged(row, in_b), two(mapped)])
}

/// A number of the unchanged threshold: where lists end above it, the least there may be.
fn of_unchanged(row: &Threshold, number: f64) -> String {
    let least = if row.has_more_unchanged { "≥ " } else { "" };
    format!("{least}{}", two(number))
}
