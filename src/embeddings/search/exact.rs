//! The exact scan: one pass over all rows for all queries.
//!
//! The queries stay in memory, the rows come in blocks, and what a block and the queries have to do with
//! each other is a product of two matrices. Such a product is as fast as a processor gets, but its last
//! bits depend on how it was cut up. So it only says which rows *may* be among the best: it is compared
//! with the worst row a query has so far, with a margin that the rounding of both sums cannot exceed
//! (Higham, Accuracy and Stability of Numerical Algorithms, section 3.1: the error of a sum of `d`
//! products is at most `d·u/(1 - d·u)` times the product of the lengths). The few that pass are scored
//! again, and only that counts. Where it is cheaper, the product is one of parts along a few directions, and the
//! margin holds what they lack.

use crate::embeddings::search::asked::Asked;
use crate::embeddings::search::dot::Length;
use crate::embeddings::search::shortlist::Shortlist;
use crate::embeddings::search::sieve::{Block, Stretch, compare};
use crate::embeddings::search::{Error, Neighbour, Scan};
use crate::embeddings::{self, Matrix, Rows};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// How many values of rows are read at once: 4,096 rows of 384.
const BLOCK_VALUES: usize = 4_096 * 384;
/// Up to so many queries are compared row by row: there is too little to multiply.
const FEW: usize = 4;
/// The first rows, one of so many, are compared whole: as long as little was found, a bound lets too much pass.
const WHOLE: usize = 8;
/// What a scan found.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Found {
    /// For every query its nearest rows, the nearest first. Empty for a query that has no direction.
    pub neighbours: Vec<Vec<Neighbour>>,
    /// How many rows are all zeros; they are never ranked.
    pub zero_rows: usize,
    /// How many rows hold a value that is not finite; they are never ranked.
    pub not_finite_rows: usize,
    /// Which queries have no direction, being zero or not finite.
    pub unranked_queries: Vec<usize>,
}

/// Returns for every query its nearest rows of `base`, as [`scan`] does.
///
/// # Errors
///
/// As [`scan`].
pub fn nearest(
    base: &dyn Rows,
    queries: &Matrix,
    scan: &Scan<'_>,
) -> Result<Vec<Vec<Neighbour>>, embeddings::Error> {
    Ok(self::scan(base, queries, scan)?.neighbours)
}

/// Returns for every query its nearest rows of `base`, and what could not be ranked.
///
/// One pass over `base` for all queries; in memory are the queries twice, `4k` numbers per query and
/// thread, and a block of rows per thread.
///
/// # Errors
///
/// `Dimensions` when queries and rows differ in length; what reading the rows gives.
pub fn scan(
    base: &dyn Rows,
    queries: &Matrix,
    scan: &Scan<'_>,
) -> Result<Found, embeddings::Error> {
    let (query, rows) = (queries.dimensions(), base.dimensions());
    if query != rows && !queries.is_empty() && !base.is_empty() {
        let mismatch = Error::Dimensions { query, base: rows };
        return Err(mismatch.into());
    }
    let asked = Asked::new(base, queries, scan)?;
    let work = Work {
        base,
        asked: &asked,
        next: AtomicUsize::new(0),
        block: block_rows(base, scan.threads),
    };
    let parts = work.on_threads(scan.threads)?;
    Ok(asked.collect(parts))
}

/// Returns how many rows are read at once: small enough that every thread gets some.
fn block_rows(base: &dyn Rows, threads: usize) -> usize {
    let fitting = BLOCK_VALUES / base.dimensions().max(1);
    let share = base.len().div_ceil(threads.max(1));
    fitting.min(share).max(1)
}

/// The rows that wait, and who takes the next.
struct Work<'a> {
    base: &'a dyn Rows,
    asked: &'a Asked<'a>,
    next: AtomicUsize,
    block: usize,
}

/// What one thread found.
pub(super) struct Part {
    pub(super) tops: Vec<Shortlist>,
    pub(super) zero_rows: usize,
    pub(super) not_finite_rows: usize,
}

