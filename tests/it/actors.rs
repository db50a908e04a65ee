//! The actors test themselves: a scenario proves nothing when its provider or client is wrong.

use crate::support::{
    Answer, Client, Ending, FakeProvider, Received, chat, chat_events, streamed_chat,
};
use serde_json::json;

#[tokio::test]
async fn the_provider_plays_its_script_in_order_and_keeps_a_journal() {
    let provider = FakeProvider::start().await;
    let client = Client::new(provider.address).header("x-request-id", "call-1");
    provider.next(Answer::reply("first"));
    provider.next(Answer::fail(503, &json!({"error": "busy"})));

    assert_eq!(client.chat(&chat("a")).await.content(), "first");
    let second = client.chat(&chat("b")).await;
    assert_eq!(
        (second.status, second.json()),
        (503, json!({"error": "busy"}))
    );
    let third = client.chat(&streamed_chat("c")).await;
    assert!(third.complete);
    assert_eq!(third.events().last().map(String::as_str), Some("[DONE]"));

    provider
        .wait_for("the last", |request| {
            request.tag() == "c" && request.answered
        })
        .await;
    let tags: Vec<String> = provider.journal().iter().map(Received::tag).collect();
    assert_eq!(tags, ["a", "b", "c"]);
    assert!(
        provider
            .journal()
            .iter()
            .all(|request| request.call_id() == Some("call-1"))
    );
    assert!(
        provider
            .journal()
            .iter()
            .all(|request| request.gone.is_none())
    );
}

#[tokio::test]
async fn the_provider_cuts_exactly_where_it_is_told() {
    let provider = FakeProvider::start().await;
    let client = Client::new(provider.address);
    let whole = Answer::stream(&["h", "i"]).len();
    for ending in [Ending::Close, Ending::Reset] {
        for offset in [0, 1, 90, whole - 1, whole] {
            provider.next(Answer::stream(&["h", "i"]).cut(offset, ending));
            let mut connection = client.open_chat(&streamed_chat("cut")).await;
            let got = connection.read_to_end().await;
            // A reset may overtake what was written before it.
            let is_right = got.len() == offset || (ending == Ending::Reset && got.len() < offset);
            assert!(is_right, "{ending:?} at {offset}: {}", got.len());
        }
    }
}

#[tokio::test]
async fn the_provider_holds_stalls_and_sees_its_client_leave() {
    let provider = FakeProvider::start().await;
    let client = Client::new(provider.address);

    provider.next(Answer::stream(&["h", "i"]).gate_after(2));
    let mut connection = client.open_chat(&streamed_chat("gate")).await;
    connection.read_until("\"content\":\"h\"").await;
    assert!(!connection.text().contains("\"content\":\"i\""));
    provider.release();
    let response = connection.read_response().await.unwrap();
    assert_eq!(response.text(), chat_events(&["h", "i"]).concat());

    for is_reset in [false, true] {
        provider.next(Answer::reply("x").stall_after(10));
        let mut connection = client.open_chat(&chat("leave")).await;
        connection.read_exactly(10).await;
        if is_reset {
            connection.reset();
        } else {
            drop(connection);
        }
    }
    provider.wait_for_requests(3).await;
    let is_over = |request: &Received| request.tag() == "leave" && request.gone.is_none();
    crate::support::eventually("both to be gone", async || {
        let journal = provider.journal();
        (!journal.iter().any(is_over)).then_some(())
    })
    .await;
    assert_eq!(provider.received("leave").len(), 2);
}
