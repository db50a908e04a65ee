//! Files of Google's credentials: a service account, which signs a claim of its own; or a person, whose
//! refresh token is shown.

use super::SCOPE;
use crate::domain::{Secret, Timestamp};
use crate::providers::credentials::Fault;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::rsa::KeyPair;
use ring::signature::RSA_PKCS1_SHA256;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use serde::Deserialize;
use serde_json::json;

/// Where tokens are had when a file does not say it.
const TOKEN_URL: &str = "https://oauth2.googleapis.com/token";
/// How long a claim holds, in seconds; a token of it holds as long.
const CLAIM_SECONDS: i64 = 3_600;

/// What a file holds.
pub(super) enum File {
    Account(Account),
    Person(Person),
}

/// A service account.
#[derive(Deserialize)]
pub(super) struct Account {
    client_email: String,
    private_key: String,
    #[serde(default)]
    private_key_id: String,
    token_uri: Option<String>,
}

/// A person.
#[derive(Deserialize)]
pub(super) struct Person {
    client_id: String,
    client_secret: String,
    refresh_token: String,
    quota_project_id: Option<String>,
    token_uri: Option<String>,
}

#[derive(Deserialize)]
struct Kind {
    #[serde(default, rename = "type")]
    kind: String,
}

impl File {
    /// Reads the text of a file, which is called `name`.
    ///
    /// # Errors
    ///
    /// When it is no such file, or of a kind that is not used here.
    pub(super) fn read(text: &str, name: &str) -> Result<Self, Fault> {
        let broken = |problem: String| {
            Fault::new(
                format!("gets no credentials from {name}: {problem}"),
                "use a file of the type `service_account` or `authorized_user`",
            )
        };
        // The parser's own words could quote the file.
        let incomplete = |kind: &str, error: &serde_json::Error| {
            let line = error.line();
            broken(format!("it is no complete `{kind}` (line {line})"))
        };
        let Kind { kind } = serde_json::from_str(text)
            .map_err(|error| broken(format!("it is no JSON object (line {})", error.line())))?;
        match kind.as_str() {
            "service_account" => serde_json::from_str(text)
                .map(Self::Account)
                .map_err(|error| incomplete(&kind, &error)),
            "authorized_user" => serde_json::from_str(text)
                .map(Self::Person)
                .map_err(|error| incomplete(&kind, &error)),
            _ => {
                let kind: String = kind.chars().take(60).collect();
                Err(broken(format!("its type `{kind}` is not used here")))
            }
        }
    }

    /// Returns where it is exchanged for a token.
    pub(super) fn token_url(&self) -> &str {
        let url = match self {
            Self::Account(account) => &account.token_uri,
            Self::Person(person) => &person.token_uri,
        };
        url.as_deref().unwrap_or(TOKEN_URL)
    }

    /// Returns the project that is billed, where that is not the account's own.
    pub(super) fn quota_project(&self) -> Option<&str> {
        match self {
            Self::Account(_) => None,
            Self::Person(person) => person.quota_project_id.as_deref(),
        }
    }

    /// Returns what of it must never be written down.
    pub(super) fn secrets(&self) -> Vec<Secret> {
        match self {
            Self::Account(account) => vec![Secret::new(account.private_key.as_str())],
            Self::Person(person) => [&person.client_secret, &person.refresh_token]
                .map(|secret| Secret::new(secret.as_str()))
                .to_vec(),
        }
    }

    /// Returns the form that asks for a token.
    ///
    /// # Errors
    ///
    /// What is wrong with the key.
    pub(super) fn request(&self, now: Timestamp) -> Result<Vec<(&'static str, String)>, String> {
        Ok(match self {
            Self::Account(account) => {
                let grant = "urn:ietf:params:oauth:grant-type:jwt-bearer".to_owned();
                let claim = account.claim(self.token_url(), now.unix_seconds())?;
                vec![("grant_type", grant), ("assertion", claim)]
            }
            Self::Person(person) => vec![
                ("grant_type", "refresh_token".to_owned()),
                ("client_id", person.client_id.clone()),
                ("client_secret", person.client_secret.clone()),
                ("refresh_token", person.refresh_token.clone()),
            ],
        })
    }
}

impl Account {
    /// Returns a signed claim (RFC 7523) to be who the account is, for the service at `audience`.
    fn claim(&self, audience: &str, issued: i64) -> Result<String, String> {
        let head = json!({"alg": "RS256", "typ": "JWT", "kid": self.private_key_id});
        let claims = json!({
            "iss": self.client_email,
            "scope": SCOPE,
            "aud": audience,
            "iat": issued,
            "exp": issued + CLAIM_SECONDS,
        });
        let mut claim = URL_SAFE_NO_PAD.encode(head.to_string());
        claim.push('.');
        claim.push_str(&URL_SAFE_NO_PAD.encode(claims.to_string()));
        let signature = self.sign(claim.as_bytes())?;
        claim.push('.');
        claim.push_str(&URL_SAFE_NO_PAD.encode(signature));
        Ok(claim)
    }

    /// Signs as RS256 (RSA, PKCS #1 v1.5, SHA-256).
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, String> {
        let unusable = "its `private_key` is no RSA key of 2048 bits or more";
        let der = PrivateKeyDer::from_pem_slice(self.private_key.as_bytes());
        let pair = match der.map_err(|_| "its `private_key` is no PEM")? {
            PrivateKeyDer::Pkcs8(der) => KeyPair::from_pkcs8(der.secret_pkcs8_der()),
            PrivateKeyDer::Pkcs1(der) => KeyPair::from_der(der.secret_pkcs1_der()),
            _ => return Err(unusable.to_owned()),
        };
        let pair = pair.map_err(|_| unusable)?;
        let mut signature = vec![0; pair.public().modulus_len()];
        pair.sign(
            &RSA_PKCS1_SHA256,
            &SystemRandom::new(),
            message,
            &mut signature,
        )
        .map_err(|_| "its `private_key` does not sign")?;
        Ok(signature)
    }
}
