//! The dated price table: what comes with the program, and what the config says instead.

use crate::domain::Timestamp;
use crate::metering::spelling::{canonical, spellings, undated};
use crate::metering::{Capabilities, Retirement};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

/// Made by `scripts/update-prices`.
const BUILTIN: &str = include_str!("prices.json");

/// The provider inside the program: what it does costs nothing, and that is known exactly.
const SIMULATED: &str = "simulated";

/// The row of every model of it.
static FREE: LazyLock<Arc<PriceRow>> = LazyLock::new(|| {
    Arc::new(PriceRow {
        provider: SIMULATED.to_owned(),
        model: "*".to_owned(),
        as_of: BUILTIN_TABLE.as_of.clone(),
        input: Some(0),
        output: Some(0),
        ..PriceRow::default()
    })
});

/// Parsed when the first price is asked for.
static BUILTIN_TABLE: LazyLock<Table> = LazyLock::new(|| Table::parse(BUILTIN));

/// What a model is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Chat completions.
    #[default]
    Chat,
    /// Text completions.
    Completion,
    /// Embeddings.
    Embedding,
    /// Only the responses API.
    Responses,
}

impl Mode {
    /// Returns the name in lists of models.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::Completion => "completion",
            Self::Embedding => "embedding",
            Self::Responses => "responses",
        }
    }
}

/// The prices of one model, in whole pico-dollars per token. A missing price of a special class
/// means that its tokens cost what the ordinary ones do.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct PriceRow {
    /// The provider, as the table calls it: `openai`.
    pub provider: String,
    /// The model, as the provider calls it.
    pub model: String,
    /// The first day the prices hold (`2026-11-23`); empty when they hold since ever.
    pub effective_from: String,
    /// The day the prices were read, for the label; empty for prices of the config.
    pub as_of: String,
    /// Input.
    pub input: Option<u64>,
    /// Output.
    pub output: Option<u64>,
    /// Input read from the provider's cache.
    pub cached_input: Option<u64>,
    /// Input written to the provider's cache for five minutes.
    pub cache_write_5m: Option<u64>,
    /// Input written to the provider's cache for an hour.
    pub cache_write_1h: Option<u64>,
    /// Output spent on reasoning.
    pub reasoning: Option<u64>,
    /// Audio that goes in.
    pub audio_input: Option<u64>,
    /// Audio that comes out.
    pub audio_output: Option<u64>,
    /// Pico-dollars for each call, beside its tokens.
    pub request: Option<u64>,
    /// Input of a batch.
    pub batch_input: Option<u64>,
    /// Output of a batch.
    pub batch_output: Option<u64>,
    /// Prices of calls with much input. Invariant: sorted by `above`.
    pub tiers: Vec<Tier>,
    /// Tokens that fit into the model.
    pub context: Option<u64>,
    /// Tokens that the model writes at most.
    pub max_output: Option<u64>,
    /// What the model is for.
    pub mode: Mode,
    /// How many numbers an embedding has, when nobody asks for fewer.
    pub dimensions: Option<u64>,
    /// What the model is known to be able to do.
    pub can: Capabilities,
    /// The day the provider turns the model off.
    pub shutdown_date: Option<String>,
}

/// Prices that hold for a whole call when its input is above a number of tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Tier {
    /// The tokens of input above which the tier holds.
    pub above: u64,
    /// Input; where a price is missing, that of the row holds.
    pub input: Option<u64>,
    /// Output.
    pub output: Option<u64>,
    /// Input read from the provider's cache.
    pub cached_input: Option<u64>,
    /// Input written to the provider's cache for five minutes.
    pub cache_write_5m: Option<u64>,
    /// Input written to the provider's cache for an hour.
    pub cache_write_1h: Option<u64>,
}

