//! The formats from outside: reference bytes, files of the real tools, round trips, damage.

use crate::embeddings::exchange::{
    Column, Error, Format, ReadOptions, Record, Texts, VectorText, WriteOptions, Written,
    open_reader, open_writer, stream_reader,
};
use crate::embeddings::item::Span;
use crate::embeddings::space::TextHash;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::io::Cursor;
use std::path::{Path, PathBuf};

/// The reference values of formats and hashes.
pub(super) fn reference() -> Value {
    let text = include_str!("../../../tests/fixtures/embeddings/quantisation_formats.json");
    serde_json::from_str(text).unwrap()
}

/// The matrix of which the reference has every format.
pub(super) fn matrix(reference: &Value) -> Vec<Vec<f32>> {
    serde_json::from_value(reference["formats"]["f32_matrix"].clone()).unwrap()
}

pub(super) const WRITTEN: [Format; 15] = [
    Format::Jsonl,
    Format::Csv,
    Format::Tsv,
    Format::Parquet,
    Format::Arrow,
    Format::ArrowStream,
    Format::Npy,
    Format::Npz,
    Format::Fvecs,
    Format::Ivecs,
    Format::Bvecs,
    Format::PgText,
    Format::PgCsv,
    Format::PgBinary,
    Format::Qdrant,
];

pub(super) fn read_all(path: &Path, options: &ReadOptions) -> Result<Vec<Record>, Error> {
    open_reader(path, options)?.collect()
}

pub(super) fn write_all(
    path: &Path,
    format: Format,
    records: &[Record],
    options: &WriteOptions,
) -> Result<Written, Error> {
    let mut writer = open_writer(path, Some(format), options)?;
    for record in records {
        writer.write(record)?;
    }
    writer.finish()
}

pub(super) fn as_format(format: Format) -> ReadOptions {
    ReadOptions {
        format: Some(format),
        ..ReadOptions::default()
    }
}

pub(super) fn fixture(name: &str) -> PathBuf {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/embeddings/exchange");
    dir.join(name)
}

#[test]
fn arrays_of_the_reference_are_read_and_written() {
    let reference = reference();
    let expected = matrix(&reference);
    let formats = reference["formats"].as_object().unwrap();
    let bytes = |name: &str| STANDARD.decode(formats[name].as_str().unwrap()).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let mut seen = 0;
    for name in formats.keys().filter(|name| name.starts_with("npy_")) {
        let path = dir.path().join(format!("{name}.npy"));
        std::fs::write(&path, bytes(name)).unwrap();
        let from_file = read_all(&path, &ReadOptions::default()).unwrap();
        let stream = stream_reader("a.npy", Cursor::new(bytes(name)), &ReadOptions::default());
        let from_stream: Vec<Record> = stream.unwrap().map(Result::unwrap).collect();
        assert_eq!(from_file, from_stream, "{name}");
        assert_eq!(from_file[2].id, "2");
        for (record, row) in from_file.iter().zip(&expected) {
            let read = record.vector.as_ref().unwrap();
            // Halves have 11 bits of the number.
            let tolerance = if name == "npy_f2_C" { 1e-3 } else { 0.0 };
            let is_near = |(a, b): (&f32, &f32)| (a - b).abs() <= tolerance;
            assert!(read.iter().zip(row).all(is_near), "{name}");
        }
        seen += 1;
    }
    assert_eq!(seen, 6);
    let records: Vec<Record> = expected.into_iter().enumerate().map(numbered).collect();
    let options = WriteOptions {
        rows: Some(3),
        ..WriteOptions::default()
    };
    for (format, name) in [(Format::Npy, "npy_f4_C_v1"), (Format::Fvecs, "fvecs")] {
        let path = dir.path().join("written");
        write_all(&path, format, &records, &options).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), bytes(name));
        assert_eq!(read_all(&path, &as_format(format)).unwrap(), records);
    }
    let path = dir.path().join("bytes.bvecs");
    std::fs::write(&path, bytes("bvecs_of_[[1,2,255],[0,7,9]]")).unwrap();
    let read = read_all(&path, &ReadOptions::default()).unwrap();
    assert_eq!(read[0].vector.as_deref(), Some(&[1.0, 2.0, 255.0][..]));
    assert_eq!(read[1].vector.as_deref(), Some(&[0.0, 7.0, 9.0][..]));
}

