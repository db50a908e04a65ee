//! What a run is about: where the prompts come from, which paths are reported, how they are shown.

use crate::cli::lint::could_not_run;
use crate::cli::output::Failure;
use crate::prompts::{DirectorySource, Lint, Source};
use std::fs;
use std::path::{Path, PathBuf};

/// Which files are linted and reported.
#[derive(Debug)]
pub(super) struct Scope {
    pub(super) source: Source,
    /// Paths below the registry's root that are reported; all, when there are none.
    paths: Vec<String>,
    /// What stands before such a path when it is shown: `prompts/`.
    prefix: String,
}

impl Scope {
    /// Finds out what `paths` mean: parts of the configured prompts, or one other directory.
    pub(super) fn of(
        configured: &Source,
        reference: Option<&str>,
        paths: &[PathBuf],
    ) -> Result<Self, Failure> {
        let mut source = configured.clone();
        let mut below = Vec::new();
        if let Source::Directory(directory) = &configured {
            let root = directory.path.clone();
            match paths {
                [other] if other.is_dir() && relative(&root, other).is_none() => {
                    source = Source::Directory(DirectorySource {
                        path: other.clone(),
                    });
                }
                _ => {
                    for path in paths {
                        below.push(relative(&root, path).ok_or_else(|| outside(path, &root))?);
                    }
                }
            }
        } else {
            below.extend(paths.iter().map(|path| path.to_string_lossy().into_owned()));
        }
        let prefix = prefix(&source);
        if let Some(reference) = reference {
            source = at_reference(&source, reference)?;
        }
        // The whole directory is no restriction.
        below.retain(|path| !path.is_empty());
        Ok(Self {
            source,
            paths: below,
            prefix,
        })
    }

    /// Every path that was named must be there.
    pub(super) fn check_paths(&self, lint: &Lint) -> Result<(), Failure> {
        match self.paths.iter().find(|path| !lint.has_path(path)) {
            None => Ok(()),
            Some(path) => Err(Failure::usage(format!(
                "there is no prompt, partial or other file of the registry at `{}{path}`",
                self.prefix
            ))),
        }
    }

    /// Whether what is found at `path` is reported.
    pub(super) fn covers(&self, path: &str) -> bool {
        let is_in = |scope: &String| {
            let rest = path.strip_prefix(scope.as_str());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        self.paths.is_empty() || path == "." || self.paths.iter().any(is_in)
    }

    /// The path as it is shown: below the working directory.
    pub(super) fn shown(&self, path: &str) -> String {
        format!("{}{path}", self.prefix)
    }

    /// The directory of the files; `None` when they are read from a commit.
    pub(super) fn directory(&self) -> Option<&Path> {
        match &self.source {
            Source::Directory(directory) => Some(&directory.path),
            Source::Git(_) => None,
        }
    }
}

/// The same prompts at another commit.
fn at_reference(source: &Source, reference: &str) -> Result<Source, Failure> {
    source.at(reference).map(Source::Git).map_err(could_not_run)
}

fn outside(path: &Path, root: &Path) -> Failure {
    let (path, root) = (path.display(), root.display());
    Failure::usage(format!(
        "`{path}` is not in the prompts' directory `{root}`"
    ))
    .with_hint(Some(
        "name files of that directory, or one other directory".to_owned(),
    ))
}

/// Returns `path` below `root`, whether or not it is there.
fn relative(root: &Path, path: &Path) -> Option<String> {
    let (root, path) = (real(root), real(path));
    let below = path.strip_prefix(root).ok()?;
    Some(below.to_string_lossy().into_owned())
}

/// The path without links. A file that is only in a commit has a directory that is there, or one
/// above it.
fn real(path: &Path) -> PathBuf {
    for above in path.ancestors() {
        let above_or_here = if above.as_os_str().is_empty() {
            Path::new(".")
        } else {
            above
        };
        if let (Ok(real), Ok(rest)) = (fs::canonicalize(above_or_here), path.strip_prefix(above)) {
            // Joining nothing would add a slash.
            return if rest.as_os_str().is_empty() {
                real
            } else {
                real.join(rest)
            };
        }
    }
    path.to_owned()
}

/// What stands before a path of the registry so that it is one of the working directory.
fn prefix(source: &Source) -> String {
    let root = match source {
        Source::Directory(directory) => {
            let here = fs::canonicalize(".").unwrap_or_default();
            let root = fs::canonicalize(&directory.path).ok();
            let below = root.as_ref().and_then(|root| root.strip_prefix(here).ok());
            below
                .unwrap_or(&directory.path)
                .to_string_lossy()
                .into_owned()
        }
        Source::Git(git) => git.subpath.clone(),
    };
    if root.is_empty() || root.ends_with('/') {
        root
    } else {
        format!("{root}/")
    }
}