impl PriceRow {
    /// Returns the name of the row in records: `openai/gpt-4o@2026-11-26`.
    #[must_use]
    pub fn label(&self) -> String {
        let date = match (self.effective_from.as_str(), self.as_of.as_str()) {
            ("", "") => "config",
            ("", as_of) => as_of,
            (from, _) => from,
        };
        format!("{}/{}@{date}", self.provider, self.model)
    }

    /// Takes from `known` what this row does not say about the model itself: a price of one's own changes
    /// neither its size nor the day it is turned off.
    fn complete(&mut self, known: &Self) {
        self.context = self.context.or(known.context);
        self.max_output = self.max_output.or(known.max_output);
        self.dimensions = self.dimensions.or(known.dimensions);
        if self.mode == Mode::default() {
            self.mode = known.mode;
        }
        if self.can.is_empty() {
            self.can = known.can;
        }
        if self.shutdown_date.is_none() {
            self.shutdown_date.clone_from(&known.shutdown_date);
        }
    }
}

/// The rows of one source, by provider and model; of one model the newest first.
#[derive(Debug, Default)]
struct Table {
    providers: BTreeMap<String, BTreeMap<String, Vec<Arc<PriceRow>>>>,
    as_of: String,
}

/// The file's shape.
#[derive(Deserialize)]
struct Stored {
    as_of: String,
    providers: BTreeMap<String, BTreeMap<String, PriceRow>>,
}

impl Table {
    fn parse(json: &str) -> Self {
        // The file is part of the program, and a test reads it.
        let Ok(stored) = serde_json::from_str::<Stored>(json) else {
            return Self::default();
        };
        let mut table = Self {
            as_of: stored.as_of,
            ..Self::default()
        };
        for (provider, models) in stored.providers {
            let to_row = |(model, row): (String, PriceRow)| {
                let row = PriceRow {
                    provider: provider.clone(),
                    model: model.clone(),
                    as_of: table.as_of.clone(),
                    ..row
                };
                (model, vec![Arc::new(row)])
            };
            let models = models.into_iter().map(to_row).collect();
            table.providers.insert(provider, models);
        }
        table
    }

    fn add(&mut self, mut row: PriceRow) {
        row.provider = canonical(&row.provider).into_owned();
        row.tiers.sort_by_key(|tier| tier.above);
        let known = BUILTIN_TABLE.providers.get(&row.provider);
        if let Some(known) = known.and_then(|models| models.get(&row.model)?.first()) {
            row.complete(known);
        }
        let models = self.providers.entry(row.provider.clone()).or_default();
        let rows = models.entry(row.model.clone()).or_default();
        // Of two rows for one day the later one counts.
        rows.retain(|old| old.effective_from != row.effective_from);
        rows.push(Arc::new(row));
        rows.sort_by(|a, b| b.effective_from.cmp(&a.effective_from));
    }

    fn find(&self, provider: &str, model: &str, at: Timestamp) -> Option<Arc<PriceRow>> {
        let rows = self.providers.get(provider)?.get(model)?;
        let in_force = rows
            .iter()
            .find(|row| row.effective_from.is_empty() || row.effective_from <= day(at));
        in_force.cloned()
    }
}

/// The prices that are in force.
#[derive(Debug, Clone, Default)]
pub struct Prices {
    overrides: Arc<Table>,
}

impl Prices {
    /// Returns the prices that come with the program. They are parsed at the first look-up.
    #[must_use]
    pub fn builtin() -> Self {
        Self::default()
    }

    /// Returns the prices that come with the program, with `rows` before them.
    #[must_use]
    pub fn with_overrides(rows: Vec<PriceRow>) -> Self {
        let mut overrides = Table::default();
        for row in rows {
            overrides.add(row);
        }
        Self {
            overrides: Arc::new(overrides),
        }
    }

