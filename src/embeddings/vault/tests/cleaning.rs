//! Collecting garbage and deleting items, also with a kill between any two steps.

use crate::embeddings::item::Span;
use crate::embeddings::vault::catalogue::Catalogue;
use crate::embeddings::vault::erase::Erasure;
use crate::embeddings::vault::testing::{Home, NOW, copy_dir, draft, key, near, vector};
use crate::embeddings::vault::{Collected, Collecting, Precision};
use crate::embeddings::{SnapshotId, VectorKey};
use std::fs;
use std::path::Path;
use std::sync::Mutex;
use tempfile::TempDir;

const SEGMENT_BYTES: u64 = 700;

fn collect(home: &Home, dead_share: f64) -> Collected {
    collect_but(home, dead_share, &|_| false)
}

fn collect_but(
    home: &Home,
    dead_share: f64,
    is_needed: &(dyn Fn(&VectorKey) -> bool + Sync),
) -> Collected {
    let collecting = Collecting {
        is_needed,
        dead_share,
        is_dry_run: false,
    };
    home.vault.collect_garbage(&collecting).unwrap()
}

/// A vault with a snapshot of the even texts; nothing uses the odd ones.
fn half_used() -> (Home, SnapshotId, Vec<String>) {
    let home = Home::with_segments_of(SEGMENT_BYTES);
    let texts: Vec<String> = (0..40).map(|n| format!("text {n}")).collect();
    for texts in texts.chunks(5) {
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        home.put(Precision::F16, &texts);
    }
    let used: Vec<&str> = even(&texts);
    let id = home.vault.seal(&draft("docs", &used)).unwrap().manifest.id;
    (home, id, texts)
}

fn even(texts: &[String]) -> Vec<&str> {
    texts.iter().step_by(2).map(String::as_str).collect()
}

/// Asserts that all that is used is there, whatever was being done.
fn is_whole(home: &Home, id: &SnapshotId, texts: &[String]) {
    home.reads(id, &even(texts));
    assert!(home.problems().is_empty(), "{:?}", home.problems());
}

#[test]
fn what_nothing_uses_is_removed() {
    let (home, id, texts) = half_used();
    let open = home.vault.open_snapshot(&id).unwrap();
    let dry = home.vault.collect_garbage(&Collecting {
        is_needed: &|_| false,
        dead_share: 0.0,
        is_dry_run: true,
    });
    let dry = dry.unwrap();
    assert_eq!((dry.dead, dry.removed, dry.rewritten), (20, 0, 0));
    assert_eq!(collect(&home, 0.9).removed, 0);
    let collected = collect_but(&home, 0.2, &|needed| *needed == key("text 1"));
    assert_eq!((collected.dead, collected.removed), (19, 19));
    assert!(0 < collected.freed_bytes);
    is_whole(&home, &id, &texts);
    assert!(home.held(Precision::F16, "text 1") && !home.held(Precision::F16, "text 3"));
    // Who had it open reads on.
    near(open.load().unwrap().row(3).unwrap(), &vector("text 6"));
    assert_eq!(home.put(Precision::F16, &["text 3"]).written, 1);
    let home = home.restart();
    is_whole(&home, &id, &texts);
    assert_eq!(collect(&home, 0.0).removed, 2);
    assert_eq!(collect(&home, 0.0).dead, 0);
    is_whole(&home, &id, &texts);
}

#[test]
fn a_kill_at_any_moment_of_a_collection_costs_nothing() {
    let (home, id, texts) = half_used();
    let before = home.copy();
    // At each question whether a vector is needed the process could be killed.
    let copies: Mutex<Vec<TempDir>> = Mutex::default();
    let asked = Mutex::new(0_usize);
    collect_but(&home, 0.0, &|_| {
        let mut asked = asked.lock().unwrap();
        *asked += 1;
        if asked.is_multiple_of(3) {
            copies.lock().unwrap().push(home.copy());
        }
        false
    });
    let copies = copies.into_inner().unwrap();
    assert!(10 < copies.len());
    for copy in copies {
        let other = Home::open(copy, SEGMENT_BYTES);
        is_whole(&other, &id, &texts);
        collect(&other, 0.0);
        is_whole(&other, &id, &texts);
    }
    let after = home.copy();
    // Files of before and after in every mixture a crash may leave.
    for (segments, tables) in [
        ([&before, &after].as_slice(), &before),
        ([&before, &after].as_slice(), &after),
        ([&after].as_slice(), &before),
    ] {
        let copy = tempfile::tempdir().unwrap();
        copy_dir(after.path(), copy.path());
        let of = |dir: &Path, part: &str| dir.join(part);
        fs::remove_dir_all(of(copy.path(), "embeddings/segments")).unwrap();
        fs::remove_dir_all(of(copy.path(), "tables")).unwrap();
        for from in segments {
            let part = "embeddings/segments";
            copy_dir(&of(from.path(), part), &of(copy.path(), part));
        }
        copy_dir(&of(tables.path(), "tables"), &of(copy.path(), "tables"));
        let other = Home::open(copy, SEGMENT_BYTES);
        is_whole(&other, &id, &texts);
        collect(&other, 0.0);
        is_whole(&other, &id, &texts);
        assert_eq!(collect(&other, 0.0).dead, 0);
    }
}

