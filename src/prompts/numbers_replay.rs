//! Replays a history of files: which versions of which prompts every commit brings.
//!
//! It knows what each prompt is made from, so a commit costs what it changed: only prompts that need
//! a changed file are built and hashed again, by the same code that loads prompts. A prompt that does
//! not load at some commit has no version there; the past is not refused for its mistakes.

use crate::domain::{BundleHash, PromptKey};
use crate::git::{self, BlobId, Change, CommitId, File, HistoryReader};
use crate::prompts::bundle::Bundle;
use crate::prompts::compile::compile;
use crate::prompts::evaluate::{Partial, Partials};
use crate::prompts::files::{Kind, MAX_FILE_BYTES, MAX_FILES, Shelves, Text, kind_of, text_of};
use crate::prompts::includes;
use crate::prompts::load::{Draft, Library};
use crate::prompts::syntax::Program;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// The files of one commit, and what they depend on.
#[derive(Debug, Default)]
pub(super) struct Replay {
    /// Our files by lower-case path: of names that differ in case only, the first is used.
    files: HashMap<String, BTreeMap<String, BlobId>>,
    count: usize,
    /// Where what other files know by a name may be.
    places: HashMap<Kind, BTreeSet<String>>,
    /// Schemas and tools; the other shelves stay empty.
    shelves: Shelves,
    /// Partials that somebody needed; `None`: it is not there, or does not compile.
    partials: HashMap<String, Option<Arc<Partial>>>,
    /// What each prompt is made from, beside its own file.
    needs: HashMap<PromptKey, BTreeSet<Kind>>,
    /// The same, by what is needed.
    users: HashMap<Kind, BTreeSet<PromptKey>>,
    /// Prompts that do not load: any change of a shared file may cure them.
    failed: BTreeSet<PromptKey>,
}

impl Replay {
    /// Goes on from the files of `before` (`None`: no files), which it holds, to those of `after`.
    /// Returns the prompts whose version may be another now, sorted; they are to be built next.
    pub(super) fn enter(
        &mut self,
        reader: &HistoryReader,
        before: Option<CommitId>,
        after: CommitId,
    ) -> Result<Vec<PromptKey>, git::Error> {
        let changes = reader.changes(before, after)?;
        if changes.is_empty() {
            return Ok(Vec::new());
        }
        let was_overfull = self.is_overfull();
        let touched = self.place(changes);
        for slot in &touched {
            self.refresh(reader, slot)?;
        }
        let affected = match (was_overfull, self.is_overfull()) {
            (_, true) => BTreeSet::new(),
            (true, false) => self.all(),
            (false, false) => self.affected(&touched),
        };
        Ok(affected.into_iter().collect())
    }

    /// Builds prompts and returns their versions. Those that do not load are left out.
    pub(super) fn versions(
        &mut self,
        reader: &HistoryReader,
        keys: Vec<PromptKey>,
    ) -> Result<Vec<(PromptKey, BundleHash)>, git::Error> {
        let built = self.build(reader, keys)?;
        let hashes = built.into_iter().map(|(key, bundle)| (key, bundle.hash()));
        Ok(hashes.collect())
    }

    /// Returns the version of `key` that the files hold, if it loads.
    pub(super) fn bundle(
        &mut self,
        reader: &HistoryReader,
        key: &PromptKey,
    ) -> Result<Option<Bundle>, git::Error> {
        if self.is_overfull() {
            return Ok(None);
        }
        let built = self.build(reader, vec![key.clone()])?;
        Ok(built.into_iter().next().map(|(_, bundle)| bundle))
    }

    /// Returns the paths of the files that `key` is made from, its own first; empty if it does not
    /// load.
    pub(super) fn paths(
        &mut self,
        reader: &HistoryReader,
        key: &PromptKey,
    ) -> Result<Vec<(String, BlobId)>, git::Error> {
        let Some(bundle) = self.bundle(reader, key)? else {
            return Ok(Vec::new());
        };
        let partials = bundle.partials();
        let slots = partials.map(|(name, _)| Kind::Partial(name.to_owned()));
        let slots = std::iter::once(Kind::Prompt(key.to_string())).chain(slots);
        Ok(slots
            .filter_map(|slot| self.candidates(&slot).next())
            .collect())
    }

