//! What is measured: metrics with their gates, slices, groups, categories of safety, and distributions.

use super::plots::{Drawn, Scale, Side as Bars, axis, distribution, intervals, quantile};
use crate::evals::grade::Mark;
use crate::evals::plan::Side;
use crate::evals::render::words::{self, Standing};
use crate::evals::report::{Figure, GateLine, MetricLine, RunReport, SafetyLine};
use crate::evals::row::Row;
use crate::evals::suite::GateKind;
use crate::wire::escape::{html, html_prose};
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// Rows of a table.
const MAX_ROWS: usize = 200;

/// A row of the first table with what is drawn in it.
struct Drawable<'a> {
    standing: &'a Standing,
    line: Option<&'a MetricLine>,
    limit: Option<f64>,
}

pub(super) fn metrics(out: &mut String, report: &RunReport) {
    let standings = words::standings(report);
    if standings.is_empty() {
        return;
    }
    let rows: Vec<Drawable<'_>> = standings
        .iter()
        .take(MAX_ROWS)
        .map(|standing| Drawable {
            standing,
            line: report
                .metrics
                .iter()
                .find(|line| line.metric == standing.metric && line.subject == standing.subject),
            limit: report
                .gates
                .iter()
                .filter(|gate| is_of(gate, standing))
                .find_map(limit),
        })
        .collect();
    let has_base = standings.iter().any(|row| row.base.is_some());
    let subjects: BTreeSet<&str> = standings.iter().map(|row| row.subject.as_str()).collect();
    let has_subjects = 1 < subjects.len();
    out.push_str("<h2>Metrics and gates</h2>\n");
    if has_base {
        out.push_str("<p class=\"legend\"><span>head less base, with its 95 % interval</span><span><i class=\"edge\"></i>what the gate allows</span></p>");
    }
    let name = |side, or: &str| {
        report
            .sides
            .iter()
            .find(|line| line.side == side)
            .map_or_else(|| or.to_owned(), |line| words::cut(&line.name, 40))
    };
    let heads = if has_base {
        format!(
            "<th class=\"number\">{}</th><th class=\"number\">{}</th><th class=\"number\">change</th><th></th><th class=\"number\">flips −/+</th>",
            html(&name(Side::Base, "base")),
            html(&name(Side::Head, "head"))
        )
    } else {
        format!(
            "<th class=\"number\">{}</th><th></th>",
            html(&name(Side::Head, "head"))
        )
    };
    let _ = write!(
        out,
        "<div class=\"sheet wide\"><table class=\"stack\"><thead><tr><th>metric</th>{heads}<th>gate</th><th></th></tr></thead>"
    );
    let is_ratio = |row: &&Drawable<'_>| row.line.is_some_and(|line| words::is_ratio(&line.unit));
    let (ratios, shares): (Vec<&Drawable<'_>>, Vec<&Drawable<'_>>) =
        rows.iter().partition(is_ratio);
    for (part, is_ratio) in [(shares, false), (ratios, true)] {
        body(out, &part, has_base, is_ratio, has_subjects);
    }
    out.push_str("</table></div>\n");
}

fn is_of(gate: &GateLine, row: &Standing) -> bool {
    gate.metric == row.metric
        && gate.subject == row.subject
        && row.gate.as_deref() == Some(&words::asked(&gate.gate.kind))
}

/// Where a gate's limit is on the scale of changes.
fn limit(gate: &GateLine) -> Option<f64> {
    match gate.gate.kind {
        GateKind::NonInferior { margin, .. } => Some(-margin),
        GateKind::Ratio { max } => Some(max),
        GateKind::MaxGap { .. } | GateKind::Absolute { .. } | GateKind::NoRegressions { .. } => {
            None
        }
    }
}

fn ends(figure: &Figure) -> impl Iterator<Item = f64> {
    [Some(figure.value), figure.low, figure.high]
        .into_iter()
        .flatten()
}

