//! Items of responses, written: those of a request's input and of an answer's output.

use crate::wire::chat::{file_name, insert};
use crate::wire::conversation::{Media, Part, ToolCall, ToolKind, data_url, text_url};
use crate::wire::openai::shared::flat_citation;
use serde_json::{Map, Value, json};

/// Returns thoughts as an item. Without a summary their texts are its content.
pub(super) fn reasoning(part: &Part) -> Map<String, Value> {
    let mut item = fields("reasoning");
    let Part::Reasoning {
        id,
        texts,
        is_summary,
        signature,
        is_redacted,
    } = part
    else {
        return item;
    };
    insert(&mut item, "id", id.as_deref().map(Value::from));
    let kind = if *is_summary {
        "summary_text"
    } else {
        "reasoning_text"
    };
    let texts = texts.iter().filter(|_| !is_redacted);
    let texts: Vec<Value> = texts
        .map(|text| json!({"type": kind, "text": text}))
        .collect();
    let (summary, content) = if *is_summary {
        (texts, Vec::new())
    } else {
        (Vec::new(), texts)
    };
    item.insert("summary".to_owned(), summary.into());
    if !content.is_empty() {
        item.insert("content".to_owned(), content.into());
    }
    let signature = signature.as_deref().map(Value::from);
    insert(&mut item, "encrypted_content", signature);
    item
}

/// Returns the call of a tool as an item. Arguments that are none become an empty object, as the SDKs
/// read them as JSON.
pub(super) fn call(call: &ToolCall) -> Map<String, Value> {
    let (kind, key) = names_of(call.kind);
    let mut item = fields(kind);
    insert(&mut item, "id", call.item_id.as_deref().map(Value::from));
    item.insert("call_id".to_owned(), call.id.as_str().into());
    item.insert("name".to_owned(), call.name.as_str().into());
    let arguments = match call.kind {
        ToolKind::Function if call.arguments.trim().is_empty() => "{}",
        _ => &call.arguments,
    };
    item.insert(key.to_owned(), arguments.into());
    item
}

/// Returns the type of a call's item, and the field of its arguments.
pub(super) const fn names_of(kind: ToolKind) -> (&'static str, &'static str) {
    match kind {
        ToolKind::Function => ("function_call", "arguments"),
        ToolKind::Custom => ("custom_tool_call", "input"),
    }
}

/// Returns what the model said, as a part of a content.
pub(super) fn output_text(text: &str, citations: &[Value]) -> Value {
    let citations: Vec<Value> = citations.iter().map(flat_citation).collect();
    json!({"type": "output_text", "text": text, "annotations": citations})
}

/// Returns a picture as a part of a content; `None` for one that is none.
pub(super) fn image(source: &Media, detail: Option<&String>) -> Option<Value> {
    let mut part = fields("input_image");
    match source {
        Media::Url { url, .. } => part.insert("image_url".to_owned(), url.as_str().into()),
        Media::Inline { media_type, data } => {
            part.insert("image_url".to_owned(), data_url(media_type, data).into())
        }
        Media::File(id) => part.insert("file_id".to_owned(), id.as_str().into()),
        Media::Text(_) => return None,
    };
    insert(
        &mut part,
        "detail",
        detail.map(|detail| detail.as_str().into()),
    );
    Some(Value::Object(part))
}

/// Returns a document as a part of a content.
pub(super) fn file(source: &Media, title: Option<&String>) -> Value {
    let mut part = fields("input_file");
    let (key, value) = match source {
        Media::Url { url, .. } => ("file_url", url.clone()),
        Media::File(id) => ("file_id", id.clone()),
        Media::Inline { media_type, data } => ("file_data", data_url(media_type, data)),
        Media::Text(text) => ("file_data", text_url(text)),
    };
    let name = match (title, key) {
        (Some(title), _) => Some(title.as_str()),
        // Data without a name is refused.
        (None, "file_data") => Some(file_name(source)),
        (None, _) => None,
    };
    insert(&mut part, "filename", name.map(Value::from));
    part.insert(key.to_owned(), value.into());
    Value::Object(part)
}

/// Returns the fields of an item or part of this type.
pub(super) fn fields(kind: &str) -> Map<String, Value> {
    let mut fields = Map::new();
    fields.insert("type".to_owned(), kind.into());
    fields
}
