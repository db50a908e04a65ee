//! Two versions at a time: what is made of a collection while it is migrated gets vectors of the other
//! version too, before the cut-over so that it may come, and after it, where that is wished, so that the
//! way back loses nothing.

use crate::embeddings::migrate::book::Migration;
use crate::embeddings::migrate::verbs::Taken;
use crate::embeddings::migrate::{Outlook, State};
use crate::embeddings::rows::Rows as _;
use crate::embeddings::snapshots::plan::count;
use crate::embeddings::snapshots::{Error, Snapshots, blocking};
use crate::embeddings::space::VectorKey;
use crate::embeddings::vault::Manifest;
use serde::Serialize;
use std::collections::HashSet;
use std::sync::Arc;

/// Where a rollback leads, or has led.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WayBack {
    /// The snapshot of the old version.
    pub to: String,
    /// The newest snapshot of the new version.
    pub of: String,
    /// How many items of that have a text that the old one lacks.
    pub without: u64,
}

impl Migration {
    /// The same migration the other way round: the old version is made of what the new one has.
    pub(super) fn mirrored(&self) -> Self {
        Self {
            from: self.to.clone().unwrap_or_else(|| self.from.clone()),
            from_space: self.to_space.clone(),
            to_space: self.from_space.clone(),
            ..self.clone()
        }
    }

    /// What the background computes; `None` where nothing is to be.
    pub(super) fn in_background(&self) -> Option<Self> {
        match self.state {
            _ if self.is_paused => None,
            State::Backfill => Some(self.clone()),
            State::Cutover if self.is_dual => Some(self.mirrored()),
            _ => None,
        }
    }
}

impl Snapshots {
    /// Goes on with what is to be computed in the background, after the process was away.
    pub fn go_on_migrating(self: &Arc<Self>) {
        if let Err(error) = self.settle_overrides() {
            tracing::error!(%error, "an override of a label could not be settled");
        }
        for migration in self.migrations() {
            self.begin_backfill(&migration);
        }
    }

    /// Tells what a snapshot that was just made means for a migration of its collection, has it made in the
    /// other version where both are written, and lets a name that means the newest one mean it.
    ///
    /// # Errors
    ///
    /// Those of the store and of the vault.
    pub async fn note_sealed(
        self: &Arc<Self>,
        manifest: &Manifest,
    ) -> Result<Option<String>, Error> {
        let Some(migration) = self.migrations.of(&manifest.collection) else {
            return Ok(None);
        };
        let (room, of, made) = (Arc::clone(self), migration.clone(), manifest.clone());
        let told = blocking(move || room.noted(&of, &made)).await?;
        if told.is_some() {
            self.begin_backfill(&migration);
        }
        Ok(told)
    }

    fn noted(&self, of: &Migration, made: &Manifest) -> Result<Option<String>, Error> {
        let (is_old, is_new) = (made.space == of.from_space, made.space == of.to_space);
        match of.state {
            state if state.is_open() && is_old => {
                self.hold_if_newest(made)?;
                self.told_of_open(of).map(Some)
            }
            State::Cutover if is_new => {
                if self.migrations.kept().over(&made.collection).is_some() {
                    self.hold_if_newest(made)?;
                }
                if of.is_dual {
                    return self.told_of_dual(of).map(Some);
                }
                Ok(None)
            }
            State::RolledBack if is_old => {
                // The newest need not be held off any longer.
                if self.is_floating(&made.collection) && self.is_newest(made)? {
                    self.let_go(&made.collection)?;
                }
                Ok(None)
            }
            State::RolledBack => Ok(None),
            _ if is_old || is_new => Ok(self.told_of_other(of, made)),
            _ => Ok(None),
        }
    }

    fn told_of_open(&self, of: &Migration) -> Result<String, Error> {
        let outlook = self.outlook(of)?.0;
        let how = match (of.state, of.is_paused) {
            (State::Backfill, false) => "are being made now",
            (State::Backfill, true) => "`migrate resume` makes",
            _ => "`migrate backfill` makes before the cut-over",
        };
        let (collection, model, state) = (&of.collection, &of.to_space.model, of.state);
        let lacking = lacking(&outlook, how);
        Ok(format!(
            "`{collection}` is being migrated to {model} ({state}): {lacking}"
        ))
    }

