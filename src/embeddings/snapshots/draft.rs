//! Drafts: the texts of a snapshot that is to be, on disk until it is sealed.
//!
//! ```text
//! data/embeddings/drafts/<id>/draft.json    what is to be made of the items; whether they came whole
//! data/embeddings/drafts/<id>/items.jsonl   the items, one a line, cut already
//! ```
//!
//! Whoever begins a draft gets one of his own, so that two corpora that are sent at once never meet. Once it
//! came whole its content is known: the same corpus under the same settings is the same draft, and goes on
//! where it was. A corpus is sent again after a cut: that costs nothing, as vectors are kept under their texts.

use crate::domain::{BundleHash, Timestamp};
use crate::embeddings::chunk::{chunks, slice};
use crate::embeddings::files::write_durably;
use crate::embeddings::item::{Item, Span};
use crate::embeddings::pipeline::{Chunker, Pipeline};
use crate::embeddings::snapshots::Error;
use crate::embeddings::snapshots::texts::{Place, Texts, WithText, each_line};
use crate::embeddings::space::Space;
use crate::embeddings::vault::{Precision, TextStorage, VaultError};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The version of drafts.
const FORMAT: u32 = 1;
const HEAD: &str = "draft.json";
const ITEMS: &str = "items.jsonl";
/// After so many microseconds without another part nobody sends the rest of a draft any more: a day.
const LONGEST_PAUSE: i64 = 86_400_000_000;

/// What is to be made of a draft's items.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DraftHead {
    /// [`FORMAT`].
    pub format: u32,
    /// Its id.
    pub id: String,
    /// The collection.
    pub collection: String,
    /// The space.
    pub space: Space,
    /// The pipeline.
    pub pipeline: Pipeline,
    /// How exactly vectors are kept.
    pub precision: Precision,
    /// Whether texts are kept.
    pub text_storage: TextStorage,
    /// The snapshot whose items are taken along.
    #[serde(default)]
    pub onto: Option<String>,
    /// Where the texts come from.
    #[serde(default)]
    pub source: Option<String>,
    /// How many sources came.
    pub sources: u64,
    /// How many items they were cut into.
    pub items: u64,
    /// Whether all came.
    pub is_complete: bool,
    /// When it was begun.
    #[serde(default)]
    pub begun: Timestamp,
    /// SHA-256 (hex) of its items; empty until all came.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub content: String,
}

impl DraftHead {
    /// What decides, besides its content, what becomes of a draft.
    fn settings(&self) -> Vec<u8> {
        let said = (
            &self.collection,
            self.space.id(),
            self.pipeline.id(),
            self.precision,
            self.text_storage,
            &self.onto,
        );
        serde_json::to_vec(&said).unwrap_or_default()
    }

    /// Returns which one it is, for choices: its name, how many items it has, and of what.
    pub(super) fn in_words(&self) -> String {
        let source = self.source.as_deref().unwrap_or("what was sent");
        format!("`{}` ({} items of {source})", self.id, self.items)
    }

    /// Whether both make the same of the same items.
    fn is_same(&self, other: &Self) -> bool {
        !self.content.is_empty()
            && self.content == other.content
            && self.settings() == other.settings()
    }
}

/// A source as it comes: a text with a name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceText {
    /// Its name.
    pub id: String,
    /// Its text.
    pub text: String,
    /// What else is known of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Value>,
}

/// How many came so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taken {
    /// Sources.
    pub sources: u64,
    /// Items they were cut into.
    pub items: u64,
}

/// The drafts of a data directory. Everything here blocks.
#[derive(Debug)]
pub struct Drafts {
    dir: PathBuf,
    open: Mutex<HashMap<String, OpenDraft>>,
}

/// A draft whose sources come.
#[derive(Debug)]
struct OpenDraft {
    head: DraftHead,
    /// Of the items that came; `None` once that were all.
    content: Option<Sha256>,
    /// When the last of them came.
    latest: Timestamp,
}

/// A draft that came whole.
#[derive(Debug)]
pub(super) struct WholeDraft {
    pub(super) head: DraftHead,
    /// Whether it came just now; else it was there before, and is gone on with.
    pub(super) is_fresh: bool,
}

