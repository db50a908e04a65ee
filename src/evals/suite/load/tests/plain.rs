//! A plain promptfoo config, unchanged.

use super::{good, load_with};
use crate::domain::PicoDollars;
use crate::evals::suite::{
    AssertNode, AssertionKind, AssertionValue, GateKind, ModelSource, PromptSource, Stopping,
};
use serde_json::json;

const CONFIG: &str = r#"
# yaml-language-server: $schema=https://promptfoo.dev/config-schema.json
description: 'City {{env.CITY}}'
tags: {team: support}
env:
  STYLE: short
prompts:
  - "Answer {{env.STYLE}}: {{question}}"
  - file://prompts/*.txt
  - id: file://prompts/chat.json
    label: chat
  - file://prompts/table.csv
  - prompt://support/refund@v7
providers:
  - openai:chat:gpt-5-mini
  - id: anthropic:messages:claude-sonnet-4
    label: claude
    prompts: [chat]
    delay: 250
    transform: output.trim()
    config:
      apiKey: '{{env.TOKEN}}'
      temperature: 0
      maxTokens: 64
      passthrough: {extra: true}
      tools: file://tools.json
  - google:gemini-2.5-pro:
      config: {generationConfig: {maxOutputTokens: 9, topP: 0.5}}
  - file://more.yaml
defaultTest:
  vars: {lang: en}
  assert:
    - {type: latency, threshold: 4000, metric: latency}
  options: {provider: openai:gpt-5}
  threshold: 0.5
assertionTemplates:
  polite: {type: llm-rubric, value: is polite, weight: 2}
tests:
  - description: capital
    vars: {question: What is the capital?}
    assert:
      - {type: icontains, value: paris}
      - $ref: '#/assertionTemplates/polite'
      - {$ref: '#/assertionTemplates/polite', weight: 3}
      - type: is-json
        value: {type: object, properties: {a: {$ref: '#/definitions/x'}}}
      - type: not-contains
        value: file://banned.txt
      - type: javascript
        value: file://check.js:main
      - type: assert-set
        threshold: 0.5
        assert: [{type: contains, value: a}, {type: contains, value: b}]
  - vars: {question: "{{env.CITY}}?"}
    options: {disableDefaultAsserts: true, temperature: 1}
    providers: [claude]
    provider: null
  - vars: {question: x}
    prompts: [chat]
    provider: openai:gpt-5-nano
derivedMetrics: [{name: f1, value: 2 * tp / __count}]
evaluateOptions: {maxConcurrency: 2, repeat: 3, cache: false, delay: 10, timeoutMs: 0, showProgressBar: false}
outputPath: out.json
sharing: false
"#;

const FILES: [(&str, &str); 8] = [
    (
        "evals/prompts/one.txt",
        "First {{question}}\n---\nSecond {{question}}\n",
    ),
    (
        "evals/prompts/chat.json",
        "[{\"role\": \"user\", \"content\": \"{{question}}\"}]",
    ),
    (
        "evals/prompts/table.csv",
        "label,prompt\nshort,\"Be brief, {{question}}\"\n",
    ),
    (
        "evals/tools.json",
        "[{\"type\": \"function\", \"function\": {\"name\": \"f\"}}]",
    ),
    ("evals/more.yaml", "- ollama:chat:llama3\n- echo\n"),
    ("evals/banned.txt", "forbidden"),
    ("evals/check.js", "module.exports = {main: () => true}"),
    ("evals/unused.yaml", "x: 1"),
];

