//! Cases: from where they stand to what is asked.

use super::{cases_of, good, load_with, shown};
use crate::evals::suite::{AssertNode, AssertionValue, Case};
use serde_json::{Value, json};
use std::fmt::Write as _;

fn vars(cases: &[Case]) -> Vec<Value> {
    cases.iter().map(|case| json!(case.vars)).collect()
}

#[test]
fn lists_of_texts_are_written_out() {
    for (tests, expected) in [
        (
            "tests: [{vars: {a: [x, y], b: [1, 2], c: [p, q]}}]\n",
            json!([
                {"a": "x", "b": [1, 2], "c": "p"}, {"a": "x", "b": [1, 2], "c": "q"},
                {"a": "y", "b": [1, 2], "c": "p"}, {"a": "y", "b": [1, 2], "c": "q"},
            ]),
        ),
        (
            "tests: [{vars: {a: [x, y]}, options: {disableVarExpansion: true}}]\n",
            json!([{"a": ["x", "y"]}]),
        ),
        (
            "tests: [{vars: {a: [x, 5]}}]\n",
            json!([{"a": "x"}, {"a": 5}]),
        ),
        ("tests: [{vars: {a: []}}]\n", json!([{"a": []}])),
        (
            "tests: [{vars: {a: {b: [x, y]}}}]\n",
            json!([{"a": {"b": ["x", "y"]}}]),
        ),
        (
            "tests: [{vars: {a: file://docs/*.txt}}]\n",
            json!([{"a": "one"}, {"a": "two"}]),
        ),
        (
            "tests: [{vars: {a: [file://docs/a.txt, plain], b: file://d.yaml}}]\n",
            json!([{"a": "one", "b": "{\"k\":[1]}"}, {"a": "plain", "b": "{\"k\":[1]}"}]),
        ),
        (
            "tests: [{vars: {a: \"line\\n\"}}]\n",
            json!([{"a": "line"}]),
        ),
        (
            "tests: [{vars: [v1.yaml, v2.yaml]}]\n",
            json!([{"a": "1", "b": "2"}]),
        ),
        (
            "tests: [{vars: file://dot.png.vars.yaml}]\n",
            json!([{"i": "data:image/png;base64,AAEC"}]),
        ),
        ("description: x\n", json!([{}])),
    ] {
        let files = [
            ("evals/docs/a.txt", " one\n"),
            ("evals/docs/b.txt", "two"),
            ("evals/d.yaml", "k: [1]\n"),
            ("evals/v1.yaml", "a: '0'\nb: '2'\n"),
            ("evals/v2.yaml", "a: '1'\n"),
            ("evals/dot.png", "\u{0}\u{1}\u{2}"),
            ("evals/dot.png.vars.yaml", "i: file://dot.png\n"),
        ];
        assert_eq!(json!(vars(&cases_of(tests, &files))), expected, "{tests}");
    }
}

#[test]
fn files_of_cases_in_every_form() {
    let files = [
        ("evals/t/a.yaml", "- vars: {q: yaml}\n- vars: {q: two}\n"),
        ("evals/t/b.yml", "vars: {q: single}\n"),
        ("evals/t/c.json", "[{\"vars\": {\"q\": \"json\"}}]"),
        ("evals/t/d.jsonl", "{\"vars\": {\"q\": \"jsonl\"}}\n"),
        ("evals/t/e.csv", "q,__expected\ncsv,contains: x\n"),
    ];
    for (tests, expected) in [
        ("tests: t/a.yaml\n", vec!["yaml", "two"]),
        ("tests: file://t/*.y*ml\n", vec!["yaml", "two", "single"]),
        (
            "tests: [t/c.json, file://t/d.jsonl, {path: t/e.csv}, {vars: {q: inline}}]\n",
            vec!["json", "jsonl", "csv", "inline"],
        ),
        (
            "tests: t/*\n",
            vec!["yaml", "two", "single", "json", "jsonl", "csv"],
        ),
    ] {
        let cases = cases_of(tests, &files);
        let found: Vec<&str> = cases
            .iter()
            .map(|case| case.vars["q"].as_str().unwrap())
            .collect();
        assert_eq!(found, expected, "{tests}");
    }
    let case = &cases_of("tests: t/e.csv\n", &files)[0];
    assert_eq!(case.description.as_deref(), Some("Row #1"));
    assert_eq!(case.place.to_string(), "evals/t/e.csv:2");
}

