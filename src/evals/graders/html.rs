//! `is-html` and `contains-html`, as far as promptfoo checks them.
//!
//! `is-html`: nothing but HTML at the top (no bare text, no XML declaration), with at least one element that
//! HTML knows or a custom one. Like promptfoo, whose parser repairs everything, it does not ask whether tags
//! close. `contains-html`: enough signs of HTML together.

use crate::evals::graders::Judged;
use crate::evals::graders::ready::Ready;
use crate::evals::values::{is_space, trim};

/// Bytes of a text that is looked at.
const MAX_BYTES: usize = 10 << 20;

/// The elements that HTML knows, without the three that wrap a page.
const ELEMENTS: [&str; 112] = [
    "a",
    "abbr",
    "address",
    "area",
    "article",
    "aside",
    "audio",
    "b",
    "base",
    "bdi",
    "bdo",
    "blockquote",
    "br",
    "button",
    "canvas",
    "caption",
    "cite",
    "code",
    "col",
    "colgroup",
    "data",
    "datalist",
    "dd",
    "del",
    "details",
    "dfn",
    "dialog",
    "div",
    "dl",
    "dt",
    "em",
    "embed",
    "fieldset",
    "figcaption",
    "figure",
    "footer",
    "form",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "header",
    "hr",
    "i",
    "iframe",
    "img",
    "input",
    "ins",
    "kbd",
    "label",
    "legend",
    "li",
    "link",
    "main",
    "map",
    "mark",
    "math",
    "menu",
    "meta",
    "meter",
    "nav",
    "noscript",
    "object",
    "ol",
    "optgroup",
    "option",
    "output",
    "p",
    "param",
    "picture",
    "pre",
    "progress",
    "q",
    "rp",
    "rt",
    "ruby",
    "s",
    "samp",
    "script",
    "section",
    "select",
    "slot",
    "small",
    "source",
    "span",
    "strong",
    "style",
    "sub",
    "summary",
    "sup",
    "svg",
    "table",
    "tbody",
    "td",
    "template",
    "textarea",
    "tfoot",
    "th",
    "thead",
    "time",
    "title",
    "tr",
    "track",
    "u",
    "ul",
    "var",
    "video",
    "wbr",
    "html",
    "head",
];

/// Elements without content.
const VOID: [&str; 14] = [
    "area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source",
    "track", "wbr",
];

/// Elements whose content is text, whatever is in it.
const RAW: [&str; 4] = ["script", "style", "textarea", "title"];

/// Elements that are a sign of HTML by themselves.
const TELLING: [&str; 29] = [
    "html", "head", "body", "div", "span", "p", "a", "img", "h1", "h2", "h3", "h4", "h5", "h6",
    "ul", "ol", "li", "table", "tr", "td", "th", "form", "input", "button", "script", "style",
    "link", "meta", "br",
];

/// The whole output is HTML.
pub(super) fn is_html(ready: &Ready<'_>) -> Judged {
    match broken_html(&ready.text) {
        None => ready.plain(true, "the output is HTML"),
        Some(reason) => ready.plain(false, reason),
    }
}

/// There is HTML in the output.
pub(super) fn contains_html(ready: &Ready<'_>) -> Judged {
    let found = has_html(&ready.text);
    let verb = if found { "has" } else { "does not have" };
    ready.plain(found, format!("the output {verb} HTML in it"))
}

/// Returns why a text is not HTML.
fn broken_html(text: &str) -> Option<&'static str> {
    let text = trim(text);
    if text.is_empty() {
        return Some("the output is empty");
    }
    if MAX_BYTES < text.len() {
        return Some("the output is too large to be read as HTML");
    }
    if text
        .get(..5)
        .is_some_and(|start| start.eq_ignore_ascii_case("<?xml"))
    {
        return Some("the output is XML, not HTML");
    }
    let found = Outline::of(text);
    if found.has_bare_text {
        return Some("there is text outside of every HTML element");
    }
    (!found.has_element).then_some("there is no element in the output that HTML knows")
}

/// What the top of a text holds.
#[derive(Debug, Default)]
struct Outline {
    has_bare_text: bool,
    has_element: bool,
}

impl Outline {
    fn of(text: &str) -> Self {
        let mut found = Self::default();
        let mut open: Vec<String> = Vec::new();
        let mut has_body = false;
        let mut rest = text;
        while !rest.is_empty() {
            let (text, tag, after) = next_tag(rest);
            let is_bare = open
                .iter()
                .all(|name| matches!(name.as_str(), "html" | "head"));
            found.has_bare_text |= is_bare && !has_body && !trim(text).is_empty();
            rest = after;
            let Some(tag) = tag else { continue };
            if tag.is_closing {
                if let Some(place) = open.iter().rposition(|name| *name == tag.name) {
                    open.truncate(place);
                }
                continue;
            }
            has_body |= tag.name == "body";
            found.has_element |= tag.name == "body"
                || tag.name.contains('-')
                || ELEMENTS.contains(&tag.name.as_str());
            if RAW.contains(&tag.name.as_str()) {
                rest = behind_raw(rest, &tag.name);
            } else if !VOID.contains(&tag.name.as_str()) && !tag.is_self_closing {
                open.push(tag.name);
            }
        }
        found
    }
}

