//! Cuts a template into pieces that can be parsed one by one.
//!
//! The parser counts lines from the start of its text for every tag, so its time grows with the
//! square of the text, and plain text costs it as much as tags do. Pieces are cut where nothing on
//! one side can mean anything for the other: between two lines of text, outside of tags and blocks.

use crate::prompts::problem::Problem;

/// Blocks nested deeper than this are refused: the parser recurses, and a stack is finite.
const MAX_BLOCK_DEPTH: usize = 32;
/// The same for parentheses and brackets inside one tag.
const MAX_EXPRESSION_DEPTH: usize = 8;
/// Bytes of a piece times its tags: what bounds the time of the parser.
const MAX_EFFORT: usize = 100_000_000;

/// A piece of a template.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Segment<'a> {
    pub(super) text: &'a str,
    /// The line it starts at.
    pub(super) line: usize,
    /// Tags in it; a piece without any is plain text.
    pub(super) tags: usize,
}

/// Cuts `text`, which starts at `first_line`. Nesting that would overflow the parser's stack, and
/// pieces that would keep it too long, are problems.
pub(super) fn cut(text: &str, first_line: usize) -> Result<Vec<Segment<'_>>, Problem> {
    let mut cutter = Cutter {
        text,
        start: 0,
        line: first_line,
        tags: 0,
        blocks: 0,
        segments: Vec::new(),
    };
    let mut position = 0;
    while let Some(found) = text.get(position..).and_then(|rest| rest.find("{{")) {
        let tag = position + found;
        cutter.plain(position, tag)?;
        let before = text.get(..tag).unwrap_or_default();
        // One backslash makes braces literal; more are backslashes before a tag.
        let is_escaped = before.ends_with('\\') && !before.ends_with("\\\\");
        position = if is_escaped {
            cutter.tags += 1;
            let braces = text
                .get(tag..)
                .map_or(0, |rest| if rest.starts_with("{{{{") { 4 } else { 2 });
            tag + braces
        } else {
            cutter.tag(tag)?
        };
    }
    cutter.plain(position, text.len())?;
    cutter.push(text.len())?;
    Ok(cutter.segments)
}

struct Cutter<'a> {
    text: &'a str,
    /// Where the piece that is being collected starts.
    start: usize,
    line: usize,
    tags: usize,
    blocks: usize,
    segments: Vec<Segment<'a>>,
}

impl<'a> Cutter<'a> {
    /// Looks for places to cut in the plain text from `from` to `to`.
    fn plain(&mut self, from: usize, to: usize) -> Result<(), Problem> {
        if 0 < self.blocks {
            return Ok(());
        }
        let text = self.text.get(from..to).unwrap_or_default();
        // With tags in the piece the first place ends it; plain text ends at the last place.
        let first = self.next_cut(text, from);
        if let Some(first) = first.filter(|_| 0 < self.tags) {
            self.push(first)?;
        }
        let last = text.rmatch_indices('\n').map(|(index, _)| from + index + 1);
        let last = last.into_iter().find(|place| self.is_cut(*place));
        if let Some(last) = last.filter(|last| self.start < *last && self.tags == 0) {
            self.push(last)?;
        }
        Ok(())
    }

    fn next_cut(&self, text: &str, from: usize) -> Option<usize> {
        text.match_indices('\n')
            .map(|(index, _)| from + index + 1)
            .find(|place| self.is_cut(*place))
    }

    /// Whether the lines before and after `place`, the start of a line, meet as text.
    fn is_cut(&self, place: usize) -> bool {
        let is_text = |c: char| !c.is_whitespace() && c != '{' && c != '}' && c != '\\';
        let before = self
            .text
            .get(..place.saturating_sub(1))
            .and_then(|text| text.chars().next_back());
        let after = self.text.get(place..).and_then(|text| text.chars().next());
        before.is_some_and(is_text) && after.is_some_and(is_text)
    }

    fn push(&mut self, end: usize) -> Result<(), Problem> {
        let text = self.text.get(self.start..end).unwrap_or_default();
        if text.is_empty() {
            return Ok(());
        }
        if MAX_EFFORT < text.len().saturating_mul(self.tags) {
            let message = format!("a block of {} bytes has {} tags", text.len(), self.tags);
            return Err(Problem::new(message)
                .at(self.line)
                .hint("move parts of it into partials"));
        }
        self.segments.push(Segment {
            text,
            line: self.line,
            tags: self.tags,
        });
        self.line += text.matches('\n').count();
        self.start = end;
        self.tags = 0;
        Ok(())
    }

