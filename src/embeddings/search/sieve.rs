//! A block of rows beside the queries: products say which rows may be among the best, and only those are scored.

use crate::embeddings::registers::{leave_wide_vectors, wide};
use crate::embeddings::search::asked::{Asked, Factors};
use crate::embeddings::search::dot::score;
use crate::embeddings::search::exact::{Part, offer};
use crate::embeddings::search::leading::Leading;
use crate::embeddings::search::shortlist::Shortlist;
use crate::embeddings::search::{Metric, Neighbour};
use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use std::ops::RangeInclusive;

/// How many rows are multiplied at once, so that the products stay near the processor.
const TILE: usize = 512;
/// How many queries are multiplied at once.
const PANEL: usize = 1_024;
/// Lengths whose squares and products keep their digits; whatever is beyond is always scored.
pub(super) const USUAL: RangeInclusive<f32> = 1e-15..=1e15;
/// How many products are compared before one looks whether any passed.
const STRIDE: usize = 32;

/// Rows that follow one another.
#[derive(Clone, Copy)]
pub(super) struct Stretch<'a> {
    /// The number of the first.
    pub(super) first: usize,
    pub(super) values: &'a [f32],
}

/// Compares a few queries with every row directly.
pub(super) fn compare(asked: &Asked<'_>, rows: Stretch<'_>, part: &mut Part) {
    let width = asked.dimensions.max(1);
    for (place, row) in rows.values.chunks_exact(width).enumerate() {
        let Some(length) = part.length(row) else {
            continue;
        };
        for (slot, query) in asked.scored.chunks_exact(width).enumerate() {
            let (Some(top), Some(number)) = (part.tops.get_mut(slot), asked.numbers.get(slot))
            else {
                continue;
            };
            let score = score(asked.scan.metric, query, row, length);
            if top.floor().is_none_or(|floor| score >= floor) {
                let row = rows.first + place;
                offer(top, asked.scan, *number, Neighbour { row, score });
            }
        }
    }
}

/// What is known of the rows of a block beside their values.
///
/// For every row a factor and two summands: `product * scale + (offset + query's rest * rest)` is at least what
/// the row's score amounts to, in terms of [`Asked::least`].
#[derive(Default)]
pub(super) struct Block {
    /// Lengths of rows; 0 for those that are not ranked.
    lengths: Vec<f32>,
    scales: Vec<f32>,
    offsets: Vec<f32>,
    rests: Vec<f32>,
    products: Vec<f32>,
}

impl Block {
    /// Takes the lengths of a block's rows, and what follows from them.
    pub(super) fn weigh(&mut self, asked: &Asked<'_>, values: &[f32], part: &mut Part) {
        self.lengths.clear();
        self.scales.clear();
        self.offsets.clear();
        self.rests.clear();
        for row in values.chunks_exact(asked.dimensions.max(1)) {
            let length = part.length(row);
            let usual = length.filter(|length| USUAL.contains(length));
            let (scale, offset) = match (usual, asked.scan.metric) {
                // What is no number fails no comparison, so these rows are all looked at.
                (None, _) => (0.0, f32::NAN),
                (Some(length), Metric::Cosine) => (1.0 / length, asked.margin),
                (Some(length), Metric::Dot) => (1.0, asked.margin * length),
                (Some(length), Metric::Euclidean) => {
                    (2.0, length * length * (2.0 * asked.margin - 1.0))
                }
            };
            self.lengths.push(length.unwrap_or_default());
            self.scales.push(scale);
            self.offsets.push(offset);
            self.rests.push(0.0);
        }
    }

    /// Returns the parts of a block's rows along some directions, and keeps what they lack.
    pub(super) fn lean_on(&mut self, leading: &Leading, values: &[f32]) -> Vec<f32> {
        let parts = leading.parts(values);
        let rows = parts.chunks_exact(leading.width()).zip(&self.lengths);
        for ((part, length), (scale, rest)) in rows.zip(self.scales.iter().zip(&mut self.rests)) {
            *rest = leading.rest(*length, part) * scale;
        }
        parts
    }

