//! The body that asks a provider in `OpenAI`'s dialect: the client's own bytes, but for what an attempt
//! must change.

use crate::domain::Operation;
use crate::wire::Error;
use crate::wire::json::{Change, RawObject, to_json};
use crate::wire::openai::{ChatReply, EmbeddingsReply, ReplyFacts};
use bytes::Bytes;

/// What one attempt changes about the body of a call.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The model.
    pub model: &'a str,
    /// Whether the usage of a stream is to be asked for; [`crate::wire::openai::ChatStream`] strips it again.
    pub stream_usage: bool,
    /// The messages, where they are others than those of the body.
    pub messages: Option<&'a [Bytes]>,
    /// A limit of output tokens, under the name that the provider has for it.
    pub token_limit: Option<(&'static str, &'a Bytes)>,
}

/// Returns the body that asks a provider: the call's own fields, untouched but for `asked`.
#[must_use]
pub fn encode(body: &RawObject, asked: &Asked<'_>) -> Bytes {
    let model = to_json(asked.model);
    let options = asked.stream_usage.then(|| with_usage(body));
    let mut changes = vec![("model", Change::Value(&model))];
    changes.extend(
        options
            .iter()
            .map(|options| ("stream_options", Change::Value(options))),
    );
    changes.extend(
        asked
            .token_limit
            .map(|(name, limit)| (name, Change::Value(limit))),
    );
    changes.extend(
        asked
            .messages
            .map(|messages| ("messages", Change::Array(messages))),
    );
    body.to_bytes_with(&changes)
}

/// Reads a whole answer.
///
/// # Errors
///
/// `upstream_invalid` when it is none.
pub fn read_facts(operation: Operation, body: &Bytes) -> Result<ReplyFacts, Error> {
    match operation {
        Operation::Chat | Operation::Raw | Operation::Count => ChatReply::read(body),
        Operation::Embeddings => EmbeddingsReply::read(body).map(|facts| ReplyFacts {
            model: facts.model,
            usage: facts.usage,
            usage_reported: facts.usage_reported,
            fault: facts.fault,
            ..ReplyFacts::default()
        }),
    }
}

/// The stream's options with usage asked for.
fn with_usage(body: &RawObject) -> Bytes {
    let options = body.get_some("stream_options");
    let parsed = options.and_then(|options| RawObject::parse(options).ok());
    let mut options = parsed.unwrap_or_default();
    options.set("include_usage", Bytes::from_static(b"true"));
    options.to_bytes()
}

#[cfg(test)]
mod tests {
    use super::{Asked, encode as write};
    use crate::wire::json::RawObject;
    use bytes::Bytes;

    fn encode(body: &'static str, stream_usage: bool, token_limit: Option<&Bytes>) -> Bytes {
        let body = RawObject::parse(&Bytes::from_static(body.as_bytes())).unwrap();
        let token_limit = token_limit.map(|limit| ("max_tokens", limit));
        let asked = Asked {
            model: "gpt-4o",
            stream_usage,
            messages: None,
            token_limit,
        };
        write(&body, &asked)
    }

    #[test]
    fn outgoing_bodies_differ_only_where_they_must() {
        assert_eq!(
            encode(
                r#"{"model":"fast", "messages":[{"role":"user"}],"x": {"y" : 1}}"#,
                false,
                None
            ),
            r#"{"model":"gpt-4o","messages":[{"role":"user"}],"x":{"y" : 1}}"#
        );
        assert_eq!(
            encode(
                r#"{"stream":true,"stream_options":{"include_usage":false,"z":1}}"#,
                true,
                None
            ),
            r#"{"stream":true,"stream_options":{"include_usage":true,"z":1},"model":"gpt-4o"}"#
        );
        assert_eq!(
            encode(r#"{"model":"m"}"#, false, Some(&Bytes::from_static(b"7"))),
            r#"{"model":"gpt-4o","max_tokens":7}"#
        );
    }
}
