//! How long comparisons and their statistics take, and what vectors take on disk and in memory:
//! `cargo bench --bench comparing -- [--data DIR] [--dir DIR] [--rows N] [--json] [--stages] [PART]..`
//!
//! Parts are `compare` (100,000 rows of 384 beside as many of 512, 2,000 queries and 1,000 items), `rsa` (1,500
//! items), `mmd` (windows of 1,000 and 500, 199 permutations), `vault` (writing and finding vectors of 1,536) and
//! `large` (two snapshots of 1,000,000 rows of 1,536 compared from disk, 7 GB of it); without one named, all but
//! `large` run. Without `--data`, rows are made here. With it, `DIR/a.f32` and `DIR/b.f32` hold the rows and
//! `DIR/qa.f32` and `DIR/qb.f32` the queries, as little-endian floats. `scripts/comparing-bench` writes these, and
//! measures numpy, faiss and scipy beside.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a measurement that cannot go on ends here, and prints what it found"
)]
#![expect(
    clippy::cast_precision_loss,
    reason = "figures for people, far below any limit"
)]
#![expect(clippy::disallowed_types, reason = "real time is what is measured")]

use promptgate::domain::{Clock, Timestamp};
use promptgate::embeddings::compare::report::{ComparisonReport, SnapshotFacts};
use promptgate::embeddings::compare::{Queries, Query, QuerySource, Settings, Subject, compare};
use promptgate::embeddings::geometry::rsa as rank_correlation;
use promptgate::embeddings::geometry::two_sample::mmd;
use promptgate::embeddings::vault::{
    NewItem, NewSnapshot, Precision, Snapshot, Source, SourceKind, Spent, TextStorage, Vault,
};
use promptgate::embeddings::{
    Item, Matrix, Rows, Side, SnapshotId, Space, SpaceId, TextHash, VectorKey,
};
use promptgate::store::{Config, Store};
use serde_json::{Value, json};
use std::fs;
use std::hint::black_box;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

/// The program's own: what is held is measured.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const DIMENSIONS: [usize; 2] = [384, 512];
const QUERIES: usize = 2_000;
/// How long vectors of the vault are.
const LONG: usize = 1_536;
/// How many vectors are put at a time.
const BATCH: usize = 1_024;
/// Rounds of which the best counts.
const ROUNDS: usize = 3;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let value = |name: &str| {
        let place = arguments.iter().position(|word| word == name)?;
        arguments.get(place + 1).cloned()
    };
    let rows = |usual: usize| value("--rows").map_or(usual, |text| text.parse().unwrap());
    let data = value("--data").map(PathBuf::from);
    let dir = value("--dir").map_or_else(std::env::temp_dir, PathBuf::from);
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
    let parts = ["compare", "rsa", "mmd", "vault", "large"];
    let named = |part: &str| arguments.iter().any(|word| word == part);
    let is_any_named = parts.iter().any(|part| named(part));
    let runs = |part: &str| named(part) || (!is_any_named && part != "large");
    if runs("compare") || runs("rsa") || runs("mmd") {
        let given = Given::read(data.as_deref(), rows(100_000));
        if runs("compare") {
            comparison(&given, &report);
        }
        if runs("rsa") {
            rsa(&given, &report);
        }
        if runs("mmd") {
            drift(&given, &report);
        }
    }
    if runs("vault") {
        kept(&dir, rows(100_000), &report);
    }
    if runs("large") {
        large(&dir, rows(1_000_000), &report);
    }
}

/// Two sides and queries for both.
struct Given {
    rows: [Matrix; 2],
    queries: [Matrix; 2],
}

impl Given {
    fn read(dir: Option<&Path>, rows: usize) -> Self {
        let of = |name: &str, side: usize, count: usize, seed: u64| {
            let dimensions = DIMENSIONS.get(side).copied().unwrap();
            let values = match dir {
                Some(dir) => floats(&dir.join(name)),
                None => made(count, dimensions, seed),
            };
            Matrix::new(dimensions, values).expect("whole rows")
        };
        Self {
            rows: [of("a.f32", 0, rows, 1), of("b.f32", 1, rows, 2)],
            queries: [of("qa.f32", 0, QUERIES, 3), of("qb.f32", 1, QUERIES, 4)],
        }
    }
}

fn floats(path: &Path) -> Vec<f32> {
    let bytes = fs::read(path).expect("the data can be read");
    let (words, _) = bytes.as_chunks();
    words.iter().map(|word| f32::from_le_bytes(*word)).collect()
}

