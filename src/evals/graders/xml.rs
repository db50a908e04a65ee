//! `is-xml` and `contains-xml`: well-formed XML, with the elements that are required.
//!
//! Checked: one root; tags that nest and close; names; quoted attributes, each once; entities that are known;
//! comments, CDATA, processing instructions and a declaration where they may stand. Not read: DTDs with
//! declarations of their own (refused, as in promptfoo), namespaces that are not declared.

use crate::evals::graders::ready::Ready;
use crate::evals::graders::{CannotJudge, Judged};
use crate::evals::values::{is_space, string_of, trim};
use serde_json::Value;
use std::collections::BTreeSet;

/// How deep elements may be nested.
const MAX_DEPTH: usize = 512;
/// Beginnings of elements that are tried in a text.
const MAX_TRIES: usize = 2_000;

/// The whole output is XML.
pub(super) fn is_xml(ready: &Ready<'_>) -> Judged {
    let required = required(ready)?;
    let outcome = Reader::document(&ready.text).and_then(|paths| missing_none(&paths, &required));
    judged(ready, outcome)
}

/// There is an element in the output that is XML.
pub(super) fn contains_xml(ready: &Ready<'_>) -> Judged {
    let required = required(ready)?;
    let mut outcome = Err("there is no XML element in the output".to_owned());
    let mut place = 0;
    for _ in 0..MAX_TRIES {
        let rest = ready.text.get(place..).unwrap_or_default();
        let Some(start) = rest.find('<') else { break };
        let mut reader = Reader::new(rest.get(start..).unwrap_or_default());
        match reader.siblings() {
            Ok(()) if !reader.paths.is_empty() => {
                outcome = missing_none(&reader.paths, &required);
                if outcome.is_ok() {
                    break;
                }
                place += rest.len() - reader.rest.len();
            }
            _ => place += start + 1,
        }
    }
    judged(ready, outcome)
}

fn judged(ready: &Ready<'_>, outcome: Result<(), String>) -> Judged {
    match outcome {
        Ok(()) => ready.plain(true, "the XML is well-formed and has what is required"),
        Err(reason) => ready.plain(false, reason),
    }
}

/// The paths that are required: `a.b.c`, from the root down.
fn required(ready: &Ready<'_>) -> Result<Vec<String>, CannotJudge> {
    let listed = |items: &[Value]| items.iter().map(string_of).collect();
    match &ready.value {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::String(text)) => {
            Ok(text.split(',').map(|path| trim(path).to_owned()).collect())
        }
        Some(Value::Array(items)) => Ok(listed(items)),
        Some(Value::Object(fields)) if fields.is_empty() => Ok(Vec::new()),
        Some(Value::Object(fields)) => match fields.get("requiredElements") {
            Some(Value::Array(items)) => Ok(listed(items)),
            _ => Err(CannotJudge::because(
                "its `value` must have a list `requiredElements`",
            )),
        },
        Some(_) => Err(CannotJudge::because(
            "its `value` must be text, a list, or an object of `requiredElements`",
        )),
    }
}

fn missing_none(paths: &BTreeSet<String>, required: &[String]) -> Result<(), String> {
    let missing: Vec<&str> = required
        .iter()
        .filter(|path| !path.is_empty() && !paths.contains(*path))
        .map(String::as_str)
        .collect();
    if missing.is_empty() {
        Ok(())
    } else {
        Err(format!("the XML lacks `{}`", missing.join("`, `")))
    }
}

/// Reads XML from the front, and keeps the paths of its elements and attributes (`a.b`, `a.@_id`).
struct Reader<'a> {
    rest: &'a str,
    open: Vec<&'a str>,
    paths: BTreeSet<String>,
}

type Read<T> = Result<T, String>;

impl<'a> Reader<'a> {
    const fn new(text: &'a str) -> Self {
        Self {
            rest: text,
            open: Vec::new(),
            paths: BTreeSet::new(),
        }
    }

