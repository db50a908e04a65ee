//! One process per data directory: the file `lock`.

use crate::store::Error;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;

/// The held lock; the operating system frees it when the process ends in any way.
#[derive(Debug)]
pub(super) struct Lock {
    file: File,
}

impl Lock {
    /// Takes the lock of `dir`.
    ///
    /// # Errors
    ///
    /// `Locked`, with what the holder says of itself.
    pub(super) fn take(dir: &Path) -> Result<Self, Error> {
        let path = dir.join("lock");
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let mut file = options.open(&path).map_err(Error::io("open", &path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                let _ = file.read_to_string(&mut holder);
                let holder = holder.trim().replace('\n', ", ");
                let unknown = holder.is_empty();
                return Err(Error::Locked {
                    dir: dir.to_owned(),
                    holder: if unknown {
                        "another process".to_owned()
                    } else {
                        holder
                    },
                });
            }
            Err(TryLockError::Error(error)) => return Err(Error::io("lock", &path)(error)),
        }
        let lock = Self { file };
        lock.describe(None).map_err(Error::io("write", &path))?;
        Ok(lock)
    }

    /// Writes down who holds the lock.
    pub(super) fn describe(&self, admin: Option<&str>) -> std::io::Result<()> {
        let mut text = format!("process {}\n", std::process::id());
        if let Some(admin) = admin {
            text.push_str(&format!("admin {admin}\n"));
        }
        let mut file = &self.file;
        file.set_len(0)?;
        file.seek(SeekFrom::Start(0))?;
        file.write_all(text.as_bytes())
    }
}

impl Drop for Lock {
    /// Closing the file would not do: a child that is being started holds it too, for a moment.
    fn drop(&mut self) {
        if let Err(error) = self.file.unlock() {
            tracing::warn!(%error, "cannot free the lock of the data directory");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Lock;

    #[test]
    fn the_second_is_told_who_the_first_is() {
        let dir = tempfile::tempdir().unwrap();
        let lock = Lock::take(dir.path()).unwrap();
        lock.describe(Some("http://127.0.0.1:8081")).unwrap();
        let error = Lock::take(dir.path()).unwrap_err();
        let text = error.to_string();
        assert_eq!(error.kind(), "store_locked");
        assert!(text.contains(&std::process::id().to_string()), "{text}");
        assert!(text.contains("http://127.0.0.1:8081"), "{text}");
        drop(lock);
        Lock::take(dir.path()).unwrap();
    }

    #[test]
    fn it_is_free_at_once_also_while_a_child_still_has_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let lock = Lock::take(dir.path()).unwrap();
        let of_a_child = lock.file.try_clone().unwrap();
        drop(lock);
        Lock::take(dir.path()).unwrap();
        drop(of_a_child);
    }
}
