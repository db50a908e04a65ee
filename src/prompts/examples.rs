//! The example prompts of this repository: they load, and every sample renders as it should.

use crate::domain::{PromptKey, Timestamp};
use crate::metering::Prices;
use crate::prompts::archive::tests::MemoryArchive;
use crate::prompts::bundle::RenderedMessage;
use crate::prompts::lint::{ModelFacts, Rule};
use crate::prompts::messages::Part;
use crate::prompts::registry::{Config, Prompts};
use crate::prompts::source::{DirectorySource, Source};
use crate::prompts::syntax::Role;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

fn examples() -> Prompts {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("prompts");
    let source = Source::Directory(DirectorySource { path });
    let problems = Prompts::check(&source);
    assert!(problems.is_empty(), "{problems:#?}");
    Prompts::open(Config::new(source), Arc::new(MemoryArchive::default())).unwrap()
}

fn show(messages: &[RenderedMessage]) -> String {
    let mut text = String::new();
    for message in messages {
        match message {
            RenderedMessage::Client(index) => writeln!(text, "=== client {index}").unwrap(),
            RenderedMessage::Prompt { role, content } => {
                writeln!(text, "=== {}", role.as_str()).unwrap();
                for part in content {
                    match part {
                        Part::Text(part) => writeln!(text, "{}", part.trim_end()).unwrap(),
                        Part::Media { url, .. } => writeln!(text, "media {url}").unwrap(),
                    }
                }
            }
        }
    }
    text
}

#[test]
fn every_sample_of_every_example_renders() {
    let snapshot = examples().snapshot();
    assert_eq!(snapshot.len(), 7);
    let mut rendered = String::new();
    for (key, prompt) in snapshot.iter() {
        assert!(!prompt.samples.is_empty(), "{key} has no samples");
        assert!(prompt.bundle.description().is_some(), "{key}");
        for sample in prompt.samples.iter() {
            let outcome = prompt.bundle.render(&sample.input()).unwrap();
            assert_eq!(outcome.warnings, Vec::<String>::new(), "{key}");
            let text = show(&outcome.messages);
            assert!(!text.contains("\n\n\n"), "{key}: blank lines\n{text}");
            writeln!(rendered, "##### {key}: {}\n{text}", sample.name).unwrap();
        }
    }
    insta::assert_snapshot!(rendered);
}

#[test]
fn the_linter_finds_nothing_in_the_examples() {
    let prices = Prices::builtin();
    let facts = ModelFacts {
        prices: &prices,
        // 2026-11-25: a model that is shut down later must not fail this test one day.
        now: Timestamp(1_795_600_000_000_000),
    };
    let lint = examples().lint(None, facts).unwrap();
    // What is not committed yet is nobody's fault here.
    let of_files = lint.findings.iter().filter(|finding| {
        !matches!(
            finding.problem.code,
            Rule::UncoveredChange | Rule::WhitespaceOnly
        )
    });
    let shown: Vec<_> = of_files
        .map(|finding| finding.problem.to_string())
        .collect();
    assert_eq!(shown, Vec::<String>::new());
    assert_eq!(lint.file_count(), 20);
}

#[test]
fn examples_use_what_they_show() {
    let snapshot = examples().snapshot();
    let get = |name: &str| {
        &snapshot
            .get(&PromptKey::parse(name).unwrap())
            .unwrap()
            .bundle
    };
    assert_eq!(get("code/review").tools().len(), 2);
    assert!(get("support/triage").output().unwrap().is_strict());
    assert!(get("rag/answer").output().unwrap().is_strict());
    assert_eq!(get("translate").bindings()[0].0, "text");
    assert_eq!(get("support/refund").locked(), ["max_tokens"]);
    let partials: Vec<_> = get("support/refund")
        .partials()
        .map(|(name, _)| name)
        .collect();
    assert_eq!(partials, ["support/policy", "tone"]);
}

#[test]
fn a_message_that_gives_orders_stays_a_message() {
    let snapshot = examples().snapshot();
    let key = PromptKey::parse("support/triage").unwrap();
    let prompt = snapshot.get(&key).unwrap();
    let sample = prompt.samples.last().unwrap();
    let rendered = prompt.bundle.render(&sample.input()).unwrap();
    let roles: Vec<_> = rendered
        .messages
        .iter()
        .map(|message| match message {
            RenderedMessage::Prompt { role, .. } => *role,
            RenderedMessage::Client(_) => panic!("no client messages were given"),
        })
        .collect();
    assert_eq!(roles, [Role::System, Role::User]);
    assert!(show(&rendered.messages).contains("{{role \"system\"}}"));
}
