//! How a migration is: what is served, what is done, what was spent and what is still to be expected.

use crate::domain::PicoDollars;
use crate::embeddings::migrate::book::{Meter, Migration};
use crate::embeddings::migrate::{Held, MigrateError, State, WayBack};
use crate::embeddings::snapshots::{Error, Snapshots, Told};
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

/// How a migration is.
#[derive(Debug, Clone, Serialize)]
pub struct Status {
    /// The migration.
    #[serde(flatten)]
    pub migration: Migration,
    /// The snapshot that is served under the collection's name.
    pub serving: String,
    /// What is still to be done; `None` when the migration is over, or nothing can be.
    pub outlook: Option<Outlook>,
    /// Whether the rest is being computed right now.
    pub is_running: bool,
    /// Why the background stopped before everything was done.
    pub problem: Option<Told>,
    /// What is served otherwise than the file says.
    pub held: Option<Held>,
    /// Where a rollback leads after a cut-over, or has led.
    pub back: Option<WayBack>,
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
        let (is_running, mut problem) = self.migrations.live(&migration).in_background();
        let outlook = match self.what_is_missing(&migration) {
            Err(error @ Error::Migrate(MigrateError::NoTexts { .. })) => {
                problem = problem.or_else(|| Some(error.told()));
                None
            }
            found => found?,
        };
        let next = migration.state.next_verbs(migration.is_dual).iter();
        let mut next: Vec<String> = next.map(|verb| (*verb).to_owned()).collect();
        if migration.is_paused {
            next.retain(|verb| verb == "cutover" || verb == "rollback");
            next.insert(0, "resume".to_owned());
        }
        Ok(Status {
            serving: serving.name(),
            held: self.held(&migration)?,
            back: self.way_back(&migration)?,
            migration,
            outlook,
            is_running,
            problem,
            next,
        })
    }

    /// What one version has and the other one lacks.
    fn what_is_missing(&self, of: &Migration) -> Result<Option<Outlook>, Error> {
        let goes_to = match of.state {
            State::Cutover if of.is_dual => of.mirrored(),
            state if state.is_open() => of.clone(),
            _ => return Ok(None),
        };
        Ok(Some(self.outlook(&goes_to)?.0))
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
}
