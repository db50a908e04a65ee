//! Google's credentials over real sockets: who is asked for tokens, how often, what Vertex AI then gets, and
//! what is said when there are none.

use super::GoogleSettings;
use super::aws_tests::{json_answer, variables};
use crate::domain::Dialect;
use crate::domain::Secret;
use crate::providers::loopback_tests::outgoing;
use crate::providers::testing::{Server, http};
use crate::providers::{Config, ErrorKind, Outgoing, Preset, Providers};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::signature::{KeyPair as _, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio_util::task::TaskTracker;

const ACCOUNT: &[u8] = include_bytes!("../../../tests/fixtures/providers/account.der");

/// A server that hands out tokens at `/token` for so many seconds, numbered, and is Vertex AI elsewhere.
async fn google(expires_in: i64) -> Server {
    let count = std::sync::atomic::AtomicU32::new(1);
    Server::start(move |asked| {
        let token = || {
            let number = count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            json!({"access_token": format!("tok-{number}"), "expires_in": expires_in,
                   "token_type": "Bearer"})
        };
        match asked.target.as_str() {
            "/token" => json_answer(&token()),
            path if path.starts_with("/computeMetadata/") => json_answer(&token()),
            _ => json_answer(&json!({"candidates": []})),
        }
    })
    .await
}

/// The text of a service account's file. The words around the key are put together here: no scanner
/// shall take it for a real one.
fn account(token_url: &str) -> Secret {
    let dashes = "-".repeat(5);
    let lines = STANDARD.encode(ACCOUNT);
    let lines: Vec<String> = lines
        .as_bytes()
        .chunks(64)
        .map(|line| String::from_utf8_lossy(line).into_owned())
        .collect();
    let key = format!(
        "{dashes}BEGIN PRIVATE KEY{dashes}\n{}\n{dashes}END PRIVATE KEY{dashes}\n",
        lines.join("\n")
    );
    let text = json!({"type": "service_account", "client_email": "a@b.test", "private_key": key,
                      "private_key_id": "k1", "project_id": "of-file", "token_uri": token_url});
    Secret::new(text.to_string())
}

fn vertex(server: &Server, google: GoogleSettings) -> Providers {
    let mut config = Config::new("v", Preset::Vertex);
    config.base_url = Some(format!("{}/v1", server.url));
    config.region = Some("global".to_owned());
    config.project = google.project().or_else(|| Some("p".to_owned()));
    config.google = google;
    Providers::build(vec![config]).unwrap()
}

fn to_gemini() -> Outgoing {
    let mut outgoing = outgoing(false);
    outgoing.dialect = Dialect::Gemini;
    outgoing
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_calls_at_once_share_one_token() {
    let server = google(3_600).await;
    let credentials = account(&format!("{}/token", server.url));
    let settings = GoogleSettings::new(Some(credentials), &BTreeMap::new());
    let providers = Arc::new(vertex(&server, settings));
    let tracker = TaskTracker::new();
    let calls: Vec<_> = (0..20)
        .map(|_| {
            let providers = Arc::clone(&providers);
            tracker.spawn(async move { providers.send("v", &to_gemini()).await.map(drop) })
        })
        .collect();
    for call in calls {
        call.await.unwrap().unwrap();
    }
    assert_eq!(server.asked("/token").len(), 1);
    let calls = server.asked("/v1/projects/of-file/locations/global/publishers/google/");
    assert_eq!(calls.len(), 20);
    for call in calls {
        assert_eq!(call.header("authorization"), "Bearer tok-1");
    }
}

#[tokio::test]
async fn a_service_account_signs_its_claim() {
    let server = google(3_600).await;
    let token_url = format!("{}/token", server.url);
    let settings = GoogleSettings::new(Some(account(&token_url)), &BTreeMap::new());
    vertex(&server, settings)
        .send("v", &to_gemini())
        .await
        .unwrap();
    let asked = server.asked("/token").remove(0);
    let (_, claim) = asked.body.split_once("&assertion=").unwrap();
    let (signed, signature) = claim.rsplit_once('.').unwrap();
    let pair = ring::rsa::KeyPair::from_pkcs8(ACCOUNT).unwrap();
    let key = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, pair.public_key().as_ref());
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    key.verify(signed.as_bytes(), &signature).unwrap();
    let claims = URL_SAFE_NO_PAD
        .decode(signed.split('.').nth(1).unwrap())
        .unwrap();
    let claims: Value = serde_json::from_slice(&claims).unwrap();
    assert_eq!(
        (&claims["iss"], &claims["aud"]),
        (&json!("a@b.test"), &json!(token_url))
    );
    let life = claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap();
    assert_eq!(life, 3_600);
}

#[tokio::test]
async fn a_token_that_is_over_is_got_anew() {
    let server = google(0).await;
    let token_url = format!("{}/token", server.url);
    let settings = GoogleSettings::new(Some(account(&token_url)), &BTreeMap::new());
    let providers = vertex(&server, settings);
    for number in 1..=2 {
        providers.send("v", &to_gemini()).await.unwrap();
        let last = server.asked("/v1/").pop().unwrap();
        assert_eq!(last.header("authorization"), format!("Bearer tok-{number}"));
    }
}

#[tokio::test]
async fn a_person_and_a_machine_have_tokens_too() {
    let server = google(3_600).await;
    let person = json!({"type": "authorized_user", "client_id": "c", "client_secret": "s/1",
                        "refresh_token": "r", "quota_project_id": "q",
                        "token_uri": format!("{}/token", server.url)});
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("application_default_credentials.json");
    std::fs::write(&path, person.to_string()).unwrap();
    let gcloud = variables(&[("CLOUDSDK_CONFIG", dir.path().to_str().unwrap())]);
    let settings = GoogleSettings::new(None, &gcloud);
    vertex(&server, settings)
        .send("v", &to_gemini())
        .await
        .unwrap();
    assert_eq!(
        server.asked("/token").remove(0).body,
        "grant_type=refresh_token&client_id=c&client_secret=s%2F1&refresh_token=r"
    );
    let call = server.asked("/v1/projects/q/").remove(0);
    assert_eq!(call.header("x-goog-user-project"), "q");

    let host = server.url.trim_start_matches("http://");
    let settings = GoogleSettings::new(None, &variables(&[("GCE_METADATA_HOST", host)]));
    vertex(&server, settings)
        .send("v", &to_gemini())
        .await
        .unwrap();
    let asked = server.asked("/computeMetadata/").remove(0);
    assert_eq!(asked.header("metadata-flavor"), "Google");
    let call = server.asked("/v1/").pop().unwrap();
    assert_eq!(call.header("authorization"), "Bearer tok-2");
    assert_eq!(call.header("x-goog-user-project"), "");
}

#[tokio::test]
async fn a_refused_account_is_an_error_that_says_what_to_do_and_is_not_asked_again() {
    let server = Server::start(|_| {
        let body = json!({"error": "invalid_grant", "error_description": "Invalid JWT Signature."});
        http(
            "400 Bad Request",
            "content-type: application/json\r\n",
            &body.to_string(),
        )
    })
    .await;
    let settings = GoogleSettings::new(
        Some(account(&format!("{}/token", server.url))),
        &BTreeMap::new(),
    );
    let providers = vertex(&server, settings);
    for _ in 0..3 {
        let error = providers.send("v", &to_gemini()).await.unwrap_err();
        assert_eq!(error.error_kind(), ErrorKind::Credentials);
        assert!(!error.was_sent() && !error.is_retryable() && error.may_fall_back());
        insta::allow_duplicates! {
            insta::assert_snapshot!(
                format!("{error}\nhint: {}", error.hint().unwrap()),
                @r"
            provider `v` gets no credentials from Google's token service, with the credentials of the config: it answers 400 Bad Request: invalid_grant Invalid JWT Signature.
            hint: make new credentials if these were revoked, and check this machine's clock
            "
            );
        }
    }
    assert_eq!(server.asked("/").len(), 1);
}

#[tokio::test]
async fn files_that_cannot_be_used_say_why_and_show_nothing() {
    let server = google(3_600).await;
    let odd = |text: &str| GoogleSettings::new(Some(Secret::new(text)), &BTreeMap::new());
    let far = account("http://token.example.com/");
    let missing = variables(&[("GOOGLE_APPLICATION_CREDENTIALS", "/none/file.json")]);
    for (settings, part) in [
        (odd("canary"), "no JSON object"),
        (
            odd(r#"{"type":"external_account","x":"canary"}"#),
            "type `external_account` is not used",
        ),
        (
            odd(r#"{"type":"service_account","private_key":"canary"}"#),
            "no complete `service_account`",
        ),
        (
            odd(r#"{"type":"service_account","client_email":"e","private_key":"canary"}"#),
            "`private_key` is no PEM",
        ),
        (
            GoogleSettings::new(Some(far), &BTreeMap::new()),
            "without TLS",
        ),
        (GoogleSettings::new(None, &missing), "`/none/file.json`"),
    ] {
        let error = vertex(&server, settings)
            .send("v", &to_gemini())
            .await
            .unwrap_err();
        let shown = format!("{error} {error:?} {}", error.hint().unwrap());
        assert!(shown.contains(part) && !shown.contains("canary"), "{shown}");
    }
    assert!(server.asked("/").is_empty());
}
