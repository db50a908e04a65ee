//! Text for people: colour where there is a terminal, lines as wide as it is, and nothing in it that a
//! terminal would obey.

use crate::app::Environment;
use std::fmt::Write as _;
use std::io::{IsTerminal as _, stdout};
use std::ops::Range;

/// The width where none is known.
const WIDTH: usize = 100;
/// Narrower terminals are written for as if they were this wide.
const MIN_WIDTH: usize = 40;

/// How text is shown.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Paint {
    is_coloured: bool,
    width: usize,
}

/// What a piece of text stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    Plain,
    Strong,
    Faint,
    Removed,
    Added,
    Warning,
}

impl Style {
    const fn code(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Strong => "1",
            Self::Faint => "2",
            Self::Removed => "31",
            Self::Added => "32",
            Self::Warning => "33",
        }
    }
}

impl Paint {
    /// Returns what suits stdout: colour only on a terminal, and not where `NO_COLOR` is set.
    pub(crate) fn of_stdout(environment: &Environment) -> Self {
        let is_terminal = stdout().is_terminal();
        let columns = environment
            .get("COLUMNS")
            .and_then(|columns| columns.parse().ok());
        let of_terminal = || {
            let (width, _) = terminal_size::terminal_size_of(stdout())?;
            Some(usize::from(width.0))
        };
        Self {
            is_coloured: is_terminal && environment.get("NO_COLOR").is_none(),
            width: columns.or_else(of_terminal).unwrap_or(WIDTH).max(MIN_WIDTH),
        }
    }

    /// Returns text without colour, `width` wide.
    #[cfg(test)]
    pub(crate) const fn plain(width: usize) -> Self {
        Self {
            is_coloured: false,
            width,
        }
    }

    /// Returns text with colour, `width` wide.
    #[cfg(test)]
    pub(crate) const fn coloured(width: usize) -> Self {
        Self {
            is_coloured: true,
            width,
        }
    }

    /// Returns how many characters a line has.
    pub(crate) const fn width(self) -> usize {
        self.width
    }

    /// Returns `text` in a style.
    pub(crate) fn text(self, style: Style, text: &str) -> String {
        let text = clean(text);
        if self.is_coloured && style != Style::Plain {
            format!("\u{1b}[{}m{text}\u{1b}[0m", style.code())
        } else {
            text
        }
    }

    /// Writes `text` behind `head`, wrapped; later lines begin below the start of the text.
    pub(crate) fn paragraph(self, out: &mut String, head: &str, head_width: usize, text: &str) {
        self.marked(out, (head, head_width), Style::Plain, text, &[]);
    }

    /// Writes `text` in a style behind `head`, with `marks` standing out: by inverse colours, else by a
    /// line of `^` below.
    pub(crate) fn marked(
        self,
        out: &mut String,
        (head, head_width): (&str, usize),
        style: Style,
        text: &str,
        marks: &[(usize, usize)],
    ) {
        let room = self.width.saturating_sub(head_width).max(MIN_WIDTH / 2);
        for (index, range) in wrapped(text, room).into_iter().enumerate() {
            if index == 0 {
                out.push_str(head);
            } else {
                out.push_str(&" ".repeat(head_width));
            }
            let start = out.len();
            self.range(out, style, text, &range, marks);
            out.truncate(start + out.get(start..).map_or(0, |line| line.trim_end().len()));
            out.push('\n');
            if !self.is_coloured {
                underline(out, head_width, text, &range, marks);
            }
        }
    }

