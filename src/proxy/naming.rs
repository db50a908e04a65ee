//! Which prompt a request names, and what it fills it with. There are many ways to say it; two that
//! disagree are an error, and nothing that was said is dropped.

use crate::domain::{PromptReference, Selector};
use crate::proxy::{Arrival, Error};
use crate::wire;
use crate::wire::json::RawObject;
use crate::wire::openai::{ChatRequest, ForeignPrompt, PromptParameter};
use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

/// The variables of a call.
pub(crate) type Variables = Map<String, Value>;

/// The longest piece of media that a variable may carry in itself.
const MAX_MEDIA_BYTES: usize = 8 << 20;

/// What the headers of a request say of its prompt.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PromptHeaders {
    /// `x-promptgate-prompt`.
    pub reference: Option<String>,
    /// `x-promptgate-variables`, Base64 of a JSON object.
    pub variables: Option<String>,
}

/// Everything that may name a prompt, whatever kind of request it comes with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Naming<'a> {
    pub(crate) model: Option<&'a str>,
    pub(crate) object: Option<&'a PromptParameter>,
    pub(crate) foreign: &'a ForeignPrompt,
    pub(crate) headers: &'a PromptHeaders,
    pub(crate) path: Option<&'a PromptReference>,
}

/// The name of a place where something was said, for messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Way(&'static str);

impl Way {
    /// The field called `name`.
    #[must_use]
    pub const fn field(name: &'static str) -> Self {
        Self(name)
    }
}

impl fmt::Display for Way {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            "path" => formatter.write_str("the path"),
            header if header.starts_with("x-") => write!(formatter, "header `{header}`"),
            field => write!(formatter, "`{field}`"),
        }
    }
}

type Named = (Way, PromptReference);

impl<'a> Naming<'a> {
    pub(crate) fn of(
        request: &'a ChatRequest,
        headers: &'a PromptHeaders,
        path: Option<&'a PromptReference>,
    ) -> Self {
        Self {
            model: request.model.as_deref(),
            object: request.prompt.as_ref(),
            foreign: &request.foreign,
            headers,
            path,
        }
    }

    /// Returns the prompt that is named; `real_name` knows what an alias stands for.
    ///
    /// # Errors
    ///
    /// When a reference cannot be read, when two disagree, and when something is said of a prompt and
    /// none is named.
    pub(crate) fn reference(
        &self,
        real_name: impl Fn(PromptReference) -> PromptReference,
    ) -> Result<Option<PromptReference>, Error> {
        let mut names: Vec<Named> = Vec::new();
        let mut selectors: Vec<(Way, Selector)> = Vec::new();
        if let Some(path) = self.path {
            names.push((Way("path"), path.clone()));
        }
        if let Some(text) = self.model.and_then(prompt_of_model) {
            names.push((Way("model"), parse(text)?));
        }
        self.object(&mut names, &mut selectors)?;
        if let Some(text) = &self.headers.reference {
            names.push((Way("x-promptgate-prompt"), parse(text)?));
        }
        self.foreign(&mut names, &mut selectors)?;
        let names = names.into_iter();
        let names = names.map(|(way, found)| (way, real_name(found)));
        agreed(names, selectors, self)
    }

    fn object(
        &self,
        names: &mut Vec<Named>,
        selectors: &mut Vec<(Way, Selector)>,
    ) -> Result<(), Error> {
        let Some(object) = self.object else {
            return Ok(());
        };
        match (&object.id, &object.version) {
            (Some(id), None) => names.push((Way("prompt.id"), parse(id)?)),
            (Some(id), Some(version)) => {
                let mut reference = parse(id)?;
                let version = (Way("prompt.version"), selector(version)?);
                let id = Way("prompt.id");
                select(&mut reference, id, version)?;
                names.push((id, reference));
            }
            (None, Some(version)) => selectors.push((Way("prompt.version"), selector(version)?)),
            (None, None) => {}
        }
        Ok(())
    }

