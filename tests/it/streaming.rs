//! Streams: cut by either side at every byte, they end once, truly, and are recorded once.

use crate::support::{
    Answer, Client, Ending, FakeProvider, Received, Response, Setup, TestGateway, chat_events,
    streamed_chat,
};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// How many cut streams are under way at once: few enough that their times are the gateway's.
const AT_ONCE: usize = 4;

#[tokio::test]
async fn a_stream_passes_through_and_hides_the_usage_nobody_asked_for() {
    let provider = FakeProvider::start().await;
    let gateway = TestGateway::start(&provider).await;
    let upstream = chat_events(&["h", "i"]);
    provider.next(Answer::stream(&["h", "i"]));

    let response = gateway.client().chat(&streamed_chat("hidden")).await;

    let expected: String = upstream
        .iter()
        .filter(|event| !event.contains("usage"))
        .cloned()
        .collect();
    assert_eq!(response.text(), expected);
    assert!(response.complete);
    assert_eq!(response.header("content-type"), Some("text/event-stream"));
    let asked = provider.received("hidden")[0].json();
    assert_eq!(asked["stream_options"]["include_usage"], true);
    let record = gateway.record(response.call_id()).await;
    assert_eq!(record["outcome"]["state"], "ok");
    assert_eq!(record["outcome"]["usage_reported"]["total_tokens"], 11);
    assert_eq!(record["outcome"]["finish_reason"], "stop");
    assert_eq!(record["outcome"]["output_format"], "assembled");
    assert_eq!(record["output"]["choices"][0]["message"]["content"], "hi");
}

#[tokio::test]
async fn a_client_that_asked_for_usage_gets_every_byte() {
    let provider = FakeProvider::start().await;
    let gateway = TestGateway::start(&provider).await;
    provider.next(Answer::stream(&["h", "i"]));
    let mut body = streamed_chat("shown");
    body["stream_options"] = json!({"include_usage": true});

    let response = gateway.client().chat(&body).await;

    assert_eq!(response.text(), chat_events(&["h", "i"]).concat());
    assert_eq!(provider.received("shown")[0].json(), body);
}

/// Comments, `\r\n`, several data lines and unknown fields are the provider's business.
#[tokio::test]
async fn odd_but_lawful_events_pass_through() {
    let provider = FakeProvider::start().await;
    let gateway = TestGateway::start(&provider).await;
    let mut events = chat_events(&["h", "\u{1f980}"]);
    events.insert(0, ": keep-alive\n\n".to_owned());
    events[2] = events[2].replace("data: ", "id: 7\ndata:");
    events.retain(|event| !event.contains("usage"));
    let whole = events.concat();
    // One chunk for each byte: characters and lines are torn apart.
    let bytes: Vec<String> = whole.chars().map(String::from).collect();
    provider.next(Answer::events(
        &bytes.iter().map(String::as_str).collect::<Vec<_>>(),
    ));

    let response = gateway.client().chat(&streamed_chat("odd")).await;

    assert_eq!(response.text(), whole);
    assert_eq!(
        gateway.record(response.call_id()).await["outcome"]["state"],
        "ok"
    );
}

#[tokio::test]
async fn the_first_content_does_not_wait_for_the_second() {
    let provider = FakeProvider::start().await;
    let gateway = TestGateway::start(&provider).await;
    provider.next(Answer::stream(&["h", "i"]).gate_after(2));

    let mut connection = gateway.client().open_chat(&streamed_chat("gated")).await;
    connection.read_until("\"content\":\"h\"").await;
    assert!(!connection.text().contains("\"content\":\"i\""));
    provider.release();
    let response = connection.read_response().await.unwrap();

    assert_eq!(response.events().last().map(String::as_str), Some("[DONE]"));
}

/// The provider breaks the connection after every possible number of bytes.
#[tokio::test]
async fn a_stream_cut_by_the_provider_at_any_byte_ends_truly() {
    for ending in [Ending::Close, Ending::Reset] {
        let provider = FakeProvider::start().await;
        let gateway = TestGateway::start(&provider).await;
        provider.always(move |request| {
            let offset = request.tag().strip_prefix("cut-").unwrap().parse().unwrap();
            Answer::stream(&["h", "i"]).cut(offset, ending)
        });
        let length = Answer::stream(&["h", "i"]).len();

        let responses = for_each_offset(0..=length, gateway.client(), async |client, offset| {
            client.chat(&streamed_chat(&format!("cut-{offset}"))).await
        })
        .await;

        let calls = gateway.ended_calls(length + 1).await;
        let whole = chat_events(&["h", "i"]).concat();
        for (offset, response) in responses {
            let named = format!("{ending:?} at {offset}");
            let call = calls.iter().find(|call| call.id() == response.call_id());
            let state = call.unwrap_or_else(|| panic!("{named}: no record")).state();
            judge_cut(&named, &response, state, &whole);
        }
    }
}

