//! Carries a plan out: cells side by side in their order, each kept when it is done.

use crate::domain::{RunId, Timestamp};
use crate::evals::gateway::{Gateway, OFFLINE, Pending};
use crate::evals::grade::Mark;
use crate::evals::judges::Steps;
use crate::evals::ledger::{Ledger, RunEnd, RunStart, Stop, paid_of};
use crate::evals::plan::Side;
use crate::evals::report::{RunReport, Spent};
use crate::evals::row::{CellKey, Row};
use crate::evals::run::Config;
use crate::evals::run::budget::Budget;
use crate::evals::run::cells::{Cell, Cells, Chain};
use crate::evals::run::comparing::{self, Asked, compares};
use crate::evals::run::filling::Memory;
use crate::evals::run::one::{Common, known_work, prepare, remember, timeout_of};
use crate::evals::run::progress::Progress;
use crate::evals::run::stopping::Watch;
use crate::evals::run::till::{Paid, Till};
use crate::evals::suite::{self, ModelSource};
use crate::evals::verdict;
use crate::proxy::Paces;
use futures_util::{StreamExt, stream};
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::sync::CancellationToken;

/// How long calls under way may take when a run is stopped.
const GRACE: Duration = Duration::from_secs(5);

/// What a run begins or goes on with.
#[derive(Debug)]
pub struct Begun {
    /// Its name.
    pub run: RunId,
    /// When it began first.
    pub began: Timestamp,
    /// Its plan.
    pub start: Arc<RunStart>,
    /// Rows from before it was cut.
    pub rows: Vec<Row>,
    /// Answers that were paid and that no row tells of.
    pub(super) paid: Paid,
    /// Whether cells that could not be judged are asked again.
    pub retries_errors: bool,
}

/// How a run is stopped from outside.
#[derive(Debug, Clone, Default)]
pub struct Control {
    /// Nothing more is asked; what is under way may finish.
    pub cancel: CancellationToken,
    /// The same, because the process stops.
    pub shutdown: CancellationToken,
}

/// Carries out one run.
#[derive(Debug)]
pub struct Runner<G> {
    pub(super) ledger: Arc<Ledger>,
    pub(super) till: Till<G>,
    pub(super) begun: Begun,
    control: Control,
    /// Cancelled when nothing more may be asked, for whatever reason.
    halt: CancellationToken,
    known: HashMap<CellKey, Row>,
    progress: watch::Sender<Progress>,
    state: Mutex<State>,
    steps: Steps,
    pub(super) config: Config,
    started: Instant,
}

#[derive(Debug)]
struct State {
    watch: Watch,
    stop: Option<Stop>,
    /// On which days the answers of each side were asked that come from the cache; `None` for now.
    days: HashMap<Side, BTreeSet<Option<i64>>>,
}

impl<G: Gateway> Runner<G> {
    /// Prepares a run. What it says of its progress goes to `progress`.
    #[must_use]
    pub fn new(
        ledger: Arc<Ledger>,
        gateway: G,
        mut begun: Begun,
        control: Control,
        progress: watch::Sender<Progress>,
    ) -> Self {
        let start = Arc::clone(&begun.start);
        let (plan, settings) = (&start.plan, &start.plan.settings);
        let rows = std::mem::take(&mut begun.rows);
        let (cases, judges) = paid_of(&rows.iter().collect::<Vec<_>>());
        let halt = CancellationToken::new();
        let budget = Budget::new(settings.budget, cases, judges);
        let delays = plan.sides.iter().flat_map(|side| &side.subjects);
        let delays = delays.filter_map(|subject| match &subject.model {
            ModelSource::Route(model) => {
                Some((model.clone(), Duration::from_millis(subject.delay_ms)))
            }
            ModelSource::OfPrompt | ModelSource::Echo => None,
        });
        let delay = Duration::from_millis(settings.delay_ms);
        let paces = Paces::new(settings.concurrency, delay, delays.collect());
        let till = Till::new(
            (gateway, Arc::clone(&ledger)),
            (budget, paces),
            (settings.is_cached.then_some(begun.began), timeout_of(plan)),
            std::mem::take(&mut begun.paid),
            halt.clone(),
        );
        let cells = Cells::of(plan);
        let watch = Watch::new(plan, &cells);
        Self {
            ledger,
            till,
            begun,
            control,
            halt,
            known: rows
                .into_iter()
                .map(|row| (row.cell.clone(), row))
                .collect(),
            progress,
            state: Mutex::new(State {
                watch,
                stop: None,
                days: HashMap::new(),
            }),
            started: Instant::now(),
            steps: Steps::default(),
            config: Config::default(),
        }
    }

