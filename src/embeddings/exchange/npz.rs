//! Archives of numpy's arrays: one of them is the matrix, and one may be the names of its rows.

use crate::embeddings::exchange::companion::{Companion, CompanionSink};
use crate::embeddings::exchange::error::{Fault, Place};
use crate::embeddings::exchange::fields::VECTORS;
use crate::embeddings::exchange::npy::{self, Element, Head, Matrix};
use crate::embeddings::exchange::vecs::no_vector;
use crate::embeddings::exchange::writer::Output;
use crate::embeddings::exchange::{ReadOptions, Record, Sink, Source, WriteOptions};
use flate2::read::DeflateDecoder;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek as _, SeekFrom, Write as _};
use std::path::Path;
use zip::write::{SimpleFileOptions, StreamWriter};
use zip::{CompressionMethod, ZipArchive, ZipWriter};

/// The arrays that hold names.
const IDS: [&str; 3] = ["ids", "id", "names"];

/// The most arrays that an archive may hold.
const MAX_ARRAYS: usize = 1024;

/// An archive that is read.
pub(super) struct Npz {
    rows: Matrix,
    names: Option<Names>,
    companion: Companion,
    number: u64,
}

impl Npz {
    /// Opens an archive; names stand in it, or in a file beside it, or alike in both.
    pub(super) fn open(path: &Path, options: &ReadOptions) -> Result<Self, Fault> {
        let members = members(path)?;
        let wanted = options.fields.vector.as_deref();
        let matrix = find_matrix(&members, wanted)?;
        let mut input = matrix.open(path)?;
        let head = Head::read(&mut input)?;
        head.check_length(matrix.length)?;
        let ids = IDS.iter().find_map(|name| find(&members, name));
        let ids = ids.filter(|_| !options.is_numbered);
        let rows = head.shape.first().copied();
        let names = ids.map(|ids| Names::open(ids, path, rows)).transpose()?;
        let companion = Companion::open(path, options)?;
        Ok(Self {
            rows: Matrix::in_order(&head, input)?,
            names,
            companion,
            number: 0,
        })
    }
}

impl Source for Npz {
    fn read(&mut self) -> Result<Option<Record>, Fault> {
        self.number += 1;
        let Some(values) = self.rows.row()? else {
            self.companion.check_end()?;
            return Ok(None);
        };
        let mut record = self.companion.read()?;
        if let Some(names) = &mut self.names {
            let name = names.read()?;
            if self.companion.is_there() && name != record.id {
                let found = record.id;
                let why =
                    format!("the archive calls the row `{name}`, and the file beside it `{found}`");
                return Err(Fault::Broken(why));
            }
            record.id = name;
        }
        record.vector = Some(values);
        Ok(Some(record))
    }

    fn place(&self) -> Place {
        Place::Row(self.number)
    }

    fn notes(&self) -> Vec<String> {
        match self.names {
            None => self.companion.notes(),
            Some(_) => Vec::new(),
        }
    }
}

/// A member of an archive.
#[derive(Debug, Clone)]
struct Member {
    name: String,
    is_deflated: bool,
    start: u64,
    stored: u64,
    length: u64,
    checksum: u32,
}

/// Returns the arrays of an archive.
fn members(path: &Path) -> Result<Vec<Member>, Fault> {
    let file = File::open(path).map_err(Fault::reading)?;
    let mut archive = ZipArchive::new(BufReader::new(file)).map_err(|error| broken(&error))?;
    if MAX_ARRAYS < archive.len() {
        return Err(Fault::TooLarge {
            what: "the archive".to_owned(),
            limit: format!("{MAX_ARRAYS} arrays"),
        });
    }
    let mut members = Vec::new();
    for index in 0..archive.len() {
        let entry = archive
            .by_index_raw(index)
            .map_err(|error| broken(&error))?;
        let name = entry.name().map_err(|error| broken(&error))?.into_owned();
        let is_deflated = match entry.compression() {
            CompressionMethod::Stored => false,
            CompressionMethod::Deflated => true,
            other => {
                return Err(Fault::Unsupported {
                    what: format!("`{name}` is compressed by {other:?}"),
                    instead: "write it by `numpy.savez` or `numpy.savez_compressed`".to_owned(),
                });
            }
        };
        members.push(Member {
            name: name.strip_suffix(".npy").unwrap_or(&name).to_owned(),
            is_deflated,
            start: entry
                .data_start()
                .ok_or_else(|| Fault::broken("the archive is damaged"))?,
            stored: entry.compressed_size(),
            length: entry.size(),
            checksum: entry.crc32(),
        });
    }
    Ok(members)
}

