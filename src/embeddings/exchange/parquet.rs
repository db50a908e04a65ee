//! Apache Parquet: columns in groups of rows, read a block of rows at a time.
//!
//! Columns are read one by one by the format's own reader, not turned into Arrow's arrays first: that would make
//! the program 3 MiB larger.

use crate::embeddings::exchange::batch::{self, Cell};
use crate::embeddings::exchange::error::{Fault, Place};
use crate::embeddings::exchange::fields::Layout;
use crate::embeddings::exchange::npy::rounded;
use crate::embeddings::exchange::{ReadOptions, Record, Source, pages};
use half::f16;
use parquet::basic::{ConvertedType, LogicalType, Repetition, Type as Physical};
use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::DataType;
use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader as _, SerializedFileReader};
use parquet::schema::types::{ColumnDescriptor, SchemaDescriptor};
use serde_json::Value;
use std::fs::File;
use std::io::BufReader;
use std::panic::AssertUnwindSafe;
use std::path::Path;

/// The most rows that are held.
const MAX_ROWS: u64 = 1024;

/// How many bytes of values the rows that are held may have.
const BLOCK: u64 = 256 << 20;

/// Runs what reads a file. The library panics over some damaged pages (a dictionary that is missing); a file must
/// not end more than its own reading. What was half read is not looked at again.
fn guarded<T>(read: impl FnOnce() -> Result<T, Fault>) -> Result<T, Fault> {
    let read = std::panic::catch_unwind(AssertUnwindSafe(read));
    read.unwrap_or_else(|_| Err(Fault::broken("the Parquet file is damaged")))
}

fn broken(error: &ParquetError) -> Fault {
    Fault::Broken(format!("the Parquet file is damaged: {error}"))
}

/// A file that is read.
pub(super) struct ParquetSource {
    file: SerializedFileReader<File>,
    pages: BufReader<File>,
    columns: Vec<Column>,
    names: Vec<String>,
    layout: Layout,
    is_numbered: bool,
    notes: Vec<String>,
    group: usize,
    readers: Vec<ColumnReader>,
    left: u64,
    at_once: u64,
    /// Rows that are ready, the next one last.
    ready: Vec<Vec<Cell>>,
    row: u64,
}

/// A column that is read.
struct Column {
    leaf: usize,
    kind: Kind,
    /// The level of a value that is there.
    level: i16,
}

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Uuid,
    Plain,
    Unsigned,
    /// Floats, which may have holes.
    List {
        has_holes: bool,
    },
}

impl ParquetSource {
    pub(super) fn open(path: &Path, options: &ReadOptions) -> Result<Self, Fault> {
        let file = File::open(path).map_err(Fault::reading)?;
        let pages = BufReader::new(File::open(path).map_err(Fault::reading)?);
        let file = guarded(|| SerializedFileReader::new(file).map_err(|error| broken(&error)))?;
        let (mut columns, mut names, mut left_out) = (Vec::new(), Vec::new(), Vec::new());
        let schema = file.metadata().file_metadata().schema_descr();
        for (name, column) in top_columns(schema) {
            match column {
                Some(column) => {
                    columns.push(column);
                    names.push(name);
                }
                None => left_out.push(format!("`{name}`")),
            }
        }
        let refs: Vec<&str> = names.iter().map(String::as_str).collect();
        let layout = Layout::of(&options.fields, &refs)?;
        let note = || {
            let names = left_out.join(", ");
            format!(
                "Columns of other types than text, number, boolean and list of floats were left out: {names}."
            )
        };
        Ok(Self {
            layout,
            pages,
            columns,
            names,
            is_numbered: options.is_numbered,
            notes: (!left_out.is_empty()).then(note).into_iter().collect(),
            group: 0,
            readers: Vec::new(),
            left: 0,
            at_once: 1,
            ready: Vec::new(),
            row: 0,
            file,
        })
    }

    /// Goes to the next group of rows; tells whether there is one.
    fn next_group(&mut self) -> Result<bool, Fault> {
        if self.file.num_row_groups() <= self.group {
            return Ok(false);
        }
        let metadata = self.file.metadata().row_group(self.group);
        self.left = u64::try_from(metadata.num_rows())
            .map_err(|_| Fault::broken("a group has a negative number of rows"))?;
        let mut widest = 1;
        for column in &self.columns {
            let chunk = metadata.columns().get(column.leaf);
            let chunk = chunk.ok_or_else(|| Fault::broken("a group lacks a column"))?;
            // `byte_range` takes it for granted that these are not below zero.
            let starts = [
                Some(chunk.data_page_offset()),
                chunk.dictionary_page_offset(),
            ];
            if chunk.compressed_size() < 0 || starts.into_iter().flatten().any(|start| start < 0) {
                return Err(Fault::broken("a column stands before the file"));
            }
            let (start, length) = chunk.byte_range();
            let dictionary = pages::check(&mut self.pages, start, length)?;
            let values = u64::try_from(chunk.num_values()).unwrap_or(u64::MAX);
            widest = widest.max(dictionary).max(values / self.left.max(1) * 4);
        }
        self.at_once = (BLOCK / widest).clamp(1, MAX_ROWS);
        let group = self
            .file
            .get_row_group(self.group)
            .map_err(|error| broken(&error))?;
        let readers = self
            .columns
            .iter()
            .map(|column| group.get_column_reader(column.leaf));
        self.readers = readers
            .collect::<Result<_, _>>()
            .map_err(|error| broken(&error))?;
        self.group += 1;
        Ok(true)
    }

