//! `promptgate prompts bisect`: which version was the first bad one.

mod assertion;
mod command;

use crate::app::{self, Environment};
use crate::cli::output::{self, Failure};
use crate::cli::paint::{Paint, Style};
use crate::cli::samples::SampleArguments;
use crate::cli::{Common, diff, reach};
use crate::domain::{PromptKey, PromptReference, Selector};
use crate::prompts::diff::Side;
use crate::prompts::{CommitLine, Prompts, Sample, Search, Trial};
use assertion::{Assertion, judge};
use clap::{ArgGroup, Args};
use command::Command;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

/// Versions that are all tried when that costs nothing but rendering.
const MAX_ALL: u32 = 1_000;

/// Between which versions, and what makes one bad.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("test").required(true).multiple(true))]
pub(crate) struct BisectCommand {
    /// The prompt, `NAME[.VARIANT]`.
    #[arg(value_parser = PromptKey::parse)]
    prompt: PromptKey,
    /// A version that is good: `v3`.
    #[arg(long, value_name = "VERSION", value_parser = number)]
    good: u32,
    /// A later version that is bad: `v9`.
    #[arg(long, value_name = "VERSION", value_parser = number)]
    bad: u32,
    /// A command line that gets the rendered prompt on stdin: exit 0 is good, 125 skips, 1 to 127 is bad.
    #[arg(long, group = "test", value_name = "COMMAND")]
    run: Option<String>,
    /// Good is a rendered prompt with this text.
    #[arg(long, group = "test", value_name = "TEXT")]
    contains: Vec<String>,
    /// Good is a rendered prompt without this text.
    #[arg(long, group = "test", value_name = "TEXT")]
    not_contains: Vec<String>,
    /// Good is what this holds for: `contains:TEXT`, `max-tokens:N`, `role:NAME`, `model:NAME`, ...
    #[arg(long, group = "test", value_name = "ASSERTION")]
    assert: Vec<Assertion>,
    /// How long the command may take.
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    timeout: u64,
    /// Try every version between the two, to see whether good and bad take turns.
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    sample: SampleArguments,
}

fn number(text: &str) -> Result<u32, String> {
    match text.parse::<Selector>() {
        Ok(Selector::Number(number)) => Ok(number),
        _ => Err("a version is `v7`".to_owned()),
    }
}

/// What is tried, with what is needed for it.
struct Bench<'a> {
    prompts: &'a Prompts,
    key: &'a PromptKey,
    sample: Sample,
    assertions: Vec<Assertion>,
    command: Option<Command>,
    sides: BTreeMap<u32, Side>,
    /// Why versions were skipped.
    reasons: BTreeMap<u32, String>,
}

/// Runs the command.
pub(crate) async fn run(
    command: BisectCommand,
    common: &Common,
    environment: &Environment,
) -> Result<(), Failure> {
    let config = reach::config(common, environment)?;
    let prompts = Prompts::archived(config.prompts.clone(), app::read_only_archive(&config));
    prompts.number_all().map_err(failure)?;
    let mut bench = Bench {
        prompts: &prompts,
        key: &command.prompt,
        sample: Sample::empty(),
        assertions: assertions(&command),
        command: command.run.clone().map(|line| Command {
            line,
            deadline: Duration::from_secs(command.timeout),
        }),
        sides: BTreeMap::new(),
        reasons: BTreeMap::new(),
    };
    bench.check_names(&[command.good, command.bad])?;
    let newest = bench.side(command.bad).await?;
    bench.sample = command.sample.choose(&newest)?;
    let mut search = Search::between(command.good, command.bad).ok_or_else(|| {
        let message = format!("v{} does not come before v{}", command.good, command.bad);
        let hint = "versions are numbered by their first appearance: `promptgate prompts log NAME`";
        Failure::usage(message).with_hint(Some(hint.to_owned()))
    })?;
    bench.check_ends(command.good, command.bad).await?;
    while let Some(version) = search.next() {
        let trial = bench.trial(version).await?;
        search.note(version, trial);
    }
    // Rendering costs nothing, so every version is looked at; a command is run only when asked for.
    let is_cheap = bench.command.is_none() && command.bad - command.good <= MAX_ALL;
    if is_cheap || command.all {
        for version in command.good + 1..command.bad {
            if !search.trials().contains_key(&version) {
                let trial = bench.trial(version).await?;
                search.note(version, trial);
            }
        }
    }
    report(
        &mut bench,
        &search,
        common.json,
        Paint::of_stdout(environment),
    )
    .await
}

