//! `promptgate prompts import`: brings prompts of other tools here, all of a run or none.
//!
//! Exit codes: 0 imported, 1 something cannot be carried over (nothing was written), 2 the command
//! could not run.

use crate::app;
use crate::cli::files::{Change, write_all};
use crate::cli::output::{self, Failure};
use crate::prompts::{Foreign, Import, ImportFormat, PromptReport, Refusal, import};
use clap::{Args, ValueEnum};
use serde_json::json;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// Files of a directory at most, and bytes of one.
const MAX_FILES: usize = 10_000;
const MAX_BYTES: u64 = 1 << 20;
/// Directories deeper than this are not entered.
const MAX_DEPTH: usize = 16;

#[derive(Debug, Args)]
pub(crate) struct ImportArguments {
    /// Whose prompts they are.
    #[arg(value_enum, value_name = "FORMAT")]
    format: FormatArgument,
    /// A file, or a directory of them.
    #[arg(value_name = "PATH")]
    path: PathBuf,
    /// Where to write (default: the directory of the prompts).
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Write nothing, only say what would be.
    #[arg(long)]
    dry_run: bool,
    /// Write over files that are there.
    #[arg(long)]
    force: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum FormatArgument {
    /// Hosted prompts of OpenAI, as JSON.
    Openai,
    /// Prompts of Langfuse, as its API exports them.
    Langfuse,
    /// `.prompt` files and prompt configs of LiteLLM.
    Litellm,
    /// `.prompty` files, version 1 or 2.
    Prompty,
    /// `.prompt.yml` files of GitHub Models.
    GithubModels,
    /// tensorzero.toml with its templates and schemas.
    Tensorzero,
    /// promptfooconfig.yaml, and prompt files.
    Promptfoo,
}

impl FormatArgument {
    const fn format(self) -> ImportFormat {
        match self {
            Self::Openai => ImportFormat::OpenAi,
            Self::Langfuse => ImportFormat::Langfuse,
            Self::Litellm => ImportFormat::LiteLlm,
            Self::Prompty => ImportFormat::Prompty,
            Self::GithubModels => ImportFormat::GitHubModels,
            Self::Tensorzero => ImportFormat::TensorZero,
            Self::Promptfoo => ImportFormat::Promptfoo,
        }
    }

    /// What the files of a directory end with.
    const fn endings(self) -> &'static [&'static str] {
        match self {
            Self::Openai | Self::Langfuse => &[".json"],
            Self::Litellm => &[".prompt", ".json", ".yaml", ".yml"],
            Self::Prompty => &[".prompty"],
            Self::GithubModels => &[".prompt.yml", ".prompt.yaml"],
            Self::Tensorzero => &[".toml", ".minijinja", ".jinja", ".j2", ".json", ".txt"],
            Self::Promptfoo => &[".yaml", ".yml", ".json", ".txt", ".md", ".j2"],
        }
    }
}

/// Runs the command. `prompts` is the directory of the prompts.
pub(crate) fn run(
    arguments: &ImportArguments,
    prompts: Option<&Path>,
    as_json: bool,
) -> Result<(), Failure> {
    let root = arguments.out.as_deref().or(prompts).ok_or_else(|| {
        Failure::usage("the prompts are read from Git; say where to write with `--out`")
    })?;
    let files = read(arguments)?;
    let outcome = import(arguments.format.format(), &files);
    if !outcome.refusals.is_empty() {
        if as_json {
            output::put(&report_json(&outcome, false))?;
        }
        let details = outcome.refusals.iter().map(describe).collect();
        let count = outcome.refusals.len();
        let message = format!("{count} things cannot be carried over; nothing was written");
        return Err(Failure::new(message).with_details(details));
    }
    let changes = changes(&outcome, root, arguments.force)?;
    if !arguments.dry_run {
        write_all(&changes)?;
    }
    output::put(&if as_json {
        report_json(&outcome, !arguments.dry_run)
    } else {
        report(&outcome, root, arguments.dry_run)
    })
}

