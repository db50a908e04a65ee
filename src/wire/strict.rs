//! One strict pass over a JSON object: whether it is valid, and where its fields stand.
//!
//! The pass accepts what RFC 8259 does and nothing else, within a depth. It gives no reasons: a body
//! that it refuses is read again by the parser that has them, which costs only those who err.

use memchr::memchr2;
use std::ops::Range;

/// Where a value stands.
pub(super) type Place = Range<usize>;

/// What was found in an object.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Found<'a> {
    /// Its keys, as they stand between the quotes, and the places of their values.
    pub(super) fields: Vec<(&'a [u8], Place)>,
    /// The places of the elements of the array that was to be noted.
    pub(super) elements: Option<Vec<Place>>,
}

/// Returns what the object `json` has; `None` when it is no valid JSON object or is nested deeper than
/// `limit`. Of the field `noted` the elements are told apart, if it is an array. That `json` is UTF-8
/// is the caller's to know.
pub(super) fn object<'a>(json: &'a [u8], limit: usize, noted: &str) -> Option<Found<'a>> {
    let mut pass = Pass { json, at: 0, limit };
    let mut found = Found {
        fields: Vec::with_capacity(8),
        elements: None,
    };
    pass.skip_spaces();
    pass.take(b'{')?;
    pass.skip_spaces();
    if pass.take(b'}').is_none() {
        loop {
            let key = pass.at + 1;
            pass.string()?;
            let key = json.get(key..pass.at - 1)?;
            pass.colon()?;
            let start = pass.at;
            if key == noted.as_bytes() && pass.peek() == Some(b'[') {
                let mut elements = Vec::new();
                pass.array(2, |place| elements.push(place))?;
                found.elements = Some(elements);
            } else {
                pass.value(1)?;
            }
            found.fields.push((key, start..pass.at));
            if pass.is_last(b'}')? {
                break;
            }
        }
    }
    pass.skip_spaces();
    (pass.at == json.len()).then_some(found)
}

struct Pass<'a> {
    json: &'a [u8],
    at: usize,
    limit: usize,
}

impl Pass<'_> {
    fn peek(&self) -> Option<u8> {
        self.json.get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.at += 1)
    }

    fn skip_spaces(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\n' | b'\t' | b'\r')) {
            self.at += 1;
        }
    }

    fn colon(&mut self) -> Option<()> {
        self.skip_spaces();
        self.take(b':')?;
        self.skip_spaces();
        Some(())
    }

    /// Passes what follows an element: whether it was `close`, else it was a comma.
    fn is_last(&mut self, close: u8) -> Option<bool> {
        self.skip_spaces();
        if self.take(close).is_some() {
            return Some(true);
        }
        self.take(b',')?;
        self.skip_spaces();
        Some(false)
    }

    /// Passes a value that stands inside `depth` arrays and objects.
    fn value(&mut self, depth: usize) -> Option<()> {
        match self.peek()? {
            b'"' => self.string(),
            b'{' => self.object(depth + 1),
            b'[' => self.array(depth + 1, |_| {}),
            b't' => self.word(b"true"),
            b'f' => self.word(b"false"),
            b'n' => self.word(b"null"),
            _ => self.number(),
        }
    }

    fn object(&mut self, depth: usize) -> Option<()> {
        if self.limit < depth {
            return None;
        }
        self.at += 1;
        self.skip_spaces();
        if self.take(b'}').is_some() {
            return Some(());
        }
        loop {
            self.string()?;
            self.colon()?;
            self.value(depth)?;
            if self.is_last(b'}')? {
                return Some(());
            }
        }
    }

    fn array(&mut self, depth: usize, mut note: impl FnMut(Place)) -> Option<()> {
        if self.limit < depth {
            return None;
        }
        self.at += 1;
        self.skip_spaces();
        if self.take(b']').is_some() {
            return Some(());
        }
        loop {
            let start = self.at;
            self.value(depth)?;
            note(start..self.at);
            if self.is_last(b']')? {
                return Some(());
            }
        }
    }

    fn word(&mut self, word: &[u8]) -> Option<()> {
        let rest = self.json.get(self.at..)?;
        rest.starts_with(word).then(|| self.at += word.len())
    }

    fn string(&mut self) -> Option<()> {
        self.take(b'"')?;
        loop {
            let rest = self.json.get(self.at..)?;
            let plain = memchr2(b'"', b'\\', rest)?;
            if has_control(rest.get(..plain)?) {
                return None;
            }
            self.at += plain;
            if self.take(b'"').is_some() {
                return Some(());
            }
            self.escape()?;
        }
    }

    fn escape(&mut self) -> Option<()> {
        match self.json.get(self.at + 1)? {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => self.at += 2,
            b'u' => {
                let digits = self.json.get(self.at + 2..self.at + 6)?;
                if !digits.iter().all(u8::is_ascii_hexdigit) {
                    return None;
                }
                self.at += 6;
            }
            _ => return None,
        }
        Some(())
    }

    fn number(&mut self) -> Option<()> {
        let _ = self.take(b'-');
        if self.take(b'0').is_none() {
            self.digits()?;
        }
        if self.take(b'.').is_some() {
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        Some(())
    }

    fn digits(&mut self) -> Option<()> {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        (start < self.at).then_some(())
    }
}

