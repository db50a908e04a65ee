//! The manifests of a vault: one small file each, whose name is the number.

use crate::domain::sha256_hex;
use crate::embeddings::files::write_durably;
use crate::embeddings::name::{Selector, SnapshotId, SnapshotName, check_collection};
use crate::embeddings::vault::segment::entries;
use crate::embeddings::vault::{
    Labels, MANIFEST_FORMAT, Manifest, Precision, TextStorage, VaultError,
};
use crate::embeddings::vault::{canonical, segment};
use serde::Deserialize as _;
use std::fs;
use std::path::{Path, PathBuf};

/// The label a name without a selector means.
const DEFAULT_LABEL: &str = "production";

/// What a snapshot's identity is the hash of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Content<'a> {
    /// The space's name.
    pub(super) space_id: &'a str,
    /// The pipeline's identity.
    pub(super) pipeline_id: &'a str,
    /// How exactly vectors are kept.
    pub(super) precision: Precision,
    /// How long they are.
    pub(super) dimensions: u32,
    /// Whether texts are kept.
    pub(super) text_storage: TextStorage,
    /// How many items there were at the beginning.
    pub(super) items: u64,
    /// Their hash.
    pub(super) items_hash: &'a str,
    /// How many like it there were before.
    pub(super) renewed: u32,
}

impl Content<'_> {
    /// Returns the identity.
    pub(super) fn id(&self) -> SnapshotId {
        let mut content = serde_json::json!({
            "format": 1,
            "space": self.space_id,
            "pipeline": self.pipeline_id,
            "precision": self.precision,
            "dimensions": self.dimensions,
            "text_storage": self.text_storage,
            "items": self.items,
            "items_hash": self.items_hash,
        });
        if 0 < self.renewed
            && let Some(fields) = content.as_object_mut()
        {
            fields.insert("renewed".to_owned(), self.renewed.into());
        }
        let hash = sha256_hex(canonical::json(&content).as_bytes());
        SnapshotId(["snap-", &hash].concat())
    }

    /// Returns the content of a manifest as it was at the beginning.
    pub(super) fn of(manifest: &Manifest) -> Content<'_> {
        let deleted = u64::try_from(manifest.redacted.len()).unwrap_or(u64::MAX);
        Content {
            space_id: &manifest.space_id.0,
            pipeline_id: &manifest.pipeline_id,
            precision: manifest.precision,
            dimensions: manifest.dimensions,
            text_storage: manifest.text_storage,
            items: manifest.items.saturating_add(deleted),
            items_hash: &manifest.items_hash,
            renewed: manifest.renewed,
        }
    }
}

/// A snapshot whose manifest cannot be read.
#[derive(Debug)]
pub struct Unreadable {
    /// Its collection.
    pub collection: String,
    /// Its number there.
    pub number: u32,
    /// Why.
    pub error: VaultError,
}

/// Where the manifests are.
#[derive(Debug, Clone)]
pub(super) struct Catalogue {
    dir: PathBuf,
}

impl Catalogue {
    /// The manifests of the vault in `dir`.
    pub(super) fn new(dir: &Path) -> Self {
        Self {
            dir: dir.to_owned(),
        }
    }

    /// Returns the file of a snapshot's items.
    pub(super) fn items(&self, id: &SnapshotId) -> PathBuf {
        self.dir.join("items").join(format!("{id}.items"))
    }

    /// Returns the files of items that are there.
    pub(super) fn item_files(&self) -> Result<Vec<PathBuf>, VaultError> {
        entries(&self.dir.join("items"))
    }

    fn collection_dir(&self, collection: &str) -> PathBuf {
        // One directory for each: `docs/2` must not lie among the snapshots of `docs`.
        let name = collection.replace('/', "%2F");
        self.dir.join("snapshots").join(name)
    }

    fn file(&self, collection: &str, number: u32) -> PathBuf {
        self.collection_dir(collection)
            .join(format!("{number}.json"))
    }

