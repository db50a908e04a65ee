//! What all forms say in the same words: verdicts, figures, what is compared, and what was lost.

use super::numbers::{count, decimals, fixed, grouped, number, percent, signed};
use crate::embeddings::compare::report::{
    Alignment, ComparisonReport, Figure, FigureGroup, GateOutcome, Method, Noise, SnapshotFacts,
    Verdict, VerdictKind,
};
use crate::wire::plain::{chance, cut};

/// How a thing is to be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    Good,
    Bad,
    Doubtful,
    Neutral,
}

/// Returns a verdict in a word or two.
pub(super) const fn verdict(kind: VerdictKind) -> &'static str {
    match kind {
        VerdictKind::Identical => "identical",
        VerdictKind::Compatible => "compatible",
        VerdictKind::SameQuality => "same quality",
        VerdictKind::Better => "better",
        VerdictKind::Worse => "worse",
        VerdictKind::UnknownDirection => "changed, direction unknown",
        VerdictKind::MixedIndexForbidden => "must not be mixed",
        VerdictKind::NotWorthIt => "not worth it",
        VerdictKind::CannotDecide => "cannot decide",
    }
}

/// Returns how a verdict is to be taken.
pub(super) const fn tone(kind: VerdictKind) -> Tone {
    match kind {
        VerdictKind::Identical
        | VerdictKind::Compatible
        | VerdictKind::SameQuality
        | VerdictKind::Better => Tone::Good,
        VerdictKind::Worse => Tone::Bad,
        VerdictKind::UnknownDirection
        | VerdictKind::MixedIndexForbidden
        | VerdictKind::CannotDecide => Tone::Doubtful,
        VerdictKind::NotWorthIt => Tone::Neutral,
    }
}

/// Returns what came of a gate, in a word or two, and how it is to be taken.
pub(super) const fn outcome(outcome: GateOutcome) -> (&'static str, Tone) {
    match outcome {
        GateOutcome::Passed => ("passed", Tone::Good),
        GateOutcome::Failed => ("failed", Tone::Bad),
        GateOutcome::CannotDecide => ("cannot decide", Tone::Doubtful),
    }
}

/// Returns how many more queries would decide, as a sentence, where what was `said` does not say it already.
pub(super) fn more_queries(said: &str, more: Option<u64>) -> Option<String> {
    let more = usize::try_from(more?).unwrap_or(usize::MAX);
    if [
        "more queries would decide",
        "more labelled queries would decide",
    ]
    .iter()
    .any(|words| said.contains(words))
    {
        return None;
    }
    let queries = if more == 1 { "query" } else { "queries" };
    Some(format!(
        "About {} more {queries} would decide.",
        grouped(more)
    ))
}

/// Returns a sentence with its full stop, so that another may follow.
pub(super) fn stopped(text: &str) -> String {
    let text = text.trim_end();
    if text.is_empty() || text.ends_with(['.', '!', '?', '…']) {
        text.to_owned()
    } else {
        format!("{text}.")
    }
}

/// Returns the findings that the verdict does not say already.
pub(super) fn findings(report: &ComparisonReport) -> impl Iterator<Item = &Verdict> {
    let is_new = |finding: &&Verdict| finding.sentence != report.verdict.sentence;
    report.findings.iter().filter(is_new)
}

/// Returns what heads a group of figures.
pub(super) const fn group(group: FigureGroup) -> &'static str {
    match group {
        FigureGroup::Queries => "How much the answers to queries change",
        FigureGroup::Items => "How much the neighbours of items change",
        FigureGroup::Labels => "How good the answers are, by labels",
        FigureGroup::Cross => "Whether one index may hold both",
        FigureGroup::Descriptor => "Geometry, which decides nothing",
    }
}

/// The groups of figures that are shown first, in their order.
pub(super) const DECIDING: [FigureGroup; 4] = [
    FigureGroup::Labels,
    FigureGroup::Queries,
    FigureGroup::Items,
    FigureGroup::Cross,
];

