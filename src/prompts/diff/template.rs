//! A template with its partials inlined: what a prompt says, wherever it is written.

use crate::prompts::bundle::Bundle;
use crate::prompts::diff::lines::SourceLine;
use crate::prompts::evaluate::Partials;
use crate::prompts::includes::{direct, file_of};
use crate::prompts::syntax::Program;
use std::collections::BTreeSet;

/// Returns the lines of the template, the lines of each partial after the one that includes it first.
/// `path` is the prompt's own file.
pub(super) fn expanded(bundle: &Bundle, path: &str) -> Vec<SourceLine> {
    let mut expansion = Expansion {
        partials: bundle.compiled_partials(),
        seen: BTreeSet::new(),
        lines: Vec::new(),
    };
    let first = bundle.template_line();
    expansion.add(path, bundle.template(), first, bundle.program());
    expansion.lines
}

struct Expansion<'a> {
    partials: &'a Partials,
    /// A partial is shown once: a change of it is one change.
    seen: BTreeSet<&'a str>,
    lines: Vec<SourceLine>,
}

impl<'a> Expansion<'a> {
    fn add(&mut self, file: &str, text: &str, first: usize, program: &'a Program) {
        let included = direct(program);
        for (index, text) in text.lines().enumerate() {
            let line = first + index;
            self.lines.push(SourceLine {
                file: file.to_owned(),
                line,
                text: text.to_owned(),
            });
            for (name, _) in included.iter().filter(|(_, at)| **at == line) {
                let Some(partial) = self.partials.get(*name) else {
                    continue;
                };
                if self.seen.insert(name) {
                    self.add(&file_of(name), &partial.text, 1, &partial.program);
                }
            }
        }
    }
}

/// Returns the whole text with blanks joined, and, if asked for, without comments: equal for templates
/// that differ in layout only.
pub(super) fn condensed(lines: &[SourceLine], with_comments: bool) -> String {
    let mut text: String = lines
        .iter()
        .flat_map(|line| [line.text.as_str(), "\n"])
        .collect();
    if !with_comments {
        text = without_comments(&text);
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn without_comments(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(start) = rest.find("{{!") {
        let (before, comment) = rest.split_at(start);
        out.push_str(before);
        let mark = if comment.starts_with("{{!--") {
            "--}}"
        } else {
            "}}"
        };
        rest = match comment.split_once(mark) {
            Some((_, after)) => after,
            None => "",
        };
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::{condensed, expanded};
    use crate::prompts::bundle::tests::bundle;

    #[test]
    fn partials_stand_behind_the_line_that_includes_them_once() {
        let bundle =
            bundle("---\nmodel: m\n---\na {{> pass inner=x}} b\n{{> echo value=x}}\nend\n");
        let lines = expanded(&bundle, "p.prompt");
        let shown: Vec<_> = lines
            .iter()
            .map(|line| format!("{}:{} {}", line.file, line.line, line.text))
            .collect();
        let wanted = [
            "p.prompt:4 a {{> pass inner=x}} b",
            "_pass.prompt:1 {{> echo value=inner}}",
            "_echo.prompt:1 <{{value}}>",
            "p.prompt:5 {{> echo value=x}}",
            "p.prompt:6 end",
        ];
        assert_eq!(shown, wanted);
    }

    #[test]
    fn layout_and_comments_are_taken_away() {
        let lines = |text: &str| expanded(&bundle(text), "p");
        let plain = lines("a b\nc");
        assert_eq!(
            condensed(&plain, true),
            condensed(&lines("a  b\n\nc\n"), true)
        );
        let remarked = lines("a {{! x }}b\n{{!-- {{y}} --}}c");
        assert_ne!(condensed(&plain, true), condensed(&remarked, true));
        assert_eq!(condensed(&plain, false), condensed(&remarked, false));
    }
}
