//! Where a repository is: on this machine, or behind a URL. A URL never carries credentials.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// Where a repository is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// A clone, a bare repository, or any directory inside one.
    Here(PathBuf),
    /// On another machine.
    Remote(RemoteUrl),
}

/// How a remote is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// `https://`.
    Https,
    /// `http://`, in plain text.
    Http,
    /// `ssh://`, or `git@host:path`.
    Ssh,
    /// `git://`, in plain text and without credentials.
    Daemon,
}

/// The address of a repository on another machine. Holds no secret, so it may be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteUrl {
    text: String,
    /// How it is spoken to.
    pub scheme: Scheme,
    /// The user, only for [`Scheme::Ssh`].
    pub(super) user: Option<String>,
    /// The host, without brackets.
    pub(super) host: String,
    /// The port, where it is not the usual one.
    pub(super) port: Option<u16>,
    /// The path on that machine.
    pub(super) path: String,
}

/// Why a text is no place of a repository. Never repeats the text, which may hold a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LocationError {
    /// A user or password stands before the host.
    #[error("the URL of the repository carries credentials")]
    Credentials,
    /// A query or a fragment, which may be a token.
    #[error("the URL of the repository has a `?` or a `#`")]
    Query,
    /// No such scheme.
    #[error("repositories are not fetched by `{0}://`")]
    Scheme(String),
    /// It cannot be read.
    #[error("the URL of the repository {0}")]
    Malformed(&'static str),
}

impl LocationError {
    /// Returns what to do about it.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::Credentials | Self::Query => {
                "refer to the secret instead: `token = \"env:GIT_TOKEN\"` or `token = \"file:PATH\"`"
            }
            Self::Scheme(_) | Self::Malformed(_) => {
                "write a path, `https://HOST/PATH`, `ssh://USER@HOST/PATH`, `USER@HOST:PATH` or \
                 `git://HOST/PATH`"
            }
        }
    }
}

impl fmt::Display for RemoteUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

impl RemoteUrl {
    /// Whether the host is this machine.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        let address = self.host.parse::<std::net::IpAddr>();
        self.host == "localhost" || address.is_ok_and(|address| address.is_loopback())
    }

    /// Returns the URL as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl FromStr for Location {
    type Err = LocationError;

    fn from_str(text: &str) -> Result<Self, LocationError> {
        if let Some((scheme, rest)) = text.split_once("://") {
            let scheme = match scheme {
                "https" => Scheme::Https,
                "http" => Scheme::Http,
                "ssh" => Scheme::Ssh,
                "git" => Scheme::Daemon,
                "file" => return Ok(Self::Here(PathBuf::from(rest))),
                other => return Err(LocationError::Scheme(other.chars().take(20).collect())),
            };
            return url(text, scheme, rest).map(Self::Remote);
        }
        // As Git reads it: a colon before the first slash parts a host from a path.
        match text.split_once(':') {
            Some((host, path)) if !host.is_empty() && !host.contains('/') => {
                let (user, host) = user_and_host(host);
                // Meant as `user:password@host:path`, which Git would read otherwise.
                if path
                    .split('/')
                    .next()
                    .is_some_and(|first| first.contains('@'))
                {
                    return Err(LocationError::Credentials);
                }
                remote(text, Scheme::Ssh, user, (host, None), path).map(Self::Remote)
            }
            _ => Ok(Self::Here(PathBuf::from(text))),
        }
    }
}

fn url(text: &str, scheme: Scheme, rest: &str) -> Result<RemoteUrl, LocationError> {
    let (authority, path) = match rest.find('/') {
        Some(slash) => rest.split_at(slash),
        None => (rest, ""),
    };
    let (user, host) = user_and_host(authority);
    let (host, port) = host_and_port(host)?;
    if matches!(scheme, Scheme::Https | Scheme::Http) && path.contains(['?', '#']) {
        return Err(LocationError::Query);
    }
    if scheme != Scheme::Ssh && user.is_some() {
        return Err(LocationError::Credentials);
    }
    // `ssh://host/~user/path` means the home of a user there.
    let path = path
        .strip_prefix('/')
        .filter(|path| path.starts_with('~'))
        .unwrap_or(path);
    remote(text, scheme, user, (host, port), path)
}

fn user_and_host(authority: &str) -> (Option<&str>, &str) {
    match authority.rsplit_once('@') {
        Some((user, host)) => (Some(user), host),
        None => (None, authority),
    }
}

