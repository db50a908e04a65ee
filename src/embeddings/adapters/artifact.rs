//! An adapter as a file: what it is in JSON, its numbers behind it, and a checksum that is its name.
//!
//! ```text
//! "pgadapt"  format u8  length of the head u32  head (JSON)
//! mean it maps from, mean it maps to (f32)  matrix, row by row (f32 or f16)
//! SHA-256 of everything before
//! ```
//!
//! All numbers are little-endian. Nothing in it depends on when it was made, so the same fit has the same
//! name everywhere.

use crate::domain::sha256_hex;
use crate::embeddings::Error;
use crate::embeddings::adapters::{AdapterError, Judgement};
use crate::embeddings::geometry::{LinearMap, MapKind, MapParts};
use crate::embeddings::rows::{Matrix, Rows as _};
use crate::embeddings::space::{Space, SpaceId};
use half::f16;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::path::Path;

/// The newest format of adapters' files.
pub const ADAPTER_FORMAT: u8 = 1;

const MAGIC: &[u8; 7] = b"pgadapt";
/// Magic, format, length of the head.
const PREAMBLE: usize = 12;
const CHECKSUM: usize = 32;

/// What an adapter is for; with its two spaces this is its direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// It brings queries of the new space to an index of the old one.
    #[default]
    Queries,
    /// It brings an index of the old space to queries of the new one.
    Documents,
}

/// What is known of an adapter besides its numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Head {
    /// What it is for.
    pub role: Role,
    /// The space it maps from, by id.
    pub from_space: SpaceId,
    /// The space it maps to, by id.
    pub to_space: SpaceId,
    /// The space it maps from, in clear.
    pub from: Space,
    /// The space it maps to, in clear.
    pub to: Space,
    /// How it was fitted.
    pub kind: MapKind,
    /// The penalty of a ridge.
    pub lambda: Option<f64>,
    /// Whether what it gives has length 1.
    pub renormalise: bool,
    /// Whether its matrix is kept in 16 bits.
    pub is_half: bool,
    /// How long vectors are that it takes.
    pub from_dimensions: usize,
    /// How long those are that it gives.
    pub to_dimensions: usize,
    /// The snapshots it was fitted on: the old one, the new one.
    pub fitted_on: [String; 2],
    /// On how many pairs.
    pub pairs: usize,
    /// SHA-256 (hex) of the pairs' ids and texts' hashes.
    pub pairs_hash: String,
    /// The seed of what was drawn.
    pub seed: u64,
    /// What it showed on queries it was not fitted on.
    pub judgement: Judgement,
    /// From scores of adapted queries (or documents) to the scores that the new model gives the same
    /// pairs: a line that never falls.
    pub score_map: Vec<(f64, f64)>,
    /// Whether it was kept against the advice.
    pub is_forced: bool,
    /// Which version of this program made it.
    pub made_by: String,
}

/// An adapter: a map whose sides are known.
#[derive(Debug, Clone, PartialEq)]
pub struct Adapter {
    id: String,
    head: Head,
    map: LinearMap,
}

impl Adapter {
    /// Returns an adapter of a head and its map. What the head says of the map is taken from the map.
    #[must_use]
    pub fn new(head: Head, map: LinearMap) -> Self {
        let head = Head {
            from_space: head.from.id(),
            to_space: head.to.id(),
            kind: map.kind(),
            lambda: map.lambda(),
            renormalise: map.is_renormalised(),
            is_half: map.is_half(),
            from_dimensions: map.from_dimensions(),
            to_dimensions: map.to_dimensions(),
            ..head
        };
        let id = format!("adapter-{}", sha256_hex(&content(&head, &map)));
        Self { id, head, map }
    }

    /// Returns its name: `adapter-` and 64 hex digits.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Returns the name as people write it: the first 12 digits.
    #[must_use]
    pub fn short(&self) -> &str {
        self.id.get(..20).unwrap_or(&self.id)
    }

    /// Returns what is known of it.
    #[must_use]
    pub const fn head(&self) -> &Head {
        &self.head
    }

    /// Returns its map. Whoever uses it directly answers for the spaces.
    #[must_use]
    pub const fn linear(&self) -> &LinearMap {
        &self.map
    }

    /// Returns the space of what it makes: that of the side it maps to, marked with its hash.
    #[must_use]
    pub fn space(&self) -> Space {
        let hash = self.id.strip_prefix("adapter-").unwrap_or(&self.id);
        Space {
            adapter: Some(hash.to_owned()),
            ..self.head.to.clone()
        }
    }

    /// Returns the space in which texts are asked for when something that it made is searched: that of
    /// the new model.
    #[must_use]
    pub const fn asking(&self) -> &Space {
        match self.head.role {
            Role::Queries => &self.head.from,
            Role::Documents => &self.head.to,
        }
    }

    /// Checks that vectors are of the space it maps from.
    ///
    /// # Errors
    ///
    /// `WrongDirection` when they are of the side it maps to, `SpaceMismatch` when they are of another.
    pub fn check(&self, given: &str, space: &Space) -> Result<(), Error> {
        let id = space.id();
        if id == self.head.from_space {
            return Ok(());
        }
        if id == self.head.to_space {
            let wrong = AdapterError::WrongDirection {
                adapter: self.short().to_owned(),
                from: in_words(&self.head.from),
                to: in_words(&self.head.to),
                given: given.to_owned(),
            };
            return Err(wrong.into());
        }
        Err(Error::SpaceMismatch {
            first: self.short().to_owned(),
            second: given.to_owned(),
            changes: self.head.from.differences(space),
        })
    }

