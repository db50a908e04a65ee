//! Git bundles: a pack with the refs it is for, in one file, as `git bundle create` writes it.

use crate::git::bounds::{Bounded, Budget, FetchLimits};
use crate::git::mirror::describe;
use crate::git::{Error, Mirror, Repository};
use gix::ObjectId;
use gix::odb::pack;
use gix::refs::Target;
use std::io::BufReader;

/// Names a bundle may set; everything else in it is left alone.
const PLACES: [&str; 4] = [
    "refs/heads/",
    "refs/tags/",
    "refs/pull/",
    "refs/merge-requests/",
];
/// The most refs, and the most commits it may build upon.
const MAX_LINES: usize = 10_000;

/// What stands before the pack.
#[derive(Debug, Default, PartialEq, Eq)]
struct Heading {
    /// Commits that the receiver must have.
    needed: Vec<ObjectId>,
    refs: Vec<(String, ObjectId)>,
}

impl Mirror {
    /// Takes the objects and the refs of a bundle. Blocks.
    ///
    /// # Errors
    ///
    /// [`Error::Bundle`] when it is damaged, or builds upon commits that are not here.
    pub fn take_bundle(&self, bytes: &[u8], limits: FetchLimits) -> Result<(), Error> {
        let (heading, rest) = Heading::parse(bytes)?;
        let repository = self.writable(limits.max_object_bytes)?;
        for needed in &heading.needed {
            if !repository.has_object(needed) {
                return Err(invalid(format!(
                    "it builds upon commit {needed}, which is not here"
                )));
            }
        }
        let budget = Budget::new(limits);
        let options = pack::bundle::write::Options {
            alloc_limit_bytes: usize::try_from(limits.max_object_bytes).ok(),
            ..pack::bundle::write::Options::default()
        };
        let written = pack::Bundle::write_to_directory(
            &mut BufReader::new(Bounded::new(rest, &budget)),
            Some(&repository.objects.store_ref().path().join("pack")),
            &mut gix::progress::Discard,
            &budget.is_over,
            Some(repository.objects.clone()),
            gix::hash::Kind::Sha1,
            options,
        );
        let written = written.map_err(|error| invalid(describe(&error)))?;
        self.set_refs(&heading)?;
        // Its objects are referred to now.
        if let Some(keep) = written.keep_path {
            let _ = std::fs::remove_file(keep);
        }
        Ok(())
    }

    fn set_refs(&self, heading: &Heading) -> Result<(), Error> {
        let repository = self.repository()?;
        let is_ours = |name: &str| PLACES.iter().any(|place| name.starts_with(place));
        let named = || heading.refs.iter().filter(|(name, _)| is_ours(name));
        for (name, id) in named() {
            check(&repository, name, *id)?;
        }
        for (name, id) in named() {
            self.point(name, Target::Object(*id))?;
        }
        let head = heading.refs.iter().find(|(name, _)| name == "HEAD");
        let is_branch = |name: &str| name.starts_with("refs/heads/");
        // A bundle says where `HEAD` is, not on which branch; the branch at the same commit is it.
        let branch =
            named().find(|(name, id)| is_branch(name) && head.is_none_or(|(_, head)| head == id));
        let target = match (branch, head) {
            (Some((name, _)), _) => {
                let name = gix::refs::FullName::try_from(name.as_str());
                Target::Symbolic(name.map_err(|error| invalid(error.to_string()))?)
            }
            (None, Some((_, id))) => Target::Object(*id),
            (None, None) => return Ok(()),
        };
        self.point("HEAD", target)
    }
}

fn check(repository: &Repository, name: &str, id: ObjectId) -> Result<(), Error> {
    if gix::validate::reference::name(name.into()).is_err() {
        return Err(invalid("a ref has a name that is none".to_owned()));
    }
    let found = repository.resolve(&id.to_string());
    found
        .map(|_| ())
        .map_err(|_| invalid(format!("`{name}` is no commit in it")))
}

impl Heading {
    /// Returns the heading and the pack behind it.
    fn parse(bytes: &[u8]) -> Result<(Self, &[u8]), Error> {
        let mut heading = Self::default();
        let (first, mut rest) = line(bytes)?;
        if first != "# v2 git bundle" && first != "# v3 git bundle" {
            return Err(invalid("it does not begin like one".to_owned()));
        }
        loop {
            let (text, after) = line(rest)?;
            rest = after;
            if text.is_empty() {
                break;
            }
            if MAX_LINES <= heading.refs.len() + heading.needed.len() {
                return Err(invalid(format!("it has more than {MAX_LINES} refs")));
            }
            if let Some(capability) = text.strip_prefix('@') {
                if capability != "object-format=sha1" {
                    return Err(invalid(format!("it needs `{}`", capability.escape_debug())));
                }
            } else if let Some(needed) = text.strip_prefix('-') {
                heading
                    .needed
                    .push(id(needed.split(' ').next().unwrap_or_default())?);
            } else {
                let (hex, name) = text
                    .split_once(' ')
                    .ok_or_else(|| invalid("a line names no ref".to_owned()))?;
                heading.refs.push((name.to_owned(), id(hex)?));
            }
        }
        if heading.refs.is_empty() {
            return Err(invalid("it has no refs".to_owned()));
        }
        Ok((heading, rest))
    }
}

