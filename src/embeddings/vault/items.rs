//! The file of a snapshot's items: ids, keys and hashes cheap to read all, texts one by one.
//!
//! ```text
//! magic 8 | parts | table | place of the table u64 | its length u32 | crc of table and items u32 | items u64
//! magic 8
//! ```
//!
//! A part is some items, compressed with zstd: either their heads (id, key, hash, span) or their details (text,
//! metadata, hash of the canonical text). The table says of each part which items it has, where it is, and the CRC-32 of
//! its compressed bytes. Values are in postcard's format, numbers of the frame little-endian.

use crate::embeddings::item::Span;
use crate::embeddings::space::VectorKey;
use crate::embeddings::vault::segment::sync_dir;
use crate::embeddings::vault::{NewItem, ReadNewText, TextStorage, VaultError, canonical};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::borrow::Cow;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

const MAGIC: &[u8; 8] = b"PGATEI01";
const FOOTER_BYTES: u64 = 32;
const LEVEL: i32 = 3;
/// Items whose heads are in one part.
const HEADS: usize = 4096;
/// Bytes of texts in one part, unless a single item has more.
const DETAIL_BYTES: usize = 64 << 10;
/// Beyond this a length is damage.
const MAX_RAW_BYTES: u64 = 1 << 31;

/// What is known of an item without reading its text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Head {
    /// Its id.
    pub(super) id: String,
    /// Under what its vector is kept.
    pub(super) key: [u8; 32],
    /// The hash of its text as it was sent.
    pub(super) text_hash: [u8; 32],
    /// Where it stands.
    pub(super) span: Option<Span>,
}

/// What is read of an item when it is shown.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Detail {
    /// Its text, where texts are kept.
    pub(super) text: Option<String>,
    /// What else is known, as canonical JSON.
    pub(super) metadata: Option<String>,
    /// The hash of the canonical text, where there was a text.
    pub(super) canonical: Option<[u8; 32]>,
}

impl Head {
    /// Returns the key.
    pub(super) const fn vector_key(&self) -> VectorKey {
        VectorKey(self.key)
    }
}

/// Items in their order. Texts may be elsewhere: each is read when its turn comes, and let go.
pub(super) trait Source {
    /// Returns how many there are.
    fn len(&self) -> usize;

    /// Returns the id of an item; empty beyond the last.
    fn id(&self, row: usize) -> &str;

    /// Returns the head of an item.
    fn head(&self, row: usize) -> Option<Head>;

    /// Returns the metadata of an item as canonical JSON.
    fn metadata(&self, row: usize) -> Option<Cow<'_, str>>;

    /// Reads the detail of an item.
    fn detail(&self, row: usize) -> Result<Detail, VaultError>;
}

/// Items that are in memory.
impl Source for [(Head, Detail)] {
    fn len(&self) -> usize {
        <[(Head, Detail)]>::len(self)
    }

    fn id(&self, row: usize) -> &str {
        self.get(row).map_or("", |(head, _)| &head.id)
    }

    fn head(&self, row: usize) -> Option<Head> {
        self.get(row).map(|(head, _)| head.clone())
    }

    fn metadata(&self, row: usize) -> Option<Cow<'_, str>> {
        let (_, detail) = self.get(row)?;
        detail.metadata.as_deref().map(Cow::Borrowed)
    }

    fn detail(&self, row: usize) -> Result<Detail, VaultError> {
        Ok(self
            .get(row)
            .map_or_else(Detail::default, |(_, detail)| detail.clone()))
    }
}

/// Items that are to be, and what reads their texts.
pub(super) struct Drafted<'a> {
    pub(super) items: &'a [NewItem],
    pub(super) storage: TextStorage,
    pub(super) text: &'a ReadNewText<'a>,
}

