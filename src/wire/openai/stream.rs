//! Streamed chat completions on their way through: the bytes go on as they are, and what they mean
//! is read along.

use crate::wire::openai::assemble::Assembly;
use crate::wire::openai::chunk::{Chunk, parse};
use crate::wire::openai::fault::is_truthy;
use crate::wire::openai::shape::Shape;
use crate::wire::openai::{ProviderFault, ReplyFacts, read_usage};
use crate::wire::sse::{Decoder, Event};
use bytes::Bytes;

/// Reader of a stream of chat completion chunks.
///
/// What the client gets are the provider's own bytes, except that
/// - the usage it did not ask for is left out (the usage-only chunk, and `"usage":null` elsewhere);
/// - `[DONE]` is held back for [`Self::take_done`], so that the record can be written before it;
/// - an error event is held back and told by [`Self::fault`];
/// - everything after `[DONE]` or an error is dropped.
#[derive(Debug, Default)]
pub struct ChatStream {
    decoder: Decoder,
    reader: Reader,
}

#[derive(Debug, Default)]
struct Reader {
    strips_usage: bool,
    assembly: Assembly,
    /// That of the last chunk that was parsed.
    shape: Option<Shape>,
    /// The bytes of `[DONE]`, until they are taken.
    done: Option<Bytes>,
    is_done: bool,
    fault: Option<ProviderFault>,
    malformed: u64,
}

impl ChatStream {
    /// Returns a reader at the start of a stream; `strips_usage` when usage was asked of the
    /// provider and not by the client.
    #[must_use]
    pub fn new(strips_usage: bool) -> Self {
        Self {
            reader: Reader {
                strips_usage,
                ..Reader::default()
            },
            ..Self::default()
        }
    }

    /// Reads `chunk` and appends to `out` what the client shall get of it.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "the stream keeps slices of the chunk"
    )]
    pub fn push(&mut self, chunk: Bytes, out: &mut Vec<Bytes>) {
        if self.reader.has_ended() {
            return;
        }
        let mut output = Output::new(&chunk, out);
        let reader = &mut self.reader;
        let pushed = self
            .decoder
            .push(&chunk, |event| reader.read(event, &mut output));
        if let Err(error) = pushed {
            reader.fault.get_or_insert_with(|| error.into());
        }
    }

    /// Reads what is left when the provider has closed the stream. An event that is whole but for
    /// its blank line goes on with one; a torn one is dropped, lest it run into an error event.
    pub fn finish(&mut self, out: &mut Vec<Bytes>) {
        let Some(event) = self.decoder.finish() else {
            return;
        };
        if self.reader.has_ended() {
            return;
        }
        let Some(data) = &event.data else {
            self.reader.read_bare(&event.raw);
            return;
        };
        if !data.starts_with(b"[DONE]") && parse(data).is_err() {
            self.reader.malformed += 1;
            return;
        }
        let mut whole = event.raw.trim_ascii_end().to_vec();
        whole.extend_from_slice(b"\n\n");
        self.push_whole(&Bytes::from(whole), out);
    }

    fn push_whole(&mut self, chunk: &Bytes, out: &mut Vec<Bytes>) {
        let mut output = Output::new(chunk, out);
        let reader = &mut self.reader;
        // The event fitted the decoder's limit before, and ends with a blank line now.
        let _ = Decoder::default().push(chunk, |event| reader.read(event, &mut output));
    }

    /// Whether real content has come: text, thoughts, a refusal, a tool call, audio, or an end.
    /// Roles, comments and pings are none.
    #[must_use]
    pub const fn has_content(&self) -> bool {
        self.reader.assembly.has_content
    }

    /// Whether `[DONE]` has come.
    #[must_use]
    pub const fn is_done(&self) -> bool {
        self.reader.is_done
    }

    /// Whether a choice has said why it ended.
    #[must_use]
    pub const fn saw_finish(&self) -> bool {
        self.reader.assembly.saw_finish
    }

    /// Returns the bytes of `[DONE]`, once.
    pub fn take_done(&mut self) -> Option<Bytes> {
        self.reader.done.take()
    }

    /// Returns the error that ended the stream.
    #[must_use]
    pub const fn fault(&self) -> Option<&ProviderFault> {
        self.reader.fault.as_ref()
    }

    /// Returns how many events could not be read. They went on unchanged.
    #[must_use]
    pub const fn malformed_events(&self) -> u64 {
        self.reader.malformed
    }

    /// Returns how many bytes of text came so far in all the deltas' strings, names and signatures
    /// too: a measure for limits, not for tokens.
    #[must_use]
    pub const fn output_text_len(&self) -> usize {
        self.reader.assembly.text_bytes
    }

    /// Returns the text that came so far, thoughts and tool calls included, for counting tokens.
    #[must_use]
    pub fn output_text(&self) -> String {
        self.reader.assembly.output_text()
    }

    /// Returns what is recorded beside the bytes.
    #[must_use]
    pub fn facts(&self) -> ReplyFacts {
        let assembly = &self.reader.assembly;
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        ReplyFacts {
            id: some(&assembly.id),
            model: some(&assembly.model),
            usage: assembly.usage.as_ref().and_then(|u| read_usage(u.get())),
            is_estimated: false,
            usage_reported: assembly.usage.clone(),
            finish_reason: assembly.finish_reason().map(str::to_owned),
            fault: self.reader.fault.clone(),
        }
    }

    /// Returns the stream so far as the JSON of one whole chat completion.
    #[must_use]
    pub fn assembled(&self) -> Bytes {
        self.reader.assembly.to_bytes()
    }
}

