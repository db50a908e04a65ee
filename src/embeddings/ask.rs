//! Asks a model for vectors: through the proxy like everybody, each request a record that says which
//! snapshot it is for.

use crate::domain::{Caller, Cost, EmbeddingStamp};
use crate::embeddings::space::{Side, Space};
use crate::embeddings::vault::TextStorage;
use crate::proxy::{self, AnswerBody, Arrival, Failure, PriceLists, Proxy, Under};
use crate::wire::openai::{EmbeddingsRequest, Shaping, VectorEncoding, read_vectors};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::sync::Arc;

/// Who asks, in records; also the tag of such calls.
pub(super) const CALLER: &str = "embeddings";

/// Asks for the vectors of one space.
#[derive(Debug, Clone)]
pub struct Asker {
    proxy: Arc<Proxy>,
    caller: Caller,
    space: Space,
    space_id: String,
    name: String,
    session: Option<String>,
    drops_text: bool,
    takes_base64: bool,
}

/// Vectors that came.
#[derive(Debug, Clone)]
pub struct Embedded {
    /// One for each text, cut and normalised as the space says.
    pub vectors: Vec<Vec<f32>>,
    /// What they cost.
    pub cost: Cost,
    /// How many tokens were read, where the provider says.
    pub tokens: Option<u64>,
    /// How the provider names the model.
    pub model: Option<String>,
}

impl Asker {
    /// Opens the way to the model of `space`; `name` is what records call the snapshot.
    #[must_use]
    pub fn new(proxy: Arc<Proxy>, space: Space, name: String) -> Self {
        let caller = Caller {
            name: CALLER.to_owned(),
            ..Caller::local()
        };
        let upstreams = proxy.upstreams.get();
        let planned = upstreams.routes.plan(&caller, &space.model).ok();
        let kind = planned.and_then(|plan| {
            let lists = upstreams.price_lists.get(&plan.first.provider);
            lists.map(PriceLists::kind)
        });
        Self {
            space_id: space.id().0,
            // Those read it for certain; numbers as text are five times as long.
            takes_base64: matches!(kind, Some("openai" | "azure" | "simulated")),
            proxy,
            caller,
            space,
            name,
            session: None,
            drops_text: false,
        }
    }

    /// Asks for a draft: all its calls are of one session, so that what it cost is found again, and their
    /// records keep no texts where its snapshot will keep none.
    #[must_use]
    pub(super) fn for_draft(self, id: &str, storage: TextStorage) -> Self {
        Self {
            session: Some(id.to_owned()),
            drops_text: storage == TextStorage::HashOnly,
            ..self
        }
    }

    /// Asks for the vectors of texts, written as they are without the side's prefix.
    ///
    /// # Errors
    ///
    /// Why there are none: as [`Proxy::embed`]; `upstream_invalid` when they are not what the space says, with
    /// what they cost all the same.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future cancels the provider's work.
    pub async fn ask(&self, side: Side, texts: &[&str]) -> Result<Embedded, Box<Failure>> {
        let body = self.body(side, texts);
        let arrival = Arrival {
            tags: vec![CALLER.to_owned()],
            session: self.session.clone(),
            drops_text: self.drops_text,
            ..Arrival::own(&body)
        };
        let fail = |error: proxy::Error| {
            Box::new(Failure {
                error,
                facts: proxy::AnswerFacts::default(),
            })
        };
        let request = EmbeddingsRequest::decode(&body).map_err(|error| fail(error.into()))?;
        let answer = self
            .proxy
            .embed_under(&self.caller, &arrival, request, self.under(side))
            .await?;
        // It was answered, so that it is paid, whatever is wrong with it.
        let facts = answer.facts.clone();
        let provider = || facts.provider.clone();
        let paid = |error: proxy::Error| {
            let facts = facts.clone();
            Box::new(Failure { error, facts })
        };
        let invalid = |problem: String| {
            paid(proxy::Error::InvalidAnswer {
                provider: provider(),
                problem,
            })
        };
        let AnswerBody::Whole(body) = answer.body else {
            return Err(invalid(
                "it is a stream, which was not asked for".to_owned(),
            ));
        };
        let vectors = read_vectors(&body, texts.len());
        let mut vectors = vectors.map_err(|error| invalid(error.to_string()))?;
        let shaping = shaping(&self.space);
        for (position, vector) in vectors.iter_mut().enumerate() {
            let shaped = shaping.apply(vector);
            shaped.map_err(|problem| {
                paid(proxy::Error::UnfitAnswer {
                    provider: provider(),
                    problem: format!("vector {position}: {problem}"),
                })
            })?;
        }
        Ok(Embedded {
            vectors,
            cost: answer.facts.cost.unwrap_or_default(),
            tokens: answer.facts.usage.map(|usage| usage.input),
            model: model_of(&body),
        })
    }

    fn body(&self, side: Side, texts: &[&str]) -> Bytes {
        let texts = texts.iter().map(|text| self.space.sent_text(side, text));
        let encoding = if self.takes_base64 { "base64" } else { "float" };
        let mut body = Map::new();
        body.insert("model".to_owned(), self.space.model.as_str().into());
        body.insert("input".to_owned(), texts.collect::<Vec<_>>().into());
        body.insert("encoding_format".to_owned(), encoding.into());
        if let Some(dimensions) = self.space.dimensions {
            body.insert("dimensions".to_owned(), dimensions.into());
        }
        if let Some(task) = &self.space.side(side).task {
            body.insert("input_type".to_owned(), task.as_str().into());
        }
        Value::Object(body).to_string().into()
    }

    fn under(&self, side: Side) -> Under {
        Under {
            stamp: EmbeddingStamp {
                name: self.name.clone(),
                label: None,
                space: self.space_id.clone(),
                side: side.as_str().to_owned(),
            },
            // What is to be done is done here, without writing the numbers again.
            shaping: Shaping::default(),
            encoding: VectorEncoding::Float,
            model_asked: None,
        }
    }
}

/// Returns what is done to the vectors of a space after they came.
pub(crate) fn shaping(space: &Space) -> Shaping {
    Shaping {
        truncated_to: space.truncated_to,
        is_normalised: space.normalised,
        dimensions: space.truncated_to.or(space.dimensions),
    }
}

fn model_of(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Answer {
        model: Option<String>,
    }
    let answer: Answer = serde_json::from_slice(body).ok()?;
    answer.model
}
