//! The files of nearest-neighbour benchmarks: each vector behind its length, as `f32`, `i32` or bytes.
//! And the sources and sinks of everything whose names stand in a second file.

use crate::embeddings::exchange::companion::{Companion, CompanionSink};
use crate::embeddings::exchange::error::{Fault, Place};
use crate::embeddings::exchange::input::{Input, is_at_end, read_array, read_exactly};
use crate::embeddings::exchange::npy::{self, Matrix};
use crate::embeddings::exchange::vector::{MAX_DIMENSIONS, too_long};
use crate::embeddings::exchange::writer::Output;
use crate::embeddings::exchange::{Record, Sink, Source, WriteOptions};
use std::io::{BufReader, Write as _};

/// Rows of numbers, without names.
pub(super) trait Rows: Send {
    /// Returns the next row; `None` behind the last.
    fn row(&mut self) -> Result<Option<Vec<f32>>, Fault>;
}

impl Rows for Matrix {
    fn row(&mut self) -> Result<Option<Vec<f32>>, Fault> {
        Self::row(self)
    }
}

/// Rows of numbers, and the lines beside them.
pub(super) struct Named<R> {
    rows: R,
    companion: Companion,
    number: u64,
}

impl<R: Rows> Named<R> {
    pub(super) const fn new(rows: R, companion: Companion) -> Self {
        Self {
            rows,
            companion,
            number: 0,
        }
    }
}

impl<R: Rows> Source for Named<R> {
    fn read(&mut self) -> Result<Option<Record>, Fault> {
        self.number += 1;
        let Some(values) = self.rows.row()? else {
            self.companion.check_end()?;
            return Ok(None);
        };
        let mut record = self.companion.read()?;
        if record.vector.is_some() {
            return Err(Fault::broken("its line has a vector too"));
        }
        record.vector = Some(values);
        Ok(Some(record))
    }

    fn place(&self) -> Place {
        Place::Row(self.number)
    }

    fn notes(&self) -> Vec<String> {
        self.companion.notes()
    }
}

/// What the numbers of a file are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Number {
    /// `f32`.
    Float,
    /// `i32`.
    Integer,
    /// `u8`.
    Byte,
}

/// Vectors behind their lengths.
pub(super) struct Vecs {
    input: BufReader<Input>,
    number: Number,
}

impl Vecs {
    pub(super) fn new(input: Input, number: Number) -> Self {
        Self {
            input: BufReader::with_capacity(1 << 16, input),
            number,
        }
    }
}

impl Rows for Vecs {
    fn row(&mut self) -> Result<Option<Vec<f32>>, Fault> {
        if is_at_end(&mut self.input)? {
            return Ok(None);
        }
        let length = i32::from_le_bytes(read_array(&mut self.input)?);
        let length = usize::try_from(length)
            .map_err(|_| Fault::Broken(format!("a vector cannot have {length} numbers")))?;
        if MAX_DIMENSIONS < length {
            return Err(too_long());
        }
        let size = if self.number == Number::Byte { 1 } else { 4 };
        let bytes = u64::try_from(length * size).unwrap_or(u64::MAX);
        let bytes = read_exactly(&mut self.input, bytes)?;
        let (words, _) = bytes.as_chunks::<4>();
        match self.number {
            Number::Float => Ok(Some(
                words.iter().map(|word| f32::from_le_bytes(*word)).collect(),
            )),
            Number::Byte => Ok(Some(bytes.iter().map(|byte| f32::from(*byte)).collect())),
            Number::Integer => {
                let whole = words.iter().map(|word| whole(i32::from_le_bytes(*word)));
                whole.collect::<Result<Vec<f32>, Fault>>().map(Some)
            }
        }
    }
}

/// Returns a whole number as `f32`, if it is one there: beyond 2^24 not every number is.
fn whole(number: i32) -> Result<f32, Fault> {
    let exact = i16::try_from(number >> 12).is_ok_and(|high| (-4096..=4096).contains(&high));
    if !exact {
        return Err(Fault::Broken(format!("{number} has no `f32` of its own")));
    }
    // Two halves that are exact each, and so is their sum.
    let high = i16::try_from(number >> 12).unwrap_or_default();
    let low = u16::try_from(number & 0xfff).unwrap_or_default();
    Ok(f32::from(high).mul_add(4096.0, f32::from(low)))
}

