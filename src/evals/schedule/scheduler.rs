//! Sleeps until something is due, claims it, and begins it.

use crate::domain::{Clock, Timestamp};
use crate::evals::run::Runs;
use crate::evals::schedule::due::{Decision, decide};
use crate::evals::schedule::kept::{Kept, Pending, Turn};
use crate::evals::schedule::shelf::{Found, Scheduled, Shelf};
use crate::evals::schedule::view::{Listing, SentinelView, View};
use crate::evals::schedule::{Claimed, Claims, Times};
use crate::evals::suite::{Overlap, Schedule, Suite};
use crate::proxy::Proxy;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How often files are looked at, and the longest sleep.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// Under which name the store knows who claims.
const HOLDER: &str = "evals.schedule_holder";

/// What a scheduler goes by.
#[derive(Debug, Clone)]
pub struct Config {
    /// The directory of suites.
    pub evals: PathBuf,
    /// The directory of claims; gateways that share it run each due time once.
    pub claims: PathBuf,
    /// What suites and alerts may refer to.
    pub environment: BTreeMap<String, String>,
}

/// Runs suites when they are due, and knows what came of it.
#[derive(Debug)]
pub struct Scheduler {
    pub(super) config: Config,
    claims: Claims,
    pub(super) runs: Arc<Runs>,
    pub(super) proxy: Arc<Proxy>,
    clock: Clock,
    shelf: Arc<Mutex<Shelf>>,
    board: Mutex<Board>,
    /// Told when a run is over.
    ended: Notify,
}

#[derive(Debug, Default)]
struct Board {
    entries: BTreeMap<String, Entry>,
    is_read: bool,
    is_firing: bool,
}

/// A suite with a schedule.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) suite: Arc<Suite>,
    pub(super) schedule: Schedule,
    times: Times,
    pub(super) kept: Kept,
    is_running: bool,
    /// Whether nothing of it was claimed in this process yet.
    is_new: bool,
    /// Whether what an earlier process left was looked at.
    is_taken_up: bool,
}

/// What a loop that fires has at hand.
#[derive(Debug, Clone)]
pub(super) struct Stage {
    tasks: TaskTracker,
    pub(super) stopping: CancellationToken,
    holder: Arc<str>,
}

/// A suite whose run goes on; it is over when this is dropped, however the run ended.
struct Place {
    scheduler: Arc<Scheduler>,
    name: String,
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(entry) = self.scheduler.board().entries.get_mut(&self.name) {
            entry.is_running = false;
        }
        self.scheduler.ended.notify_one();
    }
}

impl Scheduler {
    /// Prepares a scheduler. Nothing is read and nothing begins yet.
    #[must_use]
    pub fn new(config: Config, runs: Arc<Runs>, proxy: Arc<Proxy>, clock: Clock) -> Self {
        let shelf = Shelf::new(config.evals.clone(), config.environment.clone());
        Self {
            claims: Claims::new(config.claims.clone()),
            config,
            runs,
            proxy,
            clock,
            shelf: Arc::new(Mutex::new(shelf)),
            board: Mutex::default(),
            ended: Notify::new(),
        }
    }

    fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins what is due until `stopping`. Runs are tasks of `tasks`.
    pub async fn run(self: Arc<Self>, tasks: TaskTracker, stopping: CancellationToken) {
        let stage = Stage {
            tasks,
            holder: self.holder().await,
            stopping,
        };
        self.board().is_firing = true;
        self.look().await;
        let mut looked = Instant::now();
        loop {
            self.go_on(&stage);
            self.fire(&stage).await;
            tokio::select! {
                () = stage.stopping.cancelled() => return,
                () = self.ended.notified() => self.take_waiting(&stage).await,
                () = sleep(self.pause()) => {}
            }
            if LOOK_EVERY <= looked.elapsed() {
                self.look().await;
                looked = Instant::now();
            }
        }
    }

    /// Returns the name by which this data directory claims.
    async fn holder(&self) -> Arc<str> {
        let ledger = self.runs.ledger();
        if let Ok(Some(holder)) = ledger.setting::<String>(HOLDER).await {
            return holder.into();
        }
        let holder = format!("{:032x}", rand::random::<u128>());
        if let Err(error) = ledger.put_setting(HOLDER, &holder).await {
            tracing::error!(%error, "the name by which due times are claimed cannot be kept");
        }
        holder.into()
    }

    /// How long until something is due, or files are to be looked at.
    fn pause(&self) -> Duration {
        let now = self.clock.now();
        let board = self.board();
        let next = board.entries.values().filter_map(|entry| entry.next(now));
        let micros = next.min().map(|next| next.0.saturating_sub(now.0).max(0));
        let pause = micros.and_then(|micros| u64::try_from(micros).ok());
        let pause = pause.map_or(LOOK_EVERY, Duration::from_micros);
        // A timer that is early would find nothing due.
        LOOK_EVERY.min(pause + Duration::from_millis(1))
    }