#[test]
fn who_asks_during_a_collection_keeps_what_he_was_told_of() {
    let (home, id, texts) = half_used();
    let wanted = [key("text 1"), key("text 39")];
    let is_asked = Mutex::new(false);
    collect_but(&home, 0.0, &|_| {
        let mut is_asked = is_asked.lock().unwrap();
        if !*is_asked {
            *is_asked = true;
            assert_eq!(
                home.vault.held(&wanted, Precision::F16).unwrap(),
                [true, true]
            );
        }
        false
    });
    assert_eq!(
        home.vault.held(&wanted, Precision::F16).unwrap(),
        [true, true]
    );
    assert!(!home.held(Precision::F16, "text 3"));
    is_whole(&home, &id, &texts);
}

#[test]
fn one_cleans_at_a_time_and_an_unreadable_manifest_stops_it() {
    let (home, _, _) = half_used();
    let cleaning = home.vault.try_clean().unwrap();
    assert_eq!(home.vault.rebuild().unwrap_err().kind(), "embeddings_busy");
    drop(cleaning);
    fs::write(home.path("embeddings/snapshots/docs/1.json"), "{}").unwrap();
    let collecting = Collecting {
        is_needed: &|_| false,
        dead_share: 0.0,
        is_dry_run: false,
    };
    let error = home.vault.collect_garbage(&collecting).unwrap_err();
    assert_eq!(error.kind(), "embeddings_damaged");
    assert!(home.held(Precision::F16, "text 1"));
}

#[test]
fn segments_with_damage_are_left_by_collections() {
    let (home, _, _) = half_used();
    let file = home.segments().remove(0);
    let mut bytes = fs::read(&file).unwrap();
    bytes[128 + 30] ^= 1;
    fs::write(&file, &bytes).unwrap();
    collect(&home, 0.0);
    assert_eq!(fs::read(&file).unwrap(), bytes);
}

/// Whether a text, or its vector, or its key, is in any file.
fn is_anywhere(home: &Home, text: &str) -> bool {
    let values = vector(text);
    let mut row = Vec::new();
    Precision::F16.encode(&values, &mut row);
    let has = |bytes: &[u8], part: &[u8]| bytes.windows(part.len()).any(|window| window == part);
    home.segments().iter().any(|path| {
        let bytes = fs::read(path).unwrap();
        has(&bytes, &row) || has(&bytes, &key(text).0)
    })
}

#[test]
fn a_deleted_item_leaves_its_mark_only() {
    let home = Home::with_segments_of(SEGMENT_BYTES);
    let texts = ["keep", "secret", "other"];
    let first = home.seal("docs", &texts).manifest;
    let second = home.seal("docs", &["secret", "new"]).manifest;
    let elsewhere = home.vault.seal(&draft("faq", &texts)).unwrap().manifest;
    assert_eq!(elsewhere.id, first.id);
    // In the first snapshot only: another one still has the text.
    let ids = [first.id.clone()];
    let deleted = home.vault.delete_item(&ids, "secret", NOW).unwrap();
    assert_eq!(deleted.snapshots, ["docs@1", "faq@1"]);
    assert_eq!(deleted.vectors, 0);
    home.reads(&first.id, &["keep", "other"]);
    home.reads(&second.id, &["secret", "new"]);
    assert!(home.problems().is_empty());
    let ids = [first.id.clone(), second.id.clone()];
    let deleted = home.vault.delete_item(&ids, "secret", NOW).unwrap();
    assert_eq!((deleted.snapshots.len(), deleted.vectors), (3, 1));
    assert!(!is_anywhere(&home, "secret") && is_anywhere(&home, "new"));
    home.reads(&second.id, &["new"]);
    assert!(home.problems().is_empty());
    let manifest = home.vault.manifest_of(&second.id).unwrap();
    assert_eq!((manifest.items, manifest.redacted.len()), (1, 1));
    let text = fs::read_to_string(home.path("embeddings/snapshots/docs/2.json")).unwrap();
    assert!(!text.contains("secret"));
    assert!(!home.held(Precision::Binary, "secret"));
    let error = home.vault.delete_item(&ids, "secret", NOW).unwrap_err();
    assert_eq!(error.kind(), "item_not_found");
    // The same corpus again is another snapshot: this one no longer has it all.
    let again = home.seal("docs", &texts);
    assert!(again.is_new && again.manifest.id != first.id);
    assert_eq!((again.manifest.number, again.manifest.renewed), (3, 1));
    assert!(!home.seal("docs", &texts).is_new);
    assert!(home.restart().problems().is_empty());
}

