//! JSON objects as their top-level fields, each a slice of the body it came from.

use crate::wire::Error;
use crate::wire::scan::{Values, too_deep};
use crate::wire::strict::{self, Place};
use crate::wire::text::string_of;
use bytes::Bytes;
use serde::de::{Deserializer as _, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

/// The deepest nesting of arrays and objects that a body may have.
pub const MAX_DEPTH: usize = 64;

/// Up to this many keys are compared one by one; beyond, a set is built.
const FEW_KEYS: usize = 16;

/// A JSON object of which only the top level has been taken apart.
///
/// Invariant: no key stands twice, and each value is one valid JSON value without spaces around.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RawObject {
    fields: Vec<(String, Bytes)>,
}

impl RawObject {
    /// Takes `body` apart without copying its values.
    ///
    /// # Errors
    ///
    /// When `body` is not UTF-8 or not one JSON object (`invalid_json`), is nested deeper than
    /// [`MAX_DEPTH`], or has a top-level key twice.
    pub fn parse(body: &Bytes) -> Result<Self, Error> {
        Self::parse_noting(body, "").map(|(object, _)| object)
    }

    /// As [`Self::parse`], with the elements of the array at `key`, if there is one: they were passed
    /// on the way.
    ///
    /// # Errors
    ///
    /// As [`Self::parse`].
    pub fn parse_noting(body: &Bytes, key: &str) -> Result<(Self, Option<Vec<Bytes>>), Error> {
        let found = if is_utf8(body) {
            strict::object(body, MAX_DEPTH, key).and_then(|found| {
                let elements = found.elements.map(|places| {
                    let slices = places.into_iter().map(|place| body.slice(place));
                    slices.collect::<Vec<Bytes>>()
                });
                Some((owned_fields(body, found.fields)?, elements))
            })
        } else {
            None
        };
        let (fields, elements) = match found {
            Some(found) => found,
            None => Self::fields_or_why_not(body).map(|fields| (fields, None))?,
        };
        refuse_duplicates(&fields)?;
        Ok((Self { fields }, elements))
    }

    /// Returns the fields of a body, or the reason why it is bad; slower.
    fn fields_or_why_not(body: &Bytes) -> Result<Vec<(String, Bytes)>, Error> {
        let text = utf8(body)?;
        if let Some(position) = too_deep(body, MAX_DEPTH) {
            return Err(Error::TooDeep {
                limit: MAX_DEPTH,
                position,
            });
        }
        let start = text.trim_start();
        if !start.is_empty() && !start.starts_with('{') {
            // A broken body is told by the parser; a whole one of another type by us.
            parse_json::<&RawValue>(text)?;
            return Err(Error::NotAnObject {
                found: type_name(start.as_bytes()),
            });
        }
        let mut deserializer = serde_json::Deserializer::from_str(text);
        let fields = deserializer
            .deserialize_map(Fields { body })
            .map_err(|error| invalid(&error))?;
        deserializer.end().map_err(|error| invalid(&error))?;
        Ok(fields)
    }

