//! How far the outputs of both sides lie apart, with the answers that moved most beside each other.

use crate::evals::render::shift::{of_report, sentences};
use crate::evals::render::words;
use crate::evals::report::RunReport;
use crate::wire::escape::{html, html_prose};
use std::fmt::Write as _;

pub(super) fn section(out: &mut String, report: &RunReport) {
    for (shift, subject) in of_report(report) {
        let _ = write!(
            out,
            "<h2>How far outputs moved <small>{}</small></h2>\n<ul class=\"notes\">",
            html(&words::cut(&subject.subject, 200))
        );
        for sentence in sentences(shift, subject) {
            let _ = write!(out, "<li>{}</li>", html_prose(&sentence));
        }
        out.push_str("</ul>\n");
        if subject.furthest.is_empty() {
            continue;
        }
        out.push_str("<div class=\"sheet\">");
        for case in &subject.furthest {
            let _ = write!(
                out,
                "<details class=\"case\"><summary><span class=\"what\"><code>{}</code></span>\
                 <span class=\"small\">alike to {:.3}</span></summary>\n<div class=\"inside\">",
                html(&words::cut(&case.case, 120)),
                case.similarity
            );
            for (side, text) in [("base", &case.base), ("head", &case.head)] {
                let _ = write!(
                    out,
                    "<p><b>{side}</b></p><pre class=\"text\">{}</pre>",
                    html(text)
                );
            }
            out.push_str("</div></details>");
        }
        out.push_str("</div>\n");
    }
}
