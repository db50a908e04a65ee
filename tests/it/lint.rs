//! The linter as its users meet it: output for people and programs, exit codes, fixes, commits.

use crate::support::{Setup, TestGateway, git};
use serde_json::Value;
use std::fs;
use std::process::Output;

const REFUND: &str = "---\nmodle: openai/gpt-4o-mini\ninput:\n  schema:\n    order_id: string\n    \
    items(array): string\n---\n{{role \"system\"}}\nOrder {{order_id}}: {{items}}\n";

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// A registry with one error and warnings.
fn doubtful() -> TestGateway {
    Setup::simulated()
        .prompt("support/refund.prompt", REFUND)
        .prompt("_tone.prompt", "Be\u{200b} kind, 50% of it.\n")
        .prompt("schemas/Basket.yaml", "a: string, p\u{430}y\n")
        .prompt("support/triage.prompt", "Say\t{{#if (eq a b)}}yes{{/if}}\n")
        .prepare()
}

async fn lint(gateway: &TestGateway, arguments: &[&str]) -> Output {
    gateway
        .run(&[&["prompts", "lint"], arguments].concat())
        .await
}

#[tokio::test]
async fn findings_are_shown_with_their_lines() {
    let gateway = doubtful();
    let output = lint(&gateway, &[]).await;
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert_eq!(text(&output.stderr), "");
    insta::assert_snapshot!(text(&output.stdout));
}

#[tokio::test]
async fn annotations_are_one_a_line() {
    let output = lint(&doubtful(), &["--format", "github"]).await;
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    insta::assert_snapshot!(text(&output.stdout));
}

#[tokio::test]
async fn json_is_stable() {
    let gateway = doubtful();
    let output = lint(&gateway, &["--json"]).await;
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let body: Value = serde_json::from_slice(&output.stdout).unwrap();
    insta::assert_json_snapshot!(body);
    let same = lint(&gateway, &["--format", "json"]).await;
    assert_eq!(same.stdout, output.stdout);
}

/// What the schema of SARIF 2.1.0 asks of the objects that are used here.
#[tokio::test]
async fn sarif_is_what_code_scanning_reads() {
    let output = lint(&doubtful(), &["--format", "sarif"]).await;
    let log: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(log["version"], "2.1.0");
    assert_eq!(
        log["$schema"],
        "https://json.schemastore.org/sarif-2.1.0.json"
    );
    let run = &log["runs"][0];
    assert_eq!(run["columnKind"], "unicodeCodePoints");
    let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
    assert_eq!(run["tool"]["driver"]["name"], "promptgate");
    assert_eq!(rules.len(), 28);
    for rule in rules {
        for field in ["shortDescription", "fullDescription", "help"] {
            let words = rule[field]["text"].as_str().unwrap();
            assert!(words.ends_with('.'), "{rule}");
        }
        let level = rule["defaultConfiguration"]["level"].as_str().unwrap();
        assert!(["error", "warning", "note"].contains(&level), "{rule}");
    }
    let results = run["results"].as_array().unwrap();
    assert!(results.len() > 3);
    for result in results {
        let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
        assert_eq!(rules[index]["id"], result["ruleId"]);
        assert!(!result["message"]["text"].as_str().unwrap().is_empty());
        let print = result["partialFingerprints"]["promptgateFinding/v1"].as_str();
        assert_eq!(print.unwrap().len(), 32);
        let place = &result["locations"][0]["physicalLocation"];
        assert_eq!(place["artifactLocation"]["uriBaseId"], "%SRCROOT%");
        let uri = place["artifactLocation"]["uri"].as_str().unwrap();
        assert!(uri.starts_with("prompts/") && uri.is_ascii(), "{uri}");
        let region = &place["region"];
        assert!(0 < region["startLine"].as_u64().unwrap());
        assert!(
            region["startColumn"].as_u64() < region["endColumn"].as_u64(),
            "{region}"
        );
    }
}

#[tokio::test]
async fn exit_codes_tell_findings_from_failures() {
    let gateway = doubtful();
    let warning = ["prompts/greet.prompt"];
    for (arguments, code, said) in [
        (&["--format", "text"][..], 1, ""),
        (&warning[..], 0, ""),
        (&["prompts/support"][..], 1, ""),
        (&["prompts/absent.prompt"][..], 2, "prompts/absent.prompt"),
        (&["/etc/hosts"][..], 2, "hint:"),
        (&["--ref", "main"][..], 2, "no Git repository"),
        (&["--base", "main"][..], 2, "no Git repository"),
        (&["--ref", "main", "--fix"][..], 2, "--fix"),
        (&["--format", "xml"][..], 2, "sarif"),
    ] {
        let output = lint(&gateway, arguments).await;
        assert_eq!(output.status.code(), Some(code), "{arguments:?} {output:?}");
        assert!(
            text(&output.stderr).contains(said),
            "{arguments:?} {output:?}"
        );
    }
    let quiet = Setup::simulated()
        .prompt("greet.prompt", "{{role \"system\"}}{{a}}")
        .prepare();
    for (arguments, code) in [(&[][..], 0), (&["--deny", "warnings"][..], 1)] {
        let output = lint(&quiet, arguments).await;
        assert_eq!(output.status.code(), Some(code), "{output:?}");
        assert!(text(&output.stdout).contains("W103"));
    }
}

#[tokio::test]
async fn another_directory_is_linted_as_a_whole() {
    let gateway = doubtful();
    let other = gateway.path().join("elsewhere");
    fs::create_dir(&other).unwrap();
    fs::write(other.join("a.prompt"), "{{len x}}").unwrap();
    let output = lint(&gateway, &["elsewhere"]).await;
    let shown = text(&output.stdout);
    assert!(
        shown.starts_with("elsewhere/a.prompt:1:3: error[P003]"),
        "{shown}"
    );
    assert!(!shown.contains("refund"), "{shown}");
}

