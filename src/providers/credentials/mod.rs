//! What proves who asks, where that is more than a key: requests that are signed, tokens that expire.
//!
//! Credentials are got when a call needs them, kept until shortly before they expire, and got by one call
//! for all ([`Refreshed`]). *Invariant: no error says a secret; each says where the credentials were to
//! come from, and what to do.*

mod ask;
mod aws;
#[cfg(test)]
mod aws_tests;
mod google;
#[cfg(test)]
mod google_tests;
mod refreshed;
mod sigv4;

pub use aws::{AwsKeys, AwsSettings};
pub use google::GoogleSettings;

use crate::domain::{Clock, Timestamp};
use crate::providers::preset::Cloud;
use crate::providers::{Config, urls};
use crate::safety::SecretSource;
use bytes::Bytes;
use google::Token;
use http::header::AUTHORIZATION;
use http::{HeaderName, Request};
use refreshed::Refreshed;
use std::collections::BTreeMap;
use std::fmt;

/// The project that Google bills, where the credentials are a person's.
const QUOTA_PROJECT: HeaderName = HeaderName::from_static("x-goog-user-project");

/// Why credentials cannot be had. Neither text holds a secret.
#[derive(Debug, Clone)]
pub(super) struct Fault {
    /// What is wrong, to be said after the provider's name.
    pub(super) message: String,
    /// What to do.
    pub(super) hint: String,
}

impl Fault {
    fn new(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            hint: hint.into(),
        }
    }
}

/// What was got from a source of credentials.
#[derive(Debug)]
struct Fetched<T> {
    value: T,
    /// `None` for what does not expire.
    expires: Option<Timestamp>,
}

/// How requests of one provider prove who asks.
#[derive(Debug)]
pub(super) struct Credentials {
    proof: Proof,
    /// Keeps what is fetched out of everything that is written.
    secrets: SecretSource,
}

#[derive(Debug)]
enum Proof {
    /// By a key, which is among the headers already; or not at all.
    Key,
    /// By a signature.
    Aws {
        settings: AwsSettings,
        region: String,
        keys: Refreshed<AwsKeys>,
    },
    /// By a token.
    Google {
        settings: GoogleSettings,
        token: Refreshed<Token>,
    },
}

impl Credentials {
    /// Returns how the provider of `config` is shown who asks. Gets nothing yet.
    ///
    /// # Errors
    ///
    /// What is missing, to be said after the provider's name.
    pub(super) fn build(config: &Config) -> Result<Self, String> {
        let cloud = config.preset.facts().cloud;
        let proof = match cloud.filter(|_| config.api_key.is_none()) {
            None => Proof::Key,
            Some(Cloud::Aws) => Proof::Aws {
                settings: config.aws.clone(),
                region: urls::region(config)?,
                keys: Refreshed::new(),
            },
            Some(Cloud::Google) => Proof::Google {
                settings: config.google.clone(),
                token: Refreshed::new(),
            },
        };
        Ok(Self {
            proof,
            secrets: config.fetched.source(),
        })
    }

    /// Whether a request can be authorised before its body is there: a signature is over all of it.
    pub(super) const fn take_uploads(&self) -> bool {
        !matches!(self.proof, Proof::Aws { .. })
    }

    /// Makes `request`, which is complete, prove who asks.
    ///
    /// # Errors
    ///
    /// Why the credentials cannot be had.
    pub(super) async fn authorize(&self, request: &mut Request<Bytes>) -> Result<(), Fault> {
        let now = Clock::System.now();
        match &self.proof {
            Proof::Key => Ok(()),
            Proof::Aws {
                settings,
                region,
                keys,
            } => {
                let fetching = Box::pin(async {
                    let fetched = aws::fetch(settings, region, now).await?;
                    self.secrets.replace(fetched.value.secrets());
                    Ok(fetched)
                });
                let keys = keys.get(now, fetching).await?;
                let scope = sigv4::Scope {
                    region,
                    service: "bedrock",
                };
                // The wait may have been long, and a signature holds for minutes.
                sigv4::sign(request, &keys, scope, Clock::System.now())
            }
            Proof::Google { settings, token } => {
                let fetching = Box::pin(async {
                    let fetched = google::fetch(settings, now).await?;
                    self.secrets.replace(fetched.value.secrets());
                    Ok(fetched)
                });
                let token = token.get(now, fetching).await?;
                let headers = request.headers_mut();
                headers.insert(AUTHORIZATION, token.authorization.clone());
                if let Some(project) = &token.quota_project {
                    headers
                        .entry(QUOTA_PROJECT)
                        .or_insert_with(|| project.clone());
                }
                Ok(())
            }
        }
    }

    /// Notes that the provider refused the credentials, so that others are got unless they are new.
    pub(super) fn refused(&self) {
        let now = Clock::System.now();
        match &self.proof {
            Proof::Key => {}
            Proof::Aws { keys, .. } => keys.doubt(now),
            Proof::Google { token, .. } => token.doubt(now),
        }
    }
}

/// The part of the environment that says where credentials are. Prints nothing of it.
#[derive(Clone, Default)]
struct Variables(BTreeMap<String, String>);

impl Variables {
    /// Keeps those of `environment` that begin with one of `prefixes`.
    fn of(environment: &BTreeMap<String, String>, prefixes: &[&str]) -> Self {
        let is_ours = |name: &str| prefixes.iter().any(|prefix| name.starts_with(prefix));
        Self(
            environment
                .iter()
                .filter(|(name, value)| is_ours(name) && !value.is_empty())
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect(),
        )
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
}

impl fmt::Debug for Variables {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.0.keys()).finish()
    }
}
