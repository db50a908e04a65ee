//! Arguments that more than one command has: which embedding version, and how sources are cut.

use crate::embeddings::pipeline::{Chunker, PipelineWish};
use crate::embeddings::snapshots::SpaceWish;
use clap::builder::NonEmptyStringValueParser;
use clap::{Args, ValueEnum};

/// Which embedding version.
#[derive(Debug, Args)]
#[command(next_help_heading = "Embedding version")]
pub(crate) struct SpaceArguments {
    /// A space that embeddings.toml declares.
    #[arg(long, value_name = "NAME")]
    pub(super) space: Option<String>,
    /// The model: `openai/text-embedding-3-small`. The collection's own when nothing is said.
    #[arg(long, value_name = "MODEL")]
    pub(super) model: Option<String>,
    /// The model's revision, where its owner names one.
    #[arg(long, value_name = "TEXT", value_parser = NonEmptyStringValueParser::new())]
    revision: Option<String>,
    /// The `dimensions` parameter of requests.
    #[arg(long, value_name = "N")]
    dimensions: Option<u32>,
    /// Cut vectors to so many dimensions after they came (for models made for it).
    #[arg(long, value_name = "N")]
    truncate: Option<u32>,
    /// Bring vectors to length 1; of an import: they are of length 1.
    #[arg(long, visible_alias = "normalised")]
    normalise: bool,
    /// Write this before every query.
    #[arg(long, value_name = "TEXT")]
    query_prefix: Option<String>,
    /// Write this before every document.
    #[arg(long, value_name = "TEXT")]
    document_prefix: Option<String>,
    /// The `input_type` of queries, where the provider has one.
    #[arg(long, value_name = "TASK")]
    query_task: Option<String>,
    /// The `input_type` of documents.
    #[arg(long, value_name = "TASK")]
    document_task: Option<String>,
    /// Beyond how many tokens the model cuts a text.
    #[arg(long, value_name = "N")]
    max_tokens: Option<u32>,
}

/// How sources are cut.
#[derive(Debug, Args)]
#[command(next_help_heading = "Cutting")]
pub(crate) struct CutArguments {
    /// A pipeline that embeddings.toml declares.
    #[arg(long, value_name = "NAME")]
    pub(super) pipeline: Option<String>,
    /// Cut sources into words, characters, sentences, paragraphs or tokens.
    #[arg(long, value_enum)]
    chunker: Option<ChunkerArgument>,
    /// How many of these a chunk has.
    #[arg(long, value_name = "N", requires = "chunker")]
    size: Option<u32>,
    /// How many of them it shares with the one before.
    #[arg(long, value_name = "N", requires = "chunker")]
    overlap: Option<u32>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum ChunkerArgument {
    None,
    Words,
    Characters,
    Sentences,
    Paragraphs,
    Tokens,
}

impl SpaceArguments {
    /// Returns what is said of a space.
    pub(super) fn wish(&self) -> SpaceWish {
        SpaceWish {
            name: self.space.clone(),
            model: self.model.clone(),
            revision: self.revision.clone(),
            dimensions: self.dimensions,
            truncate: self.truncate,
            normalise: self.normalise.then_some(true),
            query_prefix: self.query_prefix.clone(),
            document_prefix: self.document_prefix.clone(),
            query_task: self.query_task.clone(),
            document_task: self.document_task.clone(),
            max_tokens: self.max_tokens,
        }
    }
}

impl CutArguments {
    /// Returns how sources are cut, where that is said.
    pub(super) fn wish(&self) -> Option<PipelineWish> {
        let chunker = match self.chunker? {
            ChunkerArgument::None => Chunker::None,
            ChunkerArgument::Words => Chunker::Words,
            ChunkerArgument::Characters => Chunker::Characters,
            ChunkerArgument::Sentences => Chunker::Sentences,
            ChunkerArgument::Paragraphs => Chunker::Paragraphs,
            ChunkerArgument::Tokens => Chunker::Tokens,
        };
        Some(PipelineWish {
            chunker,
            size: self.size,
            overlap: self.overlap,
            ..PipelineWish::default()
        })
    }
}
