//! Which providers are asked for a model, in which order.

use crate::domain::{Caller, nearest_names};
use crate::providers::Preset;
use crate::proxy::Error;
use std::collections::BTreeSet;
use std::time::Duration;

/// Which models go to which provider.
#[derive(Debug, Clone, Default)]
pub struct Routes {
    /// The providers that are configured, by name.
    pub providers: BTreeSet<String>,
    /// Patterns of model names and their provider; the first match wins.
    pub patterns: Vec<Route>,
    /// Where models go whose provider is known but not configured: `simulated` when no provider has a
    /// key.
    pub catch_all: Option<String>,
    /// Providers for which what they cannot be told is left out of a request (`drop_unsupported`).
    pub dropping: BTreeSet<String>,
    /// How failed attempts are tried again.
    pub retry: RetryPolicy,
}

/// Models of one pattern, and who serves them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// A name, or the beginning of names: `gpt-*`.
    pub pattern: String,
    /// The provider.
    pub provider: String,
    /// Whether what these models cannot be told is left out of a request; `None` as the provider has it.
    pub drops_unsupported: Option<bool>,
}

impl Route {
    /// Returns the route of a pattern to a provider, with nothing of its own.
    #[must_use]
    pub fn new(pattern: &str, provider: &str) -> Self {
        Self {
            pattern: pattern.to_owned(),
            provider: provider.to_owned(),
            drops_unsupported: None,
        }
    }

    fn fits(&self, model: &str) -> bool {
        matches_pattern(&self.pattern, model)
    }
}

/// When an attempt is made again. Only before the first content byte, and only where nothing was
/// answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Further tries at the same provider.
    pub retries: u32,
    /// The wait before a further try when the provider names none.
    pub pause: Duration,
    /// A provider that asks for a longer wait is not tried again.
    pub longest_pause: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            retries: 1,
            pause: Duration::from_millis(200),
            longest_pause: Duration::from_secs(5),
        }
    }
}

/// One step of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedAttempt {
    /// The provider's name in the config.
    pub provider: String,
    /// The model to ask of it.
    pub model: String,
    /// Whether what cannot be said to it is left out with a warning, in place of an error.
    pub drops_unsupported: bool,
}

/// The attempts of a call, in order. Fallbacks, weights and breakers will fill the later places.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The first choice.
    pub first: PlannedAttempt,
    /// Where to go when the first choice fails.
    pub fallbacks: Vec<PlannedAttempt>,
    /// How often each is tried.
    pub retry: RetryPolicy,
}

/// Models by their usual names: what comes without a provider in front goes here.
pub const WELL_KNOWN: [(&str, &str); 28] = [
    ("gpt-*", "openai"),
    ("chatgpt-*", "openai"),
    ("o1*", "openai"),
    ("o3*", "openai"),
    ("o4*", "openai"),
    ("text-embedding-*", "openai"),
    ("omni-moderation-*", "openai"),
    ("text-moderation-*", "openai"),
    ("dall-e-*", "openai"),
    ("tts-*", "openai"),
    ("whisper-*", "openai"),
    ("sora-*", "openai"),
    ("claude-*", "anthropic"),
    ("gemini-*", "gemini"),
    ("mistral-*", "mistral"),
    ("ministral-*", "mistral"),
    ("codestral-*", "mistral"),
    ("magistral-*", "mistral"),
    ("devstral-*", "mistral"),
    ("pixtral-*", "mistral"),
    ("open-mistral-*", "mistral"),
    ("open-mixtral-*", "mistral"),
    ("deepseek-*", "deepseek"),
    ("grok-*", "xai"),
    ("command-*", "cohere"),
    ("embed-v4*", "cohere"),
    ("simulated", "simulated"),
    ("simulated?*", "simulated"),
];

