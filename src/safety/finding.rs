//! What a detector can say: which rule saw something, where, and how sure it is.
//!
//! A finding never holds the value itself. Whoever may read the text can look at the span; a report
//! that leaves the house shows only what kind of thing stood there.

use serde::Serialize;
use std::fmt;
use std::ops::Range;

/// How bad it is when a finding is true.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing.
    Low,
    /// Somebody should look.
    Medium,
    /// Must not reach a user.
    High,
    /// Somebody outside can act on it at once.
    Critical,
}

impl Severity {
    /// Returns the severity that is written `id`, if there is one.
    #[must_use]
    pub fn parse(id: &str) -> Option<Self> {
        [Self::Low, Self::Medium, Self::High, Self::Critical]
            .into_iter()
            .find(|severity| severity.id() == id)
    }

    /// Returns the stable name.
    #[must_use]
    pub const fn id(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

/// Detectors that are chosen together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Family {
    /// Personal data with a form or a checksum of its own.
    Pii,
    /// Credentials.
    Secrets,
    /// Words with which a model declines.
    Refusal,
    /// Planted tokens that came out.
    Canary,
    /// Characters that a reader does not see, or that steer a terminal.
    Unicode,
    /// Links and images that carry data to a foreign host.
    Exfiltration,
    /// Markup that a browser would run.
    Markup,
    /// Commands that destroy or open a machine or a database.
    Commands,
    /// Text that should have stayed hidden.
    Leak,
    /// The same words again and again.
    Repetition,
    /// Another script than the one that was asked for.
    Language,
    /// Tool calls that the policy forbids.
    ToolPolicy,
}

/// Declares the detectors once, so that the list of all of them cannot miss one.
macro_rules! detectors {
    ($($(#[$doc:meta])* $name:ident = $id:literal, $family:ident, $severity:ident;)+) => {
        /// The rules there are. The set is closed: reports, packs and taxonomies name its members.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Detector {
            $($(#[$doc])* $name,)+
        }

        impl Detector {
            /// Every detector.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// Returns the stable name, such as `pii/email`.
            #[must_use]
            pub const fn id(self) -> &'static str {
                match self {
                    $(Self::$name => $id,)+
                }
            }

            /// Returns the family the detector is chosen by.
            #[must_use]
            pub const fn family(self) -> Family {
                match self {
                    $(Self::$name => Family::$family,)+
                }
            }

            /// Returns how bad it is when the detector is right.
            #[must_use]
            pub const fn severity(self) -> Severity {
                match self {
                    $(Self::$name => Severity::$severity,)+
                }
            }
        }
    };
}

detectors! {
    /// An address of mail.
    Email = "pii/email", Pii, Medium;
    /// A telephone number, international or with a word that says so.
    Phone = "pii/phone", Pii, Medium;
    /// The number of a payment card (Luhn).
    PaymentCard = "pii/payment-card", Pii, High;
    /// An international account number (mod 97).
    Iban = "pii/iban", Pii, High;
    /// An IPv4 address that is routed.
    Ipv4 = "pii/ipv4", Pii, Low;
    /// An IPv6 address that is routed.
    Ipv6 = "pii/ipv6", Pii, Low;
    /// A social security number of the United States.
    UsSsn = "pii/us-ssn", Pii, High;
    /// A taxpayer number of the United States for people without the former.
    UsItin = "pii/us-itin", Pii, High;
    /// A routing number of a bank of the United States (weights 3, 7, 1).
    UsAba = "pii/us-aba", Pii, Medium;
    /// A patient's number of the British health service (mod 11).
    UkNhs = "pii/uk-nhs", Pii, High;
    /// A British national insurance number.
    UkNino = "pii/uk-nino", Pii, High;
    /// An Indian identity number (Verhoeff).
    InAadhaar = "pii/in-aadhaar", Pii, High;
    /// A Polish identity number (weights, and a date of birth).
    PlPesel = "pii/pl-pesel", Pii, High;
    /// A Canadian social insurance number (Luhn).
    CaSin = "pii/ca-sin", Pii, High;
    /// A German tax number for people (ISO 7064, mod 11, 10).
    DeTaxId = "pii/de-tax-id", Pii, High;
    /// A Spanish identity number (mod 23).
    EsNif = "pii/es-nif", Pii, High;
    /// A Spanish identity number for foreigners (mod 23).
    EsNie = "pii/es-nie", Pii, High;

    /// A key of OpenAI, or of a provider with keys of the same form.
    OpenAiKey = "secrets/openai", Secrets, Critical;
    /// A key of Anthropic.
    AnthropicKey = "secrets/anthropic", Secrets, Critical;
    /// The name of an access key of AWS.
    AwsKey = "secrets/aws", Secrets, Critical;
    /// A key of Google's APIs.
    GoogleKey = "secrets/google", Secrets, Critical;
    /// A token of GitHub.
    GitHubToken = "secrets/github", Secrets, Critical;
    /// A token of GitLab.
    GitLabToken = "secrets/gitlab", Secrets, Critical;
    /// A token of Hugging Face.
    HuggingFaceToken = "secrets/hugging-face", Secrets, Critical;
    /// A token of Slack.
    SlackToken = "secrets/slack", Secrets, Critical;
    /// A secret or restricted key of Stripe.
    StripeKey = "secrets/stripe", Secrets, Critical;
    /// A token of Databricks.
    DatabricksToken = "secrets/databricks", Secrets, Critical;
    /// A token of npm.
    NpmToken = "secrets/npm", Secrets, Critical;
    /// A token of the Python package index.
    PypiToken = "secrets/pypi", Secrets, Critical;
    /// A key of Perplexity.
    PerplexityKey = "secrets/perplexity", Secrets, Critical;
    /// A key of Groq.
    GroqKey = "secrets/groq", Secrets, Critical;
    /// A key of xAI.
    XaiKey = "secrets/xai", Secrets, Critical;
    /// A key of this gateway.
    GatewayKey = "secrets/promptgate", Secrets, Critical;
    /// A signed web token.
    Jwt = "secrets/jwt", Secrets, High;
    /// The beginning of a private key.
    PrivateKey = "secrets/private-key", Secrets, Critical;
    /// A random value behind a word such as `api_key` or `password`.
    GenericSecret = "secrets/generic", Secrets, High;

    /// The answer begins with a refusal.
    RefusalFull = "refusal/full", Refusal, Low;
    /// Words of refusal stand later in the answer.
    RefusalPartial = "refusal/partial", Refusal, Low;

    /// A planted token, as it was planted or nearly so.
    CanaryPlain = "canary/plain", Canary, Critical;
    /// A planted token in another encoding.
    CanaryEncoded = "canary/encoded", Canary, Critical;

    /// Tag characters or variation selectors that carry hidden text.
    SmuggledText = "unicode/smuggled-text", Unicode, High;
    /// Characters that reverse the direction of text.
    BidiControl = "unicode/bidi-control", Unicode, High;
    /// Characters without width inside words.
    ZeroWidth = "unicode/zero-width", Unicode, Medium;
    /// A sequence that steers a terminal.
    TerminalEscape = "unicode/terminal-escape", Unicode, High;

    /// An image that sends data to a foreign host as soon as it is shown.
    ImageExfiltration = "exfiltration/image", Exfiltration, Critical;
    /// A link that sends data to a foreign host when it is followed.
    LinkExfiltration = "exfiltration/link", Exfiltration, Medium;

    /// A link or an attribute that runs script.
    ScriptUri = "markup/script-uri", Markup, High;
    /// An element that runs or embeds foreign code.
    ScriptElement = "markup/script-element", Markup, High;
    /// An attribute that runs script on an event.
    EventHandler = "markup/event-handler", Markup, High;

    /// SQL that destroys data or widens a query.
    DangerousSql = "commands/sql", Commands, High;
    /// A shell command that destroys a machine or hands it over.
    DangerousShell = "commands/shell", Commands, High;

    /// Eight or more words in a row of a text that should have stayed hidden.
    HiddenText = "leak/hidden-text", Leak, High;

    /// A phrase that makes up much of the answer.
    Repetition = "repetition/phrase", Repetition, Low;

    /// Another script than the one that was asked for.
    ScriptMismatch = "language/script-mismatch", Language, Low;

    /// A tool that may not be called.
    ForbiddenTool = "tool-policy/tool", ToolPolicy, Critical;
    /// An argument outside what the policy allows.
    ForbiddenArgument = "tool-policy/argument", ToolPolicy, High;
}

impl fmt::Display for Detector {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.id())
    }
}

impl Serialize for Detector {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.id())
    }
}

