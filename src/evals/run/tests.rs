//! Runs against a gateway that does as it is told, with a real store.

use crate::domain::{CallId, Clock, Cost, CostQuality, PicoDollars, RunId};
use crate::evals::gateway::{Ask, AskContent, AskError, Embedded, Gateway, Pending, Reply};
use crate::evals::grade::Mark;
use crate::evals::ledger::{Ledger, RunEnd, RunStart, Stop};
use crate::evals::plan::{Forecast, RunPlan, Side, SidePlan, Subject, SubjectPrompt};
use crate::evals::row::Row;
use crate::evals::run::till::Paid;
use crate::evals::run::{Begun, Control, Progress, Runner, count, fresh_canary};
use crate::evals::suite::{
    AssertNode, Assertion, AssertionKind, AssertionValue, Case, CaseId, CaseOptions, ModelSource,
    Place, Settings, Stopping,
};
use crate::store::{Config, Store};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
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
    AssertNode::One(Box::new(Assertion {
        kind: AssertionKind::Contains,
        is_negated: false,
        value: Some(AssertionValue::Json(json!(text))),
        threshold: None,
        weight: 1.0,
        metric: None,
        grader: None,
        rubric_prompt: None,
        transform: None,
        context_transform: None,
        config: Map::new(),
        place: Place::default(),
    }))
}

