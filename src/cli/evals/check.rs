//! `promptgate evals check`: reads suites as a run would, asks nobody, and says what a run takes.
//!
//! Exit codes: 0 all suites are good, 1 problems, 2 wrong usage or config.

use crate::app::{self, Environment};
use crate::cli::evals::directory::Directory;
use crate::cli::evals::text;
use crate::cli::evals::workspace::{Versions, Workspace, versions};
use crate::cli::output::{self, Failure};
use crate::cli::{Common, reach};
use crate::domain::{Clock, PromptReference};
use crate::evals::plan::RunPlan;
use crate::evals::planner::{self, Counts, Figures, Filter, Request, Tree};
use crate::evals::suite::{self, Problem, Suite};
use crate::prompts::diff::Revision;
use clap::Args;
use serde_json::{Value, json};

#[derive(Debug, Args)]
pub(crate) struct CheckArguments {
    /// Suites: files, or names below the directory of suites (default: all there are).
    #[arg(value_name = "SUITE")]
    suites: Vec<String>,
    #[command(flatten)]
    evals: Directory,
    /// Plan a comparison with a branch, a tag or a commit.
    #[arg(long, value_name = "REF")]
    base: Option<String>,
}

/// A suite that is good, and what a run of it asks.
pub(crate) struct Checked {
    pub(crate) suite: Suite,
    pub(crate) plan: RunPlan,
    pub(crate) counts: Counts,
}

/// Runs the command.
pub(crate) async fn run(
    arguments: &CheckArguments,
    common: &Common,
    environment: &Environment,
) -> Result<(), Failure> {
    let workspace = Workspace::open(&arguments.evals.path)?;
    let paths = workspace.suites(&arguments.suites, environment.variables())?;
    let source = workspace.source(environment.variables());
    let (mut suites, mut problems) = (Vec::new(), Vec::new());
    for path in &paths {
        match suite::load(&source, path) {
            Ok(suite) => suites.push(suite),
            Err(found) => problems.extend(found),
        }
    }
    let config = reach::config(common, environment)?;
    let head = Side {
        name: "this directory".to_owned(),
        commit: None,
        versions: versions(&suites, &config, &Revision::Working).await?,
        suites: Vec::new(),
    };
    let base = match &arguments.base {
        Some(reference) => Some(base(reference, &workspace, &paths, &config, environment).await?),
        None => None,
    };
    let book = app::price_book(&config);
    let now = Clock::System.now();
    let figures = Figures {
        price: &|model| book.row(model, now),
        recorded_output: &|_| None,
        embedding_model: config.runs.embedding_model.as_deref(),
    };
    let mut checked = Vec::new();
    for suite in suites {
        match plan(&suite, &head, base.as_ref(), &figures) {
            Ok(plan) => checked.push(Checked {
                counts: Counts::of(&plan),
                suite,
                plan,
            }),
            Err(found) => problems.extend(found),
        }
    }
    output::put(&if common.json {
        format!("{}\n", report(&checked, &problems))
    } else {
        text::show(&checked)
    })?;
    if problems.is_empty() {
        return Ok(());
    }
    let count = problems.len();
    let message = format!("problems in the suites: {count}");
    Err(Failure::new(message).with_details(problems.iter().map(describe).collect()))
}

/// A side, with the suites of base by their files.
struct Side {
    name: String,
    commit: Option<String>,
    versions: Versions,
    suites: Vec<Suite>,
}

/// Reads the suites as they were. One that was not there, or was broken, is compared with nothing.
async fn base(
    reference: &str,
    workspace: &Workspace,
    paths: &[String],
    config: &app::Config,
    environment: &Environment,
) -> Result<Side, Failure> {
    let workspace = workspace.at(reference)?;
    let source = workspace.source(environment.variables());
    let mut suites = Vec::new();
    for path in paths {
        match suite::load(&source, path) {
            Ok(suite) => suites.push(suite),
            Err(problems) => {
                for problem in problems {
                    let problem = describe(&problem);
                    output::say(&format!("warning: in `{reference}`: {problem}\n"));
                }
            }
        }
    }
    let revision = Revision::Reference(reference.to_owned());
    Ok(Side {
        name: reference.to_owned(),
        commit: workspace.commit(),
        versions: versions(&suites, config, &revision).await?,
        suites,
    })
}

fn plan(
    suite: &Suite,
    head: &Side,
    base: Option<&Side>,
    figures: &Figures<'_>,
) -> Result<RunPlan, Vec<Problem>> {
    let find = |side: &Side, reference: &PromptReference| {
        let version = side.versions.get(&reference.to_string());
        version.map_or_else(|| Err("there is no such prompt".to_owned()), Clone::clone)
    };
    let of_head = |reference: &PromptReference| find(head, reference);
    let of_base = |reference: &PromptReference| match base {
        Some(base) => find(base, reference),
        None => Err("there is no base".to_owned()),
    };
    let before = base.and_then(|base| {
        let mut suites = base.suites.iter();
        Some((base, suites.find(|old| old.path == suite.path)?))
    });
    planner::plan(&Request {
        head: Tree {
            suite,
            commit: head.commit.clone(),
            name: head.name.clone(),
            prompts: &of_head,
        },
        base: before.map(|(base, suite)| Tree {
            suite,
            commit: base.commit.clone(),
            name: base.name.clone(),
            prompts: &of_base,
        }),
        filter: &Filter::default(),
        figures,
    })
}

/// A problem with its hint, on two lines.
pub(crate) fn describe(problem: &Problem) -> String {
    let text = match &problem.hint {
        Some(hint) => format!("{problem}\n  hint: {hint}"),
        None => problem.to_string(),
    };
    // A line break is ours; all else that a terminal would obey is not.
    let lines: Vec<String> = text.lines().map(output::clean).collect();
    lines.join("\n")
}

fn report(checked: &[Checked], problems: &[Problem]) -> Value {
    let suites: Vec<Value> = checked.iter().map(suite_json).collect();
    json!({"ok": problems.is_empty(), "suites": suites, "problems": problems})
}

fn suite_json(checked: &Checked) -> Value {
    let Checked {
        suite,
        plan,
        counts,
    } = checked;
    let cases: Vec<Value> = suite
        .cases
        .iter()
        .map(|case| {
            json!({
                "id": case.id,
                "description": case.description,
                "place": case.place,
                "asserts": case.asserts.len(),
            })
        })
        .collect();
    json!({
        "name": suite.name,
        "path": suite.path,
        "description": suite.description,
        "hash": suite.hash,
        "prompts": suite.prompts.iter().map(|prompt| &prompt.label).collect::<Vec<_>>(),
        "models": suite.models.iter().map(|model| &model.label).collect::<Vec<_>>(),
        "subjects": counts.subjects,
        "repeat": suite.settings.repeat,
        "gates": suite.settings.gates,
        "forecast": plan.forecast,
        "warnings": plan.warnings,
        "files": suite.files,
        "cases": cases,
    })
}
