//! Collections that are watched: when a collection gets a snapshot, its new items are held against those
//! before, by a server on its own.
//!
//! What is new is new against a reference: the newest snapshot that was quiet, or that an alarm told of. So a
//! suspicion is looked into with the next snapshot, and an alarm takes two hits here as everywhere.

use crate::embeddings::declared::WatchedDocuments;
use crate::embeddings::drift::monitor::{Documents, DocumentsWish, Drift};
use crate::embeddings::drift::shelf::Shelf;
use crate::embeddings::drift::webhook::Parcel;
use crate::embeddings::drift::{Budget, Standing};
use crate::embeddings::snapshots::{Error, blocking};
use crate::embeddings::vault::{Manifest, VaultError};
use crate::store::Store;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

const SHELF: Shelf = Shelf {
    name: "embeddings.drift.documents",
    format: 1,
};
/// How many alarms are kept.
const MOST_ALARMS: usize = 200;
/// What stands before a collection's name where monitors have theirs, which have no `/`.
const PREFIX: &str = "documents/";

/// A look at a new snapshot.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DocumentsLook {
    /// When it was made, in Unix milliseconds.
    pub at_ms: i64,
    /// What it came to.
    pub standing: Standing,
    /// What was found.
    pub documents: Documents,
}

/// How a collection stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WatchedCollection {
    /// The snapshot that new items are held against.
    pub reference: String,
    /// The newest snapshot that was looked at.
    pub seen: String,
    /// What may be spent of false alarms.
    pub budget: Budget,
    /// How many looks were made.
    pub looks: u64,
    /// The newest look.
    pub last: Option<DocumentsLook>,
    /// Why the newest snapshot could not be judged.
    pub fault: Option<String>,
}

/// An alarm that new items of a collection raised.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocumentsAlarm {
    /// The collection.
    pub collection: String,
    /// The snapshot with the new items.
    pub snapshot: String,
    /// When it was raised, in Unix milliseconds.
    pub at_ms: i64,
    /// The message.
    pub text: String,
    /// Whether it must still be sent to whom it is for.
    pub is_unsent: bool,
}

/// All watched collections of a data directory.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WatchedCollections {
    format: u32,
    /// The collections by name.
    pub collections: BTreeMap<String, WatchedCollection>,
    /// Alarms, the newest last.
    pub alarms: Vec<DocumentsAlarm>,
}

impl Default for WatchedCollections {
    fn default() -> Self {
        Self {
            format: SHELF.format,
            collections: BTreeMap::new(),
            alarms: Vec::new(),
        }
    }
}

impl WatchedCollections {
    fn read(store: &Store) -> Result<Self, Error> {
        SHELF.read(store, |kept: &Self| kept.format)
    }
}

impl Drift {
    /// Returns how the watched collections stand. Blocks.
    ///
    /// # Errors
    ///
    /// `Kept`, `Invalid`.
    pub fn collections(&self) -> Result<WatchedCollections, Error> {
        let _book = self.book();
        WatchedCollections::read(&self.store)
    }

    /// Looks at every declared collection that has a new snapshot.
    pub(super) async fn watch_collections(self: &Arc<Self>) {
        let declared = self.snapshots.declared().get();
        let watched = declared.collections.iter();
        let watched = watched.filter_map(|(name, found)| Some((name, found.drift.as_ref()?)));
        for (name, wish) in watched {
            let (room, collection, wish) = (Arc::clone(self), name.clone(), wish.clone());
            let looked = blocking(move || room.look_at_collection(&collection, &wish)).await;
            if let Err(error) = looked {
                tracing::warn!(collection = name, %error, "new items were not judged");
            }
        }
    }

    /// Judges the newest snapshot of a collection, if that was not done. Blocks.
    fn look_at_collection(&self, collection: &str, wish: &WatchedDocuments) -> Result<(), Error> {
        let newest = match self.snapshots.manifest(&[collection, "@latest"].concat()) {
            Err(Error::Vault(VaultError::NoSuchSnapshot { .. })) => return Ok(()),
            found => found?,
        };
        let kept = self.collections()?.collections.remove(collection);
        let Some(mut watch) = kept else {
            return self.keep(collection, self.begun(&newest, wish)?, None);
        };
        if watch.seen == newest.name() {
            return Ok(());
        }
        let alarms = f64::from(wish.alarms_per_month);
        if alarms.to_bits() != watch.budget.alarms_per_month().to_bits() {
            watch.budget = self.begun(&newest, wish)?.budget;
        }
        let before = self.snapshots.manifest(&watch.reference);
        let is_comparable = before.is_ok_and(|before| before.space_id == newest.space_id);
        if !is_comparable {
            // A collection in another space has nothing behind it.
            return self.keep(collection, self.begun(&newest, wish)?, None);
        }
        let alarm = self.judged(&mut watch, &newest)?;
        self.keep(collection, watch, alarm)
    }

