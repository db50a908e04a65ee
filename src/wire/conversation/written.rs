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
    /// How many more there were than are told.
    untold: usize,
}

/// The most warnings that are told one by one.
const MAX_WARNINGS: usize = 100;

impl Losses {
    /// Returns the losses of writing to `target` (`Anthropic's API`), none yet.
    #[must_use]
    pub const fn new(target: &'static str, is_dropping: bool) -> Self {
        Self {
            target,
            is_dropping,
            warnings: Vec::new(),
            untold: 0,
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
        self.refuse_at(|| field.into(), reason)
    }

    /// Leaves out the field that `field` names; it is asked for the name only where that is told.
    ///
    /// # Errors
    ///
    /// When nothing may be left out.
    pub fn refuse_at(
        &mut self,
        field: impl FnOnce() -> String,
        reason: impl Into<String>,
    ) -> Result<(), Unsupported> {
        if self.is_dropping && MAX_WARNINGS <= self.warnings.len() {
            self.untold += 1;
            return Ok(());
        }
        let unsupported = Unsupported {
            field: field(),
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
        if self.warnings.contains(&warning) {
            return;
        }
        if self.warnings.len() < MAX_WARNINGS {
            self.warnings.push(warning);
        } else {
            self.untold += 1;
        }
    }

    /// Returns the warnings.
    #[must_use]
    pub fn into_warnings(self) -> Vec<String> {
        let untold = (0 < self.untold).then(|| format!("and {} more", self.untold));
        self.warnings.into_iter().chain(untold).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{Losses, MAX_WARNINGS};

    #[test]
    fn losses_are_refused_or_told() {
        let mut losses = Losses::new("their API", false);
        losses.warn("a");
        let refused = losses.refuse("top_k", "it has none").unwrap_err();
        assert_eq!(
            refused.to_string(),
            "`top_k` cannot be sent to their API: it has none"
        );
        assert_eq!(losses.into_warnings(), ["a"]);
        let mut losses = Losses::new("their API", true);
        losses.refuse("top_k", "it has none").unwrap();
        losses.warn("a");
        losses.warn("a");
        assert_eq!(
            losses.into_warnings(),
            [
                "left out: `top_k` cannot be sent to their API: it has none",
                "a"
            ]
        );
    }

    #[test]
    fn warnings_are_counted_where_there_are_too_many() {
        let mut losses = Losses::new("their API", true);
        for place in 0..MAX_WARNINGS + 7 {
            losses.refuse_at(|| format!("a[{place}]"), "no").unwrap();
        }
        losses.warn("b");
        let warnings = losses.into_warnings();
        assert_eq!(warnings.len(), MAX_WARNINGS + 1);
        assert_eq!(warnings.last().unwrap(), "and 8 more");
    }
}
