//! Which texts of the traffic make a window: each once, and nobody's too many. One bot is not drift.

use crate::embeddings::space::TextHash;
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet};

/// One user's texts are at most this part of a window.
const USER_PART: usize = 20;
/// But so many are always taken.
const USER_LEAST: usize = 5;

/// A text of the traffic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiveText {
    /// The call it came with.
    pub id: String,
    /// The text.
    pub text: String,
    /// Whose it is, where that is known: an end user or a session.
    pub user: Option<String>,
    /// When it came, in Unix milliseconds.
    pub at_ms: i64,
}

/// Takes texts until a window is full.
#[derive(Debug)]
pub struct Distinct {
    most: usize,
    seen: HashSet<TextHash>,
    by_user: HashMap<String, usize>,
    taken: Vec<LiveText>,
}

impl Distinct {
    /// Begins a window of at most `most` texts.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self {
            most,
            seen: HashSet::new(),
            by_user: HashMap::new(),
            taken: Vec::new(),
        }
    }

    /// Takes a text, unless it is empty, was taken before, its user has enough, or the window is full.
    pub fn offer(&mut self, text: LiveText) {
        let plain = text.text.trim();
        if self.is_full() || plain.is_empty() {
            return;
        }
        let hash = TextHash::of(plain);
        if self.seen.contains(&hash) {
            return;
        }
        if let Some(user) = &text.user {
            let count = self.by_user.entry(user.clone()).or_default();
            if (self.most / USER_PART).max(USER_LEAST) <= *count {
                return;
            }
            *count += 1;
        }
        self.seen.insert(hash);
        self.taken.push(text);
    }

    /// Returns whether no more is taken.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.most <= self.taken.len()
    }

    /// Returns what was taken, the oldest first.
    #[must_use]
    pub fn into_texts(self) -> Vec<LiveText> {
        let mut texts = self.taken;
        texts.sort_by(|one, other| (one.at_ms, &one.id).cmp(&(other.at_ms, &other.id)));
        texts
    }
}

#[cfg(test)]
mod tests {
    use super::{Distinct, LiveText};

    fn text(n: i64, text: &str, user: Option<&str>) -> LiveText {
        LiveText {
            id: format!("c{n}"),
            text: text.to_owned(),
            user: user.map(str::to_owned),
            at_ms: n,
        }
    }

    #[test]
    fn each_text_counts_once_and_no_user_fills_a_window() {
        let mut window = Distinct::new(20);
        window.offer(text(9, "hello", None));
        window.offer(text(8, " hello ", None));
        window.offer(text(7, "  ", None));
        for n in 10..30 {
            window.offer(text(n, &format!("bot {n}"), Some("bot")));
        }
        let texts = window.into_texts();
        assert_eq!(texts.len(), 6);
        assert_eq!(texts[0].text, "hello");
        let mut window = Distinct::new(20);
        for n in 0..30 {
            window.offer(text(30 - n, &format!("text {n}"), None));
        }
        assert!(window.is_full());
        let texts = window.into_texts();
        assert_eq!(texts.len(), 20);
        assert!(texts.is_sorted_by_key(|text| text.at_ms));
    }
}
