//! What may be said of how much a migration does.

use crate::embeddings::migrate::{MoveWish, Verb};
use crate::embeddings::snapshots::Error;

/// Refuses a number that is out of its range.
pub(super) fn check_range(
    what: &str,
    said: Option<usize>,
    least: usize,
    most: usize,
) -> Result<(), Error> {
    match said {
        Some(said) if !(least..=most).contains(&said) => {
            let problem = format!("is {said}, not from {least} to {most}");
            Err(Error::invalid(what, problem, None))
        }
        _ => Ok(()),
    }
}

/// Refuses a pace of nothing: that is a pause.
pub(super) fn check_pace(texts_per_minute: Option<u32>) -> Result<(), Error> {
    if texts_per_minute == Some(0) {
        let hint = "`migrate pause` stops the background; a large number is as good as no limit";
        let problem = "is 0, and nothing would ever be embedded";
        return Err(Error::invalid("texts_per_minute", problem, Some(hint)));
    }
    Ok(())
}

/// Refuses limits with a verb that asks for nothing.
pub(super) fn check_limited(wish: &MoveWish, verb: Verb) -> Result<(), Error> {
    if !matches!(verb, Verb::Pause | Verb::Rollback) {
        return Ok(());
    }
    let what = if wish.max_cost.is_some() {
        "max_cost"
    } else {
        "texts_per_minute"
    };
    let problem = format!("is said with `{verb}`, which asks for nothing");
    let hint = "say it with `advance`, `backfill` or `resume`";
    Err(Error::invalid(what, problem, Some(hint)))
}

#[cfg(test)]
mod tests {
    use super::{check_limited, check_pace};
    use crate::domain::PicoDollars;
    use crate::embeddings::migrate::{MoveWish, Verb};

    #[test]
    fn a_pace_of_nothing_is_refused_with_what_stops_the_background() {
        assert!(check_pace(None).is_ok() && check_pace(Some(1)).is_ok());
        let refused = check_pace(Some(0)).unwrap_err();
        assert!(
            refused.to_string().contains("`texts_per_minute` is 0"),
            "{refused}"
        );
        assert!(refused.hint().unwrap().contains("migrate pause"));
    }

    #[test]
    fn limits_are_said_with_what_asks_for_something() {
        let of_cost = MoveWish {
            max_cost: Some(PicoDollars(1)),
            ..MoveWish::default()
        };
        let of_pace = MoveWish {
            texts_per_minute: Some(9),
            ..MoveWish::default()
        };
        for (wish, what) in [(of_cost, "max_cost"), (of_pace, "texts_per_minute")] {
            for verb in [Verb::Pause, Verb::Rollback] {
                let refused = check_limited(&wish, verb).unwrap_err().to_string();
                assert!(refused.contains(what), "{refused}");
            }
            for verb in [Verb::Advance, Verb::Backfill, Verb::Resume, Verb::Cutover] {
                assert!(check_limited(&wish, verb).is_ok());
            }
        }
    }
}
