//! The ways to a remote: HTTP, the `ssh` program, a Git daemon. All end at the deadline, and all read
//! through the budget of the fetch.

use crate::domain::Secret;
use crate::git::bounds::{Bounded, Budget};
use crate::git::location::{RemoteUrl, Scheme};
use crate::git::mirror::Remote;
use base64::Engine as _;
use gix::protocol::transport::Protocol;
use gix::protocol::transport::client::blocking_io::Transport;
use gix::protocol::transport::client::blocking_io::http::reqwest::{
    Options as Backend, Remote as Http,
};
use gix::protocol::transport::client::blocking_io::http::{
    GetResponse, Http as HttpClient, Options as HttpOptions, PostBodyDataKind, PostResponse,
    Transport as HttpTransport, options::FollowRedirects,
};
use gix::protocol::transport::client::git::ConnectMode;
use gix::protocol::transport::client::git::blocking_io::Connection;
use std::any::Any;
use std::io::{self, Read as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// How long the other side may be silent.
const SILENCE: Duration = Duration::from_secs(30);
/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(10);
/// The port of Git daemons.
const DAEMON_PORT: u16 = 9418;
/// How much of what `ssh` says is kept.
const MAX_WORDS: u64 = 4096;

/// Who fetches. Tokens are for HTTP, keys for ssh.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Login {
    /// The user's name that goes with the token; most forges take any.
    pub username: Option<String>,
    /// The token or password.
    pub token: Option<Token>,
    /// The private key file that ssh uses; its own choice when absent.
    pub ssh_key: Option<PathBuf>,
    /// The file of known hosts that ssh uses; its own choice when absent.
    pub known_hosts: Option<PathBuf>,
}

/// A token, or where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Token {
    /// Itself.
    Fixed(Secret),
    /// In a file that is read at every fetch: some tokens live for an hour.
    File(PathBuf),
}

impl Token {
    /// Returns the token as it is now.
    ///
    /// # Errors
    ///
    /// When its file cannot be read.
    pub fn read(&self) -> io::Result<Secret> {
        match self {
            Self::Fixed(secret) => Ok(secret.clone()),
            Self::File(path) => {
                let text = std::fs::read_to_string(path);
                let text = text.map_err(|error| {
                    let message = format!("the token's file cannot be read: {error}");
                    io::Error::new(error.kind(), message)
                })?;
                Ok(Secret::new(text.trim()))
            }
        }
    }
}

/// A way that is open, with what must be done when it is left.
pub(super) struct Way {
    pub(super) transport: Box<dyn Transport + Send>,
    /// Options for the transport, as the library wants them.
    pub(super) options: Box<dyn Any>,
    /// What speaks for us; ended with the way.
    pub(super) ssh: Option<Ssh>,
}

/// Opens the way to `remote`. Blocks.
pub(super) fn open(remote: &Remote, budget: &Arc<Budget>) -> io::Result<Way> {
    let url = &remote.url;
    match url.scheme {
        Scheme::Https | Scheme::Http => http(url, &remote.login, budget),
        Scheme::Daemon => daemon(url, budget),
        Scheme::Ssh => ssh(url, &remote.login, budget),
    }
}

fn http(url: &RemoteUrl, login: &Login, budget: &Arc<Budget>) -> io::Result<Way> {
    let token = login.token.as_ref().map(Token::read).transpose()?;
    let authorization = token.map(|token| {
        let name = login.username.as_deref().unwrap_or("x-access-token");
        let pair = format!("{name}:{}", token.reveal());
        let pair = base64::engine::general_purpose::STANDARD.encode(pair);
        Secret::new(format!("Authorization: Basic {pair}"))
    });
    let client = BoundedHttp {
        inner: Http::default(),
        authorization,
        budget: Arc::clone(budget),
    };
    let parsed = gix::url::parse(url.as_str()).map_err(io::Error::other)?;
    let (needs_tls, is_loopback) = (url.scheme == Scheme::Https, url.is_loopback());
    let wait = SILENCE.min(budget.time_left());
    let backend = Backend {
        configure_client: Some(Box::new(move |builder| {
            let mut builder = builder.timeout(wait).connect_timeout(CONNECT.min(wait));
            if !needs_tls {
                // The system's certificates take tens of milliseconds to load.
                builder = builder.tls_certs_only([]);
            }
            if is_loopback {
                builder = builder.no_proxy();
            }
            Ok(builder)
        })),
        configure_request: None,
    };
    let options = HttpOptions {
        // One could lead the token to another host.
        follow_redirects: FollowRedirects::None,
        backend: Some(Arc::new(Mutex::new(backend))),
        ..HttpOptions::default()
    };
    Ok(Way {
        transport: Box::new(HttpTransport::new_http(client, parsed, Protocol::V2, false)),
        options: Box::new(options),
        ssh: None,
    })
}

