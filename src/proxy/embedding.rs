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
use futures_util::{StreamExt, future, stream};
use http::HeaderMap;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

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

/// What of a call's texts has come, over all tries at one provider.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// How many texts the largest request of the last try had.
    asked: usize,
    /// The most texts that a request may have, after one that took too long.
    most: Option<usize>,
    /// The answers so far, each with the places of its texts.
    parts: Vec<(Range<usize>, Embedded)>,
}

impl Progress {
    /// Whether a call goes out as it is: one request in `OpenAI`'s form.
    pub(crate) fn goes_as_it_is(
        &mut self,
        call: &Call,
        dialect: Dialect,
        endpoint: &Endpoint,
        model: &str,
    ) -> bool {
        let form = Form::of(dialect, endpoint, model);
        self.asked = call.inputs.min(form.most(endpoint.preset(), model));
        self.most.is_none() && form == Form::OpenAi && call.inputs == self.asked
    }

    /// Lets the next try ask for half as many texts at once: who was too slow would be again, and is paid
    /// for each try.
    pub(crate) fn halve(&mut self) {
        let asked = self.most.map_or(self.asked, |most| most.min(self.asked));
        self.most = (1 < asked).then_some(asked / 2).or(self.most);
    }

    /// The places of the texts that are still missing among `all`, in portions of at most `most`.
    fn missing(&self, all: usize, most: usize) -> Vec<Range<usize>> {
        let most = self.most.map_or(most, |fewer| most.min(fewer)).max(1);
        let mut portions = Vec::new();
        let mut at = 0;
        let ends = self.parts.iter().map(|(place, _)| place.clone());
        for come in ends.chain(std::iter::once(all..all)) {
            while at < come.start {
                let end = (at + most).min(come.start);
                portions.push(at..end);
                at = end;
            }
            at = come.end;
        }
        portions
    }

    fn take(&mut self, place: Range<usize>, embedded: Embedded) {
        let before = self
            .parts
            .partition_point(|(other, _)| other.start < place.start);
        self.parts.insert(before, (place, embedded));
    }

    /// All vectors in their order.
    fn whole(&mut self) -> Embedded {
        let parts = std::mem::take(&mut self.parts);
        let usages: Option<Vec<TokenUsage>> = parts.iter().map(|(_, part)| part.usage).collect();
        let usage = usages.map(|usages| Embedded::usage_of(usages.iter().map(|it| it.input).sum()));
        Embedded {
            vectors: parts
                .into_iter()
                .flat_map(|(_, part)| part.vectors)
                .collect(),
            usage,
        }
    }
}

