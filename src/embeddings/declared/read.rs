//! Reads `embeddings.toml`, once its syntax is known to be right: every table, every key, every name.

use crate::embeddings::declared::{Collection, Declared, Problem, WatchedDocuments, meant};
use crate::embeddings::drift::check_webhook;
use crate::embeddings::name::{Selector, SnapshotName, check_collection};
use crate::embeddings::pipeline::{Chunker, Pipeline, PipelineWish};
use crate::embeddings::space::{SideRule, Space};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// The longest vector that can be declared.
const MAX_DIMENSIONS: u32 = 65_536;
/// The tables of the file.
const TABLES: [&str; 3] = ["spaces", "pipelines", "collections"];

/// Reads a whole file.
///
/// # Errors
///
/// Every problem there is.
pub fn read(file: &Value) -> Result<Declared, Vec<Problem>> {
    let mut reader = Reader::default();
    let mut declared = Declared::default();
    if let Some(file) = reader.table("", file, &TABLES) {
        declared.spaces = reader.named(file, "spaces", Reader::space);
        declared.pipelines = reader.named(file, "pipelines", Reader::pipeline);
        declared.collections = reader.named(file, "collections", Reader::collection);
        reader.check_names(&declared, file);
    }
    if reader.problems.is_empty() {
        Ok(declared)
    } else {
        Err(reader.problems)
    }
}

/// Collects the problems.
#[derive(Debug, Default)]
struct Reader {
    problems: Vec<Problem>,
}

fn below(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        [path, ".", key].concat()
    }
}

impl Reader {
    fn refuse(&mut self, path: String, problem: impl Into<String>, hint: Option<String>) {
        self.problems.push(Problem {
            path,
            problem: problem.into(),
            hint,
        });
    }