/// The library's HTTP client, with our credentials and our limits.
struct BoundedHttp {
    inner: Http,
    authorization: Option<Secret>,
    budget: Arc<Budget>,
}

type Headers = <Http as HttpClient>::Headers;
type Body = <Http as HttpClient>::ResponseBody;

impl BoundedHttp {
    fn headers(&self, headers: impl IntoIterator<Item = impl AsRef<str>>) -> Vec<String> {
        let given = headers.into_iter().map(|header| header.as_ref().to_owned());
        let ours = self
            .authorization
            .iter()
            .map(|secret| secret.reveal().to_owned());
        given.chain(ours).collect()
    }
}

impl HttpClient for BoundedHttp {
    type Headers = Bounded<Headers>;
    type ResponseBody = Bounded<Body>;
    type PostBody = <Http as HttpClient>::PostBody;

    fn get(
        &mut self,
        url: &str,
        base_url: &str,
        headers: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> gix::Result<GetResponse<Self::Headers, Self::ResponseBody>> {
        let answer = self.inner.get(url, base_url, self.headers(headers))?;
        Ok(GetResponse {
            headers: Bounded::new(answer.headers, &self.budget),
            body: Bounded::new(answer.body, &self.budget),
        })
    }

    fn post(
        &mut self,
        url: &str,
        base_url: &str,
        headers: impl IntoIterator<Item = impl AsRef<str>>,
        body: PostBodyDataKind,
    ) -> gix::Result<PostResponse<Self::Headers, Self::ResponseBody, Self::PostBody>> {
        let answer = self
            .inner
            .post(url, base_url, self.headers(headers), body)?;
        Ok(PostResponse {
            post_body: answer.post_body,
            headers: Bounded::new(answer.headers, &self.budget),
            body: Bounded::new(answer.body, &self.budget),
        })
    }

    fn configure(&mut self, config: &dyn Any) -> gix::Result {
        self.inner.configure(config)
    }
}

fn daemon(url: &RemoteUrl, budget: &Arc<Budget>) -> io::Result<Way> {
    let port = url.port.unwrap_or(DAEMON_PORT);
    let mut found = (url.host.as_str(), port).to_socket_addrs()?;
    let address = found
        .next()
        .ok_or_else(|| io::Error::other("the host has no address"))?;
    let stream = TcpStream::connect_timeout(&address, CONNECT.min(budget.time_left()))?;
    let wait = Some(SILENCE.min(budget.time_left()));
    stream.set_read_timeout(wait)?;
    stream.set_write_timeout(wait)?;
    let connection = Connection::new(
        Bounded::new(stream.try_clone()?, budget),
        stream,
        Protocol::V2,
        url.path.as_str(),
        Some((url.host.as_str(), url.port)),
        ConnectMode::Daemon,
        false,
    );
    Ok(plain(Box::new(connection), None))
}

fn plain(transport: Box<dyn Transport + Send>, ssh: Option<Ssh>) -> Way {
    Way {
        transport,
        options: Box::new(()),
        ssh,
    }
}

fn ssh(url: &RemoteUrl, login: &Login, budget: &Arc<Budget>) -> io::Result<Way> {
    let mut command = Command::new("ssh");
    command
        .args(ssh_arguments(url, login))
        // Asks for the second version of the protocol, where the server allows it.
        .env("GIT_PROTOCOL", "version=2")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn()?;
    let missing = || io::Error::other("ssh has no pipes");
    let input = child.stdin.take().ok_or_else(missing)?;
    let output = child.stdout.take().ok_or_else(missing)?;
    let ssh = Ssh::watch(child, budget.time_left())?;
    let connection = Connection::new(
        Bounded::new(output, budget),
        input,
        Protocol::V2,
        url.path.as_str(),
        None::<(&str, Option<u16>)>,
        ConnectMode::Process,
        false,
    );
    Ok(plain(Box::new(connection), Some(ssh)))
}

/// Never asks anybody anything, and gives up on a connection that is dead.
fn ssh_arguments(url: &RemoteUrl, login: &Login) -> Vec<String> {
    let mut arguments: Vec<String> = Vec::new();
    for option in [
        "BatchMode=yes",
        "ConnectTimeout=10",
        "ServerAliveInterval=10",
        "ServerAliveCountMax=3",
        "SendEnv=GIT_PROTOCOL",
    ] {
        arguments.extend(["-o".to_owned(), option.to_owned()]);
    }
    if let Some(key) = &login.ssh_key {
        let key = key.display().to_string();
        arguments.extend(["-i".to_owned(), key]);
        arguments.extend(["-o".to_owned(), "IdentitiesOnly=yes".to_owned()]);
    }
    if let Some(hosts) = &login.known_hosts {
        let option = format!("UserKnownHostsFile={}", hosts.display());
        arguments.extend(["-o".to_owned(), option]);
    }
    if let Some(port) = url.port {
        arguments.extend(["-p".to_owned(), port.to_string()]);
    }
    let host = match &url.user {
        Some(user) => format!("{user}@{}", url.host),
        None => url.host.clone(),
    };
    // A shell on the other side reads the command.
    let path = url.path.replace('\'', r"'\''");
    let command = format!("git-upload-pack '{path}'");
    arguments.extend(["--".to_owned(), host, command]);
    arguments
}

/// A running `ssh`, which does not outlive its fetch.
pub(super) struct Ssh {
    child: Arc<Mutex<Child>>,
    done: Option<Sender<()>>,
    guard: Option<JoinHandle<()>>,
    words: Option<JoinHandle<String>>,
}

impl Ssh {
    fn watch(mut child: Child, time: Duration) -> io::Result<Self> {
        let errors = child.stderr.take();
        let words = std::thread::Builder::new()
            .name("ssh-words".to_owned())
            .spawn(move || {
                let mut words = Vec::new();
                if let Some(mut errors) = errors {
                    let _ = errors.by_ref().take(MAX_WORDS).read_to_end(&mut words);
                    // The rest is read, so that ssh never waits for a reader.
                    let _ = io::copy(&mut errors, &mut io::sink());
                }
                String::from_utf8_lossy(&words).trim().to_owned()
            })?;
        let child = Arc::new(Mutex::new(child));
        let (done, is_done) = channel();
        let watched = Arc::clone(&child);
        let guard = std::thread::Builder::new()
            .name("ssh-guard".to_owned())
            .spawn(move || end_at_deadline(&watched, &is_done, time))?;
        Ok(Self {
            child,
            done: Some(done),
            guard: Some(guard),
            words: Some(words),
        })
    }

