//! What a parser of SQL sees next, and takes.

use super::statements::{MAX_DEPTH, Parser, Read};
use super::tokens::{Dialect, Token};

/// Words that cannot be a name or an alias where one may stand.
const RESERVED: [&str; 62] = [
    "SELECT",
    "FROM",
    "WHERE",
    "GROUP",
    "HAVING",
    "ORDER",
    "LIMIT",
    "OFFSET",
    "FETCH",
    "UNION",
    "INTERSECT",
    "EXCEPT",
    "MINUS",
    "JOIN",
    "INNER",
    "LEFT",
    "RIGHT",
    "FULL",
    "CROSS",
    "NATURAL",
    "OUTER",
    "ON",
    "USING",
    "AS",
    "AND",
    "OR",
    "NOT",
    "IN",
    "IS",
    "LIKE",
    "ILIKE",
    "RLIKE",
    "REGEXP",
    "BETWEEN",
    "CASE",
    "WHEN",
    "THEN",
    "ELSE",
    "END",
    "SET",
    "VALUES",
    "INTO",
    "BY",
    "ASC",
    "DESC",
    "DISTINCT",
    "ALL",
    "EXISTS",
    "WITH",
    "WINDOW",
    "FOR",
    "RETURNING",
    "UPDATE",
    "DELETE",
    "INSERT",
    "CREATE",
    "DROP",
    "QUALIFY",
    "TABLE",
    "PARTITION",
    "WITHIN",
    "COLLATE",
];

impl<'a> Parser<'a> {
    /// The word that comes next, when it is one and not quoted.
    pub(super) fn word(&self) -> Option<&'a str> {
        match self.rest.first() {
            Some(Token::Word(word)) => Some(word),
            _ => None,
        }
    }

    pub(super) fn is_word(&self, word: &str) -> bool {
        self.word()
            .is_some_and(|next| next.eq_ignore_ascii_case(word))
    }

    pub(super) fn is_sign(&self, sign: &str) -> bool {
        matches!(self.rest.first(), Some(Token::Sign(next)) if *next == sign)
    }

    pub(super) fn is_reserved(&self) -> bool {
        self.word()
            .is_some_and(|next| RESERVED.iter().any(|word| word.eq_ignore_ascii_case(next)))
    }

    /// Whether `(SELECT`, `(WITH` or `((SELECT` comes next.
    pub(super) fn is_query_in_brackets(&self) -> bool {
        let inner = self.rest.iter().find(|token| **token != Token::Sign("("));
        let is_query = |word: &str| {
            matches!(
                word.to_ascii_uppercase().as_str(),
                "SELECT" | "WITH" | "VALUES"
            )
        };
        self.is_sign("(") && matches!(inner, Some(Token::Word(word)) if is_query(word))
    }

    pub(super) fn skip(&mut self) {
        self.rest = self.rest.get(1..).unwrap_or_default();
    }

    pub(super) fn takes(&mut self, sign: &str) -> bool {
        let is_next = self.is_sign(sign);
        if is_next {
            self.skip();
        }
        is_next
    }

    pub(super) fn takes_word(&mut self, word: &str) -> bool {
        let is_next = self.is_word(word);
        if is_next {
            self.skip();
        }
        is_next
    }

    pub(super) fn takes_any(&mut self, words: &[&str]) -> bool {
        words.iter().any(|word| self.takes_word(word))
    }

    pub(super) fn needs(&mut self, sign: &str) -> Read<()> {
        if self.takes(sign) {
            Ok(())
        } else {
            Err(self.expected(&format!("`{sign}`")))
        }
    }

    pub(super) fn needs_word(&mut self, word: &str) -> Read<()> {
        if self.takes_word(word) {
            Ok(())
        } else {
            Err(self.expected(&format!("`{word}`")))
        }
    }

    pub(super) fn expected(&self, what: &str) -> String {
        let found = match self.rest.first() {
            Some(Token::Word(word) | Token::Name(word)) => format!("`{word}`"),
            Some(Token::Sign(sign)) => format!("`{sign}`"),
            Some(Token::Text) => "a text".to_owned(),
            Some(Token::Number) => "a number".to_owned(),
            Some(Token::Parameter) => "a parameter".to_owned(),
            None => "the end".to_owned(),
        };
        format!("{what} is expected, and there is {found}")
    }

    pub(super) fn deeper(&mut self) -> Read<()> {
        self.depth += 1;
        if MAX_DEPTH < self.depth {
            Err("it is nested too deeply".to_owned())
        } else {
            Ok(())
        }
    }

    /// One name, quoted or not reserved.
    pub(super) fn name(&mut self) -> Read<String> {
        match self.rest.first() {
            Some(Token::Name(name)) => {
                self.skip();
                Ok(name.clone())
            }
            Some(Token::Word(name)) if !self.is_reserved() => {
                self.skip();
                Ok(name.clone())
            }
            _ => Err(self.expected("a name")),
        }
    }

    /// A name with those before it: `database.table`. In `BigQuery` dots may stand inside of the quotes.
    pub(super) fn qualified_name(&mut self) -> Read<Vec<String>> {
        let mut parts = vec![self.name()?];
        while self.takes(".") {
            parts.push(match self.rest.first() {
                // Behind a dot every word is a name.
                Some(Token::Word(name)) => {
                    self.skip();
                    name.clone()
                }
                _ => self.name()?,
            });
        }
        if self.dialect == Dialect::BigQuery {
            parts = parts
                .iter()
                .flat_map(|part| part.split('.'))
                .map(str::to_owned)
                .collect();
        }
        Ok(parts)
    }
}