    /// Returns the value of `key` as it stands in the body, `null` included.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Bytes> {
        self.fields
            .iter()
            .find(|(name, _)| name == key)
            .map(|(_, value)| value)
    }

    /// Returns the value of `key` unless it is missing or `null`.
    #[must_use]
    pub fn get_some(&self, key: &str) -> Option<&Bytes> {
        self.get(key).filter(|value| value.as_ref() != b"null")
    }

    /// Returns the string at `key`; `None` when it is missing or no string.
    #[must_use]
    pub fn get_str(&self, key: &str) -> Option<Cow<'_, str>> {
        self.get(key).and_then(|value| as_str(value))
    }

    /// Returns the boolean at `key`; `None` when it is missing or no boolean.
    #[must_use]
    pub fn get_bool(&self, key: &str) -> Option<bool> {
        match self.get(key)?.as_ref() {
            b"true" => Some(true),
            b"false" => Some(false),
            _ => None,
        }
    }

    /// Returns the whole number at `key`; `None` when it is missing or not a `u64`.
    #[must_use]
    pub fn get_u64(&self, key: &str) -> Option<u64> {
        std::str::from_utf8(self.get(key)?).ok()?.parse().ok()
    }

    /// Puts `value`, which must be one valid JSON value, at `key`: in its old place when there is
    /// one, else at the end.
    pub fn set(&mut self, key: &str, value: Bytes) {
        match self.fields.iter_mut().find(|(name, _)| name == key) {
            Some((_, old)) => *old = value,
            None => self.fields.push((key.to_owned(), value)),
        }
    }

    /// Puts `value` at `key` unless there is one already; returns whether it did.
    pub fn insert(&mut self, key: &str, value: Bytes) -> bool {
        let is_new = self.get(key).is_none();
        if is_new {
            self.fields.push((key.to_owned(), value));
        }
        is_new
    }

    /// Takes `key` out and returns its value.
    pub fn remove(&mut self, key: &str) -> Option<Bytes> {
        let place = self.fields.iter().position(|(name, _)| name == key)?;
        Some(self.fields.remove(place).1)
    }

    /// Returns keys and values in the order of the body.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Bytes)> {
        self.fields
            .iter()
            .map(|(name, value)| (name.as_str(), value))
    }

    /// Returns the object as JSON.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        self.to_bytes_with(&[])
    }

    /// Returns the object as JSON with `changes` applied to it: a value replaces or is added, a
    /// `None` leaves the key out. The object itself stays as it is, so that a second provider can be
    /// asked with other changes.
    #[must_use]
    pub fn to_bytes_with(&self, changes: &[(&str, Change<'_>)]) -> Bytes {
        let change_of = |key: &str| changes.iter().find(|(name, _)| *name == key);
        let kept = self.fields.iter().map(|(key, value)| {
            let changed = change_of(key).map(|(_, change)| *change);
            (key.as_str(), changed.unwrap_or(Change::Value(value)))
        });
        let is_new = |key: &str| self.get(key).is_none();
        let added = changes.iter().filter(|(key, _)| is_new(key)).copied();
        let fields: Vec<(&str, Change<'_>)> = kept
            .chain(added)
            .filter(|(_, change)| !matches!(change, Change::LeaveOut))
            .collect();
        let size: usize = fields
            .iter()
            .map(|(key, value)| key.len() + value.size() + 4)
            .sum();
        let mut out = Vec::with_capacity(size + 2);
        out.push(b'{');
        for (place, (key, value)) in fields.into_iter().enumerate() {
            if 0 < place {
                out.push(b',');
            }
            write_json(key, &mut out);
            out.push(b':');
            value.write(&mut out);
        }
        out.push(b'}');
        out.into()
    }
}

/// What is to stand at a key of an object that is written.
#[derive(Debug, Clone, Copy)]
pub enum Change<'a> {
    /// Nothing.
    LeaveOut,
    /// One valid JSON value.
    Value(&'a Bytes),
    /// An array of valid JSON values.
    Array(&'a [Bytes]),
}

impl Change<'_> {
    fn size(self) -> usize {
        match self {
            Self::LeaveOut => 0,
            Self::Value(value) => value.len(),
            Self::Array(values) => values.iter().map(|value| value.len() + 1).sum::<usize>() + 2,
        }
    }

    fn write(self, out: &mut Vec<u8>) {
        match self {
            Self::LeaveOut => {}
            Self::Value(value) => out.extend_from_slice(value),
            Self::Array(values) => {
                out.push(b'[');
                for (place, value) in values.iter().enumerate() {
                    if 0 < place {
                        out.push(b',');
                    }
                    out.extend_from_slice(value);
                }
                out.push(b']');
            }
        }
    }
}

/// Returns the elements of `array`, which must be a value of a parsed body, as slices of it; `None`
/// when it is no array.
#[must_use]
pub fn split_array(array: &Bytes) -> Option<Vec<Bytes>> {
    let values = Values::of(array, b'[')?;
    Some(values.map(|value| array.slice_ref(value)).collect())
}

/// Returns the value at `key` of `object`, which must be a value of a parsed body. The last one wins
/// when the key stands twice, as with most parsers.
#[must_use]
pub fn field(object: &Bytes, key: &str) -> Option<Bytes> {
    let mut found = None;
    let mut values = Values::of(object, b'{')?;
    while let (Some(name), Some(value)) = (values.next(), values.next()) {
        if is_key(name, key) {
            found = Some(value);
        }
    }
    found.map(|value| object.slice_ref(value))
}

/// Returns the value at the first `key` of `object`; see [`field`]. Looks no further than it has to.
#[must_use]
pub fn first_field(object: &Bytes, key: &str) -> Option<Bytes> {
    let mut values = Values::of(object, b'{')?;
    while let (Some(name), Some(value)) = (values.next(), values.next()) {
        if is_key(name, key) {
            return Some(object.slice_ref(value));
        }
    }
    None
}

/// Whether the JSON string `name` is `key`. Only a name with escapes has to be read for that.
fn is_key(name: &[u8], key: &str) -> bool {
    let plain = name
        .strip_prefix(b"\"")
        .and_then(|name| name.strip_suffix(b"\""));
    plain == Some(key.as_bytes()) || (name.contains(&b'\\') && as_str(name).as_deref() == Some(key))
}

/// Returns `text` as a JSON string.
#[must_use]
pub fn to_json(text: &str) -> Bytes {
    let mut out = Vec::with_capacity(text.len() + 2);
    write_json(text, &mut out);
    out.into()
}

/// Appends `text` as a JSON string to `out`.
pub fn write_json(text: &str, out: &mut Vec<u8>) {
    // Without an early end, so that it is done for many bytes at once.
    if text
        .bytes()
        .fold(false, |found, byte| found | strict::is_special(byte))
    {
        // Strings always serialise.
        out.extend_from_slice(&serde_json::to_vec(text).unwrap_or_default());
        return;
    }
    out.push(b'"');
    out.extend_from_slice(text.as_bytes());
    out.push(b'"');
}

/// Returns the string that the JSON `value` is, or `None`.
#[must_use]
pub fn as_str(value: &[u8]) -> Option<Cow<'_, str>> {
    std::str::from_utf8(value).ok().and_then(string_of)
}

/// Returns what kind of JSON value `value` is, with its article, for messages.
#[must_use]
pub fn type_name(value: &[u8]) -> &'static str {
    match value.first() {
        Some(b'"') => "a string",
        Some(b'{') => "an object",
        Some(b'[') => "an array",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        Some(_) => "a number",
        None => "nothing",
    }
}

