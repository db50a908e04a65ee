//! Reading rows from where they stand, in large pieces where they stand together.

use crate::embeddings::vault::VaultError;
use crate::embeddings::vault::index::Place;
use crate::embeddings::vault::segment::Segment;
use std::collections::BTreeMap;
use std::sync::Arc;

/// How much is read at a time.
const PIECE_BYTES: usize = 1 << 20;

/// The segments of a vault, by number.
pub(super) type Segments = BTreeMap<u32, Arc<Segment>>;

/// Blocks that stand one behind the other, and which rows of them are wanted.
struct Piece<'a> {
    segment: &'a Segment,
    start: u64,
    bytes: usize,
    wanted: Vec<(usize, Place)>,
}

/// Calls `visit` with each place's number, what its row reads as, and its place. Rows are visited as they stand
/// in the files, and `row` is `into` used again and again.
pub(super) fn gather(
    segments: &Segments,
    places: &[Place],
    into: &mut Vec<f32>,
    mut visit: impl FnMut(usize, &[f32]),
) -> Result<(), VaultError> {
    let mut order: Vec<(usize, Place)> = places.iter().copied().enumerate().collect();
    order.sort_by_key(|(_, place)| *place);
    let mut piece: Option<Piece<'_>> = None;
    for (number, place) in order {
        let segment = segments.get(&place.segment).ok_or_else(|| gone(place))?;
        let bytes = segment.shape.block_bytes(usize::from(place.rows));
        if let Some(open) = &mut piece
            && open.segment.number == place.segment
        {
            let end = open.start + u64::try_from(open.bytes).unwrap_or(u64::MAX);
            let is_inside = place.offset() < end;
            if is_inside || (place.offset() == end && open.bytes + bytes <= PIECE_BYTES) {
                open.bytes += if is_inside { 0 } else { bytes };
                open.wanted.push((number, place));
                continue;
            }
        }
        let next = Piece {
            segment,
            start: place.offset(),
            bytes,
            wanted: vec![(number, place)],
        };
        if let Some(done) = piece.replace(next) {
            done.read(into, &mut visit)?;
        }
    }
    piece.map_or(Ok(()), |last| last.read(into, &mut visit))
}

impl Piece<'_> {
    fn read(
        self,
        into: &mut Vec<f32>,
        visit: &mut impl FnMut(usize, &[f32]),
    ) -> Result<(), VaultError> {
        let segment = self.segment;
        let bytes = segment.read(self.start, self.bytes)?;
        into.resize(segment.shape.dimensions, 0.0);
        let mut block = None;
        for (number, place) in self.wanted {
            let offset = place.offset();
            let known = block.filter(|(at, _)| *at == offset);
            let (_, rows) = match known {
                Some(known) => known,
                None => {
                    let start = usize::try_from(offset - self.start).unwrap_or(usize::MAX);
                    let bytes = bytes.get(start..).unwrap_or_default();
                    *block.insert((offset, segment.block(bytes, offset)?))
                }
            };
            let row = rows.row(usize::from(place.row));
            let row = row.ok_or_else(|| segment.damaged(offset, "it has fewer rows"))?;
            segment.shape.decode(row, place.mark(), into);
            visit(number, into);
        }
        Ok(())
    }
}

fn gone(place: Place) -> VaultError {
    let name = format!("{:06}.seg", place.segment);
    VaultError::damaged(
        std::path::Path::new(&name),
        format!("in the block at byte {}", place.offset()),
        "the file is gone",
    )
}
