//! Drift of live traffic: a reference is frozen, a new topic raises an alarm in two windows, and is accepted. A
//! server looks by itself, and what it saw and must tell outlives it.

use crate::support::{Answer, FakeProvider, Received, Setup, TestGateway, eventually};
use serde_json::{Value, json};
use std::process::Output;
use std::sync::atomic::{AtomicBool, Ordering};

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
    assert!(told.contains("there is no call of `greet`"), "{told}");
    traffic(gateway, 0, 60, None).await;
    let other =
        |from: &str, to: &'static str| START.map(|word| if word == from { to } else { word });
    let mistyped = gateway.run(&other("name", "nmae")).await;
    let told = String::from_utf8_lossy(&mistyped.stderr).into_owned();
    assert!(
        told.contains("none of 60 calls of `greet` of that time has a variable `nmae`"),
        "{told}"
    );
    let start = START
        .iter()
        .filter(|word| !word.contains("model") && !word.contains("3-small"));
    let start: Vec<&str> = start.copied().collect();
    let without = gateway.run(&start).await;
    let told = String::from_utf8_lossy(&without.stderr).into_owned();
    assert!(
        told.contains("`model` is not said") && !told.contains("collections."),
        "{told}"
    );
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
    assert!(status.contains("\nalarm of greetings, 20"), "{status}");
    assert!(status.contains(" (accepted): New topic"), "{status}");
    stdout(&gateway.run(&drift("stop")).await);
    let gone = gateway.run(&drift("run")).await;
    let told = String::from_utf8_lossy(&gone.stderr).into_owned();
    assert!(told.contains("there is no monitor `greetings`"), "{told}");
}

/// Monitors and canaries are looked after every second.
const WATCHED: &str = "[embeddings]\nwatch_every = \"1s\"\n";

async fn monitor(gateway: &TestGateway) -> Value {
    let path = "/api/embeddings/drift/greetings";
    gateway.admin().get(path).await.json()
}

/// The monitor once it has looked so often.
async fn looked(gateway: &TestGateway, looks: u64) -> Value {
    eventually("a look", async || {
        let monitor = monitor(gateway).await;
        (monitor["looks"] == looks).then_some(monitor)
    })
    .await
}

