//! The report as one page that needs nothing else: no request leaves it, and no script in it but ours runs.
//!
//! The content security policy allows one style sheet and one script, by their hashes. Plots are drawn here;
//! the script only lets people sort, filter, link and move what is there. Everything that came from outside is
//! text: escaped where the page is written, and set as text where the script adds to it.

mod answers;
mod clusters;
mod densities;
mod figures;
mod histograms;
mod plots;
mod projection;
mod scores;
mod settings;
mod top;

use crate::embeddings::compare::report::ComparisonReport;
use crate::embeddings::render::words::{self, Tone};
use crate::wire::escape::{html, html_prose};
use crate::wire::page::Page;
use crate::wire::plain::cut;
use std::fmt::Write as _;

const PAGE: Page = Page {
    style: include_str!("page.css"),
    script: include_str!("page.js"),
};

/// Bytes of a sentence, of a name, and characters of the beginning of a text.
const MAX_SENTENCE: usize = 2_000;
const MAX_NAME: usize = 160;
const MAX_TEXT: usize = 200;

/// A part of the page, which its list of contents leads to.
struct Section {
    id: &'static str,
    /// Its name in the list of contents.
    short: &'static str,
    title: &'static str,
    /// What stands small beside the title, escaped.
    aside: String,
    /// What is in it, escaped.
    body: String,
}

/// Returns the page.
#[must_use]
pub fn page(report: &ComparisonReport) -> String {
    let sections: Vec<Section> = [
        settings::section(report),
        figures::section(report),
        histograms::section(report),
        answers::queries(report),
        answers::movers(report),
        scores::section(report),
        projection::section(report),
        clusters::section(report),
        figures::geometry(report),
        top::method(report),
    ]
    .into_iter()
    .flatten()
    .collect();
    let mut out = String::with_capacity(256 * 1024);
    out.push_str(&PAGE.begin(&format!(
        "{} and {}: {}",
        name(&report.a.name),
        name(&report.b.name),
        words::verdict(report.verdict.kind),
    )));
    top::header(&mut out, report);
    contents(&mut out, &sections);
    out.push_str("<main>\n");
    top::cards(&mut out, report);
    top::gates(&mut out, report);
    top::findings(&mut out, report);
    for section in &sections {
        section.write(&mut out);
    }
    out.push_str("</main>\n");
    top::foot(&mut out, report);
    out.push_str(&PAGE.end(&projection::data(report)));
    out
}

impl Section {
    fn write(&self, out: &mut String) {
        let (id, title, body) = (self.id, self.title, &self.body);
        let aside = match self.aside.as_str() {
            "" => String::new(),
            aside => format!(" <small>{aside}</small>"),
        };
        let _ = write!(
            out,
            "<section id=\"{id}\" aria-labelledby=\"{id}-title\">\n<h2 id=\"{id}-title\">{title}{aside}</h2>\n{body}</section>\n"
        );
    }
}

fn contents(out: &mut String, sections: &[Section]) {
    out.push_str("<nav aria-label=\"contents\"><ul>");
    for section in sections {
        let _ = write!(
            out,
            "<li><a href=\"#{}\">{}</a></li>",
            section.id, section.short
        );
    }
    out.push_str("</ul></nav>\n");
}

/// A name, bounded and escaped.
fn name(text: &str) -> String {
    html(&words::one_line(&cut(text, MAX_NAME)))
}

/// A sentence, bounded and escaped, with its code.
fn sentence(text: &str) -> String {
    html_prose(&cut(text, MAX_SENTENCE))
}

/// The beginning of a text, on one line, escaped.
fn beginning(text: &str) -> String {
    html(&words::beginning(text, MAX_TEXT))
}

/// The class of a tone.
const fn class(tone: Tone) -> &'static str {
    match tone {
        Tone::Good => "good",
        Tone::Bad => "bad",
        Tone::Doubtful => "doubt",
        Tone::Neutral => "plain",
    }
}

/// The sign of a tone, so that colour is not all there is.
const fn sign(tone: Tone) -> &'static str {
    match tone {
        Tone::Good => "✓",
        Tone::Bad => "✕",
        Tone::Doubtful => "?",
        Tone::Neutral => "•",
    }
}

fn badge(tone: Tone, text: &str) -> String {
    let (class, sign) = (class(tone), sign(tone));
    format!("<span class=\"badge {class}\"><span aria-hidden=\"true\">{sign}</span> {text}</span>")
}

/// A head of a column that sorts by it.
fn sort_head(label: &str, is_number: bool) -> String {
    let kind = if is_number {
        " class=\"number\" data-number=\"1\""
    } else {
        ""
    };
    format!("<th scope=\"col\"{kind}><button type=\"button\">{label}</button></th>")
}
