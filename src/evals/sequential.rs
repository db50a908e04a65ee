//! Base against head while the run goes on: whether what was answered so far decides a gate.
//!
//! The pairs are taken in an order that is drawn before anything is asked, each when its whole case is
//! there, however soon others come: what answers first must not be what is looked at first. On them run
//! the bets of [`stats::anytime`], which may be looked at after every pair. A case that could not be
//! judged counts against what a bet is to show. The same rows give the same decision, so that the report
//! finds again what ended the run.
//!
//! **Limits**: one model's `pass` with a `non_inferior` gate; cases that are independent of each other, so no
//! clusters, groups, conversations or stored answers; a base that is asked, not a baseline.
//!
//! [`stats::anytime`]: crate::stats::anytime

use crate::evals::digest::digest;
use crate::evals::grade::Mark;
use crate::evals::plan::{RunPlan, Side, SidePlan, Subject};
use crate::evals::row::Row;
use crate::evals::suite::{Case, Gate, GateKind, Stopping};
use crate::stats::anytime::MeanBet;
use std::collections::{HashMap, HashSet};

/// The metric of whole cases.
const PASS: &str = "pass";
/// How often a head that is like its base may be called worse on the way, over all its gates. The end has as much.
const WORSE_ALPHA: f64 = 0.025;

/// The share of a gate's `alpha` that either look has where there are two: on the way, and at the end.
pub(super) const SHARE_OF_ALPHA: f64 = 0.5;

/// Whether pairs may decide before all is asked.
pub(super) fn is_sequential(plan: &RunPlan) -> bool {
    let is_told = |side: &SidePlan| side.subjects.iter().any(Subject::uses_conversation);
    let is_alone = |case: &Case| {
        case.cluster.is_none() && case.group.is_none() && case.options.store_output_as.is_none()
    };
    plan.settings.stopping == Stopping::Decided
        && plan.settings.gates.iter().any(is_tested)
        && side(plan, Side::Base).is_some()
        && !plan.sides.iter().any(is_told)
        && plan
            .sides
            .iter()
            .all(|side| side.cases.iter().all(is_alone))
}

/// Whether a gate is one that pairs decide.
pub(super) fn is_tested(gate: &Gate) -> bool {
    gate.metric == PASS && matches!(gate.kind, GateKind::NonInferior { .. })
}

/// Returns head's cases in the order that is drawn: the same for the same suite.
pub(super) fn order(plan: &RunPlan) -> Vec<&Case> {
    let cases = side(plan, Side::Head).map(|side| side.cases.as_slice());
    let mut cases: Vec<&Case> = cases.unwrap_or_default().iter().collect();
    cases.sort_by_cached_key(|case| digest(&("order/1", &plan.suite_hash, &case.id)));
    cases
}

fn side(plan: &RunPlan, wanted: Side) -> Option<&SidePlan> {
    plan.sides.iter().find(|side| side.side == wanted)
}

/// What a gate comes to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Decision {
    /// Whether head is worse; else it is not worse by the margin.
    pub(super) is_worse: bool,
    /// The evidence for it, when it was enough.
    pub(super) evidence: f64,
    /// How much is enough.
    pub(super) enough: f64,
    /// Cases that were looked at until then.
    pub(super) cases: usize,
}

/// The pairs of a run, as they come in.
#[derive(Debug)]
pub(super) struct Trials {
    pairs: Vec<Pairing>,
}

/// A subject on both sides.
#[derive(Debug)]
struct Pairing {
    base: String,
    head: String,
    /// Cases in the order that was drawn, with how often each is asked.
    order: Vec<(String, u32)>,
    /// Their places.
    places: HashMap<String, usize>,
    /// What base and head said.
    said: Vec<[Said; 2]>,
    /// The place of the next case that is looked at.
    next: usize,
    has_regressed: bool,
    bets: Vec<Bet>,
}

