//! `LiteLLM`'s price file, for users who have one.

use crate::metering::decimal::scaled;
use crate::metering::prices::canonical;
use crate::metering::{Error, Mode, PriceRow, Tier};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// Returns the rows of `json`, a price file in the shape of `LiteLLM`'s.
///
/// It is an object of models with `litellm_provider`, `mode` and prices in dollars per token. Models that are neither for chat nor
/// for text, responses or embeddings are left out, and so are those without a price for input.
///
/// # Errors
///
/// When `json` has another shape, or a price is no amount of money.
pub fn import_litellm(json: &str) -> Result<Vec<PriceRow>, Error> {
    let table: BTreeMap<String, BTreeMap<String, &RawValue>> =
        serde_json::from_str(json).map_err(|error| Error::InvalidTable {
            problem: error.to_string(),
        })?;
    let rows = table.iter().map(|(key, fields)| row(key, fields));
    rows.filter_map(Result::transpose).collect()
}

fn row(key: &str, fields: &BTreeMap<String, &RawValue>) -> Result<Option<PriceRow>, Error> {
    let text = |name: &str| -> Option<String> {
        let raw = fields.get(name)?;
        String::deserialize(&mut serde_json::Deserializer::from_str(raw.get())).ok()
    };
    let Some(provider) = text("litellm_provider") else {
        return Ok(None);
    };
    let mode = match text("mode").as_deref() {
        Some("chat") => Mode::Chat,
        Some("completion") => Mode::Completion,
        Some("embedding") => Mode::Embedding,
        Some("responses") => Mode::Responses,
        _ => return Ok(None),
    };
    let mut row = PriceRow {
        model: key
            .strip_prefix(&format!("{provider}/"))
            .unwrap_or(key)
            .to_owned(),
        provider: canonical(&provider).into_owned(),
        mode,
        shutdown_date: text("deprecation_date"),
        ..PriceRow::default()
    };
    for (field, raw) in fields {
        set(&mut row, field, raw.get()).map_err(|NoAmount| Error::InvalidPrice {
            model: key.to_owned(),
            field: field.clone(),
            value: raw.get().to_owned(),
        })?;
    }
    row.tiers.sort_by_key(|tier| tier.above);
    let has_price = row.input.is_some() || row.request.is_some();
    Ok(has_price.then_some(row))
}

struct NoAmount;

fn set(row: &mut PriceRow, field: &str, raw: &str) -> Result<(), NoAmount> {
    if raw == "null" {
        return Ok(());
    }
    let place = match field {
        "max_input_tokens" => return set_count(&mut row.context, raw),
        "max_output_tokens" => return set_count(&mut row.max_output, raw),
        "input_cost_per_token" => &mut row.input,
        "output_cost_per_token" => &mut row.output,
        "cache_read_input_token_cost" | "input_cost_per_token_cache_hit" => &mut row.cached_input,
        "cache_creation_input_token_cost" => &mut row.cache_write_5m,
        "cache_creation_input_token_cost_above_1hr" => &mut row.cache_write_1h,
        "output_cost_per_reasoning_token" => &mut row.reasoning,
        "input_cost_per_audio_token" => &mut row.audio_input,
        "output_cost_per_audio_token" => &mut row.audio_output,
        "input_cost_per_request" => &mut row.request,
        "input_cost_per_token_batches" => &mut row.batch_input,
        "output_cost_per_token_batches" => &mut row.batch_output,
        _ => match tier_place(&mut row.tiers, field) {
            Some(place) => place,
            None => return Ok(()),
        },
    };
    *place = Some(scaled(raw, 12).ok_or(NoAmount)?);
    Ok(())
}

/// Counts are notes, not prices: one that cannot be read is left out.
#[expect(clippy::unnecessary_wraps, reason = "the type of its caller")]
fn set_count(place: &mut Option<u64>, raw: &str) -> Result<(), NoAmount> {
    *place = scaled(raw, 0);
    Ok(())
}

/// Returns the place of a field such as `input_cost_per_token_above_200k_tokens`.
fn tier_place<'a>(tiers: &'a mut Vec<Tier>, field: &str) -> Option<&'a mut Option<u64>> {
    let (name, above) = field.strip_suffix("k_tokens")?.rsplit_once("_above_")?;
    let above = above.parse::<u64>().ok()?.checked_mul(1000)?;
    let price: fn(&mut Tier) -> &mut Option<u64> = match name {
        "input_cost_per_token" => |tier| &mut tier.input,
        "output_cost_per_token" => |tier| &mut tier.output,
        "cache_read_input_token_cost" => |tier| &mut tier.cached_input,
        "cache_creation_input_token_cost" => |tier| &mut tier.cache_write_5m,
        "cache_creation_input_token_cost_above_1hr" => |tier| &mut tier.cache_write_1h,
        _ => return None,
    };
    if !tiers.iter().any(|tier| tier.above == above) {
        tiers.push(Tier {
            above,
            ..Tier::default()
        });
    }
    tiers.iter_mut().find(|tier| tier.above == above).map(price)
}

#[cfg(test)]
mod tests {
    use super::import_litellm;
    use crate::metering::Mode;

    #[test]
    fn a_price_file_is_read_exactly() {
        let rows = import_litellm(
            r#"{"sample_spec":{"note":"see docs","max_tokens":"a number"},
            "gemini/pro":{"litellm_provider":"gemini","mode":"chat","input_cost_per_token":1.25e-06,
              "output_cost_per_token":1e-05,"input_cost_per_token_above_200k_tokens":2.5e-06,
              "cache_creation_input_token_cost_above_1hr_above_200k_tokens":4e-06,
              "input_cost_per_token_above_200k_tokens_priority":9,"max_input_tokens":1048576,
              "deprecation_date":"2027-01-01","supports_vision":true},
            "draw":{"litellm_provider":"openai","mode":"image_generation","input_cost_per_token":1},
            "unpriced":{"litellm_provider":"openai","mode":"chat"},
            "e":{"litellm_provider":"cohere_chat","mode":"embedding","input_cost_per_token":0.0000001}}"#,
        )
        .unwrap();
        assert_eq!(rows.len(), 2);
        assert_eq!(
            (rows[0].provider.as_str(), rows[0].mode),
            ("cohere", Mode::Embedding)
        );
        assert_eq!(rows[0].input, Some(100_000));
        let pro = &rows[1];
        assert_eq!(
            (pro.model.as_str(), pro.input, pro.output),
            ("pro", Some(1_250_000), Some(10_000_000))
        );
        assert_eq!(pro.tiers.len(), 1);
        assert_eq!(
            (
                pro.tiers[0].above,
                pro.tiers[0].input,
                pro.tiers[0].cache_write_1h
            ),
            (200_000, Some(2_500_000), Some(4_000_000))
        );
        assert_eq!(pro.context, Some(1_048_576));
        assert_eq!(pro.shutdown_date.as_deref(), Some("2027-01-01"));
    }

    #[test]
    fn bad_tables_are_refused() {
        assert_eq!(
            import_litellm("[]").unwrap_err().kind(),
            "invalid_price_table"
        );
        let error = import_litellm(
            r#"{"m":{"litellm_provider":"x","mode":"chat","input_cost_per_token":-1}}"#,
        )
        .unwrap_err();
        assert_eq!(error.kind(), "invalid_price");
        assert!(
            error.to_string().contains("`input_cost_per_token` of `m`"),
            "{error}"
        );
    }
}
