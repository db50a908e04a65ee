//! The shape of a chunk that says nothing but the next piece of text: the chunks of a stream are the
//! same bytes again and again, but for that piece. A chunk that has the shape of the one before need
//! not be parsed.
//!
//! **Invariant**: a chunk that fits a shape says exactly what a parser would find in it.

use crate::wire::openai::chunk::Chunk;
use crate::wire::strict::is_special;

/// What stands around the text of a chunk.
#[derive(Debug)]
pub(super) struct Shape {
    /// The data up to the text, its opening quote included.
    head: Vec<u8>,
    /// The data behind it, from its closing quote on.
    tail: Vec<u8>,
    /// The choice that the text belongs to.
    pub(super) index: u64,
    /// Where in the tail a `"usage":null` begins and ends that the client is not to see.
    pub(super) cut: Option<(usize, usize)>,
}

impl Shape {
    /// Returns the shape of `chunk`, which stands in `data`; `None` when it says more than a text that
    /// another chunk might not say again. `cut` is what the client gets of `data`, in two pieces, when
    /// that is not all.
    pub(super) fn of(chunk: &Chunk<'_>, data: &[u8], cut: Option<(usize, usize)>) -> Option<Self> {
        let [choice] = chunk.choices.as_deref()? else {
            return None;
        };
        let says_more = choice.finish_reason.is_some()
            || chunk.usage.is_some_and(|usage| usage != "null")
            || chunk.error.is_some()
            || chunk.others.0.iter().any(|(key, _)| key == "x_groq")
            || choice.others.0.iter().any(|(_, raw)| *raw != "null");
        if says_more {
            return None;
        }
        let mut text = None;
        for (key, raw) in &choice.delta.0 {
            match key.as_ref() {
                "content" if text.is_none() && raw.starts_with('"') => text = Some(*raw),
                "role" => {}
                _ if *raw == "null" => {}
                _ => return None,
            }
        }
        let text = text?;
        let start = text.as_ptr().addr().checked_sub(data.as_ptr().addr())?;
        let head = data.get(..=start)?.to_vec();
        let tail_at = start + text.len() - 1;
        let tail = data.get(tail_at..)?.to_vec();
        let cut = match cut {
            None => None,
            Some((from, to)) => Some((from.checked_sub(tail_at)?, to.checked_sub(tail_at)?)),
        };
        Some(Self {
            head,
            tail,
            index: choice.index,
            cut,
        })
    }

    /// Returns the text of a chunk of this shape; `None` when `data` has another, or when its text has
    /// to be parsed.
    pub(super) fn text<'a>(&self, data: &'a [u8]) -> Option<&'a str> {
        let text = data.strip_prefix(&*self.head)?.strip_suffix(&*self.tail)?;
        if text.iter().any(|byte| is_special(*byte)) {
            return None;
        }
        std::str::from_utf8(text).ok()
    }

    /// Returns how long the data behind the text is.
    pub(super) const fn tail_bytes(&self) -> usize {
        self.tail.len()
    }
}

#[cfg(test)]
mod tests {
    use super::Shape;
    use crate::wire::openai::chunk::parse;

    fn shape(data: &str) -> Option<Shape> {
        Shape::of(&parse(data.as_bytes()).unwrap(), data.as_bytes(), None)
    }

    #[test]
    fn only_chunks_of_one_text_have_a_shape() {
        for (data, has_one) in [
            (
                r#"{"id":"a","choices":[{"index":1,"delta":{"content":"x"},"finish_reason":null}]}"#,
                true,
            ),
            (
                r#"{"choices":[{"delta":{"role":"assistant","content":"","refusal":null},"logprobs":null}],"usage":null}"#,
                true,
            ),
            (
                r#"{"choices":[{"delta":{"content":"x"},"finish_reason":"stop"}]}"#,
                false,
            ),
            (
                r#"{"choices":[{"delta":{"content":"x"},"logprobs":{"content":[]}}]}"#,
                false,
            ),
            (
                r#"{"choices":[{"delta":{"content":"x","tool_calls":[{"index":0}]}}]}"#,
                false,
            ),
            (r#"{"choices":[{"delta":{"content":null}}]}"#, false),
            (
                r#"{"choices":[{"delta":{"content":"x","content":"y"}}]}"#,
                false,
            ),
            (
                r#"{"choices":[{"delta":{"content":"x"}},{"delta":{"content":"y"}}]}"#,
                false,
            ),
            (
                r#"{"choices":[{"delta":{"content":"x"}}],"usage":{"total_tokens":1}}"#,
                false,
            ),
            (
                r#"{"choices":[{"delta":{"content":"x"}}],"error":{}}"#,
                false,
            ),
        ] {
            assert_eq!(shape(data).is_some(), has_one, "{data}");
        }
    }

    #[test]
    fn a_text_is_read_where_all_else_is_the_same() {
        let shape = shape(r#"{"a":1,"choices":[{"index":3,"delta":{"content":"x"}}]}"#).unwrap();
        assert_eq!(shape.index, 3);
        let text = |data: &'static str| shape.text(data.as_bytes());
        assert_eq!(
            text(r#"{"a":1,"choices":[{"index":3,"delta":{"content":"né"}}]}"#),
            Some("né")
        );
        assert_eq!(
            text(r#"{"a":1,"choices":[{"index":3,"delta":{"content":""}}]}"#),
            Some("")
        );
        for other in [
            r#"{"a":2,"choices":[{"index":3,"delta":{"content":"x"}}]}"#,
            r#"{"a":1,"choices":[{"index":3,"delta":{"content":"x"}}]} "#,
            r#"{"a":1,"choices":[{"index":3,"delta":{"content":"\n"}}]}"#,
            r#"{"a":1,"choices":[{"index":3,"delta":{"content":"x"},"y":"z"}}]}"#,
            r#"{"a":1,"choices":[{"index":3,"delta":{"content":"}}]}"#,
        ] {
            assert_eq!(text(other), None, "{other}");
        }
    }
}
