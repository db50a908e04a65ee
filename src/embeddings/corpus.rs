//! Reads a corpus from files: one source after the other, so that no corpus is too large.

use crate::domain::matches_glob;
use crate::embeddings::json_fault::json_fault;
use crate::embeddings::snapshots::SourceText;
use serde_json::{Map, Value};
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

/// How a corpus is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CorpusFormat {
    /// A JSON object a line: `id`, `text`, `metadata`.
    JsonLines,
    /// A table with a heading: `id`, `text`, and columns that become metadata.
    Csv,
    /// A text a line.
    Lines,
    /// A file is one text.
    Text,
}

/// How a corpus is read.
#[derive(Debug, Clone, Default)]
pub struct CorpusOptions {
    /// How it is written; told by the name of the file when nothing is said.
    pub format: Option<CorpusFormat>,
    /// The field with the name of a source; `id` when nothing is said.
    pub id_field: Option<String>,
    /// The field with its text; `text` when nothing is said.
    pub text_field: Option<String>,
    /// Which files of a directory are read: `*.md`.
    pub glob: Option<String>,
    /// Whether sources without a text are left out; else they are an error.
    pub skips_empty: bool,
}

/// Why a corpus cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{place}: {problem}")]
pub struct CorpusError {
    /// The file, and the line where there is one.
    pub place: String,
    /// What is wrong.
    pub problem: String,
    /// What to do.
    pub hint: Option<String>,
}

type Sources = Box<dyn Iterator<Item = Result<SourceText, CorpusError>>>;

fn error(place: impl Into<String>, problem: impl Into<String>) -> CorpusError {
    CorpusError {
        place: place.into(),
        problem: problem.into(),
        hint: None,
    }
}

/// Opens a corpus: a file, a directory of files, or `-` for standard input.
///
/// # Errors
///
/// When it is not there, or a directory has no such files.
pub fn open(path: &Path, options: &CorpusOptions) -> Result<Sources, CorpusError> {
    let sources = if path == Path::new("-") {
        of_reader("stdin", Box::new(BufReader::new(io::stdin())), options)?
    } else if path.is_dir() {
        of_directory(path, options)?
    } else {
        let place = path.display().to_string();
        let file = File::open(path).map_err(|cause| error(&*place, cause.to_string()))?;
        let format = options.format.or_else(|| format_of(path));
        let options = CorpusOptions {
            format,
            ..options.clone()
        };
        of_reader(&place, Box::new(BufReader::new(file)), &options)?
    };
    if options.skips_empty {
        return Ok(Box::new(sources.filter(
            |source| !matches!(source, Ok(source) if source.text.trim().is_empty()),
        )));
    }
    Ok(sources)
}

fn format_of(path: &Path) -> Option<CorpusFormat> {
    let extension = path.extension()?.to_str()?.to_ascii_lowercase();
    match extension.as_str() {
        "jsonl" | "ndjson" | "json" => Some(CorpusFormat::JsonLines),
        "csv" => Some(CorpusFormat::Csv),
        "txt" => Some(CorpusFormat::Lines),
        "md" | "markdown" | "rst" | "html" => Some(CorpusFormat::Text),
        _ => None,
    }
}

fn of_reader(
    place: &str,
    mut reader: Box<dyn BufRead>,
    options: &CorpusOptions,
) -> Result<Sources, CorpusError> {
    let format = match options.format {
        Some(format) => format,
        None => {
            let start = reader.fill_buf();
            let start = start.map_err(|cause| error(place, cause.to_string()))?;
            let start = start.strip_prefix(b"\xef\xbb\xbf").unwrap_or(start);
            let first = start.iter().find(|byte| !byte.is_ascii_whitespace());
            if first == Some(&b'{') {
                CorpusFormat::JsonLines
            } else {
                CorpusFormat::Lines
            }
        }
    };
    match format {
        CorpusFormat::JsonLines => Ok(json_lines(place.to_owned(), reader, options)),
        CorpusFormat::Csv => csv_rows(place, reader, options),
        CorpusFormat::Lines => Ok(plain_lines(place.to_owned(), reader)),
        CorpusFormat::Text => {
            let mut text = String::new();
            let read = reader.read_to_string(&mut text);
            read.map_err(|cause| error(place, cause.to_string()))?;
            let source = SourceText {
                id: place.to_owned(),
                text: unmarked(text),
                metadata: None,
            };
            Ok(Box::new(std::iter::once(Ok(source))))
        }
    }
}

