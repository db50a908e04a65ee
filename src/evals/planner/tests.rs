//! Plans as a whole.

use crate::domain::{BundleHash, PromptKey, PromptReference};
use crate::evals::plan::{RunPlan, Side, SubjectPrompt};
use crate::evals::planner::{
    Because, Counts, Figures, Filter, PromptFiles, Request, ResolvedVersion, Tree, plan, touched,
};
use crate::evals::suite::{Files, Problem, Source, Suite, load};
use crate::metering::PriceRow;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::sync::Arc;

const SUITE: &str = "
prompts: [prompt://support/triage, 'Say {{message}}']
providers:
  - gateway:default
  - {id: gateway:openai/big, label: big, config: {max_tokens: 100}, prompts: [support/triage]}
defaultTest: {assert: [{type: is-json}]}
tests:
  - {vars: {message: one}, metadata: {id: a, lang: en}}
  - {vars: {message: two}, metadata: {id: b, lang: de}, assert: [{type: llm-rubric, value: x}, {type: g-eval, value: [x, y]}]}
  - {vars: {message: three}, description: The third, metadata: {id: c, lang: [de, fr]}, options: {repeat: 4}}
metadata: {promptgate: {repeat: 2, judge: {model: openai/judge}}}
";

fn suite(text: &str) -> Suite {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("evals")).unwrap();
    fs::write(dir.path().join("evals/s.yaml"), text).unwrap();
    let files = Files::directory(dir.path()).unwrap();
    let source = Source {
        files: &files,
        environment: &BTreeMap::new(),
        directory: "evals",
    };
    load(&source, "evals/s.yaml").unwrap_or_else(|problems| panic!("{problems:?}"))
}

fn version(reference: &PromptReference) -> Result<ResolvedVersion, String> {
    if reference.key.as_str() != "support/triage" {
        return Err("there is no such prompt".to_owned());
    }
    Ok(ResolvedVersion {
        key: PromptKey::parse("support/triage").unwrap(),
        hash: BundleHash([7; 32]),
        bundle: json!({}),
        version: "v3".to_owned(),
        model: Some("openai/small".to_owned()),
        variables: vec![("message".to_owned(), true), ("channel".to_owned(), false)],
        is_strict: true,
        text: "Sort this".to_owned(),
        max_output: Some(50),
    })
}

fn price(model: &str) -> Option<Arc<PriceRow>> {
    let (input, output) = match model {
        "openai/small" => (1_000_000, 2_000_000),
        "openai/big" => (10_000_000, 20_000_000),
        "openai/judge" => (100_000_000, 0),
        "openai/vectors" => (3_000_000, 0),
        _ => return None,
    };
    Some(Arc::new(PriceRow {
        input: Some(input),
        output: Some(output),
        ..PriceRow::default()
    }))
}

fn planned(head: &Suite, base: Option<&Suite>, filter: &Filter) -> Result<RunPlan, Vec<Problem>> {
    let tree = |suite, name: &str| Tree {
        suite,
        commit: None,
        name: name.to_owned(),
        prompts: &version,
    };
    plan(&Request {
        head: tree(head, "this directory"),
        base: base.map(|base| tree(base, "main")),
        filter,
        figures: &Figures {
            price: &price,
            recorded_output: &|label| label.starts_with("[big]").then_some(10),
            embedding_model: Some("openai/vectors"),
        },
    })
}

/// The suite with a model for the text.
fn good() -> String {
    SUITE.replace(
        "  - gateway:default\n",
        "  - {id: gateway:default, prompts: [support/triage]}\n  - {id: gateway:openai/small, label: small, prompts: ['Say*']}\n",
    )
}

#[test]
fn a_plan_has_every_prompt_with_its_models() {
    let suite = suite(&good());
    let plan = planned(&suite, None, &Filter::default()).unwrap();
    let [head] = plan.sides.as_slice() else {
        panic!("{} sides", plan.sides.len());
    };
    let labels: Vec<&str> = head
        .subjects
        .iter()
        .map(|subject| subject.label.as_str())
        .collect();
    assert_eq!(
        labels,
        [
            "[gateway:default] support/triage",
            "[big] support/triage",
            "[small] Say {{message}}"
        ]
    );
    assert!(
        matches!(&head.subjects[0].prompt, SubjectPrompt::Version { version, .. } if version == "v3")
    );
    assert_eq!(head.subjects[1].parameters["max_tokens"], 100);
    let counts = Counts::of(&plan);
    // Two cases twice and one four times, of three subjects; a rubric and two criteria in two calls.
    assert_eq!((counts.subjects, counts.cases), (3, 3));
    assert_eq!((counts.case_calls, counts.judge_calls), (24, 2 * 5 * 3));
    let amount = plan.forecast.pico_usd.unwrap();
    // Outputs: 8 calls of at most 50 tokens, 8 of 10 as recorded, 8 of a guess; 30 judgements.
    let outputs = 8 * (50 * 2 + 10 * 20 + 400 * 2) * 1_000_000;
    let judged = 10 * (350 * 3 + 50 + 10 + 400) * 100_000_000;
    assert!(
        outputs + judged < amount && amount < outputs + judged + 8 * 12 * 20_000_000,
        "{amount}"
    );
    assert!((plan.forecast.detectable_drop.unwrap() - 0.269).abs() < 0.001);
    assert_eq!(plan.judge.as_ref().unwrap().model, "openai/judge");
    let again: RunPlan = serde_json::from_str(&serde_json::to_string(&plan).unwrap()).unwrap();
    assert_eq!(again, plan);
}

