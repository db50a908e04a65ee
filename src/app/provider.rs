//! The providers of a config: those of the file, then those that the environment has a key for, then
//! `simulated`.

use crate::app::Error;
use crate::app::config::{secret, text_or_secret};
use crate::app::file::{File, ProviderTable};
use crate::app::origin::Environment;
use crate::domain::Dialect;
use crate::domain::{Secret, nearest_names};
use crate::providers::{AwsKeys, AwsSettings, Cloud, Config, Facts, GoogleSettings, Preset};

/// Returns all providers, checked as far as a file can be.
///
/// # Errors
///
/// [`Error::ConfigValue`] for the first value that makes no sense.
pub(super) fn all(file: &File, environment: &Environment) -> Result<Vec<Config>, Error> {
    let mut found = Vec::new();
    for (name, table) in &file.providers {
        found.push(Table::of(name, table, environment)?.config()?);
    }
    let nothing = ProviderTable::default();
    for preset in Preset::ALL {
        let name = preset.as_str();
        if found.iter().any(|config| config.name == name) || !is_here(preset, environment) {
            continue;
        }
        found.push(Table::of(name, &nothing, environment)?.config()?);
    }
    Ok(found)
}

/// Whether a provider is there although no file names it.
fn is_here(preset: Preset, environment: &Environment) -> bool {
    let facts = preset.facts();
    let is_set = |name: &&str| environment.get(name).is_some();
    let has_key = facts.key_variables.iter().any(is_set);
    let has_url =
        facts.base_url.is_some() || facts.base_url_variable.is_some_and(|name| is_set(&name));
    match preset {
        Preset::Simulated => true,
        // Google's own libraries go there by this variable.
        Preset::Vertex => environment
            .get("GOOGLE_GENAI_USE_VERTEXAI")
            .is_some_and(|value| matches!(value.to_ascii_lowercase().as_str(), "true" | "1")),
        // A key of AWS alone says nothing of models.
        Preset::Bedrock => {
            let region = || AwsSettings::new(None, None, environment.variables()).region();
            has_key && (has_url || region().is_some())
        }
        _ => has_url && (facts.is_local || has_key),
    }
}

/// Whether somebody wants to be answered by one of `providers`: there is a key, or a local server is named in
/// the file or the environment. A local one that is there by default may not even run.
pub(super) fn is_any_wanted(providers: &[Config], file: &File, environment: &Environment) -> bool {
    providers.iter().any(|provider| {
        let facts = provider.preset.facts();
        let mut variables = facts.key_variables.iter().chain(&facts.base_url_variable);
        let is_set = variables.any(|name| environment.get(name).is_some());
        let is_named = file.providers.contains_key(&provider.name);
        provider.preset != Preset::Simulated && (!facts.is_local || is_named || is_set)
    })
}

/// One provider's table, with what it is read against.
struct Table<'a> {
    name: &'a str,
    table: &'a ProviderTable,
    environment: &'a Environment,
    preset: Preset,
    facts: Facts,
}

impl<'a> Table<'a> {
    fn of(
        name: &'a str,
        table: &'a ProviderTable,
        environment: &'a Environment,
    ) -> Result<Self, Error> {
        let wanted = table.preset.as_deref().unwrap_or(name);
        let preset: Preset = wanted.parse().map_err(|error| Error::ConfigValue {
            key: format!("providers.{name}.preset"),
            problem: format!("{error}"),
            hint: Some("set `preset = \"openai\"` for any OpenAI-compatible server".to_owned()),
        })?;
        Ok(Self {
            name,
            table,
            environment,
            preset,
            facts: preset.facts(),
        })
    }