impl Work<'_> {
    fn on_threads(&self, threads: usize) -> Result<Vec<Part>, embeddings::Error> {
        let blocks = self.base.len().div_ceil(self.block);
        let threads = threads.clamp(1, blocks.max(1));
        if threads == 1 {
            return Ok(vec![self.run()?]);
        }
        thread::scope(|scope| {
            let handles: Vec<_> = (0..threads).map(|_| scope.spawn(|| self.run())).collect();
            let parts = handles
                .into_iter()
                .map(|handle| handle.join().unwrap_or_else(|_| Err(Error::Stopped.into())));
            parts.collect()
        })
    }

    /// Takes blocks until there are none.
    fn run(&self) -> Result<Part, embeddings::Error> {
        let asked = self.asked;
        let mut part = Part {
            tops: vec![Shortlist::new(asked.scan.k); asked.numbers.len()],
            zero_rows: 0,
            not_finite_rows: 0,
        };
        let mut block = Block::default();
        let mut read = Vec::new();
        loop {
            let first = self.next.fetch_add(1, Ordering::Relaxed) * self.block;
            let count = self.base.len().saturating_sub(first).min(self.block);
            if count == 0 {
                return Ok(part);
            }
            let values = self.values(first, count, &mut read)?;
            let rows = Stretch { first, values };
            if asked.numbers.len() <= FEW {
                compare(asked, rows, &mut part);
                continue;
            }
            block.weigh(asked, values, &mut part);
            let along = asked.along().filter(|_| first >= self.base.len() / WHOLE);
            if let Some((leading, factors)) = along {
                let parts = block.lean_on(leading, values);
                block.multiply(asked, (&parts, factors), rows, &mut part);
            } else {
                block.multiply(asked, (values, asked.whole()), rows, &mut part);
            }
        }
    }

    /// Returns rows: those in memory, or read into `buffer`.
    fn values<'v>(
        &'v self,
        first: usize,
        count: usize,
        buffer: &'v mut Vec<f32>,
    ) -> Result<&'v [f32], embeddings::Error> {
        let dimensions = self.base.dimensions();
        if let Some(values) = self.base.in_memory() {
            let start = first * dimensions;
            let values = values.get(start..start + count * dimensions);
            return values.ok_or(embeddings::Error::NoSuchRow { row: first });
        }
        buffer.resize(count * dimensions, 0.0);
        self.base.read(first, buffer)?;
        Ok(buffer)
    }
}

impl Part {
    /// Returns the length of a row, or counts why it has none.
    pub(super) fn length(&mut self, row: &[f32]) -> Option<f32> {
        match Length::of(row) {
            Length::Of(length) => return Some(length),
            Length::Zero => self.zero_rows += 1,
            Length::NotFinite => self.not_finite_rows += 1,
        }
        None
    }
}

/// Offers a row that is not left out. Scores that overflowed are no scores.
pub(super) fn offer(top: &mut Shortlist, scan: &Scan<'_>, query: usize, neighbour: Neighbour) {
    let is_skipped = scan.skip.is_some_and(|skip| skip(query, neighbour.row));
    if neighbour.score.is_finite() && !is_skipped {
        top.offer(neighbour);
    }
}
#[cfg(test)]
mod tests {
    use super::{FEW, Found, Work, nearest, scan};
    use crate::embeddings::search::asked::Asked;
    use crate::embeddings::search::dot::{Length, score};
    use crate::embeddings::search::leading::Leading;
    use crate::embeddings::search::samples::clustered;
    use crate::embeddings::search::{Metric, Neighbour, Scan};
    use crate::embeddings::{Error, Matrix, Rows};
    use proptest::prelude::*;
    use std::sync::atomic::AtomicUsize;

    const METRICS: [Metric; 3] = [Metric::Cosine, Metric::Dot, Metric::Euclidean];

    /// Rows that have to be read, as those of files.
    struct Filed(Matrix);

    impl Rows for Filed {
        fn len(&self) -> usize {
            self.0.len()
        }

        fn dimensions(&self) -> usize {
            self.0.dimensions()
        }

        fn read(&self, first: usize, into: &mut [f32]) -> Result<(), Error> {
            self.0.read(first, into)
        }
    }

    /// The search as one would write it down.
    fn by_hand(base: &Matrix, queries: &Matrix, scan: &Scan<'_>) -> Vec<Vec<Neighbour>> {
        let width = base.dimensions();
        let answers = queries.values().chunks(width).enumerate();
        let answers = answers.map(|(number, query)| {
            let Length::Of(length) = Length::of(query) else {
                return Vec::new();
            };
            let unit: Vec<f32> = query.iter().map(|value| value / length).collect();
            let query = match scan.metric {
                Metric::Cosine => &unit,
                Metric::Dot | Metric::Euclidean => query,
            };
            let mut all = Vec::new();
            for (row, values) in base.values().chunks(width).enumerate() {
                let is_skipped = scan.skip.is_some_and(|skip| skip(number, row));
                if let (Length::Of(length), false) = (Length::of(values), is_skipped) {
                    let score = score(scan.metric, query, values, length);
                    all.extend(score.is_finite().then_some(Neighbour { row, score }));
                }
            }
            all.sort_by(Neighbour::rank);
            all.truncate(scan.k);
            all
        });
        answers.collect()
    }

