//! A judge held against people, with figures worked out by hand.

use crate::domain::Timestamp;
use crate::evals::grade::Mark;
use crate::evals::judges::calibration::{
    Label, StoredCalibration, calibrate, identity, path_beside, plan, read_labels, stored,
};
use crate::evals::judges::testing::{Desk, assertion};
use crate::evals::plan::{Calibration, JudgePlan, Panelist};
use crate::evals::suite::AssertNode;
use serde_json::{Map, json};

fn judge(panel: &[&str]) -> JudgePlan {
    JudgePlan {
        path: "evals/judges/tone.yaml".to_owned(),
        hash: String::new(),
        model: "judge".to_owned(),
        parameters: Map::new(),
        rubric_prompt: None,
        panel: panel
            .iter()
            .map(|model| Panelist {
                model: (*model).to_owned(),
                parameters: Map::new(),
            })
            .collect(),
        calibration: None,
    }
}

/// Labels: what the judge will say of the answer (`pass-plain`, ...), and what people say.
fn labels(list: &[(&str, usize, bool)]) -> (Vec<Label>, String) {
    let mut lines = Vec::new();
    for (key, count, label) in list {
        for number in 0..*count {
            let output = format!("answer {number} {label}");
            let rubric = format!("JUDGE:{key}");
            lines.push(json!({"output": output, "rubric": rubric, "label": label}).to_string());
        }
    }
    let text = lines.join("\n");
    (read_labels(&text).unwrap(), text)
}

#[tokio::test]
async fn the_table_and_its_figures_are_those_worked_out_by_hand() {
    // 45 of 50 good answers known as good, 40 of 50 bad ones as bad, one that is not judged.
    let (labels, _) = labels(&[
        ("pass-plain", 45, true),
        ("fail-plain", 5, true),
        ("pass-plain", 10, false),
        ("fail-plain", 40, false),
        ("no-json", 1, true),
    ]);
    let desk = Desk::of("");
    let report = calibrate(&judge(&[]), &labels, &desk.context()).await;
    assert_eq!(
        report.counts,
        Calibration {
            true_positives: 45,
            false_negatives: 5,
            true_negatives: 40,
            false_positives: 10,
        }
    );
    assert_eq!(
        (report.labels, report.answers, report.unjudged.len()),
        (101, 101, 1)
    );
    assert_eq!(report.unjudged[0].line, 101);
    let near =
        |found: f64, expected: f64| assert!((found - expected).abs() < 1e-6, "{found} {expected}");
    let (good, bad) = (
        report.true_positive_rate.unwrap(),
        report.true_negative_rate.unwrap(),
    );
    near(good.value, 0.9);
    // Wilson: (45 + z²/2 ± z·√(45·5/50 + z²/4)) / (50 + z²), z = 1.959964.
    near(good.interval.low, 0.786_398_4);
    near(good.interval.high, 0.956_523_9);
    near(bad.value, 0.8);
    near(bad.interval.low, 0.669_628_9);
    near(bad.interval.high, 0.887_562_2);
    near(report.kappa.unwrap().kappa.value, 0.7);
    // p_e = 2·0.525·0.475, AC1 = (0.85 − p_e)/(1 − p_e).
    near(report.ac1.unwrap(), (0.85 - 0.498_75) / (1.0 - 0.498_75));
    assert_eq!(report.people, None, "nobody labelled the same");
    assert_eq!(report.disagreements.len(), 15);
    let first = &report.disagreements[0];
    assert_eq!(
        (first.line, first.people, first.judge, first.reason.as_str()),
        (46, true, false, "unkind")
    );
    assert_eq!((report.calls, report.usage.input), (103, 1030));
    assert_eq!(report.models_returned, ["judge"]);
}