    fn config(&self) -> Result<Config, Error> {
        let table = self.table;
        self.refuse_foreign_keys()?;
        let mut config = Config::new(self.name, self.preset);
        let variable = self.facts.base_url_variable;
        let base_url = variable.and_then(|name| self.environment.get(name));
        config.base_url = table
            .base_url
            .clone()
            .or_else(|| base_url.map(str::to_owned));
        config.api_key = self.api_key()?;
        config.dialects = self.dialects()?;
        config.headers = self.headers()?;
        config.api_version.clone_from(&table.api_version);
        config.stream_usage = table.stream_usage;
        config.region.clone_from(&table.region);
        config.project.clone_from(&table.project);
        match self.facts.cloud {
            None => {}
            Some(Cloud::Aws) => {
                config.aws = self.aws()?;
                config.region = config.region.or_else(|| config.aws.region());
            }
            Some(Cloud::Google) => {
                config.google = self.google()?;
                config.region = config.region.or_else(|| config.google.location());
                config.project = config.project.or_else(|| config.google.project());
            }
        }
        if let Some(size) = table.max_response {
            config.max_response_bytes = size.0;
        }
        let deadlines = &table.deadlines;
        for (given, wanted) in [
            (deadlines.connect, &mut config.deadlines.connect),
            (deadlines.first_byte, &mut config.deadlines.first_byte),
            (deadlines.idle, &mut config.deadlines.idle),
            (deadlines.total, &mut config.deadlines.total),
        ] {
            *wanted = given.map_or(*wanted, |span| span.0);
        }
        Ok(config)
    }

    fn key(&self, field: &str) -> String {
        format!("providers.{}.{field}", self.name)
    }

    fn wrong(&self, field: &str, problem: impl Into<String>, hint: impl Into<String>) -> Error {
        Error::ConfigValue {
            key: self.key(field),
            problem: problem.into(),
            hint: Some(hint.into()),
        }
    }

    fn secret(&self, field: &str, reference: Option<&str>) -> Result<Option<Secret>, Error> {
        reference
            .map(|reference| secret(&self.key(field), reference, self.environment))
            .transpose()
    }

    /// A setting that does nothing would be believed to do something.
    fn refuse_foreign_keys(&self) -> Result<(), Error> {
        let (table, cloud) = (self.table, self.facts.cloud);
        for (field, is_set, owner) in [
            (
                "region",
                table.region.is_some() && cloud.is_none(),
                "bedrock",
            ),
            (
                "project",
                table.project.is_some() && cloud != Some(Cloud::Google),
                "vertex",
            ),
            (
                "credentials",
                table.credentials.is_some() && cloud != Some(Cloud::Google),
                "vertex",
            ),
            (
                "profile",
                table.profile.is_some() && cloud != Some(Cloud::Aws),
                "bedrock",
            ),
            (
                "access_key_id",
                table.access_key_id.is_some() && cloud != Some(Cloud::Aws),
                "bedrock",
            ),
            (
                "secret_access_key",
                table.secret_access_key.is_some() && cloud != Some(Cloud::Aws),
                "bedrock",
            ),
            (
                "session_token",
                table.session_token.is_some() && cloud != Some(Cloud::Aws),
                "bedrock",
            ),
        ] {
            if is_set {
                let problem = format!("a provider of the kind `{}` has none", self.preset);
                let hint = format!("remove it, or set `preset = \"{owner}\"`");
                return Err(self.wrong(field, problem, hint));
            }
        }
        Ok(())
    }

    fn api_key(&self) -> Result<Option<Secret>, Error> {
        if let Some(reference) = &self.table.api_key {
            return self.secret("api_key", Some(reference));
        }
        // What the file says of a cloud's credentials is not overruled by the environment.
        if self.table.profile.is_some() || self.table.access_key_id.is_some() {
            return Ok(None);
        }
        let mut variables = self.facts.key_variables.iter();
        let key = variables.find_map(|name| self.environment.get(name));
        Ok(key.map(Secret::new))
    }

    fn dialects(&self) -> Result<Vec<Dialect>, Error> {
        let may_speak = self.preset.may_speak();
        let names = may_speak.iter().map(|dialect| dialect.as_str());
        let mut dialects = Vec::new();
        for name in &self.table.dialects {
            let known = may_speak.iter().find(|dialect| dialect.as_str() == name);
            let dialect = known.ok_or_else(|| {
                let all: Vec<String> = names.clone().map(|name| format!("`{name}`")).collect();
                let near = nearest_names(name, names.clone());
                let hint = near.first().map_or_else(
                    || "choose from those".to_owned(),
                    |name| format!("did you mean `{name}`?"),
                );
                let problem = format!(
                    "`{name}` is no dialect of a provider of the kind `{}`; there are {}",
                    self.preset,
                    all.join(", ")
                );
                self.wrong("dialects", problem, hint)
            })?;
            if dialects.contains(dialect) {
                let problem = format!("`{name}` stands there twice");
                return Err(self.wrong("dialects", problem, "name each once, the best first"));
            }
            dialects.push(*dialect);
        }
        Ok(dialects)
    }

