//! Amazon's credentials, looked for where Amazon's own SDKs look, in their order: the config, the
//! environment, a web identity, the shared files, the container, the machine.

mod metadata;
mod profiles;
mod sts;

use super::{Fault, Fetched, Variables};
use crate::domain::{Secret, Timestamp};
use profiles::{Files, Means};
use std::collections::BTreeMap;

/// How long keys of a file are believed: other programs write new ones there.
const FILE_LASTS_MICROS: i64 = 15 * 60 * 1_000_000;

/// What is done about having none at all.
const HINT: &str = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a `profile`, or an `api_key` \
                    (AWS_BEARER_TOKEN_BEDROCK); on Amazon's machines, give the machine a role";

/// A pair of keys, with the token of those that expire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AwsKeys {
    /// `AKIA…`, or `ASIA…` of keys that expire.
    pub id: String,
    /// What signs.
    pub secret: Secret,
    /// What goes with keys that expire.
    pub session_token: Option<Secret>,
}

impl AwsKeys {
    /// Returns what of them is a secret.
    pub(super) fn secrets(&self) -> Vec<Secret> {
        let token = self.session_token.clone();
        std::iter::once(self.secret.clone()).chain(token).collect()
    }
}

/// Where Amazon's credentials come from.
#[derive(Debug, Clone, Default)]
pub struct AwsSettings {
    keys: Option<AwsKeys>,
    profile: Option<String>,
    variables: Variables,
}

impl AwsSettings {
    /// Returns where they come from: `keys` and `profile` of the config, then what `environment` names.
    #[must_use]
    pub fn new(
        keys: Option<AwsKeys>,
        profile: Option<String>,
        environment: &BTreeMap<String, String>,
    ) -> Self {
        Self {
            keys,
            profile,
            variables: Variables::of(environment, &["AWS_", "HOME"]),
        }
    }

    /// Returns the region that the environment, or the profile in the shared files, names.
    #[must_use]
    pub fn region(&self) -> Option<String> {
        ["AWS_REGION", "AWS_DEFAULT_REGION"]
            .into_iter()
            .find_map(|name| self.variables.get(name))
            .map(str::to_owned)
            .or_else(|| Files::of(&self.variables).region(self.profile_name()))
    }

    /// Returns the secrets that are known before anything is asked.
    #[must_use]
    pub fn secrets(&self) -> Vec<Secret> {
        let keys = self.keys.clone().into_iter().chain(self.of_environment());
        let mut secrets: Vec<Secret> = keys.flat_map(|keys| keys.secrets()).collect();
        let token = self.variables.get("AWS_CONTAINER_AUTHORIZATION_TOKEN");
        secrets.extend(token.map(Secret::new));
        secrets
    }

    fn profile_name(&self) -> &str {
        self.profile
            .as_deref()
            .or_else(|| self.variables.get("AWS_PROFILE"))
            .unwrap_or("default")
    }

    fn of_environment(&self) -> Option<AwsKeys> {
        Some(AwsKeys {
            id: self.variables.get("AWS_ACCESS_KEY_ID")?.to_owned(),
            secret: Secret::new(self.variables.get("AWS_SECRET_ACCESS_KEY")?),
            session_token: self.variables.get("AWS_SESSION_TOKEN").map(Secret::new),
        })
    }
}

