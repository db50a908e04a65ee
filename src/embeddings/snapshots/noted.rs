//! What happens to labels and items is written into the audit log: where a label led is asked when nobody has
//! the old file any more.

use crate::domain::{AuditEvent, Audited};
use crate::embeddings::declared::Declared;
use crate::embeddings::name::SnapshotName;
use crate::embeddings::snapshots::{Error, Snapshots};
use crate::embeddings::vault::{Deleted, VaultError, item_hash};
use serde_json::value::RawValue;
use std::collections::{BTreeMap, BTreeSet};

/// Under which name the labels of the last time are kept in the store.
const LABELS: &str = "embeddings.labels";

/// Where labels lead: collection and label, and the name of what is meant.
type Labels = BTreeMap<String, BTreeMap<String, String>>;

impl Snapshots {
    /// Writes down which labels lead elsewhere than they did when this was called last, by this process or one
    /// before it. Blocks.
    ///
    /// # Errors
    ///
    /// Those of the store.
    pub fn note_labels(&self) -> Result<(), Error> {
        let store = &self.proxy.recorder.store;
        let now = labels_of(&self.declared.written());
        let kept = store.setting(LABELS).map_err(VaultError::from)?;
        let before: Labels = kept
            .and_then(|json| serde_json::from_str(json.get()).ok())
            .unwrap_or_default();
        if before == now {
            return Ok(());
        }
        let events = moves(&before, &now).into_iter();
        let events: Vec<AuditEvent> = events
            .map(|what| AuditEvent::now(self.clock.now(), what))
            .collect();
        store.note(&events).map_err(VaultError::from)?;
        // Its keys are texts: writing it cannot fail.
        let json = RawValue::from_string(serde_json::to_string(&now).unwrap_or_default());
        let put = json.map(|json| store.put_setting(LABELS, &json));
        put.unwrap_or(Ok(())).map_err(VaultError::from)?;
        Ok(())
    }

    /// Writes down that an item was deleted. Blocks.
    ///
    /// # Errors
    ///
    /// Those of the store.
    pub fn note_deleted(
        &self,
        collection: &str,
        item: &str,
        deleted: &Deleted,
    ) -> Result<(), Error> {
        let what = Audited::EmbeddingItemDeleted {
            collection: collection.to_owned(),
            item: item_hash(item),
            snapshots: deleted.snapshots.clone(),
            vectors: deleted.vectors,
        };
        let event = AuditEvent::now(self.clock.now(), what);
        let noted = self.proxy.recorder.store.note(&[event]);
        Ok(noted.map_err(VaultError::from)?)
    }
}

fn labels_of(declared: &Declared) -> Labels {
    let collections = declared.collections.iter();
    let labels = collections.map(|(collection, said)| {
        let labels = said.labels.iter().map(|(label, target)| {
            let target = SnapshotName {
                collection: collection.clone(),
                selector: Some(target.clone()),
            };
            (label.clone(), target.to_string())
        });
        (collection.clone(), labels.collect())
    });
    labels.collect()
}

/// Returns an event for every label that is new, gone or leads elsewhere.
fn moves(before: &Labels, now: &Labels) -> Vec<Audited> {
    let at = |labels: &Labels, collection: &str, label: &str| {
        let found = labels.get(collection)?.get(label);
        found.cloned()
    };
    let places = before.iter().chain(now).flat_map(|(collection, labels)| {
        let labels = labels.keys();
        labels.map(move |label| (collection.as_str(), label.as_str()))
    });
    let places: BTreeSet<(&str, &str)> = places.collect();
    let moved = places.into_iter().filter_map(|(collection, label)| {
        let (from, to) = (at(before, collection, label), at(now, collection, label));
        (from != to).then(|| Audited::EmbeddingLabelMoved {
            collection: collection.to_owned(),
            label: label.to_owned(),
            from,
            to,
        })
    });
    moved.collect()
}

#[cfg(test)]
mod tests {
    use super::{labels_of, moves};
    use crate::embeddings::declared::read;
    use serde_json::{Value, json};

    fn moved(before: &Value, now: &Value) -> Vec<String> {
        let labels = |said: &Value| {
            let declared = read(&json!({"collections": said})).unwrap();
            labels_of(&declared)
        };
        let events = moves(&labels(before), &labels(now)).into_iter();
        let told = events.map(|event| {
            let event = json!(event);
            let word = |key: &str| event[key].as_str().unwrap_or("nothing").to_owned();
            let (from, to) = (word("from"), word("to"));
            format!("{}@{} {from} {to}", word("collection"), word("label"))
        });
        told.collect()
    }

    #[test]
    fn a_label_moves_when_it_leads_elsewhere() {
        let before = json!({"docs": {"labels": {"production": 1, "old": 1}}, "faq": {}});
        let now = json!({"docs": {"labels": {"production": 3, "new": "latest"}}, "faq": {}});
        assert_eq!(
            moved(&before, &now),
            [
                "docs@new nothing docs@latest",
                "docs@old docs@1 nothing",
                "docs@production docs@1 docs@3",
            ]
        );
        assert!(moved(&now, &now).is_empty());
        assert_eq!(moved(&now, &json!({})).len(), 2);
    }
}
