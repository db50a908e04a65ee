//! `google.rpc.Status`: what Google's services say when they refuse.

use serde::Deserialize;
use serde_json::Value;
use std::time::Duration;

/// The body of a refusal, as far as it is acted upon.
#[derive(Debug, Deserialize)]
struct Refusal {
    error: Status,
}

#[derive(Debug, Deserialize)]
struct Status {
    #[serde(default)]
    details: Vec<Value>,
}

/// A body is one refusal, or an array that holds one: what a stream would have been. The array is tried
/// first, because a struct can be read from one.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Body {
    Many(Vec<Refusal>),
    One(Refusal),
}

/// Returns how long a refusal asks to wait (`google.rpc.RetryInfo`); `None` when it does not say, or says
/// that no wait is needed.
#[must_use]
pub fn retry_delay(body: &[u8]) -> Option<Duration> {
    let refusals = match serde_json::from_slice(body).ok()? {
        Body::One(refusal) => vec![refusal],
        Body::Many(refusals) => refusals,
    };
    let mut details = refusals.iter().flat_map(|refusal| &refusal.error.details);
    details.find_map(|detail| {
        let kind = detail.get("@type")?.as_str()?;
        if !kind.ends_with("/google.rpc.RetryInfo") {
            return None;
        }
        // A duration of protobuf: seconds with up to nine decimals, and an `s`.
        let seconds = detail.get("retryDelay")?.as_str()?.strip_suffix('s')?;
        let delay = Duration::try_from_secs_f64(seconds.parse().ok()?).ok()?;
        (!delay.is_zero()).then_some(delay)
    })
}

#[cfg(test)]
mod tests {
    use super::retry_delay;
    use std::time::Duration;

    fn refusal(delay: &str) -> String {
        format!(
            r#"{{"error":{{"code":429,"message":"m","status":"RESOURCE_EXHAUSTED","details":[
                {{"@type":"type.googleapis.com/google.rpc.Help","links":[]}},
                {{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"{delay}"}}]}}}}"#
        )
    }

    #[test]
    fn the_delay_is_found() {
        for (body, expected) in [
            (refusal("34.074824224s"), Some(34_074)),
            (refusal("5s"), Some(5_000)),
            (format!("[{}\n]", refusal("5s")), Some(5_000)),
            (refusal("0s"), None),
            (refusal("-3s"), None),
            (refusal("soon"), None),
            (refusal("NaNs"), None),
            (refusal("infs"), None),
            (refusal("1e400s"), None),
            (refusal("34"), None),
            (r#"{"error":{"code":429}}"#.to_owned(), None),
            (r#"{"error":"no"}"#.to_owned(), None),
            ("<html>".to_owned(), None),
            (String::new(), None),
        ] {
            let delay = retry_delay(body.as_bytes())
                .as_ref()
                .map(Duration::as_millis);
            assert_eq!(delay, expected, "{body}");
        }
    }
}
