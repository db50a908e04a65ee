//! Lists of calls and single records.

use crate::domain::{
    BundleHash, CallId, CallRecord, CallState, KeyId, Operation, PromptKey, RunId, Timestamp,
};
use crate::store::frame::{Kind, Position};
use crate::store::index::{Bucket, Index, bucket_at, bucket_of};
use crate::store::journal::Journal;
use crate::store::row::{CallRow, IndexedRow, Stored};
use crate::store::segment::{Header, numbers, plain_path};
use crate::store::sparse::{Rare, hash_of};
use crate::store::term::{Dimension, Term};
use crate::store::walk::{Found, Walk};
use crate::store::{Error, IdOf, Store};
use std::collections::HashSet;
use uuid::Uuid;

/// Which calls are wanted; `None` means any.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CallFilter {
    /// Made from this prompt.
    pub prompt: Option<PromptKey>,
    /// Made from this version: `v7`, `7`, or 4 or more hex digits of the hash, with or without `sha-`.
    pub version: Option<String>,
    /// With this model asked of the provider.
    pub model: Option<String>,
    /// That ended so.
    pub state: Option<CallState>,
    /// Of this key.
    pub key: Option<KeyId>,
    /// Of this end user.
    pub user: Option<String>,
    /// Of this session.
    pub session: Option<String>,
    /// Of this trace (32 hex digits).
    pub trace: Option<String>,
    /// Of this kind.
    pub operation: Option<Operation>,
    /// Made for this run of evals.
    pub run: Option<RunId>,
    /// Begun at this time or later.
    pub from: Option<Timestamp>,
    /// Begun before this time.
    pub to: Option<Timestamp>,
}

impl CallFilter {
    /// Whether the call is wanted.
    #[must_use]
    pub fn accepts(&self, row: &CallRow) -> bool {
        self.accepts_run(row)
            && self.accepts_stored(&Stored::of(row, Position::default(), Position::default()))
    }

    /// The run stands behind the stored form.
    fn accepts_run(&self, row: &CallRow) -> bool {
        self.run.is_none() || self.run == row.run
    }

    fn accepts_stored(&self, row: &Stored<'_>) -> bool {
        fn is(wanted: Option<&str>, value: Option<&str>) -> bool {
            wanted.is_none() || wanted == value
        }
        let started = Timestamp(row.started);
        is(self.prompt.as_ref().map(PromptKey::as_str), row.prompt)
            && self
                .version
                .as_ref()
                .is_none_or(|version| has_version(row, version))
            && is(self.model.as_deref(), Some(row.model))
            && (self.state.is_none() || self.state == row.state)
            && is(self.key.as_ref().map(|key| key.0.as_str()), row.key)
            && is(self.user.as_deref(), row.user)
            && is(self.session.as_deref(), row.session)
            && is(self.trace.as_deref(), row.trace)
            && self
                .operation
                .is_none_or(|operation| operation == row.operation)
            && self.from.is_none_or(|from| from <= started)
            && self.to.is_none_or(|to| started < to)
    }

    /// Returns the hash of the rarest value that is asked for.
    fn rare(&self) -> Option<u32> {
        let trace = self
            .trace
            .as_deref()
            .map(|value| hash_of(Rare::Trace, value));
        let session = self
            .session
            .as_deref()
            .map(|value| hash_of(Rare::Session, value));
        let user = self.user.as_deref().map(|value| hash_of(Rare::User, value));
        let run = self.run.map(|run| hash_of(Rare::Run, &run.to_string()));
        trace.or(session).or(run).or(user)
    }

    /// Returns the index terms that all wanted calls have.
    fn terms(&self) -> Vec<Term> {
        let prompt = self.prompt.as_ref().map(PromptKey::as_str);
        // A number is the row's own name for its version; a hash may be that of a numbered one.
        let number = self.version.as_ref().and_then(|version| number_of(version));
        let version = prompt.zip(number);
        let version = version.map(|(prompt, number)| {
            Term::new(Dimension::Version, &[prompt, &format!("v{number}")])
        });
        let key = self.key.as_ref().map(|key| key.0.as_str());
        let model = self.model.as_deref();
        let values = [
            (Dimension::Key, key),
            (Dimension::Prompt, prompt),
            (Dimension::Model, model),
        ];
        let values = values
            .into_iter()
            .filter_map(|(dimension, value)| Some((dimension, value?)));
        let failures = values.clone();
        let failures =
            failures.filter_map(|(dimension, value)| Term::failure(self.state?, dimension, value));
        let single = values.map(|(dimension, value)| Term::new(dimension, &[value]));
        let state = self.state.map(Term::state);
        failures.chain(version).chain(single).chain(state).collect()
    }
}