    /// Reads the suites again if their files changed.
    async fn look(&self) {
        let shelf = Arc::clone(&self.shelf);
        let found = spawn_blocking(move || {
            let mut shelf = shelf.lock().unwrap_or_else(PoisonError::into_inner);
            shelf.look()
        });
        if let Some(found) = found.await.ok().flatten() {
            self.take(found).await;
        }
        self.board().is_read = true;
    }

    async fn take(&self, found: Found) {
        let Found {
            scheduled,
            unreadable,
        } = found;
        let names: Vec<String> = scheduled.iter().map(|one| one.suite.name.clone()).collect();
        self.board().entries.retain(|name, entry| {
            names.contains(name) || unreadable.contains(&entry.suite.path) || entry.is_running
        });
        for one in scheduled {
            let name = one.suite.name.clone();
            if self.take_one(one).await {
                self.keep(&name).await;
            }
        }
    }

    /// Takes a schedule up; whether something of it is to be kept.
    async fn take_one(&self, scheduled: Scheduled) -> bool {
        let Scheduled {
            suite,
            schedule,
            times,
        } = scheduled;
        let name = suite.name.clone();
        let is_known = self.board().entries.contains_key(&name);
        let kept = if is_known {
            None
        } else {
            let found = self.runs.ledger().setting::<Kept>(&setting(&name)).await;
            let unreadable = |error: &crate::store::Error| tracing::error!(suite = name, %error, "what is kept of a schedule cannot be read");
            found.inspect_err(unreadable).ok().flatten()
        };
        let now = self.clock.now();
        let mut board = self.board();
        let entry = board.entries.entry(name).or_insert_with(|| Entry {
            suite: Arc::new(suite.clone()),
            schedule: schedule.clone(),
            times: times.clone(),
            kept: kept.unwrap_or_default(),
            is_running: false,
            is_new: true,
            is_taken_up: false,
        });
        (entry.suite, entry.times) = (Arc::new(suite), times);
        let is_other = entry.kept.take_up(&schedule.cron, &schedule.time_zone, now);
        entry.schedule = schedule;
        // To look is to change nothing.
        is_other && board.is_firing
    }

    /// Goes on with what was claimed by a process that died.
    fn go_on(self: &Arc<Self>, stage: &Stage) {
        let pending: Vec<(String, Pending)> = {
            let mut board = self.board();
            let entries = board.entries.iter_mut();
            entries
                .filter_map(|(name, entry)| {
                    if std::mem::replace(&mut entry.is_taken_up, true) {
                        return None;
                    }
                    let pending = entry.kept.pending.or_else(|| entry.kept.next())?;
                    entry.is_running = true;
                    Some((name.clone(), pending))
                })
                .collect()
        };
        for (name, pending) in pending {
            tracing::info!(suite = name, run = ?pending.run, "goes on with a scheduled run");
            self.start(name, pending, true, stage);
        }
    }

    /// Begins everything that is due.
    async fn fire(self: &Arc<Self>, stage: &Stage) {
        let now = self.clock.now();
        let decisions: Vec<(String, Decision)> = {
            let board = self.board();
            let decisions = board.entries.iter();
            decisions
                .map(|(name, entry)| (name.clone(), entry.decide(now)))
                .collect()
        };
        for (name, decision) in decisions {
            match decision {
                Decision::Nothing => continue,
                Decision::Due(due) => self.claim(&name, due, now, stage).await,
                Decision::Missed(due) => {
                    tracing::warn!(
                        suite = name,
                        due = due.unix_seconds(),
                        "a scheduled run was missed"
                    );
                    self.change(&name, |kept| {
                        (kept.handled_until, kept.missed) = (Some(due), Some(due));
                    })
                    .await;
                }
                Decision::CountFromNow => {
                    tracing::warn!(
                        suite = name,
                        "the clock was ahead by more than a day: the schedule counts from now"
                    );
                    self.change(&name, |kept| kept.handled_until = Some(now))
                        .await;
                }
            }
        }
    }

    async fn claim(self: &Arc<Self>, name: &str, due: Timestamp, now: Timestamp, stage: &Stage) {
        if stage.stopping.is_cancelled() {
            return;
        }
        let (claims, holder) = (self.claims.clone(), Arc::clone(&stage.holder));
        let suite = name.to_owned();
        let claimed = spawn_blocking(move || claims.claim(&suite, due, now, &holder)).await;
        let is_new = self.entry(name, |entry| std::mem::replace(&mut entry.is_new, false));
        match claimed.unwrap_or_else(|error| Err(std::io::Error::other(error))) {
            Ok(Claimed::Now) => self.claimed(name, due, stage).await,
            // A process that died between its claim and the note of it did not begin.
            Ok(Claimed::Before) if is_new == Some(true) => self.claimed(name, due, stage).await,
            Ok(Claimed::Before | Claimed::Elsewhere) => {
                self.change(name, |kept| {
                    (kept.handled_until, kept.claimed_elsewhere) = (Some(due), Some(due));
                })
                .await;
            }
            Err(error) => {
                let dir = self.config.claims.display();
                let fault = format!("`{dir}` takes no claim, so nothing is run: {error}");
                self.entry(name, |entry| {
                    if entry.kept.error.as_ref() != Some(&fault) {
                        tracing::error!(
                            suite = name,
                            problem = fault,
                            "a scheduled run cannot begin"
                        );
                    }
                    entry.kept.error = Some(fault);
                });
            }
        }
    }

