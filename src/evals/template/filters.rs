//! nunjucks' filters of text and numbers, and promptfoo's `load`.

use crate::evals::template::datum::{Datum, MAX_TEXT, Outcome};
use crate::evals::template::evaluate::Given;
use crate::evals::template::list_filters::of_list;
use crate::evals::template::methods::{member, repeated, replaced, whole};
use crate::evals::values::{is_space, trim};

/// Applies the filter `name`.
pub(super) fn apply(name: &str, value: &Datum, given: &Given) -> Outcome<Datum> {
    if let Some(outcome) = of_text(name, value, given) {
        return outcome;
    }
    if let Some(outcome) = of_list(name, value, given) {
        return outcome;
    }
    match name {
        "default" | "d" => {
            let takes_falsy = given.get(1, "boolean").is_some_and(Datum::is_truthy);
            let is_missing = if takes_falsy {
                !value.is_truthy()
            } else {
                matches!(value, Datum::Undefined)
            };
            let default = given
                .get(0, "default_value")
                .cloned()
                .unwrap_or(Datum::text(""));
            Ok(if is_missing { default } else { value.clone() })
        }
        "dump" => {
            if matches!(value, Datum::Undefined) {
                return Ok(Datum::Undefined);
            }
            let indent = given
                .get(0, "spaces")
                .and_then(|spaces| whole(spaces.number()));
            Datum::grown(value.json(indent.unwrap_or_default())?)
        }
        "load" => {
            let parsed = serde_json::from_str(&value.printed()?);
            Datum::of_json(&parsed.map_err(|error| format!("`load` of what is no JSON: {error}"))?)
        }
        "safe" => Ok(value.clone()),
        "abs" => Ok(Datum::Number(value.number().abs())),
        "round" => Ok(rounded(value.number(), given)),
        "int" => {
            let number = leading_number(value, false)?;
            Ok(number.map_or_else(
                || default_number(given),
                |number| Datum::Number(number.trunc()),
            ))
        }
        "float" => {
            Ok(leading_number(value, true)?.map_or_else(|| default_number(given), Datum::Number))
        }
        "length" => Ok(match value {
            Datum::Map(map) => Datum::count(map.fields.len()),
            Datum::List(_) | Datum::Text(_) => member(value, &Datum::text("length"))?,
            _ => Datum::Number(0.0),
        }),
        "urlencode" => urlencoded(value),
        _ => Err(format!("there is no filter `{name}`")),
    }
}

fn default_number(given: &Given) -> Datum {
    given.get(0, "default").cloned().unwrap_or(Datum::Undefined)
}

/// The number at the front of a text, as JavaScript's `parseInt` and `parseFloat` read it.
fn leading_number(value: &Datum, has_fraction: bool) -> Outcome<Option<f64>> {
    let text = value.printed()?;
    let text = text.trim_start_matches(is_space);
    let mut best = None;
    for (end, c) in text.char_indices() {
        let is_part = c.is_ascii_digit()
            || (end == 0 && matches!(c, '-' | '+'))
            || (has_fraction && matches!(c, '.' | 'e' | 'E' | '-' | '+'));
        if !is_part {
            break;
        }
        let number = text.get(..=end).and_then(|text| text.parse::<f64>().ok());
        best = number.or(best);
    }
    Ok(best)
}

fn rounded(number: f64, given: &Given) -> Datum {
    let digits = given.get(0, "precision").map_or(0.0, Datum::number);
    let scale = 10_f64.powf(digits.clamp(-15.0, 15.0).trunc());
    let method = given
        .get(1, "method")
        .and_then(|method| method.printed().ok());
    let scaled = number * scale;
    let scaled = match method.as_deref() {
        Some("ceil") => scaled.ceil(),
        Some("floor") => scaled.floor(),
        // Halves go up, as in JavaScript.
        _ => (scaled + 0.5).floor(),
    };
    Datum::Number(scaled / scale)
}

fn of_text(name: &str, value: &Datum, given: &Given) -> Option<Outcome<Datum>> {
    let known = [
        "upper",
        "lower",
        "capitalize",
        "title",
        "trim",
        "escape",
        "e",
        "forceescape",
        "striptags",
        "nl2br",
        "string",
        "replace",
        "truncate",
        "center",
        "indent",
        "wordcount",
    ];
    let name = known.iter().find(|known| **known == name)?;
    Some(
        value
            .printed()
            .and_then(|text| text_filter(name, &text, given)),
    )
}

fn text_filter(name: &str, text: &str, given: &Given) -> Outcome<Datum> {
    match name {
        "upper" => Datum::grown(text.to_uppercase()),
        "lower" => Datum::grown(text.to_lowercase()),
        "capitalize" => Datum::grown(capitalized(&text.to_lowercase())),
        "title" => {
            let words: Vec<String> = text
                .split(' ')
                .map(|word| capitalized(&word.to_lowercase()))
                .collect();
            Datum::grown(words.join(" "))
        }
        "trim" => Ok(Datum::text(trim(text))),
        "escape" | "e" | "forceescape" => Datum::grown(escaped(text)),
        "striptags" => Ok(Datum::text(without_tags(
            text,
            given
                .get(0, "preserve_linebreaks")
                .is_some_and(Datum::is_truthy),
        ))),
        "nl2br" => replaced(&text.replace("\r\n", "\n"), "\n", "<br />\n", usize::MAX),
        "string" => Ok(Datum::text(text)),
        "replace" => {
            let part = given
                .get(0, "old")
                .map(Datum::printed)
                .transpose()?
                .unwrap_or_default();
            let with = given
                .get(1, "new_")
                .map(Datum::printed)
                .transpose()?
                .unwrap_or_default();
            let times = given
                .get(2, "maxCount")
                .map(Datum::number)
                .filter(|times| 0.0 <= *times);
            replaced(
                text,
                &part,
                &with,
                times.and_then(whole).unwrap_or(usize::MAX),
            )
        }
        "truncate" => truncated(text, given),
        "center" => centered(text, given),
        "indent" => indented(text, given),
        _ => {
            let words = text
                .split(|c: char| !c.is_alphanumeric() && c != '_')
                .filter(|word| !word.is_empty());
            Ok(Datum::count(words.count()))
        }
    }
}

