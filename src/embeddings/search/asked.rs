//! The queries of a scan as they are compared: prepared once, and what each has found so far.

use crate::embeddings::search::dot::Length;
use crate::embeddings::search::exact::{Found, Part};
use crate::embeddings::search::leading::Leading;
use crate::embeddings::search::shortlist::Shortlist;
use crate::embeddings::search::sieve::USUAL;
use crate::embeddings::search::{Metric, Scan};
use crate::embeddings::{self, Matrix, Rows};
use std::sync::atomic::{AtomicU32, Ordering};

/// What stands for the queries in a product with rows.
#[derive(Clone, Copy)]
pub(super) struct Factors<'a> {
    /// How long one is.
    pub(super) width: usize,
    /// One after the other.
    pub(super) values: &'a [f32],
    /// How long what they lack of their queries is at most.
    pub(super) rests: &'a [f32],
}

/// Parts of the queries along leading directions.
struct Along {
    leading: Leading,
    parts: Vec<f32>,
    rests: Vec<f32>,
}

/// The queries as they are compared.
pub(super) struct Asked<'a> {
    pub(super) scan: &'a Scan<'a>,
    pub(super) dimensions: usize,
    /// The queries that have a direction, by their numbers.
    pub(super) numbers: Vec<usize>,
    /// Their lengths.
    pub(super) lengths: Vec<f32>,
    /// Their values, as scores are taken of them.
    pub(super) scored: Vec<f32>,
    /// Their values, as they are multiplied, when that is something else.
    multiplied: Option<Vec<f32>>,
    /// What whole queries lack: nothing.
    nothing: Vec<f32>,
    along: Option<Along>,
    /// The best floor that any thread has for a query, as bits: what is below cannot be among the best.
    floors: Vec<AtomicU32>,
    total: usize,
    unranked: Vec<usize>,
    /// What rounding can change in a product of two vectors of length 1.
    pub(super) margin: f32,
}

impl<'a> Asked<'a> {
    /// Returns the queries of a scan of `base`.
    ///
    /// # Errors
    ///
    /// What reading rows gives.
    pub(super) fn new(
        base: &dyn Rows,
        queries: &Matrix,
        scan: &'a Scan<'a>,
    ) -> Result<Self, embeddings::Error> {
        let mut asked = Self::prepared(queries, scan);
        if let Some(leading) = Leading::of(base, asked.multiplied(), scan.k)? {
            asked.lean_on(leading);
        }
        Ok(asked)
    }

    /// Returns queries that are compared along directions, gain or not.
    #[cfg(test)]
    pub(super) fn along_directions(queries: &Matrix, scan: &'a Scan<'a>, leading: Leading) -> Self {
        let mut asked = Self::prepared(queries, scan);
        asked.lean_on(leading);
        asked
    }

    fn prepared(queries: &Matrix, scan: &'a Scan<'a>) -> Self {
        let dimensions = queries.dimensions();
        let mut asked = Self {
            scan,
            dimensions,
            numbers: Vec::with_capacity(queries.len()),
            lengths: Vec::with_capacity(queries.len()),
            scored: Vec::with_capacity(queries.values().len()),
            multiplied: None,
            nothing: Vec::new(),
            along: None,
            floors: Vec::new(),
            total: queries.len(),
            unranked: Vec::new(),
            margin: margin(dimensions),
        };
        let mut units = Vec::new();
        for (number, query) in queries.values().chunks(dimensions.max(1)).enumerate() {
            let Length::Of(length) = Length::of(query) else {
                asked.unranked.push(number);
                continue;
            };
            asked.numbers.push(number);
            asked.lengths.push(length);
            let unit = query.iter().map(|value| value / length);
            match scan.metric {
                Metric::Cosine => asked.scored.extend(unit),
                Metric::Dot => {
                    asked.scored.extend(query);
                    units.extend(unit);
                }
                Metric::Euclidean => asked.scored.extend(query),
            }
        }
        asked.multiplied = (scan.metric == Metric::Dot).then_some(units);
        asked.nothing = vec![0.0; asked.numbers.len()];
        let unknown = || AtomicU32::new(f32::NEG_INFINITY.to_bits());
        asked.floors = asked.numbers.iter().map(|_| unknown()).collect();
        asked
    }