    async fn claimed(self: &Arc<Self>, name: &str, due: Timestamp, stage: &Stage) {
        let turn = self.entry(name, |entry| {
            let waits = entry.schedule.overlap == Overlap::Wait;
            let turn = entry.kept.claimed(due, entry.is_running, waits);
            entry.is_running = true;
            turn
        });
        self.keep(name).await;
        match turn {
            Some(Turn::Begin(pending)) => self.start(name.to_owned(), pending, false, stage),
            Some(Turn::Wait) => {
                tracing::info!(suite = name, "a scheduled run waits for the one before");
            }
            Some(Turn::Skip) => tracing::warn!(
                suite = name,
                due = due.unix_seconds(),
                "a scheduled run is left out: the one before is not over"
            ),
            None => {}
        }
    }

    /// Begins what waited for a run that is over.
    async fn take_waiting(self: &Arc<Self>, stage: &Stage) {
        let waiting: Vec<(String, Pending)> = {
            let mut board = self.board();
            let idle = board
                .entries
                .iter_mut()
                .filter(|(_, entry)| !entry.is_running);
            idle.filter_map(|(name, entry)| {
                let pending = entry.kept.next()?;
                entry.is_running = true;
                Some((name.clone(), pending))
            })
            .collect()
        };
        for (name, pending) in waiting {
            self.keep(&name).await;
            self.start(name, pending, false, stage);
        }
    }

    fn start(self: &Arc<Self>, name: String, pending: Pending, goes_on: bool, stage: &Stage) {
        let (scheduler, stopping) = (Arc::clone(self), stage.stopping.clone());
        let place = Place {
            scheduler: Arc::clone(self),
            name: name.clone(),
        };
        stage.tasks.spawn(async move {
            let _place = place;
            scheduler
                .carry_out(&name, pending, goes_on, &stopping)
                .await;
        });
    }

    /// Does something with a schedule; `None` when it is gone.
    pub(super) fn entry<T>(&self, name: &str, act: impl FnOnce(&mut Entry) -> T) -> Option<T> {
        self.board().entries.get_mut(name).map(act)
    }

    /// Changes what is kept of a schedule, and keeps it.
    pub(super) async fn change(&self, name: &str, change: impl FnOnce(&mut Kept)) {
        self.entry(name, |entry| change(&mut entry.kept));
        self.keep(name).await;
    }

    async fn keep(&self, name: &str) {
        let Some(kept) = self.entry(name, |entry| entry.kept.clone()) else {
            return;
        };
        let put = self.runs.ledger().put_setting(&setting(name), &kept).await;
        if let Err(error) = put {
            tracing::error!(suite = name, %error, "what came of a schedule cannot be kept");
            self.entry(name, |entry| entry.kept.error = Some(error.to_string()));
        }
    }

    /// Returns all schedules; without a process that fires, as they were left.
    pub async fn list(&self) -> Listing {
        if !self.board().is_read {
            self.look().await;
        }
        let now = self.clock.now();
        let board = self.board();
        Listing {
            is_firing: board.is_firing,
            schedules: board
                .entries
                .values()
                .map(|entry| entry.view(now))
                .collect(),
        }
    }
}

/// Under which name the store keeps the schedule of a suite.
fn setting(name: &str) -> String {
    format!("evals.schedule.{name}")
}

impl Entry {
    fn decide(&self, now: Timestamp) -> Decision {
        let handled = self.kept.handled_until.unwrap_or(now);
        decide(&self.times, handled, now, self.schedule.catches_up)
    }

    /// The first due time after `now` that is not dealt with.
    fn next(&self, now: Timestamp) -> Option<Timestamp> {
        self.times
            .after(self.kept.handled_until.unwrap_or(now).max(now))
    }

    fn view(&self, now: Timestamp) -> View {
        let kept = &self.kept;
        View {
            suite: self.suite.name.clone(),
            path: self.suite.path.clone(),
            cron: self.schedule.cron.clone(),
            time_zone: self.schedule.time_zone.clone(),
            overlap: self.schedule.overlap,
            catches_up: self.schedule.catches_up,
            is_running: self.is_running,
            next_due: self.next(now),
            last_due: kept.last_due,
            run: kept.run,
            verdict: kept.verdict,
            summary: kept.summary.clone(),
            error: kept.error.clone(),
            alert_error: kept.alert_error.clone(),
            waiting: kept.waiting,
            skipped: kept.skipped,
            missed: kept.missed,
            claimed_elsewhere: kept.claimed_elsewhere,
            sentinel: kept.sentinel.as_ref().map(|watch| SentinelView {
                reference: watch.reference,
                rates: watch.rates.clone(),
                drift: watch.drift.clone(),
            }),
        }
    }
}
