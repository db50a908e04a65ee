//! Plots as SVG in the page: intervals on a shared scale, and distributions. Colours are the style sheet's.

use crate::evals::report::Figure;
use std::fmt::Write as _;

/// The width and height of a row's plot, in the units of its drawing.
const WIDTH: f64 = 260.0;
const HEIGHT: f64 = 26.0;
/// The width of a distribution, and the height of its tallest bar.
const PANEL: f64 = 320.0;
const TALLEST: f64 = 130.0;
/// Bars of a distribution.
const BARS: u32 = 16;

/// How figures are laid on a line: differences as they are, ratios by their logarithms.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scale {
    low: f64,
    high: f64,
    is_ratio: bool,
}

impl Scale {
    /// Returns a scale on which all `figures` and what they are measured from (0, or 1 for ratios) have a place.
    pub(super) fn over(figures: impl IntoIterator<Item = f64>, is_ratio: bool) -> Self {
        let place = |figure: f64| {
            if is_ratio {
                figure.max(1e-3).ln()
            } else {
                figure
            }
        };
        let (mut low, mut high) = (0.0_f64, 0.0_f64);
        for figure in figures.into_iter().filter(|figure| figure.is_finite()) {
            low = low.min(place(figure));
            high = high.max(place(figure));
        }
        let margin = ((high - low) * 0.08).max(0.005);
        Self {
            low: low - margin,
            high: high + margin,
            is_ratio,
        }
    }

    /// Returns where a figure is, from 0 to the width of the drawing.
    fn x(self, figure: f64) -> f64 {
        let place = if self.is_ratio {
            figure.max(1e-3).ln()
        } else {
            figure
        };
        ((place - self.low) / (self.high - self.low)).clamp(0.0, 1.0) * WIDTH
    }

    const fn origin(self) -> f64 {
        if self.is_ratio { 1.0 } else { 0.0 }
    }

    /// Returns figures to write below the line: the origin, and round ones on both sides.
    fn ticks(self) -> Vec<f64> {
        let span = self.high - self.low;
        let steps = [0.01, 0.02, 0.05, 0.1, 0.2, 0.25, 0.5, 1.0, 2.0];
        let step = steps
            .into_iter()
            .find(|step| span / step <= 5.0)
            .unwrap_or(5.0);
        let mut ticks = vec![self.origin()];
        for count in 1..=5_u32 {
            for sign in [-1.0, 1.0] {
                let tick = self.origin() + sign * step * f64::from(count);
                let is_there = if self.is_ratio {
                    0.0 < tick && (self.low..=self.high).contains(&tick.ln())
                } else {
                    (self.low..=self.high).contains(&tick)
                };
                if is_there {
                    ticks.push(tick);
                }
            }
        }
        ticks
    }
}

/// What is drawn on a line: figures with their classes, and where a gate's limit is.
pub(super) struct Drawn<'a> {
    pub(super) figures: &'a [(Figure, &'a str)],
    pub(super) limit: Option<f64>,
    /// What it shows, for those who do not see it.
    pub(super) label: &'a str,
}

/// Draws figures with their intervals. `label` has to be escaped.
pub(super) fn intervals(scale: Scale, drawn: &Drawn<'_>) -> String {
    let mut svg = format!(
        "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}\">",
        drawn.label
    );
    let zero = scale.x(scale.origin());
    let _ = write!(svg, "<path class=\"zero\" d=\"M{zero:.1} 0V{HEIGHT}\"/>");
    if let Some(limit) = drawn.limit {
        let x = scale.x(limit);
        let _ = write!(svg, "<path class=\"limit\" d=\"M{x:.1} 0V{HEIGHT}\"/>");
    }
    let parts = f64::from(u32::try_from(drawn.figures.len()).unwrap_or(1).max(1));
    for (index, (figure, class)) in drawn.figures.iter().enumerate() {
        let place = f64::from(u32::try_from(index).unwrap_or(0)) + 0.5;
        let y = HEIGHT * place / parts;
        let _ = write!(svg, "<g class=\"{class}\">");
        if let (Some(low), Some(high)) = (figure.low, figure.high) {
            let _ = write!(
                svg,
                "<path class=\"range\" d=\"M{:.1} {y:.1}H{:.1}\"/>",
                scale.x(low),
                scale.x(high)
            );
        }
        let radius = if 1.0 < parts { 4.0 } else { 5.5 };
        let _ = write!(
            svg,
            "<circle class=\"dot\" cx=\"{:.1}\" cy=\"{y:.1}\" r=\"{radius}\"/></g>",
            scale.x(figure.value)
        );
    }
    svg.push_str("</svg>");
    svg
}

