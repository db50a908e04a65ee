//! `promptgate serve`.

use crate::app::{self, App, Environment, Reload, Running, Shutdown};
use crate::cli::Common;
use crate::cli::output::{self, Failure};
use crate::telemetry;
use clap::Args;
use std::path::PathBuf;
use tokio::signal::unix::{Signal, SignalKind, signal};

#[derive(Debug, Args)]
pub(crate) struct ServeArguments {
    /// The directory of suites, which run by themselves when they have a schedule (default: ./evals).
    #[arg(long, env = "PROMPTGATE_EVALS", value_name = "DIR")]
    evals: Option<PathBuf>,
}

/// Serves until a signal says otherwise.
pub(crate) async fn run(
    arguments: &ServeArguments,
    common: &Common,
    environment: &Environment,
) -> Result<(), Failure> {
    let mut overrides = common.overrides();
    overrides.evals.clone_from(&arguments.evals);
    let config = app::load(&overrides, environment)?;
    let logs = telemetry::init_logs(&config.telemetry);
    logs.map_err(|error| Failure::usage(format!("the log cannot be set up: {error}")))?;
    let running = App::build(config)?.bind().await?;
    let shutdown = Shutdown::default();
    let signals = Signals::install()?;
    announce(&running)?;
    let stop = shutdown.clone();
    let reload = Reload::default();
    let watching = signals.pass_on(stop, Reload::clone(&reload));
    tokio::select! {
        result = running.run(shutdown, reload) => Ok(result?),
        () = watching => Ok(()),
    }
}

/// The first line on stdout names the bound addresses; the rest is for people.
fn announce(running: &Running) -> Result<(), Failure> {
    let bound = running.bound();
    let app = running.app();
    output::put(&format!(
        "listening data=http://{} admin=http://{}\n",
        bound.data, bound.admin
    ))?;
    let access = if app.is_open() {
        "open to every program on this machine (no key exists yet; `promptgate keys create NAME` makes one)"
    } else {
        "by key"
    };
    let mut text = format!(
        "promptgate {} serves {} prompts at http://{}/v1\naccess: {access}\n",
        env!("CARGO_PKG_VERSION"),
        app.prompt_count(),
        bound.data,
    );
    if app.is_only_simulated() {
        text.push_str(
            "providers: no API key was found, so every known model is answered by the built-in `simulated` \
             provider (set OPENAI_API_KEY, ANTHROPIC_API_KEY, ... to ask real ones)\n",
        );
    }
    output::say(&text);
    Ok(())
}

/// The signals that end the process, and the one to read the config again.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn install() -> Result<Self, Failure> {
        let listen = |kind| {
            signal(kind).map_err(|error| Failure::new(format!("signals cannot be caught: {error}")))
        };
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            hangup: listen(SignalKind::hangup())?,
        })
    }

    /// The first signal stops gently, the second at once. Never returns.
    async fn pass_on(mut self, shutdown: Shutdown, reload: Reload) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => {}
                _ = self.interrupt.recv() => {}
                _ = self.hangup.recv() => {
                    reload.notify_one();
                    continue;
                }
            }
            if shutdown.gently.is_cancelled() {
                shutdown.now.cancel();
            } else {
                output::say("stopping: open calls may finish; a second signal cuts them\n");
                shutdown.gently.cancel();
            }
        }
    }
}
