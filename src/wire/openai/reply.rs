//! Whole chat completions: the facts that are recorded, read without building the answer.

use crate::domain::TokenUsage;
use crate::wire::Error;
use crate::wire::openai::fault::is_truthy;
use crate::wire::openai::{ProviderFault, read_usage};
use crate::wire::text::Text;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

/// What is recorded of an answer beside its bytes.
#[derive(Debug, Clone, Default)]
pub struct ReplyFacts {
    /// The provider's id of the answer.
    pub id: Option<String>,
    /// The model the provider says it used.
    pub model: Option<String>,
    /// The tokens, where they were reported.
    pub usage: Option<TokenUsage>,
    /// Whether `usage` was counted here, because the provider told none.
    pub is_estimated: bool,
    /// The `usage` object as it came.
    pub usage_reported: Option<Box<RawValue>>,
    /// Why the first choice ended.
    pub finish_reason: Option<String>,
    /// The error, when the answer is one in spite of its good status.
    pub fault: Option<ProviderFault>,
}

/// Reader of whole chat completions.
#[derive(Debug, Clone, Copy)]
pub struct ChatReply;

impl ChatReply {
    /// Returns the facts of `body`, an answer with status 200.
    ///
    /// # Errors
    ///
    /// `upstream_invalid` when `body` is not a JSON object, or has neither `choices` nor `error`.
    pub fn read(body: &Bytes) -> Result<ReplyFacts, Error> {
        let reply: Reply<'_> = parse(body)?;
        let fault = reply.error.map(RawValue::get).filter(|e| is_truthy(e));
        if reply.choices.is_none() && fault.is_none() {
            return Err(Error::InvalidReply {
                problem: "has no `choices`".to_owned(),
            });
        }
        let first = reply.choices.iter().flatten().next();
        Ok(ReplyFacts {
            id: owned(reply.id),
            model: owned(reply.model),
            usage: reply.usage.and_then(|usage| read_usage(usage.get())),
            finish_reason: first
                .and_then(|choice| choice.finish_reason.as_ref())
                .map(|reason| reason.0.clone().into_owned()),
            usage_reported: reply.usage.map(ToOwned::to_owned),
            is_estimated: false,
            fault: fault.map(ProviderFault::from_error),
        })
    }
}

/// Parses a provider's answer.
pub(super) fn parse<'a, T: Deserialize<'a>>(body: &'a Bytes) -> Result<T, Error> {
    let text = std::str::from_utf8(body).map_err(|_| Error::InvalidReply {
        problem: "is not UTF-8".to_owned(),
    })?;
    serde_json::from_str(text).map_err(|error| Error::reply(&error))
}

/// Returns a text that is not empty.
pub(super) fn owned(text: Option<Text<'_>>) -> Option<String> {
    text.map(|text| text.0.into_owned())
        .filter(|text| !text.is_empty())
}

#[derive(Deserialize)]
struct Reply<'a> {
    #[serde(borrow)]
    id: Option<Text<'a>>,
    #[serde(borrow)]
    model: Option<Text<'a>>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    #[serde(borrow)]
    choices: Option<Vec<ReplyChoice<'a>>>,
}

#[derive(Deserialize)]
struct ReplyChoice<'a> {
    #[serde(borrow)]
    finish_reason: Option<Text<'a>>,
}

#[cfg(test)]
mod tests {
    use super::{ChatReply, ReplyFacts};
    use bytes::Bytes;

    fn read(body: &str) -> Result<ReplyFacts, super::Error> {
        ChatReply::read(&Bytes::copy_from_slice(body.as_bytes()))
    }

    #[test]
    fn facts_are_read() {
        let facts = read(
            r#"{"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"gpt-4o-2024-08-06",
            "choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"},
            {"index":1,"finish_reason":"length"}],
            "usage":{"prompt_tokens":5,"completion_tokens":1,"total_tokens":6},"x":{"y":[]}}"#,
        )
        .unwrap();
        assert_eq!(facts.id.as_deref(), Some("chatcmpl-1"));
        assert_eq!(facts.model.as_deref(), Some("gpt-4o-2024-08-06"));
        assert_eq!(facts.finish_reason.as_deref(), Some("stop"));
        assert_eq!(facts.usage.map(|u| (u.input, u.output)), Some((5, 1)));
        assert!(
            facts
                .usage_reported
                .unwrap()
                .get()
                .starts_with("{\"prompt_tokens\"")
        );
        assert_eq!(facts.fault, None);
    }

    #[test]
    fn errors_inside_a_200_are_faults() {
        let facts = read(r#"{"error":{"message":"overloaded","code":529},"choices":[]}"#).unwrap();
        assert_eq!(facts.fault.unwrap().code.as_deref(), Some("529"));
        let facts = read(r#"{"id":null,"usage":null,"error":null,"choices":[]}"#).unwrap();
        assert!(facts.fault.is_none() && facts.usage_reported.is_none());
    }

    #[test]
    fn what_is_no_answer_is_refused() {
        for body in [
            "",
            "<html>",
            "{}",
            "[]",
            r#"{"choices":[{"#,
            r#"{"error":null}"#,
        ] {
            assert_eq!(read(body).unwrap_err().kind(), "upstream_invalid", "{body}");
        }
    }
}
