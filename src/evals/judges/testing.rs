//! What the tests of judges stand on: a scripted gateway, and an answer with all that belongs to it.

use crate::domain::{CallId, Cost, CostQuality, PicoDollars, RunId, TokenUsage};
use crate::evals::gateway::{
    Ask, AskContent, AskError, Embedded, Gateway, Moderated, ModerationAsk, Pending, Reply,
};
use crate::evals::grade::{Grade, Graded, Step};
use crate::evals::graders::tests as graders;
use crate::evals::judges::{JudgeContext, Steps, decide};
use crate::evals::plan::{JudgePlan, Subject, SubjectPrompt};
use crate::evals::row::Answer;
use crate::evals::suite::{Assertion, Case, ModelSource};
use serde_json::{Map, Value, json};
use std::sync::Mutex;
use std::time::Duration;

pub(super) use graders::assertion;

/// Words of an embedding.
const DIMENSIONS: usize = 16;

/// A judge that answers by the key behind `JUDGE:` in what it is sent: the longest key of the table, of
/// equals the first. Without one it repeats the last message.
#[derive(Debug, Default)]
pub(super) struct Scripted {
    /// What was asked, in order.
    pub(super) asked: Mutex<Vec<Ask>>,
    /// Answers by model, before the table; each is used up but the last.
    pub(super) by_model: Mutex<Vec<(String, Vec<String>)>>,
    /// The message that answers are made with.
    pub(super) message: Value,
    /// The error of every question.
    pub(super) error: Option<AskError>,
    /// The probabilities of the tokens of every answer.
    pub(super) tokens: Value,
    /// Whether a question for probabilities is refused.
    pub(super) refuses_log_probs: bool,
}

impl Scripted {
    fn answer(&self, ask: &Ask) -> String {
        let AskContent::Messages(messages) = &ask.content else {
            panic!("judges send messages");
        };
        let model = ask.model.as_deref().unwrap();
        for (known, answers) in self.by_model.lock().unwrap().iter_mut() {
            if known == model {
                let is_last = answers.len() == 1;
                return if is_last {
                    answers[0].clone()
                } else {
                    answers.remove(0)
                };
            }
        }
        let texts: Vec<&str> = messages
            .iter()
            .map(|m| m["content"].as_str().unwrap())
            .collect();
        let everything = texts.join("\n");
        let table: Value = serde_json::from_str(include_str!("tests/judge.json")).unwrap();
        let mut best: Option<&str> = None;
        for found in everything.split("JUDGE:").skip(1) {
            let is_key = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            let end = found.find(|c| !is_key(c)).unwrap_or(found.len());
            let key = found.get(..end).unwrap();
            if table.get(key).is_some() && best.is_none_or(|best| best.len() < key.len()) {
                best = Some(key);
            }
        }
        match best.map(|key| &table[key]) {
            Some(Value::String(text)) => text.clone(),
            Some(entry) => entry.to_string(),
            None => texts.last().unwrap().to_string(),
        }
    }

    /// How many questions were asked.
    pub(super) fn count(&self) -> usize {
        self.asked.lock().unwrap().len()
    }

    /// The text of all messages of a question.
    pub(super) fn text(&self, place: usize) -> String {
        let asked = self.asked.lock().unwrap();
        let AskContent::Messages(messages) = &asked[place].content else {
            panic!("judges send messages");
        };
        let texts: Vec<&str> = messages
            .iter()
            .map(|m| m["content"].as_str().unwrap())
            .collect();
        texts.join("\n---\n")
    }
}

impl Gateway for Scripted {
    fn ask<'a>(&'a self, ask: &'a Ask) -> Pending<'a, Result<Reply, AskError>> {
        self.asked.lock().unwrap().push(ask.clone());
        let refused =
            (self.refuses_log_probs && ask.parameters.contains_key("logprobs")).then(|| AskError {
                code: "provider_rejected".to_owned(),
                message: "logprobs are not supported".to_owned(),
                call: Some(CallId::fresh()),
                is_retryable: false,
                retry_after_ms: None,
            });
        let reply = match self.error.clone().or(refused) {
            Some(error) => Err(error),
            None => Ok(Reply {
                call: Some(CallId::fresh()),
                text: self.answer(ask),
                message: self.message.clone(),
                finish_reason: Some("stop".to_owned()),
                log_probs: None,
                tokens: self.tokens.clone(),
                model_returned: ask.model.clone(),
                usage: Some(TokenUsage {
                    input: 10,
                    output: 5,
                    ..TokenUsage::default()
                }),
                cost: Cost {
                    pico_usd: Some(PicoDollars(7)),
                    quality: CostQuality::Exact,
                    price: Some("p/m@2026".to_owned()),
                },
                latency_us: 1,
                sent: Vec::new(),
                cached_from: None,
            }),
        };
        Box::pin(async move { reply })
    }

