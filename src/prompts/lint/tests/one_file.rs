//! Rules about one file: for each a case where it speaks, at its place, and one where it does not.

use super::{LONG, compare, material, prompt};
use crate::prompts::lint::Rule;

/// The file `p.prompt`, and where in it the rule speaks; elsewhere after `!`, nowhere when empty.
#[rustfmt::skip]
const CASES: [(Rule, &str, &str); 57] = [
    (Rule::BrokenFile, "---\nmodel: x\n", "1:1-4"),
    (Rule::BrokenFile, "---\na: [\n---\nx", "2:4-5"),
    (Rule::BrokenFile, "---\nmodel: x\n---", "3:1-4"),
    (Rule::BrokenFile, "---\nmodel: x\n---\nx", ""),
    (Rule::UnknownKey, "---\nmodle: x\n---\nx", "2:1-6"),
    (Rule::UnknownKey, "---\na.b: c\nlabels: x\n---\nx", "3:1-7"),
    (Rule::UnknownKey, "---\npromptgate.onwer: x\n---\nx", "2:1-17"),
    (Rule::UnknownKey, "---\ninput: {schema: {a: string}}\npromptgate.trusted: [b]\n---\n{{a}}", "3:22-23"),
    (Rule::UnknownKey, "---\nmodel: x\nteam.labels: y\n---\nx", ""),
    (Rule::NotDotprompt, "---\nmodel: x\n---\na {{role \"user\"}} {{#if (eq a b)}}x{{/if}}", "4:26-28"),
    (Rule::NotDotprompt, "---\nmodel: x\n---\n{{#if a}}x{{/if}}", ""),
    (Rule::MissingReference, "---\ntools: [find]\n---\nx", "2:9-13"),
    (Rule::MissingReference, "---\noutput:\n  schema:\n    a: Nothing\n---\nx", "4:8-15"),
    (Rule::MissingReference, "---\nmodel: x\n---\né {{x}} {{> absent}}", "4:13-19"),
    (Rule::MissingReference, "---\nmodel: x\n---\n{{> part}}", ""),
    (Rule::UndeclaredVariable, "---\ninput: {schema: {a: string}}\n---\n{{a}} {{b}}", "4:9-10"),
    (Rule::UndeclaredVariable, "---\ninput: {schema: {a: string}}\n---\n{{a}}", ""),
    (Rule::BadSchema, "---\ninput:\n  schema:\n    a(list): string\n---\n{{a}}", "4:5-12"),
    (Rule::BadSchema, "---\noutput:\n  schema:\n    type: string\n    size: string\n---\nx", "4:5-9"),
    (Rule::BadSchema, "---\noutput:\n  schema:\n    type: object\n    properties: {a: {type: string}}\n---\nx", ""),
    (Rule::BadDefault, "---\ninput:\n  default:\n    n: many\n  schema: {n: integer}\n---\n{{n}}", "4:5-6"),
    (Rule::BadDefault, "---\ninput:\n  default: {m: 1}\n  schema: {n: integer}\n---\n{{n}}", "3:13-14"),
    (Rule::BadDefault, "---\ninput:\n  default: {n: 1}\n  schema: {n: integer, o: string}\n---\n{{n}}{{o}}", ""),
    (Rule::BadRole, "---\nmodel: x\n---\n{{role \"boss\"}}x", "4:9-13"),
    (Rule::BadRole, "---\nmodel: x\n---\na{{role \"tool\"}}{{r}}", "4:2-17"),
    (Rule::BadRole, "---\nmodel: x\n---\na{{history}}\n\nAnd now {{x}}", "6:1-4"),
    (Rule::BadRole, "---\nmodel: x\n---\na{{history}}{{role \"tool\"}}{{r}}{{role \"user\"}}b", ""),
    (Rule::ShadowedHelper, "---\ninput:\n  schema:\n    history?: string\n---\nx", "4:5-13"),
    (Rule::ShadowedHelper, "---\ninput:\n  schema:\n    histories: string\n---\n{{histories}}", ""),
    (Rule::ModelNotAllowed, "---\nmodel: gone\n---\nx", "2:8-12"),
    (Rule::ModelNotAllowed, "---\nmodel: openai/going\n---\nx", "2:8-20"),
    (Rule::ModelNotAllowed, "---\nmodel: small\n---\nx", ""),
    (Rule::Secret, "---\nconfig:\n  api_key: x\n---\nx", "3:3-10"),
    (Rule::Secret, "---\nazure.endpoint: https://x\n---\nx", "2:1-15"),
    (Rule::Secret, "---\nmodel: ${env:MODEL}\n---\nx", "2:8-20"),
    (Rule::Secret, "---\ninput: {schema: {endpoint: string}}\n---\nsk-iing {{endpoint}}", ""),
    (Rule::UnusedVariable, "---\ninput:\n  schema:\n    a: string\n    b?(array): string\n---\n{{a}}", "5:5-14"),
    (Rule::UnusedVariable, "---\ninput:\n  schema: {a: string}\n---\n{{json this}}", ""),
    (Rule::RawValue, "---\ninput: {schema: {a(array): string}}\n---\n{{ a }}", "4:4-5"),
    (Rule::RawValue, "---\ninput: {schema: {o: {a(array): string}}}\n---\nx {{o.a}}", "4:5-8"),
    (Rule::RawValue, "---\ninput: {schema: {a(array): string}}\n---\n{{json a}}{{#each a}}{{this}}{{/each}}", ""),
    (Rule::UntrustedSystemText, "---\nmodel: x\n---\n{{role \"system\"}}é {{a}} {{a}}{{role \"user\"}}{{b}}", "4:22-23"),
    (Rule::UntrustedSystemText, "---\ninput: {schema: {n: integer, k(enum): [a, b], t: string}}\npromptgate.trusted: [t]\n---\n{{role \"system\"}}{{n}}{{k}}{{t}}", ""),
    (Rule::UntrustedSystemText, "---\npromptgate.trusted: true\n---\n{{role \"system\"}}{{t}}", ""),
    (Rule::TwoSpellings, "---\nconfig:\n  topP: 1\n  top_p: 1\n---\nx", "4:3-8"),
    (Rule::TwoSpellings, "---\nconfig:\n  topP: 1\n  top_k: 1\n---\nx", ""),
    (Rule::LooseOutput, "---\nmodel: small\noutput:\n  schema:\n    a: string\n    b?: string\n---\nx", "6:5-7"),
    (Rule::LooseOutput, "---\nmodel: small\noutput:\n  schema:\n    l(array):\n      b?: string\n---\nx", "6:7-9"),
    (Rule::LooseOutput, "---\nmodel: small\noutput:\n  schema: {(*): string}\n---\nx", "4:3-9"),
    (Rule::LooseOutput, "---\nmodel: small\noutput:\n  schema: Answer\n---\nx", "!schemas/Answer.yaml:2:1-3"),
    (Rule::LooseOutput, "---\nmodel: small\noutput:\n  schema: {a: string}\n---\nx", ""),
    (Rule::LooseOutput, "---\nmodel: elsewhere\noutput:\n  schema: {a?: string}\n---\nx", ""),
    (Rule::CacheBreaker, "---\npromptgate.cache_prefix: true\n---\n{{role \"system\"}}{{x}} fixed", "4:20-21"),
    (Rule::CacheBreaker, "---\nmodel: x\n---\nIt is {{today}}. Short.", ""),
    (Rule::HiddenCharacter, "---\nmodel: x\n---\na\u{200b}b", "4:2-3"),
    (Rule::HiddenCharacter, "---\nmodel: x\n---\nsend to рaypal now", "4:9-15"),
    (Rule::HiddenCharacter, "---\nmodel: x\n---\nplain, Привет, 👩\u{200d}💻", ""),
];

