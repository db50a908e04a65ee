//! How scores are distributed in A and in B, one over the other.

use super::plots::{self, Axis, Frame, PANEL, px};
use crate::embeddings::compare::report::{ComparisonReport, Density};
use crate::embeddings::render::numbers::real;
use crate::embeddings::render::words;
use crate::wire::escape::html;
use std::fmt::Write as _;

/// The height of a panel, and where its curves stand.
const HEIGHT: f64 = 150.0;
const FLOOR: f64 = 130.0;
const TOP: f64 = 8.0;

/// A curve: where the middle of each bin is, and the share of scores in it.
type Curve = Vec<(f64, f64)>;

/// Returns the panel of some pairs (`top1`, `topk`, `random`), if there are any.
pub(super) fn panel(report: &ComparisonReport, of: &str) -> Option<String> {
    let sides = report
        .densities
        .iter()
        .filter(|density| density.of == of && density.side < 2);
    let sides: Vec<(&Density, Curve)> = sides
        .take(2)
        .map(|density| (density, curve(density)))
        .collect();
    let frame = frame(&sides)?;
    let title = match of {
        "top1" => "Scores of first answers",
        "topk" => "Scores of all answers in the list",
        _ => "Scores of random pairs",
    };
    let middles: Vec<String> = sides
        .iter()
        .map(|(density, _)| {
            let [_, _, middle, ..] = density.quantiles;
            format!("{} {}", words::side(density.side), words::score_of(middle))
        })
        .collect();
    let told = format!("in the middle {}", middles.join(", "));
    let mut svg = plots::open(PANEL, HEIGHT, &html(&format!("{title}: {told}")));
    for value in frame.x.ticks(6.0) {
        let place = px(frame.x.at(value));
        let _ = write!(
            svg,
            "<path class=\"rule\" d=\"M{place} {TOP}V{FLOOR}\"/><text x=\"{place}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
            px(HEIGHT - 5.0),
            plots::tick(value),
        );
    }
    for (density, curve) in &sides {
        shape(&mut svg, &frame, density, curve);
    }
    svg.push_str("</svg>");
    Some(format!(
        "<figure class=\"sheet\"><figcaption>{title}<small>{}</small></figcaption>{svg}</figure>",
        html(&told)
    ))
}

fn curve(density: &Density) -> Curve {
    let bins = real(density.shares.len());
    let shares = density.shares.iter().enumerate();
    let places = shares.map(|(bin, share)| ((real(bin) + 0.5) * 2.0 / bins - 1.0, *share));
    places.filter(|(_, share)| share.is_finite()).collect()
}

/// The frame in which all curves stand; `None` when there is nothing in them.
fn frame(sides: &[(&Density, Curve)]) -> Option<Frame<'static>> {
    let all = || sides.iter().flat_map(|(_, curve)| curve.iter().copied());
    let tallest = all().map(|(_, share)| share).fold(0.0_f64, f64::max);
    if tallest <= 0.0 {
        return None;
    }
    // Where there is next to nothing is left out.
    let seen = all().filter(|(_, share)| tallest * 0.002 < *share);
    let x = Axis::over(seen.map(|(place, _)| place), 4.0, PANEL - 4.0);
    Some(Frame {
        x: Axis {
            low: x.low - 0.05,
            high: x.high + 0.05,
            ..x
        },
        y: Axis {
            low: 0.0,
            high: tallest,
            start: FLOOR,
            end: TOP,
        },
        x_name: "",
        y_name: "",
    })
}

fn shape(svg: &mut String, frame: &Frame<'_>, density: &Density, curve: &[(f64, f64)]) {
    let side = words::side(density.side).to_lowercase();
    let is_inside = |(place, _): &&(f64, f64)| frame.x.low <= *place && *place <= frame.x.high;
    let curve: Curve = curve.iter().filter(is_inside).copied().collect();
    let ends = |place: Option<&(f64, f64)>| place.map(|(place, _)| (*place, 0.0));
    let closed = ends(curve.first())
        .into_iter()
        .chain(curve.iter().copied())
        .chain(ends(curve.last()));
    let _ = write!(
        svg,
        "<path class=\"area-{side}\" d=\"{}Z\"/><path class=\"line-{side}\" d=\"{}\"/>",
        frame.line(closed),
        frame.line(curve.iter().copied())
    );
    let [_, _, middle, ..] = density.quantiles;
    if middle.is_finite() {
        let _ = write!(
            svg,
            "<path class=\"middle-{side}\" d=\"M{} {FLOOR}V{TOP}\"/>",
            px(frame.x.at(middle))
        );
    }
}
