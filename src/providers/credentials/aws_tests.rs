//! Amazon's credentials over real sockets: where keys come from, what Bedrock then gets, and what is said
//! when there are none.

use super::sigv4::{Canonical, Scope, authorization};
use super::{AwsKeys, AwsSettings};
use crate::domain::Dialect;
use crate::domain::{Operation, Secret};
use crate::providers::loopback_tests::outgoing;
use crate::providers::testing::{Asked, Server, http};
use crate::providers::{Config, Error, ErrorKind, Preset, Providers, Reply};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;

pub(super) fn variables(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    let pairs = pairs.iter();
    pairs
        .map(|&(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

pub(super) fn json_answer(value: &Value) -> String {
    http(
        "200 OK",
        "content-type: application/json\r\n",
        &value.to_string(),
    )
}

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

/// A directory with the files of Amazon's tools, and a token.
struct Home {
    dir: tempfile::TempDir,
}

impl Home {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let taken = "[profile taken]\nrole_arn = arn:r\nsource_profile = base\nexternal_id = x\n";
        let base = "[base]\naws_access_key_id = BASE\naws_secret_access_key = secret/of+it\n";
        for (name, text) in [
            ("token", "web.token\n"),
            ("config", taken),
            ("credentials", base),
        ] {
            std::fs::write(dir.path().join(name), text).unwrap();
        }
        Self { dir }
    }

    fn path(&self, name: &str) -> String {
        self.dir.path().join(name).to_str().unwrap().to_owned()
    }

    /// Returns the settings of a profile, or of what is in the environment beside the files.
    fn settings(&self, profile: Option<&str>, pairs: &[(&str, String)]) -> AwsSettings {
        let mut environment = variables(&[
            ("AWS_CONFIG_FILE", &self.path("config")),
            ("AWS_SHARED_CREDENTIALS_FILE", &self.path("credentials")),
        ]);
        let pairs = pairs.iter().cloned();
        environment.extend(pairs.map(|(name, value)| (name.to_owned(), value)));
        AwsSettings::new(None, profile.map(str::to_owned), &environment)
    }
}

/// Every place where keys can be.
#[tokio::test]
async fn keys_come_from_wherever_amazons_tools_put_them() {
    let (server, home) = (amazon().await, Home::new());
    let url = |path: &str| format!("{}{path}", server.url);
    let token = home.path("token");
    let sts = ("AWS_ENDPOINT_URL_STS", url("/sts"));
    let machine = ("AWS_EC2_METADATA_SERVICE_ENDPOINT", url(""));
    let role = ("AWS_ROLE_ARN", "arn:web".to_owned());
    let web = ("AWS_WEB_IDENTITY_TOKEN_FILE", token.clone());
    let container = ("AWS_CONTAINER_CREDENTIALS_FULL_URI", url("/container"));
    let proof = ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", token);
    for (settings, id) in [
        (home.settings(Some("base"), &[]), "BASE"),
        (
            home.settings(Some("taken"), std::slice::from_ref(&sts)),
            "STS",
        ),
        (home.settings(None, &[sts, role, web]), "STS"),
        (home.settings(None, &[container, proof]), "CONTAINER"),
        (home.settings(None, &[machine]), "MACHINE"),
    ] {
        converse(bedrock(&server, settings), false).await.unwrap();
        let used = server.asked("/model/").pop().unwrap();
        let start = format!("AWS4-HMAC-SHA256 Credential={id}/");
        let given = used.header("authorization");
        assert!(given.starts_with(&start), "{id}: {given}");
    }
    check_how_they_were_asked(&server);
}

/// What Amazon's services got to see when keys came from each of them in turn.
fn check_how_they_were_asked(server: &Server) {
    let sts = server.asked("/sts");
    assert!(is_signed(&sts[0], &keys("BASE", None), "sts"), "{sts:?}");
    assert!(sts[0].body.contains("RoleArn=arn%3Ar&"), "{sts:?}");
    assert!(sts[0].body.ends_with("&ExternalId=x"), "{sts:?}");
    let action = "Action=AssumeRoleWithWebIdentity&";
    assert!(sts[1].body.contains(action), "{sts:?}");
    let token = "&WebIdentityToken=web.token";
    assert!(sts[1].body.ends_with(token), "{sts:?}");
    let container = server.asked("/container").remove(0);
    assert_eq!(container.header("authorization"), "web.token");
    let token = server.asked("/latest/api/token").remove(0);
    let life = token.header("x-aws-ec2-metadata-token-ttl-seconds");
    assert_eq!(life, "21600");
    let role = "/latest/meta-data/iam/security-credentials/my-role";
    let asked = server.asked(role).remove(0);
    assert_eq!(asked.header("x-aws-ec2-metadata-token"), "imds");
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
