//! Disks that are full, break, or take their time.

use crate::domain::{Durability, Timestamp};
use crate::store::disk::Disk;
use crate::store::frame::Kind;
use crate::store::gap::Gap;
use crate::store::sync::look_for_space;
use crate::store::testing::{
    NOW, START, config, endings, entries, id, intent, kill, open, open_journal, outcome, record,
};
use crate::store::{CallFilter, Config, OnFull, StatsQuery, Store};
use futures_util::poll;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

/// A disk that is full while told so, as long as the ballast takes its room.
fn full_disk(dir: &Path, is_full: &Arc<AtomicBool>) -> Disk {
    let real = Disk::real();
    let ballast = dir.join("ballast");
    let is_full = Arc::clone(is_full);
    let write = move |mut file: &File, head: &[u8], body: &[u8]| {
        if is_full.load(Ordering::SeqCst) && ballast.exists() {
            // As a disk does: what fits is written.
            file.write_all(&head[..head.len() / 2])?;
            return Err(io::ErrorKind::StorageFull.into());
        }
        (real.write)(file, head, body)
    };
    Disk {
        write: Arc::new(write),
        ..Disk::real()
    }
}

#[test]
fn on_a_full_disk_intents_are_refused_and_running_calls_still_end() {
    let dir = tempfile::tempdir().unwrap();
    let is_full = Arc::new(AtomicBool::new(false));
    let journal = open_journal(dir.path(), full_disk(dir.path(), &is_full));
    std::fs::write(dir.path().join("ballast"), "room").unwrap();
    journal.append_intent(&intent(0)).unwrap();
    is_full.store(true, Ordering::SeqCst);
    let error = journal.append_intent(&intent(1)).unwrap_err();
    assert_eq!(error.kind(), "journal_full");
    assert!(!journal.is_accepting());
    assert!(dir.path().join("ballast").exists(), "it is for outcomes");
    journal.append_outcome(&outcome(&intent(0))).unwrap();
    assert!(!dir.path().join("ballast").exists());
    // Still refused, though the released room would hold it.
    assert!(journal.append_intent(&intent(1)).is_err());
    journal.count_unrecorded(Timestamp(START));
    journal.count_unrecorded(Timestamp(START + 1));
    is_full.store(false, Ordering::SeqCst);
    look_for_space(&journal, NOW);
    assert!(journal.is_accepting());
    journal.append_intent(&intent(1)).unwrap();
    journal.append_outcome(&outcome(&intent(1))).unwrap();
    assert_eq!(endings(&journal).len(), 2);
    let gaps = entries(&journal).into_iter();
    let gaps = gaps.filter(|(_, frame)| frame.head.kind == Kind::Gap);
    let gaps: Vec<Gap> = gaps.map(|(_, frame)| frame.decode().unwrap()).collect();
    assert_eq!(gaps.len(), 2, "one entry opens the gap, one closes it");
    assert_eq!(gaps[0].calls, None);
    assert_eq!(gaps[1].calls, Some(2));
    assert_eq!(
        (gaps[1].from, gaps[1].to),
        (Timestamp(START), Some(NOW.now()))
    );
}

#[test]
fn an_outcome_that_does_not_fit_at_all_is_owed_and_appended_later() {
    let dir = tempfile::tempdir().unwrap();
    let is_full = Arc::new(AtomicBool::new(false));
    let real = Disk::real();
    let full = Arc::clone(&is_full);
    let disk = Disk {
        write: Arc::new(move |file, head, body| {
            if full.load(Ordering::SeqCst) {
                return Err(io::ErrorKind::StorageFull.into());
            }
            (real.write)(file, head, body)
        }),
        ..Disk::real()
    };
    let journal = open_journal(dir.path(), disk);
    journal.append_intent(&intent(0)).unwrap();
    is_full.store(true, Ordering::SeqCst);
    let error = journal.append_outcome(&outcome(&intent(0))).unwrap_err();
    assert_eq!(error.kind(), "journal_full");
    is_full.store(false, Ordering::SeqCst);
    look_for_space(&journal, NOW);
    let endings = endings(&journal);
    assert_eq!(endings[&id(0)], crate::domain::CallState::Ok);
}

#[test]
fn a_half_written_entry_on_a_breaking_disk_leaves_no_trace() {
    let dir = tempfile::tempdir().unwrap();
    let calls = Arc::new(AtomicU32::new(0));
    let real = Disk::real();
    let disk = Disk {
        write: Arc::new(move |mut file, head, body| {
            if calls.fetch_add(1, Ordering::SeqCst) % 3 == 1 {
                file.write_all(&head[..10])?;
                return Err(io::Error::other("input/output error"));
            }
            (real.write)(file, head, body)
        }),
        ..Disk::real()
    };
    let journal = open_journal(dir.path(), disk);
    for n in 0..20 {
        journal.append_intent(&intent(n)).unwrap();
        journal.append_outcome(&outcome(&intent(n))).unwrap();
    }
    assert_eq!(endings(&journal).len(), 20);
    assert!(journal.is_accepting());
    assert!(0 < journal.counters.append_errors.load(Ordering::Relaxed));
}

