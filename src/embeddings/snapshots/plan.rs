//! What making a snapshot will take, before anything is paid: which texts have vectors already, how many
//! tokens the others have, and what they will cost.

use crate::domain::{Caller, CostQuality, PicoDollars, Timestamp, TokenUsage};
use crate::embeddings::item::Item;
use crate::embeddings::snapshots::draft::DraftHead;
use crate::embeddings::snapshots::limits::{Limits, LimitsWish, longest_text};
use crate::embeddings::snapshots::texts::Texts;
use crate::embeddings::snapshots::{Error, Snapshots};
use crate::embeddings::space::{Side, Space, SpaceId, TextHash, VectorKey};
use crate::embeddings::vault::{NewItem, Precision, VaultError};
use crate::metering::{self, PriceRow, Tokens};
use crate::proxy::Plan as CallPlan;
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

/// How many keys are looked up at a time.
const LOOKED_UP: usize = 8_192;

/// What it will take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// How many texts there are.
    pub texts: u64,
    /// How many of them stand for the first time.
    pub unique: u64,
    /// How many of those have their vectors already.
    pub cached: u64,
    /// How many are sent.
    pub to_send: u64,
    /// How many of those have vectors that are kept less exactly than is wanted.
    #[serde(default)]
    pub coarser: u64,
    /// How many tokens those have, as counted here.
    pub tokens: u64,
    /// What they will cost; `None` where no price is known.
    pub pico_usd: Option<PicoDollars>,
    /// The price it was reckoned by.
    pub price: Option<String>,
    /// How many requests it takes, at least.
    pub requests: u64,
    /// How many texts are longer than the model reads, where that is known.
    pub truncated: Option<u64>,
}

/// A text that has no vector yet.
#[derive(Debug, Clone, Copy)]
pub(in crate::embeddings) struct Missing {
    /// Its place among the items.
    pub(in crate::embeddings) item: usize,
    /// Its tokens, prefix included.
    pub(in crate::embeddings) tokens: u64,
}

/// Everything that was found out before.
#[derive(Debug)]
pub(in crate::embeddings) struct Prepared {
    /// The items; whether they have their texts in them does not matter.
    pub(in crate::embeddings) items: Vec<NewItem>,
    /// Reads these.
    pub(in crate::embeddings) texts: Arc<Texts>,
    pub(in crate::embeddings) missing: Vec<Missing>,
    pub(in crate::embeddings) plan: Plan,
    pub(in crate::embeddings) limits: Limits,
    pub(in crate::embeddings) price: Option<Arc<PriceRow>>,
}

/// A plan, the texts it is about, how they are asked for, and the price it was reckoned by.
type Reckoned = (Plan, Vec<Missing>, Limits, Option<Arc<PriceRow>>);

/// How the model of a space is asked.
pub(in crate::embeddings) struct Way {
    /// The model with the provider that it is asked of: what is simulated today is another space than what
    /// its owner answers tomorrow.
    pub(in crate::embeddings) model: String,
    /// Under which name limits know the provider.
    pub(in crate::embeddings) kind: String,
    /// What its tokens cost.
    pub(in crate::embeddings) price: Option<Arc<PriceRow>>,
}

impl Snapshots {
    /// Finds the provider of a model and its price.
    pub(in crate::embeddings) fn way(&self, model: &str, at: Timestamp) -> Result<Way, Error> {
        let upstreams = self.proxy.upstreams.get();
        let planned: Result<CallPlan, _> = upstreams.routes.plan(&Caller::local(), model);
        let first = planned.map_err(Box::new)?.first;
        let lists = upstreams.price_lists.get(&first.provider);
        let kind = lists.map_or(&*first.provider, |lists| lists.kind());
        Ok(Way {
            model: format!("{}/{}", first.provider, first.model),
            kind: kind.to_owned(),
            price: upstreams.price(&first, &first.model, at),
        })
    }

    /// Reads a draft and reckons what it takes. Blocks.
    pub(in crate::embeddings) fn prepare(
        &self,
        head: &DraftHead,
        limits: LimitsWish,
    ) -> Result<Prepared, Error> {
        let (items, texts) = self.items(head)?;
        let (plan, missing, limits, price) = self.reckon(head, (&items, &texts), limits)?;
        Ok(Prepared {
            items,
            texts: Arc::new(texts),
            missing,
            plan,
            limits,
            price,
        })
    }

