//! `promptgate evals bless`: the results of a run become what later runs are compared with.

use crate::app::Environment;
use crate::cli::Common;
use crate::cli::evals::directory::Directory;
use crate::cli::evals::report;
use crate::cli::output::{self, Failure};
use crate::evals::baseline::Baseline;
use clap::Args;
use std::fs;

#[derive(Debug, Args)]
pub(crate) struct BlessArguments {
    /// The id of a run, or its report as JSON.
    #[arg(value_name = "RUN|REPORT.json")]
    report: String,
    #[command(flatten)]
    evals: Directory,
}

/// Runs the command.
pub(crate) async fn run(
    arguments: &BlessArguments,
    common: &Common,
    environment: &Environment,
) -> Result<(), Failure> {
    let report = report::load(&arguments.report, common, environment).await?;
    let baseline = Baseline::of(&report).map_err(|error| {
        let hint = error.hint().to_owned();
        Failure::new(error.to_string()).with_hint(Some(hint))
    })?;
    let path = arguments.evals.path.join("baselines");
    let path = path.join(format!("{}.json", report.suite.name));
    let unwritable =
        |error| Failure::new(format!("`{}` cannot be written: {error}", path.display()));
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir).map_err(unwritable)?;
    }
    fs::write(&path, baseline.to_text()).map_err(unwritable)?;
    output::say(&format!(
        "wrote {}; commit it, so that it is reviewed\n",
        path.display()
    ));
    Ok(())
}
