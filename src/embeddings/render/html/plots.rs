//! Plots as SVG in the page: axes, frames and the shapes on them. Colours are the style sheet's.

use crate::wire::plain::real_minus;
use std::fmt::Write as _;

/// A line of values on a drawing: from `low` at `start` to `high` at `end`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Axis {
    pub(super) low: f64,
    pub(super) high: f64,
    pub(super) start: f64,
    pub(super) end: f64,
}

impl Axis {
    /// Returns where a value is; what lies beyond an end is put there.
    pub(super) fn at(self, value: f64) -> f64 {
        let span = (self.high - self.low).max(f64::MIN_POSITIVE);
        let share = ((value - self.low) / span).clamp(0.0, 1.0);
        self.start + share * (self.end - self.start)
    }

    /// Returns the same line over all values that are numbers, with a margin; from 0 to 1 without any.
    pub(super) fn over(values: impl IntoIterator<Item = f64>, start: f64, end: f64) -> Self {
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for value in values.into_iter().filter(|value| value.is_finite()) {
            low = low.min(value);
            high = high.max(value);
        }
        if high < low {
            (low, high) = (0.0, 1.0);
        }
        let margin = ((high - low) * 0.05).max(1e-6);
        Self {
            low: low - margin,
            high: high + margin,
            start,
            end,
        }
    }

    /// Returns round values to write along the line, about `count` of them.
    pub(super) fn ticks(self, count: f64) -> Vec<f64> {
        let span = self.high - self.low;
        if !span.is_finite() || span <= 0.0 {
            return Vec::new();
        }
        let unit = 10.0_f64.powf((span / count).log10().floor());
        let steps = [1.0, 2.0, 2.5, 5.0];
        let step = steps.into_iter().find(|step| span / (unit * step) <= count);
        let step = unit * step.unwrap_or(10.0);
        let first = (self.low / step - 1e-9).ceil();
        let ticks = (0_u32..40).map(|index| (first + f64::from(index)) * step);
        ticks
            .take_while(|tick| *tick <= self.high + step * 1e-9)
            .collect()
    }
}

/// Returns a place on a drawing: a tenth is fine enough, and a zero has no sign.
pub(super) fn px(place: f64) -> String {
    let text = format!("{place:.1}");
    let text = text.strip_suffix(".0").unwrap_or(&text);
    if text == "-0" {
        "0".to_owned()
    } else {
        text.to_owned()
    }
}

/// Returns what is written at a tick.
pub(super) fn tick(value: f64) -> String {
    let text = format!("{value:.3}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    match real_minus(text).as_str() {
        "" | "−" | "-" => "0".to_owned(),
        text => text.to_owned(),
    }
}

/// The size of a panel's drawing, and the room for what stands left of and below its frame.
pub(super) const PANEL: f64 = 360.0;
pub(super) const LEFT: f64 = 34.0;
pub(super) const BELOW: f64 = 34.0;

/// A frame with two axes and their names.
pub(super) struct Frame<'a> {
    pub(super) x: Axis,
    pub(super) y: Axis,
    pub(super) x_name: &'a str,
    pub(super) y_name: &'a str,
}

impl Frame<'_> {
    /// Draws the rules, what is written along them, and the names of the axes.
    pub(super) fn write(&self, svg: &mut String) {
        let (x, y) = (self.x, self.y);
        for value in x.ticks(6.0) {
            let place = px(x.at(value));
            let _ = write!(
                svg,
                "<path class=\"rule\" d=\"M{place} {}V{}\"/><text x=\"{place}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
                px(y.start),
                px(y.end),
                px(y.start + 13.0),
                tick(value)
            );
        }
        for value in y.ticks(6.0) {
            let place = y.at(value);
            let _ = write!(
                svg,
                "<path class=\"rule\" d=\"M{} {}H{}\"/><text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>",
                px(x.start),
                px(place),
                px(x.end),
                px(x.start - 5.0),
                px(place + 3.5),
                tick(value)
            );
        }
        let _ = write!(
            svg,
            "<text class=\"axis\" x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text><text class=\"axis\" x=\"{}\" y=\"{}\">{}</text>",
            px(x.end),
            px(y.start + 28.0),
            self.x_name,
            px(x.start),
            px(y.end - 7.0),
            self.y_name
        );
    }

    /// Returns the line through points, as the `d` of a path; points that are no numbers are left out.
    pub(super) fn line(&self, points: impl IntoIterator<Item = (f64, f64)>) -> String {
        let mut out = String::new();
        for (x, y) in points {
            if x.is_finite() && y.is_finite() {
                let letter = if out.is_empty() { 'M' } else { 'L' };
                let _ = write!(out, "{letter}{} {}", px(self.x.at(x)), px(self.y.at(y)));
            }
        }
        out
    }
}

/// Begins a drawing. `label` says what it shows, for those who do not see it, and has to be escaped.
pub(super) fn open(width: f64, height: f64, label: &str) -> String {
    format!(
        "<svg viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{label}\">",
        px(width),
        px(height)
    )
}

#[cfg(test)]
mod tests {
    use super::{Axis, px, tick};

    #[test]
    fn every_value_has_a_place() {
        let axis = Axis {
            low: 0.0,
            high: 1.0,
            start: 10.0,
            end: 110.0,
        };
        assert_eq!(px(axis.at(0.5)), "60");
        assert_eq!(px(axis.at(f64::INFINITY)), "110");
        assert_eq!(axis.ticks(5.0).len(), 6);
        assert_eq!(px(-0.01), "0");
        assert_eq!(
            (tick(0.25), tick(-0.5), tick(-0.000_01)),
            ("0.25".to_owned(), "−0.5".to_owned(), "0".to_owned())
        );
        let none = Axis::over([f64::NAN], 0.0, 1.0);
        assert!(none.low < none.high && !none.ticks(4.0).is_empty());
        let one = Axis::over([0.3, 0.3], 0.0, 1.0);
        assert!(one.low < 0.3 && 0.3 < one.high);
    }
}