    /// Returns a table, after its keys were held against those there are.
    fn table<'a>(
        &mut self,
        path: &str,
        value: &'a Value,
        keys: &[&str],
    ) -> Option<&'a Map<String, Value>> {
        let Some(table) = value.as_object() else {
            self.refuse(path.to_owned(), "must be a table", None);
            return None;
        };
        for key in table.keys().filter(|key| !keys.contains(&key.as_str())) {
            let hint = meant(key, keys.iter().copied());
            self.refuse(below(path, key), "is not known", hint);
        }
        Some(table)
    }

    /// Reads each table of a table of tables; one that is broken is left out.
    fn named<T>(
        &mut self,
        file: &Map<String, Value>,
        key: &str,
        read: fn(&mut Self, &str, &Value) -> Option<T>,
    ) -> BTreeMap<String, T> {
        let mut found = BTreeMap::new();
        let Some(value) = file.get(key) else {
            return found;
        };
        let Some(tables) = value.as_object() else {
            self.refuse(key.to_owned(), "must be a table", None);
            return found;
        };
        for (name, value) in tables {
            let path = below(key, name);
            if let Err(error) = check_collection(name) {
                let hint = error.hint();
                self.refuse(path, "is no name", hint);
                continue;
            }
            if let Some(read) = read(self, &path, value) {
                found.insert(name.clone(), read);
            }
        }
        found
    }

    fn text(&mut self, path: &str, table: &Map<String, Value>, key: &str) -> Option<String> {
        let value = table.get(key)?;
        let text = value.as_str().map(str::to_owned);
        if text.is_none() {
            self.refuse(below(path, key), "must be a text", None);
        }
        text
    }

    fn flag(&mut self, path: &str, table: &Map<String, Value>, key: &str) -> Option<bool> {
        let value = table.get(key)?;
        let flag = value.as_bool();
        if flag.is_none() {
            self.refuse(below(path, key), "must be `true` or `false`", None);
        }
        flag
    }

    fn number(&mut self, path: &str, table: &Map<String, Value>, key: &str) -> Option<u32> {
        let value = table.get(key)?;
        let number = value.as_u64().and_then(|number| u32::try_from(number).ok());
        if number.is_none() {
            self.refuse(below(path, key), "must be a whole number", None);
        }
        number
    }

    fn dimensions(&mut self, path: &str, table: &Map<String, Value>, key: &str) -> Option<u32> {
        let number = self.number(path, table, key)?;
        if (1..=MAX_DIMENSIONS).contains(&number) {
            return Some(number);
        }
        let problem = format!("is {number}, not from 1 to {MAX_DIMENSIONS}");
        self.refuse(below(path, key), problem, None);
        None
    }

    fn side(&mut self, path: &str, table: &Map<String, Value>, key: &str) -> SideRule {
        let path = below(path, key);
        let side = table
            .get(key)
            .and_then(|side| self.table(&path, side, &["prefix", "task"]));
        side.map_or_else(SideRule::default, |side| SideRule {
            prefix: self.text(&path, side, "prefix").unwrap_or_default(),
            task: self.text(&path, side, "task"),
        })
    }

    fn space(&mut self, path: &str, value: &Value) -> Option<Space> {
        let keys = [
            "model",
            "revision",
            "dimensions",
            "truncate",
            "normalise",
            "query",
            "document",
            "max_tokens",
        ];
        let table = self.table(path, value, &keys)?;
        let model = self.text(path, table, "model");
        if !table.contains_key("model") {
            let hint = "write `model = \"openai/text-embedding-3-small\"`".to_owned();
            self.refuse(below(path, "model"), "is missing", Some(hint));
        }
        let space = Space {
            model: model.unwrap_or_default(),
            revision: self.text(path, table, "revision"),
            dimensions: self.dimensions(path, table, "dimensions"),
            truncated_to: self.dimensions(path, table, "truncate"),
            normalised: self.flag(path, table, "normalise").unwrap_or(false),
            query: self.side(path, table, "query"),
            document: self.side(path, table, "document"),
            max_tokens: self.number(path, table, "max_tokens"),
            adapter: None,
        };
        if let Some(problem) = too_short(&space) {
            self.refuse(below(path, "truncate"), problem, None);
        }
        Some(space)
    }

    fn pipeline(&mut self, path: &str, value: &Value) -> Option<Pipeline> {
        let keys = ["chunker", "size", "overlap", "tokenizer", "trim"];
        let table = self.table(path, value, &keys)?;
        let name = self.text(path, table, "chunker");
        let named = name.as_deref().map(Chunker::named);
        if let (Some(name), Some(None)) = (&name, named) {
            let hint = meant(name, Chunker::ALL.iter().map(|known| known.as_str()));
            let problem = format!("is `{name}`, which is no chunker");
            self.refuse(below(path, "chunker"), problem, hint);
            return None;
        }
        let wish = PipelineWish {
            chunker: named.flatten().unwrap_or_default(),
            size: self.number(path, table, "size"),
            overlap: self.number(path, table, "overlap"),
            tokenizer: self.text(path, table, "tokenizer"),
            trim: self.flag(path, table, "trim"),
        };
        match wish.pipeline() {
            Ok(pipeline) => Some(pipeline),
            Err((setting, problem)) => {
                self.refuse(below(path, setting), problem, None);
                None
            }
        }
    }

    fn collection(&mut self, path: &str, value: &Value) -> Option<Collection> {
        let keys = ["space", "pipeline", "labels", "drift"];
        let table = self.table(path, value, &keys)?;
        let mut labels = BTreeMap::new();
        let own = below(path, "labels");
        if let Some(value) = table.get("labels") {
            let found = value.as_object();
            if found.is_none() {
                self.refuse(own.clone(), "must be a table", None);
            }
            for (label, target) in found.into_iter().flatten() {
                if let Some(target) = self.label(&below(&own, label), label, target) {
                    labels.insert(label.clone(), target);
                }
            }
        }
        Some(Collection {
            space: self.text(path, table, "space"),
            pipeline: self.text(path, table, "pipeline"),
            labels,
            drift: self.drift(path, table),
        })
    }

    /// `[collections.docs.drift]`, which may be empty: then everything is as usual.
    fn drift(&mut self, path: &str, table: &Map<String, Value>) -> Option<WatchedDocuments> {
        let path = below(path, "drift");
        let keys = ["alarms_per_month", "webhook"];
        let table = self.table(&path, table.get("drift")?, &keys)?;
        let alarms = self.number(&path, table, "alarms_per_month").unwrap_or(1);
        if !(1..=100).contains(&alarms) {
            let problem = format!("is {alarms}, not from 1 to 100");
            self.refuse(below(&path, "alarms_per_month"), problem, None);
        }
        let webhook = self.text(&path, table, "webhook");
        if let Some(reference) = &webhook
            && let Err(error) = check_webhook(reference)
        {
            let problem = "is no reference to a URL";
            self.refuse(below(&path, "webhook"), problem, error.hint());
        }
        Some(WatchedDocuments {
            alarms_per_month: alarms,
            webhook,
        })
    }

    /// A label is called as a selector can name it, and points at a snapshot, not at another label.
    fn label(&mut self, path: &str, label: &str, target: &Value) -> Option<Selector> {
        let selector = |text: &str| {
            let name: Option<SnapshotName> = ["x@", text].concat().parse().ok();
            name.and_then(|name| name.selector)
        };
        if !matches!(selector(label), Some(Selector::Label(_))) {
            let hint = "a label begins with a letter and is no number, `latest` or `snap-…`";
            self.refuse(path.to_owned(), "is no label", Some(hint.to_owned()));
            return None;
        }
        let text = target
            .as_str()
            .map(str::to_owned)
            .or_else(|| target.as_u64().map(|number| number.to_string()));
        match text.as_deref().and_then(selector) {
            Some(found @ (Selector::Number(_) | Selector::Latest | Selector::Hash(_))) => {
                Some(found)
            }
            _ => {
                let hint = "write a number (`2`), `\"latest\"` or `\"snap-4f2a91…\"`".to_owned();
                self.refuse(path.to_owned(), "points at no snapshot", Some(hint));
                None
            }
        }
    }

    /// Holds the names that collections use against those that are declared; of a space that is broken
    /// its own problem is told already.
    fn check_names(&mut self, declared: &Declared, file: &Map<String, Value>) {
        for (name, collection) in &declared.collections {
            let used = [
                ("space", "spaces", &collection.space),
                ("pipeline", "pipelines", &collection.pipeline),
            ];
            for (key, tables, wanted) in used {
                let Some(wanted) = wanted else { continue };
                let table = file.get(tables).and_then(Value::as_object);
                if table.is_some_and(|table| table.contains_key(wanted)) {
                    continue;
                }
                let names = table.into_iter().flat_map(Map::keys).map(String::as_str);
                let hint = meant(wanted, names)
                    .or_else(|| Some(format!("declare it: `[{tables}.{wanted}]`")));
                let path = format!("collections.{name}.{key}");
                self.refuse(
                    path,
                    format!("names `{wanted}`, which is not declared"),
                    hint,
                );
            }
        }
    }
}

