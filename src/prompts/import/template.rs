//! Templates between languages: what a foreign template says, written as Dotprompt writes it.
//!
//! What is written is compiled again and compared with what was meant, piece by piece, so that no
//! rule about white space or braces of either language can change a prompt unseen.

use crate::prompts::compile::compile;
use crate::prompts::syntax::{Expression, Node as Compiled, Program, Role};
use serde_json::Value;
use std::fmt::Write as _;

/// A piece of a template.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Node {
    Text(String),
    /// A value, by its path in Handlebars' form.
    Print(String),
    /// A value as JSON, indented by so many spaces.
    Json(String, usize),
    If {
        test: Test,
        body: Vec<Self>,
        other: Vec<Self>,
    },
    Each {
        list: String,
        /// For the item, and for its key.
        names: Vec<String>,
        body: Vec<Self>,
        other: Vec<Self>,
    },
}

/// What a branch depends on.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Test {
    Is(String),
    IsNot(String),
    Equals(String, Value),
    Differs(String, Value),
}

impl Test {
    /// The value that it looks at.
    pub(super) fn path(&self) -> &str {
        match self {
            Self::Is(path) | Self::IsNot(path) | Self::Equals(path, _) | Self::Differs(path, _) => {
                path
            }
        }
    }
}

/// A message of a conversation, or the place of the client's.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Turn {
    Message(Role, Vec<Node>),
    History,
}

/// The variables that messages print.
pub(super) fn variables(turns: &[Turn]) -> Vec<String> {
    let mut names = Vec::new();
    for turn in turns {
        if let Turn::Message(_, nodes) = turn {
            collect(nodes, &mut names);
        }
    }
    names
}

fn collect(nodes: &[Node], names: &mut Vec<String>) {
    for node in nodes {
        let mut note = |path: &str| {
            let path = path.strip_prefix("@root.").unwrap_or(path);
            names.push(path.split('.').next().unwrap_or(path).to_owned());
        };
        match node {
            Node::Text(_) => {}
            Node::Print(path) | Node::Json(path, _) => note(path),
            Node::If { test, body, other } => {
                note(test.path());
                collect(body, names);
                collect(other, names);
            }
            Node::Each {
                list, body, other, ..
            } => {
                note(list);
                collect(body, names);
                collect(other, names);
            }
        }
    }
}

/// Writes a conversation as a Dotprompt template. The error says what cannot be written.
pub(super) fn write(turns: &[Turn]) -> Result<String, String> {
    let wanted = expected(turns);
    for breaks_lines in [false, true] {
        let text = body(turns, breaks_lines)?;
        let compiled = compile(&text, 1);
        if compiled.is_ok_and(|program| shape(&program) == wanted) {
            return Ok(text);
        }
    }
    Err("the text cannot be written in Dotprompt without changing it".to_owned())
}

/// The whole body, without white space around it, as a file has it.
fn body(turns: &[Turn], breaks_lines: bool) -> Result<String, String> {
    let mut out = String::new();
    for turn in turns {
        // The line break before a turn is for people, and `~` takes it away again; a text that ends
        // in white space of its own must keep it.
        let is_apart = !out.is_empty() && !out.ends_with(char::is_whitespace);
        let (line, before) = if is_apart { ("\n", "~") } else { ("", "") };
        match turn {
            Turn::History => {
                let _ = write!(out, "{line}{{{{{before}history}}}}");
            }
            Turn::Message(role, nodes) => {
                let text = handlebars(nodes, breaks_lines)?;
                let is_plain = !text.starts_with(char::is_whitespace) && !text.is_empty();
                let after = if is_plain { "~}}\n" } else { "}}" };
                let _ = write!(
                    out,
                    "{line}{{{{{before}role \"{}\"{after}{text}",
                    role.as_str()
                );
            }
        }
    }
    Ok(out.trim().to_owned())
}

/// Writes pieces. A tag alone on its line takes the line break with it, so one more is written
/// there; `breaks_lines` puts an empty comment beside it instead.
fn handlebars(nodes: &[Node], breaks_lines: bool) -> Result<String, String> {
    let mut writer = Writer {
        out: String::new(),
        breaks_lines,
        after_block: false,
    };
    writer.nodes(nodes)?;
    Ok(writer.out)
}

struct Writer {
    out: String,
    breaks_lines: bool,
    /// Whether a block's tag was written that may stand alone on its line.
    after_block: bool,
}