fn broken(error: &zip::result::ZipError) -> Fault {
    Fault::Broken(format!("the archive cannot be read: {error}"))
}

fn find<'a>(members: &'a [Member], name: &str) -> Option<&'a Member> {
    members.iter().find(|member| member.name == name)
}

/// Finds the matrix: the named array, one with a usual name, or the only one that is not the names.
fn find_matrix<'a>(members: &'a [Member], wanted: Option<&str>) -> Result<&'a Member, Fault> {
    let found = || members.iter().map(|member| member.name.clone()).collect();
    let no_field = || Fault::NoField {
        role: "vector",
        found: found(),
    };
    if let Some(name) = wanted {
        return find(members, name).ok_or_else(no_field);
    }
    if let Some(usual) = VECTORS.iter().find_map(|name| find(members, name)) {
        return Ok(usual);
    }
    let is_other = |member: &&Member| !IDS.contains(&member.name.as_str());
    let mut others = members.iter().filter(is_other);
    match (others.next(), others.next()) {
        (Some(only), None) => Ok(only),
        (None, _) => Err(no_field()),
        (Some(_), Some(_)) => Err(Fault::Ambiguous {
            question: "the archive holds several arrays",
            choices: found(),
            option: "--vector-field NAME",
        }),
    }
}

impl Member {
    /// Returns the bytes of the member, decompressed; never more than it says it has.
    fn open(&self, path: &Path) -> Result<impl Read + Send + 'static, Fault> {
        let mut file = File::open(path).map_err(Fault::reading)?;
        file.seek(SeekFrom::Start(self.start))
            .map_err(Fault::reading)?;
        let stored = BufReader::new(file.take(self.stored));
        let bytes: Box<dyn Read + Send> = if self.is_deflated {
            Box::new(DeflateDecoder::new(stored))
        } else {
            Box::new(stored)
        };
        let checked = Checked {
            bytes: bytes.take(self.length),
            hash: crc32fast::Hasher::new(),
            checksum: self.checksum,
        };
        Ok(BufReader::new(checked))
    }
}

/// Bytes that are held against their checksum at their end.
struct Checked<R> {
    bytes: R,
    hash: crc32fast::Hasher,
    checksum: u32,
}

impl<R: Read> Read for Checked<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.bytes.read(into)?;
        self.hash.update(into.get(..read).unwrap_or_default());
        if read == 0 && !into.is_empty() && self.hash.clone().finalize() != self.checksum {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the checksum does not hold",
            ));
        }
        Ok(read)
    }
}

/// The names of the rows.
struct Names {
    input: Box<dyn Read + Send>,
    element: Element,
    is_big_endian: bool,
}

impl Names {
    fn open(member: &Member, path: &Path, rows: Option<u64>) -> Result<Self, Fault> {
        let mut input = member.open(path)?;
        let head = Head::read(&mut input)?;
        head.check_length(member.length)?;
        let [count] = head.shape[..] else {
            return Err(Fault::field(&member.name, "is no list of names"));
        };
        if matches!(head.element, Element::Float(_)) {
            return Err(Fault::field(
                &member.name,
                "holds floats, which are no names",
            ));
        }
        if let Some(expected) = rows.filter(|rows| *rows != count) {
            return Err(Fault::Count {
                what: "names",
                expected,
                found: count,
            });
        }
        Ok(Self {
            input: Box::new(input),
            element: head.element,
            is_big_endian: head.is_big_endian,
        })
    }

    fn read(&mut self) -> Result<String, Fault> {
        let mut bytes = vec![0; self.element.size()];
        self.input.read_exact(&mut bytes).map_err(Fault::reading)?;
        if self.is_big_endian && !matches!(self.element, Element::Bytes(_) | Element::Unicode(_)) {
            bytes.reverse();
        }
        let name = match self.element {
            Element::Unicode(_) => unicode(&bytes, self.is_big_endian),
            Element::Unsigned(_) => Some(little(&bytes).to_string()),
            Element::Integer(size) => Some(signed(little(&bytes), size).to_string()),
            Element::Bytes(_) | Element::Float(_) => {
                let end = bytes
                    .iter()
                    .rposition(|byte| *byte != 0)
                    .map_or(0, |last| last + 1);
                bytes.truncate(end);
                String::from_utf8(bytes).ok()
            }
        };
        name.ok_or_else(|| Fault::broken("its name is no text"))
    }
}

