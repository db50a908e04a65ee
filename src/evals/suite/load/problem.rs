//! What is wrong with a suite: said with place and cure, all problems together.

use crate::domain::nearest_names;
use crate::evals::suite::Place;
use serde::Serialize;
use std::fmt;

/// One thing that is wrong with the files of a suite.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Where.
    #[serde(flatten)]
    pub place: Place,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl Problem {
    /// A problem without a hint.
    pub(in crate::evals) fn new(place: Place, message: impl Into<String>) -> Self {
        Self {
            place,
            message: message.into(),
            hint: None,
        }
    }

    pub(in crate::evals) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// A name that is not one of `known`.
    pub(in crate::evals) fn unknown(
        place: Place,
        message: impl Into<String>,
        name: &str,
        known: &[&str],
    ) -> Self {
        let near = nearest_names(name, known.iter().copied());
        let problem = Self::new(place, message);
        match near.first() {
            Some(near) => problem.hint(format!("did you mean `{near}`?")),
            None => problem.hint(format!("known are {}", listed(known))),
        }
    }
}

/// Returns names as `` `a`, `b` ``.
pub(in crate::evals) fn listed(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    quoted.join(", ")
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.place, self.message)
    }
}

/// Sorts by place, and leaves each problem once.
pub(super) fn sorted(mut problems: Vec<Problem>) -> Vec<Problem> {
    let key = |problem: &Problem| {
        let place = &problem.place;
        (
            place.file.clone(),
            place.line,
            place.column,
            problem.message.clone(),
        )
    };
    problems.sort_by_key(key);
    problems.dedup();
    problems
}
