//! When a suite runs by itself: five fields of cron, checked so that a typing error is not a silence.

/// A field: its name, its bounds, and names that stand for numbers from the lower bound on.
struct Field {
    name: &'static str,
    low: u32,
    high: u32,
    names: &'static [&'static str],
}

const FIELDS: [Field; 5] = [
    Field {
        name: "minute",
        low: 0,
        high: 59,
        names: &[],
    },
    Field {
        name: "hour",
        low: 0,
        high: 23,
        names: &[],
    },
    Field {
        name: "day of month",
        low: 1,
        high: 31,
        names: &[],
    },
    Field {
        name: "month",
        low: 1,
        high: 12,
        names: &[
            "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
        ],
    },
    Field {
        name: "day of week",
        low: 0,
        high: 7,
        names: &["sun", "mon", "tue", "wed", "thu", "fri", "sat"],
    },
];

/// Says what is wrong with a cron expression; `None` when nothing is.
pub(super) fn fault(text: &str) -> Option<String> {
    let parts: Vec<&str> = text.split_whitespace().collect();
    if parts.len() != FIELDS.len() {
        return Some(format!(
            "it has {} fields, and must have 5: minute, hour, day of month, month, day of week",
            parts.len()
        ));
    }
    let mut pairs = parts.iter().zip(&FIELDS);
    pairs.find_map(|(part, field)| {
        let is_good = part.split(',').all(|item| is_item(item, field));
        let (low, high) = (field.low, field.high);
        (!is_good).then(|| {
            let name = field.name;
            format!("`{part}` is no {name}: write `*`, numbers from {low} to {high}, `1-5`, `*/15`, or a list")
        })
    })
}

/// `*`, a number, a range, each with a step if need be.
fn is_item(item: &str, field: &Field) -> bool {
    let (range, step) = match item.split_once('/') {
        Some((range, step)) => (range, Some(step)),
        None => (item, None),
    };
    let is_step = |step: &str| {
        step.parse()
            .is_ok_and(|step: u32| 0 < step && step <= field.high)
    };
    let is_range = match range.split_once('-') {
        Some((first, last)) => match (number(first, field), number(last, field)) {
            (Some(first), Some(last)) => first <= last,
            _ => false,
        },
        None => range == "*" || (number(range, field).is_some() && step.is_none()),
    };
    is_range && step.is_none_or(is_step)
}

fn number(text: &str, field: &Field) -> Option<u32> {
    let lower = text.to_ascii_lowercase();
    let named = field.names.iter().position(|name| *name == lower);
    if let Some(index) = named {
        return Some(field.low + u32::try_from(index).ok()?);
    }
    let is_digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|_| is_digits)?;
    (field.low..=field.high).contains(&number).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::fault;

    #[test]
    fn expressions_are_checked() {
        for good in [
            "17 3 * * *",
            "*/15 0-6,22 1 jan-jun mon-fri",
            "0 0 31 12 7",
            "5-50/5 * * * SUN",
        ] {
            assert_eq!(fault(good), None, "{good}");
        }
        for (bad, words) in [
            ("", "has 0 fields"),
            ("0 3 * *", "has 4 fields"),
            ("60 3 * * *", "`60` is no minute"),
            ("0 24 * * *", "`24` is no hour"),
            ("0 3 0 * *", "`0` is no day of month"),
            ("0 3 * 13 *", "`13` is no month"),
            ("0 3 * * 8", "`8` is no day of week"),
            ("0 3 * * fri-mon", "`fri-mon` is no day of week"),
            ("*/0 3 * * *", "`*/0` is no minute"),
            ("5/10 3 * * *", "`5/10` is no minute"),
            ("+5 3 * * *", "`+5` is no minute"),
            ("1,, 3 * * *", "`1,,` is no minute"),
        ] {
            let fault = fault(bad).unwrap();
            assert!(fault.contains(words), "{bad}: {fault}");
        }
    }
}
