//! Parts of the cases: by language, by tier, by whatever the suite slices them.

use crate::evals::plan::Side;
use crate::evals::report::SliceLine;
use crate::evals::verdict::metrics;
use crate::evals::verdict::table::{PASS, Table};
use crate::stats::benjamini_hochberg;
use std::collections::BTreeSet;

/// A line for each value of each slice. Many looks find something by chance, so p-values are corrected
/// (Benjamini and Hochberg, 1995).
pub(super) fn lines(table: &Table<'_>) -> Vec<SliceLine> {
    let mut lines = Vec::new();
    for subject in table.subjects() {
        let slices: BTreeSet<(&str, &str)> = table
            .cases(Side::Head, subject)
            .flat_map(|case| &case.slices)
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        for (name, value) in slices {
            let is_in = |case: &crate::evals::suite::Case| {
                case.slices.get(name).is_some_and(|found| found == value)
            };
            if let Some(line) = metrics::line(table, subject, PASS, &is_in) {
                lines.push(SliceLine {
                    slice: format!("{name}={value}"),
                    line,
                    adjusted_p: None,
                });
            }
        }
    }
    let p_value = |line: &SliceLine| line.line.p_value.as_ref().map(|(_, p_value)| *p_value);
    let raw: Vec<f64> = lines.iter().filter_map(p_value).collect();
    if let Some(adjusted) = benjamini_hochberg(&raw) {
        let with_p = lines.iter_mut().filter(|line| p_value(line).is_some());
        for (line, adjusted) in with_p.zip(adjusted) {
            line.adjusted_p = Some(adjusted);
        }
    }
    lines
}
