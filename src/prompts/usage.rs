//! Which variables a prompt uses, found without rendering it.

use crate::prompts::evaluate::Partials;
use crate::prompts::syntax::{Expression, Inclusion, Loop, Node, Origin, Path, Program};
use std::collections::BTreeMap;

/// Partials inside each other deeper than this are refused when a registry is loaded.
pub(super) const MAX_PARTIAL_DEPTH: usize = 16;

/// How a variable is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Use {
    /// Whether the text depends on it wherever it is absent: it is printed, compared or passed on
    /// outside of a block that it opens itself.
    pub(super) is_required: bool,
    /// The line of the first use in the file, or of the partial's inclusion.
    pub(super) line: usize,
}

/// What a prompt uses.
#[derive(Debug, Default)]
pub(super) struct Usage {
    pub(super) variables: BTreeMap<String, Use>,
    /// Whether all variables are used at once (`{{json this}}`).
    pub(super) uses_all: bool,
    /// Whether partials include partials so often that the search was given up.
    pub(super) is_too_large: bool,
}

/// Elements visited at most, counting a partial each time it is included.
const MAX_VISITS: usize = 200_000;

/// Finds the variables of `program` and of the partials it includes.
pub(super) fn find(program: &Program, partials: &Partials) -> Usage {
    let mut finder = Finder {
        partials,
        usage: Usage::default(),
        frames: vec![Frame::default()],
        guards: Vec::new(),
        line: 1,
        partial_depth: 0,
        visits: 0,
    };
    finder.program(program);
    finder.usage
}

/// Where names lead in a context.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Place {
    #[default]
    Variables,
    /// Inside a value.
    Elsewhere,
}

#[derive(Debug, Default)]
struct Frame<'a> {
    place: Place,
    /// Arguments of a partial, with the variable they hand on, if they are one.
    arguments: Vec<(&'a str, Option<String>)>,
    names: Vec<&'a str>,
    is_transparent: bool,
    is_partial: bool,
}

struct Finder<'a> {
    partials: &'a Partials,
    usage: Usage,
    frames: Vec<Frame<'a>>,
    /// Variables that are known to be there.
    guards: Vec<String>,
    line: usize,
    partial_depth: usize,
    visits: usize,
}

/// What a path leads to.
enum Target {
    Variable(String),
    AllVariables,
    Other,
}

impl<'a> Finder<'a> {
    fn program(&mut self, program: &'a Program) {
        for node in &program.nodes {
            self.visits += 1;
            self.usage.is_too_large |= MAX_VISITS < self.visits;
            if self.usage.is_too_large {
                return;
            }
            self.node(node);
        }
    }

    fn node(&mut self, node: &'a Node) {
        match node {
            Node::Text { .. } | Node::Role(_) | Node::History => {}
            Node::Print { value, line } => {
                self.at(*line);
                self.expression(value, true);
            }
            Node::Section(value) => self.expression(value, true),
            Node::Media {
                url,
                content_type,
                line,
            } => {
                self.at(*line);
                self.expression(url, true);
                if let Some(kind) = content_type {
                    self.expression(kind, false);
                }
            }
            Node::If(branch) => {
                self.expression(&branch.test, false);
                let guard = self.variable_of(&branch.test);
                let (present, absent) = if branch.negated {
                    (&branch.inverse, &branch.body)
                } else {
                    (&branch.body, &branch.inverse)
                };
                self.guarded(guard, present);
                self.program(absent);
            }
            Node::Equals { branch, other } => {
                self.expression(&branch.test, true);
                self.expression(other, true);
                self.program(&branch.body);
                self.program(&branch.inverse);
            }
            Node::Each(block) | Node::With(block) => self.block(block),
            Node::Partial(inclusion) => self.partial(inclusion),
        }
    }

    /// Lines inside a partial are lines of another file.
    fn at(&mut self, line: usize) {
        if self.partial_depth == 0 {
            self.line = line;
        }
    }

    fn guarded(&mut self, guard: Option<String>, program: &'a Program) {
        let depth = self.guards.len();
        self.guards.extend(guard);
        self.program(program);
        self.guards.truncate(depth);
    }

    fn block(&mut self, block: &'a Loop) {
        self.expression(&block.value, false);
        let guard = self.variable_of(&block.value);
        self.frames.push(Frame {
            place: Place::Elsewhere,
            names: block.names.iter().map(String::as_str).collect(),
            ..Frame::default()
        });
        self.guarded(guard, &block.body);
        self.frames.pop();
        self.program(&block.inverse);
    }

    fn partial(&mut self, inclusion: &'a Inclusion) {
        self.at(inclusion.line);
        if let Some(context) = &inclusion.context {
            self.expression(context, false);
        }
        let mut arguments = Vec::with_capacity(inclusion.arguments.len());
        for (name, value) in &inclusion.arguments {
            let variable = self.variable_of(value);
            if variable.is_none() {
                self.expression(value, true);
            }
            arguments.push((name.as_str(), variable));
        }
        let partials = self.partials;
        let Some(partial) = partials.get(&inclusion.name) else {
            return;
        };
        if MAX_PARTIAL_DEPTH < self.partial_depth {
            return;
        }
        let place = match &inclusion.context {
            None => self
                .frames
                .last()
                .map_or(Place::Elsewhere, |frame| frame.place),
            Some(context) => match self.target(context) {
                Some(Target::AllVariables) => Place::Variables,
                _ => Place::Elsewhere,
            },
        };
        self.frames.push(Frame {
            place,
            is_transparent: inclusion.context.is_none() && arguments.is_empty(),
            arguments,
            names: Vec::new(),
            is_partial: true,
        });
        self.partial_depth += 1;
        let partials = self.partials;
        if let Some(partial) = partials
            .get(&inclusion.name)
            .filter(|_| !partial.text.is_empty())
        {
            self.program(&partial.program);
        }
        self.partial_depth -= 1;
        self.frames.pop();
    }

