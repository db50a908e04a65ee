//! `tests`, `scenarios` and `defaultTest`: cases as they are written, before anything is merged.

use crate::evals::dataset;
use crate::evals::suite::load::assertions::ANY;
use crate::evals::suite::load::files::extension;
use crate::evals::suite::load::models::{NamedModel, is_data};
use crate::evals::suite::load::node::{Content, Field, Node, to_map};
use crate::evals::suite::load::reading::{FILE, Loader, is_foreign_code, is_javascript};
use crate::evals::suite::load::references::overlay;
use crate::evals::suite::{AssertNode, Script};
use serde_json::{Map, Value};

/// Keys of a case.
const KEYS: [&str; 11] = [
    "description",
    "vars",
    "provider",
    "providers",
    "prompts",
    "providerOutput",
    "assert",
    "assertScoringFunction",
    "options",
    "threshold",
    "metadata",
];
/// Keys of a scenario.
const SCENARIO_KEYS: [&str; 3] = ["description", "config", "tests"];
/// Cases before anything is expanded.
const MAX_DRAFTS: usize = 200_000;

/// A case as it is written.
#[derive(Debug, Clone)]
pub(super) struct Draft {
    /// The case itself, for its place.
    pub(super) node: Node,
    pub(super) description: Option<String>,
    pub(super) vars: Vec<Field>,
    pub(super) asserts: Vec<AssertNode>,
    pub(super) threshold: Option<f64>,
    pub(super) scoring: Option<Script>,
    pub(super) options: Vec<Field>,
    pub(super) metadata: Map<String, Value>,
    pub(super) prompts: Option<Vec<String>>,
    pub(super) providers: Option<Vec<String>>,
    /// Who answers in place of the suite's models.
    pub(super) provider: Option<Node>,
    pub(super) given_output: Option<Value>,
}

