//! Drafts: the texts of a snapshot that is to be, on disk until it is sealed.
//!
//! ```text
//! data/embeddings/drafts/<id>/draft.json    what is to be made of the items; whether they came whole
//! data/embeddings/drafts/<id>/items.jsonl   the items, one a line, cut already
//! ```
//!
//! The id is made from what is said, so the same command finds the same draft. A corpus is sent again
//! after a cut: that costs nothing, as vectors are kept under their texts.

use crate::domain::sha256_hex;
use crate::embeddings::chunk::{chunks, slice};
use crate::embeddings::files::write_durably;
use crate::embeddings::item::{Item, Span};
use crate::embeddings::pipeline::{Chunker, Pipeline};
use crate::embeddings::snapshots::Error;
use crate::embeddings::snapshots::texts::{Place, Texts, WithText, each_line};
use crate::embeddings::space::Space;
use crate::embeddings::vault::{Precision, TextStorage};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{HashMap, HashSet};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The version of drafts.
const FORMAT: u32 = 1;
const HEAD: &str = "draft.json";
const ITEMS: &str = "items.jsonl";

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
    open: Mutex<HashMap<String, DraftHead>>,
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

    fn open(&self) -> MutexGuard<'_, HashMap<String, DraftHead>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn path(&self, id: &str, file: &str) -> PathBuf {
        self.dir.join(id).join(file)
    }

    /// Begins a draft, or begins it again from its first source. One of the `active` is left as it is.
    ///
    /// # Errors
    ///
    /// `Io`.
    pub fn begin(&self, mut head: DraftHead, active: &HashSet<String>) -> Result<DraftHead, Error> {
        head.id = id_of(&head);
        if active.contains(&head.id) {
            return self.head(&head.id);
        }
        (head.format, head.sources, head.items, head.is_complete) = (FORMAT, 0, 0, false);
        let dir = self.dir.join(&head.id);
        fs::create_dir_all(&dir).map_err(Error::io("create", &dir))?;
        let items = self.path(&head.id, ITEMS);
        File::create(&items).map_err(Error::io("create", &items))?;
        self.write_head(&head)?;
        self.open().insert(head.id.clone(), head.clone());
        Ok(head)
    }

    /// Takes the next sources, of which `offset` came before. A part that came already is not taken again.
    ///
    /// # Errors
    ///
    /// `DraftNotFound`, `DraftOffset`, `EmptyText`, `Io`.
    pub fn append(&self, id: &str, offset: u64, sources: &[SourceText]) -> Result<Taken, Error> {
        let lost = || Error::DraftNotFound { id: id.to_owned() };
        let mut open = self.open();
        let head = open.get_mut(id).ok_or_else(lost)?;
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
        head.sources += count(sources.len());
        head.items += items;
        Ok(Taken {
            sources: head.sources,
            items: head.items,
        })
    }

    /// Marks a draft as whole: it survives the process from here on.
    ///
    /// # Errors
    ///
    /// `DraftNotFound`, `Io`.
    pub fn complete(&self, id: &str) -> Result<DraftHead, Error> {
        let head = self.open().remove(id);
        let Some(mut head) = head else {
            return self.head(id);
        };
        let path = self.path(id, ITEMS);
        let synced = File::open(&path).and_then(|file| file.sync_all());
        synced.map_err(Error::io("sync", &path))?;
        head.is_complete = true;
        self.write_head(&head)?;
        Ok(head)
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

    /// Returns all drafts that can be read.
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
        found.sort_by(|a, b| (&a.collection, &a.id).cmp(&(&b.collection, &b.id)));
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

/// What is said decides the id; what came does not.
fn id_of(head: &DraftHead) -> String {
    let said = (
        &head.collection,
        head.space.id(),
        head.pipeline.id(),
        head.precision,
        head.text_storage,
        &head.onto,
    );
    let hash = sha256_hex(&serde_json::to_vec(&said).unwrap_or_default());
    ["draft-", hash.get(..12).unwrap_or(&hash)].concat()
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
    use super::{DraftHead, Drafts, SourceText};
    use crate::embeddings::declared::read;
    use crate::embeddings::pipeline::{Chunker, PipelineWish};
    use crate::embeddings::vault::{Precision, TextStorage};
    use serde_json::json;
    use std::collections::HashSet;

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
        }
    }

    fn source(id: &str, text: &str) -> SourceText {
        SourceText {
            id: id.to_owned(),
            text: text.to_owned(),
            metadata: None,
        }
    }

    #[test]
    fn a_draft_takes_sources_in_turn_and_outlives_the_process() {
        let dir = tempfile::tempdir().unwrap();
        let drafts = Drafts::new(dir.path().to_owned());
        let id = drafts.begin(head(), &HashSet::new()).unwrap().id;
        let taken = drafts
            .append(&id, 0, &[source("a", "one two three")])
            .unwrap();
        assert_eq!((taken.sources, taken.items), (1, 2));
        let error = drafts.append(&id, 0, &[source("b", "x")]).unwrap_err();
        assert_eq!(error.kind(), "draft_out_of_turn");
        let error = drafts.append(&id, 1, &[source("b", "  ")]).unwrap_err();
        assert_eq!(error.to_string(), "item `b` has no text");
        drafts.append(&id, 1, &[source("b", "four")]).unwrap();

        // A process that died before the draft was whole leaves nothing to go on with.
        let other = Drafts::new(dir.path().to_owned());
        let half = other.head(&id).unwrap();
        let items = |head: &DraftHead| {
            let mut items = Vec::new();
            other.each(head, |place, item| items.push((place, item)))?;
            Ok::<_, super::Error>(items)
        };
        assert_eq!(items(&half).unwrap_err().kind(), "draft_incomplete");
        drafts.complete(&id).unwrap();
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

        let again = drafts.begin(head(), &HashSet::new()).unwrap();
        assert_eq!(again.id, id, "the same command, the same draft");
        other.remove(&id).unwrap();
        assert_eq!(other.head(&id).unwrap_err().kind(), "draft_not_found");
        assert_eq!(other.head("../x").unwrap_err().kind(), "draft_not_found");
    }
}
