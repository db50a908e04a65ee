//! Statements of SQL: what stands at the top.

use super::authority::{Authorities, Notes};
use super::tokens::{Dialect, Token, tokens};

/// How deep brackets and queries may be nested.
pub(super) const MAX_DEPTH: u32 = 64;
/// Tokens of a text.
const MAX_TOKENS: usize = 50_000;

/// What reading says: the error is in words.
pub(super) type Read<T> = Result<T, String>;

/// Reads statements from the front.
#[derive(Debug)]
pub(super) struct Parser<'a> {
    pub(super) rest: &'a [Token],
    pub(super) dialect: Dialect,
    pub(super) notes: Notes,
    pub(super) depth: u32,
}

/// Parses SQL, and returns which tables and columns it uses.
pub(super) fn parse(text: &str, dialect: Dialect) -> Read<Authorities> {
    let tokens = tokens(text, dialect)?;
    if MAX_TOKENS < tokens.len() {
        return Err("it is too long".to_owned());
    }
    let mut parser = Parser {
        rest: &tokens,
        dialect,
        notes: Notes::default(),
        depth: 0,
    };
    if tokens.is_empty() {
        return Err("there is no statement".to_owned());
    }
    while !parser.rest.is_empty() {
        if !parser.takes(";") {
            parser.statement()?;
            if !parser.rest.is_empty() {
                parser.needs(";")?;
            }
        }
    }
    Ok(parser.notes.finish())
}

