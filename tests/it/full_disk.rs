//! A disk that is really full: what the policy says is what happens, nothing that was acknowledged
//! is missing, and with the first free space everything goes on by itself.

use crate::support::{
    Answer, Connection, FakeProvider, Response, Setup, SmallDisk, TestGateway, chat,
    default_answer, eventually, streamed_chat,
};
use serde_json::Value;
use std::collections::HashMap;

/// The size of the disk, and of what is on it beside the gateway's data.
const DISK_MIB: u32 = 12;
const FILLER_MIB: usize = 6;
/// Streams that are open while the disk runs full.
const OPEN_STREAMS: usize = 4;

/// A gateway on a small disk, its provider, and its streams.
struct Scene {
    disk: SmallDisk,
    provider: FakeProvider,
    gateway: TestGateway,
    streams: Vec<Connection>,
}

/// Starts everything, and opens streams that the provider holds back.
async fn set_the_scene(on_full: &str) -> Scene {
    let provider = FakeProvider::start().await;
    provider.always(|request| match request.tag().as_str() {
        "open" => Answer::stream(&["h", &"i".repeat(20_000)]).gate_after(2),
        _ => default_answer(request),
    });
    let disk = SmallDisk::mount(DISK_MIB);
    disk.fill(FILLER_MIB);
    let mut gateway = Setup::of(&provider)
        .replace("idle = \"1s\"", "idle = \"60s\"")
        .replace("total = \"10s\"", "total = \"60s\"")
        .config(&format!(
            "[store]\non_full = \"{on_full}\"\nballast = \"1MiB\"\nsegment = \"1MiB\"\n"
        ))
        .prepare();
    std::os::unix::fs::symlink(disk.directory("data"), gateway.data_dir()).unwrap();
    gateway.restart().await;
    let ballast = gateway.data_dir().join("ballast");
    eventually("the ballast", async || ballast.exists().then_some(())).await;
    let mut streams = Vec::new();
    for _ in 0..OPEN_STREAMS {
        let mut stream = gateway.client().open_chat(&streamed_chat("open")).await;
        stream.read_until("\"content\":\"h\"").await;
        streams.push(stream);
    }
    Scene {
        disk,
        provider,
        gateway,
        streams,
    }
}

impl Scene {
    /// A call whose record takes a good part of the disk.
    async fn large_call(&self, tag: &str) -> Response {
        let mut body = chat(tag);
        body["messages"][0]["content"] = "x".repeat(50_000).into();
        self.gateway.client().chat(&body).await
    }

    /// Calls until a response is not as all before were. Returns the ids of those, and that one.
    async fn fill_by_calls(&self) -> (Vec<String>, Response) {
        let mut acknowledged = Vec::new();
        for round in 0..1000 {
            let response = self.large_call(&format!("fill-{round}")).await;
            let is_recorded = response.header("x-promptgate-durability") == Some("os");
            if response.status != 200 || !is_recorded {
                assert!(!acknowledged.is_empty(), "full before the first call");
                return (acknowledged, response);
            }
            acknowledged.push(response.call_id().to_owned());
        }
        panic!("{} calls did not fill the disk", acknowledged.len());
    }

    /// Lets the provider go on, and returns the ids of the streams, which end as if nothing were.
    async fn end_the_streams(&mut self) -> Vec<String> {
        self.provider.release();
        let mut ids = Vec::new();
        for stream in &mut self.streams {
            let response = stream.read_response().await.unwrap();
            assert_eq!(response.events().last().map(String::as_str), Some("[DONE]"));
            ids.push(response.call_id().to_owned());
        }
        ids
    }

    /// What the probe of a load balancer gets.
    async fn ready(&self) -> (u16, Value) {
        let response = self.gateway.client().get("/health/ready").await;
        (response.status, response.json())
    }

    /// Waits until the gateway is as well as it was.
    async fn wait_until_recording(&self) {
        eventually("readiness", async || {
            let (status, said) = self.ready().await;
            (status == 200 && said["warnings"].as_array().unwrap().is_empty()).then_some(())
        })
        .await;
    }

    /// Checks that the list has all of `ids` as `ok`, and exactly one record for each call that a
    /// provider got, but for those of `unrecorded`.
    async fn check_records(&self, ids: &[String], unrecorded: &[String]) {
        let asked = self.provider.journal();
        let calls = self
            .gateway
            .ended_calls(asked.len() - unrecorded.len())
            .await;
        let states: HashMap<_, _> = calls.iter().map(|call| (call.id(), call.state())).collect();
        for id in ids {
            assert_eq!(
                states.get(id.as_str()),
                Some(&"ok"),
                "acknowledged call {id}"
            );
        }
        for request in &asked {
            let id = request.call_id().unwrap();
            let is_excused = unrecorded.iter().any(|unrecorded| unrecorded == id);
            assert_ne!(states.contains_key(id), is_excused, "upstream call {id}");
        }
    }

    fn is_ballast_there(&self) -> bool {
        self.gateway.data_dir().join("ballast").exists()
    }
}

