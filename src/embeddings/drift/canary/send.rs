//! Alarms of canaries, to be sent.

use crate::embeddings::drift::canary::Canaries;
use crate::embeddings::drift::webhook::{Parcel, Raises, Sender};
use crate::embeddings::snapshots::Error;

impl Raises for Canaries {
    const WHOSE: &str = "canaries";

    fn sender(&self) -> &Sender {
        &self.sender
    }

    fn unsent(&self) -> Result<Vec<Parcel>, Error> {
        let all = self.all()?;
        let unsent = all.alarms.into_iter().filter(|alarm| alarm.is_unsent);
        let parcels = unsent.map(|alarm| {
            let canary = all.canaries.get(&alarm.canary);
            Parcel {
                reference: canary.and_then(|canary| canary.settings.webhook.clone()),
                name: alarm.canary,
                at_ms: alarm.at_ms,
                text: alarm.text,
            }
        });
        Ok(parcels.collect())
    }

    fn mark_sent(&self, parcel: &Parcel) -> Result<(), Error> {
        self.change(|all| {
            let mut alarms = all.alarms.iter_mut();
            let sent = (parcel.at_ms, &parcel.name);
            if let Some(alarm) = alarms.find(|it| (it.at_ms, &it.canary) == sent) {
                alarm.is_unsent = false;
            }
            Ok(())
        })
    }
}