/// What is wrong with a case; empty when nothing is.
fn fault((rule, source, wanted): (Rule, &str, &str)) -> String {
    let material = material(&[
        ("p.prompt", source),
        ("_part.prompt", "part"),
        ("schemas/Answer.yaml", "a: string\nb?: string\n"),
    ]);
    let place = match wanted.strip_prefix('!') {
        Some(elsewhere) => elsewhere.to_owned(),
        None => format!("p.prompt:{wanted}"),
    };
    let wanted: &[&str] = if wanted.is_empty() { &[] } else { &[&place] };
    compare(rule, &material, wanted)
}

#[test]
fn rules_of_one_file() {
    let faults: String = CASES.into_iter().map(fault).collect();
    assert!(faults.is_empty(), "{faults}");
}

#[test]
fn credentials_and_volatile_values_are_found() {
    let filler = format!("{LONG} ").repeat(20);
    let volatile = format!("{{{{role \"system\"}}}}It is {{{{today}}}}. {filler}");
    let stable = format!("{{{{role \"system\"}}}}{filler} It is {{{{today}}}}.");
    let key = ["sk-proj-", "a1B2c3D4e5F6g7H8i9J0"].concat();
    for (rule, template, wanted) in [
        (Rule::Secret, format!("the key is {key}"), "4:12-40"),
        (Rule::CacheBreaker, volatile, "4:26-31"),
        (Rule::CacheBreaker, stable, ""),
    ] {
        let source = prompt("model: x", &template);
        assert_eq!(fault((rule, &source, wanted)), "");
    }
}
