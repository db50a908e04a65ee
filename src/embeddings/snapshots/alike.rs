//! Which items of a snapshot are alike.

use crate::embeddings::alike::{AlikePairs, alike_pairs};
use crate::embeddings::rows::Rows as _;
use crate::embeddings::snapshots::{Error, Snapshots, blocking};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The most items whose pairs are looked at: the work grows with their square.
const MOST_ITEMS: usize = 5_000;

/// Where to look, and from where on pairs are told.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AlikeWish {
    /// The snapshot: `docs@2`.
    pub snapshot: String,
    /// A cosine, −1 to 1, in place of what the items themselves say.
    pub threshold: Option<f64>,
}

/// Items that are alike.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AlikeItems {
    /// The snapshot.
    pub snapshot: String,
    /// From which cosine on pairs are told, and why.
    #[serde(flatten)]
    pub found: AlikePairs,
    /// The ids of each of its pairs.
    pub ids: Vec<(String, String)>,
    /// The ids of the pair that is most alike.
    pub nearest_ids: Option<(String, String)>,
}

impl Snapshots {
    /// Finds pairs of items that are alike.
    ///
    /// # Errors
    ///
    /// `Invalid` with a threshold that is no cosine or with too many items; those of the vault.
    pub async fn alike(self: &Arc<Self>, wish: AlikeWish) -> Result<AlikeItems, Error> {
        if let Some(threshold) = wish.threshold
            && !(-1.0..=1.0).contains(&threshold)
        {
            let problem = format!("is {threshold}, not from -1 to 1");
            return Err(Error::invalid("threshold", problem, None));
        }
        let room = Arc::clone(self);
        blocking(move || {
            let manifest = room.manifest(&wish.snapshot)?;
            let snapshot = room.vault.open_snapshot(&manifest.id)?;
            if MOST_ITEMS < snapshot.len() {
                let problem = format!("has {} items, more than {MOST_ITEMS}", snapshot.len());
                let hint =
                    Some("all pairs are compared; `embeddings search` finds what is near one");
                return Err(Error::invalid("snapshot", problem, hint));
            }
            let found = alike_pairs(&snapshot.load()?, wish.threshold);
            let id = |row: usize| snapshot.id(row).unwrap_or_default().to_owned();
            let ids = found
                .pairs
                .iter()
                .map(|(one, other, _)| (id(*one), id(*other)));
            Ok(AlikeItems {
                nearest_ids: found.nearest.map(|(one, other, _)| (id(one), id(other))),
                snapshot: manifest.name(),
                ids: ids.collect(),
                found,
            })
        })
        .await
    }
}
