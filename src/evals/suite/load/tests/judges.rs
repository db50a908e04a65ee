//! The files of judges: panels, labels, and the counts beside them.

use super::{directory_of, good, load_at, load_with, shown, write};
use crate::evals::judges::calibration::identity;
use crate::evals::plan::Calibration;
use crate::evals::suite::load::{Files, Source, load_judge};
use serde_json::json;
use std::collections::BTreeMap;

const SUITE: &str = "prompts: [a]\nproviders: [echo]\ntests: [{}]\n\
    metadata: {promptgate: {version: 1, judge: {use: judges/tone.yaml}}}\n";
const LABELS: &str = "{\"output\": \"yes\", \"label\": true}\n";
const JUDGE: &str = "model: gateway:a\nlabels: tone.labels.jsonl\n\
    panel: [gateway:b, {model: gateway:c, config: {temperature: 0.5}}]\n";

#[test]
fn a_panel_is_several_models() {
    let files = [
        ("evals/judges/tone.yaml", JUDGE),
        ("evals/judges/tone.labels.jsonl", LABELS),
    ];
    let judge = good(SUITE, &files).judge.unwrap();
    let models: Vec<&str> = judge.panel.iter().map(|one| one.model.as_str()).collect();
    assert_eq!((judge.model.as_str(), models), ("a", vec!["b", "c"]));
    assert_eq!(judge.panel[1].parameters["temperature"], 0.5);
    let alone = [("evals/judges/tone.yaml", "model: gateway:a\n")];
    assert_ne!(good(SUITE, &alone).judge.unwrap().hash, judge.hash);
    for broken in [
        "panel: b",
        "panel: [{config: {}}]",
        "panel: [gateway:default]",
    ] {
        let judge = format!("model: gateway:a\n{broken}\n");
        let problems = load_with(SUITE, &[("evals/judges/tone.yaml", &judge)]).unwrap_err();
        assert_eq!(problems.len(), 1, "{}", shown(&problems));
    }
}

#[test]
fn counts_are_taken_when_they_are_of_this_judge_and_these_labels() {
    let dir = directory_of(&[
        ("evals/s.yaml", SUITE),
        ("evals/judges/tone.yaml", JUDGE),
        ("evals/judges/tone.labels.jsonl", LABELS),
    ]);
    let judge = load_at(dir.path(), "evals/s.yaml").unwrap().judge.unwrap();
    assert_eq!(judge.calibration, None);
    let counts = Calibration {
        true_positives: 1,
        false_negatives: 0,
        true_negatives: 0,
        false_positives: 0,
    };
    let kept = json!({
        "version": 1, "judge_hash": identity(&judge), "counts": counts, "unjudged": 0, "at": 1,
        // printf '{"output": "yes", "label": true}\n' | sha256sum
        "labels_sha256": "e9e5e50c2f4d11f37f8ffc29e271ce2cea293870516576c54fa0bfa8d52230c1",
        "models_returned": ["a"],
    });
    write(
        dir.path(),
        "evals/judges/tone.calibration.json",
        &kept.to_string(),
    );
    let suite = load_at(dir.path(), "evals/s.yaml").unwrap();
    assert_eq!(suite.judge.unwrap().calibration, Some(counts));
    let files = Files::directory(dir.path()).unwrap();
    let environment = BTreeMap::new();
    let source = Source {
        files: &files,
        environment: &environment,
        directory: "evals",
    };
    let file = load_judge(&source, "evals/judges/tone.yaml").unwrap();
    assert_eq!(file.plan.calibration, Some(counts));
    assert_eq!(file.labels.unwrap().0, "evals/judges/tone.labels.jsonl");
    write(
        dir.path(),
        "evals/judges/tone.yaml",
        &JUDGE.replace("gateway:b", "gateway:d"),
    );
    let suite = load_at(dir.path(), "evals/s.yaml").unwrap();
    assert_eq!(suite.judge.unwrap().calibration, None);
    let warning = suite
        .warnings
        .iter()
        .find(|warning| warning.contains("tone.calibration.json"));
    assert!(
        warning.unwrap().contains("promptgate evals calibrate"),
        "{warning:?}"
    );
}
