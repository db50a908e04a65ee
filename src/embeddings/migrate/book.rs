//! The migrations there are, kept in the store: written as a whole with every step, read from memory.
//!
//! What a request may cost is written before it is made. After a crash it counts as spent, so that a limit
//! is never passed, whatever was answered.

use crate::domain::{AuditEvent, Audited, PicoDollars, Timestamp};
use crate::embeddings::declared::CurrentDeclared;
use crate::embeddings::migrate::claims::Claims;
use crate::embeddings::migrate::shadow::ShadowReport;
use crate::embeddings::migrate::state::State;
use crate::embeddings::name::Selector;
use crate::embeddings::snapshots::purse::Purse;
use crate::embeddings::snapshots::{Error, LimitsWish, Told};
use crate::embeddings::space::Space;
use crate::embeddings::vault::{Spent, VaultError};
use crate::store::{self, Store};
use arc_swap::ArcSwap;
use serde::{Deserialize, Serialize};
use serde_json::value::to_raw_value;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// The label whose meaning a migration changes.
pub const LABEL: &str = "production";
/// Under which name they are kept.
const STATE: &str = "embeddings.migrations";
/// The version of what is kept.
const FORMAT: u32 = 1;
/// How many migrations that are over are remembered.
const REMEMBERED: usize = 100;

/// A migration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Migration {
    /// `mig-` and 12 hex digits.
    pub id: String,
    /// The collection.
    pub collection: String,
    /// How far it is.
    pub state: State,
    /// Whether the new model is asked for nothing more for now.
    pub is_paused: bool,
    /// The snapshot that was served when it began: `docs@1`.
    pub from: String,
    /// The old version.
    pub from_space: Space,
    /// The new version.
    pub to_space: Space,
    /// The snapshot of the new version, once it is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// The number of the snapshot to which a rollback leads, once there was a cut-over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<u32>,
    /// How many candidates of the old version a search ranks anew.
    pub candidates: usize,
    /// The most that may be spent on the new version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_cost: Option<PicoDollars>,
    /// How many texts the background may ask for in a minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub texts_per_minute: Option<u32>,
    /// How much is asked at once.
    pub limits: LimitsWish,
    /// What must not be so at a cut-over, said beforehand.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gates: Vec<String>,
    /// Whether snapshots of the new version are made in the old one too after the cut-over, so that a way
    /// back loses nothing.
    #[serde(default)]
    pub is_dual: bool,
    /// What it was reckoned to cost when it began; `None` where no price is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub planned: Option<PicoDollars>,
    /// What was spent.
    pub meter: Meter,
    /// How the meter stood when a snapshot was made last: what is above it stands in none.
    #[serde(default)]
    pub accounted: Meter,
    /// What the sample showed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shadow: Option<ShadowReport>,
    /// Every step, the oldest first.
    pub history: Vec<Moved>,
}

/// What was spent on the new version's texts and on queries of it, and on the old one's texts where both are
/// written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Meter {
    /// Texts that got their vectors.
    pub texts: u64,
    /// Requests for texts that were answered.
    pub requests: u64,
    /// Tokens of texts that were read.
    pub tokens: u64,
    /// Queries that searches and the sample asked for in the new version.
    #[serde(default)]
    pub queries: u64,
    /// What those cost, which is in `pico_usd` too.
    #[serde(default)]
    pub query_pico_usd: PicoDollars,
    /// What was spent; after a crash at most so much.
    pub pico_usd: PicoDollars,
    /// What requests under way may cost.
    pub in_flight: PicoDollars,
}

impl Meter {
    /// Returns what texts took since the meter stood so; `is_priced`: whether their price is known.
    pub(super) fn of_texts_since(&self, before: &Self, is_priced: bool) -> Spent {
        let of_texts = |meter: &Self| meter.pico_usd.0.saturating_sub(meter.query_pico_usd.0);
        let cost = of_texts(self).saturating_sub(of_texts(before));
        Spent {
            requests: self.requests.saturating_sub(before.requests),
            tokens: Some(self.tokens.saturating_sub(before.tokens)),
            cost: is_priced.then_some(PicoDollars(cost)),
            cut_off: 0,
        }
    }
}

