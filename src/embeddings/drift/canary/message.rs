//! How an alarm of a canary is told: which model, how far, what that means for searches, and what to do.

use crate::embeddings::drift::canary::kept::{Canary, Check, Measured};
use crate::embeddings::time::in_words;
use std::fmt::Write as _;

/// So much of the ten nearest must stay for two sets of vectors to be one for every search.
const SAME: f64 = 0.98;

/// How much of what was found stays: the share of the ten nearest of these texts in their snapshot, and of the
/// nearest ones.
pub(super) type Stays = (f64, f64);

/// What becomes of what texts find.
#[derive(Debug, Clone, Copy)]
pub(super) struct Found {
    /// How much of what they found by what was normal; `None` when vectors have another length.
    pub(super) stays: Option<Stays>,
    /// Whether the snapshot has such vectors, though something else had become normal.
    pub(super) is_of_snapshot: bool,
}

/// Returns the message of a change, on a few lines.
pub(super) fn changed(canary: &Canary, check: &Check, found: &Found) -> String {
    let name = &canary.settings.name;
    let snapshot = &canary.settings.snapshot;
    let mut out = format!(
        "`{}` makes other vectors under the same name: seen by canary `{name}` at {}, last as before at {}.\n",
        canary.model,
        in_words(check.at_ms),
        in_words(canary.normal_ms),
    );
    out.push_str(&far(canary, check));
    out.push_str(&named(&canary.normal, check));
    if let Some((ten, first)) = found.stays {
        let _ = writeln!(
            out,
            "Searches: of the ten nearest of these texts in `{snapshot}` {} stay, of the very nearest {}.",
            percent(ten),
            percent(first),
        );
    }
    out.push_str(&advice(canary, check, found));
    out
}

/// What to do about a change.
fn advice(canary: &Canary, check: &Check, found: &Found) -> String {
    let name = &canary.settings.name;
    let snapshot = &canary.settings.snapshot;
    let accept = format!("Take as normal: `promptgate embeddings canary accept {name}`");
    if check.change.deviation.is_none() {
        return format!(
            "Vectors of another length are of another space: give the space its `dimensions` in embeddings.toml where the provider lets them be chosen, else another \
             `revision`, and make a new snapshot. This canary cannot take them as normal: end it with `promptgate embeddings canary stop {name}`, and begin one on \
             the new snapshot.",
        );
    }
    if found.is_of_snapshot {
        return format!(
            "They are those of `{snapshot}` again, and what was accepted as normal is over: what was embedded since {} is of the model that was accepted, so embed it \
             anew. {accept}.",
            in_words(canary.normal.at_ms),
        );
    }
    if found.stays.is_some_and(|(ten, _)| SAME <= ten) {
        return format!(
            "What is found stays: the numbers changed, and hardly their meaning. {accept} \
             (`--also` where the provider answers from machines that are not alike).",
        );
    }
    format!(
        "New vectors and those of `{snapshot}` are no longer of one model, so do not mix them. Pin the model where the provider has a dated name; \
         else give its space a `revision` in embeddings.toml, make a new snapshot (unchanged names reuse the old vectors), and hold the two against \
         each other with `promptgate embeddings compare`.\n\
         Look: `promptgate embeddings canary status {name}`. {accept}.",
    )
}

/// Returns the message that a change is over.
pub(super) fn recovered(canary: &Canary, check: &Check) -> String {
    format!(
        "`{}` makes the vectors of before again: seen by canary `{}` at {}. What was embedded since {} is of the other model: embed it anew.",
        canary.model,
        canary.settings.name,
        in_words(check.at_ms),
        in_words(canary.normal_ms),
    )
}

fn far(canary: &Canary, check: &Check) -> String {
    let change = &check.change;
    let Some(deviation) = change.deviation else {
        let now = canary.changed.as_ref().map(|seen| seen.dimensions);
        let now = now.map_or_else(String::new, |now| format!(" but {now}"));
        return format!(
            "Its vectors have another length: no longer {} numbers{now}.\n",
            canary.normal.dimensions
        );
    };
    let mut out = format!(
        "{} of {} texts moved beyond the noise: lowest cosine {}, mean {}; largest change of a number {deviation:.1e}, noise {}",
        change.moved,
        change.texts,
        cosine(change.lowest_cosine),
        cosine(change.mean_cosine),
        noise(&canary.normal, &canary.settings.snapshot),
    );
    if let Some(p) = check.p_value {
        let _ = write!(
            out,
            " p = {p:.4}; budget: {} expected false alarms a month.",
            canary.settings.alarms_per_month
        );
    }
    out.push('\n');
    out
}

