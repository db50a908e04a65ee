//! Pipelines: what is done to a source before its texts are embedded, under one hash.

use crate::domain::sha256_hex;
use crate::embeddings::space::{SettingChange, differences};
use serde::{Deserialize, Serialize};
use std::fmt;

/// What changes when a chunker cuts otherwise: its pipelines are others from then on.
const VERSION: u32 = 1;
/// The longest chunk, in its units.
const MAX_SIZE: u32 = 1_000_000;

/// Into what a source is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Chunker {
    /// It is one text.
    #[default]
    None,
    /// So many words.
    Words,
    /// So many characters (code points).
    Characters,
    /// So many sentences.
    Sentences,
    /// So many paragraphs.
    Paragraphs,
    /// So many tokens.
    Tokens,
}

impl Chunker {
    /// Every chunker, in the order in which they are told.
    pub const ALL: [Self; 6] = [
        Self::None,
        Self::Words,
        Self::Characters,
        Self::Sentences,
        Self::Paragraphs,
        Self::Tokens,
    ];

    /// Returns its name, as in `embeddings.toml`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Words => "words",
            Self::Characters => "characters",
            Self::Sentences => "sentences",
            Self::Paragraphs => "paragraphs",
            Self::Tokens => "tokens",
        }
    }

    /// Returns the chunker of a name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|chunker| chunker.as_str() == name)
    }

    /// Returns how many of its units a chunk has when nobody says.
    const fn usual_size(self) -> u32 {
        match self {
            Self::None => 0,
            Self::Words => 200,
            Self::Characters => 1_000,
            Self::Sentences => 5,
            Self::Paragraphs => 1,
            Self::Tokens => 256,
        }
    }
}

/// What is done to a source. Two pipelines that differ in any field are two pipelines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pipeline {
    /// Into what sources are cut.
    pub chunker: Chunker,
    /// How its rules are numbered.
    pub version: u32,
    /// How many units a chunk has; 0 for a whole source.
    #[serde(default)]
    pub size: u32,
    /// How many units a chunk shares with the one before.
    #[serde(default)]
    pub overlap: u32,
    /// By whose tokens, for the chunker of tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokenizer: Option<String>,
    /// Whether white space at both ends of a text is left out.
    #[serde(default)]
    pub is_trimmed: bool,
}

/// The name of a pipeline: `pipe-` and 64 hex digits, SHA-256 of its canonical JSON.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PipelineId(pub String);

impl PipelineId {
    /// Returns the name as people write it: the first 12 digits.
    #[must_use]
    pub fn short(&self) -> &str {
        self.0.get(..17).unwrap_or(&self.0)
    }
}

impl fmt::Display for PipelineId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// What is wanted of a pipeline; what is left out is as usual.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PipelineWish {
    /// Into what sources are cut.
    pub chunker: Chunker,
    /// How many units a chunk has.
    pub size: Option<u32>,
    /// How many units a chunk shares with the one before.
    pub overlap: Option<u32>,
    /// By the tokens of which model.
    pub tokenizer: Option<String>,
    /// Whether white space at the ends is left out; so it is where sources are cut.
    pub trim: Option<bool>,
}

impl Default for Pipeline {
    fn default() -> Self {
        Self {
            chunker: Chunker::None,
            version: VERSION,
            size: 0,
            overlap: 0,
            tokenizer: None,
            is_trimmed: false,
        }
    }
}

