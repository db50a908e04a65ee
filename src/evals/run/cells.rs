//! The cells of a plan, and the order in which they are asked: base and head of a case come one after the
//! other, so that both meet the same weather; what must wait for something else is in one chain with it.

use crate::evals::digest::digest;
use crate::evals::plan::{RunPlan, Side, SidePlan, Subject};
use crate::evals::row::CellKey;
use crate::evals::run::comparing::compares;
use crate::evals::sequential::{is_sequential, order as order_of};
use crate::evals::suite::Case;
use std::collections::HashMap;

/// One question of a run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cell<'a> {
    pub(super) side: &'a SidePlan,
    pub(super) subject: &'a Subject,
    pub(super) case: &'a Case,
    pub(super) repeat: u32,
}

/// Cells that are asked one after another.
pub(super) type Chain<'a> = Vec<Cell<'a>>;

/// The cells of a plan.
#[derive(Debug, Default)]
pub(super) struct Cells<'a> {
    /// They run alone, and first.
    pub(super) alone: Chain<'a>,
    /// They run beside each other.
    pub(super) beside: Vec<Chain<'a>>,
}

impl Cell<'_> {
    /// Returns its name in the run.
    pub(super) fn key(&self) -> CellKey {
        CellKey {
            side: self.side.side,
            subject: self.subject.label.clone(),
            case: self.case.id.clone(),
            repeat: self.repeat,
        }
    }

    /// Returns the place of its subject on its side.
    pub(super) fn place(&self) -> Option<usize> {
        let mut subjects = self.side.subjects.iter();
        subjects.position(|subject| subject.label == self.subject.label)
    }

    /// Whether another cell is of the same case and repeat: the two may be compared.
    pub(super) fn is_beside(&self, other: &Self) -> bool {
        self.case.id == other.case.id && self.repeat == other.repeat
    }

    /// The chain it belongs to; `None` when it waits for nothing. `is_shared`: all subjects are in one.
    fn chain(&self, stores_from: Option<usize>, place: usize, is_shared: bool) -> Option<String> {
        let is_told =
            self.subject.uses_conversation() && !self.case.options.is_without_conversation;
        let has_stored = stores_from.is_some_and(|from| from <= place);
        // What a case stores is for all cases behind it, whatever conversation they are in.
        let conversation = if has_stored {
            ""
        } else if is_told {
            self.case
                .metadata
                .get("conversationId")
                .and_then(|id| id.as_str())
                .unwrap_or_default()
        } else if compares(self.case) {
            return Some(digest(&("compared", &self.case.id, self.repeat)));
        } else {
            return None;
        };
        let label = Some(&self.subject.label).filter(|_| !is_shared);
        Some(digest(&(
            self.side.side,
            label,
            self.repeat,
            conversation,
            has_stored,
        )))
    }
}

fn is_wanted(case: &Case, subject: &Subject) -> bool {
    let has = |labels: &[String], label: &String| labels.is_empty() || labels.contains(label);
    has(&case.models, &subject.model_label) && has(&case.prompts, &subject.prompt_label)
}

/// Returns the cells of a case on one side.
fn of_case<'a>(side: &'a SidePlan, case: &'a Case, repeat: u32) -> impl Iterator<Item = Cell<'a>> {
    let subjects = side
        .subjects
        .iter()
        .filter(|subject| is_wanted(case, subject));
    subjects.map(move |subject| Cell {
        side,
        subject,
        case,
        repeat,
    })
}

/// A cell with its places in the order of all cases and in that of its own side.
struct Placed<'a> {
    place: usize,
    own: usize,
    /// From where on its side's cases wait for each other, because one stores its answer.
    stores_from: Option<usize>,
    cell: Cell<'a>,
}

impl<'a> Cells<'a> {
    /// Returns the cells of a plan in their order.
    pub(super) fn of(plan: &'a RunPlan) -> Self {
        // The side with the new cases leads; cases that only the other has come last. Where pairs may
        // decide early, their order is drawn: a suite may begin with what is easy.
        let drawn = if is_sequential(plan) {
            order_of(plan)
        } else {
            Vec::new()
        };
        let mut places: HashMap<&str, usize> = HashMap::new();
        let written = plan.sides.iter().rev().flat_map(|side| &side.cases);
        for case in drawn.into_iter().chain(written) {
            let next = places.len();
            places.entry(case.id.0.as_str()).or_insert(next);
        }
        let mut order: Vec<Placed<'a>> = Vec::new();
        for side in &plan.sides {
            let stores = |case: &Case| case.options.store_output_as.is_some();
            let stores_from = side.cases.iter().position(stores);
            for (own, case) in side.cases.iter().enumerate() {
                let place = places.get(case.id.0.as_str()).copied().unwrap_or(own);
                for repeat in 0..case.options.repeat.unwrap_or(plan.settings.repeat).max(1) {
                    order.extend(of_case(side, case, repeat).map(|cell| Placed {
                        place,
                        own,
                        stores_from,
                        cell,
                    }));
                }
            }
        }
        order.sort_by_cached_key(|Placed { place, cell, .. }| {
            let is_base = cell.side.side == Side::Base;
            // Neither side always goes first.
            let turn = usize::try_from(cell.repeat).unwrap_or(0) + place;
            let label = cell.subject.label.clone();
            (
                *place,
                cell.repeat,
                label,
                is_base == turn.is_multiple_of(2),
            )
        });
        Self::chained(order)
    }

    fn chained(order: Vec<Placed<'a>>) -> Self {
        let mut cells = Self::default();
        let mut chains: HashMap<String, usize> = HashMap::new();
        // Conversations in which outputs are compared go on side by side.
        let is_shared = order.iter().any(|placed| compares(placed.cell.case));
        for placed in order {
            let cell = placed.cell;
            if cell.case.options.is_serial {
                cells.alone.push(cell);
                continue;
            }
            let next = cells.beside.len();
            let index = match cell.chain(placed.stores_from, placed.own, is_shared) {
                None => next,
                Some(name) => *chains.entry(name).or_insert(next),
            };
            match cells.beside.get_mut(index) {
                Some(chain) => chain.push(cell),
                None => cells.beside.push(vec![cell]),
            }
        }
        cells
    }

    /// Returns all cells.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Cell<'a>> {
        self.alone.iter().chain(self.beside.iter().flatten())
    }
}

/// Returns how many cells a plan has.
#[must_use]
pub fn count(plan: &RunPlan) -> u64 {
    let count = Cells::of(plan).iter().count();
    u64::try_from(count).unwrap_or(u64::MAX)
}
