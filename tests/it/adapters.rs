//! Moving to another model: priced before anything is paid, bridged by an adapter that is judged beside
//! doing nothing and beside a new index, and never mistaken for what a model made.

use crate::support::{Answer, FakeProvider, Received, Setup, TestGateway};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::fs;
use std::process::Output;

const OLD: &str = "openai/text-embedding-3-small";
const NEW: &str = "openai/text-embedding-3-large";
/// Enough for a fit between two models after a fifth was held out.
const ITEMS: usize = 1_300;
const D: usize = 8;

/// A direction for each word, and their sum for a text; the new model has all of it turned.
fn vector(text: &str, is_new: bool) -> Vec<f32> {
    let mut vector = vec![0.0_f32; D];
    for word in text.split_whitespace() {
        let mut state = word.bytes().fold(0x2545_F491_u32, |hash, byte| {
            (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
        });
        for value in &mut vector {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            *value += f32::from(u8::try_from(state % 201).unwrap()) / 100.0 - 1.0;
        }
    }
    if is_new {
        for pair in vector.chunks_exact_mut(2) {
            (pair[0], pair[1]) = (0.6 * pair[0] - 0.8 * pair[1], 0.8 * pair[0] + 0.6 * pair[1]);
        }
        vector.rotate_left(3);
    }
    vector
}

fn embedder(request: &Received) -> Answer {
    let body = request.json();
    let is_new = body["model"] == "text-embedding-3-large";
    let texts = body["input"].as_array().unwrap().iter().enumerate();
    let data = texts.map(|(index, text)| {
        let embedding = vector(text.as_str().unwrap(), is_new);
        json!({"object": "embedding", "index": index, "embedding": embedding})
    });
    Answer::json(&json!({
        "object": "list", "model": body["model"], "data": data.collect::<Vec<_>>(),
        "usage": {"prompt_tokens": 1, "total_tokens": 1},
    }))
}

fn create<'a>(collection: &'a str, model: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let create = ["embeddings", "snapshot", "create", collection];
    [
        &create[..],
        &["--from", "corpus.jsonl", "--model", model],
        more,
    ]
    .concat()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

async fn started() -> (FakeProvider, TestGateway) {
    let provider = FakeProvider::start().await;
    provider.always(embedder);
    let gateway = Setup::of(&provider).start().await;
    let (mut items, mut queries) = (String::new(), String::new());
    for n in 0..ITEMS {
        let text = format!("alpha{n} beta{} gamma{}", n % 37, n % 11);
        writeln!(items, "{}", json!({"id": format!("d{n}"), "text": text})).unwrap();
        if n % 20 == 0 {
            let text = format!("alpha{n} gamma{}", n % 11);
            let query = json!({"id": format!("q{n}"), "text": text, "relevant": [format!("d{n}")]});
            writeln!(queries, "{query}").unwrap();
        }
    }
    fs::write(gateway.path().join("corpus.jsonl"), items).unwrap();
    fs::write(gateway.path().join("queries.jsonl"), queries).unwrap();
    gateway.run_json(&create("docs", OLD, &[])).await;
    (provider, gateway)
}

#[tokio::test]
async fn a_move_is_priced_before_anything_is_paid() {
    let (provider, gateway) = started().await;
    let paid = provider.journal().len();
    let plan = |model| {
        let rate = ["--rate-tokens-per-minute", "1000"];
        [
            &["embeddings", "plan", "docs@1", "--model", model][..],
            &rate,
        ]
        .concat()
    };
    let first = gateway.run_json(&plan(NEW)).await;
    assert_eq!(
        (&first["texts"], &first["cached"]),
        (&json!(ITEMS), &json!(0))
    );
    let tokens = first["tokens"].as_f64().unwrap();
    assert!(
        tokens > 3_000.0 && first["pico_usd"].as_u64().unwrap() > 0,
        "{first}"
    );
    assert!((first["minutes"].as_f64().unwrap() - tokens / 1000.0).abs() < 1e-9);
    assert_eq!(first["dimensions"], 3_072);
    assert_eq!(first["sizes"].as_array().unwrap().len(), 4);
    let unknown = gateway.run_json(&plan("openai/of-tomorrow")).await;
    assert_eq!(
        (&unknown["pico_usd"], &unknown["dimensions"]),
        (&Value::Null, &Value::Null)
    );
    let told = gateway.run(&plan("openai/of-tomorrow")).await;
    let told = String::from_utf8(told.stdout).unwrap();
    assert!(
        told.contains("price unknown") && told.contains("on disk: unknown"),
        "{told}"
    );
    assert_eq!(provider.journal().len(), paid, "a plan costs nothing");

    gateway.run_json(&create("docs", NEW, &[])).await;
    let again = gateway.run_json(&plan(NEW)).await;
    assert_eq!(
        (&again["cached"], &again["tokens"], &again["dimensions"]),
        (&json!(ITEMS), &json!(0), &json!(D))
    );
    gateway
        .run_json(&create("hashed", OLD, &["--hash-only"]))
        .await;
    let hashed = ["embeddings", "plan", "hashed@1", "--model", NEW];
    let refused = gateway.run(&hashed).await;
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        stderr(&refused).contains("keeps only the hashes"),
        "{refused:?}"
    );
}

