//! Raw requests: any path below a provider's base URL, with its credentials, and its answer as it is.

use crate::domain::{CallId, TraceContext};
use crate::providers::{ByteStream, Deadlines, ReplyTimes, Upload};
use bytes::Bytes;
use http::{HeaderMap, Method};

/// A request that is handed on as it came.
#[derive(Debug, Clone)]
pub struct Passed {
    /// The method.
    pub method: Method,
    /// The path below the provider's base URL with its query: `/files?limit=2`. A version that ends the
    /// base URL may stand at the path's start once more: `/v1/files`. A parameter `key` is not handed on.
    pub path_and_query: String,
    /// What the client said in headers. Handed on are the content type, what is accepted, ranges,
    /// idempotency keys, and what belongs to a dialect; never who the client is.
    pub headers: HeaderMap,
    /// The body, empty where there is none.
    pub body: Bytes,
    /// A body in place of that, which is sent while it comes.
    pub upload: Option<Upload>,
    /// The call.
    pub call_id: CallId,
    /// The trace the client is in; `None` sends no `traceparent`.
    pub trace: Option<TraceContext>,
    /// Clocks of this request, instead of the provider's.
    pub deadlines: Option<Deadlines>,
}

/// The answer to a raw request, whatever its status.
#[derive(Debug)]
pub struct PassedReply {
    /// The status; never a redirect.
    pub status: u16,
    /// What the client may see of the head: content type, ranges, caching, rate limits, waits.
    pub headers: HeaderMap,
    /// How long the body is, when the head says so.
    pub length: Option<u64>,
    /// The provider's own request id.
    pub request_id: Option<String>,
    /// Where the time went.
    pub times: ReplyTimes,
    /// The body as it comes; text, events or binary.
    pub body: ByteStream,
}

#[cfg(test)]
mod tests {
    use super::{Passed, PassedReply};
    use crate::domain::{CallId, Secret};
    use crate::providers::testing::{Server, http};
    use crate::providers::{Config, Error, ErrorKind, Preset, Providers, Upload};
    use bytes::{Bytes, BytesMut};
    use http::{HeaderMap, HeaderValue, Method};

    fn passed(method: Method, path: &str, body: &'static str) -> Passed {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("authorization", "Bearer of-the-client"),
            ("cookie", "a=b"),
            ("content-type", "multipart/form-data; boundary=x"),
            ("anthropic-beta", "files"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        Passed {
            method,
            path_and_query: path.to_owned(),
            headers,
            body: Bytes::from_static(body.as_bytes()),
            upload: None,
            call_id: CallId::fresh(),
            trace: None,
            deadlines: None,
        }
    }

    async fn pass(server: &Server, passed: &Passed) -> Result<PassedReply, Error> {
        let mut config = Config::new("a", Preset::Anthropic);
        config.base_url = Some(format!("{}/v1", server.url));
        config.api_key = Some(Secret::new("KEY"));
        let providers = Providers::build(vec![config]).unwrap();
        providers.pass("a", passed).await
    }

    async fn all(mut reply: PassedReply) -> Bytes {
        let mut bytes = BytesMut::new();
        while let Some(chunk) = reply.body.next_chunk().await {
            bytes.extend_from_slice(&chunk.unwrap());
        }
        bytes.freeze()
    }

    #[tokio::test]
    async fn a_body_goes_and_comes_as_it_is_with_our_key() {
        let server = Server::start(|_| {
            let headers = "content-type: application/octet-stream\r\nset-cookie: a=b\r\n\
                           request-id: r-1\r\nanthropic-ratelimit-tokens-remaining: 3\r\n";
            http("200 OK", headers, "\0\u{1}binary")
        })
        .await;
        let body = "--x\r\n\r\nfile\r\n--x--\r\n";
        let reply = pass(&server, &passed(Method::POST, "/v1/files?limit=2", body)).await;
        let reply = reply.unwrap();
        assert_eq!((reply.status, reply.length), (200, Some(8)));
        assert_eq!(reply.request_id.as_deref(), Some("r-1"));
        let names: Vec<&str> = reply.headers.keys().map(http::HeaderName::as_str).collect();
        assert_eq!(
            names,
            ["content-type", "anthropic-ratelimit-tokens-remaining"]
        );
        assert_eq!(all(reply).await, "\0\u{1}binary");
        let asked = server.asked("/").remove(0);
        assert_eq!(
            (asked.target.as_str(), asked.body.as_str()),
            ("/v1/files?limit=2", body)
        );
        for (name, value) in [
            ("x-api-key", "KEY"),
            ("content-type", "multipart/form-data; boundary=x"),
            ("anthropic-beta", "files"),
            ("anthropic-version", "2023-06-01"),
            ("authorization", ""),
            ("cookie", ""),
        ] {
            assert_eq!(asked.header(name), value, "{name}");
        }
    }

    #[tokio::test]
    async fn a_body_goes_out_while_it_comes() {
        let server = Server::start(|_| http("200 OK", "", "")).await;
        let rest = [Ok(Bytes::from_static(b"and rest"))];
        let rest = Box::pin(futures_util::stream::iter(rest));
        let mut passed = passed(Method::POST, "/files", "");
        let upload = Upload::new(Bytes::from_static(b"H"), Some(9), rest);
        passed.upload = Some(upload.clone());
        let reply = pass(&server, &passed).await.unwrap();
        assert_eq!(reply.status, 200);
        let asked = server.asked("/v1/files").pop().unwrap();
        assert_eq!(asked.header("content-length"), "9");
        assert_eq!(asked.body, "Hand rest");
        assert!(upload.sum().is_whole);
    }

    #[tokio::test]
    async fn every_method_and_every_status_passes_but_a_redirect() {
        for (method, status) in [
            (Method::GET, "404 Not Found"),
            (Method::DELETE, "204 No Content"),
            (Method::PUT, "500 Oops"),
        ] {
            let server = Server::start(move |_| http(status, "", "")).await;
            let reply = pass(&server, &passed(method.clone(), "/files/f", "")).await;
            let reply = reply.unwrap();
            assert!(status.starts_with(&reply.status.to_string()), "{status}");
            let asked = server.asked("/v1/files/f").remove(0);
            assert_eq!(asked.method, method.as_str());
        }
        let elsewhere = "location: http://127.0.0.1:1/\r\n";
        let server = Server::start(move |_| http("302 Found", elsewhere, "")).await;
        let error = pass(&server, &passed(Method::GET, "/files", "")).await;
        assert_eq!(error.unwrap_err().error_kind(), ErrorKind::InvalidResponse);
    }

    #[tokio::test]
    async fn what_would_leave_the_base_url_is_not_asked() {
        let server = Server::start(|_| http("200 OK", "", "")).await;
        let error = pass(&server, &passed(Method::GET, "/../admin", "")).await;
        let error = error.unwrap_err();
        assert_eq!(error.error_kind(), ErrorKind::Rejected);
        assert!(!error.was_sent() && server.asked("/").is_empty());
    }
}
