//! Why telemetry cannot be set up.

use crate::domain::Blame;

/// Logs or spans that cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The filter of the log cannot be read.
    #[error("log filter `{filter}` cannot be read: {problem}")]
    LogFilter {
        /// The filter.
        filter: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The process has a log already.
    #[error("the log is set up twice")]
    LogTaken,
    /// The exporter of spans cannot be started. Headers are not shown.
    #[error("spans cannot be sent to `{endpoint}`: {problem}")]
    Exporter {
        /// The collector, without user and password.
        endpoint: String,
        /// What is wrong.
        problem: String,
    },
}

impl Error {
    /// Returns the stable code of the error.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::LogFilter { .. } => "log_filter",
            Self::LogTaken => "log_taken",
            Self::Exporter { .. } => "span_exporter",
        }
    }

    /// Returns whose fault it is.
    #[must_use]
    pub const fn blame(&self) -> Blame {
        match self {
            Self::LogFilter { .. } | Self::LogTaken | Self::Exporter { .. } => Blame::Gateway,
        }
    }

    /// Returns what the operator can do.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::LogFilter { .. } => Some("write a level, or `TARGET=LEVEL,...`".to_owned()),
            Self::LogTaken => None,
            Self::Exporter { .. } => {
                Some("the endpoint is the base URL of an OTLP/HTTP collector, port 4318".to_owned())
            }
        }
    }
}
