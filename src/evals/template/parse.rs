//! The syntax of templates: tags and expressions, as nunjucks has them.

use crate::evals::template::datum::Outcome;
use crate::evals::template::tokens::{Piece, Token, pieces};
use std::rc::Rc;

/// How deep tags and brackets may be nested.
const MAX_DEPTH: u32 = 80;

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
                    condition = reader.whole()?
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

/// Reads the tokens of one tag.
struct Reader {
    tokens: std::iter::Peekable<std::vec::IntoIter<Token>>,
    line: u32,
    depth: u32,
}

/// The chains of operators, those that bind least first. Each is a level of its own, as in nunjucks.
const LEVELS: [&[&str]; 9] = [
    &["~"],
    &["+"],
    &["-"],
    &["*"],
    &["/"],
    &["//"],
    &["%"],
    &["**"],
    &[],
];

impl Reader {
    fn new(tokens: Vec<Token>, line: u32) -> Self {
        Self {
            tokens: tokens.into_iter().peekable(),
            line,
            depth: 0,
        }
    }

    fn wrong(&self, words: &str) -> String {
        format!("line {}: {words}", self.line)
    }

    fn is_sign(&mut self, sign: &str) -> bool {
        matches!(self.tokens.peek(), Some(Token::Sign(next)) if *next == sign)
    }

    fn takes(&mut self, sign: &str) -> bool {
        self.take_of(&[sign]).is_some()
    }

