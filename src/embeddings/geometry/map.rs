//! A linear map from one space to another, as it is applied and kept.

use crate::embeddings::geometry::dense::{narrow, rows_of};
use crate::embeddings::registers::leave_wide_vectors;
use crate::embeddings::{Matrix, Rows};
use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, Par};
use half::f16;
use serde::{Deserialize, Serialize};

/// How a map was fitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MapKind {
    /// A turn.
    Procrustes,
    /// A turn around the means.
    CentredProcrustes,
    /// Least squares with a penalty.
    Ridge,
    /// [`Self::Ridge`] through fewer dimensions.
    LowRank,
}

/// x ↦ (x − mean of one space)·W + mean of the other, in `f32`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Stored", into = "Stored")]
pub struct LinearMap {
    kind: MapKind,
    /// Row by row: a row for each dimension it maps from.
    matrix: Vec<f32>,
    from_mean: Vec<f32>,
    to_mean: Vec<f32>,
    /// The mean of the one space, mapped: what is taken off at the end.
    offset: Vec<f32>,
    is_half: bool,
    is_renormalised: bool,
    lambda: Option<f64>,
}

/// A map in its parts, as files keep them.
#[derive(Debug, Clone, PartialEq)]
pub struct MapParts {
    /// How it was fitted.
    pub kind: MapKind,
    /// Row by row: a row for each dimension it maps from.
    pub matrix: Vec<f32>,
    /// The mean it maps from.
    pub from_mean: Vec<f32>,
    /// The mean it maps to.
    pub to_mean: Vec<f32>,
    /// Whether the matrix's values are of 16 bits.
    pub is_half: bool,
    /// Whether it gives rows of length 1.
    pub is_renormalised: bool,
    /// The penalty of a ridge.
    pub lambda: Option<f64>,
}

/// What a fit found, before it is rounded.
#[derive(Debug, Clone)]
pub(super) struct Fitted {
    pub(super) kind: MapKind,
    pub(super) matrix: Vec<f64>,
    pub(super) from_mean: Vec<f64>,
    pub(super) to_mean: Vec<f64>,
    pub(super) lambda: Option<f64>,
}

/// The layout of a map in a file.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Stored {
    kind: MapKind,
    from_mean: Vec<f32>,
    to_mean: Vec<f32>,
    matrix: Coefficients,
    renormalise: bool,
    lambda: Option<f64>,
}

/// W in one of two widths, row by row.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Coefficients {
    F32(Vec<f32>),
    /// The bits.
    F16(Vec<u16>),
}

/// A map's parts do not fit each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a map of {from} to {to} dimensions has {from}·{to} coefficients, not {found}")]
pub struct InvalidMap {
    from: usize,
    to: usize,
    found: usize,
}

impl LinearMap {
    /// Puts a map together.
    ///
    /// # Errors
    ///
    /// When the parts do not fit each other.
    pub fn from_parts(parts: MapParts) -> Result<Self, InvalidMap> {
        let (from, to) = (parts.from_mean.len(), parts.to_mean.len());
        if from == 0 || to == 0 || from.checked_mul(to) != Some(parts.matrix.len()) {
            let found = parts.matrix.len();
            return Err(InvalidMap { from, to, found });
        }
        Ok(Self {
            kind: parts.kind,
            offset: offset(&parts.matrix, &parts.from_mean, &parts.to_mean),
            matrix: parts.matrix,
            from_mean: parts.from_mean,
            to_mean: parts.to_mean,
            is_half: parts.is_half,
            is_renormalised: parts.is_renormalised,
            lambda: parts.lambda,
        })
    }

    /// Returns the coefficients, row by row: a row for each dimension it maps from.
    #[must_use]
    pub fn matrix(&self) -> &[f32] {
        &self.matrix
    }

    /// Returns the mean it maps from.
    #[must_use]
    pub fn from_mean(&self) -> &[f32] {
        &self.from_mean
    }

    /// Returns the mean it maps to.
    #[must_use]
    pub fn to_mean(&self) -> &[f32] {
        &self.to_mean
    }

    /// Returns whether the coefficients are of 16 bits.
    #[must_use]
    pub const fn is_half(&self) -> bool {
        self.is_half
    }

    /// Returns how the map was fitted.
    #[must_use]
    pub const fn kind(&self) -> MapKind {
        self.kind
    }

    /// Returns the dimensions it maps from.
    #[must_use]
    pub const fn from_dimensions(&self) -> usize {
        self.from_mean.len()
    }

    /// Returns the dimensions it maps to.
    #[must_use]
    pub const fn to_dimensions(&self) -> usize {
        self.to_mean.len()
    }

    /// Returns the penalty of a ridge.
    #[must_use]
    pub const fn lambda(&self) -> Option<f64> {
        self.lambda
    }

    /// Returns whether it gives rows of length 1.
    #[must_use]
    pub const fn is_renormalised(&self) -> bool {
        self.is_renormalised
    }

