//! How tests compare figures.

/// Fails unless `actual` is `expected` to nine digits, as reference values are given.
#[track_caller]
pub(super) fn assert_close(actual: f64, expected: f64) {
    assert_within(actual, expected, 1e-9 * expected.abs().max(1.0));
}

/// Fails unless `actual` is no further than `tolerance` from `expected`.
#[track_caller]
pub(super) fn assert_within(actual: f64, expected: f64, tolerance: f64) {
    let distance = (actual - expected).abs();
    assert!(
        distance <= tolerance,
        "{actual} is {distance:e} away from {expected}, more than {tolerance:e}"
    );
}

/// Fails unless both ends are as expected to nine digits.
#[track_caller]
pub(super) fn assert_interval(actual: super::Interval, low: f64, high: f64) {
    assert_close(actual.low, low);
    assert_close(actual.high, high);
}
