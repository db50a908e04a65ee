//! Which items are compared: before any figure, both sides are brought to one numbering.
//!
//! What is compared has a *unit*: an item that is in both with the same text, or, when the chunks differ,
//! a chunk of the coarser side. Everything after this speaks of units, never of rows of one side.

use super::error::CompareError;
use super::evidence::Context;
use super::norms::{Norms, norms, unit};
use super::report::Alignment;
use super::spans::SpanIndex;
use super::subject::{Query, Relevant, Subject, Target};
use crate::embeddings::Error;
use crate::embeddings::at_once::at_once;
use crate::embeddings::item::Span;
use std::collections::{HashMap, HashSet};

/// Two sides in one numbering.
#[derive(Debug)]
pub(super) struct Aligned {
    /// The unit of each row of A, of B; `None` for rows that are not compared.
    pub(super) units: [Vec<Option<usize>>; 2],
    /// The rows of each unit in A and B; empty when chunks are matched by place.
    pub(super) rows: Vec<[usize; 2]>,
    /// How many units there are.
    pub(super) count: usize,
    /// What the report says of it.
    pub(super) facts: Alignment,
    /// What else is worth knowing, in sentences.
    pub(super) notes: Vec<String>,
}

/// Aligns two sides.
///
/// # Errors
///
/// [`CompareError::NothingInCommon`] when fewer than two items are in both, [`CompareError::WrongSize`] when
/// a side's lists do not belong together, and what reading vectors gives.
pub(super) fn align(sides: [&Subject<'_>; 2]) -> Result<Aligned, Error> {
    let [a, b] = sides;
    check(a)?;
    check(b)?;
    let (second, first) = at_once(
        || norms(b.rows, unit(b.facts)),
        || norms(a.rows, unit(a.facts)),
    );
    let found = [first?, second?];
    let is_by_span = a.facts.pipeline_id != b.facts.pipeline_id && has_spans(a) && has_spans(b);
    let mut aligned = if is_by_span {
        by_span(sides, &found)
    } else {
        by_id(sides, &found)
    };
    for (norms, side) in found.iter().zip(sides) {
        if 0 < norms.not_finite {
            aligned.notes.push(format!(
                "{} vectors of `{}` are not finite; they are counted with the zero ones and left out",
                norms.not_finite, side.facts.name
            ));
        }
    }
    aligned.facts = Alignment {
        is_by_span,
        zero: [0, 1].map(|side| found.get(side).map_or(0, |norms| norms.unusable.len())),
        not_unit: [0, 1].map(|side| found.get(side).map_or(0, |norms| norms.not_unit)),
        duplicates: sides.map(duplicates),
        truncated: sides.map(|side| side.truncated),
        ..aligned.facts
    };
    if aligned.facts.compared < 2 {
        return Err(nothing(sides, &aligned.facts).into());
    }
    Ok(aligned)
}

/// Refuses a side whose lists are not of one length.
fn check(side: &Subject<'_>) -> Result<(), CompareError> {
    let rows = side.rows.len();
    for (of, found, may_be_empty) in [
        ("ids", side.ids.len(), false),
        ("text hashes", side.hashes.len(), true),
        ("spans", side.spans.len(), true),
    ] {
        if found != rows && !(may_be_empty && found == 0) {
            return Err(CompareError::WrongSize {
                name: side.facts.name.clone(),
                of,
                found,
                expected: rows,
            });
        }
    }
    Ok(())
}

fn has_spans(side: &Subject<'_>) -> bool {
    side.spans.iter().any(Option::is_some)
}

fn nothing([a, b]: [&Subject<'_>; 2], facts: &Alignment) -> CompareError {
    let reason = if facts.is_by_span {
        "no chunk of the one lies where a chunk of the other does".to_owned()
    } else if 0 < facts.changed_text {
        format!(
            "{} items are in both, but with other texts",
            facts.changed_text
        )
    } else {
        format!(
            "{} items in both, {} only in the first, {} only in the second",
            facts.compared, facts.only_a, facts.only_b
        )
    };
    CompareError::NothingInCommon {
        a: a.facts.name.clone(),
        b: b.facts.name.clone(),
        reason,
    }
}

fn by_id([a, b]: [&Subject<'_>; 2], found: &[Norms; 2]) -> Aligned {
    let [unusable_a, unusable_b] = found.each_ref().map(unusable);
    let rows_b: HashMap<&str, usize> = b.ids.iter().copied().zip(0..).collect();
    let mut units = [vec![None; a.ids.len()], vec![None; b.ids.len()]];
    let (mut rows, mut facts, mut in_both) = (Vec::new(), Alignment::default(), 0);
    for (row_a, id) in a.ids.iter().enumerate() {
        let Some(row_b) = rows_b.get(id).copied() else {
            facts.only_a += 1;
            continue;
        };
        in_both += 1;
        let texts = (a.hashes.get(row_a), b.hashes.get(row_b));
        if matches!(texts, (Some(one), Some(other)) if one != other) {
            facts.changed_text += 1;
        } else if !unusable_a.contains(&row_a) && !unusable_b.contains(&row_b) {
            for (units, row) in units.iter_mut().zip([row_a, row_b]) {
                if let Some(unit) = units.get_mut(row) {
                    *unit = Some(rows.len());
                }
            }
            rows.push([row_a, row_b]);
        }
    }
    facts.only_b = b.ids.len() - in_both;
    facts.compared = rows.len();
    let is_unknown = a.hashes.is_empty() || b.hashes.is_empty();
    let note =
        "it is not known whether texts changed: items of the same name are taken to be the same";
    Aligned {
        units,
        count: rows.len(),
        rows,
        facts,
        notes: is_unknown.then(|| note.to_owned()).into_iter().collect(),
    }
}

fn by_span([a, b]: [&Subject<'_>; 2], found: &[Norms; 2]) -> Aligned {
    let [unusable_a, unusable_b] = found.each_ref().map(unusable);
    let is_a_coarser = a.rows.len() <= b.rows.len();
    let (coarse, fine) = if is_a_coarser { (a, b) } else { (b, a) };
    let (bad_coarse, bad_fine) = if is_a_coarser {
        (unusable_a, unusable_b)
    } else {
        (unusable_b, unusable_a)
    };
    let index = SpanIndex::new(coarse.spans);
    let rows = coarse.rows.len();
    let of_coarse: Vec<Option<usize>> = (0..rows)
        .map(|row| (!bad_coarse.contains(&row)).then_some(row))
        .collect();
    let (mut unmatched, mut matched) = (0, HashSet::new());
    let of_fine = fine.spans.iter().enumerate().map(|(row, span)| {
        let best = span.as_ref().and_then(|span| index.best(span));
        if bad_fine.contains(&row) {
            return None;
        }
        // A chunk without a counterpart keeps its place in the lists: it counts as another answer.
        Some(
            best.inspect(|unit| _ = matched.insert(*unit))
                .unwrap_or_else(|| {
                    unmatched += 1;
                    rows + row
                }),
        )
    });
    let of_fine: Vec<Option<usize>> = of_fine.collect();
    let lonely = rows - matched.len();
    let facts = Alignment {
        compared: matched.len(),
        only_a: if is_a_coarser { lonely } else { unmatched },
        only_b: if is_a_coarser { unmatched } else { lonely },
        ..Alignment::default()
    };
    let note = format!(
        "the chunks differ: {} chunks of `{}` are matched with {} of `{}` by their places in the sources, and \
         figures count the latter",
        fine.rows.len(),
        fine.facts.name,
        rows,
        coarse.facts.name
    );
    Aligned {
        units: if is_a_coarser {
            [of_coarse, of_fine]
        } else {
            [of_fine, of_coarse]
        },
        rows: Vec::new(),
        count: rows + unmatched,
        facts,
        notes: vec![note],
    }
}

fn unusable(norms: &Norms) -> HashSet<usize> {
    norms.unusable.iter().copied().collect()
}

/// Counts the items whose text another item has too.
fn duplicates(side: &Subject<'_>) -> usize {
    let mut hashes: Vec<_> = side.hashes.iter().collect();
    hashes.sort_unstable();
    let same = hashes.chunk_by(|one, other| one == other);
    same.filter(|same| 1 < same.len()).map(<[_]>::len).sum()
}

/// The items that a query names: those that answer it, and its own.
fn names(query: &Query) -> impl Iterator<Item = &str> {
    let answers = query
        .relevant
        .iter()
        .filter_map(|label| match &label.target {
            Target::Item(id) => Some(id.as_str()),
            Target::Span(_) => None,
        });
    answers.chain(query.item.as_deref())
}

/// Finds the units that labels point at.
pub(super) struct Targets<'a> {
    aligned: &'a Aligned,
    /// The rows of the items that are pointed at.
    ids: [HashMap<&'a str, usize>; 2],
    spans: [SpanIndex<'a>; 2],
}

impl<'a> Targets<'a> {
    /// Returns where the labels of a comparison's queries point.
    pub(super) fn new(context: &Context<'a>) -> Self {
        let queries = context.queries.map_or(&[][..], |queries| queries.list);
        let named: HashSet<&str> = queries.iter().flat_map(names).collect();
        let rows_of = |side: &Subject<'a>| {
            let ids = side.ids.iter().copied().zip(0..);
            ids.filter(|(id, _)| named.contains(id)).collect()
        };
        Self {
            aligned: context.aligned,
            ids: context.sides.map(rows_of),
            spans: context.sides.map(|side| SpanIndex::new(side.spans)),
        }
    }

    /// Returns the unit of an item that a query names.
    pub(super) fn item(&self, id: &str) -> Option<usize> {
        self.ids
            .iter()
            .zip(&self.aligned.units)
            .find_map(|(ids, units)| {
                let row = ids.get(id)?;
                units.get(*row).copied().flatten()
            })
    }

    /// Returns the grades of the units that a query's labels point at, and how many labels point at nothing
    /// that is compared. Of two grades of a unit the higher counts.
    pub(super) fn grades(&self, relevant: &[Relevant]) -> (HashMap<usize, f64>, usize) {
        let (mut grades, mut lost) = (HashMap::new(), 0);
        for label in relevant.iter().filter(|label| 0.0 < label.grade) {
            let units = match &label.target {
                Target::Item(id) => self.item(id).into_iter().collect(),
                Target::Span(span) => self.place(span),
            };
            lost += usize::from(units.is_empty());
            for unit in units {
                let grade = grades.entry(unit).or_insert(0.0_f64);
                *grade = grade.max(label.grade);
            }
        }
        (grades, lost)
    }

    /// The units at a place; those of the coarser side, which is the one whose rows are units.
    fn place(&self, span: &Span) -> Vec<usize> {
        let by_side = self
            .spans
            .iter()
            .zip(&self.aligned.units)
            .map(|(index, units)| {
                let rows = index.all(span).into_iter();
                let units = rows.filter_map(|row| units.get(row).copied().flatten());
                let mut units: Vec<usize> = units.collect();
                units.sort_unstable();
                units.dedup();
                units
            });
        by_side
            .min_by_key(|units| {
                if units.is_empty() {
                    usize::MAX
                } else {
                    units.len()
                }
            })
            .unwrap_or_default()
    }
}