impl Routes {
    /// Returns the attempts for `model`.
    ///
    /// # Errors
    ///
    /// `model_not_found` when no provider serves the model, `model_forbidden` when the caller's key
    /// does not allow it.
    pub fn plan(&self, caller: &Caller, model: &str) -> Result<Plan, Error> {
        let first = self
            .first_choice(model)
            .ok_or_else(|| self.not_found(model))?;
        // A key may be bound to `gpt-5` or to `openai/gpt-5`, however the request spells it.
        let full_name = format!("{}/{}", first.provider, first.model);
        let names = [model, &first.model, &full_name];
        if !names.into_iter().any(|name| caller.may_use_model(name)) {
            return Err(Error::ModelForbidden {
                model: model.to_owned(),
            });
        }
        Ok(Plan {
            first,
            fallbacks: Vec::new(),
            retry: self.retry,
        })
    }

    /// Returns the provider that `model` belongs to by its name, configured or not, and the model's
    /// name there.
    #[must_use]
    pub fn owner<'a>(&'a self, model: &'a str) -> Option<(&'a str, &'a str)> {
        if let Some((provider, rest)) = model.split_once('/')
            && (self.providers.contains(provider) || provider.parse::<Preset>().is_ok())
            && !rest.is_empty()
        {
            return Some((provider, rest));
        }
        let by_pattern = self.patterns.iter().find(|route| route.fits(model));
        by_pattern.map(|route| (route.provider.as_str(), model))
    }

    fn first_choice(&self, model: &str) -> Option<PlannedAttempt> {
        let attempt = |provider: &str, model: &str| PlannedAttempt {
            drops_unsupported: self.drops_unsupported(provider, model),
            provider: provider.to_owned(),
            model: model.to_owned(),
        };
        if let Some((provider, rest)) = model.split_once('/')
            && self.providers.contains(provider)
            && !rest.is_empty()
        {
            return Some(attempt(provider, rest));
        }
        let by_pattern = self
            .patterns
            .iter()
            .filter(|route| self.providers.contains(&route.provider))
            .find(|route| route.fits(model));
        if let Some(route) = by_pattern {
            return Some(attempt(&route.provider, model));
        }
        let elsewhere = self.named_elsewhere(model)?;
        self.catch_all
            .as_ref()
            .map(|provider| attempt(provider, elsewhere))
    }

    /// Whether what `provider` cannot be told about `model` is left out: what the model's route says, also when the
    /// provider is named in front, else what the provider has.
    fn drops_unsupported(&self, provider: &str, model: &str) -> bool {
        let own = self
            .patterns
            .iter()
            .filter(|route| route.provider == provider && route.fits(model))
            .find_map(|route| route.drops_unsupported);
        own.unwrap_or_else(|| self.dropping.contains(provider))
    }

    /// The bare name of a model that is known, though its provider is not configured.
    fn named_elsewhere<'a>(&self, model: &'a str) -> Option<&'a str> {
        let by_provider = model
            .split_once('/')
            .filter(|(provider, _)| provider.parse::<Preset>().is_ok());
        if let Some((_, bare)) = by_provider {
            return Some(bare).filter(|bare| !bare.is_empty());
        }
        let is_known = self.patterns.iter().any(|route| route.fits(model));
        is_known.then_some(model)
    }

    fn not_found(&self, model: &str) -> Error {
        let by_name = model.split_once('/').map(|(provider, _)| provider);
        let by_name = by_name.filter(|provider| {
            provider.parse::<Preset>().is_ok() && !self.providers.contains(*provider)
        });
        let by_pattern = || self.patterns.iter().find(|route| route.fits(model));
        let owner = by_name
            .or_else(|| by_pattern().map(|route| route.provider.as_str()))
            .map(str::to_owned);
        let near = nearest_names(model, self.providers.iter().map(String::as_str));
        let near = near.into_iter().map(str::to_owned).collect();
        Error::ModelNotFound {
            model: model.to_owned(),
            owner,
            near,
        }
    }
}

/// Whether `model` is named by `pattern`, which may end in `*`.
fn matches_pattern(pattern: &str, model: &str) -> bool {
    pattern
        .strip_suffix('*')
        .map_or_else(|| pattern == model, |head| model.starts_with(head))
}

#[cfg(test)]
mod tests {
    use super::{Route, Routes, WELL_KNOWN};
    use crate::domain::Caller;

    fn routes(providers: &[&str], catch_all: Option<&str>) -> Routes {
        Routes {
            providers: providers.iter().map(|&name| name.to_owned()).collect(),
            patterns: WELL_KNOWN
                .iter()
                .map(|&(pattern, provider)| Route::new(pattern, provider))
                .collect(),
            catch_all: catch_all.map(str::to_owned),
            ..Routes::default()
        }
    }

