//! What is answered to a chat: text, JSON, or calls of tools.

use super::options::{Echo, Options};
use super::request::{Request, last_text, role, text};
use super::schema;
use super::{Refusal, hash};
use serde_json::{Value, json};

/// The longest run of characters that counts as one token.
const MAX_TOKEN_CHARS: usize = 12;

/// One choice of an answer.
#[derive(Debug)]
pub(super) struct Choice {
    /// The text, cut into tokens; empty when tools are called.
    pub(super) pieces: Vec<String>,
    pub(super) tool_calls: Vec<ToolCall>,
    pub(super) finish: String,
}

/// A call of a tool.
#[derive(Debug)]
pub(super) struct ToolCall {
    pub(super) id: String,
    pub(super) name: String,
    /// JSON, as text.
    pub(super) arguments: String,
}

/// Returns the answer number `index` to a request.
pub(super) fn choose(request: &Request, options: &Options, index: u64) -> Result<Choice, Refusal> {
    let messages = request.messages()?;
    let seed = hash::mix(seed(request, options) ^ index);
    let called = called_tools(request, options, messages)?;
    if !called.is_empty() {
        return Ok(call_tools(&called, messages, options, seed));
    }
    let (text, is_prose) = match scripted_text(request, options, messages) {
        Some(text) => (text, false),
        None => match structured(request, messages, seed)? {
            Some(value) => (value.to_string(), false),
            None => (prose(messages, seed), true),
        },
    };
    let mut pieces: Vec<String> = pieces(&text).map(str::to_owned).collect();
    if let Some(count) = options.chunks {
        pieces = if is_prose {
            fill(pieces, count, seed)
        } else {
            regroup(&pieces, count)
        };
    }
    let limit = request
        .number("max_completion_tokens")
        .or_else(|| request.number("max_tokens"))
        .and_then(|limit| usize::try_from(limit).ok());
    let is_cut = limit.is_some_and(|limit| limit < pieces.len());
    if let Some(limit) = limit {
        pieces.truncate(limit);
    }
    let natural = if is_cut { "length" } else { "stop" };
    Ok(Choice {
        pieces,
        tool_calls: Vec::new(),
        finish: options.finish.clone().unwrap_or_else(|| natural.to_owned()),
    })
}

/// Cuts `text` into tokens: a word with the space before it, long words in several. Together they
/// are the text again.
pub(super) fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let mut has_word = false;
        let end = rest
            .char_indices()
            .enumerate()
            .find(|(count, (_, c))| {
                let is_next_word = has_word && c.is_whitespace();
                has_word |= !c.is_whitespace();
                is_next_word || MAX_TOKEN_CHARS <= *count
            })
            .map_or(rest.len(), |(_, (at, _))| at);
        let (piece, tail) = rest.split_at_checked(end)?;
        rest = tail;
        (!piece.is_empty()).then_some(piece)
    })
}

/// Returns the number that everything in an answer is made from.
pub(super) fn seed(request: &Request, options: &Options) -> u64 {
    let fields = ["messages", "response_format", "tools", "seed"]
        .map(|name| request.get(name).map(Value::to_string).unwrap_or_default());
    let model = std::iter::once(options.model.as_bytes());
    hash::of(model.chain(fields.iter().map(String::as_bytes)))
}

fn scripted_text(request: &Request, options: &Options, messages: &[Value]) -> Option<String> {
    match (&options.text, options.echo) {
        (Some(text), _) => Some(text.clone()),
        (None, Some(Echo::Messages)) => Some(Value::from(messages).to_string()),
        (None, Some(Echo::Request)) => Some(request.to_json()),
        (None, None) => None,
    }
}

/// Returns the JSON that `response_format` asks for.
fn structured(request: &Request, messages: &[Value], seed: u64) -> Result<Option<Value>, Refusal> {
    let Some(format) = request.get("response_format") else {
        return Ok(None);
    };
    match format.get("type").and_then(Value::as_str) {
        Some("text") => Ok(None),
        Some("json_object") => {
            let reference = reference(seed);
            Ok(Some(
                json!({"answer": prose(messages, seed), "reference": reference}),
            ))
        }
        Some("json_schema") => {
            let schema = format.pointer("/json_schema/schema").ok_or_else(|| {
                let message = "`response_format.json_schema.schema` is missing";
                Refusal::new(message, Some("response_format"))
            })?;
            let hint = last_text(messages, &["user"]);
            Ok(Some(schema::instance(schema, &hint, seed)))
        }
        _ => Err(Refusal::new(
            "`response_format.type` is not `text`, `json_object` or `json_schema`",
            Some("response_format"),
        )),
    }
}

