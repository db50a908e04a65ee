//! What a prompt says in which role: texts and printed values, in order, with what the schema
//! declares for each, without rendering anything.

use crate::prompts::evaluate::Partials;
use crate::prompts::lint::tags::{self, Tag};
use crate::prompts::scope::declared;
use crate::prompts::syntax::{Expression, Inclusion, Loop, Node, Origin, Path, Program, Role};
use crate::prompts::usage::MAX_PARTIAL_DEPTH;
use serde_json::Value;
use std::ops::Range;

/// Events of one prompt at most; partials count each time they are included.
const MAX_EVENTS: usize = 50_000;

/// A value that is printed.
#[derive(Debug, Clone)]
pub(super) struct Printed<'a> {
    pub(super) path: &'a Path,
    /// The variable that the value is, or is a part of.
    pub(super) variable: Option<String>,
    /// What is declared for the value.
    pub(super) schema: Option<&'a Value>,
    pub(super) role: Role,
    /// Whether it is printed as `{{x}}`, not through a helper.
    pub(super) is_raw: bool,
}

#[derive(Debug, Clone)]
pub(super) enum What<'a> {
    Text(&'a str),
    Printed(Printed<'a>),
    Role(Role),
    History,
}

/// Something in a prompt.
#[derive(Debug, Clone)]
pub(super) struct Event<'a> {
    pub(super) what: What<'a>,
    /// The partial that it stands in; `None` for the prompt's own file.
    pub(super) partial: Option<&'a str>,
    /// Where, in that file; behind the tag before it for a text.
    pub(super) place: Range<usize>,
}

/// Walks `program`, compiled from `template`, which starts at the byte `offset` of its file.
pub(super) fn events<'a>(
    template: (&'a str, usize),
    program: &'a Program,
    partials: &'a Partials,
    schema: Option<&'a Value>,
) -> Vec<Event<'a>> {
    let mut walker = Walker {
        partials,
        root: schema,
        frames: vec![Frame {
            context: Bound {
                is_all: true,
                schema,
                ..Bound::default()
            },
            ..Frame::default()
        }],
        role: Role::User,
        files: vec![Cursor::new(None, template)],
        events: Vec::new(),
    };
    walker.program(program);
    walker.events
}

/// What a name stands for.
#[derive(Debug, Clone, Default)]
struct Bound<'a> {
    variable: Option<String>,
    schema: Option<&'a Value>,
    /// Whether it is all variables together.
    is_all: bool,
}

#[derive(Debug, Clone, Default)]
struct Frame<'a> {
    context: Bound<'a>,
    arguments: Vec<(&'a str, Bound<'a>)>,
    names: Vec<(&'a str, Bound<'a>)>,
    is_transparent: bool,
    is_partial: bool,
}

/// The tags of a file that are still to come.
struct Cursor<'a> {
    partial: Option<&'a str>,
    tags: std::vec::IntoIter<Tag<'a>>,
    /// Where the last tag ended.
    end: usize,
}

impl<'a> Cursor<'a> {
    fn new(partial: Option<&'a str>, (text, offset): (&'a str, usize)) -> Self {
        Self {
            partial,
            tags: tags::find(text, offset).into_iter(),
            end: offset,
        }
    }
}

struct Walker<'a> {
    partials: &'a Partials,
    root: Option<&'a Value>,
    frames: Vec<Frame<'a>>,
    role: Role,
    files: Vec<Cursor<'a>>,
    events: Vec<Event<'a>>,
}

impl<'a> Walker<'a> {
    fn program(&mut self, program: &'a Program) {
        for node in &program.nodes {
            if MAX_EVENTS < self.events.len() {
                return;
            }
            self.node(node);
        }
    }

