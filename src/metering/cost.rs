//! Cost: tokens by class times prices by class, in whole pico-dollars.

use crate::domain::{Cost, CostQuality, PicoDollars, TokenUsage};
use crate::metering::{PriceRow, Tier};
use serde::Serialize;

/// Returns what `usage` costs by `row`.
///
/// No token is paid for twice: a class is taken out of its total
/// before the rest is priced. Unknown (`None`) when there are tokens of a class that has no price,
/// or the amount does not fit.
#[must_use]
pub fn cost(usage: &TokenUsage, row: &PriceRow, quality: CostQuality) -> Cost {
    let amount = amount(usage, row);
    Cost {
        pico_usd: amount.map(PicoDollars),
        quality: match amount {
            Some(_) => quality,
            None => CostQuality::Unknown,
        },
        price: Some(row.label()),
    }
}

/// One class of tokens of a call, and what they cost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CostItem {
    /// `input`, `cached_input`, `output`, ...; `request` is the price of a call beside its tokens.
    pub class: &'static str,
    /// How many. Classes do not overlap.
    pub tokens: u64,
    /// The price of one, in pico-dollars; `None` when it is unknown.
    pub pico_usd_each: Option<u64>,
    /// What they cost together; `None` when it is unknown.
    pub pico_usd: Option<u64>,
}

