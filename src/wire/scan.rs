//! Finding one's way in JSON without parsing it: strings are jumped over, brackets are counted.
//!
//! The scanners do not judge grammar. They run before a parser (the depth check, so that no parser
//! meets a tower of brackets) or after one (splitting values that are known to be valid), and on
//! anything else they end early instead of failing.

use memchr::memchr2;

/// Returns where arrays and objects are nested deeper than `limit`, if they are.
pub(super) fn too_deep(json: &[u8], limit: usize) -> Option<usize> {
    let mut depth = 0_usize;
    let mut position = 0;
    while let Some(&byte) = json.get(position) {
        match byte {
            b'"' => position = string_end(json, position),
            b'[' | b'{' => {
                depth += 1;
                if limit < depth {
                    return Some(position);
                }
                position += 1;
            }
            b']' | b'}' => {
                depth = depth.saturating_sub(1);
                position += 1;
            }
            _ => position += 1,
        }
    }
    None
}

/// Walks the values of an array or object, of which the bytes are known to be valid JSON.
#[derive(Debug)]
pub(super) struct Values<'a> {
    json: &'a [u8],
    position: usize,
}

impl<'a> Values<'a> {
    /// Returns a walker over `json`, or `None` when it does not start with `open` (`[` or `{`).
    pub(super) fn of(json: &'a [u8], open: u8) -> Option<Self> {
        (json.first() == Some(&open)).then_some(Self { json, position: 1 })
    }
}

impl<'a> Iterator for Values<'a> {
    /// A value of an array; of an object the keys and values in turn.
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        loop {
            match self.json.get(self.position)? {
                b' ' | b'\t' | b'\n' | b'\r' | b',' | b':' => self.position += 1,
                b']' | b'}' => return None,
                _ => break,
            }
        }
        let start = self.position;
        self.position = value_end(self.json, start);
        self.json.get(start..self.position)
    }
}

/// Returns the end of the string that opens at `start`.
fn string_end(json: &[u8], start: usize) -> usize {
    let mut position = start + 1;
    while let Some(offset) = json
        .get(position..)
        .and_then(|rest| memchr2(b'"', b'\\', rest))
    {
        position += offset;
        if json.get(position) == Some(&b'"') {
            return position + 1;
        }
        position += 2;
    }
    json.len()
}

/// Returns the end of the value that starts at `start`.
fn value_end(json: &[u8], start: usize) -> usize {
    let mut depth = 0_usize;
    let mut position = start;
    while let Some(&byte) = json.get(position) {
        match byte {
            b'"' => {
                position = string_end(json, position);
                if depth == 0 {
                    return position;
                }
            }
            b'[' | b'{' => {
                depth += 1;
                position += 1;
            }
            b']' | b'}' if depth == 0 => return position,
            b']' | b'}' => {
                depth -= 1;
                position += 1;
                if depth == 0 {
                    return position;
                }
            }
            b',' | b':' | b' ' | b'\t' | b'\n' | b'\r' if depth == 0 => return position,
            _ => position += 1,
        }
    }
    json.len()
}

#[cfg(test)]
mod tests {
    use super::{Values, too_deep};

    #[test]
    fn brackets_in_strings_do_not_count() {
        assert_eq!(too_deep(br#"{"a":"[[[[\"[[[["}"#, 1), None);
        assert_eq!(too_deep(br#"{"a":[1]}"#, 1), Some(5));
        assert_eq!(too_deep(br#"[[],[],[]]"#, 2), None);
        assert_eq!(too_deep(b"\"[[[[", 0), None);
        assert_eq!(too_deep(b"\"\\", 0), None);
    }

    #[test]
    fn values_are_found_whole() {
        let json = br#"[ 1, "a,]\"" ,{"b":[2,"}"]},[ ] , null,-1e5]"#;
        let values: Vec<&str> = Values::of(json, b'[')
            .unwrap()
            .map(|value| std::str::from_utf8(value).unwrap())
            .collect();
        assert_eq!(
            values,
            ["1", r#""a,]\"""#, r#"{"b":[2,"}"]}"#, "[ ]", "null", "-1e5"]
        );
        assert!(Values::of(b"{}", b'[').is_none());
        assert_eq!(Values::of(b"[]", b'[').unwrap().count(), 0);
    }
}
