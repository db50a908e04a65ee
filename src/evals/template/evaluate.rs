//! Fills a parsed template: scopes, loops, macros, operators.

use crate::evals::template::datum::{Datum, MAX_TEXT, Outcome};
use crate::evals::template::filters;
use crate::evals::template::methods;
use crate::evals::template::parse::{Argument, Expression, Loop, Macro, Node};
use serde_json::{Map, Value};
use std::cmp::Ordering;
use std::rc::Rc;

/// Steps that a template may take: more is a loop that does not end.
const FUEL: u64 = 1_000_000;
/// Macros that may call each other.
const MAX_CALLS: u32 = 40;
/// Numbers that `range` makes.
const MAX_RANGE: f64 = 100_000.0;

/// Arguments of a call, evaluated.
#[derive(Debug, Default)]
pub(super) struct Given {
    pub(super) plain: Vec<Datum>,
    pub(super) named: Vec<(String, Datum)>,
}

impl Given {
    /// Returns the argument at `place`, or that with the name.
    pub(super) fn get(&self, place: usize, name: &str) -> Option<&Datum> {
        let named = self
            .named
            .iter()
            .find(|(given, _)| given == name)
            .map(|(_, value)| value);
        self.plain.get(place).or(named)
    }
}

/// Names that were set in a part of a template.
#[derive(Debug, Default)]
struct Scope {
    names: Vec<(String, Datum)>,
    /// Whether names of scopes around it can be neither read nor set: the body of a macro.
    is_isolated: bool,
}

/// Fills templates with variables.
#[derive(Debug)]
pub(super) struct Filler<'a> {
    vars: &'a Map<String, Value>,
    scopes: Vec<Scope>,
    callers: Vec<Option<(Vec<String>, Rc<Vec<Node>>)>>,
    fuel: u64,
    written: usize,
}

impl<'a> Filler<'a> {
    pub(super) fn new(vars: &'a Map<String, Value>) -> Self {
        Self {
            vars,
            scopes: vec![Scope::default()],
            callers: Vec::new(),
            fuel: FUEL,
            written: 0,
        }
    }

    /// Returns what the nodes write.
    pub(super) fn fill(&mut self, nodes: &[Node]) -> Outcome<String> {
        let mut out = String::new();
        self.write(nodes, &mut out)?;
        Ok(out)
    }

    fn step(&mut self) -> Outcome<()> {
        self.fuel = self.fuel.checked_sub(1).ok_or("it does not end")?;
        Ok(())
    }

    fn push(&mut self, text: &str, out: &mut String) -> Outcome<()> {
        self.written += text.len();
        if MAX_TEXT < self.written {
            return Err(format!("it writes more than {MAX_TEXT} bytes"));
        }
        out.push_str(text);
        Ok(())
    }

    fn write(&mut self, nodes: &[Node], out: &mut String) -> Outcome<()> {
        for node in nodes {
            self.step()?;
            self.write_node(node, out)?;
        }
        Ok(())
    }

    fn write_node(&mut self, node: &Node, out: &mut String) -> Outcome<()> {
        match node {
            Node::Text(text) => self.push(text, out),
            Node::Print(expression, line) => {
                let printed = self.value(expression).and_then(|value| value.printed());
                let printed = printed.map_err(|words| at_line(*line, words))?;
                self.push(&printed, out)
            }
            Node::If(branches, otherwise) => {
                for (condition, body) in branches {
                    if self.value(condition)?.is_truthy() {
                        return self.write(body, out);
                    }
                }
                self.write(otherwise, out)
            }
            Node::For(repeated) => self.repeat(repeated, out),
            Node::Set(names, expression) => {
                let value = self.value(expression)?;
                self.set_all(names, &value);
                Ok(())
            }
            Node::SetBlock(names, body) => {
                let value = Datum::grown(self.fill(body)?)?;
                self.set_all(names, &value);
                Ok(())
            }
            Node::Macro(made) => {
                self.set(&made.name, Datum::Macro(Rc::clone(made)));
                Ok(())
            }
            Node::Filter(name, given, body) => {
                let text = Datum::grown(self.fill(body)?)?;
                let given = self.arguments(given)?;
                let filtered = filters::apply(name, &text, &given)?.printed()?;
                self.push(&filtered, out)
            }
            Node::Call(call, names, body) => {
                self.callers.push(Some((names.clone(), Rc::clone(body))));
                let written = self.value(call).and_then(|value| value.printed());
                self.callers.pop();
                self.push(&written?, out)
            }
            Node::Switch(value, cases, default) => {
                let value = self.value(value)?;
                for (index, (case, _)) in cases.iter().enumerate() {
                    if self.value(case)?.is_identical(&value) {
                        // A case without a body shares that of the next, as in JavaScript.
                        let bodies = cases
                            .get(index..)
                            .unwrap_or_default()
                            .iter()
                            .map(|(_, body)| body);
                        let body = bodies.chain([default]).find(|body| !body.is_empty());
                        return body.map_or(Ok(()), |body| self.write(body, out));
                    }
                }
                self.write(default, out)
            }
        }
    }

