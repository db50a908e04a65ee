//! What `[evals]` says of runs.

use crate::app::Error;
use crate::app::file::EvalsTable;
use crate::evals::run;

pub(super) fn runs(table: &EvalsTable) -> Result<run::Config, Error> {
    Ok(run::Config {
        webhooks: webhooks(&table.webhooks)?.into(),
        judge_model: model_name("evals.judge_model", table.judge_model.as_ref())?,
        embedding_model: model_name("evals.embedding_model", table.embedding_model.as_ref())?,
    })
}

/// A model as requests name it. A prompt answers with a model, but is none that judges.
fn model_name(key: &str, name: Option<&String>) -> Result<Option<String>, Error> {
    let is_model = |name: &&String| {
        !name.is_empty() && !name.starts_with("prompt:") && !name.contains(char::is_whitespace)
    };
    match name {
        Some(wrong) if !is_model(&wrong) => Err(Error::ConfigValue {
            key: key.to_owned(),
            problem: format!("`{wrong}` is no name of a model"),
            hint: Some("write it as requests do: `openai/gpt-4.1-mini`".to_owned()),
        }),
        known => Ok(known.cloned()),
    }
}

/// Each entry is a host, so that a URL by mistake does not look as if its path counted.
fn webhooks(hosts: &[String]) -> Result<Vec<String>, Error> {
    let is_host = |host: &String| !host.is_empty() && !host.contains(['/', '@', '*', ' ', '?']);
    match hosts.iter().find(|host| !is_host(host)) {
        None => Ok(hosts.to_vec()),
        Some(wrong) => Err(Error::ConfigValue {
            key: "evals.webhooks".to_owned(),
            problem: format!("`{wrong}` is no host"),
            hint: Some("write `hooks.example.com`, or `127.0.0.1:9000` with a port".to_owned()),
        }),
    }
}
