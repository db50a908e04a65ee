//! The talk with one judge over one answer: it is asked, told what was wrong with an unusable answer, and
//! what it took is added up, also when nothing comes of it.

use crate::domain::{Cost, CostQuality, PicoDollars, Purpose, TokenUsage};
use crate::evals::digest::digest;
use crate::evals::gateway::{Ask, AskContent, Embedded, Moderated, ModerationAsk, Reply};
use crate::evals::grade::{Graded, Judged};
use crate::evals::judges::choice::Judge;
use crate::evals::judges::context::JudgeContext;
use crate::evals::judges::fence;
use crate::evals::judges::instructions::{Instructions, Question};
use serde_json::{Map, Value, json};

/// How often an unusable answer is asked for again.
const RETRIES: usize = 2;
/// Request parameters for the probabilities of tokens.
const LOG_PROBS: &str = "logprobs";
const TOP_LOG_PROBS: &str = "top_logprobs";
/// The code of a request that the provider does not take.
const REJECTED: &str = "provider_rejected";
/// Characters of an unusable answer that are shown.
const MAX_SHOWN: usize = 200;

/// The talk with one judge.
#[derive(Debug)]
pub(super) struct Session<'a> {
    context: &'a JudgeContext<'a>,
    graded: &'a Graded<'a>,
    judge: &'a Judge,
    parameters: Map<String, Value>,
    /// How many tokens are to be told at each place of the next answer.
    top_log_probs: Option<u32>,
    /// What the judge was told, over all questions: its hash names the judge.
    told: Vec<Value>,
    taken: Taken,
}

/// What calls took together.
#[derive(Debug, Default)]
struct Taken {
    calls: Vec<crate::domain::CallId>,
    costs: Vec<Cost>,
    usage: TokenUsage,
    fresh: usize,
    model_returned: Option<String>,
}

impl<'a> Session<'a> {
    /// Begins a talk.
    pub(super) fn new(
        context: &'a JudgeContext<'a>,
        graded: &'a Graded<'a>,
        judge: &'a Judge,
    ) -> Self {
        Self {
            parameters: parameters(&judge.parameters),
            top_log_probs: None,
            context,
            graded,
            judge,
            told: Vec::new(),
            taken: Taken::default(),
        }
    }

    /// Returns what judging needs.
    pub(super) const fn context(&self) -> &'a JudgeContext<'a> {
        self.context
    }

    /// Wants the next answer with the probabilities of its tokens, unless the judge's parameters say
    /// something of them. They are no part of the judge's hash: what is judged stays the same.
    pub(super) fn with_log_probs(&mut self, top: u32) -> &mut Self {
        let is_said = self.parameters.contains_key(LOG_PROBS);
        self.top_log_probs = Some(top).filter(|_| !is_said);
        self
    }

    /// Asks, and reads the answer with `read`, which says in words what is wrong with an unusable one.
    ///
    /// # Errors
    ///
    /// In words, when the model cannot be asked or does not answer in a usable form.
    pub(super) async fn ask<T>(
        &mut self,
        instructions: Instructions,
        custom: Option<&Value>,
        question: &Question<'_>,
        read: impl Fn(&Reply) -> Result<T, String>,
    ) -> Result<T, String> {
        self.tell(instructions, custom);
        let hash = self.hash();
        let mut texts = question.texts();
        texts.push(&hash);
        let nonce = fence::nonce(self.context.salt, &texts);
        let messages = match custom {
            Some(custom) => question.custom(custom, &nonce)?,
            None => question.built_in(instructions, &nonce),
        };
        let mut ask = Ask {
            run: self.context.run,
            purpose: Purpose::Judge,
            case: self.graded.case.id.0.clone(),
            cell: self.context.cell.cloned(),
            judge_hash: Some(hash),
            content: AskContent::Messages(messages.clone()),
            model: Some(self.judge.model.clone()),
            parameters: self.asked_parameters(),
            timeout: self.context.timeout,
            is_timed: false,
        };
        let mut failure = String::new();
        for _ in 0..=RETRIES {
            let reply = self.reply(&mut ask).await?;
            let complaint = match read(&reply) {
                Ok(verdict) => return Ok(verdict),
                Err(complaint) => complaint,
            };
            let again = format!(
                "That answer cannot be used: {complaint}. Judge again by the same rules.\n\n{}",
                instructions.answer
            );
            let mut talk = messages.clone();
            talk.push(json!({"role": "assistant", "content": reply.text}));
            talk.push(json!({"role": "user", "content": again}));
            ask.content = AskContent::Messages(talk);
            failure = format!("{complaint}; it answered `{}`", shown(&reply.text));
        }
        let (model, tries) = (&self.judge.model, RETRIES + 1);
        Err(format!(
            "judge `{model}` gave no usable answer in {tries} tries: {failure}"
        ))
    }