/// A step that was taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moved {
    /// The audit event's id.
    pub id: Uuid,
    /// When.
    pub at: Timestamp,
    /// From which state; `None` at the beginning.
    pub from: Option<State>,
    /// To which.
    pub to: State,
    /// Who did it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// What is served now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serving: Option<String>,
    /// Whether gates were overridden.
    #[serde(default)]
    pub is_forced: bool,
    /// Whether it was a pause, or the end of one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused: Option<bool>,
    /// Whether both versions are written after it.
    #[serde(default)]
    pub is_dual: bool,
    /// Whether the audit event is written.
    #[serde(default)]
    pub is_noted: bool,
}

/// A label that leads elsewhere than `embeddings.toml` says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Override {
    /// The collection.
    pub collection: String,
    /// The label.
    pub label: String,
    /// The number of the snapshot it leads to.
    pub to: u32,
    /// The number of the snapshot that the file named when this was made; `None` when it named none. As soon
    /// as it names another, that is what was decided last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<u32>,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct Kept {
    format: u32,
    pub(super) migrations: Vec<Migration>,
    pub(super) overrides: Vec<Override>,
}

/// What is under way for a migration in this process.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) purse: Arc<Purse>,
    pub(super) claims: Claims,
    background: Mutex<Background>,
    ended: Notify,
}

#[derive(Debug, Default)]
struct Background {
    running: Option<CancellationToken>,
    problem: Option<Told>,
    /// Whether it was asked for once more while it was under way.
    is_called_for: bool,
}

/// All migrations of a process.
#[derive(Debug)]
pub struct Migrations {
    store: Arc<Store>,
    kept: ArcSwap<Kept>,
    writing: Mutex<()>,
    live: Mutex<HashMap<String, Arc<Live>>>,
}

impl Kept {
    /// The newest migration of a collection.
    pub(super) fn of(&self, collection: &str) -> Option<&Migration> {
        let mut found = self.migrations.iter().rev();
        found.find(|one| one.collection == collection)
    }

    pub(super) fn by_id(&mut self, id: &str) -> Option<&mut Migration> {
        self.migrations.iter_mut().find(|one| one.id == id)
    }

    /// Lets the label of a collection lead to a snapshot; `None`: where the file says.
    pub(super) fn lead(&mut self, collection: &str, to: Option<Override>) {
        let is_other = |one: &Override| one.collection != collection || one.label != LABEL;
        self.overrides.retain(is_other);
        self.overrides.extend(to);
    }

    /// Where the label of a collection leads, if that is not where the file says.
    pub(super) fn over(&self, collection: &str) -> Option<&Override> {
        let mut overrides = self.overrides.iter();
        overrides.find(|one| one.collection == collection && one.label == LABEL)
    }

    fn forget_old(&mut self) {
        let over = self.migrations.iter().filter(|one| !one.state.is_open());
        let mut surplus = over.count().saturating_sub(REMEMBERED);
        self.migrations.retain(|one| {
            let is_kept = one.state.is_open() || surplus == 0;
            surplus = surplus.saturating_sub(usize::from(!is_kept));
            is_kept
        });
    }
}

impl Moved {
    fn event(&self, migration: &Migration) -> AuditEvent {
        let what = Audited::MigrationMoved {
            collection: migration.collection.clone(),
            migration: migration.id.clone(),
            from: self.from.map(|state| state.to_string()),
            to: self.to.to_string(),
            by: self.by.clone(),
            serving: self.serving.clone(),
            forced: self.is_forced,
            paused: self.paused,
            both: self.is_dual,
        };
        AuditEvent {
            id: self.id,
            at: self.at,
            what,
        }
    }
}

