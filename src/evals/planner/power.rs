//! What a run can see: the smallest drop of a pass rate that is found four times out of five.

/// (z at 2.5 % + z at 20 %) squared: an error rate of 5 %, a power of 80 %.
const Z_SQUARED: f64 = 7.848_879_734;

/// Returns the smallest difference of two paired shares that `cases` cases can see at 80 % power and
/// 5 % error, when the two differ in a share of `discordance` of the cases: the solution of
/// `d = 2.8016 * sqrt((discordance - d^2) / cases)`. `None` with fewer than two cases.
#[must_use]
pub fn detectable_drop(cases: usize, discordance: f64) -> Option<f64> {
    if cases < 2 {
        return None;
    }
    let count = f64::from(u32::try_from(cases).unwrap_or(u32::MAX));
    Some((Z_SQUARED * discordance / (count + Z_SQUARED)).sqrt())
}

#[cfg(test)]
mod tests {
    use super::detectable_drop;

    #[test]
    fn the_table_of_detectable_drops() {
        for (cases, discordance, drop) in [
            (20, 0.05, 0.1187),
            (20, 0.3, 0.2908),
            (50, 0.1, 0.1165),
            (100, 0.1, 0.0853),
            (100, 0.2, 0.1206),
            (300, 0.1, 0.0505),
            (1000, 0.3, 0.0483),
            (2000, 0.05, 0.0140),
        ] {
            let found = detectable_drop(cases, discordance).unwrap();
            assert!(
                (found - drop).abs() < 5e-5,
                "{cases} {discordance}: {found}"
            );
            // It solves the equation.
            let right = 2.801_585
                * ((discordance - found * found) / f64::from(u32::try_from(cases).unwrap())).sqrt();
            assert!((found - right).abs() < 1e-6, "{found} {right}");
        }
        assert_eq!(detectable_drop(1, 0.1), None);
    }
}