/// Draws what the line above it is measured in.
pub(super) fn axis(scale: Scale, show: impl Fn(f64) -> String) -> String {
    let mut svg = format!("<svg viewBox=\"0 0 {WIDTH} 16\" aria-hidden=\"true\">");
    for tick in scale.ticks() {
        let x = scale.x(tick);
        let _ = write!(
            svg,
            "<path class=\"frame\" d=\"M{x:.1} 0v3\"/><text x=\"{x:.1}\" y=\"14\" text-anchor=\"middle\">{}</text>",
            show(tick)
        );
    }
    svg.push_str("</svg>");
    svg
}

/// Values of one side, sorted.
pub(super) struct Side<'a> {
    pub(super) class: &'a str,
    pub(super) values: Vec<f64>,
}

/// Draws how values are distributed: bars side by side, and where the middle is. The last bar takes what is beyond
/// `end`. `None` without values.
pub(super) fn distribution(
    sides: &[Side<'_>],
    end: Option<f64>,
    show: impl Fn(f64) -> String,
) -> Option<String> {
    let mut all: Vec<f64> = sides
        .iter()
        .flat_map(|side| side.values.iter().copied())
        .collect();
    all.retain(|value| value.is_finite());
    all.sort_by(f64::total_cmp);
    let largest = all.last().copied()?;
    let beyond = quantile(&all, 99, 100).unwrap_or(largest);
    let end = end.unwrap_or_else(|| round_end(beyond));
    let edges: Vec<f64> = (1..BARS)
        .map(|bar| end * f64::from(bar) / f64::from(BARS))
        .collect();
    let heights: Vec<Vec<f64>> = sides
        .iter()
        .map(|side| shares(&side.values, &edges))
        .collect();
    let tallest = heights
        .iter()
        .flatten()
        .copied()
        .fold(0.0_f64, f64::max)
        .max(f64::MIN_POSITIVE);
    let mut svg =
        format!("<svg viewBox=\"0 0 {PANEL} 150\" role=\"img\" aria-label=\"distribution\">");
    for part in [0.25, 0.5, 0.75, 1.0] {
        let y = TALLEST - TALLEST * part;
        let _ = write!(svg, "<path class=\"rule\" d=\"M0 {y:.1}H{PANEL}\"/>");
    }
    for (place, (side, heights)) in (0_u32..).zip(sides.iter().zip(&heights)) {
        let heights = heights.iter().map(|share| share / tallest * TALLEST);
        bars(&mut svg, side.class, heights, (place, sides.len()));
        if let Some(middle) = quantile(&side.values, 1, 2) {
            let x = (middle / end).clamp(0.0, 1.0) * PANEL;
            let class = side.class;
            let _ = write!(
                svg,
                "<path class=\"middle-{class}\" d=\"M{x:.1} 0V{TALLEST}\"/>"
            );
        }
    }
    let _ = write!(svg, "<path class=\"frame\" d=\"M0 {TALLEST}H{PANEL}\"/>");
    let more = if end < largest { "+" } else { "" };
    for (x, anchor, text) in [
        (0.0, "start", show(0.0)),
        (PANEL / 2.0, "middle", show(end / 2.0)),
        (PANEL, "end", format!("{}{more}", show(end))),
    ] {
        let _ = write!(
            svg,
            "<text x=\"{x}\" y=\"146\" text-anchor=\"{anchor}\">{text}</text>"
        );
    }
    svg.push_str("</svg>");
    Some(svg)
}

/// Draws the bars of one side, which is at a place among so many.
fn bars(
    svg: &mut String,
    class: &str,
    heights: impl Iterator<Item = f64>,
    (place, sides): (u32, usize),
) {
    let slot = PANEL / f64::from(BARS);
    let bar = (slot - 3.0) / f64::from(u32::try_from(sides).unwrap_or(1).max(1));
    for (index, height) in (0_u32..).zip(heights) {
        if height <= 0.0 {
            continue;
        }
        let x = slot * f64::from(index) + 1.5 + bar * f64::from(place);
        let tall = height.max(1.5);
        let _ = write!(
            svg,
            "<rect class=\"bar-{class}\" x=\"{x:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{tall:.1}\" rx=\"1.5\"/>",
            TALLEST - tall,
            (bar - 0.6).max(1.0)
        );
    }
}

/// Returns a round number that is not below `figure`.
fn round_end(figure: f64) -> f64 {
    if figure <= 0.0 || !figure.is_finite() {
        return 1.0;
    }
    let unit = 10.0_f64.powf(figure.log10().floor());
    let steps = [1.0, 1.2, 1.6, 2.0, 2.4, 3.0, 4.0, 5.0, 6.0, 8.0];
    let step = steps.into_iter().find(|step| figure <= unit * step);
    unit * step.unwrap_or(10.0)
}

/// Returns the share of values in each bar.
fn shares(values: &[f64], edges: &[f64]) -> Vec<f64> {
    let mut counts = vec![0_u32; edges.len() + 1];
    for value in values.iter().filter(|value| value.is_finite()) {
        let bar = edges.partition_point(|edge| edge <= value);
        if let Some(count) = counts.get_mut(bar) {
            *count += 1;
        }
    }
    let all = f64::from(counts.iter().sum::<u32>().max(1));
    counts
        .into_iter()
        .map(|count| f64::from(count) / all)
        .collect()
}

/// Returns the value below which `part` of `whole` are, of sorted values.
pub(super) fn quantile(sorted: &[f64], part: usize, whole: usize) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    sorted.get(last * part / whole).copied()
}