/// Whether `body` is UTF-8; at once where it is plain ASCII.
fn is_utf8(body: &[u8]) -> bool {
    body.is_ascii() || std::str::from_utf8(body).is_ok()
}

/// Returns fields with their keys read; `None` when one cannot be.
fn owned_fields(body: &Bytes, found: Vec<(&[u8], Place)>) -> Option<Vec<(String, Bytes)>> {
    let owned = found.into_iter().map(|(key, place)| {
        let key = std::str::from_utf8(key).ok()?;
        let key = if key.contains('\\') {
            serde_json::from_str(&format!("\"{key}\"")).ok()?
        } else {
            key.to_owned()
        };
        Some((key, body.slice(place)))
    });
    owned.collect()
}

/// Returns `body` as text, or an error that names the place of the first bad byte.
fn utf8(body: &[u8]) -> Result<&str, Error> {
    std::str::from_utf8(body).map_err(|error| Error::InvalidJson {
        problem: format!("not UTF-8 at byte {}", error.valid_up_to()),
    })
}

fn parse_json<'a, T: serde::Deserialize<'a>>(text: &'a str) -> Result<T, Error> {
    serde_json::from_str(text).map_err(|error| invalid(&error))
}

fn invalid(error: &serde_json::Error) -> Error {
    Error::InvalidJson {
        problem: error.to_string(),
    }
}

fn refuse_duplicates(fields: &[(String, Bytes)]) -> Result<(), Error> {
    let mut seen = HashSet::new();
    let duplicate = if fields.len() <= FEW_KEYS {
        fields.iter().enumerate().find(|(place, (key, _))| {
            let before = fields.iter().take(*place);
            before.into_iter().any(|(earlier, _)| earlier == key)
        })
    } else {
        fields
            .iter()
            .enumerate()
            .find(|(_, (key, _))| !seen.insert(key.as_str()))
    };
    match duplicate {
        None => Ok(()),
        Some((_, (key, _))) => Err(Error::DuplicateKey { key: key.clone() }),
    }
}

/// Collects the fields of an object as slices of `body`.
struct Fields<'a> {
    body: &'a Bytes,
}

impl<'de> Visitor<'de> for Fields<'de> {
    type Value = Vec<(String, Bytes)>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut fields = Vec::with_capacity(8);
        while let Some(key) = map.next_key::<String>()? {
            let value: &'de RawValue = map.next_value()?;
            fields.push((key, self.body.slice_ref(value.get().as_bytes())));
        }
        Ok(fields)
    }
}

#[cfg(test)]
mod tests {
    use super::{Change, RawObject, field, split_array};
    use bytes::Bytes;
    use proptest::prelude::{Strategy, any, prop, prop_oneof, proptest};
    use serde_json::{Map, Value};

    fn parse(text: &'static str) -> Result<RawObject, super::Error> {
        RawObject::parse(&Bytes::from_static(text.as_bytes()))
    }

    #[test]
    fn values_are_slices_of_the_body() {
        let body = Bytes::from_static(b" {\"a\": [1, 2] , \"b\\n\":\"x\"} ");
        let object = RawObject::parse(&body).unwrap();
        let value = object.get("a").unwrap();
        assert_eq!(value.as_ref(), b"[1, 2]");
        assert!(body.as_ptr_range().contains(&value.as_ptr()));
        assert_eq!(object.get_str("b\n").unwrap(), "x");
    }

