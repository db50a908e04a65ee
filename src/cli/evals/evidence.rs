//! `promptgate evals evidence verify`: whether an evidence pack holds, without believing it.

use crate::cli::Common;
use crate::cli::evals::report::read;
use crate::cli::output::{self, Failure};
use crate::evals::render::evidence::verify;
use crate::evals::render::words;
use clap::Subcommand;
use serde_json::json;
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub(crate) enum EvidenceCommand {
    /// Compute the chain of hashes again, and the figures that the pack allows.
    Verify {
        /// The pack, as `evals report --format evidence` writes it; `-` for stdin.
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
}

/// Runs the command.
pub(crate) fn run(command: &EvidenceCommand, common: &Common) -> Result<(), Failure> {
    let EvidenceCommand::Verify { file } = command;
    let checked = verify(&read(file)?);
    if common.json {
        let body = json!({
            "ok": checked.problems.is_empty(),
            "lines": checked.lines,
            "figures": checked.figures,
            "verdict": checked.verdict,
            "problems": checked.problems,
        });
        output::put(&format!("{body}\n"))?;
    }
    if !checked.problems.is_empty() {
        let failure = Failure::new(format!("`{}` does not hold", file.display()));
        return Err(failure.with_details(checked.problems));
    }
    if !common.json {
        let verdict = checked.verdict.map_or("no verdict", words::verdict);
        output::put(&format!(
            "{} lines and {} figures hold; the verdict is: {verdict}\n",
            checked.lines, checked.figures
        ))?;
    }
    Ok(())
}
