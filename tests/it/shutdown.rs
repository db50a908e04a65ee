//! A deploy does not cut streams: readiness goes first, open calls end, then the process.

use crate::support::{Answer, FakeProvider, Setup, TestGateway, chat, eventually, streamed_chat};

/// A gateway whose streams may be silent for longer than a shutdown takes.
async fn patient(provider: &FakeProvider) -> TestGateway {
    Setup::of(provider)
        .replace("idle = \"1s\"", "idle = \"10s\"")
        .start()
        .await
}

#[tokio::test]
async fn sigterm_lets_a_stream_end() {
    let provider = FakeProvider::start().await;
    let mut gateway = patient(&provider).await;
    provider.next(Answer::stream(&["h", "i"]).gate_after(2));
    let client = gateway.client();
    let mut stream = client.open_chat(&streamed_chat("open")).await;
    stream.read_until("\"content\":\"h\"").await;

    gateway.terminate();

    // The load balancer hears it first: new calls are still served meanwhile.
    eventually("readiness to say no", async || {
        let response = client.try_get("/health/ready").await?;
        (response.status == 503).then_some(())
    })
    .await;
    // Then the door is closed, while the stream is still open.
    eventually("the listener to close", async || {
        client.try_get("/health/live").await.is_none().then_some(())
    })
    .await;
    provider.release();
    let response = stream.read_response().await.unwrap();
    assert_eq!(response.events().last().map(String::as_str), Some("[DONE]"));
    assert_eq!(gateway.exited().await.code(), Some(0));
    let calls = gateway.calls().await;
    assert_eq!((calls.len(), calls[0].state()), (1, "ok"));
}

#[tokio::test]
async fn calls_that_come_before_the_door_closes_are_answered() {
    let provider = FakeProvider::start().await;
    let mut gateway = patient(&provider).await;
    let client = gateway.client();

    gateway.terminate();
    eventually("readiness to say no", async || {
        let response = client.try_get("/health/ready").await?;
        (response.status == 503).then_some(())
    })
    .await;
    let response = client.chat(&chat("late")).await;

    assert_eq!(response.status, 200, "{}", response.text());
    assert_eq!(gateway.exited().await.code(), Some(0));
    assert_eq!(gateway.calls().await[0].state(), "ok");
}

#[tokio::test]
async fn a_second_signal_cuts_what_is_open() {
    let provider = FakeProvider::start().await;
    let mut gateway = patient(&provider).await;
    provider.always(|_| Answer::stream(&["h", "i"]).gate_after(2));
    let client = gateway.client();
    let mut stream = client.open_chat(&streamed_chat("cut")).await;
    stream.read_until("\"content\":\"h\"").await;

    gateway.terminate();
    eventually("readiness to say no", async || {
        let response = client.try_get("/health/ready").await?;
        (response.status == 503).then_some(())
    })
    .await;
    gateway.terminate();

    if let Some(response) = stream.read_response().await {
        assert!(!response.text().contains("[DONE]"), "{}", response.text());
    }
    gateway.exited().await;
    let calls = gateway.calls().await;
    assert_eq!(calls.len(), 1);
    assert!(
        calls[0].has_ended() && calls[0].state() != "ok",
        "{calls:?}"
    );
}

#[tokio::test]
async fn an_idle_kept_alive_connection_does_not_hold_the_exit() {
    let provider = FakeProvider::start().await;
    let mut gateway = patient(&provider).await;
    let client = gateway.client();
    let mut kept = client.connect().await;
    let request = client.request("GET", "/health/live", b"");
    kept.send(&request).await.unwrap();
    assert_eq!(kept.read_response().await.unwrap().status, 200);

    gateway.terminate();

    assert_eq!(gateway.exited().await.code(), Some(0));
    assert_eq!(kept.read_to_end().await, b"");
}