#[cfg(test)]
mod tests {
    use super::{Scale, Side, distribution, shares};

    #[test]
    fn every_figure_has_a_place_on_its_scale() {
        let scale = Scale::over([-0.1, 0.04], false);
        assert!(0.0 < scale.x(-0.1) && scale.x(0.04) < 260.0);
        assert!(scale.x(-0.1) < scale.x(0.0) && scale.x(0.0) < scale.x(0.04));
        let ratios = Scale::over([0.8, 1.25], true);
        let middle = (ratios.x(0.8) + ratios.x(1.25)) / 2.0;
        assert!((ratios.x(1.0) - middle).abs() < 1e-6);
        assert!(ratios.ticks().contains(&1.0) && scale.ticks().len() < 12);
        assert!((Scale::over([], false).x(f64::INFINITY) - 260.0).abs() < 1e-9);
    }

    #[test]
    fn bars_hold_all_values() {
        assert_eq!(
            shares(&[0.0, 0.5, 9.0, f64::NAN], &[0.5, 1.0]),
            [1.0 / 3.0, 1.0 / 3.0, 1.0 / 3.0]
        );
        let side = |values: Vec<f64>| {
            [Side {
                class: "head",
                values,
            }]
        };
        assert!(distribution(&side(vec![]), None, |x| x.to_string()).is_none());
        assert!(distribution(&side(vec![0.0]), None, |x| x.to_string()).is_some());
    }
}
