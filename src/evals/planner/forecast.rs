//! What a run will take: calls, money, and the smallest drop that it can see.

use crate::domain::{CostQuality, TokenUsage};
use crate::evals::plan::{Forecast, RunPlan, Side, Subject, SubjectPrompt};
use crate::evals::planner::Texts;
use crate::evals::suite::{AssertNode, Assertion, AssertionKind, Case, ModelSource};
use crate::metering::{PriceRow, Tokens, cost};
use crate::stats::{Errors, detectable_difference};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

/// Tokens of an answer that nothing is known about.
const GUESSED_OUTPUT: u64 = 400;
/// Tokens of a judge's own instructions, and of its answer.
const JUDGE_INSTRUCTIONS: u64 = 350;
const JUDGE_OUTPUT: u64 = 150;
/// Cases whose tokens are counted; the rest is taken to be like them.
const COUNTED: usize = 200;
/// The share of cases in which two versions are assumed to differ.
const DISCORDANCE: f64 = 0.1;

/// What a forecast is made from.
pub struct Figures<'a> {
    /// The price of a model, as the gateway routes it.
    pub price: &'a dyn Fn(&str) -> Option<Arc<PriceRow>>,
    /// The tokens that a subject's answers have had so far on average, by its label.
    pub recorded_output: &'a dyn Fn(&str) -> Option<u64>,
    /// What embeds where a suite names no model.
    pub embedding_model: Option<&'a str>,
}

impl fmt::Debug for Figures<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Figures").finish_non_exhaustive()
    }
}

/// How much is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Prompts with models, on the side with most.
    pub subjects: usize,
    /// Cases, on the side with most.
    pub cases: usize,
    /// Calls of cases.
    pub case_calls: u64,
    /// Calls of judges.
    pub judge_calls: u64,
}

/// What one subject is asked.
struct Asked<'a> {
    side: Side,
    subject: &'a Subject,
    /// Cases with how often each is asked.
    cases: Vec<(&'a Case, u64)>,
}

/// Money, as far as it is known.
#[derive(Default)]
struct Money {
    pico_usd: u64,
    unpriced: BTreeSet<String>,
    notes: BTreeSet<String>,
}

pub(super) fn forecast(plan: &RunPlan, figures: &Figures<'_>, texts: &Texts) -> Forecast {
    let asked = asked(plan);
    let mut money = Money::default();
    let (mut case_calls, mut judge_calls) = (0, 0);
    for asked in &asked {
        let calls: u64 = asked.cases.iter().map(|(_, times)| times).sum();
        let is_asked = asked.subject.model != ModelSource::Echo;
        let given: u64 = asked
            .cases
            .iter()
            .filter(|(case, _)| case.given_output.is_some())
            .map(|(_, times)| times)
            .sum();
        if is_asked {
            case_calls += calls - given;
        }
        let output = output_tokens(asked, figures, texts, &mut money);
        if is_asked {
            price_cases(asked, (calls - given, output), figures, texts, &mut money);
        }
        judge_calls += price_judges(asked, plan, output, figures, &mut money);
        price_shift(asked, plan, output, figures, &mut money);
    }
    judge_calls += comparisons(plan);
    let mut notes: Vec<String> = money.notes.into_iter().collect();
    if plan.settings.is_cached {
        notes.push("answers that are in the cache cost nothing".to_owned());
    }
    if !money.unpriced.is_empty() {
        let names: Vec<&str> = money.unpriced.iter().map(String::as_str).collect();
        let names = crate::evals::suite::load::listed(&names);
        notes.push(format!("no price is known for {names}"));
    }
    let cases = independent(&asked);
    Forecast {
        case_calls,
        judge_calls,
        pico_usd: money.unpriced.is_empty().then_some(money.pico_usd),
        notes,
        detectable_drop: detectable_drop(cases),
    }
}

/// The smallest drop that so many cases can see; a single one sees none.
fn detectable_drop(cases: usize) -> Option<f64> {
    let cases = u64::try_from(cases).ok().filter(|cases| 1 < *cases)?;
    detectable_difference(cases, DISCORDANCE, Errors::default())
}

/// Cases that say something of their own, of the subject that has fewest: those of one cluster count
/// once.
fn independent(asked: &[Asked<'_>]) -> usize {
    let counts = asked.iter().filter(|asked| asked.side == Side::Head);
    let counts = counts.map(|asked| {
        let names = asked.cases.iter().map(|(case, _)| match &case.cluster {
            Some(cluster) => (true, cluster.as_str()),
            None => (false, case.id.0.as_str()),
        });
        names.collect::<BTreeSet<_>>().len()
    });
    counts.filter(|count| 0 < *count).min().unwrap_or(0)
}

fn asked(plan: &RunPlan) -> Vec<Asked<'_>> {
    let sides = plan.sides.iter().flat_map(|side| {
        side.subjects.iter().map(move |subject| {
            let cases = side.cases.iter().filter(move |case| is_for(case, subject));
            Asked {
                side: side.side,
                subject,
                cases: cases.map(|case| (case, times(plan, case))).collect(),
            }
        })
    });
    sides.collect()
}

