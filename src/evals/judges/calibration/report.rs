//! What came of asking a judge about labelled answers.

use crate::domain::{Cost, TokenUsage};
use crate::evals::grade::{Grade, Mark};
use crate::evals::judges::calibration::labels::{Label, Labelled, labelled};
use crate::evals::judges::calibration::stored::identity;
use crate::evals::judges::session::{add, sum};
use crate::evals::plan::{Calibration, JudgePlan};
use crate::evals::values;
use crate::stats::{
    Confusion, Estimate, Kappa, Weights, cohen_kappa, gwet_ac1, krippendorff_nominal,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// How sure the intervals are.
const CONFIDENCE: f64 = 0.95;
/// Characters of an answer that the report shows.
const MAX_SHOWN: usize = 300;

/// How a judge compares with people.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CalibrationReport {
    /// The judge's file.
    pub judge: String,
    /// Its model, and those that vote beside it.
    pub models: Vec<String>,
    /// The judge that was asked: SHA-256 over its instructions, model and parameters.
    pub judge_hash: String,
    /// Labels of people.
    pub labels: u64,
    /// Answers that they are about.
    pub answers: u64,
    /// People who gave labels, as far as they are named.
    pub raters: u64,
    /// Answers on which people are even; they are left out.
    pub undecided: u64,
    /// Answers that the judge could not judge; they are left out too.
    pub unjudged: Vec<Unjudged>,
    /// The table.
    pub counts: Calibration,
    /// The share of good answers that the judge knows as good, with Wilson's 95 % interval.
    pub true_positive_rate: Option<Estimate>,
    /// The share of bad answers that it knows as bad.
    pub true_negative_rate: Option<Estimate>,
    /// Agreement beyond chance; low without meaning when nearly all answers are alike.
    pub kappa: Option<Kappa>,
    /// Agreement beyond chance that does not collapse then.
    pub ac1: Option<f64>,
    /// How far people agree with each other (Krippendorff's α), where several label the same answers. A
    /// judge cannot agree with people more than they do.
    pub people: Option<f64>,
    /// Every answer on which judge and people differ, in the order of the file.
    pub disagreements: Vec<Disagreement>,
    /// The models that answered, by their own account.
    pub models_returned: Vec<String>,
    /// What it cost.
    pub cost: Cost,
    /// Its tokens.
    pub usage: TokenUsage,
    /// Calls that were made for it.
    pub calls: u64,
}

/// An answer on which judge and people differ.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Disagreement {
    /// The line of its first label.
    pub line: u32,
    /// The answer, cut.
    pub output: String,
    /// Whether people say it is good.
    pub people: bool,
    /// Whether the judge says so.
    pub judge: bool,
    /// The judge's score.
    pub score: f64,
    /// The judge's reason.
    pub reason: String,
    /// What people noted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// An answer that the judge could not judge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unjudged {
    /// The line of its first label.
    pub line: u32,
    /// Why.
    pub reason: String,
}

/// What the judge says of one answer; `None` when it was not asked.
pub type Opinion = Option<Grade>;

/// Where judge and people stand on all answers.
#[derive(Debug, Default)]
struct Compared {
    confusion: Confusion,
    undecided: u64,
    unjudged: Vec<Unjudged>,
    disagreements: Vec<Disagreement>,
}

impl Compared {
    fn add(&mut self, answer: &Labelled<'_>, grade: Option<&Grade>) {
        let line = answer.first.line;
        let Some(people) = answer.truth() else {
            self.undecided += 1;
            return;
        };
        let Some(grade) = grade.filter(|grade| grade.mark != Mark::Error) else {
            let reason = grade.map_or("it was not asked", |grade| grade.reason.as_str());
            let reason = reason.to_owned();
            self.unjudged.push(Unjudged { line, reason });
            return;
        };
        let judge = grade.mark == Mark::Pass;
        *cell(&mut self.confusion, people, judge) += 1;
        if people != judge {
            let notes = answer.labels.iter().filter_map(|label| label.note.clone());
            self.disagreements.push(Disagreement {
                line,
                output: shown(&values::text_of(&answer.first.output)),
                people,
                judge,
                score: grade.score,
                reason: grade.reason.clone(),
                notes: notes.collect(),
            });
        }
    }
}

/// Returns the report from the judge's opinions, one for each labelled answer in the order of the file.
#[must_use]
pub fn report(judge: &JudgePlan, labels: &[Label], opinions: &[Opinion]) -> CalibrationReport {
    let answers = labelled(labels);
    let mut compared = Compared::default();
    for (place, answer) in answers.iter().enumerate() {
        compared.add(answer, opinions.get(place).and_then(Option::as_ref));
    }
    let said = |answer: &Labelled<'_>| answer.labels.iter().map(|label| label.label).collect();
    let ratings: Vec<Vec<bool>> = answers.iter().map(said).collect();
    let raters = labels.iter().filter_map(|label| label.rater.as_deref());
    let raters: BTreeSet<&str> = raters.collect();
    let confusion = compared.confusion;
    let table = confusion.table();
    let taken = taken(opinions);
    let panel = judge.panel.iter().map(|panelist| panelist.model.clone());
    CalibrationReport {
        judge: judge.path.clone(),
        models: std::iter::once(judge.model.clone()).chain(panel).collect(),
        judge_hash: identity(judge),
        labels: count(labels.len()),
        answers: count(answers.len()),
        raters: count(raters.len()),
        undecided: compared.undecided,
        unjudged: compared.unjudged,
        counts: Calibration {
            true_positives: confusion.true_positive,
            false_negatives: confusion.false_negative,
            true_negatives: confusion.true_negative,
            false_positives: confusion.false_positive,
        },
        true_positive_rate: confusion.true_positive_rate(CONFIDENCE),
        true_negative_rate: confusion.true_negative_rate(CONFIDENCE),
        kappa: cohen_kappa(&table, Weights::Unweighted, CONFIDENCE),
        ac1: gwet_ac1(&table),
        people: krippendorff_nominal(&ratings),
        disagreements: compared.disagreements,
        models_returned: taken.models,
        cost: taken.cost,
        usage: taken.usage,
        calls: taken.calls,
    }
}

const fn cell(table: &mut Confusion, people: bool, judge: bool) -> &mut u64 {
    match (people, judge) {
        (true, true) => &mut table.true_positive,
        (true, false) => &mut table.false_negative,
        (false, false) => &mut table.true_negative,
        (false, true) => &mut table.false_positive,
    }
}

/// What all judgements took together.
struct Taken {
    models: Vec<String>,
    cost: Cost,
    usage: TokenUsage,
    calls: u64,
}

fn taken(opinions: &[Opinion]) -> Taken {
    let all = || {
        opinions
            .iter()
            .flatten()
            .filter_map(|grade| grade.judged.as_ref())
    };
    let models: BTreeSet<&String> = all()
        .filter_map(|judged| judged.model_returned.as_ref())
        .collect();
    let costs: Vec<Cost> = all().map(|judged| judged.cost.clone()).collect();
    let mut usage = TokenUsage::default();
    all().for_each(|judged| add(&mut usage, judged.usage));
    Taken {
        models: models.into_iter().cloned().collect(),
        cost: sum(&costs),
        usage,
        calls: all().map(|judged| count(judged.calls.len())).sum(),
    }
}

fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

fn shown(text: &str) -> String {
    match text.char_indices().nth(MAX_SHOWN) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}
