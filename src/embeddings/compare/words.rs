//! What a cluster is about: words that are frequent in it and rare elsewhere (class-based TF-IDF).

use std::collections::{BTreeMap, HashMap};

/// How many words are shown of a cluster.
const SHOWN: usize = 5;
/// The shortest word that says anything, in characters.
const SHORTEST: usize = 3;
/// In how many texts of a cluster a word must stand, unless it has fewer.
const FEWEST_TEXTS: usize = 2;

/// Counts words by cluster.
#[derive(Debug, Default)]
pub(super) struct Words {
    clusters: Vec<Counts>,
}

#[derive(Debug, Default, Clone)]
struct Counts {
    texts: usize,
    words: usize,
    /// How often a word stands in the cluster, and in how many of its texts.
    of_word: HashMap<String, (usize, usize)>,
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
        let mut in_text: HashMap<String, usize> = HashMap::new();
        let words = text.split(|c: char| !c.is_alphanumeric() && c != '_' && c != '-');
        for word in words.map(|word| word.trim_matches(['-', '_'])) {
            if SHORTEST <= word.chars().count() && word.chars().any(char::is_alphabetic) {
                *in_text.entry(word.to_lowercase()).or_default() += 1;
                counts.words += 1;
            }
        }
        counts.texts += 1;
        for (word, count) in in_text {
            let (times, texts) = counts.of_word.entry(word).or_default();
            *times += count;
            *texts += 1;
        }
    }

    /// Returns the words of each cluster, the most typical first: tf·ln(1 + m/f), where f is how often a word
    /// stands in all clusters, and m how many words a cluster has in the mean.
    pub(super) fn typical(&self) -> Vec<Vec<String>> {
        let mut everywhere: HashMap<&str, usize> = HashMap::new();
        for (word, (times, _)) in self.clusters.iter().flat_map(|counts| &counts.of_word) {
            *everywhere.entry(word).or_default() += times;
        }
        let all: usize = self.clusters.iter().map(|counts| counts.words).sum();
        let filled = self
            .clusters
            .iter()
            .filter(|counts| 0 < counts.texts)
            .count();
        let mean = all as f64 / filled.max(1) as f64;
        let of_cluster = |counts: &Counts| {
            let fewest = FEWEST_TEXTS.min(counts.texts);
            let words = counts
                .of_word
                .iter()
                .filter(|(_, (_, texts))| fewest <= *texts);
            // By name first: a map has no order of its own.
            let words: BTreeMap<&String, &(usize, usize)> = words.collect();
            let mut weighed: Vec<(f64, &String)> = words
                .into_iter()
                .map(|(word, (times, _))| {
                    let anywhere = everywhere.get(word.as_str()).copied().unwrap_or(1);
                    let share = *times as f64 / counts.words.max(1) as f64;
                    (share * (mean / anywhere as f64).ln_1p(), word)
                })
                .collect();
            weighed.sort_by(|one, other| other.0.total_cmp(&one.0).then(one.1.cmp(other.1)));
            weighed
                .into_iter()
                .take(SHOWN)
                .map(|(_, word)| word.clone())
                .collect()
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
        assert_eq!(typical[0].first().map(String::as_str), Some("refund"));
        assert!(typical[0].contains(&"order".to_owned()), "{typical:?}");
        assert!(typical[1].contains(&"password".to_owned()), "{typical:?}");
        assert!(typical[2].is_empty());
    }
}
