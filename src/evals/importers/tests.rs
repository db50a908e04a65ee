//! Imports as a whole: what comes out is a suite that loads.

use crate::evals::importers::{Foreign, Format, Imported, import};
use crate::evals::suite::{Files, Source, Suite, load};
use serde_json::json;
use std::collections::BTreeMap;
use std::fs;

fn imported(format: Format, files: &[(&str, &str)]) -> Imported {
    let files: Vec<Foreign> = files
        .iter()
        .map(|(path, text)| Foreign {
            path: (*path).to_owned(),
            text: (*text).to_owned(),
        })
        .collect();
    import(format, &files, "openai/gpt-5-mini")
}

/// Loads every suite that was written.
fn suites(imported: &Imported) -> Vec<Suite> {
    assert!(imported.refusals.is_empty(), "{:?}", imported.refusals);
    let dir = tempfile::tempdir().unwrap();
    for (path, text) in &imported.files {
        let path = dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let files = Files::directory(dir.path()).unwrap();
    let source = Source {
        files: &files,
        environment: &BTreeMap::new(),
        directory: "",
    };
    let paths = imported.files.iter().map(|(path, _)| path);
    let suites = paths.filter(|path| path.ends_with(".yaml"));
    suites
        .map(|path| load(&source, path).unwrap_or_else(|problems| panic!("{problems:?}")))
        .collect()
}

const REGISTRY: &str = "
arithmetic:
  id: arithmetic.dev.v0
  description: Sums
arithmetic.dev.v0:
  class: evals.elsuite.basic.match:Match
  args: {samples_jsonl: arithmetic/samples.jsonl}
facts.v1:
  class: evals.elsuite.modelgraded.classify:ModelBasedClassify
  args: {samples_jsonl: facts.jsonl, eval_type: cot_classify, modelgraded_spec: fact}
";

#[test]
fn a_registry_becomes_suites() {
    let samples = "{\"input\": [{\"role\": \"system\", \"content\": \"Sum {{x}}\"}, {\"role\": \"user\", \"content\": \"2+2\"}], \"ideal\": [\"4\", \"four\"]}\n\
        {\"input\": \"3+3\", \"ideal\": \"6\"}\n";
    let facts = "{\"input\": \"Where is Paris?\", \"ideal\": \"In France\"}\n";
    let imported = imported(
        Format::OpenAiEvals,
        &[
            ("evals/a.yaml", REGISTRY),
            ("data/arithmetic/samples.jsonl", samples),
            ("data/facts.jsonl", facts),
            ("modelgraded/fact.yaml", "fact: {prompt: x}\n"),
        ],
    );
    let suites = suites(&imported);
    let names: Vec<&str> = suites.iter().map(|suite| suite.name.as_str()).collect();
    assert_eq!(names, ["arithmetic", "facts.v1"]);
    let [first, second] = suites[0].cases.as_slice() else {
        panic!("{:?}", suites[0].cases);
    };
    assert_eq!(first.vars["ideal"], json!(["4", "four"]));
    assert_eq!(
        first.vars["input"][0]["content"],
        "{% raw %}Sum {{x}}{% endraw %}"
    );
    assert_eq!(
        second.vars["input"],
        json!([{"role": "user", "content": "3+3"}])
    );
    assert_eq!(second.id.0, "sample-2");
    insta::assert_snapshot!(imported.files[0].1);
}

#[test]
fn what_the_registry_cannot_hand_over_is_named() {
    let registry = "
a: {class: 'evals.elsuite.custom:Mine', args: {samples_jsonl: s.jsonl}}
b: {class: 'evals.elsuite.basic.includes:Includes', args: {samples_jsonl: gone.jsonl}}
c: {class: 'evals.elsuite.modelgraded.classify:ModelBasedClassify', args: {samples_jsonl: s.jsonl, modelgraded_spec: battle}}
d: {class: 'evals.elsuite.basic.match:Match', args: {samples_jsonl: s.jsonl, num_few_shot: 4}}
";
    let samples = "{\"ideal\": \"x\"}\n{\"input\": 5}\nnot json\n";
    let imported = imported(
        Format::OpenAiEvals,
        &[("r.yaml", registry), ("s.jsonl", samples)],
    );
    let refusals: Vec<String> = imported.refusals.iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(refusals.join("\n"));
    let empty = super::import(Format::OpenAiEvals, &[], "m");
    assert_eq!(
        empty.refusals[0].message,
        "there are no evals of that format"
    );
}

const DEFINITION: &str = r#"{"name": "Ticket labels", "data_source": {"input_messages": {"type": "template",
    "template": [{"role": "developer", "content": [{"type": "input_text", "text": "Label it"}]}, {"role": "user", "content": "{{item.text}}"}]}},
    "testing_criteria": [
    {"type": "string_check", "name": "label", "input": "{{ sample.output_text }}", "reference": "{{item.label}}", "operation": "ilike"},
    {"type": "text_similarity", "name": "close", "input": "{{sample.output_text}}", "reference": "{{item.label}}", "evaluation_metric": "rouge_1", "pass_threshold": 0.6},
    {"type": "label_model", "name": "tone", "model": "gpt-5", "input": [{"role": "user", "content": "Is this polite? {{sample.output_text}}"}], "labels": ["yes", "no"], "passing_labels": ["yes"]},
    {"type": "score_model", "name": "help", "model": "gpt-5", "input": [{"role": "user", "content": "{{sample.output_text}}"}], "range": [1, 5], "pass_threshold": 4}]}"#;

