//! What follows from the figures, in words, with the rule that fired.
//!
//! Overlap says that something changed, never that it is better or worse: that word comes from labels
//! alone. Descriptors of geometry have no say at all.

use super::judge::more;
use super::report::{Figure, Verdict, VerdictKind};
use crate::stats::Interval;

/// How far below the noise floor numerics alone may bring overlap.
const NUMERICS: f64 = 0.01;
/// Which share of its own answers each side must find among the other's vectors to be the same.
const SAME: f64 = 0.99;
/// And to stand in one index while it is filled anew.
const TOLERABLE: f64 = 0.98;
/// Up to which overlap something is broken rather than changed.
const BROKEN: f64 = 0.05;
/// Which chance of "no difference" is small.
const ALPHA: f64 = 0.05;

/// What a verdict rests on.
pub(super) struct Ground<'a> {
    pub(super) figures: &'a [Figure],
    /// The length of the headline's lists.
    pub(super) k: usize,
    /// The smallest difference of nDCG that counts.
    pub(super) margin: f64,
    /// The overlap that the provider's noise leaves; `None` when nobody measured it.
    pub(super) floor: Option<f64>,
    /// The overlap that chance gives.
    pub(super) chance: f64,
    /// Whether both are one space.
    pub(super) is_one_space: bool,
    /// Whether both have as many dimensions.
    pub(super) is_crossing: bool,
}

/// Returns the verdict, and behind it what holds besides.
pub(super) fn findings(ground: &Ground<'_>) -> Vec<Verdict> {
    let identical = ground.identical();
    let compatible = ground.compatible();
    let mut found = Vec::new();
    let is_identical = identical.is_some();
    found.extend(identical);
    let quality = ground.by_labels();
    if !is_identical
        || quality
            .iter()
            .any(|verdict| verdict.kind == VerdictKind::Worse)
    {
        found.extend(quality);
    }
    if !is_identical {
        let is_compatible = compatible.is_some();
        found.extend(compatible);
        if found.is_empty() || !ground.has_labels() {
            // Without labels the change has no direction, whatever else may be said of it.
            let place = usize::from(is_compatible);
            found.insert(place.min(found.len()), ground.unknown());
        }
        if !is_compatible && !ground.is_one_space {
            found.push(ground.forbidden());
        }
    }
    found
}

fn percent(share: f64) -> String {
    let text = format!("{:.1}", share * 100.0);
    format!("{} %", text.strip_suffix(".0").unwrap_or(&text))
}

fn range(Interval { low, high }: Interval) -> String {
    format!("[{low:.4}, {high:.4}]")
}

fn verdict(
    kind: VerdictKind,
    sentence: String,
    rule: String,
    advice: impl Into<String>,
) -> Verdict {
    Verdict {
        kind,
        sentence,
        rule,
        advice: Some(advice.into()),
        more_queries: None,
    }
}

