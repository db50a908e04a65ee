//! The figures with their errors, and what noise and chance alone give; and the geometry, folded, because it
//! decides nothing.

use super::plots::{self, Axis, px, tick};
use super::{Section, class, name};
use crate::embeddings::compare::report::{ComparisonReport, Figure, FigureGroup};
use crate::embeddings::render::numbers::{grouped, number};
use crate::embeddings::render::words;
use crate::wire::escape::html;
use crate::wire::plain::chance;
use std::fmt::Write as _;

/// Rows of a table.
const MAX_ROWS: usize = 60;
/// The width and height of a row's plot, in the units of its drawing.
const WIDTH: f64 = 260.0;
const HEIGHT: f64 = 26.0;

pub(super) fn section(report: &ComparisonReport) -> Option<Section> {
    let mut body = String::new();
    for group in words::DECIDING {
        let all: Vec<&Figure> = words::figures(report, group).take(MAX_ROWS).collect();
        let (differences, levels): (Vec<&Figure>, Vec<&Figure>) =
            all.iter().partition(|figure| words::is_difference(figure));
        if all.is_empty() {
            continue;
        }
        let _ = writeln!(body, "<h3>{}</h3>", words::group(group));
        let (counts, levels): (Vec<&Figure>, Vec<&Figure>) = levels
            .into_iter()
            .partition(|figure| words::counted(figure).is_some());
        difference_table(&mut body, report, &differences);
        level_table(&mut body, &levels);
        count_table(&mut body, &counts);
        let found = words::figures(report, group).count();
        super::top::left_out(&mut body, found, MAX_ROWS, "figure");
    }
    let section = Section {
        id: "figures",
        short: "Figures",
        title: "Figures",
        aside: "with their 95 % intervals".to_owned(),
        body,
    };
    (!section.body.is_empty()).then_some(section)
}

/// Figures that are most of them between 0 and 1, on one axis.
fn level_table(out: &mut String, figures: &[&Figure]) {
    if figures.is_empty() {
        return;
    }
    let has = |yardstick: fn(&Figure) -> Option<f64>| {
        figures.iter().any(|figure| yardstick(figure).is_some())
    };
    out.push_str("<p class=\"legend\"><span><i class=\"dot\"></i>figure, with its interval</span>");
    if has(|figure| figure.noise) {
        out.push_str("<span><i class=\"noise\"></i>noise: the same texts embedded twice</span>");
    }
    if has(|figure| figure.chance) {
        out.push_str("<span><i class=\"chance\"></i>chance: unrelated vectors</span>");
    }
    out.push_str("</p>\n<div class=\"sheet\"><table class=\"stack\"><thead><tr><th scope=\"col\">figure</th><th scope=\"col\" class=\"number\">value</th><th scope=\"col\" class=\"plot\"></th><th scope=\"col\" class=\"number\">noise</th><th scope=\"col\" class=\"number\">chance</th><th scope=\"col\" class=\"number\">n</th></tr></thead><tbody>\n");
    let axis = level_axis(figures);
    for figure in figures {
        level_row(out, figure, axis);
    }
    let _ = writeln!(
        out,
        "<tr class=\"axis\"><td></td><td></td><td class=\"plot\">{}</td><td></td><td></td><td></td></tr></tbody></table></div>",
        axis_line(axis)
    );
}

const fn scale(low: f64, high: f64) -> Axis {
    Axis {
        low,
        high,
        start: 6.0,
        end: WIDTH - 6.0,
    }
}

/// Counts, which have no place between shares.
fn count_table(out: &mut String, figures: &[&Figure]) {
    if figures.is_empty() {
        return;
    }
    out.push_str("<div class=\"sheet\"><table class=\"stack\"><thead><tr><th scope=\"col\">count</th><th scope=\"col\" class=\"number\">value</th><th scope=\"col\" class=\"number\">n</th></tr></thead><tbody>\n");
    for figure in figures {
        let _ = writeln!(
            out,
            "<tr><td class=\"name\">{}<small><code>{}</code></small></td><td class=\"number value\"><b>{}</b></td><td class=\"number\" data-label=\"n\">{}</td></tr>",
            name(&figure.title),
            name(&figure.id),
            words::value(figure),
            grouped(figure.n),
        );
    }
    out.push_str("</tbody></table></div>\n");
}