fn numbered(
    reader: Box<dyn BufRead>,
    place: String,
) -> impl Iterator<Item = Result<(usize, String), CorpusError>> {
    let lines = reader.lines().zip(1..);
    lines.map(move |(line, number)| match line {
        Ok(line) if number == 1 => Ok((number, unmarked(line))),
        Ok(line) => Ok((number, line)),
        Err(cause) => Err(error(format!("{place}:{number}"), cause.to_string())),
    })
}

/// Takes off the mark that some editors put before UTF-8.
fn unmarked(text: String) -> String {
    match text.strip_prefix('\u{feff}') {
        Some(rest) => rest.to_owned(),
        None => text,
    }
}

/// Empty lines are no texts.
fn plain_lines(place: String, reader: Box<dyn BufRead>) -> Sources {
    let lines = numbered(reader, place);
    Box::new(lines.filter_map(|line| match line {
        Ok((_, line)) if line.trim().is_empty() => None,
        Ok((number, text)) => Some(Ok(SourceText {
            id: format!("line-{number}"),
            text,
            metadata: None,
        })),
        Err(error) => Some(Err(error)),
    }))
}

fn json_lines(place: String, reader: Box<dyn BufRead>, options: &CorpusOptions) -> Sources {
    let options = options.clone();
    let lines = numbered(reader, place.clone());
    Box::new(lines.filter_map(move |line| match line {
        Ok((_, line)) if line.trim().is_empty() => None,
        Ok((number, line)) => {
            let place = format!("{place}:{number}");
            Some(of_json(&place, number, &line, &options))
        }
        Err(error) => Some(Err(error)),
    }))
}

fn of_json(
    place: &str,
    number: usize,
    line: &str,
    options: &CorpusOptions,
) -> Result<SourceText, CorpusError> {
    let id_field = options.id_field.as_deref().unwrap_or("id");
    let text_field = options.text_field.as_deref().unwrap_or("text");
    let mut fields: Map<String, Value> = serde_json::from_str(line).map_err(|cause| {
        // A value of another kind is JSON all the same.
        let fault = json_fault(line.as_bytes());
        error(
            place,
            fault.unwrap_or_else(|| format!("is no JSON object: {cause}")),
        )
    })?;
    let text = match fields.remove(text_field) {
        Some(Value::String(text)) => text,
        found => {
            let problem = match found {
                None => format!("has no `{text_field}`"),
                Some(_) => format!("`{text_field}` is no text"),
            };
            return Err(CorpusError {
                hint: Some("name the field: `--text-field NAME`".to_owned()),
                ..error(place, problem)
            });
        }
    };
    let id = match fields.remove(id_field) {
        Some(Value::String(id)) => id,
        Some(Value::Number(id)) => id.to_string(),
        None => format!("line-{number}"),
        Some(_) => {
            return Err(error(
                place,
                format!("`{id_field}` is neither text nor number"),
            ));
        }
    };
    let metadata = fields.remove("metadata").filter(|value| !value.is_null());
    let rest = (!fields.is_empty()).then(|| Value::Object(fields));
    Ok(SourceText {
        id,
        text,
        metadata: metadata.or(rest),
    })
}