    /// Reads a whole document and returns the paths in it.
    fn document(text: &'a str) -> Read<BTreeSet<String>> {
        let mut reader = Self::new(text.strip_prefix('\u{feff}').unwrap_or(text));
        if reader.rest.starts_with("<?xml") {
            reader.instruction()?;
        }
        reader.between()?;
        if reader.rest.starts_with("<!DOCTYPE") {
            let end = reader.rest.find('>').ok_or("the DOCTYPE does not end")?;
            if reader
                .rest
                .get(..end)
                .is_some_and(|text| text.contains('['))
            {
                return Err("a DOCTYPE with declarations of its own is not supported".to_owned());
            }
            reader.skip(end + 1);
            reader.between()?;
        }
        reader.element()?;
        reader.between()?;
        if reader.rest.is_empty() {
            Ok(reader.paths)
        } else {
            Err("there is text after the root element".to_owned())
        }
    }

    /// Reads one element and those that follow it at once; what cannot be read ends it.
    fn siblings(&mut self) -> Read<()> {
        self.element()?;
        loop {
            let (kept, paths) = (self.rest, self.paths.clone());
            self.rest = self.rest.trim_start_matches(is_space);
            if !self.rest.starts_with('<') || self.element().is_err() {
                (self.rest, self.paths) = (kept, paths);
                self.open.clear();
                return Ok(());
            }
        }
    }

    /// Skips what may stand beside the root: white space, comments, instructions.
    fn between(&mut self) -> Read<()> {
        loop {
            self.rest = self.rest.trim_start_matches([' ', '\t', '\r', '\n']);
            if self.rest.starts_with("<!--") {
                self.comment()?;
            } else if self.rest.starts_with("<?") {
                self.instruction()?;
            } else {
                return Ok(());
            }
        }
    }

    fn element(&mut self) -> Read<()> {
        let depth = self.open.len();
        self.open_tag()?;
        while depth < self.open.len() {
            let text = self.until('<')?;
            check_text(text)?;
            if self.rest.starts_with("<!--") {
                self.comment()?;
            } else if self.rest.starts_with("<![CDATA[") {
                self.skip_past("]]>", "the CDATA does not end")?;
            } else if self.rest.starts_with("<?") {
                self.instruction()?;
            } else if self.rest.starts_with("</") {
                self.close_tag()?;
            } else {
                self.open_tag()?;
            }
        }
        Ok(())
    }

    fn open_tag(&mut self) -> Read<()> {
        self.rest = self
            .rest
            .strip_prefix('<')
            .ok_or("there is no root element")?;
        let name = self.name()?;
        if MAX_DEPTH <= self.open.len() {
            return Err("elements are nested too deeply".to_owned());
        }
        self.open.push(name);
        self.paths.insert(self.open.join("."));
        let mut attributes = BTreeSet::new();
        loop {
            let trimmed = self.rest.trim_start_matches([' ', '\t', '\r', '\n']);
            let has_space = trimmed.len() < self.rest.len();
            self.rest = trimmed;
            if let Some(rest) = self.rest.strip_prefix("/>") {
                self.rest = rest;
                self.open.pop();
                return Ok(());
            }
            if let Some(rest) = self.rest.strip_prefix('>') {
                self.rest = rest;
                return Ok(());
            }
            if !has_space {
                return Err(format!("the tag `{name}` does not end"));
            }
            let attribute = self.attribute()?;
            if !attributes.insert(attribute) {
                return Err(format!("`{name}` has the attribute `{attribute}` twice"));
            }
            self.paths
                .insert(format!("{}.@_{attribute}", self.open.join(".")));
        }
    }

