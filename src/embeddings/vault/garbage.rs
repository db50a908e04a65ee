//! Removing vectors that nothing uses: what stays of a segment is appended elsewhere, then the file goes.
//!
//! A crash at any step leaves every used vector readable. Before the index is changed, copies are only dead weight;
//! after that the old file is; both are found by the next collection. While one runs, whoever asks for a vector keeps it.

use crate::embeddings::space::VectorKey;
use crate::embeddings::vault::block::Block;
use crate::embeddings::vault::catalogue::Catalogue;
use crate::embeddings::vault::index::Place;
use crate::embeddings::vault::items::Items;
use crate::embeddings::vault::opened::Opened;
use crate::embeddings::vault::segment::{Found, HEADER_BYTES, Segment, Walk, sync_dir};
use crate::embeddings::vault::writer::{Content, NewRow, Writer};
use crate::embeddings::vault::{Collected, Collecting, Manifest, Precision, VaultError};
use std::collections::{HashMap, HashSet};
use std::fs;
use std::sync::Arc;

/// Vectors that snapshots use.
pub(super) type Used = HashSet<(VectorKey, Precision)>;
/// Says, of a vector, whether it stays.
type Stays<'a> = dyn Fn(&VectorKey, Precision) -> bool + 'a;

/// Returns what all snapshots use.
///
/// # Errors
///
/// `Damaged`, `Io`: nobody knows then.
pub(super) fn used(catalogue: &Catalogue) -> Result<Used, VaultError> {
    let mut used = Used::new();
    for manifest in catalogue.all()? {
        let items = Items::open(&catalogue.items(&manifest.id))?;
        items.heads(|head| {
            used.insert((head.vector_key(), manifest.precision));
            Ok(())
        })?;
    }
    Ok(used)
}

/// Collects garbage; see `Vault::collect_garbage`.
pub(super) fn collect(
    vault: &Opened,
    catalogue: &Catalogue,
    collecting: &Collecting<'_>,
) -> Result<Collected, VaultError> {
    vault.set_collecting(true);
    let collected = collect_marked(vault, catalogue, collecting);
    vault.set_collecting(false);
    collected
}

fn collect_marked(
    vault: &Opened,
    catalogue: &Catalogue,
    collecting: &Collecting<'_>,
) -> Result<Collected, VaultError> {
    let used = used(catalogue)?;
    let stays = |key: &VectorKey, precision: Precision| {
        used.contains(&(*key, precision)) || (collecting.is_needed)(key)
    };
    let mut alive: HashMap<u32, u64> = HashMap::new();
    vault.index.scan(|key, precision, place| {
        if stays(&key, precision) {
            *alive.entry(place.segment).or_default() += 1;
        }
    })?;
    let segments: Vec<Arc<Segment>> = vault.segments().values().cloned().collect();
    let mut collected = Collected {
        segments: segments.len(),
        ..Collected::default()
    };
    let mut due = Vec::new();
    for segment in segments {
        let rows = count_rows(&segment)?;
        let dead = rows.saturating_sub(alive.get(&segment.number).copied().unwrap_or(0));
        collected.dead += dead;
        if 0 < dead && collecting.dead_share * share(rows) <= share(dead) {
            due.push(segment);
        }
    }
    if collecting.is_dry_run {
        return Ok(collected);
    }
    // What stays of one must not be written to another that goes next.
    for segment in &due {
        vault.writer().retire(segment.number);
    }
    for segment in due {
        let before = segment.bytes()?;
        let cleaned = clean(vault, &segment, &stays, OnDamage::Leave)?;
        if cleaned.is_gone {
            collected.rewritten += 1;
            collected.removed += cleaned.removed;
            collected.freed_bytes += before.saturating_sub(cleaned.written_bytes);
        }
    }
    Ok(collected)
}

#[expect(clippy::cast_precision_loss, reason = "a share is no exact number")]
const fn share(count: u64) -> f64 {
    count as f64
}

/// Returns how many rows a segment has, damaged blocks not counted.
fn count_rows(segment: &Segment) -> Result<u64, VaultError> {
    let mut rows = 0;
    let mut walk = Walk::new(segment, HEADER_BYTES)?;
    while let Some(found) = walk.next()? {
        if let Found::Block { block, .. } = found {
            rows += u64::try_from(block.rows).unwrap_or(0);
        }
    }
    Ok(rows)
}

/// What cleaning a segment did.
#[derive(Debug, Default)]
pub(super) struct Cleaned {
    /// Whether the file was removed.
    pub(super) is_gone: bool,
    /// Rows that were not kept.
    pub(super) removed: u64,
    /// Bytes that were written for those that were.
    pub(super) written_bytes: u64,
}

/// What becomes of blocks that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OnDamage {
    /// Their file is left as it is: what they hold may be read again one day.
    Leave,
    /// They go with their file, as what must be erased may be in them.
    Drop,
}

/// What of a segment stays, and what goes.
#[derive(Debug, Default)]
struct Sorted {
    kept: Vec<(VectorKey, Place)>,
    marks: Vec<(u32, u64)>,
    dropped: Vec<VectorKey>,
    superseded: u64,
}