#[test]
fn a_text_that_another_item_has_too_keeps_its_vector() {
    let home = Home::new();
    home.put(Precision::F16, &["a"]);
    let mut draft = draft("docs", &["a", "b"]);
    draft.items[1].key = draft.items[0].key;
    draft.items[1].text_hash = draft.items[0].text_hash;
    let id = home.vault.seal(&draft).unwrap().manifest.id;
    let deleted = home.vault.delete_item(&[id], "a", NOW).unwrap();
    assert_eq!((deleted.snapshots.len(), deleted.vectors), (1, 0));
    assert!(home.held(Precision::F16, "a"));
}

#[test]
fn the_pieces_of_an_item_go_with_it() {
    let home = Home::new();
    home.put(Precision::F16, &["a", "b", "c"]);
    let mut cut = draft("docs", &["a", "b", "c"]);
    for (place, item) in cut.items.iter_mut().enumerate().take(2) {
        item.item.id = format!("source#{place}");
        item.item.span = Some(Span {
            source: "source".to_owned(),
            start: 0,
            end: 1,
        });
    }
    let id = home.vault.seal(&cut).unwrap().manifest.id;
    let deleted = home
        .vault
        .delete_item(std::slice::from_ref(&id), "source", NOW);
    let deleted = deleted.unwrap();
    assert_eq!((deleted.items, deleted.vectors), (2, 2));
    assert_eq!(deleted.snapshots, ["docs@1"]);
    let manifest = home.vault.manifest_of(&id).unwrap();
    assert_eq!((manifest.items, manifest.redacted.len()), (1, 2));
    assert!(!is_anywhere(&home, "a") && !is_anywhere(&home, "b"));
    assert!(home.problems().is_empty());
    assert!(
        !home
            .vault
            .seal(&cut)
            .is_ok_and(|sealed| sealed.manifest.id == id)
    );
}

#[test]
fn a_kill_at_any_step_of_a_deletion_is_made_good_at_the_next_start() {
    let home = Home::with_segments_of(SEGMENT_BYTES);
    let texts = ["keep", "secret", "other"];
    let id = home.seal("docs", &texts).manifest.id;
    let untouched = home.copy();
    let vault = &home.vault;
    let erasing = home.path("embeddings/erasing.json");
    let catalogue = Catalogue::new(&home.path("embeddings"));
    let erasure = Erasure::plan(&catalogue, std::slice::from_ref(&id), "secret", NOW).unwrap();
    erasure.write(&erasing).unwrap();
    let mut states = vec![home.copy()];
    erasure.redact(&catalogue).unwrap();
    // Marked, but the items are still what they were.
    let marked = home.copy();
    let items = format!("embeddings/items/{id}.items");
    fs::copy(untouched.path().join(&items), marked.path().join(&items)).unwrap();
    states.push(marked);
    states.push(home.copy());
    erasure.erase(vault.opened().unwrap(), &catalogue).unwrap();
    // The vectors are elsewhere, but the old files are still there, with an old index or the new one.
    for tables in [&untouched, &home.copy()] {
        let state = home.copy();
        let segments = "embeddings/segments";
        copy_dir(
            &untouched.path().join(segments),
            &state.path().join(segments),
        );
        fs::remove_dir_all(state.path().join("tables")).unwrap();
        copy_dir(&tables.path().join("tables"), &state.path().join("tables"));
        states.push(state);
    }
    states.push(home.copy());
    for (number, state) in states.into_iter().enumerate() {
        let other = Home::open(state, SEGMENT_BYTES);
        assert!(
            !other.path("embeddings/erasing.json").exists(),
            "state {number}"
        );
        assert!(!is_anywhere(&other, "secret"), "state {number}");
        other.reads(&id, &["keep", "other"]);
        assert!(
            other.problems().is_empty(),
            "state {number}: {:?}",
            other.problems()
        );
        let manifest = other.vault.manifest_of(&id).unwrap();
        assert_eq!(
            (manifest.items, manifest.redacted.len()),
            (2, 1),
            "state {number}"
        );
    }
}

#[test]
fn what_must_go_goes_from_a_damaged_segment_too() {
    let home = Home::new();
    let id = home.seal("docs", &["keep", "secret"]).manifest.id;
    home.put(Precision::F16, &["later"]);
    let file = home.segments().remove(0);
    let mut bytes = fs::read(&file).unwrap();
    let last = bytes.len() - 40;
    bytes[last] ^= 1;
    fs::write(&file, &bytes).unwrap();
    let deleted = home
        .vault
        .delete_item(std::slice::from_ref(&id), "secret", NOW)
        .unwrap();
    assert_eq!(deleted.vectors, 1);
    assert!(!is_anywhere(&home, "secret"));
    home.reads(&id, &["keep"]);
    assert!(!home.held(Precision::F16, "later"));
}
