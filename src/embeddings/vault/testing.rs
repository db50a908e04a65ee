//! Vaults for the tests of this directory.

use crate::domain::{Clock, Timestamp};
use crate::embeddings::item::Item;
use crate::embeddings::name::SnapshotId;
use crate::embeddings::space::{Side, Space, SpaceId, TextHash, VectorKey};
use crate::embeddings::vault::{
    NewItem, NewSnapshot, Precision, Put, Sealed, Source, SourceKind, Spent, TextStorage, Vault,
};
use crate::store::{Config, Store};
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::TempDir;

/// The time of all tests.
pub(super) const NOW: Timestamp = Timestamp(1_772_323_200_000_000);
/// How long the vectors of texts are.
pub(super) const DIMENSIONS: usize = 5;

/// A data directory with a vault.
pub(super) struct Home {
    pub(super) dir: TempDir,
    pub(super) store: Arc<Store>,
    pub(super) vault: Vault,
}

/// Opens the store of a data directory.
pub(super) fn open_store(dir: &Path) -> Arc<Store> {
    let config = Config {
        ballast_bytes: 0,
        compress_after: None,
        ..Config::new(dir)
    };
    Arc::new(Store::open(&config, Clock::Fixed(NOW)).unwrap())
}

impl Home {
    pub(super) fn new() -> Self {
        Self::with_segments_of(1 << 20)
    }

    pub(super) fn with_segments_of(bytes: u64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self::open(dir, bytes)
    }

    pub(super) fn open(dir: TempDir, segment_bytes: u64) -> Self {
        let store = open_store(dir.path());
        let path = dir.path().join("embeddings");
        let vault = Vault::open_with(path, Arc::clone(&store), segment_bytes).unwrap();
        Self { dir, store, vault }
    }

    /// Stops and starts again.
    pub(super) fn restart(self) -> Self {
        let (dir, bytes) = (self.dir, self.vault.segment_bytes);
        drop(self.vault);
        drop(self.store);
        Self::open(dir, bytes)
    }

    /// Starts from what a process that is killed now would leave.
    pub(super) fn kill(&self) -> Self {
        Self::open(self.copy(), self.vault.segment_bytes)
    }

    /// Copies the data directory as it is.
    pub(super) fn copy(&self) -> TempDir {
        let copy = tempfile::tempdir().unwrap();
        copy_dir(self.dir.path(), copy.path());
        copy
    }

    pub(super) fn path(&self, below: &str) -> PathBuf {
        self.dir.path().join(below)
    }

    /// Returns the segments' files.
    pub(super) fn segments(&self) -> Vec<PathBuf> {
        super::opened::files(&self.path("embeddings/segments")).unwrap()
    }

    /// Keeps the vectors of texts.
    pub(super) fn put(&self, precision: Precision, texts: &[&str]) -> Put {
        let vectors: Vec<Vec<f32>> = texts.iter().map(|text| vector(text)).collect();
        let pairs = texts.iter().zip(&vectors);
        let rows: Vec<(VectorKey, &[f32])> = pairs
            .map(|(text, vector)| (key(text), vector.as_slice()))
            .collect();
        let put = self.vault.put(&space().id(), DIMENSIONS, precision, &rows);
        put.unwrap()
    }

    pub(super) fn held(&self, precision: Precision, text: &str) -> bool {
        self.vault.held(&[key(text)], precision).unwrap() == [true]
    }

    /// Keeps vectors and makes a snapshot of the texts, named after their contents.
    pub(super) fn seal(&self, collection: &str, texts: &[&str]) -> Sealed {
        self.put(Precision::F16, texts);
        self.vault.seal(&draft(collection, texts)).unwrap()
    }

    /// Asserts that a snapshot reads as its texts' vectors.
    pub(super) fn reads(&self, id: &SnapshotId, texts: &[&str]) {
        let snapshot = self.vault.open_snapshot(id).unwrap();
        let matrix = snapshot.load().unwrap();
        for (row, text) in texts.iter().enumerate() {
            assert_eq!(snapshot.id(row), Some(*text));
            near(matrix.row(row).unwrap(), &vector(text));
        }
        assert_eq!(matrix.row(texts.len()), None);
    }

    pub(super) fn problems(&self) -> Vec<String> {
        let found = self.vault.verify(None).unwrap().problems;
        let told = found.into_iter();
        told.map(|fault| format!("{}: {}", fault.place, fault.problem))
            .collect()
    }
}

pub(super) fn copy_dir(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let place = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy_dir(&path, &place);
        } else {
            fs::copy(&path, &place).unwrap();
        }
    }
}

pub(super) fn space() -> Space {
    serde_json::from_value(json!({"model": "simulated/small"})).unwrap()
}

pub(super) fn space_id() -> SpaceId {
    space().id()
}

pub(super) fn key(text: &str) -> VectorKey {
    let space = space();
    VectorKey::new(&space, &space.id(), Side::Document, TextHash::of(text))
}

/// Returns the vector of a text: of length 1, and always the same.
pub(super) fn vector(text: &str) -> Vec<f32> {
    let bytes = TextHash::of(text).0.into_iter().take(DIMENSIONS);
    let values: Vec<f32> = bytes.map(|byte| f32::from(byte) - 127.5).collect();
    let length = values.iter().map(|value| value * value).sum::<f32>().sqrt();
    values.into_iter().map(|value| value / length).collect()
}

pub(super) fn near(found: &[f32], wanted: &[f32]) {
    assert_eq!(found.len(), wanted.len());
    for (found, wanted) in found.iter().zip(wanted) {
        assert!((found - wanted).abs() < 1e-3, "{found} for {wanted}");
    }
}

/// Returns a snapshot to be, whose items are named like their texts.
pub(super) fn draft(collection: &str, texts: &[&str]) -> NewSnapshot {
    let items = texts.iter().map(|text| NewItem {
        item: Item {
            id: (*text).to_owned(),
            text: Some((*text).to_owned()),
            span: None,
            metadata: None,
        },
        text_hash: TextHash::of(text),
        key: key(text),
    });
    NewSnapshot {
        collection: collection.to_owned(),
        space: space(),
        pipeline_id: "pipe-1".to_owned(),
        pipeline: json!({"chunker": "none"}),
        precision: Precision::F16,
        text_storage: TextStorage::Text,
        items: items.collect(),
        parent: None,
        source: Source {
            kind: SourceKind::File,
            detail: None,
        },
        truncated: None,
        spent: Spent::default(),
        model_returned: None,
        created: NOW,
    }
}
