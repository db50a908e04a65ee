//! The registry: loads, checks, swaps, and answers references.

use crate::domain::{Caller, Clock, PromptKey, PromptReference, PromptStamp, Selector};
use crate::git::CommitId;
use crate::prompts::archive::{BundleArchive, NoArchive};
use crate::prompts::bundle::Bundle;
use crate::prompts::error::Error;
use crate::prompts::history::History;
use crate::prompts::numbering::Numbering;
use crate::prompts::problem::Problem;
use crate::prompts::releases::{Noting, Released, StickyKeys};
use crate::prompts::snapshot::Snapshot;
use crate::prompts::source::Source;
use crate::prompts::sync::{Origin, Sync};
use arc_swap::{ArcSwap, ArcSwapOption};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Mutex as AsyncMutex, Notify};

/// What happens to a set of files with problems.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// Any problem refuses the whole set: what was loaded before stays.
    #[default]
    Strict,
    /// A prompt with problems stays as it was before; the others advance.
    Lenient,
}

/// The settings of a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Where prompts come from.
    pub source: Source,
    /// What happens to files with problems.
    pub mode: Mode,
    /// How long files must be quiet before they are loaded again.
    pub debounce: Duration,
    /// How often a remote is asked, Git's refs are looked at, and files where they cannot be watched.
    pub poll: Duration,
    /// How commits come to this machine.
    pub origin: Origin,
}

impl Config {
    /// Returns the usual settings for `source`.
    #[must_use]
    pub const fn new(source: Source) -> Self {
        Self {
            source,
            mode: Mode::Strict,
            debounce: Duration::from_millis(50),
            poll: Duration::from_secs(2),
            origin: Origin::Here,
        }
    }
}

impl Config {
    /// Whether there is anything to be read: a remote is when it was fetched once.
    #[must_use]
    pub fn has_come(&self) -> bool {
        match (&self.origin, &self.source) {
            (Origin::Fetched { .. } | Origin::Pushed { .. }, Source::Git(source)) => {
                source.repository.exists()
            }
            _ => true,
        }
    }
}

/// The outcome of a load.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LoadReport {
    /// How many prompts are served now.
    pub prompts: usize,
    /// Prompts that are new or have another version.
    pub changed: Vec<PromptKey>,
    /// Prompts that are gone.
    pub removed: Vec<PromptKey>,
    /// The commit that was loaded.
    pub commit: Option<String>,
    /// What is wrong; only in lenient mode.
    pub problems: Vec<Problem>,
}

/// A reference, resolved to one version.
#[derive(Debug, Clone)]
pub struct ResolvedPrompt {
    /// Which version it is, for headers and records.
    pub stamp: PromptStamp,
    /// The version.
    pub bundle: Arc<Bundle>,
}

/// The prompts that are served. Cheap to clone; clones share everything.
#[derive(Clone)]
pub struct Prompts {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) config: Config,
    pub(super) archive: Arc<dyn BundleArchive>,
    pub(super) current: ArcSwap<Snapshot>,
    /// Why the newest files are not served; `None` when they are.
    problem: ArcSwapOption<String>,
    /// Held while files are loaded, so that an older set never replaces a newer one.
    pub(super) loading: Mutex<()>,
    /// Old versions that were asked for lately. Held while one is read: one at a time.
    pub(super) history: AsyncMutex<History>,
    /// Which number each version has.
    pub(super) numbering: Arc<Numbering>,
    /// Told when there are other overrides than before.
    pub(super) overridden: Notify,
    /// What is known of syncs.
    pub(super) sync: Sync,
}

impl fmt::Debug for Prompts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Prompts")
            .field("config", &self.inner.config)
            .field("prompts", &self.snapshot().len())
            .finish_non_exhaustive()
    }
}

impl Prompts {
    /// Loads the prompts; those that were good before when a remote is not there, or the newest are
    /// bad. Blocks.
    ///
    /// # Errors
    ///
    /// [`Error::LoadFailed`] with all problems, [`Error::SourceUnreadable`], [`Error::Git`], and
    /// [`Error::Archive`].
    pub fn open(config: Config, archive: Arc<dyn BundleArchive>) -> Result<Self, Error> {
        let prompts = Self::archived(config, archive);
        prompts.start()?;
        Ok(prompts)
    }

