//! What the config says of the world outside: where providers are, who serves which model, what it
//! costs, and what must never be written. It is swapped whole when the config is read again; a call
//! holds one set from start to end.

use crate::domain::Timestamp;
use crate::metering::{PriceRow, Prices, Retirement};
use crate::providers::{Preset, Providers};
use crate::proxy::routing::{PlannedAttempt, Routes};
use crate::safety::Secrets;
use arc_swap::ArcSwap;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The lists of the price table in which a provider's models stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PriceLists {
    /// Its own name, where that is not the name of its kind.
    own: Option<[String; 1]>,
    /// Those of its kind, the one of its region first.
    shared: Vec<String>,
    kind: &'static str,
}

impl PriceLists {
    /// Returns the lists of the provider `name`, which is of a kind and may live in a region of a cloud.
    #[must_use]
    pub fn of(name: &str, preset: Preset, region: Option<&str>) -> Self {
        let kind = preset.as_str();
        let regional = match (preset, region) {
            (Preset::Bedrock, Some(region)) => Some(format!("{kind}@{region}")),
            // Every place of Google's but this one costs the same.
            (Preset::Vertex, Some(region)) if region != "global" => {
                Some(format!("{kind}@regional"))
            }
            _ => None,
        };
        Self {
            own: (name != kind).then(|| [name.to_owned()]),
            shared: regional.into_iter().chain([kind.to_owned()]).collect(),
            kind,
        }
    }

    /// Returns the name of the provider's kind.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        self.kind
    }

    /// Returns the price of the first of `models` that has one; what stands under the provider's own name counts
    /// before all others.
    #[must_use]
    pub fn row(&self, prices: &Prices, models: &[&str], at: Timestamp) -> Option<Arc<PriceRow>> {
        let own = self.own.as_ref().and_then(|own| {
            let mut models = models.iter();
            models.find_map(|model| prices.lookup_in(own, model, at))
        });
        own.or_else(|| {
            let mut models = models.iter();
            models.find_map(|model| prices.lookup_in(&self.shared, model, at))
        })
    }

    fn retirement(&self, prices: &Prices, model: &str, at: Timestamp) -> Option<Retirement> {
        let own = self.own.as_ref();
        let own = own.and_then(|own| prices.retirement(own, model, at));
        own.or_else(|| prices.retirement(&self.shared, model, at))
    }
}

/// One set.
#[derive(Debug)]
pub struct Upstreams {
    /// Which provider serves which model.
    pub routes: Routes,
    /// The providers.
    pub providers: Providers,
    /// What tokens cost.
    pub prices: Prices,
    /// Under which names the price table knows each provider.
    pub price_lists: BTreeMap<String, PriceLists>,
    /// What must never be written.
    pub secrets: Secrets,
}

impl Upstreams {
    /// Returns the provider that is asked for what names no model: the one called `openai`, else the first
    /// that speaks as `OpenAI` does.
    pub(crate) fn speaks_openai(&self) -> Option<String> {
        let speaks = |name: &&str| {
            let endpoint = self.providers.get(name);
            endpoint.is_some_and(|it| matches!(it.preset(), Preset::OpenAi | Preset::AzureOpenAi))
        };
        let named = self.providers.names().find(|name| *name == "openai");
        let named = named.or_else(|| self.providers.names().find(speaks));
        named.map(str::to_owned)
    }

    /// Returns the price of what was used: of the model that the provider names, else of the one
    /// asked for; under the provider's own name, else under that of its kind.
    pub(crate) fn price(
        &self,
        attempt: &PlannedAttempt,
        model: &str,
        at: Timestamp,
    ) -> Option<Arc<PriceRow>> {
        let lists = self.price_lists.get(&attempt.provider)?;
        lists.row(&self.prices, &[model, &attempt.model], at)
    }

    /// Returns the price of a provider's model.
    #[must_use]
    pub fn row(&self, provider: &str, model: &str, at: Timestamp) -> Option<Arc<PriceRow>> {
        let lists = self.price_lists.get(provider);
        lists.map_or_else(
            || self.prices.lookup(provider, model, at),
            |lists| lists.row(&self.prices, &[model], at),
        )
    }

    /// Returns the day a provider's model is turned off, as seen at a time; `None` when none is known.
    #[must_use]
    pub fn retires(&self, provider: &str, model: &str, at: Timestamp) -> Option<Retirement> {
        let lists = self.price_lists.get(provider);
        lists.map_or_else(
            || self.prices.retirement(&[provider], model, at),
            |lists| lists.retirement(&self.prices, model, at),
        )
    }

    /// Returns the same day of the model that is asked, when it is near enough to be told. Allocates nothing.
    pub(crate) fn retirement(&self, attempt: &PlannedAttempt, at: Timestamp) -> Option<Retirement> {
        let retirement = self.retires(&attempt.provider, &attempt.model, at)?;
        retirement.is_near().then_some(retirement)
    }
}

/// The set that is in force.
#[derive(Debug)]
pub struct CurrentUpstreams(ArcSwap<Upstreams>);

impl CurrentUpstreams {
    /// Begins with `upstreams`.
    #[must_use]
    pub fn new(upstreams: Upstreams) -> Self {
        Self(ArcSwap::from_pointee(upstreams))
    }

    /// Returns the set that is in force now.
    #[must_use]
    pub fn get(&self) -> Arc<Upstreams> {
        self.0.load_full()
    }

    /// Puts another set in force, for calls that begin from now on.
    pub fn replace(&self, upstreams: Upstreams) {
        self.0.store(Arc::new(upstreams));
    }
}
