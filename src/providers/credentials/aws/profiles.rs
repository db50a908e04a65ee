//! The files that Amazon's tools share: `~/.aws/credentials` and `~/.aws/config`, with their profiles.

use super::AwsKeys;
use crate::domain::Secret;
use crate::providers::credentials::{Fault, Variables};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The values of one profile.
type Profile = BTreeMap<String, String>;

/// How a profile gets its keys.
#[derive(Debug)]
pub(super) enum Means {
    /// It has them.
    Keys(AwsKeys),
    /// It takes a role with the token of a file.
    WebIdentity { role: String, token_file: String },
    /// It takes a role with the keys of another profile.
    Role {
        role: String,
        external_id: Option<String>,
        with: AwsKeys,
    },
}

/// The profiles of both files.
#[derive(Debug)]
pub(super) struct Files {
    credentials: Option<PathBuf>,
    config: Option<PathBuf>,
}

impl Files {
    /// Returns the files that `variables` name, or those of the home directory.
    pub(super) fn of(variables: &Variables) -> Self {
        let home = variables
            .get("HOME")
            .map(|home| Path::new(home).join(".aws"));
        let path = |variable: &str, name: &str| {
            let named = variables.get(variable).map(PathBuf::from);
            named.or_else(|| home.as_ref().map(|home| home.join(name)))
        };
        Self {
            credentials: path("AWS_SHARED_CREDENTIALS_FILE", "credentials"),
            config: path("AWS_CONFIG_FILE", "config"),
        }
    }

    /// Returns the region of a profile.
    pub(super) fn region(&self, name: &str) -> Option<String> {
        self.profile(name)?.remove("region")
    }

    /// Returns how the profile `name` gets its keys; `None` when there is no such profile, or it is
    /// about something else.
    ///
    /// # Errors
    ///
    /// When it gets them in a way that is none here.
    pub(super) fn means(&self, name: &str) -> Result<Option<Means>, Fault> {
        let Some(profile) = self.profile(name) else {
            return Ok(None);
        };
        let get = |key: &str| profile.get(key).cloned();
        if let Some(role) = get("role_arn") {
            if let Some(token_file) = get("web_identity_token_file") {
                return Ok(Some(Means::WebIdentity { role, token_file }));
            }
            let source = get("source_profile").unwrap_or_default();
            let keys = self.profile(&source).as_ref().and_then(keys_of);
            let with = keys.ok_or_else(|| {
                Fault::new(
                    format!(
                        "has no AWS credentials: profile `{name}` takes a role with those of \
                         profile `{source}`, which has no keys"
                    ),
                    "set `source_profile` to one with keys, or use the machine's own role",
                )
            })?;
            return Ok(Some(Means::Role {
                role,
                external_id: get("external_id"),
                with,
            }));
        }
        if let Some(keys) = keys_of(&profile) {
            return Ok(Some(Means::Keys(keys)));
        }
        let foreign = [
            "sso_session",
            "sso_start_url",
            "credential_process",
            "login_session",
        ]
        .into_iter()
        .find(|key| profile.contains_key(*key));
        match foreign {
            None => Ok(None),
            Some(key) => Err(Fault::new(
                format!(
                    "has no AWS credentials: profile `{name}` has `{key}`, which runs another program"
                ),
                format!(
                    "let `aws configure export-credentials --profile {name} --format env` write the \
                     keys into the environment"
                ),
            )),
        }
    }

    /// Returns the fault of a profile that was asked for and has no keys.
    pub(super) fn missing(&self, name: &str) -> Fault {
        let paths = [&self.credentials, &self.config].into_iter().flatten();
        let paths: Vec<String> = paths.map(|path| format!("`{}`", path.display())).collect();
        Fault::new(
            format!(
                "has no AWS credentials: profile `{name}` has none in {}",
                paths.join(" and ")
            ),
            "check the profile's name, or let AWS_SHARED_CREDENTIALS_FILE name the file",
        )
    }

    /// Returns what both files say of a profile; the file of credentials wins.
    fn profile(&self, name: &str) -> Option<Profile> {
        let read = |path: &Option<PathBuf>| {
            let text = path.as_ref().map(std::fs::read_to_string);
            text.and_then(Result::ok).unwrap_or_default()
        };
        let of_config = section(&read(&self.config), |title| {
            title == name && name == "default"
                || title.strip_prefix("profile ").map(str::trim) == Some(name)
        });
        let of_credentials = section(&read(&self.credentials), |title| title == name);
        match (of_config, of_credentials) {
            (Some(mut all), Some(wins)) => {
                all.extend(wins);
                Some(all)
            }
            (one, other) => one.or(other),
        }
    }
}

