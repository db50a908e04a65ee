//! METEOR (Banerjee and Lavie 2005): words that are the same, or have the same stem, and how they are ordered.
//!
//! The third stage, synonyms of WordNet, is left out: its data is 30 MB. A score is therefore never above that
//! of promptfoo, and the same where no synonyms match.

use crate::evals::graders::porter::stem;
use crate::evals::graders::ready::Ready;
use crate::evals::graders::{CannotJudge, Judged};
use crate::evals::values::is_space;
use std::collections::HashMap;

/// How much precision weighs against recall.
const ALPHA: f64 = 0.9;
/// How steeply disorder costs.
const BETA: f64 = 3.0;
/// How much disorder costs at most.
const GAMMA: f64 = 0.5;

/// The best score over the references reaches the threshold (0.5). `alpha`, `beta` and `gamma` may be set.
pub(super) fn meteor(ready: &Ready<'_>) -> Judged {
    let references = ready.needed_texts()?;
    if ready.text.is_empty() {
        return Err(CannotJudge::because(
            "METEOR says nothing of an empty output",
        ));
    }
    let setting = |name: &str, default: f64| {
        let value = ready.assertion.config.get(name);
        value.and_then(serde_json::Value::as_f64).unwrap_or(default)
    };
    let settings = [
        setting("alpha", ALPHA),
        setting("beta", BETA),
        setting("gamma", GAMMA),
    ];
    let scores = references
        .iter()
        .map(|reference| score(&ready.text, reference, settings));
    ready.scored(scores.fold(0.0, f64::max), 0.5, "METEOR")
}

fn score(candidate: &str, reference: &str, [alpha, beta, gamma]: [f64; 3]) -> f64 {
    let (candidate, reference) = (words(candidate), words(reference));
    let mut matches = Vec::new();
    let rest = matched(numbered(&candidate), numbered(&reference), &mut matches);
    let stems = |words: Vec<(usize, String)>| {
        words
            .into_iter()
            .map(|(place, word)| (place, stem(&word)))
            .collect()
    };
    matched(stems(rest.0), stems(rest.1), &mut matches);
    if matches.is_empty() {
        return 0.0;
    }
    matches.sort_unstable();
    let count = |number: usize| f64::from(u32::try_from(number).unwrap_or(u32::MAX));
    let found = count(matches.len());
    let (precision, recall) = (
        found / count(candidate.len()),
        found / count(reference.len()),
    );
    let mean = precision * recall / (alpha * precision + (1.0 - alpha) * recall);
    let breaks = matches.windows(2).filter(|pair| match pair {
        [(a, b), (next_a, next_b)] => *next_a != a + 1 || *next_b != b + 1,
        _ => false,
    });
    let chunks = count(breaks.count() + 1);
    (1.0 - gamma * (chunks / found).powf(beta)) * mean
}

/// Lowercase words without dots at their end. White space at the ends makes empty words, as in promptfoo.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = text;
    loop {
        let end = rest.find(is_space).unwrap_or(rest.len());
        let (word, after) = rest.split_at_checked(end).unwrap_or((rest, ""));
        words.push(word.trim_end_matches('.').to_lowercase());
        if after.is_empty() {
            return words;
        }
        rest = after.trim_start_matches(is_space);
    }
}

type Numbered = Vec<(usize, String)>;

fn numbered(words: &[String]) -> Numbered {
    words.iter().cloned().enumerate().collect()
}

/// Pairs words that are the same, the last of the one with the last of the other, and returns what is left.
fn matched(
    candidate: Numbered,
    reference: Numbered,
    matches: &mut Vec<(usize, usize)>,
) -> (Numbered, Numbered) {
    let mut places: HashMap<&str, Vec<usize>> = HashMap::new();
    for (place, word) in &reference {
        places.entry(word).or_default().push(*place);
    }
    let mut paired = Vec::new();
    for (place, word) in candidate.iter().rev() {
        if let Some(other) = places.get_mut(word.as_str()).and_then(Vec::pop) {
            paired.push((*place, other));
        }
    }
    let left = |words: Numbered, taken: Vec<usize>| {
        let taken: std::collections::HashSet<usize> = taken.into_iter().collect();
        words
            .into_iter()
            .filter(|(place, _)| !taken.contains(place))
            .collect()
    };
    let taken = paired.iter().copied().unzip();
    let (in_candidate, in_reference): (Vec<usize>, Vec<usize>) = taken;
    matches.extend(paired);
    (left(candidate, in_candidate), left(reference, in_reference))
}

#[cfg(test)]
mod tests {
    use super::{ALPHA, BETA, GAMMA, score};
    use crate::evals::grade::Mark;
    use crate::evals::graders::tests::graded;
    use proptest::prelude::*;
    use serde_json::json;

    fn plain(candidate: &str, reference: &str) -> f64 {
        score(candidate, reference, [ALPHA, BETA, GAMMA])
    }

    /// Made with promptfoo's code, its WordNet stage taken out.
    #[test]
    fn scores_are_those_of_promptfoo_without_synonyms() {
        for (candidate, reference, expected) in METEOR {
            let found = plain(candidate, reference);
            assert!((found - expected).abs() < 1e-9, "{candidate} {found}");
        }
        let (mark, best) = graded("meteor", json!(["dogs bark", "a b c d"]), json!("a b c d"));
        assert_eq!(mark, Mark::Pass);
        assert!((best - 0.9921875).abs() < 1e-12);
        assert_eq!(
            graded("not-meteor", json!("dogs bark"), json!("a b")),
            (Mark::Pass, 1.0)
        );
        assert_eq!(graded("meteor", json!("x"), json!("")).0, Mark::Error);
    }

    const METEOR: [(&str, &str, f64); 6] = [
        (
            "The cat sat on the mat",
            "The cat is sitting on the mat",
            0.701_449_275_362_318_8,
        ),
        (
            "the mat sat on the cat",
            "the cat sat on the mat",
            0.851_851_851_851_851_9,
        ),
        (
            "It runs quickly.",
            "it was running quick.",
            0.256_410_256_410_256_44,
        ),
        ("nothing shared here", "completely different words", 0.0),
        (
            "The cat sat on the mat",
            "The cat sat on a mat.",
            0.743_333_333_333_333_5,
        ),
        (" lead", "lead", 0.454_545_454_545_454_53),
    ];

    proptest! {
        #[test]
        fn scores_are_shares(left in "[a-d .]{1,30}", right in "[a-d .]{1,30}|\\PC{0,9}") {
            let score = plain(&left, &right);
            prop_assert!((0.0..=1.0).contains(&score), "{score}");
        }
    }
}
