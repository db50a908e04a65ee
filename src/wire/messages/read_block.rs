//! Content blocks as they come: of a request's message, of a tool's result, of an answer.

use crate::wire::Error;
use crate::wire::conversation::{
    Cache, Dialect, Fields, Media, Part, Request, ToolCall, ToolKind, ToolResult,
};
use crate::wire::json::{field, split_array};
use bytes::Bytes;
use serde_json::Value;

/// The deepest that results of tools may hold blocks.
const MAX_RESULT_DEPTH: usize = 2;

/// The elements of an array as they were written, beside their values; empty where there are none.
#[derive(Debug, Default)]
pub(super) struct Written(Vec<Bytes>);

impl Written {
    /// Returns the elements of the array at `key` of `object`, which is a value of a parsed body.
    pub(super) fn of(object: Option<&Bytes>, key: &str) -> Self {
        let array = object.and_then(|object| field(object, key));
        Self(array.as_ref().and_then(split_array).unwrap_or_default())
    }

    /// Returns the element at `place`.
    pub(super) fn get(&self, place: usize) -> Option<&Bytes> {
        self.0.get(place)
    }
}

/// Returns what a block of a request says; what is not understood is kept as a whole and named.
pub(super) fn part_of(path: String, block: Value, written: Option<&Bytes>) -> Result<Part, Error> {
    read(path, block, written, 0).map(|(part, _)| part)
}

/// Returns what a block of a request says to those who do not know a field of it, for a provider that is not told what it
/// cannot be told. `None` for what is foreign as a whole, and for what did not come from Anthropic's clients.
pub(in crate::wire) fn understood(request: &Request, block: &Value) -> Option<Part> {
    if request.dialect != Dialect::Messages {
        return None;
    }
    let (_, understood) = read(String::new(), block.clone(), None, 0).ok()?;
    understood
}

/// Returns what a block of an answer says. A block that is understood is not given up for a field that is not: there
/// will be new ones.
pub(super) fn part_of_reply(
    path: String,
    block: Value,
    written: Option<&Bytes>,
) -> Result<Part, Error> {
    read(path, block, written, 0).map(|(part, understood)| understood.unwrap_or(part))
}

/// Returns what a block says and, where a field of it was not understood, what it says without that.
fn read(
    path: String,
    block: Value,
    written: Option<&Bytes>,
    depth: usize,
) -> Result<(Part, Option<Part>), Error> {
    let as_it_came = block.clone();
    let mut fields = Fields::of(path, block)?;
    let kind = fields.required_string("type")?;
    let part = match kind.as_str() {
        "text" => text(&mut fields)?,
        "image" => image(&mut fields)?,
        "document" => document(&mut fields)?,
        "thinking" => Some(Part::Reasoning {
            id: None,
            texts: vec![fields.string("thinking")?.unwrap_or_default()],
            is_summary: false,
            signature: fields
                .string("signature")?
                .filter(|proof| !proof.is_empty()),
            is_redacted: false,
        }),
        "redacted_thinking" => Some(Part::Reasoning {
            id: None,
            texts: Vec::new(),
            is_summary: false,
            signature: Some(fields.required_string("data")?),
            is_redacted: true,
        }),
        "tool_use" => Some(tool_call(&mut fields, written)?),
        "tool_result" if depth < MAX_RESULT_DEPTH => tool_result(&mut fields, depth)?,
        _ => None,
    };
    let name = fields.here().to_owned();
    Ok(match (part, left_over(&fields)) {
        (Some(part), None) => (part, None),
        (Some(part), Some(key)) => (foreign(format!("{name}.{key}"), as_it_came), Some(part)),
        (None, _) => (foreign(format!("{name} ({kind})"), as_it_came), None),
    })
}

const fn foreign(name: String, value: Value) -> Part {
    Part::Foreign { name, value }
}

/// Returns the first field that was not read.
fn left_over(fields: &Fields) -> Option<String> {
    let rest = fields.clone().into_rest();
    rest.keys().next().cloned()
}

