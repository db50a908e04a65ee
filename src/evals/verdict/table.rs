//! The rows of a run, found by side, subject and case, and what each case says of a metric.

use crate::evals::grade::Mark;
use crate::evals::ledger::Stop;
use crate::evals::plan::{RunPlan, Side, SidePlan, Subject};
use crate::evals::row::Row;
use crate::evals::sequential::{Decision, SHARE_OF_ALPHA, Trials, is_sequential, is_tested};
use crate::evals::suite::{Case, CaseId, Gate};
use crate::evals::verdict::{Ending, Finished};
use std::collections::{BTreeMap, BTreeSet};

/// The metric of whole cases.
pub(super) const PASS: &str = "pass";

/// What a case says of a metric on one side.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Said {
    /// Its score, the mean over its repeats.
    Score(Score),
    /// It could not be judged.
    Error,
    /// It was not asked.
    Missing,
    /// It has nothing to do with the metric.
    Nothing,
}

/// The score of a case.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Score {
    /// The mean over the repeats.
    pub(super) mean: f64,
    /// Whether each repeat was 0 or 1.
    pub(super) is_binary: bool,
    /// Repeats that passed.
    pub(super) passed: u32,
    /// Repeats.
    pub(super) repeats: u32,
}

/// The rows, found by what they are about.
pub(super) struct Table<'a> {
    pub(super) finished: &'a Finished<'a>,
    pub(super) plan: &'a RunPlan,
    /// The comparison that ended the run early.
    trials: Option<Trials>,
    rows: BTreeMap<(Side, &'a str, &'a CaseId), Vec<&'a Row>>,
}

impl<'a> Table<'a> {
    pub(super) fn of(finished: &'a Finished<'a>) -> Self {
        let trials = (finished.ending == Ending::Tested).then(|| {
            let mut trials = Trials::of(finished.plan);
            for row in &finished.rows {
                trials.note(row);
            }
            trials
        });
        let looked_at = trials.as_ref().map(|trials| trials.looked_at().0);
        // Answers that came in out of turn say nothing: the quick ones would be too many.
        let is_in_turn = |row: &&Row| {
            looked_at
                .as_ref()
                .is_none_or(|ids| ids.contains(row.cell.case.0.as_str()))
        };
        let mut rows: BTreeMap<_, Vec<&Row>> = BTreeMap::new();
        for row in finished.rows.iter().filter(is_in_turn) {
            let cell = &row.cell;
            let key = (cell.side, cell.subject.as_str(), &cell.case);
            rows.entry(key).or_default().push(row);
        }
        Self {
            finished,
            plan: finished.plan,
            trials,
            rows,
        }
    }

    /// Whether the run stopped because a test had decided, so that an interval must hold whenever one stops.
    pub(super) const fn is_tested(&self) -> bool {
        self.trials.is_some()
    }

    /// Why the run stopped, when a test had decided.
    pub(super) fn tested_words(&self) -> Option<String> {
        let trials = self.trials.as_ref()?;
        let (looked_at, total) = trials.looked_at();
        let (words, count) = (Stop::Tested.words(), looked_at.len());
        Some(format!("{words} after {count} of {total} cases"))
    }

    /// Returns what a test has decided of a gate.
    pub(super) fn decision(&self, gate: &Gate, subject: &Subject) -> Option<Decision> {
        let trials = self.trials.as_ref()?;
        let place = self
            .plan
            .settings
            .gates
            .iter()
            .position(|other| other == gate)?;
        trials.decision(place, &subject.label)
    }

    /// Returns the error rate that a gate has at the end: half of it, where a test on the way has the rest.
    pub(super) fn last_alpha(&self, gate: &Gate, alpha: f64) -> f64 {
        if is_tested(gate) && is_sequential(self.plan) {
            alpha * SHARE_OF_ALPHA
        } else {
            alpha
        }
    }

