//! Sums over calls by hour, from what was summed up when they were indexed.

use crate::domain::{CallState, PicoDollars, PromptKey, Timestamp};
use crate::store::rollup::{Group, HOUR_US, Sums, hour_of};
use crate::store::{Error, Store};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What sums are kept apart by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GroupBy {
    /// The prompt.
    #[default]
    Prompt,
    /// Prompt and version, `support/refund@v7`.
    Version,
    /// The model asked of the provider.
    Model,
    /// The caller's key.
    Key,
    /// How calls ended.
    State,
    /// The provider.
    Provider,
    /// The hour in which calls began, `2026-03-01T14:00:00Z`.
    Hour,
}

/// Which sums are wanted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StatsQuery {
    /// From the hour of this time on.
    pub from: Option<Timestamp>,
    /// Before this time, rounded up to a whole hour.
    pub to: Option<Timestamp>,
    /// Of this prompt only.
    pub prompt: Option<PromptKey>,
    /// What the rows are.
    pub group_by: GroupBy,
}

/// The sums of one group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StatsRow {
    /// The group's name; `None` for calls without prompt or key.
    pub group: Option<String>,
    /// Calls that ended.
    pub calls: u64,
    /// The same by how they ended.
    pub states: BTreeMap<CallState, u64>,
    /// Tokens that went in.
    pub input_tokens: u64,
    /// Of these, from the provider's cache.
    pub cached_tokens: u64,
    /// Tokens that came out.
    pub output_tokens: u64,
    /// The sum of the known costs; `None` when no call's cost is known.
    #[serde(rename = "cost_pico_usd")]
    pub cost: Option<PicoDollars>,
    /// Calls whose cost is not known, and so not in the sum.
    pub calls_without_cost: u64,
    /// Median of the whole time, in microseconds, right to 3 %.
    pub p50_us: Option<u64>,
    /// 95th percentile of the same.
    pub p95_us: Option<u64>,
    /// 99th percentile of the same.
    pub p99_us: Option<u64>,
    /// Median of the time to the first content of streams, in microseconds.
    pub first_content_p50_us: Option<u64>,
    /// 95th percentile of the same.
    pub first_content_p95_us: Option<u64>,
}

impl Store {
    /// Returns sums over calls by group, in the order of the groups' names.
    ///
    /// Blocks; not for async code. Reads no single calls.
    ///
    /// # Errors
    ///
    /// `IndexBehind`, `Sled`, `Closed`.
    pub fn stats(&self, query: &StatsQuery) -> Result<Vec<StatsRow>, Error> {
        let from = query.from.map_or(0, |from| hour_of(from.0));
        let to = query
            .to
            .map_or(u32::MAX, |to| hour_of(to.0.saturating_sub(1)));
        let index = self.indexer.ready(self.query_deadline)?;
        let mut groups: BTreeMap<Option<String>, (Sums, BTreeMap<CallState, u64>)> =
            BTreeMap::new();
        index.sums(from, to, |group, sums| {
            let prompt = query.prompt.as_ref().map(PromptKey::as_str);
            if prompt.is_some() && prompt != group.prompt.as_deref() {
                return;
            }
            let (all, states) = groups.entry(name_of(&group, query.group_by)).or_default();
            all.merge(&sums);
            *states.entry(group.state).or_default() += sums.calls;
        })?;
        let rows = groups.into_iter().map(|(group, (sums, states))| StatsRow {
            group,
            calls: sums.calls,
            states,
            input_tokens: sums.input_tokens,
            cached_tokens: sums.cached_tokens,
            output_tokens: sums.output_tokens,
            cost: (sums.calls_without_cost < sums.calls).then_some(PicoDollars(sums.cost_pico_usd)),
            calls_without_cost: sums.calls_without_cost,
            p50_us: sums.latency.quantile(500),
            p95_us: sums.latency.quantile(950),
            p99_us: sums.latency.quantile(990),
            first_content_p50_us: sums.first_content.quantile(500),
            first_content_p95_us: sums.first_content.quantile(950),
        });
        Ok(rows.collect())
    }
}

fn name_of(group: &Group, by: GroupBy) -> Option<String> {
    match by {
        GroupBy::Prompt => group.prompt.clone(),
        GroupBy::Version => {
            let prompt = group.prompt.as_deref()?;
            Some(format!("{prompt}@{}", group.version.as_deref()?))
        }
        GroupBy::Model => Some(group.model.clone()),
        GroupBy::Key => group.key.clone(),
        GroupBy::State => serde_json::to_value(group.state)
            .ok()
            .and_then(|name| name.as_str().map(str::to_owned)),
        GroupBy::Provider => Some(group.provider.clone()),
        GroupBy::Hour => jiff::Timestamp::from_microsecond(i64::from(group.hour) * HOUR_US)
            .ok()
            .map(|hour| hour.to_string()),
    }
}