#[tokio::test]
async fn people_decide_by_majority_and_are_held_against_each_other() {
    let one = [1, 1, 0, 1, 0, 0, 1, 1, 0, 1];
    let other = [1, 0, 0, 1, 0, 1, 1, 1, 0, 1];
    let mut lines = Vec::new();
    for (rater, ratings) in [("one", one), ("two", other)] {
        for (place, rating) in ratings.iter().enumerate() {
            let label = json!({
                "output": format!("answer {place}"), "rubric": "JUDGE:pass-plain",
                "label": *rating == 1, "rater": rater, "note": format!("{rater} {place}"),
            });
            lines.push(label.to_string());
        }
    }
    let labels = read_labels(&lines.join("\n")).unwrap();
    let desk = Desk::of("");
    let report = calibrate(&judge(&[]), &labels, &desk.context()).await;
    assert_eq!(
        (
            report.labels,
            report.answers,
            report.raters,
            report.undecided
        ),
        (20, 10, 2, 2)
    );
    assert!((report.people.unwrap() - 0.604_166_666_7).abs() < 1e-9);
    let counts = report.counts;
    assert_eq!((counts.true_positives, counts.false_positives), (5, 3));
    assert_eq!(report.disagreements[0].notes, ["one 2", "two 2"]);
    // Each answer is asked about once.
    assert_eq!(desk.gateway.count(), 10);
}

#[tokio::test]
async fn what_is_stored_holds_for_this_judge_and_these_labels() {
    let (labels, text) = labels(&[("pass-plain", 3, true), ("fail-plain", 2, false)]);
    for judge in [judge(&[]), judge(&["second"])] {
        let desk = Desk::of("");
        let report = calibrate(&judge, &labels, &desk.context()).await;
        let kept = StoredCalibration::of(&report, &text, Timestamp(1));
        let kept = serde_json::to_string(&kept).unwrap();
        assert_eq!(stored(&kept, &judge, &text), Some(report.counts));
        assert_eq!(stored(&kept, &judge, &format!("{text}\n")), None);
        assert_eq!(
            stored(
                &kept.replace("\"version\":1", "\"version\":2"),
                &judge,
                &text
            ),
            None
        );
        assert_eq!(stored("{", &judge, &text), None);
        let mut others = vec![judge.clone(), judge.clone(), judge.clone(), judge.clone()];
        others[0].model = "another".to_owned();
        others[1].parameters.insert("seed".to_owned(), json!(1));
        others[2].rubric_prompt = Some(json!("{{output}}"));
        others[3].panel.push(Panelist {
            model: "third".to_owned(),
            parameters: Map::new(),
        });
        for other in &others {
            assert_eq!(stored(&kept, other, &text), None, "{other:?}");
        }
        // The path and what the loader knows it by do not make another judge.
        let moved = JudgePlan {
            path: "elsewhere.yaml".to_owned(),
            hash: "x".to_owned(),
            ..judge.clone()
        };
        assert!(stored(&kept, &moved, &text).is_some());
    }
    assert_eq!(
        path_beside("evals/judges/tone.yaml"),
        "evals/judges/tone.calibration.json"
    );
    assert_eq!(path_beside("tone"), "tone.calibration.json");
}

#[tokio::test]
async fn the_identity_of_a_judge_is_the_hash_of_its_judgements() {
    for judge in [judge(&[]), judge(&["second", "third"])] {
        let mut desk = Desk::of("x");
        desk.judge = Some(judge.clone());
        let grade = desk
            .decide(&assertion("llm-rubric", json!("JUDGE:pass-plain")))
            .await;
        assert_eq!(grade.judged.unwrap().judge_hash, identity(&judge));
    }
}

#[tokio::test]
async fn a_run_of_the_labels_asks_the_same() {
    let (labels, _) = labels(&[("pass-plain", 2, true), ("fail-plain", 1, true)]);
    let judge = judge(&[]);
    let plan = plan(&judge, &labels);
    assert_eq!(plan.sides[0].cases.len(), 3);
    let mut marks = Vec::new();
    for case in &plan.sides[0].cases {
        let AssertNode::One(assertion) = &case.asserts[0] else {
            panic!("judges send messages to one model")
        };
        let mut desk = Desk::of(case.given_output.as_ref().unwrap().as_str().unwrap());
        desk.judge.clone_from(&plan.judge);
        marks.push(desk.decide(assertion).await.mark);
    }
    assert_eq!(marks, [Mark::Pass, Mark::Pass, Mark::Fail]);
    assert_eq!(plan.forecast.judge_calls, 3);
}