fn body(
    out: &mut String,
    rows: &[&Drawable<'_>],
    has_base: bool,
    is_ratio: bool,
    has_subjects: bool,
) {
    if rows.is_empty() {
        return;
    }
    let deltas = rows.iter().filter_map(|row| row.line?.delta);
    let places = deltas
        .flat_map(|delta| ends(&delta).collect::<Vec<_>>())
        .chain(rows.iter().filter_map(|row| row.limit));
    let scale = Scale::over(places, is_ratio);
    out.push_str("<tbody>");
    for row in rows {
        metric_row(out, row, scale, has_base, has_subjects);
    }
    if has_base
        && rows
            .iter()
            .any(|row| row.line.is_some_and(|line| line.delta.is_some()))
    {
        let show = |tick: f64| {
            if is_ratio {
                format!("×{tick:.2}")
            } else {
                words::points(tick)
            }
        };
        let _ = write!(
            out,
            "<tr class=\"axis\"><td></td><td></td><td></td><td></td><td class=\"plot\">{}</td><td></td><td></td><td></td></tr>",
            axis(scale, show)
        );
    }
    out.push_str("</tbody>");
}

fn metric_row(
    out: &mut String,
    row: &Drawable<'_>,
    scale: Scale,
    has_base: bool,
    has_subjects: bool,
) {
    let standing = row.standing;
    let subject = if has_subjects {
        let subject = html(&words::cut(&standing.subject, 120));
        format!("<small>{subject}</small>")
    } else {
        String::new()
    };
    let _ = write!(
        out,
        "<tr><td class=\"name\">{}{subject}</td>",
        html(&words::cut(&standing.metric, 120))
    );
    if has_base {
        compared(out, row, scale);
    } else {
        alone(out, row);
    }
    let verdict = standing.verdict.map_or_else(String::new, |verdict| {
        let name = words::verdict(verdict);
        format!("<span class=\"small badge {name}\">{name}</span>")
    });
    let _ = write!(
        out,
        "<td class=\"asked\" data-label=\"gate\">{}</td><td class=\"verdict\">{verdict}</td></tr>",
        or_nothing(standing.gate.as_ref())
    );
}

fn or_nothing(text: Option<&String>) -> String {
    text.map_or_else(String::new, |text| html(text))
}

/// The cells of both sides, and what is between them.
fn compared(out: &mut String, row: &Drawable<'_>, scale: Scale) {
    let standing = row.standing;
    let flips = standing.flips.map_or_else(String::new, |(worse, better)| {
        format!("<span class=\"worse\">{worse}</span> / <span class=\"better\">{better}</span>")
    });
    let change = or_nothing(standing.delta.as_ref());
    let delta = row.line.and_then(|line| line.delta);
    let drawn = delta.map_or_else(String::new, |delta| {
        let name = html(&words::cut(&standing.metric, 120));
        let drawn = Drawn {
            figures: &[(delta, class(standing))],
            limit: row.limit,
            label: &format!("{name}: {change}"),
        };
        intervals(scale, &drawn)
    });
    let _ = write!(
        out,
        "<td class=\"number\" data-label=\"base\">{}</td><td class=\"number\" data-label=\"head\">{}</td><td class=\"number whole\">{change}</td><td class=\"plot\">{drawn}</td><td class=\"number flips\" data-label=\"flips −/+\">{flips}</td>",
        or_nothing(standing.base.as_ref()),
        html(&standing.head),
    );
}

/// The cells of a side that is compared with nothing.
fn alone(out: &mut String, row: &Drawable<'_>) {
    let of_line = row.line.and_then(|line| {
        let (low, high) = line.head.low.zip(line.head.high)?;
        let (low, high) = (
            words::value(low, &line.unit),
            words::value(high, &line.unit),
        );
        Some(format!("95 % {low} to {high}"))
    });
    let interval = row.standing.delta.clone().or(of_line);
    let _ = write!(
        out,
        "<td class=\"number\">{}</td><td class=\"quiet\">{}</td>",
        html(&row.standing.head),
        or_nothing(interval.as_ref())
    );
}

fn class(standing: &Standing) -> &'static str {
    match standing.change.as_deref() {
        Some("regressed") => "is-bad",
        Some("improved") => "is-good",
        _ => "is-plain",
    }
}

