//! Assertions about how the answer came: time, money, tokens, the reason of the end.

use crate::domain::Cost;
use crate::evals::graders::ready::Ready;
use crate::evals::graders::{CannotJudge, Judged};
use crate::evals::values::float_text;
use serde_json::Value;

/// Pico-dollars of a dollar.
const PICO: f64 = 1e12;

/// The amount in dollars, when it is known; exact up to 2^53 pico-dollars, which are 9,007 dollars.
pub(super) fn dollars(cost: &Cost) -> Option<f64> {
    cost.pico_usd.map(|amount| amount.0 as f64 / PICO)
}

/// Microseconds as milliseconds.
pub(super) fn milliseconds(microseconds: u64) -> f64 {
    microseconds as f64 / 1000.0
}

/// The answer came within `threshold` milliseconds.
pub(super) fn latency(ready: &Ready<'_>) -> Judged {
    let threshold = ready.needed_threshold()?;
    if ready.graded.answer.cached_from.is_some() {
        return Err(CannotJudge::because(
            "a cached answer has no latency; run without the cache",
        ));
    }
    let took = milliseconds(ready.graded.answer.latency_us);
    let found = format!(
        "it took {took:.0} ms, with {} allowed",
        float_text(threshold)
    );
    ready.plain(took <= threshold, found)
}

/// The answer cost at most `threshold` dollars.
pub(super) fn cost(ready: &Ready<'_>) -> Judged {
    let threshold = ready.needed_threshold()?;
    let amount = ready.graded.answer.cost.pico_usd;
    let (Some(amount), Some(paid)) = (amount, dollars(&ready.graded.answer.cost)) else {
        return Err(CannotJudge::because(
            "the cost is not known: the price table has no row for the model",
        ));
    };
    let found = format!(
        "it cost {} USD, with {} allowed",
        amount.to_dollars(),
        float_text(threshold)
    );
    ready.plain(paid <= threshold, found)
}

/// `exp(-mean log probability)` is at most `threshold`; without one it passes.
pub(super) fn perplexity(ready: &Ready<'_>) -> Judged {
    let perplexity = (-mean_log_probability(ready)?).exp();
    let Some(threshold) = ready.assertion.threshold else {
        let found = format!("the perplexity is {perplexity:.2}");
        return ready.plain(!ready.assertion.is_negated, found);
    };
    let found = format!(
        "the perplexity is {perplexity:.2}, with {} allowed",
        float_text(threshold)
    );
    ready.plain(perplexity <= threshold, found)
}

/// `1 / (1 + exp(-mean log probability))` reaches `threshold`; without one it passes.
pub(super) fn perplexity_score(ready: &Ready<'_>) -> Judged {
    let score = 1.0 / (1.0 + (-mean_log_probability(ready)?).exp());
    let mut grade = ready.scored(score, 0.0, "the perplexity score")?;
    if ready.assertion.threshold.is_none() {
        grade.mark = crate::evals::grade::Mark::Pass;
    }
    Ok(grade)
}

fn mean_log_probability(ready: &Ready<'_>) -> Result<f64, CannotJudge> {
    let log_probs = ready.graded.log_probs.unwrap_or_default();
    let count = u32::try_from(log_probs.len())
        .ok()
        .filter(|count| 0 < *count);
    let Some(count) = count else {
        return Err(CannotJudge::because(
            "the answer has no log probabilities; ask for them with the parameter `logprobs`",
        ));
    };
    Ok(log_probs.iter().sum::<f64>() / f64::from(count))
}

/// Returns the common word for why a model stopped; each provider has its own.
fn common_reason(reason: &str) -> String {
    let reason = reason.to_lowercase();
    match reason.as_str() {
        "end_turn" | "stop_sequence" => "stop".to_owned(),
        "max_tokens" => "length".to_owned(),
        "tool_use" | "function_call" => "tool_calls".to_owned(),
        _ => reason,
    }
}

/// The model stopped for the reason that `value` names, by its common word and whatever the case.
pub(super) fn finish_reason(ready: &Ready<'_>) -> Judged {
    let wanted = ready.needed_text()?;
    match &ready.graded.answer.finish_reason {
        None => ready.plain(false, "the provider gave no finish reason"),
        Some(reason) => {
            let found = format!("the finish reason is `{reason}`, held against `{wanted}`");
            ready.plain(common_reason(reason) == wanted.to_lowercase(), found)
        }
    }
}

