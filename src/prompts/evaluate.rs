//! Renders a [`Program`] to pieces: text, and between it the marks of roles, history and media.
//!
//! Values only ever become text. A mark is a piece of its own kind, so that no value can forge one,
//! and nothing that was rendered is parsed again.

use crate::prompts::scope::{Base, Found, Frame, Inputs, Item, LoopData, Scope};
use crate::prompts::syntax::{Branch, Expression, Inclusion, Loop, Node, Origin, Program, Role};
use crate::prompts::trace::Recorder;
use crate::prompts::value;
use serde_json::Value;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How much one render may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RenderLimits {
    /// Bytes of all messages together.
    pub output_bytes: usize,
    /// Elements of templates visited, over all loops and partials.
    pub steps: usize,
    /// Rounds of all `{{#each}}` together.
    pub iterations: usize,
    /// Partials included, over all loops.
    pub partials: usize,
    /// Blocks and partials inside each other.
    pub depth: usize,
    /// Time for the whole render.
    pub time: Duration,
}

impl Default for RenderLimits {
    fn default() -> Self {
        Self {
            output_bytes: 4 << 20,
            steps: 1_000_000,
            iterations: 100_000,
            partials: 10_000,
            depth: 96,
            time: Duration::from_millis(500),
        }
    }
}

/// A partial, compiled once and shared by all prompts that include it.
#[derive(Debug)]
pub(super) struct Partial {
    /// With LF endings.
    pub(super) text: String,
    pub(super) program: Program,
}

/// The partials of a prompt by name.
pub(super) type Partials = BTreeMap<String, Arc<Partial>>;

/// What a template renders to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    Text(String),
    Role(Role),
    History,
    Section(String),
    Media {
        url: String,
        content_type: Option<String>,
    },
}

/// Why a render stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    /// A printed value is neither given nor declared.
    Missing { path: String, line: usize },
    /// A limit was reached.
    Limit { what: &'static str, limit: String },
    /// The template asks for something impossible.
    Impossible { reason: String, line: usize },
}

/// Everything that was rendered.
#[derive(Debug, Default)]
pub(super) struct Output {
    pub(super) pieces: Vec<Piece>,
    pub(super) warnings: Vec<String>,
}

/// Renders `program`; `recorder` learns what made each piece.
pub(super) fn run<'a, R: Recorder>(
    program: &'a Program,
    partials: &'a Partials,
    inputs: &'a Inputs<'a>,
    limits: &RenderLimits,
    recorder: &'a mut R,
) -> Result<Output, Failure> {
    let mut run = Run {
        recorder,
        partials,
        scope: Scope::new(inputs),
        limits: *limits,
        used: Used::default(),
        started: Instant::now(),
        output: Output::default(),
    };
    run.program(program)?;
    Ok(run.output)
}

#[derive(Debug, Default)]
struct Used {
    bytes: usize,
    steps: usize,
    iterations: usize,
    partials: usize,
    depth: usize,
}

struct Run<'a, R> {
    recorder: &'a mut R,
    partials: &'a Partials,
    scope: Scope<'a>,
    limits: RenderLimits,
    used: Used,
    started: Instant,
    output: Output,
}

fn over(what: &'static str, limit: usize) -> Failure {
    Failure::Limit {
        what,
        limit: limit.to_string(),
    }
}

impl<'a, R: Recorder> Run<'a, R> {
    fn program(&mut self, program: &'a Program) -> Result<(), Failure> {
        for node in &program.nodes {
            self.step()?;
            self.node(node)?;
        }
        Ok(())
    }

    fn step(&mut self) -> Result<(), Failure> {
        self.used.steps += 1;
        if self.limits.steps < self.used.steps {
            return Err(over("steps", self.limits.steps));
        }
        // The clock is read now and then only: it costs more than a step.
        if self.used.steps.is_multiple_of(64) && self.limits.time < self.started.elapsed() {
            return Err(Failure::Limit {
                what: "time",
                limit: format!("{} ms", self.limits.time.as_millis()),
            });
        }
        Ok(())
    }

    fn node(&mut self, node: &'a Node) -> Result<(), Failure> {
        match node {
            Node::Text { text, line } => {
                self.push_text(text)?;
                self.recorder.text(self.output.pieces.len(), text, *line);
                Ok(())
            }
            Node::Print { value, line } => self.print(value, *line),
            Node::Role(role) => self.push(Piece::Role(*role)),
            Node::History => self.push(Piece::History),
            Node::Section(name) => {
                let name = text_of(self.evaluate(name)?.item.or_null());
                self.push(Piece::Section(name))
            }
            Node::Media {
                url,
                content_type,
                line,
            } => self.media(url, content_type.as_ref(), *line),
            Node::If(branch) => {
                let test = self.evaluate(&branch.test)?;
                let holds = value::is_truthy(test.item.or_null(), branch.include_zero);
                self.branch(branch, holds)
            }
            Node::Equals { branch, other } => {
                let left = self.evaluate(&branch.test)?;
                let right = self.evaluate(other)?;
                let holds = value::equals(left.item.or_null(), right.item.or_null());
                self.branch(branch, holds)
            }
            Node::Each(each) => self.each(each),
            Node::With(with) => self.with(with),
            Node::Partial(inclusion) => self.partial(inclusion),
        }
    }

