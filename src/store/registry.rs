//! Keys, small settings and what an auditor asks for, in a sled database of their own that is opened
//! at the start.
//!
//! The truth is in the journal too. A change is written here first, marked as not journaled, then to
//! the journal, then the mark is taken off; a change that carries the mark at a start is journaled
//! then. So neither place can know something that the other will not.

use crate::domain::{AuditEvent, Audited, KeyId, Timestamp};
use crate::store::Error;
use crate::store::frame::{Frame, Kind};
use crate::store::journal::Journal;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

/// The name in errors.
const NAME: &str = "registry";
/// The mark of a registry that has everything the journal has.
const COMPLETE: &[u8] = b"mcomplete";
const VERSION: u32 = 1;

/// A gateway key as it is stored: never the secret itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredKey {
    /// The public part.
    pub id: KeyId,
    /// What people call it.
    pub name: String,
    /// SHA-256 of the whole key.
    #[serde(with = "hex_digits")]
    pub secret_hash: [u8; 32],
    /// Globs of prompts it may use; empty for all.
    #[serde(default)]
    pub prompts: Vec<String>,
    /// Globs of models it may name; empty for all.
    #[serde(default)]
    pub models: Vec<String>,
    /// The label that a reference without selector means.
    #[serde(default)]
    pub default_label: Option<String>,
    /// When it was made.
    pub created: Timestamp,
    /// From when on it is refused.
    #[serde(default)]
    pub expires: Option<Timestamp>,
    /// When it was taken back.
    #[serde(default)]
    pub revoked: Option<Timestamp>,
}

/// A setting in the journal.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Setting {
    name: String,
    value: Box<RawValue>,
}

/// What a value looks like in the database.
#[derive(Debug, Serialize, Deserialize)]
struct Stored<T> {
    version: u32,
    is_journaled: bool,
    value: T,
}

/// A value and its key in the database.
type Placed<T> = (Vec<u8>, Stored<T>);

/// The open database.
#[derive(Debug)]
pub(super) struct Registry {
    dir: PathBuf,
    tree: sled::Db,
}

impl Registry {
    /// Opens the database in `dir`; one that will not open is set aside and restored from the
    /// journal.
    pub(super) fn open(dir: &Path, journal: &Journal, now: Timestamp) -> Result<Self, Error> {
        let tree = match open_tree(dir) {
            Ok(tree) => tree,
            Err(problem) => {
                let aside = dir.with_extension(format!("broken-{}", now.unix_seconds()));
                tracing::error!(%problem, kept_as = %aside.display(),
                    "the registry will not open, it is restored from the journal");
                fs::rename(dir, &aside).map_err(Error::io("set aside", dir))?;
                open_tree(dir).map_err(|problem| Error::Unreadable {
                    path: dir.to_owned(),
                    problem,
                })?
            }
        };
        let registry = Self {
            dir: dir.to_owned(),
            tree,
        };
        // A missing mark means a new registry, or one that sled found nothing in any more.
        let mark = registry.tree.get(COMPLETE).map_err(Error::sled(NAME))?;
        if mark.is_none() {
            registry.restore(journal)?;
            let marked = registry.tree.insert(COMPLETE, &[]);
            marked.map_err(Error::sled(NAME))?;
            registry.flush()?;
        }
        registry.journal_marked(journal)?;
        Ok(registry)
    }

    /// Stores a key, new or changed. Durable here and at the journal's level when it returns.
    pub(super) fn put_key(&self, journal: &Journal, key: &StoredKey) -> Result<(), Error> {
        let place = key_place(&key.id);
        self.put(&place, false, key)?;
        journal.append(Kind::KeyChanged, key)?;
        self.put(&place, true, key)
    }

    /// Returns all keys, by id.
    pub(super) fn keys(&self) -> Result<Vec<StoredKey>, Error> {
        let stored = self.all::<StoredKey>(b"k")?;
        Ok(stored.into_iter().map(|(_, stored)| stored.value).collect())
    }

    /// Stores a setting.
    pub(super) fn put_setting(
        &self,
        journal: &Journal,
        name: &str,
        value: &RawValue,
    ) -> Result<(), Error> {
        let setting = Setting {
            name: name.to_owned(),
            value: value.to_owned(),
        };
        let place = setting_place(name);
        self.put(&place, false, &setting)?;
        journal.append(Kind::SettingChanged, &setting)?;
        self.put(&place, true, &setting)
    }

