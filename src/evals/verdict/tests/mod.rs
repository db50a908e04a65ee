//! Reports of made-up runs whose figures are known.

mod figures;
mod gates;

use super::{Ending, Finished, report};
use crate::domain::{CallId, Cost, CostQuality, PicoDollars, Timestamp, TokenUsage};
use crate::evals::baseline::{Baseline, BaselineError};
use crate::evals::grade::{AssertionGrade, Grade, Judged, Mark, MetricScore};
use crate::evals::plan::{Calibration, JudgePlan, RunPlan, Side, SidePlan, Subject};
use crate::evals::report::{GroupLine, RunReport, Spent, Verdict};
use crate::evals::row::{Answer, Row, RunId};
use crate::evals::suite::{
    AssertionKind, Case, Gate, GateKind, GroupMember, ModelSource, OnInconclusive, Place, Settings,
};
use crate::evals::testing::{self, case};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

const LABEL: &str = "[model] prompt";

fn side(side: Side, cases: &[Case]) -> SidePlan {
    let subject = Subject {
        prompt_label: "prompt".to_owned(),
        model_label: "model".to_owned(),
        model: ModelSource::Route("openai/gpt-4.1".to_owned()),
        ..testing::subject(LABEL, "x")
    };
    testing::side(side, subject, cases.to_vec())
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
                settings: Settings {
                    gates,
                    ..Settings::default()
                },
                ..testing::plan("support", sides.map(|of| side(of, cases)).collect())
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
    let mut row = testing::row(side, LABEL, id, mark);
    row.cell.repeat = repeat;
    row.answer = (mark != Mark::Error).then(|| answer(if side == Side::Base { 100 } else { 110 }));
    row.grade.metrics = [("correct".to_owned(), metric)].into();
    row
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
