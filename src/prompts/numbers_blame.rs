//! `prompts blame`: who last changed each line of a prompt and of the partials it includes.
//!
//! For each file the versions along the first-parent history are compared from the newest to the
//! oldest; a line belongs to the oldest commit from which on it was there without a break. A file that
//! got another name begins with that commit.

use crate::domain::PromptKey;
use crate::git::{BlobId, CommitId, HistoryReader};
use crate::prompts::error::Error;
use crate::prompts::files::MAX_FILE_BYTES;
use crate::prompts::numbers_log::{CommitLine, unknown};
use crate::prompts::numbers_replay::Replay;
use crate::prompts::registry::Prompts;
use serde::Serialize;
use std::collections::HashMap;

/// Commits that are looked at.
const MAX_COMMITS: usize = 1_000_000;
/// Pairs of lines that are compared; of larger differences all lines count as changed.
const MAX_PAIRS: usize = 16_000_000;

/// Who last changed the lines of a prompt. Serialised as its fields.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PromptBlame {
    /// The prompt.
    pub name: PromptKey,
    /// The commit whose files these are.
    pub commit: String,
    /// Its own file first, then those of the partials it includes.
    pub files: Vec<BlamedFile>,
}

/// A file of a prompt. Serialised as its fields.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BlamedFile {
    /// Below the directory of the prompts.
    pub path: String,
    /// Its lines, from the first.
    pub lines: Vec<BlamedLine>,
}

/// A line and the commit that made it what it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BlamedLine {
    /// Its number in the file, from 1.
    pub line: usize,
    /// The line without its end.
    pub text: String,
    /// The commit.
    #[serde(flatten)]
    pub commit: CommitLine,
}

impl Prompts {
    /// Returns who last changed each line of `key` as the tracked branch has it. Blocks.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] when the branch has no such prompt that loads, else as [`Prompts::log`].
    pub fn blame(&self, key: &PromptKey) -> Result<PromptBlame, Error> {
        let known = self.numbered()?;
        let tip = known.tip.ok_or(Error::NoHistory)?;
        let (repository, subpath) = self.inner.config.source.repository()?;
        let reader = repository.history(&subpath);
        let mut replay = Replay::default();
        replay.enter(&reader, None, tip).map_err(Error::Git)?;
        let files = replay.paths(&reader, key).map_err(Error::Git)?;
        if files.is_empty() {
            return Err(unknown(&known, key));
        }
        let mut versions = versions(&reader, tip, &files)?;
        let mut commits = HashMap::new();
        let mut blamed = Vec::new();
        for (path, _) in files {
            let versions = versions.remove(&path).unwrap_or_default();
            let contents = versions
                .into_iter()
                .map(|(commit, blob)| Ok((commit, lines(&reader, blob)?)));
            let lines = blame(contents)?;
            let lines = lines.into_iter().enumerate().map(|(index, (text, id))| {
                let commit = commits
                    .entry(id)
                    .or_insert_with(|| CommitLine::of(&reader, id));
                BlamedLine {
                    line: index + 1,
                    text,
                    commit: commit.clone(),
                }
            });
            blamed.push(BlamedFile {
                lines: lines.collect(),
                path,
            });
        }
        Ok(PromptBlame {
            name: key.clone(),
            commit: tip.to_string(),
            files: blamed,
        })
    }
}

/// A content of a file, and the commit that brought it.
type Version = (CommitId, BlobId);

/// Returns the contents that `files` had, newest first, back to where each began.
fn versions(
    reader: &HistoryReader,
    tip: CommitId,
    files: &[(String, BlobId)],
) -> Result<HashMap<String, Vec<Version>>, Error> {
    let trail = reader.first_parents(tip, &|_| false, MAX_COMMITS);
    let commits = trail.map_err(Error::Git)?.map(|trail| trail.commits);
    let commits = commits.unwrap_or_default();
    let mut found: HashMap<String, Vec<Version>> = HashMap::new();
    let mut open: Vec<&str> = files.iter().map(|(path, _)| path.as_str()).collect();
    let parents = commits.iter().skip(1).copied().map(Some);
    for (commit, parent) in commits.iter().zip(parents.chain([None])) {
        if open.is_empty() {
            break;
        }
        for change in reader.changes(parent, *commit).map_err(Error::Git)? {
            if !open.contains(&change.path.as_str()) {
                continue;
            }
            match change.blob {
                Some(blob) => found.entry(change.path).or_default().push((*commit, blob)),
                // Before this it was another file of the same name.
                None => open.retain(|path| **path != *change.path),
            }
        }
    }
    Ok(found)
}

