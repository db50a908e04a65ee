//! Runs: a plan is carried out through the gateway, each row is kept when it is there, and a run that was
//! cut goes on where it was.
//!
//! ```text
//! cells   the questions of a plan, in their order      till     an answer paid or kept before, else money,
//! one     a cell, from variables to its row                     a place, and the gateway
//! runner  all of them, side by side                    door     the gateway itself
//! ```
//!
//! **Invariants**
//! - A row is in the journal before anything says that its cell is done.
//! - An answer that was paid is never asked for again: it is in a row, or in the record of its call.
//! - Money is reserved before a call and settled after it.

mod asks;
mod budget;
mod cells;
mod comparing;
mod door;
mod error;
mod filling;
mod grading;
mod history;
mod moderation;
mod one;
mod progress;
mod reply;
mod runner;
mod shifting;
mod stopping;
mod till;
mod trajectory;

#[cfg(test)]
mod tests;

pub use cells::count;
pub use door::Door;
pub use error::Error;
pub use progress::Progress;
pub use runner::{Begun, Control, Runner};

use crate::domain::{Purpose, RunId};
use crate::evals::grade::Mark;
use crate::evals::ledger::{Ledger, RunEnd, RunStart, plan_hash};
use crate::evals::plan::RunPlan;
use crate::evals::report::RunReport;
use crate::evals::row::Row;
use crate::evals::verdict;
use crate::proxy::Proxy;
use crate::safety::Canary;
use crate::store::StoredRun;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use till::Paid;
use tokio::sync::{Semaphore, watch};
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

/// How old a run may be that goes on by itself, in microseconds.
const GOES_ON_WITHIN_US: i64 = 24 * 3_600 * 1_000_000;
/// How many runs are looked through for one to go on with.
const LOOKED_THROUGH: usize = 500;
/// The largest plan.
const MAX_CELLS: u64 = 1_000_000;

/// How a run is begun.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// Begins anew, whatever was cut.
    pub fresh: bool,
    /// Goes on with this run: the start of its id, or `last`.
    pub resume: Option<String>,
    /// Asks again what could not be judged.
    pub retry_errors: bool,
    /// Stops when the one who began it leaves.
    pub stops_with_client: bool,
    /// Asks nobody: takes answers that are given or kept, and leaves out the rest.
    pub offline: bool,
}

/// All runs of a process.
#[derive(Debug)]
pub struct Runs {
    ledger: Arc<Ledger>,
    proxy: Arc<Proxy>,
    shutdown: CancellationToken,
    active: Mutex<HashMap<RunId, Active>>,
    /// One begins at a time, so that the same plan does not begin twice.
    beginning: Semaphore,
    config: Config,
}

/// What holds for all runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Config {
    /// Hosts that suites may ask.
    pub webhooks: Arc<[String]>,
    /// Who judges where neither assertion, case nor suite name one.
    pub judge_model: Option<String>,
    /// Who embeds where neither assertion nor case name one.
    pub embedding_model: Option<String>,
}

/// A run that goes on in this process.
#[derive(Debug, Clone)]
struct Active {
    plan_hash: String,
    progress: watch::Receiver<Progress>,
    cancel: CancellationToken,
}

/// A run that somebody watches.
#[derive(Debug, Clone)]
pub struct Watched {
    /// Its name.
    pub run: RunId,
    /// Its progress; closed when it has ended.
    pub progress: watch::Receiver<Progress>,
    /// Whether it had begun before.
    pub is_resumed: bool,
    /// Stops it.
    pub cancel: CancellationToken,
}

impl Runs {
    /// Opens the room for runs. They stop when `shutdown` is cancelled.
    #[must_use]
    pub fn new(ledger: Arc<Ledger>, proxy: Arc<Proxy>, shutdown: CancellationToken) -> Self {
        Self {
            ledger,
            proxy,
            shutdown,
            active: Mutex::default(),
            beginning: Semaphore::new(1),
            config: Config::default(),
        }
    }

    /// Takes over what the config says of runs.
    #[must_use]
    pub fn with_config(self, config: Config) -> Self {
        Self { config, ..self }
    }

