//! What can be wrong with a price table.

use crate::domain::Blame;

/// A price table that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The table is not JSON of the expected shape.
    #[error("the price table cannot be read: {problem}")]
    InvalidTable {
        /// What the parser found.
        problem: String,
    },
    /// A price is no amount of money: negative, or too large.
    #[error("the price `{field}` of `{model}` is no amount of money: `{value}`")]
    InvalidPrice {
        /// The model.
        model: String,
        /// The field.
        field: String,
        /// What stands there.
        value: String,
    },
}

impl Error {
    /// Returns the stable code of the error.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::InvalidTable { .. } => "invalid_price_table",
            Self::InvalidPrice { .. } => "invalid_price",
        }
    }

    /// Returns whose fault it is: tables come with the gateway or its config.
    #[must_use]
    pub const fn blame(&self) -> Blame {
        Blame::Gateway
    }

    /// Returns what to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let shape = "prices are dollars per token, as in LiteLLM's price file";
        matches!(self, Self::InvalidPrice { .. }).then(|| shape.to_owned())
    }
}
