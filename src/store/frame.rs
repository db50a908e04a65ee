//! The journal's unit: one entry with a checksum.
//!
//! ```text
//! length u32 | crc u32 | kind u8 | version u8 | meta length u32 | link u32 u32 | meta (JSON) | body
//! ```
//!
//! Numbers are little-endian; `length` counts what follows the checksum. The checksum starts from
//! the store's salt and runs over meta, body, then the fixed fields behind it. The salt means that
//! bytes a client sends cannot pass for an entry when a damaged file is searched for good ones; the
//! order means that all but 14 bytes are summed before the journal's lock is taken. `link` of an
//! outcome is the position of its intent.

use crate::store::Error;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::io;

/// The length of the fixed part.
pub(super) const HEAD_BYTES: usize = 22;
/// The part of `length` that is always there: kind to link.
const FIXED_BYTES: u32 = 14;
/// The largest entry; larger lengths are damage.
const MAX_BYTES: u32 = 1 << 30;
/// The version of every kind so far.
pub(super) const VERSION: u8 = 1;
/// Marks an entry that was written again because its first place could not be synced.
const COPY: u8 = 0x80;

/// Where an entry stands in the journal. Later entries have larger positions.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct Position {
    /// The segment's number, from 1.
    pub segment: u32,
    /// Bytes from the segment's (uncompressed) start.
    pub offset: u32,
}

impl fmt::Display for Position {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.segment, self.offset)
    }
}

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A `CallIntent`, and the request as body.
    Intent,
    /// A `CallOutcome`, and the output as body.
    Outcome,
    /// A `StoredKey` as it is from now on.
    KeyChanged,
    /// An `AuditEvent`: versions of prompts began to be served, or a set of them was refused.
    PromptsLoaded,
    /// Calls were served without a record.
    Gap,
    /// The journal was closed in order; nothing is open.
    Closed,
    /// Stands where damaged bytes were, so that later entries keep their places.
    Lost,
    /// A setting as it is from now on.
    SettingChanged,
    /// Another `AuditEvent`.
    Audited,
    /// A `RunEntry`, and what it is about as body.
    Run,
}

impl Kind {
    const ALL: [(Self, u8); 10] = [
        (Self::Intent, 1),
        (Self::Outcome, 2),
        (Self::KeyChanged, 3),
        (Self::PromptsLoaded, 4),
        (Self::Gap, 5),
        (Self::Closed, 6),
        (Self::Lost, 7),
        (Self::SettingChanged, 8),
        (Self::Audited, 9),
        (Self::Run, 10),
    ];

    fn code(self) -> u8 {
        let found = Self::ALL.iter().find(|(kind, _)| *kind == self);
        found.map_or(0, |(_, code)| *code)
    }

    fn from_code(code: u8) -> Option<Self> {
        let found = Self::ALL.iter().find(|(_, known)| *known == code);
        found.map(|(kind, _)| *kind)
    }
}

/// The fixed part of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    length: u32,
    crc: u32,
    /// What the entry is.
    pub(super) kind: Kind,
    /// Whether it repeats an earlier entry.
    pub(super) is_copy: bool,
    meta_length: u32,
    /// What it refers to.
    pub(super) link: Position,
}

impl Head {
    /// Reads the fixed part from the start of `bytes`; `None` when it cannot be one.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let length = u32_at(bytes, 0)?;
        let code = *bytes.get(8)?;
        let kind = Kind::from_code(code & !COPY)?;
        let meta_length = u32_at(bytes, 10)?;
        let fits = (FIXED_BYTES..=MAX_BYTES).contains(&length)
            && meta_length <= length - FIXED_BYTES
            && *bytes.get(9)? == VERSION;
        fits.then_some(Self {
            length,
            crc: u32_at(bytes, 4)?,
            kind,
            is_copy: code & COPY != 0,
            meta_length,
            link: Position {
                segment: u32_at(bytes, 14)?,
                offset: u32_at(bytes, 18)?,
            },
        })
    }

    /// Returns the length of the whole entry in bytes.
    pub(super) const fn total_bytes(&self) -> u32 {
        self.length + 8
    }
}