    fn push(&mut self, piece: Piece) -> Result<(), Failure> {
        let size = match &piece {
            Piece::Media { url, .. } => url.len(),
            Piece::Section(name) => name.len(),
            Piece::Text(_) | Piece::Role(_) | Piece::History => 0,
        };
        self.spend(size + 16)?;
        self.output.pieces.push(piece);
        Ok(())
    }

    fn push_text(&mut self, text: &str) -> Result<(), Failure> {
        self.spend(text.len())?;
        if let Some(Piece::Text(last)) = self.output.pieces.last_mut() {
            last.push_str(text);
        } else {
            self.output.pieces.push(Piece::Text(text.to_owned()));
        }
        Ok(())
    }

    fn spend(&mut self, bytes: usize) -> Result<(), Failure> {
        self.used.bytes += bytes;
        if self.limits.output_bytes < self.used.bytes {
            return Err(over("output bytes", self.limits.output_bytes));
        }
        Ok(())
    }

    fn print(&mut self, expression: &'a Expression, line: usize) -> Result<(), Failure> {
        let found = self.evaluate(expression)?;
        match found.item.get() {
            Some(Value::String(text)) => {
                self.push_text(text)?;
                self.record(expression, text, line)
            }
            Some(value) => {
                let mut text = String::new();
                if value::print(value, &mut text) {
                    self.warn_about_object(expression, line);
                }
                self.push_text(&text)?;
                self.record(expression, &text, line)
            }
            None if found.schema.is_some() => Ok(()),
            None => missing(expression, line),
        }
    }

    /// Tells the recorder what a value was printed for. Evaluates it again, which only a recorder that
    /// listens pays for.
    fn record(
        &mut self,
        expression: &'a Expression,
        text: &str,
        line: usize,
    ) -> Result<(), Failure> {
        if R::LISTENS {
            let found = self.evaluate(expression.innermost())?;
            let (piece, value) = (self.output.pieces.len(), found.item.get());
            self.recorder.value(piece, text, expression, value, line);
        }
        Ok(())
    }

    fn warn_about_object(&mut self, expression: &Expression, line: usize) {
        let name = match expression {
            Expression::Path(path) => path.text.as_str(),
            Expression::Lookup(_) | Expression::Json { .. } | Expression::Literal(_) => "lookup",
        };
        let warning = format!("line {line}: `{name}` is an object; print it with `{{{{json}}}}`");
        if self.output.warnings.len() < 16 && !self.output.warnings.contains(&warning) {
            self.output.warnings.push(warning);
        }
    }

    fn media(
        &mut self,
        url: &'a Expression,
        content_type: Option<&'a Expression>,
        line: usize,
    ) -> Result<(), Failure> {
        let source = url;
        let url = text_of(self.evaluate(url)?.item.or_null());
        if url.is_empty() {
            let reason = "`{{media}}` has an empty `url`".to_owned();
            return Err(Failure::Impossible { reason, line });
        }
        let content_type = match content_type {
            Some(kind) => Some(text_of(self.evaluate(kind)?.item.or_null())),
            None => None,
        };
        let shown = if R::LISTENS {
            url.clone()
        } else {
            String::new()
        };
        self.push(Piece::Media {
            url,
            content_type: content_type.filter(|kind| !kind.is_empty()),
        })?;
        self.record(source, &shown, line)
    }

    fn branch(&mut self, branch: &'a Branch, holds: bool) -> Result<(), Failure> {
        let body = if holds == branch.negated {
            &branch.inverse
        } else {
            &branch.body
        };
        self.nested(body)
    }

    fn nested(&mut self, program: &'a Program) -> Result<(), Failure> {
        self.used.depth += 1;
        if self.limits.depth < self.used.depth {
            return Err(over("nesting", self.limits.depth));
        }
        self.program(program)?;
        self.used.depth -= 1;
        Ok(())
    }

    fn inside(&mut self, frame: Frame<'a>, program: &'a Program) -> Result<(), Failure> {
        self.scope.frames.push(frame);
        self.nested(program)?;
        self.scope.frames.pop();
        Ok(())
    }

    fn each(&mut self, each: &'a Loop) -> Result<(), Failure> {
        let list = self.evaluate(&each.value)?;
        let entries = entries_of(&list);
        if entries.is_empty() {
            return self.nested(&each.inverse);
        }
        let length = entries.len();
        for (index, entry) in entries.into_iter().enumerate() {
            self.used.iterations += 1;
            if self.limits.iterations < self.used.iterations {
                return Err(over("loop iterations", self.limits.iterations));
            }
            self.step()?;
            let name = match (entry.key, &entry.shared_key) {
                (Some(key), _) => key,
                (None, Some(key)) => key.as_str(),
                (None, None) => "0",
            };
            let schema = list.schema.and_then(|schema| {
                crate::prompts::scope::declared(schema, name, self.scope.inputs.schema, 0)
            });
            let found = Found {
                item: entry.item,
                schema,
            };
            let key = || match (entry.key, &entry.shared_key) {
                (Some(key), _) => Value::from(key),
                (None, Some(key)) => Value::from(key.as_str()),
                (None, None) => Value::from(index),
            };
            let mut frame = Frame::new(Base::Value(found.clone()));
            if let Some(item_name) = each.names.first() {
                frame.names.push((item_name, found));
            }
            if let Some(key_name) = each.names.get(1) {
                frame.names.push((key_name, Found::shared(key())));
            }
            frame.data = Some(LoopData {
                index,
                length,
                key: entry.key,
                shared_key: entry.shared_key,
            });
            self.inside(frame, &each.body)?;
        }
        Ok(())
    }

