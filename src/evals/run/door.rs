//! The gateway as runs see it: the proxy, with the versions of prompts that the plan brings along.

use crate::domain::{
    BundleHash, Caller, PromptKey, PromptStamp, Purpose, RunId, RunRef, TokenUsage,
};
use crate::evals::gateway::{
    Ask, AskContent, AskError, Embedded, Gateway, Moderated, ModerationAsk, Pending, Reply,
};
use crate::evals::plan::{RunPlan, SidePlan, SubjectPrompt};
use crate::evals::run::asks::ask_key;
use crate::evals::run::{moderation, reply};
use crate::prompts::ResolvedPrompt;
use crate::proxy::{AnswerBody, Arrival, Failure, Proxy};
use crate::wire::openai::{EmbeddingsRequest, read_usage};
use bytes::Bytes;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// Who asks, in records.
const CALLER: &str = "evals";

/// The way of a run to the proxy.
#[derive(Debug)]
pub struct Door {
    proxy: Arc<Proxy>,
    caller: Caller,
    prompts: HashMap<(PromptKey, BundleHash), ResolvedPrompt>,
}

impl Door {
    /// Opens the way for a plan; its versions of prompts are kept in the archive. Blocks.
    ///
    /// # Errors
    ///
    /// In words, when a version in the plan is damaged or cannot be kept.
    pub fn open(proxy: Arc<Proxy>, plan: &RunPlan) -> Result<Self, String> {
        let mut prompts = HashMap::new();
        for side in &plan.sides {
            for subject in &side.subjects {
                if let Some((name, prompt)) = adopt(&proxy, side, &subject.prompt)? {
                    prompts.insert(name, prompt);
                }
            }
        }
        let caller = Caller {
            name: CALLER.to_owned(),
            ..Caller::local()
        };
        Ok(Self {
            proxy,
            caller,
            prompts,
        })
    }

    async fn chat(&self, ask: &Ask) -> Result<Reply, AskError> {
        let (prompt, body) = self.request(ask)?;
        let arrival = Arrival {
            run: Some(RunRef {
                run: ask.run,
                case: ask.case.clone(),
                purpose: ask.purpose,
                ask: Some(ask_key(ask)),
            }),
            ..Arrival::own(&body)
        };
        let answer = self.proxy.answer_errand(&self.caller, &arrival, prompt);
        let answer = answer
            .await
            .map_err(|failure| refused(&failure, &arrival))?;
        let latency = arrival.started.elapsed();
        let mut found = reply::read(&answer.body).map_err(|message| AskError {
            code: "upstream_invalid".to_owned(),
            message,
            call: Some(arrival.id),
            is_retryable: true,
            retry_after_ms: None,
        })?;
        found.call = answer.facts.durability.map(|_| arrival.id);
        found.usage = answer.facts.usage;
        found.cost = answer.facts.cost.unwrap_or_default();
        found.latency_us = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        let sent = answer.sent.iter();
        found.sent = sent
            .filter_map(|message| serde_json::from_slice(message).ok())
            .collect();
        Ok(found)
    }

    /// Returns the request as a client would send it, and the version it names.
    fn request(&self, ask: &Ask) -> Result<(Option<&ResolvedPrompt>, Bytes), AskError> {
        let mut body = Map::new();
        if let Some(model) = &ask.model {
            body.insert("model".to_owned(), model.as_str().into());
        }
        let prompt = match &ask.content {
            AskContent::Messages(messages) => {
                body.insert("messages".to_owned(), messages.clone().into());
                None
            }
            AskContent::Version {
                key,
                hash,
                variables,
                messages,
            } => {
                let prompt = self.prompts.get(&(key.clone(), *hash)).ok_or_else(|| {
                    let message =
                        format!("the plan has no version {} of prompt `{key}`", hash.short());
                    AskError {
                        code: "prompt_version_not_found".to_owned(),
                        message,
                        call: None,
                        is_retryable: false,
                        retry_after_ms: None,
                    }
                })?;
                let mut variables = declared(prompt, variables);
                if !messages.is_empty() {
                    say_once(prompt, &mut variables, messages);
                    body.insert("messages".to_owned(), messages.clone().into());
                }
                let named = json!({"id": key, "version": hash, "variables": variables});
                body.insert("prompt".to_owned(), named);
                Some(prompt)
            }
        };
        for (name, value) in &ask.parameters {
            if !["stream", "stream_options", "model", "messages", "prompt"].contains(&name.as_str())
            {
                body.insert(name.clone(), value.clone());
            }
        }
        Ok((prompt, Bytes::from(Value::Object(body).to_string())))
    }

