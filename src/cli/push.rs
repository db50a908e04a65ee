//! `promptgate prompts push`: makes a signed bundle of a branch and hands it to a gateway that may fetch
//! from nowhere.

use crate::access::sign;
use crate::app::{self, Environment};
use crate::cli::Common;
use crate::cli::output::{self, Failure, at};
use crate::domain::Clock;
use crate::server::{AdminClient, bundle_preamble};
use bytes::Bytes;
use clap::Args;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

#[derive(Debug, Args)]
pub(crate) struct PushArguments {
    /// The gateway's admin plane, `http://HOST:PORT`.
    #[arg(long, value_name = "URL", required_unless_present = "output")]
    to: Option<http::Uri>,
    /// The secret that both sides know: `env:NAME` or `file:PATH`.
    #[arg(long, value_name = "REFERENCE")]
    secret: String,
    /// The repository, or any directory inside one.
    #[arg(long, value_name = "DIR", default_value = ".")]
    repository: PathBuf,
    /// A branch or tag to push, with its history; the current branch when absent. May be repeated.
    #[arg(long, value_name = "REF")]
    reference: Vec<String>,
    /// A number higher than that of every push before; the time in milliseconds when absent.
    #[arg(long, value_name = "NUMBER")]
    sequence: Option<u64>,
    /// Write the bundle to a file instead, and print the command that pushes it.
    #[arg(long, value_name = "FILE", conflicts_with = "to")]
    output: Option<PathBuf>,
}

/// Runs the command.
pub(crate) async fn run(
    arguments: &PushArguments,
    common: &Common,
    environment: &Environment,
) -> Result<(), Failure> {
    let secret = app::secret("--secret", &arguments.secret, environment)?;
    let bundle = bundle(&arguments.repository, &arguments.reference)?;
    let millis = u64::try_from(Clock::System.now().unix_millis()).unwrap_or(0);
    let sequence = arguments.sequence.unwrap_or(millis);
    let signature = sign(&secret, &[bundle_preamble(sequence).as_bytes(), &bundle]);
    let headers = [
        ("x-promptgate-sequence", sequence.to_string()),
        ("x-promptgate-signature", format!("sha256={signature}")),
    ];
    if let Some(path) = &arguments.output {
        return write(path, &bundle, &headers);
    }
    let Some(uri) = &arguments.to else {
        return Err(Failure::usage("--to or --output is needed"));
    };
    let reply = AdminClient::put("/api/prompts/bundle", uri, &headers, Bytes::from(bundle)).await?;
    let answer: Value = serde_json::from_slice(&reply.body)
        .map_err(|error| Failure::new(format!("the answer cannot be read: {error}")))?;
    if 300 <= reply.status {
        let text = |key: &str| at(at(&answer, "error"), key).as_str().map(output::clean);
        let message = text("message");
        let message = message.unwrap_or_else(|| format!("the gateway answered {}", reply.status));
        return Err(Failure::new(message).with_hint(text("hint")));
    }
    if common.json {
        return output::put(&format!("{answer}\n"));
    }
    let status = at(&answer, "status");
    output::put(&format!(
        "{}: commit {}, {} prompts\n",
        at(&answer, "outcome").as_str().unwrap_or_default(),
        at(status, "commit").as_str().unwrap_or("none"),
        at(status, "prompts"),
    ))
}

/// Makes the bundle with the `git` program, which is where the repository is.
fn bundle(repository: &Path, references: &[String]) -> Result<Vec<u8>, Failure> {
    let mut references = references.to_vec();
    if references.is_empty() {
        let branch = git(repository, &["symbolic-ref", "--short", "HEAD"]).map_err(|failure| {
            failure.with_hint(Some(
                "name the repository and a branch: `--repository DIR --reference main`".to_owned(),
            ))
        })?;
        let branch = String::from_utf8_lossy(&branch).trim().to_owned();
        references.push(branch);
    }
    if let Some(option) = references.iter().find(|name| name.starts_with('-')) {
        return Err(Failure::usage(format!("`{option}` is no name of a branch")));
    }
    let mut arguments = vec!["bundle", "create", "-q", "-"];
    arguments.extend(references.iter().map(String::as_str));
    git(repository, &arguments)
}

fn git(repository: &Path, arguments: &[&str]) -> Result<Vec<u8>, Failure> {
    let run = Command::new("git")
        .arg("-C")
        .arg(repository)
        .args(arguments)
        .output();
    let output = run.map_err(|error| {
        let failure = Failure::new(format!("the `git` program cannot be run: {error}"));
        failure.with_hint(Some("install git; only pushing needs it".to_owned()))
    })?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let words = String::from_utf8_lossy(&output.stderr);
    let words = output::clean(words.trim().lines().next().unwrap_or_default());
    Err(Failure::new(format!(
        "git {}: {words}",
        arguments.join(" ")
    )))
}

fn write(path: &Path, bundle: &[u8], headers: &[(&str, String)]) -> Result<(), Failure> {
    std::fs::write(path, bundle).map_err(|error| {
        Failure::new(format!("`{}` cannot be written: {error}", path.display()))
    })?;
    let mut command = "curl --fail-with-body -X PUT".to_owned();
    for (name, value) in headers {
        command = format!("{command} -H '{name}: {value}'");
    }
    let path = path.display();
    output::put(&format!(
        "{command} --data-binary @'{path}' https://GATEWAY/api/prompts/bundle\n"
    ))
}