    /// Returns what is served now. A call holds it from start to end.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.inner.current.load_full()
    }

    /// Loads the files again and serves them if they are good. Blocks.
    ///
    /// # Errors
    ///
    /// As [`Prompts::open`]; what was served before is served on.
    pub fn reload(&self) -> Result<LoadReport, Error> {
        let loading = self.inner.loading.lock();
        let _loading = loading.unwrap_or_else(PoisonError::into_inner);
        let before = self.snapshot();
        let mut commit = None;
        let result = self.load(Noting::All, &before, &mut commit);
        let problem = result
            .as_ref()
            .err()
            .map(|error| Arc::new(error.to_string()));
        self.inner.problem.store(problem);
        if let Err(error) = &result {
            self.note_trouble(commit.as_deref(), error);
        }
        result
    }

    /// Returns why the newest files are not served; the last good ones are.
    #[must_use]
    pub fn last_problem(&self) -> Option<String> {
        self.inner.problem.load().as_deref().cloned()
    }

    /// Returns prompts without any files: old versions are found in `archive`, nothing else.
    #[must_use]
    pub fn archived(config: Config, archive: Arc<dyn BundleArchive>) -> Self {
        let prompts = Self {
            inner: Arc::new(Inner {
                config,
                archive,
                current: ArcSwap::from_pointee(Snapshot::default()),
                problem: ArcSwapOption::empty(),
                loading: Mutex::new(()),
                history: AsyncMutex::new(History::default()),
                numbering: Arc::default(),
                overridden: Notify::new(),
                sync: Sync::default(),
            }),
        };
        prompts.recall();
        prompts
    }

    /// Notes the commit that is read in `tried`, also when it cannot be served.
    pub(super) fn load(
        &self,
        noting: Noting,
        previous: &Snapshot,
        tried: &mut Option<String>,
    ) -> Result<LoadReport, Error> {
        let inner = &self.inner;
        if !inner.config.has_come() {
            return Err(Error::NothingLoaded);
        }
        let reading = inner.config.source.read(tried)?;
        let mut snapshot = Snapshot::build(reading, Some(previous), inner.config.mode)?;
        snapshot.numbering = Arc::clone(&inner.numbering);
        let archive = inner.archive.as_ref();
        snapshot.keep_in(archive, Some(previous))?;
        let ended = inner.number_and_release(&mut snapshot, previous)?;
        let report = report(previous, &snapshot);
        if noting == Noting::All {
            // Written down before it is served: what was served is never unknown.
            self.note_success(previous, &snapshot, &report);
        }
        let snapshot = Arc::new(snapshot);
        inner.current.store(Arc::clone(&snapshot));
        inner.overridden.notify_one();
        inner.note_labels(&snapshot, ended, noting);
        Ok(report)
    }

    /// Returns everything that is wrong with the files of `source`, sorted. Blocks.
    #[must_use]
    pub fn check(source: &Source) -> Vec<Problem> {
        let prompts = Self::archived(Config::new(source.clone()), Arc::new(NoArchive));
        match prompts.load(Noting::Ends, &Snapshot::default(), &mut None) {
            Ok(_) => Vec::new(),
            Err(Error::LoadFailed { problems }) => problems,
            Err(error) => vec![Problem::new(error.to_string()).in_file(".")],
        }
    }

    /// Finds the one version that `reference` means for `caller`.
    ///
    /// # Errors
    ///
    /// [`Error::Forbidden`], [`Error::NotFound`], [`Error::VersionNotFound`],
    /// [`Error::LabelNotFound`], [`Error::PreviewNotFound`] and [`Error::VersionAmbiguous`] say that
    /// there is no such version; nothing else is ever served in its place. [`Error::Git`],
    /// [`Error::Archive`] and [`Error::LoadFailed`] when a version cannot be read;
    /// [`Error::NothingLoaded`] before anything was pushed.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    pub async fn resolve(
        &self,
        reference: &PromptReference,
        caller: &Caller,
    ) -> Result<ResolvedPrompt, Error> {
        let released = self.find(reference, caller, None).await?;
        Ok(released.prompt)
    }

    /// Returns `reference` with the prompt's own name where it has an alias.
    #[must_use]
    pub fn real_name(&self, mut reference: PromptReference) -> PromptReference {
        let snapshot = self.inner.current.load();
        if let Some(key) = snapshot.releases.alias(&reference.key) {
            reference.key = key.clone();
        }
        reference
    }

    /// Finds the version that a call of `caller` gets for `reference`: where a label has a canary,
    /// `keys` say who stays with it.
    ///
    /// # Errors
    ///
    /// As [`Prompts::resolve`], and [`Error::Retired`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    pub async fn release(
        &self,
        reference: &PromptReference,
        caller: &Caller,
        keys: &StickyKeys<'_>,
    ) -> Result<Released, Error> {
        self.find(reference, caller, Some(keys)).await
    }

    async fn find(
        &self,
        reference: &PromptReference,
        caller: &Caller,
        keys: Option<&StickyKeys<'_>>,
    ) -> Result<Released, Error> {
        let snapshot = self.inner.current.load();
        let alias = snapshot.releases.alias(&reference.key).cloned();
        let key = alias.as_ref().unwrap_or(&reference.key);
        if !caller.may_use_prompt(key) {
            return Err(Error::Forbidden {
                name: reference.key.to_string(),
                nearest: snapshot.nearest(&reference.key, caller),
            });
        }
        if snapshot.is_empty() && self.is_waiting() {
            return Err(Error::NothingLoaded);
        }
        if keys.is_some() {
            snapshot.refuse_retired(key, Clock::System)?;
        }
        let resolved = match &reference.selector {
            Selector::Default => {
                let label = caller.default_label.as_deref();
                return snapshot.by_label(key, label, caller, keys);
            }
            Selector::Label(label) => return snapshot.by_label(key, Some(label), caller, keys),
            Selector::Latest => latest(&snapshot, key, caller),
            Selector::Hash(hex) => {
                let snapshot = arc_swap::Guard::into_inner(snapshot);
                let resolved = self.by_hash(&snapshot, key, hex, caller).await;
                resolved.map(|resolved| self.with_number(resolved))
            }
            Selector::GitRef(reference) => {
                let snapshot = arc_swap::Guard::into_inner(snapshot);
                let resolved = self.at_reference(&snapshot, key, reference, caller).await;
                resolved.map(|resolved| self.with_number(resolved))
            }
            Selector::Number(number) => {
                let snapshot = arc_swap::Guard::into_inner(snapshot);
                self.by_number(&snapshot, key, *number, caller).await
            }
            Selector::PullRequest(number) => {
                let snapshot = arc_swap::Guard::into_inner(snapshot);
                let resolved = self.at_pull_request(&snapshot, key, *number, caller).await;
                resolved.map(|resolved| self.with_number(resolved))
            }
        };
        resolved.map(Released::from)
    }
}

