//! The figures of a shift, from answers and their vectors: pure.

use crate::embeddings::Matrix;
use crate::embeddings::geometry::two_sample::mmd;
use crate::embeddings::rows::cosine;
use crate::embeddings::search::dot::unit;
use crate::evals::report::Figure;
use crate::evals::shift::{Distribution, MovedCase, Noise, SubjectShift, VersionName};
use crate::stats::{Interval, bootstrap_bca, mean, quantile, wilson};

/// Below this a case has moved, when the base cannot tell its own noise.
const USUAL_THRESHOLD: f64 = 0.9;
/// The share of cases that noise alone puts below a calibrated threshold.
const NOISE_SHARE: f64 = 0.05;
/// Cases answered twice from which on the base's noise gives the threshold: fewer have no 5 % quantile.
const FEWEST_NOISY: usize = 20;
/// Cases from which on all answers are tested together.
const FEWEST_TESTED: usize = 10;
/// Cases that are tested at most: the work grows with their square.
const MOST_TESTED: usize = 500;
const PERMUTATIONS: usize = 199;
const SEED: u64 = 20_261;
const CONFIDENCE: f64 = 0.95;
/// Cases that are shown.
const SHOWN: usize = 10;
/// Characters of an answer that are kept to be shown.
const SHOWN_CHARACTERS: usize = 600;

/// The answers of a case, with their vectors; `None` where there is no vector.
#[derive(Debug, Clone)]
pub struct Answered<'a> {
    /// The case.
    pub case: &'a str,
    /// The first answer of base.
    pub base: (&'a str, Option<&'a [f32]>),
    /// The second answer of base, when its case was answered twice.
    pub again: Option<&'a [f32]>,
    /// The first answer of head.
    pub head: (&'a str, Option<&'a [f32]>),
}