/// Returns what makes the cost of `usage` by `row`: the items add up to what [`cost`] says.
#[must_use]
pub fn cost_items(usage: &TokenUsage, row: &PriceRow) -> Vec<CostItem> {
    let tier = row.tiers.iter().rev().find(|tier| tier.above < usage.input);
    let of_tier = |price: fn(&Tier) -> Option<u64>| tier.and_then(price);
    let input = of_tier(|tier| tier.input).or(row.input);
    let output = of_tier(|tier| tier.output).or(row.output);
    let written_5m = of_tier(|tier| tier.cache_write_5m).or(row.cache_write_5m);
    let written_1h = of_tier(|tier| tier.cache_write_1h).or(row.cache_write_1h);
    let cached = of_tier(|tier| tier.cached_input).or(row.cached_input);
    let mut items = Vec::new();
    let mut split = |total: (&'static str, u64, Option<u64>),
                     classes: [(&'static str, u64, Option<u64>); 4]| {
        let mut rest = total.1;
        for (class, tokens, own) in classes {
            let tokens = rest.min(tokens);
            rest -= tokens;
            items.push((class, tokens, own.or(total.2)));
        }
        items.push((total.0, rest, total.2));
    };
    split(
        ("input", usage.input, input),
        [
            ("cached_input", usage.cached_input, cached),
            ("cache_write_5m", usage.cache_write_5m, written_5m),
            (
                "cache_write_1h",
                usage.cache_write_1h,
                written_1h.or(written_5m),
            ),
            ("audio_input", usage.audio_input, row.audio_input),
        ],
    );
    split(
        ("output", usage.output, output),
        [
            ("reasoning", usage.reasoning, row.reasoning),
            ("audio_output", usage.audio_output, row.audio_output),
            ("", 0, None),
            ("", 0, None),
        ],
    );
    items.push(("request", u64::from(row.request.is_some()), row.request));
    let used = items.into_iter().filter(|(_, tokens, _)| 0 < *tokens);
    let item = |(class, tokens, price): (&'static str, u64, Option<u64>)| CostItem {
        class,
        tokens,
        pico_usd_each: price,
        pico_usd: price.and_then(|price| price.checked_mul(tokens)),
    };
    used.map(item).collect()
}

fn amount(usage: &TokenUsage, row: &PriceRow) -> Option<u64> {
    let tier = row.tiers.iter().rev().find(|tier| tier.above < usage.input);
    let of_tier = |price: fn(&Tier) -> Option<u64>| tier.and_then(price);
    let input = of_tier(|tier| tier.input).or(row.input);
    let output = of_tier(|tier| tier.output).or(row.output);
    let cached = of_tier(|tier| tier.cached_input).or(row.cached_input);
    let written_5m = of_tier(|tier| tier.cache_write_5m).or(row.cache_write_5m);
    let written_1h = of_tier(|tier| tier.cache_write_1h).or(row.cache_write_1h);

    let input = total(
        usage.input,
        input,
        &[
            (usage.cached_input, cached),
            (usage.cache_write_5m, written_5m),
            // Where only one price of writing is known, it holds for both.
            (usage.cache_write_1h, written_1h.or(written_5m)),
            (usage.audio_input, row.audio_input),
        ],
    )?;
    let output = total(
        usage.output,
        output,
        &[
            (usage.reasoning, row.reasoning),
            (usage.audio_output, row.audio_output),
        ],
    )?;
    let request = u128::from(row.request.unwrap_or(0));
    u64::try_from(input.checked_add(output)?.checked_add(request)?).ok()
}

/// Returns the price of `tokens`, of which some are of `classes` with prices of their own.
fn total(tokens: u64, price: Option<u64>, classes: &[(u64, Option<u64>)]) -> Option<u128> {
    let mut rest = tokens;
    let mut sum = 0_u128;
    for (count, own) in classes {
        let count = rest.min(*count);
        rest -= count;
        sum = sum.checked_add(times(count, own.or(price))?)?;
    }
    sum.checked_add(times(rest, price)?)
}

fn times(tokens: u64, price: Option<u64>) -> Option<u128> {
    if tokens == 0 {
        return Some(0);
    }
    u128::from(tokens).checked_mul(u128::from(price?))
}

#[cfg(test)]
mod tests {
    use super::{cost, cost_items};
    use crate::domain::{CostQuality, PicoDollars, TokenUsage};
    use crate::metering::{PriceRow, Tier};

    fn row() -> PriceRow {
        PriceRow {
            provider: "p".to_owned(),
            model: "m".to_owned(),
            as_of: "2026-11-23".to_owned(),
            input: Some(100),
            output: Some(1000),
            cached_input: Some(10),
            cache_write_5m: Some(125),
            cache_write_1h: Some(200),
            audio_input: Some(400),
            tiers: vec![Tier {
                above: 1000,
                input: Some(200),
                cached_input: Some(20),
                ..Tier::default()
            }],
            ..PriceRow::default()
        }
    }

    fn pico(usage: &TokenUsage, row: &PriceRow) -> Option<u64> {
        let cost = cost(usage, row, CostQuality::Exact);
        let items = cost_items(usage, row);
        let sum: Option<u64> = items.iter().map(|item| item.pico_usd).sum();
        assert_eq!(
            sum,
            cost.pico_usd.map(|PicoDollars(amount)| amount),
            "{items:?}"
        );
        assert_eq!(
            cost.quality == CostQuality::Unknown,
            cost.pico_usd.is_none()
        );
        cost.pico_usd.map(|PicoDollars(amount)| amount)
    }

    #[test]
    fn classes_are_paid_once() {
        let plain = TokenUsage {
            input: 1000,
            output: 10,
            ..TokenUsage::default()
        };
        let mixed = TokenUsage {
            cached_input: 500,
            cache_write_5m: 100,
            cache_write_1h: 100,
            audio_input: 50,
            reasoning: 4,
            audio_output: 2,
            ..plain
        };
        assert_eq!(pico(&plain, &row()), Some(110_000));
        // 500 x 10 + 100 x 125 + 100 x 200 + 50 x 400 + 250 x 100 + 10 x 1000
        assert_eq!(pico(&mixed, &row()), Some(92_500));
        // Above the tier the whole call is dearer, and what the tier does not price is as before:
        // 500 x 20 + 100 x 125 + 100 x 200 + 50 x 400 + 251 x 200 + 10 x 1000
        let large = TokenUsage {
            input: 1001,
            ..mixed
        };
        assert_eq!(pico(&large, &row()), Some(122_700));
        // Classes that overlap never cost more tokens than there are.
        let odd = TokenUsage {
            cached_input: 900,
            audio_input: 900,
            ..plain
        };
        assert_eq!(pico(&odd, &row()), Some(900 * 10 + 100 * 400 + 10_000));
        let dear_thoughts = PriceRow {
            reasoning: Some(5000),
            request: Some(7),
            ..row()
        };
        let thinking = TokenUsage {
            reasoning: 4,
            ..plain
        };
        assert_eq!(
            pico(&thinking, &dear_thoughts),
            Some(100_000 + 6000 + 20_000 + 7)
        );
    }

    #[test]
    fn unknown_is_never_zero() {
        let used = TokenUsage {
            input: 1,
            output: 1,
            ..TokenUsage::default()
        };
        let free = PriceRow {
            input: Some(0),
            output: Some(0),
            ..row()
        };
        assert_eq!(pico(&used, &free), Some(0));
        assert_eq!(
            pico(
                &used,
                &PriceRow {
                    output: None,
                    ..row()
                }
            ),
            None
        );
        let embedding = TokenUsage { output: 0, ..used };
        assert_eq!(
            pico(
                &embedding,
                &PriceRow {
                    output: None,
                    ..row()
                }
            ),
            Some(100)
        );
        let huge = TokenUsage {
            input: u64::MAX,
            ..used
        };
        assert_eq!(pico(&huge, &row()), None);
        assert_eq!(
            cost(&used, &row(), CostQuality::Estimated).price.as_deref(),
            Some("p/m@2026-11-23")
        );
    }
}
