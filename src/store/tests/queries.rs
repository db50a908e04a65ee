//! Lists and sums agree with a plain look at every call.

use crate::domain::{CallId, CallOutcome, CallState, KeyId, Operation, PromptKey, Timestamp};
use crate::store::testing::{NOW, START, config, id, intent, open, outcome, record};
use crate::store::{CallFilter, CallRow, Config, GroupBy, StatsQuery, StatsRow, Store};
use std::collections::BTreeMap;

fn row(n: u64) -> CallRow {
    let intent = intent(n);
    let mut row = CallRow::begun(&intent);
    row.end(&outcome(&intent));
    row
}

fn seconds(n: i64) -> Option<Timestamp> {
    Some(Timestamp(START + n * 1_000_000))
}

fn filters() -> Vec<CallFilter> {
    let any = CallFilter::default;
    let prompt = PromptKey::parse("support/prompt-1").ok();
    vec![
        any(),
        CallFilter {
            prompt: prompt.clone(),
            ..any()
        },
        CallFilter {
            prompt,
            version: Some("v2".to_owned()),
            ..any()
        },
        CallFilter {
            version: Some("sha-0303".to_owned()),
            state: Some(CallState::UpstreamError),
            ..any()
        },
        CallFilter {
            model: Some("model-2".to_owned()),
            key: Some(KeyId("key-2".to_owned())),
            ..any()
        },
        CallFilter {
            operation: Some(Operation::Embeddings),
            from: seconds(100),
            to: seconds(200),
            ..any()
        },
        CallFilter {
            user: Some("user-49".to_owned()),
            ..any()
        },
        CallFilter {
            state: Some(CallState::Timeout),
            ..any()
        },
        CallFilter {
            key: Some(KeyId("key-2".to_owned())),
            prompt: PromptKey::parse("support/prompt-0").ok(),
            state: Some(CallState::UpstreamError),
            ..any()
        },
        CallFilter {
            session: Some("no such".to_owned()),
            ..any()
        },
    ]
}

#[test]
fn filters_find_what_a_look_at_every_call_finds() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    record(&store, 0..300);
    for filter in filters() {
        for (before, limit) in [
            (None, 1000),
            (None, 7),
            (Some(id(150)), 20),
            (Some(id(0)), 5),
        ] {
            let all = (0..300).rev().map(row);
            let wanted = all.filter(|row| before.is_none_or(|before| row.id < before));
            let wanted: Vec<_> = wanted
                .filter(|row| filter.accepts(row))
                .take(limit)
                .collect();
            let found = store.calls(&filter, before, limit).unwrap();
            assert_eq!(found, wanted, "{filter:?} {before:?} {limit}");
        }
    }
}

#[test]
fn pages_join_to_the_whole_list() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    record(&store, 0..50);
    let mut pages: Vec<CallId> = Vec::new();
    loop {
        let before = pages.last().copied();
        let page = store.calls(&CallFilter::default(), before, 7).unwrap();
        if page.is_empty() {
            break;
        }
        pages.extend(page.iter().map(|row| row.id));
    }
    let wanted: Vec<_> = (0..50).rev().map(id).collect();
    assert_eq!(pages, wanted);
}

#[test]
fn calls_in_flight_are_listed_and_calls_that_ended_before_the_query_are_there() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    for n in 0..30 {
        let intent = intent(n);
        store.append_intent(&intent).unwrap();
        let newest = store.calls(&CallFilter::default(), None, 1).unwrap();
        assert_eq!((newest[0].id, newest[0].state), (intent.id, None));
        let outcome = outcome(&intent);
        store.append_outcome(&outcome).unwrap();
        let newest = store.calls(&CallFilter::default(), None, 1).unwrap();
        assert_eq!(
            (newest[0].id, newest[0].state),
            (intent.id, Some(outcome.state))
        );
    }
}

#[test]
fn times_far_from_the_ids_are_found_too() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let mut odd = intent(0);
    odd.started = Timestamp(5);
    store.append_intent(&odd).unwrap();
    store.append_outcome(&outcome(&odd)).unwrap();
    let filter = CallFilter {
        to: Some(Timestamp(6)),
        ..CallFilter::default()
    };
    assert_eq!(store.calls(&filter, None, 10).unwrap().len(), 1);
}

fn plain_sums(rows: impl Iterator<Item = CallRow>) -> (u64, u64, u64, BTreeMap<CallState, u64>) {
    let mut sums = (0, 0, 0, BTreeMap::new());
    for row in rows {
        sums.0 += 1;
        sums.1 += row.input_tokens.unwrap();
        sums.2 += row.cost.unwrap().0;
        *sums.3.entry(row.state.unwrap()).or_default() += 1;
    }
    sums
}

fn sums_of(row: &StatsRow) -> (u64, u64, u64, BTreeMap<CallState, u64>) {
    (
        row.calls,
        row.input_tokens,
        row.cost.map_or(0, |cost| cost.0),
        row.states.clone(),
    )
}