/// Returns the version that is served, which is the newest that was loaded.
fn latest(snapshot: &Snapshot, key: &PromptKey, caller: &Caller) -> Result<ResolvedPrompt, Error> {
    let bundle = known(snapshot, key, caller)?;
    Ok(ResolvedPrompt {
        stamp: snapshot.stamp(key, bundle.hash(), None),
        bundle: Arc::clone(bundle),
    })
}

/// Returns the served version of `key`, or the error that there is none.
pub(super) fn known<'a>(
    snapshot: &'a Snapshot,
    key: &PromptKey,
    caller: &Caller,
) -> Result<&'a Arc<Bundle>, Error> {
    snapshot
        .get(key)
        .map(|prompt| &prompt.bundle)
        .ok_or_else(|| Error::NotFound {
            name: key.to_string(),
            nearest: snapshot.nearest(key, caller),
        })
}

/// Returns the error that `key` has no version `selector`, or that there is no `key`.
pub(super) fn no_version(
    snapshot: &Snapshot,
    key: &PromptKey,
    selector: &str,
    caller: &Caller,
) -> Error {
    match known(snapshot, key, caller) {
        Err(error) => error,
        Ok(bundle) => Error::VersionNotFound {
            name: key.to_string(),
            selector: selector.to_owned(),
            choices: choices(snapshot, key, bundle),
        },
    }
}

