//! How many tokens a request has, before an answer is asked for: the provider counts where it can, else it
//! is counted here, and the client is told which of both it was.

use crate::domain::{BodyFormat, CallState, Caller, Dialect, Operation, TokenUsage};
use crate::providers::{Endpoint, Outgoing, ReplyBody};
use crate::proxy::attempts::{described, invalid, pause_before_retry};
use crate::proxy::call::{self, Arrival, Call};
use crate::proxy::ending::Ending;
use crate::proxy::naming::Naming;
use crate::proxy::routing::Plan;
use crate::proxy::{AnswerFacts, Error, Failure, Proxy, Upstreams, countable, encode};
use crate::wire::count::{Counter, read_count};
use crate::wire::openai::{ChatRequest, ReplyFacts};
use bytes::Bytes;
use std::sync::Arc;
use tokio::time::Instant;

/// How many tokens a request has.
#[derive(Debug)]
pub struct CountedInput {
    /// The tokens.
    pub tokens: u64,
    /// Whether the provider counted them itself.
    pub is_exact: bool,
    /// For the headers.
    pub facts: AnswerFacts,
}

impl Proxy {
    /// Counts the input tokens of `request`, under which the prompt is laid that it names: by the provider
    /// that would answer, where that counts; such a call is recorded, and free. Else, and where the
    /// provider fails, by the tokenizer that comes nearest to the model's.
    ///
    /// # Errors
    ///
    /// Those of resolving and rendering; `model_not_found`, `model_forbidden`; when the call cannot be
    /// recorded.
    ///
    /// # Cancel safety
    ///
    /// As [`Proxy::complete`].
    pub async fn count_input(
        &self,
        caller: &Caller,
        arrival: &Arrival,
        request: ChatRequest,
    ) -> Result<CountedInput, Box<Failure>> {
        let call = self.call_to_count(caller, arrival, request).await?;
        let upstreams = self.upstreams.get();
        let plan = upstreams.routes.plan(caller, &call.model);
        let mut plan = plan.map_err(|error| Failure::of_call(error, &call))?;
        // Another provider would count in tokens of its own.
        plan.fallbacks.clear();
        let mut facts = AnswerFacts {
            prompt: call.prompt.clone(),
            release: call.release.clone(),
            warnings: call.warnings.clone(),
            ..AnswerFacts::default()
        };
        let endpoint = upstreams.providers.get(&plan.first.provider);
        let counter = endpoint.and_then(|it| Some((it, it.counts_in(&plan.first.model)?)));
        if let Some(counter) = counter {
            let asked = self.ask_for_count((caller, arrival), &call, &plan, (&upstreams, counter));
            match asked.await {
                Ok(counted) => return Ok(counted),
                Err(failure) if is_ours(&failure.error) => return Err(failure),
                Err(failure) => {
                    facts = failure.facts;
                    let warning = format!("counted here, because {}", failure.error);
                    facts.warnings.push(warning);
                }
            }
        }
        let estimated = self.estimate(&call, &plan.first.model).await;
        Ok(CountedInput {
            tokens: estimated.map_err(|error| Failure::of_call(error, &call))?,
            is_exact: false,
            facts,
        })
    }

    /// The call whose tokens are counted, with its prompt.
    async fn call_to_count(
        &self,
        caller: &Caller,
        arrival: &Arrival,
        request: ChatRequest,
    ) -> Result<Call, Box<Failure>> {
        let naming = Naming::of(&request, &arrival.headers, None);
        let named = naming.reference(|named| self.prompts.real_name(named));
        let mut call = match named.map_err(Failure::early)? {
            None => call::plain(request, arrival).map_err(Failure::early)?,
            Some(reference) => {
                let released = self.release(caller, &reference, &request, arrival).await?;
                let call = call::from_prompt(&released.prompt, request, arrival);
                let mut call = call.map_err(|error| Failure::of_prompt(error, &released))?;
                call.release = released.release;
                call.warnings.extend(released.warnings);
                call
            }
        };
        call.operation = Operation::Count;
        call.stream = false;
        Ok(call)
    }

