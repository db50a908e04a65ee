//! Messages that prove themselves: webhooks of forges, and bundles of prompts.

use crate::access::{is_signed, same_secret};
use crate::domain::Secret;
use http::HeaderMap;

/// Secrets shared with those who tell of new commits or push them. Without one, nobody may.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hooks {
    /// Signs webhooks.
    pub webhook: Option<Secret>,
    /// Signs bundles.
    pub push: Option<Secret>,
}

/// What a bundle's signature begins with, so that it is good for nothing else.
const BUNDLE: &str = "promptgate bundle 1\n";

/// Whether a webhook's body is proven by one of the headers that forges send: GitHub's and Gitea's
/// signatures, GitLab's token.
pub(super) fn is_webhook(secret: &Secret, headers: &HeaderMap, body: &[u8]) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let github = text("x-hub-signature-256").and_then(|value| value.strip_prefix("sha256="));
    if let Some(signature) = github.or_else(|| text("x-gitea-signature")) {
        return is_signed(secret, &[body], signature);
    }
    text("x-gitlab-token").is_some_and(|token| same_secret(token, secret))
}

/// Returns what is signed of a bundle before its bytes: its purpose and its sequence number.
#[must_use]
pub fn bundle_preamble(sequence: u64) -> String {
    format!("{BUNDLE}{sequence}\n")
}

#[cfg(test)]
mod tests {
    use super::is_webhook;
    use crate::access::sign;
    use crate::domain::Secret;
    use http::{HeaderMap, HeaderName, HeaderValue};

    #[test]
    fn each_forge_proves_itself_in_its_own_way() {
        let secret = Secret::new("0123456789abcdef");
        let body = br#"{"ref":"refs/heads/main"}"#;
        let signature = sign(&secret, &[body]);
        for (name, value, is_good) in [
            ("x-hub-signature-256", format!("sha256={signature}"), true),
            ("x-hub-signature-256", signature.clone(), false),
            (
                "x-hub-signature-256",
                format!("sha256={}", "0".repeat(64)),
                false,
            ),
            ("x-hub-signature", format!("sha1={signature}"), false),
            ("x-gitea-signature", signature, true),
            ("x-gitea-signature", String::new(), false),
            ("x-gitlab-token", "0123456789abcdef".to_owned(), true),
            ("x-gitlab-token", "0123456789abcdeF".to_owned(), false),
            ("authorization", "0123456789abcdef".to_owned(), false),
        ] {
            let mut headers = HeaderMap::new();
            let header = HeaderName::from_static(name);
            headers.insert(header, HeaderValue::from_str(&value).unwrap());
            assert_eq!(
                is_webhook(&secret, &headers, body),
                is_good,
                "{name}: {value}"
            );
            if name != "x-gitlab-token" {
                assert!(!is_webhook(&secret, &headers, b"other"), "{name}: {value}");
            }
        }
    }
}
