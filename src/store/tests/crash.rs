//! The process dies at any byte, and bytes go bad: nothing good is lost, each call ends once.

use crate::domain::{CallOutcome, CallState};
use crate::store::Config;
use crate::store::compress::pack;
use crate::store::disk::Disk;
use crate::store::frame::Kind;
use crate::store::segment::numbers;
use crate::store::testing::{
    NOW, config, endings, entries, id, intent, kill, kill_in_memory, open, open_journal, outcome,
    record,
};
use crate::store::{CallFilter, Store};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn segment(dir: &Path, number: u32) -> PathBuf {
    dir.join(format!("journal/{number:010}.pgj"))
}

/// Calls 0 and 1 have ended, call 2 is in flight.
fn three_calls(dir: &Path) -> Store {
    let store = open(dir);
    record(&store, 0..2);
    store.append_intent(&intent(2)).unwrap();
    store
}

#[test]
fn calls_in_flight_are_closed_once_however_often_it_crashes() {
    let dir = tempfile::tempdir().unwrap();
    let store = three_calls(dir.path());
    let mut killed = kill(dir.path());
    drop(store);
    for _ in 0..3 {
        let journal = open_journal(killed.path(), Disk::real());
        let endings = endings(&journal);
        assert_eq!(endings.len(), 3);
        assert_eq!(endings[&id(2)], CallState::CrashRecovered);
        assert_eq!(endings[&id(0)], CallState::Ok);
        killed = kill(killed.path());
    }
    let store = open(killed.path());
    let found = store.record(&id(2).to_string()).unwrap().unwrap();
    assert_eq!(found.intent.request, intent(2).request);
    assert_eq!(found.outcome.unwrap().model, intent(2).model);
}

#[test]
fn calls_open_across_segments_are_known_from_the_header() {
    let dir = tempfile::tempdir().unwrap();
    let config = Config {
        segment_bytes: 2000,
        ..config(dir.path())
    };
    let store = Store::open(&config, NOW).unwrap();
    store.append_intent(&intent(1000)).unwrap();
    record(&store, 0..20);
    let killed = kill(dir.path());
    let segments = numbers(&killed.path().join("journal")).unwrap();
    assert!(5 < segments.len());
    let journal = open_journal(killed.path(), Disk::real());
    assert_eq!(endings(&journal)[&id(1000)], CallState::CrashRecovered);
}

#[test]
fn a_tail_torn_at_any_byte_is_cut_and_kept() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    record(&store, 0..2);
    let whole = fs::read(segment(dir.path(), 1)).unwrap();
    let starts: Vec<usize> = {
        let entries = entries(&store.journal).into_iter();
        entries.map(|(at, _)| at.offset as usize).collect()
    };
    assert_eq!(starts.len(), 4);
    for length in starts[2]..whole.len() {
        let killed = kill_in_memory(dir.path());
        fs::write(segment(killed.path(), 1), &whole[..length]).unwrap();
        let journal = open_journal(killed.path(), Disk::real());
        let endings = endings(&journal);
        let second = (starts[3] <= length).then_some(&CallState::CrashRecovered);
        assert_eq!(endings.get(&id(0)), Some(&CallState::Ok));
        assert_eq!(endings.get(&id(1)), second, "cut at {length}");
        let torn = fs::read(segment(killed.path(), 1).with_extension("torn"));
        let start = if starts[3] <= length {
            starts[3]
        } else {
            starts[2]
        };
        match torn {
            Ok(torn) => assert_eq!(torn, whole[start..length]),
            Err(_) => assert_eq!(start, length, "torn bytes must be kept"),
        }
    }
}

#[test]
fn any_damaged_byte_costs_at_most_its_own_entry() {
    let dir = tempfile::tempdir().unwrap();
    let store = three_calls(dir.path());
    let whole = fs::read(segment(dir.path(), 1)).unwrap();
    let before = entries(&store.journal);
    for at in 0..whole.len() {
        let killed = kill_in_memory(dir.path());
        let mut damaged = whole.clone();
        damaged[at] ^= 0x55;
        fs::write(segment(killed.path(), 1), &damaged).unwrap();
        let journal = open_journal(killed.path(), Disk::real());
        let after = entries(&journal);
        let hit = before
            .iter()
            .rposition(|(start, _)| start.offset as usize <= at);
        for (index, (start, frame)) in before.iter().enumerate() {
            let found = after.iter().find(|(place, _)| place == start);
            let found = found.filter(|(_, found)| found.head.kind != Kind::Lost);
            if hit == Some(index) {
                assert!(found.is_none(), "byte {at}");
            } else {
                let (_, found) = found.unwrap_or_else(|| panic!("byte {at}, entry {index}"));
                assert_eq!((&found.meta, &found.body), (&frame.meta, &frame.body));
            }
        }
        // Whatever was lost, no call ends twice, and the last bytes are kept somewhere.
        let outcomes = after
            .iter()
            .filter(|(_, frame)| frame.head.kind == Kind::Outcome);
        let ids = outcomes.map(|(_, frame)| frame.decode::<CallOutcome>().unwrap().id);
        let mut once = BTreeSet::new();
        assert!(ids.into_iter().all(|id| once.insert(id)), "byte {at}");
        let journal = killed.path().join("journal");
        let kept = [
            journal.join("0000000001.pgj.corrupt"),
            journal.join("0000000001.torn"),
        ];
        assert!(kept.iter().any(|path| path.exists()), "byte {at}");
    }
}

