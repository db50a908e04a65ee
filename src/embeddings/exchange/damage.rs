//! Damage, false claims, and what a format cannot hold: errors, never panics, and no memory for a claim.

use super::tests::{WRITTEN, as_format, expected, fixture, options_for, read_all, write_all};
use crate::embeddings::exchange::{
    Error, Fields, Format, ReadOptions, Record, WriteOptions, open_reader, stream_reader,
    stream_writer,
};
use proptest::prelude::*;
use std::io::{Cursor, Read as _};
use std::path::{Path, PathBuf};

/// Files that are whole only with their last byte, as they are written and as other tools write them.
fn whole_files(dir: &Path) -> Vec<(PathBuf, ReadOptions)> {
    let records = expected();
    let mut files = Vec::new();
    for format in WRITTEN {
        if matches!(format, Format::Ivecs | Format::Bvecs) {
            continue;
        }
        let path = dir.join(format!("whole.{}", format.name()));
        write_all(&path, format, &records, &options_for(&records)).unwrap();
        files.push((path, as_format(format)));
    }
    for name in [
        "f_f8.npy",
        "deflated.npz",
        "fixed.parquet",
        "datasets.parquet",
        "halves.parquet",
        "fixed.arrow",
        "large.arrows",
        "lz4.feather",
    ] {
        let path = dir.join(name);
        std::fs::copy(fixture(name), &path).unwrap();
        let format = Format::of_path(&path).unwrap();
        files.push((path, as_format(format)));
    }
    files
}

#[test]
fn half_a_file_is_no_file() {
    let dir = tempfile::tempdir().unwrap();
    for (path, options) in whole_files(dir.path()) {
        let whole = std::fs::read(&path).unwrap();
        let records = read_all(&path, &options).unwrap().len();
        // Lines and bare vectors may end behind any of them.
        let format = options.format.unwrap();
        let may_end = matches!(
            format,
            Format::Jsonl
                | Format::Csv
                | Format::Tsv
                | Format::Fvecs
                | Format::PgText
                | Format::PgCsv
                | Format::ArrowStream
        );
        for length in (0..whole.len()).step_by(whole.len().div_ceil(40)) {
            std::fs::write(&path, &whole[..length]).unwrap();
            match read_all(&path, &options) {
                Ok(found) => assert!(may_end && found.len() <= records, "{path:?} at {length}"),
                Err(error) => assert_ne!(error.kind(), "file_error", "{error}"),
            }
        }
    }
}

#[test]
fn damaged_files_give_errors_and_never_panics() {
    let dir = tempfile::tempdir().unwrap();
    for (path, options) in whole_files(dir.path()) {
        let whole = std::fs::read(&path).unwrap();
        let change = (any::<prop::sample::Index>(), any::<u8>());
        let changes = proptest::collection::vec(change, 1..4);
        let config = ProptestConfig {
            failure_persistence: None,
            ..ProptestConfig::with_cases(60)
        };
        let mut runner = proptest::test_runner::TestRunner::new(config);
        let outcome = runner.run(&changes, |changes| {
            let mut bytes = whole.clone();
            for (place, byte) in changes {
                let place = place.index(bytes.len());
                bytes[place] = byte;
            }
            std::fs::write(&path, &bytes).unwrap();
            if let Ok(records) = read_all(&path, &options) {
                let finite = |record: &Record| {
                    record
                        .vector
                        .iter()
                        .flatten()
                        .all(|value| value.is_finite())
                };
                prop_assert!(records.iter().all(finite));
            }
            Ok(())
        });
        outcome.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
}

#[test]
fn claims_of_a_head_reserve_nothing() {
    let array = |shape: &str, descr: &str, order: &str| {
        let dict =
            format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}\n");
        let length = u16::try_from(dict.len()).unwrap();
        [
            b"\x93NUMPY\x01\0",
            &length.to_le_bytes()[..],
            dict.as_bytes(),
            &[0; 64],
        ]
        .concat()
    };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.npy");
    for (shape, descr, order, message) in [
        (
            "(1152921504606846976, 4)",
            "<f4",
            "False",
            "no file holds an array of 1152921504606846976 x 4",
        ),
        (
            "(288230376151711744, 4)",
            "<f4",
            "True",
            "an array of 288230376151711744 x 4 has",
        ),
        ("(1, 1152921504606846976)", "<f4", "False", "and there are"),
        (
            "(1000000, 4)",
            "<f2",
            "True",
            "an array of 1000000 x 4 has 80000",
        ),
        ("(16,)", "<f4", "False", "the array has 1 dimensions, not 2"),
        ("(8, 4)", "<i2", "False", "the array holds no floats"),
        (
            "(9999999999999999999999, 4)",
            "<f4",
            "False",
            "its head cannot be read",
        ),
    ] {
        let bytes = array(shape, descr, order);
        std::fs::write(&path, &bytes).unwrap();
        let error = open_reader(&path, &ReadOptions::default()).unwrap_err();
        assert!(error.to_string().contains(message), "{error}");
        let stream = stream_reader("a.npy", Cursor::new(bytes), &ReadOptions::default());
        let read = stream.and_then(Iterator::collect::<Result<Vec<Record>, Error>>);
        assert!(read.is_err(), "{shape}");
    }
    let endless = std::io::repeat(b'a');
    let mut lines = stream_reader("a.jsonl", endless, &ReadOptions::default()).unwrap();
    let error = lines.next().unwrap().unwrap_err();
    assert_eq!(
        error.to_string(),
        "`a.jsonl`, line 1: a line is larger than 64 MiB"
    );
    assert_eq!(error.kind(), "too_large");
}