impl PipelineWish {
    /// Returns the pipeline that is wished for.
    ///
    /// # Errors
    ///
    /// In words, what of it cannot be: the setting, and what is wrong with it.
    pub fn pipeline(&self) -> Result<Pipeline, (&'static str, String)> {
        if self.chunker == Chunker::None {
            if self.size.is_some() || self.overlap.is_some() {
                let problem = "means nothing where sources are not cut; name a `chunker`";
                return Err(("size", problem.to_owned()));
            }
            return Ok(Pipeline {
                is_trimmed: self.trim.unwrap_or(false),
                ..Pipeline::default()
            });
        }
        let size = self.size.unwrap_or_else(|| self.chunker.usual_size());
        if !(1..=MAX_SIZE).contains(&size) {
            return Err(("size", format!("is {size}, not from 1 to {MAX_SIZE}")));
        }
        let overlap = self.overlap.unwrap_or(0);
        if size <= overlap {
            let problem = format!("is {overlap}, not less than the size of {size}");
            return Err(("overlap", problem));
        }
        let is_by_tokens = self.chunker == Chunker::Tokens;
        if self.tokenizer.is_some() && !is_by_tokens {
            let problem = "is for the chunker `tokens` only".to_owned();
            return Err(("tokenizer", problem));
        }
        let usual = || "text-embedding-3-small".to_owned();
        Ok(Pipeline {
            chunker: self.chunker,
            size,
            overlap,
            tokenizer: is_by_tokens.then(|| self.tokenizer.clone().unwrap_or_else(usual)),
            is_trimmed: self.trim.unwrap_or(true),
            ..Pipeline::default()
        })
    }
}

impl Pipeline {
    /// Returns the pipeline's name.
    #[must_use]
    pub fn id(&self) -> PipelineId {
        // The fields are written in their order, absent ones not at all: this is the canonical form.
        let json = serde_json::to_vec(self).unwrap_or_default();
        PipelineId(["pipe-", &sha256_hex(&json)].concat())
    }

    /// Returns in which settings two pipelines differ; empty when they are one.
    #[must_use]
    pub fn differences(&self, other: &Self) -> Vec<SettingChange> {
        differences(self, other)
    }

    /// Returns it in words: `words of 100, overlap 20`.
    #[must_use]
    pub fn in_words(&self) -> String {
        match (self.chunker, self.overlap) {
            (Chunker::None, _) => "whole texts".to_owned(),
            (chunker, 0) => format!("{} {}", self.size, chunker.as_str()),
            (chunker, overlap) => format!("{} {}, overlap {overlap}", self.size, chunker.as_str()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Chunker, Pipeline, PipelineWish};

    fn wish(chunker: Chunker, size: Option<u32>, overlap: Option<u32>) -> PipelineWish {
        PipelineWish {
            chunker,
            size,
            overlap,
            ..PipelineWish::default()
        }
    }

    #[test]
    fn a_pipeline_has_one_name_and_every_setting_is_in_it() {
        let words = wish(Chunker::Words, Some(100), Some(20))
            .pipeline()
            .unwrap();
        assert_eq!(words.in_words(), "100 words, overlap 20");
        let all = [
            Pipeline::default(),
            words.clone(),
            Pipeline {
                size: 101,
                ..words.clone()
            },
            Pipeline {
                overlap: 21,
                ..words.clone()
            },
            Pipeline {
                version: 2,
                ..words.clone()
            },
            Pipeline {
                is_trimmed: false,
                ..words.clone()
            },
        ];
        let mut names: Vec<String> = all.iter().map(|pipeline| pipeline.id().0).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), all.len());
        // Golden: another value means that vectors of old pipelines are not found again.
        assert_eq!(
            Pipeline::default().id().short(),
            "pipe-6b111117f12b",
            "the canonical form changed"
        );
        let json = serde_json::to_string(&words).unwrap();
        let again: Pipeline = serde_json::from_str(&json).unwrap();
        assert_eq!(again.id(), words.id());
    }

    #[test]
    fn what_cannot_be_is_named() {
        for (wish, setting) in [
            (wish(Chunker::None, Some(1), None), "size"),
            (wish(Chunker::Words, Some(0), None), "size"),
            (wish(Chunker::Words, Some(10), Some(10)), "overlap"),
            (
                PipelineWish {
                    tokenizer: Some("gpt-4o".to_owned()),
                    ..wish(Chunker::Words, None, None)
                },
                "tokenizer",
            ),
        ] {
            assert_eq!(wish.pipeline().unwrap_err().0, setting);
        }
    }
}
