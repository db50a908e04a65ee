//! JSON objects taken apart field by field: what is taken is gone, what is left over has not been
//! understood, and every error names the field by its path (`messages[2].content[0].text`).

use crate::wire::Error;
use crate::wire::conversation::part::Part;
use crate::wire::json::RawObject;
use bytes::Bytes;
use serde_json::{Map, Value};

/// The fields of an object that have not been read yet, and where the object stands.
///
/// A field that is `null` counts as one that is not there.
#[derive(Debug, Clone, PartialEq)]
pub struct Fields {
    path: String,
    map: Map<String, Value>,
}

impl Fields {
    /// Takes the body of a request apart.
    ///
    /// # Errors
    ///
    /// What [`RawObject::parse`] finds, and numbers that are too large for any number.
    pub fn parse(body: &Bytes) -> Result<Self, Error> {
        RawObject::parse(body)?;
        let parsed: Result<Map<String, Value>, _> = serde_json::from_slice(body);
        match parsed {
            Ok(map) => Ok(Self::new(String::new(), map)),
            Err(error) => Err(Error::InvalidJson {
                problem: error.to_string(),
            }),
        }
    }

    /// Takes the answer of a provider apart.
    ///
    /// # Errors
    ///
    /// `upstream_invalid` when it is no JSON object.
    pub fn parse_reply(body: &[u8]) -> Result<Self, Error> {
        let parsed: Result<Map<String, Value>, _> = serde_json::from_slice(body);
        match parsed {
            Ok(map) => Ok(Self::new(String::new(), map)),
            Err(error) => Err(Error::reply(&error)),
        }
    }

    /// Returns the fields of `map`, which stands at `path`; the path of a body is empty.
    #[must_use]
    pub const fn new(path: String, map: Map<String, Value>) -> Self {
        Self { path, map }
    }

    /// Returns the fields of the object `value`, which stands at `path`.
    ///
    /// # Errors
    ///
    /// `invalid_type` when it is none.
    pub fn of(path: String, value: Value) -> Result<Self, Error> {
        match value {
            Value::Object(map) => Ok(Self::new(path, map)),
            other => Err(wrong_type(path, "an object", &other)),
        }
    }

