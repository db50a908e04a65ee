//! Labels mean what `releases.yaml` says; what is live past Git is said; what happened is told.

use crate::support::{
    FakeProvider, Received, Response, Setup, TestGateway, eventually, git, greet,
};
use serde_json::{Value, json};
use std::fs;

fn commit(gateway: &TestGateway, path: &str, text: &str) {
    let prompts = gateway.path().join("prompts");
    fs::write(prompts.join(path), text).unwrap();
    git(&prompts, &["add", "-A"]);
    git(&prompts, &["commit", "-q", "-m", path]);
}

/// A gateway whose prompt `greet` has the versions `v1` (Hello), `v2` (Hail) and `v3` (Howdy), and
/// whose labels are as `releases` says.
async fn gateway(provider: &FakeProvider, releases: &str) -> TestGateway {
    let mut gateway = Setup::of(provider).prompt("greet.prompt", "x").prepare();
    git(&gateway.path().join("prompts"), &["init", "-q"]);
    for text in ["Hello", "Hail", "Howdy"] {
        commit(&gateway, "greet.prompt", &greet(text));
    }
    commit(&gateway, "releases.yaml", releases);
    gateway.restart().await;
    gateway
}

fn call(reference: &str, user: &str) -> Value {
    json!({"model": format!("prompt:{reference}"), "user": user,
        "prompt": {"variables": {"name": "Ada"}}})
}

/// `v1 production stable` from the headers.
fn told(response: &Response) -> String {
    assert_eq!(response.status, 200, "{}", response.text());
    let header = |name: &str| {
        response
            .header(&format!("x-promptgate-{name}"))
            .unwrap_or("-")
    };
    [header("version"), header("label"), header("arm")].join(" ")
}

async fn until(gateway: &TestGateway, wanted: &str) -> Response {
    eventually(wanted, async || {
        let response = gateway.client().chat(&call("greet", "ada")).await;
        (told(&response) == wanted).then_some(response)
    })
    .await
}

#[tokio::test]
async fn labels_are_followed_and_the_decision_is_recorded() {
    let provider = FakeProvider::start().await;
    let releases =
        "labels:\n  production: {\"*\": latest, greet: v1}\n  staging: {\"*\": latest}\n";
    let gateway = gateway(&provider, releases).await;
    for (reference, wanted) in [
        ("greet", "v1 production stable"),
        ("greet@production", "v1 production stable"),
        ("greet@staging", "v3 staging stable"),
        ("greet@v2", "v2 - -"),
        ("greet@latest", "v3 - -"),
    ] {
        let response = gateway.client().chat(&call(reference, "ada")).await;
        assert_eq!(told(&response), wanted, "{reference}");
        let record = gateway.record(response.call_id()).await;
        let decision = &record["intent"]["release"];
        match wanted.split(' ').collect::<Vec<_>>()[..] {
            [_, "-", _] => assert!(decision.is_null(), "{decision}"),
            [_, label, arm] => assert_eq!(
                *decision,
                json!({"label": label, "arm": arm, "reason": "only_version"})
            ),
            _ => panic!("{wanted}"),
        }
    }
    let unknown = gateway.client().chat(&call("greet@beta", "ada")).await;
    assert_eq!(unknown.failure(), "404 prompt_label_not_found");
    let hint = unknown.error()["hint"].as_str().unwrap().to_owned();
    assert_eq!(hint, "the labels are `production`, `staging`, `latest`");

    let shown = gateway.client().get("/v1/prompts/greet").await.json();
    assert_eq!(
        shown["labels"],
        json!({"production": "v1", "staging": "v3"})
    );

    // The same code with another key gets another environment.
    let created = gateway
        .run_json(&["keys", "create", "app", "--default-label", "staging"])
        .await;
    let client = gateway.client().bearer(created["secret"].as_str().unwrap());
    let response = client.chat(&call("greet", "ada")).await;
    assert_eq!(told(&response), "v3 staging stable");
}

