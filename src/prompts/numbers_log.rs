//! `prompts log`: how a prompt came to be what it is, newest first.

use crate::domain::{BundleHash, PromptKey, nearest_names};
use crate::git::{Commit, CommitId, HistoryReader};
use crate::prompts::error::Error;
use crate::prompts::numbering::Known;
use crate::prompts::registry::Prompts;
use jiff::Timestamp;
use jiff::tz::{Offset, TimeZone};
use serde::Serialize;
use std::collections::BTreeSet;

/// The history of one prompt. Serialised as its fields.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PromptLog {
    /// The prompt.
    pub name: PromptKey,
    /// What happened to it, newest first.
    pub entries: Vec<LogEntry>,
    /// What is wrong with the history: see [`Prompts::alarms`].
    pub alarms: Vec<String>,
}

/// A commit that made the prompt what it was from then on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LogEntry {
    /// `v7`.
    pub version: String,
    /// The identity of the version.
    pub hash: BundleHash,
    /// The commit.
    #[serde(flatten)]
    pub commit: CommitLine,
    /// Whether this is what the branch holds now.
    pub current: bool,
    /// Whether the version had been there before.
    pub reverted_to: bool,
    /// Whether the commit is not in the branch any more, because its history was rewritten.
    pub lost: bool,
}

/// What a commit says about itself. The fields other than `commit` are empty when it is not in the
/// repository any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CommitLine {
    /// Its id, 40 hex digits.
    pub commit: String,
    /// When it was committed, by the committer's clock: `2026-11-24T10:00:00+01:00`.
    pub date: String,
    /// Who wrote the change.
    pub author: String,
    /// The first line of the message.
    pub subject: String,
}

impl CommitLine {
    pub(super) fn of(reader: &HistoryReader, id: CommitId) -> Self {
        reader.commit(id).map_or_else(
            |_| Self {
                commit: id.to_string(),
                date: String::new(),
                author: String::new(),
                subject: String::new(),
            },
            |commit| Self {
                commit: id.to_string(),
                date: date(&commit),
                author: commit.author,
                subject: commit.subject,
            },
        )
    }
}

fn date(commit: &Commit) -> String {
    let offset = Offset::from_seconds(commit.offset_seconds).unwrap_or(Offset::UTC);
    let time = Timestamp::from_second(commit.seconds).unwrap_or_default();
    let time = time.to_zoned(TimeZone::fixed(offset));
    time.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()
}

impl Prompts {
    /// Returns how `key` came to be what it is on the tracked branch. A prompt that is gone has a
    /// history too; one that was never committed has none. Blocks.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`], [`Error::NoHistory`], [`Error::NumbersPending`],
    /// [`Error::NumbersUnavailable`] and [`Error::Git`].
    pub fn log(&self, key: &PromptKey) -> Result<PromptLog, Error> {
        let known = self.numbered()?;
        let events = known.numbers.events(key);
        if events.is_empty() {
            return Err(unknown(&known, key));
        }
        let (repository, subpath) = self.inner.config.source.repository()?;
        let reader = repository.history(&subpath);
        let is_there = match known.tip {
            Some(tip) => is_there(&reader, tip, key)?,
            None => false,
        };
        let mut entries = Vec::with_capacity(events.len());
        let mut seen = BTreeSet::new();
        for (index, event) in events.iter().enumerate() {
            let is_lost = match known.tip.filter(|_| !known.alarms.is_empty()) {
                Some(tip) => !repository
                    .is_ancestor(event.commit, tip)
                    .map_err(Error::Git)?,
                None => false,
            };
            let hash = known.numbers.hash_of(key, event.number);
            entries.push(LogEntry {
                version: format!("v{}", event.number),
                hash: hash.unwrap_or(BundleHash([0; 32])),
                commit: CommitLine::of(&reader, event.commit),
                current: is_there && index + 1 == events.len(),
                reverted_to: !seen.insert(event.number),
                lost: is_lost,
            });
        }
        entries.reverse();
        Ok(PromptLog {
            name: key.clone(),
            entries,
            alarms: known.alarms.clone(),
        })
    }
}

/// Whether the commit has the file of a prompt.
fn is_there(reader: &HistoryReader, commit: CommitId, key: &PromptKey) -> Result<bool, Error> {
    let files = reader.changes(None, commit).map_err(Error::Git)?;
    let path = format!("{key}.prompt");
    Ok(files.iter().any(|file| file.path == path))
}

/// The error that the history knows no `key`.
pub(super) fn unknown(known: &Known, key: &PromptKey) -> Error {
    let names = known.numbers.keys().map(PromptKey::as_str);
    Error::NotFound {
        name: key.to_string(),
        nearest: nearest_names(key.as_str(), names)
            .into_iter()
            .map(str::to_owned)
            .collect(),
    }
}