/// Asks for the vectors of a call that have not come yet, in as many requests as it takes. After one that
/// fails no other is begun; what comes of those under way is kept in `progress`.
///
/// # Errors
///
/// The first error of any of them, and what cannot be said to the provider.
pub(crate) async fn attempt(
    sending: Sending<'_>,
    planned: &PlannedAttempt,
    (dialect, endpoint): (Dialect, &Endpoint),
    tries: u32,
    progress: &mut Progress,
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
    let portions = |all: usize| progress.missing(all, most);
    let (bodies, mut warnings) = batch.bodies(&request, portions)?;
    let sent = sending.started.elapsed();
    batch.ask_all(bodies, progress).await?;
    let head = sending.started.elapsed();
    if let Some(fewer) = progress.most {
        warnings.push(format!(
            "`{}` was too slow for all texts at once and was asked for at most {fewer}",
            planned.provider
        ));
    }
    let mut whole = progress.whole();
    let told = whole.usage;
    let encoding = match request.encoding_format.as_deref() {
        Some("base64") => VectorEncoding::Base64,
        _ => VectorEncoding::Float,
    };
    let usage = match told {
        Some(usage) => usage,
        None => counted(request, model.clone()).await?,
    };
    whole.usage = Some(usage);
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

/// The body of one request, and the places of its texts.
struct PartOfBatch {
    body: Bytes,
    place: Range<usize>,
}

impl Batch<'_> {
    async fn ask_all(
        &self,
        bodies: Vec<PartOfBatch>,
        progress: &mut Progress,
    ) -> Result<(), Error> {
        let has_failed = AtomicBool::new(false);
        let goes_on = || future::ready(!has_failed.load(Ordering::Relaxed));
        let mut asked = stream::iter(bodies)
            .take_while(|_| goes_on())
            .map(|part| self.ask(part))
            .buffer_unordered(AT_ONCE);
        let mut failure = None;
        while let Some(answer) = asked.next().await {
            match answer {
                Ok((place, embedded)) => progress.take(place, embedded),
                Err(error) => {
                    has_failed.store(true, Ordering::Relaxed);
                    failure.get_or_insert(error);
                }
            }
        }
        failure.map_or(Ok(()), Err)
    }

    /// The bodies of the requests, and what had to be left out.
    fn bodies(
        &self,
        request: &EmbeddingsRequest,
        portions: impl Fn(usize) -> Vec<Range<usize>>,
    ) -> Result<(Vec<PartOfBatch>, Vec<String>), Error> {
        if self.form == Form::OpenAi {
            return Ok((self.own_bodies(request, portions), Vec::new()));
        }
        let target = match self.form {
            Form::Titan | Form::Cohere => "Bedrock",
            Form::OpenAi | Form::Gemini | Form::Predict => "Google's API",
        };
        let mut losses = Losses::new(target, self.planned.drops_unsupported);
        let mut all = TextsToEmbed::of(request, &mut losses)?;
        all.model.clone_from(&self.planned.model);
        let texts = std::mem::take(&mut all.texts);
        let bodies = portions(texts.len()).into_iter().map(|place| {
            let some = TextsToEmbed {
                texts: texts.get(place.clone()).unwrap_or_default().to_vec(),
                ..all.clone()
            };
            let body = match self.form {
                Form::Predict => gemini::write_predictions(&some),
                Form::Titan => converse::write_titan(&some, &some.texts.concat()),
                Form::Cohere => converse::write_cohere(&some),
                Form::Gemini | Form::OpenAi => gemini::write_embeddings(&some),
            };
            PartOfBatch { body, place }
        });
        Ok((bodies.collect(), losses.into_warnings()))
    }

    /// The client's own body, with a part of its inputs each.
    fn own_bodies(
        &self,
        request: &EmbeddingsRequest,
        portions: impl Fn(usize) -> Vec<Range<usize>>,
    ) -> Vec<PartOfBatch> {
        let inputs = split_array(&request.input).unwrap_or_default();
        let parts = portions(inputs.len()).into_iter().map(|place| {
            let inputs = inputs.get(place.clone()).unwrap_or_default();
            let texts: Vec<&[u8]> = inputs.iter().map(|input| &**input).collect();
            let mut list = b"[".to_vec();
            list.extend(texts.join(&b","[..]));
            list.push(b']');
            let mut object = request.object.clone();
            object.set("model", to_json(&self.planned.model));
            object.set("input", Bytes::from(list));
            PartOfBatch {
                body: object.to_bytes(),
                place,
            }
        });
        parts.collect()
    }

    async fn ask(&self, part: PartOfBatch) -> Result<(Range<usize>, Embedded), Error> {
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
        let wanted = part.place.len();
        let embedded = self.read(&body, reply.input_tokens, wanted);
        let embedded = embedded
            .map_err(|error| sending.unread(self.planned, self.dialect, (&body, &error)))?;
        if embedded.vectors.len() != wanted {
            let is = embedded.vectors.len();
            let problem = format!("it has {is} vectors for {wanted} texts");
            return Err(invalid(self.planned, problem));
        }
        Ok((part.place, embedded))
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

#[cfg(test)]
mod tests {
    use super::{Embedded, Progress};

    fn part(count: usize) -> Embedded {
        Embedded {
            vectors: vec![vec![0.5]; count],
            usage: Some(Embedded::usage_of(1)),
        }
    }

    #[test]
    fn only_what_has_not_come_is_asked_again_and_in_halves() {
        let mut progress = Progress {
            asked: 4,
            ..Progress::default()
        };
        assert_eq!(progress.missing(10, 4), [0..4, 4..8, 8..10]);
        progress.take(8..10, part(2));
        progress.take(4..8, part(4));
        progress.halve();
        assert_eq!(progress.missing(10, 4), [0..2, 2..4]);
        progress.halve();
        assert_eq!(progress.missing(10, 4), [0..1, 1..2, 2..3, 3..4]);
        progress.halve();
        assert_eq!(progress.most, Some(1));
        progress.take(1..2, part(1));
        assert_eq!(progress.missing(10, 4), [0..1, 2..3, 3..4]);
        for place in [2..3, 0..1, 3..4] {
            progress.take(place, part(1));
        }
        assert!(progress.missing(10, 4).is_empty());
        let whole = progress.whole();
        assert_eq!(whole.vectors.len(), 10);
        assert_eq!(whole.usage.unwrap().input, 6);
    }

    #[test]
    fn one_text_has_no_half() {
        let mut progress = Progress {
            asked: 1,
            ..Progress::default()
        };
        progress.halve();
        assert_eq!(progress.most, None);
    }
}
