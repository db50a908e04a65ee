//! Lines that differ, in hunks that each belong to one file.

use serde::Serialize;
use similar::{Algorithm, ChangeTag, DiffOp, TextDiff, capture_diff_slices, group_diff_ops};

/// Equal lines shown around a change.
const CONTEXT: usize = 3;
/// Lines that have less in common than this are two lines, not one that was changed.
const MIN_LIKENESS: f32 = 0.4;
/// Pairs of lines that are compared; of larger texts all lines count as changed.
const MAX_PAIRS: usize = 100_000_000;
/// Longer lines get no marks.
const MAX_MARKED: usize = 4_000;

/// A line, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SourceLine {
    pub(super) file: String,
    /// From 1.
    pub(super) line: usize,
    /// Without its end.
    pub(super) text: String,
}

/// Lines of one file that differ, with a few equal ones around them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Hunk {
    /// The file, below the directory of the prompts.
    pub file: String,
    /// The lines.
    pub lines: Vec<DiffLine>,
}

/// One line of a hunk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DiffLine {
    /// On which side it is.
    pub kind: LineKind,
    /// Its number in the file: of the base when it is removed, else of the head.
    pub line: usize,
    /// The line without its end.
    pub text: String,
    /// The words that differ from the line's partner, as ranges of bytes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub marks: Vec<(usize, usize)>,
}

/// On which side a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LineKind {
    /// On both.
    Context,
    /// In the base only.
    Removed,
    /// In the head only.
    Added,
}

/// Returns what differs between two texts that stand in no file, answers of models say: hunks with an
/// empty `file`, changed words marked. None when they are the same.
#[must_use]
pub fn texts(base: &str, head: &str) -> Vec<Hunk> {
    let lines = |text: &str| -> Vec<SourceLine> {
        let line = |(index, text): (usize, &str)| SourceLine {
            file: String::new(),
            line: index + 1,
            text: text.to_owned(),
        };
        text.lines().enumerate().map(line).collect()
    };
    hunks(&lines(base), &lines(head))
}

/// Returns what differs.
pub(super) fn hunks(base: &[SourceLine], head: &[SourceLine]) -> Vec<Hunk> {
    let texts = |lines: &[SourceLine]| -> Vec<String> {
        lines.iter().map(|line| line.text.clone()).collect()
    };
    let (old, new) = (texts(base), texts(head));
    let operations = if MAX_PAIRS < old.len().saturating_mul(new.len()) {
        vec![DiffOp::Replace {
            old_index: 0,
            old_len: old.len(),
            new_index: 0,
            new_len: new.len(),
        }]
    } else {
        capture_diff_slices(Algorithm::Patience, &old, &new)
    };
    let mut hunks = Vec::new();
    for group in group_diff_ops(operations, CONTEXT) {
        let mut lines = Vec::new();
        for operation in &group {
            lines.extend(of_operation(operation, base, head));
        }
        hunks.extend(by_file(lines));
    }
    hunks
}

fn of_operation(
    operation: &DiffOp,
    base: &[SourceLine],
    head: &[SourceLine],
) -> Vec<(String, DiffLine)> {
    let old = base.get(operation.old_range()).unwrap_or_default();
    let new = head.get(operation.new_range()).unwrap_or_default();
    let line = |kind, source: &SourceLine, marks| {
        let line = DiffLine {
            kind,
            line: source.line,
            text: source.text.clone(),
            marks,
        };
        (source.file.clone(), line)
    };
    if matches!(operation, DiffOp::Equal { .. }) {
        let context = |source: &SourceLine| line(LineKind::Context, source, Vec::new());
        return new.iter().map(context).collect();
    }
    let (mut removed, mut added) = (Vec::new(), Vec::new());
    for index in 0..old.len().max(new.len()) {
        let (old, new) = (old.get(index), new.get(index));
        let (old_marks, new_marks) = match (old, new) {
            (Some(old), Some(new)) => marks(&old.text, &new.text),
            _ => (Vec::new(), Vec::new()),
        };
        removed.extend(old.map(|old| line(LineKind::Removed, old, old_marks)));
        added.extend(new.map(|new| line(LineKind::Added, new, new_marks)));
    }
    removed.into_iter().chain(added).collect()
}

type Marks = Vec<(usize, usize)>;

/// Returns the words of two lines that differ; none when the lines have little in common.
fn marks(old: &str, new: &str) -> (Marks, Marks) {
    let (mut old_marks, mut new_marks) = (Marks::new(), Marks::new());
    if MAX_MARKED < old.len().max(new.len()) {
        return (old_marks, new_marks);
    }
    let (old_words, new_words) = (words(old), words(new));
    let diff = TextDiff::from_slices(&old_words, &new_words);
    if diff.ratio() < MIN_LIKENESS {
        return (old_marks, new_marks);
    }
    let (mut old_place, mut new_place) = (0, 0);
    for change in diff.iter_all_changes() {
        let length = change.value().len();
        match change.tag() {
            ChangeTag::Equal => {
                old_place += length;
                new_place += length;
            }
            ChangeTag::Delete => mark(&mut old_marks, &mut old_place, length),
            ChangeTag::Insert => mark(&mut new_marks, &mut new_place, length),
        }
    }
    (old_marks, new_marks)
}

