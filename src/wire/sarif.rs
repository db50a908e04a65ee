//! SARIF 2.1.0, as far as code scanning reads it: one run, its rules, its results.

use crate::wire::escape::uri_path;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;

/// Returns a log of one run, as pretty JSON with a newline at its end. `rules` and `results` are objects
/// of SARIF.
#[must_use]
pub fn log(rules: &[Value], results: &[Value]) -> String {
    let body = json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "promptgate",
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": rules,
            }},
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    });
    let text = serde_json::to_string_pretty(&body).unwrap_or_default();
    format!("{text}\n")
}

/// Returns where a file is: below the root of the sources, or anywhere when its path is absolute.
#[must_use]
pub fn artifact(path: &str) -> Value {
    let uri = uri_path(path);
    if path.starts_with('/') {
        json!({"uri": format!("file://{uri}")})
    } else {
        json!({"uri": uri, "uriBaseId": "%SRCROOT%"})
    }
}

/// Returns 32 hex digits that tell the finding of this `identity` again in the next run.
#[must_use]
pub fn fingerprint(identity: &str) -> String {
    let digest = Sha256::digest(identity.as_bytes());
    digest.iter().take(16).fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// Returns words as a sentence: a capital first, a full stop last.
#[must_use]
pub fn sentence(words: &str) -> String {
    let mut characters = words.chars();
    let first = characters.next().map(char::to_uppercase);
    first
        .into_iter()
        .flatten()
        .chain(characters)
        .chain(['.'])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::artifact;
    use serde_json::json;

    #[test]
    fn files_are_below_the_root_or_anywhere() {
        assert_eq!(
            artifact("prompts/b\u{fc} 1.prompt"),
            json!({"uri": "prompts/b%C3%BC%201.prompt", "uriBaseId": "%SRCROOT%"})
        );
        assert_eq!(artifact("/a"), json!({"uri": "file:///a"}));
    }
}
