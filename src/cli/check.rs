//! `promptgate check`: everything that `serve` would check, without serving.

use crate::app::{self, Environment};
use crate::cli::output::{self, Failure};
use crate::cli::{Common, reach};
use crate::prompts::{self, Prompts};
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
    app::declared(&config.embeddings)?;
    let problems = Prompts::check(&config.prompts.source);
    if common.json {
        let body = json!({"ok": problems.is_empty(), "problems": problems});
        output::put(&format!("{body}\n"))?;
    }
    if problems.is_empty() {
        if !common.json {
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
