//! A histogram of durations that any thread can add to without waiting.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Counts durations in microseconds by upper bounds.
#[derive(Debug)]
pub(super) struct Histogram<const BUCKETS: usize> {
    /// Invariant: ascending.
    bounds_us: [u64; BUCKETS],
    /// Of each bucket alone, not yet added up.
    counts: [AtomicU64; BUCKETS],
    /// Of what is above the last bound.
    above: AtomicU64,
    sum_us: AtomicU64,
}

impl<const BUCKETS: usize> Histogram<BUCKETS> {
    pub(super) fn new(bounds_us: [u64; BUCKETS]) -> Self {
        Self {
            bounds_us,
            counts: std::array::from_fn(|_| AtomicU64::new(0)),
            above: AtomicU64::new(0),
            sum_us: AtomicU64::new(0),
        }
    }

    pub(super) fn add(&self, duration_us: u64) {
        let mut buckets = self.bounds_us.iter().zip(&self.counts);
        let bucket = buckets.find(|(bound, _)| duration_us <= **bound);
        bucket
            .map_or(&self.above, |(_, count)| count)
            .fetch_add(1, Relaxed);
        self.sum_us.fetch_add(duration_us, Relaxed);
    }

    /// Writes the histogram in Prometheus' text format, in seconds.
    pub(super) fn render(&self, name: &str, help: &str, text: &mut String) {
        // Writing to a `String` cannot fail.
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} histogram");
        let mut total = 0;
        for (bound, count) in self.bounds_us.iter().zip(&self.counts) {
            total += count.load(Relaxed);
            let bound = seconds(*bound);
            let _ = writeln!(text, "{name}_bucket{{le=\"{bound}\"}} {total}");
        }
        total += self.above.load(Relaxed);
        let sum = seconds(self.sum_us.load(Relaxed));
        let _ = writeln!(
            text,
            "{name}_bucket{{le=\"+Inf\"}} {total}\n{name}_sum {sum}\n{name}_count {total}"
        );
    }
}

/// Returns microseconds as decimal seconds, exact.
pub(super) fn seconds(micros: u64) -> String {
    let text = format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::{Histogram, seconds};
    use expect_test::expect;

    #[test]
    fn buckets_add_up() {
        let histogram = Histogram::new([100, 1_000, 10_000]);
        for duration in [50, 100, 101, 5_000, 20_000] {
            histogram.add(duration);
        }
        let mut text = String::new();
        histogram.render("x_seconds", "How long.", &mut text);
        expect![[r#"
            # HELP x_seconds How long.
            # TYPE x_seconds histogram
            x_seconds_bucket{le="0.0001"} 2
            x_seconds_bucket{le="0.001"} 3
            x_seconds_bucket{le="0.01"} 4
            x_seconds_bucket{le="+Inf"} 5
            x_seconds_sum 0.025251
            x_seconds_count 5
        "#]]
        .assert_eq(&text);
    }

    #[test]
    fn seconds_are_exact() {
        for (micros, text) in [
            (0, "0"),
            (1, "0.000001"),
            (1_500_000, "1.5"),
            (10_000_000, "10"),
        ] {
            assert_eq!(seconds(micros), text);
        }
    }
}