/// Numbers of −1 to 1, each its own.
fn numbers(seed: u64) -> impl FnMut() -> f32 {
    let mut state = seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    move || {
        let next = state.wrapping_mul(6_364_136_223_846_793_005);
        state = next.wrapping_add(1_442_695_040_888_963_407);
        f32::from((state >> 48) as u16) / 32_768.0 - 1.0
    }
}

/// Unit rows around 500 centres.
fn made(count: usize, dimensions: usize, seed: u64) -> Vec<f32> {
    const CENTRES: usize = 500;
    let mut centre = numbers(0);
    let centres: Vec<f32> = (0..CENTRES * dimensions).map(|_| centre()).collect();
    let mut noise = numbers(seed);
    let mut values = Vec::with_capacity(count * dimensions);
    for row in 0..count {
        let centre = row.wrapping_mul(2_654_435_761) % CENTRES * dimensions;
        let centre = centres.get(centre..centre + dimensions).unwrap();
        values.extend(unit(centre.iter().map(|value| value + noise()).collect()));
    }
    values
}

fn unit(mut row: Vec<f32>) -> Vec<f32> {
    let length = row.iter().map(|value| value * value).sum::<f32>().sqrt();
    for value in &mut row {
        *value /= length;
    }
    row
}

/// Seconds on the clock, and of all threads' processor time.
struct Watch {
    began: Instant,
    cpu: f64,
}

impl Watch {
    fn start() -> Self {
        Self {
            began: Instant::now(),
            cpu: Self::cpu(),
        }
    }

    /// The system counts this process in hundredths of a second.
    fn cpu() -> f64 {
        let text = fs::read_to_string("/proc/self/stat").unwrap();
        let (_, fields) = text.rsplit_once(')').unwrap();
        let ticks = fields.split_whitespace().skip(11).take(2);
        ticks
            .map(|ticks| ticks.parse::<f64>().unwrap())
            .sum::<f64>()
            / 100.0
    }

    fn stop(&self) -> (f64, f64) {
        (self.began.elapsed().as_secs_f64(), Self::cpu() - self.cpu)
    }
}

/// The most memory this process ever had, in MiB.
fn peak_mib() -> f64 {
    let text = fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find(|line| line.starts_with("VmHWM:"));
    let number = line.unwrap().split_whitespace().nth(1).unwrap();
    number.parse::<f64>().unwrap() / 1_024.0
}

/// Forgets what the most was.
fn forget_peak() {
    let _ = fs::write("/proc/self/clear_refs", "5");
}

fn space(name: &str) -> Space {
    serde_json::from_value(json!({"model": name})).unwrap()
}

fn facts(name: &str, rows: &dyn Rows) -> SnapshotFacts {
    let space = space(name);
    SnapshotFacts {
        name: name.to_owned(),
        id: SnapshotId(format!("snap-{name}")),
        space_id: space.id(),
        space,
        pipeline_id: "pipe-1".to_owned(),
        items: rows.len(),
        dimensions: rows.dimensions(),
        precision: "f32".to_owned(),
    }
}

/// Compares two sides whose items are all the same.
fn compared(
    sides: [&dyn Rows; 2],
    queries: Option<&[Matrix; 2]>,
    settings: &Settings,
) -> ComparisonReport {
    let ids: Vec<String> = (0..sides[0].len())
        .map(|row| format!("item-{row}"))
        .collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let [facts_a, facts_b] = [facts("a", sides[0]), facts("b", sides[1])];
    let pipeline = json!({});
    let subject = |facts, rows| Subject {
        facts,
        pipeline: &pipeline,
        ids: &ids,
        hashes: &[],
        spans: &[],
        rows,
        text: &|_| Ok(None),
        truncated: None,
        noise: None,
        noise_counts: None,
    };
    let list: Vec<Query> = (0..QUERIES)
        .map(|number| Query {
            id: format!("q-{number}"),
            text: None,
            relevant: Vec::new(),
            item: None,
        })
        .collect();
    let queries = queries.map(|[a, b]| Queries {
        list: &list,
        a,
        b,
        from: QuerySource::File,
        told: None,
    });
    let [a, b] = [subject(&facts_a, sides[0]), subject(&facts_b, sides[1])];
    let began = Instant::now();
    let made = compare([&a, &b], queries.as_ref(), settings, &mut |step| {
        if std::env::args().any(|word| word == "--stages") {
            let seconds = began.elapsed().as_secs_f64();
            let (cpu, peak) = (Watch::cpu(), peak_mib());
            println!(
                "# {seconds:.2} s ({cpu:.2} of CPU, {peak:.0} MiB at most), {} {}",
                step.stage, step.done
            );
        }
        ControlFlow::Continue(())
    });
    made.unwrap()
}

