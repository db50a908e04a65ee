//! What the config says of the world outside: where providers are, who serves which model, what it
//! costs, and what must never be written. It is swapped whole when the config is read again; a call
//! holds one set from start to end.

use crate::domain::Timestamp;
use crate::metering::{PriceRow, Prices};
use crate::providers::{Preset, Providers};
use crate::proxy::routing::{PlannedAttempt, Routes};
use crate::safety::Secrets;
use arc_swap::ArcSwap;
use std::collections::BTreeMap;
use std::sync::Arc;

/// One set.
#[derive(Debug)]
pub struct Upstreams {
    /// Which provider serves which model.
    pub routes: Routes,
    /// The providers.
    pub providers: Providers,
    /// What tokens cost.
    pub prices: Prices,
    /// Under which name the price table knows a provider that is configured under another.
    pub price_lists: BTreeMap<String, &'static str>,
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
        let kind = self.price_lists.get(&attempt.provider).copied();
        let lists = [Some(attempt.provider.as_str()), kind];
        let models = [model, &attempt.model];
        lists.into_iter().flatten().find_map(|list| {
            models
                .into_iter()
                .find_map(|model| self.prices.lookup(list, model, at))
        })
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
