//! `promptgate check`: everything that `serve` would check, without serving.

use crate::app::{self, Config, Environment};
use crate::cli::lint::could_not_run;
use crate::cli::output::{self, Failure};
use crate::cli::{Common, reach};
use crate::domain::Clock;
use crate::metering::Prices;
use crate::prompts::{self, ModelFacts, Problem, Prompts, Rule};
use crate::providers::Providers;
use serde_json::json;

/// Checks config, providers and prompts.
pub(crate) fn run(common: &Common, environment: &Environment) -> Result<(), Failure> {
    let config = reach::config(common, environment)?;
    let providers = Providers::build(config.providers.clone());
    providers.map_err(|error| Failure::usage(error.to_string()).with_hint(error.hint()))?;
    if !config.prompts.has_come() {
        return Err(app::Error::from(prompts::Error::NothingLoaded).into());
    }
    app::declared_and_held(&config.embeddings, &config.store.dir)?;
    let problems = Prompts::check(&config.prompts.source);
    let warnings = if problems.is_empty() {
        about_models(&config)?
    } else {
        Vec::new()
    };
    if common.json {
        let body = json!({"ok": problems.is_empty(), "problems": problems, "warnings": warnings});
        output::put(&format!("{body}\n"))?;
    }
    if problems.is_empty() {
        if !common.json {
            for warning in &warnings {
                output::say(&format!("warning: {}\n", output::describe(warning)));
            }
            let names: Vec<&str> = config
                .providers
                .iter()
                .map(|provider| provider.name.as_str())
                .collect();
            output::put(&format!(
                "config ok: data plane {}, admin plane {}\nproviders ok: {}\nprompts ok\nembeddings ok\n",
                config.listen,
                config.admin_listen,
                names.join(", "),
            ))?;
        }
        return Ok(());
    }
    let details = problems.iter().map(output::describe).collect();
    Err(Failure::new(format!("problems in the prompts: {}", problems.len())).with_details(details))
}

/// What `serve` does not mind and calls will: models of prompts that are turned off, or not allowed.
fn about_models(config: &Config) -> Result<Vec<Problem>, Failure> {
    let prompts = Prompts::archived(config.prompts.clone(), app::read_only_archive(config));
    let prices = Prices::with_overrides(config.prices.clone());
    let facts = ModelFacts {
        prices: &prices,
        now: Clock::System.now(),
    };
    let findings = prompts.lint(None, facts).map_err(could_not_run)?.findings;
    let problems = findings.into_iter().map(|finding| finding.problem);
    Ok(problems
        .filter(|problem| problem.code == Rule::ModelNotAllowed)
        .collect())
}
