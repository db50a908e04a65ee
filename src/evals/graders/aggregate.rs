//! What the assertions of a case come to: marks and weights, sets, metrics, a scoring function.
//!
//! Without a threshold a case passes when every assertion does; with one, when the weighted mean of the
//! scores reaches it. An assertion of weight 0 cannot fail the case. An assertion that could not be judged
//! makes the case an error, unless the threshold is reached whatever it would have said: then its score
//! counts as 0 and the case passes. A case whose failure is certain is an error all the same: what could not
//! be judged is asked again, and failures are not counted where passes would be left out.

use crate::evals::grade::{AssertionGrade, CaseGrade, Mark, MetricScore};
use crate::evals::graders::{javascript, metric};
use crate::evals::script::{self, Purpose, ScriptArguments};
use crate::evals::suite::{AssertNode, AssertSet, AssertionKind, Case, Decider, Script};
use crate::evals::values::float_text;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// What a script may have scored is not bounded below: its absence proves nothing.
const UNBOUNDED: AssertionKind = AssertionKind::Javascript;

/// Returns the grade of a case from those of its assertions; names of sets' metrics are filled with the
/// case's own variables.
#[must_use]
pub fn aggregate(case: &Case, grades: Vec<AssertionGrade>) -> CaseGrade {
    aggregate_with(case, &case.vars, grades)
}

/// As [`aggregate`], with the filled variables of the cell.
#[must_use]
pub fn aggregate_with(
    case: &Case,
    vars: &Map<String, Value>,
    grades: Vec<AssertionGrade>,
) -> CaseGrade {
    if case.asserts.is_empty() && grades.is_empty() {
        return CaseGrade {
            mark: Mark::Pass,
            score: 1.0,
            reason: "there are no assertions".to_owned(),
            metrics: BTreeMap::new(),
            assertions: grades,
        };
    }
    let mut metrics = Metrics::default();
    let mut total = Total::new(case.threshold);
    let mut comparisons = Vec::new();
    for (index, node) in case.asserts.iter().enumerate() {
        match node {
            AssertNode::One(assertion) if assertion.kind.decider() == Decider::Comparison => {
                comparisons.extend(graded_at(&grades, &index.to_string()));
            }
            AssertNode::One(assertion) => {
                let found = graded_at(&grades, &index.to_string());
                total.add_assertion(assertion.weight, found);
                if let Some(found) = found {
                    metrics.add_assertion(found, 1.0, None);
                }
            }
            AssertNode::Set(set) => total.add_set(set, index, vars, &grades, &mut metrics),
        }
    }
    let scores = metrics.finish();
    let mut outcome = total.outcome();
    if let Some(script) = &case.scoring
        && outcome.mark != Mark::Error
    {
        outcome = scored_by(script, case, &scores, &outcome, &grades);
    }
    for comparison in comparisons {
        outcome.compare(comparison);
    }
    CaseGrade {
        mark: outcome.mark,
        score: outcome.score,
        reason: outcome.reason,
        metrics: scores,
        assertions: grades,
    }
}

fn graded_at<'a>(grades: &'a [AssertionGrade], path: &str) -> Option<&'a AssertionGrade> {
    grades.iter().find(|grade| grade.path == path)
}

/// What a case or a set comes to.
#[derive(Debug, Clone)]
struct Outcome {
    mark: Mark,
    score: f64,
    reason: String,
}

impl Outcome {
    /// A comparison with other outputs decides beside the score: what loses fails with its score.
    fn compare(&mut self, grade: &AssertionGrade) {
        let is_worse = match grade.grade.mark {
            Mark::Pass => false,
            Mark::Fail => self.mark != Mark::Error,
            Mark::Error => self.mark != Mark::Error,
        };
        if is_worse {
            self.mark = grade.grade.mark;
            self.score = grade.grade.score;
            self.reason.clone_from(&grade.grade.reason);
        }
    }
}

/// The sums of a case, or of a set.
#[derive(Debug)]
struct Total {
    threshold: Option<f64>,
    sum: f64,
    weight: f64,
    failed: Option<String>,
    errored: Option<String>,
    /// Whether every score that is missing is at least 0.
    is_bounded: bool,
}

