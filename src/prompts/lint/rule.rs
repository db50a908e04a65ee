//! The rules of the linter: a closed list, with the words that explain each.

use serde::{Serialize, Serializer};
use std::fmt;

/// What a finding is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Rule {
    /// P001.
    BrokenFile,
    /// P002.
    UnknownKey,
    /// P003.
    NotDotprompt,
    /// P004.
    MissingReference,
    /// P005.
    PartialCycle,
    /// P006.
    UndeclaredVariable,
    /// P007.
    BadSchema,
    /// P008.
    BadDefault,
    /// P009.
    BadRole,
    /// P010.
    ShadowedHelper,
    /// P011.
    ModelNotAllowed,
    /// P012.
    Secret,
    /// P013.
    BadRelease,
    /// P014.
    SampleTooLarge,
    /// P015.
    SampleFails,
    /// P016.
    BadName,
    /// W101.
    UnusedVariable,
    /// W102.
    RawValue,
    /// W103.
    UntrustedSystemText,
    /// W104.
    TwoSpellings,
    /// W105.
    LooseOutput,
    /// W106.
    UncoveredChange,
    /// W107.
    CacheBreaker,
    /// W108.
    WhitespaceOnly,
    /// W109.
    RepeatedText,
    /// W110.
    HiddenCharacter,
    /// W111.
    VariantDrift,
    /// H201.
    NearDuplicate,
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth a thought; it fails nothing.
    Hint,
    /// Worth a look.
    Warning,
    /// Wrong.
    Error,
}

/// What is said about a rule.
struct Words {
    rule: Rule,
    code: &'static str,
    name: &'static str,
    summary: &'static str,
    help: &'static str,
}

/// One row of [`WORDS`].
const fn row(
    rule: Rule,
    code: &'static str,
    name: &'static str,
    summary: &'static str,
    help: &'static str,
) -> Words {
    Words {
        rule,
        code,
        name,
        summary,
        help,
    }
}

/// In the order of the codes.
const WORDS: [Words; 28] = [
    row(
        Rule::NearDuplicate,
        "H201",
        "near-duplicate-prompt",
        "two prompts say nearly the same in other words",
        "Found by `lint --semantic`, which embeds what prompts say. Two that mean the same drift apart; a partial \
         keeps what they share in one place.",
    ),
    row(
        Rule::BrokenFile,
        "P001",
        "broken-file",
        "a file cannot be read as what it is",
        "The front matter is not closed, its YAML is broken, or the file has a byte order mark, is \
         not UTF-8, is a link, or is too large. Nothing of it is served.",
    ),
    row(
        Rule::UnknownKey,
        "P002",
        "unknown-key",
        "a key is unknown or has the wrong form",
        "Keys of the front matter are Dotprompt's or have a namespace (`team.key`); keys of \
         `promptgate.*`, `registry.yaml` and `releases.yaml` are a closed list. A key that nobody \
         reads looks as if it did something.",
    ),
    row(
        Rule::NotDotprompt,
        "P003",
        "not-dotprompt",
        "the template uses what Dotprompt does not have",
        "Helpers, sections (`{{#name}}`), computed partials and raw blocks of other template \
         languages are refused, so that the file means the same in every implementation.",
    ),
    row(
        Rule::MissingReference,
        "P004",
        "missing-reference",
        "a partial, a schema or a tool is not there",
        "Everything a prompt names must be in the same registry, at the same commit.",
    ),
    row(
        Rule::PartialCycle,
        "P005",
        "partial-cycle",
        "partials include each other in a circle or too deep",
        "A partial must not include itself, directly or through others, nor be nested deeper than \
         16.",
    ),
    row(
        Rule::UndeclaredVariable,
        "P006",
        "undeclared-variable",
        "a variable is used but not declared",
        "Where there is an input schema, every variable of the template stands in it; a name that \
         does not is usually a slip of the pen, and would render as nothing.",
    ),
    row(
        Rule::BadSchema,
        "P007",
        "bad-schema",
        "a schema is invalid or reads as something else",
        "Picoschema is broken, or a field called `type` or `properties` at the top makes the whole \
         read as JSON Schema, in which the other fields mean nothing.",
    ),
    row(
        Rule::BadDefault,
        "P008",
        "bad-default",
        "a default does not fit the schema",
        "Every call that relies on the default would be refused.",
    ),
    row(
        Rule::BadRole,
        "P009",
        "bad-role",
        "a role is unknown, or text has a role that was not meant",
        "Roles are system, user, model and tool. A tool's message needs a call before it, and text \
         after `{{history}}` without a role is said by the model.",
    ),
    row(
        Rule::ShadowedHelper,
        "P010",
        "shadowed-helper",
        "a variable has the name of a helper",
        "`{{history}}` and the like are helpers: a variable of that name is never printed.",
    ),
    row(
        Rule::ModelNotAllowed,
        "P011",
        "model-not-allowed",
        "the model is not allowed or is being shut down",
        "`models:` in `registry.yaml` lists what may be used; the dates of shutdowns come with the \
         price table.",
    ),
    row(
        Rule::Secret,
        "P012",
        "secret",
        "a file holds a credential, an endpoint or a reference to the environment",
        "Prompts are read by many and sent to providers. Credentials and endpoints belong into \
         promptgate.toml, as references.",
    ),
    row(
        Rule::BadRelease,
        "P013",
        "bad-release",
        "a release cannot be resolved",
        "A selector of `releases.yaml` names no prompt or no version, a canary has expired, or its \
         share is not between 0 and 100 percent.",
    ),
    row(
        Rule::SampleTooLarge,
        "P014",
        "sample-too-large",
        "a rendered sample is over a limit",
        "The rendering is over the limit of size, over `limits.tokens` of `registry.yaml`, or does \
         not fit into the model.",
    ),
    row(
        Rule::SampleFails,
        "P015",
        "sample-fails",
        "a sample does not fit its prompt",
        "Samples are rendered at every load: they are the prompt's smallest test.",
    ),
    row(
        Rule::BadName,
        "P016",
        "bad-name",
        "a name or a path is invalid, or there twice",
        "Names are letters, digits, `_`, `-` and `.`; two that differ in case only cannot be held \
         by every file system, and an alias must mean one prompt.",
    ),
    row(
        Rule::UnusedVariable,
        "W101",
        "unused-variable",
        "a declared variable is not used",
        "Callers send it for nothing.",
    ),
    row(
        Rule::RawValue,
        "W102",
        "raw-value",
        "an object or a list is printed raw",
        "How an object looks when it is printed differs between implementations; `{{json x}}` and \
         `{{#each x}}` do not.",
    ),
    row(
        Rule::UntrustedSystemText,
        "W103",
        "untrusted-system-text",
        "a variable of free text stands in a system message",
        "What callers' users write must not give instructions. Put it into a user message, or list \
         the variable under `promptgate.trusted` when the application vouches for it.",
    ),
    row(
        Rule::TwoSpellings,
        "W104",
        "two-spellings",
        "a setting is there in two spellings",
        "Which of the two counts depends on who reads the file.",
    ),
    row(
        Rule::LooseOutput,
        "W105",
        "loose-output",
        "the output schema does not fit the provider's strict mode",
        "Strict mode wants every object closed and every property required; otherwise the schema \
         is a wish and not a promise.",
    ),
    row(
        Rule::UncoveredChange,
        "W106",
        "uncovered-change",
        "a changed prompt has no sample and no eval",
        "Nothing would notice when the change breaks it: add `NAME.samples.yaml` or \
         `NAME.eval.yaml`.",
    ),
    row(
        Rule::CacheBreaker,
        "W107",
        "cache-breaker",
        "something volatile stands before fixed text",
        "Providers cache the beginning of a prompt that is always the same; a date or an id in it \
         makes everything behind it cost the full price in every call.",
    ),
    row(
        Rule::WhitespaceOnly,
        "W108",
        "whitespace-only",
        "a change is of whitespace only",
        "It makes a new version, and new versions lose caches and comparisons.",
    ),
    row(
        Rule::RepeatedText,
        "W109",
        "repeated-text",
        "a text is there twice",
        "A partial keeps the two from drifting apart.",
    ),
    row(
        Rule::HiddenCharacter,
        "W110",
        "hidden-character",
        "a character is invisible, turns the reading direction, or looks like another",
        "A reviewer does not see what the model reads.",
    ),
    row(
        Rule::VariantDrift,
        "W111",
        "variant-drift",
        "variants of a prompt take different variables",
        "Traffic cannot be moved from one to the other without changing the callers.",
    ),
];