impl Ground<'_> {
    fn figure(&self, id: &str) -> Option<&Figure> {
        self.figures.iter().find(|figure| figure.id == id)
    }

    /// What users feel, or, without queries, what items do.
    fn headline(&self) -> Option<&Figure> {
        let of = |whose: &str| self.figure(&format!("{whose}.overlap@{}", self.k));
        of("query").or_else(|| of("item"))
    }

    fn has_labels(&self) -> bool {
        self.quality().is_some()
    }

    fn quality(&self) -> Option<&Figure> {
        self.figure(&format!("label.ndcg@{}.delta", self.k))
    }

    /// The share that each side keeps of its own answers when it is asked with the other's vectors: the lower
    /// bounds of both ways, by labels where there are some.
    fn crossing(&self) -> Option<([f64; 2], &'static str)> {
        let by = |what: &str| -> Option<[f64; 2]> {
            let low = |way: &str| {
                let figure = self.figure(&format!("cross.{way}.{what}@{}", self.k));
                figure.map(|figure| figure.estimate.interval.low)
            };
            Some([low("b_in_a")?, low("a_in_b")?])
        };
        by("ndcg")
            .map(|bounds| (bounds, "nDCG"))
            .or_else(|| by("overlap").map(|bounds| (bounds, "answers")))
    }

    fn identical(&self) -> Option<Verdict> {
        let headline = self.headline()?;
        let low = headline.estimate.interval.low;
        let needed = self.floor.unwrap_or(1.0) - NUMERICS;
        let ([b_in_a, a_in_b], of) = self.crossing()?;
        let is_so = needed <= low && SAME <= b_in_a && SAME <= a_in_b;
        is_so.then(|| {
            verdict(
                VerdictKind::Identical,
                format!(
                    "Only numerics differ: {} of the first {} are the same.",
                    percent(headline.estimate.value),
                    self.k
                ),
                format!(
                    "identical: {} at least {low:.4}, and {needed:.4} is needed (noise floor {} - {NUMERICS}); crosswise \
                     at least {b_in_a:.4} and {a_in_b:.4} of {of}, and {SAME} is needed",
                    headline.id,
                    self.floor.map_or("not measured, 1".to_owned(), |floor| format!("{floor:.4}")),
                ),
                "Swap when you like; one index may hold both.",
            )
        })
    }

    fn compatible(&self) -> Option<Verdict> {
        let ([b_in_a, a_in_b], of) = self.crossing()?;
        (TOLERABLE <= b_in_a && TOLERABLE <= a_in_b).then(|| {
            verdict(
                VerdictKind::Compatible,
                "Each finds the other's vectors nearly as well as its own.".to_owned(),
                format!(
                    "compatible: crosswise at least {b_in_a:.4} and {a_in_b:.4} of {of} are kept, and {TOLERABLE} is needed"
                ),
                "One index may hold both while it is filled anew.",
            )
        })
    }

    /// What labels say: one verdict, and that the gain does not pay where that holds too.
    fn by_labels(&self) -> Vec<Verdict> {
        let Some(figure) = self.quality() else {
            return Vec::new();
        };
        let Interval { low, high } = figure.estimate.interval;
        let is_sure = figure.p_value.unwrap_or(1.0) < ALPHA;
        let shown = self.shown(figure);
        let sides = figure.sides;
        let sides = sides.map_or(String::new(), |[a, b]| format!(" ({a:.3} to {b:.3})"));
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
        let not_worth = (high <= self.margin).then(|| {
            verdict(
                VerdictKind::NotWorthIt,
                format!(
                    "B gains at most {high:+.4} nDCG@{}: too little to pay for.",
                    self.k
                ),
                format!(
                    "not worth it: {shown}; the interval ends at or below {}",
                    self.margin
                ),
                "Keep A, unless B is cheaper or faster.",
            )
        });
        let mut found: Vec<Verdict> = same.into_iter().chain(not_worth).collect();
        if found.is_empty() {
            found.push(self.undecided(figure, &shown));
        }
        found
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
        let value = figure.estimate.value;
        let margin = self.margin;
        // Whichever is sooner: that it differs from 0, or that it is within the margin.
        let ways = [0.0, margin, -margin].map(|limit| more(figure.estimate, limit, figure.n));
        let [from_zero, above, below] = ways;
        let within = (value.abs() < margin).then(|| above.max(below)).flatten();
        let more_queries = [from_zero, within].into_iter().flatten().min();
        let hint = more_queries.map_or(String::new(), |more| {
            format!(" About {more} more labelled queries would decide.")
        });
        let seen = figure.detectable.map_or(String::new(), |least| {
            format!("; a difference of {least:.4} would have been seen in four of five cases")
        });
        Verdict {
            more_queries,
            ..verdict(
                VerdictKind::CannotDecide,
                format!(
                    "{} labelled queries cannot decide: {shown}.{hint}",
                    figure.n
                ),
                format!(
                    "cannot decide: {shown}; no sign is sure, and the interval reaches beyond {margin}{seen}"
                ),
                "Label more queries; those whose answers changed tell most.",
            )
        }
    }

    fn reject(&self) -> String {
        if self.is_broken() {
            self.repair()
        } else {
            "Keep A.".to_owned()
        }
    }

    /// Which users see other answers.
    fn what_moves(&self) -> String {
        let top1 = self
            .figure("query.top1")
            .or_else(|| self.figure("item.top1"));
        let moved = top1.map_or(0.0, |figure| 1.0 - figure.estimate.value);
        format!(
            "{} change their first answer; move thresholds by the threshold map.",
            percent(moved)
        )
    }

    fn is_broken(&self) -> bool {
        let limit = BROKEN.max(2.0 * self.chance);
        self.headline()
            .is_some_and(|figure| figure.estimate.interval.high < limit)
    }

    fn repair(&self) -> String {
        format!(
            "Hardly more is shared than chance gives ({}): check ids, prefixes and normalisation before anything else.",
            percent(self.chance)
        )
    }

    fn unknown(&self) -> Verdict {
        let Some(figure) = self.headline() else {
            return verdict(
                VerdictKind::CannotDecide,
                "There was nothing to compare answers by.".to_owned(),
                "cannot decide: neither queries nor items could be asked".to_owned(),
                "Give queries.",
            );
        };
        let floor = self
            .floor
            .map_or(String::new(), |floor| format!(", noise floor {floor:.4}"));
        let rule = format!(
            "unknown direction: {} is {:.4} {}{floor}, chance {:.4}; no labels",
            figure.id,
            figure.estimate.value,
            range(figure.estimate.interval),
            self.chance
        );
        let shared = format!(
            "{} of the first {} stay",
            percent(figure.estimate.value),
            self.k
        );
        let advice = if self.is_broken() {
            self.repair()
        } else {
            "Label the queries that changed most: export them as a judge set.".to_owned()
        };
        let sentence = format!(
            "It changes, and without labels nobody can say whether for the better: {shared}."
        );
        verdict(VerdictKind::UnknownDirection, sentence, rule, advice)
    }

    fn forbidden(&self) -> Verdict {
        let (sentence, rule) = match self.crossing() {
            _ if !self.is_crossing => (
                "Vectors of the two cannot stand in one index: they differ in length.".to_owned(),
                "mixed index forbidden: the dimensions differ".to_owned(),
            ),
            Some(([b_in_a, a_in_b], of)) => (
                "Vectors of the two must not stand in one index.".to_owned(),
                format!(
                    "mixed index forbidden: the spaces differ, and crosswise only {b_in_a:.4} and {a_in_b:.4} of {of} are \
                     sure to be kept; {TOLERABLE} is needed"
                ),
            ),
            None => (
                "Vectors of the two must not stand in one index.".to_owned(),
                "mixed index forbidden: the spaces differ".to_owned(),
            ),
        };
        let advice = "Build the new index beside the old one, and ask each with its own vectors.";
        verdict(VerdictKind::MixedIndexForbidden, sentence, rule, advice)
    }
}

