//! A template in pieces: text, and tags in tokens.

use crate::evals::template::datum::Outcome;

/// A piece of a template.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Piece {
    /// Text as it is.
    Text(String),
    /// `{{ ... }}`, and its line.
    Print(Vec<Token>, u32),
    /// `{% ... %}`, and its line.
    Tag(Vec<Token>, u32),
}

/// A token of an expression.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    Name(String),
    Text(String),
    Number(f64),
    Sign(&'static str),
}

/// The signs, longer ones first.
const SIGNS: [&str; 29] = [
    "===", "!==", "==", "!=", "<=", ">=", "//", "**", "+", "-", "*", "/", "%", "<", ">", "~", "|",
    "(", ")", "[", "]", "{", "}", ",", ":", ".", "=", "?", "!",
];

/// Splits a template. What is between `{% raw %}` and `{% endraw %}` is text.
pub(super) fn pieces(template: &str) -> Outcome<Vec<Piece>> {
    let mut found = Vec::new();
    let mut rest = template;
    let mut is_trimmed = false;
    while !rest.is_empty() {
        let start = opening(rest).unwrap_or(rest.len());
        let (mut text, tag) = rest.split_at_checked(start).unwrap_or((rest, ""));
        if is_trimmed {
            text = text.trim_start();
        }
        if tag.get(2..3) == Some("-") {
            text = text.trim_end();
        }
        if !text.is_empty() {
            found.push(Piece::Text(text.to_owned()));
        }
        if tag.is_empty() {
            break;
        }
        let line = line_of(template, tag);
        (rest, is_trimmed) =
            piece(tag, line, &mut found).map_err(|words| format!("line {line}: {words}"))?;
    }
    Ok(found)
}

fn line_of(template: &str, rest: &str) -> u32 {
    let before = template
        .get(..template.len() - rest.len())
        .unwrap_or_default();
    u32::try_from(memchr::memchr_iter(b'\n', before.as_bytes()).count() + 1).unwrap_or(u32::MAX)
}

fn opening(text: &str) -> Option<usize> {
    let is_opening = |place: &usize| {
        let next = text.as_bytes().get(place + 1);
        matches!(next, Some(b'{' | b'%' | b'#'))
    };
    memchr::memchr_iter(b'{', text.as_bytes()).find(is_opening)
}

/// Takes the tag at the front. Returns what follows, and whether the white space there is cut.
fn piece<'a>(tag: &'a str, line: u32, found: &mut Vec<Piece>) -> Outcome<(&'a str, bool)> {
    let inner = tag.get(2..).unwrap_or_default();
    if tag.starts_with("{#") {
        let (comment, rest) = inner.split_once("#}").ok_or("a comment is not closed")?;
        return Ok((rest, comment.ends_with('-')));
    }
    let is_print = tag.starts_with("{{");
    let close = if is_print { "}}" } else { "%}" };
    let inner = inner.strip_prefix('-').unwrap_or(inner);
    let (tokens, rest, is_trimmed) = tokens(inner, close)?;
    if is_print {
        found.push(Piece::Print(tokens, line));
        return Ok((rest, is_trimmed));
    }
    let raw = match tokens.as_slice() {
        [Token::Name(name)] if name == "raw" || name == "verbatim" => name.clone(),
        _ => {
            found.push(Piece::Tag(tokens, line));
            return Ok((rest, is_trimmed));
        }
    };
    let (text, rest) = raw_text(rest, &raw)?;
    let text = if is_trimmed { text.trim_start() } else { text };
    found.push(Piece::Text(text.to_owned()));
    Ok((rest, false))
}

/// Returns the text up to `{% endraw %}` and what follows it; raw blocks nest.
fn raw_text<'a>(text: &'a str, name: &str) -> Outcome<(&'a str, &'a str)> {
    let mut depth = 1_u32;
    let mut rest = text;
    while let Some((_, tag)) = rest.split_once("{%") {
        let word = tag.trim_start_matches('-').trim_start();
        let start = text.len() - tag.len() - 2;
        rest = tag;
        let is_end = word
            .strip_prefix("end")
            .is_some_and(|word| word.starts_with(name));
        if !is_end {
            depth += u32::from(word.starts_with(name));
            continue;
        }
        depth -= 1;
        if depth == 0 {
            let (_, after) = tag.split_once("%}").ok_or("a tag is not closed")?;
            return Ok((text.get(..start).unwrap_or_default(), after));
        }
    }
    Err(format!("`{name}` is not ended"))
}

/// Tokens up to `close`, what follows it, and whether a `-` stands before it.
fn tokens<'a>(text: &'a str, close: &str) -> Outcome<(Vec<Token>, &'a str, bool)> {
    let mut found = Vec::new();
    let mut rest = text.trim_start();
    let mut braces = 0_u32;
    while let Some(first) = rest.chars().next() {
        let trimmed = rest
            .strip_prefix('-')
            .and_then(|rest| rest.strip_prefix(close));
        if let Some(after) = trimmed {
            return Ok((found, after, true));
        }
        if braces == 0
            && let Some(after) = rest.strip_prefix(close)
        {
            return Ok((found, after, false));
        }
        let (token, length) = token(rest, first)?;
        match token {
            Token::Sign("{") => braces += 1,
            Token::Sign("}") => braces = braces.saturating_sub(1),
            _ => {}
        }
        found.push(token);
        rest = rest.get(length..).unwrap_or_default().trim_start();
    }
    Err(format!("`{close}` is missing"))
}

fn token(text: &str, first: char) -> Outcome<(Token, usize)> {
    if matches!(first, '"' | '\'') {
        return quoted(text, first);
    }
    let is_name = |c: char| c.is_alphanumeric() || matches!(c, '_' | '$');
    if first.is_ascii_digit() {
        let digits = text
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(text.len());
        let fraction = text.get(digits..).and_then(|rest| rest.strip_prefix('.'));
        let fraction = fraction.map_or(0, |rest| {
            rest.find(|c: char| !c.is_ascii_digit())
                .unwrap_or(rest.len())
        });
        let length = if 0 < fraction {
            digits + 1 + fraction
        } else {
            digits
        };
        let number = text.get(..length).unwrap_or_default();
        let number = number
            .parse()
            .map_err(|_| format!("`{number}` is no number"))?;
        return Ok((Token::Number(number), length));
    }
    if is_name(first) {
        let length = text.find(|c| !is_name(c)).unwrap_or(text.len());
        return Ok((
            Token::Name(text.get(..length).unwrap_or_default().to_owned()),
            length,
        ));
    }
    let sign = SIGNS.iter().find(|sign| text.starts_with(**sign));
    let sign = sign.ok_or_else(|| format!("`{first}` is not understood"))?;
    Ok((Token::Sign(sign), sign.len()))
}

fn quoted(text: &str, quote: char) -> Outcome<(Token, usize)> {
    let mut inner = String::new();
    let mut chars = text.char_indices().skip(1);
    while let Some((place, c)) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some((_, 'n')) => inner.push('\n'),
                Some((_, 't')) => inner.push('\t'),
                Some((_, 'r')) => inner.push('\r'),
                Some((_, other)) => inner.push(other),
                None => break,
            },
            c if c == quote => return Ok((Token::Text(inner), place + 1)),
            other => inner.push(other),
        }
    }
    Err("a quote is not closed".to_owned())
}
