//! Chat completions in `OpenAI`'s shape, whole and as a stream of chunks.

use super::answer::{Choice, ToolCall, choose, seed};
use super::options::{Failure, Options, Stall};
use super::request::{Request, count_tokens, text};
use super::script::{Script, Step};
use super::{Answer, Refusal, error_body};
use crate::providers::Outgoing;
use bytes::Bytes;
use serde_json::{Value, json};

/// The most choices of one request, as at `OpenAI`.
const MAX_CHOICES: u64 = 128;

/// What all chunks of an answer have in common.
struct Head {
    id: String,
    created: u64,
    model: String,
    /// Whether chunks say `usage: null` because a usage chunk will come.
    has_usage_chunk: bool,
}

/// Answers a chat completion.
pub(super) fn answer(
    request: &Request,
    options: &Options,
    outgoing: &Outgoing,
    is_failing: bool,
) -> Result<Answer, Refusal> {
    let count = request.number("n").unwrap_or(1);
    if !(1..=MAX_CHOICES).contains(&count) {
        return Err(Refusal::new("`n` is not from 1 to 128", Some("n")));
    }
    let choices = (0..count)
        .map(|index| choose(request, options, index))
        .collect::<Result<Vec<Choice>, Refusal>>()?;
    let usage = usage(request, options, &choices)?;
    let includes_usage = request
        .get("stream_options")
        .and_then(|stream| stream.get("include_usage"))
        == Some(&Value::Bool(true));
    let head = Head {
        id: format!("chatcmpl-{:016x}", seed(request, options)),
        created: created(outgoing),
        model: options.model.clone(),
        has_usage_chunk: includes_usage && !options.hides_usage,
    };
    if outgoing.stream {
        return Ok(Answer::Stream(
            head.stream(&choices, &usage, options, is_failing),
        ));
    }
    let mut body = json!({
        "id": head.id,
        "object": "chat.completion",
        "created": head.created,
        "model": head.model,
        "choices": whole_choices(&choices),
        "system_fingerprint": "fp_simulated",
    });
    if let (false, Some(fields)) = (options.hides_usage, body.as_object_mut()) {
        fields.insert("usage".to_owned(), usage);
    }
    Ok(Answer::Whole(Bytes::from(body.to_string())))
}

/// Returns when the call began, in seconds since the epoch, as its id says.
pub(super) fn created(outgoing: &Outgoing) -> u64 {
    let timestamp = outgoing.call_id.0.get_timestamp();
    timestamp.map_or(0, |timestamp| timestamp.to_unix().0)
}

fn usage(request: &Request, options: &Options, choices: &[Choice]) -> Result<Value, Refusal> {
    let messages = request.messages()?;
    // Four for the frame of each message, as `OpenAI`'s cookbook counts.
    let input: u64 = messages.iter().map(|m| 4 + count_tokens(&text(m))).sum();
    let output: u64 = choices.iter().map(output_tokens).sum();
    let output = output + options.reasoning;
    Ok(json!({
        "prompt_tokens": input,
        "completion_tokens": output,
        "total_tokens": input + output,
        "prompt_tokens_details": {"cached_tokens": options.cached.min(input)},
        "completion_tokens_details": {"reasoning_tokens": options.reasoning},
    }))
}

fn output_tokens(choice: &Choice) -> u64 {
    let calls = choice.tool_calls.iter();
    let called: u64 = calls
        .map(|call| count_tokens(&call.name) + count_tokens(&call.arguments))
        .sum();
    called + u64::try_from(choice.pieces.len()).unwrap_or(u64::MAX)
}

fn whole_choices(choices: &[Choice]) -> Vec<Value> {
    let whole = |(index, choice): (usize, &Choice)| {
        let content = choice.tool_calls.is_empty().then(|| choice.pieces.concat());
        let mut message = json!({"role": "assistant", "content": content, "refusal": null});
        if let (false, Some(fields)) = (choice.tool_calls.is_empty(), message.as_object_mut()) {
            let calls = choice.tool_calls.iter().map(|call| {
                json!({
                    "id": call.id,
                    "type": "function",
                    "function": {"name": call.name, "arguments": call.arguments},
                })
            });
            fields.insert("tool_calls".to_owned(), calls.collect());
        }
        json!({
            "index": index,
            "message": message,
            "logprobs": null,
            "finish_reason": choice.finish,
        })
    };
    choices.iter().enumerate().map(whole).collect()
}

