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
const ITEMS: usize = 1_500;
/// Of these the new model may have only so many.
const PART: usize = 1_300;
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
    let is_noise = body["model"] == "of-noise";
    let texts = body["input"].as_array().unwrap().iter().enumerate();
    let data = texts.map(|(index, text)| {
        let text = text.as_str().unwrap();
        let embedding = if is_noise {
            vector(&text.replace(' ', "-"), true)
        } else {
            vector(text, is_new)
        };
        json!({"object": "embedding", "index": index, "embedding": embedding})
    });
    Answer::json(&json!({
        "object": "list", "model": body["model"], "data": data.collect::<Vec<_>>(),
        "usage": {"prompt_tokens": 1, "total_tokens": 1},
    }))
}

/// Embeds a part of the corpus, as much as a try of a model takes.
fn part<'a>(collection: &'a str, model: &'a str) -> Vec<&'a str> {
    let create = ["embeddings", "snapshot", "create", collection];
    [&create[..], &["--from", "part.jsonl", "--model", model]].concat()
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
    let part: String = items.split_inclusive('\n').take(PART).collect();
    fs::write(gateway.path().join("part.jsonl"), part).unwrap();
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
async fn an_adapter_is_judged_beside_doing_nothing_and_beside_paying() {
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
        (&json!("labels"), &json!(75))
    );
    let told = gateway.run(&by_queries).await;
    let told = String::from_utf8(told.stdout).unwrap();
    for words in ["status quo", "bridge advantage", "reindex", "N = 200"] {
        assert!(told.contains(words), "{told}");
    }
    let list = gateway.run_json(&["embeddings", "adapter", "list"]).await;
    assert_eq!(list["data"].as_array().unwrap().len(), 2);
}

/// A gateway with the corpus under both models, and an adapter of queries between them.
async fn adapted() -> (FakeProvider, TestGateway, Value) {
    let (provider, gateway) = started().await;
    gateway.run_json(&create("docs", NEW, &[])).await;
    let fit = ["embeddings", "adapter", "fit", "docs@1", "docs@2"];
    let fitted = gateway.run_json(&fit).await;
    (provider, gateway, fitted)
}

#[tokio::test]
async fn a_search_goes_through_an_adapter() {
    let (provider, gateway, fitted) = adapted().await;
    let id = fitted["id"].as_str().unwrap();
    let search = |snapshot| {
        let search = ["embeddings", "search", snapshot, "alpha77 beta3 gamma0"];
        [&search[..], &["--adapter", id, "-k", "1"]].concat()
    };
    let found = gateway.run_json(&search("docs@1")).await;
    assert_eq!(found[0]["results"][0]["id"], "d77", "{found}");
    assert_eq!(found[0]["adapter"], id);
    let line = fitted["head"]["score_map"].as_array().unwrap();
    let ends = [&line[0][1], &line[line.len() - 1][1]].map(|it| it.as_f64().unwrap());
    let score = found[0]["results"][0]["as_new_model"].as_f64().unwrap();
    assert!((ends[0]..=ends[1]).contains(&score), "{score} of {ends:?}");
    let asked = provider.journal().last().unwrap().json()["model"].clone();
    assert_eq!(asked, "text-embedding-3-large", "the new model is asked");
    let plain = [
        "embeddings",
        "search",
        "docs@1",
        "alpha77 beta3 gamma0",
        "-k",
        "1",
    ];
    let own = gateway.run_json(&plain).await;
    assert!(own[0]["results"][0].get("as_new_model").is_none(), "{own}");
    let wrong = gateway.run(&search("docs@2")).await;
    let told = stderr(&wrong);
    assert!(told.contains("different embedding spaces"), "{told}");
    one_that_is_damaged_is_named(&gateway, &search("docs@1"), id).await;
}

/// It says which file it is and what to do, to who lists, shows or uses it.
async fn one_that_is_damaged_is_named(gateway: &TestGateway, search: &[&str], id: &str) {
    let dir = gateway.path().join("data/embeddings/adapters");
    let path = dir.join(format!("{id}.adapter"));
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&path, bytes).unwrap();
    let adapter = |verb| ["embeddings", "adapter", verb];
    let show = [&adapter("show")[..], &[id]].concat();
    for command in [search, &show, &adapter("list")] {
        let output = gateway.run(command).await;
        let told = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(told.contains(id) && told.contains("is damaged"), "{told}");
        assert!(told.contains("adapter delete"), "{told}");
    }
    let delete = [&adapter("delete")[..], &[id]].concat();
    assert!(gateway.run(&delete).await.status.success());
    assert!(gateway.run(&adapter("list")).await.status.success());
}

#[tokio::test]
async fn what_an_adapter_makes_is_of_a_space_of_its_own() {
    let (provider, gateway, fitted) = adapted().await;
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
}

