//! Whether what was written for a format keeps its structure, whatever went in: for the tests of all who
//! write one. Beside it, the dialects of providers held against their corpus.

mod anthropic_gemini_bedrock;
mod anthropic_generated;
pub(crate) mod html;
pub(crate) mod markdown;
mod openai_to_others;
mod provider_streams;
pub(crate) mod xml;