impl Parser<'_> {
    fn statement(&mut self) -> Read<()> {
        let first = self.word().unwrap_or_default().to_ascii_uppercase();
        match first.as_str() {
            "SELECT" | "WITH" | "VALUES" | "TABLE" | "" => self.query(),
            "INSERT" | "REPLACE" => self.insert(),
            "UPDATE" => self.update(),
            "DELETE" => self.delete(),
            "CREATE" => self.create(),
            "DROP" => self.change_of_table("DROP", &["TABLE", "VIEW"]),
            "TRUNCATE" => self.change_of_table("TRUNCATE", &["TABLE"]),
            "ALTER" => self.change_of_table("alter", &["TABLE"]),
            "EXPLAIN" | "DESCRIBE" | "DESC" => {
                self.skip();
                self.takes_any(&["ANALYZE", "VERBOSE", "QUERY"]);
                if self.word().is_some_and(|word| is_verb(word)) {
                    self.statement()
                } else {
                    self.loose(1)
                }
            }
            "SHOW" | "USE" | "SET" | "CALL" | "EXEC" | "EXECUTE" | "GRANT" | "REVOKE"
            | "ANALYZE" | "PRAGMA" | "MERGE" | "DECLARE" | "COMMENT" | "LOCK" | "KILL" => {
                self.skip();
                self.loose(1)
            }
            "BEGIN" | "START" | "COMMIT" | "ROLLBACK" | "END" | "VACUUM" | "UNLOCK" => {
                self.skip();
                self.loose(0)
            }
            _ => Err(format!("`{first}` begins no statement")),
        }
    }

    /// The rest of a statement that is not read closer: at least `least` tokens, brackets that close.
    fn loose(&mut self, least: usize) -> Read<()> {
        let mut taken = 0;
        let mut open = Vec::new();
        while let Some((token, rest)) = self.rest.split_first() {
            match token {
                Token::Sign(";") if open.is_empty() => break,
                Token::Sign("(") => open.push(")"),
                Token::Sign(")") if open.pop().is_none() => {
                    return Err("a bracket is closed and was not opened".to_owned());
                }
                _ => {}
            }
            self.rest = rest;
            taken += 1;
        }
        if !open.is_empty() {
            return Err("a bracket is not closed".to_owned());
        }
        if taken < least {
            return Err("the statement ends too early".to_owned());
        }
        Ok(())
    }

    fn insert(&mut self) -> Read<()> {
        self.skip();
        while self.takes_any(&["LOW_PRIORITY", "DELAYED", "HIGH_PRIORITY", "IGNORE"]) {}
        if self.takes_word("OR") {
            self.skip();
        }
        self.takes_any(&["INTO", "OVERWRITE"]);
        self.takes_word("TABLE");
        let table = self.qualified_name()?;
        self.notes.table("insert", &table);
        self.alias(&table)?;
        let mut column = table
            .last()
            .cloned()
            .into_iter()
            .chain(["(.*)".to_owned()])
            .collect::<Vec<_>>();
        if self.is_sign("(") && !self.is_query_in_brackets() {
            self.skip();
            loop {
                let name = self.qualified_name()?;
                if let (Some(last), Some(name)) = (column.last_mut(), name.last()) {
                    last.clone_from(name);
                }
                self.notes.column("insert", &column);
                if !self.takes(",") {
                    break;
                }
            }
            self.needs(")")?;
        } else {
            self.notes.column("insert", &column);
        }
        if self.takes_word("DEFAULT") {
            self.needs_word("VALUES")?;
        } else if self.takes_any(&["VALUES", "VALUE"]) {
            self.rows()?;
        } else if self.takes_word("SET") {
            self.assignments("insert")?;
        } else {
            self.query()?;
        }
        self.after_change("update")
    }

    fn rows(&mut self) -> Read<()> {
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

    /// What may follow a change of rows: what to do with twins, and what to return.
    fn after_change(&mut self, verb: &'static str) -> Read<()> {
        if self.takes_word("ON") {
            if self.takes_word("DUPLICATE") {
                self.needs_word("KEY")?;
                self.needs_word("UPDATE")?;
                self.assignments(verb)?;
            } else {
                self.needs_word("CONFLICT")?;
                if self.takes("(") {
                    self.list()?;
                    self.needs(")")?;
                }
                self.optional_where()?;
                if self.takes_word("ON") {
                    self.needs_word("CONSTRAINT")?;
                    self.qualified_name()?;
                }
                self.needs_word("DO")?;
                if !self.takes_word("NOTHING") {
                    self.needs_word("UPDATE")?;
                    self.needs_word("SET")?;
                    self.assignments(verb)?;
                    self.optional_where()?;
                }
            }
        }
        if self.takes_word("RETURNING") {
            self.items()?;
        }
        Ok(())
    }

    fn assignments(&mut self, verb: &'static str) -> Read<()> {
        loop {
            let column = self.qualified_name()?;
            self.notes.column(verb, &column);
            self.needs("=")?;
            if !self.takes_word("DEFAULT") {
                self.expression()?;
            }
            if !self.takes(",") {
                return Ok(());
            }
        }
    }

    fn update(&mut self) -> Read<()> {
        self.skip();
        while self.takes_any(&["LOW_PRIORITY", "IGNORE", "ONLY"]) {}
        self.tables("update")?;
        self.needs_word("SET")?;
        self.assignments("update")?;
        if self.takes_word("FROM") {
            self.tables("select")?;
        }
        self.tail()?;
        self.after_change("update")
    }

    fn delete(&mut self) -> Read<()> {
        self.skip();
        while self.takes_any(&["LOW_PRIORITY", "QUICK", "IGNORE"]) {}
        if !self.is_word("FROM") {
            loop {
                self.qualified_name()?;
                if !self.takes(",") {
                    break;
                }
            }
        }
        self.needs_word("FROM")?;
        let before = self.rest;
        self.tables("delete")?;
        if let Some(Token::Word(name) | Token::Name(name)) = before.first() {
            self.notes
                .column("delete", &[name.clone(), "(.*)".to_owned()]);
        }
        if self.takes_word("USING") {
            self.tables("select")?;
        }
        self.tail()?;
        self.after_change("delete")
    }

    fn create(&mut self) -> Read<()> {
        self.skip();
        if self.takes_word("OR") {
            self.needs_word("REPLACE")?;
        }
        while self.takes_any(&[
            "TEMPORARY",
            "TEMP",
            "UNIQUE",
            "MATERIALIZED",
            "GLOBAL",
            "LOCAL",
            "EXTERNAL",
        ]) {}
        if self.takes_word("TABLE") {
            self.if_exists()?;
            let table = self.qualified_name()?;
            self.notes.table("create", &table);
            if self.takes("(") {
                self.definitions()?;
                self.needs(")")?;
            } else if !self.is_word("AS") && !self.is_word("LIKE") && !self.is_word("SELECT") {
                return Err("a table is created without columns".to_owned());
            }
            while !self.rest.is_empty()
                && !self.is_sign(";")
                && !self.is_word("SELECT")
                && !self.is_word("WITH")
            {
                self.skip();
            }
            return if self.is_word("SELECT") || self.is_word("WITH") {
                self.query()
            } else {
                Ok(())
            };
        }
        if self.takes_word("VIEW") {
            self.if_exists()?;
            self.qualified_name()?;
            if self.takes("(") {
                self.list()?;
                self.needs(")")?;
            }
            self.needs_word("AS")?;
            return self.query();
        }
        if !self.takes_any(&[
            "INDEX",
            "DATABASE",
            "SCHEMA",
            "FUNCTION",
            "PROCEDURE",
            "TRIGGER",
            "USER",
            "ROLE",
            "SEQUENCE",
            "TYPE",
            "EXTENSION",
        ]) {
            return Err("`CREATE` of what is not said".to_owned());
        }
        self.loose(1)
    }

    /// Definitions of columns and constraints; a column's name is noted.
    fn definitions(&mut self) -> Read<()> {
        loop {
            let is_constraint = [
                "PRIMARY",
                "FOREIGN",
                "UNIQUE",
                "CONSTRAINT",
                "KEY",
                "INDEX",
                "CHECK",
                "FULLTEXT",
                "LIKE",
            ]
            .iter()
            .any(|word| self.is_word(word));
            if !is_constraint {
                let column = self.name()?;
                self.notes.column("create", std::slice::from_ref(&column));
            }
            let mut taken = 0;
            let mut open = 0_u32;
            while let Some((token, rest)) = self.rest.split_first() {
                match token {
                    Token::Sign("," | ")") if open == 0 => break,
                    Token::Sign("(") => open += 1,
                    Token::Sign(")") => open -= 1,
                    Token::Sign(";") => return Err("a definition does not end".to_owned()),
                    _ => {}
                }
                self.rest = rest;
                taken += 1;
            }
            if taken == 0 && self.dialect != Dialect::Sqlite {
                return Err("a column has no type".to_owned());
            }
            if !self.takes(",") {
                return Ok(());
            }
        }
    }

    fn change_of_table(&mut self, verb: &'static str, kinds: &[&str]) -> Read<()> {
        self.skip();
        let is_table = self.takes_any(kinds) || verb == "TRUNCATE";
        if !is_table {
            return self.loose(2);
        }
        self.if_exists()?;
        loop {
            let table = self.qualified_name()?;
            self.notes.table(verb, &table);
            if verb == "alter" || !self.takes(",") {
                break;
            }
        }
        self.loose(usize::from(verb == "alter"))
    }

    fn if_exists(&mut self) -> Read<()> {
        if self.takes_word("IF") {
            self.takes_word("NOT");
            self.needs_word("EXISTS")?;
        }
        Ok(())
    }
}