    #[test]
    fn models_find_their_provider() {
        let routes = routes(&["openai", "groq", "simulated"], None);
        for (model, provider, asked) in [
            ("gpt-5-mini", "openai", "gpt-5-mini"),
            ("openai/gpt-4o", "openai", "gpt-4o"),
            ("groq/meta-llama/llama-4", "groq", "meta-llama/llama-4"),
            ("simulated/a?fail=429", "simulated", "a?fail=429"),
            ("simulated", "simulated", "simulated"),
        ] {
            let plan = routes.plan(&Caller::local(), model).unwrap();
            assert_eq!(
                (plan.first.provider.as_str(), plan.first.model.as_str()),
                (provider, asked)
            );
        }
    }

    #[test]
    fn a_model_belongs_to_its_provider_with_and_without_a_key() {
        let routes = routes(&["local"], Some("simulated"));
        for (model, owner) in [
            ("gpt-5-mini", Some(("openai", "gpt-5-mini"))),
            ("openai/gpt-4o", Some(("openai", "gpt-4o"))),
            ("local/llama-4", Some(("local", "llama-4"))),
            ("simulated", Some(("simulated", "simulated"))),
            ("nobody/knows", None),
            ("llama-4", None),
        ] {
            assert_eq!(routes.owner(model), owner, "{model}");
        }
    }

    #[test]
    fn a_model_without_provider_is_an_error_that_says_what_is_missing() {
        for (model, owner) in [
            ("claude-4", "`anthropic`"),
            ("openai/text-embedding-3-large", "`openai`"),
            ("groq/llama-4", "`groq`"),
        ] {
            let error = routes(&["simulated"], None)
                .plan(&Caller::local(), model)
                .unwrap_err();
            assert_eq!(error.kind(), "model_not_found");
            let hint = error.hint().unwrap();
            assert!(
                hint.contains(owner) && hint.contains("not configured"),
                "{hint}"
            );
        }
    }

    #[test]
    fn without_any_key_every_known_model_is_simulated() {
        let routes = routes(&["simulated"], Some("simulated"));
        for (model, asked) in [("gpt-5", "gpt-5"), ("groq/llama-4", "llama-4")] {
            let plan = routes.plan(&Caller::local(), model).unwrap();
            assert_eq!(plan.first.provider, "simulated");
            assert_eq!(plan.first.model, asked);
        }
        for unknown in ["nobody/knows-this", "gtp-5", "openai/"] {
            let error = routes.plan(&Caller::local(), unknown).unwrap_err();
            assert_eq!(error.kind(), "model_not_found", "{unknown}");
        }
    }

    #[test]
    fn a_route_decides_for_its_models_what_is_left_out() {
        let mut routes = routes(&["openai", "anthropic"], None);
        routes.dropping = ["openai".to_owned()].into();
        let own = [
            ("claude-opus-*", "anthropic", true),
            ("gpt-5*", "openai", false),
        ];
        let own = own.map(|(pattern, provider, drops)| Route {
            drops_unsupported: Some(drops),
            ..Route::new(pattern, provider)
        });
        routes.patterns.splice(0..0, own);
        for (model, drops) in [
            ("claude-opus-4-6", true),
            ("anthropic/claude-opus-4-6", true),
            ("claude-haiku-4-5", false),
            ("gpt-5-mini", false),
            ("gpt-4o", true),
            ("openai/gpt-4o", true),
        ] {
            let plan = routes.plan(&Caller::local(), model).unwrap();
            assert_eq!(plan.first.drops_unsupported, drops, "{model}");
        }
    }

    #[test]
    fn a_key_may_be_bound_to_models() {
        let caller = Caller {
            models: vec!["gpt-*".to_owned()],
            ..Caller::local()
        };
        let routes = routes(&["openai", "simulated"], None);
        assert!(routes.plan(&caller, "gpt-5").is_ok());
        assert_eq!(
            routes.plan(&caller, "simulated/x").unwrap_err().kind(),
            "model_forbidden"
        );
    }
}
