//! The real binary, started as a user starts it, with an environment of its own.

use crate::support::{Client, FakeProvider, GREET, eventually, within};
use serde_json::Value;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use tempfile::TempDir;
use tokio::sync::oneshot;

/// The key of the fake provider: a canary, which must never be seen anywhere but there.
pub(crate) const PROVIDER_KEY: &str = "sk-canary-provider-7f3a9c51d2e84b06";

/// A gateway that is not started yet.
pub(crate) struct Setup {
    config: String,
    prompts: Vec<(String, String)>,
    environment: Vec<(String, String)>,
}

impl Setup {
    /// A gateway whose provider `openai` is `provider`, with the prompt `greet`.
    pub(crate) fn of(provider: &FakeProvider) -> Self {
        let address = provider.address;
        let config = format!(
            "[server]\n\
             header_timeout = \"1s\"\nbody_timeout = \"1s\"\ndrain_delay = \"1s\"\n\
             [providers.openai]\n\
             base_url = \"http://{address}/v1\"\napi_key = \"env:OPENAI_API_KEY\"\n\
             [providers.openai.deadlines]\n\
             connect = \"1s\"\nfirst_byte = \"2s\"\nidle = \"1s\"\ntotal = \"10s\"\n"
        );
        Self {
            config,
            environment: vec![("OPENAI_API_KEY".to_owned(), PROVIDER_KEY.to_owned())],
            ..Self::simulated()
        }
    }

    /// A gateway without config: only the built-in provider.
    pub(crate) fn simulated() -> Self {
        Self {
            config: String::new(),
            prompts: vec![("greet.prompt".to_owned(), GREET.to_owned())],
            environment: Vec::new(),
        }
    }

    /// Replaces `from` by `to` in the config; fails when it is not there.
    pub(crate) fn replace(mut self, from: &str, to: &str) -> Self {
        assert!(self.config.contains(from), "no {from:?} in the config");
        self.config = self.config.replace(from, to);
        self
    }

    /// Adds to the config file.
    pub(crate) fn config(mut self, more: &str) -> Self {
        self.config.push_str(more);
        self
    }

    /// Adds a file below the prompts' directory.
    pub(crate) fn prompt(mut self, path: &str, text: &str) -> Self {
        self.prompts.push((path.to_owned(), text.to_owned()));
        self
    }

    /// Sets a variable of the environment.
    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Writes the files and starts the gateway.
    pub(crate) async fn start(self) -> TestGateway {
        let mut gateway = self.prepare();
        gateway.launch().await;
        gateway
    }

    /// Writes the files only.
    pub(crate) fn prepare(self) -> TestGateway {
        let dir = TempDir::new().unwrap();
        fs::write(dir.path().join("promptgate.toml"), &self.config).unwrap();
        fs::create_dir(dir.path().join("prompts")).unwrap();
        for (path, text) in &self.prompts {
            let path = dir.path().join("prompts").join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        TestGateway {
            dir,
            setup: self,
            running: None,
        }
    }
}

/// The gateway. Killed when it is dropped.
pub(crate) struct TestGateway {
    dir: TempDir,
    setup: Setup,
    running: Option<Running>,
}

struct Running {
    child: Child,
    data: SocketAddr,
    admin: SocketAddr,
}

impl TestGateway {
    /// A gateway in front of `provider`.
    pub(crate) async fn start(provider: &FakeProvider) -> Self {
        Setup::of(provider).start().await
    }

    /// A client of the data plane.
    pub(crate) fn client(&self) -> Client {
        Client::new(self.running().data)
    }

    /// A client of the admin plane, with its token.
    pub(crate) fn admin(&self) -> Client {
        let token = fs::read_to_string(self.data_dir().join("admin.token")).unwrap();
        self.anonymous_admin().bearer(token.trim())
    }

    /// A client of the admin plane, without a token.
    pub(crate) fn anonymous_admin(&self) -> Client {
        Client::new(self.running().admin)
    }

