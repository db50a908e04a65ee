//! From suites to plans: files are read in this process, wherever the run goes on.

use crate::cli::evals::run::RunArguments;
use crate::cli::output::Failure;
use crate::evals::plan::RunPlan;
use std::fs;
use std::path::Path;

/// Returns the plans to carry out.
pub(crate) fn read(arguments: &RunArguments) -> Result<Vec<RunPlan>, Failure> {
    arguments.plans.iter().map(|path| from_file(path)).collect()
}

/// Reads a plan as `evals check --json` writes it.
fn from_file(path: &Path) -> Result<RunPlan, Failure> {
    let shown = path.display();
    let text = fs::read(path)
        .map_err(|error| Failure::usage(format!("`{shown}` cannot be read: {error}")))?;
    serde_json::from_slice(&text)
        .map_err(|error| Failure::usage(format!("`{shown}` is no plan of a run: {error}")))
}
