//! What loops go through, and what they know of themselves.

use crate::evals::template::datum::{Datum, Outcome};
use crate::evals::template::evaluate::Given;
use std::rc::Rc;

/// Numbers that `range` makes.
const MAX_RANGE: f64 = 100_000.0;

/// What a loop goes through: one or several values a round.
pub(super) fn rounds(list: &Datum, names: usize) -> Vec<Vec<Datum>> {
    match list {
        Datum::List(list) if names == 1 => {
            list.items.iter().map(|item| vec![item.clone()]).collect()
        }
        Datum::List(list) => list
            .items
            .iter()
            .map(|item| match item {
                Datum::List(inner) => inner.items.clone(),
                other => vec![other.clone()],
            })
            .collect(),
        Datum::Map(map) if 1 < names => map
            .fields
            .iter()
            .map(|(key, value)| vec![Datum::Text(Rc::clone(key)), value.clone()])
            .collect(),
        Datum::Text(text) if names == 1 => text
            .chars()
            .map(|c| vec![Datum::text(c.to_string())])
            .collect(),
        _ => Vec::new(),
    }
}

pub(super) fn loop_facts(index: usize, length: usize) -> Outcome<Datum> {
    let facts = [
        ("index", Datum::count(index + 1)),
        ("index0", Datum::count(index)),
        ("revindex", Datum::count(length - index)),
        ("revindex0", Datum::count(length - index - 1)),
        ("first", Datum::Bool(index == 0)),
        ("last", Datum::Bool(index + 1 == length)),
        ("length", Datum::count(length)),
    ];
    Datum::map(
        facts
            .into_iter()
            .map(|(name, fact)| (Rc::from(name), fact))
            .collect(),
    )
}

/// `range(stop)`, `range(start, stop, step)`.
pub(super) fn range(given: &Given) -> Outcome<Datum> {
    let number = |place: usize| given.plain.get(place).map(Datum::number);
    let (start, stop) = match (number(0), number(1)) {
        (Some(stop), None) => (0.0, stop),
        (Some(start), Some(stop)) => (start, stop),
        (None, _) => return Err("`range` needs a number".to_owned()),
    };
    let step = number(2).filter(|step| *step != 0.0).unwrap_or(1.0);
    if MAX_RANGE < ((stop - start) / step).abs() {
        return Err(format!("`range` makes more than {MAX_RANGE} numbers"));
    }
    let mut numbers = Vec::new();
    let mut next = start;
    while (0.0 < step && next < stop) || (step < 0.0 && stop < next) {
        numbers.push(Datum::Number(next));
        next += step;
    }
    Datum::list(numbers)
}