/// Splits the first line off.
fn line(bytes: &[u8]) -> Result<(&str, &[u8]), Error> {
    let cut = memchr::memchr(
        b'\n',
        bytes.get(..4096.min(bytes.len())).unwrap_or_default(),
    );
    let parts = cut.and_then(|end| Some((bytes.get(..end)?, bytes.get(end + 1..)?)));
    let (text, rest) = parts.ok_or_else(|| invalid("its heading breaks off".to_owned()))?;
    let text = std::str::from_utf8(text);
    Ok((
        text.map_err(|_| invalid("its heading is no text".to_owned()))?,
        rest,
    ))
}

fn id(hex: &str) -> Result<ObjectId, Error> {
    ObjectId::from_hex(hex.as_bytes()).map_err(|_| invalid("an id in it is none".to_owned()))
}

const fn invalid(reason: String) -> Error {
    Error::Bundle { reason }
}

#[cfg(test)]
mod tests {
    use super::Heading;
    use crate::git::tests::{commit_all, git, repository_with};
    use crate::git::{FetchLimits, Limits, Mirror};
    use std::path::Path;

    fn bundle(dir: &Path, what: &[&str]) -> Vec<u8> {
        let path = dir.join(".git/test.bundle");
        let mut arguments = vec!["bundle", "create", "-q", path.to_str().unwrap()];
        arguments.extend(what);
        git(dir, &arguments);
        std::fs::read(path).unwrap()
    }

    #[test]
    fn whole_and_thin_bundles_are_taken_and_damaged_ones_change_nothing() {
        let dir = repository_with(&[("a", "one")]);
        let first = commit_all(dir.path(), "first");
        let whole = bundle(dir.path(), &["main"]);
        std::fs::write(dir.path().join("a"), "two").unwrap();
        let second = commit_all(dir.path(), "second");
        let thin = bundle(dir.path(), &["main", &format!("^{first}")]);

        let place = tempfile::tempdir().unwrap();
        let mirror = Mirror::open(&place.path().join("m.git")).unwrap();
        let limits = FetchLimits::default();
        let error = mirror.take_bundle(&thin, limits).unwrap_err();
        assert!(error.to_string().contains(&first), "{error}");
        mirror.take_bundle(&whole, limits).unwrap();
        let repository = mirror.repository().unwrap();
        assert_eq!(repository.resolve("main").unwrap().to_string(), first);
        assert_eq!(repository.head_branch().as_deref(), Some("refs/heads/main"));
        for length in [0, 10, 60, thin.len() / 2, thin.len() - 1] {
            assert!(
                mirror.take_bundle(&thin[..length], limits).is_err(),
                "{length}"
            );
        }
        let mut damaged = thin.clone();
        let at = damaged.len() - 30;
        damaged[at] ^= 1;
        assert!(mirror.take_bundle(&damaged, limits).is_err());
        assert_eq!(repository.resolve("main").unwrap().to_string(), first);
        mirror.take_bundle(&thin, limits).unwrap();
        let repository = mirror.repository().unwrap();
        let commit = repository.resolve("main").unwrap();
        assert_eq!(commit.to_string(), second);
        let tree = repository.read_tree(commit, "", Limits::default()).unwrap();
        assert_eq!(tree.files[0].bytes, b"two");
    }

    #[test]
    fn headings_are_read_strictly() {
        for bad in [
            "",
            "# v2 git bundle",
            "# v9 git bundle\n\n",
            "# v2 git bundle\n\n",
            "# v2 git bundle\nxyz refs/heads/main\n\n",
            "# v2 git bundle\n@filter=blob:none\n\n",
            "# v2 git bundle\n0123456789012345678901234567890123456789\n\n",
        ] {
            assert!(Heading::parse(bad.as_bytes()).is_err(), "{bad:?}");
        }
        let good = "# v2 git bundle\n-0123456789012345678901234567890123456789 x\n\
                    0123456789012345678901234567890123456789 refs/heads/main\n\nPACK";
        let (heading, rest) = Heading::parse(good.as_bytes()).unwrap();
        assert_eq!(
            (heading.needed.len(), heading.refs.len(), rest),
            (1, 1, &b"PACK"[..])
        );
    }
}