impl Loader<'_> {
    /// Reads `tests`: a path, a pattern, a list of these and of cases.
    pub(super) fn drafts(&self, node: &Node, models: &[NamedModel]) -> Vec<Draft> {
        let mut drafts = Vec::new();
        let nodes = match &node.content {
            Content::List(items) => items.iter().collect(),
            _ => vec![node],
        };
        for item in nodes {
            if let Some(path) = item.text() {
                self.draft_files(path, item, models, &mut drafts);
            } else if item.get("path").is_some() {
                self.generator(item, models, &mut drafts);
            } else {
                drafts.extend(self.draft(item, models, "a case"));
            }
            if MAX_DRAFTS < drafts.len() {
                let message = format!("there are more than {MAX_DRAFTS} cases");
                self.wrong(node, message, "split the suite");
                break;
            }
        }
        drafts
    }

    /// `{path, config}`: a program that makes cases, or a file.
    fn generator(&self, node: &Node, models: &[NamedModel], drafts: &mut Vec<Draft>) {
        let Some(fields) = self.fields(node, "a file of cases", &["path", "config"]) else {
            return;
        };
        let Some(path) = self.text_at(&fields, "path") else {
            return;
        };
        if let Some(config) = fields.key("config") {
            self.wrong(
                &config,
                "`config` is for a program that makes cases, and none is run",
                "let it write a JSONL file, and name that",
            );
        }
        self.draft_files(&path, node, models, drafts);
    }

    fn draft_files(&self, path: &str, at: &Node, models: &[NamedModel], drafts: &mut Vec<Draft>) {
        let elsewhere = [
            "huggingface://",
            "az://",
            "https://",
            "http://",
            "s3://",
            "gs://",
        ];
        if elsewhere.iter().any(|start| path.starts_with(start)) {
            let message =
                format!("`{path}` is elsewhere, and only files of the repository are read");
            self.wrong(
                at,
                message,
                "save it as a JSONL or CSV file beside the suite",
            );
            return;
        }
        let code = match path.rsplit_once(':') {
            Some((start, end)) if !end.contains('/') => start,
            _ => path,
        };
        if is_javascript(code) || is_foreign_code(code) {
            let message = format!("`{path}` is a program that makes cases, and none is run");
            self.wrong(at, message, "let it write a JSONL file, and name that");
            return;
        }
        for file in self.paths_of(path, at) {
            for node in self.case_nodes(&file, at) {
                drafts.extend(self.draft(&node, models, "a case"));
            }
        }
    }

    /// The cases of a file, as trees.
    fn case_nodes(&self, path: &str, at: &Node) -> Vec<Node> {
        let read = match extension(path).as_str() {
            "csv" => self
                .text(path, at)
                .map(|text| dataset::table_rows(&text, path, self.delimiter())),
            "jsonl" => self
                .text(path, at)
                .map(|text| dataset::json_lines(&text, path)),
            "yaml" | "yml" | "json" => self.document(path, at).map(|node| {
                Ok(match node.content {
                    Content::List(items) => items,
                    Content::Scalar(Value::Null) => Vec::new(),
                    _ => vec![node],
                })
            }),
            "xlsx" | "xls" => {
                let hint = "save it as CSV: a change of a table must be readable in a pull request";
                self.wrong(at, format!("`{path}` is a spreadsheet"), hint);
                None
            }
            _ => {
                let message = format!("`{path}` is no file of cases that is known");
                self.wrong(
                    at,
                    message,
                    "known are `.yaml`, `.json`, `.jsonl` and `.csv`",
                );
                None
            }
        };
        match read {
            Some(Ok(nodes)) if nodes.is_empty() => {
                self.wrong(at, format!("`{path}` has no cases"), "write at least one");
                nodes
            }
            Some(Ok(nodes)) => nodes,
            Some(Err(problems)) => {
                for problem in problems {
                    self.problem(problem);
                }
                Vec::new()
            }
            None => Vec::new(),
        }
    }

    /// Reads one case.
    pub(super) fn draft(&self, node: &Node, models: &[NamedModel], what: &str) -> Option<Draft> {
        let fields = self.fields(node, what, &KEYS)?;
        let scoring = fields.get("assertScoringFunction");
        let options = self.map_at(&fields, "options").unwrap_or_default();
        let metadata = self.map_at(&fields, "metadata").map(to_map);
        let provider = fields.get("provider").cloned();
        Some(Draft {
            node: node.with(Content::Scalar(Value::Null)),
            description: self.text_at(&fields, "description"),
            vars: fields
                .get("vars")
                .map(|node| self.vars(node))
                .unwrap_or_default(),
            asserts: self.asserts_of(&fields, models).unwrap_or_default(),
            threshold: self.number_at(&fields, "threshold", ANY),
            scoring: scoring.and_then(|node| self.script(node)),
            options: options.to_vec(),
            metadata: metadata.unwrap_or_default(),
            prompts: self.texts_at(&fields, "prompts"),
            providers: self.texts_at(&fields, "providers"),
            provider,
            given_output: fields.get("providerOutput").map(Node::to_value),
        })
    }

    /// Reads variables: a mapping, or files of them, later ones over earlier.
    fn vars(&self, node: &Node) -> Vec<Field> {
        let names: Vec<&Node> = match &node.content {
            Content::Map(fields) => {
                if let Some(field) = fields.iter().find(|field| field.name == "assert")
                    && let Content::List(_) = field.value.content
                {
                    let hint = "move it one step to the left";
                    self.wrong(&field.value, "`assert` stands among the variables", hint);
                }
                return fields.clone();
            }
            Content::List(items) => items.iter().collect(),
            Content::Scalar(_) => vec![node],
        };
        let mut vars = Vec::new();
        for name in names {
            let Some(reference) = name.text() else {
                let message = format!("variables are a mapping, and this is {}", name.type_name());
                self.wrong(
                    name,
                    message,
                    "write `NAME: VALUE` lines, or name a YAML file",
                );
                continue;
            };
            if !is_data(reference) {
                let message = format!("`{reference}` is no file of variables");
                self.wrong(name, message, "name a YAML or JSON file");
                continue;
            }
            for path in self.paths_of(reference, name) {
                match self.document(&path, name).map(|node| node.content) {
                    Some(Content::Map(fields)) => overlay(&mut vars, fields.iter()),
                    Some(_) => {
                        self.wrong(
                            name,
                            format!("`{path}` holds no variables"),
                            "write a mapping",
                        );
                    }
                    None => {}
                }
            }
        }
        vars
    }

    /// Reads `defaultTest`.
    pub(super) fn default_draft(&self, node: &Node, models: &[NamedModel]) -> Option<Draft> {
        let what = "the default case";
        let Some(reference) = node.text() else {
            return self.draft(node, models, what);
        };
        if !reference.starts_with(FILE) || !is_data(reference) {
            let message = format!("`{reference}` is no default case");
            self.wrong(node, message, "write the case here, or `file://NAME.yaml`");
            return None;
        }
        let path = self.path_of(reference, node)?;
        let file = self.document(&path, node)?;
        self.draft(&file, models, what)
    }

    /// Reads `scenarios`: each is a list of data and a list of cases, and every pair is one.
    pub(super) fn scenarios(&self, node: &Node, models: &[NamedModel]) -> Vec<(Draft, Draft)> {
        let mut pairs = Vec::new();
        // Cases with the same data are one conversation, unless they say otherwise.
        let mut conversations = 0;
        let Content::List(items) = &node.content else {
            let message = format!("`scenarios` is a list, and this is {}", node.type_name());
            self.wrong(node, message, "begin each scenario with `- config: ...`");
            return pairs;
        };
        for item in items {
            let Some(reference) = item.text() else {
                self.scenario(item, models, &mut conversations, &mut pairs);
                continue;
            };
            for path in self.paths_of(reference, item) {
                match self.document(&path, item) {
                    Some(Node {
                        content: Content::List(items),
                        ..
                    }) => {
                        for item in &items {
                            self.scenario(item, models, &mut conversations, &mut pairs);
                        }
                    }
                    Some(node) => {
                        self.scenario(&node, models, &mut conversations, &mut pairs);
                    }
                    None => {}
                }
            }
        }
        pairs
    }

    fn scenario(
        &self,
        node: &Node,
        models: &[NamedModel],
        conversations: &mut usize,
        pairs: &mut Vec<(Draft, Draft)>,
    ) {
        let Some(fields) = self.fields(node, "a scenario", &SCENARIO_KEYS) else {
            return;
        };
        let mut data = match fields.get("config") {
            Some(node) => self.drafts(node, models),
            None => {
                self.wrong(
                    node,
                    "the scenario has no `config`",
                    "list its data under `config`",
                );
                return;
            }
        };
        let tests = match fields.get("tests") {
            Some(node) => self.drafts(node, models),
            // Without cases the data are the cases.
            None => vec![Draft::empty(node)],
        };
        if MAX_DRAFTS < pairs.len() + data.len() * tests.len() {
            let message = format!("the scenario makes more than {MAX_DRAFTS} cases");
            self.wrong(node, message, "split the suite");
            return;
        }
        for data in &mut data {
            let id = format!("__scenario_{conversations}__");
            let conversation = data.metadata.entry("conversationId");
            conversation.or_insert_with(|| Value::String(id));
            *conversations += 1;
            pairs.extend(tests.iter().map(|test| (data.clone(), test.clone())));
        }
    }
}

