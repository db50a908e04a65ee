//! Query by query: what was found before and what is found now, side by side; and the items whose neighbours
//! changed most.

use super::{MAX_SENTENCE, MAX_TEXT, Section, beginning, name, sort_head};
use crate::embeddings::compare::report::{ComparisonReport, Fate, Hit, ItemChange, QueryChange};
use crate::embeddings::render::numbers::{count, grouped, signed};
use crate::embeddings::render::{changed, words};
use crate::wire::escape::html;
use crate::wire::plain::cut;
use std::fmt::Write as _;

/// Queries and items that are shown, and answers of a side.
const MAX_QUERIES: usize = 500;
const MAX_MOVERS: usize = 40;
const MAX_HITS: usize = 6;

pub(super) fn queries(report: &ComparisonReport) -> Option<Section> {
    if report.queries.is_empty() {
        return None;
    }
    // Those that lose their answer first, then those that gain one: they are why somebody looks.
    let order = [Fate::Lost, Fate::Gained, Fate::Kept];
    let queries = order
        .into_iter()
        .flat_map(|fate| changed::of_fate(report, fate));
    let queries: Vec<&QueryChange> = queries.take(MAX_QUERIES).collect();
    let is_labelled = report
        .queries
        .iter()
        .any(|query| query.first_relevant.is_some());
    let mut body = String::new();
    tools(&mut body, is_labelled);
    body.push_str(
        "<div class=\"sheet\"><table class=\"stack sortable\" id=\"queries-table\"><thead><tr>",
    );
    body.push_str(&sort_head("query", false));
    if is_labelled {
        body.push_str(&sort_head("answer", false));
    }
    body.push_str(&sort_head("overlap", true));
    body.push_str(&sort_head("RBO", true));
    if is_labelled {
        body.push_str(&sort_head("first relevant", true));
        body.push_str(&sort_head("nDCG", true));
    }
    body.push_str("</tr></thead>\n");
    for query in &queries {
        row(&mut body, query, is_labelled);
    }
    body.push_str("</table></div>\n<p class=\"tools needs-script\"><button type=\"button\" id=\"queries-more\" hidden>Show more</button></p>\n");
    super::top::left_out(&mut body, report.queries.len(), MAX_QUERIES, "query");
    let aside = match changed::lost_and_gained(report) {
        Some((lost, gained)) => format!(
            "{} lost, {} gained, {}",
            grouped(lost),
            grouped(gained),
            changed::among(report)
        ),
        None => format!(
            "{}, those that changed most first",
            count(queries.len(), "query")
        ),
    };
    Some(Section {
        id: "queries",
        short: "Queries",
        title: "Query by query",
        aside,
        body,
    })
}

fn tools(out: &mut String, is_labelled: bool) {
    let fates = if is_labelled {
        "<option value=\"lost\">lost its answer</option><option value=\"gained\">gained an answer</option>"
    } else {
        ""
    };
    let _ = writeln!(
        out,
        "<div class=\"tools needs-script\"><input id=\"queries-search\" type=\"search\" placeholder=\"Search queries and answers ( / )\" aria-label=\"search queries and answers\">\
         <select id=\"queries-kind\" aria-label=\"which queries\"><option value=\"all\">all</option>{fates}<option value=\"changed\">another first answer</option><option value=\"same\">the same first answer</option></select>\
         <output id=\"queries-shown\"></output></div>"
    );
}

const fn fate(fate: Fate) -> (&'static str, &'static str) {
    match fate {
        Fate::Lost => (
            "lost",
            "<span class=\"badge bad\"><span aria-hidden=\"true\">✕</span> lost</span>",
        ),
        Fate::Gained => (
            "gained",
            "<span class=\"badge good\"><span aria-hidden=\"true\">✓</span> gained</span>",
        ),
        Fate::Kept => ("kept", "<span class=\"soft\">as before</span>"),
    }
}

fn row(out: &mut String, query: &QueryChange, is_labelled: bool) {
    let (kind, badge) = fate(query.fate);
    let same = if query.is_top1_same {
        "same"
    } else {
        "changed"
    };
    let columns = if is_labelled { 6 } else { 3 };
    let whole = changed::query(query);
    let text = beginning(whole);
    // What was cut above is told here.
    let rest = if whole.chars().count() <= MAX_TEXT {
        String::new()
    } else {
        html(&cut(whole, MAX_SENTENCE)) + " "
    };
    let _ = write!(
        out,
        "<tbody data-kind=\"{kind} {same}\"><tr class=\"query\"><td class=\"name\"><button type=\"button\" class=\"opener\">{text}</button></td>"
    );
    if is_labelled {
        let _ = write!(
            out,
            "<td class=\"verdict\" data-key=\"{kind}\">{badge}</td>"
        );
    }
    numbers(out, query, is_labelled);
    let _ = write!(
        out,
        "</tr><tr class=\"more\"><td colspan=\"{columns}\"><p class=\"whole-text\">{rest}<code>{}</code></p>",
        name(&query.id)
    );
    beside(out, &query.a, &query.b, "first answers");
    out.push_str("</td></tr></tbody>\n");
}

