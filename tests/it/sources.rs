//! Prompts come from remotes: fetched, checked, swapped; and what is good stays when a remote is bad or gone.

use crate::support::{
    FakeProvider, GitServer, Response, Setup, TestGateway, eventually, greet, within,
};
use serde_json::{Value, json};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::process::Command;

const TOKEN: &str = "ghp_canary_git_token_4be1c09d77a2";
const SECRET: &str = "canary-webhook-secret-91fa2c";

/// A gateway that follows `main` of the repository at `url`; `more` is laid over the usual settings.
fn following(provider: &FakeProvider, url: &str, more: &str) -> Setup {
    let config = format!("[prompts]\ngit = \"{url}\"\nreference = \"main\"\n{more}\n");
    Setup::of(provider).config(&config)
}

fn call(reference: &str) -> Value {
    json!({"model": format!("prompt:{reference}"), "prompt": {"variables": {"name": "Ada"}}})
}

async fn ask(gateway: &TestGateway, reference: &str) -> Response {
    gateway.client().chat(&call(reference)).await
}

/// Waits until `greet` is served from `commit`.
async fn until(gateway: &TestGateway, commit: &str) -> Response {
    eventually(&format!("greet from {commit}"), async || {
        let response = ask(gateway, "greet").await;
        assert_eq!(response.status, 200, "{}", response.text());
        (response.header("x-promptgate-commit") == Some(commit)).then_some(response)
    })
    .await
}

async fn status(gateway: &TestGateway) -> Value {
    gateway.admin().get("/api/prompts/sync").await.json()
}

async fn sync(gateway: &TestGateway) -> Value {
    gateway
        .admin()
        .post("/api/prompts/sync", &json!({}))
        .await
        .json()
}

/// The events of a kind in the journal, oldest first.
fn events(gateway: &TestGateway, kind: &str) -> Vec<Value> {
    let mut found = Vec::new();
    let mut paths: Vec<_> = fs::read_dir(gateway.data_dir().join("journal"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    for path in paths {
        let bytes = fs::read(path).unwrap();
        for start in memchr::memmem::find_iter(&bytes, br#"{"id":""#) {
            let mut values = serde_json::Deserializer::from_slice(&bytes[start..]).into_iter();
            let Some(Ok(event)) = values.next() else {
                continue;
            };
            let event: Value = event;
            // A journal that was cut off may repeat its last entries.
            if event["kind"] == kind && !found.contains(&event) {
                found.push(event);
            }
        }
    }
    found
}

#[tokio::test]
async fn a_private_repository_is_followed_and_its_token_stays_secret() {
    let provider = FakeProvider::start().await;
    let origin = GitServer::private(TOKEN).await;
    let first = origin.greet("Hello");
    let more = "token = \"env:GIT_TOKEN\"\npoll = \"100ms\"";
    let setup = || {
        following(&provider, &origin.http_url(), more)
            .env("RUST_LOG", "trace")
            .env("PROMPTGATE_LOG", "trace")
    };
    let gateway = setup().env("GIT_TOKEN", TOKEN).start().await;
    until(&gateway, &first).await;
    let second = origin.greet("Hail");
    until(&gateway, &second).await;
    assert!(
        provider
            .journal()
            .last()
            .unwrap()
            .json()
            .to_string()
            .contains("Hail Ada")
    );
    let told = status(&gateway).await;
    assert_eq!(told["commit"], second.as_str());
    assert_eq!(told["kind"], "remote");
    assert_eq!(told["source"], format!("{} in prompts", origin.http_url()));
    let loaded = events(&gateway, "prompts_loaded");
    assert_eq!(loaded.len(), 2, "{loaded:?}");
    assert_eq!(loaded[1]["commit"], second.as_str());
    assert_eq!(loaded[1]["changed"][0]["prompt"], "greet");

    // A wrong token is told from a remote that is away, and is never repeated.
    let wrong = setup().env("GIT_TOKEN", "ghp_canary_wrong_1").prepare();
    let output = wrong.run(&["serve", "--listen", "127.0.0.1:0"]).await;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("wants other credentials"), "{said}");
    assert!(said.contains("hint: check `prompts.token`"), "{said}");
    let basic = {
        use base64::Engine as _;
        base64::engine::general_purpose::STANDARD.encode(format!("x-access-token:{TOKEN}"))
    };
    let written = [
        said,
        gateway.stderr(),
        told.to_string(),
        gateway.anonymous_admin().get("/metrics").await.text(),
    ];
    for text in written {
        for canary in [TOKEN, "ghp_canary_wrong_1", &basic] {
            assert!(!text.contains(canary), "{canary} in {text}");
        }
    }
    for path in crate::architecture::files_below(&gateway.data_dir()) {
        let bytes = fs::read(&path).unwrap();
        assert!(
            memchr::memmem::find(&bytes, TOKEN.as_bytes()).is_none(),
            "{path:?}"
        );
    }
}

#[tokio::test]
async fn a_token_in_a_file_may_change() {
    let provider = FakeProvider::start().await;
    let origin = GitServer::private(TOKEN).await;
    let first = origin.greet("Hello");
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), format!("{TOKEN}\n")).unwrap();
    let more = format!("token = \"file:{}\"\npoll = \"1h\"", file.path().display());
    let gateway = following(&provider, &origin.http_url(), &more)
        .start()
        .await;
    until(&gateway, &first).await;
    fs::write(file.path(), "ghp_canary_expired_1").unwrap();
    let report = sync(&gateway).await;
    assert_eq!(
        report["status"]["failure"]["code"], "git_remote_refused",
        "{report}"
    );
    assert!(!report.to_string().contains("canary"), "{report}");
    fs::write(file.path(), TOKEN).unwrap();
    let second = origin.greet("Hail");
    assert_eq!(sync(&gateway).await["status"]["commit"], second.as_str());
}

