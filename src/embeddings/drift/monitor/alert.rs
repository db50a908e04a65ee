//! Where alarms go: to a URL that is a secret, so it is referred to and never written down.

use crate::embeddings::snapshots::Error;

/// Checks that a webhook is a reference, not a URL, which would be kept in clear.
pub(super) fn check(reference: &str) -> Result<(), Error> {
    let is_reference = ["env:", "file:"].iter().any(|kind| {
        reference
            .strip_prefix(kind)
            .is_some_and(|rest| !rest.is_empty())
    });
    if is_reference {
        return Ok(());
    }
    let problem = "is no reference to a URL";
    let hint = "write `env:NAME` or `file:PATH`: the URL is a secret";
    Err(Error::invalid("webhook", problem, Some(hint)))
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn a_url_is_referred_to_and_never_repeated() {
        let canary = ["https://hooks.example.com/", "T0/canary"].concat();
        assert!(check("env:HOOK").is_ok() && check("file:hook").is_ok());
        assert!(!check(&canary).unwrap_err().to_string().contains("canary"));
        assert!(check("env:").is_err());
    }
}
