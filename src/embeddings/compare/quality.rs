//! What labels say, and how many more of them would say something.
//!
//! A sign is sure by the sign-flip test and Holm, sameness by the interval of the difference. Either takes some
//! queries: a handful that agree show nothing.

use super::interval::cases_for;
use super::report::{Figure, Verdict, VerdictKind};
use super::verdict::{Ground, enough, range, verdict};
use crate::stats::{Errors, FEWEST_DISCORDANT, Interval, ScoreNoise, miller_cases, whole_cases};

/// Which chance of "no difference" is small.
const ALPHA: f64 = 0.05;
/// How sure an interval is.
const CONFIDENCE: f64 = 0.95;

impl Ground<'_> {
    /// What labels say: one verdict, and that the gain does not pay where that holds too.
    pub(super) fn by_labels(&self) -> Vec<Verdict> {
        let Some(figure) = self.quality() else {
            return Vec::new();
        };
        let Interval { low, high } = figure.estimate.interval;
        let is_sure = figure.p_value.unwrap_or(1.0) < ALPHA;
        let shown = self.shown(figure);
        let sides = figure.sides;
        let sides = sides.map_or(String::new(), |[a, b]| format!(" ({a:.3} to {b:.3})"));
        if !enough(figure.n) {
            return vec![self.undecided(figure, &shown)];
        }
        if high < 0.0 && is_sure {
            return vec![verdict(
                VerdictKind::Worse,
                format!("B is worse: {shown}{sides}."),
                format!("worse: {shown}; the interval lies below 0"),
                self.reject(),
            )];
        }
        let is_gain = 0.0 < low && is_sure;
        if is_gain && self.margin < high {
            return vec![verdict(
                VerdictKind::Better,
                format!("B is better: {shown}{sides}."),
                format!("better: {shown}; the interval lies above 0"),
                format!("Embed everything anew. {}", self.what_moves()),
            )];
        }
        let is_same = -self.margin <= low && high <= self.margin && !is_gain;
        let same = is_same.then(|| {
            verdict(
                VerdictKind::SameQuality,
                format!("As good, with other answers: {shown}."),
                format!(
                    "same quality: {shown}; the interval lies within {} of 0",
                    self.margin
                ),
                format!("Either will do. {}", self.what_moves()),
            )
        });
        let not_worth = (high <= self.margin).then(|| self.not_worth(high, &shown));
        let mut found: Vec<Verdict> = same.into_iter().chain(not_worth).collect();
        if found.is_empty() {
            found.push(self.undecided(figure, &shown));
        }
        found
    }

    fn not_worth(&self, high: f64, shown: &str) -> Verdict {
        let sentence = if high < 0.0 {
            format!("B gains no nDCG@{}: nothing to pay for.", self.k)
        } else {
            format!(
                "B gains at most {high:+.4} nDCG@{}: too little to pay for.",
                self.k
            )
        };
        let margin = self.margin;
        verdict(
            VerdictKind::NotWorthIt,
            sentence,
            format!("not worth it: {shown}; the interval ends at or below {margin}"),
            "Keep A, unless B is cheaper or faster.",
        )
    }

    /// The change of nDCG in words.
    fn shown(&self, figure: &Figure) -> String {
        format!(
            "nDCG@{} changes by {:+.4} {}, p = {:.4} (Holm)",
            self.k,
            figure.estimate.value,
            range(figure.estimate.interval),
            figure.p_value.unwrap_or(1.0)
        )
    }

    /// Neither sign nor sameness is shown; more queries would show one.
    fn undecided(&self, figure: &Figure, shown: &str) -> Verdict {
        let margin = self.margin;
        let more_queries = self.more_labelled(figure);
        let hint = more_queries.map_or(String::new(), |more| {
            format!(" About {more} more labelled queries would decide.")
        });
        let seen = figure.detectable.map_or(String::new(), |least| {
            format!("; a difference of {least:.4} would have been seen in four of five cases")
        });
        let queries = if figure.n == 1 {
            "1 labelled query".to_owned()
        } else {
            format!("{} labelled queries", figure.n)
        };
        let why = if enough(figure.n) {
            format!("no sign is sure, and the interval reaches beyond {margin}")
        } else {
            format!("fewer than {FEWEST_DISCORDANT} queries show nothing")
        };
        Verdict {
            more_queries,
            ..verdict(
                VerdictKind::CannotDecide,
                format!("{queries} cannot decide: {shown}.{hint}"),
                format!("cannot decide: {shown}; {why}{seen}"),
                "Label more queries; those whose answers changed tell most.",
            )
        }
    }

    /// How many more labelled queries would decide in four of five cases, were they like these: that B differs, or
    /// that it gains no more than the margin, whichever is sooner.
    fn more_labelled(&self, figure: &Figure) -> Option<u64> {
        const LARGEST: u64 = 10_000_000;
        let ways = [self.to_differ(figure), self.to_be_too_little(figure)];
        let sooner = ways.into_iter().flatten().min()?.max(FEWEST_DISCORDANT);
        let more = sooner.saturating_sub(figure.n as u64).max(1);
        (more <= LARGEST).then_some(more)
    }

    /// How many queries show a sign: by Holm over all figures, and by a test that counts the flips of those that
    /// changed, and so needs some.
    fn to_differ(&self, figure: &Figure) -> Option<u64> {
        let [won, lost, _] = figure.win_loss_tie?;
        let errors = Errors {
            alpha: ALPHA / self.held_by_holm(figure),
            ..Errors::default()
        };
        let by_size = self.cases(figure.estimate.value, errors)?;
        // Of m that changed, all one way, the chance is 2^(1 - m).
        let flips = (1.0 - errors.alpha.log2()).floor() + 1.0;
        let by_flips = whole_cases(flips * figure.n as f64 / (won + lost) as f64)?;
        Some(by_size.max(by_flips))
    }

    /// How many queries show that the gain is at most the margin.
    fn to_be_too_little(&self, figure: &Figure) -> Option<u64> {
        let [won, lost, _] = figure.win_loss_tie?;
        let room = self.margin - figure.estimate.value;
        let by_size = self.cases(room.max(0.0), Errors::default())?;
        // While few have changed, what may be unseen is wider than their spread.
        let unseen = cases_for(room.min(1.0 - f64::EPSILON), CONFIDENCE)?;
        let changed = (won + lost) as f64;
        let until_enough = whole_cases(FEWEST_DISCORDANT as f64 * figure.n as f64 / changed);
        Some(by_size.max(until_enough.map_or(unseen, |enough| unseen.min(enough))))
    }

    fn cases(&self, distance: f64, errors: Errors) -> Option<u64> {
        let noise = ScoreNoise {
            between: self.spread.unwrap_or_default(),
            within_baseline: 0.0,
            within_candidate: 0.0,
            repeats_baseline: 1,
            repeats_candidate: 1,
        };
        whole_cases(miller_cases(noise, distance, errors)?)
    }

    /// By how much Holm multiplies a figure's chance: as many figures of labels as have none smaller.
    fn held_by_holm(&self, figure: &Figure) -> f64 {
        let own = figure.p_value.unwrap_or(1.0);
        let others = self.figures.iter().filter_map(|other| other.p_value);
        others.filter(|chance| own <= *chance).count().max(1) as f64
    }
}
