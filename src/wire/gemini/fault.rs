//! Errors in the shape of `google.rpc.Status`, whose details say how long to wait and which quota is spent.

use crate::wire::openai::ProviderFault;
use crate::wire::rpc_status;
use serde_json::Value;
use std::num::NonZeroU32;

/// Reads an answer with an error `status`.
///
/// The code is the reason that Google gives (`API_KEY_INVALID`), else the name of the status (`RESOURCE_EXHAUSTED`), which is
/// the type too; the parameter is the first field that was wrong. Which quota is spent stands behind the message.
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
    let quota = quota.filter(|quota| !fault.message.contains(quota));
    let reason = find("ErrorInfo", |detail| detail.get("reason")?.as_str());
    let field = find("BadRequest", |detail| {
        let violations = detail.get("fieldViolations")?.as_array()?;
        violations.first()?.get("field")?.as_str()
    });
    ProviderFault {
        message: match quota {
            Some(quota) => format!("{} (quota `{quota}`)", fault.message),
            None => fault.message,
        },
        code: reason.or(fault.code),
        param: fault.param.or(field),
        retry_after: rpc_status::retry_delay(body)
            .and_then(|delay| u32::try_from(delay.as_millis()).ok())
            .and_then(NonZeroU32::new),
        ..fault
    }
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
    use super::read_fault;
    use std::num::NonZeroU32;

    const SPENT: &str = r#"{"error":{"code":429,"message":"You exceeded your current quota","status":"RESOURCE_EXHAUSTED",
        "details":[{"@type":"type.googleapis.com/google.rpc.QuotaFailure","violations":[{"quotaMetric":"m",
        "quotaId":"GenerateRequestsPerMinutePerProjectPerModel-FreeTier"}]},
        {"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"34.5s"}]}}"#;

    #[test]
    fn details_are_read() {
        let fault = read_fault(429, None, SPENT.as_bytes());
        assert_eq!(fault.kind.as_deref(), Some("RESOURCE_EXHAUSTED"));
        assert_eq!(fault.code.as_deref(), Some("RESOURCE_EXHAUSTED"));
        assert_eq!(
            fault.message,
            "You exceeded your current quota (quota `GenerateRequestsPerMinutePerProjectPerModel-FreeTier`)"
        );
        assert_eq!(fault.retry_after, NonZeroU32::new(34_500));
        let body = br#"[{"error":{"code":400,"message":"API key not valid","status":"INVALID_ARGUMENT","details":[
            {"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"API_KEY_INVALID"},
            {"@type":"type.googleapis.com/google.rpc.BadRequest","fieldViolations":[{"field":"contents"}]}]}}]"#;
        let fault = read_fault(400, None, body);
        assert_eq!(fault.message, "API key not valid");
        assert_eq!(fault.kind.as_deref(), Some("INVALID_ARGUMENT"));
        assert_eq!(fault.code.as_deref(), Some("API_KEY_INVALID"));
        assert_eq!(fault.param.as_deref(), Some("contents"));
        assert_eq!(fault.retry_after, None);
        let fault = read_fault(503, Some("text/html"), b"<html><title>No</title></html>");
        assert_eq!(fault.message, "status 503 with an HTML page: No");
    }
}
