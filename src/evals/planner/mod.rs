//! Suites -> [`RunPlan`]: what is to be asked, on one side or on two, and what that will take.
//!
//! A comparison asks the same cases on both sides: those of head. So every case of one side has its
//! pair, and a case that was made easier is easier for both; what became of base's own cases is said.

mod filter;
mod forecast;
mod subjects;
#[cfg(test)]
mod tests;
mod touched;
mod version;

pub use filter::Filter;
pub use forecast::{Counts, Figures};
pub use touched::{Because, PromptFiles, Touched, touched};

use crate::domain::{BundleHash, PromptKey, PromptReference};
use crate::evals::plan::{RunPlan, Side, SidePlan};
use crate::evals::suite::{Case, Problem, Suite};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// The layout of plans.
const VERSION: u32 = 1;

/// A version of a prompt, as far as a plan needs it.
#[derive(Debug, Clone, PartialEq)]
pub struct ResolvedVersion {
    /// Its name.
    pub key: PromptKey,
    /// Its identity.
    pub hash: BundleHash,
    /// The version as the archive keeps it.
    pub bundle: Value,
    /// What people call it.
    pub version: String,
    /// The model that it names.
    pub model: Option<String>,
    /// Its variables, with whether a call must give them.
    pub variables: Vec<(String, bool)>,
    /// Whether variables that it does not know are refused.
    pub is_strict: bool,
    /// The text of its template with its partials, to count tokens.
    pub text: String,
    /// The most tokens that it lets the model write.
    pub max_output: Option<u64>,
}

/// Finds the version that a reference means in a tree of files; the error is in words.
pub type Resolve<'a> = dyn Fn(&PromptReference) -> Result<ResolvedVersion, String> + 'a;

/// One side of what is planned: a suite, and the prompts it refers to.
pub struct Tree<'a> {
    /// The suite as it is in this tree.
    pub suite: &'a Suite,
    /// The commit; `None` for files that are in none.
    pub commit: Option<String>,
    /// What people call it.
    pub name: String,
    /// The prompts of the tree.
    pub prompts: &'a Resolve<'a>,
}

/// What is to be planned.
pub struct Request<'a> {
    /// What is new, or all there is.
    pub head: Tree<'a>,
    /// What was good before.
    pub base: Option<Tree<'a>>,
    /// Which cases.
    pub filter: &'a Filter,
    /// What a forecast is made from.
    pub figures: &'a Figures<'a>,
}

impl fmt::Debug for Tree<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Tree")
            .field("suite", &self.suite.path)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Request<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Request")
            .field("head", &self.head)
            .field("base", &self.base)
            .finish_non_exhaustive()
    }
}

