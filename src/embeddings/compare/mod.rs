//! Two snapshots side by side: what changed for whom, how sure that is, and what follows.
//!
//! [`compare`] reads from top to bottom: align, ask both sides, count what changed, judge by labels, look at
//! the geometry, hold it against the gates, and say it in words. Everything drawn comes from the seed: the
//! same inputs give the same bytes.

mod align;
mod change;
mod clusters;
mod cross;
mod descriptors;
mod draw;
mod error;
mod evidence;
mod figures;
mod gate;
mod gather;
mod interval;
mod joint;
mod judge;
mod judge_set;
mod labels;
mod noise;
mod norms;
mod quality;
mod query_file;
pub mod report;
mod sample;
mod scenery;
mod spans;
mod subject;
mod tables;
mod thresholds;
mod verdict;
mod words;

#[cfg(test)]
mod tests;

pub use error::CompareError;
pub use figures::share_counts;
pub use gate::Gate;
pub use gather::Progress;
pub use judge::exit_code;
pub use judge_set::judge_set;
pub use noise::kept_share;
pub use query_file::{Label, add_labels, read_labels, read_queries};
pub use subject::{
    Queries, Query, QuerySource, ReadText, Relevant, Settings, Step, Subject, Target,
};

use crate::embeddings::Error;
use crate::embeddings::at_once::at_once;
use crate::embeddings::ranking::chance;
use crate::embeddings::rows::Rows as _;
use crate::embeddings::space::{SettingChange, differences};
use align::{Targets, align};
use change::Changes;
use draw::draw;
use evidence::{Context, Evidence};
use figures::{Asked, histogram, of_changes};
use gather::{Questions, gather, report};
use judge::{Findings, judge};
use labels::Labels;
use noise::Floors;
use report::{ComparisonReport, Figure, GateResult, Method, REPORT_FORMAT, Verdict};
use scenery::Scenery;
use verdict::Ground;

