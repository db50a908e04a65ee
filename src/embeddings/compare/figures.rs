//! Figures of change: means of what [`Changes`] says of each question, with their intervals.

use super::change::Changes;
use super::evidence::Context;
use super::interval::{of_shares, of_spread, of_yes};
use super::joint::Joint;
use super::report::{Figure, FigureGroup, Histogram};
use crate::embeddings::ranking::{beyond_chance, chance};
use crate::stats::{Estimate, Interval, mean};

/// How many bins a histogram of shares has: the last holds only what is 0.95 and more.
const BINS: usize = 20;

/// Returns a figure without anything beside it.
pub(super) fn figure(
    id: impl Into<String>,
    title: impl Into<String>,
    group: FigureGroup,
) -> Figure {
    Figure {
        id: id.into(),
        title: title.into(),
        group,
        estimate: exactly(0.0),
        has_interval: false,
        sides: None,
        chance: None,
        noise: None,
        n: 0,
        p_value: None,
        win_loss_tie: None,
        detectable: None,
    }
}

/// Returns a figure without an interval.
pub(super) const fn exactly(value: f64) -> Estimate {
    Estimate {
        value,
        interval: Interval {
            low: value,
            high: value,
        },
    }
}

/// Whose neighbours changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    Queries,
    Items,
}

impl Asked {
    const fn prefix(self) -> &'static str {
        match self {
            Self::Queries => "query",
            Self::Items => "item",
        }
    }

    const fn group(self) -> FigureGroup {
        match self {
            Self::Queries => FigureGroup::Queries,
            Self::Items => FigureGroup::Items,
        }
    }

    /// One more than there is to find: an item does not find itself, a query may find everything.
    fn choices(self, context: &Context<'_>) -> usize {
        context.aligned.count + usize::from(self == Self::Queries)
    }
}

/// Returns the figures of change; none without questions. Items are drawn from those compared, queries from
/// all that could be asked.
pub(super) fn of_changes(changes: &Changes, asked: Asked, context: &Context<'_>) -> Vec<Figure> {
    let settings = context.settings;
    if changes.top1.is_empty() {
        return Vec::new();
    }
    let population = (asked == Asked::Items).then_some(context.aligned.count);
    let overlaps = changes.overlaps.iter().map(|(_, shares)| shares.clone());
    let mut columns: Vec<Vec<f64>> = overlaps.collect();
    let lengths = columns.len();
    columns.extend([changes.jaccard.clone(), changes.rbo.clone()]);
    columns.push(changes.gaps.iter().map(|[a, b]| b - a).collect());
    let joint = Joint::new(&columns).filter(|_| asked == Asked::Queries);
    let spreads = joint
        .and_then(|joint| joint.bootstrap(settings.resamples, settings.confidence, settings.seed));
    let spread = |column: usize| spreads.as_ref().and_then(|all| all.get(column)).copied();
    let of = |shares: &[f64], k: usize, column: usize| {
        of_shares(shares, k, population, settings.confidence, spread(column))
    };
    let k = context.k();
    let mut figures = Vec::new();
    for (column, (length, shares)) in changes.overlaps.iter().enumerate() {
        let overlap = of(shares, *length, column);
        figures.extend(overlaps_at(asked, *length, overlap, shares.len(), context));
    }
    let jaccard = of(&changes.jaccard, k, lengths);
    let (name, n) = (format!("jaccard@{k}"), changes.jaccard.len());
    figures.extend(with(asked, &name, jaccard, n, |figure| {
        figure.title = format!("Jaccard index of the first {k}");
        // Lists that hold everything are the same by chance.
        figure.chance = chance(k, asked.choices(context)).filter(|chance| 1.0 <= *chance);
    }));
    let rbo = of(&changes.rbo, k, lengths + 1);
    figures.extend(with(asked, "rbo", rbo, n, |figure| {
        figure.title = "Rank-biased overlap (p = 0.9)".to_owned();
    }));
    let top1 = of_yes(&changes.top1, population, settings.confidence);
    figures.extend(with(asked, "top1", top1, n, |figure| {
        figure.title = "Same first answer".to_owned();
        figure.chance = chance(1, asked.choices(context));
    }));
    figures.extend(tau(changes, asked));
    let leads = columns.last().map_or(&[][..], Vec::as_slice);
    let spread = spread(lengths + 2);
    let spread = of_spread(leads, settings.confidence, spread).filter(|_| asked == Asked::Queries);
    figures.extend(gap(changes, asked, k, spread));
    figures
}

