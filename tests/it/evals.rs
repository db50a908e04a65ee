//! Runs of evals: every question is a record that names its run, and nothing is paid twice.

use crate::support::{Answer, FakeProvider, Received, TestGateway, eventually, within};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::process::Command;
use std::time::Duration;

/// A case that asks for `good N`, which must come back.
fn case(n: usize) -> Value {
    json!({
        "id": format!("c{n}"), "description": null, "vars": {"x": format!("good {n}")},
        "asserts": [{"one": {
            "kind": "contains", "is_negated": false, "value": {"json": "good"}, "threshold": null,
            "weight": 1.0, "metric": null, "grader": null, "rubric_prompt": null, "transform": null,
            "context_transform": null, "config": {}, "place": place(),
        }}],
        "threshold": null, "scoring": null,
        "options": {
            "prefix": null, "suffix": null, "transform": null, "transform_vars": null,
            "store_output_as": null, "rubric_prompt": null, "grader": null, "factuality": null,
            "is_serial": false, "is_without_conversation": false, "repeat": null, "other": {},
        },
        "metadata": {}, "models": [], "prompts": [], "given_output": null, "cluster": null,
        "slices": {}, "group": null, "place": place(),
    })
}

fn place() -> Value {
    json!({"file": "suite.yaml", "line": 1, "column": 0})
}

/// A plan as the process that reads the files makes it.
pub(crate) fn plan(cases: usize) -> Value {
    json!({
        "version": 1, "suite": "shop", "path": "evals/shop.yaml", "description": null,
        "suite_hash": "0".repeat(64),
        "sides": [{
            "side": "head", "commit": null, "name": "this directory",
            "subjects": [{
                "label": "[mini] say", "prompt_label": "say", "model_label": "mini",
                "prompt": {"kind": "text", "template": "say {{x}}"},
                "model": {"route": "openai/gpt-4o-mini"}, "parameters": {"temperature": 0},
                "transform": null, "delay_ms": 0,
            }],
            "cases": (0..cases).map(case).collect::<Vec<_>>(),
        }],
        "derived_metrics": [],
        "settings": {
            "repeat": 1, "concurrency": 3, "delay_ms": 0, "timeout_ms": null, "deadline_ms": null,
            "is_cached": false, "range": null,
            "judge": {
                "file": null, "model": null, "must_differ_from_target": false,
                "min_true_positive_rate": 0.85, "min_true_negative_rate": 0.85, "min_labels": 60,
            },
            "gates": [], "budget": {"total": null, "judges": null, "on_exceed": "stop_inconclusive"},
            "schedule": null, "stopping": "all", "counterfactual": null, "max_error_share": 0.02,
        },
        "judge": null, "warnings": [],
        "forecast": {
            "case_calls": cases, "judge_calls": 0, "pico_usd": null, "notes": [],
            "detectable_drop": null,
        },
    })
}

pub(crate) fn wanted(plan: &Value, options: &Value) -> Value {
    json!({"plan": plan, "options": options, "rows": true})
}

/// Says what was asked.
fn parrot(request: &Received) -> Answer {
    Answer::reply(&question(request))
}

