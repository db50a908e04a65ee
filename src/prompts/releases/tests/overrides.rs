//! What is live past Git, how it ends, and what is told of it.

use super::{key, open, release, releases, repository, told, write};
use crate::domain::{Arm, AuditEvent, Audited, OverrideEnd, Selector};
use crate::git::tests::commit_all;
use crate::prompts::archive::tests::MemoryArchive;
use crate::prompts::releases::{Drift, NewOverride};
use std::sync::Arc;
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);

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
        "prompts_loaded", // the commit with other rules
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
    let tracker = tokio_util::task::TaskTracker::new();
    tracker.spawn({
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
    tracker.close();
    tracker.wait().await;
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

fn impossible() -> Vec<(NewOverride, &'static str)> {
    let good = || overridden(Selector::Number(2), HOUR);
    vec![
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
    ]
}

#[tokio::test]
async fn an_override_that_cannot_be_is_refused() {
    let dir = repository();
    let archive = Arc::new(MemoryArchive::default());
    let prompts = open(dir.path(), &archive).unwrap();
    for (wanted, kind) in impossible() {
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
    let moved = events(&archive)
        .into_iter()
        .filter_map(|event| match event {
            Audited::LabelMoved {
                label,
                prompt,
                from,
                to,
                commit: Some(_),
                dirty: false,
            } => Some(format!("{prompt}@{label} {from:?} {to:?}")),
            _ => None,
        });
    let moved: Vec<String> = moved.collect();
    let wanted = [
        "a@beta None Some(\"v2\")",
        "*@production Some(\"latest\") Some(\"v1\")",
    ];
    assert_eq!(moved, wanted);
    archive.events.lock().unwrap().clear();
    prompts.reload().unwrap();
    assert!(events(&archive).is_empty(), "nothing happened");

    // What is not committed is live, and is said not to be.
    write(
        dir.path(),
        "releases.yaml",
        "labels: {production: {\"*\": v1}}\n",
    );
    prompts.reload().unwrap();
    let moved = &events(&archive)[0];
    assert!(
        matches!(
            moved,
            Audited::LabelMoved {
                dirty: true,
                to: None,
                ..
            }
        ),
        "{moved:?}"
    );
    assert!(matches!(prompts.drift()[..], [Drift::UncommittedReleases]));
}

/// The day on which a rollback cannot wait may be the day on which Git is gone.
#[tokio::test]
async fn an_override_needs_no_git() {
    let dir = repository();
    let archive = Arc::new(MemoryArchive::default());
    releases(
        dir.path(),
        "labels: {production: {\"*\": latest, b: git:first}}\n",
    );
    let prompts = open(dir.path(), &archive).unwrap();
    prompts.number_all().unwrap();
    write(dir.path(), "a.prompt", "four");
    commit_all(dir.path(), "four");
    prompts.reload().unwrap();
    prompts.number_all().unwrap();
    std::fs::rename(dir.path().join(".git"), dir.path().join("gone")).unwrap();
    let set = overridden(Selector::Number(3), HOUR);
    prompts.set_override(set).unwrap();
    assert_eq!(told(&prompts, "a").await, "three production override");
    assert_eq!(told(&prompts, "b").await, "b production stable");
    prompts.remove_override("production", &key("a")).unwrap();
    assert_eq!(told(&prompts, "a").await, "four production stable");
}
