//! Where suites stand: the root that their paths are below, and their directory.

use crate::evals::suite::load::{Files, Source};
use crate::git::Repository;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{MAIN_SEPARATOR, Path, PathBuf};

/// A tree of files with suites in it.
#[derive(Debug)]
pub struct Ground {
    /// The root that paths are below: the work tree, else the working directory.
    pub root: PathBuf,
    /// The directory of suites, below the root.
    pub directory: String,
    /// The files below the root.
    pub files: Files,
}

impl Ground {
    /// Finds the root of the files in which `evals` is the directory of suites.
    ///
    /// # Errors
    ///
    /// When there is no such root.
    pub fn find(evals: &Path) -> io::Result<Self> {
        let here = fs::canonicalize(".")?;
        let repository = Repository::discover(&here).ok();
        let root = repository.and_then(|repository| repository.work_dir());
        let root = root.and_then(|root| fs::canonicalize(root).ok());
        let mut root = root.unwrap_or_else(|| here.clone());
        let evals = fs::canonicalize(evals).unwrap_or_else(|_| here.join(evals));
        if !evals.starts_with(&root) {
            root = evals.parent().unwrap_or(&evals).to_owned();
        }
        Ok(Self {
            directory: below(&root, &evals).unwrap_or_default(),
            files: Files::directory(&root)?,
            root,
        })
    }

    /// Returns the place that suites are loaded from.
    #[must_use]
    pub fn source<'a>(&'a self, environment: &'a BTreeMap<String, String>) -> Source<'a> {
        Source {
            files: &self.files,
            environment,
            directory: &self.directory,
        }
    }
}

/// Returns `path` below `root`, with `/`; `None` when it is not below.
#[must_use]
pub fn below(root: &Path, path: &Path) -> Option<String> {
    let rest = path.strip_prefix(root).ok()?.to_str()?;
    Some(rest.replace(MAIN_SEPARATOR, "/"))
}
