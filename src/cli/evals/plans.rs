//! From suites to plans: files are read in this process, wherever the run goes on.

use crate::app::{self, Config, Environment};
use crate::cli::evals::check::describe;
use crate::cli::evals::run::RunArguments;
use crate::cli::evals::touched::{Change, only_touched};
use crate::cli::evals::workspace::{self, Versions, Workspace};
use crate::cli::output::{self, Failure, at};
use crate::cli::reach::{Admin, escape};
use crate::domain::{Clock, PromptReference};
use crate::evals::baseline::{self, Named};
use crate::evals::plan::RunPlan;
use crate::evals::planner::{self, Figures, Filter, Request, ResolvedVersion, Tree};
use crate::evals::suite::{self, Problem, Settings, Suite};
use crate::prompts::diff::Revision;
use clap::Args;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

#[derive(Debug, Default, Args)]
pub(crate) struct Filters {
    /// Only these cases; may be given several times.
    #[arg(long = "case", value_name = "ID")]
    cases: Vec<String>,
    /// Only cases whose id or description has this text in it; `*` stands for anything.
    #[arg(long, value_name = "TEXT")]
    filter_pattern: Option<String>,
    /// Only the first so many cases.
    #[arg(long, value_name = "N")]
    filter_first_n: Option<usize>,
    /// Only so many cases, chosen by chance (by `--seed`, the same each time).
    #[arg(long, value_name = "N")]
    filter_sample: Option<usize>,
    /// What the sample is chosen by.
    #[arg(long, value_name = "N", requires = "filter_sample")]
    seed: Option<u64>,
    /// Only cases whose metadata says so; may be given several times.
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair)]
    filter_metadata: Vec<(String, String)>,
    /// Only cases that did not pass in that run.
    #[arg(long, value_name = "RUN")]
    filter_failing: Option<String>,
    /// Only cases that could not be judged in that run.
    #[arg(long, value_name = "RUN", conflicts_with = "filter_failing")]
    filter_errors_only: Option<String>,
    /// Only models with this label, with `*`; may be given several times.
    #[arg(long, value_name = "LABEL", visible_alias = "filter-targets")]
    filter_providers: Vec<String>,
    /// Only prompts with this label, with `*`; may be given several times.
    #[arg(long, value_name = "LABEL")]
    filter_prompts: Vec<String>,
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (key, value) = text
        .split_once('=')
        .ok_or_else(|| format!("`{text}` is not KEY=VALUE"))?;
    Ok((key.to_owned(), value.to_owned()))
}

impl Filters {
    /// Returns what is left out; rows of an earlier run are asked for when they decide.
    async fn filter(&self, admin: &Admin) -> Result<Filter, Failure> {
        let sample = self.filter_sample;
        Ok(Filter {
            ids: self.cases.iter().cloned().collect(),
            pattern: self.filter_pattern.clone(),
            metadata: self.filter_metadata.clone(),
            failing: self.of_run(admin).await?,
            models: self.filter_providers.clone(),
            prompts: self.filter_prompts.clone(),
            first: self.filter_first_n,
            sample: sample.map(|count| (count, self.seed.unwrap_or_else(rand::random))),
        })
    }

    /// Returns the cases that an earlier run decides, when a filter names one.
    async fn of_run(&self, admin: &Admin) -> Result<Option<BTreeSet<String>>, Failure> {
        let (run, marks) = match (&self.filter_failing, &self.filter_errors_only) {
            (Some(run), _) => (run, ["fail", "error"].as_slice()),
            (None, Some(run)) => (run, ["error"].as_slice()),
            (None, None) => return Ok(None),
        };
        let path = format!("/api/evals/runs/{}/rows", escape(run));
        let answer = admin.get(&path).await?;
        let rows = at(&answer, "data").as_array().into_iter().flatten();
        let wanted = rows.filter(|row| {
            let mark = at(at(row, "grade"), "mark").as_str();
            mark.is_some_and(|mark| marks.contains(&mark))
        });
        let ids = wanted.filter_map(|row| at(at(row, "cell"), "case").as_str());
        Ok(Some(ids.map(str::to_owned).collect()))
    }
}

