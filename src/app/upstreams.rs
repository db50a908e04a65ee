//! The part of the config that can change while calls are served: read again on SIGHUP and when the
//! file changes, checked whole, and swapped in; with any mistake the old one stays.

use crate::app::config::{self, Config};
use crate::app::declarations::Declarations;
use crate::app::{App, Error};
use crate::domain::Secret;
use crate::git::Token;
use crate::metering::Prices;
use crate::prompts;
use crate::providers::Providers;
use crate::proxy::{CurrentUpstreams, PriceLists, Routes, Upstreams};
use crate::safety::{FetchedSecrets, Secrets};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

/// How often the file is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Builds those of a start.
///
/// # Errors
///
/// As [`build`].
pub(super) fn first(config: &Config, token: &Secret) -> Result<Upstreams, Error> {
    build(config, token, &[], &FetchedSecrets::default())
}

/// Builds providers, routes and prices; connects to nobody. `retired` are secrets of configs before, `fetched`
/// those that come while calls are made.
///
/// # Errors
///
/// The first provider whose settings cannot be used.
fn build(
    config: &Config,
    token: &Secret,
    retired: &[Secret],
    fetched: &FetchedSecrets,
) -> Result<Upstreams, Error> {
    let mut known = secrets_of(config);
    known.push(token.clone());
    known.extend_from_slice(retired);
    let mut providers = config.providers.clone();
    for provider in &mut providers {
        provider.fetched = fetched.clone();
    }
    Ok(Upstreams {
        routes: routes(config),
        providers: Providers::build(providers)?,
        prices: Prices::with_overrides(config.prices.clone()),
        price_lists: price_lists(config),
        secrets: Secrets::with_fetched(&known, fetched.clone()),
    })
}

pub(super) fn routes(config: &Config) -> Routes {
    Routes {
        providers: config
            .providers
            .iter()
            .map(|provider| provider.name.clone())
            .collect(),
        patterns: config.models.clone(),
        dropping: config.dropping.clone(),
        catch_all: config.only_simulated.then(|| "simulated".to_owned()),
        ..Routes::default()
    }
}

/// The price table's names of the configured providers.
pub(super) fn price_lists(config: &Config) -> BTreeMap<String, PriceLists> {
    let named = config.providers.iter();
    named
        .map(|provider| {
            let region = provider.region.as_deref();
            let lists = PriceLists::of(&provider.name, provider.preset, region);
            (provider.name.clone(), lists)
        })
        .collect()
}

/// Everything in a config that must never be written down.
fn secrets_of(config: &Config) -> Vec<Secret> {
    let mut known = Vec::new();
    for provider in &config.providers {
        known.extend(provider.api_key.clone());
        known.extend(provider.aws.secrets());
        known.extend(provider.google.secrets());
        known.extend(provider.headers.iter().map(|(_, value)| value.clone()));
    }
    if let prompts::Origin::Fetched { remote, .. } = &config.prompts.origin {
        let token = remote.login.token.as_ref().map(Token::read);
        known.extend(token.and_then(Result::ok));
    }
    known.extend(config.hooks.webhook.clone());
    known.extend(config.hooks.push.clone());
    let headers = config.telemetry.otlp_headers.iter();
    known.extend(headers.map(|(_, value)| value.clone()));
    known
}

/// Reads the config again when it is told to.
pub(super) struct Reloader {
    config: Config,
    upstreams: Arc<CurrentUpstreams>,
    token: Arc<Secret>,
    /// Secrets of earlier configs: calls that began with them may still be open.
    retired: Vec<Secret>,
    declarations: Declarations,
}

impl Reloader {
    pub(super) fn of(app: &App) -> Self {
        Self {
            config: app.config.clone(),
            upstreams: Arc::clone(&app.proxy.upstreams),
            token: Arc::clone(&app.token),
            retired: Vec::new(),
            declarations: Declarations::of(app),
        }
    }

    /// Follows `asked` and the file until `stopping`.
    pub(super) async fn follow(mut self, asked: Arc<Notify>, stopping: CancellationToken) {
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut seen = self.config.origin.stamp;
        loop {
            let is_asked = tokio::select! {
                () = stopping.cancelled() => return,
                () = asked.notified() => true,
                _ = ticks.tick() => false,
            };
            self.declarations.look(is_asked);
            let stamp = self.config.origin.overrides.stamp();
            if is_asked || stamp != seen {
                seen = stamp;
                self.reload();
            }
        }
    }

    fn reload(&mut self) {
        let origin = &self.config.origin;
        let now = self.upstreams.get();
        let fetched = now.secrets.fetched();
        let next = config::load(&origin.overrides, &origin.environment).and_then(|next| {
            Ok((
                build(&next, &self.token, &self.all_secrets(), fetched)?,
                next,
            ))
        });
        let (upstreams, next) = match next {
            Ok(built) => built,
            Err(error) => {
                let hint = error.hint();
                tracing::error!(%error, hint, "the config is refused, the one before stays");
                return;
            }
        };
        let later = self.config.changed_until_restart(&next);
        if !later.is_empty() {
            let settings = later.join(", ");
            tracing::warn!(settings, "these settings changed and wait for a restart");
        }
        self.retired = self.all_secrets();
        let providers = next.providers.len();
        self.upstreams.replace(upstreams);
        self.config = next;
        tracing::info!(providers, "config reloaded");
    }

    fn all_secrets(&self) -> Vec<Secret> {
        let mut all = secrets_of(&self.config);
        all.extend_from_slice(&self.retired);
        all.sort_by(|a, b| a.reveal().cmp(b.reveal()));
        all.dedup_by(|a, b| a.reveal() == b.reveal());
        all
    }
}