pub(crate) fn question(request: &Received) -> String {
    let body = request.json();
    let last = body["messages"]
        .as_array()
        .and_then(|messages| messages.last().cloned());
    last.unwrap_or_default()["content"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

/// How often each question was answered.
fn answered(provider: &FakeProvider) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for request in provider.journal().iter().filter(|request| request.answered) {
        *counts.entry(question(request)).or_default() += 1;
    }
    counts
}

pub(crate) async fn begin(gateway: &TestGateway, body: &Value) -> Vec<Value> {
    let response = gateway.admin().post("/api/evals/runs", body).await;
    assert_eq!(response.status, 200, "{}", response.text());
    let text = response.text();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

pub(crate) fn ended(lines: &[Value]) -> &Value {
    let last = lines.last().unwrap();
    assert_eq!(last["type"], "ended", "{last}");
    last
}

async fn runs(gateway: &TestGateway) -> Vec<Value> {
    let response = gateway.admin().get("/api/evals/runs").await;
    response.json()["data"].as_array().unwrap().clone()
}

/// The rows that are kept of a run.
async fn rows(gateway: &TestGateway, run: &str) -> Vec<Value> {
    let response = gateway
        .admin()
        .get(&format!("/api/evals/runs/{run}/rows"))
        .await;
    response.json()["data"].as_array().unwrap().clone()
}

#[tokio::test]
async fn a_run_is_carried_out_and_each_of_its_calls_is_a_record() {
    let provider = FakeProvider::start().await;
    provider.always(|request| match question(request).as_str() {
        "say good 2" => Answer::reply("no"),
        "say good 3" => Answer::fail(400, &json!({"error": {"message": "bad"}})),
        _ => parrot(request),
    });
    let gateway = TestGateway::start(&provider).await;
    let lines = begin(&gateway, &wanted(&plan(5), &json!({}))).await;
    let end = ended(&lines);
    let counts = ["cells", "passed", "failed", "errors"].map(|name| end[name].clone());
    assert_eq!(counts, [json!(5), json!(3), json!(1), json!(1)]);
    assert_eq!(lines[0]["type"], "begun");
    let run = end["run"].as_str().unwrap();
    let found = lines.iter().filter(|line| line["type"] == "row").count();
    assert_eq!(found, 5);

    let calls = gateway.run_json(&["calls", "list", "--run", run]).await;
    assert_eq!(calls.as_array().unwrap().len(), 5);
    for call in calls.as_array().unwrap() {
        let record = gateway.record(call["id"].as_str().unwrap()).await;
        let named = &record["intent"]["run"];
        assert_eq!(
            (&named["run"], &named["purpose"]),
            (&json!(run), &json!("case"))
        );
        assert_eq!(record["intent"]["caller"], "evals");
    }
    let kept = rows(&gateway, run).await;
    let failed = kept
        .iter()
        .find(|row| row["grade"]["mark"] == "fail")
        .unwrap();
    assert_eq!(failed["cell"]["case"], "c2");
    let call = failed["answer"]["call"].as_str().unwrap();
    assert_eq!(
        gateway.record(call).await["output"]["choices"][0]["message"]["content"],
        "no"
    );

    let list = gateway.run_json(&["evals", "list"]).await;
    assert_eq!(
        (&list[0]["id"], &list[0]["state"]),
        (&json!(run), &json!("ended"))
    );
    let shown = gateway.run(&["evals", "show", run]).await;
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(
        shown.contains("c2") && shown.contains("suite  shop"),
        "{shown}"
    );
    let shown = gateway
        .run_json(&["evals", "show", run, "--case", "c1"])
        .await;
    assert_eq!(shown["rows"][0]["answer"]["output"], "say good 1");
}

#[tokio::test]
async fn a_killed_run_goes_on_and_asks_no_finished_cell_again() {
    const CELLS: usize = 40;
    let provider = FakeProvider::start().await;
    provider.always(|request| parrot(request).delay(Duration::from_millis(30)));
    let mut gateway = TestGateway::start(&provider).await;
    let body = wanted(&plan(CELLS), &json!({}));
    for kill_at in [8, 20] {
        let admin = gateway.admin();
        let mut connection = admin.connect().await;
        let text = body.to_string();
        let request = admin.request("POST", "/api/evals/runs", text.as_bytes());
        connection.send(&request).await.unwrap();
        provider.wait_for_requests(kill_at).await;
        gateway.kill9().await;
        gateway.restart().await;
    }
    let before = runs(&gateway).await;
    assert_eq!(
        (before.len(), &before[0]["state"]),
        (1, &json!("cut")),
        "one run, cut twice"
    );
    let run = before[0]["id"].as_str().unwrap().to_owned();
    let kept = rows(&gateway, &run).await;
    assert!(!kept.is_empty() && kept.len() < CELLS, "{}", kept.len());
    let calls = gateway.all_calls().await;
    let paid: Vec<String> = {
        let mut paid = Vec::new();
        for call in calls.iter().filter(|call| call.state() == "ok") {
            let record = gateway.record(call.id()).await;
            let text = record["request"]["messages"][0]["content"]
                .as_str()
                .unwrap();
            paid.push(text.to_owned());
        }
        paid
    };
    let asked_before = provider.journal().len();

    let lines = begin(&gateway, &body).await;

    let end = ended(&lines);
    assert_eq!(lines[0]["is_resumed"], true);
    assert_eq!(end["run"], json!(run), "the same run goes on");
    assert_eq!(end["passed"], json!(CELLS));
    assert_eq!(rows(&gateway, &run).await.len(), CELLS);
    // What a record says was paid is not asked again, whether its row was written or not.
    let again = provider.journal().split_off(asked_before);
    for request in &again {
        assert!(
            !paid.contains(&question(request)),
            "{} was paid",
            question(request)
        );
    }
    assert_eq!(again.len(), CELLS - paid.len());
    assert_eq!(
        paid.len(),
        paid.iter().collect::<std::collections::BTreeSet<_>>().len()
    );
    assert_eq!(end["stopped"], Value::Null);
}

#[tokio::test]
async fn the_budget_stops_a_run_and_a_larger_one_lets_it_go_on() {
    let provider = FakeProvider::start().await;
    provider.always(parrot);
    let gateway = TestGateway::start(&provider).await;
    let file = gateway.path().join("plan.json");
    fs::write(&file, plan(20).to_string()).unwrap();
    // A call is 9 and 2 tokens of gpt-4o-mini: 2.55 millionths of a dollar.
    let arguments = ["evals", "run", "--plan", "plan.json", "--budget", "0.00001"];
    let output = gateway.run(&arguments).await;
    assert_eq!(output.status.code(), Some(102), "{output:?}");
    assert_eq!(answered(&provider).len(), 3);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.contains("the budget is spent; 3 of 20 cases were asked"),
        "{text}"
    );
    let output = gateway
        .run(&["evals", "run", "--plan", "plan.json", "--budget", "1"])
        .await;
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let counts = answered(&provider);
    assert_eq!(counts.len(), 20);
    assert!(counts.values().all(|count| *count == 1), "{counts:?}");
    assert_eq!(runs(&gateway).await.len(), 1);
}

#[tokio::test]
async fn a_storm_of_429_is_weathered() {
    let provider = FakeProvider::start().await;
    provider.always(parrot);
    for _ in 0..12 {
        let body = json!({"error": {"message": "slow down", "code": "rate_limit_exceeded"}});
        provider.next(Answer::status(
            429,
            &[("retry-after-ms", "20")],
            &body.to_string(),
        ));
    }
    let gateway = TestGateway::start(&provider).await;
    let lines = begin(&gateway, &wanted(&plan(10), &json!({}))).await;
    let end = ended(&lines);
    assert_eq!((&end["passed"], &end["errors"]), (&json!(10), &json!(0)));
    assert_eq!(provider.journal().len(), 22);
}

#[tokio::test]
async fn a_run_goes_on_when_its_client_leaves_unless_it_asked_otherwise() {
    for stops in [false, true] {
        let provider = FakeProvider::start().await;
        provider.always(|request| parrot(request).gate_after(0));
        let gateway = TestGateway::start(&provider).await;
        let admin = gateway.admin();
        let mut connection = admin.connect().await;
        let body = wanted(&plan(6), &json!({"stops_with_client": stops})).to_string();
        let request = admin.request("POST", "/api/evals/runs", body.as_bytes());
        connection.send(&request).await.unwrap();
        connection.read_until("\"begun\"").await;
        provider.wait_for_requests(3).await;
        drop(connection);
        let run = eventually("the run to be over", async || {
            // A run that is to stop is not helped to its end.
            if !stops {
                provider.release();
            }
            let run = runs(&gateway).await.remove(0);
            (run["state"] == "ended").then_some(run)
        })
        .await;
        let stopped = if stops {
            json!("cancelled")
        } else {
            Value::Null
        };
        assert_eq!(run["result"]["stopped"], stopped, "{run}");
        let kept = rows(&gateway, run["id"].as_str().unwrap()).await.len();
        assert_eq!(kept == 6, !stops, "{kept}");
    }
}

#[tokio::test]
async fn a_run_can_be_stopped_and_a_shutdown_stops_it_too() {
    let provider = FakeProvider::start().await;
    provider.always(|request| parrot(request).delay(Duration::from_millis(50)));
    let mut gateway = TestGateway::start(&provider).await;
    let admin = gateway.admin();
    let body = wanted(&plan(60), &json!({})).to_string();
    let begin_here = async |count: usize| {
        let mut connection = admin.connect().await;
        let request = admin.request("POST", "/api/evals/runs", body.as_bytes());
        connection.send(&request).await.unwrap();
        provider.wait_for_requests(count).await;
        connection
    };
    let mut connection = begin_here(4).await;
    let run = runs(&gateway).await.remove(0);
    assert_eq!(run["state"], "running");
    let id = run["id"].as_str().unwrap().to_owned();
    let mut stopping = admin.connect().await;
    let request = admin.request("DELETE", &format!("/api/evals/runs/{id}"), b"");
    stopping.send(&request).await.unwrap();
    assert_eq!(stopping.read_response().await.unwrap().status, 202);
    let response = within("the end of the run", connection.read_response())
        .await
        .unwrap();
    let last: Value = serde_json::from_str(response.text().lines().last().unwrap()).unwrap();
    assert_eq!(last["stopped"], "cancelled", "{last}");

    let asked = provider.journal().len();
    let connection = begin_here(asked + 3).await;
    gateway.terminate();
    assert_eq!(gateway.exited().await.code(), Some(0));
    drop(connection);
    let list = gateway.run_json(&["evals", "list"]).await;
    assert_eq!(
        (&list[0]["id"], &list[0]["result"]["stopped"]),
        (&json!(id), &json!("shutdown"))
    );

    // Without a server the command line goes on with it.
    let output = gateway
        .run(&["evals", "run", "--resume", &id, "--json"])
        .await;
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let done: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&done["run"], &done["verdict"]),
        (&json!(id), &json!("passed"))
    );
    assert_eq!(marks(&done), ["pass"; 60]);
    let counts = answered(&provider);
    assert_eq!(counts.len(), 60);
    assert!(counts.values().all(|count| *count == 1), "{counts:?}");
}

