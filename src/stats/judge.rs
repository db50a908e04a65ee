//! A judge that errs, and what its verdicts still say about the truth.

use super::distributions::z_two_sided;
use super::proportion::{share, wilson};
use super::sample::{mean, squares};
use super::{Estimate, Interval};
use serde::{Deserialize, Serialize};

/// A judge whose rates sum up to no more than this may not gate: a coin has 1.
pub const WEAKEST_JUDGE: f64 = 1.2;

/// How a judge's verdicts compare with the truth, as humans see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Confusion {
    /// Good answers that the judge passed.
    pub true_positive: u64,
    /// Good answers that the judge failed.
    pub false_negative: u64,
    /// Bad answers that the judge failed.
    pub true_negative: u64,
    /// Bad answers that the judge passed.
    pub false_positive: u64,
}

/// What share of answers is truly good, once the judge's errors are taken out.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Correction {
    /// The corrected share.
    Corrected {
        /// The share with its interval, both within 0 and 1.
        share: Estimate,
        /// The standard error, which holds the uncertainty about the judge.
        standard_error: f64,
    },
    /// The judge is too close to a coin for a correction: true-positive rate + true-negative rate is no
    /// more than [`WEAKEST_JUDGE`].
    JudgeTooWeak {
        /// The sum of the two rates.
        rates: f64,
    },
}

/// A mean of human labels, sharpened by a judge's.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PredictionPowered {
    /// The mean with its interval.
    pub mean: Estimate,
    /// The standard error.
    pub standard_error: f64,
    /// How much the judge was listened to: 0 not at all, 1 fully.
    pub lambda: f64,
}

/// How much [`prediction_powered`] listens to the judge.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trust {
    /// Not at all: the mean of the human labels.
    None,
    /// Fully, as in the first paper.
    Full,
    /// As much as makes the interval narrowest (PPI++).
    Tuned,
}

impl Confusion {
    /// Returns the share of good answers that the judge passes, with Wilson's interval; `None` without
    /// good answers or with a confidence that is not between 0 and 1.
    #[must_use]
    pub fn true_positive_rate(self, confidence: f64) -> Option<Estimate> {
        rate(self.true_positive, self.false_negative, confidence)
    }

    /// Returns the share of bad answers that the judge fails. `None` as for
    /// [`Confusion::true_positive_rate`].
    #[must_use]
    pub fn true_negative_rate(self, confidence: f64) -> Option<Estimate> {
        rate(self.true_negative, self.false_positive, confidence)
    }

    /// Returns the table that agreement is computed from: rows the truth, columns the judge, good first.
    #[must_use]
    pub const fn table(self) -> [[u64; 2]; 2] {
        [
            [self.true_positive, self.false_negative],
            [self.false_positive, self.true_negative],
        ]
    }
}

/// Returns the true share of good answers when a judge passed `passed` of `n` (Rogan and Gladen, 1978):
/// θ = (p + q0 − 1)/(q0 + q1 − 1), q1 and q0 the judge's true-positive and true-negative rates.
///
/// The error is by the delta method and holds that of the judge's rates. `None` when a count makes no
/// sense, the judge was never seen with good or with bad answers, or the confidence is not between 0
/// and 1.
#[must_use]
pub fn rogan_gladen(passed: u64, n: u64, judge: Confusion, confidence: f64) -> Option<Correction> {
    let apparent = share(passed, n)?;
    let z = z_two_sided(confidence)?;
    let sensitivity = judge.true_positive_rate(confidence)?.value;
    let specificity = judge.true_negative_rate(confidence)?.value;
    let rates = sensitivity + specificity;
    if rates <= WEAKEST_JUDGE + 1e-12 {
        return Some(Correction::JudgeTooWeak { rates });
    }
    let power = rates - 1.0;
    let truth = ((apparent + specificity - 1.0) / power).clamp(0.0, 1.0);
    let good = (judge.true_positive + judge.false_negative) as f64;
    let bad = (judge.true_negative + judge.false_positive) as f64;
    let variance = apparent * (1.0 - apparent) / n as f64
        + (1.0 - truth).powi(2) * specificity * (1.0 - specificity) / bad
        + truth.powi(2) * sensitivity * (1.0 - sensitivity) / good;
    let standard_error = variance.sqrt() / power;
    Some(Correction::Corrected {
        share: Estimate {
            value: truth,
            interval: Interval::around(truth, z * standard_error)?.clamped(0.0, 1.0),
        },
        standard_error,
    })
}