    /// Maps vectors of a space, after [`Self::check`].
    ///
    /// # Errors
    ///
    /// As [`Self::check`]; `Dimensions`.
    pub fn map(&self, given: &str, space: &Space, rows: &Matrix) -> Result<Matrix, Error> {
        self.check(given, space)?;
        self.map.apply(rows).ok_or_else(|| {
            AdapterError::Dimensions {
                adapter: self.short().to_owned(),
                given: given.to_owned(),
                found: rows.dimensions(),
                needed: self.map.from_dimensions(),
            }
            .into()
        })
    }

    /// Returns the bytes of its file.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = content(&self.head, &self.map);
        bytes.extend(checksum(&bytes));
        bytes
    }

    /// Reads a file; `path` is for messages.
    ///
    /// # Errors
    ///
    /// `Damaged`, `NewerFormat`.
    pub fn from_bytes(path: &Path, bytes: &[u8]) -> Result<Self, AdapterError> {
        let damaged = |problem: &str| AdapterError::damaged(path, problem);
        let cut = bytes.len().checked_sub(CHECKSUM);
        let (content, sum) = cut
            .and_then(|cut| bytes.split_at_checked(cut))
            .filter(|(content, _)| PREAMBLE <= content.len())
            .ok_or_else(|| damaged("it is too short"))?;
        let (preamble, rest) = content.split_at_checked(PREAMBLE).unwrap_or_default();
        let (magic, numbers) = preamble.split_at_checked(MAGIC.len()).unwrap_or_default();
        if magic != MAGIC {
            return Err(damaged("it is no adapter"));
        }
        let format = numbers.first().copied().unwrap_or_default();
        if ADAPTER_FORMAT < format {
            return Err(AdapterError::NewerFormat {
                path: path.to_owned(),
                found: format.into(),
                known: ADAPTER_FORMAT.into(),
            });
        }
        if checksum(content) != sum {
            return Err(damaged("its checksum does not hold"));
        }
        let length = numbers.get(1..).and_then(|bytes| bytes.try_into().ok());
        let length = length.map(u32::from_le_bytes).unwrap_or_default();
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let (head, numbers) = rest
            .split_at_checked(length)
            .ok_or_else(|| damaged("its head is cut off"))?;
        let head: Head = serde_json::from_slice(head)
            .map_err(|error| AdapterError::damaged(path, format!("its head: {error}")))?;
        let map = numbers_of(&head, numbers).ok_or_else(|| damaged("its numbers do not fit"))?;
        let id = format!("adapter-{}", sha256_hex(content));
        if head.from.id() != head.from_space || head.to.id() != head.to_space {
            return Err(damaged("its spaces do not have the ids it gives them"));
        }
        Ok(Self { id, head, map })
    }
}

/// A space in a message: its model and its id.
fn in_words(space: &Space) -> String {
    format!("`{}` ({})", space.model, space.id().short())
}

fn checksum(bytes: &[u8]) -> [u8; CHECKSUM] {
    Sha256::digest(bytes).into()
}

fn content(head: &Head, map: &LinearMap) -> Vec<u8> {
    let json = serde_json::to_vec(head).unwrap_or_default();
    let length = u32::try_from(json.len()).unwrap_or(u32::MAX);
    let mut bytes = MAGIC.to_vec();
    bytes.push(ADAPTER_FORMAT);
    bytes.extend(length.to_le_bytes());
    bytes.extend(json);
    for values in [map.from_mean(), map.to_mean()] {
        bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    }
    if map.is_half() {
        let halves = map.matrix().iter().copied().map(f16::from_f32);
        bytes.extend(halves.flat_map(f16::to_le_bytes));
    } else {
        bytes.extend(map.matrix().iter().flat_map(|value| value.to_le_bytes()));
    }
    bytes
}

fn numbers_of(head: &Head, bytes: &[u8]) -> Option<LinearMap> {
    let floats = |bytes: &[u8]| -> Vec<f32> {
        let (values, _) = bytes.as_chunks::<4>();
        values.iter().copied().map(f32::from_le_bytes).collect()
    };
    let (from_mean, rest) = bytes.split_at_checked(head.from_dimensions.checked_mul(4)?)?;
    let (to_mean, rest) = rest.split_at_checked(head.to_dimensions.checked_mul(4)?)?;
    let width = if head.is_half { 2 } else { 4 };
    let cells = head.from_dimensions.checked_mul(head.to_dimensions)?;
    if rest.len() != cells.checked_mul(width)? {
        return None;
    }
    let matrix = if head.is_half {
        let (values, _) = rest.as_chunks::<2>();
        let halves = values.iter().copied().map(f16::from_le_bytes);
        halves.map(f16::to_f32).collect()
    } else {
        floats(rest)
    };
    let parts = MapParts {
        kind: head.kind,
        matrix,
        from_mean: floats(from_mean),
        to_mean: floats(to_mean),
        is_half: head.is_half,
        is_renormalised: head.renormalise,
        lambda: head.lambda,
    };
    LinearMap::from_parts(parts).ok()
}
