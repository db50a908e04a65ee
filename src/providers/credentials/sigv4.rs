//! Amazon's signature, version 4: the request and who sends it, hashed with a key that is made for the
//! day, the region and the service.

use super::{AwsKeys, Fault};
use crate::domain::Timestamp;
use crate::providers::headers::secret_value;
use crate::providers::urls::encoded;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{HeaderName, HeaderValue, Request};
use ring::{digest, hmac};
use std::fmt::Write as _;

const DATE: HeaderName = HeaderName::from_static("x-amz-date");
const SECURITY_TOKEN: HeaderName = HeaderName::from_static("x-amz-security-token");

/// Headers that are signed where a request has them. Proxies may change the others.
const SIGNED: [HeaderName; 4] = [CONTENT_TYPE, HOST, DATE, SECURITY_TOKEN];

/// Where a signature holds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scope<'a> {
    pub(super) region: &'a str,
    pub(super) service: &'a str,
}

/// What is signed of a request.
#[derive(Debug)]
pub(super) struct Canonical<'a> {
    pub(super) method: &'a str,
    /// As it is sent: its segments are encoded once.
    pub(super) path: &'a str,
    pub(super) query: &'a str,
    /// In lower case, sorted, each name once.
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: &'a [u8],
}

/// Signs `request`, which is complete, as of `now`.
///
/// # Errors
///
/// When the keys are such that no header can hold them.
pub(super) fn sign(
    request: &mut Request<Bytes>,
    keys: &AwsKeys,
    scope: Scope<'_>,
    now: Timestamp,
) -> Result<(), Fault> {
    let unfit = || {
        Fault::new(
            "has AWS credentials that no header can hold",
            "check them for line breaks and other characters that do not belong there",
        )
    };
    let stamp = stamp(now);
    let date = HeaderValue::try_from(&stamp).map_err(|_| unfit())?;
    let host = request
        .uri()
        .authority()
        .map(|host| host.as_str().to_owned());
    let host = HeaderValue::try_from(host.unwrap_or_default()).map_err(|_| unfit())?;
    let headers = request.headers_mut();
    headers.insert(DATE, date);
    headers.insert(HOST, host);
    if let Some(token) = &keys.session_token {
        let token = secret_value(token.reveal()).ok_or_else(unfit)?;
        headers.insert(SECURITY_TOKEN, token);
    }
    let signed = SIGNED.into_iter().filter_map(|name| {
        let value = request.headers().get(&name)?.to_str().ok()?;
        Some((name.as_str().to_owned(), collapsed(value)))
    });
    let canonical = Canonical {
        method: request.method().as_str(),
        path: request.uri().path(),
        query: request.uri().query().unwrap_or_default(),
        headers: signed.collect(),
        body: request.body(),
    };
    let value = authorization(&canonical, keys, scope, &stamp);
    let value = secret_value(&value).ok_or_else(unfit)?;
    // The client sends the same, in the form of its version of HTTP.
    request.headers_mut().remove(HOST);
    request.headers_mut().insert(AUTHORIZATION, value);
    Ok(())
}

/// Returns the `authorization` header of a request that is sent at `stamp`.
pub(super) fn authorization(
    canonical: &Canonical<'_>,
    keys: &AwsKeys,
    scope: Scope<'_>,
    stamp: &str,
) -> String {
    let day = stamp.split('T').next().unwrap_or_default();
    let Scope { region, service } = scope;
    let place = format!("{day}/{region}/{service}/aws4_request");
    let request = hex(digest::digest(&digest::SHA256, canonical.text().as_bytes()).as_ref());
    let to_sign = format!("AWS4-HMAC-SHA256\n{stamp}\n{place}\n{request}");
    let first = format!("AWS4{}", keys.secret.reveal());
    let mut key = hmac::Key::new(hmac::HMAC_SHA256, first.as_bytes());
    for part in [day, region, service, "aws4_request"] {
        let tag = hmac::sign(&key, part.as_bytes());
        key = hmac::Key::new(hmac::HMAC_SHA256, tag.as_ref());
    }
    let signature = hex(hmac::sign(&key, to_sign.as_bytes()).as_ref());
    format!(
        "AWS4-HMAC-SHA256 Credential={}/{place}, SignedHeaders={}, Signature={signature}",
        keys.id,
        canonical.names(),
    )
}

impl Canonical<'_> {
    fn text(&self) -> String {
        let mut headers = String::new();
        for (name, value) in &self.headers {
            // Writing to a `String` cannot fail.
            let _ = writeln!(headers, "{name}:{value}");
        }
        // The segments of the path are encoded a second time.
        let path: Vec<String> = self
            .path
            .split('/')
            .map(|segment| encoded(segment.as_bytes()))
            .collect();
        [
            self.method,
            &path.join("/"),
            &canonical_query(self.query),
            &headers,
            &self.names(),
            &hex(digest::digest(&digest::SHA256, self.body).as_ref()),
        ]
        .join("\n")
    }

    fn names(&self) -> String {
        let names: Vec<&str> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        names.join(";")
    }
}

/// Returns the parameters, each encoded in the one way that counts, sorted.
fn canonical_query(query: &str) -> String {
    let mut pairs: Vec<(String, String)> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (encoded(&decoded(name)), encoded(&decoded(value)))
        })
        .collect();
    pairs.sort();
    let pairs: Vec<String> = pairs
        .into_iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    pairs.join("&")
}

