//! A bare copy of a remote, in a directory of ours: fetched into, read from, never checked out.
//!
//! Branches and tags keep their names, and `HEAD` is what it is there, so that the copy reads like the
//! remote itself. What is gone there goes here too; objects stay, as versions may be asked for again.

use crate::git::bounds::{Budget, FetchLimits};
use crate::git::location::RemoteUrl;
use crate::git::transport::{self, Login, Token, Way};
use crate::git::{CommitId, Error, RemoteFault, Repository};
use gix::bstr::{BString, ByteSlice as _};
use gix::error::Class;
use gix::protocol::handshake::Ref;
use gix::refs::transaction::{Change, LogChange, PreviousValue, RefEdit};
use gix::refs::{FullName, Target};
use gix::remote::Direction;
use gix::remote::fetch::Tags;
use std::collections::BTreeSet;
use std::error::Error as _;
use std::fs;
use std::path::{Path, PathBuf};

/// Where pull requests are: at GitHub and Gitea, and at GitLab.
const PULL_REQUESTS: [&str; 2] = ["refs/pull", "refs/merge-requests"];

/// A repository on another machine, and who asks for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remote {
    /// Where it is.
    pub url: RemoteUrl,
    /// Who asks.
    pub login: Login,
}

/// A bare repository that is ours alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mirror {
    path: PathBuf,
}

impl Mirror {
    /// Opens the copy at `path`, or makes an empty one. What is there and is none is set aside.
    ///
    /// # Errors
    ///
    /// [`Error::Mirror`].
    pub fn open(path: &Path) -> Result<Self, Error> {
        let mirror = Self {
            path: path.to_owned(),
        };
        if path.exists() && mirror.repository().is_err() {
            let aside = path.with_extension("broken");
            let _ = fs::remove_dir_all(&aside);
            tracing::error!(path = %path.display(), kept_as = %aside.display(),
                "the copy of the repository will not open, it is made again");
            fs::rename(path, &aside).map_err(|error| mirror.unwritable(&error))?;
        }
        let old = path.with_extension("old");
        if !path.exists() && old.exists() {
            // The process ended while the copy was made anew.
            fs::rename(&old, path).map_err(|error| mirror.unwritable(&error))?;
        }
        if !path.exists() {
            fs::create_dir_all(path).map_err(|error| mirror.unwritable(&error))?;
            gix::ThreadSafeRepository::init_opts(
                path,
                gix::create::Kind::Bare,
                gix::create::Options::default(),
                gix::open::Options::isolated(),
            )
            .map_err(|error| mirror.unwritable(&error))?;
            // The library's samples; nothing is ever run here.
            let _ = fs::remove_dir_all(path.join("hooks"));
        }
        Ok(mirror)
    }

    /// Opens it for reading.
    ///
    /// # Errors
    ///
    /// [`Error::NotARepository`].
    pub fn repository(&self) -> Result<Repository, Error> {
        Repository::discover(&self.path)
    }

