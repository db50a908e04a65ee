//! Errors in the shape of `google.rpc.Status`, whose details say how long to wait and which quota is spent.

use crate::wire::openai::ProviderFault;
use serde_json::Value;
use std::time::Duration;

/// Reads an answer with an error `status`.
///
/// The code is the reason that Google gives (`API_KEY_INVALID`), or the quota that is spent (`GenerateRequestsPerDayPerProjectPerModel`), where there is one; the parameter is the first field that
/// was wrong.
#[must_use]
pub fn read_fault(status: u16, content_type: Option<&str>, body: &[u8]) -> ProviderFault {
    let fault = ProviderFault::read(status, content_type, body);
    let details = details(body);
    let find = |kind: &str, pick: fn(&Value) -> Option<&str>| {
        let found = of_kind(&details, kind).find_map(pick);
        found.map(ToOwned::to_owned)
    };
    let quota = find("QuotaFailure", |detail| {
        let violation = detail.get("violations")?.as_array()?.first()?;
        let name = violation
            .get("quotaId")
            .or_else(|| violation.get("subject"));
        name?.as_str()
    });
    let reason = find("ErrorInfo", |detail| detail.get("reason")?.as_str());
    let field = find("BadRequest", |detail| {
        let violations = detail.get("fieldViolations")?.as_array()?;
        violations.first()?.get("field")?.as_str()
    });
    ProviderFault {
        code: quota.or(reason).or(fault.code),
        param: fault.param.or(field),
        ..fault
    }
}

/// Returns how long the body of an error says to wait (`RetryInfo`), if it does.
#[must_use]
pub fn retry_delay(body: &[u8]) -> Option<Duration> {
    let details = details(body);
    let delay = of_kind(&details, "RetryInfo")
        .find_map(|detail| detail.get("retryDelay")?.as_str()?.strip_suffix('s'))?
        .parse()
        .ok()?;
    Duration::try_from_secs_f64(delay)
        .ok()
        .filter(|delay| !delay.is_zero())
}

fn details(body: &[u8]) -> Vec<Value> {
    let Ok(parsed) = serde_json::from_slice::<Value>(body) else {
        return Vec::new();
    };
    // Streams that are no event streams put their errors into an array.
    let status = match &parsed {
        Value::Array(elements) => elements.first().unwrap_or(&Value::Null),
        other => other,
    };
    let details = status.get("error").and_then(|error| error.get("details"));
    let details = details.and_then(Value::as_array);
    details.cloned().unwrap_or_default()
}

fn of_kind<'a>(details: &'a [Value], kind: &str) -> impl Iterator<Item = &'a Value> {
    let kind = format!("type.googleapis.com/google.rpc.{kind}");
    details
        .iter()
        .filter(move |detail| detail.get("@type").and_then(Value::as_str) == Some(&kind))
}

#[cfg(test)]
mod tests {
    use super::{read_fault, retry_delay};
    use std::time::Duration;

    const SPENT: &str = r#"{"error":{"code":429,"message":"You exceeded your current quota","status":"RESOURCE_EXHAUSTED",
        "details":[{"@type":"type.googleapis.com/google.rpc.QuotaFailure","violations":[{"quotaMetric":"m",
        "quotaId":"GenerateRequestsPerMinutePerProjectPerModel-FreeTier"}]},
        {"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"34.074824224s"}]}}"#;

    #[test]
    fn details_are_read() {
        let fault = read_fault(429, None, SPENT.as_bytes());
        assert_eq!(fault.kind.as_deref(), Some("RESOURCE_EXHAUSTED"));
        assert_eq!(
            fault.code.as_deref(),
            Some("GenerateRequestsPerMinutePerProjectPerModel-FreeTier")
        );
        assert_eq!(
            retry_delay(SPENT.as_bytes()),
            Some(Duration::from_nanos(34_074_824_224))
        );
        let body = br#"[{"error":{"code":400,"message":"API key not valid","status":"INVALID_ARGUMENT","details":[
            {"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"API_KEY_INVALID"},
            {"@type":"type.googleapis.com/google.rpc.BadRequest","fieldViolations":[{"field":"contents"}]}]}}]"#;
        let fault = read_fault(400, None, body);
        assert_eq!(fault.message, "API key not valid");
        assert_eq!(fault.code.as_deref(), Some("API_KEY_INVALID"));
        assert_eq!(fault.param.as_deref(), Some("contents"));
    }

    #[test]
    fn waits_that_are_none_are_none() {
        for delay in ["0s", "-1s", "NaNs", "infs", "1e400s", "soon", "34"] {
            let body = SPENT.replace("34.074824224s", delay);
            assert_eq!(retry_delay(body.as_bytes()), None, "{delay}");
        }
        assert_eq!(retry_delay(b"<html>"), None);
        let fault = read_fault(503, Some("text/html"), b"<html><title>No</title></html>");
        assert_eq!(fault.message, "status 503 with an HTML page: No");
    }
}
