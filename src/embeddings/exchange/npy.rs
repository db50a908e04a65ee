//! numpy's arrays: a head that says type, order and shape, then the numbers.
//!
//! The shape is a claim. It is held against the length of the file before a row is read, and where the length
//! is not known, rows are read one by one, so that a false claim ends with the bytes.

use crate::embeddings::exchange::error::Fault;
use crate::embeddings::exchange::input::{read_array, read_exactly};
use crate::embeddings::exchange::vector::{MAX_DIMENSIONS, too_long};
use half::f16;
use std::io::{Cursor, Read, Seek, SeekFrom};

/// What every array begins with.
const MAGIC: &[u8; 6] = b"\x93NUMPY";

/// The longest head that is read.
const MAX_HEAD: u32 = 1 << 16;

/// How much of an array in column order is held at once.
const BLOCK: u64 = 8 << 20;

/// The largest array in column order that is held where one cannot jump about.
const MAX_HELD: u64 = 256 << 20;

/// What the elements of an array are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Element {
    /// A float of 2, 4 or 8 bytes.
    Float(usize),
    /// A whole number of 1, 2, 4 or 8 bytes.
    Integer(usize),
    /// The same, without a sign.
    Unsigned(usize),
    /// So many characters of 4 bytes.
    Unicode(usize),
    /// So many bytes.
    Bytes(usize),
}

/// The head of an array.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) element: Element,
    pub(super) is_big_endian: bool,
    pub(super) is_by_column: bool,
    pub(super) shape: Vec<u64>,
    /// How many bytes the head itself has.
    pub(super) length: u64,
}

impl Element {
    /// Returns how many bytes an element has.
    pub(super) const fn size(self) -> usize {
        match self {
            Self::Float(size) | Self::Integer(size) | Self::Unsigned(size) | Self::Bytes(size) => {
                size
            }
            Self::Unicode(length) => length.saturating_mul(4),
        }
    }
}

impl Head {
    /// Reads the head of an array.
    pub(super) fn read(input: &mut impl Read) -> Result<Self, Fault> {
        if read_array::<6>(input)? != *MAGIC {
            return Err(Fault::broken("it does not begin like an array of numpy"));
        }
        let [major, _] = read_array(input)?;
        let (length, before) = match major {
            1 => (u32::from(u16::from_le_bytes(read_array(input)?)), 10),
            2 | 3 => (u32::from_le_bytes(read_array(input)?), 12),
            _ => {
                return Err(Fault::Broken(format!(
                    "it is of layout {major}, which is not known"
                )));
            }
        };
        if MAX_HEAD < length {
            return Err(Fault::broken("its head is too long"));
        }
        let text = read_exactly(input, length.into())?;
        let text = std::str::from_utf8(&text).map_err(|_| bad_head())?;
        Self::parse(text, before + u64::from(length))
    }

    /// Reads `{'descr': '<f4', 'fortran_order': False, 'shape': (3, 5), }`.
    fn parse(text: &str, length: u64) -> Result<Self, Fault> {
        let value = |key: &str| {
            let (_, rest) = text.split_once(&format!("'{key}':"))?;
            Some(rest.trim_start())
        };
        let descr = value("descr").ok_or_else(bad_head)?;
        let Some(descr) = descr
            .strip_prefix('\'')
            .and_then(|rest| rest.split_once('\''))
        else {
            return Err(unsupported("has several fields"));
        };
        let (element, is_big_endian) = element(descr.0)?;
        let order = value("fortran_order").ok_or_else(bad_head)?;
        let shape = value("shape").and_then(|rest| rest.strip_prefix('('));
        let shape = shape
            .and_then(|rest| rest.split_once(')'))
            .ok_or_else(bad_head)?;
        let numbers = shape.0.split(',').map(str::trim);
        let numbers = numbers.filter(|number| !number.is_empty());
        let shape: Result<Vec<u64>, _> = numbers.map(str::parse).collect();
        Ok(Self {
            element,
            is_big_endian,
            is_by_column: order.starts_with("True"),
            shape: shape.map_err(|_| bad_head())?,
            length,
        })
    }

    /// Returns how many bytes follow the head; `None` when no file is so long.
    pub(super) fn data_length(&self) -> Option<u64> {
        let size = u64::try_from(self.element.size()).ok()?;
        self.shape
            .iter()
            .try_fold(size, |length, side| length.checked_mul(*side))
    }

    /// Returns rows and columns of a matrix of floats.
    fn matrix(&self) -> Result<(u64, usize), Fault> {
        if !matches!(self.element, Element::Float(_)) {
            return Err(unsupported("holds no floats"));
        }
        let [rows, columns] = self.shape[..] else {
            let sides = self.shape.len();
            return Err(unsupported(&format!("has {sides} dimensions, not 2")));
        };
        match usize::try_from(columns) {
            Ok(0) => Err(Fault::broken("its vectors are empty")),
            Ok(columns) if columns <= MAX_DIMENSIONS => Ok((rows, columns)),
            _ => Err(too_long()),
        }
    }

