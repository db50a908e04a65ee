//! Texts made comparable: one letter for everything that looks like it, and the way back.
//!
//! What is found in a changed text must be shown in the text that came. `Mapped` remembers where the
//! two drift apart, so an unchanged text costs nothing to map.

use std::ops::Range;
use std::sync::LazyLock;

/// A text made from another, and where each place came from.
#[derive(Debug, Clone, Default)]
pub(super) struct Mapped {
    pub(super) text: String,
    /// Invariant: sorted. From the first place on (in `text`) both run in step, the original from the
    /// second place on.
    steps: Vec<(usize, usize)>,
    next_origin: usize,
    /// The length of the original.
    end: usize,
}

impl Mapped {
    /// Returns an empty text that will be made from `original`.
    pub(super) fn of(original: &str) -> Self {
        Self {
            text: String::with_capacity(original.len()),
            steps: Vec::new(),
            next_origin: 0,
            end: original.len(),
        }
    }

    /// Appends `c`, which stands for the character that begins at `origin`.
    pub(super) fn push(&mut self, c: char, origin: usize) {
        if self.text.is_empty() || self.next_origin != origin {
            self.steps.push((self.text.len(), origin));
        }
        self.text.push(c);
        self.next_origin = origin + c.len_utf8();
    }

    /// Returns which bytes of the original the bytes in `range` were made from.
    pub(super) fn origin(&self, range: &Range<usize>) -> Range<usize> {
        let start = self.place(range.start);
        // The end is where the next character came from, or the end of all.
        let end = if range.end < self.text.len() {
            self.place(range.end)
        } else {
            self.end
        };
        start.min(end)..start.max(end)
    }

    fn place(&self, place: usize) -> usize {
        let after = self.steps.partition_point(|(start, _)| *start <= place);
        let step = after.checked_sub(1).and_then(|last| self.steps.get(last));
        step.map_or(0, |(start, origin)| origin + (place - start))
            .min(self.end)
    }
}

/// Returns the letter, digit or mark that `c` looks like, in lower case; `None` when it is not seen at
/// all. What has no simpler form comes back as it is.
pub(super) fn fold(c: char) -> Option<char> {
    if c.is_ascii() {
        return Some(c.to_ascii_lowercase());
    }
    if is_invisible(c) {
        return None;
    }
    let code = u32::from(c);
    let simple = match code {
        // Tag characters carry hidden ASCII.
        0xE0020..=0xE007E => char::from_u32(code - 0xE0000),
        // Full width.
        0xFF01..=0xFF5E => char::from_u32(code - 0xFEE0),
        0x3000 | 0x00A0 | 0x2000..=0x200A | 0x202F | 0x205F => Some(' '),
        0x24B6..=0x24CF => letter(code - 0x24B6),
        0x24D0..=0x24E9 => letter(code - 0x24D0),
        0x1F130..=0x1F149 => letter(code - 0x1F130),
        0x1F150..=0x1F169 => letter(code - 0x1F150),
        0x1F170..=0x1F189 => letter(code - 0x1F170),
        // Mathematical alphabets: thirteen of fifty-two letters each, then the digits.
        0x1D400..=0x1D6A3 => letter((code - 0x1D400) % 26),
        0x1D7CE..=0x1D7FF => char::from_digit((code - 0x1D7CE) % 10, 10),
        0x2019 | 0x2018 | 0x02BC | 0x2032 => Some('\''),
        0x2010..=0x2015 | 0x2212 => Some('-'),
        0x201C | 0x201D => Some('"'),
        _ => look_alike(c),
    };
    simple
        .map(|c| c.to_ascii_lowercase())
        .or_else(|| c.to_lowercase().next())
}

/// Returns `text` with every character folded.
pub(super) fn folded(text: &str) -> Mapped {
    let mut mapped = Mapped::of(text);
    for (origin, c) in text.char_indices() {
        if let Some(c) = fold(c) {
            mapped.push(c, origin);
        }
    }
    mapped
}

/// Returns `text` in lower case with plain apostrophes and single spaces; nothing else is folded, so
/// that other scripts stay what they are.
pub(super) fn lowered(text: &str) -> Mapped {
    let mut mapped = Mapped::of(text);
    let mut was_space = false;
    for (origin, c) in text.char_indices() {
        let is_space = c.is_whitespace();
        if is_space && was_space {
            continue;
        }
        was_space = is_space;
        let c = match c {
            _ if is_space => ' ',
            '\u{2019}' | '\u{2032}' => '\'',
            _ if c.is_ascii() => c.to_ascii_lowercase(),
            _ => c.to_lowercase().next().unwrap_or(c),
        };
        mapped.push(c, origin);
    }
    mapped
}

