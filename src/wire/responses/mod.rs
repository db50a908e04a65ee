//! OpenAI responses.