impl Writer {
    fn nodes(&mut self, nodes: &[Node]) -> Result<(), String> {
        for node in nodes {
            match node {
                Node::Text(text) => self.text(text)?,
                Node::Print(path) => self.tag(path)?,
                Node::Json(path, 0) => self.tag(&format!("json {path}"))?,
                Node::Json(path, indent) => self.tag(&format!("json {path} indent={indent}"))?,
                Node::If { test, body, other } => self.branch(test, body, other)?,
                Node::Each {
                    list,
                    names,
                    body,
                    other,
                } => {
                    let names = names.join(" ");
                    self.block(&format!("#each {list} as |{names}|"))?;
                    self.nodes(body)?;
                    self.otherwise(other)?;
                    self.block("/each")?;
                }
            }
        }
        Ok(())
    }

    fn branch(&mut self, test: &Test, body: &[Node], other: &[Node]) -> Result<(), String> {
        let (name, arguments) = match test {
            Test::Is(path) => ("if", path.clone()),
            Test::IsNot(path) => ("unless", path.clone()),
            Test::Equals(path, value) => ("ifEquals", format!("{path} {}", literal(value)?)),
            Test::Differs(path, value) => ("unlessEquals", format!("{path} {}", literal(value)?)),
        };
        self.block(&format!("#{name} {arguments}"))?;
        self.nodes(body)?;
        self.otherwise(other)?;
        self.block(&format!("/{name}"))
    }

    fn otherwise(&mut self, other: &[Node]) -> Result<(), String> {
        if other.is_empty() {
            return Ok(());
        }
        self.block("else")?;
        self.nodes(other)
    }

    fn text(&mut self, text: &str) -> Result<(), String> {
        let starts_line = text.trim_start_matches([' ', '\t']).starts_with('\n');
        if std::mem::take(&mut self.after_block) && starts_line && !self.breaks_lines {
            self.out.push('\n');
        }
        if text.contains("\\{{") {
            return Err("a backslash before braces cannot be written".to_owned());
        }
        self.out.push_str(&text.replace("{{", "\\{{"));
        Ok(())
    }

    fn tag(&mut self, inside: &str) -> Result<(), String> {
        if self.out.ends_with(['\\', '{']) {
            return Err(
                "a backslash or a brace directly before a tag cannot be written".to_owned(),
            );
        }
        self.after_block = false;
        let _ = write!(self.out, "{{{{{inside}}}}}");
        Ok(())
    }

    fn block(&mut self, inside: &str) -> Result<(), String> {
        let line = self.out.rsplit('\n').next().unwrap_or_default();
        let is_alone = line.trim().is_empty();
        if is_alone && self.breaks_lines {
            self.tag("!")?;
        }
        self.tag(inside)?;
        self.after_block = is_alone;
        Ok(())
    }
}

fn literal(value: &Value) -> Result<String, String> {
    match value {
        Value::String(text) if text.contains(['"', '\\', '\n']) => {
            Err("a text with quotes or backslashes cannot be compared with".to_owned())
        }
        _ => Ok(value.to_string()),
    }
}

/// What a conversation must compile to.
fn expected(turns: &[Turn]) -> Vec<String> {
    let mut shape = Shape::default();
    for turn in turns {
        match turn {
            Turn::History => shape.mark("history"),
            Turn::Message(role, nodes) => {
                shape.mark(&format!("role {}", role.as_str()));
                shape.meant(nodes);
            }
        }
    }
    let mut pieces = shape.pieces;
    // A file's template has no white space at its end.
    if let Some(last) = pieces.last_mut().filter(|last| last.starts_with('=')) {
        *last = last.trim_end().to_owned();
    }
    pieces.retain(|piece| piece != "=");
    pieces
}

fn shape(program: &Program) -> Vec<String> {
    let mut shape = Shape::default();
    shape.compiled(program);
    shape.pieces.retain(|piece| piece != "=");
    shape.pieces
}

/// A template as a list of words: texts start with `=`.
#[derive(Default)]
struct Shape {
    pieces: Vec<String>,
}

impl Shape {
    fn mark(&mut self, word: &str) {
        self.pieces.push(word.to_owned());
    }

    fn text(&mut self, text: &str) {
        match self.pieces.last_mut().filter(|last| last.starts_with('=')) {
            Some(last) => last.push_str(text),
            None => self.pieces.push(format!("={text}")),
        }
    }

    fn meant(&mut self, nodes: &[Node]) {
        for node in nodes {
            match node {
                Node::Text(text) => self.text(text),
                Node::Print(path) => self.mark(&format!("print {path}")),
                Node::Json(path, indent) => self.mark(&format!("json {path} {indent}")),
                Node::If { test, body, other } => {
                    self.mark(&match test {
                        Test::Is(path) => format!("if {path}"),
                        Test::IsNot(path) => format!("unless {path}"),
                        Test::Equals(path, value) => format!("equals {path} {value}"),
                        Test::Differs(path, value) => format!("differs {path} {value}"),
                    });
                    self.inside(body, other);
                }
                Node::Each {
                    list,
                    names,
                    body,
                    other,
                } => {
                    self.mark(&format!("each {list} {}", names.join(" ")));
                    self.inside(body, other);
                }
            }
        }
    }

