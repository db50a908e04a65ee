//! A point in time as people read it.

/// Returns `2026-01-02 14:20 UTC`.
#[must_use]
pub(super) fn in_words(unix_ms: i64) -> String {
    let minutes = unix_ms.div_euclid(60_000);
    let (day, minute) = (minutes.div_euclid(1_440), minutes.rem_euclid(1_440));
    let (year, month, date) = civil(day);
    format!(
        "{year:04}-{month:02}-{date:02} {:02}:{:02} UTC",
        minute / 60,
        minute % 60
    )
}

/// The Gregorian date of a day since 1970-01-01. Years begin in March here, so that a leap day is the last of
/// its year.
fn civil(day: i64) -> (i64, i64, i64) {
    let from_era = day + 719_468;
    let (era, in_era) = (from_era.div_euclid(146_097), from_era.rem_euclid(146_097));
    let year = (in_era - in_era / 1_460 + in_era / 36_524 - in_era / 146_096) / 365;
    let in_year = in_era - (365 * year + year / 4 - year / 100);
    let march_month = (5 * in_year + 2) / 153;
    let date = in_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 {
        march_month + 3
    } else {
        march_month - 9
    };
    (era * 400 + year + i64::from(month <= 2), month, date)
}

#[cfg(test)]
mod tests {
    use super::in_words;

    #[test]
    fn days_have_their_dates() {
        for (seconds, text) in [
            (0, "1970-01-01 00:00 UTC"),
            (951_782_399, "2000-02-28 23:59 UTC"),
            (951_782_400, "2000-02-29 00:00 UTC"),
            (1_767_363_600, "2026-01-02 14:20 UTC"),
            (-60, "1969-12-31 23:59 UTC"),
        ] {
            assert_eq!(in_words(seconds * 1_000), text);
        }
    }
}
