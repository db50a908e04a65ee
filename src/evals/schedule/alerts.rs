//! Tells people what a scheduled run came to: JSON with `text`, as Slack and what follows it take it.
//!
//! The URL is a secret that a suite refers to; it is in no log and in no error.

use crate::domain::Secret;
use crate::evals::suite::Alert;
use crate::providers;
use bytes::Bytes;
use serde_json::json;
use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;
use tokio::time::sleep;
use url::Url;

/// How long one try may take.
const DEADLINE: Duration = Duration::from_secs(10);
/// How long is waited before each further try.
const PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(4)];
/// The largest answer, in bytes.
const MAX_ANSWER: u64 = 1 << 20;

/// What is told.
#[derive(Debug, Clone)]
pub(super) struct Message {
    /// The words it goes by: a verdict, `drift`.
    pub(super) kinds: Vec<&'static str>,
    /// The text.
    pub(super) text: String,
}

/// Tells everybody who wants to hear of it. Returns why somebody could not be told.
pub(super) async fn tell(
    alerts: &[Alert],
    message: &Message,
    environment: &BTreeMap<String, String>,
) -> Option<String> {
    let mut faults = Vec::new();
    for alert in alerts {
        let is_wanted = |kind: &&'static str| alert.on.iter().any(|on| on == kind);
        if !message.kinds.iter().any(is_wanted) {
            continue;
        }
        if let Err(fault) = send(&alert.webhook, &message.text, environment).await {
            tracing::error!(
                webhook = alert.webhook,
                problem = fault,
                "an alert cannot be sent"
            );
            faults.push(format!("`{}`: {fault}", alert.webhook));
        }
    }
    (!faults.is_empty()).then(|| faults.join("; "))
}

async fn send(
    reference: &str,
    text: &str,
    environment: &BTreeMap<String, String>,
) -> Result<(), String> {
    let url = url_of(reference, environment)?;
    let body = Bytes::from(json!({ "text": escaped(text) }).to_string());
    let mut pauses = PAUSES.iter();
    loop {
        let answer = providers::post_json(&url, body.clone(), DEADLINE, MAX_ANSWER).await;
        let Err(error) = answer else { return Ok(()) };
        match pauses.next() {
            Some(pause) => sleep(*pause).await,
            None => return Err(format!("{error} ({})", error.kind())),
        }
    }
}

/// Returns the URL that `env:NAME` or `file:PATH` refers to.
fn url_of(reference: &str, environment: &BTreeMap<String, String>) -> Result<Url, String> {
    let secret = if let Some(name) = reference.strip_prefix("env:") {
        let found = environment.get(name).filter(|value| !value.is_empty());
        Secret::new(found.ok_or_else(|| format!("the environment has no `{name}`"))?)
    } else if let Some(path) = reference.strip_prefix("file:") {
        let text = fs::read_to_string(path);
        Secret::new(text.map_err(|error| format!("`{path}` cannot be read: {error}"))?)
    } else {
        return Err("it is no reference to a URL: `env:NAME`, `file:PATH`".to_owned());
    };
    // The error of the parser says nothing of what was parsed.
    Url::parse(secret.reveal().trim())
        .map_err(|error| format!("what it refers to is no URL: {error}"))
}

/// So that nothing that a suite or a model says becomes a link, or calls a whole channel.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::{Message, escaped, tell, url_of};
    use crate::evals::suite::Alert;
    use std::collections::BTreeMap;

    fn alert(webhook: &str, on: &[&str]) -> Alert {
        Alert {
            webhook: webhook.to_owned(),
            on: on.iter().map(|&word| word.to_owned()).collect(),
        }
    }

    #[test]
    fn a_url_is_found_and_never_repeated() {
        let canary = ["https://hooks.example.com/", "T0/canary"].concat();
        let environment = BTreeMap::from([
            ("HOOK".to_owned(), canary.clone()),
            ("WRONG".to_owned(), ["canary", " no url"].concat()),
        ]);
        assert_eq!(url_of("env:HOOK", &environment).unwrap().as_str(), canary);
        for wrong in [
            "env:WRONG",
            "env:NONE",
            "file:/none/hook",
            "https://x.test/canary",
        ] {
            let error = url_of(wrong, &environment).unwrap_err();
            assert!(!error.contains("canary"), "{error}");
        }
    }

    #[tokio::test]
    async fn who_does_not_want_to_hear_is_not_told() {
        let message = Message {
            kinds: vec!["passed"],
            text: "x".to_owned(),
        };
        let alerts = [alert("env:NONE", &["failed", "drift"])];
        assert_eq!(tell(&alerts, &message, &BTreeMap::new()).await, None);
        let alerts = [alert("env:NONE", &["passed"])];
        let fault = tell(&alerts, &message, &BTreeMap::new()).await.unwrap();
        assert!(
            fault.contains("`env:NONE`: the environment has no `NONE`"),
            "{fault}"
        );
    }

    #[test]
    fn nothing_said_becomes_a_command() {
        assert_eq!(escaped("<!channel> a & b"), "&lt;!channel&gt; a &amp; b");
    }
}
