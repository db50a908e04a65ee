//! Vectors from and for other tools: what goes out comes back the same, and nothing is taken that does not
//! belong.

use crate::support::{Answer, FakeProvider, Received, TestGateway};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Output;

const MODEL: &str = "openai/text-embedding-3-small";
const IMPORT: [&str; 3] = ["embeddings", "snapshot", "import"];
const EXPORT: [&str; 3] = ["embeddings", "snapshot", "export"];

fn command<'a>(what: [&'a str; 3], more: &[&'a str]) -> Vec<&'a str> {
    [&what[..], more].concat()
}

async fn started() -> (FakeProvider, TestGateway) {
    let provider = FakeProvider::start().await;
    let gateway = TestGateway::start(&provider).await;
    (provider, gateway)
}

fn fixture(gateway: &TestGateway, names: &[&str]) {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/embeddings/exchange");
    for name in names {
        fs::copy(from.join(name), gateway.path().join(name)).unwrap();
    }
}

fn write(gateway: &TestGateway, name: &str, lines: &[Value]) {
    let mut text = String::new();
    for line in lines {
        writeln!(text, "{line}").unwrap();
    }
    fs::write(gateway.path().join(name), text).unwrap();
}

/// Runs what must fail; returns what it says.
async fn refused(gateway: &TestGateway, arguments: &[&str]) -> String {
    let output: Output = gateway.run(arguments).await;
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    String::from_utf8(output.stderr).unwrap()
}

#[tokio::test]
async fn what_is_exported_in_any_format_is_the_same_snapshot_when_it_is_imported() {
    let (_provider, gateway) = started().await;
    fixture(&gateway, &["c_f4.npy", "c_f4.ids.jsonl"]);
    let import = command(IMPORT, &["docs", "--from", "c_f4.npy", "--model", MODEL]);
    let made = gateway.run_json(&import).await;
    let snapshot = &made["snapshot"];
    assert_eq!(
        (&snapshot["items"], &snapshot["dimensions"]),
        (&json!(7), &json!(4))
    );
    assert_eq!(
        snapshot["source"],
        json!({"kind": "import", "detail": "c_f4.npy (npy)"})
    );
    assert_eq!(snapshot["space"]["model"], MODEL);
    for (collection, file) in [
        ("a", "docs.parquet"),
        ("b", "docs.arrow"),
        ("c", "docs.jsonl"),
        ("d", "docs.csv"),
        ("e", "docs.npy"),
        ("f", "docs.npz"),
        ("g", "docs.pgtext"),
        ("h", "docs.pgcopy"),
        ("i", "docs.fvecs"),
    ] {
        let exported = gateway
            .run_json(&command(EXPORT, &["docs@1", "--to", file]))
            .await;
        assert_eq!(exported["rows"], 7, "{file}");
        assert!(gateway.path().join(file).exists(), "{file}");
        // The version is that of the manifest beside the file.
        let again = gateway
            .run_json(&command(IMPORT, &[collection, "--from", file]))
            .await;
        assert_eq!(again["snapshot"]["id"], snapshot["id"], "{file}");
        assert_eq!(again["known"], 7, "the vectors are the same: {file}");
    }
    let again = gateway.run_json(&import).await;
    assert_eq!(
        (&again["is_new"], &again["snapshot"]["number"]),
        (&json!(false), &json!(1))
    );
    let verified = gateway
        .run_json(&["embeddings", "snapshot", "verify"])
        .await;
    assert_eq!(verified["ok"], true, "{verified}");
}

#[tokio::test]
async fn a_file_without_texts_is_imported_by_its_names_and_says_nothing_of_texts() {
    let (_provider, gateway) = started().await;
    fixture(&gateway, &["vectors.fvecs", "f_f8.npy", "f_f8.ids.txt"]);
    let numbered = ["docs", "--from", "vectors.fvecs", "--number-rows"];
    let import = [&numbered[..], &["--model", MODEL]].concat();
    let made = gateway.run_json(&command(IMPORT, &import)).await;
    assert_eq!(made["without_text"], made["rows"]);
    assert_eq!(made["snapshot"]["text_storage"], "hash-only");
    let to = command(EXPORT, &["docs@1", "--to", "out.parquet"]);
    gateway.run_json(&to).await;
    let again = gateway
        .run_json(&command(IMPORT, &["copy", "--from", "out.parquet"]))
        .await;
    assert_eq!(again["snapshot"]["id"], made["snapshot"]["id"]);

    // Another file of the same version may have rows of the same names: they are other items.
    let other = ["other", "--from", "f_f8.npy", "--model", MODEL];
    let other = gateway.run_json(&command(IMPORT, &other)).await;
    assert_eq!(other["deviating"], 0);

    // With the texts left behind, their hashes are enough to be the same again.
    fixture(&gateway, &["c_f4.npy", "c_f4.ids.jsonl"]);
    let texts = [
        "texts",
        "--from",
        "c_f4.npy",
        "--model",
        MODEL,
        "--hash-only",
    ];
    let texts = gateway.run_json(&command(IMPORT, &texts)).await;
    let bare = ["texts@1", "--to", "bare.jsonl", "--hash-only"];
    gateway.run_json(&command(EXPORT, &bare)).await;
    let text = fs::read_to_string(gateway.path().join("bare.jsonl")).unwrap();
    assert!(!text.contains("café"), "{text}");
    let back = gateway
        .run_json(&command(IMPORT, &["back", "--from", "bare.jsonl"]))
        .await;
    assert_eq!(back["snapshot"]["id"], texts["snapshot"]["id"]);
}

#[tokio::test]
async fn copies_of_pgvector_and_pages_of_qdrant_are_read() {
    let (_provider, gateway) = started().await;
    fixture(&gateway, &["docs.pgtext"]);
    let import = [
        "docs",
        "--from",
        "docs.pgtext",
        "--columns",
        "id,text,metadata,embedding",
        "--model",
        MODEL,
    ];
    let error = refused(&gateway, &command(IMPORT, &import)).await;
    assert!(error.contains("row 8 (`empty`) has no vector"), "{error}");
    assert!(error.contains("--skip-empty"), "{error}");
    let import = [&import[..], &["--skip-empty"]].concat();
    let made = gateway.run_json(&command(IMPORT, &import)).await;
    assert_eq!(made["snapshot"]["items"], 7);

    let page = json!({"result": {"points": [
        {"id": 7, "payload": {"text": "seven", "lang": "en"}, "vector": [1.0, 0.0]},
        {"id": "5c56c793-69f3-4fbf-87e6-c4bf54c28c26", "payload": {"text": "other"}, "vector": [0.0, 1.0]},
    ], "next_page_offset": null}, "status": "ok", "time": 0.1});
    write(&gateway, "points.json", &[page]);
    let import = ["points", "--from", "points.json", "--model", "local/minilm"];
    let made = gateway.run_json(&command(IMPORT, &import)).await;
    assert_eq!(made["snapshot"]["items"], 2);
    let unknown = command(EXPORT, &["points@1", "--to", "points.bin"]);
    let error = refused(&gateway, &unknown).await;
    assert!(error.contains("sql") && !error.contains("json|"), "{error}");
    assert_eq!(made["snapshot"]["space"]["model"], "local/minilm");
    assert_eq!(made["snapshot"]["source"]["detail"], "points.json (qdrant)");
}

/// A file, further arguments, and what is said against it.
const MISFITS: [(&str, &[&str], &str); 5] = [
    (
        "twice.jsonl",
        &[],
        "the id `a` stands in row 1 and in row 3",
    ),
    (
        "long.jsonl",
        &["--normalised"],
        "row 1 (`a`) has a vector of length 2.0000, and the embedding version says 1",
    ),
    (
        "wide.jsonl",
        &["--dimensions", "2"],
        "row 1 (`a`) has a vector of 3 dimensions, not 2",
    ),
    ("hashed.jsonl", &[], "row 1 (`a`) has a `text_hash`"),
    (
        "long.jsonl",
        &[],
        "1 of the rows 1 to 1 have another vector than is kept of the same text",
    ),
];

#[tokio::test]
async fn what_does_not_belong_is_refused_with_its_row() {
    let (_provider, gateway) = started().await;
    let row =
        |id: &str, text: &str, vector: &[f32]| json!({"id": id, "text": text, "vector": vector});
    write(&gateway, "good.jsonl", &[row("a", "one", &[1.0, 0.0])]);
    let twice = [
        row("a", "one", &[1.0, 0.0]),
        row("b", "two", &[0.0, 1.0]),
        row("a", "three", &[0.0, 1.0]),
    ];
    write(&gateway, "twice.jsonl", &twice);
    write(&gateway, "long.jsonl", &[row("a", "one", &[2.0, 0.0])]);
    write(&gateway, "wide.jsonl", &[row("a", "one", &[1.0, 0.0, 0.0])]);
    let mut hashed = row("a", "one", &[1.0, 0.0]);
    hashed["text_hash"] = json!("0".repeat(64));
    write(&gateway, "hashed.jsonl", &[hashed]);

    let good = ["docs", "--from", "good.jsonl"];
    let error = refused(&gateway, &command(IMPORT, &good)).await;
    assert!(
        error.contains("nothing says which embedding version the vectors are of"),
        "{error}"
    );
    assert!(error.contains("--model"), "{error}");
    let named = [&good[..], &["--model", MODEL]].concat();
    gateway.run_json(&command(IMPORT, &named)).await;
    // There is a snapshot now, whose version is still not guessed.
    refused(&gateway, &command(IMPORT, &good)).await;

    for (file, more, expected) in MISFITS {
        let import = [&["docs", "--from", file, "--model", MODEL][..], more].concat();
        let error = refused(&gateway, &command(IMPORT, &import)).await;
        assert!(error.contains(expected), "{file}: {error}");
        assert!(error.contains("hint"), "{file}: {error}");
    }
    let kept = [
        "docs",
        "--from",
        "long.jsonl",
        "--model",
        MODEL,
        "--keep-known",
    ];
    let kept = gateway.run_json(&command(IMPORT, &kept)).await;
    assert_eq!(
        (&kept["is_new"], &kept["deviating"]),
        (&json!(false), &json!(1)),
        "the first vector stays, and with it the snapshot"
    );
    let list = gateway.run_json(&["embeddings", "snapshot", "list"]).await;
    assert_eq!(list["data"].as_array().unwrap().len(), 1, "{list}");
}

/// Four rows of 2 dimensions, named and worded after `name`.
fn four(name: &str) -> Vec<Value> {
    let corners = [[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]];
    let rows = corners.iter().enumerate();
    rows.map(|(row, vector)| {
        json!({"id": format!("{name}{row}"), "text": format!("{name} {row}"), "vector": vector})
    })
    .collect()
}

/// Two exports of one stem: `a@1` in `pair.npy`, `b@1` in `pair.fvecs`.
async fn paired() -> (FakeProvider, TestGateway, Value) {
    let (provider, gateway) = started().await;
    for name in ["a", "b"] {
        let file = format!("{name}.jsonl");
        write(&gateway, &file, &four(name));
        let import = [name, "--from", &file, "--model", MODEL];
        gateway.run_json(&command(IMPORT, &import)).await;
    }
    let first = ["a@1", "--to", "pair.npy"];
    let first = gateway.run_json(&command(EXPORT, &first)).await;
    let second = ["b@1", "--to", "pair.fvecs"];
    gateway.run_json(&command(EXPORT, &second)).await;
    (provider, gateway, first)
}

const COPY: [&str; 6] = [
    "embeddings",
    "snapshot",
    "import",
    "copy",
    "--from",
    "pair.npy",
];

/// Runs what must succeed; returns what it says beside its answer.
async fn said(gateway: &TestGateway, arguments: &[&str]) -> String {
    let output = gateway.run(arguments).await;
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stderr).unwrap()
}

