//! Drift of live traffic: a reference is frozen, a new topic raises an alarm in two windows, and is accepted.

use crate::support::{Answer, FakeProvider, Received, Setup, TestGateway, eventually};
use serde_json::{Value, json};
use std::process::Output;

const KNOWN: [&str; 4] = ["refund", "parcel", "password", "invoice"];
const SIZE: usize = 16;

/// What a text is about is its first word's axis; the rest is noise that is the same every time.
fn vector(text: &str) -> Vec<f32> {
    let topic = text.split(' ').next().unwrap();
    let axis = KNOWN.iter().position(|known| *known == topic).unwrap_or(9);
    let mut state = text.bytes().fold(7_u32, |hash, byte| {
        hash.wrapping_mul(16_777_619) ^ u32::from(byte)
    });
    let mut vector: Vec<f32> = (0..SIZE)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            f32::from(u16::try_from(state >> 16).unwrap()) / 65_536.0 * 0.4 - 0.2
        })
        .collect();
    vector[axis] += 1.0;
    vector
}

/// Answers chats, and embeds.
fn provider(request: &Received) -> Answer {
    if !request.path.ends_with("/embeddings") {
        return Answer::reply("certainly");
    }
    let body = request.json();
    let texts = body["input"].as_array().unwrap().iter().enumerate();
    let data: Vec<Value> = texts
        .map(|(index, text)| {
            let vector = vector(text.as_str().unwrap());
            json!({"object": "embedding", "index": index, "embedding": vector})
        })
        .collect();
    Answer::json(&json!({
        "object": "list", "model": body["model"], "data": data,
        "usage": {"prompt_tokens": data.len(), "total_tokens": data.len()},
    }))
}

/// Calls the prompt with texts from `first` on; each `every`th is about something new.
async fn traffic(gateway: &TestGateway, first: usize, count: usize, every: Option<usize>) {
    let client = gateway.client();
    for n in first..first + count {
        let is_new = every.is_some_and(|every| n % every == 0);
        let topic = if is_new {
            "solar panel"
        } else {
            KNOWN[n % KNOWN.len()]
        };
        let name = format!("{topic} question number {n}");
        let body = json!({"model": "prompt:greet", "prompt": {"variables": {"name": name}}});
        let answer = client.chat(&body).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
}

fn embedded(provider: &FakeProvider) -> usize {
    let journal = provider.journal();
    let asked = journal
        .iter()
        .filter(|request| request.path.ends_with("/embeddings"));
    asked.count()
}

fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

const START: [&str; 14] = [
    "embeddings",
    "drift",
    "start",
    "greetings",
    "--prompt",
    "greet",
    "--variable",
    "name",
    "--model",
    "openai/text-embedding-3-small",
    "--window",
    "50",
    "--webhook",
    "env:HOOK",
];

/// A monitor cannot begin without texts, and begins with sixty.
async fn begin(gateway: &TestGateway) {
    let early = gateway.run(&START).await;
    let told = String::from_utf8_lossy(&early.stderr).into_owned();
    assert!(told.contains("have 0 distinct texts"), "{told}");
    traffic(gateway, 0, 60, None).await;
    let started = stdout(&gateway.run(&START).await);
    assert_eq!(
        started,
        "greetings watches `greet`: windows of 50 texts against drift/greetings/reference@1\n"
    );
}

#[tokio::test]
async fn a_new_topic_alarms_in_two_windows_and_is_accepted() {
    let (fake, hook) = (FakeProvider::start().await, FakeProvider::start().await);
    fake.always(provider);
    hook.always(|_| Answer::json(&json!({"ok": true})));
    let setup = Setup::of(&fake).env("HOOK", &format!("http://{}/hook", hook.address));
    let gateway = setup.start().await;
    let drift = |verb: &'static str| ["embeddings", "drift", verb, "greetings"];

    begin(&gateway).await;
    let few = gateway.run(&drift("run")).await;
    let told = String::from_utf8_lossy(&few.stderr).into_owned();
    assert!(told.contains("and a look takes 40"), "{told}");

    traffic(&gateway, 100, 52, Some(2)).await;
    let first = stdout(&gateway.run(&drift("run")).await);
    assert!(first.starts_with("suspected"), "{first}");
    traffic(&gateway, 200, 52, Some(2)).await;
    let second = stdout(&gateway.run(&drift("run")).await);
    assert!(second.starts_with("alarm\nNew topic ("), "{second}");
    assert!(
        second.contains("solar") && second.contains("`greet` since "),
        "{second}"
    );

    let sent = eventually("the webhook", async || hook.journal().first().cloned()).await;
    let text = sent.json()["text"].as_str().unwrap().to_owned();
    assert!(
        text.starts_with("New topic (") && text.contains("solar panel question"),
        "{text}"
    );
    let explained = stdout(&gateway.run(&drift("explain")).await);
    assert!(
        explained.contains("solar panel question number 2"),
        "{explained}"
    );
    let listed = gateway.admin().get("/api/embeddings/drift").await.json();
    assert_eq!(listed["alarms"][0]["monitor"], "greetings");
    assert_eq!(listed["alarms"][0]["is_accepted"], false);
    assert_eq!(listed["data"][0]["looks"], 2);

    let before = embedded(&fake);
    let accepted = stdout(&gateway.run(&drift("accept")).await);
    assert!(
        accepted.contains("against drift/greetings/reference@2"),
        "{accepted}"
    );
    assert_eq!(
        embedded(&fake),
        before,
        "what was embedded is not paid twice"
    );
    let path = "/api/embeddings/snapshots/drift/greetings/reference@2";
    let reference = gateway.admin().get(path).await.json();
    assert_eq!(reference["items"], 110);
    let status = stdout(&gateway.run(&drift("status")).await);
    assert!(status.contains("alarm (accepted): New topic"), "{status}");
    stdout(&gateway.run(&drift("stop")).await);
    let gone = gateway.run(&drift("run")).await;
    let told = String::from_utf8_lossy(&gone.stderr).into_owned();
    assert!(told.contains("there is no monitor `greetings`"), "{told}");
}
