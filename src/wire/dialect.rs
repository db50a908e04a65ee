//! The dialects in which providers are spoken to. Another one joins as a file beside `openai` and a
//! variant here.

use crate::domain::Operation;
use crate::wire::Error;
use crate::wire::json::{Change, RawObject, to_json};
use crate::wire::openai::{ChatReply, ChatStream, EmbeddingsReply, ProviderFault, ReplyFacts};
use bytes::Bytes;

/// A format of requests, answers and streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Dialect {
    /// `OpenAI`'s, which most providers speak.
    #[default]
    OpenAi,
}

/// What one attempt changes about the body of a call.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The model.
    pub model: &'a str,
    /// Whether the usage of a stream is to be asked for; [`Dialect::stream`] strips it again.
    pub stream_usage: bool,
    /// The messages, where they are others than those of the body.
    pub messages: Option<&'a [Bytes]>,
    /// A limit of output tokens, under the name that the provider has for it.
    pub token_limit: Option<(&'static str, &'a Bytes)>,
}

impl Dialect {
    /// Returns the body that asks a provider: the call's own fields, untouched but for `asked`.
    #[must_use]
    pub fn encode(self, body: &RawObject, asked: &Asked<'_>) -> Bytes {
        let Self::OpenAi = self;
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
    pub fn read(self, operation: Operation, body: &Bytes) -> Result<ReplyFacts, Error> {
        match (self, operation) {
            (Self::OpenAi, Operation::Chat) => ChatReply::read(body),
            (Self::OpenAi, Operation::Embeddings) => {
                EmbeddingsReply::read(body).map(|facts| ReplyFacts {
                    model: facts.model,
                    usage: facts.usage,
                    usage_reported: facts.usage_reported,
                    fault: facts.fault,
                    ..ReplyFacts::default()
                })
            }
        }
    }

    /// Returns the reader of a stream; `strips_usage` when the client did not ask for its usage.
    #[must_use]
    pub fn stream(self, strips_usage: bool) -> ChatStream {
        let Self::OpenAi = self;
        ChatStream::new(strips_usage)
    }

    /// Reads an answer with an error `status`.
    #[must_use]
    pub fn read_fault(self, status: u16, content_type: &str, body: &[u8]) -> ProviderFault {
        let Self::OpenAi = self;
        ProviderFault::read(status, Some(content_type), body)
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
    use super::{Asked, Dialect};
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
        Dialect::OpenAi.encode(&body, &asked)
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
