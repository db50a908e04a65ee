//! `data:` URLs (RFC 2397), by which `OpenAI`'s dialects put pictures and files into a message.

use crate::wire::conversation::part::Media;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Returns what `url` leads to: the bytes themselves where it is a `data:` URL.
#[must_use]
pub fn media_of_url(url: String) -> Media {
    match inline(&url) {
        Some(media) => media,
        None => Media::Url {
            url,
            media_type: None,
        },
    }
}

/// Returns the `data:` URL of bytes in base64.
#[must_use]
pub fn data_url(media_type: &str, data: &str) -> String {
    format!("data:{media_type};base64,{data}")
}

/// Returns the `data:` URL of a plain text.
#[must_use]
pub fn text_url(text: &str) -> String {
    data_url("text/plain", &STANDARD.encode(text))
}

fn inline(url: &str) -> Option<Media> {
    let scheme = url.get(..5)?;
    if !scheme.eq_ignore_ascii_case("data:") {
        return None;
    }
    let (head, data) = url.get(5..)?.split_once(',')?;
    let (media_type, data) = match head.strip_suffix(";base64") {
        Some(media_type) => (media_type, data.to_owned()),
        None => (head, STANDARD.encode(percent_decoded(data))),
    };
    let media_type = if media_type.is_empty() {
        "text/plain"
    } else {
        media_type
    };
    Some(Media::Inline {
        media_type: media_type.to_owned(),
        data,
    })
}

/// Returns the bytes that `text` stands for; a `%` without two digits stands for itself.
fn percent_decoded(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        let escaped = behind.get(..2).filter(|_| *first == b'%');
        let digits = escaped.and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = behind.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(*first);
                rest = behind;
            }
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::{data_url, media_of_url, text_url};
    use crate::wire::conversation::Media;

    #[test]
    fn data_urls_become_what_they_hold() {
        for (url, media_type, data) in [
            ("data:image/png;base64,AAAA", "image/png", "AAAA"),
            ("DATA:image/png;base64,AAAA", "image/png", "AAAA"),
            ("data:;base64,AAAA", "text/plain", "AAAA"),
            ("data:,a%20b%zz", "text/plain", "YSBiJXp6"),
            (
                "data:text/plain;charset=utf-8;base64,AA",
                "text/plain;charset=utf-8",
                "AA",
            ),
        ] {
            let expected = Media::Inline {
                media_type: media_type.to_owned(),
                data: data.to_owned(),
            };
            assert_eq!(media_of_url(url.to_owned()), expected, "{url}");
        }
        for url in ["https://example.com/a.png", "data:", "dätä:,", ""] {
            let expected = Media::Url {
                url: url.to_owned(),
                media_type: None,
            };
            assert_eq!(media_of_url(url.to_owned()), expected);
        }
        assert_eq!(data_url("image/png", "AA"), "data:image/png;base64,AA");
        assert_eq!(text_url("a b"), "data:text/plain;base64,YSBi");
    }
}
