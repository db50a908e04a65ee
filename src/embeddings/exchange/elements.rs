//! The elements of a long JSON array, one at a time: of an array that is the whole file, or of the `points` of
//! Qdrant's answers, of which several may follow each other.
//!
//! Only the elements are parsed; what stands around them is passed over with its strings and brackets held in
//! balance.

use crate::embeddings::exchange::error::Fault;
use crate::embeddings::exchange::input::{Input, MAX_LINE, too_long};
use bytes::Bytes;
use std::io::{BufRead as _, BufReader};

/// The deepest nesting.
const MAX_DEPTH: usize = 128;

/// How much of a key is remembered.
const MAX_KEY: usize = 32;

/// A file of elements.
pub(super) struct Elements {
    input: BufReader<Input>,
    scan: Scan,
    /// The key whose array is wanted; else the whole file is the array.
    key: Option<&'static [u8]>,
    has_list: bool,
    is_cut: bool,
}

/// Where in the text the reader is.
#[derive(Default)]
struct Scan {
    open: Vec<u8>,
    is_in_string: bool,
    is_escaped: bool,
    /// The string that was read last.
    word: Vec<u8>,
    /// Whether the next value is the one that tells whether more pages follow.
    is_next_page: bool,
    /// How deep the elements are, when the reader is among them.
    elements: Option<usize>,
    element: Option<Vec<u8>>,
}

impl Elements {
    /// Reads the elements of the arrays at `key`, or of the array that is the file.
    pub(super) fn new(input: Input, key: Option<&'static [u8]>) -> Self {
        Self {
            input: BufReader::with_capacity(1 << 16, input),
            scan: Scan::default(),
            key,
            has_list: false,
            is_cut: false,
        }
    }

    /// Returns whether the last page says that another follows.
    pub(super) const fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// Returns the next element; `None` behind the last.
    pub(super) fn read(&mut self) -> Result<Option<Bytes>, Fault> {
        loop {
            let buffer = self.input.fill_buf().map_err(Fault::reading)?;
            if buffer.is_empty() {
                return self.at_end();
            }
            let (mut used, mut done) = (0, None);
            for byte in buffer {
                used += 1;
                let step = self.scan.step(*byte, self.key)?;
                match step {
                    Step::On => {}
                    Step::List => self.has_list = true,
                    Step::NextPage(is_cut) => self.is_cut = is_cut,
                    Step::Element(element) => {
                        done = Some(element);
                        break;
                    }
                }
            }
            self.input.consume(used);
            if done.is_some() {
                return Ok(done);
            }
        }
    }

    fn at_end(&self) -> Result<Option<Bytes>, Fault> {
        if self.scan.is_in_string || !self.scan.open.is_empty() {
            return Err(Fault::broken("the file ends too early"));
        }
        match (self.has_list, self.key) {
            (true, _) => Ok(None),
            (false, None) => Err(Fault::broken("it holds no JSON array")),
            (false, Some(key)) => Err(Fault::Broken(format!(
                "it holds no list of `{}`",
                String::from_utf8_lossy(key)
            ))),
        }
    }
}

/// What a byte led to.
enum Step {
    On,
    /// The list begins.
    List,
    /// Whether more pages follow.
    NextPage(bool),
    Element(Bytes),
}

impl Scan {
    fn step(&mut self, byte: u8, key: Option<&[u8]>) -> Result<Step, Fault> {
        if let Some(element) = &mut self.element {
            if MAX_LINE <= element.len() {
                return Err(too_long("an element"));
            }
            element.push(byte);
        }
        if self.is_in_string {
            self.in_string(byte);
            return Ok(Step::On);
        }
        if byte.is_ascii_whitespace() {
            return Ok(Step::On);
        }
        let is_next_page = std::mem::take(&mut self.is_next_page);
        match byte {
            b'"' => {
                self.word.clear();
                self.is_in_string = true;
                self.refuse_between()?;
            }
            b'{' | b'[' => return self.open(byte, key),
            b'}' | b']' => return self.close(byte),
            b':' => self.is_next_page = self.word == b"next_page_offset" && self.element.is_none(),
            b',' if !self.open.is_empty() => {}
            _ => self.refuse_between()?,
        }
        if is_next_page {
            return Ok(Step::NextPage(byte != b'n'));
        }
        Ok(Step::On)
    }

    fn in_string(&mut self, byte: u8) {
        match byte {
            _ if self.is_escaped => self.is_escaped = false,
            b'\\' => self.is_escaped = true,
            b'"' => {
                self.is_in_string = false;
                return;
            }
            _ => {}
        }
        if self.word.len() < MAX_KEY {
            self.word.push(byte);
        }
    }

