//! Queries of the new version: searches and the sample ask for them each time, and they are paid out of the
//! migration's purse like its texts.

use crate::domain::PicoDollars;
use crate::embeddings::ask::{Asker, Embedded};
use crate::embeddings::migrate::book::Migration;
use crate::embeddings::snapshots::plan::{count, price_of};
use crate::embeddings::snapshots::{Error, Snapshots, blocking};
use crate::embeddings::space::Side;
use crate::metering::Tokens;
use std::sync::Arc;

/// Queries in the new version.
pub(super) struct Queries {
    /// One vector for each text.
    pub(super) vectors: Vec<Vec<f32>>,
    /// What they cost; where that is not known, what they were reckoned to.
    pub(super) pico_usd: PicoDollars,
}

impl Snapshots {
    /// Embeds queries in the new version; what they may cost is written before.
    ///
    /// # Errors
    ///
    /// `Budget`; those of asking.
    ///
    /// # Cancel safety
    ///
    /// What is being asked for is finished and counted when the future is dropped.
    pub(super) async fn queries_in_new(
        self: &Arc<Self>,
        migration: &Migration,
        texts: Vec<String>,
    ) -> Result<Queries, Error> {
        let (room, of) = (Arc::clone(self), migration.clone());
        let recorder = &self.proxy.recorder;
        let task = recorder.tasks.spawn_on(
            async move { Box::pin(room.ask_queries(&of, texts)).await },
            &recorder.runtime,
        );
        task.await.unwrap_or(Err(Error::Stopping))
    }

    async fn ask_queries(
        self: &Arc<Self>,
        of: &Migration,
        texts: Vec<String>,
    ) -> Result<Queries, Error> {
        let reckoned = self.reckon_queries(of, &texts)?;
        let live = self.migrations.live(of);
        let reserved = live.purse.reserve(reckoned.0).await;
        let reservation = reserved.map_err(|_| Error::Budget {
            limit: of.max_cost.unwrap_or_default(),
            spent: live.purse.spent().0,
            done: 0,
            total: count(texts.len()),
        })?;
        let (room, id) = (Arc::clone(self), of.id.clone());
        blocking(move || {
            room.count(&id, |meter| {
                meter.in_flight = PicoDollars(meter.in_flight.0.saturating_add(reckoned.0));
            })
        })
        .await?;
        let name = format!("{}@{}", of.collection, of.id);
        let asker = Asker::new(Arc::clone(&self.proxy), of.to_space.clone(), name);
        let sent: Vec<&str> = texts.iter().map(String::as_str).collect();
        let asked = asker.ask(Side::Query, &sent).await;
        let paid = asked.as_ref().map_or(PicoDollars::default(), |embedded| {
            embedded.cost.pico_usd.unwrap_or(reckoned)
        });
        if let Ok(Embedded { cost, .. }) = &asked {
            reservation.settle(cost);
        }
        let spent = live.purse.spent().0;
        let answered = if asked.is_ok() { count(texts.len()) } else { 0 };
        let (room, id) = (Arc::clone(self), of.id.clone());
        blocking(move || {
            room.count(&id, |meter| {
                meter.queries += answered;
                meter.query_pico_usd = PicoDollars(meter.query_pico_usd.0.saturating_add(paid.0));
                meter.in_flight = PicoDollars(meter.in_flight.0.saturating_sub(reckoned.0));
                meter.pico_usd = spent.max(meter.pico_usd);
            })
        })
        .await?;
        let embedded = asked.map_err(|failure| Box::new(failure.error))?;
        Ok(Queries {
            vectors: embedded.vectors,
            pico_usd: paid,
        })
    }

    /// What queries will cost, as tokens are counted here; nothing where no price is known.
    fn reckon_queries(&self, of: &Migration, texts: &[String]) -> Result<PicoDollars, Error> {
        let space = &of.to_space;
        let price = self.way(&space.model, self.clock.now())?.price;
        let tokens = texts.iter().map(|text| {
            let sent = space.sent_text(Side::Query, text);
            Tokens.count_text(&space.model, &sent)
        });
        let tokens = tokens.sum();
        let price = price.as_deref().and_then(|row| price_of(row, tokens));
        Ok(price.unwrap_or_default())
    }
}