    /// Takes over what the config says of runs.
    #[must_use]
    pub fn with_config(self, config: Config) -> Self {
        Self { config, ..self }
    }

    /// Asks nobody, when `is_offline`: what has no answer yet is left out.
    #[must_use]
    pub fn offline(mut self, is_offline: bool) -> Self {
        self.till.set_offline(is_offline);
        self
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the run early; the first reason counts.
    fn halt(&self, stop: Stop) {
        self.state().stop.get_or_insert(stop);
        self.halt.cancel();
    }

    /// Carries the run out and writes its end.
    pub async fn run(mut self) -> RunEnd {
        let start = Arc::clone(&self.begun.start);
        let cells = Cells::of(&start.plan);
        let deadline = start.plan.settings.deadline_ms.map(Duration::from_millis);
        let deadline = deadline.map(|limit| self.started + limit);
        self.until_stopped(&cells, deadline).await;
        let mut end = self.end(&cells);
        self.till.reopen();
        match self.shift(&end, deadline).await {
            Ok(None) => {}
            Ok(Some(shift)) => {
                // Vectors take time and money too.
                end = self.end(&cells);
                end.output_shift = Some(Box::new(shift));
            }
            Err(warning) => {
                end = self.end(&cells);
                end.warnings.push(warning);
            }
        }
        end.report = self.report(&end).await.map(Box::new);
        if let Err(error) = self.ledger.end(&end).await {
            tracing::error!(run = %end.run, %error, "the end of a run cannot be written");
        }
        end
    }

    /// Carries out the cells until all are done or something stops them.
    async fn until_stopped(&self, cells: &Cells<'_>, deadline: Option<Instant>) {
        let mut work = Box::pin(self.carry_out(cells));
        let ended = tokio::select! {
            () = &mut work => None,
            stop = self.stopped(deadline) => Some(stop),
        };
        if let Some(stop) = ended {
            self.halt(stop);
            // What is paid already may still come in.
            let grace = Instant::now() + GRACE;
            if timeout_at(grace, work).await.is_err() {
                tracing::warn!(run = %self.begun.run, "a stopped run left calls behind");
            }
        }
    }

    /// Makes the report; its rows are kept one by one and need not be kept again.
    async fn report(&self, end: &RunEnd) -> Option<RunReport> {
        let rows = match self.ledger.rows(end.run).await {
            Ok(rows) => rows,
            Err(error) => {
                tracing::error!(run = %end.run, %error, "a run has no report: its rows cannot be read");
                return None;
            }
        };
        let (start, end) = (Arc::clone(&self.begun.start), end.clone());
        let made = spawn_blocking(move || verdict::of_run(&start.plan, rows, &end)).await;
        made.ok().map(|report| RunReport {
            rows: Vec::new(),
            ..report
        })
    }

    /// Waits for a reason from outside.
    pub(super) async fn stopped(&self, deadline: Option<Instant>) -> Stop {
        let over = async {
            match deadline {
                Some(deadline) => tokio::time::sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = self.control.cancel.cancelled() => Stop::Cancelled,
            () = self.control.shutdown.cancelled() => Stop::Shutdown,
            () = over => Stop::Deadline,
        }
    }

    async fn carry_out(&self, cells: &Cells<'_>) {
        self.chain(&cells.alone).await;
        let concurrency = usize::try_from(self.begun.start.plan.settings.concurrency).unwrap_or(1);
        let chains: Vec<Pending<'_, ()>> = (cells.beside.iter())
            .map(|chain| -> Pending<'_, ()> { Box::pin(self.chain(chain)) })
            .collect();
        let all = stream::iter(chains).buffer_unordered(concurrency.max(1));
        let all = all.for_each(|()| async {});
        let ticking = async {
            loop {
                sleep(Duration::from_secs(1)).await;
                self.tell();
            }
        };
        tokio::select! {
            () = all => {}
            () = ticking => {}
        }
    }

    /// Carries out cells one after another. Those whose outputs are compared stand beside each other, and
    /// are kept together.
    async fn chain(&self, chain: &Chain<'_>) {
        let mut memories: HashMap<(Side, &str), Memory> = HashMap::new();
        let mut waiting = Vec::new();
        for (index, cell) in chain.iter().enumerate() {
            if self.halt.is_cancelled() {
                return;
            }
            let of_subject = (cell.side.side, cell.subject.label.as_str());
            let memory = memories.entry(of_subject).or_default();
            let Some(asked) = self.ask(cell, memory).await else {
                return;
            };
            remember(memory, cell, &asked.row);
            waiting.push(asked);
            let next = chain.get(index + 1);
            if compares(cell.case) && next.is_some_and(|next| next.is_beside(cell)) {
                continue;
            }
            if !self.settle(std::mem::take(&mut waiting)).await {
                return;
            }
        }
    }

    /// Returns a cell's row, known or new; `None` when the run ends before there is one.
    async fn ask<'a>(&self, cell: &Cell<'a>, memory: &Memory) -> Option<Asked<'a>> {
        let ready = prepare(self.common(), *cell, memory).await;
        if let Some(row) = self.known(cell, &ready.hash) {
            let work = known_work(cell, &row).map(Arc::new);
            return Some(Asked {
                cell: *cell,
                row,
                work,
                is_kept: true,
            });
        }
        let at = self.ledger.now();
        let (row, work) = ready.carry_out(self.common(), &self.till, at).await;
        let asked = Asked {
            cell: *cell,
            row,
            work,
            is_kept: false,
        };
        self.is_answered(&asked.row).then_some(asked)
    }

    fn common(&self) -> Common<'_> {
        let start = &self.begun.start;
        Common {
            run: self.begun.run,
            plan: &start.plan,
            ledger: &self.ledger,
            canary: &start.canary,
            steps: &self.steps,
            config: &self.config,
        }
    }

