//! `promptgate prompts diff`: what changes, for whom, and at what cost.

mod markdown;
mod money;
mod outputs;
mod text;
mod words;

use crate::app::{self, Config, Environment, PriceBook};
use crate::cli::output::{self, Failure};
use crate::cli::paint::Paint;
use crate::cli::reach::{Admin, escape};
use crate::cli::{Common, reach};
use crate::domain::{Clock, PromptKey, PromptReference, Selector, nearest_names};
use crate::git;
use crate::prompts::diff::{
    Diff, Facts, Pair, PromptDiff, Revision, Side, Tree, TreeName, Usage, Verdict, compare, pairs,
    shared_files,
};
use crate::prompts::{Error, Prompts, Source};
use clap::{Args, ValueEnum};
use outputs::Outputs;
use std::collections::BTreeSet;

/// What to compare, and how to say it.
#[derive(Debug, Args)]
pub(crate) struct DiffCommand {
    /// Git references (default: HEAD against the files as they are now; one: it against those files; or
    /// `BASE..HEAD`, or `BASE...HEAD` since they parted), or two versions `NAME@v3 NAME@v7`; then names of prompts.
    #[arg(value_name = "BASE HEAD PROMPT")]
    what: Vec<String>,
    /// Only these prompts.
    #[arg(last = true, value_name = "PROMPT", value_parser = PromptKey::parse)]
    only: Vec<PromptKey>,
    /// How to print it.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Exit with 1 when the verdict is this grave or graver.
    #[arg(long, value_enum, value_name = "LEVEL", num_args = 0..=1, require_equals = true,
        default_missing_value = "cosmetic")]
    exit_code: Option<Level>,
    /// Tell how far the answers of the two versions lie apart, by a run of evals that embedded both
    /// (default: the newest that did). Nobody is asked anew.
    #[arg(long, value_name = "RUN", num_args = 0..=1, require_equals = true,
        default_missing_value = outputs::NEWEST)]
    outputs: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
    Markdown,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Level {
    Cosmetic,
    Behavioural,
    Breaking,
}

impl Level {
    const fn verdict(self) -> Verdict {
        match self {
            Self::Cosmetic => Verdict::Cosmetic,
            Self::Behavioural => Verdict::Behavioural,
            Self::Breaking => Verdict::Breaking,
        }
    }
}

/// Runs the command.
pub(crate) async fn run(
    command: DiffCommand,
    common: &Common,
    environment: &Environment,
) -> Result<(), Failure> {
    let config = reach::config(common, environment)?;
    let archive = app::read_only_archive(&config);
    let prompts = Prompts::archived(config.prompts.clone(), archive);
    if let Err(error) = prompts.number_all() {
        output::say(&format!("warning: {error}\n"));
    }
    let matter = matter(&prompts, &config, &command).await?;
    let mut records = Records::open(common, environment, &config);
    let book = app::price_book(&config);
    let mut found = Vec::new();
    for (pair, labels) in matter.pairs.iter().zip(&matter.labels) {
        found.extend(prompt_diff(pair, labels.clone(), &mut records, &book).await);
    }
    let outputs = match &command.outputs {
        Some(run) => outputs::find(records.admin.as_ref(), run, &matter.pairs).await,
        None => Ok(Vec::new()),
    };
    let no_records = records.problem.clone();
    records.close().await?;
    let outputs = outputs?;
    let diff =
        Diff::new(matter.base, matter.head, found, matter.shared).without_records(no_records);
    let format = if common.json {
        Format::Json
    } else {
        command.format
    };
    let paint = Paint::of_stdout(environment);
    let (mut text, more): (String, Vec<String>) = match format {
        Format::Text => (
            text::write(&diff, paint),
            outputs.iter().map(|outputs| outputs.text(paint)).collect(),
        ),
        Format::Markdown => (
            markdown::write(&diff),
            outputs.iter().map(Outputs::markdown).collect(),
        ),
        Format::Json => (json(&diff, &outputs)?, Vec::new()),
    };
    text.extend(more);
    output::put(&text)?;
    let level = command.exit_code.map(Level::verdict);
    match level
        .zip(diff.verdict)
        .filter(|(level, verdict)| level <= verdict)
    {
        Some((_, verdict)) => Err(Failure::new(format!(
            "the prompts differ: {}",
            verdict.as_str()
        ))),
        None => Ok(()),
    }
}

fn json(diff: &Diff, outputs: &[Outputs]) -> Result<String, Failure> {
    let unwritable =
        |error: serde_json::Error| Failure::new(format!("the diff cannot be written: {error}"));
    if outputs.is_empty() {
        let json = serde_json::to_string(diff).map_err(unwritable)?;
        return Ok(format!("{json}\n"));
    }
    let mut value = serde_json::to_value(diff).map_err(unwritable)?;
    if let Some(fields) = value.as_object_mut() {
        let outputs = outputs.iter().map(Outputs::json).collect();
        fields.insert("outputs".to_owned(), outputs);
    }
    Ok(format!("{value}\n"))
}

