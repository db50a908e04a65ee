//! Texts to embed at a provider that has another dialect for it, or that takes fewer at once than were sent:
//! several requests, whose vectors are put together to one answer.

use crate::domain::{Dialect, TokenUsage};
use crate::metering::Tokens;
use crate::providers::{Endpoint, Outgoing, Preset, ReplyBody};
use crate::proxy::Error;
use crate::proxy::attempts::{self, Sending, Success, invalid};
use crate::proxy::call::Call;
use crate::proxy::routing::PlannedAttempt;
use crate::wire;
use crate::wire::conversation::{Embedded, Losses, TextsToEmbed};
use crate::wire::json::{split_array, to_json};
use crate::wire::openai::{
    EmbeddingsReply, EmbeddingsRequest, ReplyFacts, VectorEncoding, read_vectors,
};
use crate::wire::{converse, gemini};
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use http::HeaderMap;

/// How many of the requests are under way at once.
const AT_ONCE: usize = 8;

/// How a provider is asked for vectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// As `OpenAI`.
    OpenAi,
    /// Gemini's `batchEmbedContents`.
    Gemini,
    /// Vertex AI's `predict`.
    Predict,
    /// Amazon's Titan, one text at a time.
    Titan,
    /// Cohere's models at Bedrock.
    Cohere,
}

impl Form {
    fn of(dialect: Dialect, endpoint: &Endpoint, model: &str) -> Self {
        match dialect {
            Dialect::Gemini if endpoint.preset() == Preset::Vertex => Self::Predict,
            Dialect::Gemini => Self::Gemini,
            Dialect::Converse if model.contains("cohere.") => Self::Cohere,
            Dialect::Converse => Self::Titan,
            Dialect::Chat | Dialect::Responses | Dialect::Messages => Self::OpenAi,
        }
    }

    /// How many texts a request may have, by the documents of the providers.
    fn most(self, preset: Preset, model: &str) -> usize {
        match self {
            Self::OpenAi if preset == Preset::Cohere => converse::MAX_COHERE_TEXTS,
            Self::OpenAi if preset == Preset::Gemini => gemini::MAX_TEXTS,
            Self::OpenAi => 2048,
            Self::Gemini => gemini::MAX_TEXTS,
            Self::Predict if model.starts_with("gemini-embedding") => 1,
            Self::Predict => 250,
            Self::Titan => 1,
            Self::Cohere => converse::MAX_COHERE_TEXTS,
        }
    }
}

/// What is asked of one provider.
struct Batch<'a> {
    sending: Sending<'a>,
    planned: &'a PlannedAttempt,
    dialect: Dialect,
    form: Form,
    tries: u32,
}

/// Whether a call goes out as it is: one request in `OpenAI`'s form.
pub(crate) fn goes_as_it_is(
    call: &Call,
    dialect: Dialect,
    endpoint: &Endpoint,
    model: &str,
) -> bool {
    let form = Form::of(dialect, endpoint, model);
    form == Form::OpenAi && call.inputs <= form.most(endpoint.preset(), model)
}

/// Asks for the vectors of a call, in as many requests as it takes.
///
/// # Errors
///
/// The first error of any of them, and what cannot be said to the provider.
pub(crate) async fn attempt(
    sending: Sending<'_>,
    planned: &PlannedAttempt,
    (dialect, endpoint): (Dialect, &Endpoint),
    tries: u32,
) -> Result<Success, Error> {
    let model = &planned.model;
    let batch = Batch {
        sending,
        planned,
        dialect,
        form: Form::of(dialect, endpoint, model),
        tries,
    };
    let request = EmbeddingsRequest::decode(&sending.call.body.to_bytes())?;
    let most = batch.form.most(endpoint.preset(), model);
    let (bodies, warnings) = batch.bodies(&request, most)?;
    let sent = sending.started.elapsed();
    let asked = stream::iter(bodies.into_iter().map(|part| batch.ask(part)));
    let parts: Vec<Embedded> = asked.buffered(AT_ONCE).try_collect().await?;
    let head = sending.started.elapsed();
    let usages: Option<Vec<TokenUsage>> = parts.iter().map(|part| part.usage).collect();
    let told = usages.map(|usages| Embedded::usage_of(usages.iter().map(|it| it.input).sum()));
    let encoding = match request.encoding_format.as_deref() {
        Some("base64") => VectorEncoding::Base64,
        _ => VectorEncoding::Float,
    };
    let usage = match told {
        Some(usage) => usage,
        None => counted(request, model.clone()).await?,
    };
    let whole = Embedded {
        vectors: parts.into_iter().flat_map(|part| part.vectors).collect(),
        usage: Some(usage),
    };
    Ok(Success {
        attempt: planned.clone(),
        content_type: "application/json".to_owned(),
        rate_limits: Vec::new(),
        warnings,
        sent,
        head,
        reply: attempts::Reply::Whole {
            body: whole.to_openai(model, encoding),
            facts: Box::new(ReplyFacts {
                model: Some(model.clone()),
                usage: Some(usage),
                is_estimated: told.is_none(),
                ..ReplyFacts::default()
            }),
        },
    })
}