impl Migrations {
    /// Reads what is kept and puts the overrides of labels in force. Blocks.
    ///
    /// # Errors
    ///
    /// Those of the store; `Unreadable` when what is kept is not what was written.
    pub fn open(store: Arc<Store>, declared: &CurrentDeclared) -> Result<Self, store::Error> {
        let mut kept = Kept::default();
        if let Some(json) = store.setting(STATE)? {
            let read = serde_json::from_str(json.get());
            kept = read.map_err(|error| unreadable(&error))?;
        }
        for one in &kept.overrides {
            let to = Some(Selector::Number(one.to));
            declared.override_label(&one.collection, &one.label, to);
        }
        let migrations = Self {
            store,
            kept: ArcSwap::from_pointee(kept),
            writing: Mutex::default(),
            live: Mutex::default(),
        };
        migrations.mend()?;
        Ok(migrations)
    }

    /// Counts what a crash left under way as spent, and writes the events it kept from being written.
    fn mend(&self) -> Result<(), store::Error> {
        let kept = self.kept.load_full();
        let is_torn = |one: &Migration| {
            0 < one.meter.in_flight.0 || one.history.iter().any(|moved| !moved.is_noted)
        };
        if !kept.migrations.iter().any(is_torn) {
            return Ok(());
        }
        let _writing = self.writing();
        let mut kept = Kept::clone(&kept);
        for one in &mut kept.migrations {
            let meter = &mut one.meter;
            meter.pico_usd = PicoDollars(meter.pico_usd.0.saturating_add(meter.in_flight.0));
            meter.in_flight = PicoDollars::default();
        }
        self.note(&mut kept)?;
        self.put(kept)
    }

    fn writing(&self) -> MutexGuard<'_, ()> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, mut kept: Kept) -> Result<(), store::Error> {
        kept.format = FORMAT;
        let json = to_raw_value(&kept).map_err(|error| unreadable(&error))?;
        self.store.put_setting(STATE, &json)?;
        self.kept.store(Arc::new(kept));
        Ok(())
    }

    /// Writes the events that are not written yet; each has its id, so that twice is once.
    fn note(&self, kept: &mut Kept) -> Result<(), store::Error> {
        let mut events = Vec::new();
        for one in &kept.migrations {
            let owed = one.history.iter().filter(|moved| !moved.is_noted);
            events.extend(owed.map(|moved| moved.event(one)));
        }
        if events.is_empty() {
            return Ok(());
        }
        self.store.note(&events)?;
        for one in &mut kept.migrations {
            for moved in &mut one.history {
                moved.is_noted = true;
            }
        }
        Ok(())
    }

    /// Changes what is kept: whole or not at all, written before it counts. Blocks.
    ///
    /// # Errors
    ///
    /// What `change` gives; those of the store.
    pub(super) fn change<T>(
        &self,
        change: impl FnOnce(&mut Kept) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let _writing = self.writing();
        let before = self.kept.load_full();
        let mut kept = Kept::clone(&before);
        let changed = change(&mut kept)?;
        if kept == *before {
            return Ok(changed);
        }
        kept.forget_old();
        self.put(kept.clone()).map_err(VaultError::from)?;
        let is_owed = |one: &Migration| one.history.iter().any(|moved| !moved.is_noted);
        if kept.migrations.iter().any(is_owed) {
            self.note(&mut kept).map_err(VaultError::from)?;
            self.put(kept).map_err(VaultError::from)?;
        }
        Ok(changed)
    }

    /// Returns what is kept now.
    pub(super) fn kept(&self) -> Arc<Kept> {
        self.kept.load_full()
    }

    /// Returns the newest migration of a collection.
    #[must_use]
    pub fn of(&self, collection: &str) -> Option<Migration> {
        self.kept.load().of(collection).cloned()
    }

    /// Returns whether a migration holds the label of a collection.
    #[must_use]
    pub fn is_held(&self, collection: &str) -> bool {
        self.kept.load().over(collection).is_some()
    }

    /// Returns what is under way for a migration.
    pub(super) fn live(&self, migration: &Migration) -> Arc<Live> {
        let mut live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        let found = live.entry(migration.id.clone()).or_insert_with(|| {
            let spent = migration.meter.pico_usd;
            Arc::new(Live {
                purse: Arc::new(Purse::with_spent(migration.max_cost, spent)),
                claims: Claims::default(),
                background: Mutex::default(),
                ended: Notify::new(),
            })
        });
        Arc::clone(found)
    }
}