/// What a case came to on one side.
#[derive(Debug, Clone, Copy, Default)]
struct Said {
    passed: u32,
    failed: u32,
    errors: u32,
}

/// The bets on a gate.
#[derive(Debug)]
struct Bet {
    /// Its place among the suite's gates.
    gate: usize,
    not_worse: MeanBet,
    worse: MeanBet,
    enough_not_worse: f64,
    enough_worse: f64,
    decision: Option<Decision>,
}

impl Said {
    const fn count(self) -> u32 {
        self.passed + self.failed + self.errors
    }

    /// The share of repeats that passed; one that could not be judged makes it `unknown`.
    fn share(self, unknown: f64) -> f64 {
        if 0 < self.errors || self.count() == 0 {
            return unknown;
        }
        f64::from(self.passed) / f64::from(self.count())
    }
}

impl Trials {
    /// Begins with no rows.
    pub(super) fn of(plan: &RunPlan) -> Self {
        let heads = side(plan, Side::Head).map(|side| side.subjects.as_slice());
        let heads = heads.unwrap_or_default();
        let bases = side(plan, Side::Base).map(|side| side.subjects.as_slice());
        let bases = bases.unwrap_or_default();
        let partner = |subject: &Subject| match (bases, heads) {
            ([only], [_]) => Some(only),
            _ => bases.iter().find(|base| base.label == subject.label),
        };
        let found: Vec<(&Subject, &Subject)> = heads
            .iter()
            .filter_map(|head| Some((partner(head)?, head)))
            .collect();
        let gates = plan.settings.gates.iter().filter(|gate| is_tested(gate));
        let looks = gates.count() * found.len();
        let pairs = found.into_iter();
        Self {
            pairs: pairs
                .map(|(base, head)| Pairing::of(plan, base, head, looks))
                .collect(),
        }
    }

    /// Takes a row in.
    pub(super) fn note(&mut self, row: &Row) {
        for pairing in &mut self.pairs {
            pairing.note(row);
        }
    }

    /// Whether a case that passed on base fails on head.
    pub(super) fn has_regressed(&self) -> bool {
        self.pairs.iter().any(|pairing| pairing.has_regressed)
    }

    /// Returns what decides a gate, by its place in the suite, for a subject of head.
    pub(super) fn decision(&self, gate: usize, subject: &str) -> Option<Decision> {
        let pairing = self.pairs.iter().find(|pairing| pairing.head == subject)?;
        pairing.bets.iter().find(|bet| bet.gate == gate)?.decision
    }

    /// Returns the cases that all pairings have looked at, and how many there are.
    pub(super) fn looked_at(&self) -> (HashSet<&str>, usize) {
        let mut looked: Option<HashSet<&str>> = None;
        for pairing in &self.pairs {
            let ids = pairing.order.iter().take(pairing.next);
            let ids: HashSet<&str> = ids.map(|(id, _)| id.as_str()).collect();
            looked = Some(match looked {
                Some(before) => before.intersection(&ids).copied().collect(),
                None => ids,
            });
        }
        let total = self.pairs.iter().map(|pairing| pairing.order.len()).max();
        (looked.unwrap_or_default(), total.unwrap_or_default())
    }
}

impl Pairing {
    fn of(plan: &RunPlan, base: &Subject, head: &Subject, looks: usize) -> Self {
        let known: HashSet<&str> = side(plan, Side::Base)
            .into_iter()
            .flat_map(|side| &side.cases)
            .filter(|case| case.is_for(base))
            .map(|case| case.id.0.as_str())
            .collect();
        let order: Vec<(String, u32)> = order(plan)
            .into_iter()
            .filter(|case| case.is_for(head) && known.contains(case.id.0.as_str()))
            .filter(|case| !plan.quarantined.contains(&case.id.0))
            .map(|case| {
                let repeat = case.options.repeat.unwrap_or(plan.settings.repeat);
                (case.id.0.clone(), repeat.max(1))
            })
            .collect();
        let ids = order.iter().map(|(id, _)| id.clone());
        let bets = if is_sequential(plan) {
            let gates = plan.settings.gates.iter().enumerate();
            gates
                .filter_map(|(place, gate)| Bet::of(place, gate, looks))
                .collect()
        } else {
            Vec::new()
        };
        Self {
            base: base.label.clone(),
            head: head.label.clone(),
            places: ids.enumerate().map(|(place, id)| (id, place)).collect(),
            said: vec![[Said::default(); 2]; order.len()],
            order,
            next: 0,
            has_regressed: false,
            bets,
        }
    }