    /// Returns what is kept of runs.
    #[must_use]
    pub const fn ledger(&self) -> &Arc<Ledger> {
        &self.ledger
    }

    fn active(&self) -> MutexGuard<'_, HashMap<RunId, Active>> {
        self.active.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a run goes on in this process.
    #[must_use]
    pub fn is_active(&self, run: RunId) -> bool {
        self.active().contains_key(&run)
    }

    /// Returns how far a run of this process is; `None` when it is none.
    #[must_use]
    pub fn progress(&self, run: RunId) -> Option<Progress> {
        let active = self.active();
        active
            .get(&run)
            .map(|active| active.progress.borrow().clone())
    }

    /// Asks a run of this process to stop; whether it was one.
    #[must_use]
    pub fn cancel(&self, run: RunId) -> bool {
        let active = self.active();
        let found = active.get(&run);
        found.inspect(|active| active.cancel.cancel()).is_some()
    }

    /// Begins a plan, goes on with a run of it that was cut, or joins one that goes on already. Without a
    /// plan, `options.resume` says which run goes on.
    ///
    /// # Errors
    ///
    /// Every reason for which nothing can be begun; nothing was asked then.
    pub async fn begin(
        self: &Arc<Self>,
        plan: Option<RunPlan>,
        options: &Options,
    ) -> Result<Watched, Error> {
        if self.shutdown.is_cancelled() {
            return Err(Error::Stopping);
        }
        // The semaphore is never closed.
        let _turn = self.beginning.acquire().await;
        if let Some(plan) = &plan {
            check(plan)?;
        }
        let hash = plan.as_ref().map(plan_hash);
        let earlier = self.earlier(hash.as_deref(), options).await?;
        if let Some(joined) = self.join(hash.as_deref(), earlier.as_ref(), options) {
            return Ok(joined);
        }
        let begun = match (earlier, plan) {
            (Some(earlier), plan) => self.go_on(&earlier, plan, options).await?,
            (None, Some(plan)) => self.begin_anew(plan).await?,
            (None, None) => return Err(Error::NothingToResume),
        };
        self.spawn(begun, options.offline).await
    }

    /// Joins a run that goes on, when it is the one that is meant.
    fn join(
        &self,
        hash: Option<&str>,
        earlier: Option<&StoredRun>,
        options: &Options,
    ) -> Option<Watched> {
        if options.fresh {
            return None;
        }
        let active = self.active();
        let by_id = earlier.and_then(|run| active.get_key_value(&run.id));
        let by_plan = || {
            active
                .iter()
                .find(|(_, active)| Some(active.plan_hash.as_str()) == hash)
        };
        let (run, active) = by_id.or_else(by_plan)?;
        Some(Watched {
            run: *run,
            progress: active.progress.clone(),
            is_resumed: true,
            cancel: active.cancel.clone(),
        })
    }

    /// Finds the run to go on with.
    async fn earlier(
        &self,
        hash: Option<&str>,
        options: &Options,
    ) -> Result<Option<StoredRun>, Error> {
        if options.fresh {
            return Ok(None);
        }
        if let Some(id) = options.resume.as_deref().filter(|id| *id != "last") {
            let found = self.ledger.find(id).await?;
            let missing = || Error::RunNotFound { id: id.to_owned() };
            return found.map(Some).ok_or_else(missing);
        }
        let since = self.ledger.now().0.saturating_sub(GOES_ON_WITHIN_US);
        let is_asked = options.resume.is_some() || options.retry_errors;
        let runs = self.ledger.runs(None, LOOKED_THROUGH).await?;
        let found = runs.into_iter().find(|run| {
            let is_same =
                hash.is_none() || fact(run.plan.as_deref(), "plan_hash").as_deref() == hash;
            let is_new = run.began.is_some_and(|began| since <= began.0);
            is_same && (is_asked || is_new) && (options.retry_errors || is_cut(run))
        });
        if found.is_none() && options.resume.is_some() {
            return Err(Error::NothingToResume);
        }
        Ok(found)
    }

