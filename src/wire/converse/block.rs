//! Content blocks as they are sent to Bedrock.

use crate::wire::asked::{arguments, kept_for};
use crate::wire::conversation::{
    Cache, Dialect, Losses, Media, Part, Request, ToolCall, ToolKind, ToolResult, Unsupported,
    path_of_part,
};
use crate::wire::messages::understood;
use crate::wire::signature::is_of_gemini;
use crate::wire::tree::{Json, Object};
use crate::wire::turns::{Placed, call_id};
use serde_json::Value;

/// What a block is a part of: not every part takes every block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Within {
    Message,
    Result,
}

/// Writes the blocks of a request.
#[derive(Debug)]
pub(super) struct Blocks<'a> {
    request: &'a Request,
    losses: &'a mut Losses,
    /// How many documents there were: each has a name of its own.
    documents: usize,
}

impl<'a> Blocks<'a> {
    pub(super) const fn new(request: &'a Request, losses: &'a mut Losses) -> Self {
        Self {
            request,
            losses,
            documents: 0,
        }
    }

    /// Returns the blocks of a turn.
    pub(super) fn write(&mut self, parts: &[Placed<'_>]) -> Result<Vec<Object>, Unsupported> {
        let mut blocks = Vec::with_capacity(parts.len());
        for placed in parts {
            let name = path_of_part(self.request, placed.message, placed.part);
            let block = self.block(&name, placed.content, Within::Message)?;
            let cache = cache_of(placed.content).filter(|_| block.is_some());
            blocks.extend(block);
            blocks.extend(cache.map(|cache| cache_point(cache, self.losses)));
        }
        Ok(blocks)
    }

    fn refuse(
        &mut self,
        name: impl Into<String>,
        reason: impl Into<String>,
    ) -> Result<Option<Object>, Unsupported> {
        self.losses.refuse(name, reason)?;
        Ok(None)
    }

    fn block(
        &mut self,
        name: &str,
        part: &Part,
        within: Within,
    ) -> Result<Option<Object>, Unsupported> {
        match part {
            Part::Text {
                text, citations, ..
            } => self.text(name, text, citations),
            Part::Refusal(text) => self.text(name, text, &[]),
            Part::Image { source, detail, .. } => {
                if detail.as_deref().is_some_and(|detail| detail != "auto") {
                    self.refuse(format!("{name}.detail"), "it has no such setting")?;
                }
                self.image(name, source)
            }
            Part::Document { .. } => self.document(name, part),
            Part::Audio { source, format, .. } if within == Within::Message => {
                self.audio(name, source, format)
            }
            Part::Reasoning {
                texts,
                signature,
                is_redacted,
                ..
            } => match signature.as_deref().filter(|proof| !is_of_gemini(proof)) {
                Some(proof) => Ok(Some(thoughts(texts, proof, *is_redacted))),
                None => self.refuse(
                    name,
                    "thoughts without a signature of its own cannot be sent back",
                ),
            },
            Part::ToolCall(call) => self.tool_call(name, call),
            Part::ToolResult(result) if within == Within::Message => self.tool_result(name, result),
            Part::Foreign { value, .. } if self.request.dialect == Dialect::Converse => {
                let block = value.as_object();
                Ok(block.map(|block| Object::default().with_all(block)))
            }
            Part::Foreign { name, value } => {
                self.refuse(name, "it has no such part")?;
                match understood(self.request, value) {
                    Some(part) => self.block(name, &part, within),
                    None => Ok(None),
                }
            }
            Part::Audio { .. } | Part::ToolResult(_) => {
                self.refuse(name, "it cannot stand in a tool's result")
            }
        }
    }

    /// Empty texts are refused there, and say nothing.
    fn text(
        &mut self,
        name: &str,
        text: &str,
        citations: &[Value],
    ) -> Result<Option<Object>, Unsupported> {
        if text.is_empty() {
            return Ok(None);
        }
        let plain = Object::default().with("text", text);
        if citations.is_empty() {
            return Ok(Some(plain));
        }
        if self.request.dialect != Dialect::Converse {
            self.refuse(
                format!("{name}.citations"),
                "it takes no citations but its own",
            )?;
            return Ok(Some(plain));
        }
        let citations: Vec<Json> = citations.iter().cloned().map(Json::Value).collect();
        let content = Object::default()
            .with("content", vec![plain])
            .with("citations", citations);
        Ok(Some(Object::default().with("citationsContent", content)))
    }

    fn image(&mut self, name: &str, source: &Media) -> Result<Option<Object>, Unsupported> {
        let kind = match source {
            Media::Inline { media_type, .. } => media_type.as_str(),
            Media::Url { url, media_type } => media_type.as_deref().unwrap_or(url),
            Media::File(_) | Media::Text(_) => "",
        };
        let kind = kind.to_ascii_lowercase();
        let format = kind.rsplit(['/', '.']).next().unwrap_or_default();
        let format = match format {
            "jpg" => "jpeg",
            format @ ("png" | "jpeg" | "gif" | "webp") => format,
            _ => {
                let reason = "its pictures are PNG, JPEG, GIF or WebP";
                return self.refuse(name, reason);
            }
        };
        let source = self.source(name, source)?;
        Ok(source.map(|source| {
            let image = Object::default()
                .with("format", format)
                .with("source", source);
            Object::default().with("image", image)
        }))
    }

    fn audio(
        &mut self,
        name: &str,
        source: &Media,
        format: &str,
    ) -> Result<Option<Object>, Unsupported> {
        let source = self.source(name, source)?;
        Ok(source.map(|source| {
            let audio = Object::default()
                .with("format", format)
                .with("source", source);
            Object::default().with("audio", audio)
        }))
    }

    /// Bedrock fetches nothing but what lies in S3.
    fn source(&mut self, name: &str, source: &Media) -> Result<Option<Object>, Unsupported> {
        match source {
            Media::Inline { data, .. } => Ok(Some(Object::default().with("bytes", data))),
            Media::Text(text) => Ok(Some(Object::default().with("text", text))),
            Media::Url { url, .. } if url.starts_with("s3://") => {
                let place = Object::default().with("uri", url);
                Ok(Some(Object::default().with("s3Location", place)))
            }
            Media::Url { .. } => self.refuse(name, "it fetches nothing but `s3://` addresses"),
            Media::File(_) => self.refuse(name, "it does not know the files of another provider"),
        }
    }

    fn document(&mut self, name: &str, part: &Part) -> Result<Option<Object>, Unsupported> {
        let Part::Document {
            source,
            title,
            context,
            is_cited,
            ..
        } = part
        else {
            return Ok(None);
        };
        let Some(place) = self.source(name, source)? else {
            return Ok(None);
        };
        let Some(format) = document_format(source, title.as_deref()) else {
            return self.refuse(name, "it takes no documents of this type");
        };
        self.documents += 1;
        let cited = is_cited.map(|is_cited| Object::default().with("enabled", is_cited));
        let document = Object::default()
            .with("format", format)
            .with("name", document_name(title.as_deref(), self.documents))
            .with("source", place)
            .with_some("context", context.as_ref())
            .with_some("citations", cited);
        Ok(Some(Object::default().with("document", document)))
    }

    fn tool_call(&mut self, name: &str, call: &ToolCall) -> Result<Option<Object>, Unsupported> {
        if call.kind == ToolKind::Custom {
            return self.refuse(name, "its tools take JSON, no bare text");
        }
        let input = arguments(call, name, self.losses)?;
        let call = Object::default()
            .with("toolUseId", call_id(&call.id))
            .with("name", &call.name)
            .with("input", input);
        Ok(Some(Object::default().with("toolUse", call)))
    }

    fn tool_result(
        &mut self,
        name: &str,
        result: &ToolResult,
    ) -> Result<Option<Object>, Unsupported> {
        if result.kind == ToolKind::Custom {
            return self.refuse(name, "its tools take JSON, no bare text");
        }
        let mut content = Vec::with_capacity(result.parts.len());
        for (place, part) in result.parts.iter().enumerate() {
            let name = format!("{name}.content[{place}]");
            if cache_of(part).is_some() {
                let reason = "there are no marks within a tool's result";
                self.refuse(format!("{name}.cache_control"), reason)?;
            }
            content.extend(self.block(&name, part, Within::Result)?);
        }
        if content.is_empty() {
            // A result must say something: nothing is an empty object.
            content.push(Object::default().with("json", Object::default()));
        }
        let status = match result.is_error {
            Some(true) => Some("error"),
            Some(false) if self.request.dialect == Dialect::Converse => Some("success"),
            Some(false) | None => None,
        };
        let result = Object::default()
            .with("toolUseId", call_id(&result.call_id))
            .with("content", content)
            .with_some("status", status);
        Ok(Some(Object::default().with("toolResult", result)))
    }
}

fn thoughts(texts: &[String], signature: &str, is_redacted: bool) -> Object {
    let content = match is_redacted {
        true => Object::default().with("redactedContent", signature),
        false => {
            let text = Object::default()
                .with("text", texts.join("\n\n"))
                .with("signature", signature);
            Object::default().with("reasoningText", text)
        }
    };
    Object::default().with("reasoningContent", content)
}

const fn cache_of(part: &Part) -> Option<&Cache> {
    match part {
        Part::Text { cache, .. }
        | Part::Image { cache, .. }
        | Part::Document { cache, .. }
        | Part::ToolCall(ToolCall { cache, .. })
        | Part::ToolResult(ToolResult { cache, .. }) => cache.as_ref(),
        _ => None,
    }
}

/// Returns a mark, which is a block of its own here.
pub(super) fn cache_point(cache: &Cache, losses: &mut Losses) -> Object {
    let point = Object::of_type("default").with_some("ttl", kept_for(cache, losses));
    Object::default().with("cachePoint", point)
}

/// Returns the format of a document by its media type, or by the end of its name.
fn document_format(source: &Media, title: Option<&str>) -> Option<&'static str> {
    let (media_type, name) = match source {
        Media::Text(_) => return Some("txt"),
        Media::Inline { media_type, .. } => (Some(media_type.as_str()), title),
        Media::Url { url, media_type } => (media_type.as_deref(), Some(url.as_str())),
        Media::File(_) => return None,
    };
    let plain = media_type.and_then(|kind| kind.split(';').next());
    let by_type = match plain.unwrap_or_default() {
        "application/pdf" => Some("pdf"),
        "text/csv" => Some("csv"),
        "text/html" => Some("html"),
        "text/plain" => Some("txt"),
        "text/markdown" => Some("md"),
        "application/msword" => Some("doc"),
        "application/vnd.ms-excel" => Some("xls"),
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document" => Some("docx"),
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet" => Some("xlsx"),
        _ => None,
    };
    let (_, ending) = name
        .unwrap_or_default()
        .rsplit_once('.')
        .unwrap_or_default();
    let formats = [
        "pdf", "csv", "doc", "docx", "xls", "xlsx", "html", "txt", "md",
    ];
    by_type.or_else(|| {
        formats
            .into_iter()
            .find(|format| ending.eq_ignore_ascii_case(format))
    })
}

