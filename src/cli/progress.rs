//! How far long work is, on stderr: a line that stays on a terminal, else a line now and then.

use crate::cli::output;
use std::io::{IsTerminal as _, stderr};
use std::time::Duration;
use tokio::time::Instant;

/// How often a line is written where there is no terminal.
const EVERY: Duration = Duration::from_secs(10);
/// Erases the line.
const ERASE: &str = "\r\x1b[2K";

/// Shows how far something is.
#[derive(Debug)]
pub(crate) struct ProgressLine {
    is_terminal: bool,
    is_shown: bool,
    next: Instant,
}

impl ProgressLine {
    /// Returns what suits stderr.
    pub(crate) fn of_stderr() -> Self {
        Self {
            is_terminal: stderr().is_terminal(),
            is_shown: false,
            next: Instant::now() + EVERY,
        }
    }

    /// Shows the newest.
    pub(crate) fn show(&mut self, text: &str) {
        if self.is_terminal {
            output::say(&format!("{ERASE}{text}"));
            self.is_shown = true;
        } else if self.next <= Instant::now() {
            self.next = Instant::now() + EVERY;
            output::say(&format!("{text}\n"));
        }
    }

    /// Takes the line away.
    pub(crate) fn clear(&mut self) {
        if self.is_shown {
            output::say(ERASE);
            self.is_shown = false;
        }
    }
}
