//! Files by their paths: told apart, opened, and given a name when they are whole.

use crate::embeddings::exchange::arrow::{ArrowSink, ArrowSource};
use crate::embeddings::exchange::companion::{self, Companion, CompanionSink};
use crate::embeddings::exchange::digest::Witness;
use crate::embeddings::exchange::error::{Error, Fault, Place};
use crate::embeddings::exchange::input::{self, Input, Opened};
use crate::embeddings::exchange::lines::{JsonLines, JsonLinesSink};
use crate::embeddings::exchange::npy::{Head, Matrix};
use crate::embeddings::exchange::npz::{Npz, NpzSink};
use crate::embeddings::exchange::parquet::ParquetSource;
use crate::embeddings::exchange::parquet_sink::ParquetSink;
use crate::embeddings::exchange::pgbinary::{PgBinary, PgBinarySink};
use crate::embeddings::exchange::pgtext::{PgCsv, PgText, PgTextSink};
use crate::embeddings::exchange::postgres::SqlSink;
use crate::embeddings::exchange::qdrant::{Objects, Points, PointsSink};
use crate::embeddings::exchange::table::{Table, TableSink};
use crate::embeddings::exchange::vecs::{BareSink, Layout, Named, Number, Vecs};
use crate::embeddings::exchange::writer::Part;
use crate::embeddings::exchange::{
    Direction, Format, Output, ReadOptions, Reader, Sink, Source, WriteOptions, Writer,
};
use std::fs::File;
use std::io::{BufReader, BufWriter, Seek as _, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// Opens a file to read records from. gzip and Zstandard are taken off; the format is told from the first
/// bytes and the name unless the options say it.
///
/// # Errors
///
/// A file that cannot be opened or told apart, or whose head is not what its format says.
pub fn open_reader(path: &Path, options: &ReadOptions) -> Result<Reader, Error> {
    let name = path.display().to_string();
    let opened = input::open(path).and_then(|opened| {
        let format = format_of(path, &opened, options)?;
        Ok((format, source(path, opened, format, options)?))
    });
    match opened {
        Ok((format, source)) => Ok(Reader::new(name, format, source, options.dimensions)),
        Err(fault) => Err(Error::new(&name, Place::Whole, fault)),
    }
}

/// Reads records from bytes that come in order, `name` standing for their file. Parquet and archives want a
/// file.
///
/// # Errors
///
/// As [`open_reader`].
pub fn stream_reader(
    name: &str,
    input: impl std::io::Read + Send + 'static,
    options: &ReadOptions,
) -> Result<Reader, Error> {
    let opened = input::opened(Box::new(input)).and_then(|opened| {
        let format = format_of(Path::new(name), &opened, options)?;
        let companion = match &options.ids {
            Some(_) => Companion::open(Path::new(name), options)?,
            None => Companion::none(),
        };
        Ok((format, streamed(opened.input, companion, format, options)?))
    });
    match opened {
        Ok((format, source)) => Ok(Reader::new(
            name.to_owned(),
            format,
            source,
            options.dimensions,
        )),
        Err(fault) => Err(Error::new(name, Place::Whole, fault)),
    }
}

fn format_of(path: &Path, opened: &Opened, options: &ReadOptions) -> Result<Format, Fault> {
    let guessed = || Format::guess(path, &opened.head);
    let unknown = Fault::UnknownFormat(Direction::Read);
    options.format.or_else(guessed).ok_or(unknown)
}

fn source(
    path: &Path,
    opened: Opened,
    format: Format,
    options: &ReadOptions,
) -> Result<Box<dyn Source>, Fault> {
    match format {
        Format::Parquet | Format::Npz if opened.is_compressed => Err(Fault::Unsupported {
            what: format!("a compressed `{format}` file cannot be read from the front"),
            instead: "decompress it first; it is compressed inside already".to_owned(),
        }),
        Format::Parquet => Ok(Box::new(ParquetSource::open(path, options)?)),
        Format::Npz => Ok(Box::new(Npz::open(path, options)?)),
        Format::Npy if !opened.is_compressed => {
            let matrix = array(path)?;
            Ok(Box::new(Named::new(
                matrix,
                Companion::open(path, options)?,
            )))
        }
        Format::Npy | Format::Fvecs | Format::Ivecs | Format::Bvecs => {
            let companion = Companion::open(path, options)?;
            streamed(opened.input, companion, format, options)
        }
        _ => streamed(opened.input, Companion::none(), format, options),
    }
}

/// Opens an array whose claims can be held against the length of its file.
fn array(path: &Path) -> Result<Matrix, Fault> {
    let file = File::open(path).map_err(Fault::reading)?;
    let length = file.metadata().map_err(Fault::reading)?.len();
    let mut file = BufReader::with_capacity(1 << 16, file);
    let head = Head::read(&mut file)?;
    head.check_length(length)?;
    file.seek(SeekFrom::Start(head.length))
        .map_err(Fault::reading)?;
    Matrix::in_file(&head, file)
}

fn streamed(
    mut input: Input,
    companion: Companion,
    format: Format,
    options: &ReadOptions,
) -> Result<Box<dyn Source>, Fault> {
    let vecs = |input, companion, number| Box::new(Named::new(Vecs::new(input, number), companion));
    Ok(match format {
        Format::Jsonl => Box::new(JsonLines::new(input, options)),
        Format::Json => Box::new(Objects::new(input, options)),
        Format::Qdrant => Box::new(Points::new(input, options)),
        Format::Csv => Box::new(Table::new(input, b',', options)?),
        Format::Tsv => Box::new(Table::new(input, b'\t', options)?),
        Format::PgText => Box::new(PgText::new(input, options)),
        Format::PgCsv => Box::new(PgCsv::new(input, options)),
        Format::PgBinary => Box::new(PgBinary::new(input, options)?),
        Format::Arrow | Format::ArrowStream => Box::new(ArrowSource::new(input, options)?),
        Format::Fvecs => vecs(input, companion, Number::Float),
        Format::Ivecs => vecs(input, companion, Number::Integer),
        Format::Bvecs => vecs(input, companion, Number::Byte),
        Format::Npy => {
            let head = Head::read(&mut input)?;
            let input = BufReader::with_capacity(1 << 16, input);
            Box::new(Named::new(Matrix::in_order(&head, input)?, companion))
        }
        Format::Parquet | Format::Npz => {
            return Err(Fault::Unsupported {
                what: format!(
                    "`{format}` cannot be read from a stream: its head stands at its end"
                ),
                instead: "write it to a file first".to_owned(),
            });
        }
        Format::Sql => {
            return Err(Fault::Unsupported {
                what: "a script for `psql` is written, not read".to_owned(),
                instead: "copy the table out: `\\copy TABLE TO 'FILE'`, and read it as \
                          `pgvector-text`"
                    .to_owned(),
            });
        }
    })
}

/// Opens a file to write records into; an old one of that name stays until the new one is whole. What has no
/// room for names gets a second file beside it: `docs.npy.ids.jsonl` for `docs.npy`.
///
/// # Errors
///
/// A file that cannot be made, a format that cannot be told from the name, and what a format must know first.
pub fn open_writer(
    path: &Path,
    format: Option<Format>,
    options: &WriteOptions,
) -> Result<Writer, Error> {
    let name = path.display().to_string();
    let mut parts = Vec::new();
    let mut opened = || {
        let known = format.or_else(|| Format::of_path(path));
        let format = known.ok_or(Fault::UnknownFormat(Direction::Written))?;
        let mut create = |path: PathBuf| {
            let (part, witness) = (part_of(&path), Witness::default());
            let file = witness.watch(File::create(&part).map_err(Fault::writing)?);
            parts.push(Part {
                part,
                whole: path,
                witness,
            });
            Ok::<Output, Fault>(Box::new(BufWriter::with_capacity(1 << 16, file)))
        };
        let output = create(path.to_owned())?;
        let beside = format.has_companion();
        let beside = beside.then(|| create(companion::path_beside(path)));
        Ok((format, sink(output, beside.transpose()?, format, options)?))
    };
    match opened() {
        Ok((format, sink)) => {
            Ok(Writer::new(name, format, sink, options.dimensions).with_parts(parts))
        }
        Err(fault) => {
            for one in parts {
                // It was made just now; the fault is what has to be told.
                let _ = std::fs::remove_file(one.part);
            }
            Err(Error::new(&name, Place::Whole, fault))
        }
    }
}

fn part_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".part");
    name.into()
}

