//! Bytes of a file from the front: decompressed, bounded, line by line.

use crate::embeddings::exchange::error::Fault;
use flate2::read::MultiGzDecoder;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read};
use std::path::Path;

/// Bytes that come in order.
pub(super) type Input = Box<dyn Read + Send>;

/// The longest line, element or cell that is read.
pub(super) const MAX_LINE: usize = 64 << 20;

/// How much is looked at to tell a format.
const HEAD: u64 = 4096;

/// The head of a file, and all of it.
pub(super) struct Opened {
    /// The first bytes, decompressed.
    pub(super) head: Vec<u8>,
    /// All bytes, decompressed.
    pub(super) input: Input,
    /// Whether the file was compressed as a whole.
    pub(super) is_compressed: bool,
}

/// Opens a file; gzip and Zstandard are taken off.
pub(super) fn open(path: &Path) -> Result<Opened, Fault> {
    let file = File::open(path).map_err(Fault::reading)?;
    opened(Box::new(file))
}

/// Looks at the first bytes and takes compression off.
pub(super) fn opened(mut raw: Input) -> Result<Opened, Fault> {
    let head = take_head(&mut raw)?;
    let is_gzip = head.starts_with(b"\x1f\x8b");
    let is_zstd = head.starts_with(b"\x28\xb5\x2f\xfd");
    let whole = Box::new(std::io::Cursor::new(head.clone()).chain(raw));
    if !is_gzip && !is_zstd {
        return Ok(Opened {
            head,
            input: whole,
            is_compressed: false,
        });
    }
    let mut input: Input = if is_gzip {
        Box::new(MultiGzDecoder::new(whole))
    } else {
        Box::new(zstd::stream::read::Decoder::new(whole).map_err(Fault::reading)?)
    };
    let head = take_head(&mut input)?;
    Ok(Opened {
        input: Box::new(std::io::Cursor::new(head.clone()).chain(input)),
        head,
        is_compressed: true,
    })
}

fn take_head(input: &mut Input) -> Result<Vec<u8>, Fault> {
    let mut head = Vec::new();
    let mut limited = input.by_ref().take(HEAD);
    limited.read_to_end(&mut head).map_err(Fault::reading)?;
    Ok(head)
}

/// Reads exactly `length` bytes, growing with what comes and not with what is promised.
pub(super) fn read_exactly(input: &mut impl Read, length: u64) -> Result<Vec<u8>, Fault> {
    let mut bytes = Vec::new();
    let read = input.by_ref().take(length).read_to_end(&mut bytes);
    let read = read.map_err(Fault::reading)?;
    if u64::try_from(read).is_ok_and(|read| read == length) {
        return Ok(bytes);
    }
    Err(Fault::broken("the file ends too early"))
}

/// Reads `N` bytes.
pub(super) fn read_array<const N: usize>(input: &mut impl Read) -> Result<[u8; N], Fault> {
    let mut bytes = [0; N];
    input.read_exact(&mut bytes).map_err(Fault::reading)?;
    Ok(bytes)
}

/// Whether another byte follows.
pub(super) fn is_at_end<R: Read>(input: &mut BufReader<R>) -> Result<bool, Fault> {
    Ok(input.fill_buf().map_err(Fault::reading)?.is_empty())
}

/// Lines of a text, one at a time.
pub(super) struct Lines {
    input: BufReader<Input>,
    line: Vec<u8>,
    number: u64,
}

impl Lines {
    pub(super) fn new(input: Input) -> Self {
        Self {
            input: BufReader::with_capacity(1 << 16, input),
            line: Vec::new(),
            number: 0,
        }
    }

    /// Returns the number of the line that was read last, from 1.
    pub(super) const fn number(&self) -> u64 {
        self.number
    }

    /// Returns the next line without its end; `None` behind the last.
    pub(super) fn read(&mut self) -> Result<Option<&[u8]>, Fault> {
        self.line.clear();
        let limit = u64::try_from(MAX_LINE).unwrap_or(u64::MAX);
        let mut limited = self.input.by_ref().take(limit);
        let read = limited.read_until(b'\n', &mut self.line);
        self.number += 1;
        if read.map_err(Fault::reading)? == 0 {
            return Ok(None);
        }
        if self.line.pop_if(|byte| *byte == b'\n').is_none() && MAX_LINE <= self.line.len() {
            return Err(too_long("a line"));
        }
        self.line.pop_if(|byte| *byte == b'\r');
        let line = self.line.as_slice();
        // The mark that some editors put before UTF-8.
        let unmarked = line
            .strip_prefix(b"\xef\xbb\xbf")
            .filter(|_| self.number == 1);
        Ok(Some(unmarked.unwrap_or(line)))
    }
}

/// Returns the fault of something longer than [`MAX_LINE`].
pub(super) fn too_long(what: &str) -> Fault {
    Fault::TooLarge {
        what: what.to_owned(),
        limit: format!("{} MiB", MAX_LINE >> 20),
    }
}

/// Returns bytes as text.
pub(super) fn utf8(bytes: &[u8]) -> Result<&str, Fault> {
    std::str::from_utf8(bytes).map_err(|_| Fault::broken("it is no UTF-8 text"))
}

#[cfg(test)]
mod tests {
    use super::{Lines, opened};
    use std::io::{Read as _, Write as _};

    #[test]
    fn compression_is_taken_off() {
        let text = b"a line\nanother\n".repeat(1000);
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&text).unwrap();
        let packed = zstd::bulk::compress(&text, 1).unwrap();
        for (bytes, is_compressed) in [
            (text.clone(), false),
            (gzip.finish().unwrap(), true),
            (packed, true),
        ] {
            let mut found = opened(Box::new(std::io::Cursor::new(bytes))).unwrap();
            assert_eq!(found.is_compressed, is_compressed);
            assert_eq!(found.head, text[..4096]);
            let mut read = Vec::new();
            found.input.read_to_end(&mut read).unwrap();
            assert_eq!(read, text);
        }
    }

    #[test]
    fn lines_end_as_they_like() {
        let mut lines = Lines::new(Box::new(&b"\xef\xbb\xbfa\r\n\nb"[..]));
        assert_eq!(lines.read().unwrap(), Some(&b"a"[..]));
        assert_eq!(lines.read().unwrap(), Some(&b""[..]));
        assert_eq!(lines.read().unwrap(), Some(&b"b"[..]));
        assert_eq!(lines.number(), 3);
        assert_eq!(lines.read().unwrap(), None);
    }
}