/// Which versions of `key` there are, in words.
fn choices(snapshot: &Snapshot, key: &PromptKey, bundle: &Bundle) -> String {
    let numbered = match snapshot.numbering.known().numbers.newest(key) {
        0 => "no version is in a commit and has a number".to_owned(),
        1 => "there is `v1`".to_owned(),
        newest => format!("there are `v1` to `v{newest}`"),
    };
    let served = bundle.hash().short();
    format!(
        "{numbered}, `{served}` is served; ask for a number `@vN`, `@latest`, a hash `@sha-HEX` or a \
         commit `@git:REF`"
    )
}

fn report(previous: &Snapshot, current: &Snapshot) -> LoadReport {
    let is_changed = |key: &PromptKey, bundle: &Bundle| {
        let before = previous.get(key);
        before.is_none_or(|before| before.bundle.hash() != bundle.hash())
    };
    LoadReport {
        prompts: current.len(),
        changed: current
            .iter()
            .filter(|(key, prompt)| is_changed(key, &prompt.bundle))
            .map(|(key, _)| key.clone())
            .collect(),
        removed: previous
            .iter()
            .filter(|(key, _)| current.get(key).is_none())
            .map(|(key, _)| key.clone())
            .collect(),
        commit: current.commit().map(str::to_owned),
        problems: current.problems().to_vec(),
    }
}

/// The commit of a snapshot of the past.
pub(super) type Past = (CommitId, Arc<Snapshot>);

#[cfg(test)]
mod tests {
    use super::{Config, LoadReport, Mode, Prompts, ResolvedPrompt};
    use crate::domain::{Blame, Caller};
    use crate::git::tests::{commit_all, git, repository_with};
    use crate::prompts::archive::BundleArchive as _;
    use crate::prompts::archive::tests::MemoryArchive;
    use crate::prompts::error::Error;
    use crate::prompts::problem::Problem;
    use crate::prompts::source::{DirectorySource, GitSource, Source};
    use std::path::Path;
    use std::sync::Arc;
    use std::sync::atomic::Ordering;
    use std::time::Duration;
    use tokio_util::sync::CancellationToken;

    fn directory(path: &Path) -> Config {
        let path = path.to_owned();
        Config::new(Source::Directory(DirectorySource { path }))
    }