/// Why a space cannot cut its vectors so.
pub(crate) fn too_short(space: &Space) -> Option<String> {
    let (whole, cut) = (space.dimensions?, space.truncated_to?);
    (whole < cut).then(|| format!("is {cut}, more than the {whole} dimensions that come"))
}

#[cfg(test)]
mod tests {
    use super::read;
    use crate::embeddings::name::Selector;
    use serde_json::json;

    #[test]
    fn a_whole_file_is_read() {
        let file = json!({
            "spaces": {"small": {
                "model": "openai/text-embedding-3-small", "dimensions": 512, "normalise": true,
                "query": {"prefix": "query: "},
            }},
            "pipelines": {"paragraphs": {"chunker": "words", "size": 100, "overlap": 20}},
            "collections": {"docs": {
                "space": "small", "pipeline": "paragraphs",
                "labels": {"production": "2", "staging": "latest", "old": "snap-4f2a91", "one": 1},
            }},
        });
        let declared = read(&file).unwrap();
        let small = &declared.spaces["small"];
        assert_eq!(
            (small.dimensions, small.query.prefix.as_str()),
            (Some(512), "query: ")
        );
        assert_eq!(declared.pipelines["paragraphs"].overlap, 20);
        assert_eq!(
            declared.label("docs", "production"),
            Some(&Selector::Number(2))
        );
        assert_eq!(declared.label("docs", "one"), Some(&Selector::Number(1)));
        assert_eq!(declared.labels_of("docs").len(), 4);
        assert_eq!(read(&json!({})).unwrap(), super::Declared::default());
    }

    #[test]
    fn every_problem_is_named_with_its_place() {
        let file = json!({
            "space": {},
            "spaces": {
                "small": {"modell": "m", "dimensions": 0, "truncate": "x", "query": {"prefixes": ""}},
                "cut": {"model": "m", "dimensions": 256, "truncate": 512},
                "a b": {"model": "m"},
            },
            "pipelines": {
                "p": {"chunker": "word"},
                "q": {"chunker": "words", "size": 10, "overlap": 10},
            },
            "collections": {"docs": {
                "space": "smal", "pipeline": "p",
                "labels": {"production": "staging", "2": "1", "latest": "1"},
            }},
        });
        let problems = read(&file).unwrap_err();
        let told: Vec<String> = problems
            .iter()
            .map(|problem| match &problem.hint {
                Some(hint) => format!("{problem}\n  hint: {hint}"),
                None => problem.to_string(),
            })
            .collect();
        insta::assert_snapshot!(told.join("\n"));
    }
}