/// Whether nobody sees `c`: no width, no direction of its own, or a mark upon another character.
pub(super) const fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{00AD}'
            | '\u{034F}'
            | '\u{0300}'..='\u{036F}'
            | '\u{180E}'
            | '\u{200B}'..='\u{200F}'
            | '\u{202A}'..='\u{202E}'
            | '\u{2060}'..='\u{2064}'
            | '\u{2066}'..='\u{2069}'
            | '\u{FE00}'..='\u{FE0F}'
            | '\u{FEFF}'
            | '\u{E0001}'
            | '\u{E007F}'
            | '\u{E0100}'..='\u{E01EF}'
    )
}

fn letter(number: u32) -> Option<char> {
    char::from_u32(u32::from('a') + number)
}

/// Letters of other alphabets, and accented ones, that pass for a Latin letter.
const LOOK_ALIKES: [(&str, char); 26] = [
    ("аàáâãäåāăąαɑ", 'a'),
    ("вьβ", 'b'),
    ("сçćčϲ", 'c'),
    ("ԁďđ", 'd'),
    ("еèéêëēėęěё", 'e'),
    ("ƒ", 'f'),
    ("ɡğģ", 'g'),
    ("һнħ", 'h'),
    ("іìíîïīįıιї", 'i'),
    ("ј", 'j'),
    ("кκķ", 'k'),
    ("ӏłľĺ", 'l'),
    ("м", 'm'),
    ("пñńňη", 'n'),
    ("оòóôõöøōőοσ", 'o'),
    ("рρ", 'p'),
    ("ԛ", 'q'),
    ("гŕř", 'r'),
    ("ѕśşšș", 's'),
    ("тτťțţ", 't'),
    ("ùúûüūůűųυ", 'u'),
    ("ѵν", 'v'),
    ("ԝω", 'w'),
    ("хχ", 'x'),
    ("уýÿγ", 'y'),
    ("źžż", 'z'),
];

/// The first code point behind the alphabets that hold look-alikes.
const LOOK_ALIKE_END: usize = 0x530;

/// The plain letter for every code point up to [`LOOK_ALIKE_END`].
static PLAIN: LazyLock<Vec<Option<char>>> = LazyLock::new(|| {
    let mut plain = vec![None; LOOK_ALIKE_END];
    for (group, letter) in LOOK_ALIKES {
        for c in group.chars() {
            if let Some(place) = code(c).and_then(|code| plain.get_mut(code)) {
                *place = Some(letter);
            }
        }
    }
    plain
});

fn look_alike(c: char) -> Option<char> {
    let lower = c.to_lowercase().next().and_then(code)?;
    PLAIN.get(lower).copied().flatten()
}

fn code(c: char) -> Option<usize> {
    usize::try_from(u32::from(c)).ok()
}

#[cfg(test)]
mod tests {
    use super::{folded, lowered};
    use proptest::prelude::proptest;

    #[test]
    fn what_looks_the_same_becomes_the_same() {
        for (text, expected) in [
            ("Hello", "hello"),
            ("Ｈｅｌｌｏ　１", "hello 1"),
            ("𝐇𝑒𝓵𝕝𝗈 𝟙", "hello 1"),
            ("Неllо", "hello"),
            ("h\u{200B}e\u{0301}llo", "hello"),
            ("\u{E0068}\u{E0069}", "hi"),
            ("日本語 שלום", "日本語 שלום"),
            ("ⒽⒾ", "hi"),
        ] {
            assert_eq!(folded(text).text, expected, "{text}");
        }
        assert_eq!(lowered("I’m  SO\n\tsorry").text, "i'm so sorry");
    }

    #[test]
    fn places_lead_back() {
        let text = "ä\u{200B}Ｂc";
        let mapped = folded(text);
        assert_eq!(mapped.text, "abc");
        assert_eq!(mapped.origin(&(0..1)), 0..5);
        assert_eq!(text.get(mapped.origin(&(1..2))), Some("Ｂ"));
        assert_eq!(text.get(mapped.origin(&(2..3))), Some("c"));
        assert_eq!(mapped.origin(&(0..3)), 0..text.len());
    }

    proptest! {
        #[test]
        fn places_are_places_of_the_original(text in "\\PC{0,20}", from in 0_usize..20) {
            let mapped = folded(&text);
            let starts: Vec<usize> = mapped.text.char_indices().map(|(start, _)| start).collect();
            if let Some(start) = starts.get(from) {
                let span = mapped.origin(&(*start..mapped.text.len()));
                assert!(text.get(span).is_some());
            }
        }
    }
}