    /// Returns a setting.
    pub(super) fn setting(&self, name: &str) -> Result<Option<Box<RawValue>>, Error> {
        let value = self
            .tree
            .get(setting_place(name))
            .map_err(Error::sled(NAME))?;
        let Some(value) = value else { return Ok(None) };
        Ok(Some(self.parse::<Setting>(&value)?.value.value))
    }

    /// Writes events down, all together.
    pub(super) fn note(&self, journal: &Journal, events: &[AuditEvent]) -> Result<(), Error> {
        // Where few are, a start finds what is not journaled without looking at all of them.
        for event in events {
            self.insert(&owed_place(event), false, event)?;
        }
        self.flush()?;
        events
            .iter()
            .try_for_each(|event| self.journal_event(journal, event))
    }

    fn journal_event(&self, journal: &Journal, event: &AuditEvent) -> Result<(), Error> {
        journal.append(event_kind(event), event)?;
        self.insert(&event_place(event), true, event)?;
        // What a crash brings back is journaled once more, under the same id.
        let removed = self.tree.remove(owed_place(event));
        removed.map(|_| ()).map_err(Error::sled(NAME))
    }

    /// Returns the events since a point in time, the oldest first.
    pub(super) fn events(&self, since: Option<Timestamp>) -> Result<Vec<AuditEvent>, Error> {
        // Ids begin with the time in milliseconds.
        let millis = since.map_or(0, |since| u64::try_from(since.unix_millis()).unwrap_or(0));
        let time = millis.to_be_bytes();
        let from = [b"a", time.get(2..).unwrap_or_default()].concat();
        let mut events = Vec::new();
        for entry in self.tree.range(from..b"b".to_vec()) {
            let (_, value) = entry.map_err(Error::sled(NAME))?;
            events.push(self.parse::<AuditEvent>(&value)?.value);
        }
        Ok(events)
    }

    /// Makes everything durable.
    pub(super) fn flush(&self) -> Result<(), Error> {
        self.tree.flush().map(|_| ()).map_err(Error::sled(NAME))
    }

    /// Takes keys and settings from the journal's entries.
    pub(super) fn restore(&self, journal: &Journal) -> Result<(), Error> {
        let mut latest: BTreeMap<Vec<u8>, Frame> = BTreeMap::new();
        journal.each_entry(|frame| {
            if let Some(place) = place_of(&frame) {
                latest.insert(place, frame);
            }
        })?;
        for (place, frame) in latest {
            if let Some(key) = frame.decode::<StoredKey>() {
                self.put(&place, true, &key)?;
            } else if let Some(setting) = frame.decode::<Setting>() {
                self.put(&place, true, &setting)?;
            } else if let Some(event) = frame.decode::<AuditEvent>() {
                self.insert(&place, true, &event)?;
            }
        }
        Ok(())
    }

    fn put<T: Serialize>(&self, place: &[u8], is_journaled: bool, value: &T) -> Result<(), Error> {
        self.insert(place, is_journaled, value)?;
        self.flush()
    }

    fn insert<T: Serialize>(
        &self,
        place: &[u8],
        is_journaled: bool,
        value: &T,
    ) -> Result<(), Error> {
        let stored = Stored {
            version: VERSION,
            is_journaled,
            value,
        };
        let json = serde_json::to_vec(&stored).map_err(|source| Error::Encode { source })?;
        let inserted = self.tree.insert(place, json);
        inserted.map(|_| ()).map_err(Error::sled(NAME))
    }

    fn all<T: DeserializeOwned>(&self, prefix: &[u8]) -> Result<Vec<Placed<T>>, Error> {
        let mut all = Vec::new();
        for entry in self.tree.scan_prefix(prefix) {
            let (place, value) = entry.map_err(Error::sled(NAME))?;
            all.push((place.to_vec(), self.parse(&value)?));
        }
        Ok(all)
    }

    fn parse<T: DeserializeOwned>(&self, value: &[u8]) -> Result<Stored<T>, Error> {
        serde_json::from_slice(value).map_err(|error| Error::Unreadable {
            path: self.dir.clone(),
            problem: error.to_string(),
        })
    }

