//! `LiteLLM`'s price file, for users who have one.

use crate::metering::decimal::scaled;
use crate::metering::spelling::canonical;
use crate::metering::{Capability, Error, Mode, PriceRow, Tier};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// Returns the rows of `json`, a price file in the shape of `LiteLLM`'s.
///
/// It is an object of models with `litellm_provider`, `mode` and prices in dollars per token. Models that are neither for chat nor
/// for text, responses or embeddings are left out, and so are those without a price for input. What Amazon and Google
/// charge in their regions stands in lists of its own, as in the built-in table.
///
/// # Errors
///
/// When `json` has another shape, or a price is no amount of money.
pub fn import_litellm(json: &str) -> Result<Vec<PriceRow>, Error> {
    let table: BTreeMap<String, BTreeMap<String, &RawValue>> =
        serde_json::from_str(json).map_err(|error| Error::InvalidTable {
            problem: error.to_string(),
        })?;
    let mut rows = Vec::new();
    for (key, fields) in &table {
        let Some(row) = row(key, fields)? else {
            continue;
        };
        rows.extend(regional(&row, fields));
        rows.push(row);
    }
    Ok(rows)
}

fn row(key: &str, fields: &BTreeMap<String, &RawValue>) -> Result<Option<PriceRow>, Error> {
    let text = |name: &str| -> Option<String> {
        let raw = fields.get(name)?;
        String::deserialize(&mut serde_json::Deserializer::from_str(raw.get())).ok()
    };
    let Some((provider, model)) = text("litellm_provider").and_then(|it| place(key, &it)) else {
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
        provider,
        model,
        mode,
        shutdown_date: text("deprecation_date"),
        ..PriceRow::default()
    };
    for (field, raw) in fields {
        if let Some(capability) = Capability::of_field(field) {
            if raw.get() == "true" {
                row.can.insert(capability);
            }
            continue;
        }
        set(&mut row, field, raw.get()).map_err(|NoAmount| Error::InvalidPrice {
            model: key.to_owned(),
            field: field.clone(),
            value: raw.get().to_owned(),
        })?;
    }
    row.tiers.sort_by_key(|tier| tier.above);
    let is_free = row.input.unwrap_or(0) == 0 && row.output.unwrap_or(0) == 0;
    let has_price = match row.provider.split('@').next() {
        // Their tokens are never free: a price of nothing is one that nobody wrote down.
        Some("bedrock" | "vertex" | "fireworks") => !is_free,
        _ => row.input.is_some() || row.request.is_some(),
    };
    Ok(has_price.then_some(row))
}

/// Returns the list and the model of a key; `None` where the key is a route or a rate of the table's own.
fn place(key: &str, provider: &str) -> Option<(String, String)> {
    let list = canonical(provider).into_owned();
    let strip = |prefix: &str| key.strip_prefix(prefix).unwrap_or(key).to_owned();
    match list.as_str() {
        "bedrock" => match key.strip_prefix("bedrock/") {
            Some(below) => {
                let (region, model) = below.split_once('/')?;
                let ends_in_number = region.rsplit_once('-')?.1.parse::<u8>().is_ok();
                let is_place = ends_in_number && !model.contains('/');
                is_place.then(|| (format!("bedrock@{region}"), model.to_owned()))
            }
            None => Some((list, strip("bedrock_mantle/"))),
        },
        "vertex" => Some((list, strip("vertex_ai/"))),
        "fireworks" => Some((list, strip("fireworks_ai/"))),
        _ => Some((list, strip(&format!("{provider}/")))),
    }
}

/// Returns the row of Google's regional endpoints, where they are dearer than the global one.
fn regional(row: &PriceRow, fields: &BTreeMap<String, &RawValue>) -> Option<PriceRow> {
    let percent = scaled(fields.get("regional_endpoint_uplift_multiplier")?.get(), 2)?;
    if row.provider != "vertex" {
        return None;
    }
    let dearer = |price: Option<u64>| Some(price?.checked_mul(percent)?.saturating_add(50) / 100);
    let tier = |tier: &Tier| Tier {
        above: tier.above,
        input: dearer(tier.input),
        output: dearer(tier.output),
        cached_input: dearer(tier.cached_input),
        cache_write_5m: dearer(tier.cache_write_5m),
        cache_write_1h: dearer(tier.cache_write_1h),
    };
    Some(PriceRow {
        provider: "vertex@regional".to_owned(),
        input: dearer(row.input),
        output: dearer(row.output),
        cached_input: dearer(row.cached_input),
        cache_write_5m: dearer(row.cache_write_5m),
        cache_write_1h: dearer(row.cache_write_1h),
        reasoning: dearer(row.reasoning),
        audio_input: dearer(row.audio_input),
        audio_output: dearer(row.audio_output),
        request: dearer(row.request),
        batch_input: dearer(row.batch_input),
        batch_output: dearer(row.batch_output),
        tiers: row.tiers.iter().map(tier).collect(),
        ..row.clone()
    })
}

struct NoAmount;

fn set(row: &mut PriceRow, field: &str, raw: &str) -> Result<(), NoAmount> {
    if raw == "null" {
        return Ok(());
    }
    let place = match field {
        "max_input_tokens" => return set_count(&mut row.context, raw),
        "max_output_tokens" => return set_count(&mut row.max_output, raw),
        "output_vector_size" => return set_count(&mut row.dimensions, raw),
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
    use crate::metering::{Capability, Mode};

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
    fn clouds_have_a_list_for_each_region_that_is_dearer() {
        let rows = import_litellm(
            r#"{"bedrock/eu-west-1/a.b-v1:0":{"litellm_provider":"bedrock","mode":"chat","input_cost_per_token":2e-06,
              "supports_vision":true,"supports_reasoning":false},
            "bedrock/*/1-month-commitment/a.b-v1:0":{"litellm_provider":"bedrock","mode":"chat","input_cost_per_token":1},
            "bedrock/invoke/a.b-v1:0":{"litellm_provider":"bedrock","mode":"chat","input_cost_per_token":1},
            "eu.a.b-v1:0":{"litellm_provider":"bedrock_converse","mode":"chat","input_cost_per_token":3e-06},
            "fireworks_ai/accounts/fireworks/models/m":{"litellm_provider":"fireworks_ai","mode":"chat","input_cost_per_token":1e-06},
            "fireworks_ai/unpriced":{"litellm_provider":"fireworks_ai","mode":"chat","input_cost_per_token":0},
            "vertex_ai/c@20250929":{"litellm_provider":"vertex_ai-anthropic_models","mode":"chat","input_cost_per_token":3e-06,
              "cache_read_input_token_cost_above_200k_tokens":6e-07,"regional_endpoint_uplift_multiplier":1.1}}"#,
        )
        .unwrap();
        let found: Vec<_> = rows
            .iter()
            .map(|row| {
                (
                    row.provider.as_str(),
                    row.model.as_str(),
                    row.input.unwrap(),
                )
            })
            .collect();
        assert_eq!(
            found,
            [
                ("bedrock@eu-west-1", "a.b-v1:0", 2_000_000),
                ("bedrock", "eu.a.b-v1:0", 3_000_000),
                ("fireworks", "accounts/fireworks/models/m", 1_000_000),
                ("vertex@regional", "c@20250929", 3_300_000),
                ("vertex", "c@20250929", 3_000_000),
            ]
        );
        assert_eq!(rows[3].tiers[0].cached_input, Some(660_000));
        assert!(rows[0].can.iter().eq([Capability::Vision]));
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
