//! Rows of tables and lines of JSON as cases.

use crate::evals::dataset::cells;
use crate::evals::dataset::tables::{Record, table};
use crate::evals::suite::load::{Content, Field, Node};
use crate::evals::suite::{Place, Problem};
use serde_json::{Value, json};
use std::sync::Arc;

/// Lines of a file.
const MAX_LINES: usize = 200_000;
/// Columns that say something about the case itself.
const COLUMNS: [&str; 9] = [
    "expected",
    "prefix",
    "suffix",
    "description",
    "providerOutput",
    "metric",
    "threshold",
    "metadata",
    "config",
];

/// Reads each line of JSON as a case.
pub(in crate::evals) fn json_lines(text: &str, file: &str) -> Result<Vec<Node>, Vec<Problem>> {
    let (mut nodes, mut problems) = (Vec::new(), Vec::new());
    for (index, line) in text.lines().enumerate() {
        if line.trim().is_empty() {
            continue;
        }
        let number = u32::try_from(index + 1).unwrap_or(u32::MAX);
        match Node::json_at(line, file, Some(number)) {
            Ok(node) => nodes.push(node),
            Err(problem) => problems.push(problem),
        }
        if MAX_LINES < nodes.len() {
            let place = Place {
                file: file.to_owned(),
                ..Place::default()
            };
            problems.push(Problem::new(
                place,
                format!("there are more than {MAX_LINES} lines"),
            ));
            break;
        }
    }
    if problems.is_empty() {
        Ok(nodes)
    } else {
        Err(problems)
    }
}

/// Reads each row of a table as a case.
pub(in crate::evals) fn table_rows(
    text: &str,
    file: &str,
    delimiter: char,
) -> Result<Vec<Node>, Vec<Problem>> {
    let records = table(text, file, delimiter)?;
    let file: Arc<str> = Arc::from(file);
    let (mut nodes, mut problems) = (Vec::new(), Vec::new());
    for (index, record) in records.iter().enumerate() {
        let mut row = Row::new(record, &file);
        for (column, cell) in &record.cells {
            row.take(column.trim(), cell);
        }
        problems.append(&mut row.problems);
        nodes.push(row.case(index));
    }
    if problems.is_empty() {
        Ok(nodes)
    } else {
        Err(problems)
    }
}

/// A row that becomes a case.
struct Row<'a> {
    record: &'a Record,
    file: &'a Arc<str>,
    vars: Vec<Field>,
    asserts: Vec<cells::Cell>,
    options: Vec<Field>,
    metadata: Vec<Field>,
    top: Vec<Field>,
    metric: Option<String>,
    /// Thresholds from `__config:__expectedN:threshold`, by place.
    thresholds: Vec<(usize, f64)>,
    problems: Vec<Problem>,
}

impl<'a> Row<'a> {
    const fn new(record: &'a Record, file: &'a Arc<str>) -> Self {
        Self {
            record,
            file,
            vars: Vec::new(),
            asserts: Vec::new(),
            options: Vec::new(),
            metadata: Vec::new(),
            top: Vec::new(),
            metric: None,
            thresholds: Vec::new(),
            problems: Vec::new(),
        }
    }

    fn node(&self, content: Content) -> Node {
        Node {
            file: Arc::clone(self.file),
            line: self.record.line,
            column: 0,
            content,
        }
    }

    fn field(&self, name: &str, content: Content) -> Field {
        let value = self.node(content);
        Field {
            name: name.to_owned(),
            place: value.place(),
            value,
        }
    }

    fn text(&self, name: &str, text: &str) -> Field {
        self.field(name, Content::Scalar(Value::String(text.to_owned())))
    }

    fn wrong(&mut self, message: String, hint: &str) {
        let place = self.node(Content::Scalar(Value::Null)).place();
        self.problems.push(Problem::new(place, message).hint(hint));
    }