#[tokio::test]
async fn a_file_that_is_not_as_it_was_exported_is_refused() {
    let (_provider, gateway, first) = paired().await;
    let path = |name: &str| gateway.path().join(name);
    let files = ["pair.npy", "pair.npy.ids.jsonl", "pair.npy.manifest.json"];
    assert_eq!(first["files"], json!(files));
    let told = said(&gateway, &COPY).await;
    assert!(
        told.contains("Rows are named by `pair.npy.ids.jsonl`."),
        "{told}"
    );
    let show = async |name: &str| {
        let show = ["embeddings", "snapshot", "show", name];
        gateway.run_json(&show).await
    };
    assert_eq!(show("copy@1").await["id"], show("a@1").await["id"]);

    // One bit of a vector, a name, and a file that is not there.
    let vectors = fs::read(path("pair.npy")).unwrap();
    let mut damaged = vectors.clone();
    *damaged.last_mut().unwrap() ^= 1;
    fs::write(path("pair.npy"), &damaged).unwrap();
    let error = refused(&gateway, &COPY).await;
    assert!(
        error.contains("was not written with `pair.npy` as it is now: its bytes are others"),
        "{error}"
    );
    assert!(
        error.contains("hint: export the snapshot again; if the file"),
        "{error}"
    );
    fs::write(path("pair.npy"), &vectors).unwrap();
    let names = fs::read_to_string(path("pair.npy.ids.jsonl")).unwrap();
    fs::write(path("pair.npy.ids.jsonl"), names.replace("a0", "c00")).unwrap();
    let error = refused(&gateway, &COPY).await;
    assert!(
        error.contains("with `pair.npy.ids.jsonl` as it is now: it has"),
        "{error}"
    );
    fs::remove_file(path("pair.npy.ids.jsonl")).unwrap();
    let error = refused(&gateway, &COPY).await;
    assert!(error.contains("none stands beside `pair.npy`"), "{error}");
}

