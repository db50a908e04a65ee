//! `promptgate prompts explain`: what a recorded call was made from, part by part.

use crate::app::Environment;
use crate::cli::Common;
use crate::cli::output::{self, Failure, at};
use crate::cli::paint::{Paint, Style, clean};
use crate::cli::reach::{Admin, escape};
use crate::domain::PicoDollars;
use serde_json::Value;
use std::fmt::Write as _;

/// Explains the call with this id, or the first characters of one.
pub(crate) async fn run(
    id: &str,
    common: &Common,
    environment: &Environment,
) -> Result<(), Failure> {
    let admin = Admin::reach(common, environment)?;
    let answer = admin
        .get(&format!("/api/calls/{}/explanation", escape(id)))
        .await;
    admin.close().await?;
    let answer = answer?;
    if common.json {
        return output::put(&format!("{answer}\n"));
    }
    output::put(&write(&answer, Paint::of_stdout(environment)))
}

/// The text at `key`, as far as a terminal may have it.
fn text(value: &Value, key: &str) -> String {
    at(value, key)
        .as_str()
        .map_or_else(|| "-".to_owned(), clean)
}

fn list<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    at(value, key).as_array().into_iter().flatten()
}

/// A value in short.
fn short(value: &Value) -> String {
    match value {
        Value::String(text) => clean(text),
        other => other.to_string(),
    }
}

fn write(answer: &Value, paint: Paint) -> String {
    let mut out = String::new();
    let call = at(answer, "call");
    let _ = writeln!(
        out,
        "{} {}, {} by {}, {}",
        paint.text(Style::Strong, "call"),
        text(call, "id"),
        crate::cli::calls::time(at(call, "started")),
        text(call, "caller"),
        at(call, "state").as_str().unwrap_or("in flight"),
    );
    prompt(&mut out, at(answer, "prompt"), paint);
    variables(&mut out, answer, paint);
    messages(&mut out, answer, paint);
    model(&mut out, answer, paint);
    cost(&mut out, at(answer, "cost"), paint);
    out
}

fn heading(out: &mut String, name: &str, paint: Paint) {
    let _ = writeln!(out, "\n{}", paint.text(Style::Strong, name));
}

fn prompt(out: &mut String, prompt: &Value, paint: Paint) {
    if prompt.is_null() {
        return;
    }
    heading(out, "prompt", paint);
    let dirty = if at(prompt, "dirty") == true {
        " (uncommitted)"
    } else {
        ""
    };
    let _ = writeln!(
        out,
        "  {} {}{dirty}",
        text(prompt, "name"),
        text(prompt, "version")
    );
    for (name, value) in [
        ("asked for", text(prompt, "asked")),
        ("hash", text(prompt, "hash")),
        ("commit", text(prompt, "commit")),
        ("label", text(prompt, "label")),
        ("arm", text(prompt, "arm")),
    ] {
        if value != "-" {
            paint.paragraph(out, &format!("  {name:<11} "), 14, &value);
        }
    }
    let is_same = at(prompt, "reproduced") == true;
    let _ = writeln!(
        out,
        "  rendered again: {}",
        if is_same {
            "the same messages, proven by their hash".to_owned()
        } else {
            paint.text(Style::Warning, "other messages than were sent")
        }
    );
    for file in list(prompt, "files") {
        let hash: String = text(file, "sha256").chars().take(12).collect();
        let what = if at(file, "partial").is_null() {
            "template"
        } else {
            "partial"
        };
        let _ = writeln!(out, "  {what:<11} {}  sha256 {hash}", text(file, "path"));
    }
    if at(prompt, "lines_of_files") != true {
        out.push_str(
            "  lines count from the start of the template: only the archive has this version\n",
        );
    }
}

fn variables(out: &mut String, answer: &Value, paint: Paint) {
    if list(answer, "variables").next().is_none() {
        return;
    }
    heading(out, "variables", paint);
    for variable in list(answer, "variables") {
        let from = match text(variable, "from").as_str() {
            "call" => "sent by the call",
            "last_user_message" => "from the last user message",
            "default" => "default of the file",
            _ => "not sent",
        };
        let value = at(variable, "value");
        let value = if value.is_null() {
            String::new()
        } else {
            format!(": {}", short(value))
        };
        let head = format!("  {} ", text(variable, "name"));
        paint.paragraph(out, &head, 4, &format!("({from}){value}"));
    }
}

