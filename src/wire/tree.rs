//! JSON that is put together to be sent: keys in the order in which they are said, and what came as text stays
//! as it was written.

use bytes::Bytes;
use serde::ser::{Serialize, SerializeMap as _, Serializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// A value that is to be sent.
#[derive(Debug, Clone)]
pub(super) enum Json {
    /// A value.
    Value(Value),
    /// A value in the words in which it came.
    Raw(Box<RawValue>),
    /// An object.
    Object(Object),
    /// An array.
    Array(Vec<Self>),
}

impl Json {
    /// Returns the arguments of a tool call as an object, in the digits in which they were written; none given are
    /// an empty object. `None` when they are no JSON object.
    pub(super) fn arguments(text: &str) -> Option<Self> {
        let text = text.trim();
        if text.is_empty() {
            return Some(Self::Object(Object::default()));
        }
        let raw = RawValue::from_string(text.to_owned()).ok()?;
        raw.get().starts_with('{').then_some(Self::Raw(raw))
    }

    /// As [`Self::arguments`]; what is no object is put into one.
    pub(super) fn arguments_or_text(text: &str) -> Self {
        Self::arguments(text)
            .unwrap_or_else(|| Self::Object(Object::default().with("arguments", text)))
    }

    /// Returns the value as JSON.
    pub(super) fn to_text(&self) -> String {
        // Keys are strings, numbers are finite.
        serde_json::to_string(self).unwrap_or_default()
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Value(value) => value.serialize(serializer),
            Self::Raw(raw) => raw.serialize(serializer),
            Self::Object(object) => object.serialize(serializer),
            Self::Array(elements) => elements.serialize(serializer),
        }
    }
}

/// An object that is to be sent.
#[derive(Debug, Clone, Default)]
pub(super) struct Object {
    fields: Vec<(String, Json)>,
}

impl Object {
    /// Returns `{"type": kind}`.
    pub(super) fn of_type(kind: &str) -> Self {
        Self::default().with("type", kind)
    }

    /// Adds a field.
    pub(super) fn with(mut self, key: &str, value: impl Into<Json>) -> Self {
        self.put(key, value);
        self
    }

    /// Adds a field where there is a value for it.
    pub(super) fn with_some(self, key: &str, value: Option<impl Into<Json>>) -> Self {
        match value {
            Some(value) => self.with(key, value),
            None => self,
        }
    }

    /// Adds an array or an object unless it is empty.
    pub(super) fn with_full(self, key: &str, value: impl Into<Json>) -> Self {
        let value = value.into();
        let is_empty = match &value {
            Json::Array(elements) => elements.is_empty(),
            Json::Object(object) => object.is_empty(),
            Json::Value(_) | Json::Raw(_) => false,
        };
        if is_empty {
            self
        } else {
            self.with(key, value)
        }
    }

    /// Adds fields as they came.
    pub(super) fn with_all(mut self, fields: &Map<String, Value>) -> Self {
        for (key, value) in fields {
            self.put(key, value.clone());
        }
        self
    }

    /// Adds a field, or replaces it.
    pub(super) fn put(&mut self, key: &str, value: impl Into<Json>) {
        let value = value.into();
        match self.fields.iter_mut().find(|(name, _)| name == key) {
            Some((_, old)) => *old = value,
            None => self.fields.push((key.to_owned(), value)),
        }
    }

    /// Whether there are no fields.
    pub(super) const fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// Returns the object as JSON.
    pub(super) fn to_bytes(&self) -> Bytes {
        // Keys are strings, numbers are finite.
        serde_json::to_vec(self).unwrap_or_default().into()
    }
}

impl Serialize for Object {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.fields.len()))?;
        for (key, value) in &self.fields {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

impl From<Object> for Json {
    fn from(object: Object) -> Self {
        Self::Object(object)
    }
}

impl From<Vec<Self>> for Json {
    fn from(elements: Vec<Self>) -> Self {
        Self::Array(elements)
    }
}

impl From<Vec<Object>> for Json {
    fn from(elements: Vec<Object>) -> Self {
        Self::Array(elements.into_iter().map(Self::Object).collect())
    }
}

impl From<&[String]> for Json {
    fn from(texts: &[String]) -> Self {
        Self::Array(texts.iter().map(|text| text.as_str().into()).collect())
    }
}

macro_rules! from_value {
    ($($kind:ty),*) => {$(
        impl From<$kind> for Json {
            fn from(value: $kind) -> Self {
                Self::Value(Value::from(value))
            }
        }
    )*};
}

from_value!(&str, String, bool, u64, i64, f64, Value);

impl From<&String> for Json {
    fn from(text: &String) -> Self {
        text.as_str().into()
    }
}

#[cfg(test)]
mod tests {
    use super::{Json, Object};

    #[test]
    fn arguments_keep_their_digits_and_objects_their_order() {
        let object = Object::of_type("tool_use")
            .with(
                "input",
                Json::arguments_or_text(r#"{"n": 12345678901234567890123.10}"#),
            )
            .with_some("none", None::<&str>)
            .with_full("empty", Vec::<Json>::new())
            .with("a", 1.5);
        assert_eq!(
            object.to_bytes(),
            r#"{"type":"tool_use","input":{"n": 12345678901234567890123.10},"a":1.5}"#
        );
    }

    #[test]
    fn arguments_are_an_object() {
        for (text, expected) in [
            ("", Some("{}")),
            (" \n", Some("{}")),
            ("{}", Some("{}")),
            (r#" {"a":1} "#, Some(r#"{"a":1}"#)),
            ("[1]", None),
            ("\"{}\"", None),
            ("{\"a\":", None),
            ("{} {}", None),
        ] {
            let found = Json::arguments(text).map(|json| json.to_text());
            assert_eq!(found.as_deref(), expected, "{text}");
        }
        assert_eq!(
            Json::arguments_or_text("{\"a\":").to_text(),
            r#"{"arguments":"{\"a\":"}"#
        );
    }
}
