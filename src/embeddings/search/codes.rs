//! Small codes in place of rows: a first pass over a quarter, or a thirty-second, of the memory, and then
//! the exact score of those that came out best.
//!
//! A byte code keeps every value as one of 255 steps, the largest of the row being the last. A bit code
//! keeps the signs. What the first pass loses is lost: the share that is found must be measured, and gates
//! use the exact scan.

use crate::embeddings::search::dot::{self, Length};
use crate::embeddings::search::shortlist::Shortlist;
use crate::embeddings::search::{Error, Metric, Neighbour, Scan};
use crate::embeddings::{self, Matrix, Rows};
use serde::{Deserialize, Serialize};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// How many rows are compared with all queries before the next are.
const BLOCK: usize = 512;
/// How many rows are read at once when codes are made.
const READ: usize = 4_096;
/// How many byte products run beside one another.
const LANES: usize = 16;
/// The steps of a byte code on either side of 0.
const STEPS: f32 = 127.0;

/// How rows are coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A byte for each value, and a factor for the row.
    Bytes,
    /// A bit for each value, its sign.
    Bits,
}

/// The codes of rows.
#[derive(Debug, Clone, PartialEq)]
pub struct Codes {
    kind: Kind,
    dimensions: usize,
    /// The codes of all rows: bytes as they are, or bits in words.
    bytes: Vec<i8>,
    words: Vec<u64>,
    /// By what a byte is multiplied to give a value.
    scales: Vec<f32>,
    /// How long a row is; 0 for those that are not ranked.
    lengths: Vec<f32>,
}

/// The code of one vector.
#[derive(Default)]
struct Code {
    bytes: Vec<i8>,
    words: Vec<u64>,
    scale: f32,
    length: f32,
}

impl Code {
    fn new(kind: Kind, vector: &[f32]) -> Self {
        let length = Length::of(vector).value().unwrap_or_default();
        let mut code = Self {
            length,
            ..Self::default()
        };
        match kind {
            Kind::Bytes => {
                let largest = vector
                    .iter()
                    .fold(0.0_f32, |most, value| most.max(value.abs()));
                code.scale = largest / STEPS;
                code.bytes = vector.iter().map(|value| step(*value, largest)).collect();
            }
            Kind::Bits => {
                let word = |values: &[f32]| {
                    let signs = values.iter().enumerate();
                    signs.fold(0, |word, (bit, value)| {
                        word | u64::from(*value > 0.0) << bit
                    })
                };
                code.words = vector.chunks(64).map(word).collect();
            }
        }
        code
    }
}

/// Returns the step that is nearest to a value; 0 for what is no number.
#[expect(
    clippy::cast_possible_truncation,
    reason = "it is rounded to a whole number from -127 to 127"
)]
fn step(value: f32, largest: f32) -> i8 {
    let share = if largest > 0.0 { value / largest } else { 0.0 };
    (share * STEPS).round().clamp(-STEPS, STEPS) as i8
}

impl Codes {
    /// Codes rows.
    ///
    /// # Errors
    ///
    /// What reading the rows gives.
    pub fn new(kind: Kind, base: &dyn Rows) -> Result<Self, embeddings::Error> {
        let width = base.dimensions();
        let mut codes = Self {
            kind,
            dimensions: width,
            bytes: Vec::new(),
            words: Vec::new(),
            scales: Vec::with_capacity(base.len()),
            lengths: Vec::with_capacity(base.len()),
        };
        let mut values = Vec::new();
        for first in (0..base.len()).step_by(READ) {
            values.resize((base.len() - first).min(READ) * width, 0.0);
            base.read(first, &mut values)?;
            for row in values.chunks_exact(width.max(1)) {
                let code = Code::new(kind, row);
                codes.bytes.extend(code.bytes);
                codes.words.extend(code.words);
                codes.scales.push(code.scale);
                codes.lengths.push(code.length);
            }
        }
        Ok(codes)
    }

    /// Returns how many bytes of memory the codes take.
    #[must_use]
    pub fn bytes(&self) -> usize {
        size_of_val(self.bytes.as_slice())
            + size_of_val(self.words.as_slice())
            + size_of_val(self.scales.as_slice())
            + size_of_val(self.lengths.as_slice())
    }

    /// Returns for every query the rows of `base` that are nearest by their exact scores, of the
    /// `oversampling` times as many that are nearest by their codes.
    ///
    /// # Errors
    ///
    /// `Dimensions` when queries, rows and codes differ in length or number; what reading the rows gives.
    pub fn search(
        &self,
        base: &dyn Rows,
        queries: &Matrix,
        scan: &Scan<'_>,
        oversampling: usize,
    ) -> Result<Vec<Vec<Neighbour>>, embeddings::Error> {
        let fits = base.dimensions() == self.dimensions && base.len() == self.lengths.len();
        if queries.is_empty() || base.is_empty() && self.lengths.is_empty() {
            return Ok(vec![Vec::new(); queries.len()]);
        }
        if !fits || queries.dimensions() != self.dimensions {
            let mismatch = Error::Dimensions {
                query: queries.dimensions(),
                base: self.dimensions,
            };
            return Err(mismatch.into());
        }
        let queries: Vec<&[f32]> = queries
            .values()
            .chunks_exact(self.dimensions.max(1))
            .collect();
        let wanted = scan.k.saturating_mul(oversampling.max(1));
        let first = self.first_pass(&queries, scan, wanted)?;
        let pairs = queries.iter().zip(first);
        let answers = pairs.map(|(query, top)| self.rescore(base, query, scan, top));
        answers.collect()
    }

