//! Tables for the rooms above: bytes by bytes, in a sled database of their own that is opened when the
//! first table is, and never by a gateway that needs none.
//!
//! A table is an index over files of the room it belongs to: what was last written may be missing after a
//! crash (never half of a batch), and a database that will not open is set aside for an empty one. So each
//! room must be able to tell how far its table goes, and to make it anew.

use crate::store::Error;
use crate::store::registry::open_database;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// The directory below the data directory.
pub(super) const DIR: &str = "tables";
/// The name in errors.
const NAME: &str = "tables";
/// What sled may cache of all tables together.
const CACHE_BYTES: u64 = 4 << 20;
/// How often sled writes by itself what was changed.
const FLUSH_EVERY_MS: u64 = 500;

/// The database, once it is open.
#[derive(Debug)]
pub(super) struct Tables {
    dir: PathBuf,
    open: Mutex<Option<sled::Db>>,
}

/// An open table. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Table {
    tree: sled::Tree,
}

/// A change of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TableChange {
    /// A key gets a value, in place of the one it has.
    Insert {
        /// The key.
        key: Vec<u8>,
        /// The value.
        value: Vec<u8>,
    },
    /// A key is there no more.
    Remove {
        /// The key.
        key: Vec<u8>,
    },
}

/// A key and its value.
pub type TableEntry = (Vec<u8>, Vec<u8>);

impl Tables {
    /// The tables in `dir`, which is made when the first one is opened.
    pub(super) const fn new(dir: PathBuf) -> Self {
        Self {
            dir,
            open: Mutex::new(None),
        }
    }

    /// Opens a table, empty when there was none.
    pub(super) fn table(&self, name: &str) -> Result<Table, Error> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let database = match open.take() {
            Some(database) => database,
            None => open_or_set_aside(&self.dir)?,
        };
        let tree = database.open_tree(name).map_err(Error::sled(NAME));
        *open = Some(database);
        Ok(Table { tree: tree? })
    }

    /// Makes everything durable, where anything is open.
    pub(super) fn flush(&self) -> Result<(), Error> {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.as_ref().map_or(Ok(()), |database| {
            database.flush().map(|_| ()).map_err(Error::sled(NAME))
        })
    }
}

fn open_or_set_aside(dir: &Path) -> Result<sled::Db, Error> {
    let open = || open_database(dir, CACHE_BYTES, Some(FLUSH_EVERY_MS));
    open().or_else(|problem| {
        let names = (1_u32..).map(|n| dir.with_extension(format!("broken-{n}")));
        let aside = names.into_iter().find(|path| !path.exists());
        let aside = aside.unwrap_or_else(|| dir.with_extension("broken"));
        tracing::error!(%problem, kept_as = %aside.display(),
            "the tables will not open; they are made anew");
        fs::rename(dir, &aside).map_err(Error::io("set aside", dir))?;
        open().map_err(|problem| Error::Unreadable {
            path: dir.to_owned(),
            problem,
        })
    })
}

impl Table {
    /// Returns the value of a key.
    ///
    /// # Errors
    ///
    /// `Sled`.
    pub fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        let value = self.tree.get(key).map_err(Error::sled(NAME))?;
        Ok(value.map(|value| value.to_vec()))
    }

    /// Returns whether a key has a value.
    ///
    /// # Errors
    ///
    /// `Sled`.
    pub fn contains(&self, key: &[u8]) -> Result<bool, Error> {
        self.tree.contains_key(key).map_err(Error::sled(NAME))
    }

    /// Makes changes all together: after a crash all are there, or none.
    ///
    /// # Errors
    ///
    /// `Sled`.
    pub fn apply(&self, changes: impl IntoIterator<Item = TableChange>) -> Result<(), Error> {
        let mut batch = sled::Batch::default();
        for change in changes {
            match change {
                TableChange::Insert { key, value } => batch.insert(key, value),
                TableChange::Remove { key } => batch.remove(key),
            }
        }
        self.tree.apply_batch(batch).map_err(Error::sled(NAME))
    }

    /// Calls `visit` with each entry whose key begins with `prefix`, by key, until it says no.
    ///
    /// # Errors
    ///
    /// `Sled`.
    pub fn scan(
        &self,
        prefix: &[u8],
        mut visit: impl FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), Error> {
        for entry in self.tree.scan_prefix(prefix) {
            let (key, value) = entry.map_err(Error::sled(NAME))?;
            if !visit(&key, &value) {
                break;
            }
        }
        Ok(())
    }

    /// Returns the entries whose keys begin with `prefix`, by key.
    ///
    /// # Errors
    ///
    /// `Sled`.
    pub fn entries(&self, prefix: &[u8]) -> Result<Vec<TableEntry>, Error> {
        let mut entries = Vec::new();
        self.scan(prefix, |key, value| {
            entries.push((key.to_vec(), value.to_vec()));
            true
        })?;
        Ok(entries)
    }

    /// Removes everything.
    ///
    /// # Errors
    ///
    /// `Sled`.
    pub fn clear(&self) -> Result<(), Error> {
        self.tree.clear().map_err(Error::sled(NAME))
    }

    /// Makes everything durable.
    ///
    /// # Errors
    ///
    /// `Sled`.
    pub fn flush(&self) -> Result<(), Error> {
        self.tree.flush().map(|_| ()).map_err(Error::sled(NAME))
    }
}

#[cfg(test)]
mod tests {
    use super::{DIR, TableChange, Tables};
    use crate::store::testing;
    use std::fs;

    fn insert(key: &str, value: &str) -> TableChange {
        TableChange::Insert {
            key: key.into(),
            value: value.into(),
        }
    }

    #[test]
    fn a_batch_is_read_back_and_outlives_the_store() {
        let dir = tempfile::tempdir().unwrap();
        let store = testing::open(dir.path());
        assert!(!dir.path().join(DIR).exists());
        let table = store.table("a.keys").unwrap();
        let changes = [insert("k1", "one"), insert("k2", "two"), insert("l", "x")];
        table.apply(changes).unwrap();
        let remove = TableChange::Remove { key: "l".into() };
        table.apply([remove, insert("k2", "2")]).unwrap();
        assert!(
            store
                .table("b.keys")
                .unwrap()
                .entries(b"")
                .unwrap()
                .is_empty()
        );
        drop(table);
        drop(store);
        let store = testing::open(dir.path());
        let table = store.table("a.keys").unwrap();
        let entries = table.entries(b"k").unwrap();
        let wanted = [
            (b"k1".to_vec(), b"one".to_vec()),
            (b"k2".to_vec(), b"2".to_vec()),
        ];
        assert_eq!(entries, wanted);
        assert_eq!(table.get(b"l").unwrap(), None);
        table.clear().unwrap();
        assert!(!table.contains(b"k1").unwrap());
    }

    #[test]
    fn a_database_that_will_not_open_is_set_aside() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(DIR);
        fs::create_dir(&path).unwrap();
        fs::write(path.join("conf"), "no database").unwrap();
        let tables = Tables::new(path.clone());
        let table = tables.table("keys").unwrap();
        table.apply([insert("k", "v")]).unwrap();
        tables.flush().unwrap();
        let aside = path.with_extension("broken-1");
        assert_eq!(
            fs::read_to_string(aside.join("conf")).unwrap(),
            "no database"
        );
    }
}