/// Returns the mean of human `labels`, sharpened by what the judge says of the same answers (`judged`)
/// and of many more (`unlabelled`), without inheriting the judge's bias (Angelopoulos et al., 2023).
///
/// `θ = λ·mean(Ŷ_N) + mean(Y − λŶ)`; `SE² = λ²·Var(Ŷ_N)/N + Var(Y − λŶ)/n`. `None` with no more than one
/// label, when labels and judgements differ in number, without further answers, with a value that is
/// not finite, or a confidence that is not between 0 and 1.
#[must_use]
pub fn prediction_powered(
    labels: &[f64],
    judged: &[f64],
    unlabelled: &[f64],
    trust: Trust,
    confidence: f64,
) -> Option<PredictionPowered> {
    if labels.len() != judged.len() || labels.len() < 2 {
        return None;
    }
    let (n, more) = (labels.len() as f64, unlabelled.len() as f64);
    let lambda = match trust {
        Trust::None => 0.0,
        Trust::Full => 1.0,
        Trust::Tuned => tuned(labels, judged, unlabelled)?,
    };
    let rest: Vec<f64> = labels
        .iter()
        .zip(judged)
        .map(|(label, judgement)| label - lambda * judgement)
        .collect();
    let (of_more, of_rest) = (mean(unlabelled)?, mean(&rest)?);
    let value = lambda * of_more + of_rest;
    let variance = lambda * lambda * squares(unlabelled, of_more) / more / more
        + squares(&rest, of_rest) / n / n;
    let standard_error = variance.sqrt();
    Some(PredictionPowered {
        mean: Estimate {
            value,
            interval: Interval::around(value, z_two_sided(confidence)? * standard_error)?,
        },
        standard_error,
        lambda,
    })
}

/// The λ of the narrowest interval: cov(Y, Ŷ)/((1 + n/N)·Var(Ŷ)), held within 0 and 1.
fn tuned(labels: &[f64], judged: &[f64], unlabelled: &[f64]) -> Option<f64> {
    let (of_labels, of_judged) = (mean(labels)?, mean(judged)?);
    let n = labels.len() as f64;
    let products = labels.iter().zip(judged);
    let covariance = products
        .map(|(label, judgement)| (label - of_labels) * (judgement - of_judged))
        .sum::<f64>()
        / n;
    let all: Vec<f64> = judged.iter().chain(unlabelled).copied().collect();
    let variance = super::sample::variance(&all)?;
    let lambda = covariance / ((1.0 + n / unlabelled.len() as f64) * variance);
    // A judge that always says the same has no variance, and says nothing.
    Some(if lambda.is_finite() {
        lambda.clamp(0.0, 1.0)
    } else {
        0.0
    })
}

fn rate(hits: u64, misses: u64, confidence: f64) -> Option<Estimate> {
    let total = hits.checked_add(misses)?;
    let value = share(hits, total)?;
    Some(Estimate {
        value,
        interval: wilson(hits, total, confidence)?,
    })
}

#[cfg(test)]
mod tests {
    use super::{Confusion, Correction, Trust, prediction_powered, rogan_gladen};
    use crate::stats::random::Random;
    use crate::stats::testing::{assert_close, assert_interval};

    const fn judge(true_positive: u64, good: u64, true_negative: u64, bad: u64) -> Confusion {
        Confusion {
            true_positive,
            false_negative: good - true_positive,
            true_negative,
            false_positive: bad - true_negative,
        }
    }

    #[test]
    fn corrections_have_their_reference_values() {
        for (passed, n, judge, truth, error, low, high) in [
            (
                400,
                500,
                judge(90, 100, 85, 100),
                0.866_666_666_7,
                0.042_555_410_5,
                0.783_259_594_7,
                0.950_073_738_6,
            ),
            (
                120,
                200,
                judge(46, 50, 44, 50),
                0.6,
                0.056_841_885_96,
                0.488_591_950_7,
                0.711_408_049_3,
            ),
        ] {
            let correction = rogan_gladen(passed, n, judge, 0.95).unwrap();
            let Correction::Corrected {
                share,
                standard_error,
            } = correction
            else {
                panic!("refused: {correction:?}");
            };
            assert_close(share.value, truth);
            assert_close(standard_error, error);
            assert_interval(share.interval, low, high);
        }
    }

