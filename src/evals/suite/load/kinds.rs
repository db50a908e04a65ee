//! What each kind of assertion needs, and why some are refused.

use crate::evals::suite::{AssertionKind, Decider};

/// Why an assertion's type is refused, and what to do instead; `None` for a name that means nothing.
pub(super) fn refusal(name: &str) -> Option<(&'static str, &'static str)> {
    Some(match name {
        "python" => (
            "runs Python, and only JavaScript is run (in a sandbox)",
            "use `javascript`",
        ),
        "ruby" => (
            "runs Ruby, and only JavaScript is run (in a sandbox)",
            "use `javascript`",
        ),
        "agent-rubric" | "search-rubric" => (
            "lets the judge use tools, which are not executed here",
            "use `llm-rubric`, and give what is to be known in the rubric",
        ),
        "pi" => (
            "asks a service of another company",
            "use `llm-rubric` or `g-eval`",
        ),
        "classifier" => (
            "asks a classification model, which the gateway does not route",
            "use `llm-rubric`, or `similar` to examples",
        ),
        "skill-used" | "trace-error-spans" | "trace-span-count" | "trace-span-duration" => (
            "reads traces of the program under test, which is not run here",
            "use `trajectory:tool-used` and its kin on the answer's tool calls",
        ),
        "human" => (
            "waits for a person",
            "label answers in a file beside the judge, and use `llm-rubric`",
        ),
        _ if name.starts_with("promptfoo:redteam:") => (
            "asks a service of another company",
            "use the packs of `evals/safety`",
        ),
        _ => return None,
    })
}

/// Whether an assertion means nothing without a value.
pub(super) const fn needs_value(kind: AssertionKind) -> bool {
    use AssertionKind as K;
    matches!(
        kind,
        K::Equals
            | K::Contains
            | K::IContains
            | K::ContainsAny
            | K::ContainsAll
            | K::IContainsAny
            | K::IContainsAll
            | K::StartsWith
            | K::Regex
            | K::ToolCallF1
            | K::Levenshtein
            | K::RougeN
            | K::Bleu
            | K::Gleu
            | K::Meteor
            | K::WordCount
            | K::FinishReason
            | K::Javascript
            | K::Webhook
            | K::TrajectoryToolUsed
            | K::TrajectoryToolSequence
            | K::TrajectoryToolArgsMatch
            | K::TrajectoryStepCount
            | K::TrajectoryGoalSuccess
            | K::Similar
            | K::SimilarCosine
            | K::SimilarDot
            | K::SimilarEuclidean
            | K::LlmRubric
            | K::GEval
            | K::Factuality
            | K::ModelGradedFactuality
            | K::ModelGradedClosedqa
            | K::ContextRecall
            | K::SelectBest
    )
}

/// Whether an assertion means nothing without a threshold.
pub(super) const fn needs_threshold(kind: AssertionKind) -> bool {
    matches!(kind, AssertionKind::Latency | AssertionKind::Cost)
}

/// Whether a kind has a `not-` form.
pub(super) const fn has_negation(kind: AssertionKind) -> bool {
    !matches!(kind.decider(), Decider::Comparison)
}

#[cfg(test)]
mod tests {
    use super::refusal;
    use crate::evals::suite::{AssertionKind, Decider};

    #[test]
    fn what_nobody_decides_is_refused_and_nothing_else() {
        for kind in AssertionKind::ALL {
            let is_refused = refusal(kind.as_str()).is_some();
            assert_eq!(is_refused, kind.decider() == Decider::Nobody, "{kind:?}");
        }
    }
}
