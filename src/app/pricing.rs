//! What a model costs by its name, for commands that forecast and ask nobody.

use crate::app::Config;
use crate::app::upstreams::{price_lists, routes};
use crate::domain::Timestamp;
use crate::metering::{PriceRow, Prices};
use crate::proxy::{PriceLists, Routes};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The prices of a config.
#[derive(Debug)]
pub struct PriceBook {
    routes: Routes,
    prices: Prices,
    lists: BTreeMap<String, PriceLists>,
}

/// Returns the prices of `config`.
#[must_use]
pub fn price_book(config: &Config) -> PriceBook {
    PriceBook {
        routes: routes(config),
        prices: Prices::with_overrides(config.prices.clone()),
        lists: price_lists(config),
    }
}

impl PriceBook {
    /// Returns the price of a model, as a prompt names it, at the provider that it belongs to: whether
    /// there is a key for that provider on this machine does not matter.
    #[must_use]
    pub fn row(&self, model: &str, at: Timestamp) -> Option<Arc<PriceRow>> {
        let (provider, name) = self.routes.owner(model)?;
        match self.lists.get(provider) {
            Some(lists) => lists.row(&self.prices, &[name], at),
            None => self.prices.lookup(provider, name, at),
        }
    }
}
