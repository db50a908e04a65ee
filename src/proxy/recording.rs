//! One record per call, always: the intent before a provider is asked, one outcome at the end, also
//! when the client leaves (then from `Drop`) or the provider dies.

use crate::domain::{
    Attempt, BodyFormat, CallIntent, CallOutcome, CallState, CallTimes, Caller, Clock, Cost,
    CostQuality, Operation, PicoDollars, TokenUsage,
};
use crate::metering::{self, Retirement, Tokens};
use crate::providers::Upload;
use crate::proxy::attempts::micros;
use crate::proxy::call::{Arrival, Call};
use crate::proxy::ending::Ending;
use crate::proxy::routing::{Plan, PlannedAttempt};
use crate::proxy::{AnswerFacts, Error, Failure, Upstreams, countable};
use crate::safety::Secrets;
use crate::store::{self, Position, Store};
use crate::telemetry::Telemetry;
use crate::wire::conversation::Request;
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::task::{JoinError, JoinHandle};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

/// Writes the records of all calls.
#[derive(Debug)]
pub struct Recorder {
    /// Where records go.
    pub store: Arc<Store>,
    /// Counts tokens where a provider reports none.
    pub tokens: Tokens,
    /// The places of those who count: one a core, so that a thousand streams that are left at once do
    /// not make a thousand threads.
    pub counting: Arc<Semaphore>,
    /// Who else is told.
    pub telemetry: Arc<Telemetry>,
    /// The time of day.
    pub clock: Clock,
    /// Where work goes that a dropped call leaves behind; shutdown waits for it.
    pub tasks: TaskTracker,
    /// The runtime that work runs on, since `Drop` may run outside of it.
    pub runtime: Handle,
}

/// A call whose intent is in the journal. Ends in exactly one outcome: by [`Recording::complete`],
/// [`Recording::fail`], or, when it is dropped, as `client_gone`.
#[derive(Debug)]
pub(crate) struct Recording {
    recorder: Arc<Recorder>,
    open: Option<Box<Open>>,
}

/// What is known of a call that is under way.
#[derive(Debug)]
struct Open {
    intent: CallIntent,
    messages: Arc<[Bytes]>,
    conversation: Option<Arc<Request>>,
    upstreams: Arc<Upstreams>,
    started: Instant,
    attempt: PlannedAttempt,
    attempts: Vec<Attempt>,
    times: CallTimes,
    retirement: Option<Retirement>,
    warnings: Vec<String>,
    is_recorded: bool,
    /// The request's body, where it is handed on while it comes.
    upload: Option<Upload>,
}

/// An outcome, and where it stands in the journal.
#[derive(Debug)]
struct Written {
    outcome: CallOutcome,
    position: Option<Position>,
}

impl Recorder {
    /// Writes the intent of `call`. Only after this may a provider be asked.
    ///
    /// # Errors
    ///
    /// When the journal does not take it and the policy is to refuse.
    pub(crate) async fn begin(
        self: &Arc<Self>,
        caller: &Caller,
        call: &Call,
        plan: &Plan,
        arrival: &Arrival,
        upstreams: &Arc<Upstreams>,
    ) -> Result<Recording, Error> {
        let request = if arrival.drops_text {
            Bytes::new()
        } else {
            upstreams.secrets.scrub_bytes(&arrival.body)
        };
        let intent = self.intent(caller, call, plan, (arrival, request));
        let is_recorded = match self.store.append_intent(&intent) {
            Ok(position) => {
                self.store.durable(position).await?;
                true
            }
            Err(error) if self.tolerates(&error) => {
                self.telemetry.call_unrecorded(&error);
                false
            }
            Err(error) => return Err(error.into()),
        };
        self.telemetry.call_begun();
        let retirement = upstreams.retirement(&plan.first, intent.started);
        let warning = retirement.map(|retirement| self.tell_retirement(&intent, retirement));
        Ok(Recording {
            recorder: Arc::clone(self),
            open: Some(Box::new(Open {
                intent,
                messages: Arc::clone(&call.messages),
                conversation: call.conversation.clone(),
                upstreams: Arc::clone(upstreams),
                started: arrival.started,
                attempt: plan.first.clone(),
                attempts: Vec::with_capacity(1),
                times: CallTimes::default(),
                retirement,
                warnings: call.warnings.iter().cloned().chain(warning).collect(),
                is_recorded,
                upload: None,
            })),
        })
    }

