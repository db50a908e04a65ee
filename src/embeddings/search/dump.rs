//! An index in a file: a cache beside a snapshot, which may be deleted at any time.
//!
//! ```text
//! 8 bytes   `pgindex\n`
//! 4 bytes   the version of this format
//! 8 bytes   how long the body is
//!           body: 4 bytes length and JSON head; of each layer its nodes, ends and links, 4 bytes each;
//!           one bit for each row that was deleted, 8 bytes at a time
//! 32 bytes  SHA-256 of everything before
//! ```
//!
//! All numbers are little-endian. The rows themselves are not in it: they are read from the snapshot, whose
//! own checksums hold them. Nothing is believed before the checksum is right, and no link is followed that
//! leads nowhere.

use crate::embeddings::files::write_durably;
use crate::embeddings::search::graph::{Graph, Layer, Vectors};
use crate::embeddings::search::{Error, Index, Recall, Settings};
use crate::embeddings::{self, Rows, SnapshotId, SpaceId};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::fs;
use std::io;
use std::path::Path;

const MAGIC: &[u8; 8] = b"pgindex\n";
const FORMAT: u32 = 1;
const DIGEST: usize = 32;

/// Of which rows an index is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The space they are in.
    pub space: SpaceId,
    /// The snapshot they are of.
    pub snapshot: SnapshotId,
    /// SHA-256 (hex) of the items it has left; empty while none was deleted.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub items_left: String,
}

/// What the file says of itself.
#[derive(Serialize, Deserialize)]
struct Head {
    of: Identity,
    settings: Settings,
    dimensions: usize,
    rows: usize,
    entry: u32,
    recall: Vec<Recall>,
    /// How many rows were taken out since it was made.
    #[serde(default)]
    gone: usize,
    /// How many nodes, ends and links each layer has.
    layers: Vec<[usize; 3]>,
}

impl Index {
    /// Writes the index to a file, which is replaced as a whole or not at all.
    ///
    /// # Errors
    ///
    /// `File`.
    pub fn save(&self, path: &Path, of: &Identity) -> Result<(), Error> {
        let failed = |source| Error::File {
            path: path.to_owned(),
            source,
        };
        let bytes = self.to_bytes(of).map_err(failed)?;
        write_durably(path, &bytes).map_err(failed)
    }

    /// Reads the index of a snapshot from a file, and the rows from `base`.
    ///
    /// # Errors
    ///
    /// `File`, `Damaged`; `OtherRows` when the index is not one of this snapshot; what reading the rows
    /// gives. After any of them the index can be made anew.
    pub fn load(path: &Path, of: &Identity, base: &dyn Rows) -> Result<Self, embeddings::Error> {
        let (head, graph, deleted) = read(path, of, base)?;
        let mut values = vec![0.0; head.rows * head.dimensions];
        base.read(0, &mut values)?;
        Ok(Self {
            settings: head.settings,
            vectors: Vectors::new(head.settings.metric, head.dimensions, values),
            graph,
            deleted,
            gone: head.gone,
            recall: head.recall,
        })
    }

    /// Checks the index of a snapshot in a file, without the rows.
    ///
    /// # Errors
    ///
    /// `File`, `Damaged`, `OtherRows`.
    pub fn check(path: &Path, of: &Identity, base: &dyn Rows) -> Result<(), Error> {
        read(path, of, base).map(|_| ())
    }

    fn to_bytes(&self, of: &Identity) -> io::Result<Vec<u8>> {
        let sizes = |layer: &Layer| [layer.nodes.len(), layer.ends.len(), layer.links.len()];
        let head = Head {
            of: of.clone(),
            settings: self.settings,
            dimensions: self.vectors.dimensions,
            rows: self.vectors.lengths.len(),
            entry: self.graph.entry,
            recall: self.recall.clone(),
            gone: self.gone,
            layers: self.graph.layers.iter().map(sizes).collect(),
        };
        let head = serde_json::to_vec(&head)?;
        let length = u32::try_from(head.len()).map_err(io::Error::other)?;
        let mut body = Vec::with_capacity(self.graph.bytes() + head.len());
        body.extend(length.to_le_bytes());
        body.extend(head);
        for layer in &self.graph.layers {
            for numbers in [&layer.nodes, &layer.ends, &layer.links] {
                body.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
            }
        }
        body.extend(self.deleted.iter().flat_map(|word| word.to_le_bytes()));
        let mut bytes = Vec::with_capacity(body.len() + 64);
        bytes.extend(MAGIC);
        bytes.extend(FORMAT.to_le_bytes());
        bytes.extend(
            u64::try_from(body.len())
                .map_err(io::Error::other)?
                .to_le_bytes(),
        );
        bytes.extend(body);
        bytes.extend(Sha256::digest(&bytes));
        Ok(bytes)
    }
}