impl Drafts {
    /// Returns the drafts in `dir`.
    #[must_use]
    pub fn new(dir: PathBuf) -> Self {
        Self {
            dir,
            open: Mutex::default(),
        }
    }

    fn open(&self) -> MutexGuard<'_, HashMap<String, OpenDraft>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn path(&self, id: &str, file: &str) -> PathBuf {
        self.dir.join(id).join(file)
    }

    /// Begins a draft, and removes those that nobody sends the rest of.
    ///
    /// # Errors
    ///
    /// `Io`.
    pub fn begin(&self, mut head: DraftHead, now: Timestamp) -> Result<DraftHead, Error> {
        self.remove_abandoned(now)?;
        head.id = format!("draft-{:012x}", rand::random::<u64>() >> 16);
        (head.format, head.begun) = (FORMAT, now);
        (head.sources, head.items, head.is_complete) = (0, 0, false);
        head.content.clear();
        let open = OpenDraft {
            head: head.clone(),
            content: Some(Sha256::new()),
            latest: now,
        };
        // Who is on the list is not abandoned.
        self.open().insert(head.id.clone(), open);
        let dir = self.dir.join(&head.id);
        fs::create_dir_all(&dir).map_err(Error::io("create", &dir))?;
        let items = self.path(&head.id, ITEMS);
        File::create(&items).map_err(Error::io("create", &items))?;
        self.write_head(&head)?;
        Ok(head)
    }

    /// Removes the drafts that did not come whole and whose senders are gone: with the process they spoke to,
    /// or for a day.
    fn remove_abandoned(&self, now: Timestamp) -> Result<(), Error> {
        self.open()
            .retain(|_, open| now.0.saturating_sub(open.latest.0) < LONGEST_PAUSE);
        let mut incomplete = self.list()?;
        incomplete.retain(|head| !head.is_complete);
        for head in incomplete {
            // Asked only now: one that was begun or came whole meanwhile is not taken for abandoned.
            let is_open = self.open().contains_key(&head.id);
            if !is_open && self.head(&head.id).is_ok_and(|head| !head.is_complete) {
                self.remove(&head.id)?;
            }
        }
        Ok(())
    }

    /// Takes the next sources, of which `offset` came before. A part that came already is not taken again.
    ///
    /// # Errors
    ///
    /// `DraftNotFound`, `DraftOffset`, `EmptyText`, `Io`.
    pub fn append(
        &self,
        id: &str,
        (offset, sources): (u64, &[SourceText]),
        now: Timestamp,
    ) -> Result<Taken, Error> {
        let lost = || Error::DraftNotFound { id: id.to_owned() };
        let mut all = self.open();
        let open = all.get_mut(id).ok_or_else(lost)?;
        let (head, content) = (&mut open.head, open.content.as_mut().ok_or_else(lost)?);
        if head.sources != offset {
            return Err(Error::DraftOffset {
                id: id.to_owned(),
                expected: head.sources,
                found: offset,
            });
        }
        let (mut text, mut items) = (Vec::new(), 0);
        for source in sources {
            for item in cut(&head.pipeline, source)? {
                items += 1;
                // Its keys are texts: writing it cannot fail.
                text.extend(serde_json::to_vec(&item).unwrap_or_default());
                text.push(b'\n');
            }
        }
        let path = self.path(id, ITEMS);
        let file = OpenOptions::new().append(true).open(&path);
        let mut file = file.map_err(Error::io("open", &path))?;
        file.write_all(&text).map_err(Error::io("write", &path))?;
        content.update(&text);
        open.latest = now;
        head.sources += count(sources.len());
        head.items += items;
        Ok(Taken {
            sources: head.sources,
            items: head.items,
        })
    }

    /// Takes a draft as whole. Where it `is_kept` it survives the process from here on; else it is known to
    /// nobody but who asked, and is for him to remove.
    ///
    /// # Errors
    ///
    /// `Empty`, after which the draft is no more; `DraftNotFound`, `Io`.
    pub(super) fn complete(&self, id: &str, is_kept: bool) -> Result<WholeDraft, Error> {
        let open = self.open().get_mut(id).and_then(|open| {
            // It stays on the list: what is not written yet is not abandoned.
            let content = open.content.take()?;
            Some((open.head.clone(), content))
        });
        let Some((mut head, content)) = open else {
            let head = self.head(id)?;
            let is_fresh = false;
            return Ok(WholeDraft { head, is_fresh });
        };
        if head.items == 0 && head.onto.is_none() {
            self.remove(id)?;
            let collection = head.collection;
            return Err(VaultError::Empty { collection }.into());
        }
        head.is_complete = true;
        head.content = BundleHash(content.finalize().into()).to_hex();
        if is_kept {
            let path = self.path(id, ITEMS);
            let synced = File::open(&path).and_then(|file| file.sync_all());
            synced.map_err(Error::io("sync", &path))?;
            self.write_head(&head)?;
            self.open().remove(id);
        }
        let is_fresh = true;
        Ok(WholeDraft { head, is_fresh })
    }

    /// Returns another whole draft of the same items, of which the same would be made.
    ///
    /// # Errors
    ///
    /// `Io`.
    pub(super) fn twin(&self, of: &DraftHead) -> Result<Option<DraftHead>, Error> {
        let mut all = self.list()?.into_iter();
        Ok(all.find(|head| head.is_complete && head.id != of.id && head.is_same(of)))
    }

    fn write_head(&self, head: &DraftHead) -> Result<(), Error> {
        let path = self.path(&head.id, HEAD);
        let text = serde_json::to_vec(head).unwrap_or_default();
        write_durably(&path, &text).map_err(Error::io("write", &path))
    }

    /// Returns what is to be made of a draft.
    ///
    /// # Errors
    ///
    /// `DraftNotFound`, `Io`.
    pub fn head(&self, id: &str) -> Result<DraftHead, Error> {
        let lost = || Error::DraftNotFound { id: id.to_owned() };
        if !is_id(id) {
            return Err(lost());
        }
        let path = self.path(id, HEAD);
        let text = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(lost()),
            read => read.map_err(Error::io("read", &path))?,
        };
        serde_json::from_slice(&text).map_err(|_| lost())
    }

    /// Calls `visit` with each item of a whole draft, and where it lies.
    ///
    /// # Errors
    ///
    /// `DraftIncomplete`, `Io`.
    pub(super) fn each(
        &self,
        head: &DraftHead,
        mut visit: impl FnMut(Place, Item),
    ) -> Result<(), Error> {
        let incomplete = || Error::DraftIncomplete {
            id: head.id.clone(),
        };
        if !head.is_complete {
            return Err(incomplete());
        }
        let path = self.path(&head.id, ITEMS);
        let file = File::open(&path).map_err(Error::io("open", &path))?;
        let mut items = 0;
        // A line that is no item is what a crash left of one.
        let read = each_line(file, |place, line| {
            visit(place, serde_json::from_slice(line)?);
            items += 1;
            Ok(())
        });
        match read.map_err(|error: io::Error| (error.kind(), error)) {
            Ok(()) if items == head.items => Ok(()),
            Ok(()) | Err((io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof, _)) => {
                Err(incomplete())
            }
            Err((_, error)) => Err(Error::io("read", &path)(error)),
        }
    }

    /// Opens the texts of the items that lie at `places`.
    ///
    /// # Errors
    ///
    /// `Io`.
    pub(super) fn texts(&self, head: &DraftHead, places: Vec<Place>) -> Result<Texts, Error> {
        let read = |line: &[u8]| Some(serde_json::from_slice::<WithText>(line).ok()?.text);
        Ok(Texts::open(&self.path(&head.id, ITEMS), places, read)?)
    }

    /// Returns all drafts that can be read, of each collection the oldest first.
    ///
    /// # Errors
    ///
    /// `Io`.
    pub fn list(&self) -> Result<Vec<DraftHead>, Error> {
        let entries = match fs::read_dir(&self.dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            read => read.map_err(Error::io("read", &self.dir))?,
        };
        let mut found = Vec::new();
        for entry in entries {
            let entry = entry.map_err(Error::io("read", &self.dir))?;
            let id = entry.file_name().to_string_lossy().into_owned();
            found.extend(self.head(&id).ok());
        }
        found.sort_by(|a, b| (&a.collection, a.begun, &a.id).cmp(&(&b.collection, b.begun, &b.id)));
        Ok(found)
    }

    /// Removes a draft; one that is not there need not be removed.
    ///
    /// # Errors
    ///
    /// `Io`.
    pub fn remove(&self, id: &str) -> Result<(), Error> {
        self.open().remove(id);
        if !is_id(id) {
            return Ok(());
        }
        let dir = self.dir.join(id);
        match fs::remove_dir_all(&dir) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(Error::io("remove", &dir)(error))
            }
            _ => Ok(()),
        }
    }
}

