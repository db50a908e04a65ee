//! How many tokens a request has, asked of those who count before they answer: the request of an answer
//! without what concerns the answer alone.

use crate::wire::Error;
use crate::wire::conversation::{Fields, ModelTraits, Request, Unsupported};
use crate::wire::json::{RawObject, to_json};
use crate::wire::{converse, gemini, messages};
use bytes::Bytes;

/// Who counts, each in words of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counter {
    /// Anthropic, also at Vertex AI.
    Messages,
    /// Gemini.
    Gemini,
    /// Gemini at Vertex AI.
    Vertex,
    /// Bedrock.
    Converse,
}

/// Fields of Gemini's request that go into its context.
const OF_GEMINI: [&str; 4] = ["contents", "systemInstruction", "tools", "toolConfig"];

/// The same, as far as Vertex AI takes them here.
const OF_VERTEX: [&str; 3] = ["contents", "systemInstruction", "tools"];

/// Fields of Bedrock's request that it takes here.
const OF_CONVERSE: [&str; 4] = [
    "messages",
    "system",
    "toolConfig",
    "additionalModelRequestFields",
];

/// Writes a request to count the tokens of `request`.
///
/// # Errors
///
/// When it says what the provider has no words for.
pub fn write_count_request(
    counter: Counter,
    request: &Request,
    traits: &ModelTraits,
) -> Result<Bytes, Unsupported> {
    Ok(match counter {
        Counter::Messages => messages::write_count_request(request, traits)?.body,
        Counter::Gemini => {
            let mut asked = only(&gemini::write_request(request, traits)?.body, &OF_GEMINI);
            let name = request
                .model
                .strip_prefix("models/")
                .unwrap_or(&request.model);
            asked.set("model", to_json(&["models/", name].concat()));
            within("generateContentRequest", &asked)
        }
        Counter::Vertex => {
            only(&gemini::write_request(request, traits)?.body, &OF_VERTEX).to_bytes()
        }
        Counter::Converse => {
            let asked = only(
                &converse::write_request(request, traits)?.body,
                &OF_CONVERSE,
            );
            let mut input = RawObject::default();
            input.set("converse", asked.to_bytes());
            within("input", &input)
        }
    })
}

fn only(body: &Bytes, fields: &[&str]) -> RawObject {
    let body = RawObject::parse(body).unwrap_or_default();
    let mut kept = RawObject::default();
    for (key, value) in body.iter().filter(|(key, _)| fields.contains(key)) {
        kept.set(key, value.clone());
    }
    kept
}

fn within(key: &str, object: &RawObject) -> Bytes {
    let mut outer = RawObject::default();
    outer.set(key, object.to_bytes());
    outer.to_bytes()
}

/// Reads how many tokens there are.
///
/// # Errors
///
/// `upstream_invalid` when it is not said.
pub fn read_count(counter: Counter, body: &Bytes) -> Result<u64, Error> {
    let field = match counter {
        Counter::Messages => return messages::read_count(body),
        Counter::Gemini | Counter::Vertex => "totalTokens",
        Counter::Converse => "inputTokens",
    };
    let count = Fields::parse_reply(body)?.count(field);
    count.ok_or_else(|| Error::InvalidReply {
        problem: format!("has no `{field}`"),
    })
}

#[cfg(test)]
mod tests {
    use super::{Counter, read_count, write_count_request};
    use crate::wire::conversation::ModelTraits;
    use crate::wire::messages::read_count_request;
    use bytes::Bytes;
    use serde_json::{Value, json};

    const ALL: [Counter; 4] = [
        Counter::Messages,
        Counter::Gemini,
        Counter::Vertex,
        Counter::Converse,
    ];

    #[test]
    fn everybody_is_asked_for_what_goes_into_the_context() {
        let body = json!({
            "model": "some-model", "system": "be brief",
            "messages": [{"role": "user", "content": "hi"}],
            "tools": [{"name": "f", "input_schema": {"type": "object", "properties": {}}}],
        });
        let request = read_count_request(&Bytes::from(body.to_string())).unwrap();
        let mut all = Vec::new();
        for counter in ALL {
            let asked = write_count_request(counter, &request, &ModelTraits::default()).unwrap();
            all.push(serde_json::from_slice::<Value>(&asked).unwrap());
        }
        let [messages, gemini, vertex, converse] = &all[..] else {
            panic!("{all:?}");
        };
        assert_eq!(messages["system"], "be brief");
        assert_eq!(messages["model"], "some-model");
        assert!(messages.get("max_tokens").is_none());
        let inner = &gemini["generateContentRequest"];
        assert_eq!(inner["model"], "models/some-model");
        assert_eq!(inner["contents"][0]["parts"][0]["text"], "hi");
        assert_eq!(vertex["systemInstruction"]["parts"][0]["text"], "be brief");
        assert!(vertex.get("generationConfig").is_none() && vertex.get("tools").is_some());
        let inner = &converse["input"]["converse"];
        assert_eq!(inner["messages"][0]["content"][0]["text"], "hi");
        assert!(inner.get("toolConfig").is_some() && inner.get("inferenceConfig").is_none());
    }

    #[test]
    fn counts_are_read_where_they_stand() {
        for counter in ALL {
            let field = match counter {
                Counter::Messages => "input_tokens",
                Counter::Gemini | Counter::Vertex => "totalTokens",
                Counter::Converse => "inputTokens",
            };
            let body = Bytes::from(json!({field: 14, "more": 1}).to_string());
            assert_eq!(read_count(counter, &body).unwrap(), 14);
            for bad in ["{}", "[]", "<html>", r#"{"totalTokens":"many"}"#] {
                let error = read_count(counter, &Bytes::from_static(bad.as_bytes()));
                assert_eq!(error.unwrap_err().kind(), "upstream_invalid", "{bad}");
            }
        }
    }
}