fn told(hook: &FakeProvider) -> Vec<String> {
    let sent = hook.journal();
    let sent = sent.iter().filter(|request| request.answered);
    sent.map(|request| request.json()["text"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn a_server_looks_by_itself_and_alarms_once_across_restarts() {
    let (fake, hook) = (FakeProvider::start().await, FakeProvider::start().await);
    fake.always(provider);
    hook.always(|_| Answer::status(503, &[], "away"));
    let setup = Setup::of(&fake)
        .config(WATCHED)
        .env("HOOK", &format!("http://{}/hook", hook.address));
    let mut gateway = setup.start().await;
    begin(&gateway).await;

    traffic(&gateway, 100, 52, Some(2)).await;
    let suspected = looked(&gateway, 1).await;
    assert_eq!(suspected["last"]["standing"], "suspected", "{suspected}");
    // The first of two hits outlives the process, and the window is not read twice.
    gateway.kill9().await;
    gateway.restart().await;
    traffic(&gateway, 200, 52, Some(2)).await;
    let alarmed = looked(&gateway, 2).await;
    assert_eq!(alarmed["last"]["standing"], "alarm", "{alarmed}");
    assert_eq!(alarmed["alarms"][0]["is_unsent"], true, "{alarmed}");
    eventually("a try", async || hook.journal().first().cloned()).await;

    // Nobody took the alarm: the process after this one sends it.
    gateway.kill9().await;
    let tried = hook.journal().len();
    hook.always(|_| Answer::json(&json!({"ok": true})));
    gateway.restart().await;
    let sent = eventually("the alarm", async || told(&hook).get(tried).cloned()).await;
    assert!(sent.starts_with("New topic ("), "{sent}");
    eventually("that it was sent", async || {
        let monitor = monitor(&gateway).await;
        (monitor["alarms"][0]["is_unsent"] == false).then_some(())
    })
    .await;

    traffic(&gateway, 300, 52, None).await;
    let quiet = looked(&gateway, 3).await;
    assert_eq!(quiet["last"]["standing"], "quiet", "{quiet}");
    assert_eq!(quiet["alarms"].as_array().unwrap().len(), 1);
    assert_eq!(told(&hook).len(), tried + 1);
}

/// A corpus of the known topics and some of a new one as the next snapshot of `docs`.
async fn docs(gateway: &TestGateway, new: usize) {
    let lines = (0..60 + new).map(|n| {
        let topic = if n < 60 {
            KNOWN[n % KNOWN.len()]
        } else {
            "solar panel"
        };
        let text = format!("{topic} answer number {n}");
        format!("{}\n", json!({"id": format!("d{n}"), "text": text}))
    });
    let corpus: String = lines.collect();
    std::fs::write(gateway.path().join("corpus.jsonl"), corpus).unwrap();
    let created = gateway.run(&[
        "embeddings",
        "snapshot",
        "create",
        "docs",
        "--from",
        "corpus.jsonl",
        "--model",
        "openai/text-embedding-3-small",
    ]);
    stdout(&created.await);
}

#[tokio::test]
async fn a_new_topic_that_finds_no_answers_is_told_so() {
    let fake = FakeProvider::start().await;
    fake.always(provider);
    let gateway = Setup::of(&fake).start().await;
    docs(&gateway, 0).await;
    traffic(&gateway, 0, 60, None).await;
    let mut start = START[..12].to_vec();
    start.extend(["--search-in", "docs@latest"]);
    stdout(&gateway.run(&start).await);
    let run = ["embeddings", "drift", "run", "greetings"];
    traffic(&gateway, 100, 52, Some(2)).await;
    stdout(&gateway.run(&run).await);
    traffic(&gateway, 200, 52, Some(2)).await;
    let alarm = stdout(&gateway.run(&run).await);
    assert!(
        alarm.contains("in `docs@1` (10.0 % before); ") && alarm.contains(" of what is new, "),
        "{alarm}"
    );
    assert!(
        alarm.contains("of 60 items are found by none of 50 queries"),
        "{alarm}"
    );
    let finding = monitor(&gateway).await["last"]["finding"].clone();
    assert!(
        finding["retrieval"]["p_value"].as_f64().unwrap() < 0.01,
        "{finding}"
    );
    let explained = stdout(
        &gateway
            .run(&["embeddings", "drift", "explain", "greetings"])
            .await,
    );
    assert!(explained.contains("retrieval (rank sum), p"), "{explained}");

    let documents = ["embeddings", "drift", "documents", "docs@1", "docs@2"];
    docs(&gateway, 45).await;
    let found = stdout(&gateway.run(&documents).await);
    assert!(
        found.starts_with("New topic (panel, solar")
            && found.contains(" among 45 new items of `docs@2`: "),
        "{found}"
    );
    assert!(
        found.contains("Examples: \"solar panel answer number "),
        "{found}"
    );
    let same = gateway.run(&["embeddings", "drift", "documents", "docs@2", "docs@1"]);
    let told = String::from_utf8_lossy(&same.await.stderr).into_owned();
    assert!(
        told.contains("`docs@1` has 0 items whose texts are new"),
        "{told}"
    );
}

#[tokio::test]
async fn a_collection_that_is_declared_is_watched_snapshot_by_snapshot() {
    let (fake, hook) = (FakeProvider::start().await, FakeProvider::start().await);
    fake.always(provider);
    hook.always(|_| Answer::json(&json!({"ok": true})));
    let setup = Setup::of(&fake).config(WATCHED);
    let setup = setup.env("HOOK", &format!("http://{}/hook", hook.address));
    let mut gateway = setup.prepare();
    let declared = "[collections.docs.drift]\nwebhook = \"env:HOOK\"\n";
    std::fs::write(gateway.path().join("embeddings.toml"), declared).unwrap();
    gateway.restart().await;
    let seen = async |snapshot: &str| {
        eventually(snapshot, async || {
            let listed = gateway.admin().get("/api/embeddings/drift").await.json();
            let watched = listed["collections"]["docs"].clone();
            (watched["seen"] == snapshot).then_some(watched)
        })
        .await
    };
    docs(&gateway, 0).await;
    assert_eq!(seen("docs@1").await["looks"], 0);
    docs(&gateway, 45).await;
    let watched = seen("docs@2").await;
    assert_eq!(watched["last"]["standing"], "suspected", "{watched}");
    assert_eq!(watched["reference"], "docs@1");
    docs(&gateway, 90).await;
    let watched = seen("docs@3").await;
    assert_eq!(watched["last"]["standing"], "alarm", "{watched}");
    assert_eq!(watched["reference"], "docs@3");
    let sent = eventually("the webhook", async || hook.journal().first().cloned()).await;
    let text = sent.json()["text"].as_str().unwrap().to_owned();
    assert!(
        text.starts_with("New topic (") && text.contains("`docs@3`"),
        "{text}"
    );
    let status = stdout(&gateway.run(&["embeddings", "drift", "status"]).await);
    assert!(
        status.contains("docs: new items against docs@3"),
        "{status}"
    );
    // What is too little to be judged waits for more.
    docs(&gateway, 95).await;
    let watched = seen("docs@4").await;
    assert!(
        watched["fault"].as_str().unwrap().contains("5 items"),
        "{watched}"
    );
    assert_eq!(watched["reference"], "docs@3");
}

/// The provider, whose model turns its vectors once it is another.
fn changing(is_other: &'static AtomicBool) -> impl Fn(&Received) -> Answer + Send + Sync {
    move |request| {
        let is_other = is_other.load(Ordering::SeqCst);
        let body = request.json();
        let texts = body["input"].as_array().unwrap().iter().enumerate();
        let data: Vec<Value> = texts
            .map(|(index, text)| {
                let mut vector = vector(text.as_str().unwrap());
                if is_other {
                    vector[..8].rotate_left(3);
                }
                json!({"object": "embedding", "index": index, "embedding": vector})
            })
            .collect();
        let model = if is_other { "small-v2" } else { "small-v1" };
        Answer::json(&json!({
            "object": "list", "model": model, "data": data,
            "usage": {"prompt_tokens": data.len(), "total_tokens": data.len()},
        }))
    }
}

async fn canary(gateway: &TestGateway) -> Value {
    let path = "/api/embeddings/canaries/small";
    gateway.admin().get(path).await.json()
}

/// The canary once a check of its own came to that.
async fn came_to(gateway: &TestGateway, outcome: &str) -> Value {
    eventually(outcome, async || {
        let canary = canary(gateway).await;
        (canary["last"]["outcome"] == outcome).then_some(canary)
    })
    .await
}

#[tokio::test]
async fn a_canary_sees_by_itself_that_a_model_changed_under_its_name() {
    static IS_OTHER: AtomicBool = AtomicBool::new(false);
    let (fake, hook) = (FakeProvider::start().await, FakeProvider::start().await);
    fake.always(changing(&IS_OTHER));
    hook.always(|_| Answer::json(&json!({"ok": true})));
    let setup = Setup::of(&fake)
        .config(WATCHED)
        .env("HOOK", &format!("http://{}/hook", hook.address));
    let mut gateway = setup.start().await;
    docs(&gateway, 0).await;
    let start = "embeddings canary start small --snapshot docs@1 --every 5s --budget-alarms 100 --webhook env:HOOK";
    let start: Vec<&str> = start.split(' ').collect();
    let before = embedded(&fake);
    let started = stdout(&gateway.run(&start).await);
    assert!(
        started.starts_with("small embeds 20 texts of `docs@1` every 5s with `openai/text-embedding-3-small`\n  noise: none in 8 rounds;"),
        "{started}"
    );
    assert!(!started.contains("warning"), "{started}");
    assert!(before + 8 <= embedded(&fake));
    let steady = came_to(&gateway, "steady").await;
    assert_eq!(steady["last"]["requests"], 1);

    IS_OTHER.store(true, Ordering::SeqCst);
    let changed = came_to(&gateway, "changed").await;
    assert_eq!(changed["last"]["requests"], 8);
    let sent = eventually("the webhook", async || told(&hook).first().cloned()).await;
    for part in [
        "`openai/text-embedding-3-small` makes other vectors under the same name: seen by canary `small` at ",
        "20 of 20 texts moved beyond the noise: lowest cosine ",
        "The provider calls the model `small-v2`, and called it `small-v1` before.",
        "in `docs@1` ",
        "give its space a `revision` in embeddings.toml",
    ] {
        assert!(sent.contains(part), "{part}: {sent}");
    }
    // Until it is kept that the alarm was taken, another process would send it again.
    eventually("that the alarm is kept as sent", async || {
        let canary = canary(&gateway).await;
        (canary["alarms"][0]["is_unsent"] == false).then_some(())
    })
    .await;
    gateway.kill9().await;
    gateway.restart().await;
    let still = came_to(&gateway, "still_changed").await;
    assert_eq!(still["last"]["requests"], 1);
    assert_eq!(told(&hook).len(), 1, "an alarm is told once");

    IS_OTHER.store(false, Ordering::SeqCst);
    came_to(&gateway, "recovered").await;
    let over = eventually("that it is over", async || told(&hook).get(1).cloned()).await;
    assert!(over.contains("makes the vectors of before again"), "{over}");

    IS_OTHER.store(true, Ordering::SeqCst);
    came_to(&gateway, "changed").await;
    accepted_as_normal(&gateway, &IS_OTHER).await;
}

/// What the model says now is taken as normal, which what it said before is not any more; the canary ends.
async fn accepted_as_normal(gateway: &TestGateway, is_other: &AtomicBool) {
    // A check that the server began by itself comes to its end before.
    let done = async |verb: &str| {
        eventually(verb, async || {
            let command = ["embeddings", "canary", verb, "small"];
            let output = gateway.run(&command).await;
            output.status.success().then(|| stdout(&output))
        })
        .await
    };
    let accepted = done("accept").await;
    assert!(accepted.contains("8 rounds as normal"), "{accepted}");
    let checked = done("check").await;
    assert!(
        checked.starts_with("steady: 0 of 20 texts moved"),
        "{checked}"
    );
    is_other.store(false, Ordering::SeqCst);
    let back = came_to(gateway, "changed").await;
    let alarms = back["alarms"].as_array().unwrap();
    let told = alarms.last().unwrap()["text"].as_str().unwrap();
    assert!(told.contains("They are those of `docs@1` again"), "{told}");
    done("stop").await;
    let calls = gateway.admin().get("/api/calls?limit=1").await.json();
    let id = calls["data"][0]["id"].as_str().unwrap();
    let record = gateway
        .admin()
        .get(&format!("/api/calls/{id}"))
        .await
        .text();
    assert!(
        record.contains("\"embeddings\"") && record.contains("docs@1"),
        "{record}"
    );
}
