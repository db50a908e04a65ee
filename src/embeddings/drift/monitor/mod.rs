//! Monitors: each holds the traffic of a prompt against a frozen reference, window by window.
//!
//! Windows and references are snapshots, so that a text is embedded once, what was seen can be looked at
//! later, and asking has its pace, its budget and its records. A window is never read twice.

mod collections;
mod documents;
mod inputs;
mod kept;
mod look;
mod searched;
mod send;

pub use crate::embeddings::recorded::Input;
pub use collections::{DocumentsAlarm, DocumentsLook, WatchedCollection, WatchedCollections};
pub use documents::{Documents, DocumentsWish};
pub use kept::{Book, Look, Monitor, Settings};

use crate::domain::{Clock, PicoDollars};
use crate::embeddings::distinct::LiveText;
use crate::embeddings::drift::busy::{Busy, Place};
use crate::embeddings::drift::monitor::inputs::Period;
use crate::embeddings::drift::webhook::{self, Sender, send_unsent};
use crate::embeddings::drift::{Alarm, Budget, FEWEST};
use crate::embeddings::geometry::two_sample::MOST_WINDOW;
use crate::embeddings::name::check_collection;
use crate::embeddings::snapshots::{
    Error, Made, RunOptions, SnapshotWish, Snapshots, SourceText, SpaceWish, blocking,
};
use crate::proxy::Proxy;
use crate::store::Store;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// After so long a window is judged though it is not full, in milliseconds.
const LONGEST_WAIT_MS: i64 = 24 * 3_600_000;
/// How long the reference reaches back when nothing is said, in milliseconds.
const USUAL_SINCE_MS: i64 = 7 * 24 * 3_600_000;
/// The texts of a window when nothing is said.
const USUAL_WINDOW: usize = 500;

/// What is said of a monitor that is to be.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MonitorWish {
    /// Its name.
    pub name: String,
    /// The prompt whose calls it reads.
    pub prompt: String,
    /// Which part of a request is its text.
    pub input: Input,
    /// The space; that of the reference when there is one.
    pub space: SpaceWish,
    /// A snapshot as the reference.
    pub reference: Option<String>,
    /// When the reference's calls begin where there is no snapshot, in Unix milliseconds.
    pub since_ms: Option<i64>,
    /// How many distinct texts make a window.
    pub window: Option<usize>,
    /// The share of calls that is read.
    pub sample: Option<f64>,
    /// How many false alarms a month are expected at most.
    pub alarms_per_month: Option<f64>,
    /// The most that embedding one window may cost.
    pub max_cost: Option<PicoDollars>,
    /// Where alarms are sent: `env:NAME` or `file:PATH` with a URL.
    pub webhook: Option<String>,
    /// A snapshot that texts are looked for in, as queries: what becomes of searches?
    pub search_in: Option<String>,
    /// The cosine below which a best answer is far.
    pub threshold: Option<f64>,
}

/// A monitor and how it stands.
#[derive(Debug, Clone, Serialize)]
pub struct Status {
    /// The monitor.
    #[serde(flatten)]
    pub monitor: Monitor,
    /// How long it must wait until it may look again, in milliseconds; 0 when it need not.
    pub wait_ms: f64,
    /// Its alarms, the newest last.
    pub alarms: Vec<Alarm>,
}

/// All monitors of a process.
#[derive(Debug)]
pub struct Drift {
    snapshots: Arc<Snapshots>,
    store: Arc<Store>,
    clock: Clock,
    sender: Sender,
    book: Mutex<()>,
    busy: Busy,
}