impl Total {
    const fn new(threshold: Option<f64>) -> Self {
        Self {
            threshold,
            sum: 0.0,
            weight: 0.0,
            failed: None,
            errored: None,
            is_bounded: true,
        }
    }

    fn add_assertion(&mut self, weight: f64, found: Option<&AssertionGrade>) {
        let Some(found) = found else {
            self.add(weight, Mark::Error, 0.0, "an assertion was not graded");
            return;
        };
        let grade = &found.grade;
        self.add(weight, grade.mark, grade.score, &grade.reason);
        if grade.mark == Mark::Error && weight != 0.0 {
            self.is_bounded &= found.kind != UNBOUNDED && 0.0 < weight;
        }
    }

    fn add(&mut self, weight: f64, mark: Mark, score: f64, reason: &str) {
        if weight == 0.0 {
            return;
        }
        self.weight += weight;
        match mark {
            Mark::Error => {
                self.errored.get_or_insert_with(|| reason.to_owned());
                return;
            }
            Mark::Fail => {
                self.failed.get_or_insert_with(|| reason.to_owned());
            }
            Mark::Pass => {}
        }
        self.sum += score * weight;
    }

    fn add_set(
        &mut self,
        set: &AssertSet,
        index: usize,
        vars: &Map<String, Value>,
        grades: &[AssertionGrade],
        metrics: &mut Metrics,
    ) {
        let name = set.metric.as_deref().and_then(|name| metric(name, vars));
        let mut inner = Self::new(set.threshold);
        for (place, assertion) in set.asserts.iter().enumerate() {
            let found = graded_at(grades, &format!("{index}.{place}"));
            inner.add_assertion(assertion.weight, found);
            if let Some(found) = found {
                metrics.add_assertion(found, set.weight, name.as_deref());
            }
        }
        let is_bounded = inner.is_bounded;
        let outcome = inner.outcome();
        self.add(set.weight, outcome.mark, outcome.score, &outcome.reason);
        if outcome.mark == Mark::Error {
            self.is_bounded &= is_bounded && 0.0 <= set.weight;
        }
        if let Some(name) = name {
            metrics.add(&name, outcome.mark, outcome.score, set.weight);
        }
    }

    fn outcome(self) -> Outcome {
        let score = if self.weight == 0.0 {
            0.0
        } else {
            self.sum / self.weight
        };
        let reached = self
            .threshold
            .map(|threshold| (threshold, threshold <= score));
        if let Some(reason) = self.errored {
            return match reached {
                Some((threshold, true)) if self.is_bounded => Outcome {
                    mark: Mark::Pass,
                    score,
                    reason: format!(
                        "the score {score:.2} reaches {} without what could not be judged: {reason}",
                        float_text(threshold)
                    ),
                },
                _ => Outcome {
                    mark: Mark::Error,
                    score,
                    reason,
                },
            };
        }
        let (is_pass, reason) = match (reached, self.failed) {
            (Some((threshold, true)), _) => (
                true,
                format!("the score {score:.2} reaches {}", float_text(threshold)),
            ),
            (Some((threshold, false)), failed) => {
                let why = failed
                    .map(|reason| format!(": {reason}"))
                    .unwrap_or_default();
                (
                    false,
                    format!(
                        "the score {score:.2} is below {}{why}",
                        float_text(threshold)
                    ),
                )
            }
            (None, Some(reason)) => (false, reason),
            (None, None) => (true, "every assertion passed".to_owned()),
        };
        let mark = if is_pass { Mark::Pass } else { Mark::Fail };
        Outcome {
            mark,
            score,
            reason,
        }
    }
}

/// The sums of each metric.
#[derive(Debug, Default)]
struct Metrics(BTreeMap<String, Tally>);

#[derive(Debug, Default)]
struct Tally {
    sum: f64,
    weight: f64,
    /// The sum without weights, for metrics whose assertions all weigh nothing.
    plain_sum: f64,
    judged: u32,
    is_failed: bool,
    is_errored: bool,
}