/// Returns the bytes that `text` stands for; `%` without two hex digits stands for itself.
fn decoded(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        if *first == b'%'
            && let Some((digits, after)) = after.split_at_checked(2)
            && let Ok(digits) = std::str::from_utf8(digits)
            && let Ok(byte) = u8::from_str_radix(digits, 16)
        {
            bytes.push(byte);
            rest = after;
        } else {
            bytes.push(*first);
        }
    }
    bytes
}

/// Returns a header's value with one space where there are several, and none around it.
fn collapsed(value: &str) -> String {
    value.split_ascii_whitespace().collect::<Vec<_>>().join(" ")
}

/// Returns `20150830T123600Z`.
fn stamp(now: Timestamp) -> String {
    let time = jiff::Timestamp::from_microsecond(now.0).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    time.strftime("%Y%m%dT%H%M%SZ").to_string()
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing to a `String` cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{AwsKeys, Canonical, Scope, authorization, sign};
    use crate::domain::{Secret, Timestamp};
    use bytes::Bytes;
    use http::Request;

    /// 2015-08-30T12:36:00Z, as in Amazon's test suite.
    const NOW: Timestamp = Timestamp(1_440_938_160_000_000);

    fn keys() -> AwsKeys {
        let secret = ["wJalrXUtnFEMI", "K7MDENG+bPxRfiCYEXAMPLEKEY"].join("/");
        AwsKeys {
            id: ["AKID", "EXAMPLE"].concat(),
            secret: Secret::new(secret),
            session_token: None,
        }
    }

    /// Figures of Amazon's published test suite: method, target, body (a form where there is one), signature.
    const SUITE: [(&str, &str, &str, &str); 10] = [
        (
            "GET",
            "/",
            "",
            "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
        ),
        (
            "GET",
            "/?Param2=value2&Param1=value1",
            "",
            "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
        ),
        (
            "GET",
            "/?\u{1234}=bar",
            "",
            "2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c9027818dd04",
        ),
        (
            "GET",
            "/?%E1%88%B4=bar",
            "",
            "2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c9027818dd04",
        ),
        (
            "GET",
            "/?Param1=value1",
            "",
            "a67d582fa61cc504c4bae71f336f98b97f1ea3c7a6bfe1b6e45aec72011b9aeb",
        ),
        (
            "GET",
            "/\u{1234}",
            "",
            "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85",
        ),
        (
            "GET",
            "/example space/",
            "",
            "652487583200325589f1fba4c7e578f72c47cb61beeca81406b39ddec1366741",
        ),
        (
            "GET",
            "/-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
            "",
            "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f",
        ),
        (
            "POST",
            "/",
            "",
            "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
        ),
        (
            "POST",
            "/",
            "Param1=value1",
            "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
        ),
    ];

    #[test]
    fn signatures_are_those_of_the_published_suite() {
        for (method, target, body, expected) in SUITE {
            let (path, query) = target.split_once('?').unwrap_or((target, ""));
            let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
            let mut headers = vec![
                header("host", "example.amazonaws.com"),
                header("x-amz-date", "20150830T123600Z"),
            ];
            let mut names = "host;x-amz-date".to_owned();
            if !body.is_empty() {
                let form = header("content-type", "application/x-www-form-urlencoded");
                headers.insert(0, form);
                names.insert_str(0, "content-type;");
            }
            let canonical = Canonical {
                method,
                path,
                query,
                headers,
                body: body.as_bytes(),
            };
            let scope = Scope {
                region: "us-east-1",
                service: "service",
            };
            let id = keys().id;
            assert_eq!(
                authorization(&canonical, &keys(), scope, "20150830T123600Z"),
                format!(
                    "AWS4-HMAC-SHA256 Credential={id}/20150830/us-east-1/service/aws4_request, \
                     SignedHeaders={names}, Signature={expected}"
                ),
                "{method} {target}"
            );
        }
    }

    #[test]
    fn a_models_colon_is_encoded_once_on_the_wire_and_twice_in_the_signature() {
        let canonical = Canonical {
            method: "POST",
            path: "/model/anthropic.claude-v2%3A1/converse",
            query: "",
            headers: vec![("host".to_owned(), "h".to_owned())],
            body: b"",
        };
        let text = canonical.text();
        let second = text.lines().nth(1);
        assert_eq!(second, Some("/model/anthropic.claude-v2%253A1/converse"));
    }

    #[test]
    fn a_request_gets_its_headers() {
        let mut keys = keys();
        keys.session_token = Some(Secret::new("token"));
        let mut request = Request::post("https://h.test:8443/model/m/converse")
            .header("content-type", "application/json")
            .header("x-request-id", "not signed")
            .body(Bytes::from_static(b"{}"))
            .unwrap();
        let scope = Scope {
            region: "eu-west-1",
            service: "bedrock",
        };
        sign(&mut request, &keys, scope, NOW).unwrap();
        let headers = request.headers();
        assert_eq!(headers["x-amz-date"], "20150830T123600Z");
        assert_eq!(headers["x-amz-security-token"], "token");
        assert!(headers.get("host").is_none());
        let authorization = headers["authorization"].to_str().unwrap();
        let names = "SignedHeaders=content-type;host;x-amz-date;x-amz-security-token,";
        assert!(authorization.contains(names), "{authorization}");
        assert!(authorization.contains("/20150830/eu-west-1/bedrock/aws4_request"));
        assert!(!format!("{request:?}").contains("Signature="));
        let unfit = AwsKeys {
            session_token: Some(Secret::new("canary\n")),
            ..keys
        };
        let fault = sign(&mut request, &unfit, scope, NOW).unwrap_err();
        assert!(!format!("{fault:?}").contains("canary"));
    }
}
