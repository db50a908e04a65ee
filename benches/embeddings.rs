//! How long searches for vectors take, on one thread, in microseconds of CPU time per query:
//! `cargo bench --bench embeddings -- [--data DIR] [--rows 100000] [--effort 100] [--json] [PART]..`
//!
//! Parts are `scan`, `codes` and `index`; without one named, all run. Without `--data`, rows around
//! 500 centres are made. With it, `DIR/base.f32` and `DIR/queries.f32` are read: rows of 384
//! little-endian floats. `scripts/embeddings-bench` writes these, and measures other programs beside.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a measurement that cannot go on ends here, and prints what it found"
)]
#![expect(
    clippy::cast_precision_loss,
    reason = "figures for people, far below any limit"
)]

use promptgate::embeddings::search::{
    Built, Codes, Index, Kind, Neighbour, Scan, Settings, nearest,
};
use promptgate::embeddings::{Matrix, Rows};
use serde_json::{Value, json};
use std::fs;
use std::hint::black_box;
use std::path::Path;

const DIMENSIONS: usize = 384;
const QUERIES: usize = 1_000;
const CENTRES: usize = 500;
const K: usize = 10;
/// Rounds of which the best counts: what else the machine does only ever adds to a time.
const ROUNDS: usize = 3;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let value = |name: &str| {
        let place = arguments.iter().position(|word| word == name)?;
        arguments.get(place + 1).cloned()
    };
    let rows = value("--rows").map_or(100_000, |text| text.parse().unwrap());
    let effort = value("--effort").map_or(100, |text| text.parse().unwrap());
    let (base, queries) = match value("--data") {
        Some(dir) => (
            read(&Path::new(&dir).join("base.f32")),
            read(&Path::new(&dir).join("queries.f32")),
        ),
        None => (made(rows, 1), made(QUERIES, 2)),
    };
    let is_json = arguments.iter().any(|word| word == "--json");
    let report = |figure: &Value| {
        if is_json {
            println!("{figure}");
        } else {
            let fields = figure.as_object().unwrap().iter();
            let fields: Vec<String> = fields
                .map(|(name, value)| format!("{name} {value}"))
                .collect();
            println!("{}", fields.join(", "));
        }
    };
    let parts = ["scan", "codes", "index"];
    let named = |part: &str| arguments.iter().any(|word| word == part);
    let runs = |part: &str| named(part) || !parts.iter().any(|part| named(part));
    let truth = nearest(&base, &queries, &Scan::new(K)).unwrap();
    if runs("scan") {
        scans(&base, &queries, &report);
    }
    if runs("codes") {
        codes(&base, &queries, &truth, &report);
    }
    if runs("index") {
        index(&base, &queries, &truth, effort, &report);
    }
}

fn read(path: &Path) -> Matrix {
    let bytes = fs::read(path).expect("the data can be read");
    let (words, _) = bytes.as_chunks();
    let values = words.iter().map(|word| f32::from_le_bytes(*word)).collect();
    Matrix::new(DIMENSIONS, values).expect("whole rows")
}

/// Rows around centres, from a small generator.
fn made(count: usize, seed: u64) -> Matrix {
    let numbers = |seed: u64| {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        move || {
            let next = state.wrapping_mul(6_364_136_223_846_793_005);
            state = next.wrapping_add(1_442_695_040_888_963_407);
            f32::from((state >> 48) as u16) / 32_768.0 - 1.0
        }
    };
    let mut centre = numbers(0);
    let centres: Vec<f32> = (0..CENTRES * DIMENSIONS).map(|_| centre()).collect();
    let mut noise = numbers(seed);
    let values = (0..count * DIMENSIONS).map(|place| {
        let (row, column) = (place / DIMENSIONS, place % DIMENSIONS);
        let centre = row.wrapping_mul(2_654_435_761) % CENTRES;
        centres.get(centre * DIMENSIONS + column).unwrap() + noise()
    });
    Matrix::new(DIMENSIONS, values.collect()).unwrap()
}

/// Seconds of CPU time this thread took so far.
fn cpu() -> f64 {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    text.split(' ').next().unwrap().parse::<f64>().unwrap() / 1e9
}

/// Microseconds per query, the best of some rounds. The system counts in ticks of some milliseconds, so
/// what is quick is repeated.
fn time(queries: usize, mut run: impl FnMut()) -> f64 {
    let rounds = (0..ROUNDS).map(|_| {
        let (start, mut count) = (cpu(), 0);
        while cpu() - start < 0.1 {
            run();
            count += queries;
        }
        (cpu() - start) * 1e6 / count as f64
    });
    rounds.fold(f64::INFINITY, f64::min)
}

fn first(queries: &Matrix, count: usize) -> Matrix {
    let values = queries.values().iter().take(count * DIMENSIONS).copied();
    Matrix::new(DIMENSIONS, values.collect()).unwrap()
}

fn scans(base: &Matrix, queries: &Matrix, report: &dyn Fn(&Value)) {
    for count in [queries.len(), 100, 10, 1] {
        let some = first(queries, count);
        let microseconds = time(count, || {
            black_box(nearest(base, &some, &Scan::new(K)).unwrap());
        });
        report(&json!({"part": "scan", "queries": count, "microseconds": microseconds}));
    }
}

/// The share of the true nearest that was found.
fn recall(found: &[Vec<Neighbour>], truth: &[Vec<Neighbour>]) -> f64 {
    let pairs = found.iter().zip(truth);
    let hits = pairs.map(|(found, truth)| {
        let is_found = |near: &&Neighbour| found.iter().any(|other| other.row == near.row);
        truth.iter().filter(is_found).count()
    });
    hits.sum::<usize>() as f64 / (found.len() * K) as f64
}

fn codes(base: &Matrix, queries: &Matrix, truth: &[Vec<Neighbour>], report: &dyn Fn(&Value)) {
    let some = first(queries, 100);
    for (kind, oversampling) in [
        (Kind::Bytes, 1),
        (Kind::Bytes, 3),
        (Kind::Bits, 4),
        (Kind::Bits, 20),
    ] {
        let codes = Codes::new(kind, base).unwrap();
        let mut found = Vec::new();
        let microseconds = time(some.len(), || {
            found = codes
                .search(base, &some, &Scan::new(K), oversampling)
                .unwrap();
        });
        report(&json!({
            "part": "codes", "kind": kind, "oversampling": oversampling, "bytes": codes.bytes(),
            "recall": recall(&found, truth), "microseconds": microseconds,
        }));
    }
}

fn index(
    base: &Matrix,
    queries: &Matrix,
    truth: &[Vec<Neighbour>],
    effort: usize,
    report: &dyn Fn(&Value),
) {
    let start = cpu();
    let settings = Settings {
        effort,
        least_rows: 1,
        ..Settings::default()
    };
    let Built::Graph(index) = Index::build(base, None, &settings).unwrap() else {
        panic!("no index was made");
    };
    let (rows, rest) = index.bytes();
    report(&json!({
        "part": "build", "seconds": cpu() - start, "bytes_of_rows": rows, "bytes_of_graph": rest,
        "measured": index.recall(),
    }));
    for effort in [10, 15, 20, 40, 80, 160] {
        let mut found = Vec::new();
        let microseconds = time(queries.len(), || {
            let all = queries.values().chunks_exact(DIMENSIONS);
            found = all
                .map(|query| index.search(query, K, effort, None).unwrap())
                .collect();
        });
        report(&json!({
            "part": "index", "effort": effort, "recall": recall(&found, truth),
            "microseconds": microseconds,
        }));
    }
}