    fn foreign(
        &self,
        names: &mut Vec<Named>,
        selectors: &mut Vec<(Way, Selector)>,
    ) -> Result<(), Error> {
        let said = self.foreign.selectors.iter();
        let said = said.map(|(name, text)| Ok((Way(name), selector(text)?)));
        let said: Vec<(Way, Selector)> = said.collect::<Result<_, Error>>()?;
        let Some(id) = &self.foreign.id else {
            selectors.extend(said);
            return Ok(());
        };
        let mut reference = parse(id)?;
        let mut way = Way("prompt_id");
        for said in said {
            let said_by = said.0;
            select(&mut reference, way, said)?;
            way = said_by;
        }
        names.push((Way("prompt_id"), reference));
        Ok(())
    }

    /// Returns the variables as they were sent, from wherever they were sent.
    ///
    /// # Errors
    ///
    /// When they cannot be read, and when one has two values.
    pub(crate) fn variables(&self) -> Result<Variables, Error> {
        let object = self.object.and_then(|prompt| prompt.variables.as_ref());
        let mut all = Vec::new();
        all.extend(object.map(|raw| (Way("prompt.variables"), raw.clone())));
        let header = self.headers.variables.as_deref();
        let header = header.map(from_base64).transpose()?;
        all.extend(header.map(|raw| (Way(VARIABLES_HEADER), raw)));
        let foreign = self.foreign.variables.iter();
        all.extend(foreign.map(|(name, raw)| (Way(name), raw.clone())));
        merged(all)
    }

    /// The field that would have to name the prompt, where something else is said of one.
    fn lacks(&self) -> Option<&'static str> {
        if self.object.is_some() {
            return Some("prompt.id");
        }
        if !self.foreign.is_empty() {
            return Some("prompt_id");
        }
        let has_variables = self.headers.variables.is_some();
        has_variables.then_some("x-promptgate-prompt")
    }
}

/// Returns the one reference that all ways agree on.
fn agreed(
    names: impl Iterator<Item = Named>,
    selectors: Vec<(Way, Selector)>,
    naming: &Naming<'_>,
) -> Result<Option<PromptReference>, Error> {
    let mut agreed: Option<Named> = None;
    for (way, reference) in names {
        match &agreed {
            None => agreed = Some((way, reference)),
            Some((_, first)) if *first == reference => {}
            Some((first_way, first)) => {
                let (first, second) = ((*first_way, first), (way, &reference));
                return Err(conflict(first, second));
            }
        }
    }
    let Some((mut way, mut reference)) = agreed else {
        return match naming.lacks() {
            Some(param) => Err(wire::Error::missing(param).into()),
            None => Ok(None),
        };
    };
    for said in selectors {
        let said_by = said.0;
        select(&mut reference, way, said)?;
        way = said_by;
    }
    Ok(Some(reference))
}

/// Adds what another field says of the version.
fn select(
    reference: &mut PromptReference,
    way: Way,
    (said_by, selector): (Way, Selector),
) -> Result<(), Error> {
    if reference.selector == selector {
        return Ok(());
    }
    let other = PromptReference {
        key: reference.key.clone(),
        selector,
    };
    if reference.selector != Selector::Default {
        return Err(conflict((way, reference), (said_by, &other)));
    }
    *reference = other;
    Ok(())
}

fn conflict(first: (Way, &PromptReference), second: (Way, &PromptReference)) -> Error {
    Error::PromptReferenceConflict {
        first: first.1.to_string(),
        first_way: first.0,
        second: second.1.to_string(),
        second_way: second.0,
    }
}

/// Returns the reference in a model's name: `prompt:support/refund`.
fn prompt_of_model(model: &str) -> Option<&str> {
    let named = model.strip_prefix("prompt:");
    named.or_else(|| model.strip_prefix("prompt/"))
}

/// Whether the model's name is that of a prompt.
pub(crate) fn names_prompt(model: &str) -> bool {
    prompt_of_model(model).is_some()
}

