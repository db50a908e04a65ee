//! Content blocks as they are sent: to Anthropic, and to clients that speak its dialect.

use crate::wire::asked::{arguments, kept_for};
use crate::wire::conversation::{
    Cache, Dialect, Losses, Media, Part, Request, ToolCall, ToolKind, ToolResult, Unsupported,
    path_of_part,
};
use crate::wire::signature::is_of_gemini;
use crate::wire::tree::{Json, Object};
use crate::wire::turns::{Placed, call_id};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// The pictures that can be sent.
const IMAGES: [&str; 4] = ["image/jpeg", "image/png", "image/gif", "image/webp"];

/// Writes the blocks of a request.
#[derive(Debug)]
pub(super) struct Blocks<'a> {
    /// The request.
    pub(super) request: &'a Request,
    /// What cannot be said.
    pub(super) losses: &'a mut Losses,
}

impl Blocks<'_> {
    /// Returns the content of a turn, a bare string where it was one; `None` where there is nothing in it.
    pub(super) fn content(
        &mut self,
        parts: &[Placed<'_>],
        is_plain: bool,
    ) -> Result<Option<Json>, Unsupported> {
        if let ([only], true) = (parts, is_plain)
            && let Part::Text {
                text, cache: None, ..
            } = only.content
        {
            return Ok((!text.is_empty()).then(|| text.into()));
        }
        let mut blocks = Vec::with_capacity(parts.len());
        for placed in parts {
            let name = path_of_part(self.request, placed.message, placed.part);
            blocks.extend(self.block(&name, placed.content)?);
        }
        Ok((!blocks.is_empty()).then(|| blocks.into()))
    }

    fn refuse(
        &mut self,
        name: impl Into<String>,
        reason: impl Into<String>,
    ) -> Result<Option<Json>, Unsupported> {
        self.losses.refuse(name, reason)?;
        Ok(None)
    }

    fn block(&mut self, name: &str, part: &Part) -> Result<Option<Json>, Unsupported> {
        match part {
            Part::Text {
                text,
                citations,
                cache,
            } => self.text(name, text, citations, cache.as_ref()),
            Part::Image {
                source,
                detail,
                cache,
            } => {
                if detail.as_deref().is_some_and(|detail| detail != "auto") {
                    self.losses
                        .refuse(format!("{name}.detail"), "it has no such setting")?;
                }
                let block = self.source(name, source, "image")?;
                Ok(block.map(|block| with_cache(block, cache.as_ref(), self.losses).into()))
            }
            Part::Document { .. } => self.document(name, part),
            Part::Audio { .. } => self.refuse(name, "it takes no sound"),
            Part::Reasoning {
                texts,
                signature,
                is_redacted,
                ..
            } => match signature.as_deref().filter(|proof| !is_of_gemini(proof)) {
                Some(proof) => Ok(Some(thoughts(texts, proof, *is_redacted).into())),
                None => self.refuse(
                    name,
                    "thoughts without a signature of its own cannot be sent back",
                ),
            },
            Part::ToolCall(call) => self.tool_call(name, call),
            Part::ToolResult(result) => self.tool_result(name, result),
            Part::Refusal(text) => self.text(name, text, &[], None),
            Part::Foreign { name, value } if self.request.dialect == Dialect::Messages => {
                // Of a message the name is a field, of a block it is the block.
                Ok(value.get("type").map(|_| value.clone().into()).or_else(|| {
                    self.losses.warn(format!("`{name}` was not sent"));
                    None
                }))
            }
            Part::Foreign { name, .. } => self.refuse(name, "it has no such part"),
        }
    }

    /// Empty texts are refused there, and say nothing.
    fn text(
        &mut self,
        name: &str,
        text: &str,
        citations: &[serde_json::Value],
        cache: Option<&Cache>,
    ) -> Result<Option<Json>, Unsupported> {
        if text.is_empty() {
            return Ok(None);
        }
        let mut block = Object::of_type("text").with("text", text);
        if self.request.dialect == Dialect::Messages {
            let citations: Vec<Json> = citations.iter().cloned().map(Json::Value).collect();
            block = block.with_full("citations", citations);
        } else if !citations.is_empty() {
            self.losses.refuse(
                format!("{name}.annotations"),
                "it takes no citations but its own",
            )?;
        }
        Ok(Some(with_cache(block, cache, self.losses).into()))
    }

    fn document(&mut self, name: &str, part: &Part) -> Result<Option<Json>, Unsupported> {
        let Part::Document {
            source,
            title,
            context,
            is_cited,
            cache,
        } = part
        else {
            return Ok(None);
        };
        let cited = is_cited.map(|is_cited| Object::default().with("enabled", is_cited));
        let block = self.source(name, source, "document")?;
        Ok(block.map(|block| {
            let block = block
                .with_some("title", title.as_ref())
                .with_some("context", context.as_ref())
                .with_some("citations", cited);
            with_cache(block, cache.as_ref(), self.losses).into()
        }))
    }

    /// Returns a block of `kind` with its source.
    fn source(
        &mut self,
        name: &str,
        source: &Media,
        kind: &'static str,
    ) -> Result<Option<Object>, Unsupported> {
        let is_image = kind == "image";
        let written = match source {
            Media::Url { url, .. } => Object::of_type("url").with("url", url),
            Media::Inline { media_type, data } => {
                let plain = media_type
                    .split(';')
                    .next()
                    .unwrap_or_default()
                    .to_ascii_lowercase();
                let plain = if plain == "image/jpg" {
                    "image/jpeg".to_owned()
                } else {
                    plain
                };
                let text = (plain == "text/plain" && !is_image)
                    .then(|| STANDARD.decode(data).ok())
                    .flatten();
                let is_taken = if is_image {
                    IMAGES.contains(&plain.as_str())
                } else {
                    plain == "application/pdf"
                };
                match text.and_then(|text| String::from_utf8(text).ok()) {
                    Some(text) => plain_text(&text),
                    None if is_taken => Object::of_type("base64")
                        .with("media_type", plain)
                        .with("data", data),
                    None => {
                        self.losses
                            .refuse(name, format!("it takes no `{media_type}` as {kind}"))?;
                        return Ok(None);
                    }
                }
            }
            Media::File(id) if self.request.dialect == Dialect::Messages => {
                Object::of_type("file").with("file_id", id)
            }
            Media::Text(text) if !is_image => plain_text(text),
            Media::File(_) | Media::Text(_) => {
                self.losses
                    .refuse(name, "it does not know the files of another provider")?;
                return Ok(None);
            }
        };
        Ok(Some(Object::of_type(kind).with("source", written)))
    }

    fn tool_call(&mut self, name: &str, call: &ToolCall) -> Result<Option<Json>, Unsupported> {
        if call.kind == ToolKind::Custom {
            return self.refuse(name, "its tools take JSON, no bare text");
        }
        let input = arguments(call, name, self.losses)?;
        let block = tool_use(&call_id(&call.id), &call.name, input);
        Ok(Some(
            with_cache(block, call.cache.as_ref(), self.losses).into(),
        ))
    }

    fn tool_result(
        &mut self,
        name: &str,
        result: &ToolResult,
    ) -> Result<Option<Json>, Unsupported> {
        if result.kind == ToolKind::Custom {
            return self.refuse(name, "its tools take JSON, no bare text");
        }
        let block = Object::of_type("tool_result").with("tool_use_id", call_id(&result.call_id));
        let block = match (result.parts.as_slice(), result.is_plain) {
            ([Part::Text { text, .. }], true) => block.with("content", text),
            (parts, _) => {
                let mut content = Vec::with_capacity(parts.len());
                for (place, part) in parts.iter().enumerate() {
                    content.extend(self.block(&format!("{name}.content[{place}]"), part)?);
                }
                block.with_full("content", content)
            }
        };
        // That it went well is what everybody means who says nothing.
        let is_error = result.is_error.filter(|is_error| *is_error);
        let block = block.with_some("is_error", is_error);
        Ok(Some(
            with_cache(block, result.cache.as_ref(), self.losses).into(),
        ))
    }
}

fn plain_text(text: &str) -> Object {
    Object::of_type("text")
        .with("media_type", "text/plain")
        .with("data", text)
}

/// Returns a block with thoughts, or with what hides them.
pub(super) fn thoughts(texts: &[String], signature: &str, is_redacted: bool) -> Object {
    if is_redacted {
        return Object::of_type("redacted_thinking").with("data", signature);
    }
    Object::of_type("thinking")
        .with("thinking", texts.join("\n\n"))
        .with("signature", signature)
}

/// Returns a block with a tool call.
pub(super) fn tool_use(id: &str, name: &str, input: Json) -> Object {
    Object::of_type("tool_use")
        .with("id", id)
        .with("name", name)
        .with("input", input)
}

/// Returns `block` with a mark behind it.
pub(super) fn with_cache(block: Object, cache: Option<&Cache>, losses: &mut Losses) -> Object {
    let mark =
        cache.map(|cache| Object::of_type("ephemeral").with_some("ttl", kept_for(cache, losses)));
    block.with_some("cache_control", mark)
}
