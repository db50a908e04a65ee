//! Messages of requests for chat completions, written.

use crate::wire::chat::write_request::{CACHE_MARK_LEFT_OUT, CacheMarks, Target, Thoughts, insert};
use crate::wire::conversation::{
    Cache, Dialect, Losses, Media, Message, Part, Request, Role, Spot, ToolCall, ToolKind,
    ToolResult, Unsupported, data_url,
};
use crate::wire::openai::shared::{Place, cache_to, nested_citation, place_of, put};
use serde_json::{Map, Value, json};

type Done = Result<(), Unsupported>;

/// Writes the messages of `request`. The results of tools become messages of their own, before
/// whatever else the user says in the same message: chat completions want them right behind the calls.
pub(super) fn write_messages(
    request: &Request,
    target: &Target,
    losses: &mut Losses,
) -> Result<Vec<Value>, Unsupported> {
    let mut written = Vec::with_capacity(request.messages.len());
    for (place, message) in request.messages.iter().enumerate() {
        let writer = MessageWriter {
            request,
            target,
            losses,
            place,
            role: message.role,
            fields: Map::new(),
            contents: Vec::new(),
            calls: Vec::new(),
            citations: Vec::new(),
        };
        writer.write(message, &mut written)?;
    }
    Ok(written)
}

struct MessageWriter<'a> {
    request: &'a Request,
    target: &'a Target,
    losses: &'a mut Losses,
    place: usize,
    role: Role,
    fields: Map<String, Value>,
    contents: Vec<Value>,
    calls: Vec<Value>,
    citations: Vec<Value>,
}