    /// Holds the claims of the head against the bytes that are there, head included.
    pub(super) fn check_length(&self, there: u64) -> Result<(), Fault> {
        let claimed = self
            .data_length()
            .and_then(|data| data.checked_add(self.length));
        let sides: Vec<String> = self.shape.iter().map(u64::to_string).collect();
        let shape = sides.join(" x ");
        match claimed {
            Some(claimed) if claimed == there => Ok(()),
            Some(claimed) => Err(Fault::Broken(format!(
                "an array of {shape} has {claimed} bytes, and there are {there}"
            ))),
            None => Err(Fault::Broken(format!("no file holds an array of {shape}"))),
        }
    }
}

fn bad_head() -> Fault {
    Fault::broken("its head cannot be read")
}

fn unsupported(what: &str) -> Fault {
    Fault::Unsupported {
        what: format!("the array {what}"),
        instead: "save a matrix of floats, a row for each vector: \
                  `numpy.save(path, numpy.ascontiguousarray(vectors, 'float32'))`"
            .to_owned(),
    }
}

/// Reads `<f4`; tells whether the bytes come most significant first.
fn element(descr: &str) -> Result<(Element, bool), Fault> {
    let (order, rest) = descr.split_at_checked(1).ok_or_else(bad_head)?;
    if !matches!(order, "<" | ">" | "|" | "=") {
        return Err(bad_head());
    }
    let (kind, size) = rest.split_at_checked(1).ok_or_else(bad_head)?;
    if kind == "O" {
        return Err(Fault::Unsupported {
            what: "the array holds Python objects, and pickles are not read: they are programs"
                .to_owned(),
            instead:
                "save it with a type of its own: `vectors.astype('float32')`, `ids.astype('U')`"
                    .to_owned(),
        });
    }
    let size: usize = size.parse().map_err(|_| bad_head())?;
    let element = match (kind, size) {
        ("f", 2 | 4 | 8) => Element::Float(size),
        ("i", 1 | 2 | 4 | 8) => Element::Integer(size),
        ("u", 1 | 2 | 4 | 8) => Element::Unsigned(size),
        ("U", 1..=4096) => Element::Unicode(size),
        ("S", 1..=4096) => Element::Bytes(size),
        _ => return Err(unsupported(&format!("is of type `{descr}`"))),
    };
    Ok((element, order == ">"))
}

/// The rows of a matrix, one after another.
pub(super) struct Matrix {
    values: Box<dyn Values>,
}

/// Where the values of a matrix come from.
trait Values: Send {
    fn row(&mut self) -> Result<Option<Vec<f32>>, Fault>;
}

/// What can be read from every place.
pub(super) trait Jumping: Read + Seek + Send {}

impl<T: Read + Seek + Send> Jumping for T {}

impl Matrix {
    /// Reads a matrix from bytes that come in order, behind its head.
    pub(super) fn in_order(
        head: &Head,
        mut input: impl Read + Send + 'static,
    ) -> Result<Self, Fault> {
        let (rows, columns) = head.matrix()?;
        if !head.is_by_column {
            return Ok(Self {
                values: Box::new(ByRow {
                    input,
                    left: rows,
                    row: vec![0; columns * head.element.size()],
                    size: head.element.size(),
                    is_big_endian: head.is_big_endian,
                }),
            });
        }
        match head.data_length() {
            Some(length) if length <= MAX_HELD => {
                let held = read_exactly(&mut input, length)?;
                if input.read(&mut [0]).map_err(Fault::reading)? != 0 {
                    return Err(Fault::broken("something follows the last number"));
                }
                Self::by_column(head, Cursor::new(held), 0)
            }
            _ => Err(Fault::Unsupported {
                what: "the array is in column order, and too large to be turned in memory"
                    .to_owned(),
                instead: "decompress the file, or save it in row order: \
                          `numpy.ascontiguousarray(vectors)`"
                    .to_owned(),
            }),
        }
    }

    /// Reads a matrix in either order from a file.
    pub(super) fn in_file(head: &Head, file: impl Jumping + 'static) -> Result<Self, Fault> {
        if head.is_by_column {
            return Self::by_column(head, file, head.length);
        }
        Self::in_order(head, file)
    }

    fn by_column(head: &Head, input: impl Jumping + 'static, start: u64) -> Result<Self, Fault> {
        let (rows, columns) = head.matrix()?;
        Ok(Self {
            values: Box::new(ByColumn {
                input,
                start,
                rows,
                next: 0,
                columns,
                size: head.element.size(),
                is_big_endian: head.is_big_endian,
                block: Vec::new(),
            }),
        })
    }

    /// Returns the next row; `None` behind the last.
    pub(super) fn row(&mut self) -> Result<Option<Vec<f32>>, Fault> {
        self.values.row()
    }
}