    /// A collection as it is watched from `newest` on.
    fn begun(
        &self,
        newest: &Manifest,
        wish: &WatchedDocuments,
    ) -> Result<WatchedCollection, Error> {
        let budget = Budget::new(f64::from(wish.alarms_per_month), self.now_ms());
        let budget = budget.ok_or_else(|| {
            let problem = format!("is {}, not from 1 to 100", wish.alarms_per_month);
            Error::invalid("alarms_per_month", problem, None)
        })?;
        Ok(WatchedCollection {
            reference: newest.name(),
            seen: newest.name(),
            budget,
            looks: 0,
            last: None,
            fault: None,
        })
    }

    /// Holds the new items against those of the reference, when the budget allows a look.
    fn judged(
        &self,
        watch: &mut WatchedCollection,
        newest: &Manifest,
    ) -> Result<Option<DocumentsAlarm>, Error> {
        let now = self.now_ms();
        let mut budget = watch.budget.clone();
        let Some(level) = budget.spend(now) else {
            return Ok(None);
        };
        let wish = DocumentsWish {
            before: watch.reference.clone(),
            after: newest.name(),
        };
        let documents = match self.judge_documents(&wish, level) {
            Ok(documents) => documents,
            // Too few are new by now: they are judged with those of the next snapshot.
            Err(error @ Error::Invalid { .. }) => {
                watch.seen = newest.name();
                watch.fault = Some(error.to_string());
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let standing = budget.count(documents.is_drift);
        if standing != Standing::Suspected {
            watch.reference = newest.name();
        }
        let alarm = (standing == Standing::Alarm).then(|| DocumentsAlarm {
            collection: newest.collection.clone(),
            snapshot: newest.name(),
            at_ms: now,
            text: documents.text.clone(),
            is_unsent: true,
        });
        *watch = WatchedCollection {
            reference: watch.reference.clone(),
            seen: newest.name(),
            budget,
            looks: watch.looks + 1,
            last: Some(DocumentsLook {
                at_ms: now,
                standing,
                documents,
            }),
            fault: None,
        };
        Ok(alarm)
    }

    fn keep(
        &self,
        collection: &str,
        watch: WatchedCollection,
        alarm: Option<DocumentsAlarm>,
    ) -> Result<(), Error> {
        if let Some(alarm) = &alarm {
            tracing::warn!(collection, snapshot = alarm.snapshot, "{}", alarm.text);
        }
        self.change_collections(|all| {
            all.collections.insert(collection.to_owned(), watch);
            all.alarms.extend(alarm);
        })
    }

    fn change_collections(&self, act: impl FnOnce(&mut WatchedCollections)) -> Result<(), Error> {
        let _book = self.book();
        let mut all = WatchedCollections::read(&self.store)?;
        act(&mut all);
        let surplus = all.alarms.len().saturating_sub(MOST_ALARMS);
        all.alarms.drain(..surplus);
        SHELF.write(&self.store, &all)
    }

    /// The alarms of collections that were not sent yet, under names that no monitor has. Blocks.
    pub(super) fn unsent_of_collections(&self) -> Result<Vec<Parcel>, Error> {
        let declared = self.snapshots.declared().get();
        let unsent = self.collections()?.alarms.into_iter();
        let parcels = unsent.filter(|alarm| alarm.is_unsent).map(|alarm| {
            let found = declared.collections.get(&alarm.collection);
            let drift = found.and_then(|found| found.drift.as_ref());
            Parcel {
                reference: drift.and_then(|drift| drift.webhook.clone()),
                name: [PREFIX, &alarm.collection].concat(),
                at_ms: alarm.at_ms,
                text: alarm.text,
            }
        });
        Ok(parcels.collect())
    }

    /// Notes that an alarm of a collection was sent; `false` where it is a monitor's. Blocks.
    pub(super) fn mark_collection_sent(&self, parcel: &Parcel) -> Result<bool, Error> {
        let Some(collection) = parcel.name.strip_prefix(PREFIX) else {
            return Ok(false);
        };
        self.change_collections(|all| {
            let is_meant =
                |it: &&mut DocumentsAlarm| it.at_ms == parcel.at_ms && it.collection == collection;
            if let Some(alarm) = all.alarms.iter_mut().find(is_meant) {
                alarm.is_unsent = false;
            }
        })?;
        Ok(true)
    }
}