#[tokio::test]
async fn answers_of_the_run_before_are_used_when_that_is_wanted() {
    let provider = FakeProvider::start().await;
    provider.always(parrot);
    let gateway = TestGateway::start(&provider).await;
    let mut plan = plan(4);
    plan["settings"]["is_cached"] = true.into();
    let body = wanted(&plan, &json!({"fresh": true}));
    let first = begin(&gateway, &body).await;
    assert_eq!(ended(&first)["spent"]["cached"], 0);
    let second = begin(&gateway, &body).await;
    assert_eq!(ended(&second)["spent"]["cached"], 4);
    assert_ne!(ended(&first)["run"], ended(&second)["run"]);
    assert_eq!(provider.journal().len(), 4);
    let row = second.iter().find(|line| line["type"] == "row").unwrap();
    assert!(row["row"]["answer"]["cached_from"].is_i64(), "{row}");
}

#[tokio::test]
async fn what_could_not_be_judged_is_asked_again_in_the_same_run() {
    let provider = FakeProvider::start().await;
    provider.always(|request| match question(request).as_str() {
        "say good 1" => Answer::fail(400, &json!({"error": {"message": "bad"}})),
        _ => parrot(request),
    });
    let gateway = TestGateway::start(&provider).await;
    let first = begin(&gateway, &wanted(&plan(3), &json!({}))).await;
    assert_eq!(ended(&first)["errors"], 1);
    provider.always(parrot);
    let second = begin(&gateway, &wanted(&plan(3), &json!({"retry_errors": true}))).await;
    assert_eq!(ended(&second)["run"], ended(&first)["run"]);
    let counts = ["passed", "errors"].map(|name| ended(&second)[name].clone());
    assert_eq!(counts, [json!(3), json!(0)]);
    assert_eq!(provider.journal().len(), 4);
    // A run that is over is not gone on with by itself.
    let third = begin(&gateway, &wanted(&plan(3), &json!({}))).await;
    assert_ne!(ended(&third)["run"], ended(&first)["run"]);
}

