//! How it stands with the source, for the admin plane, the probes and the command line.

use crate::domain::{BundleHash, PromptKey, Timestamp};
use crate::git;
use crate::prompts::error::Error;
use crate::prompts::problem::Problem;
use crate::prompts::registry::{Config, LoadReport, Mode, Prompts};
use crate::prompts::source::Source;
use crate::prompts::sync::{Origin, now};
use serde::Serialize;

/// How it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SyncStatus {
    /// Where prompts come from, without credentials.
    pub source: String,
    /// `directory`, `repository`, `remote` or `pushed`.
    pub kind: &'static str,
    /// The branch, tag or commit that is tracked; `None` for a directory.
    pub reference: Option<String>,
    /// `strict` or `lenient`.
    pub mode: &'static str,
    /// The commit that is served.
    pub commit: Option<String>,
    /// How many prompts are served.
    pub prompts: usize,
    /// Since when it is served (RFC 3339).
    pub loaded_at: Option<String>,
    /// When the source was last there; `None` for not since the start.
    pub checked_at: Option<String>,
    /// Seconds since then.
    pub age_seconds: Option<u64>,
    /// When it was last tried.
    pub attempted_at: Option<String>,
    /// Whether the source was not there for too long.
    pub stale: bool,
    /// Why the newest content that was reached is not served; `None` when it is.
    pub refusal: Option<SyncTrouble>,
    /// Why the source cannot be reached; `None` when it can.
    pub failure: Option<SyncTrouble>,
    /// Prompts that have problems and stay as they were.
    pub held: Vec<HeldPrompt>,
    /// What is wrong with the history that is tracked.
    pub alarms: Vec<String>,
    /// Sets of prompts that were taken since the start.
    pub applied: u64,
    /// Sets that were refused.
    pub refused: u64,
    /// Times the source was not there.
    pub failed: u64,
    /// When the source was last there, in seconds since 1970, for metrics.
    #[serde(skip)]
    pub checked_unix: Option<i64>,
}

/// Why the newest content is not served.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SyncTrouble {
    /// The stable code.
    pub code: &'static str,
    /// In words.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// The commit that is refused; `None` when none was reached.
    pub commit: Option<String>,
    /// Since when (RFC 3339).
    pub since: String,
    /// What is wrong with the files.
    pub problems: Vec<Problem>,
    /// What is refused: a commit, or what is wrong with files that are in none; `None` when nothing
    /// was reached.
    #[serde(skip)]
    pub(super) refused: Option<String>,
}

/// A prompt that stays as it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HeldPrompt {
    /// The prompt.
    pub prompt: PromptKey,
    /// The version that is served.
    pub hash: BundleHash,
}

/// How a sync ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SyncOutcome {
    /// The newest content is served.
    Applied,
    /// It was served already.
    Unchanged,
    /// It has problems; what was served before is served on.
    Refused,
    /// The source is not there; what was served before is served on.
    Failed,
}

/// What a sync did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SyncReport {
    /// How it ended.
    pub outcome: SyncOutcome,
    /// Prompts that are new or have another version.
    pub changed: Vec<PromptKey>,
    /// Prompts that are gone.
    pub removed: Vec<PromptKey>,
    /// How it stands now.
    pub status: SyncStatus,
}

/// Where prompts come from, as text for people; the same after a restart.
pub(super) fn source_text(config: &Config) -> String {
    let place = match &config.origin {
        Origin::Fetched { remote, .. } => remote.url.to_string(),
        Origin::Pushed { .. } => "signed bundles".to_owned(),
        Origin::Here => match &config.source {
            Source::Directory(directory) => return directory.path.display().to_string(),
            Source::Git(source) => source.repository.display().to_string(),
        },
    };
    match &config.source {
        Source::Git(source) if source.subpath.is_empty() => place,
        Source::Git(source) => format!("{place} in {}", source.subpath),
        Source::Directory(_) => place,
    }
}

