//! PostgreSQL's binary copy, with vectors as pgvector sends them: `u16` length, `u16` zero, big-endian `f32`.

use crate::embeddings::exchange::cells;
use crate::embeddings::exchange::columns::ColumnKind;
use crate::embeddings::exchange::error::{Fault, Place};
use crate::embeddings::exchange::input::{Input, MAX_LINE, read_array, read_exactly, too_long};
use crate::embeddings::exchange::pgtext::{Shape, nul};
use crate::embeddings::exchange::{
    Output, ReadOptions, Record, Sink, Source, Texts, WriteOptions, vector,
};
use half::f16;
use std::io::{BufReader, Read as _, Write as _};

/// What a copy begins with; flags and the length of an extension follow.
const SIGNATURE: &[u8; 11] = b"PGCOPY\n\xff\r\n\0";

/// The longest extension of the head.
const MAX_EXTENSION: u32 = 1 << 20;

/// A copy that is read.
pub(super) struct PgBinary {
    input: BufReader<Input>,
    shape: Shape,
    row: u64,
}

impl PgBinary {
    pub(super) fn new(input: Input, options: &ReadOptions) -> Result<Self, Fault> {
        let mut input = BufReader::with_capacity(1 << 16, input);
        if read_array::<11>(&mut input)? != *SIGNATURE {
            return Err(Fault::broken("it does not begin like a binary copy"));
        }
        let flags = u32::from_be_bytes(read_array(&mut input)?);
        if flags >> 16 != 0 {
            return Err(Fault::Unsupported {
                what: format!("the copy has flags {flags:#010x}, which are not known"),
                instead: "copy without OIDs, from PostgreSQL 12 or later".to_owned(),
            });
        }
        let extension = u32::from_be_bytes(read_array(&mut input)?);
        if MAX_EXTENSION < extension {
            return Err(Fault::broken("the extension of its head is too long"));
        }
        read_exactly(&mut input, extension.into())?;
        Ok(Self {
            input,
            shape: Shape::new(options),
            row: 0,
        })
    }

    fn cell(&mut self) -> Result<Option<Vec<u8>>, Fault> {
        match i32::from_be_bytes(read_array(&mut self.input)?) {
            -1 => Ok(None),
            length => {
                let length = u64::try_from(length)
                    .map_err(|_| Fault::broken("a cell has a negative length"))?;
                if usize::try_from(length).is_ok_and(|length| MAX_LINE < length) {
                    return Err(too_long("a cell"));
                }
                read_exactly(&mut self.input, length).map(Some)
            }
        }
    }

    fn row(&mut self, count: usize) -> Result<Record, Fault> {
        self.shape.check(count)?;
        let mut vector = None;
        let mut cells = Vec::with_capacity(count);
        for place in 0..count {
            let bytes = self.cell()?;
            let column = self.shape.columns.get(place);
            let (name, kind) = column.map_or(("", ColumnKind::Text), |column| {
                (column.name.as_str(), column.kind)
            });
            if self.shape.layout.vector == Some(place) {
                vector = bytes.map(|bytes| vector_of(name, &bytes)).transpose()?;
                cells.push(None);
            } else {
                cells.push(bytes.map(|bytes| text_of(name, kind, &bytes)).transpose()?);
            }
        }
        let cells: Vec<Option<&str>> = cells.iter().map(Option::as_deref).collect();
        let mut record = self.shape.record(&cells)?;
        record.vector = vector;
        Ok(record)
    }
}

impl Source for PgBinary {
    fn read(&mut self) -> Result<Option<Record>, Fault> {
        self.row += 1;
        let count = i16::from_be_bytes(read_array(&mut self.input)?);
        if count == -1 {
            let mut rest = [0; 1];
            return match self.input.read(&mut rest).map_err(Fault::reading)? {
                0 => Ok(None),
                _ => Err(Fault::broken("something follows the end of the copy")),
            };
        }
        let count =
            usize::try_from(count).map_err(|_| Fault::broken("a row has a negative length"))?;
        self.row(count).map(Some)
    }

    fn place(&self) -> Place {
        Place::Row(self.row)
    }
}

/// Reads a cell that is no vector as text.
fn text_of(name: &str, kind: ColumnKind, bytes: &[u8]) -> Result<String, Fault> {
    let wrong =
        |what: &str| Fault::field(name, format!("has {} bytes, which are {what}", bytes.len()));
    match kind {
        ColumnKind::Integer => integer(bytes)
            .map(|number| number.to_string())
            .ok_or_else(|| wrong("no integer")),
        ColumnKind::Uuid => uuid::Uuid::from_slice(bytes)
            .map(|id| id.to_string())
            .map_err(|_| wrong("no UUID")),
        ColumnKind::Text => {
            // `jsonb` is text behind the number of its layout, which is 1.
            let text = bytes.strip_prefix(b"\x01").unwrap_or(bytes);
            let text = std::str::from_utf8(text).ok();
            let text = text.filter(|text| !text.contains('\0'));
            text.map(str::to_owned).ok_or_else(|| Fault::Unsupported {
                what: format!("`{name}` holds {} bytes that are no text", bytes.len()),
                instead: format!(
                    "say what the column is: `{name}:int` or `{name}:uuid` in `--columns`"
                ),
            })
        }
    }
}

fn integer(bytes: &[u8]) -> Option<i64> {
    match bytes.len() {
        2 => bytes
            .try_into()
            .ok()
            .map(|bytes| i16::from_be_bytes(bytes).into()),
        4 => bytes
            .try_into()
            .ok()
            .map(|bytes| i32::from_be_bytes(bytes).into()),
        8 => bytes.try_into().ok().map(i64::from_be_bytes),
        _ => None,
    }
}

