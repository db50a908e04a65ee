//! What follows from the figures, in words, with the rule that fired.
//!
//! Overlap says that something changed, never that it is better or worse: that word comes from labels
//! alone. Descriptors of geometry have no say at all. Nor has a figure that is what it is whatever the vectors
//! say: an overlap of lists that hold everything, or of queries whose vectors both sides share.

use super::report::{Figure, Verdict, VerdictKind};
use crate::embeddings::ranking::beyond_chance;
use crate::stats::{FEWEST_DISCORDANT, Interval};

/// How far below the noise floor numerics alone may bring overlap.
const NUMERICS: f64 = 0.01;
/// Which share of its own answers each side must find among the other's vectors, and in a mixed index, to be the
/// same.
const SAME: f64 = 0.99;
/// And to stand in one index while it is filled anew.
const TOLERABLE: f64 = 0.98;
/// Up to which overlap beyond chance something is broken rather than changed.
const BROKEN: f64 = 0.05;

/// What a verdict rests on.
pub(super) struct Ground<'a> {
    pub(super) figures: &'a [Figure],
    /// The length of the headline's lists.
    pub(super) k: usize,
    /// The smallest difference of nDCG that counts.
    pub(super) margin: f64,
    /// The variance of the differences of nDCG; `None` with fewer than two judged queries.
    pub(super) spread: Option<f64>,
    /// How many labels point at nothing that is compared.
    pub(super) lost_labels: usize,
    /// The overlap that the provider's noise leaves; `None` when nobody measured it.
    pub(super) floor: Option<f64>,
    /// The overlap that chance gives.
    pub(super) chance: f64,
    /// Whether both are one space.
    pub(super) is_one_space: bool,
    /// Whether both have as many dimensions.
    pub(super) is_crossing: bool,
}

/// Which share is kept when vectors of both meet: B's in A's index, A's in B's, and A's and B's in an index of
/// halves. Where queries have the same vectors on both sides, the first two are 1 whatever the items' are.
struct Meeting {
    kept: [Interval; 4],
    /// Of what: `nDCG`, `answers`.
    of: &'static str,
    /// From how many questions.
    n: usize,
}

impl Meeting {
    fn is_kept(&self, least: f64) -> bool {
        enough(self.n) && self.kept.iter().all(|share| least <= share.low)
    }

    /// Whether less than that is kept for sure.
    fn is_lost(&self, least: f64) -> bool {
        enough(self.n) && self.kept.iter().any(|share| share.high < least)
    }

    fn shown(&self) -> String {
        let [b_in_a, a_in_b, mixed_a, mixed_b] = self.kept.map(|share| share.low);
        format!(
            "crosswise at least {b_in_a:.4} and {a_in_b:.4}, in a mixed index at least {mixed_a:.4} and {mixed_b:.4} of {} \
             are kept",
            self.of
        )
    }
}

/// Whether so many questions can show anything.
pub(super) const fn enough(questions: usize) -> bool {
    FEWEST_DISCORDANT <= questions as u64
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
        if !is_compatible {
            found.extend(ground.forbidden());
        }
    }
    found
}

fn percent(share: f64) -> String {
    let text = format!("{:.1}", share * 100.0);
    format!("{} %", text.strip_suffix(".0").unwrap_or(&text))
}

/// An interval in brackets.
pub(super) fn range(Interval { low, high }: Interval) -> String {
    format!("[{low:.4}, {high:.4}]")
}

