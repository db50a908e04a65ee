//! `promptgate embeddings search`.

use crate::app::Environment;
use crate::cli::Common;
use crate::cli::output::{self, Failure, at, clean};
use crate::cli::reach::Admin;
use crate::domain::PicoDollars;
use crate::embeddings::search::index::{LEAST_ROWS, RECALL_OF};
use crate::embeddings::search::{Chosen, Why};
use clap::{ArgAction, Args};
use http::Method;
use serde_json::{Value, json};
use std::fmt::Write as _;

/// What the command's help ends with.
pub(super) const HELP: &str = "\
Several snapshots are searched side by side, each with the text embedded in its own space:

  promptgate embeddings search docs@1,docs@2 \"refund after 30 days\"
  promptgate embeddings search docs@1 --adapter adapter-4f2a91 \"refund after 30 days\"

While a collection is migrated, its bare name is served as the migration says: candidates are found in the
old version and ranked by the new one. `docs@production` and `docs@1` are searched as they are.";

/// How much of a text is shown, in characters.
const SHOWN: usize = 90;

#[derive(Debug, Args)]
pub(crate) struct SearchArguments {
    /// The snapshots, with commas between: `docs@1,docs@production`.
    // One word: were it several, an option between them and the text would end them.
    #[arg(value_delimiter = ',', required = true, num_args = 1, action = ArgAction::Set)]
    snapshots: Vec<String>,
    /// What is looked for.
    text: String,
    /// How many items of each.
    #[arg(short, long, default_value_t = 10)]
    k: usize,
    /// Ask the model that this adapter maps from, and carry the vector over: `adapter-4f2a91`.
    #[arg(long, value_name = "ADAPTER")]
    adapter: Option<String>,
    /// Look at every item, also where there is an index.
    #[arg(long)]
    exact: bool,
}

/// Runs the command.
pub(super) async fn run(
    arguments: &SearchArguments,
    common: &Common,
    environment: &Environment,
) -> Result<(), Failure> {
    let admin = Admin::reach(common, environment)?;
    let body = json!({
        "snapshots": arguments.snapshots, "text": arguments.text, "k": arguments.k,
        "is_exact": arguments.exact, "adapter": arguments.adapter,
    });
    let path = "/api/embeddings/search";
    let answer = admin.send(Method::POST, path, Some(&body)).await;
    admin.close().await?;
    let answer = answer?;
    if common.json {
        return output::put(&format!("{}\n", at(&answer, "data")));
    }
    let found = at(&answer, "data").as_array().into_iter().flatten();
    let told: Vec<String> = found.map(told).collect();
    output::put(&told.join("\n"))
}

/// In which way a migration served it; empty where none did.
fn way_in_words(way: &Value) -> String {
    let text = |key: &str| clean(at(way, key).as_str().unwrap_or_default());
    let from = text("recalled_from");
    match at(way, "kind").as_str() {
        Some("cascade") => {
            let cost = PicoDollars(at(way, "pico_usd").as_u64().unwrap_or(0));
            format!(
                "cascade: {} candidates of {from}, {} embedded for this search; {} with the query\n",
                at(way, "candidates"),
                at(way, "embedded"),
                cost.to_short()
            )
        }
        Some(_) => {
            let of_problem = |key: &str| at(at(way, "problem"), key).as_str().map(clean);
            let problem = of_problem("message").map(|problem| format!(", because {problem}"));
            let hint = of_problem("hint").map(|hint| format!("  hint: {hint}\n"));
            let (problem, hint) = (problem.unwrap_or_default(), hint.unwrap_or_default());
            format!("recall: ranked by {from}{problem}\n{hint}")
        }
        None => String::new(),
    }
}

fn told(found: &Value) -> String {
    let text = |value: &Value| clean(value.as_str().unwrap_or_default());
    let through = at(found, "adapter").as_str();
    let through = through.map(|adapter| format!(" through {}", clean(adapter)));
    let mapped = at(found, "mapped_by").as_str();
    let mapped = mapped.map(|adapter| format!(" mapped by {}", clean(adapter)));
    let is_cascade = at(at(found, "way"), "kind") == "cascade";
    let mut out = format!(
        "{}{}  {}{}{}  {}\n",
        text(at(found, "snapshot")),
        if is_cascade { ", ranked anew by" } else { "" },
        text(at(found, "model")),
        mapped.unwrap_or_default(),
        through.unwrap_or_default(),
        how(found),
    );
    out.push_str(&way_in_words(at(found, "way")));
    let results = at(found, "results").as_array().cloned().unwrap_or_default();
    let ids: Vec<String> = results.iter().map(|hit| text(at(hit, "id"))).collect();
    let width = ids.iter().map(|id| id.chars().count()).max().unwrap_or(0);
    if results.iter().any(|hit| !at(hit, "as_new_model").is_null()) {
        out.push_str("      score   of the new model\n");
    }
    for ((hit, id), rank) in results.iter().zip(ids).zip(1..) {
        let score = at(hit, "score").as_f64().unwrap_or(0.0);
        let shown = text(at(hit, "text"))
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ");
        let shown: String = shown.chars().take(SHOWN).collect();
        let padding = " ".repeat(width.saturating_sub(id.chars().count()));
        let as_new = at(hit, "as_new_model").as_f64();
        let as_new = as_new.map(|score| format!("  {score:.4}"));
        let as_new = as_new.unwrap_or_default();
        let line = format!("{rank:>4}  {score:.4}{as_new}  {id}{padding}  {shown}");
        let _ = writeln!(out, "{}", line.trim_end());
    }
    out
}

/// How it was found: `exact`, or `graph (recall@10 0.993, ef 64)`.
fn how(found: &Value) -> String {
    match serde_json::from_value(at(found, "chosen").clone()) {
        Ok(Chosen::Graph { effort, recall }) => {
            format!("graph (recall@{RECALL_OF} {recall:.3}, ef {effort})")
        }
        Ok(Chosen::Exact(why)) => match why {
            Why::RecallNotReached => "exact (the index finds too little)".to_owned(),
            Why::NoIndex if is_large(found) => {
                let name = at(found, "snapshot").as_str().unwrap_or_default();
                format!("exact (`promptgate embeddings index build {name}` makes it faster)")
            }
            _ => "exact".to_owned(),
        },
        Err(_) => String::new(),
    }
}

/// Whether there are so many items that an index would be used.
fn is_large(found: &Value) -> bool {
    let items = at(found, "items").as_u64();
    let items = items.and_then(|items| usize::try_from(items).ok());
    items.is_some_and(|items| LEAST_ROWS <= items)
}

#[cfg(test)]
mod tests {
    use super::SearchArguments;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Typed {
        #[command(flatten)]
        search: SearchArguments,
    }

    #[test]
    fn options_stand_where_one_likes() {
        for line in [
            "search docs@1,docs@2 refund -k 3",
            "search docs@1,docs@2 -k 3 refund",
            "search -k 3 docs@1,docs@2 refund",
        ] {
            let typed = Typed::try_parse_from(line.split(' ')).unwrap().search;
            assert_eq!(typed.snapshots, ["docs@1", "docs@2"], "{line}");
            assert_eq!((typed.text.as_str(), typed.k), ("refund", 3), "{line}");
        }
        assert!(Typed::try_parse_from(["search", "docs@1"]).is_err());
        assert!(Typed::try_parse_from(["search", "docs@1", "docs@2", "refund"]).is_err());
    }
}