/// Writes the figures of a query.
fn numbers(out: &mut String, query: &QueryChange, is_labelled: bool) {
    let number = |out: &mut String, label: &str, key: Option<f64>, text: &str| {
        let key = key
            .filter(|key| key.is_finite())
            .map_or_else(String::new, |key| key.to_string());
        let _ = write!(
            out,
            "<td class=\"number\" data-label=\"{label}\" data-key=\"{key}\">{text}</td>"
        );
    };
    number(
        out,
        "overlap",
        Some(query.overlap),
        &words::two(query.overlap),
    );
    number(out, "RBO", Some(query.rbo), &words::two(query.rbo));
    if is_labelled {
        let (change, told) = ranks(query);
        number(out, "first relevant", change, &told);
        let delta = query.ndcg.map(|[a, b]| b - a);
        let told = delta.map(|delta| {
            let tone = if delta < 0.0 {
                "lost"
            } else if 0.0 < delta {
                "gained"
            } else {
                "soft"
            };
            format!("<span class=\"{tone}\">{}</span>", signed(delta, 2))
        });
        number(out, "nDCG", delta, &told.unwrap_or_default());
    }
}

/// How far the first relevant answer fell (what is not found fell below all), and in words.
fn ranks(query: &QueryChange) -> (Option<f64>, String) {
    let Some([a, b]) = query.first_relevant else {
        return (None, String::new());
    };
    let place =
        |rank: Option<usize>| crate::embeddings::render::numbers::real(rank.unwrap_or(1_000));
    (
        Some(place(b) - place(a)),
        format!("{} → {}", changed::rank(a), changed::rank(b)),
    )
}

/// Writes the lists of both sides, one beside the other; each entry says where it is in the other one.
fn beside(out: &mut String, a: &[Hit], b: &[Hit], what: &str) {
    out.push_str("<div class=\"beside pair\">");
    for (side, hits, others) in [("A", a, b), ("B", b, a)] {
        let class = side.to_lowercase();
        let _ = write!(
            out,
            "<div><h4><i class=\"side {class}\" aria-hidden=\"true\"></i>{what} in {side}</h4><ol class=\"hits\">"
        );
        for (rank, hit) in (1_usize..).zip(hits.iter().take(MAX_HITS)) {
            entry(out, side, (rank, hit), (a, others));
        }
        out.push_str("</ol>");
        if let Some(more) = hits.len().checked_sub(MAX_HITS).filter(|more| 0 < *more) {
            let _ = write!(out, "<p class=\"quiet\">and {more} more</p>");
        }
        out.push_str("</div>");
    }
    out.push_str("</div>");
}

fn entry(out: &mut String, side: &str, (rank, hit): (usize, &Hit), (a, others): (&[Hit], &[Hit])) {
    let place = |hits: &[Hit]| hits.iter().position(|other| other.id == hit.id);
    let (moved, class) = match (place(others).map(|place| place + 1), side) {
        (Some(other), _) if other == rank => ("same rank".to_owned(), "stays"),
        (Some(other), "A") => (format!("→ {other}"), "stays"),
        (Some(other), _) => (format!("was {other}"), "stays"),
        (None, "A") => ("leaves".to_owned(), "leaves"),
        (None, _) => ("new".to_owned(), "enters"),
    };
    // The script shows what belongs together by these keys.
    let key = place(a).map_or_else(String::new, |place| format!(" data-key=\"{place}\""));
    let relevant = if changed::is_relevant(hit) {
        "<span class=\"relevant\">relevant</span> "
    } else {
        ""
    };
    let span = hit.span.as_ref().map_or_else(String::new, |span| {
        format!(
            " in {}, bytes {} to {}",
            name(&span.source),
            span.start,
            span.end
        )
    });
    let text = hit
        .text
        .as_ref()
        .map_or_else(String::new, |text| format!("{} ", beginning(text)));
    let _ = write!(
        out,
        "<li class=\"{class}\"{key}><span class=\"rank\">{rank}</span><span class=\"text\">{text}<small>{relevant}<code>{}</code>{span}</small></span><span class=\"score\">{}<small>{moved}</small></span></li>",
        name(&hit.id),
        words::two(hit.score),
    );
}

pub(super) fn movers(report: &ComparisonReport) -> Option<Section> {
    if report.movers.is_empty() {
        return None;
    }
    let mut body = String::from("<div class=\"sheet\">\n");
    for (index, item) in report.movers.iter().take(MAX_MOVERS).enumerate() {
        mover(&mut body, item, index == 0);
    }
    body.push_str("</div>\n");
    super::top::left_out(&mut body, report.movers.len(), MAX_MOVERS, "item");
    Some(Section {
        id: "movers",
        short: "Movers",
        title: "Items that moved most",
        aside: "their nearest neighbours, before and after".to_owned(),
        body,
    })
}

fn mover(out: &mut String, item: &ItemChange, is_open: bool) {
    let open = if is_open { " open=\"\"" } else { "" };
    let text = item.text.as_deref().unwrap_or(&item.id);
    let _ = write!(
        out,
        "<details class=\"fold\"{open}><summary><span class=\"what\">{} <code>{}</code></span><span class=\"soft\">{}</span></summary><div class=\"inset\">",
        beginning(text),
        name(&item.id),
        html(&format!(
            "overlap {}, RBO {}",
            words::two(item.overlap),
            words::two(item.rbo)
        )),
    );
    beside(out, &item.a, &item.b, "nearest");
    out.push_str("</div></details>\n");
}