fn comparison(given: &Given, report: &dyn Fn(&Value)) {
    let settings = Settings {
        geometry_rows: given.rows[0].len(),
        ..Settings::default()
    };
    let watch = Watch::start();
    let made = compared(
        [&given.rows[0], &given.rows[1]],
        Some(&given.queries),
        &settings,
    );
    let (seconds, cpu) = watch.stop();
    let overlap = made
        .figures
        .iter()
        .find(|figure| figure.id == "query.overlap@10");
    report(&json!({
        "part": "compare", "rows": given.rows[0].len(), "seconds": seconds, "cpu": cpu,
        "figures": made.figures.len(), "overlap": overlap.unwrap().estimate.value,
    }));
}

fn first(rows: &Matrix, skipped: usize, count: usize) -> Matrix {
    let width = rows.dimensions();
    let values = rows.values().iter().skip(skipped * width);
    Matrix::new(width, values.take(count * width).copied().collect()).unwrap()
}

/// Milliseconds of processor time, the best of some rounds; on one thread.
fn timed(mut run: impl FnMut()) -> f64 {
    let rounds = (0..ROUNDS).map(|_| {
        let start = thread_cpu();
        for _ in 0..5 {
            run();
        }
        (thread_cpu() - start) * 1e3 / 5.0
    });
    rounds.fold(f64::INFINITY, f64::min)
}

fn thread_cpu() -> f64 {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    text.split(' ').next().unwrap().parse::<f64>().unwrap() / 1e9
}

fn rsa(given: &Given, report: &dyn Fn(&Value)) {
    let [a, b] = given.rows.each_ref().map(|rows| first(rows, 0, 1_500));
    let mut value = 0.0;
    let milliseconds = timed(|| {
        value = rank_correlation(&a, &b).unwrap();
    });
    report(&json!({"part": "rsa", "milliseconds": milliseconds, "value": value}));
}

fn drift(given: &Given, report: &dyn Fn(&Value)) {
    let [rows, _] = &given.rows;
    let (reference, current) = (first(rows, 0, 1_000), first(rows, 1_000, 500));
    let mut value = 0.0;
    let milliseconds = timed(|| {
        let test = mmd(&reference, &current, None, (199, 1)).unwrap();
        value = black_box(test).unbiased;
    });
    report(&json!({"part": "mmd", "milliseconds": milliseconds, "value": value}));
}

/// A vault in a directory that goes with it.
struct Home {
    dir: PathBuf,
    vault: Vault,
}

impl Drop for Home {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}