#[test]
fn a_hosted_eval_becomes_a_suite() {
    let rows = "{\"run_id\": \"r1\", \"data_source_idx\": 0, \"item\": {\"text\": \"a\", \"label\": \"x\"}, \"grades\": {\"label\": 1}, \"passes\": {\"label\": true}}\n\
        {\"run_id\": \"r2\", \"data_source_idx\": 0, \"item\": {\"text\": \"a\", \"label\": \"x\"}, \"grades\": {}}\n\
        {\"run_id\": \"r1\", \"data_source_idx\": 1, \"item\": {\"text\": \"{{b}}\", \"label\": \"y\"}, \"grades\": {}}\n";
    let imported = imported(
        Format::OpenAiHosted,
        &[("eval.json", DEFINITION), ("rows.jsonl", rows)],
    );
    let suites = suites(&imported);
    assert_eq!(suites[0].cases.len(), 2);
    assert_eq!(
        suites[0].cases[1].vars["item"]["text"],
        "{% raw %}{{b}}{% endraw %}"
    );
    assert!(imported.notes[0].contains("3 rows"), "{:?}", imported.notes);
    insta::assert_snapshot!(imported.files[0].1);
}

#[test]
fn what_a_hosted_eval_cannot_hand_over_is_named() {
    let definition = r#"{"name": "x", "testing_criteria": [{"type": "python", "name": "p", "source": ""},
        {"type": "multi", "name": "m"}, {"type": "text_similarity", "name": "f", "input": "{{sample.output_text}}", "reference": "r", "evaluation_metric": "fuzzy_match", "pass_threshold": 1},
        {"type": "string_check", "name": "s", "input": "{{item.x}}", "reference": "r", "operation": "eq"}]}"#;
    let rows = "{\"data_source_idx\": 0, \"item\": {\"input\": \"q\"}}\n";
    let files = [("d.json", definition), ("r.jsonl", rows)];
    let refusals = |files: &[(&str, &str)]| -> Vec<String> {
        let refusals = imported(Format::OpenAiHosted, files).refusals;
        refusals.iter().map(ToString::to_string).collect()
    };
    let mut shown = refusals(&files);
    shown.extend(refusals(&[
        ("d.json", definition),
        ("r.jsonl", "{\"item\": 5}\n"),
    ]));
    shown.extend(refusals(&[
        ("d.json", definition),
        ("r.jsonl", "{\"data_source_idx\": 0, \"item\": {}}\n"),
    ]));
    shown.extend(refusals(&[("r.jsonl", rows)]));
    insta::assert_snapshot!(shown.join("\n"));
}
