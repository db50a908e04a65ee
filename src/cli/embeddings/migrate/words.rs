//! A migration in words, as `migrate status` shows it.

use crate::cli::embeddings::{counted, thousands};
use crate::cli::output::{at, clean};
use crate::domain::PicoDollars;
use serde_json::Value;
use std::fmt::Write as _;

/// What a sample does not show.
const BEYOND: &str = "(the new version alone may change more, as it finds what the old one does not: `embeddings compare` says how much)";

/// An amount of money, where one is known.
pub(super) fn amount(value: &Value) -> Option<String> {
    value.as_u64().map(|amount| PicoDollars(amount).to_short())
}

/// `$0.0012 of at most $5, 1 200 texts and 3 queries embedded`.
pub(super) fn spent(meter: &Value, most: &Value) -> String {
    let texts = counted(at(meter, "texts").as_u64().unwrap_or(0), "text");
    let paid = amount(at(meter, "pico_usd")).unwrap_or_default();
    let most = amount(most).map(|most| format!(" of at most {most}"));
    let queries = at(meter, "queries").as_u64().filter(|many| 0 < *many);
    let queries = queries.map(|many| match many {
        1 => " and 1 query".to_owned(),
        _ => format!(" and {} queries", thousands(many)),
    });
    format!(
        "{paid}{}, {texts}{} embedded",
        most.unwrap_or_default(),
        queries.unwrap_or_default()
    )
}

/// How a migration is.
pub(super) fn in_words(status: &Value) -> String {
    let text = |key: &str| clean(at(status, key).as_str().unwrap_or_default());
    let model = |key: &str| clean(at(at(status, key), "model").as_str().unwrap_or_default());
    let mut out = format!(
        "{}  {} -> {}\n  state     {}{}\n  serving   {}\n",
        text("collection"),
        model("from_space"),
        model("to_space"),
        text("state"),
        if at(status, "is_paused") == true {
            ", paused"
        } else {
            ""
        },
        text("serving"),
    );
    let mut line = |name: &str, value: String| {
        let _ = writeln!(out, "  {name:<8}  {value}");
    };
    line("spent", spent(at(status, "meter"), at(status, "max_cost")));
    if let Some(planned) = amount(at(status, "planned")) {
        line("planned", planned);
    }
    let pace = at(status, "texts_per_minute").as_u64();
    if let Some(pace) = pace.filter(|pace| 0 < *pace) {
        let pace = thousands(pace);
        line(
            "pace",
            format!("at most {pace} texts a minute in the background"),
        );
    }
    let outlook = at(status, "outlook");
    if let Some(missing) = at(outlook, "missing").as_u64() {
        let all = thousands(at(outlook, "texts").as_u64().unwrap_or(0));
        let base = clean(at(outlook, "base").as_str().unwrap_or_default());
        let rest = amount(at(outlook, "pico_usd")).unwrap_or_else(|| "no price known".to_owned());
        let missing = thousands(missing);
        let of = match at(status, "state").as_str() {
            Some("cutover") => " in the old version",
            _ => "",
        };
        line(
            "missing",
            format!("{missing} of {all} texts of {base}{of}, {rest}"),
        );
    }
    let shadow = at(status, "shadow");
    if let Some(queries) = at(shadow, "queries").as_u64() {
        line("sample", sample_in_words(shadow, queries));
        line("", BEYOND.to_owned());
    }
    out.push_str(&rest_in_words(status));
    out
}

/// What goes on, what the file says, and what can be done.
fn rest_in_words(status: &Value) -> String {
    let mut out = String::new();
    let mut line = |name: &str, value: String| {
        let _ = writeln!(out, "  {name:<8}  {value}");
    };
    if at(status, "is_running") == true {
        line("running", "the rest is being embedded".to_owned());
    }
    if let Some(problem) = at(at(status, "problem"), "message").as_str() {
        line("stopped", clean(problem));
    }
    let gates = at(status, "gates").as_array().into_iter().flatten();
    for gate in gates.filter_map(Value::as_str) {
        line("gate", clean(gate));
    }
    if at(status, "is_dual") == true {
        line(
            "both",
            "what is added gets vectors of the old version too".to_owned(),
        );
    }
    if let Some(back) = back_in_words(at(status, "back")) {
        line("back", back);
    }
    let held = at(status, "held");
    if let Some(serving) = at(held, "serving").as_str() {
        let file = at(held, "file").as_str().unwrap_or("nothing");
        line(
            "held",
            format!("production means {serving}, and embeddings.toml says {file}"),
        );
        if at(status, "state") == "cutover" {
            let write = at(held, "write").as_str().unwrap_or_default();
            for (number, text) in write.lines().enumerate() {
                line(if number == 0 { "write" } else { "" }, text.to_owned());
            }
        }
    }
    let next = at(status, "next").as_array().into_iter().flatten();
    let next: Vec<&str> = next.filter_map(Value::as_str).collect();
    if !next.is_empty() {
        line("next", next.join(", "));
    }
    out
}

/// Where a rollback leads, and what is not there.
fn back_in_words(back: &Value) -> Option<String> {
    let to = clean(at(back, "to").as_str()?);
    let of = clean(at(back, "of").as_str().unwrap_or_default());
    Some(match at(back, "without").as_u64() {
        None | Some(0) => format!("{to}, which has all of {of}"),
        Some(without) => {
            let without = counted(without, "text");
            format!("{to}, which lacks {without} of {of}")
        }
    })
}

fn sample_in_words(shadow: &Value, queries: u64) -> String {
    let overlap = at(shadow, "overlap");
    let share = |value: &Value| value.as_f64().unwrap_or(0.0) * 100.0;
    let interval = at(overlap, "interval");
    let kept = if overlap.is_null() {
        "too few to say what stays".to_owned()
    } else {
        format!(
            "{:.0} % of the first {} stay [{:.0}, {:.0}]",
            share(at(overlap, "value")),
            at(shadow, "k"),
            share(at(interval, "low")),
            share(at(interval, "high")),
        )
    };
    let first = share(at(shadow, "top1_same"));
    format!("{queries} queries: in the cascade {kept}; the first answer stays for {first:.0} %")
}

#[cfg(test)]
mod tests {
    use super::{sample_in_words, spent};
    use serde_json::{Value, json};

    #[test]
    fn what_was_spent_is_said_with_what_for() {
        let meter = json!({"texts": 1_200, "pico_usd": 1_200_000_000});
        assert_eq!(spent(&meter, &Value::Null), "$0.0012, 1 200 texts embedded");
        let meter = json!({"texts": 12, "queries": 3, "pico_usd": 1_200_000_000});
        let most = json!(5_000_000_000_000_u64);
        assert_eq!(
            spent(&meter, &most),
            "$0.0012 of at most $5, 12 texts and 3 queries embedded"
        );
    }

    #[test]
    fn a_sample_speaks_of_the_cascade() {
        let overlap = json!({"value": 0.41, "interval": {"low": 0.39, "high": 0.43}});
        let shadow = json!({"k": 10, "top1_same": 0.5, "overlap": overlap});
        assert_eq!(
            sample_in_words(&shadow, 200),
            "200 queries: in the cascade 41 % of the first 10 stay [39, 43]; the first answer stays for 50 %"
        );
    }
}