    async fn vectors(
        &self,
        run: RunId,
        model: &str,
        texts: &[String],
    ) -> Result<Embedded, AskError> {
        let body = json!({"model": model, "input": texts, "encoding_format": "float"});
        let body = Bytes::from(body.to_string());
        let arrival = Arrival {
            run: Some(RunRef {
                run,
                case: String::new(),
                purpose: Purpose::Embedding,
                ask: None,
            }),
            ..Arrival::own(&body)
        };
        let invalid = |message: String| AskError {
            code: "upstream_invalid".to_owned(),
            message,
            call: Some(arrival.id),
            is_retryable: true,
            retry_after_ms: None,
        };
        let request =
            EmbeddingsRequest::decode(&body).map_err(|error| invalid(error.to_string()))?;
        let answer = self.proxy.embed(&self.caller, &arrival, request).await;
        let answer = answer.map_err(|failure| refused(&failure, &arrival))?;
        let AnswerBody::Whole(body) = answer.body else {
            return Err(invalid("embeddings came as a stream".to_owned()));
        };
        let (vectors, usage) = read_vectors(&body, texts.len()).map_err(invalid)?;
        Ok(Embedded {
            vectors,
            cost: answer.facts.cost.unwrap_or_default(),
            usage: answer.facts.usage.or(usage),
            call: answer.facts.durability.map(|_| arrival.id),
        })
    }

    async fn moderated(&self, ask: ModerationAsk<'_>) -> Result<Moderated, AskError> {
        let body = Bytes::from(json!({"model": ask.model, "input": ask.text}).to_string());
        let arrival = Arrival {
            run: Some(RunRef {
                run: ask.run,
                case: ask.case.to_owned(),
                purpose: Purpose::Judge,
                ask: None,
            }),
            ..Arrival::own(&body)
        };
        let answer = self.proxy.moderate(&self.caller, &arrival).await;
        let answer = answer.map_err(|failure| refused(&failure, &arrival))?;
        let call = answer.facts.durability.map(|_| arrival.id);
        if 300 <= answer.status {
            return Err(moderation::refused(&answer, call));
        }
        let found = moderation::read(&answer.body).map_err(|message| AskError {
            code: "upstream_invalid".to_owned(),
            message,
            call,
            is_retryable: true,
            retry_after_ms: None,
        })?;
        Ok(Moderated {
            cost: answer.facts.cost.unwrap_or_default(),
            usage: answer.facts.usage,
            call,
            ..found
        })
    }
}

impl Gateway for Door {
    fn ask<'a>(&'a self, ask: &'a Ask) -> Pending<'a, Result<Reply, AskError>> {
        Box::pin(self.chat(ask))
    }

    fn embed<'a>(
        &'a self,
        run: RunId,
        model: &'a str,
        texts: &'a [String],
    ) -> Pending<'a, Result<Embedded, AskError>> {
        Box::pin(self.vectors(run, model, texts))
    }

    fn moderate<'a>(&'a self, ask: ModerationAsk<'a>) -> Pending<'a, Result<Moderated, AskError>> {
        Box::pin(self.moderated(ask))
    }
}

type Adopted = ((PromptKey, BundleHash), ResolvedPrompt);

