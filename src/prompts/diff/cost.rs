//! What a change costs: tokens and money of a call, and what the provider's cache no longer holds.

use crate::domain::{CostQuality, PicoDollars, TokenUsage};
use crate::metering::{PriceRow, Tokens, cost};
use crate::prompts::bundle::Bundle;
use crate::prompts::diff::SampleDiff;
use crate::prompts::diff::usage::Usage;
use crate::prompts::evaluate::{Partials, Piece};
use crate::prompts::messages::{Part, RawMessage, RawPart, assemble};
use crate::prompts::syntax::{Expression, Node, Program};
use serde::Serialize;

/// Providers cache prefixes from this many tokens on (some need more).
pub const MIN_CACHED: u64 = 1024;

/// The tokenizer that stands in where a prompt names no model.
const NO_MODEL: &str = "";

/// What calls cost before and after.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Forecast {
    /// With the base; absent when there is none.
    pub base: Option<Priced>,
    /// With the head; absent when there is none.
    pub head: Option<Priced>,
    /// Calls of the last days, of all versions; absent when there are no records.
    pub calls: Option<u64>,
    /// Tokens that came out per call of the last days; absent when there are no records. Without
    /// them only the input is priced.
    pub output_tokens_per_call: Option<u64>,
    /// What that many calls cost more (or less), in pico-dollars; absent when anything is unknown.
    pub difference_pico_usd: Option<i64>,
}

/// What a call costs by one version.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Priced {
    /// The model, as the prompt names it.
    pub model: Option<String>,
    /// The row of the price table; absent when the price is unknown.
    pub price: Option<String>,
    /// Tokens of the messages that go in, the mean of the samples.
    pub input_tokens: u64,
    /// What a call costs, in pico-dollars; absent when the price is unknown.
    pub call_pico_usd: Option<u64>,
    /// What all calls of the last days would have cost; absent when anything is unknown.
    pub total_pico_usd: Option<u64>,
}

/// What becomes of the part of a prompt that all calls share, which a provider may cache.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CacheEffect {
    /// Tokens of the prefix that no variable changes, in the base.
    pub base_tokens: u64,
    /// The same in the head.
    pub head_tokens: u64,
    /// The first token that differs, from 0; absent when the prefix is as it was, or only grew.
    pub first_difference: Option<u64>,
    /// The share of the old prefix from there on, in percent: it is read anew once.
    pub lost_percent: u64,
    /// Whether another model answers: it shares no cache with the one before.
    pub model_changed: bool,
    /// Whether the old prefix was long enough to be cached.
    pub was_cacheable: bool,
    /// What the prefix costs more at the first call, in pico-dollars; absent when there is no price
    /// of cached input.
    pub once_pico_usd: Option<u64>,
    /// What the calls of the last days would have cost more because less can be cached; absent
    /// without a price of cached input or without records.
    pub lasting_pico_usd: Option<u64>,
}

/// What is known of the prices.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Rows<'a> {
    pub(super) base: Option<&'a PriceRow>,
    pub(super) head: Option<&'a PriceRow>,
}

pub(super) fn model(bundle: &Bundle) -> &str {
    bundle.model().unwrap_or(NO_MODEL)
}