    fn attribute(&mut self) -> Read<&'a str> {
        let name = self.name()?;
        let spaces = [' ', '\t', '\r', '\n'];
        let rest = self.rest.trim_start_matches(spaces).strip_prefix('=');
        let rest = rest.ok_or_else(|| format!("the attribute `{name}` has no value"))?;
        let rest = rest.trim_start_matches(spaces);
        let quote = rest.chars().next().filter(|c| matches!(c, '"' | '\''));
        let quote = quote.ok_or_else(|| format!("the value of `{name}` is not in quotes"))?;
        self.rest = rest.get(1..).unwrap_or_default();
        let value = self.until(quote)?;
        self.skip(1);
        if value.contains('<') {
            return Err(format!("the value of `{name}` has `<` in it"));
        }
        check_text(value)?;
        Ok(name)
    }

    fn close_tag(&mut self) -> Read<()> {
        self.skip(2);
        let name = self.name()?;
        self.rest = self.rest.trim_start_matches([' ', '\t', '\r', '\n']);
        self.rest = self
            .rest
            .strip_prefix('>')
            .ok_or_else(|| format!("the tag `/{name}` does not end"))?;
        match self.open.pop() {
            Some(open) if open == name => Ok(()),
            Some(open) => Err(format!("`{open}` is closed by `{name}`")),
            None => Err(format!("`{name}` is closed and was not opened")),
        }
    }

    fn name(&mut self) -> Read<&'a str> {
        let end = self
            .rest
            .find(|c: char| !is_name_part(c))
            .unwrap_or(self.rest.len());
        let name = self.rest.get(..end).unwrap_or_default();
        if !name.starts_with(|c: char| {
            is_name_part(c) && !matches!(c, '0'..='9' | '-' | '.' | '\u{b7}')
        }) {
            return Err("a tag has no name".to_owned());
        }
        self.skip(end);
        Ok(name)
    }

    fn comment(&mut self) -> Read<()> {
        self.skip(4);
        let end = self.rest.find("--").ok_or("a comment does not end")?;
        self.skip(end + 2);
        self.rest = self
            .rest
            .strip_prefix('>')
            .ok_or("a comment has `--` in it")?;
        Ok(())
    }

    fn instruction(&mut self) -> Read<()> {
        self.skip_past("?>", "an instruction does not end")
    }

    fn skip_past(&mut self, mark: &str, words: &str) -> Read<()> {
        let end = self.rest.find(mark).ok_or(words)?;
        self.skip(end + mark.len());
        Ok(())
    }

    fn until(&mut self, mark: char) -> Read<&'a str> {
        let end = self.rest.find(mark).ok_or_else(|| match self.open.last() {
            Some(name) => format!("`{name}` is not closed"),
            None => format!("`{mark}` is missing"),
        })?;
        let text = self.rest.get(..end).unwrap_or_default();
        self.skip(end);
        Ok(text)
    }

    fn skip(&mut self, length: usize) {
        self.rest = self.rest.get(length..).unwrap_or_default();
    }
}

const fn is_name_part(c: char) -> bool {
    matches!(c, 'a'..='z' | 'A'..='Z' | '0'..='9' | ':' | '_' | '-' | '.' | '\u{b7}'
        | '\u{c0}'..='\u{d6}' | '\u{d8}'..='\u{f6}' | '\u{f8}'..='\u{37d}' | '\u{37f}'..='\u{1fff}'
        | '\u{200c}'..='\u{200d}' | '\u{203f}'..='\u{2040}' | '\u{2070}'..='\u{218f}'
        | '\u{2c00}'..='\u{2fef}' | '\u{3001}'..='\u{d7ff}' | '\u{f900}'..='\u{fdcf}'
        | '\u{fdf0}'..='\u{fffd}' | '\u{10000}'..='\u{effff}')
}