fn failure(error: crate::prompts::Error) -> Failure {
    app::Error::from(error).into()
}

fn assertions(command: &BisectCommand) -> Vec<Assertion> {
    let contains = command.contains.iter().cloned().map(Assertion::Contains);
    let lacks = command
        .not_contains
        .iter()
        .cloned()
        .map(Assertion::NotContains);
    contains
        .chain(lacks)
        .chain(command.assert.iter().cloned())
        .collect()
}

impl Bench<'_> {
    /// Whether there are such versions.
    fn check_names(&self, versions: &[u32]) -> Result<(), Failure> {
        let log = self.prompts.log(self.key).map_err(failure)?;
        for version in versions {
            let name = format!("v{version}");
            if log.entries.iter().all(|entry| entry.version != name) {
                let message = format!("prompt `{}` has no version `{name}`", self.key);
                let hint = format!("`promptgate prompts log {}` lists them", self.key);
                return Err(Failure::new(message).with_hint(Some(hint)));
            }
        }
        Ok(())
    }

    async fn side(&mut self, version: u32) -> Result<Side, Failure> {
        if let Some(side) = self.sides.get(&version) {
            return Ok(side.clone());
        }
        let reference = PromptReference {
            key: self.key.clone(),
            selector: Selector::Number(version),
        };
        let side = self.prompts.side(&reference).await.map_err(failure)?;
        self.sides.insert(version, side.clone());
        Ok(side)
    }

    async fn trial(&mut self, version: u32) -> Result<Trial, Failure> {
        let side = self.side(version).await?;
        let sample = self.sample.declared_by(&side.bundle);
        let rendered = match side.bundle.render(&sample.input()) {
            Ok(rendered) => rendered,
            Err(error) => {
                self.reasons.insert(version, error.to_string());
                return Ok(Trial::Skipped);
            }
        };
        let trial = judge(&self.assertions, &side.bundle, &rendered);
        let Some(command) = self.command.clone().filter(|_| trial == Trial::Good) else {
            return Ok(trial);
        };
        let input = crate::cli::samples::conversation(&rendered, &sample.messages);
        let variables = self.environment(&side);
        let ran = tokio::task::spawn_blocking(move || command.run(&input, &variables)).await;
        let trial =
            ran.map_err(|error| Failure::new(format!("the command ended badly: {error}")))??;
        if trial == Trial::Skipped {
            self.reasons
                .insert(version, "the command asked for it".to_owned());
        }
        Ok(trial)
    }

    fn environment(&self, side: &Side) -> Vec<(&'static str, String)> {
        let model = side.bundle.model().unwrap_or_default();
        vec![
            ("PROMPTGATE_PROMPT", side.key.to_string()),
            ("PROMPTGATE_VERSION", side.version()),
            ("PROMPTGATE_HASH", side.bundle.hash().to_string()),
            ("PROMPTGATE_COMMIT", side.commit.clone().unwrap_or_default()),
            ("PROMPTGATE_MODEL", model.to_owned()),
            ("PROMPTGATE_SAMPLE", self.sample.name.clone()),
        ]
    }

    /// A search between two ends that are not as they are said to be finds nothing.
    async fn check_ends(&mut self, good: u32, bad: u32) -> Result<(), Failure> {
        for (version, wanted, name) in [(good, Trial::Good, "good"), (bad, Trial::Bad, "bad")] {
            let found = self.trial(version).await?;
            if found != wanted {
                let message = format!("v{version} is not {name}: it is {}", word(found));
                let reason = self.reasons.get(&version).cloned();
                let details = reason.into_iter().collect();
                let hint = "check the test, or choose other ends";
                return Err(Failure::new(message)
                    .with_details(details)
                    .with_hint(Some(hint.to_owned())));
            }
        }
        Ok(())
    }
}

const fn word(trial: Trial) -> &'static str {
    match trial {
        Trial::Good => "good",
        Trial::Bad => "bad",
        Trial::Skipped => "skipped",
    }
}

