//! Reports of made-up runs whose figures are known.

mod figures;
mod gates;

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
