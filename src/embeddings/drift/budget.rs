//! The budget of false alarms: how much chance a look at the traffic may take.
//!
//! Chance accrues with time and every look takes a part of what has accrued, so looking often costs
//! nothing but power. An alarm takes two hits, so over a month no more than half of what was spent is the
//! number of alarms that nothing caused, whether looks depend on each other or not.

use serde::{Deserialize, Serialize};

/// A month, in milliseconds.
const MONTH_MS: f64 = 30.0 * 86_400_000.0;
/// How many hits raise an alarm.
const HITS: usize = 2;
/// Among how many windows that follow each other.
const AMONG: usize = 3;
/// The most that is held: a quiet week does not buy one careless look.
const MOST_HELD: f64 = 0.1;
/// The part of it that one look takes.
const PART: f64 = 0.5;
/// Below this a look is not worth its work: no permutation test of a usual size could hit.
const LEAST: f64 = 0.001;

/// What may still be spent, and what was seen lately.
///
/// A budget begins full, which adds 0.05 false alarms to those of the first month.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Budget {
    alarms_per_month: f64,
    held: f64,
    /// When it accrued last, in Unix milliseconds.
    at_ms: i64,
    /// Whether the newest windows hit, the newest last.
    hits: Vec<bool>,
}

/// What a look came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// Nothing was seen.
    Quiet,
    /// A window hit; an alarm takes another one among the next two.
    Suspected,
    /// Two of three windows hit.
    Alarm,
}

impl Budget {
    /// Returns a full budget of so many expected false alarms a month; `None` when that is not a number
    /// above 0 and up to 100.
    #[must_use]
    pub fn new(alarms_per_month: f64, now_ms: i64) -> Option<Self> {
        let is_meant = 0.0 < alarms_per_month && alarms_per_month <= 100.0;
        is_meant.then_some(Self {
            alarms_per_month,
            held: MOST_HELD,
            at_ms: now_ms,
            hits: Vec::new(),
        })
    }

    /// Returns how many false alarms a month are expected at most.
    #[must_use]
    pub const fn alarms_per_month(&self) -> f64 {
        self.alarms_per_month
    }

    /// Takes the chance of a false hit that a look at this time may have; `None`, and nothing is taken, when
    /// too little has accrued.
    pub fn spend(&mut self, now_ms: i64) -> Option<f64> {
        self.accrue(now_ms);
        let alpha = self.held * PART;
        if alpha < LEAST {
            return None;
        }
        self.held -= alpha;
        Some(alpha)
    }

    /// Returns how many milliseconds it takes until a look may be made again; 0 when it may be made now.
    #[must_use]
    pub fn wait_ms(&self, now_ms: i64) -> f64 {
        let mut then = self.clone();
        then.accrue(now_ms);
        (LEAST / PART - then.held).max(0.0) / self.rate()
    }

    /// Counts whether a window hit.
    pub fn count(&mut self, is_hit: bool) -> Standing {
        self.hits.push(is_hit);
        if AMONG < self.hits.len() {
            self.hits.remove(0);
        }
        let hits = self.hits.iter().filter(|is_hit| **is_hit).count();
        if hits < HITS {
            return if is_hit {
                Standing::Suspected
            } else {
                Standing::Quiet
            };
        }
        // Each hit counts for one alarm.
        self.hits.clear();
        Standing::Alarm
    }

    /// Forgets which windows hit: the reference is another one now.
    pub fn forget(&mut self) {
        self.hits.clear();
    }

    /// How much chance accrues in a millisecond.
    fn rate(&self) -> f64 {
        self.alarms_per_month * HITS as f64 / MONTH_MS
    }

    fn accrue(&mut self, now_ms: i64) {
        // A clock that was set back gives nothing.
        let passed = now_ms.saturating_sub(self.at_ms).max(0) as f64;
        self.held = (self.held + passed * self.rate()).min(MOST_HELD);
        self.at_ms = self.at_ms.max(now_ms);
    }
}

#[cfg(test)]
mod tests {
    use super::{Budget, Standing};
    use crate::stats::Random;

    const MINUTE: i64 = 60_000;
    const MONTH: i64 = 30 * 24 * 60 * MINUTE;

    #[test]
    fn a_month_spends_twice_its_alarms_however_often_one_looks() {
        for every in [MINUTE, 10 * MINUTE, 60 * MINUTE, 24 * 60 * MINUTE] {
            let mut budget = Budget::new(1.0, 0).unwrap();
            let looks = (0..MONTH / every).filter_map(|look| budget.spend(look * every));
            let spent: f64 = looks.sum();
            assert!(spent <= 2.1 + 1e-9, "{every} ms: {spent}");
            assert!(1.2 < spent, "{every} ms: {spent}");
        }
    }

    #[test]
    fn windows_that_hit_by_chance_alarm_no_more_than_the_budget() {
        let mut random = Random::from_seed(7);
        let mut alarms = 0_u32;
        let months = 200_u32;
        let mut budget = Budget::new(1.0, 0).unwrap();
        for look in 0..i64::from(months) * 720 {
            let Some(alpha) = budget.spend(look * 60 * MINUTE) else {
                continue;
            };
            // The worst case: neighbours hit together.
            let is_hit = random.happens(alpha / 2.0);
            for _ in 0..2 {
                alarms += u32::from(budget.count(is_hit) == Standing::Alarm);
            }
        }
        assert!(alarms <= months, "{alarms} alarms in {months} months");
        assert!(0 < alarms);
    }

    #[test]
    fn two_of_three_windows_raise_an_alarm_and_are_used_up() {
        let mut budget = Budget::new(1.0, 0).unwrap();
        let seen: Vec<Standing> = [true, false, false, true, false, true, true, true]
            .into_iter()
            .map(|is_hit| budget.count(is_hit))
            .collect();
        assert_eq!(
            seen,
            [
                Standing::Suspected,
                Standing::Quiet,
                Standing::Quiet,
                Standing::Suspected,
                Standing::Quiet,
                Standing::Alarm,
                Standing::Suspected,
                Standing::Alarm
            ]
        );
    }

    #[test]
    fn what_is_spent_comes_back_with_time() {
        let mut budget = Budget::new(1.0, 0).unwrap();
        let burst: Vec<f64> = std::iter::from_fn(|| budget.spend(0)).collect();
        assert_eq!(burst.first(), Some(&0.05));
        assert_eq!(burst.len(), 6);
        let wait = budget.wait_ms(0);
        assert!((0.0..30.0 * 60_000.0).contains(&wait), "{wait}");
        assert!(budget.spend(30 * MINUTE).is_some());
        assert_eq!(Budget::new(0.0, 0), None);
        assert_eq!(Budget::new(f64::NAN, 0), None);
    }
}