    fn take_of(&mut self, signs: &[&str]) -> Option<&'static str> {
        match self
            .tokens
            .next_if(|token| matches!(token, Token::Sign(sign) if signs.contains(sign)))
        {
            Some(Token::Sign(sign)) => Some(sign),
            _ => None,
        }
    }

    fn needs(&mut self, sign: &str) -> Outcome<()> {
        if self.takes(sign) {
            Ok(())
        } else {
            Err(self.wrong(&format!("`{sign}` is missing")))
        }
    }

    fn takes_name(&mut self, name: &str) -> bool {
        self.tokens
            .next_if(|token| matches!(token, Token::Name(next) if next == name))
            .is_some()
    }

    fn name(&mut self) -> Outcome<String> {
        match self.tokens.next() {
            Some(Token::Name(name)) => Ok(name),
            _ => Err(self.wrong("a name is missing")),
        }
    }

    fn end(&mut self) -> Outcome<()> {
        match self.tokens.next() {
            None => Ok(()),
            Some(token) => {
                let text = match token {
                    Token::Name(text) | Token::Text(text) => text,
                    Token::Number(number) => number.to_string(),
                    Token::Sign(sign) => sign.to_owned(),
                };
                Err(self.wrong(&format!("`{text}` is not expected there")))
            }
        }
    }

    /// An expression that ends the tag.
    fn whole(&mut self) -> Outcome<Expression> {
        let expression = self.expression()?;
        self.end()?;
        Ok(expression)
    }

    fn expression(&mut self) -> Outcome<Expression> {
        self.depth += 1;
        if MAX_DEPTH < self.depth {
            return Err(self.wrong("brackets are nested too deeply"));
        }
        let body = self.or()?;
        let expression = if self.takes_name("if") {
            let condition = self.or()?;
            let otherwise = if self.takes_name("else") {
                self.expression()?
            } else {
                Expression::Undefined
            };
            Expression::Choice(Box::new(body), Box::new(condition), Box::new(otherwise))
        } else {
            body
        };
        self.depth -= 1;
        Ok(expression)
    }

    fn or(&mut self) -> Outcome<Expression> {
        let mut left = self.and()?;
        while self.takes_name("or") {
            left = Expression::Binary("or", Box::new(left), Box::new(self.and()?));
        }
        Ok(left)
    }

    fn and(&mut self) -> Outcome<Expression> {
        let mut left = self.not()?;
        while self.takes_name("and") {
            left = Expression::Binary("and", Box::new(left), Box::new(self.not()?));
        }
        Ok(left)
    }

    fn not(&mut self) -> Outcome<Expression> {
        let mut times = 0_u32;
        while self.takes_name("not") {
            times += 1;
        }
        let mut expression = self.contained()?;
        for _ in 0..times.min(2 + times % 2) {
            expression = Expression::Not(Box::new(expression));
        }
        Ok(expression)
    }

    fn contained(&mut self) -> Outcome<Expression> {
        let mut left = self.tested()?;
        loop {
            let is_negated = self.takes_name("not");
            if !self.takes_name("in") {
                return if is_negated {
                    Err(self.wrong("`in` is missing"))
                } else {
                    Ok(left)
                };
            }
            left = Expression::Binary("in", Box::new(left), Box::new(self.tested()?));
            if is_negated {
                left = Expression::Not(Box::new(left));
            }
        }
    }

    fn tested(&mut self) -> Outcome<Expression> {
        let value = self.compared()?;
        if !self.takes_name("is") {
            return Ok(value);
        }
        let is_negated = self.takes_name("not");
        let name = self.name()?;
        let given = if self.is_sign("(") {
            self.arguments()?
        } else {
            Vec::new()
        };
        let test = Expression::Test(name, Box::new(value), given);
        Ok(if is_negated {
            Expression::Not(Box::new(test))
        } else {
            test
        })
    }

    fn compared(&mut self) -> Outcome<Expression> {
        let mut left = self.level(0)?;
        while let Some(sign) = self.take_of(&["==", "===", "!=", "!==", "<", ">", "<=", ">="]) {
            left = Expression::Binary(sign, Box::new(left), Box::new(self.level(0)?));
        }
        Ok(left)
    }

    fn level(&mut self, level: usize) -> Outcome<Expression> {
        let Some(signs) = LEVELS.get(level).filter(|signs| !signs.is_empty()) else {
            return self.signed(true);
        };
        let mut left = self.level(level + 1)?;
        while let Some(sign) = self.take_of(signs) {
            left = Expression::Binary(sign, Box::new(left), Box::new(self.level(level + 1)?));
        }
        Ok(left)
    }

    fn signed(&mut self, has_filters: bool) -> Outcome<Expression> {
        self.depth += 1;
        if MAX_DEPTH < self.depth {
            return Err(self.wrong("signs are nested too deeply"));
        }
        let expression = match self.take_of(&["-", "+"]) {
            Some("-") => Expression::Minus(Box::new(self.signed(false)?)),
            Some(_) => Expression::Plus(Box::new(self.signed(false)?)),
            None => self.primary()?,
        };
        self.depth -= 1;
        if has_filters {
            self.filtered(expression)
        } else {
            Ok(expression)
        }
    }

    fn filtered(&mut self, mut expression: Expression) -> Outcome<Expression> {
        while self.takes("|") {
            let mut name = self.name()?;
            while self.takes(".") {
                name = format!("{name}.{}", self.name()?);
            }
            let given = if self.is_sign("(") {
                self.arguments()?
            } else {
                Vec::new()
            };
            expression = Expression::Filter(name, Box::new(expression), given);
        }
        Ok(expression)
    }

    fn primary(&mut self) -> Outcome<Expression> {
        let mut expression = match self.tokens.next() {
            Some(Token::Text(text)) => Expression::Text(text.into()),
            Some(Token::Number(number)) => Expression::Number(number),
            Some(Token::Name(name)) => match name.as_str() {
                "true" => Expression::Bool(true),
                "false" => Expression::Bool(false),
                "none" | "null" => Expression::Null,
                _ => Expression::Name(name),
            },
            Some(Token::Sign("(")) => {
                let inner = self.expression()?;
                self.needs(")")?;
                inner
            }
            Some(Token::Sign("[")) => Expression::List(self.items("]")?),
            Some(Token::Sign("{")) => self.map()?,
            _ => return Err(self.wrong("a value is missing")),
        };
        loop {
            if self.is_sign("(") {
                expression = Expression::Call(Box::new(expression), self.arguments()?);
            } else if self.takes("[") {
                let member = self.expression()?;
                self.needs("]")?;
                expression = Expression::Member(Box::new(expression), Box::new(member));
            } else if self.takes(".") {
                let member = Expression::Text(self.name()?.into());
                expression = Expression::Member(Box::new(expression), Box::new(member));
            } else {
                return Ok(expression);
            }
        }
    }

    fn items(&mut self, close: &str) -> Outcome<Vec<Expression>> {
        let mut items = Vec::new();
        while !self.takes(close) {
            items.push(self.expression()?);
            if !self.takes(",") {
                self.needs(close)?;
                break;
            }
        }
        Ok(items)
    }

    fn map(&mut self) -> Outcome<Expression> {
        let mut fields = Vec::new();
        while !self.takes("}") {
            // A bare name is its own key.
            let key = match self.expression()? {
                Expression::Name(name) => Expression::Text(name.into()),
                key => key,
            };
            self.needs(":")?;
            fields.push((key, self.expression()?));
            if !self.takes(",") {
                self.needs("}")?;
                break;
            }
        }
        Ok(Expression::Map(fields))
    }

    fn arguments(&mut self) -> Outcome<Vec<Argument>> {
        self.needs("(")?;
        let mut given = Vec::new();
        while !self.takes(")") {
            let value = self.expression()?;
            let argument = match value {
                Expression::Name(name) if self.takes("=") => (Some(name), self.expression()?),
                value => (None, value),
            };
            given.push(argument);
            if !self.takes(",") {
                self.needs(")")?;
                break;
            }
        }
        Ok(given)
    }

    fn parameters(&mut self) -> Outcome<Vec<(String, Option<Expression>)>> {
        self.needs("(")?;
        let mut parameters = Vec::new();
        while !self.takes(")") {
            let name = self.name()?;
            let default = if self.takes("=") {
                Some(self.expression()?)
            } else {
                None
            };
            parameters.push((name, default));
            if !self.takes(",") {
                self.needs(")")?;
                break;
            }
        }
        Ok(parameters)
    }
}
