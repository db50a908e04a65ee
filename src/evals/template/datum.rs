//! Values inside of a template, as JavaScript has them: `undefined` beside `null`, numbers as floats.

use crate::evals::template::parse::Macro;
use crate::evals::values::float_text;
use serde_json::Value;
use std::rc::Rc;

/// How deep lists and objects may be nested.
const MAX_DEPTH: u16 = 150;
/// Bytes of one text, and of what a value prints.
pub(super) const MAX_TEXT: usize = 16 << 20;

/// What an evaluation says: the error is in words.
pub(super) type Outcome<T> = Result<T, String>;

/// A value.
#[derive(Debug, Clone)]
pub(super) enum Datum {
    Undefined,
    Null,
    Bool(bool),
    Number(f64),
    Text(Rc<str>),
    List(Rc<List>),
    Map(Rc<Map>),
    Macro(Rc<Macro>),
}

/// A list, with how deep it is nested.
#[derive(Debug)]
pub(super) struct List {
    pub(super) items: Vec<Datum>,
    depth: u16,
}

/// An object, with how deep it is nested.
#[derive(Debug)]
pub(super) struct Map {
    pub(super) fields: Vec<(Rc<str>, Datum)>,
    depth: u16,
}

impl Map {
    pub(super) fn get(&self, name: &str) -> Option<&Datum> {
        self.fields
            .iter()
            .find(|(key, _)| &**key == name)
            .map(|(_, value)| value)
    }
}

impl Datum {
    pub(super) fn text(text: impl Into<Rc<str>>) -> Self {
        Self::Text(text.into())
    }

    /// A text that may have grown too long.
    pub(super) fn grown(text: String) -> Outcome<Self> {
        if MAX_TEXT < text.len() {
            return Err(format!("a text is longer than {MAX_TEXT} bytes"));
        }
        Ok(Self::text(text))
    }

    pub(super) fn count(number: usize) -> Self {
        Self::Number(f64::from(u32::try_from(number).unwrap_or(u32::MAX)))
    }

    pub(super) fn list(items: Vec<Self>) -> Outcome<Self> {
        let depth = deeper(items.iter())?;
        Ok(Self::List(Rc::new(List { items, depth })))
    }

    pub(super) fn map(fields: Vec<(Rc<str>, Self)>) -> Outcome<Self> {
        let depth = deeper(fields.iter().map(|(_, value)| value))?;
        Ok(Self::Map(Rc::new(Map { fields, depth })))
    }

    pub(super) fn of_json(value: &Value) -> Outcome<Self> {
        Ok(match value {
            Value::Null => Self::Null,
            Value::Bool(truth) => Self::Bool(*truth),
            Value::Number(number) => Self::Number(number.as_f64().unwrap_or(f64::NAN)),
            Value::String(text) => Self::text(text.as_str()),
            Value::Array(items) => {
                let items: Outcome<Vec<Self>> = items.iter().map(Self::of_json).collect();
                Self::list(items?)?
            }
            Value::Object(fields) => {
                let fields: Outcome<Vec<(Rc<str>, Self)>> = fields
                    .iter()
                    .map(|(key, value)| Ok((Rc::from(key.as_str()), Self::of_json(value)?)))
                    .collect();
                Self::map(fields?)?
            }
        })
    }

    fn depth(&self) -> u16 {
        match self {
            Self::List(list) => list.depth,
            Self::Map(map) => map.depth,
            _ => 0,
        }
    }

    pub(super) fn is_truthy(&self) -> bool {
        match self {
            Self::Undefined | Self::Null => false,
            Self::Bool(truth) => *truth,
            Self::Number(number) => *number != 0.0 && !number.is_nan(),
            Self::Text(text) => !text.is_empty(),
            Self::List(_) | Self::Map(_) | Self::Macro(_) => true,
        }
    }

    pub(super) const fn is_missing(&self) -> bool {
        matches!(self, Self::Undefined | Self::Null)
    }

    /// What `{{ value }}` prints: nothing for `null` and `undefined`, else JavaScript's `String(value)`.
    pub(super) fn printed(&self) -> Outcome<String> {
        let mut out = String::new();
        self.print(&mut out)?;
        Ok(out)
    }

    fn print(&self, out: &mut String) -> Outcome<()> {
        match self {
            Self::Undefined | Self::Null => {}
            Self::Bool(truth) => out.push_str(if *truth { "true" } else { "false" }),
            Self::Number(number) => out.push_str(&float_text(*number)),
            Self::Text(text) => out.push_str(text),
            Self::List(list) => {
                for (index, item) in list.items.iter().enumerate() {
                    if 0 < index {
                        out.push(',');
                    }
                    item.print(out)?;
                }
            }
            Self::Map(_) => out.push_str("[object Object]"),
            Self::Macro(_) => out.push_str("[macro]"),
        }
        bounded(out)
    }