    /// Returns the day of the prices that come with the program.
    #[must_use]
    pub fn as_of(&self) -> &'static str {
        &BUILTIN_TABLE.as_of
    }

    /// Returns the row for `model` of `provider` at a time: under its exact name, else as others spell it
    /// (`openai/gpt-4o`, `eu.anthropic.claude-x`), else without a date behind it (`gpt-4o-2024-08-06`).
    #[must_use]
    pub fn lookup(&self, provider: &str, model: &str, at: Timestamp) -> Option<Arc<PriceRow>> {
        self.lookup_in(&[provider], model, at)
    }

    /// Returns the row for `model` at a time in the first of several lists that has it; a nearer spelling
    /// counts more than an earlier list.
    #[must_use]
    pub fn lookup_in(
        &self,
        lists: &[impl AsRef<str>],
        model: &str,
        at: Timestamp,
    ) -> Option<Arc<PriceRow>> {
        let same = self.find(lists, model, at, |names| names);
        let found = same.or_else(|| self.find(lists, model, at, undated));
        // An override gives simulated calls a price, to try reports and budgets with.
        found.or_else(|| {
            let is_free = lists.iter().any(|list| list.as_ref() == SIMULATED);
            is_free.then(|| Arc::clone(&FREE))
        })
    }

    /// Returns the day the provider turns `model` off, as seen at a time. What is known of one version of
    /// a model is not said of another.
    #[must_use]
    pub fn retirement(
        &self,
        lists: &[impl AsRef<str>],
        model: &str,
        at: Timestamp,
    ) -> Option<Retirement> {
        let row = self.find(lists, model, at, |names| names)?;
        row.retirement(at)
    }

    fn find<'m>(
        &self,
        lists: &[impl AsRef<str>],
        model: &'m str,
        at: Timestamp,
        pick: fn([Option<&'m str>; 3]) -> [Option<&'m str>; 3],
    ) -> Option<Arc<PriceRow>> {
        // Of one spelling what the config says counts before what comes with the program.
        (0..3).find_map(|place| {
            [&*self.overrides, &BUILTIN_TABLE]
                .into_iter()
                .find_map(|table| {
                    lists.iter().find_map(|list| {
                        let list = canonical(list.as_ref());
                        let names = pick(spellings(&list, model));
                        table.find(&list, names.get(place).copied().flatten()?, at)
                    })
                })
        })
    }

    /// Returns every priced model of `provider`, one row each, by name.
    #[must_use]
    pub fn models(&self, provider: &str) -> Vec<Arc<PriceRow>> {
        let provider = canonical(provider);
        let tables = [&*BUILTIN_TABLE, &*self.overrides];
        let mut rows = BTreeMap::new();
        for models in tables
            .into_iter()
            .filter_map(|table| table.providers.get(provider.as_ref()))
        {
            for (model, versions) in models {
                if let Some(newest) = versions.first() {
                    rows.insert(model.as_str(), Arc::clone(newest));
                }
            }
        }
        rows.into_values().collect()
    }
}

/// Returns the day of a time, in UTC: `2026-11-23`.
fn day(at: Timestamp) -> String {
    let time = jiff::Timestamp::from_microsecond(at.0).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    time.strftime("%Y-%m-%d").to_string()
}

#[cfg(test)]
mod tests {
    use super::{BUILTIN, Mode, PriceRow, Prices};
    use crate::domain::Timestamp;
    use crate::metering::{Capability, Retirement};

    /// 2026-11-23T00:00:00Z.
    const NOW: Timestamp = Timestamp(1_795_392_000_000_000);

    fn found(provider: &str, model: &str) -> Option<String> {
        Some(Prices::builtin().lookup(provider, model, NOW)?.label())
    }

