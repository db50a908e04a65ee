//! Cuts a template into pieces that can be parsed one by one.
//!
//! The parser counts lines from the start of its text for every tag, so its time grows with the
//! square of the text, and plain text costs it as much as tags do. Pieces are cut where nothing on
//! one side can mean anything for the other: inside plain text, between two characters that are no
//! space, so that neither trimming nor a tag that stands alone on its line can reach across.

use crate::prompts::problem::Problem;
use std::borrow::Cow;

/// What stands for a comment when a piece is parsed, see [`Segment::without_comments`].
pub(super) const COMMENT: &str = "promptgate-comment";

/// Blocks nested deeper than this are refused: the parser recurses, and a stack is finite.
const MAX_BLOCK_DEPTH: usize = 32;
/// The same for parentheses and brackets inside one tag.
const MAX_EXPRESSION_DEPTH: usize = 8;
/// Plain text shorter than this stays with the tags beside it, while the piece is small.
const MIN_PLAIN: usize = 64;
/// Bytes from which on a piece is ended at the first place.
const LARGE_PIECE: usize = 1024;
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
    while let Some((tag, is_escaped)) = next_tag(text, position) {
        cutter.plain(position, tag)?;
        position = if is_escaped {
            cutter.tags += 1;
            end_of_braces(text, tag)
        } else {
            cutter.tag(tag)?
        };
    }
    cutter.plain(position, text.len())?;
    cutter.push(text.len())?;
    Ok(cutter.segments)
}

/// Returns the next `{{` at or after `position`, and whether it is literal.
pub(super) fn next_tag(text: &str, position: usize) -> Option<(usize, bool)> {
    let tag = position + text.get(position..)?.find("{{")?;
    let before = text.get(..tag)?;
    // One backslash makes braces literal; more are backslashes before a tag.
    Some((tag, before.ends_with('\\') && !before.ends_with("\\\\")))
}

pub(super) fn end_of_braces(text: &str, tag: usize) -> usize {
    let is_double = text.get(tag..).is_some_and(|rest| rest.starts_with("{{{{"));
    tag + if is_double { 4 } else { 2 }
}

/// Returns where the tag at `tag` ends; `None` when it does not.
pub(super) fn end_of_tag(text: &str, tag: usize) -> Option<usize> {
    let rest = text.get(tag + 2..)?;
    let mark = if rest.starts_with("!--") {
        "--}}"
    } else {
        "}}"
    };
    Some(tag + 2 + rest.find(mark)? + mark.len())
}

impl<'a> Segment<'a> {
    /// Returns the text with every comment replaced by a tag that trims as a comment does.
    ///
    /// The parser forgets to end the trimming of `~}}` at a comment, and so would eat the space
    /// after it. It does end it at any other tag.
    pub(super) fn without_comments(&self) -> Cow<'a, str> {
        if !self.text.contains("{{!") {
            return Cow::Borrowed(self.text);
        }
        let (mut out, mut copied, mut position) = (String::new(), 0, 0);
        while let Some((tag, is_escaped)) = next_tag(self.text, position) {
            if is_escaped {
                position = end_of_braces(self.text, tag);
                continue;
            }
            let Some(end) = end_of_tag(self.text, tag) else {
                break;
            };
            let inside = self.text.get(tag..end).unwrap_or_default();
            if inside.starts_with("{{!") {
                out.push_str(self.text.get(copied..tag).unwrap_or_default());
                out.push_str("{{*");
                out.push_str(COMMENT);
                // Later tags keep their lines.
                out.extend(inside.chars().filter(|c| *c == '\n'));
                out.push_str("}}");
                copied = end;
            }
            position = end;
        }
        out.push_str(self.text.get(copied..).unwrap_or_default());
        Cow::Owned(out)
    }
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
        let is_large = LARGE_PIECE < to - self.start;
        if 0 < self.blocks || (to - from < MIN_PLAIN && !is_large) {
            return Ok(());
        }
        let text = self.text.get(from..to).unwrap_or_default();
        let is_text = |c: char| !c.is_whitespace() && c != '{' && c != '}' && c != '\\';
        let mut places = text
            .char_indices()
            .zip(text.char_indices().skip(1))
            .filter(|((_, before), (_, after))| is_text(*before) && is_text(*after))
            .map(|(_, (place, _))| from + place);
        // A piece with tags ends at the first place; the plain text after it, at the last.
        if 0 < self.tags {
            let Some(first) = places.next() else {
                return Ok(());
            };
            self.push(first)?;
        }
        match places.last() {
            Some(last) => self.push(last),
            None => Ok(()),
        }
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
        let Some(end) = end_of_tag(self.text, tag) else {
            let what = if rest.starts_with('!') {
                "comment"
            } else {
                "tag"
            };
            return Err(
                Problem::new(format!("broken template: a {what} is not closed"))
                    .at(self.line_of(tag))
                    .hint("write `\\{{` for literal braces"),
            );
        };
        let inside = self.text.get(tag + 2..end).unwrap_or_default();
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
    fn pieces_are_cut_inside_words_of_long_plain_text_and_nowhere_else() {
        let long = "word ".repeat(30);
        let (whole, start) = (format!("{long}{{{{x}}}} {long}end"), long.len() - 2);
        for (text, pieces) in [
            ("a\nb {{x}} c\nd".to_owned(), vec![(0, 1)]),
            (long.clone(), vec![(0, 0), (start, 0)]),
            (
                whole.clone(),
                vec![(0, 0), (start, 1), (start + 9, 0), (whole.len() - 1, 0)],
            ),
            (format!("{{{{#if x}}}}{long}{{{{/if}}}}"), vec![(0, 2)]),
            (format!("{{{{!-- {long} }}}} {long} --}}}}"), vec![(0, 1)]),
            (format!("{{{{x~}}}}{}a b", " ".repeat(200)), vec![(0, 1)]),
            (String::new(), vec![]),
        ] {
            let cut = cut(&text, 1).unwrap();
            let mut place = 0;
            let mut got = Vec::new();
            for piece in &cut {
                got.push((place, piece.tags));
                place += piece.text.len();
            }
            assert_eq!(got, pieces, "{text:?}");
            assert_eq!(cut.iter().map(|piece| piece.text).collect::<String>(), text);
        }
    }

    #[test]
    fn lines_are_counted_across_pieces() {
        let text = format!("{}{{{{x}}}}\n", "word word\n".repeat(20)).repeat(3);
        for piece in cut(&text, 5).unwrap() {
            let place = piece.text.as_ptr() as usize - text.as_ptr() as usize;
            assert_eq!(piece.line, 5 + text.split_at(place).0.matches('\n').count());
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