impl Source for Drafted<'_> {
    fn len(&self) -> usize {
        self.items.len()
    }

    fn id(&self, row: usize) -> &str {
        self.items.get(row).map_or("", |item| &item.item.id)
    }

    fn head(&self, row: usize) -> Option<Head> {
        let item = self.items.get(row)?;
        Some(Head {
            id: item.item.id.clone(),
            key: item.key.0,
            text_hash: item.text_hash.0,
            span: item.item.span.clone(),
        })
    }

    fn metadata(&self, row: usize) -> Option<Cow<'_, str>> {
        let metadata = self.items.get(row)?.item.metadata.as_ref()?;
        Some(Cow::Owned(canonical::json(metadata)))
    }

    fn detail(&self, row: usize) -> Result<Detail, VaultError> {
        let text = (self.text)(row)?;
        let canonical = text.as_deref().map(canonical::text_hash);
        Ok(Detail {
            text: text.filter(|_| self.storage == TextStorage::Text),
            metadata: self.metadata(row).map(Cow::into_owned),
            canonical,
        })
    }
}

/// Returns the hash (hex) of items, whatever their order.
pub(super) fn hash(items: &(impl Source + ?Sized)) -> String {
    let mut order: Vec<usize> = (0..items.len()).collect();
    order.sort_by(|a, b| items.id(*a).cmp(items.id(*b)));
    let mut hash = Sha256::new();
    let mut field = |bytes: &[u8]| {
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        hash.update(length.to_le_bytes());
        hash.update(bytes);
    };
    for row in order {
        let Some(head) = items.head(row) else {
            continue;
        };
        field(head.id.as_bytes());
        field(&head.key);
        field(&head.text_hash);
        match &head.span {
            None => field(&[]),
            Some(span) => {
                field(&[1]);
                field(span.source.as_bytes());
                field(&span.start.to_le_bytes());
                field(&span.end.to_le_bytes());
            }
        }
        field(items.metadata(row).unwrap_or_default().as_bytes());
    }
    let digest: [u8; 32] = hash.finalize().into();
    crate::domain::BundleHash(digest).to_hex()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Kind {
    Heads,
    Details,
}

/// An entry of the table.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Part {
    kind: Kind,
    first: u64,
    items: u64,
    start: u64,
    bytes: u64,
    raw_bytes: u64,
    crc: u32,
}

/// Writes the file so that a crash leaves the old one or the new one, whole.
pub(super) fn write(path: &Path, items: &(impl Source + ?Sized)) -> Result<(), VaultError> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(VaultError::io("create", parent))?;
    }
    let temporary = path.with_extension("tmp");
    write_to(&temporary, items)?;
    fs::rename(&temporary, path).map_err(VaultError::io("replace", path))?;
    path.parent().map_or(Ok(()), sync_dir)
}

fn write_to(path: &Path, items: &(impl Source + ?Sized)) -> Result<(), VaultError> {
    let failed = || VaultError::io("write", path);
    let mut writer = Writer {
        file: BufWriter::new(File::create(path).map_err(failed())?),
        at: 0,
        table: Vec::new(),
    };
    writer.put(MAGIC).map_err(failed())?;
    let (mut details, mut bytes): (Vec<Detail>, usize) = (Vec::new(), 0);
    for row in 0..items.len() {
        let detail = items.detail(row)?;
        let own = 48
            + [&detail.text, &detail.metadata]
                .into_iter()
                .flatten()
                .map(String::len)
                .sum::<usize>();
        if !details.is_empty() && DETAIL_BYTES < bytes + own {
            let first = row - details.len();
            let part = writer.part(Kind::Details, first, &details);
            part.map_err(failed())?;
            (details, bytes) = (Vec::new(), 0);
        }
        bytes += own;
        details.push(detail);
    }
    if !details.is_empty() {
        let first = items.len() - details.len();
        let part = writer.part(Kind::Details, first, &details);
        part.map_err(failed())?;
    }
    for first in (0..items.len()).step_by(HEADS) {
        let rows = first..(first + HEADS).min(items.len());
        let heads: Vec<Head> = rows.filter_map(|row| items.head(row)).collect();
        let part = writer.part(Kind::Heads, first, &heads);
        part.map_err(failed())?;
    }
    writer.finish(items.len()).map_err(failed())
}