fn is_id(id: &str) -> bool {
    id.strip_prefix("draft-").is_some_and(|digits| {
        digits.len() == 12 && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
    })
}

/// Cuts a source into its items. A chunk is called after its source and its place in the row.
fn cut(pipeline: &Pipeline, source: &SourceText) -> Result<Vec<Item>, Error> {
    let places = chunks(pipeline, &source.text);
    let is_whole = pipeline.chunker == Chunker::None;
    let items = places.into_iter().enumerate().map(|(index, place)| Item {
        id: if is_whole {
            source.id.clone()
        } else {
            format!("{}#{index}", source.id)
        },
        text: Some(slice(&source.text, &place).to_owned()),
        span: (!is_whole).then(|| Span {
            source: source.id.clone(),
            start: count(place.start),
            end: count(place.end),
        }),
        metadata: source.metadata.clone(),
    });
    let items: Vec<Item> = items.collect();
    let has_text = |item: &Item| {
        item.text
            .as_ref()
            .is_some_and(|text| !text.trim().is_empty())
    };
    if items.is_empty() || !items.iter().all(has_text) {
        return Err(Error::EmptyText {
            id: source.id.clone(),
        });
    }
    Ok(items)
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::{DraftHead, Drafts, LONGEST_PAUSE, SourceText};
    use crate::domain::Timestamp;
    use crate::embeddings::declared::read;
    use crate::embeddings::pipeline::{Chunker, PipelineWish};
    use crate::embeddings::vault::{Precision, TextStorage};
    use serde_json::json;

    fn head() -> DraftHead {
        let declared = read(&json!({"spaces": {"s": {"model": "openai/s"}}})).unwrap();
        let cut = PipelineWish {
            chunker: Chunker::Words,
            size: Some(2),
            ..PipelineWish::default()
        };
        DraftHead {
            format: 0,
            id: String::new(),
            collection: "docs".to_owned(),
            space: declared.spaces["s"].clone(),
            pipeline: cut.pipeline().unwrap(),
            precision: Precision::F16,
            text_storage: TextStorage::Text,
            onto: None,
            source: None,
            sources: 7,
            items: 7,
            is_complete: true,
            begun: Timestamp(0),
            content: "x".to_owned(),
        }
    }

    fn source(id: &str, text: &str) -> SourceText {
        SourceText {
            id: id.to_owned(),
            text: text.to_owned(),
            metadata: None,
        }
    }

    const NOW: Timestamp = Timestamp(7);

    #[test]
    fn a_draft_takes_sources_in_turn_and_outlives_the_process() {
        let dir = tempfile::tempdir().unwrap();
        let drafts = Drafts::new(dir.path().to_owned());
        let id = drafts.begin(head(), NOW).unwrap().id;
        let taken = drafts
            .append(&id, (0, &[source("a", "one two three")]), NOW)
            .unwrap();
        assert_eq!((taken.sources, taken.items), (1, 2));
        let error = drafts.append(&id, (0, &[source("b", "x")]), NOW);
        let error = error.unwrap_err();
        assert_eq!(error.kind(), "draft_out_of_turn");
        let error = drafts.append(&id, (1, &[source("b", "  ")]), NOW);
        let error = error.unwrap_err();
        assert_eq!(error.to_string(), "item `b` has no text");
        drafts
            .append(&id, (1, &[source("b", "four")]), NOW)
            .unwrap();

        // A process that died before the draft was whole leaves nothing to go on with.
        let other = Drafts::new(dir.path().to_owned());
        let half = other.head(&id).unwrap();
        let items = |head: &DraftHead| {
            let mut items = Vec::new();
            other.each(head, |place, item| items.push((place, item)))?;
            Ok::<_, super::Error>(items)
        };
        assert_eq!(items(&half).unwrap_err().kind(), "draft_incomplete");
        assert!(drafts.complete(&id, true).unwrap().is_fresh);
        let whole = other.head(&id).unwrap();
        let (places, items): (Vec<_>, Vec<_>) = items(&whole).unwrap().into_iter().unzip();
        let texts = other.texts(&whole, places).unwrap();
        assert_eq!(texts.text(1).unwrap().as_deref(), Some("three"));
        let ids: Vec<&str> = items.iter().map(|item| item.id.as_str()).collect();
        assert_eq!(ids, ["a#0", "a#1", "b#0"]);
        assert_eq!(items[1].text.as_deref(), Some("three"));
        let span = items[1].span.as_ref().unwrap();
        assert_eq!((span.start, span.end), (8, 13));
        assert_eq!(other.list().unwrap(), [whole]);

        assert!(!other.complete(&id, true).unwrap().is_fresh, "it was there");
        other.remove(&id).unwrap();
        assert_eq!(other.head(&id).unwrap_err().kind(), "draft_not_found");
        assert_eq!(other.head("../x").unwrap_err().kind(), "draft_not_found");
    }

    /// Sends texts to a draft.
    fn send(drafts: &Drafts, id: &str, offset: u64, texts: &[&str]) {
        let sources = texts.iter().map(|text| source(text, text));
        let sources: Vec<SourceText> = sources.collect();
        drafts.append(id, (offset, &sources), NOW).unwrap();
    }

    #[test]
    fn corpora_that_come_at_once_do_not_meet_and_the_same_one_is_the_same_draft() {
        let dir = tempfile::tempdir().unwrap();
        let drafts = Drafts::new(dir.path().to_owned());
        let begin = || drafts.begin(head(), NOW).unwrap().id;
        let (a, b, again) = (begin(), begin(), begin());
        send(&drafts, &a, 0, &["one"]);
        send(&drafts, &b, 0, &["two"]);
        send(&drafts, &again, 0, &["one"]);
        send(&drafts, &a, 1, &["three"]);
        send(&drafts, &again, 1, &["three"]);
        let complete = |id: &str| drafts.complete(id, true).unwrap().head;
        let (a, b) = (complete(&a), complete(&b));
        assert_eq!((a.items, b.items), (2, 1));
        assert_eq!(drafts.twin(&a).unwrap(), None);
        let again = complete(&again);
        assert_eq!(drafts.twin(&again).unwrap().unwrap().id, a.id);
        let other = DraftHead {
            precision: Precision::F32,
            ..again
        };
        assert_eq!(drafts.twin(&other).unwrap(), None, "kept otherwise");
    }

    #[test]
    fn what_holds_nothing_or_is_sent_by_nobody_goes() {
        let dir = tempfile::tempdir().unwrap();
        let drafts = Drafts::new(dir.path().to_owned());
        let empty = drafts.begin(head(), NOW).unwrap().id;
        let error = drafts.complete(&empty, true).unwrap_err();
        assert_eq!(error.kind(), "snapshot_empty");
        assert_eq!(drafts.list().unwrap(), []);

        let slow = drafts.begin(head(), NOW).unwrap().id;
        let planned = drafts.begin(head(), NOW).unwrap().id;
        send(&drafts, &slow, 0, &["one"]);
        send(&drafts, &planned, 0, &["one"]);
        let planned = drafts.complete(&planned, false).unwrap().head;
        drafts.each(&planned, |_, _| {}).unwrap();
        let next = Timestamp(NOW.0 + LONGEST_PAUSE - 1);
        let kept = drafts.begin(head(), next).unwrap().id;
        assert!(drafts.head(&slow).is_ok(), "the rest may still come");
        assert!(drafts.head(&planned.id).is_ok(), "it is being read");
        drafts
            .begin(head(), Timestamp(NOW.0 + LONGEST_PAUSE))
            .unwrap();
        assert!(drafts.head(&slow).is_err() && drafts.head(&planned.id).is_err());
        assert!(drafts.head(&kept).is_ok());
        // A process that died takes those along that it was sent.
        let next = Drafts::new(dir.path().to_owned());
        let only = next.begin(head(), NOW).unwrap().id;
        let left: Vec<String> = next.list().unwrap().into_iter().map(|it| it.id).collect();
        assert_eq!(left, [only]);
    }
}
