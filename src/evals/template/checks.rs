//! Tests of templates: `value is odd`.

use crate::evals::template::datum::{Datum, Outcome};
use crate::evals::template::evaluate::Given;
use std::cmp::Ordering;

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
