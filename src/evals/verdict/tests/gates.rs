//! Gates that hold, that do not, and that cannot say.

use super::*;

#[test]
fn without_gates_every_case_must_pass_or_none_may_regress() {
    let mut made = Made::new(false, &[case("a"), case("b")], Vec::new());
    made.row(Side::Head, "a", Mark::Pass);
    made.row(Side::Head, "b", Mark::Pass);
    assert_eq!(made.report().verdict, Verdict::Passed);
    made.rows[1].grade.mark = Mark::Fail;
    let failed = made.report();
    assert_eq!(failed.verdict, Verdict::Failed);
    assert_eq!(failed.changes[0].kind, "failing");
    // What failed before is no regression.
    let mut made = Made::pairs(0, 0, 8, Vec::new());
    for row in &mut made.rows[..2] {
        row.grade.mark = Mark::Fail;
    }
    assert_eq!(made.report().verdict, Verdict::Passed);
    let report = Made::pairs(1, 3, 8, Vec::new()).report();
    assert_eq!(report.verdict, Verdict::Failed);
    assert_eq!(report.changes[0].kind, "regressed");
    assert!(
        report.gates[0]
            .reason
            .contains("1 case that passed on base"),
        "{:?}",
        report.gates
    );
}

#[test]
fn not_significant_is_not_enough() {
    // The worked values: (b, c, n) with the one-sided bound of Tango.
    for (pairs, verdict) in [
        ((10, 10, 500), Verdict::Passed),
        ((20, 10, 500), Verdict::Inconclusive),
        ((0, 0, 100), Verdict::Passed),
        ((3, 3, 100), Verdict::Inconclusive),
        ((28, 10, 300), Verdict::Failed),
    ] {
        let (regressed, improved, n) = pairs;
        let made = Made::pairs(regressed, improved, n, vec![gate("pass", NOT_WORSE)]);
        let report = made.report();
        assert_eq!(report.verdict, verdict, "{pairs:?} {}", report.summary);
    }
}

#[test]
fn what_was_not_judged_is_thought_the_worst_and_the_best_of() {
    let absolute = || vec![gate("pass", NONE_FAIL)];
    let cases: Vec<Case> = (0..100)
        .map(|index| case(&format!("c{index:02}")))
        .collect();
    let run = |failed: usize, errors: usize| {
        let mut made = Made::new(false, &cases, absolute());
        for (index, case) in cases.iter().enumerate() {
            let mark = match index {
                index if index < failed => Mark::Fail,
                index if index < failed + errors => Mark::Error,
                _ => Mark::Pass,
            };
            made.row(Side::Head, &case.id.0, mark);
        }
        made.report()
    };
    assert_eq!(run(0, 0).verdict, Verdict::Passed);
    assert!(
        run(0, 0).gates[0].reason.contains("at most 3.0 % (95 %)"),
        "{:?}",
        run(0, 0).gates
    );
    // An error could have been a failure, so it holds nothing up and lets nothing pass.
    assert_eq!(run(0, 1).verdict, Verdict::Inconclusive);
    assert!(
        run(0, 1).gates[0]
            .reason
            .contains("1 case could not be judged")
    );
    // A failure stays one, whatever the rest would have said.
    assert_eq!(run(1, 1).verdict, Verdict::Failed);
    let invalid = run(1, 3);
    assert_eq!(invalid.verdict, Verdict::Invalid);
    assert!(
        invalid
            .summary
            .contains("3 of 100 cases could not be judged"),
        "{}",
        invalid.summary
    );
}

#[test]
fn a_run_that_was_cut_decides_only_what_is_certain() {
    let cases: Vec<Case> = (0..10).map(|index| case(&format!("c{index}"))).collect();
    let mut made = Made::new(false, &cases, vec![gate("pass", NONE_FAIL)]);
    for case in &cases[..5] {
        made.row(Side::Head, &case.id.0, Mark::Pass);
    }
    assert_eq!(made.report().verdict, Verdict::Invalid, "rows are missing");
    made.ending = Ending::Cut;
    made.spent.stopped = Some("the budget of $1 is spent".to_owned());
    let cut = made.report();
    assert_eq!(cut.verdict, Verdict::Inconclusive);
    assert!(
        cut.summary
            .contains("the budget of $1 is spent; 5 of 10 cases"),
        "{}",
        cut.summary
    );
    made.rows[0].grade.mark = Mark::Fail;
    assert_eq!(made.report().verdict, Verdict::Failed);
}

