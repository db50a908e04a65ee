//! The two halves of a `.prompt` file: YAML front matter and template text.
//!
//! The split follows Dotprompt, except that what Dotprompt would silently take for prompt text (a
//! byte order mark, a fence that is not closed, broken YAML) is a problem here.

use crate::prompts::problem::Problem;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use std::borrow::Cow;

const FENCE: &str = "---";

/// A file, taken apart.
#[derive(Debug)]
pub(super) struct Document {
    /// The front matter as parsed; empty without one.
    pub(super) raw: Map<String, Value>,
    /// The YAML text, for finding the places of keys.
    pub(super) yaml: String,
    /// Where the YAML starts, in bytes of the file with LF endings.
    pub(super) yaml_start: usize,
    /// The line the YAML starts at.
    yaml_line: usize,
    /// The template, with LF endings.
    pub(super) template: String,
    /// The line the template starts at.
    pub(super) template_line: usize,
    /// Where the template starts, in bytes of the file with LF endings.
    pub(super) template_start: usize,
}

impl Document {
    /// Parses a whole file.
    pub(super) fn parse(source: &str) -> Result<Self, Problem> {
        if source.starts_with('\u{feff}') {
            return Err(Problem::new("the file starts with a byte order mark")
                .at(1)
                .hint("save it as UTF-8 without BOM"));
        }
        let source = with_lf_endings(source);
        let Some(fence) = opening_fence(&source) else {
            return Ok(Self {
                raw: Map::new(),
                yaml: String::new(),
                yaml_start: 0,
                yaml_line: 1,
                template: source.into_owned(),
                template_line: 1,
                template_start: 0,
            });
        };
        let (yaml, body, body_line) = split_at_closing_fence(&source, &fence)?;
        let raw = match parse_yaml::<Value>(yaml).map_err(|problem| shifted(problem, fence.line))? {
            Value::Object(map) => map,
            Value::Null => Map::new(),
            _ => {
                return Err(Problem::new("the front matter is no mapping")
                    .at(fence.line + 1)
                    .hint("write `key: value` lines between the fences"));
            }
        };
        let skipped = body.len() - body.trim_start().len();
        let blank_lines = body
            .get(..skipped)
            .map_or(0, |blank| blank.matches('\n').count());
        Ok(Self {
            raw,
            yaml: yaml.to_owned(),
            yaml_start: fence.end,
            yaml_line: fence.line + 1,
            template_start: source.len() - body.len() + skipped,
            template: body.trim().to_owned(),
            template_line: body_line + blank_lines,
        })
    }

    /// Returns the line of the top-level key `key`, else of the front matter's first line.
    pub(super) fn line_of(&self, key: &str) -> usize {
        let is_key = |line: &str| {
            let line = line.trim_start_matches(['"', '\'']);
            line.strip_prefix(key).is_some_and(|rest| {
                rest.trim_start_matches(['"', '\''])
                    .trim_start()
                    .starts_with(':')
            })
        };
        self.yaml_line + self.yaml.lines().position(is_key).unwrap_or(0)
    }
}

/// Returns `text` with every CRLF and CR turned into LF.
pub(super) fn with_lf_endings(text: &str) -> Cow<'_, str> {
    if text.contains('\r') {
        Cow::Owned(text.replace("\r\n", "\n").replace('\r', "\n"))
    } else {
        Cow::Borrowed(text)
    }
}

/// Parses YAML 1.2 (`yes` is a string) with the line in the problem.
pub(super) fn parse_yaml<T: DeserializeOwned>(text: &str) -> Result<T, Problem> {
    let options = serde_saphyr::options! {
        strict_booleans: true,
        non_finite_float_policy: serde_saphyr::options::NonFiniteFloatPolicy::Reject,
    };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        let place = error.location();
        let to_usize = |number: u64| usize::try_from(number).ok();
        let line = place.and_then(|place| to_usize(place.line()));
        let words = error.without_snippet().to_string();
        let words = words.lines().next().unwrap_or_default();
        // The line is said with the file, and that of the words would be one of the YAML.
        let said = place.map(|place| (place.line(), place.column()));
        let words = said.map_or_else(
            || words.to_owned(),
            |(line, column)| words.replace(&format!(" at line {line}, column {column}"), ""),
        );
        let mut problem = Problem::new(format!("broken YAML: {words}"));
        problem.column = place.and_then(|place| u32::try_from(place.column()).ok());
        match line {
            Some(line) => problem.at(line),
            None => problem,
        }
    })
}

