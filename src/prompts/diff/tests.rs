//! The diff as a whole: a case for every rule, and its JSON.

use crate::domain::PromptKey;
use crate::metering::PriceRow;
use crate::prompts::bundle::tests::files;
use crate::prompts::diff::{CallerUsage, Facts, Pair, Rule, Side, Usage, Verdict, compare};
use crate::prompts::load::load;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;

type Files<'a> = &'a [(&'a str, &'a str)];

/// The prompt `p` of these files; a text alone is its file.
fn side(all: Files<'_>) -> Side {
    let loaded = load(&files(all));
    assert!(loaded.problems.is_empty(), "{:#?}", loaded.problems);
    let (key, prompt) = loaded.prompts.iter().next().unwrap();
    Side {
        key: key.clone(),
        bundle: Arc::clone(&prompt.bundle),
        number: Some(1),
        commit: None,
        dirty: false,
        is_from_files: true,
        path: prompt.path.clone(),
        samples: Arc::clone(&prompt.samples),
    }
}

fn pair(base: Files<'_>, head: Files<'_>) -> Pair {
    let side = |files: Files<'_>| (!files.is_empty()).then(|| side(files));
    Pair {
        base: side(base),
        head: side(head),
        problems: Vec::new(),
    }
}

/// Two callers: one sends `a` always and follows, one sends nothing, and one is pinned.
fn usage() -> Usage {
    let caller = |name: &str, calls, pinned_calls, variables: &[(&str, u64)]| CallerUsage {
        caller: name.to_owned(),
        key: Some(format!("key_{name}")),
        calls,
        pinned_calls,
        variables: variables
            .iter()
            .map(|(name, count)| ((*name).to_owned(), *count))
            .collect(),
    };
    Usage {
        calls: 100,
        read_calls: 100,
        input_tokens: 5_000,
        cached_tokens: 0,
        output_tokens: 2_000,
        labels: BTreeMap::from([("production".to_owned(), 60)]),
        versions: BTreeMap::from([("v1".to_owned(), 100)]),
        callers: vec![
            caller("app", 60, 0, &[("a", 60)]),
            caller("batch", 30, 0, &[]),
            caller("old", 0, 10, &[]),
        ],
    }
}

fn shown(pair: &Pair, facts: &Facts) -> (String, BTreeSet<Rule>) {
    let diff = compare(pair, facts).unwrap();
    let mut text = format!("{}\n", diff.verdict.as_str());
    for finding in &diff.findings {
        let _ = writeln!(
            text,
            "  {} {}: {}",
            finding.verdict.as_str(),
            finding.rule.as_str(),
            finding.message
        );
    }
    (
        text,
        diff.findings.iter().map(|finding| finding.rule).collect(),
    )
}

const INPUT: &str = "---\nmodel: gpt-5-mini\ninput:\n  schema:\n    a: string\n    tier?(enum): [standard, gold]\n\
    output:\n  schema:\n    topic(enum): [one, two]\n---\nHello {{a}}\n";

/// The prompt above with parts replaced.
fn edited(edits: &[(&str, &str)]) -> String {
    let mut text = INPUT.to_owned();
    for (from, to) in edits {
        assert!(text.contains(from), "{from}");
        text = text.replace(from, to);
    }
    text
}

