//! How a migration is: what is served, what is done, what was spent and what is still to be expected.

use crate::domain::PicoDollars;
use crate::embeddings::declared::Declared;
use crate::embeddings::migrate::MigrateError;
use crate::embeddings::migrate::book::{LABEL, Meter, Migration};
use crate::embeddings::name::{Selector, SnapshotName};
use crate::embeddings::snapshots::{Error, Snapshots, Told};
use crate::embeddings::vault::Manifest;
use serde::Serialize;

/// What is still to be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Outlook {
    /// The snapshot whose texts the new version must have.
    pub base: String,
    /// How many different texts it has.
    pub texts: u64,
    /// How many of them have no vector of the new version.
    pub missing: u64,
    /// How many tokens those have, as counted here.
    pub tokens: u64,
    /// What they will cost; `None` where no price is known.
    pub pico_usd: Option<PicoDollars>,
    /// The price it was reckoned by.
    pub price: Option<String>,
}

/// A label that means another snapshot than `embeddings.toml` says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Drift {
    /// The label.
    pub label: String,
    /// What it means.
    pub serving: String,
    /// What the file says; `None` when it says nothing.
    pub file: Option<String>,
    /// What to write into the file.
    pub write: String,
}

/// How a migration is.
#[derive(Debug, Clone, Serialize)]
pub struct Status {
    /// The migration.
    #[serde(flatten)]
    pub migration: Migration,
    /// The snapshot that is served under the collection's name.
    pub serving: String,
    /// What is still to be done; `None` when the migration is over.
    pub outlook: Option<Outlook>,
    /// Whether the rest is being computed right now.
    pub is_running: bool,
    /// Why the background stopped before everything was done.
    pub problem: Option<Told>,
    /// Where the file says something else.
    pub drift: Option<Drift>,
    /// What can be done next.
    pub next: Vec<String>,
}

/// How far the background is.
#[derive(Debug, Clone, Serialize)]
pub struct Background {
    /// What was spent.
    pub meter: Meter,
    /// The most that may be.
    pub max_cost: Option<PicoDollars>,
    /// Whether it goes on.
    pub is_running: bool,
    /// Why it stopped before everything was done.
    pub problem: Option<Told>,
}

impl Snapshots {
    /// Returns how far the background is.
    ///
    /// # Errors
    ///
    /// `NotFound`.
    pub fn migration_progress(&self, collection: &str) -> Result<Background, Error> {
        let migration = self.migration(collection)?;
        let (is_running, problem) = self.migrations.live(&migration).in_background();
        Ok(Background {
            meter: migration.meter,
            max_cost: migration.max_cost,
            is_running,
            problem,
        })
    }

    /// Returns how the newest migration of a collection is. Blocks.
    ///
    /// # Errors
    ///
    /// `NotFound`; those of the vault.
    pub fn migration_status(&self, collection: &str) -> Result<Status, Error> {
        self.settle_overrides()?;
        let migration = self.migration(collection)?;
        let serving = self.manifest(collection)?;
        let outlook = if migration.state.is_open() {
            Some(self.outlook(&migration)?.0)
        } else {
            None
        };
        let (is_running, problem) = self.migrations.live(&migration).in_background();
        let next = migration.state.next_verbs().iter();
        let mut next: Vec<String> = next.map(|verb| (*verb).to_owned()).collect();
        if migration.is_paused {
            next.retain(|verb| verb == "cutover" || verb == "rollback");
            next.insert(0, "resume".to_owned());
        }
        Ok(Status {
            serving: serving.name(),
            drift: self.drift(collection)?,
            migration,
            outlook,
            is_running,
            problem,
            next,
        })
    }

    /// Returns every migration, the oldest first.
    #[must_use]
    pub fn migrations(&self) -> Vec<Migration> {
        self.migrations.kept().migrations.clone()
    }

    pub(super) fn migration(&self, collection: &str) -> Result<Migration, Error> {
        let found = self.migrations.of(collection);
        Ok(found.ok_or_else(|| MigrateError::NotFound {
            collection: collection.to_owned(),
        })?)
    }

    /// Ends the overrides that `embeddings.toml` says too. Blocks.
    ///
    /// # Errors
    ///
    /// Those of the store and the vault.
    pub fn settle_overrides(&self) -> Result<(), Error> {
        let written = self.declared.written();
        let mut caught_up = Vec::new();
        for one in &self.migrations.kept().overrides {
            let says = written.label(&one.collection, &one.label);
            if says.is_some_and(|says| *says != Selector::Latest)
                && self.written(&written, &one.collection)?.map(|it| it.number) == Some(one.to)
            {
                caught_up.push(one.collection.clone());
            }
        }
        for collection in caught_up {
            self.migrations.change(|kept| {
                kept.lead(&collection, None);
                Ok(())
            })?;
            self.declared.override_label(&collection, LABEL, None);
            self.forget_names();
        }
        Ok(())
    }

    /// The snapshot that the file alone would serve; `None` when there is none.
    pub(super) fn written(
        &self,
        written: &Declared,
        collection: &str,
    ) -> Result<Option<Manifest>, Error> {
        let name = SnapshotName {
            collection: collection.to_owned(),
            selector: None,
        };
        let labels = |collection: &str, label: &str| written.label(collection, label).cloned();
        match self.vault.manifest(&name, &labels) {
            Ok(manifest) => Ok(Some(manifest)),
            Err(error) if error.kind() == "snapshot_not_found" => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn drift(&self, collection: &str) -> Result<Option<Drift>, Error> {
        let kept = self.migrations.kept();
        let mut overrides = kept.overrides.iter();
        let Some(over) = overrides.find(|one| one.collection == collection) else {
            return Ok(None);
        };
        let written = self.declared.written();
        let says = written.label(collection, LABEL).is_some();
        let file = self.written(&written, collection)?.filter(|_| says);
        Ok(Some(Drift {
            label: over.label.clone(),
            serving: format!("{collection}@{}", over.to),
            file: file.map(|file| file.name()),
            write: format!("[collections.{collection}]\nlabels.{LABEL} = {}", over.to),
        }))
    }
}
