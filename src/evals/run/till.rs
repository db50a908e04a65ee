//! Where every question of a run passes, of cases and of judges alike: an answer that was paid before the
//! run was cut is taken, then one that is kept from another run; else money is reserved, a place is waited
//! for, and the gateway is asked.

use crate::domain::{Cost, Purpose, RunId, Timestamp};
use crate::evals::gateway::{
    Ask, AskContent, AskError, Embedded, Gateway, Moderated, ModerationAsk, OFFLINE, Pending, Reply,
};
use crate::evals::ledger::{Ledger, Stop};
use crate::evals::run::asks::{ask_key, cache_key, vectors_key};
use crate::evals::run::budget::{Budget, Exceeded, Reservation};
use crate::proxy::Paces;
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// How often a provider that is busy is asked the same.
const TRIES: u32 = 20;

/// The codes by which a provider says that it is too much.
const BUSY: [&str; 2] = ["provider_rate_limited", "provider_overloaded"];

/// Answers that were paid before the run was cut, by the names of their questions.
pub(super) type Paid = HashMap<String, VecDeque<Reply>>;

/// The till of a run.
#[derive(Debug)]
pub(super) struct Till<G> {
    gateway: G,
    ledger: Arc<Ledger>,
    budget: Budget,
    paces: Paces,
    /// Answers that were kept before this are used; `None` where none is. What a run has asked itself is
    /// no answer to its other questions: they would say the same without knowing it.
    cached_before: Option<Timestamp>,
    paid: Mutex<Paid>,
    /// Cancelled when nothing more may be asked.
    halt: CancellationToken,
    /// How long texts may take to be embedded.
    embed_timeout: Duration,
    /// Whether nobody is asked.
    is_offline: bool,
    counts: Counts,
}

/// What was asked since the process began with the run.
#[derive(Debug, Default)]
struct Counts {
    cases: AtomicU64,
    judges: AtomicU64,
}

/// Vectors as they are kept.
#[derive(Debug, Serialize, Deserialize)]
struct KeptVectors {
    vectors: Vec<Vec<f32>>,
    cost: Cost,
}

impl<G: Gateway> Till<G> {
    pub(super) fn new(
        (gateway, ledger): (G, Arc<Ledger>),
        (budget, paces): (Budget, Paces),
        (cached_before, embed_timeout): (Option<Timestamp>, Duration),
        paid: Paid,
        halt: CancellationToken,
    ) -> Self {
        Self {
            gateway,
            ledger,
            budget,
            paces,
            cached_before,
            paid: Mutex::new(paid),
            halt,
            embed_timeout,
            is_offline: false,
            counts: Counts::default(),
        }
    }

    /// Asks nobody from now on, when `is_offline`.
    pub(super) const fn set_offline(&mut self, is_offline: bool) {
        self.is_offline = is_offline;
    }

    /// Lets more be asked after the cells are over, whatever has ended them.
    pub(super) fn reopen(&mut self) {
        self.halt = CancellationToken::new();
    }

    /// Returns why the budget ends the run, if it does.
    pub(super) fn stop(&self) -> Option<Stop> {
        self.budget.exceeded().map(|exceeded| match exceeded {
            Exceeded::Total => Stop::Budget,
            Exceeded::Judges => Stop::JudgeBudget,
        })
    }

    /// Returns the money.
    pub(super) const fn budget(&self) -> &Budget {
        &self.budget
    }

    /// Returns how many calls a model is asked at once now, at the busiest one.
    pub(super) fn concurrency(&self) -> u32 {
        self.paces.lowest()
    }

    /// Returns how many calls were made, for cases and for judges.
    pub(super) fn calls(&self) -> (u64, u64) {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        (count(&self.counts.cases), count(&self.counts.judges))
    }

    fn take_paid(&self, key: &str) -> Option<Reply> {
        let mut paid = self.paid.lock().unwrap_or_else(PoisonError::into_inner);
        paid.get_mut(key)?.pop_front()
    }

