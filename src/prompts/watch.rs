//! Notices edits and new commits, and loads them.

use crate::prompts::registry::Prompts;
use crate::prompts::source::Source;
use crate::prompts::sync::Origin;
use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

/// Rounds of waiting for quiet; files that never rest are loaded anyway.
const MAX_QUIET_ROUNDS: usize = 20;

impl Prompts {
    /// Loads the prompts again whenever they change, until `shutdown` is cancelled. Problems are
    /// logged, and what was served before is served on.
    ///
    /// A remote is asked every [`crate::prompts::Config::poll`]. A directory is watched; where the system cannot watch it, and for Git's refs, it is looked at
    /// every [`crate::prompts::Config::poll`].
    pub async fn watch(&self, shutdown: CancellationToken) {
        match self.inner.config.origin {
            Origin::Here => self.watch_here(shutdown).await,
            Origin::Fetched { .. } => self.follow_remote(shutdown).await,
            // What is pushed is loaded as it comes.
            Origin::Pushed { .. } => shutdown.cancelled().await,
        }
    }

    async fn watch_here(&self, shutdown: CancellationToken) {
        let config = &self.inner.config;
        let (sender, mut events) = mpsc::channel(1);
        let watcher = watcher(&config.source, sender);
        let by_looking = watcher.is_none();
        if by_looking && matches!(config.source, Source::Directory(_)) {
            tracing::warn!("prompts cannot be watched; looking at them now and then");
        }
        // What changed between the first load and now was not seen by the watcher.
        let mut seen = self.load_and_log(by_looking).await;
        let mut ticks = interval(config.poll);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => break,
                Some(()) = events.recv() => {
                    for _ in 0..MAX_QUIET_ROUNDS {
                        if timeout(config.debounce, events.recv()).await.is_err() {
                            break;
                        }
                    }
                    seen = self.load_and_log(by_looking).await;
                }
                () = self.inner.sync.rung() => {
                    seen = self.load_and_log(by_looking).await;
                }
                _ = ticks.tick() => {
                    if self.fingerprint(by_looking).await != seen {
                        seen = self.load_and_log(by_looking).await;
                    }
                }
            }
        }
        drop(watcher);
    }

    async fn fingerprint(&self, with_files: bool) -> Option<u64> {
        let prompts = self.clone();
        spawn_blocking(move || prompts.inner.config.source.fingerprint(with_files))
            .await
            .ok()
    }

    /// Loads, and returns the fingerprint from before: what changes meanwhile differs from it.
    async fn load_and_log(&self, by_looking: bool) -> Option<u64> {
        let seen = self.fingerprint(by_looking).await;
        let prompts = self.clone();
        match spawn_blocking(move || prompts.reload()).await {
            Ok(Ok(report)) => {
                if !report.changed.is_empty() || !report.removed.is_empty() {
                    tracing::info!(
                        prompts = report.prompts,
                        changed = report.changed.len(),
                        removed = report.removed.len(),
                        commit = report.commit,
                        "prompts loaded"
                    );
                }
                for problem in &report.problems {
                    tracing::warn!(%problem, "a prompt has a problem; its last good version stays");
                }
            }
            Ok(Err(crate::prompts::Error::LoadFailed { problems })) => {
                for problem in &problems {
                    tracing::warn!(%problem, hint = problem.hint, "prompts not loaded");
                }
            }
            Ok(Err(error)) => tracing::warn!(%error, "prompts not loaded"),
            Err(error) => tracing::warn!(%error, "prompts not loaded"),
        }
        seen
    }
}

/// Watches a directory; `None` for what cannot be watched. Dropping the watcher ends it.
fn watcher(source: &Source, sender: mpsc::Sender<()>) -> Option<RecommendedWatcher> {
    let Source::Directory(directory) = source else {
        return None;
    };
    let on_event = move |event: notify::Result<Event>| {
        // Reading is an event too, and a load reads everything.
        if event.map_or(true, |event| !event.kind.is_access()) {
            // A full channel holds an event that stands for this one.
            let _ = sender.try_send(());
        }
    };
    let mut watcher = notify::recommended_watcher(on_event).ok()?;
    watcher
        .watch(&directory.path, RecursiveMode::Recursive)
        .ok()?;
    Some(watcher)
}

#[cfg(test)]
mod tests {
    use crate::domain::BundleHash;
    use crate::git::tests::{commit_all, repository_with};
    use crate::prompts::archive::BundleArchive;
    use crate::prompts::archive::tests::MemoryArchive;
    use crate::prompts::source::{GitSource, Source};
    use crate::prompts::{Config, Prompts};
    use std::path::PathBuf;
    use std::sync::Arc;
    use std::time::Duration;
    use tokio_util::sync::CancellationToken;
    use tokio_util::task::TaskTracker;

    /// Somebody who commits while what was committed before is being loaded.
    struct Hasty {
        repository: PathBuf,
        archive: MemoryArchive,
    }

    impl BundleArchive for Hasty {
        fn put(&self, hash: &BundleHash, json: &[u8]) -> Result<(), String> {
            let path = self.repository.join("a.prompt");
            if std::fs::read_to_string(&path).unwrap() == "two" {
                std::fs::write(&path, "three").unwrap();
                commit_all(&self.repository, "third");
            }
            self.archive.put(hash, json)
        }

        fn find(&self, hex_prefix: &str) -> Result<Vec<(BundleHash, Vec<u8>)>, String> {
            self.archive.find(hex_prefix)
        }

        fn append_numbers(&self, line: &str, round: &[u8]) -> Result<(), String> {
            self.archive.append_numbers(line, round)
        }

        fn numbers(&self, line: &str) -> Result<Vec<Vec<u8>>, String> {
            self.archive.numbers(line)
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_commit_made_during_a_load_is_not_missed() {
        let dir = repository_with(&[("a.prompt", "one")]);
        commit_all(dir.path(), "first");
        let config = Config {
            poll: Duration::from_millis(20),
            ..Config::new(Source::Git(GitSource {
                repository: dir.path().to_owned(),
                reference: "main".to_owned(),
                subpath: String::new(),
            }))
        };
        let archive = Hasty {
            repository: dir.path().to_owned(),
            archive: MemoryArchive::default(),
        };
        let prompts = Prompts::open(config, Arc::new(archive)).unwrap();
        std::fs::write(dir.path().join("a.prompt"), "two").unwrap();
        commit_all(dir.path(), "second");
        let shutdown = CancellationToken::new();
        let tracker = TaskTracker::new();
        let watching = tracker.spawn({
            let (prompts, shutdown) = (prompts.clone(), shutdown.clone());
            async move { prompts.watch(shutdown).await }
        });
        let key = crate::domain::PromptKey::parse("a").unwrap();
        let is_served = async {
            while prompts.snapshot().get(&key).unwrap().bundle.template() != "three" {
                tokio::task::yield_now().await;
            }
        };
        let served = tokio::time::timeout(Duration::from_secs(20), is_served);
        served.await.expect("the commit was missed");
        shutdown.cancel();
        watching.await.unwrap();
    }
}
