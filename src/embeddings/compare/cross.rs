//! Whether one index may hold vectors of both: each side is asked with the other's vectors.

use super::change::shares_at;
use super::draw::cosine;
use super::evidence::{Context, Evidence, List};
use super::figures::{exactly, figure};
use super::interval::{of_shares, unseen};
use super::labels::Labels;
use super::report::{Figure, FigureGroup};
use super::sample::read;
use crate::embeddings::Error;
use crate::embeddings::ranking::chance;
use crate::embeddings::rows::Rows as _;
use crate::stats::{Estimate, Interval, Random, mean, ratio_of_means};

/// A way to mix: what is asked, in which lists the answers are, and which lists they should be.
struct Mix {
    id: &'static str,
    title: &'static str,
    lists: Vec<List>,
    own: Vec<List>,
}

/// Returns the figures; none when the sides differ in dimensions, which makes mixing impossible.
pub(super) fn figures(
    context: &Context<'_>,
    evidence: &Evidence,
    labels: &Labels,
) -> Result<Vec<Figure>, Error> {
    if !context.is_crossing() {
        return Ok(Vec::new());
    }
    let is_by_queries = !evidence.queries.is_empty();
    let mut figures: Vec<Figure> = likeness(context, &evidence.items)?.into_iter().collect();
    for mix in mixes(context, evidence, is_by_queries) {
        figures.extend(overlap(context, &mix, is_by_queries));
        if is_by_queries {
            figures.extend(retained(context, &mix, labels));
        }
    }
    Ok(figures)
}

/// The mean cosine of the two vectors of an item.
fn likeness(context: &Context<'_>, items: &[usize]) -> Result<Option<Figure>, Error> {
    let [a, b] = read(context, items)?;
    let dimensions = a.dimensions().max(1);
    let vectors = a.values().chunks_exact(dimensions);
    let pairs = vectors.zip(b.values().chunks_exact(dimensions));
    let cosines: Vec<f64> = pairs.map(|(a, b)| cosine(a, b)).collect();
    Ok(mean(&cosines).map(|value| Figure {
        estimate: exactly(value),
        n: cosines.len(),
        ..figure(
            "cross.cosine",
            "Mean cosine of an item's two vectors",
            FigureGroup::Cross,
        )
    }))
}

fn mixes(context: &Context<'_>, evidence: &Evidence, is_by_queries: bool) -> [Mix; 4] {
    let [a, b] = &evidence.answers;
    let pick = |items: &Vec<List>, queries: &Vec<List>| {
        if is_by_queries {
            queries.clone()
        } else {
            items.clone()
        }
    };
    let a_in_a = pick(&a.items, &a.queries);
    let b_in_b = pick(&b.items, &b.queries);
    let b_in_a = pick(&a.cross_items, &a.cross_queries);
    let a_in_b = pick(&b.cross_items, &b.cross_queries);
    let half = |of_a: &[List], of_b: &[List]| -> Vec<List> {
        let pairs = of_a.iter().zip(of_b);
        pairs
            .map(|(a, b)| mixed(a, b, context.settings.seed))
            .collect()
    };
    let (mixed_a, mixed_b) = (half(&a_in_a, &a_in_b), half(&b_in_a, &b_in_b));
    [
        Mix {
            id: "cross.b_in_a",
            title: "B's vectors, A's index",
            lists: b_in_a,
            own: a_in_a.clone(),
        },
        Mix {
            id: "cross.a_in_b",
            title: "A's vectors, B's index",
            lists: a_in_b,
            own: b_in_b.clone(),
        },
        Mix {
            id: "cross.mixed_a",
            title: "A's vectors, mixed index",
            lists: mixed_a,
            own: a_in_a,
        },
        Mix {
            id: "cross.mixed_b",
            title: "B's vectors, mixed index",
            lists: mixed_b,
            own: b_in_b,
        },
    ]
}

/// What an index answers whose one half holds A's vectors and whose other half B's: of each list the half
/// that would be there, by score.
fn mixed(of_a: &List, of_b: &List, seed: u64) -> List {
    let is_of_a = |unit: usize| Random::from_seed(seed ^ unit as u64).happens(0.5);
    let from_a = of_a.iter().filter(|ranked| is_of_a(ranked.unit));
    let from_b = of_b.iter().filter(|ranked| !is_of_a(ranked.unit));
    let mut list: List = from_a.chain(from_b).copied().collect();
    list.sort_by(|one, other| {
        let by_score = other.score.total_cmp(&one.score);
        by_score.then(one.unit.cmp(&other.unit))
    });
    list
}

/// Which share of its own answers the mix finds.
fn overlap(context: &Context<'_>, mix: &Mix, is_by_queries: bool) -> Option<Figure> {
    let k = context.k();
    let shares = shares_at(&mix.own, &mix.lists, k);
    let population = (!is_by_queries).then_some(context.aligned.count);
    Some(Figure {
        estimate: of_shares(&shares, k, population, context.settings.confidence, None)?,
        has_interval: true,
        chance: chance(k, context.aligned.count + usize::from(is_by_queries)),
        n: shares.len(),
        ..figure(
            format!("{}.overlap@{k}", mix.id),
            format!("{}: own first {k}", mix.title),
            FigureGroup::Cross,
        )
    })
}

/// Which share of nDCG the mix keeps; `None` where there is none to keep.
fn retained(context: &Context<'_>, mix: &Mix, labels: &Labels) -> Option<Figure> {
    let (k, confidence) = (context.k(), context.settings.confidence);
    let own = labels.ndcg_of(&mix.own, k);
    let found = labels.ndcg_of(&mix.lists, k);
    let sides = [mean(&own)?, mean(&found)?];
    let [whole, kept] = sides;
    if whole <= 0.0 {
        return None;
    }
    let value = kept / whole;
    let interval = ratio_of_means(&found, &own, confidence).map(|ratio| ratio.interval);
    let pairs = own.iter().zip(&found);
    let changed = pairs.filter(|(own, found)| 1e-12 < (*own - *found).abs());
    // Without an interval nothing is known of how much queries differ.
    let changed = interval.map_or(0, |_| changed.count());
    let unseen = unseen(own.len(), changed, confidence) / whole;
    let interval = interval.unwrap_or(exactly(value).interval);
    Some(Figure {
        estimate: Estimate {
            value,
            interval: Interval {
                low: interval.low.min(value - unseen).max(0.0),
                high: interval.high.max(value + unseen),
            },
        },
        has_interval: true,
        sides: Some(sides),
        n: own.len(),
        ..figure(
            format!("{}.ndcg@{k}", mix.id),
            format!("{}: nDCG@{k} kept", mix.title),
            FigureGroup::Cross,
        )
    })
}