impl Reader {
    const fn has_ended(&self) -> bool {
        self.is_done || self.fault.is_some()
    }

    fn read(&mut self, event: Event, output: &mut Output<'_>) {
        if self.has_ended() {
            return;
        }
        let Some(data) = event.data else {
            if !self.read_bare(&event.raw) {
                output.emit(event.raw);
            }
            return;
        };
        if data.starts_with(b"[DONE]") {
            self.is_done = true;
            self.done = Some(event.raw);
            return;
        }
        if event.name.is_none() && self.read_alike(&data, &event.raw, output) {
            return;
        }
        let is_error = event.name.is_some_and(|name| name.as_ref() == b"error");
        match parse(&data) {
            _ if is_error => self.fault = Some(ProviderFault::read(200, None, &data)),
            Ok(chunk) => self.read_chunk(chunk, &data, event.raw, output),
            Err(_) => {
                self.malformed += 1;
                output.emit(event.raw);
            }
        }
    }

    /// Reads a chunk that has the shape of the one before; returns whether it has.
    fn read_alike(&mut self, data: &Bytes, raw: &Bytes, output: &mut Output<'_>) -> bool {
        let Some(shape) = &self.shape else {
            return false;
        };
        let Some(text) = shape.text(data) else {
            return false;
        };
        match shape.cut {
            None => output.emit(raw.clone()),
            Some((from, to)) => {
                let Some(data_at) = offset_in(raw, data) else {
                    return false;
                };
                let tail_at = data_at + data.len() - shape.tail_bytes();
                output.emit(raw.slice(..tail_at + from));
                output.emit(raw.slice(tail_at + to..));
            }
        }
        self.assembly.add_text(shape.index, text);
        true
    }

    fn read_chunk(&mut self, chunk: Chunk<'_>, data: &[u8], raw: Bytes, output: &mut Output<'_>) {
        if let Some(error) = chunk.error.filter(|error| is_truthy(error)) {
            self.fault = Some(ProviderFault::from_error(error));
            return;
        }
        let usage = chunk.usage;
        let is_usage_only =
            usage.is_some_and(|u| u != "null") && chunk.choices.as_ref().is_none_or(Vec::is_empty);
        let null = usage.filter(|usage| self.strips_usage && *usage == "null");
        let cut = null.and_then(|null| null_usage(data, null));
        // What is to be cut out and cannot be here must be looked at in every chunk.
        let pieces = cut.and_then(|cut| without(&raw, data, cut));
        self.shape = (null.is_none() || pieces.is_some())
            .then(|| Shape::of(&chunk, data, cut))
            .flatten();
        self.assembly.add(chunk);
        if self.strips_usage && is_usage_only {
            return;
        }
        match pieces {
            Some((head, tail)) => {
                output.emit(head);
                output.emit(tail);
            }
            None => output.emit(raw),
        }
    }

