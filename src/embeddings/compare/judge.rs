//! What came of the gates: a gate is decided by the end of a figure's interval, never by its middle.

use super::gate::{Gate, Subject};
use super::report::{Figure, GateOutcome, GateResult, Noise, Threshold};
use crate::stats::{Errors, Estimate, Interval, ScoreNoise, miller_cases, whole_cases};

/// What gates are held against.
pub(super) struct Findings<'a> {
    pub(super) figures: &'a [Figure],
    pub(super) noise: &'a [Noise],
    pub(super) thresholds: &'a [Threshold],
    pub(super) is_one_space: bool,
}

/// A figure as a gate sees it.
struct Seen {
    name: String,
    estimate: Estimate,
    /// From how many questions it is, when more of them would make it surer.
    questions: Option<usize>,
}

/// Returns what came of a gate.
pub(super) fn judge(gate: &Gate, findings: &Findings<'_>) -> GateResult {
    let (outcome, reason, more_queries) = match findings.look(&gate.subject) {
        Ok(seen) => decide(gate, &seen),
        Err(missing) => (GateOutcome::CannotDecide, missing, None),
    };
    GateResult {
        gate: gate.to_string(),
        outcome,
        reason,
        more_queries,
    }
}

/// Returns the exit code of a comparison with gates: 0 when all hold, 1 when one fails, 2 when none fails but
/// one cannot be decided.
#[must_use]
pub fn exit_code(gates: &[GateResult]) -> u8 {
    let has = |outcome: GateOutcome| gates.iter().any(|gate| gate.outcome == outcome);
    if has(GateOutcome::Failed) {
        1
    } else if has(GateOutcome::CannotDecide) {
        2
    } else {
        0
    }
}

fn decide(gate: &Gate, seen: &Seen) -> (GateOutcome, String, Option<u64>) {
    let Interval { low, high } = seen.estimate.interval;
    let limit = gate.limit;
    let width = high - low;
    let shown = if width <= 0.0 {
        format!("{} is {:.4}", seen.name, seen.estimate.value)
    } else {
        format!(
            "{} is {:.4} [{low:.4}, {high:.4}]",
            seen.name, seen.estimate.value
        )
    };
    let outcome = gate.outcome(seen.estimate.interval);
    if outcome != GateOutcome::CannotDecide {
        return (outcome, shown, None);
    }
    let more = seen
        .questions
        .and_then(|asked| more(seen.estimate, limit, asked));
    let hint = more.map_or(String::new(), |more| {
        format!("; about {more} more queries would decide")
    });
    (
        outcome,
        format!("{shown}, and {limit} lies within{hint}"),
        more,
    )
}

/// How many more questions bring the interval's end past the limit in four of five cases; `None` when the
/// figure lies so near the limit that no number would.
pub(super) fn more(estimate: Estimate, limit: f64, asked: usize) -> Option<u64> {
    const LARGEST: u64 = 10_000_000;
    let half = estimate.interval.width() / 2.0;
    let variance = (half / 1.96).powi(2) * asked as f64;
    let noise = ScoreNoise {
        between: variance,
        within_baseline: 0.0,
        within_candidate: 0.0,
        repeats_baseline: 1,
        repeats_candidate: 1,
    };
    let cases = miller_cases(noise, estimate.value - limit, Errors::default())?;
    let more = whole_cases(cases)?.saturating_sub(asked as u64).max(1);
    (more <= LARGEST).then_some(more)
}

impl Findings<'_> {
    fn figure(&self, id: &str) -> Option<&Figure> {
        self.figures.iter().find(|figure| figure.id == id)
    }

    fn look(&self, subject: &Subject) -> Result<Seen, String> {
        match subject {
            Subject::Figure(id) => self.seen(id),
            Subject::Drop(id) => self.seen(id).map(|seen| Seen {
                name: format!("the drop of {}", seen.name),
                estimate: turned(seen.estimate, |value| -value),
                ..seen
            }),
            Subject::Change(name) => self.change(name),
            Subject::TopChanged => self.change("top1").map(|seen| Seen {
                name: "the share with another first answer".to_owned(),
                estimate: turned(seen.estimate, |value| 1.0 - value),
                ..seen
            }),
            Subject::NoiseFloor => self.noise_floor(),
            Subject::ThresholdShift => self.threshold_shift(),
            Subject::SpaceMismatch => Ok(Seen {
                name: "the number of spaces beside A's".to_owned(),
                estimate: super::figures::exactly(f64::from(!self.is_one_space)),
                questions: None,
            }),
        }
    }

    fn change(&self, name: &str) -> Result<Seen, String> {
        self.seen(&format!("query.{name}"))
            .or_else(|_| self.seen(&format!("item.{name}")))
    }

    fn seen(&self, id: &str) -> Result<Seen, String> {
        let missing = || match id.split('.').next() {
            Some("label") => "there are no labels of this length to judge it by".to_owned(),
            Some("query") => "there are no queries, or they have no lists so long".to_owned(),
            _ => format!("`{id}` was not computed for these snapshots"),
        };
        let figure = self.figure(id).ok_or_else(missing)?;
        Ok(Seen {
            name: id.to_owned(),
            estimate: figure.estimate,
            questions: figure.has_interval.then_some(figure.n),
        })
    }

    fn noise_floor(&self) -> Result<Seen, String> {
        let lowest = self.noise.iter().min_by(|one, other| {
            let (one, other) = (one.overlap.value, other.overlap.value);
            one.total_cmp(&other)
        });
        let lowest = lowest.ok_or("the provider's noise was measured for neither side")?;
        Ok(Seen {
            name: "the noise floor".to_owned(),
            estimate: lowest.overlap,
            questions: Some(lowest.texts),
        })
    }

    fn threshold_shift(&self) -> Result<Seen, String> {
        let shift = |row: &Threshold| (row.b - row.a).abs();
        let rows = self.thresholds.iter();
        let largest = rows.max_by(|one, other| shift(one).total_cmp(&shift(other)));
        let row = largest.ok_or("there is no threshold map without queries")?;
        let [low, high] = row.b_interval.map(|b| b - row.a);
        let nearest = if low <= 0.0 && 0.0 <= high {
            0.0
        } else {
            low.abs().min(high.abs())
        };
        Ok(Seen {
            name: format!("the shift of {:.2}", row.a),
            estimate: Estimate {
                value: shift(row),
                interval: Interval {
                    low: nearest.min(shift(row)),
                    high: low.abs().max(high.abs()).max(shift(row)),
                },
            },
            questions: None,
        })
    }
}

