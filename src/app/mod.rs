//! Builds the house from its config, runs it, and closes it in order.

mod archive;
mod config;
mod error;
mod file;
mod rendezvous;
mod run;
mod units;

pub use archive::read_only_archive;
pub use config::{Config, Environment, Overrides, load};
pub use error::Error;
pub use rendezvous::{Rendezvous, admin_token};
pub use run::{Bound, Running, Shutdown};

use crate::access::KeyRing;
use crate::app::archive::Archive;
use crate::domain::{Clock, Secret};
use crate::metering::{Prices, Tokens};
use crate::prompts::Prompts;
use crate::providers::{self, Providers};
use crate::proxy::{Proxy, Recorder, Routes};
use crate::safety::Secrets;
use crate::server::{self, AdminClient, AdminState, Catalogue, DataState, Readiness};
use crate::store::Store;
use crate::telemetry::Telemetry;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The built house.
#[derive(Debug)]
pub struct App {
    config: Config,
    store: Arc<Store>,
    prompts: Arc<Prompts>,
    proxy: Arc<Proxy>,
    keys: Arc<KeyRing>,
    telemetry: Arc<Telemetry>,
    prices: Arc<Prices>,
    token: Arc<Secret>,
    tasks: TaskTracker,
    stopping: CancellationToken,
    cut: CancellationToken,
}

impl App {
    /// Builds every room, from the ground up. Nothing listens yet.
    ///
    /// # Errors
    ///
    /// The first room that cannot be built.
    pub fn build(config: Config) -> Result<Self, Error> {
        let store = Arc::new(Store::open(&config.store, Clock::System)?);
        let archive = Arc::new(Archive(Arc::clone(&store)));
        let prompts = Prompts::open(config.prompts.clone(), archive)?;
        let app = Self::furnish(config, store, prompts)?;
        if app.keys.is_empty() && !app.config.listen.ip().is_loopback() {
            return Err(Error::OpenToTheWorld {
                address: app.config.listen,
            });
        }
        Ok(app)
    }

    /// Builds what a command line needs that reads records while no server runs. The prompts' files
    /// are not read: they may be broken, and records must be readable all the same.
    ///
    /// # Errors
    ///
    /// The first room that cannot be built.
    pub fn build_offline(config: Config) -> Result<Self, Error> {
        let store = Arc::new(Store::open(&config.store, Clock::System)?);
        let archive = Arc::new(Archive(Arc::clone(&store)));
        let prompts = Prompts::archived(config.prompts.clone(), archive);
        Self::furnish(config, store, prompts)
    }

    fn furnish(config: Config, store: Arc<Store>, prompts: Prompts) -> Result<Self, Error> {
        let clock = Clock::System;
        let prompts = Arc::new(prompts);
        let token = Arc::new(admin_token(&config.store.dir)?);
        providers::install_tls();
        let providers = Arc::new(Providers::build(config.providers.clone())?);
        let telemetry = Telemetry::new(&config.telemetry);
        let telemetry = Arc::new(telemetry.map_err(|error| Error::Telemetry(error.to_string()))?);
        let prices = Arc::new(Prices::with_overrides(config.prices.clone()));
        let keys = Arc::new(KeyRing::new(clock, !config.listen.ip().is_loopback()));
        server::load_keys(&keys, store.keys()?);
        let tasks = TaskTracker::new();
        let cut = CancellationToken::new();
        let recorder = Recorder {
            store: Arc::clone(&store),
            prices: Arc::clone(&prices),
            price_lists: price_lists(&config),
            tokens: Tokens,
            secrets: Arc::new(known_secrets(&config, &token)),
            telemetry: Arc::clone(&telemetry),
            clock,
            tasks: tasks.clone(),
            runtime: tokio::runtime::Handle::current(),
        };
        let proxy = Arc::new(Proxy {
            prompts: Arc::clone(&prompts),
            routes: routes(&config),
            providers,
            recorder: Arc::new(recorder),
            cut: cut.clone(),
        });
        let stopping = CancellationToken::new();
        Ok(Self {
            config,
            store,
            prompts,
            proxy,
            keys,
            telemetry,
            prices,
            token,
            tasks,
            stopping,
            cut,
        })
    }

    /// Returns the data plane's state.
    fn data_state(&self) -> DataState {
        DataState {
            proxy: Arc::clone(&self.proxy),
            prompts: Arc::clone(&self.prompts),
            keys: Arc::clone(&self.keys),
            catalogue: Catalogue {
                prompts: Arc::clone(&self.prompts),
                providers: Arc::clone(&self.proxy.providers),
                prices: Arc::clone(&self.prices),
                started: Clock::System.now(),
            },
            places: Arc::new(Semaphore::new(self.config.max_in_flight)),
            body_limits: self.config.body_limits,
            readiness: self.readiness(),
        }
    }

    /// Returns the admin plane's state.
    fn admin_state(&self) -> AdminState {
        AdminState {
            store: Arc::clone(&self.store),
            proxy: Arc::clone(&self.proxy),
            keys: Arc::clone(&self.keys),
            token: Arc::clone(&self.token),
            telemetry: Arc::clone(&self.telemetry),
            readiness: self.readiness(),
            clock: Clock::System,
        }
    }

    /// Returns a way to the admin plane of this process, for a command line without a server.
    #[must_use]
    pub fn admin_client(&self) -> AdminClient {
        AdminClient::local(self.admin_state(), &self.token)
    }

    fn readiness(&self) -> Readiness {
        Readiness {
            stopping: self.stopping.clone(),
            store: Arc::clone(&self.store),
            prompts: Arc::clone(&self.prompts),
        }
    }
}

fn routes(config: &Config) -> Routes {
    Routes {
        providers: config
            .providers
            .iter()
            .map(|provider| provider.name.clone())
            .collect(),
        patterns: config.models.clone(),
        catch_all: config.only_simulated.then(|| "simulated".to_owned()),
        ..Routes::default()
    }
}

/// The price table's names of the configured providers.
fn price_lists(config: &Config) -> BTreeMap<String, &'static str> {
    let named = config.providers.iter();
    named
        .map(|provider| (provider.name.clone(), provider.preset.as_str()))
        .collect()
}

/// Everything that must never be written down.
fn known_secrets(config: &Config, token: &Secret) -> Secrets {
    let mut known = vec![token.clone()];
    for provider in &config.providers {
        known.extend(provider.api_key.clone());
        known.extend(provider.headers.iter().map(|(_, value)| value.clone()));
    }
    known.extend(
        config
            .telemetry
            .otlp_headers
            .iter()
            .map(|(_, value)| value.clone()),
    );
    Secrets::new(&known)
}
