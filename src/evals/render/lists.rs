//! What a finding is called in the lists of risks and duties, each with the list's version.

use crate::evals::report::{RunReport, SafetyLine};
use crate::safety::Detector;
use crate::safety::taxonomy::{Category, Pack, References, Taxonomy, VERSION};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// Returns the codes of a category, as `owasp-llm-2026:LLM01`: the report's own, else those of the table here.
pub(super) fn of_category(line: &SafetyLine) -> BTreeSet<String> {
    if !line.codes.is_empty() {
        return line.codes.iter().cloned().collect();
    }
    // Metrics of packs may stand below `safety/`.
    let name = line
        .category
        .strip_prefix("safety/")
        .unwrap_or(&line.category);
    let category = Category::parse(name).map(Category::references);
    let references = category.or_else(|| Pack::parse(name).map(Pack::references));
    references
        .map(|references| codes(&references))
        .unwrap_or_default()
}

/// Returns the codes of a detector; none of one that is not known.
pub(super) fn of_detector(id: &str) -> BTreeSet<String> {
    let known = Detector::ALL.iter().find(|detector| detector.id() == id);
    known
        .map(|detector| codes(&detector.references()))
        .unwrap_or_default()
}

fn codes(references: &References) -> BTreeSet<String> {
    let named = Taxonomy::ALL.iter().flat_map(|list| {
        let codes = references.of(*list).iter();
        codes.map(|code| format!("{}:{code}", list.id()))
    });
    named.collect()
}

/// Returns the table that the codes of a report are read by: its version, the lists with theirs, and what each
/// category and detector of the report is called.
pub(super) fn table(report: &RunReport) -> Value {
    let lists: Vec<Value> = Taxonomy::ALL
        .iter()
        .map(|list| json!({"list": list.id(), "version": list.version()}))
        .collect();
    let categories: Map<String, Value> = report
        .safety
        .iter()
        .map(|line| (line.category.clone(), json!(of_category(line))))
        .collect();
    let assertions = report.rows.iter().flat_map(|row| &row.grade.assertions);
    let detectors: BTreeSet<&str> = assertions
        .flat_map(|grade| &grade.grade.findings)
        .map(|finding| finding.detector.as_str())
        .collect();
    let detectors: Map<String, Value> = detectors
        .into_iter()
        .map(|id| (id.to_owned(), json!(of_detector(id))))
        .collect();
    json!({"version": VERSION, "lists": lists, "categories": categories, "detectors": detectors})
}

#[cfg(test)]
mod tests {
    use super::{of_category, of_detector};
    use crate::evals::render::fixtures;

    #[test]
    fn codes_are_the_reports_own_or_those_of_the_table() {
        let mut line = fixtures::safety(true).safety[0].clone();
        assert!(of_category(&line).contains("owasp-llm-2025:LLM01"));
        line.codes.clear();
        assert!(of_category(&line).contains("owasp-llm-2026:LLM01"));
        line.category = "something else".to_owned();
        assert!(of_category(&line).is_empty());
        assert!(of_detector("pii/email").contains("owasp-llm-2026:LLM02"));
        assert!(of_detector("none").is_empty());
    }
}