    pub(crate) fn data_dir(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// The directory that everything is in.
    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// What the gateway wrote to stderr so far.
    pub(crate) fn stderr(&self) -> String {
        let bytes = fs::read(self.dir.path().join("stderr")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Runs a command of the same binary on the same config and data.
    pub(crate) async fn run(&self, arguments: &[&str]) -> Output {
        let mut command = self.command(arguments);
        within(
            &format!("promptgate {}", arguments.join(" ")),
            tokio::task::spawn_blocking(move || command.output().unwrap()),
        )
        .await
        .unwrap()
    }

    /// Starts a command of the same binary, to be signalled while it runs.
    pub(crate) fn spawn(&self, arguments: &[&str]) -> Child {
        let mut command = self.command(arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().unwrap()
    }

    /// Runs a command that must succeed, and returns its stdout as JSON.
    pub(crate) async fn run_json(&self, arguments: &[&str]) -> Value {
        let output = self.run(&[arguments, &["--json"]].concat()).await;
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{arguments:?}: {error}: {output:?}"))
    }

    /// The newest 1000 records, by the command line, which works with and without a server.
    pub(crate) async fn calls(&self) -> Vec<Call> {
        let list = self.run_json(&["calls", "list", "--limit", "1000"]).await;
        let rows = list.as_array().unwrap().iter();
        rows.map(|row| Call { row: row.clone() }).collect()
    }

    /// All records, page by page over the admin plane.
    pub(crate) async fn all_calls(&self) -> Vec<Call> {
        let (admin, mut all) = (self.admin(), Vec::<Call>::new());
        loop {
            let before = all
                .last()
                .map(|call| format!("&before={}", call.id()))
                .unwrap_or_default();
            let page = admin.get(&format!("/api/calls?limit=1000{before}")).await;
            let rows = page.json()["data"].as_array().unwrap().clone();
            if rows.is_empty() {
                return all;
            }
            all.extend(rows.into_iter().map(|row| Call { row }));
        }
    }

    /// Waits until there are `count` records and all have ended.
    pub(crate) async fn ended_calls(&self, count: usize) -> Vec<Call> {
        eventually(&format!("{count} ended calls"), async || {
            let calls = self.all_calls().await;
            (calls.len() == count && calls.iter().all(Call::has_ended)).then_some(calls)
        })
        .await
    }

    /// Waits until the call has ended, and returns its whole record.
    pub(crate) async fn record(&self, id: &str) -> Value {
        let admin = self.admin();
        eventually(&format!("the record of {id}"), async || {
            let response = admin.get(&format!("/api/calls/{id}")).await;
            let record = (response.status == 200).then(|| response.json())?;
            (!record["outcome"].is_null()).then_some(record)
        })
        .await
    }

    /// Kills the process with a signal that it cannot catch.
    pub(crate) async fn kill9(&mut self) {
        let mut running = self.running.take().unwrap();
        running.child.kill().unwrap();
        wait(running.child).await;
    }

    /// Sends SIGTERM and waits for nothing.
    pub(crate) fn terminate(&self) {
        self.signal("-TERM");
    }

    /// Sends SIGHUP, which asks it to read its config again, and waits for nothing.
    pub(crate) fn hang_up(&self) {
        self.signal("-HUP");
    }

    /// The process that runs now.
    pub(crate) fn pid(&self) -> u32 {
        self.running().child.id()
    }

    fn signal(&self, signal: &str) {
        let pid = self.pid().to_string();
        let status = Command::new("kill").args([signal, &pid]).status();
        assert!(status.unwrap().success(), "{signal} could not be sent");
    }

    /// Waits for the process to end by itself.
    pub(crate) async fn exited(&mut self) -> ExitStatus {
        wait(self.running.take().unwrap().child).await
    }

    /// Starts the gateway on its old data, after a kill or an exit.
    pub(crate) async fn restart(&mut self) {
        assert!(self.running.is_none(), "the gateway still runs");
        self.launch().await;
    }

    fn running(&self) -> &Running {
        self.running.as_ref().unwrap()
    }

    async fn launch(&mut self) {
        let stderr = File::options()
            .create(true)
            .append(true)
            .open(self.dir.path().join("stderr"));
        let mut command = self.command(&["serve"]);
        command
            .args(["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .stderr(stderr.unwrap());
        let mut child = command.spawn().unwrap();
        let first_line = first_line(&mut child);
        let Ok(line) = within("the line with the addresses", first_line).await else {
            let status = wait(child).await;
            panic!("the gateway did not start ({status}):\n{}", self.stderr());
        };
        let address = |name: &str| {
            line.split(' ')
                .find_map(|word| word.trim().strip_prefix(name)?.strip_prefix("=http://"))
                .and_then(|address| address.parse().ok())
                .unwrap_or_else(|| panic!("no `{name}` in {line:?}"))
        };
        self.running = Some(Running {
            data: address("data"),
            admin: address("admin"),
            child,
        });
    }

    /// The binary in a clean environment, in its own directory.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_promptgate"));
        command
            .current_dir(self.dir.path())
            .env_clear()
            .env("HOME", self.dir.path())
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .envs(self.setup.environment.iter().cloned())
            .args(arguments)
            .args(["--data-dir", "data"])
            .stdin(Stdio::null());
        // A flag would win over the file.
        if !self.setup.config.contains("[prompts]") {
            command.args(["--prompts", "prompts"]);
        }
        command
    }
}

impl Drop for TestGateway {
    fn drop(&mut self) {
        if let Some(mut running) = self.running.take() {
            let _ = running.child.kill();
            let _ = running.child.wait();
        }
        if std::thread::panicking() {
            eprintln!("the gateway's stderr:\n{}", self.stderr());
        }
    }
}

/// A row of the list of calls.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    row: Value,
}

impl Call {
    pub(crate) fn id(&self) -> &str {
        self.row["id"].as_str().unwrap()
    }

    /// How the call ended; empty while it has not.
    pub(crate) fn state(&self) -> &str {
        self.row["state"].as_str().unwrap_or_default()
    }

    pub(crate) fn has_ended(&self) -> bool {
        !self.state().is_empty() && self.state() != "in_flight"
    }

    /// The `user` of the request.
    pub(crate) fn user(&self) -> &str {
        self.row["user"].as_str().unwrap_or_default()
    }
}

/// The first line the child prints; the rest is drained, so that the child never blocks on it.
fn first_line(child: &mut Child) -> oneshot::Receiver<String> {
    let (sender, receiver) = oneshot::channel();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    std::thread::spawn(move || {
        if let Some(Ok(line)) = lines.next() {
            let _ = sender.send(line);
        }
        for _ in lines {}
    });
    receiver
}

async fn wait(mut child: Child) -> ExitStatus {
    let waiting = tokio::task::spawn_blocking(move || child.wait().unwrap());
    within("the end of the process", waiting).await.unwrap()
}