/// Returns the figures of a group.
pub(super) fn figures(
    report: &ComparisonReport,
    group: FigureGroup,
) -> impl Iterator<Item = &Figure> {
    report
        .figures
        .iter()
        .filter(move |figure| figure.group == group)
}

/// Returns the figures of change, the headline of each group first.
pub(super) fn changes(report: &ComparisonReport) -> Vec<&Figure> {
    let queries = figures(report, FigureGroup::Queries);
    let mut all: Vec<&Figure> = queries.chain(figures(report, FigureGroup::Items)).collect();
    all.sort_by_key(|figure| !is_headline(report, figure));
    all
}

/// Returns whether a figure is the overlap that verdicts and gates speak of.
fn is_headline(report: &ComparisonReport, figure: &Figure) -> bool {
    let k = report.method.k;
    ["query", "item"]
        .iter()
        .any(|asked| figure.id == format!("{asked}.overlap@{k}"))
}

/// Returns whether a figure is among those that are looked at first.
pub(super) fn is_leading(report: &ComparisonReport, figure: &Figure) -> bool {
    match figure.group {
        FigureGroup::Labels | FigureGroup::Cross => true,
        FigureGroup::Descriptor => false,
        FigureGroup::Queries | FigureGroup::Items => {
            let is_of = |name: &str| figure.id.ends_with(name);
            is_headline(report, figure) || is_of(".rbo") || is_of(".top1")
        }
    }
}

/// Returns a figure's name where nothing else says whose lists it is of.
pub(super) fn title(figure: &Figure) -> String {
    match figure.group {
        FigureGroup::Queries => format!("{} (queries)", figure.title),
        FigureGroup::Items => format!("{} (items)", figure.title),
        FigureGroup::Labels | FigureGroup::Cross | FigureGroup::Descriptor => figure.title.clone(),
    }
}

/// Returns how many there are, where a figure counts queries and is no share.
pub(super) fn counted(figure: &Figure) -> Option<usize> {
    let is_count = matches!(figure.id.as_str(), "label.lost" | "label.gained");
    let count = format!("{:.0}", figure.estimate.value);
    count.parse().ok().filter(|_| is_count)
}

/// Returns whether a figure is B less A. Then its sign counts, and 0 is where nothing changed.
pub(super) fn is_difference(figure: &Figure) -> bool {
    figure
        .sides
        .is_some_and(|[a, b]| (b - a - figure.estimate.value).abs() <= 1e-3_f64.max(a.abs() * 1e-3))
}

/// Returns a figure: `0.541`, `+0.058`, `13` of a count.
pub(super) fn value(figure: &Figure) -> String {
    if let Some(count) = counted(figure) {
        return grouped(count);
    }
    let decimals = decimals(&figure.estimate, figure.has_interval);
    if is_difference(figure) {
        signed(figure.estimate.value, decimals)
    } else {
        fixed(figure.estimate.value, decimals)
    }
}

/// Returns the interval of a figure: `[0.530, 0.552]`.
pub(super) fn interval(figure: &Figure) -> Option<String> {
    if !figure.has_interval {
        return None;
    }
    let decimals = decimals(&figure.estimate, true);
    let show: fn(f64, usize) -> String = if is_difference(figure) { signed } else { fixed };
    let interval = figure.estimate.interval;
    Some(format!(
        "[{}, {}]",
        show(interval.low, decimals),
        show(interval.high, decimals)
    ))
}

/// Returns a figure with its interval.
pub(super) fn with_interval(figure: &Figure) -> String {
    match interval(figure) {
        Some(interval) => format!("{} {interval}", value(figure)),
        None => value(figure),
    }
}

/// Returns the figures of both sides, as fine as the estimate.
pub(super) fn sides(figure: &Figure) -> Option<[String; 2]> {
    let decimals = decimals(&figure.estimate, figure.has_interval);
    figure
        .sides
        .map(|sides| sides.map(|side| fixed(side, decimals)))
}