    /// Returns the files of manifests of a collection, or of all: by collection and number.
    pub(super) fn files(&self, collection: Option<&str>) -> Result<Vec<PathBuf>, VaultError> {
        let dirs = match collection {
            Some(collection) => vec![self.collection_dir(collection)],
            None => entries(&self.dir.join("snapshots"))?,
        };
        let mut files = Vec::new();
        for dir in dirs {
            let found = entries(&dir)?.into_iter();
            let is_manifest = |path: &PathBuf| {
                path.extension()
                    .is_some_and(|extension| extension == "json")
            };
            let mut found: Vec<PathBuf> = found.filter(is_manifest).collect();
            found.sort_by_key(|path| number_of(path));
            files.extend(found);
        }
        Ok(files)
    }

    /// Returns the highest number that was ever given in a collection.
    pub(super) fn newest(&self, collection: &str) -> Result<u32, VaultError> {
        let files = entries(&self.collection_dir(collection))?;
        // Not `tmp`: what a crash left half written was given to nobody.
        let is_given = |path: &&PathBuf| {
            let extension = path.extension();
            extension.is_some_and(|extension| extension == "json" || extension == "removed")
        };
        let numbers = files.iter().filter(is_given).map(|path| number_of(path));
        Ok(numbers.max().unwrap_or(0))
    }

    /// Returns the manifests of a collection, or all; damaged ones are logged and left out.
    pub(super) fn list(&self, collection: Option<&str>) -> Result<Vec<Manifest>, VaultError> {
        let (manifests, unreadable) = self.survey(collection)?;
        for one in unreadable {
            tracing::error!(error = %one.error, "a snapshot is left out");
        }
        Ok(manifests)
    }

    /// Returns the manifests of a collection, or all, and beside them those that cannot be read.
    pub(super) fn survey(
        &self,
        collection: Option<&str>,
    ) -> Result<(Vec<Manifest>, Vec<Unreadable>), VaultError> {
        let (mut manifests, mut unreadable) = (Vec::new(), Vec::new());
        for path in self.files(collection)? {
            match read(&path) {
                Ok(manifest) => manifests.push(manifest),
                Err(error @ (VaultError::Damaged { .. } | VaultError::NewerFormat { .. })) => {
                    unreadable.push(Unreadable {
                        collection: collection_of(&path),
                        number: number_of(&path),
                        error,
                    });
                }
                Err(error) => return Err(error),
            }
        }
        Ok((manifests, unreadable))
    }

    /// Returns the newest snapshot of a collection that is as it is wanted. One that cannot be read is not
    /// passed over: it may be the one.
    pub(super) fn newest_that(
        &self,
        collection: &str,
        is_wanted: &dyn Fn(&Manifest) -> bool,
    ) -> Result<Option<Manifest>, VaultError> {
        for path in self.files(Some(collection))?.iter().rev() {
            let manifest = read(path)?;
            if is_wanted(&manifest) {
                return Ok(Some(manifest));
            }
        }
        Ok(None)
    }

    /// Returns all manifests.
    ///
    /// # Errors
    ///
    /// `Damaged` when one cannot be read.
    pub(super) fn all(&self) -> Result<Vec<Manifest>, VaultError> {
        self.files(None)?.iter().map(|path| read(path)).collect()
    }

    /// Returns the manifests with an identity: one for each collection that has it.
    pub(super) fn of(&self, id: &SnapshotId) -> Result<Vec<Manifest>, VaultError> {
        let (mut manifests, unreadable) = self.survey(None)?;
        manifests.retain(|manifest| manifest.id == *id);
        match unreadable.into_iter().next() {
            _ if !manifests.is_empty() => Ok(manifests),
            // It may be the one.
            Some(one) => Err(one.error),
            None => Err(VaultError::NoSuchId { id: id.clone() }),
        }
    }