fn parse(text: &str) -> Result<PromptReference, Error> {
    PromptReference::from_str(text).map_err(|error| crate::prompts::Error::from(error).into())
}

fn selector(text: &str) -> Result<Selector, Error> {
    Selector::from_str(text).map_err(|error| crate::prompts::Error::from(error).into())
}

/// Puts variables from several places together.
fn merged(all: Vec<(Way, Bytes)>) -> Result<Variables, Error> {
    let read = |way: Way, raw: &Bytes| {
        serde_json::from_slice::<Variables>(raw).map_err(|error| {
            let problem = format!("{way}: {error}");
            wire::Error::InvalidJson { problem }
        })
    };
    // Mostly there is one place, and nothing to compare.
    if let [(way, raw)] = all.as_slice() {
        return Ok(read(*way, raw)?);
    }
    let mut merged = Variables::new();
    let mut said_by: HashMap<String, Way> = HashMap::new();
    for (way, raw) in all {
        for (name, value) in read(way, &raw)? {
            let first = *said_by.entry(name.clone()).or_insert(way);
            if merged.get(&name).is_some_and(|known| *known != value) {
                return Err(Error::PromptVariableConflict {
                    name,
                    first,
                    second: way,
                });
            }
            merged.insert(name, value);
        }
    }
    Ok(merged)
}

const VARIABLES_HEADER: &str = "x-promptgate-variables";

/// Reads a header's JSON object, in either alphabet of Base64, padded or not.
fn from_base64(text: &str) -> Result<Bytes, Error> {
    let config =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let alphabet = if text.contains(['-', '_']) {
        &alphabet::URL_SAFE
    } else {
        &alphabet::STANDARD
    };
    let decoded = GeneralPurpose::new(alphabet, config).decode(text.trim());
    let decoded = decoded.ok().filter(|bytes| {
        let object: Result<Variables, _> = serde_json::from_slice(bytes);
        object.is_ok()
    });
    decoded.map(Bytes::from).ok_or_else(|| {
        let param = VARIABLES_HEADER.to_owned();
        let problem = "is not the Base64 of a JSON object";
        wire::Error::InvalidValue { param, problem }.into()
    })
}

/// Returns the arrival to record, where it is another than the one that came: what names or fills a
/// prompt outside of the body is written into it as `OpenAI`'s prompt object, so that the record holds
/// all that the call was made from.
pub(crate) fn recordable(
    request: &ChatRequest,
    arrival: &Arrival,
    path: Option<&PromptReference>,
) -> Result<Option<Arrival>, Error> {
    let headers = &arrival.headers;
    if *headers == PromptHeaders::default() && path.is_none() {
        return Ok(None);
    }
    let variables = Naming::of(request, headers, None).variables()?;
    let object = request.prompt.as_ref();
    let id = object.and_then(|prompt| prompt.id.clone());
    let id = id.or_else(|| headers.reference.clone());
    let id = id.or_else(|| path.map(ToString::to_string));
    let mut prompt = Map::new();
    prompt.extend(id.map(|id| ("id".to_owned(), id.into())));
    let version = object.and_then(|prompt| prompt.version.clone());
    prompt.extend(version.map(|version| ("version".to_owned(), version.into())));
    prompt.insert("variables".to_owned(), variables.into());
    let mut recorded: RawObject = request.object.clone();
    recorded.set("prompt", Bytes::from(Value::from(prompt).to_string()));
    Ok(Some(Arrival {
        body: recorded.to_bytes(),
        ..arrival.clone()
    }))
}

/// Returns the variables as a template takes them: the content of `OpenAI`'s typed inputs, other
/// values as they are.
///
/// # Errors
///
/// When a typed input has no content that can be used.
pub(crate) fn plain_variables(mut sent: Variables) -> Result<Variables, Error> {
    for (name, value) in &mut sent {
        if value.is_object() {
            *value = plain_value(name, value.take())?;
        }
    }
    Ok(sent)
}