/// Returns the plans to carry out.
pub(crate) async fn read(
    arguments: &RunArguments,
    admin: &Admin,
    config: &Config,
    environment: &Environment,
) -> Result<Vec<RunPlan>, Failure> {
    if !arguments.plans.is_empty() {
        return from_files(arguments);
    }
    let filter = arguments.filters.filter(admin).await?;
    let head = Workspace::open(&arguments.evals.path)?;
    let paths = head.suites(&arguments.suites, environment.variables())?;
    let (heads, problems) = load(&head, &paths, environment, arguments);
    refuse(&problems)?;
    let versions = workspace::versions(&heads, config, &Revision::Working).await?;
    let base = match &arguments.base {
        Some(reference) => {
            let found = base(&head, reference, &heads, (config, environment), arguments);
            Some(found.await?)
        }
        None => None,
    };
    let wanted = match &base {
        Some(base) if arguments.suites.is_empty() => base.touched(&heads, config)?,
        _ => paths.into_iter().collect(),
    };
    let book = app::price_book(config);
    let now = Clock::System.now();
    let figures = Figures {
        price: &|model| book.row(model, now),
        recorded_output: &|_| None,
        embedding_model: config.runs.embedding_model.as_deref(),
    };
    let (mut plans, mut problems) = (Vec::new(), Vec::new());
    let suites = heads.iter().enumerate();
    for (index, suite) in suites.filter(|(_, suite)| wanted.contains(&suite.path)) {
        let trees = (suite, &versions);
        let base = base.as_ref();
        let base = base.and_then(|base| Some((base, base.suites.get(index)?)));
        match plan(trees, base, &filter, &figures) {
            Ok(mut plan) => {
                plan.by = asked_by(arguments, environment);
                plan.find_commit(head.root());
                if base.is_none() {
                    plan.baseline = blessed(&arguments.evals.path, &plan.suite)?;
                }
                plans.push(plan);
            }
            Err(found) => problems.extend(found),
        }
    }
    refuse(&problems)?;
    Ok(plans)
}

/// What suites and prompts were at another commit.
struct Base {
    name: String,
    commit: Option<String>,
    /// In the order of those at head.
    suites: Vec<Suite>,
    /// The paths of those that are not there, or not readable.
    absent: BTreeSet<String>,
    versions: Versions,
}

impl Base {
    /// Returns the paths of the suites at head that are other than here.
    fn touched(&self, heads: &[Suite], config: &Config) -> Result<BTreeSet<String>, Failure> {
        let change = Change {
            heads,
            bases: &self.suites,
            absent: &self.absent,
            base: &self.name,
        };
        only_touched(&change, config)
    }
}

/// Reads base. A suite that is not there, or not readable, is asked as it is at head, with base's prompts.
async fn base(
    head: &Workspace,
    reference: &str,
    heads: &[Suite],
    (config, environment): (&Config, &Environment),
    arguments: &RunArguments,
) -> Result<Base, Failure> {
    let before = head.at(reference)?;
    let (mut suites, mut absent) = (Vec::new(), BTreeSet::new());
    for suite in heads {
        let path = std::slice::from_ref(&suite.path);
        let (mut found, problems) = load(&before, path, environment, arguments);
        for problem in &problems {
            output::say(&format!(
                "warning: the suite at `{reference}` is not used: {problem}\n"
            ));
        }
        suites.push(found.pop().unwrap_or_else(|| {
            absent.insert(suite.path.clone());
            suite.clone()
        }));
    }
    let revision = Revision::Reference(reference.to_owned());
    Ok(Base {
        versions: workspace::versions(&suites, config, &revision).await?,
        name: reference.to_owned(),
        commit: before.commit(),
        absent,
        suites,
    })
}

