//! The syntax of templates: tags and expressions, as nunjucks has them.

use crate::evals::template::datum::Outcome;
use crate::evals::template::read::Reader;
use crate::evals::template::tokens::{Piece, pieces};
use std::rc::Rc;

/// How deep tags and brackets may be nested.
pub(super) const MAX_DEPTH: u32 = 40;

/// A part of a template.
#[derive(Debug)]
pub(super) enum Node {
    Text(String),
    Print(Expression, u32),
    /// The first body whose condition holds, else the last.
    If(Vec<(Expression, Vec<Self>)>, Vec<Self>),
    For(Box<Loop>),
    Set(Vec<String>, Expression),
    SetBlock(Vec<String>, Vec<Self>),
    Macro(Rc<Macro>),
    /// A body through a filter.
    Filter(String, Vec<Argument>, Vec<Self>),
    /// A body handed to a macro as `caller`.
    Call(Expression, Vec<String>, Rc<Vec<Self>>),
    Switch(Expression, Vec<(Expression, Vec<Self>)>, Vec<Self>),
}

/// `{% for names in list %}`.
#[derive(Debug)]
pub(super) struct Loop {
    pub(super) names: Vec<String>,
    pub(super) list: Expression,
    pub(super) body: Vec<Node>,
    pub(super) otherwise: Vec<Node>,
}

/// `{% macro name(parameters) %}`.
#[derive(Debug)]
pub(super) struct Macro {
    pub(super) name: String,
    pub(super) parameters: Vec<(String, Option<Expression>)>,
    pub(super) body: Rc<Vec<Node>>,
}

/// An argument, with or without its name.
pub(super) type Argument = (Option<String>, Expression);

/// An expression.
#[derive(Debug)]
pub(super) enum Expression {
    Undefined,
    Null,
    Bool(bool),
    Number(f64),
    Text(Rc<str>),
    Name(String),
    List(Vec<Self>),
    Map(Vec<(Self, Self)>),
    Member(Box<Self>, Box<Self>),
    Call(Box<Self>, Vec<Argument>),
    Filter(String, Box<Self>, Vec<Argument>),
    Test(String, Box<Self>, Vec<Argument>),
    Not(Box<Self>),
    Minus(Box<Self>),
    Plus(Box<Self>),
    Binary(&'static str, Box<Self>, Box<Self>),
    /// Body, condition, otherwise.
    Choice(Box<Self>, Box<Self>, Box<Self>),
}

/// Parses a template.
pub(super) fn parse(template: &str) -> Outcome<Vec<Node>> {
    let pieces = pieces(template)?;
    let mut parser = Parser {
        pieces: pieces.into_iter().peekable(),
        depth: 0,
    };
    let (nodes, end) = parser.nodes(&[])?;
    match end {
        None => Ok(nodes),
        Some((tag, _)) => Err(format!("`{tag}` is not expected there")),
    }
}

struct Parser {
    pieces: std::iter::Peekable<std::vec::IntoIter<Piece>>,
    depth: u32,
}

type Ended = Option<(String, Reader)>;

impl Parser {
    /// Reads up to a tag of `ends`, and returns it.
    fn nodes(&mut self, ends: &[&str]) -> Outcome<(Vec<Node>, Ended)> {
        self.depth += 1;
        if MAX_DEPTH < self.depth {
            return Err("tags are nested too deeply".to_owned());
        }
        let mut nodes = Vec::new();
        while let Some(piece) = self.pieces.next() {
            match piece {
                Piece::Text(text) => nodes.push(Node::Text(text)),
                Piece::Print(tokens, line) => {
                    let mut reader = Reader::new(tokens, line);
                    let expression = reader.whole()?;
                    nodes.push(Node::Print(expression, line));
                }
                Piece::Tag(tokens, line) => {
                    let mut reader = Reader::new(tokens, line);
                    let tag = reader.name()?;
                    if ends.contains(&tag.as_str()) {
                        self.depth -= 1;
                        return Ok((nodes, Some((tag, reader))));
                    }
                    nodes.extend(self.tag(&tag, reader)?);
                }
            }
        }
        self.depth -= 1;
        match ends.last() {
            None => Ok((nodes, None)),
            Some(end) => Err(format!("`{end}` is missing")),
        }
    }

