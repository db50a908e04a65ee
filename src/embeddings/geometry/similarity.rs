//! How alike the shapes of A and B are, from their moments.
//!
//! These describe. None of them says whether answers became better or worse.

use crate::embeddings::geometry::dense::{dot, finite, form, squares_and_form};
use crate::embeddings::geometry::moments::{Kernels, Moments};
use crate::embeddings::geometry::shape::Shape;
use crate::embeddings::registers::settled;
use faer::Mat;

impl Moments {
    /// Returns the unbiased HSIC of A and B for linear kernels (Song and others, 2012). `None` with fewer
    /// than four pairs.
    #[must_use]
    pub fn hsic_debiased(&self) -> Option<f64> {
        let chained = form(&self.cross, &self.a.sum, &self.b.sum);
        Kernels {
            n: self.a.rows()?,
            cross: (dot(&self.cross, &self.cross), chained),
            x: (&self.a.sum, self.a.squares),
            y: (&self.b.sum, self.b.squares),
            by_other: (&self.a_by_b, &self.b_by_a),
            squares: self.squares,
        }
        .hsic()
    }

    /// Returns the linear CKA of A and B from unbiased HSIC: 1 when one is the other turned and scaled,
    /// about 0 (also below) for unrelated ones. It does not rise with the dimensions, as
    /// [`Self::cka_biased`] does.
    ///
    /// `None` with fewer than four pairs, or when a side has no spread to speak of.
    #[must_use]
    pub fn cka_debiased(&self) -> Option<f64> {
        let room = self.a.own_hsic()? * self.b.own_hsic()?;
        let value = finite(self.hsic_debiased()? / room.sqrt())?;
        (room > 0.0).then_some(value)
    }

    /// Returns the linear CKA of Kornblith and others (2019), which rises with d/n: 0 to 1. `None` without
    /// spread on a side.
    #[must_use]
    pub fn cka_biased(&self) -> Option<f64> {
        let cross = self.centred_cross()?.norm_l2();
        let room = self.a.centred()?.norm_l2() * self.b.centred()?.norm_l2();
        (room > 0.0).then(|| finite(cross * cross / room)).flatten()
    }

    /// Returns how well A, moved to its mean, turned and scaled, lies on B: ‖Aᶜ′Bᶜ‖_*/(‖Aᶜ‖·‖Bᶜ‖), 0 to 1.
    /// `None` without spread on a side.
    #[must_use]
    pub fn procrustes_similarity(&self) -> Option<f64> {
        let room = (self.a.spread()? * self.b.spread()?).sqrt();
        nuclear(&self.centred_cross()?, room)
    }

    /// Returns [`Self::procrustes_similarity`] without moving the sides to their means.
    #[must_use]
    pub fn procrustes_similarity_uncentred(&self) -> Option<f64> {
        let room = (self.a.squares * self.b.squares).sqrt();
        nuclear(&self.raw_cross().to_owned(), room)
    }

    /// Returns what Procrustes leaves of the squared distances, 1 − similarity²: 0 to 1. `None` as for
    /// [`Self::procrustes_similarity`].
    #[must_use]
    pub fn procrustes_disparity(&self) -> Option<f64> {
        self.procrustes_similarity()
            .map(|similarity| 1.0 - similarity * similarity)
    }

    /// Returns the correlations of the canonical directions of A and B (CCA), the largest first. `None`
    /// with fewer than 5·(dimensions of A and B together) pairs, where CCA is near 1 for anything.
    #[must_use]
    pub fn cca(&self) -> Option<Vec<f64>> {
        // Looked at first: what follows is the dearest of all figures.
        self.has_enough(self.a.dimensions() + self.b.dimensions())
            .then(|| self.canonical(1.0))?
            .map(|canonical| canonical.correlations)
    }

