//! Hourly sums, made while calls are indexed, so that no report reads single calls.

use crate::domain::CallState;
use crate::store::row::CallRow;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Microseconds in an hour.
pub(super) const HOUR_US: i64 = 3_600_000_000;
/// Cells per doubling of the latency histogram: a quantile is right to about 3 %.
const CELLS_PER_DOUBLING: u32 = 16;

/// What a sum is kept apart by.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Group {
    /// Hours since the Unix epoch in which the call began.
    pub(super) hour: u32,
    /// The prompt.
    pub(super) prompt: Option<String>,
    /// The prompt's version, `v7` or a short hash.
    pub(super) version: Option<String>,
    /// The model asked of the provider.
    pub(super) model: String,
    /// The provider.
    pub(super) provider: String,
    /// The key.
    pub(super) key: Option<String>,
    /// How it ended.
    pub(super) state: CallState,
}

impl Group {
    /// Returns the group of an ended call.
    pub(super) fn of(row: &CallRow) -> Option<Self> {
        Some(Self {
            hour: hour_of(row.started.0),
            prompt: row.prompt.as_ref().map(|key| key.as_str().to_owned()),
            version: row.version(),
            model: row.model.clone(),
            provider: row.provider.clone(),
            key: row.key.as_ref().map(|key| key.0.clone()),
            state: row.state?,
        })
    }
}

/// Returns the hour of a time in microseconds.
pub(super) fn hour_of(micros: i64) -> u32 {
    u32::try_from(micros.div_euclid(HOUR_US).max(0)).unwrap_or(u32::MAX)
}

/// The sums of a group.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Sums {
    /// Calls.
    pub(super) calls: u64,
    /// Tokens that went in.
    pub(super) input_tokens: u64,
    /// Of these, from the provider's cache.
    pub(super) cached_tokens: u64,
    /// Tokens that came out.
    pub(super) output_tokens: u64,
    /// The sum of the known costs, in pico-dollars.
    pub(super) cost_pico_usd: u64,
    /// Calls whose cost is not known.
    pub(super) calls_without_cost: u64,
    /// How long calls took.
    pub(super) latency: Histogram,
    /// How long streams took to their first content.
    pub(super) first_content: Histogram,
}

impl Sums {
    /// Adds a call.
    pub(super) fn add(&mut self, row: &CallRow) {
        self.calls += 1;
        self.input_tokens += row.input_tokens.unwrap_or(0);
        self.cached_tokens += row.cached_tokens.unwrap_or(0);
        self.output_tokens += row.output_tokens.unwrap_or(0);
        match row.cost {
            Some(cost) => self.cost_pico_usd = self.cost_pico_usd.saturating_add(cost.0),
            None => self.calls_without_cost += 1,
        }
        // How long a call took that a crash ended is not known.
        let is_timed = row.state != Some(CallState::CrashRecovered);
        if let Some(total_us) = row.total_us.filter(|_| is_timed) {
            self.latency.add(total_us);
        }
        if let Some(first_us) = row.first_content_us {
            self.first_content.add(first_us);
        }
    }

    /// Adds the sums of another group.
    pub(super) fn merge(&mut self, other: &Self) {
        self.calls += other.calls;
        self.input_tokens += other.input_tokens;
        self.cached_tokens += other.cached_tokens;
        self.output_tokens += other.output_tokens;
        self.cost_pico_usd = self.cost_pico_usd.saturating_add(other.cost_pico_usd);
        self.calls_without_cost += other.calls_without_cost;
        self.latency.merge(&other.latency);
        self.first_content.merge(&other.first_content);
    }
}

/// Counts by logarithmic cells of microseconds; exact below 16.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Histogram(BTreeMap<u16, u64>);

impl Histogram {
    fn add(&mut self, micros: u64) {
        *self.0.entry(cell_of(micros)).or_default() += 1;
    }

    fn merge(&mut self, other: &Self) {
        for (cell, count) in &other.0 {
            *self.0.entry(*cell).or_default() += count;
        }
    }

    /// Returns the microseconds below or at which `permille` of the counted lie (the nearest rank,
    /// at the middle of its cell); `None` when nothing was counted.
    pub(super) fn quantile(&self, permille: u64) -> Option<u64> {
        let total: u64 = self.0.values().sum();
        let rank = (total * permille).div_ceil(1000).max(1);
        let mut seen = 0;
        for (cell, count) in &self.0 {
            seen += count;
            if rank <= seen {
                return Some(middle_of(*cell));
            }
        }
        None
    }
}

fn cell_of(micros: u64) -> u16 {
    let Some(doublings) = micros.checked_ilog2().and_then(|log| log.checked_sub(4)) else {
        return u16::try_from(micros).unwrap_or(0);
    };
    let within = u32::try_from(micros >> doublings).unwrap_or(0);
    // `within` is 16 to 31, so the cells follow those of 0 to 15.
    u16::try_from(doublings * CELLS_PER_DOUBLING + within).unwrap_or(u16::MAX)
}

fn middle_of(cell: u16) -> u64 {
    let cell = u64::from(cell);
    let per_doubling = u64::from(CELLS_PER_DOUBLING);
    let Some(above) = cell.checked_sub(per_doubling) else {
        return cell;
    };
    let doublings = above / per_doubling;
    let within = above % per_doubling + per_doubling;
    (within << doublings) + ((1 << doublings) >> 1)
}

#[cfg(test)]
mod tests {
    use super::{Histogram, cell_of, hour_of, middle_of};

    #[test]
    fn cells_ascend_without_holes_and_hold_their_middle() {
        let mut last = 0;
        for micros in 0..200_000 {
            let cell = cell_of(micros);
            assert!(cell == last || cell == last + 1, "{micros}");
            last = cell;
        }
        for micros in [0, 15, 16, 31, 32, 1000, 123_456, u64::MAX / 2, u64::MAX] {
            let cell = cell_of(micros);
            let middle = middle_of(cell);
            assert_eq!(cell_of(middle), cell, "{micros}");
            assert!(middle.abs_diff(micros) <= micros / 30, "{micros} {middle}");
        }
    }

    #[test]
    fn quantiles_are_nearest_ranks() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.quantile(500), None);
        for micros in 1..=10 {
            histogram.add(micros);
        }
        assert_eq!(histogram.quantile(500), Some(5));
        assert_eq!(histogram.quantile(950), Some(10));
        assert_eq!(histogram.quantile(0), Some(1));
    }

    #[test]
    fn hours_count_from_the_epoch() {
        assert_eq!(hour_of(3_599_999_999), 0);
        assert_eq!(hour_of(3_600_000_000), 1);
        assert_eq!(hour_of(-1), 0);
    }
}
