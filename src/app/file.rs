//! The shape of `promptgate.toml`: what may be written, nothing resolved yet.

use crate::app::units::{Size, Span};
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Parses the TOML of another program.
///
/// # Errors
///
/// Words, with the place, when it is broken.
pub fn parse_toml(text: &str) -> Result<serde_json::Value, String> {
    let parsed = toml::from_str(text);
    parsed.map_err(|error| error.to_string().trim_end().to_owned())
}

/// Parses a config, as it is written.
///
/// # Errors
///
/// What is not well formed, or has no such key.
pub(crate) fn parse_file(text: &str) -> Result<File, toml::de::Error> {
    toml::from_str(text)
}

/// The whole file. Every table may be left out.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct File {
    pub(crate) server: ServerTable,
    pub(crate) store: StoreTable,
    pub(crate) prompts: PromptsTable,
    pub(crate) providers: BTreeMap<String, ProviderTable>,
    /// Patterns of model names and the provider that serves them: its name, or a [`ModelTable`].
    pub(crate) models: toml::Table,
    #[serde(deserialize_with = "prices")]
    pub(crate) prices: PricesTable,
    pub(crate) telemetry: TelemetryTable,
    pub(crate) evals: EvalsTable,
    pub(crate) embeddings: EmbeddingsTable,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct EmbeddingsTable {
    /// The file that declares spaces, pipelines and collections.
    pub(crate) file: Option<PathBuf>,
    /// The most texts of a request.
    pub(crate) batch_texts: Option<usize>,
    /// The most tokens of a request.
    pub(crate) batch_tokens: Option<u64>,
    /// The most requests at once.
    pub(crate) concurrency: Option<u32>,
    /// How often monitors and canaries of drift are looked after.
    pub(crate) watch_every: Option<Span>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct EvalsTable {
    /// The directory of suites.
    pub(crate) dir: Option<PathBuf>,
    /// Where due times of schedules are claimed; shared by gateways that run each of them once.
    pub(crate) claims_dir: Option<PathBuf>,
    /// Hosts (with a port where it is not the usual) that `webhook` assertions may ask.
    pub(crate) webhooks: Vec<String>,
    /// The model that judges where neither assertion, case nor suite name one.
    pub(crate) judge_model: Option<String>,
    /// The model that embeds where neither assertion nor case name one.
    pub(crate) embedding_model: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ServerTable {
    pub(crate) listen: Option<SocketAddr>,
    pub(crate) admin_listen: Option<SocketAddr>,
    pub(crate) max_body: Option<Size>,
    pub(crate) max_header: Option<Size>,
    pub(crate) max_connections: Option<usize>,
    pub(crate) max_in_flight: Option<usize>,
    pub(crate) header_timeout: Option<Span>,
    pub(crate) body_timeout: Option<Span>,
    pub(crate) write_stall: Option<Span>,
    pub(crate) drain_delay: Option<Span>,
    pub(crate) drain_timeout: Option<Span>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct StoreTable {
    pub(crate) dir: Option<PathBuf>,
    pub(crate) durability: Option<DurabilityName>,
    pub(crate) on_full: Option<OnFullName>,
    pub(crate) segment: Option<Size>,
    pub(crate) ballast: Option<Size>,
    pub(crate) compress_after: Option<Span>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum DurabilityName {
    Os,
    Disk,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum OnFullName {
    Reject,
    ServeUnrecorded,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct PromptsTable {
    /// A directory that is served as it is on disk.
    pub(crate) path: Option<PathBuf>,
    /// A repository whose blobs are served, at `reference` below `subpath`: a path or a URL.
    pub(crate) git: Option<String>,
    /// Whether commits are pushed to us as signed bundles.
    pub(crate) pushed: bool,
    pub(crate) reference: Option<String>,
    pub(crate) subpath: Option<String>,
    pub(crate) sync: Option<SyncName>,
    pub(crate) poll: Option<Span>,
    pub(crate) username: Option<String>,
    pub(crate) token: Option<String>,
    pub(crate) ssh_key: Option<PathBuf>,
    pub(crate) known_hosts: Option<PathBuf>,
    pub(crate) fetch_deadline: Option<Span>,
    pub(crate) max_fetch: Option<Size>,
    pub(crate) max_object: Option<Size>,
    pub(crate) webhook_secret: Option<String>,
    pub(crate) push_secret: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SyncName {
    Strict,
    Lenient,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ProviderTable {
    /// Which kind it is; the table's own name when absent.
    pub(crate) preset: Option<String>,
    pub(crate) base_url: Option<String>,
    pub(crate) api_key: Option<String>,
    pub(crate) api_version: Option<String>,
    /// What it speaks, its best first.
    pub(crate) dialects: Vec<String>,
    /// Bedrock's region, Vertex AI's location.
    #[serde(alias = "location")]
    pub(crate) region: Option<String>,
    /// Vertex AI's project.
    pub(crate) project: Option<String>,
    /// A profile in the files that Amazon's tools share.
    pub(crate) profile: Option<String>,
    pub(crate) access_key_id: Option<String>,
    pub(crate) secret_access_key: Option<String>,
    pub(crate) session_token: Option<String>,
    /// A file of Google's credentials.
    pub(crate) credentials: Option<String>,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) stream_usage: Option<bool>,
    pub(crate) drop_unsupported: bool,
    pub(crate) max_response: Option<Size>,
    pub(crate) deadlines: DeadlinesTable,
}

/// Who serves the models of a pattern, and what is special about them.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ModelTable {
    pub(crate) provider: String,
    /// In place of what the provider's table says.
    pub(crate) drop_unsupported: Option<bool>,
}

impl ModelTable {
    /// Reads the value of a pattern.
    ///
    /// # Errors
    ///
    /// When it is neither the name of a provider nor such a table.
    pub(crate) fn read(value: &toml::Value) -> Result<Self, toml::de::Error> {
        match value {
            toml::Value::String(provider) => Ok(Self {
                provider: provider.clone(),
                drop_unsupported: None,
            }),
            other => other.clone().try_into(),
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct DeadlinesTable {
    pub(crate) connect: Option<Span>,
    pub(crate) first_byte: Option<Span>,
    pub(crate) idle: Option<Span>,
    pub(crate) total: Option<Span>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct PricesTable {
    /// A price file in LiteLLM's shape, laid over the built-in table.
    pub(crate) litellm: Option<PathBuf>,
    /// Single prices, in dollars per million tokens.
    #[serde(rename = "override")]
    pub(crate) overrides: Vec<PriceTable>,
}

/// Reads `[prices]`. A list, `[[prices]]`, would be read as the table's fields in their order, and refused in words
/// that speak of the first of them.
fn prices<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PricesTable, D::Error> {
    struct Table;

    impl<'de> Visitor<'de> for Table {
        type Value = PricesTable;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("a table; a single price is written `[[prices.override]]`")
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<PricesTable, A::Error> {
            PricesTable::deserialize(MapAccessDeserializer::new(map))
        }
    }

    deserializer.deserialize_map(Table)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PriceTable {
    pub(crate) provider: String,
    pub(crate) model: String,
    /// From which day it holds, `2026-11-23`.
    pub(crate) from: Option<String>,
    pub(crate) input: String,
    /// What only embeds has none.
    pub(crate) output: Option<String>,
    pub(crate) cached_input: Option<String>,
    /// The day the model is turned off, `2026-12-11`.
    pub(crate) shutdown_date: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct TelemetryTable {
    pub(crate) log: Option<String>,
    pub(crate) log_format: Option<LogFormatName>,
    pub(crate) otlp_endpoint: Option<String>,
    pub(crate) otlp_headers: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum LogFormatName {
    Text,
    Json,
}

#[cfg(test)]
mod tests {
    use super::parse_file;

    #[test]
    fn prices_are_a_table_of_overrides() {
        let row = "provider = \"openai\"\nmodel = \"m\"\ninput = \"0.02\"\n";
        let file = parse_file(&format!("[[prices.override]]\n{row}")).unwrap();
        let [price] = file.prices.overrides.as_slice() else {
            panic!("{:?}", file.prices);
        };
        assert_eq!(price.output, None, "what only embeds has none");
        let error = parse_file(&format!("[[prices]]\n{row}")).unwrap_err();
        let words = error.to_string();
        assert!(
            words.contains("a single price is written `[[prices.override]]`"),
            "{words}"
        );
    }
}