/// The overlap at a length, and, at the headline's, what of it is beyond chance.
fn overlaps_at(
    asked: Asked,
    length: usize,
    overlap: Option<Estimate>,
    n: usize,
    context: &Context<'_>,
) -> Vec<Figure> {
    let by_chance = chance(length, asked.choices(context));
    let made = with(asked, &format!("overlap@{length}"), overlap, n, |figure| {
        figure.title = format!("Share of the first {length} in both");
        figure.chance = by_chance;
    });
    let is_headline = length == context.k();
    let corrected = is_headline.then(|| corrected(asked, length, overlap, by_chance, n));
    made.into_iter().chain(corrected.flatten()).collect()
}

fn with(
    asked: Asked,
    name: &str,
    estimate: Option<Estimate>,
    n: usize,
    fill: impl FnOnce(&mut Figure),
) -> Option<Figure> {
    let mut made = figure(format!("{}.{name}", asked.prefix()), "", asked.group());
    made.estimate = estimate?;
    made.has_interval = true;
    made.n = n;
    fill(&mut made);
    Some(made)
}

/// The overlap without what chance gives.
fn corrected(
    asked: Asked,
    k: usize,
    overlap: Option<Estimate>,
    by_chance: Option<f64>,
    n: usize,
) -> Option<Figure> {
    let (overlap, by_chance) = (overlap?, by_chance?);
    let beyond = |value: f64| beyond_chance(value, by_chance);
    let estimate = Estimate {
        value: beyond(overlap.value)?,
        interval: Interval {
            low: beyond(overlap.interval.low)?,
            high: beyond(overlap.interval.high)?,
        },
    };
    with(
        asked,
        &format!("overlap@{k}.corrected"),
        Some(estimate),
        n,
        |figure| {
            figure.title = format!("The same for {k}, beyond chance");
            figure.chance = Some(0.0);
        },
    )
}

fn tau(changes: &Changes, asked: Asked) -> Option<Figure> {
    let mut made = figure(
        format!("{}.tau", asked.prefix()),
        "Kendall's tau over what either found",
        asked.group(),
    );
    made.estimate = exactly(mean(&changes.tau)?);
    made.n = changes.tau.len();
    Some(made)
}

/// How much clearer the first answer stands out.
fn gap(changes: &Changes, asked: Asked, k: usize, spread: Option<Interval>) -> Option<Figure> {
    let side = |side: usize| -> Option<f64> {
        let gaps = changes
            .gaps
            .iter()
            .filter_map(|gaps| gaps.get(side).copied());
        mean(&gaps.collect::<Vec<f64>>())
    };
    let sides = [side(0)?, side(1)?];
    let mut made = figure(
        format!("{}.gap", asked.prefix()),
        format!("Lead of the first answer over the {k}th"),
        asked.group(),
    );
    made.estimate = exactly(sides[1] - sides[0]);
    if let Some(interval) = spread {
        made.estimate.interval = interval;
        made.has_interval = true;
    }
    made.sides = Some(sides);
    made.n = changes.gaps.len();
    Some(made)
}

/// Returns how many questions keep which share of their answers, beside how many texts keep it in spite of noise.
pub(super) fn histogram(id: String, shares: &[f64], noise: Option<&[usize]>) -> Histogram {
    Histogram {
        id,
        counts: share_counts(shares),
        noise: noise.map(<[usize]>::to_vec),
    }
}

/// Returns how many shares there are in each of 20 bins of the same width: of bin i those from i/20 on, and in the
/// last also 1.
#[must_use]
pub fn share_counts(shares: &[f64]) -> Vec<usize> {
    let mut counts = vec![0; BINS];
    for share in shares {
        // A share of 0.35 is 6.999… twentieths.
        let place = share * BINS as f64 + 1e-9;
        let bin = (1..BINS).take_while(|bin| *bin as f64 <= place).count();
        if let Some(count) = counts.get_mut(bin) {
            *count += 1;
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::share_counts;

    #[test]
    fn bins_hold_their_lower_ends() {
        let counted = share_counts(&[0.0, 0.05, 0.349, 0.35, 0.9, 1.0, 0.99]);
        let filled: Vec<(usize, usize)> = counted
            .into_iter()
            .enumerate()
            .filter(|(_, count)| *count > 0)
            .collect();
        assert_eq!(filled, [(0, 1), (1, 1), (6, 1), (7, 1), (18, 1), (19, 2)]);
    }
}