/// Rows as they stand.
struct ByRow<R> {
    input: R,
    left: u64,
    row: Vec<u8>,
    size: usize,
    is_big_endian: bool,
}

impl<R: Read + Send> Values for ByRow<R> {
    fn row(&mut self) -> Result<Option<Vec<f32>>, Fault> {
        if self.left == 0 {
            return match self.input.read(&mut [0]).map_err(Fault::reading)? {
                0 => Ok(None),
                _ => Err(Fault::broken("something follows the last number")),
            };
        }
        self.left -= 1;
        self.input
            .read_exact(&mut self.row)
            .map_err(Fault::reading)?;
        Ok(Some(floats(&self.row, self.size, self.is_big_endian)))
    }
}

/// Rows put together from columns, a block of them at once.
struct ByColumn<R> {
    input: R,
    start: u64,
    rows: u64,
    next: u64,
    columns: usize,
    size: usize,
    is_big_endian: bool,
    /// Rows that are ready, the next one last.
    block: Vec<Vec<f32>>,
}

impl<R: Jumping> ByColumn<R> {
    fn fill(&mut self) -> Result<(), Fault> {
        let row = u64::try_from(self.columns * 4).unwrap_or(u64::MAX);
        let count = (BLOCK / row).max(1).min(self.rows - self.next);
        let size = u64::try_from(self.size).unwrap_or(u64::MAX);
        let mut rows: Vec<Vec<f32>> = Vec::new();
        for column in 0..u64::try_from(self.columns).unwrap_or(u64::MAX) {
            let place = column
                .checked_mul(self.rows)
                .and_then(|place| place.checked_add(self.next));
            let place = place.and_then(|place| place.checked_mul(size)?.checked_add(self.start));
            let place = place.ok_or_else(bad_head)?;
            self.input
                .seek(SeekFrom::Start(place))
                .map_err(Fault::reading)?;
            let bytes = read_exactly(&mut self.input, count * size)?;
            let values = floats(&bytes, self.size, self.is_big_endian);
            if rows.is_empty() {
                rows = vec![Vec::with_capacity(self.columns); values.len()];
            }
            for (row, value) in rows.iter_mut().rev().zip(values) {
                row.push(value);
            }
        }
        self.next += count;
        self.block = rows;
        Ok(())
    }
}

impl<R: Jumping> Values for ByColumn<R> {
    fn row(&mut self) -> Result<Option<Vec<f32>>, Fault> {
        if self.block.is_empty() && self.next < self.rows {
            self.fill()?;
        }
        Ok(self.block.pop())
    }
}

/// Reads floats of a size.
fn floats(bytes: &[u8], size: usize, is_big_endian: bool) -> Vec<f32> {
    let single = |bytes: &[u8; 4]| match is_big_endian {
        true => f32::from_be_bytes(*bytes),
        false => f32::from_le_bytes(*bytes),
    };
    let half = |bytes: &[u8; 2]| match is_big_endian {
        true => f16::from_be_bytes(*bytes).to_f32(),
        false => f16::from_le_bytes(*bytes).to_f32(),
    };
    let double = |bytes: &[u8; 8]| match is_big_endian {
        true => rounded(f64::from_be_bytes(*bytes)),
        false => rounded(f64::from_le_bytes(*bytes)),
    };
    match size {
        2 => bytes.as_chunks::<2>().0.iter().map(half).collect(),
        4 => bytes.as_chunks::<4>().0.iter().map(single).collect(),
        _ => bytes.as_chunks::<8>().0.iter().map(double).collect(),
    }
}

/// Returns the nearest `f32`; what is beyond its range becomes infinite, and is refused later.
#[expect(
    clippy::cast_possible_truncation,
    reason = "rounding to the nearest is what is wanted"
)]
pub(super) const fn rounded(value: f64) -> f32 {
    value as f32
}

/// Returns the head of a matrix of `f32` in row order, as numpy writes it: padded to 64 bytes.
pub(super) fn head_of_matrix(rows: u64, columns: usize) -> Vec<u8> {
    head_of("<f4", &format!("({rows}, {columns})"))
}

/// Returns the head of an array in row order.
pub(super) fn head_of(descr: &str, shape: &str) -> Vec<u8> {
    let mut dict = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}");
    // numpy leaves room for the longest number of rows, so that an array can grow in place.
    let bare = dict.len() + 11;
    let padded = bare.next_multiple_of(64).max(128);
    dict.push_str(&" ".repeat(padded - bare));
    dict.push('\n');
    let length = u16::try_from(dict.len()).unwrap_or(u16::MAX);
    let mut head = MAGIC.to_vec();
    head.extend([1, 0]);
    head.extend(length.to_le_bytes());
    head.extend(dict.as_bytes());
    head
}

/// Returns a row of a matrix as it is written.
pub(super) fn row_bytes(values: &[f32]) -> Vec<u8> {
    values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect()
}
