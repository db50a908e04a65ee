//! `promptgate prompts releases|drift|override`: what labels mean, and what is live past Git.

use crate::app::Environment;
use crate::cli::Common;
use crate::cli::calls::time;
use crate::cli::output::{self, Align, Failure, at, table};
use crate::cli::reach::{Admin, escape};
use clap::{Args, Subcommand};
use http::Method;
use serde_json::{Value, json};

#[derive(Debug, Subcommand)]
pub(crate) enum OverrideCommand {
    /// Make a label mean another version at once, past Git, for a time.
    Set(Set),
    /// List the overrides.
    List,
    /// Take an override back: Git is in force again.
    Remove {
        /// The label.
        label: String,
        /// The prompt, `NAME[.VARIANT]`.
        prompt: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Set {
    /// The label.
    label: String,
    /// The prompt, `NAME[.VARIANT]`.
    prompt: String,
    /// The version: `latest`, `vN`, `sha-HEX` or `git:REF`.
    to: String,
    /// How long: `30m`, `2h`, `7d`.
    #[arg(long, value_name = "SPAN")]
    ttl: String,
    /// Why this cannot wait for a commit.
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

/// What is asked for.
pub(crate) enum Asked {
    /// What labels mean.
    Releases,
    /// What is live and not in Git.
    Drift,
    /// Something about overrides.
    Override(OverrideCommand),
}

/// Runs the command.
pub(crate) async fn run(
    asked: Asked,
    common: &Common,
    environment: &Environment,
) -> Result<(), Failure> {
    let admin = Admin::reach(common, environment)?;
    let result = match asked {
        Asked::Releases => releases(&admin, common.json).await,
        Asked::Drift => drift(&admin, common.json).await,
        Asked::Override(OverrideCommand::Set(wanted)) => set(&admin, &wanted, common.json).await,
        Asked::Override(OverrideCommand::List) => overrides(&admin, common.json).await,
        Asked::Override(OverrideCommand::Remove { label, prompt }) => {
            remove(&admin, &label, &prompt, common.json).await
        }
    };
    admin.close().await?;
    result
}

fn text(value: &Value, key: &str) -> String {
    at(value, key).as_str().unwrap_or("-").to_owned()
}

/// Makes a row of a list's element.
type Row = fn(&Value) -> Vec<String>;

/// Prints a list as JSON, or as a table; `nothing` is said of an empty one.
fn put_list(
    answer: &Value,
    as_json: bool,
    nothing: &str,
    (headings, row): (&[&str], Row),
) -> Result<(), Failure> {
    if as_json {
        return output::put(&format!("{}\n", at(answer, "data")));
    }
    let lines = at(answer, "data").as_array().cloned().unwrap_or_default();
    if lines.is_empty() {
        output::say(&format!("{nothing}\n"));
        return Ok(());
    }
    let rows: Vec<Vec<String>> = lines.iter().map(row).collect();
    let headings: Vec<(&str, Align)> = headings.iter().map(|it| (*it, Align::Left)).collect();
    output::put(&table(&headings, &rows))
}

async fn releases(admin: &Admin, as_json: bool) -> Result<(), Failure> {
    let answer = admin.get("/api/prompts/releases").await?;
    let nothing = "there is no releases.yaml: `production` means the newest version";
    let headings = ["label", "prompt", "stable", "version", "canary", "shadow"];
    put_list(&answer, as_json, nothing, (&headings, release_row))
}

fn release_row(release: &Value) -> Vec<String> {
    let canary = at(release, "canary");
    let mut tried = Vec::new();
    if canary.is_object() {
        tried.push(format!(
            "{} {} by {}",
            text(canary, "to"),
            text(canary, "percent"),
            text(canary, "sticky")
        ));
        if let Some(until) = at(canary, "until").as_str() {
            let is_over = at(canary, "expired") == true;
            tried.push(format!(
                "{} {until}",
                if is_over { "ended" } else { "until" }
            ));
        }
        if at(canary, "guard").is_object() {
            tried.push("guard not evaluated".to_owned());
        }
    }
    let shadow = at(release, "shadow");
    let beside = if shadow.is_object() {
        format!("{} {}", text(shadow, "to"), text(shadow, "percent"))
    } else {
        String::new()
    };
    vec![
        text(release, "label"),
        text(release, "prompt"),
        text(release, "stable"),
        text(release, "version"),
        tried.join(", "),
        beside,
    ]
}

async fn drift(admin: &Admin, as_json: bool) -> Result<(), Failure> {
    let answer = admin.get("/api/prompts/drift").await?;
    let headings = ["kind", "prompt", "label", "git", "live", "until", "reason"];
    put_list(
        &answer,
        as_json,
        "what is live is what Git says",
        (&headings, drift_row),
    )
}

fn drift_row(drift: &Value) -> Vec<String> {
    let until = at(drift, "expires");
    let until = if until.is_null() {
        String::new()
    } else {
        time(until)
    };
    let optional = |key: &str| at(drift, key).as_str().unwrap_or_default().to_owned();
    vec![
        text(drift, "kind"),
        optional("prompt"),
        optional("label"),
        optional("git"),
        optional("live"),
        until,
        optional("reason"),
    ]
}

async fn set(admin: &Admin, wanted: &Set, as_json: bool) -> Result<(), Failure> {
    let body = json!({
        "label": wanted.label,
        "prompt": wanted.prompt,
        "to": wanted.to,
        "ttl": wanted.ttl,
        "reason": wanted.reason,
    });
    let answer = admin
        .send(Method::POST, "/api/prompts/overrides", Some(&body))
        .await?;
    if as_json {
        return output::put(&format!("{answer}\n"));
    }
    output::say(&format!(
        "label {} of prompt {} means {} until {}, whatever Git says\n",
        text(&answer, "label"),
        text(&answer, "prompt"),
        text(&answer, "to"),
        time(at(&answer, "expires")),
    ));
    Ok(())
}

async fn overrides(admin: &Admin, as_json: bool) -> Result<(), Failure> {
    let answer = admin.get("/api/prompts/overrides").await?;
    let headings = ["label", "prompt", "to", "since", "until", "reason"];
    put_list(
        &answer,
        as_json,
        "there are no overrides",
        (&headings, override_row),
    )
}

fn override_row(over: &Value) -> Vec<String> {
    vec![
        text(over, "label"),
        text(over, "prompt"),
        text(over, "to"),
        time(at(over, "created")),
        time(at(over, "expires")),
        text(over, "reason"),
    ]
}

async fn remove(admin: &Admin, label: &str, prompt: &str, as_json: bool) -> Result<(), Failure> {
    let path = format!(
        "/api/prompts/overrides?label={}&prompt={}",
        escape(label),
        escape(prompt)
    );
    let answer = admin.send(Method::DELETE, &path, None).await?;
    if as_json {
        return output::put(&format!("{answer}\n"));
    }
    output::say(&format!(
        "label {label} of prompt {prompt} means what Git says\n"
    ));
    Ok(())
}
