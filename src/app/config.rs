//! From what was written (file, environment, command line) to a checked config.

use crate::app::Error;
use crate::app::file::{
    DurabilityName, File, LogFormatName, ModelTable, OnFullName, PriceTable, parse_file,
};
use crate::app::origin::{DEFAULT_FILE, Environment, Origin, Overrides};
use crate::app::{declarations, evals, provider, source};
use crate::domain::{Durability, Secret, Timestamp, nearest_names};
use crate::embeddings::snapshots::LimitsWish;
use crate::evals::run;
use crate::metering::{self, PriceRow, Retirement};
use crate::proxy::{Route, WELL_KNOWN};
use crate::{prompts, providers, server, store, telemetry};
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A config that was checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// What it was made from.
    pub(super) origin: Origin,
    /// Where the data plane listens.
    pub listen: SocketAddr,
    /// Where the admin plane listens.
    pub admin_listen: SocketAddr,
    /// Limits of connections.
    pub limits: server::Limits,
    /// Limits of request bodies.
    pub body_limits: server::BodyLimits,
    /// Calls in flight at once.
    pub max_in_flight: usize,
    /// How long new calls are still taken after SIGTERM, while readiness already says no.
    pub drain_delay: Duration,
    /// How long open calls may go on after that.
    pub drain_timeout: Duration,
    /// The store.
    pub store: store::Config,
    /// The prompts.
    pub prompts: prompts::Config,
    /// What proves who tells of new commits.
    pub hooks: server::Hooks,
    /// The providers.
    pub providers: Vec<providers::Config>,
    /// Providers for which what they cannot be told is left out of a request.
    pub dropping: BTreeSet<String>,
    /// Patterns of models, and their provider.
    pub models: Vec<Route>,
    /// Whether no provider has a key and no local one is named, so that every known model is simulated.
    pub only_simulated: bool,
    /// Prices.
    pub prices: Vec<PriceRow>,
    /// Logs and traces.
    pub telemetry: telemetry::Config,
    /// What holds for runs of evals.
    pub runs: run::Config,
    /// The directory of suites.
    pub evals: PathBuf,
    /// Where due times of schedules are claimed.
    pub claims: PathBuf,
    /// The file that declares embeddings.
    pub embeddings: PathBuf,
    /// How much is asked at once when snapshots are made.
    pub embedding_limits: LimitsWish,
    /// How often monitors and canaries of drift are looked after.
    pub watch_every: Duration,
}

impl Config {
    /// Returns which settings `next` has otherwise that hold from start to end of a process.
    pub(super) fn changed_until_restart(&self, next: &Self) -> Vec<&'static str> {
        let of = |config: &Self| {
            [
                ("server.listen", format!("{:?}", config.listen)),
                ("server.admin_listen", format!("{:?}", config.admin_listen)),
                ("server", {
                    let limits = (&config.limits, &config.body_limits, config.max_in_flight);
                    let drain = (config.drain_delay, config.drain_timeout);
                    format!("{limits:?} {drain:?}")
                }),
                ("store", format!("{:?}", config.store)),
                ("prompts", format!("{:?}", (&config.prompts, &config.hooks))),
                ("telemetry", format!("{:?}", config.telemetry)),
                ("evals", {
                    let places = (&config.evals, &config.claims);
                    format!("{:?} {places:?}", config.runs)
                }),
                (
                    "embeddings",
                    format!(
                        "{:?} {:?} {:?}",
                        config.embeddings, config.embedding_limits, config.watch_every
                    ),
                ),
            ]
        };
        let pairs = of(self).into_iter().zip(of(next));
        pairs
            .filter(|((_, ours), (_, theirs))| ours != theirs)
            .map(|((name, _), _)| name)
            .collect()
    }
}

/// Reads and checks everything.
///
/// # Errors
///
/// The first thing that is wrong, with its key and what to do.
pub fn load(overrides: &Overrides, environment: &Environment) -> Result<Config, Error> {
    let stamp = overrides.stamp();
    let file = match &overrides.config {
        Some(path) => read_file(path)?,
        None => {
            let path = Path::new(DEFAULT_FILE);
            if path.exists() {
                read_file(path)?
            } else {
                File::default()
            }
        }
    };
    let origin = Origin {
        overrides: overrides.clone(),
        environment: environment.clone(),
        stamp,
    };
    check(&file, origin)
}

fn read_file(path: &Path) -> Result<File, Error> {
    let text = std::fs::read_to_string(path).map_err(|error| Error::ConfigFile {
        path: path.to_owned(),
        problem: error.to_string(),
    })?;
    parse_file(&text).map_err(|error| Error::ConfigSyntax {
        path: path.to_owned(),
        suggestion: suggestion(error.message()),
        problem: error.to_string().trim_end().to_owned(),
    })
}

/// From "unknown field `lisen`, expected one of `listen`, …" to `listen`.
fn suggestion(message: &str) -> Option<String> {
    let mut quoted = message.split('`').skip(1).step_by(2);
    let is_unknown = message.starts_with("unknown field") || message.starts_with("unknown variant");
    let wrong = quoted.next().filter(|_| is_unknown)?;
    nearest_names(wrong, quoted)
        .first()
        .map(|name| (*name).to_owned())
}