struct Tag {
    name: String,
    is_closing: bool,
    is_self_closing: bool,
}

/// Returns the text before the next tag, the tag (`None` for a comment, a doctype or the end), and the rest.
fn next_tag(text: &str) -> (&str, Option<Tag>, &str) {
    let mut from = 0;
    loop {
        let ahead = text.get(from..).unwrap_or_default();
        let Some(start) = ahead.find('<').map(|place| place + from) else {
            return (text, None, "");
        };
        let before = text.get(..start).unwrap_or_default();
        let inside = text.get(start + 1..).unwrap_or_default();
        if inside.starts_with("!--") {
            let end = inside.get(3..).and_then(|rest| rest.split_once("-->"));
            return (before, None, end.map_or("", |(_, rest)| rest));
        }
        if inside.starts_with(['!', '?']) {
            return (
                before,
                None,
                inside.split_once('>').map_or("", |(_, rest)| rest),
            );
        }
        let bare = inside.strip_prefix('/').unwrap_or(inside);
        if !bare.starts_with(|c: char| c.is_ascii_alphabetic()) {
            // A `<` that begins nothing is text.
            from = start + 1;
            continue;
        }
        let name_end = bare
            .find(|c: char| is_space(c) || matches!(c, '/' | '>'))
            .unwrap_or(bare.len());
        let (end, after) = tag_end(bare);
        let tag = Tag {
            name: bare
                .get(..name_end)
                .unwrap_or_default()
                .to_ascii_lowercase(),
            is_closing: bare.len() < inside.len(),
            is_self_closing: bare.get(..end).is_some_and(|tag| tag.ends_with('/')),
        };
        return (before, Some(tag), after);
    }
}

/// Returns where a tag ends, outside of quotes, and what follows it.
fn tag_end(text: &str) -> (usize, &str) {
    let mut quote = None;
    let mut before = ' ';
    for (place, c) in text.char_indices() {
        match (quote, c) {
            (None, '>') => return (place, text.get(place + 1..).unwrap_or_default()),
            (None, '"' | '\'') if before == '=' => quote = Some(c),
            (Some(open), c) if open == c => quote = None,
            _ => {}
        }
        if !is_space(c) {
            before = c;
        }
    }
    (text.len(), "")
}

fn behind_raw<'a>(text: &'a str, name: &str) -> &'a str {
    let close = format!("</{name}");
    let lowercase = text.to_ascii_lowercase();
    let Some(place) = lowercase.find(&close) else {
        return "";
    };
    let rest = text.get(place..).unwrap_or_default();
    rest.split_once('>').map_or("", |(_, rest)| rest)
}

/// Whether the signs of HTML in a text come to two.
fn has_html(text: &str) -> bool {
    if MAX_BYTES < text.len() {
        return false;
    }
    let mut signs = Signs::default();
    let mut rest = text;
    while let Some((_, inside)) = rest.split_once('<') {
        signs.look_at(inside);
        rest = inside;
    }
    let tags = match (signs.has_opening, signs.has_closing) {
        (true, true) => 2,
        (true, false) | (false, true) => 1,
        (false, false) => 0,
    };
    let points = tags
        + u8::from(signs.has_self_closing)
        + 2 * u8::from(signs.has_doctype)
        + u8::from(signs.has_comment)
        + 2 * u8::from(signs.has_telling)
        + u8::from(has_entity(text))
        + u8::from(has_attribute(text));
    2 <= points
}

#[derive(Debug, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a sign that is counted once"
)]
struct Signs {
    has_opening: bool,
    has_closing: bool,
    has_self_closing: bool,
    has_doctype: bool,
    has_comment: bool,
    has_telling: bool,
}