    /// Returns for every query the rows whose codes are nearest.
    fn first_pass(
        &self,
        queries: &[&[f32]],
        scan: &Scan<'_>,
        wanted: usize,
    ) -> Result<Vec<Shortlist>, Error> {
        let coded: Vec<Code> = queries
            .iter()
            .map(|query| Code::new(self.kind, query))
            .collect();
        let next = AtomicUsize::new(0);
        let work = || {
            let mut tops = vec![Shortlist::new(wanted); coded.len()];
            loop {
                let start = next.fetch_add(1, Ordering::Relaxed) * BLOCK;
                if start >= self.lengths.len() {
                    return tops;
                }
                for (query, top) in coded.iter().enumerate().zip(&mut tops) {
                    self.compare(start, query, scan, top);
                }
            }
        };
        let blocks = self.lengths.len().div_ceil(BLOCK);
        let threads = scan.threads.clamp(1, blocks.max(1));
        if threads == 1 {
            return Ok(work());
        }
        thread::scope(|scope| {
            let handles: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
            let mut all = vec![Shortlist::new(wanted); queries.len()];
            for handle in handles {
                let tops = handle.join().map_err(|_| Error::Stopped)?;
                for (top, other) in all.iter_mut().zip(tops) {
                    top.merge(other);
                }
            }
            Ok(all)
        })
    }

    /// Compares the codes of a block with that of a query.
    fn compare(&self, start: usize, query: (usize, &Code), scan: &Scan<'_>, top: &mut Shortlist) {
        let (number, query) = query;
        if query.length <= 0.0 {
            return;
        }
        let end = (start + BLOCK).min(self.lengths.len());
        for row in start..end {
            let length = self.lengths.get(row).copied().unwrap_or_default();
            let score = self.score(row, query, scan.metric, length);
            let is_near = top.floor().is_none_or(|floor| score >= floor);
            let is_skipped = || scan.skip.is_some_and(|skip| skip(number, row));
            if is_near && length > 0.0 && score.is_finite() && !is_skipped() {
                top.offer(Neighbour { row, score });
            }
        }
    }

    /// Returns about how near a row is: of one query's rows, the nearer has the higher score.
    fn score(&self, row: usize, query: &Code, metric: Metric, length: f32) -> f32 {
        match self.kind {
            Kind::Bytes => {
                let start = row * self.dimensions;
                let bytes = self.bytes.get(start..start + self.dimensions);
                let scale = self.scales.get(row).copied().unwrap_or_default();
                let product = products(bytes.unwrap_or_default(), &query.bytes);
                let product = product * scale * query.scale;
                match metric {
                    Metric::Cosine => product / length,
                    Metric::Dot => product,
                    Metric::Euclidean => 2.0 * product - length * length,
                }
            }
            Kind::Bits => {
                let width = self.dimensions.div_ceil(64);
                let words = self.words.get(row * width..(row + 1) * width);
                -differences(words.unwrap_or_default(), &query.words)
            }
        }
    }

    /// Scores the rows of the first pass exactly.
    fn rescore(
        &self,
        base: &dyn Rows,
        query: &[f32],
        scan: &Scan<'_>,
        first: Shortlist,
    ) -> Result<Vec<Neighbour>, embeddings::Error> {
        let unit;
        let query = match scan.metric {
            Metric::Cosine => {
                unit = dot::unit(query).unwrap_or_default();
                &unit
            }
            Metric::Dot | Metric::Euclidean => query,
        };
        let mut top = Shortlist::new(scan.k);
        let mut values = vec![0.0; self.dimensions];
        for Neighbour { row, .. } in first.into_sorted() {
            base.read(row, &mut values)?;
            let length = self.lengths.get(row).copied().unwrap_or_default();
            let score = dot::score(scan.metric, query, &values, length);
            if score.is_finite() {
                top.offer(Neighbour { row, score });
            }
        }
        Ok(top.into_sorted())
    }
}

