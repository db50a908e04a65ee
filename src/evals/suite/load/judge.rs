//! The file of a judge: its model, parameters and instructions.

use crate::domain::sha256_hex;
use crate::evals::judges::calibration;
use crate::evals::plan::{Calibration, JudgePlan, Panelist};
use crate::evals::suite::ModelSource;
use crate::evals::suite::load::files::{parent, resolve};
use crate::evals::suite::load::node::{Content, Node};
use crate::evals::suite::load::problem::Problem;
use crate::evals::suite::load::reading::{FILE, Loader};
use crate::evals::suite::load::{JudgeFile, Source};
use serde_json::{Value, json};

/// Keys of a judge's file.
const KEYS: [&str; 6] = [
    "description",
    "model",
    "panel",
    "config",
    "rubricPrompt",
    "labels",
];

/// The largest file of counts.
const MAX_CALIBRATION: usize = 1 << 20;

/// Reads the judge whose file is `path`, below the root of `source`.
pub(super) fn load(source: &Source<'_>, path: &str) -> Result<JudgeFile, Vec<Problem>> {
    // Names are relative to the directory of suites, as if a suite there named the judge.
    let suite = format!("{}/suite.yaml", source.directory);
    let loader = Loader::new(source, suite.trim_start_matches('/'));
    let at = Node {
        file: path.into(),
        line: 0,
        column: 0,
        content: Content::Scalar(Value::Null),
    };
    let read = loader.judge_at(path, &at);
    let (plan, labels) = loader.done(read)?;
    Ok(JudgeFile { plan, labels })
}

