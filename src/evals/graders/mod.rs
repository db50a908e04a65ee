//! What decides without asking a model: assertions of rules, and what they come to for a case.
//!
//! The meaning of each kind is promptfoo's, with three marks instead of two: what cannot be judged (a
//! missing value, a script that throws, a cost nobody knows) is an error, whatever is negated or weighed.

mod aggregate;
mod context;
pub mod derived;
mod html;
mod javascript;
mod json;
mod measures;
mod meteor;
mod overlap;
mod porter;
mod ready;
mod safety;
mod sql;
mod text;
mod tools;
mod trajectory;
mod treebank;
mod xml;

pub use aggregate::{aggregate, aggregate_with};

use crate::evals::grade::{AssertionGrade, Grade, Graded};
use crate::evals::suite::{Assertion, AssertionKind, AssertionValue, Decider};
use crate::evals::{template, values};
use crate::safety::Family;
use ready::Ready;
use serde_json::{Map, Value};

/// Characters of an expected value that reports get.
const MAX_EXPECTED: usize = 2_000;

/// Why an assertion cannot be judged, in words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
struct CannotJudge(String);

impl CannotJudge {
    fn because(reason: impl Into<String>) -> Self {
        Self(reason.into())
    }
}

/// What a grader says.
type Judged = Result<Grade, CannotJudge>;

/// Decides an assertion by its rule. A kind that no rule decides is an error.
///
/// Scripts and regular expressions hold the thread for some time: call it where that may be.
#[must_use]
pub fn decide(assertion: &Assertion, graded: &Graded<'_>) -> Grade {
    match assertion.kind.decider() {
        Decider::Rule => {}
        Decider::Nobody => return Grade::error(refusal(assertion.kind)),
        Decider::Model | Decider::Comparison => {
            let kind = assertion.kind.as_str();
            return Grade::error(format!("`{kind}` is not decided by a rule"));
        }
    }
    let outcome = Ready::make(assertion, graded).and_then(|ready| judge(&ready));
    outcome.unwrap_or_else(|reason| Grade::error(format!("`{}`: {reason}", name(assertion))))
}

/// Names an assertion's grade for the report: its place, its metric and what was expected, filled.
#[must_use]
pub fn place(
    path: String,
    assertion: &Assertion,
    vars: &Map<String, Value>,
    grade: Grade,
) -> AssertionGrade {
    AssertionGrade {
        path,
        kind: assertion.kind,
        is_negated: assertion.is_negated,
        metric: assertion
            .metric
            .as_deref()
            .and_then(|name| metric(name, vars)),
        weight: assertion.weight,
        expected: expected(assertion, vars),
        grade,
    }
}

/// Returns the name of a metric, filled; as it stands when it cannot be filled, `None` when it is empty.
fn metric(name: &str, vars: &Map<String, Value>) -> Option<String> {
    let filled = template::fill(name, vars).unwrap_or_else(|_| name.to_owned());
    (!filled.is_empty()).then_some(filled)
}

fn expected(assertion: &Assertion, vars: &Map<String, Value>) -> Option<String> {
    let text = match assertion.value.as_ref()? {
        AssertionValue::Json(value) => {
            let filled = template::fill_value(value, vars);
            values::text_of(filled.as_ref().unwrap_or(value))
        }
        AssertionValue::Script(script) => match (&script.file, &script.function) {
            (Some(file), Some(function)) => format!("{file}:{function}"),
            (Some(file), None) => file.clone(),
            (None, _) => script.code.clone(),
        },
    };
    Some(match text.char_indices().nth(MAX_EXPECTED) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    })
}

/// Returns the kind as suites write it, with `not-`.
fn name(assertion: &Assertion) -> String {
    let not = if assertion.is_negated { "not-" } else { "" };
    format!("{not}{}", assertion.kind.as_str())
}

fn refusal(kind: AssertionKind) -> String {
    let kind = kind.as_str();
    format!(
        "`{kind}` is not run here: write it as `javascript`, which runs in a sandbox, or ask a service with `webhook`"
    )
}