#[tokio::test]
async fn credentials_in_a_url_are_refused_with_a_hint() {
    let gateway = Setup::simulated()
        .config("[prompts]\ngit = \"https://ghp_canary@github.com/acme/prompts\"\n")
        .prepare();
    let output = gateway.run(&["serve"]).await;
    assert_eq!(output.status.code(), Some(2));
    insta::assert_snapshot!(String::from_utf8_lossy(&output.stderr), @r#"
    error: config key `prompts.git`: the URL of the repository carries credentials
    hint: refer to the secret instead: `token = "env:GIT_TOKEN"` or `token = "file:PATH"`
    "#);
}

#[tokio::test]
async fn a_signed_webhook_brings_a_commit_at_once() {
    let provider = FakeProvider::start().await;
    let origin = GitServer::open().await;
    let first = origin.greet("Hello");
    let more = "poll = \"1h\"\nwebhook_secret = \"env:HOOK\"";
    let gateway = following(&provider, &origin.http_url(), more)
        .env("HOOK", SECRET)
        .start()
        .await;
    until(&gateway, &first).await;
    // The first look after the start is over, and the next is an hour away.
    eventually("the first sync", async || {
        (2 <= origin.requests()).then_some(())
    })
    .await;
    let body = br#"{"ref":"refs/heads/main"}"#;
    let signature = promptgate::access::sign(&promptgate::domain::Secret::new(SECRET), &[body]);
    let github = format!("sha256={signature}");
    let send = async |name: &str, value: &str| {
        let client = gateway.anonymous_admin().header(name, value);
        client.post_bytes("/api/prompts/webhook", body).await
    };
    let second = origin.greet("Hail");
    for (name, value) in [
        ("x-hub-signature-256", format!("sha256={}", "0".repeat(64))),
        ("x-gitea-signature", github.clone()),
        ("x-gitlab-token", "wrong".to_owned()),
        ("authorization", format!("Bearer {SECRET}")),
    ] {
        let refused = send(name, &value).await;
        assert_eq!(refused.failure(), "401 signature_invalid", "{name}");
    }
    assert_eq!(
        ask(&gateway, "greet").await.header("x-promptgate-commit"),
        Some(first.as_str())
    );
    assert_eq!(send("x-hub-signature-256", &github).await.status, 202);
    until(&gateway, &second).await;
    // Sent again, it changes nothing; sent in other forges' ways, it does the same.
    assert_eq!(send("x-hub-signature-256", &github).await.status, 202);
    let third = origin.greet("Howdy");
    assert_eq!(send("x-gitlab-token", SECRET).await.status, 202);
    until(&gateway, &third).await;
    let fourth = origin.greet("Hi");
    assert_eq!(send("x-gitea-signature", &signature).await.status, 202);
    until(&gateway, &fourth).await;
    assert!(!gateway.stderr().contains(SECRET));

    let without = TestGateway::start(&provider).await;
    let client = without.anonymous_admin().header("x-gitlab-token", "");
    let refused = client.post_bytes("/api/prompts/webhook", body).await;
    assert_eq!(refused.failure(), "404 webhook_not_configured");
    let refused = without.anonymous_admin().get("/api/prompts/sync").await;
    assert_eq!(refused.status, 401, "the state needs the token");
}

#[tokio::test]
async fn strict_mode_refuses_a_broken_commit_whole() {
    let provider = FakeProvider::start().await;
    let origin = GitServer::open().await;
    origin.write("other.prompt", &greet("Other"));
    let good = origin.greet("Hello");
    let mut gateway = following(&provider, &origin.daemon_url(), "poll = \"100ms\"")
        .start()
        .await;
    until(&gateway, &good).await;
    origin.write("other.prompt", &greet("Changed"));
    origin.write("greet.prompt", "---\nmodel: m\n---\n{{#if}}\n");
    let broken = origin.commit("Break it");
    let told = eventually("the refusal", async || {
        let told = status(&gateway).await;
        (!told["refusal"].is_null()).then_some(told)
    })
    .await;
    assert_eq!(told["refusal"]["commit"], broken.as_str());
    assert_eq!(told["refusal"]["problems"][0]["path"], "greet.prompt");
    assert_eq!(
        (&told["commit"], &told["refused"]),
        (&good.clone().into(), &1.into())
    );
    for name in ["greet", "other"] {
        let response = ask(&gateway, name).await;
        assert_eq!(
            response.header("x-promptgate-commit"),
            Some(good.as_str()),
            "{name}"
        );
    }
    let ready = gateway.client().get("/health/ready").await;
    assert_eq!(ready.status, 200);
    assert!(
        ready.json()["prompts"]["problem"].is_string(),
        "{}",
        ready.text()
    );
    // Asked for again, it is looked at again, but written down once; also over a restart.
    assert_eq!(sync(&gateway).await["outcome"], "refused");
    gateway.kill9().await;
    gateway.restart().await;
    until(&gateway, &good).await;
    let report = sync(&gateway).await;
    assert_eq!(report["outcome"], "refused");
    let output = gateway.run(&["prompts", "sync", "--now"]).await;
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("greet.prompt:4: "), "{said}");
    let refused = events(&gateway, "prompts_refused");
    assert_eq!(refused.len(), 1, "{refused:?}");
    assert_eq!(refused[0]["commit"], broken.as_str());
    let mended = origin.greet("Mended");
    until(&gateway, &mended).await;
    assert!(status(&gateway).await["refusal"].is_null());
}

