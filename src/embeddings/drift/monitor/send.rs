//! Alarms of monitors, to be sent.

use crate::embeddings::drift::monitor::Drift;
use crate::embeddings::drift::webhook::{Parcel, Raises, Sender};
use crate::embeddings::snapshots::Error;

impl Raises for Drift {
    const WHOSE: &str = "drift";

    fn sender(&self) -> &Sender {
        &self.sender
    }

    fn unsent(&self) -> Result<Vec<Parcel>, Error> {
        let book = self.all()?;
        let unsent = book.alarms.into_iter().filter(|alarm| alarm.is_unsent);
        let parcels = unsent.map(|alarm| {
            let monitor = book.monitors.get(&alarm.monitor);
            Parcel {
                reference: monitor.and_then(|monitor| monitor.settings.webhook.clone()),
                name: alarm.monitor,
                at_ms: alarm.at_ms,
                text: alarm.text,
            }
        });
        let mut parcels: Vec<Parcel> = parcels.collect();
        parcels.extend(self.unsent_of_collections()?);
        Ok(parcels)
    }

    fn mark_sent(&self, parcel: &Parcel) -> Result<(), Error> {
        if self.mark_collection_sent(parcel)? {
            return Ok(());
        }
        self.change(|book| {
            let mut alarms = book.alarms.iter_mut();
            let sent = (parcel.at_ms, &parcel.name);
            if let Some(alarm) = alarms.find(|it| (it.at_ms, &it.monitor) == sent) {
                alarm.is_unsent = false;
            }
            Ok(())
        })
    }
}
