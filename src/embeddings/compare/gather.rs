//! Asking as many questions as are needed: all of them, or, where one may stop early, until the headline
//! is clear.
//!
//! Looking after every batch would fool an ordinary interval. The one used here holds at all looks.

use super::evidence::{Context, Evidence};
use super::gate::Gate;
use super::report::GateOutcome;
use super::subject::Step;
use crate::embeddings::Error;
use crate::embeddings::compare::change::shares_at;
use crate::embeddings::compare::draw::draw;
use crate::embeddings::compare::error::CompareError;
use crate::stats::anytime::BernsteinSequence;
use crate::stats::{Estimate, Interval};
use std::ops::ControlFlow;

/// How many questions are asked before the first look; each next batch is as large as all before it.
const FIRST_BATCH: usize = 100;
/// How wide an interval may be at most for the headline to be known to a hundredth.
const NARROW: f64 = 0.02;

/// Tells how far a comparison is; its answer says whether to go on.
pub type Progress<'a> = dyn FnMut(Step) -> ControlFlow<()> + 'a;

/// Reports a step and stops where nobody waits any more.
pub(super) fn report(
    progress: &mut Progress<'_>,
    stage: &'static str,
    done: usize,
    total: usize,
) -> Result<(), Error> {
    match progress(Step { stage, done, total }) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(CompareError::Stopped.into()),
    }
}

/// Questions that may be asked, and whether some must be.
pub(super) struct Questions {
    /// Items, in random order.
    pub(super) items: Vec<usize>,
    /// Queries, and the unit that each must not answer.
    pub(super) queries: Vec<(usize, Option<usize>)>,
    /// Whether labels want every query.
    pub(super) has_labels: bool,
}

/// Asks, and returns the evidence; with it the headline's interval when it was stopped early, which holds
/// although one looked.
pub(super) fn gather(
    context: &Context<'_>,
    mut questions: Questions,
    progress: &mut Progress<'_>,
) -> Result<(Evidence, Option<Estimate>), Error> {
    let total = questions.items.len() + questions.queries.len();
    let mut evidence = Evidence::default();
    report(progress, "neighbours", 0, total)?;
    if !may_stop(context, &questions) {
        evidence.extend(context, &questions.items, &questions.queries)?;
        report(progress, "neighbours", total, total)?;
        return Ok((evidence, None));
    }
    let order = draw(
        questions.queries.len(),
        usize::MAX,
        context.settings.seed ^ 0x51,
    );
    let shuffled = order
        .iter()
        .filter_map(|place| questions.queries.get(*place).copied());
    questions.queries = shuffled.collect();
    let Some(mut sequence) = BernsteinSequence::new(1.0 - context.settings.confidence) else {
        return Ok((evidence, None));
    };
    let mut asked = 0;
    let longest = questions.items.len().max(questions.queries.len());
    let mut estimate = None;
    while asked < longest {
        let batch = asked.max(FIRST_BATCH);
        let items: Vec<usize> = questions
            .items
            .iter()
            .skip(asked)
            .take(batch)
            .copied()
            .collect();
        let queries: Vec<_> = questions
            .queries
            .iter()
            .skip(asked)
            .take(batch)
            .copied()
            .collect();
        let before = [evidence.queries.len(), evidence.items.len()];
        evidence.extend(context, &items, &queries)?;
        for share in shares(context, &evidence, before) {
            sequence.observe(share);
        }
        asked += batch;
        report(
            progress,
            "neighbours",
            evidence.items.len() + evidence.queries.len(),
            total,
        )?;
        estimate = sequence.estimate();
        let is_clear = estimate.is_some_and(|estimate| is_clear(context, estimate.interval));
        if is_clear && asked < longest {
            evidence.is_stopped_early = true;
            break;
        }
    }
    Ok((evidence, estimate))
}

fn may_stop(context: &Context<'_>, questions: &Questions) -> bool {
    let k = context.k();
    let gates = &context.settings.gates;
    let are_overlaps = gates.iter().all(|gate| gate.is_of_overlap(k));
    let wants_all = questions.has_labels && gates.is_empty();
    context.settings.is_stopping_early && are_overlaps && !wants_all
}

/// The headline of what was asked since `before`.
fn shares(context: &Context<'_>, evidence: &Evidence, before: [usize; 2]) -> Vec<f64> {
    let [a, b] = &evidence.answers;
    let (k, [queries, items]) = (context.k(), before);
    let (a, b, before) = if evidence.queries.is_empty() {
        (&a.items, &b.items, items)
    } else {
        (&a.queries, &b.queries, queries)
    };
    let new = (a.get(before..), b.get(before..));
    let (Some(a), Some(b)) = new else {
        return Vec::new();
    };
    shares_at(a, b, k)
}

/// Whether the gates are decided, or, without any, the headline is known to a hundredth.
fn is_clear(context: &Context<'_>, interval: Interval) -> bool {
    let gates = &context.settings.gates;
    if gates.is_empty() {
        return interval.width() < NARROW;
    }
    gates
        .iter()
        .all(|gate: &Gate| gate.outcome(interval) != GateOutcome::CannotDecide)
}