#[tokio::test]
async fn a_manifest_is_held_against_what_comes() {
    let (_provider, gateway, _) = paired().await;
    let path = |name: &str| gateway.path().join(name);
    // One that was changed by hand is none.
    let manifest = path("pair.npy.manifest.json");
    let text = fs::read_to_string(&manifest).unwrap();
    let changed = text.replace("\"dimensions\": 2", "\"dimensions\": 100");
    fs::write(&manifest, changed).unwrap();
    let error = refused(&gateway, &COPY).await;
    assert!(
        error.contains("pair.npy.manifest.json` is damaged as a manifest: its identity is not"),
        "{error}"
    );

    // One of before there were digests: what can be checked is.
    let mut old: Value = serde_json::from_str(&text).unwrap();
    assert!(old.as_object_mut().unwrap().remove("exported").is_some());
    fs::write(&manifest, old.to_string()).unwrap();
    let told = said(&gateway, &COPY).await;
    assert!(
        told.contains("pair.npy.manifest.json has no digests"),
        "{told}"
    );
    fs::copy(path("pair.fvecs.ids.jsonl"), path("pair.npy.ids.jsonl")).unwrap();
    let error = refused(&gateway, &COPY).await;
    assert!(
        error.contains("`pair.npy.manifest.json` is of other items"),
        "{error}"
    );
    assert!(error.contains("move the manifest away"), "{error}");
    write(&gateway, "a.jsonl", &four("a")[..3]);
    fs::copy(&manifest, path("a.jsonl.manifest.json")).unwrap();
    let error = refused(&gateway, &command(IMPORT, &["copy", "--from", "a.jsonl"])).await;
    assert!(error.contains("says 4 items, and 3 came"), "{error}");
    let list = gateway
        .run_json(&["embeddings", "snapshot", "list", "copy"])
        .await;
    assert_eq!(list["data"].as_array().unwrap().len(), 1, "{list}");
}

