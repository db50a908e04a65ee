//! What a config is made from: the environment and the command line. The only place that reads the
//! environment.

use crate::domain::Durability;
use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The environment as a value, so that tests bring their own.
#[derive(Debug, Clone, Default)]
pub struct Environment(BTreeMap<String, String>);

impl Environment {
    /// Reads the process's environment.
    #[must_use]
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads the environment"
    )]
    pub fn of_process() -> Self {
        Self(
            std::env::vars_os()
                .filter_map(|(name, value)| {
                    Some((name.into_string().ok()?, value.into_string().ok()?))
                })
                .collect(),
        )
    }

    /// An environment of these variables.
    #[must_use]
    pub fn of(variables: &[(&str, &str)]) -> Self {
        Self(
            variables
                .iter()
                .map(|&(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
        )
    }

    /// Whether output may be coloured: unless `NO_COLOR` is set.
    #[must_use]
    pub fn allows_color(&self) -> bool {
        self.get("NO_COLOR").is_none()
    }

    /// Returns all variables.
    #[must_use]
    pub const fn variables(&self) -> &BTreeMap<String, String> {
        &self.0
    }

    /// Returns a variable; an empty one counts as not set.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }
}

/// What the command line says; it wins over the file.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// `--config`.
    pub config: Option<PathBuf>,
    /// `--listen`.
    pub listen: Option<SocketAddr>,
    /// `--admin-listen`.
    pub admin_listen: Option<SocketAddr>,
    /// `--data-dir`.
    pub data_dir: Option<PathBuf>,
    /// `--prompts`.
    pub prompts: Option<PathBuf>,
    /// `--evals`.
    pub evals: Option<PathBuf>,
    /// `--embeddings`.
    pub embeddings: Option<PathBuf>,
    /// `--durability`.
    pub durability: Option<Durability>,
}

/// The file that is read when none is named.
pub(super) const DEFAULT_FILE: &str = "promptgate.toml";

/// What a config was made from, so that it can be made again.
#[derive(Clone)]
pub(super) struct Origin {
    pub(super) overrides: Overrides,
    pub(super) environment: Environment,
    /// The file as it was before it was read.
    pub(super) stamp: Option<Stamp>,
}

/// What changes with a file: when it was written, and its length.
pub(super) type Stamp = (SystemTime, u64);

impl Overrides {
    /// Returns the stamp of the config file; `None` while there is none.
    pub(super) fn stamp(&self) -> Option<Stamp> {
        let default = Path::new(DEFAULT_FILE);
        stamp_of(self.config.as_deref().unwrap_or(default))
    }
}

/// Returns the stamp of a file; `None` while there is none.
pub(super) fn stamp_of(path: &Path) -> Option<Stamp> {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

impl fmt::Debug for Origin {
    /// The environment holds secrets.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut origin = formatter.debug_struct("Origin");
        origin.field("overrides", &self.overrides);
        origin.finish_non_exhaustive()
    }
}