/// Cuts a line into words, and everything between them into single characters.
fn words(text: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let is_word = |c: char| c.is_alphanumeric() || c == '_';
        let end = if is_word(first) {
            rest.find(|c| !is_word(c)).unwrap_or(rest.len())
        } else {
            first.len_utf8()
        };
        let Some((word, after)) = rest.split_at_checked(end) else {
            break;
        };
        words.push(word);
        rest = after;
    }
    words
}

/// Marks the next `length` bytes; marks that touch are one.
fn mark(marks: &mut Marks, place: &mut usize, length: usize) {
    let start = *place;
    *place += length;
    match marks.last_mut() {
        Some(last) if last.1 == start => last.1 = *place,
        _ => marks.push((start, *place)),
    }
}

/// Cuts lines where the file changes, and drops pieces that hold no change.
fn by_file(lines: Vec<(String, DiffLine)>) -> Vec<Hunk> {
    let mut hunks: Vec<Hunk> = Vec::new();
    for (file, line) in lines {
        match hunks.last_mut() {
            Some(hunk) if hunk.file == file => hunk.lines.push(line),
            _ => hunks.push(Hunk {
                file,
                lines: vec![line],
            }),
        }
    }
    hunks.retain(|hunk| hunk.lines.iter().any(|line| line.kind != LineKind::Context));
    hunks
}

#[cfg(test)]
mod tests {
    use super::{LineKind, SourceLine, hunks, texts};

    fn lines(file: &str, text: &str) -> Vec<SourceLine> {
        let line = |(index, text): (usize, &str)| SourceLine {
            file: file.to_owned(),
            line: index + 1,
            text: text.to_owned(),
        };
        text.split('|').enumerate().map(line).collect()
    }

    fn shown(base: &[SourceLine], head: &[SourceLine]) -> String {
        let mut text = String::new();
        for hunk in hunks(base, head) {
            text.push_str(&format!("@{}\n", hunk.file));
            for line in &hunk.lines {
                let sign = match line.kind {
                    LineKind::Context => ' ',
                    LineKind::Removed => '-',
                    LineKind::Added => '+',
                };
                let marked: Vec<&str> = line
                    .marks
                    .iter()
                    .filter_map(|(start, end)| line.text.get(*start..*end))
                    .collect();
                text.push_str(&format!("{sign}{}:{} {marked:?}\n", line.line, line.text));
            }
        }
        text
    }

    #[test]
    fn changed_words_are_marked_and_far_changes_stand_apart() {
        let base = lines(
            "f",
            "one|two|three|four|five|six|seven|eight|nine warm words here|ten",
        );
        let head = lines(
            "f",
            "ONE|two|three|four|five|six|seven|eight|nine cold words here|ten",
        );
        let wanted = "@f\n-1:one []\n+1:ONE []\n 2:two []\n 3:three []\n 4:four []\n\
            @f\n 6:six []\n 7:seven []\n 8:eight []\n-9:nine warm words here [\"warm\"]\n\
            +9:nine cold words here [\"cold\"]\n 10:ten []\n";
        assert_eq!(shown(&base, &head), wanted);
        assert_eq!(shown(&base, &base), "");
    }

    #[test]
    fn texts_without_a_file_are_compared_by_lines_and_words() {
        let found = texts("a warm day\nthe end", "a cold day\nthe end");
        let [hunk] = found.as_slice() else {
            panic!("{found:?}");
        };
        assert_eq!((hunk.file.as_str(), hunk.lines.len()), ("", 3));
        assert_eq!(hunk.lines[0].marks, [(2, 6)]);
        assert_eq!(texts("same", "same"), []);
        assert_eq!(texts("", "new").len(), 1);
    }

    #[test]
    fn a_hunk_belongs_to_one_file() {
        let mut base = lines("a", "one|two");
        base.extend(lines("b", "three|four"));
        let mut head = lines("a", "one|TWO");
        head.extend(lines("b", "three|FOUR"));
        let wanted =
            "@a\n 1:one []\n-2:two []\n+2:TWO []\n@b\n 1:three []\n-2:four []\n+2:FOUR []\n";
        assert_eq!(shown(&base, &head), wanted);
        // Text that moved to another file as it is changes nothing of what is rendered.
        assert_eq!(shown(&lines("a", "x|y"), &lines("b", "x|y")), "");
    }
}