/// Returns the sum of the products of bytes.
#[expect(
    clippy::cast_precision_loss,
    reason = "the last of eight digits, in a pass that is checked"
)]
#[inline(never)]
fn products(left: &[i8], right: &[i8]) -> f32 {
    let product = |(left, right): (&i8, &i8)| i32::from(*left) * i32::from(*right);
    let (lefts, left_rest) = left.as_chunks::<LANES>();
    let (rights, right_rest) = right.as_chunks::<LANES>();
    let wholes = lefts.iter().zip(rights);
    let wholes = wholes.map(|(left, right)| left.iter().zip(right).map(product).sum::<i32>());
    let rest = left_rest.iter().zip(right_rest).map(product);
    (wholes.sum::<i32>() + rest.sum::<i32>()) as f32
}

/// Returns in how many bits words differ.
#[expect(
    clippy::cast_precision_loss,
    reason = "there are far fewer than 16 million dimensions"
)]
fn differences(left: &[u64], right: &[u64]) -> f32 {
    let pairs = left.iter().zip(right);
    pairs
        .map(|(left, right)| (left ^ right).count_ones())
        .sum::<u32>() as f32
}

#[cfg(test)]
mod tests {
    use super::{Code, Codes, Kind};
    use crate::embeddings::Matrix;
    use crate::embeddings::search::samples::clustered;
    use crate::embeddings::search::{Metric, Neighbour, Scan, nearest};

    const METRICS: [Metric; 3] = [Metric::Cosine, Metric::Dot, Metric::Euclidean];

    fn found(answers: &[Vec<Neighbour>], truth: &[Vec<Neighbour>]) -> usize {
        let pairs = answers.iter().zip(truth);
        let hits = pairs.map(|(answer, truth)| {
            truth
                .iter()
                .filter(|neighbour| answer.contains(neighbour))
                .count()
        });
        hits.sum()
    }

    #[test]
    fn looking_at_everything_again_gives_the_scan() {
        let (base, queries) = (clustered(700, 37, 1), clustered(5, 37, 2));
        let skip = |query: usize, row: usize| (query + row).is_multiple_of(7);
        for kind in [Kind::Bytes, Kind::Bits] {
            let codes = Codes::new(kind, &base).unwrap();
            for metric in METRICS {
                for threads in [1, 3] {
                    let scan = Scan {
                        metric,
                        threads,
                        skip: Some(&skip),
                        ..Scan::new(8)
                    };
                    let expected = nearest(&base, &queries, &scan).unwrap();
                    let all = codes.search(&base, &queries, &scan, 700).unwrap();
                    assert_eq!(all, expected, "{kind:?} {metric:?} {threads}");
                }
            }
        }
    }

    #[test]
    fn a_little_oversampling_is_enough() {
        let (base, queries) = (clustered(800, 64, 3), clustered(20, 64, 4));
        for metric in METRICS {
            let scan = Scan {
                metric,
                ..Scan::new(10)
            };
            let truth = nearest(&base, &queries, &scan).unwrap();
            let hits = |kind, oversampling| {
                let codes = Codes::new(kind, &base).unwrap();
                let answers = codes.search(&base, &queries, &scan, oversampling).unwrap();
                found(&answers, &truth)
            };
            assert!(hits(Kind::Bytes, 1) >= 180, "{metric:?}");
            assert!(hits(Kind::Bytes, 3) >= 199, "{metric:?}");
            assert!(hits(Kind::Bits, 30) > hits(Kind::Bits, 2), "{metric:?}");
        }
    }

    #[test]
    fn codes_are_what_they_should_be() {
        let code = Code::new(Kind::Bytes, &[-2.0, 1.0, 0.0, 0.01]);
        assert_eq!(code.bytes, [-127, 64, 0, 1]);
        assert_eq!(code.scale.to_bits(), (2.0_f32 / 127.0).to_bits());
        let mut signs = vec![-1.0; 66];
        signs[0] = 1.0;
        signs[65] = 3.0;
        assert_eq!(Code::new(Kind::Bits, &signs).words, [1, 2]);
        let base = clustered(10, 128, 5);
        let sizes = [Kind::Bytes, Kind::Bits].map(|kind| Codes::new(kind, &base).unwrap().bytes());
        assert_eq!(sizes, [10 * (128 + 8), 10 * (16 + 8)]);
    }

    #[test]
    fn what_has_no_direction_is_never_found_and_other_rows_are_refused() {
        let base = [[0.0, 0.0], [1.0, 0.5], [f32::NAN, 1.0]];
        let base = Matrix::new(2, base.concat()).unwrap();
        let queries = Matrix::new(2, vec![1.0, 1.0, 0.0, 0.0]).unwrap();
        for kind in [Kind::Bytes, Kind::Bits] {
            let codes = Codes::new(kind, &base).unwrap();
            let found = codes.search(&base, &queries, &Scan::new(3), 2).unwrap();
            let rows = |answer: &Vec<Neighbour>| answer.iter().map(|n| n.row).collect();
            let rows: Vec<Vec<usize>> = found.iter().map(rows).collect();
            assert_eq!(rows, [vec![1], vec![]]);
            let other = clustered(3, 5, 6);
            assert!(codes.search(&base, &other, &Scan::new(3), 2).is_err());
        }
    }
}