#[cfg(test)]
mod tests {
    use super::{Ground, findings};
    use crate::embeddings::compare::figures::figure;
    use crate::embeddings::compare::report::{Figure, FigureGroup, VerdictKind};
    use crate::stats::{Estimate, Interval};

    fn found(id: &str, [value, low, high]: [f64; 3]) -> Figure {
        Figure {
            estimate: Estimate {
                value,
                interval: Interval { low, high },
            },
            has_interval: true,
            n: 400,
            p_value: Some(if low <= 0.0 && 0.0 <= high {
                0.4
            } else {
                0.001
            }),
            ..figure(id, id, FigureGroup::Queries)
        }
    }

    fn crossing(low: f64) -> [Figure; 2] {
        ["b_in_a", "a_in_b"].map(|way| found(&format!("cross.{way}.overlap@10"), [low, low, low]))
    }

    fn kinds(figures: &[Figure], floor: Option<f64>, is_crossing: bool) -> Vec<VerdictKind> {
        let ground = Ground {
            figures,
            k: 10,
            margin: 0.01,
            floor,
            chance: 0.001,
            is_one_space: false,
            is_crossing,
        };
        findings(&ground)
            .into_iter()
            .map(|verdict| verdict.kind)
            .collect()
    }

    fn delta(values: [f64; 3]) -> Figure {
        found("label.ndcg@10.delta", values)
    }

