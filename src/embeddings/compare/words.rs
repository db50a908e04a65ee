//! What a cluster is about: words that many of its texts have and few elsewhere.

use std::collections::{BTreeMap, HashMap, HashSet};

/// How many words are shown of a cluster.
const SHOWN: usize = 5;
/// The shortest word that says anything, in characters.
const SHORTEST: usize = 3;
/// In how many texts of a cluster a word must stand, unless it has fewer; and in one of how many.
const FEWEST_TEXTS: usize = 2;
const ONE_OF: usize = 10;
/// How many times as frequent as elsewhere a word must be: what is frequent in all texts is typical of none.
const LEAST_RATIO: f64 = 2.0;

/// Counts words by cluster.
#[derive(Debug, Default)]
pub(super) struct Words {
    clusters: Vec<Counts>,
}

#[derive(Debug, Default, Clone)]
struct Counts {
    texts: usize,
    /// In how many texts of the cluster a word stands; by name, for a hash map has no order of its own.
    of_word: BTreeMap<String, usize>,
}

impl Words {
    /// Returns counts for so many clusters.
    pub(super) fn new(clusters: usize) -> Self {
        Self {
            clusters: vec![Counts::default(); clusters],
        }
    }

    /// Takes a text of a cluster.
    pub(super) fn add(&mut self, cluster: usize, text: &str) {
        let Some(counts) = self.clusters.get_mut(cluster) else {
            return;
        };
        let words = text.split(|c: char| !c.is_alphanumeric() && c != '_' && c != '-');
        let words = words.map(|word| word.trim_matches(['-', '_']));
        let words = words.filter(|word| {
            SHORTEST <= word.chars().count() && word.chars().any(char::is_alphabetic)
        });
        // Each once, so that one long text does not speak for all.
        let words: HashSet<String> = words.map(str::to_lowercase).collect();
        counts.texts += 1;
        for word in words {
            *counts.of_word.entry(word).or_default() += 1;
        }
    }

    /// Returns the words of each cluster, the most typical first: p·ln(p/q), where p is the share of the cluster's
    /// texts that have the word, and q that of all others. It is the word's part of the Kullback-Leibler divergence
    /// (1951) of the cluster from the rest, and needs no list of stop words in any language.
    pub(super) fn typical(&self) -> Vec<Vec<String>> {
        let mut everywhere: HashMap<&str, usize> = HashMap::new();
        for (word, texts) in self.clusters.iter().flat_map(|counts| &counts.of_word) {
            *everywhere.entry(word).or_default() += texts;
        }
        let all: usize = self.clusters.iter().map(|counts| counts.texts).sum();
        let of_cluster = |counts: &Counts| {
            let others = all - counts.texts;
            let fewest = counts.texts.div_ceil(ONE_OF).max(FEWEST_TEXTS);
            let fewest = fewest.min(counts.texts);
            let words = counts.of_word.iter().filter(|(_, texts)| fewest <= **texts);
            let mut weighed: Vec<(f64, &String)> = words
                .filter_map(|(word, texts)| {
                    let anywhere = everywhere.get(word.as_str()).copied().unwrap_or(*texts);
                    let share = *texts as f64 / counts.texts as f64;
                    // Half a text more: a word that was not met elsewhere is rare there, not impossible.
                    let elsewhere = (anywhere - texts) as f64 + 0.5;
                    let ratio = share / (elsewhere / (others as f64 + 1.0));
                    let is_typical = LEAST_RATIO <= ratio || others == 0;
                    is_typical.then(|| (share * ratio.ln(), word))
                })
                .collect();
            weighed.sort_by(|one, other| other.0.total_cmp(&one.0).then(one.1.cmp(other.1)));
            let best = weighed.into_iter().take(SHOWN);
            best.map(|(_, word)| word.clone()).collect()
        };
        self.clusters.iter().map(of_cluster).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::Words;

    #[test]
    fn words_tell_clusters_apart() {
        let mut words = Words::new(3);
        for text in [
            "The refund of the order",
            "A refund, please: the refund of order 12",
        ] {
            words.add(0, text);
        }
        for text in ["The password and the login", "Login with the password"] {
            words.add(1, text);
        }
        let typical = words.typical();
        assert_eq!(typical[0], ["order", "refund"]);
        assert_eq!(typical[1], ["login", "password"]);
        assert!(typical[2].is_empty());
    }

    /// However often they stand in a text, and though no text of the cluster is without them.
    #[test]
    fn words_of_all_texts_are_typical_of_none() {
        let mut words = Words::new(8);
        let subjects = [
            "invoice", "parcel", "password", "warranty", "voucher", "courier", "tariff", "meter",
        ];
        for (cluster, subject) in subjects.iter().enumerate() {
            for number in 0..20 {
                let name = if number % 4 == 0 { subject } else { "thing" };
                let text = format!(
                    "You and you and you are asking for it, and for the {name} that are not for you"
                );
                words.add(cluster, &text);
            }
        }
        for (found, subject) in words.typical().iter().zip(subjects) {
            assert_eq!(found, &[subject]);
        }
        // Without others there is nothing to be rare in.
        let mut alone = Words::new(1);
        alone.add(0, "the refund");
        assert_eq!(alone.typical(), [["refund", "the"]]);
    }
}