/// Returns a name with the characters that Bedrock allows, and none of the rows of spaces that it does not.
fn document_name(title: Option<&str>, place: usize) -> String {
    let is_taken = |c: char| c.is_ascii_alphanumeric() || "-()[]".contains(c);
    let title = title.unwrap_or_default().split_whitespace();
    let words = title.map(|word| {
        let word = word.chars().map(|c| if is_taken(c) { c } else { '-' });
        word.collect::<String>()
    });
    let name = words.collect::<Vec<_>>().join(" ");
    let name: String = name.chars().take(200).collect();
    if name.is_empty() {
        format!("document-{place}")
    } else {
        name
    }
}

#[cfg(test)]
mod tests {
    use super::{document_format, document_name};
    use crate::wire::conversation::Media;

    #[test]
    fn documents_have_names_and_formats_that_bedrock_takes() {
        assert_eq!(
            document_name(Some("my  report.v2.pdf"), 1),
            "my report-v2-pdf"
        );
        assert_eq!(document_name(None, 3), "document-3");
        assert_eq!(document_name(Some("übersicht"), 1), "-bersicht");
        let inline = |media_type: &str| Media::Inline {
            media_type: media_type.to_owned(),
            data: String::new(),
        };
        for (source, title, expected) in [
            (inline("application/pdf"), None, Some("pdf")),
            (inline("text/plain; charset=utf-8"), None, Some("txt")),
            (
                inline("application/octet-stream"),
                Some("a.DOCX"),
                Some("docx"),
            ),
            (inline("application/zip"), Some("a.zip"), None),
            (Media::Text(String::new()), None, Some("txt")),
            (Media::File("f".to_owned()), Some("a.pdf"), None),
        ] {
            assert_eq!(document_format(&source, title), expected);
        }
    }
}
