//! Contents as they are sent to Gemini.

use crate::wire::asked::arguments;
use crate::wire::conversation::{
    Losses, Media, Part, Request, ToolCall, ToolKind, ToolResult, Unsupported, path_of_part,
};
use crate::wire::messages::understood;
use crate::wire::signature::for_gemini;
use crate::wire::tree::{Json, Object};
use crate::wire::turns::Placed;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use std::collections::HashMap;

/// What stands in for the proof of a call, by Gemini's documentation: that of another provider's call, or one
/// that a client has lost on the way, as some do with fields that they do not know.
const NO_PROOF: &str = "skip_thought_signature_validator";

/// Writes the parts of contents.
#[derive(Debug)]
pub(super) struct Contents<'a> {
    request: &'a Request,
    losses: &'a mut Losses,
    /// Whether the first call of a turn is refused without a proof.
    wants_proofs: bool,
    /// The tools' names by the ids of their calls: Gemini's results go by names.
    called: HashMap<&'a str, &'a str>,
}

impl<'a> Contents<'a> {
    pub(super) fn new(request: &'a Request, losses: &'a mut Losses) -> Self {
        let parts = request.messages.iter().flat_map(|message| &message.parts);
        let called = parts.filter_map(|part| match part {
            Part::ToolCall(call) => Some((call.id.as_str(), call.name.as_str())),
            _ => None,
        });
        Self {
            request,
            called: called.collect(),
            wants_proofs: wants_proofs(&request.model),
            losses,
        }
    }