/// The provider's own guardrails were not set off.
pub(super) fn guardrails(ready: &Ready<'_>) -> Judged {
    let answer = ready.graded.answer;
    let is_filtered = answer.finish_reason.as_deref() == Some("content_filter");
    let flags = answer.message.get("guardrails");
    let is_flagged = flags.and_then(|flags| flags.get("flagged")) == Some(&Value::Bool(true));
    let words = flags
        .and_then(|flags| flags.get("reason"))
        .and_then(Value::as_str);
    let found = match (is_filtered || is_flagged, words) {
        (true, Some(words)) => format!("the provider's guardrails were set off: {words}"),
        (true, None) => "the provider's guardrails were set off".to_owned(),
        (false, _) => "the provider's guardrails were not set off".to_owned(),
    };
    ready.plain(!is_filtered && !is_flagged, found)
}

#[cfg(test)]
mod tests {
    use crate::domain::{PicoDollars, Timestamp};
    use crate::evals::grade::Mark;
    use crate::evals::graders::tests::{Bench, assertion, scored};
    use serde_json::json;

    #[test]
    fn time_is_measured_only_when_it_was_measured() {
        assert_eq!(scored("latency", json!(null), 1.5, "x").mark, Mark::Pass);
        assert_eq!(scored("latency", json!(null), 1.4, "x").mark, Mark::Fail);
        assert_eq!(
            scored("not-latency", json!(null), 1.4, "x").mark,
            Mark::Pass
        );
        let mut cached = Bench::of(json!("x"));
        cached.answer.cached_from = Some(Timestamp(0));
        let mut latency = assertion("latency", json!(null));
        assert_eq!(cached.grade(&latency).mark, Mark::Error);
        latency.threshold = Some(9.0);
        let grade = cached.grade(&latency);
        assert_eq!(grade.mark, Mark::Error);
        assert!(
            grade.reason.contains("a cached answer has no latency"),
            "{}",
            grade.reason
        );
    }

    #[test]
    fn an_unknown_cost_is_no_cost() {
        assert_eq!(scored("cost", json!(null), 1.0, "x").mark, Mark::Error);
        let mut bench = Bench::of(json!("x"));
        bench.answer.cost.pico_usd = Some(PicoDollars(2_000_000_000));
        for (threshold, mark) in [(0.002, Mark::Pass), (0.0019, Mark::Fail)] {
            let mut cost = assertion("cost", json!(null));
            cost.threshold = Some(threshold);
            assert_eq!(bench.grade(&cost).mark, mark);
        }
    }

    #[test]
    fn perplexity_is_that_of_the_tokens() {
        let mut bench = Bench::of(json!("x"));
        let mut score = assertion("perplexity-score", json!(null));
        assert_eq!(bench.grade(&score).mark, Mark::Error);
        bench.log_probs = Some(vec![-0.1, -0.5, -0.3]);
        let grade = bench.grade(&score);
        assert!(
            (grade.score - 0.425_557_483_2).abs() < 1e-9,
            "{}",
            grade.score
        );
        assert_eq!(grade.mark, Mark::Pass);
        score.threshold = Some(0.5);
        assert_eq!(bench.grade(&score).mark, Mark::Fail);
        let mut perplexity = assertion("perplexity", json!(null));
        perplexity.threshold = Some(1.4);
        assert_eq!(bench.grade(&perplexity).mark, Mark::Pass);
        perplexity.threshold = Some(1.3);
        assert_eq!(bench.grade(&perplexity).mark, Mark::Fail);
    }

    #[test]
    fn the_end_has_a_reason() {
        let mut bench = Bench::of(json!("x"));
        let finish = |name: &str, value: &str| assertion(name, json!(value));
        assert_eq!(
            bench.grade(&finish("finish-reason", "STOP")).mark,
            Mark::Pass
        );
        assert_eq!(
            bench.grade(&finish("not-finish-reason", "stop")).mark,
            Mark::Fail
        );
        assert_eq!(
            bench.grade(&assertion("guardrails", json!(null))).mark,
            Mark::Pass
        );
        for (reason, common) in [
            ("end_turn", "stop"),
            ("MAX_TOKENS", "length"),
            ("function_call", "tool_calls"),
        ] {
            bench.answer.finish_reason = Some(reason.to_owned());
            assert_eq!(
                bench.grade(&finish("finish-reason", common)).mark,
                Mark::Pass
            );
            assert_eq!(
                bench.grade(&finish("finish-reason", reason)).mark,
                Mark::Fail
            );
        }
        bench.answer.finish_reason = Some("content_filter".to_owned());
        assert_eq!(
            bench.grade(&assertion("guardrails", json!(null))).mark,
            Mark::Fail
        );
        assert_eq!(
            bench.grade(&assertion("not-guardrails", json!(null))).mark,
            Mark::Pass
        );
        bench.answer.finish_reason = None;
        assert_eq!(
            bench.grade(&finish("finish-reason", "stop")).mark,
            Mark::Fail
        );
    }
}
