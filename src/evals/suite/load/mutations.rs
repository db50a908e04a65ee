//! `mutate`: each case again in the forms in which attacks arrive, all else the same.

use crate::evals::suite::load::expand::MAX_CASES;
use crate::evals::suite::load::node::Node;
use crate::evals::suite::load::problem::Problem;
use crate::evals::suite::load::reading::Loader;
use crate::evals::suite::{Case, CaseId};
use crate::safety::mutate::Mutator;
use serde_json::Value;

/// Which variable is changed, and how.
#[derive(Debug, Clone)]
pub(super) struct Mutations {
    var: String,
    mutators: Vec<Mutator>,
    at: Node,
}

impl Loader<'_> {
    /// Reads `{var: request, by: [encode/base64, wrap/story]}`.
    pub(super) fn mutations(&self, node: &Node) -> Option<Mutations> {
        let fields = self.fields(node, "`mutate`", &["var", "by"])?;
        let (Some(var), Some(names)) = (self.text_at(&fields, "var"), self.texts_at(&fields, "by"))
        else {
            let hint = "write `{var: request, by: [encode/base64, wrap/story]}`";
            self.wrong(node, "`mutate` wants `var` and `by`", hint);
            return None;
        };
        let mut mutators = Vec::new();
        for name in names {
            if let Some(mutator) = Mutator::parse(&name) {
                mutators.push(mutator);
                continue;
            }
            let known: Vec<&str> = Mutator::ALL.iter().map(|mutator| mutator.id()).collect();
            let message = format!("`{name}` is no way to change a text");
            self.problem(Problem::unknown(node.place(), message, &name, &known));
        }
        Some(Mutations {
            var,
            mutators,
            at: node.clone(),
        })
    }

    /// Adds the changed cases behind those they are made from.
    pub(super) fn mutated(&self, cases: Vec<Case>, mutations: &Mutations) -> Vec<Case> {
        let Mutations { var, mutators, at } = mutations;
        if MAX_CASES < cases.len().saturating_mul(mutators.len() + 1) {
            let message = format!("the changed texts make more than {MAX_CASES} cases");
            self.wrong(at, message, "name fewer ways");
            return cases;
        }
        let mut all = Vec::new();
        let mut has_any = false;
        for case in cases {
            let text = case
                .vars
                .get(var)
                .and_then(Value::as_str)
                .map(str::to_owned);
            has_any |= text.is_some();
            let changed: Vec<Case> = text
                .iter()
                .flat_map(|text| {
                    mutators
                        .iter()
                        .map(|mutator| changed(&case, var, text, *mutator))
                })
                .collect();
            all.push(case);
            all.extend(changed);
        }
        if !has_any {
            let message = format!("no case has a text in `{var}`");
            self.wrong(at, message, "name the variable that holds the request");
        }
        all
    }
}

fn changed(case: &Case, var: &str, text: &str, mutator: Mutator) -> Case {
    let mut changed = case.clone();
    changed.id = CaseId(format!("{}/{}", case.id.0, mutator.id()));
    changed
        .vars
        .insert(var.to_owned(), Value::String(mutator.apply(text)));
    let name = Value::String(mutator.id().to_owned());
    changed.metadata.insert("mutator".to_owned(), name);
    // Forms of one request are no independent pieces of evidence.
    changed.cluster = Some(case.cluster.clone().unwrap_or_else(|| case.id.0.clone()));
    changed
}
