//! Every problem with its place and cure.

use super::{load_with, shown};

/// What stands before suites that are about something else.
const HEAD: &str = "prompts: [\"{{q}}\"]\nproviders: [echo]\n";

/// Suites after [`HEAD`], each with what is wrong in it.
const AFTER_HEAD: [(&str, &str); 48] = [
    ("unknown key", "tets: []\n"),
    ("no mapping", "tests:\n  - 5\n"),
    ("both", "targets: [echo]\ntests: [{vars: {q: 1}}]\n"),
    ("extensions", "extensions: [\"file://x.js:hook\"]\n"),
    ("filters", "nunjucksFilters: {shout: shout.js}\n"),
    ("metadata", "metadata: {gates: []}\n"),
    ("case keys", "tests:\n  - var: {q: 1}\n    asert: []\n"),
    (
        "assert in vars",
        "tests:\n  - vars:\n      q: 1\n      assert:\n        - type: contains\n",
    ),
    (
        "assert no list",
        "tests:\n  - assert: {type: contains, value: x}\n",
    ),
    (
        "assertion keys",
        "tests:\n  - assert:\n      - type: contains\n        vlaue: x\n",
    ),
    ("no type", "tests: [{assert: [{value: x}]}]\n"),
    (
        "unknown type",
        "tests: [{assert: [{type: containz, value: x}]}]\n",
    ),
    (
        "python",
        "tests: [{assert: [{type: python, value: 'True'}]}]\n",
    ),
    (
        "red team",
        "tests: [{assert: [{type: 'promptfoo:redteam:pii'}]}]\n",
    ),
    ("human", "tests: [{assert: [{type: human}]}]\n"),
    (
        "not-select-best",
        "tests: [{assert: [{type: not-select-best, value: x}]}]\n",
    ),
    ("no value", "tests: [{assert: [{type: icontains}]}]\n"),
    (
        "no threshold",
        "tests: [{assert: [{type: latency}, {type: cost}, {type: cost, weight: 0}]}]\n",
    ),
    (
        "weights",
        "tests: [{assert: [{type: is-json, weight: heavy, threshold: high}]}]\n",
    ),
    (
        "empty set",
        "tests: [{assert: [{type: assert-set, assert: []}]}]\n",
    ),
    (
        "set in set",
        "tests: [{assert: [{type: assert-set, assert: [{type: assert-set, assert: []}]}]}]\n",
    ),
    (
        "python file",
        "tests: [{assert: [{type: equals, value: file://check.py}]}]\n",
    ),
    (
        "typescript",
        "tests: [{options: {transform: file://t.ts}}]\n",
    ),
    (
        "package",
        "tests: [{assert: [{type: javascript, value: 'package:@a/b:c'}]}]\n",
    ),
    (
        "no file",
        "tests: [{assert: [{type: javascript, value: file://chekc.js}]}]\n",
    ),
    (
        "judge",
        "tests: [{assert: [{type: llm-rubric, value: x, provider: opnai:gpt-4}]}]\n",
    ),
    ("judge echo", "tests: [{options: {provider: echo}}]\n"),
    ("options", "tests: [{options: {tranform: output}}]\n"),
    (
        "switch",
        "tests: [{options: {disableVarExpansion: 'yes'}}]\n",
    ),
    (
        "factuality",
        "tests: [{options: {factuality: {subset: 1, superst: 0}}}]\n",
    ),
    (
        "providers",
        "tests: [{vars: {q: 1}, providers: [nobody]}]\n",
    ),
    ("prompts", "tests: [{vars: {q: 1}, prompts: [nothing]}]\n"),
    ("generator", "tests: file://make.py:cases\n"),
    (
        "generator config",
        "tests: [{path: cases.jsonl, config: {n: 1}}]\n",
    ),
    ("elsewhere", "tests: huggingface://datasets/x/y\n"),
    ("spreadsheet", "tests: cases.xlsx\n"),
    ("no such data", "tests: cases.jsonlx\n"),
    ("broken data", "tests: broken.jsonl\n"),
    ("empty data", "tests: empty.jsonl\n"),
    ("no pattern", "tests: data/*.yaml\n"),
    ("outside", "tests: ../../elsewhere.yaml\n"),
    ("script var", "tests: [{vars: {q: file://q.js}}]\n"),
    ("pdf var", "tests: [{vars: {q: file://q.pdf}}]\n"),
    (
        "reference",
        "tests: [{assert: [{$ref: '#/assertionTemplates/gone'}]}]\n",
    ),
    (
        "circle",
        "assertionTemplates: {a: {$ref: '#/assertionTemplates/b'}, b: {$ref: '#/assertionTemplates/a'}}\n",
    ),
    (
        "scenario",
        "scenarios: [{tests: [{vars: {q: 1}}]}, {config: [{}], test: []}]\n",
    ),
    (
        "run options",
        "evaluateOptions: {repeat: 0, maxConcurency: 2, filterRange: '5:1'}\n",
    ),
    (
        "derived",
        "derivedMetrics: [{name: f1}, {name: a, value: b, vaule: c}]\n",
    ),
];