/// Spaces on both sides, up to a width.
fn centered(text: &str, given: &Given) -> Outcome<Datum> {
    let width = given.get(0, "width").map_or(80.0, Datum::number);
    let spaces = whole(width)
        .unwrap_or_default()
        .saturating_sub(text.encode_utf16().count());
    if MAX_TEXT < spaces {
        return Err(format!("a text is longer than {MAX_TEXT} bytes"));
    }
    let before = spaces / 2;
    Datum::grown(format!(
        "{}{text}{}",
        " ".repeat(before),
        " ".repeat(spaces - before)
    ))
}

/// Spaces before each line but the first.
fn indented(text: &str, given: &Given) -> Outcome<Datum> {
    let Datum::Text(spaces) = repeated(" ", given.get(0, "width").map_or(4.0, Datum::number))?
    else {
        return Ok(Datum::text(text));
    };
    let is_first = given.get(1, "indentfirst").is_some_and(Datum::is_truthy);
    let Datum::Text(rest) = replaced(text, "\n", &format!("\n{spaces}"), usize::MAX)? else {
        return Ok(Datum::text(text));
    };
    Datum::grown(format!(
        "{}{rest}",
        if is_first && !text.is_empty() {
            &spaces
        } else {
            ""
        }
    ))
}

fn capitalized(text: &str) -> String {
    let mut chars = text.chars();
    match chars.next() {
        Some(first) => first.to_uppercase().chain(chars).collect(),
        None => String::new(),
    }
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '`' => out.push_str("&#96;"),
            other => out.push(other),
        }
    }
    out
}

/// Text without tags and comments; white space is one space, or lines are kept.
fn without_tags(text: &str, keeps_lines: bool) -> String {
    let mut bare = String::new();
    let mut rest = text;
    while let Some((before, inside)) = rest.split_once('<') {
        bare.push_str(before);
        let is_tag = inside
            .trim_start_matches('/')
            .starts_with(|c: char| c.is_ascii_alphabetic());
        let comment = inside
            .strip_prefix("!--")
            .and_then(|rest| rest.split_once("-->"));
        let tag = inside.split_once('>').filter(|_| is_tag);
        match comment.or(tag) {
            Some((_, after)) => rest = after,
            None => {
                bare.push('<');
                rest = inside;
            }
        }
    }
    bare.push_str(rest);
    if !keeps_lines {
        let words: Vec<&str> = trim(&bare)
            .split(is_space)
            .filter(|word| !word.is_empty())
            .collect();
        return words.join(" ");
    }
    let lines: Vec<String> = trim(&bare)
        .lines()
        .map(|line| {
            line.split([' ', '\t'])
                .filter(|word| !word.is_empty())
                .collect::<Vec<_>>()
                .join(" ")
        })
        .collect();
    let mut text = lines.join("\n");
    while text.contains("\n\n\n") {
        text = text.replace("\n\n\n", "\n\n");
    }
    text
}

fn truncated(text: &str, given: &Given) -> Outcome<Datum> {
    let length = given
        .get(0, "length")
        .map_or(Some(255), |length| whole(length.number()))
        .unwrap_or(255);
    let units: Vec<u16> = text.encode_utf16().collect();
    if units.len() <= length {
        return Ok(Datum::text(text));
    }
    let kills_words = given.get(1, "killwords").is_some_and(Datum::is_truthy);
    let cut = if kills_words {
        length
    } else {
        let space = units
            .iter()
            .take(length + 1)
            .rposition(|unit| *unit == u16::from(b' '));
        space.filter(|place| 0 < *place).unwrap_or(length)
    };
    let end = match given.get(2, "end") {
        Some(end) if !end.is_missing() => end.printed()?,
        _ => "...".to_owned(),
    };
    let kept = String::from_utf16_lossy(units.get(..cut).unwrap_or_default());
    Datum::grown(format!("{kept}{end}"))
}

fn urlencoded(value: &Datum) -> Outcome<Datum> {
    let pair = |key: &str, value: &Datum| {
        Ok::<_, String>(format!("{}={}", percent(key), percent(&value.printed()?)))
    };
    let pairs: Outcome<Vec<String>> = match value {
        Datum::Map(map) => map
            .fields
            .iter()
            .map(|(key, value)| pair(key, value))
            .collect(),
        Datum::List(list) => list
            .items
            .iter()
            .map(|item| {
                let (key, value) = (
                    member(item, &Datum::Number(0.0))?,
                    member(item, &Datum::Number(1.0))?,
                );
                pair(&key.printed()?, &value)
            })
            .collect(),
        other => return Datum::grown(percent(&other.printed()?)),
    };
    Datum::grown(pairs?.join("&"))
}

/// JavaScript's `encodeURIComponent`.
fn percent(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.!~*'()".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}