/// Bare vectors that are written, and the lines beside them.
pub(super) struct BareSink {
    output: Output,
    companion: CompanionSink,
    layout: Layout,
    is_begun: bool,
    dimensions: Option<usize>,
    rows: u64,
}

/// How bare vectors are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    /// As an array of numpy with so many rows.
    Array(u64),
    /// Each behind its length.
    Vecs(Number),
}

impl BareSink {
    pub(super) const fn new(
        output: Output,
        companion: CompanionSink,
        layout: Layout,
        options: &WriteOptions,
    ) -> Self {
        Self {
            output,
            companion,
            layout,
            is_begun: false,
            dimensions: options.dimensions,
            rows: 0,
        }
    }

    fn begin(&mut self, dimensions: usize) -> Result<(), Fault> {
        self.is_begun = true;
        match self.layout {
            Layout::Vecs(_) => Ok(()),
            Layout::Array(rows) => {
                let head = npy::head_of_matrix(rows, dimensions);
                self.output.write_all(&head).map_err(Fault::writing)
            }
        }
    }
}

impl Sink for BareSink {
    fn write(&mut self, record: &Record) -> Result<(), Fault> {
        let values = record.vector.as_deref().ok_or_else(no_vector)?;
        if !self.is_begun {
            self.begin(values.len())?;
        }
        self.rows += 1;
        let bytes = match self.layout {
            Layout::Array(_) => npy::row_bytes(values),
            Layout::Vecs(number) => vecs_bytes(values, number)?,
        };
        self.output.write_all(&bytes).map_err(Fault::writing)?;
        self.companion.write(record)
    }

    fn finish(&mut self) -> Result<(), Fault> {
        if let Layout::Array(expected) = self.layout
            && expected != self.rows
        {
            return Err(Fault::Count {
                what: "records",
                expected,
                found: self.rows,
            });
        }
        if !self.is_begun {
            self.begin(self.dimensions.unwrap_or(0))?;
        }
        self.output.flush().map_err(Fault::writing)?;
        self.companion.finish()
    }
}

/// Returns the fault of a record without a vector where there must be one.
pub(super) fn no_vector() -> Fault {
    Fault::Unsupported {
        what: "the record has no vector, and this format has rows of numbers only".to_owned(),
        instead: "export to `jsonl` or `parquet`".to_owned(),
    }
}

fn vecs_bytes(values: &[f32], number: Number) -> Result<Vec<u8>, Fault> {
    let length = i32::try_from(values.len()).map_err(|_| too_long())?;
    let mut bytes = length.to_le_bytes().to_vec();
    for value in values {
        match number {
            Number::Float => bytes.extend(value.to_le_bytes()),
            Number::Integer => bytes.extend(integer(*value)?.to_le_bytes()),
            Number::Byte => {
                let byte = u8::try_from(integer(*value)?).map_err(|_| not_whole(*value))?;
                bytes.push(byte);
            }
        }
    }
    Ok(bytes)
}

fn integer(value: f32) -> Result<i32, Fault> {
    // Below 2^24 every whole `f32` is printed as the digits of an integer.
    let text = format!("{value:.0}");
    let number = text.parse::<i32>().map_err(|_| not_whole(value))?;
    match whole(number) {
        Ok(same) if (same - value).abs() <= 0.0 => Ok(number),
        _ => Err(not_whole(value)),
    }
}

fn not_whole(value: f32) -> Fault {
    Fault::Unsupported {
        what: format!("the vector holds {value:?}, which this format's whole numbers cannot be"),
        instead: "export to `fvecs`".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::{Number, integer, vecs_bytes, whole};

    #[test]
    fn whole_numbers_are_exact_or_refused() {
        for number in [0, 1, -1, 255, 4096, -4097, 16_777_216, -16_777_216] {
            let float = whole(number).unwrap();
            assert!((f64::from(float) - f64::from(number)).abs() < f64::EPSILON);
            assert_eq!(integer(float).unwrap(), number);
        }
        for number in [i32::MAX, i32::MIN, 16_800_000] {
            assert!(whole(number).is_err(), "{number}");
        }
        for value in [0.5, 3e9, -1e30] {
            assert!(integer(value).is_err(), "{value}");
        }
        assert!(vecs_bytes(&[256.0], Number::Byte).is_err());
        assert_eq!(
            vecs_bytes(&[255.0], Number::Byte).unwrap(),
            [1, 0, 0, 0, 255]
        );
    }
}