    fn repeat(&mut self, repeated: &Loop, out: &mut String) -> Outcome<()> {
        let list = self.value(&repeated.list)?;
        let rounds = rounds(&list, repeated.names.len());
        if rounds.is_empty() {
            return self.write(&repeated.otherwise, out);
        }
        let length = rounds.len();
        self.scopes.push(Scope::default());
        let mut outcome = Ok(());
        for (index, values) in rounds.into_iter().enumerate() {
            for (place, name) in repeated.names.iter().enumerate() {
                self.put(name, values.get(place).cloned().unwrap_or(Datum::Undefined));
            }
            outcome = loop_facts(index, length).and_then(|facts| {
                self.put("loop", facts);
                self.step()?;
                self.write(&repeated.body, out)
            });
            if outcome.is_err() {
                break;
            }
        }
        self.scopes.pop();
        outcome
    }

    /// Sets names where the first of them stands already, else in the innermost scope.
    fn set_all(&mut self, names: &[String], value: &Datum) {
        for name in names {
            self.set(name, value.clone());
        }
    }

    fn set(&mut self, name: &str, value: Datum) {
        for scope in self.scopes.iter_mut().rev() {
            if let Some((_, old)) = scope.names.iter_mut().find(|(known, _)| known == name) {
                *old = value;
                return;
            }
            if scope.is_isolated {
                break;
            }
        }
        self.put(name, value);
    }

    /// Sets a name in the innermost scope.
    fn put(&mut self, name: &str, value: Datum) {
        let Some(scope) = self.scopes.last_mut() else {
            return;
        };
        match scope.names.iter_mut().find(|(known, _)| known == name) {
            Some((_, old)) => *old = value,
            None => scope.names.push((name.to_owned(), value)),
        }
    }

    fn lookup(&self, name: &str) -> Outcome<Datum> {
        for scope in self.scopes.iter().rev() {
            if let Some((_, value)) = scope.names.iter().find(|(known, _)| known == name) {
                return Ok(value.clone());
            }
            if scope.is_isolated {
                break;
            }
        }
        // A macro sees the other macros, which are set at the top.
        let top = self
            .scopes
            .first()
            .into_iter()
            .flat_map(|scope| &scope.names);
        let mut top =
            top.filter(|(known, value)| known == name && matches!(value, Datum::Macro(_)));
        match (top.next(), self.vars.get(name)) {
            (Some((_, value)), _) => Ok(value.clone()),
            (None, Some(value)) => Datum::of_json(value),
            (None, None) => Ok(Datum::Undefined),
        }
    }

