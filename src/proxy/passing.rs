//! Raw requests: any path of a provider's API, with its credentials, recorded like every call.
//!
//! The answer goes on byte by byte, whatever its status. What is JSON or a stream of events is read along
//! for its tokens and kept; what is not is recorded by its size alone.

use crate::domain::{Caller, Dialect, Operation, sha256_hex};
use crate::providers::{Endpoint, Passed, PassedReply, Preset, Upload};
use crate::proxy::call::{Arrival, Call};
use crate::proxy::passed_stream::{MAX_KEPT, PassedStream};
use crate::proxy::recording::Recording;
use crate::proxy::routing::{Plan, PlannedAttempt};
use crate::proxy::{AnswerFacts, Error, Failure, Proxy, Upstreams, attempts};
use crate::wire::json::RawObject;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use http::{HeaderMap, HeaderValue, Method};
use serde_json::json;
use std::sync::Arc;
use tokio::time::Instant;

/// Where `OpenAI`'s moderation is asked.
const MODERATIONS: &str = "/moderations";

/// A raw request.
#[derive(Debug)]
pub struct Passing {
    /// The provider, where the path names it; else the model decides, or the first that speaks as `OpenAI`.
    pub provider: Option<String>,
    /// The method.
    pub method: Method,
    /// The path below the provider's base URL, with its query.
    pub path_and_query: String,
    /// What the client said in headers.
    pub headers: HeaderMap,
    /// The body, where it is still coming; the arrival has none then.
    pub upload: Option<Upload>,
}

/// The answer to a raw request.
#[derive(Debug)]
pub struct PassedAnswer {
    /// For the headers.
    pub facts: AnswerFacts,
    /// The provider's status.
    pub status: u16,
    /// What the client may see of the provider's headers.
    pub headers: HeaderMap,
    /// The body; it records itself at its end.
    pub body: PassedStream,
}

/// The whole answer to a raw request of the gateway's own.
#[derive(Debug)]
pub struct PassedWhole {
    /// What is known of the call.
    pub facts: AnswerFacts,
    /// The provider's status.
    pub status: u16,
    /// How long it wants to be left alone, where it says so.
    pub retry_after_ms: Option<u64>,
    /// Its answer.
    pub body: Bytes,
}

impl Proxy {
    /// Lets a provider moderate what stands in `arrival.body`, as `OpenAI`'s `/v1/moderations` takes it.
    ///
    /// # Errors
    ///
    /// As [`Proxy::pass`]; when the answer breaks off or is too large.
    ///
    /// # Cancel safety
    ///
    /// As [`Proxy::complete`].
    pub async fn moderate(
        self: &Arc<Self>,
        caller: &Caller,
        arrival: &Arrival,
    ) -> Result<PassedWhole, Box<Failure>> {
        let json = HeaderValue::from_static("application/json");
        let passing = Passing {
            provider: None,
            method: Method::POST,
            path_and_query: MODERATIONS.to_owned(),
            headers: HeaderMap::from_iter([(http::header::CONTENT_TYPE, json)]),
            upload: None,
        };
        let mut answer = self.pass(caller, arrival, passing).await?;
        let mut whole = BytesMut::new();
        while let Some(chunk) = answer.body.next().await {
            let facts = answer.facts.clone();
            let chunk = chunk.map_err(|error| Box::new(Failure { error, facts }))?;
            if MAX_KEPT < whole.len() + chunk.len() {
                let problem = format!("it has more than {MAX_KEPT} bytes");
                let provider = answer.facts.provider.clone();
                let error = Error::InvalidAnswer { provider, problem };
                let facts = answer.facts;
                return Err(Box::new(Failure { error, facts }));
            }
            whole.extend_from_slice(&chunk);
        }
        Ok(PassedWhole {
            retry_after_ms: retry_after_ms(&answer.headers),
            status: answer.status,
            facts: answer.body.settled.take().unwrap_or(answer.facts),
            body: whole.freeze(),
        })
    }