fn adopt(
    proxy: &Proxy,
    side: &SidePlan,
    prompt: &SubjectPrompt,
) -> Result<Option<Adopted>, String> {
    let SubjectPrompt::Version {
        key,
        hash,
        bundle,
        version,
        ..
    } = prompt
    else {
        return Ok(None);
    };
    let adopted = proxy.prompts.adopt(key, bundle.to_string().as_bytes());
    let bundle = adopted.map_err(|error| format!("prompt `{key}` in the plan: {error}"))?;
    if bundle.hash() != *hash {
        let (found, hash) = (bundle.hash().short(), hash.short());
        return Err(format!("prompt `{key}` in the plan is {found}, not {hash}"));
    }
    let number = version
        .strip_prefix('v')
        .and_then(|digits| digits.parse().ok());
    let stamp = PromptStamp {
        key: key.clone(),
        hash: *hash,
        number,
        label: None,
        commit: side.commit.clone(),
        dirty: side.commit.is_none(),
    };
    Ok(Some((
        (key.clone(), *hash),
        ResolvedPrompt { stamp, bundle },
    )))
}

/// Cases have variables of their own (what is expected, say), which a prompt need not take.
fn declared(prompt: &ResolvedPrompt, variables: &Map<String, Value>) -> Map<String, Value> {
    let schema = prompt.bundle.input_schema();
    let is_open =
        schema.is_some_and(|schema| schema.get("additionalProperties") == Some(&Value::Bool(true)));
    let names: Vec<&str> = prompt
        .bundle
        .variables()
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    let taken = variables
        .iter()
        .filter(|(name, _)| is_open || names.contains(&name.as_str()));
    taken
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

/// Leaves out the variables that the version fills with the last user message when they say the same: the
/// message is then taken for them, as it is for a client that sends it alone.
fn say_once(prompt: &ResolvedPrompt, variables: &mut Map<String, Value>, messages: &[Value]) {
    let is_of_user = |message: &&Value| message.get("role") == Some(&"user".into());
    let last = messages.iter().rev().find(is_of_user);
    let said = last.and_then(|message| message.get("content"));
    for (name, _) in prompt.bundle.bindings() {
        if variables.get(name) == said {
            variables.remove(name);
        }
    }
}

fn refused(failure: &Failure, arrival: &Arrival) -> AskError {
    let error = &failure.error;
    let retry_after = error.retry_after();
    AskError {
        code: error.kind().to_owned(),
        message: error.to_string(),
        call: failure.facts.durability.map(|_| arrival.id),
        is_retryable: error.may_succeed_later(),
        retry_after_ms: retry_after
            .map(|wait: Duration| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)),
    }
}

type Vectors = (Vec<Vec<f32>>, Option<TokenUsage>);

fn read_vectors(body: &[u8], count: usize) -> Result<Vectors, String> {
    #[derive(serde::Deserialize)]
    struct Answer {
        data: Vec<One>,
        usage: Option<Box<RawValue>>,
    }
    #[derive(serde::Deserialize)]
    struct One {
        index: usize,
        embedding: Vec<f32>,
    }
    let answer: Answer = serde_json::from_slice(body)
        .map_err(|error| format!("the embeddings cannot be read: {error}"))?;
    let mut data = answer.data;
    data.sort_by_key(|one| one.index);
    if data.len() != count
        || data
            .iter()
            .enumerate()
            .any(|(place, one)| one.index != place)
    {
        return Err(format!(
            "{count} texts were sent and {} vectors came",
            data.len()
        ));
    }
    let usage = answer.usage.and_then(|usage| read_usage(usage.get()));
    Ok((data.into_iter().map(|one| one.embedding).collect(), usage))
}

#[cfg(test)]
mod tests {
    use super::read_vectors;

    #[test]
    fn vectors_come_in_the_order_of_the_texts() {
        let body =
            br#"{"data":[{"index":1,"embedding":[2]},{"index":0,"embedding":[1.5]}],"usage":null}"#;
        let (vectors, usage) = read_vectors(body, 2).unwrap();
        assert_eq!((vectors, usage), (vec![vec![1.5], vec![2.0]], None));
        let error = read_vectors(body, 3).unwrap_err();
        assert_eq!(error, "3 texts were sent and 2 vectors came");
        assert!(read_vectors(b"{}", 1).is_err());
    }
}
