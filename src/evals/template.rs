//! Templates of suites: nunjucks, as promptfoo fills them. Values are data and are never parsed again.

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Serde, Value as Filled};
use minijinja::{AutoEscape, Environment, UndefinedBehavior};
use serde_json::{Map, Value};

/// Steps that a template may take: more is a loop that does not end.
const FUEL: u64 = 1_000_000;
/// Bytes that a template may write.
const MAX_OUTPUT: usize = 16 << 20;

/// Why a template cannot be filled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the template cannot be filled: {reason}")]
pub struct TemplateError {
    /// In words, with the line in the template.
    pub reason: String,
}

impl TemplateError {
    fn of(error: &minijinja::Error) -> Self {
        let reason = error.to_string();
        Self { reason }
    }
}

/// Fills `text` with `vars`. A name that is not there is empty, as in nunjucks.
///
/// # Errors
///
/// When the template cannot be parsed, does not end, or writes too much.
pub fn fill(text: &str, vars: &Map<String, Value>) -> Result<String, TemplateError> {
    if !text.contains("{{") && !text.contains("{%") && !text.contains("{#") {
        return Ok(text.to_owned());
    }
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    environment.set_undefined_behavior(UndefinedBehavior::Chainable);
    let mut syntax = SyntaxConfig::builder();
    syntax.keep_trailing_newline(true);
    let syntax = syntax.build().map_err(|error| TemplateError::of(&error))?;
    environment.set_syntax(syntax);
    environment.set_fuel(Some(FUEL));
    environment.add_filter("dump", dump);
    let filled = environment
        .render_str(text, Filled::from(Serde(vars)))
        .map_err(|error| TemplateError::of(&error))?;
    if MAX_OUTPUT < filled.len() {
        return Err(TemplateError {
            reason: format!("it writes more than {MAX_OUTPUT} bytes"),
        });
    }
    Ok(filled)
}

/// Fills every string in `value`, keys left as they are.
///
/// # Errors
///
/// As [`fill`].
pub fn fill_value(value: &Value, vars: &Map<String, Value>) -> Result<Value, TemplateError> {
    Ok(match value {
        Value::String(text) => Value::String(fill(text, vars)?),
        Value::Array(items) => {
            let filled: Result<Vec<Value>, TemplateError> =
                items.iter().map(|item| fill_value(item, vars)).collect();
            Value::Array(filled?)
        }
        Value::Object(fields) => {
            let filled: Result<Map<String, Value>, TemplateError> = fields
                .iter()
                .map(|(key, item)| Ok((key.clone(), fill_value(item, vars)?)))
                .collect();
            Value::Object(filled?)
        }
        other => other.clone(),
    })
}

/// nunjucks' `dump`: the value as JSON.
fn dump(value: &Filled) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{fill, fill_value};
    use serde_json::{Map, Value, json};

    fn vars() -> Map<String, Value> {
        let vars = json!({"name": "Ada", "tags": ["a", "b"], "deep": {"x": 1}, "evil": "{{name}}"});
        vars.as_object().unwrap().clone()
    }

    #[test]
    fn templates_are_filled_as_nunjucks_does() {
        for (template, expected) in [
            ("Hello {{name}}!\n", "Hello Ada!\n"),
            ("{{ name | upper }} {{ tags | join(', ') }}", "ADA a, b"),
            ("{{ deep.x }}{{ missing.deeper }}|", "1|"),
            (
                "{% for t in tags %}{{ loop.index }}{{ t }}{% endfor %}",
                "1a2b",
            ),
            ("{{ deep | dump }}", "{\"x\":1}"),
            ("{{ evil }} <b>", "{{name}} <b>"),
            ("no braces", "no braces"),
        ] {
            assert_eq!(fill(template, &vars()).unwrap(), expected, "{template}");
        }
        let filled = fill_value(&json!(["{{name}}", {"k": "{{name}}", "n": 2}]), &vars());
        assert_eq!(filled.unwrap(), json!(["Ada", {"k": "Ada", "n": 2}]));
    }

    #[test]
    fn what_cannot_be_filled_is_an_error() {
        for template in [
            "{{ name",
            "{% if %}",
            "{% for a in range(9999) %}{% for b in range(9999) %}x{% endfor %}{% endfor %}",
        ] {
            let error = fill(template, &vars()).unwrap_err();
            assert!(error.to_string().contains("cannot be filled"), "{error}");
        }
    }
}
