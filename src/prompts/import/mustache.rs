//! Mustache, as Prompty uses it: without HTML escapes.
//!
//! What a section does depends on the value: it is translated where the kind of the variable is
//! declared, and refused elsewhere.

use crate::prompts::import::jinja::is_name;
use crate::prompts::import::jinja_tokens::Untranslatable;
use crate::prompts::import::template::{Node, Test};
use std::collections::BTreeMap;

/// What a variable is declared as.
pub(super) type Kinds = BTreeMap<String, String>;

type Outcome<T> = Result<T, Untranslatable>;

/// Translates `text`, whose first line is `first_line` of its file.
pub(super) fn translate(text: &str, first_line: usize, kinds: &Kinds) -> Outcome<Vec<Node>> {
    let mut parser = Parser {
        rest: text,
        line: first_line,
        kinds,
        is_in_list: false,
        is_line_start: true,
    };
    parser.nodes(None)
}

struct Parser<'a> {
    rest: &'a str,
    line: usize,
    kinds: &'a Kinds,
    is_in_list: bool,
    /// Whether nothing but white space stands before on the line.
    is_line_start: bool,
}

impl<'a> Parser<'a> {
    fn nodes(&mut self, section: Option<&str>) -> Outcome<Vec<Node>> {
        let mut nodes = Vec::new();
        loop {
            let Some((before, after)) = self.rest.split_once("{{") else {
                if let Some(name) = section {
                    return Err(self.refuse(format!("the section `{name}` is not closed")));
                }
                push(&mut nodes, self.rest);
                return Ok(nodes);
            };
            self.line += before.matches('\n').count();
            push(&mut nodes, before);
            let is_triple = after.starts_with('{');
            let close = if is_triple { "}}}" } else { "}}" };
            let (inside, behind) = after
                .split_once(close)
                .ok_or_else(|| self.refuse("a tag is not closed".to_owned()))?;
            self.line += inside.matches('\n').count();
            self.rest = behind;
            let inside = inside.trim_start_matches('{').trim();
            let mark = inside.chars().next().unwrap_or_default();
            let name = inside
                .trim_start_matches(['#', '^', '/', '&', '!', '>', '='])
                .trim();
            let is_alone = self.is_alone(before);
            if is_alone && matches!(mark, '!' | '#' | '^' | '/') {
                let message =
                    "a tag alone on its line takes the line with it; join it with the next line";
                return Err(self.refuse(message.to_owned()));
            }
            match mark {
                '!' => {}
                '#' | '^' => nodes.push(self.section(mark, name)?),
                '/' if section == Some(name) => return Ok(nodes),
                '/' | '>' | '=' => {
                    return Err(self.refuse(format!("`{{{{{inside}}}}}` has no counterpart here")));
                }
                _ => nodes.push(Node::Print(self.path(name)?)),
            }
        }
    }

    fn section(&mut self, mark: char, name: &'a str) -> Outcome<Node> {
        let path = self.path(name)?;
        let kind = self.kinds.get(name).map(String::as_str);
        if mark == '^' {
            let body = self.nodes(Some(name))?;
            return Ok(Node::If {
                test: Test::IsNot(path),
                body,
                other: Vec::new(),
            });
        }
        match kind {
            Some("boolean") => Ok(Node::If {
                test: Test::Is(path),
                body: self.nodes(Some(name))?,
                other: Vec::new(),
            }),
            Some("array") => {
                let outer = std::mem::replace(&mut self.is_in_list, true);
                let body = self.nodes(Some(name))?;
                self.is_in_list = outer;
                Ok(Node::Each {
                    list: path,
                    names: vec!["item".to_owned()],
                    body,
                    other: Vec::new(),
                })
            }
            _ => Err(self.refuse(format!(
                "whether the section `{name}` is a condition or a list is not declared"
            ))),
        }
    }

    /// Whether the tag that was read stands alone on its line, with `before` before it.
    fn is_alone(&mut self, before: &str) -> bool {
        let line = before.rsplit_once('\n');
        let starts = line.map_or(self.is_line_start, |_| true);
        let line = line.map_or(before, |(_, line)| line);
        let next = self.rest.split('\n').next().unwrap_or_default();
        self.is_line_start = false;
        starts && line.trim().is_empty() && next.trim().is_empty()
    }

    fn path(&self, name: &'a str) -> Outcome<String> {
        if name == "." && self.is_in_list {
            return Ok("item".to_owned());
        }
        let is_path = name.split('.').all(is_name);
        if !is_path || self.is_in_list {
            return Err(self.refuse(format!("`{name}` cannot be said exactly here")));
        }
        Ok(name.to_owned())
    }

    fn refuse(&self, message: String) -> Untranslatable {
        Untranslatable::new(self.line, message)
    }
}

fn push(nodes: &mut Vec<Node>, text: &str) {
    match nodes.last_mut() {
        Some(Node::Text(last)) => last.push_str(text),
        _ if text.is_empty() => {}
        _ => nodes.push(Node::Text(text.to_owned())),
    }
}