/// Whether a case is asked of a subject.
pub(super) fn is_for(case: &Case, subject: &Subject) -> bool {
    let model = case.models.is_empty() || case.models.contains(&subject.model_label);
    let prompt = case.prompts.is_empty() || case.prompts.contains(&subject.prompt_label);
    model && prompt
}

fn times(plan: &RunPlan, case: &Case) -> u64 {
    u64::from(case.options.repeat.unwrap_or(plan.settings.repeat))
}

/// The tokens of an answer: as recorded, else as many as there may be, else a guess.
fn output_tokens(
    asked: &Asked<'_>,
    figures: &Figures<'_>,
    texts: &Texts,
    money: &mut Money,
) -> u64 {
    let subject = asked.subject;
    if let Some(tokens) = (figures.recorded_output)(&subject.label) {
        return tokens;
    }
    let limit = ["max_tokens", "max_completion_tokens"]
        .iter()
        .find_map(|key| subject.parameters.get(*key)?.as_u64());
    let facts = texts.get(&(asked.side, subject.prompt_label.clone()));
    match limit.or_else(|| facts.and_then(|facts| facts.max_output)) {
        Some(limit) => {
            let note = "answers are taken to be as long as `max_tokens` allows: a ceiling";
            money.notes.insert(note.to_owned());
            limit
        }
        None => {
            let note =
                format!("answers without `max_tokens` are taken to have {GUESSED_OUTPUT} tokens");
            money.notes.insert(note);
            GUESSED_OUTPUT
        }
    }
}

/// The model of a subject as the gateway routes it.
fn route(subject: &Subject) -> Option<&str> {
    match (&subject.model, &subject.prompt) {
        (ModelSource::Route(route), _) => Some(route),
        (ModelSource::OfPrompt, SubjectPrompt::Version { model, .. }) => model.as_deref(),
        _ => None,
    }
}

fn price_cases(
    asked: &Asked<'_>,
    (calls, output): (u64, u64),
    figures: &Figures<'_>,
    texts: &Texts,
    money: &mut Money,
) {
    let Some(model) = route(asked.subject) else {
        return;
    };
    let facts = texts.get(&(asked.side, asked.subject.prompt_label.clone()));
    let template = facts.map_or("", |facts| facts.text.as_str());
    let template = Tokens.count_text(model, template);
    let counted: Vec<u64> = asked
        .cases
        .iter()
        .take(COUNTED)
        .map(|(case, _)| Tokens.count_text(model, &values(case)))
        .collect();
    let count = u64::try_from(counted.len()).unwrap_or(1).max(1);
    let input = template + counted.iter().sum::<u64>() / count;
    money.add(model, (calls, input, output), figures);
}

/// The values of a case's variables as they reach a prompt.
fn values(case: &Case) -> String {
    let texts = case.vars.values().map(|value| match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    });
    texts.collect::<Vec<_>>().join("\n")
}

impl Money {
    fn add(&mut self, model: &str, (calls, input, output): (u64, u64, u64), figures: &Figures<'_>) {
        if calls == 0 {
            return;
        }
        // Options behind a name script the simulated provider; the price is the name's.
        let name = model.split('?').next().unwrap_or(model);
        let usage = TokenUsage {
            input,
            output,
            ..TokenUsage::default()
        };
        let row = (figures.price)(name);
        let each = row.and_then(|row| cost(&usage, &row, CostQuality::Estimated).pico_usd);
        match each.and_then(|each| each.0.checked_mul(calls)) {
            Some(amount) => self.pico_usd = self.pico_usd.saturating_add(amount),
            None => {
                self.unpriced.insert(name.to_owned());
            }
        }
    }
}

/// Counts and prices what judges are asked about the answers of a subject. Returns the calls.
fn price_judges(
    asked: &Asked<'_>,
    plan: &RunPlan,
    output: u64,
    figures: &Figures<'_>,
    money: &mut Money,
) -> u64 {
    let mut calls_by_judge: BTreeMap<Option<String>, u64> = BTreeMap::new();
    let mut total = 0;
    for (case, times) in &asked.cases {
        for assertion in assertions(case) {
            let calls = judge_calls(assertion) * times;
            if calls == 0 {
                continue;
            }
            total += calls;
            let judge = judge(assertion, case, plan);
            if assertion.kind == AssertionKind::Moderation && judge.is_none() {
                // Nothing is taken for it.
                continue;
            }
            *calls_by_judge.entry(judge).or_default() += calls;
        }
    }
    for (judge, calls) in calls_by_judge {
        match judge {
            Some(model) => {
                let input = JUDGE_INSTRUCTIONS + output;
                money.add(&model, (calls, input, JUDGE_OUTPUT), figures);
                money.notes.insert(format!(
                    "a judgement is taken to have {JUDGE_INSTRUCTIONS} tokens of instructions and {JUDGE_OUTPUT} of answer"
                ));
            }
            None => {
                money
                    .unpriced
                    .insert("a judge that is not named".to_owned());
            }
        }
    }
    total
}