fn check(file: &File, origin: Origin) -> Result<Config, Error> {
    let (overrides, environment) = (&origin.overrides, &origin.environment);
    let loopback = |port| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port);
    let store = store_config(file, overrides);
    let providers = provider::all(file, environment)?;
    let only_simulated = !provider::is_any_wanted(&providers, file, environment);
    Ok(Config {
        listen: overrides
            .listen
            .or(file.server.listen)
            .unwrap_or_else(|| loopback(8080)),
        admin_listen: overrides
            .admin_listen
            .or(file.server.admin_listen)
            .unwrap_or_else(|| loopback(8081)),
        limits: limits(file),
        body_limits: body_limits(file),
        max_in_flight: file.server.max_in_flight.unwrap_or(20_000),
        drain_delay: file
            .server
            .drain_delay
            .map_or(Duration::from_secs(1), |span| span.0),
        drain_timeout: file
            .server
            .drain_timeout
            .map_or(Duration::from_secs(600), |span| span.0),
        prompts: source::prompts(file, &origin, &store.dir)?,
        hooks: source::hooks(&file.prompts, environment)?,
        evals: overrides
            .evals
            .clone()
            .or_else(|| file.evals.dir.clone())
            .unwrap_or_else(|| PathBuf::from("evals")),
        claims: file
            .evals
            .claims_dir
            .clone()
            .unwrap_or_else(|| store.dir.join("claims")),
        embeddings: overrides
            .embeddings
            .clone()
            .or_else(|| file.embeddings.file.clone())
            .unwrap_or_else(|| PathBuf::from(declarations::DEFAULT_FILE)),
        embedding_limits: LimitsWish {
            texts: file.embeddings.batch_texts,
            tokens: file.embeddings.batch_tokens,
            concurrency: file.embeddings.concurrency,
        },
        watch_every: declarations::watch_every(file)?,
        store,
        models: models(file, &providers)?,
        dropping: dropping(file),
        only_simulated,
        prices: prices(file)?,
        telemetry: telemetry_config(file, environment)?,
        runs: evals::runs(&file.evals)?,
        providers,
        origin,
    })
}

fn limits(file: &File) -> server::Limits {
    let defaults = server::Limits::default();
    let table = &file.server;
    server::Limits {
        connections: table.max_connections.unwrap_or(defaults.connections),
        header_timeout: table
            .header_timeout
            .map_or(defaults.header_timeout, |span| span.0),
        header_bytes: table
            .max_header
            .map_or(defaults.header_bytes, |size| as_usize(size.0)),
        write_stall: table
            .write_stall
            .map_or(defaults.write_stall, |span| span.0),
    }
}

fn body_limits(file: &File) -> server::BodyLimits {
    let defaults = server::BodyLimits::default();
    let table = &file.server;
    server::BodyLimits {
        bytes: table
            .max_body
            .map_or(defaults.bytes, |size| as_usize(size.0)),
        idle: table.body_timeout.map_or(defaults.idle, |span| span.0),
        total: defaults.total,
    }
}

fn as_usize(size: u64) -> usize {
    usize::try_from(size).unwrap_or(usize::MAX)
}

fn store_config(file: &File, overrides: &Overrides) -> store::Config {
    let table = &file.store;
    let dir = overrides.data_dir.clone().or_else(|| table.dir.clone());
    let mut config = store::Config::new(dir.unwrap_or_else(|| PathBuf::from("data")));
    let durability = table.durability.map(|name| match name {
        DurabilityName::Os => Durability::Os,
        DurabilityName::Disk => Durability::Disk,
    });
    config.durability = overrides.durability.or(durability).unwrap_or_default();
    if table.on_full == Some(OnFullName::ServeUnrecorded) {
        config.on_full = store::OnFull::ServeUnrecorded;
    }
    if let Some(size) = table.segment {
        config.segment_bytes = u32::try_from(size.0).unwrap_or(u32::MAX);
    }
    if let Some(size) = table.ballast {
        config.ballast_bytes = size.0;
    }
    if let Some(span) = table.compress_after {
        config.compress_after = Some(span.0);
    }
    config
}

/// Resolves `env:NAME`, `file:PATH`, `os.environ/NAME`, which stands at `key`.
///
/// # Errors
///
/// [`Error::ConfigValue`] when there is no such thing, or the secret itself is written out.
pub fn secret(key: &str, reference: &str, environment: &Environment) -> Result<Secret, Error> {
    let fail = |problem: String, hint: &str| Error::ConfigValue {
        key: key.to_owned(),
        problem,
        hint: Some(hint.to_owned()),
    };
    let variable = reference
        .strip_prefix("env:")
        .or_else(|| reference.strip_prefix("os.environ/"));
    if let Some(name) = variable {
        return environment.get(name).map(Secret::new).ok_or_else(|| {
            fail(
                format!("the environment has no `{name}`"),
                "set it, or remove the reference",
            )
        });
    }
    if let Some(path) = reference.strip_prefix("file:") {
        let text = std::fs::read_to_string(path).map_err(|error| {
            fail(
                format!("`{path}` cannot be read: {error}"),
                "check the path",
            )
        })?;
        return Ok(Secret::new(text.trim()));
    }
    // The value itself is not repeated: it may be a key.
    Err(fail(
        "a secret is written out in the config".to_owned(),
        "refer to it: `env:NAME` or `file:PATH`",
    ))
}

