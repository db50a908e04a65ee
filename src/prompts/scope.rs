//! What names mean while a template is rendered: a stack of contexts over the caller's variables.
//!
//! Nothing of the variables is copied unless a template asks for a whole context (`{{json this}}`).

use crate::prompts::syntax::{Origin, Path};
use serde_json::{Map, Value};
use std::rc::Rc;

/// Everything a render reads.
#[derive(Debug, Clone, Copy)]
pub(super) struct Inputs<'a> {
    /// Variables, the strongest first: the call's, the options', the file's defaults.
    pub(super) layers: [&'a Map<String, Value>; 3],
    /// The caller's `@name` values.
    pub(super) context: &'a Map<String, Value>,
    /// `@metadata`.
    pub(super) metadata: &'a Value,
    /// The JSON Schema of the variables.
    pub(super) schema: Option<&'a Value>,
}

impl<'a> Inputs<'a> {
    fn variable(&self, name: &str) -> Option<&'a Value> {
        self.layers.iter().find_map(|layer| layer.get(name))
    }

    fn all_variables(&self) -> Value {
        let mut all = Map::new();
        for layer in self.layers.iter().rev() {
            all.extend(
                layer
                    .iter()
                    .map(|(name, value)| (name.clone(), value.clone())),
            );
        }
        Value::Object(all)
    }
}

/// A value: borrowed where it can be.
#[derive(Debug, Clone)]
pub(super) enum Item<'a> {
    Missing,
    Borrowed(&'a Value),
    Shared(Rc<Value>),
}

impl Item<'_> {
    pub(super) fn get(&self) -> Option<&Value> {
        match self {
            Self::Missing => None,
            Self::Borrowed(value) => Some(value),
            Self::Shared(value) => Some(value),
        }
    }

    /// Returns the value, `null` when it is missing.
    pub(super) fn or_null(&self) -> &Value {
        self.get().unwrap_or(&Value::Null)
    }
}

/// A value, and what the schema says about its place.
#[derive(Debug, Clone)]
pub(super) struct Found<'a> {
    pub(super) item: Item<'a>,
    /// `None` when nothing is declared for the place.
    pub(super) schema: Option<&'a Value>,
}

impl<'a> Found<'a> {
    pub(super) const fn undeclared(item: Item<'a>) -> Self {
        Self { item, schema: None }
    }

    pub(super) fn shared(value: Value) -> Self {
        Self::undeclared(Item::Shared(Rc::new(value)))
    }

    /// Returns the value inside at `name`.
    pub(super) fn child(&self, name: &str, root_schema: Option<&'a Value>) -> Self {
        let item = match &self.item {
            Item::Missing => Item::Missing,
            Item::Borrowed(value) => match inside(value, name) {
                Some(inner) => Item::Borrowed(inner),
                None => length(value, name),
            },
            Item::Shared(value) => match inside(value, name) {
                Some(inner) => Item::Shared(Rc::new(inner.clone())),
                None => length(value, name),
            },
        };
        let schema = self
            .schema
            .and_then(|schema| declared(schema, name, root_schema, 0));
        Self { item, schema }
    }
}

fn inside<'v>(value: &'v Value, name: &str) -> Option<&'v Value> {
    match value {
        Value::Object(map) => map.get(name),
        Value::Array(items) => items.get(name.parse::<usize>().ok()?),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}

/// JavaScript's `length`, of lists and of texts (in UTF-16 units).
fn length<'a>(value: &Value, name: &str) -> Item<'a> {
    match value {
        Value::Array(items) if name == "length" => Item::Shared(Rc::new(items.len().into())),
        Value::String(text) if name == "length" => {
            Item::Shared(Rc::new(text.encode_utf16().count().into()))
        }
        _ => Item::Missing,
    }
}

/// Returns what `schema` declares for `name` inside its value.
pub(super) fn declared<'a>(
    schema: &'a Value,
    name: &str,
    root: Option<&'a Value>,
    depth: usize,
) -> Option<&'a Value> {
    // A chain of references longer than this goes in circles.
    if 16 < depth {
        return None;
    }
    if let Some(target) = schema.get("$ref").and_then(Value::as_str) {
        let target = root?.pointer(target.strip_prefix('#')?)?;
        return declared(target, name, root, depth + 1);
    }
    if let Some(property) = schema.get("properties").and_then(|all| all.get(name)) {
        return Some(property);
    }
    let by_position = || {
        let items = schema.get("items").filter(|items| items.is_object())?;
        name.parse::<usize>().ok().map(|_| items)
    };
    let by_rest = || {
        schema
            .get("additionalProperties")
            .filter(|rest| rest.is_object())
    };
    by_position().or_else(by_rest).or_else(|| {
        ["allOf", "anyOf", "oneOf"]
            .iter()
            .filter_map(|key| schema.get(key)?.as_array())
            .flatten()
            .find_map(|branch| declared(branch, name, root, depth + 1))
    })
}

/// `@index` and its kin inside `{{#each}}`.
#[derive(Debug, Clone)]
pub(super) struct LoopData<'a> {
    pub(super) index: usize,
    pub(super) length: usize,
    pub(super) key: Option<&'a str>,
    /// The key of an object that is not borrowed.
    pub(super) shared_key: Option<String>,
}

impl LoopData<'_> {
    fn get(&self, name: &str) -> Option<Value> {
        match name {
            "index" => Some(self.index.into()),
            "first" => Some((self.index == 0).into()),
            "last" => Some((self.index + 1 == self.length).into()),
            "key" => Some(match (self.key, &self.shared_key) {
                (Some(key), _) => key.into(),
                (None, Some(key)) => key.as_str().into(),
                (None, None) => self.index.into(),
            }),
            _ => None,
        }
    }
}

