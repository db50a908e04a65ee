//! Whether a page is whole, asks nobody for anything, runs nothing but its own script, and holds what it should.

use super::super::{fixtures, page};
use crate::embeddings::compare::report::FigureGroup;
use crate::wire::testing::html::check;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

/// What stands in an element that occurs once.
fn inside<'a>(text: &'a str, open: &str, close: &str) -> &'a str {
    let (_, after) = text.split_once(open).unwrap();
    after.split_once(close).unwrap().0
}

#[test]
fn every_page_is_whole_and_alone() {
    for (name, report) in fixtures::all() {
        let text = page(&report);
        check(&text).unwrap_or_else(|problem| panic!("{name}: {problem}"));
        let is_alone = |text: &str| !text.contains("https://") && !text.contains("url(");
        // The hostile texts name addresses, which nobody is asked for.
        assert!(name == "hostile" || !text.contains("http://"), "{name}");
        assert!(is_alone(&text), "{name}");
        assert!(!text.contains("NaN") || !text.contains("inf\""), "{name}");
    }
    let hostile = page(&fixtures::hostile());
    assert!(!hostile.contains("<script>alert") && !hostile.contains("<img"));
    assert!(!hostile.contains('\u{202e}') && !hostile.contains('\u{1b}'));
}

/// The policy names the style and the script that are there.
#[test]
fn the_policy_fits_what_is_in_the_page() {
    let text = page(&fixtures::empty());
    for name in ["style", "script"] {
        let code = inside(&text, &format!("<{name}>"), &format!("</{name}>"));
        let hash = STANDARD.encode(Sha256::digest(code.as_bytes()));
        assert!(
            text.contains(&format!("{name}-src 'sha256-{hash}'")),
            "{name}"
        );
    }
    assert!(text.contains("default-src 'none'"));
}

#[test]
fn all_sections_are_there_and_the_contents_lead_to_them() {
    let text = page(&fixtures::labelled());
    let contents = inside(&text, "<nav ", "</nav>");
    for id in [
        "settings", "figures", "overlap", "queries", "movers", "scores", "plane", "clusters",
        "geometry", "method",
    ] {
        assert!(text.contains(&format!("<section id=\"{id}\" ")), "{id}");
        assert!(contents.contains(&format!("href=\"#{id}\"")), "{id}");
    }
    // What is not there is not led to.
    let text = page(&fixtures::empty());
    let contents = inside(&text, "<nav ", "</nav>");
    assert!(!contents.contains("#plane") && !text.contains("id=\"plane\""));
}

/// Every drawing says what it shows, but for the axes, which are part of the row above them.
#[test]
fn every_plot_has_words() {
    let text = page(&fixtures::labelled());
    for tag in text.split("<svg ").skip(1) {
        let tag = tag.split('>').next().unwrap();
        let is_told = tag.contains("role=\"img\"") && tag.contains("aria-label=\"");
        assert!(
            is_told && !tag.contains("aria-label=\"\"") || tag.contains("aria-hidden=\"true\""),
            "{tag}"
        );
    }
    for head in text.split("<th").skip(1) {
        let head = head.split('>').next().unwrap();
        assert!(head.contains("scope=") || head.starts_with("ead"), "{head}");
    }
}

/// The script takes the points in the order in which they are drawn.
#[test]
fn both_panes_show_the_same_items() {
    let report = fixtures::labelled();
    let text = page(&report);
    let pane = |side: &str| inside(&text, &format!("id=\"pane-{side}\""), "</figure>").to_owned();
    let dots = |pane: &str| {
        inside(pane, "<g class=\"dots\">", "<g class=\"marks\">")
            .matches("<path")
            .count()
    };
    assert_eq!(dots(&pane("a")), report.projection.points.len());
    assert_eq!(dots(&pane("b")), report.projection.points.len());
    let data = inside(&text, "id=\"data\">", "</script>");
    let data: serde_json::Value = serde_json::from_str(data).unwrap();
    let points = data["points"].as_array().unwrap();
    assert_eq!(points.len(), report.projection.points.len());
    let mut sorted = report.projection.points;
    sorted.sort_by_key(|point| point.cluster);
    assert_eq!(points[7][0], sorted[7].id.as_str());
}

#[test]
fn large_reports_are_bounded_and_say_so() {
    let mut report = fixtures::labelled();
    let points = report.projection.points.clone();
    report.projection.points = std::iter::repeat_n(points, 5).flatten().collect();
    let queries = report.queries.clone();
    report.queries = std::iter::repeat_n(queries, 2).flatten().collect();
    let text = page(&report);
    assert!(text.len() < 4_000_000, "{}", text.len());
    assert_eq!(text.matches("<tr class=\"query\">").count(), 500);
    assert!(text.contains("1700 queries more left out"));
    assert!(text.contains("2000 items more left out"));
    check(&text).unwrap();
}

#[test]
fn lost_answers_come_first() {
    let text = page(&fixtures::labelled());
    let kinds: Vec<&str> = text
        .split("<tbody data-kind=\"")
        .skip(1)
        .map(|row| row.split(' ').next().unwrap())
        .collect();
    assert_eq!(kinds[..37], ["lost"; 37]);
    assert_eq!(kinds[37..98], ["gained"; 61]);
    // Without labels nobody loses anything.
    let text = page(&fixtures::unlabelled());
    assert!(!text.contains("value=\"lost\"") && !text.contains("first relevant"));
}

#[test]
fn the_headline_is_the_overlap_that_gates_speak_of() {
    let mut report = fixtures::unlabelled();
    let mut first = report.figures[0].clone();
    (first.id, first.title) = (
        "query.overlap@1".to_owned(),
        "Share of the first 1".to_owned(),
    );
    report.figures.insert(0, first);
    let text = page(&report);
    let cards = inside(&text, "<dl class=\"cards\">", "</dl>");
    let titles: Vec<&str> = cards
        .split("<dt>")
        .skip(1)
        .map(|card| card.split("</dt>").next().unwrap())
        .collect();
    assert_eq!(
        titles[..2],
        [
            "Share of the first 10 that stay (queries)",
            "Share of the nearest 10 that stay (items)"
        ]
    );
}

#[test]
fn geometry_stands_beside_chance() {
    let text = page(&fixtures::labelled());
    let geometry = inside(&text, "<section id=\"geometry\"", "</section>");
    assert!(
        geometry.contains("data-label=\"chance\">0.176<"),
        "{geometry}"
    );
}

/// The margin is one of nDCG; a lead of scores has another measure.
#[test]
fn only_ndcg_has_a_margin() {
    let mut report = fixtures::labelled();
    let mut gap = report.figures[0].clone();
    (gap.id, gap.group) = ("query.gap".to_owned(), FigureGroup::Queries);
    report.figures.push(gap);
    let text = page(&report);
    let figures = inside(&text, "<section id=\"figures\"", "</section>");
    assert_eq!(figures.matches("class=\"band\"").count(), 1);
    assert_eq!(figures.matches("too small to count").count(), 1);
}

#[test]
fn the_words_at_the_top_are_stable() {
    for (name, report) in [
        ("labelled", fixtures::labelled()),
        ("undecided", fixtures::undecided()),
    ] {
        let text = page(&report);
        let body = inside(&text, "<body>", "<section id=\"overlap\"");
        insta::assert_snapshot!(format!("html_{name}"), body.replace("</tr>", "</tr>\n"));
    }
}
