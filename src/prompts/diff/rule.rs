//! The verdict over a change, and the rules that may fire.

use serde::Serialize;

/// How much a change asks of those who use a prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Nothing that reaches a model changed, or layout only.
    Cosmetic,
    /// Answers may be other ones; callers and consumers go on as they are.
    Behavioural,
    /// Some caller or consumer must change.
    Breaking,
}

impl Verdict {
    /// Returns the verdict's name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cosmetic => "cosmetic",
            Self::Behavioural => "behavioural",
            Self::Breaking => "breaking",
        }
    }
}

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// The head does not load.
    DoesNotLoad,
    /// The prompt is gone.
    PromptRemoved,
    /// The prompt has another name.
    PromptRenamed,
    /// A call must send a variable that it did not have to.
    RequiredVariable,
    /// A variable is gone that callers send, or may send.
    RemovedVariable,
    /// Values of a variable are refused that were taken.
    NarrowedVariable,
    /// Undeclared variables are refused now.
    StrictVariables,
    /// A parameter must not be sent any more.
    LockedParameter,
    /// Messages of the client are refused now.
    ForbiddenMessages,
    /// Answers may be of a form that they could not be of.
    OutputIncompatible,
    /// The model may call a tool that callers do not know, or call it in another way.
    ToolIncompatible,
    /// Whether two schemas agree cannot be decided.
    Undecided,
    /// Another model answers.
    Model,
    /// A parameter of the model is another one.
    Config,
    /// What the gateway does with a call is another thing.
    Handling,
    /// The text is another one.
    Text,
    /// A variable came, went or changed without harm.
    Variable,
    /// The form of answers changed without harm.
    Output,
    /// A tool changed without harm.
    Tool,
    /// Only comments of the template changed.
    CommentOnly,
    /// Only blanks and line ends of the template changed.
    WhitespaceOnly,
    /// Only descriptions or remarks changed.
    DescriptionOnly,
    /// The prompt is new.
    PromptAdded,
}

impl Rule {
    /// All rules, the gravest first.
    pub const ALL: [Self; 23] = [
        Self::DoesNotLoad,
        Self::PromptRemoved,
        Self::PromptRenamed,
        Self::RequiredVariable,
        Self::RemovedVariable,
        Self::NarrowedVariable,
        Self::StrictVariables,
        Self::LockedParameter,
        Self::ForbiddenMessages,
        Self::OutputIncompatible,
        Self::ToolIncompatible,
        Self::Undecided,
        Self::Model,
        Self::Config,
        Self::Handling,
        Self::Text,
        Self::Variable,
        Self::Output,
        Self::Tool,
        Self::CommentOnly,
        Self::WhitespaceOnly,
        Self::DescriptionOnly,
        Self::PromptAdded,
    ];

    /// Returns the rule's name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::DoesNotLoad => "does-not-load",
            Self::PromptRemoved => "prompt-removed",
            Self::PromptRenamed => "prompt-renamed",
            Self::RequiredVariable => "required-variable",
            Self::RemovedVariable => "removed-variable",
            Self::NarrowedVariable => "narrowed-variable",
            Self::StrictVariables => "strict-variables",
            Self::LockedParameter => "locked-parameter",
            Self::ForbiddenMessages => "forbidden-messages",
            Self::OutputIncompatible => "output-incompatible",
            Self::ToolIncompatible => "tool-incompatible",
            Self::Undecided => "undecided",
            Self::Model => "model",
            Self::Config => "config",
            Self::Handling => "handling",
            Self::Text => "text",
            Self::Variable => "variable",
            Self::Output => "output",
            Self::Tool => "tool",
            Self::CommentOnly => "comment-only",
            Self::WhitespaceOnly => "whitespace-only",
            Self::DescriptionOnly => "description-only",
            Self::PromptAdded => "prompt-added",
        }
    }
}

/// A rule that fired.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Finding {
    /// How much it asks.
    pub verdict: Verdict,
    /// The rule.
    pub rule: Rule,
    /// What fired it, in words.
    pub message: String,
}

impl Finding {
    pub(super) fn new(rule: Rule, verdict: Verdict, message: impl Into<String>) -> Self {
        Self {
            verdict,
            rule,
            message: message.into(),
        }
    }
}
