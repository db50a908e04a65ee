//! Jinja's family (Jinja2, `MiniJinja`, Nunjucks): the part of it that Dotprompt can say exactly.
//!
//! Anything else is refused with its line: a template that is nearly the same is another prompt.

use crate::prompts::compile::{BLOCKS, HELPERS};
use crate::prompts::import::jinja_tokens::{Token, Untranslatable, tokens};
use crate::prompts::import::template::{Node, Test};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Which language of the family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    Jinja,
    Nunjucks,
}

/// A template, translated.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Translated {
    pub(super) nodes: Vec<Node>,
    /// What stands for variables that are absent.
    pub(super) defaults: Map<String, Value>,
}

/// A statement that ends or divides a block, and its line.
type End = (String, usize);

type Outcome<T> = Result<T, Untranslatable>;

/// Translates `text`, whose first line is `first_line` of its file.
pub(super) fn translate(text: &str, first_line: usize, dialect: Dialect) -> Outcome<Translated> {
    let mut parser = Parser {
        tokens: tokens(text, first_line)?.into_iter(),
        dialect,
        loops: Vec::new(),
        defaults: BTreeMap::new(),
        depth: 0,
    };
    let (nodes, end) = parser.nodes()?;
    if let Some((word, line)) = end {
        return Err(Untranslatable::new(line, format!("`{word}` ends nothing")));
    }
    Ok(Translated {
        nodes,
        defaults: defaults(parser.defaults)?,
    })
}

/// A default holds for all uses of a variable or for none.
fn defaults(uses: BTreeMap<String, Vec<(usize, Option<Value>)>>) -> Outcome<Map<String, Value>> {
    let mut defaults = Map::new();
    for (name, uses) in uses {
        let mut given = uses.iter().filter_map(|(_, value)| value.as_ref());
        let Some(first) = given.next().cloned() else {
            continue;
        };
        if let Some((line, _)) = uses
            .iter()
            .find(|(_, value)| value.as_ref() != Some(&first))
        {
            let message = format!("`{name}` has a default in one place and another or none here");
            return Err(Untranslatable::new(*line, message));
        }
        defaults.insert(name, first);
    }
    Ok(defaults)
}

struct Parser {
    tokens: std::vec::IntoIter<Token>,
    dialect: Dialect,
    /// Names that the loops around give to items and keys.
    loops: Vec<Vec<String>>,
    /// Uses of variables, each with the default that it is given.
    defaults: BTreeMap<String, Vec<(usize, Option<Value>)>>,
    depth: usize,
}

/// Blocks nested deeper are refused when a prompt is loaded.
const MAX_DEPTH: usize = 32;

impl Parser {
    /// Parses up to a statement that ends or divides a block, which is returned with its line.
    fn nodes(&mut self) -> Outcome<(Vec<Node>, Option<End>)> {
        let mut nodes: Vec<Node> = Vec::new();
        while let Some(token) = self.tokens.next() {
            match token {
                Token::Text(text) => push_text(&mut nodes, &text),
                Token::Value(words, line) => match self.value(&words, line)? {
                    Node::Text(text) => push_text(&mut nodes, &text),
                    node => nodes.push(node),
                },
                Token::Statement(words, line) => {
                    let (name, rest) = split_word(&words);
                    match name {
                        "if" => nodes.push(self.branch(rest, line)?),
                        "for" => nodes.push(self.each(rest, line)?),
                        "elif" | "elseif" | "else" | "endif" | "endfor" => {
                            return Ok((nodes, Some((words, line))));
                        }
                        _ => {
                            let message =
                                format!("`{{% {name} %}}` has no counterpart in Dotprompt");
                            return Err(Untranslatable::new(line, message));
                        }
                    }
                }
            }
        }
        Ok((nodes, None))
    }

