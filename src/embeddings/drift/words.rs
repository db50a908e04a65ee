//! What a group of texts is about, in its own words: those that are frequent in it and rare elsewhere.

use std::collections::{HashMap, HashSet};

/// The shortest word that says something, in characters.
const SHORTEST: usize = 3;
/// How many times as frequent a word must be in the group as in what is known. The weight alone lets pass what every
/// second text has, like `what` and `the`: those are frequent enough to make up for being everybody's.
const TIMES: f64 = 3.0;

/// Returns the `most` words that tell `group` from `others`, the most telling first, of those that are not common in
/// `known` too: in the part of the others that the group is new to, or all of them.
///
/// It is the class-based TF-IDF of Grootendorst (2022), with texts counted in place of words, so that one
/// long text does not speak for all: the share of the group's texts that have the word, times
/// ln(1 + A/f) with f the number of all texts that have it and A their mean number in a class. A word of
/// a single text tells nothing, unless the group has one text only.
#[must_use]
pub fn telling_words(group: &[&str], others: &[&str], known: &[&str], most: usize) -> Vec<String> {
    let [own, elsewhere, before] = [group, others, known].map(texts_with);
    let mean = f64::midpoint(group.len() as f64, others.len() as f64);
    let least = group.len().min(2);
    let mut scored: Vec<(f64, &String)> = own
        .iter()
        .filter(|(_, count)| least <= **count)
        .filter_map(|(word, count)| {
            let other = elsewhere.get(word).copied().unwrap_or(0);
            let share = *count as f64 / group.len() as f64;
            let before = before.get(word).copied().unwrap_or(0);
            let share_before = before as f64 / known.len().max(1) as f64;
            let is_own = TIMES * share_before <= share;
            let all = count + other;
            is_own.then(|| (share * (mean / all as f64).ln_1p(), word))
        })
        .collect();
    scored.sort_by(|one, other| other.0.total_cmp(&one.0).then(one.1.cmp(other.1)));
    let best = scored.first().map_or(0.0, |(score, _)| *score);
    // What is far behind the first is there by chance.
    let near = scored.into_iter().filter(|(score, _)| best / 4.0 <= *score);
    near.take(most).map(|(_, word)| word.clone()).collect()
}

/// In how many texts each word stands.
fn texts_with(texts: &[&str]) -> HashMap<String, usize> {
    let mut counts = HashMap::new();
    for text in texts {
        let lower = text.to_lowercase();
        let words = lower.split(|c: char| !c.is_alphanumeric());
        let words: HashSet<&str> = words
            .filter(|word| SHORTEST <= word.chars().count())
            .collect();
        for word in words {
            *counts.entry(word.to_owned()).or_insert(0) += 1;
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::telling_words;

    #[test]
    fn words_of_the_group_are_told_and_those_of_everybody_are_not() {
        let group = [
            "how do I claim the solar rebate for my house",
            "is the solar rebate paid at once",
            "Solar panels: who gets the rebate?",
        ];
        let others = [
            "how do I get the refund for my order",
            "is the order on its way",
            "who pays the refund",
            "the house key was lost",
        ];
        let words = telling_words(&group, &others, &others, 3);
        assert_eq!(words.get(..2).unwrap(), ["rebate", "solar"]);
        let words = telling_words(&group, &others, &others, 9);
        for common in ["the", "how", "who"] {
            assert!(!words.iter().any(|word| word == common), "{words:?}");
        }
        let words = telling_words(&others[..2], &others[2..], &others[2..], 3);
        assert_eq!(words, ["order"], "both have `the`, as everybody has");
        let more = [
            &others[..],
            &["the solar rebate came", "no solar rebate yet"],
        ]
        .concat();
        let words = telling_words(&group, &more, &others, 2);
        assert_eq!(words, ["rebate", "solar"], "new to what is known");
        assert!(telling_words(&[], &others, &others, 3).is_empty());
        assert_eq!(telling_words(&["hello"], &[], &[], 3), ["hello"]);
    }
}