#[test]
fn a_plain_config_is_read_as_it_is() {
    let suite = good(CONFIG, &FILES);
    assert_eq!(suite.name, "s");
    assert_eq!(suite.description.as_deref(), Some("City Paris"));
    let prompts: Vec<(&str, &PromptSource)> = suite
        .prompts
        .iter()
        .map(|prompt| (prompt.label.as_str(), &prompt.source))
        .collect();
    let text = |text: &str| PromptSource::Text(text.to_owned());
    assert_eq!(
        prompts,
        [
            (
                "Answer short: {{question}}",
                &text("Answer short: {{question}}")
            ),
            ("evals/prompts/one.txt", &text("First {{question}}")),
            ("evals/prompts/one.txt #2", &text("Second {{question}}")),
            (
                "chat",
                &PromptSource::Chat(json!([{"role": "user", "content": "{{question}}"}]))
            ),
            ("short", &text("Be brief, {{question}}")),
            (
                "support/refund@v7",
                &PromptSource::Registry("support/refund@v7".parse().unwrap())
            ),
        ]
    );
    let models: Vec<(&str, ModelSource)> = suite
        .models
        .iter()
        .map(|model| (model.label.as_str(), model.source.clone()))
        .collect();
    let route = |name: &str| ModelSource::Route(name.to_owned());
    assert_eq!(
        models,
        [
            ("openai:chat:gpt-5-mini", route("openai/gpt-5-mini")),
            ("claude", route("anthropic/claude-sonnet-4")),
            ("google:gemini-2.5-pro", route("gemini/gemini-2.5-pro")),
            ("ollama:chat:llama3", route("ollama/llama3")),
            ("echo", ModelSource::Echo),
            ("openai:gpt-5-nano", route("openai/gpt-5-nano")),
        ]
    );
    let claude = &suite.models[1];
    assert_eq!(claude.prompts, ["chat"]);
    assert_eq!(claude.delay_ms, 250);
    assert_eq!(claude.transform.as_ref().unwrap().code, "output.trim()");
    let tools = json!([{"type": "function", "function": {"name": "f"}}]);
    let config = json!({"temperature": 0, "max_tokens": 64, "extra": true, "tools": tools});
    assert_eq!(json!(claude.config), config);
    assert_eq!(
        json!(suite.models[2].config),
        json!({"max_tokens": 9, "top_p": 0.5})
    );
    assert_eq!(suite.derived_metrics[0].expression, "2 * tp / __count");
    let settings = &suite.settings;
    assert_eq!(
        (settings.concurrency, settings.repeat, settings.delay_ms),
        (2, 3, 10)
    );
    assert!(!settings.is_cached && settings.timeout_ms.is_none());
    let read: Vec<&str> = suite.files.iter().map(|(path, _)| path.as_str()).collect();
    assert!(read.contains(&"evals/check.js") && !read.contains(&"evals/unused.yaml"));
    insta::assert_snapshot!(suite.warnings.join("\n"));
}

#[test]
fn cases_have_their_defaults_and_assertions() {
    let suite = good(CONFIG, &FILES);
    let [capital, second, third] = suite.cases.as_slice() else {
        panic!("{:?}", suite.cases);
    };
    assert_eq!(
        json!(capital.vars),
        json!({"lang": "en", "question": "What is the capital?"})
    );
    assert_eq!(capital.threshold, Some(0.5));
    assert_eq!(capital.options.grader, Some(json!("openai/gpt-5")));
    let kinds: Vec<String> = capital
        .asserts
        .iter()
        .map(|node| match node {
            AssertNode::One(one) => {
                let not = if one.is_negated { "not-" } else { "" };
                format!("{not}{} {}", one.kind.as_str(), one.weight)
            }
            AssertNode::Set(set) => format!("set of {} {:?}", set.asserts.len(), set.threshold),
        })
        .collect();
    assert_eq!(
        kinds,
        [
            "latency 1",
            "icontains 1",
            "llm-rubric 2",
            "llm-rubric 3",
            "is-json 1",
            "not-contains 1",
            "javascript 1",
            "set of 2 Some(0.5)",
        ]
    );
    let value = |index: usize| match &capital.asserts[index] {
        AssertNode::One(one) => one.value.clone().unwrap(),
        AssertNode::Set(_) => panic!("a set"),
    };
    // A schema's own references are its own affair.
    let AssertionValue::Json(schema) = value(4) else {
        panic!("no schema");
    };
    assert_eq!(
        schema["properties"]["a"],
        json!({"$ref": "#/definitions/x"})
    );
    assert_eq!(value(5), AssertionValue::Json(json!("forbidden")));
    let AssertionValue::Script(script) = value(6) else {
        panic!("no script");
    };
    assert_eq!(script.function.as_deref(), Some("main"));
    assert_eq!(script.file.as_deref(), Some("evals/check.js"));
    assert_eq!(second.vars["question"], "Paris?");
    assert!(second.asserts.is_empty());
    assert_eq!(second.models, ["claude"]);
    assert_eq!(json!(second.options.other), json!({"temperature": 1}));
    // A case with a model of its own; the others keep to the suite's.
    assert_eq!(third.models, ["openai:gpt-5-nano"]);
    assert_eq!(third.prompts, ["chat"]);
    assert_eq!(capital.models.len(), 5);
}