    /// Returns the map, giving rows of length 1 or not. Cosines do not care, dot products do.
    #[must_use]
    pub const fn renormalised(mut self, is_renormalised: bool) -> Self {
        self.is_renormalised = is_renormalised;
        self
    }

    /// Returns the map with coefficients of 16 bits: half the size, and cosines right to about 1e-6. It
    /// maps the same before and after it is stored. `None` when a coefficient is beyond their range.
    #[must_use]
    pub fn halved(&self) -> Option<Self> {
        let round = |value: &f32| f16::from_f32(*value).to_f32();
        let matrix: Vec<f32> = self.matrix.iter().map(round).collect();
        matrix
            .iter()
            .all(|value| value.is_finite())
            .then(|| Self::assemble(self, matrix))
    }

    /// Returns the rows, mapped; a zero row has no direction, and stays one. `None` when they are not of the
    /// dimensions it maps from.
    #[must_use]
    pub fn apply(&self, rows: &Matrix) -> Option<Matrix> {
        if rows.dimensions() != self.from_dimensions() {
            return None;
        }
        let size = self.to_dimensions();
        let mut mapped = vec![0.0_f32; rows.len() * size];
        matmul(
            MatMut::from_row_major_slice_mut(&mut mapped, rows.len(), size),
            Accum::Replace,
            rows_of(rows.values(), self.from_dimensions()),
            rows_of(&self.matrix, size),
            1.0,
            Par::Seq,
        );
        leave_wide_vectors();
        let given = rows.values().chunks_exact(self.from_dimensions());
        for (row, given) in mapped.chunks_exact_mut(size).zip(given) {
            if given.iter().all(|value| *value == 0.0) {
                continue;
            }
            for (value, offset) in row.iter_mut().zip(&self.offset) {
                *value += offset;
            }
            if self.is_renormalised {
                normalise(row);
            }
        }
        Matrix::new(size, mapped)
    }

    fn assemble(like: &Self, matrix: Vec<f32>) -> Self {
        let offset = offset(&matrix, &like.from_mean, &like.to_mean);
        Self {
            matrix,
            offset,
            is_half: true,
            ..like.clone()
        }
    }
}

impl Fitted {
    /// The map in `f32`; `None` when something is not finite.
    pub(super) fn into_map(self) -> Option<LinearMap> {
        let narrowed = |values: &[f64]| -> Option<Vec<f32>> {
            let values: Vec<f32> = values.iter().copied().map(narrow).collect();
            values
                .iter()
                .all(|value| value.is_finite())
                .then_some(values)
        };
        let (matrix, from_mean, to_mean) = (
            narrowed(&self.matrix)?,
            narrowed(&self.from_mean)?,
            narrowed(&self.to_mean)?,
        );
        Some(LinearMap {
            kind: self.kind,
            offset: offset(&matrix, &from_mean, &to_mean),
            matrix,
            from_mean,
            to_mean,
            is_half: false,
            is_renormalised: false,
            lambda: self.lambda,
        })
    }
}

impl From<LinearMap> for Stored {
    fn from(map: LinearMap) -> Self {
        let matrix = if map.is_half {
            let bits = map
                .matrix
                .iter()
                .map(|value| f16::from_f32(*value).to_bits());
            Coefficients::F16(bits.collect())
        } else {
            Coefficients::F32(map.matrix)
        };
        Self {
            kind: map.kind,
            from_mean: map.from_mean,
            to_mean: map.to_mean,
            matrix,
            renormalise: map.is_renormalised,
            lambda: map.lambda,
        }
    }
}

impl TryFrom<Stored> for LinearMap {
    type Error = InvalidMap;

    fn try_from(stored: Stored) -> Result<Self, InvalidMap> {
        let (matrix, is_half) = match stored.matrix {
            Coefficients::F32(values) => (values, false),
            Coefficients::F16(bits) => {
                let values = bits.into_iter().map(|bits| f16::from_bits(bits).to_f32());
                (values.collect(), true)
            }
        };
        Self::from_parts(MapParts {
            kind: stored.kind,
            matrix,
            from_mean: stored.from_mean,
            to_mean: stored.to_mean,
            is_half,
            is_renormalised: stored.renormalise,
            lambda: stored.lambda,
        })
    }
}

/// What a mapped row has to be moved by: the mean of the other space, less the mapped mean of the one.
fn offset(matrix: &[f32], from_mean: &[f32], to_mean: &[f32]) -> Vec<f32> {
    let mut offset: Vec<f64> = to_mean.iter().copied().map(f64::from).collect();
    for (row, mean) in matrix.chunks_exact(to_mean.len().max(1)).zip(from_mean) {
        for (sum, value) in offset.iter_mut().zip(row) {
            *sum -= f64::from(*mean) * f64::from(*value);
        }
    }
    offset.into_iter().map(narrow).collect()
}

/// Makes a row one of length 1; a zero row stays.
fn normalise(row: &mut [f32]) {
    let square: f64 = row.iter().map(|value| f64::from(*value).powi(2)).sum();
    if square > 0.0 {
        let scale = narrow(1.0 / square.sqrt());
        for value in row {
            *value *= scale;
        }
    }
}
