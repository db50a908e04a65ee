//! `promptgate embeddings snapshot create`.

use crate::app::Environment;
use crate::cli::Common;
use crate::cli::embeddings::arguments::{CutArguments, SpaceArguments};
use crate::cli::embeddings::list::describe;
use crate::cli::embeddings::progress::{plan_in_words, progress_in_words, texts_read};
use crate::cli::embeddings::thousands;
use crate::cli::evals::dollars;
use crate::cli::output::{self, Failure, at, clean};
use crate::cli::progress::ProgressLine;
use crate::cli::reach::{Admin, escape};
use crate::domain::PicoDollars;
use crate::embeddings::corpus::{self, CorpusError, CorpusFormat, CorpusOptions};
use crate::embeddings::snapshots::{
    LimitsWish, Made, Plan, Progress, RunOptions, SnapshotWish, SourceText,
};
use crate::embeddings::vault::Precision;
use clap::{Args, ValueEnum};
use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

/// What the command's help ends with.
pub(super) const HELP: &str = "\
A corpus is JSON lines ({\"id\", \"text\", \"metadata\"}), CSV with columns `id` and `text`, a text a line, a
directory of files, or `-` for standard input. What it costs is said before anything is paid; texts whose
vectors are there already cost nothing, and after a cut the same command goes on where it was.

  promptgate embeddings snapshot create docs --from corpus.jsonl --model openai/text-embedding-3-small
  promptgate embeddings snapshot create docs --from corpus.jsonl --dry-run
  promptgate embeddings snapshot create docs --from docs/ --glob '*.md' --chunker tokens --size 256 --overlap 32

Exit codes: 0 done, 1 failed or stopped, 2 wrong usage.";

/// How many bytes of texts are sent together.
const PART_BYTES: usize = 4 << 20;
/// How many texts are sent together.
const PART_TEXTS: usize = 5_000;

#[derive(Debug, Args)]
pub(crate) struct CreateArguments {
    /// The collection: `docs`, `support/faq`.
    collection: String,
    /// The corpus: a file, a directory, or `-`.
    #[arg(long, value_name = "PATH", required_unless_present = "resume")]
    from: Option<PathBuf>,
    #[command(flatten)]
    space: SpaceArguments,
    #[command(flatten)]
    cut: CutArguments,
    #[command(flatten)]
    corpus: CorpusArguments,
    #[command(flatten)]
    asking: AskingArguments,
    /// How exactly vectors are kept: f32, f16, int8 or binary. int8 changes some ranks, binary many.
    #[arg(long, default_value = "f16", value_name = "PRECISION")]
    precision: Precision,
    /// Keep only the hashes of texts, and nothing of them in the records of calls; nothing can show them then.
    /// A draft has them until it is finished or discarded.
    #[arg(long)]
    hash_only: bool,
    /// Take the items of this snapshot along; those of the corpus with the same ids replace them.
    #[arg(long, value_name = "SNAPSHOT")]
    onto: Option<String>,
    /// Embed so many texts a second time, to see the provider's own noise.
    #[arg(long, value_name = "N")]
    noise: Option<usize>,
    /// Say what it would take, and pay nothing.
    #[arg(long)]
    dry_run: bool,
    /// Go on with a draft that came whole, without its corpus; with one of several by its name.
    #[arg(long, value_name = "DRAFT", conflicts_with = "from", num_args = 0..=1, require_equals = true)]
    resume: Option<Option<String>>,
}

/// How the corpus is read.
#[derive(Debug, Args)]
#[command(next_help_heading = "Corpus")]
struct CorpusArguments {
    /// How it is written; told by the file's name when nothing is said.
    #[arg(long, value_enum)]
    format: Option<FormatArgument>,
    /// The field with the name of a source (default: id).
    #[arg(long, value_name = "NAME")]
    id_field: Option<String>,
    /// The field with its text (default: text).
    #[arg(long, value_name = "NAME")]
    text_field: Option<String>,
    /// Which files of a directory: `*.md`.
    #[arg(long)]
    glob: Option<String>,
    /// Leave out sources without a text.
    #[arg(long)]
    skip_empty: bool,
}