/// Takes a mark; one of another kind stays where it is.
pub(super) fn cache(fields: &mut Fields) -> Option<Cache> {
    let mark = fields.take_if("cache_control", |mark| {
        let ttl = mark.get("ttl").is_none_or(Value::is_string);
        let is_known = |key: &String| key == "type" || key == "ttl";
        let is_plain = mark
            .as_object()
            .is_some_and(|mark| mark.keys().all(is_known));
        ttl && is_plain && mark.get("type").and_then(Value::as_str) == Some("ephemeral")
    })?;
    let ttl = mark.get("ttl").and_then(Value::as_str);
    Some(Cache {
        ttl: ttl.map(ToOwned::to_owned),
    })
}

fn text(fields: &mut Fields) -> Result<Option<Part>, Error> {
    let text = fields.required_string("text")?;
    let citations = fields.array("citations")?.unwrap_or_default();
    Ok(Some(Part::Text {
        text,
        citations: citations.into_iter().map(|(_, value)| value).collect(),
        cache: cache(fields),
    }))
}

fn image(fields: &mut Fields) -> Result<Option<Part>, Error> {
    let source = source(fields)?;
    Ok(source.map(|source| Part::Image {
        source,
        detail: None,
        cache: cache(fields),
    }))
}

fn document(fields: &mut Fields) -> Result<Option<Part>, Error> {
    let Some(source) = source(fields)? else {
        return Ok(None);
    };
    let cited = fields.take_if("citations", |citations| {
        let citations = citations.as_object();
        citations.is_some_and(|citations| {
            citations.len() == 1 && citations.get("enabled").is_some_and(Value::is_boolean)
        })
    });
    Ok(Some(Part::Document {
        source,
        title: fields.string("title")?,
        context: fields.string("context")?,
        is_cited: cited.and_then(|cited| cited.get("enabled")?.as_bool()),
        cache: cache(fields),
    }))
}

/// Takes the source of an image or a document; `None` when only this dialect has its kind.
fn source(fields: &mut Fields) -> Result<Option<Media>, Error> {
    let path = fields.path("source");
    let Some(mut source) = fields.object("source")? else {
        return Err(Error::missing(path));
    };
    let media = match source.required_string("type")?.as_str() {
        "base64" => Some(Media::Inline {
            media_type: source.required_string("media_type")?,
            data: source.required_string("data")?,
        }),
        "url" => Some(Media::Url {
            url: source.required_string("url")?,
            media_type: None,
        }),
        "file" => Some(Media::File(source.required_string("file_id")?)),
        "text" => {
            source.take_if("media_type", |kind| kind == "text/plain");
            Some(Media::Text(source.required_string("data")?))
        }
        _ => None,
    };
    Ok(media.filter(|_| source.is_empty()))
}

fn tool_call(fields: &mut Fields, written: Option<&Bytes>) -> Result<Part, Error> {
    let input = fields.take("input");
    // Digits survive in the text alone.
    let raw = written
        .and_then(|block| field(block, "input"))
        .and_then(|raw| String::from_utf8(raw.to_vec()).ok());
    let arguments = match (raw, input) {
        (_, None) => String::new(),
        (Some(raw), Some(_)) => raw,
        (None, Some(input)) => input.to_string(),
    };
    // What everybody means who says nothing.
    fields.take_if("caller", |caller| {
        caller.get("type").and_then(Value::as_str) == Some("direct")
    });
    Ok(Part::ToolCall(ToolCall {
        id: fields.required_string("id")?,
        item_id: None,
        name: fields.required_string("name")?,
        arguments,
        kind: ToolKind::Function,
        signature: None,
        cache: cache(fields),
    }))
}

fn tool_result(fields: &mut Fields, depth: usize) -> Result<Option<Part>, Error> {
    let call_id = fields.required_string("tool_use_id")?;
    let is_plain = fields.peek("content").is_some_and(Value::is_string);
    let parts = if is_plain {
        let text = fields.string("content")?.unwrap_or_default();
        vec![Part::plain(text)]
    } else {
        let blocks = fields.array("content")?.unwrap_or_default();
        let parts = blocks
            .into_iter()
            .map(|(path, block)| read(path, block, None, depth + 1).map(|(part, _)| part));
        parts.collect::<Result<_, _>>()?
    };
    Ok(Some(Part::ToolResult(ToolResult {
        call_id,
        name: None,
        parts,
        is_error: fields.boolean("is_error")?,
        is_plain,
        kind: ToolKind::Function,
        cache: cache(fields),
    })))
}