    /// Some providers answer a request for a stream with a plain JSON error. Returns whether `raw`
    /// is one.
    fn read_bare(&mut self, raw: &[u8]) -> bool {
        let text = std::str::from_utf8(raw).unwrap_or_default().trim();
        if text.starts_with('{') {
            self.fault = ProviderFault::from_json(text);
        }
        self.fault.is_some()
    }
}

/// Returns where in `data` the `"usage":null` begins and ends of which `null` is the value, with one of
/// the commas around; `None` when it cannot be cut out.
fn null_usage(data: &[u8], null: &str) -> Option<(usize, usize)> {
    let offset = null.as_ptr().addr().checked_sub(data.as_ptr().addr())?;
    let (before, after) = data.split_at_checked(offset)?;
    let head = before.trim_ascii_end().strip_suffix(b":")?.trim_ascii_end();
    let head = head.strip_suffix(b"\"usage\"")?.trim_ascii_end();
    let after = after.get(null.len()..)?;
    let (head, tail) = match head.strip_suffix(b",") {
        Some(head) => (head, after),
        None => (
            head,
            after.trim_ascii_start().strip_prefix(b",").unwrap_or(after),
        ),
    };
    Some((head.len(), data.len() - tail.len()))
}

/// Returns `raw` in two pieces, without what is to be `cut` out of its `data`; `None` when the data is
/// no part of it (it has several lines, say).
fn without(raw: &Bytes, data: &[u8], (from, to): (usize, usize)) -> Option<(Bytes, Bytes)> {
    let data_at = offset_in(raw, data)?;
    Some((raw.slice(..data_at + from), raw.slice(data_at + to..)))
}

/// Returns where in `whole` the slice `part` of it begins; `None` when it is no slice of it.
fn offset_in(whole: &[u8], part: &[u8]) -> Option<usize> {
    let offset = part.as_ptr().addr().checked_sub(whole.as_ptr().addr())?;
    (offset + part.len() <= whole.len()).then_some(offset)
}

/// What goes to the client; pieces that lie side by side in the chunk are joined again, so that a
/// chunk that passes unchanged is written as one.
struct Output<'a> {
    chunk: &'a Bytes,
    out: &'a mut Vec<Bytes>,
    /// Where this chunk's pieces begin in `out`.
    start: usize,
}

impl<'a> Output<'a> {
    fn new(chunk: &'a Bytes, out: &'a mut Vec<Bytes>) -> Self {
        let start = out.len();
        Self { chunk, out, start }
    }

    fn emit(&mut self, piece: Bytes) {
        let last = self.out.get_mut(self.start..).and_then(<[Bytes]>::last_mut);
        if let Some(last) = last
            && let Some(joined) = join(self.chunk, last, &piece)
        {
            *last = joined;
            return;
        }
        self.out.push(piece);
    }
}

fn join(chunk: &Bytes, first: &Bytes, second: &Bytes) -> Option<Bytes> {
    let start = offset_in(chunk, first)?;
    let middle = offset_in(chunk, second)?;
    (start + first.len() == middle).then(|| chunk.slice(start..middle + second.len()))
}

#[cfg(test)]
mod tests {
    use super::ChatStream;
    use bytes::Bytes;
    use proptest::prelude::{prop, proptest};
    use serde_json::{Value, json};
    use std::path::{Path, PathBuf};

