//! The formats by name, and how one is told from a file's name and first bytes.

use crate::embeddings::exchange::error::Fault;
use std::fmt;
use std::path::Path;
use std::str::FromStr;

/// How a file of vectors is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// A JSON object in each line.
    Jsonl,
    /// One JSON array of objects.
    Json,
    /// A table with a line of names.
    Csv,
    /// The same, divided by tabs.
    Tsv,
    /// Apache Parquet.
    Parquet,
    /// An Arrow IPC file (Feather).
    Arrow,
    /// An Arrow IPC stream.
    ArrowStream,
    /// A numpy array; names and texts stand in a file beside it.
    Npy,
    /// Several numpy arrays in an archive.
    Npz,
    /// Vectors of `f32`, each behind its length.
    Fvecs,
    /// Vectors of `i32`, each behind its length.
    Ivecs,
    /// Vectors of bytes, each behind its length.
    Bvecs,
    /// What PostgreSQL's `COPY` writes by default.
    PgText,
    /// `COPY … (FORMAT csv)`.
    PgCsv,
    /// `COPY … (FORMAT binary)`.
    PgBinary,
    /// A script for `psql` that makes and fills a table; written only.
    Sql,
    /// Points of Qdrant: pages of its scroll, bodies of its upsert.
    Qdrant,
}

/// What is done with a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// It is read.
    Read,
    /// It is written.
    Written,
}

/// Each format, its name and the endings of its files.
const FORMATS: [(Format, &str, &[&str]); 17] = [
    (Format::Jsonl, "jsonl", &["jsonl", "ndjson"]),
    (Format::Json, "json", &["json"]),
    (Format::Csv, "csv", &["csv"]),
    (Format::Tsv, "tsv", &["tsv", "tab"]),
    (Format::Parquet, "parquet", &["parquet", "pq"]),
    (Format::Arrow, "arrow", &["arrow", "feather", "ipc"]),
    (Format::ArrowStream, "arrow-stream", &["arrows"]),
    (Format::Npy, "npy", &["npy"]),
    (Format::Npz, "npz", &["npz"]),
    (Format::Fvecs, "fvecs", &["fvecs"]),
    (Format::Ivecs, "ivecs", &["ivecs"]),
    (Format::Bvecs, "bvecs", &["bvecs"]),
    (Format::PgText, "pgvector-text", &["pgtext", "copy"]),
    (Format::PgCsv, "pgvector-csv", &["pgcsv"]),
    (Format::PgBinary, "pgvector-binary", &["pgcopy"]),
    (Format::Sql, "sql", &["sql"]),
    (Format::Qdrant, "qdrant", &[]),
];

/// What the files of a format begin with.
const BEGINNINGS: [(&[u8], Format); 7] = [
    (b"PAR1", Format::Parquet),
    (b"ARROW1\0\0", Format::Arrow),
    (b"\xff\xff\xff\xff", Format::ArrowStream),
    (b"\x93NUMPY", Format::Npy),
    (b"PK\x03\x04", Format::Npz),
    (b"PK\x05\x06", Format::Npz),
    (b"PGCOPY\n\xff\r\n\0", Format::PgBinary),
];

impl Format {
    /// Returns the name, as `--format` takes it.
    #[must_use]
    pub fn name(self) -> &'static str {
        let found = FORMATS.iter().find(|(format, _, _)| *format == self);
        found.map_or("", |(_, name, _)| name)
    }

    /// Returns all names, for help and hints.
    #[must_use]
    pub fn names() -> String {
        FORMATS.map(|(_, name, _)| name).join("|")
    }

    /// Returns the names of those that are read, or of those that are written.
    #[must_use]
    pub fn names_of(direction: Direction) -> String {
        let formats = FORMATS.iter().filter(|(format, _, _)| match direction {
            Direction::Read => *format != Self::Sql,
            Direction::Written => *format != Self::Json,
        });
        let names: Vec<&str> = formats.map(|(_, name, _)| *name).collect();
        names.join("|")
    }

    /// Returns whether names and texts stand in a second file beside the vectors.
    #[must_use]
    pub const fn has_companion(self) -> bool {
        matches!(
            self,
            Self::Npy | Self::Npz | Self::Fvecs | Self::Ivecs | Self::Bvecs
        )
    }

    /// Returns the format that a file's name stands for; `.gz` and `.zst` behind it are looked past.
    #[must_use]
    pub fn of_path(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?.to_ascii_lowercase();
        let name = [".gz", ".zst"]
            .iter()
            .find_map(|end| name.strip_suffix(end))
            .unwrap_or(&name);
        let (_, ending) = name.rsplit_once('.')?;
        let found = FORMATS.iter().find(|(_, _, ends)| ends.contains(&ending));
        found.map(|(format, _, _)| *format)
    }

    /// Returns the format of a file that has this name and begins so (decompressed). What it begins with
    /// weighs more than its name, as far as it says anything.
    #[must_use]
    pub fn guess(path: &Path, head: &[u8]) -> Option<Self> {
        let begins = BEGINNINGS.iter().find(|(start, _)| head.starts_with(start));
        if let Some((_, format)) = begins {
            return Some(*format);
        }
        match Self::of_path(path) {
            None | Some(Self::Json) => of_json(head),
            Some(named) => Some(named),
        }
    }
}

