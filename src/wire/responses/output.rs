//! The messages of a conversation as the items of a request's input.

use crate::wire::chat::{CACHE_MARK_LEFT_OUT, CacheMarks};
use crate::wire::conversation::{
    Cache, Dialect, Losses, Media, Message, Part, Request, Role, Spot, ToolKind, ToolResult,
    Unsupported, path_of_message,
};
use crate::wire::openai::shared::{Place, place_of, put};
use crate::wire::responses::write_item::{call, fields, file, image, output_text, reasoning};
use serde_json::{Map, Value, json};

type Done = Result<(), Unsupported>;

/// Writes the messages of `request`: its instructions, which are the first message where that is a text
/// of the system's, and its items.
pub(super) fn write_messages(
    request: &Request,
    marks: CacheMarks,
    losses: &mut Losses,
) -> Result<(Option<String>, Vec<Value>), Unsupported> {
    let first = request.messages.first();
    let instructions = first.and_then(|first| instructions_of(first, marks));
    let skipped = usize::from(instructions.is_some());
    let mut writer = Writer {
        request,
        marks,
        losses,
        place: 0,
        role: Role::User,
        items: Vec::new(),
        others: Map::new(),
        contents: Vec::new(),
    };
    if let Some((_, Some(_))) = &instructions {
        writer.losses.warn(CACHE_MARK_LEFT_OUT);
    }
    for (place, message) in request.messages.iter().enumerate().skip(skipped) {
        writer.place = place;
        writer.role = message.role;
        writer.message(message)?;
    }
    Ok((instructions.map(|(text, _)| text), writer.items))
}

/// Returns the text of a message that can be instructions, and its mark: those that are marked must be a
/// message, where marks are known.
fn instructions_of(message: &Message, marks: CacheMarks) -> Option<(String, Option<Cache>)> {
    match message.parts.as_slice() {
        [Part::Text { text, cache, .. }]
            if message.role == Role::System && (cache.is_none() || marks == CacheMarks::None) =>
        {
            Some((text.clone(), cache.clone()))
        }
        _ => None,
    }
}

struct Writer<'a> {
    request: &'a Request,
    marks: CacheMarks,
    losses: &'a mut Losses,
    place: usize,
    role: Role,
    items: Vec<Value>,
    /// Foreign fields of the message that is being written, and its content.
    others: Map<String, Value>,
    contents: Vec<Value>,
}