fn csv_rows(
    place: &str,
    reader: impl Read + 'static,
    options: &CorpusOptions,
) -> Result<Sources, CorpusError> {
    let id_field = options.id_field.as_deref().unwrap_or("id");
    let text_field = options.text_field.as_deref().unwrap_or("text");
    let mut rows = csv::Reader::from_reader(reader);
    let headings = rows.headers().cloned();
    let headings = headings.map_err(|cause| error(place, cause.to_string()))?;
    let column = |name: &str| headings.iter().position(|heading| heading == name);
    let Some(text) = column(text_field) else {
        return Err(CorpusError {
            hint: Some("name the column: `--text-field NAME`".to_owned()),
            ..error(place, format!("has no column `{text_field}`"))
        });
    };
    let id = column(id_field);
    let place = place.to_owned();
    let sources = rows
        .into_records()
        .zip(1_usize..)
        .map(move |(row, number)| {
            let row =
                row.map_err(|cause| error(format!("{place}, row {number}"), cause.to_string()))?;
            let field = |place: usize| row.get(place).unwrap_or_default().to_owned();
            let more = headings.iter().zip(row.iter()).enumerate();
            let more: Map<String, Value> = more
                .filter(|(place, _)| *place != text && Some(*place) != id)
                .map(|(_, (heading, value))| (heading.to_owned(), value.into()))
                .collect();
            Ok(SourceText {
                id: id.map_or_else(|| format!("row-{number}"), field),
                text: field(text),
                metadata: (!more.is_empty()).then(|| Value::Object(more)),
            })
        });
    Ok(Box::new(sources))
}

/// Each file is a source, called after its path below the directory; hidden ones are not read.
fn of_directory(dir: &Path, options: &CorpusOptions) -> Result<Sources, CorpusError> {
    let mut files = Vec::new();
    collect(dir, dir, options, &mut files)?;
    files.sort();
    if files.is_empty() {
        let problem = "has no files that are asked for";
        return Err(error(dir.display().to_string(), problem));
    }
    let dir = dir.to_owned();
    Ok(Box::new(files.into_iter().map(move |id| {
        let path = dir.join(&id);
        let text = fs::read_to_string(&path).map_err(|cause| CorpusError {
            hint: (cause.kind() == io::ErrorKind::InvalidData)
                .then(|| "say which files are texts: `--glob '*.md'`".to_owned()),
            ..error(path.display().to_string(), cause.to_string())
        })?;
        Ok(SourceText {
            id,
            text,
            metadata: None,
        })
    })))
}