/// `1.2e-5 (8 rounds; 200 texts of `docs@2`).`
fn noise(normal: &Measured, snapshot: &str) -> String {
    let floor = normal.floor();
    let figure = if floor <= 0.0 {
        "none".to_owned()
    } else {
        format!("{floor:.1e}")
    };
    let measured = normal.snapshot_noise.and(normal.snapshot_texts);
    let measured = measured.map_or_else(String::new, |texts| {
        format!("; {texts} texts of `{snapshot}`")
    });
    format!("{figure} ({} rounds{measured}).", normal.rounds)
}

fn named(normal: &Measured, check: &Check) -> String {
    match (&normal.model, &check.model) {
        (_, None) => "The provider does not name the model.\n".to_owned(),
        (Some(before), Some(now)) if before != now => {
            format!("The provider calls the model `{now}`, and called it `{before}` before.\n")
        }
        (_, Some(now)) => format!("The provider calls the model `{now}`, as before.\n"),
    }
}

/// A cosine so that what is not 1 does not read as 1.
fn cosine(value: Option<f64>) -> String {
    value.map_or_else(
        || "-".to_owned(),
        |value| match 1.0 - value {
            gap if gap < 1e-9 => "1 within 1e-9".to_owned(),
            gap if gap < 1e-4 => format!("1 - {gap:.1e}"),
            _ => format!("{value:.4}"),
        },
    )
}

fn percent(share: f64) -> String {
    format!("{:.0} %", 100.0 * share)
}

#[cfg(test)]
mod tests {
    use super::{Found, changed};
    use crate::embeddings::drift::canary::kept::{Canary, Check};
    use serde_json::{Value, json};

    fn measured(dimensions: usize) -> Value {
        json!({
            "items": ["d1"], "rounds": 8, "dimensions": dimensions, "sha256": "", "own_noise": 0.0,
            "snapshot_noise": null, "snapshot_texts": null, "model": null, "at_ms": 1_767_225_600_000_i64,
        })
    }

    /// A canary that sees vectors of this length, where 384 are normal.
    fn canary(dimensions: usize) -> Canary {
        let settings = json!({
            "name": "small", "snapshot": "docs@1", "texts": 1, "every_ms": 3_600_000,
            "alarms_per_month": 1.0, "webhook": null,
        });
        serde_json::from_value(json!({
            "settings": settings, "model": "local/minilm", "normal": measured(384), "from_snapshot": 0.0,
            "is_snapshot_older": false, "changed": measured(dimensions), "began_ms": 0, "due_ms": 0,
            "normal_ms": 0, "checks": 1, "spent": {"requests": 9, "tokens": 0, "cost": 0},
            "last": null, "fault": null,
        }))
        .unwrap()
    }

    fn check(deviation: Option<f64>) -> Check {
        let cosine = deviation.map(|_| 0.7107);
        serde_json::from_value(json!({
            "at_ms": 0, "outcome": "changed", "p_value": null, "requests": 8, "model": null,
            "change": {
                "moved": 1, "texts": 1, "deviation": deviation, "lowest_cosine": cosine, "mean_cosine": cosine,
            },
        }))
        .unwrap()
    }

    #[test]
    fn another_length_is_named_and_cannot_be_taken_as_normal() {
        let found = Found {
            stays: None,
            is_of_snapshot: false,
        };
        let told = changed(&canary(100), &check(None), &found);
        assert!(told.contains("no longer 384 numbers but 100"), "{told}");
        assert!(
            told.contains("canary stop small") && !told.contains("canary accept"),
            "{told}"
        );
    }

    #[test]
    fn what_comes_back_is_told_from_what_hardly_changed() {
        let told = |stays, is_of_snapshot| {
            let found = Found {
                stays: Some((stays, stays)),
                is_of_snapshot,
            };
            changed(&canary(384), &check(Some(0.1)), &found)
        };
        let back = told(1.0, true);
        assert!(
            back.contains("those of `docs@1` again") && back.contains("2026-01-01"),
            "{back}"
        );
        assert!(!back.contains("hardly their meaning"), "{back}");
        assert!(told(1.0, false).contains("hardly their meaning"));
        assert!(told(0.5, false).contains("no longer of one model"));
    }
}