/// Writes what stays of a segment elsewhere and removes its file.
pub(super) fn clean(
    vault: &Opened,
    segment: &Segment,
    stays: &Stays<'_>,
    on_damage: OnDamage,
) -> Result<Cleaned, VaultError> {
    let precision = segment.shape.precision;
    vault.writer().retire(segment.number);
    let is_damaged = is_damaged(segment)?;
    if is_damaged && on_damage == OnDamage::Leave {
        tracing::warn!(path = %segment.path.display(), "a file with damaged vectors is not cleaned");
        return Ok(Cleaned::default());
    }
    let mut sorted = sort(vault, segment, stays)?;
    if is_damaged {
        sorted.dropped.extend(unreadable(vault, segment, &sorted)?);
    }
    // From here on nobody begins to rely on what goes: who came before is heard, who comes later is told that
    // it is gone.
    let mut writer = vault.writer();
    let touched = vault.touched();
    let dropped = std::mem::take(&mut sorted.dropped);
    let (late, dropped): (HashSet<VectorKey>, HashSet<VectorKey>) =
        dropped.into_iter().partition(|key| touched.contains(key));
    if !late.is_empty() {
        keep(vault, &mut writer, segment, &late, &mut sorted)?;
    }
    let removed: Vec<VectorKey> = dropped.into_iter().collect();
    vault.replace_segment(segment.number, || {
        vault.index.add(precision, &sorted.kept, &sorted.marks)?;
        vault.index.remove(precision, &removed)?;
        vault.index.flush()
    })?;
    drop(touched);
    drop(writer);
    remove_file(vault, segment)?;
    let written = sorted
        .kept
        .len()
        .saturating_mul(segment.shape.row_bytes() + 33);
    Ok(Cleaned {
        is_gone: true,
        removed: sorted.superseded + u64::try_from(removed.len()).unwrap_or(u64::MAX),
        written_bytes: u64::try_from(written).unwrap_or(u64::MAX),
    })
}

fn is_damaged(segment: &Segment) -> Result<bool, VaultError> {
    let mut walk = Walk::new(segment, HEADER_BYTES)?;
    while let Some(found) = walk.next()? {
        if matches!(found, Found::Damage { .. }) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Returns the keys whose vectors stand in damaged blocks of a segment.
fn unreadable(
    vault: &Opened,
    segment: &Segment,
    sorted: &Sorted,
) -> Result<Vec<VectorKey>, VaultError> {
    let kept = sorted.kept.iter().map(|(key, _)| key);
    let known: HashSet<&VectorKey> = kept.chain(&sorted.dropped).collect();
    let mut keys = Vec::new();
    vault.index.scan(|key, _, place| {
        if place.segment == segment.number && !known.contains(&key) {
            keys.push(key);
        }
    })?;
    Ok(keys)
}

/// Removes a segment's file, to which nothing points.
fn remove_file(vault: &Opened, segment: &Segment) -> Result<(), VaultError> {
    let path = &segment.path;
    fs::remove_file(path).map_err(VaultError::io("remove", path))?;
    path.parent().map_or(Ok(()), sync_dir)?;
    vault.index.forget(segment.number)
}

/// Appends what stays of a segment, block by block.
fn sort(vault: &Opened, segment: &Segment, stays: &Stays<'_>) -> Result<Sorted, VaultError> {
    let mut sorted = Sorted::default();
    let mut walk = Walk::new(segment, HEADER_BYTES)?;
    while let Some(found) = walk.next()? {
        let Found::Block { offset, block } = found else {
            continue;
        };
        let here = rows_here(vault, segment, offset, &block)?;
        sorted.superseded += u64::try_from(block.rows - here.len()).unwrap_or(0);
        let is_kept = |row: &NewRow<'_>| stays(&row.key, segment.shape.precision);
        let (kept, dropped): (Vec<_>, Vec<_>) = here.into_iter().partition(is_kept);
        sorted.dropped.extend(dropped.iter().map(|row| row.key));
        let mut writer = vault.writer();
        let appended = writer.append(vault, &segment.space, segment.shape, kept)?;
        sorted.kept.extend(appended.places);
        sorted.marks.extend(appended.marks);
    }
    Ok(sorted)
}

/// Appends rows of a segment after all.
fn keep(
    vault: &Opened,
    writer: &mut Writer,
    segment: &Segment,
    keys: &HashSet<VectorKey>,
    sorted: &mut Sorted,
) -> Result<(), VaultError> {
    let mut walk = Walk::new(segment, HEADER_BYTES)?;
    while let Some(found) = walk.next()? {
        let Found::Block { offset, block } = found else {
            continue;
        };
        let mut rows = rows_here(vault, segment, offset, &block)?;
        rows.retain(|row| keys.contains(&row.key));
        let appended = writer.append(vault, &segment.space, segment.shape, rows)?;
        sorted.kept.extend(appended.places);
        sorted.marks.extend(appended.marks);
    }
    Ok(())
}

/// Returns the rows of a block to which the index points.
fn rows_here<'a>(
    vault: &Opened,
    segment: &Segment,
    offset: u64,
    block: &Block<'a>,
) -> Result<Vec<NewRow<'a>>, VaultError> {
    let mut rows = Vec::with_capacity(block.rows);
    for row in 0..block.rows {
        let (Some(key), Some(bytes)) = (block.key(row), block.row(row)) else {
            continue;
        };
        let mark = block.mark(row);
        let place = Place::new(segment.number, offset, block.rows, row, mark);
        if vault.index.place(&key, segment.shape.precision)? == place {
            let content = Content::Row(bytes);
            rows.push(NewRow { key, mark, content });
        }
    }
    Ok(rows)
}

/// Removes what a crash left of files that were being written, and items that belong to no snapshot.
pub(super) fn remove_leftovers(catalogue: &Catalogue) -> Result<(), VaultError> {
    let manifests: Vec<Manifest> = catalogue.all()?;
    let known: HashSet<_> = manifests
        .iter()
        .map(|manifest| catalogue.items(&manifest.id))
        .collect();
    for path in catalogue.item_files()? {
        if !known.contains(&path) {
            fs::remove_file(&path).map_err(VaultError::io("remove", &path))?;
        }
    }
    Ok(())
}
