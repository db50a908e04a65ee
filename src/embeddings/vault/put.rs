//! Keeping vectors: what is new is appended, what is there already is compared with what came.

use crate::embeddings::space::{SpaceId, VectorKey};
use crate::embeddings::vault::block::Shape;
use crate::embeddings::vault::gather::gather;
use crate::embeddings::vault::index::Place;
use crate::embeddings::vault::opened::Opened;
use crate::embeddings::vault::precision::Mark;
use crate::embeddings::vault::segment::check_space;
use crate::embeddings::vault::writer::{Content, NewRow};
use crate::embeddings::vault::{DEVIATION_ALERT, Deviations, Precision, Put, VaultError};
use crate::store::TableChange;
use std::collections::{BTreeMap, HashMap};

/// A vector that came again: its key, how far it is at least from the one that is kept.
type Again = (VectorKey, f32);

/// The numbers of vectors that are new, and of those that came again with where the first ones are.
type SortedOut = (Vec<usize>, Vec<(usize, First)>);

/// Where a vector that came again has its first one.
enum First {
    /// In a segment.
    Kept(Place),
    /// Among those that came with it.
    Here(usize),
}

impl Opened {
    /// Keeps vectors; see `Vault::put`.
    pub(super) fn put(
        &self,
        space: &SpaceId,
        shape: Shape,
        rows: &[(VectorKey, &[f32])],
    ) -> Result<Put, VaultError> {
        let mut writer = self.writer();
        let marks = self.marks(space, shape, rows)?;
        self.touch(rows.iter().map(|(key, _)| key));
        let (new, known) = self.sort_out(shape.precision, rows)?;
        let (again, healed) = self.compare(shape.precision, rows, &known)?;
        let rows_to_write = new.iter().chain(&healed).filter_map(|number| {
            let (key, values) = rows.get(*number)?;
            Some(NewRow {
                key: *key,
                mark: marks.get(*number).copied()?,
                content: Content::Values(values),
            })
        });
        let appended = writer.append(self, space, shape, rows_to_write)?;
        self.index
            .add(shape.precision, &appended.places, &appended.marks)?;
        self.note(space, &again)?;
        Ok(came(appended.places.len(), &again))
    }

    /// Says what would become of vectors; see `Vault::weigh`.
    pub(super) fn weigh(
        &self,
        space: &SpaceId,
        shape: Shape,
        rows: &[(VectorKey, &[f32])],
    ) -> Result<Put, VaultError> {
        self.marks(space, shape, rows)?;
        let (new, known) = self.sort_out(shape.precision, rows)?;
        let (again, healed) = self.compare(shape.precision, rows, &known)?;
        Ok(came(new.len() + healed.len(), &again))
    }

    /// Checks vectors, and returns what is to be known of each.
    fn marks(
        &self,
        space: &SpaceId,
        shape: Shape,
        rows: &[(VectorKey, &[f32])],
    ) -> Result<Vec<Mark>, VaultError> {
        check_space(space)?;
        let expected = self.dimensions(space).unwrap_or(shape.dimensions);
        let lengths = rows.iter().map(|(_, vector)| vector.len());
        for found in lengths.chain([shape.dimensions]) {
            if found != expected || found == 0 {
                return Err(VaultError::Dimensions {
                    space: space.short().to_owned(),
                    expected,
                    found,
                });
            }
        }
        let numbered = rows.iter().enumerate();
        let marks = numbered.map(|(number, (_, vector))| shape.precision.check(vector, number));
        marks.collect()
    }

    /// Returns which vectors are new, and of the others where the first ones are.
    fn sort_out(
        &self,
        precision: Precision,
        rows: &[(VectorKey, &[f32])],
    ) -> Result<SortedOut, VaultError> {
        let mut here: HashMap<VectorKey, usize> = HashMap::with_capacity(rows.len());
        let (mut new, mut known) = (Vec::new(), Vec::new());
        for (number, (key, _)) in rows.iter().enumerate() {
            if let Some(first) = here.get(key) {
                known.push((number, First::Here(*first)));
            } else if let Some(place) = self.index.place(key, precision)? {
                known.push((number, First::Kept(place)));
            } else {
                here.insert(*key, number);
                new.push(number);
            }
        }
        Ok((new, known))
    }