    /// Reckons what it takes to have the vectors of items in the space of a draft. Blocks.
    pub(super) fn reckon(
        &self,
        head: &DraftHead,
        (items, texts): (&[NewItem], &Texts),
        limits: LimitsWish,
    ) -> Result<Reckoned, Error> {
        let way = self.way(&head.space.model, self.clock.now())?;
        let missing = self.missing(head, items, texts)?;
        let limits = limits.or(self.limits).of(&way.kind);
        let truncated = truncated(&head.space, items, texts)?;
        let unique: HashSet<&VectorKey> = items.iter().map(|item| &item.key).collect();
        let tokens = missing.iter().map(|text| text.tokens).sum();
        let pico_usd = way.price.as_deref().and_then(|row| price_of(row, tokens));
        let plan = Plan {
            texts: count(items.len()),
            unique: count(unique.len()),
            cached: count(unique.len() - missing.len()),
            to_send: count(missing.len()),
            coarser: self.coarser(items, &missing)?,
            tokens,
            pico_usd,
            price: way.price.as_deref().map(PriceRow::label),
            requests: count(batches(&missing, limits).len()),
            truncated,
        };
        Ok((plan, missing, limits, way.price))
    }

    /// How many texts without a vector as exact as is wanted have a coarser one.
    fn coarser(&self, items: &[NewItem], missing: &[Missing]) -> Result<u64, Error> {
        let mut coarser = 0;
        for some in missing.chunks(LOOKED_UP) {
            let keys = some.iter().filter_map(|text| items.get(text.item));
            let keys: Vec<VectorKey> = keys.map(|item| item.key).collect();
            let held = self.vault.held(&keys, Precision::COARSEST)?;
            coarser += count(held.into_iter().filter(|is_held| *is_held).count());
        }
        Ok(coarser)
    }

    /// The items of the draft, after those of the snapshot it goes on from that it does not replace.
    fn items(&self, head: &DraftHead) -> Result<(Vec<NewItem>, Texts), Error> {
        let space_id = head.space.id();
        let (mut own, mut places) = (Vec::new(), Vec::new());
        self.drafts.each(head, |place, item| {
            own.push(keyed(&head.space, &space_id, item));
            places.push(place);
        })?;
        let mut texts = self.drafts.texts(head, places)?;
        let mut ids: HashSet<&str> = HashSet::with_capacity(own.len());
        if let Some(twice) = own.iter().find(|item| !ids.insert(&item.item.id)) {
            let id = twice.item.id.clone();
            return Err(VaultError::DuplicateItem { id }.into());
        }
        let mut items = Vec::new();
        if let Some(onto) = &head.onto {
            let mut rows = Vec::new();
            let manifest = self.manifest(onto)?;
            let snapshot = self.vault.open_snapshot(&manifest.id)?;
            // What came without a text has a key that no hash of a text leads to.
            for (row, key) in snapshot.keys()?.into_iter().enumerate() {
                let Some((id, text_hash)) = snapshot.id(row).zip(snapshot.text_hash(row)) else {
                    continue;
                };
                if ids.contains(id) {
                    continue;
                }
                let item = Item {
                    id: id.to_owned(),
                    text: None,
                    span: snapshot.span(row),
                    metadata: snapshot.metadata(row)?,
                };
                items.push(NewItem {
                    item,
                    text_hash,
                    key,
                });
                rows.push(row);
            }
            texts = texts.after(snapshot, rows);
        }
        items.extend(own);
        Ok((items, texts))
    }

    /// Returns the keys of a draft's own items.
    pub(in crate::embeddings) fn draft_keys(
        &self,
        head: &DraftHead,
    ) -> Result<Vec<VectorKey>, Error> {
        let id = head.space.id();
        let mut keys = Vec::new();
        self.drafts.each(head, |_, item| {
            keys.push(keyed(&head.space, &id, item).key);
        })?;
        Ok(keys)
    }

    /// The first item of each text that has no vector.
    pub(in crate::embeddings) fn missing(
        &self,
        head: &DraftHead,
        items: &[NewItem],
        texts: &Texts,
    ) -> Result<Vec<Missing>, Error> {
        let mut seen = HashSet::with_capacity(items.len());
        let first: Vec<usize> = items
            .iter()
            .enumerate()
            .filter(|(_, item)| seen.insert(item.key))
            .map(|(place, _)| place)
            .collect();
        let mut missing = Vec::new();
        for places in first.chunks(LOOKED_UP) {
            let found: Vec<(usize, &NewItem)> = places
                .iter()
                .filter_map(|place| Some((*place, items.get(*place)?)))
                .collect();
            let keys: Vec<VectorKey> = found.iter().map(|(_, item)| item.key).collect();
            let held = self.vault.held(&keys, head.precision)?;
            let absent = found.into_iter().zip(held).filter(|(_, is_held)| !is_held);
            for ((place, item), _) in absent {
                let Some(text) = texts.text(place)? else {
                    let first = item.item.id.clone();
                    return Err(VaultError::MissingVectors { missing: 1, first }.into());
                };
                missing.push(Missing {
                    item: place,
                    tokens: tokens_of(&head.space, &text),
                });
            }
        }
        Ok(missing)
    }
}

