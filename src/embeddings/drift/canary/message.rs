//! How an alarm of a canary is told: which model, how far, what that means for searches, and what to do.

use crate::embeddings::drift::canary::kept::{Canary, Check, Measured};
use crate::embeddings::time::in_words;
use std::fmt::Write as _;

/// So much of the ten nearest must stay for two sets of vectors to be one for every search.
const SAME: f64 = 0.98;

/// How much of what was found stays: the share of the ten nearest of these texts in their snapshot, and of the
/// nearest ones.
pub(super) type Stays = (f64, f64);

/// Returns the message of a change, on a few lines.
pub(super) fn changed(canary: &Canary, check: &Check, stays: Option<Stays>) -> String {
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
    if let Some((ten, first)) = stays {
        let _ = writeln!(
            out,
            "Searches: of the ten nearest of these texts in `{snapshot}` {} stay, of the very nearest {}.",
            percent(ten),
            percent(first),
        );
    }
    if stays.is_some_and(|(ten, _)| SAME <= ten) {
        let _ = write!(
            out,
            "What is found stays: the numbers changed, and hardly their meaning. Take as normal: `promptgate embeddings canary accept {name}` \
             (`--also` where the provider answers from machines that are not alike).",
        );
        return out;
    }
    let _ = writeln!(
        out,
        "New vectors and those of `{snapshot}` are no longer of one model, so do not mix them. Pin the model where the provider has a dated name; \
         else give its space a `revision` in embeddings.toml, make a new snapshot (unchanged names reuse the old vectors), and hold the two against \
         each other with `promptgate embeddings compare`.",
    );
    let _ = write!(
        out,
        "Look: `promptgate embeddings canary status {name}`. Take as normal: `promptgate embeddings canary accept {name}`.",
    );
    out
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
        return format!(
            "Its vectors have another length: no longer {} numbers.\n",
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