    /// Ends the program and returns what it said.
    pub(super) fn end(mut self) -> String {
        self.stop();
        let words = self.words.take().map(JoinHandle::join);
        words.and_then(Result::ok).unwrap_or_default()
    }

    fn stop(&mut self) {
        drop(self.done.take());
        if let Some(guard) = self.guard.take() {
            let _ = guard.join();
        }
        kill(&self.child);
    }
}

impl Drop for Ssh {
    fn drop(&mut self) {
        self.stop();
    }
}

fn end_at_deadline(child: &Mutex<Child>, is_done: &Receiver<()>, time: Duration) {
    if is_done.recv_timeout(time) == Err(RecvTimeoutError::Timeout) {
        kill(child);
    }
}

fn kill(child: &Mutex<Child>) {
    let mut child = child.lock().unwrap_or_else(PoisonError::into_inner);
    let _ = child.kill();
    let _ = child.wait();
}

#[cfg(test)]
mod tests {
    use super::{Login, ssh_arguments};
    use crate::git::Location;

    #[test]
    fn ssh_gets_one_quoted_command_and_no_options_of_the_url() {
        let Ok(Location::Remote(url)) = "ssh://git@h:2222/a/b'c".parse() else {
            panic!();
        };
        let login = Login {
            ssh_key: Some("/k".into()),
            known_hosts: Some("/h".into()),
            ..Login::default()
        };
        let arguments = ssh_arguments(&url, &login);
        let (options, rest) = arguments.split_at(arguments.len() - 3);
        assert_eq!(rest, ["--", "git@h", r"git-upload-pack '/a/b'\''c'"]);
        assert!(options.ends_with(&["-p".to_owned(), "2222".to_owned()]));
        for wanted in [
            "BatchMode=yes",
            "/k",
            "IdentitiesOnly=yes",
            "UserKnownHostsFile=/h",
        ] {
            assert!(options.iter().any(|option| option == wanted), "{wanted}");
        }
    }
}