    fn write(root: &Path, path: &str, text: &str) {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    async fn resolve(prompts: &Prompts, reference: &str) -> Result<ResolvedPrompt, Error> {
        prompts
            .resolve(&reference.parse().unwrap(), &Caller::local())
            .await
    }

    fn open(config: Config) -> (Prompts, Arc<MemoryArchive>) {
        let archive = Arc::new(MemoryArchive::default());
        let kept: Arc<MemoryArchive> = Arc::clone(&archive);
        (Prompts::open(config, kept).unwrap(), archive)
    }

    #[tokio::test]
    async fn a_plain_directory_serves_latest_and_hashes() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), "a.prompt", "one");
        write(dir.path(), "sub/b.terse.prompt", "two");
        let (prompts, _) = open(directory(dir.path()));
        let one = resolve(&prompts, "a").await.unwrap();
        assert_eq!(
            (one.stamp.label, one.stamp.commit, one.stamp.dirty),
            (None, None, false)
        );
        let hash = one.bundle.hash();
        for (reference, label) in [
            ("a@latest", None),
            ("a@production", Some("production")),
            (&*format!("a@{hash}"), None),
            (&*format!("a@{}", hash.short()), None),
            (&*format!("a@sha-{}", hash.to_hex().split_at(4).0), None),
        ] {
            let resolved = resolve(&prompts, reference).await.unwrap();
            assert_eq!(resolved.bundle.hash(), hash, "{reference}");
            assert_eq!(resolved.stamp.label.as_deref(), label, "{reference}");
        }
        assert!(resolve(&prompts, "sub/b.terse").await.is_ok());
    }

    #[tokio::test]
    async fn nothing_else_is_ever_served() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), "support/refund.prompt", "one");
        write(dir.path(), "support/refunds.prompt", "two");
        let (prompts, _) = open(directory(dir.path()));
        for (reference, kind, param) in [
            ("support/refnd", "prompt_not_found", "prompt.id"),
            ("support/refund.terse", "prompt_not_found", "prompt.id"),
            (
                "support/refund@v1",
                "prompt_version_not_found",
                "prompt.version",
            ),
            (
                "support/refund@sha-0000",
                "prompt_version_not_found",
                "prompt.version",
            ),
            (
                "support/refund@git:main",
                "prompt_version_not_found",
                "prompt.version",
            ),
            (
                "support/refund@staging",
                "prompt_label_not_found",
                "prompt.version",
            ),
            (
                "support/refund@pr-1",
                "prompt_preview_not_found",
                "prompt.version",
            ),
            ("other@pr-1", "prompt_not_found", "prompt.id"),
            ("other@v1", "prompt_not_found", "prompt.id"),
        ] {
            let error = resolve(&prompts, reference).await.unwrap_err();
            assert_eq!(error.kind(), kind, "{reference}");
            assert_eq!(error.blame(), Blame::Client, "{reference}");
            assert_eq!(error.param().unwrap(), param, "{reference}");
        }
        let error = resolve(&prompts, "support/refnd").await.unwrap_err();
        assert_eq!(
            error.hint().unwrap(),
            "did you mean `support/refund`, `support/refunds`?"
        );
    }

    #[tokio::test]
    async fn a_forbidden_prompt_looks_like_none() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), "open/a.prompt", "one");
        write(dir.path(), "secret/a.prompt", "two");
        let (prompts, _) = open(directory(dir.path()));
        let caller = Caller {
            prompts: vec!["open/*".to_owned()],
            ..Caller::local()
        };
        let hash = resolve(&prompts, "secret/a").await.unwrap().bundle.hash();
        for name in ["secret/a", "secret/b"] {
            let error = prompts
                .resolve(&name.parse().unwrap(), &caller)
                .await
                .unwrap_err();
            assert_eq!(error.kind(), "prompt_forbidden");
            assert_eq!(error.to_string(), format!("prompt `{name}` not found"));
            assert!(!error.hint().unwrap_or_default().contains("secret"));
        }
        // A hash of another prompt opens nothing under a name that is allowed.
        let stolen = format!("open/a@{hash}").parse().unwrap();
        let error = prompts.resolve(&stolen, &caller).await.unwrap_err();
        assert_eq!(error.kind(), "prompt_version_not_found");
    }

    #[tokio::test]
    async fn a_callers_default_label_must_exist() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), "a.prompt", "one");
        let (prompts, _) = open(directory(dir.path()));
        let caller = |label: &str| Caller {
            default_label: Some(label.to_owned()),
            ..Caller::local()
        };
        let reference = "a".parse().unwrap();
        let resolved = prompts
            .resolve(&reference, &caller("production"))
            .await
            .unwrap();
        assert_eq!(resolved.stamp.label.as_deref(), Some("production"));
        let error = prompts
            .resolve(&reference, &caller("staging"))
            .await
            .unwrap_err();
        assert_eq!(error.kind(), "prompt_label_not_found");
        // Where a file says what labels mean, nothing is guessed.
        write(
            dir.path(),
            "releases.yaml",
            "labels: {staging: {\"*\": latest}}",
        );
        prompts.reload().unwrap();
        assert_eq!(
            resolve(&prompts, "a").await.unwrap_err().kind(),
            "prompt_label_not_found"
        );
        let resolved = prompts.resolve(&reference, &caller("staging")).await;
        assert_eq!(resolved.unwrap().stamp.label.as_deref(), Some("staging"));
        assert!(resolve(&prompts, "a@latest").await.is_ok());
    }

    const BROKEN: [(&str, &str, &str); 10] = [
        (
            "a.prompt",
            "---\nmodel: m\n",
            "a.prompt:1: the front matter is not closed",
        ),
        (
            "b.prompt",
            "x\n{{> nope}}",
            "b.prompt:2: there is no partial `nope`",
        ),
        (
            "c.prompt",
            "x\n\n{{eq a b}}",
            "c.prompt:3: `eq` is no helper",
        ),
        (
            "_d.prompt",
            "{{> d}}",
            "_d.prompt:1: partials go in a circle: `d` -> `d`",
        ),
        (
            "e.prompt",
            "---\ntools: [nope]\n---\nx",
            "e.prompt:2: there is no tool `nope`",
        ),
        (
            "f.prompt",
            "---\ninput: {schema: {a: string}}\n---\n{{b}}",
            "f.prompt:4: variable `b` is used but",
        ),
        (
            "g.samples.yaml",
            "samples: []",
            "g.samples.yaml: there is no prompt `g`",
        ),
        ("schemas/H.yaml", "a: I\n", "schemas/H.yaml: `I` is neither"),
        (
            "schemas/J.yaml",
            "a: J\n",
            "schemas/J.yaml: schema `J` refers to itself",
        ),
        ("tools/k.yaml", "a: [\n", "tools/k.yaml:"),
    ];

    #[test]
    fn all_problems_of_all_files_are_reported_together() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), "good.prompt", "{{x}}");
        write(
            dir.path(),
            "good.samples.yaml",
            "samples:\n  - name: empty\n",
        );
        for (path, text, _) in BROKEN {
            write(dir.path(), path, text);
        }
        std::os::unix::fs::symlink("/etc/passwd", dir.path().join("link.prompt")).unwrap();
        let problems = Prompts::check(&directory(dir.path()).source);
        let without_column = |problem: &Problem| Problem {
            column: None,
            ..problem.clone()
        };
        let shown: Vec<_> = problems
            .iter()
            .map(|problem| without_column(problem).to_string())
            .collect();
        let mut wanted: Vec<_> = BROKEN.iter().map(|(_, _, start)| *start).collect();
        wanted.push(
            "good.samples.yaml:2: sample `empty` of `good`: missing variables of the prompt: `x`",
        );
        wanted.push("link.prompt: is a symlink; symlinks are not followed");
        for start in &wanted {
            let found = shown
                .iter()
                .filter(|problem| problem.starts_with(start))
                .count();
            assert_eq!(found, 1, "{start}\n{shown:#?}");
        }
        assert_eq!(shown.len(), wanted.len(), "{shown:#?}");
    }

    #[tokio::test]
    async fn a_bad_edit_never_reaches_traffic() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), "a.prompt", "one");
        write(dir.path(), "b.prompt", "one");
        let (prompts, archive) = open(directory(dir.path()));
        let before = resolve(&prompts, "a").await.unwrap().bundle.hash();
        write(dir.path(), "a.prompt", "two");
        write(dir.path(), "b.prompt", "{{#if x}}");
        let error = prompts.reload().unwrap_err();
        assert_eq!(error.kind(), "prompt_load_failed");
        assert_eq!(resolve(&prompts, "a").await.unwrap().bundle.hash(), before);
        // Nor does a version that could not be kept.
        write(dir.path(), "b.prompt", "two");
        archive.is_broken.store(true, Ordering::SeqCst);
        assert_eq!(
            prompts.reload().unwrap_err().kind(),
            "prompt_registry_unavailable"
        );
        assert_eq!(resolve(&prompts, "a").await.unwrap().bundle.hash(), before);
        archive.is_broken.store(false, Ordering::SeqCst);
        let report = prompts.reload().unwrap();
        assert_eq!(report.changed.len(), 2);
        let kept = resolve(&prompts, &format!("a@{before}")).await.unwrap();
        assert_eq!(kept.bundle.template(), "one");
        assert_ne!(resolve(&prompts, "a").await.unwrap().bundle.hash(), before);
        assert_eq!(Prompts::check(&prompts.inner.config.source), []);
    }

    #[tokio::test]
    async fn a_lenient_registry_keeps_the_last_good_version_of_what_broke() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), "a.prompt", "one");
        write(dir.path(), "b.prompt", "one");
        write(dir.path(), "c.prompt", "one");
        let (prompts, _) = open(Config {
            mode: Mode::Lenient,
            ..directory(dir.path())
        });
        write(dir.path(), "a.prompt", "two");
        write(dir.path(), "b.prompt", "{{#if x}}");
        std::fs::remove_file(dir.path().join("c.prompt")).unwrap();
        let LoadReport {
            changed,
            removed,
            problems,
            ..
        } = prompts.reload().unwrap();
        assert_eq!((changed.len(), removed.len(), problems.len()), (1, 1, 1));
        assert_eq!(
            resolve(&prompts, "a").await.unwrap().bundle.template(),
            "two"
        );
        assert_eq!(
            resolve(&prompts, "b").await.unwrap().bundle.template(),
            "one"
        );
        assert!(resolve(&prompts, "c").await.is_err());
    }

    #[tokio::test]
    async fn short_hashes_that_fit_several_versions_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), "a.prompt", "one");
        let (prompts, archive) = open(directory(dir.path()));
        let current = resolve(&prompts, "a").await.unwrap().bundle.hash();
        let json = archive.find(&current.to_hex()).unwrap().remove(0).1;
        let mut twin = current;
        twin.0[31] ^= 1;
        archive.put(&twin, &json).unwrap();
        let short = format!("a@sha-{}", current.to_hex().split_at(6).0);
        let error = resolve(&prompts, &short).await.unwrap_err();
        assert_eq!(error.kind(), "prompt_version_ambiguous");
        assert!(error.to_string().contains(&current.short()));
    }

    #[tokio::test]
    async fn a_work_tree_knows_its_commit_and_what_is_not_in_it() {
        let dir = repository_with(&[
            ("p/a.prompt", "{{> t}}"),
            ("p/b.prompt", "---\ninput: {schema: {x: S}}\n---\nb"),
            ("p/_t.prompt", "t"),
            ("p/schemas/S.yaml", "string"),
            ("README.md", "outside"),
        ]);
        let commit = commit_all(dir.path(), "first");
        let root = dir.path().join("p");
        let (prompts, _) = open(directory(&root));
        let dirty = |prompts: &Prompts| {
            let snapshot = prompts.snapshot();
            let stamps = snapshot
                .iter()
                .map(|(key, prompt)| snapshot.stamp(key, prompt.bundle.hash(), None));
            stamps
                .filter(|stamp| stamp.dirty)
                .map(|stamp| stamp.key.to_string())
                .collect::<Vec<_>>()
        };
        assert_eq!(
            resolve(&prompts, "a").await.unwrap().stamp.commit,
            Some(commit.clone())
        );
        assert!(dirty(&prompts).is_empty());
        for (path, text, wanted) in [
            ("_t.prompt", "t2", vec!["a"]),
            ("_t.prompt", "t", vec![]),
            ("schemas/S.yaml", "string, changed", vec!["b"]),
            ("schemas/S.yaml", "string", vec![]),
            ("c.prompt", "new", vec!["c"]),
            ("a.prompt", "{{> t}}\n", vec!["a", "c"]),
        ] {
            write(&root, path, text);
            prompts.reload().unwrap();
            assert_eq!(dirty(&prompts), wanted, "{path} {text}");
        }
        let second = commit_all(dir.path(), "second");
        prompts.reload().unwrap();
        assert!(dirty(&prompts).is_empty());
        assert_eq!(prompts.snapshot().commit(), Some(second.as_str()));
        let old = resolve(&prompts, &format!("b@git:{commit}")).await.unwrap();
        assert_eq!(old.stamp.commit, Some(commit));
    }

    #[tokio::test]
    async fn a_ref_is_served_from_objects_and_old_commits_can_be_asked_for() {
        let dir = repository_with(&[("prompts/a.prompt", "one")]);
        let first = commit_all(dir.path(), "first");
        git(dir.path(), &["tag", "v1.0"]);
        git(dir.path(), &["branch", "release/1"]);
        write(dir.path(), "prompts/a.prompt", "two");
        write(dir.path(), "prompts/b.prompt", "{{> gone}}");
        commit_all(dir.path(), "broken");
        write(dir.path(), "prompts/b.prompt", "b");
        let third = commit_all(dir.path(), "third");
        write(dir.path(), "prompts/a.prompt", "not committed");
        let source = GitSource {
            repository: dir.path().to_owned(),
            reference: "main".to_owned(),
            subpath: "prompts".to_owned(),
        };
        let (prompts, archive) = open(Config::new(Source::Git(source)));
        let now = resolve(&prompts, "a").await.unwrap();
        assert_eq!(now.bundle.template(), "two");
        assert_eq!((now.stamp.commit, now.stamp.dirty), (Some(third), false));
        for reference in [
            "a@git:v1.0",
            "a@git:release/1",
            &*format!("a@git:{first}"),
            "a@git:v1.0",
        ] {
            let old = resolve(&prompts, reference).await.unwrap();
            assert_eq!(old.bundle.template(), "one", "{reference}");
            assert_eq!(
                old.stamp.commit.as_deref(),
                Some(first.as_str()),
                "{reference}"
            );
        }
        assert_eq!(archive.len(), 3, "the old version is kept too");
        for (reference, kind) in [
            ("b@git:v1.0", "prompt_version_not_found"),
            ("a@git:nowhere", "prompt_version_not_found"),
            ("x@git:v1.0", "prompt_not_found"),
            ("b@git:main~1", "prompt_load_failed"),
        ] {
            let Ok(reference) = reference.parse() else {
                // The grammar has no expressions; ask for the commit itself.
                let broken = git(dir.path(), &["rev-parse", "main~1"]);
                let error = resolve(&prompts, &format!("b@git:{broken}"))
                    .await
                    .unwrap_err();
                assert_eq!(error.kind(), kind);
                continue;
            };
            let error = prompts
                .resolve(&reference, &Caller::local())
                .await
                .unwrap_err();
            assert_eq!(error.kind(), kind, "{reference}");
        }
    }

    /// Waits until `a` is served as `template`.
    async fn until_served(prompts: &Prompts, template: &str) {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
        while resolve(prompts, "a").await.unwrap().bundle.template() != template {
            assert!(
                tokio::time::Instant::now() < deadline,
                "`{template}` is not served"
            );
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn edits_and_commits_are_served_without_being_asked_for() {
        let dir = repository_with(&[("a.prompt", "one")]);
        let first = commit_all(dir.path(), "first");
        let quick = |config| Config {
            debounce: Duration::from_millis(5),
            poll: Duration::from_millis(20),
            ..config
        };
        let source = GitSource {
            repository: dir.path().to_owned(),
            reference: "main".to_owned(),
            subpath: String::new(),
        };
        let (edited, _) = open(quick(directory(dir.path())));
        let (committed, _) = open(quick(Config::new(Source::Git(source))));
        let shutdown = CancellationToken::new();
        let tracker = tokio_util::task::TaskTracker::new();
        for prompts in [&edited, &committed] {
            let (prompts, shutdown) = (prompts.clone(), shutdown.clone());
            tracker.spawn(async move { prompts.watch(shutdown).await });
        }
        write(dir.path(), "a.prompt", "two");
        until_served(&edited, "two").await;
        assert!(resolve(&edited, "a").await.unwrap().stamp.dirty);
        write(dir.path(), "a.prompt", "{{broken");
        write(dir.path(), "b.prompt", "x");
        assert_eq!(
            resolve(&edited, "a").await.unwrap().bundle.template(),
            "two"
        );
        assert_eq!(
            resolve(&committed, "a").await.unwrap().bundle.template(),
            "one"
        );
        write(dir.path(), "a.prompt", "three");
        until_served(&edited, "three").await;
        commit_all(dir.path(), "second");
        until_served(&committed, "three").await;
        assert_ne!(committed.snapshot().commit(), Some(first.as_str()));
        shutdown.cancel();
        tracker.close();
        tracker.wait().await;
    }
}