    fn branch(&mut self, condition: &str, line: usize) -> Outcome<Node> {
        self.depth += 1;
        if MAX_DEPTH < self.depth {
            return Err(Untranslatable::new(line, "blocks are nested too deep"));
        }
        let tests = condition.split(" and ").map(|part| self.test(part, line));
        let tests = tests.collect::<Outcome<Vec<Test>>>()?;
        let (body, end) = self.nodes()?;
        let (words, end_line) = end.ok_or_else(|| unclosed("if", line))?;
        let (name, rest) = split_word(&words);
        let other = match name {
            "endif" => Vec::new(),
            "else" => {
                let (other, end) = self.nodes()?;
                match end {
                    Some((word, _)) if word == "endif" => other,
                    _ => return Err(unclosed("if", line)),
                }
            }
            "elif" | "elseif" => vec![self.branch(rest, end_line)?],
            _ => return Err(unclosed("if", line)),
        };
        self.depth -= 1;
        if 1 < tests.len() && !other.is_empty() {
            let problem =
                Untranslatable::new(line, "`and` with an `else` cannot be said in Dotprompt");
            return Err(problem.hint("nest two `if`s, or decide in the application"));
        }
        let mut tests = tests.into_iter().rev();
        let Some(last) = tests.next() else {
            return Err(unclosed("if", line));
        };
        let inner = Node::If {
            test: last,
            body,
            other,
        };
        Ok(tests.fold(inner, |inner, test| Node::If {
            test,
            body: vec![inner],
            other: Vec::new(),
        }))
    }

    fn test(&mut self, words: &str, line: usize) -> Outcome<Test> {
        let words = words.trim();
        if let Some(rest) = words.strip_prefix("not ") {
            return Ok(Test::IsNot(self.path(rest, line)?));
        }
        for (mark, is_equal) in [("===", true), ("!==", false), ("==", true), ("!=", false)] {
            if let Some((left, right)) = words.split_once(mark) {
                let path = self.path(left, line)?;
                let value = literal(right.trim()).filter(|value| self.compares_alike(value));
                let value = value.ok_or_else(|| {
                    let message = format!("`{}` cannot be compared with exactly", right.trim());
                    Untranslatable::new(line, message).hint("compare with a quoted text")
                })?;
                return Ok(if is_equal {
                    Test::Equals(path, value)
                } else {
                    Test::Differs(path, value)
                });
            }
        }
        Ok(Test::Is(self.path(words, line)?))
    }

    /// Whether `==` with this value means what `ifEquals` does: a text that is no number never equals
    /// anything but itself in any of the languages.
    fn compares_alike(&self, value: &Value) -> bool {
        match value {
            Value::String(text) => {
                self.dialect == Dialect::Jinja
                    || text.trim().parse::<f64>().is_err() && !text.trim().is_empty()
            }
            Value::Number(_) => self.dialect == Dialect::Jinja,
            _ => false,
        }
    }

    fn each(&mut self, words: &str, line: usize) -> Outcome<Node> {
        let (targets, list) = words
            .split_once(" in ")
            .ok_or_else(|| Untranslatable::new(line, "a `for` without `in`"))?;
        let mut names: Vec<String> = targets
            .split(',')
            .map(|name| name.trim().to_owned())
            .collect();
        let list = list.trim();
        let of_pairs = list
            .strip_suffix(".items()")
            .or_else(|| list.strip_suffix("|items"))
            .or_else(|| list.strip_suffix("| items"));
        let is_nunjucks = self.dialect == Dialect::Nunjucks;
        let list = match (names.len(), of_pairs) {
            (1, None) => list,
            (2, Some(list)) => list,
            (2, None) if is_nunjucks => list,
            _ => {
                let message = format!("`for {words}` has no counterpart in Dotprompt");
                return Err(Untranslatable::new(line, message));
            }
        };
        let list = self.path(list.trim(), line)?;
        // Handlebars gives the item before its key.
        names.reverse();
        if let Some(bad) = names.iter().find(|name| !is_name(name)) {
            return Err(bad_name(bad, line));
        }
        self.loops.push(names.clone());
        let (body, end) = self.nodes()?;
        self.loops.pop();
        let other = match end {
            Some((word, _)) if word == "endfor" => Vec::new(),
            Some((word, _)) if word == "else" => {
                let (other, end) = self.nodes()?;
                match end {
                    Some((word, _)) if word == "endfor" => other,
                    _ => return Err(unclosed("for", line)),
                }
            }
            _ => return Err(unclosed("for", line)),
        };
        Ok(Node::Each {
            list,
            names,
            body,
            other,
        })
    }

