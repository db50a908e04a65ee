//! What differs, for whom; what a call was made from; who wrote what; and which version went wrong: told
//! by the real binary over a real repository and recorded calls.

use crate::support::{FakeProvider, Setup, TestGateway, git_by};
use serde_json::{Value, json};
use std::fs;
use std::process::Output;

const CONFIG: &str = "---\nmodel: openai/gpt-4o-mini\nconfig:\n  temperature: 0.25\n";

/// The prompt `shop/refund`, with more variables and another text.
fn refund(variables: &str, text: &str) -> String {
    format!(
        "{CONFIG}input:\n  schema:\n    order: string, the number\n{variables}promptgate.owner: shop\n---\n\
         {{{{role \"system\"}}}}\nYou handle refunds.\n{{{{> policy}}}}\n{text}\n{{{{history}}}}\n"
    )
}

const PRICES: &str = "[[prices.override]]\nprovider = \"openai\"\nmodel = \"gpt-4o-mini\"\n\
    input = \"0.10\"\noutput = \"0.40\"\ncached_input = \"0.05\"\n";

const SAMPLES: &str = "samples:\n  - name: broken lamp\n    variables: {order: A1, reason: broken}\n    \
    messages:\n      - {role: user, content: My lamp is broken.}\n";

fn write(gateway: &TestGateway, path: &str, text: &str) {
    let path = gateway.path().join("prompts").join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn commit(gateway: &TestGateway, author: &str, message: &str) -> String {
    git_by(author, gateway.path(), &["add", "-A", "prompts"]);
    git_by(author, gateway.path(), &["commit", "-q", "-m", message]);
    git_by(author, gateway.path(), &["rev-parse", "HEAD"])
}

/// A gateway over a repository that holds one version, with its commit.
async fn gateway(provider: &FakeProvider) -> (TestGateway, String) {
    let mut gateway = Setup::of(provider).config(PRICES).prepare();
    git_by("Ada", gateway.path(), &["init", "-q"]);
    write(
        &gateway,
        "shop/refund.prompt",
        &refund("", "Order {{order}}."),
    );
    write(
        &gateway,
        "_policy.prompt",
        "Returns within 30 days.\nNo gift cards.\n",
    );
    let first = commit(&gateway, "Ada Lovelace", "Handle refunds");
    gateway.restart().await;
    (gateway, first)
}

/// A change that every caller must follow.
fn edit(gateway: &TestGateway) {
    let text = "Order {{order}}, because of {{reason}}.";
    write(
        gateway,
        "shop/refund.prompt",
        &refund("    reason: string\n", text),
    );
    write(
        gateway,
        "_policy.prompt",
        "Returns within 60 days.\nNo gift cards.\n",
    );
    write(gateway, "shop/refund.samples.yaml", SAMPLES);
}

async fn call(gateway: &TestGateway, reference: &str, variables: Value) -> String {
    let request = json!({"model": format!("prompt:{reference}"), "temperature": 1,
        "prompt": {"variables": variables},
        "messages": [{"role": "user", "content": "Where is my money?"}]});
    let response = gateway.client().chat(&request).await;
    assert_eq!(response.status, 200, "{}", response.text());
    let id = response.call_id().to_owned();
    gateway.record(&id).await;
    id
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Replaces what differs from run to run.
fn redacted(text: &str) -> String {
    let mut out = String::new();
    let mut word = String::new();
    for c in text.chars().chain([' ']) {
        if c.is_ascii_alphanumeric() || c == '-' {
            word.push(c);
            continue;
        }
        let hex = word.strip_prefix("sha-").unwrap_or(&word);
        let is_hex = 9 <= hex.len() && hex.bytes().all(|byte| byte.is_ascii_hexdigit());
        let is_date = word.len() == 10 && word.starts_with("20") && word.matches('-').count() == 2;
        out.push_str(match (is_hex, is_date) {
            (true, _) => "HEX",
            (_, true) => "DATE",
            _ => &word,
        });
        word.clear();
        out.push(c);
    }
    out.pop();
    out
}

#[tokio::test]
async fn a_diff_tells_what_changes_for_whom_and_at_what_cost() {
    let provider = FakeProvider::start().await;
    let (gateway, _) = gateway(&provider).await;
    for _ in 0..2 {
        call(&gateway, "shop/refund", json!({"order": "A1"})).await;
    }
    call(&gateway, "shop/refund@v1", json!({"order": "A1"})).await;
    let same = gateway.run(&["prompts", "diff", "--exit-code"]).await;
    assert_eq!(same.status.code(), Some(0), "{same:?}");
    assert!(stdout(&same).contains("no prompt differs"), "{same:?}");

    edit(&gateway);
    write(&gateway, "broken.prompt", "{{#if x}}");
    let text = gateway
        .run(&["prompts", "diff", "HEAD", "shop/refund"])
        .await;
    insta::assert_snapshot!("diff_text", redacted(&stdout(&text)));
    let command = [
        "prompts",
        "diff",
        "HEAD",
        "shop/refund",
        "--format",
        "markdown",
    ];
    let markdown = gateway.run(&command).await;
    insta::assert_snapshot!("diff_markdown", redacted(&stdout(&markdown)));

    let diff = gateway.run_json(&["prompts", "diff"]).await;
    assert_eq!(
        (&diff["format"], &diff["verdict"]),
        (&json!(1), &json!("breaking"))
    );
    assert_eq!(diff["no_records"], Value::Null);
    assert_eq!(
        diff["shared"],
        json!([{"path": "_policy.prompt", "prompts": ["shop/refund"]}])
    );
    let refund = &diff["prompts"][0];
    assert_eq!(refund["findings"][0]["rule"], "required-variable");
    let usage = &refund["reach"]["usage"];
    assert_eq!(
        (&usage["calls"], &usage["read_calls"]),
        (&json!(3), &json!(3))
    );
    let caller = &usage["callers"][0];
    assert_eq!(
        (&caller["calls"], &caller["pinned_calls"]),
        (&json!(2), &json!(1))
    );
    assert_eq!(caller["variables"], json!({"order": 2}));
    assert_eq!(
        refund["variables"][0]["senders"],
        json!({"sending": 0, "not_sending": 1, "callers": 1})
    );
}

#[tokio::test]
async fn what_does_not_load_is_named() {
    let provider = FakeProvider::start().await;
    let (gateway, _) = gateway(&provider).await;
    edit(&gateway);
    write(&gateway, "broken.prompt", "{{#if x}}");
    let diff = gateway.run_json(&["prompts", "diff"]).await;
    // A file that does not load now was no prompt before, and nobody's business.
    assert_eq!(diff["prompts"].as_array().unwrap().len(), 1, "{diff}");
    write(&gateway, "shop/refund.prompt", "{{#if x}}");
    let broken = gateway.run_json(&["prompts", "diff"]).await;
    assert_eq!(broken["prompts"][0]["findings"][0]["rule"], "does-not-load");
    assert_eq!(
        broken["prompts"][0]["problems"][0]["path"],
        "shop/refund.prompt"
    );
}

#[tokio::test]
async fn exit_codes_colour_and_wrong_names() {
    let provider = FakeProvider::start().await;
    let (mut gateway, first) = gateway(&provider).await;
    call(&gateway, "shop/refund", json!({"order": "A1"})).await;
    edit(&gateway);
    for (level, code) in [("cosmetic", 1), ("behavioural", 1), ("breaking", 1)] {
        let flag = format!("--exit-code={level}");
        let output = gateway.run(&["prompts", "diff", &flag]).await;
        assert_eq!(output.status.code(), Some(code), "{output:?}");
        assert!(
            !stdout(&output).contains('\u{1b}'),
            "no colour without a terminal"
        );
    }
    write(
        &gateway,
        "shop/refund.prompt",
        &refund("", "Order   {{order}}."),
    );
    write(
        &gateway,
        "_policy.prompt",
        "Returns within 30 days.\nNo gift cards.\n",
    );
    let output = gateway
        .run(&["prompts", "diff", "--exit-code=behavioural"])
        .await;
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(stdout(&output).contains("whitespace-only"), "{output:?}");
    let unknown = gateway.run(&["prompts", "diff", "shop/refnud"]).await;
    assert_eq!(unknown.status.code(), Some(2));
    let said = String::from_utf8_lossy(&unknown.stderr).into_owned();
    assert!(said.contains("hint: did you mean `shop/refund`?"), "{said}");

    // The same without a server, and of two commits, of two versions, since two branches parted.
    commit(&gateway, "Grace Hopper", "Lay it out");
    gateway.kill9().await;
    let range = format!("{first}..main");
    let parted = format!("{first}...HEAD");
    for what in [
        &[&*range][..],
        &[&*parted],
        &[&*first, "HEAD"],
        &["shop/refund@v1", "shop/refund@v2"],
    ] {
        let diff = gateway
            .run_json(&[&["prompts", "diff"], what].concat())
            .await;
        assert_eq!(diff["verdict"], "cosmetic", "{what:?} {diff}");
        assert_eq!(diff["prompts"][0]["reach"]["usage"]["calls"], 1, "{what:?}");
        assert_eq!(diff["prompts"][0]["base"]["version"], "v1", "{what:?}");
        assert_eq!(diff["prompts"][0]["head"]["version"], "v2", "{what:?}");
    }
    fs::remove_dir_all(gateway.data_dir()).unwrap();
    let diff = gateway
        .run_json(&["prompts", "diff", "HEAD~1", "HEAD"])
        .await;
    assert_eq!(diff["no_records"], "there are no records in `data`");
    assert_eq!(diff["prompts"][0]["reach"]["usage"], Value::Null);
    assert!(!gateway.data_dir().exists(), "looking makes no store");
}

#[tokio::test]
async fn three_dots_leave_out_what_the_base_did_meanwhile() {
    let provider = FakeProvider::start().await;
    let (gateway, _) = gateway(&provider).await;
    git_by("Ada", gateway.path(), &["checkout", "-q", "-b", "side"]);
    write(&gateway, "new.prompt", "Hello");
    commit(&gateway, "Ada Lovelace", "Say hello");
    git_by("Ada", gateway.path(), &["checkout", "-q", "main"]);
    edit(&gateway);
    commit(&gateway, "Grace Hopper", "Ask for a reason");
    let names = async |range: &str| -> Vec<(String, String)> {
        let diff = gateway.run_json(&["prompts", "diff", range]).await;
        let prompts = diff["prompts"].as_array().unwrap().iter();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let shown = prompts.map(|prompt| (text(&prompt["name"]), text(&prompt["change"]["kind"])));
        shown.collect()
    };
    let pair = |name: &str, kind: &str| (name.to_owned(), kind.to_owned());
    assert_eq!(names("main...side").await, [pair("new", "added")]);
    let both = [pair("new", "added"), pair("shop/refund", "changed")];
    assert_eq!(names("main..side").await, both);
    assert_eq!(
        names("side..").await,
        [pair("new", "removed"), pair("shop/refund", "changed")]
    );
    let none = gateway.run(&["prompts", "diff", "main...nowhere"]).await;
    assert_eq!(none.status.code(), Some(1), "{none:?}");
}

#[tokio::test]
async fn a_change_of_a_partial_is_shown_once() {
    let provider = FakeProvider::start().await;
    let (gateway, _) = gateway(&provider).await;
    write(
        &gateway,
        "shop/swap.prompt",
        "{{> policy}}\nSwap {{order}}.\n",
    );
    commit(&gateway, "Ada Lovelace", "Handle swaps");
    write(
        &gateway,
        "_policy.prompt",
        "Returns within 60 days.\nNo gift cards.\n",
    );
    let shared = json!([{"path": "_policy.prompt", "prompts": ["shop/refund", "shop/swap"]}]);
    assert_eq!(
        gateway.run_json(&["prompts", "diff"]).await["shared"],
        shared
    );
    let text = stdout(&gateway.run(&["prompts", "diff"]).await);
    assert!(
        text.contains("\n  the same change as of shop/refund\n"),
        "{text}"
    );
    assert_eq!(
        text.matches("+ Returns within 60 days.").count(),
        2,
        "template and messages: {text}"
    );
    let markdown = stdout(
        &gateway
            .run(&["prompts", "diff", "--format", "markdown"])
            .await,
    );
    assert!(
        markdown.contains("the same change as of `shop/refund` |"),
        "{markdown}"
    );
}

#[tokio::test]
async fn a_renamed_prompt_and_its_callers_are_told() {
    let provider = FakeProvider::start().await;
    let (gateway, _) = gateway(&provider).await;
    call(&gateway, "shop/refund", json!({"order": "A1"})).await;
    let prompts = gateway.path().join("prompts");
    fs::rename(
        prompts.join("shop/refund.prompt"),
        prompts.join("shop/return.prompt"),
    )
    .unwrap();
    let diff = gateway.run_json(&["prompts", "diff"]).await;
    let renamed = &diff["prompts"][0];
    assert_eq!(
        renamed["change"],
        json!({"kind": "renamed", "from": "shop/refund"})
    );
    assert_eq!(renamed["name"], "shop/return");
    assert_eq!(
        renamed["findings"][0]["message"],
        "`shop/refund` is gone under that name: 1 caller in the last 7 days"
    );
    assert_eq!(diff["prompts"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_call_is_explained_part_by_part() {
    let provider = FakeProvider::start().await;
    let (gateway, first) = gateway(&provider).await;
    let id = call(&gateway, "shop/refund", json!({"order": "A1"})).await;
    let explained = gateway.run_json(&["prompts", "explain", &id]).await;
    let prompt = &explained["prompt"];
    assert_eq!(
        (&prompt["version"], &prompt["commit"]),
        (&json!("v1"), &json!(first))
    );
    assert_eq!(
        (&prompt["reproduced"], &prompt["lines_of_files"]),
        (&json!(true), &json!(true))
    );
    let files: Vec<_> = prompt["files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|file| &file["path"])
        .collect();
    assert_eq!(files, ["shop/refund.prompt", "_policy.prompt"]);
    assert_eq!(
        explained["variables"],
        json!([{"name": "order", "value": "A1", "from": "call"}])
    );
    // The parts make what the provider got, byte for byte.
    let sent = provider.journal()[0].json();
    let spans = explained["messages"][0]["spans"].as_array().unwrap();
    let joined: String = spans
        .iter()
        .map(|span| span["text"].as_str().unwrap())
        .collect();
    assert_eq!(sent["messages"][0]["content"], joined);
    assert_eq!(explained["messages"][1]["message"], sent["messages"][1]);
    let shown: Vec<String> = spans
        .iter()
        .map(|span| {
            format!(
                "{}:{} {}",
                span["file"].as_str().unwrap(),
                span["line"],
                span["text"]
            )
        })
        .collect();
    let wanted = [
        "shop/refund.prompt:10 \"\\n\"",
        "shop/refund.prompt:11 \"You handle refunds.\\n\"",
        "_policy.prompt:1 \"Returns within 30 days.\\n\"",
        "_policy.prompt:2 \"No gift cards.\\n\"",
        "shop/refund.prompt:13 \"Order \"",
        "shop/refund.prompt:13 \"A1\"",
        "shop/refund.prompt:13 \".\\n\"",
    ];
    assert_eq!(shown, wanted, "{shown:#?}");
    assert_eq!(
        spans[5]["value"],
        json!({"expression": "order", "pointer": "/order", "given": "call"})
    );
}

#[tokio::test]
async fn settings_and_cost_are_explained_even_by_the_archive_alone() {
    let provider = FakeProvider::start().await;
    let (mut gateway, _) = gateway(&provider).await;
    let id = call(&gateway, "shop/refund", json!({"order": "A1"})).await;
    let explained = gateway.run_json(&["prompts", "explain", &id]).await;
    let parameter = &explained["parameters"][0];
    assert_eq!(
        *parameter,
        json!({"name": "temperature", "value": 1, "from": "request", "overruled": 0.25})
    );
    let cost = &explained["cost"];
    let items = cost["items"].as_array().unwrap().iter();
    let sum: u64 = items.map(|item| item["pico_usd"].as_u64().unwrap()).sum();
    assert_eq!(cost["pico_usd"], sum, "{cost}");
    let text = gateway.run(&["prompts", "explain", &id]).await;
    assert!(stdout(&text).contains("proven by their hash"), "{text:?}");
    // Without a server, and without the repository, the archive still knows.
    gateway.kill9().await;
    assert_eq!(
        gateway.run_json(&["prompts", "explain", &id]).await,
        explained
    );
    fs::remove_dir_all(gateway.path().join(".git")).unwrap();
    let archived = gateway.run_json(&["prompts", "explain", &id]).await;
    assert_eq!(archived["prompt"]["lines_of_files"], false);
    assert_eq!(archived["messages"][0]["spans"][1]["line"], 2);
    let missing = gateway.run(&["prompts", "explain", "00000000-0000"]).await;
    assert_eq!(missing.status.code(), Some(1));
}

#[tokio::test]
async fn every_rendered_part_says_who_wrote_it() {
    let provider = FakeProvider::start().await;
    let (gateway, first) = gateway(&provider).await;
    edit(&gateway);
    let second = commit(&gateway, "Grace Hopper", "Ask for a reason");
    let blame = gateway
        .run_json(&["prompts", "blame", "shop/refund", "--rendered"])
        .await;
    assert_eq!(blame["sample"], "broken lamp");
    let spans = blame["messages"][0]["spans"].as_array().unwrap();
    let shown: Vec<(&str, &str, &str)> = spans
        .iter()
        .map(|span| {
            let text = |key: &str| span[key].as_str().unwrap();
            (text("text"), text("author"), text("commit"))
        })
        .collect();
    let (ada, grace) = (("Ada Lovelace", &*first), ("Grace Hopper", &*second));
    let by = |text, (author, commit)| (text, author, commit);
    let wanted = [
        by("\n", ada),
        by("You handle refunds.\n", ada),
        by("Returns within 60 days.\n", grace),
        by("No gift cards.\n", ada),
        by("Order ", grace),
        by("A1", grace),
        by(", because of ", grace),
        by("broken", grace),
        by(".\n", grace),
    ];
    assert_eq!(shown, wanted);
    let text = gateway
        .run(&[
            "prompts",
            "blame",
            "shop/refund",
            "--rendered",
            "--sample",
            "none",
        ])
        .await;
    let said = String::from_utf8_lossy(&text.stderr).into_owned();
    assert!(said.contains("its samples are `broken lamp`"), "{said}");
    let list = gateway.run_json(&["prompts", "list"]).await;
    let refund = &list.as_array().unwrap()[1];
    assert_eq!(
        (&refund["owner"], &refund["labels"]),
        (&json!("shop"), &json!(["production"]))
    );
    assert_eq!(refund["last_change"]["author"], "Grace Hopper");
}

/// A gateway over eight versions: good up to the fourth, and the seventh again.
async fn eight_versions(provider: &FakeProvider) -> (TestGateway, Vec<String>) {
    let (gateway, first) = gateway(provider).await;
    let mut commits = vec![first];
    for version in 2..=8 {
        let is_kind = version < 5 || version == 7;
        let tone = if is_kind { "kind" } else { "stern" };
        let text = format!("Be {tone}, {version} times. Order {{{{order}}}}.");
        write(&gateway, "shop/refund.prompt", &refund("", &text));
        let author = if version == 5 {
            "Mallory"
        } else {
            "Ada Lovelace"
        };
        commits.push(commit(&gateway, author, &format!("Version {version}")));
    }
    (gateway, commits)
}

async fn bisect(gateway: &TestGateway, arguments: &[&str]) -> Output {
    let variables = "{\"order\": \"A1\"}";
    let head = ["prompts", "bisect", "shop/refund", "--variables", variables];
    gateway.run(&[&head[..], arguments].concat()).await
}

async fn found(gateway: &TestGateway, arguments: &[&str]) -> Value {
    let output = bisect(gateway, &[arguments, &["--json"]].concat()).await;
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[tokio::test]
async fn the_first_bad_version_is_named() {
    let provider = FakeProvider::start().await;
    let (gateway, commits) = eight_versions(&provider).await;
    let ends = ["--good", "v2", "--bad", "v6"];
    let by_text = found(&gateway, &[&ends[..], &["--contains", "kind"]].concat()).await;
    let first_bad = &by_text["first_bad"];
    assert_eq!(first_bad["version"], "v5");
    assert_eq!(by_text["last_good"]["version"], "v4");
    assert_eq!(first_bad["commit"]["author"], "Mallory");
    assert_eq!(first_bad["commit"]["commit"], commits[4]);
    assert_eq!(by_text["diff"]["findings"][0]["rule"], "text");
    assert_eq!(by_text["not_monotonic"], json!([]));
    // Good and bad take turns, which looking at all of them shows.
    let turns = ["--good", "v2", "--bad", "v8", "--not-contains", "stern"];
    let turns = found(&gateway, &turns).await;
    assert_eq!(turns["tried"].as_array().unwrap().len(), 7);
    assert_ne!(turns["not_monotonic"], json!([]), "{turns}");
    let text = bisect(
        &gateway,
        &[&ends[..], &["--assert", "contains:kind"]].concat(),
    )
    .await;
    assert!(
        stdout(&text).contains("v5 is the first bad version; v4 was good"),
        "{text:?}"
    );
}

#[tokio::test]
async fn a_command_says_which_version_is_bad() {
    let provider = FakeProvider::start().await;
    let (gateway, _) = eight_versions(&provider).await;
    let ends = ["--good", "v2", "--bad", "v6", "--run"];
    // It reads the prompt from stdin, and the version from its environment.
    let grep = "grep -q 'Be kind, [0-9] times. Order A1.'";
    let run = found(&gateway, &[&ends[..], &[grep]].concat()).await;
    assert_eq!(run["first_bad"]["version"], "v5");
    assert!(run["tried"].as_array().unwrap().len() < 5, "{run}");
    let skip = "[ \"$PROMPTGATE_VERSION\" = v5 ] && exit 125; \
                [ \"$PROMPTGATE_PROMPT\" = shop/refund ] && grep -q kind";
    let skipped = found(&gateway, &[&ends[..], &[skip]].concat()).await;
    assert_eq!(skipped["skipped_between"], json!(["v5"]), "{skipped}");
    assert_eq!(skipped["first_bad"]["version"], "v6");
}

#[tokio::test]
async fn a_search_that_can_find_nothing_says_so() {
    let provider = FakeProvider::start().await;
    let (gateway, _) = eight_versions(&provider).await;
    for (arguments, words) in [
        ("--good v6 --bad v2 --contains kind", "does not come before"),
        ("--good v5 --bad v6 --contains kind", "v5 is not good"),
        ("--good v2 --bad v99 --contains kind", "no version `v99`"),
        ("--good v2 --bad v6 --run false", "v2 is not good"),
        (
            "--good v2 --bad v6 --run exit${IFS}200",
            "the search is given up",
        ),
        (
            "--good v2 --bad v6 --timeout 0 --run sleep${IFS}9",
            "took longer",
        ),
        ("--good v2 --bad v6 --assert kind", "no assertion"),
        ("--good v2 --bad v6", "required"),
    ] {
        let words_of: Vec<&str> = arguments.split(' ').collect();
        let output = bisect(&gateway, &words_of).await;
        assert!(!output.status.success(), "{arguments}");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains(words), "{arguments}: {said}");
    }
}
