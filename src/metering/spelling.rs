//! The names under which people know a provider and a model, brought to those of the table.

use std::borrow::Cow;

/// What stands before a model of Amazon's where one of several regions of a part of the world answers.
const PROFILES: [&str; 9] = [
    "global.", "us.", "us-gov.", "eu.", "apac.", "jp.", "au.", "ca.", "in.",
];

/// Returns the table's name of a provider.
pub(super) fn canonical(provider: &str) -> Cow<'_, str> {
    Cow::Borrowed(match provider {
        "azure_ai" | "azure_openai" | "azure-openai" => "azure",
        "bedrock_converse" | "bedrock_mantle" | "amazon_bedrock" => "bedrock",
        "cohere_chat" => "cohere",
        "fireworks_ai" | "fireworks-ai" | "fireworks_ai-embedding-models" => "fireworks",
        "google" | "google_ai" | "google-ai" => "gemini",
        "mistralai" => "mistral",
        "text-completion-openai" => "openai",
        "together_ai" | "together-ai" | "togethercomputer" => "together",
        "x-ai" | "x_ai" => "xai",
        "vertex-ai" | "google-vertex" => "vertex",
        other if other.starts_with("vertex_ai") => "vertex",
        other if other.bytes().any(|byte| byte.is_ascii_uppercase()) => {
            return Cow::Owned(other.to_ascii_lowercase());
        }
        other => other,
    })
}

/// Returns the names under which a list, which is named as the table does, may hold `model`: nearest first.
pub(super) fn spellings<'a>(list: &str, model: &'a str) -> [Option<&'a str>; 3] {
    let provider = list.split('@').next().unwrap_or(list);
    let bare = match provider {
        "bedrock" => last_part(model),
        "fireworks" => model.strip_prefix("accounts/fireworks/models/"),
        "vertex" => published(model),
        _ => model.strip_prefix("models/"),
    };
    let bare = bare.or_else(|| without_provider(provider, model));
    let base = match provider {
        "bedrock" => without_profile(bare.unwrap_or(model)),
        _ => None,
    };
    [Some(model), bare, base]
}

/// Returns the same names without their dates: versions of the model that the table does not tell apart.
pub(super) fn undated(names: [Option<&str>; 3]) -> [Option<&str>; 3] {
    names.map(|name| name.and_then(without_date))
}

/// `openai/gpt-4o` is `gpt-4o` in the list of `openai`.
fn without_provider<'a>(provider: &str, model: &'a str) -> Option<&'a str> {
    let (prefix, rest) = model.split_once('/')?;
    (canonical(prefix) == provider).then_some(rest)
}

/// The id at the end of an Amazon resource name: `arn:aws:bedrock:eu-west-1:1:inference-profile/eu.x`.
/// One that names a throughput or a profile of somebody's own ends in a word that no table has.
fn last_part(model: &str) -> Option<&str> {
    let (_, id) = model.strip_prefix("arn:")?.rsplit_once('/')?;
    Some(id)
}

/// `eu.anthropic.claude-x` is `anthropic.claude-x`, asked in several regions.
fn without_profile(model: &str) -> Option<&str> {
    let mut profiles = PROFILES.into_iter();
    profiles.find_map(|profile| model.strip_prefix(profile))
}

/// `publishers/google/models/gemini-x` and `google/gemini-x` are `gemini-x` of Google's own models and of
/// Anthropic's; what is another publisher's keeps its name in the table.
fn published(model: &str) -> Option<&str> {
    let model = model.strip_prefix("publishers/").unwrap_or(model);
    let (publisher, rest) = model.split_once('/')?;
    let is_known = matches!(publisher, "google" | "anthropic" | "mistralai");
    is_known.then(|| rest.strip_prefix("models/").unwrap_or(rest))
}

/// Returns `model` without a date at its end (`-2024-08-06`, `-20240806`, `@20240806`), or without a word
/// that stands for one (`@default`, `@latest`).
fn without_date(model: &str) -> Option<&str> {
    let ends_with = |pattern: &str| {
        let (head, tail) = model.split_at_checked(model.len().checked_sub(pattern.len())?)?;
        let is_date = tail
            .bytes()
            .zip(pattern.bytes())
            .all(|(byte, wanted)| match wanted {
                b'0' => byte.is_ascii_digit(),
                literal => byte == literal,
            });
        (is_date && !head.is_empty()).then_some(head)
    };
    let mut patterns = [
        "-0000-00-00",
        "-00000000",
        "@00000000",
        "@default",
        "@latest",
    ]
    .into_iter();
    patterns.find_map(ends_with)
}

#[cfg(test)]
mod tests {
    use super::{spellings, undated, without_date};

    fn names<'a>(list: &str, model: &'a str) -> Vec<&'a str> {
        let names = spellings(list, model);
        names.into_iter().chain(undated(names)).flatten().collect()
    }

    #[test]
    fn every_cloud_has_its_own_spellings() {
        let arn = "arn:aws:bedrock:eu-west-1:1:inference-profile/eu.a.b-v1:0";
        for (list, model, wanted) in [
            ("openai", "openai/gpt-x", vec!["openai/gpt-x", "gpt-x"]),
            ("openai", "other/gpt-x", vec!["other/gpt-x"]),
            ("openai", "eu.a", vec!["eu.a"]),
            ("bedrock", arn, vec![arn, "eu.a.b-v1:0", "a.b-v1:0"]),
            ("bedrock@eu-west-1", "us-gov.a.b", vec!["us-gov.a.b", "a.b"]),
            ("bedrock", "a.b/c", vec!["a.b/c"]),
            ("vertex@regional", "c@20250929", vec!["c@20250929", "c"]),
            ("vertex", "c-20250929", vec!["c-20250929", "c"]),
            (
                "vertex",
                "publishers/google/models/g@default",
                vec![
                    "publishers/google/models/g@default",
                    "g@default",
                    "publishers/google/models/g",
                    "g",
                ],
            ),
            ("vertex", "meta/llama-maas", vec!["meta/llama-maas"]),
            (
                "fireworks",
                "accounts/fireworks/models/m",
                vec!["accounts/fireworks/models/m", "m"],
            ),
            (
                "fireworks",
                "accounts/mine/models/m",
                vec!["accounts/mine/models/m"],
            ),
        ] {
            assert_eq!(names(list, model), wanted, "{list}");
        }
    }

    #[test]
    fn dates_are_taken_off() {
        for (model, wanted) in [
            ("-2024-08-06", None),
            ("ü2024-08-06", None),
            ("gpt-4o-2024-08-06", Some("gpt-4o")),
            ("c-20240806", Some("c")),
            ("c@latest", Some("c")),
            ("c@001", None),
        ] {
            assert_eq!(without_date(model), wanted);
        }
    }
}
