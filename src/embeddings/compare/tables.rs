//! What people look at: queries and items that changed, with their answers and texts.

use super::align::Targets;
use super::change::Changes;
use super::evidence::{Context, Evidence, List};
use super::labels::{Judged, Labels};
use super::report::{Fate, Hit, ItemChange, QueryChange};
use crate::embeddings::Error;
use std::collections::HashMap;

/// How much of a text is shown, in characters.
const SHOWN_TEXT: usize = 240;
/// How many answers are shown at most.
const SHOWN_HITS: usize = 10;

/// Returns the beginning of a text.
pub(super) fn beginning(text: &str) -> String {
    let mut chars = text.char_indices();
    match chars.nth(SHOWN_TEXT) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or(text).trim_end()),
        None => text.to_owned(),
    }
}

/// Reads what is shown of rows.
pub(super) struct Shown<'a> {
    context: &'a Context<'a>,
}

impl<'a> Shown<'a> {
    /// Returns a reader.
    pub(super) const fn new(context: &'a Context<'a>) -> Self {
        Self { context }
    }

    /// Returns the beginning of the text of a row, where it may be shown.
    pub(super) fn text(&self, side: usize, row: usize) -> Result<Option<String>, Error> {
        if !self.context.settings.is_showing_texts {
            return Ok(None);
        }
        let Some(subject) = self.context.sides.get(side) else {
            return Ok(None);
        };
        Ok((subject.text)(row)?.as_deref().map(beginning))
    }

    fn hits(
        &self,
        side: usize,
        list: &List,
        grades: Option<&HashMap<usize, f64>>,
    ) -> Result<Vec<Hit>, Error> {
        let shown = list.iter().take(self.context.k().min(SHOWN_HITS));
        let hits = shown.map(|ranked| {
            let subject = self.context.sides.get(side);
            let id = subject.and_then(|subject| subject.ids.get(ranked.row));
            let span = subject.and_then(|subject| subject.spans.get(ranked.row));
            Ok(Hit {
                id: id.map_or(String::new(), |id| (*id).to_owned()),
                text: self.text(side, ranked.row)?,
                score: f64::from(ranked.score),
                relevance: grades.map(|grades| grades.get(&ranked.unit).copied().unwrap_or(0.0)),
                span: span.cloned().flatten(),
            })
        });
        hits.collect()
    }
}

/// Returns the queries to look at: first those that lose or gain their relevant answers, then those that
/// change most.
pub(super) fn queries(
    context: &Context<'_>,
    evidence: &Evidence,
    changes: &Changes,
    labels: &Labels,
) -> Result<Vec<QueryChange>, Error> {
    let Some(queries) = context.queries else {
        return Ok(Vec::new());
    };
    let judged: HashMap<usize, &Judged> = labels
        .judged
        .iter()
        .map(|judged| (judged.place, judged))
        .collect();
    let fate = |place: usize| judged.get(&place).map_or(Fate::Kept, |judged| judged.fate);
    let weight = |fate: Fate| match fate {
        Fate::Lost => 0,
        Fate::Gained => 1,
        Fate::Kept => 2,
    };
    let order = order(context, changes, |place| weight(fate(place)));
    let shown = Shown::new(context);
    let [in_a, in_b] = &evidence.answers;
    let mut found = Vec::new();
    for place in order.into_iter().take(context.settings.listed) {
        let asked = evidence.queries.get(place);
        let query = asked.and_then(|(query, _)| queries.list.get(*query));
        let lists = in_a.queries.get(place).zip(in_b.queries.get(place));
        let (Some(query), Some((a, b))) = (query, lists) else {
            continue;
        };
        let judged = judged.get(&place);
        let grades = judged.map(|judged| &judged.grades);
        let text = query
            .text
            .as_deref()
            .filter(|_| context.settings.is_showing_texts);
        let (overlap, rbo, is_top1_same) = figures_of(context, changes, place);
        found.push(QueryChange {
            id: query.id.clone(),
            text: text.map(beginning),
            overlap,
            rbo,
            is_top1_same,
            ndcg: judged.map(|judged| judged.ndcg()),
            first_relevant: judged.map(|judged| judged.first),
            fate: fate(place),
            a: shown.hits(0, a, grades)?,
            b: shown.hits(1, b, grades)?,
        });
    }
    Ok(found)
}

