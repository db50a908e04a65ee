//! How far a run is, in a line.

use crate::domain::PicoDollars;
use crate::evals::run::Progress;
use std::fmt::Write as _;

/// How far it is, in words.
pub(crate) fn line(progress: &Progress) -> String {
    let mut text = format!(
        "{}/{}  {} passed, {} failed",
        progress.done, progress.total, progress.passed, progress.failed
    );
    if 0 < progress.errors {
        let _ = write!(text, ", {} errors", progress.errors);
    }
    let _ = write!(text, "  ${}", dollars(progress.case_pico_usd));
    if progress.judge_pico_usd != PicoDollars(0) {
        let _ = write!(text, " + ${} judges", dollars(progress.judge_pico_usd));
    }
    if let Some(left) = progress.left_ms.filter(|_| progress.done < progress.total) {
        let _ = write!(text, "  about {} left", span(left));
    }
    text
}

/// Money as far as it matters while a run goes on: to a hundredth of a cent.
fn dollars(amount: PicoDollars) -> String {
    let parts = amount.0 / 100_000_000;
    format!("{}.{:04}", parts / 10_000, parts % 10_000)
}

/// Returns a time as people say it: `4s`, `2m 10s`, `1h 5m`.
pub(crate) fn span(millis: u64) -> String {
    let seconds = millis.div_ceil(1_000);
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m {}s", seconds / 60, seconds % 60),
        _ => format!("{}h {}m", seconds / 3_600, seconds % 3_600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::{dollars, span};
    use crate::domain::PicoDollars;

    #[test]
    fn money_and_time_are_short() {
        assert_eq!(dollars(PicoDollars(1_234_567_890_000)), "1.2345");
        assert_eq!(dollars(PicoDollars(99_999_999)), "0.0000");
        for (millis, text) in [
            (1, "1s"),
            (59_001, "1m 0s"),
            (130_000, "2m 10s"),
            (3_900_000, "1h 5m"),
        ] {
            assert_eq!(span(millis), text);
        }
    }
}
