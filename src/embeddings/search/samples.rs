//! Rows for tests: around a few centres, from a small generator of their own.

use crate::embeddings::Matrix;

/// Returns `count` rows around eight centres; the centres depend on the width alone.
pub(super) fn clustered(count: usize, width: usize, seed: u64) -> Matrix {
    let mut centres = numbers(1);
    let centres: Vec<f32> = (0..8 * width).map(|_| centres()).collect();
    let mut next = numbers(seed);
    let values = (0..count * width).map(|place| {
        let (row, column) = (place / width, place % width);
        centres[row % 8 * width + column] + 0.4 * next()
    });
    Matrix::new(width, values.collect()).unwrap()
}

/// Returns numbers from -1 to 1.
fn numbers(seed: u64) -> impl FnMut() -> f32 {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    move || {
        let next = state.wrapping_mul(6_364_136_223_846_793_005);
        state = next.wrapping_add(1_442_695_040_888_963_407);
        f32::from(u16::try_from(state >> 48).unwrap()) / 32_768.0 - 1.0
    }
}
