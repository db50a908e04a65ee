//! The three actors of a scenario: a client, the gateway, and a provider that does as it is told.

mod client;
mod gateway;
mod git;
pub(crate) mod otlp;
mod provider;
mod scripted;
mod small_disk;

use std::future::Future;
use std::time::Duration;
use tokio::time::Instant;

pub(crate) use client::{Client, Connection, Response};
pub(crate) use gateway::{Call, PROVIDER_KEY, Setup, TestGateway};
pub(crate) use git::{GitServer, git, git_by, greet};
pub(crate) use provider::{Answer, Ending, FakeProvider, Received, chat_events, default_answer};
pub(crate) use scripted::scripted;
pub(crate) use small_disk::SmallDisk;

/// How long a test waits for something that must happen before it fails.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// A prompt with one variable, as most scenarios use it.
pub(crate) const GREET: &str = "---\n\
    model: openai/gpt-4o-mini\n\
    config:\n  temperature: 0.5\n\
    input:\n  schema:\n    name: string\n\
    ---\n\
    Greet {{name}} politely.\n";

/// Waits for `future`, and fails the test naming `what` when it takes too long.
pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future)
        .await
        .unwrap_or_else(|_| panic!("{what}: nothing happened within {DEADLINE:?}"))
}

/// Asks again and again until `attempt` has an answer. The attempts pace themselves, since each
/// asks a process or a socket.
pub(crate) async fn eventually<T>(what: &str, mut attempt: impl AsyncFnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = attempt().await {
            return found;
        }
        assert!(
            start.elapsed() < DEADLINE,
            "{what}: not so within {DEADLINE:?}"
        );
        tokio::task::yield_now().await;
    }
}

/// A chat request to the model `gpt-4o-mini` whose `user` is `tag`, by which the provider's
/// journal finds it again.
pub(crate) fn chat(tag: &str) -> serde_json::Value {
    serde_json::json!({
        "model": "gpt-4o-mini",
        "messages": [{"role": "user", "content": "hello"}],
        "user": tag,
    })
}

/// The same as a stream.
pub(crate) fn streamed_chat(tag: &str) -> serde_json::Value {
    let mut body = chat(tag);
    body["stream"] = true.into();
    body
}

/// Returns how much memory of its own a process has, in KiB: without the pages of the program's file, which come
/// with each part of it that runs for the first time.
pub(crate) fn own_memory_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
    kib.unwrap().parse().unwrap()
}
