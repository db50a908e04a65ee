//! What a call would send, or did send, without asking anybody.

use crate::domain::{CallRecord, Caller, PromptReference, PromptStamp, Selector};
use crate::proxy::call::{self, Arrival, Call};
use crate::proxy::naming::{Naming, PromptHeaders};
use crate::proxy::{Error, Proxy};
use crate::wire::conversation::Request;
use crate::wire::openai::{self, Asked, ChatRequest};
use crate::wire::translate::{self, Target};
use bytes::Bytes;

/// A rendered prompt.
#[derive(Debug)]
pub struct Rendering {
    /// The version that was rendered.
    pub prompt: PromptStamp,
    /// The body of the request that would be sent (JSON).
    pub body: Bytes,
    /// What should be known but stops nothing.
    pub warnings: Vec<String>,
}

impl Proxy {
    /// Renders a prompt with `{"variables": {…}, "messages": […]}`, and asks nobody.
    ///
    /// # Errors
    ///
    /// Those of resolving and rendering.
    pub async fn render(
        &self,
        caller: &Caller,
        reference: &PromptReference,
        body: &Bytes,
    ) -> Result<Rendering, Error> {
        let request = ChatRequest::decode_for_rendering(body)?;
        let headers = PromptHeaders::default();
        let naming = Naming::of(&request, &headers, Some(reference));
        let named = naming.reference(|named| self.prompts.real_name(named))?;
        let reference = named.as_ref().unwrap_or(reference);
        let resolved = self.prompts.resolve(reference, caller).await?;
        let call = call::from_prompt(&resolved, request, &Arrival::own(body))?;
        Ok(Rendering {
            prompt: resolved.stamp,
            body: body_of(&call)?,
            warnings: call.warnings,
        })
    }

    /// Makes the request of a recorded call anew from its version, its variables and the client's
    /// messages. Equal to what was sent, or an error: the record holds a hash of the rendering.
    ///
    /// # Errors
    ///
    /// When the version is gone, or the rendering is not the recorded one.
    pub async fn reconstruct(&self, record: &CallRecord) -> Result<Bytes, Error> {
        let Some(stamp) = &record.intent.prompt else {
            return Ok(record.intent.request.clone());
        };
        let reference = PromptReference {
            key: stamp.key.clone(),
            selector: Selector::Hash(stamp.hash.to_hex()),
        };
        let resolved = self.prompts.resolve(&reference, &Caller::local()).await?;
        let intent = &record.intent;
        let request = ChatRequest::decode_as(intent.dialect, &intent.request, false)?;
        let call = call::from_prompt(&resolved, request, &Arrival::own(&record.intent.request))?;
        if call.rendered_hash != record.intent.rendered_hash {
            return Err(Error::NotReproducible {
                prompt: stamp.key.to_string(),
            });
        }
        body_of(&call)
    }
}

/// The body in the client's own dialect.
fn body_of(call: &Call) -> Result<Bytes, Error> {
    if let Some(conversation) = &call.conversation {
        let request = Request {
            model: call.model.clone(),
            ..conversation.as_ref().clone()
        };
        // What the client's dialect has no words for, of the prompt's settings, is told by a warning.
        let target = Target::all_of(call.dialect);
        return Ok(translate::write_request(&request, &target)?.body);
    }
    let asked = Asked {
        model: &call.model,
        stream_usage: false,
        messages: call.laid_out(),
        token_limit: call
            .token_limit
            .as_ref()
            .map(|limit| ("max_completion_tokens", limit)),
    };
    Ok(openai::encode(&call.body, &asked))
}