/// A line, and the commit that brought it.
type Owned = (String, CommitId);

/// Returns the lines of the first of `versions`, which go from the newest to the oldest, each with the
/// commit that brought it. Versions that can change nothing any more are not asked for.
fn blame(
    mut versions: impl Iterator<Item = Result<(CommitId, Vec<String>), Error>>,
) -> Result<Vec<Owned>, Error> {
    let Some((mut newer, mut lines)) = versions.next().transpose()? else {
        return Ok(Vec::new());
    };
    let mut blamed: Vec<Option<CommitId>> = vec![None; lines.len()];
    let shown = lines.clone();
    // Where each line of the version at hand is in the newest.
    let mut places: Vec<Option<usize>> = (0..lines.len()).map(Some).collect();
    while places.iter().any(Option::is_some) {
        let Some((older, before)) = versions.next().transpose()? else {
            break;
        };
        let mut moved = vec![None; before.len()];
        for (place, twin) in places.iter().zip(twins(&lines, &before)) {
            let Some(place) = *place else { continue };
            match twin.and_then(|twin| moved.get_mut(twin)) {
                Some(slot) => *slot = Some(place),
                None => settle(&mut blamed, place, newer),
            }
        }
        (places, lines, newer) = (moved, before, older);
    }
    for place in places.into_iter().flatten() {
        settle(&mut blamed, place, newer);
    }
    let pairs = shown.into_iter().zip(blamed);
    Ok(pairs
        .map(|(text, commit)| (text, commit.unwrap_or(newer)))
        .collect())
}

fn settle(blamed: &mut [Option<CommitId>], place: usize, commit: CommitId) {
    if let Some(slot) = blamed.get_mut(place) {
        *slot = Some(commit);
    }
}

fn lines(reader: &HistoryReader, blob: BlobId) -> Result<Vec<String>, Error> {
    let bytes = reader.blob(blob, MAX_FILE_BYTES).map_err(Error::Git)?;
    let text = bytes.unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    Ok(text.lines().map(str::to_owned).collect())
}

/// For each of `new`, its place in `old`, where the two have a longest common sequence.
fn twins(new: &[String], old: &[String]) -> Vec<Option<usize>> {
    let same = |(a, b): &(&String, &String)| a == b;
    let head = new.iter().zip(old).take_while(same).count();
    let rest = new.len().min(old.len()) - head;
    let tail = new.iter().rev().zip(old.iter().rev());
    let tail = tail.take(rest).take_while(same).count();
    let inner = |lines: usize| lines - head - tail;
    let (new_inner, old_inner) = (inner(new.len()), inner(old.len()));
    let mut found: Vec<Option<usize>> = (0..head).map(Some).collect();
    let a = new.get(head..head + new_inner).unwrap_or_default();
    let b = old.get(head..head + old_inner).unwrap_or_default();
    let middle = common(a, b);
    found.extend(middle.into_iter().map(|twin| twin.map(|twin| head + twin)));
    found.extend((old.len() - tail..old.len()).map(Some));
    found
}