    fn expression(&mut self, expression: &'a Expression, is_printed: bool) {
        match expression {
            Expression::Literal(_) => {}
            Expression::Path(path) => {
                let target = self.path_target(path);
                self.note(target, is_printed);
            }
            Expression::Lookup(pair) => {
                self.expression(&pair.0, is_printed);
                self.expression(&pair.1, is_printed);
            }
            Expression::Json { value, .. } => self.expression(value, is_printed),
        }
    }

    fn note(&mut self, target: Target, is_printed: bool) {
        match target {
            Target::Variable(name) => {
                let is_required = is_printed && !self.guards.contains(&name);
                let line = self.line;
                let known = self
                    .usage
                    .variables
                    .entry(name)
                    .or_insert(Use { is_required, line });
                known.is_required |= is_required;
            }
            Target::AllVariables => self.usage.uses_all = true,
            Target::Other => {}
        }
    }

    fn target(&self, expression: &Expression) -> Option<Target> {
        match expression {
            Expression::Path(path) => Some(self.path_target(path)),
            Expression::Literal(_) | Expression::Lookup(_) | Expression::Json { .. } => None,
        }
    }

    /// Returns the variable that `expression` stands for as a whole.
    fn variable_of(&self, expression: &Expression) -> Option<String> {
        let Expression::Path(path) = expression else {
            return None;
        };
        match self.path_target(path) {
            Target::Variable(name) if path.segments.len() <= 1 => Some(name),
            _ => None,
        }
    }

    fn path_target(&self, path: &Path) -> Target {
        let first = path.segments.first();
        match (&path.origin, first) {
            (Origin::Data(name), _) if name != "root" => Target::Other,
            (Origin::Data(_) | Origin::Root, None) => Target::AllVariables,
            (Origin::Data(_) | Origin::Root, Some(name)) => Target::Variable(name.clone()),
            (Origin::This, first) => self.relative_target(path.up, first),
        }
    }

    fn relative_target(&self, up: usize, first: Option<&String>) -> Target {
        if let Some(name) = first.filter(|_| up == 0) {
            for frame in self.frames.iter().rev() {
                if frame.names.contains(&name.as_str()) {
                    return Target::Other;
                }
                if frame.is_partial {
                    break;
                }
            }
        }
        let frame = if up == 0 {
            self.frames.last()
        } else {
            self.frames
                .iter()
                .rev()
                .filter(|frame| !frame.is_transparent)
                .nth(up)
        };
        let Some(frame) = frame else {
            return Target::Other;
        };
        match first {
            None if frame.place == Place::Variables => Target::AllVariables,
            None => Target::Other,
            Some(name) => {
                let argument = frame.arguments.iter().find(|(known, _)| *known == name);
                match argument {
                    Some((_, Some(variable))) => Target::Variable(variable.clone()),
                    Some((_, None)) => Target::Other,
                    None if frame.place == Place::Variables => Target::Variable(name.clone()),
                    None => Target::Other,
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::find;
    use crate::prompts::compile::compile;
    use crate::prompts::evaluate::{Partial, Partials};
    use std::sync::Arc;

    #[test]
    fn required_and_optional_variables_are_told_apart() {
        let mut partials = Partials::new();
        let text = "{{name}}{{#if extra}}{{extra}}{{/if}}{{global}}";
        let program = compile(text, 1).unwrap();
        partials.insert(
            "p".to_owned(),
            Arc::new(Partial {
                text: text.to_owned(),
                program,
            }),
        );
        for (template, required, optional) in [
            ("{{a}} {{b.c}}", "a b", ""),
            ("{{#if a}}x{{/if}}", "", "a"),
            ("{{#if a}}{{a}}{{/if}}", "", "a"),
            ("{{#if a}}{{b}}{{/if}}", "b", "a"),
            ("{{#if a}}x{{else}}{{a}}{{/if}}", "a", ""),
            ("{{#unless a}}x{{else}}{{a}}{{/unless}}", "", "a"),
            (
                "{{#each a}}{{b}} {{this}} {{../c}} {{@root.d}}{{/each}}",
                "c d",
                "a",
            ),
            ("{{#each a as |x i|}}{{x}} {{i}}{{/each}}", "", "a"),
            ("{{#with a}}{{b}}{{/with}}", "", "a"),
            ("{{#ifEquals a \"x\"}}y{{/ifEquals}}", "a", ""),
            ("{{json a}} {{lookup b c}}", "a b c", ""),
            ("{{@state.x}} {{@metadata.prompt}}", "", ""),
            ("{{> p}}", "global name", "extra"),
            ("{{> p name=a extra=b}}", "a global", "b"),
            ("{{> p name=\"x\"}}", "global", "extra"),
            ("{{#each a}}{{> p}}{{/each}}", "", "a"),
            ("{{> p a}}", "", "a"),
        ] {
            let program = compile(template, 1).unwrap();
            let usage = find(&program, &partials);
            let names = |is_required| {
                usage
                    .variables
                    .iter()
                    .filter(|(_, used)| used.is_required == is_required)
                    .map(|(name, _)| name.as_str())
                    .collect::<Vec<_>>()
                    .join(" ")
            };
            assert_eq!(names(true), required, "{template}");
            assert_eq!(names(false), optional, "{template}");
        }
        let program = compile("{{json this}}", 1).unwrap();
        assert!(find(&program, &partials).uses_all);
    }
}
