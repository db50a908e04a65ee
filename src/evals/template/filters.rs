//! nunjucks' filters and tests, and promptfoo's `load`.

use crate::evals::template::datum::{Datum, MAX_TEXT, Outcome};
use crate::evals::template::evaluate::Given;
use crate::evals::template::methods::{joined, member, repeated, replaced, whole};
use crate::evals::values::{is_space, trim};
use std::cmp::Ordering;
use std::rc::Rc;

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
    given
        .get(0, "default")
        .cloned()
        .unwrap_or(Datum::Number(0.0))
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
        "center" => {
            let width = given.get(0, "width").map_or(80.0, Datum::number);
            let spaces = whole(width)
                .unwrap_or_default()
                .saturating_sub(text.encode_utf16().count());
            if MAX_TEXT < spaces {
                return Err(format!("a text is longer than {MAX_TEXT} bytes"));
            }
            let before =
                spaces / 2 - usize::from(spaces % 2 == 1 && spaces / 2 == 0).min(spaces / 2);
            Datum::grown(format!(
                "{}{text}{}",
                " ".repeat(before),
                " ".repeat(spaces - before)
            ))
        }
        "indent" => {
            let Datum::Text(spaces) =
                repeated(" ", given.get(0, "width").map_or(4.0, Datum::number))?
            else {
                return Ok(Datum::text(text));
            };
            let is_first = given.get(1, "indentfirst").is_some_and(Datum::is_truthy);
            let Datum::Text(rest) = replaced(text, "\n", &format!("\n{spaces}"), usize::MAX)?
            else {
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
        _ => {
            let words = text
                .split(|c: char| !c.is_alphanumeric() && c != '_')
                .filter(|word| !word.is_empty());
            Ok(Datum::count(words.count()))
        }
    }
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

fn of_list(name: &str, value: &Datum, given: &Given) -> Option<Outcome<Datum>> {
    let known = [
        "first",
        "last",
        "join",
        "reverse",
        "sort",
        "sum",
        "list",
        "random",
        "batch",
        "slice",
        "groupby",
        "dictsort",
        "select",
        "reject",
        "selectattr",
        "rejectattr",
    ];
    let name = known.iter().find(|known| **known == name)?;
    Some(list_filter(name, value, given))
}

/// What a filter of lists goes through; a text is its characters.
fn items_of(value: &Datum) -> Vec<Datum> {
    match value {
        Datum::List(list) => list.items.clone(),
        Datum::Text(text) => text.chars().map(|c| Datum::text(c.to_string())).collect(),
        _ => Vec::new(),
    }
}

fn list_filter(name: &str, value: &Datum, given: &Given) -> Outcome<Datum> {
    let items = items_of(value);
    let attribute = |item: &Datum, path: &Datum| attribute_of(item, path);
    match name {
        // There is no chance in an eval: it is always the first.
        "first" | "random" => Ok(items.first().cloned().unwrap_or(Datum::Undefined)),
        "last" => Ok(items.last().cloned().unwrap_or(Datum::Undefined)),
        "join" => {
            let separator = given
                .get(0, "del")
                .map(Datum::printed)
                .transpose()?
                .unwrap_or_default();
            let items = match given.get(1, "attribute") {
                Some(path) => items
                    .iter()
                    .map(|item| attribute(item, path))
                    .collect::<Outcome<_>>()?,
                None => items,
            };
            joined(&items, &separator)
        }
        "reverse" if matches!(value, Datum::Text(_)) => {
            Datum::grown(value.printed()?.chars().rev().collect())
        }
        "reverse" => Datum::list(items.into_iter().rev().collect()),
        "sort" => sorted(items, given),
        "sum" => {
            let mut sum = given.get(1, "start").map_or(0.0, Datum::number);
            for item in &items {
                sum += match given.get(0, "attribute") {
                    Some(path) => attribute(item, path)?.number(),
                    None => item.number(),
                };
            }
            Ok(Datum::Number(sum))
        }
        "list" => match value {
            Datum::Map(map) => {
                let pairs = map.fields.iter().map(|(key, value)| {
                    Datum::map(vec![
                        (Rc::from("key"), Datum::Text(Rc::clone(key))),
                        (Rc::from("value"), value.clone()),
                    ])
                });
                Datum::list(pairs.collect::<Outcome<_>>()?)
            }
            _ => Datum::list(items),
        },
        "batch" => batched(&items, given),
        "slice" => sliced(&items, given),
        "groupby" => grouped(&items, given),
        "dictsort" => dict_sorted(value, given),
        _ => selected(name, items, given),
    }
}

/// `a.b` of an item.
fn attribute_of(item: &Datum, path: &Datum) -> Outcome<Datum> {
    path.printed()?
        .split('.')
        .try_fold(item.clone(), |item, name| member(&item, &Datum::text(name)))
}

fn sorted(mut items: Vec<Datum>, given: &Given) -> Outcome<Datum> {
    let is_reversed = given.get(0, "reversed").is_some_and(Datum::is_truthy);
    let is_cased = given.get(1, "case_sensitive").is_some_and(Datum::is_truthy);
    let mut keyed = Vec::new();
    for item in items.drain(..) {
        let key = match given.get(2, "attribute") {
            Some(path) if !path.is_missing() => attribute_of(&item, path)?,
            _ => item.clone(),
        };
        let key = match &key {
            Datum::Text(text) if !is_cased => Datum::text(text.to_lowercase()),
            _ => key,
        };
        keyed.push((key, item));
    }
    keyed.sort_by(|(a, _), (b, _)| {
        let order = a.compare(b).unwrap_or(Ordering::Equal);
        if is_reversed { order.reverse() } else { order }
    });
    Datum::list(keyed.into_iter().map(|(_, item)| item).collect())
}

fn batched(items: &[Datum], given: &Given) -> Outcome<Datum> {
    let size = given
        .get(0, "linecount")
        .and_then(|size| whole(size.number()))
        .unwrap_or(1)
        .max(1);
    let mut batches = Vec::new();
    for chunk in items.chunks(size) {
        let mut batch = chunk.to_vec();
        if let Some(filler) = given.get(1, "fill_with") {
            let missing = size.saturating_sub(batch.len()).min(MAX_TEXT);
            batch.extend(std::iter::repeat_n(filler.clone(), missing));
        }
        batches.push(Datum::list(batch)?);
    }
    Datum::list(batches)
}

fn sliced(items: &[Datum], given: &Given) -> Outcome<Datum> {
    let count = given
        .get(0, "slices")
        .and_then(|count| whole(count.number()))
        .unwrap_or(1)
        .max(1);
    if 10_000 < count {
        return Err("a list is not cut into that many parts".to_owned());
    }
    let (size, extra) = (items.len() / count, items.len() % count);
    let (mut slices, mut start) = (Vec::new(), 0);
    for index in 0..count {
        let end = start + size + usize::from(index < extra);
        let mut slice = items.get(start..end).unwrap_or_default().to_vec();
        if extra <= index
            && let Some(filler) = given.get(1, "fill_with")
        {
            slice.push(filler.clone());
        }
        slices.push(Datum::list(slice)?);
        start = end;
    }
    Datum::list(slices)
}

fn grouped(items: &[Datum], given: &Given) -> Outcome<Datum> {
    let path = given
        .get(0, "attribute")
        .ok_or("`groupby` needs an attribute")?;
    let mut groups: Vec<(Rc<str>, Vec<Datum>)> = Vec::new();
    for item in items {
        let key = attribute_of(item, path)?;
        let key = if matches!(key, Datum::Undefined) {
            "undefined".to_owned()
        } else {
            key.printed()?
        };
        match groups.iter_mut().find(|(known, _)| **known == *key) {
            Some((_, group)) => group.push(item.clone()),
            None => groups.push((Rc::from(key), vec![item.clone()])),
        }
    }
    let groups: Outcome<Vec<_>> = groups
        .into_iter()
        .map(|(key, group)| Ok((key, Datum::list(group)?)))
        .collect();
    Datum::map(groups?)
}

fn dict_sorted(value: &Datum, given: &Given) -> Outcome<Datum> {
    let Datum::Map(map) = value else {
        return Err("`dictsort` needs an object".to_owned());
    };
    let is_cased = given.get(0, "case_sensitive").is_some_and(Datum::is_truthy);
    let by_value = given
        .get(1, "by")
        .is_some_and(|by| matches!(by, Datum::Text(by) if &**by == "value"));
    let fold = |datum: &Datum| match datum {
        Datum::Text(text) if !is_cased => Datum::text(text.to_uppercase()),
        other => other.clone(),
    };
    let mut pairs: Vec<(Datum, Datum)> = map
        .fields
        .iter()
        .map(|(key, value)| (Datum::Text(Rc::clone(key)), value.clone()))
        .collect();
    pairs.sort_by(|a, b| {
        let (a, b) = if by_value { (&a.1, &b.1) } else { (&a.0, &b.0) };
        fold(a).compare(&fold(b)).unwrap_or(Ordering::Equal)
    });
    let pairs: Outcome<Vec<Datum>> = pairs
        .into_iter()
        .map(|(key, value)| Datum::list(vec![key, value]))
        .collect();
    Datum::list(pairs?)
}

/// `select`, `reject` by a test; `selectattr`, `rejectattr` by whether an attribute is truthy.
fn selected(name: &str, items: Vec<Datum>, given: &Given) -> Outcome<Datum> {
    let wants = name.starts_with("select");
    let mut kept = Vec::new();
    for item in items {
        let holds = if name.ends_with("attr") {
            let path = given
                .get(0, "attr")
                .ok_or_else(|| format!("`{name}` needs an attribute"))?;
            attribute_of(&item, path)?.is_truthy()
        } else {
            let test_name = given.get(0, "test").map(Datum::printed).transpose()?;
            let rest = Given {
                plain: given.plain.iter().skip(1).cloned().collect(),
                named: Vec::new(),
            };
            test(test_name.as_deref().unwrap_or("truthy"), &item, &rest)?
        };
        if holds == wants {
            kept.push(item);
        }
    }
    Datum::list(kept)
}

/// Whether `value is name(given)`.
pub(super) fn test(name: &str, value: &Datum, given: &Given) -> Outcome<bool> {
    let other = given.get(0, "").cloned().unwrap_or(Datum::Undefined);
    let is_order = |wanted: &[Ordering]| {
        value
            .compare(&other)
            .is_some_and(|order| wanted.contains(&order))
    };
    let is_multiple = |of: f64| (value.number() % of).abs() < f64::EPSILON;
    Ok(match name {
        "defined" => !matches!(value, Datum::Undefined),
        "undefined" => matches!(value, Datum::Undefined),
        "null" | "none" => matches!(value, Datum::Null),
        "string" => matches!(value, Datum::Text(_)),
        "number" => matches!(value, Datum::Number(_)),
        "boolean" => matches!(value, Datum::Bool(_)),
        "mapping" => matches!(value, Datum::Map(_)),
        "iterable" => matches!(value, Datum::List(_) | Datum::Text(_)),
        "callable" => matches!(value, Datum::Macro(_)),
        "truthy" => value.is_truthy(),
        "falsy" => !value.is_truthy(),
        "odd" => (value.number() % 2.0).abs() > 0.5,
        "even" => is_multiple(2.0),
        "divisibleby" => is_multiple(other.number()),
        "lower" => value.printed()? == value.printed()?.to_lowercase(),
        "upper" => value.printed()? == value.printed()?.to_uppercase(),
        "equalto" | "eq" | "sameas" => value.is_identical(&other),
        "ne" => !value.is_identical(&other),
        "gt" | "greaterthan" => is_order(&[Ordering::Greater]),
        "ge" => is_order(&[Ordering::Greater, Ordering::Equal]),
        "lt" | "lessthan" => is_order(&[Ordering::Less]),
        "le" => is_order(&[Ordering::Less, Ordering::Equal]),
        _ => return Err(format!("there is no test `{name}`")),
    })
}
