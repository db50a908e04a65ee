//! `releases.yaml` is held against the prompts and the history there are.

use super::{assert_found, material};
use crate::domain::{BundleHash, PromptKey};
use crate::prompts::bundle::tests::files;
use crate::prompts::lint::releases::Versions;
use crate::prompts::lint::{Material, Rule};
use crate::prompts::load::load;
use std::collections::{BTreeSet, HashMap};

#[test]
fn releases_are_held_against_what_there_is() {
    let key = PromptKey::parse("p").unwrap();
    let hash = load(&files(&[("p.prompt", "x")])).prompts[&key]
        .bundle
        .hash();
    let old = BundleHash([0xab; 32]);
    let at = |selector: &str| format!("labels:\n  production:\n    p: {selector}\n");
    let canary = |fields: &str| at(&format!("{{stable: v1, canary: {{{fields}}}}}"));
    let known = hash.short();
    for (text, wanted) in [
        (at("v2"), ""),
        (at("latest"), ""),
        (at("sha-abab"), ""),
        (at(&known), ""),
        (at("git:main"), ""),
        (at("pr-12"), "3:8-13"),
        (at("production"), "3:8-18"),
        (at("v3"), "3:8-10"),
        (at("sha-0000"), "3:8-16"),
        (at("git:gone"), "3:8-16"),
        (at("staging"), "3:8-15"),
        (at("V2!"), "3:8-11"),
        (
            "labels:\n  production:\n    absent: latest\n".to_owned(),
            "3:5-11",
        ),
        (
            "labels:\n  production:\n    \"*\": v1\n".to_owned(),
            "3:10-12",
        ),
        ("labels:\n  v7:\n    p: latest\n".to_owned(), "2:3-5"),
        ("aliases:\n  pmpt_1: absent\n".to_owned(), "2:11-17"),
        ("- a\n".to_owned(), "1:1-2"),
        (canary("to: v2, percent: 10, until: 2026-12-15"), ""),
        (canary("to: v2, until: 2026-11-25"), "3:45-55"),
        (
            canary("to: v2, percent: 10, until: 2026-11-26T10:00:00+01:00"),
            "",
        ),
        ("shadow:\n  p: {to: v2, percent: 5}\n".to_owned(), ""),
        (
            "shadow:\n  absent: {to: v9, percent: 5}\n".to_owned(),
            "2:3-9",
        ),
        (canary("to: v9, percent: 10"), "3:34-36"),
        (canary("to: v2, percent: 101"), "3:47-50"),
        (canary("to: v2, until: 2026-11-01"), "3:45-55"),
        (canary("to: v2, until: soon"), "3:45-49"),
    ] {
        let material = Material {
            versions: Versions {
                numbered: Some(HashMap::from([(key.clone(), vec![old, hash])])),
                commits: BTreeSet::from(["main".to_owned()]),
            },
            ..material(&[("p.prompt", "x"), ("releases.yaml", &text)])
        };
        let place = format!("releases.yaml:{wanted}");
        let wanted: &[&str] = if wanted.is_empty() { &[] } else { &[&place] };
        assert_found(Rule::BadRelease, &material, wanted);
    }
}