impl Prompts {
    /// Returns how it stands with the source.
    #[must_use]
    pub fn sync_status(&self) -> SyncStatus {
        let inner = &self.inner;
        let snapshot = self.snapshot();
        let config = &inner.config;
        let state = inner.sync.state();
        let checked = inner.sync.last_contact();
        let age = checked.map(|at| now().unix_seconds().saturating_sub(at.unix_seconds()));
        let reference = match &config.source {
            Source::Git(source) => Some(source.reference.clone()),
            Source::Directory(_) => None,
        };
        SyncStatus {
            source: inner.source_text(),
            kind: match config.origin {
                Origin::Fetched { .. } => "remote",
                Origin::Pushed { .. } => "pushed",
                Origin::Here if reference.is_some() => "repository",
                Origin::Here => "directory",
            },
            reference,
            mode: match config.mode {
                Mode::Strict => "strict",
                Mode::Lenient => "lenient",
            },
            commit: snapshot.commit().map(str::to_owned),
            prompts: snapshot.len(),
            loaded_at: state.applied.map(rfc3339),
            checked_at: checked.map(rfc3339),
            age_seconds: age.map(|age| u64::try_from(age).unwrap_or(0)),
            attempted_at: state.attempted.map(rfc3339),
            stale: self.is_stale(),
            refusal: state.refusal.clone(),
            failure: state.failure.clone(),
            held: state.held.clone(),
            alarms: self.alarms(),
            applied: state.applied_count,
            refused: state.refused_count,
            failed: state.failed_count,
            checked_unix: checked.map(Timestamp::unix_seconds),
        }
    }

    /// Whether a remote has not been there for three polls, or not at all since the start.
    fn is_stale(&self) -> bool {
        let inner = &self.inner;
        let Origin::Fetched { .. } = inner.config.origin else {
            return false;
        };
        let Some(contact) = inner.sync.last_contact() else {
            return true;
        };
        let silent = now().0.saturating_sub(contact.0);
        let allowed = inner.config.poll.saturating_mul(3).as_micros();
        i64::try_from(allowed).is_ok_and(|allowed| allowed < silent)
    }

    /// Returns the warning that goes with every answer while the remote is not there: what is served
    /// may be old.
    #[must_use]
    pub fn staleness(&self) -> Option<String> {
        if !self.is_stale() {
            return None;
        }
        Some(match self.inner.sync.last_contact() {
            Some(contact) => {
                let seconds = now().unix_seconds().saturating_sub(contact.unix_seconds());
                format!("prompts may be old: their remote was last reached {seconds} s ago")
            }
            None => "prompts may be old: their remote was not reached since the start".to_owned(),
        })
    }

    /// Whether nothing has been loaded yet, because nothing has come.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        let is_pushed = matches!(self.inner.config.origin, Origin::Pushed { .. });
        is_pushed && self.snapshot().commit().is_none()
    }

    pub(super) fn report(&self, result: &Result<Option<LoadReport>, Error>) -> SyncReport {
        let (outcome, changed, removed) = match result {
            Ok(Some(report)) => (
                SyncOutcome::Applied,
                report.changed.clone(),
                report.removed.clone(),
            ),
            Ok(None) => (SyncOutcome::Unchanged, Vec::new(), Vec::new()),
            Err(error) if is_refusal(error) => (SyncOutcome::Refused, Vec::new(), Vec::new()),
            Err(_) => (SyncOutcome::Failed, Vec::new(), Vec::new()),
        };
        SyncReport {
            outcome,
            changed,
            removed,
            status: self.sync_status(),
        }
    }
}

/// Whether `error` is about what a commit holds, and not about reaching it.
pub(super) const fn is_refusal(error: &Error) -> bool {
    match error {
        Error::LoadFailed { .. } => true,
        Error::Git(error) => matches!(
            error,
            git::Error::NoSuchDirectory { .. }
                | git::Error::Object { .. }
                | git::Error::TooManyFiles { .. }
                | git::Error::TreeTooLarge { .. }
        ),
        _ => false,
    }
}

/// What `error` is as a trouble that begins now.
pub(super) fn trouble(error: &Error, commit: Option<&str>) -> SyncTrouble {
    let (code, message) = match error {
        Error::Git(error) => (error.kind(), error.to_string()),
        error => (error.kind(), error.to_string()),
    };
    SyncTrouble {
        code,
        message,
        hint: error.hint(),
        commit: commit.map(str::to_owned),
        // Files that are in no commit are told apart by what is wrong with them.
        refused: is_refusal(error).then(|| commit.map_or_else(|| error.to_string(), str::to_owned)),
        since: rfc3339(now()),
        problems: match error {
            Error::LoadFailed { problems } => problems.clone(),
            _ => Vec::new(),
        },
    }
}

pub(super) fn rfc3339(at: Timestamp) -> String {
    let time = jiff::Timestamp::from_second(at.unix_seconds()).unwrap_or_default();
    time.to_string()
}
