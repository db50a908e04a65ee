//! Rules that look at several files together.

use super::{LONG, compare, found, material, prompt};
use crate::prompts::lint::{Material, Rule};

const PLAIN: &str = "---\ninput: {schema: {a: string}}\n---\n{{a}}";

/// A rule, files, and where it speaks.
type Case<'a> = (Rule, &'a [(&'a str, &'a str)], &'a [&'a str]);

#[rustfmt::skip]
const CASES: [Case<'_>; 15] = [
    (Rule::PartialCycle, &[("p.prompt", "x {{> a}}"), ("_a.prompt", "{{> b}}"), ("_b.prompt", "y {{> a}}")], &["_a.prompt:1:5-6", "_b.prompt:1:7-8"]),
    (Rule::PartialCycle, &[("p.prompt", "{{> a}}{{> a}}"), ("_a.prompt", "{{> b}}"), ("_b.prompt", "y")], &[]),
    (Rule::SampleTooLarge, &[("p.prompt", "short"), ("p.samples.yaml", "samples:\n  - name: one\n")], &[]),
    (Rule::SampleFails, &[("p.prompt", PLAIN), ("p.samples.yaml", "samples:\n  - name: one\n    variables: {a: [1]}\n")], &["p.samples.yaml:2:11-14"]),
    (Rule::SampleFails, &[("p.prompt", PLAIN), ("p.samples.yaml", "samples:\n  - name: one\n    variables: {a: x}\n")], &[]),
    (Rule::BadName, &[("P.prompt", "x"), ("p.prompt", "x")], &["p.prompt:?:?-?"]),
    (Rule::BadName, &[("p q.prompt", "x")], &["p q.prompt:?:?-?"]),
    (Rule::BadName, &[("p.prompt", "x"), ("releases.yaml", "aliases:\n  pmpt_a: p\n  PMPT_a: p\n  p: p\n")], &["releases.yaml:3:3-9", "releases.yaml:4:3-4"]),
    (Rule::BadName, &[("p.prompt", "x"), ("q.prompt", "x"), ("releases.yaml", "aliases: {pmpt_a: p}\n")], &[]),
    (Rule::VariantDrift, &[("p.prompt", PLAIN), ("p.x.prompt", "{{b}}")], &["p.x.prompt:1:1-2"]),
    (Rule::VariantDrift, &[("p.prompt", PLAIN), ("p.x.prompt", "Say {{a}}")], &[]),
    (Rule::HiddenCharacter, &[("p.prompt", "---\nmodel: x\n---\n{{> hidden}}"), ("_hidden.prompt", "a\u{202e}")], &["_hidden.prompt:1:2-3"]),
    (Rule::UntrustedSystemText, &[("p.prompt", "{{role \"system\"}}{{> a}}"), ("_a.prompt", "x {{v}}")], &["_a.prompt:1:5-6"]),
    (Rule::BadSchema, &[("schemas/A.yaml", "name: string\ntype: string\n")], &["schemas/A.yaml:2:1-5"]),
    (Rule::BadSchema, &[("tools/t.yaml", "inputSchema:\n  properties: {a: {type: string}}\n  size: string\n")], &["tools/t.yaml:2:3-13"]),
];

/// Files in the order in which a source reads them.
fn sorted(files: &[(&str, &str)]) -> Material {
    let mut material = material(files);
    material.files.sort_by(|a, b| a.path.cmp(&b.path));
    material
}

#[test]
fn rules_of_several_files() {
    let faults: String = CASES
        .into_iter()
        .map(|(rule, files, wanted)| compare(rule, &sorted(files), wanted))
        .collect();
    assert!(faults.is_empty(), "{faults}");
}

#[test]
fn what_does_not_fit_into_the_model_is_found() {
    let sample = ("p.samples.yaml", "samples:\n  - name: one\n");
    for (words, wanted) in [
        (1500, &["p.samples.yaml:2:11-14"][..]),
        (100, &[]),
        // More bytes than tokens are allowed, and fewer tokens.
        (500, &[]),
    ] {
        let source = prompt("model: small", &"word ".repeat(words));
        let material = sorted(&[("p.prompt", &source), sample]);
        assert_eq!(compare(Rule::SampleTooLarge, &material, wanted), "");
    }
}

#[test]
fn what_is_too_large_to_be_rendered_is_found() {
    let source = "{{a}}".repeat(12);
    let samples = format!(
        "samples:\n  - name: one\n    variables: {{a: {}}}\n",
        "x".repeat(900_000)
    );
    let material = sorted(&[("p.prompt", &source), ("p.samples.yaml", &samples)]);
    let wanted = ["p.samples.yaml:2:11-14"];
    assert_eq!(compare(Rule::SampleTooLarge, &material, &wanted), "");
}

#[test]
fn texts_that_are_there_twice_are_found() {
    let copy = LONG.replace(", name the", ",\n   name the");
    let nearly = LONG.replace("short sentences", "plain words");
    let words: String = (0..40).map(|number| format!("word{number} ")).collect();
    let paragraph = format!("{words}\n\n{LONG}\n\nAnd more.");
    let other = "Something else entirely, said at some length here.";
    for (files, wanted) in [
        (
            [("p.prompt", LONG), ("q.prompt", &copy)],
            "the text is that of `p`",
        ),
        (
            [("p.prompt", LONG), ("q.prompt", &nearly)],
            "the text is to 82 % that of `p`",
        ),
        ([("p.prompt", LONG), ("p.x.prompt", &nearly)], ""),
        (
            [("p.prompt", LONG), ("p.x.prompt", LONG)],
            "the text is that of `p`",
        ),
        (
            [("p.prompt", &paragraph), ("q.prompt", LONG)],
            "the paragraph is also in `p`",
        ),
        ([("p.prompt", LONG), ("q.prompt", other)], ""),
        ([("p.prompt", "Say {{x}}."), ("q.prompt", "Say {{x}}.")], ""),
    ] {
        let all = found(&sorted(&files));
        let of_rule = all
            .iter()
            .filter(|finding| finding.problem.code == Rule::RepeatedText);
        let shown: Vec<_> = of_rule
            .map(|finding| {
                assert_eq!(finding.problem.path, files[1].0);
                assert_eq!(finding.problem.line, Some(1));
                finding.problem.message.as_str()
            })
            .collect();
        assert_eq!(shown.join("; "), wanted);
    }
}
