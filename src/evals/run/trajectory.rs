//! The tools that were called on the way to an answer: by the answer itself, or in the session that the
//! case names, as the records of its calls tell it.
//!
//! A client sends what was said before with every call, so a tool call is met several times: in the answer
//! that made it, and in the messages of each call behind. It counts once, where it is met first.

use crate::domain::{CallId, CallRecord, CallState, Operation};
use crate::evals::grade::Step;
use crate::evals::ledger::Ledger;
use crate::evals::run::grading::Work;
use crate::evals::run::reply;
use crate::evals::template;
use crate::proxy::told;
use serde_json::Value;
use std::collections::HashMap;

/// The key of a case's metadata that names the session.
pub(super) const SESSION: &str = "session";
/// The most calls that a session may have.
const MAX_CALLS: usize = 1_000;

/// Returns the steps of the session that the case of `work` names; `None` when it names none. The inner
/// error says in words why the session cannot be followed.
pub(super) async fn of_session(ledger: &Ledger, work: &Work) -> Option<Result<Vec<Step>, String>> {
    let named = work.case.metadata.get(SESSION)?;
    let session = match named {
        Value::String(text) => {
            template::fill(text, &work.vars).map_err(|error| format!("`metadata.session`: {error}"))
        }
        Value::Number(number) => Ok(number.to_string()),
        _ => Err("`metadata.session` must be the name of a session".to_owned()),
    };
    Some(match session {
        Ok(session) => recorded(ledger, session.trim()).await,
        Err(reason) => Err(reason),
    })
}

async fn recorded(ledger: &Ledger, session: &str) -> Result<Vec<Step>, String> {
    if session.is_empty() {
        return Err("`metadata.session` names no session".to_owned());
    }
    let found = ledger.session(session, MAX_CALLS).await;
    let found = found.map_err(|error| format!("session `{session}` cannot be read: {error}"))?;
    let records = found.ok_or_else(|| {
        format!("session `{session}` has more than {MAX_CALLS} calls, too many to follow")
    })?;
    if records.is_empty() {
        return Err(format!("no call of session `{session}` is recorded"));
    }
    let turns: Result<Vec<Turn>, String> = records.iter().map(turn).collect();
    let turns = turns.map_err(|reason| format!("session `{session}`: {reason}"))?;
    if turns.iter().all(|turn| turn.answer.is_none()) {
        return Err(format!("no call of session `{session}` was answered"));
    }
    Ok(follow(&turns))
}

/// A call of a session: what the client sent, and the answer when there was one.
#[derive(Debug, Default)]
struct Turn {
    messages: Vec<Value>,
    answer: Option<Value>,
}

fn turn(record: &CallRecord) -> Result<Turn, String> {
    let id: CallId = record.intent.id;
    let outcome = record.outcome.as_ref();
    let outcome = outcome.ok_or_else(|| format!("call {id} has not ended"))?;
    if record.intent.operation != Operation::Chat && told(record).is_none() {
        // Embeddings, files and the like call no tools.
        return Ok(Turn::default());
    }
    let said = told(record).ok_or_else(|| format!("what call {id} sent is not kept"))?;
    let answer = if outcome.state == CallState::Ok {
        let read = said
            .answer
            .as_deref()
            .and_then(|body| reply::read(body).ok());
        let read = read.ok_or_else(|| format!("the answer of call {id} is not kept"))?;
        Some(read.message)
    } else {
        None
    };
    let messages = said.messages.iter();
    Ok(Turn {
        messages: messages
            .filter_map(|message| serde_json::from_slice(message).ok())
            .collect(),
        answer,
    })
}

/// A tool call with the id that its result names it by.
#[derive(Debug)]
struct Called {
    id: Option<String>,
    step: Step,
}

impl Called {
    /// What the same call has wherever it is met.
    fn key(&self) -> String {
        let Step {
            name, arguments, ..
        } = &self.step;
        match &self.id {
            Some(id) => format!("{id}\n{name}"),
            None => format!("\n{name}\n{arguments}"),
        }
    }

    /// Whether a result with this name, an id or that of a function, is of this call.
    fn is_named(&self, name: &str) -> bool {
        self.id.as_deref().unwrap_or(&self.step.name) == name
    }
}

/// Returns the steps of a session from its calls in their order.
fn follow(turns: &[Turn]) -> Vec<Step> {
    let mut called: Vec<Called> = Vec::new();
    for turn in turns {
        note_calls(&mut called, &turn.messages);
        note_results(&mut called, &turn.messages);
        called.extend(turn.answer.iter().flat_map(calls_in));
    }
    called.into_iter().map(|called| called.step).collect()
}

/// Adds the tool calls that messages tell of and no answer had: the n-th of a kind is the n-th that is
/// known, and new when so many are not.
fn note_calls(called: &mut Vec<Called>, messages: &[Value]) {
    let mut known: HashMap<String, usize> = HashMap::new();
    for one in called.iter() {
        *known.entry(one.key()).or_default() += 1;
    }
    let of_assistant = messages
        .iter()
        .filter(|message| role(message) == Some("assistant"));
    for one in of_assistant.flat_map(calls_in) {
        match known.get_mut(&one.key()) {
            Some(left) if 0 < *left => *left -= 1,
            _ => called.push(one),
        }
    }
}