/// Compares B with A.
///
/// Both bases are searched exactly, block by block, whatever their size; memory grows with the number of
/// questions, not with that of items' vectors. `progress` is told of every step and may stop it.
///
/// # Errors
///
/// [`CompareError`]: nothing in common, other chunks and no queries, lists that do not belong together,
/// settings without sense, a caller that stopped; and what reading vectors and texts gives.
pub fn compare(
    sides: [&Subject<'_>; 2],
    queries: Option<&Queries<'_>>,
    settings: &Settings,
    progress: &mut Progress<'_>,
) -> Result<ComparisonReport, Error> {
    check(sides, queries, settings)?;
    report(progress, "alignment", 0, 1)?;
    let aligned = align(sides)?;
    if aligned.facts.is_by_span && queries.is_none() {
        let [a, b] = sides.map(|side| side.facts.name.clone());
        return Err(CompareError::ChunksNeedQueries { a, b }.into());
    }
    let context = Context {
        sides,
        queries,
        settings,
        aligned: &aligned,
    };
    let targets = Targets::new(&context);
    let questions = questions(&context, &targets);
    let (evidence, early) = gather(&context, questions, progress)?;
    let mut found = Found::new(&context, &evidence, &targets, progress)?;
    if let Some(early) = early {
        found.hold_early(&context, &evidence, early);
    }
    found.report(&context, &evidence, progress)
}

/// Refuses what cannot be compared at all.
fn check(
    sides: [&Subject<'_>; 2],
    queries: Option<&Queries<'_>>,
    settings: &Settings,
) -> Result<(), CompareError> {
    let is_open = |share: f64| 0.0 < share && share < 1.0;
    let wrong = [
        ("k", settings.k == 0, settings.k.to_string()),
        (
            "margin",
            !is_open(settings.margin),
            settings.margin.to_string(),
        ),
        (
            "confidence",
            !is_open(settings.confidence),
            settings.confidence.to_string(),
        ),
        (
            "resamples",
            settings.resamples < 100,
            settings.resamples.to_string(),
        ),
    ];
    if let Some((setting, _, value)) = wrong.into_iter().find(|(_, is_wrong, _)| *is_wrong) {
        return Err(CompareError::InvalidSetting { setting, value });
    }
    let Some(queries) = queries else {
        return Ok(());
    };
    for (side, vectors) in sides.into_iter().zip([queries.a, queries.b]) {
        let counts = [
            ("vectors of queries", vectors.len(), queries.list.len()),
            (
                "dimensions of queries",
                vectors.dimensions(),
                side.rows.dimensions(),
            ),
        ];
        for (of, found, expected) in counts {
            if found != expected && !queries.list.is_empty() {
                let name = side.facts.name.clone();
                return Err(CompareError::WrongSize {
                    name,
                    of,
                    found,
                    expected,
                });
            }
        }
    }
    Ok(())
}

fn questions(context: &Context<'_>, targets: &Targets<'_>) -> Questions {
    let settings = context.settings;
    // Across two chunkers an item of one side is no item of the other: only queries can be asked.
    let items = match context.aligned.facts.is_by_span {
        true => Vec::new(),
        false => draw(context.aligned.count, settings.sampled_items, settings.seed),
    };
    let labelled = context.queries.map_or(&[][..], |queries| queries.list);
    Questions {
        items,
        queries: tables::askable(context, targets),
        has_labels: labelled.iter().any(|query| !query.relevant.is_empty()),
    }
}

/// Everything that was found, before it is a report.
struct Found {
    figures: Vec<Figure>,
    queries: Changes,
    items: Changes,
    labels: Labels,
    floors: Floors,
}

impl Found {
    fn new(
        context: &Context<'_>,
        evidence: &Evidence,
        targets: &Targets<'_>,
        progress: &mut Progress<'_>,
    ) -> Result<Self, Error> {
        report(progress, "labels", 0, 1)?;
        let k = context.k();
        let [a, b] = &evidence.answers;
        let longest = context.aligned.count - 1;
        let queries = Changes::new(&a.queries, &b.queries, k, longest);
        let items = Changes::new(&a.items, &b.items, k, longest);
        let labels = Labels::new(context, evidence, targets);
        let floors = Floors::new(context);
        let mut figures = of_changes(&queries, Asked::Queries, context);
        figures.extend(of_changes(&items, Asked::Items, context));
        for figure in &mut figures {
            if figure.id.ends_with(&format!(".overlap@{k}")) {
                figure.noise = floors.overlap();
            } else if figure.id.ends_with(".top1") {
                figure.noise = floors.top1();
            }
        }
        figures.extend(labels.figures(context));
        figures.extend(cross::figures(context, evidence, &labels)?);
        Ok(Self {
            figures,
            queries,
            items,
            labels,
            floors,
        })
    }

    /// Gives the headline the interval that holds although one looked before the end.
    fn hold_early(
        &mut self,
        context: &Context<'_>,
        evidence: &Evidence,
        early: crate::stats::Estimate,
    ) {
        let whose = if evidence.queries.is_empty() {
            "item"
        } else {
            "query"
        };
        let id = format!("{whose}.overlap@{}", context.k());
        if let Some(figure) = self.figures.iter_mut().find(|figure| figure.id == id) {
            figure.estimate.interval = early.interval;
        }
    }

    fn report(
        mut self,
        context: &Context<'_>,
        evidence: &Evidence,
        progress: &mut Progress<'_>,
    ) -> Result<ComparisonReport, Error> {
        let [a, b] = context.sides;
        let (k, settings) = (context.k(), context.settings);
        let base = context.aligned.count;
        let (map, scenery) = at_once(
            || thresholds::map(evidence, &self.labels, base, settings.seed),
            || Scenery::new(context, evidence, &self.items, &self.labels, progress),
        );
        let mut scenery = scenery?;
        scenery.notes.extend(map.notes);
        self.figures.extend(scenery.figures);
        report(progress, "report", 0, 1)?;
        let mut alignment = context.aligned.facts.clone();
        alignment.chance = chance(k, base).unwrap_or(1.0);
        let findings = self.findings(context, alignment.chance);
        let gates = self.gates(context, &map.rows);
        let histograms = [("query", &self.queries), ("item", &self.items)].into_iter();
        let histograms = histograms.filter(|(_, changes)| !changes.top1.is_empty());
        let noise = self.floors.counts.as_deref();
        let noise = noise.filter(|_| k == noise::MEASURED);
        let histograms = histograms.map(|(whose, changes)| {
            histogram(format!("{whose}.overlap@{k}"), changes.overlap_at(k), noise)
        });
        let made = ComparisonReport {
            format: REPORT_FORMAT,
            a: a.facts.clone(),
            b: b.facts.clone(),
            settings: changed_settings(a, b),
            alignment,
            verdict: findings.first().cloned().unwrap_or_else(nothing_to_say),
            findings,
            gates,
            histograms: histograms.collect(),
            thresholds: map.rows,
            scatter: scenery.scatter,
            scatter_line: scenery.scatter_line,
            densities: scenery.densities,
            queries: tables::queries(context, evidence, &self.queries, &self.labels)?,
            movers: tables::movers(context, evidence, &self.items)?,
            clusters: scenery.clusters,
            projection: scenery.projection,
            method: self.method(context, evidence, scenery.notes),
            figures: self.figures,
            noise: self.floors.noise,
        };
        report(progress, "report", 1, 1)?;
        Ok(made)
    }

    fn findings(&self, context: &Context<'_>, chance: f64) -> Vec<Verdict> {
        let [a, b] = context.sides;
        verdict::findings(&Ground {
            figures: &self.figures,
            k: context.k(),
            margin: context.settings.margin,
            spread: self.labels.spread(),
            lost_labels: self.labels.lost,
            floor: self.floors.overlap(),
            chance,
            is_one_space: a.facts.space_id == b.facts.space_id,
            is_crossing: context.is_crossing(),
        })
    }

    fn gates(&self, context: &Context<'_>, thresholds: &[report::Threshold]) -> Vec<GateResult> {
        let [a, b] = context.sides;
        let findings = Findings {
            figures: &self.figures,
            noise: &self.floors.noise,
            thresholds,
            is_one_space: a.facts.space_id == b.facts.space_id,
            k: context.k(),
            base: context.aligned.count,
            lost_labels: self.labels.lost,
        };
        let gates = context.settings.gates.iter();
        gates.map(|gate| judge(gate, &findings)).collect()
    }

    fn method(&self, context: &Context<'_>, evidence: &Evidence, more: Vec<String>) -> Method {
        let settings = context.settings;
        let mut notes = context.aligned.notes.clone();
        notes.extend(self.notes(context, evidence));
        notes.extend(more);
        Method {
            k: context.k(),
            seed: settings.seed,
            queries: evidence.queries.len(),
            queries_from: context
                .queries
                .map_or("none", |queries| queries.from.name())
                .to_owned(),
            labelled: self.labels.judged.len(),
            sampled_items: evidence.items.len(),
            stopped_early: evidence.is_stopped_early,
            margin: settings.margin,
            notes,
        }
    }

    /// What was done, and what was left out.
    fn notes(&self, context: &Context<'_>, evidence: &Evidence) -> Vec<String> {
        let settings = context.settings;
        let percent = settings.confidence * 100.0;
        let mut notes = vec![format!(
            "neighbours are exact, by cosine, over the whole base; {percent} % intervals: of items by t with the \
             finite-population correction, of queries by the percentile bootstrap ({} resamples), from 0.98 on by the \
             exact binomial of all hits, of shares of yes by Wilson",
            settings.resamples
        )];
        let told = context.queries.and_then(|queries| queries.told);
        notes.extend(told.map(str::to_owned));
        let is_known = !self.floors.noise.is_empty();
        if context.k() != noise::MEASURED && is_known {
            notes.push("noise was measured over the first ten neighbours".to_owned());
        }
        let given = context.queries.map_or(0, |queries| queries.list.len());
        let unasked = given - evidence.queries.len();
        if evidence.is_stopped_early {
            notes.push(format!(
                "stopped when the answer was clear; the headline's interval is an empirical Bernstein confidence \
                 sequence, which holds at every look ({unasked} queries were not needed)"
            ));
        } else if 0 < unasked {
            notes.push(format!(
                "{unasked} queries have a vector without direction and were left out"
            ));
        }
        if !self.labels.judged.is_empty() {
            notes.push(format!(
                "labels: differences B - A query by query, percentile bootstrap and sign flips ({} each), the hit rate by \
                 McNemar's exact test and Tango's interval, p values adjusted by Holm over five figures",
                settings.resamples
            ));
        }
        if 0 < self.labels.lost {
            notes.push(format!(
                "{} labels point at items that are not compared",
                self.labels.lost
            ));
        }
        for (what, found) in [
            ("queries", evidence.queries.len()),
            ("items", evidence.items.len()),
        ] {
            if settings.listed < found {
                notes.push(format!(
                    "the {} {what} that changed most are listed, of {found}",
                    settings.listed
                ));
            }
        }
        notes
    }
}

/// What differs in the settings of space and pipeline.
fn changed_settings(a: &Subject<'_>, b: &Subject<'_>) -> Vec<SettingChange> {
    let mut changes = a.facts.space.differences(&b.facts.space);
    let pipeline = differences(a.pipeline, b.pipeline).into_iter();
    changes.extend(pipeline.map(|change| {
        SettingChange {
            setting: ["pipeline.", &change.setting]
                .concat()
                .trim_end_matches('.')
                .to_owned(),
            ..change
        }
    }));
    changes
}

/// There is always a finding; this is what a report would say without one.
fn nothing_to_say() -> Verdict {
    Verdict {
        kind: report::VerdictKind::CannotDecide,
        sentence: "There was nothing to compare answers by.".to_owned(),
        rule: "cannot decide".to_owned(),
        advice: None,
        more_queries: None,
    }
}