/// From 0 to 1, and further where a figure reaches further.
fn level_axis(figures: &[&Figure]) -> Axis {
    let ends = figures.iter().flat_map(|figure| {
        let interval = figure.estimate.interval;
        [figure.estimate.value, interval.low, interval.high]
    });
    let ends = ends.filter(|end| end.is_finite());
    let (low, high) = ends.fold((0.0_f64, 1.0_f64), |(low, high), end| {
        (low.min(end), high.max(end))
    });
    scale(low, high)
}

fn level_row(out: &mut String, figure: &Figure, axis: Axis) {
    let optional = |value: Option<f64>| value.map(words::yardstick).unwrap_or_default();
    let _ = writeln!(
        out,
        "<tr><td class=\"name\">{}<small><code>{}</code></small></td><td class=\"number value\"><b>{}</b> <span class=\"soft\">{}</span></td><td class=\"plot\">{}</td><td class=\"number\" data-label=\"noise\">{}</td><td class=\"number\" data-label=\"chance\">{}</td><td class=\"number\" data-label=\"n\">{}</td></tr>",
        name(&figure.title),
        name(&figure.id),
        words::value(figure),
        words::interval(figure).unwrap_or_default(),
        level_plot(figure, axis),
        optional(figure.noise),
        optional(figure.chance),
        grouped(figure.n),
    );
}

fn level_plot(figure: &Figure, axis: Axis) -> String {
    let label = format!(
        "{}{}",
        words::with_interval(figure),
        words::yardsticks(figure).map_or_else(String::new, |told| format!(", {told}"))
    );
    let mut svg = plots::open(WIDTH, HEIGHT, &html(&label));
    let middle = HEIGHT / 2.0;
    let _ = write!(
        svg,
        "<path class=\"track\" d=\"M{} {middle}H{}\"/>",
        px(axis.start),
        px(axis.end)
    );
    for (mark, class) in [(figure.chance, "chance"), (figure.noise, "noise")] {
        if let Some(mark) = mark.filter(|mark| mark.is_finite()) {
            let _ = write!(
                svg,
                "<path class=\"{class}\" d=\"M{} 3V{}\"/>",
                px(axis.at(mark)),
                HEIGHT - 3.0
            );
        }
    }
    dot(&mut svg, axis, figure, "");
    svg.push_str("</svg>");
    svg
}

fn dot(svg: &mut String, axis: Axis, figure: &Figure, class: &str) {
    let (value, interval) = (figure.estimate.value, figure.estimate.interval);
    if !value.is_finite() {
        return;
    }
    let middle = HEIGHT / 2.0;
    let _ = write!(svg, "<g class=\"{class}\">");
    if figure.has_interval && interval.width().is_finite() {
        let (low, high) = (axis.at(interval.low), axis.at(interval.high));
        let (top, tall) = (middle - 6.0, 12.0);
        let _ = write!(
            svg,
            "<rect class=\"range\" x=\"{}\" y=\"{top}\" width=\"{}\" height=\"{tall}\"/><path class=\"ends\" d=\"M{} {top}v{tall}M{} {top}v{tall}\"/>",
            px(low),
            px((high - low).max(1.0)),
            px(low),
            px(high)
        );
    }
    let _ = write!(
        svg,
        "<circle class=\"dot\" cx=\"{}\" cy=\"{middle}\" r=\"3.2\"/></g>",
        px(axis.at(value))
    );
}

