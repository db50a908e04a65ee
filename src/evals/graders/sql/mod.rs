//! `is-sql` and `contains-sql`: SQL that can be parsed, with the tables and columns that are allowed.
//!
//! The parser is our own. It knows queries, changes of rows, and definitions of tables and views well, and of
//! other statements the first words and the brackets. `databaseType` decides how names are quoted, what is a
//! comment and which clauses there are; where dialects differ in more, it takes what any of them takes.

mod authority;
mod clauses;
mod expressions;
mod statements;
mod tokens;

use crate::evals::graders::ready::Ready;
use crate::evals::graders::{CannotJudge, Judged};
use crate::evals::values::{string_of, trim};
use authority::{Authorities, refused};
use serde_json::Value;
use statements::parse;
use tokens::Dialect;

/// What SQL must be like.
struct Wanted {
    dialect: Dialect,
    tables: Option<Vec<String>>,
    columns: Option<Vec<String>>,
}

/// The whole output is SQL.
pub(super) fn is_sql(ready: &Ready<'_>) -> Judged {
    let wanted = wanted(ready)?;
    let outcome = check(&ready.text, &wanted)?;
    judged(ready, outcome)
}

/// There is SQL in the output: in a fenced block of SQL, or, without such blocks, the whole output.
pub(super) fn contains_sql(ready: &Ready<'_>) -> Judged {
    let wanted = wanted(ready)?;
    let blocks = fenced(&ready.text);
    let candidates = if blocks.is_empty() {
        vec![ready.text.clone()]
    } else {
        blocks
    };
    let mut outcome = Err("there is no SQL in the output".to_owned());
    for candidate in candidates.iter().filter(|text| !trim(text).is_empty()) {
        outcome = check(candidate, &wanted)?;
        if outcome.is_ok() {
            break;
        }
    }
    judged(ready, outcome)
}

fn judged(ready: &Ready<'_>, outcome: Result<(), String>) -> Judged {
    match outcome {
        Ok(()) => ready.plain(true, "the SQL can be parsed, and uses what it may"),
        Err(reason) => ready.plain(false, reason),
    }
}

fn wanted(ready: &Ready<'_>) -> Result<Wanted, CannotJudge> {
    let fields = match &ready.value {
        None | Some(Value::Null) => None,
        Some(Value::Object(fields)) => Some(fields),
        Some(_) => {
            return Err(CannotJudge::because(
                "its `value` must be an object of `databaseType`, `allowedTables` and `allowedColumns`",
            ));
        }
    };
    let list = |name: &str| match fields.and_then(|fields| fields.get(name)) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Array(items)) => Ok(Some(items.iter().map(string_of).collect::<Vec<_>>())),
        Some(_) => Err(CannotJudge::because(format!("its `{name}` must be a list"))),
    };
    let name = fields
        .and_then(|fields| fields.get("databaseType"))
        .and_then(Value::as_str);
    Ok(Wanted {
        dialect: Dialect::named(name.unwrap_or("MySQL"))
            .ok_or_else(|| CannotJudge::because("its `databaseType` is not known"))?,
        tables: list("allowedTables")?,
        columns: list("allowedColumns")?.map(authority::with_unqualified),
    })
}

/// `Ok(Err(_))`: it is no such SQL, and why.
fn check(text: &str, wanted: &Wanted) -> Result<Result<(), String>, CannotJudge> {
    let found: Authorities = match parse(trim(text), wanted.dialect) {
        Ok(found) => found,
        Err(reason) => return Ok(Err(format!("the SQL cannot be parsed: {reason}"))),
    };
    for (what, used, allowed) in [
        ("tables", &found.tables, &wanted.tables),
        ("columns", &found.columns, &wanted.columns),
    ] {
        let Some(allowed) = allowed else { continue };
        let refused = refused(used, allowed)?;
        if !refused.is_empty() {
            return Ok(Err(format!(
                "the SQL uses {what} that are not allowed: `{}`",
                refused.join("`, `")
            )));
        }
    }
    Ok(Ok(()))
}

/// The contents of fenced blocks without a language or with `sql`.
fn fenced(text: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut open: Option<(char, usize, bool, Vec<&str>)> = None;
    for line in text.lines() {
        let bare = line.trim_start_matches([' ', '\t']);
        let mark = bare
            .chars()
            .next()
            .filter(|c| matches!(c, '`' | '~'))
            .unwrap_or(' ');
        let length = bare.len() - bare.trim_start_matches(mark).len();
        let is_fence = mark != ' ' && 3 <= length && line.len() - bare.len() <= 3;
        let info = bare.trim_start_matches(mark).trim();
        match open.take() {
            None if is_fence => {
                let is_sql = info.is_empty() || info.eq_ignore_ascii_case("sql");
                open = Some((mark, length, is_sql, Vec::new()));
            }
            None => {}
            Some((fence, least, is_sql, lines))
                if is_fence && info.is_empty() && mark == fence && least <= length =>
            {
                if is_sql {
                    blocks.push(lines.join("\n"));
                }
            }
            Some((fence, least, is_sql, mut lines)) => {
                lines.push(line);
                open = Some((fence, least, is_sql, lines));
            }
        }
    }
    blocks
}

