//! Tells people by a webhook: JSON with `text`, as Slack and what follows it take it.
//!
//! The URL is a secret that is referred to; it is in no log and in no error.

use crate::domain::Secret;
use crate::providers::post_json;
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

/// Sends `{"text": …}` to the URL that `reference` (`env:NAME`, `file:PATH`) names; tries again when nobody
/// answers.
///
/// # Errors
///
/// In words, why it could not be sent. The URL is in none of them.
pub async fn send_text(
    reference: &str,
    text: &str,
    environment: &BTreeMap<String, String>,
) -> Result<(), String> {
    let url = url_of(reference, environment)?;
    let body = Bytes::from(json!({ "text": escaped(text) }).to_string());
    let mut pauses = PAUSES.iter();
    loop {
        let answer = post_json(&url, body.clone(), DEADLINE, MAX_ANSWER).await;
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

/// So that nothing that somebody wrote or a model says becomes a link, or calls a whole channel.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::{escaped, url_of};
    use std::collections::BTreeMap;

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

    #[test]
    fn nothing_said_becomes_a_command() {
        assert_eq!(escaped("<!channel> a & b"), "&lt;!channel&gt; a &amp; b");
    }
}