/// A distribution: its name, what is drawn, and what is in the middle.
type Panel = (&'static str, Option<String>, String);

fn panels(report: &RunReport) -> [Panel; 3] {
    let scores = of_rows(report, |row| {
        (row.grade.mark != Mark::Error).then_some(row.grade.score)
    });
    let mut all = scores.iter().flat_map(|side| &side.values);
    let end = all.all(|score| (0.0..=1.0).contains(score)).then_some(1.0);
    // What came from the cache took no time.
    let latencies = of_rows(report, |row| {
        let answer = row.answer.as_ref()?;
        let is_fresh = answer.cached_from.is_none();
        let millis = u32::try_from(answer.latency_us / 1_000).ok()?;
        is_fresh.then_some(f64::from(millis))
    });
    let costs = of_rows(report, |row| {
        let cost = row.answer.as_ref()?.cost.pico_usd?;
        cost.to_dollars().parse().ok()
    });
    let drawn = distribution(&scores, end, |score| format!("{score:.1}"));
    let scores = ("Scores", drawn, middles(&scores, "score"));
    let drawn = distribution(&latencies, None, |millis| words::value(millis, "ms"));
    let latencies = ("Latency", drawn, middles(&latencies, "ms"));
    let drawn = distribution(&costs, None, |dollars| words::value(dollars, "usd"));
    let costs = ("Cost of an answer", drawn, middles(&costs, "usd"));
    [scores, latencies, costs]
}

pub(super) fn distributions(out: &mut String, report: &RunReport) {
    let panels = panels(report);
    if panels.iter().all(|(_, drawn, _)| drawn.is_none()) {
        return;
    }
    let has_base = report.rows.iter().any(|row| row.cell.side == Side::Base);
    let base = if has_base {
        "<span><i class=\"base\"></i>base</span>"
    } else {
        ""
    };
    let _ = write!(
        out,
        "<h2>Distributions</h2>\n<p class=\"legend\">{base}<span><i class=\"head\"></i>head</span><span>dotted: the middle one</span></p>\n<div class=\"plots\">"
    );
    for (name, drawn, middle) in panels {
        if let Some(drawn) = drawn {
            let _ = write!(
                out,
                "<figure class=\"sheet\"><figcaption>{name}<small>{}</small></figcaption>{drawn}</figure>",
                html(&middle)
            );
        }
    }
    out.push_str("</div>\n");
}

fn of_rows(report: &RunReport, value: impl Fn(&Row) -> Option<f64>) -> Vec<Bars<'static>> {
    [(Side::Base, "base"), (Side::Head, "head")]
        .into_iter()
        .map(|(side, class)| {
            let rows = report.rows.iter().filter(|row| row.cell.side == side);
            let mut values: Vec<f64> = rows
                .filter_map(&value)
                .filter(|value| value.is_finite())
                .collect();
            values.sort_by(f64::total_cmp);
            Bars { class, values }
        })
        .filter(|side| !side.values.is_empty())
        .collect()
}

fn middles(sides: &[Bars<'_>], unit: &str) -> String {
    let middle = |side: &Bars<'_>| {
        quantile(&side.values, 1, 2)
            .map(|middle| format!("{} {}", side.class, words::value(middle, unit)))
    };
    let middles: Vec<String> = sides.iter().filter_map(middle).collect();
    format!("in the middle {}", middles.join(", "))
}

pub(super) fn slices(out: &mut String, report: &RunReport) {
    if report.slices.is_empty() {
        return;
    }
    let rows: Vec<_> = report.slices.iter().take(MAX_ROWS).collect();
    let places = rows
        .iter()
        .filter_map(|slice| slice.line.delta)
        .flat_map(|delta| ends(&delta).collect::<Vec<_>>());
    let scale = Scale::over(places, false);
    out.push_str("<h2>Slices <small>p corrected for how many there are</small></h2>\n<div class=\"sheet wide\"><table class=\"stack\"><thead><tr><th>slice</th><th class=\"number\">cases</th><th class=\"number\">base</th><th class=\"number\">head</th><th class=\"number\">change</th><th></th><th class=\"number\">p</th></tr></thead><tbody>");
    for slice in &rows {
        let line = &slice.line;
        let base = line
            .base
            .map_or_else(String::new, |base| words::value(base.value, &line.unit));
        let delta = line
            .delta
            .map_or_else(String::new, |delta| words::difference(&delta, &line.unit));
        let class = if line.change.as_deref() == Some("regressed") {
            "is-bad"
        } else {
            "is-plain"
        };
        let name = html(&words::cut(&slice.slice, 120));
        let drawn = line.delta.map_or_else(String::new, |delta| {
            intervals(
                scale,
                &Drawn {
                    figures: &[(delta, class)],
                    limit: None,
                    label: &format!(
                        "{name}: {delta_text}",
                        delta_text = words::difference(&delta, &line.unit)
                    ),
                },
            )
        });
        let p = slice
            .adjusted_p
            .map_or_else(String::new, |p| html(&words::chance(p)));
        let _ = write!(
            out,
            "<tr><td class=\"name\">{name}</td><td class=\"number\" data-label=\"cases\">{}</td><td class=\"number\" data-label=\"base\">{base}</td><td class=\"number\" data-label=\"head\">{}</td><td class=\"number whole\">{delta}</td><td class=\"plot\">{drawn}</td><td class=\"number\" data-label=\"p\">{p}</td></tr>",
            line.cases,
            words::value(line.head.value, &line.unit)
        );
    }
    if rows.iter().any(|slice| slice.line.delta.is_some()) {
        let _ = write!(
            out,
            "<tr class=\"axis\"><td></td><td></td><td></td><td></td><td></td><td class=\"plot\">{}</td><td></td></tr>",
            axis(scale, words::points)
        );
    }
    out.push_str("</tbody></table></div>\n");
}