    /// Notes what the judge is told, also when its answer is known already: it is the same judge.
    pub(super) fn tell(&mut self, instructions: Instructions, custom: Option<&Value>) {
        let told = told(instructions, custom);
        if !self.told.contains(&told) {
            self.told.push(told);
        }
    }

    /// The parameters of the next question.
    fn asked_parameters(&mut self) -> Map<String, Value> {
        let mut parameters = self.parameters.clone();
        let top = self.top_log_probs.take();
        if let Some(top) = top.filter(|_| !self.context.steps.refuses_log_probs(&self.judge.model))
        {
            parameters.insert(LOG_PROBS.to_owned(), true.into());
            parameters.insert(TOP_LOG_PROBS.to_owned(), top.into());
        }
        parameters
    }

    /// Asks; without the probabilities of tokens where a model takes no such question.
    async fn reply(&mut self, ask: &mut Ask) -> Result<Reply, String> {
        let mut reply = self.context.gateway.ask(ask).await;
        let has_asked =
            ask.parameters.contains_key(TOP_LOG_PROBS) && !self.parameters.contains_key(LOG_PROBS);
        if let Err(error) = &reply
            && error.code == REJECTED
            && has_asked
        {
            self.taken.calls.extend(error.call);
            ask.parameters.remove(LOG_PROBS);
            ask.parameters.remove(TOP_LOG_PROBS);
            reply = self.context.gateway.ask(ask).await;
            if reply.is_ok() {
                self.context.steps.note_refusal(&self.judge.model);
            }
        }
        let reply = reply.map_err(|error| {
            let model = &self.judge.model;
            self.taken.calls.extend(error.call);
            format!("judge `{model}` cannot be asked: {error}")
        })?;
        self.taken.calls.extend(reply.call);
        self.taken.costs.push(reply.cost.clone());
        self.taken.add(reply.usage);
        self.taken.fresh += usize::from(reply.cached_from.is_none());
        self.taken.model_returned.clone_from(&reply.model_returned);
        Ok(reply)
    }

    /// Returns the vectors of `texts`, all of one length.
    ///
    /// # Errors
    ///
    /// In words, when they cannot be had or make no sense.
    pub(super) async fn embed(
        &mut self,
        model: &str,
        texts: &[String],
    ) -> Result<Vec<Vec<f32>>, String> {
        self.told.push(json!(["embedding", model]));
        let embedded = self
            .context
            .gateway
            .embed(self.context.run, model, texts)
            .await;
        let embedded = embedded.map_err(|error| {
            self.taken.calls.extend(error.call);
            format!("`{model}` cannot be asked for embeddings: {error}")
        })?;
        let Embedded {
            vectors,
            cost,
            usage,
            call,
        } = embedded;
        self.taken.calls.extend(call);
        self.taken.costs.push(cost);
        self.taken.add(usage);
        self.taken.fresh += 1;
        let length = vectors.first().map_or(0, Vec::len);
        let is_sound = vectors.len() == texts.len()
            && 0 < length
            && vectors.iter().all(|vector| vector.len() == length);
        if !is_sound {
            return Err(format!(
                "`{model}` returned vectors that cannot be compared"
            ));
        }
        Ok(vectors)
    }

