//! Files of queries and of labels, as people have them: JSONL, CSV, and TREC's qrels.

use super::error::CompareError;
use super::subject::{Query, Relevant, Target};
use crate::embeddings::item::Span;
use serde::Deserialize;
use serde_json::Value;
use std::collections::{HashMap, HashSet};

/// How lines are written, for those who wrote them otherwise.
const QUERY: &str = r#"write `{"id": "q1", "text": "how do I pay", "relevant": ["docs/pay"]}`"#;
const RELEVANT: &str = r#"write `["docs/pay"]`, `{"docs/pay": 2}`, or `[{"source": "pay.md", "start": 0, "end": 120}]`"#;
const TABLE: &str =
    "the first line names the columns: `id,text,relevant`; names in `relevant` are divided by `;`";
const LABEL: &str =
    r#"write `{"query": "q1", "item": "docs/a", "grade": 1}`, or TREC's `q1 0 docs/a 1`"#;
const ONE_ID: &str = "give each query an id of its own, or none: then it is called by its line";
const GRADE: &str = "a grade is a number from 0 on; 0 is not relevant";

/// Reads queries: JSON lines `{"id", "text", "relevant"}`, or CSV with these columns.
///
/// `relevant` is a list of items' names, an object of names and grades, or a list of places `{"source",
/// "start", "end", "grade"}`; in CSV names divided by `;`, each with `:grade` where it is not 1. A query
/// without an id is called by its line.
///
/// # Errors
///
/// [`CompareError::InvalidLine`] with the line and what is wrong there; two queries of one id; no query.
pub fn read_queries(text: &str, is_csv: bool) -> Result<Vec<Query>, CompareError> {
    let queries = if is_csv {
        queries_of_csv(text)?
    } else {
        queries_of_json(text)?
    };
    let mut seen = HashSet::new();
    for (line, query) in &queries {
        if !seen.insert(query.id.as_str()) {
            return Err(invalid(
                "queries",
                *line,
                format!("a second query `{}`", query.id),
                ONE_ID,
            ));
        }
    }
    if queries.is_empty() {
        let cure = if is_csv { TABLE } else { QUERY };
        return Err(invalid("queries", 1, "there is no query".to_owned(), cure));
    }
    Ok(queries.into_iter().map(|(_, query)| query).collect())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct QueryLine {
    #[serde(default)]
    id: Option<String>,
    #[serde(alias = "query")]
    text: String,
    #[serde(default)]
    relevant: Value,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Place {
    source: String,
    start: u64,
    end: u64,
    #[serde(default = "one")]
    grade: f64,
}

const fn one() -> f64 {
    1.0
}

fn queries_of_json(text: &str) -> Result<Vec<(usize, Query)>, CompareError> {
    let mut queries = Vec::new();
    for (line, text) in lines(text) {
        let read: QueryLine = serde_json::from_str(text)
            .map_err(|error| invalid("queries", line, error.to_string(), QUERY))?;
        let relevant = labels_of(read.relevant).map_err(|problem| {
            invalid("queries", line, format!("`relevant` {problem}"), RELEVANT)
        })?;
        check_grades(&relevant, line)?;
        queries.push((line, query(read.id, read.text, relevant, line)?));
    }
    Ok(queries)
}

/// Reads names, names with grades, or places. An error continues "`relevant`".
fn labels_of(value: Value) -> Result<Vec<Relevant>, String> {
    let item = |name, grade| Relevant {
        target: Target::Item(name),
        grade,
    };
    match value {
        Value::Null => Ok(Vec::new()),
        Value::Array(entries) => {
            let entries = entries.into_iter().map(|entry| match entry {
                Value::String(name) => Ok(item(name, 1.0)),
                Value::Object(_) => serde_json::from_value::<Place>(entry)
                    .map(Place::into_label)
                    .map_err(|error| format!("has a place that cannot be read: {error}")),
                other => Err(format!(
                    "has `{other}`, which is neither a name nor a place"
                )),
            });
            entries.collect()
        }
        Value::Object(grades) => {
            let grades = grades
                .into_iter()
                .map(|(name, grade)| match grade.as_f64() {
                    Some(grade) => Ok(item(name, grade)),
                    None => Err(format!(
                        "gives `{name}` the grade `{grade}`, which is no number"
                    )),
                });
            grades.collect()
        }
        other => Err(format!("is `{other}`, which is no list")),
    }
}

impl Place {
    fn into_label(self) -> Relevant {
        Relevant {
            target: Target::Span(Span {
                source: self.source,
                start: self.start,
                end: self.end,
            }),
            grade: self.grade,
        }
    }
}

fn query(
    id: Option<String>,
    text: String,
    relevant: Vec<Relevant>,
    line: usize,
) -> Result<Query, CompareError> {
    if text.trim().is_empty() {
        let reason = "the text is empty".to_owned();
        return Err(invalid("queries", line, reason, QUERY));
    }
    Ok(Query {
        id: id
            .filter(|id| !id.is_empty())
            .unwrap_or_else(|| format!("line-{line}")),
        text: Some(text),
        relevant,
        item: None,
    })
}

fn queries_of_csv(text: &str) -> Result<Vec<(usize, Query)>, CompareError> {
    let mut reader = csv::ReaderBuilder::new()
        .flexible(true)
        .from_reader(text.as_bytes());
    let header = reader
        .headers()
        .map_err(|error| invalid("queries", 1, error.to_string(), TABLE))?;
    let column = |name: &str| header.iter().position(|column| column.trim() == name);
    let (id, relevant) = (column("id"), column("relevant"));
    let Some(text) = column("text").or_else(|| column("query")) else {
        return Err(invalid(
            "queries",
            1,
            "there is no column `text`".to_owned(),
            TABLE,
        ));
    };
    let mut queries = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|error| {
            let line = error.position().map_or(1, csv::Position::line);
            invalid(
                "queries",
                usize::try_from(line).unwrap_or(1),
                error.to_string(),
                TABLE,
            )
        })?;
        let line = record.position().map_or(1, csv::Position::line);
        let line = usize::try_from(line).unwrap_or(1);
        let cell = |column: Option<usize>| column.and_then(|column| record.get(column));
        let labels = cell(relevant).unwrap_or_default().split(';').map(str::trim);
        let labels = labels.filter(|label| !label.is_empty()).map(graded_name);
        let labels: Vec<Relevant> = labels.collect();
        check_grades(&labels, line)?;
        let text = cell(Some(text)).unwrap_or_default().to_owned();
        queries.push((
            line,
            query(cell(id).map(str::to_owned), text, labels, line)?,
        ));
    }
    Ok(queries)
}