    /// Counts a call to a model that is near its end, and returns the warning.
    fn tell_retirement(&self, intent: &CallIntent, retirement: Retirement) -> String {
        let prompt = intent.prompt.as_ref().map(|stamp| stamp.key.as_str());
        let model = format!("{}/{}", intent.provider, intent.model);
        let day = retirement.to_string();
        self.telemetry
            .retiring_model_called(prompt, &model, &day, intent.started);
        match prompt {
            Some(prompt) => format!("the model `{model}` of the prompt `{prompt}` {day}"),
            None => format!("the model `{model}` {day}"),
        }
    }

    /// Whether the operator lets calls pass that cannot be recorded. They are counted.
    fn tolerates(&self, error: &store::Error) -> bool {
        matches!(error, store::Error::JournalFull { .. }) && self.store.may_serve_unrecorded()
    }

    /// `request` is the body as it is written down: without secrets.
    fn intent(
        &self,
        caller: &Caller,
        call: &Call,
        plan: &Plan,
        (arrival, request): (&Arrival, Bytes),
    ) -> CallIntent {
        CallIntent {
            id: arrival.id,
            started: self.clock.now(),
            operation: call.operation,
            dialect: call.dialect,
            path: call.path.clone(),
            key: caller.key.clone(),
            caller: caller.name.clone(),
            prompt: call.prompt.clone(),
            release: call.release.clone(),
            shadow_of: call.shadow_of,
            run: arrival.run.clone(),
            embedding: call.embedding.as_ref().map(|under| under.stamp.clone()),
            rendered_hash: call.rendered_hash.clone(),
            model_asked: call.model_asked.clone(),
            provider: plan.first.provider.clone(),
            model: plan.first.model.clone(),
            stream: call.stream,
            user: call.user.clone(),
            session: call.session.clone(),
            trace: arrival.trace.clone(),
            tags: arrival.tags.clone(),
            durability: self.store.durability(),
            overhead_us: micros(arrival.started.elapsed()),
            is_text_dropped: arrival.drops_text,
            request,
        }
    }

    /// Prices and writes an outcome. Synchronous: safe in `Drop`.
    fn write(&self, open: &Open, ending: Ending, counted: Option<TokenUsage>) -> Written {
        let outcome = self.outcome(open, ending, counted);
        let mut position = None;
        if open.is_recorded {
            match self.store.append_outcome(&outcome) {
                Ok(appended) => position = Some(appended),
                Err(error) => self.telemetry.outcome_unrecorded(outcome.id, &error),
            }
        }
        self.telemetry.call_finished(&open.intent, &outcome);
        Written { outcome, position }
    }

    fn outcome(&self, open: &Open, ending: Ending, counted: Option<TokenUsage>) -> CallOutcome {
        let upstreams = &open.upstreams;
        let secrets = &upstreams.secrets;
        let facts = ending.facts.unwrap_or_default();
        let usage = facts.usage.or(counted);
        let quality = if facts.usage.is_some() && !facts.is_estimated {
            CostQuality::Exact
        } else {
            CostQuality::Estimated
        };
        let model = facts.model.as_deref().unwrap_or(&open.attempt.model);
        let priced = usage.filter(|_| !ending.is_free);
        let cost = priced.map_or_else(Cost::default, |usage| {
            let price = upstreams.price(&open.attempt, model, open.intent.started);
            price.map_or_else(Cost::default, |price| {
                metering::cost(&usage, &price, quality)
            })
        });
        let cost = if ending.is_free { free() } else { cost };
        let mut warnings = open.warnings.clone();
        warnings.extend(ending.warnings);
        let (error, message) = ending.error.unzip();
        let is_dropped = open.intent.is_text_dropped;
        let message = message.filter(|_| !is_dropped);
        let (output_format, output) = if is_dropped {
            (BodyFormat::None, Bytes::new())
        } else {
            (ending.output_format, secrets.scrub_bytes(&ending.output))
        };
        CallOutcome {
            id: open.intent.id,
            state: ending.state,
            ended: self.clock.now(),
            status: ending.status,
            error,
            message: message.map(|text| secrets.scrub_text(&text).into_owned()),
            provider: open.attempt.provider.clone(),
            model: open.attempt.model.clone(),
            model_returned: facts.model,
            usage,
            usage_reported: facts.usage_reported,
            cost,
            finish_reason: facts.finish_reason,
            times: CallTimes {
                total_us: micros(open.started.elapsed()),
                ..open.times
            },
            attempts: written(secrets, &open.attempts, is_dropped),
            bytes_sent: ending.bytes_sent,
            warnings,
            request_body: open.upload.as_ref().map(Upload::sum),
            output_format,
            output,
        }
    }