fn keys_of(profile: &Profile) -> Option<AwsKeys> {
    Some(AwsKeys {
        id: profile.get("aws_access_key_id")?.clone(),
        secret: Secret::new(profile.get("aws_secret_access_key")?),
        session_token: profile.get("aws_session_token").map(Secret::new),
    })
}

/// Returns the values of the section of an INI file that is meant. Lines that are indented belong to a
/// value before them, and to nothing that is read here.
fn section(text: &str, is_meant: impl Fn(&str) -> bool) -> Option<Profile> {
    let mut found: Option<Profile> = None;
    let mut is_inside = false;
    for line in text.lines() {
        if line.trim_start().starts_with(['#', ';']) || line.starts_with([' ', '\t']) {
            continue;
        }
        let line = line.trim_end();
        if let Some(title) = line.strip_prefix('[') {
            let title = title.split(']').next().unwrap_or_default().trim();
            is_inside = is_meant(title);
            if is_inside {
                found.get_or_insert_default();
            }
        } else if let (true, Some((key, value))) = (is_inside, line.split_once('=')) {
            // A comment within a line begins with a space.
            let value = value.split(" #").next().unwrap_or_default();
            let value = value.split(" ;").next().unwrap_or_default().trim();
            let profile = found.get_or_insert_default();
            profile.insert(key.trim().to_ascii_lowercase(), value.to_owned());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::{Files, Means, section};

    const CONFIG: &str = "# comment\n[default]\nregion = eu-west-1 # near\n\n[profile dev]\n\
                          region=us-east-1\ns3 =\n  region = no\nrole_arn = arn:aws:iam::1:role/r\n\
                          source_profile = base\nexternal_id = x\n[profile web]\nrole_arn = a\n\
                          web_identity_token_file = /t\n[profile sso]\nsso_session = s\n\
                          [profile lost]\nrole_arn = a\nsource_profile = none\n";
    const CREDENTIALS: &str = "[base]\naws_access_key_id = ID\naws_secret_access_key = a+/b=\n\
                               aws_session_token = T\n[default]\nAWS_ACCESS_KEY_ID = D\n\
                               aws_secret_access_key = s\n";

    #[test]
    fn profiles_say_how_they_get_their_keys() {
        let dir = tempfile::tempdir().unwrap();
        let (config, credentials) = (dir.path().join("config"), dir.path().join("credentials"));
        std::fs::write(&config, CONFIG).unwrap();
        std::fs::write(&credentials, CREDENTIALS).unwrap();
        let files = Files {
            credentials: Some(credentials),
            config: Some(config),
        };
        assert_eq!(files.region("default").as_deref(), Some("eu-west-1"));
        assert_eq!(files.region("dev").as_deref(), Some("us-east-1"));
        let Ok(Some(Means::Keys(keys))) = files.means("default") else {
            panic!("keys")
        };
        assert_eq!((keys.id.as_str(), keys.session_token), ("D", None));
        let Ok(Some(Means::Role {
            with, external_id, ..
        })) = files.means("dev")
        else {
            panic!("a role")
        };
        assert_eq!(
            (with.secret.reveal(), external_id.as_deref()),
            ("a+/b=", Some("x"))
        );
        assert!(matches!(
            files.means("web"),
            Ok(Some(Means::WebIdentity { .. }))
        ));
        assert!(matches!(files.means("none"), Ok(None)));
        let fault = files.means("sso").unwrap_err();
        assert!(
            fault.hint.contains("export-credentials --profile sso"),
            "{fault:?}"
        );
        let fault = files.means("lost").unwrap_err();
        assert!(
            fault.message.contains("profile `none`, which has no keys"),
            "{fault:?}"
        );
    }

    #[test]
    fn odd_files_are_read_as_far_as_they_go() {
        for text in [
            "",
            "=",
            "[",
            "[x",
            "key = value",
            "[x]\nno equals sign\n= v",
        ] {
            let profile = section(text, |title| title == "x").unwrap_or_default();
            assert!(profile.len() <= 1, "{text}");
        }
    }
}
