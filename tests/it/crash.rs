//! `kill -9` while the store works on its own files: the index that is made anew, the segments that are
//! compressed. Nothing is lost, and the next start serves.

use crate::support::{FakeProvider, Setup, TestGateway, chat, eventually};
use std::fs;
use std::path::{Path, PathBuf};

/// What a call says, so that segments fill up.
const CONTENT_BYTES: usize = 20_000;

/// A gateway that has answered calls, and their ids in order.
async fn with_calls(provider: &FakeProvider, count: usize) -> (TestGateway, Vec<String>) {
    let gateway = Setup::of(provider)
        .config("[store]\nsegment = \"1MiB\"\nballast = \"1MiB\"\ncompress_after = \"1s\"\n")
        .start()
        .await;
    let mut ids = Vec::new();
    for place in 0..count {
        ids.push(serve(&gateway, place).await);
    }
    (gateway, ids)
}

/// One call, whose content is known by its place.
async fn serve(gateway: &TestGateway, place: usize) -> String {
    let mut body = chat("kept");
    body["messages"][0]["content"] = content(place).into();
    let response = gateway.client().chat(&body).await;
    assert_eq!(response.status, 200, "{}", response.text());
    response.call_id().to_owned()
}

fn content(place: usize) -> String {
    let words = (place..).map(|number| format!("{number:x} "));
    let mut text: String = words.take(CONTENT_BYTES / 3).collect();
    text.truncate(CONTENT_BYTES);
    text
}

/// Serves one call more, and checks that there is one `ok` record for each that was ever served.
async fn check(gateway: &TestGateway, ids: &mut Vec<String>) {
    ids.push(serve(gateway, ids.len()).await);
    let calls = gateway.ended_calls(ids.len()).await;
    let mut recorded: Vec<_> = calls.iter().map(|call| call.id()).collect();
    recorded.sort_unstable();
    let mut served: Vec<_> = ids.iter().map(String::as_str).collect();
    served.sort_unstable();
    assert_eq!(recorded, served);
    for call in &calls {
        assert_eq!(call.state(), "ok", "{call:?}");
    }
}

#[tokio::test]
async fn a_kill_while_the_index_is_rebuilt_loses_nothing() {
    const ROUNDS: usize = 6;
    let provider = FakeProvider::start().await;
    let (mut gateway, mut ids) = with_calls(&provider, 150).await;
    let index = gateway.data_dir().join("index");
    let mut interrupted = 0;
    for round in 0..ROUNDS {
        let mark = index.join("mark");
        fs::write(&mark, "of the old index").unwrap();
        let admin = gateway.admin();
        let mut rebuild = admin.connect().await;
        let request = admin.request("POST", "/api/store/rebuild", b"");
        rebuild.send(&request).await.unwrap();

        // As soon as the old index goes, or as the new one comes.
        eventually("the rebuild", async || {
            let is_begun = !mark.exists() && (round % 2 == 0 || index.join("db").exists());
            is_begun.then_some(())
        })
        .await;
        gateway.kill9().await;

        interrupted += usize::from(rebuild.read_response().await.is_none());
        gateway.restart().await;
        check(&gateway, &mut ids).await;
    }
    assert!(
        0 < interrupted,
        "every rebuild was over, so nothing is proven"
    );
    eprintln!("{interrupted} of {ROUNDS} rebuilds were interrupted");
}

/// An index that cannot be opened is set aside; the kill comes while its successor is made.
#[tokio::test]
async fn a_kill_after_the_index_was_set_aside_loses_nothing() {
    let provider = FakeProvider::start().await;
    let (mut gateway, mut ids) = with_calls(&provider, 150).await;
    let data_dir = gateway.data_dir();
    let aside = || {
        let is_aside = |path: &PathBuf| path.to_string_lossy().contains("index.broken-");
        files(&data_dir).into_iter().find(is_aside)
    };
    for _ in 0..3 {
        gateway.kill9().await;
        for file in ["conf", "db"] {
            fs::write(data_dir.join("index").join(file), [0xa5; 4096]).unwrap();
        }
        gateway.restart().await;
        let broken = eventually("the broken index set aside", async || aside()).await;
        fs::remove_dir_all(broken).unwrap();
        gateway.kill9().await;
        gateway.restart().await;
        check(&gateway, &mut ids).await;
    }
}

#[tokio::test]
async fn a_kill_while_segments_are_compressed_loses_nothing() {
    let provider = FakeProvider::start().await;
    let (mut gateway, mut ids) = with_calls(&provider, 300).await;
    let journal = gateway.data_dir().join("journal");
    for round in 0..4 {
        let packed = count(&journal, ".pgz");
        // While a compressed segment is written, or when it has just taken its place.
        eventually("a segment being compressed", async || {
            let is_under_way = match round % 2 {
                0 => 0 < count(&journal, ".pgz.tmp"),
                _ => packed < count(&journal, ".pgz"),
            };
            is_under_way.then_some(())
        })
        .await;
        gateway.kill9().await;
        gateway.restart().await;
        assert_eq!(count(&journal, ".tmp"), 0, "half-made files are left");
        check(&gateway, &mut ids).await;
    }

    // In the end all are compressed but the one that is written to, and everything can be read.
    eventually("all segments compressed", async || {
        (count(&journal, ".pgj") == 1).then_some(())
    })
    .await;
    assert!(5 < count(&journal, ".pgz"));
    assert_eq!(count(&journal, ".corrupt"), 0);
    for (place, id) in ids.iter().enumerate() {
        let record = gateway.record(id).await;
        let said = record["request"]["messages"][0]["content"]
            .as_str()
            .unwrap();
        assert!(said == content(place), "call {place} says something else");
    }
}

/// How many files of `dir` end with `ending`.
fn count(dir: &Path, ending: &str) -> usize {
    let named = |path: &&PathBuf| path.to_string_lossy().ends_with(ending);
    files(dir).iter().filter(named).count()
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).unwrap();
    entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect()
}