    /// Counts what the provider did not report. Takes milliseconds on long texts.
    fn count(&self, open: &Open, ending: &Ending) -> Option<TokenUsage> {
        if open.attempts.iter().all(|attempt| attempt.status.is_none())
            && ending.state != CallState::ClientGone
        {
            // Nothing is known to have reached the provider.
            return None;
        }
        let model = &open.attempt.model;
        let input = match open.intent.operation {
            Operation::Raw | Operation::Count => return None,
            Operation::Chat => {
                let conversation = open.conversation.as_deref();
                let all = countable::messages(open.intent.dialect, conversation, &open.messages);
                self.tokens.count_messages(model, &all)
            }
            Operation::Embeddings => open
                .messages
                .iter()
                .map(|input| countable::input_tokens(self.tokens, model, input))
                .sum(),
        };
        let output = self.tokens.count_text(model, &ending.output_text);
        Some(TokenUsage {
            input,
            output,
            ..TokenUsage::default()
        })
    }
}

/// What a call costs that nothing is taken for.
fn free() -> Cost {
    Cost {
        pico_usd: Some(PicoDollars(0)),
        quality: CostQuality::Exact,
        price: None,
    }
}

/// Returns attempts as they are written down: without secrets, and without words where those are dropped.
fn written(secrets: &Secrets, attempts: &[Attempt], is_text_dropped: bool) -> Vec<Attempt> {
    let scrub = |text: &String| secrets.scrub_text(text).into_owned();
    let said = |attempt: &Attempt| attempt.message.as_ref().map(scrub);
    attempts
        .iter()
        .map(|attempt| Attempt {
            message: said(attempt).filter(|_| !is_text_dropped),
            ..attempt.clone()
        })
        .collect()
}

/// Whether tokens must be counted here: the provider did work and reported nothing.
fn needs_count(ending: &Ending) -> bool {
    let is_reported = ending
        .facts
        .as_ref()
        .is_some_and(|facts| facts.usage.is_some());
    let may_have_cost = match ending.state {
        CallState::Ok | CallState::ClientGone => true,
        CallState::UpstreamError | CallState::Timeout => !ending.output_text.is_empty(),
        CallState::Refused | CallState::CrashRecovered => false,
    };
    may_have_cost && !is_reported && !ending.is_free
}

impl Recording {
    /// Notes a finished try.
    pub(crate) fn note_attempt(&mut self, attempt: Attempt) {
        if let Some(open) = &mut self.open {
            if attempt.error.is_some() {
                self.recorder
                    .telemetry
                    .attempt_failed(open.intent.id, &attempt);
            }
            open.attempts.push(attempt);
        }
    }

    /// Notes which attempt succeeded, and when.
    pub(crate) fn note_success(&mut self, attempt: PlannedAttempt, sent: Duration, head: Duration) {
        if let Some(open) = &mut self.open {
            open.attempt = attempt;
            open.times.sent_us = Some(micros(sent));
            open.times.head_us = Some(micros(head));
        }
    }

    /// Notes the request's body, which is handed on while it comes.
    pub(crate) fn note_upload(&mut self, upload: Upload) {
        if let Some(open) = &mut self.open {
            open.upload = Some(upload);
        }
    }

    /// Notes what should be known but stopped nothing.
    pub(crate) fn note_warnings(&mut self, warnings: Vec<String>) {
        if let Some(open) = &mut self.open {
            open.warnings.extend(warnings);
        }
    }

    /// Notes that the first content of a stream is here.
    pub(crate) fn note_first_content(&mut self) {
        if let Some(open) = &mut self.open {
            open.times.first_content_us = Some(micros(open.started.elapsed()));
        }
    }

