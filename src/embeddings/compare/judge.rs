//! What came of the gates: a gate is decided by the end of a figure's interval, never by its middle.

use super::figures::exactly;
use super::gate::{Gate, Subject};
use super::interval::cases_for;
use super::report::{Figure, GateOutcome, GateResult, Noise, Threshold};
use crate::stats::{Errors, Estimate, Interval, ScoreNoise, miller_cases, whole_cases};

/// How sure an interval is.
const CONFIDENCE: f64 = 0.95;

/// What gates are held against.
pub(super) struct Findings<'a> {
    pub(super) figures: &'a [Figure],
    pub(super) noise: &'a [Noise],
    pub(super) thresholds: &'a [Threshold],
    pub(super) is_one_space: bool,
    /// The length of the headline's lists.
    pub(super) k: usize,
    /// How many items are compared.
    pub(super) base: usize,
    /// How many labels point at nothing that is compared.
    pub(super) lost_labels: usize,
}

/// A figure as a gate sees it.
struct Seen {
    name: String,
    estimate: Estimate,
    /// From how many questions it is, when more of them would make it surer.
    questions: Option<usize>,
    /// Whether no question said anything but 0.
    is_tied: bool,
    /// What chance alone gives, where the figure is no more than that.
    chance: Option<f64>,
}

impl Seen {
    const fn whole(name: String, estimate: Estimate) -> Self {
        Self {
            name,
            estimate,
            questions: None,
            is_tied: false,
            chance: None,
        }
    }
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
    let by_chance = seen.chance.filter(|chance| gate.is_met_by_chance(*chance));
    if let (GateOutcome::Passed, Some(chance)) = (outcome, by_chance) {
        let reason =
            format!("{shown}, as chance alone gives {chance:.4}: shorter lists (`-k`) would tell");
        return (GateOutcome::CannotDecide, reason, None);
    }
    if outcome != GateOutcome::CannotDecide {
        return (outcome, shown, None);
    }
    let more = seen.questions.and_then(|asked| {
        if seen.is_tied {
            let cases = cases_for(limit.abs(), CONFIDENCE)?;
            return Some(cases.saturating_sub(asked as u64).max(1));
        }
        more(seen.estimate, limit, asked)
    });
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
fn more(estimate: Estimate, limit: f64, asked: usize) -> Option<u64> {
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
                chance: seen.chance.map(|chance| 1.0 - chance),
                ..seen
            }),
            Subject::NoiseFloor => self.noise_floor(),
            Subject::ThresholdShift => self.threshold_shift(),
            Subject::SpaceMismatch => Ok(Seen::whole(
                "the number of spaces beside A's".to_owned(),
                exactly(f64::from(!self.is_one_space)),
            )),
        }
    }

    fn change(&self, name: &str) -> Result<Seen, String> {
        self.seen(&format!("query.{name}"))
            .or_else(|_| self.seen(&format!("item.{name}")))
    }

    fn seen(&self, id: &str) -> Result<Seen, String> {
        let figure = self.figure(id).ok_or_else(|| self.missing(id))?;
        let is_of_chance = |chance: &f64| figure.estimate.interval.low <= *chance;
        Ok(Seen {
            name: id.to_owned(),
            estimate: figure.estimate,
            questions: figure.has_interval.then_some(figure.n),
            is_tied: figure
                .win_loss_tie
                .is_some_and(|[.., tied]| tied == figure.n),
            chance: figure.chance.filter(is_of_chance),
        })
    }

    /// Why there is no such figure, and what would make it.
    fn missing(&self, id: &str) -> String {
        let has = |group: &str| {
            self.figures
                .iter()
                .any(|figure| figure.id.starts_with(group))
        };
        let group = id.split_once('.').map_or(id, |(group, _)| group);
        if !has(group) {
            return match group {
                "label" if 0 < self.lost_labels => format!(
                    "there is nothing to judge it by: none of the {} labels points at an item that is compared",
                    self.lost_labels
                ),
                "label" => "there are no labels to judge it by".to_owned(),
                "query" => "there are no queries".to_owned(),
                _ => format!("`{id}` was not computed for these snapshots"),
            };
        }
        let length = id.split_once('@').and_then(|(_, behind)| {
            let digits = behind.split_once('.').map_or(behind, |(digits, _)| digits);
            digits.parse::<usize>().ok()
        });
        match length {
            Some(length) if self.base <= length => format!(
                "no list is {length} long, since {} items are compared",
                self.base
            ),
            Some(length) if length != self.k => format!(
                "lists are judged at a length of {}, not {length}: say `-k {length}`",
                self.k
            ),
            _ => format!("`{id}` was not computed for these snapshots"),
        }
    }

    fn noise_floor(&self) -> Result<Seen, String> {
        let lowest = self.noise.iter().min_by(|one, other| {
            let (one, other) = (one.overlap.value, other.overlap.value);
            one.total_cmp(&other)
        });
        let lowest = lowest.ok_or("the provider's noise was measured for neither side")?;
        Ok(Seen {
            questions: Some(lowest.texts),
            ..Seen::whole("the noise floor".to_owned(), lowest.overlap)
        })
    }

    /// The largest shift of all rows: at least that of the row that surely moved most, at most that of the row that
    /// may have. The row with the largest shift is often but the noisiest.
    fn threshold_shift(&self) -> Result<Seen, String> {
        let rows = self.thresholds.iter().map(|row| (row.a, shift(row)));
        let by_low = |one: &(f64, Estimate), other: &(f64, Estimate)| {
            let least = one.1.interval.low.total_cmp(&other.1.interval.low);
            least.then(one.1.value.total_cmp(&other.1.value))
        };
        let (a, surest) = rows
            .clone()
            .max_by(by_low)
            .ok_or("there is no threshold map without queries")?;
        let high = rows.map(|(_, shift)| shift.interval.high);
        Ok(Seen::whole(
            format!("the shift of {a:.2}"),
            Estimate {
                value: surest.value,
                interval: Interval {
                    low: surest.interval.low,
                    high: high.fold(surest.interval.high, f64::max),
                },
            },
        ))
    }
}

