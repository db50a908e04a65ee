//! What is sent for a cell: the variables are filled, then the prompt with them.
//!
//! Only what an author wrote is a template. What a model said before comes in as data, and is never parsed.

use crate::evals::gateway::AskContent;
use crate::evals::plan::{CONVERSATION, SubjectPrompt};
use crate::evals::run::cells::Cell;
use crate::evals::suite::{Case, ModelSource};
use crate::evals::template::{fill, fill_value};
use serde_json::{Map, Value, json};

/// How deep variables may stand in variables.
const DEPTH: usize = 5;
/// The variable that holds the run's canary.
pub(super) const CANARY: &str = "canary";

/// What earlier cells of a chain left behind.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// Answers by the names of variables.
    pub(super) stored: Map<String, Value>,
    /// What was said so far.
    pub(super) said: Vec<Value>,
}

/// A cell that is ready to be asked.
#[derive(Debug)]
pub(super) struct Filled {
    /// The variables of the case, filled.
    pub(super) vars: Map<String, Value>,
    /// The prompt as text: that of a single message, else the messages as JSON. Of a version, which the
    /// gateway renders, it is known with the answer.
    pub(super) prompt: Option<String>,
    /// What is sent.
    pub(super) content: AskContent,
    /// The model.
    pub(super) model: Option<String>,
}

/// Fills a cell. `vars` are the case's variables, as transforms left them.
///
/// # Errors
///
/// In words, what cannot be filled.
pub(super) fn fill_cell(
    cell: &Cell<'_>,
    vars: &Map<String, Value>,
    memory: &Memory,
    canary: &str,
) -> Result<Filled, String> {
    let given = given(cell, memory, canary);
    let vars = fill_vars(vars, &given)?;
    let mut context = given;
    context.extend(vars.clone());
    let options = &cell.case.options;
    let (prefix, suffix) = (options.prefix.as_deref(), options.suffix.as_deref());
    let has_affix = prefix.or(suffix).is_some();
    let (prompt, content) = match &cell.subject.prompt {
        SubjectPrompt::Text { template } => {
            let (prefix, suffix) = (prefix.unwrap_or_default(), suffix.unwrap_or_default());
            let text = fill(&format!("{prefix}{template}{suffix}"), &context);
            let text = text.map_err(|error| format!("the prompt: {error}"))?;
            let messages = messages_in(template, &text);
            let messages =
                messages.unwrap_or_else(|| vec![json!({"role": "user", "content": text})]);
            (Some(text), AskContent::Messages(messages))
        }
        SubjectPrompt::Chat { .. } | SubjectPrompt::Version { .. } if has_affix => {
            return Err("`prefix` and `suffix` are for prompts that are one text".to_owned());
        }
        SubjectPrompt::Chat { messages } => {
            let filled = fill_value(messages, &context);
            let filled = filled.map_err(|error| format!("the prompt: {error}"))?;
            let Value::Array(messages) = filled else {
                return Err("the prompt is no list of messages".to_owned());
            };
            (Some(as_text(&messages)), AskContent::Messages(messages))
        }
        SubjectPrompt::Version { key, hash, .. } => {
            let content = AskContent::Version {
                key: key.clone(),
                hash: *hash,
                messages: client_messages(cell.case, &vars, &context)?,
                variables: context,
            };
            (None, content)
        }
    };
    let model = match &cell.subject.model {
        ModelSource::Route(model) => Some(model.clone()),
        ModelSource::OfPrompt | ModelSource::Echo => None,
    };
    Ok(Filled {
        vars,
        prompt,
        content,
        model,
    })
}

/// What a client says beside the variables: the text or the messages at the place that the suite names.
fn client_messages(
    case: &Case,
    vars: &Map<String, Value>,
    context: &Map<String, Value>,
) -> Result<Vec<Value>, String> {
    let Some(path) = &case.messages else {
        return Ok(Vec::new());
    };
    let mut parts = path.split('.');
    let is_variable = parts.next() == Some("vars");
    let map = if is_variable { vars } else { &case.metadata };
    let first = parts.next().and_then(|name| map.get(name));
    let found = parts.try_fold(first, |value, part| Some(value?.get(part)));
    let found = found
        .flatten()
        .ok_or_else(|| format!("the case has no `{path}`"))?;
    let said = if is_variable {
        found.clone()
    } else {
        fill_value(found, context).map_err(|error| format!("`{path}`: {error}"))?
    };
    match said {
        Value::String(text) => Ok(vec![json!({"role": "user", "content": text})]),
        Value::Array(messages) if is_messages(&messages) => Ok(messages),
        _ => Err(format!("`{path}` is neither text nor a list of messages")),
    }
}

fn is_messages(items: &[Value]) -> bool {
    let is_message = |item: &Value| item.get("role").is_some_and(Value::is_string);
    !items.is_empty() && items.iter().all(is_message)
}

/// The messages that a filled text is, when it is a JSON list of them. A list that begins in a variable is
/// data: it must not decide who says what.
fn messages_in(template: &str, text: &str) -> Option<Vec<Value>> {
    if template.trim_start().starts_with("{{") {
        return None;
    }
    let messages: Vec<Value> = serde_json::from_str(text).ok()?;
    is_messages(&messages).then_some(messages)
}

