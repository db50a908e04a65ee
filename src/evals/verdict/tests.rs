//! Reports of made-up runs whose figures are known.

use super::{Ending, Finished, report};
use crate::domain::{CallId, Cost, CostQuality, PicoDollars, Timestamp, TokenUsage};
use crate::evals::baseline::{Baseline, BaselineError};
use crate::evals::grade::{AssertionGrade, CaseGrade, Grade, Judged, Mark, MetricScore};
use crate::evals::plan::{
    Calibration, Forecast, JudgePlan, RunPlan, Side, SidePlan, Subject, SubjectPrompt,
};
use crate::evals::report::{GroupLine, RunReport, Spent, Verdict};
use crate::evals::row::{Answer, CellKey, Row, RunId};
use crate::evals::suite::{
    AssertionKind, Case, CaseId, CaseOptions, Gate, GateKind, GroupMember, ModelSource,
    OnInconclusive, Place, Settings,
};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

const LABEL: &str = "[model] prompt";

fn case(id: &str) -> Case {
    Case {
        id: CaseId(id.to_owned()),
        description: None,
        vars: Map::new(),
        asserts: Vec::new(),
        threshold: None,
        scoring: None,
        options: CaseOptions::default(),
        metadata: Map::new(),
        models: Vec::new(),
        prompts: Vec::new(),
        given_output: None,
        cluster: None,
        slices: BTreeMap::new(),
        group: None,
        place: Place::default(),
    }
}

fn side(side: Side, cases: &[Case]) -> SidePlan {
    SidePlan {
        side,
        commit: None,
        name: if side == Side::Base {
            "main"
        } else {
            "this directory"
        }
        .to_owned(),
        subjects: vec![Subject {
            label: LABEL.to_owned(),
            prompt_label: "prompt".to_owned(),
            model_label: "model".to_owned(),
            prompt: SubjectPrompt::Text {
                template: "x".to_owned(),
            },
            model: ModelSource::Route("openai/gpt-4.1".to_owned()),
            parameters: Map::new(),
            transform: None,
            delay_ms: 0,
        }],
        cases: cases.to_vec(),
    }
}

fn gate(metric: &str, kind: GateKind) -> Gate {
    Gate {
        metric: metric.to_owned(),
        kind,
        on_inconclusive: OnInconclusive::Fail,
        place: Place::default(),
    }
}

const NOT_WORSE: GateKind = GateKind::NonInferior {
    margin: 0.03,
    alpha: 0.05,
};

const NONE_FAIL: GateKind = GateKind::Absolute {
    min: None,
    max: None,
    max_failures: Some(0),
    max_upper95: Some(0.10),
};

/// A run that is being made up.
struct Made {
    plan: RunPlan,
    rows: Vec<Row>,
    ending: Ending,
    spent: Spent,
    quarantined: BTreeSet<String>,
}

impl Made {
    fn new(has_base: bool, cases: &[Case], gates: Vec<Gate>) -> Self {
        let sides = [Side::Base, Side::Head]
            .into_iter()
            .skip(usize::from(!has_base));
        Self {
            plan: RunPlan {
                version: 1,
                suite: "support".to_owned(),
                path: "evals/support.yaml".to_owned(),
                description: None,
                suite_hash: "0".repeat(64),
                sides: sides.map(|of| side(of, cases)).collect(),
                derived_metrics: Vec::new(),
                settings: Settings {
                    gates,
                    ..Settings::default()
                },
                judge: None,
                warnings: Vec::new(),
                forecast: Forecast::default(),
                files: Vec::new(),
                by: None,
                baseline: None,
                quarantined: BTreeSet::new(),
            },
            rows: Vec::new(),
            ending: Ending::Complete,
            spent: Spent::default(),
            quarantined: BTreeSet::new(),
        }
    }

    /// `n` cases, of which base alone passes `regressed`, head alone `improved`, and both the rest.
    fn pairs(regressed: usize, improved: usize, n: usize, gates: Vec<Gate>) -> Self {
        let cases: Vec<Case> = (0..n).map(|index| case(&format!("c{index:03}"))).collect();
        let mut made = Self::new(true, &cases, gates);
        for (index, case) in cases.iter().enumerate() {
            let is_regressed = index < regressed;
            let is_improved = !is_regressed && index < regressed + improved;
            made.row(Side::Base, &case.id.0, mark(!is_improved));
            made.row(Side::Head, &case.id.0, mark(!is_regressed));
        }
        made
    }

    fn row(&mut self, side: Side, id: &str, mark: Mark) -> &mut Row {
        let repeat = self
            .rows
            .iter()
            .filter(|row| row.cell.side == side && row.cell.case.0 == id);
        let repeat = u32::try_from(repeat.count()).unwrap();
        self.rows.push(row(side, id, repeat, mark));
        self.rows.last_mut().unwrap()
    }