/// Counts the tokens of a request whose provider tells none, by the tokenizer that comes nearest.
async fn counted(request: EmbeddingsRequest, model: String) -> Result<TokenUsage, Error> {
    let count = move || {
        let texts = request.texts();
        let texts = texts.iter().map(|text| Tokens.count_text(&model, text));
        let tokens = u64::try_from(request.token_count()).unwrap_or(u64::MAX);
        Embedded::usage_of(texts.sum::<u64>().saturating_add(tokens))
    };
    let counted = tokio::task::spawn_blocking(count).await;
    counted.map_err(|_| Error::ShuttingDown)
}

/// The body of one request, and how many texts it has.
struct PartOfBatch {
    body: Bytes,
    count: usize,
}

impl Batch<'_> {
    /// The bodies of the requests, and what had to be left out.
    fn bodies(
        &self,
        request: &EmbeddingsRequest,
        most: usize,
    ) -> Result<(Vec<PartOfBatch>, Vec<String>), Error> {
        if self.form == Form::OpenAi {
            return Ok((self.own_bodies(request, most), Vec::new()));
        }
        let target = match self.form {
            Form::Titan | Form::Cohere => "Bedrock",
            Form::OpenAi | Form::Gemini | Form::Predict => "Google's API",
        };
        let mut losses = Losses::new(target, self.planned.drops_unsupported);
        let mut all = TextsToEmbed::of(request, &mut losses)?;
        all.model.clone_from(&self.planned.model);
        let bodies = all.texts.chunks(most.max(1)).map(|texts| {
            let some = TextsToEmbed {
                texts: texts.to_vec(),
                ..all.clone()
            };
            let body = match self.form {
                Form::Predict => gemini::write_predictions(&some),
                Form::Titan => converse::write_titan(&some, &some.texts.concat()),
                Form::Cohere => converse::write_cohere(&some),
                Form::Gemini | Form::OpenAi => gemini::write_embeddings(&some),
            };
            PartOfBatch {
                body,
                count: texts.len(),
            }
        });
        Ok((bodies.collect(), losses.into_warnings()))
    }

    /// The client's own body, with a part of its inputs each.
    fn own_bodies(&self, request: &EmbeddingsRequest, most: usize) -> Vec<PartOfBatch> {
        let inputs = split_array(&request.input).unwrap_or_default();
        let parts = inputs.chunks(most.max(1)).map(|inputs| {
            let texts: Vec<&[u8]> = inputs.iter().map(|input| &**input).collect();
            let mut list = b"[".to_vec();
            list.extend(texts.join(&b","[..]));
            list.push(b']');
            let mut object = request.object.clone();
            object.set("model", to_json(&self.planned.model));
            object.set("input", Bytes::from(list));
            PartOfBatch {
                body: object.to_bytes(),
                count: inputs.len(),
            }
        });
        parts.collect()
    }

    async fn ask(&self, part: PartOfBatch) -> Result<Embedded, Error> {
        let sending = self.sending;
        let outgoing = Outgoing {
            operation: sending.call.operation,
            dialect: self.dialect,
            headers: HeaderMap::new(),
            model: self.planned.model.clone(),
            body: part.body,
            stream: false,
            call_id: sending.id,
            attempt: self.tries,
            trace: sending.trace.cloned(),
            deadlines: None,
        };
        let providers = &sending.upstreams.providers;
        let reply = providers.send(&self.planned.provider, &outgoing).await;
        let secrets = &sending.upstreams.secrets;
        let reply = reply.map_err(|error| Error::from_provider(error, self.dialect, secrets))?;
        let ReplyBody::Whole(body) = reply.body else {
            return Err(invalid(self.planned, "it is a stream".to_owned()));
        };
        let embedded = self.read(&body, reply.input_tokens, part.count);
        let embedded = embedded
            .map_err(|error| sending.unread(self.planned, self.dialect, (&body, &error)))?;
        if embedded.vectors.len() != part.count {
            let (is, wanted) = (embedded.vectors.len(), part.count);
            let problem = format!("it has {is} vectors for {wanted} texts");
            return Err(invalid(self.planned, problem));
        }
        Ok(embedded)
    }

    fn read(
        &self,
        body: &Bytes,
        input_tokens: Option<u64>,
        count: usize,
    ) -> Result<Embedded, wire::Error> {
        match self.form {
            Form::Gemini => gemini::read_embeddings(body),
            Form::Predict => gemini::read_predictions(body),
            Form::Titan => converse::read_titan(body),
            Form::Cohere => converse::read_cohere(body, input_tokens),
            Form::OpenAi => Ok(Embedded {
                vectors: read_vectors(body, count)?,
                usage: EmbeddingsReply::read(body)?.usage,
            }),
        }
    }
}