#[tokio::test]
async fn lenient_mode_holds_back_what_is_broken_and_remembers_it() {
    let provider = FakeProvider::start().await;
    let origin = GitServer::open().await;
    origin.write("other.prompt", &greet("Other"));
    let good = origin.greet("Hello");
    let more = "poll = \"100ms\"\nsync = \"lenient\"";
    let mut gateway = following(&provider, &origin.http_url(), more).start().await;
    let hash = until(&gateway, &good)
        .await
        .header("x-promptgate-hash")
        .unwrap()
        .to_owned();
    origin.write("other.prompt", &greet("Changed"));
    origin.write("greet.prompt", "---\nmodel: m\n---\n{{#if}}\n");
    let broken = origin.commit("Break greet");
    for round in 0..2 {
        let held = until(&gateway, &broken).await;
        assert_eq!(
            held.header("x-promptgate-hash"),
            Some(hash.as_str()),
            "{round}"
        );
        ask(&gateway, "other").await;
        let sent = provider.journal().last().unwrap().json().to_string();
        assert!(sent.contains("Changed Ada"), "{sent}");
        let told = status(&gateway).await;
        assert_eq!(told["held"][0]["prompt"], "greet");
        assert_eq!(
            (&told["mode"], told["held"].as_array().unwrap().len()),
            (&"lenient".into(), 1)
        );
        let ready = gateway.client().get("/health/ready").await.json();
        assert_eq!(ready["prompts"]["held"][0], "greet");
        // The next round starts with nothing but the store.
        origin.vanish();
        gateway.kill9().await;
        gateway.restart().await;
    }
    let page = gateway.anonymous_admin().get("/metrics").await.text();
    assert!(
        page.contains("promptgate_prompts_sync_held_prompts 1\n"),
        "{page}"
    );
    let loaded = events(&gateway, "prompts_loaded");
    assert_eq!(loaded.len(), 2, "{loaded:?}");
    assert_eq!(loaded[1]["held"][0], "greet", "{loaded:?}");
}

