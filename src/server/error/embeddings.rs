//! What clients are told of embeddings that cannot be made, found or compared.

use super::{ApiError, describe};
use crate::domain::Blame;
use crate::embeddings::{self, migrate::MigrateError, snapshots, vault::VaultError};
use http::StatusCode;

impl ApiError {
    /// What a client is told of a name of embeddings that cannot be used.
    pub(crate) fn of_name(error: snapshots::Error) -> Self {
        match error {
            snapshots::Error::Vault(
                VaultError::Damaged { .. } | VaultError::NewerFormat { .. } | VaultError::Io { .. },
            )
            | snapshots::Error::Io { .. }
            | snapshots::Error::Kept { .. } => {
                let mut api = Self::internal(&error);
                error.kind().clone_into(&mut api.0.code);
                "the snapshot behind this name cannot be read".clone_into(&mut api.0.message);
                let hint = "`promptgate embeddings snapshot verify` names the file and what to do; the cause is in the gateway's log under the request id";
                api.0.hint = Some(hint.to_owned());
                api
            }
            other => other.into(),
        }
    }
}

impl From<snapshots::Error> for ApiError {
    fn from(error: snapshots::Error) -> Self {
        use snapshots::{Error, ImportError};
        let status = match error {
            Error::Room(error) => return error.into(),
            Error::Vault(error) => return error.into(),
            Error::Proxy(error) => return (*error).into(),
            Error::Import(ImportError::NotFound { .. }) => StatusCode::NOT_FOUND,
            Error::Import(ImportError::OutOfTurn { .. } | ImportError::OtherVectors { .. }) => {
                StatusCode::CONFLICT
            }
            Error::Import(_)
            | Error::Invalid { .. }
            | Error::NoModel { .. }
            | Error::NoPrice { .. }
            | Error::EmptyText { .. }
            | Error::TextsNotKept { .. }
            | Error::TooLong { .. }
            | Error::SideMissing { .. }
            | Error::DimensionsConflict { .. }
            | Error::TokensWithPrefix { .. } => StatusCode::BAD_REQUEST,
            Error::Migrate(MigrateError::NotFound { .. }) => StatusCode::NOT_FOUND,
            Error::Migrate(MigrateError::SameSpace { .. } | MigrateError::NoTexts { .. }) => {
                StatusCode::BAD_REQUEST
            }
            Error::Migrate(_) => StatusCode::CONFLICT,
            Error::Forbidden { .. } => StatusCode::FORBIDDEN,
            Error::NotDeclared { .. }
            | Error::NoMonitor { .. }
            | Error::NoCanary { .. }
            | Error::DraftNotFound { .. }
            | Error::NothingToResume { .. } => StatusCode::NOT_FOUND,
            Error::PipelineMismatch { .. }
            | Error::DraftOffset { .. }
            | Error::DraftBusy { .. }
            | Error::SeveralDrafts { .. }
            | Error::IndexBusy
            | Error::DraftIncomplete { .. }
            | Error::NotYet { .. }
            | Error::CanaryBusy { .. }
            | Error::Stopped { .. } => StatusCode::CONFLICT,
            Error::Budget { .. } => StatusCode::TOO_MANY_REQUESTS,
            Error::Told(ref told) if told.code == "budget_exceeded" => {
                StatusCode::TOO_MANY_REQUESTS
            }
            Error::Told(_) => StatusCode::BAD_GATEWAY,
            Error::TooSlow(_) | Error::Late { .. } => StatusCode::GATEWAY_TIMEOUT,
            Error::Stopping => StatusCode::SERVICE_UNAVAILABLE,
            Error::Io { .. } | Error::Kept { .. } => StatusCode::INTERNAL_SERVER_ERROR,
        };
        let hint = error.hint();
        if status.is_server_error() && error.blame() == Blame::Gateway && status != 503 {
            return Self::of_files(&error, error.kind(), hint.as_deref());
        }
        let mut api = Self::of_request(status, error.kind(), error.to_string(), hint.as_deref());
        api.0.param = error.param();
        api
    }
}

impl From<embeddings::Error> for ApiError {
    fn from(error: embeddings::Error) -> Self {
        let status = match error {
            embeddings::Error::Vault(error) => return error.into(),
            embeddings::Error::Adapter(ref error) => match (error.kind(), error.blame()) {
                // Which file it is, and what to do, is for who asked for it.
                ("adapter_damaged", _) => {
                    tracing::error!(error = %describe(error), "an adapter cannot be read");
                    StatusCode::INTERNAL_SERVER_ERROR
                }
                (_, Blame::Provider | Blame::Gateway) => return Self::internal(&describe(error)),
                ("adapter_not_found", _) => StatusCode::NOT_FOUND,
                ("invalid_request", _) => StatusCode::BAD_REQUEST,
                (_, Blame::Client) => StatusCode::CONFLICT,
            },
            embeddings::Error::SpaceMismatch { .. } => StatusCode::CONFLICT,
            embeddings::Error::InvalidName { .. }
            | embeddings::Error::InvalidSelector { .. }
            | embeddings::Error::Compare(_)
            | embeddings::Error::Search(_)
            | embeddings::Error::Exchange(_) => match error.blame() {
                Blame::Client => StatusCode::BAD_REQUEST,
                Blame::Provider | Blame::Gateway => return Self::internal(&describe(&error)),
            },
            embeddings::Error::NoSuchRow { .. } => return Self::internal(&error),
        };
        let hint = error.hint();
        Self::of_request(status, error.kind(), error.to_string(), hint.as_deref())
    }
}

impl From<VaultError> for ApiError {
    fn from(error: VaultError) -> Self {
        let hint = error.hint();
        if let VaultError::Store(error) = error {
            let mut api = Self::from(error);
            // The vault knows what to do about its table.
            api.0.hint = api.0.hint.or(hint);
            return api;
        }
        let status = match (error.kind(), error.blame()) {
            ("snapshot_not_found" | "item_not_found", _) => StatusCode::NOT_FOUND,
            ("embeddings_busy" | "vectors_missing", _) => StatusCode::CONFLICT,
            (_, Blame::Client) => StatusCode::BAD_REQUEST,
            (_, Blame::Provider) => StatusCode::BAD_GATEWAY,
            (_, Blame::Gateway) => return Self::of_files(&error, error.kind(), hint.as_deref()),
        };
        Self::of_request(status, error.kind(), error.to_string(), hint.as_deref())
    }
}