struct Writer {
    file: BufWriter<File>,
    at: u64,
    table: Vec<Part>,
}

impl Writer {
    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.at += number(bytes.len());
        self.file.write_all(bytes)
    }

    fn part<T: Serialize>(&mut self, kind: Kind, first: usize, values: &[T]) -> io::Result<()> {
        let raw = postcard::to_stdvec(values).map_err(io::Error::other)?;
        let packed = zstd::bulk::compress(&raw, LEVEL)?;
        self.table.push(Part {
            kind,
            first: number(first),
            items: number(values.len()),
            start: self.at,
            bytes: number(packed.len()),
            raw_bytes: number(raw.len()),
            crc: crc32fast::hash(&packed),
        });
        self.put(&packed)
    }

    fn finish(mut self, items: usize) -> io::Result<()> {
        let table = postcard::to_stdvec(&self.table).map_err(io::Error::other)?;
        let mut footer = self.at.to_le_bytes().to_vec();
        let length = u32::try_from(table.len()).map_err(io::Error::other)?;
        footer.extend(length.to_le_bytes());
        footer.extend(checksum(&table, number(items)).to_le_bytes());
        footer.extend(number(items).to_le_bytes());
        footer.extend(MAGIC);
        self.put(&table)?;
        self.put(&footer)?;
        self.file.into_inner()?.sync_all()
    }
}

fn checksum(table: &[u8], items: u64) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(table);
    hasher.update(&items.to_le_bytes());
    hasher.finalize()
}