/// A case with a variable `x`, whose answer must contain `good`.
fn case(id: &str, x: &str) -> Case {
    Case {
        id: CaseId(id.to_owned()),
        description: None,
        vars: json!({ "x": x }).as_object().unwrap().clone(),
        asserts: vec![contains("good")],
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

fn subject(label: &str, template: &str) -> Subject {
    Subject {
        label: label.to_owned(),
        prompt_label: "p".to_owned(),
        model_label: "m".to_owned(),
        prompt: SubjectPrompt::Text {
            template: template.to_owned(),
        },
        model: ModelSource::Route("m".to_owned()),
        parameters: Map::new(),
        transform: None,
        delay_ms: 0,
    }
}

fn side(side: Side, cases: Vec<Case>) -> SidePlan {
    SidePlan {
        side,
        commit: None,
        name: "tests".to_owned(),
        subjects: vec![subject("[m] p", "say {{x}}")],
        cases,
    }
}

fn plan(cases: Vec<Case>) -> RunPlan {
    RunPlan {
        version: 1,
        suite: "tests".to_owned(),
        path: "tests.yaml".to_owned(),
        description: None,
        suite_hash: "0".repeat(64),
        sides: vec![side(Side::Head, cases)],
        derived_metrics: Vec::new(),
        settings: Settings::default(),
        judge: None,
        warnings: Vec::new(),
        forecast: Forecast::default(),
    }
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
            .run()
            .await;
        assert_eq!(told.borrow().done, end.passed + end.failed + end.errors);
        let rows = self.ledger.rows(self.run).await.unwrap();
        (end, rows)
    }
}

#[tokio::test(start_paused = true)]
async fn base_and_head_of_a_case_are_asked_one_after_the_other() {
    let bench = Bench::new();
    let mut plan = plan(vec![case("a", "good"), case("b", "bad")]);
    plan.sides.insert(
        0,
        side(Side::Base, vec![case("b", "good"), case("old", "good")]),
    );
    plan.settings.repeat = 2;
    plan.settings.concurrency = 1;
    let gateway = Scripted::parrot();
    let (end, rows) = bench.run(&plan, &gateway).await;
    let asked = gateway.asked();
    let cell = |side, case: &str, repeat| (side, case.to_owned(), repeat);
    let (base, head) = (Side::Base, Side::Head);
    assert_eq!(
        asked,
        [
            cell(head, "a", 0),
            cell(head, "a", 1),
            // Neither side always goes first.
            cell(base, "b", 0),
            cell(head, "b", 0),
            cell(head, "b", 1),
            cell(base, "b", 1),
            cell(base, "old", 0),
            cell(base, "old", 1),
        ]
    );
    assert_eq!(
        (end.cells, end.passed, end.failed, end.errors),
        (8, 6, 2, 0)
    );
    assert_eq!(end.stopped, None);
    assert_eq!(end.spent.case_calls, 8);
    assert_eq!(end.spent.cases, Some(PicoDollars(80)));
    assert_eq!(rows.len(), 8);
    let failed = rows
        .iter()
        .find(|row| row.grade.mark == Mark::Fail)
        .unwrap();
    assert_eq!(failed.vars["x"], "bad");
    assert_eq!(failed.answer.as_ref().unwrap().output, "say bad");
}

#[tokio::test(start_paused = true)]
async fn a_stopped_run_goes_on_and_asks_nothing_twice() {
    let mut bench = Bench::new();
    let plan = plan(cases(12));
    let cancel = bench.control.cancel.clone();
    let stopping = Scripted::new(move |ask, count| {
        if count == 5 {
            cancel.cancel();
        }
        Ok(reply(&said(ask), 10))
    })
    .slow(SECOND);
    let (end, rows) = bench.run(&plan, &stopping).await;
    assert_eq!(end.stopped, Some(Stop::Cancelled));
    // What was under way came in.
    assert_eq!(rows.len(), stopping.asked().len());
    assert!((6..12).contains(&rows.len()), "{}", rows.len());

    bench.control = Control::default();
    let rest = Scripted::parrot();
    let (end, rows) = bench.run(&plan, &rest).await;
    assert_eq!(rows.len(), 12);
    assert_eq!(end.stopped, None);
    let first = u64::try_from(stopping.asked().len()).unwrap();
    assert_eq!(
        (end.spent.resumed, end.spent.case_calls),
        (first, 12 - first)
    );
    assert_eq!(end.spent.cases, Some(PicoDollars(120)));
    let (mut once, again) = (stopping.asked(), rest.asked());
    assert!(again.iter().all(|cell| !once.contains(cell)));
    once.extend(again);
    assert_eq!(once.len(), 12);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_was_paid_is_taken_instead_of_asking() {
    let mut bench = Bench::new();
    let plan = plan(cases(2));
    // The questions of a run that was killed before their rows were written.
    let gateway = Scripted::parrot();
    bench.run(&plan, &gateway).await;
    let asked = gateway.asked.lock().unwrap().clone();
    bench.run = RunId::fresh();
    for ask in &asked[..1] {
        let key = super::asks::ask_key(ask);
        bench
            .paid
            .entry(key)
            .or_default()
            .push_back(reply("good, and paid", 7));
    }
    let mut plan = plan;
    plan.settings.is_cached = false;
    let again = Scripted::parrot();
    let (_, rows) = bench.run(&plan, &again).await;
    assert_eq!(again.asked().len(), 1);
    let outputs: Vec<_> = rows
        .iter()
        .map(|row| row.answer.clone().unwrap().output)
        .collect();
    assert!(outputs.contains(&json!("good, and paid")), "{outputs:?}");
}

#[tokio::test(start_paused = true)]
async fn a_changed_case_is_asked_again_and_errors_are_when_that_is_wanted() {
    let mut bench = Bench::new();
    let before = plan(vec![
        case("a", "good"),
        case("b", "good"),
        case("c", "good"),
    ]);
    let failing = Scripted::new(|ask, _| match ask.case.as_str() {
        "c" => Err(failure("provider_error", None)),
        _ => Ok(reply(&said(ask), 10)),
    });
    let (end, _) = bench.run(&before, &failing).await;
    assert_eq!((end.passed, end.errors), (2, 1));

    let mut after = before.clone();
    after.sides[0].cases[1].asserts.push(contains("more"));
    after.settings.is_cached = false;
    let gateway = Scripted::parrot();
    let (end, rows) = bench.run(&after, &gateway).await;
    assert_eq!(gateway.asked(), [(Side::Head, "b".to_owned(), 0)]);
    assert_eq!((end.passed, end.failed, end.errors), (1, 1, 1));
    assert_eq!(rows.len(), 3, "the new row takes the place of the old one");

    bench.retries_errors = true;
    let gateway = Scripted::parrot();
    let (end, _) = bench.run(&after, &gateway).await;
    assert_eq!(gateway.asked(), [(Side::Head, "c".to_owned(), 0)]);
    assert_eq!((end.passed, end.failed, end.errors), (2, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn the_budget_stops_a_run_before_it_is_overspent() {
    let bench = Bench::new();
    let mut plan = plan(cases(50));
    plan.settings.concurrency = 8;
    plan.settings.budget.total = Some(PicoDollars(105));
    let gateway = Scripted::parrot().slow(SECOND);
    let (end, rows) = bench.run(&plan, &gateway).await;
    assert_eq!(end.stopped, Some(Stop::Budget));
    assert_eq!(end.spent.cases, Some(PicoDollars(100)));
    assert_eq!((rows.len(), gateway.asked().len()), (10, 10));

    plan.settings.budget.total = Some(PicoDollars(205));
    let (end, rows) = bench.run(&plan, &gateway).await;
    assert_eq!(
        (end.stopped, rows.len()),
        (Some(Stop::Budget), 20),
        "what was spent counts"
    );
}

#[tokio::test(start_paused = true)]
async fn a_storm_of_refusals_is_weathered() {
    let bench = Bench::new();
    let mut plan = plan(cases(20));
    plan.settings.concurrency = 8;
    let gateway = Scripted::new(|ask, count| match count {
        0..8 => Err(failure("provider_rate_limited", Some(2_000))),
        8..10 => Err(failure("provider_overloaded", None)),
        _ => Ok(reply(&said(ask), 1)),
    });
    let began = tokio::time::Instant::now();
    let (end, _) = bench.run(&plan, &gateway).await;
    assert_eq!((end.passed, end.errors), (20, 0));
    assert_eq!(gateway.asked().len(), 30);
    assert!(SECOND * 2 <= began.elapsed(), "the pause was not kept");

    // A provider that never has time is an error in the end.
    let bench = Bench::new();
    let never = Scripted::new(|_, _| Err(failure("provider_rate_limited", Some(10))));
    let (end, rows) = bench.run(&self::plan(cases(1)), &never).await;
    assert_eq!((end.errors, never.asked().len()), (1, 20));
    assert_eq!(
        rows[0].error.as_ref().unwrap().code,
        "provider_rate_limited"
    );
}

#[tokio::test(start_paused = true)]
async fn what_a_case_stores_is_data_for_those_behind_it() {
    let bench = Bench::new();
    let mut first = case("a", "good");
    first.options.store_output_as = Some("stored".to_owned());
    let mut plan = plan(vec![first, case("b", "good <{{stored}}>")]);
    plan.settings.concurrency = 4;
    let gateway = Scripted::new(|ask, count| match count {
        0 => Ok(reply("{{x}} good {% if %}", 1)),
        _ => Ok(reply(&said(ask), 1)),
    })
    .slow(SECOND);
    let (_, rows) = bench.run(&plan, &gateway).await;
    let last = rows.last().unwrap().answer.clone().unwrap();
    assert_eq!(last.output, "say good <{{x}} good {% if %}>");
}

#[tokio::test(start_paused = true)]
async fn a_conversation_is_told_in_order() {
    let bench = Bench::new();
    let with = |id: &str, conversation: &str| {
        let mut case = case(id, &format!("good {id}"));
        case.metadata
            .insert("conversationId".to_owned(), conversation.into());
        case
    };
    let mut plan = plan(vec![with("a", "1"), with("b", "2"), with("c", "1")]);
    plan.sides[0].subjects[0] = subject(
        "[m] p",
        "{% for turn in _conversation %}{{turn.input}} -> {{turn.output}}; {% endfor %}{{x}}",
    );
    let gateway = Scripted::new(|ask, _| Ok(reply(&format!("good, {}", ask.case), 1))).slow(SECOND);
    let (_, rows) = bench.run(&plan, &gateway).await;
    let sent = |case: &str| {
        let asked = gateway.asked.lock().unwrap();
        said(asked.iter().find(|ask| ask.case == case).unwrap())
    };
    assert_eq!(sent("b"), "good b");
    assert_eq!(sent("c"), "good a -> good, a; good c");
    assert_eq!(rows.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn answers_are_kept_for_later_runs_by_repeat() {
    let mut bench = Bench::new();
    let mut plan = plan(cases(2));
    plan.settings.repeat = 2;
    let gateway = Scripted::parrot();
    let (end, _) = bench.run(&plan, &gateway).await;
    assert_eq!(
        (end.spent.cached, gateway.asked().len()),
        (0, 4),
        "repeats are asked"
    );

    bench.run = RunId::fresh();
    let (end, rows) = bench.run(&plan, &gateway).await;
    assert_eq!((end.spent.cached, gateway.asked().len()), (4, 4));
    assert_eq!(end.spent.cases, Some(PicoDollars(0)));
    assert!(
        rows.iter()
            .all(|row| row.answer.as_ref().unwrap().cached_from.is_some())
    );

    // One side from the cache and one asked now is said.
    bench.run = RunId::fresh();
    let mut other = plan.clone();
    other.sides.insert(0, side(Side::Base, cases(2)));
    other.sides[0].subjects[0] = subject("[m] p", "tell {{x}}");
    let (end, _) = bench.run(&other, &gateway).await;
    assert_eq!(gateway.asked().len(), 8);
    assert!(
        end.warnings[0].contains("not answered at the same time"),
        "{:?}",
        end.warnings
    );

    bench.run = RunId::fresh();
    plan.settings.is_cached = false;
    let (end, _) = bench.run(&plan, &gateway).await;
    assert_eq!((end.spent.cached, gateway.asked().len()), (0, 12));
}

#[tokio::test(start_paused = true)]
async fn echo_and_given_outputs_ask_nobody() {
    let bench = Bench::new();
    let mut given = case("given", "x");
    given.given_output = Some(json!("a good one"));
    let mut plan = plan(vec![given, case("echo", "good"), case("broken", "{{ y")]);
    plan.sides[0].subjects[0].model = ModelSource::Echo;
    plan.settings.concurrency = 1;
    let gateway = Scripted::parrot();
    let (end, rows) = bench.run(&plan, &gateway).await;
    assert!(gateway.asked().is_empty());
    assert_eq!((end.passed, end.errors), (2, 1));
    assert_eq!(rows[1].answer.as_ref().unwrap().output, "say good");
    assert_eq!(rows[2].error.as_ref().unwrap().code, "case_not_fillable");
}

#[tokio::test(start_paused = true)]
async fn time_runs_out_for_calls_and_for_runs() {
    let bench = Bench::new();
    let mut plan = plan(cases(1));
    plan.settings.timeout_ms = Some(500);
    let hanging = Scripted::parrot().slow(SECOND * 1_000);
    let (end, rows) = bench.run(&plan, &hanging).await;
    assert_eq!((end.stopped, end.errors), (None, 1));
    assert_eq!(rows[0].error.as_ref().unwrap().code, "eval_timeout");

    let bench = Bench::new();
    plan.settings.timeout_ms = None;
    plan.settings.deadline_ms = Some(3_000);
    let began = tokio::time::Instant::now();
    let (end, rows) = bench.run(&plan, &hanging).await;
    assert_eq!((end.stopped, rows.len()), (Some(Stop::Deadline), 0));
    assert!(began.elapsed() < SECOND * 9);
}

#[tokio::test(start_paused = true)]
async fn a_run_ends_when_its_verdict_is_certain_or_precise() {
    let bench = Bench::new();
    let mut some = cases(30);
    some[3] = case("c3", "bad");
    let mut plan = plan(some);
    plan.settings.concurrency = 1;
    plan.settings.stopping = Stopping::Decided;
    let gateway = Scripted::parrot();
    let (end, _) = bench.run(&plan, &gateway).await;
    assert_eq!(
        (end.stopped, end.failed, gateway.asked().len()),
        (Some(Stop::Decided), 1, 4)
    );

    let bench = Bench::new();
    plan.settings.stopping = Stopping::Precision(0.12);
    let (end, rows) = bench.run(&plan, &gateway).await;
    assert_eq!(end.stopped, Some(Stop::Precise));
    assert!((20..30).contains(&rows.len()), "{}", rows.len());
}

#[tokio::test(start_paused = true)]
async fn the_canary_is_planted_and_known() {
    let bench = Bench::new();
    let mut plan = plan(vec![case("a", "good")]);
    plan.sides[0].subjects[0] = subject("[m] p", "keep {{canary}} secret, {{x}}");
    let gateway = Scripted::parrot();
    bench.run(&plan, &gateway).await;
    let asked = gateway.asked.lock().unwrap().clone();
    assert_eq!(said(&asked[0]), "keep ⟦cnry-tests⟧ secret, good");
    let (one, other) = (fresh_canary(), fresh_canary());
    assert_ne!(one, other);
    assert_eq!(one.chars().count(), "⟦cnry-⟧".chars().count() + 12);
}

#[tokio::test(start_paused = true)]
async fn serial_cases_run_alone() {
    let bench = Bench::new();
    let mut alone = case("alone", "good");
    alone.options.is_serial = true;
    let mut plan = plan(vec![case("a", "good"), alone, case("b", "good")]);
    plan.settings.concurrency = 3;
    let gateway = Scripted::parrot().slow(SECOND);
    let began = tokio::time::Instant::now();
    bench.run(&plan, &gateway).await;
    assert_eq!(gateway.asked()[0].1, "alone");
    assert_eq!(
        began.elapsed().as_secs(),
        2,
        "one alone, then two side by side"
    );
}

/// A question whose value nobody needs keeps its type.
#[test]
fn values_stay_what_they_are() {
    let plan = plan(cases(1));
    let text = serde_json::to_string(&plan).unwrap();
    let again: RunPlan = serde_json::from_str(&text).unwrap();
    assert_eq!(again, plan);
    assert_eq!(super::plan_hash(&again), super::plan_hash(&plan));
    let mut cheaper = plan.clone();
    cheaper.settings.concurrency = 1;
    cheaper.settings.budget.total = Some(PicoDollars(1));
    assert_eq!(
        super::plan_hash(&cheaper),
        super::plan_hash(&plan),
        "the same is asked"
    );
    let mut other = plan.clone();
    other.sides[0].cases[0]
        .vars
        .insert("y".to_owned(), Value::Null);
    assert_ne!(super::plan_hash(&other), super::plan_hash(&plan));
}