#[tokio::test]
async fn a_failed_import_leaves_nothing_the_corrected_file_is_held_against() {
    let (_provider, gateway) = started().await;
    // More rows than are sent together.
    let row = |row: usize, vector: &[f32]| json!({"id": row.to_string(), "text": format!("text {row}"), "vector": vector});
    let mut rows: Vec<Value> = (0..5001).map(|at| row(at, &[1.0, 0.0])).collect();
    let import = ["docs", "--from", "rows.jsonl", "--model", MODEL];
    rows.push(row(5001, &[1.0, 0.0, 0.0]));
    write(&gateway, "rows.jsonl", &rows);
    let error = refused(&gateway, &command(IMPORT, &import)).await;
    assert!(
        error.contains("the vector has 3 dimensions, not 2"),
        "{error}"
    );
    // A text with two vectors, in two parts.
    let mut twice = row(5001, &[0.0, 1.0]);
    twice["text"] = json!("text 0");
    rows[5001] = twice;
    write(&gateway, "rows.jsonl", &rows);
    let error = refused(&gateway, &command(IMPORT, &import)).await;
    assert!(
        error.contains("1 of the rows 5001 to 5002 have another vector than is kept"),
        "{error}"
    );
    assert!(error.contains("snapshot gc"), "{error}");
    // The same texts with other vectors, of another length too.
    let rows: Vec<Value> = (0..5001).map(|at| row(at, &[0.0, 0.0, 1.0])).collect();
    write(&gateway, "rows.jsonl", &rows);
    let made = gateway.run_json(&command(IMPORT, &import)).await;
    assert_eq!(
        (
            &made["rows"],
            &made["known"],
            &made["snapshot"]["dimensions"]
        ),
        (&json!(5001), &json!(0), &json!(3))
    );
    let verified = gateway
        .run_json(&["embeddings", "snapshot", "verify"])
        .await;
    assert_eq!(verified["ok"], true, "{verified}");
}