impl MessageWriter<'_> {
    fn write(mut self, message: &Message, out: &mut Vec<Value>) -> Done {
        let before = out.len();
        for (part, content) in message.parts.iter().enumerate() {
            match content {
                Part::ToolResult(result) => {
                    let result = self.result(part, result)?;
                    out.push(result);
                }
                Part::Foreign { name, value } if self.is_whole(name) => out.push(value.clone()),
                content => self.part(part, content)?,
            }
        }
        if let (Role::Tool, Some(Value::Object(result))) = (message.role, out.get_mut(before)) {
            for (key, value) in std::mem::take(&mut self.fields) {
                put(result, &key, value);
            }
        }
        let is_empty = self.contents.is_empty() && self.calls.is_empty() && self.fields.is_empty();
        // What had parts and has none left was not worth a message.
        if !is_empty || message.parts.is_empty() {
            out.push(self.finish(message)?);
        }
        Ok(())
    }

    fn is_whole(&self, name: &str) -> bool {
        self.request.dialect == Dialect::Chat && place_of(name) == Place::Whole
    }

    fn finish(self, message: &Message) -> Result<Value, Unsupported> {
        let role = match message.role {
            Role::Developer if self.target.has_developer_role => "developer",
            Role::System | Role::Developer => "system",
            Role::User | Role::Tool => "user",
            Role::Assistant => "assistant",
        };
        let mut written = Map::new();
        written.insert("role".to_owned(), role.into());
        insert(
            &mut written,
            "name",
            message.name.as_deref().map(Value::from),
        );
        let content = match <[Value; 1]>::try_from(self.contents) {
            Ok([content]) => only_text(&content).unwrap_or_else(|| Value::Array(vec![content])),
            Err(contents) if contents.is_empty() && message.role == Role::Assistant => Value::Null,
            Err(contents) if contents.is_empty() => "".into(),
            Err(contents) => Value::Array(contents),
        };
        written.insert("content".to_owned(), content);
        if !self.citations.is_empty() {
            written.insert("annotations".to_owned(), self.citations.into());
        }
        if !self.calls.is_empty() {
            written.insert("tool_calls".to_owned(), self.calls.into());
        }
        for (key, value) in self.fields {
            put(&mut written, &key, value);
        }
        Ok(Value::Object(written))
    }

    fn refuse(&mut self, part: usize, reason: &str) -> Done {
        let spot = Spot::new(self.request, self.place, part);
        self.losses.refuse_at(|| spot.name(), reason)
    }

    fn part(&mut self, place: usize, part: &Part) -> Done {
        let holds_only_text = matches!(self.role, Role::System | Role::Developer | Role::Assistant);
        match part {
            Part::Text {
                text,
                citations,
                cache,
            } => {
                self.cite(citations);
                let text = json!({"type": "text", "text": text});
                self.content(text, cache.as_ref());
            }
            Part::Image { .. } | Part::Document { .. } if holds_only_text => {
                self.refuse(place, "messages of this role hold only text")?;
            }
            Part::Image {
                source,
                detail,
                cache,
            } => match image(source, detail.as_ref()) {
                Some(image) => self.content(image, cache.as_ref()),
                None => self.refuse(place, "pictures are taken by address or as data only")?,
            },
            Part::Document { cache, .. } => {
                if let Some(document) = self.document(place, part)? {
                    self.content(document, cache.as_ref());
                }
            }
            Part::Audio {
                source, format, id, ..
            } => self.audio(place, source, format, id.as_ref())?,
            Part::Reasoning { .. } => self.reasoning(place, part)?,
            Part::ToolCall(call) => self.call(call),
            // It was written before.
            Part::ToolResult(_) => {}
            Part::Refusal(text) if self.role == Role::Assistant => {
                let before = self.fields.get("refusal").and_then(Value::as_str);
                let whole = format!("{}{text}", before.unwrap_or_default());
                self.fields.insert("refusal".to_owned(), whole.into());
            }
            Part::Refusal(_) => self.refuse(place, "only the model refuses")?,
            Part::Foreign { name, value } => self.foreign(name, value)?,
        }
        Ok(())
    }

    fn content(&mut self, mut content: Value, cache: Option<&Cache>) {
        if let Some(fields) = content.as_object_mut() {
            self.target.cache_marks.mark(fields, cache, self.losses);
        }
        self.contents.push(content);
    }

    fn cite(&mut self, citations: &[Value]) {
        if citations.is_empty() {
            return;
        }
        if matches!(self.request.dialect, Dialect::Chat | Dialect::Responses) {
            self.citations.extend(citations.iter().map(nested_citation));
        } else {
            self.losses
                .warn("citations of earlier answers are left out: they have another form here");
        }
    }

    fn document(&mut self, place: usize, part: &Part) -> Result<Option<Value>, Unsupported> {
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
        let spot = Spot::new(self.request, self.place, place);
        if context.is_some() {
            let reason = "documents have no context here";
            self.losses
                .refuse_at(|| spot.field("context").name(), reason)?;
        }
        if *is_cited == Some(true) {
            let reason = "documents are not cited here";
            self.losses
                .refuse_at(|| spot.field("citations").name(), reason)?;
        }
        let data = match source {
            Media::File(id) => return Ok(Some(json!({"type": "file", "file": {"file_id": id}}))),
            Media::Url { .. } => {
                let reason = "documents are taken as data or by the id of a file only";
                self.losses.refuse_at(|| spot.name(), reason)?;
                return Ok(None);
            }
            Media::Inline { media_type, data } => data_url(media_type, data),
            // Files are PDFs here, and a text is what the model makes of a text file anyway.
            Media::Text(text) => {
                let text = match title {
                    Some(title) => format!("{title}\n\n{text}"),
                    None => text.clone(),
                };
                return Ok(Some(json!({"type": "text", "text": text})));
            }
        };
        let name = title.as_deref().unwrap_or(file_name(source));
        Ok(Some(
            json!({"type": "file", "file": {"filename": name, "file_data": data}}),
        ))
    }

    fn audio(&mut self, place: usize, source: &Media, format: &str, id: Option<&String>) -> Done {
        if self.role == Role::Assistant {
            match id {
                Some(id) => put(&mut self.fields, "audio", json!({"id": id})),
                None => self.refuse(place, "what the model said is taken by its id only")?,
            }
            return Ok(());
        }
        let Media::Inline { media_type, data } = source else {
            return self.refuse(place, "sounds are taken as data only");
        };
        let format = match (format, media_type.as_str()) {
            ("", "audio/mpeg") => "mp3",
            ("", other) => other.strip_prefix("audio/").unwrap_or(other),
            (format, _) => format,
        };
        let audio = json!({"data": data, "format": format});
        self.contents
            .push(json!({"type": "input_audio", "input_audio": audio}));
        Ok(())
    }

    fn reasoning(&mut self, place: usize, part: &Part) -> Done {
        let Part::Reasoning {
            texts,
            signature,
            is_redacted,
            ..
        } = part
        else {
            return Ok(());
        };
        match self.target.thoughts {
            Thoughts::Nowhere => {
                self.refuse(place, "messages have no place for earlier thoughts")?;
            }
            Thoughts::LeftOut => self
                .losses
                .warn("earlier thoughts are left out: the provider does not want them back"),
            Thoughts::Field(_) if *is_redacted => {
                self.refuse(place, "messages have no place for hidden thoughts")?;
            }
            Thoughts::Field(name) => {
                if signature.is_some() {
                    self.losses.warn(
                        "the signature of earlier thoughts is left out: the provider has none",
                    );
                }
                let before = self.fields.get(name).and_then(Value::as_str);
                let texts = before.into_iter().chain(texts.iter().map(String::as_str));
                let text = texts.collect::<Vec<_>>().join("\n\n");
                self.fields.insert(name.to_owned(), text.into());
            }
            Thoughts::Details => {
                let mut details = match self.fields.remove("reasoning_details") {
                    Some(Value::Array(details)) => details,
                    _ => Vec::new(),
                };
                let written = details_of(part, details.len());
                details.extend(written);
                self.fields
                    .insert("reasoning_details".to_owned(), details.into());
            }
        }
        Ok(())
    }

    fn call(&mut self, call: &ToolCall) {
        if call.cache.is_some() {
            self.losses.warn(CACHE_MARK_LEFT_OUT);
        }
        let mut written = written_call(call);
        if call.signature.is_some() && !self.target.has_thought_signatures {
            self.losses
                .warn("the signature of an earlier call is left out: the provider has none");
            written.shift_remove("extra_content");
        }
        self.calls.push(Value::Object(written));
    }

    fn result(&mut self, place: usize, result: &ToolResult) -> Result<Value, Unsupported> {
        let spot = Spot::new(self.request, self.place, place);
        if result.is_error == Some(true) {
            self.losses
                .warn("that a tool failed is left out: only its result tells it");
        }
        let mut texts = Vec::new();
        for (inner, part) in result.parts.iter().enumerate() {
            match part {
                Part::Text { text, cache, .. } => {
                    let mut part = Map::new();
                    part.insert("type".to_owned(), "text".into());
                    part.insert("text".to_owned(), text.as_str().into());
                    let marks = self.target.cache_marks;
                    marks.mark(&mut part, cache.as_ref(), self.losses);
                    texts.push(Value::Object(part));
                }
                Part::Foreign { name, value } => self.foreign_text(name, value, &mut texts)?,
                _ => {
                    let reason = "the result of a tool is text only";
                    self.losses.refuse_at(|| spot.inner(inner).name(), reason)?;
                }
            }
        }
        if let (Some(Value::Object(last)), true) = (
            texts.last_mut(),
            self.target.cache_marks != CacheMarks::CacheControl,
        ) {
            // A mark behind the result is one behind its last part.
            let marks = self.target.cache_marks;
            marks.mark(last, result.cache.as_ref(), self.losses);
        }
        let content = match <[Value; 1]>::try_from(texts) {
            Ok([text]) => only_text(&text).unwrap_or_else(|| Value::Array(vec![text])),
            Err(texts) if texts.is_empty() => "".into(),
            Err(texts) => Value::Array(texts),
        };
        let mut written = Map::new();
        written.insert("role".to_owned(), "tool".into());
        written.insert("tool_call_id".to_owned(), result.call_id.as_str().into());
        written.insert("content".to_owned(), content);
        if self.target.cache_marks == CacheMarks::CacheControl {
            let cache = result.cache.as_ref().map(cache_to);
            insert(&mut written, "cache_control", cache);
        }
        Ok(Value::Object(written))
    }

    fn foreign_text(&mut self, name: &str, value: &Value, texts: &mut Vec<Value>) -> Done {
        if self.request.dialect == Dialect::Chat {
            texts.push(value.clone());
            return Ok(());
        }
        self.losses.refuse(name, "it has nothing like it")
    }

    fn foreign(&mut self, name: &str, value: &Value) -> Done {
        if self.request.dialect != Dialect::Chat {
            return self.losses.refuse(name, "it has nothing like it");
        }
        match place_of(name) {
            Place::Part | Place::Whole => self.contents.push(value.clone()),
            Place::ToolCall => self.calls.push(value.clone()),
            Place::Field(key) | Place::Choice(key) => put(&mut self.fields, key, value.clone()),
        }
        Ok(())
    }
}