fn numbered((row, values): (usize, Vec<f32>)) -> Record {
    Record {
        id: row.to_string(),
        vector: Some(values),
        ..Record::default()
    }
}

/// What is in the files of the other tools.
pub(super) fn expected() -> Vec<Record> {
    let text = std::fs::read_to_string(fixture("expected.json")).unwrap();
    let all: Value = serde_json::from_str(&text).unwrap();
    let text = |key: &str, row: usize| all[key][row].as_str().unwrap().to_owned();
    let row = |row| Record {
        id: text("ids", row),
        text: Some(text("texts", row)),
        metadata: Some(json!({"lang": text("langs", row)})),
        vector: Some(serde_json::from_value(all["vectors"][row].clone()).unwrap()),
        ..Record::default()
    };
    (0..7).map(row).collect()
}

/// Files that other tools wrote, and how much of the corpus is in them.
const FILES: [(&str, &str); 17] = [
    ("c_f4.npy", "all"),
    ("f_f8.npy", "ids"),
    ("stored.npz", "ids"),
    ("deflated.npz", "numbers"),
    ("fixed.parquet", "all"),
    ("halves.parquet", "halves"),
    ("pandas.parquet", "all"),
    ("datasets.parquet", "numbered all"),
    ("fixed.arrow", "all"),
    ("large.arrows", "all"),
    ("lz4.feather", "all"),
    ("vectors.fvecs", "numbers"),
    ("pandas.csv", "all"),
    ("header.csv", "all"),
    ("docs.pgtext", "all"),
    ("docs.pgcsv", "all"),
    ("docs.pgcopy", "all"),
];

#[test]
fn files_of_other_tools_are_read() {
    let expected = expected();
    for (name, what) in FILES {
        let columns = if name.starts_with("docs.") {
            ["id", "text", "metadata", "embedding"]
                .map(|name| name.parse::<Column>().unwrap())
                .to_vec()
        } else {
            Vec::new()
        };
        let options = ReadOptions {
            columns,
            dimensions: Some(4),
            ..ReadOptions::default()
        };
        let mut read = read_all(&fixture(name), &options).unwrap_or_else(|error| panic!("{error}"));
        if name.starts_with("docs.") || name == "header.csv" {
            let last = read.pop().unwrap();
            assert_eq!(
                (last.id.as_str(), last.text, last.vector),
                ("empty", None, None)
            );
        }
        assert_eq!(read.len(), 7, "{name}");
        for (row, (found, wanted)) in read.iter().zip(&expected).enumerate() {
            if what == "halves" {
                let near = |(a, b): (&f32, &f32)| (a - b).abs() < 1e-3;
                let pair = found
                    .vector
                    .iter()
                    .flatten()
                    .zip(wanted.vector.iter().flatten());
                assert!(pair.into_iter().all(near), "{name}");
                assert_eq!(found.text, wanted.text);
                continue;
            }
            assert_eq!(found.vector, wanted.vector, "{name}");
            let has_number = what.starts_with("number");
            let id = if has_number {
                row.to_string()
            } else {
                wanted.id.clone()
            };
            assert_eq!(found.id, id, "{name}");
            if what.ends_with("all") {
                assert_eq!(
                    (&found.text, &found.metadata),
                    (&wanted.text, &wanted.metadata),
                    "{name}"
                );
            }
        }
    }
}

#[test]
fn keys_of_a_binary_copy_are_read_as_they_are_declared() {
    let read = |name: &str, columns: &[&str]| {
        let options = ReadOptions {
            columns: columns
                .iter()
                .map(|column| column.parse().unwrap())
                .collect(),
            ..ReadOptions::default()
        };
        read_all(&fixture(name), &options)
    };
    let keyed = read("keyed.pgcopy", &["id:int", "embedding"]).unwrap();
    assert_eq!(
        keyed
            .iter()
            .map(|record| record.id.as_str())
            .collect::<String>(),
        "0123456"
    );
    let named = read("named.pgcopy", &["id:uuid", "text", "embedding"]).unwrap();
    assert_eq!(named[6].id, "00000000-0000-4000-8000-000000000006");
    assert_eq!(named[6].vector, expected()[6].vector);
    let error = read("keyed.pgcopy", &["id", "embedding"]).unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("row 1: `id` holds 8 bytes that are no text"),
        "{error}"
    );
    let hint = "say what the column is: `id:int` or `id:uuid` in `--columns`";
    assert_eq!(error.hint().as_deref(), Some(hint));
    assert_eq!(
        (error.kind(), error.place()),
        ("invalid_request", super::Place::Row(1))
    );
}

