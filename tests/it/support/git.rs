//! A repository on a server of its own: smart HTTP, with or without a password, and Git's daemon. It can
//! vanish and come back.

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use base64::Engine as _;
use http::StatusCode;
use std::fs;
use std::io::Write as _;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use tempfile::TempDir;
use tokio::net::TcpListener;

/// Runs git in `dir` as Ada Lovelace and returns what it prints.
pub(crate) fn git(dir: &Path, arguments: &[&str]) -> String {
    git_by("Ada Lovelace", dir, arguments)
}

/// Runs git in `dir` as `author` and returns what it prints.
pub(crate) fn git_by(author: &str, dir: &Path, arguments: &[&str]) -> String {
    let settings = [
        &format!("user.name={author}"),
        "user.email=ada@example.com",
        "commit.gpgsign=false",
        "init.defaultBranch=main",
        "protocol.file.allow=always",
    ];
    let output = Command::new("git")
        .current_dir(dir)
        .args(settings.iter().flat_map(|setting| ["-c", setting]))
        .args(arguments)
        .output()
        .unwrap();
    assert!(output.status.success(), "git {arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// The repository and its servers, which end with the test.
pub(crate) struct GitServer {
    dir: TempDir,
    http: SocketAddr,
    daemon: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    root: PathBuf,
    token: Option<String>,
    is_gone: AtomicBool,
    requests: AtomicUsize,
}

impl GitServer {
    /// A repository with the branch `main` that anybody may read.
    pub(crate) async fn open() -> Self {
        Self::start(None).await
    }

    /// A repository that is read over HTTP with `token` as password.
    pub(crate) async fn private(token: &str) -> Self {
        Self::start(Some(token.to_owned())).await
    }

    async fn start(token: Option<String>) -> Self {
        let dir = TempDir::new().unwrap();
        let work = dir.path().join("origin");
        fs::create_dir(&work).unwrap();
        git(&work, &["init", "-q", "-b", "main"]);
        let shared = Arc::new(Shared {
            root: dir.path().to_owned(),
            token,
            is_gone: AtomicBool::new(false),
            requests: AtomicUsize::new(0),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let http = listener.local_addr().unwrap();
        let router = Router::new()
            .fallback(serve)
            .with_state(Arc::clone(&shared));
        tokio::spawn(async move { axum::serve(listener, router).await });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let daemon = listener.local_addr().unwrap();
        let served = Arc::clone(&shared);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let stream = stream.into_std().unwrap();
                stream.set_nonblocking(false).unwrap();
                if !served.is_gone.load(Ordering::SeqCst) {
                    speak(&served.root, stream);
                }
            }
        });
        Self {
            dir,
            http,
            daemon,
            shared,
        }
    }

    /// The work tree.
    pub(crate) fn work(&self) -> PathBuf {
        self.dir.path().join("origin")
    }

    pub(crate) fn http_url(&self) -> String {
        format!("http://{}/origin", self.http)
    }

    pub(crate) fn daemon_url(&self) -> String {
        format!("git://{}/origin", self.daemon)
    }

    /// Runs git in the work tree.
    pub(crate) fn git(&self, arguments: &[&str]) -> String {
        git(&self.work(), arguments)
    }

    /// Writes a file below `prompts/`.
    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.work().join("prompts").join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Commits everything; returns the commit.
    pub(crate) fn commit(&self, message: &str) -> String {
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "--allow-empty", "-m", message]);
        self.git(&["rev-parse", "HEAD"])
    }

    /// Commits the prompt `greet`, which says `text`.
    pub(crate) fn greet(&self, text: &str) -> String {
        self.write("greet.prompt", &greet(text));
        self.commit(&format!("Say {text}"))
    }

    /// Commits the prompt `greet` beside `main`, with the ref `place` as a forge would set it.
    pub(crate) fn propose(&self, text: &str, place: &str) -> String {
        self.git(&["checkout", "-q", "-B", "proposal", "main"]);
        let head = self.greet(text);
        self.git(&["update-ref", place, &head]);
        self.git(&["checkout", "-q", "main"]);
        self.git(&["branch", "-q", "-D", "proposal"]);
        head
    }

    /// Answers nobody any more.
    pub(crate) fn vanish(&self) {
        self.shared.is_gone.store(true, Ordering::SeqCst);
    }

    /// Answers again.
    pub(crate) fn come_back(&self) {
        self.shared.is_gone.store(false, Ordering::SeqCst);
    }

    /// How many HTTP requests came.
    pub(crate) fn requests(&self) -> usize {
        self.shared.requests.load(Ordering::SeqCst)
    }
}

