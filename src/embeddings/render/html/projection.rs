//! Where items are on a plane, before and after: two panes with the same items, linked, and arrows for those
//! that moved most.

use super::Section;
use super::plots::px;
use crate::embeddings::compare::report::{ComparisonReport, ProjectedItem};
use crate::embeddings::render::numbers::{count, percent};
use crate::embeddings::render::words;
use crate::wire::escape::{html, json_in_html, visible};
use crate::wire::plain::cut;
use serde_json::{Value, json};
use std::fmt::Write as _;

/// Points that are drawn, arrows (at most for every tenth), clusters that are named, and characters of a text.
const MAX_POINTS: usize = 5_000;
const MAX_ARROWS: usize = 200;
const MAX_NAMED: usize = 12;
const MAX_TEXT: usize = 140;
/// Colours of clusters; they come again.
pub(super) const COLOURS: usize = 12;
/// The side of a pane, and the margin in it.
const PANE: f64 = 400.0;
const MARGIN: f64 = 12.0;

/// The points that are drawn, in the order in which they are.
fn points(report: &ComparisonReport) -> Vec<&ProjectedItem> {
    let is_whole = |point: &&ProjectedItem| {
        point
            .a
            .iter()
            .chain(&point.b)
            .all(|place| place.is_finite())
    };
    let mut points: Vec<&ProjectedItem> = report
        .projection
        .points
        .iter()
        .filter(is_whole)
        .take(MAX_POINTS)
        .collect();
    // One colour is set for all points of a cluster, so they stand together.
    points.sort_by_key(|point| point.cluster);
    points
}

/// How places become places on a pane: the same in both, and as far to the right as up.
struct Plane {
    centre: [f64; 2],
    scale: f64,
}

impl Plane {
    fn over(points: &[&ProjectedItem]) -> Self {
        let ends = |axis: fn(&[f64; 2]) -> f64| {
            let places = points
                .iter()
                .flat_map(|point| [axis(&point.a), axis(&point.b)]);
            places.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), place| {
                (low.min(place), high.max(place))
            })
        };
        let (x, y) = (ends(|[x, _]| *x), ends(|[_, y]| *y));
        let span = (x.1 - x.0).max(y.1 - y.0).max(1e-9);
        Self {
            centre: [f64::midpoint(x.0, x.1), f64::midpoint(y.0, y.1)],
            scale: (PANE - 2.0 * MARGIN) / span,
        }
    }

    fn at(&self, [x, y]: [f64; 2]) -> [f64; 2] {
        let [centre_x, centre_y] = self.centre;
        [
            PANE / 2.0 + (x - centre_x) * self.scale,
            PANE / 2.0 - (y - centre_y) * self.scale,
        ]
    }
}

fn distance([x, y]: [f64; 2], [other_x, other_y]: [f64; 2]) -> f64 {
    (x - other_x).hypot(y - other_y)
}

pub(super) fn section(report: &ComparisonReport) -> Option<Section> {
    let points = points(report);
    if points.len() < 2 {
        return None;
    }
    let plane = Plane::over(&points);
    let mut body = format!(
        "<p class=\"lead-in\">The plane is that of A's two main directions and shows {} of its variance; B is turned onto it, so that movements mean something. Distances between far points do not.</p>\n",
        html(&percent(report.projection.shown))
    );
    tools(&mut body, report);
    body.push_str("<div class=\"panes\" id=\"panes\">");
    let arrows = arrows(&points, &plane);
    let to_b = format!(
        "<span class=\"only-one\"> → <i class=\"side b\" aria-hidden=\"true\"></i>B <b>{}</b></span>",
        super::name(&report.b.name)
    );
    for (side, name) in [("a", &report.a.name), ("b", &report.b.name)] {
        let label = format!(
            "{} of {} on a plane, coloured by clusters of A",
            count(points.len(), "item"),
            super::name(name)
        );
        let _ = write!(
            body,
            "<figure class=\"sheet pane\" id=\"pane-{side}\"><figcaption><i class=\"side {side}\" aria-hidden=\"true\"></i>{} <b>{}</b>{}</figcaption><svg viewBox=\"0 0 {PANE} {PANE}\" role=\"img\" aria-label=\"{label}\">",
            side.to_uppercase(),
            super::name(name),
            if side == "a" { to_b.as_str() } else { "" },
        );
        // The arrows are drawn once, and shown in A when both are on one plane.
        if side == "b" {
            let _ = write!(body, "<g class=\"arrows\" id=\"arrows\">{arrows}</g>");
        } else {
            body.push_str("<use class=\"arrows\" href=\"#arrows\"/>");
        }
        dots(&mut body, &points, &plane, side);
        body.push_str("<g class=\"marks\"></g></svg></figure>");
    }
    body.push_str(
        "</div>\n<p class=\"told\" id=\"told\" role=\"status\" aria-live=\"polite\"></p>\n",
    );
    super::top::left_out(
        &mut body,
        report.projection.points.len(),
        MAX_POINTS,
        "item",
    );
    Some(Section {
        id: "plane",
        short: "Plane",
        title: "Before and after",
        aside: format!(
            "{}, arrows for those that moved most",
            count(points.len(), "item")
        ),
        body,
    })
}

