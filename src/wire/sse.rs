//! Server-sent events, read from bytes as they come, each with the exact bytes it came from.
//!
//! The grammar is that of the HTML standard (section 9.2.6), with two differences that a gateway
//! needs: comments and blank lines are events too (without data), so that everything can be passed
//! on, and the end of the stream ends an event that has no blank line after it.

use crate::wire::Error;
use bytes::{Bytes, BytesMut};
use memchr::memchr2;

/// The longest event, and so the longest line, that is read.
pub const MAX_EVENT: usize = 1024 * 1024;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// One event, or what stands between two blank lines without being one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The exact bytes, with the blank line that ends the event. A slice of the chunk it came in,
    /// unless it straddles two. Concatenated over all events they are the stream.
    pub raw: Bytes,
    /// The lines of data, joined by line feeds; `None` when there was none. With a single line a
    /// slice of `raw`.
    pub data: Option<Bytes>,
    /// The event's type; `None` when it has none.
    pub name: Option<Bytes>,
}

/// Takes chunks of any size apart into events.
#[derive(Debug)]
pub struct Decoder {
    /// The longest event.
    limit: usize,
    /// The beginning of an event whose end has not come.
    pending: BytesMut,
    /// Bytes of the last, unfinished line.
    line_bytes: usize,
    /// Whether the last byte was a carriage return, so that a line feed still belongs to it.
    after_return: bool,
    /// Whether a line has ended with CRLF.
    has_crlf: bool,
    /// Whether the event is whole but for the line feed that its last carriage return promises.
    awaits_feed: bool,
    /// Whether the first event, and a byte order mark with it, has been read.
    is_started: bool,
}

impl Default for Decoder {
    fn default() -> Self {
        Self::with_limit(MAX_EVENT)
    }
}

impl Decoder {
    /// Returns a decoder of events of at most `limit` bytes.
    #[must_use]
    pub fn with_limit(limit: usize) -> Self {
        Self {
            limit,
            pending: BytesMut::new(),
            line_bytes: 0,
            after_return: false,
            has_crlf: false,
            awaits_feed: false,
            is_started: false,
        }
    }

    /// Takes `chunk` in and gives every event that it completes to `take`.
    ///
    /// # Errors
    ///
    /// When an event is longer than the limit, [`MAX_EVENT`] unless it is another; nothing can be read after that.
    pub fn push(&mut self, chunk: &Bytes, mut take: impl FnMut(Event)) -> Result<(), Error> {
        let mut start = 0;
        while let Some(end) = self.event_end(chunk, start) {
            let raw = if self.pending.is_empty() {
                chunk.slice(start..end)
            } else {
                self.pending
                    .extend_from_slice(chunk.get(start..end).unwrap_or_default());
                self.pending.split().freeze()
            };
            start = end;
            if self.limit < raw.len() {
                return Err(Error::EventTooLong { limit: self.limit });
            }
            take(self.event(raw));
        }
        let rest = chunk.get(start..).unwrap_or_default();
        if self.limit < self.pending.len() + rest.len() {
            return Err(Error::EventTooLong { limit: self.limit });
        }
        self.pending.extend_from_slice(rest);
        Ok(())
    }

    /// Returns what is left at the end of the stream: an event without its blank line, or `None`.
    pub fn finish(&mut self) -> Option<Event> {
        let raw = self.pending.split().freeze();
        self.line_bytes = 0;
        self.after_return = false;
        self.awaits_feed = false;
        (!raw.is_empty()).then(|| self.event(raw))
    }

    /// Returns where the event that is being read ends in `chunk`, looking from `start`, or `None`
    /// when it ends in a later one.
    fn event_end(&mut self, chunk: &[u8], start: usize) -> Option<usize> {
        if self.awaits_feed
            && let Some(byte) = chunk.get(start)
        {
            self.awaits_feed = false;
            self.after_return = false;
            return Some(start + usize::from(*byte == b'\n'));
        }
        let mut line = start;
        while let Some(offset) = chunk
            .get(line..)
            .and_then(|rest| memchr2(b'\r', b'\n', rest))
        {
            let end = line + offset + 1;
            let is_return = chunk.get(end - 1) == Some(&b'\r');
            let is_second_half = self.after_return && offset == 0 && !is_return;
            let is_blank = !is_second_half && offset == 0 && self.line_bytes == 0;
            self.after_return = is_return;
            self.line_bytes = 0;
            self.has_crlf |= is_second_half;
            line = end;
            if is_blank {
                let with_feed = is_return && chunk.get(end) == Some(&b'\n');
                // A stream of CRLFs owes one more byte: clients that look for `\r\n\r\n` need it
                // in its place. A stream of bare CRs may owe nothing and is not held up.
                self.awaits_feed = is_return && end == chunk.len() && self.has_crlf;
                if self.awaits_feed {
                    return None;
                }
                self.after_return = is_return && !with_feed;
                return Some(end + usize::from(with_feed));
            }
        }
        let rest = chunk.len().saturating_sub(line);
        self.line_bytes += rest;
        self.after_return &= rest == 0;
        None
    }