    fn headers(&self) -> Result<Vec<(String, Secret)>, Error> {
        let key = self.key("headers");
        let mut headers = Vec::new();
        for (header, reference) in &self.table.headers {
            let value = text_or_secret(&key, reference, self.environment)?;
            headers.push((header.clone(), value));
        }
        Ok(headers)
    }

    fn aws(&self) -> Result<AwsSettings, Error> {
        let table = self.table;
        let keys = match (&table.access_key_id, &table.secret_access_key) {
            (None, None) => None,
            (Some(id), Some(hidden)) => Some(AwsKeys {
                id: text_or_secret(&self.key("access_key_id"), id, self.environment)?
                    .reveal()
                    .to_owned(),
                secret: secret(&self.key("secret_access_key"), hidden, self.environment)?,
                session_token: self.secret("session_token", table.session_token.as_deref())?,
            }),
            (Some(_), None) => {
                let hint = "refer to the other half: `secret_access_key = \"env:NAME\"`";
                return Err(self.wrong("access_key_id", "it stands alone", hint));
            }
            (None, Some(_)) => {
                let hint = "refer to the other half: `access_key_id = \"env:NAME\"`";
                return Err(self.wrong("secret_access_key", "it stands alone", hint));
            }
        };
        if keys.is_some() && table.profile.is_some() {
            let problem = "`access_key_id` says something else already";
            return Err(self.wrong("profile", problem, "keep one of them"));
        }
        let profile = table.profile.clone();
        Ok(AwsSettings::new(
            keys,
            profile,
            self.environment.variables(),
        ))
    }

