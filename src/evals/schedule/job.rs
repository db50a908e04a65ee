//! One due time: planned, run, looked at, told.

use crate::domain::{Caller, PromptReference, RunId, Timestamp};
use crate::evals::baseline::{self, Baseline};
use crate::evals::ledger::Stop;
use crate::evals::plan::RunPlan;
use crate::evals::planner::{self, Figures, Filter, Request, ResolvedVersion, Tree};
use crate::evals::report::{RunReport, Verdict};
use crate::evals::run::{Options, Watched};
use crate::evals::schedule::alerts::{self, Message};
use crate::evals::schedule::kept::Pending;
use crate::evals::schedule::scheduler::Scheduler;
use crate::evals::schedule::sentinel::{self, Watch};
use crate::evals::suite::{Ground, Problem, PromptSource, Suite};
use crate::metering::PriceRow;
use crate::proxy::Upstreams;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

/// What reports call who asked.
pub(in crate::evals) const BY: &str = "schedule";
/// What reports call the tree of files.
const TREE: &str = "the gateway's prompts";

/// The versions that a suite refers to.
type Versions = BTreeMap<String, Result<ResolvedVersion, String>>;

impl Scheduler {
    /// Runs a suite for a due time, keeps what came of it, and tells of it.
    pub(super) async fn carry_out(
        &self,
        name: &str,
        pending: Pending,
        goes_on: bool,
        stopping: &CancellationToken,
    ) {
        let begun = self.begin(name, pending, goes_on).await;
        // What is pending goes on when the next process starts.
        let is_left = || stopping.is_cancelled();
        let report = match begun {
            Err(fault) if is_left() => {
                tracing::info!(
                    suite = name,
                    problem = fault,
                    "a scheduled run is left for later"
                );
                return;
            }
            Err(fault) => Err(fault),
            Ok(watched) => {
                let run = watched.run;
                self.change(name, |kept| {
                    kept.pending = Some(Pending {
                        run: Some(run),
                        ..pending
                    });
                    (kept.run, kept.last_due) = (Some(run), Some(pending.due));
                })
                .await;
                // The sender is gone when the run has ended, and it ends when the process stops.
                let mut progress = watched.progress;
                while progress.changed().await.is_ok() {}
                match self.report(run).await {
                    Ok(None) => return,
                    Ok(Some(report)) => Ok(report),
                    Err(_) if is_left() => return,
                    Err(fault) => Err(fault),
                }
            }
        };
        self.settle(name, pending.due, report).await;
    }

    /// Returns the report of a run; `None` when the run was cut by the end of this process.
    async fn report(&self, run: RunId) -> Result<Option<RunReport>, String> {
        let end = self.runs.ending(run).await;
        let end = end.map_err(|error| error.to_string())?;
        if end.stopped == Some(Stop::Shutdown) {
            return Ok(None);
        }
        // The end has the report as it was made then, without the rows, which nobody reads here.
        if let Some(report) = end.report {
            return Ok(Some(*report));
        }
        let report = self.runs.report(run).await;
        report.map(Some).map_err(|error| error.to_string())
    }

    async fn begin(&self, name: &str, pending: Pending, goes_on: bool) -> Result<Watched, String> {
        if let Some(run) = pending.run {
            let options = Options {
                resume: Some(run.to_string()),
                ..Options::default()
            };
            match self.runs.begin(None, &options).await {
                Ok(watched) => return Ok(watched),
                Err(error) => {
                    tracing::warn!(suite = name, %run, %error, "a scheduled run begins anew");
                }
            }
        }
        let gone = || "its suite is gone".to_owned();
        let found = self.entry(name, |entry| {
            (Arc::clone(&entry.suite), entry.kept.sentinel.clone())
        });
        let (suite, watch) = found.ok_or_else(gone)?;
        let plan = self.plan(&suite, watch).await?;
        let options = Options {
            // A run that was begun before its name was kept is found by its plan.
            fresh: !goes_on,
            ..Options::default()
        };
        let begun = self.runs.begin(Some(plan), &options).await;
        begun.map_err(|error| error.to_string())
    }

    async fn plan(&self, suite: &Suite, watch: Option<Watch>) -> Result<RunPlan, String> {
        let versions = self.versions(suite).await;
        let find = |reference: &PromptReference| {
            let found = versions.get(&reference.to_string()).cloned();
            found.unwrap_or_else(|| Err("there is no such prompt".to_owned()))
        };
        let (upstreams, now) = (self.proxy.upstreams.get(), self.runs.ledger().now());
        let planned = planner::plan(&Request {
            head: Tree {
                suite,
                commit: None,
                name: TREE.to_owned(),
                prompts: &find,
            },
            base: None,
            filter: &Filter::default(),
            figures: &Figures {
                price: &|model| price(&upstreams, model, now),
                recorded_output: &|_| None,
                // Without a base no answers are held against others.
                embedding_model: None,
            },
        });
        let mut plan = planned.map_err(|problems| words(&problems))?;
        plan.by = Some(BY.to_owned());
        let evals = self.config.evals.clone();
        let found = spawn_blocking(move || {
            if let Ok(ground) = Ground::find(&evals) {
                plan.find_commit(&ground.root);
            }
            plan
        });
        let mut plan = found.await.map_err(|error| error.to_string())?;
        // An answer of yesterday says nothing of today.
        plan.settings.is_cached = false;
        let is_sentinel = |suite: &Suite| {
            let schedule = suite.settings.schedule.as_ref();
            schedule.is_some_and(|schedule| schedule.is_sentinel)
        };
        if !is_sentinel(suite) {
            let blessed = baseline::blessed(&self.config.evals, &suite.name);
            plan.baseline = blessed.map_err(|error| error.to_string())?;
        } else if let Some(watch) = watch.filter(|watch| watch.key == sentinel::key(&plan)) {
            plan.baseline = self.reference(&watch).await;
        }
        Ok(plan)
    }