/// Writes records as bytes that go out in order, `name` standing for their file. `beside` takes the lines of
/// what has no room for names.
///
/// # Errors
///
/// What a format must know first, and what it cannot do without: `beside` for bare vectors.
pub fn stream_writer(
    name: &str,
    output: impl Write + Send + 'static,
    beside: Option<Box<dyn Write + Send>>,
    format: Format,
    options: &WriteOptions,
) -> Result<Writer, Error> {
    match sink(Box::new(output), beside, format, options) {
        Ok(sink) => Ok(Writer::new(
            name.to_owned(),
            format,
            sink,
            options.dimensions,
        )),
        Err(fault) => Err(Error::new(name, Place::Whole, fault)),
    }
}

fn sink(
    output: Output,
    beside: Option<Output>,
    format: Format,
    options: &WriteOptions,
) -> Result<Box<dyn Sink>, Fault> {
    if format.has_companion() {
        let beside = beside.ok_or_else(|| Fault::Unsupported {
            what: format!("`{format}` has no room for names"),
            instead: "write it to a file, which gets another one beside it".to_owned(),
        })?;
        return bare(
            output,
            CompanionSink::new(beside, options.texts),
            format,
            options,
        );
    }
    Ok(match format {
        Format::Jsonl => Box::new(JsonLinesSink::new(output, options)),
        Format::Csv => Box::new(TableSink::new(output, b',', true, options)?),
        Format::Tsv => Box::new(TableSink::new(output, b'\t', true, options)?),
        Format::PgCsv => Box::new(TableSink::new(output, b',', false, options)?),
        Format::PgText => Box::new(PgTextSink::new(output, options)),
        Format::PgBinary => Box::new(PgBinarySink::new(output, options)),
        Format::Sql => Box::new(SqlSink::new(output, options)),
        Format::Qdrant => Box::new(PointsSink::new(output, options)),
        Format::Arrow => Box::new(ArrowSink::file(output, options)),
        Format::ArrowStream => Box::new(ArrowSink::stream(output, options)),
        Format::Parquet => Box::new(ParquetSink::new(output, options)),
        _ => {
            return Err(Fault::Unsupported {
                what: format!("`{format}` is read, not written"),
                instead: "write `jsonl`".to_owned(),
            });
        }
    })
}

fn bare(
    output: Output,
    companion: CompanionSink,
    format: Format,
    options: &WriteOptions,
) -> Result<Box<dyn Sink>, Fault> {
    let rows = options.rows.ok_or_else(|| Fault::Unsupported {
        what: format!("`{format}` says first how many rows it has"),
        instead: "say how many records come (`--rows N`)".to_owned(),
    });
    let layout = match format {
        Format::Npz => return Ok(Box::new(NpzSink::new(output, companion, rows?, options))),
        Format::Npy => Layout::Array(rows?),
        Format::Ivecs => Layout::Vecs(Number::Integer),
        Format::Bvecs => Layout::Vecs(Number::Byte),
        _ => Layout::Vecs(Number::Float),
    };
    Ok(Box::new(BareSink::new(output, companion, layout, options)))
}
