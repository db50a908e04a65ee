//! Where adapters are: one file each, beside the vectors, under its own hash.

use crate::embeddings::adapters::{Adapter, AdapterError};
use crate::embeddings::files::write_durably;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// How a file's name ends.
const EXTENSION: &str = "adapter";
/// What every name begins with.
const PREFIX: &str = "adapter-";

/// What is on a shelf.
#[derive(Debug, Default)]
pub struct Shelved {
    /// The adapters, by name.
    pub adapters: Vec<Adapter>,
    /// Why others cannot be read: `Damaged`, `NewerFormat`.
    pub damaged: Vec<AdapterError>,
}

/// The adapters of a data directory.
#[derive(Debug, Clone)]
pub struct Shelf {
    dir: PathBuf,
}

impl Shelf {
    /// Returns the shelf in `dir`; it is made when the first adapter is kept.
    #[must_use]
    pub const fn new(dir: PathBuf) -> Self {
        Self { dir }
    }

    /// Keeps an adapter, durably. Returns whether it is new. Blocks.
    ///
    /// # Errors
    ///
    /// `Io`.
    pub fn put(&self, adapter: &Adapter) -> Result<bool, AdapterError> {
        let path = self.file(adapter.id());
        if path.exists() {
            return Ok(false);
        }
        fs::create_dir_all(&self.dir).map_err(AdapterError::io("create", &self.dir))?;
        let written = write_durably(&path, &adapter.to_bytes());
        written.map_err(AdapterError::io("write", &path))?;
        Ok(true)
    }

    /// Returns all adapters, and why those whose files are damaged are not among them. Blocks.
    ///
    /// # Errors
    ///
    /// `Io`.
    pub fn list(&self) -> Result<Shelved, AdapterError> {
        let mut shelved = Shelved::default();
        for id in self.ids()? {
            match self.read(&id) {
                Ok(adapter) => shelved.adapters.push(adapter),
                Err(error @ (AdapterError::Damaged { .. } | AdapterError::NewerFormat { .. })) => {
                    shelved.damaged.push(error);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(shelved)
    }

    /// Returns the adapter whose name begins so: `adapter-` and at least 6 hex digits. Blocks.
    ///
    /// # Errors
    ///
    /// As [`Self::id`]; `Damaged`, `NewerFormat`.
    pub fn find(&self, name: &str) -> Result<Adapter, AdapterError> {
        self.read(&self.id(name)?)
    }

    /// Returns the whole name that begins so; its file may be damaged. Blocks.
    ///
    /// # Errors
    ///
    /// `InvalidName`, `NotFound`, `Ambiguous`, `Io`.
    pub fn id(&self, name: &str) -> Result<String, AdapterError> {
        let digits = name.strip_prefix(PREFIX).unwrap_or_default();
        let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if !(6..=64).contains(&digits.len()) || !digits.bytes().all(is_digit) {
            return Err(AdapterError::InvalidName {
                name: name.to_owned(),
            });
        }
        let all = self.ids()?;
        let mut found = all.iter().filter(|id| id.starts_with(name));
        let Some(first) = found.next() else {
            let short = |id: &String| format!("`{}`", id.get(..20).unwrap_or(id));
            return Err(AdapterError::NotFound {
                name: name.to_owned(),
                choices: all.iter().take(12).map(short).collect(),
            });
        };
        match found.count() {
            0 => Ok(first.clone()),
            others => Err(AdapterError::Ambiguous {
                name: name.to_owned(),
                count: others + 1,
            }),
        }
    }

    /// Returns the adapter that a space names by its hash. Blocks.
    ///
    /// # Errors
    ///
    /// As [`Self::find`].
    pub fn of_hash(&self, hash: &str) -> Result<Adapter, AdapterError> {
        self.find(&format!("{PREFIX}{hash}"))
    }

    /// Removes the adapter with this whole name. Blocks.
    ///
    /// # Errors
    ///
    /// `Io`.
    pub fn remove(&self, id: &str) -> Result<(), AdapterError> {
        let path = self.file(id);
        fs::remove_file(&path).map_err(AdapterError::io("remove", &path))?;
        self.sync()
    }

    fn file(&self, id: &str) -> PathBuf {
        self.dir.join(id).with_extension(EXTENSION)
    }

    fn read(&self, id: &str) -> Result<Adapter, AdapterError> {
        let path = self.file(id);
        let bytes = fs::read(&path).map_err(AdapterError::io("read", &path))?;
        let adapter = Adapter::from_bytes(&path, &bytes)?;
        if adapter.id() != id {
            return Err(AdapterError::damaged(
                &path,
                "it is another adapter than its name says",
            ));
        }
        Ok(adapter)
    }

    fn ids(&self) -> Result<Vec<String>, AdapterError> {
        let read = match fs::read_dir(&self.dir) {
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(AdapterError::io("read", &self.dir)(error)),
        };
        let mut ids = Vec::new();
        for entry in read {
            let path = entry.map_err(AdapterError::io("read", &self.dir))?.path();
            ids.extend(id_of(&path));
        }
        ids.sort();
        Ok(ids)
    }

    fn sync(&self) -> Result<(), AdapterError> {
        let synced = File::open(&self.dir).and_then(|dir| dir.sync_all());
        synced.map_err(AdapterError::io("sync", &self.dir))
    }
}

fn id_of(path: &Path) -> Option<String> {
    let is_ours = path.extension().is_some_and(|found| found == EXTENSION);
    let stem = path.file_stem()?.to_str()?;
    (is_ours && stem.starts_with(PREFIX)).then(|| stem.to_owned())
}