    /// Returns the manifest a name leads to.
    pub(super) fn find(
        &self,
        name: &SnapshotName,
        labels: &Labels<'_>,
    ) -> Result<Manifest, VaultError> {
        let (manifests, unreadable) = self.survey(Some(&name.collection))?;
        let label = match &name.selector {
            None => Some(DEFAULT_LABEL),
            Some(Selector::Label(label)) => Some(label.as_str()),
            Some(_) => None,
        };
        let target = label.and_then(|label| labels(&name.collection, label));
        let selector = match (&target, &name.selector) {
            (Some(target), _) => target.clone(),
            (None, None) => Selector::Latest,
            (None, Some(Selector::Label(_))) => return Err(no_such(name, &manifests)),
            (None, Some(selector)) => selector.clone(),
        };
        check_readable(&selector, &manifests, unreadable)?;
        let mut found = match &selector {
            Selector::Latest => manifests.iter().rev().take(1).collect(),
            Selector::Number(number) => matching(&manifests, |one| one.number == *number),
            Selector::Hash(prefix) => matching(&manifests, |one| one.id.0.starts_with(prefix)),
            // A label that leads to a label leads nowhere.
            Selector::Label(_) => Vec::new(),
        };
        match (found.pop(), found.len()) {
            (Some(manifest), 0) => Ok(manifest.clone()),
            (Some(_), others) => Err(VaultError::AmbiguousId {
                name: name.clone(),
                count: others + 1,
            }),
            (None, _) => Err(match label.zip(target) {
                Some((label, target)) => no_target(&name.collection, label, target, &manifests),
                None => no_such(name, &manifests),
            }),
        }
    }

    /// Writes a manifest, new or changed.
    pub(super) fn write(&self, manifest: &Manifest) -> Result<(), VaultError> {
        check_collection(&manifest.collection).map_err(|_| VaultError::InvalidCollection {
            name: manifest.collection.clone(),
        })?;
        let dir = self.collection_dir(&manifest.collection);
        fs::create_dir_all(&dir).map_err(VaultError::io("create", &dir))?;
        for made in [
            Some(dir.as_path()),
            dir.parent(),
            dir.parent().and_then(Path::parent),
        ] {
            made.map_or(Ok(()), segment::sync_dir)?;
        }
        let path = self.file(&manifest.collection, manifest.number);
        let text = serde_json::to_string_pretty(manifest).map_err(|error| {
            VaultError::damaged(&path, "before it is written", error.to_string())
        })?;
        write_durably(&path, text.as_bytes()).map_err(VaultError::io("write", &path))
    }

    /// Sets a manifest aside, so that its number is not given again.
    pub(super) fn set_aside(&self, manifest: &Manifest) -> Result<(), VaultError> {
        let path = self.file(&manifest.collection, manifest.number);
        let aside = path.with_extension("removed");
        fs::rename(&path, &aside).map_err(VaultError::io("set aside", &path))?;
        path.parent().map_or(Ok(()), segment::sync_dir)
    }
}

fn matching(manifests: &[Manifest], is_wanted: impl Fn(&Manifest) -> bool) -> Vec<&Manifest> {
    manifests.iter().filter(|one| is_wanted(one)).collect()
}

/// Refuses a selector that may mean a snapshot whose manifest cannot be read: the next older one is another.
fn check_readable(
    selector: &Selector,
    manifests: &[Manifest],
    unreadable: Vec<Unreadable>,
) -> Result<(), VaultError> {
    let newest = manifests.last().map_or(0, |newest| newest.number);
    let may_be_meant = |one: &Unreadable| match selector {
        Selector::Latest => newest < one.number,
        Selector::Number(number) => one.number == *number,
        Selector::Hash(prefix) => !manifests.iter().any(|one| one.id.0.starts_with(prefix)),
        Selector::Label(_) => false,
    };
    let meant = unreadable.into_iter().rfind(may_be_meant);
    meant.map_or(Ok(()), |one| Err(one.error))
}

