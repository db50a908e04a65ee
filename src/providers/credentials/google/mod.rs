//! Google's credentials, looked for where Google's own libraries look, in their order: the config, the
//! file that the environment names, the one that `gcloud` writes, the machine.

mod file;

use super::ask::Source;
use super::{Fault, Fetched, Variables};
use crate::domain::{Secret, Timestamp};
use crate::providers::headers::secret_value;
use bytes::Bytes;
use file::File;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What tokens are for.
const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";
/// What stands before a token.
const SCHEME: &str = "Bearer ";
/// How long the service for tokens may take.
const LIMIT: Duration = Duration::from_secs(10);
/// The machine's service is one hop away, or not there at all.
const MACHINE_LIMIT: Duration = Duration::from_secs(2);

const HINT: &str = "set `credentials` or GOOGLE_APPLICATION_CREDENTIALS to a service account's file, or \
                    run `gcloud auth application-default login`; on Google's machines, give the machine \
                    a service account";

/// A token, ready to be sent.
#[derive(Debug)]
pub(super) struct Token {
    pub(super) authorization: HeaderValue,
    /// Who is billed where the token is a person's.
    pub(super) quota_project: Option<HeaderValue>,
}

impl Token {
    /// Returns what of it is a secret.
    pub(super) fn secrets(&self) -> Vec<Secret> {
        let shown = self.authorization.to_str().unwrap_or_default();
        let token = shown.strip_prefix(SCHEME);
        token.into_iter().map(Secret::new).collect()
    }
}

/// Where Google's credentials come from.
#[derive(Debug, Clone, Default)]
pub struct GoogleSettings {
    /// The text of a file of credentials.
    credentials: Option<Secret>,
    variables: Variables,
}

/// What the service for tokens answers.
#[derive(Deserialize)]
struct Answer {
    access_token: String,
    expires_in: i64,
}

/// What it answers when it refuses.
#[derive(Deserialize)]
struct Refusal {
    error: String,
    #[serde(default)]
    error_description: String,
}

impl GoogleSettings {
    /// Returns where they come from: the text of a file of credentials in the config, then what
    /// `environment` names.
    #[must_use]
    pub fn new(credentials: Option<Secret>, environment: &BTreeMap<String, String>) -> Self {
        let prefixes = ["GOOGLE_", "GCE_METADATA_", "CLOUDSDK_CONFIG", "HOME"];
        Self {
            credentials,
            variables: Variables::of(environment, &prefixes),
        }
    }

    /// Returns the project that the environment names, or the file of credentials.
    #[must_use]
    pub fn project(&self) -> Option<String> {
        let named = self.variables.get("GOOGLE_CLOUD_PROJECT");
        named.map(str::to_owned).or_else(|| {
            let (text, _) = self.text().ok()??;
            let value: serde_json::Value = serde_json::from_str(&text).ok()?;
            let keys = ["project_id", "quota_project_id"];
            let project = keys.into_iter().find_map(|key| value.get(key)?.as_str());
            project.map(str::to_owned)
        })
    }

    /// Returns the location that the environment names.
    #[must_use]
    pub fn location(&self) -> Option<String> {
        let names = ["GOOGLE_CLOUD_LOCATION", "GOOGLE_CLOUD_REGION"];
        let named = names.into_iter().find_map(|name| self.variables.get(name));
        named.map(str::to_owned)
    }

    /// Returns the secrets that are known before anything is asked.
    #[must_use]
    pub fn secrets(&self) -> Vec<Secret> {
        let text = self.credentials.as_ref().map(Secret::reveal);
        let file = text.and_then(|text| File::read(text, "the config").ok());
        file.map(|file| file.secrets()).unwrap_or_default()
    }