#[tokio::test]
async fn fixes_are_written_and_what_is_left_is_shown() {
    let gateway = doubtful();
    let path = gateway.path().join("prompts/support/refund.prompt");
    let tone = gateway.path().join("prompts/_tone.prompt");
    let elsewhere = lint(&gateway, &["--fix", "prompts/greet.prompt"]).await;
    assert_eq!(elsewhere.status.code(), Some(0), "{elsewhere:?}");
    assert_eq!(fs::read_to_string(&path).unwrap(), REFUND);

    let output = lint(&gateway, &["--fix"]).await;

    assert_eq!(
        output.status.code(),
        Some(1),
        "an error is left: {output:?}"
    );
    let wanted = REFUND
        .replace("modle", "model")
        .replace("{{items}}", "{{json items}}");
    assert_eq!(fs::read_to_string(&path).unwrap(), wanted);
    assert_eq!(fs::read_to_string(&tone).unwrap(), "Be kind, 50% of it.\n");
    let shown = text(&output.stdout);
    assert!(shown.contains("P003") && !shown.contains("P002"), "{shown}");
    assert!(shown.contains("; 4 fixed"), "{shown}");
    let names = fs::read_dir(path.parent().unwrap()).unwrap();
    assert_eq!(names.count(), 2, "drafts are left");
    let again = lint(&gateway, &["--fix"]).await;
    assert!(!text(&again.stdout).contains("fixed"), "{again:?}");
}

#[tokio::test]
async fn changes_are_compared_with_a_commit_and_commits_can_be_linted() {
    let gateway = Setup::simulated().prepare();
    let prompts = gateway.path().join("prompts");
    git(gateway.path(), &["init", "-q"]);
    let write = |name: &str, text: &str| fs::write(prompts.join(name), text).unwrap();
    let commit = |message: &str| {
        git(gateway.path(), &["add", "prompts"]);
        git(gateway.path(), &["commit", "-q", "-m", message]);
    };
    write("a.prompt", "Say {{x}}.\n");
    write("b.prompt", "One and two.\n");
    commit("first");
    git(gateway.path(), &["tag", "first"]);
    write("a.prompt", "Say {{x}} twice.\n");
    write("b.prompt", "One  and two.\n");
    let codes = |output: &Output| {
        let body: Value = serde_json::from_slice(&output.stdout).unwrap();
        let all = body["findings"].as_array().unwrap().iter();
        let shown = all.map(|finding| {
            let (code, path) = (finding["code"].as_str(), finding["path"].as_str());
            format!("{} {}", code.unwrap(), path.unwrap())
        });
        shown.collect::<Vec<_>>().join(", ")
    };
    let wanted = "W106 a.prompt, W106 b.prompt, W108 b.prompt";
    assert_eq!(codes(&lint(&gateway, &["--json"]).await), wanted);
    commit("second");
    assert_eq!(codes(&lint(&gateway, &["--json"]).await), "");
    assert_eq!(
        codes(&lint(&gateway, &["--json", "--base", "first"]).await),
        wanted
    );

    // The sample of a prompt covers its changes, and an eval does.
    write(
        "a.samples.yaml",
        "samples:\n  - name: one\n    variables: {x: hello}\n",
    );
    write("b.eval.yaml", "tests: []\n");
    let covered = lint(&gateway, &["--json", "--base", "first"]).await;
    assert_eq!(codes(&covered), "W108 b.prompt");

    // A commit is linted as it is, whatever the files are now.
    write("a.prompt", "{{len x}}");
    let at = |reference: &'static str| ["--json", "--base", "first", "--ref", reference];
    assert_eq!(codes(&lint(&gateway, &at("main")).await), wanted);
    assert_eq!(codes(&lint(&gateway, &at("first")).await), "");
    let now = lint(&gateway, &["--json", "prompts/a.prompt"]).await;
    assert_eq!(codes(&now), "P003 a.prompt");

    // A path may be of a file that only the commit has.
    fs::remove_file(prompts.join("b.prompt")).unwrap();
    let gone = [&at("main")[..], &["prompts/b.prompt"]].concat();
    assert_eq!(
        codes(&lint(&gateway, &gone).await),
        "W106 b.prompt, W108 b.prompt"
    );
    write("b.prompt", "One  and two.\n");

    // What a release names must be in the history.
    let releases = "labels:\n  production:\n    b: v2\n    greet: v2\n    a: git:first\n";
    write("releases.yaml", releases);
    let released = lint(&gateway, &["--json", "prompts/releases.yaml"]).await;
    assert_eq!(codes(&released), "P013 releases.yaml");
    let body: Value = serde_json::from_slice(&released.stdout).unwrap();
    assert_eq!(body["findings"][0]["line"], 4);
    assert_eq!(body["findings"][0]["hint"], "its newest version is v1");
}

#[tokio::test]
async fn check_and_lint_agree_about_errors() {
    let gateway = doubtful();
    let check = gateway.run(&["check", "--json"]).await;
    let check: Value = serde_json::from_slice(&check.stdout).unwrap();
    let lint = lint(&gateway, &["--json"]).await;
    let lint: Value = serde_json::from_slice(&lint.stdout).unwrap();
    let problems = check["problems"].as_array().unwrap();
    assert_eq!(problems.len(), 2, "{check}");
    for problem in problems {
        let findings = lint["findings"].as_array().unwrap().iter();
        let same = findings.filter(|finding| {
            let mut fields = problem.as_object().unwrap().iter();
            fields.all(|(key, value)| finding[key] == *value) && finding["severity"] == "error"
        });
        assert_eq!(same.count(), 1, "{problem}");
    }
}
