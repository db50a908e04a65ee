//! `promptgate check`: everything that `serve` would check, without serving.

use crate::app::Environment;
use crate::cli::output::{self, Failure};
use crate::cli::{Common, reach};
use crate::prompts;
use crate::providers::Providers;
use serde_json::json;

/// Checks config, providers and prompts.
pub(crate) fn run(common: &Common, environment: &Environment) -> Result<(), Failure> {
    let config = reach::config(common, environment)?;
    let providers = Providers::build(config.providers.clone());
    providers.map_err(|error| Failure::usage(error.to_string()).with_hint(error.hint()))?;
    let report = prompts::check(&config.prompts);
    if common.json {
        let problems: Vec<_> = report.problems.iter().map(|problem| {
            json!({
                "path": problem.path,
                "line": problem.line,
                "message": problem.message,
                "hint": problem.hint,
            })
        }).collect();
        let body = json!({"ok": problems.is_empty(), "prompts": report.prompts, "problems": problems});
        output::put(&format!("{body}\n"))?;
    }
    if report.problems.is_empty() {
        if !common.json {
            let names: Vec<&str> = config.providers.iter().map(|provider| provider.name.as_str()).collect();
            output::put(&format!(
                "config ok: data plane {}, admin plane {}, providers {}\nprompts ok: {}\n",
                config.listen, config.admin_listen, names.join(", "), report.prompts,
            ))?;
        }
        return Ok(());
    }
    let details = report.problems.iter().map(ToString::to_string).collect();
    Err(Failure::new(format!("{} problems in the prompts", report.problems.len())).with_details(details))
}