    /// Returns how many packs of objects there are: every fetch that brings something leaves one.
    #[must_use]
    pub fn pack_count(&self) -> usize {
        let packs = fs::read_dir(self.path.join("objects/pack"));
        let names = packs
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path());
        names
            .filter(|name| name.extension().is_some_and(|end| end == "pack"))
            .count()
    }

    /// Makes the copy anew by `fill`, in one pack, and puts it in place of the old one; unless it would
    /// lack the commit `needed`. Whether it did. Blocks.
    ///
    /// # Errors
    ///
    /// Those of `fill`, and [`Error::Mirror`]; the old one then stays.
    pub fn renew(
        &self,
        needed: Option<&str>,
        fill: &dyn Fn(&Self) -> Result<(), Error>,
    ) -> Result<bool, Error> {
        let (fresh, old) = (
            self.path.with_extension("new"),
            self.path.with_extension("old"),
        );
        for left in [&fresh, &old] {
            let _ = fs::remove_dir_all(left);
        }
        let mirror = Self::open(&fresh)?;
        fill(&mirror)?;
        let repository = mirror.repository()?;
        if needed.is_some_and(|needed| repository.resolve(needed).is_err()) {
            let _ = fs::remove_dir_all(&fresh);
            return Ok(false);
        }
        // Whoever reads in between is told to ask again; the old one is kept for who has it open.
        let moved = fs::rename(&self.path, &old).and_then(|()| fs::rename(&fresh, &self.path));
        moved.map_err(|error| self.unwritable(&error))?;
        Ok(true)
    }

    /// Fetches the branches, the tags and `HEAD` of `remote`. Blocks, at most until the deadline.
    ///
    /// # Errors
    ///
    /// [`Error::Remote`]; the copy then is as it was. [`Error::Mirror`].
    pub fn fetch(&self, remote: &Remote, limits: FetchLimits) -> Result<(), Error> {
        let specs = [
            "+HEAD:refs/promptgate/head",
            "+refs/heads/*:refs/heads/*",
            "+refs/tags/*:refs/tags/*",
        ];
        let found = self.receive(remote, &specs.map(str::to_owned), limits)?;
        self.follow_head(&found)?;
        let names = found
            .iter()
            .map(|found| name_of(found).to_owned())
            .collect();
        self.forget_all_but(&names, &["refs/heads/", "refs/tags/"])
    }

    /// Fetches the head of a pull request; `None` when there is no such one (any more). Blocks.
    ///
    /// # Errors
    ///
    /// As [`Mirror::fetch`].
    pub fn fetch_pull_request(
        &self,
        remote: &Remote,
        number: u32,
        limits: FetchLimits,
    ) -> Result<Option<CommitId>, Error> {
        let specs =
            PULL_REQUESTS.map(|place| format!("+{place}/{number}/head:{place}/{number}/head"));
        let found = self.receive(remote, &specs, limits)?;
        let names = found
            .iter()
            .map(|found| name_of(found).to_owned())
            .collect();
        let prefixes = PULL_REQUESTS.map(|place| format!("{place}/{number}/"));
        self.forget_all_but(&names, &prefixes.each_ref().map(String::as_str))?;
        Ok(self.repository()?.pull_request(number))
    }

    fn receive(
        &self,
        remote: &Remote,
        specs: &[String],
        limits: FetchLimits,
    ) -> Result<Vec<Ref>, Error> {
        let repository = self.writable(limits.max_object_bytes)?;
        let budget = Budget::new(limits);
        let way = transport::open(remote, &budget).map_err(|error| {
            let fault = budget.fault().unwrap_or(RemoteFault::Unreachable);
            failed(remote, fault, &error.to_string())
        })?;
        let Way {
            transport,
            options,
            ssh,
        } = way;
        let received = receive(&repository, transport, options, specs, &budget);
        let words = ssh.map(transport::Ssh::end).unwrap_or_default();
        received.map_err(|error| {
            let fault = budget.fault().unwrap_or_else(|| fault_of(&error));
            let reason = if words.is_empty() {
                root(&error)
            } else {
                words
            };
            failed(remote, fault, &reason)
        })
    }

    /// Opens it for writing, with a bound on every object that is unpacked.
    pub(super) fn writable(&self, max_object_bytes: u64) -> Result<gix::Repository, Error> {
        let overrides = [
            format!("gitoxide.objects.allocLimit={max_object_bytes}"),
            "core.logAllRefUpdates=false".to_owned(),
            // Written into nothing, but wanted by the library.
            "user.name=promptgate".to_owned(),
            "user.email=promptgate@localhost".to_owned(),
        ];
        let options = gix::open::Options::isolated().config_overrides(overrides);
        let repository = options
            .open(&self.path)
            .map_err(|error| self.unwritable(&error))?;
        Ok(repository.to_thread_local())
    }

    /// Makes `HEAD` what it is at the remote.
    fn follow_head(&self, found: &[Ref]) -> Result<(), Error> {
        let head = found.iter().find(|found| name_of(found) == "HEAD");
        let target = match head {
            Some(Ref::Symbolic { target, .. } | Ref::Unborn { target, .. }) => {
                let name = FullName::try_from(target.clone());
                Target::Symbolic(name.map_err(|error| self.unwritable(&error))?)
            }
            Some(Ref::Direct { object, .. } | Ref::Peeled { object, .. }) => {
                Target::Object(*object)
            }
            None => return Ok(()),
        };
        self.point("HEAD", target)
    }

    /// Makes the ref `name` what `target` says.
    pub(super) fn point(&self, name: &str, target: Target) -> Result<(), Error> {
        let name = FullName::try_from(name).map_err(|error| self.unwritable(&error))?;
        let edit = RefEdit::new(
            name,
            Change::Update {
                log: LogChange::default(),
                expected: PreviousValue::Any,
                new: target,
            },
        );
        let repository = self.writable(u64::MAX)?;
        let edited = repository.edit_reference(edit);
        edited.map(|_| ()).map_err(|error| self.unwritable(&error))
    }

    /// Deletes the refs below `prefixes` that are not in `names`.
    fn forget_all_but(&self, names: &BTreeSet<BString>, prefixes: &[&str]) -> Result<(), Error> {
        let repository = self.writable(u64::MAX)?;
        let fail = |error: gix::Error| self.unwritable(&error);
        let mut gone = Vec::new();
        let all = repository.references().map_err(fail)?;
        for prefix in prefixes {
            for found in all.prefixed(*prefix).map_err(fail)? {
                // One that cannot be read is in nobody's way.
                let Ok(found) = found else { continue };
                if !names.contains(found.name().as_bstr()) {
                    gone.push(RefEdit::delete(found.name().to_owned(), PreviousValue::Any));
                }
            }
        }
        repository.edit_references(gone).map(|_| ()).map_err(fail)
    }

    pub(super) fn unwritable(&self, error: &dyn std::fmt::Display) -> Error {
        Error::Mirror {
            path: self.path.clone(),
            reason: error.to_string(),
        }
    }
}

