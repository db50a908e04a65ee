//! `promptgate keys create|list|revoke`.

use crate::app::Environment;
use crate::cli::Common;
use crate::cli::output::at;
use crate::cli::output::{self, Align, Failure, table};
use crate::cli::reach::{Admin, escape};
use clap::{Args, Subcommand};
use http::Method;
use serde_json::{Value, json};

#[derive(Debug, Subcommand)]
pub(crate) enum KeysCommand {
    /// Make a key; its secret is shown this once.
    Create(Create),
    /// List the keys.
    List,
    /// Revoke a key, from the next request on.
    Revoke {
        /// The key's id, or its name.
        key: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Create {
    /// Who or what the key is for.
    name: String,
    /// Prompts the key may use, as globs (`support/*`); all when left out.
    #[arg(long = "prompt", value_name = "GLOB")]
    prompt_globs: Vec<String>,
    /// Models the key may name, as globs (`gpt-*`); all when left out.
    #[arg(long = "model", value_name = "GLOB")]
    model_globs: Vec<String>,
    /// The label that a prompt without selector means for this key.
    #[arg(long, value_name = "LABEL")]
    default_label: Option<String>,
    /// Days until the key expires.
    #[arg(long, value_name = "DAYS")]
    expires_in_days: Option<u32>,
}

/// Runs the command.
pub(crate) async fn run(
    command: KeysCommand,
    common: &Common,
    environment: &Environment,
) -> Result<(), Failure> {
    let admin = Admin::reach(common, environment)?;
    let result = match command {
        KeysCommand::Create(create) => make(&admin, create, common.json).await,
        KeysCommand::List => list(&admin, common.json).await,
        KeysCommand::Revoke { key } => revoke(&admin, &key, common.json).await,
    };
    admin.close().await?;
    result
}

async fn make(admin: &Admin, create: Create, as_json: bool) -> Result<(), Failure> {
    let body = json!({
        "name": create.name,
        "prompts": create.prompt_globs,
        "models": create.model_globs,
        "default_label": create.default_label,
        "expires_in_days": create.expires_in_days,
    });
    let key = admin.send(Method::POST, "/api/keys", Some(&body)).await?;
    if as_json {
        return output::put(&format!("{key}\n"));
    }
    output::put(&format!(
        "{}\n",
        at(&key, "secret").as_str().unwrap_or_default()
    ))?;
    output::say(&format!(
        "key {} for {}: this is the only time its secret is shown\n",
        at(&key, "id").as_str().unwrap_or_default(),
        at(&key, "name").as_str().unwrap_or_default(),
    ));
    Ok(())
}

async fn list(admin: &Admin, as_json: bool) -> Result<(), Failure> {
    let answer = admin.get("/api/keys").await?;
    if as_json {
        return output::put(&format!("{}\n", at(&answer, "data")));
    }
    let keys = at(&answer, "data").as_array().cloned().unwrap_or_default();
    if keys.is_empty() {
        output::say("there are no keys; `promptgate keys create NAME` makes one\n");
        return Ok(());
    }
    let rows: Vec<Vec<String>> = keys.iter().map(row).collect();
    let headings = ["id", "name", "state", "prompts", "models", "created"];
    output::put(&table(
        &headings.map(|heading| (heading, Align::Left)),
        &rows,
    ))
}

fn row(key: &Value) -> Vec<String> {
    let text = |field: &str| at(key, field).as_str().unwrap_or_default().to_owned();
    let globs = |field: &str| {
        let globs: Vec<&str> = at(key, field)
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        if globs.is_empty() {
            "all".to_owned()
        } else {
            globs.join(" ")
        }
    };
    let state = if at(key, "revoked").is_null() {
        "live"
    } else {
        "revoked"
    };
    let created = super::calls::time(at(key, "created"));
    vec![
        text("id"),
        text("name"),
        state.to_owned(),
        globs("prompts"),
        globs("models"),
        created,
    ]
}

async fn revoke(admin: &Admin, key: &str, as_json: bool) -> Result<(), Failure> {
    let answer = admin
        .send(Method::DELETE, &format!("/api/keys/{}", escape(key)), None)
        .await?;
    if as_json {
        return output::put(&format!("{answer}\n"));
    }
    output::say(&format!(
        "key {} is revoked\n",
        at(&answer, "id").as_str().unwrap_or_default()
    ));
    Ok(())
}
