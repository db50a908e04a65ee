//! The HTTP edges: the accept loop, the routers, the layers, and the one map from errors to HTTP.

mod body;
mod client;
mod deliver;
mod error;
mod headers;
mod hooks;
mod layers;
mod lines;
mod listener;
mod readiness;
mod router;
mod routes;
mod stall;
mod trace;
mod workers;

pub use body::BodyLimits;
pub use client::{AdminClient, AdminReply, ClientError};
pub use hooks::{Hooks, bundle_preamble};
pub use listener::{Limits, Stop, serve};
pub use readiness::{Readiness, ReadinessReport};
pub use router::{admin, data};
pub use routes::keys::load as load_keys;
pub use workers::Workers;

use crate::access::KeyRing;
use crate::domain::{Clock, Secret, Timestamp};
use crate::embeddings::drift::canary::Canaries;
use crate::embeddings::drift::monitor::Drift;
use crate::embeddings::snapshots::Snapshots;
use crate::evals::run::Runs;
use crate::evals::schedule::Scheduler;
use crate::prompts::Prompts;
use crate::proxy::{CurrentUpstreams, Proxy};
use crate::store::Store;
use crate::telemetry::Telemetry;
use axum::extract::FromRef;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// The rooms behind the data plane; a handler asks for the one it uses.
#[derive(Debug, Clone, FromRef)]
pub struct DataState {
    /// The way of a call.
    pub proxy: Arc<Proxy>,
    /// The prompts.
    pub prompts: Arc<Prompts>,
    /// Who may call.
    pub keys: Arc<KeyRing>,
    /// Versions of embeddings.
    pub embeddings: Arc<Snapshots>,
    /// What `/v1/models` lists.
    pub catalogue: Catalogue,
    /// Places for calls in flight.
    pub places: Arc<Semaphore>,
    /// Bounds of request bodies.
    pub body_limits: BodyLimits,
    /// Whether new calls are welcome.
    pub readiness: Readiness,
}

/// The room behind the calls that cost money.
#[derive(Debug, Clone, FromRef)]
struct CallState {
    /// The way of a call.
    proxy: Arc<Proxy>,
    /// Versions of embeddings.
    embeddings: Arc<Snapshots>,
    /// Bounds of request bodies.
    body_limits: BodyLimits,
}

/// The rooms behind the admin plane.
#[derive(Debug, Clone, FromRef)]
pub struct AdminState {
    /// The records.
    pub store: Arc<Store>,
    /// Rebuilds what a call was made from.
    pub proxy: Arc<Proxy>,
    /// Who may call.
    pub keys: Arc<KeyRing>,
    /// What opens the admin plane.
    pub token: Arc<Secret>,
    /// Counters.
    pub telemetry: Arc<Telemetry>,
    /// Whether new calls are welcome.
    pub readiness: Readiness,
    /// The time of day.
    pub clock: Clock,
    /// What proves who tells of new commits.
    pub hooks: Arc<Hooks>,
    /// Places for bundles that are being taken.
    pub bundles: Arc<Semaphore>,
    /// Runs of evals.
    pub evals: Arc<Runs>,
    /// Runs that begin by themselves.
    pub schedules: Arc<Scheduler>,
    /// Snapshots of embeddings.
    pub embeddings: Arc<Snapshots>,
    /// Monitors of drift.
    pub drift: Arc<Drift>,
    /// Canaries of providers' models.
    pub canaries: Arc<Canaries>,
}

/// What there is to be called.
#[derive(Debug, Clone)]
pub struct Catalogue {
    /// The prompts.
    pub prompts: Arc<Prompts>,
    /// Versions of embeddings.
    pub embeddings: Arc<Snapshots>,
    /// The providers, and what their models cost.
    pub upstreams: Arc<CurrentUpstreams>,
    /// The time of day.
    pub clock: Clock,
    /// When the process started.
    pub started: Timestamp,
}
