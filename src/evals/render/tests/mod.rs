//! Every form of every fixture: as text where text is the product, and held to the rules of its format.

mod html;
mod markdown;
mod shift;

use super::evidence::{evidence, verify};
use super::{annotations, comment, fixtures, json, jsonl, junit, page, sarif, summary};
use crate::evals::grade::Mark;
use crate::evals::report::{RunReport, Verdict};
use crate::wire::testing;
use proptest::prelude::*;
use serde_json::Value;

/// Fixtures whose texts people read in a snapshot; the nasty one is checked by rules.
fn readable() -> Vec<(&'static str, RunReport)> {
    let mut all = fixtures::all();
    all.retain(|(name, _)| *name != "nasty");
    all
}

#[test]
fn junit_is_what_test_servers_read() {
    for (name, report) in readable() {
        insta::assert_snapshot!(format!("junit_{name}"), junit(&report));
    }
    for (name, report) in fixtures::all() {
        testing::xml::check(&junit(&report)).unwrap_or_else(|problem| panic!("{name}: {problem}"));
    }
}

#[test]
fn junit_is_red_when_the_verdict_is() {
    for (name, report) in fixtures::all() {
        let text = junit(&report);
        let is_red = text.contains("<failure") || text.contains("<error");
        let has_errors = report.rows.iter().any(|row| row.grade.mark == Mark::Error);
        let is_bad = matches!(report.verdict, Verdict::Failed | Verdict::Invalid);
        assert_eq!(is_red, is_bad || has_errors, "{name}");
    }
    let mut ungated = fixtures::head_only();
    ungated.gates.clear();
    assert_eq!(junit(&ungated).matches("<failure").count(), 2);
}

#[test]
fn junit_tells_no_output() {
    let text = junit(&fixtures::regression(12));
    assert!(!text.contains("reinstall the app"));
}

#[test]
fn comments_are_short_and_say_what_counts() {
    for (name, report) in readable() {
        insta::assert_snapshot!(format!("markdown_{name}"), comment(&report));
    }
}

#[test]
fn summaries_have_no_marker() {
    let text = summary(&fixtures::regression(12));
    assert!(text.starts_with("### `support/answer`\n") && !text.contains("<!--"));
}

#[test]
fn annotations_stand_where_the_fault_is() {
    for (name, report) in readable() {
        insta::assert_snapshot!(format!("github_{name}"), annotations(&report));
    }
}

#[test]
fn no_more_annotations_are_made_than_are_shown() {
    let text = annotations(&fixtures::regression(300));
    for level in ["::error ", "::warning "] {
        let lines = text.lines().filter(|line| line.starts_with(level)).count();
        assert!((1..=10).contains(&lines), "{level}: {lines}");
    }
    assert!(text.contains("::warning title=and "), "{text}");
    for line in annotations(&fixtures::nasty()).lines() {
        assert!(
            line.starts_with("::error ") || line.starts_with("::warning "),
            "{line}"
        );
        assert_eq!(
            line.matches("::").count()
                - line
                    .rsplit("::")
                    .next()
                    .map_or(0, |rest| rest.matches("::").count()),
            line.matches("::").count()
        );
        let properties = line.split("::").nth(1).unwrap();
        assert!(
            properties
                .split(',')
                .all(|property| property.matches(':').count() == 0),
            "{line}"
        );
    }
}

#[test]
fn findings_of_safety_are_sarif() {
    for (name, report) in [
        ("findings", fixtures::safety(true)),
        ("safety", fixtures::safety(false)),
    ] {
        insta::assert_snapshot!(format!("sarif_{name}"), sarif(&report));
    }
    // What is no finding of safety is not told.
    let log: Value = serde_json::from_str(&sarif(&fixtures::regression(12))).unwrap();
    assert_eq!(log["runs"][0]["results"], Value::Array(Vec::new()));
}

