//! What vectors say of prompts: how far the answers of two versions lie apart, and which prompts say the
//! same in other words.

use crate::evals::{begin, ended, plan, question, wanted};
use crate::support::{Answer, FakeProvider, Received, Setup, TestGateway};
use serde_json::{Value, json};
use std::collections::HashSet;
use std::fs;
use std::process::Output;
use std::sync::Mutex;

const MODEL: &str = "openai/text-embedding-3-small";

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// One dimension for each of the words that matter here, and one for all others.
fn vector(text: &str) -> Vec<f32> {
    let known = [
        "money", "back", "invoice", "weather", "poem", "tax", "sorry", "gladly",
    ];
    let mut vector = vec![0.05_f32; known.len() + 1];
    for word in text.split(|c: char| !c.is_alphanumeric()) {
        let place = known.iter().position(|known| *known == word);
        vector[place.unwrap_or(known.len())] += if place.is_some() { 1.0 } else { 0.01 };
    }
    vector
}

fn embedded(request: &Received) -> Answer {
    let body = request.json();
    let texts: Vec<String> = match &body["input"] {
        Value::String(text) => vec![text.clone()],
        texts => texts
            .as_array()
            .unwrap()
            .iter()
            .map(|text| text.as_str().unwrap().to_owned())
            .collect(),
    };
    let data = texts.iter().enumerate().map(
        |(index, text)| json!({"object": "embedding", "index": index, "embedding": vector(text)}),
    );
    Answer::json(&json!({
        "object": "list", "model": "text-embedding-3-small", "data": data.collect::<Vec<_>>(),
        "usage": {"prompt_tokens": 10 * texts.len(), "total_tokens": 10 * texts.len()},
    }))
}

/// The texts that were embedded, in all requests.
fn embeddings(provider: &FakeProvider) -> usize {
    let journal = provider.journal();
    let inputs = journal
        .iter()
        .filter_map(|request| request.json()["input"].as_array().map(Vec::len));
    inputs.sum()
}

/// A plan of two sides, each case answered twice, whose outputs are embedded.
fn both_sides(cases: usize, shift: Value) -> Value {
    let mut plan = plan(cases);
    let mut base = plan["sides"][0].clone();
    base["side"] = json!("base");
    base["name"] = json!("main");
    base["subjects"][0]["prompt"]["template"] = json!("before {{x}}");
    plan["sides"].as_array_mut().unwrap().insert(0, base);
    plan["settings"]["repeat"] = json!(2);
    plan["settings"]["output_shift"] = shift;
    plan
}

/// Base says two things in turn that are nearly the same; head refuses every fourth case.
fn answers(provider: &FakeProvider) {
    let asked_before = Mutex::new(HashSet::new());
    provider.always(move |request| {
        if request.json().get("input").is_some() {
            return embedded(request);
        }
        let asked = question(request);
        let number: usize = asked.rsplit(' ').next().unwrap().parse().unwrap();
        let refuses = asked.starts_with("say") && number.is_multiple_of(4);
        if refuses {
            return Answer::reply(&format!("good sorry {number}"));
        }
        let is_first = asked_before.lock().unwrap().insert(asked);
        let more = if is_first { "" } else { "at once" };
        Answer::reply(&format!("good gladly {number} {more}"))
    });
}

#[tokio::test]
async fn a_report_tells_how_far_outputs_moved_and_gates_nothing() {
    let provider = FakeProvider::start().await;
    answers(&provider);
    let gateway = TestGateway::start(&provider).await;
    let plan = both_sides(24, json!({"model": MODEL}));
    let lines = begin(&gateway, &wanted(&plan, &json!({}))).await;
    let end = ended(&lines);
    let run = end["run"].as_str().unwrap();
    let shift = &end["report"]["output_shift"];
    assert_eq!(shift["model"], MODEL);
    let subject = &shift["subjects"][0];
    assert_eq!(
        (&subject["cases"], &subject["moved"]),
        (&json!(24), &json!(6)),
        "{subject}"
    );
    assert_eq!(
        (&subject["is_calibrated"], &subject["noise"]["cases"]),
        (&json!(true), &json!(24))
    );
    let beyond = subject["noise"]["beyond"]["low"].as_f64().unwrap();
    assert!(0.0 < beyond, "{subject}");
    assert_eq!(end["report"]["verdict"], "passed", "changed is not worse");

    // It is not called judging.
    let output = gateway.run(&["evals", "report", run]).await;
    let shown = text(&output.stdout);
    assert!(
        shown.contains("(judges $0, embedding outputs $0.0000"),
        "{shown}"
    );

    // 48 answers of base, and the 6 of head that are no answer of base too: each is embedded once.
    assert_eq!((embeddings(&provider), &shift["texts"]), (54, &json!(54)));

    // It is kept with the run, and every form tells it.
    let output = gateway.run(&["evals", "report", run]).await;
    let shown = text(&output.stdout);
    assert!(shown.contains("Changed, not worse"), "{shown}");
    for format in ["markdown", "html"] {
        let output = gateway
            .run(&["evals", "report", run, "--format", format])
            .await;
        assert!(
            text(&output.stdout).contains("How far outputs moved"),
            "{output:?}"
        );
    }
}

