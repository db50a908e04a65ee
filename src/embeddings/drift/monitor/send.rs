//! Alarms of monitors on their way.

use crate::embeddings::drift::monitor::Drift;
use crate::embeddings::drift::webhook::Parcel;
use crate::embeddings::snapshots::blocking;
use std::sync::Arc;

impl Drift {
    /// Sends the alarms that were not sent yet.
    pub(super) async fn send_unsent(self: &Arc<Self>) {
        let room = Arc::clone(self);
        let found = blocking(move || {
            let mut book = room.all()?;
            book.alarms.retain(|alarm| alarm.is_unsent);
            Ok(book)
        });
        let book = match found.await {
            Ok(book) => book,
            Err(error) => {
                tracing::error!(%error, "alarms of drift cannot be read");
                return;
            }
        };
        for alarm in book.alarms {
            let monitor = book.monitors.get(&alarm.monitor);
            let parcel = Parcel {
                reference: monitor.and_then(|monitor| monitor.settings.webhook.clone()),
                name: alarm.monitor,
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
            room.change(|book| {
                for alarm in &mut book.alarms {
                    if (alarm.at_ms, &alarm.monitor) == (parcel.at_ms, &parcel.name) {
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
