//! What the store keeps of runs: plans, rows and ends in the journal, answers beside it.
//!
//! Everything is freed of known secrets before it is written.

use crate::domain::{CallRecord, CallState, Clock, Operation, PicoDollars, RunId, Timestamp};
use crate::evals::digest::digest;
use crate::evals::plan::RunPlan;
use crate::evals::report::{RunReport, Spent};
use crate::evals::row::{CellKey, Row};
use crate::evals::shift::OutputShift;
use crate::proxy::CurrentUpstreams;
use crate::store::{self, CallFilter, CallRow, RunEntry, RunStep, Store, StoredRun};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{json, value::to_raw_value};
use std::collections::HashSet;
use std::sync::Arc;
use tokio::task::spawn_blocking;

/// Rows of the list of calls that are read at once.
const PAGE: usize = 1_000;

/// What begins a run. JSON, version 1.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RunStart {
    /// The layout: 1.
    pub version: u32,
    /// The plan.
    pub plan: RunPlan,
    /// The text that is planted in this run, and looked for in its answers.
    pub canary: String,
}

/// Why a run ended before all was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stop {
    /// The budget for everything is spent.
    Budget,
    /// The budget for judges is spent.
    JudgeBudget,
    /// The time for the run is over.
    Deadline,
    /// Somebody stopped it.
    Cancelled,
    /// The process stopped.
    Shutdown,
    /// What is left cannot change the verdict.
    Decided,
    /// A test that may be looked at all the time has decided.
    Tested,
    /// The figures are as precise as was asked for.
    Precise,
    /// Rows can no longer be kept.
    Unrecorded,
    /// It was to ask nobody, and not all answers were there.
    Offline,
}

impl Stop {
    /// Returns it in words.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Budget => "the budget is spent",
            Self::JudgeBudget => "the budget for judges is spent",
            Self::Deadline => "its time is over",
            Self::Cancelled => "it was stopped",
            Self::Shutdown => "the server stopped",
            Self::Decided => "what is left cannot change the verdict",
            Self::Tested => "an anytime-valid test has decided",
            Self::Precise => "the figures are precise enough",
            Self::Unrecorded => "its rows can no longer be kept",
            Self::Offline => "it ran offline, and not all answers were there",
        }
    }

    /// Whether the run has said all it was to say.
    #[must_use]
    pub const fn is_complete(self) -> bool {
        matches!(self, Self::Decided | Self::Tested | Self::Precise)
    }
}

/// What ends a run. JSON, version 1.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RunEnd {
    /// The layout: 1.
    pub version: u32,
    /// The run.
    pub run: RunId,
    /// When it began; of a resumed one, when it began first.
    pub began: Timestamp,
    /// When it ended.
    pub ended: Timestamp,
    /// Why it ended before all was asked; `None` when all was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped: Option<Stop>,
    /// Cells there are.
    pub cells: u64,
    /// Cells that passed.
    pub passed: u64,
    /// Cells that failed.
    pub failed: u64,
    /// Cells that could not be judged.
    pub errors: u64,
    /// What it took.
    pub spent: Spent,
    /// What should be known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// How far the outputs of both sides lie apart, when the suite asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_shift: Option<Box<OutputShift>>,
    /// The report, once one was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<Box<RunReport>>,
}

/// The way to the store.
#[derive(Debug)]
pub struct Ledger {
    store: Arc<Store>,
    /// Knows the secrets; `None` where there are none.
    upstreams: Option<Arc<CurrentUpstreams>>,
    clock: Clock,
}

/// Returns the name of a plan: the same as long as the same is asked and graded, whatever it may cost and
/// however fast it goes.
#[must_use]
pub fn plan_hash(plan: &RunPlan) -> String {
    let settings = &plan.settings;
    digest(&json!([
        plan.suite,
        plan.sides,
        plan.judge,
        settings.repeat,
        settings.judge,
        settings.gates,
    ]))
}

/// Returns the name of a cell in the store.
fn cell_name(cell: &CellKey) -> String {
    digest(cell)
}

impl Ledger {
    /// Opens the way to `store`.
    #[must_use]
    pub const fn new(
        store: Arc<Store>,
        upstreams: Option<Arc<CurrentUpstreams>>,
        clock: Clock,
    ) -> Self {
        Self {
            store,
            upstreams,
            clock,
        }
    }

