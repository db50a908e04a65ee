//! `promptgate embeddings adapter fit|eval|apply|list|show|delete`.

use crate::app::Environment;
use crate::cli::Common;
use crate::cli::embeddings::list::describe;
use crate::cli::embeddings::progress::follow;
use crate::cli::embeddings::{compare, thousands};
use crate::cli::evals::dollars;
use crate::cli::output::{self, Align, Failure, at, clean, table};
use crate::cli::reach::{Admin, escape};
use crate::domain::PicoDollars;
use crate::embeddings::adapters::{Head, JudgedBy, Judgement, KindWish, LEAST_AGREEMENT, Role};
use crate::embeddings::snapshots::{AdaptWish, Adapted, ApplyWish};
use crate::embeddings::vault::Precision;
use crate::stats::Estimate;
use clap::{Args, Subcommand, ValueEnum};
use http::Method;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::path::PathBuf;

/// What stands above the figures of cascades.
const CASCADE: &str = "  cascade: candidates from the old index, put in order by the new model; without an adapter both are asked\n";

/// How many points of the line of scores are shown.
const SCORES: usize = 5;

const FIT_HELP: &str = "\
It is fitted on texts that both snapshots have, chosen by the answers that queries get, and judged by other
queries beside doing nothing (old queries, old index) and beside paying (new queries, new index). Without
--queries documents that were held out stand in for queries, and nobody is asked. It is not kept when it gives
less than a fifth of the new model's own answers, or labels say for certain that doing nothing is better.

  promptgate embeddings adapter fit docs@1 docs@2 --queries queries.jsonl
  promptgate embeddings adapter fit docs@1 docs@2 --maps documents --kind ridge

Exit codes: 0 it is kept, 1 it is not (its figures are against it and --force is not given), or cannot be fitted.";

#[derive(Debug, Subcommand)]
pub(crate) enum AdapterCommand {
    /// Fit a map between the models of two snapshots, and say what it is worth.
    #[command(after_help = FIT_HELP)]
    Fit(FitArguments),
    /// Judge an adapter by other queries.
    Eval(EvalArguments),
    /// Send a snapshot through an adapter: a new snapshot in the adapter's own space.
    Apply(ApplyArguments),
    /// List adapters.
    List,
    /// Show what an adapter is, and what it is worth.
    Show(NamedArguments),
    /// Delete an adapter that made no snapshot.
    Delete(NamedArguments),
}

#[derive(Debug, Args)]
pub(crate) struct FitArguments {
    #[command(flatten)]
    between: BetweenArguments,
    /// Which kind of map; the one with the best answers when nothing is said.
    #[arg(long, value_enum, default_value = "auto")]
    kind: KindArgument,
    /// What it maps: queries of the new model to the old index, or documents of the old index.
    #[arg(long, value_enum, default_value = "queries")]
    maps: MapsArgument,
    /// On how many pairs it is fitted, at most (default: 4000).
    #[arg(long, value_name = "N")]
    pairs: Option<usize>,
    /// Keep it even if its figures are against it; that is noted in it.
    #[arg(long)]
    force: bool,
}

/// Between what, and by which queries.
#[derive(Debug, Args)]
struct BetweenArguments {
    /// The snapshot of the old model.
    old: String,
    /// The snapshot of the new model.
    new: String,
    /// A file of queries: JSON lines, or CSV by its name.
    #[arg(long, value_name = "FILE")]
    queries: Option<PathBuf>,
    /// A file of labels for them.
    #[arg(long, value_name = "FILE", requires = "queries")]
    qrels: Option<PathBuf>,
    /// How long lists of answers are (default: 10).
    #[arg(short, long)]
    k: Option<usize>,
    /// The seed of everything drawn (default: 1).
    #[arg(long)]
    seed: Option<u64>,
    /// Spend at most so many dollars on queries.
    #[arg(long, value_name = "USD", value_parser = dollars)]
    max_cost: Option<PicoDollars>,
}

#[derive(Debug, Args)]
pub(crate) struct EvalArguments {
    /// The adapter: `adapter-4f2a91`.
    adapter: String,
    #[command(flatten)]
    between: BetweenArguments,
}