#[tokio::test]
async fn a_forced_push_is_served_and_told() {
    let provider = FakeProvider::start().await;
    let origin = GitServer::open().await;
    let first = origin.greet("Hello");
    let second = origin.greet("Hail");
    let gateway = following(&provider, &origin.http_url(), "poll = \"100ms\"")
        .start()
        .await;
    let old = until(&gateway, &second)
        .await
        .header("x-promptgate-hash")
        .unwrap()
        .to_owned();
    origin.git(&["reset", "-q", "--hard", &first]);
    let third = origin.greet("Howdy");
    until(&gateway, &third).await;
    let told = eventually("the alarm", async || {
        let told = status(&gateway).await;
        told["alarms"][0].is_string().then_some(told)
    })
    .await;
    assert!(
        told["alarms"][0]
            .as_str()
            .unwrap()
            .contains("was rewritten"),
        "{told}"
    );
    // The poll may have seen the branch between the two.
    let loaded = events(&gateway, "prompts_loaded");
    let is_told = loaded
        .iter()
        .any(|event| event["rewritten_from"] == second.as_str());
    assert!(is_told, "{loaded:?}");
    let page = gateway.anonymous_admin().get("/metrics").await.text();
    assert!(
        page.contains("promptgate_prompts_sync_history_alarms 1\n"),
        "{page}"
    );
    // What was served before the push can still be asked for.
    let response = ask(&gateway, &format!("greet@{old}")).await;
    assert_eq!(response.status, 200, "{}", response.text());
}

#[tokio::test]
async fn a_vanished_remote_stops_nothing_and_is_told() {
    let provider = FakeProvider::start().await;
    let origin = GitServer::open().await;
    let first = origin.greet("Hello");
    let mut gateway = following(&provider, &origin.http_url(), "poll = \"100ms\"")
        .start()
        .await;
    until(&gateway, &first).await;
    assert_eq!(
        ask(&gateway, "greet").await.header("x-promptgate-warnings"),
        None
    );
    origin.vanish();
    let warned = eventually("the warning", async || {
        let response = ask(&gateway, "greet").await;
        assert_eq!(response.status, 200);
        response.header("x-promptgate-warnings").map(str::to_owned)
    })
    .await;
    assert!(
        warned.starts_with("prompts may be old: their remote was last reached"),
        "{warned}"
    );
    let report = sync(&gateway).await;
    assert_eq!(report["outcome"], "failed");
    assert_eq!(report["status"]["stale"], true);
    assert!(0 < report["status"]["failed"].as_u64().unwrap());
    let failures = gateway.stderr().matches("prompts cannot be synced").count();
    assert_eq!(
        failures,
        1,
        "one failure is told once: {}",
        gateway.stderr()
    );

    gateway.kill9().await;
    gateway.restart().await;
    let warned = until(&gateway, &first).await;
    let warned = warned.header("x-promptgate-warnings").unwrap();
    assert_eq!(
        warned,
        "prompts may be old: their remote was not reached since the start"
    );
    let ready = gateway.client().get("/health/ready").await;
    assert_eq!(ready.status, 200);
    assert_eq!(ready.json()["prompts"]["stale"], warned);
    let shown = gateway.run(&["prompts", "sync"]).await;
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(shown.contains("not since the start: STALE"), "{shown}");

    origin.come_back();
    let second = origin.greet("Hail");
    until(&gateway, &second).await;
    assert_eq!(
        ask(&gateway, "greet").await.header("x-promptgate-warnings"),
        None
    );
}

