//! The suite's file from top to bottom.

use crate::evals::plan::JudgePlan;
use crate::evals::suite::load::drafts::Draft;
use crate::evals::suite::load::expand::Around;
use crate::evals::suite::load::fields::Fields;
use crate::evals::suite::load::finish::Paths;
use crate::evals::suite::load::models::{NamedModel, is_meant};
use crate::evals::suite::load::node::{Content, Field, Node};
use crate::evals::suite::load::problem::Problem;
use crate::evals::suite::load::prompts::NamedPrompt;
use crate::evals::suite::load::reading::Loader;
use crate::evals::suite::{Case, DerivedMetric, ModelEntry, Settings, Suite};
use std::cell::RefCell;

/// Keys of a suite. Those after the gap have no effect here.
const KEYS: [&str; 24] = [
    "description",
    "tags",
    "metadata",
    "env",
    "providers",
    "targets",
    "prompts",
    "tests",
    "defaultTest",
    "scenarios",
    "assertionTemplates",
    "derivedMetrics",
    "evaluateOptions",
    "commandLineOptions",
    "extensions",
    "nunjucksFilters",
    "outputPath",
    "sharing",
    "writeLatestResults",
    "tracing",
    "redteam",
    "$schema",
    "$defs",
    "definitions",
];

impl Loader<'_> {
    /// Reads everything; `None` when the file itself cannot be read.
    pub(super) fn suite(&self) -> Option<Suite> {
        let anywhere = self.anywhere();
        let mut root = self.document(self.path, &anywhere)?;
        self.take_environment(&root);
        self.fill_environment(&mut root);
        let top = self.fields(&root, "a suite", &KEYS)?;
        self.refuse(&top);
        self.map_at(&top, "tags");
        let mut settings = Settings::default();
        self.run_keys(&top, &mut settings);
        let metadata = self.map_at(&top, "metadata").unwrap_or_default();
        let own = metadata.iter().find(|field| field.name == "promptgate");
        let (paths, groups_at) = own
            .map(|field| self.own_keys(&field.value, &mut settings))
            .unwrap_or_default();
        let judge = own.and_then(|field| self.named_judge(&field.value, &settings));
        let mut models = self.models_at(&top, &root);
        let prompts = self.prompts_at(&top);
        self.settle_prompts(&mut models, &prompts);
        let default = top.get("defaultTest");
        let around = Around {
            models: &models,
            prompts: &prompts,
            default: default.and_then(|node| self.default_draft(node, &models)),
            extra: RefCell::default(),
        };
        let mut cases = self.all_cases(&top, &around);
        if self.has_problems() {
            return None;
        }
        self.name_cases(&mut cases, &paths);
        self.check_messages(&paths, &prompts);
        let mut cases = self.multiplied(cases, &settings, &paths, groups_at.as_ref());
        Self::settle_models(&mut cases, &around);
        self.remark(&cases, judge.is_some());
        let extra = around.extra.into_inner();
        let entries: Vec<ModelEntry> = models
            .into_iter()
            .chain(extra)
            .map(|model| model.entry)
            .collect();
        Some(Suite {
            name: self.name(),
            path: self.path.to_owned(),
            description: self.text_at(&top, "description"),
            hash: String::new(),
            prompts: prompts.into_iter().map(|prompt| prompt.entry).collect(),
            models: entries,
            cases,
            derived_metrics: self.derived_metrics(&top),
            settings,
            warnings: Vec::new(),
            files: Vec::new(),
            judge,
        })
    }

    /// Cases again for each group, in each form, and for the noise, as the suite wants.
    fn multiplied(
        &self,
        mut cases: Vec<Case>,
        settings: &Settings,
        paths: &Paths,
        groups_at: Option<&Node>,
    ) -> Vec<Case> {
        if let (Some(counterfactual), Some(at)) = (&settings.counterfactual, groups_at) {
            cases = self.grouped(cases, counterfactual, at);
        }
        if let Some(mutations) = &paths.mutations {
            cases = self.mutated(cases, mutations);
        }
        if let Some(pairs) = &paths.pairs {
            cases = self.paired(cases, pairs);
        }
        cases
    }

    /// The path without the directory of suites and its ending.
    fn name(&self) -> String {
        let directory = self.source.directory;
        let below = self.path.strip_prefix(directory).map_or(self.path, |rest| {
            rest.strip_prefix('/').unwrap_or(self.path)
        });
        let name = below.rsplit_once('.').map_or(below, |(name, _)| name);
        // Such a file stands for the directory it lies in.
        match name.strip_suffix("promptfooconfig") {
            Some(directory) if directory.ends_with('/') => directory.trim_end_matches('/'),
            _ => name,
        }
        .to_owned()
    }

    fn named_judge(&self, own: &Node, settings: &Settings) -> Option<JudgePlan> {
        let at = own.get("judge")?;
        let place = at.get("use").or_else(|| at.get("model")).unwrap_or(at);
        match (&settings.judge.file, &settings.judge.model) {
            (Some(file), _) => self.judge(file, place),
            (None, Some(model)) => self.judge_of_model(model, place),
            (None, None) => None,
        }
    }

    fn models_at(&self, top: &Fields<'_>, root: &Node) -> Vec<NamedModel> {
        match (top.get("providers"), top.get("targets")) {
            (Some(_), Some(targets)) => {
                let message = "the suite has both `providers` and `targets`";
                self.wrong(targets, message, "they mean the same; keep one");
                Vec::new()
            }
            (Some(node), None) | (None, Some(node)) => {
                let models = self.models(node);
                if models.is_empty() && !self.has_problems() {
                    self.wrong(
                        node,
                        "there are no providers",
                        "write `providers: [gateway:default]`",
                    );
                }
                models
            }
            (None, None) => {
                let hint = "write `providers: [gateway:default]` for the models that prompts name";
                self.wrong(root, "the suite has no `providers`", hint);
                Vec::new()
            }
        }
    }

    fn prompts_at(&self, top: &Fields<'_>) -> Vec<NamedPrompt> {
        if let Some(node) = top.get("prompts") {
            return self.prompts(node);
        }
        let hint = "write `prompts: [prompt://NAME]`, a file or a text";
        self.wrong(top.node, "the suite has no `prompts`", hint);
        Vec::new()
    }

    /// Turns the prompts that a provider is for into labels.
    fn settle_prompts(&self, models: &mut [NamedModel], prompts: &[NamedPrompt]) {
        if prompts.is_empty() {
            return;
        }
        for model in models {
            let mut labels = Vec::new();
            for name in &model.entry.prompts {
                let meant = prompts.iter().filter(|prompt| {
                    let mut names: Vec<&str> = prompt.names.iter().map(String::as_str).collect();
                    names.push(&prompt.entry.label);
                    is_meant(name, &names)
                });
                let before = labels.len();
                labels.extend(meant.map(|prompt| prompt.entry.label.clone()));
                if before == labels.len() {
                    let message =
                        format!("the provider is for `{name}`, and no prompt is called so");
                    let problem = Problem::new(model.entry.place.clone(), message);
                    self.problem(problem.hint("name a prompt by its label"));
                }
            }
            model.entry.prompts = labels;
        }
    }

    fn all_cases(&self, top: &Fields<'_>, around: &Around<'_>) -> Vec<Case> {
        let mut drafts = Vec::new();
        if let Some(node) = top.get("tests") {
            drafts = self.drafts(node, around.models);
        }
        let scenarios = top.get("scenarios");
        let pairs = scenarios.map(|node| self.scenarios(node, around.models));
        if drafts.is_empty() && top.get("tests").is_none() && scenarios.is_none() {
            // As in promptfoo: the prompts are asked once as they are.
            drafts.push(Draft::empty(top.node));
        }
        let mut cases = Vec::new();
        for draft in drafts {
            self.cases_of(draft, around, &mut cases);
        }
        for (data, test) in pairs.unwrap_or_default() {
            self.cases_of(test.over(&data), around, &mut cases);
        }
        if cases.is_empty() && !self.has_problems() {
            self.wrong(
                top.node,
                "the suite has no cases",
                "list them under `tests`",
            );
        }
        cases
    }

    fn derived_metrics(&self, top: &Fields<'_>) -> Vec<DerivedMetric> {
        let items = self.list_at(top, "derivedMetrics").unwrap_or_default();
        let read = items.iter().filter_map(|item| {
            let fields = self.fields(item, "a derived metric", &["name", "value"])?;
            let pair = (
                self.text_at(&fields, "name"),
                self.text_at(&fields, "value"),
            );
            let (Some(name), Some(expression)) = pair else {
                let hint = "write `{name: f1, value: 2 * tp / (2 * tp + fp + fn)}`";
                self.wrong(item, "the derived metric wants `name` and `value`", hint);
                return None;
            };
            Some(DerivedMetric {
                name,
                expression,
                place: item.place(),
            })
        });
        read.collect()
    }

    /// Says what of promptfoo is not done here, as far as the suite would mean something else without.
    fn refuse(&self, top: &Fields<'_>) {
        let is_empty = |node: &Node| match &node.content {
            Content::List(items) => items.is_empty(),
            Content::Map(fields) => fields.is_empty(),
            Content::Scalar(_) => false,
        };
        for (key, reason, hint) in [
            (
                "extensions",
                "`extensions` run programs before and after cases, and none is run",
                "change answers with `transform`, and variables with `transformVars` (JavaScript)",
            ),
            (
                "nunjucksFilters",
                "`nunjucksFilters` are programs, and none is run while a template is filled",
                "use the filters that there are, or `transformVars` (JavaScript)",
            ),
        ] {
            if let Some(node) = top.get(key).filter(|node| !is_empty(node)) {
                self.wrong(node, reason, hint);
            }
        }
        for (key, reason) in [
            ("outputPath", "say where with `--output`"),
            ("tracing", "no traces of programs under test are collected"),
            (
                "redteam",
                "attacks are not made up here; see `evals/safety`",
            ),
        ] {
            if let Some(node) = top.key(key) {
                self.warn(format!("{}: `{key}` is ignored: {reason}", node.place()));
            }
        }
        if let Some(field) = top.get("metadata").and_then(misplaced) {
            let message = format!("`{}` stands in `metadata` itself", field.name);
            let problem = Problem::new(field.place.clone(), message);
            self.problem(problem.hint("put it one level deeper, under `metadata.promptgate`"));
        }
    }
}

/// A key of ours that stands one level too high, where nobody reads it.
fn misplaced(metadata: &Node) -> Option<&Field> {
    let Content::Map(fields) = &metadata.content else {
        return None;
    };
    fields.iter().find(|field| {
        ["gates", "counterfactual", "budget"].contains(&field.name.as_str())
            && !matches!(field.value.content, Content::Scalar(_))
    })
}