/// Vectors on a circle, with the corners of a square beside it, so that neighbours are known.
fn circle(count: usize) -> Vec<Value> {
    let rows = (0..count).map(|n| {
        let angle = f64::from(u32::try_from(n).unwrap()) * 0.005;
        json!({"id": format!("d{n}"), "vector": [angle.cos(), angle.sin(), 0.1, 0.2]})
    });
    rows.collect()
}

async fn found(gateway: &TestGateway, vector: &Value, space: &Value, is_exact: bool) -> Value {
    let body = json!({
        "snapshots": ["docs@1"], "vector": vector, "space": space, "k": 3, "is_exact": is_exact,
    });
    let answer = gateway.admin().post("/api/embeddings/search", &body).await;
    let answer = answer.json();
    answer["data"][0].clone()
}

fn ids(found: &Value) -> Vec<&str> {
    let results = found["results"].as_array().unwrap();
    results
        .iter()
        .map(|hit| hit["id"].as_str().unwrap())
        .collect()
}

/// Who asks for an index that is not used is told so.
async fn unused_is_told(gateway: &TestGateway) {
    let shown = gateway
        .run(&["embeddings", "index", "show", "docs@1"])
        .await;
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(
        shown.contains("it is not used, searches look at every item"),
        "{shown}"
    );
    let told = refused(gateway, &["embeddings", "snapshot", "verify"]).await;
    assert!(told.contains("docs@1: its index is not used"), "{told}");
    for recall in ["nan", "1.5"] {
        let build = ["embeddings", "index", "build", "docs@1", "--recall", recall];
        let refused = gateway.run(&build).await;
        assert_eq!(refused.status.code(), Some(2), "{refused:?}");
        let told = String::from_utf8(refused.stderr).unwrap();
        assert!(
            told.contains("--recall") && told.contains("from 0 to 1"),
            "{told}"
        );
    }
}