    fn with(&mut self, with: &'a Loop) -> Result<(), Failure> {
        let found = self.evaluate(&with.value)?;
        // Only an absence is empty for `with`, not a zero.
        if !value::is_truthy(found.item.or_null(), true) {
            return self.nested(&with.inverse);
        }
        let mut frame = Frame::new(Base::Value(found.clone()));
        if let Some(name) = with.names.first() {
            frame.names.push((name, found));
        }
        self.inside(frame, &with.body)
    }

    fn partial(&mut self, inclusion: &'a Inclusion) -> Result<(), Failure> {
        self.used.partials += 1;
        if self.limits.partials < self.used.partials {
            return Err(over("partial expansions", self.limits.partials));
        }
        let partials = self.partials;
        let Some(partial) = partials.get(&inclusion.name) else {
            let reason = format!("there is no partial `{}`", inclusion.name);
            return Err(Failure::Impossible {
                reason,
                line: inclusion.line,
            });
        };
        let mut arguments = Vec::with_capacity(inclusion.arguments.len());
        for (name, argument) in &inclusion.arguments {
            arguments.push((name.as_str(), self.evaluate(argument)?));
        }
        let base = match &inclusion.context {
            Some(context) => Base::Value(self.evaluate(context)?),
            None => Base::Frame(self.scope.top()),
        };
        let mut frame = Frame::new(base);
        frame.counts = inclusion.context.is_some() || !arguments.is_empty();
        frame.arguments = arguments;
        frame.is_partial = true;
        self.recorder.enter(&inclusion.name);
        self.inside(frame, &partial.program)?;
        self.recorder.leave();
        Ok(())
    }

    fn evaluate(&mut self, expression: &'a Expression) -> Result<Found<'a>, Failure> {
        match expression {
            Expression::Literal(value) => Ok(Found::undeclared(Item::Borrowed(value))),
            Expression::Path(path) => Ok(self.scope.find(path)),
            Expression::Lookup(pair) => {
                let (collection, key) = &**pair;
                let collection = self.evaluate(collection)?;
                let key = text_of(self.evaluate(key)?.item.or_null());
                Ok(collection.child(&key, self.scope.inputs.schema))
            }
            Expression::Json { value, indent } => {
                let found = self.evaluate(value)?;
                let text = value::to_json(found.item.or_null(), *indent);
                if self.limits.output_bytes < text.len() {
                    return Err(over("output bytes", self.limits.output_bytes));
                }
                Ok(Found::shared(Value::String(text)))
            }
        }
    }
}

/// A context value (`@user.name`) that is absent is empty, as in Dotprompt; a variable is not.
fn missing(expression: &Expression, line: usize) -> Result<(), Failure> {
    match expression {
        Expression::Path(path) if matches!(path.origin, Origin::Data(_)) => Ok(()),
        Expression::Path(path) => Err(Failure::Missing {
            path: path.text.clone(),
            line,
        }),
        Expression::Lookup(_) | Expression::Json { .. } | Expression::Literal(_) => {
            Err(Failure::Missing {
                path: "lookup".to_owned(),
                line,
            })
        }
    }
}

fn text_of(value: &Value) -> String {
    let mut text = String::new();
    value::print(value, &mut text);
    text
}

struct Entry<'a> {
    item: Item<'a>,
    key: Option<&'a str>,
    shared_key: Option<String>,
}

/// Returns what `{{#each}}` goes through; nothing for what is no list and no object.
fn entries_of<'a>(list: &Found<'a>) -> Vec<Entry<'a>> {
    let entry = |item, key, shared_key| Entry {
        item,
        key,
        shared_key,
    };
    match &list.item {
        Item::Borrowed(Value::Array(items)) => items
            .iter()
            .map(|item| entry(Item::Borrowed(item), None, None))
            .collect(),
        Item::Borrowed(Value::Object(map)) => map
            .iter()
            .map(|(key, item)| entry(Item::Borrowed(item), Some(key.as_str()), None))
            .collect(),
        Item::Shared(shared) => match &**shared {
            Value::Array(items) => items
                .iter()
                .map(|item| entry(Item::Shared(Rc::new(item.clone())), None, None))
                .collect(),
            Value::Object(map) => map
                .iter()
                .map(|(key, item)| {
                    entry(Item::Shared(Rc::new(item.clone())), None, Some(key.clone()))
                })
                .collect(),
            _ => Vec::new(),
        },
        Item::Borrowed(_) | Item::Missing => Vec::new(),
    }
}