/// What `this` is in a frame.
#[derive(Debug, Clone)]
pub(super) enum Base<'a> {
    /// The variables of the call.
    Variables,
    /// The same as in the frame at this place of the stack.
    Frame(usize),
    Value(Found<'a>),
}

/// One context of the stack.
#[derive(Debug, Clone)]
pub(super) struct Frame<'a> {
    pub(super) base: Base<'a>,
    /// Arguments of a partial, which hide what `base` has under their names.
    pub(super) arguments: Vec<(&'a str, Found<'a>)>,
    /// Names given by `as |a b|`.
    pub(super) names: Vec<(&'a str, Found<'a>)>,
    pub(super) data: Option<LoopData<'a>>,
    /// Whether `../` counts this frame.
    pub(super) counts: bool,
    /// Whether a partial starts here, where the names of blocks outside end.
    pub(super) is_partial: bool,
}

impl<'a> Frame<'a> {
    pub(super) const fn new(base: Base<'a>) -> Self {
        Self {
            base,
            arguments: Vec::new(),
            names: Vec::new(),
            data: None,
            counts: true,
            is_partial: false,
        }
    }
}

/// The stack. Invariant: never empty; the lowest frame is the call's variables.
#[derive(Debug)]
pub(super) struct Scope<'a> {
    pub(super) inputs: &'a Inputs<'a>,
    pub(super) frames: Vec<Frame<'a>>,
}

impl<'a> Scope<'a> {
    pub(super) fn new(inputs: &'a Inputs<'a>) -> Self {
        Self {
            inputs,
            frames: vec![Frame::new(Base::Variables)],
        }
    }

    /// Returns the place of the current frame.
    pub(super) const fn top(&self) -> usize {
        self.frames.len().saturating_sub(1)
    }

    /// Returns what `path` stands for.
    pub(super) fn find(&self, path: &'a Path) -> Found<'a> {
        let mut segments = path.segments.iter();
        let start = match &path.origin {
            Origin::Data(name) => Some(self.data(name, path.up)),
            Origin::Root => match segments.next() {
                Some(name) => Some(self.variable(name)),
                None => Some(self.whole(0)),
            },
            Origin::This => {
                let Some(frame) = self.frame_above(path.up) else {
                    return Found::undeclared(Item::Missing);
                };
                match segments.next() {
                    Some(name) => match self.block_name(name).filter(|_| path.up == 0) {
                        Some(found) => Some(found),
                        None => Some(self.named(frame, name)),
                    },
                    None => Some(self.whole(frame)),
                }
            }
        };
        let start = start.unwrap_or(Found::undeclared(Item::Missing));
        segments.fold(start, |found, name| found.child(name, self.inputs.schema))
    }

    fn frame_above(&self, up: usize) -> Option<usize> {
        let mut counted = self
            .frames
            .iter()
            .enumerate()
            .rev()
            .filter(|(_, frame)| frame.counts);
        // Below the first frame that counts, a frame that does not count is current.
        if up == 0 {
            return Some(self.top());
        }
        counted.nth(up).map(|(index, _)| index)
    }

    fn block_name(&self, name: &str) -> Option<Found<'a>> {
        for frame in self.frames.iter().rev() {
            if let Some((_, found)) = frame.names.iter().find(|(known, _)| *known == name) {
                return Some(found.clone());
            }
            if frame.is_partial {
                return None;
            }
        }
        None
    }

    fn variable(&self, name: &str) -> Found<'a> {
        Found {
            item: self
                .inputs
                .variable(name)
                .map_or(Item::Missing, Item::Borrowed),
            schema: self
                .inputs
                .schema
                .and_then(|schema| declared(schema, name, Some(schema), 0)),
        }
    }

    fn named(&self, frame: usize, name: &str) -> Found<'a> {
        let Some(frame) = self.frames.get(frame) else {
            return Found::undeclared(Item::Missing);
        };
        if let Some((_, found)) = frame.arguments.iter().find(|(known, _)| *known == name) {
            return found.clone();
        }
        match &frame.base {
            Base::Variables => self.variable(name),
            Base::Frame(below) => self.named(*below, name),
            Base::Value(found) => found.child(name, self.inputs.schema),
        }
    }

    /// Returns the whole context of a frame.
    pub(super) fn whole(&self, frame: usize) -> Found<'a> {
        let Some(frame) = self.frames.get(frame) else {
            return Found::undeclared(Item::Missing);
        };
        let base = match &frame.base {
            Base::Variables => Found {
                item: Item::Shared(Rc::new(self.inputs.all_variables())),
                schema: self.inputs.schema,
            },
            Base::Frame(below) => self.whole(*below),
            Base::Value(found) => found.clone(),
        };
        if frame.arguments.is_empty() {
            return base;
        }
        let mut map = base.item.or_null().as_object().cloned().unwrap_or_default();
        for (name, found) in &frame.arguments {
            map.insert((*name).to_owned(), found.item.or_null().clone());
        }
        Found {
            item: Item::Shared(Rc::new(Value::Object(map))),
            schema: base.schema,
        }
    }

    fn data(&self, name: &str, up: usize) -> Found<'a> {
        let mut loops = self
            .frames
            .iter()
            .rev()
            .filter_map(|frame| frame.data.as_ref());
        if let Some(value) = loops.nth(up).and_then(|data| data.get(name)) {
            return Found::shared(value);
        }
        let item = match name {
            "root" => return self.whole(0),
            "metadata" => Item::Borrowed(self.inputs.metadata),
            _ => self
                .inputs
                .context
                .get(name)
                .map_or(Item::Missing, Item::Borrowed),
        };
        Found::undeclared(item)
    }
}
