//! Cuts sources into chunks, each with its place in the source: the text between the two bytes is the
//! chunk's text exactly.

use crate::embeddings::pipeline::{Chunker, Pipeline};
use crate::metering::Tokens;
use std::ops::Range;

/// A piece that no chunk divides, and for how many units it counts.
type Unit = (Range<usize>, u32);

/// Returns the places of the chunks of `text`, in order. A source without anything but white space has
/// none, unless it is taken whole.
#[must_use]
pub fn chunks(pipeline: &Pipeline, text: &str) -> Vec<Range<usize>> {
    let units = match pipeline.chunker {
        Chunker::None => {
            let whole = 0..text.len();
            let place = if pipeline.is_trimmed {
                trimmed(text, whole)
            } else {
                whole
            };
            return vec![place];
        }
        Chunker::Words => words(text),
        Chunker::Characters => characters(text),
        Chunker::Sentences => sentences(text),
        Chunker::Paragraphs => paragraphs(text),
        Chunker::Tokens => tokens(text, pipeline.tokenizer.as_deref().unwrap_or_default()),
    };
    let places = windows(&units, pipeline.size.max(1), pipeline.overlap);
    let cut = places.into_iter().map(|place| {
        if pipeline.is_trimmed {
            trimmed(text, place)
        } else {
            place
        }
    });
    // A chunk that ends no later than the one before, as it began or ended in white space, brings nothing.
    let mut end = 0;
    cut.filter(|place| {
        let is_new = end < place.end && !slice(text, place).trim().is_empty();
        end = if is_new { place.end } else { end };
        is_new
    })
    .collect()
}

/// Returns the text at a place.
#[must_use]
pub fn slice<'a>(text: &'a str, place: &Range<usize>) -> &'a str {
    text.get(place.clone()).unwrap_or_default()
}

/// As many units as fit into `size`, then again from `overlap` units before their end. A unit that is
/// larger than a chunk is one by itself.
fn windows(units: &[Unit], size: u32, overlap: u32) -> Vec<Range<usize>> {
    let (size, overlap) = (u64::from(size), u64::from(overlap));
    let mut found = Vec::new();
    let mut first = 0;
    while let Some((head, _)) = units.get(first) {
        let fitting = fits(units.iter().skip(first), size).max(1);
        let last = first + fitting - 1;
        let end = units.get(last).map_or(head.end, |(place, _)| place.end);
        found.push(head.start..end);
        let Some((_, next)) = units.get(last + 1) else {
            break;
        };
        let before = units.iter().take(last + 1).skip(first + 1).rev();
        // The next chunk has room for a unit that is new.
        let shared = fits(before, overlap.min(size.saturating_sub(u64::from(*next))));
        first = last + 1 - shared;
    }
    found
}

/// How many of `units` have together no more than `most`.
fn fits<'a>(units: impl Iterator<Item = &'a Unit>, most: u64) -> usize {
    let sums = units.scan(0_u64, |sum, (_, weight)| {
        *sum += u64::from(*weight);
        Some(*sum)
    });
    sums.take_while(|sum| *sum <= most).count()
}

fn trimmed(text: &str, place: Range<usize>) -> Range<usize> {
    let inner = slice(text, &place);
    let start = place.start + (inner.len() - inner.trim_start().len());
    let end = start + inner.trim().len();
    start..end
}

/// Runs without white space.
fn words(text: &str) -> Vec<Unit> {
    let mut found = Vec::new();
    let mut start = None;
    for (at, c) in text.char_indices() {
        match (c.is_whitespace(), start) {
            (true, Some(from)) => {
                found.push((from..at, 1));
                start = None;
            }
            (false, None) => start = Some(at),
            _ => {}
        }
    }
    found.extend(start.map(|from| (from..text.len(), 1)));
    found
}

fn characters(text: &str) -> Vec<Unit> {
    let places = text.char_indices();
    places.map(|(at, c)| (at..at + c.len_utf8(), 1)).collect()
}

fn tokens(text: &str, model: &str) -> Vec<Unit> {
    let mut start = 0;
    let pieces = Tokens.pieces(model, text).into_iter();
    pieces
        .map(|(length, weight)| {
            let place = start..start + length;
            start = place.end;
            (place, weight)
        })
        .collect()
}

/// Parts between empty lines.
fn paragraphs(text: &str) -> Vec<Unit> {
    let mut found = Vec::new();
    let mut open: Option<Range<usize>> = None;
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let place = at..at + line.len();
        at = place.end;
        if line.trim().is_empty() {
            found.extend(open.take().map(|place| (place, 1)));
        } else {
            let start = open.map_or(place.start, |open| open.start);
            open = Some(start..place.end);
        }
    }
    found.extend(open.map(|place| (place, 1)));
    let tidy = found.into_iter();
    tidy.map(|(place, weight)| (trimmed(text, place), weight))
        .collect()
}