#[tokio::test]
async fn a_promotion_is_a_commit_and_a_rollback_its_revert() {
    let provider = FakeProvider::start().await;
    let gateway = gateway(&provider, "labels: {production: {greet: v1}}\n").await;
    until(&gateway, "v1 production stable").await;
    commit(
        &gateway,
        "releases.yaml",
        "labels: {production: {greet: v2}}\n",
    );
    until(&gateway, "v2 production stable").await;
    // A mistake changes nothing, and is said with its place.
    let path = gateway.path().join("prompts/releases.yaml");
    fs::write(&path, "labels: {production: {greet: v9}}\n").unwrap();
    let wanted = "releases.yaml:1: prompt `greet` has no version `v9`; there are `v1` to `v3`";
    eventually("the problem at the probe", async || {
        let ready = gateway.client().get("/health/ready").await;
        ready.text().contains(wanted).then_some(())
    })
    .await;
    let checked = gateway.run(&["check"]).await;
    assert_eq!(checked.status.code(), Some(1));
    let said = String::from_utf8_lossy(&checked.stderr).into_owned();
    assert!(said.contains(wanted), "{said}");
    until(&gateway, "v2 production stable").await;
    let prompts = gateway.path().join("prompts");
    git(&prompts, &["checkout", "-q", "."]);
    git(&prompts, &["revert", "--no-edit", "HEAD"]);
    until(&gateway, "v1 production stable").await;

    let events = gateway
        .run_json(&[
            "audit",
            "list",
            "--kind",
            "label_moved",
            "--prompt",
            "greet",
        ])
        .await;
    let moves = events.as_array().unwrap().iter();
    let moves: Vec<(&Value, &Value)> = moves.map(|event| (&event["from"], &event["to"])).collect();
    let (v1, v2) = (json!("v1"), json!("v2"));
    assert_eq!(moves, [(&Value::Null, &v1), (&v1, &v2), (&v2, &v1)]);
}

#[tokio::test]
async fn a_canary_holds_its_callers_whatever_they_call_with() {
    let provider = FakeProvider::start().await;
    let releases = |sticky: &str| {
        format!(
            "labels: {{production: {{greet: {{stable: v1, canary: {{to: v2, percent: 50, sticky: {sticky}}}}}}}}}\n"
        )
    };
    let gateway = gateway(&provider, &releases("user")).await;
    let mut arms = Vec::new();
    for number in 0..24 {
        let user = format!("user-{number}");
        let mut seen = Vec::new();
        for field in ["user", "safety_identifier"] {
            let mut request = call("greet", "x");
            request.as_object_mut().unwrap().remove("user");
            request[field] = user.as_str().into();
            let response = gateway.client().chat(&request).await;
            seen.push(told(&response));
            let record = gateway.record(response.call_id()).await;
            assert_eq!(record["intent"]["release"]["reason"], "sticky_user");
        }
        assert_eq!(seen[0], seen[1], "{user}");
        arms.push(seen.remove(0));
    }
    arms.sort();
    arms.dedup();
    assert_eq!(arms, ["v1 production stable", "v2 production canary"]);

    commit(&gateway, "releases.yaml", &releases("header"));
    let client = gateway.client().header("x-promptgate-sticky", "tenant-7");
    let first = eventually("the header to decide", async || {
        let response = client.chat(&call("greet", "x")).await;
        let record = gateway.record(response.call_id()).await;
        (record["intent"]["release"]["reason"] == "sticky_header").then(|| told(&response))
    })
    .await;
    for user in ["a", "b", "c", "d"] {
        assert_eq!(told(&client.chat(&call("greet", user)).await), first);
    }
}

#[tokio::test]
async fn a_shadow_answers_nobody_and_is_recorded_beside_its_call() {
    let provider = FakeProvider::start().await;
    let releases = "labels: {production: {greet: {stable: v1, shadow: {to: v3, percent: 100}}}}\n";
    let gateway = gateway(&provider, releases).await;
    let said = |received: &Received| received.json()["messages"][0]["content"].to_string();
    for is_stream in [false, true] {
        let mut request = call("greet", "ada");
        request["stream"] = is_stream.into();
        let before = provider.journal().len();
        let response = gateway.client().chat(&request).await;
        assert_eq!(told(&response), "v1 production stable");
        let calls = gateway.ended_calls(before + 2).await;
        let mut records = Vec::new();
        for call in &calls {
            records.push(gateway.record(call.id()).await);
        }
        let arms = gateway.run_json(&["calls", "list"]).await;
        assert_eq!(arms[0]["arm"], "shadow");
        assert_eq!(arms[1]["arm"], "stable");
        let id = response.call_id();
        let shadow = records
            .iter()
            .find(|record| record["intent"]["shadow_of"] == id)
            .unwrap();
        let intent = &shadow["intent"];
        assert_eq!(intent["prompt"]["number"], 3);
        assert_eq!(
            intent["release"],
            json!({"label": "production", "arm": "shadow", "reason": "sampled"})
        );
        assert_eq!(intent["user"], "ada");
        assert_eq!(
            (&intent["stream"], &shadow["outcome"]["state"]),
            (&json!(false), &json!("ok"))
        );
        assert_eq!(
            shadow["sent"]["messages"],
            provider.journal()[before + 1].json()["messages"],
            "a shadow can be made anew like any call"
        );
        let asked = provider.journal();
        assert!(
            said(&asked[before]).contains("Hello") && said(&asked[before + 1]).contains("Howdy")
        );
        assert_eq!(asked[before + 1].json().get("stream"), None);
    }
}