#[tokio::test]
async fn an_interrupted_command_says_how_to_go_on() {
    let provider = FakeProvider::start().await;
    provider.always(|request| parrot(request).gate_after(0));
    let gateway = TestGateway::start(&provider).await;
    fs::write(gateway.path().join("plan.json"), plan(9).to_string()).unwrap();
    let child = gateway.spawn(&["evals", "run", "--plan", "plan.json"]);
    provider.wait_for_requests(3).await;
    let pid = child.id().to_string();
    let sent = Command::new("kill").args(["-INT", &pid]).status().unwrap();
    assert!(sent.success());
    let waiting = tokio::task::spawn_blocking(move || child.wait_with_output().unwrap());
    let run = runs(&gateway).await.remove(0);
    eventually("the run to stop", async || {
        let admin = gateway.admin();
        let shown = admin
            .get(&format!("/api/evals/runs/{}", run["id"].as_str().unwrap()))
            .await;
        (shown.json()["state"] == "ended").then_some(())
    })
    .await;
    let output = within("the end of the command", waiting).await.unwrap();
    assert_eq!(output.status.code(), Some(130), "{output:?}");
    let hint = format!("evals run --resume {}", run["id"].as_str().unwrap());
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains(&hint), "{told}");
}

/// A suite from files, against a prompt of the registry, at head and at base.
#[tokio::test]
async fn a_suite_is_run_by_its_name() {
    let provider = FakeProvider::start().await;
    provider.always(parrot);
    let gateway = TestGateway::start(&provider).await;
    let dir = gateway.path().join("evals");
    fs::create_dir(&dir).unwrap();
    let suite = "description: greetings\n\
        prompts: [prompt://greet]\n\
        providers: [gateway:default]\n\
        tests:\n\
        - {vars: {name: Ada, expected: x}, assert: [{type: contains, value: '{{name}}'}]}\n\
        - {vars: {name: Bob}, assert: [{type: contains, value: Ada}]}\n";
    fs::write(dir.join("greet.yaml"), suite).unwrap();
    let output = gateway.run(&["evals", "run", "greet", "--json"]).await;
    assert_eq!(output.status.code(), Some(100), "{output:?}");
    let done: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(marks(&done), ["pass", "fail"]);
    let call = done["rows"][0]["answer"]["call"]
        .as_str()
        .unwrap()
        .to_owned();
    let record = gateway.record(&call).await;
    assert_eq!(record["intent"]["prompt"]["key"], "greet");
    // The version is in the archive, so that what was sent can be shown.
    assert!(
        record["sent"]["messages"][0]["content"].is_string(),
        "{record}"
    );
    let output = gateway.run(&["evals", "run", "nothing"]).await;
    assert_eq!(output.status.code(), Some(2), "{output:?}");
}

