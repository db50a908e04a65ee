//! Which tables and columns a statement uses, in the words of promptfoo's lists: `select::null::employees`.

use crate::evals::graders::CannotJudge;
use crate::evals::script::{self, Purpose, ScriptArguments};
use crate::evals::suite::Script;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// What a text uses.
#[derive(Debug, Default)]
pub(super) struct Authorities {
    /// `VERB::DATABASE::TABLE`, `null` for what is not said.
    pub(super) tables: Vec<String>,
    /// `VERB::TABLE::COLUMN`, `null` for what is not said, `(.*)` for all.
    pub(super) columns: Vec<String>,
}

/// What is noted while a statement is read; aliases are known only at its end.
#[derive(Debug, Default)]
pub(super) struct Notes {
    tables: Vec<(&'static str, Option<String>, String)>,
    columns: Vec<(&'static str, Option<String>, String)>,
    aliases: BTreeMap<String, String>,
}

impl Notes {
    /// Notes a table `[database.]table`.
    pub(super) fn table(&mut self, verb: &'static str, name: &[String]) {
        if let Some((table, database)) = name.split_last() {
            self.tables
                .push((verb, database.last().cloned(), table.clone()));
        }
    }

    /// Notes what a table is called in the statement.
    pub(super) fn alias(&mut self, alias: &str, name: &[String]) {
        if let Some(table) = name.last() {
            self.aliases
                .insert(alias.to_ascii_lowercase(), table.clone());
        }
    }

    /// Notes a column `[table.]column`.
    pub(super) fn column(&mut self, verb: &'static str, name: &[String]) {
        if let Some((column, table)) = name.split_last() {
            self.columns
                .push((verb, table.last().cloned(), column.clone()));
        }
    }

    /// Returns what was noted, each once, with aliases resolved.
    pub(super) fn finish(self) -> Authorities {
        let mut found = Authorities::default();
        let said = |name: Option<String>| name.unwrap_or_else(|| "null".to_owned());
        for (verb, database, table) in self.tables {
            push_once(
                &mut found.tables,
                format!("{verb}::{}::{table}", said(database)),
            );
        }
        for (verb, table, column) in self.columns {
            let table = table.map(|table| {
                let real = self.aliases.get(&table.to_ascii_lowercase());
                real.cloned().unwrap_or(table)
            });
            push_once(
                &mut found.columns,
                format!("{verb}::{}::{column}", said(table)),
            );
        }
        found
    }
}

fn push_once(list: &mut Vec<String>, item: String) {
    if !list.contains(&item) {
        list.push(item);
    }
}

/// Adds, for each column of a table, the same column without its table.
pub(super) fn with_unqualified(mut allowed: Vec<String>) -> Vec<String> {
    let bare: Vec<String> = allowed
        .iter()
        .filter_map(|item| {
            let mut parts = item.split("::");
            let (verb, table, column) = (parts.next()?, parts.next()?, parts.next()?);
            (table != "null" && parts.next().is_none()).then(|| format!("{verb}::null::{column}"))
        })
        .collect();
    allowed.extend(bare);
    allowed
}

/// Returns what no pattern of `allowed` covers; patterns are JavaScript's, whole, whatever the case.
pub(super) fn refused(used: &[String], allowed: &[String]) -> Result<Vec<String>, CannotJudge> {
    if used.is_empty() {
        return Ok(Vec::new());
    }
    let script = Script {
        code: "output.filter((used) => !context.some((allowed) => new RegExp(`^${allowed}$`, 'i').test(used)))".to_owned(),
        function: None,
        file: None,
    };
    let arguments = ScriptArguments {
        purpose: Purpose::Transform,
        input: &json!(used),
        context: &json!(allowed),
    };
    let wrong =
        |words: String| CannotJudge::because(format!("the lists of what is allowed: {words}"));
    match script::run(&script, &arguments) {
        Ok(Value::Array(items)) => Ok(items
            .iter()
            .filter_map(|item| Some(item.as_str()?.to_owned()))
            .collect()),
        Ok(other) => Err(wrong(other.to_string())),
        Err(error) => Err(wrong(error.to_string())),
    }
}