/// A whole entry that was read and whose checksum is right.
#[derive(Debug, Clone)]
pub(super) struct Frame {
    /// The fixed part.
    pub(super) head: Head,
    /// The JSON.
    pub(super) meta: Bytes,
    /// The raw body.
    pub(super) body: Bytes,
}

impl Frame {
    /// Reads an entry from exactly its bytes; `None` when it is damaged.
    pub(super) fn parse(bytes: &Bytes, salt: u32) -> Option<Self> {
        let head = Head::parse(bytes)?;
        let total = usize::try_from(head.total_bytes()).ok()?;
        let meta_end = HEAD_BYTES.checked_add(usize::try_from(head.meta_length).ok()?)?;
        let mut hasher = crc32fast::Hasher::new_with_initial(salt);
        hasher.update(bytes.get(HEAD_BYTES..total)?);
        hasher.update(bytes.get(8..HEAD_BYTES)?);
        (hasher.finalize() == head.crc).then(|| Self {
            head,
            meta: bytes.slice(HEAD_BYTES..meta_end),
            body: bytes.slice(meta_end..total),
        })
    }

    /// Reads the JSON; `None` when it is not of the type.
    pub(super) fn decode<'a, T: Deserialize<'a>>(&'a self) -> Option<T> {
        serde_json::from_slice(&self.meta).ok()
    }
}

/// An entry ready to be written but for its link.
#[derive(Debug, Clone)]
pub(super) struct Encoded {
    /// What it is.
    pub(super) kind: Kind,
    hasher: crc32fast::Hasher,
    head_and_meta: Vec<u8>,
    body: Bytes,
}

impl Encoded {
    /// Encodes `meta` and sums up all that does not depend on the place in the journal.
    pub(super) fn new<T: Serialize>(
        kind: Kind,
        salt: u32,
        meta: &T,
        body: &Bytes,
    ) -> Result<Self, Error> {
        let mut bytes = Vec::with_capacity(2048);
        bytes.resize(HEAD_BYTES, 0);
        let mut text = Text(bytes);
        serde_json::to_writer(&mut text, meta).map_err(|source| Error::Encode { source })?;
        Self::from_parts(kind, salt, text.0, body.clone())
    }

    /// Builds the stand-in for `total` damaged bytes; `None` when they are too few or too many.
    pub(super) fn lost(salt: u32, total: u32) -> Option<Self> {
        let body = usize::try_from(total).ok()?.checked_sub(HEAD_BYTES)?;
        let body = Bytes::from(vec![0; body]);
        Self::from_parts(Kind::Lost, salt, vec![0; HEAD_BYTES], body).ok()
    }

    fn from_parts(kind: Kind, salt: u32, mut bytes: Vec<u8>, body: Bytes) -> Result<Self, Error> {
        let total = bytes.len() + body.len();
        let meta_length = bytes.len().saturating_sub(HEAD_BYTES);
        let too_large = || Error::TooLarge { bytes: total };
        let length = u32::try_from(total - 8).map_err(|_| too_large())?;
        let meta_length = u32::try_from(meta_length).map_err(|_| too_large())?;
        if MAX_BYTES < length {
            return Err(too_large());
        }
        put(&mut bytes, 0, &length.to_le_bytes());
        put(&mut bytes, 8, &[kind.code(), VERSION]);
        put(&mut bytes, 10, &meta_length.to_le_bytes());
        let mut hasher = crc32fast::Hasher::new_with_initial(salt);
        hasher.update(bytes.get(HEAD_BYTES..).unwrap_or_default());
        hasher.update(&body);
        Ok(Self {
            kind,
            hasher,
            head_and_meta: bytes,
            body,
        })
    }

