//! What a message consists of.

use serde_json::Value;

/// Where the bytes of an image, a document or a sound are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Media {
    /// To be fetched by the provider. A `data:` URL is never kept as one: it is [`Media::Inline`].
    Url {
        /// The address.
        url: String,
        /// Its media type, where it was said.
        media_type: Option<String>,
    },
    /// In the message.
    Inline {
        /// `image/png`, `application/pdf`, `audio/wav`, `text/plain`.
        media_type: String,
        /// Base64, as it came.
        data: String,
    },
    /// Kept by the provider under this id.
    File(String),
    /// A plain text that is treated as a document.
    Text(String),
}

/// A mark up to which the provider shall keep what it has read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cache {
    /// For how long: `5m`, `1h`; `None` for the provider's own time.
    pub ttl: Option<String>,
}

/// A part of a message.
#[derive(Debug, Clone, PartialEq)]
pub enum Part {
    /// Text.
    Text {
        /// The text.
        text: String,
        /// What it is founded on, as the provider wrote it.
        citations: Vec<Value>,
        /// A mark behind it.
        cache: Option<Cache>,
    },
    /// A picture.
    Image {
        /// Where it is.
        source: Media,
        /// `low`, `high`, `auto`.
        detail: Option<String>,
        /// A mark behind it.
        cache: Option<Cache>,
    },
    /// A document.
    Document {
        /// Where it is.
        source: Media,
        /// Its title or file name.
        title: Option<String>,
        /// What else the model shall know of it.
        context: Option<String>,
        /// Whether it is to be cited, where that was said.
        is_cited: Option<bool>,
        /// A mark behind it.
        cache: Option<Cache>,
    },
    /// A sound.
    Audio {
        /// Where it is.
        source: Media,
        /// `wav`, `mp3`.
        format: String,
        /// What was said, where the provider wrote it down.
        transcript: Option<String>,
        /// The provider's id of it.
        id: Option<String>,
    },
    /// What the model thought.
    Reasoning {
        /// The provider's id of it.
        id: Option<String>,
        /// The thoughts, or the parts of their summary.
        texts: Vec<String>,
        /// Whether `texts` are a summary.
        is_summary: bool,
        /// What proves the thoughts to their provider, or holds them where they are hidden.
        signature: Option<String>,
        /// Whether `signature` is all there is: the thoughts are hidden.
        is_redacted: bool,
    },
    /// A call of a tool.
    ToolCall(ToolCall),
    /// What a tool gave.
    ToolResult(ToolResult),
    /// The model's refusal.
    Refusal(String),
    /// What only its own dialect can say.
    Foreign {
        /// The field or type by which an error names it: `messages[2].content[0].video_url`.
        name: String,
        /// As it came.
        value: Value,
    },
}

/// What kind of tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ToolKind {
    /// Its arguments are JSON.
    Function,
    /// Its input is text.
    Custom,
}

/// A call of a tool.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolCall {
    /// The id that its result refers to.
    pub id: String,
    /// The provider's own id of the item, where it is another (`fc_…`).
    pub item_id: Option<String>,
    /// The tool.
    pub name: String,
    /// The arguments: JSON as it was written, or the input of a custom tool. Empty means none were given.
    pub arguments: String,
    /// Which kind.
    pub kind: ToolKind,
    /// What proves the thought behind it to its provider.
    pub signature: Option<String>,
    /// A mark behind it.
    pub cache: Option<Cache>,
}

/// What a tool gave.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolResult {
    /// The call's id.
    pub call_id: String,
    /// The tool's name, where it is known.
    pub name: Option<String>,
    /// What it gave: texts, pictures, documents.
    pub parts: Vec<Part>,
    /// Whether it failed, where that was said.
    pub is_error: Option<bool>,
    /// Whether the content was a bare string, so that it can be one again.
    pub is_plain: bool,
    /// The kind of tool.
    pub kind: ToolKind,
    /// A mark behind it.
    pub cache: Option<Cache>,
}

impl Part {
    /// Returns a text without anything else.
    #[must_use]
    pub const fn plain(text: String) -> Self {
        Self::Text {
            text,
            citations: Vec::new(),
            cache: None,
        }
    }

    /// Returns the part; where it is thoughts that can be read, they are a summary, or they are not.
    #[must_use]
    pub fn summarized(mut self, is: bool) -> Self {
        if let Self::Reasoning {
            is_summary,
            is_redacted: false,
            ..
        } = &mut self
        {
            *is_summary = is;
        }
        self
    }
}
