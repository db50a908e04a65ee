//! The dialects in which providers are spoken to. Another one joins as a file beside `openai` and a
//! variant here.

use crate::domain::Operation;
use crate::wire::Error;
use crate::wire::json::RawObject;
use crate::wire::json::to_json;
use crate::wire::openai::{
    ChatReply, ChatRequest, ChatStream, EmbeddingsFacts, EmbeddingsReply, EmbeddingsRequest,
    ProviderFault, ReplyFacts,
};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// A format of requests, answers and streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dialect {
    /// `OpenAI`'s, which most providers speak.
    #[default]
    OpenAi,
}

impl Dialect {
    /// Returns the path of `operation`, to be appended to a provider's base URL (`.../v1`).
    #[must_use]
    pub const fn path(self, operation: Operation) -> &'static str {
        match (self, operation) {
            (Self::OpenAi, Operation::Chat) => "/chat/completions",
            (Self::OpenAi, Operation::Embeddings) => "/embeddings",
        }
    }

    /// Returns the body that asks a provider for `model`, with `messages` (a JSON array) in place of
    /// the request's when a prompt made them. The `prompt` is ours and is left out; a stream always
    /// asks for its usage, which [`Self::stream`] strips again.
    ///
    /// # Errors
    ///
    /// When `stream_options` is no object that can be added to.
    pub fn encode_chat(
        self,
        request: &ChatRequest,
        model: &str,
        messages: Option<Bytes>,
    ) -> Result<Bytes, Error> {
        let Self::OpenAi = self;
        let mut changes = vec![("model", Some(to_json(model))), ("prompt", None)];
        if messages.is_some() {
            changes.push(("messages", messages));
        }
        if request.stream && !request.client_wants_usage {
            let mut options = match request.object.get_some("stream_options") {
                Some(options) => RawObject::parse(options)?,
                None => RawObject::default(),
            };
            options.set("include_usage", Bytes::from_static(b"true"));
            changes.push(("stream_options", Some(options.to_bytes())));
        }
        Ok(request.object.to_bytes_with(&changes))
    }

    /// Returns the body that asks a provider for embeddings by `model`.
    #[must_use]
    pub fn encode_embeddings(self, request: &EmbeddingsRequest, model: &str) -> Bytes {
        let Self::OpenAi = self;
        request
            .object
            .to_bytes_with(&[("model", Some(to_json(model)))])
    }

    /// Reads a whole chat completion.
    ///
    /// # Errors
    ///
    /// `upstream_invalid` when it is none.
    pub fn read_chat(self, body: &Bytes) -> Result<ReplyFacts, Error> {
        let Self::OpenAi = self;
        ChatReply::read(body)
    }

    /// Reads an answer with embeddings.
    ///
    /// # Errors
    ///
    /// `upstream_invalid` when it is none.
    pub fn read_embeddings(self, body: &Bytes) -> Result<EmbeddingsFacts, Error> {
        let Self::OpenAi = self;
        EmbeddingsReply::read(body)
    }

    /// Returns the reader of the stream that answers `request`.
    #[must_use]
    pub fn stream(self, request: &ChatRequest) -> ChatStream {
        let Self::OpenAi = self;
        ChatStream::new(!request.client_wants_usage)
    }

    /// Reads an answer with an error `status`.
    #[must_use]
    pub fn read_fault(self, status: u16, content_type: Option<&str>, body: &[u8]) -> ProviderFault {
        let Self::OpenAi = self;
        ProviderFault::read(status, content_type, body)
    }
}

#[cfg(test)]
mod tests {
    use super::Dialect;
    use crate::wire::openai::{ChatRequest, EmbeddingsRequest};
    use bytes::Bytes;

    fn encode(body: &'static str, messages: Option<&'static str>) -> Bytes {
        let request = ChatRequest::decode(&Bytes::from_static(body.as_bytes())).unwrap();
        let messages = messages.map(|text| Bytes::from_static(text.as_bytes()));
        Dialect::OpenAi
            .encode_chat(&request, "gpt-4o", messages)
            .unwrap()
    }

    #[test]
    fn outgoing_bodies_differ_only_where_they_must() {
        assert_eq!(
            encode(
                r#"{"model":"fast", "messages":[{"role":"user"}],"x": {"y" : 1}}"#,
                None
            ),
            r#"{"model":"gpt-4o","messages":[{"role":"user"}],"x":{"y" : 1}}"#
        );
        assert_eq!(
            encode(
                r#"{"prompt":{"id":"a"},"model":"m","stream":true}"#,
                Some("[]")
            ),
            r#"{"model":"gpt-4o","stream":true,"messages":[],"stream_options":{"include_usage":true}}"#
        );
        assert_eq!(
            encode(
                r#"{"model":"m","stream":true,"stream_options":{"include_usage":false,"include_obfuscation":false}}"#,
                None
            ),
            r#"{"model":"gpt-4o","stream":true,"stream_options":{"include_usage":true,"include_obfuscation":false}}"#
        );
        let asked = r#"{"model":"gpt-4o","stream":true,"stream_options":{"include_usage":true}}"#;
        assert_eq!(encode(asked, None), asked);
    }

    #[test]
    fn embeddings_keep_their_input() {
        let body = Bytes::from_static(br#"{"input":[[1,2]],"model":"m"}"#);
        let request = EmbeddingsRequest::decode(&body).unwrap();
        assert_eq!(
            Dialect::OpenAi.encode_embeddings(&request, "e"),
            r#"{"input":[[1,2]],"model":"e"}"#
        );
    }
}
