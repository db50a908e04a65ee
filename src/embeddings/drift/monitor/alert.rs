//! Sends an alarm: JSON with `text`, as Slack and what follows it take it.
//!
//! The URL is a secret that is referred to; it is in no log and in no error.

use crate::domain::Secret;
use crate::embeddings::snapshots::Error;
use crate::providers;
use bytes::Bytes;
use serde_json::json;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::sleep;
use url::Url;

/// How long one try may take.
const DEADLINE: Duration = Duration::from_secs(10);
/// How long is waited before each further try.
const PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(4)];
/// The largest answer, in bytes.
const MOST_ANSWER: u64 = 1 << 20;

/// Checks that a webhook is a reference, not a URL, which would be kept in clear.
pub(super) fn check(reference: &str) -> Result<(), Error> {
    let is_reference = ["env:", "file:"].iter().any(|kind| {
        reference
            .strip_prefix(kind)
            .is_some_and(|rest| !rest.is_empty())
    });
    if is_reference {
        return Ok(());
    }
    let problem = "is no reference to a URL";
    let hint = "write `env:NAME` or `file:PATH`: the URL is a secret";
    Err(Error::invalid("webhook", problem, Some(hint)))
}

/// Sends a text; tries again when nobody answers. Returns why it could not be sent.
pub(super) async fn send(
    reference: &str,
    text: &str,
    environment: &BTreeMap<String, String>,
) -> Result<(), String> {
    let url = url_of(reference, environment)?;
    let body = Bytes::from(json!({ "text": escaped(text) }).to_string());
    let mut pauses = PAUSES.iter();
    loop {
        let answer = providers::post_json(&url, body.clone(), DEADLINE, MOST_ANSWER).await;
        let Err(error) = answer else { return Ok(()) };
        match pauses.next() {
            Some(pause) => sleep(*pause).await,
            None => return Err(format!("{error} ({})", error.kind())),
        }
    }
}

fn url_of(reference: &str, environment: &BTreeMap<String, String>) -> Result<Url, String> {
    let secret = if let Some(name) = reference.strip_prefix("env:") {
        let found = environment.get(name).filter(|value| !value.is_empty());
        Secret::new(found.ok_or_else(|| format!("the environment has no `{name}`"))?)
    } else {
        let path = reference.strip_prefix("file:").unwrap_or(reference);
        let text = std::fs::read_to_string(path);
        Secret::new(text.map_err(|error| format!("`{path}` cannot be read: {error}"))?)
    };
    // The error of the parser says nothing of what was parsed.
    Url::parse(secret.reveal().trim())
        .map_err(|error| format!("what it refers to is no URL: {error}"))
}

/// So that nothing that a user wrote becomes a link, or calls a whole channel.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::{check, escaped, url_of};
    use std::collections::BTreeMap;

    #[test]
    fn a_url_is_referred_to_and_never_repeated() {
        let canary = ["https://hooks.example.com/", "T0/canary"].concat();
        assert!(check("env:HOOK").is_ok() && check("file:hook").is_ok());
        assert!(!check(&canary).unwrap_err().to_string().contains("canary"));
        assert!(check("env:").is_err());
        let environment = BTreeMap::from([
            ("HOOK".to_owned(), canary.clone()),
            ("WRONG".to_owned(), ["canary", " no url"].concat()),
        ]);
        assert_eq!(url_of("env:HOOK", &environment).unwrap().as_str(), canary);
        for wrong in ["env:WRONG", "env:NONE", "file:/none/hook"] {
            let error = url_of(wrong, &environment).unwrap_err();
            assert!(!error.contains("canary"), "{error}");
        }
        assert_eq!(escaped("<!channel> a & b"), "&lt;!channel&gt; a &amp; b");
    }
}
