//! Templates of suites: nunjucks, as promptfoo fills them. Values are data and are never parsed again.
//!
//! The interpreter is our own, because what suites print depends on JavaScript's values: lists with commas
//! between, `[object Object]`, `.length`, `===`, methods of text. Not there: other templates (`include`,
//! `import`, `extends`), filters of one's own, regular expressions, and what changes a value in place.

mod datum;
mod evaluate;
mod filters;
mod methods;
mod parse;
mod tokens;

use serde_json::{Map, Value};

/// Why a template cannot be filled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the template cannot be filled: {reason}")]
pub struct TemplateError {
    /// In words, with the line in the template.
    pub reason: String,
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
    let filled = parse::parse(text).and_then(|nodes| evaluate::Filler::new(vars).fill(&nodes));
    filled.map_err(|reason| TemplateError { reason })
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

#[cfg(test)]
mod tests {
    use super::{fill, fill_value};
    use proptest::prelude::*;
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
            (
                "{% set n = 1 %}{% for t in tags %}{% set n = n + 1 %}{% endfor %}{{ n }}",
                "3",
            ),
            (
                "{% for t in tags %}{% set inner = t %}{% endfor %}{{ inner }}|",
                "|",
            ),
            (
                "{% macro m() %}({{ caller('x') }}){% endmacro %}{% call(y) m() %}{{ name }}{{ y }}{% endcall %}",
                "(Adax)",
            ),
        ] {
            assert_eq!(fill(template, &vars()).unwrap(), expected, "{template}");
        }
        let filled = fill_value(&json!(["{{name}}", {"k": "{{name}}", "n": 2}]), &vars());
        assert_eq!(filled.unwrap(), json!(["Ada", {"k": "Ada", "n": 2}]));
    }

    /// What nunjucks 3.2.4 prints (`null`: it throws), made with it.
    #[test]
    fn the_goldens_of_nunjucks_hold() {
        let goldens: Value = serde_json::from_str(include_str!("goldens.json")).unwrap();
        let vars = goldens["vars"].as_object().unwrap();
        let cases = goldens["cases"].as_array().unwrap();
        assert!(60 < cases.len());
        let mut wrong = Vec::new();
        for case in cases {
            let template = case[0].as_str().unwrap();
            let filled = fill(template, vars);
            let is_same = match &case[1] {
                Value::String(expected) => filled.as_ref() == Ok(expected),
                _ => filled.is_err(),
            };
            if !is_same {
                wrong.push(format!("{template}\n  {filled:?}\n  {}", case[1]));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    #[test]
    fn what_cannot_be_filled_is_an_error() {
        let nested =
            |open: &str, close: &str| format!("{}{}", open.repeat(5_000), close.repeat(5_000));
        for template in [
            "{{ name",
            "{% if %}",
            "{% if name %}",
            "{% for a in range(9999) %}{% for b in range(9999) %}x{% endfor %}{% endfor %}",
            "{% for a in range(99) %}{% set s = (s or 'x') ~ (s or 'x') %}{% endfor %}{{ s }}",
            "{% for a in range(999) %}{% set l = [l, l] %}{% endfor %}{{ l }}",
            "{% for a in range(99) %}{% set l = [l, l] %}{% endfor %}{{ l }}",
            "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
            "{{ name.repeat(99999999) }}",
            "{{ 'x' | center(99999999) }}",
            "{% include 'x' %}",
            "{{ range(9999999) }}",
            &format!("{{{{ {} }}}}", nested("(", ")")),
            &format!("{{{{ {} }}}}", nested("[", "]")),
            &format!("{{{{ {} }}}}", "- ".repeat(5_000)),
            &nested("{% if name %}", "{% endif %}"),
            &format!("{{{{ {}1 }}}}", "1 if 1 else ".repeat(5_000)),
        ] {
            let error = fill(template, &vars()).unwrap_err();
            assert!(error.to_string().contains("cannot be filled"), "{error}");
        }
        let error = fill("a\nb {{ x", &vars()).unwrap_err();
        assert!(error.reason.starts_with("line 2"), "{error}");
        let many = format!("{{{{ {}1 }}}}", "1 + ".repeat(20_000));
        assert!(fill(&many, &vars()).is_ok() || fill(&many, &vars()).is_err());
    }

    proptest! {
        #[test]
        fn no_template_takes_it_down(parts in prop::collection::vec("\\{\\{|\\}\\}|\\{%|%\\}|-|if|for|in|else|endif|endfor|name|tags|\\.|\\||upper|\\(|\\)|'x'|1|[a-z ]{1,3}|\\PC{0,2}", 0..24)) {
            let _ = fill(&parts.concat(), &vars());
            let _ = fill(&parts.join(" "), &vars());
        }
    }
}