    fn note(&mut self, row: &Row) {
        let cell = &row.cell;
        let (label, column) = match cell.side {
            Side::Base => (&self.base, 0),
            Side::Head => (&self.head, 1),
        };
        let place = self.places.get(&cell.case.0).copied();
        let Some(place) = place.filter(|_| *label == cell.subject) else {
            return;
        };
        let said = self
            .said
            .get_mut(place)
            .and_then(|said| said.get_mut(column));
        if let Some(said) = said {
            match row.grade.mark {
                Mark::Pass => said.passed += 1,
                Mark::Fail => said.failed += 1,
                Mark::Error => said.errors += 1,
            }
        }
        self.has_regressed |= self.is_regression(place);
        while let Some([base, head]) = self.whole(self.next) {
            self.next += 1;
            for bet in &mut self.bets {
                bet.observe(base, head, self.next);
            }
        }
    }

    fn is_regression(&self, place: usize) -> bool {
        let (Some([base, head]), Some((_, repeats))) =
            (self.said.get(place), self.order.get(place))
        else {
            return false;
        };
        base.passed == *repeats && 0 < head.failed
    }

    /// What both sides said of a case, once all its repeats are there.
    fn whole(&self, place: usize) -> Option<[Said; 2]> {
        let (said, (_, repeats)) = (self.said.get(place)?, self.order.get(place)?);
        let is_whole = said.iter().all(|said| *repeats <= said.count());
        is_whole.then_some(*said)
    }
}

impl Bet {
    /// The error rate of the gate is shared with the look at the end; that of a false alarm also with the
    /// other gates and subjects, because any one of them stops the run.
    fn of(place: usize, gate: &Gate, looks: usize) -> Option<Self> {
        let GateKind::NonInferior { margin, alpha } = gate.kind else {
            return None;
        };
        let looks = f64::from(u32::try_from(looks.max(1)).ok()?);
        is_tested(gate).then_some(())?;
        Some(Self {
            gate: place,
            not_worse: MeanBet::above(-margin, -1.0)?,
            worse: MeanBet::below(0.0, 1.0)?,
            enough_not_worse: 1.0 / (alpha * SHARE_OF_ALPHA),
            enough_worse: looks / WORSE_ALPHA,
            decision: None,
        })
    }

    fn observe(&mut self, base: Said, head: Said, cases: usize) {
        // What is not known speaks against what is to be shown.
        let least = head.share(0.0) - base.share(1.0);
        let most = head.share(1.0) - base.share(0.0);
        let not_worse = self.not_worse.observe(least).unwrap_or(0.0);
        let worse = self.worse.observe(most).unwrap_or(0.0);
        let decided = |is_worse: bool, evidence: f64, enough: f64| {
            (enough <= evidence).then_some(Decision {
                is_worse,
                evidence,
                enough,
                cases,
            })
        };
        let found = decided(false, not_worse, self.enough_not_worse)
            .or_else(|| decided(true, worse, self.enough_worse));
        self.decision = self.decision.or(found);
    }
}

#[cfg(test)]
mod tests {
    use super::{Trials, is_sequential, order};
    use crate::evals::grade::Mark;
    use crate::evals::plan::{RunPlan, Side};
    use crate::evals::suite::{Gate, GateKind, OnInconclusive, Place, Stopping};
    use crate::evals::testing::{case, plan, row, side, subject};