#[test]
fn a_damaged_sealed_segment_is_set_aside_and_the_rest_of_it_stays_readable() {
    let dir = tempfile::tempdir().unwrap();
    let config = Config {
        segment_bytes: 5000,
        ..config(dir.path())
    };
    let store = Store::open(&config, NOW).unwrap();
    record(&store, 0..40);
    let (place, _) = entries(&store.journal)[2];
    // The index has read the entry that is damaged next.
    let listed = store.calls(&CallFilter::default(), None, 100).unwrap();
    assert_eq!(listed.len(), 40);
    drop(store);
    let path = segment(dir.path(), 1);
    let mut bytes = fs::read(&path).unwrap();
    bytes[place.offset as usize + 40] ^= 1;
    fs::write(&path, bytes).unwrap();
    let store = Store::open(&config, NOW).unwrap();
    let error = store.record(&id(1).to_string()).unwrap_err();
    assert_eq!(error.kind(), "entry_damaged");
    store.rebuild().unwrap();
    assert_eq!(store.health().quarantined_segments, 1);
    assert!(path.with_extension("pgj.corrupt").exists());
    for n in (0..40).filter(|n| *n != 1) {
        let found = store.record(&id(n).to_string()).unwrap().unwrap();
        assert_eq!(found.outcome.unwrap().output, outcome(&intent(n)).output);
    }
    // Of call 1 only the intent is lost; what the outcome tells is still listed and summed.
    let rows = store.calls(&CallFilter::default(), None, 100).unwrap();
    assert_eq!(rows.len(), 40);
}

#[test]
fn packed_segments_read_as_plain_ones() {
    let dir = tempfile::tempdir().unwrap();
    let config = Config {
        segment_bytes: 20_000,
        ..config(dir.path())
    };
    let store = Store::open(&config, NOW).unwrap();
    record(&store, 0..60);
    let before = entries(&store.journal);
    let sealed = numbers(&store.journal.dir).unwrap();
    let (current, sealed) = sealed.split_last().unwrap();
    assert!(2 <= sealed.len());
    for number in sealed {
        assert!(pack(&store.journal, *number, || true).unwrap());
        assert!(!segment(dir.path(), *number).exists());
    }
    assert!(segment(dir.path(), *current).exists());
    let same = |store: &Store| {
        let after = entries(&store.journal);
        for ((at, one), (place, other)) in before.iter().zip(&after) {
            assert_eq!(
                (at, &one.meta, &one.body),
                (place, &other.meta, &other.body)
            );
        }
        for n in 0..60 {
            assert!(store.record(&id(n).to_string()).unwrap().is_some(), "{n}");
        }
    };
    same(&store);
    store.rebuild().unwrap();
    same(&store);
    let killed = kill(dir.path());
    fs::write(killed.path().join("journal/0000000001.pgz.tmp"), "half").unwrap();
    same(&open(killed.path()));
    assert!(!killed.path().join("journal/0000000001.pgz.tmp").exists());
}

#[test]
fn a_stopped_compression_leaves_the_plain_segment() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    record(&store, 0..10);
    assert!(!pack(&store.journal, 1, || false).unwrap());
    assert!(segment(dir.path(), 1).exists());
    assert!(!segment(dir.path(), 1).with_extension("pgz").exists());
}

#[test]
fn an_index_that_is_broken_or_ahead_is_made_anew() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    record(&store, 0..20);
    store.close();
    drop(store);
    fs::write(dir.path().join("index/conf"), "rubbish, more than 8 bytes").unwrap();
    let store = open(dir.path());
    assert_eq!(
        store
            .calls(&CallFilter::default(), None, 100)
            .unwrap()
            .len(),
        20
    );
    let names = fs::read_dir(dir.path()).unwrap();
    let mut names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert!(names.any(|name| name.starts_with("index.broken-")));
    // The disk loses the journal's tail, but not the index of it.
    let (last, _) = entries(&store.journal)[30];
    drop(store);
    let file = fs::OpenOptions::new()
        .write(true)
        .open(segment(dir.path(), 1))
        .unwrap();
    file.set_len(u64::from(last.offset)).unwrap();
    let store = open(dir.path());
    assert_eq!(
        store
            .calls(&CallFilter::default(), None, 100)
            .unwrap()
            .len(),
        15
    );
}
