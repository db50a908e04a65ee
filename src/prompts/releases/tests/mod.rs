//! Releases over real repositories: what Git says, and what is refused.

mod overrides;

use crate::domain::{Arm, ArmReason, Caller, PromptKey};
use crate::git::tests::{commit_all, git, repository_with};
use crate::prompts::archive::tests::MemoryArchive;
use crate::prompts::diff::Revision;
use crate::prompts::error::Error;
use crate::prompts::problem::Problem;
use crate::prompts::registry::{Config, Mode, Prompts};
use crate::prompts::releases::{Released, StickyKeys};
use crate::prompts::source::{DirectorySource, Source};
use std::path::Path;
use std::sync::Arc;
use tempfile::TempDir;
use uuid::Uuid;

/// A repository with three versions of `a` and one of `b`.
fn repository() -> TempDir {
    let dir = repository_with(&[("a.prompt", "one"), ("b.prompt", "b")]);
    commit_all(dir.path(), "first");
    git(dir.path(), &["tag", "first"]);
    for text in ["two", "three"] {
        write(dir.path(), "a.prompt", text);
        commit_all(dir.path(), text);
    }
    dir
}

fn write(dir: &Path, path: &str, text: &str) {
    std::fs::write(dir.join(path), text).unwrap();
}

fn releases(dir: &Path, text: &str) {
    write(dir, "releases.yaml", text);
    commit_all(dir, "Release");
}

fn config(dir: &Path) -> Config {
    let path = dir.to_owned();
    Config::new(Source::Directory(DirectorySource { path }))
}

fn open(dir: &Path, archive: &Arc<MemoryArchive>) -> Result<Prompts, Error> {
    let kept: Arc<MemoryArchive> = Arc::clone(archive);
    Prompts::open(config(dir), kept)
}

fn key(name: &str) -> PromptKey {
    PromptKey::parse(name).unwrap()
}

fn keys(user: Option<&str>) -> StickyKeys<'_> {
    StickyKeys {
        user,
        session: None,
        header: None,
        key: None,
        call: Uuid::now_v7(),
    }
}

async fn release(
    prompts: &Prompts,
    reference: &str,
    user: Option<&str>,
) -> Result<Released, Error> {
    let reference = reference.parse().unwrap();
    prompts
        .release(&reference, &Caller::local(), &keys(user))
        .await
}

/// `text label arm reason` of what a call gets, or the kind of the error.
async fn told(prompts: &Prompts, reference: &str) -> String {
    match release(prompts, reference, Some("ada")).await {
        Err(error) => error.kind().to_owned(),
        Ok(released) => {
            let text = released.prompt.bundle.template().to_owned();
            match released.release {
                None => text,
                Some(decision) => {
                    assert_eq!(released.prompt.stamp.label.as_ref(), Some(&decision.label));
                    format!("{text} {} {}", decision.label, decision.arm.as_str())
                }
            }
        }
    }
}

fn problems(error: Error) -> Vec<String> {
    let Error::LoadFailed { problems } = error else {
        panic!("{error:?}");
    };
    problems.iter().map(in_words).collect()
}

/// A problem without its column.
fn in_words(problem: &Problem) -> String {
    let line = problem.line.unwrap_or_default();
    format!("{}:{line}: {}", problem.path, problem.message)
}