/// Returns how far head's answers lie from base's; `None` when no case has vectors on both sides.
///
/// Only the first answers are compared, also where there are more: then a pair of base's own answers and
/// a pair of base and head are drawn alike, and 5 % of the cases lie below the threshold by noise alone.
#[must_use]
pub fn measure(
    (subject, prompt): (&str, &str),
    (base, head): (VersionName, VersionName),
    answers: &[Answered<'_>],
) -> Option<SubjectShift> {
    let pairs: Vec<(&Answered<'_>, f64)> = answers
        .iter()
        .filter_map(|answered| Some((answered, alike(answered.base.1?, answered.head.1?)?)))
        .collect();
    let across: Vec<f64> = pairs.iter().map(|(_, similarity)| *similarity).collect();
    let similarity = figure(&across)?;
    let own: Vec<f64> = answers.iter().filter_map(with_itself).collect();
    let calibrated = (FEWEST_NOISY <= own.len())
        .then(|| quantile(&own, NOISE_SHARE))
        .flatten();
    let threshold = calibrated.unwrap_or(USUAL_THRESHOLD);
    let moved = count(across.iter().filter(|found| **found < threshold).count());
    let cases = count(across.len());
    Some(SubjectShift {
        subject: subject.to_owned(),
        prompt: prompt.to_owned(),
        base,
        head,
        cases,
        left_out: count(answers.len() - across.len()),
        similarity,
        noise: figure(&own).map(|similarity| Noise {
            cases: count(own.len()),
            similarity,
            beyond: figure(&beyond(&pairs)),
        }),
        threshold,
        is_calibrated: calibrated.is_some(),
        moved,
        moved_share: share(moved, cases),
        distribution: distribution(&pairs),
        furthest: furthest(pairs),
    })
}

fn with_itself(answered: &Answered<'_>) -> Option<f64> {
    alike(answered.base.1?, answered.again?)
}

/// By how much each case's head is less alike to its base than that is to itself.
fn beyond(pairs: &[(&Answered<'_>, f64)]) -> Vec<f64> {
    let of_case = |(answered, across): &(&Answered<'_>, f64)| Some(with_itself(answered)? - across);
    pairs.iter().filter_map(of_case).collect()
}

fn distribution(pairs: &[(&Answered<'_>, f64)]) -> Option<Distribution> {
    if pairs.len() < FEWEST_TESTED {
        return None;
    }
    let step = pairs.len().div_ceil(MOST_TESTED);
    let taken: Vec<&Answered<'_>> = pairs.iter().step_by(step).map(|(one, _)| *one).collect();
    let window = |side: fn(&Answered<'_>) -> Option<Vec<f32>>| {
        let rows: Vec<Vec<f32>> = taken.iter().filter_map(|answered| side(answered)).collect();
        let dimensions = rows.first()?.len();
        Matrix::new(dimensions, rows.concat())
    };
    let base = window(|answered| unit(answered.base.1?))?;
    let head = window(|answered| unit(answered.head.1?))?;
    let test = mmd(&base, &head, None, (PERMUTATIONS, SEED))?;
    Some(Distribution {
        mmd: test.unbiased,
        p_value: test.p_value?,
        cases: count(taken.len()),
    })
}

fn furthest(mut pairs: Vec<(&Answered<'_>, f64)>) -> Vec<MovedCase> {
    pairs.sort_by(|(one, a), (other, b)| a.total_cmp(b).then_with(|| one.case.cmp(other.case)));
    let differs = |(answered, _): &&(&Answered<'_>, f64)| answered.base.0 != answered.head.0;
    let short = |text: &str| text.chars().take(SHOWN_CHARACTERS).collect();
    let shown = pairs.iter().filter(differs).take(SHOWN);
    shown
        .map(|(answered, similarity)| MovedCase {
            case: answered.case.to_owned(),
            similarity: *similarity,
            base: short(answered.base.0),
            head: short(answered.head.0),
        })
        .collect()
}

/// The cosine of two vectors, without what rounding adds to it.
fn alike(one: &[f32], other: &[f32]) -> Option<f64> {
    cosine(one, other).map(|cosine| cosine.clamp(-1.0, 1.0))
}

fn figure(values: &[f64]) -> Option<Figure> {
    let value = mean(values)?;
    let interval = match values.len() {
        0 | 1 => None,
        _ => bootstrap_bca(values, CONFIDENCE, SEED),
    };
    Some(with_interval(value, interval))
}

fn share(moved: u64, cases: u64) -> Figure {
    #[expect(clippy::cast_precision_loss, reason = "counts of cases are small")]
    let value = moved as f64 / cases.max(1) as f64;
    with_interval(value, wilson(moved, cases, CONFIDENCE))
}

fn with_interval(value: f64, interval: Option<Interval>) -> Figure {
    Figure {
        value,
        low: interval.map(|interval| interval.low),
        high: interval.map(|interval| interval.high),
    }
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::{Answered, measure};
    use crate::evals::shift::{SubjectShift, VersionName};

    /// A vector at an angle to the first axis, in degrees.
    fn at(degrees: f32) -> Vec<f32> {
        let angle = degrees.to_radians();
        vec![2.0 * angle.cos(), 2.0 * angle.sin()]
    }

    /// Base at 0 degrees (and again at `noise`), head at the given ones.
    fn shift(noise: Option<f32>, heads: &[f32]) -> Option<SubjectShift> {
        let base = at(0.0);
        let again = noise.map(at);
        let heads: Vec<Vec<f32>> = heads.iter().map(|degrees| at(*degrees)).collect();
        let names: Vec<String> = (0..heads.len())
            .map(|index| format!("case-{index}"))
            .collect();
        let answers: Vec<Answered<'_>> = names
            .iter()
            .zip(&heads)
            .map(|(case, head)| Answered {
                case,
                base: ("before", Some(&base)),
                again: again.as_deref(),
                head: ("after", Some(head)),
            })
            .collect();
        let names = (VersionName::default(), VersionName::default());
        measure(("s", "p"), names, &answers)
    }

    #[test]
    fn cases_are_compared_one_by_one() {
        let found = shift(None, &[0.0, 60.0, 10.0]).unwrap();
        let cosines = [1.0, 0.5, 10.0_f64.to_radians().cos()];
        let wanted = cosines.iter().sum::<f64>() / 3.0;
        assert!((found.similarity.value - wanted).abs() < 1e-6, "{found:?}");
        assert!(found.similarity.low.unwrap() < wanted);
        assert_eq!((found.cases, found.moved, found.left_out), (3, 1, 0));
        assert!((found.threshold - 0.9).abs() < 1e-12 && !found.is_calibrated);
        assert_eq!(found.noise, None);
        assert_eq!(
            found.distribution, None,
            "three cases say nothing of a distribution"
        );
        assert_eq!(found.furthest[0].case, "case-1");
        assert_eq!(found.furthest[0].base, "before");
    }

    #[test]
    fn the_base_s_own_noise_says_what_has_moved() {
        // Twenty degrees are noise here, and would be called moved by the usual threshold.
        let heads: Vec<f32> = (0..20).map(|_| 20.0).chain([80.0; 4]).collect();
        let found = shift(Some(30.0), &heads).unwrap();
        let noise = found.noise.unwrap();
        assert_eq!(noise.cases, 24);
        assert!(found.is_calibrated);
        assert!((found.threshold - 30.0_f64.to_radians().cos()).abs() < 1e-6);
        assert_eq!(found.moved, 4);
        // Fewer than twenty twice-answered cases calibrate nothing, but are told.
        let few = shift(Some(30.0), &[20.0; 19]).unwrap();
        assert!(!few.is_calibrated && few.noise.is_some());
        let beyond = few.noise.unwrap().beyond.unwrap();
        assert!(
            beyond.value < 0.0,
            "head is nearer than base to itself: {beyond:?}"
        );
    }

    #[test]
    fn a_distribution_that_moved_as_a_whole_is_seen() {
        let spread = |shift: f32| -> Vec<f32> {
            (0_u8..40)
                .map(|step| shift + f32::from(step) * 7.0 % 23.0)
                .collect()
        };
        let names: Vec<String> = (0..40).map(|index| index.to_string()).collect();
        let tested = |head: &[f32]| {
            let (bases, heads): (Vec<_>, Vec<_>) = (
                spread(0.0).into_iter().map(at).collect(),
                head.iter().map(|degrees| at(*degrees)).collect(),
            );
            let answers: Vec<Answered<'_>> = (0..40)
                .map(|index| Answered {
                    case: &names[index],
                    base: ("b", Some(&bases[index])),
                    again: None,
                    head: ("h", Some(&heads[index])),
                })
                .collect();
            let versions = (VersionName::default(), VersionName::default());
            measure(("s", "p"), versions, &answers)
                .unwrap()
                .distribution
                .unwrap()
                .p_value
        };
        assert!(tested(&spread(40.0)) < 0.01);
        assert!(tested(&spread(0.0)) > 0.5);
    }

    #[test]
    fn what_has_no_direction_is_left_out_and_counted() {
        let (axis, nothing) = (at(0.0), vec![0.0, 0.0]);
        let answer = |base, head| Answered {
            case: "c",
            base: ("", base),
            again: None,
            head: ("x", head),
        };
        let answers = [
            answer(Some(axis.as_slice()), Some(axis.as_slice())),
            answer(Some(axis.as_slice()), Some(nothing.as_slice())),
            answer(None, Some(axis.as_slice())),
        ];
        let names = || (VersionName::default(), VersionName::default());
        let found = measure(("s", "p"), names(), &answers).unwrap();
        assert_eq!((found.cases, found.left_out), (1, 2));
        assert!(measure(("s", "p"), names(), &answers[1..]).is_none());
    }
}
