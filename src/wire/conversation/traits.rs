//! What of a model decides how a request is written for it.

/// The traits of a model; they stand in no request, so whoever knows the model tells them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ModelTraits {
    /// The most tokens that it answers with; sent where the provider wants a limit and the client gave none.
    pub max_output_tokens: u64,
    /// Whether it is told by a number of tokens how much to think, and not by a word.
    pub thinks_by_budget: bool,
    /// Whether the choice of tokens can be steered (`temperature`, `top_p`, `top_k`): Anthropic's API gave that up.
    pub has_sampling: bool,
}

/// Whether the thoughts that `model` shows are a summary of what it thought: so it is with Claude from 4 on, and not with
/// 3.7 nor with others who speak the dialects of Anthropic and Bedrock (`DeepSeek`, gpt-oss).
#[must_use]
pub(in crate::wire) fn shows_summaries(model: &str) -> bool {
    model.contains("claude") && !model.contains("claude-3-7")
}

impl Default for ModelTraits {
    /// What holds for a model of which nothing is known: every model of the providers concerned answers with 4096.
    fn default() -> Self {
        Self {
            max_output_tokens: 4096,
            thinks_by_budget: false,
            has_sampling: true,
        }
    }
}

impl ModelTraits {
    /// The least tokens that may be thought with.
    const LEAST_BUDGET: u64 = 1024;

    /// Returns the tokens that an effort stands for: a share of what may be answered with, as thoughts count
    /// towards it. `None` for a word that is unknown.
    #[must_use]
    pub fn budget_of(&self, effort: &str, max_output_tokens: Option<u64>) -> Option<u64> {
        let percent = match effort {
            "none" => return Some(0),
            "minimal" => 10,
            "low" => 20,
            "medium" => 50,
            "high" => 80,
            "xhigh" | "max" => 95,
            _ => return None,
        };
        let limit = max_output_tokens.unwrap_or(self.max_output_tokens);
        let share = limit.saturating_mul(percent) / 100;
        Some(share.max(Self::LEAST_BUDGET))
    }
}

#[cfg(test)]
mod tests {
    use super::{ModelTraits, shows_summaries};

    #[test]
    fn newer_models_show_summaries() {
        for (model, wanted) in [
            ("claude-opus-4-6", true),
            ("eu.anthropic.claude-sonnet-4-5-20250929-v1:0", true),
            ("claude-3-7-sonnet-20250219", false),
            ("deepseek.r1-v1:0", false),
            ("kimi-k3", false),
        ] {
            assert_eq!(shows_summaries(model), wanted, "{model}");
        }
    }

    #[test]
    fn efforts_are_shares() {
        let traits = ModelTraits {
            max_output_tokens: 10_000,
            thinks_by_budget: true,
            ..ModelTraits::default()
        };
        for (effort, limit, expected) in [
            ("none", None, Some(0)),
            ("minimal", None, Some(1024)),
            ("low", None, Some(2000)),
            ("medium", Some(64_000), Some(32_000)),
            ("high", None, Some(8000)),
            ("max", None, Some(9500)),
            ("some", None, None),
        ] {
            assert_eq!(traits.budget_of(effort, limit), expected, "{effort}");
        }
    }
}