fn judge(ready: &Ready<'_>) -> Judged {
    use AssertionKind as Kind;
    match ready.assertion.kind {
        Kind::Equals => text::equals(ready),
        Kind::Contains => text::contains(ready, false),
        Kind::IContains => text::contains(ready, true),
        Kind::ContainsAny => text::contains_any(ready, false),
        Kind::IContainsAny => text::contains_any(ready, true),
        Kind::ContainsAll => text::contains_all(ready, false),
        Kind::IContainsAll => text::contains_all(ready, true),
        Kind::StartsWith => text::starts_with(ready),
        Kind::Regex => text::regex(ready),
        Kind::Levenshtein => text::levenshtein(ready),
        Kind::WordCount => text::word_count(ready),
        Kind::IsJson => json::is_json(ready),
        Kind::ContainsJson => json::contains_json(ready),
        Kind::IsSql => sql::is_sql(ready),
        Kind::ContainsSql => sql::contains_sql(ready),
        Kind::IsXml => xml::is_xml(ready),
        Kind::ContainsXml => xml::contains_xml(ready),
        Kind::IsHtml => html::is_html(ready),
        Kind::ContainsHtml => html::contains_html(ready),
        Kind::IsValidFunctionCall | Kind::IsValidOpenaiFunctionCall => tools::function_call(ready),
        Kind::IsValidOpenaiToolsCall => tools::tool_calls(ready),
        Kind::ToolCallF1 => tools::f1(ready),
        Kind::RougeN => overlap::rouge(ready),
        Kind::Bleu => overlap::bleu(ready),
        Kind::Gleu => overlap::gleu(ready),
        Kind::Meteor => meteor::meteor(ready),
        Kind::Latency => measures::latency(ready),
        Kind::Cost => measures::cost(ready),
        Kind::Perplexity => measures::perplexity(ready),
        Kind::PerplexityScore => measures::perplexity_score(ready),
        Kind::FinishReason => measures::finish_reason(ready),
        Kind::Guardrails => measures::guardrails(ready),
        Kind::TrajectoryToolUsed => trajectory::tool_used(ready),
        Kind::TrajectoryToolSequence => trajectory::tool_sequence(ready),
        Kind::TrajectoryToolArgsMatch => trajectory::tool_args_match(ready),
        Kind::TrajectoryStepCount => trajectory::step_count(ready),
        Kind::Javascript => javascript::javascript(ready),
        Kind::IsRefusal => safety::is_refusal(ready),
        _ => judge_safety(ready),
    }
}

/// The kinds of ours.
fn judge_safety(ready: &Ready<'_>) -> Judged {
    use AssertionKind as Kind;
    match ready.assertion.kind {
        Kind::Pii => safety::pii(ready),
        Kind::Secrets => safety::none_of(ready, Family::Secrets),
        Kind::Unicode => safety::none_of(ready, Family::Unicode),
        Kind::Commands => safety::none_of(ready, Family::Commands),
        Kind::Markup => safety::markup(ready, Family::Markup),
        Kind::Exfiltration => safety::markup(ready, Family::Exfiltration),
        Kind::Canary => safety::canary(ready),
        Kind::Leak => safety::leak(ready),
        Kind::ToolPolicy => safety::tool_policy(ready),
        Kind::Refusal => safety::refusal(ready),
        Kind::Repetition => safety::repeats(ready),
        _ => Err(CannotJudge::because("no rule decides it")),
    }
}

#[cfg(test)]
pub(super) mod tests {
    //! What every grader's tests stand on: an answer, a case, an assertion.

    use super::{Grade, Graded, decide};
    use crate::domain::Cost;
    use crate::evals::grade::{Mark, Step};
    use crate::evals::plan::Subject;
    use crate::evals::row::Answer;
    use crate::evals::suite::{
        AssertNode, Assertion, AssertionKind, AssertionValue, Case, ModelSource, Script,
    };
    use crate::evals::testing;
    use serde_json::{Map, Value, json};

    pub(in crate::evals) use testing::assertion;

    /// Everything that is graded, to be changed by a test.
    pub(in crate::evals) struct Bench {
        pub(in crate::evals) answer: Answer,
        pub(in crate::evals) log_probs: Option<Vec<f64>>,
        pub(in crate::evals) case: Case,
        pub(in crate::evals) subject: Subject,
        pub(in crate::evals) vars: Map<String, Value>,
        pub(in crate::evals) steps: Result<Vec<Step>, String>,
        pub(in crate::evals) canary: Option<String>,
    }

    impl Bench {
        pub(in crate::evals) fn of(output: Value) -> Self {
            let message = json!({"role": "assistant", "content": output});
            Self {
                answer: Answer {
                    call: None,
                    output,
                    message,
                    finish_reason: Some("stop".to_owned()),
                    model_returned: None,
                    usage: None,
                    cost: Cost::default(),
                    latency_us: 1_500,
                    cached_from: None,
                },
                log_probs: None,
                case: case(Vec::new()),
                subject: Subject {
                    model: ModelSource::Echo,
                    ..testing::subject("[m] p", "hi")
                },
                vars: Map::new(),
                steps: Ok(Vec::new()),
                canary: None,
            }
        }

