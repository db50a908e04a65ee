//! `promptgate embeddings snapshot export`.

use crate::app::Environment;
use crate::cli::Common;
use crate::cli::embeddings::beside;
use crate::cli::embeddings::import::{failed, format};
use crate::cli::embeddings::{counted, thousands};
use crate::cli::output::{self, Failure, at};
use crate::cli::progress::ProgressLine;
use crate::cli::reach::Admin;
use crate::embeddings::exchange::{
    Format, Texts, VectorText, WriteOptions, Writer, Written, open_writer,
};
use crate::embeddings::snapshots::VectorRow;
use crate::embeddings::vault::Manifest;
use clap::Args;
use serde::Deserialize;
use serde_json::{Value, json};
use std::path::PathBuf;

/// What the command's help ends with.
pub(super) const HELP: &str = "\
Formats: jsonl, csv, tsv, parquet, arrow, arrow-stream, npy, npz, fvecs, pgvector-text, pgvector-csv,
pgvector-binary, sql (a script for psql), qdrant. What has no room for names gets a second file beside it
(docs.npy.ids.jsonl). What the vectors mean goes along in FILE.manifest.json, with the digests of what was written:
`snapshot import` reads it, and holds the files against it.

  promptgate embeddings snapshot export docs@2 --to docs.parquet
  promptgate embeddings snapshot export docs@2 --to docs.sql --table docs_2 --hash-only

Vectors give much of a short text away: keep a file with hashes only like one with the texts.";

#[derive(Debug, Args)]
pub(crate) struct ExportArguments {
    /// The snapshot: `docs@2`, `docs@production`.
    snapshot: String,
    /// The file to write; one of that name is replaced when the new one is whole.
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
    /// Its format; told by its name when nothing is said.
    #[arg(long, value_name = "FORMAT", value_parser = format)]
    format: Option<Format>,
    /// Write only the hashes of texts.
    #[arg(long)]
    hash_only: bool,
    /// Write vectors as base64 where the format is JSON: half the size.
    #[arg(long)]
    base64: bool,
    /// The table that a script for psql makes.
    #[arg(long, value_name = "NAME", default_value = "embeddings")]
    table: String,
}

/// A line of the server's answer.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Line {
    Manifest { manifest: Box<Manifest> },
    Rows { rows: Vec<VectorRow> },
    Ended,
    Error { error: Value },
}

/// What is being written.
struct Export<'a> {
    arguments: &'a ExportArguments,
    shown: ProgressLine,
    manifest: Option<Manifest>,
    writer: Option<Writer>,
    rows: u64,
    end: Option<Result<(), Failure>>,
}

/// Runs the command.
pub(super) async fn run(
    arguments: &ExportArguments,
    common: &Common,
    environment: &Environment,
) -> Result<(), Failure> {
    let admin = Admin::reach(common, environment)?;
    let mut export = Export {
        arguments,
        shown: ProgressLine::of_stderr(),
        manifest: None,
        writer: None,
        rows: 0,
        end: None,
    };
    let body = json!({"snapshot": arguments.snapshot});
    let sent = admin
        .lines("/api/embeddings/exports", &body, &mut |text| {
            export.hear(text);
        })
        .await;
    admin.close().await?;
    sent?;
    let (manifest, written) = export.finish()?;
    let mut files: Vec<PathBuf> = written.files.into_iter().map(|file| file.path).collect();
    files.push(beside::path(&arguments.to));
    if common.json {
        let answer = json!({"snapshot": manifest.name(), "rows": written.records, "files": files});
        return output::put(&format!("{answer}\n"));
    }
    let files: Vec<String> = files
        .iter()
        .map(|file| file.display().to_string())
        .collect();
    output::put(&format!(
        "{}: {} to {}\n",
        manifest.name(),
        counted(written.records, "row"),
        files.join(", ")
    ))
}

impl Export<'_> {
    /// Takes a line; after the first thing that goes wrong the rest is passed over.
    fn hear(&mut self, text: &[u8]) {
        if self.end.is_some() {
            return;
        }
        let heard = match serde_json::from_slice(text) {
            Ok(Line::Manifest { manifest }) => self.begin(*manifest),
            Ok(Line::Rows { rows }) => self.write(rows),
            Ok(Line::Ended) => {
                self.end = Some(Ok(()));
                return;
            }
            Ok(Line::Error { error }) => {
                let text = |key: &str| at(&error, key).as_str().map(str::to_owned);
                let message = text("message").unwrap_or_else(|| error.to_string());
                Err(Failure::new(message).with_hint(text("hint")))
            }
            Err(error) => {
                let message = format!("the server's answer cannot be read: {error}");
                Err(Failure::new(message))
            }
        };
        if let Err(failure) = heard {
            self.end = Some(Err(failure));
        }
    }

    fn begin(&mut self, manifest: Manifest) -> Result<(), Failure> {
        let arguments = self.arguments;
        let options = WriteOptions {
            texts: if arguments.hash_only {
                Texts::HashOnly
            } else {
                Texts::WithTexts
            },
            dimensions: usize::try_from(manifest.dimensions).ok(),
            rows: Some(manifest.items),
            vectors: if arguments.base64 {
                VectorText::Base64
            } else {
                VectorText::List
            },
            table: arguments.table.clone(),
        };
        let writer = open_writer(&arguments.to, arguments.format, &options);
        self.writer = Some(writer.map_err(|error| failed(&error))?);
        self.manifest = Some(manifest);
        Ok(())
    }

    fn write(&mut self, rows: Vec<VectorRow>) -> Result<(), Failure> {
        let Some(writer) = &mut self.writer else {
            return Err(broken_off());
        };
        for row in rows {
            let written = writer.write(&row.into_record());
            written.map_err(|error| failed(&error))?;
            self.rows += 1;
        }
        self.shown
            .show(&format!("{} rows written", thousands(self.rows)));
        Ok(())
    }

    /// Gives the files their names; the manifest's comes last.
    fn finish(mut self) -> Result<(Manifest, Written), Failure> {
        self.shown.clear();
        self.end.unwrap_or_else(|| Err(broken_off()))?;
        let (Some(writer), Some(manifest)) = (self.writer, self.manifest) else {
            return Err(broken_off());
        };
        let written = writer.finish().map_err(|error| failed(&error))?;
        beside::write(&self.arguments.to, &manifest, &written)?;
        Ok((manifest, written))
    }
}

fn broken_off() -> Failure {
    let hint = "nothing was written; run it again".to_owned();
    Failure::new("the answer broke off").with_hint(Some(hint))
}