/// What to write; a file that is there already is in the way, unless it is the same.
fn changes(outcome: &Import, root: &Path, is_forced: bool) -> Result<Vec<Change>, Failure> {
    let mut changes = Vec::with_capacity(outcome.files.len());
    let mut taken = Vec::new();
    for (name, text) in &outcome.files {
        let path = root.join(name);
        let old = fs::read(&path).ok();
        let is_same = old.as_deref() == Some(text.as_bytes());
        if old.is_some() && !is_same && !is_forced {
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
    Err(Failure::new("nothing was written")
        .with_details(taken)
        .with_hint(Some(
            "use `--force` to write over them, or `--out` for another directory".to_owned(),
        )))
}

/// Reads the file, or all files of the directory that are of the format.
fn read(arguments: &ImportArguments) -> Result<Vec<Foreign>, Failure> {
    let root = &arguments.path;
    let mut paths = Vec::new();
    if root.is_dir() {
        collect(root, arguments.format.endings(), 0, &mut paths)?;
    } else {
        paths.push(root.clone());
    }
    if paths.is_empty() {
        let endings = arguments.format.endings().join(", ");
        let message = format!(
            "there is no file that ends with {endings} in `{}`",
            root.display()
        );
        return Err(Failure::usage(message));
    }
    let mut files = Vec::with_capacity(paths.len());
    for path in paths {
        files.push(foreign(root, &path)?);
        // A configuration names files beside it.
        if path == *root
            && matches!(
                arguments.format,
                FormatArgument::Tensorzero | FormatArgument::Promptfoo
            )
        {
            let directory = root
                .parent()
                .filter(|parent| !parent.as_os_str().is_empty());
            let directory = directory.unwrap_or_else(|| Path::new("."));
            let mut beside = Vec::new();
            collect(directory, arguments.format.endings(), 0, &mut beside)?;
            return named_beside(&path, directory, beside);
        }
    }
    Ok(files)
}

/// One configuration with the files below its directory, of which it takes what it names.
fn named_beside(
    config: &Path,
    directory: &Path,
    beside: Vec<PathBuf>,
) -> Result<Vec<Foreign>, Failure> {
    let own = foreign(directory, config)?;
    let mut files = Vec::new();
    for path in beside {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let is_named = own.text.contains(name.as_ref())
            && fs::canonicalize(&path).ok() != fs::canonicalize(config).ok();
        if is_named {
            files.push(foreign(directory, &path)?);
        }
    }
    files.insert(0, own);
    Ok(files)
}

fn foreign(root: &Path, path: &Path) -> Result<Foreign, Failure> {
    let unreadable =
        |reason: String| Failure::usage(format!("`{}` cannot be read: {reason}", path.display()));
    let size = fs::metadata(path)
        .map_err(|error| unreadable(error.to_string()))?
        .len();
    if MAX_BYTES < size {
        return Err(unreadable(format!(
            "it has {size} bytes, the limit is {MAX_BYTES}"
        )));
    }
    let bytes = fs::read(path).map_err(|error| unreadable(error.to_string()))?;
    let text = String::from_utf8(bytes).map_err(|_| unreadable("it is not UTF-8".to_owned()))?;
    let text = text.trim_start_matches('\u{feff}').replace("\r\n", "\n");
    let name = path
        .strip_prefix(root)
        .ok()
        .filter(|name| !name.as_os_str().is_empty());
    let name = name
        .or_else(|| path.file_name().map(Path::new))
        .unwrap_or(path);
    let toml = if path
        .extension()
        .is_some_and(|extension| extension == "toml")
    {
        Some(app::parse_toml(&text).map_err(unreadable)?)
    } else {
        None
    };
    Ok(Foreign {
        path: name.to_string_lossy().into_owned(),
        text,
        toml,
    })
}

fn collect(
    directory: &Path,
    endings: &[&str],
    depth: usize,
    paths: &mut Vec<PathBuf>,
) -> Result<(), Failure> {
    let unreadable =
        |error| Failure::usage(format!("`{}` cannot be read: {error}", directory.display()));
    let mut entries = Vec::new();
    for entry in fs::read_dir(directory).map_err(unreadable)? {
        entries.push(entry.map_err(unreadable)?.path());
    }
    entries.sort();
    for path in entries {
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let is_skipped = name.starts_with('.') || name == "node_modules" || path.is_symlink();
        if is_skipped {
            continue;
        }
        if path.is_dir() {
            if depth < MAX_DEPTH {
                collect(&path, endings, depth + 1, paths)?;
            }
        } else if endings.iter().any(|ending| name.ends_with(ending)) {
            if MAX_FILES <= paths.len() {
                return Err(Failure::usage(format!(
                    "there are more than {MAX_FILES} files"
                )));
            }
            paths.push(path);
        }
    }
    Ok(())
}

fn describe(refusal: &Refusal) -> String {
    let line = refusal
        .line
        .map(|line| format!(":{line}"))
        .unwrap_or_default();
    let mut text = format!("{}{line}: {}", refusal.path, refusal.message);
    if let Some(hint) = &refusal.hint {
        let _ = write!(text, "\n  hint: {hint}");
    }
    text
}

fn report_json(outcome: &Import, is_written: bool) -> String {
    let aliases: serde_json::Map<String, serde_json::Value> = aliases(outcome)
        .map(|(alias, name)| (alias.to_owned(), json!(name)))
        .collect();
    let body = json!({
        "version": 1,
        "written": is_written,
        "prompts": outcome.prompts,
        "aliases": aliases,
        "refusals": outcome.refusals,
    });
    format!("{body}\n")
}

fn aliases(outcome: &Import) -> impl Iterator<Item = (&str, &str)> {
    let named = |report: &'_ PromptReport| report.alias.is_some();
    let reports = outcome.prompts.iter().filter(move |report| named(report));
    reports.filter_map(|report| Some((report.alias.as_deref()?, report.name.as_str())))
}

fn report(outcome: &Import, root: &Path, is_dry: bool) -> String {
    let mut text = String::new();
    for prompt in &outcome.prompts {
        let files: Vec<String> = prompt
            .files
            .iter()
            .map(|file| root.join(file).display().to_string())
            .collect();
        let _ = writeln!(text, "{} -> {}", prompt.from, files.join(", "));
        let _ = writeln!(text, "  carried over: {}", prompt.carried.join(", "));
        for (word, items) in [
            ("changed", &prompt.changed),
            ("left behind", &prompt.dropped),
        ] {
            for item in items {
                let _ = writeln!(text, "  {word}: {item}");
            }
        }
    }
    let lines: Vec<String> = aliases(outcome)
        .map(|(alias, name)| format!("  {alias}: {name}"))
        .collect();
    if !lines.is_empty() {
        let _ = writeln!(
            text,
            "\nTo keep the ids working, add to releases.yaml:\naliases:\n{}",
            lines.join("\n")
        );
    }
    let count = outcome.prompts.len();
    let noun = if count == 1 { "prompt" } else { "prompts" };
    let done = if is_dry {
        "would be written"
    } else {
        "written"
    };
    let _ = writeln!(text, "\n{count} {noun} {done}");
    text
}