    fn next_tag(&mut self) -> Option<Tag<'a>> {
        let cursor = self.files.last_mut()?;
        let tag = cursor.tags.next()?;
        cursor.end = tag.range.end;
        Some(tag)
    }

    fn push(&mut self, what: What<'a>, place: Range<usize>) {
        let partial = self.files.last().and_then(|cursor| cursor.partial);
        self.events.push(Event {
            what,
            partial,
            place,
        });
    }

    fn node(&mut self, node: &'a Node) {
        if let Node::Text { text, .. } = node {
            let end = self.files.last().map_or(0, |cursor| cursor.end);
            return self.push(What::Text(text), end..end);
        }
        let Some(tag) = self.next_tag() else { return };
        match node {
            Node::Text { .. } | Node::Section(_) | Node::Media { .. } => {}
            Node::Print { value, .. } => self.print(value, &tag, true),
            Node::Role(role) => {
                self.role = *role;
                self.push(What::Role(*role), tag.range);
            }
            Node::History => {
                self.role = Role::Model;
                self.push(What::History, tag.range);
            }
            Node::If(branch) | Node::Equals { branch, .. } => {
                self.program(&branch.body);
                self.program(&branch.inverse);
            }
            Node::Each(block) => self.block(block, true),
            Node::With(block) => self.block(block, false),
            Node::Partial(inclusion) => self.partial(inclusion),
        }
    }

    fn print(&mut self, value: &'a Expression, tag: &Tag<'a>, is_raw: bool) {
        match value {
            Expression::Literal(_) => {}
            Expression::Path(path) => {
                let bound = self.resolve(path);
                let printed = Printed {
                    path,
                    variable: bound.variable,
                    schema: bound.schema,
                    role: self.role,
                    is_raw,
                };
                self.push(What::Printed(printed), tag.place_of(&path.text));
            }
            Expression::Lookup(pair) => self.print(&pair.0, tag, false),
            Expression::Json { value, .. } => self.print(value, tag, false),
        }
    }

    fn block(&mut self, block: &'a Loop, is_each: bool) {
        let mut bound = self.bound(&block.value);
        if is_each {
            let schema = bound.schema.take();
            bound.schema = schema.and_then(|schema| declared(schema, "0", self.root, 0));
        }
        let name = block.names.first().map(String::as_str);
        let second = block.names.get(1).map(String::as_str);
        let mut names: Vec<_> = name.map(|name| (name, bound.clone())).into_iter().collect();
        names.extend(second.map(|name| (name, Bound::default())));
        self.frames.push(Frame {
            context: bound,
            names,
            ..Frame::default()
        });
        self.program(&block.body);
        self.frames.pop();
        self.program(&block.inverse);
    }

    fn partial(&mut self, inclusion: &'a Inclusion) {
        let arguments: Vec<_> = inclusion
            .arguments
            .iter()
            .map(|(name, value)| (name.as_str(), self.bound(value)))
            .collect();
        let context = match &inclusion.context {
            Some(context) => self.bound(context),
            None => self
                .frames
                .last()
                .map(|frame| frame.context.clone())
                .unwrap_or_default(),
        };
        let partials = self.partials;
        let Some((name, partial)) = partials.get_key_value(&inclusion.name) else {
            return;
        };
        if MAX_PARTIAL_DEPTH < self.files.len() {
            return;
        }
        self.frames.push(Frame {
            context,
            is_transparent: inclusion.context.is_none() && arguments.is_empty(),
            arguments,
            names: Vec::new(),
            is_partial: true,
        });
        self.files.push(Cursor::new(Some(name), (&partial.text, 0)));
        self.program(&partial.program);
        self.files.pop();
        self.frames.pop();
    }

    fn bound(&self, expression: &Expression) -> Bound<'a> {
        match expression {
            Expression::Literal(_) => Bound::default(),
            Expression::Path(path) => self.resolve(path),
            Expression::Lookup(pair) => {
                let collection = self.bound(&pair.0);
                self.inside(collection, "0")
            }
            Expression::Json { value, .. } => Bound {
                schema: None,
                ..self.bound(value)
            },
        }
    }

    fn resolve(&self, path: &Path) -> Bound<'a> {
        let mut segments = path.segments.iter();
        let start = match &path.origin {
            Origin::Data(_) => None,
            Origin::Root => self.frames.first().map(|frame| frame.context.clone()),
            Origin::This => match segments.as_slice().first() {
                Some(name) => {
                    let named = self.named(path.up, name);
                    if named.is_some() {
                        segments.next();
                    }
                    named.or_else(|| self.frame(path.up).map(|frame| frame.context.clone()))
                }
                None => self.frame(path.up).map(|frame| frame.context.clone()),
            },
        };
        segments.fold(start.unwrap_or_default(), |bound, name| {
            self.inside(bound, name)
        })
    }

    fn frame(&self, up: usize) -> Option<&Frame<'a>> {
        if up == 0 {
            return self.frames.last();
        }
        let counted = self.frames.iter().rev();
        counted.filter(|frame| !frame.is_transparent).nth(up)
    }

    /// What `name` stands for by `as |name|` or as an argument of a partial.
    fn named(&self, up: usize, name: &str) -> Option<Bound<'a>> {
        if up == 0 {
            for frame in self.frames.iter().rev() {
                if let Some((_, bound)) = frame.names.iter().find(|(known, _)| *known == name) {
                    return Some(bound.clone());
                }
                if frame.is_partial {
                    break;
                }
            }
        }
        let arguments = &self.frame(up)?.arguments;
        let found = arguments.iter().find(|(known, _)| *known == name);
        found.map(|(_, bound)| bound.clone())
    }

    fn inside(&self, bound: Bound<'a>, name: &str) -> Bound<'a> {
        Bound {
            variable: if bound.is_all {
                Some(name.to_owned())
            } else {
                bound.variable
            },
            schema: bound
                .schema
                .and_then(|schema| declared(schema, name, self.root, 0)),
            is_all: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{What, events};
    use crate::prompts::compile::compile;
    use crate::prompts::evaluate::{Partial, Partials};
    use serde_json::json;
    use std::sync::Arc;

    #[test]
    fn printed_values_lead_to_their_variables_and_schemas() {
        let mut partials = Partials::new();
        let text = "{{a}}{{#each items}}{{name}}{{/each}}";
        partials.insert(
            "p".to_owned(),
            Arc::new(Partial {
                text: text.to_owned(),
                program: compile(text, 1).unwrap(),
            }),
        );
        let item = json!({"type": "object", "properties": {"name": {"type": "string"}}});
        let schema = json!({"type": "object", "properties": {
            "a": {"type": "integer"},
            "list": {"type": "array", "items": item},
            "map": {"type": "object", "additionalProperties": {"type": "boolean"}},
        }});
        for (template, wanted) in [
            ("{{a}}", "a:integer"),
            ("{{list}}{{map}}", "list:array map:object"),
            (
                "{{#each list}}{{this}}{{name}}{{@index}}{{../a}}{{/each}}",
                "list:object list:string -:- a:integer",
            ),
            (
                "{{#each list as |x i|}}{{x.name}}{{i}}{{/each}}",
                "list:string -:-",
            ),
            (
                "{{#each map}}{{this}}{{@root.a}}{{/each}}",
                "map:boolean a:integer",
            ),
            ("{{#with list}}{{this}}{{/with}}", "list:array"),
            (
                "{{#if a}}{{a}}{{else if list}}{{list}}{{else}}{{map}}{{/if}}",
                "a:integer list:array map:object",
            ),
            ("{{json list}}{{lookup list 0}}", "list:array list:array"),
            ("{{> p items=list}}", "a:integer list:string"),
            ("{{> p a=list items=list}}", "list:array list:string"),
            ("{{> p}}", "a:integer items:-"),
        ] {
            let program = compile(template, 1).unwrap();
            let found = events((template, 0), &program, &partials, Some(&schema));
            let shown: Vec<String> = found
                .iter()
                .filter_map(|event| match &event.what {
                    What::Printed(printed) => {
                        let kind = printed.schema.and_then(|schema| schema["type"].as_str());
                        let variable = printed.variable.as_deref().unwrap_or("-");
                        Some(format!("{variable}:{}", kind.unwrap_or("-")))
                    }
                    _ => None,
                })
                .collect();
            assert_eq!(shown.join(" "), wanted, "{template}");
        }
    }

    #[test]
    fn events_stand_where_they_are_written() {
        let template = "{{role \"system\"}}é {{ x }}{{history}}\ntail";
        let program = compile(template, 1).unwrap();
        let partials = Partials::new();
        let found = events((template, 5), &program, &partials, None);
        let places: Vec<&str> = found
            .iter()
            .map(|event| {
                template
                    .get(event.place.start - 5..event.place.end - 5)
                    .unwrap()
            })
            .collect();
        assert_eq!(places, ["{{role \"system\"}}", "", "x", "{{history}}", ""]);
    }
}