/// The same by the book: a table of the lengths of common sequences of what is left.
fn common(new: &[String], old: &[String]) -> Vec<Option<usize>> {
    let mut found = vec![None; new.len()];
    if new.is_empty() || old.is_empty() || MAX_PAIRS < new.len().saturating_mul(old.len()) {
        return found;
    }
    let width = old.len() + 1;
    let mut lengths = vec![0_u32; width * (new.len() + 1)];
    let at = |lengths: &[u32], i: usize, j: usize| {
        lengths.get(i * width + j).copied().unwrap_or_default()
    };
    for (i, a) in new.iter().enumerate().rev() {
        for (j, b) in old.iter().enumerate().rev() {
            let best = if a == b {
                at(&lengths, i + 1, j + 1) + 1
            } else {
                at(&lengths, i + 1, j).max(at(&lengths, i, j + 1))
            };
            if let Some(cell) = lengths.get_mut(i * width + j) {
                *cell = best;
            }
        }
    }
    let (mut i, mut j) = (0, 0);
    while let (Some(a), Some(b)) = (new.get(i), old.get(j)) {
        if a == b {
            if let Some(slot) = found.get_mut(i) {
                *slot = Some(j);
            }
            (i, j) = (i + 1, j + 1);
        } else if at(&lengths, i, j + 1) <= at(&lengths, i + 1, j) {
            i += 1;
        } else {
            j += 1;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::{blame, twins};
    use crate::domain::PromptKey;
    use crate::git::CommitId;
    use crate::git::tests::{commit_all, git, repository_with};
    use crate::prompts::archive::NoArchive;
    use crate::prompts::registry::{Config, Prompts};
    use crate::prompts::source::{GitSource, Source};
    use proptest::prelude::{any, proptest};
    use proptest::sample::Index;
    use std::sync::Arc;

    fn texts(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn a_longest_common_sequence_is_found() {
        for (new, old, wanted) in [
            ("a b c", "a b c", "0 1 2"),
            ("a x c", "a b c", "0 - 2"),
            ("a b c", "a c", "0 - 1"),
            ("a c", "a b c", "0 2"),
            ("x y", "a b", "- -"),
            ("b a b a", "a b a", "- 0 1 2"),
            ("p a b q", "p b a q", "0 - 1 3"),
            ("a a", "a", "0 -"),
        ] {
            let found = twins(&texts(new), &texts(old));
            let shown = found.iter().map(|twin| match twin {
                Some(place) => place.to_string(),
                None => "-".to_owned(),
            });
            let shown = shown.collect::<Vec<_>>().join(" ");
            assert_eq!(shown, wanted, "{new} / {old}");
        }
    }

    proptest! {
        #[test]
        fn a_line_belongs_to_the_commit_that_wrote_it(
            edits in proptest::collection::vec((any::<Index>(), 0..3_usize, 0..4_usize), 1..20),
        ) {
            // No text is written twice, so there is one right answer.
            let mut lines: Vec<(String, CommitId)> = Vec::new();
            let mut versions = Vec::new();
            for (number, (place, removed, added)) in edits.into_iter().enumerate() {
                let commit = CommitId::from_bytes([u8::try_from(number).unwrap(); 20]);
                let place = place.index(lines.len() + 1);
                let end = lines.len().min(place + removed);
                let new = (0..added).map(|index| (format!("{number}.{index}"), commit));
                lines.splice(place..end, new);
                let texts: Vec<_> = lines.iter().map(|(text, _)| text.clone()).collect();
                versions.push((commit, texts));
            }
            let found = blame(versions.into_iter().rev().map(Ok)).unwrap();
            assert_eq!(found, lines);
        }
    }

    #[test]
    fn every_line_of_a_prompt_and_its_partials_says_who_wrote_it() {
        let dir = repository_with(&[
            ("a.prompt", "one\n{{> t}}\nthree\n"),
            ("_t.prompt", "{{> sub/u}}\nlast"),
            ("sub/_u.prompt", "x\ny\n"),
            ("_unused.prompt", "z"),
        ]);
        let root = dir.path();
        let write = |path: &str, text: &str| std::fs::write(root.join(path), text).unwrap();
        commit_all(root, "first");
        write("a.prompt", "one\ntwo\n{{> t}}\nthree\n");
        commit_all(root, "second");
        // What a branch did counts as done by its merge.
        git(root, &["checkout", "-q", "-b", "side"]);
        write("sub/_u.prompt", "x\nY\n");
        commit_all(root, "side");
        git(root, &["checkout", "-q", "main"]);
        git(root, &["merge", "-q", "--no-ff", "-m", "merge", "side"]);
        // A file that went and came again begins anew.
        git(root, &["rm", "-q", "_t.prompt"]);
        commit_all(root, "gone");
        write("_t.prompt", "{{> sub/u}}\nlast");
        commit_all(root, "back");
        let source = Source::Git(GitSource {
            repository: root.to_owned(),
            reference: "main".to_owned(),
            subpath: String::new(),
        });
        let prompts = Prompts::archived(Config::new(source), Arc::new(NoArchive));
        let blame = prompts.blame(&PromptKey::parse("a").unwrap()).unwrap();
        let mut shown = Vec::new();
        for file in &blame.files {
            for line in &file.lines {
                let subject = &line.commit.subject;
                shown.push(format!(
                    "{}:{} {} ({subject})",
                    file.path, line.line, line.text
                ));
            }
        }
        let wanted = [
            "a.prompt:1 one (first)",
            "a.prompt:2 two (second)",
            "a.prompt:3 {{> t}} (first)",
            "a.prompt:4 three (first)",
            "sub/_u.prompt:1 x (first)",
            "sub/_u.prompt:2 Y (merge)",
            "_t.prompt:1 {{> sub/u}} (back)",
            "_t.prompt:2 last (back)",
        ];
        assert_eq!(shown, wanted);
        let missing = prompts.blame(&PromptKey::parse("b").unwrap()).unwrap_err();
        assert_eq!(missing.kind(), "prompt_not_found");
    }
}