/// What the schema of SARIF 2.1.0 asks of the objects that are used here, and code scanning beside it.
#[test]
fn sarif_is_what_code_scanning_reads() {
    let log: Value = serde_json::from_str(&sarif(&fixtures::safety(true))).unwrap();
    assert_eq!(log["version"], "2.1.0");
    let run = &log["runs"][0];
    let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
    let results = run["results"].as_array().unwrap();
    assert_eq!((rules.len(), results.len()), (1, 1));
    for result in results {
        let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
        assert_eq!(rules[index]["id"], result["ruleId"]);
        let location = &result["locations"][0]["physicalLocation"];
        assert!(location["artifactLocation"]["uri"].is_string());
        assert!(0 < location["region"]["startLine"].as_u64().unwrap());
        assert!(["error", "warning", "note"].contains(&result["level"].as_str().unwrap()));
        assert_eq!(
            result["partialFingerprints"]["promptgateSafety/v1"]
                .as_str()
                .unwrap()
                .len(),
            32
        );
        assert!(result["message"]["text"].is_string());
    }
    for rule in rules {
        assert!(
            rule["properties"]["security-severity"]
                .as_str()
                .unwrap()
                .parse::<f64>()
                .is_ok()
        );
        let tags = rule["properties"]["tags"].as_array().unwrap();
        assert!(tags.contains(&Value::from("owasp-llm-2026:LLM08")) && tags.len() <= 20);
    }
    // The same finding has the same fingerprint though the words around it differ.
    let mut other = fixtures::safety(true);
    other.changes.clear();
    let again: Value = serde_json::from_str(&sarif(&other)).unwrap();
    let print = |log: &Value| log["runs"][0]["results"][0]["partialFingerprints"].clone();
    assert_eq!(print(&log), print(&again));
}

#[test]
fn json_is_read_back_as_it_was() {
    for (name, report) in fixtures::all() {
        let again: RunReport = serde_json::from_str(&json(&report)).unwrap();
        assert_eq!(again, report, "{name}");
    }
}

/// The report that scenarios of the whole program read.
#[test]
fn the_report_of_the_scenarios_is_current() {
    let file = expect_test::expect_file!["../../../../tests/fixtures/evals/regression.json"];
    file.assert_eq(&json(&fixtures::regression(12)));
    let file = expect_test::expect_file!["../../../../tests/fixtures/evals/findings.json"];
    let mut report = fixtures::safety(true);
    report.rows.drain(..130);
    file.assert_eq(&json(&report));
}

#[test]
fn rows_have_the_names_that_promptfoo_gives() {
    insta::assert_snapshot!(
        "jsonl_invalid",
        jsonl(&fixtures::invalid())
            .lines()
            .take(2)
            .collect::<Vec<_>>()
            .join("\n")
    );
    for (name, report) in fixtures::all() {
        let text = jsonl(&report);
        assert_eq!(text.lines().count(), report.rows.len(), "{name}");
        for line in text.lines() {
            let row: Value = serde_json::from_str(line).unwrap();
            let is_pass = row["success"].as_bool().unwrap();
            assert_eq!(is_pass, row["failureReason"] == 0, "{name}");
            assert_eq!(
                row["failureReason"] == 2,
                row["error"].is_string(),
                "{name}"
            );
        }
    }
}

#[test]
fn evidence_holds_together() {
    for (name, report) in fixtures::all() {
        let checked = verify(&evidence(&report));
        assert_eq!(checked.problems, Vec::<String>::new(), "{name}");
        assert_eq!(checked.verdict, Some(report.verdict), "{name}");
        assert!(1 < checked.figures || report.rows.is_empty(), "{name}");
    }
    insta::assert_snapshot!("evidence_head_only", evidence(&fixtures::head_only()));
}

#[test]
fn evidence_that_was_touched_is_found_out() {
    let pack = evidence(&fixtures::regression(12));
    let lines: Vec<&str> = pack.lines().collect();
    let faults = |lines: &[&str]| verify(&lines.join("\n")).problems;
    let changed = pack.replacen("\"mark\":\"fail\"", "\"mark\":\"pass\"", 1);
    assert!(verify(&changed).problems[0].contains("its text was changed"));
    let mut missing = lines.clone();
    missing.remove(3);
    assert!(faults(&missing)[0].contains("one is missing, or moved"));
    let mut moved = lines.clone();
    moved.swap(4, 5);
    assert!(faults(&moved)[0].contains("one is missing, or moved"));
    assert!(faults(&lines[..lines.len() - 1])[0].contains("its end is missing"));
    assert!(faults(&[])[0].contains("its end is missing"));
    let mut more = lines.clone();
    more.push("{}");
    assert!(faults(&more)[0].contains("has no hash"));
}