impl Home {
    fn new(below: &Path) -> Self {
        let dir = below.join(format!("promptgate-bench-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let store = Store::open(&Config::new(&dir), Clock::System).unwrap();
        let vault = Vault::open(dir.join("embeddings"), Arc::new(store)).unwrap();
        Self { dir, vault }
    }

    /// Puts rows as they are made, and returns the seconds that the vault took.
    fn fill(&self, space: &Space, rows: usize, seed: u64) -> f64 {
        let id = space.id();
        let mut noise = numbers(seed);
        // What rows have in common in every space: a few directions of their own.
        let (mut seconds, mut at) = (0.0, 0);
        while at < rows {
            let count = BATCH.min(rows - at);
            let vectors: Vec<Vec<f32>> = (at..at + count)
                .map(|row| {
                    let mut own = numbers((row % 5_000) as u64 ^ seed << 32);
                    unit((0..LONG).map(|_| own() + 0.7 * noise()).collect())
                })
                .collect();
            let keys = (at..at + count).map(|row| key(space, &id, row));
            let batch: Vec<(VectorKey, &[f32])> =
                keys.zip(vectors.iter().map(Vec::as_slice)).collect();
            let began = Instant::now();
            self.vault.put(&id, LONG, Precision::F16, &batch).unwrap();
            seconds += began.elapsed().as_secs_f64();
            at += count;
        }
        seconds
    }

    fn seal(&self, space: &Space, rows: usize) -> SnapshotId {
        let id = space.id();
        let items = (0..rows).map(|row| NewItem {
            item: Item {
                id: format!("item-{row}"),
                text: None,
                span: None,
                metadata: None,
            },
            text_hash: TextHash::of(&text(row)),
            key: key(space, &id, row),
        });
        let draft = NewSnapshot {
            collection: "bench".to_owned(),
            space: space.clone(),
            pipeline_id: "pipe-1".to_owned(),
            pipeline: json!({"chunker": "none"}),
            precision: Precision::F16,
            text_storage: TextStorage::Text,
            items: items.collect(),
            parent: None,
            source: Source {
                kind: SourceKind::Import,
                detail: None,
            },
            truncated: None,
            spent: Spent::default(),
            model_returned: None,
            created: Timestamp(0),
        };
        let read = |row: usize| Ok(Some(text(row)));
        self.vault.seal_reading(&draft, &read).unwrap().manifest.id
    }

    /// Bytes of all files below a directory.
    fn bytes(&self, below: &str) -> u64 {
        bytes_of(&self.dir.join(below))
    }
}

fn bytes_of(dir: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(dir) else {
        return 0;
    };
    let entries = entries.map(|entry| entry.unwrap());
    let sizes = entries.map(|entry| match entry.file_type().unwrap().is_dir() {
        true => bytes_of(&entry.path()),
        false => entry.metadata().unwrap().len(),
    });
    sizes.sum()
}

/// 400 bytes that are of one item alone.
fn text(row: usize) -> String {
    format!("item {row} says what only item {row} says. ").repeat(10)
}

fn key(space: &Space, id: &SpaceId, row: usize) -> VectorKey {
    VectorKey::new(space, id, Side::Document, TextHash::of(&text(row)))
}

fn kept(dir: &Path, rows: usize, report: &dyn Fn(&Value)) {
    let home = Home::new(dir);
    let space = space("bench/one");
    let id = space.id();
    let seconds = home.fill(&space, rows, 1);
    let vectors = home.bytes("embeddings/segments");
    let began = Instant::now();
    home.seal(&space, rows);
    let sealed = began.elapsed().as_secs_f64();
    let mut times: Vec<f64> = (0..5_000_usize)
        .map(|number| {
            let key = [key(&space, &id, number.wrapping_mul(7_919) % rows)];
            let began = Instant::now();
            black_box(home.vault.held(&key, Precision::F16).unwrap());
            began.elapsed().as_secs_f64() * 1e6
        })
        .collect();
    times.sort_by(f64::total_cmp);
    let at = |share: usize| times.get(times.len() * share / 1_000).copied().unwrap();
    report(&json!({
        "part": "vault", "rows": rows, "put_seconds": seconds,
        "mb_per_second_f16": vectors as f64 / 1e6 / seconds,
        "bytes_per_vector": vectors as f64 / rows as f64,
        "bytes_of_values": LONG * 2, "seal_seconds": sealed,
        "bytes_per_item": home.bytes("embeddings/items") as f64 / rows as f64,
        "bytes_per_key": home.bytes("tables") as f64 / rows as f64,
        "lookup_us_p50": at(500), "lookup_us_p99": at(990),
    }));
}

fn large(dir: &Path, rows: usize, report: &dyn Fn(&Value)) {
    let home = Home::new(dir);
    let mut sealed: Vec<SnapshotId> = Vec::new();
    for (number, name) in ["bench/a", "bench/b"].into_iter().enumerate() {
        let space = space(name);
        let seconds = home.fill(&space, rows, number as u64 + 1);
        forget_peak();
        let watch = Watch::start();
        sealed.push(home.seal(&space, rows));
        let (seal, cpu) = watch.stop();
        report(&json!({
            "part": "large.seal", "rows": rows, "put_seconds": seconds, "seconds": seal, "cpu": cpu,
            "peak_mib": peak_mib(),
        }));
    }
    forget_peak();
    let watch = Watch::start();
    let opened: Vec<Snapshot> = sealed
        .iter()
        .map(|id| home.vault.open_snapshot(id).unwrap())
        .collect();
    let (seconds, cpu) = watch.stop();
    report(&json!({
        "part": "large.open", "rows": rows, "seconds": seconds, "cpu": cpu, "peak_mib": peak_mib(),
    }));
    let sides: [&dyn Rows; 2] = [opened.first().unwrap(), opened.get(1).unwrap()];
    let watch = Watch::start();
    let made = compared(sides, None, &Settings::default());
    let (seconds, cpu) = watch.stop();
    report(&json!({
        "part": "large.compare", "rows": rows, "seconds": seconds, "cpu": cpu,
        "peak_mib": peak_mib(), "figures": made.figures.len(),
        "disk_bytes": home.bytes("embeddings"),
    }));
}
