//! Where alarms go, and that they get there: to a URL that is a secret, so it is referred to and never written
//! down.

use crate::domain::Clock;
use crate::embeddings::drift::busy::Busy;
use crate::embeddings::snapshots::{Error, blocking};
use crate::providers;
use crate::proxy::Recorder;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;

/// So long an alarm that could not be sent is tried again, in milliseconds.
const LONGEST_UNSENT_MS: i64 = 24 * 3_600_000;

/// Checks that a webhook is a reference, not a URL, which would be kept in clear.
pub(in crate::embeddings) fn check(reference: &str) -> Result<(), Error> {
    let is_reference = ["env:", "file:"].iter().any(|kind| {
        reference
            .strip_prefix(kind)
            .is_some_and(|rest| !rest.is_empty())
    });
    if is_reference {
        return Ok(());
    }
    let problem = "is no reference to a URL";
    let hint = "write `env:NAME` or `file:PATH`: the URL is a secret";
    Err(Error::invalid("webhook", problem, Some(hint)))
}

/// An alarm on its way.
#[derive(Debug)]
pub(super) struct Parcel {
    /// Whose alarm it is.
    pub(super) name: String,
    /// When it was raised, in Unix milliseconds.
    pub(super) at_ms: i64,
    /// The message.
    pub(super) text: String,
    /// Where it goes; nowhere when who raised it has ended.
    pub(super) reference: Option<String>,
}

/// A room whose alarms are kept until they have arrived.
pub(super) trait Raises: Send + Sync + 'static {
    /// Whose alarms they are, for the log.
    const WHOSE: &str;

    /// Returns the way out.
    fn sender(&self) -> &Sender;

    /// Returns the alarms that were not sent yet. Blocks.
    ///
    /// # Errors
    ///
    /// Those of reading what is kept.
    fn unsent(&self) -> Result<Vec<Parcel>, Error>;

    /// Notes that an alarm need not be sent any more. Blocks.
    ///
    /// # Errors
    ///
    /// Those of writing what is kept.
    fn mark_sent(&self, parcel: &Parcel) -> Result<(), Error>;
}

/// Sends the alarms of a room that were not sent yet.
pub(super) async fn send_unsent<R: Raises>(room: &Arc<R>) {
    let reader = Arc::clone(room);
    let parcels = match blocking(move || reader.unsent()).await {
        Ok(parcels) => parcels,
        Err(error) => {
            tracing::error!(%error, "alarms of {} cannot be read", R::WHOSE);
            return;
        }
    };
    for parcel in parcels {
        let noting = Arc::clone(room);
        room.sender().send(parcel, move |parcel| async move {
            if let Err(error) = blocking(move || noting.mark_sent(&parcel)).await {
                tracing::error!(%error, "that an alarm was sent cannot be kept");
            }
        });
    }
}

/// Sends alarms on the app's tracker: each until it arrives or a day is over, also by the process after this
/// one.
#[derive(Debug)]
pub(super) struct Sender {
    clock: Clock,
    tasks: TaskTracker,
    runtime: Handle,
    environment: BTreeMap<String, String>,
    sending: Busy,
}

impl Sender {
    /// Opens the way out; `environment` is what references may name.
    pub(super) fn new(recorder: &Recorder, environment: BTreeMap<String, String>) -> Self {
        Self {
            clock: recorder.clock,
            tasks: recorder.tasks.clone(),
            runtime: recorder.runtime.clone(),
            environment,
            sending: Busy::default(),
        }
    }

    /// Sends an alarm, several times where that fails, unless it is under way; `done` is for noting that it need
    /// not be sent any more.
    pub(super) fn send<F>(&self, parcel: Parcel, done: impl FnOnce(Parcel) -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send,
    {
        let Some(place) = self
            .sending
            .claim(&format!("{}/{}", parcel.name, parcel.at_ms))
        else {
            return;
        };
        let now = self.clock.now().unix_millis();
        let is_late = LONGEST_UNSENT_MS < now.saturating_sub(parcel.at_ms);
        let environment = self.environment.clone();
        let task = async move {
            let _place = place;
            if let Some(webhook) = parcel.reference.as_deref().filter(|_| !is_late) {
                let sent = providers::send_text(webhook, &parcel.text, &environment).await;
                if let Err(problem) = sent {
                    tracing::error!(webhook, problem, "an alarm of drift cannot be sent");
                    return;
                }
            }
            done(parcel).await;
        };
        self.tasks.spawn_on(task, &self.runtime);
    }
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn a_url_is_referred_to_and_never_repeated() {
        let canary = ["https://hooks.example.com/", "T0/canary"].concat();
        assert!(check("env:HOOK").is_ok() && check("file:hook").is_ok());
        assert!(!check(&canary).unwrap_err().to_string().contains("canary"));
        assert!(check("env:").is_err());
    }
}