fn axis_line(axis: Axis) -> String {
    let mut svg = format!("<svg viewBox=\"0 0 {WIDTH} 16\" aria-hidden=\"true\">");
    for value in axis.ticks(5.0) {
        let x = px(axis.at(value));
        let _ = write!(
            svg,
            "<path class=\"frame\" d=\"M{x} 0v3\"/><text x=\"{x}\" y=\"14\" text-anchor=\"middle\">{}</text>",
            tick(value)
        );
    }
    svg.push_str("</svg>");
    svg
}

/// Figures that are B less A, around 0.
fn difference_table(out: &mut String, report: &ComparisonReport, figures: &[&Figure]) {
    if figures.is_empty() {
        return;
    }
    let margin = report.method.margin;
    let has_margin = figures.iter().any(|figure| is_of_ndcg(figure));
    let ends = figures.iter().flat_map(|figure| {
        let interval = figure.estimate.interval;
        [figure.estimate.value, interval.low, interval.high]
    });
    let margins = [margin, -margin].into_iter().filter(|_| has_margin);
    let over = Axis::over(ends.chain([0.0]).chain(margins), 0.0, 1.0);
    let axis = scale(over.low, over.high);
    let told = if has_margin {
        format!(
            "<span><i class=\"margin\"></i>of nDCG too small to count, within ±{}</span>",
            number(margin)
        )
    } else {
        String::new()
    };
    let _ = writeln!(
        out,
        "<p class=\"legend\"><span><i class=\"dot\"></i>B less A, with its interval</span>{told}</p>\n\
         <div class=\"sheet\"><table class=\"stack\"><thead><tr><th scope=\"col\">figure</th><th scope=\"col\" class=\"number\">A</th><th scope=\"col\" class=\"number\">B</th><th scope=\"col\" class=\"number\">difference</th><th scope=\"col\" class=\"plot\"></th><th scope=\"col\" class=\"number\">p</th><th scope=\"col\" class=\"number\">better, worse, same</th></tr></thead><tbody>"
    );
    for figure in figures {
        let margin = Some(margin).filter(|_| is_of_ndcg(figure));
        difference_row(out, figure, axis, margin);
    }
    let _ = writeln!(
        out,
        "<tr class=\"axis\"><td></td><td></td><td></td><td></td><td class=\"plot\">{}</td><td></td><td></td></tr></tbody></table></div>",
        axis_line(axis)
    );
}

/// Whether the margin is one of this figure: it is a difference of nDCG.
fn is_of_ndcg(figure: &Figure) -> bool {
    figure.id.starts_with("label.ndcg@")
}

fn difference_row(out: &mut String, figure: &Figure, axis: Axis, margin: Option<f64>) {
    let tone = class(words::direction(figure));
    let [a, b] = words::sides(figure).unwrap_or_default();
    let told = format!(
        "{}, {}",
        words::with_interval(figure),
        words::remarks(figure).join(", ")
    );
    let mut svg = plots::open(WIDTH, HEIGHT, &html(&told));
    if let Some(margin) = margin {
        let (low, high) = (axis.at(-margin), axis.at(margin));
        let _ = write!(
            svg,
            "<rect class=\"band\" x=\"{}\" y=\"0\" width=\"{}\" height=\"{HEIGHT}\"/>",
            px(low),
            px(high - low)
        );
    }
    let _ = write!(
        svg,
        "<path class=\"zero\" d=\"M{} 0V{HEIGHT}\"/>",
        px(axis.at(0.0))
    );
    dot(&mut svg, axis, figure, &format!("is-{tone}"));
    svg.push_str("</svg>");
    let wins = figure.win_loss_tie.map(|[wins, losses, ties]| {
        format!(
            "<b class=\"gained\">{}</b>, <b class=\"lost\">{}</b>, {}",
            grouped(wins),
            grouped(losses),
            grouped(ties)
        )
    });
    let _ = writeln!(
        out,
        "<tr><td class=\"name\">{}<small><code>{}</code> <span class=\"whole\">n = {}</span></small></td><td class=\"number\" data-label=\"A\">{a}</td><td class=\"number\" data-label=\"B\">{b}</td><td class=\"number value\"><b class=\"text-{tone}\">{}</b> <span class=\"soft\">{}</span></td><td class=\"plot\">{svg}</td><td class=\"number\" data-label=\"p\">{}</td><td class=\"number\" data-label=\"better, worse, same\">{}</td></tr>",
        name(&figure.title),
        name(&figure.id),
        grouped(figure.n),
        words::value(figure),
        words::interval(figure).unwrap_or_default(),
        html(&figure.p_value.map(chance).unwrap_or_default()),
        wins.unwrap_or_default(),
    );
}