    /// Lets the provider count.
    async fn ask_for_count(
        &self,
        (caller, arrival): (&Caller, &Arrival),
        call: &Call,
        plan: &Plan,
        (upstreams, (endpoint, dialect)): (&Arc<Upstreams>, (&Endpoint, Dialect)),
    ) -> Result<CountedInput, Box<Failure>> {
        let early = |error| Failure::of_call(error, call);
        let planned = &plan.first;
        let (counter, body) =
            encode::count_body(call, dialect, planned, endpoint).map_err(early)?;
        let begun = self.recorder.begin(caller, call, plan, arrival, upstreams);
        let mut recording = begun.await.map_err(early)?;
        let mut outgoing = Outgoing {
            operation: Operation::Count,
            dialect,
            headers: call.headers.clone(),
            model: planned.model.clone(),
            body,
            stream: false,
            call_id: arrival.id,
            attempt: 0,
            trace: arrival.trace.clone(),
            deadlines: None,
        };
        loop {
            let (began, sent) = (Instant::now(), arrival.started.elapsed());
            let counted = count_once(plan, upstreams, &outgoing, counter).await;
            let status = match &counted {
                Ok(_) => Some(200),
                Err(Error::Provider { error, .. }) => error.status(),
                Err(_) => None,
            };
            recording.note_attempt(described(planned, began, status, counted.as_ref().err()));
            let error = match counted {
                Ok((tokens, body)) => {
                    recording.note_success(planned.clone(), sent, arrival.started.elapsed());
                    let facts = recording.complete(ending_of(body)).await;
                    return Ok(CountedInput {
                        tokens,
                        is_exact: true,
                        facts,
                    });
                }
                Err(error) => error,
            };
            let pause = pause_before_retry(&error, plan.retry);
            let Some(pause) = pause.filter(|_| outgoing.attempt < plan.retry.retries) else {
                return Err(recording.fail(error).await);
            };
            outgoing.attempt += 1;
            tokio::time::sleep(pause).await;
        }
    }

    /// Counts here.
    async fn estimate(&self, call: &Call, model: &str) -> Result<u64, Error> {
        let tools = call.body.get_some("tools").cloned();
        let (tokens, model) = (self.recorder.tokens, model.to_owned());
        let (dialect, conversation) = (call.dialect, call.conversation.clone());
        let messages = Arc::clone(&call.messages);
        let place = Arc::clone(&self.recorder.counting).acquire_owned().await;
        let count = move || {
            let all = countable::messages(dialect, conversation.as_deref(), &messages);
            let counted = tokens.count_messages(&model, &all);
            let tools = tools.as_deref().map(String::from_utf8_lossy);
            let tools = tools.map_or(0, |text| tokens.count_text(&model, &text));
            drop(place);
            counted + tools
        };
        let counted = tokio::task::spawn_blocking(count).await;
        counted.map_err(|_| Error::ShuttingDown)
    }
}

/// Whether it is the gateway that cannot go on, and not the provider that does not count.
const fn is_ours(error: &Error) -> bool {
    matches!(error, Error::Record(_) | Error::ShuttingDown)
}

async fn count_once(
    plan: &Plan,
    upstreams: &Upstreams,
    outgoing: &Outgoing,
    counter: Counter,
) -> Result<(u64, Bytes), Error> {
    let planned = &plan.first;
    let reply = upstreams.providers.send(&planned.provider, outgoing).await;
    let secrets = &upstreams.secrets;
    let reply = reply.map_err(|error| Error::from_provider(error, outgoing.dialect, secrets))?;
    let ReplyBody::Whole(body) = reply.body else {
        return Err(invalid(planned, "it is a stream".to_owned()));
    };
    let tokens = read_count(counter, &body);
    let tokens = tokens.map_err(|error| invalid(planned, error.to_string()))?;
    Ok((tokens, body))
}

/// Nothing is billed for a count, so nothing of it is usage.
fn ending_of(body: Bytes) -> Ending {
    Ending {
        status: Some(200),
        facts: Some(ReplyFacts {
            usage: Some(TokenUsage::default()),
            ..ReplyFacts::default()
        }),
        output_format: BodyFormat::Json,
        bytes_sent: u64::try_from(body.len()).unwrap_or(u64::MAX),
        output: body,
        is_free: true,
        ..Ending::bare(CallState::Ok)
    }
}
