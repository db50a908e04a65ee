//! After all is asked: the outputs of both sides are embedded, where the suite wants to know how far they
//! lie apart.

use crate::domain::PicoDollars;
use crate::evals::gateway::Gateway;
use crate::evals::ledger::{RunEnd, Stop};
use crate::evals::plan::Side;
use crate::evals::report::{RunReport, SubjectLine};
use crate::evals::row::Row;
use crate::evals::run::runner::Runner;
use crate::evals::shift::{Answered, OutputShift, SubjectShift, VersionName, measure};
use crate::evals::values::text_of;
use crate::evals::verdict;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use tokio::task::spawn_blocking;
use tokio::time::Instant;

/// Texts of one request.
const BATCH: usize = 64;
/// Characters of a text that are embedded: what models read at least.
const LONGEST: usize = 8_000;

/// The text of each answer that is embedded, whole.
type Texts = BTreeSet<String>;

/// Vectors by the text they were made of, and what they cost.
struct Embedded {
    vectors: HashMap<String, Vec<f32>>,
    cost: Option<PicoDollars>,
}

impl<G: Gateway> Runner<G> {
    /// Returns how far the outputs of head lie from base's; `None` when nobody wants to know or there is
    /// no base. Ends with the run: when it is stopped or its time is over.
    ///
    /// # Errors
    ///
    /// In words, why it cannot be told: a warning of the report, no error of the run.
    pub(super) async fn shift(
        &self,
        end: &RunEnd,
        deadline: Option<Instant>,
    ) -> Result<Option<OutputShift>, String> {
        let Some(wish) = &self.begun.start.plan.settings.output_shift else {
            return Ok(None);
        };
        let unknown = |why: &str| format!("how far outputs moved is not known: {why}");
        if self.till.is_offline() {
            return Err(unknown("nobody is asked offline"));
        }
        if let Some(stop) = end.stopped.filter(|stop| !stop.is_complete()) {
            return Err(unknown(Stop::words(stop)));
        }
        let model = wish
            .model
            .clone()
            .or_else(|| self.config.embedding_model.clone());
        let Some(model) = model else {
            return Err(unknown(
                "no model embeds; write `output_shift: {model: NAME}` or `embedding_model` under `[evals]`",
            ));
        };
        let rows = self.ledger.rows(end.run).await;
        let rows = rows.map_err(|error| unknown(&error.to_string()))?;
        let (start, of_end) = (Arc::clone(&self.begun.start), end.clone());
        let report = spawn_blocking(move || verdict::of_run(&start.plan, rows, &of_end)).await;
        let report = Arc::new(report.map_err(|error| unknown(&error.to_string()))?);
        if pairs(&report).is_empty() {
            return Ok(None);
        }
        let texts = wanted(&report);
        let embedded = tokio::select! {
            biased;
            stop = self.stopped(deadline) => return Err(unknown(Stop::words(stop))),
            embedded = self.embed(&model, &texts) => embedded.map_err(|error| unknown(&error))?,
        };
        let measured = spawn_blocking(move || subjects(&report, &embedded.vectors)).await;
        Ok(Some(OutputShift {
            model,
            cut: count(
                texts
                    .iter()
                    .filter(|text| beginning(text).len() < text.len()),
            ),
            texts: count(texts.iter()),
            cost: embedded.cost,
            subjects: measured.map_err(|error| unknown(&error.to_string()))?,
        }))
    }

    async fn embed(&self, model: &str, texts: &Texts) -> Result<Embedded, String> {
        let mut embedded = Embedded {
            vectors: HashMap::new(),
            cost: Some(PicoDollars(0)),
        };
        let texts: Vec<&String> = texts.iter().collect();
        for batch in texts.chunks(BATCH) {
            let sent: Vec<String> = batch
                .iter()
                .map(|text| beginning(text).to_owned())
                .collect();
            let answer = self.till.embed(self.begun.run, model, &sent).await;
            let answer = answer.map_err(|error| format!("`{model}` cannot be asked: {error}"))?;
            let paid = if answer.is_kept() {
                Some(PicoDollars(0))
            } else {
                answer.cost.pico_usd
            };
            let sum = embedded.cost.zip(paid);
            embedded.cost = sum.map(|(sum, more)| PicoDollars(sum.0.saturating_add(more.0)));
            let named = batch.iter().map(|text| (*text).clone()).zip(answer.vectors);
            embedded.vectors.extend(named);
        }
        Ok(embedded)
    }
}