/// Returns messages as assertions see a prompt: the text of a single one, else JSON.
pub(super) fn as_text(messages: &[Value]) -> String {
    if let [message] = messages
        && let Some(text) = message.get("content").and_then(Value::as_str)
    {
        return text.to_owned();
    }
    serde_json::to_string(messages).unwrap_or_default()
}

/// The variables that no case writes.
fn given(cell: &Cell<'_>, memory: &Memory, canary: &str) -> Map<String, Value> {
    let mut given = memory.stored.clone();
    given.insert("__repeatIndex".to_owned(), cell.repeat.into());
    given.insert(CANARY.to_owned(), canary.into());
    if cell.subject.uses_conversation() && !cell.case.options.is_without_conversation {
        given.insert(CONVERSATION.to_owned(), memory.said.clone().into());
    }
    given
}

/// Fills the variables with each other, to a depth. Each pass fills what the author wrote, never what a
/// pass before has made of it.
fn fill_vars(
    vars: &Map<String, Value>,
    given: &Map<String, Value>,
) -> Result<Map<String, Value>, String> {
    let mut filled = vars.clone();
    for _ in 0..DEPTH {
        let mut context = given.clone();
        context.extend(filled.clone());
        let mut next = Map::new();
        for (name, value) in vars {
            let value = fill_value(value, &context);
            let value = value.map_err(|error| format!("variable `{name}`: {error}"))?;
            next.insert(name.clone(), value);
        }
        if next == filled {
            break;
        }
        filled = next;
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::{as_text, client_messages, fill_vars, messages_in};
    use crate::evals::graders::tests::case;
    use serde_json::{Map, Value, json};

    fn map(value: &Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn variables_stand_in_variables_and_answers_are_data() {
        let vars = map(&json!({
            "greeting": "Hello {{name}}", "name": "{{first}} L.", "first": "Ada",
            "list": ["{{first}}", 1], "echo": "<{{said}}>",
        }));
        let given = map(&json!({"said": "{{first}} {% for %}"}));
        let filled = fill_vars(&vars, &given).unwrap();
        let expected = json!({
            "greeting": "Hello Ada L.", "name": "Ada L.", "first": "Ada",
            "list": ["Ada", 1], "echo": "<{{first}} {% for %}>",
        });
        assert_eq!(Value::Object(filled), expected);
    }

    #[test]
    fn a_circle_ends_and_a_fault_names_its_variable() {
        let circle = map(&json!({"a": "{{b}}x", "b": "{{a}}y"}));
        assert!(fill_vars(&circle, &Map::new()).is_ok());
        let broken = map(&json!({"a": "{{ b"}));
        let error = fill_vars(&broken, &Map::new()).unwrap_err();
        assert!(error.starts_with("variable `a`: "), "{error}");
    }

    #[test]
    fn a_filled_text_is_messages_when_the_author_wrote_a_list() {
        let list = r#" [{"role": "user", "content": "hi"}] "#;
        let messages = Some(vec![json!({"role": "user", "content": "hi"})]);
        for (template, text, expected) in [
            (list, list, messages.clone()),
            ("{% for turn in x %}{% endfor %}[", list, messages),
            ("{{x}}", list, None),
            ("[1]", "[1]", None),
            ("[]", "[]", None),
            ("[{", "[{", None),
            ("hi", "hi", None),
        ] {
            assert_eq!(messages_in(template, text), expected, "{template}");
        }
    }

    #[test]
    fn a_client_says_what_the_suite_points_at() {
        let turns = json!([{"role": "user", "content": "hi {{name}}"}]);
        let vars = map(&json!({"question": "where is it?", "name": "Ada", "odd": {"deep": 7}}));
        let said = |path: &str| {
            let mut case = case(Vec::new());
            case.metadata = map(&json!({ "turns": turns, "none": [] }));
            case.messages = Some(path.to_owned());
            client_messages(&case, &vars, &vars)
        };
        let user = |text: &str| Ok(vec![json!({"role": "user", "content": text})]);
        assert_eq!(said("vars.question"), user("where is it?"));
        assert_eq!(said("metadata.turns"), user("hi Ada"));
        assert_eq!(
            said("vars.gone"),
            Err("the case has no `vars.gone`".to_owned())
        );
        for path in ["vars.odd", "vars.odd.deep", "metadata.none"] {
            let error = format!("`{path}` is neither text nor a list of messages");
            assert_eq!(said(path), Err(error));
        }
        assert_eq!(
            client_messages(&case(Vec::new()), &vars, &vars),
            Ok(Vec::new())
        );
    }

    #[test]
    fn a_prompt_is_its_text_or_its_messages() {
        assert_eq!(as_text(&[json!({"role": "user", "content": "hi"})]), "hi");
        let two = [json!({"content": "a"}), json!({"content": "b"})];
        assert_eq!(as_text(&two), r#"[{"content":"a"},{"content":"b"}]"#);
    }
}
