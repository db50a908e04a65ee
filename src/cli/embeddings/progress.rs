//! How far a snapshot is, in a line, and work that is followed to its end.

use crate::cli::embeddings::thousands;
use crate::cli::evals::span;
use crate::cli::output::{Failure, at};
use crate::cli::progress::ProgressLine;
use crate::cli::reach::Admin;
use crate::domain::PicoDollars;
use crate::embeddings::snapshots::{Plan, Progress, Stage};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::fmt::Write as _;

/// How many characters the bar has.
const BAR: u64 = 24;

/// How much was read, in words.
pub(crate) fn texts_read(sources: u64) -> String {
    format!("{} texts read", thousands(sources))
}

/// How far it is, in words.
pub(crate) fn progress_in_words(progress: &Progress) -> String {
    match progress.stage {
        Stage::Planning => return "hashing and counting texts".to_owned(),
        Stage::Sealing => return "writing the snapshot".to_owned(),
        Stage::Noise => return "embedding some texts again".to_owned(),
        Stage::Embedding => {}
    }
    let filled = (progress.done.saturating_mul(BAR))
        .checked_div(progress.total)
        .unwrap_or(BAR);
    let filled = usize::try_from(filled).unwrap_or(0);
    let empty = usize::try_from(BAR).unwrap_or(0).saturating_sub(filled);
    let mut text = format!(
        "[{}{}] {}/{} texts  {} tokens  {}",
        "#".repeat(filled),
        ".".repeat(empty),
        thousands(progress.done),
        thousands(progress.total),
        thousands(progress.tokens),
        progress.pico_usd.to_short(),
    );
    if 0 < progress.retries {
        let _ = write!(text, "  {} asked again", progress.retries);
    }
    if let Some(left) = progress.left_ms.filter(|_| progress.done < progress.total) {
        let _ = write!(text, "  about {} left", span(left));
    }
    text
}

/// What it will take, in words.
pub(crate) fn plan_in_words(plan: &Plan) -> String {
    let duplicates = plan.texts.saturating_sub(plan.unique);
    let mut text = format!("{} texts", thousands(plan.texts));
    if 0 < duplicates {
        let _ = write!(text, ", {} of them again", thousands(duplicates));
    }
    let _ = write!(
        text,
        ": {} embedded already, {} to embed",
        thousands(plan.cached),
        thousands(plan.to_send)
    );
    if 0 < plan.coarser {
        let kept = thousands(plan.coarser);
        let _ = write!(text, " ({kept} are kept less exactly than is wanted now)");
    }
    if let Some(longer) = plan.truncated.filter(|longer| 0 < *longer) {
        let _ = write!(text, "; {} longer than the model reads", thousands(longer));
    }
    if plan.to_send == 0 {
        return text;
    }
    let requests = if plan.requests == 1 {
        "request"
    } else {
        "requests"
    };
    let _ = write!(
        text,
        "; {} tokens in {} {requests}, ",
        thousands(plan.tokens),
        thousands(plan.requests)
    );
    match (plan.pico_usd, &plan.price) {
        (Some(PicoDollars(0)), _) => text.push_str("free"),
        (Some(amount), price) => {
            let _ = write!(text, "about {}", amount.to_short());
            if let Some(price) = price {
                let _ = write!(text, " ({price})");
            }
        }
        (None, _) => text.push_str("price unknown"),
    }
    text
}