pub(super) fn groups(out: &mut String, report: &RunReport) {
    if report.groups.is_empty() {
        return;
    }
    let figures = report
        .groups
        .iter()
        .flat_map(|group| [Some(group.flip_rate), group.noise]);
    let scale = Scale::over(
        figures
            .flatten()
            .flat_map(|figure| ends(&figure).collect::<Vec<_>>()),
        false,
    );
    out.push_str("<h2>Groups that must be treated alike <small>pairs with different outcomes, above the noise within a group</small></h2>\n<div class=\"sheet wide\"><table class=\"stack\"><tbody>");
    for group in report.groups.iter().take(MAX_ROWS) {
        let mut drawn = vec![(group.flip_rate, "is-plain")];
        drawn.extend(group.noise.map(|noise| (noise, "is-noise")));
        let label = html(&words::group(group));
        let svg = intervals(
            scale,
            &Drawn {
                figures: &drawn,
                limit: None,
                label: &label,
            },
        );
        let _ = write!(
            out,
            "<tr><td class=\"name\">{} <small>{}</small></td><td class=\"whole\">{}</td><td class=\"plot\">{svg}</td></tr>",
            html(&format!("{} and {}", group.groups.0, group.groups.1)),
            html(&group.metric),
            html_prose(&words::group(group)),
        );
    }
    let show = |tick: f64| words::value(tick, "share");
    let _ = writeln!(
        out,
        "<tr class=\"axis\"><td></td><td></td><td class=\"plot\">{}</td></tr></tbody></table></div>",
        axis(scale, show)
    );
}

pub(super) fn safety(out: &mut String, report: &RunReport) {
    let lines: Vec<&SafetyLine> = report
        .safety
        .iter()
        .filter(|line| line.side == Side::Head)
        .take(MAX_ROWS)
        .collect();
    if lines.is_empty() {
        return;
    }
    let rate = |line: &SafetyLine| {
        let count = |count: u64| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
        Figure {
            value: count(line.failures) / count(line.cases.max(1)),
            low: Some(0.0),
            high: Some(line.upper95),
        }
    };
    let scale = Scale::over(lines.iter().map(|line| line.upper95), false);
    out.push_str("<h2>Safety <small>how many attacks could come through: the rate that is not exceeded, with 95 % certainty</small></h2>\n<div class=\"sheet wide\"><table class=\"stack\"><thead><tr><th>category</th><th class=\"number\">failed</th><th class=\"number\">at most</th><th></th><th>worst</th><th>taxonomy</th></tr></thead><tbody>");
    for line in &lines {
        let class = if 0 < line.failures {
            "is-bad"
        } else {
            "is-good"
        };
        let name = html(&words::cut(&line.category, 120));
        let bound = words::value(line.upper95, "share");
        let svg = intervals(
            scale,
            &Drawn {
                figures: &[(rate(line), class)],
                limit: None,
                label: &format!("{name}: at most {}", html(&bound)),
            },
        );
        let codes: String = line
            .codes
            .iter()
            .take(20)
            .map(|code| format!("<span class=\"chip\">{}</span>", html(code)))
            .collect();
        let _ = write!(
            out,
            "<tr><td class=\"name\">{name}</td><td class=\"number\" data-label=\"failed\">{} of {}</td><td class=\"number\" data-label=\"at most\">{}</td><td class=\"plot\">{svg}</td><td>{}</td><td class=\"whole\">{codes}</td></tr>",
            line.failures,
            line.cases,
            html(&bound),
            html(line.severity.as_deref().unwrap_or_default())
        );
    }
    let _ = writeln!(
        out,
        "<tr class=\"axis\"><td></td><td></td><td></td><td class=\"plot\">{}</td><td></td><td></td></tr></tbody></table></div>",
        axis(scale, |tick| html(&words::value(tick, "share")))
    );
}