#[tokio::test]
async fn a_part_of_the_corpus_is_enough_to_fit_and_judge_by() {
    let (provider, gateway) = started().await;
    gateway.run_json(&part("try", NEW)).await;
    let fit = ["embeddings", "adapter", "fit", "docs@1", "try@1"];
    let fit = [&fit[..], &["--kind", "centred-procrustes"]].concat();
    let fitted = gateway.run_json(&fit).await;
    let judged = &fitted["head"]["judgement"];
    assert_eq!(
        (&judged["items"], &judged["old_items"]),
        (&json!(PART), &json!(ITEMS))
    );
    assert!(
        judged["agreement"]["value"].as_f64().unwrap() > 0.9,
        "{judged}"
    );
    let pairs = fitted["head"]["pairs"].as_u64().unwrap();
    assert!(
        (1_000..1_100).contains(&pairs),
        "a fifth is held out: {pairs}"
    );
    let id = fitted["id"].as_str().unwrap();

    // Judged again without queries: by the texts that were held out from the fit, whatever the seed.
    let paid = provider.journal().len();
    let eval = ["embeddings", "adapter", "eval", id, "docs@1", "try@1"];
    let again = gateway.run_json(&eval).await;
    assert_eq!(again["id"], id);
    for figure in ["status_quo", "bridge", "reindex", "queries"] {
        assert_eq!(again["judgement"][figure], judged[figure], "{figure}");
    }
    let queries = [&eval[..], &["--queries", "queries.jsonl", "--seed", "7"]].concat();
    let asked = gateway.run_json(&queries).await;
    assert_eq!(asked["judgement"]["judged_by"], "labels");
    assert!(provider.journal().len() > paid);
    let told = gateway.run(&eval).await;
    let told = String::from_utf8(told.stdout).unwrap();
    assert!(
        told.contains("among 1 300 items") && told.contains("the old one has 1 500"),
        "{told}"
    );
    let shown = gateway.run(&["embeddings", "adapter", "show", id]).await;
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(
        shown.contains("scores, as the new model gives them"),
        "{shown}"
    );
    let list = gateway.run(&["embeddings", "adapter", "list"]).await;
    let list = String::from_utf8(list.stdout).unwrap();
    assert!(
        list.contains(id.get(..20).unwrap()) && list.contains("centred-procrustes"),
        "{list}"
    );
}

/// What a command about adapters is refused with.
async fn refused(gateway: &TestGateway, arguments: &[&str]) -> String {
    let arguments = [&["embeddings", "adapter"], arguments].concat();
    let output = gateway.run(&arguments).await;
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    stderr(&output)
}

#[tokio::test]
async fn an_adapter_of_no_use_is_not_kept() {
    let (_provider, gateway) = started().await;
    let noise = create("noise", "openai/of-noise", &[]);
    gateway.run_json(&noise).await;
    let told = refused(&gateway, &["fit", "docs@1", "noise@1"]).await;
    let reason = "the adapter is not kept: of the new model's first 10 answers";
    assert!(
        told.contains(reason) && told.contains("`--force`"),
        "{told}"
    );
    let list = gateway.run_json(&["embeddings", "adapter", "list"]).await;
    assert_eq!(list["data"], json!([]));

    let fit = ["embeddings", "adapter", "fit", "docs@1", "noise@1"];
    let forced = gateway.run_json(&[&fit[..], &["--force"]].concat()).await;
    assert_eq!(forced["head"]["is_forced"], true);
    let id = forced["id"].as_str().unwrap();
    gateway.run_json(&part("try", NEW)).await;
    let told = refused(&gateway, &["eval", id, "docs@1", "try@1"]).await;
    assert!(told.contains("try@1"), "it is between others: {told}");
    let delete = ["embeddings", "adapter", "delete", id];
    assert_eq!(gateway.run_json(&delete).await["deleted"], true);
}

#[tokio::test]
async fn a_wish_that_cannot_be_is_told_what_is_wrong() {
    let (provider, gateway) = started().await;
    fs::write(gateway.path().join("part.jsonl"), few()).unwrap();
    gateway.run_json(&part("few", NEW)).await;
    gateway.run_json(&create("docs", NEW, &[])).await;
    let unlabelled = "{\"id\": \"q\", \"text\": \"x\", \"relevant\": [\"nobody\"]}\n";
    fs::write(gateway.path().join("odd.jsonl"), unlabelled).unwrap();
    let paid = provider.journal().len();
    let fit = ["fit", "docs@1", "docs@2"];
    for (arguments, words) in [
        (&["fit", "docs@1", "few@1"][..], "it takes 1000"),
        (&["fit", "docs@1", "docs@7"], "`docs@7`"),
        (&["fit", "docs@1", "docs@1"], "nothing to adapt"),
        (&["show", "adapter-000000"], "no adapter `adapter-000000`"),
        (&[&fit[..], &["--pairs", "100"]].concat(), "`pairs` is 100"),
        (
            &[&fit[..], &["--queries", "odd.jsonl"]].concat(),
            "`labels` name no item that `docs@1` and `docs@2`",
        ),
    ] {
        let told = refused(&gateway, arguments).await;
        assert!(told.contains(words), "{arguments:?}: {told}");
    }
    assert_eq!(provider.journal().len(), paid, "nobody was asked");
}

/// Too few texts to fit on.
fn few() -> String {
    (0..300)
        .map(|n| {
            let text = format!("alpha{n} beta{} gamma{}", n % 37, n % 11);
            format!("{}\n", json!({"id": format!("d{n}"), "text": text}))
        })
        .collect()
}