    async fn begin_anew(&self, mut plan: RunPlan) -> Result<Begun, Error> {
        plan.quarantined.extend(self.flaky(&plan).await);
        let run = RunId::fresh();
        let start = RunStart {
            version: 1,
            plan,
            canary: fresh_canary(),
        };
        self.ledger.begin(run, &start, count(&start.plan)).await?;
        Ok(Begun {
            run,
            began: self.ledger.now(),
            start: Arc::new(start),
            rows: Vec::new(),
            paid: Paid::new(),
            retries_errors: false,
        })
    }

    /// Takes up a run: its plan unless there is a newer one, its rows, and what was paid beside them.
    async fn go_on(
        &self,
        earlier: &StoredRun,
        plan: Option<RunPlan>,
        options: &Options,
    ) -> Result<Begun, Error> {
        let run = earlier.id;
        let lost = Error::PlanLost { run };
        let mut start = self.ledger.start(earlier).await?.ok_or(lost)?;
        if let Some(plan) = plan {
            start.plan = plan;
        }
        check(&start.plan)?;
        let rows = self.ledger.rows(run).await?;
        let stays = |row: &&Row| !(options.retry_errors && row.grade.mark == Mark::Error);
        let staying: Vec<Row> = rows.iter().filter(stays).cloned().collect();
        let paid = self.paid(run, &staying, options).await?;
        self.ledger.resume(run).await?;
        Ok(Begun {
            run,
            began: earlier.began.unwrap_or_else(|| self.ledger.now()),
            start: Arc::new(start),
            rows,
            paid,
            retries_errors: options.retry_errors,
        })
    }

    /// Returns the answers that were paid and that no row tells of.
    async fn paid(&self, run: RunId, rows: &[Row], options: &Options) -> Result<Paid, Error> {
        let mut paid = Paid::new();
        for record in self.ledger.paid(run, rows).await? {
            let Some((purpose, name)) =
                (record.intent.run.as_ref()).and_then(|run| Some((run.purpose, run.ask.clone()?)))
            else {
                continue;
            };
            // What a judge said and nobody could read is asked for again.
            if options.retry_errors && purpose != Purpose::Case {
                continue;
            }
            let Some(mut reply) = reply::of_record(&record) else {
                continue;
            };
            if record.intent.prompt.is_some() {
                reply.sent = self.sent(&record).await;
            }
            paid.entry(name).or_default().push_back(reply);
        }
        Ok(paid)
    }

    /// The messages of a recorded call, rendered again.
    async fn sent(&self, record: &crate::domain::CallRecord) -> Vec<Value> {
        match self.proxy.reconstruct(record).await {
            Ok(body) => {
                let body: Value = serde_json::from_slice(&body).unwrap_or_default();
                let messages = body.get("messages").and_then(Value::as_array);
                messages.cloned().unwrap_or_default()
            }
            Err(error) => {
                tracing::warn!(call = %record.intent.id, %error, "what a call sent cannot be shown");
                Vec::new()
            }
        }
    }

    async fn spawn(self: &Arc<Self>, begun: Begun, is_offline: bool) -> Result<Watched, Error> {
        let run = begun.run;
        let is_resumed = !begun.rows.is_empty() || !begun.paid.is_empty();
        let (proxy, start) = (Arc::clone(&self.proxy), Arc::clone(&begun.start));
        let opened = spawn_blocking(move || Door::open(proxy, &start.plan)).await;
        let opened = opened.map_err(|error| Error::PlanInvalid {
            problem: error.to_string(),
        })?;
        let door = opened.map_err(|problem| Error::PlanInvalid { problem })?;
        let settings = &begun.start.plan.settings;
        let first = Progress::new(run, count(&begun.start.plan), settings.concurrency);
        let (sender, progress) = watch::channel(first);
        let control = Control {
            cancel: CancellationToken::new(),
            shutdown: self.shutdown.clone(),
        };
        let active = Active {
            plan_hash: plan_hash(&begun.start.plan),
            progress: progress.clone(),
            cancel: control.cancel.clone(),
        };
        let cancel = control.cancel.clone();
        self.active().insert(run, active);
        let place = ActivePlace {
            runs: Arc::clone(self),
            run,
        };
        let runner = Runner::new(Arc::clone(&self.ledger), door, begun, control, sender)
            .with_config(self.config.clone())
            .offline(is_offline);
        let recorder = &self.proxy.recorder;
        let task = async move {
            let _place = place;
            let end = Box::pin(runner.run()).await;
            tracing::info!(%run, stopped = ?end.stopped, passed = end.passed, failed = end.failed,
                errors = end.errors, "a run of evals has ended");
        };
        recorder.tasks.spawn_on(task, &recorder.runtime);
        Ok(Watched {
            run,
            progress,
            is_resumed,
            cancel,
        })
    }