    /// Has queries and rows compared by their parts along some directions.
    fn lean_on(&mut self, leading: Leading) {
        let parts = leading.parts(self.multiplied());
        let queries = self.multiplied().chunks_exact(self.dimensions.max(1));
        let both = queries.zip(parts.chunks_exact(leading.width()));
        let rests = both.map(|(query, part)| {
            let length = Length::of(query).value().unwrap_or_default();
            leading.rest(length, part)
        });
        self.along = Some(Along {
            rests: rests.collect(),
            parts,
            leading,
        });
    }

    fn multiplied(&self) -> &[f32] {
        self.multiplied.as_deref().unwrap_or(&self.scored)
    }

    /// Returns the queries as they are.
    pub(super) fn whole(&self) -> Factors<'_> {
        Factors {
            width: self.dimensions.max(1),
            values: self.multiplied(),
            rests: &self.nothing,
        }
    }

    /// Returns the directions that a bound may be taken along, and the queries' parts, if there are any.
    pub(super) fn along(&self) -> Option<(&Leading, Factors<'_>)> {
        let along = self.along.as_ref()?;
        let factors = Factors {
            width: along.leading.width(),
            values: &along.parts,
            rests: &along.rests,
        };
        Some((&along.leading, factors))
    }

    /// Returns the score that a row must at least have for a query of which this thread has found `top`.
    pub(super) fn floor(&self, slot: usize, top: &Shortlist) -> Option<f32> {
        let own = top.floor();
        let known = self.floors.get(slot);
        let known = known.map(|floor| f32::from_bits(floor.load(Ordering::Relaxed)));
        match (own, known.filter(|floor| *floor > f32::NEG_INFINITY)) {
            (Some(own), Some(known)) => Some(own.max(known)),
            (own, known) => own.or(known),
        }
    }

    /// Tells the other threads what this one has found. That one of two who tell at once is lost costs time alone.
    pub(super) fn tell(&self, slot: usize, top: &Shortlist) {
        if let (Some(own), Some(floor)) = (top.floor(), self.floors.get(slot))
            && own > f32::from_bits(floor.load(Ordering::Relaxed))
        {
            floor.store(own.to_bits(), Ordering::Relaxed);
        }
    }

    /// Returns the least value of a row's bound (see [`super::sieve::Block`]) with which it can still reach the
    /// floor of a query.
    pub(super) fn least(&self, length: f32, floor: Option<f32>) -> f32 {
        let Some(floor) = floor.filter(|_| USUAL.contains(&length)) else {
            return f32::NEG_INFINITY;
        };
        match self.scan.metric {
            Metric::Cosine => floor,
            Metric::Dot => floor / length,
            // floor is minus a distance: |q|² - floor² <= 2qb - |b|², and what rounding may change.
            Metric::Euclidean => {
                length * length * (1.0 - self.margin) - floor * floor * (1.0 + self.margin)
            }
        }
    }

    /// Puts together what the threads found.
    pub(super) fn collect(&self, parts: Vec<Part>) -> Found {
        let mut found = Found {
            neighbours: vec![Vec::new(); self.total],
            unranked_queries: self.unranked.clone(),
            ..Found::default()
        };
        let mut tops = vec![Shortlist::new(self.scan.k); self.numbers.len()];
        for part in parts {
            found.zero_rows += part.zero_rows;
            found.not_finite_rows += part.not_finite_rows;
            for (top, other) in tops.iter_mut().zip(part.tops) {
                top.merge(other);
            }
        }
        for (number, top) in self.numbers.iter().zip(tops) {
            if let Some(neighbours) = found.neighbours.get_mut(*number) {
                *neighbours = top.into_sorted();
            }
        }
        found
    }
}

/// Returns a bound of what the roundings of two sums of so many products, and of the few steps around
/// them, can differ by, as a share of the product of the lengths.
#[expect(
    clippy::cast_precision_loss,
    reason = "dimensions are far below the 16 million an f32 counts"
)]
fn margin(dimensions: usize) -> f32 {
    (2 * dimensions + 64) as f32 * (f32::EPSILON / 2.0)
}
