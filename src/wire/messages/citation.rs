//! Citations of Bedrock's, in Anthropic's words: both tell the same of where a text was found.

use crate::wire::tree::{Json, Object};
use serde_json::Value;

/// Returns a citation of Bedrock's as Anthropic's clients know it; `None` for a place that they do not.
pub(super) fn of_bedrock(citation: &Value) -> Option<Json> {
    let text = |value: &Value, key: &str| value.get(key)?.as_str().map(ToOwned::to_owned);
    let content = citation.get("sourceContent").and_then(Value::as_array);
    let cited: Vec<&str> = content
        .into_iter()
        .flatten()
        .filter_map(|part| part.get("text")?.as_str())
        .collect();
    let title = text(citation, "title").map_or(Value::Null, Value::from);
    let location = citation.get("location")?.as_object()?;
    let (kind, place) = location.iter().next()?;
    let (name, index, from, to) = match kind.as_str() {
        "documentChar" => (
            "char_location",
            "documentIndex",
            "start_char_index",
            "end_char_index",
        ),
        "documentPage" => (
            "page_location",
            "documentIndex",
            "start_page_number",
            "end_page_number",
        ),
        "documentChunk" => (
            "content_block_location",
            "documentIndex",
            "start_block_index",
            "end_block_index",
        ),
        "searchResultLocation" => (
            "search_result_location",
            "searchResultIndex",
            "start_block_index",
            "end_block_index",
        ),
        _ => return None,
    };
    let is_search = index == "searchResultIndex";
    let (index_name, title_name) = match is_search {
        true => ("search_result_index", "title"),
        false => ("document_index", "document_title"),
    };
    let number = |key: &str| place.get(key).and_then(Value::as_u64).unwrap_or_default();
    let source = text(citation, "source").filter(|_| is_search);
    let written = Object::of_type(name)
        .with("cited_text", cited.concat())
        .with(index_name, number(index))
        .with(title_name, title)
        .with_some("source", source)
        .with(from, number("start"))
        .with(to, number("end"));
    Some(written.into())
}

#[cfg(test)]
mod tests {
    use super::of_bedrock;
    use serde_json::json;

    #[test]
    fn places_are_told_in_anthropics_words() {
        let page = json!({"title": "Report", "sourceContent": [{"text": "a"}, {"text": "b"}],
            "location": {"documentPage": {"documentIndex": 1, "start": 2, "end": 3}}});
        assert_eq!(
            of_bedrock(&page).unwrap().to_text(),
            r#"{"type":"page_location","cited_text":"ab","document_index":1,"document_title":"Report","start_page_number":2,"end_page_number":3}"#
        );
        let found = json!({"source": "s", "location": {"searchResultLocation": {"searchResultIndex": 0, "start": 0, "end": 1}}});
        assert_eq!(
            of_bedrock(&found).unwrap().to_text(),
            r#"{"type":"search_result_location","cited_text":"","search_result_index":0,"title":null,"source":"s","start_block_index":0,"end_block_index":1}"#
        );
        for odd in [
            json!(null),
            json!({"location": {"web": {"url": "u"}}}),
            json!({}),
        ] {
            assert!(of_bedrock(&odd).is_none());
        }
    }
}