/// How the model is asked.
#[derive(Debug, Args)]
#[command(next_help_heading = "Asking")]
struct AskingArguments {
    /// Spend at most so many dollars.
    #[arg(long, value_name = "USD", value_parser = dollars)]
    max_cost: Option<PicoDollars>,
    /// Make at most so many requests at once.
    #[arg(long, short = 'j', value_name = "N")]
    concurrency: Option<u32>,
    /// Send at most so many texts in a request.
    #[arg(long, value_name = "N")]
    batch_texts: Option<usize>,
    /// Send at most so many tokens in a request.
    #[arg(long, value_name = "N")]
    batch_tokens: Option<u64>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum FormatArgument {
    Jsonl,
    Csv,
    Lines,
    Text,
}

impl CreateArguments {
    fn wish(&self) -> SnapshotWish {
        SnapshotWish {
            collection: self.collection.clone(),
            space: self.space.wish(),
            pipeline: self.cut.pipeline.clone(),
            cut: self.cut.wish(),
            precision: self.precision,
            hash_only: self.hash_only,
            onto: self.onto.clone(),
            source: self.from.as_ref().map(|path| path.display().to_string()),
        }
    }

    fn options(&self) -> RunOptions {
        RunOptions {
            max_cost: self.asking.max_cost,
            limits: LimitsWish {
                texts: self.asking.batch_texts,
                tokens: self.asking.batch_tokens,
                concurrency: self.asking.concurrency,
            },
            noise: self.noise,
            dry_run: self.dry_run,
            ..RunOptions::default()
        }
    }

    fn corpus(&self) -> CorpusOptions {
        CorpusOptions {
            format: self.corpus.format.map(|format| match format {
                FormatArgument::Jsonl => CorpusFormat::JsonLines,
                FormatArgument::Csv => CorpusFormat::Csv,
                FormatArgument::Lines => CorpusFormat::Lines,
                FormatArgument::Text => CorpusFormat::Text,
            }),
            id_field: self.corpus.id_field.clone(),
            text_field: self.corpus.text_field.clone(),
            glob: self.corpus.glob.clone(),
            skips_empty: self.corpus.skip_empty,
        }
    }
}

/// Runs the command.
pub(super) async fn run(
    arguments: &CreateArguments,
    common: &Common,
    environment: &Environment,
) -> Result<(), Failure> {
    let admin = Admin::reach(common, environment)?;
    let made = make(&admin, arguments).await;
    admin.close().await?;
    let made = made?;
    if common.json {
        return output::put(&format!("{}\n", json!(made)));
    }
    let Some(snapshot) = &made.snapshot else {
        return Ok(());
    };
    if let Some(migration) = &made.migration {
        output::say(&format!("{migration}\n"));
    }
    if !made.is_new {
        output::say(&format!(
            "nothing has changed: this is {}\n",
            snapshot.name()
        ));
    }
    output::put(&describe(&json!(snapshot)))
}

async fn make(admin: &Admin, arguments: &CreateArguments) -> Result<Made, Failure> {
    let mut line = ProgressLine::of_stderr();
    let begun = if let Some(draft) = &arguments.resume {
        let of = escape(&arguments.collection);
        let named = draft.as_deref().map(escape);
        let named = named.map(|id| format!("&draft={id}")).unwrap_or_default();
        let path = format!("/api/embeddings/resumable?collection={of}{named}");
        admin.get(&path).await?
    } else {
        let wish = json!(arguments.wish());
        let path = "/api/embeddings/drafts";
        admin.send(Method::POST, path, Some(&wish)).await?
    };
    let head = at(&begun, "head");
    let id = at(head, "id").as_str().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    output::say(&format!(
        "{}: {}, {}, {}\n",
        arguments.collection,
        text(at(at(head, "space"), "model")),
        text(at(&begun, "pipeline")),
        text(at(head, "precision")),
    ));
    if arguments.resume.is_some() {
        let source = at(head, "source").as_str().unwrap_or("what was sent");
        let items = at(head, "items").as_u64().unwrap_or(0);
        output::say(&format!(
            "going on with {id}: {} items of {}\n",
            thousands(items),
            clean(source)
        ));
    }
    if let Some(path) = &arguments.from {
        let sources =
            corpus::open(path, &arguments.corpus()).map_err(|error| unreadable(&error))?;
        send(admin, id, sources, &mut line).await?;
    }
    follow(admin, id, &json!(arguments.options()), line).await
}

/// Makes a snapshot of texts, for other commands: with its price told before.
pub(crate) async fn snapshot_of(
    admin: &Admin,
    wish: &SnapshotWish,
    texts: Vec<SourceText>,
    options: &RunOptions,
) -> Result<Made, Failure> {
    let mut line = ProgressLine::of_stderr();
    let path = "/api/embeddings/drafts";
    let begun = admin.send(Method::POST, path, Some(&json!(wish))).await?;
    let id = at(at(&begun, "head"), "id").as_str().unwrap_or_default();
    send(admin, id, texts.into_iter().map(Ok), &mut line).await?;
    follow(admin, id, &json!(options), line).await
}

fn unreadable(error: &CorpusError) -> Failure {
    Failure::new(error.to_string()).with_hint(error.hint.clone())
}

/// Sends the corpus in parts.
async fn send(
    admin: &Admin,
    id: &str,
    mut sources: impl Iterator<Item = Result<SourceText, CorpusError>>,
    line: &mut ProgressLine,
) -> Result<(), Failure> {
    let path = format!("/api/embeddings/drafts/{id}/items");
    let mut offset = 0;
    loop {
        let (mut part, mut bytes) = (Vec::new(), 0);
        while bytes < PART_BYTES && part.len() < PART_TEXTS {
            let Some(source) = sources.next() else { break };
            let source = source.map_err(|error| unreadable(&error))?;
            bytes += source.text.len();
            part.push(source);
        }
        if part.is_empty() {
            line.clear();
            return Ok(());
        }
        let body = json!({"offset": offset, "items": part});
        let taken = admin.send(Method::POST, &path, Some(&body)).await?;
        offset = at(&taken, "sources").as_u64().unwrap_or(0);
        line.show(&texts_read(offset));
    }
}

/// A line of the server's answer.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Line {
    Joined {},
    Plan { plan: Plan },
    Progress { progress: Box<Progress> },
    Ended { made: Box<Made> },
    Error { error: Value },
}

