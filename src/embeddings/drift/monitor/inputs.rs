//! The texts of a prompt's traffic, read from its records: never on the way of a call.

use crate::domain::{CallId, Operation, PromptKey, Timestamp, sha256_hex};
use crate::embeddings::drift::monitor::kept::{Input, Settings};
use crate::embeddings::drift::{Distinct, LiveText};
use crate::embeddings::snapshots::Error;
use crate::proxy::{Inputs, inputs};
use crate::store::{CallFilter, CallRow, Store};
use serde_json::Value;

/// How many rows are listed at a time.
const PAGE: usize = 1_000;
/// The most calls of a period that are looked through.
const MOST_CALLS: usize = 200_000;

/// Which calls are read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Period {
    /// Begun then or later, in Unix milliseconds.
    pub(super) from_ms: i64,
    /// Begun before, in Unix milliseconds.
    pub(super) to_ms: i64,
    /// The most texts.
    pub(super) most: usize,
    /// Whether texts are drawn from the whole period, and not its newest taken.
    pub(super) is_drawn: bool,
}

/// Returns the distinct texts of a period, the oldest first. Blocks.
pub(super) fn texts(
    store: &Store,
    settings: &Settings,
    period: Period,
) -> Result<Vec<LiveText>, Error> {
    let failed = |error: crate::store::Error| Error::Kept {
        problem: format!("records cannot be read: {error}"),
    };
    let prompt = PromptKey::parse(&settings.prompt)
        .map_err(|error| Error::invalid("prompt", error.to_string(), None))?;
    let filter = CallFilter {
        prompt: Some(prompt),
        from: Some(Timestamp(period.from_ms.saturating_mul(1_000))),
        to: Some(Timestamp(period.to_ms.saturating_mul(1_000))),
        ..CallFilter::default()
    };
    let mut window = Distinct::new(period.most);
    let mut drawn: Vec<(String, CallRow)> = Vec::new();
    let (mut before, mut seen): (Option<CallId>, usize) = (None, 0);
    while seen < MOST_CALLS && !window.is_full() {
        let rows = store.calls(&filter, before, PAGE).map_err(failed)?;
        let Some(last) = rows.last() else { break };
        before = Some(last.id);
        seen += rows.len();
        for row in rows {
            let place = sha256_hex(row.id.to_string().as_bytes());
            if !is_traffic(&row) || !is_sampled(&place, settings.sample) {
                continue;
            }
            if period.is_drawn {
                drawn.push((place, row));
            } else if !window.is_full() {
                offer(store, settings, &row, &mut window)?;
            }
        }
    }
    // The order of hashes is a draw that comes out the same every time.
    drawn.sort_by(|one, other| one.0.cmp(&other.0));
    for (_, row) in &drawn {
        if window.is_full() {
            break;
        }
        offer(store, settings, row, &mut window)?;
    }
    Ok(window.into_texts())
}

/// Whether somebody outside made the call: runs of evals are no traffic.
fn is_traffic(row: &CallRow) -> bool {
    row.operation == Operation::Chat && row.run.is_none()
}

fn is_sampled(hash: &str, sample: f64) -> bool {
    const ALL: f64 = 4_294_967_296.0;
    let digits = hash
        .get(..8)
        .and_then(|digits| u32::from_str_radix(digits, 16).ok());
    digits.is_some_and(|digits| f64::from(digits) / ALL < sample)
}

fn offer(
    store: &Store,
    settings: &Settings,
    row: &CallRow,
    window: &mut Distinct,
) -> Result<(), Error> {
    let id = row.id.to_string();
    let record = store.record(&id).map_err(|error| Error::Kept {
        problem: format!("call `{id}` cannot be read: {error}"),
    })?;
    let is_shadow = |record: &crate::domain::CallRecord| record.intent.shadow_of.is_some();
    let Some(record) = record.filter(|record| !is_shadow(record)) else {
        return Ok(());
    };
    let Some(text) = inputs(&record).and_then(|inputs| text_of(&inputs, &settings.input)) else {
        return Ok(());
    };
    window.offer(LiveText {
        id,
        text,
        user: row.user.clone().or_else(|| row.session.clone()),
        at_ms: row.started.unix_millis(),
    });
    Ok(())
}

/// The text of a request.
fn text_of(inputs: &Inputs, input: &Input) -> Option<String> {
    match input {
        Input::Variable(name) => inputs.variables.get(name).map(plain),
        Input::Messages => said(inputs),
        Input::Any => said(inputs).or_else(|| {
            let all: Vec<String> = inputs.variables.values().map(plain).collect();
            (!all.is_empty()).then(|| all.join("\n"))
        }),
    }
}

fn plain(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

/// What the user said last.
fn said(inputs: &Inputs) -> Option<String> {
    let mut messages = inputs.messages.iter().rev();
    messages.find_map(|message| {
        let message: Value = serde_json::from_slice(message).ok()?;
        let role = message.get("role").and_then(Value::as_str);
        (role == Some("user")).then_some(())?;
        let content = message.get("content")?;
        if let Some(text) = content.as_str() {
            return Some(text.to_owned());
        }
        let parts = content.as_array()?.iter();
        let texts = parts.filter_map(|part| part.get("text").and_then(Value::as_str));
        let texts: Vec<&str> = texts.collect();
        (!texts.is_empty()).then(|| texts.join("\n"))
    })
}

#[cfg(test)]
mod tests {
    use super::{Input, is_sampled, text_of};
    use crate::domain::sha256_hex;
    use crate::proxy::Inputs;
    use bytes::Bytes;
    use serde_json::json;

    #[test]
    fn a_request_says_what_its_user_wrote() {
        let messages = [
            json!({"role": "user", "content": "first"}),
            json!({"role": "user", "content": [{"type": "text", "text": "last"}, {"type": "image_url"}]}),
            json!({"role": "assistant", "content": "answer"}),
        ];
        let mut inputs = Inputs {
            variables: serde_json::from_value(json!({"question": "why", "n": 3})).unwrap(),
            messages: messages
                .iter()
                .map(|m| Bytes::from(m.to_string()))
                .collect(),
        };
        let of = |inputs: &Inputs, input: Input| text_of(inputs, &input);
        let variable = Input::Variable("question".to_owned());
        assert_eq!(of(&inputs, variable.clone()).as_deref(), Some("why"));
        assert_eq!(of(&inputs, Input::Any).as_deref(), Some("last"));
        inputs.messages.clear();
        assert_eq!(of(&inputs, Input::Messages), None);
        let all = of(&inputs, Input::Any).unwrap();
        assert!(all.contains("why") && all.contains('3'));
        inputs.variables.clear();
        assert_eq!(of(&inputs, variable), None);
        assert_eq!(of(&inputs, Input::Any), None);
    }

    #[test]
    fn a_share_of_calls_is_read() {
        let hashes: Vec<String> = (0..2_000)
            .map(|n| sha256_hex(n.to_string().as_bytes()))
            .collect();
        let count = hashes.iter().filter(|hash| is_sampled(hash, 0.1)).count();
        assert!((140..260).contains(&count), "{count}");
        assert!(hashes.iter().all(|hash| is_sampled(hash, 1.0)));
    }
}