fn plain_value(name: &str, value: Value) -> Result<Value, Error> {
    let kind = value.get("type").and_then(Value::as_str);
    let invalid = |problem| Error::MediaInvalid {
        name: name.to_owned(),
        problem,
    };
    let at = |key: &str| value.get(key).and_then(Value::as_str);
    let content = match kind {
        Some("input_text") => {
            let text = at("text").ok_or_else(|| invalid("has no `text`"))?;
            return Ok(text.into());
        }
        Some("input_image") => {
            let nested = value.get("image_url").and_then(|image| image.get("url"));
            at("image_url").or_else(|| nested.and_then(Value::as_str))
        }
        Some("input_file") => at("file_url").or_else(|| at("file_data")),
        _ => return Ok(value),
    };
    let Some(url) = content else {
        return Err(invalid(if at("file_id").is_some() {
            "is a file that only its provider can read"
        } else {
            "has no content"
        }));
    };
    if MAX_MEDIA_BYTES < url.len() {
        return Err(Error::MediaTooLarge {
            name: name.to_owned(),
            limit: MAX_MEDIA_BYTES,
        });
    }
    let is_url = |scheme: &str| {
        url.get(..scheme.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(scheme))
    };
    if !["https://", "http://", "data:"].into_iter().any(is_url) {
        return Err(invalid("is no URL"));
    }
    Ok(url.into())
}

#[cfg(test)]
mod tests {
    use super::{Naming, PromptHeaders, Variables, plain_variables, recordable};
    use crate::domain::{CallId, PromptKey, PromptReference};
    use crate::proxy::{Arrival, Error};
    use crate::wire::openai::ChatRequest;
    use base64::Engine as _;
    use bytes::Bytes;
    use serde_json::{Value, json};
    use tokio::time::Instant;

    fn request(body: &Value) -> ChatRequest {
        ChatRequest::decode_named(&Bytes::from(body.to_string())).unwrap()
    }

    fn variables(request: &ChatRequest, headers: &PromptHeaders) -> Result<Variables, Error> {
        Naming::of(request, headers, None).variables()
    }

    fn headers(reference: Option<&str>, variables: Option<&str>) -> PromptHeaders {
        PromptHeaders {
            reference: reference.map(str::to_owned),
            variables: variables.map(str::to_owned),
        }
    }

    /// The reference, or the error.
    fn named(body: &Value, header: Option<&str>, path: Option<&str>) -> String {
        let request = request(body);
        let headers = headers(header, None);
        let path = path.map(|path| path.parse().unwrap());
        let real_name = |mut reference: PromptReference| {
            if reference.key.as_str() == "pmpt_1" {
                reference.key = PromptKey::parse("a").unwrap();
            }
            reference
        };
        let found = Naming::of(&request, &headers, path.as_ref()).reference(real_name);
        match found {
            Ok(Some(reference)) => reference.to_string(),
            Ok(None) => "none".to_owned(),
            Err(error) => format!("{}: {error}", error.kind()),
        }
    }

    /// A body, a header, a path, and the reference they lead to.
    type Case = (
        Value,
        Option<&'static str>,
        Option<&'static str>,
        &'static str,
    );