fn is_verb(word: &str) -> bool {
    let verbs = ["SELECT", "WITH", "INSERT", "UPDATE", "DELETE", "REPLACE"];
    verbs.iter().any(|verb| verb.eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use super::{Dialect, parse};
    use proptest::prelude::*;

    /// The figures are those of node-sql-parser 5, which promptfoo uses.
    #[test]
    fn statements_are_read_with_what_they_use() {
        for (text, tables, columns) in [
            ("SELECT * FROM t", "select::null::t", "select::null::(.*)"),
            (
                "SELECT a, b FROM t WHERE x = 1",
                "select::null::t",
                "select::null::a select::null::b select::null::x",
            ),
            ("SELECT 1", "", ""),
            ("UPDATE t SET a=1", "update::null::t", "update::null::a"),
            (
                "DELETE FROM t WHERE id=1",
                "delete::null::t",
                "delete::t::(.*) select::null::id",
            ),
            (
                "INSERT INTO t (a,b) VALUES (1,2)",
                "insert::null::t",
                "insert::t::a insert::t::b",
            ),
            (
                "INSERT INTO t VALUES (1), (2)",
                "insert::null::t",
                "insert::t::(.*)",
            ),
            (
                "SELECT t.a FROM t JOIN u ON t.id=u.id",
                "select::null::t select::null::u",
                "select::t::a select::t::id select::u::id",
            ),
            ("DROP TABLE t", "DROP::null::t", ""),
            (
                "SELECT count(*) FROM t GROUP BY a HAVING count(*)>1 ORDER BY 1 DESC LIMIT 5",
                "select::null::t",
                "select::null::a",
            ),
            (
                "SELECT a FROM t; SELECT b FROM u",
                "select::null::t select::null::u",
                "select::null::a select::null::b",
            ),
            (
                "SELECT a FROM (SELECT b FROM u) s",
                "select::null::u",
                "select::null::a select::null::b",
            ),
            (
                "SELECT * FROM t WHERE a IN (SELECT id FROM v)",
                "select::null::t select::null::v",
                "select::null::(.*) select::null::a select::null::id",
            ),
            (
                "SELECT a FROM t UNION ALL SELECT b FROM u",
                "select::null::t select::null::u",
                "select::null::a select::null::b",
            ),
            (
                "SELECT CASE WHEN a=1 THEN 'x' ELSE 'y' END AS k FROM t",
                "select::null::t",
                "select::null::a",
            ),
            (
                "SELECT EXTRACT(YEAR FROM d) FROM t",
                "select::null::t",
                "select::null::d",
            ),
            (
                "SELECT `a b` FROM `t`",
                "select::null::t",
                "select::null::a b",
            ),
            (
                "SELECT ROW_NUMBER() OVER (PARTITION BY a ORDER BY b) FROM t",
                "select::null::t",
                "select::null::a select::null::b",
            ),
            (
                "SELECT t.* FROM t, u",
                "select::null::t select::null::u",
                "select::t::(.*)",
            ),
            ("SELECT q.a FROM d.t AS q", "select::d::t", "select::t::a"),
            ("TRUNCATE TABLE t", "TRUNCATE::null::t", ""),
            (
                "SELECT CAST(a AS CHAR(10)) FROM t",
                "select::null::t",
                "select::null::a",
            ),
        ] {
            let found = parse(text, Dialect::MySql).unwrap();
            let sorted = |text: &str| {
                let mut words: Vec<String> = text.split(" select::").map(str::to_owned).collect();
                words.sort();
                words
            };
            assert_eq!(found.tables.join(" "), tables, "{text}");
            assert_eq!(sorted(&found.columns.join(" ")), sorted(columns), "{text}");
        }
    }

    #[test]
    fn sql_is_told_from_what_is_none() {
        for text in [
            "WITH x AS (SELECT a FROM t) SELECT * FROM x",
            "SELECT a FROM t WHERE b LIKE '%x%' AND c BETWEEN 1 AND 2 AND d IS NOT NULL OR NOT e",
            "SELECT DISTINCT a AS z FROM t AS q LEFT JOIN u USING (id)",
            "INSERT INTO t SELECT * FROM u",
            "INSERT INTO t (a) VALUES (1) ON DUPLICATE KEY UPDATE a = VALUES(a)",
            "EXPLAIN SELECT 1",
            "SHOW TABLES",
            "SELECT DATE_SUB(NOW(), INTERVAL 1 DAY)",
            "SELECT a FROM t LIMIT 2,5",
            "SELECT a FROM t LIMIT 5 OFFSET 2",
            "SELECT a FROM t WHERE NOT EXISTS (SELECT 1 FROM u WHERE u.id = t.id)",
            "SELECT a+b*-c, 'it''s' FROM t -- ok",
            "CREATE TABLE t (id INT PRIMARY KEY, n VARCHAR(10), FOREIGN KEY (n) REFERENCES u(n))",
            "CREATE VIEW v AS SELECT a FROM t",
            "CREATE INDEX i ON t (a)",
            "ALTER TABLE t ADD COLUMN x INT",
            "UPDATE t SET a = a + 1, b = 'x' WHERE c = (SELECT max(c) FROM u)",
            "SELECT a FROM t WHERE x = ? FOR UPDATE",
            "SELECT COUNT(DISTINCT a), SUM(CASE WHEN b THEN 1 END) FROM t",
            "(SELECT a FROM t) UNION (SELECT b FROM u) ORDER BY 1",
            "SELECT a FROM t1 CROSS JOIN t2 INNER JOIN t3 ON t1.x = t3.x",
            "DELETE t FROM t",
            "REPLACE INTO t VALUES (1)",
        ] {
            assert!(
                parse(text, Dialect::MySql).is_ok(),
                "{text}: {:?}",
                parse(text, Dialect::MySql).err()
            );
        }
        for text in [
            "select a b c from t",
            "SELECT",
            "hello world",
            "SELECT FROM t",
            "SELECT a, FROM t",
            "SELECT a FROM",
            "SELECT a FROM t WHERE",
            "SELECT a FROM t WHERE (b = 1",
            "SELECT a FROM t GROUP",
            "SELECT a b FROM t",
            "INSERT t (a VALUES (1)",
            "UPDATE t a = 1",
            "DELETE t",
            "SELECT 'a",
            "SELECT a FROM t)",
            "DROP TABLE",
            "SELECT a FROM t ORDER b",
            "Here is SQL: SELECT a FROM t",
            "SELECT `a FROM t",
            "SELECT a FROM t JOIN",
            "```sql\nSELECT 1\n```",
            "CREATE TABLE t",
            "SELECT * FROM t LIMIT",
        ] {
            assert!(parse(text, Dialect::MySql).is_err(), "{text}");
        }
        for (text, dialect, is_sql) in [
            (
                "SELECT a::int, \"b\"->>'c' FROM t WHERE d ILIKE $1 ORDER BY e NULLS LAST",
                Dialect::Postgres,
                true,
            ),
            ("SELECT DISTINCT ON (a) a FROM t", Dialect::Postgres, true),
            (
                "INSERT INTO t (a) VALUES (1) ON CONFLICT (a) DO UPDATE SET a = excluded.a RETURNING a",
                Dialect::Postgres,
                true,
            ),
            (
                "SELECT ARRAY[1, 2], x FROM t, LATERAL unnest(y) AS x",
                Dialect::Postgres,
                true,
            ),
            ("SELECT `a` FROM t", Dialect::Postgres, false),
            (
                "SELECT TOP 5 [a b] FROM [dbo].[t]",
                Dialect::TransactSql,
                true,
            ),
            ("SELECT a FROM t LIMIT 2,5", Dialect::Postgres, false),
            (
                "SELECT a FROM `p.d.t` WHERE b = \"x\"",
                Dialect::BigQuery,
                true,
            ),
        ] {
            assert_eq!(
                parse(text, dialect).is_ok(),
                is_sql,
                "{text}: {:?}",
                parse(text, dialect).err()
            );
        }
    }

    proptest! {
        #[test]
        fn no_text_takes_it_down(words in prop::collection::vec("SELECT|FROM|WHERE|\\(|\\)|,|a|t|\\*|=|'x'|CASE|WHEN|END|IN|NOT|;|JOIN|ON|AS|1|INSERT|\\PC{0,3}", 0..30)) {
            let _ = parse(&words.join(" "), Dialect::MySql);
        }
    }

    #[test]
    fn depth_is_bounded() {
        assert!(parse(&format!("SELECT {}1", "(".repeat(100_000)), Dialect::MySql).is_err());
        assert!(
            parse(
                &format!("SELECT {}1", "NOT ".repeat(40_000)),
                Dialect::MySql
            )
            .is_err()
        );
        assert!(parse(&format!("SELECT {}1", "- ".repeat(40_000)), Dialect::MySql).is_err());
    }
}
