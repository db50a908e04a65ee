//! The log on stderr.

use crate::telemetry::{Config, Error};
use std::io;
use tracing_subscriber::EnvFilter;

/// Sets up the log of the process: stderr, so that stdout stays data.
///
/// # Errors
///
/// [`Error::LogFilter`] when the filter cannot be read, [`Error::LogTaken`] the second time.
pub fn init_logs(config: &Config) -> Result<(), Error> {
    let filter = filter(&config.log)?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr);
    let result = if config.is_json {
        builder.json().flatten_event(true).try_init()
    } else {
        builder.with_target(false).try_init()
    };
    result.map_err(|_| Error::LogTaken)
}

fn filter(text: &str) -> Result<EnvFilter, Error> {
    EnvFilter::try_new(text).map_err(|error| Error::LogFilter {
        filter: text.chars().take(200).collect(),
        problem: error.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::filter;

    #[test]
    fn filters_are_levels_and_targets() {
        for (text, is_good) in [
            ("info", true),
            ("off", true),
            ("promptgate=debug,warn", true),
            ("promptgate=loud", false),
        ] {
            assert_eq!(filter(text).is_ok(), is_good, "{text}");
        }
        let error = filter("a=loud").unwrap_err();
        assert!(error.to_string().contains("`a=loud`"), "{error}");
    }
}