    fn value(&mut self, expression: &Expression) -> Outcome<Datum> {
        self.step()?;
        Ok(match expression {
            Expression::Undefined => Datum::Undefined,
            Expression::Null => Datum::Null,
            Expression::Bool(truth) => Datum::Bool(*truth),
            Expression::Number(number) => Datum::Number(*number),
            Expression::Text(text) => Datum::Text(Rc::clone(text)),
            Expression::Name(name) => self.lookup(name)?,
            Expression::List(items) => {
                let items: Outcome<Vec<Datum>> =
                    items.iter().map(|item| self.value(item)).collect();
                Datum::list(items?)?
            }
            Expression::Map(fields) => {
                let fields: Outcome<Vec<(Rc<str>, Datum)>> = fields
                    .iter()
                    .map(|(key, value)| {
                        Ok((Rc::from(self.value(key)?.printed()?), self.value(value)?))
                    })
                    .collect();
                Datum::map(fields?)?
            }
            Expression::Member(holder, member) => {
                let (holder, member) = (self.value(holder)?, self.value(member)?);
                methods::member(&holder, &member)?
            }
            Expression::Call(called, given) => self.call(called, given)?,
            Expression::Filter(name, value, given) => {
                let (value, given) = (self.value(value)?, self.arguments(given)?);
                filters::apply(name, &value, &given)?
            }
            Expression::Test(name, value, given) => {
                let (value, given) = (self.value(value)?, self.arguments(given)?);
                Datum::Bool(filters::test(name, &value, &given)?)
            }
            Expression::Not(value) => Datum::Bool(!self.value(value)?.is_truthy()),
            Expression::Minus(value) => Datum::Number(-self.value(value)?.number()),
            Expression::Plus(value) => Datum::Number(self.value(value)?.number()),
            Expression::Binary(sign, left, right) => self.binary(sign, left, right)?,
            Expression::Choice(body, condition, otherwise) => {
                let is_true = self.value(condition)?.is_truthy();
                self.value(if is_true { body } else { otherwise })?
            }
        })
    }

    fn binary(&mut self, sign: &str, left: &Expression, right: &Expression) -> Outcome<Datum> {
        let left = self.value(left)?;
        match sign {
            "and" if !left.is_truthy() => return Ok(left),
            "or" if left.is_truthy() => return Ok(left),
            _ => {}
        }
        let right = self.value(right)?;
        let ordered = |wanted: &[Ordering]| {
            let order = left.compare(&right);
            Datum::Bool(order.is_some_and(|order| wanted.contains(&order)))
        };
        let (a, b) = (left.number(), right.number());
        Ok(match sign {
            "and" | "or" => right,
            "==" => Datum::Bool(left.is_equal(&right)),
            "!=" => Datum::Bool(!left.is_equal(&right)),
            "===" => Datum::Bool(left.is_identical(&right)),
            "!==" => Datum::Bool(!left.is_identical(&right)),
            "<" => ordered(&[Ordering::Less]),
            ">" => ordered(&[Ordering::Greater]),
            "<=" => ordered(&[Ordering::Less, Ordering::Equal]),
            ">=" => ordered(&[Ordering::Greater, Ordering::Equal]),
            "in" => Datum::Bool(methods::contains(&right, &left)?),
            "~" => Datum::grown(left.printed()? + &right.printed()?)?,
            "+" => methods::plus(&left, &right)?,
            "-" => Datum::Number(a - b),
            "*" => Datum::Number(a * b),
            "/" => Datum::Number(a / b),
            "//" => Datum::Number((a / b).floor()),
            "%" => Datum::Number(a % b),
            _ => Datum::Number(a.powf(b)),
        })
    }

    fn arguments(&mut self, given: &[Argument]) -> Outcome<Given> {
        let mut arguments = Given::default();
        for (name, value) in given {
            let value = self.value(value)?;
            match name {
                Some(name) => arguments.named.push((name.clone(), value)),
                None => arguments.plain.push(value),
            }
        }
        Ok(arguments)
    }

    fn call(&mut self, called: &Expression, given: &[Argument]) -> Outcome<Datum> {
        match called {
            Expression::Member(holder, member) => {
                let (holder, member) = (self.value(holder)?, self.value(member)?.printed()?);
                let given = self.arguments(given)?;
                methods::call(&holder, &member, &given)
            }
            Expression::Name(name) => {
                let found = self.lookup(name)?;
                let given = self.arguments(given)?;
                match (found, name.as_str()) {
                    (Datum::Macro(made), _) => self.run(&made, &given),
                    (Datum::Undefined, "caller") => self.run_caller(&given),
                    (Datum::Undefined, "range") => range(&given),
                    _ => Err(format!("`{name}` is no function")),
                }
            }
            _ => Err("that is no function".to_owned()),
        }
    }

