//! What a kill or a cut of power leaves.

use crate::embeddings::vault::block::Shape;
use crate::embeddings::vault::index::TABLE;
use crate::embeddings::vault::opened::Opened;
use crate::embeddings::vault::testing::{DIMENSIONS, Home, copy_dir, key, near, space_id, vector};
use crate::embeddings::vault::{Precision, VaultError};
use crate::store::Store;
use std::fs;
use std::path::Path;

const SHAPE: Shape = Shape {
    precision: Precision::F16,
    dimensions: DIMENSIONS,
};

/// Opens a directory of segments with an index that knows nothing.
fn open_afresh(dir: &Path, store: &Store) -> Opened {
    store.table(TABLE).unwrap().clear().unwrap();
    open(dir, store)
}

fn open(dir: &Path, store: &Store) -> Opened {
    Opened::load(dir, store, 1 << 20).unwrap()
}

fn held(vault: &Opened, texts: &[&str]) -> Vec<bool> {
    let keys: Vec<_> = texts.iter().map(|text| key(text)).collect();
    let found = vault.find(&keys, Precision::F16).unwrap();
    // What is in the index can be read.
    for (vector_found, text) in vault
        .vectors(&keys, Precision::F16)
        .unwrap()
        .iter()
        .zip(texts)
    {
        if let Some(found) = vector_found {
            near(found, &vector(text));
        }
    }
    found.iter().map(Option::is_some).collect()
}

fn put(vault: &Opened, text: &str) -> Result<usize, VaultError> {
    let values = vector(text);
    let rows = [(key(text), values.as_slice())];
    Ok(vault.put(&space_id(), SHAPE, &rows)?.written)
}

#[test]
fn a_segment_cut_at_any_byte_keeps_what_was_whole_and_goes_on() {
    let home = Home::new();
    home.put(Precision::F16, &["a", "b"]);
    home.put(Precision::F16, &["c"]);
    let file = home.segments().remove(0);
    let bytes = fs::read(&file).unwrap();
    let first = 128 + SHAPE.block_bytes(2);
    assert_eq!(bytes.len(), first + SHAPE.block_bytes(1));
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join(space_id().short());
    fs::create_dir_all(&place).unwrap();
    let path = place.join("000001.seg");
    for length in 0..=bytes.len() {
        // Without an index, and with one that knows nothing of the last block.
        for is_known in [false, true] {
            let wanted = [first <= length, first <= length, bytes.len() <= length];
            if is_known && !wanted[0] {
                continue;
            }
            fs::write(&path, &bytes[..if is_known { first } else { length }]).unwrap();
            let vault = open_afresh(dir.path(), &home.store);
            if is_known {
                drop(vault);
                fs::write(&path, &bytes[..length]).unwrap();
            }
            let vault = open(dir.path(), &home.store);
            assert_eq!(held(&vault, &["a", "b", "c"]), wanted, "{length} bytes");
            assert_eq!(put(&vault, "c").unwrap(), usize::from(!wanted[2]));
            assert!(held(&vault, &["c"])[0]);
            drop(vault);
            let vault = open(dir.path(), &home.store);
            assert_eq!(held(&vault, &["a", "c"]), [wanted[0], true]);
        }
    }
}

#[test]
fn zeros_that_a_cut_of_power_leaves_are_cut() {
    let home = Home::new();
    home.put(Precision::F16, &["a"]);
    let copy = home.copy();
    let path = copy
        .path()
        .join("embeddings/segments")
        .join(space_id().short());
    let path = path.join("000001.seg");
    let whole = fs::read(&path).unwrap();
    let dir = copy.path().join("embeddings/segments");
    for zeros in [1, 15, 16, 64, 5000] {
        let mut bytes = whole.clone();
        bytes.resize(bytes.len() + zeros, 0);
        fs::write(&path, bytes).unwrap();
        let vault = open_afresh(&dir, &home.store);
        assert_eq!(held(&vault, &["a"]), [true]);
        assert_eq!(
            fs::metadata(&path).unwrap().len(),
            u64::try_from(whole.len()).unwrap()
        );
    }
}