#[test]
fn a_compressed_buffer_gives_no_more_than_it_may() {
    let mut whole = Vec::new();
    std::fs::File::open(fixture("large.arrows"))
        .unwrap()
        .read_to_end(&mut whole)
        .unwrap();
    // The mark of Zstandard stands behind the length that the buffer claims to have.
    let mark = whole
        .windows(4)
        .position(|window| window == b"\x28\xb5\x2f\xfd")
        .unwrap();
    for (claim, message) in [
        (1_i64 << 40, "a batch is larger than 2 GiB"),
        (1 << 30, "ends too early"),
        (-7, "lacks a buffer"),
    ] {
        whole[mark - 8..mark].copy_from_slice(&claim.to_le_bytes());
        let bytes = Cursor::new(whole.clone());
        let read = stream_reader("a.arrows", bytes, &ReadOptions::default()).unwrap();
        let error = read.collect::<Result<Vec<Record>, Error>>().unwrap_err();
        assert!(error.to_string().contains(message), "{error}");
    }
}

fn bare() -> Record {
    Record {
        id: "a".to_owned(),
        ..Record::default()
    }
}

fn with(values: &[f32]) -> Record {
    Record {
        vector: Some(values.to_vec()),
        ..bare()
    }
}

fn one() -> WriteOptions {
    WriteOptions {
        rows: Some(1),
        ..WriteOptions::default()
    }
}

/// Each cannot be written, says so, and leaves no file.
fn assert_refused(
    cases: impl IntoIterator<Item = (Format, Vec<Record>, WriteOptions, &'static str)>,
) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x");
    for (format, records, options, message) in cases {
        let error = write_all(&path, format, &records, &options).unwrap_err();
        assert!(error.to_string().contains(message), "{error}");
        let left = std::fs::read_dir(dir.path()).unwrap().count();
        assert_eq!(left, 0, "{format}");
    }
}

#[test]
fn what_a_format_of_bare_vectors_cannot_hold_is_refused() {
    assert_refused([
        (
            Format::Npy,
            vec![with(&[1.0])],
            WriteOptions::default(),
            "`npy` says first how many rows it has",
        ),
        (
            Format::Npy,
            vec![with(&[1.0]), with(&[2.0])],
            one(),
            "there are 2 records, not 1",
        ),
        (Format::Npz, vec![], one(), "there are 0 records, not 1"),
        (
            Format::Fvecs,
            vec![bare()],
            one(),
            "the record has no vector",
        ),
        (
            Format::Bvecs,
            vec![with(&[0.5])],
            one(),
            "the vector holds 0.5",
        ),
    ]);
    let error =
        stream_writer("x", Vec::new(), None, Format::Npy, &WriteOptions::default()).unwrap_err();
    assert!(
        error.to_string().contains("`npy` has no room for names"),
        "{error}"
    );
}

#[test]
fn what_a_format_of_texts_cannot_hold_is_refused() {
    let nul = || Record {
        text: Some("a\0".to_owned()),
        ..with(&[1.0])
    };
    assert_refused([
        (
            Format::PgText,
            vec![nul()],
            one(),
            "the text holds a zero byte",
        ),
        (
            Format::PgBinary,
            vec![nul()],
            one(),
            "the text holds a zero byte",
        ),
        (Format::Sql, vec![bare()], one(), "no vector says how long"),
        (
            Format::Jsonl,
            vec![with(&[1.0]), with(&[1.0, 2.0])],
            one(),
            "row 2: the vector has 2 dimensions, not 1",
        ),
        (
            Format::Jsonl,
            vec![with(&[f32::NAN])],
            one(),
            "row 1: the vector holds at position 0",
        ),
        (Format::Json, vec![], one(), "`json` is read, not written"),
    ]);
}

#[test]
fn lines_beside_an_array_are_as_many_as_its_rows() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.npy");
    std::fs::copy(fixture("c_f4.npy"), &path).unwrap();
    for (lines, message) in [
        ("a\nb\n", "row 3: `"),
        (
            "a\nb\nc\nd\ne\nf\ng\nh\n",
            "has more lines than the 7 vectors",
        ),
        ("a\n\nc\nd\ne\nf\ng\n", "row 2: `id` is empty"),
    ] {
        std::fs::write(dir.path().join("a.ids.txt"), lines).unwrap();
        let error = read_all(&path, &ReadOptions::default()).unwrap_err();
        assert!(error.to_string().contains(message), "{error}");
    }
    std::fs::write(
        dir.path().join("a.ids.jsonl"),
        "\"a\"\n2\n{\"id\":\"c\"}\n4\n5\n6\n7",
    )
    .unwrap();
    let read = read_all(&path, &ReadOptions::default()).unwrap();
    assert_eq!(
        read.iter()
            .map(|record| record.id.as_str())
            .collect::<String>(),
        "a2c4567"
    );
    let options = ReadOptions {
        is_numbered: true,
        fields: Fields::default(),
        ..ReadOptions::default()
    };
    assert_eq!(read_all(&path, &options).unwrap()[6].id, "6");
}
