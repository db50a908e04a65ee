//! `promptgate embeddings index build|show|drop`.

use crate::app::Environment;
use crate::cli::Common;
use crate::cli::embeddings::thousands;
use crate::cli::output::{self, Failure, at};
use crate::cli::reach::{Admin, escape};
use crate::embeddings::search::index::RECALL_OF;
use clap::{Args, Subcommand};
use http::Method;
use serde_json::{Value, json};

/// What the help of `index build` ends with.
const HELP: &str = "\
The index is a graph (HNSW). Its recall is measured on rows that are held back while it is made, and stands in the
manifest; a search uses it only where that recall is what was wanted, and says so. Comparisons never use it. It is a
cache: `index drop` removes it, and `snapshot delete-item` does too, as the item must not be found any more.";

#[derive(Debug, Subcommand)]
pub(crate) enum IndexCommand {
    /// Make the search index of a snapshot, and measure what it finds.
    #[command(after_help = HELP)]
    Build(BuildArguments),
    /// Show what is known of it.
    Show(NameArguments),
    /// Remove it; searches look at every item then.
    Drop(NameArguments),
}

#[derive(Debug, Args)]
pub(crate) struct BuildArguments {
    /// The snapshot: `docs@2`.
    snapshot: String,
    /// To how many others an item is linked, from 2 to 64 (default: 16).
    #[arg(long, value_name = "N")]
    links: Option<usize>,
    /// How many candidates are looked at for its links (default: 100).
    #[arg(long, value_name = "N")]
    effort: Option<usize>,
    /// The share of the ten nearest that searches must find (default: 0.99).
    #[arg(long, value_name = "SHARE", value_parser = share)]
    recall: Option<f64>,
    /// Make none below so many items (default: 20000): looking at all is as fast.
    #[arg(long, value_name = "N")]
    least_rows: Option<usize>,
}

/// Reads a share; what is no number is none, and would be lost on its way as JSON.
fn share(text: &str) -> Result<f64, String> {
    let share = text.parse::<f64>().ok();
    let share = share.filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| "it is no number from 0 to 1".to_owned())
}

#[derive(Debug, Args)]
pub(crate) struct NameArguments {
    /// The snapshot: `docs@2`.
    snapshot: String,
}

/// Runs the command.
pub(super) async fn run(
    command: &IndexCommand,
    common: &Common,
    environment: &Environment,
) -> Result<(), Failure> {
    let admin = Admin::reach(common, environment)?;
    let answer = ask(&admin, command).await;
    admin.close().await?;
    let answer = answer?;
    if common.json {
        return output::put(&format!("{answer}\n"));
    }
    match command {
        IndexCommand::Build(_) => output::put(&built(&answer)),
        IndexCommand::Show(_) => output::put(&format!("{}\n", in_words(&answer))),
        IndexCommand::Drop(_) => output::put(&format!("{}: no index any more\n", name(&answer))),
    }
}

async fn ask(admin: &Admin, command: &IndexCommand) -> Result<Value, Failure> {
    match command {
        IndexCommand::Build(arguments) => {
            let body = json!({
                "snapshot": arguments.snapshot, "links": arguments.links, "effort": arguments.effort,
                "wanted_recall": arguments.recall, "least_rows": arguments.least_rows,
            });
            let path = "/api/embeddings/indexes";
            admin.send(Method::POST, path, Some(&body)).await
        }
        IndexCommand::Show(arguments) => {
            let path = format!("/api/embeddings/snapshots/{}", escape(&arguments.snapshot));
            admin.get(&path).await
        }
        IndexCommand::Drop(arguments) => {
            let name = escape(&arguments.snapshot);
            let path = format!("/api/embeddings/indexes?snapshot={name}");
            admin.send(Method::DELETE, &path, None).await
        }
    }
}

fn name(manifest: &Value) -> String {
    let collection = at(manifest, "collection").as_str().unwrap_or_default();
    format!("{}@{}", output::clean(collection), at(manifest, "number"))
}

fn in_words(manifest: &Value) -> String {
    let (index, name) = (at(manifest, "index"), name(manifest));
    if index.is_null() {
        return format!("{name}: no index; searches look at every item");
    }
    let parameters = at(index, "parameters");
    let problem = at(manifest, "index_problem").as_str().map(|problem| {
        let problem = output::clean(problem);
        format!("\nit is not used, searches look at every item: {problem}; build it again: `index build {name}`")
    });
    let problem = problem.unwrap_or_default();
    format!(
        "{name}: {}, {} links, effort {}; recall@{RECALL_OF} {:.3}, measured with {} queries{problem}",
        at(index, "kind").as_str().unwrap_or_default(),
        at(parameters, "links"),
        at(parameters, "effort"),
        at(index, "recall").as_f64().unwrap_or(0.0),
        at(index, "queries"),
    )
}

fn built(answer: &Value) -> String {
    let manifest = at(answer, "snapshot");
    if !at(answer, "exact").is_null() {
        let items = at(manifest, "items")
            .as_u64()
            .map_or_else(String::new, thousands);
        return format!(
            "{}: no index is made of {items} items, as looking at all is as fast (`--least-rows`)\n",
            name(manifest)
        );
    }
    let mut text = format!("{}\n", in_words(manifest));
    for at_effort in at(answer, "recall").as_array().into_iter().flatten() {
        let number = |key: &str| at(at_effort, key).as_f64().unwrap_or(0.0);
        let share = number("found") / number("of").max(1.0);
        text.push_str(&format!(
            "  ef {:>4}  {share:.4}\n",
            at(at_effort, "effort")
        ));
    }
    if at(answer, "effort").is_null() {
        text.push_str("that is less than was wanted: searches look at every item; build with more `--links` or `--effort`\n");
    }
    text
}
