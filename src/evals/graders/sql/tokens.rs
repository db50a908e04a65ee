//! SQL in tokens, by dialect.

/// A dialect, as promptfoo's `databaseType` names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    /// MySQL and MariaDB.
    MySql,
    /// Postgres and what speaks like it.
    Postgres,
    /// SQLite.
    Sqlite,
    /// SQL Server.
    TransactSql,
    /// BigQuery, Hive, Spark, Athena and others with backticks.
    BigQuery,
    /// Every other one: standard quotes.
    Standard,
}

impl Dialect {
    /// Returns the dialect of that name, whatever the case.
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name.to_ascii_lowercase().as_str() {
            "mysql" | "mariadb" => Self::MySql,
            "postgresql" | "postgres" | "redshift" => Self::Postgres,
            "sqlite" => Self::Sqlite,
            "transactsql" => Self::TransactSql,
            "bigquery" | "hive" | "flinksql" | "athena" => Self::BigQuery,
            "snowflake" | "db2" | "noql" | "trino" => Self::Standard,
            _ => return None,
        })
    }

    const fn has_backticks(self) -> bool {
        matches!(self, Self::MySql | Self::Sqlite | Self::BigQuery)
    }

    const fn has_brackets(self) -> bool {
        matches!(self, Self::Sqlite | Self::TransactSql)
    }
}

/// A token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    /// A word that is not quoted.
    Word(String),
    /// A name in quotes.
    Name(String),
    /// A text.
    Text,
    /// A number.
    Number,
    /// A place for a value: `?`, `$1`, `:name`, `@name`.
    Parameter,
    /// An operator or a mark.
    Sign(&'static str),
}

/// The signs, longer ones first.
const SIGNS: [&str; 46] = [
    "<=>", "->>", "#>>", "!~*", "||", "&&", "<=", ">=", "<>", "!=", "==", "::", ":=", "->", "#>",
    "@>", "<@", "<<", ">>", "!~", "~*", "=>", "+", "-", "*", "/", "%", "=", "<", ">", "(", ")",
    ",", ".", ";", "[", "]", "{", "}", "|", "&", "^", "~", "!", ":", "@@",
];

/// Splits SQL into tokens; comments are left out.
pub(super) fn tokens(text: &str, dialect: Dialect) -> Result<Vec<Token>, String> {
    let mut found = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = match comment_length(rest, dialect)? {
            Some(length) => length,
            None => {
                let (token, length) = token(rest, first, dialect)?;
                found.push(token);
                length
            }
        };
        rest = rest.get(length..).unwrap_or_default().trim_start();
    }
    Ok(found)
}

fn comment_length(text: &str, dialect: Dialect) -> Result<Option<usize>, String> {
    let is_line = text.starts_with("--") || (text.starts_with('#') && dialect == Dialect::MySql);
    if is_line {
        return Ok(Some(text.find('\n').unwrap_or(text.len())));
    }
    if !text.starts_with("/*") {
        return Ok(None);
    }
    let end = text.get(2..).and_then(|text| text.find("*/"));
    end.map(|end| Some(end + 4))
        .ok_or_else(|| "a comment does not end".to_owned())
}

fn token(text: &str, first: char, dialect: Dialect) -> Result<(Token, usize), String> {
    match first {
        '\'' => Ok((Token::Text, quoted(text, '\'')?.1)),
        '"' => {
            let (name, length) = quoted(text, '"')?;
            let is_text = dialect == Dialect::BigQuery;
            Ok((
                if is_text {
                    Token::Text
                } else {
                    Token::Name(name)
                },
                length,
            ))
        }
        '`' if dialect.has_backticks() => named(quoted(text, '`')?),
        '[' if dialect.has_brackets() => named(quoted(text, ']')?),
        '0'..='9' => Ok((Token::Number, number_length(text))),
        '.' if text
            .get(1..)
            .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit())) =>
        {
            Ok((Token::Number, number_length(text)))
        }
        '?' => Ok((Token::Parameter, 1)),
        '$' => dollar(text),
        '@' | ':' => Ok(prefixed(text)),
        c if c.is_alphabetic() || c == '_' => Ok(word(text)),
        _ => sign(text),
    }
}

