//! What people said of answers: `{output, vars, rubric, label, rater, note}`, one JSON object a line.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Labels that a file may hold.
const MAX_LABELS: usize = 20_000;

/// What one person said of one answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Label {
    /// The answer: text, or JSON.
    pub output: Value,
    /// The variables of the question.
    #[serde(default)]
    pub vars: Map<String, Value>,
    /// What the answer was held against; a template. `None`: the judge's own instructions say it.
    #[serde(default)]
    pub rubric: Option<String>,
    /// Whether the answer is good.
    pub label: bool,
    /// Who said it.
    #[serde(default)]
    pub rater: Option<String>,
    /// Why.
    #[serde(default)]
    pub note: Option<String>,
    /// Its line in the file, from 1.
    #[serde(skip)]
    pub line: u32,
}

/// What is wrong with a file of labels.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct Problem {
    /// The line, from 1.
    pub line: u32,
    /// In words.
    pub message: String,
}

/// Reads a file of labels.
///
/// # Errors
///
/// The first line that is no label, or none at all.
pub fn read_labels(text: &str) -> Result<Vec<Label>, Problem> {
    let mut labels = Vec::new();
    for (index, text) in text.lines().enumerate() {
        let line = u32::try_from(index + 1).unwrap_or(u32::MAX);
        let wrong = |message: String| Problem { line, message };
        if text.trim().is_empty() {
            continue;
        }
        let label: Label = serde_json::from_str(text).map_err(|error| {
            wrong(format!(
                "it is no label (`{{output, label}}`, and `vars`, `rubric`, `rater`, `note`): {error}"
            ))
        })?;
        if MAX_LABELS <= labels.len() {
            return Err(wrong(format!("there are more than {MAX_LABELS} labels")));
        }
        labels.push(Label { line, ..label });
    }
    if labels.is_empty() {
        let message = "there is no label in the file".to_owned();
        return Err(Problem { line: 1, message });
    }
    Ok(labels)
}

/// An answer that was labelled, with all its labels.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Labelled<'a> {
    /// The first of its labels.
    pub(super) first: &'a Label,
    /// All of them.
    pub(super) labels: Vec<&'a Label>,
}

impl Labelled<'_> {
    /// What most people say; `None` when as many say the one as the other.
    pub(super) fn truth(&self) -> Option<bool> {
        let good = self.labels.iter().filter(|label| label.label).count();
        let bad = self.labels.len() - good;
        (good != bad).then_some(bad < good)
    }
}

/// Puts the labels of one answer together, in the order of the file.
pub(super) fn labelled(labels: &[Label]) -> Vec<Labelled<'_>> {
    let mut places = std::collections::HashMap::new();
    let mut all: Vec<Labelled<'_>> = Vec::new();
    for label in labels {
        let key = serde_json::json!([label.output, label.vars, label.rubric]).to_string();
        let place = *places.entry(key).or_insert(all.len());
        match all.get_mut(place) {
            Some(known) => known.labels.push(label),
            None => all.push(Labelled {
                first: label,
                labels: vec![label],
            }),
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::{labelled, read_labels};

    #[test]
    fn labels_are_read_and_put_together_by_answer() {
        let text = concat!(
            r#"{"output": "a", "label": true, "rater": "one"}"#,
            "\n\n",
            r#"{"output": "b", "label": false, "vars": {"x": 1}, "rubric": "kind", "note": "rude"}"#,
            "\n",
            r#"{"output": "a", "label": false, "rater": "two"}"#,
            "\n",
            r#"{"output": "a", "label": false, "rater": "three"}"#,
        );
        let labels = read_labels(text).unwrap();
        assert_eq!((labels.len(), labels[1].line), (4, 3));
        let all = labelled(&labels);
        assert_eq!(all.len(), 2);
        assert_eq!((all[0].labels.len(), all[0].truth()), (3, Some(false)));
        assert_eq!(labelled(&labels[..3])[0].truth(), None);
    }

    #[test]
    fn a_line_that_is_no_label_is_named() {
        for (text, line, expected) in [
            (
                "{\"output\": \"a\", \"label\": true}\n{\"output\": \"a\"}",
                2,
                "missing field `label`",
            ),
            (
                "{\"output\": \"a\", \"label\": \"good\"}",
                1,
                "expected a boolean",
            ),
            (
                "{\"output\": \"a\", \"label\": true, \"labl\": 1}",
                1,
                "unknown field `labl`",
            ),
            ("\n", 1, "there is no label"),
        ] {
            let error = read_labels(text).unwrap_err();
            assert_eq!(error.line, line, "{text}");
            assert!(error.message.contains(expected), "{error}");
        }
    }
}