/// Tells apart what begins like JSON: an array, points of Qdrant, an object in each line.
fn of_json(head: &[u8]) -> Option<Format> {
    let start = head.trim_ascii_start();
    match start.first()? {
        b'[' => Some(Format::Json),
        b'{' if has_points(start) => Some(Format::Qdrant),
        b'{' => Some(Format::Jsonl),
        _ => None,
    }
}

/// Whether the first key, or the first but one, says that points follow.
fn has_points(start: &[u8]) -> bool {
    let is_space = |byte: &&u8| !byte.is_ascii_whitespace();
    let dense: Vec<u8> = start.iter().filter(is_space).take(64).copied().collect();
    let keys: [&[u8]; 5] = [
        br#"{"points":["#,
        br#"{"result":{"#,
        br#"{"usage":"#,
        br#"{"time":"#,
        br#"{"status":"#,
    ];
    keys.iter().any(|key| dense.starts_with(key))
}

impl FromStr for Format {
    type Err = Fault;

    fn from_str(name: &str) -> Result<Self, Fault> {
        let found = FORMATS.iter().find(|(_, known, _)| *known == name);
        found
            .map(|(format, _, _)| *format)
            .ok_or_else(|| Fault::NoSuchFormat {
                name: name.to_owned(),
            })
    }
}

impl fmt::Display for Format {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::{FORMATS, Format};
    use std::path::Path;

    #[test]
    fn names_are_read_as_they_are_written() {
        for (format, name, _) in FORMATS {
            assert_eq!(name.parse::<Format>().unwrap(), format);
            assert_eq!(format.to_string(), name);
        }
        let error = "xml".parse::<Format>().unwrap_err();
        assert_eq!(error.to_string(), "`xml` is no format");
    }

    #[test]
    fn first_bytes_weigh_more_than_names() {
        for (name, head, format) in [
            ("a.jsonl", &b"{\"id\":1}"[..], Some(Format::Jsonl)),
            ("a.JSONL.gz", b"{\"id\":1}", Some(Format::Jsonl)),
            ("a.csv.zst", b"id,vector", Some(Format::Csv)),
            ("a.bin", b"PAR1....", Some(Format::Parquet)),
            ("a.jsonl", b"ARROW1\0\0", Some(Format::Arrow)),
            ("a", b"\xff\xff\xff\xff\x10", Some(Format::ArrowStream)),
            ("a", b"\x93NUMPY\x01", Some(Format::Npy)),
            ("a", b"PK\x03\x04", Some(Format::Npz)),
            ("a", b"PGCOPY\n\xff\r\n\0", Some(Format::PgBinary)),
            ("a.json", b" [ {}", Some(Format::Json)),
            (
                "a.json",
                b"{\"result\" : {\"points\":",
                Some(Format::Qdrant),
            ),
            (
                "a.json",
                b"{\"usage\":null,\"result\":{",
                Some(Format::Qdrant),
            ),
            ("a.json", b"{\"points\":[]}", Some(Format::Qdrant)),
            ("a.json", b"{\"id\":1}\n", Some(Format::Jsonl)),
            ("a.fvecs", b"\x05\0\0\0", Some(Format::Fvecs)),
            ("a.txt", b"hello", None),
            ("a.txt", b"", None),
        ] {
            assert_eq!(Format::guess(Path::new(name), head), format, "{name}");
        }
    }
}
