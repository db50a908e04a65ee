//! What is appended can be read back.

use crate::domain::{AuditEvent, Audited, BundleHash, KeyId, Timestamp};
use crate::store::testing::{NOW, config, id, intent, kill, open, outcome, record};
use crate::store::{Store, StoredKey};
use serde_json::value::RawValue;
use std::fs;
use uuid::Uuid;

#[test]
fn a_call_is_read_back_with_its_bodies_in_flight_and_ended() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let intent = intent(3);
    store.append_intent(&intent).unwrap();
    let id = intent.id.to_string();
    let open = store.record(&id).unwrap().unwrap();
    assert_eq!(open.intent.request, intent.request);
    assert!(open.outcome.is_none());
    let outcome = outcome(&intent);
    store.append_outcome(&outcome).unwrap();
    for text in [id.as_str(), id.split_at(13).0, &id.replace('-', "")] {
        let ended = store.record(text).unwrap().unwrap();
        assert_eq!(ended.intent.request, intent.request, "{text}");
        let found = ended.outcome.unwrap();
        assert_eq!(found.output, outcome.output);
        assert_eq!(
            serde_json::to_string(&found).unwrap(),
            serde_json::to_string(&outcome).unwrap()
        );
    }
}

#[test]
fn ids_must_be_ids_and_tell_calls_apart() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    record(&store, 0..3);
    store.append_intent(&intent(3)).unwrap();
    assert!(store.record(&id(99).to_string()).unwrap().is_none());
    for bad in ["", "0123456", "zzzzzzzzz", &"0".repeat(33)] {
        let error = store.record(bad).unwrap_err();
        assert_eq!(error.kind(), "call_id_invalid", "{bad}");
    }
    let first = id(0).to_string();
    let prefix = first.split_at(8).0;
    let error = store.record(prefix).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("`{prefix}` is the beginning of 4 call ids")
    );
}

#[test]
fn a_call_has_one_intent_and_one_outcome() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let intent = intent(1);
    let outcome = outcome(&intent);
    let error = store.append_outcome(&outcome).unwrap_err();
    assert_eq!(error.kind(), "call_not_open");
    store.append_intent(&intent).unwrap();
    let error = store.append_intent(&intent).unwrap_err();
    assert_eq!(error.kind(), "call_already_open");
    store.append_outcome(&outcome).unwrap();
    let error = store.append_outcome(&outcome).unwrap_err();
    assert_eq!(error.kind(), "call_not_open");
    store.close();
    let error = store.append_intent(&intent).unwrap_err();
    assert_eq!(error.kind(), "store_closed");
}

#[test]
fn one_process_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    store.announce("http://127.0.0.1:8081").unwrap();
    let error = Store::open(&config(dir.path()), NOW).unwrap_err();
    assert_eq!(error.kind(), "store_locked");
    assert!(error.to_string().contains("127.0.0.1:8081"), "{error}");
    drop(store);
    open(dir.path());
}

#[test]
fn a_store_closed_in_order_goes_on_in_the_same_segment() {
    let dir = tempfile::tempdir().unwrap();
    for round in 0..3 {
        let store = open(dir.path());
        record(&store, round * 10..round * 10 + 10);
    }
    let store = open(dir.path());
    assert_eq!(
        store.calls(&Default::default(), None, 100).unwrap().len(),
        30
    );
    assert!(!dir.path().join("journal/0000000002.pgj").exists());
}

fn key(name: &str) -> StoredKey {
    StoredKey {
        id: KeyId(name.to_owned()),
        name: format!("key of {name}"),
        secret_hash: [7; 32],
        prompts: vec!["support/*".to_owned()],
        models: vec![],
        default_label: Some("staging".to_owned()),
        created: Timestamp(5),
        expires: None,
        revoked: None,
    }
}

#[test]
fn keys_and_settings_last_and_come_back_from_the_journal() {
    let dir = tempfile::tempdir().unwrap();
    let value = RawValue::from_string("{\"a\":[1]}".to_owned()).unwrap();
    let revoked = StoredKey {
        revoked: Some(Timestamp(9)),
        ..key("b")
    };
    let check = |store: &Store| {
        assert_eq!(store.keys().unwrap(), [key("a"), revoked.clone()]);
        assert_eq!(store.setting("x").unwrap().unwrap().get(), value.get());
        assert!(store.setting("y").unwrap().is_none());
    };
    let store = open(dir.path());
    store.put_key(&key("a")).unwrap();
    store.put_key(&key("b")).unwrap();
    store.put_key(&revoked).unwrap();
    store.put_setting("x", &value).unwrap();
    check(&store);
    // The registry is lost with the killed process, the journal is not.
    let killed = kill(dir.path());
    check(&open(killed.path()));
    drop(store);
    check(&open(dir.path()));
    fs::write(dir.path().join("registry/conf"), "rubbish").unwrap();
    fs::write(dir.path().join("registry/db"), [0xff; 100_000]).unwrap();
    check(&open(dir.path()));
    let names = fs::read_dir(dir.path()).unwrap();
    let mut names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert!(names.any(|name| name.starts_with("registry.broken-")));
}

#[test]
fn bundles_last() {
    let dir = tempfile::tempdir().unwrap();
    let hash = BundleHash([0x3f; 32]);
    open(dir.path()).put_bundle(hash, b"{}").unwrap();
    let found = open(dir.path()).bundle("3f3f3f").unwrap();
    assert_eq!(found, [(hash, b"{}".to_vec())]);
}

fn three_prompts() -> Audited {
    Audited::PromptsLoaded {
        source: None,
        commit: None,
        prompts: 3,
        changed: Vec::new(),
        removed: Vec::new(),
        held: Vec::new(),
        rewritten_from: None,
    }
}

#[test]
fn what_happened_is_told_in_order_and_comes_back_from_the_journal() {
    let event = |millis: u64, what: Audited| AuditEvent {
        id: Uuid::from_u128((u128::from(millis) << 80) | (7 << 76) | (2 << 62)),
        at: Timestamp(i64::try_from(millis).unwrap() * 1_000),
        what,
    };
    let loaded = event(1_000, three_prompts());
    let moved = event(
        2_000,
        Audited::LabelMoved {
            label: "production".to_owned(),
            prompt: "*".to_owned(),
            from: None,
            to: Some("v7".to_owned()),
            commit: None,
            dirty: true,
        },
    );
    let kinds = |store: &Store, since: Option<i64>| {
        let events = store.events(since.map(Timestamp)).unwrap();
        events
            .iter()
            .map(|event| event.what.kind())
            .collect::<Vec<_>>()
    };
    let check = |store: &Store| {
        let all = [
            "key_created",
            "key_revoked",
            "prompts_loaded",
            "label_moved",
        ];
        assert_eq!(kinds(store, None), all);
        assert_eq!(kinds(store, Some(1_500_000)), ["label_moved"]);
        assert_eq!(kinds(store, Some(2_000_001)), [""; 0]);
        let events = store.events(Some(Timestamp(1_000_000))).unwrap();
        assert_eq!(events, [loaded.clone(), moved.clone()]);
    };
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let revoked = StoredKey {
        revoked: Some(Timestamp(9)),
        ..key("b")
    };
    store.put_key(&revoked).unwrap();
    store.note(&[loaded.clone(), moved.clone()]).unwrap();
    check(&store);
    // The registry is lost with the killed process, the journal is not.
    let killed = kill(dir.path());
    check(&open(killed.path()));
    drop(store);
    check(&open(dir.path()));
}