#[tokio::test]
async fn without_any_good_commit_there_is_nothing_to_serve() {
    let provider = FakeProvider::start().await;
    let origin = GitServer::open().await;
    origin.greet("Hello");
    origin.vanish();
    let gateway = following(&provider, &origin.http_url(), "").prepare();
    let output = gateway.run(&["serve"]).await;
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        said.contains("cannot be reached") && said.contains("hint: "),
        "{said}"
    );
}

/// What a hostile author may commit, each with what is said about it.
const ATTACKS: [&str; 5] = [
    "is a symlink",
    "the limit is 1048576",
    "evil$(id).prompt",
    "not UTF-8",
    "more than 20000 files",
];

/// Makes a tree of these entries, without files.
fn tree(origin: &GitServer, entries: &str) -> String {
    let list = origin.work().join(".git/entries");
    fs::write(&list, entries).unwrap();
    let made = Command::new("git")
        .current_dir(origin.work())
        .arg("mktree")
        .stdin(fs::File::open(&list).unwrap())
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    String::from_utf8(made.stdout).unwrap().trim().to_owned()
}

/// A directory of 100 000 prompts, all the same.
fn crowd(origin: &GitServer) -> String {
    let blob = origin.git(&["hash-object", "-w", "prompts/greet.prompt"]);
    let entry = |number| format!("100644 blob {blob}\t{number}.prompt\n");
    tree(origin, &(0..100_000).map(entry).collect::<String>())
}

/// Commits these directories to `main`; returns the commit.
fn commit_tree(origin: &GitServer, directories: &[(&str, &str)]) -> String {
    let entry = |(name, id): &(&str, &str)| format!("040000 tree {id}\t{name}\n");
    let root = tree(origin, &directories.iter().map(entry).collect::<String>());
    let commit = origin.git(&["commit-tree", "-p", "HEAD", "-m", "many", &root]);
    origin.git(&["update-ref", "refs/heads/main", &commit]);
    commit
}

/// Commits the attack that is answered with `reason`.
fn attack(origin: &GitServer, reason: &str) {
    let work = origin.work();
    match reason {
        "is a symlink" => symlink("/etc/passwd", work.join("prompts/evil.prompt")).unwrap(),
        "the limit is 1048576" => origin.write("huge.prompt", &"x".repeat(2 << 20)),
        "evil$(id).prompt" => origin.write("evil$(id).prompt", "x"),
        "not UTF-8" => {
            let name = OsStr::from_bytes(b"\xff\xfe.prompt");
            fs::write(work.join("prompts").join(name), "x").unwrap();
        }
        _ => {
            let inside = origin.git(&["ls-tree", "HEAD:prompts"]);
            let inside = format!("{inside}\n040000 tree {}\tmany\n", crowd(origin));
            commit_tree(origin, &[("prompts", &tree(origin, &inside))]);
            return;
        }
    }
    origin.commit(reason);
}

#[tokio::test]
async fn a_hostile_repository_is_refused_or_read_around() {
    let provider = FakeProvider::start().await;
    let origin = GitServer::open().await;
    let good = origin.greet("Hello");
    let gateway = following(&provider, &origin.http_url(), "poll = \"1h\"")
        .start()
        .await;
    until(&gateway, &good).await;
    // Outside of the directory of prompts nobody looks.
    let prompts = origin.git(&["rev-parse", "HEAD:prompts"]);
    let crowded = commit_tree(&origin, &[("docs", &crowd(&origin)), ("prompts", &prompts)]);
    let report = sync(&gateway).await;
    assert_eq!(report["status"]["commit"], crowded.as_str(), "{report}");
    origin.git(&["reset", "-q", "--hard", &good]);
    assert_eq!(sync(&gateway).await["status"]["commit"], good.as_str());
    for reason in ATTACKS {
        attack(&origin, reason);
        let report = sync(&gateway).await;
        assert_eq!(report["outcome"], "refused", "{reason}: {report}");
        let refusal = &report["status"]["refusal"];
        assert!(refusal.to_string().contains(reason), "{reason}: {refusal}");
        assert_eq!(report["status"]["commit"], good.as_str());
        origin.git(&["reset", "-q", "--hard", &good]);
        origin.git(&["clean", "-q", "-f", "-d"]);
    }
    // A submodule is said to be there; where it points to, nobody looks.
    let module = format!("160000,{good},prompts/module");
    origin.git(&["update-index", "--add", "--cacheinfo", &module]);
    origin.git(&["commit", "-q", "-m", "module"]);
    let report = sync(&gateway).await;
    assert_eq!(report["outcome"], "refused", "{report}");
    let refusal = report["status"]["refusal"].to_string();
    assert!(refusal.contains("is a submodule"), "{refusal}");
    assert_eq!(ask(&gateway, "greet").await.status, 200);
}

