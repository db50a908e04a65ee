//! Which number each version of each prompt has: the ordinal of its first appearance in the history.
//!
//! A table of events: at this commit that prompt became this version. A version that was there before
//! keeps its number, so a revert returns to the old one; a number never means another version.

use crate::domain::{BundleHash, PromptKey};
use crate::git::CommitId;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::sync::Arc;

/// At `commit` the prompt became its version `number`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Event {
    pub(super) number: u32,
    pub(super) commit: CommitId,
}

/// Says that the history of `line` no longer holds the commit that was numbered last.
pub(super) fn alarm(line: &str, lost: CommitId) -> String {
    format!(
        "the history of `{line}` was rewritten: commit {} is no longer in its first-parent history; \
         version numbers given before stay, and a fresh clone may count otherwise",
        lost.short()
    )
}

/// The versions of one prompt.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Versions {
    /// Version `n` stands at `n - 1`. Invariant: no hash twice.
    hashes: Vec<BundleHash>,
    /// Oldest first. Invariant: two neighbours are of different versions.
    events: Vec<Event>,
}

/// The versions of all prompts. Cheap to clone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Numbers {
    prompts: HashMap<PromptKey, Arc<Versions>>,
}

/// A prompt became a version: what a table is made from, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Appearance {
    pub(super) key: PromptKey,
    pub(super) hash: BundleHash,
    pub(super) commit: CommitId,
}

impl Numbers {
    /// Notes that `key` is `hash` at `commit`, which is newer than all that were noted. Returns
    /// whether that is an event.
    pub(super) fn note(&mut self, appearance: &Appearance) -> bool {
        let Appearance { key, hash, commit } = appearance;
        let number = self.number_of(key, *hash);
        let latest = self.events(key).last().map(|event| event.number);
        if number.is_some() && number == latest {
            return false;
        }
        let versions = self.prompts.entry(key.clone()).or_default();
        let versions = Arc::make_mut(versions);
        let number = number.unwrap_or_else(|| {
            versions.hashes.push(*hash);
            u32::try_from(versions.hashes.len()).unwrap_or(u32::MAX)
        });
        versions.events.push(Event {
            number,
            commit: *commit,
        });
        true
    }

    /// Returns the number of a version.
    pub(super) fn number_of(&self, key: &PromptKey, hash: BundleHash) -> Option<u32> {
        let hashes = &self.prompts.get(key)?.hashes;
        // What is asked for is nearly always the newest.
        let index = hashes.iter().rposition(|known| *known == hash)?;
        u32::try_from(index + 1).ok()
    }

    /// Returns the version that has a number.
    pub(super) fn hash_of(&self, key: &PromptKey, number: u32) -> Option<BundleHash> {
        let index = usize::try_from(number).ok()?.checked_sub(1)?;
        self.prompts.get(key)?.hashes.get(index).copied()
    }

    /// Returns the commit where a version first appeared.
    pub(super) fn first_commit(&self, key: &PromptKey, number: u32) -> Option<CommitId> {
        let mut events = self.events(key).iter();
        let first = events.find(|event| event.number == number);
        first.map(|event| event.commit)
    }

    /// Returns the highest number of a prompt, which is how many versions it has; 0 for none.
    pub(super) fn newest(&self, key: &PromptKey) -> u32 {
        let versions = self.prompts.get(key);
        versions.map_or(0, |versions| {
            u32::try_from(versions.hashes.len()).unwrap_or(u32::MAX)
        })
    }

    /// Returns what happened to a prompt, oldest first.
    pub(super) fn events(&self, key: &PromptKey) -> &[Event] {
        let versions = self.prompts.get(key);
        versions.map_or(&[], |versions| versions.events.as_slice())
    }

    /// Returns all prompts that ever had a version.
    pub(super) fn keys(&self) -> impl Iterator<Item = &PromptKey> {
        self.prompts.keys()
    }

    /// Returns the commits at which something happened.
    pub(super) fn commits(&self) -> impl Iterator<Item = CommitId> {
        let events = self.prompts.values().flat_map(|versions| &versions.events);
        events.map(|event| event.commit)
    }
}

/// What one round of numbering found, as it is kept: a table is made again from all rounds in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Round {
    /// The commit up to which all is numbered.
    pub(super) tip: CommitId,
    /// The tip before, when the history was rewritten and it is not in it any more.
    pub(super) lost: Option<CommitId>,
    /// Whether everything before is to be forgotten.
    pub(super) is_fresh: bool,
    /// In order.
    pub(super) appearances: Vec<Appearance>,
}

/// A round in bytes; 1 is the format.
#[derive(Serialize, Deserialize)]
struct Written {
    format: u8,
    tip: [u8; 20],
    lost: Option<[u8; 20]>,
    is_fresh: bool,
    /// Names, so that each is written once.
    keys: Vec<PromptKey>,
    /// Commits, so that each is written once.
    commits: Vec<[u8; 20]>,
    /// Places in `keys` and `commits`, and the hash.
    appearances: Vec<(u32, u32, [u8; 32])>,
}

