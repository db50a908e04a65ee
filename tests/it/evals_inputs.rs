//! What suites draw on beside their own files: recorded sessions, what a client says, the config, Git.

use crate::support::{Answer, FakeProvider, Received, Setup, TestGateway, git};
use serde_json::{Value, json};
use std::fs;

fn write(gateway: &TestGateway, path: &str, text: &str) {
    let path = gateway.path().join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// Runs a suite and returns its report.
async fn run(gateway: &TestGateway, suite: &str) -> Value {
    let output = gateway.run(&["evals", "run", suite, "--json"]).await;
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {told}"))
}

/// An answer that calls a tool.
fn tool_call(id: &str, name: &str, arguments: &Value) -> Value {
    let function = json!({"name": name, "arguments": arguments.to_string()});
    let call = json!({"id": id, "type": "function", "function": function});
    json!({"role": "assistant", "content": null, "tool_calls": [call]})
}

fn answered_with(message: &Value) -> Answer {
    Answer::json(&json!({
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "gpt-4o-mini",
        "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}],
        "usage": {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11},
    }))
}

/// Asks twice in the session `s-7`: an order is found, then refunded.
async fn record_session(gateway: &TestGateway, provider: &FakeProvider) {
    let client = gateway.client().header("x-promptgate-session", "s-7");
    let find = tool_call("a", "find_order", &json!({"id": 7}));
    let refund = tool_call("b", "refund", &json!({"id": 7, "amount": 12.5}));
    let found = json!({"role": "tool", "tool_call_id": "a", "content": "order 7"});
    let mut messages = vec![json!({"role": "user", "content": "I want my money back"})];
    for (answer, more) in [(&find, vec![find.clone(), found]), (&refund, Vec::new())] {
        provider.next(answered_with(answer));
        let body = json!({"model": "gpt-4o-mini", "messages": messages});
        let response = client.chat(&body).await;
        assert_eq!(response.status, 200, "{}", response.text());
        messages.extend(more);
    }
    gateway.ended_calls(2).await;
}

const SESSIONS: &str = "\
prompts: ['unused']
providers: [echo]
defaultTest:
  providerOutput: the money is on its way
  vars: {session: s-7}
  metadata: {session: '{{session}}'}
tests:
- {metadata: {id: used}, assert: [{type: 'trajectory:tool-used', value: [find_order, refund]}]}
- {metadata: {id: order}, assert: [{type: 'trajectory:tool-sequence', value: {mode: exact, steps: [find_order, refund]}}]}
- {metadata: {id: arguments}, assert: [{type: 'trajectory:tool-args-match', value: {name: refund, args: {amount: 12.5}}}]}
- {metadata: {id: result}, assert: [{type: javascript, value: 'context.steps[0].result === \"order 7\"'}]}
- {metadata: {id: too many}, assert: [{type: 'trajectory:step-count', value: {max: 1}}]}
- {metadata: {id: forbidden}, assert: [{type: 'not-trajectory:tool-used', value: [refund]}]}
- {metadata: {id: unknown}, vars: {session: s-8}, assert: [{type: 'not-trajectory:tool-used', value: [refund]}]}
- {metadata: {id: nameless}, vars: {session: ''}, assert: [{type: 'trajectory:step-count', value: {max: 9}}]}
- {metadata: {id: own, session: 7}, assert: [{type: 'promptgate:tool-policy', value: {deny: [x]}}]}
";

#[tokio::test]
async fn the_steps_of_a_recorded_session_are_graded() {
    let provider = FakeProvider::start().await;
    let gateway = TestGateway::start(&provider).await;
    record_session(&gateway, &provider).await;
    write(&gateway, "evals/sessions.yaml", SESSIONS);
    let report = run(&gateway, "sessions").await;
    let rows = report["rows"].as_array().unwrap();
    for (id, mark, words) in [
        ("used", "pass", "called: `find_order`, `refund`"),
        ("order", "pass", "called: `find_order`, `refund`"),
        ("arguments", "pass", "`refund` was called 1 times"),
        ("result", "pass", ""),
        ("too many", "fail", "2 steps were taken"),
        ("forbidden", "fail", "called: `find_order`, `refund`"),
        ("unknown", "error", "no call of session `s-8` is recorded"),
        ("nameless", "error", "`metadata.session` names no session"),
        ("own", "error", "no call of session `7` is recorded"),
    ] {
        let row = rows.iter().find(|row| row["cell"]["case"] == id).unwrap();
        let grade = &row["grade"]["assertions"][0];
        let reason = grade["reason"].as_str().unwrap();
        assert_eq!(grade["mark"], mark, "{id}: {reason}");
        assert!(reason.contains(words), "{id}: {reason}");
    }
    assert_eq!(provider.journal().len(), 2, "the eval asked nobody");
}

/// The roles and contents that a provider got.
fn sent(request: &Received) -> Vec<(String, String)> {
    let messages = request.json()["messages"].as_array().unwrap().clone();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let pairs = messages.iter();
    pairs
        .map(|message| (text(&message["role"]), text(&message["content"])))
        .collect()
}

#[tokio::test]
async fn what_a_client_says_goes_with_the_variables() {
    const PLAIN: &str = "---\nmodel: openai/gpt-4o-mini\ninput: {schema: {name: string}}\n---\n\
        {{role \"system\"}}You serve {{name}}.\n{{history}}";
    const BOUND: &str = "---\nmodel: openai/gpt-4o-mini\n\
        input: {schema: {question: string}}\npromptgate.bind.question: last_user_message\n---\n\
        {{role \"user\"}}Answer in one word: {{question}}";
    const SUITE: &str = "prompts: [prompt://plain, prompt://bound]\n\
        providers: [gateway:default]\n\
        tests:\n\
        - {prompts: [plain], vars: {name: Ada, question: 'where is {{name}}?'}}\n\
        - {prompts: [bound], vars: {question: why?}}\n\
        metadata: {promptgate: {concurrency: 1, messages: vars.question}}\n";
    let provider = FakeProvider::start().await;
    provider.always(|_| Answer::reply("here"));
    let setup = Setup::of(&provider).prompt("plain.prompt", PLAIN);
    let gateway = setup.prompt("bound.prompt", BOUND).start().await;
    write(&gateway, "evals/said.yaml", SUITE);
    let report = run(&gateway, "said").await;
    assert_eq!(report["spent"]["errors"], 0, "{report}");
    let journal = provider.journal();
    let pair = |role: &str, text: &str| (role.to_owned(), text.to_owned());
    assert_eq!(
        sent(&journal[0]),
        [
            pair("system", "You serve Ada.\n"),
            pair("user", "where is Ada?")
        ]
    );
    assert_eq!(
        sent(&journal[1]),
        [pair("user", "Answer in one word: why?")],
        "what a variable is bound to is said once"
    );
    // The record is that of a client's call.
    let call = report["rows"][0]["answer"]["call"].as_str().unwrap();
    let record = gateway.record(call).await;
    assert_eq!(record["intent"]["prompt"]["key"], "plain");
    assert_eq!(record["sent"]["messages"][1]["content"], "where is Ada?");

    // Turns in the metadata are sent as they are.
    let turns = SUITE
        .replace("{name: Ada, question: 'where is {{name}}?'}}", "{name: Ada}, metadata: {turns: [\
            {role: user, content: hi}, {role: assistant, content: yes?}, {role: user, content: 'I am {{name}}'}]}}")
        .replace("- {prompts: [bound], vars: {question: why?}}\n", "")
        .replace("vars.question", "metadata.turns");
    write(&gateway, "evals/turns.yaml", &turns);
    run(&gateway, "turns").await;
    let last = provider.journal().last().map(sent).unwrap();
    let roles: Vec<&str> = last.iter().map(|(role, _)| role.as_str()).collect();
    assert_eq!(roles, ["system", "user", "assistant", "user"]);
    assert_eq!(last[3].1, "I am Ada");

    let text = "prompts: [hi]\nproviders: [echo]\ntests: [{vars: {x: a}}]\n\
        metadata: {promptgate: {messages: vars.x}}\n";
    write(&gateway, "evals/text.yaml", text);
    let output = gateway.run(&["evals", "check", "text"]).await;
    let told = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert!(
        told.contains("`messages` is for prompts of the registry"),
        "{told}"
    );
}

#[tokio::test]
async fn the_config_says_who_judges_where_nobody_else_does() {
    const SUITE: &str = "prompts: ['hi']\nproviders: [echo]\n\
        tests: [{assert: [{type: llm-rubric, value: is polite}]}]\n";
    let provider = FakeProvider::start().await;
    provider.always(|_| Answer::reply(r#"{"pass": true, "score": 1, "reason": "it is"}"#));
    for (config, mark, words) in [
        (
            "\n[evals]\njudge_model = \"openai/gpt-4o-mini\"\n",
            "pass",
            "it is",
        ),
        ("", "error", "`judge_model` under `[evals]`"),
    ] {
        let gateway = Setup::of(&provider).config(config).start().await;
        write(&gateway, "evals/polite.yaml", SUITE);
        let report = run(&gateway, "polite").await;
        let grade = &report["rows"][0]["grade"]["assertions"][0];
        assert_eq!(grade["mark"], mark, "{grade}");
        assert!(grade["reason"].as_str().unwrap().contains(words), "{grade}");
    }
    let wrong = Setup::of(&provider).config("\n[evals]\nembedding_model = \"prompt:x\"\n");
    let gateway = wrong.prepare();
    let output = gateway.run(&["evals", "run"]).await;
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        told.contains("evals.embedding_model") && told.contains("no name of a model"),
        "{told}"
    );
}

#[tokio::test]
async fn a_report_names_the_commit_that_set_its_thresholds() {
    const SUITE: &str = "prompts: ['hi']\nproviders: [echo]\ntests: [{vars: {x: a}}]\n";
    let gateway = Setup::simulated().prepare();
    let root = gateway.path().to_owned();
    write(&gateway, "evals/shop.yaml", SUITE);
    let report = run(&gateway, "shop").await;
    assert_eq!(
        report["suite"].get("commit"),
        None,
        "there is no repository"
    );
    git(&root, &["init", "-q", "-b", "main"]);
    git(&root, &["add", "evals"]);
    git(&root, &["commit", "-q", "-m", "Set thresholds"]);
    let set = git(&root, &["rev-parse", "HEAD"]).trim().to_owned();
    git(&root, &["add", "prompts"]);
    git(&root, &["commit", "-q", "-m", "Add prompts"]);
    let report = run(&gateway, "shop").await;
    assert_eq!(report["suite"]["commit"], set.as_str());
    assert_eq!(report["suite"].get("has_uncommitted_changes"), None);
    write(&gateway, "evals/shop.yaml", &SUITE.replace("x: a", "x: b"));
    let report = run(&gateway, "shop").await;
    assert_eq!(report["suite"]["commit"], set.as_str());
    assert_eq!(report["suite"]["has_uncommitted_changes"], true);
}