/// Returns the text of a part that has nothing else, to stand for the whole content: what every
/// imitator understands.
fn only_text(content: &Value) -> Option<Value> {
    let fields = content.as_object()?;
    let is_bare = fields.len() == 2 && fields.get("type")? == "text";
    fields.get("text").filter(|_| is_bare).cloned()
}

/// Returns a picture; `None` when it is kept by a provider.
pub(super) fn image(source: &Media, detail: Option<&String>) -> Option<Value> {
    let url = match source {
        Media::Url { url, .. } => url.clone(),
        Media::Inline { media_type, data } => data_url(media_type, data),
        Media::File(_) | Media::Text(_) => return None,
    };
    let mut image = Map::new();
    image.insert("url".to_owned(), url.into());
    insert(
        &mut image,
        "detail",
        detail.map(|detail| detail.as_str().into()),
    );
    Some(json!({"type": "image_url", "image_url": image}))
}

/// Returns a name for a file that has none; `OpenAI` goes by its ending.
pub(in crate::wire) fn file_name(source: &Media) -> &'static str {
    let Media::Inline { media_type, .. } = source else {
        return "document.txt";
    };
    match media_type.split(';').next().unwrap_or_default() {
        "text/plain" => "document.txt",
        "text/markdown" => "document.md",
        "text/csv" => "document.csv",
        "text/html" => "document.html",
        "application/json" => "document.json",
        _ => "document.pdf",
    }
}