#[test]
fn defaults_scenarios_and_cases_are_laid_over_each_other() {
    let suite = "
prompts: [a]
providers: [echo]
defaultTest:
  vars: {x: default, y: default, z: default}
  assert: [{type: contains, value: default}]
  options: {prefix: default, suffix: default}
  metadata: {from: default, kept: 1}
  threshold: 0.1
scenarios:
  - config:
      - vars: {x: first, y: first}
        assert: [{type: contains, value: first}]
        options: {suffix: first}
        metadata: {from: first}
        threshold: 0.2
      - vars: {x: second}
    tests:
      - vars: {x: test}
        assert: [{type: contains, value: test}]
      - description: no defaults
        options: {disableDefaultAsserts: true}
tests:
  - vars: {x: alone}
";
    let mut text = String::new();
    for case in good(suite, &[]).cases {
        let asserts = json!(case.asserts);
        let values: Vec<&Value> = asserts
            .as_array()
            .unwrap()
            .iter()
            .map(|node| &node["one"]["value"]["json"])
            .collect();
        let _ = writeln!(
            text,
            "{:?} {} {} {:?}/{:?} {} {:?}",
            case.description,
            json!(case.vars),
            json!(values),
            case.options.prefix.as_deref().unwrap_or_default(),
            case.options.suffix.as_deref().unwrap_or_default(),
            json!(case.metadata),
            case.threshold,
        );
    }
    insta::assert_snapshot!(text);
}

#[test]
fn a_set_hands_its_config_to_assertions_without_one() {
    let tests = "tests:\n- assert:\n  - type: assert-set\n    config: {strict: true}\n    assert:\n    \
        - {type: contains, value: a}\n    - {type: contains, value: b, config: {own: 1}}\n  \
        - {type: contains, value: c}\n";
    let cases = cases_of(tests, &[]);
    let [AssertNode::Set(set), AssertNode::One(outside)] = cases[0].asserts.as_slice() else {
        panic!("{:?}", cases[0].asserts);
    };
    let configs: Vec<Value> = set.asserts.iter().map(|one| json!(one.config)).collect();
    assert_eq!(configs, [json!({"strict": true}), json!({"own": 1})]);
    assert_eq!(json!(outside.config), json!({}));
}

#[test]
fn a_case_may_stand_in_a_file_that_is_referred_to() {
    let file = "{\"all\": [{\"vars\": {\"q\": \"a\"}, \"assert\": [{\"$ref\": \"#/one\"}]}], \
        \"one\": {\"type\": \"equals\", \"value\": null}}";
    let others = [
        ("evals/more.json", file),
        ("evals/far.json", "{\"$ref\": \"more.json#/all/0\"}"),
    ];
    let cases = cases_of("tests:\n- $ref: 'more.json#/all/0'\n", &others);
    assert_eq!(vars(&cases), [json!({"q": "a"})]);
    let [AssertNode::One(one)] = cases[0].asserts.as_slice() else {
        panic!("{:?}", cases[0].asserts);
    };
    assert_eq!(one.value, Some(AssertionValue::Json(Value::Null)));
    for (reference, message) in [
        (
            "more.json#/none",
            "`$ref: more.json#/none` leads nowhere there",
        ),
        ("far.json", "`$ref: more.json#/all/0` leads nowhere there"),
        ("gone.json", "there is no file `evals/gone.json`"),
    ] {
        let suite = format!("prompts: [x]\nproviders: [echo]\ntests:\n- $ref: {reference}\n");
        let problems = load_with(&suite, &others).unwrap_err();
        assert_eq!(problems[0].message, message);
    }
}

#[test]
fn a_file_of_text_is_a_value_without_its_last_line_end() {
    let tests = "tests: [{assert: [{type: equals, value: file://w.txt, weight: -1}]}]\n";
    let cases = cases_of(tests, &[("evals/w.txt", "word\n")]);
    let [AssertNode::One(one)] = cases[0].asserts.as_slice() else {
        panic!("{:?}", cases[0].asserts);
    };
    assert_eq!(one.value, Some(AssertionValue::Json(json!("word"))));
    assert!(one.weight < 0.0, "a weight may count against the case");
}

#[test]
fn names_stay_while_a_case_stays() {
    let ids = |tests: &str| -> Vec<String> {
        let cases = cases_of(tests, &[]);
        cases.into_iter().map(|case| case.id.0).collect()
    };
    let first = ids("tests: [{vars: {q: 1}}, {vars: {q: 2}, metadata: {id: two}}]\n");
    assert_eq!(first[0].len(), 12);
    assert_eq!(first[1], "two");
    // Neither lines nor defaults nor descriptions are a part of it.
    let moved = "# a line\ndefaultTest: {assert: [{type: is-json}]}\ntests:\n  - description: x\n    vars: {q: 1}\n";
    assert_eq!(ids(moved)[0], first[0]);
    assert_ne!(
        ids("tests: [{vars: {q: 1}, assert: [{type: is-json}]}]\n")[0],
        first[0]
    );
    let twins = "tests: [{metadata: {id: a}}, {metadata: {id: a}}, {metadata: {id: a-2}}, {metadata: {id: a}}]\n";
    assert_eq!(ids(twins), ["a", "a-3", "a-2", "a-4"]);
}