    /// Takes a cell in.
    fn take(&mut self, column: &str, cell: &str) {
        let is_empty = cell.trim().is_empty();
        let Some(name) = column.strip_prefix("__") else {
            self.check_underscore(column);
            let field = self.text(column, cell);
            self.vars.push(field);
            return;
        };
        match name {
            _ if name.starts_with("config:") => self.config(name, cell),
            _ if is_empty => {}
            "prefix" | "suffix" => {
                let field = self.text(name, cell);
                self.options.push(field);
            }
            "description" | "providerOutput" => {
                let field = self.text(name, cell);
                self.top.push(field);
            }
            "metric" => self.metric = Some(cell.to_owned()),
            "threshold" => match cell.trim().parse::<f64>().ok().filter(|n| n.is_finite()) {
                Some(number) => {
                    let field = self.field("threshold", Content::Scalar(json!(number)));
                    self.top.push(field);
                }
                None => self.wrong(
                    format!("`{cell}` in `__threshold` is no number"),
                    "write `0.8`",
                ),
            },
            _ if name.starts_with("metadata:") => self.metadata(name, cell),
            _ if is_expected(name) => match cells::read(cell) {
                Ok(cell) => self.asserts.push(cell),
                Err(reason) => self.wrong(
                    format!("`{cell}` in `{column}`: {reason}"),
                    "write `a,\"b,c\",d`",
                ),
            },
            _ => {
                let known: Vec<String> = COLUMNS.iter().map(|name| format!("__{name}")).collect();
                let known: Vec<&str> = known.iter().map(String::as_str).collect();
                let place = self.node(Content::Scalar(Value::Null)).place();
                let message = format!("`{column}` is no column that is known");
                self.problems
                    .push(Problem::unknown(place, message, column, &known));
            }
        }
    }

    /// One underscore where two are meant would make a variable that nobody uses.
    fn check_underscore(&mut self, column: &str) {
        let Some(name) = column.strip_prefix('_') else {
            return;
        };
        if COLUMNS.iter().any(|known| name.starts_with(known)) {
            let hint = format!("did you mean `__{name}`?");
            self.wrong(format!("the column `{column}` has one underscore"), &hint);
        }
    }

    fn metadata(&mut self, name: &str, cell: &str) {
        let key = name.strip_prefix("metadata:").unwrap_or_default();
        let field = match key.strip_suffix("[]") {
            None => self.text(key, cell),
            Some(key) => {
                let items = split_unescaped(cell);
                let items = items
                    .into_iter()
                    .map(|item| self.node(Content::Scalar(Value::String(item))));
                let items = items.collect();
                self.field(key, Content::List(items))
            }
        };
        if field.name.is_empty() {
            self.wrong(
                format!("`__{name}` names no key"),
                "write `__metadata:language`",
            );
            return;
        }
        self.metadata.push(field);
    }

    /// `__config:__expectedN:threshold`.
    fn config(&mut self, name: &str, cell: &str) {
        let rest = name.strip_prefix("config:").unwrap_or_default();
        let parts = rest.split_once(':');
        let index = parts.and_then(|(target, _)| {
            let number = target.strip_prefix("__expected")?;
            if number.is_empty() {
                return Some(0);
            }
            number.parse::<usize>().ok()?.checked_sub(1)
        });
        let Some(index) = index.filter(|_| parts.is_some_and(|(_, key)| key == "threshold")) else {
            let hint = "write `__config:__expected:threshold` or `__config:__expected2:threshold`";
            self.wrong(format!("`__{name}` is no column that is known"), hint);
            return;
        };
        match cell
            .trim()
            .parse::<f64>()
            .ok()
            .filter(|number| number.is_finite())
        {
            Some(number) => self.thresholds.push((index, number)),
            None => self.wrong(
                format!("`{cell}` in `__{name}` is no number"),
                "write `0.8`",
            ),
        }
    }

    fn case(mut self, index: usize) -> Node {
        if !self.top.iter().any(|field| field.name == "description") {
            let field = self.text("description", &format!("Row #{}", index + 1));
            self.top.push(field);
        }
        for (index, threshold) in std::mem::take(&mut self.thresholds) {
            if let Some(cell) = self.asserts.get_mut(index) {
                cell.threshold = Some(threshold);
                let field = self.field("threshold", Content::Scalar(json!(threshold)));
                self.metadata.push(field);
            }
        }
        // Of two keys for one name the last counts.
        let mut metadata: Vec<Field> = Vec::new();
        for field in std::mem::take(&mut self.metadata) {
            metadata.retain(|other| other.name != field.name);
            metadata.push(field);
        }
        let asserts = self
            .asserts
            .iter()
            .map(|cell| self.assertion(cell))
            .collect();
        let asserts = self.field("assert", Content::List(asserts));
        let vars = std::mem::take(&mut self.vars);
        let vars = self.field("vars", Content::Map(vars));
        let options = std::mem::take(&mut self.options);
        let mut fields = std::mem::take(&mut self.top);
        fields.extend([vars, asserts]);
        if !options.is_empty() {
            fields.push(self.field("options", Content::Map(options)));
        }
        if !metadata.is_empty() {
            fields.push(self.field("metadata", Content::Map(metadata)));
        }
        self.node(Content::Map(fields))
    }

    fn assertion(&self, cell: &cells::Cell) -> Node {
        let mut fields = vec![self.text("type", &cell.kind)];
        if let Some(value) = &cell.value {
            fields.push(self.field("value", self.content(value)));
        }
        if let Some(threshold) = cell.threshold {
            fields.push(self.field("threshold", Content::Scalar(json!(threshold))));
        }
        if let Some(metric) = &self.metric {
            fields.push(self.text("metric", metric));
        }
        self.node(Content::Map(fields))
    }

