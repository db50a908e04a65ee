//! Scores of shared words: ROUGE-1, BLEU, GLEU, each with promptfoo's tokens.

use crate::evals::graders::ready::Ready;
use crate::evals::graders::{CannotJudge, Judged, treebank};
use crate::evals::values::{is_space, trim};
use std::collections::HashMap;

/// The longest runs of words that BLEU and GLEU look at.
const LONGEST: usize = 4;
/// What BLEU takes for a precision of zero.
const ALMOST_ZERO: f64 = 1e-7;

/// ROUGE-1, the F1 of shared words with clipped counts, reaches the threshold (0.75).
pub(super) fn rouge(ready: &Ready<'_>) -> Judged {
    let reference = ready.needed_text()?;
    ready.scored(rouge_1(&ready.text, reference), 0.75, "ROUGE-1")
}

/// BLEU over runs of up to four words reaches the threshold (0.5).
pub(super) fn bleu(ready: &Ready<'_>) -> Judged {
    let references = ready.needed_texts()?;
    ready.scored(bleu_of(&ready.text, &references), 0.5, "BLEU")
}

/// GLEU, the lesser of precision and recall over runs of up to four words, reaches the threshold (0.5).
pub(super) fn gleu(ready: &Ready<'_>) -> Judged {
    let references = ready.needed_texts()?;
    if ready.text.is_empty() {
        return Err(CannotJudge::because("GLEU says nothing of an empty output"));
    }
    ready.scored(gleu_of(&ready.text, &references), 0.5, "GLEU")
}

fn rouge_1(candidate: &str, reference: &str) -> f64 {
    let candidate = treebank::tokens(&candidate.to_lowercase());
    let reference = treebank::tokens(&reference.to_lowercase());
    let shared = count(shared_runs(&candidate, &reference, 1));
    if shared == 0.0 {
        return 0.0;
    }
    let (precision, recall) = (
        shared / count(candidate.len()),
        shared / count(reference.len()),
    );
    2.0 * precision * recall / (precision + recall)
}

/// Papineni et al. 2002: the geometric mean of clipped precisions (orders without runs are left out, zero is
/// 1e-7), times the brevity penalty against the reference of the closest length. Each order is clipped
/// against the single reference that shares most.
fn bleu_of(candidate: &str, references: &[&str]) -> f64 {
    let words = lowercase_words(candidate);
    let references: Vec<Vec<String>> = references
        .iter()
        .map(|text| lowercase_words(text))
        .collect();
    let closest = references
        .iter()
        .map(Vec::len)
        .min_by_key(|length| (length.abs_diff(words.len()), *length))
        .unwrap_or_default();
    if trim(candidate).is_empty() {
        return 0.0;
    }
    let mut logarithms = Vec::new();
    for length in 1..=LONGEST.min(words.len()) {
        let runs = count(words.len() - length + 1);
        let shared = references
            .iter()
            .map(|reference| shared_runs(&words, reference, length))
            .max()
            .unwrap_or_default();
        let precision = if shared == 0 {
            ALMOST_ZERO
        } else {
            count(shared) / runs
        };
        logarithms.push(precision.ln());
    }
    let penalty = if closest < words.len() {
        1.0
    } else {
        (1.0 - count(closest) / count(words.len())).exp()
    };
    penalty * (logarithms.iter().sum::<f64>() / count(logarithms.len())).exp()
}

/// Wu et al. 2016, the best over the references.
fn gleu_of(candidate: &str, references: &[&str]) -> f64 {
    let words = words_without_dots(candidate);
    let scores = references.iter().map(|reference| {
        let reference = words_without_dots(reference);
        if words == reference {
            return 1.0;
        }
        let orders = 1..=LONGEST;
        let shared: usize = orders
            .clone()
            .map(|length| shared_runs(&words, &reference, length))
            .sum();
        let runs = |words: &[String]| -> usize {
            orders
                .clone()
                .map(|length| (words.len() + 1).saturating_sub(length))
                .sum()
        };
        let most = runs(&words).max(runs(&reference));
        if most == 0 {
            0.0
        } else {
            count(shared) / count(most)
        }
    });
    scores.fold(0.0, f64::max)
}