impl Writer<'_> {
    fn message(&mut self, message: &Message) -> Done {
        if message.name.is_some() {
            let name = || format!("{}.name", path_of_message(self.request, self.place));
            self.losses.refuse_at(name, "messages have no names")?;
        }
        let before = self.items.len();
        for (place, part) in message.parts.iter().enumerate() {
            self.part(place, part)?;
        }
        if !self.contents.is_empty() || !self.others.is_empty() {
            self.close();
        } else if before == self.items.len() && message.parts.is_empty() {
            self.contents.push(self.text("", &[]));
            self.close();
        }
        Ok(())
    }

    /// Ends the message item that is being written.
    fn close(&mut self) {
        if self.contents.is_empty() && self.others.is_empty() {
            return;
        }
        let role = match self.role {
            Role::System => "system",
            Role::Developer => "developer",
            Role::User | Role::Tool => "user",
            Role::Assistant => "assistant",
        };
        let mut item = fields("message");
        item.insert("role".to_owned(), role.into());
        let contents = std::mem::take(&mut self.contents);
        let content = match <[Value; 1]>::try_from(contents) {
            Ok([content]) => only_text(&content).unwrap_or_else(|| Value::Array(vec![content])),
            Err(contents) => Value::Array(contents),
        };
        item.insert("content".to_owned(), content);
        for (key, value) in std::mem::take(&mut self.others) {
            put(&mut item, &key, value);
        }
        self.items.push(Value::Object(item));
    }

    fn item(&mut self, item: Map<String, Value>) {
        self.close();
        self.items.push(Value::Object(item));
    }

    fn refuse(&mut self, part: usize, reason: &str) -> Done {
        let spot = Spot::new(self.request, self.place, part);
        self.losses.refuse_at(|| spot.name(), reason)
    }

    fn text(&self, text: &str, citations: &[Value]) -> Value {
        if self.role == Role::Assistant {
            output_text(text, citations)
        } else {
            json!({"type": "input_text", "text": text})
        }
    }

    fn part(&mut self, place: usize, part: &Part) -> Done {
        match part {
            Part::Text {
                text, citations, ..
            } => {
                let citations = self.known_citations(citations);
                let mut text = self.text(text, citations);
                self.mark(&mut text, part);
                self.contents.push(text);
            }
            Part::Image { .. } | Part::Document { .. } | Part::Audio { .. }
                if self.role == Role::Assistant =>
            {
                self.refuse(place, "what the model said before is text here")?;
            }
            Part::Image { .. } | Part::Document { .. } | Part::Audio { .. } => {
                let spot = Spot::new(self.request, self.place, place);
                let mut content = self.media(spot, part)?;
                if let Some(content) = &mut content {
                    self.mark(content, part);
                }
                self.contents.extend(content);
            }
            Part::Reasoning { .. } => self.reasoning(place, part)?,
            Part::ToolCall(found) => {
                if found.cache.is_some() {
                    self.losses.warn(CACHE_MARK_LEFT_OUT);
                }
                if found.signature.is_some() {
                    self.losses.warn(
                        "the signature of an earlier call is left out: the provider has none",
                    );
                }
                let mut found = found.clone();
                // Another dialect's ids of items are none here.
                found.item_id = found.item_id.filter(|_| self.is_own());
                self.item(call(&found));
            }
            Part::ToolResult(result) => self.result(place, result)?,
            Part::Refusal(text) if self.role == Role::Assistant => {
                self.contents
                    .push(json!({"type": "refusal", "refusal": text}));
            }
            Part::Refusal(_) => self.refuse(place, "only the model refuses")?,
            Part::Foreign { name, value } => self.foreign(name, value)?,
        }
        Ok(())
    }

    fn is_own(&self) -> bool {
        self.request.dialect == Dialect::Responses
    }

    /// Marks what was written of `part`. What the model said cannot be marked.
    fn mark(&mut self, written: &mut Value, part: &Part) {
        let (Part::Text { cache, .. } | Part::Image { cache, .. } | Part::Document { cache, .. }) =
            part
        else {
            return;
        };
        let marks = match self.role {
            Role::Assistant => CacheMarks::None,
            _ => self.marks,
        };
        if let Value::Object(fields) = written {
            marks.mark(fields, cache.as_ref(), self.losses);
        }
    }

    /// Returns citations whose form is known here.
    fn known_citations<'c>(&mut self, citations: &'c [Value]) -> &'c [Value] {
        let is_known = matches!(self.request.dialect, Dialect::Chat | Dialect::Responses);
        if is_known || citations.is_empty() {
            return citations;
        }
        self.losses
            .warn("citations of earlier answers are left out: they have another form here");
        &[]
    }

    /// Writes a picture, a document or a sound.
    fn media(&mut self, spot: Spot<'_>, part: &Part) -> Result<Option<Value>, Unsupported> {
        match part {
            Part::Image { source, detail, .. } => {
                let written = image(source, detail.as_ref());
                if written.is_none() {
                    let reason = "a text is no picture";
                    self.losses.refuse_at(|| spot.name(), reason)?;
                }
                Ok(written)
            }
            Part::Document {
                source,
                title,
                context,
                is_cited,
                ..
            } => {
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
                Ok(Some(file(source, title.as_ref())))
            }
            Part::Audio {
                source: Media::Inline { data, .. },
                format,
                ..
            } if self.is_own() && !format.is_empty() => {
                let audio = json!({"data": data, "format": format});
                Ok(Some(json!({"type": "input_audio", "input_audio": audio})))
            }
            _ => {
                let reason = "messages hold texts, pictures and documents";
                self.losses.refuse_at(|| spot.name(), reason)?;
                Ok(None)
            }
        }
    }

    fn reasoning(&mut self, place: usize, part: &Part) -> Done {
        if self.is_own() {
            self.item(reasoning(part));
            return Ok(());
        }
        let mut part = part.clone();
        let Part::Reasoning {
            id,
            is_summary,
            signature,
            ..
        } = &mut part
        else {
            return Ok(());
        };
        if signature.is_none() {
            return self.refuse(place, "thoughts are taken only with what proves them");
        }
        // Whoever kept them kept the summary that was shown; ids are the provider's own.
        *is_summary = true;
        *id = None;
        self.item(reasoning(&part));
        Ok(())
    }

    fn result(&mut self, place: usize, result: &ToolResult) -> Done {
        self.close();
        let spot = Spot::new(self.request, self.place, place);
        if result.is_error == Some(true) {
            self.losses
                .warn("that a tool failed is left out: only its result tells it");
        }
        let mut contents = Vec::new();
        for (inner, part) in result.parts.iter().enumerate() {
            let spot = spot.inner(inner);
            let mut written = match part {
                Part::Text { text, .. } => Some(json!({"type": "input_text", "text": text})),
                Part::Image { .. } | Part::Document { .. } => self.media(spot, part)?,
                _ => None,
            };
            if let Some(written) = &mut written {
                self.mark(written, part);
            }
            contents.extend(written);
            match part {
                Part::Text { .. } | Part::Image { .. } | Part::Document { .. } => {}
                Part::Foreign { value, .. } if self.is_own() => contents.push(value.clone()),
                Part::Foreign { name, .. } => {
                    self.losses.refuse(name, "it has nothing like it")?;
                }
                _ => {
                    let reason = "the result of a tool is texts, pictures and documents";
                    self.losses.refuse_at(|| spot.name(), reason)?;
                }
            }
        }
        if let Some(Value::Object(last)) = contents.last_mut() {
            // A mark behind the result is one behind its last part.
            let marks = self.marks;
            marks.mark(last, result.cache.as_ref(), self.losses);
        }
        let kind = match result.kind {
            ToolKind::Function => "function_call_output",
            ToolKind::Custom => "custom_tool_call_output",
        };
        let output = match <[Value; 1]>::try_from(contents) {
            Ok([text]) => only_text(&text).unwrap_or_else(|| Value::Array(vec![text])),
            Err(contents) if contents.is_empty() => "".into(),
            Err(contents) => Value::Array(contents),
        };
        let mut item = fields(kind);
        item.insert("call_id".to_owned(), result.call_id.as_str().into());
        item.insert("output".to_owned(), output);
        self.item(item);
        Ok(())
    }

    fn foreign(&mut self, name: &str, value: &Value) -> Done {
        if !self.is_own() {
            return self.losses.refuse(name, "it has nothing like it");
        }
        match place_of(name) {
            Place::Part => self.contents.push(value.clone()),
            Place::Field(key) | Place::Choice(key) => {
                if !self.contents.is_empty() {
                    self.close();
                }
                put(&mut self.others, key, value.clone());
            }
            Place::Whole | Place::ToolCall => {
                self.close();
                self.items.push(value.clone());
            }
        }
        Ok(())
    }
}

/// Returns the text of a part that has nothing else, to stand for the whole content.
fn only_text(content: &Value) -> Option<Value> {
    let fields = content.as_object()?;
    let is_text = matches!(fields.get("type")?.as_str()?, "input_text" | "output_text");
    let is_bare = fields
        .iter()
        .all(|(key, value)| matches!(key.as_str(), "type" | "text") || *value == json!([]));
    fields.get("text").filter(|_| is_text && is_bare).cloned()
}