#[test]
fn what_is_not_read_is_said() {
    let mut reader = open_reader(&fixture("datasets.parquet"), &ReadOptions::default()).unwrap();
    assert_eq!(reader.by_ref().map(Result::unwrap).count(), 7);
    assert_eq!(
        (reader.format(), reader.dimensions()),
        (Format::Parquet, Some(4))
    );
    let note = "Columns of other types than text, number, boolean and list of floats were left out: `when`.";
    assert_eq!(reader.notes(), [note]);
    let reader = open_reader(&fixture("vectors.fvecs"), &ReadOptions::default()).unwrap();
    assert_eq!(reader.notes(), ["Rows are named by their numbers, from 0."]);
    let error = open_reader(&fixture("objects.npy"), &ReadOptions::default()).unwrap_err();
    assert!(
        error.to_string().contains("pickles are not read"),
        "{error}"
    );
    let error = open_reader(&fixture("fill.sql"), &ReadOptions::default()).unwrap_err();
    assert!(error.hint().unwrap().contains("\\copy"), "{error}");
    let error = open_reader(&fixture("make.py"), &ReadOptions::default()).unwrap_err();
    assert!(
        error.hint().unwrap().contains("--format jsonl|json|csv"),
        "{error}"
    );
}

/// Name, content, the error, and what its hint says.
const FAULTS: [(&str, &str, &str, &str); 14] = [
    (
        "a.jsonl",
        "{\"id\":\"a\",\"vector\":[1,2]}\n\n{\"id\":\"b\",\"vector\":[1]}",
        "`a.jsonl`, line 3: the vector has 1 dimensions, not 2",
        "vectors of one file",
    ),
    (
        "a.jsonl",
        "{\"vector\":[1]}",
        "`a.jsonl`, line 1: no id was found among `vector`",
        "--number-rows",
    ),
    (
        "a.jsonl",
        "{\"id\":\"\",\"vector\":[1]}",
        "`a.jsonl`, line 1: `id` is empty",
        "",
    ),
    (
        "a.jsonl",
        "{\"id\":\"a\",\"vector\":[]}",
        "`a.jsonl`, line 1: the vector is empty",
        "",
    ),
    (
        "a.jsonl",
        "{\"id\":\"a\",\"vector\":[1e39]}",
        "`a.jsonl`, line 1: the vector holds at position 0 what is no finite `f32`",
        "",
    ),
    (
        "a.jsonl",
        "{\"id\":\"a\",\"text\":5}",
        "`a.jsonl`, line 1: `text` cannot be read: invalid type: integer `5`, expected a string",
        "",
    ),
    ("a.jsonl", "{\"id\":\"a\"", "`a.jsonl`, line 1: ", ""),
    (
        "a.jsonl",
        "{\"id\":\"a\",\"vector\":[1,NaN]}",
        "`a.jsonl`, line 1: it is no JSON: `NaN` at column 23",
        "",
    ),
    (
        "a.jsonl",
        "{\"id\":\"a\",\"id\":\"b\"}",
        "`a.jsonl`, line 1: the key `id` stands in it twice",
        "",
    ),
    (
        "a.csv",
        "id,text,emb\nx,\"a\nb\",[1]\ny,z\n",
        "`a.csv`, line 4: the row has 2 cells, not 3",
        "",
    ),
    (
        "a.csv",
        "id,id\nx,y\n",
        "`a.csv`: `id` is the name of two columns",
        "",
    ),
    (
        "a.pgtext",
        "a\tb\n",
        "`a.pgtext`, line 1: `embedding` is neither a list of numbers nor base64",
        "",
    ),
    (
        "a.pgtext",
        "a\n",
        "`a.pgtext`, line 1: the copy has 1 columns and no names",
        "--columns",
    ),
    (
        "a.fvecs",
        "\x7f\x7f\x7f\x7f",
        "`a.fvecs`, row 1: a vector is larger than 65536 dimensions",
        "damaged",
    ),
];