#[test]
fn our_own_keys_are_read() {
    let own = "
metadata:
  promptgate:
    version: 1
    repeat: 2
    cluster: metadata.conversation
    slices: [metadata.language, vars.tier]
    judge: {use: judges/helpful.yaml, must_differ_from_target: true, min_tpr: .9, min_labels: 80}
    gates:
      - {metric: pass, kind: non_inferior, margin: 0.03, on_inconclusive: warn}
      - {metric: safety/*, kind: absolute, max_failures: 0, max_upper95: 0.10}
      - {metric: cost, kind: ratio, max: 1.10}
      - {metric: pass, kind: max_gap, max: 0.05}
    budget: {usd: 2.00, judge_usd: '0.5', on_exceed: stop_inconclusive}
    schedule: {cron: 17 3 * * mon-fri, time_zone: Europe/Amsterdam, sentinel: true, alerts: [{webhook: env:HOOK}]}
    max_error_share: 0.05
    stopping: {precision: 0.04}
    promote: {when: all_gates}
    online: {sample: 2%}
";
    let tests = "tests: [{vars: {q: 1, tier: gold}, metadata: {language: de, conversation: c1}}, {vars: {q: 2}}]\n";
    let judge = "model: gateway:openai/gpt-5\nconfig: {temperature: 0}\nrubricPrompt: Judge {{output}}\nlabels: judges/helpful.labels.jsonl\n";
    let labels = "{\"output\": \"yes\", \"label\": true}\n";
    let files = [
        ("evals/judges/helpful.yaml", judge),
        ("evals/judges/helpful.labels.jsonl", labels),
    ];
    let suite = good(
        &format!("prompts: [a]\nproviders: [echo]\n{tests}{own}"),
        &files,
    );
    let settings = &suite.settings;
    assert_eq!(settings.repeat, 2);
    assert_eq!(settings.judge.min_labels, 80);
    assert!(settings.judge.must_differ_from_target);
    assert_eq!(settings.gates.len(), 4);
    let non_inferior = GateKind::NonInferior {
        margin: 0.03,
        alpha: 0.05,
    };
    assert_eq!(settings.gates[0].kind, non_inferior);
    assert_eq!(settings.budget.total, Some(PicoDollars(2_000_000_000_000)));
    assert_eq!(settings.budget.judges, Some(PicoDollars(500_000_000_000)));
    assert_eq!(settings.stopping, Stopping::Precision(0.04));
    let schedule = settings.schedule.as_ref().unwrap();
    assert!(schedule.is_sentinel && schedule.time_zone == "Europe/Amsterdam");
    assert_eq!(schedule.alerts[0].on, ["failed", "invalid"]);
    let judge = suite.judge.as_ref().unwrap();
    assert_eq!(judge.model, "openai/gpt-5");
    assert_eq!(judge.rubric_prompt, Some(json!("Judge {{output}}")));
    let case = &suite.cases[0];
    assert_eq!(case.cluster.as_deref(), Some("c1"));
    assert_eq!(
        json!(case.slices),
        json!({"language": "de", "tier": "gold"})
    );
    assert!(suite.cases[1].cluster.is_none() && suite.cases[1].slices.is_empty());
    let warnings = suite.warnings.join("\n");
    assert!(
        warnings.contains("`promote` has no effect yet"),
        "{warnings}"
    );
    assert!(
        warnings.contains("`online` has no effect yet"),
        "{warnings}"
    );
}

#[test]
fn the_hash_is_of_everything_that_was_read() {
    let suite = "prompts: ['{{env.CITY}}']\nproviders: [echo]\ntests: d.jsonl\n";
    let hash = |data: &str, suite: &str| {
        load_with(suite, &[("evals/d.jsonl", data), ("evals/other", "x")])
            .unwrap()
            .hash
    };
    let first = hash("{\"vars\": {\"q\": 1}}", suite);
    assert_eq!(first, hash("{\"vars\": {\"q\": 1}}", suite));
    assert_ne!(first, hash("{\"vars\": {\"q\": 2}}", suite));
    assert_ne!(
        first,
        hash("{\"vars\": {\"q\": 1}}", &[suite, "# x\n"].concat())
    );
    assert_eq!(first.len(), 64);
}

#[test]
fn kinds_of_ours_are_assertions_too() {
    let suite = "prompts: [a]\nproviders: [echo]\ntests: [{assert: [{type: promptgate:pii}, {type: not-promptgate:refusal}]}]\n";
    let suite = good(suite, &[]);
    let AssertNode::One(pii) = &suite.cases[0].asserts[0] else {
        panic!("a set");
    };
    assert_eq!(pii.kind, AssertionKind::Pii);
}
