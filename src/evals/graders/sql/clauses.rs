//! Queries of SQL and their clauses, and the words that a parser takes.

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

/// What may stand between `SELECT` and the first item.
const MODIFIERS: [&str; 11] = [
    "ALL",
    "DISTINCT",
    "DISTINCTROW",
    "HIGH_PRIORITY",
    "STRAIGHT_JOIN",
    "SQL_SMALL_RESULT",
    "SQL_BIG_RESULT",
    "SQL_BUFFER_RESULT",
    "SQL_CACHE",
    "SQL_NO_CACHE",
    "SQL_CALC_FOUND_ROWS",
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

    /// A name with those before it: `database.table`. In BigQuery dots may stand inside of the quotes.
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

    /// A query: `WITH`, selects that are put together, an order, a limit.
    pub(super) fn query(&mut self) -> Read<()> {
        self.deeper()?;
        if self.takes_word("WITH") {
            self.takes_word("RECURSIVE");
            loop {
                self.name()?;
                if self.takes("(") {
                    self.list()?;
                    self.needs(")")?;
                }
                self.needs_word("AS")?;
                self.takes_word("NOT");
                self.takes_word("MATERIALIZED");
                self.needs("(")?;
                self.query()?;
                self.needs(")")?;
                if !self.takes(",") {
                    break;
                }
            }
        }
        loop {
            self.query_part()?;
            if !self.takes_any(&["UNION", "INTERSECT", "EXCEPT", "MINUS"]) {
                break;
            }
            self.takes_any(&["ALL", "DISTINCT"]);
        }
        self.order_and_limit()?;
        self.depth -= 1;
        Ok(())
    }

    fn query_part(&mut self) -> Read<()> {
        if self.takes("(") {
            self.query()?;
            return self.needs(")");
        }
        if self.takes_word("VALUES") {
            loop {
                self.takes_word("ROW");
                self.needs("(")?;
                self.list()?;
                self.needs(")")?;
                if !self.takes(",") {
                    return Ok(());
                }
            }
        }
        self.needs_word("SELECT")?;
        self.select()
    }

    fn select(&mut self) -> Read<()> {
        while self.takes_any(&MODIFIERS) {
            if self.takes_word("ON") {
                self.needs("(")?;
                self.list()?;
                self.needs(")")?;
            }
        }
        if self.takes_word("TOP") {
            self.takes("(");
            self.skip();
            self.takes(")");
        }
        if let [Token::Word(_), Token::Word(_), Token::Word(third), ..] = self.rest
            && third.eq_ignore_ascii_case("FROM")
            && !self.is_reserved()
        {
            return Err("a comma is missing between two columns".to_owned());
        }
        self.items()?;
        if self.takes_word("INTO") {
            self.qualified_name()?;
        }
        if self.takes_word("FROM") {
            self.tables("select")?;
        }
        self.optional_where()?;
        if self.takes_word("GROUP") {
            self.needs_word("BY")?;
            self.takes_word("ALL");
            self.list()?;
            if self.takes_word("WITH") {
                self.needs_word("ROLLUP")?;
            }
        }
        if self.takes_any(&["HAVING", "QUALIFY"]) {
            self.expression()?;
        }
        if self.takes_word("WINDOW") {
            loop {
                self.name()?;
                self.needs_word("AS")?;
                self.window()?;
                if !self.takes(",") {
                    break;
                }
            }
        }
        Ok(())
    }

    /// What is selected: `*`, expressions with or without a name.
    pub(super) fn items(&mut self) -> Read<()> {
        loop {
            if self.takes("*") {
                self.notes.column("select", &["(.*)".to_owned()]);
                if self.takes_any(&["EXCEPT", "EXCLUDE", "REPLACE"]) {
                    self.needs("(")?;
                    self.list()?;
                    self.needs(")")?;
                }
            } else {
                self.expression()?;
                if self.takes_word("AS") {
                    self.alias_name()?;
                } else if matches!(self.rest.first(), Some(Token::Name(_) | Token::Text))
                    || (self.word().is_some() && !self.is_reserved())
                {
                    self.skip();
                }
            }
            if !self.takes(",") {
                return Ok(());
            }
        }
    }

    fn alias_name(&mut self) -> Read<()> {
        match self.rest.first() {
            Some(Token::Text | Token::Name(_) | Token::Word(_)) => {
                self.skip();
                Ok(())
            }
            _ => Err(self.expected("a name")),
        }
    }

    pub(super) fn optional_where(&mut self) -> Read<()> {
        if self.takes_word("WHERE") {
            self.expression()
        } else {
            Ok(())
        }
    }

    /// What may follow the tables of a change.
    pub(super) fn tail(&mut self) -> Read<()> {
        self.optional_where()?;
        self.order_and_limit()
    }

    fn order_and_limit(&mut self) -> Read<()> {
        if self.takes_word("ORDER") {
            self.needs_word("BY")?;
            self.orders()?;
        }
        loop {
            if self.takes_word("LIMIT") {
                if !self.takes_word("ALL") {
                    self.expression()?;
                }
                let has_comma = matches!(self.dialect, Dialect::MySql | Dialect::Sqlite);
                if has_comma && self.takes(",") {
                    self.expression()?;
                }
            } else if self.takes_word("OFFSET") {
                self.expression()?;
                self.takes_any(&["ROW", "ROWS"]);
            } else if self.takes_word("FETCH") {
                self.takes_any(&["FIRST", "NEXT"]);
                if self.rest.first() == Some(&Token::Number) {
                    self.skip();
                }
                self.takes_any(&["ROW", "ROWS"]);
                if !self.takes_word("ONLY") {
                    self.needs_word("WITH")?;
                    self.needs_word("TIES")?;
                }
            } else if self.takes_word("FOR") {
                if !self.takes_any(&["UPDATE", "SHARE"]) {
                    return Err(self.expected("`UPDATE` or `SHARE`"));
                }
                self.takes_any(&["NOWAIT"]);
                if self.takes_word("SKIP") {
                    self.needs_word("LOCKED")?;
                }
            } else {
                return Ok(());
            }
        }
    }

    /// The list behind `ORDER BY`.
    pub(super) fn orders(&mut self) -> Read<()> {
        loop {
            self.expression()?;
            self.takes_any(&["ASC", "DESC"]);
            if self.takes_word("NULLS") && !self.takes_any(&["FIRST", "LAST"]) {
                return Err(self.expected("`FIRST` or `LAST`"));
            }
            if !self.takes(",") {
                return Ok(());
            }
        }
    }

    /// The tables behind `FROM`, with their joins; each is noted under `verb`.
    pub(super) fn tables(&mut self, verb: &'static str) -> Read<()> {
        loop {
            self.table(verb)?;
            self.joins(verb)?;
            if !self.takes(",") {
                return Ok(());
            }
        }
    }

    fn joins(&mut self, verb: &'static str) -> Read<()> {
        loop {
            let is_natural = self.takes_word("NATURAL");
            let is_crossed = self.takes_word("CROSS");
            let is_sided = self.takes_any(&["INNER", "LEFT", "RIGHT", "FULL", "ANTI", "SEMI"]);
            self.takes_any(&["OUTER", "ANTI", "SEMI"]);
            let is_join = self.takes_any(&["JOIN", "STRAIGHT_JOIN", "APPLY"]);
            if !is_join {
                return if is_natural || is_crossed || is_sided {
                    Err(self.expected("`JOIN`"))
                } else {
                    Ok(())
                };
            }
            self.table(verb)?;
            if self.takes_word("ON") {
                self.expression()?;
            } else if self.takes_word("USING") {
                self.needs("(")?;
                loop {
                    self.name()?;
                    if !self.takes(",") {
                        break;
                    }
                }
                self.needs(")")?;
            }
        }
    }

    fn table(&mut self, verb: &'static str) -> Read<()> {
        self.deeper()?;
        self.takes_any(&["LATERAL", "ONLY"]);
        if self.is_query_in_brackets() {
            self.skip();
            self.query()?;
            self.needs(")")?;
            self.alias(&[])?;
        } else if self.takes("(") {
            self.tables(verb)?;
            self.needs(")")?;
            self.alias(&[])?;
        } else {
            let name = self.qualified_name()?;
            if self.takes("(") {
                let is_series = name
                    .last()
                    .is_some_and(|name| name.eq_ignore_ascii_case("generate_series"));
                if is_series && self.dialect == Dialect::MySql {
                    return Err("there is no `generate_series` in MySQL".to_owned());
                }
                if !self.is_sign(")") {
                    self.list()?;
                }
                self.needs(")")?;
                self.alias(&[])?;
            } else {
                self.notes.table(verb, &name);
                self.alias(&name)?;
            }
        }
        self.depth -= 1;
        Ok(())
    }

    /// What a table is called, with or without `AS` and names of its columns.
    pub(super) fn alias(&mut self, table: &[String]) -> Read<()> {
        let has_as = self.takes_word("AS");
        let is_named = matches!(self.rest.first(), Some(Token::Name(_)))
            || (self.word().is_some() && !self.is_reserved() && !self.is_join_word());
        if is_named || has_as {
            let alias = self.name()?;
            self.notes.alias(&alias, table);
            if self.is_sign("(") && has_as {
                self.skip();
                self.list()?;
                self.needs(")")?;
            }
        }
        Ok(())
    }

    fn is_join_word(&self) -> bool {
        ["STRAIGHT_JOIN", "ANTI", "SEMI", "DEFAULT", "LATERAL"]
            .iter()
            .any(|word| self.is_word(word))
    }
}