    /// Among the elements, and outside of everything, only objects may stand.
    fn refuse_between(&self) -> Result<(), Fault> {
        let is_among = self.elements == Some(self.open.len()) && self.element.is_none();
        if is_among {
            return Err(Fault::broken("the list holds something that is no object"));
        }
        if self.open.is_empty() {
            return Err(Fault::broken("it is no JSON"));
        }
        Ok(())
    }

    fn open(&mut self, byte: u8, key: Option<&[u8]>) -> Result<Step, Fault> {
        let depth = self.open.len();
        if MAX_DEPTH <= depth {
            return Err(Fault::broken("it is nested too deep"));
        }
        let is_among = self.elements == Some(depth) && self.element.is_none();
        if is_among && byte == b'[' {
            return Err(Fault::broken("the list holds something that is no object"));
        }
        if is_among {
            self.element = Some(vec![byte]);
        }
        self.open.push(byte);
        let is_list = byte == b'['
            && self.elements.is_none()
            && match key {
                None => depth == 0,
                Some(key) => (1..=2).contains(&depth) && self.word == key,
            };
        if is_list {
            self.elements = Some(depth + 1);
            return Ok(Step::List);
        }
        Ok(Step::On)
    }

    fn close(&mut self, byte: u8) -> Result<Step, Fault> {
        let expected = if byte == b'}' { b'{' } else { b'[' };
        if self.open.pop() != Some(expected) {
            return Err(Fault::broken("its brackets do not match"));
        }
        let depth = self.open.len();
        match self.elements {
            Some(elements) if depth < elements => self.elements = None,
            Some(elements) if depth == elements => {
                let element = self.element.take();
                return Ok(element.map_or(Step::On, |bytes| Step::Element(bytes.into())));
            }
            _ => {}
        }
        Ok(Step::On)
    }
}

#[cfg(test)]
mod tests {
    use super::Elements;
    use proptest::prelude::*;

    fn read(text: &str, key: Option<&'static [u8]>) -> (Vec<String>, Option<String>, bool) {
        let mut elements = Elements::new(Box::new(std::io::Cursor::new(text.to_owned())), key);
        let mut found = Vec::new();
        loop {
            match elements.read() {
                Ok(Some(element)) => found.push(String::from_utf8(element.to_vec()).unwrap()),
                Ok(None) => return (found, None, elements.is_cut()),
                Err(fault) => return (found, Some(fault.to_string()), elements.is_cut()),
            }
        }
    }

    #[test]
    fn elements_are_found_wherever_the_list_is() {
        let points = Some(&b"points"[..]);
        for (text, key, expected) in [
            ("[]", None, vec![]),
            (
                " [{\"a\":[1,{}]} , {\"b\":\"]}\\\"\"}]\n",
                None,
                vec!["{\"a\":[1,{}]}", "{\"b\":\"]}\\\"\"}"],
            ),
            ("{\"points\":[{}]}", points, vec!["{}"]),
            (
                "{\"result\":{\"points\":[{\"id\":1}],\"next_page_offset\":null},\"status\":\"ok\"}\n{\"result\":{\"points\":[{\"id\":2}]}}",
                points,
                vec!["{\"id\":1}", "{\"id\":2}"],
            ),
        ] {
            let (found, fault, is_cut) = read(text, key);
            assert_eq!(
                (found, fault, is_cut),
                (
                    expected.iter().map(|s| (*s).to_owned()).collect(),
                    None,
                    false
                ),
                "{text}"
            );
        }
        assert!(
            read(
                "{\"result\":{\"points\":[],\"next_page_offset\": 7}}",
                points
            )
            .2
        );
    }

    #[test]
    fn broken_text_is_refused() {
        let points = Some(&b"points"[..]);
        for (text, key, message) in [
            ("[{}", None, "the file ends too early"),
            ("[{\"a", None, "the file ends too early"),
            ("", None, "it holds no JSON array"),
            ("{\"a\":[{}]}", points, "it holds no list of `points`"),
            ("[1]", None, "the list holds something that is no object"),
            ("[[]]", None, "the list holds something that is no object"),
            (
                "[\"a\"]",
                None,
                "the list holds something that is no object",
            ),
            ("[{]", None, "its brackets do not match"),
            ("nope", None, "it is no JSON"),
            (&"[".repeat(200), points, "it is nested too deep"),
        ] {
            assert_eq!(read(text, key).1.as_deref(), Some(message), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[\\[\\]{}\":,a1\\\\ ]{0,60}") {
            read(&text, None);
            read(&text, Some(b"points"));
        }
    }
}
