//! Comparisons of all outputs of a case: `select-best`, which asks a judge, and `max-score`, which counts.
//!
//! Judges favour places: asked twice with the order turned, many choose another output. So `select-best`
//! asks in several orders (both of two outputs, every rotation of up to six), and an output is best when it
//! is chosen in more than half of them: of two outputs, in both. Otherwise it is a tie, and all fail.

use crate::evals::gateway::Reply;
use crate::evals::grade::{AssertionGrade, Grade, Graded, Mark};
use crate::evals::judges::choice;
use crate::evals::judges::context::JudgeContext;
use crate::evals::judges::failed;
use crate::evals::judges::instructions::{Instructions, Part, Question};
use crate::evals::judges::reading::without_thoughts;
use crate::evals::judges::ready::Ready;
use crate::evals::judges::session::Session;
use crate::evals::suite::{Assertion, AssertionKind, Decider};
use crate::evals::values;
use serde_json::{Value, json};

/// Orders that are asked at most.
const MAX_ORDERS: usize = 6;

const BEST: Instructions = Instructions {
    task: "You choose the one of several outputs that meets a criterion best. Only the criterion counts; the \
        order in which the outputs stand means nothing, and neither does their length.",
    answer: "Answer with the number of the best output and nothing else: 0 for the first.",
};

/// An output that takes part in a comparison.
#[derive(Debug, Clone, Copy)]
pub struct Contender<'a> {
    /// The answer.
    pub graded: Graded<'a>,
    /// What its other assertions say, for `max-score`.
    pub grades: &'a [AssertionGrade],
}

