//! Whether what was written for a format keeps its structure, whatever went in: for the tests of all who
//! write one.

mod anthropic_gemini_bedrock;
pub(crate) mod html;
pub(crate) mod markdown;
pub(crate) mod xml;
