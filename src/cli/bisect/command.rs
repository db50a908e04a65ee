//! A command of the user's that says whether a version is good.

use crate::cli::output::Failure;
use crate::prompts::Trial;
use std::io::Write as _;
use std::process::{Child, ExitStatus, Stdio};
use std::sync::mpsc::channel;
use std::time::Duration;

/// The exit code that skips a version, as for `git bisect run`.
const SKIP: i32 = 125;
/// From this one on a shell reports signals and its own failures.
const LIMIT: i32 = 128;

/// A command line for `sh`.
#[derive(Debug, Clone)]
pub(super) struct Command {
    pub(super) line: String,
    pub(super) deadline: Duration,
}

impl Command {
    /// Runs it with `input` on stdin. Blocks.
    pub(super) fn run(&self, input: &str, variables: &[(&str, String)]) -> Result<Trial, Failure> {
        let mut command = std::process::Command::new("sh");
        command
            .arg("-c")
            .arg(&self.line)
            .stdin(Stdio::piped())
            .stdout(Stdio::null());
        command.envs(variables.iter().map(|(name, value)| (name, value)));
        let fail =
            |error: std::io::Error| Failure::new(format!("`{}` cannot be run: {error}", self.line));
        let mut child = command.spawn().map_err(fail)?;
        // A command that does not read its input may close it.
        if let Some(mut stdin) = child.stdin.take() {
            let _ = stdin.write_all(input.as_bytes());
        }
        let status = self.wait(&mut child)?;
        match status.code() {
            Some(0) => Ok(Trial::Good),
            Some(SKIP) => Ok(Trial::Skipped),
            Some(code) if code < LIMIT => Ok(Trial::Bad),
            _ => Err(Failure::new(format!(
                "`{}` ended by {status}: the search is given up",
                self.line
            ))),
        }
    }

    fn wait(&self, child: &mut Child) -> Result<ExitStatus, Failure> {
        let fail =
            |error: std::io::Error| Failure::new(format!("`{}` is lost: {error}", self.line));
        // Nothing is ever sent: receiving is a way to wait.
        let (_sender, receiver) = channel::<()>();
        let step = Duration::from_millis(10);
        let mut left = self.deadline;
        loop {
            if let Some(status) = child.try_wait().map_err(fail)? {
                return Ok(status);
            }
            if left.is_zero() {
                let _ = child.kill();
                let _ = child.wait();
                let message = format!(
                    "`{}` took longer than {} s",
                    self.line,
                    self.deadline.as_secs()
                );
                let hint = Some("give it more time with `--timeout SECONDS`".to_owned());
                return Err(Failure::new(message).with_hint(hint));
            }
            let _ = receiver.recv_timeout(step);
            left = left.saturating_sub(step);
        }
    }
}