/// A verdict that no further queries would change.
pub(super) fn verdict(
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

    /// The change of nDCG.
    pub(super) fn quality(&self) -> Option<&Figure> {
        self.figure(&format!("label.ndcg@{}.delta", self.k))
    }

    /// What is kept when vectors of both meet: by labels where there are some, and by answers, each beyond what
    /// chance gives.
    fn meetings(&self) -> Vec<Meeting> {
        let by = |what: &str, of, read: &dyn Fn(f64) -> Option<f64>| -> Option<Meeting> {
            let found = |way: &str| self.figure(&format!("cross.{way}.{what}@{}", self.k));
            let kept = |way: &str| -> Option<Interval> {
                let Interval { low, high } = found(way)?.estimate.interval;
                Some(Interval {
                    low: read(low)?,
                    high: read(high)?,
                })
            };
            Some(Meeting {
                kept: [
                    kept("b_in_a")?,
                    kept("a_in_b")?,
                    kept("mixed_a")?,
                    kept("mixed_b")?,
                ],
                of,
                n: found("mixed_b")?.n,
            })
        };
        let by_labels = by("ndcg", "nDCG", &Some);
        let by_answers = by("overlap", "answers", &|share| {
            beyond_chance(share, self.chance)
        });
        by_labels.into_iter().chain(by_answers).collect()
    }

    /// What shows that at least so much is kept; `None` when nothing does, or something shows the contrary.
    fn kept(&self, least: f64) -> Option<Meeting> {
        let meetings = self.meetings();
        if meetings.iter().any(|meeting| meeting.is_lost(least)) {
            return None;
        }
        meetings.into_iter().find(|meeting| meeting.is_kept(least))
    }

    fn identical(&self) -> Option<Verdict> {
        let headline = self.headline()?;
        let low = headline.estimate.interval.low;
        // Beyond chance as everything here: where chance gives most of the overlap, little is left to differ.
        let needed = self.floor.unwrap_or(1.0) - NUMERICS * (1.0 - self.chance);
        let meeting = self.kept(SAME)?;
        let is_so = self.chance < 1.0 && enough(headline.n) && needed <= low;
        is_so.then(|| {
            verdict(
                VerdictKind::Identical,
                format!(
                    "Only numerics differ: {} of the first {} are the same.",
                    percent(headline.estimate.value),
                    self.k
                ),
                format!(
                    "identical: {} at least {low:.4}, and {needed:.4} is needed (noise floor {} - {NUMERICS} beyond \
                     chance); {}, and {SAME} is needed",
                    headline.id,
                    self.floor.map_or("not measured, 1".to_owned(), |floor| format!("{floor:.4}")),
                    meeting.shown(),
                ),
                "Swap when you like; one index may hold both.",
            )
        })
    }

    fn compatible(&self) -> Option<Verdict> {
        let meeting = self.kept(TOLERABLE)?;
        Some(verdict(
            VerdictKind::Compatible,
            "Each finds the other's vectors nearly as well as its own.".to_owned(),
            format!("compatible: {}, and {TOLERABLE} is needed", meeting.shown()),
            "One index may hold both while it is filled anew.",
        ))
    }

    /// What to do about something worse.
    pub(super) fn reject(&self) -> String {
        if self.is_broken() {
            self.repair()
        } else {
            "Keep A.".to_owned()
        }
    }

    /// Which users see other answers.
    pub(super) fn what_moves(&self) -> String {
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
        let headline = self.headline();
        let high = headline.map(|figure| figure.estimate.interval.high);
        high.and_then(|high| beyond_chance(high, self.chance))
            .is_some_and(|beyond| beyond < BROKEN)
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
        if 1.0 <= self.chance {
            return self.everything(figure);
        }
        let floor = self
            .floor
            .map_or(String::new(), |floor| format!(", noise floor {floor:.4}"));
        let rule = format!(
            "unknown direction: {} is {:.4} {}{floor}, chance {:.4}; {}",
            figure.id,
            figure.estimate.value,
            range(figure.estimate.interval),
            self.chance,
            self.no_labels()
        );
        let shared = format!(
            "{} of the first {} stay",
            percent(figure.estimate.value),
            self.k
        );
        let (advice, without) = if self.is_broken() {
            (self.repair(), "without labels".to_owned())
        } else if 0 < self.lost_labels {
            let advice = "Name items in labels by their ids in the snapshots.";
            (advice.to_owned(), format!("since {}", self.no_labels()))
        } else {
            let advice = "Label the queries that changed most: export them as a judge set.";
            (advice.to_owned(), "without labels".to_owned())
        };
        let sentence =
            format!("It changes, and {without} nobody can say whether for the better: {shared}.");
        verdict(VerdictKind::UnknownDirection, sentence, rule, advice)
    }

    /// Why there is nothing to judge by.
    fn no_labels(&self) -> String {
        match self.lost_labels {
            0 => "no labels".to_owned(),
            1 => "the 1 label points at no item that is compared".to_owned(),
            lost => format!("none of the {lost} labels points at an item that is compared"),
        }
    }

    /// Lists that hold everything are the same whatever the vectors say.
    fn everything(&self, figure: &Figure) -> Verdict {
        let shorter = self.k / 2;
        let advice = if 0 < shorter {
            format!("Look at shorter lists: `-k {shorter}`.")
        } else {
            "Compare more items.".to_owned()
        };
        verdict(
            VerdictKind::CannotDecide,
            format!(
                "Lists of {} hold all there is to find: they are the same whatever the vectors say.",
                self.k
            ),
            format!(
                "cannot decide: {} is {:.4}, and chance alone gives {:.4}; {}",
                figure.id,
                figure.estimate.value,
                self.chance,
                self.no_labels()
            ),
            advice,
        )
    }

    /// That one index must not hold both: so long as nothing shows that it may, or, of one space, when something
    /// shows that it may not.
    fn forbidden(&self) -> Option<Verdict> {
        let meetings = self.meetings();
        let (sentence, rule) = if self.is_one_space {
            // The provider's noise alone costs answers, and no labels.
            let least = |meeting: &Meeting| match meeting.of {
                "answers" => TOLERABLE * self.floor.unwrap_or(1.0),
                _ => TOLERABLE,
            };
            let lost = meetings
                .iter()
                .find(|meeting| meeting.is_lost(least(meeting)))?;
            let most = lost.kept.iter().map(|share| share.high).fold(1.0, f64::min);
            (
                "Vectors of the two must not stand in one index, though they are of one space."
                    .to_owned(),
                format!(
                    "mixed index forbidden: at most {most:.4} of {} are kept where they meet, and {:.4} is needed",
                    lost.of,
                    least(lost)
                ),
            )
        } else if !self.is_crossing {
            (
                "Vectors of the two cannot stand in one index: they differ in length.".to_owned(),
                "mixed index forbidden: the dimensions differ".to_owned(),
            )
        } else {
            let shown = meetings.first().map(|meeting| {
                format!(
                    ", and only {} for sure; {TOLERABLE} is needed",
                    meeting.shown()
                )
            });
            (
                "Vectors of the two must not stand in one index.".to_owned(),
                format!(
                    "mixed index forbidden: the spaces differ{}",
                    shown.unwrap_or_default()
                ),
            )
        };
        let advice = "Build the new index beside the old one, and ask each with its own vectors.";
        Some(verdict(
            VerdictKind::MixedIndexForbidden,
            sentence,
            rule,
            advice,
        ))
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
            win_loss_tie: Some([150, 150, 100]),
            p_value: Some(if low <= 0.0 && 0.0 <= high {
                0.4
            } else {
                0.001
            }),
            ..figure(id, id, FigureGroup::Queries)
        }
    }

    const WAYS: [&str; 4] = ["b_in_a", "a_in_b", "mixed_a", "mixed_b"];

    fn crossing(low: f64) -> [Figure; 4] {
        WAYS.map(|way| found(&format!("cross.{way}.overlap@10"), [low, low, low]))
    }

    /// Two spaces of one length, whose nDCG differs as these figures say.
    fn ground(figures: &[Figure]) -> Ground<'_> {
        Ground {
            figures,
            k: 10,
            margin: 0.01,
            spread: Some((0.03_f64 / 1.96).powi(2) * 400.0),
            lost_labels: 0,
            floor: None,
            chance: 0.001,
            is_one_space: false,
            is_crossing: true,
        }
    }

    fn kinds_of(ground: &Ground<'_>) -> Vec<VerdictKind> {
        let found = findings(ground).into_iter();
        found.map(|verdict| verdict.kind).collect()
    }

    fn kinds(figures: &[Figure], floor: Option<f64>, is_crossing: bool) -> Vec<VerdictKind> {
        kinds_of(&Ground {
            floor,
            is_crossing,
            ..ground(figures)
        })
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
        let found = findings(&Ground {
            is_one_space: true,
            ..ground(&figures)
        });
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
            is_crossing: false,
            ..ground(&figures)
        };
        let advice = findings(&ground)[0].advice.clone().unwrap();
        assert!(
            advice.contains("check ids, prefixes and normalisation"),
            "{advice}"
        );
    }

    /// Lists that hold everything are the same in any two spaces.
    #[test]
    fn what_chance_alone_gives_decides_nothing() {
        use VerdictKind as Kind;
        let mut figures = vec![overlap([1.0, 0.999, 1.0])];
        figures.extend(crossing(1.0));
        let everything = Ground {
            chance: 1.0,
            ..ground(&figures)
        };
        assert_eq!(
            kinds_of(&everything),
            [Kind::CannotDecide, Kind::MixedIndexForbidden]
        );
        let verdict = &findings(&everything)[0];
        assert!(verdict.rule.contains("chance alone gives 1.0000"));
        assert_eq!(
            verdict.advice.as_deref(),
            Some("Look at shorter lists: `-k 5`.")
        );
        // 0.99 where chance gives 0.9 is a tenth of all that could differ.
        let mut figures = vec![overlap([0.992, 0.99, 0.995])];
        figures.extend(crossing(0.99));
        assert_eq!(kinds(&figures, None, true)[0], Kind::Compatible);
        let crowded = Ground {
            chance: 0.9,
            ..ground(&figures)
        };
        assert_eq!(
            kinds_of(&crowded),
            [Kind::UnknownDirection, Kind::MixedIndexForbidden]
        );
    }

    /// Where queries have the same vectors on both sides, each asks the other as it asks itself.
    #[test]
    fn a_mixed_index_is_judged_by_what_it_answers() {
        use VerdictKind as Kind;
        let mut figures = vec![overlap([0.7, 0.68, 0.72]), delta([-0.05, -0.07, -0.03])];
        figures.extend(crossing(1.0));
        for way in ["mixed_a", "mixed_b"] {
            let id = format!("cross.{way}.overlap@10");
            let figure = figures.iter_mut().find(|figure| figure.id == id).unwrap();
            figure.estimate.interval = Interval {
                low: 0.61,
                high: 0.73,
            };
        }
        let expected = [Kind::Worse, Kind::MixedIndexForbidden];
        assert_eq!(kinds(&figures, None, true), expected);
        let one_space = Ground {
            is_one_space: true,
            ..ground(&figures)
        };
        assert_eq!(kinds_of(&one_space), expected);
        assert!(findings(&one_space)[1].rule.contains("at most 0.7297"));
        // nDCG of labels outweighs how many answers are others, either way.
        for (interval, last) in [([0.985, 1.0], Kind::Worse), ([0.9, 0.97], expected[1])] {
            let mut figures = vec![delta([-0.05, -0.07, -0.03])];
            figures.extend(crossing(0.985));
            let [low, high] = interval;
            let by_labels = |way: &str| found(&format!("cross.{way}.ndcg@10"), [low, low, high]);
            figures.extend(WAYS.map(by_labels));
            let found = kinds(&figures, None, true);
            let is_compatible = last == Kind::Worse;
            assert_eq!(found.contains(&Kind::Compatible), is_compatible);
            assert_eq!(found.contains(&expected[1]), !is_compatible);
        }
    }

    #[test]
    fn a_handful_of_queries_decides_nothing() {
        use VerdictKind as Kind;
        let with = |n: usize, tie: usize, values: [f64; 3]| {
            let mut figure = delta(values);
            figure.n = n;
            figure.win_loss_tie = Some([n - tie, 0, tie]);
            figure.p_value = Some(1.0);
            [overlap([0.5, 0.47, 0.53]), figure]
        };
        // All alike: 368 that are would show that nothing changes by more than 0.01.
        let figures = with(1, 1, [0.0, 0.0, 0.0]);
        let one = Ground {
            spread: None,
            ..ground(&figures)
        };
        let verdict = &findings(&one)[0];
        assert_eq!(verdict.kind, Kind::CannotDecide);
        assert_eq!(verdict.more_queries, Some(367));
        assert!(
            verdict.sentence.starts_with("1 labelled query cannot"),
            "{}",
            verdict.sentence
        );
        // Five of five up: by Holm over five figures the sixth and the seventh still decide nothing.
        let mut figures = with(5, 0, [0.2, -0.3, 0.7]).to_vec();
        figures[1].p_value = Some(0.3125);
        for name in ["recall@10", "mrr@10", "hit@10", "map"] {
            let mut other = figures[1].clone();
            other.id = format!("label.{name}.delta");
            figures.push(other);
        }
        let five = Ground {
            spread: Some(0.001),
            ..ground(&figures)
        };
        assert_eq!(findings(&five)[0].more_queries, Some(3));
    }

    #[test]
    fn labels_that_point_nowhere_are_said_to() {
        let figures = [overlap([0.5, 0.47, 0.53])];
        let verdict = &findings(&Ground {
            lost_labels: 7,
            ..ground(&figures)
        })[0];
        let said = "none of the 7 labels points at an item that is compared";
        assert!(verdict.sentence.contains(said), "{}", verdict.sentence);
        assert!(verdict.rule.contains(said), "{}", verdict.rule);
    }
}