fn number_of(version: &str) -> Option<u32> {
    let digits = version.strip_prefix('v').unwrap_or(version);
    digits.parse().ok().filter(|_| digits.len() < 10)
}

fn has_version(row: &Stored<'_>, version: &str) -> bool {
    if let Some(number) = number_of(version) {
        return row.number == Some(number);
    }
    let digits = version
        .strip_prefix("sha-")
        .unwrap_or(version)
        .to_ascii_lowercase();
    let is_start = |hash| BundleHash(hash).to_hex().starts_with(&digits);
    4 <= digits.len() && row.hash.is_some_and(is_start)
}

/// Calls in the order in which they ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tail {
    /// The calls.
    pub rows: Vec<CallRow>,
    /// Where to go on.
    pub next: Position,
}

impl Store {
    /// Returns up to `limit` calls, newest first, those in flight included; with `before`, only
    /// older ones. Every call that ended before this was called is there.
    ///
    /// Blocks; not for async code.
    ///
    /// # Errors
    ///
    /// `IndexBehind`, `Sled`, `Closed`.
    pub fn calls(
        &self,
        filter: &CallFilter,
        before: Option<CallId>,
        limit: usize,
    ) -> Result<Vec<CallRow>, Error> {
        let is_wanted =
            |row: &CallRow| before.is_none_or(|before| row.id < before) && filter.accepts(row);
        let open: Vec<CallRow> = {
            let state = self.journal.lock();
            let open = state.open.values().map(|call| &call.row);
            open.filter(|row| is_wanted(row))
                .map(|row| (**row).clone())
                .collect()
        };
        let index = self.indexer.ready(self.query_deadline)?;
        let mut rows = ended_calls(&index, filter, before, limit)?;
        // A call may have ended in between.
        let ended: HashSet<CallId> = rows.iter().map(|row| row.id).collect();
        rows.extend(open.into_iter().filter(|row| !ended.contains(&row.id)));
        rows.sort_unstable_by_key(|row| std::cmp::Reverse(row.id));
        rows.truncate(limit);
        Ok(rows)
    }

    /// Returns up to `limit` calls that ended behind `after`, in the order in which they ended, and
    /// where to go on; without `after`, nothing but the present end. Pair it with `ticks`.
    ///
    /// Reads the journal, not the index. Blocks; not for async code.
    ///
    /// # Errors
    ///
    /// `Io`.
    pub fn tail(&self, after: Option<Position>, limit: usize) -> Result<Tail, Error> {
        let end = self.journal.lock().end();
        let mut tail = Tail {
            rows: Vec::new(),
            next: after.unwrap_or(end),
        };
        let Some(after) = after else { return Ok(tail) };
        for number in numbers(&self.journal.dir)? {
            if (after.segment..=end.segment).contains(&number) {
                read_tail(&self.journal, number, end, limit, &mut tail)?;
            }
            if limit <= tail.rows.len() {
                return Ok(tail);
            }
        }
        tail.next = end;
        Ok(tail)
    }

    /// Returns a call with its bodies, in flight or ended, by its id or the first 8 or more hex
    /// digits of it.
    ///
    /// Blocks; not for async code.
    ///
    /// # Errors
    ///
    /// `BadId`, `AmbiguousId`, `Damaged` when its intent was lost to damage, `IndexBehind`, `Io`,
    /// `Sled`.
    pub fn record(&self, id: &str) -> Result<Option<CallRecord>, Error> {
        let (from, to) = id_range(IdOf::Call, id)?;
        let open: Vec<(CallId, Position)> = {
            let state = self.journal.lock();
            let found = state
                .open
                .iter()
                .filter(|(id, _)| (from..=to).contains(*id));
            found.map(|(id, call)| (*id, call.intent)).collect()
        };
        let index = self.indexer.ready(self.query_deadline)?;
        let ended = calls_between(&index, from, to)?;
        let is_ended = |id: CallId| ended.iter().any(|row| row.row.id == id);
        let mut open = open.into_iter().filter(|(id, _)| !is_ended(*id));
        let (first_open, open_count) = (open.next(), open.count());
        let count = ended.len() + open_count + usize::from(first_open.is_some());
        if 1 < count {
            return Err(Error::AmbiguousId {
                of: IdOf::Call,
                prefix: id.to_owned(),
                count,
            });
        }
        let reader = &self.journal.reader;
        if let Some((_, intent)) = first_open {
            return Ok(Some(CallRecord {
                intent: reader.intent(intent)?,
                outcome: None,
            }));
        }
        let Some(row) = ended.first() else {
            return Ok(None);
        };
        Ok(Some(CallRecord {
            intent: reader.intent(row.intent)?,
            outcome: Some(reader.outcome(row.outcome)?),
        }))
    }
}

