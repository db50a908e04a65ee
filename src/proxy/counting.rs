//! How many tokens a request has, before anybody is asked.

use crate::domain::Caller;
use crate::proxy::call::{self, Arrival};
use crate::proxy::naming::{Naming, PromptHeaders};
use crate::proxy::{Error, Proxy};
use crate::wire::openai::ChatRequest;
use bytes::Bytes;
use std::sync::Arc;

impl Proxy {
    /// Counts the input tokens of `request`, whose prompt is rendered if it names one, by the tokenizer
    /// that comes nearest to the model's. Exact for `OpenAI`'s models, an estimate for others.
    ///
    /// # Errors
    ///
    /// Those of resolving and rendering, and `model_not_found`, `model_forbidden`.
    pub async fn count_input(&self, caller: &Caller, request: ChatRequest) -> Result<u64, Error> {
        let headers = PromptHeaders::default();
        let named = Naming::of(&request, &headers, None);
        let named = named.reference(|named| self.prompts.real_name(named))?;
        let tools = request.object.get_some("tools").cloned();
        let arrival = Arrival::own(&Bytes::new());
        let call = match named {
            None => call::plain(request, &arrival)?,
            Some(reference) => {
                let resolved = self.prompts.resolve(&reference, caller).await?;
                call::from_prompt(&resolved, request, &arrival)?
            }
        };
        let plan = self.upstreams.get().routes.plan(caller, &call.model)?;
        let tokens = self.recorder.tokens;
        let counting = Arc::clone(&self.recorder.counting).acquire_owned().await;
        let count = move || {
            let counted = tokens.count_messages(&plan.first.model, &call.messages);
            let tools = tools.as_deref().map(String::from_utf8_lossy);
            let tools = tools.map_or(0, |text| tokens.count_text(&plan.first.model, &text));
            drop(counting);
            counted + tools
        };
        let counted = tokio::task::spawn_blocking(count).await;
        counted.map_err(|_| Error::ShuttingDown)
    }
}