#[test]
fn a_gate_that_covers_nothing_is_invalid_and_a_warning_holds_nothing_up() {
    let report = Made::pairs(0, 0, 50, vec![gate("helpful", NOT_WORSE)]).report();
    assert_eq!(report.verdict, Verdict::Invalid);
    assert!(
        report.gates[0]
            .reason
            .contains("no case says anything of `helpful`")
    );
    let mut made = Made::pairs(3, 3, 100, vec![gate("cor*", NOT_WORSE)]);
    assert_eq!(made.report().verdict, Verdict::Inconclusive);
    made.plan.settings.gates[0].on_inconclusive = OnInconclusive::Warn;
    assert_eq!(made.report().verdict, Verdict::Passed);
    let head_only = Made::new(false, &[case("a")], vec![gate("pass", NOT_WORSE)]);
    let mut head_only = head_only;
    head_only.row(Side::Head, "a", Mark::Pass);
    let report = head_only.report();
    assert_eq!(report.verdict, Verdict::Invalid);
    assert!(report.gates[0].reason.contains("no base"));
}

#[test]
fn money_and_time_gate_by_ratio() {
    for (max, verdict) in [(1.2, Verdict::Passed), (1.05, Verdict::Failed)] {
        let gates = vec![
            gate("cost", GateKind::Ratio { max }),
            gate("latency_p95", GateKind::Ratio { max }),
        ];
        assert_eq!(
            Made::pairs(0, 0, 20, gates).report().verdict,
            verdict,
            "{max}"
        );
    }
}

#[test]
fn a_judge_that_nobody_measured_may_not_gate() {
    let mut made = Made::pairs(0, 0, 200, vec![gate("correct", NOT_WORSE)]);
    for row in &mut made.rows {
        row.grade.assertions = vec![AssertionGrade {
            path: "0".to_owned(),
            kind: AssertionKind::LlmRubric,
            is_negated: false,
            metric: Some("correct".to_owned()),
            weight: 1.0,
            expected: None,
            grade: Grade {
                mark: Mark::Pass,
                score: 1.0,
                reason: String::new(),
                named_scores: BTreeMap::new(),
                judged: Some(Judged {
                    model: "openai/gpt-4.1".to_owned(),
                    judge_hash: "j".to_owned(),
                    ..Judged::default()
                }),
                findings: Vec::new(),
            },
        }];
    }
    let report = made.report();
    assert_eq!(report.verdict, Verdict::Invalid);
    assert!(
        report.gates[0].reason.contains("not calibrated"),
        "{:?}",
        report.gates
    );
    let calibration = Calibration {
        true_positives: 90,
        false_negatives: 10,
        true_negatives: 85,
        false_positives: 15,
    };
    made.plan.judge = Some(JudgePlan {
        panel: Vec::new(),
        path: "evals/judges/helpful.yaml".to_owned(),
        hash: "j".to_owned(),
        model: "openai/gpt-4.1".to_owned(),
        parameters: Map::new(),
        rubric_prompt: None,
        calibration: Some(calibration),
    });
    let report = made.report();
    assert_eq!(report.verdict, Verdict::Passed, "{}", report.summary);
    let judge = &report.judges[0];
    assert!(judge.may_gate && judge.labels == 200);
    assert_eq!(judge.corrected[LABEL].high, Some(1.0));
    made.plan.settings.judge.min_true_negative_rate = 0.9;
    assert_eq!(made.report().verdict, Verdict::Invalid);
    made.plan.settings.judge.min_true_negative_rate = 0.5;
    made.plan.settings.judge.must_differ_from_target = true;
    assert!(made.report().gates[0].reason.contains("same family"));
}

#[test]
fn a_quarantined_case_is_shown_and_gates_nothing() {
    let mut made = Made::pairs(1, 0, 30, Vec::new());
    assert_eq!(made.report().verdict, Verdict::Failed);
    made.quarantined.insert("c000".to_owned());
    made.quarantined.insert("gone".to_owned());
    let report = made.report();
    assert_eq!(report.verdict, Verdict::Passed);
    assert_eq!(report.quarantined, ["c000"]);
    assert_eq!(report.changes[0].case, "c000");
}
