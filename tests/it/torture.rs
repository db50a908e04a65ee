//! `kill -9` under load, round after round: no acknowledged call is missing, no upstream call is
//! without an intent, and every intent has exactly one outcome.
//!
//! `PROMPTGATE_TORTURE_ROUNDS` sets the number of rounds (5), `PROMPTGATE_TORTURE_SEED` replays one
//! order of kills; `scripts/torture` runs many.

use crate::support::{
    Answer, Client, FakeProvider, Setup, TestGateway, chat, default_answer, streamed_chat,
};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::task::JoinSet;

/// Clients that call at once.
const CLIENTS: usize = 12;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_minus_nine_loses_nothing() {
    let rounds = number("PROMPTGATE_TORTURE_ROUNDS", 5);
    let mut random = Random(number("PROMPTGATE_TORTURE_SEED", 0x5eed));
    let provider = FakeProvider::start().await;
    provider.always(|request| match request.tag().as_str() {
        "slow" => Answer::stream(&["a", "b", "c", "d"]).pace(Duration::from_millis(2)),
        "failing" => Answer::status(500, &[("x-should-retry", "false")], "{\"error\":{}}"),
        "late" => Answer::reply("late").delay(Duration::from_millis(3)),
        _ => default_answer(request),
    });
    // Small segments, so that kills also meet the change from one to the next.
    let mut gateway = Setup::of(&provider)
        .config("[store]\nsegment = \"256KiB\"\n")
        .start()
        .await;
    let mut acknowledged = HashMap::new();

    for round in 0..rounds {
        let before = provider.journal().len();
        let is_over = Arc::new(AtomicBool::new(false));
        let mut clients = JoinSet::new();
        for place in 0..CLIENTS {
            clients.spawn(call_until_over(
                gateway.client(),
                place,
                Arc::clone(&is_over),
            ));
        }
        let kill_after = 20 + usize::try_from(random.below(300)).unwrap();
        provider.wait_for_requests(before + kill_after).await;
        gateway.kill9().await;
        is_over.store(true, Ordering::Relaxed);
        for seen in clients.join_all().await {
            acknowledged.extend(seen);
        }
        gateway.restart().await;
        check(
            &gateway,
            &provider,
            &acknowledged,
            &format!("round {round}"),
        )
        .await;
    }
}

/// Calls until the gateway is dead, and returns the ids of the calls whose end was seen, with the
/// state that the client would swear to.
async fn call_until_over(
    client: Client,
    place: usize,
    is_over: Arc<AtomicBool>,
) -> HashMap<String, &'static str> {
    let mut seen = HashMap::new();
    let body = match place % 4 {
        0 => streamed_chat("quick"),
        1 => streamed_chat("slow"),
        2 if place == 2 => chat("failing"),
        3 => chat("late"),
        _ => chat("plain"),
    };
    while !is_over.load(Ordering::Relaxed) {
        let Some(response) = client.try_chat(&body).await else {
            continue;
        };
        let is_done = response.text().contains("data: [DONE]\n\n");
        let is_stream = response.header("content-type") == Some("text/event-stream");
        if response.complete && response.status == 200 && (is_done || !is_stream) {
            seen.insert(response.call_id().to_owned(), "ok");
        } else if response.complete && 500 <= response.status {
            seen.insert(response.call_id().to_owned(), "upstream_error");
        }
    }
    seen
}

/// Compares the records with what the clients and the provider know.
async fn check(
    gateway: &TestGateway,
    provider: &FakeProvider,
    acknowledged: &HashMap<String, &'static str>,
    round: &str,
) {
    let calls = gateway.all_calls().await;
    let states: HashMap<&str, &str> = calls.iter().map(|call| (call.id(), call.state())).collect();
    assert_eq!(states.len(), calls.len(), "{round}: an id is there twice");
    for call in &calls {
        assert!(
            call.has_ended(),
            "{round}: an intent has no outcome: {call:?}"
        );
    }
    for (id, state) in acknowledged {
        let recorded = states.get(id.as_str()).copied();
        assert_eq!(recorded, Some(*state), "{round}: acknowledged call {id}");
    }
    let asked: HashSet<String> = provider
        .journal()
        .iter()
        .map(|request| request.call_id().expect("every call has an id").to_owned())
        .collect();
    for id in &asked {
        assert!(
            states.contains_key(id.as_str()),
            "{round}: no intent for upstream call {id}"
        );
    }
    assert!(
        !acknowledged.is_empty(),
        "{round}: nothing was acknowledged, so nothing is proven"
    );
    eprintln!(
        "{round}: {} acknowledged, {} asked upstream, {} recorded, {} recovered",
        acknowledged.len(),
        asked.len(),
        calls.len(),
        states
            .values()
            .filter(|state| **state == "crash_recovered")
            .count()
    );
}

/// A number from the environment of the test.
fn number(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text
            .parse()
            .unwrap_or_else(|_| panic!("`{name}` is `{text}`, not a number")),
        Err(_) => default,
    }
}

/// A small generator (splitmix64): the order of kills can be replayed from its seed.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }
}
