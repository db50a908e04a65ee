//! `--evals`, as all commands have it that read suites here.

use clap::Args;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(crate) struct Directory {
    /// The directory of suites.
    #[arg(
        id = "evals",
        long = "evals",
        env = "PROMPTGATE_EVALS",
        value_name = "DIR",
        default_value = "evals"
    )]
    pub(crate) path: PathBuf,
}