#[tokio::test]
async fn pull_requests_are_served_while_they_are_there() {
    let provider = FakeProvider::start().await;
    let origin = GitServer::open().await;
    let main = origin.greet("Hello");
    let propose = |text: &str, place: &str| {
        origin.git(&["checkout", "-q", "-B", "proposal", "main"]);
        let head = origin.greet(text);
        origin.git(&["update-ref", place, &head]);
        origin.git(&["checkout", "-q", "main"]);
        origin.git(&["branch", "-q", "-D", "proposal"]);
        head
    };
    let head = propose("Proposed", "refs/pull/12/head");
    let other = propose("Merge request", "refs/merge-requests/7/head");
    let hook = "webhook_secret = \"env:HOOK\"\npoll = \"1h\"";
    let remote = following(&provider, &origin.http_url(), hook)
        .env("HOOK", SECRET)
        .start()
        .await;
    let here = following(&provider, &origin.work().display().to_string(), "")
        .start()
        .await;
    for gateway in [&remote, &here] {
        until(gateway, &main).await;
        for (reference, commit, text) in [
            ("greet@pr-12", &head, "Proposed Ada"),
            ("greet@pr-7", &other, "Merge request Ada"),
        ] {
            let response = ask(gateway, reference).await;
            assert_eq!(response.status, 200, "{}", response.text());
            assert_eq!(
                response.header("x-promptgate-commit"),
                Some(commit.as_str())
            );
            let sent = provider.journal().last().unwrap().json().to_string();
            assert!(sent.contains(text), "{sent}");
            let record = gateway.record(response.call_id()).await;
            assert_eq!(record["intent"]["prompt"]["commit"], commit.as_str());
        }
        assert_eq!(
            ask(gateway, "greet@pr-13").await.failure(),
            "404 prompt_preview_not_found"
        );
        assert_eq!(
            ask(gateway, "nothing@pr-12").await.failure(),
            "404 prompt_not_found"
        );
        assert_eq!(
            ask(gateway, "nothing@pr-13").await.failure(),
            "404 prompt_not_found"
        );
    }
    // Asked again at once, the remote is not asked again.
    let before = origin.requests();
    assert_eq!(ask(&remote, "greet@pr-12").await.status, 200);
    assert_eq!(origin.requests(), before);
}

#[tokio::test]
async fn a_pull_request_that_is_bad_or_closed_is_not_served() {
    let provider = FakeProvider::start().await;
    let origin = GitServer::open().await;
    let main = origin.greet("Hello");
    origin.propose("Proposed", "refs/pull/12/head");
    origin.write("broken.prompt", "---\nmodel: m\n---\n{{#if}}\n");
    origin.propose("Broken", "refs/pull/14/head");
    let hook = "webhook_secret = \"env:HOOK\"\npoll = \"1h\"";
    let remote = following(&provider, &origin.http_url(), hook)
        .env("HOOK", SECRET)
        .start()
        .await;
    let here = following(&provider, &origin.work().display().to_string(), "")
        .start()
        .await;
    for gateway in [&remote, &here] {
        until(gateway, &main).await;
        assert_eq!(ask(gateway, "greet@pr-12").await.status, 200);
        assert_eq!(ask(gateway, "greet@pr-14").await.status, 200);
        let response = ask(gateway, "broken@pr-14").await;
        assert_eq!(response.failure(), "500 prompt_load_failed");
    }
    // Closed: after the webhook it is gone everywhere.
    origin.git(&["update-ref", "-d", "refs/pull/12/head"]);
    let client = remote.anonymous_admin().header("x-gitlab-token", SECRET);
    assert_eq!(
        client
            .post_bytes("/api/prompts/webhook", b"{}")
            .await
            .status,
        202
    );
    for gateway in [&remote, &here] {
        let response = ask(gateway, "greet@pr-12").await;
        assert_eq!(response.failure(), "404 prompt_preview_not_found");
    }
    // That nobody can be asked is no answer.
    origin.vanish();
    let response = ask(&remote, "greet@pr-99").await;
    assert_eq!(response.failure(), "503 prompt_registry_unavailable");
}

