//! What a rendered prompt must be, in one word and a value.

use crate::metering::Tokens;
use crate::prompts::{Bundle, Part, Rendered, RenderedMessage, Trial};
use std::str::FromStr;

/// The forms, for the message about others.
const FORMS: &str = "contains:TEXT, not-contains:TEXT, starts-with:TEXT, max-tokens:N, max-messages:N, role:NAME, model:NAME";

/// What a version must be to be good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Assertion {
    Contains(String),
    NotContains(String),
    StartsWith(String),
    MaxTokens(u64),
    MaxMessages(usize),
    Role(String),
    Model(String),
}

impl FromStr for Assertion {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fail = || format!("`{text}` is no assertion; the forms are {FORMS}");
        let (kind, value) = text.split_once(':').ok_or_else(fail)?;
        let owned = value.to_owned();
        Ok(match kind {
            "contains" => Self::Contains(owned),
            "not-contains" => Self::NotContains(owned),
            "starts-with" => Self::StartsWith(owned),
            "max-tokens" => Self::MaxTokens(value.parse().map_err(|_| fail())?),
            "max-messages" => Self::MaxMessages(value.parse().map_err(|_| fail())?),
            "role" => Self::Role(owned),
            "model" => Self::Model(owned),
            _ => return Err(fail()),
        })
    }
}

impl Assertion {
    /// Whether a rendered version is as it must be.
    pub(crate) fn holds(&self, bundle: &Bundle, rendered: &Rendered) -> bool {
        let text = text_of(rendered);
        match self {
            Self::Contains(part) => text.contains(part),
            Self::NotContains(part) => !text.contains(part),
            Self::StartsWith(start) => text.starts_with(start),
            Self::MaxTokens(most) => {
                Tokens.count_text(bundle.model().unwrap_or_default(), &text) <= *most
            }
            Self::MaxMessages(most) => rendered.messages.len() <= *most,
            Self::Role(name) => rendered.messages.iter().any(|message| match message {
                RenderedMessage::Prompt { role, .. } => {
                    role.as_str() == name || role.openai_name() == name
                }
                RenderedMessage::Client(_) => false,
            }),
            Self::Model(name) => bundle.model() == Some(name),
        }
    }
}

/// Whether all hold.
pub(crate) fn judge(assertions: &[Assertion], bundle: &Bundle, rendered: &Rendered) -> Trial {
    if assertions
        .iter()
        .all(|assertion| assertion.holds(bundle, rendered))
    {
        Trial::Good
    } else {
        Trial::Bad
    }
}

/// Returns the texts of the prompt's messages, one after the other.
fn text_of(rendered: &Rendered) -> String {
    let mut text = String::new();
    for message in &rendered.messages {
        if let RenderedMessage::Prompt { content, .. } = message {
            for part in content {
                match part {
                    Part::Text(part) => text.push_str(part),
                    Part::Media { url, .. } => text.push_str(url),
                }
            }
            text.push('\n');
        }
    }
    text
}
