//! Making a snapshot of vectors that are kept.

use crate::embeddings::name::check_collection;
use crate::embeddings::space::{TextHash, VectorKey};
use crate::embeddings::vault::block::Shape;
use crate::embeddings::vault::catalogue::{Catalogue, Content};
use crate::embeddings::vault::index::Place;
use crate::embeddings::vault::items::{self, Drafted};
use crate::embeddings::vault::opened::Opened;
use crate::embeddings::vault::{
    Counts, MANIFEST_FORMAT, Manifest, NewItem, NewSnapshot, ReadNewText, Sealed, TextStorage,
    VaultError,
};
use std::collections::HashSet;

/// How many vectors are brought to another precision at a time.
const DERIVED_AT_A_TIME: usize = 1024;

/// Makes a snapshot; see `Vault::seal`. Only one is made at a time.
pub(super) fn seal(
    vault: &Opened,
    catalogue: &Catalogue,
    draft: &NewSnapshot,
    text: &ReadNewText<'_>,
) -> Result<Sealed, VaultError> {
    check(draft)?;
    let space_id = draft.space.id();
    let items = Drafted {
        items: &draft.items,
        storage: draft.text_storage,
        text,
    };
    let counts = counts(draft, &places(vault, draft)?);
    let dimensions = vault.dimensions(&space_id).unwrap_or(0);
    let mut content = Content {
        space_id: &space_id.0,
        pipeline_id: &draft.pipeline_id,
        precision: draft.precision,
        dimensions: u32::try_from(dimensions).unwrap_or(u32::MAX),
        text_storage: draft.text_storage,
        items: u64::try_from(draft.items.len()).unwrap_or(u64::MAX),
        items_hash: &items::hash(&items),
        renewed: 0,
    };
    let known = catalogue.list(None)?;
    // One from which an item was deleted is no longer what it was: its like gets an identity of its own.
    let is_redacted = |content: &Content<'_>| {
        let id = content.id();
        let mut same = known.iter().filter(|one| one.id == id);
        same.any(|one| !one.redacted.is_empty())
    };
    while is_redacted(&content) {
        content.renewed += 1;
    }
    let id = content.id();
    let path = catalogue.items(&id);
    if !path.exists() {
        items::write(&path, &items)?;
    }
    let same = |one: &&Manifest| one.id == id && one.collection == draft.collection;
    if let Some(manifest) = known.iter().find(same) {
        return Ok(Sealed {
            manifest: manifest.clone(),
            is_new: false,
        });
    }
    let number = catalogue.newest(&draft.collection)?.saturating_add(1);
    let manifest = manifest(draft, &content, number, counts);
    catalogue.write(&manifest)?;
    Ok(Sealed {
        manifest,
        is_new: true,
    })
}

/// Returns the hash (hex) of items as a manifest names it.
#[must_use]
pub fn items_hash(items: &[NewItem]) -> String {
    items::hash(&Drafted {
        items,
        // Neither is in it.
        storage: TextStorage::HashOnly,
        text: &|_| Ok(None),
    })
}

fn manifest(draft: &NewSnapshot, content: &Content<'_>, number: u32, counts: Counts) -> Manifest {
    Manifest {
        format: MANIFEST_FORMAT,
        collection: draft.collection.clone(),
        number,
        id: content.id(),
        space: draft.space.clone(),
        space_id: draft.space.id(),
        pipeline_id: draft.pipeline_id.clone(),
        pipeline: draft.pipeline.clone(),
        parent: draft.parent.clone(),
        items: content.items,
        items_hash: content.items_hash.to_owned(),
        dimensions: content.dimensions,
        precision: draft.precision,
        text_storage: draft.text_storage,
        created: draft.created,
        made_by: concat!("promptgate ", env!("CARGO_PKG_VERSION")).to_owned(),
        source: draft.source.clone(),
        counts,
        spent: draft.spent,
        model_returned: draft.model_returned.clone(),
        noise: None,
        index: None,
        renewed: content.renewed,
        items_left_hash: None,
        redacted: Vec::new(),
    }
}