impl Head {
    /// Writes the script of the stream: roles, contents with their waits and faults, finish
    /// reasons, usage, `[DONE]`.
    fn stream(
        &self,
        choices: &[Choice],
        usage: &Value,
        options: &Options,
        is_failing: bool,
    ) -> Script {
        let mut script = Script::default();
        for index in 0..choices.len() {
            let delta = json!({"role": "assistant", "content": "", "refusal": null});
            script.push(self.chunk(index, &delta, None));
        }
        let fault = Fault::of(options, is_failing);
        let contents = contents(choices);
        for (position, (index, delta)) in contents.iter().enumerate() {
            if fault.ends_at(&mut script, position) {
                return script;
            }
            let wait = match position {
                0 => options.first,
                _ => options.chunk,
            };
            script.push(Step::Wait(wait));
            script.push(self.chunk(*index, delta, None));
        }
        // A fault after more contents than there are comes at the end.
        if fault.ends_at(&mut script, usize::MAX) {
            return script;
        }
        for (index, choice) in choices.iter().enumerate() {
            script.push(self.chunk(index, &json!({}), Some(&choice.finish)));
        }
        if self.has_usage_chunk {
            script.push(self.event(&json!([]), usage));
        }
        script.push(Step::Send(Bytes::from_static(b"data: [DONE]\n\n")));
        script
    }

    fn chunk(&self, index: usize, delta: &Value, finish: Option<&str>) -> Step {
        let choice = json!({
            "index": index,
            "delta": delta,
            "logprobs": null,
            "finish_reason": finish,
        });
        self.event(&json!([choice]), &Value::Null)
    }

    fn event(&self, choices: &Value, usage: &Value) -> Step {
        let mut chunk = json!({
            "id": self.id,
            "object": "chat.completion.chunk",
            "created": self.created,
            "model": self.model,
            "system_fingerprint": "fp_simulated",
            "choices": choices,
        });
        if let (true, Some(fields)) = (self.has_usage_chunk, chunk.as_object_mut()) {
            fields.insert("usage".to_owned(), usage.clone());
        }
        Step::Send(Bytes::from(format!("data: {chunk}\n\n")))
    }
}

/// What breaks a stream, and before which content.
struct Fault {
    failure: Option<(usize, Failure)>,
    stall: Option<usize>,
}

impl Fault {
    fn of(options: &Options, is_failing: bool) -> Self {
        let at = options.after.unwrap_or(0);
        Self {
            failure: options
                .fail
                .filter(|_| is_failing)
                .map(|failure| (at, failure)),
            stall: match options.stall {
                Some(Stall::After(count)) => Some(count),
                Some(Stall::Head) | None => None,
            },
        }
    }

    /// Writes what happens before the content at `position`, or at the end for a position beyond;
    /// true when nothing comes after it.
    fn ends_at(&self, script: &mut Script, position: usize) -> bool {
        let is_end = position == usize::MAX;
        let is_due = |at: usize| at == position || is_end;
        if self.stall.is_some_and(is_due) {
            script.push(Step::Stall);
            return true;
        }
        let Some((_, failure)) = self.failure.filter(|(at, _)| is_due(*at)) else {
            return false;
        };
        match failure {
            Failure::Malformed => {
                if !is_end {
                    let bad = b"data: {\"choices\": [\n\n";
                    script.push(Step::Send(Bytes::from_static(bad)));
                }
                return false;
            }
            Failure::Cut | Failure::Html | Failure::Empty => {}
            Failure::Reset | Failure::Connect => script.push(Step::Reset),
            Failure::Event => script.push(error_event(500)),
            Failure::Status(status) => script.push(error_event(status)),
        }
        true
    }
}

fn error_event(status: u16) -> Step {
    let body = error_body(status, &format!("simulated failure {status}"), None);
    Step::Send(Bytes::from(format!("data: {body}\n\n")))
}

/// Returns the contents of a stream with the choice that each belongs to; the choices take turns.
fn contents(choices: &[Choice]) -> Vec<(usize, Value)> {
    let mut queues: Vec<_> = choices.iter().map(|c| deltas(c).into_iter()).collect();
    let mut contents = Vec::new();
    loop {
        let before = contents.len();
        for (index, queue) in queues.iter_mut().enumerate() {
            contents.extend(queue.next().map(|delta| (index, delta)));
        }
        if contents.len() == before {
            return contents;
        }
    }
}

fn deltas(choice: &Choice) -> Vec<Value> {
    let texts = choice.pieces.iter().map(|piece| json!({"content": piece}));
    let calls = choice.tool_calls.iter().enumerate();
    texts
        .chain(calls.flat_map(|(index, call)| tool_deltas(index, call)))
        .collect()
}

/// Returns the start of a tool's call, and its arguments in pieces, as `OpenAI` sends them.
fn tool_deltas(index: usize, call: &ToolCall) -> Vec<Value> {
    let start = json!({"tool_calls": [{
        "index": index,
        "id": call.id,
        "type": "function",
        "function": {"name": call.name, "arguments": ""},
    }]});
    let arguments = super::answer::pieces(&call.arguments)
        .map(|piece| json!({"tool_calls": [{"index": index, "function": {"arguments": piece}}]}));
    std::iter::once(start).chain(arguments).collect()
}