#[test]
fn errors_say_where_and_what_to_do() {
    for (name, text, message, hint) in FAULTS {
        let read = || {
            stream_reader(name, Cursor::new(text), &ReadOptions::default())?
                .collect::<Result<Vec<_>, _>>()
        };
        let error = read().unwrap_err();
        assert!(error.to_string().starts_with(message), "{error}");
        assert!(error.hint().unwrap_or_default().contains(hint), "{error}");
    }
    let mut reader =
        stream_reader("a.jsonl", Cursor::new("{}\n{}"), &ReadOptions::default()).unwrap();
    assert!(reader.next().unwrap().is_err());
    assert!(reader.next().is_none());
}

/// Text, whether there is a hash, span, metadata.
type Fields = (Option<String>, bool, Option<Span>, Option<Value>);

fn records() -> impl Strategy<Value = Vec<Record>> {
    let span = (".{1,8}", any::<u32>(), any::<u32>()).prop_map(|(source, start, end)| Span {
        source,
        start: start.into(),
        end: end.into(),
    });
    // No zero byte, which PostgreSQL cannot hold; no empty text, which a table cannot tell from none.
    let text = proptest::option::of("[^\0]{1,20}");
    let metadata = proptest::option::of("[^\0]{0,8}")
        .prop_map(|word| word.map(|word| json!({"k\"": word, "n": [1, null]})));
    let record = (text, any::<bool>(), proptest::option::of(span), metadata);
    (1_usize..5, proptest::collection::vec(record, 0..12)).prop_flat_map(|(length, rows)| {
        let count = rows.len();
        let vectors =
            proptest::collection::vec(proptest::collection::vec(0_u8..=255, length), count);
        (Just(rows), vectors).prop_map(|(rows, vectors)| {
            let rows = rows.into_iter().zip(vectors).enumerate();
            let record = |(number, (fields, vector)): (usize, (Fields, Vec<u8>))| {
                let (text, has_hash, span, metadata) = fields;
                Record {
                    id: format!("i/{number} é"),
                    text_hash: has_hash.then(|| TextHash::of("sent")),
                    text,
                    span,
                    metadata,
                    vector: Some(vector.into_iter().map(f32::from).collect()),
                }
            };
            rows.map(record).collect()
        })
    })
}

pub(super) fn options_for(records: &[Record]) -> WriteOptions {
    WriteOptions {
        rows: u64::try_from(records.len()).ok(),
        dimensions: records
            .first()
            .and_then(|record| Some(record.vector.as_ref()?.len())),
        ..WriteOptions::default()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn every_format_gives_back_what_it_got(records in records(), base64: bool) {
        let dir = tempfile::tempdir().unwrap();
        let mut options = options_for(&records);
        options.vectors = if base64 { VectorText::Base64 } else { VectorText::List };
        for format in WRITTEN {
            let path = dir.path().join(format!("x.{format}"));
            let written = write_all(&path, format, &records, &options).unwrap();
            prop_assert_eq!(written.files.len(), if format.has_companion() { 2 } else { 1 });
            if records.is_empty() && format.has_companion() {
                continue;
            }
            let read = read_all(&path, &as_format(format)).unwrap_or_else(|error| panic!("{error}"));
            prop_assert_eq!(&read, &records, "{}", format);
        }
    }

    #[test]
    fn without_texts_only_hashes_are_written(records in records()) {
        let dir = tempfile::tempdir().unwrap();
        let options = WriteOptions { texts: Texts::HashOnly, ..options_for(&records) };
        for format in WRITTEN.into_iter().filter(|_| !records.is_empty()) {
            let path = dir.path().join(format!("x.{format}"));
            write_all(&path, format, &records, &options).unwrap();
            let read = read_all(&path, &as_format(format)).unwrap();
            for (found, record) in read.iter().zip(&records) {
                prop_assert_eq!(&found.text, &None);
                let of_text = record.text.as_deref().map(TextHash::of);
                prop_assert_eq!(found.text_hash, record.text_hash.or(of_text), "{}", format);
                prop_assert_eq!(&found.vector, &record.vector);
            }
        }
    }
}