/// Every `&` begins a known entity or a character's number, and no control character is in it.
fn check_text(text: &str) -> Read<()> {
    if text.contains(|c: char| {
        c.is_control() && !matches!(c, '\t' | '\r' | '\n' | '\u{7f}'..='\u{9f}')
    }) {
        return Err("there is a control character in the text".to_owned());
    }
    if text.contains("]]>") {
        return Err("`]]>` ends no CDATA".to_owned());
    }
    for rest in text.split('&').skip(1) {
        let entity = rest.split_once(';').map_or("", |(entity, _)| entity);
        let is_number = match entity.strip_prefix('#') {
            Some(number) => match number.strip_prefix('x') {
                Some(hex) => u32::from_str_radix(hex, 16).is_ok(),
                None => number.parse::<u32>().is_ok(),
            },
            None => false,
        };
        if !is_number && !matches!(entity, "amp" | "lt" | "gt" | "quot" | "apos") {
            return Err("a `&` begins no known entity".to_owned());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::Reader;
    use crate::evals::grade::Mark;
    use crate::evals::graders::tests::hold;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn the_whole_output_is_xml() {
        hold(vec![
            (
                "is-xml",
                json!(null),
                json!("<a><b x=\"1\"/>t &amp; u<!-- c --></a>"),
                Mark::Pass,
            ),
            (
                "is-xml",
                json!(null),
                json!("<?xml version=\"1.0\"?>\n<!DOCTYPE a>\n<a/>\n"),
                Mark::Pass,
            ),
            (
                "is-xml",
                json!(null),
                json!("<a><![CDATA[ <b> ]]></a>"),
                Mark::Pass,
            ),
            ("is-xml", json!(null), json!("<a><b></a></b>"), Mark::Fail),
            ("is-xml", json!(null), json!("<a/><b/>"), Mark::Fail),
            ("is-xml", json!(null), json!("text <a/>"), Mark::Fail),
            ("is-xml", json!(null), json!("<a x=1/>"), Mark::Fail),
            ("is-xml", json!(null), json!("<a x='1' x='2'/>"), Mark::Fail),
            ("is-xml", json!(null), json!("<a>b & c</a>"), Mark::Fail),
            (
                "is-xml",
                json!(null),
                json!("<!DOCTYPE a [<!ENTITY b \"c\">]><a/>"),
                Mark::Fail,
            ),
            ("is-xml", json!(null), json!(""), Mark::Fail),
            ("not-is-xml", json!(null), json!("text"), Mark::Pass),
            (
                "is-xml",
                json!("a.b, a.c.d"),
                json!("<a><b/><c><d/></c></a>"),
                Mark::Pass,
            ),
            (
                "is-xml",
                json!({"requiredElements": ["a.z"]}),
                json!("<a><b/></a>"),
                Mark::Fail,
            ),
            (
                "is-xml",
                json!({"required": []}),
                json!("<a/>"),
                Mark::Error,
            ),
            ("is-xml", json!(3), json!("<a/>"), Mark::Error),
        ]);
    }

    #[test]
    fn elements_are_found_in_text() {
        hold(vec![
            (
                "contains-xml",
                json!(null),
                json!("So: <a>1</a>, I think."),
                Mark::Pass,
            ),
            (
                "contains-xml",
                json!(null),
                json!("1 < 2 and <b>"),
                Mark::Fail,
            ),
            (
                "contains-xml",
                json!(["a", "b"]),
                json!("x <a>1</a> <b/> y"),
                Mark::Pass,
            ),
            (
                "contains-xml",
                json!("b.c"),
                json!("<a/> then <b><c/></b>"),
                Mark::Pass,
            ),
            (
                "contains-xml",
                json!("z"),
                json!("<a/> then <b><c/></b>"),
                Mark::Fail,
            ),
            (
                "contains-xml",
                json!(null),
                json!("<p>open <q>in</q>"),
                Mark::Pass,
            ),
            (
                "not-contains-xml",
                json!(null),
                json!("no tags"),
                Mark::Pass,
            ),
        ]);
    }

    proptest! {
        #[test]
        fn reading_never_panics(text in "[<>/a&;=\"' !\\[\\]?\u{e9}-]{0,60}") {
            let _ = Reader::document(&text);
            let _ = Reader::new(&text).siblings();
        }
    }
}
