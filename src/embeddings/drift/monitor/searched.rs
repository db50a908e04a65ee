//! Texts of windows and references as queries of a snapshot: what they find, and how near it is.

use crate::embeddings::Matrix;
use crate::embeddings::drift::monitor::look::load;
use crate::embeddings::drift::monitor::{Drift, Monitor, Settings};
use crate::embeddings::drift::retrieval::{NEAREST, Retrieval, Searched, retrieval};
use crate::embeddings::search::{Scan, nearest};
use crate::embeddings::snapshots::{Error, blocking};
use crate::embeddings::vault::Manifest;
use std::num::NonZero;
use std::sync::Arc;
use std::thread::available_parallelism;

/// Vectors that the searched snapshot's space makes of texts as queries.
pub(super) struct Queries {
    manifest: Manifest,
    before: Matrix,
    now: Matrix,
}

impl Drift {
    /// Checks that the snapshot that is to be searched can be, and names it for good: a label may move.
    pub(super) async fn check_searched(&self, settings: &mut Settings) -> Result<(), Error> {
        let Some(name) = settings.search_in.clone() else {
            return Ok(());
        };
        let room = Arc::clone(&self.snapshots);
        let manifest = blocking(move || room.manifest(&name)).await?;
        if manifest.space.adapter.is_some() {
            let problem = "has vectors that an adapter made, and no model makes such of queries";
            return Err(Error::invalid(&manifest.name(), problem, None));
        }
        settings.search_in = Some(manifest.name());
        Ok(())
    }

    /// Returns the queries of a window and its reference; those that were embedded before cost nothing.
    pub(super) async fn queries(
        self: &Arc<Self>,
        monitor: &Monitor,
        window: &str,
    ) -> Result<Option<Queries>, Error> {
        let Some(name) = monitor.settings.search_in.clone() else {
            return Ok(None);
        };
        let (room, of, reference) = (
            Arc::clone(&self.snapshots),
            window.to_owned(),
            monitor.reference.clone(),
        );
        let (manifest, before, now) = blocking(move || {
            let before = load(&room, &reference)?.texts;
            if before.iter().any(String::is_empty) {
                let problem = "keeps no texts, so that none can be looked for";
                let hint = "begin again with `--since` in place of `--reference`";
                return Err(Error::invalid(&reference, problem, Some(hint)));
            }
            Ok((room.manifest(&name)?, before, load(&room, &of)?.texts))
        })
        .await?;
        let most = monitor.settings.max_cost;
        let before = self.snapshots.embed_queries(&manifest, before, most);
        let before = Box::pin(before).await?;
        let now = Box::pin(self.snapshots.embed_queries(&manifest, now, most)).await?;
        Ok(Some(Queries {
            manifest,
            before,
            now,
        }))
    }

    /// Says what becomes of searches. Blocks.
    pub(super) fn searched(
        &self,
        monitor: &Monitor,
        queries: &Queries,
        new: &[usize],
    ) -> Result<Option<Retrieval>, Error> {
        let manifest = &queries.manifest;
        let snapshot = self.snapshots.vault().open_snapshot(&manifest.id)?;
        let scan = Scan {
            threads: available_parallelism().map_or(1, NonZero::get),
            ..Scan::new(NEAREST)
        };
        let before = nearest(&snapshot, &queries.before, &scan)?;
        let now = nearest(&snapshot, &queries.now, &scan)?;
        let searched = Searched {
            snapshot: &manifest.name(),
            items: usize::try_from(manifest.items).unwrap_or(usize::MAX),
            threshold: monitor.settings.threshold,
        };
        Ok(retrieval(searched, (&before, &now), new))
    }
}