    fn value(&mut self, words: &str, line: usize) -> Outcome<Node> {
        if let Some(Value::String(text)) = literal(words) {
            return Ok(Node::Text(text));
        }
        let (path, filter) = match words.split_once('|') {
            Some((path, filter)) => (path.trim(), Some(filter.trim())),
            None => (words, None),
        };
        let Some(filter) = filter else {
            return Ok(Node::Print(self.path(path, line)?));
        };
        let (name, arguments) = match filter.split_once('(') {
            Some((name, rest)) => (name.trim(), rest.strip_suffix(')').map(str::trim)),
            None => (filter, Some("")),
        };
        let arguments = arguments.filter(|arguments| !arguments.contains(['|', '(']));
        match (name, arguments) {
            ("safe", Some("")) => Ok(Node::Print(self.path(path, line)?)),
            ("dump", Some(indent)) if self.dialect == Dialect::Nunjucks => {
                let indent = if indent.is_empty() {
                    Ok(0)
                } else {
                    indent.parse()
                };
                match indent {
                    Ok(indent) if indent <= 16 => Ok(Node::Json(self.path(path, line)?, indent)),
                    _ => Err(Untranslatable::new(
                        line,
                        "`dump` takes a number of spaces up to 16",
                    )),
                }
            }
            ("default" | "d", Some(value)) if is_name(path) && !self.is_of_loop(path) => {
                let value = literal(value).ok_or_else(|| {
                    Untranslatable::new(line, format!("`{value}` is no text or number to stand in"))
                })?;
                let node = Node::Print(self.path_of(path, line)?);
                self.defaults
                    .entry(path.to_owned())
                    .or_default()
                    .push((line, Some(value)));
                Ok(node)
            }
            _ => {
                let message = format!("the filter `{filter}` has no counterpart in Dotprompt");
                let problem = Untranslatable::new(line, message);
                Err(match name {
                    "tojson" => problem.hint(
                        "write `{{json x}}` by hand; `tojson` also escapes `<`, `>`, `&` and `'`",
                    ),
                    _ => problem.hint("apply it in the application, and pass the result"),
                })
            }
        }
    }

    fn is_of_loop(&self, name: &str) -> bool {
        self.loops.iter().flatten().any(|known| known == name)
    }

    /// Translates a path, and notes that its variable is used without a default.
    fn path(&mut self, words: &str, line: usize) -> Outcome<String> {
        let path = self.path_of(words, line)?;
        let name = words
            .trim()
            .split(['.', '['])
            .next()
            .unwrap_or_default()
            .trim();
        if !self.is_of_loop(name) {
            self.defaults
                .entry(name.to_owned())
                .or_default()
                .push((line, None));
        }
        Ok(path)
    }

    fn path_of(&self, words: &str, line: usize) -> Outcome<String> {
        let words = words.trim();
        let segments = segments(words).ok_or_else(|| {
            let message = format!("`{words}` is more than a variable");
            Untranslatable::new(line, message)
                .hint("compute it in the application, and pass the result")
        })?;
        let (first, rest) = segments
            .split_first()
            .ok_or_else(|| bad_name(words, line))?;
        if first == "loop" && !self.loops.is_empty() {
            return match rest {
                [name] if name == "index0" => Ok("@index".to_owned()),
                [name] if name == "first" || name == "last" => Ok(format!("@{name}")),
                _ => Err(Untranslatable::new(
                    line,
                    format!("`{words}` has no counterpart in Dotprompt"),
                )
                .hint("`loop.index0`, `loop.first` and `loop.last` have")),
            };
        }
        let is_taken = HELPERS.contains(&first.as_str())
            || BLOCKS.contains(&first.as_str())
            || matches!(
                first.as_str(),
                "this" | "else" | "true" | "false" | "null" | "none" | "True" | "False" | "None"
            );
        if is_taken || !is_name(first) {
            return Err(bad_name(first, line));
        }
        let root = if self.loops.is_empty() || self.is_of_loop(first) {
            String::new()
        } else {
            "@root.".to_owned()
        };
        let rest = rest.iter().map(|name| {
            if is_name(name) {
                format!(".{name}")
            } else {
                format!(".[{name}]")
            }
        });
        Ok(format!("{root}{first}{}", rest.collect::<String>()))
    }
}

