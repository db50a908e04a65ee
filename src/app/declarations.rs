//! `embeddings.toml`: read at the start, again on SIGHUP and when it changes; a broken one leaves the last
//! good one in force.

use crate::app::file::File;
use crate::app::origin::{Stamp, stamp_of};
use crate::app::{App, Error, parse_toml};
use crate::embeddings::declared::{Declared, Problem, read};
use crate::embeddings::snapshots::Snapshots;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// The file that is read when none is named.
pub(super) const DEFAULT_FILE: &str = "embeddings.toml";

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
/// `ConfigFile` when it cannot be read, `ConfigSyntax` when it is no TOML, `Declarations` with every mistake.
pub fn declared(path: &Path) -> Result<Declared, Error> {
    let text = match std::fs::read_to_string(path) {
        Err(error)
            if error.kind() == io::ErrorKind::NotFound && path == Path::new(DEFAULT_FILE) =>
        {
            return Ok(Declared::default());
        }
        read => read.map_err(|error| Error::ConfigFile {
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

/// Reads the file again when it has changed.
pub(super) struct Declarations {
    path: PathBuf,
    seen: Option<Stamp>,
    embeddings: Arc<Snapshots>,
}

impl Declarations {
    pub(super) fn of(app: &App) -> Self {
        let path = app.config.embeddings.clone();
        Self {
            seen: stamp_of(&path),
            path,
            embeddings: Arc::clone(&app.embeddings),
        }
    }

    /// Reads the file, if it is another one or somebody asks for it.
    pub(super) fn look(&mut self, is_asked: bool) {
        let stamp = stamp_of(&self.path);
        if !is_asked && stamp == self.seen {
            return;
        }
        self.seen = stamp;
        match declared(&self.path) {
            Ok(declared) => {
                let collections = declared.collections.len();
                self.embeddings.declared().replace(declared);
                if let Err(error) = self.embeddings.settle_overrides() {
                    tracing::error!(%error, "an override of a label could not be settled");
                }
                self.embeddings.forget_names();
                tracing::info!(collections, "embeddings.toml read");
            }
            Err(error) => {
                let problems = match &error {
                    Error::Declarations { problems, .. } => in_words(problems),
                    _ => String::new(),
                };
                tracing::error!(%error, problems, "embeddings.toml is refused, the one before stays");
            }
        }
    }
}

fn in_words(problems: &[Problem]) -> String {
    let words: Vec<String> = problems.iter().map(ToString::to_string).collect();
    words.join("; ")
}
