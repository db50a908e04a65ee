//! Who judges: the assertion's word, else the case's, else the suite's, else the default; never silently
//! the model under test.

use crate::evals::grade::Graded;
use crate::evals::judges::context::JudgeContext;
use crate::evals::plan::SubjectPrompt;
use crate::evals::suite::{Assertion, AssertionKind, ModelSource};
use serde_json::{Map, Value};

/// A model that judges.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Judge {
    /// The model, as the gateway routes it.
    pub(super) model: String,
    /// Request parameters.
    pub(super) parameters: Map<String, Value>,
    /// Whether it is the model that is judged.
    pub(super) is_under_test: bool,
}

impl Judge {
    /// Returns the model of that name, asked without parameters.
    pub(super) fn named(model: String) -> Self {
        Self {
            model,
            parameters: Map::new(),
            is_under_test: false,
        }
    }
}

/// Those that judge together, and instructions that they bring.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Bench {
    /// One, or several that vote.
    pub(super) judges: Vec<Judge>,
    /// The judge file's instructions.
    pub(super) rubric_prompt: Option<Value>,
}

const NO_JUDGE: &str = "no judge is named: write `provider: MODEL` at the assertion, \
    `metadata.promptgate.judge.model` in the suite, or `judge_model` under `[evals]` in promptgate.toml";
/// Who moderates when nobody is named.
const MODERATION: &str = "omni-moderation-latest";
const NO_EMBEDDING: &str = "no model that embeds is named: write `provider: {embedding: MODEL}` at the \
    assertion, `options.provider.embedding` for all cases, or `embedding_model` under `[evals]` in \
    promptgate.toml";

/// Returns who is asked for a judgement.
///
/// # Errors
///
/// In words, when nobody is named, or the name is none.
pub(super) fn bench(
    assertion: &Assertion,
    graded: &Graded<'_>,
    context: &JudgeContext<'_>,
) -> Result<Bench, String> {
    let named = [&assertion.grader, &graded.case.options.grader];
    for grader in named.into_iter().flatten() {
        if let Some((model, parameters)) = of_purpose(grader, "text")? {
            return Ok(Bench {
                judges: vec![judge(model, parameters, graded)],
                rubric_prompt: None,
            });
        }
    }
    if let Some(plan) = context.judge {
        let mut judges = vec![judge(plan.model.clone(), plan.parameters.clone(), graded)];
        judges.extend(plan.panel.iter().map(|panelist| {
            let parameters = if panelist.parameters.is_empty() {
                &plan.parameters
            } else {
                &panelist.parameters
            };
            judge(panelist.model.clone(), parameters.clone(), graded)
        }));
        return Ok(Bench {
            judges,
            rubric_prompt: plan.rubric_prompt.clone(),
        });
    }
    let model = context.default_model.ok_or(NO_JUDGE)?;
    Ok(Bench {
        judges: vec![judge(model.to_owned(), Map::new(), graded)],
        rubric_prompt: None,
    })
}

/// Returns the model that embeds. A grader that is one model means the embedding of those assertions that
/// do nothing else; of a case's, whose other assertions may need a judge, only when nothing else is named.
///
/// # Errors
///
/// In words, when nobody is named, or the name is none.
pub(super) fn embedder(
    assertion: &Assertion,
    graded: &Graded<'_>,
    context: &JudgeContext<'_>,
) -> Result<String, String> {
    let of_assertion = assertion.grader.as_ref();
    let of_case = graded.case.options.grader.as_ref();
    for grader in [of_assertion, of_case].into_iter().flatten() {
        if is_by_purpose(grader)
            && let Some((model, _)) = of_purpose(grader, "embedding")?
        {
            return Ok(model);
        }
    }
    let only_embeds = !matches!(assertion.kind, AssertionKind::AnswerRelevance);
    let single = |grader: Option<&Value>| match grader {
        Some(grader) if only_embeds && !is_by_purpose(grader) => of_purpose(grader, "embedding"),
        _ => Ok(None),
    };
    if let Some((model, _)) = single(of_assertion)? {
        return Ok(model);
    }
    if let Some(model) = context.embedding_model {
        return Ok(model.to_owned());
    }
    let (model, _) = single(of_case)?.ok_or(NO_EMBEDDING)?;
    Ok(model)
}