    fn report(&self) -> RunReport {
        report(&Finished {
            run: RunId(Uuid::nil()),
            plan: &self.plan,
            rows: self.rows.clone(),
            baseline: None,
            quarantined: self.quarantined.clone(),
            began: Timestamp(0),
            ended: Timestamp(1),
            spent: self.spent.clone(),
            ending: self.ending,
            command: "promptgate evals run evals/support.yaml".to_owned(),
        })
    }
}

const fn mark(is_pass: bool) -> Mark {
    if is_pass { Mark::Pass } else { Mark::Fail }
}

fn row(side: Side, id: &str, repeat: u32, mark: Mark) -> Row {
    let score = f64::from(u8::from(mark == Mark::Pass));
    let is_pass = (mark != Mark::Error).then_some(mark == Mark::Pass);
    let metric = MetricScore {
        score,
        is_pass,
        weight: 1.0,
    };
    Row {
        version: 1,
        run: RunId(Uuid::nil()),
        cell: CellKey {
            side,
            subject: LABEL.to_owned(),
            case: CaseId(id.to_owned()),
            repeat,
        },
        cell_hash: String::new(),
        at: Timestamp(0),
        vars: Map::new(),
        sent: Vec::new(),
        answer: (mark != Mark::Error).then(|| answer(if side == Side::Base { 100 } else { 110 })),
        error: None,
        grade: CaseGrade {
            mark,
            score,
            reason: "because".to_owned(),
            metrics: [("correct".to_owned(), metric)].into(),
            assertions: Vec::new(),
        },
    }
}