    /// Hands a raw request on.
    ///
    /// # Errors
    ///
    /// When no provider is meant, the key may not use it, or there is no answer at all.
    ///
    /// # Cancel safety
    ///
    /// As [`Proxy::complete`].
    pub async fn pass(
        self: &Arc<Self>,
        caller: &Caller,
        arrival: &Arrival,
        mut passing: Passing,
    ) -> Result<PassedAnswer, Box<Failure>> {
        let upstreams = self.upstreams.get();
        let gathered = gathered(&upstreams, caller, arrival, &mut passing).await;
        let gathered = gathered.map_err(Failure::early)?;
        let arrival = gathered.as_ref().unwrap_or(arrival);
        let object = RawObject::parse(&arrival.body).ok();
        let asked = object.as_ref().and_then(|body| body.get_str("model"));
        let asked = asked.map(std::borrow::Cow::into_owned);
        let plan =
            plan_of(&upstreams, caller, &passing, asked.as_deref()).map_err(Failure::early)?;
        let mut call = call_of(&plan, &passing, object.as_ref(), asked.unwrap_or_default());
        call.session.clone_from(&arrival.session);
        let recorded = Arrival {
            body: recordable(&arrival.body, &passing, object.is_some()),
            ..arrival.clone()
        };
        let begun = self
            .recorder
            .begin(caller, &call, &plan, &recorded, &upstreams);
        let mut recording = begun.await.map_err(Failure::early)?;
        if let Some(upload) = &passing.upload {
            recording.note_upload(upload.clone());
        }
        let passed = Passed {
            method: passing.method,
            path_and_query: passing.path_and_query.clone(),
            headers: passing.headers,
            body: body_of(&arrival.body, object, &plan.first.model),
            upload: passing.upload,
            call_id: arrival.id,
            trace: arrival.trace.clone(),
            deadlines: None,
        };
        let sent = arrival.started.elapsed();
        let reply = match reply_to(&passed, &plan, &upstreams, &mut recording).await {
            Ok(reply) => reply,
            Err(error) => return Err(recording.fail(error).await),
        };
        recording.note_success(plan.first.clone(), sent, arrival.started.elapsed());
        let facts = recording.facts();
        let dialect = dialect_of(&passing.path_and_query);
        let preset = upstreams.providers.get(&facts.provider);
        let is_free = preset.is_some_and(|it| is_free(&passing.path_and_query, it.preset()));
        let headers = reply.headers.clone();
        let status = reply.status;
        let mut body = PassedStream::new(recording, reply, dialect, (upstreams, self.cut.clone()));
        body.is_free = is_free;
        Ok(PassedAnswer {
            facts,
            status,
            headers,
            body,
        })
    }
}

/// Returns the arrival with all of its body, where the provider cannot be sent one that is still coming.
async fn gathered(
    upstreams: &Upstreams,
    caller: &Caller,
    arrival: &Arrival,
    passing: &mut Passing,
) -> Result<Option<Arrival>, Error> {
    let Some(upload) = passing.upload.clone() else {
        return Ok(None);
    };
    let plan = plan_of(upstreams, caller, passing, None)?;
    let endpoint = upstreams.providers.get(&plan.first.provider);
    if endpoint.is_some_and(Endpoint::takes_uploads) {
        return Ok(None);
    }
    passing.upload = None;
    Ok(Some(Arrival {
        body: upload.whole().await.map_err(Error::Upload)?,
        ..arrival.clone()
    }))
}

/// Asks; and once more, as long as nothing was sent.
async fn reply_to(
    passed: &Passed,
    plan: &Plan,
    upstreams: &Upstreams,
    recording: &mut Recording,
) -> Result<PassedReply, Error> {
    let planned = &plan.first;
    let upload = passed.upload.as_ref();
    let mut tries = 0;
    loop {
        let began = Instant::now();
        let reply = upstreams.providers.pass(&planned.provider, passed).await;
        let error = match reply {
            Ok(reply) => {
                let status = Some(reply.status);
                recording.note_attempt(attempts::described(planned, began, status, None));
                return Ok(reply);
            }
            Err(error) => error,
        };
        let is_untouched = !error.was_sent() && !upload.is_some_and(Upload::has_begun);
        let error = match upload.and_then(Upload::fault) {
            Some(fault) => Error::Upload(fault),
            None => Error::from_provider(error, Dialect::Chat, &upstreams.secrets),
        };
        recording.note_attempt(attempts::described(planned, began, None, Some(&error)));
        let pause = attempts::pause_before_retry(&error, plan.retry);
        let Some(pause) = pause.filter(|_| is_untouched && tries < plan.retry.retries) else {
            return Err(error);
        };
        tries += 1;
        tokio::time::sleep(pause).await;
    }
}

/// Whether a provider takes nothing for what is asked of it at this path.
fn is_free(path_and_query: &str, preset: Preset) -> bool {
    let path = path(path_and_query);
    let counts = ["/count_tokens", ":countTokens", "/count-tokens"];
    let is_count = counts.iter().any(|end| path.ends_with(end));
    is_count || (preset == Preset::OpenAi && path.ends_with(MODERATIONS))
}

/// How long a provider wants to be left alone, in milliseconds.
fn retry_after_ms(headers: &HeaderMap) -> Option<u64> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let millis = text("retry-after-ms").and_then(|text| text.parse().ok());
    let seconds = || text("retry-after").and_then(|text| text.parse::<u64>().ok());
    millis.or_else(|| seconds()?.checked_mul(1_000))
}