    #[test]
    fn the_builtin_table_is_whole() {
        assert!(BUILTIN.len() < 400_000);
        assert_eq!(Prices::builtin().as_of(), "2026-11-26");
        for provider in [
            "openai",
            "azure",
            "anthropic",
            "gemini",
            "mistral",
            "deepseek",
            "groq",
            "xai",
            "together",
            "cohere",
            "bedrock",
            "vertex",
            "fireworks",
        ] {
            assert!(5 < Prices::builtin().models(provider).len(), "{provider}");
        }
        let row = Prices::builtin().lookup("openai", "gpt-4o", NOW).unwrap();
        assert_eq!(
            (row.input, row.cached_input, row.output, row.context),
            (
                Some(2_500_000),
                Some(1_250_000),
                Some(10_000_000),
                Some(128_000)
            )
        );
        let row = Prices::builtin()
            .lookup("gemini", "gemini-2.5-pro", NOW)
            .unwrap();
        assert_eq!(
            (row.tiers[0].above, row.tiers[0].input),
            (200_000, Some(2_500_000))
        );
        let row = Prices::builtin()
            .lookup("openai", "text-embedding-3-small", NOW)
            .unwrap();
        assert_eq!((row.mode, row.input), (Mode::Embedding, Some(20_000)));
    }

    #[test]
    fn names_are_found_in_all_spellings() {
        let gpt = Some("openai/gpt-4o@2026-11-26".to_owned());
        assert_eq!(found("openai", "gpt-4o"), gpt);
        assert_eq!(found("openai", "openai/gpt-4o"), gpt);
        assert_eq!(found("openai", "gpt-4o-2031-01-02"), gpt);
        assert_eq!(found("OpenAI", "openai/gpt-4o-20310102"), gpt);
        assert!(found("google", "models/gemini-2.5-pro").is_some());
        assert!(found("together_ai", "Qwen/QwQ-32B").is_some());
        assert_eq!(found("openai", "gpt-4o-mine"), None);
        assert_eq!(found("nobody", "gpt-4o"), None);
    }

    /// The prices of input and output.
    fn price(lists: &[&str], model: &str) -> Option<(u64, u64)> {
        let row = Prices::builtin().lookup_in(lists, model, NOW)?;
        Some((row.input?, row.output?))
    }

    #[test]
    fn bedrock_is_priced_by_profile_and_region() {
        let sonnet = "anthropic.claude-sonnet-4-5-20250929-v1:0";
        let (plain, eu) = (Some((3_000_000, 15_000_000)), Some((3_300_000, 16_500_000)));
        for (model, wanted) in [
            (sonnet.to_owned(), plain),
            (format!("global.{sonnet}"), plain),
            (format!("eu.{sonnet}"), eu),
            // No row of its own, so that of the model.
            (format!("ca.{sonnet}"), plain),
            (
                format!("arn:aws:bedrock:r:1:inference-profile/eu.{sonnet}"),
                eu,
            ),
            (
                "arn:aws:bedrock:r:1:application-inference-profile/x1".to_owned(),
                None,
            ),
            ("anthropic.claude-unheard-of-v1:0".to_owned(), None),
        ] {
            assert_eq!(price(&["bedrock"], &model), wanted, "{model}");
        }
        // The profile's own row counts before the region's of the model.
        let (gov, elsewhere) = (
            ["bedrock@us-gov-west-1", "bedrock"],
            ["bedrock@eu-west-9", "bedrock"],
        );
        assert_eq!(price(&gov, &format!("eu.{sonnet}")), eu);
        let nova = "amazon.nova-lite-v1:0";
        assert_eq!(price(&gov, nova), Some((72_000, 288_000)));
        assert_eq!(price(&elsewhere, nova), Some((60_000, 240_000)));
    }

    #[test]
    fn vertex_and_fireworks_are_priced_by_their_own_names() {
        let (global, regional) = (["vertex"], ["vertex@regional", "vertex"]);
        let sonnet = Some((3_000_000, 15_000_000));
        for (lists, model, wanted) in [
            (&global[..], "claude-sonnet-4-5@20250929", sonnet),
            // As the answer spells it.
            (&global, "claude-sonnet-4-5-20250929", sonnet),
            (
                &regional,
                "claude-sonnet-4-5@20250929",
                Some((3_300_000, 16_500_000)),
            ),
            (
                &regional,
                "publishers/google/models/gemini-2.5-pro",
                Some((1_250_000, 10_000_000)),
            ),
            // What the table calls free on a cloud is not known.
            (&global, "meta/llama3-8b-instruct-maas", None),
            (
                &["fireworks"],
                "accounts/fireworks/models/deepseek-v3",
                Some((900_000, 900_000)),
            ),
            (&["fireworks"], "accounts/mine/models/deepseek-v3", None),
        ] {
            assert_eq!(price(lists, model), wanted, "{lists:?} {model}");
        }
    }