impl Signs {
    /// Looks at what stands behind a `<`.
    fn look_at(&mut self, inside: &str) {
        let bare = inside.strip_prefix('/');
        let text = bare.unwrap_or(inside);
        self.has_comment |= inside.starts_with("!--") && inside.contains("-->");
        let doctype = inside
            .get(..8)
            .filter(|word| word.eq_ignore_ascii_case("!doctype"));
        self.has_doctype |= doctype.is_some()
            && inside.get(8..).is_some_and(|rest| {
                let name = rest.trim_start_matches(is_space);
                name.len() < rest.len()
                    && name
                        .get(..4)
                        .is_some_and(|word| word.eq_ignore_ascii_case("html"))
            });
        if !text.starts_with(|c: char| c.is_ascii_alphabetic()) {
            return;
        }
        let name_end = text
            .find(|c: char| !c.is_ascii_alphanumeric() && c != '-')
            .unwrap_or(text.len());
        let (name, after) = text.split_at_checked(name_end).unwrap_or((text, ""));
        let word_end = text
            .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .unwrap_or(text.len());
        let word = text
            .get(..word_end)
            .unwrap_or_default()
            .to_ascii_lowercase();
        self.has_telling |= bare.is_none() && (TELLING.contains(&word.as_str()) || word == "hr");
        if bare.is_some() {
            self.has_closing |= after.trim_start_matches(is_space).starts_with('>');
            return;
        }
        let Some((tag, _)) = after.split_once('>') else {
            return;
        };
        let is_plain = tag.is_empty() || tag.starts_with(is_space);
        self.has_opening |= is_plain;
        self.has_self_closing |= !name.is_empty() && tag.ends_with('/') && (is_plain || tag == "/");
    }
}

fn has_entity(text: &str) -> bool {
    text.split('&').skip(1).any(|rest| {
        let Some((entity, _)) = rest.split_once(';') else {
            return false;
        };
        match entity.strip_prefix('#') {
            Some(number) => match number.strip_prefix('x') {
                Some(hex) => !hex.is_empty() && hex.chars().all(|c| c.is_ascii_hexdigit()),
                None => !number.is_empty() && number.chars().all(|c| c.is_ascii_digit()),
            },
            None => !entity.is_empty() && entity.chars().all(|c| c.is_ascii_alphabetic()),
        }
    })
}

/// Whether something like ` name="value"` is in the text.
fn has_attribute(text: &str) -> bool {
    text.match_indices('=').any(|(place, _)| {
        let before = text.get(..place).unwrap_or_default();
        let stem = before.trim_end_matches(|c: char| c.is_ascii_alphabetic() || c == '-');
        let value = text
            .get(place + 1..)
            .unwrap_or_default()
            .trim_start_matches(is_space);
        let value = value.strip_prefix(['"', '\'']);
        stem.len() < before.len()
            && stem.ends_with(is_space)
            && value.is_some_and(|value| value.contains(['"', '\'']))
    })
}

#[cfg(test)]
mod tests {
    use super::{broken_html, has_html};
    use crate::evals::grade::Mark;
    use crate::evals::graders::tests::hold;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn html_is_told_from_text() {
        hold(vec![
            ("is-html", json!(null), json!("<p>Hello</p>"), Mark::Pass),
            (
                "is-html",
                json!(null),
                json!(
                    "<!DOCTYPE html><html><head><title>a < b</title></head><body>text</body></html>"
                ),
                Mark::Pass,
            ),
            ("is-html", json!(null), json!("<div>unclosed"), Mark::Pass),
            (
                "is-html",
                json!(null),
                json!("<my-part>x</my-part>"),
                Mark::Pass,
            ),
            ("is-html", json!(null), json!("Hello"), Mark::Fail),
            ("is-html", json!(null), json!("Hello <b>x</b>"), Mark::Fail),
            (
                "is-html",
                json!(null),
                json!("<p>x</p> and more"),
                Mark::Fail,
            ),
            ("is-html", json!(null), json!("<foo>x</foo>"), Mark::Fail),
            (
                "is-html",
                json!(null),
                json!("<?xml version=\"1.0\"?><p/>"),
                Mark::Fail,
            ),
            ("is-html", json!(null), json!(" "), Mark::Fail),
            (
                "is-html",
                json!(null),
                json!("<br> <img src='a>b'>"),
                Mark::Pass,
            ),
            ("not-is-html", json!(null), json!("Hello"), Mark::Pass),
            (
                "contains-html",
                json!(null),
                json!("Hello <b>x</b>"),
                Mark::Pass,
            ),
            ("contains-html", json!(null), json!("a <br> b"), Mark::Pass),
            (
                "contains-html",
                json!(null),
                json!("1 < 2 & 3 > 2"),
                Mark::Fail,
            ),
            (
                "contains-html",
                json!(null),
                json!("tom &amp; x"),
                Mark::Fail,
            ),
            (
                "contains-html",
                json!(null),
                json!("<!-- c --> &lt;"),
                Mark::Pass,
            ),
            ("not-contains-html", json!(null), json!("plain"), Mark::Pass),
        ]);
    }

    proptest! {
        #[test]
        fn looking_never_panics(text in "[<>/a-p&;=\"' !?\u{e9}-]{0,60}|\\PC{0,30}") {
            let _ = broken_html(&text);
            let _ = has_html(&text);
        }
    }
}
