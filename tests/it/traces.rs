//! Spans reach a collector over OTLP, with what a reader of traces looks for and nothing that must not be
//! there; a collector that is dead or silent costs nobody anything.

use crate::support::otlp::{self, Span};
use crate::support::{
    Answer, FakeProvider, PROVIDER_KEY, Received, Response, Setup, TestGateway, chat,
    default_answer, own_memory_kib, streamed_chat,
};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

/// A gateway that exports its spans to `endpoint`.
async fn exporting_to(endpoint: &str, provider: &FakeProvider) -> TestGateway {
    Setup::of(provider)
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
        .start()
        .await
}

async fn call(gateway: &TestGateway, stream: bool) -> Response {
    let mut body = if stream {
        streamed_chat("traced")
    } else {
        chat("traced")
    };
    body["model"] = "prompt:greet".into();
    body["prompt"] = json!({"variables": {"name": "Ada Lovelace"}});
    body["messages"][0]["content"] = format!("my key is {PROVIDER_KEY}").into();
    let traceparent = format!("00-{TRACE}-{PARENT}-01");
    let client = gateway.client().header("traceparent", &traceparent);
    client.chat(&body).await
}

#[tokio::test]
async fn a_collector_gets_each_call_in_the_clients_trace() {
    let (provider, collector) = (FakeProvider::start().await, FakeProvider::start().await);
    collector.always(|_| Answer::status(200, &[], ""));
    let endpoint = format!("http://{}", collector.address);
    let mut gateway = exporting_to(&endpoint, &provider).await;

    let responses = [call(&gateway, false).await, call(&gateway, true).await];
    let mut records = Vec::new();
    for response in &responses {
        assert_eq!(response.status, 200, "{}", response.text());
        records.push(gateway.record(response.call_id()).await);
    }
    gateway.terminate();
    assert_eq!(gateway.exited().await.code(), Some(0));

    let posts = collector.journal();
    let mut spans = Vec::new();
    for post in &posts {
        check_post(post);
        spans.extend(otlp::spans(&post.body));
    }
    assert_eq!(spans.len(), 2, "{spans:?}");
    for (response, record) in responses.iter().zip(&records) {
        let is_its_own = |span: &&Span| span.attributes["promptgate.call.id"] == response.call_id();
        let span = spans.iter().find(is_its_own).unwrap();
        check_span(span, record);
    }
}

/// The POST is OTLP, and holds no key and nothing that was said.
fn check_post(post: &Received) {
    assert_eq!(
        (post.method.as_str(), post.path.as_str()),
        ("POST", "/v1/traces")
    );
    assert_eq!(post.header("content-type"), Some("application/x-protobuf"));
    assert_eq!(post.header("authorization"), None);
    for private in [PROVIDER_KEY, "canary", "Ada Lovelace", "politely", "hello"] {
        let is_there = memchr::memmem::find(&post.body, private.as_bytes()).is_some();
        assert!(!is_there, "`{private}` is in the spans");
    }
}

fn check_span(span: &Span, record: &Value) {
    assert_eq!(span.name, "chat gpt-4o-mini");
    assert_eq!(
        (span.trace_id.as_str(), span.parent_id.as_str()),
        (TRACE, PARENT)
    );
    assert_eq!(span.resource["service.name"], "promptgate");
    let version = record["intent"]["prompt"]["hash"].as_str().unwrap();
    let attributes = &span.attributes;
    assert!(
        version.starts_with(&attributes["gen_ai.prompt.version"]),
        "{version}: {attributes:?}"
    );
    for (name, value) in [
        ("gen_ai.operation.name", "chat"),
        ("gen_ai.prompt.name", "greet"),
        ("gen_ai.provider.name", "openai"),
        ("gen_ai.request.model", "gpt-4o-mini"),
        ("gen_ai.usage.input_tokens", "9"),
        ("gen_ai.usage.output_tokens", "2"),
        ("gen_ai.response.finish_reasons", "stop"),
        ("promptgate.cost_usd", "0.00000255"),
        ("promptgate.state", "ok"),
        ("promptgate.attempts", "1"),
    ] {
        assert_eq!(
            attributes.get(name).map(String::as_str),
            Some(value),
            "{name}"
        );
    }
}

