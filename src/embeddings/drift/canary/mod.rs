//! Canaries: a few fixed texts of a snapshot, embedded again and again, that show when a provider changed the
//! model under the same name.
//!
//! How much vectors differ without a change is measured, not assumed: when a canary begins it embeds its texts
//! in several rounds. A check is one request. Only what lies beyond the noise is asked for again, at once and
//! a bounded number of times, and the rounds of then and now are held against each other.

mod check;
mod hatch;
mod kept;
mod message;
mod rounds;
mod send;

pub use kept::{Aviary, Canary, CanaryAlarm, Check, Measured, Outcome, Settings, Spent};
pub use rounds::{Change, ROUNDS};

use crate::domain::Clock;
use crate::embeddings::drift::busy::{Busy, Place};
use crate::embeddings::drift::canary::kept::Files;
use crate::embeddings::drift::canary::rounds::least_chance;
use crate::embeddings::drift::webhook::{self, Sender, send_unsent};
use crate::embeddings::name::check_collection;
use crate::embeddings::snapshots::{Error, Snapshots, blocking};
use crate::proxy::Proxy;
use crate::store::Store;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// The texts of a canary when nothing is said.
const USUAL_TEXTS: usize = 20;
/// The most texts of a canary: every provider takes so many in one request.
const MOST_TEXTS: usize = 64;
/// How often it checks when nothing is said, in milliseconds.
const USUAL_EVERY_MS: i64 = 3_600_000;
/// The longest time between checks, in milliseconds.
const LONGEST_EVERY_MS: i64 = MONTH_MS;
const MONTH_MS: i64 = 30 * 86_400_000;

/// What is said of a canary that is to be.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CanaryWish {
    /// Its name.
    pub name: String,
    /// The snapshot whose texts are embedded, in its space.
    pub snapshot: String,
    /// How many texts.
    pub texts: Option<usize>,
    /// How long after a check the next one is, in milliseconds.
    pub every_ms: Option<i64>,
    /// How many false alarms a month are expected at most.
    pub alarms_per_month: Option<f64>,
    /// Where alarms are sent: `env:NAME` or `file:PATH` with a URL.
    pub webhook: Option<String>,
}

/// A canary and its alarms.
#[derive(Debug, Clone, Serialize)]
pub struct CanaryStatus {
    /// The canary.
    #[serde(flatten)]
    pub canary: Canary,
    /// The floor of noise that holds.
    pub floor: f64,
    /// Its alarms, the newest last.
    pub alarms: Vec<CanaryAlarm>,
}

/// All canaries of a process.
#[derive(Debug)]
pub struct Canaries {
    snapshots: Arc<Snapshots>,
    store: Arc<Store>,
    proxy: Arc<Proxy>,
    clock: Clock,
    files: Files,
    book: Mutex<()>,
    busy: Busy,
    sender: Sender,
}

impl Canaries {
    /// Opens the room; files are kept in `dir`, and `environment` is what webhooks may refer to.
    #[must_use]
    pub fn new(
        snapshots: Arc<Snapshots>,
        proxy: Arc<Proxy>,
        dir: PathBuf,
        environment: BTreeMap<String, String>,
    ) -> Self {
        Self {
            snapshots,
            store: Arc::clone(&proxy.recorder.store),
            clock: proxy.recorder.clock,
            sender: Sender::new(&proxy.recorder, environment),
            proxy,
            files: Files::new(dir),
            book: Mutex::default(),
            busy: Busy::default(),
        }
    }

    fn now_ms(&self) -> i64 {
        self.clock.now().unix_millis()
    }

    /// Waits until nobody writes: what is read then is on the disk, and no crash takes it back. Blocks.
    fn book(&self) -> MutexGuard<'_, ()> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes what is kept. Blocks.
    fn change<T>(&self, act: impl FnOnce(&mut Aviary) -> Result<T, Error>) -> Result<T, Error> {
        let _book = self.book();
        let mut all = Aviary::read(&self.store)?;
        let before = all.clone();
        let done = act(&mut all)?;
        if all != before {
            all.write(&self.store)?;
        }
        Ok(done)
    }

