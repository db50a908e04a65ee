//! `prompts log`: how a prompt came to be what it is, newest first.

use crate::domain::{BundleHash, PromptKey, nearest_names};
use crate::git::{Commit, CommitId, HistoryReader};
use crate::prompts::error::Error;
use crate::prompts::numbering::Known;
use crate::prompts::registry::Prompts;
use jiff::Timestamp;
use jiff::tz::{Offset, TimeZone};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

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

impl Prompts {
    /// Returns the commit that last made each prompt what it is, where the history is numbered. Blocks.
    #[must_use]
    pub fn last_changes(&self) -> BTreeMap<PromptKey, CommitLine> {
        let known = self.inner.numbering.known();
        let Ok((repository, subpath)) = self.inner.config.source.repository() else {
            return BTreeMap::new();
        };
        let reader = repository.history(&subpath);
        let last = known.numbers.keys().filter_map(|key| {
            let event = known.numbers.events(key).last()?;
            Some((key.clone(), CommitLine::of(&reader, event.commit)))
        });
        last.collect()
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

#[cfg(test)]
mod tests {
    use super::date;
    use crate::domain::PromptKey;
    use crate::git::tests::{commit_all, git, repository_with};
    use crate::git::{Commit, CommitId};
    use crate::prompts::archive::tests::MemoryArchive;
    use crate::prompts::registry::{Config, Prompts};
    use crate::prompts::source::{DirectorySource, Source};
    use std::path::Path;
    use std::sync::Arc;

    fn prompts(path: &Path) -> Prompts {
        let path = path.to_owned();
        let source = Source::Directory(DirectorySource { path });
        Prompts::archived(Config::new(source), Arc::new(MemoryArchive::default()))
    }

    fn shown(prompts: &Prompts, name: &str) -> String {
        let log = prompts.log(&PromptKey::parse(name).unwrap()).unwrap();
        let entries = log.entries.iter().map(|entry| {
            let mut text = format!("{} {}", entry.version, entry.commit.subject);
            for (is_so, mark) in [
                (entry.current, "current"),
                (entry.reverted_to, "reverted"),
                (entry.lost, "lost"),
            ] {
                if is_so {
                    text = format!("{text} [{mark}]");
                }
            }
            text
        });
        entries.collect::<Vec<_>>().join("; ")
    }

    #[test]
    fn a_log_tells_reverts_losses_and_ends() {
        let dir = repository_with(&[("p/a.prompt", "one"), ("p/b.prompt", "b")]);
        let root = dir.path();
        let write = |text: &str| std::fs::write(root.join("p/a.prompt"), text).unwrap();
        let prompts = prompts(&root.join("p"));
        commit_all(root, "first");
        write("two");
        let second = commit_all(root, "second");
        write("one");
        commit_all(root, "back");
        let name = PromptKey::parse("a").unwrap();
        assert_eq!(
            shown(&prompts, "a"),
            "v1 back [current] [reverted]; v2 second; v1 first"
        );
        assert_eq!(shown(&prompts, "b"), "v1 first [current]");
        git(root, &["reset", "-q", "--hard", &second]);
        git(root, &["rm", "-q", "p/a.prompt"]);
        commit_all(root, "removed");
        assert_eq!(
            shown(&prompts, "a"),
            "v2 second [reverted]; v1 back [reverted] [lost]; v2 second; v1 first"
        );
        assert_eq!(prompts.log(&name).unwrap().alarms, prompts.alarms());
        assert_eq!(prompts.alarms().len(), 1);
        let error = prompts.log(&PromptKey::parse("aa").unwrap()).unwrap_err();
        assert_eq!(error.kind(), "prompt_not_found");
        assert_eq!(error.hint().unwrap(), "did you mean `a`?");
    }

    #[test]
    fn without_commits_there_is_no_history() {
        let plain = tempfile::tempdir().unwrap();
        let unborn = repository_with(&[("a.prompt", "one")]);
        for dir in [&plain, &unborn] {
            let error = prompts(dir.path()).log(&PromptKey::parse("a").unwrap());
            assert_eq!(error.unwrap_err().kind(), "prompt_history_not_found");
        }
    }

    #[test]
    fn dates_are_those_of_the_committers_clock() {
        let commit = |seconds, offset_seconds| Commit {
            id: CommitId::from_bytes([0; 20]),
            author: String::new(),
            seconds,
            offset_seconds,
            subject: String::new(),
        };
        for (seconds, offset, wanted) in [
            (0, 0, "1970-01-01T00:00:00+00:00"),
            (1_764_000_000, 5 * 3600 + 1800, "2025-11-24T21:30:00+05:30"),
            (1_764_000_000, -8 * 3600, "2025-11-24T08:00:00-08:00"),
            (i64::MAX, 0, "1970-01-01T00:00:00+00:00"),
        ] {
            assert_eq!(date(&commit(seconds, offset)), wanted);
        }
    }
}