fn answer(latency_ms: u64) -> Answer {
    Answer {
        call: Some(CallId(Uuid::nil())),
        output: Value::from(format!("an answer after {latency_ms} ms")),
        message: Value::Null,
        finish_reason: None,
        model_returned: Some("gpt-4.1".to_owned()),
        usage: Some(TokenUsage {
            input: 10,
            output: 5,
            ..TokenUsage::default()
        }),
        cost: Cost {
            pico_usd: Some(PicoDollars(latency_ms * 1_000_000)),
            quality: CostQuality::Exact,
            price: None,
        },
        latency_us: latency_ms * 1000,
        cached_from: None,
    }
}

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
fn a_regression_is_told_in_figures() {
    let report = Made::pairs(28, 10, 300, vec![gate("pass", NOT_WORSE)]).report();
    let line = &report.metrics[0];
    assert_eq!(
        (line.metric.as_str(), line.unit.as_str(), line.cases),
        ("pass", "share", 300)
    );
    assert_eq!((line.regressed, line.improved), (28, 10));
    assert!((line.delta.unwrap().value + 0.06).abs() < 1e-12);
    assert_eq!(line.change.as_deref(), Some("regressed"));
    assert!((line.p_value.as_ref().unwrap().1 - 0.0051).abs() < 1e-4);
    assert!((line.detectable_drop.unwrap() - 0.057).abs() < 1e-3);
    assert!(
        report
            .summary
            .contains("−6.0 pp, 28 newly fail, 10 newly pass, McNemar exact p .0051"),
        "{}",
        report.summary
    );
    let named = report
        .metrics
        .iter()
        .find(|line| line.metric == "correct")
        .unwrap();
    assert_eq!(named.delta, line.delta);
    let slower = report
        .metrics
        .iter()
        .find(|line| line.metric == "latency_p95")
        .unwrap();
    assert!((slower.delta.unwrap().value - 1.1).abs() < 1e-9);
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
        path: "evals/judges/helpful.yaml".to_owned(),
        hash: "j".to_owned(),
        model: "openai/gpt-4.1".to_owned(),
        parameters: Map::new(),
        rubric_prompt: None,
        panel: Vec::new(),
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
fn repeats_are_averaged_and_clusters_widen() {
    let mut cases: Vec<Case> = (0..40).map(|index| case(&format!("c{index:02}"))).collect();
    let run = |cases: &[Case]| {
        let mut made = Made::new(true, cases, Vec::new());
        for (index, case) in cases.iter().enumerate() {
            for repeat in 0..4 {
                made.row(Side::Base, &case.id.0, mark(true));
                made.row(Side::Head, &case.id.0, mark(index % 4 != 0 || repeat != 0));
            }
        }
        made.report()
    };
    let report = run(&cases);
    let line = &report.metrics[0];
    assert!((line.head.value - (1.0 - 10.0 / 160.0)).abs() < 1e-12);
    assert_eq!(line.pass_hat_k, Some((4, 0.75)));
    assert_eq!(line.p_value.as_ref().unwrap().0, "sign flip, exact");
    let narrow = line.delta.unwrap();
    for (index, case) in cases.iter_mut().enumerate() {
        // The cases that are worse come from the same few documents.
        case.cluster = Some(format!(
            "d{}",
            if index % 4 == 0 { index % 8 } else { index }
        ));
    }
    let report = run(&cases);
    let wide = report.metrics[0].delta.unwrap();
    assert!(
        wide.low < narrow.low && narrow.high < wide.high,
        "{wide:?} {narrow:?}"
    );
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

#[test]
fn groups_are_compared_beyond_the_noise() {
    let mut cases = Vec::new();
    for pair in 0..60 {
        for group in ["ana", "bob"] {
            for is_control in [false, true] {
                cases.push(Case {
                    group: Some(GroupMember {
                        pair: format!("p{pair}"),
                        group: group.to_owned(),
                        is_control,
                    }),
                    ..case(&format!("{group}-{pair}-{is_control}"))
                });
            }
        }
    }
    let run = |unfair: usize| {
        let mut made = Made::new(
            false,
            &cases,
            vec![gate("pass", GateKind::MaxGap { max: 0.1 })],
        );
        for pair in 0..60 {
            for (group, is_worse) in [("ana", false), ("bob", pair < unfair)] {
                for is_control in [false, true] {
                    let id = format!("{group}-{pair}-{is_control}");
                    made.row(Side::Head, &id, mark(!is_worse));
                }
            }
        }
        made.report()
    };
    let fair = run(0);
    assert_eq!(fair.verdict, Verdict::Passed, "{:?}", fair.gates);
    let unfair = run(30);
    assert_eq!(unfair.verdict, Verdict::Failed);
    let GroupLine {
        flip_rate,
        noise,
        gap,
        impact_ratio,
        p_value,
        ..
    } = &unfair.groups[0];
    assert!((flip_rate.value - 0.5).abs() < 1e-12 && noise.unwrap().value == 0.0);
    assert!((gap.value - 0.5).abs() < 1e-12, "ana passes more");
    assert!((impact_ratio.unwrap() - 0.5).abs() < 1e-12 && p_value.unwrap() < 1e-6);
}

#[test]
fn slices_are_corrected_for_their_number() {
    let mut cases: Vec<Case> = (0..60).map(|index| case(&format!("c{index:02}"))).collect();
    for (index, case) in cases.iter_mut().enumerate() {
        let language = if index < 30 { "de" } else { "en" };
        case.slices
            .insert("language".to_owned(), language.to_owned());
    }
    let mut made = Made::new(true, &cases, Vec::new());
    for (index, case) in cases.iter().enumerate() {
        made.row(Side::Base, &case.id.0, Mark::Pass);
        made.row(Side::Head, &case.id.0, mark(10 <= index));
    }
    let report = made.report();
    let lines: Vec<(&str, u64)> = report
        .slices
        .iter()
        .map(|line| (line.slice.as_str(), line.line.regressed))
        .collect();
    assert_eq!(lines, [("language=de", 10), ("language=en", 0)]);
    let (_, raw) = report.slices[0].line.p_value.clone().unwrap();
    assert!((report.slices[0].adjusted_p.unwrap() - 2.0 * raw).abs() < 1e-12);
}

#[test]
fn a_baseline_is_compared_with_and_survives_its_file() {
    let mut made = Made::pairs(3, 12, 100, Vec::new());
    made.plan.sides.remove(0);
    made.rows.retain(|row| row.cell.side == Side::Head);
    for row in &mut made.rows {
        row.grade.mark = Mark::Pass;
    }
    let blessed = Baseline::of(&made.report()).unwrap();
    let text = blessed.to_text();
    assert_eq!(
        text.lines().filter(|line| line.contains("\"c0")).count(),
        100
    );
    let again = Baseline::parse(&text, "evals/baselines/support.json").unwrap();
    assert_eq!(again, blessed);
    made.rows[0].grade.mark = Mark::Fail;
    let rows = again
        .into_base(&mut made.plan, "evals/baselines/support.json")
        .unwrap();
    made.rows.extend(rows);
    let report = made.report();
    assert_eq!(report.verdict, Verdict::Failed);
    assert_eq!(report.changes[0].kind, "regressed");
    assert_eq!(report.sides[0].name, "evals/baselines/support.json");
    // Without grades there is nothing to bless.
    made.rows[1].grade.mark = Mark::Error;
    let error = Baseline::of(&made.report()).unwrap_err();
    assert_eq!(error, BaselineError::HasErrors { count: 1 });
    let other = text.replacen("\"version\": 1", "\"version\": 9", 1);
    let error = Baseline::parse(&other, "b.json").unwrap_err();
    assert_eq!(
        error.to_string(),
        "`b.json` is of layout 9, this program reads layout 1"
    );
}