#[tokio::test]
async fn ssh_is_the_systems_own() {
    let provider = FakeProvider::start().await;
    let origin = GitServer::open().await;
    let first = origin.greet("Hello");
    let tools = tempfile::tempdir().unwrap();
    let key = tools.path().join("id_canary");
    fs::write(&key, "no real key").unwrap();
    // Stands in for ssh: notes how it was called, and runs the command on this machine.
    let script = format!(
        "#!/bin/sh\nprintf '%s\\n' \"$*\" >> {0}/calls\nfor last; do :; done\ncd {1} && eval \"$last\"\n",
        tools.path().display(),
        origin.work().parent().unwrap().display(),
    );
    let ssh = tools.path().join("ssh");
    fs::write(&ssh, script).unwrap();
    fs::set_permissions(&ssh, fs::Permissions::from_mode(0o755)).unwrap();
    let more = format!("ssh_key = \"{}\"\npoll = \"100ms\"", key.display());
    let path = format!("{}:/usr/local/bin:/usr/bin:/bin", tools.path().display());
    let gateway = following(&provider, "git@git.example.com:origin", &more)
        .env("PATH", &path)
        .start()
        .await;
    until(&gateway, &first).await;
    let second = origin.greet("Hail");
    until(&gateway, &second).await;
    let calls = fs::read_to_string(tools.path().join("calls")).unwrap();
    let call = calls.lines().next().unwrap();
    assert!(call.contains(&format!("-i {}", key.display())), "{call}");
    assert!(call.contains("BatchMode=yes"), "{call}");
    assert!(
        call.ends_with("-- git@git.example.com git-upload-pack 'origin'"),
        "{call}"
    );
    // What ssh says is what people are told.
    fs::write(
        &ssh,
        "#!/bin/sh\necho 'Host key verification failed.' >&2\nexit 255\n",
    )
    .unwrap();
    let report = sync(&gateway).await;
    let message = report["status"]["failure"]["message"].as_str().unwrap();
    assert!(
        message.ends_with("Host key verification failed."),
        "{message}"
    );
}

#[tokio::test]
async fn a_silent_remote_does_not_hold_up_the_end() {
    let provider = FakeProvider::start().await;
    let origin = GitServer::open().await;
    let first = origin.greet("Hello");
    let mut gateway = following(&provider, &origin.daemon_url(), "poll = \"100ms\"")
        .start()
        .await;
    until(&gateway, &first).await;
    gateway.kill9().await;
    // A server that takes connections and says nothing, where the remote was.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let config = gateway.path().join("promptgate.toml");
    let text = fs::read_to_string(&config).unwrap();
    let url = format!("git://{}/origin", silent.local_addr().unwrap());
    let mirror = |gateway: &TestGateway| {
        let entry = fs::read_dir(gateway.data_dir().join("mirrors"))
            .unwrap()
            .next();
        entry.unwrap().unwrap().path()
    };
    // Another URL is another repository: nothing of the old one is served for it.
    fs::write(&config, text.replace(&origin.daemon_url(), &url)).unwrap();
    assert!(mirror(&gateway).exists());
    fs::write(
        &config,
        format!(
            "{}fetch_deadline = \"300ms\"\n",
            fs::read_to_string(&config).unwrap()
        ),
    )
    .unwrap();
    let output = gateway.run(&["serve"]).await;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("did not answer in time"), "{said}");
    fs::write(&config, text).unwrap();
    gateway.restart().await;
    gateway.terminate();
    let status = within("the end", gateway.exited()).await;
    assert!(status.success());
}
