//! Subjects: every prompt of a suite with every model that answers it.

use crate::evals::plan::{Subject, SubjectPrompt};
use crate::evals::planner::{Filter, ResolvedVersion, Tree};
use crate::evals::suite::{Case, ModelEntry, Place, Problem, PromptEntry, PromptSource};
use std::collections::BTreeMap;

/// What a side tests.
pub(super) struct Found {
    pub(super) subjects: Vec<Subject>,
    pub(super) facts: BTreeMap<String, PromptFacts>,
}

/// What is known of a prompt for a forecast.
#[derive(Debug, Clone)]
pub(super) struct PromptFacts {
    pub(super) text: String,
    pub(super) max_output: Option<u64>,
}

pub(super) fn subjects(
    tree: &Tree<'_>,
    cases: &[Case],
    filter: &Filter,
) -> Result<Found, Vec<Problem>> {
    let suite = tree.suite;
    let mut problems = Vec::new();
    let mut found = Found {
        subjects: Vec::new(),
        facts: BTreeMap::new(),
    };
    let prompts = suite.prompts.iter();
    for entry in prompts.filter(|entry| Filter::is_meant(&filter.prompts, &entry.label)) {
        let Some((prompt, facts)) = read(tree, entry, cases, &mut problems) else {
            continue;
        };
        found.facts.insert(entry.label.clone(), facts);
        let models = suite.models.iter().filter(|model| {
            let is_for = model.prompts.is_empty() || model.prompts.contains(&entry.label);
            is_for && Filter::is_meant(&filter.models, &model.label)
        });
        found
            .subjects
            .extend(models.map(|model| subject(entry, &prompt, model)));
    }
    for subject in &found.subjects {
        problems.extend(no_model(suite.path.as_str(), subject));
    }
    if found.subjects.is_empty() && problems.is_empty() {
        let place = Place {
            file: suite.path.clone(),
            ..Place::default()
        };
        let known: Vec<&str> = suite
            .models
            .iter()
            .map(|model| model.label.as_str())
            .collect();
        let message = "no prompt with a model is left by the filter";
        let hint = format!(
            "the models are {}",
            crate::evals::suite::load::listed(&known)
        );
        problems.push(Problem::new(place, message).hint(hint));
    }
    if problems.is_empty() {
        Ok(found)
    } else {
        Err(problems)
    }
}

fn subject(entry: &PromptEntry, prompt: &SubjectPrompt, model: &ModelEntry) -> Subject {
    let mut parameters = model.config.clone();
    parameters.extend(entry.config.clone());
    Subject {
        label: format!("[{}] {}", model.label, entry.label),
        prompt_label: entry.label.clone(),
        model_label: model.label.clone(),
        prompt: prompt.clone(),
        model: model.source.clone(),
        parameters,
        transform: model.transform.clone(),
        delay_ms: model.delay_ms,
    }
}

/// A text names no model, so `gateway:default` has nobody to ask.
fn no_model(path: &str, subject: &Subject) -> Option<Problem> {
    use crate::evals::suite::ModelSource;
    let names_model = match &subject.prompt {
        SubjectPrompt::Version { model, .. } => model.is_some(),
        SubjectPrompt::Text { .. } | SubjectPrompt::Chat { .. } => false,
    };
    if subject.model != ModelSource::OfPrompt || names_model {
        return None;
    }
    let place = Place {
        file: path.to_owned(),
        ..Place::default()
    };
    let message = format!("the prompt `{}` names no model", subject.prompt_label);
    let hint = "name one under `providers`: `gateway:MODEL`";
    Some(Problem::new(place, message).hint(hint))
}

fn read(
    tree: &Tree<'_>,
    entry: &PromptEntry,
    cases: &[Case],
    problems: &mut Vec<Problem>,
) -> Option<(SubjectPrompt, PromptFacts)> {
    Some(match &entry.source {
        PromptSource::Text(template) => (
            SubjectPrompt::Text {
                template: template.clone(),
            },
            PromptFacts {
                text: template.clone(),
                max_output: None,
            },
        ),
        PromptSource::Chat(messages) => (
            SubjectPrompt::Chat {
                messages: messages.clone(),
            },
            PromptFacts {
                text: messages.to_string(),
                max_output: None,
            },
        ),
        PromptSource::Registry(reference) => match (tree.prompts)(reference) {
            Ok(version) => {
                check_variables(entry, &version, cases, problems);
                let facts = PromptFacts {
                    text: version.text,
                    max_output: version.max_output,
                };
                let prompt = SubjectPrompt::Version {
                    key: version.key,
                    hash: version.hash,
                    bundle: version.bundle,
                    version: version.version,
                    model: version.model,
                };
                (prompt, facts)
            }
            Err(reason) => {
                let message = format!("`prompt://{reference}`: {reason}");
                let problem = Problem::new(entry.place.clone(), message);
                problems.push(problem.hint("`promptgate prompts list` shows what there is"));
                return None;
            }
        },
    })
}

/// A case without a variable that the prompt must have would be an error in each run.
fn check_variables(
    entry: &PromptEntry,
    version: &ResolvedVersion,
    cases: &[Case],
    problems: &mut Vec<Problem>,
) {
    let asked = cases.iter().filter(|case| {
        let is_for = case.prompts.is_empty() || case.prompts.contains(&entry.label);
        // What a script makes of the variables is not known before.
        is_for && case.options.transform_vars.is_none() && case.given_output.is_none()
    });
    let stored: Vec<&String> = cases
        .iter()
        .filter_map(|case| case.options.store_output_as.as_ref())
        .collect();
    for case in asked {
        let missing = version.variables.iter().filter(|(name, is_required)| {
            *is_required && !case.vars.contains_key(name) && !stored.contains(&name)
        });
        let missing: Vec<&str> = missing.map(|(name, _)| name.as_str()).collect();
        if !missing.is_empty() {
            let names = crate::evals::suite::load::listed(&missing);
            let message = format!(
                "the case `{}` lacks {names}, which the prompt `{}` wants",
                case.id.0, entry.label
            );
            problems.push(Problem::new(case.place.clone(), message).hint("add it under `vars`"));
        }
        if version.is_strict {
            let known: Vec<&str> = version
                .variables
                .iter()
                .map(|(name, _)| name.as_str())
                .collect();
            let said = case.messages.as_deref();
            let said = said.and_then(|path| path.strip_prefix("vars."));
            let unknown =
                |name: &&String| !known.contains(&name.as_str()) && said != Some(name.as_str());
            for name in case.vars.keys().filter(unknown) {
                let message = format!("the prompt `{}` has no variable `{name}`", entry.label);
                problems.push(Problem::unknown(case.place.clone(), message, name, &known));
            }
        }
    }
}
