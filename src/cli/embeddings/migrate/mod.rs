//! `promptgate embeddings migrate …`.

mod words;

use crate::app::Environment;
use crate::cli::Common;
use crate::cli::calls::time;
use crate::cli::embeddings::migrate::words::{amount, in_words, spent};
use crate::cli::evals::dollars;
use crate::cli::output::{self, Align, Failure, at, clean, table};
use crate::cli::progress::ProgressLine;
use crate::cli::reach::{Admin, escape};
use crate::domain::PicoDollars;
use crate::embeddings::migrate::{MoveWish, StartWish};
use crate::embeddings::snapshots::{LimitsWish, SpaceWish};
use clap::{Args, Subcommand};
use http::Method;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// What the command's help ends with.
pub(super) const HELP: &str = "\
A migration goes from `shadow` (a sample shows what would change) over `recall` (the old version serves) and
`cascade` (the old version finds candidates, the new one ranks them, and only their texts are embedded) to
`backfill` (the rest in the background) and `cutover` (the new version is served). Until then queries of
applications stay in the old version's space. `rollback` serves the old version again, at any time.

  promptgate embeddings migrate start docs --to-model openai/text-embedding-3-large --max-cost 5
  promptgate embeddings migrate advance docs
  promptgate embeddings search docs \"refund after 30 days\"
  promptgate embeddings migrate backfill docs
  promptgate embeddings migrate cutover docs --gate 'overlap@10 < 0.5'

`cutover --dual-write` goes on with the old version beside the new one: whatever is added gets vectors of
both, so that `rollback` loses nothing.

Exit codes: 0 done, 1 refused or stopped, 2 wrong usage.";

#[derive(Debug, Subcommand)]
pub(crate) enum MigrateCommand {
    /// Begin a migration: embed what a sample needs, and show what would change.
    Start(Box<StartArguments>),
    /// Show how a migration is, what was spent and what is to be expected.
    Status(CollectionArguments),
    /// Go to the next state: recall, cascade, backfill.
    Advance(StepArguments),
    /// Embed the rest in the background, or go on with it after a stop.
    Backfill(StepArguments),
    /// Ask the new model for nothing more, for now.
    Pause(EndArguments),
    /// Go on after a pause.
    Resume(StepArguments),
    /// Make the snapshot of the new version and serve it.
    Cutover(Box<CutoverArguments>),
    /// Serve the old version, and end the migration.
    Rollback(EndArguments),
    /// List migrations, the oldest first.
    List,
}