    /// Returns the parts of a turn.
    pub(super) fn write(&mut self, parts: &[Placed<'_>]) -> Result<Vec<Object>, Unsupported> {
        let mut written = Vec::with_capacity(parts.len());
        // A proof on its own belongs to the call behind it.
        let mut proof: Option<&str> = None;
        let mut wants_proof = self.wants_proofs;
        for placed in parts {
            let name = path_of_part(self.request, placed.message, placed.part);
            if let Part::ToolCall(call) = placed.content {
                if std::mem::take(&mut wants_proof) && proof.is_none() && call.signature.is_none() {
                    proof = Some(NO_PROOF);
                    self.losses
                        .warn("a call of a tool came back without Gemini's proof of its thought");
                }
                written.extend(self.tool_call(&name, call, proof.take())?);
                continue;
            }
            written.extend(proof.take().map(bare_proof));
            match placed.content {
                Part::Reasoning {
                    texts, signature, ..
                } => {
                    let own = signature.as_deref().and_then(for_gemini);
                    let text = texts.join("\n\n");
                    if !text.is_empty() {
                        written.push(
                            Object::default()
                                .with("text", text)
                                .with("thought", true)
                                .with_some("thoughtSignature", own),
                        );
                    } else if own.is_some() {
                        proof = own;
                    } else {
                        let reason = "hidden thoughts of another provider mean nothing to it";
                        self.losses.refuse(name, reason)?;
                    }
                }
                other => written.extend(self.part(&name, other)?),
            }
        }
        written.extend(proof.map(bare_proof));
        Ok(written)
    }

    fn part(&mut self, name: &str, part: &Part) -> Result<Option<Object>, Unsupported> {
        self.warn_of_cache(part);
        match part {
            Part::Text {
                text, citations, ..
            } => {
                if !citations.is_empty() {
                    let reason = "it takes no citations";
                    self.losses.refuse(format!("{name}.citations"), reason)?;
                }
                Ok(text_of(text))
            }
            Part::Refusal(text) => Ok(text_of(text)),
            Part::Image { source, .. } => self.media(name, source, "image/jpeg"),
            Part::Audio { source, format, .. } => {
                self.media(name, source, &format!("audio/{format}"))
            }
            Part::Document {
                source,
                title,
                context,
                is_cited,
                ..
            } => {
                if title.is_some() {
                    self.losses.warn(format!(
                        "the title of `{name}` was not sent: Gemini takes none"
                    ));
                }
                if context.is_some() {
                    let reason = "its documents have no context";
                    self.losses.refuse(format!("{name}.context"), reason)?;
                }
                if *is_cited == Some(true) {
                    let reason = "it does not cite documents";
                    self.losses.refuse(format!("{name}.citations"), reason)?;
                }
                self.media(name, source, "application/pdf")
            }
            Part::ToolResult(result) => self.tool_result(name, result),
            Part::Foreign { name, value } => {
                self.losses.refuse(name, "it has no such part")?;
                match understood(self.request, value) {
                    Some(Part::ToolCall(call)) => self.tool_call(name, &call, None),
                    Some(part) => self.part(name, &part),
                    None => Ok(None),
                }
            }
            Part::Reasoning { .. } | Part::ToolCall(_) => Ok(None),
        }
    }

    fn warn_of_cache(&mut self, part: &Part) {
        let cache = match part {
            Part::Text { cache, .. }
            | Part::Image { cache, .. }
            | Part::Document { cache, .. }
            | Part::ToolCall(ToolCall { cache, .. })
            | Part::ToolResult(ToolResult { cache, .. }) => cache.as_ref(),
            _ => None,
        };
        if cache.is_some() {
            warn_of_cache(self.losses);
        }
    }

    fn media(
        &mut self,
        name: &str,
        source: &Media,
        likely: &str,
    ) -> Result<Option<Object>, Unsupported> {
        Ok(Some(match source {
            Media::Inline { media_type, data } => inline(media_type, data),
            Media::Text(text) => inline("text/plain", &STANDARD.encode(text)),
            Media::Url { url, media_type } => {
                let media_type = media_type
                    .as_deref()
                    .or_else(|| type_of_url(url))
                    .unwrap_or(likely);
                let file = Object::default()
                    .with("mimeType", media_type)
                    .with("fileUri", url);
                Object::default().with("fileData", file)
            }
            Media::File(_) => {
                let reason = "it does not know the files of another provider";
                self.losses.refuse(name, reason)?;
                return Ok(None);
            }
        }))
    }

    fn tool_call(
        &mut self,
        name: &str,
        call: &ToolCall,
        proof: Option<&str>,
    ) -> Result<Option<Object>, Unsupported> {
        if call.cache.is_some() {
            warn_of_cache(self.losses);
        }
        if call.kind == ToolKind::Custom {
            let reason = "its tools take JSON, no bare text";
            self.losses.refuse(name, reason)?;
            return Ok(None);
        }
        let arguments = arguments(call, name, self.losses)?;
        // Calls have proofs with Gemini only, so theirs need no mark.
        let own = call.signature.as_deref().or(proof);
        let function = Object::default()
            .with_some("id", (!call.id.is_empty()).then_some(&call.id))
            .with("name", &call.name)
            .with("args", arguments);
        Ok(Some(
            Object::default()
                .with("functionCall", function)
                .with_some("thoughtSignature", own),
        ))
    }

    fn tool_result(
        &mut self,
        name: &str,
        result: &ToolResult,
    ) -> Result<Option<Object>, Unsupported> {
        if result.kind == ToolKind::Custom {
            let reason = "its tools take JSON, no bare text";
            self.losses.refuse(name, reason)?;
            return Ok(None);
        }
        let called = self.called.get(result.call_id.as_str()).copied();
        let Some(tool) = result.name.as_deref().or(called) else {
            let reason = "it answers no call that came before it";
            self.losses.refuse(name, reason)?;
            return Ok(None);
        };
        let mut texts = Vec::new();
        let mut media = Vec::new();
        for (place, part) in result.parts.iter().enumerate() {
            let name = format!("{name}.content[{place}]");
            match part {
                Part::Text { text, .. } => {
                    self.warn_of_cache(part);
                    texts.push(text.as_str());
                }
                other => media.extend(self.part(&name, other)?),
            }
        }
        let response = response_of(&texts.join("\n"), result.is_error == Some(true));
        let function = Object::default()
            .with_some(
                "id",
                (!result.call_id.is_empty()).then_some(&result.call_id),
            )
            .with("name", tool)
            .with("response", response)
            .with_full("parts", media);
        Ok(Some(Object::default().with("functionResponse", function)))
    }
}

/// Tells that a mark was not sent: it asks for nothing that an answer would show.
pub(super) fn warn_of_cache(losses: &mut Losses) {
    losses.warn("`cache_control` is left out: the provider decides by itself what it caches");
}

/// Returns what a tool gave as an object: itself where it is one, else under the key that Gemini has for it.
fn response_of(text: &str, is_error: bool) -> Json {
    if is_error {
        return Object::default().with("error", text).into();
    }
    match serde_json::from_str::<Value>(text) {
        Ok(Value::Object(_)) => Json::arguments_or_text(text),
        _ => Object::default().with("output", text).into(),
    }
}

/// Whether a model checks the proofs of calls: Gemini 3 was the first.
fn wants_proofs(model: &str) -> bool {
    let is_older = ["gemini-1", "gemini-2"]
        .iter()
        .any(|start| model.contains(start));
    model.contains("gemini") && !is_older
}

fn bare_proof(proof: &str) -> Object {
    Object::default()
        .with("text", "")
        .with("thoughtSignature", proof)
}

fn text_of(text: &str) -> Option<Object> {
    (!text.is_empty()).then(|| Object::default().with("text", text))
}

fn inline(media_type: &str, data: &str) -> Object {
    let blob = Object::default()
        .with("mimeType", media_type)
        .with("data", data);
    Object::default().with("inlineData", blob)
}

/// Returns the media type that the end of an address tells of.
fn type_of_url(url: &str) -> Option<&'static str> {
    let path = url.split(['?', '#']).next()?;
    let (_, ending) = path.rsplit_once('.')?;
    Some(match ending.to_ascii_lowercase().as_str() {
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "webp" => "image/webp",
        "gif" => "image/gif",
        "heic" => "image/heic",
        "heif" => "image/heif",
        "pdf" => "application/pdf",
        "txt" | "md" => "text/plain",
        "html" | "htm" => "text/html",
        "csv" => "text/csv",
        "json" => "application/json",
        "mp3" => "audio/mp3",
        "wav" => "audio/wav",
        "ogg" => "audio/ogg",
        "flac" => "audio/flac",
        "mp4" => "video/mp4",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use crate::wire::chat;
    use crate::wire::conversation::ModelTraits;
    use crate::wire::gemini;
    use bytes::Bytes;

    /// The proofs of the calls in a conversation that a client sends back.
    fn proofs(model: &str, extra: &str) -> (Vec<Option<String>>, usize) {
        let body = format!(
            r#"{{"model":"{model}","messages":[{{"role":"user","content":"go"}},
            {{"role":"assistant","tool_calls":[
              {{"id":"a","type":"function","function":{{"name":"f","arguments":"{{}}"}}{extra}}},
              {{"id":"b","type":"function","function":{{"name":"f","arguments":"{{}}"}}}}]}},
            {{"role":"tool","tool_call_id":"a","content":"1"}},{{"role":"tool","tool_call_id":"b","content":"2"}}]}}"#
        );
        let request = chat::read_request(&Bytes::from(body)).unwrap();
        let written = gemini::write_request(&request, &ModelTraits::default()).unwrap();
        let body: serde_json::Value = serde_json::from_slice(&written.body).unwrap();
        let parts = body["contents"][1]["parts"].as_array().unwrap();
        let proofs = parts
            .iter()
            .map(|part| part["thoughtSignature"].as_str().map(str::to_owned));
        (proofs.collect(), written.warnings.len())
    }

    #[test]
    fn a_call_that_lost_its_proof_says_so() {
        let lost = Some("skip_thought_signature_validator".to_owned());
        let kept = r#","extra_content":{"google":{"thought_signature":"cHJvb2Y="}}"#;
        for (model, extra, expected) in [
            ("gemini-3-pro", "", (vec![lost.clone(), None], 1)),
            ("gemini-flash-latest", "", (vec![lost, None], 1)),
            (
                "gemini-3-pro",
                kept,
                (vec![Some("cHJvb2Y=".to_owned()), None], 0),
            ),
            ("gemini-2.5-flash", "", (vec![None, None], 0)),
        ] {
            assert_eq!(proofs(model, extra), expected, "{model}");
        }
    }
}