/// Forecasts by the tokens of the samples.
pub(super) fn forecast(
    (base, head): (Option<&Bundle>, Option<&Bundle>),
    rows: Rows<'_>,
    samples: &[SampleDiff],
    usage: Option<&Usage>,
) -> Option<Forecast> {
    let calls = usage.map(|usage| usage.calls);
    let output = usage.and_then(Usage::output_per_call);
    let mean = |of: fn(&SampleDiff) -> Option<u64>| {
        // A sample counts where every side that there is can render it.
        let both = samples.iter().filter(|sample| {
            (base.is_none() || sample.base_tokens.is_some())
                && (head.is_none() || sample.head_tokens.is_some())
        });
        let all: Vec<u64> = both.filter_map(of).collect();
        let count = u64::try_from(all.len()).unwrap_or(u64::MAX);
        (all.iter().sum::<u64>() + count / 2).checked_div(count)
    };
    let side = |bundle: Option<&Bundle>, row: Option<&PriceRow>, tokens: Option<u64>| {
        let (bundle, input_tokens) = (bundle?, tokens?);
        let used = TokenUsage {
            input: input_tokens,
            output: output.unwrap_or(0),
            ..TokenUsage::default()
        };
        let priced = row.map(|row| cost(&used, row, CostQuality::Estimated));
        let call = priced
            .and_then(|cost| cost.pico_usd)
            .map(|PicoDollars(pico)| pico);
        Some(Priced {
            model: bundle.model().map(str::to_owned),
            price: row.map(PriceRow::label),
            input_tokens,
            call_pico_usd: call,
            total_pico_usd: call
                .zip(calls)
                .and_then(|(call, calls)| call.checked_mul(calls)),
        })
    };
    let base = side(base, rows.base, mean(|sample| sample.base_tokens));
    let head = side(head, rows.head, mean(|sample| sample.head_tokens));
    if base.is_none() && head.is_none() {
        return None;
    }
    let total = |side: &Option<Priced>| {
        let total = side.as_ref()?.total_pico_usd?;
        i64::try_from(total).ok()
    };
    let difference = total(&head).zip(total(&base));
    Some(Forecast {
        difference_pico_usd: difference.map(|(head, base)| head - base),
        base,
        head,
        calls,
        output_tokens_per_call: output,
    })
}

/// Compares the prefixes that all calls share.
pub(super) fn cache_effect(
    base: &Bundle,
    head: &Bundle,
    rows: Rows<'_>,
    usage: Option<&Usage>,
) -> CacheEffect {
    let (old, new) = (prefix(base), prefix(head));
    let (old_model, new_model) = (model(base), model(head));
    let base_tokens = Tokens.count_text(old_model, &old);
    let head_tokens = Tokens.count_text(new_model, &new);
    let model_changed = old_model != new_model;
    let common = if model_changed {
        0
    } else {
        Tokens.common_prefix(old_model, &old, &new)
    };
    // The last token of a prefix may be cut by what follows, so it is the prefix that tells.
    let is_intact = !model_changed && new.starts_with(&old);
    let lost = if is_intact {
        0
    } else {
        base_tokens.saturating_sub(common)
    };
    let was_cacheable = MIN_CACHED <= base_tokens;
    let saving = |row: Option<&PriceRow>| {
        let row = row?;
        row.input?.checked_sub(row.cached_input?)
    };
    let cached = |tokens: u64| if tokens < MIN_CACHED { 0 } else { tokens };
    let once = saving(rows.head).and_then(|saving| {
        let lost = if was_cacheable {
            lost.min(head_tokens)
        } else {
            0
        };
        saving.checked_mul(lost)
    });
    let lasting = saving(rows.head).zip(usage).and_then(|(saving, usage)| {
        let less = cached(base_tokens).saturating_sub(cached(head_tokens));
        saving.checked_mul(less)?.checked_mul(usage.calls)
    });
    CacheEffect {
        base_tokens,
        head_tokens,
        first_difference: (!is_intact).then_some(common),
        lost_percent: (lost * 100).checked_div(base_tokens).unwrap_or(0),
        model_changed,
        was_cacheable,
        once_pico_usd: once,
        lasting_pico_usd: lasting,
    }
}

/// Returns the text that every call begins with, whatever its variables are.
fn prefix(bundle: &Bundle) -> String {
    let mut pieces = Vec::new();
    walk(bundle.program(), bundle.compiled_partials(), &mut pieces);
    let mut text = String::new();
    for message in assemble(pieces) {
        let RawMessage::Prompt { role, content } = message else {
            break;
        };
        text.push_str(role.as_str());
        text.push('\n');
        for part in content {
            if let RawPart::Part(Part::Text(part)) = part {
                text.push_str(&part);
            }
        }
    }
    text
}

