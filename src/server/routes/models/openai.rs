//! The list of models in `OpenAI`'s form, with what users of OpenRouter and of other lists look for.

use crate::domain::{PicoDollars, Timestamp};
use crate::metering::{Capabilities, Capability, Mode, PriceRow, Tier, dollars_per_million};
use crate::server::routes::models::listed::Listed;
use serde_json::{Map, Value, json};

/// What stands in `pricing.unit`.
const UNIT: &str = "1M tokens";

pub(super) fn list(models: &[Listed], started: Timestamp) -> Value {
    let data: Vec<Value> = models.iter().map(|it| model(it, started)).collect();
    json!({"object": "list", "data": data})
}

/// When a model was made is in no table: `created` is the start of the process.
pub(super) fn model(listed: &Listed, started: Timestamp) -> Value {
    let shutdown = listed.retirement.map(|it| it.day().to_string());
    let mut fields = Map::new();
    let mut set = |name: &str, value: Value| fields.insert(name.to_owned(), value);
    set("id", json!(listed.id));
    set("object", json!("model"));
    set("created", json!(started.unix_seconds()));
    set("owned_by", json!(listed.owner));
    set("shutdown_date", json!(shutdown));
    if let Some(prompt) = &listed.prompt {
        set("description", json!(prompt.description));
        set("model", json!(prompt.model));
        set("version", json!(prompt.version));
        set("hash", json!(prompt.hash));
        set("label", json!(prompt.label));
    }
    if let Some(row) = &listed.row {
        set("mode", json!(row.mode.as_str()));
        set("context_window", json!(row.context));
        set("context_length", json!(row.context));
        set("max_output_tokens", json!(row.max_output));
        if let Some(dimensions) = row.dimensions {
            set("dimensions", json!(dimensions));
        }
        set("architecture", modalities(row));
        set("capabilities", capabilities(row.can));
        set("supported_parameters", json!(parameters(row.can)));
        set("pricing", pricing(row));
    }
    Value::Object(fields)
}

/// Only what the table says that the model can do: of the rest nothing is known.
fn capabilities(can: Capabilities) -> Value {
    let known = can.iter();
    known
        .map(|capability| (capability.as_str().to_owned(), Value::Bool(true)))
        .collect::<Map<_, _>>()
        .into()
}

fn modalities(row: &PriceRow) -> Value {
    let known = |pairs: &[(Capability, &'static str)]| {
        let mut names = vec!["text"];
        let known = pairs
            .iter()
            .filter(|(capability, _)| row.can.has(*capability));
        names.extend(known.map(|(_, name)| *name));
        names
    };
    let input = known(&[
        (Capability::Vision, "image"),
        (Capability::PdfInput, "file"),
        (Capability::AudioInput, "audio"),
        (Capability::VideoInput, "video"),
    ]);
    let output = match row.mode {
        Mode::Embedding => vec!["embeddings"],
        Mode::Chat | Mode::Completion | Mode::Responses => {
            known(&[(Capability::AudioOutput, "audio")])
        }
    };
    json!({"input_modalities": input, "output_modalities": output})
}

/// Those of OpenRouter's names of which the table speaks.
fn parameters(can: Capabilities) -> Vec<&'static str> {
    let of = |capability| -> &'static [&'static str] {
        match capability {
            Capability::FunctionCalling => &["tools"],
            Capability::ToolChoice => &["tool_choice"],
            Capability::ParallelFunctionCalling => &["parallel_tool_calls"],
            Capability::ResponseSchema => &["response_format", "structured_outputs"],
            Capability::Reasoning => &["reasoning"],
            Capability::WebSearch => &["web_search_options"],
            _ => &[],
        }
    };
    can.iter().flat_map(of).copied().collect()
}

/// Exact decimals, as text; classes without a price of their own cost what input or output does.
pub(super) fn pricing(row: &PriceRow) -> Value {
    let mut fields = Map::new();
    for (name, price) in [
        ("input", row.input),
        ("output", row.output),
        ("cached_input", row.cached_input),
        ("cache_write_5m", row.cache_write_5m),
        ("cache_write_1h", row.cache_write_1h),
        ("reasoning", row.reasoning),
        ("audio_input", row.audio_input),
        ("audio_output", row.audio_output),
        ("batch_input", row.batch_input),
        ("batch_output", row.batch_output),
    ] {
        add(&mut fields, name, price);
    }
    if let Some(request) = row.request {
        fields.insert(
            "request".to_owned(),
            json!(PicoDollars(request).to_dollars()),
        );
    }
    if fields.is_empty() {
        return Value::Null;
    }
    if !row.tiers.is_empty() {
        fields.insert("tiers".to_owned(), row.tiers.iter().map(tier).collect());
    }
    fields.insert("currency".to_owned(), json!("USD"));
    fields.insert("unit".to_owned(), json!(UNIT));
    fields.insert("row".to_owned(), json!(row.label()));
    Value::Object(fields)
}

/// Prices that hold for a whole call whose input is above so many tokens.
fn tier(tier: &Tier) -> Value {
    let mut fields = Map::new();
    fields.insert("above_input_tokens".to_owned(), json!(tier.above));
    for (name, price) in [
        ("input", tier.input),
        ("output", tier.output),
        ("cached_input", tier.cached_input),
        ("cache_write_5m", tier.cache_write_5m),
        ("cache_write_1h", tier.cache_write_1h),
    ] {
        add(&mut fields, name, price);
    }
    Value::Object(fields)
}

fn add(fields: &mut Map<String, Value>, name: &str, price: Option<u64>) {
    if let Some(price) = price {
        fields.insert(name.to_owned(), json!(dollars_per_million(price)));
    }
}
