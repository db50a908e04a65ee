//! The list of models in Anthropic's form.

use crate::server::routes::models::listed::Listed;
use crate::server::routes::models::openai::pricing;
use crate::server::routes::models::page::Page;
use serde_json::{Value, json};

/// When a model was made is in no table, and this is what Anthropic writes then.
const UNKNOWN_TIME: &str = "1970-01-01T00:00:00Z";

pub(super) fn list(page: &Page<'_>) -> Value {
    let id = |listed: Option<&Listed>| listed.map(|listed| listed.id.clone());
    json!({
        "data": page.models.iter().map(model).collect::<Vec<_>>(),
        "has_more": page.has_more,
        "first_id": id(page.models.first()),
        "last_id": id(page.models.last()),
    })
}

/// Its object of capabilities has a place for each, and the table does not know all of them.
pub(super) fn model(listed: &Listed) -> Value {
    let lifecycle = match listed.retirement {
        None => "active",
        Some(it) if it.is_past() => "retired",
        Some(_) => "deprecated",
    };
    let (row, prompt) = (listed.row.as_deref(), listed.prompt.as_ref());
    let bare = listed.id.split_once(['/', ':']).map(|(_, bare)| bare);
    let mut fields = json!({
        "type": "model",
        "id": listed.id,
        "display_name": bare.unwrap_or(&listed.id),
        "created_at": UNKNOWN_TIME,
        "lifecycle": lifecycle,
        "deprecated_at": null,
        "retires_at": listed.retirement.map(|it| it.rfc3339()),
        "line": null,
        "max_input_tokens": row.and_then(|row| row.context),
        "max_tokens": row.and_then(|row| row.max_output),
        "capabilities": null,
        "pricing": row.map(pricing),
    });
    if let (Some(fields), Some(prompt)) = (fields.as_object_mut(), prompt) {
        fields.insert("description".to_owned(), json!(prompt.description));
        fields.insert("model".to_owned(), json!(prompt.model));
        fields.insert("version".to_owned(), json!(prompt.version));
        fields.insert("hash".to_owned(), json!(prompt.hash));
        fields.insert("label".to_owned(), json!(prompt.label));
    }
    fields
}