    #[test]
    fn bad_bodies_say_what_and_where() {
        let mut long = String::from("{\"messages\":");
        long.push_str(&"[".repeat(64));
        let long: &'static str = long.leak();
        let many: String = (0..20).map(|n| format!("\"k{n}\":1,")).collect();
        let many: &'static str = format!("{{{many}\"k3\":2}}").leak();
        for (body, kind, message) in [
            ("", "invalid_json", "line 1 column 0"),
            ("[1]", "invalid_json", "is an array"),
            ("[1", "invalid_json", "line 1 column 2"),
            (
                "{\"a\":1}x",
                "invalid_json",
                "trailing characters at line 1 column 8",
            ),
            ("{\"a\":1,}", "invalid_json", "line 1 column 8"),
            ("{\"a\":\"\u{1}\"}", "invalid_json", "control character"),
            ("{\"a\":[1,\n2 3]}", "invalid_json", "line 2 column 3"),
            ("{\"a\":1,\"a\":2}", "duplicate_key", "`a` stands twice"),
            (
                "{\"a\":1,\"\\u0061\":2}",
                "duplicate_key",
                "`a` stands twice",
            ),
            (many, "duplicate_key", "`k3` stands twice"),
            (long, "json_too_deep", "at byte 75"),
        ] {
            let error = parse(body).unwrap_err();
            assert_eq!(error.kind(), kind, "{body}: {error}");
            assert!(error.to_string().contains(message), "{body}: {error}");
        }
        let error = RawObject::parse(&Bytes::from_static(b"{\"a\":\"\xff\"}")).unwrap_err();
        assert!(error.to_string().contains("not UTF-8 at byte 6"), "{error}");
    }

    #[test]
    fn depth_64_is_allowed() {
        let body = format!("{{\"a\":{}{}}}", "[".repeat(63), "]".repeat(63));
        assert!(RawObject::parse(&body.into()).is_ok());
    }

    #[test]
    fn fields_are_set_removed_and_written() {
        let mut object = parse(r#"{"a":1,"b":true,"c":null}"#).unwrap();
        object.set("a", Bytes::from_static(b"2"));
        assert!(object.insert("d", Bytes::from_static(b"\"x\"")));
        assert!(!object.insert("d", Bytes::from_static(b"0")));
        assert_eq!(object.remove("b").unwrap(), "true");
        assert_eq!(object.to_bytes(), r#"{"a":2,"c":null,"d":"x"}"#);
        let (three, four) = (Bytes::from_static(b"3"), Bytes::from_static(b"4"));
        let changed = object.to_bytes_with(&[
            ("a", Change::LeaveOut),
            ("d", Change::Value(&three)),
            ("e\"", Change::Array(&[three.clone(), four])),
            ("f", Change::LeaveOut),
            ("g", Change::Array(&[])),
        ]);
        assert_eq!(changed, r#"{"c":null,"d":3,"e\"":[3,4],"g":[]}"#);
        assert_eq!(
            (
                object.get_u64("a"),
                object.get_bool("c"),
                object.get_some("c")
            ),
            (Some(2), None, None)
        );
    }

    #[test]
    fn nested_values_are_found() {
        let object = parse(r#"{"m":[{"role":"user","content":"a, b"}, {"x":1,"x":2}]}"#).unwrap();
        let messages = split_array(object.get("m").unwrap()).unwrap();
        assert_eq!(field(&messages[0], "content").unwrap(), "\"a, b\"");
        assert_eq!(field(&messages[1], "x").unwrap(), "2");
        assert!(field(&messages[1], "role").is_none());
        let escaped = Bytes::from_static(br#"{"r\u006fle":"user"}"#);
        assert_eq!(field(&escaped, "role").unwrap(), "\"user\"");
        assert!(split_array(&messages[0]).is_none());
    }

    /// JSON values up to four levels deep.
    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<i64>().prop_map(Value::from),
            any::<bool>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::vec((any::<String>(), inner), 0..4)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn any_object_round_trips(fields in prop::collection::vec((any::<String>(), values()), 0..30)) {
            let value = Value::Object(fields.into_iter().collect::<Map<_, _>>());
            let body = Bytes::from(serde_json::to_vec_pretty(&value).unwrap());
            let object = RawObject::parse(&body).unwrap();
            let again: Value = serde_json::from_slice(&object.to_bytes()).unwrap();
            assert_eq!(value, again);
            for (key, raw) in object.iter() {
                assert_eq!(field(&body, key).as_ref(), Some(raw));
                if let Some(elements) = split_array(raw) {
                    let joined = elements.iter().map(|e| serde_json::from_slice(e).unwrap());
                    assert_eq!(Value::from(joined.collect::<Vec<Value>>()), value[key]);
                }
            }
        }

        #[test]
        fn no_bytes_make_it_panic(body in prop::collection::vec(any::<u8>(), 0..200)) {
            let body = Bytes::from(body);
            let _ = RawObject::parse(&body);
            let _ = (split_array(&body), field(&body, "a"));
        }
    }
}
