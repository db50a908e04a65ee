//! Prompts of other tools come in whole or not at all, and what stays behind is named.

use crate::support::{Setup, TestGateway};
use serde_json::Value;
use std::fs;
use std::process::Output;

const HOSTED: &str = r#"{"data": [
  {"id": "pmpt_1", "name": "support/refund", "model": "gpt-5-mini", "instructions": "You help {{customer}}."},
  {"id": "pmpt_2", "input": [{"role": "user", "content": "Say {{word}}."}], "tools": [{"type": "web_search"}]}
]}"#;

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn with(path: &str, content: &str) -> TestGateway {
    let gateway = Setup::simulated().prepare();
    let path = gateway.path().join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
    gateway
}

async fn import(gateway: &TestGateway, arguments: &[&str]) -> Output {
    gateway
        .run(&[&["prompts", "import"], arguments].concat())
        .await
}

#[tokio::test]
async fn hosted_prompts_are_served_under_their_ids() {
    let gateway = with("export.json", HOSTED);
    let dry = import(&gateway, &["openai", "export.json", "--dry-run"]).await;
    assert_eq!(dry.status.code(), Some(0), "{dry:?}");
    insta::assert_snapshot!(text(&dry.stdout));
    assert!(!gateway.path().join("prompts/support").exists());

    let output = import(&gateway, &["openai", "export.json"]).await;
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let variables = "{\"customer\": \"Ada\"}";
    let rendered = gateway
        .run(&[
            "prompts",
            "render",
            "support/refund",
            "--variables",
            variables,
        ])
        .await;
    assert_eq!(text(&rendered.stdout), "[system]\nYou help Ada.\n\n");
    let lint = gateway.run(&["prompts", "lint"]).await;
    assert_eq!(lint.status.code(), Some(0), "{lint:?}");

    // What is the same is left alone, and what is not is not written over.
    let again = import(&gateway, &["openai", "export.json"]).await;
    assert_eq!(again.status.code(), Some(0), "{again:?}");
    let path = gateway.path().join("prompts/support/refund.prompt");
    fs::write(&path, "mine").unwrap();
    let refused = import(&gateway, &["openai", "export.json"]).await;
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    assert!(text(&refused.stderr).contains("support/refund.prompt` is there already"));
    assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
    let forced = import(&gateway, &["openai", "export.json", "--force"]).await;
    assert_eq!(forced.status.code(), Some(0), "{forced:?}");
    assert!(
        fs::read_to_string(&path)
            .unwrap()
            .contains("You help {{customer}}.")
    );
}

#[tokio::test]
async fn one_refusal_keeps_all_out() {
    let gateway = with(
        "in/good.prompty",
        "---\nname: good\nmodel: gpt-5\n---\nsystem:\nHello.\n",
    );
    let bad = "---\nname: bad\nmodel:\n  id: gpt-5\n  connection:\n    apiKey: ${env:KEY}\n---\nsystem:\n{{ x | upper }}\n";
    fs::write(gateway.path().join("in/bad.prompty"), bad).unwrap();
    let output = import(&gateway, &["prompty", "in", "--out", "out"]).await;
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = text(&output.stderr);
    for words in [
        "bad.prompty:6: `apiKey` is",
        "bad.prompty:6: this line refers",
        "bad.prompty:9: the filter `upper`",
        "nothing was written",
    ] {
        assert!(said.contains(words), "no {words:?} in {said}");
    }
    assert!(!gateway.path().join("out").exists());
    let json = import(&gateway, &["prompty", "in", "--out", "out", "--json"]).await;
    let body: Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(body["written"], false);
    assert_eq!(body["refusals"].as_array().unwrap().len(), 3);
    fs::remove_file(gateway.path().join("in/bad.prompty")).unwrap();
    let json = gateway
        .run_json(&["prompts", "import", "prompty", "in", "--out", "out"])
        .await;
    assert_eq!(json["written"], true);
    assert_eq!(json["prompts"][0]["files"][0], "good.prompt");
    assert!(gateway.path().join("out/good.prompt").is_file());
}

#[tokio::test]
async fn a_config_brings_the_files_that_it_names() {
    let toml = "[functions.greet]\ntype = \"chat\"\n[functions.greet.variants.a]\ntype = \"chat_completion\"\n\
        model = \"openai::gpt-5\"\nsystem_template = \"t/greet.minijinja\"\n";
    let gateway = with("tz/tensorzero.toml", toml);
    fs::create_dir(gateway.path().join("tz/t")).unwrap();
    fs::write(
        gateway.path().join("tz/t/greet.minijinja"),
        "Greet {{ name }}.\n",
    )
    .unwrap();
    fs::write(gateway.path().join("tz/t/other.minijinja"), "api_key: x").unwrap();
    let json = gateway
        .run_json(&[
            "prompts",
            "import",
            "tensorzero",
            "tz/tensorzero.toml",
            "--force",
        ])
        .await;
    assert_eq!(json["prompts"][0]["name"], "greet");
    let written = fs::read_to_string(gateway.path().join("prompts/greet.prompt")).unwrap();
    assert!(
        written.ends_with("{{role \"system\"~}}\nGreet {{name}}.\n"),
        "{written}"
    );

    for (arguments, said) in [
        (&["tensorzero", "tz/absent.toml"][..], "cannot be read"),
        (&["prompty", "tz"][..], "no file that ends with .prompty"),
        (&["word", "tz"][..], "tensorzero"),
    ] {
        let output = import(&gateway, arguments).await;
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert!(text(&output.stderr).contains(said), "{output:?}");
    }
}