/// Plans a run.
///
/// # Errors
///
/// Every prompt that cannot be resolved, every case that lacks a variable, and a filter that leaves
/// nothing.
pub fn plan(request: &Request<'_>) -> Result<RunPlan, Vec<Problem>> {
    let suite = request.head.suite;
    let mut problems = Vec::new();
    let cases = request.filter.cases(suite, &mut problems);
    let mut warnings = suite.warnings.clone();
    let mut sides = Vec::new();
    let mut texts = BTreeMap::new();
    if let Some(base) = &request.base {
        warnings.extend(changed_cases(base.suite, &cases, request.filter));
        let tried = side(base, Side::Base, (&cases, request.filter), &mut texts);
        match tried {
            // A prompt that is new has nothing to be compared with.
            Ok(side) => sides.push(side),
            Err(faults) => warnings.extend(
                faults
                    .iter()
                    .map(|fault| format!("base cannot be asked, so nothing is compared: {fault}")),
            ),
        }
    }
    match side(
        &request.head,
        Side::Head,
        (&cases, request.filter),
        &mut texts,
    ) {
        Ok(side) => sides.push(side),
        Err(faults) => problems.extend(faults),
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    warnings.extend(unpaired(&sides));
    let mut plan = RunPlan {
        version: VERSION,
        suite: suite.name.clone(),
        path: suite.path.clone(),
        description: suite.description.clone(),
        suite_hash: suite.hash.clone(),
        sides,
        derived_metrics: suite.derived_metrics.clone(),
        settings: suite.settings.clone(),
        judge: suite.judge.clone(),
        warnings,
        forecast: crate::evals::plan::Forecast::default(),
        files: suite.files.clone(),
        committed: None,
        by: None,
        baseline: None,
        quarantined: BTreeSet::new(),
    };
    plan.forecast = forecast::forecast(&plan, request.figures, &texts);
    Ok(plan)
}

/// What is known of a subject's prompt beyond the plan, by side and prompt label.
type Texts = BTreeMap<(Side, String), subjects::PromptFacts>;

fn side(
    tree: &Tree<'_>,
    side: Side,
    (cases, filter): (&[Case], &Filter),
    texts: &mut Texts,
) -> Result<SidePlan, Vec<Problem>> {
    let found = subjects::subjects(tree, cases, filter)?;
    for (label, facts) in found.facts {
        texts.insert((side, label), facts);
    }
    let labels: BTreeSet<&str> = found
        .subjects
        .iter()
        .map(|s| s.model_label.as_str())
        .collect();
    let is_asked = |case: &&Case| {
        case.models.is_empty()
            || case
                .models
                .iter()
                .any(|label| labels.contains(label.as_str()))
    };
    Ok(SidePlan {
        side,
        commit: tree.commit.clone(),
        name: tree.name.clone(),
        cases: cases.iter().filter(is_asked).cloned().collect(),
        subjects: found.subjects,
    })
}

/// Says what became of base's cases.
fn changed_cases(base: &Suite, head: &[Case], filter: &Filter) -> Vec<String> {
    if !filter.is_all() {
        return Vec::new();
    }
    let by_id = |cases: &[Case]| -> BTreeMap<String, Value> {
        let pairs = cases.iter().map(|case| (case.id.0.clone(), asked(case)));
        pairs.collect()
    };
    let (before, now) = (by_id(&base.cases), by_id(head));
    let gone = before.keys().filter(|id| !now.contains_key(*id)).count();
    let new = now.keys().filter(|id| !before.contains_key(*id)).count();
    let other = now
        .iter()
        .filter(|(id, case)| before.get(*id).is_some_and(|old| old != *case))
        .count();
    if gone + new + other == 0 {
        return Vec::new();
    }
    vec![format!(
        "the cases are not those of base: {new} new, {gone} gone, {other} changed; both sides are asked those of head"
    )]
}

/// What makes a case what it is, wherever it stands.
fn asked(case: &Case) -> Value {
    let mut value = serde_json::to_value(case).unwrap_or_default();
    drop_places(&mut value);
    value
}

fn drop_places(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(drop_places),
        Value::Object(fields) => {
            let is_place = |value: &Value| {
                value.as_object().is_some_and(|place: &Map<String, Value>| {
                    place.len() == 3 && place.contains_key("file") && place.contains_key("column")
                })
            };
            fields.retain(|name, value| name != "place" || !is_place(value));
            fields.values_mut().for_each(drop_places);
        }
        _ => {}
    }
}

/// Subjects that only one side has.
fn unpaired(sides: &[SidePlan]) -> Vec<String> {
    let [base, head] = sides else {
        return Vec::new();
    };
    let labels = |side: &SidePlan| -> BTreeSet<String> {
        side.subjects
            .iter()
            .map(|subject| subject.label.clone())
            .collect()
    };
    let (base, head) = (labels(base), labels(head));
    if base.len() == 1 && head.len() == 1 {
        // The only ones are compared, whatever they are called.
        return Vec::new();
    }
    let only = base.symmetric_difference(&head);
    only.map(|label| {
        let side = if head.contains(label) { "head" } else { "base" };
        format!("`{label}` is only in {side}, and is compared with nothing")
    })
    .collect()
}