/// Returns the drawn items whose neighbours changed most.
pub(super) fn movers(
    context: &Context<'_>,
    evidence: &Evidence,
    changes: &Changes,
) -> Result<Vec<ItemChange>, Error> {
    let order = order(context, changes, |_| 0);
    let shown = Shown::new(context);
    let [in_a, in_b] = &evidence.answers;
    let mut found = Vec::new();
    for place in order.into_iter().take(context.settings.listed) {
        let unit = evidence.items.get(place);
        let rows = unit.and_then(|unit| context.aligned.rows.get(*unit));
        let lists = in_a.items.get(place).zip(in_b.items.get(place));
        let (Some([row, _]), Some((a, b))) = (rows, lists) else {
            continue;
        };
        let (overlap, rbo, _) = figures_of(context, changes, place);
        found.push(ItemChange {
            id: context.sides[0]
                .ids
                .get(*row)
                .map_or(String::new(), |id| (*id).to_owned()),
            text: shown.text(0, *row)?,
            overlap,
            rbo,
            a: shown.hits(0, a, None)?,
            b: shown.hits(1, b, None)?,
        });
    }
    Ok(found)
}

/// Places from those that changed most to those that changed least; `weight` comes before everything.
fn order(context: &Context<'_>, changes: &Changes, weight: impl Fn(usize) -> u8) -> Vec<usize> {
    let mut places: Vec<usize> = (0..changes.top1.len()).collect();
    places.sort_by(|one, other| {
        let (first, second) = (
            figures_of(context, changes, *one),
            figures_of(context, changes, *other),
        );
        weight(*one)
            .cmp(&weight(*other))
            .then(first.0.total_cmp(&second.0))
            .then(first.1.total_cmp(&second.1))
            .then(one.cmp(other))
    });
    places
}

/// Overlap, rank-biased overlap, and whether the first answer is the same.
fn figures_of(context: &Context<'_>, changes: &Changes, place: usize) -> (f64, f64, bool) {
    let at = |values: &[f64]| values.get(place).copied().unwrap_or_default();
    let overlap = at(changes.overlap_at(context.k()));
    (overlap, at(&changes.rbo), 0.5 < at(&changes.top1))
}

/// Returns the queries to ask, by their places, with what each must not answer: those whose vectors have a
/// direction on both sides.
pub(super) fn askable(context: &Context<'_>, targets: &Targets<'_>) -> Vec<(usize, Option<usize>)> {
    let Some(queries) = context.queries else {
        return Vec::new();
    };
    let has_direction = |vector: Option<&[f32]>| {
        let square: f32 = vector
            .unwrap_or_default()
            .iter()
            .map(|value| value * value)
            .sum();
        0.0 < square && square.is_finite()
    };
    let all = queries.list.iter().enumerate();
    let askable = all.filter(|(place, _)| {
        has_direction(queries.a.row(*place)) && has_direction(queries.b.row(*place))
    });
    let with_own = askable.map(|(place, query)| {
        let own = query.item.as_deref().and_then(|id| targets.item(id));
        (place, own)
    });
    with_own.collect()
}

#[cfg(test)]
mod tests {
    use super::beginning;

    #[test]
    fn long_texts_are_cut_between_characters() {
        assert_eq!(beginning("short"), "short");
        let cut = beginning(&"ä".repeat(300));
        assert_eq!(cut.chars().count(), 241);
        assert!(cut.ends_with("ä…"));
    }
}