    /// Returns the provider that answered, or is asked.
    pub(crate) fn provider(&self) -> &str {
        let open = self.open.as_ref();
        open.map_or("", |open| open.attempt.provider.as_str())
    }

    /// Returns what the client may know of the call.
    pub(crate) fn facts(&self) -> AnswerFacts {
        self.open
            .as_ref()
            .map(|open| facts_of(open, None))
            .unwrap_or_default()
    }

    /// Writes the outcome and waits until it is as durable as was promised.
    ///
    /// # Cancel safety
    ///
    /// The outcome is written (or handed to a task that writes it) before the first await that
    /// could be cancelled.
    pub(crate) async fn complete(mut self, ending: Ending) -> AnswerFacts {
        let Some(open) = self.open.take() else {
            return AnswerFacts::default();
        };
        let recorder = Arc::clone(&self.recorder);
        if !needs_count(&ending) {
            let written = recorder.write(&open, ending, None);
            recorder.settle(written.position).await;
            return facts_of(&open, Some(&written.outcome));
        }
        let Ok(Ok((open, written))) = recorder.count_and_write(open, ending).await else {
            return AnswerFacts::default();
        };
        recorder.settle(written.position).await;
        facts_of(&open, Some(&written.outcome))
    }

    /// Writes that the call failed, and returns what the client may know.
    pub(crate) async fn fail(mut self, error: Error) -> Box<Failure> {
        if let (Some(open), Error::Provider { error, .. }) = (&mut self.open, &error) {
            error.provider().clone_into(&mut open.attempt.provider);
        }
        let ending = Ending {
            error: Some((error.kind().to_owned(), error.to_string())),
            ..Ending::bare(error.state())
        };
        let facts = self.complete(ending).await;
        Box::new(Failure { error, facts })
    }

    /// Writes the outcome without waiting for anything: for `Drop`.
    pub(crate) fn abandon(&mut self, ending: Ending) {
        let Some(open) = self.open.take() else { return };
        if needs_count(&ending) {
            drop(self.recorder.count_and_write(open, ending));
        } else {
            self.recorder.write(&open, ending, None);
        }
    }
}

impl Recorder {
    /// Counts and writes on a blocking thread, when there is a place. Shutdown waits for it.
    fn count_and_write(
        self: &Arc<Self>,
        open: Box<Open>,
        ending: Ending,
    ) -> JoinHandle<Result<(Box<Open>, Written), JoinError>> {
        let recorder = Arc::clone(self);
        let work = async move {
            // It is never closed.
            let place = Arc::clone(&recorder.counting).acquire_owned().await;
            let (tasks, runtime) = (recorder.tasks.clone(), recorder.runtime.clone());
            let count = move || {
                let counted = recorder.count(&open, &ending);
                let written = recorder.write(&open, ending, counted);
                drop(place);
                (open, written)
            };
            tasks.spawn_blocking_on(count, &runtime).await
        };
        self.tasks.spawn_on(work, &self.runtime)
    }

    /// Waits until an outcome is as durable as was promised.
    async fn settle(&self, position: Option<Position>) {
        let Some(position) = position else { return };
        if let Err(error) = self.store.durable(position).await {
            self.telemetry.journal_trouble(&error);
        }
    }
}

impl Drop for Recording {
    /// The client left before it had an answer.
    fn drop(&mut self) {
        self.abandon(Ending::bare(CallState::ClientGone));
    }
}

fn facts_of(open: &Open, outcome: Option<&CallOutcome>) -> AnswerFacts {
    AnswerFacts {
        prompt: open.intent.prompt.clone(),
        release: open.intent.release.clone(),
        embedding: open.intent.embedding.clone(),
        provider: open.attempt.provider.clone(),
        model: open.attempt.model.clone(),
        attempts: open.attempts.len(),
        overhead_us: open.intent.overhead_us,
        durability: open.is_recorded.then_some(open.intent.durability),
        cost: outcome.map(|outcome| outcome.cost.clone()),
        usage: outcome.and_then(|outcome| outcome.usage),
        retirement: open.retirement,
        warnings: open.warnings.clone(),
        rate_limits: Vec::new(),
    }
}