    /// Sets the link and closes the checksum. May be called again with another link.
    pub(super) fn seal(&mut self, link: Position) {
        put(&mut self.head_and_meta, 14, &link.segment.to_le_bytes());
        put(&mut self.head_and_meta, 18, &link.offset.to_le_bytes());
        let mut hasher = self.hasher.clone();
        hasher.update(self.head_and_meta.get(8..HEAD_BYTES).unwrap_or_default());
        let crc = hasher.finalize();
        put(&mut self.head_and_meta, 4, &crc.to_le_bytes());
    }

    /// Marks the entry as a repetition; takes effect at the next `seal`.
    pub(super) fn mark_copy(&mut self) {
        put(&mut self.head_and_meta, 8, &[self.kind.code() | COPY]);
    }

    /// Returns the link it was last sealed with.
    pub(super) fn link(&self) -> Position {
        Position {
            segment: u32_at(&self.head_and_meta, 14).unwrap_or(0),
            offset: u32_at(&self.head_and_meta, 18).unwrap_or(0),
        }
    }

    /// Returns the two parts to write, in order.
    pub(super) fn parts(&self) -> (&[u8], &[u8]) {
        (&self.head_and_meta, &self.body)
    }

    /// Returns the length of the whole entry in bytes.
    pub(super) fn total_bytes(&self) -> u32 {
        u32::try_from(self.head_and_meta.len() + self.body.len()).unwrap_or(u32::MAX)
    }
}

/// Takes JSON as the serialiser writes it: most pieces are one character, which a plain vector takes
/// as slowly as any other.
struct Text(Vec<u8>);

impl io::Write for Text {
    #[inline]
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        self.write_all(piece)?;
        Ok(piece.len())
    }

    #[inline]
    fn write_all(&mut self, piece: &[u8]) -> io::Result<()> {
        match piece {
            [byte] => self.0.push(*byte),
            piece => self.0.extend_from_slice(piece),
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Reads a little-endian number at `at`.
pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let four = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_le_bytes(four.try_into().ok()?))
}

/// Overwrites the bytes at `at`, which must exist.
pub(super) fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    if let Some(place) = bytes.get_mut(at..at + value.len()) {
        place.copy_from_slice(value);
    }
}

#[cfg(test)]
mod tests {
    use super::{Encoded, Frame, Kind, Position};
    use bytes::Bytes;

    fn bytes_of(encoded: &Encoded) -> Bytes {
        let (head, body) = encoded.parts();
        Bytes::from([head, body].concat())
    }

    #[test]
    fn entries_read_as_written_and_every_flipped_bit_is_noticed() {
        let body = Bytes::from_static(b"body bytes");
        let mut encoded = Encoded::new(Kind::Outcome, 77, &"meta", &body).unwrap();
        let link = Position {
            segment: 3,
            offset: 99,
        };
        encoded.seal(link);
        let bytes = bytes_of(&encoded);
        let frame = Frame::parse(&bytes, 77).unwrap();
        assert_eq!(frame.head.kind, Kind::Outcome);
        assert_eq!(frame.head.link, link);
        assert_eq!(frame.decode::<String>().unwrap(), "meta");
        assert_eq!(frame.body, body);
        assert!(Frame::parse(&bytes, 78).is_none(), "another store's salt");
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.to_vec();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(
                Frame::parse(&Bytes::from(damaged), 77).is_none(),
                "bit {bit}"
            );
        }
        for length in 0..bytes.len() {
            assert!(Frame::parse(&bytes.slice(..length), 77).is_none());
        }
    }

    #[test]
    fn stand_ins_are_as_long_as_what_they_replace() {
        for total in [22, 23, 5000] {
            let mut lost = Encoded::lost(1, total).unwrap();
            lost.seal(Position::default());
            assert_eq!(lost.total_bytes(), total);
            let frame = Frame::parse(&bytes_of(&lost), 1).unwrap();
            assert_eq!(frame.head.kind, Kind::Lost);
        }
        assert!(Encoded::lost(1, 21).is_none());
    }
}