impl Repository {
    /// Returns the head of a pull request, if the repository has it.
    #[must_use]
    pub fn pull_request(&self, number: u32) -> Option<CommitId> {
        let names = PULL_REQUESTS.map(|place| format!("{place}/{number}/head"));
        names.iter().find_map(|name| self.resolve(name).ok())
    }
}

fn receive(
    repository: &gix::Repository,
    transport: Box<dyn gix::protocol::transport::client::blocking_io::Transport + Send>,
    options: Box<dyn std::any::Any>,
    specs: &[String],
    budget: &Budget,
) -> gix::Result<Vec<Ref>> {
    let specs: Vec<&str> = specs.iter().map(String::as_str).collect();
    // The transport knows where it goes; the library only wants to name something.
    let remote = repository
        .remote_at("https://localhost/")?
        .with_refspecs(specs, Direction::Fetch)?
        .with_fetch_tags(Tags::None);
    let mut connection = remote.to_connection_with_transport(transport);
    connection.set_transport_options(options);
    // Credentials are sent from the start; there are no others to be asked for.
    connection.set_credentials(|_| Ok(None));
    let prepared = connection.prepare_fetch(
        gix::progress::Discard,
        gix::remote::ref_map::Options::default(),
    )?;
    let found = prepared.ref_map().remote_refs.clone();
    if prepared.ref_map().is_missing_required_mapping() {
        return Ok(found);
    }
    prepared.receive(gix::progress::Discard, &budget.is_over)?;
    Ok(found)
}

fn name_of(found: &Ref) -> &gix::bstr::BStr {
    match found {
        Ref::Peeled { full_ref_name, .. }
        | Ref::Direct { full_ref_name, .. }
        | Ref::Symbolic { full_ref_name, .. }
        | Ref::Unborn { full_ref_name, .. } => full_ref_name.as_bstr(),
    }
}

/// An error of the socket or the pipe means that nobody is there; anything else came from there.
fn fault_of(error: &gix::Error) -> RemoteFault {
    let is_exhausted = |class| matches!(class, Class::ResourceExhaustion(_));
    if error.classify().any(|found| is_exhausted(found.class())) {
        return RemoteFault::TooLarge;
    }
    let mut cause: Option<&dyn std::error::Error> = error.source();
    while let Some(inner) = cause {
        if inner.is::<std::io::Error>() {
            return RemoteFault::Unreachable;
        }
        cause = inner.source();
    }
    RemoteFault::Unusable
}

fn failed(remote: &Remote, fault: RemoteFault, reason: &str) -> Error {
    let mut reason = one_line(reason);
    if let Some(Ok(token)) = remote.login.token.as_ref().map(Token::read) {
        reason = reason.replace(token.reveal(), "***");
    }
    Error::Remote {
        url: remote.url.to_string(),
        fault,
        reason,
    }
}

/// What the other side says may be anything.
fn one_line(text: &str) -> String {
    let clean = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    clean.take(400).collect()
}

/// The cause that no other cause is behind.
fn root(error: &gix::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = inner.to_string();
        cause = inner.source();
    }
    text
}

/// The whole chain of causes.
pub(super) fn describe(error: &gix::Error) -> String {
    let mut words = vec![error.to_string()];
    let mut cause = error.source();
    while let Some(inner) = cause {
        let text = inner.to_string();
        if words.last() != Some(&text) {
            words.push(text);
        }
        cause = inner.source();
    }
    words.join(": ")
}

