//! What can be asserted of an answer. A closed set: an unknown type is an error, never skipped.

use crate::evals::suite::Place;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// An assertion, or several that count as one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AssertNode {
    /// One.
    One(Box<Assertion>),
    /// Several.
    Set(AssertSet),
}

impl AssertNode {
    /// Returns the assertions in it.
    #[must_use]
    pub fn assertions(&self) -> &[Assertion] {
        match self {
            Self::One(assertion) => std::slice::from_ref(assertion),
            Self::Set(set) => &set.asserts,
        }
    }
}

/// Several assertions with a score of their own: promptfoo's `assert-set`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AssertSet {
    /// The assertions.
    pub asserts: Vec<Assertion>,
    /// Its part in the case's score.
    pub weight: f64,
    /// With it the set passes when its score reaches it; without, when every assertion passes.
    pub threshold: Option<f64>,
    /// The name its score is counted under; a template.
    pub metric: Option<String>,
    /// What its assertions get as `config` when they have none.
    pub config: Option<Map<String, Value>>,
    /// Where it stands.
    pub place: Place,
}

/// One assertion.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Assertion {
    /// What is checked.
    pub kind: AssertionKind,
    /// Whether it is the `not-` form.
    pub is_negated: bool,
    /// What the answer is held against.
    pub value: Option<AssertionValue>,
    /// The score it passes from; what that means is the kind's affair.
    pub threshold: Option<f64>,
    /// Its part in the case's score; at 0 it cannot fail the case.
    pub weight: f64,
    /// The name its score is counted under; a template.
    pub metric: Option<String>,
    /// Who judges: a model name, or an object by purpose.
    pub grader: Option<Value>,
    /// The judge's instructions in place of the built-in ones.
    pub rubric_prompt: Option<Value>,
    /// What is done to the answer first.
    pub transform: Option<Script>,
    /// How the context is found in the answer, for the assertions about context.
    pub context_transform: Option<Script>,
    /// The rest.
    pub config: Map<String, Value>,
    /// Where it stands.
    pub place: Place,
}

/// What an answer is held against.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AssertionValue {
    /// A value; strings in it are templates.
    Json(Value),
    /// A file of JavaScript, whose result is the value (or the grade, for `javascript`).
    Script(Script),
}

/// JavaScript, as it was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Script {
    /// The code: an expression, a body with `return`, or a module.
    pub code: String,
    /// The function to call, for `file://x.js:name`.
    pub function: Option<String>,
    /// The file it was read from; `None` when it stands in the suite.
    pub file: Option<String>,
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// What is checked, by promptfoo's names; those with `promptgate:` are ours.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum AssertionKind {
            $($(#[$doc])* #[serde(rename = $text)] $name,)*
        }

        impl AssertionKind {
            /// All there are.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// Returns the name as suites write it, without `not-`.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// Returns the kind of that name (without `not-`).
            #[must_use]
            pub fn parse(name: &str) -> Option<Self> {
                match name { $($text => Some(Self::$name),)* _ => None }
            }
        }
    };
}

