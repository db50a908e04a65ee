//! The texts of a prompt's traffic, read from its records: never on the way of a call.

use crate::domain::{CallId, Operation, PromptKey, Timestamp, sha256_hex};
use crate::embeddings::distinct::{Distinct, LiveText};
use crate::embeddings::drift::monitor::kept::Settings;
use crate::embeddings::recorded::{is_traffic, record, text_of};
use crate::embeddings::snapshots::Error;
use crate::store::{CallFilter, CallRow, Store};

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

/// What the records of a period have.
pub(super) struct Inputs {
    /// Distinct texts, the oldest first.
    pub(super) texts: Vec<LiveText>,
    /// How many calls were looked at, until there were texts enough.
    pub(super) calls: usize,
}

/// Returns the distinct texts of a period. Blocks.
pub(super) fn texts(store: &Store, settings: &Settings, period: Period) -> Result<Inputs, Error> {
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
    let mut calls = 0;
    while seen < MOST_CALLS && !window.is_full() {
        let rows = store.calls(&filter, before, PAGE).map_err(failed)?;
        let Some(last) = rows.last() else { break };
        before = Some(last.id);
        seen += rows.len();
        for row in rows {
            let place = sha256_hex(row.id.to_string().as_bytes());
            if !is_traffic(&row, Operation::Chat) || !is_sampled(&place, settings.sample) {
                continue;
            }
            calls += 1;
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
    Ok(Inputs {
        texts: window.into_texts(),
        calls,
    })
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
    let Some(record) = record(store, row)? else {
        return Ok(());
    };
    let Some(text) = text_of(&record, &settings.input) else {
        return Ok(());
    };
    window.offer(LiveText {
        id: row.id.to_string(),
        text,
        user: row.user.clone().or_else(|| row.session.clone()),
        at_ms: row.started.unix_millis(),
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::is_sampled;
    use crate::domain::sha256_hex;

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