struct Fence {
    /// The line of the fence, from 1.
    line: usize,
    /// Where the YAML starts, in bytes.
    end: usize,
}

/// Finds the first fence; only blank lines and `#` lines (a licence, a shebang) may stand before it.
fn opening_fence(source: &str) -> Option<Fence> {
    let mut end = 0;
    for (index, line) in source.split_inclusive('\n').enumerate() {
        end += line.len();
        if line.trim_end() == FENCE {
            return Some(Fence {
                line: index + 1,
                end,
            });
        }
        if !line.trim().is_empty() && !line.starts_with('#') {
            return None;
        }
    }
    None
}

/// Returns the YAML, the body and the body's first line.
fn split_at_closing_fence<'a>(
    source: &'a str,
    fence: &Fence,
) -> Result<(&'a str, &'a str, usize), Problem> {
    let after = source.get(fence.end..).unwrap_or_default();
    let mut start = 0;
    for (index, line) in after.split_inclusive('\n').enumerate() {
        let end = start + line.len();
        if line.trim_end() == FENCE {
            let closing = fence.line + 1 + index;
            if start == 0 {
                return Err(Problem::new("the front matter is empty")
                    .at(closing)
                    .hint("remove both fences or put a blank line between them"));
            }
            if !line.ends_with('\n') {
                return Err(
                    Problem::new("the closing `---` is not followed by a line break")
                        .at(closing)
                        .hint("end the file with a line break"),
                );
            }
            let yaml = after.get(..start).unwrap_or_default();
            let body = after.get(end..).unwrap_or_default();
            return Ok((yaml, body, closing + 1));
        }
        start = end;
    }
    Err(Problem::new("the front matter is not closed")
        .at(fence.line)
        .hint("add a line `---` after the YAML"))
}

fn shifted(mut problem: Problem, lines: usize) -> Problem {
    problem.line = Some(problem.line.unwrap_or(1) + lines);
    problem
}

#[cfg(test)]
mod tests {
    use super::Document;

    #[test]
    fn front_matter_is_split_as_dotprompt_does() {
        for (source, keys, template, line) in [
            ("just text\n", 0, "just text\n", 1),
            ("# a\n\n---\na: 1\n---\n\n body \n", 1, "body", 7),
            ("---\r\na: 1\r\nb: 2\r\n---\r\nx\r\ny", 2, "x\ny", 5),
            ("---  \na: 1\n---  \n", 1, "", 4),
            ("# heading\ntext\n---\n", 0, "# heading\ntext\n---\n", 1),
            ("---\n\n---\nx", 0, "x", 4),
        ] {
            let document = Document::parse(source).unwrap();
            assert_eq!(document.raw.len(), keys, "{source:?}");
            assert_eq!(document.template, template, "{source:?}");
            assert_eq!(document.template_line, line, "{source:?}");
        }
    }

    #[test]
    fn what_would_leak_into_the_prompt_is_a_problem_with_its_line() {
        for (source, line, words) in [
            ("\u{feff}---\na: 1\n---\nx", 1, "byte order mark"),
            ("\n---\na: 1\nno end", 2, "not closed"),
            ("---\na: 1\n---", 3, "line break"),
            ("---\n---\nx", 2, "empty"),
            ("---\na: 1\nb: [1\n---\nx", 3, "broken YAML"),
            ("---\na: 1\na: 2\n---\nx", 3, "broken YAML"),
            ("---\n- a\n---\nx", 2, "no mapping"),
        ] {
            let problem = Document::parse(source).unwrap_err();
            assert!(problem.message.contains(words), "{source:?}: {problem:?}");
            // A flow sequence that is not closed may be noticed on the line after it.
            let found = problem.line.unwrap();
            assert!(
                (line..=line + 1).contains(&found),
                "{source:?}: {problem:?}"
            );
        }
    }

    #[test]
    fn keys_keep_their_order_and_numbers_their_kind() {
        let document = Document::parse("---\nz: 1\na: 1.5\nm: yes\n---\nx").unwrap();
        let text = serde_json::to_string(&document.raw).unwrap();
        assert_eq!(text, r#"{"z":1,"a":1.5,"m":"yes"}"#);
        assert_eq!(document.line_of("a"), 3);
    }
}
