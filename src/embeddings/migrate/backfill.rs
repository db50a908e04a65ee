//! Computing the rest of the new version in the background: the shortest texts first, in rounds, no faster
//! than is wished, until nothing of the newest snapshot of the old version is missing.

use crate::embeddings::migrate::State;
use crate::embeddings::migrate::book::{Live, Migration};
use crate::embeddings::migrate::texts::Haste;
use crate::embeddings::snapshots::plan::count;
use crate::embeddings::snapshots::{Error, Snapshots, blocking};
use crate::embeddings::vault::NewItem;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Gives the place in the background free, however the task ends.
struct Place {
    room: Arc<Snapshots>,
    live: Arc<Live>,
    collection: String,
    outcome: Result<(), Error>,
}

impl Drop for Place {
    fn drop(&mut self) {
        // Who stops it knows why it stopped.
        let problem = match &self.outcome {
            Ok(()) | Err(Error::Stopped { .. }) => None,
            Err(error) => Some(error.told()),
        };
        let is_called_for = self.live.end(problem);
        if is_called_for && let Some(migration) = self.room.migrations.of(&self.collection) {
            self.room.begin_backfill(&migration);
        }
    }
}

impl Snapshots {
    /// Begins to compute the rest, unless somebody does already.
    pub(super) fn begin_backfill(self: &Arc<Self>, of: &Migration) {
        let Some(migration) = of.in_background() else {
            return;
        };
        let live = self.migrations.live(&migration);
        let cancel = self.shutdown.child_token();
        if !live.begin(&cancel) {
            return;
        }
        let room = Arc::clone(self);
        let mut place = Place {
            room: Arc::clone(self),
            live,
            collection: migration.collection.clone(),
            outcome: Err(Error::Stopping),
        };
        let task = async move {
            place.outcome = Box::pin(room.follow_up(&migration, &cancel)).await;
            if let Err(error) = &place.outcome {
                tracing::warn!(migration = %migration.id, %error, "a back-fill stopped");
            }
        };
        let recorder = &self.proxy.recorder;
        recorder.tasks.spawn_on(task, &recorder.runtime);
    }

    async fn follow_up(
        self: &Arc<Self>,
        migration: &Migration,
        cancel: &CancellationToken,
    ) -> Result<(), Error> {
        self.backfill(migration, cancel).await?;
        if migration.state != State::Cutover {
            return Ok(());
        }
        let (room, of) = (Arc::clone(self), migration.clone());
        blocking(move || room.keep_old(&of)).await
    }

    async fn backfill(
        self: &Arc<Self>,
        migration: &Migration,
        cancel: &CancellationToken,
    ) -> Result<(), Error> {
        let mut done = 0;
        loop {
            let (room, of) = (Arc::clone(self), migration.clone());
            let (rest, round) = blocking(move || room.rest(&of)).await?;
            if rest.is_empty() {
                return Ok(());
            }
            for texts in rest.chunks(round) {
                let began = Instant::now();
                let filled = self.fill(migration, texts.to_vec(), cancel, Haste::Patient);
                done += filled.await?.texts;
                // Another pace may have been said meanwhile.
                let newest = self.migrations.of(&migration.collection);
                let pace = newest.map_or(migration.texts_per_minute, |one| one.texts_per_minute);
                let pause = pause(pace, texts.len());
                tokio::select! {
                    () = tokio::time::sleep_until(began + pause) => {}
                    () = cancel.cancelled() => {}
                }
                if cancel.is_cancelled() {
                    let total = count(rest.len());
                    return Err(Error::Stopped { done, total });
                }
            }
            // Meanwhile somebody may have made a snapshot with more texts.
        }
    }

    /// The items without a vector, those with the fewest tokens first, and how many are asked in a round.
    fn rest(&self, migration: &Migration) -> Result<(Vec<NewItem>, usize), Error> {
        let (_, prepared) = self.outlook(migration)?;
        let mut missing = prepared.missing;
        missing.sort_by_key(|text| (text.tokens, text.item));
        let items = missing.iter();
        let items = items.filter_map(|text| prepared.items.get(text.item).cloned());
        let at_once = usize::try_from(prepared.limits.concurrency).unwrap_or(1);
        let round = prepared.limits.texts.saturating_mul(at_once);
        let paced = migration.texts_per_minute.filter(|most| 0 < *most);
        let paced = paced.map_or(round, |paced| usize::try_from(paced).unwrap_or(round));
        Ok((items.collect(), round.min(paced).max(1)))
    }
}

/// How long a round takes at least. A pace of 0, which older migrations may have, is none.
fn pause(per_minute: Option<u32>, texts: usize) -> Duration {
    let Some(per_minute) = per_minute.filter(|most| 0 < *most) else {
        return Duration::ZERO;
    };
    let texts = u32::try_from(texts).unwrap_or(u32::MAX);
    Duration::from_secs(60).saturating_mul(texts) / per_minute
}

#[cfg(test)]
mod tests {
    use super::pause;
    use std::time::Duration;

    #[test]
    fn a_round_takes_as_long_as_its_texts_may() {
        for (per_minute, texts, seconds) in [(None, 500, 0), (Some(60), 30, 30), (Some(0), 9, 0)] {
            assert_eq!(pause(per_minute, texts), Duration::from_secs(seconds));
        }
    }
}
