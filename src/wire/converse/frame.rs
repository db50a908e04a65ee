//! Frames of `application/vnd.amazon.eventstream`: a length, headers and a payload, under two checksums (CRC-32 of
//! ISO 3309).
//!
//! ```text
//! total length u32 | length of headers u32 | CRC of these u32 | headers | payload | CRC of all before u32
//! header: length of name u8 | name | type u8 | value
//! ```

use crate::wire::Error;
use bytes::{Bytes, BytesMut};

/// The longest frame that is read.
const MAX_FRAME: usize = 16 * 1024 * 1024;

/// The bytes before the headers.
const PRELUDE: usize = 12;

/// How much is kept of a body that is no stream of frames, to say what it is.
const MAX_STRAY: usize = 16 * 1024;

/// A frame.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Frame {
    /// `event`, `exception` or `error`.
    pub(super) message_type: String,
    /// The event's or the exception's type, or the error's code.
    pub(super) kind: String,
    /// What an error says.
    pub(super) error_message: Option<String>,
    /// JSON.
    pub(super) payload: Bytes,
}

/// Takes bytes apart into frames.
#[derive(Debug, Default)]
pub(super) struct Frames {
    pending: BytesMut,
    has_frames: bool,
    /// What came instead of frames.
    stray: Vec<u8>,
}

impl Frames {
    /// Takes `chunk` in and gives every frame that it completes to `take`.
    pub(super) fn push(
        &mut self,
        chunk: &Bytes,
        mut take: impl FnMut(Frame) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let first = self.pending.first().or_else(|| chunk.first());
        // A frame that begins so would be longer than is read; text begins so.
        let is_text = first.is_some_and(|byte| *byte != 0);
        if !self.stray.is_empty() || (!self.has_frames && is_text) {
            let room = MAX_STRAY.saturating_sub(self.stray.len()).min(chunk.len());
            self.stray
                .extend_from_slice(chunk.get(..room).unwrap_or_default());
            return Ok(());
        }
        self.pending.extend_from_slice(chunk);
        while let Some(length) = self.next_length()? {
            let bytes = self.pending.split_to(length).freeze();
            self.has_frames = true;
            take(frame(&bytes)?)?;
        }
        Ok(())
    }

    /// Returns what came instead of frames, if something did.
    ///
    /// # Errors
    ///
    /// When the last frame is torn.
    pub(super) fn finish(&mut self) -> Result<Option<Vec<u8>>, Error> {
        if !self.pending.is_empty() {
            return Err(invalid("ends within a frame"));
        }
        let stray = std::mem::take(&mut self.stray);
        Ok((!stray.is_empty()).then_some(stray))
    }

    /// Returns the length of the first frame, if it is whole.
    fn next_length(&self) -> Result<Option<usize>, Error> {
        let Some(prelude) = self.pending.get(..PRELUDE) else {
            return Ok(None);
        };
        let sum = u32_at(prelude, 8);
        if Some(crc32fast::hash(prelude.get(..8).unwrap_or_default())) != sum {
            return Err(invalid(
                "has a frame whose head has another checksum than it says",
            ));
        }
        let length = length_at(prelude, 0);
        if MAX_FRAME < length {
            return Err(Error::EventTooLong { limit: MAX_FRAME });
        }
        if length < PRELUDE + 4 + length_at(prelude, 4) {
            return Err(invalid("has a frame whose lengths disagree"));
        }
        Ok((length <= self.pending.len()).then_some(length))
    }
}

fn invalid(problem: &str) -> Error {
    Error::InvalidReply {
        problem: problem.to_owned(),
    }
}

fn u32_at(bytes: &[u8], place: usize) -> Option<u32> {
    let four = bytes.get(place..)?.first_chunk()?;
    Some(u32::from_be_bytes(*four))
}

fn length_at(bytes: &[u8], place: usize) -> usize {
    let length = u32_at(bytes, place).and_then(|length| usize::try_from(length).ok());
    length.unwrap_or(usize::MAX / 2)
}

fn frame(bytes: &Bytes) -> Result<Frame, Error> {
    let body = bytes.len().saturating_sub(4);
    let sum = u32_at(bytes, body);
    if Some(crc32fast::hash(bytes.get(..body).unwrap_or_default())) != sum {
        return Err(invalid("has a frame with another checksum than it says"));
    }
    let payload = PRELUDE + length_at(bytes, 4);
    let headers = bytes.get(PRELUDE..payload).unwrap_or_default();
    let mut frame = Frame {
        payload: bytes.slice(payload.min(body)..body),
        ..Frame::default()
    };
    read_headers(headers, &mut frame).ok_or_else(|| invalid("has a frame with broken headers"))?;
    Ok(frame)
}

/// Reads the headers that matter.
fn read_headers(mut rest: &[u8], frame: &mut Frame) -> Option<()> {
    while let Some((length, behind)) = rest.split_first() {
        let (name, behind) = behind.split_at_checked(usize::from(*length))?;
        let (kind, behind) = behind.split_first()?;
        let (size, behind) = match kind {
            0 | 1 => (0, behind),
            2 => (1, behind),
            3 => (2, behind),
            4 => (4, behind),
            5 | 8 => (8, behind),
            6 | 7 => {
                let (size, behind) = behind.split_first_chunk::<2>()?;
                (usize::from(u16::from_be_bytes(*size)), behind)
            }
            9 => (16, behind),
            _ => return None,
        };
        let (value, behind) = behind.split_at_checked(size)?;
        rest = behind;
        let text = || String::from_utf8_lossy(value).into_owned();
        match (name, kind) {
            (b":message-type", 7) => frame.message_type = text(),
            (b":event-type" | b":exception-type" | b":error-code", 7) => frame.kind = text(),
            (b":error-message", 7) => frame.error_message = Some(text()),
            _ => {}
        }
    }
    Some(())
}

