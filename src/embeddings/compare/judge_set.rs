//! Answers for people to judge: where two versions differ, and nobody has said which is right.

use super::report::{ComparisonReport, Hit};
use serde::Serialize;
use std::collections::BTreeMap;

/// A line to judge. What the two sides think of it is behind the grade, where it leads nobody.
#[derive(Serialize)]
struct Line<'a> {
    query: &'a str,
    query_text: Option<&'a str>,
    item: &'a str,
    text: Option<&'a str>,
    grade: Option<f64>,
    rank_a: Option<usize>,
    rank_b: Option<usize>,
}

/// Returns the answers of the `most` queries that changed most as JSON lines, an item of a query a line,
/// in the order of the items' names. `grade` is what is known, `null` where somebody has to say.
///
/// What comes back is read by [`read_labels`](super::read_labels).
#[must_use]
pub fn judge_set(report: &ComparisonReport, most: usize) -> String {
    let mut lines = String::new();
    let changed = report.queries.iter().filter(|query| query.overlap < 1.0);
    for query in changed.take(most) {
        let mut answers: BTreeMap<&str, Line<'_>> = BTreeMap::new();
        for (side, hits) in [&query.a, &query.b].into_iter().enumerate() {
            for (rank, hit) in (1_usize..).zip(hits) {
                let line = answers.entry(&hit.id).or_insert_with(|| line(query, hit));
                let place = if side == 0 {
                    &mut line.rank_a
                } else {
                    &mut line.rank_b
                };
                *place = Some(rank);
            }
        }
        for line in answers.values() {
            lines.push_str(&serde_json::to_string(line).unwrap_or_default());
            lines.push('\n');
        }
    }
    lines
}

fn line<'a>(query: &'a super::report::QueryChange, hit: &'a Hit) -> Line<'a> {
    Line {
        query: &query.id,
        query_text: query.text.as_deref(),
        item: &hit.id,
        text: hit.text.as_deref(),
        // An item without a label counts as 0, which is no judgement.
        grade: hit.relevance.filter(|grade| 0.0 < *grade),
        rank_a: None,
        rank_b: None,
    }
}
