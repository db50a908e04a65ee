//! Where suites are read from: a directory or a commit, and nothing beside.

use super::{SUITE, directory_of, load_at, load_with, shown, write};
use crate::evals::suite::load::{Files, Source, find, load};
use crate::git::Repository;
use crate::git::tests::{commit_all, repository_with};
use std::collections::BTreeMap;

const PLAIN: &str = "prompts: [file://p.txt]\nproviders: [echo]\ntests: data/*.jsonl\n";

#[test]
fn a_commit_is_read_as_the_directory_was() {
    let dir = repository_with(&[
        (SUITE, PLAIN),
        ("evals/p.txt", "old {{q}}"),
        ("evals/data/a.jsonl", "{\"vars\": {\"q\": 1}}\n"),
    ]);
    let commit = commit_all(dir.path(), "first");
    let before = load_at(dir.path(), SUITE).unwrap();
    write(dir.path(), "evals/p.txt", "new {{q}}");
    write(dir.path(), "evals/data/b.jsonl", "{\"vars\": {\"q\": 2}}\n");
    let repository = Repository::discover(dir.path()).unwrap();
    let commit = repository.resolve(&commit).unwrap();
    let files = Files::commit(repository, commit);
    let source = Source {
        files: &files,
        environment: &BTreeMap::new(),
        directory: "evals",
    };
    assert_eq!(load(&source, SUITE).unwrap(), before);
    let after = load_at(dir.path(), SUITE).unwrap();
    assert_eq!(after.cases.len(), 2);
    assert_ne!(after.hash, before.hash);
    let problems = load(&source, "evals/gone.yaml").unwrap_err();
    assert_eq!(problems[0].message, "there is no file `evals/gone.yaml`");
}

#[test]
fn nothing_outside_is_read() {
    let outside = directory_of(&[("secret.txt", "s")]);
    let dir = directory_of(&[("root/evals/in.txt", "x"), ("above.txt", "x")]);
    let root = dir.path().join("root");
    let link = root.join("evals/link.txt");
    std::os::unix::fs::symlink(outside.path().join("secret.txt"), link).unwrap();
    std::os::unix::fs::symlink(outside.path(), root.join("evals/dir")).unwrap();
    std::os::unix::fs::symlink("in.txt", root.join("evals/same.txt")).unwrap();
    for (reference, message) in [
        ("../../above.txt", "leads out of the repository"),
        ("/etc/hostname", "leads out of the repository"),
        ("link.txt", "leads out of the repository"),
        ("dir/secret.txt", "leads out of the repository"),
        ("dir/*.txt", "no file fits"),
        ("../evals", "is no regular file"),
    ] {
        let suite = format!(
            "prompts: [a]\nproviders: [echo]\ntests: [{{vars: {{q: 'file://{reference}'}}}}]\n"
        );
        write(&root, SUITE, &suite);
        let problems = load_at(&root, SUITE).unwrap_err();
        assert!(
            problems[0].message.contains(message),
            "{reference}: {}",
            shown(&problems)
        );
        assert_eq!(problems[0].place.to_string(), "evals/s.yaml:3:20");
    }
    let suite = "prompts: [a]\nproviders: [echo]\ntests: [{vars: {q: 'file://same.txt'}}]\n";
    write(&root, SUITE, suite);
    assert_eq!(load_at(&root, SUITE).unwrap().cases[0].vars["q"], "x");
}

#[test]
fn what_would_never_end_is_refused() {
    let mut bomb = "x-0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..9 {
        let inner = format!("*a{}, ", level - 1).repeat(10);
        bomb += &format!("x-{level}: &a{level} [{inner}]\n");
    }
    let doubled: String = (1..40)
        .map(|level| {
            let inner = format!("$ref: '#/x-r{}'", level - 1);
            format!("x-r{level}: {{a: {{{inner}}}, b: {{{inner}}}}}\n")
        })
        .collect();
    let references = format!("x-r0: {{k: 1}}\n{doubled}");
    for text in [bomb, references, "[".repeat(50_000)] {
        let problems = load_with(&[PLAIN, &text].concat(), &[("evals/p.txt", "x")]).unwrap_err();
        let words = shown(&problems);
        assert!(
            words.contains("broken YAML") || words.contains("references make more"),
            "{words}"
        );
    }
}

#[test]
fn suites_are_found_among_other_files() {
    let dir = directory_of(&[
        ("evals/a.yaml", PLAIN),
        ("evals/deep/promptfooconfig.yml", PLAIN),
        ("evals/broken.yaml", "a: ["),
        ("evals/notes.yaml", "hello: x\n"),
        ("evals/datasets/d.yaml", "- vars: {}\n"),
        ("evals/judges/j.yaml", "prompts: x\n"),
        ("evals/schema.json", "{\"type\": \"object\"}"),
        ("evals/p.txt", "x"),
        ("evals/deep/p.txt", "x"),
        ("evals/deep/data/a.jsonl", "{}\n"),
        ("other/b.yaml", PLAIN),
    ]);
    let files = Files::directory(dir.path()).unwrap();
    let source = Source {
        files: &files,
        environment: &BTreeMap::new(),
        directory: "evals",
    };
    let found = find(&source).unwrap();
    assert_eq!(
        found,
        [
            "evals/a.yaml",
            "evals/broken.yaml",
            "evals/deep/promptfooconfig.yml"
        ]
    );
    assert_eq!(load(&source, &found[2]).unwrap().name, "deep");
}
