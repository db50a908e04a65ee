//! Expressions of SQL. What binds stronger does not matter here: only whether operands and operators take turns.

use super::statements::{Parser, Read};
use super::tokens::Token;

/// Operators between two operands.
const OPERATORS: [&str; 34] = [
    "+", "-", "*", "/", "%", "=", "==", "<>", "!=", "<", ">", "<=", ">=", "<=>", "||", "&&", "|",
    "&", "^", "<<", ">>", "->", "->>", "#>", "#>>", "@>", "<@", "~", "!~", "~*", "!~*", ":=", "@@",
    "=>",
];

impl Parser<'_> {
    /// Expressions with commas between.
    pub(super) fn list(&mut self) -> Read<()> {
        loop {
            self.expression()?;
            if !self.takes(",") {
                return Ok(());
            }
        }
    }

    /// An expression.
    pub(super) fn expression(&mut self) -> Read<()> {
        self.deeper()?;
        self.operand()?;
        while self.continues()? {}
        self.depth -= 1;
        Ok(())
    }

    /// Takes an operator with what follows it; `false` where the expression ends.
    fn continues(&mut self) -> Read<bool> {
        if let Some(Token::Sign(sign)) = self.rest.first()
            && OPERATORS.contains(sign)
        {
            self.skip();
            if self.takes_any(&["ANY", "ALL", "SOME"]) {
                self.brackets()?;
            } else {
                self.operand()?;
            }
            return Ok(true);
        }
        if self.takes("::") {
            self.type_name()?;
            return Ok(true);
        }
        if self.takes("[") {
            self.expression()?;
            if self.takes(":") {
                self.expression()?;
            }
            self.needs("]")?;
            return Ok(true);
        }
        if self.takes_any(&["AND", "OR", "XOR", "DIV", "MOD", "OVERLAPS"]) {
            self.operand()?;
            return Ok(true);
        }
        if self.takes_word("IS") {
            self.takes_word("NOT");
            if self.takes_word("DISTINCT") {
                self.needs_word("FROM")?;
                self.operand()?;
            } else if !self.takes_any(&["NULL", "TRUE", "FALSE", "UNKNOWN"]) {
                return Err(self.expected("`NULL`, `TRUE` or `FALSE`"));
            }
            return Ok(true);
        }
        if self.takes_word("COLLATE") {
            self.qualified_name()?;
            return Ok(true);
        }
        if self.takes_word("ISNULL") || self.takes_word("NOTNULL") {
            return Ok(true);
        }
        if self.is_word("AT") {
            self.skip();
            self.needs_word("TIME")?;
            self.needs_word("ZONE")?;
            self.operand()?;
            return Ok(true);
        }
        let is_negated = self.takes_word("NOT");
        let is_test = self.test()?;
        if is_negated && !is_test {
            return Err(self.expected("`IN`, `LIKE` or `BETWEEN`"));
        }
        Ok(is_test)
    }

    /// `IN (...)`, `BETWEEN a AND b`, `LIKE a`.
    fn test(&mut self) -> Read<bool> {
        if self.takes_word("IN") {
            if self.takes_word("UNNEST") || self.is_sign("(") {
                self.brackets()?;
            } else {
                self.operand()?;
            }
            return Ok(true);
        }
        if self.takes_word("BETWEEN") {
            self.takes_any(&["SYMMETRIC"]);
            self.bound()?;
            self.needs_word("AND")?;
            self.bound()?;
            return Ok(true);
        }
        let is_like = self.takes_any(&["LIKE", "ILIKE", "RLIKE", "REGEXP", "GLOB", "MATCH"]);
        if is_like || self.is_word("SIMILAR") {
            if !is_like {
                self.skip();
                self.needs_word("TO")?;
            }
            self.takes_any(&["ANY", "BINARY"]);
            self.bound()?;
            if self.takes_word("ESCAPE") {
                self.operand()?;
            }
            return Ok(true);
        }
        Ok(false)
    }

    /// An operand with operators of signs only: an end of `BETWEEN`, a pattern.
    fn bound(&mut self) -> Read<()> {
        self.operand()?;
        loop {
            match self.rest.first() {
                Some(Token::Sign(sign)) if OPERATORS.contains(sign) => {
                    self.skip();
                    self.operand()?;
                }
                Some(Token::Sign("::")) => {
                    self.skip();
                    self.type_name()?;
                }
                _ => return Ok(()),
            }
        }
    }

    fn operand(&mut self) -> Read<()> {
        self.deeper()?;
        self.one_operand()?;
        self.depth -= 1;
        Ok(())
    }

    fn one_operand(&mut self) -> Read<()> {
        if self.takes_any(&["NOT", "BINARY", "PRIOR"]) {
            return self.operand();
        }
        match self.rest.first() {
            Some(Token::Sign("-" | "+" | "~" | "!" | "@>")) => {
                self.skip();
                self.operand()
            }
            Some(Token::Sign("(")) => self.brackets(),
            Some(Token::Text) => {
                // Texts that follow each other are one.
                while self.rest.first() == Some(&Token::Text) {
                    self.skip();
                }
                Ok(())
            }
            Some(Token::Number | Token::Parameter) => {
                self.skip();
                Ok(())
            }
            Some(Token::Word(word)) => {
                let word = word.to_ascii_uppercase();
                self.word_operand(&word)
            }
            Some(Token::Name(_)) => self.named_operand(),
            _ => Err(self.expected("a value")),
        }
    }

    fn word_operand(&mut self, word: &str) -> Read<()> {
        match word {
            "CASE" => self.case(),
            "EXISTS" => {
                self.skip();
                self.brackets()
            }
            "NULL" | "TRUE" | "FALSE" | "CURRENT_DATE" | "CURRENT_TIME" | "CURRENT_TIMESTAMP"
            | "CURRENT_USER" | "DEFAULT" => {
                self.skip();
                if self.takes("(") {
                    if !self.is_sign(")") {
                        self.list()?;
                    }
                    self.needs(")")?;
                }
                Ok(())
            }
            "INTERVAL" => {
                self.skip();
                self.bound()?;
                if self.word().is_some() && !self.is_reserved() {
                    self.skip();
                    if self.takes_word("TO") {
                        self.skip();
                    }
                }
                Ok(())
            }
            "DATE" | "TIME" | "TIMESTAMP" | "DATETIME" | "TIMESTAMPTZ"
                if matches!(self.rest.get(1), Some(Token::Text)) =>
            {
                self.skip();
                self.skip();
                Ok(())
            }
            "CAST" | "TRY_CAST" | "SAFE_CAST" | "CONVERT"
                if self.rest.get(1) == Some(&Token::Sign("(")) =>
            {
                self.skip();
                self.cast()
            }
            "EXTRACT" | "TRIM" | "SUBSTRING" | "POSITION" | "OVERLAY"
                if self.rest.get(1) == Some(&Token::Sign("(")) =>
            {
                self.skip();
                self.wordy_call()
            }
            "ARRAY" | "STRUCT" | "ROW"
                if matches!(self.rest.get(1), Some(Token::Sign("[" | "(" | "<"))) =>
            {
                self.skip();
                if self.takes("<") {
                    while !self.rest.is_empty() && !self.takes(">") {
                        self.skip();
                    }
                }
                if !self.takes("[") {
                    return self.brackets();
                }
                if !self.is_sign("]") {
                    self.list()?;
                }
                self.needs("]")
            }
            "LEFT" | "RIGHT" | "REPLACE" | "INSERT" | "VALUES" | "IF" | "SET"
                if self.rest.get(1) == Some(&Token::Sign("(")) =>
            {
                self.skip();
                self.call()
            }
            _ => self.named_operand(),
        }
    }

    /// A column, a call, or all columns of a table.
    fn named_operand(&mut self) -> Read<()> {
        let mut name = vec![self.name()?];
        while self.takes(".") {
            if self.takes("*") {
                name.push("(.*)".to_owned());
                break;
            }
            match self.rest.first() {
                Some(Token::Word(part) | Token::Name(part)) => {
                    name.push(part.clone());
                    self.skip();
                }
                _ => return Err(self.expected("a name")),
            }
        }
        if self.is_sign("(") {
            return self.call();
        }
        self.notes.column("select", &name);
        Ok(())
    }

    /// The arguments of a call, and what may follow them.
    fn call(&mut self) -> Read<()> {
        self.needs("(")?;
        self.takes_any(&["DISTINCT", "ALL"]);
        if self.takes("*") {
        } else if self.is_word("SELECT") || self.is_word("WITH") {
            self.query()?;
        } else if !self.is_sign(")") {
            loop {
                self.expression()?;
                if self.takes_word("AS") {
                    self.type_name()?;
                }
                if !self.takes(",") {
                    break;
                }
            }
        }
        self.takes_any(&["IGNORE", "RESPECT"]);
        self.takes_word("NULLS");
        if self.takes_word("ORDER") {
            self.needs_word("BY")?;
            self.orders()?;
        }
        if self.takes_any(&["SEPARATOR", "LIMIT"]) {
            self.operand()?;
        }
        self.needs(")")?;
        if self.takes_word("WITHIN") {
            self.needs_word("GROUP")?;
            self.window()?;
        }
        if self.takes_word("FILTER") {
            self.needs("(")?;
            self.optional_where()?;
            self.needs(")")?;
        }
        self.takes_any(&["IGNORE", "RESPECT"]);
        self.takes_word("NULLS");
        if self.takes_word("OVER") {
            if self.is_sign("(") {
                self.window()?
            } else {
                self.name().map(|_| ())?
            }
        }
        Ok(())
    }

    /// A window: partitions, an order, a frame.
    pub(super) fn window(&mut self) -> Read<()> {
        self.needs("(")?;
        if self.word().is_some() && !self.is_reserved() && !self.is_frame() {
            self.skip();
        }
        if self.takes_word("PARTITION") {
            self.needs_word("BY")?;
            self.list()?;
        }
        if self.takes_word("ORDER") {
            self.needs_word("BY")?;
            self.orders()?;
        }
        if self.is_frame() {
            while !self.is_sign(")") && !self.rest.is_empty() {
                self.skip();
            }
        }
        self.needs(")")
    }

    fn is_frame(&self) -> bool {
        ["ROWS", "RANGE", "GROUPS"]
            .iter()
            .any(|word| self.is_word(word))
    }

    fn case(&mut self) -> Read<()> {
        self.skip();
        if !self.is_word("WHEN") {
            self.expression()?;
        }
        self.needs_word("WHEN")?;
        loop {
            self.expression()?;
            self.needs_word("THEN")?;
            self.expression()?;
            if !self.takes_word("WHEN") {
                break;
            }
        }
        if self.takes_word("ELSE") {
            self.expression()?;
        }
        self.needs_word("END")
    }

    /// `(value AS type)`, `(value, type)`, `(value USING set)`.
    fn cast(&mut self) -> Read<()> {
        self.needs("(")?;
        self.expression()?;
        if self.takes_any(&["AS", "USING"]) || self.takes(",") {
            self.type_name()?;
        } else {
            return Err(self.expected("`AS`"));
        }
        self.needs(")")
    }

    /// Arguments with words between: `EXTRACT(YEAR FROM d)`, `TRIM(BOTH 'x' FROM a)`.
    fn wordy_call(&mut self) -> Read<()> {
        self.needs("(")?;
        if self.word().is_some()
            && matches!(self.rest.get(1), Some(Token::Word(word)) if word.eq_ignore_ascii_case("FROM"))
        {
            self.skip();
        } else {
            self.takes_any(&["BOTH", "LEADING", "TRAILING"]);
            if !self.is_word("FROM") {
                self.bound()?;
                if self.takes_word("IN") {
                    self.bound()?;
                }
            }
        }
        while self.takes_any(&["FROM", "FOR", "PLACING"]) || self.takes(",") {
            self.bound()?;
        }
        self.needs(")")
    }

    /// The name of a type with what belongs to it: `varchar(10)`, `double precision`, `int[]`.
    fn type_name(&mut self) -> Read<()> {
        if self.word().is_none() && !matches!(self.rest.first(), Some(Token::Name(_))) {
            return Err(self.expected("a type"));
        }
        self.skip();
        while self.takes_any(&[
            "PRECISION",
            "VARYING",
            "UNSIGNED",
            "SIGNED",
            "INTEGER",
            "SET",
            "WITH",
            "WITHOUT",
            "TIME",
            "ZONE",
        ]) {}
        if self.takes("(") {
            self.list()?;
            self.needs(")")?;
        }
        while self.takes("[") {
            self.needs("]")?;
        }
        Ok(())
    }

    /// A query or expressions in brackets.
    fn brackets(&mut self) -> Read<()> {
        if self.is_query_in_brackets() {
            self.skip();
            self.query()?;
            // Two selects in brackets may be put together inside of brackets.
            return self.needs(")");
        }
        self.needs("(")?;
        if !self.is_sign(")") {
            self.list()?;
        }
        self.needs(")")
    }
}