#[tokio::test]
async fn labels_mean_what_git_says_and_nothing_else() {
    let dir = repository();
    let archive = Arc::new(MemoryArchive::default());
    releases(
        dir.path(),
        "labels:\n  staging: {\"*\": latest}\n  production: {\"*\": git:first, b: v1}\n  \
         beta: {a: 2}\naliases: {pmpt_1: a}\n",
    );
    let prompts = open(dir.path(), &archive).unwrap();
    for (reference, wanted) in [
        ("a", "one production stable"),
        ("b", "b production stable"),
        ("a@production", "one production stable"),
        ("a@staging", "three staging stable"),
        ("a@beta", "two beta stable"),
        ("b@beta", "prompt_label_not_found"),
        ("a@nothing", "prompt_label_not_found"),
        ("a@latest", "three"),
        ("a@v2", "two"),
        ("pmpt_1", "one production stable"),
        ("pmpt_1@v3", "three"),
        ("pmpt_2", "prompt_not_found"),
    ] {
        assert_eq!(told(&prompts, reference).await, wanted, "{reference}");
    }
    let staging = Caller {
        default_label: Some("staging".to_owned()),
        ..Caller::local()
    };
    let released = prompts
        .release(&"a".parse().unwrap(), &staging, &keys(None))
        .await
        .unwrap();
    assert_eq!(released.release.unwrap().label, "staging");
    let stamp = released.prompt.stamp;
    assert_eq!((stamp.number, stamp.key.as_str()), (Some(3), "a"));
    let pinned = release(&prompts, "a@beta", None)
        .await
        .unwrap()
        .prompt
        .stamp;
    assert_eq!((pinned.number, pinned.dirty), (Some(2), false));
    assert!(pinned.commit.is_some());
    let error = release(&prompts, "b@beta", None).await.unwrap_err();
    assert_eq!(
        error.hint().unwrap(),
        "the labels are `production`, `staging`, `latest`"
    );
    // A caller who may not use the prompt does not learn what an alias stands for.
    let other = Caller {
        prompts: vec!["b".to_owned()],
        ..Caller::local()
    };
    let error = prompts
        .release(&"pmpt_1".parse().unwrap(), &other, &keys(None))
        .await
        .unwrap_err();
    assert_eq!(error.to_string(), "prompt `pmpt_1` not found");
}

#[test]
fn what_is_not_served_yet_goes_to_the_labels_that_mean_the_newest() {
    let dir = repository();
    let archive = Arc::new(MemoryArchive::default());
    let text = "labels: {production: {\"*\": latest, a: v1}, staging: {\"*\": latest}}\n";
    releases(dir.path(), text);
    let prompts = open(dir.path(), &archive).unwrap();
    let tree = prompts.tree(&Revision::Working).unwrap();
    let labels = |name: &str| tree.labels(&PromptKey::parse(name).unwrap()).unwrap();
    assert_eq!(labels("a"), ["staging"]);
    assert_eq!(labels("b"), ["production", "staging"]);
}

fn bad_rules() -> Vec<(&'static str, &'static str)> {
    vec![
        (
            "labels: {production: {a: v9}}",
            "releases.yaml:1: prompt `a` has no version `v9`; there are `v1` to `v3`",
        ),
        (
            "labels:\n  production:\n    \"*\": v2\n",
            "releases.yaml:3: prompt `b` has no version `v2`; there is `v1`",
        ),
        (
            "labels: {production: {aa: v1}}",
            "releases.yaml:1: there is no prompt `aa`",
        ),
        (
            "labels: {production: {a: sha-0000}}",
            "releases.yaml:1: prompt `a` has no version `sha-0000`",
        ),
        (
            "labels: {production: {a: git:nowhere}}",
            "releases.yaml:1: there is no commit, tag or branch `nowhere`",
        ),
        (
            "labels: {production: {a: {stable: v1, canary: {to: v9, percent: 1}}}}",
            "releases.yaml:1: prompt `a` has no version `v9`; there are `v1` to `v3`",
        ),
        (
            "shadow:\n  b: {to: v4, percent: 1}\nlabels: {production: {\"*\": latest}}",
            "releases.yaml:2: prompt `b` has no version `v4`; there is `v1`",
        ),
        (
            "aliases: {pmpt_1: nobody}",
            "releases.yaml:1: there is no prompt `nobody`",
        ),
        (
            "lables: {}",
            "releases.yaml:1: `releases.yaml` has no key `lables`",
        ),
    ]
}

#[tokio::test]
async fn rules_that_do_not_hold_never_reach_traffic() {
    let dir = repository();
    let archive = Arc::new(MemoryArchive::default());
    releases(dir.path(), "labels: {production: {\"*\": latest}}\n");
    let prompts = open(dir.path(), &archive).unwrap();
    for (text, wanted) in bad_rules() {
        write(dir.path(), "releases.yaml", text);
        assert_eq!(problems(prompts.reload().unwrap_err()), [wanted], "{text}");
        let checked = Prompts::check(&config(dir.path()).source);
        assert_eq!(checked.iter().map(in_words).collect::<Vec<_>>(), [wanted]);
        assert_eq!(
            told(&prompts, "a").await,
            "three production stable",
            "{text}"
        );
        assert!(open(dir.path(), &Arc::default()).is_err());
    }
    // A lenient registry keeps the rules it had, and serves the prompts as they are now.
    let lenient = Config {
        mode: Mode::Lenient,
        ..config(dir.path())
    };
    write(dir.path(), "releases.yaml", "labels: {production: {a: v2}}");
    let kept: Arc<MemoryArchive> = Arc::clone(&archive);
    let prompts = Prompts::open(lenient.clone(), kept).unwrap();
    for broken in ["labels: {production: {a: v9}}", "labels: ["] {
        write(dir.path(), "releases.yaml", broken);
        assert_eq!(prompts.reload().unwrap().problems.len(), 1, "{broken}");
        assert_eq!(told(&prompts, "a").await, "two production stable");
    }
    let fresh: Arc<MemoryArchive> = Arc::default();
    assert!(
        Prompts::open(lenient, fresh).is_err(),
        "there are none to keep"
    );
}