    fn overlap(values: [f64; 3]) -> Figure {
        found("query.overlap@10", values)
    }

    #[test]
    fn what_hardly_changes_is_told_by_the_floor_and_the_crossing() {
        use VerdictKind as Kind;
        for (figures, floor, is_crossing, expected) in [
            (
                vec![overlap([0.999, 0.995, 1.0])],
                None,
                true,
                vec![Kind::Identical],
            ),
            (
                vec![overlap([0.97, 0.965, 0.975])],
                Some(0.97),
                true,
                vec![Kind::Identical],
            ),
            (
                vec![overlap([0.97, 0.965, 0.975])],
                None,
                true,
                vec![Kind::Compatible, Kind::UnknownDirection],
            ),
        ] {
            let mut figures = figures;
            let is_near = floor.is_some() || figures[0].estimate.value > 0.99;
            figures.extend(crossing(if is_near { 0.995 } else { 0.985 }));
            assert_eq!(kinds(&figures, floor, is_crossing), expected, "{figures:?}");
        }
    }

    #[test]
    fn labels_say_in_which_direction() {
        use VerdictKind as Kind;
        let half = || overlap([0.5, 0.47, 0.53]);
        let forbidden = Kind::MixedIndexForbidden;
        for (figures, expected) in [
            (vec![half()], vec![Kind::UnknownDirection, forbidden]),
            (
                vec![half(), delta([0.05, 0.03, 0.07])],
                vec![Kind::Better, forbidden],
            ),
            (
                vec![half(), delta([-0.05, -0.07, -0.03])],
                vec![Kind::Worse, forbidden],
            ),
            (
                vec![half(), delta([0.001, -0.004, 0.006])],
                vec![Kind::SameQuality, Kind::NotWorthIt, forbidden],
            ),
            (
                vec![half(), delta([0.004, 0.001, 0.008])],
                vec![Kind::NotWorthIt, forbidden],
            ),
            (
                vec![half(), delta([-0.01, -0.03, 0.005])],
                vec![Kind::NotWorthIt, forbidden],
            ),
            (
                vec![half(), delta([0.01, -0.02, 0.04])],
                vec![Kind::CannotDecide, forbidden],
            ),
        ] {
            assert_eq!(kinds(&figures, None, false), expected, "{figures:?}");
        }
    }

    #[test]
    fn what_is_open_says_how_many_queries_would_close_it() {
        let figures = [
            found("query.overlap@10", [0.5, 0.47, 0.53]),
            found("label.ndcg@10.delta", [0.01, -0.02, 0.04]),
        ];
        let ground = Ground {
            figures: &figures,
            k: 10,
            margin: 0.01,
            floor: None,
            chance: 0.001,
            is_one_space: true,
            is_crossing: true,
        };
        let found = findings(&ground);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].more_queries, Some(6_956));
        assert!(
            found[0].sentence.contains("6956 more labelled queries"),
            "{}",
            found[0].sentence
        );
    }

    /// Geometry describes: whatever it says, the verdict stays.
    #[test]
    fn descriptors_have_no_say() {
        let overlap = found("query.overlap@10", [0.5, 0.47, 0.53]);
        let before = kinds(std::slice::from_ref(&overlap), None, false);
        for value in [0.0, 0.5, 1.0] {
            let cka = found("cka.debiased", [value; 3]);
            let procrustes = found("procrustes", [value; 3]);
            assert_eq!(
                kinds(&[overlap.clone(), cka, procrustes], None, false),
                before
            );
        }
    }

    #[test]
    fn what_is_broken_is_said_to_be() {
        let figures = [found("query.overlap@10", [0.002, 0.001, 0.004])];
        let ground = Ground {
            figures: &figures,
            k: 10,
            margin: 0.01,
            floor: None,
            chance: 0.001,
            is_one_space: false,
            is_crossing: false,
        };
        let advice = findings(&ground)[0].advice.clone().unwrap();
        assert!(
            advice.contains("check ids, prefixes and normalisation"),
            "{advice}"
        );
    }
}