#[cfg(test)]
mod tests {
    use super::fenced;
    use crate::evals::grade::Mark;
    use crate::evals::graders::tests::hold;
    use serde_json::json;

    #[test]
    fn sql_is_told_from_text() {
        hold(vec![
            ("is-sql", json!(null), json!("SELECT a FROM t"), Mark::Pass),
            ("is-sql", json!(null), json!("SELECT a FROM"), Mark::Fail),
            ("is-sql", json!(null), json!("hello world"), Mark::Fail),
            ("is-sql", json!(null), json!(" "), Mark::Fail),
            ("not-is-sql", json!(null), json!("hello world"), Mark::Pass),
            ("is-sql", json!("MySQL"), json!("SELECT 1"), Mark::Error),
            (
                "is-sql",
                json!({"databaseType": "Nope"}),
                json!("SELECT 1"),
                Mark::Error,
            ),
            (
                "is-sql",
                json!(null),
                json!("SELECT first_name last_name FROM t"),
                Mark::Fail,
            ),
            (
                "is-sql",
                json!(null),
                json!("SELECT * FROM generate_series(1, 2)"),
                Mark::Fail,
            ),
            (
                "is-sql",
                json!({"databaseType": "Postgresql"}),
                json!("SELECT * FROM generate_series(1, 2)"),
                Mark::Pass,
            ),
            (
                "contains-sql",
                json!(null),
                json!("Try\n```sql\nSELECT a FROM t\n```"),
                Mark::Pass,
            ),
            (
                "contains-sql",
                json!(null),
                json!("Try\n```sql\nSELECT a FROM\n```"),
                Mark::Fail,
            ),
            (
                "contains-sql",
                json!(null),
                json!("Try\n```python\nx\n```\nSELECT a"),
                Mark::Fail,
            ),
            ("contains-sql", json!(null), json!("SELECT 1"), Mark::Pass),
            (
                "not-contains-sql",
                json!(null),
                json!("just words"),
                Mark::Pass,
            ),
        ]);
    }

    #[test]
    fn tables_and_columns_may_be_bounded() {
        let tables = json!({"allowedTables": ["(select|update)::null::employees"]});
        let columns = json!({"allowedColumns": ["select::null::name", "select::employees::id"]});
        hold(vec![
            (
                "is-sql",
                tables.clone(),
                json!("SELECT * FROM employees"),
                Mark::Pass,
            ),
            (
                "is-sql",
                tables.clone(),
                json!("SELECT * FROM Employees e JOIN salaries s ON e.id = s.id"),
                Mark::Fail,
            ),
            (
                "is-sql",
                tables.clone(),
                json!("DELETE FROM employees"),
                Mark::Fail,
            ),
            (
                "not-is-sql",
                tables,
                json!("DELETE FROM employees"),
                Mark::Pass,
            ),
            (
                "is-sql",
                columns.clone(),
                json!("SELECT name FROM employees"),
                Mark::Pass,
            ),
            (
                "is-sql",
                columns.clone(),
                json!("SELECT e.id FROM employees AS e"),
                Mark::Pass,
            ),
            (
                "is-sql",
                columns.clone(),
                json!("SELECT id FROM employees"),
                Mark::Pass,
            ),
            (
                "is-sql",
                columns.clone(),
                json!("SELECT salary FROM employees"),
                Mark::Fail,
            ),
            (
                "is-sql",
                columns,
                json!("SELECT * FROM employees"),
                Mark::Fail,
            ),
            (
                "is-sql",
                json!({"allowedTables": ["("]}),
                json!("SELECT * FROM t"),
                Mark::Error,
            ),
            (
                "is-sql",
                json!({"allowedTables": "t"}),
                json!("SELECT * FROM t"),
                Mark::Error,
            ),
        ]);
    }

    #[test]
    fn blocks_end_with_their_own_fence() {
        let text = "a\n~~~~ sql\nSELECT 1\n```\n~~~\n~~~~~\n```\nSELECT 2\n```\n```js\nx\n```";
        assert_eq!(fenced(text), ["SELECT 1\n```\n~~~", "SELECT 2"]);
    }
}
