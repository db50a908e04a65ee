//! The services beside a container and a machine that say which role it has.

use super::{AwsKeys, expiry};
use crate::domain::Secret;
use crate::providers::credentials::ask::Source;
use crate::providers::credentials::{Fault, Fetched, Variables};
use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use serde::Deserialize;
use std::time::Duration;

/// They are one hop away, or not there at all.
const LIMIT: Duration = Duration::from_secs(2);

const TOKEN_LIFE: HeaderName = HeaderName::from_static("x-aws-ec2-metadata-token-ttl-seconds");
const TOKEN: HeaderName = HeaderName::from_static("x-aws-ec2-metadata-token");

/// Keys as both services write them.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    access_key_id: String,
    secret_access_key: String,
    token: Option<String>,
    expiration: String,
}

/// Gets the keys of the container's role; `None` when this is no container that has one.
pub(super) async fn of_container(variables: &Variables) -> Result<Option<Fetched<AwsKeys>>, Fault> {
    let relative = variables.get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
    let url = match (
        relative,
        variables.get("AWS_CONTAINER_CREDENTIALS_FULL_URI"),
    ) {
        (Some(path), _) => format!("http://169.254.170.2{path}"),
        (None, Some(url)) => url.to_owned(),
        (None, None) => return Ok(None),
    };
    let source = Source {
        name: "the container's credentials endpoint",
        url: &url,
        limit: LIMIT,
    };
    let mut headers = HeaderMap::new();
    // The file is written anew when the token in it expires.
    let token = match variables.get("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE") {
        Some(path) => {
            let text = tokio::fs::read_to_string(path).await;
            Some(text.map_err(|error| {
                let problem = format!("the token in `{path}` cannot be read: {error}");
                source.fault(problem, "check AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE")
            })?)
        }
        None => variables
            .get("AWS_CONTAINER_AUTHORIZATION_TOKEN")
            .map(str::to_owned),
    };
    if let Some(token) = token {
        let token = HeaderValue::from_str(token.trim()).map_err(|_| {
            let hint = "check AWS_CONTAINER_AUTHORIZATION_TOKEN and the file of that name";
            source.fault("no header can hold its token", hint)
        })?;
        headers.insert(AUTHORIZATION, token);
    }
    let answer = source.get(Method::GET, headers).await?;
    read(&source, &answer).map(Some)
}

/// Gets the keys of the machine's role; `None` where that is switched off.
pub(super) async fn of_machine(variables: &Variables) -> Result<Option<Fetched<AwsKeys>>, Fault> {
    let disabled = variables.get("AWS_EC2_METADATA_DISABLED");
    if disabled.is_some_and(|value| value.eq_ignore_ascii_case("true")) {
        return Ok(None);
    }
    let home = variables
        .get("AWS_EC2_METADATA_SERVICE_ENDPOINT")
        .unwrap_or("http://169.254.169.254")
        .trim_end_matches('/');
    let mut headers = HeaderMap::new();
    headers.insert(TOKEN_LIFE, HeaderValue::from_static("21600"));
    let path = "/latest/api/token".to_owned();
    let token = ask(home, &path, Method::PUT, headers).await?;
    let mut headers = HeaderMap::new();
    if let Ok(token) = HeaderValue::from_str(token.trim()) {
        headers.insert(TOKEN, token);
    }
    let roles = "/latest/meta-data/iam/security-credentials/";
    let role = ask(home, roles, Method::GET, headers.clone()).await?;
    let role = role.lines().next().unwrap_or_default().trim();
    let url = format!("{home}{roles}{role}");
    let source = machine(&url);
    let answer = source.get(Method::GET, headers).await?;
    read(&source, &answer).map(Some)
}

/// Asks the machine's service for one line.
async fn ask(home: &str, path: &str, method: Method, headers: HeaderMap) -> Result<String, Fault> {
    let url = format!("{home}{path}");
    let source = machine(&url);
    let (status, body) = source.get(method, headers).await?;
    if !status.is_success() {
        let hint = "give the machine a role, or set AWS_EC2_METADATA_DISABLED=true";
        return Err(source.fault(format!("it answers {status} to `{path}`"), hint));
    }
    Ok(String::from_utf8_lossy(&body).into_owned())
}

const fn machine(url: &str) -> Source<'_> {
    Source {
        name: "the machine's metadata service (IMDSv2)",
        url,
        limit: LIMIT,
    }
}

fn read(
    source: &Source<'_>,
    (status, body): &(StatusCode, Bytes),
) -> Result<Fetched<AwsKeys>, Fault> {
    let hint = "check the role of the container or the machine";
    if !status.is_success() {
        return Err(source.fault(format!("it answers {status}"), hint));
    }
    let keys = serde_json::from_slice::<Answer>(body)
        .ok()
        .and_then(|answer| {
            Some(Fetched {
                expires: Some(expiry(&answer.expiration)?),
                value: AwsKeys {
                    id: answer.access_key_id,
                    secret: Secret::new(answer.secret_access_key),
                    session_token: answer.token.map(Secret::new),
                },
            })
        });
    keys.ok_or_else(|| source.fault("its answer has no keys in it", hint))
}