/// Returns what tokens cost, in whole pico-dollars.
pub(in crate::embeddings) fn price_of(row: &PriceRow, tokens: u64) -> Option<PicoDollars> {
    let usage = TokenUsage {
        input: tokens,
        ..TokenUsage::default()
    };
    metering::cost(&usage, row, CostQuality::Estimated).pico_usd
}

/// Returns an item under its key, without its text.
pub(in crate::embeddings) fn keyed(space: &Space, id: &SpaceId, mut item: Item) -> NewItem {
    let text = item.text.take().unwrap_or_default();
    let text_hash = TextHash::of(&space.sent_text(Side::Document, &text));
    NewItem {
        key: VectorKey::new(space, id, Side::Document, text_hash),
        text_hash,
        item,
    }
}

/// Returns how many tokens are sent for a text of a document, as counted here.
fn tokens_of(space: &Space, text: &str) -> u64 {
    let sent = space.sent_text(Side::Document, text);
    Tokens.count_text(&space.model, &sent)
}

/// How many texts the model cuts.
///
/// # Errors
///
/// `TooLong` when its provider refuses such texts: better said before anything is paid.
pub(in crate::embeddings) fn truncated(
    space: &Space,
    items: &[NewItem],
    texts: &Texts,
) -> Result<Option<u64>, Error> {
    let known = longest_text(&space.model);
    let Some(limit) = space.max_tokens.or(known.map(|known| known.tokens)) else {
        return Ok(None);
    };
    let least = usize::try_from(limit).unwrap_or(usize::MAX);
    let (mut first, mut count) = (None, 0);
    for (row, item) in items.iter().enumerate() {
        // No token is shorter than a byte.
        let text = texts.text(row)?.filter(|text| least < text.len());
        if text.is_some_and(|text| u64::from(limit) < tokens_of(space, &text)) {
            first = first.or(Some(item));
            count += 1;
        }
    }
    let Some(first) = first else {
        return Ok(Some(0));
    };
    if space.max_tokens.is_none() && known.is_some_and(|known| known.is_refused) {
        return Err(Error::TooLong {
            count,
            first: first.item.id.clone(),
            limit,
            model: space.model.clone(),
        });
    }
    Ok(Some(count))
}

/// Returns the places of the texts that are asked together, in their order.
pub(in crate::embeddings) fn batches(missing: &[Missing], limits: Limits) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut start = 0;
    while start < missing.len() {
        let sums = missing.iter().skip(start).scan(0_u64, |sum, text| {
            *sum = sum.saturating_add(text.tokens);
            Some(*sum)
        });
        let fitting = sums.take_while(|sum| *sum <= limits.tokens).count();
        let end = start + fitting.clamp(1, limits.texts);
        found.push(start..end);
        start = end;
    }
    found
}

pub(in crate::embeddings) fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::{Missing, batches};
    use crate::embeddings::snapshots::limits::Limits;
    use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

    proptest! {
        #[test]
        fn batches_hold_everything_in_order_and_within_bounds(
            tokens in proptest::collection::vec(any::<u16>(), 0..60), texts in 1_usize..9, most in 1_u64..200_000,
        ) {
            let missing: Vec<Missing> = tokens
                .iter()
                .enumerate()
                .map(|(item, tokens)| Missing { item, tokens: u64::from(*tokens) })
                .collect();
            let limits = Limits { texts, tokens: most, concurrency: 1 };
            let found = batches(&missing, limits);
            let order: Vec<usize> = found.iter().cloned().flatten().collect();
            prop_assert_eq!(order, (0..missing.len()).collect::<Vec<_>>());
            for place in found {
                let batch = &missing[place];
                let sum: u64 = batch.iter().map(|text| text.tokens).sum();
                prop_assert!(batch.len() <= texts && (sum <= most || batch.len() == 1));
            }
        }
    }
}
