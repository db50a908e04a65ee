//! The pages of a Parquet file by their heads alone, before anybody decompresses one.
//!
//! A page says how long it will be, and a reader believes it: a file of a few kilobytes can ask for gigabytes. So
//! every head is read first (Thrift's compact form) and what is too long is refused.

use crate::embeddings::exchange::error::Fault;
use crate::embeddings::exchange::input::read_array;
use std::io::{Read, Seek, SeekFrom};

/// The longest page, decompressed.
const MAX_PAGE: u64 = 256 << 20;

/// The most values of a page.
const MAX_VALUES: u64 = 64 << 20;

/// The longest text within a head (statistics).
const MAX_BINARY: u64 = 16 << 20;

/// The deepest nesting of a head.
const MAX_DEPTH: usize = 8;

/// Checks the pages that stand in `length` bytes from `start` on, and returns the length of the longest
/// dictionary: each value may be a copy of one of its entries.
pub(super) fn check(file: &mut (impl Read + Seek), start: u64, length: u64) -> Result<u64, Fault> {
    let end = start.checked_add(length).ok_or_else(damaged)?;
    let (mut at, mut dictionary) = (start, 0);
    while at < end {
        file.seek(SeekFrom::Start(at)).map_err(Fault::reading)?;
        let head = Head::read(file)?;
        if MAX_PAGE < head.length || MAX_VALUES < head.values {
            return Err(Fault::TooLarge {
                what: "a page".to_owned(),
                limit: format!("{} MiB", MAX_PAGE >> 20),
            });
        }
        if head.kind == DICTIONARY {
            dictionary = dictionary.max(head.length);
        }
        at = file.stream_position().map_err(Fault::reading)?;
        at = at.checked_add(head.stored).ok_or_else(damaged)?;
    }
    Ok(dictionary)
}

fn damaged() -> Fault {
    Fault::broken("the head of a page is damaged")
}

/// The kind of a page that holds a dictionary.
const DICTIONARY: u64 = 2;

/// What a head says.
#[derive(Debug, Default, PartialEq, Eq)]
struct Head {
    kind: u64,
    length: u64,
    stored: u64,
    values: u64,
}

impl Head {
    fn read(input: &mut impl Read) -> Result<Self, Fault> {
        let mut head = Self::default();
        let mut field = 0;
        while let Some(kind) = next_field(input, &mut field)? {
            match (field, kind) {
                (1, I32) => head.kind = number(input)?,
                (2, I32) => head.length = number(input)?,
                (3, I32) => head.stored = number(input)?,
                // Heads of a data page, a dictionary, and a data page of the second layout: each begins
                // with how many values there are.
                (5 | 7 | 8, STRUCT) => head.values = head.values.max(values(input)?),
                _ => skip(input, kind, 0)?,
            }
        }
        Ok(head)
    }
}

/// Reads the first field of a page's own head.
fn values(input: &mut impl Read) -> Result<u64, Fault> {
    let (mut field, mut values) = (0, 0);
    while let Some(kind) = next_field(input, &mut field)? {
        if field == 1 && kind == I32 {
            values = number(input)?;
        } else {
            skip(input, kind, 0)?;
        }
    }
    Ok(values)
}

const I32: u8 = 5;
const STRUCT: u8 = 12;

/// Reads the head of a field; `None` at the end of its struct.
fn next_field(input: &mut impl Read, field: &mut i64) -> Result<Option<u8>, Fault> {
    let [byte] = read_array(input)?;
    if byte == 0 {
        return Ok(None);
    }
    *field = match byte >> 4 {
        0 => signed(varint(input)?),
        step => field.saturating_add(step.into()),
    };
    Ok(Some(byte & 0x0f))
}

fn varint(input: &mut impl Read) -> Result<u64, Fault> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let [byte] = read_array(input)?;
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(number);
        }
    }
    Err(damaged())
}

/// Takes the zigzag off.
const fn signed(number: u64) -> i64 {
    (number >> 1).cast_signed() ^ (number & 1).cast_signed().wrapping_neg()
}

/// Reads a number that cannot be below zero.
fn number(input: &mut impl Read) -> Result<u64, Fault> {
    u64::try_from(signed(varint(input)?)).map_err(|_| damaged())
}

/// Passes over a value.
fn skip(input: &mut impl Read, kind: u8, depth: usize) -> Result<(), Fault> {
    if MAX_DEPTH < depth {
        return Err(damaged());
    }
    match kind {
        // Booleans are in the head of their field.
        1 | 2 => Ok(()),
        3 => read_array::<1>(input).map(|_| ()),
        4..=6 => varint(input).map(|_| ()),
        7 => read_array::<8>(input).map(|_| ()),
        8 => {
            let length = varint(input)?;
            if MAX_BINARY < length {
                return Err(damaged());
            }
            let passed = std::io::copy(&mut input.by_ref().take(length), &mut std::io::sink());
            match passed.map_err(Fault::reading)? {
                passed if passed == length => Ok(()),
                _ => Err(Fault::broken("the file ends too early")),
            }
        }
        9 | 10 => skip_list(input, depth),
        STRUCT => {
            let mut field = 0;
            while let Some(kind) = next_field(input, &mut field)? {
                skip(input, kind, depth + 1)?;
            }
            Ok(())
        }
        _ => Err(damaged()),
    }
}

fn skip_list(input: &mut impl Read, depth: usize) -> Result<(), Fault> {
    let [head] = read_array(input)?;
    let count = match head >> 4 {
        15 => varint(input)?,
        few => few.into(),
    };
    for _ in 0..count {
        // In a list a boolean has a byte of its own.
        match head & 0x0f {
            1 | 2 => read_array::<1>(input).map(|_| ())?,
            kind => skip(input, kind, depth + 1)?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{check, signed};
    use proptest::prelude::*;
    use std::io::Cursor;

    /// A data page of so many bytes decompressed, 2 stored, and so many values.
    fn page(length: u32, values: u32) -> Vec<u8> {
        let varint = |mut number: u64| {
            let mut bytes = Vec::new();
            while 0x7f < number {
                bytes.push(u8::try_from(number & 0x7f).unwrap() | 0x80);
                number >>= 7;
            }
            bytes.push(u8::try_from(number).unwrap());
            bytes
        };
        let number = |number: u32| varint(u64::from(number) * 2);
        [
            &[0x15][..],
            &number(0),
            &[0x15],
            &number(length),
            &[0x15],
            &number(2),
            &[0x2c, 0x15],
            &number(values),
            &[0, 0],
            b"xx",
        ]
        .concat()
    }

    #[test]
    fn long_pages_are_refused_before_they_are_read() {
        let check = |bytes: Vec<u8>| {
            let length = u64::try_from(bytes.len()).unwrap();
            check(&mut Cursor::new(bytes), 0, length).map_err(|fault| fault.to_string())
        };
        assert_eq!(check([page(1000, 10), page(2000, 20)].concat()), Ok(0));
        let too_long = Err("a page is larger than 256 MiB".to_owned());
        assert_eq!(check(page(0x7fff_ffff, 10)), too_long);
        assert_eq!(check(page(10, 0x7fff_ffff)), too_long);
        let cut = page(1000, 10)[..5].to_vec();
        assert_eq!(check(cut), Err("the file ends too early".to_owned()));
    }

    #[test]
    fn numbers_lose_their_zigzag() {
        assert_eq!([0, 1, 2, 3, u64::MAX].map(signed), [0, -1, 1, -2, i64::MIN]);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = check(&mut Cursor::new(bytes), 0, 64);
        }
    }
}