    fn google(&self) -> Result<GoogleSettings, Error> {
        let credentials = self.secret("credentials", self.table.credentials.as_deref())?;
        Ok(GoogleSettings::new(
            credentials,
            self.environment.variables(),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::{all, is_any_wanted};
    use crate::app::Error;
    use crate::app::file::parse_file;
    use crate::app::origin::Environment;
    use crate::domain::Dialect;
    use crate::providers::{Config, Preset, Providers};

    fn read(text: &str, variables: &[(&str, &str)]) -> Result<Vec<Config>, Error> {
        all(&parse_file(text).unwrap(), &Environment::of(variables))
    }

    /// What `check` says of a config: the first mistake of its values, or of the providers made from it.
    fn problem(text: &str, variables: &[(&str, &str)]) -> String {
        let read = read(text, variables);
        let built = read.and_then(|configs| Ok(Providers::build(configs)?));
        let error = built.map(drop).unwrap_err();
        let hint = error.hint().unwrap_or_default();
        format!("{error}; {hint}")
    }

    #[test]
    fn a_local_server_that_somebody_named_is_wanted() {
        let url = "http://127.0.0.1:9000";
        for (text, variables, wanted) in [
            ("", &[][..], false),
            ("[providers.simulated]", &[], false),
            ("[providers.fake]\npreset = \"simulated\"", &[], false),
            ("[providers.vllm]", &[], true),
            ("", &[("OLLAMA_BASE_URL", url)], true),
            ("", &[("LLAMA_CPP_BASE_URL", url)], true),
            ("", &[("VLLM_API_KEY", "key-of-the-server")], true),
            ("", &[("GROQ_API_KEY", "key-of-the-account")], true),
        ] {
            let (file, environment) = (parse_file(text).unwrap(), Environment::of(variables));
            let providers = all(&file, &environment).unwrap();
            let is_wanted = is_any_wanted(&providers, &file, &environment);
            assert_eq!(is_wanted, wanted, "{text} {variables:?}");
        }
    }

    #[test]
    fn what_is_missing_or_wrong_is_named_with_what_to_do() {
        // Nothing of the machine that runs the test.
        let none = &[
            ("AWS_CONFIG_FILE", "/none/a"),
            ("AWS_SHARED_CREDENTIALS_FILE", "/none/b"),
        ];
        for (text, part) in [
            (
                "[providers.bedrock]",
                "`bedrock` needs a `region` (or `AWS_REGION`)",
            ),
            (
                "[providers.bedrock]\nregion = \"EU West\"",
                "`EU West`, which is no region",
            ),
            (
                "[providers.vertex]\nproject = \"p\"",
                "needs a `location` (or `GOOGLE_CLOUD_LOCATION`)",
            ),
            (
                "[providers.vertex]\nlocation = \"eu\"",
                "needs a `project` (or `GOOGLE_CLOUD_PROJECT`)",
            ),
            (
                "[providers.bedrock]\nregion = \"r\"\naccess_key_id = \"A\"",
                "`providers.bedrock.access_key_id`: it stands alone; refer to the other half",
            ),
            (
                "[providers.bedrock]\nregion = \"r\"\naccess_key_id = \"A\"\n\
                 secret_access_key = \"canary\"",
                "`providers.bedrock.secret_access_key`: a secret is written out",
            ),
            (
                "[providers.openai]\nregion = \"r\"",
                "`providers.openai.region`: a provider of the kind `openai` has none",
            ),
            (
                "[providers.vertex]\nprofile = \"p\"",
                "remove it, or set `preset = \"bedrock\"`",
            ),
            (
                "[providers.vertex]\ncredentials = \"/a/file.json\"",
                "`providers.vertex.credentials`: a secret is written out",
            ),
            (
                "[providers.vllm]\ndialects = [\"response\"]",
                "`response` is no dialect of a provider of the kind `vllm`; there are `chat`, \
                 `responses`, `messages`; did you mean `responses`?",
            ),
            (
                "[providers.vllm]\ndialects = [\"chat\", \"chat\"]",
                "`chat` stands there twice",
            ),
            ("[providers.bedrok]", "there are `openai`"),
        ] {
            let problem = problem(text, none);
            assert!(
                problem.contains(part) && !problem.contains("canary"),
                "{problem}"
            );
        }
    }

    #[test]
    fn clouds_take_their_place_from_wherever_it_is_named() {
        let text =
            "[providers.bedrock]\nprofile = \"dev\"\n[providers.google]\npreset = \"vertex\"";
        let variables = [
            ("AWS_REGION", "eu-west-1"),
            ("AWS_BEARER_TOKEN_BEDROCK", "b"),
            ("GOOGLE_CLOUD_PROJECT", "p"),
            ("GOOGLE_CLOUD_LOCATION", "global"),
        ];
        let configs = read(text, &variables).unwrap();
        let named = |name: &str| configs.iter().find(|config| config.name == name).unwrap();
        let bedrock = named("bedrock");
        assert_eq!(bedrock.region.as_deref(), Some("eu-west-1"));
        // The file wins over a token that happens to be in the environment.
        assert_eq!(bedrock.api_key, None);
        let google = named("google");
        assert_eq!(
            (google.project.as_deref(), google.region.as_deref()),
            (Some("p"), Some("global"))
        );
        Providers::build(configs).unwrap();
    }

    #[test]
    fn the_environment_brings_providers_by_what_is_meant_for_models() {
        let names = |variables: &[(&str, &str)]| {
            let configs = read("", variables).unwrap().into_iter();
            let hosted = configs.filter(|config| !config.preset.facts().is_local);
            hosted.map(|config| config.preset).collect::<Vec<_>>()
        };
        let region = ("AWS_REGION", "eu-west-1");
        let place = [
            ("GOOGLE_CLOUD_PROJECT", "p"),
            ("GOOGLE_CLOUD_LOCATION", "global"),
        ];
        let none = &[][..];
        for (variables, expected) in [
            (&[("XAI_API_KEY", "k")][..], &[Preset::Xai][..]),
            (&[region, ("AWS_ACCESS_KEY_ID", "k")], none),
            (
                &[region, ("AWS_BEARER_TOKEN_BEDROCK", "k")],
                &[Preset::Bedrock],
            ),
            (&place, none),
            (
                &[place[0], place[1], ("GOOGLE_GENAI_USE_VERTEXAI", "True")],
                &[Preset::Vertex],
            ),
        ] {
            assert_eq!(names(variables), expected, "{variables:?}");
        }
    }

    #[test]
    fn dialects_can_be_chosen() {
        let configs = read(
            "[providers.vllm]\ndialects = [\"responses\", \"chat\"]",
            &[],
        )
        .unwrap();
        assert_eq!(configs[0].dialects, [Dialect::Responses, Dialect::Chat]);
    }
}