fn tools(out: &mut String, report: &ComparisonReport) {
    out.push_str(
        "<div class=\"tools needs-script\" id=\"plane-tools\"><button type=\"button\" id=\"one-plane\" aria-pressed=\"false\">Both on one plane</button>\
         <span class=\"slider\" hidden=\"\"><button type=\"button\" id=\"play\">Play A → B</button><label for=\"step\">A</label><input id=\"step\" type=\"range\" min=\"0\" max=\"100\" value=\"0\" aria-label=\"from A to B\"><span aria-hidden=\"true\">B</span></span>\
         <button type=\"button\" id=\"show-arrows\" aria-pressed=\"true\">Arrows</button>\
         <span class=\"soft hint\">Hover or tap an item; arrow keys walk through those that moved most.</span></div>\n",
    );
    let mut clusters: Vec<_> = report.clusters.iter().collect();
    clusters.sort_by_key(|cluster| std::cmp::Reverse(cluster.items));
    if clusters.is_empty() {
        return;
    }
    out.push_str("<p class=\"legend clusters\">");
    for cluster in clusters.iter().take(MAX_NAMED) {
        let _ = write!(
            out,
            "<button type=\"button\" class=\"chip\" data-cluster=\"{}\" aria-pressed=\"false\"><i class=\"swatch k{}\" aria-hidden=\"true\"></i>{}</button>",
            cluster.cluster,
            cluster.cluster % COLOURS,
            called(&cluster.words, cluster.cluster, 2)
        );
    }
    if let Some(more) = clusters
        .len()
        .checked_sub(MAX_NAMED)
        .filter(|more| 0 < *more)
    {
        let _ = write!(out, "<span>and {more} more, in the same colours</span>");
    }
    out.push_str("</p>\n");
}

/// A cluster as it is called: its first words, escaped.
pub(super) fn called(typical: &[String], number: usize, most: usize) -> String {
    if typical.is_empty() {
        return format!("cluster {number}");
    }
    let words: Vec<String> = typical
        .iter()
        .take(most)
        .map(|word| html(&words::beginning(word, 40)))
        .collect();
    words.join(", ")
}

/// Draws the points of a side: strokes of no length, which a round cap makes a dot.
fn dots(out: &mut String, points: &[&ProjectedItem], plane: &Plane, side: &str) {
    out.push_str("<g class=\"dots\">");
    let mut open: Option<usize> = None;
    for point in points {
        if open != Some(point.cluster) {
            if open.is_some() {
                out.push_str("</g>");
            }
            let _ = write!(
                out,
                "<g class=\"k{}\" data-cluster=\"{}\">",
                point.cluster % COLOURS,
                point.cluster
            );
            open = Some(point.cluster);
        }
        let [x, y] = plane.at(if side == "a" { point.a } else { point.b });
        let _ = write!(out, "<path d=\"M{} {}h0\"/>", px(x), px(y));
    }
    if open.is_some() {
        out.push_str("</g>");
    }
    out.push_str("</g>");
}

/// Draws where the items that moved most came from: wide where they were, a point where they are.
fn arrows(points: &[&ProjectedItem], plane: &Plane) -> String {
    let mut moved: Vec<(f64, &ProjectedItem)> = points
        .iter()
        .map(|point| (distance(point.a, point.b), *point))
        .collect();
    moved.sort_by(|one, other| other.0.total_cmp(&one.0));
    let mut out = String::new();
    for (_, point) in moved
        .into_iter()
        .take(MAX_ARROWS.min(points.len() / 10 + 1))
    {
        let ([x, y], [to_x, to_y]) = (plane.at(point.a), plane.at(point.b));
        let length = distance([x, y], [to_x, to_y]);
        if length < 3.0 {
            continue;
        }
        let (side_x, side_y) = ((to_y - y) / length * 1.5, (x - to_x) / length * 1.5);
        let _ = write!(
            out,
            "<path class=\"k{}\" d=\"M{} {}L{} {}L{} {}Z\"/>",
            point.cluster % COLOURS,
            px(x + side_x),
            px(y + side_y),
            px(x - side_x),
            px(y - side_y),
            px(to_x),
            px(to_y)
        );
    }
    out
}

/// Returns what the script tells of the points, as JSON for a `script` element.
pub(super) fn data(report: &ComparisonReport) -> String {
    let points: Vec<Value> = points(report)
        .into_iter()
        .map(|point| {
            let id = visible(&words::one_line(&cut(&point.id, MAX_TEXT)));
            let text = point
                .text
                .as_deref()
                .map(|text| visible(&words::beginning(text, MAX_TEXT)));
            json!([id, text])
        })
        .collect();
    let clusters: Vec<Value> = report
        .clusters
        .iter()
        .map(|cluster| {
            let words: Vec<String> = cluster
                .words
                .iter()
                .take(4)
                .map(|word| visible(&words::beginning(word, 40)))
                .collect();
            json!([cluster.cluster, words.join(", ")])
        })
        .collect();
    json_in_html(&json!({"points": points, "clusters": clusters}).to_string())
}