    fn is_overfull(&self) -> bool {
        MAX_FILES < self.count
    }

    fn all(&self) -> BTreeSet<PromptKey> {
        let slots = self.places.iter();
        let filled = slots.filter(|(_, paths)| !paths.is_empty());
        filled.filter_map(|(slot, _)| prompt_of(slot)).collect()
    }

    /// Takes the changes in and returns the slots that may hold something else now.
    fn place(&mut self, changes: Vec<Change>) -> BTreeSet<Kind> {
        let mut touched = BTreeSet::new();
        for Change { path, blob } in changes {
            let slot = kind_of(&path);
            if slot == Kind::Foreign {
                continue;
            }
            let group = self.files.entry(path.to_lowercase()).or_default();
            let before = group.len();
            match blob {
                Some(blob) => {
                    group.insert(path.clone(), blob);
                    self.places
                        .entry(slot.clone())
                        .or_default()
                        .insert(path.clone());
                }
                None => {
                    group.remove(&path);
                    if let Some(paths) = self.places.get_mut(&slot) {
                        paths.remove(&path);
                    }
                }
            }
            self.count = (self.count + group.len()).saturating_sub(before);
            touched.extend(group.keys().map(|path| kind_of(path)));
            touched.insert(slot);
        }
        touched
    }

    /// Reads a schema or a tool again; forgets a partial.
    fn refresh(&mut self, reader: &HistoryReader, slot: &Kind) -> Result<(), git::Error> {
        let text = match slot {
            Kind::Partial(name) => {
                self.partials.remove(name);
                return Ok(());
            }
            Kind::Schema(_) | Kind::Tool(_) => self.text(reader, slot)?,
            Kind::Prompt(_) | Kind::Samples(_) | Kind::Policy | Kind::Foreign => return Ok(()),
        };
        let (shelf, name) = match slot {
            Kind::Schema(name) => (&mut self.shelves.schemas, name),
            Kind::Tool(name) => (&mut self.shelves.tools, name),
            Kind::Prompt(_)
            | Kind::Partial(_)
            | Kind::Samples(_)
            | Kind::Policy
            | Kind::Foreign => {
                return Ok(());
            }
        };
        match text {
            Some(text) => shelf.insert(name.clone(), text),
            None => shelf.remove(name),
        };
        Ok(())
    }

    fn affected(&self, touched: &BTreeSet<Kind>) -> BTreeSet<PromptKey> {
        let mut affected = BTreeSet::new();
        for slot in touched {
            match slot {
                Kind::Prompt(_) => affected.extend(prompt_of(slot)),
                Kind::Partial(_) | Kind::Schema(_) | Kind::Tool(_) => {
                    affected.extend(self.users.get(slot).into_iter().flatten().cloned());
                    affected.extend(self.failed.iter().cloned());
                }
                Kind::Samples(_) | Kind::Policy | Kind::Foreign => {}
            }
        }
        affected
    }

    /// Builds prompts, and learns what they need.
    fn build(
        &mut self,
        reader: &HistoryReader,
        keys: Vec<PromptKey>,
    ) -> Result<Vec<(PromptKey, Bundle)>, git::Error> {
        let shelves = std::mem::take(&mut self.shelves);
        let mut library = Library::new(&shelves);
        let mut built = Vec::new();
        let mut outcome = Ok(());
        for key in keys {
            match self.build_one(reader, &key, &mut library) {
                Ok(Some(bundle)) => built.push((key, bundle)),
                Ok(None) => {}
                Err(error) => {
                    outcome = Err(error);
                    break;
                }
            }
        }
        self.shelves = shelves;
        outcome.map(|()| built)
    }