/// Reads a file whose rows are those of `base`.
fn read(path: &Path, of: &Identity, base: &dyn Rows) -> Result<(Head, Graph, Vec<u64>), Error> {
    let bytes = fs::read(path).map_err(|source| Error::File {
        path: path.to_owned(),
        source,
    })?;
    let damaged = |what| Error::Damaged {
        path: path.to_owned(),
        what,
    };
    let (head, graph, deleted) = parse(&bytes).map_err(damaged)?;
    if head.of != *of || head.rows != base.len() || head.dimensions != base.dimensions() {
        return Err(Error::OtherRows {
            path: path.to_owned(),
            wanted: of.snapshot.to_string(),
            found: head.of.snapshot.to_string(),
        });
    }
    Ok((head, graph, deleted))
}

/// Takes a file apart, or says what is wrong with it.
fn parse(bytes: &[u8]) -> Result<(Head, Graph, Vec<u64>), &'static str> {
    let (content, digest) = bytes
        .split_at_checked(bytes.len().saturating_sub(DIGEST))
        .ok_or("it is too short")?;
    let content = content
        .strip_prefix(MAGIC)
        .ok_or("it does not begin as an index")?;
    let (format, content) = content.split_first_chunk().ok_or("it is too short")?;
    if u32::from_le_bytes(*format) != FORMAT {
        return Err("it is of another version");
    }
    let (length, body) = content.split_first_chunk().ok_or("it is too short")?;
    if usize::try_from(u64::from_le_bytes(*length)) != Ok(body.len()) {
        return Err("it is not as long as it says");
    }
    let written = bytes.get(..bytes.len().saturating_sub(DIGEST));
    if *Sha256::digest(written.unwrap_or_default()) != *digest {
        return Err("its checksum does not hold");
    }
    let (length, body) = body.split_first_chunk().ok_or("its head is missing")?;
    let (head, mut rest) = body
        .split_at_checked(u32::from_le_bytes(*length) as usize)
        .ok_or("its head is missing")?;
    let head: Head = serde_json::from_slice(head).map_err(|_| "its head cannot be read")?;
    let mut graph = Graph {
        entry: head.entry,
        layers: Vec::new(),
    };
    for [nodes, ends, links] in &head.layers {
        graph.layers.push(Layer {
            nodes: take_numbers(&mut rest, *nodes)?,
            ends: take_numbers(&mut rest, *ends)?,
            links: take_numbers(&mut rest, *links)?,
        });
    }
    let (words, rest) = rest.as_chunks();
    let deleted: Vec<u64> = words.iter().map(|word| u64::from_le_bytes(*word)).collect();
    if !rest.is_empty() || deleted.len() != head.rows.div_ceil(64) {
        return Err("its length is not that of its parts");
    }
    if !graph.is_sound(head.rows) {
        return Err("its links lead nowhere");
    }
    Ok((head, graph, deleted))
}

fn take_numbers(rest: &mut &[u8], count: usize) -> Result<Vec<u32>, &'static str> {
    let length = count.checked_mul(size_of::<u32>());
    let (now, later) = length
        .and_then(|length| rest.split_at_checked(length))
        .ok_or("its layers are cut off")?;
    *rest = later;
    let (words, _) = now.as_chunks();
    Ok(words.iter().map(|word| u32::from_le_bytes(*word)).collect())
}