    const LABEL: &str = "[m] p";

    fn compared(count: usize) -> RunPlan {
        let cases: Vec<_> = (0..count).map(|n| case(&format!("c{n:03}"))).collect();
        let sides = [Side::Base, Side::Head].map(|of| side(of, subject(LABEL, "x"), cases.clone()));
        let mut plan = plan("tests", sides.to_vec());
        plan.settings.stopping = Stopping::Decided;
        plan.settings.gates = vec![Gate {
            metric: "pass".to_owned(),
            kind: GateKind::NonInferior {
                margin: 0.05,
                alpha: 0.05,
            },
            on_inconclusive: OnInconclusive::Fail,
            place: Place::default(),
        }];
        plan
    }

    /// A pair of rows: whether base and head pass.
    fn pair(trials: &mut Trials, id: &str, (base, head): (bool, bool)) {
        for (side, is_pass) in [(Side::Base, base), (Side::Head, head)] {
            let mark = if is_pass { Mark::Pass } else { Mark::Fail };
            trials.note(&row(side, LABEL, id, mark));
        }
    }

    #[test]
    fn the_order_is_drawn_once_for_a_suite() {
        let mut plan = compared(50);
        let ids = |plan: &RunPlan| -> Vec<String> {
            order(plan).iter().map(|case| case.id.0.clone()).collect()
        };
        let drawn = ids(&plan);
        assert_eq!(drawn, ids(&plan));
        assert!(!drawn.is_sorted());
        plan.suite_hash = "1".repeat(64);
        assert_ne!(drawn, ids(&plan));
    }

    #[test]
    fn cases_are_looked_at_in_their_turn() {
        let plan = compared(200);
        assert!(is_sequential(&plan));
        let ids: Vec<String> = order(&plan).iter().map(|case| case.id.0.clone()).collect();
        let mut trials = Trials::of(&plan);
        // All but the first are there: nothing was looked at.
        for id in ids.iter().skip(1) {
            pair(&mut trials, id, (true, false));
        }
        assert_eq!(trials.looked_at().0.len(), 0);
        assert_eq!(trials.decision(0, LABEL), None);
        pair(&mut trials, &ids[0], (true, false));
        let decision = trials.decision(0, LABEL).unwrap();
        assert!(decision.is_worse && decision.cases < 20, "{decision:?}");
        assert_eq!(trials.looked_at().0.len(), 200);
    }

    #[test]
    fn what_could_not_be_judged_shows_nothing() {
        let plan = compared(300);
        let mut trials = Trials::of(&plan);
        for case in order(&plan) {
            trials.note(&row(Side::Base, LABEL, &case.id.0, Mark::Pass));
            trials.note(&row(Side::Head, LABEL, &case.id.0, Mark::Error));
        }
        assert_eq!(trials.decision(0, LABEL), None);
    }

    #[test]
    fn a_head_like_its_base_is_seldom_called_worse_and_a_worse_one_nearly_always() {
        let plan = compared(250);
        let ids: Vec<String> = order(&plan).iter().map(|case| case.id.0.clone()).collect();
        let mut chance = crate::stats::Random::from_seed(5);
        let mut called_worse = |rate_of_base: f64, rate_of_head: f64| {
            let found = (0..150).filter(|_| {
                let mut trials = Trials::of(&plan);
                for id in &ids {
                    let outcome = (chance.happens(rate_of_base), chance.happens(rate_of_head));
                    pair(&mut trials, id, outcome);
                }
                trials
                    .decision(0, LABEL)
                    .is_some_and(|decision| decision.is_worse)
            });
            found.count()
        };
        let false_alarms = called_worse(0.9, 0.9);
        assert!(
            false_alarms <= 7,
            "{false_alarms} of 150, 5 % are promised at most"
        );
        let found = called_worse(0.9, 0.7);
        assert!(135 <= found, "{found} of 150");
    }
}
