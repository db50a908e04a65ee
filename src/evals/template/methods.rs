//! What values can do by themselves: members and methods, as JavaScript has them for text, lists and numbers.

use crate::evals::template::datum::{Datum, MAX_TEXT, Outcome};
use crate::evals::template::evaluate::Given;
use crate::evals::values::{is_space, trim};

/// `holder.member` and `holder[member]`; `undefined` where there is none.
pub(super) fn member(holder: &Datum, member: &Datum) -> Outcome<Datum> {
    let name = member.printed()?;
    let index = name.parse::<usize>().ok();
    Ok(match holder {
        Datum::Map(map) => map.get(&name).cloned().unwrap_or(Datum::Undefined),
        Datum::List(list) if name == "length" => Datum::count(list.items.len()),
        Datum::List(list) => index
            .and_then(|index| list.items.get(index).cloned())
            .unwrap_or(Datum::Undefined),
        Datum::Text(text) if name == "length" => Datum::count(text.encode_utf16().count()),
        Datum::Text(text) => match index.and_then(|index| text.encode_utf16().nth(index)) {
            Some(unit) => Datum::text(String::from_utf16_lossy(&[unit])),
            None => Datum::Undefined,
        },
        _ => Datum::Undefined,
    })
}

/// Whether `part in whole`: an item of a list, a key of an object, a part of a text.
pub(super) fn contains(whole: &Datum, part: &Datum) -> Outcome<bool> {
    match whole {
        Datum::List(list) => Ok(list.items.iter().any(|item| item.is_identical(part))),
        Datum::Map(map) => Ok(map.get(&part.printed()?).is_some()),
        Datum::Text(text) => Ok(text.contains(&part.printed()?)),
        _ => Err("`in` needs a list, an object or a text".to_owned()),
    }
}

/// JavaScript's `+`: numbers are added, everything with a text in it is put together.
pub(super) fn plus(left: &Datum, right: &Datum) -> Outcome<Datum> {
    let is_text = |datum: &Datum| {
        matches!(
            datum,
            Datum::Text(_) | Datum::List(_) | Datum::Map(_) | Datum::Macro(_)
        )
    };
    if is_text(left) || is_text(right) {
        Datum::grown(string(left)? + &string(right)?)
    } else {
        Ok(Datum::Number(left.number() + right.number()))
    }
}

/// JavaScript's `String(value)`.
fn string(value: &Datum) -> Outcome<String> {
    match value {
        Datum::Undefined => Ok("undefined".to_owned()),
        Datum::Null => Ok("null".to_owned()),
        other => other.printed(),
    }
}

/// `holder.method(given)`.
pub(super) fn call(holder: &Datum, method: &str, given: &Given) -> Outcome<Datum> {
    let found = match holder {
        Datum::Text(text) => of_text(text, method, given)?,
        Datum::List(list) => of_list(&list.items, method, given)?,
        Datum::Number(number) => of_number(*number, method, given),
        Datum::Map(map) if method == "hasOwnProperty" => {
            let name = given
                .get(0, "")
                .map(Datum::printed)
                .transpose()?
                .unwrap_or_default();
            Some(Datum::Bool(map.get(&name).is_some()))
        }
        _ => None,
    };
    match found {
        Some(value) => Ok(value),
        None if method == "toString" && !holder.is_missing() => Datum::grown(holder.printed()?),
        None => Err(format!("there is no method `{method}`")),
    }
}

fn of_number(number: f64, method: &str, given: &Given) -> Option<Datum> {
    let digits = given.get(0, "").map_or(0.0, Datum::number);
    match method {
        "toFixed" if (0.0..=100.0).contains(&digits) => {
            let places = whole(digits).unwrap_or_default();
            // Of two numbers as close the larger is taken, which formatting does not do.
            let scale = 10_f64.powi(i32::try_from(places).unwrap_or(0));
            let exact = number * scale;
            let is_tie = (exact - exact.floor() - 0.5).abs() < f64::EPSILON;
            let number = if is_tie { exact.ceil() / scale } else { number };
            Some(Datum::text(format!("{number:.places$}")))
        }
        _ => None,
    }
}