/// An index goes on without an item that was deleted, also when it is read from its file.
async fn goes_on_without(gateway: &mut TestGateway, item: &str, asked: (&Value, &Value)) {
    let scanned = found(gateway, asked.0, asked.1, true).await;
    for _ in 0..2 {
        let without = found(gateway, asked.0, asked.1, false).await;
        assert_eq!(without["chosen"]["graph"]["effort"], 64);
        assert!(!ids(&without).contains(&item), "{without}");
        assert_eq!(ids(&without)[0], ids(&scanned)[0]);
        gateway.kill9().await;
        gateway.restart().await;
    }
}

/// Puts back the file of an index over rows of which one was deleted: it is not taken for one of those left.
async fn is_scanned_with(
    gateway: &mut TestGateway,
    file: &Path,
    whole: &[u8],
    asked: (&Value, &Value),
) {
    gateway.kill9().await;
    fs::write(file, whole).unwrap();
    gateway.restart().await;
    let without = found(gateway, asked.0, asked.1, false).await;
    assert_eq!(without["chosen"], json!({"exact": "no_index"}));
    let scanned = found(gateway, asked.0, asked.1, true).await;
    assert_eq!(ids(&without), ids(&scanned));
}

#[tokio::test]
async fn an_index_answers_says_so_and_never_shows_what_was_deleted() {
    let (_provider, mut gateway) = started().await;
    let rows = circle(1_200);
    write(&gateway, "circle.jsonl", &rows);
    let import = ["docs", "--from", "circle.jsonl", "--model", MODEL];
    let made = gateway.run_json(&command(IMPORT, &import)).await;
    let space = &made["snapshot"]["space_id"];
    let vector = &rows[500]["vector"];
    let index = |what| ["embeddings", "index", what, "docs@1"];
    let few = gateway.run_json(&index("build")).await;
    assert_eq!(few["exact"], "few_rows");

    let build = [
        &index("build")[..],
        &["--links", "4", "--least-rows", "100", "--recall", "0.5"],
    ]
    .concat();
    let built = gateway.run_json(&build).await;
    let facts = &built["snapshot"]["index"];
    assert_eq!(facts["kind"], "hnsw");
    assert!(facts["recall"].as_f64().unwrap() >= 0.5, "{built}");
    let shown = gateway.run(&index("show")).await;
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(shown.starts_with("docs@1: hnsw, 4 links"), "{shown}");

    let exact = found(&gateway, vector, space, true).await;
    assert_eq!(exact["chosen"], json!({"exact": "asked"}));
    let graph = found(&gateway, vector, space, false).await;
    assert_eq!(graph["chosen"]["graph"]["effort"], 64, "{graph}");
    assert_eq!(ids(&graph)[0], "d500");

    // It is read from its file, and a file that is damaged is no error.
    gateway.kill9().await;
    gateway.restart().await;
    let again = found(&gateway, vector, space, false).await;
    assert_eq!(again["chosen"], graph["chosen"]);
    gateway.kill9().await;
    let id = made["snapshot"]["id"].as_str().unwrap();
    let file = gateway
        .data_dir()
        .join(format!("embeddings/indexes/{id}.index"));
    let whole = fs::read(&file).unwrap();
    fs::write(&file, &whole[..whole.len() / 2]).unwrap();
    gateway.restart().await;
    let scanned = found(&gateway, vector, space, false).await;
    assert_eq!(scanned["chosen"], json!({"exact": "no_index"}));
    assert_eq!(ids(&scanned), ids(&exact));
    unused_is_told(&gateway).await;

    gateway.run_json(&build).await;
    let delete = ["embeddings", "snapshot", "delete-item", "docs", "d500"];
    gateway.run_json(&delete).await;
    let smaller = fs::read(&file).unwrap();
    assert_ne!(smaller, whole, "it is an index of what is left");
    goes_on_without(&mut gateway, "d500", (vector, space)).await;
    is_scanned_with(&mut gateway, &file, &whole, (vector, space)).await;
    gateway.run_json(&build).await;
    let without = found(&gateway, vector, space, false).await;
    assert_eq!(without["chosen"]["graph"]["effort"], 64);
    assert!(!ids(&without).contains(&"d500"), "{without}");
    gateway.run_json(&index("drop")).await;
    assert!(!file.exists());
}