    fn event(&mut self, raw: Bytes) -> Event {
        let mut text: &[u8] = &raw;
        if !self.is_started {
            self.is_started = true;
            text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
        }
        let mut data: Option<&[u8]> = None;
        let mut joined: Option<BytesMut> = None;
        let mut name = None;
        for line in Lines(text) {
            let (field, value) = field_and_value(line);
            match (field, data) {
                (b"data", None) => data = Some(value),
                (b"data", Some(first)) => {
                    let all = joined.get_or_insert_with(|| BytesMut::from(first));
                    all.extend_from_slice(b"\n");
                    all.extend_from_slice(value);
                }
                (b"event", _) => name = Some(value),
                _ => {}
            }
        }
        let name = name.filter(|name| !name.is_empty());
        Event {
            data: match joined {
                Some(lines) => Some(lines.freeze()),
                None => data.map(|line| raw.slice_ref(line)),
            },
            name: name.map(|name| raw.slice_ref(name)),
            raw,
        }
    }
}

/// The lines of a text, ended by LF, CR or CRLF.
struct Lines<'a>(&'a [u8]);

impl<'a> Iterator for Lines<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if self.0.is_empty() {
            return None;
        }
        let end = memchr2(b'\r', b'\n', self.0).unwrap_or(self.0.len());
        let (line, rest) = self.0.split_at_checked(end)?;
        self.0 = rest
            .strip_prefix(b"\r\n")
            .unwrap_or_else(|| rest.get(1..).unwrap_or_default());
        Some(line)
    }
}

/// Splits a line at its colon; one space after the colon is not part of the value.
fn field_and_value(line: &[u8]) -> (&[u8], &[u8]) {
    // Nearly all lines are data: spare them the search.
    let (field, value) = match line.strip_prefix(b"data:") {
        Some(value) => (line.get(..4).unwrap_or_default(), value),
        None => match memchr::memchr(b':', line).and_then(|colon| line.split_at_checked(colon)) {
            Some((field, value)) => (field, value.get(1..).unwrap_or_default()),
            None => (line, line.get(..0).unwrap_or_default()),
        },
    };
    (field, value.strip_prefix(b" ").unwrap_or(value))
}

#[cfg(test)]
mod tests {
    use super::{Decoder, Event, MAX_EVENT};
    use bytes::Bytes;
    use proptest::prelude::{any, prop, proptest};

    /// Streams with every oddity that providers have been seen to send.
    const CORPUS: [&[u8]; 9] = [
        b"data: {\"a\":1}\n\ndata: [DONE]\n\n",
        b"data: {\"a\":1}\r\n\r\ndata: [DONE]\r\n\r\n",
        b"data: {\"a\":1}\r\rdata: [DONE]\r\r",
        b"\xef\xbb\xbfdata:no space\n\ndata: \xef\xbb\xbfkept\n\n",
        b": OPENROUTER PROCESSING\n\n: ping\ndata: x\n\n",
        b"event: error\r\ndata: one\r\ndata:two\r\ndata\r\n\r\nid: 7\nretry: 10\n\n",
        b"\n\n\r\n\r\ndata: \xf0\x9f\x98\x80\n\r\n\rdata: y\r\n\ndata: z\n\r\n",
        b"data: no end",
        b"data: half end\n",
    ];