impl Round {
    /// Writes the round; the error is in words.
    pub(super) fn to_bytes(&self) -> Result<Vec<u8>, String> {
        let mut written = Written {
            format: 1,
            tip: self.tip.to_bytes(),
            lost: self.lost.map(CommitId::to_bytes),
            is_fresh: self.is_fresh,
            keys: Vec::new(),
            commits: Vec::new(),
            appearances: Vec::with_capacity(self.appearances.len()),
        };
        let mut keys: HashMap<&PromptKey, u32> = HashMap::new();
        let next = |len: usize| u32::try_from(len).map_err(|error| error.to_string());
        for appearance in &self.appearances {
            let key = match keys.get(&appearance.key) {
                Some(place) => *place,
                None => {
                    let place = next(written.keys.len())?;
                    keys.insert(&appearance.key, place);
                    written.keys.push(appearance.key.clone());
                    place
                }
            };
            // Appearances of one commit stand together.
            let commit = appearance.commit.to_bytes();
            if written.commits.last() != Some(&commit) {
                written.commits.push(commit);
            }
            let commit = next(written.commits.len() - 1)?;
            written.appearances.push((key, commit, appearance.hash.0));
        }
        postcard::to_stdvec(&written).map_err(|error| error.to_string())
    }

    /// Reads what `to_bytes` wrote; the error is in words.
    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        let written: Written = postcard::from_bytes(bytes).map_err(|error| error.to_string())?;
        if written.format != 1 {
            return Err(format!("it has the format {}", written.format));
        }
        let at = |place: u32| usize::try_from(place).unwrap_or(usize::MAX);
        let appearance = |(key, commit, hash): &(u32, u32, [u8; 32])| {
            Some(Appearance {
                key: written.keys.get(at(*key))?.clone(),
                hash: BundleHash(*hash),
                commit: CommitId::from_bytes(*written.commits.get(at(*commit))?),
            })
        };
        let appearances: Option<Vec<_>> = written.appearances.iter().map(appearance).collect();
        Ok(Self {
            tip: CommitId::from_bytes(written.tip),
            lost: written.lost.map(CommitId::from_bytes),
            is_fresh: written.is_fresh,
            appearances: appearances.ok_or("it points outside of itself")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Appearance, Numbers, Round};
    use crate::domain::{BundleHash, PromptKey};
    use crate::git::CommitId;
    use proptest::prelude::{Strategy, any, proptest};

    fn appearances() -> impl Strategy<Value = Vec<Appearance>> {
        let one = (0..3_u8, 0..5_u8);
        proptest::collection::vec(one, 0..60).prop_map(|all| {
            let all = all.into_iter().enumerate();
            all.map(|(index, (name, content))| Appearance {
                key: PromptKey::parse(&format!("p{name}")).unwrap(),
                hash: BundleHash([content; 32]),
                commit: CommitId::from_bytes([u8::try_from(index).unwrap(); 20]),
            })
            .collect()
        })
    }

    fn table(appearances: &[Appearance]) -> Numbers {
        let mut numbers = Numbers::default();
        for appearance in appearances {
            numbers.note(appearance);
        }
        numbers
    }

    proptest! {
        #[test]
        fn numbers_are_dense_and_name_one_version_each(appearances in appearances()) {
            let numbers = table(&appearances);
            for appearance in &appearances {
                let key = &appearance.key;
                let number = numbers.number_of(key, appearance.hash).unwrap();
                assert_eq!(numbers.hash_of(key, number), Some(appearance.hash));
                let newest = numbers.newest(key);
                assert!((1..=newest).contains(&number));
                assert!((1..=newest).all(|number| numbers.first_commit(key, number).is_some()));
                assert_eq!(numbers.hash_of(key, newest + 1), None);
                assert_eq!(numbers.hash_of(key, 0), None);
                // First appearances are in the order of their numbers.
                let firsts: Vec<_> = (1..=newest).map(|n| numbers.first_commit(key, n)).collect();
                assert!(firsts.is_sorted());
            }
        }

        #[test]
        fn a_table_is_the_same_however_it_is_kept(
            appearances in appearances(),
            cut in any::<proptest::sample::Index>(),
        ) {
            let cut = cut.index(appearances.len() + 1);
            let mut kept = Numbers::default();
            for part in [&appearances[..cut], &appearances[cut..]] {
                let mut numbers = kept.clone();
                let events: Vec<_> = part
                    .iter()
                    .filter(|appearance| numbers.note(appearance))
                    .cloned()
                    .collect();
                let round = Round {
                    tip: CommitId::from_bytes([9; 20]),
                    lost: None,
                    is_fresh: false,
                    appearances: events,
                };
                let read = Round::from_bytes(&round.to_bytes().unwrap()).unwrap();
                assert_eq!(read, round);
                for appearance in &read.appearances {
                    assert!(kept.note(appearance), "only events are kept");
                }
            }
            assert_eq!(kept, table(&appearances));
        }

        #[test]
        fn damage_is_no_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Round::from_bytes(&bytes);
        }
    }

    #[test]
    fn a_revert_returns_to_the_old_number() {
        let key = PromptKey::parse("p").unwrap();
        let at = |commit: u8, content: u8| Appearance {
            key: key.clone(),
            hash: BundleHash([content; 32]),
            commit: CommitId::from_bytes([commit; 20]),
        };
        let numbers = table(&[
            at(1, b'a'),
            at(2, b'b'),
            at(3, b'a'),
            at(4, b'a'),
            at(5, b'c'),
        ]);
        let events: Vec<_> = numbers
            .events(&key)
            .iter()
            .map(|event| (event.number, event.commit.to_bytes()[0]))
            .collect();
        assert_eq!(events, [(1, 1), (2, 2), (1, 3), (3, 5)]);
    }
}