#[derive(Debug, Args)]
pub(crate) struct StartArguments {
    /// The collection.
    collection: String,
    /// The new version's model: `openai/text-embedding-3-large`.
    #[arg(long, value_name = "MODEL", required_unless_present = "to_space")]
    to_model: Option<String>,
    /// The new version, as embeddings.toml declares it.
    #[arg(long, value_name = "NAME")]
    to_space: Option<String>,
    /// The new version's `dimensions` parameter.
    #[arg(long, value_name = "N")]
    dimensions: Option<u32>,
    /// Cut the new version's vectors to so many dimensions after they came.
    #[arg(long, value_name = "N")]
    truncate: Option<u32>,
    /// Bring the new version's vectors to length 1.
    #[arg(long)]
    normalise: bool,
    /// Rank so many candidates of the old version anew (default: 50).
    #[arg(long, value_name = "N")]
    candidates: Option<usize>,
    /// Spend at most so many dollars on the new version.
    #[arg(long, value_name = "USD", value_parser = dollars)]
    max_cost: Option<PicoDollars>,
    /// Let the background ask for at most so many texts in a minute.
    #[arg(long, value_name = "N")]
    texts_per_minute: Option<u32>,
    /// Make at most so many requests at once.
    #[arg(long, short = 'j', value_name = "N")]
    concurrency: Option<u32>,
    /// Send at most so many texts in a request.
    #[arg(long, value_name = "N")]
    batch_texts: Option<usize>,
    /// Ask with so many texts of the collection to see what would change; 0: with none (default: 20).
    #[arg(long, value_name = "N")]
    sample: Option<usize>,
    /// Ask with the lines of this file in place of texts of the collection.
    #[arg(long, value_name = "FILE")]
    queries: Option<PathBuf>,
    /// Refuse the cut-over when this is so, or cannot be decided, as `cutover --gate` does.
    #[arg(long = "gate", value_name = "GATE")]
    gates: Vec<String>,
    /// Who does it, for the audit log (default: the user).
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct CollectionArguments {
    /// The collection.
    collection: String,
}

#[derive(Debug, Args)]
pub(crate) struct StepArguments {
    /// The collection.
    collection: String,
    /// Spend at most so many dollars on the new version, what was spent included.
    #[arg(long, value_name = "USD", value_parser = dollars)]
    max_cost: Option<PicoDollars>,
    /// Let the background ask for at most so many texts in a minute.
    #[arg(long, value_name = "N")]
    texts_per_minute: Option<u32>,
    /// Leave the background to the server in place of following it.
    #[arg(long)]
    detach: bool,
    /// Who does it, for the audit log (default: the user).
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct EndArguments {
    /// The collection.
    collection: String,
    /// Who does it, for the audit log (default: the user).
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct CutoverArguments {
    /// The collection.
    collection: String,
    /// Refuse when this is so, or cannot be decided: `overlap@10 < 0.5`, `ndcg@10 drop > 0.01`.
    #[arg(long = "gate", value_name = "GATE")]
    gates: Vec<String>,
    /// Queries for the gates, as `compare` reads them (default: texts of the collection).
    #[arg(long, value_name = "FILE")]
    queries: Option<PathBuf>,
    /// Labels of those queries.
    #[arg(long, value_name = "FILE", requires = "queries")]
    labels: Option<PathBuf>,
    /// Cut over though gates are not met; never though vectors are missing.
    #[arg(long)]
    force: bool,
    /// Go on with the old version too: what is added gets vectors of both, so that a rollback loses nothing;
    /// `pause` ends that.
    #[arg(long)]
    dual_write: bool,
    /// Who does it, for the audit log (default: the user).
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
}

/// Runs the command.
pub(super) async fn run(
    command: MigrateCommand,
    common: &Common,
    environment: &Environment,
) -> Result<(), Failure> {
    let who = |by: &Option<String>| {
        let user = || environment.get("USER").map(str::to_owned);
        by.clone().or_else(user)
    };
    let step = |arguments: &StepArguments| {
        let wish = MoveWish {
            by: who(&arguments.by),
            max_cost: arguments.max_cost,
            texts_per_minute: arguments.texts_per_minute,
            ..MoveWish::default()
        };
        (arguments.collection.clone(), wish, arguments.detach)
    };
    let end = |arguments: &EndArguments| {
        let wish = MoveWish {
            by: who(&arguments.by),
            ..MoveWish::default()
        };
        (arguments.collection.clone(), wish, false)
    };
    let (verb, (collection, wish, is_detached)) = match &command {
        MigrateCommand::List => return list(common, environment).await,
        MigrateCommand::Status(of) => return status(&of.collection, common, environment).await,
        MigrateCommand::Start(arguments) => {
            let wish = arguments.wish(who(&arguments.by))?;
            return start(&wish, common, environment).await;
        }
        MigrateCommand::Cutover(arguments) => {
            let wish = arguments.wish(who(&arguments.by))?;
            ("cutover", (arguments.collection.clone(), wish, true))
        }
        MigrateCommand::Advance(arguments) => ("advance", step(arguments)),
        MigrateCommand::Backfill(arguments) => ("backfill", step(arguments)),
        MigrateCommand::Pause(arguments) => ("pause", end(arguments)),
        MigrateCommand::Resume(arguments) => ("resume", step(arguments)),
        MigrateCommand::Rollback(arguments) => ("rollback", end(arguments)),
    };
    let body = json!({"collection": collection, "verb": verb, "with": wish});
    let admin = Admin::reach(common, environment)?;
    let moved = take(&admin, &body, is_detached).await;
    admin.close().await?;
    show(&moved?, common)
}

impl StartArguments {
    fn wish(&self, by: Option<String>) -> Result<StartWish, Failure> {
        let queries = self.queries.as_deref().map(read_text).transpose()?;
        let queries = queries.unwrap_or_default();
        let lines = queries.lines().map(str::trim);
        Ok(StartWish {
            collection: self.collection.clone(),
            to: SpaceWish {
                name: self.to_space.clone(),
                model: self.to_model.clone(),
                dimensions: self.dimensions,
                truncate: self.truncate,
                normalise: self.normalise.then_some(true),
                ..SpaceWish::default()
            },
            candidates: self.candidates,
            max_cost: self.max_cost,
            texts_per_minute: self.texts_per_minute,
            limits: LimitsWish {
                texts: self.batch_texts,
                tokens: None,
                concurrency: self.concurrency,
            },
            sample: self.sample,
            queries: lines
                .filter(|line| !line.is_empty())
                .map(str::to_owned)
                .collect(),
            gates: self.gates.clone(),
            by,
        })
    }
}

impl CutoverArguments {
    fn wish(&self, by: Option<String>) -> Result<MoveWish, Failure> {
        let read = |path: &Option<PathBuf>| path.as_deref().map(read_text).transpose();
        Ok(MoveWish {
            by,
            gates: self.gates.clone(),
            queries: read(&self.queries)?,
            labels: read(&self.labels)?,
            force: self.force,
            is_dual: self.dual_write,
            ..MoveWish::default()
        })
    }
}

fn read_text(path: &Path) -> Result<String, Failure> {
    let unreadable = |error| Failure::new(format!("cannot read `{}`: {error}", path.display()));
    std::fs::read_to_string(path).map_err(unreadable)
}

async fn start(
    wish: &StartWish,
    common: &Common,
    environment: &Environment,
) -> Result<(), Failure> {
    let admin = Admin::reach(common, environment)?;
    let path = "/api/embeddings/migrations";
    let begun = admin.send(Method::POST, path, Some(&json!(wish))).await;
    admin.close().await?;
    show(&begun?, common)
}

async fn status(
    collection: &str,
    common: &Common,
    environment: &Environment,
) -> Result<(), Failure> {
    let admin = Admin::reach(common, environment)?;
    let found = status_of(&admin, collection).await;
    admin.close().await?;
    show(&found?, common)
}

async fn status_of(admin: &Admin, collection: &str) -> Result<Value, Failure> {
    let collection = escape(collection);
    let path = format!("/api/embeddings/migrations/status?collection={collection}");
    admin.get(&path).await
}

/// Takes a step, and follows what begins with it in the background.
async fn take(admin: &Admin, body: &Value, is_detached: bool) -> Result<Value, Failure> {
    let path = "/api/embeddings/migrations/steps";
    let status = admin.send(Method::POST, path, Some(body)).await?;
    if is_detached || at(&status, "is_running") != true {
        return Ok(status);
    }
    let collection = at(body, "collection");
    let mut line = ProgressLine::of_stderr();
    let mut end = Value::Null;
    let mut show = |text: &[u8]| {
        let told: Value = serde_json::from_slice(text).unwrap_or_default();
        if at(&told, "type") == "ended" {
            end = told;
        } else {
            line.show(&spent(at(&told, "meter"), at(&told, "max_cost")));
        }
    };
    let path = "/api/embeddings/migrations/follow";
    let body = json!({"collection": collection});
    let followed = admin.lines(path, &body, &mut show).await;
    line.clear();
    followed?;
    let problem = at(&end, "problem");
    if let Some(message) = at(problem, "message").as_str() {
        let hint = at(problem, "hint").as_str().map(str::to_owned);
        return Err(Failure::new(message.to_owned()).with_hint(hint));
    }
    if end.is_null() {
        let hint = "the same command goes on; what is embedded is not paid twice";
        return Err(
            Failure::new("the server went away".to_owned()).with_hint(Some(hint.to_owned()))
        );
    }
    status_of(admin, collection.as_str().unwrap_or_default()).await
}

fn show(status: &Value, common: &Common) -> Result<(), Failure> {
    if common.json {
        return output::put(&format!("{status}\n"));
    }
    output::put(&in_words(status))
}

async fn list(common: &Common, environment: &Environment) -> Result<(), Failure> {
    let admin = Admin::reach(common, environment)?;
    let answer = admin.get("/api/embeddings/migrations").await;
    admin.close().await?;
    let answer = answer?;
    if common.json {
        return output::put(&format!("{}\n", at(&answer, "data")));
    }
    let all = at(&answer, "data").as_array().cloned().unwrap_or_default();
    if all.is_empty() {
        output::say("there are no migrations\n");
        return Ok(());
    }
    let row = |one: &Value| {
        let text = |key: &str| clean(at(one, key).as_str().unwrap_or_default());
        let first = at(one, "history").as_array().and_then(|all| all.first());
        vec![
            text("id"),
            text("collection"),
            text("state"),
            clean(
                at(at(one, "to_space"), "model")
                    .as_str()
                    .unwrap_or_default(),
            ),
            first.map_or_else(String::new, |first| time(at(first, "at"))),
            amount(at(at(one, "meter"), "pico_usd")).unwrap_or_default(),
        ]
    };
    let rows: Vec<Vec<String>> = all.iter().map(row).collect();
    output::put(&table(
        &[
            ("migration", Align::Left),
            ("collection", Align::Left),
            ("state", Align::Left),
            ("to", Align::Left),
            ("begun", Align::Left),
            ("spent", Align::Right),
        ],
        &rows,
    ))
}