#[cfg(test)]
mod tests {
    use super::{DIGEST, Identity, parse};
    use crate::embeddings::search::samples::clustered;
    use crate::embeddings::search::{Built, Error, Index, Settings};
    use crate::embeddings::{self, Matrix, SnapshotId, SpaceId};
    use sha2::{Digest as _, Sha256};
    use std::fs;

    fn identity(snapshot: &str) -> Identity {
        Identity {
            space: SpaceId("space-1".to_owned()),
            snapshot: SnapshotId(snapshot.to_owned()),
            items_left: String::new(),
        }
    }

    fn small() -> (Matrix, Index) {
        let base = clustered(24, 4, 1);
        let settings = Settings {
            links: 3,
            effort: 10,
            least_rows: 1,
            ..Settings::default()
        };
        let Built::Graph(mut index) = Index::build(&base, None, &settings).unwrap() else {
            panic!("no index")
        };
        index.delete(7);
        (base, *index)
    }

    fn search_error(error: embeddings::Error) -> Error {
        match error {
            embeddings::Error::Search(error) => error,
            other => panic!("{other}"),
        }
    }

    #[test]
    fn an_index_comes_back_as_it_was() {
        let (base, index) = small();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("snap-1.index");
        fs::write(&path, "what was there before").unwrap();
        index.save(&path, &identity("snap-1")).unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        let back = Index::load(&path, &identity("snap-1"), &base).unwrap();
        assert_eq!(back, index);
        assert!(back.is_deleted(7));

        let error = Index::load(&path, &identity("snap-2"), &base).unwrap_err();
        let error = search_error(error);
        assert!(matches!(error, Error::OtherRows { .. }), "{error}");
        let fewer = clustered(23, 4, 1);
        let error = Index::load(&path, &identity("snap-1"), &fewer).unwrap_err();
        assert!(matches!(search_error(error), Error::OtherRows { .. }));
        let missing = Index::load(&dir.path().join("none"), &identity("snap-1"), &base);
        assert!(matches!(
            search_error(missing.unwrap_err()),
            Error::File { .. }
        ));
        let nowhere = index.save(&dir.path().join("none/index"), &identity("snap-1"));
        assert!(matches!(nowhere.unwrap_err(), Error::File { .. }));
    }

    #[test]
    fn a_file_with_any_byte_changed_or_missing_is_an_error() {
        let (_, index) = small();
        let bytes = index.to_bytes(&identity("snap-1")).unwrap();
        assert!(parse(&bytes).is_ok());
        for place in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[place] ^= 1 << (place % 8);
            assert!(parse(&changed).is_err(), "byte {place}");
        }
        for length in (0..bytes.len()).step_by(13) {
            assert!(parse(&bytes[..length]).is_err(), "{length} bytes");
        }
        let mut longer = bytes;
        longer.push(0);
        assert!(parse(&longer).is_err());
    }

    #[test]
    fn links_that_lead_nowhere_are_not_followed() {
        type Change = fn(&mut Index);
        let changes: [(Change, &str); 5] = [
            (|index| index.graph.entry = 24, "its links lead nowhere"),
            (
                |index| index.graph.layers[0].links[3] = 24,
                "its links lead nowhere",
            ),
            (
                |index| index.graph.layers[0].ends[3] = 900,
                "its links lead nowhere",
            ),
            (|index| index.graph.layers.clear(), "its links lead nowhere"),
            (
                |index| index.deleted.push(0),
                "its length is not that of its parts",
            ),
        ];
        for (change, expected) in changes {
            let (_, mut index) = small();
            change(&mut index);
            let bytes = index.to_bytes(&identity("snap-1")).unwrap();
            let Err(what) = parse(&bytes) else {
                panic!("{expected}")
            };
            assert_eq!(what, expected);
        }
    }

    #[test]
    fn another_version_is_said_to_be_one() {
        let (_, index) = small();
        let mut bytes = index.to_bytes(&identity("snap-1")).unwrap();
        bytes[8] = 2;
        let content = bytes.len() - DIGEST;
        let digest = Sha256::digest(&bytes[..content]);
        bytes[content..].copy_from_slice(&digest);
        assert!(matches!(parse(&bytes), Err("it is of another version")));
    }
}
