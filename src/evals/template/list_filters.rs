//! nunjucks' filters of lists and objects.

use crate::evals::template::checks::test;
use crate::evals::template::datum::{Datum, MAX_TEXT, Outcome};
use crate::evals::template::evaluate::Given;
use crate::evals::template::methods::{joined, member, whole};
use std::cmp::Ordering;
use std::rc::Rc;

pub(super) fn of_list(name: &str, value: &Datum, given: &Given) -> Option<Outcome<Datum>> {
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
