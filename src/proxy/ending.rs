//! How a call ended, as the one who ends it knows it.

use crate::domain::{BodyFormat, CallState};
use crate::wire::openai::ReplyFacts;
use bytes::Bytes;

/// How a call ended, as the one who ends it knows it.
#[derive(Debug)]
pub(crate) struct Ending {
    pub(crate) state: CallState,
    pub(crate) status: Option<u16>,
    pub(crate) error: Option<(String, String)>,
    pub(crate) facts: Option<ReplyFacts>,
    pub(crate) output_format: BodyFormat,
    pub(crate) output: Bytes,
    /// The text of the answer, for counting when no usage was reported.
    pub(crate) output_text: String,
    pub(crate) bytes_sent: u64,
    pub(crate) warnings: Vec<String>,
    /// Whether the provider takes nothing for it.
    pub(crate) is_free: bool,
}

impl Ending {
    /// An ending without any output.
    pub(crate) const fn bare(state: CallState) -> Self {
        Self {
            state,
            status: None,
            error: None,
            facts: None,
            output_format: BodyFormat::None,
            output: Bytes::new(),
            output_text: String::new(),
            bytes_sent: 0,
            warnings: Vec::new(),
            is_free: false,
        }
    }
}
