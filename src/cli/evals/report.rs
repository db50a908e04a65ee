//! `promptgate evals report`: the report of a run, in the forms that people and programs read.

use crate::app::Environment;
use crate::cli::Common;
use crate::cli::evals::terminal;
use crate::cli::output::{self, Failure};
use crate::cli::paint::Paint;
use crate::cli::reach::{Admin, escape};
use crate::evals::render::{self, words};
use crate::evals::report::RunReport;
use clap::{Args, ValueEnum};
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

/// Which report, and in which forms.
#[derive(Debug, Args)]
pub(crate) struct ReportArguments {
    /// A report as JSON (`-` for stdin), or the id of a run.
    #[arg(value_name = "REPORT.json|RUN")]
    report: String,
    #[command(flatten)]
    forms: Forms,
}

/// In which forms, and where to.
#[derive(Debug, Args)]
pub(crate) struct Forms {
    /// How to write it; several are separated by commas.
    #[arg(
        long = "format",
        value_enum,
        value_delimiter = ',',
        default_value = "terminal"
    )]
    pub(crate) formats: Vec<Format>,
    /// Where files are written, named after the suite; without it one form goes to stdout.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
}

/// A form of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people at a terminal.
    Terminal,
    /// The whole report.
    Json,
    /// One row a line, with promptfoo's names.
    Jsonl,
    /// JUnit XML, for test servers.
    Junit,
    /// A comment on a pull request.
    Markdown,
    /// One page that needs nothing else.
    Html,
    /// What safety detectors found, SARIF 2.1.0.
    Sarif,
    /// Annotations of a GitHub workflow, and the summary of its job.
    Github,
    /// Hash-chained lines for auditors.
    Evidence,
}

impl Format {
    /// What the name of its file ends with; `None` for what only goes to stdout.
    const fn ending(self) -> Option<&'static str> {
        match self {
            Self::Terminal => None,
            Self::Json => Some("report.json"),
            Self::Jsonl => Some("rows.jsonl"),
            Self::Junit => Some("junit.xml"),
            Self::Markdown => Some("md"),
            Self::Html => Some("html"),
            Self::Sarif => Some("sarif"),
            Self::Github => Some("summary.md"),
            Self::Evidence => Some("evidence.jsonl"),
        }
    }
}

/// Runs the command.
pub(crate) async fn run(
    arguments: ReportArguments,
    common: &Common,
    environment: &Environment,
) -> Result<(), Failure> {
    let report = load(&arguments.report, common, environment).await?;
    let mut forms = arguments.forms;
    if common.json {
        forms.formats = vec![Format::Json];
    }
    write(&report, &forms, environment)
}

/// Writes a report in all `forms`: files below `out`, else one form to stdout.
pub(crate) fn write(
    report: &RunReport,
    forms: &Forms,
    environment: &Environment,
) -> Result<(), Failure> {
    let in_files = |format: &&Format| format.ending().is_some();
    if forms.out.is_none() && 1 < forms.formats.len() {
        let hint = "`--out DIR` writes each form to a file of its own";
        let failure = Failure::usage("several forms cannot go to stdout");
        return Err(failure.with_hint(Some(hint.to_owned())));
    }
    if let Some(out) = &forms.out {
        fs::create_dir_all(out).map_err(|error| unwritable(out, &error))?;
        for format in forms.formats.iter().filter(in_files) {
            let stem = words::file_stem(&report.suite.name);
            let path = out.join(format!("{stem}.{}", format.ending().unwrap_or_default()));
            fs::write(&path, form(report, *format, environment))
                .map_err(|error| unwritable(&path, &error))?;
            output::say(&format!("wrote {}\n", path.display()));
        }
    }
    for format in &forms.formats {
        match format {
            Format::Github => {
                output::put(&render::annotations(report))?;
                add_summary(report, environment)?;
            }
            Format::Terminal => output::put(&form(report, *format, environment))?,
            _ if forms.out.is_none() => output::put(&form(report, *format, environment))?,
            _ => {}
        }
    }
    Ok(())
}

fn form(report: &RunReport, format: Format, environment: &Environment) -> String {
    match format {
        Format::Terminal => terminal::write(report, Paint::of_stdout(environment)),
        Format::Json => render::json(report),
        Format::Jsonl => render::jsonl(report),
        Format::Junit => render::junit(report),
        Format::Markdown => render::comment(report),
        Format::Html => render::page(report),
        Format::Sarif => render::sarif(report),
        Format::Github => render::summary(report),
        Format::Evidence => render::evidence::evidence(report),
    }
}

/// Adds to the summary of the job, when this runs in one: several suites share it.
fn add_summary(report: &RunReport, environment: &Environment) -> Result<(), Failure> {
    let Some(path) = environment.get("GITHUB_STEP_SUMMARY") else {
        return Ok(());
    };
    let path = Path::new(path);
    let mut file = fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .map_err(|error| unwritable(path, &error))?;
    file.write_all(render::summary(report).as_bytes())
        .map_err(|error| unwritable(path, &error))
}

fn unwritable(path: &Path, error: &io::Error) -> Failure {
    Failure::new(format!("`{}` cannot be written: {error}", path.display()))
}

async fn load(
    name: &str,
    common: &Common,
    environment: &Environment,
) -> Result<RunReport, Failure> {
    let path = Path::new(name);
    if name == "-" || path.is_file() {
        let text = read(path)?;
        return serde_json::from_str(&text).map_err(|error| {
            let hint = "`promptgate evals report RUN --format json` writes one";
            let message = format!("`{name}` is no report of an eval: {error}");
            Failure::usage(message).with_hint(Some(hint.to_owned()))
        });
    }
    if uuid::Uuid::try_parse(name).is_err() {
        let hint = "`promptgate evals list` shows the runs";
        let message = format!("`{name}` is neither a file nor the id of a run");
        return Err(Failure::usage(message).with_hint(Some(hint.to_owned())));
    }
    let admin = Admin::reach(common, environment)?;
    let answer = admin
        .get(&format!("/api/evals/runs/{}/report", escape(name)))
        .await;
    admin.close().await?;
    serde_json::from_value(answer?).map_err(|error| {
        Failure::new(format!(
            "the report of run `{name}` cannot be read: {error}"
        ))
    })
}

/// Reads a file, or stdin for `-`.
pub(crate) fn read(path: &Path) -> Result<String, Failure> {
    let text = if path == Path::new("-") {
        let mut text = String::new();
        io::stdin().read_to_string(&mut text).map(|_| text)
    } else {
        fs::read_to_string(path)
    };
    text.map_err(|error| Failure::usage(format!("`{}` cannot be read: {error}", path.display())))
}