    pub(super) fn side(&self, side: Side) -> Option<&'a SidePlan> {
        self.plan.sides.iter().find(|plan| plan.side == side)
    }

    /// The subjects that are judged.
    pub(super) fn subjects(&self) -> impl Iterator<Item = &'a Subject> + use<'a> {
        self.side(Side::Head)
            .into_iter()
            .flat_map(|side| &side.subjects)
    }

    /// The subject of base that `subject` is compared with: of the same label, or the only one where each
    /// side has but one.
    pub(super) fn partner(&self, subject: &Subject) -> Option<&'a Subject> {
        let base = self.side(Side::Base)?;
        let same = base
            .subjects
            .iter()
            .find(|other| other.label == subject.label);
        let only = match base.subjects.as_slice() {
            [only] if self.subjects().count() == 1 => Some(only),
            _ => None,
        };
        same.or(only)
    }

    /// The cases that `subject` answers on `side`.
    pub(super) fn cases(
        &self,
        side: Side,
        subject: &'a Subject,
    ) -> impl Iterator<Item = &'a Case> + use<'a> {
        let cases = self.side(side).into_iter().flat_map(|plan| &plan.cases);
        cases.filter(move |case| case.is_for(subject))
    }

    /// The same without those that are too flaky to gate.
    pub(super) fn gating_cases(
        &self,
        side: Side,
        subject: &'a Subject,
    ) -> impl Iterator<Item = &'a Case> + use<'a, '_> {
        self.cases(side, subject)
            .filter(|case| !self.finished.quarantined.contains(&case.id.0))
    }

    pub(super) fn rows<'s>(
        &'s self,
        side: Side,
        subject: &'s Subject,
        case: &'s CaseId,
    ) -> &'s [&'a Row] {
        let rows: &BTreeMap<(Side, &'s str, &'s CaseId), Vec<&'a Row>> = &self.rows;
        let found = rows.get(&(side, subject.label.as_str(), case));
        found.map_or(&[], Vec::as_slice)
    }

    /// What a case says of `metric`.
    pub(super) fn said(&self, side: Side, subject: &Subject, case: &Case, metric: &str) -> Said {
        let rows = self.rows(side, subject, &case.id);
        if rows.is_empty() {
            return Said::Missing;
        }
        let mut scores = Vec::with_capacity(rows.len());
        for row in rows {
            match said_by(row, metric) {
                Said::Score(score) => scores.push(score),
                other => return other,
            }
        }
        mean_of(&scores)
    }

    /// The names of the metrics that rows of `subject` hold, on either side, after `pass`.
    pub(super) fn metric_names(&self, subject: &Subject) -> Vec<String> {
        let partner = self.partner(subject).map(|partner| partner.label.as_str());
        let mut names = BTreeSet::new();
        for ((side, label, _), rows) in &self.rows {
            let is_ours = match side {
                Side::Head => *label == subject.label,
                Side::Base => Some(*label) == partner,
            };
            if is_ours {
                names.extend(rows.iter().flat_map(|row| row.grade.metrics.keys()));
            }
        }
        let named = names.into_iter().filter(|name| *name != PASS).cloned();
        std::iter::once(PASS.to_owned()).chain(named).collect()
    }

    pub(super) fn has_base(&self) -> bool {
        self.side(Side::Base).is_some()
    }

    /// Quarantined cases that the suite has.
    pub(super) fn quarantined(&self) -> impl Iterator<Item = &'a str> + use<'a, '_> {
        let cases = self
            .side(Side::Head)
            .into_iter()
            .flat_map(|side| &side.cases);
        let ids = cases.map(|case| case.id.0.as_str());
        ids.filter(|id| self.finished.quarantined.contains(*id))
    }

    /// Cells of head that were to be asked, that could not be judged, and that were not asked.
    pub(super) fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for subject in self.subjects() {
            for case in self.cases(Side::Head, subject) {
                counts.cells += 1;
                match self.said(Side::Head, subject, case, PASS) {
                    Said::Error => counts.errors += 1,
                    Said::Missing => counts.missing += 1,
                    Said::Score(_) | Said::Nothing => {}
                }
            }
        }
        counts
    }

    /// Why the run as a whole says nothing, if so.
    pub(super) fn is_invalid(&self) -> Option<String> {
        let counts = self.counts();
        if counts.cells == 0 {
            return Some("there is no case to ask".to_owned());
        }
        let share = f64::from(counts.errors) / f64::from(counts.cells);
        let most = self.plan.settings.max_error_share;
        if most < share {
            return Some(format!(
                "{} of {} cases could not be judged, more than {:.0} %",
                counts.errors,
                counts.cells,
                most * 100.0
            ));
        }
        (self.finished.ending == Ending::Complete && 0 < counts.missing)
            .then(|| format!("{} of {} cases have no row", counts.missing, counts.cells))
    }

    pub(super) fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if let Some(words) = self.tested_words() {
            warnings.push(format!(
                "stopped early: {words}; intervals and p-values of metrics hold whenever one stops, those \
                 of money, time and groups are for a number of cases that was fixed before"
            ));
        }
        let count = self.quarantined().count();
        if 0 < count {
            warnings.push(format!("{count} flaky cases are shown but do not gate"));
        }
        let clusters: BTreeSet<&str> = self
            .subjects()
            .flat_map(|subject| self.cases(Side::Head, subject))
            .filter_map(|case| case.cluster.as_deref())
            .collect();
        if (1..20).contains(&clusters.len()) {
            warnings.push(format!(
                "the cases come from {} clusters; with fewer than 20 the intervals are too narrow",
                clusters.len()
            ));
        }
        warnings
    }
}

/// How many cells there are, and how many say nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Counts {
    pub(super) cells: u32,
    pub(super) errors: u32,
    pub(super) missing: u32,
}

fn said_by(row: &Row, metric: &str) -> Said {
    if metric == PASS {
        return match row.grade.mark {
            Mark::Error => Said::Error,
            mark => Said::Score(Score::of(
                f64::from(u8::from(mark == Mark::Pass)),
                mark == Mark::Pass,
            )),
        };
    }
    match row.grade.metrics.get(metric) {
        Some(score) => score.is_pass.map_or(Said::Error, |is_pass| {
            Said::Score(Score::of(score.score, is_pass))
        }),
        // Without an answer no assertion was looked at.
        None if row.answer.is_none() => Said::Error,
        None => Said::Nothing,
    }
}

impl Score {
    fn of(mean: f64, is_pass: bool) -> Self {
        Self {
            mean,
            is_binary: mean == 0.0 || (mean - 1.0).abs() < f64::EPSILON,
            passed: u32::from(is_pass),
            repeats: 1,
        }
    }
}

fn mean_of(scores: &[Score]) -> Said {
    let count = u32::try_from(scores.len()).unwrap_or(u32::MAX);
    if count == 0 {
        return Said::Missing;
    }
    let sum: f64 = scores.iter().map(|score| score.mean).sum();
    if !sum.is_finite() {
        return Said::Error;
    }
    Said::Score(Score {
        mean: sum / f64::from(count),
        is_binary: scores.iter().all(|score| score.is_binary),
        passed: scores.iter().map(|score| score.passed).sum(),
        repeats: count,
    })
}