/// Something a detector saw in a text.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Finding {
    /// Which rule.
    pub detector: Detector,
    /// Where, in bytes of the text that was scanned; begins and ends between characters.
    pub span: Range<usize>,
    /// How sure the rule is, from 0 to 1.
    pub score: f64,
    /// How bad it is if the rule is right.
    pub severity: Severity,
}

impl Finding {
    /// Returns a finding of `detector` with its own severity; `score` is kept between 0 and 1.
    #[must_use]
    pub fn new(detector: Detector, span: Range<usize>, score: f64) -> Self {
        Self {
            detector,
            span,
            score: score.clamp(0.0, 1.0),
            severity: detector.severity(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Detector, Finding, Severity};
    use std::collections::BTreeSet;

    #[test]
    fn ids_are_unique_and_begin_with_a_family() {
        let ids: BTreeSet<&str> = Detector::ALL.iter().map(|detector| detector.id()).collect();
        assert_eq!(ids.len(), Detector::ALL.len());
        for detector in Detector::ALL {
            let family = serde_json::to_value(detector.family()).unwrap();
            let (head, rest) = detector.id().split_once('/').unwrap();
            assert_eq!(head, family, "{detector}");
            assert!(!rest.is_empty());
        }
    }

    #[test]
    fn a_finding_is_written_without_the_value() {
        let finding = Finding::new(Detector::Email, 3..9, 1.5);
        assert_eq!(
            serde_json::to_string(&finding).unwrap(),
            r#"{"detector":"pii/email","span":{"start":3,"end":9},"score":1.0,"severity":"medium"}"#
        );
        assert_eq!(Severity::parse("critical"), Some(Severity::Critical));
        assert_eq!(Severity::parse("Critical"), None);
    }
}