    /// Returns the events of `chunks` and all their raw bytes.
    fn decode<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Event>, Vec<u8>) {
        let mut decoder = Decoder::default();
        let mut events = Vec::new();
        for chunk in chunks {
            let chunk = Bytes::copy_from_slice(chunk);
            decoder.push(&chunk, |event| events.push(event)).unwrap();
        }
        events.extend(decoder.finish());
        let raw = events.iter().flat_map(|event| event.raw.to_vec()).collect();
        (events, raw)
    }

    /// Returns what a client sees: the names and data of events that have data.
    fn seen(events: &[Event]) -> Vec<(Option<Bytes>, Bytes)> {
        let with_data = events
            .iter()
            .filter_map(|event| Some((event.name.clone(), event.data.clone()?)));
        with_data.collect()
    }

    #[test]
    fn events_are_read_as_the_standard_says() {
        let texts = |stream: &[u8]| -> Vec<String> {
            seen(&decode([stream]).0)
                .iter()
                .map(|(_, data)| String::from_utf8(data.to_vec()).unwrap())
                .collect()
        };
        for stream in CORPUS.iter().take(3) {
            assert_eq!(texts(stream), ["{\"a\":1}", "[DONE]"]);
        }
        assert_eq!(texts(CORPUS[3]), ["no space", "\u{feff}kept"]);
        assert_eq!(texts(CORPUS[4]), ["x"]);
        assert_eq!(texts(CORPUS[5]), ["one\ntwo\n"]);
        assert_eq!(seen(&decode([CORPUS[5]]).0)[0].0.as_ref().unwrap(), "error");
        assert_eq!(texts(CORPUS[6]), ["\u{1f600}", "y", "z"]);
        assert_eq!(texts(CORPUS[7]), ["no end"]);
        assert_eq!(
            texts(b"data:\n\ndata:  two spaces\n\n"),
            ["", " two spaces"]
        );
    }

    #[test]
    fn one_cut_anywhere_changes_nothing() {
        for stream in CORPUS {
            let expected = seen(&decode([stream]).0);
            for cut in 0..=stream.len() {
                let (head, tail) = stream.split_at(cut);
                let (events, raw) = decode([head, tail]);
                assert_eq!(seen(&events), expected, "cut at {cut}");
                assert_eq!(raw, stream, "cut at {cut}");
            }
            let (events, raw) = decode(stream.chunks(1));
            assert_eq!(seen(&events), expected);
            assert_eq!(raw, stream);
        }
    }

    #[test]
    fn whole_events_are_not_copied() {
        let chunk = Bytes::from_static(b"data: 1\n\ndata: 2\n\n");
        let mut decoder = Decoder::default();
        decoder
            .push(&chunk, |event| {
                assert!(chunk.as_ptr_range().contains(&event.raw.as_ptr()));
            })
            .unwrap();
    }

    #[test]
    fn a_line_feed_is_awaited_only_where_one_is_due() {
        for (stream, expected) in [
            (&["data: 1\r\r"][..], &["data: 1\r\r"][..]),
            (&["data: 1\r\n\r"], &[]),
            (&["data: 1\r\n\r", "\n"], &["data: 1\r\n\r\n"]),
            (&["data: 1\r\n\r", "", "\ndata"], &["data: 1\r\n\r\n"]),
            (&["data: 1\r", "\n", "\r", "x"], &["data: 1\r\n\r"]),
        ] {
            let mut decoder = Decoder::default();
            let mut events = Vec::new();
            for chunk in stream {
                let chunk = Bytes::from_static(chunk.as_bytes());
                decoder
                    .push(&chunk, |event| events.push(event.raw))
                    .unwrap();
            }
            assert_eq!(events, expected, "{stream:?}");
        }
    }

    #[test]
    fn endless_lines_are_refused() {
        let chunk = Bytes::from(vec![b'x'; 64 * 1024]);
        let mut decoder = Decoder::default();
        let pushed = (0..).find(|_| decoder.push(&chunk, |_| {}).is_err());
        assert_eq!(pushed, Some(MAX_EVENT / chunk.len()));
        let mut whole = vec![b'x'; MAX_EVENT];
        whole.extend(b"\n\n");
        assert!(Decoder::default().push(&whole.into(), |_| {}).is_err());
    }

    proptest! {
        #[test]
        fn many_cuts_change_nothing(which in 0..CORPUS.len(), sizes in prop::collection::vec(1_usize..9, 1..99)) {
            let stream = CORPUS[which];
            let mut chunks = Vec::new();
            let mut rest = stream;
            for size in sizes.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (head, tail) = rest.split_at((*size).min(rest.len()));
                chunks.push(head);
                rest = tail;
            }
            let (events, raw) = decode(chunks);
            assert_eq!(seen(&events), seen(&decode([stream]).0));
            assert_eq!(raw, stream);
        }

        #[test]
        fn random_bytes_come_out_again(stream in prop::collection::vec(prop::sample::select(b"da: \r\n\xef\xbb\xbf".to_vec()), 0..60), cut in any::<prop::sample::Index>()) {
            let (head, tail) = stream.split_at(cut.index(stream.len() + 1));
            let (events, raw) = decode([head, tail]);
            assert_eq!(raw, stream);
            assert_eq!(seen(&events), seen(&decode([stream.as_slice()]).0));
        }
    }
}