impl Draft {
    /// A case that says nothing.
    pub(super) fn empty(at: &Node) -> Self {
        Self {
            node: at.with(Content::Scalar(Value::Null)),
            description: None,
            vars: Vec::new(),
            asserts: Vec::new(),
            threshold: None,
            scoring: None,
            options: Vec::new(),
            metadata: Map::new(),
            prompts: None,
            providers: None,
            provider: None,
            given_output: None,
        }
    }

    /// Returns this case laid over `below`: what is said here wins, assertions follow one another.
    pub(super) fn over(self, below: &Self) -> Self {
        let laid = |mut fields: Vec<Field>, own: &[Field]| {
            overlay(&mut fields, own.iter());
            fields
        };
        let mut metadata = below.metadata.clone();
        metadata.extend(self.metadata);
        let asserts = below.asserts.iter().cloned().chain(self.asserts);
        Self {
            description: self.description.or_else(|| below.description.clone()),
            vars: laid(below.vars.clone(), &self.vars),
            asserts: asserts.collect(),
            threshold: self.threshold.or(below.threshold),
            scoring: self.scoring.or_else(|| below.scoring.clone()),
            options: laid(below.options.clone(), &self.options),
            metadata,
            prompts: self.prompts.or_else(|| below.prompts.clone()),
            providers: self.providers.or_else(|| below.providers.clone()),
            provider: self.provider.or_else(|| below.provider.clone()),
            given_output: self.given_output.or_else(|| below.given_output.clone()),
            node: self.node,
        }
    }
}
