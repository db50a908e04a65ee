//! `promptgate embeddings snapshot verify|diff|noise|delete-item|discard|gc`, `promptgate embeddings store rebuild`.

use crate::app::Environment;
use crate::cli::Common;
use crate::cli::embeddings::list::describe;
use crate::cli::embeddings::{counted, thousands};
use crate::cli::output::{self, Failure, at, clean};
use crate::cli::reach::{Admin, escape};
use clap::Args;
use http::Method;
use serde_json::{Value, json};
use std::fmt::Write as _;

/// How many ids are shown of a list.
const SHOWN: usize = 10;

#[derive(Debug, Args)]
pub(crate) struct VerifyArguments {
    /// The snapshot; everything when none is named.
    snapshot: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct DiffArguments {
    /// The one before.
    before: String,
    /// The one after.
    after: String,
}

#[derive(Debug, Args)]
pub(crate) struct NoiseArguments {
    /// The snapshot.
    snapshot: String,
    /// How many texts are embedded again.
    #[arg(short = 'n', long, default_value_t = 200)]
    texts: usize,
}

#[derive(Debug, Args)]
pub(crate) struct DeleteItemArguments {
    /// The collection.
    collection: String,
    /// The item's id; that of a source that was cut into pieces stands for all of them.
    item: String,
}

/// What the help of `delete-item` ends with.
pub(super) const DELETE_ITEM_HELP: &str = "\
Where another item has the same text, its vector stays. A piece is deleted by its own id (`a#0`),
all pieces of a source by the source's (`a`). Not touched, because they are no snapshots:

  the records of the calls that embedded the text, which show it as long as records are kept
  (made with `snapshot create --hash-only`, they never had it)
  drafts and corpora that have it; `snapshot list` names drafts, `snapshot discard` removes them
  files that were exported";

#[derive(Debug, Args)]
pub(crate) struct DiscardArguments {
    /// The draft, as `snapshot list` names it.
    draft: String,
}

#[derive(Debug, Args)]
pub(crate) struct GcArguments {
    /// Only say what would be removed.
    #[arg(long)]
    dry_run: bool,
}

/// Sends one request and closes what was opened.
async fn ask(
    common: &Common,
    environment: &Environment,
    method: Method,
    path: &str,
    body: Option<&Value>,
) -> Result<Value, Failure> {
    let admin = Admin::reach(common, environment)?;
    let answer = admin.send(method, path, body).await;
    admin.close().await?;
    answer
}

fn count(value: &Value) -> String {
    value.as_u64().map_or_else(|| "-".to_owned(), thousands)
}

/// Checks what is kept.
pub(super) async fn verify(
    arguments: &VerifyArguments,
    common: &Common,
    environment: &Environment,
) -> Result<(), Failure> {
    let body = json!({"snapshot": arguments.snapshot});
    let path = "/api/embeddings/verify";
    let answer = ask(common, environment, Method::POST, path, Some(&body)).await?;
    if common.json {
        output::put(&format!("{answer}\n"))?;
    }
    let problems = at(&answer, "problems").as_array().cloned();
    let problems = problems.unwrap_or_default();
    if problems.is_empty() {
        if !common.json {
            let many =
                |key: &str, thing: &str| counted(at(&answer, key).as_u64().unwrap_or(0), thing);
            output::put(&format!(
                "ok: {}, {} in {}, {} read\n",
                many("snapshots", "snapshot"),
                many("vectors", "vector"),
                many("segments", "segment"),
                many("bytes", "byte"),
            ))?;
        }
        return Ok(());
    }
    let text = |value: &Value| clean(value.as_str().unwrap_or_default());
    let details = problems.iter();
    let details = details.map(|fault| {
        format!(
            "{}: {}",
            text(at(fault, "place")),
            text(at(fault, "problem"))
        )
    });
    let message = format!("problems found: {}", problems.len());
    Err(Failure::new(message).with_details(details.collect()))
}

/// Tells in what two snapshots differ.
pub(super) async fn diff(
    arguments: &DiffArguments,
    common: &Common,
    environment: &Environment,
) -> Result<(), Failure> {
    let path = format!(
        "/api/embeddings/diff?before={}&after={}",
        escape(&arguments.before),
        escape(&arguments.after)
    );
    let answer = ask(common, environment, Method::GET, &path, None).await?;
    if common.json {
        return output::put(&format!("{answer}\n"));
    }
    let text = |value: &Value| clean(value.as_str().unwrap_or_default());
    let mut out = format!(
        "{} -> {}\n",
        text(at(&answer, "before")),
        text(at(&answer, "after"))
    );
    for change in at(&answer, "settings").as_array().into_iter().flatten() {
        let _ = writeln!(
            out,
            "  {}: {} -> {}",
            text(at(change, "setting")),
            at(change, "before"),
            at(change, "after")
        );
    }
    let _ = writeln!(
        out,
        "  items unchanged: {}",
        count(at(&answer, "unchanged"))
    );
    for (key, words) in [
        ("added", "added"),
        ("removed", "removed"),
        ("changed_text", "with another text"),
        ("changed_form", "of those, the same but for its form"),
    ] {
        let ids = at(&answer, key).as_array().cloned().unwrap_or_default();
        if ids.is_empty() {
            continue;
        }
        let shown: Vec<String> = ids.iter().take(SHOWN).map(text).collect();
        let more = if SHOWN < ids.len() { ", …" } else { "" };
        let _ = writeln!(
            out,
            "  items {words}: {} ({}{more})",
            ids.len(),
            shown.join(", ")
        );
    }
    output::put(&out)
}

/// Measures the provider's noise.
pub(super) async fn noise(
    arguments: &NoiseArguments,
    common: &Common,
    environment: &Environment,
) -> Result<(), Failure> {
    let body = json!({"snapshot": arguments.snapshot, "texts": arguments.texts});
    let path = "/api/embeddings/noise";
    let answer = ask(common, environment, Method::POST, path, Some(&body)).await?;
    if common.json {
        return output::put(&format!("{answer}\n"));
    }
    output::put(&describe(&answer))
}

/// Deletes an item.
pub(super) async fn delete_item(
    arguments: &DeleteItemArguments,
    common: &Common,
    environment: &Environment,
) -> Result<(), Failure> {
    let path = format!(
        "/api/embeddings/items?collection={}&item={}",
        escape(&arguments.collection),
        escape(&arguments.item)
    );
    let answer = ask(common, environment, Method::DELETE, &path, None).await?;
    if common.json {
        return output::put(&format!("{answer}\n"));
    }
    let names = at(&answer, "snapshots").as_array().into_iter().flatten();
    let names: Vec<&str> = names.filter_map(Value::as_str).collect();
    output::put(&format!(
        "`{}` is deleted from {}; items: {}, vectors erased: {}\n",
        clean(&arguments.item),
        names.join(", "),
        count(at(&answer, "items")),
        count(at(&answer, "vectors")),
    ))
}

/// Gives up a draft.
pub(super) async fn discard(
    arguments: &DiscardArguments,
    common: &Common,
    environment: &Environment,
) -> Result<(), Failure> {
    let path = format!("/api/embeddings/drafts/{}", escape(&arguments.draft));
    let answer = ask(common, environment, Method::DELETE, &path, None).await?;
    if common.json {
        return output::put(&format!("{answer}\n"));
    }
    let id = clean(&arguments.draft);
    output::put(&if at(&answer, "state") == "stopping" {
        format!("{id} is being embedded, and stops; discard it again to remove it\n")
    } else {
        format!("{id} is removed; `snapshot gc` removes its vectors\n")
    })
}

/// Removes what nothing uses.
pub(super) async fn gc(
    arguments: &GcArguments,
    common: &Common,
    environment: &Environment,
) -> Result<(), Failure> {
    let body = json!({"dry_run": arguments.dry_run});
    let path = "/api/embeddings/gc";
    let answer = ask(common, environment, Method::POST, path, Some(&body)).await?;
    if common.json {
        return output::put(&format!("{answer}\n"));
    }
    output::put(&format!(
        "unused vectors: {}; removed: {}; segments rewritten: {} of {}; bytes freed: {}\n",
        count(at(&answer, "dead")),
        count(at(&answer, "removed")),
        count(at(&answer, "rewritten")),
        count(at(&answer, "segments")),
        count(at(&answer, "freed_bytes")),
    ))
}

/// Makes the index of vectors anew.
pub(super) async fn rebuild(common: &Common, environment: &Environment) -> Result<(), Failure> {
    let path = "/api/embeddings/rebuild";
    let answer = ask(common, environment, Method::POST, path, None).await?;
    if common.json {
        return output::put(&format!("{answer}\n"));
    }
    output::put("the index of vectors is made anew from their files\n")
}