#[cfg(test)]
mod tests {
    use super::{Mirror, Remote};
    use crate::git::tests::{commit_all, git, repository_with};
    use crate::git::{Error, FetchLimits, Location, Login, RemoteFault};
    use std::net::TcpListener;
    use std::os::fd::OwnedFd;
    use std::path::Path;
    use std::process::{Command, Stdio};
    use std::time::Duration;

    /// Serves the repositories below `dir` on a free port with Git's own daemon, until the process ends.
    fn daemon(dir: &Path) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let base = format!("--base-path={}", dir.display());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let input = stream.unwrap();
                let output = input.try_clone().unwrap();
                let mut served = Command::new("git")
                    .args(["daemon", "--inetd", "--export-all", &base])
                    .stdin(Stdio::from(OwnedFd::from(input)))
                    .stdout(Stdio::from(OwnedFd::from(output)))
                    .spawn()
                    .unwrap();
                std::thread::spawn(move || served.wait());
            }
        });
        format!("git://{address}")
    }

    fn remote(url: &str) -> Remote {
        let Ok(Location::Remote(url)) = url.parse() else {
            panic!("{url}");
        };
        Remote {
            url,
            login: Login::default(),
        }
    }

    fn fault(result: Result<(), Error>) -> RemoteFault {
        match result {
            Err(Error::Remote { fault, .. }) => fault,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn branches_tags_head_and_pull_requests_are_what_they_are_there() {
        let dir = repository_with(&[("a", "one")]);
        let first = commit_all(dir.path(), "first");
        git(dir.path(), &["branch", "gone"]);
        git(dir.path(), &["tag", "-a", "-m", "t", "t1"]);
        git(dir.path(), &["update-ref", "refs/pull/7/head", &first]);
        let base = daemon(dir.path().parent().unwrap());
        let name = dir.path().file_name().unwrap().to_str().unwrap();
        let remote = remote(&format!("{base}/{name}"));
        let place = tempfile::tempdir().unwrap();
        let mirror = Mirror::open(&place.path().join("m.git")).unwrap();
        let limits = FetchLimits::default();
        mirror.fetch(&remote, limits).unwrap();
        let resolve = |name: &str| {
            mirror
                .repository()
                .unwrap()
                .resolve(name)
                .map(|id| id.to_string())
        };
        for name in ["main", "gone", "t1", "HEAD"] {
            assert_eq!(resolve(name).unwrap(), first, "{name}");
        }
        assert!(resolve("refs/pull/7/head").is_err(), "only on demand");

        git(dir.path(), &["branch", "-D", "gone"]);
        git(dir.path(), &["checkout", "-q", "-b", "trunk"]);
        std::fs::write(dir.path().join("a"), "two").unwrap();
        let second = commit_all(dir.path(), "second");
        mirror.fetch(&remote, limits).unwrap();
        assert_eq!(resolve("HEAD").unwrap(), second);
        let branch = mirror.repository().unwrap().head_branch();
        assert_eq!(branch.as_deref(), Some("refs/heads/trunk"));
        assert!(resolve("gone").is_err());
        git(dir.path(), &["commit", "-q", "--amend", "-m", "forced"]);
        let forced = git(dir.path(), &["rev-parse", "HEAD"]);
        mirror.fetch(&remote, limits).unwrap();
        assert_eq!(resolve("trunk").unwrap(), forced);
        assert_eq!(resolve(&second).unwrap(), second, "objects stay");

        let ask = |number| mirror.fetch_pull_request(&remote, number, limits).unwrap();
        assert_eq!(ask(7).unwrap().to_string(), first);
        assert_eq!(ask(8), None);
        git(dir.path(), &["update-ref", "-d", "refs/pull/7/head"]);
        git(
            dir.path(),
            &["update-ref", "refs/merge-requests/7/head", &forced],
        );
        assert_eq!(ask(7).unwrap().to_string(), forced);
        git(
            dir.path(),
            &["update-ref", "-d", "refs/merge-requests/7/head"],
        );
        assert_eq!(ask(7), None);
        assert_eq!(
            resolve("trunk").unwrap(),
            forced,
            "branches are not touched"
        );
    }

    #[test]
    fn a_copy_of_many_packs_is_made_anew_in_one() {
        let dir = repository_with(&[("a", "0")]);
        let first = commit_all(dir.path(), "first");
        let base = daemon(dir.path().parent().unwrap());
        let name = dir.path().file_name().unwrap().to_str().unwrap();
        let remote = remote(&format!("{base}/{name}"));
        let place = tempfile::tempdir().unwrap();
        let mirror = Mirror::open(&place.path().join("m.git")).unwrap();
        let limits = FetchLimits::default();
        for round in 1..4 {
            std::fs::write(dir.path().join("a"), round.to_string()).unwrap();
            commit_all(dir.path(), "next");
            mirror.fetch(&remote, limits).unwrap();
            assert_eq!(mirror.pack_count(), round);
        }
        let fill = |fresh: &Mirror| fresh.fetch(&remote, limits);
        let gone = "0123456789012345678901234567890123456789";
        assert!(!mirror.renew(Some(gone), &fill).unwrap());
        assert_eq!(mirror.pack_count(), 3);
        assert!(mirror.renew(Some(&first), &fill).unwrap());
        assert_eq!(mirror.pack_count(), 1);
        let head = git(dir.path(), &["rev-parse", "HEAD"]);
        let repository = mirror.repository().unwrap();
        assert_eq!(repository.resolve("main").unwrap().to_string(), head);
        assert!(
            mirror
                .renew(None, &|_| Err(mirror.unwritable(&"no")))
                .is_err()
        );
        assert_eq!(mirror.pack_count(), 1);
    }

    #[test]
    fn a_fetch_ends_at_its_limits_and_leaves_the_copy_as_it_was() {
        let dir = repository_with(&[("a", "one")]);
        let first = commit_all(dir.path(), "first");
        let base = daemon(dir.path().parent().unwrap());
        let name = dir.path().file_name().unwrap().to_str().unwrap();
        let url = format!("{base}/{name}");
        let place = tempfile::tempdir().unwrap();
        let mirror = Mirror::open(&place.path().join("m.git")).unwrap();
        let limits = FetchLimits::default();
        mirror.fetch(&remote(&url), limits).unwrap();

        // Two megabytes that cannot be compressed, and six of nothing, which can.
        let mut noise = 1_u64;
        let mut next = || {
            noise ^= noise << 13;
            noise ^= noise >> 7;
            noise ^= noise << 17;
            noise.to_le_bytes()
        };
        let bytes: Vec<u8> = (0..250_000).flat_map(|_| next()).collect();
        std::fs::write(dir.path().join("noise"), bytes).unwrap();
        commit_all(dir.path(), "noise");
        let small = FetchLimits {
            max_bytes: 500_000,
            ..limits
        };
        assert_eq!(
            fault(mirror.fetch(&remote(&url), small)),
            RemoteFault::TooLarge
        );
        std::fs::write(dir.path().join("noise"), vec![0; 6 << 20]).unwrap();
        commit_all(dir.path(), "zeros");
        let small = FetchLimits {
            max_object_bytes: 3 << 20,
            ..limits
        };
        assert_eq!(
            fault(mirror.fetch(&remote(&url), small)),
            RemoteFault::TooLarge
        );
        let left = || {
            mirror
                .repository()
                .unwrap()
                .resolve("main")
                .unwrap()
                .to_string()
        };
        assert_eq!(left(), first);
        mirror.fetch(&remote(&url), limits).unwrap();
        assert_ne!(left(), first);
    }

    #[test]
    fn a_fetch_from_nobody_ends_at_its_deadline() {
        let place = tempfile::tempdir().unwrap();
        let mirror = Mirror::open(&place.path().join("m.git")).unwrap();
        let limits = FetchLimits::default();
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("git://{}/x", silent.local_addr().unwrap());
        let short = FetchLimits {
            deadline: Duration::from_millis(50),
            ..limits
        };
        assert_eq!(
            fault(mirror.fetch(&remote(&url), short)),
            RemoteFault::TooSlow
        );
        drop(silent);
        assert_eq!(
            fault(mirror.fetch(&remote(&url), limits)),
            RemoteFault::Unreachable
        );
    }

    #[test]
    fn a_copy_that_will_not_open_is_made_again() {
        // In a repository, which must not be taken for the copy.
        let place = repository_with(&[("a", "one")]);
        commit_all(place.path(), "first");
        let path = place.path().join("m.git");
        std::fs::create_dir(&path).unwrap();
        std::fs::write(path.join("HEAD"), "rubbish").unwrap();
        let mirror = Mirror::open(&path).unwrap();
        assert!(mirror.repository().unwrap().head().is_none());
        assert!(place.path().join("m.broken/HEAD").exists());
        std::fs::remove_dir_all(&path).unwrap();
        assert!(mirror.repository().is_err());
    }
}
