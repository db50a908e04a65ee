//! Reports as one page that needs nothing else: no request leaves it, and no script in it but ours runs.
//!
//! The content security policy allows one style sheet and one script, by their hashes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

/// What a page is drawn and moved by. Neither holds anything that came from outside.
#[derive(Debug, Clone, Copy)]
pub struct Page {
    /// The style sheet.
    pub style: &'static str,
    /// The script; it finds its data in the element `data`.
    pub script: &'static str,
}

impl Page {
    /// Returns the head, and the beginning of the body; `title` is escaped.
    #[must_use]
    pub fn begin(self, title: &str) -> String {
        let Self { style, script } = self;
        format!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src '{}'; script-src '{}'; \
             base-uri 'none'; form-action 'none'\">\n\
             <meta name=\"referrer\" content=\"no-referrer\">\n<meta name=\"robots\" content=\"noindex\">\n\
             <title>{title}</title>\n<style>{style}</style>\n</head>\n<body>\n",
            hash(style),
            hash(script),
        )
    }

    /// Returns the end of the body; `data` is JSON for a page ([`crate::wire::escape::json_in_html`]).
    #[must_use]
    pub fn end(self, data: &str) -> String {
        let script = self.script;
        format!(
            "<script type=\"application/json\" id=\"data\">{data}</script>\n<script>{script}</script>\n</body>\n</html>\n"
        )
    }
}

fn hash(text: &str) -> String {
    format!(
        "sha256-{}",
        STANDARD.encode(Sha256::digest(text.as_bytes()))
    )
}
