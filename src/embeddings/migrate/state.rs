//! The states of a migration, and what leads from one to the next. Pure: whether a step may be taken says
//! this table; whether everything it needs is there is asked by who takes it.

use crate::embeddings::migrate::MigrateError;
use serde::{Deserialize, Serialize};
use std::fmt;

/// How far a migration is. Until the cut-over the old version answers for everything that is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// The new version is computed for a sample, to see what would change and what it costs.
    Shadow,
    /// The old version serves alone.
    Recall,
    /// Searches find candidates in the old version and rank them by the new one.
    Cascade,
    /// The same, and the rest of the new version is computed in the background.
    Backfill,
    /// The new version is served.
    Cutover,
    /// The old version is served again, and the migration is over.
    RolledBack,
}

/// What somebody wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verb {
    /// The next state before the cut-over.
    Advance,
    /// To compute the rest in the background, or to go on with it.
    Backfill,
    /// To ask the new model for nothing more.
    Pause,
    /// To go on after a pause.
    Resume,
    /// To serve the new version.
    Cutover,
    /// To serve the old version, and end the migration.
    Rollback,
}

/// What follows from a verb.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Nothing changes: what is wanted is so already.
    Stay,
    /// Another state.
    To(State),
    /// Paused, or no longer.
    Pause(bool),
}

impl State {
    /// Every state, in order.
    pub const ALL: [Self; 6] = [
        Self::Shadow,
        Self::Recall,
        Self::Cascade,
        Self::Backfill,
        Self::Cutover,
        Self::RolledBack,
    ];

