//! `promptgate prompts lint`: everything that can be known about prompts without serving them.
//!
//! Exit codes: 0 nothing or only warnings, 1 errors (with `--deny warnings`, anything), 2 the linter
//! could not run.

mod formats;
mod scope;
mod semantic;
mod text;

use crate::app::{self, Config, Environment};
use crate::cli::Common;
use crate::cli::files::{Change, write_all};
use crate::cli::output::{self, Failure};
use crate::domain::Clock;
use crate::metering::Prices;
use crate::prompts::{Finding, Fixed, Lint, ModelFacts, Prompts, Severity};
use clap::{Args, ValueEnum};
use scope::Scope;
use semantic::SemanticArguments;
use std::io::{self, IsTerminal as _};
use std::path::PathBuf;

/// What `--help` adds.
pub(crate) const HELP: &str = "Exit codes: 0 nothing or only warnings, 1 errors (with --deny warnings, \
    anything), 2 the linter could not run.\n\
    Levels, models and limits are set in registry.yaml: `lint: {W103: error, W109: off}`, \
    `models: [\"gpt-5*\"]`, `limits: {tokens: 8000}`.\n\
    --semantic embeds what prompts say and notes those that mean nearly the same. Its price is told before, and \
    vectors are kept: what has not changed is not paid again.";

#[derive(Debug, Args)]
pub(crate) struct LintArguments {
    /// Files or directories of the prompts to report on; one other directory is linted as a whole.
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Mend what can be mended without thinking, then lint again.
    #[arg(long)]
    fix: bool,
    /// Lint the prompts of a branch, a tag or a commit in place of the files.
    #[arg(long = "ref", value_name = "REF", conflicts_with = "fix")]
    reference: Option<String>,
    /// What changes are compared with (default: HEAD).
    #[arg(long, value_name = "REF")]
    base: Option<String>,
    /// How to print what is found.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Fail on warnings too.
    #[arg(long, value_enum, value_name = "LEVEL")]
    deny: Option<Deny>,
    #[command(flatten)]
    semantic: SemanticArguments,
}

/// What the output is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people.
    Text,
    /// For programs.
    Json,
    /// SARIF 2.1.0, for code scanning.
    Sarif,
    /// Annotations of a GitHub workflow.
    Github,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Deny {
    Warnings,
}

/// What is printed, in whatever format.
struct Report<'a> {
    lint: &'a Lint,
    scope: &'a Scope,
    findings: Vec<&'a Finding>,
    errors: usize,
    warnings: usize,
    hints: usize,
    fixed: usize,
}

impl<'a> Report<'a> {
    fn new(lint: &'a Lint, scope: &'a Scope, fixed: usize) -> Self {
        let all = lint.findings.iter();
        let findings: Vec<&Finding> = all
            .filter(|finding| scope.covers(&finding.problem.path))
            .collect();
        let of = |severity| {
            let is_of = |finding: &&&Finding| finding.severity == severity;
            findings.iter().filter(is_of).count()
        };
        Self {
            lint,
            scope,
            errors: of(Severity::Error),
            warnings: of(Severity::Warning),
            hints: of(Severity::Hint),
            findings,
            fixed,
        }
    }
}

/// Runs the command.
pub(crate) async fn run(
    arguments: &LintArguments,
    config: &Config,
    common: &Common,
    environment: &Environment,
) -> Result<(), Failure> {
    let scope = Scope::of(
        &config.prompts.source,
        arguments.reference.as_deref(),
        &arguments.paths,
    )?;
    let mut registry = config.prompts.clone();
    registry.source = scope.source.clone();
    let prompts = Prompts::archived(registry, app::read_only_archive(config));
    let prices = Prices::with_overrides(config.prices.clone());
    let facts = ModelFacts {
        prices: &prices,
        now: Clock::System.now(),
    };
    let base = arguments.base.as_deref();
    let mut lint = prompts.lint(base, facts).map_err(could_not_run)?;
    scope.check_paths(&lint)?;
    let mut fixed = 0;
    if arguments.fix {
        (lint, fixed) = mend(lint, &scope, facts)?;
    }
    if arguments.semantic.is_wanted() {
        let reach = (common, environment);
        semantic::find(&arguments.semantic, &mut lint, config, reach).await?;
    }
    let report = Report::new(&lint, &scope, fixed);
    let format = if common.json {
        Format::Json
    } else {
        arguments.format
    };
    let is_colored = io::stdout().is_terminal() && environment.allows_color();
    output::put(&match format {
        Format::Text => text::show(&report, is_colored),
        Format::Json => formats::json(&report),
        Format::Sarif => formats::sarif_log(&report),
        Format::Github => formats::github(&report),
    })?;
    let denied = arguments.deny.map_or(0, |Deny::Warnings| report.warnings);
    if report.errors + denied == 0 {
        Ok(())
    } else {
        Err(Failure::silent())
    }
}

pub(crate) fn could_not_run(error: crate::prompts::Error) -> Failure {
    let hint = error.hint();
    let error = app::Error::from(error);
    let mut words = error.to_string();
    // The one who runs the command may know what a client of the gateway may not.
    let mut cause = std::error::Error::source(&error);
    while let Some(error) = cause {
        let more = error.to_string();
        if !words.contains(&more) {
            words = format!("{words}: {more}");
        }
        cause = error.source();
    }
    Failure::usage(words).with_hint(hint)
}

/// Writes what fixes make of the files. Returns what is found in them, and how many there were.
fn mend(lint: Lint, scope: &Scope, facts: ModelFacts<'_>) -> Result<(Lint, usize), Failure> {
    let root = scope.directory().ok_or_else(|| {
        Failure::usage("`--fix` needs a directory, and the prompts are read from a commit")
    })?;
    let Fixed { files, count, lint } = lint.fixed(facts, |path| scope.covers(path));
    let changes: Vec<Change> = files
        .into_iter()
        .map(|(path, old, new)| Change {
            path: root.join(path),
            old: Some(old),
            new,
        })
        .collect();
    write_all(&changes)?;
    Ok((lint, count))
}
