//! The layout's number in `layout.json`, and bringing older layouts up to date.

#[path = "../../migrations/mod.rs"]
mod migrations;

use crate::store::Error;
use crate::store::segment::sync_dir;
use migrations::{ALL, Migration, NEWEST};
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

/// What `layout.json` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Layout {
    /// The number of the layout.
    pub(super) layout: u32,
    /// Where the journal's checksums start, made at random with the store.
    pub(super) salt: u32,
}

/// Reads the layout of `dir`, brings it up to date, or makes it for a new store.
///
/// # Errors
///
/// `NewerLayout`, `Unreadable` when the file is damaged, `Io`.
pub(super) fn bring_up_to_date(dir: &Path) -> Result<Layout, Error> {
    run(dir, ALL, NEWEST)
}

fn run(dir: &Path, migrations: &[Migration], newest: u32) -> Result<Layout, Error> {
    let path = dir.join("layout.json");
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let layout = Layout {
                layout: newest,
                salt: rand::random(),
            };
            write(&path, layout)?;
            return Ok(layout);
        }
        Err(error) => return Err(Error::io("read", &path)(error)),
    };
    let parsed = serde_json::from_slice::<Layout>(&text);
    let mut layout = parsed.map_err(|error| Error::Unreadable {
        path: path.clone(),
        problem: error.to_string(),
    })?;
    if newest < layout.layout {
        return Err(Error::NewerLayout {
            found: layout.layout,
            known: newest,
        });
    }
    for migration in migrations {
        if migration.to <= layout.layout {
            continue;
        }
        tracing::info!(
            to = migration.to,
            what = migration.what,
            "migrating the data directory"
        );
        (migration.run)(dir).map_err(Error::io("migrate", dir))?;
        layout.layout = migration.to;
        write(&path, layout)?;
    }
    Ok(layout)
}

fn write(path: &Path, layout: Layout) -> Result<(), Error> {
    let text = serde_json::to_vec(&layout).map_err(|source| Error::Encode { source })?;
    write_durably(path, &text).map_err(Error::io("write", path))
}

/// Writes a small file so that a crash leaves the old one or the new one, whole.
pub(super) fn write_durably(path: &Path, content: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension("tmp");
    let mut file = File::create(&temporary)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    path.parent().map_or(Ok(()), sync_dir)
}

#[cfg(test)]
mod tests {
    use super::migrations::Migration;
    use super::{bring_up_to_date, run};
    use std::fs;
    use std::io;
    use std::path::Path;

    fn count(dir: &Path) -> io::Result<()> {
        let path = dir.join("runs");
        let runs = fs::read_to_string(&path).unwrap_or_default();
        fs::write(path, runs + "x")
    }

    const STEPS: &[Migration] = &[
        Migration {
            to: 2,
            what: "count",
            run: count,
        },
        Migration {
            to: 3,
            what: "count again",
            run: count,
        },
    ];

    #[test]
    fn each_step_runs_once_and_the_salt_stays() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("layout.json"), r#"{"layout":1,"salt":7}"#).unwrap();
        for _ in 0..2 {
            let layout = run(dir.path(), STEPS, 3).unwrap();
            assert_eq!((layout.layout, layout.salt), (3, 7));
        }
        assert_eq!(fs::read_to_string(dir.path().join("runs")).unwrap(), "xx");
    }

    #[test]
    fn newer_and_damaged_layouts_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("layout.json");
        fs::write(&path, r#"{"layout":99,"salt":1}"#).unwrap();
        let error = bring_up_to_date(dir.path()).unwrap_err();
        assert_eq!(error.kind(), "store_layout_newer");
        assert!(error.to_string().contains("99"));
        fs::write(&path, "{").unwrap();
        let error = bring_up_to_date(dir.path()).unwrap_err();
        assert_eq!(error.kind(), "store_unreadable");
    }
}
