//! `--filter-…`: which cases and subjects of a plan are asked.

use crate::cli::output::Failure;
use crate::evals::plan::{RunPlan, SidePlan, Subject};
use crate::evals::run::count;
use crate::evals::suite::Case;
use clap::Args;
use rand::seq::IndexedRandom as _;
use serde_json::Value;
use std::collections::BTreeSet;

#[derive(Debug, Default, Args)]
pub(crate) struct Filters {
    /// Only cases whose id or description has this text in it.
    #[arg(long, value_name = "TEXT")]
    filter_pattern: Option<String>,
    /// Only the first so many cases.
    #[arg(long, value_name = "N")]
    filter_first_n: Option<usize>,
    /// Only so many cases, drawn at random.
    #[arg(long, value_name = "N")]
    filter_sample: Option<usize>,
    /// Only cases whose metadata says so; may be given several times.
    #[arg(long, value_name = "KEY=VALUE")]
    filter_metadata: Vec<String>,
    /// Only cases that did not pass in that run.
    #[arg(long, value_name = "RUN")]
    filter_failing: Option<String>,
    /// Only cases that could not be judged in that run.
    #[arg(long, value_name = "RUN")]
    filter_errors_only: Option<String>,
    /// Only models whose label has this text in it.
    #[arg(long, value_name = "TEXT", visible_alias = "filter-targets")]
    filter_providers: Option<String>,
    /// Only prompts whose label has this text in it.
    #[arg(long, value_name = "TEXT")]
    filter_prompts: Option<String>,
}

impl Filters {
    /// Returns the run whose rows decide, and the marks that are wanted of them.
    pub(crate) fn of_run(&self) -> Option<(&str, &'static [&'static str])> {
        let failing = self.filter_failing.as_deref();
        let failing = failing.map(|run| (run, ["fail", "error"].as_slice()));
        let errors = self.filter_errors_only.as_deref();
        failing.or_else(|| errors.map(|run| (run, ["error"].as_slice())))
    }

    /// Leaves in a plan what is wanted. `of_run` are the ids of the cases that an earlier run decides.
    ///
    /// # Errors
    ///
    /// When a filter cannot be read, or nothing is left.
    pub(crate) fn apply(
        &self,
        plan: &mut RunPlan,
        of_run: Option<&BTreeSet<String>>,
    ) -> Result<(), Failure> {
        let metadata: Result<Vec<(&str, &str)>, Failure> = self
            .filter_metadata
            .iter()
            .map(|pair| split(pair))
            .collect();
        let metadata = metadata?;
        let before = count(plan);
        for side in &mut plan.sides {
            side.subjects.retain(|subject| self.wants_subject(subject));
            side.cases.retain(|case| {
                let is_in_run = of_run.is_none_or(|ids| ids.contains(&case.id.0));
                is_in_run && self.wants_case(case, &metadata)
            });
        }
        if let Some(kept) = self.drawn(&plan.sides) {
            for side in &mut plan.sides {
                side.cases.retain(|case| kept.contains(&case.id.0));
            }
        }
        let after = count(plan);
        if after == 0 {
            let hint = "`promptgate evals run` without filters asks all".to_owned();
            return Err(Failure::usage(format!(
                "no case of `{}` is left by the filters",
                plan.suite
            ))
            .with_hint(Some(hint)));
        }
        if after < before {
            // The forecast was for all of them.
            let share = |calls: u64| calls.saturating_mul(after).div_ceil(before.max(1));
            let forecast = &mut plan.forecast;
            forecast.case_calls = share(forecast.case_calls);
            forecast.judge_calls = share(forecast.judge_calls);
            forecast.pico_usd = forecast.pico_usd.map(|amount| {
                let amount = u128::from(amount) * u128::from(after) / u128::from(before.max(1));
                u64::try_from(amount).unwrap_or(u64::MAX)
            });
            plan.warnings
                .push(format!("filters left {after} of {before} cells"));
        }
        Ok(())
    }

    fn wants_subject(&self, subject: &Subject) -> bool {
        let has = |label: &str, wanted: &Option<String>| {
            wanted
                .as_deref()
                .is_none_or(|wanted| label.contains(wanted))
        };
        has(&subject.model_label, &self.filter_providers)
            && has(&subject.prompt_label, &self.filter_prompts)
    }

    fn wants_case(&self, case: &Case, metadata: &[(&str, &str)]) -> bool {
        let text = self.filter_pattern.as_deref();
        let has_text = text.is_none_or(|text| {
            let description = case.description.as_deref().unwrap_or_default();
            case.id.0.contains(text) || description.contains(text)
        });
        let says = |(key, wanted): &(&str, &str)| match case.metadata.get(*key) {
            Some(Value::String(text)) => text == wanted,
            Some(Value::Array(items)) => items.iter().any(|item| item.as_str() == Some(*wanted)),
            Some(other) => other.to_string() == *wanted,
            None => false,
        };
        has_text && metadata.iter().all(says)
    }

    /// The first ones, or some at random: the same on both sides.
    fn drawn(&self, sides: &[SidePlan]) -> Option<BTreeSet<String>> {
        let mut ids: Vec<&String> = Vec::new();
        for case in sides.iter().rev().flat_map(|side| &side.cases) {
            if !ids.contains(&&case.id.0) {
                ids.push(&case.id.0);
            }
        }
        if let Some(first) = self.filter_first_n {
            ids.truncate(first);
        }
        if let Some(some) = self.filter_sample {
            ids = ids.sample(&mut rand::rng(), some).copied().collect();
        }
        let is_drawn = self.filter_first_n.or(self.filter_sample).is_some();
        is_drawn.then(|| ids.into_iter().cloned().collect())
    }
}

fn split(pair: &str) -> Result<(&str, &str), Failure> {
    pair.split_once('=')
        .ok_or_else(|| Failure::usage(format!("`--filter-metadata {pair}` is not KEY=VALUE")))
}