#[test]
fn groups_make_pairs_with_controls() {
    let own = "metadata: {promptgate: {counterfactual: {var: person, groups: {b: [Bo, Cy], a: [Al, Di]}, control: same_group_resample}}}\n";
    let tests = "tests: [{vars: {q: 1}, metadata: {id: c1}}, {vars: {q: 2, person: Ed}, metadata: {id: c2}}]\n";
    let mut text = String::new();
    for case in cases_of(&[tests, own].concat(), &[]) {
        let group = case
            .group
            .map(|group| (group.pair, group.group, group.is_control));
        let _ = writeln!(
            text,
            "{} {} {:?} {:?}",
            case.id.0, case.vars["person"], group, case.cluster
        );
    }
    insta::assert_snapshot!(text);
    let without = own.replace("same_group_resample", "none");
    assert_eq!(cases_of(&[tests, &without].concat(), &[]).len(), 5);
}

#[test]
fn too_much_is_refused() {
    let values: Vec<String> = (0..40).map(|index| format!("v{index}")).collect();
    let list = values.join(", ");
    let tests = format!(
        "prompts: [a]\nproviders: [echo]\ntests: [{{vars: {{a: [{list}], b: [{list}], c: [{list}]}}}}]\n"
    );
    let problems = load_with(&tests, &[]).unwrap_err();
    assert!(
        shown(&problems).contains("more than 10000 cases"),
        "{}",
        shown(&problems)
    );
    let own = format!(
        "metadata: {{promptgate: {{counterfactual: {{var: x, groups: {{a: [{list}], b: [{list}]}}}}}}}}\n"
    );
    let big = "q\n".to_owned() + &"1\n".repeat(5000);
    let suite = format!("prompts: [a]\nproviders: [echo]\ntests: big.csv\n{own}");
    let problems = load_with(&suite, &[("evals/big.csv", &big)]).unwrap_err();
    assert!(
        shown(&problems).contains("more than 200000 cases"),
        "{}",
        shown(&problems)
    );
}

#[test]
fn forms_of_attacks_are_cases_of_their_own() {
    let own = "metadata: {promptgate: {mutate: {var: q, by: [encode/base64, encode/reversed]}}}\n";
    let text = format!(
        "prompts: [a]\nproviders: [echo]\ntests: [{{metadata: {{id: c}}, vars: {{q: hello}}}}]\n{own}"
    );
    let cases = good(&text, &[]).cases;
    let asked: Vec<(&str, &Value)> = cases
        .iter()
        .map(|case| (case.id.0.as_str(), &case.vars["q"]))
        .collect();
    assert_eq!(asked[0], ("c", &json!("hello")));
    assert_eq!(
        (asked[1].0, asked[2].0),
        ("c/encode/base64", "c/encode/reversed")
    );
    assert!(
        asked[1].1.as_str().unwrap().contains("aGVsbG8="),
        "{asked:?}"
    );
    assert!(
        cases[1..]
            .iter()
            .all(|case| case.cluster.as_deref() == Some("c"))
    );
    let wrong = text.replace("base64", "base46");
    let problems = shown(&load_with(&wrong, &[]).unwrap_err());
    assert!(
        problems.contains("did you mean `encode/base64`?"),
        "{problems}"
    );
    let nowhere = text.replace("var: q", "var: z");
    let problems = shown(&load_with(&nowhere, &[]).unwrap_err());
    assert!(problems.contains("no case has a text in `z`"), "{problems}");
}

#[test]
fn groups_that_are_written_out_name_their_pairs() {
    let text = "prompts: [a]\nproviders: [echo]\ntests:\n\
        - {vars: {q: 1}, metadata: {id: a1, pair: p1, group: a}}\n\
        - {vars: {q: 2}, metadata: {id: b1, pair: p1, group: b}}\n\
        metadata: {promptgate: {pack: {name: bias, version: 1.0.0}, \
        counterfactual: {pair: metadata.pair, group: metadata.group}}}\n";
    let suite = good(text, &[]);
    let members: Vec<(String, String, bool)> = suite
        .cases
        .iter()
        .map(|case| {
            let member = case.group.clone().unwrap();
            assert_eq!(member.pair, "p1");
            (case.id.0.clone(), member.group, member.is_control)
        })
        .collect();
    let expected = [
        ("a1", "a", false),
        ("a1-control", "a", true),
        ("b1", "b", false),
        ("b1-control", "b", true),
    ];
    assert_eq!(
        members,
        expected.map(|(id, group, is_control)| (id.to_owned(), group.to_owned(), is_control))
    );
    assert_eq!(suite.settings.pack.unwrap().version, "1.0.0");
}