impl Live {
    fn background(&self) -> MutexGuard<'_, Background> {
        self.background
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the one place in the background; `false` when it is taken.
    pub(super) fn begin(&self, cancel: &CancellationToken) -> bool {
        let mut background = self.background();
        if background.running.is_some() {
            background.is_called_for = true;
            return false;
        }
        background.running = Some(cancel.clone());
        background.problem = None;
        true
    }

    /// Gives the place free, and says why when it was not because everything is done. Returns whether it was
    /// asked for once more meanwhile: what that was for may have been overlooked.
    pub(super) fn end(&self, problem: Option<Told>) -> bool {
        let mut background = self.background();
        let is_done = problem.is_none();
        background.running = None;
        background.problem = problem;
        let is_called_for = std::mem::take(&mut background.is_called_for);
        drop(background);
        self.ended.notify_waiters();
        is_done && is_called_for
    }

    /// Waits until nothing is under way in the background.
    ///
    /// # Cancel safety
    ///
    /// May be dropped at any time.
    pub(super) async fn idle(&self) {
        loop {
            let ended = self.ended.notified();
            tokio::pin!(ended);
            ended.as_mut().enable();
            if !self.in_background().0 {
                return;
            }
            ended.await;
        }
    }

    /// Stops what is under way in the background: what was asked for is kept.
    pub(super) fn stop(&self) {
        if let Some(cancel) = &self.background().running {
            cancel.cancel();
        }
    }

    /// Returns whether something is under way in the background, and why the last one ended early.
    pub(super) fn in_background(&self) -> (bool, Option<Told>) {
        let background = self.background();
        (background.running.is_some(), background.problem.clone())
    }
}

fn unreadable(error: &serde_json::Error) -> store::Error {
    store::Error::Unreadable {
        path: PathBuf::from(STATE),
        problem: error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::Meter;
    use crate::domain::PicoDollars;
    use crate::embeddings::vault::Spent;

    #[test]
    fn a_snapshot_carries_what_its_own_texts_took() {
        let first = Meter {
            texts: 10,
            requests: 2,
            tokens: 30,
            queries: 4,
            query_pico_usd: PicoDollars(40),
            pico_usd: PicoDollars(340),
            in_flight: PicoDollars(0),
        };
        let second = Meter {
            texts: 13,
            requests: 3,
            tokens: 39,
            queries: 5,
            query_pico_usd: PicoDollars(50),
            pico_usd: PicoDollars(380),
            ..first
        };
        let spent = |requests, tokens, cost: Option<u64>| Spent {
            requests,
            tokens: Some(tokens),
            cost: cost.map(PicoDollars),
            cut_off: 0,
        };
        let none = Meter::default();
        assert_eq!(first.of_texts_since(&none, true), spent(2, 30, Some(300)));
        assert_eq!(second.of_texts_since(&first, true), spent(1, 9, Some(30)));
        assert_eq!(second.of_texts_since(&second, false), spent(0, 0, None));
    }

    #[test]
    fn a_meter_that_was_kept_before_queries_counted_is_read() {
        let kept = r#"{"texts":1,"requests":1,"tokens":3,"pico_usd":60,"in_flight":0}"#;
        let meter: Meter = serde_json::from_str(kept).unwrap();
        assert_eq!((meter.queries, meter.pico_usd), (0, PicoDollars(60)));
    }
}
