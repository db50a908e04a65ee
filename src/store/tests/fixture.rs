//! Stores written by every layout so far open.

use crate::domain::{AuditEvent, Audited, CallState, KeyId, RunId, Timestamp};
use crate::store::compress::pack;
use crate::store::testing::{NOW, config, id, intent, kill, open, outcome, record};
use crate::store::{CallFilter, Config, RunEntry, RunStep, Store, StoredKey};
use bytes::Bytes;
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

fn fixture(layout: u32) -> PathBuf {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/store");
    dir.join(format!("v{layout}"))
}

fn event() -> AuditEvent {
    AuditEvent {
        id: id(77).0,
        at: Timestamp(3),
        what: Audited::KeyRevoked {
            key: KeyId("abc123".to_owned()),
            name: "shop".to_owned(),
        },
    }
}

/// A run that was cut: its plan and a row.
const RUN: [(RunStep, Option<&str>, &str); 2] = [
    (RunStep::Began, None, "{\"plan\":1}"),
    (RunStep::Row, Some("cell"), "{\"row\":1}"),
];

fn key() -> StoredKey {
    StoredKey {
        id: KeyId("abc123".to_owned()),
        name: "shop".to_owned(),
        secret_hash: [9; 32],
        prompts: vec!["support/*".to_owned()],
        models: vec![],
        default_label: None,
        created: Timestamp(1),
        expires: None,
        revoked: None,
    }
}

/// Writes what the fixture holds (a packed segment, plain ones, a call in flight, a key, a bundle,
/// a run that goes on, and kills the process.
fn written() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let config = Config {
        segment_bytes: 20_000,
        ..config(dir.path())
    };
    let store = Store::open(&config, NOW).unwrap();
    store.put_key(&key()).unwrap();
    store.note(&[event()]).unwrap();
    let hash = intent(0).prompt.unwrap().hash;
    store.put_bundle(hash, b"{\"template\":\"hi\"}").unwrap();
    record(&store, 0..30);
    for (step, cell, body) in RUN {
        let entry = RunEntry {
            run: RunId(id(88).0),
            step,
            at: Timestamp(5),
            cell: cell.map(str::to_owned),
            facts: None,
        };
        let body = Bytes::from_static(body.as_bytes());
        store.append_run_entry(&entry, &body).unwrap();
    }
    store.append_intent(&intent(30)).unwrap();
    pack(&store.journal, 1, || true).unwrap();
    let killed = kill(dir.path());
    copy(&dir.path().join("bundles"), &killed.path().join("bundles"));
    killed
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs::copy(&path, &target).unwrap();
        }
    }
}

fn check(dir: &Path) {
    let store = open(dir);
    assert_eq!(store.keys().unwrap(), [key()]);
    assert_eq!(store.bundle("0101").unwrap().len(), 1);
    let rows = store.calls(&CallFilter::default(), None, 100).unwrap();
    assert_eq!(rows.len(), 31);
    assert_eq!(rows[0].state, Some(CallState::CrashRecovered));
    for n in 0..30 {
        let found = store.record(&id(n).to_string()).unwrap().unwrap();
        assert_eq!(found.intent.request, intent(n).request);
        assert_eq!(found.outcome.unwrap().output, outcome(&intent(n)).output);
    }
}

#[test]
fn a_store_of_layout_1_opens() {
    let dir = tempfile::tempdir().unwrap();
    copy(&fixture(1), dir.path());
    check(dir.path());
}

#[test]
fn a_store_of_layout_2_opens() {
    let dir = tempfile::tempdir().unwrap();
    copy(&fixture(2), dir.path());
    check(dir.path());
    let events = open(dir.path()).events(None).unwrap();
    assert!(events.contains(&event()), "{events:?}");
}

#[test]
fn a_store_of_layout_3_opens() {
    let dir = tempfile::tempdir().unwrap();
    copy(&fixture(3), dir.path());
    check(dir.path());
    check_run(&open(dir.path()));
}

fn check_run(store: &Store) {
    let run = store.run(&id(88).to_string()).unwrap().unwrap();
    assert_eq!((run.began, run.ended), (Some(Timestamp(5)), None));
    assert_eq!(store.run_plan(&run).unwrap().unwrap(), RUN[0].2);
    let rows = store.run_rows(run.id).unwrap();
    assert_eq!((rows[0].cell.as_str(), rows.len()), ("cell", 1));
    assert_eq!(rows[0].body, RUN[1].2);
}

#[test]
fn the_fixture_is_what_this_program_writes() {
    let written = written();
    let names = |dir: &Path| {
        let entries = fs::read_dir(dir.join("journal")).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    assert_eq!(names(written.path()), names(&fixture(3)));
    check(written.path());
    check_run(&open(written.path()));
}