/// Who makes a whole new chain is held to the figures.
#[test]
fn evidence_whose_figures_are_made_up_is_found_out() {
    let problems = |change: fn(&mut RunReport)| {
        let mut report = fixtures::regression(40);
        change(&mut report);
        verify(&evidence(&report)).problems
    };
    assert_eq!(problems(|_| ()), Vec::<String>::new());
    assert!(problems(|report| report.verdict = Verdict::Passed)[0].contains("it says passed"));
    assert!(problems(|report| report.metrics[0].regressed = 0)[0].contains("p-value"));
    assert!(problems(|report| report.metrics[0].p_value = None).is_empty());
    let lenient = problems(|report| {
        report.metrics[0].p_value = None;
        report.metrics[0].improved += 1;
    });
    assert!(lenient[0].contains("newly fail"), "{lenient:?}");
    let mut report = fixtures::safety(false);
    report.safety[0].upper95 = 0.001;
    assert!(verify(&evidence(&report)).problems[0].contains("upper bound"));
}

#[test]
fn evidence_holds_no_answer() {
    let pack = evidence(&fixtures::regression(12));
    assert!(!pack.contains("reinstall the app") && pack.contains("output_hash"));
}

/// Strings of what formats obey.
fn odd() -> impl Strategy<Value = String> {
    let pieces = prop_oneof![
        Just("</script>"),
        Just("<!--"),
        Just("-->"),
        Just("]]>"),
        Just("```"),
        Just("`"),
        Just("|"),
        Just("\n"),
        Just("\r"),
        Just("\t"),
        Just("</details>"),
        Just("<details>"),
        Just("\""),
        Just("'"),
        Just("&"),
        Just("\\"),
        Just("\u{0}"),
        Just("\u{1b}[2J"),
        Just("\u{fffe}"),
        Just("::error::"),
        Just("%0A"),
        Just("@team"),
        Just("😀"),
        Just("~~~"),
        Just("    "),
        Just("$&"),
        Just("\u{2028}"),
        Just("> "),
        Just("# "),
        Just("</summary>"),
    ];
    let piece = prop_oneof![3 => pieces.prop_map(str::to_owned), 1 => any::<String>()];
    proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

fn filled(texts: &[String; 6]) -> RunReport {
    let mut report = fixtures::regression(4);
    report.changes = fixtures::regression(30)
        .changes
        .into_iter()
        .take(2)
        .collect();
    let [name, summary, reason, base, head, other] = texts;
    report.suite.name.clone_from(name);
    report.suite.path.clone_from(other);
    report.summary.clone_from(summary);
    for change in &mut report.changes {
        change.case.clone_from(name);
        change.description = Some(other.clone());
        change.reason.clone_from(reason);
        change.base_output = Some(base.clone());
        change.head_output = Some(head.clone());
        change.replay.clone_from(other);
        change.place.file.clone_from(other);
        change.metrics = vec![other.clone()];
    }
    for row in &mut report.rows {
        row.cell.case.0.clone_from(name);
        row.grade.reason.clone_from(reason);
        row.vars.insert(other.clone(), Value::from(head.clone()));
        if let Some(answer) = &mut row.answer {
            answer.output = Value::from(base.clone());
        }
    }
    for gate in &mut report.gates {
        gate.reason.clone_from(reason);
        gate.subject.clone_from(other);
    }
    report.slices[0].slice.clone_from(other);
    report.warnings = vec![reason.clone()];
    report.command.clone_from(other);
    report.by = Some(other.clone());
    report
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, max_shrink_iters: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_breaks_a_form(texts in [odd(), odd(), odd(), odd(), odd(), odd()]) {
        let report = filled(&texts);
        let result = testing::xml::check(&junit(&report));
        prop_assert!(result.is_ok(), "{result:?}");
        let result = testing::html::check(&page(&report));
        prop_assert!(result.is_ok(), "{result:?}");
        for text in [comment(&report), summary(&report)] {
            let result = testing::markdown::check(&text);
            prop_assert!(result.is_ok(), "{result:?}\n{text}");
        }
        for line in annotations(&report).lines() {
            prop_assert!(line.starts_with("::error ") || line.starts_with("::warning "), "{line}");
        }
        prop_assert!(serde_json::from_str::<Value>(&sarif(&report)).is_ok());
        let problems = verify(&evidence(&report)).problems;
        prop_assert!(!problems.iter().any(|problem| problem.starts_with("line ")), "{problems:?}");
    }
}