fn of_text(text: &str, method: &str, given: &Given) -> Outcome<Option<Datum>> {
    let first = given.get(0, "").map(string).transpose()?;
    let second = given.get(1, "").map(string).transpose()?;
    let part = first.as_deref().unwrap_or("undefined");
    let other = second.as_deref().unwrap_or("undefined");
    Ok(Some(match method {
        "toUpperCase" | "toLocaleUpperCase" => Datum::grown(text.to_uppercase())?,
        "toLowerCase" | "toLocaleLowerCase" => Datum::grown(text.to_lowercase())?,
        "trim" => Datum::text(trim(text)),
        "trimStart" | "trimLeft" => Datum::text(text.trim_start_matches(is_space)),
        "trimEnd" | "trimRight" => Datum::text(text.trim_end_matches(is_space)),
        "includes" => Datum::Bool(text.contains(part)),
        "startsWith" => Datum::Bool(text.starts_with(part)),
        "endsWith" => Datum::Bool(text.ends_with(part)),
        "indexOf" => place(text, text.find(part)),
        "lastIndexOf" => place(text, text.rfind(part)),
        "split" => split(text, first.as_deref(), given)?,
        "replace" => replaced(text, part, other, 1)?,
        "replaceAll" => replaced(text, part, other, usize::MAX)?,
        "repeat" => repeated(text, first_number(given))?,
        "padStart" | "padEnd" => padded(
            text,
            method == "padStart",
            first_number(given),
            second.as_deref(),
        )?,
        "concat" => {
            let parts: Outcome<String> = given.plain.iter().map(string).collect();
            Datum::grown(format!("{text}{}", parts?))?
        }
        "slice" | "substring" | "substr" | "charAt" | "charCodeAt" | "at" => {
            of_units(text, method, given)
        }
        _ => return Ok(None),
    }))
}

fn first_number(given: &Given) -> f64 {
    given.get(0, "").map_or(0.0, Datum::number)
}

fn place(text: &str, found: Option<usize>) -> Datum {
    match found.and_then(|byte| text.get(..byte)) {
        Some(before) => Datum::count(before.encode_utf16().count()),
        None => Datum::Number(-1.0),
    }
}

fn split(text: &str, separator: Option<&str>, given: &Given) -> Outcome<Datum> {
    let limit = given
        .get(1, "")
        .and_then(|limit| whole(limit.number()))
        .unwrap_or(usize::MAX);
    let parts: Vec<Datum> = match separator {
        None => vec![Datum::text(text)],
        Some("") => text
            .chars()
            .take(limit)
            .map(|c| Datum::text(c.to_string()))
            .collect(),
        Some(separator) => text.split(separator).take(limit).map(Datum::text).collect(),
    };
    Datum::list(parts)
}

/// Replaces `part` up to `times` times.
pub(super) fn replaced(text: &str, part: &str, with: &str, times: usize) -> Outcome<Datum> {
    let found = text.matches(part).take(times).count();
    let grown = found.saturating_mul(with.len()).saturating_add(text.len());
    if MAX_TEXT < grown {
        return Err(format!("a text is longer than {MAX_TEXT} bytes"));
    }
    Ok(Datum::text(text.replacen(part, with, times)))
}

pub(super) fn repeated(text: &str, times: f64) -> Outcome<Datum> {
    let times = whole(times).ok_or("a text is not repeated that often")?;
    if MAX_TEXT < text.len().saturating_mul(times) {
        return Err(format!("a text is longer than {MAX_TEXT} bytes"));
    }
    Ok(Datum::text(text.repeat(times)))
}

fn padded(text: &str, is_before: bool, length: f64, with: Option<&str>) -> Outcome<Datum> {
    let wanted = whole(length).unwrap_or_default();
    let with: Vec<u16> = with.unwrap_or(" ").encode_utf16().collect();
    let missing = wanted.saturating_sub(text.encode_utf16().count());
    if MAX_TEXT < missing {
        return Err(format!("a text is longer than {MAX_TEXT} bytes"));
    }
    let padding: Vec<u16> = with.iter().copied().cycle().take(missing).collect();
    let padding = String::from_utf16_lossy(&padding);
    Ok(Datum::text(if is_before {
        format!("{padding}{text}")
    } else {
        format!("{text}{padding}")
    }))
}

