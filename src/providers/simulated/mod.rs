//! The provider in this process: deterministic answers in `OpenAI`'s shapes, without a network.
//!
//! The same request always gets the same answer. It quotes the last user message and the first
//! line of the system prompt, so that people see what arrived; JSON schemas and tools are obeyed;
//! embeddings of similar texts are similar. It tells the truth about being simulated.
//!
//! # Models
//!
//! Any name will do. `simulated/echo` answers with the messages it received, as JSON;
//! `simulated/tools` calls every tool of the request; a different name of an embedding model is a
//! different space.
//!
//! # Options
//!
//! Options script the behaviour. They stand behind the model's name as in a URL
//! (`simulated/any?latency=50ms&fail=503`) or in the request's
//! `metadata: {"simulated.fail": "503"}`, which wins. Durations are `250us`, `50ms`, `1.5s`, `2m`,
//! or plain milliseconds. An unknown option is a 400 that names the known ones.
//!
//! | option | meaning |
//! | --- | --- |
//! | `latency` | wait before the head of the answer |
//! | `first` | wait before the first content of a stream |
//! | `chunk` | wait before every further content of a stream |
//! | `chunks` | how many pieces (and tokens) the answer has |
//! | `text` | the answer itself |
//! | `echo` | `messages` or `request`: answer with what arrived, as JSON |
//! | `fail` | a status (400 to 599), `connect`, `reset`, `cut` (ends without its end), `malformed` (no JSON), `event` (an error inside a stream, or with status 200), `html`, `empty` |
//! | `after` | fail after that many contents of a stream, instead of at the head |
//! | `times` | fail only in the first that many attempts of a call |
//! | `rate` | fail only for that share of calls, 0 to 1, chosen by call id |
//! | `retry_after` | the `retry-after` header of a failure, as it stands |
//! | `stall` | `head`, or `after3`: send nothing more, keep the connection |
//! | `usage` | `none` leaves the token usage out |
//! | `cached`, `reasoning` | how many tokens the usage reports as such |
//! | `finish` | the finish reason |

mod answer;
mod chat;
mod embeddings;
mod hash;
mod options;
mod request;
mod schema;
mod script;
#[cfg(test)]
mod tests;

pub(super) use script::Script;

use crate::domain::{self, Operation};
use crate::providers::error::{Error, ErrorKind};
use crate::providers::stream::{ByteStream, Clocks};
use crate::providers::{Outgoing, Reply, ReplyBody, ReplyTimes};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode};
use options::{Failure, Options, Stall};
use serde_json::json;
use std::future::{self, Future};
use tokio::time::{sleep, timeout_at};

/// A request that `OpenAI` would refuse with 400.
#[derive(Debug)]
struct Refusal {
    message: String,
    param: Option<&'static str>,
}

impl Refusal {
    fn new(message: impl Into<String>, param: Option<&'static str>) -> Self {
        Self {
            message: message.into(),
            param,
        }
    }
}

/// What is sent back when nothing goes wrong.
enum Answer {
    Whole(Bytes),
    Stream(Script),
}

