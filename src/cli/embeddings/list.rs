//! `promptgate embeddings snapshot list|show`.

use crate::app::Environment;
use crate::cli::Common;
use crate::cli::calls::time;
use crate::cli::embeddings::{counted, thousands};
use crate::cli::output::{self, Align, Failure, at, clean, table};
use crate::cli::reach::{Admin, escape};
use crate::domain::PicoDollars;
use clap::Args;
use serde_json::Value;
use std::fmt::Write as _;

#[derive(Debug, Args)]
pub(crate) struct ListArguments {
    /// Only those of this collection.
    collection: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct ShowArguments {
    /// The snapshot: `docs@2`, `docs@production`, `docs`.
    snapshot: String,
}

const HEADINGS: [(&str, Align); 9] = [
    ("snapshot", Align::Left),
    ("labels", Align::Left),
    ("items", Align::Right),
    ("model", Align::Left),
    ("dims", Align::Right),
    ("kept as", Align::Left),
    ("space", Align::Left),
    ("created", Align::Left),
    ("cost", Align::Right),
];

/// Lists snapshots and drafts.
pub(super) async fn list(
    arguments: &ListArguments,
    common: &Common,
    environment: &Environment,
) -> Result<(), Failure> {
    let admin = Admin::reach(common, environment)?;
    let of = arguments.collection.as_ref();
    let of = of.map(|name| format!("?collection={}", escape(name)));
    let path = format!("/api/embeddings/snapshots{}", of.unwrap_or_default());
    let answer = admin.get(&path).await;
    admin.close().await?;
    let answer = answer?;
    if common.json {
        return output::put(&format!("{answer}\n"));
    }
    let list = |key: &str| at(&answer, key).as_array().cloned().unwrap_or_default();
    let (snapshots, drafts, damaged) = (list("data"), list("drafts"), list("damaged"));
    for problem in list("refused") {
        output::say(&format!(
            "embeddings.toml is refused, what it said before is in force: {}\n",
            text(&problem)
        ));
    }
    for one in &damaged {
        let (problem, hint) = (text(at(one, "problem")), text(at(one, "hint")));
        output::say(&format!("{}: {problem}\nhint: {hint}\n", name(one)));
    }
    for draft in &drafts {
        output::say(&format!("{}\n", draft_in_words(draft)));
    }
    if snapshots.is_empty() && damaged.is_empty() {
        output::say("there are no snapshots\n");
        return Ok(());
    }
    let place = |one: &Value| {
        let number = at(one, "number").as_u64();
        (text(at(one, "collection")), number.unwrap_or(0))
    };
    let whole = snapshots.iter().map(|one| (place(one), row(one)));
    let damaged = damaged.iter().map(|one| (place(one), damaged_row(one)));
    let mut rows: Vec<_> = whole.chain(damaged).collect();
    rows.sort_by(|(first, _), (second, _)| first.cmp(second));
    let rows: Vec<Vec<String>> = rows.into_iter().map(|(_, row)| row).collect();
    output::put(&table(&HEADINGS, &rows))
}

fn text(value: &Value) -> String {
    clean(value.as_str().unwrap_or("-"))
}

fn number(value: &Value) -> String {
    value.as_u64().map_or_else(|| "-".to_owned(), thousands)
}

fn name(manifest: &Value) -> String {
    format!(
        "{}@{}",
        text(at(manifest, "collection")),
        at(manifest, "number")
    )
}

fn words(list: &Value) -> String {
    let words = list.as_array().into_iter().flatten();
    words.map(text).collect::<Vec<_>>().join(", ")
}

fn cost(spent: &Value) -> String {
    let amount = at(spent, "cost").as_u64();
    amount.map_or_else(
        || "unknown".to_owned(),
        |amount| PicoDollars(amount).to_short(),
    )
}

fn row(manifest: &Value) -> Vec<String> {
    let space = text(at(manifest, "space_id"));
    vec![
        name(manifest),
        words(at(manifest, "labels")),
        number(at(manifest, "items")),
        text(at(at(manifest, "space"), "model")),
        at(manifest, "dimensions").to_string(),
        text(at(manifest, "precision")),
        space.chars().take(18).collect(),
        time(at(manifest, "created")),
        cost(at(manifest, "spent")),
    ]
}

/// Of a damaged one nothing is known but its name.
fn damaged_row(one: &Value) -> Vec<String> {
    let mut row = vec![name(one), "damaged".to_owned()];
    row.resize(HEADINGS.len(), "-".to_owned());
    row
}

fn draft_in_words(draft: &Value) -> String {
    let (id, collection) = (text(at(draft, "id")), text(at(draft, "collection")));
    let items = number(at(draft, "items"));
    let progress = at(draft, "progress");
    if !progress.is_null() {
        let (done, total) = (number(at(progress, "done")), number(at(progress, "total")));
        return format!("{collection}: {id} is being embedded, {done} of {total} texts");
    }
    if at(draft, "is_complete") == true {
        return format!(
            "{collection}: {id} of {items} items was not finished; `snapshot create {collection} --resume={id}` goes on, \
             `snapshot discard {id}` gives it up"
        );
    }
    format!("{collection}: {id} did not come whole; run its `snapshot create` again")
}

/// Shows a snapshot.
pub(super) async fn show(
    arguments: &ShowArguments,
    common: &Common,
    environment: &Environment,
) -> Result<(), Failure> {
    let admin = Admin::reach(common, environment)?;
    let path = format!("/api/embeddings/snapshots/{}", escape(&arguments.snapshot));
    let answer = admin.get(&path).await;
    admin.close().await?;
    let answer = answer?;
    if common.json {
        return output::put(&format!("{answer}\n"));
    }
    output::put(&describe(&answer))
}

/// Returns what a snapshot is, for people.
pub(super) fn describe(manifest: &Value) -> String {
    let mut out = String::new();
    let labels = words(at(manifest, "labels"));
    let labels = if labels.is_empty() {
        labels
    } else {
        format!("  ({labels})")
    };
    let id: String = text(at(manifest, "id")).chars().take(17).collect();
    let _ = writeln!(out, "{}  {id}{labels}", name(manifest));
    for (title, value) in facts(manifest) {
        if !value.is_empty() {
            let _ = writeln!(out, "  {title:<9} {value}");
        }
    }
    out
}

fn facts(manifest: &Value) -> [(&'static str, String); 9] {
    let space = at(manifest, "space");
    let counts = at(manifest, "counts");
    let items = at(manifest, "items").as_u64().unwrap_or(0);
    let mut texts = vec![counted(items, "item")];
    let deleted = at(manifest, "redacted").as_array().map_or(0, Vec::len);
    if 0 < deleted {
        texts.push(format!("{deleted} deleted since it was made"));
    }
    for (key, word) in [
        ("duplicate", "with a text that is there twice"),
        ("truncated", "longer than the model reads"),
        ("zero", "with a vector of zeros"),
        ("not_unit", "not of length 1"),
    ] {
        if let Some(count) = at(counts, key).as_u64().filter(|count| 0 < *count) {
            texts.push(format!("{} {word}", thousands(count)));
        }
    }
    let spent = at(manifest, "spent");
    let requests = at(spent, "requests").as_u64().unwrap_or(0);
    let asked = format!(
        "{}, {} tokens, {}",
        counted(requests, "request"),
        number(at(spent, "tokens")),
        cost(spent)
    );
    let cut_off = at(spent, "cut_off").as_u64().filter(|count| 0 < *count);
    let asked = cut_off.map_or(asked.clone(), |count| {
        format!(
            "{asked}; {} more were cut off, paid or not",
            thousands(count)
        )
    });
    let source = at(at(manifest, "source"), "detail");
    let source = source.as_str().map(clean).unwrap_or_default();
    [
        ("model", model(manifest)),
        ("space", text(at(manifest, "space_id"))),
        ("settings", settings(space)),
        (
            "vectors",
            format!(
                "{} dimensions, kept as {}",
                at(manifest, "dimensions"),
                text(at(manifest, "precision"))
            ),
        ),
        ("texts", texts.join(", ")),
        ("asked", asked),
        ("noise", noise(at(manifest, "noise"))),
        ("from", source),
        ("created", time(at(manifest, "created"))),
    ]
}

fn model(manifest: &Value) -> String {
    let model = text(at(at(manifest, "space"), "model"));
    match at(manifest, "model_returned").as_str() {
        Some(returned) if !model.ends_with(returned) => {
            format!("{model} (the provider says {})", clean(returned))
        }
        _ => model,
    }
}

/// What of a space is not as usual.
fn settings(space: &Value) -> String {
    let mut words = Vec::new();
    let fields = space.as_object().into_iter().flatten();
    for (key, value) in fields.filter(|(key, _)| *key != "model") {
        match value {
            Value::Object(side) => {
                let said = side
                    .iter()
                    .map(|(name, value)| format!("{key}.{name} {value}"));
                words.extend(said);
            }
            Value::Bool(false) | Value::Null => {}
            Value::Bool(true) => words.push(key.clone()),
            other => words.push(format!("{key} {other}")),
        }
    }
    words.join(", ")
}

fn noise(noise: &Value) -> String {
    let share = |key: &str| at(noise, key).as_f64().unwrap_or(0.0);
    let Some(texts) = at(noise, "texts").as_u64() else {
        return String::new();
    };
    format!(
        "{} texts embedded again: {:.4} of the ten nearest stay, {:.4} of the nearest; largest difference {:.1e}",
        thousands(texts),
        share("overlap"),
        share("top_1"),
        share("max_deviation"),
    )
}
