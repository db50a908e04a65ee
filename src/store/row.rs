//! What lists show of a call, and how the index stores it.

use crate::domain::{
    Arm, BundleHash, CallId, CallIntent, CallOutcome, CallState, CostQuality, KeyId, Operation,
    PicoDollars, PromptKey, RunId, Timestamp,
};
use crate::store::frame::Position;
use serde::{Deserialize, Serialize};

/// A call in one line. Of a call in flight, what is known at its end is `None`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CallRow {
    /// The call.
    pub id: CallId,
    /// What kind of call.
    pub operation: Operation,
    /// When the request had been read.
    pub started: Timestamp,
    /// When it ended.
    pub ended: Option<Timestamp>,
    /// How it ended; `None` while it is in flight.
    pub state: Option<CallState>,
    /// The HTTP status the client got.
    pub status: Option<u16>,
    /// The kind of the error, when it failed.
    pub error: Option<String>,
    /// The caller's key.
    pub key: Option<KeyId>,
    /// The caller's name.
    pub caller: String,
    /// The prompt it was made from.
    pub prompt: Option<PromptKey>,
    /// The number of the prompt's version.
    pub number: Option<u32>,
    /// The identity of the prompt's version.
    pub hash: Option<BundleHash>,
    /// The label that was asked for.
    pub label: Option<String>,
    /// Which of the versions behind a label it got.
    pub arm: Option<Arm>,
    /// Whether the prompt's content was in no commit.
    pub dirty: bool,
    /// The provider of the last attempt.
    pub provider: String,
    /// The model asked of it.
    pub model: String,
    /// Tokens that went in.
    pub input_tokens: Option<u64>,
    /// Of these, read from the provider's cache.
    pub cached_tokens: Option<u64>,
    /// Tokens that came out.
    pub output_tokens: Option<u64>,
    /// What it cost.
    #[serde(rename = "cost_pico_usd")]
    pub cost: Option<PicoDollars>,
    /// How good the cost is.
    #[serde(rename = "cost_quality")]
    pub quality: CostQuality,
    /// How long it took, in microseconds.
    pub total_us: Option<u64>,
    /// Until the first content of a stream, in microseconds.
    pub first_content_us: Option<u64>,
    /// The end user.
    pub user: Option<String>,
    /// The session.
    pub session: Option<String>,
    /// The trace, 32 hex digits.
    pub trace: Option<String>,
    /// Whether the client asked for a stream.
    pub stream: bool,
    /// The run of evals it was made for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
}

impl CallRow {
    /// Returns the row of a call in flight.
    pub(super) fn begun(intent: &CallIntent) -> Self {
        let prompt = intent.prompt.as_ref();
        Self {
            id: intent.id,
            operation: intent.operation,
            started: intent.started,
            ended: None,
            state: None,
            status: None,
            error: None,
            key: intent.key.clone(),
            caller: intent.caller.clone(),
            prompt: prompt.map(|prompt| prompt.key.clone()),
            number: prompt.and_then(|prompt| prompt.number),
            hash: prompt.map(|prompt| prompt.hash),
            label: prompt.and_then(|prompt| prompt.label.clone()),
            arm: intent.release.as_ref().map(|release| release.arm),
            dirty: prompt.is_some_and(|prompt| prompt.dirty),
            provider: intent.provider.clone(),
            model: intent.model.clone(),
            input_tokens: None,
            cached_tokens: None,
            output_tokens: None,
            cost: None,
            quality: CostQuality::Unknown,
            total_us: None,
            first_content_us: None,
            user: intent.user.clone(),
            session: intent.session.clone(),
            trace: intent.trace.as_ref().map(|trace| trace.trace_id.clone()),
            stream: intent.stream,
            run: intent.run.as_ref().map(|run| run.run),
        }
    }

    /// Returns the row of a call whose intent was lost to damage: what the outcome tells.
    pub(super) fn orphan(outcome: &CallOutcome) -> Self {
        let took = i64::try_from(outcome.times.total_us).unwrap_or(0);
        let mut row = Self {
            id: outcome.id,
            operation: Operation::Chat,
            started: Timestamp(outcome.ended.0.saturating_sub(took)),
            ended: None,
            state: None,
            status: None,
            error: None,
            key: None,
            caller: String::new(),
            prompt: None,
            number: None,
            hash: None,
            label: None,
            arm: None,
            dirty: false,
            provider: String::new(),
            model: String::new(),
            input_tokens: None,
            cached_tokens: None,
            output_tokens: None,
            cost: None,
            quality: CostQuality::Unknown,
            total_us: None,
            first_content_us: None,
            user: None,
            session: None,
            trace: None,
            stream: false,
            run: None,
        };
        row.end(outcome);
        row
    }