/// Prices the answers of a subject that are embedded, where the suite wants to know how far they moved: of base
/// the first two of a case, of head the first.
fn price_shift(
    asked: &Asked<'_>,
    plan: &RunPlan,
    output: u64,
    figures: &Figures<'_>,
    money: &mut Money,
) {
    let Some(wish) = &plan.settings.output_shift else {
        return;
    };
    if plan.sides.len() < 2 {
        return;
    }
    let most = if asked.side == Side::Base { 2 } else { 1 };
    let texts = asked.cases.iter().map(|(_, times)| most.min(*times)).sum();
    match wish.model.as_deref().or(figures.embedding_model) {
        Some(model) => {
            money.add(model, (texts, output, 0), figures);
            let note = format!("answers are embedded by `{model}`, to tell how far they moved");
            money.notes.insert(note);
        }
        None => {
            let unnamed = "a model that embeds, which is not named";
            money.unpriced.insert(unnamed.to_owned());
        }
    }
}

fn assertions(case: &Case) -> impl Iterator<Item = &Assertion> {
    case.asserts.iter().flat_map(AssertNode::assertions)
}

/// The model that decides: the assertion's own, the case's, or the suite's.
fn judge(assertion: &Assertion, case: &Case, plan: &RunPlan) -> Option<String> {
    let purpose = match assertion.kind {
        AssertionKind::Similar
        | AssertionKind::SimilarCosine
        | AssertionKind::SimilarDot
        | AssertionKind::SimilarEuclidean => "embedding",
        AssertionKind::Moderation => "moderation",
        _ => "text",
    };
    let name = |grader: &Value| -> Option<String> {
        let of = |value: &Value| match value {
            Value::String(name) => Some(name.clone()),
            Value::Object(fields) => fields.get("id")?.as_str().map(str::to_owned),
            _ => None,
        };
        of(grader).or_else(|| of(grader.get(purpose)?))
    };
    let own = assertion.grader.as_ref().and_then(name);
    let own = own.or_else(|| case.options.grader.as_ref().and_then(name));
    let suite = || plan.judge.as_ref().filter(|_| purpose == "text");
    own.or_else(|| suite().map(|judge| judge.model.clone()))
}

/// How often a judge is asked for one answer.
fn judge_calls(assertion: &Assertion) -> u64 {
    use crate::evals::suite::{AssertionValue, Decider};
    use AssertionKind as K;
    let listed = match &assertion.value {
        Some(AssertionValue::Json(Value::Array(items))) => items.len(),
        _ => 1,
    };
    let listed = u64::try_from(listed).unwrap_or(1).max(1);
    match assertion.kind {
        // The steps are planned, then scored; each criterion for itself.
        K::GEval => 2 * listed,
        K::ContextFaithfulness => 2,
        // Three questions are made up in one call, then embedded with the one that was asked.
        K::AnswerRelevance => 4,
        K::Webhook => 0,
        kind if kind.decider() == Decider::Model => 1,
        _ => 0,
    }
}

/// Judgements that compare all answers of a case, once in each order.
fn comparisons(plan: &RunPlan) -> u64 {
    let sides = plan.sides.iter().flat_map(|side| {
        side.cases.iter().map(move |case| {
            let answers = side.subjects.iter().filter(|subject| is_for(case, subject));
            let is_compared = 1 < answers.count();
            let kinds = assertions(case).filter(|one| one.kind == AssertionKind::SelectBest);
            let count = u64::try_from(kinds.count()).unwrap_or(0);
            if is_compared {
                2 * count * times(plan, case)
            } else {
                0
            }
        })
    });
    sides.sum()
}

impl Counts {
    /// Counts what a plan asks.
    #[must_use]
    pub fn of(plan: &RunPlan) -> Self {
        let most = |count: fn(&crate::evals::plan::SidePlan) -> usize| {
            plan.sides.iter().map(count).max().unwrap_or(0)
        };
        Self {
            subjects: most(|side| side.subjects.len()),
            cases: most(|side| side.cases.len()),
            case_calls: plan.forecast.case_calls,
            judge_calls: plan.forecast.judge_calls,
        }
    }
}