impl Metrics {
    /// Counts an assertion under its metric, and what its script scored by name. `outer` is the weight of its
    /// set, and `set_name` the set's own metric, which is counted by the set.
    fn add_assertion(&mut self, found: &AssertionGrade, outer: f64, set_name: Option<&str>) {
        let weight = found.weight * outer;
        let grade = &found.grade;
        if let Some(name) = found
            .metric
            .as_deref()
            .filter(|name| Some(*name) != set_name)
        {
            self.add(name, grade.mark, grade.score, weight);
        }
        for (name, score) in &grade.named_scores {
            if found.metric.as_ref() != Some(name) && Some(name.as_str()) != set_name {
                self.add(name, grade.mark, *score, weight);
            }
        }
    }

    fn add(&mut self, name: &str, mark: Mark, score: f64, weight: f64) {
        let tally = self.0.entry(name.to_owned()).or_default();
        match mark {
            Mark::Error => {
                tally.is_errored = true;
                return;
            }
            Mark::Fail => tally.is_failed = true,
            Mark::Pass => {}
        }
        tally.sum += score * weight;
        tally.weight += weight;
        tally.plain_sum += score;
        tally.judged += 1;
    }

    fn finish(self) -> BTreeMap<String, MetricScore> {
        let scores = self.0.into_iter().map(|(name, tally)| {
            let score = match (tally.weight != 0.0, tally.judged) {
                (_, 0) => 0.0,
                (true, _) => tally.sum / tally.weight,
                (false, judged) => tally.plain_sum / f64::from(judged),
            };
            let score = MetricScore {
                score,
                is_pass: (!tally.is_errored).then_some(!tally.is_failed),
                weight: tally.weight,
            };
            (name, score)
        });
        scores.collect()
    }
}

/// Lets the case's scoring function decide: it gets the metrics, and must return a grade.
fn scored_by(
    script: &Script,
    case: &Case,
    scores: &BTreeMap<String, MetricScore>,
    outcome: &Outcome,
    grades: &[AssertionGrade],
) -> Outcome {
    let named: BTreeMap<&String, f64> = scores
        .iter()
        .map(|(name, score)| (name, score.score))
        .collect();
    let context = json!({
        "threshold": case.threshold,
        "score": outcome.score,
        "pass": outcome.mark == Mark::Pass,
        "componentResults": grades.iter().map(component).collect::<Vec<_>>(),
    });
    let arguments = ScriptArguments {
        purpose: Purpose::Scoring,
        input: &json!(named),
        context: &context,
    };
    let error = |reason: String| Outcome {
        mark: Mark::Error,
        score: 0.0,
        reason: format!("the scoring function: {reason}"),
    };
    let returned = match script::run(script, &arguments) {
        Ok(Value::Object(fields)) => fields,
        Ok(other) => return error(format!("it returned `{other}`, which is no grade")),
        Err(reason) => return error(reason.to_string()),
    };
    match javascript::grade_in(&returned) {
        Some((is_pass, score, reason)) => Outcome {
            mark: if is_pass { Mark::Pass } else { Mark::Fail },
            score,
            reason: reason.to_owned(),
        },
        None => error("it must return `pass`, `score` and `reason`".to_owned()),
    }
}

