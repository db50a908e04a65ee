//! Every version of a prompt that was ever served, by its hash: immutable files.

use crate::domain::{BundleHash, Durability};
use crate::store::Error;
use crate::store::segment::sync_dir;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// The directory below the data directory.
pub(super) const DIR: &str = "bundles";

/// Bundles found by a prefix of their hash.
pub(super) type Found = Vec<(BundleHash, Vec<u8>)>;

fn path_of(dir: &Path, hash: BundleHash) -> PathBuf {
    let hex = hash.to_hex();
    let shelf = dir.join(hex.get(..2).unwrap_or_default());
    shelf.join(format!("{hex}.json"))
}

/// Stores bundles, in place of what is there; known ones cost a look. At level `disk` all new ones are
/// on the disk when this returns; at `os` they survive what the journal survives.
///
/// # Errors
///
/// `Io`.
pub(super) fn put(
    dir: &Path,
    bundles: &[(BundleHash, &[u8])],
    durability: Durability,
) -> Result<(), Error> {
    let mut shelves = Vec::new();
    for (hash, content) in bundles {
        let path = path_of(dir, *hash);
        if fs::read(&path).is_ok_and(|stored| stored == *content) {
            continue;
        }
        let shelf = path.parent().unwrap_or(dir).to_owned();
        fs::create_dir_all(&shelf).map_err(Error::io("create", &shelf))?;
        write(&path, content, durability).map_err(Error::io("write", &path))?;
        shelves.push(shelf);
    }
    if shelves.is_empty() || durability == Durability::Os {
        return Ok(());
    }
    shelves.sort_unstable();
    shelves.dedup();
    shelves.push(dir.to_owned());
    for shelf in shelves {
        sync_dir(&shelf).map_err(Error::io("sync", &shelf))?;
    }
    Ok(())
}

fn write(path: &Path, content: &[u8], durability: Durability) -> io::Result<()> {
    let temporary = path.with_extension("tmp");
    let mut file = File::create(&temporary)?;
    file.write_all(content)?;
    if durability == Durability::Disk {
        file.sync_data()?;
    }
    fs::rename(&temporary, path)
}

/// Returns the bundles whose hash begins with 4 to 64 hex digits, by hash.
///
/// # Errors
///
/// `BadHash`, `Io`.
pub(super) fn find(dir: &Path, prefix: &str) -> Result<Found, Error> {
    let digits = prefix
        .strip_prefix("sha-")
        .unwrap_or(prefix)
        .to_ascii_lowercase();
    let is_hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !is_hex || !(4..=64).contains(&digits.len()) {
        return Err(Error::BadHash {
            text: prefix.chars().take(80).collect(),
        });
    }
    if let Ok(hash) = format!("sha-{digits}").parse() {
        return whole(dir, hash);
    }
    let shelf = dir.join(digits.get(..2).unwrap_or_default());
    let entries = match fs::read_dir(&shelf) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::io("list", &shelf)(error)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(Error::io("list", &shelf))?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        let stem = name.and_then(|name| name.strip_suffix(".json"));
        let Some(stem) = stem.filter(|stem| stem.starts_with(&digits)) else {
            continue;
        };
        if let Ok(hash) = format!("sha-{stem}").parse() {
            let content = fs::read(&path).map_err(Error::io("read", &path))?;
            found.push((hash, content));
        }
    }
    found.sort_unstable_by_key(|(hash, _)| *hash);
    Ok(found)
}

/// Looks for one bundle by its whole hash: no shelf is listed, so that a start with a thousand prompts is
/// quick.
fn whole(dir: &Path, hash: BundleHash) -> Result<Found, Error> {
    let path = path_of(dir, hash);
    match fs::read(&path) {
        Ok(content) => Ok(vec![(hash, content)]),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(Error::io("read", &path)(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::{find, put};
    use crate::domain::{BundleHash, Durability};

    #[test]
    fn bundles_are_found_by_the_start_of_their_hash() {
        let dir = tempfile::tempdir().unwrap();
        let one = BundleHash([0xab; 32]);
        let two = BundleHash(
            [[0xab, 0xab].as_slice(), &[0; 30]]
                .concat()
                .try_into()
                .unwrap(),
        );
        let (os, disk) = (Durability::Os, Durability::Disk);
        put(dir.path(), &[(one, b"one"), (two, b"two")], disk).unwrap();
        put(dir.path(), &[(one, b"one under two names")], os).unwrap();
        assert_eq!(
            find(dir.path(), "sha-ABABAB").unwrap(),
            [(one, b"one under two names".to_vec())]
        );
        assert_eq!(find(dir.path(), "abab").unwrap().len(), 2);
        let whole = find(dir.path(), &two.to_hex()).unwrap();
        assert_eq!(whole, [(two, b"two".to_vec())]);
        assert!(find(dir.path(), &"0".repeat(64)).unwrap().is_empty());
        assert!(find(dir.path(), "ffff").unwrap().is_empty());
        for bad in ["ab", "../..", "zzzz", "é1234"] {
            let error = find(dir.path(), bad).unwrap_err();
            assert_eq!(error.kind(), "bundle_hash_invalid", "{bad}");
        }
    }
}
