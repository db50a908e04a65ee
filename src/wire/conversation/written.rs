//! A request in the words of a dialect, and what of it that dialect cannot say.

use crate::wire::conversation::request::Unsupported;
use bytes::Bytes;

/// A request as a provider gets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// The body, JSON.
    pub body: Bytes,
    /// What was left out or said otherwise, one sentence each, for the record and the client.
    pub warnings: Vec<String>,
}

/// What cannot be said: refused, or left out with a warning where that was allowed.
#[derive(Debug)]
pub struct Losses {
    target: &'static str,
    is_dropping: bool,
    warnings: Vec<String>,
}

impl Losses {
    /// Returns the losses of writing to `target` (`Anthropic's API`), none yet.
    #[must_use]
    pub const fn new(target: &'static str, is_dropping: bool) -> Self {
        Self {
            target,
            is_dropping,
            warnings: Vec::new(),
        }
    }

    /// Leaves `field` out.
    ///
    /// # Errors
    ///
    /// When nothing may be left out.
    pub fn refuse(
        &mut self,
        field: impl Into<String>,
        reason: impl Into<String>,
    ) -> Result<(), Unsupported> {
        let unsupported = Unsupported {
            field: field.into(),
            target: self.target,
            reason: reason.into(),
        };
        if !self.is_dropping {
            return Err(unsupported);
        }
        self.warn(format!("left out: {unsupported}"));
        Ok(())
    }

    /// Says `field` otherwise: `instead` tells how (`was moved to the beginning`).
    ///
    /// # Errors
    ///
    /// When nothing may be said otherwise.
    pub fn bend(
        &mut self,
        field: impl Into<String>,
        reason: impl Into<String>,
        instead: &str,
    ) -> Result<(), Unsupported> {
        let field = field.into();
        let reason = reason.into();
        if !self.is_dropping {
            return Err(Unsupported {
                field,
                target: self.target,
                reason,
            });
        }
        self.warn(format!("`{field}` {instead}: {reason}"));
        Ok(())
    }

    /// Tells something that is worth knowing and no reason to refuse the request; the same thing once.
    pub fn warn(&mut self, warning: impl Into<String>) {
        let warning = warning.into();
        if !self.warnings.contains(&warning) {
            self.warnings.push(warning);
        }
    }

    /// Returns the warnings.
    #[must_use]
    pub fn into_warnings(self) -> Vec<String> {
        self.warnings
    }
}