    fn embed<'a>(
        &'a self,
        _run: RunId,
        _model: &'a str,
        texts: &'a [String],
    ) -> Pending<'a, Result<Embedded, AskError>> {
        let embedded = match &self.error {
            Some(error) => Err(error.clone()),
            None => Ok(Embedded {
                vectors: texts.iter().map(|text| embedding(text)).collect(),
                cost: Cost::default(),
                usage: None,
                call: Some(CallId::fresh()),
            }),
        };
        Box::pin(async move { embedded })
    }

    fn moderate<'a>(&'a self, ask: ModerationAsk<'a>) -> Pending<'a, Result<Moderated, AskError>> {
        let moderated = match &self.error {
            Some(error) => Err(error.clone()),
            None => Ok(Moderated {
                flagged: ask
                    .text
                    .split(' ')
                    .filter_map(|it| it.strip_prefix("FLAG:"))
                    .map(str::to_owned)
                    .collect(),
                returned: json!({"text": ask.text}),
                model_returned: None,
                cost: Cost {
                    pico_usd: Some(PicoDollars(0)),
                    quality: CostQuality::Exact,
                    price: None,
                },
                usage: None,
                call: Some(CallId::fresh()),
            }),
        };
        Box::pin(async move { moderated })
    }
}

/// Counts of words by hash.
fn embedding(text: &str) -> Vec<f32> {
    let mut vector = vec![0.0; DIMENSIONS];
    for word in text.split_whitespace() {
        let bytes = word.bytes().map(|byte| byte.to_ascii_lowercase());
        let hash = bytes.fold(0x811C_9DC5_u32, |hash, byte| {
            (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
        });
        vector[usize::try_from(hash).unwrap() % DIMENSIONS] += 1.0;
    }
    vector
}

/// Everything that is judged, to be changed by a test.
pub(super) struct Desk {
    pub(super) answer: Answer,
    pub(super) case: Case,
    pub(super) subject: Subject,
    pub(super) vars: Map<String, Value>,
    pub(super) prompt: String,
    pub(super) tools: Vec<Step>,
    pub(super) judge: Option<JudgePlan>,
    pub(super) default_model: Option<&'static str>,
    pub(super) embedding_model: Option<&'static str>,
    pub(super) allowed: Vec<String>,
    pub(super) gateway: Scripted,
    pub(super) steps: Steps,
}

impl Desk {
    /// An answer that is this text.
    pub(super) fn of(output: &str) -> Self {
        Self {
            answer: Answer {
                call: None,
                output: json!(output),
                message: json!({"role": "assistant", "content": output}),
                finish_reason: Some("stop".to_owned()),
                model_returned: None,
                usage: None,
                cost: Cost::default(),
                latency_us: 1,
                cached_from: None,
            },
            case: graders::case(Vec::new()),
            subject: Subject {
                label: "[m] p".to_owned(),
                prompt_label: "p".to_owned(),
                model_label: "m".to_owned(),
                prompt: SubjectPrompt::Text {
                    template: "hi".to_owned(),
                },
                model: ModelSource::Route("tested".to_owned()),
                parameters: Map::new(),
                transform: None,
                delay_ms: 0,
            },
            vars: Map::new(),
            prompt: format!("SAY[[{output}]]"),
            tools: Vec::new(),
            judge: None,
            default_model: Some("judge"),
            embedding_model: Some("embedding"),
            allowed: Vec::new(),
            gateway: Scripted::default(),
            steps: Steps::default(),
        }
    }

    /// The same with variables.
    pub(super) fn with_vars(output: &str, vars: &Value) -> Self {
        let mut desk = Self::of(output);
        desk.vars = vars.as_object().unwrap().clone();
        desk
    }

    pub(super) fn graded(&self) -> Graded<'_> {
        Graded {
            answer: &self.answer,
            log_probs: None,
            case: &self.case,
            subject: &self.subject,
            vars: &self.vars,
            prompt: &self.prompt,
            sent: &[],
            steps: Ok(&self.tools),
            canary: None,
            repeat: 0,
        }
    }

    pub(super) fn context(&self) -> JudgeContext<'_> {
        JudgeContext {
            gateway: &self.gateway,
            run: RunId::fresh(),
            cell: None,
            judge: self.judge.as_ref(),
            default_model: self.default_model,
            embedding_model: self.embedding_model,
            timeout: Duration::from_secs(10),
            salt: "salt",
            steps: &self.steps,
            allowed_webhooks: &self.allowed,
        }
    }

    pub(super) fn with<T>(&self, work: impl FnOnce(&Graded<'_>, &JudgeContext<'_>) -> T) -> T {
        work(&self.graded(), &self.context())
    }

    pub(super) async fn decide(&self, assertion: &Assertion) -> Grade {
        decide(assertion, &self.graded(), &self.context()).await
    }
}
