//! Applies fixes to the bytes of files: line endings stay as they are, a byte order mark goes.

use crate::prompts::lint::finding::{Edit, Finding};

/// Returns `bytes` with the fixes of `findings` (all of this file) and how many were applied. Of two
/// that touch the same place the first wins; the other is for the next round.
pub(super) fn apply(bytes: &[u8], findings: &[&Finding]) -> Option<(Vec<u8>, usize)> {
    let text = std::str::from_utf8(bytes).ok()?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut edits: Vec<&Edit> = Vec::new();
    let mut count = 0;
    for fix in findings.iter().filter_map(|finding| finding.fix.as_ref()) {
        let is_free = |edit: &Edit| !edits.iter().any(|other| touch(other, edit));
        if fix.edits.iter().all(is_free) {
            edits.extend(&fix.edits);
            count += 1;
        }
    }
    edits.sort();
    let places = Places::of(text);
    let line_break = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let (mut out, mut copied) = (String::with_capacity(text.len()), 0);
    for edit in edits {
        let (start, end) = (places.raw(edit.start), places.raw(edit.end));
        out.push_str(text.get(copied..start)?);
        out.push_str(&edit.text.replace('\n', line_break));
        copied = end;
    }
    out.push_str(text.get(copied..)?);
    (0 < count).then(|| (out.into_bytes(), count))
}

/// Whether two edits are of the same place. Insertions at one place are.
const fn touch(a: &Edit, b: &Edit) -> bool {
    a.start <= b.end && b.start <= a.end
}

/// Turns places of a text with LF endings into those of the text as it is.
struct Places {
    /// Where, in the text with LF endings, a CR was left out.
    dropped: Vec<usize>,
}

impl Places {
    fn of(text: &str) -> Self {
        let breaks = text.match_indices("\r\n").enumerate();
        Self {
            dropped: breaks.map(|(index, (start, _))| start - index).collect(),
        }
    }

    fn raw(&self, place: usize) -> usize {
        place + self.dropped.partition_point(|dropped| *dropped < place)
    }
}

#[cfg(test)]
mod tests {
    use super::apply;
    use crate::prompts::lint::finding::{Finding, Fix, Sheet};
    use crate::prompts::lint::rule::Rule;
    use std::ops::Range;

    fn finding(place: Range<usize>, text: &str) -> Finding {
        let sheet = Sheet {
            path: "p",
            text: "",
        };
        let finding = sheet.finding(Rule::RawValue, &(0..0), "x");
        finding.fix(Fix::replace("x", &place, text))
    }

    #[test]
    fn line_endings_stay_and_overlaps_wait() {
        for (text, edits, wanted, applied) in [
            ("a\r\nb\r\nc", vec![(2..3, "B")], "a\r\nB\r\nc", 1),
            (
                "a\r\nb\r\nc",
                vec![(4..5, "x\ny"), (0..1, "")],
                "\r\nb\r\nx\r\ny",
                2,
            ),
            ("\u{feff}a\nb", vec![(0..0, "")], "a\nb", 1),
            (
                "abcdef",
                vec![(0..3, "1"), (2..4, "2"), (4..5, "3")],
                "1d3f",
                2,
            ),
            ("é\r\n", vec![(3..3, "\n")], "é\r\n\r\n", 1),
        ] {
            let findings: Vec<_> = edits
                .into_iter()
                .map(|(place, text)| finding(place, text))
                .collect();
            let findings: Vec<_> = findings.iter().collect();
            let (bytes, count) = apply(text.as_bytes(), &findings).unwrap();
            assert_eq!(String::from_utf8(bytes).unwrap(), wanted, "{text:?}");
            assert_eq!(count, applied, "{text:?}");
        }
        assert!(apply(b"x", &[]).is_none());
    }
}