    fn fixtures() -> Vec<PathBuf> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/wire/openai");
        let mut paths: Vec<PathBuf> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|kind| kind == "sse"))
            .collect();
        paths.sort();
        assert!(20 < paths.len());
        paths
    }

    fn fixture(name: &str) -> Vec<u8> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/wire/openai");
        std::fs::read(folder.join(name)).unwrap()
    }

    /// Runs `stream`, cut as `sizes` say again and again, through a reader.
    fn run(stream: &[u8], strips_usage: bool, sizes: &[usize]) -> (ChatStream, Vec<u8>) {
        let mut reader = ChatStream::new(strips_usage);
        let mut out = Vec::new();
        let mut rest = stream;
        for size in sizes.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (head, tail) = rest.split_at((*size).min(rest.len()));
            reader.push(Bytes::copy_from_slice(head), &mut out);
            rest = tail;
        }
        reader.finish(&mut out);
        (reader, out.concat())
    }

    fn summary(reader: &mut ChatStream, out: &[u8]) -> Value {
        let facts = reader.facts();
        json!({
            "assembled": serde_json::from_slice::<Value>(&reader.assembled()).unwrap(),
            "facts": {
                "id": facts.id,
                "model": facts.model,
                "usage": facts.usage,
                "finish_reason": facts.finish_reason,
                "fault": facts.fault,
            },
            "has_content": reader.has_content(),
            "saw_finish": reader.saw_finish(),
            "is_done": reader.is_done(),
            "done": reader.take_done().map(|done| String::from_utf8(done.to_vec()).unwrap()),
            "malformed_events": reader.malformed_events(),
            "output_text": reader.output_text(),
            "output_text_len": reader.output_text_len(),
            "client_got": String::from_utf8(out.to_vec()).unwrap().lines().collect::<Vec<_>>(),
        })
    }

    #[test]
    fn every_providers_stream_is_read() {
        insta::with_settings!({snapshot_path => "../../../tests/fixtures/wire/openai/snapshots", prepend_module_to_snapshot => false, omit_expression => true}, {
            for path in fixtures() {
                let stream = std::fs::read(&path).unwrap();
                let (mut reader, out) = run(&stream, true, &[stream.len().max(1)]);
                let name = path.file_stem().unwrap().to_str().unwrap();
                insta::assert_json_snapshot!(name, summary(&mut reader, &out));
            }
        });
    }

    #[test]
    fn cuts_change_nothing() {
        for path in fixtures() {
            let stream = std::fs::read(&path).unwrap();
            let (mut whole, out) = run(&stream, true, &[stream.len().max(1)]);
            let expected = summary(&mut whole, &out);
            for cut in 1..stream.len() {
                let (mut reader, out) = run(&stream, true, &[cut, stream.len()]);
                let name = path.display();
                assert_eq!(summary(&mut reader, &out), expected, "{name} cut at {cut}");
            }
        }
    }

    #[test]
    fn bytes_pass_exactly_when_nothing_is_stripped() {
        for name in [
            "openai.sse",
            "openai_crlf.sse",
            "openrouter.sse",
            "malformed_event.sse",
        ] {
            let stream = fixture(name);
            let (mut reader, mut out) = run(&stream, false, &[stream.len()]);
            out.extend(reader.take_done().unwrap());
            assert!(out == stream, "{name}");
            assert!(reader.take_done().is_none());
        }
    }

    #[test]
    fn a_chunk_that_passes_is_one_piece() {
        let stream = Bytes::from(fixture("openrouter.sse"));
        let mut out = Vec::new();
        let mut reader = ChatStream::new(true);
        reader.push(stream.clone(), &mut out);
        assert_eq!(out.len(), 1);
        assert_eq!(out[0].as_ptr(), stream.as_ptr());
    }

    #[test]
    fn null_usage_is_cut_out_of_its_place() {
        for (data, expected) in [
            (r#"{"choices":[{}],"usage":null}"#, r#"{"choices":[{}]}"#),
            (
                r#"{"choices":[{}],"usage" : null ,"x":1}"#,
                r#"{"choices":[{}] ,"x":1}"#,
            ),
            (r#"{"usage":null,"choices":[{}]}"#, r#"{"choices":[{}]}"#),
            (r#"{"usage":null}"#, "{}"),
            (
                r#"{"choices":[{"usage":null}]}"#,
                r#"{"choices":[{"usage":null}]}"#,
            ),
        ] {
            let event = |data: &str| format!("data: {data}\n\n");
            let (_, out) = run(event(data).as_bytes(), true, &[999]);
            assert_eq!(String::from_utf8(out).unwrap(), event(expected));
            let (_, out) = run(event(data).as_bytes(), false, &[999]);
            assert_eq!(String::from_utf8(out).unwrap(), event(data));
        }
    }

    #[test]
    fn roles_and_pings_are_no_content() {
        let mut reader = ChatStream::new(true);
        let mut out = Vec::new();
        for (event, has_content) in [
            (": ping\n\n", false),
            (
                "data: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n",
                false,
            ),
            (
                "data: {\"choices\":[{\"delta\":{\"content\":null,\"tool_calls\":[]}}]}\n\n",
                false,
            ),
            ("data: {\"choices\":[]}\n\n", false),
            (
                "data: {\"choices\":[{\"delta\":{\"reasoning\":\"h\"}}]}\n\n",
                true,
            ),
        ] {
            reader.push(Bytes::from_static(event.as_bytes()), &mut out);
            assert_eq!(reader.has_content(), has_content, "{event}");
        }
    }

    #[test]
    fn endless_events_end_the_stream() {
        let mut reader = ChatStream::new(true);
        let mut out = Vec::new();
        for _ in 0..20 {
            reader.push(Bytes::from(vec![b'x'; 100_000]), &mut out);
        }
        assert_eq!(
            reader.fault().unwrap().code.as_deref(),
            Some("upstream_event_too_long")
        );
        assert!(out.is_empty());
    }

    /// The same stream, each chunk with a field of its own, so that none is like the one before.
    fn all_different(stream: &str) -> String {
        let lines = stream.lines().enumerate();
        lines
            .map(|(number, line)| match line.strip_prefix("data: {") {
                Some(rest) => format!("data: {{\"obfuscation\":\"{number}\",{rest}\n"),
                None => format!("{line}\n"),
            })
            .collect()
    }

    #[test]
    fn chunks_that_are_alike_are_read_as_if_they_were_parsed() {
        for path in fixtures() {
            let stream = std::fs::read_to_string(&path).unwrap_or_default();
            if stream.contains('\r') || stream.is_empty() {
                continue;
            }
            let different = all_different(&stream);
            let (mut one, out) = run(stream.as_bytes(), true, &[stream.len()]);
            let (mut other, longer) = run(different.as_bytes(), true, &[different.len()]);
            let got = all_different(std::str::from_utf8(&out).unwrap());
            let without_numbers = |text: &str| -> String {
                let pieces = text
                    .split("\"obfuscation\":\"")
                    .map(|piece| piece.trim_start_matches(|c: char| c.is_ascii_digit()));
                pieces.collect()
            };
            let longer = String::from_utf8(longer).unwrap();
            assert_eq!(
                without_numbers(&got),
                without_numbers(&longer),
                "{}",
                path.display()
            );
            let (mut one, mut other) = (summary(&mut one, b""), summary(&mut other, b""));
            for summary in [&mut one, &mut other] {
                summary.as_object_mut().unwrap().remove("malformed_events");
            }
            assert_eq!(one, other, "{}", path.display());
        }
    }

    proptest! {
        #[test]
        fn texts_are_the_same_however_they_come(
            texts in prop::collection::vec(".{0,6}", 0..20),
            has_usage in proptest::bool::ANY,
            cut in 1_usize..400,
        ) {
            let mut stream = String::new();
            for text in &texts {
                let mut chunk = json!({"id": "a", "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": null}]});
                if has_usage {
                    chunk["usage"] = Value::Null;
                }
                stream.push_str(&format!("data: {chunk}\n\n"));
            }
            let (reader, out) = run(stream.as_bytes(), true, &[cut]);
            assert_eq!(reader.output_text(), texts.concat());
            assert_eq!(reader.output_text_len(), texts.concat().len());
            assert_eq!(String::from_utf8(out).unwrap(), stream.replace(",\"usage\":null", ""));
        }

        #[test]
        fn many_cuts_change_nothing(which in 0_usize..20, sizes in prop::collection::vec(1_usize..80, 1..50)) {
            let stream = std::fs::read(&fixtures()[which]).unwrap();
            let (mut whole, out) = run(&stream, true, &[stream.len().max(1)]);
            let expected = summary(&mut whole, &out);
            let (mut reader, out) = run(&stream, true, &sizes);
            assert_eq!(summary(&mut reader, &out), expected);
        }
    }
}