/// A header's value: a reference, or plain text.
pub(super) fn text_or_secret(
    key: &str,
    value: &str,
    environment: &Environment,
) -> Result<Secret, Error> {
    let is_reference = ["env:", "file:", "os.environ/"]
        .iter()
        .any(|start| value.starts_with(start));
    if is_reference {
        secret(key, value, environment)
    } else {
        Ok(Secret::new(value))
    }
}

/// The providers that say `drop_unsupported`.
fn dropping(file: &File) -> BTreeSet<String> {
    let tables = file.providers.iter();
    tables
        .filter(|(_, table)| table.drop_unsupported)
        .map(|(name, _)| name.clone())
        .collect()
}

/// The file's patterns come first, the well-known ones after.
fn models(file: &File, providers: &[providers::Config]) -> Result<Vec<Route>, Error> {
    let mut models = Vec::new();
    for (pattern, value) in &file.models {
        let fail = |problem: String, hint: Option<String>| Error::ConfigValue {
            key: format!("models.\"{pattern}\""),
            problem,
            hint,
        };
        let table = ModelTable::read(value).map_err(|error| {
            let problem = error.message().to_owned();
            let near = suggestion(&problem).map(|near| format!("near: {near}"));
            fail(problem, near)
        })?;
        let name = &table.provider;
        if !providers.iter().any(|config| config.name == *name) {
            let names = providers.iter().map(|config| config.name.as_str());
            let near = nearest_names(name, names).join(", ");
            let hint = (!near.is_empty()).then(|| format!("near: {near}"));
            return Err(fail(format!("there is no provider `{name}`"), hint));
        }
        models.push(Route {
            drops_unsupported: table.drop_unsupported,
            ..Route::new(pattern, name)
        });
    }
    let well_known = WELL_KNOWN.iter();
    models.extend(well_known.map(|&(pattern, provider)| Route::new(pattern, provider)));
    Ok(models)
}

fn prices(file: &File) -> Result<Vec<PriceRow>, Error> {
    let mut rows = Vec::new();
    if let Some(path) = &file.prices.litellm {
        let fail = |problem: String| Error::ConfigValue {
            key: "prices.litellm".to_owned(),
            problem,
            hint: Some("it wants a JSON file in LiteLLM's shape".to_owned()),
        };
        let text = std::fs::read_to_string(path).map_err(|error| fail(error.to_string()))?;
        let imported = metering::import_litellm(&text).map_err(|error| fail(error.to_string()))?;
        rows.extend(imported);
    }
    for table in &file.prices.overrides {
        rows.push(price(table)?);
    }
    Ok(rows)
}

fn price(table: &PriceTable) -> Result<PriceRow, Error> {
    let amount = |field: &str, text: &str| {
        metering::pico_per_token(text).ok_or_else(|| Error::ConfigValue {
            key: format!("prices.override.{field}"),
            problem: format!("`{text}` is no amount"),
            hint: Some("prices are dollars per million tokens, as text: \"0.25\"".to_owned()),
        })
    };
    let of = |field: &str, text: Option<&str>| text.map(|text| amount(field, text)).transpose();
    if let Some(date) = &table.shutdown_date
        && Retirement::of(date, Timestamp(0)).is_none()
    {
        return Err(Error::ConfigValue {
            key: "prices.override.shutdown_date".to_owned(),
            problem: format!("`{date}` is no date"),
            hint: Some("it looks like \"2026-12-11\"".to_owned()),
        });
    }
    Ok(PriceRow {
        provider: table.provider.clone(),
        model: table.model.clone(),
        effective_from: table.from.clone().unwrap_or_default(),
        input: Some(amount("input", &table.input)?),
        output: of("output", table.output.as_deref())?,
        cached_input: of("cached_input", table.cached_input.as_deref())?,
        shutdown_date: table.shutdown_date.clone(),
        ..PriceRow::default()
    })
}

fn telemetry_config(file: &File, environment: &Environment) -> Result<telemetry::Config, Error> {
    let table = &file.telemetry;
    let endpoint = table
        .otlp_endpoint
        .as_deref()
        .or_else(|| environment.get("OTEL_EXPORTER_OTLP_ENDPOINT"));
    let mut headers = Vec::new();
    for (name, reference) in &table.otlp_headers {
        headers.push((
            name.clone(),
            text_or_secret("telemetry.otlp_headers", reference, environment)?,
        ));
    }
    Ok(telemetry::Config {
        log: table
            .log
            .as_deref()
            .or_else(|| environment.get("PROMPTGATE_LOG"))
            .unwrap_or("info")
            .to_owned(),
        is_json: table.log_format == Some(LogFormatName::Json),
        otlp_endpoint: endpoint.map(str::to_owned),
        otlp_headers: headers,
    })
}
