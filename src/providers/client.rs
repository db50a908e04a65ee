//! The HTTP clients: one connection pool for all providers that need the same settings.

use crate::providers::error::{Error, ErrorKind};
use std::collections::HashMap;
use std::time::Duration;

/// What a client depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Settings {
    /// How long a connection may take, TLS included.
    pub(super) connect_timeout: Duration,
    /// Whether any URL is `https`. Without, the system's root certificates are not loaded, which
    /// takes tens of milliseconds.
    pub(super) needs_tls: bool,
    /// Whether the host is this machine, which no proxy can reach.
    pub(super) is_loopback: bool,
}

/// The clients made so far.
#[derive(Debug, Default)]
pub(super) struct Clients {
    made: HashMap<Settings, reqwest::Client>,
}

impl Clients {
    /// Returns the client for `settings`, making it when there is none.
    pub(super) fn get(
        &mut self,
        settings: Settings,
        provider: &str,
    ) -> Result<reqwest::Client, Error> {
        if let Some(client) = self.made.get(&settings) {
            return Ok(client.clone());
        }
        let client = build(settings).map_err(|error| {
            let message = format!("cannot have an HTTP client: {}", error.without_url());
            Error::unsent(ErrorKind::Config, provider, message)
        })?;
        self.made.insert(settings, client.clone());
        Ok(client)
    }
}

/// Installs the cryptography of TLS for the whole process, once. [`crate::providers::Providers`]
/// does it too; whatever else builds an HTTP client before (the exporter of spans) needs it.
pub fn install_tls() {
    // Fails when one is installed already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

fn build(settings: Settings) -> reqwest::Result<reqwest::Client> {
    install_tls();
    let mut builder = reqwest::Client::builder()
        .connect_timeout(settings.connect_timeout)
        // A redirect could lead the key to another host.
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .tcp_nodelay(true)
        .tcp_keepalive(Duration::from_secs(60))
        .pool_idle_timeout(Duration::from_secs(90))
        // Retries are the caller's business, who records every attempt.
        .retry(reqwest::retry::never());
    if !settings.needs_tls {
        builder = builder.tls_certs_only([]);
    }
    if settings.is_loopback {
        builder = builder.no_proxy();
    }
    builder.build()
}