/// Answers a request.
pub(super) async fn send(outgoing: &Outgoing, clocks: Clocks) -> Result<Reply, Error> {
    let refuse = |refusal: Refusal| {
        let body = error_body(400, &refusal.message, refusal.param);
        answered(&clocks, 400, None, Bytes::from(body))
    };
    let (options, request) = Options::read_all(outgoing).map_err(refuse)?;
    within(&clocks, sleep(options.latency)).await?;
    let is_failing = options.is_failing(outgoing);
    if options.stall == Some(Stall::Head) {
        within(&clocks, future::pending::<()>()).await?;
    }
    if is_failing && !(outgoing.stream && options.after.is_some()) {
        fail_at_head(&options, &clocks)?;
    }
    let answer = match outgoing.operation {
        Operation::Chat | Operation::Raw | Operation::Count => {
            chat::answer(&request, &options, outgoing, is_failing)
        }
        Operation::Embeddings => embeddings::answer(&request, &options, outgoing),
    };
    let head = clocks.started.elapsed();
    let (content_type, body) = match answer.map_err(refuse)? {
        Answer::Stream(script) => (
            "text/event-stream; charset=utf-8",
            ReplyBody::Stream(ByteStream::simulated(script, clocks)),
        ),
        Answer::Whole(bytes) => {
            // Nothing can come after half an answer that was asked for as a whole.
            if matches!(options.stall, Some(Stall::After(_))) {
                within(&clocks, future::pending::<()>()).await?;
            }
            let bytes = match (is_failing, options.fail) {
                (true, Some(Failure::Malformed)) => Bytes::from_static(b"{\"choices\": ["),
                (true, Some(Failure::Event)) => {
                    Bytes::from(error_body(500, "simulated failure 500", None))
                }
                (true, Some(Failure::Cut)) => bytes.slice(..bytes.len() / 2),
                _ => bytes,
            };
            ("application/json", ReplyBody::Whole(bytes))
        }
    };
    Ok(Reply {
        status: 200,
        content_type: content_type.to_owned(),
        request_id: Some(format!("sim-{}", outgoing.call_id)),
        rate_limits: Vec::new(),
        input_tokens: None,
        times: ReplyTimes { head },
        body,
    })
}

/// Returns the error of a failure that comes before the answer; `Ok` for those that are in it.
fn fail_at_head(options: &Options, clocks: &Clocks) -> Result<(), Error> {
    let provider = &clocks.provider;
    let invalid = |message: &str| Err(Error::sent(ErrorKind::InvalidResponse, provider, message));
    match options.fail {
        Some(Failure::Status(status)) => {
            let body = error_body(status, &format!("simulated failure {status}"), None);
            let retry_after = options.retry_after.as_deref();
            Err(answered(clocks, status, retry_after, Bytes::from(body)))
        }
        Some(Failure::Connect) => {
            let message = "cannot be reached: simulated failure";
            Err(Error::unsent(ErrorKind::Connect, provider, message))
        }
        Some(Failure::Reset) => {
            let message = "broke off: simulated failure";
            Err(Error::sent(ErrorKind::Reset, provider, message))
        }
        Some(Failure::Html) => invalid("answered with an HTML page"),
        Some(Failure::Empty) => invalid("answered with an empty body"),
        Some(Failure::Cut | Failure::Malformed | Failure::Event) | None => Ok(()),
    }
}

/// Waits for `what`, at most as long as the head of an answer may take.
async fn within(clocks: &Clocks, what: impl Future<Output = ()>) -> Result<(), Error> {
    let (head_by, clock, limit) = clocks.head_deadline();
    timeout_at(head_by, what)
        .await
        .map_err(|_elapsed| Error::timeout(clock, &clocks.provider, limit))
}

fn answered(clocks: &Clocks, status: u16, retry_after: Option<&str>, body: Bytes) -> Error {
    let mut headers = HeaderMap::new();
    headers.insert("content-type", HeaderValue::from_static("application/json"));
    if let Some(value) = retry_after.and_then(|value| HeaderValue::from_str(value).ok()) {
        headers.insert("retry-after", value);
    }
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let now = domain::Clock::System.now();
    Error::from_answer(&clocks.provider, status, &headers, body, now)
}

/// Returns an error body in `OpenAI`'s shape.
fn error_body(status: u16, message: &str, param: Option<&str>) -> String {
    let kind = match status {
        401 => "authentication_error",
        403 => "permission_error",
        429 => "rate_limit_error",
        400..=499 => "invalid_request_error",
        _ => "server_error",
    };
    let code = match status {
        401 => Some("invalid_api_key"),
        404 => Some("model_not_found"),
        429 => Some("rate_limit_exceeded"),
        503 | 529 => Some("overloaded"),
        _ => None,
    };
    let error = json!({"message": message, "type": kind, "param": param, "code": code});
    json!({ "error": error }).to_string()
}