    /// Adds what is known at the end.
    pub(super) fn end(&mut self, outcome: &CallOutcome) {
        self.ended = Some(outcome.ended);
        self.state = Some(outcome.state);
        self.status = outcome.status;
        self.error.clone_from(&outcome.error);
        self.provider.clone_from(&outcome.provider);
        self.model.clone_from(&outcome.model);
        self.input_tokens = outcome.usage.map(|usage| usage.input);
        self.cached_tokens = outcome.usage.map(|usage| usage.cached_input);
        self.output_tokens = outcome.usage.map(|usage| usage.output);
        self.cost = outcome.cost.pico_usd;
        self.quality = outcome.cost.quality;
        self.total_us = Some(outcome.times.total_us);
        self.first_content_us = outcome.times.first_content_us;
    }

    /// Returns what people call the prompt's version: `v7`, else the short hash.
    #[must_use]
    pub fn version(&self) -> Option<String> {
        match (self.number, self.hash) {
            (Some(number), _) => Some(format!("v{number}")),
            (None, Some(hash)) => Some(hash.short()),
            (None, None) => None,
        }
    }

    /// Returns about how much memory the row takes, in bytes.
    pub(super) fn memory_bytes(&self) -> usize {
        let texts = [
            &self.error,
            &self.label,
            &self.user,
            &self.session,
            &self.trace,
        ];
        let texts: usize = texts
            .iter()
            .map(|text| text.as_ref().map_or(0, String::len))
            .sum();
        size_of::<Self>() + texts + self.caller.len() + self.provider.len() + self.model.len() + 128
    }
}

/// An ended call on its way into the index: its row, and where its entries stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct IndexedRow {
    /// The columns.
    pub(super) row: CallRow,
    /// The intent's place; the default where it was lost.
    pub(super) intent: Position,
    /// The outcome's place.
    pub(super) outcome: Position,
}

/// The version of the stored form, the first byte of a block.
const FORMAT: u8 = 3;
/// The forms before: nothing stands behind a row, or its arm alone.
const WITHOUT_ARM: u8 = 1;
const WITHOUT_RUN: u8 = 2;

/// The stored form, which filters look at before anything is copied. Postcard has no field names:
/// fields are only ever added with a new `FORMAT`. Since 2 a row is followed by its arm, since 3
/// also by its run.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Stored<'a> {
    pub(super) id: [u8; 16],
    pub(super) intent: Position,
    pub(super) outcome: Position,
    pub(super) operation: Operation,
    pub(super) started: i64,
    pub(super) ended: Option<i64>,
    pub(super) state: Option<CallState>,
    pub(super) status: Option<u16>,
    pub(super) error: Option<&'a str>,
    pub(super) key: Option<&'a str>,
    pub(super) caller: &'a str,
    pub(super) prompt: Option<&'a str>,
    pub(super) number: Option<u32>,
    pub(super) hash: Option<[u8; 32]>,
    pub(super) label: Option<&'a str>,
    pub(super) dirty: bool,
    pub(super) provider: &'a str,
    pub(super) model: &'a str,
    pub(super) tokens: [Option<u64>; 3],
    pub(super) cost: Option<u64>,
    pub(super) quality: CostQuality,
    pub(super) total_us: Option<u64>,
    pub(super) first_content_us: Option<u64>,
    pub(super) user: Option<&'a str>,
    pub(super) session: Option<&'a str>,
    pub(super) trace: Option<&'a str>,
    pub(super) stream: bool,
}

impl<'a> Stored<'a> {
    /// Returns the stored form of a row.
    pub(super) fn of(row: &'a CallRow, intent: Position, outcome: Position) -> Self {
        Self {
            id: row.id.0.into_bytes(),
            intent,
            outcome,
            operation: row.operation,
            started: row.started.0,
            ended: row.ended.map(|ended| ended.0),
            state: row.state,
            status: row.status,
            error: row.error.as_deref(),
            key: row.key.as_ref().map(|key| key.0.as_str()),
            caller: &row.caller,
            prompt: row.prompt.as_ref().map(PromptKey::as_str),
            number: row.number,
            hash: row.hash.map(|hash| hash.0),
            label: row.label.as_deref(),
            dirty: row.dirty,
            provider: &row.provider,
            model: &row.model,
            tokens: [row.input_tokens, row.cached_tokens, row.output_tokens],
            cost: row.cost.map(|cost| cost.0),
            quality: row.quality,
            total_us: row.total_us,
            first_content_us: row.first_content_us,
            user: row.user.as_deref(),
            session: row.session.as_deref(),
            trace: row.trace.as_deref(),
            stream: row.stream,
        }
    }

    /// Returns the call's id.
    pub(super) const fn id(&self) -> CallId {
        CallId(uuid::Uuid::from_bytes(self.id))
    }