/// `docs/a`, `docs/a:2`.
fn graded_name(text: &str) -> Relevant {
    let parts = text.rsplit_once(':');
    let graded = parts.and_then(|(name, grade)| Some((name, grade.parse().ok()?)));
    let (name, grade) = graded.unwrap_or((text, 1.0));
    Relevant {
        target: Target::Item(name.to_owned()),
        grade,
    }
}

fn check_grades(labels: &[Relevant], line: usize) -> Result<(), CompareError> {
    let wrong = labels
        .iter()
        .find(|label| !label.grade.is_finite() || label.grade < 0.0);
    wrong.map_or(Ok(()), |label| {
        Err(invalid(
            "queries",
            line,
            format!("{} is no grade", label.grade),
            GRADE,
        ))
    })
}

/// A label: which item answers which query, and how well.
#[derive(Debug, Clone, PartialEq)]
pub struct Label {
    /// The query's id.
    pub query: String,
    /// The item's id.
    pub item: String,
    /// How well it answers; 0 for not at all.
    pub grade: f64,
}

#[derive(Deserialize)]
struct LabelLine {
    #[serde(alias = "query_id", alias = "query-id")]
    query: String,
    #[serde(alias = "item_id", alias = "corpus-id", alias = "doc_id")]
    item: String,
    #[serde(alias = "score", alias = "relevance")]
    grade: Option<f64>,
}