/// The prompt `greet`, which says `text`.
pub(crate) fn greet(text: &str) -> String {
    format!("---\nmodel: openai/gpt-4o-mini\n---\n{text} {{{{name}}}}\n")
}

/// Hands a connection to Git's daemon.
fn speak(root: &Path, stream: std::net::TcpStream) {
    let output = stream.try_clone().unwrap();
    let mut child = Command::new("git")
        .args(["daemon", "--inetd", "--export-all"])
        .arg(format!("--base-path={}", root.display()))
        .stdin(Stdio::from(OwnedFd::from(stream)))
        .stdout(Stdio::from(OwnedFd::from(output)))
        .spawn()
        .unwrap();
    std::thread::spawn(move || child.wait());
}

async fn serve(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    shared.requests.fetch_add(1, Ordering::SeqCst);
    if shared.is_gone.load(Ordering::SeqCst) {
        return status(StatusCode::BAD_GATEWAY);
    }
    let (parts, body) = request.into_parts();
    let header = |name: &str| {
        let value = parts
            .headers
            .get(name)
            .and_then(|value| value.to_str().ok());
        value.unwrap_or_default().to_owned()
    };
    if let Some(token) = &shared.token {
        let pair = format!("x-access-token:{token}");
        let pair = base64::engine::general_purpose::STANDARD.encode(pair);
        if header("authorization") != format!("Basic {pair}") {
            let mut refusal = status(StatusCode::UNAUTHORIZED);
            let challenge = "Basic realm=\"git\"".parse().unwrap();
            refusal.headers_mut().insert("www-authenticate", challenge);
            return refusal;
        }
    }
    let body = to_bytes(body, usize::MAX).await.unwrap();
    let mut command = Command::new("git");
    command
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", &shared.root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("REQUEST_METHOD", parts.method.as_str())
        .env("PATH_INFO", parts.uri.path())
        .env("QUERY_STRING", parts.uri.query().unwrap_or_default())
        .env("CONTENT_TYPE", header("content-type"))
        .env("CONTENT_LENGTH", body.len().to_string())
        .env("HTTP_CONTENT_ENCODING", header("content-encoding"))
        .env("GIT_PROTOCOL", header("git-protocol"));
    tokio::task::spawn_blocking(move || answer(command, &body))
        .await
        .unwrap()
}

/// Runs the program as a web server would.
fn answer(mut command: Command, body: &Bytes) -> Response {
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let body = body.clone();
    // A reader that has enough closes.
    let writer = std::thread::spawn(move || drop(input.write_all(&body)));
    let output = child.wait_with_output().unwrap().stdout;
    writer.join().unwrap();
    let end = memchr::memmem::find(&output, b"\r\n\r\n").unwrap();
    let mut response = Response::builder();
    for line in std::str::from_utf8(&output[..end]).unwrap().lines() {
        let (name, value) = line.split_once(": ").unwrap();
        response = match name {
            "Status" => response.status(&value[..3]),
            _ => response.header(name, value),
        };
    }
    response
        .body(Body::from(output[end + 4..].to_vec()))
        .unwrap()
}

fn status(status: StatusCode) -> Response {
    Response::builder()
        .status(status)
        .body(Body::empty())
        .unwrap()
}
