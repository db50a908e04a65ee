//! A's clusters and what became of them, as a table whose cells are the warmer the more changed.

use super::projection::{COLOURS, called};
use super::{Section, sort_head};
use crate::embeddings::compare::report::{ClusterChange, ComparisonReport};
use crate::embeddings::render::changed;
use crate::embeddings::render::numbers::{grouped, signed};
use crate::embeddings::render::words;
use std::fmt::Write as _;

/// Clusters that are shown.
const MAX_CLUSTERS: usize = 200;

pub(super) fn section(report: &ComparisonReport) -> Option<Section> {
    if report.clusters.is_empty() {
        return None;
    }
    let is_labelled = changed::has_labelled_clusters(report);
    let mut heads = vec![
        sort_head("cluster of A", false),
        sort_head("items", true),
        sort_head("overlap", true),
        sort_head("stay together in A", true),
        sort_head("in B", true),
    ];
    if is_labelled {
        heads.push(sort_head("nDCG, B less A", true));
        heads.push(sort_head("queries", true));
    }
    let mut body = format!(
        "<div class=\"sheet\"><table class=\"stack sortable heat\" id=\"clusters-table\"><thead><tr>{}</tr></thead><tbody>\n",
        heads.concat()
    );
    for cluster in report.clusters.iter().take(MAX_CLUSTERS) {
        row(&mut body, cluster, is_labelled);
    }
    body.push_str("</tbody></table></div>\n");
    super::top::left_out(&mut body, report.clusters.len(), MAX_CLUSTERS, "cluster");
    Some(Section {
        id: "clusters",
        short: "Clusters",
        title: "Where it changed",
        aside: "clusters of A, carried to B by the ids of their items".to_owned(),
        body,
    })
}

fn row(out: &mut String, cluster: &ClusterChange, is_labelled: bool) {
    let _ = write!(
        out,
        "<tr data-cluster=\"{number}\"><td class=\"name\"><i class=\"swatch k{}\" aria-hidden=\"true\"></i>{}</td><td class=\"number\" data-label=\"items\" data-key=\"{}\">{}</td>",
        cluster.cluster % COLOURS,
        called(&cluster.words, cluster.cluster, 4),
        cluster.items,
        grouped(cluster.items),
        number = cluster.cluster,
    );
    let cell =
        |out: &mut String, label: &str, value: Option<f64>, (class, text): (String, String)| {
            let key = value
                .filter(|value| value.is_finite())
                .map_or_else(String::new, |value| value.to_string());
            let _ = write!(
                out,
                "<td class=\"number {class}\" data-label=\"{label}\" data-key=\"{key}\">{text}</td>"
            );
        };
    let share = |value: Option<f64>| {
        let value = value.filter(|value| value.is_finite());
        (
            value.map_or_else(String::new, warmth),
            value.map(words::two).unwrap_or_default(),
        )
    };
    cell(out, "overlap", cluster.overlap, share(cluster.overlap));
    let [a, b] = cluster
        .cohesion
        .map_or([None, None], |sides| sides.map(Some));
    cell(out, "stay together in A", a, share(a));
    cell(out, "in B", b, share(b));
    if is_labelled {
        let delta = cluster.ndcg_delta.filter(|delta| delta.is_finite());
        let shown = (
            delta.map_or_else(String::new, leaning),
            delta.map(|delta| signed(delta, 3)).unwrap_or_default(),
        );
        cell(out, "nDCG, B less A", delta, shown);
        let _ = write!(
            out,
            "<td class=\"number\" data-label=\"queries\" data-key=\"{}\">{}</td>",
            cluster.queries,
            grouped(cluster.queries)
        );
    }
    out.push_str("</tr>\n");
}

/// The class of a share: the less stays, the warmer.
fn warmth(share: f64) -> String {
    let edges = [0.2, 0.35, 0.5, 0.65, 0.8, 0.95];
    let stays = edges.iter().filter(|edge| **edge <= share).count();
    format!("heat-{}", edges.len() - stays)
}

/// The class of a difference: which way, and how far.
fn leaning(delta: f64) -> String {
    let edges = [0.005, 0.02, 0.05, 0.1];
    let far = edges.iter().filter(|edge| **edge <= delta.abs()).count();
    match far {
        0 => String::new(),
        far if delta < 0.0 => format!("down-{far}"),
        far => format!("up-{far}"),
    }
}

#[cfg(test)]
mod tests {
    use super::{leaning, warmth};

    #[test]
    fn what_changed_is_warm() {
        assert_eq!(
            (warmth(1.0), warmth(0.5), warmth(0.0)),
            (
                "heat-0".to_owned(),
                "heat-3".to_owned(),
                "heat-6".to_owned()
            )
        );
        assert_eq!(
            (leaning(-0.03), leaning(0.2), leaning(0.0)),
            ("down-2".to_owned(), "up-4".to_owned(), String::new())
        );
    }
}