impl Rule {
    /// Returns all rules, by code.
    pub fn all() -> impl Iterator<Item = Self> {
        WORDS.iter().map(|words| words.rule)
    }

    /// Returns the rule whose code is `code`.
    #[must_use]
    pub fn of_code(code: &str) -> Option<Self> {
        let words = WORDS.iter().find(|words| words.code == code);
        words.map(|words| words.rule)
    }

    fn words(self) -> Option<&'static Words> {
        WORDS.iter().find(|words| words.rule == self)
    }

    /// Returns the code: `P003`.
    #[must_use]
    pub fn code(self) -> &'static str {
        self.words().map_or("", |words| words.code)
    }

    /// Returns the name: `not-dotprompt`.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.words().map_or("", |words| words.name)
    }

    /// Returns what is wrong, in one line.
    #[must_use]
    pub fn summary(self) -> &'static str {
        self.words().map_or("", |words| words.summary)
    }

    /// Returns why it matters and what to do.
    #[must_use]
    pub fn help(self) -> &'static str {
        self.words().map_or("", |words| words.help)
    }

    /// Returns how bad a finding is where `registry.yaml` does not say.
    #[must_use]
    pub fn severity(self) -> Severity {
        match self.code().chars().next() {
            Some('P') => Severity::Error,
            Some('H') => Severity::Hint,
            _ => Severity::Warning,
        }
    }

    /// Whether every finding also keeps the prompt from being loaded, so that no level can be set.
    pub(super) const fn stops_loading(self) -> bool {
        matches!(
            self,
            Self::BrokenFile
                | Self::NotDotprompt
                | Self::MissingReference
                | Self::PartialCycle
                | Self::UndeclaredVariable
                | Self::SampleFails
        )
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.code())
    }
}

impl Serialize for Rule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.code())
    }
}

#[cfg(test)]
mod tests {
    use super::{Rule, WORDS};

    #[test]
    fn every_rule_has_a_code_of_its_own_and_words() {
        let mut codes: Vec<_> = Rule::all().map(Rule::code).collect();
        assert_eq!(codes.len(), 28);
        assert!(codes.is_sorted());
        codes.dedup();
        assert_eq!(codes.len(), 28);
        for words in &WORDS {
            assert_eq!(Rule::of_code(words.code), Some(words.rule));
            assert!(words.help.ends_with('.'), "{}", words.code);
        }
        assert_eq!(Rule::of_code("P999"), None);
    }
}