fn component(found: &AssertionGrade) -> Value {
    json!({
        "pass": found.grade.mark == Mark::Pass,
        "score": found.grade.score,
        "reason": found.grade.reason,
        "namedScores": found.grade.named_scores,
        "assertion": {
            "type": found.kind.as_str(),
            "metric": found.metric,
            "weight": found.weight,
            "value": found.expected,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::aggregate;
    use crate::evals::grade::{AssertionGrade, CaseGrade, Grade, Mark};
    use crate::evals::graders::tests::{assertion, case, script};
    use crate::evals::suite::{AssertNode, AssertSet, Case, Place};
    use proptest::prelude::*;
    use serde_json::json;

    /// `(weight, mark, score, metric)`.
    type Made = (f64, Mark, f64, Option<&'static str>);

    fn graded(path: String, name: &str, (weight, mark, score, metric): Made) -> AssertionGrade {
        let mut assertion = assertion(name, json!("x"));
        assertion.weight = weight;
        assertion.metric = metric.map(str::to_owned);
        let grade = Grade::of(mark, score, format!("{mark:?} at {path}"));
        crate::evals::graders::place(path, &assertion, &serde_json::Map::new(), grade)
    }

    fn node(weight: f64) -> AssertNode {
        let mut assertion = assertion("equals", json!("x"));
        assertion.weight = weight;
        AssertNode::One(Box::new(assertion))
    }

    fn made(list: &[Made]) -> (Case, Vec<AssertionGrade>) {
        let nodes = list.iter().map(|(weight, ..)| node(*weight)).collect();
        let grades = list
            .iter()
            .enumerate()
            .map(|(index, made)| graded(index.to_string(), "equals", *made));
        (case(nodes), grades.collect())
    }

    fn total(list: &[Made], threshold: Option<f64>) -> CaseGrade {
        let (mut case, grades) = made(list);
        case.threshold = threshold;
        aggregate(&case, grades)
    }

    const PASS: Made = (1.0, Mark::Pass, 1.0, None);
    const FAIL: Made = (1.0, Mark::Fail, 0.0, None);
    const ERROR: Made = (1.0, Mark::Error, 0.0, None);

    #[test]
    fn weights_and_thresholds_decide() {
        let heavy = (3.0, Mark::Pass, 1.0, None);
        for (list, threshold, mark, score) in [
            (vec![], None, Mark::Pass, 1.0),
            (vec![heavy, FAIL], None, Mark::Fail, 0.75),
            (vec![heavy, FAIL], Some(0.7), Mark::Pass, 0.75),
            (vec![heavy, FAIL], Some(0.8), Mark::Fail, 0.75),
            (
                vec![PASS, (0.0, Mark::Fail, 0.0, None)],
                None,
                Mark::Pass,
                1.0,
            ),
            (
                vec![PASS, (0.0, Mark::Error, 0.0, None)],
                None,
                Mark::Pass,
                1.0,
            ),
            (vec![(0.0, Mark::Fail, 0.0, None)], None, Mark::Pass, 0.0),
            (vec![PASS, ERROR], None, Mark::Error, 0.5),
            (vec![FAIL, ERROR], None, Mark::Error, 0.0),
            (vec![heavy, ERROR], Some(0.7), Mark::Pass, 0.75),
            (vec![heavy, ERROR], Some(0.8), Mark::Error, 0.75),
        ] {
            let grade = total(&list, threshold);
            assert_eq!(
                (grade.mark, grade.score),
                (mark, score),
                "{list:?} {threshold:?}"
            );
        }
        assert_eq!(total(&[PASS, FAIL, FAIL], None).reason, "Fail at 1");
    }

    #[test]
    fn a_missing_score_of_a_script_may_be_below_nothing() {
        let (mut case, mut grades) = made(&[(3.0, Mark::Pass, 1.0, None), ERROR]);
        case.threshold = Some(0.7);
        assert_eq!(aggregate(&case, grades.clone()).mark, Mark::Pass);
        grades[1].kind = crate::evals::suite::AssertionKind::Javascript;
        assert_eq!(aggregate(&case, grades).mark, Mark::Error);
    }

    #[test]
    fn what_was_not_graded_is_an_error() {
        let (case, mut grades) = made(&[PASS, PASS]);
        grades.pop();
        assert_eq!(aggregate(&case, grades).mark, Mark::Error);
    }

    #[test]
    fn a_set_counts_with_its_own_score() {
        let set = AssertSet {
            asserts: vec![
                assertion("equals", json!("x")),
                assertion("equals", json!("x")),
            ],
            weight: 1.0,
            threshold: Some(0.5),
            metric: Some("set {{who}}".to_owned()),
            config: None,
            place: Place::default(),
        };
        let mut case = case(vec![node(1.0), AssertNode::Set(set)]);
        case.vars.insert("who".to_owned(), json!("a"));
        let mut grades = vec![
            graded("0".to_owned(), "equals", PASS),
            graded(
                "1.0".to_owned(),
                "equals",
                (1.0, Mark::Pass, 1.0, Some("tone")),
            ),
            graded(
                "1.1".to_owned(),
                "equals",
                (1.0, Mark::Fail, 0.0, Some("tone")),
            ),
        ];
        let grade = aggregate(&case, grades.clone());
        assert_eq!((grade.mark, grade.score), (Mark::Pass, 0.75));
        assert!((grade.metrics["set a"].score - 0.5).abs() < 1e-12);
        assert_eq!(grade.metrics["set a"].is_pass, Some(true));
        assert!((grade.metrics["tone"].score - 0.5).abs() < 1e-12);
        assert_eq!(grade.metrics["tone"].is_pass, Some(false));
        grades[1].grade = Grade::error("gone");
        assert_eq!(aggregate(&case, grades).mark, Mark::Error);
    }

    #[test]
    fn metrics_are_weighted_means() {
        let grade = total(
            &[
                (3.0, Mark::Pass, 1.0, Some("a")),
                (1.0, Mark::Pass, 0.2, Some("a")),
                (0.0, Mark::Fail, 0.4, Some("b")),
                (0.0, Mark::Pass, 0.8, Some("b")),
                (1.0, Mark::Error, 0.0, Some("c")),
                (1.0, Mark::Pass, 0.9, Some("c")),
            ],
            None,
        );
        assert!((grade.metrics["a"].score - 0.8).abs() < 1e-12);
        assert!((grade.metrics["b"].score - 0.6).abs() < 1e-12);
        assert!((grade.metrics["c"].score - 0.9).abs() < 1e-12);
        assert_eq!(grade.metrics["c"].is_pass, None);
        assert!((grade.metrics["a"].weight - 4.0).abs() < 1e-12);
    }

    #[test]
    fn a_scoring_function_has_the_last_word() {
        let (mut case, mut grades) = made(&[(1.0, Mark::Fail, 0.5, Some("tone")), PASS]);
        case.scoring = Some(script(
            "module.exports = (scores, context) => ({pass: scores.tone > 0.4 && context.componentResults.length === 2, score: scores.tone, reason: 'by tone'})",
            Some("s.js"),
        ));
        let grade = aggregate(&case, grades.clone());
        assert_eq!(
            (grade.mark, grade.score, grade.reason.as_str()),
            (Mark::Pass, 0.5, "by tone")
        );
        case.scoring = Some(script("module.exports = () => true", Some("s.js")));
        assert_eq!(aggregate(&case, grades.clone()).mark, Mark::Error);
        grades[1].grade = Grade::error("gone");
        assert_eq!(aggregate(&case, grades).reason, "gone");
    }

    #[test]
    fn comparisons_decide_beside_the_score() {
        let (mut case, mut grades) = made(&[PASS]);
        case.asserts.push(AssertNode::One(Box::new(assertion(
            "select-best",
            json!("x"),
        ))));
        assert_eq!(aggregate(&case, grades.clone()).mark, Mark::Pass);
        grades.push(graded("1".to_owned(), "select-best", FAIL));
        let grade = aggregate(&case, grades.clone());
        assert_eq!((grade.mark, grade.score), (Mark::Fail, 0.0));
        // Also of a case that failed already.
        grades[0].grade.mark = Mark::Fail;
        let grade = aggregate(&case, grades);
        assert_eq!((grade.mark, grade.score), (Mark::Fail, 0.0));
    }

    fn any_made() -> impl Strategy<Value = Made> {
        let mark = prop_oneof![Just(Mark::Pass), Just(Mark::Fail), Just(Mark::Error)];
        (0_u8..4, mark, 0.0..=1.0_f64)
            .prop_map(|(weight, mark, score)| (f64::from(weight), mark, score, Some("m")))
    }

    proptest! {
        #[test]
        fn an_error_never_turns_into_a_pass_by_being_judged_worse(list in prop::collection::vec(any_made(), 1..6), threshold in prop::option::of(0.0..=1.0_f64)) {
            let grade = total(&list, threshold);
            prop_assert!((0.0..=1.0).contains(&grade.score));
            if grade.mark == Mark::Pass {
                // Whatever the errored ones would have said, it passes.
                let worst: Vec<Made> = list.iter().map(|made| if made.1 == Mark::Error { (made.0, Mark::Fail, 0.0, made.3) } else { *made }).collect();
                prop_assert_eq!(total(&worst, threshold).mark, Mark::Pass);
            }
            let has_weighty_error = list.iter().any(|made| made.1 == Mark::Error && made.0 != 0.0);
            if !has_weighty_error {
                prop_assert_ne!(grade.mark, Mark::Error);
            }
        }
    }
}