/// Whether any of the bytes is a control character. There is no early end, so that the compiler looks
/// at many bytes at once.
fn has_control(bytes: &[u8]) -> bool {
    bytes.iter().fold(u8::MAX, |least, byte| least.min(*byte)) < b' '
}

/// Whether a byte of a string does not stand for itself: a quote, an escape, a control character.
pub(super) const fn is_special(byte: u8) -> bool {
    (byte < b' ') | (byte == b'"') | (byte == b'\\')
}

#[cfg(test)]
mod tests {
    use super::object;
    use proptest::prelude::{prop, proptest};
    use serde_json::value::RawValue;
    use std::collections::BTreeMap;

    fn read<'a>(json: &'a str) -> Option<Vec<(&'a str, &'a str)>> {
        let found = object(json.as_bytes(), 64, "x")?;
        if let Some(elements) = &found.elements {
            let elements: Vec<&str> = elements
                .iter()
                .map(|place| json.get(place.clone()).unwrap())
                .collect();
            let (_, whole) = found.fields.iter().rfind(|(key, _)| *key == b"x").unwrap();
            let parsed: Vec<&RawValue> =
                serde_json::from_str(json.get(whole.clone()).unwrap()).unwrap();
            assert_eq!(elements, parsed.iter().map(|e| e.get()).collect::<Vec<_>>());
        }
        let text = |key: &'a [u8]| std::str::from_utf8(key).unwrap();
        let fields = found.fields.into_iter();
        Some(
            fields
                .map(|(key, place)| (text(key), json.get(place).unwrap()))
                .collect(),
        )
    }

    #[test]
    fn fields_are_found_as_they_stand() {
        assert_eq!(
            read(" {\"a\" : [1, {\"b\":\"]}\\\"\"}] ,\r\n\"c\\n\":-0.5e+1\t} ").unwrap(),
            [("a", "[1, {\"b\":\"]}\\\"\"}]"), ("c\\n", "-0.5e+1")]
        );
        assert_eq!(read("{}").unwrap(), []);
        let nested = |depth| format!("{{\"a\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
        assert!(object(nested(63).as_bytes(), 64, "a").is_some());
        assert!(object(nested(64).as_bytes(), 64, "a").is_none());
    }

    proptest! {
        #![proptest_config(prop::test_runner::Config::with_cases(20_000))]

        /// Pieces of JSON in any order: most are wrong, and some nearly right.
        #[test]
        fn it_agrees_with_the_parser(pieces in prop::collection::vec(prop::sample::select(vec![
            "{", "}", "[", "]", ":", ",", "\"", "\"a\"", "\"\\n\"", "\"\\u00e9\"", "\"\\ud800\"", "\"\\x\"", "\"\\u00g0\"",
            "\"é\"", "\"\t\"", " ", "\n", "0", "1", "-", "-0", "01", "1.", "1.5", ".5", "1e", "1e+", "2E-7", "+1", "true",
            "false", "null", "nul", "{\"k\":", "{\"k\":1}", "[1,2]", "[]", "{}", "\u{feff}", "NaN", "/**/",
        ]), 0..9)) {
            let inner: String = pieces.concat();
            for json in [inner.clone(), format!("{{{inner}}}"), format!("{{\"x\":{inner}}}")] {
                let parsed = serde_json::from_str::<&RawValue>(&json);
                let is_object = json.trim_start().starts_with('{');
                assert_eq!(read(&json).is_some(), parsed.is_ok() && is_object, "{json}");
            }
        }

        #[test]
        fn it_finds_what_the_parser_finds(object in prop::collection::btree_map("[a-z\"\\\\\n]{0,4}", "[ -~é\u{1}\"\\\\]{0,12}", 0..6)) {
            let json = serde_json::to_string_pretty(&object).unwrap();
            let parsed: BTreeMap<String, &RawValue> = serde_json::from_str(&json).unwrap();
            let found = read(&json).unwrap();
            assert_eq!(found.len(), parsed.len());
            for (key, value) in found {
                let key: String = serde_json::from_str(&format!("\"{key}\"")).unwrap();
                assert_eq!(parsed[&key].get(), value);
            }
        }
    }
}
