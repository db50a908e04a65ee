//! `promptgate prompts lint --semantic`: prompts that mean nearly the same, by their vectors.
//!
//! The texts become a snapshot like any corpus: the price is told before, each request is a record, and
//! what has not changed since the last time costs nothing.

use crate::app::{Config, Environment};
use crate::cli::Common;
use crate::cli::embeddings::snapshot_of;
use crate::cli::evals::dollars;
use crate::cli::output::{self, Failure};
use crate::cli::reach::Admin;
use crate::domain::PicoDollars;
use crate::embeddings::snapshots::{AlikeItems, RunOptions, SnapshotWish, SourceText, SpaceWish};
use crate::prompts::{Alike, FEWEST_WORDS, Lint, PromptText};
use clap::Args;
use http::Method;
use serde_json::json;
use std::fmt::Write as _;

/// The collection that the texts are kept in.
const COLLECTION: &str = "lint/prompts";
/// Characters of a text that are embedded: what models read at least.
const LONGEST: usize = 8_000;
/// Names of prompts that are told.
const LISTED: usize = 10;

/// Whether prompts are compared by what they mean.
#[derive(Debug, Args)]
#[command(next_help_heading = "Meaning")]
pub(super) struct SemanticArguments {
    /// Note prompts that say nearly the same in other words. Embeds what they say, which costs.
    #[arg(long, conflicts_with = "fix")]
    semantic: bool,
    /// The model that embeds (default: `embedding_model` under `[evals]`).
    #[arg(long, value_name = "MODEL", requires = "semantic")]
    model: Option<String>,
    /// Spend at most so many dollars.
    #[arg(long, value_name = "USD", value_parser = dollars, requires = "semantic")]
    max_cost: Option<PicoDollars>,
    /// From which cosine on two are alike (default: median + 4 deviations of all pairs, from 0.9 to 0.99).
    #[arg(long, value_name = "COSINE", requires = "semantic")]
    threshold: Option<f64>,
}

impl SemanticArguments {
    pub(super) const fn is_wanted(&self) -> bool {
        self.semantic
    }

    fn wish(&self, config: &Config) -> Result<SnapshotWish, Failure> {
        let model = self
            .model
            .clone()
            .or_else(|| config.runs.embedding_model.clone());
        let Some(model) = model else {
            let hint = "`--model openai/text-embedding-3-small`, or `embedding_model` under `[evals]` of the config";
            let failure = Failure::usage("`--semantic` needs a model that embeds");
            return Err(failure.with_hint(Some(hint.to_owned())));
        };
        Ok(SnapshotWish {
            collection: COLLECTION.to_owned(),
            space: SpaceWish {
                model: Some(model),
                ..SpaceWish::default()
            },
            source: Some("prompts lint --semantic".to_owned()),
            ..SnapshotWish::default()
        })
    }
}

/// Finds prompts that are alike and adds them to what was found.
pub(super) async fn find(
    arguments: &SemanticArguments,
    lint: &mut Lint,
    config: &Config,
    (common, environment): (&Common, &Environment),
) -> Result<(), Failure> {
    let wish = arguments.wish(config)?;
    let (texts, too_short) = lint.texts();
    let texts: Vec<SourceText> = texts.into_iter().map(source).collect();
    if texts.len() < 2 {
        let words = "there are no two prompts to compare by what they mean";
        output::say(&format!("{words}{}\n", left_out(&too_short)));
        return Ok(());
    }
    let compared = texts.len();
    let options = RunOptions {
        max_cost: arguments.max_cost,
        ..RunOptions::default()
    };
    let admin = Admin::reach(common, environment).map_err(could_not)?;
    let found = pairs(&admin, &wish, texts, &options, arguments.threshold).await;
    admin.close().await?;
    let found = found.map_err(could_not)?;
    output::say(&told(&found, compared, &too_short));
    let alike: Vec<Alike> = found
        .ids
        .into_iter()
        .zip(&found.found.pairs)
        .map(|(prompts, (_, _, similarity))| Alike {
            prompts,
            similarity: *similarity,
            threshold: found.found.threshold,
        })
        .collect();
    lint.add_alike(&alike);
    Ok(())
}

/// What was compared, from where on pairs are noted, and how near any came.
fn told(found: &AlikeItems, compared: usize, too_short: &[String]) -> String {
    let alike = &found.found;
    let why = if alike.is_calibrated {
        "by all pairs, 0.9 at least"
    } else {
        "as given, or as usual"
    };
    let mut text = format!(
        "{compared} prompts compared by what they mean{}; noted from {} on ({why})",
        left_out(too_short),
        cosine_of(alike.threshold)
    );
    if let Some(((one, other), (_, _, cosine))) = found.nearest_ids.as_ref().zip(alike.nearest) {
        let names = format!("`{}` and `{}`", output::clean(one), output::clean(other));
        let _ = write!(text, "; nearest: {names}, {}", cosine_of(cosine));
        if cosine < alike.threshold {
            text.push_str("; `--threshold` sets another");
        }
    }
    text.push('\n');
    text
}

/// A cosine in three decimals, in five where they would make it 1.
fn cosine_of(value: f64) -> String {
    match format!("{value:.3}") {
        text if text == "1.000" && value < 1.0 => format!("{value:.5}"),
        text => text,
    }
}

fn left_out(too_short: &[String]) -> String {
    if too_short.is_empty() {
        return String::new();
    }
    let names = too_short.iter().take(LISTED);
    let mut names: Vec<String> = names
        .map(|name| format!("`{}`", output::clean(name)))
        .collect();
    if let Some(more) = too_short.len().checked_sub(LISTED).filter(|more| 0 < *more) {
        names.push(format!("{more} more"));
    }
    format!(
        " (of fewer than {FEWEST_WORDS} words, left out: {})",
        names.join(", ")
    )
}

/// The linter's exit code 1 says that something was found.
fn could_not(failure: Failure) -> Failure {
    failure.with_code(2)
}

fn source(text: PromptText) -> SourceText {
    SourceText {
        id: text.prompt,
        text: text.text.chars().take(LONGEST).collect(),
        metadata: None,
    }
}

async fn pairs(
    admin: &Admin,
    wish: &SnapshotWish,
    texts: Vec<SourceText>,
    options: &RunOptions,
    threshold: Option<f64>,
) -> Result<AlikeItems, Failure> {
    let made = snapshot_of(admin, wish, texts, options).await?;
    let snapshot = made.snapshot.map(|manifest| manifest.name());
    let asked = json!({"snapshot": snapshot, "threshold": threshold});
    let path = "/api/embeddings/alike";
    let answer = admin.send(Method::POST, path, Some(&asked)).await?;
    serde_json::from_value(answer)
        .map_err(|error| Failure::new(format!("the server's answer cannot be read: {error}")))
}