/// Reads a `vector` or, told by its length, a `halfvec`.
fn vector_of(name: &str, bytes: &[u8]) -> Result<Vec<f32>, Fault> {
    let wrong = || Fault::field(name, "is neither a `vector` nor a `halfvec`");
    let (head, values) = bytes.split_at_checked(4).ok_or_else(wrong)?;
    let [high, low, 0, 0] = head else {
        return Err(wrong());
    };
    let length = usize::from(u16::from_be_bytes([*high, *low]));
    let (singles, odd) = values.as_chunks::<4>();
    if odd.is_empty() && singles.len() == length {
        return Ok(singles
            .iter()
            .map(|word| f32::from_be_bytes(*word))
            .collect());
    }
    let (halves, odd) = values.as_chunks::<2>();
    if odd.is_empty() && halves.len() == length {
        let halves = halves.iter().map(|word| f16::from_be_bytes(*word).to_f32());
        return Ok(halves.collect());
    }
    Err(wrong())
}

/// Returns a vector as pgvector sends it.
fn vector_bytes(values: &[f32]) -> Result<Vec<u8>, Fault> {
    let length = u16::try_from(values.len()).map_err(|_| vector::too_long())?;
    let mut bytes = Vec::with_capacity(values.len() * 4 + 4);
    bytes.extend(length.to_be_bytes());
    bytes.extend([0, 0]);
    bytes.extend(values.iter().flat_map(|value| value.to_be_bytes()));
    Ok(bytes)
}

/// A copy that is written: for `COPY … FROM … (FORMAT binary)` into the table of the script.
pub(super) struct PgBinarySink {
    output: Output,
    texts: Texts,
    is_begun: bool,
}

impl PgBinarySink {
    pub(super) const fn new(output: Output, options: &WriteOptions) -> Self {
        Self {
            output,
            texts: options.texts,
            is_begun: false,
        }
    }

    fn begin(&mut self) -> Result<(), Fault> {
        if self.is_begun {
            return Ok(());
        }
        self.is_begun = true;
        self.output
            .write_all(SIGNATURE)
            .and_then(|()| self.output.write_all(&[0; 8]))
            .map_err(Fault::writing)
    }
}

impl Sink for PgBinarySink {
    fn write(&mut self, record: &Record) -> Result<(), Fault> {
        self.begin()?;
        let names = cells::columns(self.texts);
        let mut row = Vec::new();
        let count = i16::try_from(names.len()).unwrap_or(i16::MAX);
        row.extend(count.to_be_bytes());
        for (name, cell) in names.iter().zip(cells::write(record, self.texts)?) {
            let is_jsonb = matches!(*name, "span" | "metadata");
            let cell = cell.map(|text| {
                if text.contains('\0') {
                    return Err(nul());
                }
                let head: &[u8] = if is_jsonb { b"\x01" } else { b"" };
                Ok([head, text.as_bytes()].concat())
            });
            push_cell(&mut row, cell.transpose()?.as_deref())?;
        }
        let vector = record.vector.as_deref().map(vector_bytes).transpose()?;
        push_cell(&mut row, vector.as_deref())?;
        self.output.write_all(&row).map_err(Fault::writing)
    }

    fn finish(&mut self) -> Result<(), Fault> {
        self.begin()?;
        self.output
            .write_all(&(-1_i16).to_be_bytes())
            .and_then(|()| self.output.flush())
            .map_err(Fault::writing)
    }
}

fn push_cell(row: &mut Vec<u8>, cell: Option<&[u8]>) -> Result<(), Fault> {
    let length = match cell {
        None => -1,
        Some(bytes) => i32::try_from(bytes.len()).map_err(|_| too_long("a cell"))?,
    };
    row.extend(length.to_be_bytes());
    row.extend(cell.unwrap_or_default());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{text_of, vector_bytes, vector_of};
    use crate::embeddings::exchange::ColumnKind;
    use crate::embeddings::exchange::tests::{matrix, reference};
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    #[test]
    fn vectors_are_sent_as_the_reference_says() {
        let reference = reference();
        for (row, values) in matrix(&reference).iter().enumerate() {
            let sent = &reference["formats"]["pgvector_binary_send"][row];
            let sent = STANDARD.decode(sent.as_str().unwrap()).unwrap();
            assert_eq!(vector_bytes(values).unwrap(), sent);
            assert_eq!(vector_of("v", &sent).unwrap(), *values);
        }
        assert_eq!(vector_of("v", &[0, 1, 0, 0, 0x3c, 0]).unwrap(), [1.0]);
        for wrong in [
            &b""[..],
            b"\0\x01\0",
            b"\0\x01\0\x01\0\0\0\0",
            b"\0\x02\0\0\0\0\0",
        ] {
            assert!(vector_of("v", wrong).is_err());
        }
    }

    #[test]
    fn cells_are_read_as_their_columns_say() {
        let integer = |bytes: &[u8]| text_of("n", ColumnKind::Integer, bytes);
        assert_eq!(integer(&[0, 7]).unwrap(), "7");
        assert_eq!(integer(&(-2_i32).to_be_bytes()).unwrap(), "-2");
        assert_eq!(
            integer(&i64::MIN.to_be_bytes()).unwrap(),
            i64::MIN.to_string()
        );
        assert!(integer(b"abc").is_err());
        assert_eq!(text_of("m", ColumnKind::Text, b"\x01{}").unwrap(), "{}");
        let error = text_of("id", ColumnKind::Text, &7_i64.to_be_bytes()).unwrap_err();
        assert_eq!(error.to_string(), "`id` holds 8 bytes that are no text");
        assert!(
            text_of("id", ColumnKind::Uuid, &[7; 16])
                .unwrap()
                .starts_with("07070707-")
        );
    }
}
