//! Chunks of two chunkers, matched by where they stand in their sources.
//!
//! A chunk of the finer side counts for the chunk of the coarser side that it shares most text with, when
//! one of the two holds at least half of the other. Names of chunks mean nothing across two chunkers.

use crate::embeddings::item::Span;
use std::collections::HashMap;

/// How much of the shorter span must lie in the other.
const ENOUGH: f64 = 0.5;

/// The chunks of a side, to be found by place.
#[derive(Debug, Default)]
pub(super) struct SpanIndex<'a> {
    sources: HashMap<&'a str, Vec<(u64, u64, usize)>>,
    /// The longest chunk of any source: how far before a place one may begin that reaches it.
    longest: u64,
}

impl<'a> SpanIndex<'a> {
    /// Returns an index over the rows that have a span.
    pub(super) fn new(spans: &'a [Option<Span>]) -> Self {
        let mut index = Self::default();
        for (row, span) in spans.iter().enumerate() {
            let Some(span) = span else { continue };
            let source = index.sources.entry(&span.source).or_default();
            source.push((span.start, span.end, row));
            index.longest = index.longest.max(span.end.saturating_sub(span.start));
        }
        for chunks in index.sources.values_mut() {
            chunks.sort_unstable();
        }
        index
    }

    /// Returns the chunk that shares most with `span`, the earliest of equal ones.
    pub(super) fn best(&self, span: &Span) -> Option<usize> {
        let matching = self.matching(span);
        let best = matching
            .into_iter()
            .max_by_key(|(shared, start, row)| (*shared, std::cmp::Reverse((*start, *row))));
        best.map(|(_, _, row)| row)
    }

    /// Returns all chunks that count for `span`, in the order of their places.
    pub(super) fn all(&self, span: &Span) -> Vec<usize> {
        let matching = self.matching(span).into_iter();
        matching.map(|(_, _, row)| row).collect()
    }

    fn matching(&self, span: &Span) -> Vec<(u64, u64, usize)> {
        let Some(chunks) = self.sources.get(span.source.as_str()) else {
            return Vec::new();
        };
        let earliest = span.start.saturating_sub(self.longest);
        let from = chunks.partition_point(|(start, _, _)| *start < earliest);
        let candidates = chunks.iter().skip(from);
        let near = candidates.take_while(|(start, _, _)| *start < span.end);
        near.filter_map(|(start, end, row)| {
            let shared = span.end.min(*end).saturating_sub(span.start.max(*start));
            let shorter = (span.end.saturating_sub(span.start)).min(end.saturating_sub(*start));
            (0 < shared && shorter as f64 * ENOUGH <= shared as f64)
                .then_some((shared, *start, *row))
        })
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::SpanIndex;
    use crate::embeddings::Span;

    fn span(source: &str, start: u64, end: u64) -> Span {
        Span {
            source: source.to_owned(),
            start,
            end,
        }
    }

    #[test]
    fn a_chunk_counts_for_the_one_it_lies_in() {
        let chunks = [
            Some(span("a", 0, 100)),
            Some(span("a", 100, 200)),
            None,
            Some(span("b", 0, 40)),
            Some(span("a", 150, 250)),
        ];
        let index = SpanIndex::new(&chunks);
        for (place, best, all) in [
            (span("a", 0, 50), Some(0), vec![0]),
            (span("a", 90, 110), Some(0), vec![0, 1]),
            (span("a", 60, 160), Some(1), vec![1]),
            (span("a", 150, 200), Some(1), vec![1, 4]),
            (span("a", 20, 240), Some(1), vec![0, 1, 4]),
            (span("b", 0, 4_000), Some(3), vec![3]),
            (span("a", 96, 140), Some(1), vec![1]),
            (span("a", 249, 300), None, vec![]),
            (span("c", 0, 50), None, vec![]),
            (span("a", 50, 50), None, vec![]),
        ] {
            assert_eq!(index.best(&place), best, "{place:?}");
            assert_eq!(index.all(&place), all, "{place:?}");
        }
    }
}