    /// Returns all canaries and alarms. Blocks.
    ///
    /// # Errors
    ///
    /// `Kept`, `Invalid`.
    pub fn all(&self) -> Result<Aviary, Error> {
        let _book = self.book();
        Aviary::read(&self.store)
    }

    /// Returns a canary and its alarms. Blocks.
    ///
    /// # Errors
    ///
    /// `NoCanary`; as [`Canaries::all`].
    pub fn status(&self, name: &str) -> Result<CanaryStatus, Error> {
        let mut all = self.all()?;
        let canary = all.found(name)?.clone();
        all.alarms.retain(|alarm| alarm.canary == name);
        Ok(CanaryStatus {
            floor: canary.normal.floor(),
            canary,
            alarms: all.alarms,
        })
    }

    /// Ends a canary; its alarms stay. Blocks.
    ///
    /// # Errors
    ///
    /// `NoCanary`, `CanaryBusy`; as [`Canaries::all`].
    pub fn stop(&self, name: &str) -> Result<Canary, Error> {
        let _place = self.claim(name)?;
        let ended = self.change(|all| {
            all.found(name)?;
            all.canaries.remove(name).ok_or(Error::Stopping)
        })?;
        self.tidy();
        Ok(ended)
    }

    fn claim(&self, name: &str) -> Result<Place, Error> {
        self.busy.claim(name).ok_or_else(|| Error::CanaryBusy {
            name: name.to_owned(),
        })
    }

    /// Removes files that nobody needs any more. Blocks.
    fn tidy(&self) {
        let _book = self.book();
        let tidied = Aviary::read(&self.store).and_then(|all| self.files.keep(&all));
        if let Err(error) = tidied {
            tracing::warn!(%error, "old files of canaries cannot be removed");
        }
    }

    /// Begins a canary: draws its texts and measures what is normal.
    ///
    /// # Errors
    ///
    /// `Invalid`, `CanaryBusy`; those of snapshots and of asking.
    pub async fn start(self: &Arc<Self>, wish: CanaryWish) -> Result<CanaryStatus, Error> {
        let settings = settings_of(wish)?;
        let _place = self.claim(&settings.name)?;
        let (room, of) = (Arc::clone(self), settings);
        let (settings, manifest) = blocking(move || {
            if room.all()?.canaries.contains_key(&of.name) {
                let hint = "`canary stop` ends it; `canary accept` takes what it saw as normal";
                return Err(Error::invalid(&of.name, "is a canary already", Some(hint)));
            }
            let manifest = room.snapshots.manifest(&of.snapshot)?;
            let snapshot = manifest.name();
            Ok((Settings { snapshot, ..of }, manifest))
        })
        .await?;
        let name = settings.name.clone();
        let canary = self.hatch(settings, manifest).await?;
        self.put(&name, canary).await?;
        let room = Arc::clone(self);
        blocking(move || room.status(&name)).await
    }

    /// Keeps a canary in place of the one there is.
    async fn put(self: &Arc<Self>, name: &str, canary: Canary) -> Result<(), Error> {
        let (room, name) = (Arc::clone(self), name.to_owned());
        blocking(move || {
            room.change(|all| {
                all.canaries.insert(name, canary);
                Ok(())
            })
        })
        .await
    }

    /// Checks every canary that is due, each `every`, until `stopping`; alarms that could not be sent are sent
    /// again.
    pub async fn watch(self: Arc<Self>, every: Duration, stopping: CancellationToken) {
        loop {
            tokio::select! {
                () = stopping.cancelled() => return,
                () = sleep(every) => {}
            }
            send_unsent(&self).await;
            for name in self.due().await {
                if stopping.is_cancelled() {
                    return;
                }
                if let Err(error) = Box::pin(self.check(&name)).await {
                    tracing::warn!(canary = name, %error, "a canary was not checked");
                }
            }
        }
    }

    async fn due(self: &Arc<Self>) -> Vec<String> {
        let room = Arc::clone(self);
        let found = blocking(move || {
            let now = room.now_ms();
            let canaries = room.all()?.canaries.into_iter();
            let due = canaries.filter(|(_, canary)| canary.due_ms <= now);
            Ok(due.map(|(name, _)| name).collect())
        });
        found.await.unwrap_or_else(|error| {
            tracing::error!(%error, "canaries cannot be read");
            Vec::new()
        })
    }
}