    fn inside(&mut self, body: &[Node], other: &[Node]) {
        self.meant(body);
        self.mark("else");
        self.meant(other);
        self.mark("end");
    }

    fn compiled(&mut self, program: &Program) {
        for node in &program.nodes {
            match node {
                Compiled::Text { text, .. } => self.text(text),
                Compiled::Print { value, .. } => match value {
                    Expression::Json { value, indent } => {
                        self.mark(&format!("json {} {indent}", words(value)));
                    }
                    other => self.mark(&format!("print {}", words(other))),
                },
                Compiled::Role(role) => self.mark(&format!("role {}", role.as_str())),
                Compiled::History => self.mark("history"),
                Compiled::If(branch) => {
                    let name = if branch.negated { "unless" } else { "if" };
                    self.mark(&format!("{name} {}", words(&branch.test)));
                    self.blocks(&branch.body, &branch.inverse);
                }
                Compiled::Equals { branch, other } => {
                    let name = if branch.negated { "differs" } else { "equals" };
                    self.mark(&format!("{name} {} {}", words(&branch.test), words(other)));
                    self.blocks(&branch.body, &branch.inverse);
                }
                Compiled::Each(block) => {
                    self.mark(&format!(
                        "each {} {}",
                        words(&block.value),
                        block.names.join(" ")
                    ));
                    self.blocks(&block.body, &block.inverse);
                }
                Compiled::With(_)
                | Compiled::Section(_)
                | Compiled::Media { .. }
                | Compiled::Partial(_) => {
                    self.mark("unexpected");
                }
            }
        }
    }

    fn blocks(&mut self, body: &Program, other: &Program) {
        self.compiled(body);
        self.mark("else");
        self.compiled(other);
        self.mark("end");
    }
}

fn words(expression: &Expression) -> String {
    match expression {
        Expression::Path(path) => path.text.clone(),
        Expression::Literal(value) => value.to_string(),
        Expression::Lookup(_) | Expression::Json { .. } => "?".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::{Node, Test, Turn, write};
    use crate::prompts::syntax::Role;

    fn text(text: &str) -> Node {
        Node::Text(text.to_owned())
    }

    #[test]
    fn what_is_written_means_what_was_meant() {
        let branch = |body: &str| Node::If {
            test: Test::Is("x".to_owned()),
            body: vec![text(body)],
            other: Vec::new(),
        };
        for (nodes, wanted) in [
            (vec![text("a")], "{{role \"system\"~}}\na"),
            (vec![text("  a")], "{{role \"system\"}}  a"),
            (
                vec![text("a\n"), branch("\nb\n"), text("\nc")],
                "{{role \"system\"~}}\na\n{{#if x}}\n\nb\n{{/if}}\n\nc",
            ),
            (
                vec![text("a "), branch("b"), text(" c")],
                "{{role \"system\"~}}\na {{#if x}}b{{/if}} c",
            ),
            (
                vec![text("a\n  "), branch("\nb")],
                "{{role \"system\"~}}\na\n  {{!}}{{#if x}}\nb{{/if}}",
            ),
            (
                vec![text("use {{braces}} so")],
                "{{role \"system\"~}}\nuse \\{{braces}} so",
            ),
        ] {
            let turns = [Turn::Message(Role::System, nodes)];
            assert_eq!(write(&turns).as_deref(), Ok(wanted));
        }
        for nodes in [
            vec![text("a\\"), Node::Print("x".to_owned())],
            vec![text("{"), Node::Print("x".to_owned())],
            vec![text("a \\{{b}}")],
        ] {
            write(&[Turn::Message(Role::User, nodes)]).unwrap_err();
        }
    }

    #[test]
    fn turns_keep_their_texts_apart() {
        let turns = [
            Turn::Message(Role::System, vec![text("Be kind.")]),
            Turn::History,
            Turn::Message(
                Role::User,
                vec![text("\n"), Node::Print("q".to_owned()), text(" \n")],
            ),
            Turn::Message(Role::Model, vec![Node::Json("a.b".to_owned(), 2)]),
        ];
        assert_eq!(
            write(&turns).unwrap(),
            "{{role \"system\"~}}\nBe kind.\n{{~history}}\n{{~role \"user\"}}\n{{q}} \n{{role \"model\"~}}\n{{json a.b indent=2}}"
        );
    }
}
