//! `promptgate embeddings snapshot import`.

use crate::app::Environment;
use crate::cli::Common;
use crate::cli::embeddings::arguments::{CutArguments, SpaceArguments};
use crate::cli::embeddings::beside::Companions;
use crate::cli::embeddings::list::describe;
use crate::cli::embeddings::thousands;
use crate::cli::output::{self, Failure, at};
use crate::cli::progress::ProgressLine;
use crate::cli::reach::Admin;
use crate::embeddings::exchange::{self, Column, Fields, Format, ReadOptions, Reader, open_reader};
use crate::embeddings::snapshots::{ImportWish, Imported, SnapshotWish, VectorRow};
use crate::embeddings::vault::Precision;
use clap::Args;
use http::Method;
use serde_json::json;
use std::path::PathBuf;

/// What the command's help ends with.
pub(super) const HELP: &str = "\
Formats: jsonl, json, csv, tsv, parquet, arrow, arrow-stream, npy, npz, fvecs, ivecs, bvecs, pgvector-text,
pgvector-csv, pgvector-binary, qdrant; gzip and Zstandard are taken off. A file that `snapshot export` wrote says its
embedding version itself, in the manifest beside it, and is held against it; every other file needs `--model` or
`--space`. Bare vectors (npy, fvecs, …) are named by `--ids FILE`, else by the first of FILE.ids.jsonl, NAME.ids.jsonl,
NAME.ids.txt, ids.jsonl and ids.txt that stands beside them.

  promptgate embeddings snapshot import docs --from docs.parquet --model openai/text-embedding-3-small
  promptgate embeddings snapshot import docs --from vectors.npy --ids names.txt --model local/minilm --normalised
  promptgate embeddings snapshot import docs --from docs.pgcopy --columns id:int,text,embedding --model openai/text-embedding-3-small

After a cut the same command begins the file again. Nothing is kept before the whole file was checked.

Exit codes: 0 done, 1 failed, 2 wrong usage.";

/// How many bytes of rows are sent together, about.
const PART_BYTES: usize = 4 << 20;
/// How many rows are sent together.
const PART_ROWS: usize = 5_000;

#[derive(Debug, Args)]
pub(crate) struct ImportArguments {
    /// The collection: `docs`, `support/faq`.
    collection: String,
    /// The file with the vectors.
    #[arg(long, value_name = "FILE")]
    from: PathBuf,
    #[command(flatten)]
    file: FileArguments,
    #[command(flatten)]
    space: SpaceArguments,
    #[command(flatten)]
    cut: CutArguments,
    /// How exactly vectors are kept: f32, f16, int8 or binary (default: f16, or what the manifest says).
    #[arg(long, value_name = "PRECISION")]
    precision: Option<Precision>,
    /// Keep only the hashes of texts; nothing can show them then.
    #[arg(long)]
    hash_only: bool,
    /// Where a text has another vector already in this embedding version, keep that one.
    #[arg(long)]
    keep_known: bool,
    /// Leave out rows without a vector.
    #[arg(long)]
    skip_empty: bool,
}

/// How the file is read.
#[derive(Debug, Args)]
#[command(next_help_heading = "File")]
struct FileArguments {
    /// Its format; told by its first bytes and its name when nothing is said.
    #[arg(long, value_name = "FORMAT", value_parser = format)]
    format: Option<Format>,
    /// The field with the name of a row.
    #[arg(long, value_name = "NAME")]
    id_field: Option<String>,
    /// The field with its text.
    #[arg(long, value_name = "NAME")]
    text_field: Option<String>,
    /// The field with its vector; in Qdrant the vector's name, in an archive that of the array.
    #[arg(long, value_name = "NAME")]
    vector_field: Option<String>,
    /// The field with what else is known.
    #[arg(long, value_name = "NAME")]
    metadata_field: Option<String>,
    /// The file with the names of bare vectors: JSON lines, or a name a line.
    #[arg(long, value_name = "FILE")]
    ids: Option<PathBuf>,
    /// Name rows by their numbers, from 0.
    #[arg(long)]
    number_rows: bool,
    /// The columns of a PostgreSQL copy in their order: `id,text,embedding`; `id:int`, `id:uuid` in a binary one.
    #[arg(long, value_name = "NAMES", value_delimiter = ',', value_parser = column)]
    columns: Vec<Column>,
}

/// Reads the name of a format.
pub(super) fn format(name: &str) -> Result<Format, String> {
    name.parse()
        .map_err(|error: exchange::Fault| error.to_string())
}

fn column(name: &str) -> Result<Column, String> {
    name.parse()
        .map_err(|error: exchange::Fault| error.to_string())
}

/// Returns what went wrong with a file of vectors.
pub(super) fn failed(error: &exchange::Error) -> Failure {
    Failure::new(error.to_string()).with_hint(error.hint())
}

impl ImportArguments {
    fn options(&self) -> ReadOptions {
        let file = &self.file;
        ReadOptions {
            format: file.format,
            // What the version says is checked where rows are taken, and says which row it is.
            dimensions: None,
            fields: Fields {
                id: file.id_field.clone(),
                text: file.text_field.clone(),
                vector: file.vector_field.clone(),
                metadata: file.metadata_field.clone(),
            },
            columns: file.columns.clone(),
            ids: file.ids.clone(),
            is_numbered: file.number_rows,
        }
    }