/// Returns how a figure is to be taken: only a difference of labels has a direction, and only where its
/// interval leaves no doubt.
pub(super) fn direction(figure: &Figure) -> Tone {
    if figure.group != FigureGroup::Labels || !is_difference(figure) || !figure.has_interval {
        return Tone::Neutral;
    }
    let interval = figure.estimate.interval;
    if 0.0 < interval.low {
        Tone::Good
    } else if interval.high < 0.0 {
        Tone::Bad
    } else {
        Tone::Neutral
    }
}

/// Returns what else is known of a figure, in words: `p < .0001, better/worse/same 460/231/409`.
pub(super) fn remarks(figure: &Figure) -> Vec<String> {
    let mut remarks = Vec::new();
    if let Some(p) = figure.p_value {
        let p = chance(p);
        remarks.push(if p.starts_with('<') {
            format!("p {p}")
        } else {
            format!("p = {p}")
        });
    }
    if let Some([wins, losses, ties]) = figure.win_loss_tie {
        remarks.push(format!(
            "B better on {}, worse on {}, same on {}",
            grouped(wins),
            grouped(losses),
            grouped(ties)
        ));
    }
    if let Some(detectable) = figure.detectable {
        remarks.push(format!("sees differences from {} on", number(detectable)));
    }
    remarks
}

/// Returns a figure that others are held against: finer where it is close to 0 or 1.
pub(super) fn yardstick(value: f64) -> String {
    fixed(value, if (0.01..=0.99).contains(&value) { 3 } else { 4 })
}

/// Returns what a figure is held against: what noise alone and chance alone give.
pub(super) fn yardsticks(figure: &Figure) -> Option<String> {
    let noise = figure
        .noise
        .map(|noise| format!("noise {}", yardstick(noise)));
    let chance = figure
        .chance
        .map(|chance| format!("chance {}", yardstick(chance)));
    let parts: Vec<String> = noise.into_iter().chain(chance).collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

/// Returns a threshold that somebody chose: two decimals, or three where it has them.
pub(super) fn chosen(score: f64) -> String {
    let text = score_of(score);
    text.strip_suffix('0').map_or(text.clone(), str::to_owned)
}

/// Returns a score that was computed: three decimals.
pub(super) fn score_of(score: f64) -> String {
    if score.is_finite() {
        crate::wire::plain::real_minus(&format!("{score:.3}"))
    } else {
        "unknown".to_owned()
    }
}

/// Returns a number with two decimals.
pub(super) fn two(number: f64) -> String {
    fixed(number, 2)
}

/// Returns what the noise of a side is, in a sentence.
pub(super) fn noise(noise: &Noise) -> String {
    let side = side(noise.side);
    let overlap = decimals(&noise.overlap, true);
    let differs = if 0.0 < noise.max_deviation {
        format!(
            "no dimension differs by more than {:.1e}",
            noise.max_deviation
        )
    } else {
        "no dimension differs".to_owned()
    };
    format!(
        "{side} embedded {} twice: they keep {} [{}, {}] of their neighbours, {} have the same nearest one, and {differs}.",
        count(noise.texts, "text"),
        fixed(noise.overlap.value, overlap),
        fixed(noise.overlap.interval.low, overlap),
        fixed(noise.overlap.interval.high, overlap),
        percent(noise.top1)
    )
}

/// Returns the name of a side.
pub(super) const fn side(side: usize) -> &'static str {
    if side == 0 { "A" } else { "B" }
}

/// Returns a snapshot in a line: model, and the adapter whose vectors they are, length, precision, items.
pub(super) fn snapshot(facts: &SnapshotFacts) -> String {
    let adapter = facts.space.adapter.as_deref().map(|hash| {
        let short: String = hash.chars().take(12).collect();
        format!(" by adapter-{short}")
    });
    format!(
        "{}{}, {}, {}, {}",
        one_line(&cut(&facts.space.model, 120)),
        one_line(&adapter.unwrap_or_default()),
        count(facts.dimensions, "dimension"),
        one_line(&cut(&facts.precision, 20)),
        count(facts.items, "item")
    )
}

