//! Embeddings under a named version: the record says which, and vectors are cut and normalised before
//! they are handed over.

use crate::domain::{Caller, EmbeddingStamp};
use crate::proxy::call::{self, Arrival, Call};
use crate::proxy::form::Form;
use crate::proxy::{Answer, Error, Failure, Proxy};
use crate::wire::openai::{EmbeddingsRequest, Shaping, VectorEncoding, reshape};
use bytes::Bytes;

/// Under which embedding version a call is made.
#[derive(Debug, Clone)]
pub struct Under {
    /// For the record and the headers.
    pub stamp: EmbeddingStamp,
    /// What is done to the vectors after they came.
    pub shaping: Shaping,
    /// How they are written again, when they are changed.
    pub encoding: VectorEncoding,
    /// `model` as the client wrote it, where that is not the model that is asked.
    pub model_asked: Option<String>,
}

impl Proxy {
    /// Embeds texts under a version. `request` is what the provider gets; `arrival.body` is recorded.
    ///
    /// # Errors
    ///
    /// As [`Proxy::complete`]; `upstream_invalid` when the vectors cannot be what the version says.
    ///
    /// # Cancel safety
    ///
    /// As [`Proxy::complete`].
    pub async fn embed_under(
        &self,
        caller: &Caller,
        arrival: &Arrival,
        request: EmbeddingsRequest,
        under: Under,
    ) -> Result<Answer, Box<Failure>> {
        let mut call = call::embeddings(request, arrival);
        if let Some(asked) = &under.model_asked {
            call.model_asked.clone_from(asked);
        }
        call.embedding = Some(under);
        self.carry_out(caller, arrival, call).await
    }
}

/// Returns the answer as the client gets it, and what is to be said of its form.
pub(crate) fn finish(call: &Call, body: Bytes, provider: &str) -> (Bytes, Form) {
    let Some(under) = call.embedding.as_ref().filter(|it| it.shaping.changes()) else {
        let form = Form::of(call, &body);
        return (body, form);
    };
    match reshape(&body, &under.shaping, under.encoding) {
        Ok(shaped) => (shaped, Form::Good),
        Err(error) => {
            let refused = Error::InvalidAnswer {
                provider: provider.to_owned(),
                problem: error.to_string(),
            };
            (body, Form::Refused(refused))
        }
    }
}
