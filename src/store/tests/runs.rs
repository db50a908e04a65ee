//! Runs of evals in the store.

use crate::domain::{Purpose, RunId, RunRef, Timestamp};
use crate::store::testing::{NOW, config, id, intent, kill, open, outcome};
use crate::store::{CallFilter, RunEntry, RunStep, Store};
use bytes::Bytes;
use serde_json::value::RawValue;
use uuid::Uuid;

fn run_id(n: u64) -> RunId {
    RunId(id(n).0)
}

fn entry(run: RunId, step: RunStep, cell: Option<&str>) -> RunEntry {
    let facts = format!("{{\"step\":{:?}}}", format!("{step:?}"));
    RunEntry {
        run,
        step,
        at: Timestamp(7),
        cell: cell.map(str::to_owned),
        facts: (step != RunStep::Row).then(|| RawValue::from_string(facts).unwrap()),
    }
}

fn append(store: &Store, run: RunId, step: RunStep, cell: Option<&str>, body: &str) {
    let body = Bytes::from(body.to_owned());
    store
        .append_run_entry(&entry(run, step, cell), &body)
        .unwrap();
}

fn rows(store: &Store, run: RunId) -> Vec<(String, String)> {
    let rows = store.run_rows(run).unwrap().into_iter();
    rows.map(|row| (row.cell, String::from_utf8(row.body.to_vec()).unwrap()))
        .collect()
}

/// Two runs: one that ended and went on, one that was cut.
fn write(store: &Store) {
    let (one, other) = (run_id(1), run_id(2));
    append(store, one, RunStep::Began, None, "plan one");
    append(store, one, RunStep::Row, Some("a"), "a fails");
    append(store, one, RunStep::Row, Some("b"), "b passes");
    append(store, one, RunStep::Ended, None, "report");
    append(store, other, RunStep::Began, None, "plan two");
    append(store, other, RunStep::Row, Some("a"), "other a");
    append(store, one, RunStep::Resumed, None, "");
    append(store, one, RunStep::Row, Some("a"), "a passes");
    append(store, one, RunStep::Ended, None, "second report");
}

fn check(store: &Store) {
    let (one, other) = (run_id(1), run_id(2));
    let runs = store.runs(None, 10).unwrap();
    let ids: Vec<RunId> = runs.iter().map(|run| run.id).collect();
    assert_eq!(ids, [other, one], "newest first");
    assert_eq!(store.runs(Some(other), 10).unwrap()[0].id, one);
    assert_eq!(store.runs(None, 1).unwrap().len(), 1);
    assert_eq!((runs[0].ended, runs[1].ended), (None, Some(Timestamp(7))));
    let plan = runs[1].plan.as_ref().unwrap();
    assert_eq!(plan.get(), r#"{"step":"Began"}"#);
    assert_eq!(store.run_plan(&runs[1]).unwrap().unwrap(), "plan one");
    let report = store.run_report(&runs[1]).unwrap().unwrap();
    assert_eq!(report, "second report");
    assert!(store.run_report(&runs[0]).unwrap().is_none());
    let pair = |cell: &str, body: &str| (cell.to_owned(), body.to_owned());
    // The newest row of a cell counts.
    assert_eq!(
        rows(store, one),
        [pair("b", "b passes"), pair("a", "a passes")]
    );
    assert_eq!(rows(store, other), [pair("a", "other a")]);
    assert!(rows(store, run_id(9)).is_empty());
}

#[test]
fn runs_are_found_after_writing_reopening_a_kill_and_a_rebuild() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    write(&store);
    check(&store);
    let killed = kill(dir.path());
    check(&open(killed.path()));
    store.rebuild().unwrap();
    check(&store);
    drop(store);
    check(&open(dir.path()));
}

#[test]
fn a_run_is_found_by_the_start_of_its_id() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let ids = [0x0198_0000_0000_u128 << 80, (0x0198_0000_0001 << 80) | 5];
    for id in ids {
        append(&store, RunId(Uuid::from_u128(id)), RunStep::Began, None, "");
    }
    let whole = Uuid::from_u128(ids[1]).to_string();
    assert_eq!(store.run(&whole).unwrap().unwrap().id.to_string(), whole);
    let found = store.run("0198000000010000").unwrap().unwrap();
    assert_eq!(found.id.to_string(), whole);
    assert_eq!(
        store.run("01980000").unwrap_err().kind(),
        "run_id_ambiguous"
    );
    let error = store.run("xyz").unwrap_err();
    assert_eq!(error.kind(), "run_id_invalid");
    assert!(
        error.to_string().starts_with("`xyz` is not a run id"),
        "{error}"
    );
    assert!(error.hint().unwrap().contains("promptgate evals list"));
    assert!(store.run("ffffffff").unwrap().is_none());
}

#[test]
fn calls_are_found_by_the_run_they_were_made_for() {
    let dir = tempfile::tempdir().unwrap();
    let check = |store: &Store| {
        let filter = CallFilter {
            run: Some(run_id(500)),
            ..CallFilter::default()
        };
        let rows = store.calls(&filter, None, 100).unwrap();
        let ids: Vec<_> = rows.iter().map(|row| row.id).collect();
        assert_eq!(ids, [id(8), id(6), id(4), id(2), id(0)]);
        assert!(rows.iter().all(|row| filter.accepts(row)));
        let record = store.record(&id(4).to_string()).unwrap().unwrap();
        assert_eq!(record.intent.run.unwrap().case, "case-4");
    };
    let store = Store::open(&config(dir.path()), NOW).unwrap();
    for n in 0..10 {
        let mut intent = intent(n);
        intent.run = n.is_multiple_of(2).then(|| RunRef {
            run: run_id(500),
            case: format!("case-{n}"),
            purpose: Purpose::Case,
            ask: None,
        });
        store.append_intent(&intent).unwrap();
        store.append_outcome(&outcome(&intent)).unwrap();
    }
    check(&store);
    store.rebuild().unwrap();
    check(&store);
}