    fn agreeing() -> Vec<Case> {
        let plain = |body: Value, wanted| (body, None, None, wanted);
        let everywhere = json!({"model": "prompt:a@v7", "prompt_id": "a", "prompt_version": "v7"});
        vec![
            plain(json!({"model": "gpt-4o"}), "none"),
            plain(json!({"model": "prompt:a@v7"}), "a@v7"),
            plain(json!({"model": "prompt/a"}), "a"),
            plain(json!({"prompt": {"id": "a", "version": "7"}}), "a@v7"),
            plain(json!({"prompt": {"prompt_id": "a", "version": 7}}), "a@v7"),
            plain(
                json!({"model": "prompt:a", "prompt": {"version": "staging"}}),
                "a@staging",
            ),
            plain(json!({"prompt": {"id": "pmpt_1"}}), "a"),
            plain(
                json!({"model": "prompt:a", "prompt": {"id": "pmpt_1"}}),
                "a",
            ),
            plain(json!({"prompt_id": "a", "prompt_version": 7}), "a@v7"),
            plain(
                json!({"prompt_id": "a", "prompt_label": "staging"}),
                "a@staging",
            ),
            plain(json!({"prompt_id": "a", "prompt_version_id": "v7"}), "a@v7"),
            plain(
                json!({"prompt_id": "a", "environment": "staging"}),
                "a@staging",
            ),
            (json!({"model": "gpt-4o"}), Some("a@v7"), None, "a@v7"),
            (json!({}), None, Some("a@staging"), "a@staging"),
            (everywhere, Some("a@v7"), Some("a@v7"), "a@v7"),
        ]
    }

    #[test]
    fn every_way_of_naming_says_the_same() {
        for (body, header, path, wanted) in agreeing() {
            assert_eq!(named(&body, header, path), wanted, "{body}");
        }
    }

    #[test]
    fn ways_that_disagree_are_both_named() {
        for (body, header, path, wanted) in [
            (
                json!({"model": "prompt:a", "prompt": {"id": "b"}}),
                None,
                None,
                "prompt_reference_conflict: the request names two prompts, `a` (`model`) and `b` (`prompt.id`)",
            ),
            (
                json!({"model": "prompt:a@v1", "prompt": {"version": "v2"}}),
                None,
                None,
                "prompt_reference_conflict: the request names two prompts, `a@v1` (`model`) and `a@v2` (`prompt.version`)",
            ),
            (
                json!({"prompt": {"id": "a@v1", "version": "v2"}}),
                None,
                None,
                "prompt_reference_conflict: the request names two prompts, `a@v1` (`prompt.id`) and `a@v2` (`prompt.version`)",
            ),
            (
                json!({"prompt_id": "a", "prompt_version": 1, "prompt_label": "staging"}),
                None,
                None,
                "prompt_reference_conflict: the request names two prompts, `a@v1` (`prompt_version`) and `a@staging` (`prompt_label`)",
            ),
            (
                json!({"model": "prompt:a"}),
                Some("b"),
                None,
                "prompt_reference_conflict: the request names two prompts, `a` (`model`) and `b` (header `x-promptgate-prompt`)",
            ),
            (
                json!({"model": "prompt:a"}),
                None,
                Some("b"),
                "prompt_reference_conflict: the request names two prompts, `b` (the path) and `a` (`model`)",
            ),
            (
                json!({"model": "gpt-4o", "prompt": {"variables": {}}}),
                None,
                None,
                "missing_required_parameter: `prompt.id` is missing",
            ),
            (
                json!({"model": "gpt-4o", "prompt_variables": {}}),
                None,
                None,
                "missing_required_parameter: `prompt_id` is missing",
            ),
        ] {
            assert_eq!(named(&body, header, path), wanted, "{body}");
        }
    }

