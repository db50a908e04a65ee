//! Alarms of canaries on their way.

use crate::embeddings::drift::canary::Canaries;
use crate::embeddings::drift::webhook::Parcel;
use crate::embeddings::snapshots::blocking;
use std::sync::Arc;

impl Canaries {
    /// Sends the alarms that were not sent yet.
    pub(super) async fn send_unsent(self: &Arc<Self>) {
        let room = Arc::clone(self);
        let found = blocking(move || {
            let mut all = room.all()?;
            all.alarms.retain(|alarm| alarm.is_unsent);
            Ok(all)
        });
        let all = match found.await {
            Ok(all) => all,
            Err(error) => {
                tracing::error!(%error, "alarms of canaries cannot be read");
                return;
            }
        };
        for alarm in all.alarms {
            let canary = all.canaries.get(&alarm.canary);
            let parcel = Parcel {
                reference: canary.and_then(|canary| canary.settings.webhook.clone()),
                name: alarm.canary,
                at_ms: alarm.at_ms,
                text: alarm.text,
            };
            let room = Arc::clone(self);
            self.sender
                .send(parcel, move |parcel| async move { room.sent(parcel).await });
        }
    }

    /// Notes that an alarm need not be sent any more.
    async fn sent(self: &Arc<Self>, parcel: Parcel) {
        let room = Arc::clone(self);
        let noted = blocking(move || {
            room.change(|all| {
                for alarm in &mut all.alarms {
                    if (alarm.at_ms, &alarm.canary) == (parcel.at_ms, &parcel.name) {
                        alarm.is_unsent = false;
                    }
                }
                Ok(())
            })
        });
        if let Err(error) = noted.await {
            tracing::error!(%error, "that an alarm was sent cannot be kept");
        }
    }
}
