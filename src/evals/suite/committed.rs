//! The commit that gave a suite's file what it says, so that a report can tell since when its thresholds hold.

use crate::evals::suite::below;
use crate::git::{self, BlobId, Repository};
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::Path;

/// Commits that are looked through.
const MAX_COMMITS: usize = 100_000;

/// What Git knows of a suite's file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Committed {
    /// The commit that last changed it, along first parents from `HEAD`.
    pub commit: String,
    /// Whether the file that was read is another one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub has_uncommitted_changes: bool,
}

/// Returns what Git knows of the file at `path` below `root`; `None` when it lies in no repository, or in
/// no commit. Blocks.
///
/// # Errors
///
/// When the history cannot be read that far: the clone is shallow, or an object is missing.
pub fn committed(root: &Path, path: &str) -> Result<Option<Committed>, git::Error> {
    let Ok(file) = fs::canonicalize(root.join(path)) else {
        return Ok(None);
    };
    let repository = file.parent().map(Repository::discover);
    let Some(Ok(repository)) = repository else {
        return Ok(None);
    };
    let work_dir = repository.work_dir();
    let work_dir = work_dir.and_then(|dir| fs::canonicalize(dir).ok());
    let (Some(work_dir), Some(head)) = (work_dir, repository.head()) else {
        return Ok(None);
    };
    let Some(path) = below(&work_dir, &file) else {
        return Ok(None);
    };
    let reader = repository.history("");
    let found = reader.last_change(head, &path, MAX_COMMITS)?;
    let bytes = fs::read(&file).unwrap_or_default();
    Ok(found.map(|(commit, blob)| Committed {
        commit: commit.to_string(),
        has_uncommitted_changes: BlobId::of(&bytes) != Some(blob),
    }))
}

#[cfg(test)]
mod tests {
    use super::committed;
    use crate::git::tests::{commit_all, repository_with};
    use std::fs;

    const PATH: &str = "evals/shop.yaml";

    #[test]
    fn the_commit_that_set_the_thresholds_is_found() {
        let dir = repository_with(&[(PATH, "a"), ("other", "1")]);
        let root = dir.path();
        let found = || committed(root, PATH).unwrap().unwrap();
        let first = commit_all(root, "Begin");
        assert_eq!(found().commit, first);
        fs::write(root.join(PATH), "b").unwrap();
        let changed = found();
        assert_eq!(changed.commit, first);
        assert!(changed.has_uncommitted_changes);
        let second = commit_all(root, "Tighten");
        fs::write(root.join("other"), "2").unwrap();
        commit_all(root, "Elsewhere");
        let found = found();
        assert_eq!(found.commit, second);
        assert!(!found.has_uncommitted_changes);
    }

    #[test]
    fn what_is_in_no_commit_has_none() {
        let dir = repository_with(&[("other", "1")]);
        let root = dir.path();
        assert_eq!(committed(root, PATH).unwrap(), None);
        fs::create_dir(root.join("evals")).unwrap();
        fs::write(root.join(PATH), "a").unwrap();
        assert_eq!(committed(root, PATH).unwrap(), None, "no commit at all");
        let bare = tempfile::tempdir().unwrap();
        fs::write(bare.path().join("shop.yaml"), "a").unwrap();
        assert_eq!(committed(bare.path(), "shop.yaml").unwrap(), None);
    }
}