/// Has something done that is told by lines, shows how far it is, and returns what the last line has under
/// `name`.
pub(super) async fn follow<T: DeserializeOwned + Send>(
    admin: &Admin,
    path: &str,
    wish: &Value,
    name: &str,
) -> Result<T, Failure> {
    let mut end: Option<Result<T, Failure>> = None;
    let mut shown = ProgressLine::of_stderr();
    let unreadable = |error| Failure::new(format!("the server's answer cannot be read: {error}"));
    let mut on_line = |text: &[u8]| {
        let line: Value = serde_json::from_slice(text).unwrap_or_default();
        if at(&line, "type") == "progress" {
            shown.show(&step_in_words(at(&line, "progress")));
            return;
        }
        shown.clear();
        let error = at(&line, "error");
        end = Some(if error.is_null() {
            T::deserialize(at(&line, name)).map_err(unreadable)
        } else {
            let text = |key: &str| at(error, key).as_str().map(str::to_owned);
            let message = text("message").unwrap_or_else(|| error.to_string());
            Err(Failure::new(message).with_hint(text("hint")))
        });
    };
    admin.lines(path, wish, &mut on_line).await?;
    end.unwrap_or_else(|| Err(Failure::new("the answer broke off")))
}

/// What is being done.
fn step_in_words(progress: &Value) -> String {
    let stage = at(progress, "stage").as_str().unwrap_or_default();
    let words = match stage {
        "queries" => "embedding queries",
        "alignment" => "looking at every vector",
        "neighbours" => "finding neighbours",
        "labels" => "judging answers",
        "geometry" => "measuring shapes",
        "clusters" => "finding clusters",
        "fitting" => "fitting maps",
        "judging" => "judging the map",
        "learning" => "fitting on fewer pairs",
        _ => "writing the report",
    };
    let count = |key: &str| at(progress, key).as_u64().unwrap_or(0);
    if stage == "waiting" {
        return format!(
            "embedding queries: the provider does not answer, asked {} of {} times",
            count("done"),
            count("total")
        );
    }
    match count("total") {
        0 | 1 => words.to_owned(),
        total => format!("{words}: {} of {total}", count("done")),
    }
}

#[cfg(test)]
mod tests {
    use super::{plan_in_words, progress_in_words, step_in_words};
    use crate::domain::PicoDollars;
    use crate::embeddings::snapshots::{Plan, Progress, Stage};

    #[test]
    fn a_plan_says_what_is_paid_before_it_is() {
        let plan = Plan {
            texts: 1_000,
            unique: 990,
            cached: 900,
            to_send: 90,
            coarser: 0,
            tokens: 12_345,
            pico_usd: Some(PicoDollars(246_900_000)),
            price: Some("openai/text-embedding-3-small@2026-11-23".to_owned()),
            requests: 1,
            truncated: Some(0),
        };
        assert_eq!(
            plan_in_words(&plan),
            "1 000 texts, 10 of them again: 900 embedded already, 90 to embed; 12 345 tokens in 1 request, \
             about $0.0002469 (openai/text-embedding-3-small@2026-11-23)"
        );
        let finer = Plan {
            coarser: 80,
            ..plan.clone()
        };
        let told = plan_in_words(&finer);
        let kept = "90 to embed (80 are kept less exactly than is wanted now); 12 345";
        assert!(told.contains(kept), "{told}");
        let nothing = Plan {
            to_send: 0,
            cached: 990,
            ..plan
        };
        assert_eq!(
            plan_in_words(&nothing),
            "1 000 texts, 10 of them again: 990 embedded already, 0 to embed"
        );
    }

    #[test]
    fn a_provider_that_is_waited_for_is_told_of() {
        let words = |stage: &str, done: u32, total: u32| {
            let step = serde_json::json!({"stage": stage, "done": done, "total": total});
            step_in_words(&step)
        };
        assert_eq!(words("queries", 3, 8), "embedding queries: 3 of 8");
        assert_eq!(
            words("waiting", 2, 8),
            "embedding queries: the provider does not answer, asked 2 of 8 times"
        );
    }

    #[test]
    fn a_bar_tells_texts_tokens_money_and_time() {
        let progress = Progress {
            stage: Stage::Embedding,
            done: 500,
            total: 1_000,
            tokens: 6_000,
            pico_usd: PicoDollars(120_000_000),
            left_ms: Some(130_000),
            retries: 2,
            ..Progress::default()
        };
        assert_eq!(
            progress_in_words(&progress),
            "[############............] 500/1 000 texts  6 000 tokens  $0.00012  2 asked again  about 2m 10s left"
        );
    }
}