fn collect(
    root: &Path,
    dir: &Path,
    options: &CorpusOptions,
    files: &mut Vec<String>,
) -> Result<(), CorpusError> {
    let fail = |cause: io::Error| error(dir.display().to_string(), cause.to_string());
    for entry in fs::read_dir(dir).map_err(fail)? {
        let entry = entry.map_err(fail)?;
        let (path, kind): (PathBuf, _) = (entry.path(), entry.file_type().map_err(fail)?);
        if entry.file_name().to_string_lossy().starts_with('.') {
            continue;
        }
        if kind.is_dir() {
            collect(root, &path, options, files)?;
        } else if kind.is_file() {
            let below = path.strip_prefix(root).unwrap_or(&path);
            let id = below.to_string_lossy().into_owned();
            let is_wanted = options
                .glob
                .as_ref()
                .is_none_or(|glob| matches_glob(glob, &id));
            if is_wanted {
                files.push(id);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{CorpusFormat, CorpusOptions, open};
    use crate::embeddings::snapshots::SourceText;
    use serde_json::json;
    use std::fs;

    fn read(name: &str, text: &str, options: &CorpusOptions) -> Result<Vec<SourceText>, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name);
        fs::write(&path, text).unwrap();
        let sources = open(&path, options).map_err(|error| error.to_string())?;
        let sources: Result<Vec<_>, _> = sources.collect();
        sources.map_err(|error| {
            let place = error.place.replace(&dir.path().display().to_string(), "");
            format!("{place}: {}", error.problem)
        })
    }

    #[test]
    fn a_mark_before_the_first_line_is_no_part_of_it() {
        let options = CorpusOptions::default();
        for (name, text) in [
            ("c.jsonl", "\u{feff}{\"id\":\"a\",\"text\":\"one\"}\n"),
            ("c.csv", "\u{feff}id,text\na,one\n"),
            ("c.txt", "\u{feff}one\n"),
            ("c.md", "\u{feff}one"),
            ("c", "\u{feff}{\"id\":\"a\",\"text\":\"one\"}\n"),
        ] {
            let sources = read(name, text, &options).unwrap();
            assert_eq!(sources[0].text, "one", "{name}");
        }
        let error = read("c.jsonl", "{\"text\":\"a\"}\n{\"text\": NaN}\n", &options);
        assert_eq!(
            error.unwrap_err(),
            "/c.jsonl:2: is no JSON: `NaN` at column 10 is no number JSON has; leave the row out, or write `null`"
        );
    }

    #[test]
    fn each_form_gives_the_same_sources() {
        let options = CorpusOptions::default();
        let jsonl = "{\"id\":\"a\",\"text\":\"one\",\"lang\":\"en\"}\n\n{\"id\":2,\"text\":\"two\",\"metadata\":{\"x\":1}}\n{\"text\":\"three\"}\n";
        let sources = read("c.jsonl", jsonl, &options).unwrap();
        let ids: Vec<&str> = sources.iter().map(|source| source.id.as_str()).collect();
        assert_eq!(ids, ["a", "2", "line-4"]);
        assert_eq!(sources[0].metadata, Some(json!({"lang": "en"})));
        assert_eq!(sources[1].metadata, Some(json!({"x": 1})));
        let csv = "id,text,lang\na,\"one, two\",en\n";
        let sources = read("c.csv", csv, &options).unwrap();
        assert_eq!(sources[0].text, "one, two");
        assert_eq!(sources[0].metadata, Some(json!({"lang": "en"})));
        let sources = read("c.txt", "one\n\ntwo\n", &options).unwrap();
        assert_eq!(
            (sources[0].id.as_str(), sources[1].text.as_str()),
            ("line-1", "two")
        );
        let named = CorpusOptions {
            format: Some(CorpusFormat::JsonLines),
            text_field: Some("body".to_owned()),
            skips_empty: true,
            ..CorpusOptions::default()
        };
        let sources = read("c.data", "{\"body\":\"x\"}\n{\"body\":\" \"}", &named).unwrap();
        assert_eq!(sources.len(), 1);
    }

    #[test]
    fn a_directory_has_a_source_for_each_file() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("b")).unwrap();
        for name in ["a.md", "b/c.md", "b/d.png", ".hidden.md"] {
            fs::write(dir.path().join(name), name).unwrap();
        }
        let options = CorpusOptions {
            glob: Some("*.md".to_owned()),
            ..CorpusOptions::default()
        };
        let sources: Vec<_> = open(dir.path(), &options).unwrap().flatten().collect();
        let ids: Vec<&str> = sources.iter().map(|source| source.id.as_str()).collect();
        assert_eq!(ids, ["a.md", "b/c.md"]);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        let options = CorpusOptions::default();
        for (name, text, told) in [
            (
                "c.jsonl",
                "{\"text\":\"x\"}\n[1]",
                "/c.jsonl:2: is no JSON object",
            ),
            ("c.jsonl", "{\"id\":\"a\"}", "/c.jsonl:1: has no `text`"),
            ("c.jsonl", "{\"text\":1}", "/c.jsonl:1: `text` is no text"),
            ("c.csv", "id,body\na,b\n", "has no column `text`"),
            ("c.csv", "id,text\na\n", "row 1"),
        ] {
            let error = read(name, text, &options).unwrap_err();
            assert!(error.contains(told), "{error}");
        }
    }
}
