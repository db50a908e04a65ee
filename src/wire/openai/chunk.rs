//! One chunk of a streamed chat completion, parsed without copying.

use crate::wire::text::Text;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, de};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

/// Keys and values of an object, as they stand in the chunk.
#[derive(Debug, Default)]
pub(super) struct Fields<'a>(pub(super) Vec<(Cow<'a, str>, &'a str)>);

/// A chunk. Fields that are not needed one by one are in `others`.
#[derive(Debug, Default)]
pub(super) struct Chunk<'a> {
    pub(super) id: Option<Text<'a>>,
    pub(super) model: Option<Text<'a>>,
    /// `None` when there is no `choices`, or it is `null`.
    pub(super) choices: Option<Vec<ChunkChoice<'a>>>,
    /// The value of `usage`, which may be `null`.
    pub(super) usage: Option<&'a str>,
    /// The value of `error`, which may be `null`.
    pub(super) error: Option<&'a str>,
    pub(super) others: Fields<'a>,
}

/// What a chunk adds to one choice.
#[derive(Debug, Default)]
pub(super) struct ChunkChoice<'a> {
    pub(super) index: u64,
    pub(super) delta: Fields<'a>,
    pub(super) finish_reason: Option<Text<'a>>,
    pub(super) others: Fields<'a>,
}

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(FieldsVisitor)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Chunk<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ChunkVisitor)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for ChunkChoice<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ChoiceVisitor)
    }
}

struct FieldsVisitor;

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = Fields<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut fields = Vec::with_capacity(2);
        while let Some(key) = map.next_key::<Text<'de>>()? {
            fields.push((key.0, raw(&mut map)?));
        }
        Ok(Fields(fields))
    }
}

struct ChunkVisitor;

impl<'de> Visitor<'de> for ChunkVisitor {
    type Value = Chunk<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a chunk")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut chunk = Chunk::default();
        while let Some(key) = map.next_key::<Text<'de>>()? {
            match key.0.as_ref() {
                "id" => chunk.id = map.next_value()?,
                "model" => chunk.model = map.next_value()?,
                "choices" => chunk.choices = map.next_value()?,
                "usage" => chunk.usage = Some(raw(&mut map)?),
                "error" => chunk.error = Some(raw(&mut map)?),
                // What a whole completion says otherwise, and padding against eavesdroppers.
                "object" | "obfuscation" => drop(map.next_value::<IgnoredAny>()?),
                _ => chunk.others.0.push((key.0, raw(&mut map)?)),
            }
        }
        Ok(chunk)
    }
}

struct ChoiceVisitor;

impl<'de> Visitor<'de> for ChoiceVisitor {
    type Value = ChunkChoice<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a choice")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut choice = ChunkChoice::default();
        while let Some(key) = map.next_key::<Text<'de>>()? {
            match key.0.as_ref() {
                "index" => choice.index = map.next_value::<Option<u64>>()?.unwrap_or(0),
                "delta" => choice.delta = map.next_value::<Option<_>>()?.unwrap_or_default(),
                "finish_reason" => choice.finish_reason = map.next_value()?,
                _ => choice.others.0.push((key.0, raw(&mut map)?)),
            }
        }
        Ok(choice)
    }
}

/// Returns the next value as it stands.
fn raw<'de, A: MapAccess<'de>>(map: &mut A) -> Result<&'de str, A::Error> {
    map.next_value::<&'de RawValue>().map(RawValue::get)
}

/// Parses the data of an event.
pub(super) fn parse(data: &[u8]) -> Result<Chunk<'_>, serde_json::Error> {
    let text = std::str::from_utf8(data).map_err(de::Error::custom)?;
    serde_json::from_str(text)
}