/// Returns the level of one check: the part of the budget that its time has.
fn level(settings: &Settings) -> f64 {
    settings.alarms_per_month * settings.every_ms as f64 / MONTH_MS as f64
}

fn settings_of(wish: CanaryWish) -> Result<Settings, Error> {
    check_collection(&wish.name)?;
    if wish.name.contains('/') || 60 < wish.name.len() {
        let problem = "is no name of a canary: no `/`, and at most 60 characters";
        return Err(Error::invalid(&wish.name, problem, None));
    }
    let settings = Settings {
        name: wish.name,
        snapshot: wish.snapshot,
        texts: wish.texts.unwrap_or(USUAL_TEXTS),
        every_ms: wish.every_ms.unwrap_or(USUAL_EVERY_MS),
        alarms_per_month: wish.alarms_per_month.unwrap_or(1.0),
        webhook: wish.webhook,
    };
    if !(1..=MOST_TEXTS).contains(&settings.texts) {
        let problem = format!("is {}, not from 1 to {MOST_TEXTS}", settings.texts);
        return Err(Error::invalid("texts", problem, None));
    }
    let alarms = settings.alarms_per_month;
    if !(0.0 < alarms && alarms <= 100.0) {
        let problem = format!("is {alarms}, not above 0 and up to 100");
        return Err(Error::invalid("budget-alarms", problem, None));
    }
    let every = settings.every_ms;
    let least = least_chance(ROUNDS, ROUNDS);
    if every <= 0 || LONGEST_EVERY_MS < every || level(&settings) < least {
        let minutes = (least * MONTH_MS as f64 / alarms / 60_000.0).ceil();
        let said = match every {
            ..60_000 => format!("{} s", every as f64 / 1_000.0),
            _ => format!("{:.1} minutes", every as f64 / 60_000.0),
        };
        let problem = format!(
            "is {said}: with {alarms} expected false alarms a month it is from {minutes} minutes to 30 days"
        );
        let hint = "check less often, or allow more false alarms (`--budget-alarms`)";
        return Err(Error::invalid("every", problem, Some(hint)));
    }
    settings.webhook.as_deref().map_or(Ok(()), webhook::check)?;
    Ok(settings)
}

#[cfg(test)]
mod tests {
    use super::{CanaryWish, settings_of};

    fn wish() -> CanaryWish {
        CanaryWish {
            name: "small".to_owned(),
            snapshot: "docs@2".to_owned(),
            ..CanaryWish::default()
        }
    }

    #[test]
    fn a_canary_checks_no_oftener_than_chance_can_be_told() {
        let usual = settings_of(wish()).unwrap();
        assert_eq!((usual.texts, usual.every_ms), (20, 3_600_000));
        for (every_ms, alarms, is_taken) in [
            (600_000, 1.0, true),
            (300_000, 1.0, false),
            (3_600_000, 0.1, false),
            (5_000, 100.0, true),
            (0, 1.0, false),
            (i64::MAX, 1.0, false),
        ] {
            let wish = CanaryWish {
                every_ms: Some(every_ms),
                alarms_per_month: Some(alarms),
                ..wish()
            };
            assert_eq!(settings_of(wish).is_ok(), is_taken, "{every_ms} {alarms}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let refused = |change: fn(&mut CanaryWish)| {
            let mut wish = wish();
            change(&mut wish);
            settings_of(wish).unwrap_err().to_string()
        };
        assert!(refused(|wish| wish.texts = Some(65)).contains("not from 1 to 64"));
        assert!(refused(|wish| wish.alarms_per_month = Some(0.0)).contains("budget-alarms"));
        assert!(refused(|wish| wish.name = "a/b".to_owned()).contains("no name of a canary"));
        let told = refused(|wish| wish.every_ms = Some(60_000));
        assert!(told.contains("from 7 minutes to 30 days"), "{told}");
        let told = refused(|wish| wish.every_ms = Some(1_000));
        assert!(told.contains("`every` is 1 s: "), "{told}");
    }
}