#[test]
fn what_embeds_answers_is_paid_too() {
    let text = good();
    let wanted = suite(&text.replace("{repeat: 2,", "{repeat: 2, output_shift: true,"));
    let plain = suite(&text);
    let amount = |suite: &Suite, base: Option<&Suite>| {
        let plan = planned(suite, base, &Filter::default()).unwrap();
        (
            plan.forecast.pico_usd.unwrap(),
            plan.forecast.notes.join("\n"),
        )
    };
    let (without, _) = amount(&plain, Some(&plain));
    let (with, notes) = amount(&wanted, Some(&plain));
    // Of each of three subjects: of base two answers of three cases, of head one; as long as they are taken to be.
    assert_eq!(with - without, (50 + 10 + 400) * (6 + 3) * 3_000_000);
    assert!(notes.contains("embedded by `openai/vectors`"), "{notes}");
    // Without a base nothing moves.
    assert_eq!(amount(&wanted, None).0, amount(&plain, None).0);
}

#[test]
fn a_price_that_is_not_known_makes_no_sum() {
    let suite = suite(&good().replace("openai/big", "openai/new"));
    let plan = planned(&suite, None, &Filter::default()).unwrap();
    assert_eq!(plan.forecast.pico_usd, None);
    let notes = plan.forecast.notes.join("\n");
    assert!(
        notes.contains("no price is known for `openai/new`"),
        "{notes}"
    );
}

#[test]
fn what_cannot_be_asked_is_a_problem() {
    let problems = planned(&suite(SUITE), None, &Filter::default()).unwrap_err();
    assert_eq!(
        problems[0].message,
        "the prompt `Say {{message}}` names no model"
    );
    for (from, to, message) in [
        (
            "{message: one}",
            "{mesage: one}",
            "the case `a` lacks `message`, which the prompt `support/triage` wants",
        ),
        (
            "{message: one}",
            "{message: one, chanel: x}",
            "the prompt `support/triage` has no variable `chanel`",
        ),
        (
            "prompt://support/triage",
            "prompt://support/triag",
            "`prompt://support/triag`: there is no such prompt",
        ),
    ] {
        let text = good()
            .replace(from, to)
            .replace("prompts: [support/triage]", "delay: 0");
        let problems = planned(&suite(&text), None, &Filter::default()).unwrap_err();
        let messages: Vec<&str> = problems
            .iter()
            .map(|problem| problem.message.as_str())
            .collect();
        assert!(messages.contains(&message), "{messages:?}");
    }
}

#[test]
fn both_sides_are_asked_the_cases_of_head() {
    let head = suite(&good());
    let base = suite(
        &good()
            .replace("id: a,", "id: gone,")
            .replace("message: two", "message: 2"),
    );
    let plan = planned(&head, Some(&base), &Filter::default()).unwrap();
    let sides: Vec<(Side, usize)> = plan
        .sides
        .iter()
        .map(|side| (side.side, side.cases.len()))
        .collect();
    assert_eq!(sides, [(Side::Base, 3), (Side::Head, 3)]);
    assert_eq!(plan.sides[0].cases, plan.sides[1].cases);
    let warnings = plan.warnings.join("\n");
    assert!(warnings.contains("1 new, 1 gone, 1 changed"), "{warnings}");
    // Lines that moved are no change.
    let moved = suite(&["# moved\n", &good()].concat());
    let plan = planned(&moved, Some(&head), &Filter::default()).unwrap();
    assert!(
        !plan.warnings.join("\n").contains("not those of base"),
        "{:?}",
        plan.warnings
    );
    assert_eq!(plan.forecast.case_calls, 48);
}

#[test]
fn a_base_that_has_no_such_prompt_is_left_out() {
    let head = suite(&good());
    let base = suite(
        &good()
            .replace("prompt://support/triage", "prompt://support/old")
            .replace("prompts: [support/triage]", "delay: 0"),
    );
    let plan = planned(&head, Some(&base), &Filter::default()).unwrap();
    assert_eq!(plan.sides.len(), 1);
    assert!(
        plan.warnings.join("\n").contains("base cannot be asked"),
        "{:?}",
        plan.warnings
    );
}