    #[test]
    fn variables_come_from_wherever_they_were_sent_and_may_not_disagree() {
        let encode = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
        let body = json!({"prompt": {"variables": {"a": 1}}, "prompt_id": "p",
            "prompt_variables": {"b": 2, "a": 1}, "inputs": {"c": {"d": true}}});
        let sent = headers(None, Some(&encode(r#"{"e":"ü?>"}"#)));
        let found = variables(&request(&body), &sent).unwrap();
        assert_eq!(
            Value::from(found),
            json!({"a": 1, "e": "ü?>", "b": 2, "c": {"d": true}})
        );
        let url_safe = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(r#"{"e":"ü?>"}"#);
        let found = variables(&request(&json!({})), &headers(None, Some(&url_safe))).unwrap();
        assert_eq!(Value::from(found), json!({"e": "ü?>"}));
        let error = variables(&request(&body), &headers(None, Some(&encode(r#"{"a":3}"#))));
        assert_eq!(
            error.unwrap_err().to_string(),
            "variable `a` has two values, in `prompt.variables` and in header `x-promptgate-variables`"
        );
        for bad in ["x", &encode("[]"), &encode("{")] {
            let error = variables(&request(&body), &headers(None, Some(bad))).unwrap_err();
            assert_eq!(
                error.param().as_deref(),
                Some("x-promptgate-variables"),
                "{bad}"
            );
        }
    }

    #[test]
    fn what_a_header_says_is_recorded_in_the_body() {
        let body = json!({"model": "gpt-4o", "messages": []});
        let arrival = |headers: PromptHeaders| Arrival {
            id: CallId::fresh(),
            started: Instant::now(),
            trace: None,
            session: None,
            sticky: None,
            tags: Vec::new(),
            run: None,
            headers,
            dialect_headers: http::HeaderMap::new(),
            drops_text: false,
            body: Bytes::from(body.to_string()),
        };
        let plain = recordable(&request(&body), &arrival(PromptHeaders::default()), None);
        assert!(plain.unwrap().is_none());
        let sent = arrival(headers(Some("a@v7"), Some("eyJ4IjoxfQ")));
        let recorded = recordable(&request(&body), &sent, None).unwrap().unwrap();
        let recorded: Value = serde_json::from_slice(&recorded.body).unwrap();
        assert_eq!(
            recorded["prompt"],
            json!({"id": "a@v7", "variables": {"x": 1}})
        );
        assert_eq!(recorded["model"], "gpt-4o");
    }

    fn typed_inputs() -> Vec<(Value, &'static str)> {
        vec![
            (json!("text"), "\"text\""),
            (json!({"type": "input_text", "text": "t"}), "\"t\""),
            (
                json!({"type": "input_image", "image_url": "https://x/y"}),
                "\"https://x/y\"",
            ),
            (
                json!({"type": "input_image", "image_url": {"url": "data:image/png;base64,AA"}}),
                "\"data:image/png;base64,AA\"",
            ),
            (
                json!({"type": "input_file", "file_url": "HTTPS://x/y"}),
                "\"HTTPS://x/y\"",
            ),
            (
                json!({"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,AA"}),
                "\"data:application/pdf;base64,AA\"",
            ),
            (
                json!({"type": "other", "a": 1}),
                r#"{"type":"other","a":1}"#,
            ),
            (
                json!({"type": "input_text"}),
                "prompt_media_invalid: variable `x` has no `text`",
            ),
            (
                json!({"type": "input_image"}),
                "prompt_media_invalid: variable `x` has no content",
            ),
            (
                json!({"type": "input_image", "image_url": "x.png"}),
                "prompt_media_invalid: variable `x` is no URL",
            ),
            (
                json!({"type": "input_image", "image_url": "file:///etc/passwd"}),
                "prompt_media_invalid: variable `x` is no URL",
            ),
            (
                json!({"type": "input_file", "file_id": "file-1"}),
                "prompt_media_invalid: variable `x` is a file that only its provider can read",
            ),
        ]
    }

    #[test]
    fn typed_inputs_are_their_content() {
        let plain = |value: Value| {
            let variables = json!({"x": value}).as_object().unwrap().clone();
            match plain_variables(variables) {
                Ok(variables) => variables["x"].to_string(),
                Err(error) => format!("{}: {error}", error.kind()),
            }
        };
        for (value, wanted) in typed_inputs() {
            assert_eq!(plain(value.clone()), wanted, "{value}");
        }
        let large = format!(
            "data:image/png;base64,{}",
            "A".repeat(super::MAX_MEDIA_BYTES)
        );
        let told = plain(json!({"type": "input_image", "image_url": large}));
        assert_eq!(
            told,
            "prompt_media_too_large: variable `x` has more than 8388608 bytes"
        );
    }
}