/// What is changed of the prompt above.
const EDITS: [(&str, Files<'_>); 25] = [
    (
        "a new required variable",
        &[
            ("    a: string", "    a: string\n    reason: string"),
            ("{{a}}", "{{a}} {{reason}}"),
        ],
    ),
    (
        "a new optional variable",
        &[("    a: string", "    a: string\n    reason?: string")],
    ),
    (
        "a new variable with a default",
        &[
            ("input:\n", "input:\n  default: {reason: none}\n"),
            ("    a: string", "    a: string\n    reason: string"),
        ],
    ),
    (
        "an optional variable that is required now",
        &[("tier?(enum)", "tier(enum)")],
    ),
    (
        "a removed variable that nobody sends",
        &[("    tier?(enum): [standard, gold]\n", "")],
    ),
    (
        "a removed variable that is sent",
        &[("    a: string\n", ""), (" {{a}}", "")],
    ),
    ("a narrowed enum", &[("[standard, gold]", "[standard]")]),
    (
        "a widened enum",
        &[("[standard, gold]", "[standard, gold, silver]")],
    ),
    ("another type", &[("a: string", "a: integer")]),
    ("a wider type", &[("a: string", "a: any")]),
    (
        "another description of a variable",
        &[("a: string", "a: string, the first letter")],
    ),
    (
        "an output that may be something new",
        &[("[one, two]", "[one, two, three]")],
    ),
    ("an output that may be less", &[("[one, two]", "[one]")]),
    (
        "no output schema any more",
        &[("output:\n  schema:\n    topic(enum): [one, two]\n", "")],
    ),
    (
        "a described output",
        &[("topic(enum)", "topic(enum, what it is about)")],
    ),
    ("another model", &[("gpt-5-mini", "gpt-5")]),
    (
        "another parameter",
        &[("input:", "config: {temperature: 0.5}\ninput:")],
    ),
    (
        "a locked parameter",
        &[("input:", "promptgate.locked: [temperature]\ninput:")],
    ),
    (
        "strict variables",
        &[("input:", "promptgate.strict: true\ninput:")],
    ),
    (
        "messages forbidden",
        &[("input:", "promptgate.messages: forbid\ninput:")],
    ),
    (
        "messages appended",
        &[("input:", "promptgate.messages: append\ninput:")],
    ),
    ("another text", &[("Hello", "Good day")]),
    ("other blanks", &[("Hello {{a}}", "Hello   {{a}}\n\n")]),
    ("a comment", &[("Hello", "{{! be kind }}Hello")]),
    (
        "another owner",
        &[(
            "model:",
            "description: Greets.\npromptgate.owner: shop\nmodel:",
        )],
    ),
];

#[test]
fn every_rule_fires_and_says_why() {
    let facts = Facts {
        usage: Some(usage()),
        ..Facts::default()
    };
    let (mut text, mut fired) = (String::new(), BTreeSet::new());
    for (name, edits) in EDITS {
        let head = edited(edits);
        let pair = pair(&[("p.prompt", INPUT)], &[("p.prompt", &head)]);
        let (shown, rules) = shown(&pair, &facts);
        let _ = write!(text, "{name}: {shown}");
        fired.extend(rules);
    }
    for (name, base, head) in OTHERS {
        let (shown, rules) = shown(&pair(base, head), &facts);
        let _ = write!(text, "{name}: {shown}");
        fired.extend(rules);
    }
    insta::assert_snapshot!(text);
    let all = Rule::ALL.into_iter().filter(|rule| !fired.contains(rule));
    let left: Vec<_> = all.map(Rule::as_str).collect();
    // A prompt that does not load is no pair of bundles: the command line's test has one.
    assert_eq!(left, ["does-not-load"]);
}

const PLAIN: &str = "{{> tone}} Hello";
const TOOL: &str = "---\ntools: [find]\n---\nHello";

/// What needs more files than one.
const OTHERS: [(&str, Files<'_>, Files<'_>); 10] = [
    (
        "a partial with another text",
        &[("p.prompt", PLAIN), ("_tone.prompt", "Be kind.")],
        &[("p.prompt", PLAIN), ("_tone.prompt", "Be brief.")],
    ),
    (
        "a line end more in a partial",
        &[
            ("p.prompt", "{{> tone}}\nHello\n"),
            ("_tone.prompt", "Be kind."),
        ],
        &[
            ("p.prompt", "{{> tone}}\nHello\n"),
            ("_tone.prompt", "Be kind.\n"),
        ],
    ),
    (
        "a new tool",
        &[("p.prompt", "Hello")],
        &[
            ("p.prompt", TOOL),
            ("tools/find.yaml", "inputSchema: {q: string}"),
        ],
    ),
    (
        "a tool that is gone",
        &[
            ("p.prompt", TOOL),
            ("tools/find.yaml", "inputSchema: {q: string}"),
        ],
        &[("p.prompt", "Hello")],
    ),
    (
        "a tool that takes more",
        &[
            ("p.prompt", TOOL),
            ("tools/find.yaml", "inputSchema: {q: string}"),
        ],
        &[
            ("p.prompt", TOOL),
            (
                "tools/find.yaml",
                "inputSchema: {q: string, limit: integer}",
            ),
        ],
    ),
    (
        "a tool with another description",
        &[
            ("p.prompt", TOOL),
            ("tools/find.yaml", "inputSchema: {q: string}"),
        ],
        &[
            ("p.prompt", TOOL),
            (
                "tools/find.yaml",
                "description: Finds.\ninputSchema: {q: string}",
            ),
        ],
    ),
    (
        "a pattern, which is not compared",
        &[(
            "p.prompt",
            "---\ninput:\n  schema: {type: object, properties: {a: {type: string, pattern: '^[a-z]+x$'}}}\n---\n{{a}}",
        )],
        &[(
            "p.prompt",
            "---\ninput:\n  schema: {type: object, properties: {a: {type: string, pattern: '^[a-z]+'}}}\n---\n{{a}}",
        )],
    ),
    ("a new prompt", &[], &[("p.prompt", "Hello")]),
    ("a prompt that is gone", &[("p.prompt", "Hello")], &[]),
    (
        "a prompt with another name",
        &[("p.prompt", "Hello")],
        &[("q.prompt", "Hello")],
    ),
];

#[test]
fn without_records_nothing_is_invented() {
    let removed = edited(&[("    tier?(enum): [standard, gold]\n", "")]);
    let required = edited(&[("    a: string", "    a: string\n    reason: string")]);
    for (head, message) in [
        (
            removed,
            "variable `tier` is gone, and ignored from now on: no records tell who sends it",
        ),
        (
            required,
            "new required variable `reason`: no records tell who sends it",
        ),
    ] {
        let pair = pair(&[("p.prompt", INPUT)], &[("p.prompt", &head)]);
        let diff = compare(&pair, &Facts::default()).unwrap();
        assert_eq!(diff.findings[0].message, message);
        assert_eq!(
            diff.verdict,
            Verdict::Breaking,
            "what is not known may break"
        );
        let forecast = diff.forecast.unwrap();
        assert_eq!((forecast.calls, forecast.difference_pico_usd), (None, None));
        assert_eq!(
            forecast.head.unwrap().call_pico_usd,
            None,
            "no price is no zero"
        );
        assert_eq!(diff.reach.usage, None);
    }
}

#[test]
fn values_are_made_up_where_there_are_no_samples() {
    let head = edited(&[("Hello {{a}}", "Good day {{a}}{{#if tier}}, {{tier}}{{/if}}")]);
    let pair = pair(&[("p.prompt", INPUT)], &[("p.prompt", &head)]);
    let diff = compare(&pair, &Facts::default()).unwrap();
    let [sample] = diff.samples.as_slice() else {
        panic!("{:?}", diff.samples);
    };
    assert!(sample.made_up && sample.base_error.is_none() && sample.head_error.is_none());
    let added = &sample.messages[0].hunks[0].lines[1];
    assert_eq!(added.text, "Good day <a>, standard");
}

#[test]
fn the_json_is_what_it_was() {
    let base = [
        (
            "shop/refund.prompt",
            "---\nmodel: gpt-5-mini\ninput:\n  schema:\n    a: string, the order\n---\n\
          {{role \"system\"}}\nBe kind.\n{{> policy}}\n{{role \"user\"}}\nOrder {{a}}\n",
        ),
        ("_policy.prompt", "Returns within 30 days.\n"),
        (
            "shop/refund.samples.yaml",
            "samples:\n  - name: one\n    variables: {a: A1}\n",
        ),
    ];
    let head = [
        (
            "shop/refund.prompt",
            "---\nmodel: gpt-5-mini\nconfig: {temperature: 0}\ninput:\n  schema:\n    a: string, the order\n    \
          reason: string\n---\n{{role \"system\"}}\nBe kind.\n{{> policy}}\n{{role \"user\"}}\nOrder {{a}}: {{reason}}\n",
        ),
        ("_policy.prompt", "Returns within 60 days.\n"),
        (
            "shop/refund.samples.yaml",
            "samples:\n  - name: one\n    variables: {a: A1, reason: broken}\n",
        ),
    ];
    let row = Arc::new(PriceRow {
        provider: "openai".to_owned(),
        model: "gpt-5-mini".to_owned(),
        as_of: "2026-11-23".to_owned(),
        input: Some(250_000),
        cached_input: Some(25_000),
        output: Some(2_000_000),
        ..PriceRow::default()
    });
    let facts = Facts {
        usage: Some(usage()),
        base_price: Some(Arc::clone(&row)),
        head_price: Some(row),
        labels: Some(vec!["production".to_owned()]),
    };
    let diff = compare(&pair(&base, &head), &facts).unwrap();
    assert_eq!(diff.name, PromptKey::parse("shop/refund").unwrap());
    insta::assert_json_snapshot!(diff);
}
