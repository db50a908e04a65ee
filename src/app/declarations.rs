//! `embeddings.toml`: read at the start, again on SIGHUP and when it changes; a broken one leaves the last
//! good one in force, and so does one whose labels lead nowhere, and one that is gone.

use crate::app::file::File;
use crate::app::origin::{Stamp, stamp_of};
use crate::app::{App, Error, parse_toml};
use crate::embeddings::declared::{Declared, Problem, labels_that_lead_nowhere, read};
use crate::embeddings::snapshots::Snapshots;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// The file that is read when none is named.
pub(super) const DEFAULT_FILE: &str = "embeddings.toml";

/// Where in the data directory all is that has to do with embeddings.
pub(super) const VECTORS: &str = "embeddings";

/// How often monitors and canaries of drift are looked after when nothing is said.
const WATCH_EVERY: Duration = Duration::from_secs(600);

/// Returns how often monitors and canaries of drift are looked after.
pub(super) fn watch_every(file: &File) -> Result<Duration, Error> {
    let every = file.embeddings.watch_every;
    let every = every.map_or(WATCH_EVERY, |span| span.0);
    let bounds = Duration::from_secs(1)..=Duration::from_secs(86_400);
    if bounds.contains(&every) {
        return Ok(every);
    }
    Err(Error::ConfigValue {
        key: "embeddings.watch_every".to_owned(),
        problem: "is not from one second to one day".to_owned(),
        hint: Some("`10m` is the default".to_owned()),
    })
}

/// Returns what a file declares; nothing when the usual file is not there.
///
/// # Errors
///
/// `DeclarationsFile` when it cannot be read, `ConfigSyntax` when it is no TOML, `Declarations` with every mistake.
pub fn declared(path: &Path) -> Result<Declared, Error> {
    let text = match std::fs::read_to_string(path) {
        Err(error)
            if error.kind() == io::ErrorKind::NotFound && path == Path::new(DEFAULT_FILE) =>
        {
            return Ok(Declared::default());
        }
        read => read.map_err(|error| Error::DeclarationsFile {
            path: path.to_owned(),
            problem: error.to_string(),
        })?,
    };
    let file = parse_toml(&text).map_err(|problem| Error::ConfigSyntax {
        path: path.to_owned(),
        problem,
        suggestion: None,
    })?;
    read(&file).map_err(|problems| Error::Declarations {
        path: path.to_owned(),
        problems,
    })
}

/// Returns what a file declares, its labels held against the snapshots in the data directory.
///
/// # Errors
///
/// As [`declared`]; `Declarations` with every label that leads nowhere.
pub fn declared_and_held(path: &Path, data: &Path) -> Result<Declared, Error> {
    let declared = declared(path)?;
    let problems = labels_that_lead_nowhere(&declared, &data.join(VECTORS));
    if problems.is_empty() {
        return Ok(declared);
    }
    Err(Error::Declarations {
        path: path.to_owned(),
        problems,
    })
}

/// Reads the file again when it has changed.
pub(super) struct Declarations {
    path: PathBuf,
    /// The data directory.
    data: PathBuf,
    seen: Option<Stamp>,
    /// Whether the file was there: one that is gone then is missed.
    was_there: bool,
    embeddings: Arc<Snapshots>,
}

impl Declarations {
    /// Begins with what is declared at the start. A label that leads nowhere is an error to whoever asks for it,
    /// and does not keep the gateway from starting.
    pub(super) fn of(app: &App) -> Self {
        let path = app.config.embeddings.clone();
        let data = app.config.store.dir.clone();
        let declared = app.embeddings.declared().written();
        let problems = labels_that_lead_nowhere(&declared, &data.join(VECTORS));
        if !problems.is_empty() {
            let problems = in_words(&problems).join("; ");
            tracing::error!(problems, "labels of embeddings.toml lead nowhere");
        }
        note_labels(&app.embeddings);
        let seen = stamp_of(&path);
        Self {
            was_there: seen.is_some(),
            seen,
            path,
            data,
            embeddings: Arc::clone(&app.embeddings),
        }
    }