fn unicode(bytes: &[u8], is_big_endian: bool) -> Option<String> {
    let (words, _) = bytes.as_chunks::<4>();
    let letters = words.iter().map(|word| {
        char::from_u32(match is_big_endian {
            true => u32::from_be_bytes(*word),
            false => u32::from_le_bytes(*word),
        })
    });
    let text: Option<String> = letters.collect();
    text.map(|text| text.trim_end_matches('\0').to_owned())
}

fn little(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .rev()
        .fold(0, |number, byte| (number << 8) | u64::from(*byte))
}

/// Returns a number of so many bytes with its sign.
const fn signed(number: u64, size: usize) -> i64 {
    let unused = 64_usize.saturating_sub(size.saturating_mul(8));
    (number << unused).cast_signed() >> unused
}

/// An archive that is written: the vectors as they come, then the names, which are held until then.
pub(super) struct NpzSink {
    archive: Option<ZipWriter<StreamWriter<Output>>>,
    companion: CompanionSink,
    rows: u64,
    ids: Vec<String>,
    dimensions: Option<usize>,
}

impl NpzSink {
    pub(super) fn new(
        output: Output,
        companion: CompanionSink,
        rows: u64,
        options: &WriteOptions,
    ) -> Self {
        Self {
            archive: Some(ZipWriter::new_stream(output)),
            companion,
            rows,
            ids: Vec::new(),
            dimensions: options.dimensions,
        }
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        match &mut self.archive {
            Some(archive) => archive.write_all(bytes).map_err(Fault::writing),
            None => Ok(()),
        }
    }

    fn begin(&mut self, name: &str, method: CompressionMethod) -> Result<(), Fault> {
        // The time would make the same vectors another file.
        let options = SimpleFileOptions::DEFAULT
            .compression_method(method)
            .large_file(true);
        match &mut self.archive {
            Some(archive) => archive
                .start_file(name, options)
                .map_err(|error| written(&error)),
            None => Ok(()),
        }
    }

    fn begin_matrix(&mut self, dimensions: usize) -> Result<(), Fault> {
        self.begin("vectors.npy", CompressionMethod::Stored)?;
        self.put(&npy::head_of_matrix(self.rows, dimensions))
    }
}

fn written(error: &zip::result::ZipError) -> Fault {
    Fault::writing(io::Error::other(error.to_string()))
}

impl Sink for NpzSink {
    fn write(&mut self, record: &Record) -> Result<(), Fault> {
        let values = record.vector.as_deref().ok_or_else(no_vector)?;
        if self.ids.is_empty() {
            self.begin_matrix(values.len())?;
        }
        self.ids.push(record.id.clone());
        self.put(&npy::row_bytes(values))?;
        self.companion.write(record)
    }

    fn finish(&mut self) -> Result<(), Fault> {
        let found = u64::try_from(self.ids.len()).unwrap_or(u64::MAX);
        if found != self.rows {
            return Err(Fault::Count {
                what: "records",
                expected: self.rows,
                found,
            });
        }
        if self.ids.is_empty() {
            self.begin_matrix(self.dimensions.unwrap_or(0))?;
        }
        let ids = std::mem::take(&mut self.ids);
        let longest = ids.iter().map(|id| id.chars().count()).max().unwrap_or(1);
        self.begin("ids.npy", CompressionMethod::Deflated)?;
        self.put(&npy::head_of(
            &format!("<U{longest}"),
            &format!("({found},)"),
        ))?;
        for id in ids {
            let mut bytes = vec![0; longest * 4];
            for (place, letter) in bytes.chunks_exact_mut(4).zip(id.chars()) {
                place.copy_from_slice(&u32::from(letter).to_le_bytes());
            }
            self.put(&bytes)?;
        }
        if let Some(archive) = self.archive.take() {
            let mut output = archive.finish().map_err(|error| written(&error))?;
            output.flush().map_err(Fault::writing)?;
        }
        self.companion.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::{little, signed, unicode};

    #[test]
    fn names_are_numbers_or_letters() {
        assert_eq!(signed(little(&[0xfe, 0xff]), 2), -2);
        assert_eq!(signed(little(&[7, 0, 0, 0, 0, 0, 0, 0]), 8), 7);
        assert_eq!(signed(little(&[0xff; 8]), 8), -1);
        assert_eq!(unicode(b"a\0\0\0\0\0\0\0", false).as_deref(), Some("a"));
        assert_eq!(unicode(b"\0\0\0a", true).as_deref(), Some("a"));
        assert_eq!(unicode(b"\0\0\x11\x00", true).as_deref(), Some("\u{1100}"));
        assert_eq!(unicode(&[0xff; 4], false), None);
    }
}