#[tokio::test]
async fn what_cannot_be_run_is_refused_with_a_reason() {
    let provider = FakeProvider::start().await;
    let gateway = TestGateway::start(&provider).await;
    let admin = gateway.admin();
    let mut twice = plan(2);
    twice["sides"][0]["cases"][1]["id"] = "c0".into();
    let mut empty = plan(0);
    empty["version"] = 1.into();
    for (body, status, code) in [
        (json!({"plan": 1}), 400, "invalid_request"),
        (wanted(&twice, &json!({})), 400, "eval_plan_invalid"),
        (wanted(&empty, &json!({})), 400, "eval_plan_invalid"),
        (
            json!({"options": {"resume": "last"}}),
            404,
            "eval_nothing_to_resume",
        ),
        (
            json!({"options": {"resume": "01980000"}}),
            404,
            "eval_run_not_found",
        ),
    ] {
        let response = admin.post("/api/evals/runs", &body).await;
        let error = &response.json()["error"];
        assert_eq!(
            (response.status, &error["code"]),
            (status, &json!(code)),
            "{error}"
        );
    }
    let response = admin.get("/api/evals/runs/01980000").await;
    assert_eq!(response.status, 404);
    assert!(provider.journal().is_empty());
}

/// What came of each row of a report.
fn marks(report: &Value) -> Vec<&str> {
    let rows = report["rows"].as_array().unwrap().iter();
    rows.map(|row| row["grade"]["mark"].as_str().unwrap())
        .collect()
}