fn push_text(nodes: &mut Vec<Node>, text: &str) {
    match nodes.last_mut() {
        Some(Node::Text(last)) => last.push_str(text),
        _ => nodes.push(Node::Text(text.to_owned())),
    }
}

fn split_word(words: &str) -> (&str, &str) {
    words
        .split_once(char::is_whitespace)
        .map_or((words, ""), |(name, rest)| (name, rest.trim()))
}

fn unclosed(name: &str, line: usize) -> Untranslatable {
    Untranslatable::new(line, format!("`{{% {name} %}}` is not closed"))
}

fn bad_name(name: &str, line: usize) -> Untranslatable {
    let message = format!("`{name}` cannot be the name of a variable in Dotprompt");
    Untranslatable::new(line, message).hint("rename the variable")
}

/// Whether `text` is a name in all of the languages.
pub(super) fn is_name(text: &str) -> bool {
    let mut characters = text.chars();
    characters
        .next()
        .is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && characters.all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// Splits `a.b['c'][0]`; `None` when it is more than that.
fn segments(words: &str) -> Option<Vec<String>> {
    let mut segments = Vec::new();
    let mut rest = words;
    loop {
        let end = rest
            .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .unwrap_or(rest.len());
        let name = rest.get(..end)?;
        if name.is_empty() {
            return None;
        }
        segments.push(name.to_owned());
        rest = rest.get(end..)?;
        while let Some(after) = rest.strip_prefix('[') {
            let (inside, after) = after.split_once(']')?;
            let inside = inside.trim();
            let key = match literal(inside) {
                Some(Value::String(text)) if !text.contains(['[', ']']) => text,
                Some(Value::Number(number)) if number.is_u64() => number.to_string(),
                _ => return None,
            };
            segments.push(key);
            rest = after;
        }
        match rest.strip_prefix('.') {
            Some(after) => rest = after,
            None => return rest.is_empty().then_some(segments),
        }
    }
}

/// A quoted text without escapes, or a number.
fn literal(words: &str) -> Option<Value> {
    let words = words.trim();
    for quote in ['"', '\''] {
        let inside = words
            .strip_prefix(quote)
            .and_then(|rest| rest.strip_suffix(quote));
        if let Some(inside) = inside.filter(|inside| !inside.contains([quote, '\\'])) {
            return Some(Value::from(inside));
        }
    }
    words.parse::<serde_json::Number>().ok().map(Value::Number)
}

#[cfg(test)]
mod tests {
    use super::{Dialect, translate};
    use crate::prompts::import::template::{Turn, write};
    use crate::prompts::syntax::Role;

    fn written(text: &str, dialect: Dialect) -> Result<String, String> {
        let translated = translate(text, 1, dialect)
            .map_err(|problem| format!("{}: {}", problem.line, problem.message))?;
        let template = write(&[Turn::Message(Role::User, translated.nodes)])?;
        let defaults = if translated.defaults.is_empty() {
            String::new()
        } else {
            format!(" {}", serde_json::to_string(&translated.defaults).unwrap())
        };
        Ok(format!(
            "{}{defaults}",
            template.trim_start_matches("{{role \"user\"~}}\n")
        ))
    }

    #[test]
    fn what_both_languages_can_say_is_translated() {
        for (text, wanted) in [
            ("Hi {{ name }}!", "Hi {{name}}!"),
            ("{{ a.b['c d'][0].e }}", "{{a.b.[c d].[0].e}}"),
            ("{{ 'quoted {{' }}", "quoted \\{{"),
            ("a{# note #}b", "ab"),
            ("a  {{- x -}}  b", "a{{x}}b"),
            ("{% raw %}{{ x }}{% endraw %}", "\\{{ x }}"),
            (
                "{% if a %}x{% elif not b %}y{% else %}z{% endif %}",
                "{{#if a}}x{{else}}{{#unless b}}y{{else}}z{{/unless}}{{/if}}",
            ),
            (
                "{% if a and b %}x{% endif %}",
                "{{#if a}}{{#if b}}x{{/if}}{{/if}}",
            ),
            (
                "{% if a == 'b' %}x{% endif %}{% if a != 2 %}y{% endif %}",
                "{{#ifEquals a \"b\"}}x{{/ifEquals}}{{#unlessEquals a 2}}y{{/unlessEquals}}",
            ),
            (
                "{% for x in l %}{{ x.n }} {{ y }} {{ loop.index0 }}{% else %}{{ z }}{% endfor %}",
                "{{#each l as |x|}}{{x.n}} {{@root.y}} {{@index}}{{else}}{{z}}{{/each}}",
            ),
            (
                "{% for k, v in d.items() %}{{ k }}={{ v }}{% if not loop.last %}, {% endif %}{% endfor %}",
                "{{#each d as |v k|}}{{k}}={{v}}{{#unless @last}}, {{/unless}}{{/each}}",
            ),
            (
                "a\n{% if b %}\nc\n{% endif %}\nd",
                "a\n{{#if b}}\n\nc\n{{/if}}\n\nd",
            ),
            (
                "{{ a | default('x') }}{{ a|default(\"x\") }}",
                "{{a}}{{a}} {\"a\":\"x\"}",
            ),
        ] {
            assert_eq!(
                written(text, Dialect::Jinja).as_deref(),
                Ok(wanted),
                "{text}"
            );
        }
        let dumped = written(
            "{{ a | dump(2) }}{% for k, v in o %}{{ k }}{% endfor %}",
            Dialect::Nunjucks,
        );
        assert_eq!(
            dumped.as_deref(),
            Ok("{{json a indent=2}}{{#each o as |v k|}}{{k}}{{/each}}")
        );
    }

    #[test]
    fn what_only_one_can_say_is_refused_with_its_line() {
        for (text, wanted) in [
            ("a\n{{ x | upper }}", "2: the filter `upper`"),
            ("a\n{{ x | tojson }}", "2: the filter `tojson`"),
            ("{{ a + b }}", "1: `a + b` is more"),
            ("{{ f(x) }}", "1: `f(x)` is more"),
            ("a\n\n{% set x = 1 %}", "3: `{% set %}`"),
            ("{% include 'x' %}", "1: `{% include %}`"),
            ("{% if a or b %}x{% endif %}", "1: `a or b` is more"),
            ("{% if a > 1 %}x{% endif %}", "1: `a > 1` is more"),
            (
                "{% if a and b %}x{% else %}y{% endif %}",
                "1: `and` with an `else`",
            ),
            ("{% if a %}x", "1: `{% if %}` is not closed"),
            ("x{% endif %}", "1: `endif` ends nothing"),
            (
                "{% for x in l %}{{ loop.index }}{% endfor %}",
                "1: `loop.index`",
            ),
            ("{% for x in l if x %}{% endfor %}", "1: `l if x` is more"),
            ("{{ history }}", "1: `history` cannot be the name"),
            ("{{ x", "1: `{{` is not closed"),
            (
                "{{ a | default('x') }}\n{{ a }}",
                "2: `a` has a default in one place",
            ),
        ] {
            let error = written(text, Dialect::Jinja).unwrap_err();
            assert!(error.starts_with(wanted), "{text}: {error}");
        }
        let loose = written("{% if a == 1 %}x{% endif %}", Dialect::Nunjucks);
        assert!(loose.unwrap_err().contains("cannot be compared"));
    }
}
