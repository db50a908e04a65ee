//! Both versions side by side: every setting, with those that differ marked, and which items are compared.

use super::plots::px;
use super::{Section, name, sentence};
use crate::embeddings::compare::report::{ComparisonReport, SnapshotFacts};
use crate::embeddings::render::numbers::{count, grouped, real};
use crate::embeddings::render::words;
use crate::wire::escape::html;
use serde_json::Value;
use std::fmt::Write as _;

/// Settings that are shown.
const MAX_ROWS: usize = 80;

/// A row: what is set, and how in A and in B.
struct Row {
    setting: String,
    values: [String; 2],
}

pub(super) fn section(report: &ComparisonReport) -> Option<Section> {
    let rows = rows(report);
    let differing = rows.iter().filter(|row| row.differs()).count();
    let mut body = String::from("<div class=\"beside wide-left\">\n");
    table(&mut body, &rows);
    alignment(&mut body, report);
    body.push_str("</div>\n");
    Some(Section {
        id: "settings",
        short: "Settings",
        title: "What is compared",
        aside: match differing {
            0 => "the same settings".to_owned(),
            1 => "1 row differs".to_owned(),
            rows => format!("{rows} rows differ"),
        },
        body,
    })
}

impl Row {
    fn differs(&self) -> bool {
        let [a, b] = &self.values;
        a != b
    }
}

fn rows(report: &ComparisonReport) -> Vec<Row> {
    let of = |setting: &str, value: fn(&SnapshotFacts) -> String| Row {
        setting: setting.to_owned(),
        values: [value(&report.a), value(&report.b)],
    };
    let mut rows = vec![
        of("snapshot", |side| side.name.clone()),
        of("items", |side| grouped(side.items)),
        of("space", |side| side.space_id.short().to_owned()),
        of("length of a vector", |side| side.dimensions.to_string()),
        of("kept as", |side| side.precision.clone()),
        of("pipeline", |side| {
            side.pipeline_id.chars().take(21).collect()
        }),
        of("model", |side| side.space.model.clone()),
        of("revision", |side| or_not(side.space.revision.clone())),
        of("dimensions asked for", |side| {
            or_not(side.space.dimensions.map(|length| length.to_string()))
        }),
        of("cut to", |side| {
            or_not(side.space.truncated_to.map(|length| length.to_string()))
        }),
        of("brought to length 1", |side| yes(side.space.normalised)),
        of("query.prefix", |side| quoted(&side.space.query.prefix)),
        of("query.task", |side| or_not(side.space.query.task.clone())),
        of("document.prefix", |side| {
            quoted(&side.space.document.prefix)
        }),
        of("document.task", |side| {
            or_not(side.space.document.task.clone())
        }),
        of("reads at most", |side| {
            or_not(side.space.max_tokens.map(|most| format!("{most} tokens")))
        }),
        of("adapter", |side| or_not(side.space.adapter.clone())),
    ];
    rows.retain(|row| row.values.iter().any(|value| value != "not set"));
    // What the space holds is shown above; the rest is of the pipelines.
    let space = serde_json::to_value(&report.a.space).unwrap_or_default();
    let other = serde_json::to_value(&report.b.space).unwrap_or_default();
    let is_shown = |path: &str| holds(&space, path) || holds(&other, path);
    let changes = report
        .settings
        .iter()
        .filter(|change| !is_shown(&change.setting));
    rows.extend(changes.map(|change| Row {
        setting: change.setting.clone(),
        values: [
            words::setting(&change.before),
            words::setting(&change.after),
        ],
    }));
    rows
}

/// Whether a value has a field at a path such as `query.prefix`.
fn holds(value: &Value, path: &str) -> bool {
    let mut parts = path.split('.');
    parts
        .try_fold(value, |value, part| value.get(part))
        .is_some()
}

fn or_not(value: Option<String>) -> String {
    value.unwrap_or_else(|| "not set".to_owned())
}

fn yes(is_so: bool) -> String {
    if is_so { "yes" } else { "no" }.to_owned()
}

fn quoted(text: &str) -> String {
    if text.is_empty() {
        "not set".to_owned()
    } else {
        format!("“{text}”")
    }
}

fn table(out: &mut String, rows: &[Row]) {
    let _ = writeln!(
        out,
        "<div class=\"sheet\"><table class=\"settings\"><thead><tr><th scope=\"col\">setting</th>\
         <th scope=\"col\"><i class=\"side a\" aria-hidden=\"true\"></i>A</th><th scope=\"col\"><i class=\"side b\" aria-hidden=\"true\"></i>B</th></tr></thead><tbody>"
    );
    for row in rows.iter().take(MAX_ROWS) {
        let [a, b] = row.values.each_ref().map(|value| name(value));
        let setting = name(&row.setting);
        if row.differs() {
            let _ = writeln!(
                out,
                "<tr class=\"differs\"><th scope=\"row\">{setting} <span class=\"reader\">differs</span></th><td><del>{a}</del></td><td><ins>{b}</ins></td></tr>"
            );
        } else {
            let _ = writeln!(
                out,
                "<tr><th scope=\"row\">{setting}</th><td>{a}</td><td>{b}</td></tr>"
            );
        }
    }
    out.push_str("</tbody></table>");
    super::top::left_out(out, rows.len(), MAX_ROWS, "setting");
    out.push_str("</div>\n");
}

fn alignment(out: &mut String, report: &ComparisonReport) {
    let alignment = &report.alignment;
    let _ = write!(out, "<div class=\"sheet inset\"><h3>Items in both</h3>");
    venn(out, report);
    out.push_str("<ul class=\"notes\">\n");
    for line in words::alignment(alignment) {
        let _ = writeln!(out, "<li>{}</li>", html(&line));
    }
    for noise in report.noise.iter().take(2) {
        let _ = writeln!(out, "<li>{}</li>", sentence(&words::noise(noise)));
    }
    out.push_str("</ul></div>\n");
}

/// Draws which items are in A, in both and in B, as one bar.
fn venn(out: &mut String, report: &ComparisonReport) {
    let alignment = &report.alignment;
    let parts = [
        (alignment.only_a, "a", "only in A"),
        (alignment.compared, "both", "compared"),
        (alignment.changed_text, "changed", "other text"),
        (alignment.only_b, "b", "only in B"),
    ];
    let all: usize = parts.iter().map(|(items, ..)| items).sum();
    if all == 0 {
        return;
    }
    let told: Vec<String> = parts
        .iter()
        .map(|(items, _, what)| format!("{} {what}", count(*items, "item")))
        .collect();
    let _ = write!(
        out,
        "<svg class=\"parts\" viewBox=\"0 0 360 14\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"{}\">",
        told.join(", ")
    );
    let mut x = 0.0;
    for (items, class, _) in parts.into_iter().filter(|(items, ..)| 0 < *items) {
        let width = (real(items) / real(all) * 348.0).max(3.0).min(360.0 - x);
        let _ = write!(
            out,
            "<rect class=\"part-{class}\" x=\"{}\" width=\"{}\" height=\"14\"/>",
            px(x),
            px((width - 1.0).max(1.0))
        );
        x += width;
    }
    out.push_str("</svg>\n");
}