    fn fill(&mut self) -> Result<bool, Fault> {
        while self.left == 0 {
            if !self.next_group()? {
                return Ok(false);
            }
        }
        let count = usize::try_from(self.at_once.min(self.left)).unwrap_or(1);
        let mut rows: Vec<Vec<Cell>> = vec![Vec::with_capacity(self.columns.len()); count];
        for (column, reader) in self.columns.iter().zip(&mut self.readers) {
            let cells = column.read(reader, count)?;
            if cells.len() != count {
                return Err(Fault::broken(
                    "a column has fewer values than its group has rows",
                ));
            }
            for (row, cell) in rows.iter_mut().rev().zip(cells) {
                row.push(cell);
            }
        }
        self.left -= u64::try_from(count).unwrap_or(self.left);
        self.ready = rows;
        Ok(true)
    }
}

impl Source for ParquetSource {
    fn read(&mut self) -> Result<Option<Record>, Fault> {
        let number = self.is_numbered.then_some(self.row);
        self.row += 1;
        if self.ready.is_empty() && !guarded(|| self.fill())? {
            return Ok(None);
        }
        let row = self.ready.pop();
        row.map(|row| batch::read(&self.layout, &self.names, row, number))
            .transpose()
    }

    fn place(&self) -> Place {
        Place::Row(self.row)
    }

    fn notes(&self) -> Vec<String> {
        self.notes.clone()
    }
}

/// Returns the columns of a schema by name; `None` for what is not read.
fn top_columns(schema: &SchemaDescriptor) -> Vec<(String, Option<Column>)> {
    let mut found: Vec<(String, Option<Column>)> = Vec::new();
    let mut last = None;
    for (leaf, descriptor) in schema.columns().iter().enumerate() {
        let root = schema.get_column_root_idx(leaf);
        if last == Some(root) {
            // A second leaf below one name: a struct, or a map.
            if let Some((_, column)) = found.last_mut() {
                *column = None;
            }
            continue;
        }
        last = Some(root);
        let kind = kind_of(descriptor, schema.get_column_root(leaf).is_group());
        let column = kind.map(|kind| Column {
            leaf,
            kind,
            level: descriptor.max_def_level(),
        });
        found.push((schema.get_column_root(leaf).name().to_owned(), column));
    }
    found
}

fn kind_of(descriptor: &ColumnDescriptor, is_group: bool) -> Option<Kind> {
    let (physical, logical) = (descriptor.physical_type(), descriptor.logical_type_ref());
    if descriptor.max_rep_level() == 1 {
        let is_half = physical == Physical::FIXED_LEN_BYTE_ARRAY && descriptor.type_length() == 2;
        let is_float = matches!(physical, Physical::FLOAT | Physical::DOUBLE)
            || (is_half && matches!(logical, Some(LogicalType::Float16)));
        let repetition = descriptor.self_type().get_basic_info().repetition();
        return is_float.then_some(Kind::List {
            has_holes: repetition == Repetition::OPTIONAL,
        });
    }
    if descriptor.max_rep_level() != 0 || is_group {
        return None;
    }
    let is_plain_number = matches!(
        descriptor.converted_type(),
        ConvertedType::NONE
            | ConvertedType::INT_8
            | ConvertedType::INT_16
            | ConvertedType::INT_32
            | ConvertedType::INT_64
    ) && matches!(logical, None | Some(LogicalType::Integer { .. }));
    let is_unsigned = matches!(
        descriptor.converted_type(),
        ConvertedType::UINT_8
            | ConvertedType::UINT_16
            | ConvertedType::UINT_32
            | ConvertedType::UINT_64
    );
    let is_text = matches!(
        descriptor.converted_type(),
        ConvertedType::NONE | ConvertedType::UTF8 | ConvertedType::JSON | ConvertedType::ENUM
    );
    match physical {
        Physical::BYTE_ARRAY => is_text.then_some(Kind::Text),
        Physical::BOOLEAN | Physical::FLOAT | Physical::DOUBLE => Some(Kind::Plain),
        Physical::INT32 | Physical::INT64 if is_unsigned => Some(Kind::Unsigned),
        Physical::INT32 | Physical::INT64 => is_plain_number.then_some(Kind::Plain),
        Physical::FIXED_LEN_BYTE_ARRAY => {
            matches!(logical, Some(LogicalType::Uuid)).then_some(Kind::Uuid)
        }
        Physical::INT96 => None,
    }
}

