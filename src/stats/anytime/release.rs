//! What to do with a canary, from the evidence so far: take it back, promote it, or go on watching.

use super::block::{BlockProcess, Direction};
use super::evidence::ToPromote;
use serde::{Deserialize, Serialize};

/// What is known of a canary.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Release {
    /// Whether something happened that needs no statistics: a leaked secret, a run of errors.
    pub has_hard_failure: bool,
    /// The evidence on each metric that may take the canary back.
    pub guards: Vec<BlockProcess>,
    /// The evidence on each metric that must not have become worse.
    pub gates: Vec<ToPromote>,
    /// Whether the canary has run long enough, and served enough, to be promoted: a day holds a cycle.
    pub is_ripe: bool,
    /// Whether its time or its budget is used up.
    pub is_over: bool,
    /// The chance of taking back a canary that is like its baseline, over all guards.
    pub rollback_alpha: f64,
    /// The chance of promoting a canary that is worse by a margin.
    pub promotion_alpha: f64,
}

/// What to do with a canary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Take it back.
    RollBack,
    /// Give it all traffic.
    Promote,
    /// Go on watching.
    Continue,
    /// Keep the baseline: the time is over and nothing is proven.
    Inconclusive,
}

/// Returns what to do: a hard failure comes first, then any guard that got worse, then promotion when
/// *every* gate holds.
///
/// The guards share their level, because any one of them acts; the gates need no sharing, because all
/// must hold. Without a gate nothing is promoted. Act on the first answer that is not
/// [`Step::Continue`]. `None` when a level is not between 0 and 1.
#[must_use]
pub fn release_step(release: &Release) -> Option<Step> {
    let levels = [release.rollback_alpha, release.promotion_alpha];
    if levels.iter().any(|alpha| !(0.0 < *alpha && *alpha < 1.0)) {
        return None;
    }
    let guard_alpha = release.rollback_alpha / release.guards.len().max(1) as f64;
    let is_worse = |guard: &BlockProcess| guard.direction(guard_alpha) == Some(Direction::Worse);
    let is_cleared = |gate: &ToPromote| gate.evidence >= 1.0 / release.promotion_alpha;
    let are_cleared = !release.gates.is_empty() && release.gates.iter().all(is_cleared);
    Some(
        if release.has_hard_failure || release.guards.iter().any(is_worse) {
            Step::RollBack
        } else if release.is_ripe && are_cleared {
            Step::Promote
        } else if release.is_over {
            Step::Inconclusive
        } else {
            Step::Continue
        },
    )
}

#[cfg(test)]
mod tests {
    use super::{Release, Step, release_step};
    use crate::stats::Passed;
    use crate::stats::anytime::{BlockProcess, non_inferiority_evidence};

    fn release() -> Release {
        let arm = Passed {
            successes: 950,
            total: 1_000,
        };
        Release {
            has_hard_failure: false,
            guards: vec![],
            gates: vec![non_inferiority_evidence(arm, arm, 0.05).unwrap()],
            is_ripe: true,
            is_over: false,
            rollback_alpha: 0.05,
            promotion_alpha: 0.05,
        }
    }

    /// The reference's canary, which is worth 42.87 after eight blocks.
    fn fallen() -> BlockProcess {
        let mut process = BlockProcess::new(1).unwrap();
        for canary in [false, true, false, false, true, false, false, false] {
            process.observe(canary, 1).unwrap();
        }
        process
    }

    #[test]
    fn the_first_rule_that_holds_decides() {
        let step = |change: fn(&mut Release)| {
            let mut release = release();
            change(&mut release);
            release_step(&release)
        };
        assert_eq!(step(|_| ()), Some(Step::Promote));
        assert_eq!(
            step(|release| release.has_hard_failure = true),
            Some(Step::RollBack)
        );
        assert_eq!(
            step(|release| release.guards.push(fallen())),
            Some(Step::RollBack)
        );
        assert_eq!(
            step(|release| release.is_ripe = false),
            Some(Step::Continue)
        );
        assert_eq!(step(|release| release.gates.clear()), Some(Step::Continue));
        assert_eq!(
            step(|release| release.gates[0].evidence = 19.0),
            Some(Step::Continue)
        );
        assert_eq!(
            step(|release| {
                release.gates.clear();
                release.is_over = true;
            }),
            Some(Step::Inconclusive)
        );
        assert_eq!(step(|release| release.promotion_alpha = 0.0), None);
    }

    #[test]
    fn guards_share_their_level() {
        let mut release = release();
        release.guards = vec![fallen(), BlockProcess::new(1).unwrap()];
        assert_eq!(
            release_step(&release),
            Some(Step::RollBack),
            "42.87 is more than 2/α"
        );
        release.guards.push(BlockProcess::new(1).unwrap());
        assert_eq!(
            release_step(&release),
            Some(Step::Promote),
            "42.87 is less than 3/α"
        );
    }
}