/// A filter that says one thing.
fn only(say: impl FnOnce(&mut Filter)) -> Filter {
    let mut filter = Filter::default();
    say(&mut filter);
    filter
}

fn set(ids: &[&str]) -> BTreeSet<String> {
    ids.iter().map(|id| (*id).to_owned()).collect()
}

#[test]
fn filters_choose_cases() {
    let suite = suite(&good());
    let language = ("lang".to_owned(), "de".to_owned());
    for (filter, expected) in [
        (only(|filter| filter.ids = set(&["b"])), "b"),
        (
            only(|filter| filter.pattern = Some("THIRD".to_owned())),
            "c",
        ),
        (only(|filter| filter.metadata = vec![language]), "b c"),
        (only(|filter| filter.failing = Some(set(&["a", "x"]))), "a"),
        (only(|filter| filter.first = Some(2)), "a b"),
    ] {
        let plan = planned(&suite, None, &filter).unwrap();
        let cases = plan.sides[0].cases.iter();
        let ids: Vec<&str> = cases.map(|case| case.id.0.as_str()).collect();
        assert_eq!(ids.join(" "), expected, "{filter:?}");
    }
    let sample = |seed| {
        let filter = only(|filter| filter.sample = Some((2, seed)));
        planned(&suite, None, &filter).unwrap().sides[0]
            .cases
            .clone()
    };
    assert_eq!(sample(1), sample(1));
    assert!((0..20).any(|seed| sample(seed) != sample(1)));
}

#[test]
fn filters_choose_models_and_prompts() {
    let suite = suite(&good());
    let text = |text: &str| vec![text.to_owned()];
    let filter = Filter {
        models: text("b*"),
        prompts: text("support/triage"),
        ..Filter::default()
    };
    let plan = planned(&suite, None, &filter).unwrap();
    assert_eq!(plan.sides[0].subjects.len(), 1);
    for (filter, message) in [
        (
            only(|filter| filter.ids = set(&["z"])),
            "there is no case `z`",
        ),
        (
            only(|filter| filter.first = Some(0)),
            "no case of 3 is left by the filter",
        ),
        (
            only(|filter| filter.models = text("x")),
            "no prompt with a model is left by the filter",
        ),
    ] {
        let problems = planned(&suite, None, &filter).unwrap_err();
        assert_eq!(problems[0].message, message);
    }
}

#[test]
fn a_change_touches_what_is_made_from_it() {
    let head = suite(&good());
    let labelled = suite(
        &good()
            .replace("triage,", "triage@production,")
            .replace("prompts: [support/triage]", "delay: 0"),
    );
    let fixed = suite(
        &good()
            .replace("triage,", "triage@v3,")
            .replace("prompts: [support/triage]", "delay: 0"),
    );
    let files = |_: &PromptReference| {
        BTreeSet::from([
            "prompts/support/triage.prompt".to_owned(),
            "prompts/_tone.prompt".to_owned(),
        ])
    };
    let prompts = PromptFiles {
        files_of: &files,
        releases: "prompts/releases.yaml",
    };
    let because = |changed: &str, suite: &Suite| -> Vec<Because> {
        let changed = BTreeSet::from([changed.to_owned(), "README.md".to_owned()]);
        let found = touched(&changed, std::slice::from_ref(suite), &[], &prompts);
        found
            .into_iter()
            .flat_map(|touched| touched.because)
            .collect()
    };
    let path = |path: &str| path.to_owned();
    assert_eq!(
        because("evals/s.yaml", &head),
        [Because::Suite {
            path: path("evals/s.yaml")
        }]
    );
    let partial = Because::Prompt {
        prompt: path("support/triage"),
        path: path("prompts/_tone.prompt"),
    };
    assert_eq!(because("prompts/_tone.prompt", &head), [partial]);
    assert!(because("prompts/other.prompt", &head).is_empty());
    assert!(because("prompts/releases.yaml", &head).is_empty());
    let labels = Because::Labels {
        prompt: path("support/triage@production"),
        path: path("prompts/releases.yaml"),
    };
    assert_eq!(because("prompts/releases.yaml", &labelled), [labels]);
    assert!(because("prompts/_tone.prompt", &fixed).is_empty());
    // A file that only the base had.
    let mut base = head.clone();
    base.files.push((path("evals/old.jsonl"), String::new()));
    let changed = BTreeSet::from([path("evals/old.jsonl")]);
    let found = touched(&changed, &[head], &[base], &prompts);
    assert_eq!(
        found[0].because,
        [Because::File {
            path: path("evals/old.jsonl")
        }]
    );
}