    /// Returns how far vectors that came again are from the first ones, and which of those cannot be read any
    /// more: the new ones take their places.
    fn compare(
        &self,
        precision: Precision,
        rows: &[(VectorKey, &[f32])],
        known: &[(usize, First)],
    ) -> Result<(Vec<Again>, Vec<usize>), VaultError> {
        let segments = self.segments();
        let (mut again, mut healed) = (Vec::new(), Vec::new());
        let mut kept = Vec::new();
        for (number, first) in known {
            match first {
                First::Kept(place) => kept.push((*number, *place)),
                First::Here(first) => {
                    let pair = rows.get(*number).zip(rows.get(*first));
                    let deviation = pair.map(|((key, vector), (_, first))| {
                        (*key, Precision::F32.deviation(first, vector))
                    });
                    again.extend(deviation);
                }
            }
        }
        let mut buffer = Vec::new();
        for kept in kept.chunks(1024) {
            let mut compare = |kept: &[(usize, Place)], again: &mut Vec<Again>| {
                let places: Vec<Place> = kept.iter().map(|(_, place)| *place).collect();
                gather(&segments, &places, &mut buffer, |at, row| {
                    let found = kept.get(at).and_then(|(number, _)| rows.get(*number));
                    again.extend(
                        found.map(|(key, vector)| (*key, precision.deviation(row, vector))),
                    );
                })
            };
            let before = again.len();
            match compare(kept, &mut again) {
                Err(VaultError::Damaged { .. }) => {
                    again.truncate(before);
                    for one in kept {
                        match compare(&[*one], &mut again) {
                            Err(VaultError::Damaged { .. }) => healed.push(one.0),
                            result => result?,
                        }
                    }
                }
                result => result?,
            }
        }
        Ok((again, healed))
    }

    /// Counts vectors that came again.
    fn note(&self, space: &SpaceId, again: &[Again]) -> Result<(), VaultError> {
        if again.is_empty() {
            return Ok(());
        }
        let mut whole = self.deviations_of(space)?;
        let mut keys: BTreeMap<VectorKey, (u64, f32)> = BTreeMap::new();
        for (key, deviation) in again {
            whole.observed += 1;
            whole.deviating += u64::from(DEVIATION_ALERT < *deviation);
            whole.max_deviation = whole.max_deviation.max(*deviation);
            let of_key = keys.entry(*key).or_default();
            *of_key = (of_key.0 + 1, of_key.1.max(*deviation));
        }
        let mut changes = Vec::with_capacity(keys.len() + 1);
        for (key, (count, most)) in keys {
            let (known_count, known_most) = self.deviation_of(&key)?;
            let most = known_most.max(most);
            let mut value = (known_count + count).to_be_bytes().to_vec();
            value.extend(most.to_be_bytes());
            changes.push(TableChange::Insert {
                key: key_place(&key),
                value,
            });
        }
        let mut value = whole.observed.to_be_bytes().to_vec();
        value.extend(whole.deviating.to_be_bytes());
        value.extend(whole.max_deviation.to_be_bytes());
        changes.push(TableChange::Insert {
            key: space_place(space),
            value,
        });
        Ok(self.deviations.apply(changes)?)
    }

    /// Returns how often a key's vector came again, and the largest difference.
    pub(super) fn deviation_of(&self, key: &VectorKey) -> Result<(u64, f32), VaultError> {
        let value = self.deviations.get(&key_place(key))?.unwrap_or_default();
        let read = value.split_first_chunk::<8>().and_then(|(count, most)| {
            let most = most.first_chunk::<4>()?;
            Some((u64::from_be_bytes(*count), f32::from_be_bytes(*most)))
        });
        Ok(read.unwrap_or_default())
    }

    /// Returns what was seen of a space's vectors that came more than once.
    pub(super) fn deviations_of(&self, space: &SpaceId) -> Result<Deviations, VaultError> {
        let value = self
            .deviations
            .get(&space_place(space))?
            .unwrap_or_default();
        let read = value.split_first_chunk::<8>().and_then(|(observed, rest)| {
            let (deviating, rest) = rest.split_first_chunk::<8>()?;
            let most = rest.first_chunk::<4>()?;
            Some(Deviations {
                observed: u64::from_be_bytes(*observed),
                deviating: u64::from_be_bytes(*deviating),
                max_deviation: f32::from_be_bytes(*most),
            })
        });
        Ok(read.unwrap_or_default())
    }

    /// Forgets what was seen of keys.
    pub(super) fn forget_deviations(&self, keys: &[VectorKey]) -> Result<(), VaultError> {
        let removals = keys.iter().map(|key| TableChange::Remove {
            key: key_place(key),
        });
        Ok(self.deviations.apply(removals)?)
    }
}

/// Sums up what came.
fn came(written: usize, again: &[Again]) -> Put {
    Put {
        written,
        known: again.len(),
        deviating: again.iter().filter(|(_, by)| DEVIATION_ALERT < *by).count(),
        max_deviation: again.iter().map(|(_, by)| *by).fold(0.0, f32::max),
    }
}

fn key_place(key: &VectorKey) -> Vec<u8> {
    [b"k", key.0.as_slice()].concat()
}

fn space_place(space: &SpaceId) -> Vec<u8> {
    [b"s", space.0.as_bytes()].concat()
}
