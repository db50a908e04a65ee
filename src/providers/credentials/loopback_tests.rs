//! Credentials over real sockets: who is asked for them, how often, what the provider then gets, and what
//! is said when there are none.

use super::sigv4::{Canonical, Scope, authorization};
use super::{AwsKeys, AwsSettings, GoogleSettings};
use crate::domain::Dialect;
use crate::domain::{Operation, Secret};
use crate::providers::loopback_tests::outgoing;
use crate::providers::testing::{Asked, Server, http};
use crate::providers::{Config, Error, ErrorKind, Outgoing, Preset, Providers, Reply};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::signature::{KeyPair as _, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use tokio_util::task::TaskTracker;

const ACCOUNT: &[u8] = include_bytes!("../../../tests/fixtures/providers/account.der");

fn variables(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    let pairs = pairs.iter();
    pairs
        .map(|&(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

fn json_answer(value: &Value) -> String {
    http(
        "200 OK",
        "content-type: application/json\r\n",
        &value.to_string(),
    )
}

// --- Google ---------------------------------------------------------------------------------------

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

// --- Amazon ---------------------------------------------------------------------------------------

fn keys(id: &str, session_token: Option<&str>) -> AwsKeys {
    AwsKeys {
        id: id.to_owned(),
        secret: Secret::new("secret/of+it"),
        session_token: session_token.map(Secret::new),
    }
}

/// Whether the signature of a request is that of `keys`, computed from what came over the wire.
fn is_signed(asked: &Asked, keys: &AwsKeys, service: &str) -> bool {
    let given = asked.header("authorization");
    let names = given.split("SignedHeaders=").nth(1).unwrap_or_default();
    let names = names.split(',').next().unwrap_or_default().split(';');
    let (path, query) = asked.target.split_once('?').unwrap_or((&asked.target, ""));
    let canonical = Canonical {
        method: &asked.method,
        path,
        query,
        headers: names
            .map(|name| (name.to_owned(), asked.header(name).to_owned()))
            .collect(),
        body: asked.body.as_bytes(),
    };
    let scope = Scope {
        region: "eu-west-1",
        service,
    };
    given == authorization(&canonical, keys, scope, asked.header("x-amz-date"))
}

/// A server that is everything Amazon has beside a machine, and Bedrock, which checks signatures.
async fn amazon() -> Server {
    let later = "2999-01-01T00:00:00Z";
    Server::start(move |asked| {
        let handed_out = |id: &str| {
            json_answer(
                &json!({"Code": "Success", "AccessKeyId": id, "Token": "session",
                "SecretAccessKey": "secret/of+it", "Expiration": later}),
            )
        };
        let roles = "/latest/meta-data/iam/security-credentials/";
        match (asked.method.as_str(), asked.target.as_str()) {
            ("PUT", "/latest/api/token") => http("200 OK", "", "imds"),
            ("GET", path) if path == roles => http("200 OK", "", "my-role"),
            ("GET", path) if path == format!("{roles}my-role") => handed_out("MACHINE"),
            ("GET", "/container") => handed_out("CONTAINER"),
            ("POST", "/sts") => {
                let body = format!(
                    "<AssumeRoleResponse><AssumeRoleResult><Credentials>\
                     <AccessKeyId>STS</AccessKeyId>\
                     <SecretAccessKey>secret/of+it</SecretAccessKey>\
                     <SessionToken>session</SessionToken><Expiration>{later}</Expiration>\
                     </Credentials></AssumeRoleResult></AssumeRoleResponse>"
                );
                http("200 OK", "content-type: text/xml\r\n", &body)
            }
            _ => {
                let given = asked.header("authorization");
                let id = given
                    .split("Credential=")
                    .nth(1)
                    .and_then(|rest| rest.split('/').next());
                let token = match asked.header("x-amz-security-token") {
                    "" => None,
                    token => Some(token),
                };
                if is_signed(asked, &keys(id.unwrap_or_default(), token), "bedrock") {
                    return json_answer(&json!({"output": {}}));
                }
                let name = "x-amzn-errortype: InvalidSignatureException:http://x/\r\n";
                http("403 Forbidden", name, "{\"message\":\"no\"}")
            }
        }
    })
    .await
}

fn bedrock(server: &Server, aws: AwsSettings) -> Config {
    let mut config = Config::new("b", Preset::Bedrock);
    config.base_url = Some(server.url.clone());
    config.region = Some("eu-west-1".to_owned());
    config.aws = aws;
    config
}

async fn converse(config: Config, is_stream: bool) -> Result<Reply, Error> {
    let mut outgoing = outgoing(is_stream);
    outgoing.dialect = Dialect::Converse;
    outgoing.model = "anthropic.claude-sonnet-4-5-20250929-v1:0".to_owned();
    let providers = Providers::build(vec![config]).unwrap();
    providers.send("b", &outgoing).await
}

#[tokio::test]
async fn bedrock_takes_our_signature() {
    let server = amazon().await;
    for token in [None, Some("session")] {
        let settings = AwsSettings::new(Some(keys("CONFIG", token)), None, &BTreeMap::new());
        converse(bedrock(&server, settings), false).await.unwrap();
    }
    let asked = server.asked("/model/").remove(0);
    assert_eq!(
        asked.target,
        "/model/anthropic.claude-sonnet-4-5-20250929-v1%3A0/converse"
    );
    // The check can fail.
    let wrong = AwsKeys {
        secret: Secret::new("other"),
        ..keys("CONFIG", None)
    };
    let settings = AwsSettings::new(Some(wrong), None, &BTreeMap::new());
    let error = converse(bedrock(&server, settings), false)
        .await
        .unwrap_err();
    assert_eq!(error.header_error_type(), Some("InvalidSignatureException"));
    assert_eq!(
        (error.status(), error.dialect()),
        (Some(403), Some(Dialect::Converse))
    );
}

#[tokio::test]
async fn a_bearer_token_needs_no_signature() {
    let server = Server::start(|_| json_answer(&json!({}))).await;
    let mut config = bedrock(&server, AwsSettings::default());
    config.api_key = Some(Secret::new("bearer"));
    converse(config, true).await.unwrap();
    let asked = server.asked("/model/").remove(0);
    assert!(
        asked.target.ends_with("/converse-stream"),
        "{}",
        asked.target
    );
    assert_eq!(asked.header("authorization"), "Bearer bearer");
    assert_eq!(asked.header("x-amz-date"), "");
}

/// Every place where keys can be, and how its service was asked.
#[tokio::test]
async fn keys_come_from_wherever_amazons_tools_put_them() {
    let server = amazon().await;
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let token = file("token", "web.token\n");
    let config = file(
        "config",
        "[profile taken]\nrole_arn = arn:r\nsource_profile = base\nexternal_id = x\n",
    );
    let shared = file(
        "credentials",
        "[base]\naws_access_key_id = BASE\naws_secret_access_key = secret/of+it\n",
    );
    let url = |path: &str| format!("{}{path}", server.url);
    let machine = ("AWS_EC2_METADATA_SERVICE_ENDPOINT", server.url.clone());
    let sts = ("AWS_ENDPOINT_URL_STS", url("/sts"));
    for (profile, pairs, id) in [
        (Some("base"), vec![], "BASE"),
        (Some("taken"), vec![sts.clone()], "STS"),
        (
            None,
            vec![
                sts,
                ("AWS_ROLE_ARN", "arn:web".to_owned()),
                ("AWS_WEB_IDENTITY_TOKEN_FILE", token.clone()),
            ],
            "STS",
        ),
        (
            None,
            vec![
                ("AWS_CONTAINER_CREDENTIALS_FULL_URI", url("/container")),
                ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", token.clone()),
            ],
            "CONTAINER",
        ),
        (None, vec![machine], "MACHINE"),
    ] {
        let mut environment = variables(&[
            ("AWS_CONFIG_FILE", &config),
            ("AWS_SHARED_CREDENTIALS_FILE", &shared),
        ]);
        environment.extend(
            pairs
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value)),
        );
        let settings = AwsSettings::new(None, profile.map(str::to_owned), &environment);
        converse(bedrock(&server, settings), false).await.unwrap();
        let used = server.asked("/model/").pop().unwrap();
        let start = format!("AWS4-HMAC-SHA256 Credential={id}/");
        let given = used.header("authorization");
        assert!(given.starts_with(&start), "{id}: {given}");
    }
    let sts = server.asked("/sts");
    assert!(is_signed(&sts[0], &keys("BASE", None), "sts"), "{sts:?}");
    assert!(sts[0].body.contains("RoleArn=arn%3Ar&"), "{sts:?}");
    assert!(sts[0].body.ends_with("&ExternalId=x"), "{sts:?}");
    assert!(
        sts[1].body.contains("Action=AssumeRoleWithWebIdentity&"),
        "{sts:?}"
    );
    assert!(
        sts[1].body.ends_with("&WebIdentityToken=web.token"),
        "{sts:?}"
    );
    assert_eq!(
        server.asked("/container")[0].header("authorization"),
        "web.token"
    );
    let token = server.asked("/latest/api/token");
    assert_eq!(
        token[0].header("x-aws-ec2-metadata-token-ttl-seconds"),
        "21600"
    );
    let asked = server.asked("/latest/meta-data/iam/security-credentials/my-role");
    assert_eq!(asked[0].header("x-aws-ec2-metadata-token"), "imds");
}

#[tokio::test]
async fn sources_that_refuse_say_so() {
    let server = Server::start(|asked| match asked.target.as_str() {
        "/sts" => {
            let body = "<ErrorResponse><Error><Code>AccessDenied</Code></Error></ErrorResponse>";
            http("403 Forbidden", "", body)
        }
        _ => http("404 Not Found", "", ""),
    })
    .await;
    let url = |path: &str| format!("{}{path}", server.url);
    let (sts, container) = (url("/sts"), url("/container"));
    let token = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
    let web = [
        ("AWS_ENDPOINT_URL_STS", sts.as_str()),
        ("AWS_ROLE_ARN", "arn:web"),
        ("AWS_WEB_IDENTITY_TOKEN_FILE", token.to_str().unwrap()),
    ];
    for (pairs, part) in [
        (
            &web[..],
            "AWS STS: it refuses role `arn:web` (403 Forbidden AccessDenied)",
        ),
        (
            &[
                web[0],
                web[1],
                ("AWS_WEB_IDENTITY_TOKEN_FILE", "/none/token"),
            ],
            "the token in `/none/token` cannot be read",
        ),
        (
            &[("AWS_CONTAINER_CREDENTIALS_FULL_URI", container.as_str())],
            "the container's credentials endpoint: it answers 404",
        ),
        (
            &[(
                "AWS_CONTAINER_CREDENTIALS_FULL_URI",
                "http://example.com/keys",
            )],
            "without TLS",
        ),
        (
            &[("AWS_EC2_METADATA_SERVICE_ENDPOINT", server.url.as_str())],
            "it answers 404 Not Found to `/latest/api/token`",
        ),
    ] {
        let settings = AwsSettings::new(None, None, &variables(pairs));
        let error = converse(bedrock(&server, settings), false)
            .await
            .unwrap_err();
        assert_eq!(error.error_kind(), ErrorKind::Credentials);
        assert!(error.to_string().contains(part), "{error}");
        assert!(error.hint().is_some());
    }
    assert!(server.asked("/model/").is_empty());
}

#[tokio::test]
async fn embeddings_say_how_long_the_request_was_in_the_head() {
    let server = Server::start(|_| {
        let headers = "x-amzn-bedrock-input-token-count: 7\r\nx-amzn-requestid: r-1\r\n";
        http("200 OK", headers, "{\"embeddings\":[]}")
    })
    .await;
    let mut config = bedrock(&server, AwsSettings::default());
    config.api_key = Some(Secret::new("bearer"));
    let mut outgoing = outgoing(false);
    outgoing.dialect = Dialect::Converse;
    outgoing.operation = Operation::Embeddings;
    outgoing.model = "cohere.embed-v4:0".to_owned();
    let providers = Providers::build(vec![config]).unwrap();
    let reply = providers.send("b", &outgoing).await.unwrap();
    assert_eq!(
        (reply.input_tokens, reply.request_id.as_deref()),
        (Some(7), Some("r-1"))
    );
    assert_eq!(
        server.asked("/model/")[0].target,
        "/model/cohere.embed-v4%3A0/invoke"
    );
}