    /// Returns the name, as in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Shadow => "shadow",
            Self::Recall => "recall",
            Self::Cascade => "cascade",
            Self::Backfill => "backfill",
            Self::Cutover => "cutover",
            Self::RolledBack => "rolled_back",
        }
    }

    /// Returns whether the migration is still under way.
    #[must_use]
    pub const fn is_open(self) -> bool {
        !matches!(self, Self::Cutover | Self::RolledBack)
    }

    /// Returns whether searches are ranked by the new version.
    #[must_use]
    pub const fn is_cascading(self) -> bool {
        matches!(self, Self::Cascade | Self::Backfill)
    }

    /// Returns what can be done next, as commands call it; after a cut-over that depends on whether both
    /// versions are written.
    #[must_use]
    pub const fn next_verbs(self, is_dual: bool) -> &'static [&'static str] {
        match self {
            Self::Shadow | Self::Recall => &["advance", "rollback"],
            Self::Cascade => &["advance", "backfill", "pause", "cutover", "rollback"],
            Self::Backfill => &["backfill", "pause", "cutover", "rollback"],
            Self::Cutover if is_dual => &["backfill", "pause", "rollback"],
            Self::Cutover => &["rollback"],
            Self::RolledBack => &[],
        }
    }

    /// Returns what follows from a verb, in a migration that is paused or not, and that writes both versions
    /// after its cut-over or does not.
    ///
    /// # Errors
    ///
    /// `Transition` when it does not lead on from here.
    pub fn step(self, is_paused: bool, is_dual: bool, verb: Verb) -> Result<Step, MigrateError> {
        let refused = Err(MigrateError::Transition {
            verb,
            state: self,
            is_paused,
            is_dual,
        });
        match (self, verb) {
            (Self::RolledBack, Verb::Rollback) | (Self::Cutover, Verb::Cutover) => Ok(Step::Stay),
            (Self::RolledBack, _) => refused,
            (_, Verb::Rollback) => Ok(Step::To(Self::RolledBack)),
            (Self::Cutover, _) if !is_dual => refused,
            (_, Verb::Resume) if !is_paused => Ok(Step::Stay),
            (_, Verb::Resume) => Ok(Step::Pause(false)),
            (Self::Cascade | Self::Backfill | Self::Cutover, Verb::Pause) if is_paused => {
                Ok(Step::Stay)
            }
            (Self::Cascade | Self::Backfill | Self::Cutover, Verb::Pause) => Ok(Step::Pause(true)),
            (Self::Cascade | Self::Backfill, Verb::Cutover) => Ok(Step::To(Self::Cutover)),
            (_, Verb::Advance | Verb::Backfill) if is_paused => refused,
            (Self::Shadow, Verb::Advance) => Ok(Step::To(Self::Recall)),
            (Self::Recall, Verb::Advance) => Ok(Step::To(Self::Cascade)),
            (Self::Cascade, Verb::Advance | Verb::Backfill) => Ok(Step::To(Self::Backfill)),
            (Self::Backfill | Self::Cutover, Verb::Backfill) => Ok(Step::Stay),
            _ => refused,
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Advance => "advance",
            Self::Backfill => "backfill",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Cutover => "cutover",
            Self::Rollback => "rollback",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{State, Step, Verb};

    const VERBS: [Verb; 6] = [
        Verb::Advance,
        Verb::Backfill,
        Verb::Pause,
        Verb::Resume,
        Verb::Cutover,
        Verb::Rollback,
    ];

    fn told(state: State, is_paused: bool, is_dual: bool, verb: Verb) -> String {
        match state.step(is_paused, is_dual, verb) {
            Ok(Step::Stay) => "=".to_owned(),
            Ok(Step::To(to)) => to.to_string(),
            Ok(Step::Pause(true)) => "paused".to_owned(),
            Ok(Step::Pause(false)) => "goes on".to_owned(),
            Err(error) => {
                assert_eq!(error.kind(), "migration_state");
                assert!(error.hint().is_some(), "{error}");
                "-".to_owned()
            }
        }
    }

    #[test]
    fn every_verb_in_every_state_does_what_the_table_says() {
        let no = "-";
        for (state, is_paused, expected) in [
            (
                State::Shadow,
                false,
                ["recall", no, no, "=", no, "rolled_back"],
            ),
            (
                State::Recall,
                false,
                ["cascade", no, no, "=", no, "rolled_back"],
            ),
            (
                State::Cascade,
                false,
                [
                    "backfill",
                    "backfill",
                    "paused",
                    "=",
                    "cutover",
                    "rolled_back",
                ],
            ),
            (
                State::Cascade,
                true,
                [no, no, "=", "goes on", "cutover", "rolled_back"],
            ),
            (
                State::Backfill,
                false,
                [no, "=", "paused", "=", "cutover", "rolled_back"],
            ),
            (
                State::Backfill,
                true,
                [no, no, "=", "goes on", "cutover", "rolled_back"],
            ),
            (State::Cutover, false, [no, no, no, no, "=", "rolled_back"]),
            (State::RolledBack, false, [no, no, no, no, no, "="]),
        ] {
            let found = VERBS.map(|verb| told(state, is_paused, false, verb));
            assert_eq!(
                found.each_ref().map(String::as_str),
                expected,
                "{state}, paused: {is_paused}"
            );
        }
    }

    #[test]
    fn writing_both_versions_after_a_cut_over_can_be_stopped_and_goes_on() {
        for (is_paused, expected) in [
            (false, ["-", "=", "paused", "=", "=", "rolled_back"]),
            (true, ["-", "-", "=", "goes on", "=", "rolled_back"]),
        ] {
            let found = VERBS.map(|verb| told(State::Cutover, is_paused, true, verb));
            assert_eq!(found.each_ref().map(String::as_str), expected);
        }
        // Before it both are written anyway.
        for state in State::ALL.into_iter().filter(|state| state.is_open()) {
            let told = |is_dual| VERBS.map(|verb| told(state, false, is_dual, verb));
            assert_eq!(told(true), told(false));
        }
    }

    #[test]
    fn what_is_done_twice_is_done_once() {
        for state in State::ALL {
            for verb in [Verb::Pause, Verb::Resume, Verb::Cutover, Verb::Rollback] {
                let (to, is_paused) = match state.step(false, false, verb) {
                    Ok(Step::To(to)) => (to, false),
                    Ok(Step::Pause(is_paused)) => (state, is_paused),
                    Ok(Step::Stay) => (state, false),
                    Err(_) => continue,
                };
                assert_eq!(
                    to.step(is_paused, false, verb).unwrap(),
                    Step::Stay,
                    "{state}: {verb} twice"
                );
            }
        }
    }

    #[test]
    fn names_are_those_of_json_and_rolling_back_leads_out_of_everywhere() {
        for state in State::ALL {
            assert_eq!(serde_json::to_value(state).unwrap(), state.as_str());
            assert!(state.step(false, false, Verb::Rollback).is_ok());
            for is_dual in [false, true] {
                for verb in state.next_verbs(is_dual) {
                    let verb = serde_json::from_value(serde_json::json!(verb)).unwrap();
                    let step = state.step(false, is_dual, verb);
                    assert!(step.is_ok(), "{state} does not {verb}");
                }
            }
        }
    }
}