/// Compares all outputs of a case; one grade for each, in their order.
pub async fn compare(
    assertion: &Assertion,
    outputs: &[Contender<'_>],
    context: &JudgeContext<'_>,
) -> Vec<Grade> {
    let kind = assertion.kind.as_str();
    let all = |grade: &Grade| vec![grade.clone(); outputs.len()];
    if outputs.len() < 2 {
        let reason = format!(
            "it compares at least two outputs, and there are {}",
            outputs.len()
        );
        return all(&failed(assertion, &reason, None));
    }
    match assertion.kind {
        AssertionKind::SelectBest => select_best(assertion, outputs, context).await,
        AssertionKind::MaxScore => match max_score(assertion, outputs) {
            Ok(grades) => grades,
            Err(reason) => all(&failed(assertion, &reason, None)),
        },
        _ => all(&Grade::error(format!("`{kind}` is no comparison"))),
    }
}

async fn select_best(
    assertion: &Assertion,
    outputs: &[Contender<'_>],
    context: &JudgeContext<'_>,
) -> Vec<Grade> {
    let all = |grade: &Grade| vec![grade.clone(); outputs.len()];
    let Some(first) = outputs.first() else {
        return Vec::new();
    };
    let bench = match choice::bench(assertion, &first.graded, context) {
        Ok(bench) => bench,
        Err(reason) => return all(&failed(assertion, &reason, None)),
    };
    let mut ready = Vec::with_capacity(outputs.len());
    for output in outputs {
        match Ready::make(assertion, &output.graded).await {
            Ok(made) => ready.push(made),
            Err(reason) => return all(&failed(assertion, &reason, None)),
        }
    }
    // A panel would multiply the orders: the first judge decides.
    let Some(judge) = bench.judges.first() else {
        return Vec::new();
    };
    let mut session = Session::new(context, &first.graded, judge);
    let votes = votes(&ready, &mut session).await;
    let returned = votes
        .as_ref()
        .map_or(Value::Null, |votes| json!({ "votes": votes }));
    // What it took is told once: the outputs share the judgement.
    let mut judged = Some(session.end(returned));
    match votes {
        Ok(votes) => {
            let grades = (0..outputs.len()).map(|place| best(assertion, &votes, place));
            let told = grades.map(|grade| Grade {
                judged: judged.take(),
                ..grade
            });
            told.collect()
        }
        Err(reason) => {
            let told = (0..outputs.len()).map(|_| failed(assertion, &reason, judged.take()));
            told.collect()
        }
    }
}

/// Returns which output the judge chose in each order.
async fn votes(ready: &[Ready<'_>], session: &mut Session<'_>) -> Result<Vec<usize>, String> {
    let Some(first) = ready.first() else {
        return Err("there is no output".to_owned());
    };
    let criterion = first.needed_text()?;
    let (count, orders) = (ready.len(), ready.len().min(MAX_ORDERS));
    let mut votes = Vec::with_capacity(orders);
    for order in 0..orders {
        let start = order * count / orders;
        let places: Vec<usize> = (0..count).map(|place| (start + place) % count).collect();
        let shown = places.iter().enumerate().filter_map(|(number, place)| {
            let text = ready.get(*place)?.text.as_str();
            Some(Part::data(format!("Output {number}"), &["outputs[]"], text))
        });
        let mut parts: Vec<Part> = shown.collect();
        parts.push(Part::rule("Criterion", &["criteria"], criterion));
        let question = Question {
            parts,
            vars: first.graded.vars,
            shows_vars: false,
        };
        let read = |reply: &Reply| read_number(reply, count);
        let number = session
            .ask(BEST, first.rubric_prompt, &question, read)
            .await?;
        votes.extend(places.get(number));
    }
    Ok(votes)
}

/// The first whole number of an answer, which must be that of an output.
fn read_number(reply: &Reply, count: usize) -> Result<usize, String> {
    let text = without_thoughts(&reply.text);
    let mut numbers = text
        .split(|c: char| !c.is_ascii_digit())
        .filter(|digits| !digits.is_empty());
    let number: usize = numbers
        .next()
        .and_then(|digits| digits.parse().ok())
        .ok_or("there is no number of an output in it")?;
    if count <= number {
        return Err(format!(
            "there is no output {number}, the last is {}",
            count - 1
        ));
    }
    Ok(number)
}

fn best(assertion: &Assertion, votes: &[usize], place: usize) -> Grade {
    let count = |place: usize| votes.iter().filter(|vote| **vote == place).count();
    let orders = votes.len();
    let winner = votes.iter().copied().find(|vote| orders < 2 * count(*vote));
    let own = count(place);
    let (is_best, reason) = match winner {
        Some(winner) if winner == place => (
            true,
            format!("chosen as the best in {own} of {orders} orders"),
        ),
        Some(_) => (
            false,
            format!("not chosen: the best in {own} of {orders} orders"),
        ),
        None => (
            false,
            format!(
                "a tie: the judge's choice depends on the order of the outputs (this one {own} of {orders} times)"
            ),
        ),
    };
    Grade::plain(is_best != assertion.is_negated, reason)
}

/// `max-score`: the output whose other assertions score highest; the first of equals, as in promptfoo.
fn max_score(assertion: &Assertion, outputs: &[Contender<'_>]) -> Result<Vec<Grade>, String> {
    let options = Options::of(assertion)?;
    let scores: Result<Vec<Scored>, String> =
        outputs.iter().map(|output| options.score(output)).collect();
    let scores = scores?;
    let highest = scores
        .iter()
        .map(|scored| scored.score)
        .fold(f64::NEG_INFINITY, f64::max);
    let winner = scores.iter().position(|scored| highest <= scored.score);
    let is_enough = options
        .threshold
        .is_none_or(|threshold| threshold <= highest);
    let grade = |(place, scored): (usize, &Scored)| {
        let score = scored.score;
        let is_best = winner == Some(place) && is_enough;
        let reason = match options.threshold {
            _ if is_best => format!("the highest score of all outputs: {score:.3}"),
            Some(threshold) if !is_enough && highest <= score => {
                format!("the highest score of all outputs, {score:.3}, is below {threshold}")
            }
            _ => format!("score {score:.3}, the highest of all outputs is {highest:.3}"),
        };
        let mut grade = Grade::plain(is_best != assertion.is_negated, reason);
        grade.named_scores = [
            ("maxScore".to_owned(), score),
            ("assertionCount".to_owned(), scored.count),
            ("totalWeight".to_owned(), scored.weight),
        ]
        .into();
        grade
    };
    Ok(scores.iter().enumerate().map(grade).collect())
}

/// How scores are added up.
struct Options<'a> {
    is_sum: bool,
    weights: Option<&'a serde_json::Map<String, Value>>,
    threshold: Option<f64>,
}

/// What an output scores.
struct Scored {
    score: f64,
    count: f64,
    weight: f64,
}

impl<'a> Options<'a> {
    fn of(assertion: &'a Assertion) -> Result<Self, String> {
        let value = match &assertion.value {
            Some(crate::evals::suite::AssertionValue::Json(value)) => value,
            Some(_) => return Err("its `value` is no script".to_owned()),
            None => &Value::Null,
        };
        let method = value.get("method").map(values::text_of);
        Ok(Self {
            is_sum: match method.as_deref() {
                None | Some("average") => false,
                Some("sum") => true,
                Some(other) => {
                    return Err(format!("`method` is `{other}`: write `average` or `sum`"));
                }
            },
            weights: value.get("weights").and_then(Value::as_object),
            threshold: value.get("threshold").and_then(Value::as_f64),
        })
    }

    fn score(&self, output: &Contender<'_>) -> Result<Scored, String> {
        let (mut sum, mut weight, mut count) = (0.0, 0.0, 0.0);
        for found in output.grades {
            if found.kind.decider() == Decider::Comparison {
                continue;
            }
            if found.grade.mark == Mark::Error {
                let kind = found.kind.as_str();
                return Err(format!(
                    "`{kind}` of one output could not be judged: {}",
                    found.grade.reason
                ));
            }
            let not = if found.is_negated { "not-" } else { "" };
            let name = format!("{not}{}", found.kind.as_str());
            let own = self
                .weights
                .and_then(|weights| weights.get(&name))
                .and_then(Value::as_f64);
            let own = own.unwrap_or(1.0);
            sum += found.grade.score * own;
            weight += own;
            count += 1.0;
        }
        if count < 1.0 {
            return Err("it adds up the scores of other assertions, and there are none".to_owned());
        }
        let score = match self.is_sum {
            true => sum,
            false if 0.0 < weight => sum / weight,
            false => 0.0,
        };
        Ok(Scored {
            score,
            count,
            weight,
        })
    }
}