    /// Returns where the field `key` stands.
    #[must_use]
    pub fn path(&self, key: &str) -> String {
        if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        }
    }

    /// Returns where the object stands.
    #[must_use]
    pub fn here(&self) -> &str {
        &self.path
    }

    /// Returns the value of `key` without taking it.
    #[must_use]
    pub fn peek(&self, key: &str) -> Option<&Value> {
        self.map.get(key).filter(|value| !value.is_null())
    }

    /// Takes the value of `key`.
    pub fn take(&mut self, key: &str) -> Option<Value> {
        // The order of what is left is kept.
        let value = self.map.shift_remove(key)?;
        (!value.is_null()).then_some(value)
    }

    /// Takes the value of `key` when `fits` says so, and leaves it where it is otherwise.
    pub fn take_if(&mut self, key: &str, fits: impl FnOnce(&Value) -> bool) -> Option<Value> {
        self.peek(key).filter(|value| fits(value))?;
        self.take(key)
    }

    /// Takes a string.
    ///
    /// # Errors
    ///
    /// `invalid_type` when it is another value.
    pub fn string(&mut self, key: &str) -> Result<Option<String>, Error> {
        match self.take(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(wrong_type(self.path(key), "a string", &other)),
        }
    }

    /// Takes a string that must be there.
    ///
    /// # Errors
    ///
    /// `missing_required_parameter`, or as [`Self::string`].
    pub fn required_string(&mut self, key: &str) -> Result<String, Error> {
        self.string(key)?
            .ok_or_else(|| Error::missing(self.path(key)))
    }

    /// Takes a boolean.
    ///
    /// # Errors
    ///
    /// `invalid_type` when it is another value.
    pub fn boolean(&mut self, key: &str) -> Result<Option<bool>, Error> {
        match self.take(key) {
            None => Ok(None),
            Some(Value::Bool(is_set)) => Ok(Some(is_set)),
            Some(other) => Err(wrong_type(self.path(key), "a boolean", &other)),
        }
    }

    /// Takes a number.
    ///
    /// # Errors
    ///
    /// `invalid_type` when it is another value.
    pub fn float(&mut self, key: &str) -> Result<Option<f64>, Error> {
        self.number(key, "a number", Value::as_f64)
    }

    /// Takes a whole number that is not negative.
    ///
    /// # Errors
    ///
    /// `invalid_type` when it is another value.
    pub fn unsigned(&mut self, key: &str) -> Result<Option<u64>, Error> {
        self.number(key, "a whole number, at least 0", Value::as_u64)
    }

    /// Takes a whole number.
    ///
    /// # Errors
    ///
    /// `invalid_type` when it is another value.
    pub fn integer(&mut self, key: &str) -> Result<Option<i64>, Error> {
        self.number(key, "a whole number", Value::as_i64)
    }

    fn number<N>(
        &mut self,
        key: &str,
        expected: &'static str,
        read: impl FnOnce(&Value) -> Option<N>,
    ) -> Result<Option<N>, Error> {
        let Some(value) = self.take(key) else {
            return Ok(None);
        };
        match read(&value) {
            Some(number) => Ok(Some(number)),
            None => Err(wrong_type(self.path(key), expected, &value)),
        }
    }

    /// Takes an array: its elements with their paths.
    ///
    /// # Errors
    ///
    /// `invalid_type` when it is another value.
    pub fn array(&mut self, key: &str) -> Result<Option<Vec<(String, Value)>>, Error> {
        let path = self.path(key);
        match self.take(key) {
            None => Ok(None),
            Some(Value::Array(elements)) => Ok(Some(numbered(&path, elements))),
            Some(other) => Err(wrong_type(path, "an array", &other)),
        }
    }

    /// Takes an object.
    ///
    /// # Errors
    ///
    /// `invalid_type` when it is another value.
    pub fn object(&mut self, key: &str) -> Result<Option<Self>, Error> {
        let path = self.path(key);
        self.take(key)
            .map(|value| Self::of(path, value))
            .transpose()
    }

    /// Takes a string, or the digits of a number, and drops any other value: for answers, in which
    /// nothing is worth failing for.
    pub fn text(&mut self, key: &str) -> Option<String> {
        match self.take(key)? {
            Value::String(text) => Some(text),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        }
    }

    /// Takes a whole number, also where it is written `12.0` or `"12"`.
    pub fn count(&mut self, key: &str) -> Option<u64> {
        match self.take(key)? {
            Value::Number(number) => match number.as_u64() {
                Some(count) => Some(count),
                None => format!("{:.0}", number.as_f64()?).parse().ok(),
            },
            Value::String(digits) => digits.parse().ok(),
            _ => None,
        }
    }

    /// Takes the elements of an array, or a value that should have been in one.
    pub fn elements(&mut self, key: &str) -> Vec<Value> {
        match self.take(key) {
            None => Vec::new(),
            Some(Value::Array(elements)) => elements,
            Some(other) => vec![other],
        }
    }

    /// Takes an object and drops any other value.
    pub fn inner(&mut self, key: &str) -> Option<Self> {
        let path = self.path(key);
        match self.take(key)? {
            Value::Object(map) => Some(Self::new(path, map)),
            _ => None,
        }
    }

    /// Takes a content: a text, or parts, each read by `read_part`; and whether it was a text.
    ///
    /// # Errors
    ///
    /// `invalid_type` when it is neither; those of `read_part`.
    pub fn content(
        &mut self,
        key: &str,
        read_part: impl Fn(String, Value) -> Result<Part, Error>,
    ) -> Result<(Vec<Part>, bool), Error> {
        let path = self.path(key);
        match self.take(key) {
            None => Ok((Vec::new(), false)),
            Some(Value::String(text)) => Ok((vec![Part::plain(text)], true)),
            Some(Value::Array(parts)) => {
                let parts = numbered(&path, parts).into_iter();
                let parts = parts.map(|(path, part)| read_part(path, part));
                Ok((parts.collect::<Result<_, _>>()?, false))
            }
            Some(other) => Err(wrong_type(path, "a string or an array", &other)),
        }
    }

    /// Whether everything has been taken.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.map.values().all(Value::is_null)
    }

    /// Returns what has not been taken.
    #[must_use]
    pub fn into_rest(mut self) -> Map<String, Value> {
        self.map.retain(|_, value| !value.is_null());
        self.map
    }
}

