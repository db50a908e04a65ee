//! What was lost, gained and moved, in the words of all forms: queries with their answers, items with their
//! neighbours, clusters.
//!
//! How many queries lose their answer is a figure, of all that are labelled: a report lists only some of them.

use super::numbers::{count, grouped};
use super::words::{beginning, counted, one_line};
use crate::embeddings::compare::report::{
    ClusterChange, ComparisonReport, Fate, Hit, ItemChange, QueryChange,
};

/// Returns whether labels tell of a cluster how good its answers are.
pub(super) fn has_labelled_clusters(report: &ComparisonReport) -> bool {
    let mut clusters = report.clusters.iter();
    clusters.any(|cluster| cluster.ndcg_delta.is_some())
}

/// Returns the queries of a fate that the report lists.
pub(super) fn of_fate(report: &ComparisonReport, fate: Fate) -> impl Iterator<Item = &QueryChange> {
    report
        .queries
        .iter()
        .filter(move |query| query.fate == fate)
}

/// Returns how many queries are of a fate, listed or not.
pub(super) fn number(report: &ComparisonReport, fate: Fate) -> usize {
    let id = match fate {
        Fate::Lost => "label.lost",
        Fate::Gained => "label.gained",
        Fate::Kept => "",
    };
    let mut figures = report.figures.iter();
    let counted = figures.find(|figure| figure.id == id).and_then(counted);
    counted.unwrap_or_else(|| of_fate(report, fate).count())
}

/// Returns how many queries lose and gain their answer, where labels tell.
pub(super) fn lost_and_gained(report: &ComparisonReport) -> Option<(usize, usize)> {
    let (lost, gained) = (number(report, Fate::Lost), number(report, Fate::Gained));
    (0 < report.method.labelled || 0 < lost + gained).then_some((lost, gained))
}

/// Returns among how many queries lost and gained answers were counted: `of 1100 queries`, or of those with
/// labels.
pub(super) fn among(report: &ComparisonReport) -> String {
    let method = &report.method;
    if method.labelled < method.queries {
        format!("of {}", count(method.labelled, "labelled query"))
    } else {
        format!("of {}", count(method.queries, "query"))
    }
}

/// Returns how many queries lose or gain an answer: `3 of 60 queries lose their answer`.
pub(super) fn fate(report: &ComparisonReport, fate: Fate) -> Option<String> {
    let number = number(report, fate);
    let told = match (fate, number) {
        (Fate::Kept, _) | (_, 0) => return None,
        (Fate::Lost, 1) => "loses its answer",
        (Fate::Lost, _) => "lose their answer",
        (Fate::Gained, 1) => "gains an answer",
        (Fate::Gained, _) => "gain an answer",
    };
    Some(format!("{} {} {told}", grouped(number), among(report)))
}

/// Returns how many queries of a fate are not among the `shown` ones.
pub(super) fn not_shown(report: &ComparisonReport, fate: Fate, shown: usize) -> Option<String> {
    let missing = number(report, fate)
        .checked_sub(shown)
        .filter(|missing| 0 < *missing)?;
    Some(if 0 < shown {
        format!("and {} more", grouped(missing))
    } else {
        let listed = count(report.queries.len(), "query");
        format!("none of them is among the {listed} that this report lists")
    })
}

/// Returns a query as it is called: its text, else its id.
pub(super) fn query(query: &QueryChange) -> &str {
    query.text.as_deref().unwrap_or(&query.id)
}

/// Returns an item as it is called: the beginning of its text, else its id.
pub(super) fn item(item: &ItemChange) -> &str {
    item.text.as_deref().unwrap_or(&item.id)
}

/// Returns an answer as it is called: the beginning of its text, else its id.
pub(super) fn hit(hit: &Hit) -> &str {
    hit.text.as_deref().unwrap_or(&hit.id)
}

/// Returns whether an answer is labelled as relevant.
pub(super) fn is_relevant(hit: &Hit) -> bool {
    hit.relevance.is_some_and(|grade| 0.0 < grade)
}

/// Returns a rank, or that there is none.
pub(super) fn rank(rank: Option<usize>) -> String {
    rank.map_or_else(|| "none".to_owned(), |rank| rank.to_string())
}

/// Returns the items whose neighbours are not what they were, those that changed most first.
pub(super) fn movers(report: &ComparisonReport) -> impl Iterator<Item = &ItemChange> {
    let has_moved = |item: &&ItemChange| item.overlap < 1.0 || item.rbo < 1.0 - 1e-9;
    report.movers.iter().filter(has_moved)
}

/// Returns a cluster as it is called: its first words, else its number.
pub(super) fn cluster(cluster: &ClusterChange) -> String {
    let words = cluster.words.iter().take(4);
    let words: Vec<String> = words.map(|word| one_line(&beginning(word, 24))).collect();
    if words.is_empty() {
        format!("cluster {}", cluster.cluster)
    } else {
        words.join(", ")
    }
}