    fn content(&self, value: &Value) -> Content {
        match value {
            Value::Array(items) => {
                let items = items.iter().map(|item| self.node(self.content(item)));
                Content::List(items.collect())
            }
            other => Content::Scalar(other.clone()),
        }
    }
}

/// `expected` or `expected7`.
fn is_expected(name: &str) -> bool {
    name.strip_prefix("expected")
        .is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_digit()))
}

/// The items between commas, where `\,` is a comma inside one.
fn split_unescaped(text: &str) -> Vec<String> {
    let mut items = vec![String::new()];
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        if c == ',' {
            items.push(String::new());
        } else if let Some(item) = items.last_mut() {
            let is_escape = c == '\\' && rest.next_if_eq(&',').is_some();
            item.push(if is_escape { ',' } else { c });
        }
    }
    items
        .into_iter()
        .map(|item| item.trim().to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{json_lines, table_rows};
    use serde_json::{Value, json};

    fn cases(text: &str) -> Vec<Value> {
        let nodes = table_rows(text, "t.csv", ',').unwrap();
        nodes.iter().map(super::Node::to_value).collect()
    }

    #[test]
    fn columns_become_parts_of_the_case() {
        let text = "q,__expected,__expected2,__prefix,__suffix,__description,__providerOutput,\
            __metric,__threshold,__metadata:lang,__metadata:tags[],__config:__expected2:threshold\n\
            2+2,4,similar: four,Please,Thanks,adds,5,math,0.5,en,\"a, b\\,c\",0.7\n\
            3+3,,contains: 6,,,,,,,,,0.9\n";
        let mut cases = cases(text).into_iter();
        assert_eq!(
            cases.next().unwrap(),
            json!({
                "description": "adds",
                "providerOutput": "5",
                "threshold": 0.5,
                "vars": {"q": "2+2"},
                "assert": [
                    {"type": "equals", "value": "4", "metric": "math"},
                    {"type": "similar", "value": "four", "threshold": 0.7, "metric": "math"},
                ],
                "options": {"prefix": "Please", "suffix": "Thanks"},
                "metadata": {"lang": "en", "tags": ["a", "b,c"], "threshold": 0.7},
            })
        );
        // An empty cell asserts nothing, and the second assertion is then the first.
        assert_eq!(
            cases.next().unwrap(),
            json!({
                "description": "Row #2",
                "vars": {"q": "3+3"},
                "assert": [{"type": "contains", "value": "6"}],
            })
        );
    }

    #[test]
    fn odd_columns_are_problems() {
        for (header, cell, problem) in [
            (
                "_expected",
                "x",
                "t.csv:2: the column `_expected` has one underscore",
            ),
            (
                "__expcted",
                "x",
                "t.csv:2: `__expcted` is no column that is known",
            ),
            (
                "__threshold",
                "x",
                "t.csv:2: `x` in `__threshold` is no number",
            ),
            ("__metadata:", "x", "t.csv:2: `__metadata:` names no key"),
            (
                "__config:__expected:cost",
                "1",
                "t.csv:2: `__config:__expected:cost` is no column that is known",
            ),
            (
                "__config:__expected0:threshold",
                "1",
                "t.csv:2: `__config:__expected0:threshold` is no column that is known",
            ),
            (
                "__config:__expected:threshold",
                "x",
                "t.csv:2: `x` in `__config:__expected:threshold` is no number",
            ),
            (
                "__expected",
                "contains-all: \"a",
                "t.csv:2: `contains-all: \"a` in `__expected`: a value in quotes is not closed",
            ),
        ] {
            let quoted = cell.replace('"', "\"\"");
            let text = format!("q,{header}\n1,\"{quoted}\"\n");
            let problems = table_rows(&text, "t.csv", ',').unwrap_err();
            assert_eq!(problems[0].to_string(), problem);
        }
    }

    #[test]
    fn lines_of_json_keep_their_number() {
        let nodes = json_lines("{\"vars\": {\"a\": 1}}\n\n{\"vars\": {}}\n", "d.jsonl").unwrap();
        assert_eq!(nodes[1].place().to_string(), "d.jsonl:3");
        let problems = json_lines("{}\n{\"a\": }\n[\n", "d.jsonl").unwrap_err();
        let shown: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(
            shown,
            [
                "d.jsonl:2:7: broken JSON: expected value",
                "d.jsonl:3:1: broken JSON: EOF while parsing a list",
            ]
        );
    }
}