fn no_such(name: &SnapshotName, manifests: &[Manifest]) -> VaultError {
    VaultError::NoSuchSnapshot {
        name: name.clone(),
        choices: choices(manifests),
    }
}

fn no_target(
    collection: &str,
    label: &str,
    target: Selector,
    manifests: &[Manifest],
) -> VaultError {
    let named = |selector| {
        let name = SnapshotName {
            collection: collection.to_owned(),
            selector: Some(selector),
        };
        name.to_string()
    };
    VaultError::NoTarget {
        label: named(Selector::Label(label.to_owned())),
        target: named(target),
        choices: choices(manifests),
    }
}

/// The newest snapshots, in words.
fn choices(manifests: &[Manifest]) -> Vec<String> {
    let newest = manifests.iter().rev().take(10);
    newest.map(|one| format!("`{}`", one.name())).collect()
}

/// Checks that a label of a collection may lead to `target`.
///
/// It reads the files of the vault in `dir`, which need not be open. In a collection that never had a snapshot
/// a label may lead anywhere: nothing is served there yet.
///
/// # Errors
///
/// `NoTarget`, `AmbiguousId`, `Damaged`, `NewerFormat`, `Io`.
pub fn check_target(
    dir: &Path,
    collection: &str,
    label: &str,
    target: &Selector,
) -> Result<(), VaultError> {
    let catalogue = Catalogue::new(dir);
    if catalogue.newest(collection)? == 0 {
        return Ok(());
    }
    let name = SnapshotName {
        collection: collection.to_owned(),
        selector: Some(Selector::Label(label.to_owned())),
    };
    let found = catalogue.find(&name, &|_, _| Some(target.clone()));
    found.map(|_| ())
}

fn collection_of(path: &Path) -> String {
    let dir = path.parent().and_then(Path::file_name);
    let dir = dir.map(std::ffi::OsStr::to_string_lossy);
    dir.unwrap_or_default().replace("%2F", "/")
}

fn number_of(path: &Path) -> u32 {
    let stem = path.file_stem().and_then(|stem| stem.to_str());
    stem.and_then(|stem| stem.parse().ok()).unwrap_or(0)
}

/// Reads a manifest.
pub(super) fn read(path: &Path) -> Result<Manifest, VaultError> {
    read_manifest(path).map(|(manifest, _)| manifest)
}

/// Reads a manifest from a file, and gives back the whole JSON too, as others may write beside it.
///
/// # Errors
///
/// `Io`, `NewerFormat`; `Damaged` when it is none, or does not say what its identity was made of.
pub fn read_manifest(path: &Path) -> Result<(Manifest, serde_json::Value), VaultError> {
    let text = fs::read(path).map_err(VaultError::io("read", path))?;
    let damaged = |problem: String| VaultError::damaged(path, "as a manifest", problem);
    let value = serde_json::from_slice::<serde_json::Value>(&text);
    let value = value.map_err(|error| damaged(error.to_string()))?;
    let format = value.get("format").and_then(serde_json::Value::as_u64);
    let format = format.ok_or_else(|| damaged("it names no format".to_owned()))?;
    if u64::from(MANIFEST_FORMAT) < format {
        return Err(VaultError::NewerFormat {
            path: path.to_owned(),
            found: u32::try_from(format).unwrap_or(u32::MAX),
            known: MANIFEST_FORMAT,
        });
    }
    let manifest = Manifest::deserialize(&value);
    let manifest = manifest.map_err(|error| damaged(error.to_string()))?;
    if Content::of(&manifest).id() != manifest.id {
        return Err(damaged(
            "its identity is not the hash of its content".to_owned(),
        ));
    }
    if manifest.space.id() != manifest.space_id {
        return Err(damaged("its space is not the one it names".to_owned()));
    }
    Ok((manifest, value))
}