    /// Returns the text of the file of credentials and what it is called; `None` when there is none.
    fn text(&self) -> Result<Option<(String, String)>, Fault> {
        if let Some(text) = &self.credentials {
            let name = "the credentials of the config".to_owned();
            return Ok(Some((text.reveal().to_owned(), name)));
        }
        let named = self.variables.get("GOOGLE_APPLICATION_CREDENTIALS");
        let path = named.map(PathBuf::from).or_else(|| self.path_of_gcloud());
        let Some(path) = path else { return Ok(None) };
        let name = format!("`{}`", path.display());
        match std::fs::read_to_string(&path) {
            Ok(text) => Ok(Some((text, name))),
            Err(_) if named.is_none() => Ok(None),
            Err(error) => Err(Fault::new(
                format!("gets no credentials from {name}: {error}"),
                "check GOOGLE_APPLICATION_CREDENTIALS and who may read the file",
            )),
        }
    }

    fn path_of_gcloud(&self) -> Option<PathBuf> {
        let dir = match self.variables.get("CLOUDSDK_CONFIG") {
            Some(dir) => PathBuf::from(dir),
            None => Path::new(self.variables.get("HOME")?).join(".config/gcloud"),
        };
        Some(dir.join("application_default_credentials.json"))
    }
}

/// Gets a token from the first source that has one.
///
/// # Errors
///
/// What is wrong with the source that should have had it; or that there is none.
pub(super) async fn fetch(
    settings: &GoogleSettings,
    now: Timestamp,
) -> Result<Fetched<Token>, Fault> {
    match settings.text()? {
        Some((text, name)) => {
            let file = File::read(&text, &name)?;
            let source = Source {
                name: &format!("Google's token service, with {name}"),
                url: file.token_url(),
                limit: LIMIT,
            };
            let pairs = file.request(now).map_err(|problem| {
                source.fault(
                    problem,
                    "let Google write a new key for the service account",
                )
            })?;
            let pairs: Vec<(&str, &str)> = pairs
                .iter()
                .map(|(name, value)| (*name, value.as_str()))
                .collect();
            let answer = source.post_form(&pairs).await?;
            read(&source, &answer, now, file.quota_project())
        }
        None => of_machine(&settings.variables, now).await,
    }
}

async fn of_machine(variables: &Variables, now: Timestamp) -> Result<Fetched<Token>, Fault> {
    let host = ["GCE_METADATA_HOST", "GCE_METADATA_IP"]
        .into_iter()
        .find_map(|name| variables.get(name))
        .unwrap_or("metadata.google.internal");
    let path = "computeMetadata/v1/instance/service-accounts/default/token";
    let source = Source {
        name: "the machine's metadata service",
        url: &format!("http://{host}/{path}"),
        limit: MACHINE_LIMIT,
    };
    let mut headers = HeaderMap::new();
    headers.insert("metadata-flavor", HeaderValue::from_static("Google"));
    let answer = source.get(Method::GET, headers).await.map_err(|fault| {
        let tried =
            "has no Google credentials: none in the config, the environment or gcloud's file";
        Fault::new(format!("{tried}; it {}", fault.message), HINT)
    })?;
    read(&source, &answer, now, None)
}

fn read(
    source: &Source<'_>,
    (status, body): &(StatusCode, Bytes),
    now: Timestamp,
    quota_project: Option<&str>,
) -> Result<Fetched<Token>, Fault> {
    if !status.is_success() {
        let said = serde_json::from_slice::<Refusal>(body).map_or_else(
            |_| String::new(),
            |refusal| format!(": {} {}", refusal.error, refusal.error_description),
        );
        let said: String = said.trim_end().chars().take(300).collect();
        let hint = "make new credentials if these were revoked, and check this machine's clock";
        return Err(source.fault(format!("it answers {status}{said}"), hint));
    }
    let answer: Answer = serde_json::from_slice(body).map_err(|_| {
        source.fault(
            "its answer has no token in it",
            "check the address of the service",
        )
    })?;
    let authorization = secret_value(&[SCHEME, &answer.access_token].concat());
    let life = answer.expires_in.clamp(0, 86_400) * 1_000_000;
    Ok(Fetched {
        value: Token {
            authorization: authorization
                .ok_or_else(|| source.fault("no header can hold its token", HINT))?,
            quota_project: quota_project.and_then(|name| HeaderValue::from_str(name).ok()),
        },
        expires: Some(Timestamp(now.0.saturating_add(life))),
    })
}