    fn run(&mut self, made: &Macro, given: &Given) -> Outcome<Datum> {
        let mut names = Vec::new();
        for (place, (name, default)) in made.parameters.iter().enumerate() {
            let value = match (given.get(place, name), default) {
                (Some(value), _) => value.clone(),
                (None, Some(default)) => self.value(default)?,
                (None, None) => Datum::Undefined,
            };
            names.push((name.clone(), value));
        }
        let scope = Scope {
            names,
            is_isolated: true,
        };
        self.run_body(scope, &made.body)
    }

    fn run_caller(&mut self, given: &Given) -> Outcome<Datum> {
        let Some(Some((names, body))) = self.callers.last().cloned() else {
            return Err("`caller` is no function outside of `call`".to_owned());
        };
        let names = names.into_iter().enumerate().map(|(place, name)| {
            let value = given.get(place, &name).cloned().unwrap_or(Datum::Undefined);
            (name, value)
        });
        let scope = Scope {
            names: names.collect(),
            is_isolated: false,
        };
        // Inside of its body the caller is the one around it.
        self.callers.push(None);
        let outcome = self.run_body(scope, &body);
        self.callers.pop();
        outcome
    }

    fn run_body(&mut self, scope: Scope, body: &[Node]) -> Outcome<Datum> {
        let open =
            self.scopes.iter().filter(|scope| scope.is_isolated).count() + self.callers.len();
        if MAX_CALLS <= u32::try_from(open).unwrap_or(u32::MAX) {
            return Err("macros call each other too deeply".to_owned());
        }
        self.scopes.push(scope);
        let outcome = self.fill(body);
        self.scopes.pop();
        Datum::grown(outcome?)
    }
}

fn at_line(line: u32, words: String) -> String {
    if words.starts_with("line ") {
        words
    } else {
        format!("line {line}: {words}")
    }
}

/// What a loop goes through: one or several values a round.
fn rounds(list: &Datum, names: usize) -> Vec<Vec<Datum>> {
    match list {
        Datum::List(list) if names == 1 => {
            list.items.iter().map(|item| vec![item.clone()]).collect()
        }
        Datum::List(list) => list
            .items
            .iter()
            .map(|item| match item {
                Datum::List(inner) => inner.items.clone(),
                other => vec![other.clone()],
            })
            .collect(),
        Datum::Map(map) if 1 < names => map
            .fields
            .iter()
            .map(|(key, value)| vec![Datum::Text(Rc::clone(key)), value.clone()])
            .collect(),
        Datum::Text(text) if names == 1 => text
            .chars()
            .map(|c| vec![Datum::text(c.to_string())])
            .collect(),
        _ => Vec::new(),
    }
}

fn loop_facts(index: usize, length: usize) -> Outcome<Datum> {
    let facts = [
        ("index", Datum::count(index + 1)),
        ("index0", Datum::count(index)),
        ("revindex", Datum::count(length - index)),
        ("revindex0", Datum::count(length - index - 1)),
        ("first", Datum::Bool(index == 0)),
        ("last", Datum::Bool(index + 1 == length)),
        ("length", Datum::count(length)),
    ];
    Datum::map(
        facts
            .into_iter()
            .map(|(name, fact)| (Rc::from(name), fact))
            .collect(),
    )
}

/// `range(stop)`, `range(start, stop, step)`.
fn range(given: &Given) -> Outcome<Datum> {
    let number = |place: usize| given.plain.get(place).map(Datum::number);
    let (start, stop) = match (number(0), number(1)) {
        (Some(stop), None) => (0.0, stop),
        (Some(start), Some(stop)) => (start, stop),
        (None, _) => return Err("`range` needs a number".to_owned()),
    };
    let step = number(2).filter(|step| *step != 0.0).unwrap_or(1.0);
    if MAX_RANGE < ((stop - start) / step).abs() {
        return Err(format!("`range` makes more than {MAX_RANGE} numbers"));
    }
    let mut numbers = Vec::new();
    let mut next = start;
    while (0.0 < step && next < stop) || (step < 0.0 && stop < next) {
        numbers.push(Datum::Number(next));
        next += step;
    }
    Datum::list(numbers)
}