#[tokio::test]
async fn a_client_that_leaves_casts_no_shadow() {
    let provider = FakeProvider::start().await;
    let releases = "labels: {production: {greet: {stable: v1, shadow: {to: v3, percent: 100}}}}\n";
    let gateway = gateway(&provider, releases).await;
    let answer = crate::support::Answer::stream(&["one", "two"]).gate_after(2);
    provider.next(answer);
    let mut request = call("greet", "leaver");
    request["stream"] = true.into();
    let mut connection = gateway.client().open_chat(&request).await;
    connection.read_until("one").await;
    connection.reset();
    let calls = gateway.ended_calls(1).await;
    assert_eq!(calls[0].state(), "client_gone");
    // Whoever comes next has one; so none was begun for the other.
    assert_eq!(
        gateway.client().chat(&call("greet", "stayer")).await.status,
        200
    );
    gateway.ended_calls(3).await;
    let users: Vec<String> = provider.journal().iter().map(Received::tag).collect();
    assert_eq!(users, ["leaver", "stayer", "stayer"]);
}

#[tokio::test]
async fn an_override_is_live_at_once_and_drift_until_git_catches_up() {
    let provider = FakeProvider::start().await;
    let mut gateway = gateway(&provider, "labels: {production: {\"*\": latest}}\n").await;
    until(&gateway, "v3 production stable").await;
    let set = [
        "prompts",
        "override",
        "set",
        "production",
        "greet",
        "v1",
        "--ttl",
        "2h",
        "--reason",
        "v3 is rude",
    ];
    let said = gateway.run(&set).await;
    assert!(said.status.success(), "{said:?}");
    // At once: the first call after the command.
    let response = gateway.client().chat(&call("greet", "ada")).await;
    assert_eq!(told(&response), "v1 production override");
    assert_eq!(
        response.header("x-promptgate-warnings"),
        Some("label `production` of prompt `greet` is overridden: v1 in place of v3")
    );
    let drift = gateway.run_json(&["prompts", "drift"]).await;
    let of = |key: &str| drift[0][key].as_str().unwrap_or_default().to_owned();
    let shown = [of("kind"), of("git"), of("live"), of("reason")];
    assert_eq!(shown, ["override", "v3", "v1", "v3 is rude"]);
    let ready = gateway.client().get("/health/ready").await.json();
    assert_eq!(ready["prompts"]["overrides"][0]["live"], "v1");
    assert!(!ready.to_string().contains("rude"), "a probe needs no key");

    gateway.kill9().await;
    gateway.restart().await;
    until(&gateway, "v1 production override").await;

    commit(
        &gateway,
        "releases.yaml",
        "labels: {production: {greet: v1}}\n",
    );
    until(&gateway, "v1 production stable").await;
    // The file may have been seen before it was committed, and is drift until then.
    eventually("no drift", async || {
        let drift = gateway.admin().get("/api/prompts/drift").await.json();
        (drift["data"] == json!([])).then_some(())
    })
    .await;
    let events = gateway
        .run_json(&["audit", "list", "--prompt", "greet"])
        .await;
    let kinds: Vec<&Value> = events
        .as_array()
        .unwrap()
        .iter()
        .map(|event| &event["kind"])
        .collect();
    assert!(kinds.contains(&&json!("override_set")), "{events}");
    let ended = events.as_array().unwrap().iter();
    let ended: Vec<&Value> = ended
        .filter(|event| event["kind"] == "override_ended")
        .map(|event| &event["end"])
        .collect();
    assert_eq!(ended, ["caught_up"]);
}

