//! `{{env.NAME}}` in the suite's own file, filled once at the load. Data never sees the environment.

use crate::evals::suite::load::fields::scalar_text;
use crate::evals::suite::load::node::{Content, Node};
use crate::evals::suite::load::reading::Loader;
use crate::evals::template;
use serde_json::{Map, Value, json};

impl Loader<'_> {
    /// Lays the suite's `env` over the environment.
    pub(super) fn take_environment(&self, root: &Node) {
        let Some(env) = root.get("env") else { return };
        let Content::Map(fields) = &env.content else {
            self.wrong(env, "`env` is no mapping", "write `NAME: value` lines");
            return;
        };
        let mut environment = self.environment.borrow_mut();
        for field in fields {
            match scalar_text(&field.value) {
                Some(text) => {
                    environment.insert(field.name.clone(), text);
                }
                None => self.wrong(
                    &field.value,
                    format!("`{}` is no text", field.name),
                    "write a text, a number or a boolean",
                ),
            }
        }
    }

    /// Fills the tags that are about the environment; all others are filled when a case is asked.
    pub(super) fn fill_environment(&self, node: &mut Node) {
        let place = node.with(Content::Scalar(Value::Null));
        match &mut node.content {
            Content::Scalar(Value::String(text)) if text.contains("{{") => {
                if let Some(filled) = self.filled(text, &place) {
                    *text = filled;
                }
            }
            Content::Scalar(_) => {}
            Content::List(items) => {
                for item in items {
                    self.fill_environment(item);
                }
            }
            Content::Map(fields) => {
                for field in fields {
                    self.fill_environment(&mut field.value);
                }
            }
        }
    }

    fn filled(&self, text: &str, place: &Node) -> Option<String> {
        let mut filled = String::new();
        let mut rest = text;
        let mut has_changed = false;
        while let Some((before, tag, after)) = next_tag(rest) {
            filled.push_str(before);
            match self.filled_tag(tag, place) {
                Some(value) => {
                    filled.push_str(&value);
                    has_changed = true;
                }
                None => filled.push_str(tag),
            }
            rest = after;
        }
        filled.push_str(rest);
        has_changed.then_some(filled)
    }

    /// What a tag becomes; `None` when it stays.
    fn filled_tag(&self, tag: &str, place: &Node) -> Option<String> {
        let names = names(tag);
        let first = names.first()?;
        let environment = self.environment.borrow();
        let is_known = environment.contains_key(first);
        if !is_known && !tag.contains('|') {
            self.warn(format!(
                "{}: `{first}` is not set in the environment, so `{tag}` will be empty",
                place.place()
            ));
            return None;
        }
        let mut used = self.used_environment.borrow_mut();
        let mut known = Map::new();
        for name in names {
            if let Some(value) = environment.get(&name) {
                used.insert(name.clone(), value.clone());
                known.insert(name, Value::String(value.clone()));
            }
        }
        let vars = json!({"env": known});
        match template::fill(tag, vars.as_object()?) {
            Ok(text) => Some(text),
            Err(error) => {
                self.wrong(place, error.to_string(), "see the tag about `env`");
                None
            }
        }
    }
}

/// Splits at the next `{{ ... }}`: before, the tag, after.
fn next_tag(text: &str) -> Option<(&str, &str, &str)> {
    let start = text.find("{{")?;
    let end = start + text.get(start..)?.find("}}")? + 2;
    Some((text.get(..start)?, text.get(start..end)?, text.get(end..)?))
}

/// The names behind `env.` or in `env["..."]`.
fn names(tag: &str) -> Vec<String> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut names = Vec::new();
    for (start, _) in tag.match_indices("env") {
        let before = tag.get(..start).and_then(|text| text.chars().next_back());
        if before.is_some_and(|c| is_word(c) || c == '.') {
            continue;
        }
        let rest = tag.get(start + 3..).unwrap_or_default();
        let name: String = if let Some(rest) = rest.strip_prefix('.') {
            rest.chars().take_while(|c| is_word(*c)).collect()
        } else if let Some(rest) = rest.strip_prefix("[\"").or(rest.strip_prefix("['")) {
            rest.chars().take_while(|c| !"\"']".contains(*c)).collect()
        } else {
            continue;
        };
        if !name.is_empty() {
            names.push(name);
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::{names, next_tag};

    #[test]
    fn tags_about_the_environment_are_found() {
        assert_eq!(names("{{ env.A }}"), ["A"]);
        assert_eq!(names("{{ env['A-B'] | default(env.C) }}"), ["A-B", "C"]);
        assert!(names("{{ my.env.A }}{{ environment }}{{ envelope.x }}").is_empty());
        assert_eq!(next_tag("a{{b}}c{{d}}"), Some(("a", "{{b}}", "c{{d}}")));
        assert_eq!(next_tag("a{{b"), None);
    }
}
