//! `@pr-N`: a prompt as a pull request would make it, before anybody merges it.

use crate::domain::{Caller, PromptKey};
use crate::git::{self, CommitId, FetchLimits, Mirror, RemoteFault};
use crate::prompts::error::Error;
use crate::prompts::history::in_past;
use crate::prompts::registry::{Prompts, ResolvedPrompt, known};
use crate::prompts::snapshot::Snapshot;
use crate::prompts::source::Source;
use crate::prompts::sync::Origin;
use crate::prompts::sync::run::detached;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// How long the head of a pull request is believed.
const FRESH: Duration = Duration::from_secs(15);
/// How long a call waits for a pull request.
const DEADLINE: Duration = Duration::from_secs(10);
/// Bytes that a pull request may add.
const MAX_BYTES: u64 = 32 << 20;
/// Pull requests that are remembered.
const MAX_KNOWN: usize = 256;

/// What was looked up lately, the latest last.
#[derive(Debug, Default)]
pub(super) struct Previews {
    known: Vec<Known>,
}

#[derive(Debug)]
struct Known {
    number: u32,
    /// `None`: there is no such pull request.
    head: Option<CommitId>,
    at: Instant,
    rings: u64,
}

impl Previews {
    fn fresh(&self, number: u32, rings: u64) -> Option<Option<CommitId>> {
        let known = self.known.iter().find(|known| known.number == number)?;
        let is_fresh = known.at.elapsed() < FRESH && known.rings == rings;
        is_fresh.then_some(known.head)
    }

    fn remember(&mut self, known: Known) {
        self.known.retain(|other| other.number != known.number);
        if MAX_KNOWN <= self.known.len() {
            self.known.remove(0);
        }
        self.known.push(known);
    }
}

impl Prompts {
    /// Finds `key` as it is at the head of a pull request.
    pub(in crate::prompts) async fn at_pull_request(
        &self,
        snapshot: &Arc<Snapshot>,
        key: &PromptKey,
        number: u32,
        caller: &Caller,
    ) -> Result<ResolvedPrompt, Error> {
        let Some(head) = self.head_of(number).await? else {
            return Err(match known(snapshot, key, caller) {
                Err(error) => error,
                Ok(_) => Error::PreviewNotFound {
                    name: key.to_string(),
                    number,
                },
            });
        };
        let past = self.past(head).await?;
        let selector = format!("pr-{number}");
        in_past(snapshot, &past, key, &selector, caller)
    }

    async fn head_of(&self, number: u32) -> Result<Option<CommitId>, Error> {
        let inner = Arc::clone(&self.inner);
        let (Origin::Fetched { remote, limits }, Source::Git(source)) =
            (&self.inner.config.origin, &self.inner.config.source)
        else {
            let found =
                tokio::task::spawn_blocking(move || match inner.config.source.repository() {
                    Ok((repository, _)) => Ok(repository.pull_request(number)),
                    // Without a repository there are no pull requests.
                    Err(Error::Git(git::Error::NotARepository { .. })) => Ok(None),
                    Err(error) => Err(error),
                });
            return found.await.map_err(|_| Error::Stopping)?;
        };
        let late = || {
            Error::Git(git::Error::Remote {
                url: remote.url.to_string(),
                fault: RemoteFault::TooSlow,
                reason: format!("pull request {number} was not fetched within {DEADLINE:?}"),
            })
        };
        let previews = timeout(DEADLINE, self.inner.sync.previews.lock()).await;
        let mut previews = previews.map_err(|_| late())?;
        let rings = self.inner.sync.rings.load(Ordering::Relaxed);
        if let Some(head) = previews.fresh(number, rings) {
            return Ok(head);
        }
        let limits = FetchLimits {
            deadline: limits.deadline.min(DEADLINE),
            // Anybody may open one, and its objects stay.
            max_bytes: limits.max_bytes.min(MAX_BYTES),
            ..*limits
        };
        let (remote, path) = (remote.clone(), source.repository.clone());
        let fetched = detached("prompt-preview", move || {
            let mirror = Mirror::open(&path)?;
            mirror.fetch_pull_request(&remote, number, limits)
        });
        let fetched = timeout(DEADLINE, fetched).await.map_err(|_| late())??;
        let head = fetched.map_err(Error::Git)?;
        previews.remember(Known {
            number,
            head,
            at: Instant::now(),
            rings,
        });
        Ok(head)
    }
}
