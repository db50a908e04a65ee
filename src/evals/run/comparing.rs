//! Cases whose outputs are compared with each other: `select-best` and `max-score`. Their rows wait until
//! all outputs of the case are there.

use crate::evals::gateway::Gateway;
use crate::evals::grade::{AssertionGrade, Grade};
use crate::evals::graders;
use crate::evals::judges::{self, Contender};
use crate::evals::row::Row;
use crate::evals::run::cells::Cell;
use crate::evals::run::grading::{self, Work};
use crate::evals::run::one::Common;
use crate::evals::suite::{AssertNode, Assertion, Case, Decider};
use std::sync::Arc;

/// A cell that was asked, or known before, with what was graded of it.
#[derive(Debug)]
pub(super) struct Asked<'a> {
    pub(super) cell: Cell<'a>,
    pub(super) row: Row,
    /// `None` when nothing could be graded.
    pub(super) work: Option<Arc<Work>>,
    /// Whether the row is kept as it is.
    pub(super) is_kept: bool,
}

fn is_comparison(assertion: &Assertion) -> bool {
    assertion.kind.decider() == Decider::Comparison
}

/// Whether the outputs of a case are compared with each other.
pub(super) fn compares(case: &Case) -> bool {
    let mut assertions = case.asserts.iter().flat_map(AssertNode::assertions);
    assertions.any(is_comparison)
}

/// Compares the outputs of a case on one side, and grades each row anew with what comes of it.
///
/// When one of the outputs is missing nobody wins: which one is best could not be said.
pub(super) async fn compare<'a>(
    common: Common<'_>,
    gateway: &dyn Gateway,
    mut group: Vec<Asked<'a>>,
) -> Vec<Asked<'a>> {
    let Some((first, key)) = group
        .iter()
        .find_map(|asked| Some((Arc::clone(asked.work.as_ref()?), asked.row.cell.clone())))
    else {
        return group;
    };
    let context = common.judging(gateway, &key);
    let missing = group.iter().find(|asked| asked.work.is_none());
    let missing = missing.map(|asked| asked.cell.subject.label.clone());
    let mut found: Vec<Vec<AssertionGrade>> = vec![Vec::new(); group.len()];
    for (path, assertion) in first.assertions() {
        if !is_comparison(assertion) {
            continue;
        }
        let grades = match &missing {
            Some(label) => vec![none(assertion, label); group.len()],
            None => {
                let outputs: Vec<Contender<'_>> = group.iter().filter_map(contender).collect();
                judges::compare(assertion, &outputs, &context).await
            }
        };
        for ((asked, grade), found) in group.iter().zip(grades).zip(&mut found) {
            let placed = graders::place(path.clone(), assertion, &asked.row.vars, grade);
            found.push(placed);
        }
    }
    for (asked, found) in group.iter_mut().zip(found) {
        grade_anew(asked, found).await;
    }
    group
}

fn contender<'a>(asked: &'a Asked<'_>) -> Option<Contender<'a>> {
    Some(Contender {
        graded: asked.work.as_ref()?.graded(),
        grades: &asked.row.grade.assertions,
    })
}

fn none(assertion: &Assertion, label: &str) -> Grade {
    let kind = assertion.kind.as_str();
    Grade::error(format!(
        "`{kind}`: `{label}` gave no answer to compare with"
    ))
}

async fn grade_anew(asked: &mut Asked<'_>, found: Vec<AssertionGrade>) {
    let Some(work) = &asked.work else { return };
    let mut grades = asked.row.grade.assertions.clone();
    grades.retain(|grade| grade.kind.decider() != Decider::Comparison);
    grades.extend(found);
    let order: Vec<String> = work
        .assertions()
        .into_iter()
        .map(|(path, _)| path)
        .collect();
    grades.sort_by_key(|grade| order.iter().position(|path| *path == grade.path));
    let grade = grading::sum(work, grades).await;
    asked.is_kept &= grade == asked.row.grade;
    asked.row.grade = grade;
}