    fn into_row(self, (arm, run): (Option<Arm>, Option<[u8; 16]>)) -> IndexedRow {
        let [input_tokens, cached_tokens, output_tokens] = self.tokens;
        let row = CallRow {
            id: self.id(),
            operation: self.operation,
            started: Timestamp(self.started),
            ended: self.ended.map(Timestamp),
            state: self.state,
            status: self.status,
            error: self.error.map(str::to_owned),
            key: self.key.map(|key| KeyId(key.to_owned())),
            caller: self.caller.to_owned(),
            prompt: self.prompt.and_then(|key| PromptKey::parse(key).ok()),
            number: self.number,
            hash: self.hash.map(BundleHash),
            label: self.label.map(str::to_owned),
            arm,
            dirty: self.dirty,
            provider: self.provider.to_owned(),
            model: self.model.to_owned(),
            input_tokens,
            cached_tokens,
            output_tokens,
            cost: self.cost.map(PicoDollars),
            quality: self.quality,
            total_us: self.total_us,
            first_content_us: self.first_content_us,
            user: self.user.map(str::to_owned),
            session: self.session.map(str::to_owned),
            trace: self.trace.map(str::to_owned),
            stream: self.stream,
            run: run.map(|run| RunId(uuid::Uuid::from_bytes(run))),
        };
        IndexedRow {
            row,
            intent: self.intent,
            outcome: self.outcome,
        }
    }
}

/// Encodes rows as one block.
pub(super) fn encode_block<'a>(rows: impl Iterator<Item = &'a IndexedRow>) -> Vec<u8> {
    let mut block = vec![FORMAT];
    for indexed in rows {
        let row = Stored::of(&indexed.row, indexed.intent, indexed.outcome);
        // Writing to a vector cannot fail, and every field is of a kind postcard knows.
        block = postcard::to_extend(&row, block).unwrap_or_default();
        let run = indexed.row.run.map(|run| run.0.into_bytes());
        block = postcard::to_extend(&(indexed.row.arm, run), block).unwrap_or_default();
    }
    block
}

/// Decodes the rows of a block that `is_wanted`; rows behind damage are left out.
pub(super) fn decode_block(
    block: &[u8],
    is_wanted: impl Fn(&Stored<'_>) -> bool,
    rows: &mut Vec<IndexedRow>,
) {
    let Some((&format, mut rest)) = block.split_first() else {
        return;
    };
    if ![WITHOUT_ARM, WITHOUT_RUN, FORMAT].contains(&format) {
        return;
    }
    while !rest.is_empty() {
        let Ok((stored, mut behind)) = postcard::take_from_bytes::<Stored<'_>>(rest) else {
            return;
        };
        let (mut arm, mut run) = (None, None);
        if format != WITHOUT_ARM {
            let Ok(found) = postcard::take_from_bytes::<Option<Arm>>(behind) else {
                return;
            };
            (arm, behind) = found;
        }
        if ![WITHOUT_ARM, WITHOUT_RUN].contains(&format) {
            let Ok(found) = postcard::take_from_bytes::<Option<[u8; 16]>>(behind) else {
                return;
            };
            (run, behind) = found;
        }
        if is_wanted(&stored) {
            rows.push(stored.into_row((arm, run)));
        }
        rest = behind;
    }
}

#[cfg(test)]
mod tests {
    use super::{
        Arm, CallRow, IndexedRow, Stored, WITHOUT_ARM, WITHOUT_RUN, decode_block, encode_block,
    };
    use crate::domain::RunId;
    use crate::store::frame::Position;
    use crate::store::testing::{intent, outcome};

    #[test]
    fn rows_read_as_stored() {
        let rows: Vec<IndexedRow> = (0..5)
            .map(|n| {
                let intent = intent(n);
                let mut row = CallRow::begun(&intent);
                row.end(&outcome(&intent));
                row.arm = (n % 2 == 0).then_some(Arm::Shadow);
                row.run = (n % 3 == 0).then(RunId::fresh);
                IndexedRow {
                    row,
                    intent: Position::default(),
                    outcome: Position {
                        segment: 1,
                        offset: 30,
                    },
                }
            })
            .collect();
        let decode = |block: &[u8]| {
            let mut rows = Vec::new();
            decode_block(block, |_| true, &mut rows);
            rows
        };
        assert_eq!(decode(&encode_block(rows.iter())), rows);
        assert_eq!(decode(&[9, 1, 2]), [], "an unknown format");

        // Blocks of the forms before are read on.
        let (mut first, mut second) = (vec![WITHOUT_ARM], vec![WITHOUT_RUN]);
        for indexed in &rows {
            let row = Stored::of(&indexed.row, indexed.intent, indexed.outcome);
            first = postcard::to_extend(&row, first).unwrap();
            second = postcard::to_extend(&(&row, indexed.row.arm), second).unwrap();
        }
        let mut without = rows;
        for indexed in &mut without {
            indexed.row.run = None;
        }
        assert_eq!(decode(&second), without);
        for indexed in &mut without {
            indexed.row.arm = None;
        }
        assert_eq!(decode(&first), without);
    }
}
