//! The label of a collection while it is migrated: it is held to a snapshot of the version that is to be
//! served, whatever is made meanwhile, until `embeddings.toml` says the same or names another one.

use crate::embeddings::declared::Declared;
use crate::embeddings::migrate::State;
use crate::embeddings::migrate::book::{LABEL, Migration, Override};
use crate::embeddings::name::{Selector, SnapshotName};
use crate::embeddings::snapshots::{Error, SnapshotWish, Snapshots, wish};
use crate::embeddings::space::Space;
use crate::embeddings::vault::Manifest;
use serde::Serialize;

/// A label that is held to a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Held {
    /// The label.
    pub label: String,
    /// What it means.
    pub serving: String,
    /// What the file says; `None` when it names no snapshot.
    pub file: Option<String>,
    /// What to write into the file.
    pub write: String,
}

impl Snapshots {
    /// Whether the file lets the served snapshot be the newest.
    pub(super) fn is_floating(&self, collection: &str) -> bool {
        let written = self.declared.written();
        let says = written.label(collection, LABEL);
        says.is_none_or(|says| *says == Selector::Latest)
    }

    /// The snapshot that the file names; `None` when it names none, or one that is not there. Blocks.
    fn named_by_file(&self, collection: &str) -> Result<Option<Manifest>, Error> {
        if self.is_floating(collection) {
            return Ok(None);
        }
        self.written(&self.declared.written(), collection)
    }

    /// The override that leads to a snapshot. Blocks.
    pub(super) fn override_to(&self, serving: &Manifest) -> Result<Override, Error> {
        let file = self.named_by_file(&serving.collection)?;
        Ok(Override {
            collection: serving.collection.clone(),
            label: LABEL.to_owned(),
            to: serving.number,
            file: file.map(|file| file.number),
        })
    }

    /// The override with which a step serves a snapshot; `None` where the file serves it anyway. A label that
    /// means the newest snapshot is held at a cut-over, for the next one may be of the old version. Blocks.
    pub(super) fn lead_of(&self, to: State, serving: &Manifest) -> Result<Option<Override>, Error> {
        let written = self.written(&self.declared.written(), &serving.collection)?;
        let is_written = written.is_some_and(|written| written.number == serving.number);
        if is_written && (to != State::Cutover || !self.is_floating(&serving.collection)) {
            return Ok(None);
        }
        Ok(Some(self.override_to(serving)?))
    }

    /// Holds a label that is held already, or is to be, to another snapshot. Blocks.
    pub(super) fn hold(&self, serving: &Manifest) -> Result<(), Error> {
        let lead = self.override_to(serving)?;
        self.migrations.change(|kept| {
            kept.lead(&serving.collection, Some(lead));
            Ok(())
        })?;
        self.put_in_force(&serving.collection);
        Ok(())
    }

    /// Lets a label mean what the file says. Blocks.
    pub(super) fn let_go(&self, collection: &str) -> Result<(), Error> {
        self.migrations.change(|kept| {
            kept.lead(collection, None);
            Ok(())
        })?;
        self.put_in_force(collection);
        Ok(())
    }

    /// Lets the collection's label mean what is kept. Blocks.
    pub(super) fn put_in_force(&self, collection: &str) {
        let kept = self.migrations.kept();
        let to = kept.over(collection).map(|one| Selector::Number(one.to));
        self.declared.override_label(collection, LABEL, to);
        self.forget_names();
    }

    /// Ends the overrides that `embeddings.toml` says too, or decides otherwise, and holds the labels of
    /// migrations under way that the file lets go. Blocks.
    ///
    /// # Errors
    ///
    /// Those of the store and the vault.
    pub fn settle_overrides(&self) -> Result<(), Error> {
        for one in &self.migrations.kept().overrides {
            let named = self.named_by_file(&one.collection)?;
            let named = named.map(|named| named.number);
            let is_decided = named.is_some_and(|named| named == one.to || one.file != Some(named));
            if is_decided || self.is_version_written(one)? {
                self.let_go(&one.collection)?;
            }
        }
        for migration in self.migrations() {
            let collection = &migration.collection;
            let is_loose = !self.migrations.is_held(collection) && self.is_floating(collection);
            if migration.state.is_open() && is_loose {
                self.hold(&self.base(&migration)?)?;
            }
        }
        Ok(())
    }

    /// Whether the file makes new snapshots of the version that was cut over to, and serves the newest, which
    /// is the one that is held.
    fn is_version_written(&self, held: &Override) -> Result<bool, Error> {
        let collection = &held.collection;
        let migration = self.migrations.of(collection);
        let migration = migration.filter(|one| one.state == State::Cutover && !one.is_dual);
        let Some(migration) = migration.filter(|_| self.is_floating(collection)) else {
            return Ok(false);
        };
        let newest = self.vault.newest(collection)?;
        let is_newest = newest.is_some_and(|newest| newest.number == held.to);
        Ok(is_newest && self.declared_space(collection).as_ref() == Some(&migration.to_space))
    }

    /// The version of which the file makes new snapshots; `None` where it says nothing that can be.
    fn declared_space(&self, collection: &str) -> Option<Space> {
        let wish = SnapshotWish {
            collection: collection.to_owned(),
            ..SnapshotWish::default()
        };
        let space = wish::space(&wish, &self.declared.written(), None).ok()?;
        self.as_asked(space)
    }

    /// A space with its model as its provider is asked for it.
    fn as_asked(&self, mut space: Space) -> Option<Space> {
        space.model = self.way(&space.model, self.clock.now()).ok()?.model;
        Some(space)
    }

    /// The snapshot that the file alone would serve; `None` when there is none.
    fn written(&self, written: &Declared, collection: &str) -> Result<Option<Manifest>, Error> {
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

    /// Returns what is served otherwise than the file says. Blocks.
    pub(super) fn held(&self, of: &Migration) -> Result<Option<Held>, Error> {
        let collection = &of.collection;
        let kept = self.migrations.kept();
        let Some(over) = kept.over(collection) else {
            return Ok(None);
        };
        let mut write = String::new();
        if of.state == State::Cutover
            && let Some(space) = self.space_to_write(of)
        {
            write = format!("[collections.{collection}]\nspace = \"{space}\"\n");
        }
        Ok(Some(Held {
            label: over.label.clone(),
            serving: format!("{collection}@{}", over.to),
            file: self.named_by_file(collection)?.map(|file| file.name()),
            write: format!(
                "{write}[collections.{collection}.labels]\n{LABEL} = \"{}\"\n",
                over.to
            ),
        }))
    }

    /// The name under which the file declares the new version, where it makes new snapshots of another one.
    pub(super) fn space_to_write(&self, of: &Migration) -> Option<String> {
        let said = self.declared_space(&of.collection)?;
        if said == of.to_space {
            return None;
        }
        let written = self.declared.written();
        let mut spaces = written.spaces.iter();
        let found = spaces
            .find(|(_, space)| self.as_asked(Space::clone(space)).as_ref() == Some(&of.to_space));
        Some(found.map_or_else(|| "NAME".to_owned(), |(name, _)| name.clone()))
    }
}