/// The estimate of the mirrored quantity.
fn turned(estimate: Estimate, turn: impl Fn(f64) -> f64) -> Estimate {
    Estimate {
        value: turn(estimate.value),
        interval: Interval {
            low: turn(estimate.interval.high),
            high: turn(estimate.interval.low),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::{Findings, exit_code, judge};
    use crate::embeddings::compare::figures::figure;
    use crate::embeddings::compare::report::{Figure, FigureGroup, GateOutcome, Noise, Threshold};
    use crate::stats::{Estimate, Interval};

    fn estimate(value: f64, low: f64, high: f64) -> Estimate {
        Estimate {
            value,
            interval: Interval { low, high },
        }
    }

    fn found(id: &str, value: f64, low: f64, high: f64, n: usize) -> Figure {
        Figure {
            estimate: estimate(value, low, high),
            has_interval: true,
            n,
            ..figure(id, id, FigureGroup::Queries)
        }
    }

    const PASS: GateOutcome = GateOutcome::Passed;
    const FAIL: GateOutcome = GateOutcome::Failed;
    const OPEN: GateOutcome = GateOutcome::CannotDecide;

    /// Gates, and what the figures below make of them.
    const ENDS: [(&str, GateOutcome); 22] = [
        ("overlap@10 < 0.90", PASS),
        ("overlap@10 < 0.95", OPEN),
        ("overlap@10 < 0.98", FAIL),
        ("query-overlap@10 <= 0.97", FAIL),
        ("item-overlap@10 < 0.1", OPEN),
        ("overlap@20 < 0.1", OPEN),
        ("ndcg@10 drop > 0.05", PASS),
        ("ndcg@10 drop > 0.02", OPEN),
        ("ndcg@10 drop > 0.005 significant", FAIL),
        ("recall@10 drop > 0.005", OPEN),
        ("lost-hits > 5", FAIL),
        ("lost-hits > 6", PASS),
        ("top1-changed > 20%", PASS),
        ("top1-changed > 15%", OPEN),
        ("top1-changed > 10%", FAIL),
        ("noise-floor < 0.97", PASS),
        ("noise-floor < 0.99", OPEN),
        ("noise-floor < 0.999", FAIL),
        ("threshold-shift > 0.07", PASS),
        ("threshold-shift > 0.05", OPEN),
        ("threshold-shift > 0.02 unmapped", FAIL),
        ("space-mismatch", FAIL),
    ];

    #[test]
    fn every_gate_has_three_ends() {
        let figures = [
            found("query.overlap@10", 0.94, 0.91, 0.97, 400),
            found("query.top1", 0.85, 0.82, 0.88, 400),
            found("label.ndcg@10.delta", -0.02, -0.03, -0.01, 400),
            found("label.lost", 6.0, 6.0, 6.0, 400),
        ];
        let noise = [Noise {
            side: 0,
            texts: 200,
            overlap: estimate(0.985, 0.98, 0.995),
            top1: 1.0,
            max_deviation: 1e-3,
        }];
        let thresholds = [Threshold {
            a: 0.5,
            b: 0.447,
            b_interval: [0.44, 0.455],
            per_query: 4.4,
            per_query_unchanged: 2.1,
            hits: None,
        }];
        let findings = Findings {
            figures: &figures,
            noise: &noise,
            thresholds: &thresholds,
            is_one_space: false,
        };
        for (gate, outcome) in ENDS {
            let result = judge(&gate.parse().unwrap(), &findings);
            assert_eq!(result.outcome, outcome, "{gate}: {}", result.reason);
        }
        let open_gate = judge(&"overlap@10 < 0.95".parse().unwrap(), &findings);
        assert_eq!(open_gate.more_queries, Some(6_956));
        let none = judge(&"recall@10 drop > 0.01".parse().unwrap(), &findings);
        assert!(none.reason.contains("no labels") && none.more_queries.is_none());
    }

    #[test]
    fn the_worst_gate_gives_the_exit_code() {
        let findings = Findings {
            figures: &[found("query.overlap@10", 0.94, 0.91, 0.97, 400)],
            noise: &[],
            thresholds: &[],
            is_one_space: true,
        };
        let judged = |gates: &[&str]| {
            let gates = gates
                .iter()
                .map(|gate| judge(&gate.parse().unwrap(), &findings));
            exit_code(&gates.collect::<Vec<_>>())
        };
        assert_eq!(judged(&[]), 0);
        assert_eq!(judged(&["space-mismatch", "overlap@10 < 0.9"]), 0);
        assert_eq!(judged(&["overlap@10 < 0.9", "overlap@10 < 0.95"]), 2);
        assert_eq!(judged(&["overlap@10 < 0.95", "overlap@10 < 0.98"]), 1);
        assert_eq!(judged(&["noise-floor < 0.9"]), 2);
        assert_eq!(judged(&["threshold-shift > 0.1"]), 2);
    }
}