fn prose(messages: &[Value], seed: u64) -> String {
    let question = excerpt(&last_text(messages, &["user"]), 160);
    let system = last_text(messages, &["system", "developer"]);
    let rule = excerpt(system.lines().next().unwrap_or(""), 120);
    let mut text = match messages.last() {
        Some(message) if role(message) == "tool" => {
            let result = excerpt(&text(message), 160);
            format!("Simulated answer to “{question}” with the tool's result “{result}”.")
        }
        _ => format!("Simulated answer to “{question}”."),
    };
    if !rule.is_empty() {
        text.push_str(" In line with “");
        text.push_str(&rule);
        text.push_str("”.");
    }
    text.push_str(" Reference ");
    text.push_str(&reference(seed));
    text.push('.');
    text
}

/// Returns a short sign of the request, which differs when anything in it does.
fn reference(seed: u64) -> String {
    format!("{:08x}", seed >> 32)
}

/// Returns the start of `text` on one line.
fn excerpt(text: &str, chars: usize) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= chars {
        return line;
    }
    line.chars().take(chars).chain(['…']).collect()
}

/// Makes prose exactly `count` tokens long.
fn fill(mut pieces: Vec<String>, count: usize, seed: u64) -> Vec<String> {
    const WORDS: [&str; 16] = [
        " and", " so", " on", " it", " goes", " with", " more", " words", " that", " mean", " no",
        " thing", " but", " fill", " the", " page",
    ];
    pieces.truncate(count);
    let mut state = seed;
    while pieces.len() < count {
        state = hash::mix(state);
        let word = WORDS.get(hash::below(state, WORDS.len())).copied();
        pieces.push(word.unwrap_or(" and").to_owned());
    }
    pieces
}

/// Joins pieces so that there are at most `count`, of about the same size.
fn regroup(pieces: &[String], count: usize) -> Vec<String> {
    let size = pieces.len().div_ceil(count.max(1)).max(1);
    pieces.chunks(size).map(<[String]>::concat).collect()
}

/// Returns the tools that are to be called, with their parameters' schemas.
fn called_tools<'a>(
    request: &'a Request,
    options: &Options,
    messages: &[Value],
) -> Result<Vec<(&'a str, Option<&'a Value>)>, Refusal> {
    let tools: Vec<(&str, Option<&Value>)> = request
        .get("tools")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|tool| tool.get("function"))
        .filter_map(|tool| Some((tool.get("name")?.as_str()?, tool.get("parameters"))))
        .collect();
    let question = last_text(messages, &["user"]).to_lowercase();
    let is_asked = |(name, _): &&(&str, Option<&Value>)| {
        question.contains(&format!("call {}", name.to_lowercase()))
    };
    let choice = request.get("tool_choice");
    if let Some(wanted) = choice.and_then(|choice| choice.pointer("/function/name")) {
        let found = tools.iter().find(|(name, _)| wanted == name);
        let found = found.ok_or_else(|| {
            let message = format!("`tool_choice` names {wanted}, which is not in `tools`");
            Refusal::new(message, Some("tool_choice"))
        })?;
        return Ok(vec![*found]);
    }
    let is_answered = messages.last().is_some_and(|last| role(last) == "tool");
    let mut called: Vec<_> = match choice.and_then(Value::as_str) {
        Some("none") => Vec::new(),
        Some("required") => {
            let asked = tools.iter().find(is_asked).or(tools.first());
            asked.copied().into_iter().collect()
        }
        _ if is_answered => Vec::new(),
        _ if options.model == "tools" => tools,
        _ => tools.iter().filter(is_asked).copied().collect(),
    };
    if request.get("parallel_tool_calls") == Some(&Value::Bool(false)) {
        called.truncate(1);
    }
    Ok(called)
}

fn call_tools(
    called: &[(&str, Option<&Value>)],
    messages: &[Value],
    options: &Options,
    seed: u64,
) -> Choice {
    let hint = last_text(messages, &["user"]);
    let empty = json!({"type": "object"});
    let tool_calls = called
        .iter()
        .map(|(name, parameters)| {
            let own = hash::of([&seed.to_le_bytes(), name.as_bytes()]);
            let arguments = schema::instance(parameters.unwrap_or(&empty), &hint, own);
            ToolCall {
                id: format!("call_{own:016x}"),
                name: (*name).to_owned(),
                arguments: arguments.to_string(),
            }
        })
        .collect();
    let finish = options.finish.as_deref().unwrap_or("tool_calls");
    Choice {
        pieces: Vec::new(),
        tool_calls,
        finish: finish.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::pieces;
    use proptest::prelude::*;

    #[test]
    fn a_token_is_a_word_with_the_space_before_it() {
        let tokens: Vec<&str> = pieces("Hi  there,\nextraordinarily long").collect();
        assert_eq!(tokens, ["Hi", "  there,", "\nextraordina", "rily", " long"]);
    }

    proptest! {
        #[test]
        fn tokens_are_the_text_again(text in "\\PC{0,80}") {
            prop_assert_eq!(pieces(&text).collect::<String>(), text);
        }
    }
}
