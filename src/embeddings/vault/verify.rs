//! Checking that what is kept is what was kept.

use crate::embeddings::name::SnapshotId;
use crate::embeddings::space::VectorKey;
use crate::embeddings::vault::block::Block;
use crate::embeddings::vault::catalogue::{self, Catalogue};
use crate::embeddings::vault::items::{self, Items};
use crate::embeddings::vault::opened::{Opened, files};
use crate::embeddings::vault::precision::Mark;
use crate::embeddings::vault::segment::{Found, HEADER_BYTES, Segment, Walk, number_of};
use crate::embeddings::vault::{Fault, Manifest, Precision, VaultError, Verification};
use std::collections::{BTreeSet, HashMap};
use std::path::Path;

/// How many faults are told of one kind in one place.
const TOLD: usize = 10;

/// A check that is going on.
struct Check<'a> {
    vault: &'a Opened,
    catalogue: &'a Catalogue,
    found: Verification,
    /// Of vectors seen: the checksum of the row, and where it was.
    seen: HashMap<(VectorKey, Precision), (u32, u32)>,
}

/// Checks a snapshot with the segments it uses, or everything; see `Vault::verify`.
pub(super) fn verify(
    vault: &Opened,
    catalogue: &Catalogue,
    segments_dir: &Path,
    id: Option<&SnapshotId>,
) -> Result<Verification, VaultError> {
    let mut check = Check {
        vault,
        catalogue,
        found: Verification::default(),
        seen: HashMap::new(),
    };
    let mut used = BTreeSet::new();
    let manifests = match id {
        Some(id) => catalogue.of(id)?,
        None => check.manifests()?,
    };
    for manifest in &manifests {
        check.found.snapshots += 1;
        if let Err(error) = check.snapshot(manifest, &mut used) {
            check.fault(manifest.name(), error.to_string());
        }
    }
    let segments = vault.segments().clone();
    for segment in segments.values() {
        if id.is_none() || used.contains(&segment.number) {
            check.segment(segment)?;
        }
    }
    if id.is_none() {
        for path in files(segments_dir)? {
            let is_open = number_of(&path).is_none_or(|number| segments.contains_key(&number));
            if !is_open && let Err(error) = Segment::open(&path) {
                check.fault(path.display().to_string(), error.to_string());
            }
        }
    }
    Ok(check.found)
}

impl Check<'_> {
    fn fault(&mut self, place: impl Into<String>, problem: impl Into<String>) {
        self.found.problems.push(Fault {
            place: place.into(),
            problem: problem.into(),
        });
    }

    fn manifests(&mut self) -> Result<Vec<Manifest>, VaultError> {
        let mut manifests = Vec::new();
        for path in self.catalogue.files(None)? {
            match catalogue::read(&path) {
                Ok(manifest) => manifests.push(manifest),
                Err(error) => self.fault(path.display().to_string(), error.to_string()),
            }
        }
        Ok(manifests)
    }

    fn snapshot(
        &mut self,
        manifest: &Manifest,
        used: &mut BTreeSet<u32>,
    ) -> Result<(), VaultError> {
        let items = Items::open(&self.catalogue.items(&manifest.id))?.all()?;
        let wanted = manifest.items_left_hash.as_ref();
        let wanted = wanted.unwrap_or(&manifest.items_hash);
        if items::hash(items.as_slice()) != *wanted {
            let problem = "its items are not those it was made of";
            self.fault(manifest.name(), problem);
        }
        let mut missing = 0_usize;
        let mut first = None;
        let keys: Vec<VectorKey> = items.iter().map(|(head, _)| head.vector_key()).collect();
        let places = {
            let segments = self.vault.segments();
            self.vault.places(&segments, &keys, manifest.precision)?
        };
        for ((head, _), place) in items.iter().zip(places) {
            match place {
                Some(place) => {
                    used.insert(place.segment);
                }
                None => {
                    missing += 1;
                    first.get_or_insert_with(|| head.id.clone());
                }
            }
        }
        if let Some(first) = first {
            let problem = VaultError::MissingVectors { missing, first };
            self.fault(manifest.name(), problem.to_string());
        }
        Ok(())
    }

    fn segment(&mut self, segment: &Segment) -> Result<(), VaultError> {
        self.found.segments += 1;
        self.found.bytes += segment.bytes()?;
        let mut walk = Walk::new(segment, HEADER_BYTES)?;
        while let Some(found) = walk.next()? {
            match found {
                Found::Block { offset, block } => self.block(segment, offset, &block),
                Found::Damage { offset, problem } => {
                    let error = segment.damaged(offset, problem);
                    self.fault(segment.path.display().to_string(), error.to_string());
                }
                // Somebody is just writing it, or the next start cuts it.
                Found::Torn { .. } => {}
            }
        }
        Ok(())
    }

    fn block(&mut self, segment: &Segment, offset: u64, block: &Block<'_>) {
        let shape = segment.shape;
        let mut vector = vec![0.0; shape.dimensions];
        let mut faults: Vec<String> = Vec::new();
        for row in 0..block.rows {
            let (Some(key), Some(bytes)) = (block.key(row), block.row(row)) else {
                continue;
            };
            self.found.vectors += 1;
            let mark = block.mark(row);
            shape.decode(bytes, mark, &mut vector);
            let is_told = match shape.precision {
                Precision::F32 => Mark::of(&vector) == mark,
                // Rounding may carry a length over the bound.
                Precision::F16 | Precision::Int8 | Precision::Binary => {
                    vector.iter().all(|value| value.is_finite())
                }
            };
            if !is_told {
                faults.push(format!("row {row} has another length than is noted"));
            }
            let sum = crc32fast::hash(bytes);
            let known = self
                .seen
                .insert((key, shape.precision), (sum, segment.number));
            if let Some((other, number)) = known
                && other != sum
            {
                faults.push(format!(
                    "row {row} is of a text that has another vector in segment {number:06}"
                ));
            }
        }
        let left_out = faults.len().saturating_sub(TOLD);
        faults.truncate(TOLD);
        if 0 < left_out {
            faults.push(format!("and {left_out} more"));
        }
        for fault in faults {
            let problem = format!("in the block at byte {offset}: {fault}");
            self.fault(segment.path.display().to_string(), problem);
        }
    }
}