/// Reads labels: JSON lines `{"query", "item", "grade"}`, or TREC's `query 0 item grade`.
///
/// [`judge_set`](super::judge_set()) writes such lines. Those whose grade is `null` were not judged, and are
/// passed over.
///
/// # Errors
///
/// [`CompareError::InvalidLine`].
pub fn read_labels(text: &str) -> Result<Vec<Label>, CompareError> {
    let mut labels = Vec::new();
    for (number, line) in lines(text) {
        let label = if line.starts_with('{') {
            let read: LabelLine = serde_json::from_str(line)
                .map_err(|error| invalid("labels", number, error.to_string(), LABEL))?;
            read.grade.map(|grade| Label {
                query: read.query,
                item: read.item,
                grade,
            })
        } else {
            let parts: Vec<&str> = line.split_whitespace().collect();
            let [query, _, item, grade] = parts.as_slice() else {
                let reason = format!("{} words where `query 0 item grade` are four", parts.len());
                return Err(invalid("labels", number, reason, LABEL));
            };
            let grade: f64 = grade
                .parse()
                .map_err(|_| invalid("labels", number, format!("`{grade}` is no grade"), GRADE))?;
            Some(Label {
                query: (*query).to_owned(),
                item: (*item).to_owned(),
                // TREC knows grades below 0 for spam: not relevant.
                grade: grade.max(0.0),
            })
        };
        if label
            .as_ref()
            .is_some_and(|label| !label.grade.is_finite() || label.grade < 0.0)
        {
            return Err(invalid(
                "labels",
                number,
                "a grade is a number from 0 on".to_owned(),
                LABEL,
            ));
        }
        labels.extend(label);
    }
    Ok(labels)
}

/// Adds labels to their queries; of two for one item the later counts. Returns how many belong to no query.
pub fn add_labels(queries: &mut [Query], labels: &[Label]) -> usize {
    let place: HashMap<String, usize> = queries
        .iter()
        .map(|query| query.id.clone())
        .zip(0..)
        .collect();
    let mut unknown = 0;
    for label in labels {
        let query = place
            .get(&label.query)
            .and_then(|place| queries.get_mut(*place));
        let Some(query) = query else {
            unknown += 1;
            continue;
        };
        let target = Target::Item(label.item.clone());
        query.relevant.retain(|known| known.target != target);
        query.relevant.push(Relevant {
            target,
            grade: label.grade,
        });
    }
    unknown
}

fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let numbered = text
        .lines()
        .enumerate()
        .map(|(line, text)| (line + 1, text.trim()));
    numbered.filter(|(_, text)| !text.is_empty())
}

const fn invalid(
    file: &'static str,
    line: usize,
    reason: String,
    cure: &'static str,
) -> CompareError {
    CompareError::InvalidLine {
        file,
        line,
        reason,
        cure,
    }
}

#[cfg(test)]
mod tests {
    use super::{Label, add_labels, read_labels, read_queries};
    use crate::embeddings::Span;
    use crate::embeddings::compare::subject::{Relevant, Target};

    fn item(name: &str, grade: f64) -> Relevant {
        Relevant {
            target: Target::Item(name.to_owned()),
            grade,
        }
    }

    #[test]
    fn queries_are_read_in_every_form() {
        let text = r#"
{"id": "q1", "text": "how do I pay", "relevant": ["docs/pay", "docs/card"]}
{"id": "q2", "query": "refund", "relevant": {"docs/refund": 2}}

{"text": "hours", "relevant": [{"source": "faq", "start": 3, "end": 9}]}
"#;
        let queries = read_queries(text, false).unwrap();
        assert_eq!(
            queries[0].relevant,
            [item("docs/pay", 1.0), item("docs/card", 1.0)]
        );
        assert_eq!(queries[1].relevant, [item("docs/refund", 2.0)]);
        assert_eq!(queries[2].id, "line-5");
        let span = Span {
            source: "faq".to_owned(),
            start: 3,
            end: 9,
        };
        assert_eq!(queries[2].relevant[0].target, Target::Span(span));

        let csv = "id,text,relevant\nq1,\"how, then\",docs/pay;docs/card:2\n,hours,\n";
        let queries = read_queries(csv, true).unwrap();
        assert_eq!(queries[0].text.as_deref(), Some("how, then"));
        assert_eq!(
            queries[0].relevant,
            [item("docs/pay", 1.0), item("docs/card", 2.0)]
        );
        assert_eq!(
            (queries[1].id.as_str(), queries[1].relevant.len()),
            ("line-3", 0)
        );
    }