/// Returns elements with the paths at which they stand.
#[must_use]
pub fn numbered(path: &str, elements: Vec<Value>) -> Vec<(String, Value)> {
    let elements = elements.into_iter().enumerate();
    elements
        .map(|(place, value)| (format!("{path}[{place}]"), value))
        .collect()
}

/// Returns the error that the parameter at `path` is another value than it must be.
#[must_use]
pub const fn wrong_type(path: String, expected: &'static str, found: &Value) -> Error {
    Error::InvalidType {
        param: path,
        expected,
        found: type_name(found),
    }
}

/// Returns what kind of value it is, with its article.
const fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::Fields;
    use bytes::Bytes;
    use serde_json::json;

    fn fields(text: &'static str) -> Fields {
        Fields::parse(&Bytes::from_static(text.as_bytes())).unwrap()
    }

    #[test]
    fn what_is_taken_is_gone_and_the_rest_stays_in_order() {
        let mut body = fields(r#"{"a":"x","b":null,"c":[1],"d":{"e":true},"f":1.5,"g":7}"#);
        assert_eq!(body.string("a").unwrap().as_deref(), Some("x"));
        assert_eq!(body.string("a").unwrap(), None);
        assert_eq!(body.string("b").unwrap(), None);
        let mut inner = body.object("d").unwrap().unwrap();
        assert_eq!(inner.boolean("e").unwrap(), Some(true));
        assert!(inner.is_empty());
        assert_eq!(body.take_if("f", serde_json::Value::is_string), None);
        assert_eq!(
            json!(body.into_rest()).to_string(),
            r#"{"c":[1],"f":1.5,"g":7}"#
        );
    }

    #[test]
    fn errors_name_the_path() {
        let mut body = fields(r#"{"a":[{"b":{"c":1}}],"n":-1}"#);
        let (path, value) = body.array("a").unwrap().unwrap().remove(0);
        let mut element = Fields::of(path, value).unwrap();
        let mut inner = element.object("b").unwrap().unwrap();
        let error = inner.string("c").unwrap_err();
        assert_eq!(
            error.to_string(),
            "`a[0].b.c` must be a string, but is a number"
        );
        let error = inner.required_string("d").unwrap_err();
        assert_eq!(error.to_string(), "`a[0].b.d` is missing");
        let error = body.unsigned("n").unwrap_err();
        assert_eq!(
            error.to_string(),
            "`n` must be a whole number, at least 0, but is a number"
        );
    }

    #[test]
    fn answers_are_read_leniently() {
        let mut reply =
            Fields::parse_reply(br#"{"id":7,"n":12.0,"m":"12","list":{"a":1},"odd":[],"none":-1}"#)
                .unwrap();
        assert_eq!(reply.text("id").as_deref(), Some("7"));
        assert_eq!((reply.count("n"), reply.count("m")), (Some(12), Some(12)));
        assert_eq!(reply.elements("list"), [json!({"a":1})]);
        assert_eq!(reply.inner("odd"), None);
        assert_eq!(reply.count("none"), None);
        assert!(reply.is_empty());
        assert_eq!(
            Fields::parse_reply(b"<html>").unwrap_err().kind(),
            "upstream_invalid"
        );
    }
}
