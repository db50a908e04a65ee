//! Reads the spans out of what an OTLP exporter posts: just enough of the protobuf wire format, by the
//! field numbers of OpenTelemetry's `trace.proto`.

use std::collections::BTreeMap;

/// A span as a collector sees it. Ids in hex, attributes as text.
#[derive(Debug, Clone, Default)]
pub(crate) struct Span {
    pub(crate) trace_id: String,
    pub(crate) span_id: String,
    pub(crate) parent_id: String,
    pub(crate) name: String,
    pub(crate) attributes: BTreeMap<String, String>,
    /// The attributes of the resource that sent it.
    pub(crate) resource: BTreeMap<String, String>,
}

/// The spans of one `ExportTraceServiceRequest`.
pub(crate) fn spans(request: &[u8]) -> Vec<Span> {
    let mut spans = Vec::new();
    for resource_spans in all(request, 1) {
        let resource = all(resource_spans, 1).flat_map(|resource| attributes(resource, 1));
        let resource: BTreeMap<_, _> = resource.collect();
        for scope_spans in all(resource_spans, 2) {
            spans.extend(all(scope_spans, 2).map(|bytes| Span {
                trace_id: hex(first(bytes, 1)),
                span_id: hex(first(bytes, 2)),
                parent_id: hex(first(bytes, 4)),
                name: text(first(bytes, 5)),
                attributes: attributes(bytes, 9).collect(),
                resource: resource.clone(),
            }));
        }
    }
    spans
}

/// The `KeyValue`s in `field`.
fn attributes(message: &[u8], field: u64) -> impl Iterator<Item = (String, String)> {
    all(message, field).map(|pair| (text(first(pair, 1)), any_value(first(pair, 2))))
}

/// An `AnyValue` as text.
fn any_value(message: &[u8]) -> String {
    let Some((field, value)) = fields(message).into_iter().next() else {
        return String::new();
    };
    match (field, value) {
        (1, Wire::Bytes(bytes)) => text(bytes),
        (2, Wire::Number(flag)) => (flag == 1).to_string(),
        (3, Wire::Number(number)) => number.to_string(),
        (4, Wire::Number(bits)) => f64::from_bits(bits).to_string(),
        (5, Wire::Bytes(array)) => {
            let values: Vec<_> = all(array, 1).map(any_value).collect();
            values.join(",")
        }
        other => panic!("a value of an unknown kind: {other:?}"),
    }
}

/// A field's content.
#[derive(Debug, Clone, Copy)]
enum Wire<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

/// All fields of a message, in order.
fn fields(mut message: &[u8]) -> Vec<(u64, Wire<'_>)> {
    let mut fields = Vec::new();
    while !message.is_empty() {
        let tag = varint(&mut message);
        let value = match tag & 7 {
            0 => Wire::Number(varint(&mut message)),
            1 => Wire::Number(u64::from_le_bytes(
                take(&mut message, 8).try_into().unwrap(),
            )),
            2 => {
                let length = varint(&mut message);
                Wire::Bytes(take(&mut message, usize::try_from(length).unwrap()))
            }
            5 => {
                let bytes = take(&mut message, 4).try_into().unwrap();
                Wire::Number(u32::from_le_bytes(bytes).into())
            }
            other => panic!("wire type {other}"),
        };
        fields.push((tag >> 3, value));
    }
    fields
}

/// The messages, strings or bytes in `field`.
fn all(message: &[u8], field: u64) -> impl Iterator<Item = &[u8]> {
    let fields = fields(message).into_iter();
    fields.filter_map(move |(number, value)| match value {
        Wire::Bytes(bytes) if number == field => Some(bytes),
        Wire::Bytes(_) | Wire::Number(_) => None,
    })
}

fn first(message: &[u8], field: u64) -> &[u8] {
    all(message, field).next().unwrap_or_default()
}

fn varint(message: &mut &[u8]) -> u64 {
    let (mut value, mut shift) = (0, 0);
    loop {
        let byte = take(message, 1)[0];
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return value;
        }
        shift += 7;
    }
}

fn take<'a>(message: &mut &'a [u8], count: usize) -> &'a [u8] {
    let (taken, rest) = message.split_at(count);
    *message = rest;
    taken
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