#[tokio::test]
async fn what_cannot_be_embedded_is_a_warning_and_no_failure() {
    let provider = FakeProvider::start().await;
    answers(&provider);
    let gateway = TestGateway::start(&provider).await;
    for (shift, wanted_words) in [
        (json!({"model": null}), "no model embeds"),
        (
            json!({"model": "nobody/knows"}),
            "`nobody/knows` cannot be asked",
        ),
    ] {
        let plan = both_sides(2, shift);
        let lines = begin(&gateway, &wanted(&plan, &json!({"fresh": true}))).await;
        let end = ended(&lines);
        assert_eq!(end["report"]["verdict"], "passed", "{end}");
        let warnings = end["report"]["warnings"].to_string();
        assert!(warnings.contains(wanted_words), "{warnings}");
        assert_eq!(end["report"].get("output_shift"), None);
    }
    // Nobody asked for it: nothing is embedded.
    let before = embeddings(&provider);
    let lines = begin(
        &gateway,
        &wanted(&both_sides(2, Value::Null), &json!({"fresh": true})),
    )
    .await;
    assert_eq!(ended(&lines)["report"].get("output_shift"), None);
    assert_eq!(embeddings(&provider), before);
}

const PROMPTS: [(&str, &str); 7] = [
    (
        "shop/refund.prompt",
        "Tell customers of {{shop}} kindly how they get their money back within a month.\n",
    ),
    (
        "shop/returns.prompt",
        "Explain to buyers politely what they must do to have money back, at {{store}}.\n",
    ),
    (
        "shop/invoice.prompt",
        "Find the number of the invoice in this letter and answer with nothing else: {{letter}}\n",
    ),
    (
        "fun/weather.prompt",
        "Say what the weather is like in {{town}} today, in one short and friendly line.\n",
    ),
    (
        "fun/poem.prompt",
        "Write a poem of four lines about {{topic}} that rhymes and makes people smile.\n",
    ),
    (
        "law/tax.prompt",
        "Which tax is due on this sale, and when must it be paid: {{sale}} please answer.\n",
    ),
    (
        "law/tone.prompt",
        "Be sorry when something went wrong, and say so in plain words to {{name}} at once.\n",
    ),
];

/// A gateway of that provider, with all of them.
fn with_prompts(provider: &FakeProvider) -> Setup {
    let setup = Setup::of(provider);
    let prompts = PROMPTS.into_iter();
    prompts.fold(setup, |setup, (path, prompt)| setup.prompt(path, prompt))
}

async fn lint(gateway: &TestGateway, arguments: &[&str]) -> Output {
    gateway
        .run(&[&["prompts", "lint"], arguments].concat())
        .await
}

#[tokio::test]
async fn prompts_that_say_the_same_are_noted_and_a_second_look_costs_nothing() {
    let provider = FakeProvider::start().await;
    provider.always(embedded);
    let gateway = with_prompts(&provider).prepare();
    let semantic = ["--semantic", "--model", MODEL];
    let output = lint(&gateway, &semantic).await;
    assert_eq!(
        output.status.code(),
        Some(0),
        "a hint fails nothing: {output:?}"
    );
    let said = text(&output.stderr);
    assert!(
        said.contains("to embed") && said.contains('$'),
        "the price is told before: {said}"
    );
    let shown = text(&output.stdout);
    for words in ["H201", "shop/returns.prompt", "`shop/refund`", "partial"] {
        assert!(shown.contains(words), "{shown}");
    }
    let paid = embeddings(&provider);
    assert!(0 < paid);

    let again = lint(&gateway, &[&semantic[..], &["--format", "sarif"]].concat()).await;
    assert_eq!(embeddings(&provider), paid, "vectors are kept");
    let log: Value = serde_json::from_slice(&again.stdout).unwrap();
    let results = log["runs"][0]["results"].as_array().unwrap();
    let noted: Vec<&Value> = results
        .iter()
        .filter(|result| result["ruleId"] == "H201")
        .collect();
    assert_eq!(noted.len(), 1, "{log}");
    assert_eq!(noted[0]["level"], "note");

    let output = lint(
        &gateway,
        &[
            &semantic[..],
            &["--json", "--deny", "warnings", "--threshold", "0.99999"],
        ]
        .concat(),
    )
    .await;
    let body: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(body["hints"], 0);
    fs::write(
        gateway.path().join("prompts/registry.yaml"),
        "lint: {H201: off}\n",
    )
    .unwrap();
    let output = lint(&gateway, &[&semantic[..], &["--json"]].concat()).await;
    let body: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(body["hints"], 0, "{body}");
}

#[tokio::test]
async fn what_was_compared_is_told_and_how_near_the_nearest_came() {
    let provider = FakeProvider::start().await;
    provider.always(embedded);
    let setup = with_prompts(&provider).prompt("fun/hello.prompt", "Say hello to {{name}}.\n");
    let gateway = setup.prepare();
    let arguments = ["--semantic", "--model", MODEL, "--threshold", "0.99999"];
    let output = lint(&gateway, &arguments).await;
    let said = text(&output.stderr);
    for words in [
        "7 prompts compared by what they mean (of fewer than 8 words, left out: `fun/hello`, `greet`)",
        "noted from 0.99999 on",
        "nearest: `shop/refund` and `shop/returns`, 0.99",
        "`--threshold` sets another",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
}

#[tokio::test]
async fn a_look_that_would_cost_too_much_or_has_no_model_says_so() {
    let provider = FakeProvider::start().await;
    provider.always(embedded);
    let gateway = with_prompts(&provider).prepare();
    for (arguments, words) in [
        (&["--semantic"][..], "needs a model that embeds"),
        (
            &["--semantic", "--model", MODEL, "--max-cost", "0.000001"][..],
            "cost",
        ),
        (&["--model", MODEL][..], "--semantic"),
        (&["--semantic", "--fix"][..], "--fix"),
    ] {
        let output = lint(&gateway, arguments).await;
        assert_eq!(output.status.code(), Some(2), "{arguments:?} {output:?}");
        assert!(
            text(&output.stderr).contains(words),
            "{arguments:?} {output:?}"
        );
    }
    assert_eq!(embeddings(&provider), 0, "nothing was paid");
}