    fn build_one(
        &mut self,
        reader: &HistoryReader,
        key: &PromptKey,
        library: &mut Library<'_>,
    ) -> Result<Option<Bundle>, git::Error> {
        let Some(text) = self.text(reader, &Kind::Prompt(key.to_string()))? else {
            self.learn(key, BTreeSet::new());
            self.failed.remove(key);
            return Ok(None);
        };
        library.take_used();
        let mut needs = BTreeSet::new();
        let bundle = match Draft::parse(&text.text) {
            Ok(draft) => {
                let partials = match &draft.program {
                    Ok(program) => self.reachable(reader, program, &mut needs)?,
                    Err(_) => Partials::new(),
                };
                draft.finish(&partials, library).ok()
            }
            Err(_) => None,
        };
        needs.extend(library.take_used().iter().map(|path| kind_of(path)));
        self.learn(key, needs);
        if bundle.is_some() {
            self.failed.remove(key);
        } else {
            self.failed.insert(key.clone());
        }
        Ok(bundle)
    }

    /// Returns all partials that can be reached from `program`, and notes their names.
    fn reachable(
        &mut self,
        reader: &HistoryReader,
        program: &Program,
        needs: &mut BTreeSet<Kind>,
    ) -> Result<Partials, git::Error> {
        let mut found = Partials::new();
        let mut open = names(program);
        while let Some(name) = open.pop() {
            let slot = Kind::Partial(name.clone());
            if needs.contains(&slot) {
                continue;
            }
            let partial = match self.partials.get(&name) {
                Some(known) => known.clone(),
                None => {
                    let partial = self.text(reader, &slot)?.and_then(|text| {
                        let program = compile(&text.text, 1).ok()?;
                        let text = text.text;
                        Some(Arc::new(Partial { text, program }))
                    });
                    self.partials.insert(name.clone(), partial.clone());
                    partial
                }
            };
            needs.insert(slot);
            if let Some(partial) = partial {
                open.extend(names(&partial.program));
                found.insert(name, partial);
            }
        }
        Ok(found)
    }

    fn learn(&mut self, key: &PromptKey, needs: BTreeSet<Kind>) {
        let before = self.needs.remove(key).unwrap_or_default();
        for slot in before.difference(&needs) {
            if let Some(users) = self.users.get_mut(slot) {
                users.remove(key);
            }
        }
        for slot in &needs {
            let users = self.users.entry(slot.clone()).or_default();
            users.insert(key.clone());
        }
        if !needs.is_empty() {
            self.needs.insert(key.clone(), needs);
        }
    }

    /// Returns the files that may fill a slot, best first.
    fn candidates(&self, slot: &Kind) -> impl Iterator<Item = (String, BlobId)> {
        let has_name = match slot {
            Kind::Prompt(name) | Kind::Partial(name) | Kind::Schema(name) | Kind::Tool(name) => {
                PromptKey::parse(name).is_ok()
            }
            Kind::Samples(_) | Kind::Policy | Kind::Foreign => false,
        };
        let paths = self.places.get(slot).filter(|_| has_name);
        paths.into_iter().flatten().filter_map(|path| {
            let group = self.files.get(&path.to_lowercase())?;
            let (first, blob) = group.first_key_value()?;
            (first == path).then(|| (path.clone(), *blob))
        })
    }

    fn text(&self, reader: &HistoryReader, slot: &Kind) -> Result<Option<Text>, git::Error> {
        for (path, blob) in self.candidates(slot) {
            let Some(bytes) = reader.blob(blob, MAX_FILE_BYTES)? else {
                continue;
            };
            if let Ok(text) = text_of(&File { path, bytes }) {
                return Ok(Some(text));
            }
        }
        Ok(None)
    }
}

fn prompt_of(slot: &Kind) -> Option<PromptKey> {
    match slot {
        Kind::Prompt(name) => PromptKey::parse(name).ok(),
        Kind::Partial(_)
        | Kind::Schema(_)
        | Kind::Tool(_)
        | Kind::Samples(_)
        | Kind::Policy
        | Kind::Foreign => None,
    }
}

fn names(program: &Program) -> Vec<String> {
    let names = includes::direct(program).into_keys();
    names.map(str::to_owned).collect()
}