#[test]
fn a_flipped_bit_costs_its_block_and_is_never_cut() {
    let home = Home::new();
    home.put(Precision::F16, &["a"]);
    home.put(Precision::F16, &["b"]);
    let file = home.segments().remove(0);
    let bytes = fs::read(&file).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join(space_id().short());
    fs::create_dir_all(&place).unwrap();
    let path = place.join("000001.seg");
    let block = SHAPE.block_bytes(1);
    for (at, wanted) in [
        (128, [false, true]),
        (128 + 5, [false, true]),
        (128 + 20, [false, true]),
        (128 + 50, [false, true]),
        (128 + block, [true, false]),
        (128 + block + 9, [true, false]),
        (128 + block + 50, [true, false]),
    ] {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x40;
        fs::write(&path, &damaged).unwrap();
        let vault = open_afresh(dir.path(), &home.store);
        assert_eq!(held(&vault, &["a", "b"]), wanted, "byte {at}");
        assert_eq!(fs::read(&path).unwrap(), damaged, "byte {at}");
        for text in ["a", "b", "c"] {
            put(&vault, text).unwrap();
        }
        drop(vault);
        let vault = open_afresh(dir.path(), &home.store);
        assert_eq!(held(&vault, &["a", "b", "c"]), [true; 3], "byte {at}");
    }
    for at in [0, 9, 12, 20, 40, 125] {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x40;
        fs::write(&path, &damaged).unwrap();
        let vault = open_afresh(dir.path(), &home.store);
        assert_eq!(held(&vault, &["a", "b"]), [false; 2], "byte {at}");
        // Its number is not given again.
        put(&vault, "a").unwrap();
        assert!(place.join("000002.seg").exists());
        fs::remove_file(place.join("000002.seg")).unwrap();
    }
}

#[test]
fn a_lost_damaged_or_outdated_index_is_made_anew() {
    let home = Home::with_segments_of(600);
    let names: Vec<String> = (0..40).map(|n| format!("text {n}")).collect();
    let texts: Vec<&str> = names.iter().map(String::as_str).collect();
    let id = home.seal("docs", &texts[..20]).manifest.id;
    let outdated = tempfile::tempdir().unwrap();
    copy_dir(&home.path("tables"), outdated.path());
    home.put(Precision::F16, &texts[20..]);
    let damage: [&dyn Fn(&Path); 4] = [
        &|_| {},
        &|tables| fs::remove_dir_all(tables).unwrap(),
        &|tables| fs::write(tables.join("conf"), "damaged").unwrap(),
        &|tables| {
            fs::remove_dir_all(tables).unwrap();
            copy_dir(outdated.path(), tables);
        },
    ];
    for damage in damage {
        let copy = home.copy();
        damage(&copy.path().join("tables"));
        let other = Home::open(copy, 600);
        assert!(texts.iter().all(|text| other.held(Precision::F16, text)));
        other.reads(&id, &texts[..20]);
        assert!(other.problems().is_empty());
        assert_eq!(other.put(Precision::F16, &texts).written, 0);
        other.vault.rebuild().unwrap();
        other.reads(&id, &texts[..20]);
    }
}

#[test]
fn an_index_that_is_ahead_of_the_files_forgets_what_they_lost() {
    let home = Home::new();
    home.put(Precision::F16, &["a"]);
    home.put(Precision::F16, &["b"]);
    let home = home.restart();
    let copy = home.copy();
    let file = home.segments().remove(0);
    let file = copy
        .path()
        .join(file.strip_prefix(home.dir.path()).unwrap());
    let bytes = fs::read(&file).unwrap();
    fs::write(&file, &bytes[..bytes.len() - 1]).unwrap();
    let other = Home::open(copy, 1 << 20);
    assert!(other.held(Precision::F16, "a") && !other.held(Precision::F16, "b"));
    assert_eq!(other.put(Precision::F16, &["a", "b"]).written, 1);
}

#[test]
fn a_snapshot_whose_manifest_was_not_written_is_none_and_can_be_made() {
    let home = Home::new();
    let texts = ["a", "b"];
    let sealed = home.seal("docs", &texts);
    let copy = home.copy();
    let manifest = copy.path().join("embeddings/snapshots/docs/1.json");
    fs::rename(&manifest, manifest.with_extension("tmp")).unwrap();
    let other = Home::open(copy, 1 << 20);
    assert!(other.vault.list(None).unwrap().is_empty());
    assert!(other.problems().is_empty());
    let again = other.seal("docs", &texts);
    assert!(again.is_new);
    assert_eq!(again.manifest, sealed.manifest);
}