fn number(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

/// The number of a part and its details, as they were last read.
type Cached = Option<(usize, Arc<Vec<Detail>>)>;

/// The file open for reading.
#[derive(Debug)]
pub(super) struct Items {
    path: PathBuf,
    file: File,
    len: usize,
    heads: Vec<Part>,
    details: Vec<Part>,
    cached: Mutex<Cached>,
}

impl Items {
    /// Reads the table.
    pub(super) fn open(path: &Path) -> Result<Self, VaultError> {
        let file = File::open(path).map_err(VaultError::io("open", path))?;
        let damaged = |problem: &str| VaultError::damaged(path, "in its table", problem);
        let io = VaultError::io("read", path);
        let bytes = file.metadata().map_err(io)?.len();
        let footer_at = bytes
            .checked_sub(FOOTER_BYTES)
            .ok_or_else(|| damaged("it is too short"))?;
        let mut footer = [0; 32];
        let io = |error| VaultError::io("read", path)(error);
        file.read_exact_at(&mut footer, footer_at).map_err(io)?;
        let mut magic = [0; 8];
        let io = |error| VaultError::io("read", path)(error);
        file.read_exact_at(&mut magic, 0).map_err(io)?;
        if magic != *MAGIC || !footer.ends_with(MAGIC) {
            return Err(damaged("it is no file of items"));
        }
        let (start, length, crc, len) = parse_footer(&footer);
        if start.checked_add(length) != Some(footer_at) {
            return Err(damaged("its place is wrong"));
        }
        let mut table = vec![0; usize::try_from(length).unwrap_or(0)];
        let io = |error| VaultError::io("read", path)(error);
        file.read_exact_at(&mut table, start).map_err(io)?;
        if checksum(&table, len) != crc {
            return Err(damaged("its checksum does not hold"));
        }
        let parts = postcard::from_bytes::<Vec<Part>>(&table);
        let parts = parts.map_err(|error| damaged(&error.to_string()))?;
        let (heads, details) = parts.into_iter().partition(|part| part.kind == Kind::Heads);
        Ok(Self {
            path: path.to_owned(),
            file,
            len: usize::try_from(len).unwrap_or(0),
            heads,
            details,
            cached: Mutex::new(None),
        })
    }

    /// Returns how many items there are.
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// Calls `visit` with the head of every item in order.
    pub(super) fn heads(
        &self,
        mut visit: impl FnMut(Head) -> Result<(), VaultError>,
    ) -> Result<(), VaultError> {
        let mut seen = 0;
        for part in &self.heads {
            for head in self.part::<Head>(part)? {
                seen += 1;
                visit(head)?;
            }
        }
        if seen == self.len {
            return Ok(());
        }
        let problem = format!("it has {seen} items instead of {}", self.len);
        Err(VaultError::damaged(&self.path, "in its table", problem))
    }

    /// Reads the detail of an item.
    pub(super) fn detail(&self, row: usize) -> Result<Option<Detail>, VaultError> {
        let wanted = number(row);
        let after = self.details.partition_point(|part| part.first <= wanted);
        let Some(at) = after.checked_sub(1) else {
            return Ok(None);
        };
        let Some(part) = self.details.get(at) else {
            return Ok(None);
        };
        let inside = usize::try_from(wanted - part.first).unwrap_or(usize::MAX);
        let mut cached = self.cached.lock().unwrap_or_else(PoisonError::into_inner);
        let details = match &*cached {
            Some((number, details)) if *number == at => Arc::clone(details),
            _ => Arc::new(self.part::<Detail>(part)?),
        };
        let detail = details.get(inside).cloned();
        *cached = Some((at, details));
        Ok(detail)
    }

    /// Reads everything.
    pub(super) fn all(&self) -> Result<Vec<(Head, Detail)>, VaultError> {
        let mut heads = Vec::with_capacity(self.len);
        self.heads(|head| {
            heads.push(head);
            Ok(())
        })?;
        let mut details = Vec::with_capacity(self.len);
        for part in &self.details {
            details.extend(self.part::<Detail>(part)?);
        }
        if heads.len() == details.len() {
            return Ok(heads.into_iter().zip(details).collect());
        }
        let problem = "it has details of other items than it has";
        Err(VaultError::damaged(&self.path, "in its table", problem))
    }

    fn part<T: DeserializeOwned>(&self, part: &Part) -> Result<Vec<T>, VaultError> {
        let place = || format!("in the part at byte {}", part.start);
        let damaged = |problem: &str| VaultError::damaged(&self.path, place(), problem);
        if MAX_RAW_BYTES < part.raw_bytes.max(part.bytes) {
            return Err(damaged("its length is wrong"));
        }
        let mut packed = vec![0; usize::try_from(part.bytes).unwrap_or(0)];
        let read = self.file.read_exact_at(&mut packed, part.start);
        read.map_err(VaultError::io("read", &self.path))?;
        if crc32fast::hash(&packed) != part.crc {
            return Err(damaged("its checksum does not hold"));
        }
        let raw_bytes = usize::try_from(part.raw_bytes).unwrap_or(0);
        let raw = zstd::bulk::decompress(&packed, raw_bytes);
        let raw = raw.map_err(|error| damaged(&error.to_string()))?;
        let values = postcard::from_bytes::<Vec<T>>(&raw);
        let values = values.map_err(|error| damaged(&error.to_string()))?;
        let is_whole = number(values.len()) == part.items;
        is_whole
            .then_some(values)
            .ok_or_else(|| damaged("it has another number of items"))
    }
}

fn parse_footer(footer: &[u8; 32]) -> (u64, u64, u32, u64) {
    let eight = |at: usize| {
        let bytes = footer
            .get(at..at + 8)
            .and_then(|bytes| bytes.try_into().ok());
        bytes.map_or(0, u64::from_le_bytes)
    };
    let four = |at: usize| {
        let bytes = footer
            .get(at..at + 4)
            .and_then(|bytes| bytes.try_into().ok());
        bytes.map_or(0, u32::from_le_bytes)
    };
    (eight(0), u64::from(four(8)), four(12), eight(16))
}
