//! Calls that the gateway makes for itself, for a run of evals: recorded like any other, with a whole
//! answer, and of exactly the version that is brought along.

use crate::domain::Caller;
use crate::prompts::ResolvedPrompt;
use crate::proxy::call::{self, Arrival};
use crate::proxy::{AnswerBody, AnswerFacts, Error, Failure, Proxy};
use crate::wire::openai::ChatRequest;
use bytes::Bytes;

/// A whole answer, with what was sent for it.
#[derive(Debug)]
pub struct WholeAnswer {
    /// What is known of the call.
    pub facts: AnswerFacts,
    /// The provider's answer (JSON).
    pub body: Bytes,
    /// The messages that were sent (JSON each).
    pub sent: Vec<Bytes>,
}

impl Proxy {
    /// Answers the chat completion in `arrival.body`. With `prompt`, its `prompt.variables` fill that
    /// version, whatever the registry serves now.
    ///
    /// # Errors
    ///
    /// As [`Proxy::complete`].
    ///
    /// # Cancel safety
    ///
    /// As [`Proxy::complete`].
    pub async fn answer_errand(
        &self,
        caller: &Caller,
        arrival: &Arrival,
        prompt: Option<&ResolvedPrompt>,
    ) -> Result<WholeAnswer, Box<Failure>> {
        let decoded = ChatRequest::decode(&arrival.body).map_err(Error::from);
        let mut request = decoded.map_err(Failure::early)?;
        request.stream = false;
        request.client_wants_usage = false;
        request.object.remove("stream");
        request.object.remove("stream_options");
        let call = match prompt {
            Some(prompt) => call::from_prompt(prompt, request, arrival),
            None => call::plain(request, arrival),
        };
        let call = call.map_err(Failure::early)?;
        let sent = call.messages.to_vec();
        let answer = self.carry_out(caller, arrival, call).await?;
        match answer.body {
            AnswerBody::Whole(body) => Ok(WholeAnswer {
                facts: answer.facts,
                body,
                sent,
            }),
            // None was asked for; dropping it records how far it came.
            AnswerBody::Stream(_) => {
                let provider = answer.facts.provider.clone();
                let problem = "it is a stream, which was not asked for".to_owned();
                Err(Box::new(Failure {
                    error: Error::InvalidAnswer { provider, problem },
                    facts: answer.facts,
                }))
            }
        }
    }
}