    /// Reads the file, if it is another one or somebody asks for it; one that was refused again and again, as
    /// the snapshots come to which its labels lead.
    pub(super) fn look(&mut self, is_asked: bool) {
        let stamp = stamp_of(&self.path);
        let is_refused = !self.embeddings.declared().refused().is_empty();
        if !is_asked && stamp == self.seen && !is_refused {
            return;
        }
        let is_another = is_asked || stamp != self.seen;
        self.seen = stamp;
        match self.read(stamp.is_some()) {
            Ok(declared) => self.put_in_force(declared),
            Err(error) => self.refuse(&error, is_another),
        }
    }

    fn read(&mut self, is_there: bool) -> Result<Declared, Error> {
        // Who deletes it may be about to write it anew; names that led to one snapshot must not lead to another.
        if self.was_there && !is_there {
            return Err(Error::DeclarationsFile {
                path: self.path.clone(),
                problem: "it was there and is gone; an empty file declares nothing".to_owned(),
            });
        }
        let declared = declared_and_held(&self.path, &self.data)?;
        self.was_there = is_there;
        Ok(declared)
    }

    fn put_in_force(&self, declared: Declared) {
        let collections = declared.collections.len();
        self.embeddings.declared().replace(declared);
        if let Err(error) = self.embeddings.settle_overrides() {
            tracing::error!(%error, "an override of a label could not be settled");
        }
        self.embeddings.forget_names();
        note_labels(&self.embeddings);
        tracing::info!(collections, "embeddings.toml read");
    }

    fn refuse(&self, error: &Error, is_another: bool) {
        let problems = match error {
            Error::Declarations { problems, .. } => in_words(problems),
            other => vec![other.to_string()],
        };
        let current = self.embeddings.declared();
        if !is_another && *current.refused() == problems {
            return;
        }
        let words = problems.join("; ");
        tracing::error!(%error, problems = words, "embeddings.toml is refused, the one before stays");
        current.refuse(problems);
    }
}

fn note_labels(embeddings: &Snapshots) {
    if let Err(error) = embeddings.note_labels() {
        tracing::error!(%error, "where labels of embeddings lead could not be written down");
    }
}

fn in_words(problems: &[Problem]) -> Vec<String> {
    problems.iter().map(ToString::to_string).collect()
}

#[cfg(test)]
mod tests {
    use super::{declared, declared_and_held};
    use crate::app::Error;

    /// The files in the document, as they stand there.
    fn examples() -> Vec<String> {
        let page = include_str!("../../docs/embeddings.md");
        let blocks = page.split("```toml\n").skip(1);
        let blocks = blocks.filter_map(|block| block.split("```").next());
        blocks.map(str::to_owned).collect()
    }

    #[test]
    fn the_example_of_the_document_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("embeddings.toml");
        std::fs::write(&path, &examples()[0]).unwrap();
        let read = declared_and_held(&path, dir.path()).unwrap();
        assert_eq!(read.spaces.len(), 3);
        assert_eq!(read.pipelines["windows"].overlap, 32);
        let faq = &read.collections["support/faq"];
        assert_eq!(faq.drift.as_ref().unwrap().alarms_per_month, 2);
        let example = include_str!("../../docs/embeddings.md");
        let worked = example.split("$ cat embeddings.toml\n").nth(1).unwrap();
        let worked = worked.split("$ promptgate").next().unwrap();
        std::fs::write(&path, format!("{worked}labels.production = 1\n")).unwrap();
        let read = declared(&path).unwrap();
        assert!(read.label("docs", "production").is_some());
    }

    #[test]
    fn a_file_that_was_named_must_be_there() {
        let dir = tempfile::tempdir().unwrap();
        let error = declared(&dir.path().join("missing.toml")).unwrap_err();
        assert!(matches!(error, Error::DeclarationsFile { .. }), "{error}");
        assert!(error.hint().unwrap().contains("--embeddings"));
    }
}