pub(super) fn geometry(report: &ComparisonReport) -> Option<Section> {
    let figures: Vec<&Figure> = words::figures(report, FigureGroup::Descriptor)
        .take(MAX_ROWS)
        .collect();
    if figures.is_empty() {
        return None;
    }
    let mut body = String::from(
        "<details class=\"fold sheet\"><summary>Show the figures</summary><p class=\"inset\">These figures describe the two spaces and decide nothing: a version can keep all of them and answer worse, or change all of them and answer better.</p>\n<table class=\"stack\"><thead><tr><th scope=\"col\">figure</th><th scope=\"col\" class=\"number\">A</th><th scope=\"col\" class=\"number\">B</th><th scope=\"col\" class=\"number\">value</th><th scope=\"col\" class=\"number\">chance</th><th scope=\"col\" class=\"number\">n</th></tr></thead><tbody>\n",
    );
    for figure in figures {
        let [a, b] = words::sides(figure).unwrap_or_default();
        let chance = figure.chance.map(words::yardstick).unwrap_or_default();
        let _ = writeln!(
            body,
            "<tr><td class=\"name\">{}<small><code>{}</code></small></td><td class=\"number\" data-label=\"A\">{a}</td><td class=\"number\" data-label=\"B\">{b}</td><td class=\"number value\">{}</td><td class=\"number\" data-label=\"chance\">{chance}</td><td class=\"number\" data-label=\"n\">{}</td></tr>",
            name(&figure.title),
            name(&figure.id),
            html(&words::with_interval(figure)),
            grouped(figure.n),
        );
    }
    body.push_str("</tbody></table></details>\n");
    Some(Section {
        id: "geometry",
        short: "Geometry",
        title: "Geometry",
        aside: "describes, decides nothing".to_owned(),
        body,
    })
}

#[cfg(test)]
mod tests {
    use super::{count_table, level_axis};
    use crate::embeddings::compare::report::Figure;
    use crate::embeddings::render::fixtures;
    use crate::stats::Interval;

    fn of(id: &str, value: f64, (low, high): (f64, f64)) -> Figure {
        let mut figure = fixtures::small().figures.remove(0);
        (figure.id, figure.sides) = (id.to_owned(), None);
        figure.estimate.value = value;
        figure.estimate.interval = Interval { low, high };
        figure
    }

    #[test]
    fn an_axis_reaches_as_far_as_its_figures() {
        let share = of("query.overlap@10", 0.5, (0.4, 0.6));
        let kept = of("cross.b_in_a.ndcg@10", 1.1, (0.9, 1.3));
        let tau = of("query.tau", -0.2, (-0.2, -0.2));
        let ends = |figures: &[&Figure]| {
            let axis = level_axis(figures);
            [axis.low, axis.high]
        };
        for (figures, wanted) in [
            (vec![&share], [0.0, 1.0]),
            (vec![&share, &kept], [0.0, 1.3]),
            (vec![&tau, &share], [-0.2, 1.0]),
        ] {
            let found = ends(&figures);
            assert!(
                found
                    .iter()
                    .zip(wanted)
                    .all(|(found, wanted)| (found - wanted).abs() < 1e-12),
                "{found:?}"
            );
        }
        // A count is told, and drawn on no axis.
        let mut table = String::new();
        count_table(&mut table, &[&of("label.lost", 13.0, (13.0, 13.0))]);
        assert!(
            table.contains("<b>13</b>") && !table.contains("svg"),
            "{table}"
        );
    }
}
