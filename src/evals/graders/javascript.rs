//! `javascript`: what a script returns is the grade.

use crate::evals::grade::{Grade, Mark};
use crate::evals::graders::ready::Ready;
use crate::evals::graders::{CannotJudge, Judged};
use crate::evals::suite::{AssertionValue, Script};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// True or false; a number, which passes from the threshold on (without one: above 0); or an object of
/// `pass`, `score` and `reason`. Anything else, and a script that throws, cannot be judged.
pub(super) fn javascript(ready: &Ready<'_>) -> Judged {
    let inline;
    let script = match &ready.assertion.value {
        Some(AssertionValue::Script(script)) => script,
        _ => {
            inline = Script {
                code: ready.needed_text()?.to_owned(),
                function: None,
                file: None,
            };
            &inline
        }
    };
    match ready.run(script)? {
        Value::Bool(holds) => ready.plain(holds, format!("the script returned {holds}")),
        Value::Number(number) => {
            let score = number
                .as_f64()
                .ok_or_else(|| CannotJudge::because("its number is too large"))?;
            Ok(of_number(ready, score))
        }
        Value::Object(fields) => of_object(ready, fields),
        other => Err(not_a_grade(&other)),
    }
}

fn of_number(ready: &Ready<'_>, score: f64) -> Grade {
    let holds = match ready.assertion.threshold {
        Some(threshold) => threshold <= score,
        None => 0.0 < score,
    };
    let is_pass = holds != ready.assertion.is_negated;
    let mut grade = Grade::plain(is_pass, format!("the script returned {score}"));
    grade.score = score;
    grade
}

fn of_object(ready: &Ready<'_>, fields: Map<String, Value>) -> Judged {
    let Some((holds, score, reason)) = grade_in(&fields) else {
        return Err(not_a_grade(&Value::Object(fields)));
    };
    let is_pass = holds != ready.assertion.is_negated;
    let mark = if is_pass { Mark::Pass } else { Mark::Fail };
    let mut grade = Grade::of(mark, score, with_components(reason, &fields));
    grade.named_scores = named_scores(&fields);
    Ok(grade)
}

/// Returns `pass`, `score` and `reason` of an object that a script returned, when it has all three.
pub(super) fn grade_in(fields: &Map<String, Value>) -> Option<(bool, f64, &str)> {
    let is_pass = fields.get("pass")?.as_bool()?;
    let score = fields.get("score")?.as_f64()?;
    Some((is_pass, score, fields.get("reason")?.as_str()?))
}

/// The reason; of a component that failed, its reason too.
fn with_components(reason: &str, fields: &Map<String, Value>) -> String {
    let components = fields.get("componentResults").and_then(Value::as_array);
    let failed = components.into_iter().flatten().find_map(|component| {
        let is_failed = component.get("pass") == Some(&Value::Bool(false));
        let words = component.get("reason").and_then(Value::as_str);
        words.filter(|words| is_failed && *words != reason)
    });
    match failed {
        Some(words) => format!("{reason} ({words})"),
        None => reason.to_owned(),
    }
}

/// Returns the `namedScores` of an object that a script returned.
fn named_scores(fields: &Map<String, Value>) -> BTreeMap<String, f64> {
    let scores = fields.get("namedScores").and_then(Value::as_object);
    let scores = scores.into_iter().flatten();
    scores
        .filter_map(|(name, score)| Some((name.clone(), score.as_f64()?)))
        .collect()
}

fn not_a_grade(value: &Value) -> CannotJudge {
    let mut text = value.to_string();
    if let Some((end, _)) = text.char_indices().nth(200) {
        text.truncate(end);
        text.push('…');
    }
    CannotJudge::because(format!(
        "its script returned `{text}`, which is neither true or false, nor a number, nor an object of `pass`, `score` and `reason`"
    ))
}

#[cfg(test)]
mod tests {
    use crate::evals::grade::Mark;
    use crate::evals::graders::tests::{Bench, assertion, graded, hold, scored, script};
    use crate::evals::suite::AssertionValue;
    use serde_json::json;

    #[test]
    fn what_it_returns_is_the_grade() {
        hold(vec![
            (
                "javascript",
                json!("output === 'yes'"),
                json!("yes"),
                Mark::Pass,
            ),
            (
                "javascript",
                json!("output === 'yes'"),
                json!("no"),
                Mark::Fail,
            ),
            (
                "not-javascript",
                json!("output === 'yes'"),
                json!("no"),
                Mark::Pass,
            ),
            (
                "javascript",
                json!("output.length > 1\n"),
                json!("no"),
                Mark::Pass,
            ),
            (
                "javascript",
                json!("const n = output.n;\nreturn n === 2;"),
                json!({"n": 2}),
                Mark::Pass,
            ),
            (
                "javascript",
                json!("output.nope.nope"),
                json!("x"),
                Mark::Error,
            ),
            (
                "not-javascript",
                json!("output.nope.nope"),
                json!("x"),
                Mark::Error,
            ),
            ("javascript", json!("'yes'"), json!("x"), Mark::Error),
            ("javascript", json!("null"), json!("x"), Mark::Error),
            (
                "javascript",
                json!("({pass: true})"),
                json!("x"),
                Mark::Error,
            ),
            ("javascript", json!(null), json!("x"), Mark::Error),
        ]);
    }

    #[test]
    fn numbers_pass_from_the_threshold_on() {
        assert_eq!(
            graded("javascript", json!("0.3"), json!("")),
            (Mark::Pass, 0.3)
        );
        assert_eq!(
            graded("javascript", json!("0"), json!("")),
            (Mark::Fail, 0.0)
        );
        assert_eq!(
            graded("not-javascript", json!("0.3"), json!("")),
            (Mark::Fail, 0.3)
        );
        assert_eq!(scored("javascript", json!("0.3"), 0.5, "").mark, Mark::Fail);
        assert_eq!(scored("javascript", json!("0.5"), 0.5, "").mark, Mark::Pass);
    }

    #[test]
    fn objects_carry_reason_and_named_scores() {
        let code = "({pass: false, score: 0.4, reason: 'half', namedScores: {tone: 0.9},\
                    componentResults: [{pass: false, score: 0, reason: 'too short'}]})";
        let grade = Bench::of(json!("x")).grade(&assertion("javascript", json!(code)));
        assert_eq!((grade.mark, grade.score), (Mark::Fail, 0.4));
        assert_eq!(grade.reason, "half (too short)");
        assert_eq!(grade.named_scores.get("tone"), Some(&0.9));
    }

    #[test]
    fn the_context_is_that_of_promptfoo() {
        let mut bench = Bench::of(json!("x"));
        bench.vars.insert("a".to_owned(), json!(1));
        bench.log_probs = Some(vec![-0.5]);
        let mut assertion = assertion(
            "javascript",
            json!(
                "return JSON.stringify(context) && \
            context.vars.a === 1 && context.test.vars.a === 1 && context.logProbs[0] === -0.5 && context.prompt === 'hi' \
            && context.provider.id === 'm' && context.providerResponse.finishReason === 'stop' \
            && context.config.k === 'v' && context.threshold === 0.5;\n\n//"
            ),
        );
        assertion.config.insert("k".to_owned(), json!("v"));
        assertion.threshold = Some(0.5);
        let grade = bench.grade(&assertion);
        assert_eq!(grade.mark, Mark::Pass, "{}", grade.reason);
        assertion.value = Some(AssertionValue::Script(script(
            "module.exports = (output, { vars }) => ({pass: vars.a === 1, score: 1, reason: output})",
            Some("g.js"),
        )));
        assert_eq!(bench.grade(&assertion).reason, "x");
    }
}