/// Compares two versions, for other commands: without what it costs whom.
pub(crate) fn versions(base: &Side, head: &Side) -> Option<PromptDiff> {
    let pair = Pair {
        base: Some(base.clone()),
        head: Some(head.clone()),
        problems: Vec::new(),
    };
    compare(&pair, &Facts::default())
}

/// Shows what differs between two versions, for other commands.
pub(crate) fn of_versions(base: &Side, head: &Side, paint: Paint) -> String {
    versions(base, head).map_or_else(String::new, |diff| text::changes(&diff, paint))
}

/// What is compared.
struct Matter {
    base: TreeName,
    head: TreeName,
    pairs: Vec<Pair>,
    shared: Vec<crate::prompts::diff::SharedFile>,
    /// The labels that get the head of each pair; absent where `releases.yaml` cannot be read.
    labels: Vec<Option<Vec<String>>>,
}

async fn matter(
    prompts: &Prompts,
    config: &Config,
    command: &DiffCommand,
) -> Result<Matter, Failure> {
    let versions: Vec<PromptReference> = command
        .what
        .iter()
        .filter_map(|what| version(what))
        .collect();
    if !versions.is_empty() {
        if versions.len() != command.what.len() || 2 < versions.len() || !command.only.is_empty() {
            let hint = "compare two versions: `prompts diff support/refund@v3 support/refund@v7`";
            let failure = Failure::usage("versions cannot be compared with Git references");
            return Err(failure.with_hint(Some(hint.to_owned())));
        }
        return of_references(prompts, versions).await;
    }
    let mut what = command.what.clone();
    if let Some(first) = what.first().cloned()
        && let Some((base, head)) = first.split_once("..")
    {
        what.splice(0..1, range(prompts, base, head)?);
    }
    of_trees(prompts, config, &what, &command.only)
}

/// Reads what stands around `..`. As in Git, three dots mean what the head did since the two parted.
fn range(prompts: &Prompts, base: &str, head: &str) -> Result<[String; 2], Failure> {
    let or_head = |name: &str| if name.is_empty() { "HEAD" } else { name }.to_owned();
    let base = or_head(base);
    let Some(head) = head.strip_prefix('.') else {
        return Ok([base, or_head(head)]);
    };
    let head = or_head(head);
    let parted = prompts.merge_base(&base, &head).map_err(failure)?;
    Ok([parted, head])
}

/// Reads `NAME@SELECTOR`; a Git reference may have an `@` too.
fn version(what: &str) -> Option<PromptReference> {
    let reference: PromptReference = what.parse().ok()?;
    (reference.selector != Selector::Default).then_some(reference)
}

async fn of_references(
    prompts: &Prompts,
    mut versions: Vec<PromptReference>,
) -> Result<Matter, Failure> {
    if let Err(error) = prompts.reload() {
        output::say(&format!("warning: {error}\n"));
    }
    if let [only] = versions.as_slice() {
        let newest = PromptReference {
            key: only.key.clone(),
            selector: Selector::Latest,
        };
        versions.push(newest);
    }
    let mut sides = Vec::new();
    for reference in &versions {
        sides.push(prompts.side(reference).await.map_err(failure)?);
    }
    let name = |index: usize, sides: &[Side]| TreeName {
        name: versions
            .get(index)
            .map(ToString::to_string)
            .unwrap_or_default(),
        commit: sides.get(index).and_then(|side| side.commit.clone()),
    };
    let (base, head) = (name(0, &sides), name(1, &sides));
    let head_side = sides.pop();
    let pair = Pair {
        base: sides.pop(),
        head: head_side,
        problems: Vec::new(),
    };
    let served = prompts.snapshot();
    let is_served = pair.head.as_ref().is_some_and(|head| {
        let now = served.get(&head.key).map(|prompt| prompt.bundle.hash());
        now == Some(head.bundle.hash())
    });
    let labels = pair.head.as_ref().and_then(|head| served.labels(&head.key));
    let labels = labels.map(|labels| if is_served { labels } else { Vec::new() });
    Ok(Matter {
        base,
        head,
        pairs: vec![pair],
        shared: Vec::new(),
        labels: vec![labels],
    })
}