/// Notes what tools returned: the n-th result of a name is of the n-th call with it.
fn note_results(called: &mut [Called], messages: &[Value]) {
    let mut met: HashMap<&str, usize> = HashMap::new();
    for message in messages {
        let name = match role(message) {
            Some("tool") => message.get("tool_call_id"),
            Some("function") => message.get("name"),
            _ => None,
        };
        let Some(name) = name.and_then(Value::as_str) else {
            continue;
        };
        let nth = met.entry(name).or_default();
        let mut of_name = called.iter_mut().filter(|one| one.is_named(name));
        if let Some(one) = of_name.nth(*nth) {
            one.step.result = message.get("content").cloned();
        }
        *nth += 1;
    }
}

fn role(message: &Value) -> Option<&str> {
    message.get("role")?.as_str()
}

/// Returns the tools that a message calls.
pub(super) fn of_message(message: &Value) -> Vec<Step> {
    let called = calls_in(message).into_iter();
    called.map(|called| called.step).collect()
}

fn calls_in(message: &Value) -> Vec<Called> {
    let calls = message.get("tool_calls").and_then(Value::as_array);
    let calls = calls.into_iter().flatten().filter_map(|call| {
        let id = call.get("id").and_then(Value::as_str);
        Some((id, call.get("function")?))
    });
    let alone = message
        .get("function_call")
        .map(|function| (None, function));
    let called = |(id, function): (Option<&str>, &Value)| {
        let arguments = function.get("arguments").cloned().unwrap_or_default();
        let parsed = arguments
            .as_str()
            .and_then(|text| serde_json::from_str(text).ok());
        Some(Called {
            id: id.map(str::to_owned),
            step: Step {
                name: function.get("name")?.as_str()?.to_owned(),
                arguments: parsed.unwrap_or(arguments),
                result: None,
            },
        })
    };
    calls.chain(alone).filter_map(called).collect()
}

#[cfg(test)]
mod tests {
    use super::{Turn, follow, of_message};
    use serde_json::{Value, json};

    #[test]
    fn tool_calls_are_steps() {
        let message = json!({"tool_calls": [
            {"function": {"name": "find", "arguments": "{\"id\":1}"}},
            {"function": {"name": "odd", "arguments": "{"}},
            {"type": "custom"},
        ]});
        let found = of_message(&message);
        assert_eq!(found[0].arguments, json!({"id": 1}));
        assert_eq!((found[1].name.as_str(), found.len()), ("odd", 2));
        assert_eq!(found[1].arguments, json!("{"));
    }

    fn calls(calls: &[(&str, &str)]) -> Value {
        let calls = calls.iter().map(|(id, name)| {
            json!({"id": id, "type": "function", "function": {"name": name, "arguments": "{}"}})
        });
        json!({"role": "assistant", "content": null, "tool_calls": calls.collect::<Vec<_>>()})
    }

    fn result(id: &str, text: &str) -> Value {
        json!({"role": "tool", "tool_call_id": id, "content": text})
    }

    fn turn(messages: &[Value], answer: Option<&Value>) -> Turn {
        Turn {
            messages: messages.to_vec(),
            answer: answer.cloned(),
        }
    }

    /// Names with results, as `name=result`.
    fn followed(turns: &[Turn]) -> Vec<String> {
        let steps = follow(turns).into_iter();
        let shown = steps.map(|step| {
            let result = step.result.unwrap_or_default();
            format!("{}={}", step.name, result.as_str().unwrap_or_default())
        });
        shown.collect()
    }

    #[test]
    fn what_is_sent_again_counts_once() {
        let user = json!({"role": "user", "content": "where is order 7?"});
        let (first, second) = (
            calls(&[("a", "find")]),
            calls(&[("b", "find"), ("c", "mail")]),
        );
        let turns = [
            turn(std::slice::from_ref(&user), Some(&first)),
            turn(
                &[user.clone(), first.clone(), result("a", "7")],
                Some(&second),
            ),
            turn(
                &[
                    user,
                    first,
                    result("a", "7"),
                    second,
                    result("c", "sent"),
                    result("b", "none"),
                ],
                Some(&json!({"role": "assistant", "content": "done"})),
            ),
        ];
        assert_eq!(followed(&turns), ["find=7", "find=none", "mail=sent"]);
    }

    #[test]
    fn calls_of_before_the_record_and_of_failed_answers_are_in_the_messages() {
        let before = calls(&[("z", "login")]);
        let lost = calls(&[("y", "find")]);
        let turns = [
            turn(&[before.clone(), result("z", "ok")], None),
            turn(
                &[before, result("z", "ok"), lost, result("y", "7")],
                Some(&calls(&[("x", "mail")])),
            ),
        ];
        assert_eq!(followed(&turns), ["login=ok", "find=7", "mail="]);
    }

    #[test]
    fn ids_that_come_again_and_calls_without_an_id_are_told_apart_by_their_number() {
        let again = calls(&[("call_0", "find")]);
        let old =
            json!({"role": "assistant", "function_call": {"name": "find", "arguments": "{}"}});
        let said = json!({"role": "function", "name": "find", "content": "old"});
        let turns = [
            turn(&[], Some(&again)),
            turn(&[again.clone(), result("call_0", "1")], Some(&again)),
            turn(
                &[
                    again.clone(),
                    result("call_0", "1"),
                    again.clone(),
                    result("call_0", "2"),
                ],
                Some(&old),
            ),
            turn(&[old.clone(), said], Some(&old)),
        ];
        assert_eq!(followed(&turns), ["find=1", "find=2", "find=old", "find="]);
    }
}
