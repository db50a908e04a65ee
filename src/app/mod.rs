//! Builds the house from its config, runs it, and closes it in order.

mod archive;
mod config;
mod declarations;
mod error;
mod evals;
mod file;
mod origin;
mod pricing;
mod provider;
mod rendezvous;
mod run;
mod source;
mod units;
mod upstreams;

pub use archive::{has_records, read_only_archive};
pub use config::{Config, load, secret};
pub use declarations::{declared, declared_and_held};
pub use error::Error;
pub use file::parse_toml;
pub use origin::{Environment, Overrides};
pub use pricing::{PriceBook, price_book};
pub use rendezvous::{Rendezvous, admin_token};
pub use run::{Bound, Reload, Running, Shutdown};

use crate::access::KeyRing;
use crate::app::archive::Archive;
use crate::domain::{Clock, Secret};
use crate::embeddings::declared::{CurrentDeclared, Declared};
use crate::embeddings::drift::canary::Canaries;
use crate::embeddings::drift::monitor::Drift;
use crate::embeddings::migrate::Migrations;
use crate::embeddings::snapshots::{self, Snapshots};
use crate::embeddings::vault::Vault;
use crate::evals::ledger::Ledger;
use crate::evals::run::Runs;
use crate::evals::schedule::{self, Scheduler};
use crate::metering::Tokens;
use crate::prompts::Prompts;
use crate::providers;
use crate::proxy::{CurrentUpstreams, Proxy, Recorder, Shadows};
use crate::server::{self, AdminClient, AdminState, Catalogue, DataState, Readiness};
use crate::store::Store;
use crate::telemetry::Telemetry;
use std::num::NonZeroUsize;
use std::sync::Arc;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Returns how many cores there are.
fn cores() -> NonZeroUsize {
    std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
}

/// The built house.
#[derive(Debug)]
pub struct App {
    config: Config,
    store: Arc<Store>,
    prompts: Arc<Prompts>,
    proxy: Arc<Proxy>,
    keys: Arc<KeyRing>,
    telemetry: Arc<Telemetry>,
    token: Arc<Secret>,
    evals: Arc<Runs>,
    schedules: Arc<Scheduler>,
    embeddings: Arc<Snapshots>,
    drift: Arc<Drift>,
    canaries: Arc<Canaries>,
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
        // A remote may be fetched over https before any provider is built.
        providers::install_tls();
        let prompts = Prompts::open(config.prompts.clone(), archive)?;
        let declared = declared(&config.embeddings)?;
        let app = Self::furnish(config, store, prompts, declared)?;
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
        // Commands that need it read it themselves first; it may be broken, as the prompts may.
        let declared = declared(&config.embeddings).unwrap_or_default();
        Self::furnish(config, store, prompts, declared)
    }

    fn furnish(
        config: Config,
        store: Arc<Store>,
        prompts: Prompts,
        declared: Declared,
    ) -> Result<Self, Error> {
        let clock = Clock::System;
        let prompts = Arc::new(prompts);
        let token = Arc::new(admin_token(&config.store.dir)?);
        providers::install_tls();
        let upstreams = CurrentUpstreams::new(upstreams::first(&config, &token)?);
        let upstreams = Arc::new(upstreams);
        let telemetry = Telemetry::new(&config.telemetry);
        let telemetry = Arc::new(telemetry.map_err(|error| Error::Telemetry(error.to_string()))?);
        let keys = Arc::new(KeyRing::new(clock, !config.listen.ip().is_loopback()));
        server::load_keys(&keys, store.keys()?);
        let (tasks, cut) = (TaskTracker::new(), CancellationToken::new());
        let recorder = Recorder {
            store: Arc::clone(&store),
            tokens: Tokens,
            counting: Arc::new(Semaphore::new(cores().get())),
            telemetry: Arc::clone(&telemetry),
            clock,
            tasks: tasks.clone(),
            runtime: tokio::runtime::Handle::current(),
        };
        let proxy = Arc::new(Proxy {
            prompts: Arc::clone(&prompts),
            upstreams,
            recorder: Arc::new(recorder),
            cut: cut.clone(),
            shadows: Shadows::default(),
        });
        let stopping = CancellationToken::new();
        let upstreams = Some(Arc::clone(&proxy.upstreams));
        let ledger = Arc::new(Ledger::new(Arc::clone(&store), upstreams, clock));
        let evals = Runs::new(ledger, Arc::clone(&proxy), stopping.clone());
        let evals = Arc::new(evals.with_config(config.runs.clone()));
        let schedules = Scheduler::new(
            schedule::Config {
                evals: config.evals.clone(),
                claims: config.claims.clone(),
                environment: config.origin.environment.variables().clone(),
            },
            Arc::clone(&evals),
            Arc::clone(&proxy),
            clock,
        );
        let vectors = vectors(&config, &store, &proxy, declared, &stopping)?;
        Ok(Self {
            config,
            store,
            prompts,
            proxy,
            keys,
            telemetry,
            token,
            evals,
            schedules: Arc::new(schedules),
            embeddings: vectors.snapshots,
            drift: vectors.drift,
            canaries: vectors.canaries,
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
            embeddings: Arc::clone(&self.embeddings),
            catalogue: Catalogue {
                embeddings: Arc::clone(&self.embeddings),
                prompts: Arc::clone(&self.prompts),
                upstreams: Arc::clone(&self.proxy.upstreams),
                clock: Clock::System,
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
            hooks: Arc::new(self.config.hooks.clone()),
            bundles: Arc::new(Semaphore::new(1)),
            evals: Arc::clone(&self.evals),
            schedules: Arc::clone(&self.schedules),
            embeddings: Arc::clone(&self.embeddings),
            drift: Arc::clone(&self.drift),
            canaries: Arc::clone(&self.canaries),
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

/// The room of embeddings, and what watches it.
struct Vectors {
    snapshots: Arc<Snapshots>,
    drift: Arc<Drift>,
    canaries: Arc<Canaries>,
}

/// Opens the room of embeddings.
fn vectors(
    config: &Config,
    store: &Arc<Store>,
    proxy: &Arc<Proxy>,
    declared: Declared,
    stopping: &CancellationToken,
) -> Result<Vectors, Error> {
    let environment = config.origin.environment.variables().clone();
    let dir = config.store.dir.join(declarations::VECTORS);
    let vault = Arc::new(Vault::open(&dir, Arc::clone(store))?);
    let canaries = dir.join("canaries");
    let config = snapshots::Config {
        dir,
        limits: config.embedding_limits,
    };
    let declared = Arc::new(CurrentDeclared::new(declared));
    let migrations = Migrations::open(Arc::clone(store), &declared)?;
    let (of, stopping) = (Arc::clone(proxy), stopping.clone());
    let room = Snapshots::new(&config, vault, of, declared, migrations, stopping);
    let room = Arc::new(room);
    let drift = Drift::new(Arc::clone(&room), proxy, environment.clone());
    let canaries = Canaries::new(Arc::clone(&room), Arc::clone(proxy), canaries, environment);
    Ok(Vectors {
        snapshots: room,
        drift: Arc::new(drift),
        canaries: Arc::new(canaries),
    })
}