    /// JSON, with `indent` spaces per level (0: on one line). `undefined` has none.
    pub(super) fn json(&self, indent: usize) -> Outcome<String> {
        let mut out = String::new();
        self.write_json(indent.min(10), 0, &mut out)?;
        Ok(out)
    }

    fn write_json(&self, indent: usize, level: usize, out: &mut String) -> Outcome<()> {
        let mut lines = Vec::new();
        let brackets = match self {
            Self::Undefined | Self::Null | Self::Macro(_) => return push(out, "null"),
            Self::Number(number) if !number.is_finite() => return push(out, "null"),
            Self::Bool(_) | Self::Number(_) => return push(out, &self.printed()?),
            Self::Text(text) => return push(out, &Value::from(&**text).to_string()),
            Self::List(list) => {
                lines.extend(list.items.iter().map(|item| (None, item)));
                ('[', ']')
            }
            Self::Map(map) => {
                let said = |(_, value): &&(Rc<str>, Self)| {
                    !matches!(value, Self::Undefined | Self::Macro(_))
                };
                lines.extend(
                    map.fields
                        .iter()
                        .filter(said)
                        .map(|(key, item)| (Some(key), item)),
                );
                ('{', '}')
            }
        };
        let line = |level: usize| {
            if indent == 0 {
                String::new()
            } else {
                format!("\n{}", " ".repeat(indent * level))
            }
        };
        out.push(brackets.0);
        for (index, (key, item)) in lines.iter().enumerate() {
            if 0 < index {
                out.push(',');
            }
            out.push_str(&line(level + 1));
            if let Some(key) = key {
                out.push_str(&Value::from(&***key).to_string());
                out.push_str(if indent == 0 { ":" } else { ": " });
            }
            item.write_json(indent, level + 1, out)?;
        }
        if !lines.is_empty() {
            out.push_str(&line(level));
        }
        out.push(brackets.1);
        bounded(out)
    }

    /// JavaScript's `Number(value)`.
    pub(super) fn number(&self) -> f64 {
        match self {
            Self::Null => 0.0,
            Self::Bool(truth) => f64::from(u8::from(*truth)),
            Self::Number(number) => *number,
            Self::Text(text) => crate::evals::values::number_of(text).unwrap_or(f64::NAN),
            _ => f64::NAN,
        }
    }

    /// JavaScript's `===`; lists and objects are the same only when they are one.
    pub(super) fn is_identical(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Undefined, Self::Undefined) | (Self::Null, Self::Null) => true,
            (Self::Bool(a), Self::Bool(b)) => a == b,
            (Self::Number(a), Self::Number(b)) => {
                a.partial_cmp(b) == Some(std::cmp::Ordering::Equal)
            }
            (Self::Text(a), Self::Text(b)) => a == b,
            (Self::List(a), Self::List(b)) => Rc::ptr_eq(a, b),
            (Self::Map(a), Self::Map(b)) => Rc::ptr_eq(a, b),
            (Self::Macro(a), Self::Macro(b)) => Rc::ptr_eq(a, b),
            _ => false,
        }
    }

    /// JavaScript's `==`.
    pub(super) fn is_equal(&self, other: &Self) -> bool {
        let is_plain =
            |datum: &Self| matches!(datum, Self::Bool(_) | Self::Number(_) | Self::Text(_));
        match (self, other) {
            (a, b) if a.is_missing() || b.is_missing() => a.is_missing() && b.is_missing(),
            (Self::Text(_), Self::Text(_)) => self.is_identical(other),
            (a, b) if is_plain(a) && is_plain(b) => {
                Self::Number(a.number()).is_identical(&Self::Number(b.number()))
            }
            (Self::List(_) | Self::Map(_), plain) | (plain, Self::List(_) | Self::Map(_))
                if is_plain(plain) =>
            {
                let texts = (self.printed(), other.printed());
                matches!(texts, (Ok(a), Ok(b)) if a == b)
            }
            _ => self.is_identical(other),
        }
    }

    /// JavaScript's `<` and the like: texts by their units, everything else as numbers.
    pub(super) fn compare(&self, other: &Self) -> Option<std::cmp::Ordering> {
        match (self, other) {
            (Self::Text(a), Self::Text(b)) => Some(a.encode_utf16().cmp(b.encode_utf16())),
            _ => self.number().partial_cmp(&other.number()),
        }
    }
}

fn deeper<'a>(items: impl Iterator<Item = &'a Datum>) -> Outcome<u16> {
    let depth = items.map(Datum::depth).max().unwrap_or_default() + 1;
    if MAX_DEPTH < depth {
        Err("values are nested too deeply".to_owned())
    } else {
        Ok(depth)
    }
}

fn push(out: &mut String, text: &str) -> Outcome<()> {
    out.push_str(text);
    bounded(out)
}

fn bounded(out: &str) -> Outcome<()> {
    if MAX_TEXT < out.len() {
        Err(format!("a value prints more than {MAX_TEXT} bytes"))
    } else {
        Ok(())
    }
}
