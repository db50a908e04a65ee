//! What keeps the gateway from starting.

use crate::embeddings::declared::Problem;
use crate::embeddings::vault::VaultError;
use crate::{prompts, providers, store};
use std::path::PathBuf;

/// Why the gateway cannot start, or a config is refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The config file cannot be read.
    #[error("config `{path}` cannot be read: {problem}")]
    ConfigFile {
        /// The file.
        path: PathBuf,
        /// Why.
        problem: String,
    },
    /// The config file is not well formed, or has a key that does not exist.
    #[error("config `{path}` is not valid: {problem}")]
    ConfigSyntax {
        /// The file.
        path: PathBuf,
        /// What and where.
        problem: String,
        /// What was probably meant.
        suggestion: Option<String>,
    },
    /// A value of the config does not make sense.
    #[error("config key `{key}`: {problem}")]
    ConfigValue {
        /// The key, `providers.openai.api_key`.
        key: String,
        /// What is wrong.
        problem: String,
        /// What to do.
        hint: Option<String>,
    },
    /// The file that declares embeddings cannot be read.
    #[error("`{path}`, which declares embeddings, cannot be read: {problem}")]
    DeclarationsFile {
        /// The file.
        path: PathBuf,
        /// Why.
        problem: String,
    },
    /// The file that declares embeddings has mistakes.
    #[error("`{path}` has {} {}", problems.len(), if problems.len() == 1 { "mistake" } else { "mistakes" })]
    Declarations {
        /// The file.
        path: PathBuf,
        /// All of them.
        problems: Vec<Problem>,
    },
    /// The vectors cannot be opened.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// Keys are needed and there are none.
    #[error("`{address}` can be reached from other machines, and there is no key yet")]
    OpenToTheWorld {
        /// The data plane's address.
        address: std::net::SocketAddr,
    },
    /// An address cannot be bound.
    #[error("cannot listen on `{address}`: {problem}")]
    Bind {
        /// The address.
        address: std::net::SocketAddr,
        /// Why.
        problem: std::io::Error,
    },
    /// The threads that carry calls cannot be started.
    #[error("cannot start the threads that carry calls: {problem}")]
    Threads {
        /// Why.
        problem: std::io::Error,
    },
    /// A file of the data directory cannot be used.
    #[error("`{path}` cannot be used: {problem}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        problem: std::io::Error,
    },
    /// The prompts cannot be loaded.
    #[error(transparent)]
    Prompts(#[from] prompts::Error),
    /// A provider's settings are wrong.
    #[error(transparent)]
    Providers(#[from] providers::Error),
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// Logs or traces cannot be set up.
    #[error("telemetry cannot be set up: {0}")]
    Telemetry(String),
}

impl Error {
    /// Returns what to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::ConfigFile { .. } => Some("check the path, or leave out --config".to_owned()),
            Self::DeclarationsFile { .. } => Some(
                "check the path: `--embeddings`, or `embeddings.file` of the config; without either it is `embeddings.toml`, which need not be there".to_owned(),
            ),
            Self::ConfigSyntax { suggestion, .. } => {
                suggestion.as_ref().map(|name| format!("did you mean `{name}`?"))
            }
            Self::ConfigValue { hint, .. } => hint.clone(),
            Self::Declarations { .. } => Some("mend the file; `promptgate check` reads it too".to_owned()),
            Self::Vault(error) => error.hint(),
            Self::OpenToTheWorld { .. } => Some(
                "make a key first (`promptgate keys create NAME`), or listen on 127.0.0.1".to_owned(),
            ),
            Self::Bind { problem, .. } if problem.kind() == std::io::ErrorKind::AddrInUse => {
                Some("another program listens there; choose another port with --listen or --admin-listen".to_owned())
            }
            Self::Bind { .. } => Some("check --listen and --admin-listen".to_owned()),
            Self::Threads { .. } => Some(
                "check the limits of threads and open files (`ulimit -u`, `ulimit -n`)".to_owned(),
            ),
            Self::File { .. } => Some("check that the directory exists and may be written".to_owned()),
            Self::Prompts(prompts::Error::SourceUnreadable { .. }) => Some(
                "make the directory, or name the one with the prompts: `--prompts`, or `prompts.path` of the config".to_owned(),
            ),
            Self::Prompts(error) => error.hint(),
            Self::Providers(error) => error.hint(),
            Self::Store(error) => error.hint(),
            Self::Telemetry(_) => None,
        }
    }
}