async fn report(
    bench: &mut Bench<'_>,
    search: &Search,
    as_json: bool,
    paint: Paint,
) -> Result<(), Failure> {
    let (good, bad) = (search.last_good(), search.first_bad());
    let ends = (bench.side(good).await?, bench.side(bad).await?);
    let log = bench.prompts.log(bench.key).map_err(failure)?;
    let name = format!("v{bad}");
    // The log is newest first: the last entry of a version is its first appearance.
    let commit = log.entries.iter().rev().find(|entry| entry.version == name);
    let commit = commit.map(|entry| entry.commit.clone());
    if as_json {
        return output::put(&format!(
            "{}\n",
            json(bench, search, &ends, commit.as_ref())
        ));
    }
    let mut text = String::new();
    for (version, trial) in search.trials() {
        let reason = bench.reasons.get(version);
        let reason = reason.map_or_else(String::new, |reason| format!(": {reason}"));
        let style = match trial {
            Trial::Good => Style::Added,
            Trial::Bad => Style::Removed,
            Trial::Skipped => Style::Faint,
        };
        let head = format!("v{version}  {}", paint.text(style, word(*trial)));
        paint.paragraph(&mut text, &head, 4, &reason);
    }
    outcome(&mut text, (good, bad), commit.as_ref(), paint);
    if let Some(more) = doubts(search) {
        paint.paragraph(&mut text, "warning: ", 9, &more);
    }
    text.push('\n');
    text.push_str(&diff::of_versions(&ends.0, &ends.1, paint));
    output::put(&text)
}

fn json(
    bench: &Bench<'_>,
    search: &Search,
    (before, after): &(Side, Side),
    commit: Option<&CommitLine>,
) -> Value {
    let (good, bad) = (search.last_good(), search.first_bad());
    let name = |version: u32| format!("v{version}");
    let tried = search.trials().iter().map(|(version, trial)| {
        let reason = bench.reasons.get(version);
        json!({"version": name(*version), "result": trial, "reason": reason})
    });
    let against = search.contradictions().into_iter();
    json!({
        "prompt": bench.key,
        "sample": bench.sample.name,
        "first_bad": {"version": name(bad), "hash": after.bundle.hash(), "commit": commit},
        "last_good": {"version": name(good), "hash": before.bundle.hash()},
        "skipped_between": (good + 1..bad).map(name).collect::<Vec<_>>(),
        "not_monotonic": against.map(|(version, _)| name(version)).collect::<Vec<_>>(),
        "tried": tried.collect::<Vec<_>>(),
        "diff": diff::versions(before, after),
    })
}

fn outcome(text: &mut String, (good, bad): (u32, u32), commit: Option<&CommitLine>, paint: Paint) {
    let first = paint.text(Style::Strong, &format!("v{bad} is the first bad version"));
    let _ = writeln!(text, "\n{first}; v{good} was good");
    if let Some(commit) = commit {
        let id: String = commit.commit.chars().take(9).collect();
        let told = format!(
            "{}, {}: {}",
            commit.author,
            commit.date.replace('T', " "),
            commit.subject
        );
        paint.paragraph(text, &format!("commit {id} by "), 2, &told);
    }
}

/// What makes the outcome less sure.
fn doubts(search: &Search) -> Option<String> {
    let skipped: Vec<u32> = (search.last_good() + 1..search.first_bad()).collect();
    let mut doubts = Vec::new();
    let names = |versions: &[u32]| {
        let names: Vec<String> = versions
            .iter()
            .map(|version| format!("v{version}"))
            .collect();
        names.join(", ")
    };
    if !skipped.is_empty() {
        doubts.push(format!(
            "{} could not be tried and may have been bad already",
            names(&skipped)
        ));
    }
    let found = search.contradictions();
    let of = |wanted: Trial| -> Vec<u32> {
        let these = found.iter().filter(|(_, trial)| *trial == wanted);
        these.map(|(version, _)| *version).collect()
    };
    let (good, bad) = (of(Trial::Good), of(Trial::Bad));
    if !good.is_empty() {
        doubts.push(format!(
            "good and bad take turns: {} good again",
            names(&good)
        ));
    }
    if !bad.is_empty() {
        doubts.push(format!(
            "good and bad take turns: {} bad before",
            names(&bad)
        ));
    }
    (!doubts.is_empty()).then(|| doubts.join("; "))
}
