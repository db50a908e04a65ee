//! Why vectors from elsewhere are not taken: which row it is, and what to do.

/// What to do where a manifest and the file beside it do not belong together.
pub const MANIFEST_HINT: &str = "export the snapshot again; if the file was changed on purpose, move the manifest away and say what its vectors are of: `--model`, or `--space`";

/// What is wrong with an import. Rows count from 1.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// Nothing says which embedding version the vectors are of.
    #[error("nothing says which embedding version the vectors are of")]
    NoVersion,
    /// There is no such import under way.
    #[error("there is no import `{id}`")]
    NotFound {
        /// Its id.
        id: String,
    },
    /// Rows came out of turn.
    #[error("import `{id}` has {expected} rows, and the next ones were sent as if it had {found}")]
    OutOfTurn {
        /// The import.
        id: String,
        /// How many it has.
        expected: u64,
        /// How many the client thinks it has.
        found: u64,
    },
    /// Two rows have the same id.
    #[error("the id `{id}` stands in row {first} and in row {second}")]
    Duplicate {
        /// The id.
        id: String,
        /// The first row with it.
        first: u64,
        /// The second.
        second: u64,
    },
    /// A row cannot be taken.
    #[error("row {row} (`{id}`) {problem}")]
    Row {
        /// Which.
        row: u64,
        /// Its id.
        id: String,
        /// What is wrong with it, to be read behind its name.
        problem: String,
        /// What to do.
        hint: &'static str,
    },
    /// Texts have other vectors in this embedding version already.
    #[error(
        "{count} of the rows {first} to {last} have another vector than is kept of the same text in the same embedding version (by up to {most:.3} in a dimension)"
    )]
    OtherVectors {
        /// How many.
        count: usize,
        /// The first row of those that were looked at together.
        first: u64,
        /// The last.
        last: u64,
        /// The largest difference.
        most: f32,
    },
    /// The manifest beside the file is not of what came.
    #[error("`{manifest}` {problem}")]
    NotAsSaid {
        /// The manifest.
        manifest: String,
        /// What is wrong, to be read behind its name.
        problem: String,
    },
}

impl ImportError {
    /// Returns the stable code of the error.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::NoVersion => "missing_model",
            Self::NotFound { .. } => "import_not_found",
            Self::OutOfTurn { .. } => "import_out_of_turn",
            Self::Duplicate { .. } => "item_duplicate",
            Self::Row { .. } => "import_row_invalid",
            Self::OtherVectors { .. } => "import_vectors_differ",
            Self::NotAsSaid { .. } => "import_manifest_differs",
        }
    }

    /// Returns what to do about it.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::NoVersion => {
                "name it: `--model openai/text-embedding-3-small` (with `--dimensions`, prefixes and what else was said when the vectors were made), or `--space NAME` of embeddings.toml"
            }
            Self::NotFound { .. } | Self::OutOfTurn { .. } => {
                "run the same `snapshot import` again"
            }
            Self::Duplicate { .. } => {
                "give every row an id of its own, or name the field that has one: `--id-field NAME`"
            }
            Self::Row { hint, .. } => hint,
            Self::NotAsSaid { .. } => MANIFEST_HINT,
            Self::OtherVectors { .. } => {
                "vectors of another version need another `--revision`; those that are kept and that no snapshot uses go with `promptgate embeddings snapshot gc`; `--keep-known` takes those that are kept"
            }
        }
    }
}