    fn wish(&self, format: Format, beside: Option<&Companions>) -> Result<ImportWish, Failure> {
        let usual = Precision::default();
        let precision = self.precision;
        let kept = beside.map(Companions::precision);
        let name = self.from.file_name().map(|name| name.to_string_lossy());
        Ok(ImportWish {
            snapshot: SnapshotWish {
                collection: self.collection.clone(),
                space: self.space.wish(),
                pipeline: self.cut.pipeline.clone(),
                cut: self.cut.wish(),
                precision: precision.or(kept).unwrap_or(usual),
                hash_only: self.hash_only,
                onto: None,
                source: name.map(std::borrow::Cow::into_owned),
            },
            like: beside
                .map(|beside| beside.like(self.is_as_written()))
                .transpose()?,
            format: Some(format.to_string()),
            keeps_known: self.keep_known,
        })
    }

    /// Whether nothing is said that changes what is read of the file.
    fn is_as_written(&self) -> bool {
        let file = &self.file;
        let fields = [
            &file.id_field,
            &file.text_field,
            &file.vector_field,
            &file.metadata_field,
        ];
        let is_named = fields.into_iter().any(Option::is_some) || !file.columns.is_empty();
        !is_named && !file.number_rows && !self.skip_empty
    }

    /// Reads the manifest beside the file, where that decides the embedding version, and holds the file
    /// against it.
    fn beside(&self) -> Result<Option<Companions>, Failure> {
        let is_said = self.space.space.is_some() || self.space.model.is_some();
        let Some(beside) = Companions::of(&self.from, is_said)? else {
            return Ok(None);
        };
        beside.check(&self.from, &self.options())?;
        Ok(Some(beside))
    }
}

/// Runs the command.
pub(super) async fn run(
    arguments: &ImportArguments,
    common: &Common,
    environment: &Environment,
) -> Result<(), Failure> {
    let reader = open_reader(&arguments.from, &arguments.options());
    let mut reader = reader.map_err(|error| failed(&error))?;
    let beside = arguments.beside()?;
    let wish = arguments.wish(reader.format(), beside.as_ref())?;
    let admin = Admin::reach(common, environment)?;
    let imported = make(&admin, &wish, &mut reader, arguments.skip_empty).await;
    admin.close().await?;
    let imported = imported?;
    for note in reader.notes() {
        output::say(&format!("{note}\n"));
    }
    if common.json {
        return output::put(&format!("{}\n", json!(imported)));
    }
    output::say(&in_words(&imported));
    if let Some(migration) = &imported.migration {
        output::say(&format!("{migration}\n"));
    }
    output::put(&describe(&json!(imported.snapshot)))
}

fn in_words(imported: &Imported) -> String {
    let mut text = String::new();
    for (count, words) in [
        (imported.without_text, "rows have no text"),
        (imported.known, "vectors were there already, or stand twice"),
        (
            imported.deviating,
            "of those differ, and the ones that were there stay",
        ),
    ] {
        if 0 < count {
            text.push_str(&format!("{} {words}\n", thousands(count)));
        }
    }
    if !imported.is_new {
        let name = imported.snapshot.name();
        text.push_str(&format!("nothing has changed: this is {name}\n"));
    }
    text
}

async fn make(
    admin: &Admin,
    wish: &ImportWish,
    reader: &mut Reader,
    skips_empty: bool,
) -> Result<Imported, Failure> {
    let path = "/api/embeddings/imports";
    let begun = admin.send(Method::POST, path, Some(&json!(wish))).await?;
    let id = at(&begun, "id").as_str().unwrap_or_default();
    let mut line = ProgressLine::of_stderr();
    let path = format!("/api/embeddings/imports/{id}/rows");
    let (mut offset, mut skipped, mut read) = (0, 0, 0);
    loop {
        let (mut part, mut bytes) = (Vec::new(), 0);
        while bytes < PART_BYTES && part.len() < PART_ROWS {
            let Some(record) = reader.next() else { break };
            let record = record.map_err(|error| failed(&error))?;
            read += 1;
            let id = record.id.clone();
            match VectorRow::of(record) {
                Some(row) => {
                    bytes += row.bytes();
                    part.push(row);
                }
                None if skips_empty => skipped += 1,
                None => {
                    let hint = "leave it out of the file, or say `--skip-empty`".to_owned();
                    let problem = format!("row {read} (`{id}`) has no vector");
                    return Err(Failure::new(problem).with_hint(Some(hint)));
                }
            }
        }
        if part.is_empty() {
            break;
        }
        let body = json!({"offset": offset, "rows": part});
        let taken = admin.send(Method::POST, &path, Some(&body)).await?;
        offset = at(&taken, "rows").as_u64().unwrap_or(0);
        line.show(&format!("{} rows read", thousands(offset)));
    }
    line.clear();
    if 0 < skipped {
        output::say(&format!(
            "left out, without a vector: {}\n",
            thousands(skipped)
        ));
    }
    let path = format!("/api/embeddings/imports/{id}/seal");
    let sealed = admin.send(Method::POST, &path, None).await?;
    serde_json::from_value(sealed)
        .map_err(|error| Failure::new(format!("the server's answer cannot be read: {error}")))
}