/// The span is the provider's parent: both sides of a call are one trace.
#[tokio::test]
async fn a_provider_is_told_the_span_it_works_for() {
    let (provider, collector) = (FakeProvider::start().await, FakeProvider::start().await);
    collector.always(|_| Answer::status(200, &[], ""));
    // The path may be there already, as some write it.
    let endpoint = format!("http://{}/v1/traces", collector.address);
    let mut gateway = exporting_to(&endpoint, &provider).await;

    call(&gateway, false).await;
    gateway.terminate();
    assert_eq!(gateway.exited().await.code(), Some(0));

    let post = &collector.journal()[0];
    assert_eq!(post.path, "/v1/traces");
    let span = &otlp::spans(&post.body)[0];
    let told = provider.journal()[0]
        .header("traceparent")
        .unwrap()
        .to_owned();
    assert_eq!(told, format!("00-{TRACE}-{}-01", span.span_id));
}

/// Nobody listens, or somebody does and never answers: calls are answered, and the process ends.
#[tokio::test]
async fn a_dead_collector_delays_neither_calls_nor_the_end() {
    let silent = FakeProvider::start().await;
    silent.always(|_| Answer::hang());
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let closed = nobody.local_addr().unwrap();
    drop(nobody);
    for address in [silent.address, closed] {
        let provider = FakeProvider::start().await;
        let mut gateway = exporting_to(&format!("http://{address}"), &provider).await;
        assert_eq!(call(&gateway, false).await.status, 200);
        if address == silent.address {
            // From here on the exporter waits for an answer that never comes.
            silent.wait_for_requests(1).await;
        }
        for _ in 0..3 {
            assert_eq!(call(&gateway, false).await.status, 200);
            assert!(call(&gateway, true).await.text().contains("[DONE]"));
        }
        gateway.terminate();
        assert_eq!(gateway.exited().await.code(), Some(0));
        assert_eq!(gateway.calls().await.len(), 7);
    }
}

/// Spans that nobody takes are dropped beyond the queue.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_collector_costs_no_memory_beyond_the_queue() {
    /// More than the queue holds.
    const FILLING: usize = 4_500;
    const MORE: usize = 1_500;
    /// What as many calls may cost beside their spans: the index's cache, the journal's tail.
    const BOUND_KIB: u64 = 6 * 1024;
    let collector = FakeProvider::start().await;
    collector.always(|_| Answer::hang());
    let provider = FakeProvider::start().await;
    provider.always(default_answer);
    let mut gateway = exporting_to(&format!("http://{}", collector.address), &provider).await;

    call_often(&gateway, FILLING).await;
    let before = own_memory_kib(gateway.pid());
    call_often(&gateway, MORE).await;
    let after = own_memory_kib(gateway.pid());

    eprintln!("{before} KiB with a full queue, {after} KiB {MORE} calls later");
    assert!(
        after <= before + BOUND_KIB,
        "from {before} KiB to {after} KiB"
    );
    assert!(!collector.journal().is_empty(), "nothing was exported");
    gateway.terminate();
    assert_eq!(gateway.exited().await.code(), Some(0));
}

/// Makes `count` calls over a few connections that stay open.
async fn call_often(gateway: &TestGateway, count: usize) {
    const CLIENTS: usize = 4;
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        let client = gateway.client();
        clients.spawn(async move {
            let body = chat("often").to_string();
            let request = client.request("POST", "/v1/chat/completions", body.as_bytes());
            let mut connection = client.connect().await;
            for _ in 0..count / CLIENTS {
                connection.send(&request).await.unwrap();
                assert_eq!(connection.read_response().await.unwrap().status, 200);
            }
        });
    }
    clients.join_all().await;
}