    /// Values of a few sizes, so that there are ties, zero rows and rows that are no numbers.
    fn rows(count: std::ops::Range<usize>, width: usize) -> impl Strategy<Value = Matrix> {
        let value = prop_oneof![
            4 => -1.0_f32..1.0,
            4 => prop::sample::select(vec![0.0_f32, 1.0, -1.0, 0.5]),
        ];
        let row = prop_oneof![
            20 => prop::collection::vec(value, width),
            1 => Just(vec![0.0; width]),
            1 => Just(vec![f32::NAN; width]),
            1 => Just(vec![1e30; width]),
            1 => Just(vec![1e-30; width]),
        ];
        prop::collection::vec(row, count)
            .prop_map(move |rows| Matrix::new(width, rows.concat()).unwrap())
    }

    fn cases() -> impl Strategy<Value = (Matrix, Matrix)> {
        (1_usize..20).prop_flat_map(|width| (rows(0..90, width), rows(0..9, width)))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(150))]

        #[test]
        fn a_scan_is_what_one_would_write_down(
            (base, queries) in cases(),
            metric in prop::sample::select(METRICS.to_vec()),
            k in 0_usize..30,
            threads in 1_usize..5,
        ) {
            let skip = |query: usize, row: usize| (query + row).is_multiple_of(5);
            for skip in [None, Some(&skip as super::super::Skip<'_>)] {
                let asked = Scan { metric, k, threads, skip };
                let expected = by_hand(&base, &queries, &asked);
                prop_assert_eq!(&nearest(&base, &queries, &asked).unwrap(), &expected);
                let filed = Filed(base.clone());
                prop_assert_eq!(&nearest(&filed, &queries, &asked).unwrap(), &expected);
            }
        }
    }

    #[test]
    fn blocks_tiles_and_threads_change_nothing() {
        // More rows than a block holds, more queries than a panel would need only costs time.
        let (base, queries) = (clustered(1_300, 24, 1), clustered(12, 24, 2));
        for metric in METRICS {
            let asked = |threads| Scan {
                metric,
                threads,
                ..Scan::new(7)
            };
            let expected = by_hand(&base, &queries, &asked(1));
            for threads in [1, 2, 3, 4] {
                let found = nearest(&base, &queries, &asked(threads)).unwrap();
                assert_eq!(found, expected, "{metric:?}, {threads} threads");
            }
        }
    }

    #[test]
    fn a_bound_along_a_few_directions_changes_nothing() {
        let (base, queries) = (clustered(1_500, 40, 7), clustered(30, 40, 8));
        let all = Leading::of_rows(&base.values()[..600 * 40], 40).unwrap();
        for (metric, width) in METRICS
            .iter()
            .flat_map(|metric| [(*metric, 1), (*metric, 9), (*metric, 20)])
        {
            let looked = Scan {
                metric,
                threads: 2,
                ..Scan::new(6)
            };
            let asked = Asked::along_directions(&queries, &looked, all.first(width).unwrap());
            let work = Work {
                base: &base,
                asked: &asked,
                next: AtomicUsize::new(0),
                block: 100,
            };
            let found = asked.collect(work.on_threads(2).unwrap());
            let expected = by_hand(&base, &queries, &looked);
            assert_eq!(found.neighbours, expected, "{metric:?}, {width} directions");
        }
    }

    #[test]
    fn one_query_is_answered_as_many_are() {
        let (base, queries) = (clustered(700, 33, 3), clustered(FEW + 5, 33, 4));
        for metric in METRICS {
            let asked = Scan {
                metric,
                ..Scan::new(9)
            };
            let together = nearest(&base, &queries, &asked).unwrap();
            for (number, expected) in together.iter().enumerate() {
                let alone = Matrix::new(33, queries.row(number).unwrap().to_vec()).unwrap();
                let found = nearest(&base, &alone, &asked).unwrap();
                assert_eq!(found, *std::slice::from_ref(expected), "{metric:?}");
            }
        }
    }

    #[test]
    fn scores_are_close_to_those_in_doubles() {
        let (base, queries) = (clustered(300, 100, 5), clustered(6, 100, 6));
        let answers = nearest(&base, &queries, &Scan::new(5)).unwrap();
        for (query, answer) in queries.values().chunks(100).zip(answers) {
            let exact = |row: &[f32]| {
                let pairs = || query.iter().zip(row);
                let sum = |of: fn((&f32, &f32)) -> f64| pairs().map(of).sum::<f64>();
                let dot = sum(|(q, r)| f64::from(*q) * f64::from(*r));
                let left = sum(|(q, _)| f64::from(*q).powi(2));
                let right = sum(|(_, r)| f64::from(*r).powi(2));
                dot / (left * right).sqrt()
            };
            for neighbour in answer {
                let exact = exact(base.row(neighbour.row).unwrap());
                assert!((f64::from(neighbour.score) - exact).abs() < 1e-6);
            }
        }
    }

    #[test]
    fn equal_rows_stand_in_their_order_and_few_rows_are_all() {
        let width = 40;
        let row: Vec<f32> = (0..40_u8).map(|x| f32::from(x).sin()).collect();
        let base = Matrix::new(width, row.repeat(600)).unwrap();
        let queries = Matrix::new(width, row.repeat(FEW + 1)).unwrap();
        for metric in METRICS {
            let asked = Scan {
                metric,
                threads: 3,
                ..Scan::new(4)
            };
            for answer in nearest(&base, &queries, &asked).unwrap() {
                let rows: Vec<usize> = answer.iter().map(|neighbour| neighbour.row).collect();
                assert_eq!(rows, [0, 1, 2, 3]);
            }
            let asked = Scan {
                metric,
                ..Scan::new(usize::MAX)
            };
            let all = nearest(&base, &queries, &asked).unwrap();
            assert!(all.iter().all(|answer| answer.len() == 600));
        }
        let own = Scan {
            skip: Some(&|query, row| query == row),
            ..Scan::new(1)
        };
        let found = nearest(&base, &queries, &own).unwrap();
        let rows: Vec<usize> = found.iter().map(|answer| answer[0].row).collect();
        assert_eq!(rows, [1, 0, 0, 0, 0]);
    }

    #[test]
    fn what_has_no_direction_is_counted_and_never_found() {
        let base = [
            [0.0, 0.0],
            [1.0, 0.0],
            [f32::NAN, 1.0],
            [f32::INFINITY, 0.0],
        ];
        let base = Matrix::new(2, base.concat()).unwrap();
        for count in [1, FEW + 1] {
            let mut values = [0.0, 1.0].repeat(count);
            values.extend([0.0, 0.0, f32::NAN, 0.0]);
            let queries = Matrix::new(2, values).unwrap();
            for metric in METRICS {
                let asked = Scan {
                    metric,
                    ..Scan::new(3)
                };
                let found = scan(&base, &queries, &asked).unwrap();
                assert_eq!((found.zero_rows, found.not_finite_rows), (1, 2));
                assert_eq!(found.unranked_queries, [count, count + 1]);
                let rows = |answer: &Vec<Neighbour>| answer.iter().map(|n| n.row).collect();
                let rows: Vec<Vec<usize>> = found.neighbours.iter().map(rows).collect();
                assert!(rows[..count].iter().all(|rows| rows == &[1]), "{rows:?}");
                assert!(rows[count..].iter().all(Vec::is_empty), "{rows:?}");
            }
        }
    }

    #[test]
    fn queries_of_another_length_and_rows_that_cannot_be_read_are_errors() {
        struct Broken;
        impl Rows for Broken {
            fn len(&self) -> usize {
                10_000
            }
            fn dimensions(&self) -> usize {
                2
            }
            fn read(&self, first: usize, _: &mut [f32]) -> Result<(), Error> {
                Err(Error::NoSuchRow { row: first })
            }
        }
        let base = Matrix::new(2, vec![1.0; 4]).unwrap();
        let long = Matrix::new(3, vec![1.0; 3]).unwrap();
        let error = nearest(&base, &long, &Scan::new(1)).unwrap_err();
        assert_eq!(
            error.to_string(),
            "a query of 3 dimensions cannot be compared with rows of 2"
        );
        let asked = Scan {
            threads: 2,
            ..Scan::new(1)
        };
        let error = nearest(&Broken, &base, &asked).unwrap_err();
        assert!(matches!(error, Error::NoSuchRow { .. }));
        let empty = Matrix::default();
        assert_eq!(
            scan(&empty, &empty, &Scan::new(1)).unwrap(),
            Found::default()
        );
    }
}