    /// Multiplies what stands for the rows and for the queries, and looks at what may be among the best.
    pub(super) fn multiply(
        &mut self,
        asked: &Asked<'_>,
        (rows, factors): (&[f32], Factors<'_>),
        of: Stretch<'_>,
        part: &mut Part,
    ) {
        let width = factors.width;
        let mut products = std::mem::take(&mut self.products);
        for (panel_number, panel) in factors.values.chunks(PANEL * width).enumerate() {
            for (tile_number, tile) in rows.chunks(TILE * width).enumerate() {
                let (rows, queries) = (tile.len() / width, panel.len() / width);
                products.resize(rows * queries, 0.0);
                matmul(
                    MatMut::from_column_major_slice_mut(&mut products, rows, queries),
                    Accum::Replace,
                    MatRef::from_row_major_slice(tile, rows, width),
                    MatRef::from_row_major_slice(panel, queries, width).transpose(),
                    1.0_f32,
                    Par::Seq,
                );
                leave_wide_vectors();
                let tile = Tile {
                    block: self,
                    of,
                    start: tile_number * TILE,
                };
                let queries = factors.rests.iter().enumerate().skip(panel_number * PANEL);
                let columns = products.chunks_exact(rows).zip(queries);
                wide(
                    #[inline(always)]
                    || tile.sift_all(asked, columns, part),
                );
            }
        }
        self.products = products;
    }
}

/// Some rows of a block.
struct Tile<'a> {
    block: &'a Block,
    /// The rows of the block.
    of: Stretch<'a>,
    /// The place in the block of the tile's first row.
    start: usize,
}

impl Tile<'_> {
    /// Offers queries what [`Tile::sift`] finds, by their products with all rows of the tile.
    #[inline(always)]
    fn sift_all<'p>(
        &self,
        asked: &Asked<'_>,
        queries: impl Iterator<Item = (&'p [f32], (usize, &'p f32))>,
        part: &mut Part,
    ) {
        for (products, query) in queries {
            self.sift(asked, query, products, part);
        }
    }

    /// Offers a query, which is one's number and rest, the rows of the tile that may be among its best.
    #[inline(always)]
    fn sift(
        &self,
        asked: &Asked<'_>,
        (slot, query_rest): (usize, &f32),
        products: &[f32],
        part: &mut Part,
    ) {
        let (Some(top), Some(&length)) = (part.tops.get_mut(slot), asked.lengths.get(slot)) else {
            return;
        };
        let Block {
            scales,
            offsets,
            rests,
            ..
        } = self.block;
        let [scales, offsets, rests] =
            [scales, offsets, rests].map(|of| of.get(self.start..).unwrap_or_default());
        let mut least = asked.least(length, asked.floor(slot, top));
        let strides = products.chunks(STRIDE).zip(scales.chunks(STRIDE));
        let strides = strides.zip(offsets.chunks(STRIDE).zip(rests.chunks(STRIDE)));
        for (stride, ((products, scales), (offsets, rests))) in strides.enumerate() {
            let bounds = || {
                let rows = products.iter().zip(scales).zip(offsets.iter().zip(rests));
                rows.map(|((product, scale), (offset, rest))| {
                    product * scale + (offset + query_rest * rest)
                })
            };
            let may_pass = bounds().fold(false, |passed, bound| passed | is_above(bound, least));
            if !may_pass {
                continue;
            }
            for (place, bound) in bounds().enumerate() {
                if is_above(bound, least) {
                    self.look(asked, slot, self.start + stride * STRIDE + place, top);
                    least = asked.least(length, asked.floor(slot, top));
                }
            }
        }
        asked.tell(slot, top);
    }

    /// Scores a row as it counts, and offers it.
    #[inline(never)]
    fn look(&self, asked: &Asked<'_>, slot: usize, place: usize, top: &mut Shortlist) {
        let width = asked.dimensions;
        let row = self.of.values.get(place * width..(place + 1) * width);
        let query = asked.scored.get(slot * width..(slot + 1) * width);
        let length = self
            .block
            .lengths
            .get(place)
            .filter(|length| **length > 0.0);
        if let (Some(row), Some(query), Some(length), Some(number)) =
            (row, query, length, asked.numbers.get(slot))
        {
            let score = score(asked.scan.metric, query, row, *length);
            let row = self.of.first + place;
            offer(top, asked.scan, *number, Neighbour { row, score });
        }
    }
}

/// Returns whether a bound reaches `least`, or is unknown.
#[inline]
fn is_above(bound: f32, least: f32) -> bool {
    bound.is_nan() || bound >= least
}