impl Loader<'_> {
    /// Reads the judge that `reference` names; `at` is where.
    pub(super) fn judge(&self, reference: &str, at: &Node) -> Option<JudgePlan> {
        self.judge_file(reference, at).map(|(plan, _)| plan)
    }

    /// The same, with the path and the text of its labels.
    pub(super) fn judge_file(
        &self,
        reference: &str,
        at: &Node,
    ) -> Option<(JudgePlan, Option<(String, String)>)> {
        let path = self.path_of(reference, at)?;
        self.judge_at(&path, at)
    }

    fn judge_at(&self, path: &str, at: &Node) -> Option<(JudgePlan, Option<(String, String)>)> {
        let path = path.to_owned();
        let mut file = self.document(&path, at)?;
        self.fill_environment(&mut file);
        let fields = self.fields(&file, "a judge", &KEYS)?;
        let Some(model) = self.text_at(&fields, "model") else {
            self.wrong(
                &file,
                "the judge has no `model`",
                "write `model: gateway:openai/gpt-5-mini`",
            );
            return None;
        };
        let place = fields.get("model").unwrap_or(&file);
        let ModelSource::Route(model) = self.judge_model(&model, place)? else {
            self.wrong(place, format!("`{model}` cannot judge"), "name a model");
            return None;
        };
        self.text_at(&fields, "description");
        let labels = fields
            .get("labels")
            .and_then(|node| self.labels(node, &path));
        let config = self.map_at(&fields, "config");
        let parameters = config.map(|config| self.parameters(config, "a judge"));
        let parameters = parameters.unwrap_or_default();
        let rubric = fields.get("rubricPrompt");
        let rubric_prompt = rubric.and_then(|node| self.rubric_prompt(node));
        let panel = self.panel(fields.get("panel"));
        let mut identity = json!({
            "model": model,
            "parameters": parameters,
            "rubric_prompt": rubric_prompt,
        });
        if let (false, Value::Object(identity)) = (panel.is_empty(), &mut identity) {
            identity.insert("panel".to_owned(), json!(panel));
        }
        let mut plan = JudgePlan {
            path,
            hash: sha256_hex(identity.to_string().as_bytes()),
            model,
            parameters,
            rubric_prompt,
            panel,
            calibration: None,
        };
        if let Some((_, labels)) = &labels {
            plan.calibration = self.calibration(&plan, labels, &file);
        }
        Some((plan, labels))
    }

    /// The counts beside the judge's file, when they are those of this judge and these labels.
    fn calibration(&self, plan: &JudgePlan, labels: &str, at: &Node) -> Option<Calibration> {
        let path = calibration::path_beside(&plan.path);
        self.source.files.read(&path, MAX_CALIBRATION).ok()?;
        let found = calibration::stored(&self.text(&path, at)?, plan, labels);
        if found.is_none() {
            self.warn(format!(
                "`{path}` is of another judge or of other labels, and says nothing: run \
                 `promptgate evals calibrate {}`",
                plan.path
            ));
        }
        found
    }

    /// Of the judge of `metadata.promptgate.judge.model`.
    pub(super) fn judge_of_model(&self, model: &str, at: &Node) -> Option<JudgePlan> {
        let ModelSource::Route(model) = self.judge_model(model, at)? else {
            self.wrong(at, format!("`{model}` cannot judge"), "name a model");
            return None;
        };
        let identity = json!({"model": model, "parameters": {}, "rubric_prompt": Value::Null});
        Some(JudgePlan {
            path: String::new(),
            hash: sha256_hex(identity.to_string().as_bytes()),
            model,
            parameters: serde_json::Map::new(),
            rubric_prompt: None,
            panel: Vec::new(),
            calibration: None,
        })
    }

    /// Further models: names, or `{model, config}`.
    fn panel(&self, node: Option<&Node>) -> Vec<Panelist> {
        let Some(node) = node else {
            return Vec::new();
        };
        let Content::List(items) = &node.content else {
            self.wrong(
                node,
                "`panel` is no list of models",
                "write `panel: [gateway:openai/gpt-5-mini, ...]`",
            );
            return Vec::new();
        };
        items
            .iter()
            .filter_map(|item| self.panelist(item))
            .collect()
    }

    fn panelist(&self, node: &Node) -> Option<Panelist> {
        let (name, parameters) = match node.text() {
            Some(name) => (name.to_owned(), serde_json::Map::new()),
            None => {
                let fields = self.fields(node, "a judge of a panel", &["model", "config"])?;
                let Some(name) = self.text_at(&fields, "model") else {
                    self.wrong(node, "the judge has no `model`", "write `model: MODEL`");
                    return None;
                };
                let config = self.map_at(&fields, "config");
                let config = config.map(|config| self.parameters(config, "a judge"));
                (name, config.unwrap_or_default())
            }
        };
        let ModelSource::Route(model) = self.judge_model(&name, node)? else {
            self.wrong(node, format!("`{name}` cannot judge"), "name a model");
            return None;
        };
        Some(Panelist { model, parameters })
    }

    /// A name without a colon is a route of the gateway already.
    fn judge_model(&self, name: &str, at: &Node) -> Option<ModelSource> {
        if name.contains(':') {
            self.model_source(name, at)
        } else {
            Some(ModelSource::Route(name.to_owned()))
        }
    }

    /// What people said of answers: `{output, vars, label, rater}` on each line; the file's path and text.
    /// Its name is relative to the judge's file, or, as all names in a suite, to the suite's.
    fn labels(&self, node: &Node, judge: &str) -> Option<(String, String)> {
        let Some(reference) = node.text() else {
            self.wrong(
                node,
                "`labels` is no path",
                "write `labels: NAME.labels.jsonl`",
            );
            return None;
        };
        let name = reference.strip_prefix(FILE).unwrap_or(reference);
        let beside = resolve(parent(judge), name);
        let beside = beside.filter(|path| self.source.files.read(path, usize::MAX).is_ok());
        let path = beside.or_else(|| self.path_of(reference, node))?;
        let text = self.text(&path, node)?;
        self.check_labels(&path, &text);
        Some((path, text))
    }

    fn check_labels(&self, path: &str, text: &str) {
        let lines = match crate::evals::dataset::json_lines(text, path) {
            Ok(lines) => lines,
            Err(problems) => {
                return problems
                    .into_iter()
                    .for_each(|problem| self.problem(problem));
            }
        };
        for line in &lines {
            let known = ["output", "vars", "rubric", "label", "rater", "note"];
            let Some(fields) = self.fields(line, "a label", &known) else {
                continue;
            };
            if fields.get("output").is_none() {
                self.wrong(
                    line,
                    "the label has no `output`",
                    "write the answer that was labelled",
                );
            }
            let is_label = matches!(
                fields.get("label").map(|node| &node.content),
                Some(Content::Scalar(Value::Bool(_)))
            );
            if !is_label {
                let hint = "write `true` where the answer is good, else `false`";
                self.wrong(line, "the label has no boolean `label`", hint);
            }
        }
    }
}