    #[test]
    fn a_judge_near_a_coin_is_refused() {
        let correction = rogan_gladen(80, 100, judge(60, 100, 60, 100), 0.95).unwrap();
        let Correction::JudgeTooWeak { rates } = correction else {
            panic!("corrected: {correction:?}");
        };
        assert_close(rates, 1.2);
    }

    #[test]
    fn a_correction_stays_a_share() {
        let correction = rogan_gladen(1, 100, judge(95, 100, 90, 100), 0.95).unwrap();
        let Correction::Corrected { share, .. } = correction else {
            panic!("refused: {correction:?}");
        };
        assert_close(share.value, 0.0);
        assert_close(share.interval.low, 0.0);
    }

    #[test]
    fn rates_come_with_their_intervals() {
        let rates = judge(85, 100, 7, 10);
        let good = rates.true_positive_rate(0.95).unwrap();
        assert_interval(good.interval, 0.767_164_404_1, 0.906_940_147_2);
        let bad = rates.true_negative_rate(0.95).unwrap();
        assert_interval(bad.interval, 0.396_778_147_5, 0.892_208_732_6);
        assert_eq!(rates.table(), [[85, 15], [3, 7]]);
    }

    const LABELS: [f64; 10] = [1.0, 0.0, 1.0, 1.0, 0.0, 1.0, 0.0, 1.0, 1.0, 1.0];
    const JUDGED: [f64; 10] = [1.0, 0.0, 1.0, 1.0, 1.0, 1.0, 0.0, 1.0, 0.0, 1.0];

    #[test]
    fn a_judge_sharpens_few_labels_as_much_as_it_deserves() {
        let unlabelled = [vec![1.0; 62], vec![0.0; 28]].concat();
        for (trust, lambda, value, low, high) in [
            (Trust::None, 0.0, 0.7, 0.415_974_234_9, 0.984_025_765_1),
            (
                Trust::Full,
                1.0,
                0.688_888_888_9,
                0.395_670_518_9,
                0.982_107_258_9,
            ),
            (
                Trust::Tuned,
                0.458_204_768_6,
                0.694_908_835_9,
                0.448_323_509_1,
                0.941_494_162_7,
            ),
        ] {
            let result = prediction_powered(&LABELS, &JUDGED, &unlabelled, trust, 0.95).unwrap();
            assert_close(result.lambda, lambda);
            assert_close(result.mean.value, value);
            assert_interval(result.mean.interval, low, high);
        }
    }

    /// A judge that passes too much does not pull the mean along.
    #[test]
    fn a_biased_judge_does_not_bias_the_mean() {
        let mut random = Random::from_seed(4);
        let mut covered = 0;
        for _ in 0..200 {
            let mut draw = |n: usize| -> (Vec<f64>, Vec<f64>) {
                (0..n)
                    .map(|_| {
                        let is_good = random.happens(0.7);
                        let is_passed = is_good || random.happens(0.5);
                        (f64::from(u8::from(is_good)), f64::from(u8::from(is_passed)))
                    })
                    .unzip()
            };
            let (labels, judged) = draw(100);
            let (_, unlabelled) = draw(900);
            let result = prediction_powered(&labels, &judged, &unlabelled, Trust::Tuned, 0.95);
            covered += u32::from(result.unwrap().mean.interval.contains(0.7));
        }
        assert!((180..=200).contains(&covered), "{covered} of 200");
    }

    #[test]
    fn nonsense_is_not_corrected() {
        assert_eq!(rogan_gladen(3, 2, judge(9, 10, 9, 10), 0.95), None);
        assert_eq!(rogan_gladen(0, 0, judge(9, 10, 9, 10), 0.95), None);
        assert_eq!(rogan_gladen(1, 2, judge(0, 0, 9, 10), 0.95), None);
        assert_eq!(rogan_gladen(1, 2, judge(9, 10, 0, 0), 0.95), None);
        assert_eq!(rogan_gladen(1, 2, judge(9, 10, 9, 10), 1.0), None);
        assert_eq!(
            prediction_powered(&LABELS, &JUDGED[1..], &[1.0], Trust::Full, 0.95),
            None
        );
        assert_eq!(
            prediction_powered(&LABELS, &JUDGED, &[], Trust::Full, 0.95),
            None
        );
        assert_eq!(
            prediction_powered(&LABELS, &JUDGED, &[f64::NAN], Trust::Tuned, 0.95),
            None
        );
        assert_eq!(
            prediction_powered(&[1.0], &[1.0], &[1.0], Trust::Full, 0.95),
            None
        );
    }
}