impl Drift {
    /// Opens the room; `environment` is what webhooks may refer to.
    #[must_use]
    pub fn new(
        snapshots: Arc<Snapshots>,
        proxy: &Proxy,
        environment: BTreeMap<String, String>,
    ) -> Self {
        Self {
            snapshots,
            store: Arc::clone(&proxy.recorder.store),
            clock: proxy.recorder.clock,
            sender: Sender::new(&proxy.recorder, environment),
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
    fn change<T>(&self, act: impl FnOnce(&mut Book) -> Result<T, Error>) -> Result<T, Error> {
        let _book = self.book();
        let mut book = Book::read(&self.store)?;
        let done = act(&mut book)?;
        book.write(&self.store)?;
        Ok(done)
    }

    /// Returns all monitors and alarms. Blocks.
    ///
    /// # Errors
    ///
    /// `Kept`, `Invalid`.
    pub fn all(&self) -> Result<Book, Error> {
        let _book = self.book();
        Book::read(&self.store)
    }

    /// Returns a monitor and how it stands. Blocks.
    ///
    /// # Errors
    ///
    /// `NoMonitor`; as [`Drift::all`].
    pub fn status(&self, name: &str) -> Result<Status, Error> {
        let mut book = self.all()?;
        let monitor = found(&mut book, name)?.clone();
        book.alarms.retain(|alarm| alarm.monitor == name);
        Ok(Status {
            wait_ms: monitor.budget.wait_ms(self.now_ms()),
            monitor,
            alarms: book.alarms,
        })
    }

    /// Forgets a monitor; its snapshots and alarms stay. Blocks.
    ///
    /// # Errors
    ///
    /// `NoMonitor`, `NotYet` while it is at work; as [`Drift::all`].
    pub fn stop(&self, name: &str) -> Result<Monitor, Error> {
        let _place = self.claim(name)?;
        self.change(|book| {
            found(book, name)?;
            book.monitors.remove(name).ok_or(Error::Stopping)
        })
    }

    /// Takes a monitor for oneself: nobody looks twice at one window.
    fn claim(&self, name: &str) -> Result<Place, Error> {
        let taken = || not_yet(name, "it is at work", "ask again when that is done");
        self.busy.claim(name).ok_or_else(taken)
    }

    /// Begins a monitor: freezes its reference, which is embedded as far as it was not before.
    ///
    /// # Errors
    ///
    /// `Invalid`; `NotYet` when the records have too few texts; those of snapshots.
    pub async fn start(self: &Arc<Self>, wish: MonitorWish) -> Result<Status, Error> {
        check(&wish)?;
        let _place = self.claim(&wish.name)?;
        let now = self.now_ms();
        let alarms = wish.alarms_per_month.unwrap_or(1.0);
        let budget = Budget::new(alarms, now).ok_or_else(|| {
            let problem = format!("is {alarms}, not above 0 and up to 100");
            Error::invalid("budget-alarms", problem, None)
        })?;
        self.check_free(&wish.name).await?;
        let (given, since) = (wish.reference.clone(), wish.since_ms);
        let mut settings = settings_of(wish);
        self.check_searched(&mut settings).await?;
        let reference = match given {
            Some(reference) => self.given(&reference, &mut settings).await?,
            None => {
                let since = since.unwrap_or(now.saturating_sub(USUAL_SINCE_MS));
                self.drawn(&settings, now, since).await?
            }
        };
        let name = settings.name.clone();
        let monitor = Monitor {
            settings,
            reference,
            budget,
            read_until_ms: now,
            began_ms: now,
            looks: 0,
            last: None,
            fault: None,
        };
        let room = Arc::clone(self);
        blocking(move || {
            room.change(|book| {
                book.monitors.insert(name.clone(), monitor);
                Ok(())
            })?;
            room.status(&name)
        })
        .await
    }

    /// Refuses the name of a monitor there is.
    async fn check_free(self: &Arc<Self>, name: &str) -> Result<(), Error> {
        let (room, name) = (Arc::clone(self), name.to_owned());
        blocking(move || match room.all()?.monitors.get(&name) {
            None => Ok(()),
            Some(_) => {
                let hint = "`drift stop` ends it; `drift accept` brings its reference up to date";
                Err(Error::invalid(&name, "is a monitor already", Some(hint)))
            }
        })
        .await
    }

    /// A snapshot that was named as reference; windows are embedded in its space.
    async fn given(&self, name: &str, settings: &mut Settings) -> Result<String, Error> {
        let (room, name) = (Arc::clone(&self.snapshots), name.to_owned());
        let manifest = blocking(move || room.manifest(&name)).await?;
        if manifest.space.adapter.is_some() {
            let problem = "has vectors that an adapter made, and no model makes such of new texts";
            return Err(Error::invalid(&manifest.name(), problem, None));
        }
        if manifest.items < FEWEST as u64 {
            let problem = format!("has {} items, and {FEWEST} are needed", manifest.items);
            return Err(Error::invalid(&manifest.name(), problem, None));
        }
        settings.space = look::wish_of(&manifest.space);
        Ok(manifest.name())
    }

    /// A reference that is drawn from the records.
    async fn drawn(&self, settings: &Settings, now: i64, since: i64) -> Result<String, Error> {
        let period = Period {
            from_ms: since,
            to_ms: now,
            most: MOST_WINDOW,
            is_drawn: true,
        };
        let (store, of) = (Arc::clone(&self.store), settings.clone());
        let found = blocking(move || inputs::texts(&store, &of, period)).await?;
        let texts = found.texts;
        if texts.len() < FEWEST {
            return Err(too_few(settings, found.calls, texts.len()));
        }
        let made = self
            .snapshot(settings, "reference", sources(&texts))
            .await?;
        made.snapshot
            .map(|manifest| manifest.name())
            .ok_or(Error::Stopping)
    }

    /// Makes a snapshot of texts.
    async fn snapshot(
        &self,
        settings: &Settings,
        kind: &str,
        sources: Vec<SourceText>,
    ) -> Result<Made, Error> {
        let wish = SnapshotWish {
            collection: format!("drift/{}/{kind}", settings.name),
            space: settings.space.clone(),
            source: Some(format!("requests to `{}`", settings.prompt)),
            ..SnapshotWish::default()
        };
        let room = Arc::clone(&self.snapshots);
        let id = blocking(move || {
            let id = room.begin(&wish).map_err(without_model)?.head.id;
            room.append(&id, 0, &sources)?;
            Ok(id)
        })
        .await?;
        let options = RunOptions {
            max_cost: settings.max_cost,
            ..RunOptions::default()
        };
        let mut watched = self.snapshots.run(&id, options).await?;
        // It ends by its own deadlines, and is closed then.
        while watched.progress.changed().await.is_ok() {}
        match watched.end.get() {
            Some(Ok(made)) => Ok(made.clone()),
            Some(Err(told)) => {
                // The next window has other texts: nobody would go on with these.
                let (room, draft) = (Arc::clone(&self.snapshots), watched.draft);
                blocking(move || room.discard(&draft)).await?;
                Err(Error::Told(told.clone()))
            }
            None => Err(Error::Stopping),
        }
    }

    /// Looks at every monitor that is due, each `every`, until `stopping`; alarms that could not be sent are sent
    /// again.
    pub async fn watch(self: Arc<Self>, every: Duration, stopping: CancellationToken) {
        loop {
            tokio::select! {
                () = stopping.cancelled() => return,
                () = sleep(every) => {}
            }
            self.watch_collections().await;
            send_unsent(&self).await;
            for name in self.due().await {
                if stopping.is_cancelled() {
                    return;
                }
                if let Err(error) = Box::pin(self.run(&name)).await {
                    tracing::warn!(monitor = name, %error, "a window was not judged");
                }
            }
        }
    }

    /// The monitors whose windows are full, or have waited long enough.
    async fn due(self: &Arc<Self>) -> Vec<String> {
        let room = Arc::clone(self);
        let found = blocking(move || {
            let now = room.now_ms();
            let mut due = Vec::new();
            for (name, monitor) in room.all()?.monitors {
                if 0.0 < monitor.budget.wait_ms(now) {
                    continue;
                }
                let has_waited = LONGEST_WAIT_MS <= now.saturating_sub(monitor.read_until_ms);
                let wanted = if has_waited {
                    FEWEST
                } else {
                    monitor.settings.window
                };
                if wanted <= room.waiting(&monitor, now)?.len() {
                    due.push(name);
                }
            }
            Ok(due)
        });
        found.await.unwrap_or_else(|error| {
            tracing::error!(%error, "monitors of drift cannot be read");
            Vec::new()
        })
    }

    /// The distinct texts that came since the last window. Blocks.
    fn waiting(&self, monitor: &Monitor, now: i64) -> Result<Vec<LiveText>, Error> {
        let period = Period {
            from_ms: monitor.read_until_ms,
            to_ms: now,
            most: monitor.settings.window,
            is_drawn: false,
        };
        Ok(inputs::texts(&self.store, &monitor.settings, period)?.texts)
    }
}

fn found<'a>(book: &'a mut Book, name: &str) -> Result<&'a mut Monitor, Error> {
    let choices = book.monitors.keys().cloned().collect();
    let missing = || Error::NoMonitor {
        name: name.to_owned(),
        choices,
    };
    book.monitors.get_mut(name).ok_or_else(missing)
}