/// Returns the call of a tool. Arguments that are none become an empty object: imitators read them as
/// JSON.
pub(super) fn written_call(call: &ToolCall) -> Map<String, Value> {
    let mut written = Map::new();
    written.insert("id".to_owned(), call.id.as_str().into());
    let (kind, inner) = match call.kind {
        ToolKind::Function => {
            let arguments = if call.arguments.trim().is_empty() {
                "{}"
            } else {
                &call.arguments
            };
            (
                "function",
                json!({"name": call.name, "arguments": arguments}),
            )
        }
        ToolKind::Custom => (
            "custom",
            json!({"name": call.name, "input": call.arguments}),
        ),
    };
    written.insert("type".to_owned(), kind.into());
    written.insert(kind.to_owned(), inner);
    let proof = call.signature.as_ref();
    let proof = proof.map(|proof| json!({"google": {"thought_signature": proof}}));
    insert(&mut written, "extra_content", proof);
    written
}

/// Returns thoughts in OpenRouter's form, numbered from `first`.
pub(super) fn details_of(part: &Part, first: usize) -> Vec<Value> {
    let Part::Reasoning {
        id,
        texts,
        is_summary,
        signature,
        is_redacted,
    } = part
    else {
        return Vec::new();
    };
    let texts: Vec<Option<&String>> = if *is_redacted || texts.is_empty() {
        vec![None]
    } else {
        texts.iter().map(Some).collect()
    };
    let last = texts.len() - 1;
    let details = texts.into_iter().enumerate().map(|(place, text)| {
        let kind = match (text, is_summary) {
            (None, _) => "encrypted",
            (Some(_), true) => "summary",
            (Some(_), false) => "text",
        };
        let mut detail = Map::new();
        detail.insert("type".to_owned(), format!("reasoning.{kind}").into());
        insert(&mut detail, "id", id.as_deref().map(Value::from));
        let key = if kind == "encrypted" { "data" } else { kind };
        let proof = signature.as_deref().filter(|_| place == last);
        let said = text.map(String::as_str).or(proof);
        insert(&mut detail, key, said.map(Value::from));
        let proof = proof.filter(|_| kind != "encrypted");
        insert(&mut detail, "signature", proof.map(Value::from));
        detail.insert("index".to_owned(), (first + place).into());
        Value::Object(detail)
    });
    details.collect()
}
