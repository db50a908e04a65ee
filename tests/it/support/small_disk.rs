//! A disk of a few MiB that really fills up: a `tmpfs` in a mount namespace of its own.
//!
//! A process without rights may make one, by a user namespace. The process that holds the namespace
//! does nothing else; the rest of the world reaches its disk below `/proc/PID/root`.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// Mounts `$1` MiB at `$0`, says so, and waits until nobody holds its stdin any more.
const HOLD: &str = "mount -t tmpfs -o size=\"$1\"m tmpfs \"$0\" && echo mounted && exec cat";

/// The disk. Gone when it is dropped.
pub(crate) struct SmallDisk {
    holder: Child,
    path: PathBuf,
    // The mount point, which stays empty outside of the namespace.
    _mount_point: TempDir,
}

impl SmallDisk {
    /// Mounts a disk of `mebibytes`.
    pub(crate) fn mount(mebibytes: u32) -> Self {
        let mount_point = TempDir::new().unwrap();
        let mut holder = Command::new("unshare")
            .args(["--user", "--map-root-user", "--mount", "sh", "-c", HOLD])
            .arg(mount_point.path())
            .arg(mebibytes.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("`unshare` (util-linux) starts");
        let mut said = String::new();
        let mut stdout = BufReader::new(holder.stdout.take().unwrap());
        stdout.read_line(&mut said).unwrap();
        assert_eq!(
            said, "mounted\n",
            "no small disk: a user namespace with a mount of its own must be allowed here"
        );
        let below = mount_point.path().strip_prefix("/").unwrap();
        let path = Path::new("/proc")
            .join(holder.id().to_string())
            .join("root")
            .join(below);
        Self {
            holder,
            path,
            _mount_point: mount_point,
        }
    }

    /// Makes an empty directory on the disk.
    pub(crate) fn directory(&self, name: &str) -> PathBuf {
        let path = self.path.join(name);
        fs::create_dir(&path).unwrap();
        path
    }

    /// Takes `mebibytes` of the disk away.
    pub(crate) fn fill(&self, mebibytes: usize) {
        fs::write(self.filler(), vec![0; mebibytes << 20]).unwrap();
    }

    /// Gives back what [`SmallDisk::fill`] took.
    pub(crate) fn free(&self) {
        fs::remove_file(self.filler()).unwrap();
    }

    fn filler(&self) -> PathBuf {
        self.path.join("filler")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}