/// The part of a text that is embedded.
fn beginning(text: &str) -> &str {
    let end = text
        .char_indices()
        .nth(LONGEST)
        .map_or(text.len(), |(end, _)| end);
    text.get(..end).unwrap_or(text)
}

fn count<T>(all: impl Iterator<Item = T>) -> u64 {
    u64::try_from(all.count()).unwrap_or(u64::MAX)
}

/// The subjects of both sides that are compared: those of one label, or the only ones.
fn pairs<'a>(report: &'a RunReport) -> Vec<(&'a SubjectLine, &'a SubjectLine)> {
    let of = |side| report.subjects.iter().filter(move |line| line.side == side);
    if let (Some(base), Some(head)) = (of(Side::Base).next(), of(Side::Head).next())
        && of(Side::Base).count() == 1
        && of(Side::Head).count() == 1
    {
        return vec![(base, head)];
    }
    let with_base = |head: &'a SubjectLine| {
        let mut bases = of(Side::Base);
        let base = bases.find(|base: &&SubjectLine| base.label == head.label)?;
        Some((base, head))
    };
    of(Side::Head).filter_map(with_base).collect()
}

/// The answers of a subject by their cases, in the order of their repeats.
fn answers<'a>(report: &'a RunReport, subject: &SubjectLine) -> BTreeMap<&'a str, Vec<String>> {
    let is_of = |row: &&Row| row.cell.side == subject.side && row.cell.subject == subject.label;
    let mut rows: Vec<&Row> = report.rows.iter().filter(is_of).collect();
    rows.sort_by_key(|row| row.cell.repeat);
    let mut found: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for row in rows {
        let texts = found.entry(&row.cell.case.0).or_default();
        texts.extend(row.answer.as_ref().map(|answer| text_of(&answer.output)));
    }
    found
}

/// The texts whose vectors are needed: of base the first two answers of a case, of head the first.
fn wanted(report: &RunReport) -> Texts {
    let mut texts = Texts::new();
    for (base, head) in pairs(report) {
        for (subject, many) in [(base, 2), (head, 1)] {
            let answers = answers(report, subject).into_values();
            texts.extend(answers.flat_map(|of_case| of_case.into_iter().take(many)));
        }
    }
    // An empty text is refused by most models, and has no direction.
    texts.retain(|text| !text.trim().is_empty());
    texts
}

fn subjects(report: &RunReport, vectors: &HashMap<String, Vec<f32>>) -> Vec<SubjectShift> {
    let vector = |text: Option<&String>| vectors.get(text?).map(Vec::as_slice);
    let mut found = Vec::new();
    for (base, head) in pairs(report) {
        let (mut of_base, mut of_head) = (answers(report, base), answers(report, head));
        let cases: BTreeSet<&str> = of_base.keys().chain(of_head.keys()).copied().collect();
        let mut texts_of = |case| {
            let base: Vec<String> = of_base.remove(case).unwrap_or_default();
            (case, base, of_head.remove(case).unwrap_or_default())
        };
        let both: Vec<_> = cases.into_iter().map(&mut texts_of).collect();
        let answers: Vec<Answered<'_>> = both
            .iter()
            .map(|(case, base, head)| Answered {
                case,
                base: (first(base), vector(base.first())),
                again: vector(base.get(1)),
                head: (first(head), vector(head.first())),
            })
            .collect();
        let names = (head.label.as_str(), head.prompt.as_str());
        found.extend(measure(names, (version(base), version(head)), &answers));
    }
    found
}

fn first(texts: &[String]) -> &str {
    texts.first().map_or("", String::as_str)
}

fn version(subject: &SubjectLine) -> VersionName {
    VersionName {
        version: subject.version.clone(),
        hash: subject.prompt_hash.clone(),
    }
}