/// Returns the model that moderates. The grader of a case that is one model is a judge, and means nothing
/// here.
///
/// # Errors
///
/// In words, when the name is none.
pub(super) fn moderator(assertion: &Assertion, graded: &Graded<'_>) -> Result<String, String> {
    let of_case = graded.case.options.grader.as_ref();
    let of_case = of_case.filter(|grader| is_by_purpose(grader));
    for grader in [assertion.grader.as_ref(), of_case].into_iter().flatten() {
        if let Some((model, _)) = of_purpose(grader, "moderation")? {
            return Ok(model);
        }
    }
    Ok(MODERATION.to_owned())
}

fn judge(model: String, parameters: Map<String, Value>, graded: &Graded<'_>) -> Judge {
    let subject = graded.subject;
    let tested = match (&subject.model, &subject.prompt) {
        (ModelSource::Route(route), _) => Some(route.as_str()),
        (ModelSource::OfPrompt, SubjectPrompt::Version { model, .. }) => model.as_deref(),
        (ModelSource::OfPrompt | ModelSource::Echo, _) => None,
    };
    Judge {
        is_under_test: tested == Some(model.as_str()),
        model,
        parameters,
    }
}

fn is_by_purpose(grader: &Value) -> bool {
    const PURPOSES: [&str; 4] = ["text", "embedding", "classification", "moderation"];
    PURPOSES.iter().any(|purpose| grader.get(purpose).is_some())
}

type Named = (String, Map<String, Value>);

/// The model of a grader for a purpose: a name, `{id, config}`, or one of these by purpose.
fn of_purpose(grader: &Value, purpose: &str) -> Result<Option<Named>, String> {
    if is_by_purpose(grader) {
        return match grader.get(purpose) {
            Some(inner) if !is_by_purpose(inner) => of_purpose(inner, purpose),
            Some(_) => Err(no_name(grader)),
            None => Ok(None),
        };
    }
    let id = grader.as_str().or_else(|| grader.get("id")?.as_str());
    let id = id.filter(|id| !id.is_empty());
    let id = id.ok_or_else(|| no_name(grader))?;
    let config = grader.get("config").and_then(Value::as_object);
    Ok(Some((id.to_owned(), config.cloned().unwrap_or_default())))
}

fn no_name(grader: &Value) -> String {
    format!("`{grader}` names no judge: write a model's name, or `{{id: MODEL, config: {{...}}}}`")
}

#[cfg(test)]
mod tests {
    use super::{bench, embedder, moderator};
    use crate::evals::judges::testing::{Desk, assertion};
    use crate::evals::plan::{JudgePlan, Panelist};
    use crate::evals::suite::ModelSource;
    use serde_json::{Map, Value, json};

    fn plan() -> JudgePlan {
        JudgePlan {
            path: "judges/tone.yaml".to_owned(),
            hash: String::new(),
            model: "suite".to_owned(),
            parameters: Map::from_iter([("seed".to_owned(), json!(1))]),
            rubric_prompt: Some(json!("by the file")),
            panel: vec![Panelist {
                model: "second".to_owned(),
                parameters: Map::new(),
            }],
            calibration: None,
        }
    }

    fn models(desk: &Desk, grader: Value) -> Result<Vec<String>, String> {
        let mut assertion = assertion("llm-rubric", json!("x"));
        assertion.grader = Some(grader).filter(|grader| !grader.is_null());
        let bench = desk.with(|graded, context| bench(&assertion, graded, context))?;
        Ok(bench.judges.into_iter().map(|judge| judge.model).collect())
    }