    /// Journals what a crash kept from being journaled.
    fn journal_marked(&self, journal: &Journal) -> Result<(), Error> {
        for (place, stored) in self.all::<StoredKey>(b"k")? {
            if !stored.is_journaled {
                journal.append(Kind::KeyChanged, &stored.value)?;
                self.put(&place, true, &stored.value)?;
            }
        }
        for (place, stored) in self.all::<Setting>(b"s")? {
            if !stored.is_journaled {
                journal.append(Kind::SettingChanged, &stored.value)?;
                self.put(&place, true, &stored.value)?;
            }
        }
        for (_, stored) in self.all::<AuditEvent>(b"o")? {
            self.journal_event(journal, &stored.value)?;
        }
        Ok(())
    }
}

fn open_tree(dir: &Path) -> Result<sled::Db, String> {
    open_database(dir, 1 << 20, None)
}

/// Opens a database of sled's, or says in its words why that is impossible.
pub(super) fn open_database(
    dir: &Path,
    cache_bytes: u64,
    flush_every_ms: Option<u64>,
) -> Result<sled::Db, String> {
    let config = sled::Config::new()
        .path(dir)
        .cache_capacity(cache_bytes)
        .flush_every_ms(flush_every_ms);
    // sled may panic on files it does not understand.
    match catch_unwind(AssertUnwindSafe(|| config.open())) {
        Ok(Ok(tree)) => Ok(tree),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("it panicked".to_owned()),
    }
}

fn key_place(id: &KeyId) -> Vec<u8> {
    [b"k", id.0.as_bytes()].concat()
}

fn setting_place(name: &str) -> Vec<u8> {
    [b"s", name.as_bytes()].concat()
}

/// Returns what happened to a key: its changes are in the journal anyway.
pub(super) fn life(key: &StoredKey) -> Vec<AuditEvent> {
    // A name of its own for each, the same whenever it is asked for.
    let id = |at: Timestamp, part: u8| {
        let text = [key.secret_hash.as_slice(), &[part]].concat();
        let random = crc32fast::hash(&text);
        let mut bytes = [0; 10];
        for (place, byte) in bytes.iter_mut().zip(random.to_be_bytes()) {
            *place = byte;
        }
        let millis = u64::try_from(at.unix_millis()).unwrap_or(0);
        uuid::Builder::from_unix_timestamp_millis(millis, &bytes).into_uuid()
    };
    let created = AuditEvent {
        id: id(key.created, 0),
        at: key.created,
        what: Audited::KeyCreated {
            key: key.id.clone(),
            name: key.name.clone(),
        },
    };
    let revoked = key.revoked.map(|at| AuditEvent {
        id: id(at, 1),
        at,
        what: Audited::KeyRevoked {
            key: key.id.clone(),
            name: key.name.clone(),
        },
    });
    std::iter::once(created).chain(revoked).collect()
}

fn event_place(event: &AuditEvent) -> Vec<u8> {
    [b"a", event.id.as_bytes().as_slice()].concat()
}

fn owed_place(event: &AuditEvent) -> Vec<u8> {
    [b"o", event.id.as_bytes().as_slice()].concat()
}

const fn event_kind(event: &AuditEvent) -> Kind {
    match &event.what {
        Audited::PromptsLoaded { .. } | Audited::PromptsRefused { .. } => Kind::PromptsLoaded,
        Audited::LabelMoved { .. }
        | Audited::OverrideSet { .. }
        | Audited::OverrideEnded { .. }
        | Audited::MigrationMoved { .. }
        | Audited::EmbeddingLabelMoved { .. }
        | Audited::EmbeddingItemDeleted { .. }
        | Audited::KeyCreated { .. }
        | Audited::KeyRevoked { .. } => Kind::Audited,
    }
}

fn place_of(frame: &Frame) -> Option<Vec<u8>> {
    match frame.head.kind {
        Kind::KeyChanged => Some(key_place(&frame.decode::<StoredKey>()?.id)),
        Kind::SettingChanged => Some(setting_place(&frame.decode::<Setting>()?.name)),
        Kind::PromptsLoaded | Kind::Audited => Some(event_place(&frame.decode()?)),
        Kind::Intent | Kind::Outcome | Kind::Gap | Kind::Closed | Kind::Lost | Kind::Run => None,
    }
}

/// A hash as 64 hex digits.
mod hex_digits {
    use crate::domain::BundleHash;
    use serde::{Deserialize as _, Deserializer, Serializer, de};

    pub(super) fn serialize<S: Serializer>(hash: &[u8; 32], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&BundleHash(*hash).to_hex())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<[u8; 32], D::Error> {
        let hex = String::deserialize(from)?;
        let hash = format!("sha-{hex}").parse::<BundleHash>();
        Ok(hash.map_err(de::Error::custom)?.0)
    }
}
