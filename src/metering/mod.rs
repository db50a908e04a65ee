//! What calls amount to: tokens, counted or reported, times dated prices.

mod capabilities;
mod cost;
mod decimal;
mod error;
mod litellm;
mod prices;
mod ranks;
mod retirement;
mod spelling;
mod tokens;

pub use capabilities::{Capabilities, Capability};
pub use cost::{CostItem, cost, cost_items};
pub use decimal::{dollars_per_million, pico_per_token};
pub use error::Error;
pub use litellm::import_litellm;
pub use prices::{Mode, PriceRow, Prices, Tier};
pub use retirement::Retirement;
pub use tokens::Tokens;
