//! What embeddings decide: `similar` in its forms, and `answer-relevance`.

use crate::evals::gateway::Reply;
use crate::evals::grade::{Grade, Mark};
use crate::evals::judges::instructions::{Instructions, Part, Question};
use crate::evals::judges::reading::{lines, without_thoughts};
use crate::evals::judges::ready::Ready;
use crate::evals::judges::session::Session;
use crate::evals::judges::{EPSILON, Verdict};
use crate::evals::suite::AssertionKind;
use crate::evals::values::float_text;
use serde_json::json;

/// What is similar when nothing else is said.
const THRESHOLD: f64 = 0.75;
/// How many questions are made from an answer.
const QUESTIONS: usize = 3;

const ASK_BACK: Instructions = Instructions {
    task: "You read an answer and write the questions that it answers: three of them, each worded in another \
        way, each complete without the answer. When the answer answers nothing, write what somebody would \
        have had to say to get it.",
    answer: "Write one question on each line and nothing else.",
};

/// How vectors are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Measure {
    Cosine,
    Dot,
    Euclidean,
}

/// `similar`: close to one of several values; with `not-`, close to none of them.
pub(super) async fn similar(
    ready: &Ready<'_>,
    session: &mut Session<'_>,
    model: &str,
) -> Result<Grade, String> {
    let values = ready.needed_texts()?;
    let measure = match ready.assertion.kind {
        AssertionKind::SimilarDot => Measure::Dot,
        AssertionKind::SimilarEuclidean => Measure::Euclidean,
        _ => Measure::Cosine,
    };
    let mut texts = vec![ready.text.clone()];
    texts.extend(values.iter().map(|value| (*value).to_owned()));
    let vectors = session.embed(model, &texts).await?;
    let Some((output, wanted)) = vectors.split_first() else {
        return Err("there is nothing to compare".to_owned());
    };
    let (threshold, is_negated) = (
        ready.assertion.threshold.unwrap_or(THRESHOLD),
        ready.assertion.is_negated,
    );
    let mut closest: Option<Grade> = None;
    for vector in wanted {
        let found = measure.of(output, vector)?;
        let grade = measure.grade(found, threshold, is_negated);
        // One that is close decides, in either form.
        if (grade.mark == Mark::Pass) != is_negated {
            return Ok(grade);
        }
        let is_closer = closest.as_ref().is_none_or(|closest| {
            if is_negated {
                grade.score < closest.score
            } else {
                closest.score < grade.score
            }
        });
        if is_closer {
            closest = Some(grade);
        }
    }
    closest.ok_or_else(|| "there is nothing to compare".to_owned())
}

impl Measure {
    fn of(self, one: &[f32], other: &[f32]) -> Result<f64, String> {
        let pairs = || {
            one.iter()
                .zip(other)
                .map(|(a, b)| (f64::from(*a), f64::from(*b)))
        };
        let dot = pairs().map(|(a, b)| a * b).sum::<f64>();
        let found = match self {
            Self::Dot => dot,
            Self::Euclidean => pairs().map(|(a, b)| (a - b) * (a - b)).sum::<f64>().sqrt(),
            Self::Cosine => {
                let length = |vector: &[f32]| {
                    let squares = vector.iter().map(|x| f64::from(*x) * f64::from(*x));
                    squares.sum::<f64>().sqrt()
                };
                dot / (length(one) * length(other))
            }
        };
        if found.is_finite() {
            Ok(found)
        } else {
            Err(
                "the model that embeds returned a vector of zeros, which is like nothing"
                    .to_owned(),
            )
        }
    }

    fn grade(self, found: f64, threshold: f64, is_negated: bool) -> Grade {
        let wanted = float_text(threshold);
        let (is_close, closeness, words) = match self {
            Self::Euclidean => {
                // Both forms pass at the threshold itself.
                let is_close = if is_negated {
                    found < threshold - EPSILON
                } else {
                    found <= threshold + EPSILON
                };
                let side = if is_close { "within" } else { "beyond" };
                let words = format!("distance {found:.4} is {side} {wanted}");
                (is_close, 1.0 / (1.0 + found), words)
            }
            Self::Cosine | Self::Dot => {
                let is_close = if is_negated {
                    threshold + EPSILON < found
                } else {
                    threshold - EPSILON <= found
                };
                let side = if is_close {
                    "reaches"
                } else {
                    "does not exceed"
                };
                (
                    is_close,
                    found,
                    format!("similarity {found:.4} {side} {wanted}"),
                )
            }
        };
        let score = if is_negated {
            1.0 - closeness
        } else {
            closeness
        };
        Grade {
            score,
            ..Grade::plain(is_close != is_negated, words)
        }
    }
}

/// `answer-relevance`: how close the questions that an answer answers are to the one that was asked.
pub(super) async fn answer_relevance(
    ready: &Ready<'_>,
    session: &mut Session<'_>,
    model: &str,
) -> Result<Verdict, String> {
    let query = ready
        .graded
        .vars
        .get("query")
        .and_then(serde_json::Value::as_str);
    let asked = query.unwrap_or(ready.graded.prompt);
    let question = Question {
        parts: vec![Part::data(
            "Answer",
            &["answer", "output"],
            ready.text.as_str(),
        )],
        vars: ready.graded.vars,
        // The question that was asked must not show.
        shows_vars: false,
    };
    let read = |reply: &Reply| {
        let questions = lines(without_thoughts(&reply.text))
            .into_iter()
            .take(QUESTIONS);
        let questions: Vec<String> = questions.map(str::to_owned).collect();
        (!questions.is_empty())
            .then_some(questions)
            .ok_or_else(|| "it is empty".to_owned())
    };
    let questions = session
        .ask(ASK_BACK, ready.rubric_prompt, &question, read)
        .await?;
    let mut texts = vec![asked.to_owned()];
    texts.extend(questions.iter().cloned());
    let vectors = session.embed(model, &texts).await?;
    let Some((asked, made)) = vectors.split_first() else {
        return Err("there is nothing to compare".to_owned());
    };
    let found: Result<Vec<f64>, String> = made
        .iter()
        .map(|vector| Measure::Cosine.of(asked, vector))
        .collect();
    let found = found?;
    let score = crate::stats::mean(&found).ok_or("there is no question to compare")?;
    let threshold = ready.assertion.threshold.unwrap_or(0.0);
    let is_pass = threshold - EPSILON <= score;
    let side = if is_pass { "reaches" } else { "is below" };
    let wanted = float_text(threshold);
    let told = questions.iter().zip(&found);
    let told: Vec<_> = told
        .map(|(text, similarity)| json!({"question": text, "similarity": similarity}))
        .collect();
    Ok(Verdict {
        is_pass,
        score,
        reason: format!("relevance {score:.4} {side} {wanted}"),
        returned: json!({"embedding": model, "questions": told}),
    })
}

#[cfg(test)]
mod tests {
    use super::Measure;

    #[test]
    fn vectors_are_compared() {
        let (one, other) = ([3.0_f32, 4.0], [4.0_f32, 3.0]);
        assert!((Measure::Cosine.of(&one, &other).unwrap() - 0.96).abs() < 1e-12);
        assert!((Measure::Dot.of(&one, &other).unwrap() - 24.0).abs() < 1e-12);
        assert!((Measure::Euclidean.of(&one, &other).unwrap() - 2.0_f64.sqrt()).abs() < 1e-12);
        let error = Measure::Cosine.of(&[0.0, 0.0], &other).unwrap_err();
        assert!(error.contains("zeros"), "{error}");
    }
}