    /// Returns the time of day.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn encode<T: Serialize>(&self, value: &T) -> Result<Bytes, store::Error> {
        let json = serde_json::to_vec(value).map_err(|source| store::Error::Encode { source })?;
        let json = Bytes::from(json);
        Ok(match &self.upstreams {
            Some(upstreams) => upstreams.get().secrets.scrub_bytes(&json),
            None => json,
        })
    }

    async fn append(&self, entry: &RunEntry, body: &Bytes) -> Result<(), store::Error> {
        let position = self.store.append_run_entry(entry, body)?;
        self.store.durable(position).await
    }

    fn entry(&self, run: RunId, step: RunStep) -> RunEntry {
        RunEntry {
            run,
            step,
            at: self.clock.now(),
            cell: None,
            facts: None,
        }
    }

    /// Writes that a run begins.
    ///
    /// # Errors
    ///
    /// When the journal does not take it.
    pub async fn begin(
        &self,
        run: RunId,
        start: &RunStart,
        cells: u64,
    ) -> Result<(), store::Error> {
        let plan = &start.plan;
        let sides = plan.sides.iter();
        let sides: Vec<_> = sides
            .map(|side| json!({"side": side.side, "name": side.name, "commit": side.commit}))
            .collect();
        let facts = json!({
            "suite": plan.suite,
            "path": plan.path,
            "plan_hash": plan_hash(plan),
            "by": plan.by,
            "sides": sides,
            "cells": cells,
        });
        let entry = RunEntry {
            facts: to_raw_value(&facts).ok(),
            ..self.entry(run, RunStep::Began)
        };
        self.append(&entry, &self.encode(start)?).await
    }

    /// Writes that a run goes on.
    ///
    /// # Errors
    ///
    /// When the journal does not take it.
    pub async fn resume(&self, run: RunId) -> Result<(), store::Error> {
        let entry = self.entry(run, RunStep::Resumed);
        self.append(&entry, &Bytes::new()).await
    }

    /// Writes a row.
    ///
    /// # Errors
    ///
    /// When the journal does not take it.
    pub async fn keep(&self, row: &Row) -> Result<(), store::Error> {
        let entry = RunEntry {
            cell: Some(cell_name(&row.cell)),
            ..self.entry(row.run, RunStep::Row)
        };
        self.append(&entry, &self.encode(row)?).await
    }

    /// Writes that a run ended.
    ///
    /// # Errors
    ///
    /// When the journal does not take it.
    pub async fn end(&self, end: &RunEnd) -> Result<(), store::Error> {
        let facts = json!({
            "stopped": end.stopped,
            "passed": end.passed,
            "failed": end.failed,
            "errors": end.errors,
            "verdict": end.report.as_ref().map(|report| report.verdict),
            "case_pico_usd": end.spent.cases,
            "judge_pico_usd": end.spent.judges,
        });
        let entry = RunEntry {
            facts: to_raw_value(&facts).ok(),
            ..self.entry(end.run, RunStep::Ended)
        };
        self.append(&entry, &self.encode(end)?).await
    }

    /// Runs a query of the store off the runtime's threads.
    async fn blocking<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Store) -> Result<T, store::Error> + Send + 'static,
    ) -> Result<T, store::Error> {
        let store = Arc::clone(&self.store);
        let answer = spawn_blocking(move || query(&store)).await;
        answer.unwrap_or(Err(store::Error::Closed))
    }

    /// Returns a run by the start of its id.
    ///
    /// # Errors
    ///
    /// Those of [`Store::run`].
    pub async fn find(&self, id: &str) -> Result<Option<StoredRun>, store::Error> {
        let id = id.to_owned();
        self.blocking(move |store| store.run(&id)).await
    }

    /// Returns runs, newest first; with `before`, only older ones.
    ///
    /// # Errors
    ///
    /// Those of [`Store::runs`].
    pub async fn runs(
        &self,
        before: Option<RunId>,
        limit: usize,
    ) -> Result<Vec<StoredRun>, store::Error> {
        self.blocking(move |store| store.runs(before, limit)).await
    }

    /// Returns what began a run; `None` when that is lost or of a form that is not known here.
    ///
    /// # Errors
    ///
    /// Those of [`Store::run_plan`].
    pub async fn start(&self, run: &StoredRun) -> Result<Option<RunStart>, store::Error> {
        let run = run.clone();
        let body = self.blocking(move |store| store.run_plan(&run)).await?;
        Ok(body.and_then(|body| serde_json::from_slice(&body).ok()))
    }

    /// Returns what ended a run; `None` while it has not.
    ///
    /// # Errors
    ///
    /// Those of [`Store::run_report`].
    pub async fn ending(&self, run: &StoredRun) -> Result<Option<RunEnd>, store::Error> {
        let run = run.clone();
        let body = self.blocking(move |store| store.run_report(&run)).await?;
        Ok(body.and_then(|body| serde_json::from_slice(&body).ok()))
    }

    /// Returns the newest row of each cell, in the order in which they were written.
    ///
    /// # Errors
    ///
    /// Those of [`Store::run_rows`].
    pub async fn rows(&self, run: RunId) -> Result<Vec<Row>, store::Error> {
        let rows = self.blocking(move |store| store.run_rows(run)).await?;
        let rows = rows.iter().filter_map(|row| {
            let parsed = serde_json::from_slice(&row.body);
            parsed
                .inspect_err(
                    |error| tracing::error!(%run, cell = row.cell, %error, "a row cannot be read"),
                )
                .ok()
        });
        Ok(rows.collect())
    }

    /// Returns the calls of a run that have an answer which no row tells of, in their order: what was paid
    /// when the run was cut.
    ///
    /// # Errors
    ///
    /// Those of [`Store::calls`] and [`Store::record`].
    pub async fn paid(&self, run: RunId, rows: &[Row]) -> Result<Vec<CallRecord>, store::Error> {
        let mut told: HashSet<_> = rows
            .iter()
            .filter_map(|row| row.answer.as_ref()?.call)
            .collect();
        for row in rows {
            let judged = row.grade.assertions.iter();
            let judged = judged.filter_map(|assertion| assertion.grade.judged.as_ref());
            told.extend(judged.flat_map(|judged| judged.calls.iter().copied()));
        }
        self.blocking(move |store| {
            let filter = CallFilter {
                run: Some(run),
                state: Some(CallState::Ok),
                ..CallFilter::default()
            };
            let mut records = Vec::new();
            let mut before = None;
            loop {
                let page = store.calls(&filter, before, PAGE)?;
                for row in page.iter().filter(|row| !told.contains(&row.id)) {
                    records.extend(store.record(&row.id.to_string())?);
                }
                before = page.last().map(|row| row.id);
                if page.len() < PAGE {
                    records.reverse();
                    return Ok(records);
                }
            }
        })
        .await
    }

    /// Returns the chat calls of a client's session in their order, with what was sent and answered; `None` when
    /// there are more than `most`. Calls of runs and of shadows, which no client saw, are left out.
    ///
    /// # Errors
    ///
    /// Those of [`Store::calls`] and [`Store::record`].
    pub async fn session(
        &self,
        session: &str,
        most: usize,
    ) -> Result<Option<Vec<CallRecord>>, store::Error> {
        let filter = CallFilter {
            session: Some(session.to_owned()),
            ..CallFilter::default()
        };
        self.blocking(move |store| {
            let rows = store.calls(&filter, None, most.saturating_add(1))?;
            if most < rows.len() {
                return Ok(None);
            }
            let mut records = Vec::new();
            // A conversation may also be held with raw requests.
            let talks = |row: &&CallRow| matches!(row.operation, Operation::Chat | Operation::Raw);
            for row in rows.iter().rev().filter(talks) {
                records.extend(store.record(&row.id.to_string())?);
            }
            records
                .retain(|record| record.intent.run.is_none() && record.intent.shadow_of.is_none());
            Ok(Some(records))
        })
        .await
    }

    /// Returns what is kept under `name` in the settings; `None` when there is nothing, or nothing that can be read
    /// as such.
    ///
    /// # Errors
    ///
    /// Those of [`Store::setting`].
    pub async fn setting<T: for<'de> Deserialize<'de>>(
        &self,
        name: &str,
    ) -> Result<Option<T>, store::Error> {
        let name = name.to_owned();
        let found = self.blocking(move |store| store.setting(&name)).await?;
        Ok(found.and_then(|text| serde_json::from_str(text.get()).ok()))
    }

    /// Keeps a small value under `name`, durably.
    ///
    /// # Errors
    ///
    /// Those of [`Store::put_setting`].
    pub async fn put_setting<T: Serialize>(
        &self,
        name: &str,
        value: &T,
    ) -> Result<(), store::Error> {
        let name = name.to_owned();
        let value = to_raw_value(value).map_err(|source| store::Error::Encode { source })?;
        self.blocking(move |store| store.put_setting(&name, &value))
            .await
    }

    /// Returns the answer that is kept under `key`, and when it was asked.
    pub async fn kept_answer<T: for<'de> Deserialize<'de>>(
        &self,
        key: &str,
    ) -> Option<(Timestamp, T)> {
        let key = key.to_owned();
        let found = self.blocking(move |store| store.kept_answer(&key)).await;
        // Without the cache a run is dearer, not wrong.
        let found =
            found.inspect_err(|error| tracing::warn!(%error, "a kept answer cannot be read"));
        let (at, body) = found.ok().flatten()?;
        Some((at, serde_json::from_slice(&body).ok()?))
    }

    /// Keeps an answer under `key`.
    pub async fn keep_answer<T: Serialize>(&self, key: &str, answer: &T) {
        let (key, body) = (key.to_owned(), self.encode(answer));
        let kept = self
            .blocking(move |store| store.keep_answer(&key, &body?))
            .await;
        if let Err(error) = kept {
            tracing::warn!(%error, "an answer cannot be kept for later runs");
        }
    }
}

/// Returns the sums that rows say were paid, for cases and for judges.
pub(super) fn paid_of(rows: &[&Row]) -> (PicoDollars, PicoDollars) {
    let (mut cases, mut judges) = (0_u64, 0_u64);
    for row in rows {
        let answer = row
            .answer
            .as_ref()
            .filter(|answer| answer.cached_from.is_none());
        let cost = answer.and_then(|answer| answer.cost.pico_usd);
        cases = cases.saturating_add(cost.map_or(0, |cost| cost.0));
        let judged = row.grade.assertions.iter();
        let judged = judged.filter_map(|assertion| assertion.grade.judged.as_ref());
        for judged in judged.filter(|judged| !judged.is_cached) {
            let cost = judged.cost.pico_usd.map_or(0, |cost| cost.0);
            judges = judges.saturating_add(cost);
        }
    }
    (PicoDollars(cases), PicoDollars(judges))
}
