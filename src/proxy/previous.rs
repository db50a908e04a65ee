//! `previous_response_id`: what was asked and answered before is taken from the records, so that a
//! conversation goes on at any provider.
//!
//! Instructions do not go along, as at `OpenAI`; nor does a prompt, which is named anew each time.

use crate::domain::{CallId, CallRecord, CallState, Caller, Dialect};
use crate::proxy::{Error, Proxy};
use crate::wire::json::{RawObject, field, split_array};
use crate::wire::openai::ChatRequest;
use bytes::Bytes;
use std::sync::Arc;
use uuid::Uuid;

/// The longest chain of answers that is followed back.
const LONGEST_CHAIN: usize = 200;

/// The most bytes of items that a chain may amount to.
const MAX_BYTES: usize = 32 << 20;

const FIELD: &str = "previous_response_id";

/// What the id of an answer begins with.
const PREFIX: &str = "resp_";

/// Returns the id of the answer to a call: `resp_` and its call's id in 32 hex digits.
#[must_use]
pub fn response_id(call: CallId) -> String {
    format!("{PREFIX}{}", call.0.simple())
}

/// Returns the call that an answer's id names, where it is one of ours.
#[must_use]
pub fn call_of(response: &str) -> Option<CallId> {
    let digits = response.strip_prefix(PREFIX)?;
    let is_ours = digits.len() == 32 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    let id = Uuid::try_parse(digits).ok().filter(|_| is_ours)?;
    (id.get_version_num() == 7).then_some(CallId(id))
}

impl Proxy {
    /// Puts the items of the answers before in front of the request's own, where it names one of ours.
    ///
    /// # Errors
    ///
    /// `previous_response_not_found` when the answer is not there, is another caller's, was not to be
    /// stored, or failed.
    pub(crate) async fn go_on(
        &self,
        caller: &Caller,
        mut request: ChatRequest,
    ) -> Result<ChatRequest, Error> {
        if request.dialect != Dialect::Responses {
            return Ok(request);
        }
        let named = request.object.get_str(FIELD).map(|id| id.into_owned());
        let Some(named) = named else {
            return Ok(request);
        };
        let Some(mut call) = call_of(&named) else {
            // The provider's own: it knows what it said, or the translation refuses it.
            return Ok(request);
        };
        let mut turns: Vec<Vec<Bytes>> = Vec::new();
        let mut bytes = 0;
        loop {
            let kept = self.kept(caller, call).await?;
            let Turn { items, before } = kept.turn().ok_or_else(|| not_found(&named))?;
            bytes += items.iter().map(Bytes::len).sum::<usize>();
            turns.push(items);
            if LONGEST_CHAIN < turns.len() || MAX_BYTES < bytes {
                return Err(Error::PreviousTooLong { id: named });
            }
            match before.as_deref().map(call_of) {
                None => break,
                Some(Some(earlier)) => call = earlier,
                Some(None) => return Err(not_found(&named)),
            }
        }
        let own = request.object.get_some("input");
        let own = own.map(items_of_input).unwrap_or_default();
        let all: Vec<Bytes> = turns.into_iter().rev().flatten().chain(own).collect();
        request.object.remove(FIELD);
        request.object.set("input", joined(&all));
        request.messages = all;
        Ok(request)
    }

    /// Returns the record of an answer that `caller` was given and that was to be stored.
    ///
    /// # Errors
    ///
    /// `previous_response_not_found`.
    pub async fn recorded(&self, caller: &Caller, call: CallId) -> Result<CallRecord, Error> {
        Ok(self.kept(caller, call).await?.record)
    }

    async fn kept(&self, caller: &Caller, call: CallId) -> Result<Kept, Error> {
        let store = Arc::clone(&self.recorder.store);
        let read = tokio::task::spawn_blocking(move || store.record(&call.to_string())).await;
        let record = read.map_err(|_| Error::ShuttingDown)??;
        let is_theirs = |record: &CallRecord| {
            let intent = &record.intent;
            intent.key == caller.key && intent.dialect == Dialect::Responses
        };
        record
            .filter(is_theirs)
            .and_then(Kept::of)
            .ok_or_else(|| not_found(&response_id(call)))
    }
}

/// An answer that is there and that the client did not ask to forget (`"store": false`).
struct Kept {
    record: CallRecord,
    request: RawObject,
}

impl Kept {
    fn of(record: CallRecord) -> Option<Self> {
        let outcome = record.outcome.as_ref()?;
        let request = RawObject::parse(&record.intent.request).ok()?;
        let is_kept = outcome.state == CallState::Ok && request.get_bool("store") != Some(false);
        is_kept.then_some(Self { record, request })
    }

    /// What it adds to a conversation.
    fn turn(&self) -> Option<Turn> {
        let input = self.request.get_some("input");
        let mut items = input.map(items_of_input).unwrap_or_default();
        let output = field(&self.record.outcome.as_ref()?.output, "output")?;
        items.extend(split_array(&output)?);
        Some(Turn {
            items,
            before: self.request.get_str(FIELD).map(|id| id.into_owned()),
        })
    }
}

fn not_found(id: &str) -> Error {
    Error::PreviousNotFound { id: id.to_owned() }
}

/// What one answer adds to a conversation.
struct Turn {
    items: Vec<Bytes>,
    before: Option<String>,
}

/// Returns the items of an `input`, which may be a bare text.
pub fn items_of_input(input: &Bytes) -> Vec<Bytes> {
    split_array(input).unwrap_or_else(|| {
        let mut item = br#"{"type":"message","role":"user","content":"#.to_vec();
        item.extend_from_slice(input);
        item.push(b'}');
        vec![item.into()]
    })
}

fn joined(items: &[Bytes]) -> Bytes {
    let mut all = vec![b'['];
    for (index, item) in items.iter().enumerate() {
        if 0 < index {
            all.push(b',');
        }
        all.extend_from_slice(item);
    }
    all.push(b']');
    all.into()
}

#[cfg(test)]
mod tests {
    use super::{call_of, items_of_input, joined, response_id};
    use crate::domain::CallId;
    use bytes::Bytes;

    #[test]
    fn ids_of_answers_name_their_calls() {
        let call = CallId::fresh();
        assert_eq!(call_of(&response_id(call)), Some(call));
        for other in [
            "resp_abc",
            "chatcmpl-1",
            "resp_67ccd2bed1ec8190b14f964abc0542670bb6a6b452d3795b",
            "resp_00000000000000000000000000000000",
        ] {
            assert_eq!(call_of(other), None, "{other}");
        }
    }

    #[test]
    fn a_bare_text_is_a_message() {
        let items = items_of_input(&Bytes::from_static(b"\"hi\""));
        assert_eq!(
            joined(&items),
            r#"[{"type":"message","role":"user","content":"hi"}]"#
        );
        let items = items_of_input(&Bytes::from_static(b"[{\"a\":1}, {\"b\":2}]"));
        assert_eq!(joined(&items), r#"[{"a":1},{"b":2}]"#);
    }
}
