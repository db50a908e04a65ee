//! Start and stop: listeners first, then calls; readiness goes first, then the listeners, then what
//! is still open, and last the records.

use crate::app::rendezvous::Rendezvous;
use crate::app::upstreams::Reloader;
use crate::app::{App, Error, cores};
use crate::server::{self, Stop, Workers};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// How the process is asked to stop.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    /// Let open calls finish.
    pub gently: CancellationToken,
    /// Finish now; records are still written.
    pub now: CancellationToken,
}

/// Asks a running gateway to read its config again.
pub type Reload = Arc<Notify>;

/// The addresses that were bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bound {
    /// The data plane.
    pub data: SocketAddr,
    /// The admin plane.
    pub admin: SocketAddr,
}

/// A gateway whose listeners are bound.
#[derive(Debug)]
pub struct Running {
    app: App,
    data: TcpListener,
    admin: TcpListener,
    bound: Bound,
}

impl App {
    /// Binds the listeners: from here on connections wait, and are answered once [`Running::run`] runs.
    ///
    /// # Errors
    ///
    /// When an address cannot be bound.
    pub async fn bind(self) -> Result<Running, Error> {
        let data = listen(self.config.listen).await?;
        let admin = listen(self.config.admin_listen).await?;
        let address = |listener: &TcpListener, asked| listener.local_addr().unwrap_or(asked);
        let bound = Bound {
            data: address(&data, self.config.listen),
            admin: address(&admin, self.config.admin_listen),
        };
        let rendezvous = Rendezvous {
            pid: std::process::id(),
            data: bound.data,
            admin: bound.admin,
        };
        let dir = &self.config.store.dir;
        if let Err(error) = rendezvous.announce(dir) {
            // A server that commands cannot find still answers calls.
            tracing::error!(%error, "commands cannot find this server yet");
            let again = rendezvous.announce_again(dir.clone(), self.stopping.clone());
            self.tasks.spawn(again);
        }
        Ok(Running {
            app: self,
            data,
            admin,
            bound,
        })
    }

    /// Whether callers need no key.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.keys.is_open()
    }

    /// Whether every model is simulated, because no provider has a key.
    #[must_use]
    pub const fn is_only_simulated(&self) -> bool {
        self.config.only_simulated
    }

    /// How many prompts are served.
    #[must_use]
    pub fn prompt_count(&self) -> usize {
        self.prompts.snapshot().len()
    }
}

async fn listen(address: SocketAddr) -> Result<TcpListener, Error> {
    TcpListener::bind(address)
        .await
        .map_err(|problem| Error::Bind { address, problem })
}

impl Running {
    /// Returns where it listens.
    #[must_use]
    pub const fn bound(&self) -> Bound {
        self.bound
    }

    /// Returns the built house.
    #[must_use]
    pub const fn app(&self) -> &App {
        &self.app
    }

    /// Serves until `shutdown`, then stops in order. The config is read again when its file changes or
    /// `reload` asks for it.
    ///
    /// # Errors
    ///
    /// When the store cannot be closed cleanly.
    pub async fn run(self, shutdown: Shutdown, reload: Reload) -> Result<(), Error> {
        let Self {
            app, data, admin, ..
        } = self;
        app.start_background_work(reload);
        let (data_stop, admin_stop) = (Stop::default(), Stop::default());
        let serving = app.serve_data(data, data_stop.clone())?;
        let administering = app.serve_admin(admin, admin_stop.clone());

        shutdown.gently.cancelled().await;
        app.stopping.cancel();
        wait(app.config.drain_delay, &shutdown.now).await;
        data_stop.accepting.cancel();
        tokio::select! {
            _ = serving => {}
            () = wait(app.config.drain_timeout, &shutdown.now) => {}
        }
        // Streams that are still open end with an error event; then their connections go.
        app.cut.cancel();
        admin_stop.accepting.cancel();
        wait_for_connections(&app).await;
        data_stop.cut.cancel();
        admin_stop.cut.cancel();
        let _ = administering.await;
        app.close().await
    }
}

impl App {
    /// Starts what goes on beside the calls.
    fn start_background_work(&self, reload: Reload) {
        let prompts = Arc::clone(&self.prompts);
        let stopping = self.stopping.clone();
        self.tasks
            .spawn(async move { prompts.watch(stopping).await });
        let reloader = Reloader::of(self);
        self.tasks
            .spawn(reloader.follow(reload, self.stopping.clone()));
        let prompts = Arc::clone(&self.prompts);
        let stopping = self.stopping.clone();
        self.tasks
            .spawn(async move { prompts.number_in_background(stopping).await });
        let prompts = Arc::clone(&self.prompts);
        let stopping = self.stopping.clone();
        self.tasks
            .spawn(async move { prompts.end_overrides(stopping).await });
        let schedules = Arc::clone(&self.schedules);
        let (tasks, stopping) = (self.tasks.clone(), self.stopping.clone());
        self.tasks
            .spawn(async move { schedules.run(tasks, stopping).await });
        self.embeddings.go_on_migrating();
        let (drift, stopping) = (Arc::clone(&self.drift), self.stopping.clone());
        let every = self.config.watch_every;
        self.tasks
            .spawn(async move { drift.watch(every, stopping).await });
        let (canaries, stopping) = (Arc::clone(&self.canaries), self.stopping.clone());
        self.tasks
            .spawn(async move { canaries.watch(every, stopping).await });
    }

    /// Serves the data plane on a thread for each core.
    fn serve_data(&self, listener: TcpListener, stop: Stop) -> Result<JoinHandle<()>, Error> {
        let workers = Workers::start(cores()).map_err(|problem| Error::Threads { problem })?;
        let (router, limits) = (server::data(self.data_state()), self.config.limits.clone());
        Ok(self.tasks.spawn(async move {
            server::serve(listener, router, limits, stop, &workers).await;
        }))
    }

    /// Serves the admin plane beside the background work, where a long answer holds up no call.
    fn serve_admin(&self, listener: TcpListener, stop: Stop) -> JoinHandle<()> {
        let (router, limits) = (
            server::admin(self.admin_state()),
            self.config.limits.clone(),
        );
        self.tasks.spawn(async move {
            server::serve(listener, router, limits, stop, &Workers::here()).await;
        })
    }
}

/// Waits for `span`, or until the operator loses patience.
async fn wait(span: Duration, now: &CancellationToken) {
    tokio::select! {
        () = tokio::time::sleep(span) => {}
        () = now.cancelled() => {}
    }
}

/// Gives cut streams a moment to say so to their clients.
async fn wait_for_connections(app: &App) {
    app.tasks.close();
    let _ = tokio::time::timeout(Duration::from_millis(500), app.tasks.wait()).await;
}

impl App {
    /// Waits for the last records and closes the store.
    ///
    /// # Errors
    ///
    /// None so far.
    pub async fn close(self) -> Result<(), Error> {
        self.tasks.close();
        let _ = tokio::time::timeout(Duration::from_secs(10), self.tasks.wait()).await;
        self.telemetry.flush(Duration::from_secs(3));
        Rendezvous::withdraw(&self.config.store.dir);
        self.store.close();
        Ok(())
    }
}