#[test]
fn serving_unrecorded_must_be_asked_for_and_is_counted() {
    for (on_full, may, count) in [
        (OnFull::Reject, false, 0),
        (OnFull::ServeUnrecorded, true, 1),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let config = Config {
            on_full,
            ..config(dir.path())
        };
        let store = Store::open(&config, NOW).unwrap();
        assert_eq!(store.may_serve_unrecorded(), may);
        assert_eq!(store.health().unrecorded_calls, count);
    }
}

fn at_disk(dir: &Path) -> Config {
    Config {
        durability: Durability::Disk,
        ..config(dir)
    }
}

#[tokio::test]
async fn durable_waits_for_the_disk() {
    let dir = tempfile::tempdir().unwrap();
    let (open_gate, gate) = mpsc::channel::<()>();
    let gate = Mutex::new(gate);
    let disk = Disk {
        sync: Arc::new(move |file: &File| {
            // Waits for a word, or for the end of the test.
            let _ = gate.lock().unwrap().recv();
            file.sync_data()
        }),
        ..Disk::real()
    };
    let store = Store::open_on(&at_disk(dir.path()), NOW, disk).unwrap();
    let position = store.append_intent(&intent(0)).unwrap();
    let mut durable = pin!(store.durable(position));
    for _ in 0..100 {
        assert!(poll!(durable.as_mut()).is_pending());
        tokio::task::yield_now().await;
    }
    drop(open_gate);
    durable.await.unwrap();
}

#[tokio::test]
async fn at_os_level_nobody_waits() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let position = store.append_intent(&intent(0)).unwrap();
    assert!(poll!(pin!(store.durable(position))).is_ready());
}

/// A disk whose syncs number `from` to `to` fail.
fn failing_syncs(from: u32, to: u32) -> Disk {
    let syncs = AtomicU32::new(0);
    Disk {
        sync: Arc::new(move |file: &File| {
            if (from..=to).contains(&syncs.fetch_add(1, Ordering::SeqCst)) {
                return Err(io::Error::other("input/output error"));
            }
            file.sync_data()
        }),
        ..Disk::real()
    }
}

#[tokio::test]
async fn what_a_failed_sync_may_have_lost_is_written_again_and_counted_once() {
    let dir = tempfile::tempdir().unwrap();
    let config = at_disk(dir.path());
    let store = Store::open_on(&config, NOW, failing_syncs(1, 2)).unwrap();
    let mut last = None;
    for n in 0..10 {
        let intent = intent(n);
        store.append_intent(&intent).unwrap();
        last = Some(store.append_outcome(&outcome(&intent)).unwrap());
        store.durable(last.unwrap()).await.unwrap();
    }
    store.append_intent(&intent(10)).unwrap();
    store.durable(last.unwrap()).await.unwrap();
    assert_eq!(store.health().sync_errors, 2);
    let copies = entries(&store.journal);
    let copies = copies
        .iter()
        .filter(|(_, frame)| frame.head.is_copy)
        .count();
    assert!(0 < copies);
    let check = |store: &Store, calls: usize| {
        let rows = store.calls(&CallFilter::default(), None, 100).unwrap();
        assert_eq!(rows.len(), 11);
        let sums = store.stats(&StatsQuery::default()).unwrap();
        let sum: u64 = sums.iter().map(|row| row.calls).sum();
        assert_eq!(sum, calls as u64);
        for n in 0..10 {
            let found = store.record(&id(n).to_string()).unwrap().unwrap();
            assert_eq!(found.outcome.unwrap().output, outcome(&intent(n)).output);
        }
    };
    check(&store, 10);
    store.rebuild().unwrap();
    check(&store, 10);
    let killed = kill(dir.path());
    check(&open(killed.path()), 11);
}

#[tokio::test]
async fn a_disk_that_never_syncs_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let config = Config {
        sync_deadline: Duration::from_millis(20),
        ..at_disk(dir.path())
    };
    let store = Store::open_on(&config, NOW, failing_syncs(0, u32::MAX)).unwrap();
    record(&store, 0..1);
    let position = store.append_intent(&intent(1)).unwrap();
    let error = store.durable(position).await.unwrap_err();
    assert_eq!(error.kind(), "not_durable");
}
