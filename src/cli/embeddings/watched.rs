//! What the commands of monitors and of canaries have in common: one question, and an answer that is told.

use crate::app::Environment;
use crate::cli::Common;
use crate::cli::output::{self, Failure, at, clean};
use crate::cli::reach::Admin;
use http::Method;
use serde_json::Value;

/// Asks the admin plane, and prints its answer: as JSON where that is wanted, else as `tell` says it.
pub(super) async fn ask(
    common: &Common,
    environment: &Environment,
    (method, path, body): (Method, &str, Option<&Value>),
    tell: fn(&Value) -> String,
) -> Result<(), Failure> {
    let admin = Admin::reach(common, environment)?;
    let answer = admin.send(method, path, body).await;
    admin.close().await?;
    let answer = answer?;
    if common.json {
        return output::put(&format!("{answer}\n"));
    }
    output::put(&tell(&answer))
}

/// A text of an answer, safe to print; empty where it is none.
pub(super) fn text(value: &Value) -> String {
    clean(value.as_str().unwrap_or_default())
}

/// A text among the settings of an answer.
pub(super) fn setting(answer: &Value, name: &str) -> String {
    text(at(at(answer, "settings"), name))
}