fn check(draft: &NewSnapshot) -> Result<(), VaultError> {
    check_collection(&draft.collection).map_err(|_| VaultError::InvalidCollection {
        name: draft.collection.clone(),
    })?;
    if draft.items.is_empty() {
        return Err(VaultError::Empty {
            collection: draft.collection.clone(),
        });
    }
    if u32::try_from(draft.items.len()).is_err() {
        return Err(VaultError::TooMany { what: "the items" });
    }
    let mut ids = HashSet::with_capacity(draft.items.len());
    for item in &draft.items {
        if !ids.insert(item.item.id.as_str()) {
            return Err(VaultError::DuplicateItem {
                id: item.item.id.clone(),
            });
        }
    }
    Ok(())
}

/// Returns where the vectors stand; those that are only kept finer are first written as the snapshot wants
/// them.
fn places(vault: &Opened, draft: &NewSnapshot) -> Result<Vec<Place>, VaultError> {
    let keys: Vec<VectorKey> = draft.items.iter().map(|item| item.key).collect();
    vault.touch(&keys);
    let places = || {
        let segments = vault.segments();
        vault.places(&segments, &keys, draft.precision)
    };
    let mut found = places()?;
    if found.iter().any(Option::is_none) {
        let pairs = keys.iter().zip(&found);
        let others = pairs.filter(|(_, place)| place.is_none());
        let finer: Vec<VectorKey> = others.map(|(key, _)| *key).collect();
        let kept = vault.find(&finer, draft.precision)?;
        check_all(draft, &finer, &kept)?;
        derive(vault, draft, &finer)?;
        found = places()?;
    }
    check_all(draft, &keys, &found)?;
    Ok(found.into_iter().flatten().collect())
}

/// Refuses to go on when keys have nothing.
fn check_all<T>(
    draft: &NewSnapshot,
    keys: &[VectorKey],
    found: &[Option<T>],
) -> Result<(), VaultError> {
    let mut without = keys.iter().zip(found).filter(|(_, found)| found.is_none());
    let Some((key, _)) = without.next() else {
        return Ok(());
    };
    let first = draft.items.iter().find(|item| item.key == *key);
    Err(VaultError::MissingVectors {
        missing: 1 + without.count(),
        first: first.map(|item| item.item.id.clone()).unwrap_or_default(),
    })
}

fn derive(vault: &Opened, draft: &NewSnapshot, keys: &[VectorKey]) -> Result<(), VaultError> {
    let space = draft.space.id();
    let Some(dimensions) = vault.dimensions(&space) else {
        return Ok(());
    };
    let shape = Shape {
        precision: draft.precision,
        dimensions,
    };
    let mut seen = HashSet::new();
    let keys: Vec<VectorKey> = keys
        .iter()
        .copied()
        .filter(|key| seen.insert(*key))
        .collect();
    for keys in keys.chunks(DERIVED_AT_A_TIME) {
        let vectors = vault.vectors(keys, draft.precision)?;
        let pairs = keys.iter().zip(&vectors);
        let rows: Vec<(VectorKey, &[f32])> = pairs
            .filter_map(|(key, vector)| Some((*key, vector.as_deref()?)))
            .collect();
        vault.put(&space, shape, &rows)?;
    }
    Ok(())
}

fn counts(draft: &NewSnapshot, places: &[Place]) -> Counts {
    let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
    let mut texts: HashSet<TextHash> = HashSet::with_capacity(draft.items.len());
    let repeated = draft.items.iter();
    let repeated = repeated.filter(|item| !texts.insert(item.text_hash));
    Counts {
        zero: count(places.iter().filter(|place| place.mark().is_zero()).count()),
        duplicate: count(repeated.count()),
        truncated: draft.truncated,
        not_unit: count(
            places
                .iter()
                .filter(|place| place.mark().is_not_unit())
                .count(),
        ),
    }
}
