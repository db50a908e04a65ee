//! `webhook`: a service of the author's decides. Only hosts that the config lists are asked.

use crate::evals::gateway::OFFLINE;
use crate::evals::grade::Grade;
use crate::evals::judges::context::JudgeContext;
use crate::evals::judges::reading::number;
use crate::evals::judges::ready::Ready;
use crate::providers;
use bytes::Bytes;
use serde_json::{Value, json};
use url::Url;

/// The largest answer, in bytes.
const MAX_ANSWER: u64 = 1 << 20;

/// Asks the service.
///
/// # Errors
///
/// In words, when it is not allowed, cannot be asked, or says nothing usable.
pub(super) async fn decide(ready: &Ready<'_>, context: &JudgeContext<'_>) -> Result<Grade, String> {
    if context.gateway.is_offline() {
        return Err(OFFLINE.to_owned());
    }
    let text = ready.needed_text()?;
    let url = Url::parse(text.trim()).map_err(|error| format!("`{text}` is no URL: {error}"))?;
    let host = url.host_str().unwrap_or_default();
    if !is_allowed(&url, context.allowed_webhooks) {
        return Err(format!(
            "host `{host}` is not among `evals.webhooks` of the config: a suite asks no other service"
        ));
    }
    let graded = ready.graded;
    let body = json!({
        "output": ready.output,
        "context": {
            "prompt": graded.prompt,
            "vars": graded.vars,
            "test": {
                "description": graded.case.description,
                "vars": graded.vars,
                "metadata": graded.case.metadata,
                "threshold": graded.case.threshold,
            },
        },
    });
    let body = Bytes::from(body.to_string());
    let answer = providers::post_json(&url, body, context.timeout, MAX_ANSWER).await;
    let answer = answer.map_err(|error| format!("{error} ({})", error.kind()))?;
    read(&answer, ready)
}

fn read(answer: &[u8], ready: &Ready<'_>) -> Result<Grade, String> {
    let wrong = "the service's answer is no JSON object with a boolean `pass`";
    let answer: Value =
        serde_json::from_slice(answer).map_err(|error| format!("{wrong}: {error}"))?;
    let holds = answer.get("pass").and_then(Value::as_bool).ok_or(wrong)?;
    let is_negated = ready.assertion.is_negated;
    let is_pass = holds != is_negated;
    let said = answer
        .get("reason")
        .and_then(Value::as_str)
        .filter(|said| !said.is_empty());
    let decision = if holds { "passes" } else { "fails" };
    let reason = said.map_or_else(|| format!("the service {decision} it"), str::to_owned);
    let mut grade = Grade::plain(is_pass, reason);
    match answer.get("score") {
        None | Some(Value::Null) => {}
        score => {
            let score = number(score).ok_or("the service's `score` is no number")?;
            grade.score = if is_negated { 1.0 - score } else { score };
        }
    }
    Ok(grade)
}

/// Whether the config lists the URL's host, alone or with its port.
fn is_allowed(url: &Url, allowed: &[String]) -> bool {
    let Some(host) = url.host_str() else {
        return false;
    };
    let with_port = url
        .port_or_known_default()
        .map(|port| format!("{host}:{port}"));
    allowed.iter().any(|entry| {
        entry.eq_ignore_ascii_case(host)
            || with_port
                .as_ref()
                .is_some_and(|host| entry.eq_ignore_ascii_case(host))
    })
}

#[cfg(test)]
mod tests {
    use super::is_allowed;
    use url::Url;

    #[test]
    fn only_listed_hosts_are_asked() {
        let allowed = ["hooks.example.com".to_owned(), "127.0.0.1:9000".to_owned()];
        for (url, expected) in [
            ("https://hooks.example.com/grade", true),
            ("https://HOOKS.example.com:8443/", true),
            ("https://hooks.example.com.evil.test/", false),
            ("https://evil.test/hooks.example.com", false),
            ("https://hooks.example.com@evil.test/", false),
            ("http://127.0.0.1:9000/x", true),
            ("http://127.0.0.1:9001/x", false),
            ("data:text/plain,x", false),
        ] {
            assert_eq!(
                is_allowed(&Url::parse(url).unwrap(), &allowed),
                expected,
                "{url}"
            );
        }
        assert!(!is_allowed(&Url::parse("https://a.test").unwrap(), &[]));
    }
}
