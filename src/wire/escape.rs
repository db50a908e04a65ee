//! Texts that another format would obey, made harmless: for Markdown, HTML, XML, workflow commands and URIs.
//!
//! What is shown came from models, callers and repositories. Each function takes any text, and what it
//! returns stays inside its place whatever the text was.

use std::fmt::Write as _;

/// Returns `text` with every character that hides, reorders or steers what is shown as U+FFFD: controls
/// other than tab and newline, the overrides of writing direction, and the invisible tag characters.
#[must_use]
pub fn visible(text: &str) -> String {
    text.chars()
        .map(|c| {
            let is_hidden = matches!(
                c,
                '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{e0000}'..='\u{e007f}'
            );
            let is_control = c.is_control() && c != '\t' && c != '\n';
            if is_hidden || is_control {
                '\u{fffd}'
            } else {
                c
            }
        })
        .collect()
}

/// Returns `text` as characters of HTML, also for an attribute in quotes.
#[must_use]
pub fn html(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in visible(text).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            _ => out.push(c),
        }
    }
    out
}

/// Returns `text` as characters of HTML, in which what stands between backticks is code.
#[must_use]
pub fn html_prose(text: &str) -> String {
    let is_even = text.matches('`').count().is_multiple_of(2);
    if !is_even {
        return html(text);
    }
    let mut out = String::new();
    for (index, piece) in text.split('`').enumerate() {
        if index.is_multiple_of(2) {
            out.push_str(&html(piece));
        } else {
            let _ = write!(out, "<code>{}</code>", html(piece));
        }
    }
    out
}

/// Returns `text` as characters of XML 1.0, also for an attribute in quotes. What XML 1.0 cannot hold
/// at all (<https://www.w3.org/TR/xml/#charsets>) becomes U+FFFD.
#[must_use]
pub fn xml(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in visible(text).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            // An attribute would read them as blanks.
            '\t' => out.push_str("&#9;"),
            '\n' => out.push_str("&#10;"),
            '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            _ => out.push(c),
        }
    }
    out
}

/// Returns JSON that may stand inside a `script` element: nothing in it ends the element or opens a comment.
#[must_use]
pub fn json_in_html(json: &str) -> String {
    json.replace('<', "\\u003c")
        .replace('>', "\\u003e")
        .replace('&', "\\u0026")
        .replace('\u{2028}', "\\u2028")
        .replace('\u{2029}', "\\u2029")
}

/// Returns `text` as code in a line of Markdown, on one line.
#[must_use]
pub fn markdown_code(text: &str) -> String {
    let text = visible(text).replace(['\n', '\t'], " ");
    let text = if text.trim().is_empty() { "-" } else { &text };
    let fence = "`".repeat(longest_run(text) + 1);
    let gap = if text.starts_with('`') || text.ends_with('`') {
        " "
    } else {
        ""
    };
    format!("{fence}{gap}{text}{gap}{fence}").replace('|', "\\|")
}

/// Returns `text` as a block of code of Markdown, with a fence longer than any in the text.
#[must_use]
pub fn markdown_block(language: &str, text: &str) -> String {
    let text = visible(text);
    let fence = "`".repeat((longest_run(&text) + 1).max(3));
    let end = if text.ends_with('\n') { "" } else { "\n" };
    format!("{fence}{language}\n{text}{end}{fence}\n")
}

fn longest_run(text: &str) -> usize {
    text.split(|c| c != '`').map(str::len).max().unwrap_or(0)
}

/// Returns `text` as words of Markdown on one line, in which code between backticks stays code where
/// it is sure to be closed. Nobody is mentioned by it and no issue is linked.
#[must_use]
pub fn markdown(text: &str) -> String {
    let text = visible(text).replace(['\n', '\t'], " ");
    let is_code_sure = text.matches('`').count().is_multiple_of(2) && !text.contains("``");
    let mut out = String::new();
    for (index, piece) in text.split('`').enumerate() {
        if 0 < index {
            out.push_str(if is_code_sure { "`" } else { "\\`" });
        }
        if is_code_sure && !index.is_multiple_of(2) {
            out.push_str(piece);
        } else {
            plain(&mut out, piece);
        }
    }
    out
}