fn ended_calls(
    index: &Index,
    filter: &CallFilter,
    before: Option<CallId>,
    limit: usize,
) -> Result<Vec<CallRow>, Error> {
    let skew = index.skew()?;
    let bound = |time: Timestamp, by: i64| bucket_at(Timestamp(time.0.saturating_add(by)));
    let least = filter
        .from
        .map_or(0, |from| bound(from, skew.saturating_neg()));
    let newest = filter.to.map_or(Bucket::MAX, |to| bound(to, skew));
    let mut at = before.map_or(newest, |before| newest.min(bucket_of(before)));
    let terms = filter.terms();
    let rare = filter
        .rare()
        .map(|hash| index.rare_buckets(hash, at))
        .transpose()?;
    let mut rare = rare.map(Vec::into_iter);
    let is_wanted = |row: &Stored<'_>| {
        before.is_none_or(|before| row.id() < before) && filter.accepts_stored(row)
    };
    let mut rows = Vec::new();
    loop {
        let bucket = match &mut rare {
            Some(rare) => rare.next(),
            None => index.last_common_bucket(&terms, at)?,
        };
        let Some(bucket) = bucket.filter(|bucket| least <= *bucket) else {
            return Ok(rows);
        };
        let found = index.rows(bucket, is_wanted)?.into_iter().rev();
        let found = found
            .map(|row| row.row)
            .filter(|row| filter.accepts_run(row));
        rows.extend(found.take(limit - rows.len()));
        let Some(next) = bucket.checked_sub(1).filter(|_| rows.len() < limit) else {
            return Ok(rows);
        };
        at = next;
    }
}

/// Returns the ended calls with ids in the range, up to 100.
fn calls_between(index: &Index, from: CallId, to: CallId) -> Result<Vec<IndexedRow>, Error> {
    let mut found = Vec::new();
    let mut at = bucket_of(to);
    while let Some(bucket) = index.last_bucket(at)? {
        if bucket < bucket_of(from) || 100 <= found.len() {
            break;
        }
        found.extend(index.rows(bucket, |row| (from..=to).contains(&row.id()))?);
        let Some(next) = bucket.checked_sub(1) else {
            break;
        };
        at = next;
    }
    found.truncate(100);
    Ok(found)
}

/// Returns the smallest and the largest id that begin with the digits.
pub(super) fn id_range(of: IdOf, text: &str) -> Result<(CallId, CallId), Error> {
    let bad = || Error::BadId {
        of,
        text: text.chars().take(80).collect(),
    };
    let digits: String = text.chars().filter(|c| *c != '-').collect();
    let is_hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !is_hex || !(8..=32).contains(&digits.len()) {
        return Err(bad());
    }
    let number = u128::from_str_radix(&digits, 16).map_err(|_| bad())?;
    let free_bits = u32::try_from((32 - digits.len()) * 4).map_err(|_| bad())?;
    let from = number << free_bits;
    let to = from | ((1 << free_bits) - 1);
    Ok((CallId(Uuid::from_u128(from)), CallId(Uuid::from_u128(to))))
}

fn read_tail(
    journal: &Journal,
    number: u32,
    end: Position,
    limit: usize,
    tail: &mut Tail,
) -> Result<(), Error> {
    let path = plain_path(&journal.dir, number);
    let Some(source) = journal.reader.source(number)? else {
        return Ok(());
    };
    let header = Header::read(&source, number).map_err(Error::io("read", &path))?;
    let mut from = header.map_or(0, |header| header.bytes);
    let mut to = source.len().map_err(Error::io("read", &path))?;
    if number == tail.next.segment {
        from = from.max(tail.next.offset);
    }
    if number == end.segment {
        to = to.min(end.offset);
    }
    let mut walk = Walk::new(&source, journal.salt, from, to);
    while let Some(found) = walk.next().map_err(Error::io("read", &path))? {
        let Found::Frame { offset, frame } = found else {
            continue;
        };
        if limit <= tail.rows.len() {
            return Ok(());
        }
        tail.next = Position {
            segment: number,
            offset: offset.saturating_add(frame.head.total_bytes()),
        };
        if frame.head.kind != Kind::Outcome || frame.head.is_copy {
            continue;
        }
        let Some(outcome) = frame.decode() else {
            continue;
        };
        let row = match journal.reader.intent(frame.head.link) {
            Ok(intent) => {
                let mut row = CallRow::begun(&intent);
                row.end(&outcome);
                row
            }
            Err(_) => CallRow::orphan(&outcome),
        };
        tail.rows.push(row);
    }
    Ok(())
}
