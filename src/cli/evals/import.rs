//! `promptgate evals import`: brings suites of other tools here, all of a run or none.
//!
//! Exit codes: 0 imported, 1 something cannot be carried over (nothing was written), 2 the command
//! could not run.

use crate::cli::files::{Change, write_all};
use crate::cli::output::{self, Failure, clean};
use crate::evals::importers::{Foreign, Format, Imported, import};
use clap::{Args, ValueEnum};
use serde_json::json;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// Files of a directory at most, and bytes of one.
const MAX_FILES: usize = 10_000;
const MAX_BYTES: u64 = 16 << 20;
/// Directories deeper than this are not entered.
const MAX_DEPTH: usize = 16;

#[derive(Debug, Args)]
pub(crate) struct ImportArguments {
    /// Whose suites they are.
    #[arg(value_enum, value_name = "FORMAT")]
    format: FormatArgument,
    /// A file, or a directory of them.
    #[arg(value_name = "PATH")]
    path: PathBuf,
    /// Where to write.
    #[arg(long, value_name = "DIR", default_value = "evals")]
    out: PathBuf,
    /// The model that answers, as the gateway routes it.
    #[arg(long, value_name = "MODEL", default_value = "openai/gpt-5-mini")]
    model: String,
    /// Write nothing, only say what would be.
    #[arg(long)]
    dry_run: bool,
    /// Write over files that are there.
    #[arg(long)]
    force: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum FormatArgument {
    /// The registry of OpenAI Evals: YAML, and samples as JSONL.
    OpenaiEvals,
    /// An export of OpenAI's hosted evals: the definition as JSON, and rows as JSONL.
    OpenaiHosted,
}

impl FormatArgument {
    const fn format(self) -> Format {
        match self {
            Self::OpenaiEvals => Format::OpenAiEvals,
            Self::OpenaiHosted => Format::OpenAiHosted,
        }
    }

    /// What the files of a directory end with.
    const fn endings(self) -> &'static [&'static str] {
        match self {
            Self::OpenaiEvals => &["yaml", "yml", "jsonl"],
            Self::OpenaiHosted => &["json", "jsonl"],
        }
    }
}

/// Runs the command.
pub(crate) fn run(arguments: &ImportArguments, as_json: bool) -> Result<(), Failure> {
    let mut files = Vec::new();
    read(arguments, &arguments.path, "", 0, &mut files)?;
    let imported = import(arguments.format.format(), &files, &arguments.model);
    let is_refused = !imported.refusals.is_empty();
    if as_json {
        let written: Vec<&String> = imported.files.iter().map(|(path, _)| path).collect();
        let body = json!({
            "ok": !is_refused,
            "files": written,
            "notes": imported.notes,
            "refusals": imported.refusals,
            "written": !is_refused && !arguments.dry_run,
        });
        output::put(&format!("{body}\n"))?;
    }
    if is_refused {
        let details = imported
            .refusals
            .iter()
            .map(|refusal| clean(&refusal.to_string()));
        let count = imported.refusals.len();
        let message = format!("{count} things cannot be carried over; nothing was written");
        return Err(Failure::new(message).with_details(details.collect()));
    }
    let changes = changes(&imported, arguments)?;
    if !arguments.dry_run {
        write_all(&changes)?;
    }
    if as_json {
        return Ok(());
    }
    output::put(&report(&imported, arguments))
}

fn report(imported: &Imported, arguments: &ImportArguments) -> String {
    let verb = if arguments.dry_run {
        "would write"
    } else {
        "wrote"
    };
    let mut text = String::new();
    for (path, _) in &imported.files {
        let path = arguments.out.join(path);
        let _ = writeln!(text, "{verb} {}", clean(&path.display().to_string()));
    }
    for note in &imported.notes {
        let _ = writeln!(text, "note: {}", clean(note));
    }
    text.push_str("next: promptgate evals check\n");
    text
}

/// What to write; a file that is there already is in the way, unless it is the same.
fn changes(imported: &Imported, arguments: &ImportArguments) -> Result<Vec<Change>, Failure> {
    let (mut changes, mut taken) = (Vec::new(), Vec::new());
    for (name, text) in &imported.files {
        let path = arguments.out.join(name);
        let old = fs::read(&path).ok();
        let is_same = old.as_deref() == Some(text.as_bytes());
        if old.is_some() && !is_same && !arguments.force {
            taken.push(format!("`{}` is there already", path.display()));
        }
        if !is_same {
            changes.push(Change {
                path,
                old,
                new: text.clone().into_bytes(),
            });
        }
    }
    if taken.is_empty() {
        return Ok(changes);
    }
    let hint = "`--force` writes over them, `--out DIR` writes elsewhere";
    Err(Failure::new("nothing was written")
        .with_details(taken)
        .with_hint(Some(hint.to_owned())))
}

/// Reads the file at `path`, or those below it; links are not followed.
fn read(
    arguments: &ImportArguments,
    path: &Path,
    name: &str,
    depth: usize,
    files: &mut Vec<Foreign>,
) -> Result<(), Failure> {
    let failed = |error: std::io::Error| {
        Failure::usage(format!("`{}` cannot be read: {error}", path.display()))
    };
    let facts = fs::symlink_metadata(path).map_err(failed)?;
    if facts.is_dir() {
        if MAX_DEPTH <= depth {
            return Ok(());
        }
        let entries = fs::read_dir(path).map_err(failed)?;
        let mut entries: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        entries.sort();
        for entry in entries {
            let Some(part) = entry.file_name().and_then(|name| name.to_str()) else {
                continue;
            };
            if !part.starts_with('.') {
                let name = if name.is_empty() {
                    part.to_owned()
                } else {
                    format!("{name}/{part}")
                };
                read(arguments, &entry, &name, depth + 1, files)?;
            }
        }
        return Ok(());
    }
    let ending = path
        .extension()
        .and_then(|end| end.to_str())
        .unwrap_or_default();
    if !facts.is_file() || (0 < depth && !arguments.format.endings().contains(&ending)) {
        return Ok(());
    }
    if MAX_BYTES < facts.len() || MAX_FILES <= files.len() {
        let path = path.display();
        let message =
            format!("`{path}` is too large, or one file too many (more than {MAX_FILES})");
        return Err(Failure::usage(message));
    }
    let text = fs::read_to_string(path).map_err(failed)?;
    let own = path.file_name().and_then(|name| name.to_str());
    files.push(Foreign {
        path: if name.is_empty() {
            own.unwrap_or_default()
        } else {
            name
        }
        .to_owned(),
        text,
    });
    Ok(())
}