/// How many runs of `length` words both have, each counted as often as in the one with fewer.
fn shared_runs(left: &[String], right: &[String], length: usize) -> usize {
    let mut counts: HashMap<&[String], usize> = HashMap::new();
    for run in right.windows(length) {
        *counts.entry(run).or_default() += 1;
    }
    let mut shared = 0;
    for run in left.windows(length) {
        if let Some(left_over) = counts.get_mut(run).filter(|left_over| 0 < **left_over) {
            *left_over -= 1;
            shared += 1;
        }
    }
    shared
}

/// Lowercase words between white space; empty text is one empty word, as in JavaScript.
pub(super) fn lowercase_words(text: &str) -> Vec<String> {
    let lowercase = text.to_lowercase();
    let text = trim(&lowercase);
    if text.is_empty() {
        return vec![String::new()];
    }
    let words = text.split(is_space).filter(|word| !word.is_empty());
    words.map(str::to_owned).collect()
}

fn words_without_dots(text: &str) -> Vec<String> {
    let words = lowercase_words(text);
    words
        .into_iter()
        .map(|word| word.trim_end_matches('.').to_owned())
        .collect()
}

/// A count as a float; more than 2^32 words are not counted.
fn count(number: usize) -> f64 {
    f64::from(u32::try_from(number).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::{bleu_of, gleu_of, rouge_1};
    use crate::evals::grade::Mark;
    use crate::evals::graders::tests::{graded, scored};
    use proptest::prelude::*;
    use serde_json::json;

    const CANDIDATE: &str = "The cat sat on the mat";
    const REFERENCE: &str = "The cat is sitting on the mat";

    fn is_near(score: f64, expected: f64) {
        assert!((score - expected).abs() < 5e-11, "{score} {expected}");
    }

    #[test]
    fn rouge_is_of_single_words() {
        is_near(rouge_1(CANDIDATE, REFERENCE), 0.769_230_769_23);
        is_near(rouge_1(CANDIDATE, CANDIDATE), 1.0);
        is_near(rouge_1("", REFERENCE), 0.0);
        assert_eq!(
            graded("rouge-n", json!(REFERENCE), json!(CANDIDATE)).0,
            Mark::Pass
        );
        assert_eq!(
            scored("rouge-n", json!(REFERENCE), 0.8, CANDIDATE).mark,
            Mark::Fail
        );
        assert_eq!(
            graded("rouge-n", json!([REFERENCE]), json!(CANDIDATE)).0,
            Mark::Error
        );
    }

    #[test]
    fn bleu_is_that_of_promptfoo() {
        is_near(bleu_of(CANDIDATE, &[REFERENCE]), 0.008_950_454_5);
        is_near(bleu_of("the cat", &["the cat sat"]), 0.606_530_659_7);
        is_near(
            bleu_of(CANDIDATE, &[REFERENCE, "There is a cat on the mat"]),
            bleu_of(CANDIDATE, &["There is a cat on the mat", REFERENCE]),
        );
        is_near(bleu_of(" ", &["x"]), 0.0);
        is_near(bleu_of("a b c d e", &["a b c d e"]), 1.0);
        let (mark, score) = graded("not-bleu", json!(REFERENCE), json!(CANDIDATE));
        assert_eq!(mark, Mark::Pass);
        is_near(score, 1.0 - 0.008_950_454_5);
    }

    #[test]
    fn gleu_is_that_of_promptfoo() {
        is_near(gleu_of(CANDIDATE, &[REFERENCE]), 0.409_090_909_1);
        is_near(gleu_of("The mat.", &["the mat"]), 1.0);
        let (mark, score) = graded("not-gleu", json!(REFERENCE), json!(CANDIDATE));
        assert_eq!(mark, Mark::Pass);
        is_near(score, 0.590_909_090_9);
        assert_eq!(graded("gleu", json!("x"), json!("")).0, Mark::Error);
    }

    proptest! {
        #[test]
        fn scores_are_shares(left in "[a-d .]{0,30}", right in "\\PC{1,20}|[a-d .]{1,30}") {
            for score in [rouge_1(&left, &right), bleu_of(&left, &[&right]), gleu_of(&left, &[&right])] {
                prop_assert!((0.0..=1.0 + 1e-12).contains(&score), "{score}");
            }
            if !left.trim().is_empty() {
                prop_assert!((gleu_of(&left, &[&left]) - 1.0).abs() < 1e-12);
                prop_assert!(0.99 < bleu_of(&left, &[&left]));
            }
        }
    }
}