        pub(in crate::evals) fn grade(&self, assertion: &Assertion) -> Grade {
            let graded = Graded {
                answer: &self.answer,
                log_probs: self.log_probs.as_deref(),
                case: &self.case,
                subject: &self.subject,
                vars: &self.vars,
                prompt: "hi",
                sent: &[],
                steps: self.steps.as_deref().map_err(String::as_str),
                canary: self.canary.as_deref(),
                repeat: 0,
            };
            decide(assertion, &graded)
        }
    }

    pub(in crate::evals) fn case(asserts: Vec<AssertNode>) -> Case {
        Case {
            asserts,
            ..testing::case("c")
        }
    }

    pub(in crate::evals) fn script(code: &str, file: Option<&str>) -> Script {
        Script {
            code: code.to_owned(),
            function: None,
            file: file.map(str::to_owned),
        }
    }

    /// Grades `output`, and returns mark and score.
    pub(in crate::evals) fn graded(name: &str, value: Value, output: Value) -> (Mark, f64) {
        let grade = Bench::of(output).grade(&assertion(name, value));
        (grade.mark, grade.score)
    }

    /// Grades `output` with a threshold.
    pub(in crate::evals) fn scored(
        name: &str,
        value: Value,
        threshold: f64,
        output: &str,
    ) -> Grade {
        let mut assertion = assertion(name, value);
        assertion.threshold = Some(threshold);
        Bench::of(json!(output)).grade(&assertion)
    }

    /// Holds a table of `(name, value, output, mark)` against the graders.
    pub(in crate::evals) fn hold(table: Vec<(&str, Value, Value, Mark)>) {
        for (name, value, output, mark) in table {
            let grade = Bench::of(output.clone()).grade(&assertion(name, value.clone()));
            assert_eq!(
                grade.mark, mark,
                "{name} {value} on {output}: {}",
                grade.reason
            );
        }
    }

    #[test]
    fn what_no_rule_decides_is_an_error_with_the_way_out() {
        let python = Bench::of(json!("x")).grade(&assertion("python", json!("True")));
        assert_eq!(python.mark, Mark::Error);
        assert!(python.reason.contains("javascript"), "{}", python.reason);
        assert_eq!(
            graded("llm-rubric", json!("is nice"), json!("x")).0,
            Mark::Error
        );
    }

    #[test]
    fn every_rule_says_something_of_anything() {
        use crate::evals::suite::Decider;
        for kind in AssertionKind::ALL
            .iter()
            .filter(|kind| kind.decider() == Decider::Rule)
        {
            for output in [
                json!(null),
                json!(""),
                json!("x \u{0}\u{1F600} {"),
                json!({"a": [1]}),
                json!(3.5),
            ] {
                for value in [
                    json!(null),
                    json!(""),
                    json!(3),
                    json!({"a": 1}),
                    json!(["x", 1]),
                    json!("{{"),
                ] {
                    let mut assertion = assertion(kind.as_str(), value);
                    let grade = Bench::of(output.clone()).grade(&assertion);
                    assertion.is_negated = true;
                    let negated = Bench::of(output.clone()).grade(&assertion);
                    let is_error = |grade: &Grade| grade.mark == Mark::Error;
                    assert_eq!(
                        is_error(&grade),
                        is_error(&negated),
                        "{kind:?} {grade:?} {negated:?}"
                    );
                    assert!(!grade.reason.contains("no rule decides it"), "{kind:?}");
                }
            }
        }
    }

    #[test]
    fn values_are_templates_and_transforms_come_first() {
        let mut bench = Bench::of(json!("Hello Ada"));
        bench.vars.insert("name".to_owned(), json!("Ada"));
        assert_eq!(
            bench.grade(&assertion("contains", json!("{{name}}"))).mark,
            Mark::Pass
        );
        assert_eq!(
            bench
                .grade(&assertion(
                    "contains-any",
                    json!(["x", "{{ name | lower }}"])
                ))
                .mark,
            Mark::Fail
        );
        let mut with = assertion("equals", json!("ADA"));
        with.transform = Some(script("output.split(' ')[1].toUpperCase()", None));
        assert_eq!(bench.grade(&with).mark, Mark::Pass);
        with.transform = Some(script("output.nope.nope", None));
        assert_eq!(bench.grade(&with).mark, Mark::Error);
        let mut from_file = assertion("contains", json!(null));
        from_file.value = Some(AssertionValue::Script(script(
            "module.exports = (o, c) => c.vars.name",
            Some("v.js"),
        )));
        assert_eq!(bench.grade(&from_file).mark, Mark::Pass);
        from_file.value = Some(AssertionValue::Script(script(
            "module.exports = () => true",
            Some("v.js"),
        )));
        assert_eq!(bench.grade(&from_file).mark, Mark::Error);
    }
}