/// Returns the bytes of a frame.
#[cfg(test)]
pub(super) fn encode(headers: &[(&str, &str)], payload: &str) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in headers {
        block.push(u8::try_from(name.len()).unwrap());
        block.extend_from_slice(name.as_bytes());
        block.push(7);
        block.extend_from_slice(&u16::try_from(value.len()).unwrap().to_be_bytes());
        block.extend_from_slice(value.as_bytes());
    }
    let length = u32::try_from(PRELUDE + block.len() + payload.len() + 4).unwrap();
    let mut bytes = length.to_be_bytes().to_vec();
    bytes.extend_from_slice(&u32::try_from(block.len()).unwrap().to_be_bytes());
    bytes.extend_from_slice(&crc32fast::hash(&bytes).to_be_bytes());
    bytes.extend_from_slice(&block);
    bytes.extend_from_slice(payload.as_bytes());
    bytes.extend_from_slice(&crc32fast::hash(&bytes).to_be_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::{Frame, Frames, encode};
    use crate::wire::Error;
    use bytes::Bytes;
    use proptest::prelude::{any, prop, proptest};

    fn stream() -> Vec<u8> {
        let head = [(":message-type", "event"), (":event-type", "messageStart")];
        let mut bytes = encode(&head, r#"{"role":"assistant"}"#);
        bytes.extend(encode(
            &[
                (":message-type", "exception"),
                (":exception-type", "throttlingException"),
                (":content-type", "application/json"),
            ],
            r#"{"message":"slow"}"#,
        ));
        bytes.extend(encode(
            &[
                (":message-type", "error"),
                (":error-code", "500"),
                (":error-message", "ü"),
            ],
            "",
        ));
        bytes
    }

    fn read(chunks: &[&[u8]]) -> Result<Vec<Frame>, Error> {
        let mut frames = Frames::default();
        let mut found = Vec::new();
        for chunk in chunks {
            frames.push(&Bytes::copy_from_slice(chunk), |frame| {
                found.push(frame);
                Ok(())
            })?;
        }
        frames.finish()?;
        Ok(found)
    }

    #[test]
    fn frames_are_read_however_they_are_cut() {
        let bytes = stream();
        let whole = read(&[&bytes]).unwrap();
        let seen: Vec<_> = whole
            .iter()
            .map(|frame| (frame.message_type.as_str(), frame.kind.as_str()))
            .collect();
        assert_eq!(
            seen,
            [
                ("event", "messageStart"),
                ("exception", "throttlingException"),
                ("error", "500")
            ]
        );
        assert_eq!(whole[0].payload, r#"{"role":"assistant"}"#);
        assert_eq!(whole[2].error_message.as_deref(), Some("ü"));
        for cut in 0..bytes.len() {
            let (head, tail) = bytes.split_at(cut);
            assert_eq!(read(&[head, tail]).unwrap(), whole, "cut at {cut}");
        }
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(read(&single).unwrap(), whole);
    }

    /// The example of AWS's description of the format.
    #[test]
    fn the_published_example_is_read() {
        let mut bytes = vec![0, 0, 0, 61, 0, 0, 0, 32, 0x07, 0xfd, 0x83, 0x96, 12];
        bytes.extend_from_slice(b"content-type");
        bytes.extend_from_slice(&[7, 0, 16]);
        bytes.extend_from_slice(b"application/json");
        bytes.extend_from_slice(b"{'foo':'bar'}");
        bytes.extend_from_slice(&[0x8d, 0x9c, 0x08, 0xb1]);
        let frames = read(&[&bytes]).unwrap();
        assert_eq!(frames[0].payload, "{'foo':'bar'}");
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let bytes = stream();
        let whole = read(&[&bytes]).unwrap();
        for place in 0..bytes.len() {
            for bit in 0..8 {
                let mut broken = bytes.clone();
                broken[place] ^= 1 << bit;
                let found = read(&[&broken]);
                assert_ne!(found, Ok(whole.clone()), "bit {bit} of byte {place}");
            }
        }
        assert!(read(&[&bytes[..bytes.len() - 1]]).is_err());
    }

    #[test]
    fn text_is_kept_to_be_told() {
        let mut frames = Frames::default();
        for chunk in ["{\"message\":", "\"no\"}"] {
            let chunk = Bytes::from_static(chunk.as_bytes());
            frames.push(&chunk, |_| Ok(())).unwrap();
        }
        let stray = frames.finish().unwrap();
        assert_eq!(stray.as_deref(), Some(&b"{\"message\":\"no\"}"[..]));
    }

    proptest! {
        #[test]
        fn nothing_panics(bytes in prop::collection::vec(any::<u8>(), 0..200), is_framed in any::<bool>()) {
            let mut bytes = bytes;
            if is_framed {
                let text = String::from_utf8_lossy(&bytes).into_owned();
                bytes = encode(&[(":event-type", &text)], &text);
            }
            let _ = read(&[&bytes]);
        }

        #[test]
        fn broken_headers_are_noticed(headers in prop::collection::vec(any::<u8>(), 0..40)) {
            let length = u32::try_from(16 + headers.len()).unwrap();
            let mut bytes = length.to_be_bytes().to_vec();
            bytes.extend_from_slice(&u32::try_from(headers.len()).unwrap().to_be_bytes());
            bytes.extend_from_slice(&crc32fast::hash(&bytes).to_be_bytes());
            bytes.extend_from_slice(&headers);
            bytes.extend_from_slice(&crc32fast::hash(&bytes).to_be_bytes());
            let _ = read(&[&bytes]);
        }
    }
}