    fn body(&mut self, end: &str) -> Outcome<Vec<Node>> {
        Ok(self.nodes(&[end])?.0)
    }

    fn tag(&mut self, tag: &str, mut reader: Reader) -> Outcome<Vec<Node>> {
        Ok(vec![match tag {
            "if" => self.conditions(reader)?,
            "for" => self.repeated(reader, "endfor")?,
            "asyncEach" => self.repeated(reader, "endeach")?,
            "asyncAll" => self.repeated(reader, "endall")?,
            "set" => self.set(reader)?,
            "macro" => {
                let name = reader.name()?;
                let parameters = reader.parameters()?;
                let body = Rc::new(self.body("endmacro")?);
                Node::Macro(Rc::new(Macro {
                    name,
                    parameters,
                    body,
                }))
            }
            "call" => {
                let parameters = if reader.is_sign("(") {
                    reader.parameters()?
                } else {
                    Vec::new()
                };
                let call = reader.whole()?;
                let names = parameters.into_iter().map(|(name, _)| name).collect();
                Node::Call(call, names, Rc::new(self.body("endcall")?))
            }
            "filter" => {
                let name = reader.name()?;
                let given = if reader.is_sign("(") {
                    reader.arguments()?
                } else {
                    Vec::new()
                };
                reader.end()?;
                Node::Filter(name, given, self.body("endfilter")?)
            }
            "switch" => self.switch(reader)?,
            "block" => return self.body("endblock"),
            "include" | "import" | "from" | "extends" => {
                return Err(reader.wrong(&format!("`{tag}` finds no other templates here")));
            }
            _ => return Err(reader.wrong(&format!("`{tag}` is no tag that is known"))),
        }])
    }

    fn conditions(&mut self, mut reader: Reader) -> Outcome<Node> {
        let mut branches = Vec::new();
        let mut condition = reader.whole()?;
        loop {
            let (body, end) = self.nodes(&["elif", "elseif", "else", "endif"])?;
            branches.push((condition, body));
            match end {
                Some((tag, mut reader)) if tag.starts_with("el") && tag != "else" => {
                    condition = reader.whole()?;
                }
                Some((tag, _)) if tag == "else" => {
                    return Ok(Node::If(branches, self.body("endif")?));
                }
                _ => return Ok(Node::If(branches, Vec::new())),
            }
        }
    }

    fn repeated(&mut self, mut reader: Reader, end: &str) -> Outcome<Node> {
        let mut names = vec![reader.name()?];
        while reader.takes(",") {
            names.push(reader.name()?);
        }
        if !reader.takes_name("in") {
            return Err(reader.wrong("`in` is missing"));
        }
        let list = reader.whole()?;
        let (body, ended) = self.nodes(&["else", end])?;
        let otherwise = match ended {
            Some((tag, _)) if tag == "else" => self.body(end)?,
            _ => Vec::new(),
        };
        Ok(Node::For(Box::new(Loop {
            names,
            list,
            body,
            otherwise,
        })))
    }

    fn set(&mut self, mut reader: Reader) -> Outcome<Node> {
        let mut names = vec![reader.name()?];
        while reader.takes(",") {
            names.push(reader.name()?);
        }
        if reader.takes("=") {
            return Ok(Node::Set(names, reader.whole()?));
        }
        reader.end()?;
        Ok(Node::SetBlock(names, self.body("endset")?))
    }

    fn switch(&mut self, mut reader: Reader) -> Outcome<Node> {
        let value = reader.whole()?;
        let ends = ["case", "default", "endswitch"];
        let (mut cases, mut default) = (Vec::new(), Vec::new());
        let (_, mut ended) = self.nodes(&ends)?;
        while let Some((tag, mut reader)) = ended {
            match tag.as_str() {
                "case" => {
                    let case = reader.whole()?;
                    let (body, next) = self.nodes(&ends)?;
                    cases.push((case, body));
                    ended = next;
                }
                "default" => (default, ended) = self.nodes(&ends)?,
                _ => break,
            }
        }
        Ok(Node::Switch(value, cases, default))
    }
}