fn named((name, length): (String, usize)) -> Result<(Token, usize), String> {
    if name.is_empty() {
        return Err("a name is empty".to_owned());
    }
    Ok((Token::Name(name), length))
}

/// Returns what stands in quotes and the length with them; a doubled quote stands for itself.
fn quoted(text: &str, close: char) -> Result<(String, usize), String> {
    let mut inner = String::new();
    let mut chars = text.char_indices().skip(1).peekable();
    while let Some((place, c)) = chars.next() {
        if c == '\\' && close == '\'' {
            chars.next();
        } else if c == close {
            if chars.next_if(|(_, next)| *next == close).is_none() {
                return Ok((inner, place + c.len_utf8()));
            }
            inner.push(c);
        } else {
            inner.push(c);
        }
    }
    Err("a quote is not closed".to_owned())
}

fn number_length(text: &str) -> usize {
    let bytes = text.as_bytes();
    let is_sign = |place: usize| matches!(bytes.get(place), Some(b'+' | b'-'));
    let mut length = 0;
    while let Some(byte) = bytes.get(length) {
        let after_power =
            is_sign(length) && matches!(bytes.get(length.wrapping_sub(1)), Some(b'e' | b'E'));
        if !(byte.is_ascii_alphanumeric() || *byte == b'.' || after_power) {
            break;
        }
        length += 1;
    }
    length
}

fn word_length(text: &str) -> usize {
    let is_part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '$');
    text.find(|c| !is_part(c)).unwrap_or(text.len())
}

fn word(text: &str) -> (Token, usize) {
    let length = word_length(text);
    let word = text.get(..length).unwrap_or_default();
    // A text with a prefix: `N'...'`, `E'...'`, `X'...'`.
    let prefixed = text.get(length..).filter(|rest| rest.starts_with('\''));
    let is_prefix = matches!(
        word,
        "N" | "n" | "E" | "e" | "X" | "x" | "B" | "b" | "r" | "R"
    );
    match prefixed
        .filter(|_| is_prefix)
        .and_then(|rest| quoted(rest, '\'').ok())
    {
        Some((_, text_length)) => (Token::Text, length + text_length),
        None => (Token::Word(word.to_owned()), length),
    }
}

/// `$1` is a parameter; `$$...$$` and `$tag$...$tag$` are texts.
fn dollar(text: &str) -> Result<(Token, usize), String> {
    let rest = text.get(1..).unwrap_or_default();
    let length = rest
        .find(|c: char| !c.is_alphanumeric() && c != '_')
        .unwrap_or(rest.len());
    if rest.get(length..).is_some_and(|rest| rest.starts_with('$')) {
        let tag = text.get(..length + 2).unwrap_or_default();
        let inner = text.get(tag.len()..).unwrap_or_default();
        let end = inner.find(tag).ok_or("a quoted text does not end")?;
        return Ok((Token::Text, end + 2 * tag.len()));
    }
    if length == 0 {
        return Err("`$` is not understood".to_owned());
    }
    Ok((Token::Parameter, length + 1))
}

fn prefixed(text: &str) -> (Token, usize) {
    let marks = text.len() - text.trim_start_matches('@').len();
    let marks = marks.max(1);
    let length = word_length(text.get(marks..).unwrap_or_default());
    if length == 0 || text.starts_with("::") {
        return sign(text).unwrap_or((Token::Sign(":"), 1));
    }
    (Token::Parameter, marks + length)
}

fn sign(text: &str) -> Result<(Token, usize), String> {
    let found = SIGNS.iter().find(|sign| text.starts_with(**sign));
    match found {
        Some(sign) => Ok((Token::Sign(sign), sign.len())),
        None => Err(format!(
            "`{}` is not understood",
            text.chars().next().unwrap_or(' ')
        )),
    }
}