    #[test]
    fn wrong_lines_are_named() {
        for (text, is_csv, expected) in [
            (
                "{\"text\": \"a\"}\n{\"text\": 1}",
                false,
                "line 2 of the queries: ",
            ),
            ("{\"text\": \" \"}", false, "the text is empty"),
            (
                "{\"id\":\"a\",\"text\":\"x\"}\n{\"id\":\"a\",\"text\":\"y\"}",
                false,
                "a second query `a`",
            ),
            (
                "{\"text\": \"a\", \"relevant\": {\"b\": -1}}",
                false,
                "-1 is no grade",
            ),
            ("", false, "there is no query"),
            ("id,words\n1,2\n", true, "there is no column `text`"),
        ] {
            let error = read_queries(text, is_csv).unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
        }
        for (text, expected) in [
            ("q1 0 d1", "3 words"),
            ("q1 0 d1 x", "`x` is no grade"),
            ("{\"query\": \"q1\"}", "missing field `item`"),
            (
                "{\"query\": \"q1\", \"item\": \"d\", \"grade\": -1}",
                "a number from 0 on",
            ),
        ] {
            let error = read_labels(text).unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
        }
    }

    #[test]
    fn errors_speak_of_the_file_and_their_cures_fit() {
        for (text, is_csv, reason, cure) in [
            (
                "{\"text\": \"a\", \"relevant\": \"c1 c2\"}",
                false,
                "`relevant` is `\"c1 c2\"`, which is no list",
                "`{\"docs/pay\": 2}`",
            ),
            (
                "{\"text\": \"a\", \"relevant\": [\"c1\", 2]}",
                false,
                "has `2`, which is neither a name nor a place",
                "`[\"docs/pay\"]`",
            ),
            (
                "{\"text\": \"a\", \"relevant\": {\"c1\": \"high\"}}",
                false,
                "gives `c1` the grade `\"high\"`, which is no number",
                "`{\"docs/pay\": 2}`",
            ),
            (
                "{\"text\": \"a\", \"relevant\": [{\"source\": \"x\", \"start\": 1}]}",
                false,
                "missing field `end`",
                "\"source\"",
            ),
            (
                "{\"id\":\"a\",\"text\":\"x\"}\n{\"id\":\"a\",\"text\":\"y\"}",
                false,
                "line 2 of the queries: a second query `a`",
                "an id of its own",
            ),
            (
                "id,words\n1,2\n",
                true,
                "no column `text`",
                "divided by `;`",
            ),
        ] {
            let error = read_queries(text, is_csv).unwrap_err();
            assert!(error.to_string().contains(reason), "{error}");
            let hint = error.hint().unwrap();
            assert!(hint.contains(cure), "{error}: {hint}");
        }
    }

    #[test]
    fn labels_find_their_queries() {
        let text = "q1 0 d1 2\n{\"query\": \"q1\", \"item\": \"d2\", \"grade\": 0}\n{\"query_id\": \"q9\", \"item\": \
                    \"d\", \"grade\": 1}\n{\"query\": \"q1\", \"item\": \"d3\", \"grade\": null}\nq1 0 d4 -2\n";
        let labels = read_labels(text).unwrap();
        assert_eq!(labels.len(), 4);
        let first = Label {
            query: "q1".to_owned(),
            item: "d1".to_owned(),
            grade: 2.0,
        };
        assert_eq!(labels[0], first);
        let mut queries = read_queries(
            "{\"id\": \"q1\", \"text\": \"x\", \"relevant\": [\"d1\"]}",
            false,
        )
        .unwrap();
        assert_eq!(add_labels(&mut queries, &labels), 1);
        let expected = [item("d1", 2.0), item("d2", 0.0), item("d4", 0.0)];
        assert_eq!(queries[0].relevant, expected);
    }
}