    /// Returns [`Self::cca`] between the fewest principal axes that hold this share of the variance
    /// (SVCCA; Raghu and others, 2017); usual is 0.99. `None` with fewer than 5·(axes) pairs.
    #[must_use]
    pub fn svcca(&self, share: f64) -> Option<Vec<f64>> {
        let canonical = self.canonical(share)?;
        self.has_enough(canonical.axes.0 + canonical.axes.1)
            .then_some(canonical.correlations)
    }

    /// CCA between the first principal axes, however few pairs there are.
    pub(super) fn canonical(&self, share: f64) -> Option<Canonical> {
        let (a, b) = (whitener(&self.a, share)?, whitener(&self.b, share)?);
        let whitened = settled(a.transpose() * self.centred_cross()? * &b);
        let correlations = whitened.singular_values().ok()?;
        Some(Canonical {
            axes: (a.ncols(), b.ncols()),
            correlations: correlations
                .into_iter()
                .map(|value| value.min(1.0))
                .collect(),
        })
    }

    fn has_enough(&self, dimensions: usize) -> bool {
        self.count() >= 5 * dimensions as u64
    }
}

/// Canonical correlations, and between how many axes of A and B.
pub(super) struct Canonical {
    pub(super) axes: (usize, usize),
    pub(super) correlations: Vec<f64>,
}

impl Shape {
    /// Unbiased HSIC of a side with itself.
    fn own_hsic(&self) -> Option<f64> {
        Kernels {
            n: self.rows()?,
            cross: squares_and_form(&self.products, &self.sum),
            x: (&self.sum, self.squares),
            y: (&self.sum, self.squares),
            by_other: (&self.by_square, &self.by_square),
            squares: self.fourths,
        }
        .hsic()
    }
}

/// Returns a figure of the moments of all folds together, and its standard error by leaving out one fold
/// at a time (Quenouille's jackknife): ten folds of random rows are usual.
///
/// `None` with fewer than two folds, folds of different dimensions, or when the figure is `None` anywhere.
#[must_use]
pub fn jackknife(
    folds: &[Moments],
    figure: impl Fn(&Moments) -> Option<f64>,
) -> Option<(f64, f64)> {
    let (first, others) = folds.split_first()?;
    let mut all = first.clone();
    for fold in others {
        all.merge(fold)?;
    }
    let mut without = Vec::with_capacity(folds.len());
    for fold in folds {
        // Taken out and put back: sums of many dimensions are large, and here are enough of them.
        all.remove(fold)?;
        without.push(figure(&all)?);
        all.merge(fold)?;
    }
    let count = without.len() as f64;
    let mean = without.iter().sum::<f64>() / count;
    let squares: f64 = without.iter().map(|value| (value - mean).powi(2)).sum();
    let error = ((count - 1.0) / count * squares).sqrt();
    (without.len() > 1).then_some((figure(&all)?, error))
}

fn nuclear(cross: &Mat<f64>, room: f64) -> Option<f64> {
    let sum: f64 = settled(cross.singular_values()).ok()?.iter().sum();
    (room > 0.0).then(|| finite(sum / room)).flatten()
}

/// The principal axes that hold the share of the variance, each over the root of what lies along it.
/// Axes without variance are left out.
fn whitener(shape: &Shape, share: f64) -> Option<Mat<f64>> {
    let split = settled(shape.centred()?.self_adjoint_eigen(faer::Side::Lower)).ok()?;
    let values: Vec<f64> = split.S().column_vector().iter().rev().copied().collect();
    let whole: f64 = values.iter().map(|value| value.max(0.0)).sum();
    let least = values.first().copied()? * 1e-12;
    let mut held = 0.0;
    let mut roots = Vec::new();
    for value in values {
        if value <= least || held >= share * whole {
            break;
        }
        held += value;
        roots.push(value.sqrt());
    }
    let axes = split.U().ncols();
    (!roots.is_empty()).then(|| {
        let roots = &roots;
        Mat::from_fn(axes, roots.len(), |row, column| {
            split.U()[(row, axes - 1 - column)] / roots.get(column).copied().unwrap_or(1.0)
        })
    })
}