/// Collects pieces up to the first that depends on a call. Returns whether there is none.
fn walk(program: &Program, partials: &Partials, pieces: &mut Vec<Piece>) -> bool {
    for node in &program.nodes {
        let goes_on = match node {
            Node::Text { text, .. } => {
                match pieces.last_mut() {
                    Some(Piece::Text(last)) => last.push_str(text),
                    _ => pieces.push(Piece::Text(text.clone())),
                }
                true
            }
            Node::Role(role) => {
                pieces.push(Piece::Role(*role));
                true
            }
            Node::Section(Expression::Literal(_)) => true,
            Node::Partial(inclusion) => partials
                .get(&inclusion.name)
                .is_some_and(|partial| walk(&partial.program, partials, pieces)),
            Node::Section(_)
            | Node::Print { .. }
            | Node::History
            | Node::Media { .. }
            | Node::If(_)
            | Node::Equals { .. }
            | Node::Each(_)
            | Node::With(_) => false,
        };
        if !goes_on {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::{Rows, cache_effect, prefix};
    use crate::metering::PriceRow;
    use crate::prompts::bundle::tests::bundle;
    use crate::prompts::diff::usage::Usage;

    #[test]
    fn the_prefix_ends_where_calls_begin_to_differ() {
        for (source, wanted) in [
            (
                "{{role \"system\"}}Be kind.\n{{role \"user\"}}Hi {{v}}!",
                "system\nBe kind.\nuser\nHi ",
            ),
            ("a {{#if x}}b{{/if}} c", "user\na "),
            ("{{! note }}a\n{{> list items=v}}", "user\na\n"),
            ("{{role \"system\"}}a{{history}}b", "system\na"),
            ("{{v}}", ""),
            ("all of it", "user\nall of it"),
        ] {
            assert_eq!(prefix(&bundle(source)), wanted, "{source}");
        }
    }

    #[test]
    fn what_is_lost_is_counted_and_priced_where_it_could_be_cached() {
        let row = PriceRow {
            input: Some(100),
            cached_input: Some(10),
            ..PriceRow::default()
        };
        let rows = Rows {
            base: Some(&row),
            head: Some(&row),
        };
        let usage = Usage {
            calls: 1000,
            ..Usage::default()
        };
        let long = "Some words of policy.\n".repeat(400);
        let source =
            |head: &str, tail: &str| bundle(&format!("---\nmodel: gpt-5\n---\n{head}{long}{tail}"));
        let base = source("", "{{v}}");
        let effect =
            |head: std::sync::Arc<super::Bundle>| cache_effect(&base, &head, rows, Some(&usage));
        let same = effect(source("", "More. {{v}}"));
        assert_eq!(
            (same.first_difference, same.lost_percent, same.once_pico_usd),
            (None, 0, Some(0))
        );
        let early = effect(source("New. ", "{{v}}"));
        assert!(
            early.was_cacheable && early.first_difference < Some(5),
            "{early:?}"
        );
        assert!(99 <= early.lost_percent, "{early:?}");
        assert_eq!(
            early.lasting_pico_usd,
            Some(0),
            "the new one can be cached as well"
        );
        let moved = effect(source("{{v}} ", ""));
        assert_eq!(
            moved.lasting_pico_usd,
            Some(moved.base_tokens * 90 * 1000),
            "{moved:?}"
        );
        let short = cache_effect(&bundle("a b c {{v}}"), &bundle("{{v}}"), rows, Some(&usage));
        assert!(!short.was_cacheable);
        assert_eq!(
            (short.once_pico_usd, short.lasting_pico_usd),
            (Some(0), Some(0))
        );
        let unknown = cache_effect(&base, &source("x ", "{{v}}"), Rows::default(), Some(&usage));
        assert_eq!(
            (unknown.once_pico_usd, unknown.lasting_pico_usd),
            (None, None)
        );
    }
}