    /// Whether a row says something: a question that was not asked, of the case or of a judge, because the
    /// run ends, is none that was answered.
    fn is_answered(&self, row: &Row) -> bool {
        if let Some(stop) = self.till.stop() {
            self.halt(stop);
        }
        !(self.halt.is_cancelled() && row.grade.mark == Mark::Error)
    }

    /// Compares what is to be compared and keeps the rows; whether the run goes on.
    async fn settle(&self, asked: Vec<Asked<'_>>) -> bool {
        let (base, head): (Vec<_>, Vec<_>) = asked
            .into_iter()
            .partition(|asked| asked.cell.side.side == Side::Base);
        for mut group in [base, head] {
            let is_compared = group.first().is_some_and(|asked| compares(asked.cell.case));
            if is_compared && group.iter().any(|asked| !asked.is_kept) {
                // Of equals the first wins: in the order of the suite, not of the calls.
                group.sort_by_key(|asked| asked.cell.place());
                group = comparing::compare(self.common(), &self.till, group).await;
            }
            for asked in group {
                if self.till.is_offline() && was_not_asked(&asked.row) {
                    self.state().stop.get_or_insert(Stop::Offline);
                    continue;
                }
                if !asked.is_kept && !self.is_answered(&asked.row) {
                    return false;
                }
                if !asked.is_kept
                    && let Err(error) = self.ledger.keep(&asked.row).await
                {
                    tracing::error!(run = %asked.row.run, %error, "a row of a run cannot be kept, the run stops");
                    self.halt(Stop::Unrecorded);
                    return false;
                }
                self.note(&asked.row, asked.is_kept);
            }
        }
        true
    }

