//! The report as one page that needs nothing else: no request leaves it, and no script in it but ours runs.
//!
//! The content security policy allows one style sheet and one script, by their hashes. Everything that came from
//! a run is text: escaped where the page is written, and set as text where the script adds to it.

mod cases;
mod figures;
mod plots;
mod sections;
mod shift;

use crate::evals::plan::Side;
use crate::evals::render::words;
use crate::evals::report::{RunReport, Verdict};
use crate::wire::escape::{html, html_prose};
use crate::wire::page::Page;
use std::fmt::Write as _;

const PAGE: Page = Page {
    style: include_str!("page.css"),
    script: include_str!("page.js"),
};

/// Returns the page.
#[must_use]
pub fn page(report: &RunReport) -> String {
    let mut out = String::with_capacity(64 * 1024);
    out.push_str(&PAGE.begin(&format!(
        "{}: {}",
        html(&words::cut(&report.suite.name, 200)),
        words::verdict(report.verdict),
    )));
    top(&mut out, report);
    out.push_str("<main>\n");
    sections::cards(&mut out, report);
    figures::metrics(&mut out, report);
    sections::notes(&mut out, report);
    sections::changed(&mut out, report);
    figures::distributions(&mut out, report);
    shift::section(&mut out, report);
    figures::slices(&mut out, report);
    figures::groups(&mut out, report);
    figures::safety(&mut out, report);
    cases::table(&mut out, report);
    out.push_str("</main>\n");
    sections::foot(&mut out, report);
    out.push_str(&PAGE.end(&cases::data(report)));
    out
}

fn top(out: &mut String, report: &RunReport) {
    let verdict = words::verdict(report.verdict);
    let described = report.suite.description.as_deref().unwrap_or("Eval report");
    let _ = write!(
        out,
        "<header class=\"top\">\n<p class=\"eyebrow\">{}</p>\n<div class=\"title\"><h1>{}</h1>\
         <span class=\"badge {verdict}\">{} {verdict}</span></div>\n<p class=\"lead\">{}</p>\n<ul class=\"facts\">",
        html(&words::cut(described, 300)),
        html(&words::cut(&report.suite.name, 200)),
        sign(report.verdict),
        html_prose(&words::cut(&report.summary, 2_000)),
    );
    for side in [Side::Base, Side::Head] {
        if let Some(line) = report.sides.iter().find(|line| line.side == side) {
            let _ = write!(
                out,
                "<li>{} <b>{}</b></li>",
                words::side_name(side),
                html(&words::side(line))
            );
        }
    }
    let _ = write!(
        out,
        "<li>run on <b>{}</b></li>",
        html(&words::time(report.began).replace('T', " "))
    );
    if let Some(by) = &report.by {
        let _ = write!(out, "<li>for <b>{}</b></li>", html(by));
    }
    out.push_str("</ul>\n</header>\n");
}

const fn sign(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Passed => "✓",
        Verdict::Failed => "✕",
        Verdict::Inconclusive => "?",
        Verdict::Invalid => "!",
    }
}

/// Writes a command with a button that copies it.
fn command(out: &mut String, text: &str) {
    let text = html(&words::cut(text, 2_000));
    let _ = write!(
        out,
        "<div class=\"command\"><code>{text}</code><button type=\"button\" data-copy=\"{text}\" hidden>Copy</button></div>"
    );
}
