//! How odd a value is among others, without an assumed shape.

/// Returns the conformal p value of each score against a calibration sample, where higher is odder.
///
/// It is (1 + how many of the sample are as high)/(1 + n). When a score is drawn as the sample was, its p value
/// is below α at most α of the time (Vovk and others, 2005).
///
/// `None` without a sample, or with a value that is not finite.
#[must_use]
pub fn conformal_p_values(calibration: &[f64], scores: &[f64]) -> Option<Vec<f64>> {
    let mut values = calibration.iter().chain(scores);
    if calibration.is_empty() || values.any(|value| !value.is_finite()) {
        return None;
    }
    let mut sorted = calibration.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let all = (sorted.len() + 1) as f64;
    let p_value = |score: &f64| {
        let below = sorted.partition_point(|value| value < score);
        (sorted.len() - below + 1) as f64 / all
    };
    Some(scores.iter().map(p_value).collect())
}

#[cfg(test)]
mod tests {
    use super::conformal_p_values;

    #[test]
    fn a_score_is_odd_when_few_are_as_high() {
        let p_values = conformal_p_values(&[0.1, 0.2, 0.3, 0.4], &[0.25, 0.4, 0.5, 0.05]);
        assert_eq!(p_values.unwrap(), [0.6, 0.4, 0.2, 1.0]);
        let tied = conformal_p_values(&[0.1; 3], &[0.1, 0.11, 0.09]).unwrap();
        assert_eq!(tied, [1.0, 0.25, 1.0]);
        assert_eq!(conformal_p_values(&[], &[1.0]), None);
        assert_eq!(conformal_p_values(&[1.0], &[f64::NAN]), None);
    }
}
