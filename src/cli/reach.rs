//! Reaches the admin plane: a running server's, or, when none runs, that of this process.

use crate::app::{self, App, Config, Environment, Overrides, Rendezvous};
use crate::cli::Common;
use crate::cli::output::Failure;
use crate::cli::output::at;
use crate::server::{AdminClient, AdminReply};
use bytes::Bytes;
use http::Method;
use serde_json::Value;

/// A way to the admin plane, and the rooms behind it when they are in this process.
pub(crate) struct Admin {
    client: AdminClient,
    app: Option<App>,
}

impl Admin {
    /// Opens the store, or finds the server that holds it.
    pub(crate) fn reach(common: &Common, environment: &Environment) -> Result<Self, Failure> {
        Self::with_overrides(&common.overrides(), environment)
    }

    /// The same with more than every command may say.
    pub(crate) fn with_overrides(
        overrides: &Overrides,
        environment: &Environment,
    ) -> Result<Self, Failure> {
        let config = app::load(overrides, environment)?;
        let dir = config.store.dir.clone();
        match App::build_offline(config) {
            Ok(app) => Ok(Self {
                client: app.admin_client(),
                app: Some(app),
            }),
            Err(app::Error::Store(error)) if error.is_locked() => {
                let rendezvous =
                    Rendezvous::find(&dir).ok_or_else(|| Failure::from(app::Error::from(error)))?;
                let token = app::admin_token(&dir)?;
                Ok(Self {
                    client: AdminClient::remote(rendezvous.admin, &token),
                    app: None,
                })
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Sends a request; an error answer becomes a failure with its hint.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, Failure> {
        let body = body.map(|value| Bytes::from(value.to_string()));
        let reply = self.client.send(method, path, body).await?;
        let answer: Value = serde_json::from_slice(&reply.body).map_err(|error| {
            Failure::new(format!("the server's answer cannot be read: {error}"))
        })?;
        if reply.status < 300 {
            return Ok(answer);
        }
        Err(refusal(&reply, &answer))
    }

    /// Sends a request and hands each line of the answer to `on_line` when it comes; an error answer
    /// becomes a failure with its hint.
    pub(crate) async fn lines(
        &self,
        path: &str,
        body: &Value,
        on_line: &mut (dyn FnMut(&[u8]) + Send),
    ) -> Result<(), Failure> {
        let body = Bytes::from(body.to_string());
        let sent = self.client.lines(Method::POST, path, Some(body), on_line);
        let reply = sent.await?;
        if reply.status < 300 {
            return Ok(());
        }
        let answer = serde_json::from_slice(&reply.body).unwrap_or_default();
        Err(refusal(&reply, &answer))
    }

    /// Reads from the admin plane.
    pub(crate) async fn get(&self, path: &str) -> Result<Value, Failure> {
        self.send(Method::GET, path, None).await
    }

    /// Closes what was opened.
    pub(crate) async fn close(self) -> Result<(), Failure> {
        match self.app {
            Some(app) => Ok(app.close().await?),
            None => Ok(()),
        }
    }
}

fn refusal(reply: &AdminReply, answer: &Value) -> Failure {
    let text = |key: &str| at(at(answer, "error"), key).as_str().map(str::to_owned);
    let message =
        text("message").unwrap_or_else(|| format!("the server answered {}", reply.status));
    match &reply.cause {
        // There is no log to look into where no server runs.
        Some(cause) => Failure::new(format!("{message}: {cause}")),
        None => Failure::new(message).with_hint(text("hint")),
    }
}

/// Loads the config, for commands that need no store.
pub(crate) fn config(common: &Common, environment: &Environment) -> Result<Config, Failure> {
    Ok(app::load(&common.overrides(), environment)?)
}

/// Returns `text` with every character that has a meaning in a query escaped.
pub(crate) fn escape(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::refusal;
    use crate::server::AdminReply;
    use serde_json::json;

    #[test]
    fn a_failure_of_this_process_says_what_it_was() {
        let answer = json!({"error": {"message": "it failed", "hint": "look into the log"}});
        let failure = |cause: Option<&str>| {
            let reply = AdminReply {
                status: 500,
                body: answer.to_string().into(),
                cause: cause.map(str::to_owned),
            };
            format!("{:?}", refusal(&reply, &answer))
        };
        let here = failure(Some("the disk is gone"));
        assert!(
            here.contains("it failed: the disk is gone") && !here.contains("log"),
            "{here}"
        );
        assert!(failure(None).contains("look into the log"));
    }
}