/// `metadata.promptgate` with what is wrong in it.
const OWN: [(&str, &str); 18] = [
    ("unknown", "gate: []"),
    ("version", "version: 2"),
    (
        "numbers",
        "repeat: 0\nconcurrency: many\nmax_error_share: 2",
    ),
    (
        "judge",
        "judge: {use: judges/gone.yaml, min_tpr: 85, min_tn: 1}",
    ),
    ("judge twice", "judge: {use: judges/j.yaml, model: x}"),
    ("judge file", "judge: judges/bad.yaml"),
    (
        "gate kind",
        "gates: [{metric: pass}, {metric: pass, kind: non_inferir}]",
    ),
    (
        "gate keys",
        "gates: [{metric: pass, kind: ratio, margin: 1}]",
    ),
    (
        "gate bounds",
        "gates: [{metric: pass, kind: non_inferior}, {metric: x, kind: absolute}, {kind: ratio, max: 1}]",
    ),
    (
        "gate word",
        "gates: [{metric: pass, kind: ratio, max: 1.1, on_inconclusive: ignore}]",
    ),
    (
        "budget",
        "budget: {usd: much, judge_usd: 0.0000001, on_exceed: go_on}",
    ),
    ("cron", "schedule: 17 3 * *"),
    ("schedule", "schedule: {cron: 61 3 * * *, overlap: both}"),
    (
        "alerts",
        "schedule: {cron: 1 3 * * *, alerts: [{webhook: 'https://x'}, {webhook: env:X, on: [fialed]}]}",
    ),
    ("stopping", "stopping: sometimes"),
    (
        "groups",
        "counterfactual: {var: q, groups: {a: [x], b: [y, z]}}",
    ),
    (
        "groups twice",
        "counterfactual: {var: q, groups: {a: [x], b: [y]}}",
    ),
    (
        "paths",
        "cluster: metadata.gone\nslices: [language, vars.gone]",
    ),
];

/// Whole suites.
const WHOLE: [(&str, &str); 14] = [
    ("empty", ""),
    ("nothing in it", "description: x\n"),
    ("broken", "prompts: [\nproviders: x"),
    ("twice", "prompts: [a]\nprompts: [b]\n"),
    (
        "providers",
        "prompts: [a]\nproviders:\n  - id: exec:run.sh\n  - label: x\n  - https://x.example\n  - file://p.py\n  - openai:assistant:a\n  - gpt-4\n  - {id: echo, lable: y}\n",
    ),
    (
        "config",
        "prompts: [a]\nproviders:\n  - id: openai:gpt-5-mini\n    config:\n      temprature: 1\n      functionToolCallbacks: {}\n      tools: file://gone.json\n      n: 3\n      stream: true\n      response_schema: {}\n",
    ),
    (
        "for whom",
        "prompts: [a]\nproviders: [{id: echo, prompts: [b]}]\n",
    ),
    ("no list", "prompts: [a]\nproviders: []\n"),
    (
        "prompts",
        "providers: [echo]\nprompts:\n  - prompt://Bad Name\n  - prompt://a@pr-7\n  - langfuse://x\n  - file://p.py\n  - make.js\n  - exec:run\n  - file://gone.txt\n  - {label: x}\n  - {raw: a, lable: b}\n  - file://a.prompt\n  - file://a.bin\n",
    ),
    ("prompt labels", "providers: [echo]\nprompts: {a.txt: 5}\n"),
    (
        "environment",
        "prompts: [a]\nproviders: [echo]\nenv: {A: [1]}\n",
    ),
    (
        "default",
        "prompts: [a]\nproviders: [echo]\ndefaultTest: d.js\n",
    ),
    (
        "default keys",
        "prompts: [a]\nproviders: [echo]\ndefaultTest: {options: {disableDefaultAsserts: 1}, thresold: 1}\n",
    ),
    (
        "vars",
        "prompts: [a]\nproviders: [echo]\ntests: [{vars: v.txt}, {vars: list.yaml}, {vars: [5]}]\n",
    ),
];

const OTHERS: [(&str, &str); 9] = [
    ("evals/check.js", "output"),
    (
        "evals/broken.jsonl",
        "{\"vars\": {\"q\": 1}}\n{\"vars\": \n",
    ),
    ("evals/empty.jsonl", "\n"),
    ("evals/cases.jsonl", "{\"vars\": {\"q\": 1}}\n"),
    ("evals/list.yaml", "- 1\n"),
    ("evals/a.prompt", "x"),
    ("evals/a.bin", "x"),
    ("evals/judges/j.yaml", "model: gateway:x\n"),
    (
        "evals/judges/bad.yaml",
        "model: echo\nrubric: x\nlabels: bad.jsonl\n",
    ),
];

fn report(name: &str, suite: &str) -> String {
    let problems = load_with(suite, &OTHERS).expect_err(name);
    format!("== {name}\n{}", shown(&problems))
}

#[test]
fn every_problem_says_where_and_what_to_do() {
    let mut reports: Vec<String> = AFTER_HEAD
        .iter()
        .map(|(name, suite)| report(name, &[HEAD, suite].concat()))
        .collect();
    reports.extend(OWN.iter().map(|(name, own)| {
        let own = own.replace('\n', "\n    ");
        let rest = "tests: [{vars: {q: 1}, metadata: {language: en}}]\n";
        let suite = format!("{HEAD}{rest}metadata:\n  promptgate:\n    {own}\n");
        report(name, &suite)
    }));
    reports.extend(WHOLE.iter().map(|(name, suite)| report(name, suite)));
    insta::assert_snapshot!(reports.join("\n"));
}

#[test]
fn all_problems_are_told_together() {
    let suite = "promts: [a]\nproviders: [gpt]\ntests:\n  - asserts: []\n  - assert: [{type: x}]\n";
    let problems = load_with(suite, &[]).unwrap_err();
    let lines: Vec<u32> = problems.iter().map(|problem| problem.place.line).collect();
    assert_eq!(lines, [1, 1, 2, 4, 5], "{}", shown(&problems));
}
