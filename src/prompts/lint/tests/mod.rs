//! Every rule in a case where it speaks, at its exact place, and in one where it does not.

mod fixes;
mod one_file;
mod registry;
mod releases;
mod several_files;

use crate::domain::Timestamp;
use crate::metering::{PriceRow, Prices};
use crate::prompts::bundle::tests::files;
use crate::prompts::lint::{Finding, Material, ModelFacts, Rule, lint};
use std::sync::LazyLock;

/// 2026-11-25.
const NOW: Timestamp = Timestamp(1_795_600_000_000_000);

static PRICES: LazyLock<Prices> = LazyLock::new(|| {
    let row = |model: &str, shutdown: Option<&str>| PriceRow {
        provider: "openai".to_owned(),
        model: model.to_owned(),
        input: Some(1),
        context: Some(1000),
        shutdown_date: shutdown.map(str::to_owned),
        ..PriceRow::default()
    };
    Prices::with_overrides(vec![
        row("gone", Some("2026-01-31")),
        row("going", Some("2027-01-31")),
        row("small", None),
    ])
});

pub(super) fn facts() -> ModelFacts<'static> {
    ModelFacts {
        prices: &PRICES,
        now: NOW,
    }
}

fn found(material: &Material) -> Vec<Finding> {
    lint(material, facts())
}

/// `P003 p.prompt:2:3-5`.
fn show(finding: &Finding) -> String {
    let problem = &finding.problem;
    let number = |place: Option<u32>| place.map_or("?".to_owned(), |place| place.to_string());
    let line = problem.line.and_then(|line| u32::try_from(line).ok());
    let (line, column) = (number(line), number(problem.column));
    let end = number(problem.end_column);
    format!("{} {}:{line}:{column}-{end}", problem.code, problem.path)
}

pub(super) fn material(now: &[(&str, &str)]) -> Material {
    Material {
        files: files(now),
        ..Material::default()
    }
}

/// Asserts that exactly `wanted` is found, with all places, whatever other rules say.
fn assert_found(rule: Rule, material: &Material, wanted: &[&str]) {
    let faults = compare(rule, material, wanted);
    assert!(faults.is_empty(), "{faults}");
}

/// What is wrong with what is found; empty when nothing is.
fn compare(rule: Rule, material: &Material, wanted: &[&str]) -> String {
    let all = found(material);
    let of_rule = all.iter().filter(|finding| finding.problem.code == rule);
    let shown: Vec<String> = of_rule.map(show).collect();
    let wanted: Vec<String> = wanted
        .iter()
        .map(|place| format!("{rule} {place}"))
        .collect();
    if shown == wanted {
        return String::new();
    }
    let texts: Vec<_> = material
        .files
        .iter()
        .map(|file| String::from_utf8_lossy(&file.bytes))
        .collect();
    format!("{shown:?} for {wanted:?} in {texts:?}\n")
}

/// A prompt with front matter.
fn prompt(front: &str, template: &str) -> String {
    format!("---\n{front}\n---\n{template}")
}

const LONG: &str = "Answer every question of the customer with the facts that the documents hold, \
    name the document that each fact is from, say plainly what is not known, never promise what the \
    policy does not promise, keep to the language that the customer writes in, use short sentences, \
    do not blame anybody, and end with the one next step that the customer should take now.";
