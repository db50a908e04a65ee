//! GitHub Models' `.prompt.yml`: messages with variables, test data, evaluators.

use crate::prompts::import::file::{Imported, count};
use crate::prompts::import::formats::{
    Read, messages, output, parse_yaml, refuse, settings, stem, text_of,
};
use crate::prompts::import::template::variables;
use crate::prompts::import::{Foreign, plain};
use serde_json::{Map, Value, json};

pub(super) fn read(file: &Foreign) -> Read {
    let value = parse_yaml(file, &file.text, 0)?;
    let list = value.get("messages").and_then(Value::as_array);
    let list = list.ok_or_else(|| refuse(file, "there are no `messages`"))?;
    // The file's name is the prompt's; `name` is a title.
    let mut prompt = Imported::new(&file.path, stem(&file.path));
    prompt.turns = messages(file, list, &mut |text, line| plain::translate(text, line))?;
    prompt.model = text_of(&value, "model").map(str::to_owned);
    let title = text_of(&value, "name");
    let description = text_of(&value, "description");
    prompt.description = match (title, description) {
        (Some(title), Some(description)) => Some(format!("{title}: {description}")),
        (one, other) => one.or(other).map(str::to_owned),
    };
    if let Some(parameters) = value.get("modelParameters").and_then(Value::as_object) {
        settings(&mut prompt, parameters);
    }
    if let Some(format) = text_of(&value, "responseFormat") {
        let schema = text_of(&value, "jsonSchema").map(serde_json::from_str::<Value>);
        let schema = schema
            .transpose()
            .map_err(|error| refuse(file, format!("`jsonSchema` is broken JSON: {error}")))?;
        output(&mut prompt, &json!({"type": format, "json_schema": schema}));
    }
    samples(&mut prompt, &value);
    let evaluators = value
        .get("evaluators")
        .and_then(Value::as_array)
        .map_or(0, Vec::len);
    if 0 < evaluators {
        prompt.dropped(format!(
            "{}: evals are files of their own",
            count(evaluators, "evaluator")
        ));
    }
    prompt.needs_variables("a call without one of the variables is refused");
    Ok(vec![prompt])
}

/// Test data becomes samples: of each row what the messages use.
fn samples(prompt: &mut Imported, value: &Value) {
    let names = variables(&prompt.turns);
    let rows = value.get("testData").and_then(Value::as_array);
    for (index, row) in rows.into_iter().flatten().enumerate() {
        let fields = row.as_object().into_iter().flatten();
        let (used, others): (Vec<_>, Vec<_>) = fields.partition(|(name, _)| names.contains(name));
        for (name, _) in others {
            let what = format!("`{name}` of the test data, which no message uses");
            if !prompt.dropped.contains(&what) {
                prompt.dropped(what);
            }
        }
        let variables: Map<String, Value> = used
            .into_iter()
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        prompt
            .samples
            .push((format!("test data {}", index + 1), variables));
    }
}
