//! What was told today about models that are turned off soon, so that a busy prompt fills no log.

use crate::domain::Timestamp;
use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

const MICROS_PER_DAY: i64 = 86_400_000_000;

/// The most pairs that are told in a day: clients choose models, and must not fill the memory.
const MAX_PAIRS: usize = 1_000;

/// The prompts and models of one day, in UTC.
#[derive(Debug, Default)]
pub(super) struct ToldToday(Mutex<Day>);

#[derive(Debug, Default)]
struct Day {
    number: i64,
    pairs: HashSet<(Option<String>, String)>,
}

impl ToldToday {
    /// Whether `model` was not told of yet today, for this prompt. From then on it was.
    pub(super) fn is_first(&self, prompt: Option<&str>, model: &str, at: Timestamp) -> bool {
        let number = at.0.div_euclid(MICROS_PER_DAY);
        // A set of names is whole whenever somebody died while holding it.
        let mut day = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if day.number != number {
            day.number = number;
            day.pairs.clear();
        }
        let has_room = day.pairs.len() < MAX_PAIRS;
        let pair = (prompt.map(str::to_owned), model.to_owned());
        has_room && day.pairs.insert(pair)
    }
}

#[cfg(test)]
mod tests {
    use super::{MAX_PAIRS, MICROS_PER_DAY, ToldToday};
    use crate::domain::Timestamp;

    #[test]
    fn each_pair_is_told_once_a_day() {
        let told = ToldToday::default();
        let (morning, evening) = (Timestamp(MICROS_PER_DAY), Timestamp(2 * MICROS_PER_DAY - 1));
        assert!(told.is_first(Some("greet"), "openai/a", morning));
        assert!(!told.is_first(Some("greet"), "openai/a", evening));
        assert!(told.is_first(Some("other"), "openai/a", evening));
        assert!(told.is_first(None, "openai/a", evening));
        let tomorrow = Timestamp(2 * MICROS_PER_DAY);
        assert!(told.is_first(Some("greet"), "openai/a", tomorrow));
    }

    #[test]
    fn names_that_clients_choose_do_not_fill_the_memory() {
        let told = ToldToday::default();
        let firsts =
            (0..MAX_PAIRS + 10).filter(|n| told.is_first(None, &n.to_string(), Timestamp(0)));
        assert_eq!(firsts.count(), MAX_PAIRS);
    }
}
