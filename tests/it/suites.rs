//! Suites as their users meet them on the command line: checked, priced, brought here from elsewhere.

use crate::architecture::files_below;
use crate::support::{Setup, TestGateway, git};
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::Output;

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn write(gateway: &TestGateway, path: &str, content: &str) {
    let path = gateway.path().join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

/// A gateway with the prompts and suites of this repository.
fn with_examples() -> TestGateway {
    let gateway = Setup::simulated().prepare();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for directory in ["prompts", "evals"] {
        for file in files_below(&root.join(directory)) {
            let path = file
                .strip_prefix(root)
                .unwrap()
                .to_str()
                .unwrap()
                .to_owned();
            write(&gateway, &path, &fs::read_to_string(&file).unwrap());
        }
    }
    gateway
}

async fn evals(gateway: &TestGateway, arguments: &[&str]) -> Output {
    gateway.run(&[&["evals"], arguments].concat()).await
}

#[tokio::test]
async fn the_examples_are_good() {
    let gateway = with_examples();
    let output = evals(&gateway, &["check"]).await;
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    insta::assert_snapshot!(text(&output.stdout));

    let body = gateway.run_json(&["evals", "check", "support"]).await;
    assert_eq!(body["ok"], true);
    let suite = &body["suites"][0];
    assert_eq!(suite["path"], "evals/support.yaml");
    assert_eq!(suite["forecast"]["case_calls"], 44);
    assert_eq!(suite["cases"].as_array().unwrap().len(), 44);
    assert_eq!(suite["hash"].as_str().unwrap().len(), 64);
    let by_path = gateway
        .run_json(&["evals", "check", "evals/support.yaml"])
        .await;
    assert_eq!(by_path, body);
}

#[tokio::test]
async fn a_comparison_asks_both_sides() {
    let gateway = with_examples();
    let root = gateway.path();
    git(root, &["init", "-q", "-b", "main"]);
    git(root, &["add", "evals", "prompts"]);
    git(root, &["commit", "-q", "-m", "first"]);
    let triage = fs::read_to_string(root.join("evals/datasets/triage.jsonl")).unwrap();
    let fewer: String = triage
        .lines()
        .skip(1)
        .map(|line| format!("{line}\n"))
        .collect();
    write(&gateway, "evals/datasets/triage.jsonl", &fewer);
    let arguments = ["evals", "check", "support", "--base", "main"];
    let body = gateway.run_json(&arguments).await;
    let suite = &body["suites"][0];
    assert_eq!(suite["forecast"]["case_calls"], 86);
    let warnings = suite["warnings"].to_string();
    assert!(warnings.contains("0 new, 1 gone, 0 changed"), "{warnings}");
    let output = evals(&gateway, &["check", "tour", "--base", "main"]).await;
    assert!(
        text(&output.stdout).contains("x 2 sides = 6 calls"),
        "{output:?}"
    );
    let output = evals(&gateway, &["check", "--base", "gone"]).await;
    assert_eq!(output.status.code(), Some(2), "{output:?}");
}

#[tokio::test]
async fn every_problem_of_every_suite_is_told() {
    let gateway = with_examples();
    write(
        &gateway,
        "evals/bad.yaml",
        "prompts: [prompt://support/triag]\nproviders: [gateway:default]\ntests: [{vars: {message: x}}]\n",
    );
    write(
        &gateway,
        "evals/worse.yaml",
        "prompts: [prompt://support/triage]\nproviders: [exec:x]\ntest: cases.csv\n",
    );
    write(
        &gateway,
        "evals/lacking.yaml",
        "prompts: [prompt://support/triage]\nproviders: [gateway:simulated/a]\ntests: [{vars: {chanel: chat}}]\n",
    );
    let output = evals(&gateway, &["check"]).await;
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    insta::assert_snapshot!(text(&output.stderr));
    let output = evals(&gateway, &["check", "--json"]).await;
    let body: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(body["ok"], false);
    assert_eq!(body["problems"][0]["file"], "evals/worse.yaml");
    assert_eq!(body["problems"][0]["line"], 2);
    // Those that are good are told too.
    assert_eq!(body["suites"].as_array().unwrap().len(), 11);

    let output = evals(&gateway, &["check", "suport"]).await;
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    insta::assert_snapshot!(text(&output.stderr));
}

#[tokio::test]
async fn a_suite_of_elsewhere_is_checked_after_its_import() {
    let gateway = Setup::simulated().prepare();
    write(
        &gateway,
        "old/registry/evals/sums.yaml",
        "sums: {class: 'evals.elsuite.basic.includes:Includes', args: {samples_jsonl: sums.jsonl}}\n",
    );
    write(
        &gateway,
        "old/registry/data/sums.jsonl",
        "{\"input\": \"2+2\", \"ideal\": [\"4\", \"four\"]}\n",
    );
    let import = [
        "import",
        "openai-evals",
        "old",
        "--out",
        "evals",
        "--model",
        "simulated/any",
    ];
    let dry = evals(&gateway, &[&import[..], &["--dry-run"]].concat()).await;
    assert_eq!(dry.status.code(), Some(0), "{dry:?}");
    assert!(!gateway.path().join("evals").exists());
    let output = evals(&gateway, &import).await;
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    insta::assert_snapshot!(text(&output.stdout));
    let output = evals(&gateway, &["check"]).await;
    assert_eq!(output.status.code(), Some(0), "{output:?}");

    write(&gateway, "evals/sums.yaml", "mine");
    let taken = evals(&gateway, &import).await;
    assert_eq!(taken.status.code(), Some(1), "{taken:?}");
    assert!(
        text(&taken.stderr).contains("is there already"),
        "{taken:?}"
    );
    write(
        &gateway,
        "old/registry/evals/mine.yaml",
        "mine: {class: 'evals.elsuite.mine:Mine', args: {samples_jsonl: sums.jsonl}}\n",
    );
    let refused = evals(&gateway, &import).await;
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    insta::assert_snapshot!(text(&refused.stderr));
}