#[tokio::test]
async fn the_table_of_vectors_is_made_anew_and_leftovers_are_swept() {
    let (_provider, gateway) = started().await;
    write(&gateway, "circle.jsonl", &circle(20));
    let import = ["docs", "--from", "circle.jsonl", "--model", MODEL];
    gateway.run_json(&command(IMPORT, &import)).await;
    let rebuilt = gateway.run_json(&["embeddings", "store", "rebuild"]).await;
    assert_eq!(rebuilt["ok"], true);
    let embeddings = gateway.data_dir().join("embeddings");
    for name in ["imports/import-0.jsonl", "indexes/snap-0.index"] {
        let path = embeddings.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "left behind").unwrap();
    }
    gateway.run_json(&["embeddings", "snapshot", "gc"]).await;
    for name in ["imports/import-0.jsonl", "indexes/snap-0.index"] {
        assert!(!embeddings.join(name).exists(), "{name}");
    }
    let verified = gateway
        .run_json(&["embeddings", "snapshot", "verify"])
        .await;
    assert_eq!(
        (&verified["ok"], &verified["vectors"]),
        (&json!(true), &json!(20))
    );
}

/// Embeds by counting letters.
fn embedder(request: &Received) -> Answer {
    let body = request.json();
    let texts = body["input"].as_array().unwrap().iter().enumerate();
    let data: Vec<Value> = texts
        .map(|(index, text)| {
            let bytes = text.as_str().unwrap().bytes();
            let sum: u32 = bytes.map(u32::from).sum();
            let angle = f64::from(sum);
            json!({"object": "embedding", "index": index, "embedding": [angle.cos(), angle.sin(), 0.1, 0.2]})
        })
        .collect();
    let tokens = data.len() * 3;
    Answer::json(&json!({
        "object": "list", "model": "m", "data": data,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }))
}

#[tokio::test]
async fn queries_of_a_comparison_are_asked_patiently_within_a_limit_and_kept() {
    let (provider, gateway) = started().await;
    write(&gateway, "circle.jsonl", &circle(60));
    for collection in ["a", "b"] {
        let import = [collection, "--from", "circle.jsonl", "--model", MODEL];
        gateway.run_json(&command(IMPORT, &import)).await;
    }
    let queries: Vec<Value> = (0..20)
        .map(|n| json!({"id": format!("q{n}"), "text": format!("query number {n}")}))
        .collect();
    write(&gateway, "queries.jsonl", &queries);
    provider.always(embedder);
    let compare = [
        "embeddings",
        "compare",
        "a@1",
        "b@1",
        "--queries",
        "queries.jsonl",
    ];
    let poor = [&compare[..], &["--max-cost", "0.0000001"]].concat();
    let error = refused(&gateway, &poor).await;
    assert!(error.contains("is reached"), "{error}");
    assert_eq!(provider.journal().len(), 0, "nothing was paid");

    let busy = json!({"error": {"message": "slow down", "type": "requests", "code": "rate_limit_exceeded"}});
    for _ in 0..2 {
        let headers = [("retry-after-ms", "5")];
        provider.next(Answer::status(429, &headers, &busy.to_string()));
    }
    let rich = [&compare[..], &["--max-cost", "1"]].concat();
    gateway.run_json(&rich).await;
    let asked = provider.journal().len();
    gateway.run_json(&["embeddings", "snapshot", "gc"]).await;
    gateway.run_json(&rich).await;
    assert_eq!(provider.journal().len(), asked, "kept, also by gc");
}
