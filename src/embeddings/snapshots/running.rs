//! The drafts that are being made into snapshots: who makes one, who follows, and who stops it.

use crate::embeddings::snapshots::draft::WholeDraft;
use crate::embeddings::snapshots::job::Job;
use crate::embeddings::snapshots::purse::Purse;
use crate::embeddings::snapshots::{Error, Made, Progress, RunOptions, Snapshots, Told, blocking};
use std::sync::{Arc, OnceLock};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// A draft that is being made into a snapshot.
#[derive(Debug, Clone)]
pub struct Watched {
    /// The draft.
    pub draft: String,
    /// How far it is; closed when it has ended.
    pub progress: watch::Receiver<Progress>,
    /// Stops it: what is under way is finished and kept.
    pub cancel: CancellationToken,
    /// What came of it, once it has ended.
    pub end: Arc<OnceLock<Result<Made, Told>>>,
    /// Whether somebody else began it.
    pub is_joined: bool,
}

impl Snapshots {
    /// Makes a snapshot of a draft, or joins who makes one of the same corpus under the same settings.
    ///
    /// # Errors
    ///
    /// `DraftNotFound`, `Empty`, `Io`, `Stopping`.
    pub async fn run(self: &Arc<Self>, id: &str, options: RunOptions) -> Result<Watched, Error> {
        if self.shutdown.is_cancelled() {
            return Err(Error::Stopping);
        }
        if let Some(active) = self.active().get(id).filter(|_| !options.dry_run) {
            return Ok(active.joined());
        }
        let (sender, progress) = watch::channel(Progress::default());
        let watched = Watched {
            draft: id.to_owned(),
            progress,
            cancel: self.shutdown.child_token(),
            end: Arc::default(),
            is_joined: false,
        };
        let (room, own, is_dry_run) = (Arc::clone(self), watched.clone(), options.dry_run);
        let begun = blocking(move || room.enter(own, is_dry_run)).await?;
        let (watched, whole, place) = match begun {
            (other, None) => return Ok(other),
            (watched, Some((whole, place))) => (watched, whole, place),
        };
        let job = Job {
            room: Arc::clone(self),
            head: whole.head,
            is_fresh: whole.is_fresh,
            purse: Arc::new(Purse::new(options.max_cost)),
            options,
            progress: sender,
            cancel: watched.cancel.clone(),
        };
        let end = Arc::clone(&watched.end);
        let recorder = &self.proxy.recorder;
        let task = async move {
            let _place = place;
            let made = Box::pin(job.run()).await;
            if let Err(error) = &made {
                tracing::warn!(draft = %job.head.id, %error, "a snapshot was not made");
            }
            // Nobody else sets it.
            let _ = end.set(made.map_err(|error| error.told()));
        };
        recorder.tasks.spawn_on(task, &recorder.runtime);
        Ok(watched)
    }

    /// Takes a draft as whole and puts it on the list of those that are worked on. Returns who follows what,
    /// and the draft unless somebody works on it or on one like it. A plan changes nothing, so it is on no list
    /// and joins nobody. Blocks.
    fn enter(self: &Arc<Self>, own: Watched, is_dry_run: bool) -> Result<Entered, Error> {
        let whole = self.drafts.complete(&own.draft, !is_dry_run)?;
        if is_dry_run {
            return Ok((own, Some((whole, None))));
        }
        let sent = own.draft.clone();
        // Held while the drafts are looked through: of two like ones that come at once, one finds the other.
        let mut active = self.active();
        let twin = self.drafts.twin(&whole.head)?;
        let whole = twin.map_or(whole, |head| WholeDraft {
            head,
            is_fresh: false,
        });
        let draft = whole.head.id.clone();
        let entered = if let Some(other) = active.get(&draft) {
            (other.joined(), None)
        } else {
            let (room, place) = (Arc::clone(self), draft.clone());
            let place = ActivePlace { room, draft: place };
            (Watched { draft, ..own }, Some((whole, Some(place))))
        };
        // Who sent it may ask for it under the name he knows.
        let draft = entered.0.draft.clone();
        for id in [&sent, &draft] {
            active.entry(id.clone()).or_insert(entered.0.clone());
        }
        // Still held: who comes next must not take it for a draft to go on with.
        let removed = if draft == sent {
            Ok(())
        } else {
            self.drafts.remove(&sent)
        };
        drop(active);
        removed?;
        Ok(entered)
    }

    /// Stops what is made of a draft; where nothing is, removes the draft. Blocks.
    ///
    /// # Errors
    ///
    /// `DraftNotFound`, `Io`.
    pub fn discard(&self, id: &str) -> Result<bool, Error> {
        if let Some(active) = self.active().get(id) {
            active.cancel.cancel();
            return Ok(true);
        }
        self.drafts.head(id)?;
        self.drafts.remove(id)?;
        Ok(false)
    }
}

impl Watched {
    /// The same, for who comes to it later.
    fn joined(&self) -> Self {
        Self {
            is_joined: true,
            ..self.clone()
        }
    }
}

/// Who follows what; and the draft with its place on the list, unless another works on it.
type Entered = (Watched, Option<(WholeDraft, Option<ActivePlace>)>);

/// Takes a draft off the list when its task ends, however it does.
struct ActivePlace {
    room: Arc<Snapshots>,
    draft: String,
}

impl Drop for ActivePlace {
    fn drop(&mut self) {
        let of_another = |_: &String, active: &mut Watched| active.draft != self.draft;
        self.room.active().retain(of_another);
    }
}