/// Methods that count in UTF-16 units.
fn of_units(text: &str, method: &str, given: &Given) -> Datum {
    let units: Vec<u16> = text.encode_utf16().collect();
    let number = |place: usize| {
        given
            .get(place, "")
            .filter(|datum| !matches!(datum, Datum::Undefined))
            .map(Datum::number)
    };
    let from_end = |number: Option<f64>, default: usize| match number {
        Some(number) => end_index(number, units.len()),
        None => default,
    };
    let clamped = |number: Option<f64>, default: usize| {
        number.map_or(default, |number| index(number, units.len()))
    };
    let one = |index: Option<usize>| index.and_then(|index| units.get(index).copied());
    let (start, end) = match method {
        "charAt" => {
            let unit = one(whole(number(0).unwrap_or(0.0)));
            return Datum::text(
                unit.map(|unit| String::from_utf16_lossy(&[unit]))
                    .unwrap_or_default(),
            );
        }
        "charCodeAt" => {
            let unit = one(whole(number(0).unwrap_or(0.0)));
            return Datum::Number(unit.map_or(f64::NAN, f64::from));
        }
        "at" => {
            let wanted = number(0).unwrap_or(0.0);
            let unit = if wanted < 0.0 {
                whole(-wanted).and_then(|back| units.len().checked_sub(back))
            } else {
                whole(wanted)
            };
            return match one(unit) {
                Some(unit) => Datum::text(String::from_utf16_lossy(&[unit])),
                None => Datum::Undefined,
            };
        }
        "slice" => (from_end(number(0), 0), from_end(number(1), units.len())),
        "substring" => {
            let (a, b) = (clamped(number(0), 0), clamped(number(1), units.len()));
            (a.min(b), a.max(b))
        }
        _ => {
            let start = from_end(number(0), 0);
            (
                start,
                start
                    .saturating_add(clamped(number(1), units.len()))
                    .min(units.len()),
            )
        }
    };
    Datum::text(String::from_utf16_lossy(
        units.get(start..end).unwrap_or_default(),
    ))
}

fn of_list(items: &[Datum], method: &str, given: &Given) -> Outcome<Option<Datum>> {
    let wanted = given.get(0, "");
    let is_wanted = |item: &Datum| wanted.is_some_and(|wanted| item.is_identical(wanted));
    let found = |place: Option<usize>| place.map_or(Datum::Number(-1.0), Datum::count);
    Ok(Some(match method {
        "includes" => Datum::Bool(items.iter().any(is_wanted)),
        "indexOf" => found(items.iter().position(is_wanted)),
        "lastIndexOf" => found(items.iter().rposition(is_wanted)),
        "join" => {
            let separator = wanted.map(string).transpose()?;
            joined(items, separator.as_deref().unwrap_or(","))?
        }
        "slice" => {
            let number = |place: usize| given.get(place, "").map(Datum::number);
            let start = number(0).map_or(0, |number| end_index(number, items.len()));
            let end = number(1).map_or(items.len(), |number| end_index(number, items.len()));
            Datum::list(items.get(start..end).unwrap_or_default().to_vec())?
        }
        "concat" => {
            let mut all = items.to_vec();
            for more in &given.plain {
                match more {
                    Datum::List(list) => all.extend(list.items.iter().cloned()),
                    one => all.push(one.clone()),
                }
            }
            Datum::list(all)?
        }
        "reverse" => Datum::list(items.iter().rev().cloned().collect())?,
        "sort" => {
            let mut texts: Vec<(Vec<u16>, Datum)> = Vec::new();
            for item in items {
                texts.push((string(item)?.encode_utf16().collect(), item.clone()));
            }
            texts.sort_by(|(a, _), (b, _)| a.cmp(b));
            Datum::list(texts.into_iter().map(|(_, item)| item).collect())?
        }
        "at" => {
            let wanted = first_number(given);
            let place = if wanted < 0.0 {
                whole(-wanted).and_then(|back| items.len().checked_sub(back))
            } else {
                whole(wanted)
            };
            place
                .and_then(|place| items.get(place).cloned())
                .unwrap_or(Datum::Undefined)
        }
        _ => return Ok(None),
    }))
}

/// Items as text with a separator between; `null` and `undefined` are empty.
pub(super) fn joined(items: &[Datum], separator: &str) -> Outcome<Datum> {
    let mut text = String::new();
    for (index, item) in items.iter().enumerate() {
        if 0 < index {
            text.push_str(separator);
        }
        text.push_str(&item.printed()?);
        if MAX_TEXT < text.len() {
            return Err(format!("a text is longer than {MAX_TEXT} bytes"));
        }
    }
    Ok(Datum::text(text))
}

/// A number as an index up to `length`; what is below 0 or no number is 0.
fn index(number: f64, length: usize) -> usize {
    whole(number).unwrap_or_default().min(length)
}

/// The same, where numbers below 0 count from the end.
fn end_index(number: f64, length: usize) -> usize {
    if number < 0.0 {
        length.saturating_sub(whole(-number).unwrap_or(usize::MAX))
    } else {
        index(number, length)
    }
}

/// The whole part of a number that is not below 0.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the number is in range"
)]
pub(super) fn whole(number: f64) -> Option<usize> {
    (0.0..)
        .contains(&number)
        .then(|| number.min(f64::from(u32::MAX)) as usize)
}
