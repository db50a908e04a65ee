//! The other formats.

use super::{carried, foreign, refused, show};
use crate::prompts::import::{Foreign, Format, import};
use serde_json::json;

const OPENAI: &str = r#"{
  "id": "pmpt_68a1", "object": "prompt", "version": "3", "name": "Refund helper",
  "model": "gpt-5-mini", "temperature": 0.2, "max_output_tokens": 400, "store": true,
  "instructions": "You help with refunds for {{shop}}.",
  "input": [{"role": "user", "content": [{"type": "input_text", "text": "Order {{order_id}}:\nwhat now?"}]}],
  "reasoning": {"effort": "low"},
  "text": {"format": {"type": "json_schema", "name": "a", "strict": true, "schema": {
    "type": "object", "properties": {"answer": {"type": "string"}}, "required": ["answer"], "additionalProperties": false}}},
  "tools": [{"type": "function", "name": "lookup", "description": "Finds an order.", "parameters": {"type": "object", "properties": {"id": {"type": "string"}}}},
            {"type": "web_search"}],
  "variables": {"shop": "Parkside"}
}"#;

const LANGFUSE: &str = r#"{"data": [
  {"name": "movie-critic", "version": 1, "type": "text", "prompt": "old", "labels": []},
  {"name": "movie-critic", "version": 2, "type": "text", "prompt": "Rate {{ movie }} as JSON: { \"a\": {{{x}}} }", "config": {"model": "gpt-4o", "temperature": 0, "supported_languages": ["en"]}, "labels": ["production", "latest"], "tags": ["film"]},
  {"name": "chat/bot", "version": 4, "type": "chat", "labels": [], "prompt": [
    {"role": "system", "content": "You are {{persona}}."},
    {"type": "placeholder", "name": "history"},
    {"role": "user", "content": "{{question}}"}]}
]}"#;

const LITELLM: &str = "---\nmodel: gpt-4\ntemperature: 0.7\nmax_tokens: 150\ninput:\n  schema:\n    user_message: string\n    extra?: string\n---\n\
    System: You are helpful.\n  Be short.\n\nUser: {{user_message}}\n{% if extra %}And {{ extra }}{% endif %}\n";

const GITHUB: &str = "name: Text Summarizer\ndescription: Summarizes input text concisely\nmodel: openai/gpt-4o-mini\n\
    modelParameters:\n  temperature: 0.5\nmessages:\n  - role: system\n    content: You are a text summarizer.\n  \
    - role: user\n    content: |\n      Summarize this:\n      {{input}}\ntestData:\n  - input: The quick brown fox.\n    \
    expected: A fox.\nevaluators:\n  - name: Output should start with 'Summary -'\n    string:\n      startsWith: 'Summary -'\n";

const PROMPTFOO: &str = "prompts:\n  - 'Convert this to {{language}}: {{input}}'\n  - file://chat.json\nproviders: [openai:chat:gpt-4o-mini]\n\
    defaultTest:\n  vars: {language: French}\ntests:\n  - vars: {input: Hello world}\n    assert:\n      - type: contains\n        value: Bonjour\n  - vars: {language: German}\n";

const CHAT: &str = r#"[{"role": "system", "content": "You translate to {{ language }}."},
 {"role": "user", "content": "{% for line in lines %}- {{ line }}\n{% endfor %}{{ input | dump }}"}]"#;

/// Prompty's first version.
const FIRST: &str = "---\nname: Basic\ndescription: Answers.\nauthors: [a]\nmodel:\n  api: chat\n  configuration:\n    type: azure_openai\n    \
    azure_deployment: gpt-35-turbo\n  parameters:\n    max_tokens: 3000\ninputs:\n  question:\n    type: string\n    sample: Who?\n\
    sample:\n  firstName: Jane\ntemplate: jinja2\n---\nsystem:\nYou help {{firstName}}.\n\nuser:\n{{question}}\n";

#[test]
fn the_first_version_of_prompty_is_carried_over() {
    insta::assert_snapshot!(carried(Format::Prompty, "basic.prompty", FIRST));
}

#[test]
fn prompts_are_carried_over() {
    let shown = [
        carried(Format::OpenAi, "refund.json", OPENAI),
        carried(Format::LiteLlm, "greet.v2.prompt", LITELLM),
        carried(Format::GitHubModels, "summarize.prompt.yml", GITHUB),
    ];
    insta::assert_snapshot!(shown.concat());
}

#[test]
fn versions_and_placeholders_are_carried_over() {
    insta::assert_snapshot!(carried(Format::Langfuse, "export.json", LANGFUSE));
}

#[test]
fn configs_bring_their_files() {
    let files = [
        foreign("promptfooconfig.yaml", PROMPTFOO),
        foreign("chat.json", CHAT),
    ];
    let outcome = import(Format::Promptfoo, &files);
    let texts = import(
        Format::Promptfoo,
        &[foreign("two.txt", "First {{a}}.\n---\n\nSecond {{b}}.\n")],
    );
    insta::assert_snapshot!(format!("{}{}", show(&outcome), show(&texts)));
}