fn not_yet(name: &str, problem: impl Into<String>, hint: &str) -> Error {
    Error::NotYet {
        name: name.to_owned(),
        problem: problem.into(),
        hint: hint.to_owned(),
    }
}

fn sources(texts: &[LiveText]) -> Vec<SourceText> {
    let source = |text: &LiveText| SourceText {
        id: text.id.clone(),
        text: text.text.clone(),
        metadata: Some(json!({"at_ms": text.at_ms})),
    };
    texts.iter().map(source).collect()
}

fn settings_of(wish: MonitorWish) -> Settings {
    Settings {
        name: wish.name,
        prompt: wish.prompt,
        input: wish.input,
        space: wish.space,
        window: wish.window.unwrap_or(USUAL_WINDOW),
        sample: wish.sample.unwrap_or(1.0),
        max_cost: wish.max_cost,
        webhook: wish.webhook,
        search_in: wish.search_in,
        threshold: wish.threshold,
    }
}

fn check(wish: &MonitorWish) -> Result<(), Error> {
    check_collection(&wish.name)?;
    if wish.name.contains('/') || 60 < wish.name.len() {
        let problem = "is no name of a monitor: no `/`, and at most 60 characters";
        return Err(Error::invalid(&wish.name, problem, None));
    }
    if wish.prompt.is_empty() {
        return Err(Error::invalid("prompt", "is missing", None));
    }
    let window = wish.window.unwrap_or(USUAL_WINDOW);
    if !(FEWEST..=MOST_WINDOW).contains(&window) {
        let problem = format!("is {window}, not from {FEWEST} to {MOST_WINDOW}");
        return Err(Error::invalid("window", problem, None));
    }
    let sample = wish.sample.unwrap_or(1.0);
    if !(0.0 < sample && sample <= 1.0) {
        let problem = format!("is {sample}, not above 0 and up to 1");
        return Err(Error::invalid("sample", problem, None));
    }
    if wish.reference.is_some() && wish.since_ms.is_some() {
        return Err(Error::invalid("since", "is said beside `reference`", None));
    }
    if wish.reference.is_some() && wish.space != SpaceWish::default() {
        let hint = "windows are embedded in the space of the reference";
        return Err(Error::invalid(
            "model",
            "is said beside `reference`",
            Some(hint),
        ));
    }
    if wish.threshold.is_some() && wish.search_in.is_none() {
        let hint = "say in which snapshot: `--search-in`";
        return Err(Error::invalid(
            "threshold",
            "is said without one to search",
            Some(hint),
        ));
    }
    wish.webhook.as_deref().map_or(Ok(()), webhook::check)
}
/// Says why records make no reference: there are none of the prompt, they have nothing that is watched, or few of
/// it.
fn too_few(settings: &Settings, calls: usize, texts: usize) -> Error {
    let prompt = &settings.prompt;
    let (problem, hint) = match (calls, texts, &settings.input) {
        (0, ..) => (
            format!("there is no call of `{prompt}` of that time in the records"),
            "see whether the prompt is called so (`promptgate calls list`), or reach farther back (`--since 30d`)",
        ),
        (_, 0, Input::Variable(name)) => (
            format!("none of {calls} calls of `{prompt}` of that time has a variable `{name}`"),
            "see which variables they have (`promptgate calls show`), or watch `--messages`",
        ),
        _ => (
            format!(
                "the records of `{prompt}` have {texts} distinct texts of that time in {calls} calls, and a reference takes {FEWEST}"
            ),
            "reach farther back (`--since 30d`), or name a snapshot (`--reference`)",
        ),
    };
    not_yet(&settings.name, problem, hint)
}

/// Nobody declares the collections of a monitor: it says by itself what embeds.
fn without_model(error: Error) -> Error {
    if !matches!(error, Error::NoModel { .. }) {
        return error;
    }
    let hint = "say `--model openai/text-embedding-3-small`, `--space` with one of embeddings.toml, or a snapshot as `--reference`";
    Error::invalid(
        "model",
        "is not said, and texts are embedded by one",
        Some(hint),
    )
}
