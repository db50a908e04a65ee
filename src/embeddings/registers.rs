//! The wide vectors of the processor: how our own loops get to use them, and what products of matrices leave
//! behind in them.

use faer::traits::ComplexField;
use std::hint::black_box;

/// Cleans up after a product of matrices, which leaves the upper parts of the vector registers in use.
/// Until they are cleared, code that knows only their lower parts, as all of this program does, takes
/// several times as long. A function made for wide vectors clears them when it returns.
pub(crate) fn leave_wide_vectors() {
    <f32 as ComplexField>::Arch::default().dispatch(|| {
        let (left, right) = (black_box([1.0_f32; 16]), black_box([1.0_f32; 16]));
        let mut sums = [0.0_f32; 16];
        for ((sum, left), right) in sums.iter_mut().zip(left).zip(right) {
            *sum = left + right;
        }
        black_box(sums);
    });
}

/// Returns `value`, which a product or a factorisation gave, after [`leave_wide_vectors`].
pub(crate) fn settled<T>(value: T) -> T {
    leave_wide_vectors();
    value
}

/// Runs `work`, compiled for the widest vectors this processor has. What it computes stays the same, bit for bit:
/// a compiler does not reorder or fuse what floats are computed by. Give it a closure marked `#[inline(always)]`
/// that calls nothing that is not: what is called, and not written out, is compiled for narrow ones.
#[inline(always)]
pub(crate) fn wide<T>(work: impl FnOnce() -> T) -> T {
    <f32 as ComplexField>::Arch::default().dispatch(work)
}