#[tokio::test]
async fn overrides_are_for_those_who_hold_the_admin_token_and_have_a_reason() {
    let provider = FakeProvider::start().await;
    let gateway = gateway(&provider, "labels: {production: {\"*\": latest}}\n").await;
    let path = "/api/prompts/overrides";
    let good =
        json!({"label": "production", "prompt": "greet", "to": "v1", "ttl": "2h", "reason": "r"});
    let anonymous = gateway.anonymous_admin().post(path, &good).await;
    assert_eq!(anonymous.failure(), "401 admin_token_required");
    let on_data = gateway.client().post(path, &good).await;
    assert_eq!(on_data.status, 404);
    for (key, value, failure) in [
        ("reason", json!(" "), "400 invalid_prompt_override"),
        ("ttl", json!("soon"), "400 invalid_request"),
        ("ttl", json!("31d"), "400 invalid_prompt_override"),
        ("to", json!("latest"), "400 invalid_prompt_override"),
        ("to", json!("v9"), "404 prompt_version_not_found"),
        ("label", json!("staging"), "404 prompt_label_not_found"),
        ("prompt", json!("greeet"), "404 prompt_not_found"),
        ("extra", json!(1), "400 invalid_request"),
    ] {
        let mut body = good.clone();
        body[key] = value;
        let response = gateway.admin().post(path, &body).await;
        assert_eq!(response.failure(), failure, "{body}: {}", response.text());
    }
    let set = gateway.admin().post(path, &good).await;
    assert_eq!(set.status, 201);
    let removed = gateway
        .run(&["prompts", "override", "remove", "production", "greet"])
        .await;
    assert!(removed.status.success(), "{removed:?}");
    until(&gateway, "v3 production stable").await;
    let again = gateway
        .run(&["prompts", "override", "remove", "production", "greet"])
        .await;
    assert_eq!(again.status.code(), Some(1));
    let said = String::from_utf8_lossy(&again.stderr).into_owned();
    assert!(
        said.contains("is not overridden") && said.contains("hint:"),
        "{said}"
    );
}

#[tokio::test]
async fn what_labels_mean_and_what_happened_reads_well() {
    let provider = FakeProvider::start().await;
    let releases = "labels:\n  production:\n    \"*\": latest\n    greet: {stable: v1, canary: {to: v2, \
        percent: 12.5, until: 2999-12-15, guard: {suite: greet, min_pass: 0.95}}, \
        shadow: {to: v3, percent: 5}}\n  staging: {\"*\": latest}\naliases: {pmpt_1: greet}\n";
    let gateway = gateway(&provider, releases).await;
    let created = gateway.run(&["keys", "create", "app"]).await;
    assert!(created.status.success());
    let shown = gateway.run(&["prompts", "releases"]).await;
    insta::assert_snapshot!("releases", String::from_utf8_lossy(&shown.stdout));
    let shown = gateway.run(&["audit", "list"]).await;
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    // Times, commits and ids of keys are new every time.
    let mut told = Vec::new();
    for line in shown.lines().skip(1) {
        let words = line.split_whitespace().skip(2);
        let words = words.filter(|word| !word.starts_with('('));
        told.push(words.collect::<Vec<_>>().join(" "));
    }
    let key = told
        .iter()
        .position(|line| line.starts_with("key_created"))
        .unwrap();
    assert!(told[key].ends_with(" app"), "{}", told[key]);
    told[key] = "key_created KEY app".to_owned();
    insta::assert_snapshot!("audit", told.join("\n"));
    let log = gateway.stderr();
    let warning = "a canary has a guard, and nothing evaluates it yet";
    assert!(
        log.contains(warning) && log.contains("greet@production"),
        "{log}"
    );
    let wrong = gateway
        .run(&["audit", "list", "--kind", "label_move"])
        .await;
    let said = String::from_utf8_lossy(&wrong.stderr).into_owned();
    assert!(said.contains("did you mean `label_moved`?"), "{said}");
    let later = gateway
        .run_json(&["audit", "list", "--since", "2999-01-01"])
        .await;
    assert_eq!(later, json!([]));
}

/// Without a server the commands read the files themselves, and what they set is live at the next start.
#[tokio::test]
async fn overrides_can_be_set_while_nobody_serves() {
    let provider = FakeProvider::start().await;
    let mut gateway = gateway(&provider, "labels: {production: {greet: v3}}\n").await;
    gateway.kill9().await;
    let shown = gateway.run_json(&["prompts", "releases"]).await;
    assert_eq!(shown[0]["version"], "v3");
    let set = [
        "prompts",
        "override",
        "set",
        "production",
        "greet",
        "v1",
        "--ttl",
        "1h",
        "--reason",
        "night",
    ];
    let set = gateway.run(&set).await;
    assert!(set.status.success(), "{set:?}");
    let listed = gateway.run_json(&["prompts", "override", "list"]).await;
    assert_eq!(listed[0]["to"], "v1");
    gateway.restart().await;
    until(&gateway, "v1 production override").await;
}