#[tokio::test]
async fn a_canary_is_sticky_ends_and_leaves_no_trace_without_a_call() {
    let dir = repository();
    let archive = Arc::new(MemoryArchive::default());
    let canary = |percent: &str, until: &str| {
        format!(
            "labels: {{production: {{a: {{stable: v1, canary: {{to: v2, percent: {percent}, \
             until: {until}, guard: {{suite: s}}}}, shadow: {{to: v3, percent: 100}}}}}}}}\n"
        )
    };
    releases(dir.path(), &canary("50", "2999-01-01"));
    let prompts = open(dir.path(), &archive).unwrap();
    let mut arms = [0, 0];
    for number in 0..200 {
        let user = format!("user-{number}");
        let first = release(&prompts, "a", Some(&user)).await.unwrap();
        let again = release(&prompts, "a", Some(&user)).await.unwrap();
        let decision = first.release.unwrap();
        assert_eq!(decision.reason, ArmReason::StickyUser);
        assert_eq!(Some(&decision), again.release.as_ref());
        let is_canary = decision.arm == Arm::Canary;
        arms[usize::from(is_canary)] += 1;
        let wanted = if is_canary { "two" } else { "one" };
        assert_eq!(first.prompt.bundle.template(), wanted);
        assert_eq!(first.shadow.unwrap().bundle.template(), "three");
    }
    assert!(arms.iter().all(|count| 60 < *count), "{arms:?}");
    // Whoever only looks is shown the stable version.
    let shown = prompts
        .resolve(&"a".parse().unwrap(), &Caller::local())
        .await
        .unwrap();
    assert_eq!(shown.bundle.template(), "one");
    let view = &prompts.releases()[0];
    let told = view.canary.as_ref().unwrap();
    assert_eq!((told.version.as_deref(), told.expired), (Some("v2"), false));
    assert!(told.guard.is_some() && !told.guard_evaluated);

    releases(dir.path(), &canary("100", "2020-01-01"));
    prompts.reload().unwrap();
    let ended = release(&prompts, "a", Some("ada")).await.unwrap();
    assert_eq!(ended.prompt.bundle.template(), "one");
    assert_eq!(ended.release.unwrap().reason, ArmReason::CanaryExpired);
    assert!(
        ended.warnings[0].contains("ended 2020-01-01"),
        "{:?}",
        ended.warnings
    );
    assert!(prompts.releases()[0].canary.as_ref().unwrap().expired);
}

#[tokio::test]
async fn a_retired_prompt_says_what_to_use() {
    let dir = repository();
    let archive = Arc::new(MemoryArchive::default());
    let text = "---\npromptgate.retire_after: 2020-01-01\npromptgate.replaced_by: b\n---\nold";
    write(dir.path(), "a.prompt", text);
    let prompts = open(dir.path(), &archive).unwrap();
    // A load numbers at once only what takes no time.
    prompts.number_all().unwrap();
    let error = release(&prompts, "a@v1", None).await.unwrap_err();
    assert_eq!(error.kind(), "prompt_retired");
    assert_eq!(error.to_string(), "prompt `a` is retired since 2020-01-01");
    assert_eq!(error.hint().unwrap(), "use `b` instead");
    // What was served once can still be looked at.
    assert!(
        prompts
            .resolve(&"a@v1".parse().unwrap(), &Caller::local())
            .await
            .is_ok()
    );
    write(
        dir.path(),
        "a.prompt",
        "---\npromptgate.retire_after: soon\n---\nold",
    );
    assert!(problems(prompts.reload().unwrap_err())[0].contains("no date"));
}
