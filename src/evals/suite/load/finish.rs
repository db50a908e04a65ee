//! The last touches: names of cases, clusters, slices, and what should be known about a suite.

use crate::evals::suite::load::expand::Around;
use crate::evals::suite::load::fields::scalar_text;
use crate::evals::suite::load::mutations::Mutations;
use crate::evals::suite::load::node::Node;
use crate::evals::suite::load::prompts::NamedPrompt;
use crate::evals::suite::load::reading::Loader;
use crate::evals::suite::{AssertNode, Case, CaseId, Decider, PromptSource};
use serde_json::Value;
use std::collections::{BTreeMap, HashMap, HashSet};

/// Paths into cases, as `metadata.promptgate` has them.
#[derive(Debug, Clone, Default)]
pub(super) struct Paths {
    pub(super) cluster: Option<Node>,
    pub(super) messages: Option<Node>,
    pub(super) slices: Vec<Node>,
    pub(super) pairs: Option<PairPaths>,
    pub(super) mutations: Option<Mutations>,
}

/// Where cases that are written out already say to which pair and group they belong.
#[derive(Debug, Clone)]
pub(super) struct PairPaths {
    pub(super) pair: Node,
    pub(super) group: Node,
    pub(super) has_control: bool,
}

impl Loader<'_> {
    /// Gives twins a number, and each case its cluster and slices.
    pub(super) fn name_cases(&self, cases: &mut [Case], paths: &Paths) {
        number_twins(cases);
        if let Some(path) = &paths.cluster {
            self.set_from(cases, path, |case, _, value| case.cluster = Some(value));
        }
        for path in &paths.slices {
            self.set_from(cases, path, |case, name, value| {
                case.slices.insert(name.to_owned(), value);
            });
        }
        if let Some(path) = &paths.messages {
            let text = scalar_text(path);
            self.set_where(cases, path, |case, _, _| {
                case.messages.clone_from(&text);
                true
            });
        }
    }

    /// What a client says is for prompts that a client names.
    pub(super) fn check_messages(&self, paths: &Paths, prompts: &[NamedPrompt]) {
        let is_of_registry =
            |prompt: &NamedPrompt| matches!(prompt.entry.source, PromptSource::Registry(_));
        if let Some(path) = &paths.messages
            && !prompts.iter().any(is_of_registry)
        {
            let message = "`messages` is for prompts of the registry, and the suite has none";
            self.wrong(
                path,
                message,
                "write the message into the prompt, or name `prompt://NAME`",
            );
        }
    }

    /// Hands the value at a path, as text, to each case that has one; none anywhere is a problem.
    pub(super) fn set_from(
        &self,
        cases: &mut [Case],
        path: &Node,
        set: impl Fn(&mut Case, &str, String),
    ) {
        self.set_where(cases, path, |case, name, value| {
            let text = text_of(&value);
            text.map(|text| set(case, name, text)).is_some()
        });
    }

    /// Hands the value at a path to each case that has one; none anywhere that is taken is a problem.
    fn set_where(
        &self,
        cases: &mut [Case],
        path: &Node,
        set: impl Fn(&mut Case, &str, Value) -> bool,
    ) {
        let Some(text) = scalar_text(path) else {
            self.wrong(path, "a path is text", "write `metadata.language`");
            return;
        };
        let parts: Vec<&str> = text.split('.').collect();
        let ([root @ ("metadata" | "vars"), rest @ ..], Some(name)) =
            (parts.as_slice(), parts.last())
        else {
            let message = format!("`{text}` is no path into a case");
            self.wrong(path, message, "write `metadata.NAME` or `vars.NAME`");
            return;
        };
        let mut has_any = false;
        for case in cases.iter_mut() {
            let map = if *root == "vars" {
                &case.vars
            } else {
                &case.metadata
            };
            if let Some(value) = at(map, rest).cloned() {
                has_any |= set(case, name, value);
            }
        }
        if !has_any && !cases.is_empty() {
            let message = format!("no case has `{text}`");
            self.wrong(path, message, "write it in the cases, or leave it out here");
        }
    }

    /// Cases that are for all of the suite's models say so when other cases bring models of their own.
    pub(super) fn settle_models(cases: &mut [Case], around: &Around<'_>) {
        if around.extra.borrow().is_empty() {
            return;
        }
        let labels: Vec<String> = around
            .models
            .iter()
            .map(|model| model.entry.label.clone())
            .collect();
        for case in cases.iter_mut().filter(|case| case.models.is_empty()) {
            case.models.clone_from(&labels);
        }
    }

    /// Notes what stops nothing and should be known.
    pub(super) fn remark(&self, cases: &[Case], has_judge: bool) {
        let empty = cases.iter().filter(|case| case.asserts.is_empty()).count();
        if 0 < empty {
            let verb = if empty == 1 {
                "case asserts"
            } else {
                "cases assert"
            };
            self.warn(format!("{empty} {verb} nothing, and so cannot fail"));
        }
        if has_judge {
            return;
        }
        let unjudged = cases.iter().filter(|case| case.options.grader.is_none());
        let unjudged = unjudged
            .flat_map(|case| &case.asserts)
            .filter(|node| needs_judge(node))
            .count();
        if 0 < unjudged {
            self.warn(format!(
                "{unjudged} assertions are judged by a model, and none is named: set \
                 `metadata.promptgate.judge`, `options.provider` in `defaultTest`, or `judge_model` \
                 under `[evals]` in promptgate.toml"
            ));
        }
    }
}

fn needs_judge(node: &AssertNode) -> bool {
    let asks = |assertion: &crate::evals::suite::Assertion| {
        let asks = match assertion.kind.decider() {
            Decider::Model => assertion.kind != crate::evals::suite::AssertionKind::Webhook,
            Decider::Comparison => assertion.kind == crate::evals::suite::AssertionKind::SelectBest,
            Decider::Rule | Decider::Nobody => false,
        };
        asks && assertion.grader.is_none()
    };
    node.assertions().iter().any(asks)
}

/// The value at a path.
fn at<'a>(map: &'a serde_json::Map<String, Value>, path: &[&str]) -> Option<&'a Value> {
    let (first, rest) = path.split_first()?;
    let mut value = map.get(*first)?;
    for part in rest {
        value = value.get(part)?;
    }
    Some(value)
}

/// A value as text; a list as its items with commas between.
fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        Value::Array(items) => {
            let items = items.iter().map(|item| match item {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            });
            Some(items.collect::<Vec<_>>().join(","))
        }
        Value::Null | Value::Object(_) => None,
    }
}

/// The second case of a name is `NAME-2`, and so on; a number that is a name already is passed over.
fn number_twins(cases: &mut [Case]) {
    let names: HashSet<String> = cases.iter().map(|case| case.id.0.clone()).collect();
    let mut seen: HashMap<String, u32> = HashMap::new();
    let mut given: BTreeMap<usize, String> = BTreeMap::new();
    for (index, case) in cases.iter().enumerate() {
        let count = seen.entry(case.id.0.clone()).or_insert(0);
        *count += 1;
        if 1 < *count {
            while names.contains(&format!("{}-{count}", case.id.0)) {
                *count += 1;
            }
            given.insert(index, format!("{}-{count}", case.id.0));
        }
    }
    for (index, name) in given {
        if let Some(case) = cases.get_mut(index) {
            case.id = CaseId(name);
        }
    }
}