/// Makes a snapshot of the draft and shows how far it is; an interruption stops it, a second one does not
/// wait for what is under way.
async fn follow(
    admin: &Admin,
    id: &str,
    options: &Value,
    mut line: ProgressLine,
) -> Result<Made, Failure> {
    let heard: Arc<Mutex<Option<Result<Made, Failure>>>> = Arc::default();
    let hearing = Arc::clone(&heard);
    let mut on_line = move |text: &[u8]| {
        if let Some(end) = hear(text, &mut line) {
            *hearing.lock().unwrap_or_else(PoisonError::into_inner) = Some(end);
        }
    };
    let path = format!("/api/embeddings/drafts/{id}/run");
    let lines = admin.lines(&path, options, &mut on_line);
    tokio::pin!(lines);
    tokio::select! {
        result = &mut lines => result?,
        _ = tokio::signal::ctrl_c() => {
            output::say("\nstopping: requests under way may finish, and are kept; a second interruption does not wait\n");
            let path = format!("/api/embeddings/drafts/{id}");
            let stopping = async {
                // One that has ended meanwhile need not be stopped.
                let _ = admin.send(Method::DELETE, &path, None).await;
                std::future::pending::<()>().await;
            };
            tokio::select! {
                result = &mut lines => result?,
                () = stopping => {}
                _ = tokio::signal::ctrl_c() => return Err(Failure::new("interrupted")),
            }
        }
    }
    let heard = heard.lock().unwrap_or_else(PoisonError::into_inner).take();
    heard.unwrap_or_else(|| {
        let hint = "the same command goes on; what is embedded is not paid twice".to_owned();
        Err(Failure::new("the answer broke off").with_hint(Some(hint)))
    })
}

/// Shows a line; returns the end, when it is that.
fn hear(text: &[u8], line: &mut ProgressLine) -> Option<Result<Made, Failure>> {
    match serde_json::from_slice::<Line>(text) {
        Ok(Line::Joined {}) => {
            line.clear();
            output::say("the same corpus is being embedded already; this shows how far it is\n");
            None
        }
        Ok(Line::Plan { plan }) => {
            line.clear();
            output::say(&format!("{}\n", plan_in_words(&plan)));
            None
        }
        Ok(Line::Progress { progress }) => {
            line.show(&progress_in_words(&progress));
            None
        }
        Ok(Line::Ended { made }) => {
            line.clear();
            Some(Ok(*made))
        }
        Ok(Line::Error { error }) => {
            line.clear();
            let text = |key: &str| at(&error, key).as_str().map(str::to_owned);
            let message = text("message").unwrap_or_else(|| error.to_string());
            Some(Err(Failure::new(message).with_hint(text("hint"))))
        }
        Err(error) => {
            line.clear();
            let message = format!("the server's answer cannot be read: {error}");
            Some(Err(Failure::new(message)))
        }
    }
}