    fn told_of_dual(&self, of: &Migration) -> Result<String, Error> {
        let outlook = self.outlook(&of.mirrored())?.0;
        let how = if of.is_paused {
            "`migrate resume` makes"
        } else {
            "are being made now"
        };
        let (collection, model) = (&of.collection, &of.from_space.model);
        let lacking = lacking(&outlook, how);
        Ok(format!("`{collection}` is kept in {model} too: {lacking}"))
    }

    /// A snapshot of the version that is not served is made, and nothing else happens: that is told.
    fn told_of_other(&self, of: &Migration, made: &Manifest) -> Option<String> {
        let (collection, name) = (&of.collection, made.name());
        let model = &made.space.model;
        let served = self.manifest(collection).ok()?;
        if served.id == made.id {
            return None;
        }
        let mut told = format!("`{name}` is of {model}, and `{}` is served", served.name());
        if of.state != State::Cutover {
            told.push_str(" until the cut-over");
        } else if let Some(space) = self.space_to_write(of) {
            told = format!(
                "{told}; for snapshots of the new version write into embeddings.toml: \
                 [collections.{collection}] space = \"{space}\""
            );
        }
        Some(told)
    }

    fn is_newest(&self, made: &Manifest) -> Result<bool, Error> {
        let newest = self.vault.newest(&made.collection)?;
        Ok(newest.is_some_and(|newest| newest.id == made.id))
    }

    /// A label that means the newest snapshot means the newest of the version that is served.
    fn hold_if_newest(&self, made: &Manifest) -> Result<(), Error> {
        let newest = self.newest_in(&made.collection, &made.space)?;
        if newest.is_some_and(|newest| newest.id == made.id) && self.is_floating(&made.collection) {
            self.hold(made)?;
        }
        Ok(())
    }

    /// Begins to write both versions after a cut-over that was without. Blocks.
    pub(super) fn begin_dual(&self, of: &Migration, by: Option<&str>) -> Result<(), Error> {
        let served = self.manifest(&of.collection)?;
        self.take(
            of,
            &Taken {
                to: State::Cutover,
                by,
                is_forced: false,
                is_dual: true,
                serving: Some(&served),
            },
        )
    }

    /// Makes the snapshot of the old version that has what the newest of the new one has: to that a rollback
    /// leads from now on. Blocks.
    pub(super) fn keep_old(&self, mirrored: &Migration) -> Result<(), Error> {
        let (_, sealed) = self.seal_new(mirrored)?;
        self.migrations.change(|kept| {
            let served = kept.by_id(&mirrored.id);
            if let Some(migration) = served.filter(|one| one.state == State::Cutover) {
                migration.before = Some(sealed.number);
            }
            Ok(())
        })
    }

    /// Returns where a rollback leads after a cut-over, and what is not there. Blocks.
    pub(super) fn way_back(&self, of: &Migration) -> Result<Option<WayBack>, Error> {
        let Some(number) = of.before.filter(|_| !of.state.is_open()) else {
            return Ok(None);
        };
        let old = self.manifest(&format!("{}@{number}", of.collection))?;
        let mirrored = of.mirrored();
        let new = self.base(&mirrored)?;
        let held = self.vault.open_snapshot(&old.id)?.keys()?;
        let held: HashSet<VectorKey> = held.into_iter().collect();
        let snapshot = self.vault.open_snapshot(&new.id)?;
        let mut without = 0;
        for row in 0..snapshot.len() {
            let item = snapshot.item(row)?.filter(|item| item.text.is_some());
            let key = item.map(|item| mirrored.keyed(item).key);
            without += usize::from(key.is_some_and(|key| !held.contains(&key)));
        }
        Ok(Some(WayBack {
            to: old.name(),
            of: new.name(),
            without: count(without),
        }))
    }
}

/// What the other version lacks, and who makes it.
fn lacking(outlook: &Outlook, how: &str) -> String {
    let (missing, base) = (outlook.missing, &outlook.base);
    if missing == 0 {
        return format!("every text of `{base}` has a vector of that");
    }
    format!("{missing} texts of `{base}` have no vector of that yet, which {how}")
}