impl Column {
    fn read(&self, reader: &mut ColumnReader, count: usize) -> Result<Vec<Cell>, Fault> {
        let is_unsigned = self.kind == Kind::Unsigned;
        match (self.kind, reader) {
            (Kind::List { has_holes }, ColumnReader::FloatColumnReader(reader)) => {
                self.lists(reader, count, has_holes, |value| Ok(*value))
            }
            (Kind::List { has_holes }, ColumnReader::DoubleColumnReader(reader)) => {
                self.lists(reader, count, has_holes, |value| Ok(rounded(*value)))
            }
            (Kind::List { has_holes }, ColumnReader::FixedLenByteArrayColumnReader(reader)) => self
                .lists(reader, count, has_holes, |value| match value.data() {
                    [low, high] => Ok(f16::from_le_bytes([*low, *high]).to_f32()),
                    _ => Err(Fault::broken("a half float has not two bytes")),
                }),
            (_, ColumnReader::ByteArrayColumnReader(reader)) => self.flat(reader, count, |value| {
                let text = std::str::from_utf8(value.data());
                let text = text.map_err(|_| Fault::broken("a text is no UTF-8"))?;
                Ok(Cell::Text(text.to_owned()))
            }),
            (_, ColumnReader::FixedLenByteArrayColumnReader(reader)) => {
                self.flat(reader, count, |value| {
                    let id = uuid::Uuid::from_slice(value.data());
                    let id = id.map_err(|_| Fault::broken("a UUID has not 16 bytes"))?;
                    Ok(Cell::Text(id.to_string()))
                })
            }
            (_, ColumnReader::BoolColumnReader(reader)) => {
                self.flat(reader, count, |value| Ok(Cell::Plain(Value::from(*value))))
            }
            (_, ColumnReader::Int32ColumnReader(reader)) => self.flat(reader, count, |value| {
                let unsigned = Value::from(value.cast_unsigned());
                Ok(Cell::Plain(if is_unsigned {
                    unsigned
                } else {
                    Value::from(*value)
                }))
            }),
            (_, ColumnReader::Int64ColumnReader(reader)) => self.flat(reader, count, |value| {
                let unsigned = Value::from(value.cast_unsigned());
                Ok(Cell::Plain(if is_unsigned {
                    unsigned
                } else {
                    Value::from(*value)
                }))
            }),
            (_, ColumnReader::FloatColumnReader(reader)) => {
                self.flat(reader, count, |value| Ok(Cell::Plain(Value::from(*value))))
            }
            (_, ColumnReader::DoubleColumnReader(reader)) => {
                self.flat(reader, count, |value| Ok(Cell::Plain(Value::from(*value))))
            }
            _ => Err(Fault::broken(
                "a column is of another type than its schema says",
            )),
        }
    }

    /// Reads one value for each row.
    fn flat<T: DataType>(
        &self,
        reader: &mut ColumnReaderImpl<T>,
        count: usize,
        cell: impl Fn(&T::T) -> Result<Cell, Fault>,
    ) -> Result<Vec<Cell>, Fault> {
        let (mut levels, mut values) = (Vec::new(), Vec::new());
        reader
            .read_records(count, Some(&mut levels), None, &mut values)
            .map_err(|error| broken(&error))?;
        if self.level == 0 {
            return values.iter().map(cell).collect();
        }
        let mut values = values.iter();
        let cells = levels.iter().map(|level| match *level == self.level {
            false => Ok(Cell::Null),
            true => match values.next() {
                Some(value) => cell(value),
                None => Err(Fault::broken("a column lacks values")),
            },
        });
        cells.collect()
    }

    /// Reads a list for each row. Levels: the highest is a value, the one below it a hole (where there may
    /// be any), then an empty list, then none.
    fn lists<T: DataType>(
        &self,
        reader: &mut ColumnReaderImpl<T>,
        count: usize,
        has_holes: bool,
        number: impl Fn(&T::T) -> Result<f32, Fault>,
    ) -> Result<Vec<Cell>, Fault> {
        let (mut levels, mut starts, mut values) = (Vec::new(), Vec::new(), Vec::new());
        reader
            .read_records(count, Some(&mut levels), Some(&mut starts), &mut values)
            .map_err(|error| broken(&error))?;
        let mut values = values.iter();
        let mut cells: Vec<Cell> = Vec::with_capacity(count);
        let empty = self.level - 1 - i16::from(has_holes);
        for (start, level) in starts.iter().zip(&levels) {
            if *start == 0 {
                cells.push(if *level < empty {
                    Cell::Null
                } else {
                    Cell::Vector(Vec::new())
                });
            }
            if *level <= empty {
                continue;
            }
            if *level != self.level {
                return Err(Fault::broken(
                    "a vector has a hole: one of its numbers is null",
                ));
            }
            let value = values
                .next()
                .ok_or_else(|| Fault::broken("a column lacks values"))?;
            match cells.last_mut() {
                Some(Cell::Vector(row)) => row.push(number(value)?),
                _ => return Err(Fault::broken("a list does not begin")),
            }
        }
        Ok(cells)
    }
}
