//! What calls amount to: tokens, counted or reported, times dated prices.

mod cost;
mod decimal;
mod error;
mod litellm;
mod prices;
mod ranks;
mod tokens;

pub use cost::{CostItem, cost, cost_items};
pub use decimal::pico_per_token;
pub use error::Error;
pub use litellm::import_litellm;
pub use prices::{Mode, PriceRow, Prices, Tier};
pub use tokens::Tokens;
