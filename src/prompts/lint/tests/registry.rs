//! The registry's own settings, what changed, and what the load says.

use super::{assert_found, facts, found, material, prompt, show};
use crate::domain::PromptKey;
use crate::prompts::bundle::tests::files;
use crate::prompts::lint::{Lint, Material, Rule, Severity};
use crate::prompts::load::load;

#[test]
fn changes_are_held_against_the_base() {
    let (old, new) = ("A fine day.\nAnd a night.", "A fine day.\nAnd no night.");
    let base = [("p.prompt", old), ("_a.prompt", "x")];
    let sample = ("p.samples.yaml", "samples:\n  - name: one\n");
    for (rule, now, eval, wanted) in [
        (
            Rule::UncoveredChange,
            vec![("p.prompt", new)],
            false,
            vec!["p.prompt:2:1-14"],
        ),
        (
            Rule::UncoveredChange,
            vec![("p.prompt", old), ("q.prompt", "new")],
            false,
            vec!["q.prompt:1:1-4"],
        ),
        (
            Rule::UncoveredChange,
            vec![("p.prompt", new), sample],
            false,
            vec![],
        ),
        (Rule::UncoveredChange, vec![("p.prompt", new)], true, vec![]),
        (
            Rule::UncoveredChange,
            vec![("p.prompt", old)],
            false,
            vec![],
        ),
        (
            Rule::WhitespaceOnly,
            vec![("p.prompt", "A fine day.\nAnd  a night.\n")],
            false,
            vec!["p.prompt:2:1-14"],
        ),
        (
            Rule::WhitespaceOnly,
            vec![("p.prompt", new), ("_a.prompt", "x")],
            false,
            vec![],
        ),
    ] {
        let material = Material {
            base: Some(files(&base)),
            evals: eval
                .then(|| PromptKey::parse("p").unwrap())
                .into_iter()
                .collect(),
            ..material(&now)
        };
        assert_found(rule, &material, &wanted);
        let alone = Material {
            base: None,
            ..material
        };
        assert_found(rule, &alone, &[]);
    }
}

#[test]
fn the_registry_sets_levels_models_and_limits() {
    let source = prompt("model: openai/x", "{{role \"system\"}}{{a}}");
    let with = |registry: &str| {
        let material = material(&[("p.prompt", &source), ("registry.yaml", registry)]);
        let all = found(&material).into_iter();
        all.map(|finding| format!("{:?} {}", finding.severity, show(&finding)))
            .collect::<Vec<_>>()
            .join("; ")
    };
    let warning = "Warning W103 p.prompt:4:20-21";
    for (registry, wanted) in [
        ("lint: {}", warning),
        ("lint: {W103: error}", "Error W103 p.prompt:4:20-21"),
        ("lint: {W103: off}", ""),
        ("lint: {W103: warn, P011: off}\nmodels: []", warning),
        ("models: [\"openai/*\"]", warning),
        (
            "models: [gpt-5]",
            "Error P011 p.prompt:2:8-16; Warning W103 p.prompt:4:20-21",
        ),
        ("limits: {tokens: 2}\nlint: {W103: off}", ""),
        (
            "lint: {W103: off}\nlimts: 1",
            "Error P002 registry.yaml:2:1-6",
        ),
        (
            "lint: {W103: off, W999: off}",
            "Error P002 registry.yaml:1:19-23",
        ),
        (
            "lint: {W103: off, W110: maybe}",
            "Error P002 registry.yaml:1:25-30",
        ),
        (
            "lint: {W103: off, P003: off}",
            "Error P002 registry.yaml:1:25-28",
        ),
        (
            "lint: {W103: off}\nmodels: openai/x",
            "Error P002 registry.yaml:2:1-7; Error P011 p.prompt:2:8-16",
        ),
    ] {
        let mut found: Vec<String> = with(registry).split("; ").map(str::to_owned).collect();
        found.sort_by_key(|shown| shown.split(' ').nth(1).map(str::to_owned));
        assert_eq!(found.join("; "), wanted, "{registry}");
    }
}

#[test]
fn what_the_load_refuses_is_reported_as_it_says_it() {
    let broken = files(&[
        ("_c.prompt", "{{> c}}"),
        (
            "a.prompt",
            "---\nmodle: x\ntools: [x]\n---\n{{eq a b}}{{> gone}}",
        ),
        ("b.prompt", "---\nx: [\n---\n"),
        ("c.prompt", "\u{feff}x"),
        ("d.samples.yaml", "samples: []"),
        ("registry.yaml", "lint: {P002: off, P007: off}"),
        ("schemas/S.yaml", "a(x): string"),
    ]);
    let problems = load(&broken).problems;
    assert_eq!(problems.len(), 8, "{problems:#?}");
    let material = Material {
        files: broken,
        ..Material::default()
    };
    let all = found(&material);
    for problem in problems {
        let same = all.iter().find(|finding| finding.problem == problem);
        assert_eq!(
            same.map(|finding| finding.severity),
            Some(Severity::Error),
            "{problem:?}"
        );
    }
}

#[test]
fn lines_with_credentials_are_not_shown() {
    let key = ["ghp_", "a1B2c3D4e5F6g7H8i9J0k1L2"].concat();
    let lint = Lint::of(
        material(&[("p.prompt", &format!("a\u{200b}b {key}\nc\u{200b}d"))]),
        facts(),
    );
    let shown: Vec<_> = lint
        .findings
        .iter()
        .map(|finding| (finding.problem.code, lint.line(finding)))
        .collect();
    assert_eq!(
        shown,
        [
            (Rule::HiddenCharacter, None),
            (Rule::Secret, None),
            (Rule::HiddenCharacter, Some("c\u{200b}d".to_owned())),
        ]
    );
}