fn host_and_port(authority: &str) -> Result<(&str, Option<u16>), LocationError> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest
                .split_once(']')
                .ok_or(LocationError::Malformed("has an open bracket"))?;
            (host, rest.strip_prefix(':'))
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    let port = port.map(str::parse).transpose();
    Ok((
        host,
        port.map_err(|_| LocationError::Malformed("has a port that is no number"))?,
    ))
}

fn remote(
    text: &str,
    scheme: Scheme,
    user: Option<&str>,
    (host, port): (&str, Option<u16>),
    path: &str,
) -> Result<RemoteUrl, LocationError> {
    if user.is_some_and(|user| user.contains(':')) {
        return Err(LocationError::Credentials);
    }
    if host.is_empty() {
        return Err(LocationError::Malformed("names no host"));
    }
    if path.trim_matches('/').is_empty() {
        return Err(LocationError::Malformed("names no path"));
    }
    // Each of these would be read as an option by a program it is handed to.
    let is_option = |word: &str| word.starts_with('-');
    if is_option(host) || is_option(path) || user.is_some_and(is_option) {
        return Err(LocationError::Malformed("has a part that begins with `-`"));
    }
    if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err(LocationError::Malformed(
            "has a space or a control character",
        ));
    }
    Ok(RemoteUrl {
        text: text.to_owned(),
        scheme,
        user: user.map(str::to_owned),
        host: host.to_owned(),
        port,
        path: path.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::{Location, LocationError, Scheme};
    use std::path::PathBuf;

    fn parse(text: &str) -> Result<Location, LocationError> {
        text.parse()
    }

    #[test]
    fn paths_stay_paths() {
        for (text, path) in [
            ("prompts", "prompts"),
            ("./a:b", "./a:b"),
            ("/srv/git/prompts.git", "/srv/git/prompts.git"),
            ("../x", "../x"),
            ("file:///srv/git/p.git", "/srv/git/p.git"),
        ] {
            assert_eq!(
                parse(text),
                Ok(Location::Here(PathBuf::from(path))),
                "{text}"
            );
        }
    }

    #[test]
    fn urls_are_taken_apart() {
        for (text, scheme, user, host, port, path) in [
            (
                "https://github.com/a/b.git",
                Scheme::Https,
                None,
                "github.com",
                None,
                "/a/b.git",
            ),
            (
                "http://127.0.0.1:80/b",
                Scheme::Http,
                None,
                "127.0.0.1",
                Some(80),
                "/b",
            ),
            (
                "git://[::1]:9/b",
                Scheme::Daemon,
                None,
                "::1",
                Some(9),
                "/b",
            ),
            (
                "ssh://git@h:22/a/b",
                Scheme::Ssh,
                Some("git"),
                "h",
                Some(22),
                "/a/b",
            ),
            ("ssh://h/~ada/b", Scheme::Ssh, None, "h", None, "~ada/b"),
            (
                "git@github.com:a/b.git",
                Scheme::Ssh,
                Some("git"),
                "github.com",
                None,
                "a/b.git",
            ),
            ("host:/b", Scheme::Ssh, None, "host", None, "/b"),
        ] {
            let Ok(Location::Remote(url)) = parse(text) else {
                panic!("{text}");
            };
            let parts = (
                url.scheme,
                url.user.as_deref(),
                &*url.host,
                url.port,
                &*url.path,
            );
            assert_eq!(parts, (scheme, user, host, port, path), "{text}");
            assert_eq!(url.to_string(), text);
        }
    }

    #[test]
    fn what_may_hold_a_secret_is_refused_and_not_repeated() {
        for (text, error) in [
            (
                "https://ghp_canary@github.com/a/b",
                LocationError::Credentials,
            ),
            (
                "https://u:canary@github.com/a/b",
                LocationError::Credentials,
            ),
            (
                "https://u:canary@@github.com/a/b",
                LocationError::Credentials,
            ),
            ("ssh://git:canary@h/a", LocationError::Credentials),
            ("u:canary@h:a", LocationError::Credentials),
            ("https://github.com/a/b?token=canary", LocationError::Query),
        ] {
            let found = parse(text).unwrap_err();
            assert_eq!(found, error, "{text}");
            assert!(!found.to_string().contains("canary"));
        }
    }

    #[test]
    fn what_a_program_would_take_for_an_option_is_refused() {
        for text in [
            "ssh://-oProxyCommand=x/a",
            "ssh://-x@h/a",
            "h:-x",
            "https://h",
            "https:///a",
            "https://h/a b",
            "ssh://[::1/a",
            "git://h:99999/a",
            "ftp://h/a",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