/// A stream is either whole, or says that it is not; its record says the same.
fn judge_cut(named: &str, response: &Response, state: &str, upstream: &str) {
    let events = response.events();
    let is_done = events.iter().any(|event| event == "[DONE]");
    assert_eq!(is_done, state == "ok", "{named}: `{state}` with {events:?}");
    assert!(
        response.complete,
        "{named}: the client's HTTP body is broken, too"
    );
    if is_done {
        assert_eq!(response.status, 200, "{named}");
        assert_eq!(events.last().map(String::as_str), Some("[DONE]"), "{named}");
        return;
    }
    assert_eq!(state, "upstream_error", "{named}");
    if response.status == 200 {
        let last: Value = serde_json::from_str(events.last().unwrap()).unwrap();
        assert!(
            last["error"]["message"].is_string(),
            "{named}: ends with {last}"
        );
        for key in ["type", "param", "code"] {
            assert!(
                last["error"].get(key).is_some(),
                "{named}: no `{key}` in {last}"
            );
        }
        let contents = &events[..events.len() - 1];
        assert!(
            !contents.is_empty(),
            "{named}: 200 before the first content"
        );
        for content in contents {
            assert!(
                upstream.contains(content.as_str()),
                "{named}: {content} was never sent"
            );
        }
    } else {
        assert_eq!(response.status, 502, "{named}");
        response.error();
    }
}

/// The client leaves after every possible number of bytes, while the provider holds the rest.
#[tokio::test]
async fn a_stream_left_by_the_client_at_any_byte_stops_the_provider() {
    let provider = FakeProvider::start().await;
    let gateway = TestGateway::start(&provider).await;
    provider.always(|_| Answer::stream(&["h", "i"]).gate_after(2));
    let mut connection = gateway.client().open_chat(&streamed_chat("measure")).await;
    // The length of the head varies by a few digits of the overhead.
    let length = connection.read_until("\"content\":\"h\"").await - 8;
    drop(connection);

    let provider = Arc::new(provider);
    let late = for_each_offset(0..=length, gateway.client(), |client, offset| {
        leave_at(Arc::clone(&provider), client, offset)
    })
    .await;

    // On a machine that has other work the odd one may wait for its turn; none waits for anything else.
    let mut took: Vec<Duration> = late.iter().map(|(_, took)| *took).collect();
    took.sort_unstable();
    let usual = took[took.len() * 9 / 10];
    assert!(
        usual <= Duration::from_millis(250),
        "cancelled after {usual:?}"
    );
    let longest = took[took.len() - 1];
    assert!(
        longest <= Duration::from_secs(5),
        "cancelled after {longest:?}"
    );
    let calls = gateway.ended_calls(length + 2).await;
    for call in &calls {
        assert_eq!(call.state(), "client_gone", "{call:?}");
    }
    assert_eq!(provider.journal().len(), calls.len());
}

/// Leaves after `offset` bytes. Returns how long the provider's work went on.
async fn leave_at(provider: Arc<FakeProvider>, client: Client, offset: usize) -> Duration {
    let tag = format!("leave-{offset}");
    let is_mine = |request: &Received| request.tag() == tag;
    let mut connection = client.open_chat(&streamed_chat(&tag)).await;
    provider.wait_for(&tag, is_mine).await;
    connection.read_exactly(offset).await;
    let left = Instant::now();
    if offset.is_multiple_of(2) {
        drop(connection);
    } else {
        connection.reset();
    }
    let is_over = |request: &Received| is_mine(request) && request.gone.is_some();
    let received = provider.wait_for(&tag, is_over).await;
    received.gone.unwrap().duration_since(left)
}

/// The client leaves while nothing is held back: whoever is first, there is one record.
#[tokio::test]
async fn a_client_that_leaves_during_the_rush_is_recorded_once() {
    let provider = FakeProvider::start().await;
    let gateway = TestGateway::start(&provider).await;
    let mut connection = gateway.client().open_chat(&streamed_chat("measure")).await;
    // The length of the head varies by a few digits of the overhead.
    let length = connection.read_until("\r\n0\r\n\r\n").await - 8;

    for_each_offset(1..=length, gateway.client(), async move |client, offset| {
        let mut connection = client.open_chat(&streamed_chat("rush")).await;
        connection.read_exactly(offset).await;
    })
    .await;

    provider.wait_for_requests(length + 1).await;
    let asked = provider.journal();
    let calls = gateway.ended_calls(asked.len()).await;
    for call in &calls {
        assert!(["ok", "client_gone"].contains(&call.state()), "{call:?}");
        let times = asked
            .iter()
            .filter(|request| request.call_id() == Some(call.id()))
            .count();
        assert_eq!(times, 1, "{call:?}");
    }
}