#[test]
fn sums_are_those_of_the_single_calls() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    record(&store, 0..300);
    type Name = fn(&CallRow) -> Option<String>;
    let groups: [(GroupBy, Name); 4] = [
        (GroupBy::Prompt, |row| {
            row.prompt.as_ref().map(ToString::to_string)
        }),
        (GroupBy::Version, |row| {
            Some(format!("{}@{}", row.prompt.as_ref()?, row.version()?))
        }),
        (GroupBy::Model, |row| Some(row.model.clone())),
        (GroupBy::Key, |row| {
            row.key.as_ref().map(|key| key.0.clone())
        }),
    ];
    for (group_by, name) in groups {
        let query = StatsQuery {
            group_by,
            ..StatsQuery::default()
        };
        let found = store.stats(&query).unwrap();
        assert!(1 < found.len());
        for group in &found {
            let rows = (0..300).map(row).filter(|row| name(row) == group.group);
            assert_eq!(
                sums_of(group),
                plain_sums(rows),
                "{group_by:?} {:?}",
                group.group
            );
            assert!(group.p50_us.unwrap().abs_diff(250_000) < 8_000);
        }
        let calls: u64 = found.iter().map(|group| group.calls).sum();
        assert_eq!(calls, 300);
    }
}

#[test]
fn sums_are_kept_by_the_hour() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    for n in [0, 3599, 3600, 7200] {
        record(&store, n..n + 1);
    }
    let query = |from, to| StatsQuery {
        from,
        to,
        group_by: GroupBy::Hour,
        ..StatsQuery::default()
    };
    let hours = |from, to| {
        let rows = store.stats(&query(from, to)).unwrap().into_iter();
        let rows = rows.map(|row| (row.group.unwrap(), row.calls));
        rows.collect::<Vec<_>>()
    };
    let hour = |h, calls| (format!("2026-03-01T0{h}:00:00Z"), calls);
    assert_eq!(hours(None, None), [hour(0, 2), hour(1, 1), hour(2, 1)]);
    assert_eq!(hours(seconds(3600), seconds(7200)), [hour(1, 1)]);
}

/// Everything that queries tell.
fn everything(store: &Store) -> (Vec<CallRow>, Vec<StatsRow>, Vec<Vec<CallRow>>) {
    let by_version = StatsQuery {
        group_by: GroupBy::Version,
        ..StatsQuery::default()
    };
    let filtered = filters().into_iter();
    let filtered = filtered.map(|filter| store.calls(&filter, None, 1000).unwrap());
    (
        store.calls(&CallFilter::default(), None, 10_000).unwrap(),
        store.stats(&by_version).unwrap(),
        filtered.collect(),
    )
}

#[test]
fn a_rebuilt_index_tells_what_the_grown_one_told() {
    let dir = tempfile::tempdir().unwrap();
    let config = Config {
        segment_bytes: 100_000,
        ..config(dir.path())
    };
    let store = Store::open(&config, NOW).unwrap();
    for round in 0..4 {
        record(&store, round * 300..round * 300 + 300);
        // Half of them come by memory, half by the files.
        if round % 2 == 1 {
            store.journal.lock().feed.lose();
        }
        store.calls(&CallFilter::default(), None, 1).unwrap();
    }
    let grown = everything(&store);
    assert_eq!(grown.0.len(), 1200);
    store.rebuild().unwrap();
    assert_eq!(everything(&store), grown);
    drop(store);
    std::fs::remove_dir_all(dir.path().join("index")).unwrap();
    let store = Store::open(&config, NOW).unwrap();
    assert_eq!(everything(&store), grown);
}

#[test]
fn the_tail_is_in_the_order_of_the_ends_and_misses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let config = Config {
        segment_bytes: 3000,
        ..config(dir.path())
    };
    let store = Store::open(&config, NOW).unwrap();
    record(&store, 0..1);
    let start = store.tail(None, 10).unwrap();
    assert!(start.rows.is_empty());
    let slow = intent(1);
    store.append_intent(&slow).unwrap();
    record(&store, 2..8);
    store.append_outcome(&outcome(&slow)).unwrap();
    let mut ids = Vec::new();
    let mut next = start.next;
    loop {
        let tail = store.tail(Some(next), 3).unwrap();
        next = tail.next;
        if tail.rows.is_empty() {
            break;
        }
        assert!(tail.rows.iter().all(|row| row.state.is_some()));
        ids.extend(tail.rows.iter().map(|row| row.id));
    }
    let wanted: Vec<_> = (2..8).chain([1]).map(id).collect();
    assert_eq!(ids, wanted);
}

#[tokio::test]
async fn new_rows_tick() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let mut ticks = store.ticks();
    store.calls(&CallFilter::default(), None, 1).unwrap();
    ticks.mark_unchanged();
    let intent = intent(1);
    store.append_intent(&intent).unwrap();
    let outcome: CallOutcome = outcome(&intent);
    store.append_outcome(&outcome).unwrap();
    ticks.changed().await.unwrap();
}