fn plain(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '@' | '#' => {
                // The escape alone stops Markdown; a mention is looked for later, in what it made.
                let _ = write!(out, "\\{c}\u{200b}");
            }
            '*' | '_' | '[' | ']' | '|' | '~' | '\\' | '!' | '$' => {
                out.push('\\');
                out.push(c);
            }
            _ => out.push(c),
        }
    }
}

/// Returns `text` as words in a cell of a Markdown table.
#[must_use]
pub fn markdown_cell(text: &str) -> String {
    markdown(text).replace('|', "\\|").replace("\\\\|", "\\|")
}

/// Returns `text` as the message of a workflow command of GitHub Actions.
#[must_use]
pub fn workflow_message(text: &str) -> String {
    text.replace('%', "%25")
        .replace('\r', "%0D")
        .replace('\n', "%0A")
}

/// Returns `text` as a property of a workflow command of GitHub Actions.
#[must_use]
pub fn workflow_property(text: &str) -> String {
    workflow_message(text)
        .replace(':', "%3A")
        .replace(',', "%2C")
}

/// Returns a path as the path of a URI.
#[must_use]
pub fn uri_path(path: &str) -> String {
    let mut uri = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            let _ = write!(uri, "%{byte:02X}");
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    use super::{
        html, json_in_html, markdown, markdown_block, markdown_cell, markdown_code, uri_path,
        visible, workflow_message, workflow_property, xml,
    };

    #[test]
    fn nothing_in_a_text_is_obeyed_by_markdown() {
        for (text, wanted) in [
            ("plain `a_b` *x*", "plain `a_b` \\*x\\*"),
            (
                "<img src=x> @team #1",
                "&lt;img src=x&gt; \\@\u{200b}team \\#\u{200b}1",
            ),
            ("one ` tick <b>", "one \\` tick &lt;b&gt;"),
            ("two `` ticks `<b>`", "two \\`\\` ticks \\`&lt;b&gt;\\`"),
            ("[a](b)\nc", "\\[a\\](b) c"),
            ("![a](b)", "\\!\\[a\\](b)"),
        ] {
            assert_eq!(markdown(text), wanted);
        }
        assert_eq!(markdown_cell("`a|b` c|d"), "`a\\|b` c\\|d");
        assert_eq!(markdown_code("a`b"), "``a`b``");
        assert_eq!(markdown_code("`"), "`` ` ``");
        assert_eq!(markdown_code(" \n"), "`-`");
        assert_eq!(
            markdown_block("diff", "a\n```\nb"),
            "````diff\na\n```\nb\n````\n"
        );
    }

    #[test]
    fn each_format_gets_its_own_escapes() {
        assert_eq!(
            html("<a b='c\"'>&\u{1b}"),
            "&lt;a b=&#39;c&quot;&#39;&gt;&amp;\u{fffd}"
        );
        assert_eq!(
            xml("<]]>\"\t\n\r\u{0}\u{ffff}"),
            "&lt;]]&gt;&quot;&#9;&#10;\u{fffd}\u{fffd}\u{fffd}"
        );
        assert_eq!(
            json_in_html("\"</script><!--\""),
            "\"\\u003c/script\\u003e\\u003c!--\""
        );
        assert_eq!(
            visible("a\u{202e}b\u{e0041}c\tö\n"),
            "a\u{fffd}b\u{fffd}c\tö\n"
        );
        assert_eq!(workflow_message("50%\nx: y"), "50%25%0Ax: y");
        assert_eq!(workflow_property("a:b,c"), "a%3Ab%2Cc");
        assert_eq!(
            uri_path("prompts/b\u{fc} 1.prompt"),
            "prompts/b%C3%BC%201.prompt"
        );
    }
}
