//! Judges of evals: they are asked through the gateway, held against people, and services may decide too.

use crate::support::{Answer, FakeProvider, Received, Setup, TestGateway};
use serde_json::{Value, json};
use std::fs;

/// A judge that likes answers with `please` in them, and loses its words at `mumble`.
fn judge(request: &Received) -> Answer {
    if request.path.ends_with("/hook") {
        let output = &request.json()["output"];
        let is_short = output.as_str().unwrap().len() < 12;
        return Answer::json(&json!({"pass": is_short, "reason": "by length"}));
    }
    let body = request.json();
    let text = body["messages"].to_string();
    // Only what stands between the borders is the answer.
    let Some((_, answer)) = text.rsplit_once("⟦output ") else {
        return Answer::reply("yes please");
    };
    let answer = answer.split("⟦end of output").next().unwrap_or_default();
    if answer.contains("mumble") {
        return Answer::reply("hm");
    }
    let is_good = answer.contains("please");
    Answer::reply(&format!(
        "{{\"pass\": {is_good}, \"score\": 0.75, \"reason\": \"tone\"}}"
    ))
}

fn write(gateway: &TestGateway, path: &str, text: &str) {
    let path = gateway.path().join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

const JUDGE: &str = "model: gateway:openai/gpt-4o-mini\nlabels: tone.labels.jsonl\n";

#[tokio::test]
async fn a_judge_is_calibrated_and_its_counts_lie_beside_it() {
    let provider = FakeProvider::start().await;
    provider.always(judge);
    let gateway = TestGateway::start(&provider).await;
    let labels = [
        json!({"output": "sit, please", "rubric": "is polite", "label": true, "rater": "one"}),
        json!({"output": "sit, please", "rubric": "is polite", "label": true, "rater": "two"}),
        json!({"output": "take a seat", "rubric": "is polite", "label": true, "note": "kind"}),
        json!({"output": "sit!", "rubric": "is {{what}}", "vars": {"what": "polite"}, "label": false}),
        json!({"output": "mumble", "rubric": "is polite", "label": false}),
    ];
    let labels: Vec<String> = labels.iter().map(Value::to_string).collect();
    write(
        &gateway,
        "evals/judges/tone.labels.jsonl",
        &labels.join("\n"),
    );
    write(&gateway, "evals/judges/tone.yaml", JUDGE);
    let done = gateway
        .run_json(&["evals", "calibrate", "evals/judges/tone.yaml"])
        .await;
    let report = &done["report"];
    let counts = json!({
        "true_positives": 1, "false_negatives": 1, "true_negatives": 1, "false_positives": 0,
    });
    assert_eq!(report["counts"], counts, "{report}");
    assert_eq!(
        (&report["labels"], &report["answers"]),
        (&json!(5), &json!(4))
    );
    assert_eq!(report["disagreements"][0]["output"], "take a seat");
    assert_eq!(report["disagreements"][0]["notes"], json!(["kind"]));
    assert_eq!(report["unjudged"][0]["line"], 5);
    assert_eq!(
        report["calls"],
        3 + 3,
        "the one that mumbles is asked three times"
    );
    let kept = fs::read(gateway.path().join("evals/judges/tone.calibration.json")).unwrap();
    let kept: Value = serde_json::from_slice(&kept).unwrap();
    assert_eq!(
        (&kept["counts"], &kept["judge_hash"]),
        (&counts, &report["judge_hash"])
    );
    told(&gateway).await;
}

/// The same for people, and what a judge without labels is told.
async fn told(gateway: &TestGateway) {
    let output = gateway
        .run(&["evals", "calibrate", "evals/judges/tone.yaml"])
        .await;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    for part in [
        "PEOPLE SAY",
        "50.0 %",
        "line 3: people say good, the judge fails it",
        "judge: tone",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    write(
        gateway,
        "evals/judges/bare.yaml",
        "model: gateway:openai/gpt-4o-mini\n",
    );
    let output = gateway
        .run(&["evals", "calibrate", "evals/judges/bare.yaml"])
        .await;
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("names no labels"),
        "{output:?}"
    );
}

#[tokio::test]
async fn a_suite_asks_its_judge_and_the_services_that_the_config_lists() {
    let provider = FakeProvider::start().await;
    provider.always(judge);
    let hook = format!("http://{}/hook", provider.address);
    let allowed = format!("\n[evals]\nwebhooks = [\"{}\"]\n", provider.address);
    for (is_allowed, mark) in [(true, "pass"), (false, "error")] {
        let mut setup = Setup::of(&provider);
        if is_allowed {
            setup = setup.config(&allowed);
        }
        let gateway = setup.start().await;
        write(
            &gateway,
            "evals/judges/tone.labels.jsonl",
            "{\"output\": \"x\", \"label\": true}\n",
        );
        write(&gateway, "evals/judges/tone.yaml", JUDGE);
        let suite = format!(
            "prompts: ['say {{{{x}}}}']\n\
             providers: [gateway:openai/gpt-4.1-mini]\n\
             metadata: {{promptgate: {{version: 1, judge: {{use: judges/tone.yaml}}}}}}\n\
             tests:\n\
             - vars: {{x: hello}}\n\
             \x20 assert:\n\
             \x20 - {{type: llm-rubric, value: is polite, threshold: 0.7}}\n\
             \x20 - {{type: webhook, value: '{hook}'}}\n"
        );
        write(&gateway, "evals/tone.yaml", &suite);
        let output = gateway.run(&["evals", "run", "tone", "--json"]).await;
        let done: Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{error}: {output:?}"));
        assert_eq!(done["rows"][0]["grade"]["mark"], mark, "{done}");
        let grades = &done["rows"][0]["grade"]["assertions"];
        assert_eq!(
            (&grades[0]["mark"], &grades[0]["score"]),
            (&json!("pass"), &json!(0.75))
        );
        let call = grades[0]["judged"]["calls"][0].as_str().unwrap().to_owned();
        let record = gateway.record(&call).await;
        assert_eq!(record["intent"]["run"]["purpose"], "judge", "{record}");
        if !is_allowed {
            let reason = grades[1]["reason"].as_str().unwrap();
            assert_eq!(grades[1]["mark"], "error");
            assert!(reason.contains("`evals.webhooks`"), "{reason}");
        }
    }
}

/// Flags what has `FLAG` in it, where anybody moderates.
fn moderator(request: &Received) -> Answer {
    if !request.path.ends_with("/moderations") {
        return Answer::reply("FLAG it");
    }
    let body = request.json();
    if body["model"] == "nobody" {
        return Answer::fail(404, &json!({"error": {"message": "no such model"}}));
    }
    let is_flagged = body["input"].as_str().unwrap().contains("FLAG");
    Answer::json(&json!({"id": "modr-1", "model": body["model"], "results": [
        {"flagged": is_flagged, "categories": {"hate": is_flagged, "violence": false}}]}))
}

#[tokio::test]
async fn a_provider_moderates_for_free_and_the_call_is_of_the_run() {
    let provider = FakeProvider::start().await;
    provider.always(moderator);
    let gateway = TestGateway::start(&provider).await;
    let suite = "prompts: ['say {{x}}']\n\
         providers: [gateway:openai/gpt-4.1-mini]\n\
         tests:\n\
         - vars: {x: hello}\n\
         \x20 assert:\n\
         \x20 - {type: moderation}\n\
         \x20 - {type: moderation, value: [violence]}\n\
         \x20 - {type: not-moderation}\n\
         \x20 - {type: moderation, provider: 'gateway:openai/nobody'}\n";
    write(&gateway, "evals/moderated.yaml", suite);
    let output = gateway.run(&["evals", "run", "moderated", "--json"]).await;
    let done: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {output:?}"));
    let grades = done["rows"][0]["grade"]["assertions"].as_array().unwrap();
    let marks: Vec<&Value> = grades.iter().map(|grade| &grade["mark"]).collect();
    assert_eq!(marks, ["fail", "pass", "pass", "error"], "{grades:?}");
    assert_eq!(grades[0]["reason"], "flagged: hate");
    let reason = grades[3]["reason"].as_str().unwrap();
    assert!(reason.contains("no such model"), "{reason}");
    let call = grades[0]["judged"]["calls"][0].as_str().unwrap().to_owned();
    let record = gateway.record(&call).await;
    assert_eq!(record["intent"]["path"], "POST /moderations", "{record}");
    assert_eq!(record["intent"]["run"]["purpose"], "judge", "{record}");
    assert_eq!(record["outcome"]["cost"]["pico_usd"], 0, "{record}");
    assert_eq!(grades[0]["judged"]["cost"]["pico_usd"], 0);
    let asked = provider.journal();
    let asked = asked
        .iter()
        .find(|it| it.path.ends_with("/moderations"))
        .unwrap();
    assert_eq!(asked.json()["model"], "omni-moderation-latest");
}
