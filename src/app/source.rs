//! Where prompts come from, as the config says it: a directory, a repository, a remote, or bundles.

use crate::app::Error;
use crate::app::config::secret;
use crate::app::file::{File, PromptsTable, SyncName};
use crate::app::origin::{Environment, Origin as ConfigOrigin};
use crate::git::{FetchLimits, Location, Login, Remote, RemoteUrl, Scheme, Token};
use crate::prompts::{Config, DirectorySource, GitSource, Mode, Origin, Source};
use crate::server::Hooks;
use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How often a remote is asked.
const REMOTE_POLL: Duration = Duration::from_secs(30);

/// Returns the settings of the prompts. `data` is the data directory, where copies of remotes are.
pub(super) fn prompts(file: &File, origin: &ConfigOrigin, data: &Path) -> Result<Config, Error> {
    let table = &file.prompts;
    let mut config = match &origin.overrides.prompts {
        // A path on the command line wins over the whole source of the file.
        Some(path) => directory(path),
        None => source(table, &origin.environment, data)?,
    };
    if let Some(name) = table.sync {
        config.mode = match name {
            SyncName::Strict => Mode::Strict,
            SyncName::Lenient => Mode::Lenient,
        };
    }
    if let Some(poll) = table.poll {
        if poll.0 < Duration::from_millis(100) {
            return Err(wrong("poll", "is less than 100 ms", "`30s` is the default"));
        }
        config.poll = poll.0;
    }
    Ok(config)
}

fn source(table: &PromptsTable, environment: &Environment, data: &Path) -> Result<Config, Error> {
    let given = [table.path.is_some(), table.git.is_some(), table.pushed];
    if 1 < given.iter().filter(|is_given| **is_given).count() {
        return Err(Error::ConfigValue {
            key: "prompts".to_owned(),
            problem: "more than one of `path`, `git` and `pushed` is set".to_owned(),
            hint: Some(
                "`path` serves a directory, `git` a repository, `pushed` what is pushed; keep one"
                    .to_owned(),
            ),
        });
    }
    if table.pushed {
        if table.push_secret.is_none() {
            let hint = "bundles are signed with it: `push_secret = \"env:NAME\"`";
            return Err(wrong("push_secret", "is not set", hint));
        }
        let mirror = data.join("mirrors").join("pushed.git");
        let limits = limits(table);
        return Ok(git(table, mirror, Origin::Pushed { limits }));
    }
    let Some(place) = &table.git else {
        let path = table.path.clone();
        return Ok(directory(&path.unwrap_or_else(|| PathBuf::from("prompts"))));
    };
    let location = place
        .parse::<Location>()
        .map_err(|error| wrong("git", &error.to_string(), error.hint()))?;
    match location {
        Location::Here(path) => Ok(git(table, path, Origin::Here)),
        Location::Remote(url) => {
            let mirror = data.join("mirrors").join(mirror_name(&url));
            let remote = Box::new(Remote {
                login: login(table, &url, environment)?,
                url,
            });
            let limits = limits(table);
            let mut config = git(table, mirror, Origin::Fetched { remote, limits });
            config.poll = REMOTE_POLL;
            Ok(config)
        }
    }
}

fn directory(path: &Path) -> Config {
    Config::new(Source::Directory(DirectorySource {
        path: path.to_owned(),
    }))
}

fn git(table: &PromptsTable, repository: PathBuf, origin: Origin) -> Config {
    let reference = table.reference.clone();
    let subpath = table.subpath.clone();
    let mut config = Config::new(Source::Git(GitSource {
        repository,
        reference: reference.unwrap_or_else(|| "HEAD".to_owned()),
        subpath: subpath.unwrap_or_else(|| "prompts".to_owned()),
    }));
    config.origin = origin;
    config
}

fn limits(table: &PromptsTable) -> FetchLimits {
    let defaults = FetchLimits::default();
    FetchLimits {
        max_bytes: table.max_fetch.map_or(defaults.max_bytes, |size| size.0),
        max_object_bytes: table
            .max_object
            .map_or(defaults.max_object_bytes, |size| size.0),
        deadline: table
            .fetch_deadline
            .map_or(defaults.deadline, |span| span.0),
    }
}

fn login(table: &PromptsTable, url: &RemoteUrl, environment: &Environment) -> Result<Login, Error> {
    let token = table.token.as_ref();
    let token = token.map(|reference| secret("prompts.token", reference, environment));
    let token = token.transpose()?;
    let file = table
        .token
        .as_deref()
        .and_then(|text| text.strip_prefix("file:"));
    let is_http = matches!(url.scheme, Scheme::Https | Scheme::Http);
    if token.is_some() && !is_http {
        let hint = "tokens are for https; ssh takes `ssh_key`, `git://` has no credentials";
        return Err(wrong("token", "is set, but `git` is no https URL", hint));
    }
    if token.is_some() && url.scheme == Scheme::Http && !url.is_loopback() {
        let hint = "use https, so that nobody on the way can read the token";
        return Err(wrong("token", "would be sent in plain text", hint));
    }
    let ssh_files = [
        ("ssh_key", &table.ssh_key),
        ("known_hosts", &table.known_hosts),
    ];
    for (key, path) in ssh_files {
        if path.is_some() && url.scheme != Scheme::Ssh {
            return Err(wrong(
                key,
                "is set, but `git` is no ssh URL",
                "remove one of them",
            ));
        }
        if let Some(path) = path.as_ref().filter(|path| !path.is_file()) {
            let problem = format!("names `{}`, which is no file", path.display());
            return Err(wrong(key, &problem, "check the path"));
        }
    }
    Ok(Login {
        username: table.username.clone(),
        token: token.map(|token| match file {
            // Read again at every fetch; here it was only looked at.
            Some(path) => Token::File(PathBuf::from(path)),
            None => Token::Fixed(token),
        }),
        ssh_key: table.ssh_key.clone(),
        known_hosts: table.known_hosts.clone(),
    })
}

