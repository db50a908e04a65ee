//! Runs against a gateway that does as it is told, with a real store.

mod asking;
mod comparing;
mod going_on;
mod sequential;

use crate::domain::{CallId, Clock, Cost, CostQuality, PicoDollars, RunId};
use crate::evals::gateway::{
    Ask, AskContent, AskError, Embedded, Gateway, Moderated, ModerationAsk, Pending, Reply,
};
use crate::evals::ledger::{Ledger, RunEnd, RunStart};
use crate::evals::plan::{RunPlan, Side, SidePlan};
use crate::evals::row::Row;
use crate::evals::run::till::Paid;
use crate::evals::run::{Begun, Control, Progress, Runner, count};
use crate::evals::suite::{AssertNode, Case};
use crate::evals::testing::{self, assertion, subject};
use crate::store::{Config, Store};
use serde_json::json;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;
use tokio::sync::watch;

const SECOND: Duration = Duration::from_secs(1);

type Rule = dyn Fn(&Ask, usize) -> Result<Reply, AskError> + Send + Sync;

/// Answers by a rule that sees the question and how many came before it.
#[derive(Clone)]
struct Scripted {
    rule: Arc<Rule>,
    pause: Duration,
    asked: Arc<Mutex<Vec<Ask>>>,
}

impl fmt::Debug for Scripted {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Scripted")
    }
}

impl Scripted {
    fn new(rule: impl Fn(&Ask, usize) -> Result<Reply, AskError> + Send + Sync + 'static) -> Self {
        Self {
            rule: Arc::new(rule),
            pause: Duration::ZERO,
            asked: Arc::default(),
        }
    }

    /// Says what it was asked.
    fn parrot() -> Self {
        Self::new(|ask, _| Ok(reply(&said(ask), 10)))
    }

    fn slow(self, pause: Duration) -> Self {
        Self { pause, ..self }
    }

    /// Side, case and repeat of everything that was asked.
    fn asked(&self) -> Vec<(Side, String, u32)> {
        let asked = self.asked.lock().unwrap();
        let cells = asked.iter().map(|ask| ask.cell.clone().unwrap());
        cells
            .map(|cell| (cell.side, cell.case.0, cell.repeat))
            .collect()
    }
}

impl Gateway for Scripted {
    fn ask<'a>(&'a self, ask: &'a Ask) -> Pending<'a, Result<Reply, AskError>> {
        let count = {
            let mut asked = self.asked.lock().unwrap();
            asked.push(ask.clone());
            asked.len() - 1
        };
        Box::pin(async move {
            tokio::time::sleep(self.pause).await;
            (self.rule)(ask, count)
        })
    }

    fn embed<'a>(
        &'a self,
        _: RunId,
        _: &'a str,
        texts: &'a [String],
    ) -> Pending<'a, Result<Embedded, AskError>> {
        let vectors = texts.iter().map(|_| vec![1.0]).collect();
        Box::pin(async move {
            Ok(Embedded {
                vectors,
                cost: Cost::default(),
                usage: None,
                call: None,
            })
        })
    }

    fn moderate<'a>(&'a self, _ask: ModerationAsk<'a>) -> Pending<'a, Result<Moderated, AskError>> {
        panic!("nobody moderates here")
    }
}

/// The text of the last message of a question.
fn said(ask: &Ask) -> String {
    let AskContent::Messages(messages) = &ask.content else {
        panic!("a version was asked")
    };
    let last = messages.last().unwrap();
    last["content"].as_str().unwrap().to_owned()
}

fn reply(text: &str, pico: u64) -> Reply {
    Reply {
        call: Some(CallId::fresh()),
        text: text.to_owned(),
        message: json!({"role": "assistant", "content": text}),
        finish_reason: Some("stop".to_owned()),
        log_probs: None,
        tokens: serde_json::Value::Null,
        model_returned: None,
        usage: None,
        cost: Cost {
            pico_usd: Some(PicoDollars(pico)),
            quality: CostQuality::Exact,
            price: None,
        },
        latency_us: 1_000,
        sent: Vec::new(),
        cached_from: None,
    }
}

fn failure(code: &str, retry_after_ms: Option<u64>) -> AskError {
    AskError {
        code: code.to_owned(),
        message: "it failed".to_owned(),
        call: None,
        is_retryable: true,
        retry_after_ms,
    }
}

fn contains(text: &str) -> AssertNode {
    AssertNode::One(Box::new(assertion("contains", json!(text))))
}

/// A case with a variable `x`, whose answer must contain `good`.
fn case(id: &str, x: &str) -> Case {
    Case {
        vars: json!({ "x": x }).as_object().unwrap().clone(),
        asserts: vec![contains("good")],
        ..testing::case(id)
    }
}

fn side(side: Side, cases: Vec<Case>) -> SidePlan {
    testing::side(side, subject("[m] p", "say {{x}}"), cases)
}

fn plan(cases: Vec<Case>) -> RunPlan {
    testing::plan("tests", vec![side(Side::Head, cases)])
}

fn cases(count: usize) -> Vec<Case> {
    (0..count)
        .map(|n| case(&format!("c{n}"), &format!("good {n}")))
        .collect()
}

/// A store, and what runs in it.
struct Bench {
    ledger: Arc<Ledger>,
    run: RunId,
    paid: Paid,
    retries_errors: bool,
    is_offline: bool,
    control: Control,
    _dir: TempDir,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config = Config {
            ballast_bytes: 0,
            ..Config::new(dir.path())
        };
        let store = Arc::new(Store::open(&config, Clock::System).unwrap());
        Self {
            ledger: Arc::new(Ledger::new(store, None, Clock::System)),
            run: RunId::fresh(),
            paid: Paid::new(),
            retries_errors: false,
            is_offline: false,
            control: Control::default(),
            _dir: dir,
        }
    }

    /// Begins the run, or goes on with its rows.
    async fn run(&self, plan: &RunPlan, gateway: &Scripted) -> (RunEnd, Vec<Row>) {
        let start = RunStart {
            version: 1,
            plan: plan.clone(),
            canary: "⟦cnry-tests⟧".to_owned(),
        };
        let begun = Begun {
            run: self.run,
            began: self.ledger.now(),
            rows: self.ledger.rows(self.run).await.unwrap(),
            start: Arc::new(start),
            paid: self.paid.clone(),
            retries_errors: self.retries_errors,
        };
        let first = Progress::new(self.run, count(plan), 1);
        let (progress, told) = watch::channel(first);
        let (ledger, control) = (Arc::clone(&self.ledger), self.control.clone());
        let end = Runner::new(ledger, gateway.clone(), begun, control, progress)
            .offline(self.is_offline)
            .run()
            .await;
        assert_eq!(told.borrow().done, end.passed + end.failed + end.errors);
        let rows = self.ledger.rows(self.run).await.unwrap();
        (end, rows)
    }
}
