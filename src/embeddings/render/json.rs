//! The report as JSON, for programs: the report itself, field by field, in its own order.

use crate::embeddings::compare::report::ComparisonReport;

/// Returns the report as JSON, indented, with a newline at its end. The same report gives the same bytes.
#[must_use]
pub fn json(report: &ComparisonReport) -> String {
    // Its keys are names of fields, and nothing in it can refuse to be written.
    let mut text = serde_json::to_string_pretty(report).unwrap_or_default();
    text.push('\n');
    text
}
