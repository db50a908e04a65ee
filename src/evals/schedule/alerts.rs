//! Tells people what a scheduled run came to: everybody who wants to hear of it.

use crate::evals::suite::Alert;
use crate::providers;
use std::collections::BTreeMap;

/// What is told.
#[derive(Debug, Clone)]
pub(super) struct Message {
    /// The words it goes by: a verdict, `drift`.
    pub(super) kinds: Vec<&'static str>,
    /// The text.
    pub(super) text: String,
}

/// Tells everybody who wants to hear of it. Returns why somebody could not be told.
pub(super) async fn tell(
    alerts: &[Alert],
    message: &Message,
    environment: &BTreeMap<String, String>,
) -> Option<String> {
    let mut faults = Vec::new();
    for alert in alerts {
        let is_wanted = |kind: &&'static str| alert.on.iter().any(|on| on == kind);
        if !message.kinds.iter().any(is_wanted) {
            continue;
        }
        if let Err(fault) = providers::send_text(&alert.webhook, &message.text, environment).await {
            tracing::error!(
                webhook = alert.webhook,
                problem = fault,
                "an alert cannot be sent"
            );
            faults.push(format!("`{}`: {fault}", alert.webhook));
        }
    }
    (!faults.is_empty()).then(|| faults.join("; "))
}

#[cfg(test)]
mod tests {
    use super::{Message, tell};
    use crate::evals::suite::Alert;
    use std::collections::BTreeMap;

    fn alert(webhook: &str, on: &[&str]) -> Alert {
        Alert {
            webhook: webhook.to_owned(),
            on: on.iter().map(|&word| word.to_owned()).collect(),
        }
    }

    #[tokio::test]
    async fn who_does_not_want_to_hear_is_not_told() {
        let message = Message {
            kinds: vec!["passed"],
            text: "x".to_owned(),
        };
        let alerts = [alert("env:NONE", &["failed", "drift"])];
        assert_eq!(tell(&alerts, &message, &BTreeMap::new()).await, None);
        let alerts = [alert("env:NONE", &["passed"])];
        let fault = tell(&alerts, &message, &BTreeMap::new()).await.unwrap();
        assert!(
            fault.contains("`env:NONE`: the environment has no `NONE`"),
            "{fault}"
        );
    }
}