#[tokio::test]
async fn the_delivered_part_of_a_left_stream_is_recorded_and_priced() {
    let provider = FakeProvider::start().await;
    let gateway = TestGateway::start(&provider).await;
    provider.always(|_| Answer::stream(&["some delivered words", "more"]).gate_after(2));

    let mut connection = gateway.client().open_chat(&streamed_chat("part")).await;
    connection.read_until("delivered words").await;
    drop(connection);

    let id = gateway.ended_calls(1).await[0].id().to_owned();
    let record = gateway.record(&id).await;
    let outcome = &record["outcome"];
    assert_eq!(outcome["state"], "client_gone");
    assert_eq!(
        record["output"]["choices"][0]["message"]["content"],
        "some delivered words"
    );
    assert_eq!(outcome["cost"]["quality"], "estimated");
    assert!(
        0 < outcome["cost"]["pico_usd"].as_u64().unwrap(),
        "{outcome}"
    );
}

#[tokio::test]
async fn each_clock_of_a_stream_strikes() {
    let provider = FakeProvider::start().await;
    let gateway = Setup::of(&provider)
        .replace("total = \"10s\"", "total = \"3s\"")
        .start()
        .await;
    let pieces = ["a"; 40];
    provider.always(move |request| match request.tag().as_str() {
        "first" => Answer::hang(),
        "idle" => Answer::stream(&["h", "i"]).gate_after(2),
        "total" => Answer::stream(&pieces).pace(Duration::from_millis(200)),
        tag => panic!("nobody asks {tag}"),
    });

    let response = gateway.client().chat(&streamed_chat("first")).await;
    assert_eq!(response.status, 504, "{}", response.text());
    for tag in ["idle", "total"] {
        let response = gateway.client().chat(&streamed_chat(tag)).await;
        let events = response.events();
        assert_eq!(response.status, 200, "{tag}");
        assert!(
            events.last().unwrap().contains("\"error\""),
            "{tag}: {events:?}"
        );
        let record = gateway.record(response.call_id()).await;
        assert_eq!(record["outcome"]["state"], "timeout", "{tag}");
        let gone = |request: &Received| request.tag() == tag && request.gone.is_some();
        provider.wait_for("the cancellation", gone).await;
    }
}

#[tokio::test]
async fn an_error_event_before_content_is_retried_and_after_it_ends_the_stream() {
    let provider = FakeProvider::start().await;
    let gateway = TestGateway::start(&provider).await;
    let error = "data: {\"error\":{\"message\":\"overloaded\",\"type\":\"server_error\",\"code\":null}}\n\n";

    provider.next(Answer::events(&[error]));
    let response = gateway.client().chat(&streamed_chat("before")).await;
    assert_eq!(response.events().last().map(String::as_str), Some("[DONE]"));
    assert_eq!(provider.received("before").len(), 2);

    let content = chat_events(&["h"])[0].clone();
    provider.next(Answer::events(&[&content, error]));
    let response = gateway.client().chat(&streamed_chat("after")).await;
    assert!(response.events().last().unwrap().contains("\"error\""));
    assert!(!response.text().contains("[DONE]"));
    assert_eq!(provider.received("after").len(), 1);
    assert_eq!(
        gateway.record(response.call_id()).await["outcome"]["state"],
        "upstream_error"
    );
}

#[tokio::test]
async fn a_provider_that_answers_a_stream_with_json_is_understood() {
    let provider = FakeProvider::start().await;
    let gateway = TestGateway::start(&provider).await;
    provider.always(|_| {
        Answer::fail(
            400,
            &json!({"error": {"message": "no", "code": "bad_thing"}}),
        )
    });

    let response = gateway.client().chat(&streamed_chat("refused")).await;

    assert_eq!(response.failure(), "400 bad_thing");
    assert_eq!(
        gateway.record(response.call_id()).await["outcome"]["state"],
        "refused"
    );
}

/// Runs `visit` for each offset, several at once, and returns what each learned.
async fn for_each_offset<T: Send + 'static, F>(
    offsets: std::ops::RangeInclusive<usize>,
    client: Client,
    visit: impl Fn(Client, usize) -> F,
) -> Vec<(usize, T)>
where
    F: Future<Output = T> + Send + 'static,
{
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let mut visits = JoinSet::new();
    for offset in offsets {
        let place = Arc::clone(&places).acquire_owned().await.unwrap();
        let visit = visit(client.clone(), offset);
        visits.spawn(async move {
            let learned = visit.await;
            drop(place);
            (offset, learned)
        });
    }
    visits.join_all().await
}