    #[test]
    fn the_nearest_word_decides() {
        let mut desk = Desk::of("x");
        desk.default_model = None;
        assert!(
            models(&desk, Value::Null)
                .unwrap_err()
                .contains("no judge is named")
        );
        desk.default_model = Some("default");
        assert_eq!(models(&desk, Value::Null).unwrap(), ["default"]);
        desk.judge = Some(plan());
        assert_eq!(models(&desk, Value::Null).unwrap(), ["suite", "second"]);
        desk.case.options.grader = Some(json!({"embedding": "e"}));
        assert_eq!(models(&desk, Value::Null).unwrap(), ["suite", "second"]);
        desk.case.options.grader = Some(json!({"text": {"id": "case", "config": {"seed": 2}}}));
        assert_eq!(models(&desk, Value::Null).unwrap(), ["case"]);
        assert_eq!(models(&desk, json!("one")).unwrap(), ["one"]);
        assert_eq!(models(&desk, json!({"id": "two"})).unwrap(), ["two"]);
        for broken in [json!(7), json!({"id": ""}), json!({"text": {"text": "x"}})] {
            assert!(
                models(&desk, broken)
                    .unwrap_err()
                    .contains("names no judge")
            );
        }
    }

    #[test]
    fn the_panel_has_the_judges_parameters_unless_it_has_its_own() {
        let mut desk = Desk::of("x");
        desk.judge = Some(plan());
        let found = desk
            .with(|graded, context| bench(&assertion("llm-rubric", json!("x")), graded, context));
        let found = found.unwrap();
        assert_eq!(found.judges[1].parameters, plan().parameters);
        assert_eq!(found.rubric_prompt, Some(json!("by the file")));
    }

    #[test]
    fn a_judge_that_judges_itself_is_known() {
        let mut desk = Desk::of("x");
        desk.default_model = Some("m");
        for (source, expected) in [
            (ModelSource::Route("m".to_owned()), true),
            (ModelSource::Route("n".to_owned()), false),
            (ModelSource::Echo, false),
        ] {
            desk.subject.model = source;
            let found = desk.with(|graded, context| {
                bench(&assertion("llm-rubric", json!("x")), graded, context)
            });
            assert_eq!(found.unwrap().judges[0].is_under_test, expected);
        }
    }

    #[test]
    fn who_moderates_is_named_by_purpose_or_by_the_assertion() {
        let ask = |desk: &Desk, grader: Value| {
            let mut assertion = assertion("moderation", Value::Null);
            assertion.grader = Some(grader).filter(|grader| !grader.is_null());
            desk.with(|graded, _| moderator(&assertion, graded))
        };
        let mut desk = Desk::of("x");
        assert_eq!(ask(&desk, Value::Null).unwrap(), "omni-moderation-latest");
        desk.case.options.grader = Some(json!("a-judge"));
        assert_eq!(ask(&desk, Value::Null).unwrap(), "omni-moderation-latest");
        desk.case.options.grader = Some(json!({"moderation": "of-case"}));
        assert_eq!(ask(&desk, Value::Null).unwrap(), "of-case");
        assert_eq!(ask(&desk, json!("own")).unwrap(), "own");
        assert!(ask(&desk, json!(7)).is_err());
    }

    #[test]
    fn embeddings_are_named_by_purpose_or_by_assertions_that_only_embed() {
        let ask = |desk: &Desk, kind: &str, grader: Value| {
            let mut assertion = assertion(kind, json!("x"));
            assertion.grader = Some(grader).filter(|grader| !grader.is_null());
            desk.with(|graded, context| embedder(&assertion, graded, context))
        };
        let mut desk = Desk::of("x");
        desk.embedding_model = None;
        assert!(
            ask(&desk, "similar", Value::Null)
                .unwrap_err()
                .contains("embeds")
        );
        desk.case.options.grader = Some(json!("case"));
        assert_eq!(ask(&desk, "similar", Value::Null).unwrap(), "case");
        assert!(ask(&desk, "answer-relevance", Value::Null).is_err());
        desk.embedding_model = Some("default");
        assert_eq!(ask(&desk, "similar", Value::Null).unwrap(), "default");
        assert_eq!(ask(&desk, "similar", json!("own")).unwrap(), "own");
        assert_eq!(
            ask(&desk, "answer-relevance", json!("own")).unwrap(),
            "default"
        );
        let both = json!({"text": "t", "embedding": {"id": "e"}});
        assert_eq!(ask(&desk, "answer-relevance", both).unwrap(), "e");
    }
}
