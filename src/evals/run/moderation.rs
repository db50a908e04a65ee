//! Reads what a provider's moderation says, in the form of `OpenAI`'s `/v1/moderations`.

use crate::domain::{CallId, Cost};
use crate::evals::gateway::{AskError, Moderated};
use crate::proxy::PassedWhole;
use crate::wire::openai::ProviderFault;
use serde_json::Value;

/// Reads an answer. Call and money are not in it.
///
/// # Errors
///
/// In words, when it says of no text whether it is flagged.
pub(super) fn read(body: &[u8]) -> Result<Moderated, String> {
    let answer: Value = serde_json::from_slice(body)
        .map_err(|error| format!("the moderation's answer cannot be read: {error}"))?;
    let results = answer.get("results").and_then(Value::as_array);
    let results = results.filter(|results| !results.is_empty());
    let results = results.ok_or("the moderation's answer has no `results`")?;
    let mut flagged: Vec<String> = Vec::new();
    for result in results {
        let categories = result.get("categories").and_then(Value::as_object);
        let categories = categories.ok_or("a result of the moderation has no `categories`")?;
        // Where nothing is said of the whole, the categories decide.
        if result.get("flagged") == Some(&Value::Bool(false)) {
            continue;
        }
        let names = categories.iter().filter(|(_, value)| **value == true);
        flagged.extend(names.map(|(name, _)| name.clone()));
    }
    Ok(Moderated {
        flagged,
        model_returned: answer
            .get("model")
            .and_then(Value::as_str)
            .map(str::to_owned),
        returned: answer,
        cost: Cost::default(),
        usage: None,
        call: None,
    })
}

/// Returns why a provider did not moderate.
pub(super) fn refused(answer: &PassedWhole, call: Option<CallId>) -> AskError {
    let fault = ProviderFault::read(answer.status, None, &answer.body);
    let (code, is_retryable) = match answer.status {
        429 => ("provider_rate_limited", true),
        500.. => ("provider_error", true),
        _ => ("provider_rejected", false),
    };
    AskError {
        code: code.to_owned(),
        message: format!(
            "provider `{}` answered {}: {}",
            answer.facts.provider, answer.status, fault.message
        ),
        call,
        is_retryable,
        retry_after_ms: answer.retry_after_ms,
    }
}

#[cfg(test)]
mod tests {
    use super::read;
    use serde_json::json;

    #[test]
    fn what_is_flagged_has_its_categories() {
        for (results, expected) in [
            (
                json!([{"flagged": false, "categories": {"hate": false}}]),
                vec![],
            ),
            // A category below the provider's own threshold.
            (
                json!([{"flagged": false, "categories": {"hate": true}}]),
                vec![],
            ),
            (
                json!([{"flagged": true, "categories": {"hate": true, "violence": false}}]),
                vec!["hate"],
            ),
            // Mistral says nothing of the whole.
            (
                json!([{"categories": {"selfharm": true}}]),
                vec!["selfharm"],
            ),
        ] {
            let body = json!({"model": "m", "results": results}).to_string();
            let found = read(body.as_bytes()).unwrap();
            assert_eq!(found.flagged, expected, "{body}");
            assert_eq!(found.model_returned.as_deref(), Some("m"));
        }
        for body in [
            "",
            "{}",
            r#"{"results":[]}"#,
            r#"{"results":[{"flagged":true}]}"#,
        ] {
            assert!(read(body.as_bytes()).is_err(), "{body}");
        }
    }
}