fn of_trees(
    prompts: &Prompts,
    config: &Config,
    what: &[String],
    only: &[PromptKey],
) -> Result<Matter, Failure> {
    let mut rest = what.iter().peekable();
    let mut trees = Vec::new();
    while let Some(name) = rest.peek().filter(|_| trees.len() < 2) {
        match prompts.tree(&Revision::Reference((*name).clone())) {
            Ok(tree) => trees.push(tree),
            Err(Error::Git(git::Error::UnknownReference { .. })) => break,
            Err(error) => return Err(failure(error)),
        }
        rest.next();
    }
    let names: Vec<&String> = rest.collect();
    let mut trees = trees.into_iter();
    let base = match trees.next() {
        Some(tree) => tree,
        None => default_base(prompts, config)?,
    };
    let head = match trees.next() {
        Some(tree) => tree,
        None => prompts.tree(&Revision::Working).map_err(failure)?,
    };
    let mut wanted: BTreeSet<PromptKey> = only.iter().cloned().collect();
    let known: BTreeSet<PromptKey> = base.keys().into_iter().chain(head.keys()).collect();
    for name in names {
        wanted.insert(PromptKey::parse(name).map_err(|_| unknown(name, &known))?);
    }
    if let Some(missing) = wanted.iter().find(|key| !known.contains(key)) {
        return Err(unknown(missing.as_str(), &known));
    }
    let name = |tree: &Tree| TreeName {
        name: tree.name.clone(),
        commit: tree.commit.clone(),
    };
    let mut found = pairs(&base, &head);
    found.retain(|pair| Diff::keeps(&wanted, pair));
    let mut shared = shared_files(&base, &head);
    shared.retain(|file| wanted.is_empty() || file.prompts.iter().any(|key| wanted.contains(key)));
    let labels = found.iter().map(|pair| match &pair.head {
        Some(side) => head.labels(&side.key),
        None => Some(Vec::new()),
    });
    Ok(Matter {
        base: name(&base),
        head: name(&head),
        labels: labels.collect(),
        pairs: found,
        shared,
    })
}

/// The newest commit, which working files are compared with.
fn default_base(prompts: &Prompts, config: &Config) -> Result<Tree, Failure> {
    match &config.prompts.source {
        Source::Directory(_) => {
            let tree = prompts.tree(&Revision::Reference("HEAD".to_owned()));
            tree.map_err(failure)
        }
        Source::Git(_) => {
            let hint = "`promptgate prompts diff BASE` compares a commit with the tracked branch";
            let failure =
                Failure::usage("the prompts come from a repository: there are no working files");
            Err(failure.with_hint(Some(hint.to_owned())))
        }
    }
}

fn unknown(name: &str, known: &BTreeSet<PromptKey>) -> Failure {
    let near = nearest_names(name, known.iter().map(PromptKey::as_str));
    let hint = near.first().map(|near| format!("did you mean `{near}`?"));
    Failure::usage(format!("`{name}` is neither a Git reference nor a prompt")).with_hint(hint)
}

fn failure(error: Error) -> Failure {
    app::Error::from(error).into()
}

async fn prompt_diff(
    pair: &Pair,
    labels: Option<Vec<String>>,
    records: &mut Records,
    book: &PriceBook,
) -> Option<PromptDiff> {
    let now = Clock::System.now();
    let price = |side: &Option<Side>| book.row(side.as_ref()?.bundle.model()?, now);
    // Callers know a prompt by the name it has had.
    let called = pair.base.as_ref().or(pair.head.as_ref());
    let called = called.map(|side| side.key.clone())?;
    let facts = Facts {
        usage: records.usage(&called).await,
        base_price: price(&pair.base),
        head_price: price(&pair.head),
        labels,
    };
    let pair = pair.clone();
    let diff = tokio::task::spawn_blocking(move || compare(&pair, &facts)).await;
    diff.ok().flatten()
}

/// The records, where there are any.
struct Records {
    admin: Option<Admin>,
    /// Why there are none.
    problem: Option<String>,
}

impl Records {
    fn open(common: &Common, environment: &Environment, config: &Config) -> Self {
        let dir = &config.store.dir;
        // Opening would make a store where there is none.
        if !app::has_records(config) {
            let problem = format!("there are no records in `{}`", dir.display());
            return Self {
                admin: None,
                problem: Some(problem),
            };
        }
        match Admin::reach(common, environment) {
            Ok(admin) => Self {
                admin: Some(admin),
                problem: None,
            },
            Err(failure) => Self {
                admin: None,
                problem: Some(format!("the records cannot be read: {}", failure.message())),
            },
        }
    }

    async fn usage(&mut self, key: &PromptKey) -> Option<Usage> {
        let path = format!("/api/prompts/usage?prompt={}", escape(key.as_str()));
        let answer = match self.admin.as_ref()?.get(&path).await {
            Ok(answer) => serde_json::from_value(answer).map_err(|error| error.to_string()),
            Err(failure) => Err(failure.message().to_owned()),
        };
        match answer {
            Ok(usage) => Some(usage),
            Err(problem) => {
                self.problem = Some(format!("the records cannot be read: {problem}"));
                None
            }
        }
    }

    async fn close(self) -> Result<(), Failure> {
        match self.admin {
            Some(admin) => admin.close().await,
            None => Ok(()),
        }
    }
}
