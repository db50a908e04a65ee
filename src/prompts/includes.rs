//! Which partials include which: what a prompt needs, and circles, which are refused.

use crate::domain::nearest_names;
use crate::prompts::evaluate::Partials;
use crate::prompts::lint::Rule;
use crate::prompts::problem::Problem;
use crate::prompts::syntax::{Node, Program};
use crate::prompts::usage::MAX_PARTIAL_DEPTH;
use std::collections::BTreeMap;

/// Returns the partials that `program` includes directly, each with the line of the first inclusion.
pub(super) fn direct(program: &Program) -> BTreeMap<&str, usize> {
    let mut found = BTreeMap::new();
    collect(program, &mut found);
    found
}

fn collect<'a>(program: &'a Program, found: &mut BTreeMap<&'a str, usize>) {
    for node in &program.nodes {
        match node {
            Node::Partial(inclusion) => {
                found
                    .entry(inclusion.name.as_str())
                    .or_insert(inclusion.line);
            }
            Node::If(branch) | Node::Equals { branch, .. } => {
                collect(&branch.body, found);
                collect(&branch.inverse, found);
            }
            Node::Each(block) | Node::With(block) => {
                collect(&block.body, found);
                collect(&block.inverse, found);
            }
            Node::Text { .. }
            | Node::Print { .. }
            | Node::Role(_)
            | Node::History
            | Node::Section(_)
            | Node::Media { .. } => {}
        }
    }
}

/// Returns all partials that `program` needs. The problems carry the lines of its own inclusions.
pub(super) fn closure(program: &Program, all: &Partials) -> Result<Partials, Vec<Problem>> {
    let mut needed = Partials::new();
    let mut problems = Vec::new();
    for (name, line) in direct(program) {
        let mut walk = Walk {
            all,
            needed: &mut needed,
            heights: BTreeMap::new(),
        };
        if let Err(problem) = walk.visit(name, &mut Vec::new()) {
            problems.push(problem.at(line));
        }
    }
    if problems.is_empty() {
        Ok(needed)
    } else {
        Err(problems)
    }
}

struct Walk<'a> {
    all: &'a Partials,
    needed: &'a mut Partials,
    /// Levels below a partial, itself included; each is found once.
    heights: BTreeMap<String, usize>,
}

impl Walk<'_> {
    fn visit(&mut self, name: &str, trail: &mut Vec<String>) -> Result<usize, Problem> {
        if trail.iter().any(|other| other == name) {
            let circle = trail.join("` -> `");
            return Err(
                Problem::new(format!("partials go in a circle: `{circle}` -> `{name}`"))
                    .rule(Rule::PartialCycle)
                    .hint("a partial must not include itself, directly or through others"),
            );
        }
        if let Some(height) = self.heights.get(name) {
            return Ok(*height);
        }
        let all = self.all;
        let Some(partial) = all.get(name) else {
            let problem = Problem::new(format!("there is no partial `{name}`, or it has problems"))
                .rule(Rule::MissingReference);
            let near = nearest_names(name, all.keys().map(String::as_str));
            return Err(match near.first() {
                Some(near) => problem.hint(format!("did you mean `{near}`?")),
                None => problem.hint(format!("partials are files: `{}`", file_of(name))),
            });
        };
        trail.push(name.to_owned());
        // Circles are found before the trail can get longer than there are partials; the height is
        // what is limited, so that the message does not depend on where a walk starts.
        let mut height = 1;
        if MAX_PARTIAL_DEPTH < trail.len() {
            return Err(too_deep(trail));
        }
        for inner in direct(&partial.program).into_keys() {
            height = height.max(1 + self.visit(inner, trail)?);
        }
        if MAX_PARTIAL_DEPTH < height {
            return Err(too_deep(trail));
        }
        trail.pop();
        self.heights.insert(name.to_owned(), height);
        self.needed.insert(name.to_owned(), partial.clone());
        Ok(height)
    }
}

fn too_deep(trail: &[String]) -> Problem {
    let first = trail.first().map(String::as_str).unwrap_or_default();
    Problem::new(format!(
        "partials from `{first}` on are nested deeper than {MAX_PARTIAL_DEPTH}"
    ))
    .rule(Rule::PartialCycle)
}

pub(super) fn file_of(name: &str) -> String {
    match name.rsplit_once('/') {
        Some((directory, name)) => format!("{directory}/_{name}.prompt"),
        None => format!("_{name}.prompt"),
    }
}

#[cfg(test)]
mod tests {
    use super::closure;
    use crate::prompts::compile::compile;
    use crate::prompts::evaluate::{Partial, Partials};
    use std::sync::Arc;

    fn partials(texts: &[(&str, String)]) -> Partials {
        let partial = |text: &String| {
            let program = compile(text, 1).unwrap();
            Arc::new(Partial {
                text: text.clone(),
                program,
            })
        };
        texts
            .iter()
            .map(|(name, text)| ((*name).to_owned(), partial(text)))
            .collect()
    }

    #[test]
    fn everything_needed_is_found_once() {
        let all = partials(&[
            ("a", "{{> b}}{{> c}}".to_owned()),
            ("b", "{{#if x}}{{else}}{{> c}}{{/if}}".to_owned()),
            ("c", "c".to_owned()),
            ("unused", "u".to_owned()),
        ]);
        let program = compile("{{#each x}}{{> a}}{{/each}}", 1).unwrap();
        let names: Vec<_> = closure(&program, &all).unwrap().into_keys().collect();
        assert_eq!(names, ["a", "b", "c"]);
    }

    #[test]
    fn circles_depth_and_absence_are_refused() {
        let mut texts = vec![
            ("self", "{{> self}}".to_owned()),
            ("x", "{{> y}}".to_owned()),
            ("y", "{{#if a}}{{> x}}{{/if}}".to_owned()),
        ];
        let names: Vec<String> = (0..18).map(|index| format!("d{index}")).collect();
        for (index, name) in names.iter().enumerate() {
            texts.push((
                name,
                format!(
                    "{{{{#if a}}}}{{{{> {}}}}}{{{{/if}}}}",
                    names.get(index + 1).map_or("leaf", |n| n)
                ),
            ));
        }
        texts.push(("leaf", "x".to_owned()));
        let all = partials(&texts);
        for (template, words) in [
            ("\n{{> self}}", "in a circle: `self` -> `self`"),
            ("\n{{> x}}", "in a circle: `x` -> `y` -> `x`"),
            ("\n{{> d0}}", "deeper than 16"),
            ("\n{{> lefa}}", "no partial `lefa`"),
        ] {
            let problems = closure(&compile(template, 1).unwrap(), &all).unwrap_err();
            assert!(
                problems[0].message.contains(words),
                "{template}: {problems:?}"
            );
            assert_eq!(problems[0].line, Some(2), "{template}");
        }
        assert!(closure(&compile("{{> d4}}", 1).unwrap(), &all).is_ok());
    }
}