/// A sentence ends at `.`, `!`, `?` or `…` with white space behind, at their East Asian forms, and at an
/// empty line. `3.14` and `e.g.x` do not end one; `Dr. No` does: what a name is, no rule knows.
fn sentences(text: &str) -> Vec<Unit> {
    let mut found = Vec::new();
    for (paragraph, _) in paragraphs(text) {
        let inner = slice(text, &paragraph);
        let mut start = 0;
        let mut ends = false;
        for (at, c) in inner.char_indices() {
            if ends && c.is_whitespace() {
                found.push(paragraph.start + start..paragraph.start + at);
                start = at;
                ends = false;
            } else if matches!(c, '。' | '！' | '？') {
                let end = at + c.len_utf8();
                found.push(paragraph.start + start..paragraph.start + end);
                start = end;
                ends = false;
            } else {
                let closes = matches!(c, '"' | '\'' | ')' | ']' | '”' | '’' | '»');
                ends = matches!(c, '.' | '!' | '?' | '…') || (ends && closes);
            }
        }
        found.push(paragraph.start + start..paragraph.end);
    }
    let tidy = found.into_iter().map(|place| trimmed(text, place));
    tidy.filter(|place| !place.is_empty())
        .map(|place| (place, 1))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{chunks, slice};
    use crate::embeddings::pipeline::{Chunker, Pipeline, PipelineWish};
    use proptest::prelude::{Strategy, any, prop_assert, prop_assert_eq, proptest};
    use proptest::sample::select;

    fn pipeline(chunker: Chunker, size: u32, overlap: u32) -> Pipeline {
        let wish = PipelineWish {
            chunker,
            size: Some(size),
            overlap: Some(overlap),
            ..PipelineWish::default()
        };
        wish.pipeline().unwrap()
    }

    fn texts(chunker: Chunker, size: u32, overlap: u32, text: &str) -> Vec<String> {
        let places = chunks(&pipeline(chunker, size, overlap), text);
        let found = places.iter().map(|place| slice(text, place).to_owned());
        found.collect()
    }

    #[test]
    fn sources_are_cut_as_people_would() {
        let words = "one two  three\nfour five ";
        assert_eq!(
            texts(Chunker::Words, 2, 0, words),
            ["one two", "three\nfour", "five"]
        );
        assert_eq!(
            texts(Chunker::Words, 3, 1, words),
            ["one two  three", "three\nfour five"]
        );
        assert_eq!(
            texts(Chunker::Characters, 3, 1, "abcdefg"),
            ["abc", "cde", "efg"]
        );
        assert_eq!(
            texts(
                Chunker::Sentences,
                1,
                0,
                "Pi is 3.14. \"Really?\" he asked! Yes\n\nA new one. これは。それは。"
            ),
            [
                "Pi is 3.14.",
                "\"Really?\"",
                "he asked!",
                "Yes",
                "A new one.",
                "これは。",
                "それは。"
            ]
        );
        assert_eq!(
            texts(Chunker::Paragraphs, 1, 0, "a\nb\n \n\nc\r\n\r\nd"),
            ["a\nb", "c", "d"]
        );
        assert_eq!(
            texts(Chunker::Tokens, 2, 0, "hello world again"),
            ["hello world", "again"]
        );
        assert!(texts(Chunker::Words, 2, 0, " \n ").is_empty());
        let whole = chunks(&Pipeline::default(), " as it is ");
        assert_eq!(whole, std::iter::once(0..10).collect::<Vec<_>>());
    }

    #[test]
    fn a_token_that_is_part_of_a_character_is_not_cut_off() {
        let text = "🦀🦀🦀 ok";
        let cut = texts(Chunker::Tokens, 1, 0, text);
        assert_eq!(cut.concat().replace(' ', ""), text.replace(' ', ""));
    }

    fn any_pipeline() -> impl Strategy<Value = Pipeline> {
        let chunker = select(Chunker::ALL[1..].to_vec());
        (chunker, 1_u32..9, any::<u32>(), any::<bool>()).prop_map(
            |(chunker, size, overlap, is_trimmed)| Pipeline {
                is_trimmed,
                ..pipeline(chunker, size, overlap % size)
            },
        )
    }

    proptest! {
        #[test]
        fn every_letter_is_in_a_chunk_and_chunks_go_forward(
            pipeline in any_pipeline(),
            text in "[a-z.!? \n\u{e9}\u{4e00}\u{1f980}\u{3002}]{0,120}",
        ) {
            let places = chunks(&pipeline, &text);
            let mut covered = vec![false; text.len()];
            let mut before: Option<std::ops::Range<usize>> = None;
            for place in places {
                prop_assert!(text.is_char_boundary(place.start) && text.is_char_boundary(place.end));
                prop_assert!(!slice(&text, &place).trim().is_empty());
                covered[place.clone()].fill(true);
                if let Some(before) = &before {
                    prop_assert!(before.start <= place.start && before.end < place.end);
                }
                before = Some(place);
            }
            for (at, c) in text.char_indices() {
                prop_assert!(covered[at] || c.is_whitespace(), "{at} {c:?}");
            }
        }

        #[test]
        fn without_overlap_no_byte_is_twice_in_a_chunk(
            text in "[a-z.! \n\u{e9}\u{1f980}]{0,120}", size in 1_u32..9,
        ) {
            for chunker in &Chunker::ALL[1..] {
                let places = chunks(&pipeline(*chunker, size, 0), &text);
                let ends = places.iter().zip(places.iter().skip(1));
                prop_assert_eq!(ends.filter(|(a, b)| b.start < a.end).count(), 0);
            }
        }
    }
}
