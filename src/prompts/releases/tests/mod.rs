//! Releases over real repositories: what Git says, what an override says, and what is refused.

use crate::domain::{
    Arm, ArmReason, AuditEvent, Audited, Caller, OverrideEnd, PromptKey, Selector,
};
use crate::git::tests::{commit_all, git, repository_with};
use crate::prompts::archive::tests::MemoryArchive;
use crate::prompts::error::Error;
use crate::prompts::registry::{Config, Mode, Prompts};
use crate::prompts::releases::{Drift, NewOverride, Released, StickyKeys};
use crate::prompts::source::{DirectorySource, Source};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
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
    problems.iter().map(ToString::to_string).collect()
}

fn events(archive: &MemoryArchive) -> Vec<Audited> {
    let events = archive.events.lock().unwrap();
    events
        .iter()
        .map(|event: &AuditEvent| event.what.clone())
        .collect()
}

fn overridden(to: Selector, ttl: Duration) -> NewOverride {
    NewOverride {
        label: "production".to_owned(),
        prompt: key("a"),
        to,
        ttl,
        reason: "v3 insults customers".to_owned(),
    }
}

const HOUR: Duration = Duration::from_secs(3600);

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

#[tokio::test]
async fn rules_that_do_not_hold_never_reach_traffic() {
    let dir = repository();
    let archive = Arc::new(MemoryArchive::default());
    releases(dir.path(), "labels: {production: {\"*\": latest}}\n");
    let prompts = open(dir.path(), &archive).unwrap();
    for (text, wanted) in [
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
    ] {
        write(dir.path(), "releases.yaml", text);
        assert_eq!(problems(prompts.reload().unwrap_err()), [wanted], "{text}");
        let checked = Prompts::check(&config(dir.path()).source);
        assert_eq!(
            checked.iter().map(ToString::to_string).collect::<Vec<_>>(),
            [wanted]
        );
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
async fn an_override_is_live_at_once_and_gone_when_git_catches_up() {
    let dir = repository();
    let archive = Arc::new(MemoryArchive::default());
    releases(dir.path(), "labels: {production: {\"*\": latest}}\n");
    let prompts = open(dir.path(), &archive).unwrap();
    archive.events.lock().unwrap().clear();
    let set = prompts
        .set_override(overridden(Selector::Number(2), HOUR))
        .unwrap();
    assert_eq!(set.to, "v2");
    let served = release(&prompts, "a", None).await.unwrap();
    assert_eq!(served.prompt.bundle.template(), "two");
    assert_eq!(served.release.unwrap().arm, Arm::Override);
    assert_eq!(
        served.warnings,
        ["label `production` of prompt `a` is overridden: v2 in place of v3"]
    );
    assert_eq!(
        told(&prompts, "a@latest").await,
        "three",
        "only the label is overridden"
    );
    let Drift::Override { git, live, .. } = &prompts.drift()[0] else {
        panic!("{:?}", prompts.drift());
    };
    assert_eq!((git.as_deref(), live.as_str()), (Some("v3"), "v2"));

    // A reload that still says otherwise, and a restart, change nothing.
    write(dir.path(), "b.prompt", "b2");
    commit_all(dir.path(), "Other");
    prompts.reload().unwrap();
    assert_eq!(told(&prompts, "a").await, "two production override");
    let again = open(dir.path(), &archive).unwrap();
    assert_eq!(told(&again, "a").await, "two production override");

    releases(dir.path(), "labels: {production: {\"*\": latest, a: v2}}\n");
    prompts.reload().unwrap();
    assert_eq!(told(&prompts, "a").await, "two production stable");
    assert!(prompts.drift().is_empty() && prompts.overrides().unwrap().is_empty());
    let kinds: Vec<_> = events(&archive).iter().map(Audited::kind).collect();
    let wanted = [
        "override_set",
        "prompts_loaded", // `b`
        "prompts_loaded", // the second start
        "label_moved",
        "override_ended",
    ];
    assert_eq!(kinds, wanted);
    let last = events(&archive).pop().unwrap();
    assert!(matches!(
        last,
        Audited::OverrideEnded {
            end: OverrideEnd::CaughtUp,
            ..
        }
    ));
}

#[tokio::test]
async fn an_override_ends_with_its_time_or_by_hand() {
    let dir = repository();
    let archive = Arc::new(MemoryArchive::default());
    // Without `releases.yaml` there is one label, and it can be overridden too.
    let prompts = open(dir.path(), &archive).unwrap();
    prompts
        .set_override(overridden(Selector::Number(1), HOUR))
        .unwrap();
    assert_eq!(told(&prompts, "a").await, "one production override");
    assert_eq!(told(&prompts, "b").await, "b", "no other prompt is");
    prompts
        .set_override(overridden(Selector::Number(2), HOUR))
        .unwrap();
    assert_eq!(told(&prompts, "a").await, "two production override");
    prompts.remove_override("production", &key("a")).unwrap();
    assert_eq!(told(&prompts, "a").await, "three");
    let error = prompts
        .remove_override("production", &key("a"))
        .unwrap_err();
    assert_eq!(error.kind(), "prompt_override_not_found");

    let brief = Duration::from_millis(1);
    prompts
        .set_override(overridden(Selector::Number(2), brief))
        .unwrap();
    let shutdown = tokio_util::sync::CancellationToken::new();
    let ending = tokio::spawn({
        let (prompts, shutdown) = (prompts.clone(), shutdown.clone());
        async move { prompts.end_overrides(shutdown).await }
    });
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while !prompts.overrides().unwrap().is_empty() {
        assert!(
            tokio::time::Instant::now() < deadline,
            "the override does not end"
        );
        tokio::task::yield_now().await;
    }
    shutdown.cancel();
    ending.await.unwrap();
    assert_eq!(told(&prompts, "a").await, "three");
    let ends: Vec<OverrideEnd> = events(&archive)
        .iter()
        .filter_map(|event| match event {
            Audited::OverrideEnded { end, .. } => Some(*end),
            _ => None,
        })
        .collect();
    assert_eq!(
        ends,
        [
            OverrideEnd::Replaced,
            OverrideEnd::Removed,
            OverrideEnd::Expired
        ]
    );
}

#[tokio::test]
async fn an_override_that_cannot_be_is_refused() {
    let dir = repository();
    let archive = Arc::new(MemoryArchive::default());
    let prompts = open(dir.path(), &archive).unwrap();
    let good = || overridden(Selector::Number(2), HOUR);
    let cases = [
        (
            NewOverride {
                reason: " ".to_owned(),
                ..good()
            },
            "invalid_prompt_override",
        ),
        (
            NewOverride {
                ttl: Duration::ZERO,
                ..good()
            },
            "invalid_prompt_override",
        ),
        (
            NewOverride {
                ttl: HOUR * 24 * 31,
                ..good()
            },
            "invalid_prompt_override",
        ),
        (
            NewOverride {
                to: Selector::Latest,
                ..good()
            },
            "invalid_prompt_override",
        ),
        (
            NewOverride {
                to: Selector::Label("x".to_owned()),
                ..good()
            },
            "invalid_prompt_override",
        ),
        (
            NewOverride {
                to: Selector::Number(9),
                ..good()
            },
            "prompt_version_not_found",
        ),
        (
            NewOverride {
                label: "staging".to_owned(),
                ..good()
            },
            "prompt_label_not_found",
        ),
        (
            NewOverride {
                prompt: key("c"),
                ..good()
            },
            "prompt_not_found",
        ),
    ];
    for (wanted, kind) in cases {
        let shown = format!("{wanted:?}");
        assert_eq!(
            prompts.set_override(wanted).unwrap_err().kind(),
            kind,
            "{shown}"
        );
    }
    assert!(prompts.overrides().unwrap().is_empty());
}

#[tokio::test]
async fn moves_of_labels_are_told_across_a_restart() {
    let dir = repository();
    let archive = Arc::new(MemoryArchive::default());
    releases(dir.path(), "labels: {production: {\"*\": latest}}\n");
    drop(open(dir.path(), &archive).unwrap());
    releases(
        dir.path(),
        "labels: {production: {\"*\": v1}, beta: {a: v2}}\n",
    );
    archive.events.lock().unwrap().clear();
    let prompts = open(dir.path(), &archive).unwrap();
    let moved: Vec<_> = events(&archive)
        .into_iter()
        .filter_map(|event| match event {
            Audited::LabelMoved {
                label,
                prompt,
                from,
                to,
                commit,
            } => {
                assert!(commit.is_some());
                Some((
                    label,
                    prompt,
                    from.unwrap_or_default(),
                    to.unwrap_or_default(),
                ))
            }
            _ => None,
        })
        .collect();
    let text = |parts: [&str; 4]| {
        let [a, b, c, d] = parts.map(str::to_owned);
        (a, b, c, d)
    };
    let wanted = [
        text(["beta", "a", "", "v2"]),
        text(["production", "*", "latest", "v1"]),
    ];
    assert_eq!(moved, wanted);
    archive.events.lock().unwrap().clear();
    prompts.reload().unwrap();
    assert!(events(&archive).is_empty(), "nothing happened");
}

#[tokio::test]
async fn a_retired_prompt_says_what_to_use() {
    let dir = repository();
    let archive = Arc::new(MemoryArchive::default());
    let text = "---\npromptgate.retire_after: 2020-01-01\npromptgate.replaced_by: b\n---\nold";
    write(dir.path(), "a.prompt", text);
    let prompts = open(dir.path(), &archive).unwrap();
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
