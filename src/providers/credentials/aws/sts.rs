//! Amazon's token service: keys for an hour, for who holds a token of another's identity, or keys of its
//! own.

use super::{AwsKeys, expiry};
use crate::domain::{Secret, Timestamp};
use crate::providers::credentials::ask::{Source, form};
use crate::providers::credentials::{Fault, Fetched, Variables, sigv4};
use bytes::Bytes;
use http::StatusCode;
use std::time::Duration;

const VERSION: (&str, &str) = ("Version", "2011-06-15");
const LIMIT: Duration = Duration::from_secs(10);
/// What sessions are called in Amazon's logs.
const SESSION: &str = "promptgate";

/// The service of a region.
#[derive(Debug)]
pub(super) struct Sts {
    url: String,
    region: String,
}

impl Sts {
    pub(super) fn new(variables: &Variables, region: &str) -> Self {
        let named = variables.get("AWS_ENDPOINT_URL_STS").map(str::to_owned);
        Self {
            url: named.unwrap_or_else(|| format!("https://sts.{region}.amazonaws.com/")),
            region: region.to_owned(),
        }
    }

    /// Takes `role` with the token that stands in `token_file`, which others keep fresh.
    pub(super) async fn with_web_identity(
        &self,
        role: &str,
        token_file: &str,
        session: Option<&str>,
    ) -> Result<Fetched<AwsKeys>, Fault> {
        let source = self.source();
        let token = tokio::fs::read_to_string(token_file).await;
        let token = token.map_err(|error| {
            let problem = format!("the token in `{token_file}` cannot be read: {error}");
            source.fault(
                problem,
                "check AWS_WEB_IDENTITY_TOKEN_FILE and who may read it",
            )
        })?;
        let pairs = [
            ("Action", "AssumeRoleWithWebIdentity"),
            VERSION,
            ("RoleArn", role),
            ("RoleSessionName", session.unwrap_or(SESSION)),
            ("WebIdentityToken", token.trim()),
        ];
        let (status, body) = source.post_form(&pairs).await?;
        read(&source, role, status, &body)
    }

    /// Takes `role` with `keys`.
    pub(super) async fn as_role(
        &self,
        role: &str,
        external_id: Option<&str>,
        keys: &AwsKeys,
        now: Timestamp,
    ) -> Result<Fetched<AwsKeys>, Fault> {
        let source = self.source();
        let mut pairs = vec![
            ("Action", "AssumeRole"),
            VERSION,
            ("RoleArn", role),
            ("RoleSessionName", SESSION),
        ];
        pairs.extend(external_id.map(|id| ("ExternalId", id)));
        let mut request = form(source.uri()?, &pairs);
        let scope = sigv4::Scope {
            region: &self.region,
            service: "sts",
        };
        sigv4::sign(&mut request, keys, scope, now)?;
        let (status, body) = source.send(request).await?;
        read(&source, role, status, &body)
    }

    fn source(&self) -> Source<'_> {
        Source {
            name: "AWS STS",
            url: &self.url,
            limit: LIMIT,
        }
    }
}

/// Reads the answer, which is XML.
fn read(
    source: &Source<'_>,
    role: &str,
    status: StatusCode,
    body: &Bytes,
) -> Result<Fetched<AwsKeys>, Fault> {
    let text = String::from_utf8_lossy(body);
    if !status.is_success() {
        let code = element(&text, "Code").unwrap_or_default();
        let problem = format!("it refuses role `{role}` ({status} {code})");
        return Err(source.fault(problem, "check the role, and whom its policy trusts"));
    }
    let keys = element(&text, "Credentials").and_then(|inner| {
        let expires = expiry(&element(&inner, "Expiration")?)?;
        Some(Fetched {
            value: AwsKeys {
                id: element(&inner, "AccessKeyId")?,
                secret: Secret::new(element(&inner, "SecretAccessKey")?),
                session_token: Some(Secret::new(element(&inner, "SessionToken")?)),
            },
            expires: Some(expires),
        })
    });
    keys.ok_or_else(|| {
        let hint = "check that AWS_ENDPOINT_URL_STS is the token service";
        source.fault("its answer has no keys in it", hint)
    })
}

/// Returns what stands between the first `<name>` and its end. Keys and tokens hold no character that
/// XML would write otherwise.
fn element(text: &str, name: &str) -> Option<String> {
    let (_, rest) = text.split_once(&format!("<{name}>"))?;
    let (inner, _) = rest.split_once(&format!("</{name}>"))?;
    Some(inner.trim().to_owned())
}