/// Returns what is compared and what is left out, in sentences.
pub(super) fn alignment(alignment: &Alignment) -> Vec<String> {
    let how = if alignment.is_by_span {
        ", matched by where they stand in their sources"
    } else {
        ""
    };
    let mut lines = vec![format!(
        "{} compared{how}.",
        count(alignment.compared, "item")
    )];
    let mut left = Vec::new();
    for (number, what) in [
        (alignment.only_a, "only in A"),
        (alignment.only_b, "only in B"),
        (alignment.changed_text, "with another text in B"),
    ] {
        if 0 < number {
            left.push(format!("{} {what}", grouped(number)));
        }
    }
    if !left.is_empty() {
        lines.push(format!("Not compared: {}.", left.join(", ")));
    }
    for (counts, what) in [
        (alignment.zero, "vectors are zero and left out"),
        (
            alignment.not_unit,
            "vectors are not of length 1, though their space says so",
        ),
        (
            alignment.duplicates,
            "items have a text that another one has too",
        ),
        (
            alignment.truncated.map(Option::unwrap_or_default),
            "texts are longer than the model reads",
        ),
    ] {
        if counts != [0, 0] {
            let [a, b] = counts.map(grouped);
            lines.push(format!("{a} in A and {b} in B: {what}."));
        }
    }
    lines
}

/// Returns how a comparison was made, in sentences.
pub(super) fn method(method: &Method) -> Vec<String> {
    let from = match method.queries_from.as_str() {
        "file" => "from a file",
        "calls" => "from recorded calls",
        "items" => "the items themselves",
        other => other,
    };
    let labelled = match method.labelled {
        0 => "none of them labelled".to_owned(),
        all if all == method.queries => "all labelled".to_owned(),
        some => format!("{} labelled", grouped(some)),
    };
    let early = if method.stopped_early {
        ", and it stopped early, because the answer was clear"
    } else {
        ""
    };
    let mut lines = vec![format!(
        "{} ({}, {labelled}), lists of {}, neighbours of {}{early}.",
        count(method.queries, "query"),
        one_line(&cut(from, 60)),
        method.k,
        count(method.sampled_items, "item"),
    )];
    lines.push(format!(
        "A difference of nDCG counts from {} on. Seed {}.",
        number(method.margin),
        method.seed
    ));
    lines.extend(method.notes.iter().map(|note| one_line(&cut(note, 1_000))));
    lines
}

/// Returns what the queries could have shown, in a sentence for all figures that could show the same.
pub(super) fn detectable(report: &ComparisonReport) -> Vec<String> {
    let mut lines: Vec<(String, Vec<String>)> = Vec::new();
    for figure in &report.figures {
        let Some(seen) = figure.detectable.filter(|seen| seen.is_finite()) else {
            continue;
        };
        let told = format!(
            "{} would have shown a difference of {} in four cases of five",
            count(figure.n, "query"),
            number(seen)
        );
        let name = one_line(&cut(&figure.title, 120));
        match lines.iter_mut().find(|(other, _)| *other == told) {
            Some((_, names)) => names.push(name),
            None => lines.push((told, vec![name])),
        }
    }
    let joined = |(told, names): (String, Vec<String>)| format!("{}: {told}.", names.join(", "));
    lines.into_iter().map(joined).collect()
}

/// Returns a JSON value as people read it: a word without quotes where that is plain, and `not set`.
pub(super) fn setting(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::Null => "not set".to_owned(),
        serde_json::Value::Bool(true) => "yes".to_owned(),
        serde_json::Value::Bool(false) => "no".to_owned(),
        serde_json::Value::String(text) if text.trim() == text && !text.is_empty() => {
            one_line(&cut(text, 300))
        }
        other => one_line(&cut(&other.to_string(), 300)),
    }
}

/// Returns a text on one line.
pub(super) fn one_line(text: &str) -> String {
    text.replace(['\n', '\t', '\r'], " ")
}

/// Returns at most so many characters of a text on one line, with `…` where something is missing.
pub(super) fn beginning(text: &str, characters: usize) -> String {
    match text.char_indices().nth(characters) {
        None => one_line(text),
        Some((end, _)) => one_line(text.get(..end).unwrap_or_default().trim_end()) + "…",
    }
}