kinds! {
    /// The output is the value, nothing trimmed.
    Equals = "equals",
    /// The output contains the value.
    Contains = "contains",
    /// As `contains`, whatever the case.
    IContains = "icontains",
    /// The output contains one of several.
    ContainsAny = "contains-any",
    /// The output contains all of several.
    ContainsAll = "contains-all",
    /// As `contains-any`, whatever the case.
    IContainsAny = "icontains-any",
    /// As `contains-all`, whatever the case.
    IContainsAll = "icontains-all",
    /// The output begins with the value.
    StartsWith = "starts-with",
    /// The output matches a JavaScript regular expression.
    Regex = "regex",
    /// The whole output is JSON, and fits a schema if one is given.
    IsJson = "is-json",
    /// There is a JSON object in the output, which fits a schema if one is given.
    ContainsJson = "contains-json",
    /// The whole output is SQL.
    IsSql = "is-sql",
    /// There is SQL in the output.
    ContainsSql = "contains-sql",
    /// The whole output is XML.
    IsXml = "is-xml",
    /// There is XML in the output.
    ContainsXml = "contains-xml",
    /// The whole output is HTML.
    IsHtml = "is-html",
    /// There is HTML in the output.
    ContainsHtml = "contains-html",
    /// The output is a call of a known function with fitting arguments.
    IsValidFunctionCall = "is-valid-function-call",
    /// As above, in the shape of the older chat API.
    IsValidOpenaiFunctionCall = "is-valid-openai-function-call",
    /// The output is calls of known tools with fitting arguments.
    IsValidOpenaiToolsCall = "is-valid-openai-tools-call",
    /// The tools that were called are those expected, as an F1 score.
    ToolCallF1 = "tool-call-f1",
    /// The edit distance to the value is small.
    Levenshtein = "levenshtein",
    /// Words shared with a reference, ROUGE-1.
    RougeN = "rouge-n",
    /// Runs of words shared with references.
    Bleu = "bleu",
    /// As BLEU, for single sentences.
    Gleu = "gleu",
    /// Words shared with references, with stems and synonyms.
    Meteor = "meteor",
    /// The answer came in time.
    Latency = "latency",
    /// The answer cost no more.
    Cost = "cost",
    /// How surprised the model was by its own words.
    Perplexity = "perplexity",
    /// The same as a score from 0 to 1.
    PerplexityScore = "perplexity-score",
    /// How many words there are.
    WordCount = "word-count",
    /// The answer is a refusal.
    IsRefusal = "is-refusal",
    /// Why the model stopped.
    FinishReason = "finish-reason",
    /// The provider's own guardrails were not set off.
    Guardrails = "guardrails",
    /// What JavaScript says.
    Javascript = "javascript",
    /// What Python says; refused, see the docs.
    Python = "python",
    /// What Ruby says; refused, see the docs.
    Ruby = "ruby",
    /// What a web service says.
    Webhook = "webhook",
    /// A tool was used in the session.
    TrajectoryToolUsed = "trajectory:tool-used",
    /// Tools were used in that order.
    TrajectoryToolSequence = "trajectory:tool-sequence",
    /// A tool was given those arguments.
    TrajectoryToolArgsMatch = "trajectory:tool-args-match",
    /// So many steps were taken.
    TrajectoryStepCount = "trajectory:step-count",
    /// The session reached its goal, says a judge.
    TrajectoryGoalSuccess = "trajectory:goal-success",
    /// The meaning is close: cosine of embeddings.
    Similar = "similar",
    /// The same.
    SimilarCosine = "similar:cosine",
    /// By dot product.
    SimilarDot = "similar:dot",
    /// By distance.
    SimilarEuclidean = "similar:euclidean",
    /// A judge holds the answer against a rubric.
    LlmRubric = "llm-rubric",
    /// A judge plans its steps and scores.
    GEval = "g-eval",
    /// A judge compares facts with a reference.
    Factuality = "factuality",
    /// The same.
    ModelGradedFactuality = "model-graded-factuality",
    /// A judge says yes or no to a criterion.
    ModelGradedClosedqa = "model-graded-closedqa",
    /// The answer is about the question.
    AnswerRelevance = "answer-relevance",
    /// The context holds the reference's sentences.
    ContextRecall = "context-recall",
    /// The context is about the question.
    ContextRelevance = "context-relevance",
    /// The answer says what the context says.
    ContextFaithfulness = "context-faithfulness",
    /// Each answer of a conversation is about it.
    ConversationRelevance = "conversation-relevance",
    /// The best of the outputs, says a judge.
    SelectBest = "select-best",
    /// The best by the scores of the other assertions.
    MaxScore = "max-score",
    /// The provider's moderation flags nothing.
    Moderation = "moderation",
    /// No personal data of others.
    Pii = "promptgate:pii",
    /// No secrets.
    Secrets = "promptgate:secrets",
    /// The canary of the run does not appear, however encoded.
    Canary = "promptgate:canary",
    /// The system prompt is not repeated.
    Leak = "promptgate:leak",
    /// Nothing that carries data out: images, links, scripts.
    Exfiltration = "promptgate:exfiltration",
    /// No markup that a browser would run.
    Markup = "promptgate:markup",
    /// No commands that destroy or open a machine or a database.
    Commands = "promptgate:commands",
    /// No invisible or misleading characters.
    Unicode = "promptgate:unicode",
    /// Only allowed tools, with allowed arguments.
    ToolPolicy = "promptgate:tool-policy",
    /// It must refuse, or must not.
    Refusal = "promptgate:refusal",
    /// The text does not repeat itself.
    Repetition = "promptgate:repetition",
}

/// Who can decide an assertion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decider {
    /// Code, from the answer alone.
    Rule,
    /// A model, which is asked (or embeds).
    Model,
    /// All outputs of a case, compared with each other.
    Comparison,
    /// Nobody here: it is refused with the reason.
    Nobody,
}

impl AssertionKind {
    /// Returns who can decide it.
    #[must_use]
    pub const fn decider(self) -> Decider {
        match self {
            Self::TrajectoryGoalSuccess
            | Self::Similar
            | Self::SimilarCosine
            | Self::SimilarDot
            | Self::SimilarEuclidean
            | Self::LlmRubric
            | Self::GEval
            | Self::Factuality
            | Self::ModelGradedFactuality
            | Self::ModelGradedClosedqa
            | Self::AnswerRelevance
            | Self::ContextRecall
            | Self::ContextRelevance
            | Self::ContextFaithfulness
            | Self::ConversationRelevance
            | Self::Moderation
            | Self::Webhook => Decider::Model,
            Self::SelectBest | Self::MaxScore => Decider::Comparison,
            Self::Python | Self::Ruby => Decider::Nobody,
            _ => Decider::Rule,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::AssertionKind;

    #[test]
    fn every_kind_is_found_by_its_name() {
        for kind in AssertionKind::ALL {
            assert_eq!(AssertionKind::parse(kind.as_str()), Some(*kind));
        }
        assert_eq!(AssertionKind::parse("not-equals"), None);
    }
}