fn messages(out: &mut String, answer: &Value, paint: Paint) {
    heading(out, "messages", paint);
    for message in list(answer, "messages") {
        let from = if text(message, "from") == "prompt" {
            "by the prompt"
        } else {
            "by the client"
        };
        let _ = writeln!(
            out,
            "  {} ({from})",
            paint.text(Style::Strong, &text(message, "role"))
        );
        let spans: Vec<&Value> = list(message, "spans").collect();
        let places: Vec<String> = spans.iter().map(|span| place(span)).collect();
        let width = places
            .iter()
            .map(|place| place.chars().count())
            .max()
            .unwrap_or(0);
        for (span, place) in spans.into_iter().zip(places) {
            let style = if at(span, "value").is_null() {
                Style::Plain
            } else {
                Style::Added
            };
            let head = paint.text(Style::Faint, &format!("{place:<width$}"));
            for (index, line) in text(span, "text").lines().enumerate() {
                let head = if index == 0 {
                    head.clone()
                } else {
                    " ".repeat(width)
                };
                paint.marked(out, (&format!("    {head}  "), width + 6), style, line, &[]);
            }
        }
        let content = at(at(message, "message"), "content");
        if !content.is_null() {
            for line in short(content).lines() {
                paint.paragraph(out, "    ", 4, line);
            }
        }
    }
}

/// `support/refund.prompt:24 {{customer}} = /customer`.
fn place(span: &Value) -> String {
    let place = format!("{}:{}", text(span, "file"), at(span, "line"));
    let value = at(span, "value");
    if value.is_null() {
        return place;
    }
    let expression = text(value, "expression");
    let pointer = at(value, "pointer")
        .as_str()
        .filter(|pointer| pointer.trim_start_matches('/') != expression);
    let given = match text(value, "given").as_str() {
        "default" => ", a default",
        "options" => ", an option",
        "context" => ", of the context",
        _ => "",
    };
    let pointer = pointer.map_or_else(String::new, |pointer| format!(" = {pointer}"));
    format!("{place} {{{{{expression}}}}}{pointer}{given}")
}

fn model(out: &mut String, answer: &Value, paint: Paint) {
    let model = at(answer, "model");
    heading(out, "model and parameters", paint);
    let from = if text(model, "from") == "prompt" {
        "by the prompt"
    } else {
        "by the request"
    };
    let _ = write!(
        out,
        "  model {}/{} ({from})",
        text(model, "provider"),
        text(model, "sent")
    );
    let of_prompt = at(model, "of_prompt").as_str();
    if let Some(overruled) = of_prompt.filter(|_| text(model, "from") != "prompt") {
        let _ = write!(out, ", over the prompt's {overruled}");
    }
    if let Some(returned) = at(model, "returned").as_str() {
        let _ = write!(out, "; it says it used {returned}");
    }
    out.push('\n');
    for parameter in list(answer, "parameters") {
        let mut words = vec![
            if text(parameter, "from") == "prompt" {
                "by the prompt"
            } else {
                "by the request"
            }
            .to_owned(),
        ];
        let overruled = at(parameter, "overruled");
        if !overruled.is_null() {
            words.push(format!("over the prompt's {}", short(overruled)));
        }
        if at(parameter, "locked") == true {
            words.push("locked".to_owned());
        }
        let line = format!("{} ({})", short(at(parameter, "value")), words.join(", "));
        paint.paragraph(out, &format!("  {} ", text(parameter, "name")), 4, &line);
    }
}

fn cost(out: &mut String, cost: &Value, paint: Paint) {
    heading(out, "cost", paint);
    let dollars = |value: &Value| match value.as_u64() {
        Some(pico) => format!("${}", PicoDollars(pico).to_dollars()),
        None => "unknown".to_owned(),
    };
    for item in list(cost, "items") {
        let each = match at(item, "pico_usd_each").as_u64() {
            // A price per million tokens in micro-dollars is a price per token in pico-dollars.
            Some(pico) => format!(
                "${} per million",
                PicoDollars(pico.saturating_mul(1_000_000)).to_dollars()
            ),
            None => "no price".to_owned(),
        };
        let _ = writeln!(
            out,
            "  {:<14} {:>8} x {each} = {}",
            text(item, "class"),
            at(item, "tokens").to_string(),
            dollars(at(item, "pico_usd"))
        );
    }
    let price = at(cost, "price").as_str().map_or_else(
        || "no price is known".to_owned(),
        |price| format!("by {price}"),
    );
    let _ = writeln!(
        out,
        "  {} ({}, {price})",
        dollars(at(cost, "pico_usd")),
        text(cost, "quality")
    );
}
