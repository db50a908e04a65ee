//! The numbered changes of the data directory's layout, oldest first.
//!
//! A layout is the names and forms of everything in the directory. Each change is a file here,
//! `m0002_what_it_does.rs`, with one function that takes a directory of the layout before and leaves
//! one of its own number. It must bear being run twice: a crash may come before the number is
//! written. A directory of every layout is kept in `tests/fixtures/store/`, and a test opens it.

mod m0002_events;
mod m0003_runs;

use std::io;
use std::path::Path;

/// A change of the layout.
#[derive(Debug)]
pub(super) struct Migration {
    /// The layout it leads to.
    pub(super) to: u32,
    /// What it changes, for the log.
    pub(super) what: &'static str,
    /// Makes the change in the data directory.
    pub(super) run: fn(&Path) -> io::Result<()>,
}

/// The layout of a new directory.
pub(super) const NEWEST: u32 = 3;

/// All changes, by number. Layout 1 is the first.
pub(super) const ALL: &[Migration] = &[
    Migration {
        to: 2,
        what: "events of prompts and labels",
        run: m0002_events::run,
    },
    Migration {
        to: 3,
        what: "runs of evals",
        run: m0003_runs::run,
    },
];