#[tokio::test]
async fn a_full_disk_refuses_calls_and_ends_those_in_flight() {
    let mut scene = set_the_scene("reject").await;

    let (mut acknowledged, refused) = scene.fill_by_calls().await;

    assert_eq!(refused.failure(), "503 journal_full", "{}", refused.text());
    let hint = refused.error()["hint"].as_str().unwrap().to_owned();
    assert!(hint.contains("free space"), "{hint}");
    assert!(refused.header("retry-after").is_some());
    let tag = format!("fill-{}", acknowledged.len());
    assert!(
        scene.provider.received(&tag).is_empty(),
        "asked without an intent"
    );
    let (status, said) = scene.ready().await;
    assert_eq!(status, 503, "{said}");
    assert!(
        said.to_string().contains("journal takes no records"),
        "{said}"
    );
    assert_eq!(scene.gateway.client().get("/health/live").await.status, 200);

    // What is in flight still ends, and is recorded in the room that was held back for it.
    acknowledged.extend(scene.end_the_streams().await);
    assert!(!scene.is_ballast_there(), "the ballast was not needed");
    let refused = scene.large_call("still-full").await;
    assert_eq!(refused.failure(), "503 journal_full");
    assert!(scene.provider.received("still-full").is_empty());

    scene.disk.free();
    scene.wait_until_recording().await;
    assert!(
        scene.is_ballast_there(),
        "nothing is held back for the next time"
    );
    let served = scene.large_call("again").await;
    assert_eq!(served.status, 200, "{}", served.text());
    acknowledged.push(served.call_id().to_owned());
    scene.check_records(&acknowledged, &[]).await;
}

/// The outcomes that the ballast made room for are in the journal, not in memory.
#[tokio::test]
async fn a_full_disk_and_a_kill_lose_nothing() {
    let mut scene = set_the_scene("reject").await;
    let (mut acknowledged, refused) = scene.fill_by_calls().await;
    assert_eq!(refused.failure(), "503 journal_full");
    acknowledged.extend(scene.end_the_streams().await);

    scene.gateway.kill9().await;
    // It starts on the full disk, too.
    scene.gateway.restart().await;
    assert_eq!(scene.gateway.client().get("/health/live").await.status, 200);
    scene.disk.free();

    scene.wait_until_recording().await;
    let served = scene.large_call("again").await;
    assert_eq!(served.status, 200, "{}", served.text());
    acknowledged.push(served.call_id().to_owned());
    scene.check_records(&acknowledged, &[]).await;
    // Commands find it, as soon as the disk took where it is.
    eventually("a command's answer", async || {
        let listed = scene.gateway.run(&["calls", "list"]).await;
        listed.status.success().then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_full_disk_serves_unrecorded_only_where_told_and_never_silently() {
    let mut scene = set_the_scene("serve_unrecorded").await;

    let (mut acknowledged, first) = scene.fill_by_calls().await;

    let mut unrecorded = vec![first.call_id().to_owned()];
    assert_eq!((first.status, first.content().as_str()), (200, "hello"));
    assert_eq!(first.header("x-promptgate-durability"), Some("none"));
    for round in 0..3 {
        let response = scene.large_call(&format!("gap-{round}")).await;
        assert_eq!(response.status, 200, "{}", response.text());
        assert_eq!(response.header("x-promptgate-durability"), Some("none"));
        unrecorded.push(response.call_id().to_owned());
    }
    acknowledged.extend(scene.end_the_streams().await);
    // Traffic is welcome, and whoever looks is told.
    let (status, said) = scene.ready().await;
    assert_eq!(status, 200, "{said}");
    assert!(
        said["warnings"].to_string().contains("served without one"),
        "{said}"
    );
    let gap = &scene.gateway.run_json(&["store", "gaps"]).await[0];
    assert_eq!(
        (&gap["to"], &gap["calls"]),
        (&Value::Null, &unrecorded.len().into())
    );
    let metrics = scene.gateway.admin().get("/metrics").await.text();
    let line = format!("promptgate_unrecorded_calls_total {}\n", unrecorded.len());
    assert!(metrics.contains(&line), "{metrics}");

    scene.disk.free();
    scene.wait_until_recording().await;
    let served = scene.large_call("again").await;
    assert_eq!(served.header("x-promptgate-durability"), Some("os"));
    acknowledged.push(served.call_id().to_owned());
    scene.check_records(&acknowledged, &unrecorded).await;
    let gaps = scene.gateway.run_json(&["store", "gaps"]).await;
    let [gap] = gaps.as_array().unwrap().as_slice() else {
        panic!("one gap: {gaps}");
    };
    assert_eq!(gap["calls"], unrecorded.len());
    assert!(
        gap["from"].as_i64().unwrap() < gap["to"].as_i64().unwrap(),
        "{gap}"
    );
    let log = scene.gateway.stderr();
    assert!(
        log.contains("calls went unrecorded while the disk was full"),
        "{log}"
    );
}