#[tokio::test]
async fn an_adapter_bridges_two_models_and_never_mixes_their_spaces() {
    let (provider, gateway) = started().await;
    gateway.run_json(&create("docs", NEW, &[])).await;
    let paid = provider.journal().len();
    let fit = ["embeddings", "adapter", "fit", "docs@1", "docs@2"];
    let fitted = gateway.run_json(&fit).await;
    assert_eq!(
        provider.journal().len(),
        paid,
        "documents stand in for queries"
    );
    let judged = &fitted["head"]["judgement"];
    let ratio = judged["bridge_of_reindex"]["value"].as_f64().unwrap();
    assert!((ratio - 1.0).abs() < 0.02, "{judged}");
    assert_eq!(fitted["is_stored"], true);
    assert_eq!(judged["are_queries_documents"], true);
    let by_queries = [
        &fit[..],
        &["--queries", "queries.jsonl", "--kind", "procrustes"],
    ]
    .concat();
    let labelled = gateway.run_json(&by_queries).await;
    let judged = &labelled["head"]["judgement"];
    assert_eq!(
        (&judged["judged_by"], &judged["queries"]),
        (&json!("labels"), &json!(65))
    );
    let told = gateway.run(&by_queries).await;
    let told = String::from_utf8(told.stdout).unwrap();
    for words in ["status quo", "bridge advantage", "reindex", "N = 200"] {
        assert!(told.contains(words), "{told}");
    }

    let id = fitted["id"].as_str().unwrap();
    let apply = ["embeddings", "adapter", "apply", id];
    let made = gateway.run_json(&[&apply[..], &["docs@2"]].concat()).await;
    let snapshot = &made["snapshot"];
    assert_eq!(snapshot["collection"], "docs-adapted");
    assert_eq!(
        format!("adapter-{}", snapshot["space"]["adapter"].as_str().unwrap()),
        id
    );
    assert_ne!(snapshot["space_id"], fitted["head"]["to_space"]);
    let search = [
        "embeddings",
        "search",
        "docs-adapted@1",
        "alpha77 beta3 gamma0",
        "-k",
        "1",
    ];
    let found = gateway.run_json(&search).await;
    assert_eq!(found[0]["results"][0]["id"], "d77", "{found}");
    let asked = provider.journal().last().unwrap().json()["model"].clone();
    assert_eq!(
        asked, "text-embedding-3-large",
        "queries are asked of the new model"
    );

    let admin = gateway.admin();
    let path = |what: &str| format!("/api/embeddings/adapters/{id}{what}");
    let wrong = admin
        .post(&path("/apply"), &json!({"snapshot": "docs@1"}))
        .await;
    assert_eq!(wrong.status, 409);
    assert_eq!(wrong.json()["error"]["code"], "adapter_wrong_direction");
    let twice = admin
        .post(&path("/apply"), &json!({"snapshot": "docs-adapted@1"}))
        .await;
    assert_eq!(twice.status, 409);
    let native =
        json!({"snapshots": ["docs-adapted@1"], "vector": vec![1.0; D], "space": "docs@1"});
    let mixed = admin.post("/api/embeddings/search", &native).await;
    assert_eq!(mixed.status, 409);
    assert_eq!(mixed.json()["error"]["code"], "embedding_space_mismatch");
    let same = json!({"old": "docs@1", "new": "docs@1"});
    let same = admin.post("/api/embeddings/adapters", &same).await;
    assert_eq!(same.json()["error"]["code"], "adapter_spaces_equal");

    let delete = gateway.run(&["embeddings", "adapter", "delete", id]).await;
    assert!(
        stderr(&delete).contains("made the vectors of docs-adapted@1"),
        "{delete:?}"
    );
    let list = gateway.run_json(&["embeddings", "adapter", "list"]).await;
    assert_eq!(list["data"].as_array().unwrap().len(), 2);
}