    fn known(&self, cell: &Cell<'_>, hash: &str) -> Option<Row> {
        let row = self.known.get(&cell.key())?;
        let is_wanted = !(self.begun.retries_errors && row.grade.mark == Mark::Error);
        (row.cell_hash == hash && is_wanted).then(|| row.clone())
    }

    /// Counts a row, and sees whether it was the last that is needed.
    fn note(&self, row: &Row, is_resumed: bool) {
        let mut state = self.state();
        let stop = state.watch.note(row);
        if let Some(answer) = row.answer.as_ref().filter(|answer| answer.call.is_some()) {
            let day = |at: Timestamp| at.unix_seconds().div_euclid(86_400);
            let days = state.days.entry(row.cell.side).or_default();
            days.insert(answer.cached_from.map(day));
        }
        drop(state);
        self.progress
            .send_modify(|progress| progress.count(row, is_resumed));
        self.tell();
        if let Some(stop) = stop {
            self.halt(stop);
        }
    }

    /// Tells those who watch how far the run is.
    fn tell(&self) {
        let (cases, judges, unpriced) = self.till.budget().spent();
        self.progress.send_modify(|progress| {
            (progress.case_pico_usd, progress.judge_pico_usd) = (cases, judges);
            progress.unpriced = unpriced;
            progress.concurrency = self.till.concurrency();
            progress.note_time(self.started.elapsed());
        });
    }

    fn end(&self, cells: &Cells<'_>) -> RunEnd {
        self.tell();
        let progress = self.progress.borrow().clone();
        let state = self.state();
        // A run that has all its rows ended by itself, whatever wanted to stop it in the meantime.
        let stopped = state.stop.filter(|_| progress.done < progress.total);
        let (case_calls, judge_calls) = self.till.calls();
        let unpriced = progress.unpriced;
        let mut warnings = warnings(&state.days, unpriced, self.begun.start.plan.settings.budget);
        if stopped == Some(Stop::Offline) {
            warnings.push(format!(
                "offline: {} of {} cells were not asked or not judged, for no answer was given or kept",
                progress.total - progress.done,
                progress.total
            ));
        }
        RunEnd {
            version: 1,
            run: self.begun.run,
            began: self.begun.began,
            ended: self.ledger.now(),
            stopped,
            cells: u64::try_from(cells.iter().count()).unwrap_or(u64::MAX),
            passed: progress.passed,
            failed: progress.failed,
            errors: progress.errors,
            spent: Spent {
                case_calls,
                judge_calls,
                cached: progress.cached,
                resumed: progress.resumed,
                errors: progress.errors,
                cases: (unpriced == 0).then_some(progress.case_pico_usd),
                judges: (unpriced == 0).then_some(progress.judge_pico_usd),
                duration_ms: progress.elapsed_ms,
                stopped: stopped.map(|stop| stop.words().to_owned()),
            },
            warnings,
            output_shift: None,
            report: None,
        }
    }
}

/// Whether a row lacks an answer, of the case or of a judge, because nobody was asked.
fn was_not_asked(row: &Row) -> bool {
    let mut assertions = row.grade.assertions.iter();
    row.grade.mark == Mark::Error
        && (row.grade.reason.contains(OFFLINE)
            || assertions.any(|assertion| assertion.grade.reason.contains(OFFLINE)))
}

/// What should be known of the rows together.
fn warnings(
    days: &HashMap<Side, BTreeSet<Option<i64>>>,
    unpriced: u64,
    budget: suite::Budget,
) -> Vec<String> {
    let mut warnings = Vec::new();
    if 0 < unpriced && (budget.total.is_some() || budget.judges.is_some()) {
        warnings.push(format!(
            "the budget cannot be held: {unpriced} calls have no known price"
        ));
    }
    // Sides that were asked at different dates met different weather.
    if let (Some(base), Some(head)) = (days.get(&Side::Base), days.get(&Side::Head))
        && base != head
    {
        warnings.push(
            "base and head were not answered at the same time: answers of one side come from the \
             cache (`--no-cache` asks both anew)"
                .to_owned(),
        );
    }
    warnings
}