/// Who is asked.
fn plan_of(
    upstreams: &Upstreams,
    caller: &Caller,
    passing: &Passing,
    model: Option<&str>,
) -> Result<Plan, Error> {
    let provider = match (&passing.provider, model) {
        (None, Some(model)) => return upstreams.routes.plan(caller, model),
        (Some(provider), _) => provider.clone(),
        (None, None) => upstreams.speaks_openai().ok_or_else(|| Error::NoProvider {
            path: path(&passing.path_and_query).to_owned(),
        })?,
    };
    if upstreams.providers.get(&provider).is_none() {
        return Err(Error::ModelNotFound {
            model: format!("{provider}/"),
            owner: None,
            near: upstreams.providers.names().map(str::to_owned).collect(),
        });
    }
    let model = model.unwrap_or_default();
    let model = model.strip_prefix(&format!("{provider}/")).unwrap_or(model);
    // Without a model, only a key may that may use all of the provider's.
    let name = format!("{provider}/{model}");
    let is_allowed =
        caller.may_use_model(&name) || (!model.is_empty() && caller.may_use_model(model));
    if !is_allowed {
        return Err(Error::ModelForbidden { model: name });
    }
    Ok(Plan {
        first: PlannedAttempt {
            provider,
            model: model.to_owned(),
            drops_unsupported: false,
        },
        fallbacks: Vec::new(),
        retry: upstreams.routes.retry,
    })
}

fn call_of(plan: &Plan, passing: &Passing, object: Option<&RawObject>, model: String) -> Call {
    let is_stream = object
        .and_then(|body| body.get_bool("stream"))
        .unwrap_or(false);
    Call {
        path: Some(format!(
            "{} {}",
            passing.method,
            path(&passing.path_and_query)
        )),
        ..Call::bare(Operation::Raw, model, plan.first.model.clone(), is_stream)
    }
}

/// The path without its query, which may hold a key.
fn path(path_and_query: &str) -> &str {
    path_and_query.split('?').next().unwrap_or_default()
}

/// The body that goes out: the model without the provider before it.
fn body_of(body: &Bytes, object: Option<RawObject>, model: &str) -> Bytes {
    match object {
        Some(mut object) if object.get_str("model").is_some_and(|asked| asked != model) => {
            object.set("model", crate::wire::json::to_json(model));
            object.to_bytes()
        }
        _ => body.clone(),
    }
}

/// What is recorded of the request: JSON as it is; of anything else, what it was. Of a body that is still
/// coming, the outcome knows the rest.
fn recordable(body: &Bytes, passing: &Passing, is_json: bool) -> Bytes {
    let kind = passing.headers.get(http::header::CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok());
    if let Some(upload) = &passing.upload {
        let note = json!({"content_type": kind, "bytes": upload.length()});
        return Bytes::from(note.to_string());
    }
    if is_json || body.is_empty() {
        return body.clone();
    }
    let note = json!({"content_type": kind, "bytes": body.len(), "sha256": sha256_hex(body)});
    Bytes::from(note.to_string())
}

/// The dialect that a path is answered in.
pub(super) fn dialect_of(path_and_query: &str) -> Option<Dialect> {
    let path = path(path_and_query);
    let ends = |end: &str| path.ends_with(end);
    if ends("/chat/completions") || ends("/completions") {
        Some(Dialect::Chat)
    } else if ends("/responses") {
        Some(Dialect::Responses)
    } else if ends("/messages") {
        Some(Dialect::Messages)
    } else if ends(":generateContent") || ends(":streamGenerateContent") {
        Some(Dialect::Gemini)
    } else if ends("/converse") || ends("/converse-stream") {
        Some(Dialect::Converse)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::{body_of, dialect_of, path};
    use crate::domain::Dialect;
    use crate::wire::json::RawObject;
    use bytes::Bytes;

    #[test]
    fn paths_tell_what_the_answer_is_written_in() {
        for (path, wanted) in [
            ("/v1/chat/completions?a=b", Some(Dialect::Chat)),
            (
                "/models/g:streamGenerateContent?alt=sse",
                Some(Dialect::Gemini),
            ),
            ("/model/x/converse-stream", Some(Dialect::Converse)),
            ("/v1/files", None),
        ] {
            assert_eq!(dialect_of(path), wanted, "{path}");
        }
        assert_eq!(path("/a?key=SECRET"), "/a");
    }

    #[test]
    fn a_model_goes_out_without_its_provider() {
        let body = Bytes::from_static(br#"{"model":"openai/whisper","x":1.50}"#);
        let object = RawObject::parse(&body).unwrap();
        assert_eq!(
            body_of(&body, Some(object), "whisper"),
            r#"{"model":"whisper","x":1.50}"#
        );
    }
}