    /// The run that a sentinel is compared with; without its rows nothing is compared.
    async fn reference(&self, watch: &Watch) -> Option<baseline::Named> {
        let run = watch.reference;
        let report = self.runs.report(run).await;
        let report = report.inspect_err(
            |error| tracing::warn!(%run, %error, "the first run of a sentinel cannot be read"),
        );
        let baseline = Baseline::of(&report.ok()?).ok()?;
        Some((format!("run {run}"), Box::new(baseline)))
    }

    /// Resolves what the suite refers to, as the gateway serves it.
    async fn versions(&self, suite: &Suite) -> Versions {
        let mut found = Versions::new();
        for entry in &suite.prompts {
            let PromptSource::Registry(reference) = &entry.source else {
                continue;
            };
            let prompts = &self.proxy.prompts;
            let reference = prompts.real_name(reference.clone());
            let resolved = prompts.resolve(&reference, &Caller::local()).await;
            let version = resolved.map_err(|error| error.to_string());
            let version = version.and_then(|resolved| {
                let (stamp, bundle) = (&resolved.stamp, &resolved.bundle);
                ResolvedVersion::of(&stamp.key, bundle, stamp.version())
            });
            if let PromptSource::Registry(reference) = &entry.source {
                found.insert(reference.to_string(), version);
            }
        }
        found
    }

    /// Keeps what a due time came to, and tells of it.
    async fn settle(&self, name: &str, due: Timestamp, report: Result<RunReport, String>) {
        let Some((alerts, is_sentinel)) = self.entry(name, |entry| {
            let schedule = &entry.schedule;
            (schedule.alerts.clone(), schedule.is_sentinel)
        }) else {
            return;
        };
        if let Err(fault) = &report {
            tracing::error!(
                suite = name,
                problem = fault,
                "a scheduled run says nothing"
            );
        }
        let key = match &report {
            Ok(report) if is_sentinel => self.key_of(report.run).await,
            _ => None,
        };
        let mut drift = None;
        self.change(name, |kept| {
            kept.pending = None;
            kept.last_due = Some(due);
            match &report {
                Ok(report) => {
                    kept.verdict = Some(report.verdict);
                    kept.summary = Some(report.summary.clone());
                    kept.error = None;
                    if let Some(key) = &key {
                        kept.sentinel = sentinel::note(kept.sentinel.take(), key, report);
                        let watch = kept.sentinel.as_ref();
                        drift = watch.and_then(|watch| watch.drift.clone());
                    }
                }
                Err(fault) => {
                    (kept.verdict, kept.summary) = (Some(Verdict::Invalid), None);
                    kept.error = Some(fault.clone());
                }
            }
        })
        .await;
        let message = message(name, &report, drift.as_deref());
        let fault = alerts::tell(&alerts, &message, &self.config.environment).await;
        let is_other = self.entry(name, |entry| entry.kept.alert_error != fault);
        if is_other == Some(true) {
            self.change(name, |kept| kept.alert_error = fault).await;
        }
    }

    /// The name of what a run asked.
    async fn key_of(&self, run: RunId) -> Option<String> {
        let ledger = self.runs.ledger();
        let stored = ledger.find(&run.to_string()).await.ok()??;
        let start = ledger.start(&stored).await.ok()??;
        Some(sentinel::key(&start.plan))
    }
}

/// What is told of a due time.
fn message(name: &str, report: &Result<RunReport, String>, drift: Option<&str>) -> Message {
    let (kind, mut text) = match report {
        Ok(report) => {
            let kind = word(report.verdict);
            let (run, path) = (report.run, &report.suite.path);
            let text = format!(
                "promptgate: suite `{name}`: {kind}\n{}\nrun {run}: `promptgate evals report {run}`\nagain: `promptgate evals run {path}`",
                report.summary
            );
            (kind, text)
        }
        Err(fault) => (
            word(Verdict::Invalid),
            format!(
                "promptgate: suite `{name}` did not run: {fault}\nagain: `promptgate evals run {name}`"
            ),
        ),
    };
    let mut kinds = vec![kind];
    if let Some(drift) = drift {
        kinds.push("drift");
        text = format!("{text}\ndrift of the provider: {drift}");
    }
    Message { kinds, text }
}

/// The word of a verdict, as alerts go by it.
const fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Passed => "passed",
        Verdict::Failed => "failed",
        Verdict::Inconclusive => "inconclusive",
        Verdict::Invalid => "invalid",
    }
}

/// The price of a model at the provider that serves it.
fn price(upstreams: &Upstreams, model: &str, at: Timestamp) -> Option<Arc<PriceRow>> {
    let (provider, name) = upstreams.routes.owner(model)?;
    upstreams.row(provider, name, at)
}

fn words(problems: &[Problem]) -> String {
    let words: Vec<String> = problems.iter().map(ToString::to_string).collect();
    words.join("; ")
}
