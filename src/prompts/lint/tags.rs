//! The tags of a template with their places, matched with the nodes that they were compiled to.

use crate::prompts::segments::{end_of_braces, end_of_tag, next_tag};
use std::ops::Range;

/// A tag that became a node: everything but comments, `{{else}}` and `{{/if}}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tag<'a> {
    /// With the braces.
    pub(super) range: Range<usize>,
    /// Without braces, `~`, and what opens a block or a partial.
    pub(super) inside: &'a str,
    inside_start: usize,
}

impl Tag<'_> {
    /// Returns where `word` stands in the tag, as a word of its own; else the whole tag.
    pub(super) fn place_of(&self, word: &str) -> Range<usize> {
        let is_part = |c: char| c.is_alphanumeric() || "_./@".contains(c);
        let is_alone = |start: &usize| {
            let before = self.inside.get(..*start).unwrap_or_default();
            let after = self.inside.get(start + word.len()..).unwrap_or_default();
            !before.ends_with(is_part) && !after.starts_with(is_part)
        };
        let starts = self.inside.match_indices(word).map(|(start, _)| start);
        match starts.filter(|_| !word.is_empty()).find(is_alone) {
            Some(start) => {
                let start = self.inside_start + start;
                start..start + word.len()
            }
            None => self.range.clone(),
        }
    }
}

/// Finds the tags of `text`, in the order in which a walk over its program meets their nodes. Places
/// are counted from `offset`.
pub(super) fn find(text: &str, offset: usize) -> Vec<Tag<'_>> {
    let (mut tags, mut position) = (Vec::new(), 0);
    while let Some((start, is_escaped)) = next_tag(text, position) {
        if is_escaped {
            position = end_of_braces(text, start);
            continue;
        }
        let Some(mut end) = end_of_tag(text, start) else {
            break;
        };
        let is_triple = text
            .get(start..)
            .is_some_and(|rest| rest.starts_with("{{{"));
        if is_triple && text.get(end..).is_some_and(|rest| rest.starts_with('}')) {
            end += 1;
        }
        tags.extend(tag(text, start..end, offset));
        position = end;
    }
    tags
}

fn tag(text: &str, range: Range<usize>, offset: usize) -> Option<Tag<'_>> {
    let whole = text.get(range.clone())?;
    let inside = whole
        .trim_start_matches(['{', '~'])
        .trim_end_matches(['}', '~']);
    let mut inside = inside.trim();
    if inside.starts_with(['!', '/']) || inside == "else" || inside == "^" {
        return None;
    }
    inside = inside.trim_start_matches(['#', '>', '&']).trim_start();
    if let Some(chained) = inside.strip_prefix("else ") {
        inside = chained.trim_start();
    }
    // Both are slices of one text.
    let lead = whole.find(inside).unwrap_or(0);
    Some(Tag {
        inside,
        inside_start: offset + range.start + lead,
        range: offset + range.start..offset + range.end,
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::find;
    use crate::prompts::compile::compile;
    use crate::prompts::syntax::{Node, Program};
    use proptest::prelude::{Strategy as _, prop, proptest};

    /// How many nodes a walk meets.
    fn nodes(program: &Program) -> usize {
        let inner = |body: &Program, inverse: &Program| 1 + nodes(body) + nodes(inverse);
        program
            .nodes
            .iter()
            .map(|node| match node {
                Node::Text { .. } => 0,
                Node::If(branch) | Node::Equals { branch, .. } => {
                    inner(&branch.body, &branch.inverse)
                }
                Node::Each(block) | Node::With(block) => inner(&block.body, &block.inverse),
                Node::Print { .. }
                | Node::Role(_)
                | Node::History
                | Node::Section(_)
                | Node::Media { .. }
                | Node::Partial(_) => 1,
            })
            .sum()
    }

    #[test]
    fn tags_know_their_place() {
        let text = "é {{~ name }} {{{b}}} \\{{no}} {{!-- c --}}{{#if a.b}}{{else if c}}{{else}}{{/if}}{{> x y=z}}";
        let tags = find(text, 10);
        let shown: Vec<_> = tags.iter().map(|tag| tag.inside).collect();
        assert_eq!(shown, ["name", "b", "if a.b", "if c", "x y=z"]);
        let at =
            |range: std::ops::Range<usize>| text.get(range.start - 10..range.end - 10).unwrap();
        assert_eq!(at(tags[0].range.clone()), "{{~ name }}");
        assert_eq!(at(tags[1].range.clone()), "{{{b}}}");
        assert_eq!(at(tags[2].place_of("a.b")), "a.b");
        assert_eq!(at(tags[2].place_of("a")), "{{#if a.b}}");
        assert_eq!(at(tags[4].place_of("z")), "z");
    }

    proptest! {
        #[test]
        fn every_node_has_one_tag(
            text in prop::collection::vec(prop::sample::select(vec![
                "a", "\n", " ", "{{x}}", "{{{y}}}", "{{~x~}}", "{{> p a=b}}", "{{#if y}}", "{{else}}",
                "{{else if z}}", "{{/if}}", "{{#each l as |i|}}", "{{/each}}", "{{!-- n\nn --}}",
                "{{! n}}", "\\{{z}}", "{{role \"user\"}}", "{{history}}", "{{json x indent=2}}",
                "{{media url=u}}",
            ]), 0..24).prop_map(|parts| parts.concat())
        ) {
            if let Ok(program) = compile(&text, 1) {
                assert_eq!(find(&text, 0).len(), nodes(&program), "{text:?}");
            }
        }
    }
}