#[derive(Debug, Args)]
pub(crate) struct ApplyArguments {
    /// The adapter: `adapter-4f2a91`.
    adapter: String,
    /// The snapshot that goes through it.
    snapshot: String,
    /// The collection of what comes out (default: that of the snapshot, with `-adapted`).
    #[arg(long, value_name = "NAME")]
    collection: Option<String>,
    /// How exactly vectors are kept (default: as those of the snapshot).
    #[arg(long)]
    precision: Option<Precision>,
}

#[derive(Debug, Args)]
pub(crate) struct NamedArguments {
    /// The adapter: `adapter-4f2a91`.
    adapter: String,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum KindArgument {
    Auto,
    Procrustes,
    CentredProcrustes,
    Ridge,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum MapsArgument {
    Queries,
    Documents,
}

impl BetweenArguments {
    fn wish(&self) -> Result<AdaptWish, Failure> {
        let is_csv = self.queries.as_ref().is_some_and(|path| {
            path.extension()
                .is_some_and(|extension| extension.eq_ignore_ascii_case("csv"))
        });
        Ok(AdaptWish {
            old: self.old.clone(),
            new: self.new.clone(),
            queries: self.queries.as_deref().map(compare::read).transpose()?,
            is_csv,
            labels: self.qrels.as_deref().map(compare::read).transpose()?,
            k: self.k,
            seed: self.seed,
            max_cost: self.max_cost,
            ..AdaptWish::default()
        })
    }
}

/// Runs the command.
pub(super) async fn run(
    command: &AdapterCommand,
    common: &Common,
    environment: &Environment,
) -> Result<(), Failure> {
    let (method, path, body) = request(command)?;
    let admin = Admin::reach(common, environment)?;
    let body = body.unwrap_or_default();
    let answer = match command {
        AdapterCommand::Fit(_) => follow(&admin, &path, &body, "adapted").await,
        AdapterCommand::Eval(_) => follow(&admin, &path, &body, "judged").await,
        _ => {
            let body = (!body.is_null()).then_some(&body);
            admin.send(method, &path, body).await
        }
    };
    admin.close().await?;
    let answer = answer?;
    if common.json {
        output::put(&format!("{answer}\n"))?;
    } else {
        output::put(&told(command, &answer)?)?;
    }
    if let Some(failure) = of_damaged(&answer) {
        return Err(failure);
    }
    if matches!(command, AdapterCommand::Fit(_)) && at(&answer, "is_stored") != true {
        let refusal = at(at(at(&answer, "head"), "judgement"), "refusal");
        let reason = clean(refusal.as_str().unwrap_or_default());
        let hint = "do without it, or keep it all the same with `--force`, where the old model can be asked no more";
        let hint = hint.to_owned();
        let failure = Failure::new(format!("the adapter is not kept: {reason}"));
        return Err(failure.with_hint(Some(hint)));
    }
    Ok(())
}

/// What to say of adapters that a list has to leave out.
fn of_damaged(answer: &Value) -> Option<Failure> {
    let damaged = at(answer, "damaged").as_array()?;
    let hint = at(damaged.first()?, "hint").as_str().map(clean);
    let all = damaged.iter().map(|one| at(one, "message").as_str());
    let all: Vec<String> = all.flatten().map(clean).collect();
    Some(Failure::new(all.join("; ")).with_hint(hint))
}

fn request(command: &AdapterCommand) -> Result<(Method, String, Option<Value>), Failure> {
    let all = "/api/embeddings/adapters";
    let one = |name: &str, what: &str| format!("{all}/{}{what}", escape(name));
    Ok(match command {
        AdapterCommand::Fit(arguments) => {
            let wish = AdaptWish {
                kind: match arguments.kind {
                    KindArgument::Auto => KindWish::Auto,
                    KindArgument::Procrustes => KindWish::Procrustes,
                    KindArgument::CentredProcrustes => KindWish::CentredProcrustes,
                    KindArgument::Ridge => KindWish::Ridge,
                },
                role: match arguments.maps {
                    MapsArgument::Queries => Role::Queries,
                    MapsArgument::Documents => Role::Documents,
                },
                pairs: arguments.pairs,
                is_forced: arguments.force,
                ..arguments.between.wish()?
            };
            (Method::POST, all.to_owned(), Some(json!(wish)))
        }
        AdapterCommand::Eval(arguments) => {
            let wish = json!(arguments.between.wish()?);
            (Method::POST, one(&arguments.adapter, "/eval"), Some(wish))
        }
        AdapterCommand::Apply(arguments) => {
            let wish = json!(ApplyWish {
                snapshot: arguments.snapshot.clone(),
                collection: arguments.collection.clone(),
                precision: arguments.precision,
            });
            (Method::POST, one(&arguments.adapter, "/apply"), Some(wish))
        }
        AdapterCommand::List => (Method::GET, all.to_owned(), None),
        AdapterCommand::Show(named) => (Method::GET, one(&named.adapter, ""), None),
        AdapterCommand::Delete(named) => (Method::DELETE, one(&named.adapter, ""), None),
    })
}

fn parsed<T: DeserializeOwned>(value: &Value) -> Result<T, Failure> {
    let unreadable = |error| Failure::new(format!("the server's answer cannot be read: {error}"));
    T::deserialize(value).map_err(unreadable)
}

fn told(command: &AdapterCommand, answer: &Value) -> Result<String, Failure> {
    Ok(match command {
        AdapterCommand::Fit(_) => {
            let adapted: Adapted = parsed(answer)?;
            let head = adapted.head;
            let text = [described(&adapted.id, &head), judged(&head.judgement)];
            text.concat()
        }
        AdapterCommand::Eval(_) => judged(&parsed(at(answer, "judgement"))?),
        AdapterCommand::Apply(_) => describe(at(answer, "snapshot")),
        AdapterCommand::List => listed(at(answer, "data"))?,
        AdapterCommand::Show(_) => {
            let head: Head = parsed(at(answer, "head"))?;
            let id = at(answer, "id").as_str().unwrap_or_default();
            [described(id, &head), judged(&head.judgement)].concat()
        }
        AdapterCommand::Delete(_) => {
            let id = clean(at(answer, "id").as_str().unwrap_or_default());
            format!("`{id}` is deleted\n")
        }
    })
}

fn listed(data: &Value) -> Result<String, Failure> {
    let mut rows = Vec::new();
    for one in data.as_array().into_iter().flatten() {
        let head: Head = parsed(at(one, "head"))?;
        let id = at(one, "id").as_str().unwrap_or_default();
        rows.push(vec![
            clean(id.get(..20).unwrap_or(id)),
            clean(&head.from.model),
            clean(&head.to.model),
            name_of(&head.kind),
            number(head.pairs),
            name_of(&head.judgement.advice),
        ]);
    }
    if rows.is_empty() {
        output::say("there are no adapters\n");
        return Ok(String::new());
    }
    let headings = [
        ("ADAPTER", Align::Left),
        ("FROM", Align::Left),
        ("TO", Align::Left),
        ("KIND", Align::Left),
        ("PAIRS", Align::Right),
        ("ADVICE", Align::Left),
    ];
    Ok(table(&headings, &rows))
}

/// The name of something as JSON has it.
fn name_of(value: &impl serde::Serialize) -> String {
    let value = json!(value);
    value.as_str().unwrap_or_default().replace('_', "-")
}

fn described(id: &str, head: &Head) -> String {
    let what = match head.role {
        Role::Queries => "queries",
        Role::Documents => "documents",
    };
    let mut out = format!(
        "{}: {what} of {} ({} dimensions) -> {} ({})\n",
        clean(id.get(..20).unwrap_or(id)),
        clean(&head.from.model),
        head.from_dimensions,
        clean(&head.to.model),
        head.to_dimensions,
    );
    let [old, new] = &head.fitted_on;
    let pairs = number(head.pairs);
    let _ = write!(
        out,
        "  {}, fitted on {pairs} texts of {} and {}",
        name_of(&head.kind),
        clean(old),
        clean(new)
    );
    if let Some(lambda) = head.lambda {
        let _ = write!(out, ", lambda {lambda:.2e}");
    }
    out.push_str(if head.is_forced {
        "; kept against the advice\n"
    } else {
        "\n"
    });
    let scores = scores(&head.score_map);
    if !scores.is_empty() {
        let _ = writeln!(
            out,
            "  scores, as the new model gives them: {}",
            scores.join(", ")
        );
    }
    out
}

/// Some points of the line from scores through the adapter to the new model's: thresholds move along it.
fn scores(line: &[(f64, f64)]) -> Vec<String> {
    let last = line.len().saturating_sub(1);
    let mut places: Vec<usize> = (0..SCORES)
        .map(|place| place * last / (SCORES - 1))
        .collect();
    places.dedup();
    let points = places.into_iter().filter_map(|place| line.get(place));
    points
        .map(|(ours, theirs)| format!("{ours:.2} -> {theirs:.2}"))
        .collect()
}

fn number(count: usize) -> String {
    thousands(u64::try_from(count).unwrap_or(u64::MAX))
}

fn shown(estimate: &Estimate) -> String {
    let interval = estimate.interval;
    format!(
        "{:.3} [{:.3}, {:.3}]",
        estimate.value, interval.low, interval.high
    )
}

fn judged(judgement: &Judgement) -> String {
    let k = judgement.k;
    let measure = match judgement.judged_by {
        JudgedBy::Labels => format!("nDCG@{k} by labels"),
        JudgedBy::NewAnswers => format!("overlap@{k} with the new model's own answers"),
    };
    let stand_in = if judgement.are_queries_documents {
        " (documents in their place)"
    } else {
        ""
    };
    let mut out = format!(
        "  {measure}, {} queries{stand_in}, among {} items\n",
        number(judgement.queries),
        number(judgement.items)
    );
    if judgement.items < judgement.old_items {
        let _ = writeln!(
            out,
            "  (both snapshots have these; the old one has {}, and among more items answers are harder to find)",
            number(judgement.old_items)
        );
    }
    for (name, estimate) in [
        ("status quo: old query -> old index", judgement.status_quo),
        ("bridge:     through the adapter   ", judgement.bridge),
        ("reindex:    new query -> new index", judgement.reindex),
        ("bridge - status quo, paired       ", judgement.bridge_gain),
        ("reindex - status quo, paired      ", judgement.reindex_gain),
    ] {
        let _ = writeln!(out, "    {name}  {}", shown(&estimate));
    }
    for (name, estimate) in [
        ("bridge advantage", &judgement.bridge_advantage),
        ("bridge / reindex", &judgement.bridge_of_reindex),
    ] {
        let ratio = estimate.as_ref().map_or_else(|| "-".to_owned(), shown);
        let _ = writeln!(out, "    {name}                    {ratio}");
    }
    let agreement = format!("agreement: of the new model's first {k}");
    let _ = writeln!(
        out,
        "    {agreement}  {} (below {LEAST_AGREEMENT} it is not kept)",
        shown(&judgement.agreement)
    );
    out.push_str(&cascades(judgement));
    for (name, pairs) in [
        ("kinds tried", tried(judgement)),
        ("pairs", learning(judgement)),
    ] {
        if !pairs.is_empty() {
            let _ = writeln!(out, "  {name}: {}", pairs.join(", "));
        }
    }
    let _ = writeln!(out, "{}", clean(&judgement.verdict));
    out
}

fn cascades(judgement: &Judgement) -> String {
    let mut out = CASCADE.to_owned();
    for cascade in &judgement.cascades {
        let _ = writeln!(
            out,
            "    N = {:<4} through the adapter {}   without one {}",
            cascade.candidates,
            shown(&cascade.adapted),
            shown(&cascade.adapter_free),
        );
    }
    out
}

fn tried(judgement: &Judgement) -> Vec<String> {
    let tried = judgement.tried.iter();
    tried
        .map(|tried| format!("{} {:.3}", name_of(&tried.kind), tried.score))
        .collect()
}

fn learning(judgement: &Judgement) -> Vec<String> {
    let points = judgement.learning.iter();
    points
        .map(|point| format!("{} -> {:.3}", number(point.pairs), point.score))
        .collect()
}