    /// Returns the report of a run that has ended, with its rows.
    ///
    /// # Errors
    ///
    /// When the store cannot be read, or the run has no end yet.
    pub async fn report(&self, run: RunId) -> Result<RunReport, Error> {
        let end = self.ending(run).await?;
        let lost = || Error::BrokeOff { run };
        let stored = self.ledger.find(&run.to_string()).await?.ok_or_else(lost)?;
        let start = self.ledger.start(&stored).await?;
        let start = start.ok_or(Error::PlanLost { run })?;
        let rows = self.ledger.rows(run).await?;
        let made = spawn_blocking(move || verdict::of_run(&start.plan, rows, &end)).await;
        made.map_err(|error| Error::PlanInvalid {
            problem: error.to_string(),
        })
    }

    /// Returns how a run ended, once it has.
    ///
    /// # Errors
    ///
    /// When the store cannot be read, or has no end of it.
    pub async fn ending(&self, run: RunId) -> Result<RunEnd, Error> {
        let lost = || Error::BrokeOff { run };
        let stored = self.ledger.find(&run.to_string()).await?.ok_or_else(lost)?;
        self.ledger.ending(&stored).await?.ok_or_else(lost)
    }
}

/// Takes a run off the list when its task ends, however it does.
struct ActivePlace {
    runs: Arc<Runs>,
    run: RunId,
}

impl Drop for ActivePlace {
    fn drop(&mut self) {
        self.runs.active().remove(&self.run);
    }
}

/// Returns the text that is planted in a run.
fn fresh_canary() -> String {
    Canary::new(rand::random()).text()
}

/// Returns a fact that a run tells lists.
fn fact(facts: Option<&serde_json::value::RawValue>, name: &str) -> Option<String> {
    let facts: Value = serde_json::from_str(facts?.get()).ok()?;
    facts.get(name)?.as_str().map(str::to_owned)
}

/// Whether a run has something left to ask: it was cut, or stopped before its time.
fn is_cut(run: &StoredRun) -> bool {
    let stopped = fact(run.result.as_deref(), "stopped");
    let is_complete = |stop: &str| ["decided", "tested", "precise"].contains(&stop);
    run.ended.is_none() || stopped.is_some_and(|stop| !is_complete(&stop))
}

/// Checks what a plan must be like to be carried out.
fn check(plan: &RunPlan) -> Result<(), Error> {
    let invalid = |problem: String| Err(Error::PlanInvalid { problem });
    if plan.version != 1 {
        return invalid(format!(
            "its version is {}, and 1 is known here",
            plan.version
        ));
    }
    let mut sides = BTreeSet::new();
    for side in &plan.sides {
        if !sides.insert(side.side) {
            return invalid(format!("it has the side `{:?}` twice", side.side));
        }
        let mut cases = BTreeSet::new();
        for case in &side.cases {
            if !cases.insert(&case.id) {
                return invalid(format!("case `{}` is in it twice", case.id.0));
            }
        }
        let mut labels = BTreeSet::new();
        for subject in &side.subjects {
            if !labels.insert(&subject.label) {
                return invalid(format!("subject `{}` is in it twice", subject.label));
            }
        }
    }
    match count(plan) {
        0 => invalid("it has nothing to ask: no case is for any of its subjects".to_owned()),
        cells if MAX_CELLS < cells => {
            invalid(format!("it has {cells} cells, more than {MAX_CELLS}"))
        }
        _ => Ok(()),
    }
}