    fn range(
        self,
        out: &mut String,
        style: Style,
        text: &str,
        range: &Range<usize>,
        marks: &[(usize, usize)],
    ) {
        let mut place = range.start;
        for (start, end) in marks {
            let (start, end) = (*start.max(&range.start), *end.min(&range.end));
            if end <= start {
                continue;
            }
            if place < start {
                out.push_str(&self.text(style, text.get(place..start).unwrap_or_default()));
            }
            let marked = clean(text.get(start..end).unwrap_or_default());
            if self.is_coloured {
                let _ = write!(out, "\u{1b}[{};7m{marked}\u{1b}[0m", style.code());
            } else {
                out.push_str(&marked);
            }
            place = end;
        }
        let rest = text.get(place..range.end).unwrap_or_default();
        if !rest.is_empty() {
            out.push_str(&self.text(style, rest));
        }
    }
}

/// Writes a line of `^` below what is marked.
fn underline(
    out: &mut String,
    indent: usize,
    text: &str,
    range: &Range<usize>,
    marks: &[(usize, usize)],
) {
    let is_marked = |place: usize| {
        marks
            .iter()
            .any(|(start, end)| (*start..*end).contains(&place))
    };
    let shown = text.get(range.clone()).unwrap_or_default();
    let line: String = shown
        .char_indices()
        .map(
            |(place, c)| match (is_marked(range.start + place), c.is_whitespace()) {
                (true, false) => '^',
                _ => ' ',
            },
        )
        .collect();
    if line.contains('^') {
        let _ = writeln!(out, "{}{}", " ".repeat(indent), line.trim_end());
    }
}

/// Returns the lines of `text`, each at most `room` characters: broken at blanks, else in words.
fn wrapped(text: &str, room: usize) -> Vec<Range<usize>> {
    let mut lines = Vec::new();
    let mut start = 0;
    loop {
        let rest = text.get(start..).unwrap_or_default();
        let Some((over, _)) = rest.char_indices().nth(room) else {
            lines.push(start..text.len());
            return lines;
        };
        let head = rest.get(..over).unwrap_or_default();
        let is_after = rest.get(over..).is_some_and(|rest| rest.starts_with(' '));
        let blank = head
            .rfind(' ')
            .filter(|place| room / 3 < *place && !is_after);
        let end = start + blank.map_or(over, |place| place + 1);
        lines.push(start..end);
        let skipped = text
            .get(end..)
            .map_or(0, |rest| usize::from(rest.starts_with(' ')));
        start = end + skipped;
    }
}

/// What comes from a repository may hold what a terminal would obey.
pub(crate) fn clean(text: &str) -> String {
    let shown = |c: char| {
        if c.is_control() && c != '\t' && c != '\n' {
            '\u{fffd}'
        } else {
            c
        }
    };
    text.chars().map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::{Paint, Style, wrapped};

    #[test]
    fn lines_break_at_blanks_and_lose_nothing_else() {
        for (text, room, lines) in [
            ("short", 10, vec!["short"]),
            ("one two three", 8, vec!["one two ", "three"]),
            ("one two three", 7, vec!["one two", "three"]),
            ("abcdefghij", 4, vec!["abcd", "efgh", "ij"]),
            ("", 4, vec![""]),
            ("ä ö ü", 3, vec!["ä ö", "ü"]),
        ] {
            let found: Vec<&str> = wrapped(text, room)
                .into_iter()
                .filter_map(|range| text.get(range))
                .collect();
            assert_eq!(found, lines, "{text}");
        }
    }

    #[test]
    fn marks_stand_out_with_and_without_colour() {
        let show = |paint: Paint| {
            let mut out = String::new();
            paint.marked(
                &mut out,
                ("+ ", 2),
                Style::Added,
                "a cold day\u{1b}[2J",
                &[(2, 6)],
            );
            out
        };
        assert_eq!(
            show(Paint::plain(80)),
            "+ a cold day\u{fffd}[2J\n    ^^^^\n"
        );
        let wanted =
            "+ \u{1b}[32ma \u{1b}[0m\u{1b}[32;7mcold\u{1b}[0m\u{1b}[32m day\u{fffd}[2J\u{1b}[0m\n";
        assert_eq!(show(Paint::coloured(80)), wanted);
    }
}