    /// Returns what a provider's moderation says.
    ///
    /// # Errors
    ///
    /// In words, when it cannot be asked.
    pub(super) async fn moderate(&mut self, ask: ModerationAsk<'_>) -> Result<Moderated, String> {
        self.told.push(json!(["moderation", ask.model]));
        let moderated = self.context.gateway.moderate(ask).await;
        let moderated = moderated.map_err(|error| {
            self.taken.calls.extend(error.call);
            format!(
                "`{}` cannot be asked for moderation: {error}; name another with `provider: \
                 {{moderation: MODEL}}`, or use `promptgate:pii` or a rubric",
                ask.model
            )
        })?;
        self.taken.calls.extend(moderated.call);
        self.taken.costs.push(moderated.cost.clone());
        self.taken.add(moderated.usage);
        self.taken.fresh += 1;
        self.taken
            .model_returned
            .clone_from(&moderated.model_returned);
        Ok(moderated)
    }

    /// SHA-256 over what the judge was told, its model and parameters.
    pub(super) fn hash(&self) -> String {
        hash_of(&self.told, &self.judge.model, &self.parameters)
    }

    /// Ends the talk: what it took, with what the judge returned.
    pub(super) fn end(self, verdict: Value) -> Judged {
        Judged {
            judge_hash: self.hash(),
            model: self.judge.model.clone(),
            is_cached: self.taken.fresh == 0 && !self.taken.costs.is_empty(),
            cost: sum(&self.taken.costs),
            usage: self.taken.usage,
            calls: self.taken.calls,
            model_returned: self.taken.model_returned,
            verdict,
        }
    }
}

impl Taken {
    const fn add(&mut self, usage: Option<TokenUsage>) {
        if let Some(usage) = usage {
            add(&mut self.usage, usage);
        }
    }
}

/// What a judge is told, as its hash knows it.
pub(super) fn told(instructions: Instructions, custom: Option<&Value>) -> Value {
    let Instructions { task, answer } = instructions;
    custom.cloned().unwrap_or_else(|| json!([task, answer]))
}

/// SHA-256 over what a judge is told, its model and parameters.
pub(super) fn hash_of(told: &[Value], model: &str, parameters: &Map<String, Value>) -> String {
    digest(&("judge/1", told, model, parameters))
}

/// The judge's parameters; the same question has the same answer, as far as a model can do that, unless
/// they say otherwise. `temperature: null` sends none, for models that take none.
pub(super) fn parameters(given: &Map<String, Value>) -> Map<String, Value> {
    let mut parameters = given.clone();
    let temperature = parameters.entry("temperature").or_insert_with(|| 0.into());
    if temperature.is_null() {
        parameters.remove("temperature");
    }
    parameters
}

fn shown(text: &str) -> String {
    let text = text.trim();
    match text.char_indices().nth(MAX_SHOWN) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// Returns what several calls cost; not known as soon as one is not.
pub(super) fn sum(costs: &[Cost]) -> Cost {
    let amounts: Option<Vec<PicoDollars>> = costs.iter().map(|cost| cost.pico_usd).collect();
    let amounts = amounts.filter(|amounts| !amounts.is_empty());
    let Some(amounts) = amounts else {
        return Cost::default();
    };
    let total = amounts
        .iter()
        .fold(0_u64, |total, amount| total.saturating_add(amount.0));
    let is_exact = costs.iter().all(|cost| cost.quality == CostQuality::Exact);
    let prices: Vec<&String> = costs
        .iter()
        .filter_map(|cost| cost.price.as_ref())
        .collect();
    let price = prices
        .first()
        .filter(|first| prices.iter().all(|price| price == *first));
    Cost {
        pico_usd: Some(PicoDollars(total)),
        quality: if is_exact {
            CostQuality::Exact
        } else {
            CostQuality::Estimated
        },
        price: price.map(|price| (*price).clone()),
    }
}

/// Adds tokens, class by class.
pub(super) const fn add(total: &mut TokenUsage, usage: TokenUsage) {
    total.input += usage.input;
    total.output += usage.output;
    total.cached_input += usage.cached_input;
    total.cache_write_5m += usage.cache_write_5m;
    total.cache_write_1h += usage.cache_write_1h;
    total.reasoning += usage.reasoning;
    total.audio_input += usage.audio_input;
    total.audio_output += usage.audio_output;
}