    #[test]
    fn capabilities_and_sizes_come_from_the_table() {
        let row = |provider, model| Prices::builtin().lookup(provider, model, NOW).unwrap();
        let gpt = row("openai", "gpt-4o");
        assert!(
            gpt.can.has(Capability::ParallelFunctionCalling) && gpt.can.has(Capability::PdfInput)
        );
        assert!(!gpt.can.has(Capability::Reasoning) && !gpt.can.has(Capability::AudioInput));
        let titan = row("bedrock", "amazon.titan-embed-text-v2:0");
        assert_eq!(
            (titan.dimensions, titan.mode),
            (Some(1024), Mode::Embedding)
        );
    }

    #[test]
    fn a_date_is_said_of_the_very_model_only() {
        let prices = Prices::builtin();
        let days = |lists: &[&str], model| {
            prices
                .retirement(lists, model, NOW)
                .map(Retirement::days_left)
        };
        assert_eq!(days(&["openai"], "gpt-5"), Some(18));
        assert_eq!(days(&["openai"], "openai/gpt-5"), Some(18));
        assert_eq!(days(&["openai"], "gpt-5-2031-01-01"), None);
        assert_eq!(days(&["openai"], "gpt-4o"), None);
        assert_eq!(days(&["nobody"], "gpt-5"), None);
        // A price of one's own says nothing of the date; a date does.
        let own = |date: Option<&str>| PriceRow {
            provider: "openai".to_owned(),
            model: "gpt-5".to_owned(),
            input: Some(1),
            shutdown_date: date.map(str::to_owned),
            ..PriceRow::default()
        };
        for (date, left) in [(None, 18), (Some("2026-11-25"), 2)] {
            let prices = Prices::with_overrides(vec![own(date)]);
            let found = prices.retirement(&["openai"], "gpt-5", NOW).unwrap();
            assert_eq!(found.days_left(), left);
            let row = prices.lookup("openai", "gpt-5", NOW).unwrap();
            assert_eq!((row.input, row.context), (Some(1), Some(272_000)));
        }
    }

    #[test]
    fn overrides_hold_from_their_day() {
        let row = |from: &str, input| PriceRow {
            provider: "openai".to_owned(),
            model: "gpt-4o".to_owned(),
            effective_from: from.to_owned(),
            input: Some(input),
            ..PriceRow::default()
        };
        let prices = Prices::with_overrides(vec![row("2026-11-01", 2), row("2026-12-01", 3)]);
        let at = |days: i64| {
            let at = Timestamp(NOW.0 + days * 86_400_000_000);
            let row = prices.lookup("openai", "gpt-4o-2024-08-06", at);
            // The dated name has a row of its own in the builtin table, or falls back to this one.
            let plain = prices.lookup("openai", "gpt-4o", at).unwrap();
            assert!(row.is_some());
            (plain.input.unwrap(), plain.label())
        };
        assert_eq!(at(0), (2, "openai/gpt-4o@2026-11-01".to_owned()));
        assert_eq!(at(8), (3, "openai/gpt-4o@2026-12-01".to_owned()));
        assert_eq!(at(-30), (2_500_000, "openai/gpt-4o@2026-11-26".to_owned()));
        let own = PriceRow {
            provider: "local".to_owned(),
            model: "llama".to_owned(),
            ..PriceRow::default()
        };
        let prices = Prices::with_overrides(vec![own]);
        assert_eq!(
            prices.lookup("local", "llama", NOW).unwrap().label(),
            "local/llama@config"
        );
        assert_eq!(prices.models("local").len(), 1);
    }
}
