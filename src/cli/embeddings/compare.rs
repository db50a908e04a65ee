//! `promptgate embeddings compare`: two snapshots side by side, and whether the gates let B through.

use crate::app::Environment;
use crate::cli::Common;
use crate::cli::embeddings::progress::follow;
use crate::cli::evals::dollars;
use crate::cli::output::{self, Failure};
use crate::cli::paint::{Paint, Style};
use crate::cli::reach::Admin;
use crate::domain::PicoDollars;
use crate::embeddings::Input;
use crate::embeddings::compare::report::ComparisonReport;
use crate::embeddings::compare::{CompareError, Gate, exit_code, judge_set};
use crate::embeddings::render::{self, Role, junit, markdown, page, terminal};
use crate::embeddings::snapshots::{CallsWish, CompareWish, QuerySourceWish};
use clap::{ArgGroup, Args, ValueEnum};
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};

/// What the command's help ends with.
pub(super) const HELP: &str = "\
Overlap says how much changes; only labels say whether for the better. Queries are JSON lines
({\"id\", \"text\", \"relevant\": [\"docs/a\"] or {\"docs/a\": 2}}) or CSV (columns id, text, relevant; names in relevant are
divided by `;`, each with `:grade` where it is not 1); labels may come in a file of their own (JSON lines
{\"query\", \"item\", \"grade\"}, or TREC qrels). Queries are embedded once and kept.

  promptgate embeddings compare docs@1 docs@2 --queries queries.jsonl --html report.html
  promptgate embeddings compare docs@1 docs@2 --queries queries.jsonl --qrels qrels.txt \\
      --fail-if 'ndcg@10 drop > 0.01' --fail-if 'lost-hits > 5' --junit compare.xml
  promptgate embeddings compare docs@1 docs@2 --queries-from items --judge-set judge.jsonl
  promptgate embeddings compare docs@1 docs@2 --queries-from calls --days 7 --sample-queries 400

Calls are those recorded here: queries that `/v1/embeddings` was asked of the collection (by `embed:NAME` or its
model; a request of several texts counts when it says `input_type: query`), or, with --prompt, a prompt's requests.

Gates: overlap@K, query-overlap@K, item-overlap@K, jaccard@K, rbo, top1, top1-changed, ndcg@K drop, recall@K drop,
mrr@K drop, hit@K drop, map drop, lost-hits, gained-hits, noise-floor, threshold-shift, mixed-overlap@K, space-mismatch.
A gate is decided by the end of the figure's interval, never by its middle.

Exit codes: 0 all gates hold, 1 one fails (or the comparison cannot be made), 2 one cannot be decided, or wrong usage.";

/// Makes a text of a report.
type Form = fn(&ComparisonReport) -> String;

/// How many queries a judge set has when nothing is said.
const JUDGED: usize = 50;

#[derive(Debug, Args)]
pub(crate) struct CompareArguments {
    /// What is there today: `docs@1`, `docs@production`.
    a: String,
    /// What may take its place: `docs@2`.
    b: String,
    #[command(flatten)]
    asked: AskedArguments,
    #[command(flatten)]
    looked: LookedArguments,
    /// Spend at most so many dollars on queries.
    #[arg(long, value_name = "USD", value_parser = dollars)]
    max_cost: Option<PicoDollars>,
    /// Fail when this is so: `overlap@10 < 0.95`. May be given more than once.
    #[arg(long, value_name = "GATE")]
    fail_if: Vec<String>,
    #[command(flatten)]
    files: FileArguments,
}

/// What both are asked.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("asking").args(["queries", "queries_from"])))]
#[command(next_help_heading = "Queries")]
struct AskedArguments {
    /// A file of queries: JSON lines, or CSV by its name.
    #[arg(long, value_name = "FILE")]
    queries: Option<PathBuf>,
    /// A file of labels for them.
    #[arg(long, value_name = "FILE", requires = "asking")]
    qrels: Option<PathBuf>,
    /// Where queries come from when there is no file.
    #[arg(long, value_enum, conflicts_with = "queries")]
    queries_from: Option<SourceArgument>,
    /// How many texts of items or of calls become queries (default: as many as items are sampled).
    #[arg(long, value_name = "N", requires = "queries_from")]
    sample_queries: Option<usize>,
    /// Of calls: those of this prompt, by what the user said last or else its variables.
    #[arg(long, value_name = "PROMPT", requires = "queries_from")]
    prompt: Option<String>,
    /// Of the prompt's requests, this variable is the query.
    #[arg(long, value_name = "NAME", requires = "prompt")]
    variable: Option<String>,
    /// Of calls: those of so many days (default: 30).
    #[arg(long, value_name = "N", requires = "queries_from")]
    days: Option<u32>,
}

/// How closely to look.
#[derive(Debug, Args)]
#[command(next_help_heading = "Looking")]
struct LookedArguments {
    /// How long the lists of the headline are (default: 10).
    #[arg(short, long)]
    k: Option<usize>,
    /// The neighbours of how many items are looked at (default: 1000).
    #[arg(long, value_name = "N")]
    sample_items: Option<usize>,
    /// The smallest difference of nDCG that counts (default: 0.01).
    #[arg(long, value_name = "SHARE")]
    margin: Option<f64>,
    /// The seed of everything drawn (default: 1).
    #[arg(long)]
    seed: Option<u64>,
    /// How many queries and items are listed (default: 100).
    #[arg(long, value_name = "N")]
    listed: Option<usize>,
    /// Stop as soon as the answer is clear.
    #[arg(long)]
    stop_early: bool,
}

/// What is written.
#[derive(Debug, Args)]
#[command(next_help_heading = "Files")]
struct FileArguments {
    /// Write the report as one page, plots included.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Write it as a comment for a pull request.
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
    /// Write the gates as JUnit XML.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Write the answers that changed most, for people to judge; what comes back is read by --qrels.
    #[arg(long, value_name = "FILE")]
    judge_set: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum SourceArgument {
    /// The items' own texts.
    Items,
    /// Recorded calls: what `/v1/embeddings` was asked, or a prompt's requests.
    Calls,
}

/// Runs the command.
pub(super) async fn run(
    arguments: &CompareArguments,
    common: &Common,
    environment: &Environment,
) -> Result<(), Failure> {
    let wish = json!(arguments.wish()?);
    let admin = Admin::reach(common, environment)?;
    let path = "/api/embeddings/compare";
    let report = follow::<ComparisonReport>(&admin, path, &wish, "report").await;
    admin.close().await?;
    let report = report?;
    arguments.files.write(&report)?;
    if common.json {
        output::put(&render::json(&report))?;
    } else {
        output::put(&painted(&report, Paint::of_stdout(environment)))?;
    }
    match exit_code(&report.gates) {
        0 => Ok(()),
        code => Err(Failure::silent().with_code(code)),
    }
}

impl CompareArguments {
    fn wish(&self) -> Result<CompareWish, Failure> {
        let asked = &self.asked;
        let is_csv = asked.queries.as_ref().is_some_and(|path| {
            path.extension()
                .is_some_and(|extension| extension.eq_ignore_ascii_case("csv"))
        });
        Ok(CompareWish {
            a: self.a.clone(),
            b: self.b.clone(),
            queries: asked.queries.as_deref().map(read).transpose()?,
            is_csv,
            labels: asked.qrels.as_deref().map(read).transpose()?,
            queries_from: match asked.queries_from {
                Some(SourceArgument::Items) => QuerySourceWish::Items,
                Some(SourceArgument::Calls) => QuerySourceWish::Calls,
                None => QuerySourceWish::File,
            },
            sampled_queries: asked.sample_queries,
            calls: CallsWish {
                prompt: asked.prompt.clone(),
                input: asked.variable.clone().map_or(Input::Any, Input::Variable),
                days: asked.days,
            },
            k: self.looked.k,
            seed: self.looked.seed,
            sampled_items: self.looked.sample_items,
            margin: self.looked.margin,
            listed: self.looked.listed,
            is_stopping_early: self.looked.stop_early,
            max_cost: self.max_cost,
            gates: self.gates()?,
        })
    }
}

impl CompareArguments {
    /// The gates as they are written. What is no gate is wrong usage, and not a gate that failed.
    fn gates(&self) -> Result<Vec<String>, Failure> {
        for gate in &self.fail_if {
            let read: Result<Gate, CompareError> = gate.parse();
            if let Err(error) = read {
                return Err(Failure::usage(error.to_string()).with_hint(error.hint()));
            }
        }
        Ok(self.fail_if.clone())
    }
}

pub(super) fn read(path: &Path) -> Result<String, Failure> {
    let unreadable = |error: &dyn std::fmt::Display| {
        Failure::new(format!("cannot read `{}`: {error}", path.display()))
    };
    let bytes = fs::read(path).map_err(|error| unreadable(&error))?;
    String::from_utf8(bytes).map_err(|error| {
        let (good, all) = (error.utf8_error().valid_up_to(), error.as_bytes());
        let line = all.iter().take(good).filter(|byte| **byte == b'\n').count() + 1;
        unreadable(&format!("line {line} is not UTF-8"))
    })
}

impl FileArguments {
    fn write(&self, report: &ComparisonReport) -> Result<(), Failure> {
        let forms: [(&Option<PathBuf>, Form); 4] = [
            (&self.html, page),
            (&self.markdown, markdown),
            (&self.junit, junit),
            (&self.judge_set, |report| judge_set(report, JUDGED)),
        ];
        for (path, form) in forms {
            if let Some(path) = path {
                let unwritable =
                    |error| Failure::new(format!("cannot write `{}`: {error}", path.display()));
                fs::write(path, form(report)).map_err(unwritable)?;
            }
        }
        Ok(())
    }
}

/// The report, coloured where there is a terminal.
fn painted(report: &ComparisonReport, paint: Paint) -> String {
    let mut text = String::new();
    for line in terminal(report, paint.width()) {
        for piece in line.pieces {
            let style = match piece.role {
                Role::Plain => Style::Plain,
                Role::Strong => Style::Strong,
                Role::Faint => Style::Faint,
                Role::Good => Style::Added,
                Role::Bad => Style::Removed,
                Role::Doubtful => Style::Warning,
            };
            text.push_str(&paint.text(style, &piece.text));
        }
        text.push('\n');
    }
    text
}