/// A name of its own for every remote, so that a changed URL never mixes two histories.
fn mirror_name(url: &RemoteUrl) -> String {
    let digest = Sha256::digest(url.as_str().as_bytes());
    let mut name = String::new();
    for byte in digest.iter().take(8) {
        // Writing to a `String` cannot fail.
        let _ = write!(name, "{byte:02x}");
    }
    name + ".git"
}

/// Returns what proves who tells of new commits, and who pushes them.
pub(super) fn hooks(table: &PromptsTable, environment: &Environment) -> Result<Hooks, Error> {
    let read = |key: &str, reference: &Option<String>| {
        let found = reference
            .as_ref()
            .map(|text| secret(key, text, environment));
        let found = found.transpose()?;
        // A short one can be guessed by whoever sees one signature.
        if found
            .as_ref()
            .is_some_and(|secret| secret.reveal().len() < 16)
        {
            return Err(Error::ConfigValue {
                key: key.to_owned(),
                problem: "has fewer than 16 characters".to_owned(),
                hint: Some("make one: `openssl rand -hex 32`".to_owned()),
            });
        }
        Ok(found)
    };
    let hooks = Hooks {
        webhook: read("prompts.webhook_secret", &table.webhook_secret)?,
        push: read("prompts.push_secret", &table.push_secret)?,
    };
    Ok(hooks)
}

fn wrong(key: &str, problem: &str, hint: &str) -> Error {
    Error::ConfigValue {
        key: format!("prompts.{key}"),
        problem: problem.to_owned(),
        hint: Some(hint.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::{hooks, prompts};
    use crate::app::file::File;
    use crate::app::origin::{Environment, Origin as ConfigOrigin, Overrides};
    use crate::prompts::{Config, Mode, Origin, Source};
    use std::path::Path;

    fn parse(text: &str) -> Result<Config, String> {
        let file: File = toml::from_str(text).unwrap();
        let environment =
            Environment::of(&[("TOKEN", "canary-token-0123456789"), ("SHORT", "canary")]);
        hooks(&file.prompts, &environment).map_err(|error| error.to_string())?;
        let origin = ConfigOrigin {
            overrides: Overrides::default(),
            environment,
            stamp: None,
        };
        prompts(&file, &origin, Path::new("data"))
            .map_err(|error| format!("{error}; {}", error.hint().unwrap_or_default()))
    }

    #[test]
    fn a_remote_is_copied_below_the_data_directory() {
        let text = "[prompts]\ngit = \"https://h/a.git\"\nreference = \"main\"\ntoken = \"env:TOKEN\"\n\
                    sync = \"lenient\"\npoll = \"5s\"\nfetch_deadline = \"7s\"\nmax_fetch = \"1MiB\"\n";
        let config = parse(text).unwrap();
        let Source::Git(source) = &config.source else {
            panic!()
        };
        assert!(source.repository.starts_with("data/mirrors"));
        assert_eq!(
            (source.reference.as_str(), source.subpath.as_str()),
            ("main", "prompts")
        );
        assert_eq!((config.mode, config.poll.as_secs()), (Mode::Lenient, 5));
        let Origin::Fetched { limits, .. } = &config.origin else {
            panic!()
        };
        assert_eq!((limits.deadline.as_secs(), limits.max_bytes), (7, 1 << 20));
        assert!(!format!("{config:?}").contains("canary"));
        let other = parse("[prompts]\ngit = \"https://h/b.git\"\n").unwrap();
        assert_ne!(config.source, other.source);
        assert_eq!(other.poll.as_secs(), 30);
    }

    #[test]
    fn what_would_leak_or_contradict_is_refused_without_repeating_secrets() {
        for (text, wanted) in [
            (
                "git = \"https://canary@h/a\"",
                "`token = \"env:GIT_TOKEN\"`",
            ),
            ("git = \"https://h/a\"\ntoken = \"canary\"", "written out"),
            ("git = \"http://h/a\"\ntoken = \"env:TOKEN\"", "plain text"),
            ("git = \"git@h:a\"\ntoken = \"env:TOKEN\"", "no https URL"),
            ("git = \"https://h/a\"\nssh_key = \"/k\"", "no ssh URL"),
            ("git = \"git@h:a\"\nssh_key = \"/no/such\"", "no file"),
            ("git = \"x\"\npath = \"y\"", "keep one"),
            ("pushed = true", "push_secret"),
            (
                "pushed = true\npush_secret = \"env:SHORT\"",
                "fewer than 16",
            ),
            ("webhook_secret = \"env:NONE\"", "no `NONE`"),
            ("git = \"https://h/a\"\npoll = \"1ms\"", "100 ms"),
        ] {
            let error = parse(&format!("[prompts]\n{text}\n")).unwrap_err();
            assert!(error.contains(wanted), "{text}: {error}");
            assert!(!error.contains("canary"), "{text}: {error}");
        }
        let loopback = "[prompts]\ngit = \"http://127.0.0.1:1/a\"\ntoken = \"env:TOKEN\"\n";
        assert!(parse(loopback).is_ok());
    }
}