/// How far a threshold moves, either way.
fn shift(row: &Threshold) -> Estimate {
    let value = (row.b - row.a).abs();
    let [low, high] = row.b_interval.map(|b| b - row.a);
    let nearest = if low <= 0.0 && 0.0 <= high {
        0.0
    } else {
        low.abs().min(high.abs())
    };
    Estimate {
        value,
        interval: Interval {
            low: nearest.min(value),
            high: low.abs().max(high.abs()).max(value),
        },
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

    /// Figures of two spaces, and nothing else.
    fn of(figures: &[Figure]) -> Findings<'_> {
        Findings {
            figures,
            noise: &[],
            thresholds: &[],
            is_one_space: false,
            k: 10,
            base: 1_000,
            lost_labels: 0,
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
            has_more_unchanged: false,
            hits: None,
        }];
        let findings = Findings {
            noise: &noise,
            thresholds: &thresholds,
            ..of(&figures)
        };
        for (gate, outcome) in ENDS {
            let result = judge(&gate.parse().unwrap(), &findings);
            assert_eq!(result.outcome, outcome, "{gate}: {}", result.reason);
        }
        let open_gate = judge(&"overlap@10 < 0.95".parse().unwrap(), &findings);
        assert_eq!(open_gate.more_queries, Some(6_956));
        let none = judge(&"recall@10 drop > 0.01".parse().unwrap(), &findings);
        assert!(none.reason.contains("was not computed"));
        assert!(none.more_queries.is_none());
    }

    #[test]
    fn the_worst_gate_gives_the_exit_code() {
        let figures = [found("query.overlap@10", 0.94, 0.91, 0.97, 400)];
        let findings = Findings {
            is_one_space: true,
            ..of(&figures)
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

    /// Of 3 pairs nobody knows how far they moved, however far they seem to have.
    #[test]
    fn a_threshold_that_surely_moved_decides() {
        let row = |a: f64, b: f64, b_interval: [f64; 2]| Threshold {
            a,
            b,
            b_interval,
            per_query: 1.0,
            per_query_unchanged: 1.0,
            has_more_unchanged: false,
            hits: None,
        };
        let thresholds = [
            row(0.85, 0.79, [0.7913, 0.85]),
            row(0.7, 0.651, [0.636, 0.663]),
            row(0.6, 0.57, [0.565, 0.575]),
        ];
        let findings = Findings {
            thresholds: &thresholds,
            ..of(&[])
        };
        for (gate, outcome) in [
            ("threshold-shift > 0.02", FAIL),
            ("threshold-shift > 0.05", OPEN),
            ("threshold-shift > 0.065", PASS),
        ] {
            let result = judge(&gate.parse().unwrap(), &findings);
            assert_eq!(result.outcome, outcome, "{gate}: {}", result.reason);
            assert!(
                result.reason.starts_with("the shift of 0.70 is 0.0490"),
                "{}",
                result.reason
            );
        }
    }

    #[test]
    fn chance_passes_no_gate() {
        let everything = Figure {
            chance: Some(1.0),
            ..found("item.overlap@8", 1.0, 1.0, 1.0, 9)
        };
        let first = Figure {
            chance: Some(0.125),
            ..found("item.top1", 0.2, 0.1, 0.3, 9)
        };
        let figures = [everything, first];
        let findings = of(&figures);
        for (gate, outcome) in [
            ("item-overlap@8 < 0.95", OPEN),
            ("overlap@8 < 0.95", OPEN),
            ("overlap@8 > 0.99", FAIL),
            ("top1-changed > 95%", OPEN),
            ("top1-changed > 60%", FAIL),
            ("top1 < 0.05", OPEN),
        ] {
            let result = judge(&gate.parse().unwrap(), &findings);
            assert_eq!(result.outcome, outcome, "{gate}: {}", result.reason);
        }
        let result = judge(&"overlap@8 < 0.95".parse().unwrap(), &findings);
        assert!(
            result.reason.contains("as chance alone gives 1.0000"),
            "{}",
            result.reason
        );
    }

    #[test]
    fn what_is_missing_comes_with_its_cure() {
        let figures = [
            found("query.overlap@10", 0.94, 0.91, 0.97, 400),
            found("label.ndcg@10.delta", 0.0, -0.3, 0.3, 10),
        ];
        let judged = Findings {
            k: 10,
            ..of(&figures)
        };
        let lost = Findings {
            lost_labels: 7,
            ..of(&[])
        };
        for (gate, findings, expected) in [
            ("ndcg@5 drop > 0.01", &judged, "say `-k 5`"),
            ("query-overlap@7 < 0.9", &judged, "say `-k 7`"),
            (
                "query-overlap@5000 < 0.9",
                &judged,
                "1000 items are compared",
            ),
            ("item-overlap@7 < 0.9", &judged, "was not computed"),
            ("ndcg@5 drop > 0.01", &lost, "none of the 7 labels points"),
            ("ndcg@5 drop > 0.01", &of(&[]), "there are no labels"),
        ] {
            let result = judge(&gate.parse().unwrap(), findings);
            assert_eq!(result.outcome, OPEN);
            assert!(result.reason.contains(expected), "{}", result.reason);
        }
    }

    /// Ten queries that all tie leave 31 % unseen; 368 would leave a hundredth.
    #[test]
    fn ties_say_how_many_of_them_would_do() {
        let tied = Figure {
            win_loss_tie: Some([0, 0, 10]),
            ..found("label.ndcg@10.delta", 0.0, -0.3085, 0.3085, 10)
        };
        let result = judge(&"ndcg@10 drop > 0.01".parse().unwrap(), &of(&[tied]));
        assert_eq!((result.outcome, result.more_queries), (OPEN, Some(358)));
    }
}