fn tensorzero(template: &str) -> Vec<Foreign> {
    let toml = json!({
        "functions": {"draft_email": {
            "type": "json", "system_schema": "system_schema.json", "output_schema": "output.json", "tools": ["lookup"],
            "variants": {
                "plain": {"type": "chat_completion", "weight": 0.1, "model": "openai::gpt-4o-mini", "system_template": "plain.minijinja"},
                "warm": {"type": "chat_completion", "weight": 0.9, "model": "anthropic::claude-haiku-4-5",
                    "system_template": {"path": "templates/warm.minijinja"}, "temperature": 0.3, "json_mode": "strict"},
            },
        }},
        "tools": {"lookup": {"description": "Finds.", "parameters": "lookup.json"}},
    });
    let object = r#"{"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"], "additionalProperties": false}"#;
    vec![
        Foreign {
            toml: Some(toml),
            ..foreign("tensorzero.toml", "[functions.draft_email]")
        },
        foreign("system_schema.json", object),
        foreign("output.json", object),
        foreign("lookup.json", object),
        foreign("plain.minijinja", "Write to {{ name }}.\n"),
        foreign("templates/warm.minijinja", template),
    ]
}

#[test]
fn functions_become_prompts_and_variants() {
    let outcome = import(
        Format::TensorZero,
        &tensorzero("Write warmly{% if name %} to {{ name }}{% endif %}.\n"),
    );
    let broken = import(Format::TensorZero, &tensorzero("Hi\n{{ name | upper }}"));
    insta::assert_snapshot!(format!("{}{}", show(&outcome), show(&broken)));
}

/// A format, a file, and where and why it is refused.
type Refused<'a> = (Format, &'a str, &'a str, &'a str);

#[rustfmt::skip]
const REFUSED: [Refused<'_>; 17] = [
    (Format::OpenAi, "a.json", "{", "1: broken JSON"),
    (Format::OpenAi, "a.json", "{\"id\": \"pmpt_1\"}", "-: there are neither"),
    (Format::OpenAi, "a.json", "{\"input\": [\n{\"role\": \"user\", \"content\": [{\"type\": \"input_image\"}]}]}", "-: a part of type `input_image`"),
    (Format::OpenAi, "a.json", "{\"instructions\":\n \"Use {{history}}\"}", "2: `history` is the name of a helper"),
    (Format::Langfuse, "a.json", "{\"name\": \"a\",\n \"prompt\": \"x @@@langfusePrompt:name=b|label=c@@@\"}", "2: `a` includes another prompt"),
    (Format::LiteLlm, "a.prompt", "---\nmodel: x\n---\nUser: {{ a | upper }}", "4: the filter `upper`"),
    (Format::LiteLlm, "a.yaml", "prompts:\n  - prompt_id: a\n    litellm_params: {prompt_integration: langfuse}", "-: `a` is kept elsewhere"),
    (Format::LiteLlm, "a.prompt", "---\napi_key: x\n---\nUser: hi", "2: `api_key` is a credential"),
    (Format::Prompty, "a.prompty", "---\nmodel: x\n", "-: the front matter has no closing"),
    (Format::Prompty, "a.prompty", "---\nmodel: ${env:M}\n---\nsystem:\nx", "2: this line refers to the environment"),
    (Format::Prompty, "a.prompty", "---\nname: a\ninputs: ${file:x.json}\n---\nx", "-: the front matter takes values"),
    (Format::Prompty, "a.prompty", "---\nname: a\n---\nsystem:\nx\n\nuser:\n{% set a = 1 %}", "8: `{% set %}`"),
    (Format::Prompty, "a.prompty", "---\nname: a\ntemplate: {format: {kind: liquid}}\n---\nx", "-: a template in `liquid`"),
    (Format::GitHubModels, "a.prompt.yml", "name: a", "-: there are no `messages`"),
    (Format::Promptfoo, "promptfooconfig.yaml", "prompts: [file://gone.txt]", "-: prompt 1 is `gone.txt`"),
    (Format::Promptfoo, "a.txt", "x\n{% include 'y' %}", "2: `{% include %}`"),
    (Format::TensorZero, "a.toml", "x = 1", "-: there is no TOML file"),
];

#[test]
fn what_cannot_be_said_exactly_is_refused_with_its_line() {
    for (format, path, text, wanted) in REFUSED {
        let found = refused(format, path, text);
        assert!(found.starts_with(wanted), "{text}: {found}");
    }
    let key = ["sk-proj-", "a1B2c3D4e5F6g7H8i9J0"].concat();
    let text = format!("{{\"instructions\":\n \"{key}\"}}");
    let found = refused(Format::OpenAi, "a.json", &text);
    assert_eq!(found, "2: this line holds what looks like a credential");
}

#[test]
fn nothing_is_written_twice_or_broken() {
    let two = [foreign("a.json", OPENAI), foreign("b.json", OPENAI)];
    let outcome = import(Format::OpenAi, &two);
    assert!(show(&outcome).contains("two prompts would be written to `Refund-helper.prompt`"));
    // A variable that the schema does not have is the loader's to refuse.
    let source = "---\ninput:\n  schema:\n    a: string\n---\nUser: {{ a }} {{ b }}";
    let found = refused(Format::LiteLlm, "a.prompt", source);
    assert_eq!(
        found,
        "-: would give a broken prompt: variable `b` is used but not declared"
    );
}