fn load(
    workspace: &Workspace,
    paths: &[String],
    environment: &Environment,
    arguments: &RunArguments,
) -> (Vec<Suite>, Vec<Problem>) {
    let source = workspace.source(environment.variables());
    let (mut suites, mut problems) = (Vec::new(), Vec::new());
    for path in paths {
        match suite::load(&source, path) {
            Ok(mut suite) => {
                arguments.overlay(&mut suite.settings);
                suites.push(suite);
            }
            Err(found) => problems.extend(found),
        }
    }
    (suites, problems)
}

fn plan(
    (suite, versions): (&Suite, &Versions),
    base: Option<(&Base, &Suite)>,
    filter: &Filter,
    figures: &Figures<'_>,
) -> Result<RunPlan, Vec<Problem>> {
    let of_head = |reference: &PromptReference| find(versions, reference);
    let of_base = |reference: &PromptReference| {
        base.map_or_else(
            || Err(String::new()),
            |(base, _)| find(&base.versions, reference),
        )
    };
    planner::plan(&Request {
        head: Tree {
            suite,
            commit: None,
            name: "this directory".to_owned(),
            prompts: &of_head,
        },
        base: base.map(|(base, suite)| Tree {
            suite,
            commit: base.commit.clone(),
            name: base.name.clone(),
            prompts: &of_base,
        }),
        filter,
        figures,
    })
}

fn find(versions: &Versions, reference: &PromptReference) -> Result<ResolvedVersion, String> {
    let found = versions.get(&reference.to_string()).cloned();
    found.unwrap_or_else(|| Err("there is no such prompt".to_owned()))
}

fn refuse(problems: &[Problem]) -> Result<(), Failure> {
    if problems.is_empty() {
        return Ok(());
    }
    let message = format!("problems in the suites: {}", problems.len());
    Err(Failure::usage(message).with_details(problems.iter().map(describe).collect()))
}

/// Who asks: as said, else who started the job.
fn asked_by(arguments: &RunArguments, environment: &Environment) -> Option<String> {
    let known = ["GITHUB_ACTOR", "GITLAB_USER_LOGIN"];
    let found = known.iter().find_map(|name| environment.get(name));
    arguments.by.clone().or_else(|| found.map(str::to_owned))
}

/// The results that were blessed for a suite.
fn blessed(evals: &Path, suite: &str) -> Result<Option<Named>, Failure> {
    baseline::blessed(evals, suite).map_err(|error| {
        let hint = error.hint().to_owned();
        Failure::usage(error.to_string()).with_hint(Some(hint))
    })
}

/// Reads the plans that are ready.
fn from_files(arguments: &RunArguments) -> Result<Vec<RunPlan>, Failure> {
    let plans = arguments.plans.iter().map(|path| from_file(path));
    let mut plans = plans.collect::<Result<Vec<_>, _>>()?;
    for plan in &mut plans {
        arguments.overlay(&mut plan.settings);
    }
    Ok(plans)
}

/// Reads a plan that is ready.
fn from_file(path: &Path) -> Result<RunPlan, Failure> {
    let shown = path.display();
    let text = fs::read(path)
        .map_err(|error| Failure::usage(format!("`{shown}` cannot be read: {error}")))?;
    serde_json::from_slice(&text)
        .map_err(|error| Failure::usage(format!("`{shown}` is no plan of a run: {error}")))
}

impl RunArguments {
    /// Lays what was said on the command line over what the suite says.
    fn overlay(&self, settings: &mut Settings) {
        if let Some(repeat) = self.repeat {
            settings.repeat = repeat.max(1);
        }
        if let Some(concurrency) = self.concurrency {
            settings.concurrency = concurrency.max(1);
        }
        if let Some(budget) = self.budget {
            settings.budget.total = Some(budget);
        }
        settings.is_cached &= !self.no_cache;
    }
}
