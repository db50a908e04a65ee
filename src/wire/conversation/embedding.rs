//! Texts to embed, and their vectors, in no provider's words.

use crate::domain::TokenUsage;
use crate::wire::conversation::request::Unsupported;
use crate::wire::conversation::written::Losses;
use crate::wire::openai::{EmbeddingsRequest, Shaping, VectorEncoding, reshape};
use bytes::Bytes;
use serde::Serialize;

/// Texts to embed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TextsToEmbed {
    /// The model.
    pub model: String,
    /// The texts.
    pub texts: Vec<String>,
    /// The length of vector that is asked for.
    pub dimensions: Option<u64>,
    /// What the vectors are for, as the client wrote it: `search_document`, `RETRIEVAL_QUERY`.
    pub purpose: Option<String>,
}

impl TextsToEmbed {
    /// Returns what `request` asks for in the words of `OpenAI`.
    ///
    /// # Errors
    ///
    /// When it gives tokens instead of texts, which mean nothing to another provider, or says what `losses` may not
    /// lose.
    pub fn of(request: &EmbeddingsRequest, losses: &mut Losses) -> Result<Self, Unsupported> {
        if 0 < request.token_count() {
            losses.refuse("input", "its texts cannot be given as tokens")?;
        }
        let mut purpose = None;
        for (key, value) in request.object.iter() {
            match key {
                "input_type" | "task_type" => {
                    purpose = crate::wire::json::as_str(value).map(Into::into);
                }
                "model" | "input" | "dimensions" | "encoding_format" | "user" => {}
                _ => losses.refuse(key, "it has no such setting")?,
            }
        }
        Ok(Self {
            model: request.model.clone(),
            texts: request.texts(),
            dimensions: request.dimensions,
            purpose,
        })
    }

    /// Returns the purpose as one word in capitals, by which purposes of all providers can be told.
    pub(in crate::wire) fn purpose_word(&self) -> Option<String> {
        self.purpose
            .as_ref()
            .map(|purpose| purpose.to_ascii_uppercase())
    }
}

/// Vectors of texts, in the order of the texts.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Embedded {
    /// The vectors.
    pub vectors: Vec<Vec<f32>>,
    /// The tokens, where they were told.
    pub usage: Option<TokenUsage>,
}

impl Embedded {
    /// Returns usage of `input` tokens alone.
    #[must_use]
    pub fn usage_of(input: u64) -> TokenUsage {
        TokenUsage {
            input,
            ..TokenUsage::default()
        }
    }

    /// Returns the answer in the words of `OpenAI`.
    #[must_use]
    pub fn to_openai(&self, model: &str, encoding: VectorEncoding) -> Bytes {
        let data = self.vectors.iter().enumerate();
        let input = self.usage.unwrap_or_default().input;
        let answer = Answer {
            object: "list",
            data: data
                .map(|(index, embedding)| Item {
                    object: "embedding",
                    index,
                    embedding,
                })
                .collect(),
            model,
            usage: Usage {
                prompt_tokens: input,
                total_tokens: input,
            },
        };
        // Numbers that are not finite become `null`, which no reader takes for a number.
        let body = Bytes::from(serde_json::to_vec(&answer).unwrap_or_default());
        match encoding {
            VectorEncoding::Float => body,
            VectorEncoding::Base64 => reshape(&body, &Shaping::default(), encoding).unwrap_or(body),
        }
    }
}

#[derive(Serialize)]
struct Answer<'a> {
    object: &'static str,
    data: Vec<Item<'a>>,
    model: &'a str,
    usage: Usage,
}

#[derive(Serialize)]
struct Item<'a> {
    object: &'static str,
    index: usize,
    embedding: &'a [f32],
}

#[derive(Serialize)]
struct Usage {
    prompt_tokens: u64,
    total_tokens: u64,
}