    /// Checks the tag at `tag` and returns where it ends.
    fn tag(&mut self, tag: usize) -> Result<usize, Problem> {
        self.tags += 1;
        let rest = self.text.get(tag + 2..).unwrap_or_default();
        if rest.starts_with("{{") {
            return Err(Problem::new("raw blocks `{{{{` are not part of Dotprompt")
                .at(self.line_of(tag))
                .hint("write `\\{{` for literal braces"));
        }
        let end_mark = if rest.starts_with("!--") {
            "--}}"
        } else {
            "}}"
        };
        let length = rest.find(end_mark);
        let end = length.map_or(self.text.len(), |length| tag + 2 + length + end_mark.len());
        let inside = rest.get(..length.unwrap_or(rest.len())).unwrap_or_default();
        if inside.starts_with('!') {
            return Ok(end);
        }
        let mut depth = 0_usize;
        for c in inside.chars() {
            match c {
                '(' | '[' | '{' => depth += 1,
                ')' | ']' | '}' => depth = depth.saturating_sub(1),
                _ => {}
            }
            if MAX_EXPRESSION_DEPTH < depth {
                let message = format!("an expression is nested deeper than {MAX_EXPRESSION_DEPTH}");
                return Err(Problem::new(message).at(self.line_of(tag)));
            }
        }
        match inside
            .trim_start_matches(['~', ' ', '\t', '\n'])
            .chars()
            .next()
        {
            Some('#') => self.blocks += 1,
            Some('/') => self.blocks = self.blocks.saturating_sub(1),
            _ => {}
        }
        if MAX_BLOCK_DEPTH < self.blocks {
            let message = format!("blocks are nested deeper than {MAX_BLOCK_DEPTH}");
            return Err(Problem::new(message)
                .at(self.line_of(tag))
                .hint("move parts into partials"));
        }
        Ok(end)
    }

    fn line_of(&self, place: usize) -> usize {
        let piece = self.text.get(self.start..place).unwrap_or_default();
        self.line + piece.matches('\n').count()
    }
}

#[cfg(test)]
mod tests {
    use super::cut;

    #[test]
    fn pieces_are_cut_between_lines_of_text_and_nowhere_else() {
        for (text, pieces) in [
            ("a\nb\nc", vec![("a\nb\n", 1, 0), ("c", 3, 0)]),
            (
                "a\nb {{x}} c\nd\ne\nf {{y}}",
                vec![
                    ("a\n", 1, 0),
                    ("b {{x}} c\n", 2, 1),
                    ("d\ne\n", 3, 0),
                    ("f {{y}}", 5, 1),
                ],
            ),
            ("a\n{{x}}\nb", vec![("a\n{{x}}\nb", 1, 1)]),
            (
                "{{#if x}}a\nb\n{{/if}}c\nd",
                vec![("{{#if x}}a\nb\n{{/if}}c\n", 1, 2), ("d", 4, 0)],
            ),
            (
                "{{x~}}\n\n a\nb",
                vec![("{{x~}}\n\n a\n", 1, 1), ("b", 4, 0)],
            ),
            (
                "{{!-- a\nb }} c\n--}}d\ne",
                vec![("{{!-- a\nb }} c\n--}}d\n", 1, 1), ("e", 4, 0)],
            ),
            (
                "\\{{#if x}}\na\nb",
                vec![("\\{{#if x}}\na\n", 1, 1), ("b", 3, 0)],
            ),
            ("", vec![]),
        ] {
            let cut = cut(text, 1).unwrap();
            let got: Vec<_> = cut
                .iter()
                .map(|piece| (piece.text, piece.line, piece.tags))
                .collect();
            assert_eq!(got, pieces, "{text:?}");
        }
    }

    #[test]
    fn what_would_keep_the_parser_busy_is_refused() {
        let line = "text {{x}} text\n";
        assert!(cut(&line.repeat(60_000), 1).is_ok(), "many small pieces");
        let block = format!("{{{{#if x}}}}{}{{{{/if}}}}", line.repeat(60_000));
        let problem = cut(&block, 7).unwrap_err();
        assert_eq!(problem.line, Some(7));
        assert!(problem.message.starts_with("a block of"), "{problem:?}");
    }
}
