//! One JSON document to a service that is no provider: a webhook. No key goes with it.

use crate::providers::client::{Clients, Settings};
use crate::providers::upload::RequestBody;
use crate::providers::urls::is_loopback;
use crate::providers::{Clock, Error, ErrorKind};
use bytes::{Bytes, BytesMut};
use http::header::{ACCEPT, CONTENT_TYPE, USER_AGENT};
use http::{Request, Uri};
use http_body_util::BodyExt;
use std::time::Duration;
use tokio::time::timeout;
use url::Url;

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(10);

/// Posts JSON to `url` and returns the answer's body.
///
/// The service is asked over `https`, or over `http` on this machine. A redirect is an error, and so is an
/// answer of more than `max_bytes` or after `limit`.
///
/// # Errors
///
/// As for a provider; the service is named by its host, never by its URL.
pub async fn post_json(
    url: &Url,
    body: Bytes,
    limit: Duration,
    max_bytes: u64,
) -> Result<Bytes, Error> {
    let name = url.host_str().unwrap_or_default().to_owned();
    let is_local = is_loopback(url);
    if url.scheme() != "https" && !(url.scheme() == "http" && is_local) {
        let message = "is asked over `https` only, or over `http` on this machine";
        return Err(Error::unsent(ErrorKind::Config, &name, message));
    }
    if !url.username().is_empty() || url.password().is_some() {
        let message = "has a URL with a password in it, which is not sent";
        return Err(Error::unsent(ErrorKind::Config, &name, message));
    }
    let unsendable = |error: &dyn std::fmt::Display| {
        let message = format!("has a URL that cannot be sent: {error}");
        Error::unsent(ErrorKind::Config, &name, message)
    };
    let uri = Uri::try_from(url.as_str()).map_err(|error| unsendable(&error))?;
    let connect = CONNECT.min(limit);
    let client = Clients::default().get(Settings::new(&uri, connect, is_local), &name)?;
    let request = Request::post(uri)
        .header(CONTENT_TYPE, "application/json")
        .header(ACCEPT, "application/json")
        .header(
            USER_AGENT,
            concat!("promptgate/", env!("CARGO_PKG_VERSION")),
        )
        .body(body)
        .map_err(|error| unsendable(&error))?;
    let answering = async {
        let failed = |failure| Error::from_transport(&name, connect, failure);
        let response = client
            .send(request.map(RequestBody::whole))
            .await
            .map_err(failed)?;
        let status = response.status();
        if !status.is_success() {
            let what = if status.is_redirection() {
                "a redirect, which is not followed"
            } else {
                "no success"
            };
            let message = format!("answered {status}: {what}");
            return Err(Error::sent(ErrorKind::InvalidResponse, &name, message));
        }
        let mut answer = response.into_body();
        let mut received = BytesMut::new();
        while let Some(frame) = answer.frame().await {
            let Ok(data) = frame.map_err(failed)?.into_data() else {
                continue;
            };
            received.extend_from_slice(&data);
            if max_bytes < u64::try_from(received.len()).unwrap_or(u64::MAX) {
                return Err(Error::too_large(&name, max_bytes));
            }
        }
        Ok(received.freeze())
    };
    let late = |_elapsed| Error::timeout(Clock::Total, &name, limit);
    timeout(limit, answering).await.map_err(late)?
}

#[cfg(test)]
mod tests {
    use super::post_json;
    use bytes::Bytes;
    use std::time::Duration;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio_util::task::TaskTracker;
    use url::Url;

    /// Asks a server that gives one answer; returns what came, and the request.
    async fn ask(answer: &str, max_bytes: u64) -> (Result<Bytes, String>, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook?x=1", listener.local_addr().unwrap());
        let answer = answer.to_owned();
        let server = TaskTracker::new().spawn(async move {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"}") {
                let mut buffer = [0; 1024];
                let count = socket.read(&mut buffer).await.unwrap();
                request.extend_from_slice(&buffer[..count]);
            }
            socket.write_all(answer.as_bytes()).await.unwrap();
            String::from_utf8(request).unwrap()
        });
        let url = Url::parse(&url).unwrap();
        let body = Bytes::from_static(b"{\"output\":1}");
        let answer = post_json(&url, body, Duration::from_secs(10), max_bytes).await;
        let answer = answer.map_err(|error| format!("{error} ({})", error.kind()));
        (answer, server.await.unwrap())
    }

    #[tokio::test]
    async fn json_goes_out_and_comes_back() {
        let answer = "HTTP/1.1 200 OK\r\ncontent-length: 13\r\n\r\n{\"pass\":true}";
        let (answer, request) = ask(answer, 1024).await;
        assert_eq!(answer.unwrap(), "{\"pass\":true}");
        assert!(
            request.starts_with("POST /hook?x=1 HTTP/1.1\r\n"),
            "{request}"
        );
        assert!(
            request.contains("content-type: application/json"),
            "{request}"
        );
        assert!(request.ends_with("\r\n\r\n{\"output\":1}"), "{request}");
        assert!(
            !request.to_lowercase().contains("authorization"),
            "{request}"
        );
    }

    #[tokio::test]
    async fn redirects_and_floods_are_refused() {
        for (answer, expected) in [
            (
                "HTTP/1.1 302 Found\r\nlocation: http://x.test/\r\ncontent-length: 0\r\n\r\n",
                "redirect",
            ),
            (
                "HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n",
                "answered 500",
            ),
            (
                "HTTP/1.1 200 OK\r\ncontent-length: 13\r\n\r\n{\"pass\":true}",
                "more than 12 bytes",
            ),
        ] {
            let (answer, _) = ask(answer, 12).await;
            let error = answer.unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[tokio::test]
    async fn only_https_leaves_this_machine() {
        for url in [
            "http://hooks.example.com/",
            "ftp://127.0.0.1/",
            "https://a:b@hooks.example.com/",
        ] {
            let url = Url::parse(url).unwrap();
            let answer = post_json(&url, Bytes::new(), Duration::from_secs(1), 1).await;
            assert_eq!(answer.unwrap_err().kind(), "provider_config");
        }
    }
}
