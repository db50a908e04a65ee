//! Cuts a template of Jinja's family into texts, values and statements.

/// Why something cannot be translated, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Untranslatable {
    pub(super) line: usize,
    pub(super) message: String,
    pub(super) hint: Option<String>,
}

impl Untranslatable {
    pub(super) fn new(line: usize, message: impl Into<String>) -> Self {
        Self {
            line,
            message: message.into(),
            hint: None,
        }
    }

    pub(super) fn hint(mut self, hint: &str) -> Self {
        self.hint = Some(hint.to_owned());
        self
    }
}

type Outcome<T> = Result<T, Untranslatable>;

/// A piece of a template, with the line it stands at.
#[derive(Debug)]
pub(super) enum Token {
    Text(String),
    Value(String, usize),
    Statement(String, usize),
}

/// Cuts a template into texts and tags; `-` in a tag trims the text beside it.
pub(super) fn tokens(text: &str, first_line: usize) -> Outcome<Vec<Token>> {
    let mut tokens: Vec<Token> = Vec::new();
    let (mut rest, mut line, mut trims) = (text, first_line, false);
    loop {
        let start = ["{{", "{%", "{#"]
            .iter()
            .filter_map(|mark| rest.find(mark))
            .min();
        let plain = rest.get(..start.unwrap_or(rest.len())).unwrap_or_default();
        let tag = rest.get(plain.len()..).unwrap_or_default();
        let dashes = tag.get(2..).is_some_and(|inside| inside.starts_with('-'));
        let mut kept = if trims { plain.trim_start() } else { plain };
        if dashes {
            kept = kept.trim_end();
        }
        if !kept.is_empty() {
            tokens.push(Token::Text(kept.to_owned()));
        }
        line += plain.matches('\n').count();
        if start.is_none() {
            return Ok(tokens);
        }
        let (inside, length) = inside(tag, line)?;
        trims = inside.ends_with('-');
        let words = inside.trim_matches(['-', '+']).trim();
        let mut next = tag.get(length..).unwrap_or_default();
        match tag.get(..2) {
            Some("{{") => tokens.push(Token::Value(words.to_owned(), line)),
            Some("{%") if matches!(words, "raw" | "verbatim") => {
                let (raw, after) = raw(next, line)?;
                tokens.push(Token::Text(raw.to_owned()));
                line += next
                    .len()
                    .checked_sub(after.len())
                    .and_then(|end| next.get(..end))
                    .map_or(0, |raw| raw.matches('\n').count());
                next = after;
            }
            Some("{%") => tokens.push(Token::Statement(words.to_owned(), line)),
            _ => {}
        }
        line += tag.get(..length).unwrap_or_default().matches('\n').count();
        rest = next;
    }
}

/// Returns what stands between the marks of the tag at the start of `tag`, and the tag's length.
fn inside(tag: &str, line: usize) -> Outcome<(&str, usize)> {
    let (open, close) = match tag.get(..2) {
        Some("{{") => ("{{", "}}"),
        Some("{%") => ("{%", "%}"),
        _ => ("{#", "#}"),
    };
    let mut quote = None;
    for (place, c) in tag.char_indices().skip(2) {
        match quote {
            Some(open) if c == open => quote = None,
            None if (c == '"' || c == '\'') && open != "{#" => quote = Some(c),
            None if tag.get(place..).is_some_and(|rest| rest.starts_with(close)) => {
                return Ok((tag.get(2..place).unwrap_or_default(), place + 2));
            }
            _ => {}
        }
    }
    Err(Untranslatable::new(line, format!("`{open}` is not closed")))
}

/// Returns what stands before `{% endraw %}`, and what comes after it.
fn raw(text: &str, line: usize) -> Outcome<(&str, &str)> {
    for (start, _) in text.match_indices("{%") {
        let tag = text.get(start..).unwrap_or_default();
        let Some(end) = tag.find("%}") else { break };
        let words = tag.get(2..end).unwrap_or_default();
        if matches!(words.trim(), "endraw" | "endverbatim") {
            return Ok((
                text.get(..start).unwrap_or_default(),
                tag.get(end + 2..).unwrap_or_default(),
            ));
        }
    }
    Err(Untranslatable::new(line, "`{% raw %}` is not closed"))
}