/// Gets keys from the first source that has any.
///
/// # Errors
///
/// What is wrong with the source that should have had them; or that there is none.
pub(super) async fn fetch(
    settings: &AwsSettings,
    region: &str,
    now: Timestamp,
) -> Result<Fetched<AwsKeys>, Fault> {
    if let Some(keys) = &settings.keys {
        return Ok(forever(keys.clone()));
    }
    let variables = &settings.variables;
    let sts = sts::Sts::new(variables, region);
    if settings.profile.is_none() {
        if let Some(keys) = settings.of_environment() {
            return Ok(forever(keys));
        }
        let role = variables.get("AWS_ROLE_ARN");
        let file = variables.get("AWS_WEB_IDENTITY_TOKEN_FILE");
        if let (Some(role), Some(file)) = (role, file) {
            let session = variables.get("AWS_ROLE_SESSION_NAME");
            return sts.with_web_identity(role, file, session).await;
        }
    }
    let files = Files::of(variables);
    let name = settings.profile_name();
    match files.means(name)? {
        Some(Means::Keys(keys)) => return Ok(of_file(keys, now)),
        Some(Means::WebIdentity { role, token_file }) => {
            return sts.with_web_identity(&role, &token_file, None).await;
        }
        Some(Means::Role {
            role,
            with,
            external_id,
        }) => {
            return sts.as_role(&role, external_id.as_deref(), &with, now).await;
        }
        None if settings.profile.is_some() || variables.get("AWS_PROFILE").is_some() => {
            return Err(files.missing(name));
        }
        None => {}
    }
    if let Some(fetched) = metadata::of_container(variables).await? {
        return Ok(fetched);
    }
    let tried = "has no AWS credentials: none in the config, the environment, a web identity, the \
                 shared files or the container";
    match metadata::of_machine(variables).await {
        Ok(Some(fetched)) => Ok(fetched),
        Ok(None) => Err(Fault::new(tried, HINT)),
        // On any other machine there is nobody at that address.
        Err(fault) => Err(Fault::new(format!("{tried}; it {}", fault.message), HINT)),
    }
}

const fn forever(keys: AwsKeys) -> Fetched<AwsKeys> {
    Fetched {
        value: keys,
        expires: None,
    }
}

const fn of_file(keys: AwsKeys, now: Timestamp) -> Fetched<AwsKeys> {
    Fetched {
        value: keys,
        expires: Some(Timestamp(now.0.saturating_add(FILE_LASTS_MICROS))),
    }
}

/// Reads when keys expire, as RFC 3339 writes it.
fn expiry(text: &str) -> Option<Timestamp> {
    let time: jiff::Timestamp = text.trim().parse().ok()?;
    Some(Timestamp(time.as_microsecond()))
}

#[cfg(test)]
mod tests {
    use super::{AwsSettings, fetch};
    use crate::domain::Timestamp;
    use std::collections::BTreeMap;

    fn settings(variables: &[(&str, &str)]) -> AwsSettings {
        let variables = variables
            .iter()
            .map(|&(name, value)| (name.to_owned(), value.to_owned()));
        AwsSettings::new(None, None, &variables.collect::<BTreeMap<_, _>>())
    }

    #[tokio::test]
    async fn the_environment_comes_before_the_files() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("credentials");
        std::fs::write(
            &path,
            "[default]\naws_access_key_id = F\naws_secret_access_key = canary\n",
        )
        .unwrap();
        let file = ("AWS_SHARED_CREDENTIALS_FILE", path.to_str().unwrap());
        let keys = [
            ("AWS_ACCESS_KEY_ID", "E"),
            ("AWS_SECRET_ACCESS_KEY", "canary"),
        ];
        let from_both = settings(&[file, keys[0], keys[1]]);
        let fetched = fetch(&from_both, "r", Timestamp(0)).await.unwrap();
        assert_eq!((fetched.value.id.as_str(), fetched.expires), ("E", None));
        let from_file = settings(&[file]);
        let fetched = fetch(&from_file, "r", Timestamp(0)).await.unwrap();
        assert_eq!(fetched.value.id, "F");
        assert!(fetched.expires.is_some());
        // A profile that is asked for wins over the environment.
        let mut asked = from_both.clone();
        asked.profile = Some("default".to_owned());
        assert_eq!(
            fetch(&asked, "r", Timestamp(0)).await.unwrap().value.id,
            "F"
        );
        asked.profile = Some("other".to_owned());
        let fault = fetch(&asked, "r", Timestamp(0)).await.unwrap_err();
        assert!(fault.message.contains("profile `other`"), "{fault:?}");
        assert!(!format!("{from_both:?} {fault:?}").contains("canary"));
        assert_eq!(from_both.secrets().len(), 1);
    }

    #[tokio::test]
    async fn having_none_says_where_they_were_looked_for() {
        let none = settings(&[
            ("AWS_EC2_METADATA_DISABLED", "true"),
            ("AWS_SHARED_CREDENTIALS_FILE", "/none/a"),
            ("AWS_CONFIG_FILE", "/none/b"),
        ]);
        let fault = fetch(&none, "r", Timestamp(0)).await.unwrap_err();
        assert!(
            fault.message.starts_with("has no AWS credentials"),
            "{fault:?}"
        );
        assert!(fault.hint.contains("AWS_ACCESS_KEY_ID"), "{fault:?}");
    }
}