    fn count(&self, purpose: Purpose) {
        let counter = match purpose {
            Purpose::Case => &self.counts.cases,
            Purpose::Judge | Purpose::Embedding => &self.counts.judges,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    async fn answer(&self, ask: &Ask) -> Result<Reply, AskError> {
        if let Some(reply) = self.take_paid(&ask_key(ask)) {
            return Ok(reply);
        }
        let cached_before = self.cached_before.filter(|_| !ask.is_timed);
        let key = cached_before.map(|before| (before, cache_key(ask)));
        if let Some((before, key)) = &key
            && let Some((at, reply)) = self.ledger.kept_answer::<Reply>(key).await
            && at < *before
        {
            return Ok(Reply {
                cached_from: Some(at),
                ..reply
            });
        }
        let model = model_of(ask);
        let reservation = self.reserve(ask.purpose, &model).await?;
        let asked = || {
            self.count(ask.purpose);
            timeout(ask.timeout, self.gateway.ask(ask))
        };
        let reply = self.insist(&model, ask.timeout, asked).await?;
        reservation.settle(&reply.cost);
        if let Some((_, key)) = &key {
            self.ledger.keep_answer(key, &reply).await;
        }
        Ok(reply)
    }

    async fn reserve(&self, purpose: Purpose, model: &str) -> Result<Reservation<'_>, AskError> {
        if self.is_offline {
            return Err(offline());
        }
        tokio::select! {
            biased;
            () = self.halt.cancelled() => Err(halted()),
            reserved = self.budget.reserve((purpose, model.to_owned())) => {
                reserved.map_err(|_| AskError {
                    code: "eval_budget_spent".to_owned(),
                    message: "the budget of the run is spent".to_owned(),
                    call: None,
                    is_retryable: false,
                    retry_after_ms: None,
                })
            }
        }
    }

    /// Asks in the model's pace, and again while it says that it is too much.
    async fn insist<T, F>(
        &self,
        model: &str,
        limit: Duration,
        mut ask: impl FnMut() -> F,
    ) -> Result<T, AskError>
    where
        F: Future<Output = Result<Result<T, AskError>, tokio::time::error::Elapsed>>,
    {
        let pace = self.paces.of(model);
        let mut tries = 0;
        loop {
            let place = tokio::select! {
                biased;
                () = self.halt.cancelled() => return Err(halted()),
                place = pace.enter() => place,
            };
            tries += 1;
            match ask().await {
                Ok(Ok(answer)) => {
                    place.went_well();
                    return Ok(answer);
                }
                Ok(Err(error)) if BUSY.contains(&error.code.as_str()) => {
                    place.was_too_much(error.retry_after_ms.map(Duration::from_millis));
                    if TRIES <= tries {
                        return Err(error);
                    }
                }
                Ok(Err(error)) => return Err(error),
                Err(_) => return Err(late(limit)),
            }
        }
    }

    async fn vectors(
        &self,
        run: RunId,
        model: &str,
        texts: &[String],
    ) -> Result<Embedded, AskError> {
        // A record has no vectors, so they are kept for the run even where the cache is off.
        let key = vectors_key(self.cached_before.is_none().then_some(run), model, texts);
        if let Some((_, kept)) = self.ledger.kept_answer::<KeptVectors>(&key).await {
            return Ok(Embedded {
                vectors: kept.vectors,
                cost: kept.cost,
                usage: None,
                call: None,
            });
        }
        let reservation = self.reserve(Purpose::Judge, model).await?;
        let asked = || {
            self.count(Purpose::Embedding);
            timeout(self.embed_timeout, self.gateway.embed(run, model, texts))
        };
        let embedded = self.insist(model, self.embed_timeout, asked).await?;
        reservation.settle(&embedded.cost);
        let kept = KeptVectors {
            vectors: embedded.vectors.clone(),
            cost: embedded.cost.clone(),
        };
        self.ledger.keep_answer(&key, &kept).await;
        Ok(embedded)
    }
}

impl<G: Gateway> Till<G> {
    async fn moderated(&self, ask: ModerationAsk<'_>) -> Result<Moderated, AskError> {
        let reservation = self.reserve(Purpose::Judge, ask.model).await?;
        let asked = || {
            self.count(Purpose::Judge);
            timeout(ask.timeout, self.gateway.moderate(ask))
        };
        let moderated = self.insist(ask.model, ask.timeout, asked).await?;
        reservation.settle(&moderated.cost);
        Ok(moderated)
    }
}

impl<G: Gateway> Gateway for Till<G> {
    fn ask<'a>(&'a self, ask: &'a Ask) -> Pending<'a, Result<Reply, AskError>> {
        Box::pin(self.answer(ask))
    }

    fn embed<'a>(
        &'a self,
        run: RunId,
        model: &'a str,
        texts: &'a [String],
    ) -> Pending<'a, Result<Embedded, AskError>> {
        Box::pin(self.vectors(run, model, texts))
    }

    fn moderate<'a>(&'a self, ask: ModerationAsk<'a>) -> Pending<'a, Result<Moderated, AskError>> {
        Box::pin(self.moderated(ask))
    }

    fn is_offline(&self) -> bool {
        self.is_offline
    }
}

/// The name whose pace a question goes by: its model, or the prompt that names one.
fn model_of(ask: &Ask) -> String {
    match (&ask.model, &ask.content) {
        (Some(model), _) => model.clone(),
        (None, AskContent::Version { key, .. }) => format!("prompt:{key}"),
        (None, AskContent::Messages(_)) => String::new(),
    }
}

fn offline() -> AskError {
    AskError {
        code: "offline".to_owned(),
        message: OFFLINE.to_owned(),
        call: None,
        is_retryable: true,
        retry_after_ms: None,
    }
}

fn halted() -> AskError {
    AskError {
        code: "eval_stopped".to_owned(),
        message: "the run was stopped before this was asked".to_owned(),
        call: None,
        is_retryable: true,
        retry_after_ms: None,
    }
}

fn late(limit: Duration) -> AskError {
    AskError {
        code: "eval_timeout".to_owned(),
        message: format!("there was no answer within {limit:?}"),
        call: None,
        is_retryable: true,
        retry_after_ms: None,
    }
}
