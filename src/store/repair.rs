//! Setting damaged segments aside and keeping every good entry of them in its place.

use crate::store::Error;
use crate::store::frame::{Encoded, Position};
use crate::store::segment::{Header, Source, packed_path, plain_path, sync_dir};
use crate::store::walk::{Found, Walk};
use bytes::Bytes;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// What a repair found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Repaired {
    /// Good entries kept.
    pub(super) entries: u64,
    /// Bytes that no entry could be read from.
    pub(super) lost_bytes: u64,
}

/// Keeps the file of segment `number` as `*.corrupt` and puts in its place one in which the
/// damaged bytes are replaced, so that all good entries keep their positions.
///
/// # Errors
///
/// When files cannot be read or written; the old state is left then.
pub(super) fn quarantine(dir: &Path, number: u32, salt: u32) -> Result<Repaired, Error> {
    let plain = plain_path(dir, number);
    let packed = packed_path(dir, number);
    let is_packed = !plain.exists();
    let original = if is_packed { &packed } else { &plain };
    let temporary = plain.with_extension("pgj.tmp");
    let repaired = match Source::open(dir, number) {
        Ok(Some(source)) => rebuild(&source, number, salt, &temporary),
        // Not even the table of a packed segment is left: an empty segment takes its place.
        Ok(None) | Err(_) => rebuild_empty(original, number, salt, &temporary),
    };
    let repaired = repaired.map_err(Error::io("repair", original))?;
    let aside = free_name(original);
    fs::hard_link(original, &aside).map_err(Error::io("set aside", original))?;
    fs::rename(&temporary, &plain).map_err(Error::io("replace", &plain))?;
    if is_packed {
        fs::remove_file(&packed).map_err(Error::io("replace", &packed))?;
    }
    sync_dir(dir).map_err(Error::io("sync", dir))?;
    tracing::error!(
        segment = number,
        entries = repaired.entries,
        lost_bytes = repaired.lost_bytes,
        kept_as = %aside.display(),
        "a journal segment is damaged; it is kept aside and its good entries are kept in place"
    );
    Ok(repaired)
}

fn free_name(original: &Path) -> PathBuf {
    let name = original.to_string_lossy();
    let plain = PathBuf::from(format!("{name}.corrupt"));
    let numbered = (2_u32..).map(|n| PathBuf::from(format!("{name}.{n}.corrupt")));
    let mut names = std::iter::once(plain.clone()).chain(numbered);
    names.find(|path| !path.exists()).unwrap_or(plain)
}

fn rebuild_empty(original: &Path, number: u32, salt: u32, to: &Path) -> io::Result<Repaired> {
    let lost_bytes = fs::metadata(original)?.len();
    let mut file = File::create(to)?;
    file.write_all(&Header::encode_rebuilt(number, salt, 0))?;
    file.sync_all()?;
    Ok(Repaired {
        entries: 0,
        lost_bytes,
    })
}

fn rebuild(source: &Source, number: u32, salt: u32, to: &Path) -> io::Result<Repaired> {
    let length = source.len()?;
    let mut repaired = Repaired::default();
    let mut file = BufWriter::new(File::create(to)?);
    let header = Header::read(source, number)?;
    let first = header.as_ref().map_or(0, |header| header.bytes);
    if let Some(header) = header {
        let bytes = usize::try_from(header.bytes).unwrap_or(0);
        file.write_all(&source.read(0, bytes)?)?;
    }
    let mut walk = Walk::new(source, salt, first, length);
    while let Some(found) = walk.next()? {
        match found {
            Found::Frame { offset, frame } => {
                repaired.entries += 1;
                let bytes = usize::try_from(frame.head.total_bytes()).unwrap_or(0);
                file.write_all(&source.read(offset, bytes)?)?;
            }
            Found::Damage { from: 0, to } => {
                repaired.lost_bytes += u64::from(to);
                file.write_all(&Header::encode_rebuilt(number, salt, to))?;
            }
            Found::Damage { from, to } => {
                repaired.lost_bytes += u64::from(to - from);
                file.write_all(&stand_in(salt, to - from))?;
            }
            Found::Tail { from, to } => {
                repaired.lost_bytes += u64::from(to - from);
                if from == 0 {
                    file.write_all(&Header::encode_rebuilt(number, salt, 0))?;
                }
            }
        }
    }
    file.flush()?;
    file.get_ref().sync_all()?;
    Ok(repaired)
}

fn stand_in(salt: u32, total: u32) -> Bytes {
    let Some(mut lost) = Encoded::lost(salt, total) else {
        return Bytes::from(vec![0; usize::try_from(total).unwrap_or(0)]);
    };
    lost.seal(Position::default());
    let (head, body) = lost.parts();
    Bytes::from([head, body].concat())
}
