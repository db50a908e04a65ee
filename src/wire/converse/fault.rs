//! Errors of AWS, whose type stands in a header or in the body.

use crate::wire::openai::ProviderFault;
use serde_json::Value;

/// Reads an answer with an error `status`; `error_type` is the header `x-amzn-errortype`. The code is AWS's name of the
/// error (`ThrottlingException`).
#[must_use]
pub fn read_fault(
    status: u16,
    error_type: Option<&str>,
    content_type: Option<&str>,
    body: &[u8],
) -> ProviderFault {
    let parsed: Option<Value> = serde_json::from_slice(body).ok();
    let get = |key: &str| parsed.as_ref()?.get(key)?.as_str();
    let said = error_type.or_else(|| get("__type")).or_else(|| get("code"));
    let code = said.map(|said| short(said).to_owned());
    let mut fault = ProviderFault::read(status, content_type, body);
    if let Some(message) = get("Message").or_else(|| get("originalMessage"))
        && get("message").is_none()
    {
        let spelled = serde_json::json!({"message": message}).to_string();
        fault = ProviderFault::from_json(&spelled).unwrap_or(fault);
    }
    ProviderFault {
        kind: code.clone().or(fault.kind),
        code: code.or(fault.code),
        ..fault
    }
}

/// Returns the name of an error without its namespace (`com.amazon.coral#`) and what follows it (`:http://…`).
fn short(name: &str) -> &str {
    let name = name.split(':').next().unwrap_or_default();
    name.rsplit('#').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::read_fault;

    #[test]
    fn types_are_found_in_header_and_body() {
        for (header, body, code, message) in [
            (
                Some("ThrottlingException:http://internal.amazon.com/coral/com.amazon.bedrock/"),
                r#"{"message":"Too many requests"}"#,
                Some("ThrottlingException"),
                "Too many requests",
            ),
            (
                None,
                r#"{"__type":"com.amazon.coral.validate#ValidationException","message":"bad"}"#,
                Some("ValidationException"),
                "bad",
            ),
            (
                Some("AccessDeniedException"),
                r#"{"Message":"no access"}"#,
                Some("AccessDeniedException"),
                "no access",
            ),
            (
                None,
                "<html><title>503</title></html>",
                None,
                "status 503 with an HTML page: 503",
            ),
        ] {
            let fault = read_fault(503, header, None, body.as_bytes());
            assert_eq!(fault.code.as_deref(), code, "{body}");
            assert_eq!(fault.message, message);
        }
    }
}
