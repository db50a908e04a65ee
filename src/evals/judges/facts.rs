//! `factuality` and `model-graded-closedqa`: the judge chooses among few answers.

use crate::evals::gateway::Reply;
use crate::evals::judges::Verdict;
use crate::evals::judges::instructions::{Instructions, Part, Question};
use crate::evals::judges::reading::{object_with, without_thoughts};
use crate::evals::judges::ready::Ready;
use crate::evals::judges::rubric::reason;
use crate::evals::judges::session::Session;
use serde_json::{Value, json};

const FACTS: Instructions = Instructions {
    task: "You compare what a submission claims with what an expert's answer claims. Only facts count: \
        wording, order, style and grammar do not. Choose one category:\n\
        A: the submission says less than the expert, and nothing against it\n\
        B: the submission says more than the expert, and nothing against it\n\
        C: both say the same\n\
        D: the submission says something that the expert's answer rules out\n\
        E: they differ, but in nothing that is a matter of fact",
    answer: "Answer with one JSON object and nothing else: {\"reason\": \"why, in one or two sentences\", \
        \"category\": \"A\", \"B\", \"C\", \"D\" or \"E\"}",
};

const CLOSED: Instructions = Instructions {
    task: "You decide whether a submission meets a criterion, with yes or no. Name first what speaks for and \
        against it, in few lines. When it meets the criterion only in part, the answer is no.",
    answer: "End with a line that holds a single letter and nothing else: Y when the submission meets the \
        criterion, N when it does not.",
};

/// The categories: letter, its key in the suite, its score when the suite says none, and in words.
const CATEGORIES: [(char, &str, f64, &str); 5] = [
    (
        'A',
        "subset",
        1.0,
        "the answer says less than the reference, and nothing against it",
    ),
    (
        'B',
        "superset",
        1.0,
        "the answer says more than the reference, and nothing against it",
    ),
    ('C', "agree", 1.0, "the answer says what the reference says"),
    ('D', "disagree", 0.0, "the answer contradicts the reference"),
    (
        'E',
        "differButFactual",
        1.0,
        "the answer differs from the reference in no matter of fact",
    ),
];

/// `factuality`.
pub(super) async fn factuality(
    ready: &Ready<'_>,
    session: &mut Session<'_>,
) -> Result<Verdict, String> {
    let reference = ready.needed_text()?;
    let question = Question {
        parts: vec![
            Part::data("Question", &["input"], ready.graded.prompt),
            Part::data("Submission", &["completion", "output"], ready.text.as_str()),
            Part::rule("Expert's answer", &["ideal", "reference"], reference),
        ],
        vars: ready.graded.vars,
        shows_vars: true,
    };
    let asked = session
        .ask(FACTS, ready.rubric_prompt, &question, read_category)
        .await;
    let (letter, told) = asked?;
    let category = CATEGORIES.iter().find(|category| category.0 == letter);
    let (_, key, default, words) = category.ok_or("the category is none")?;
    let scores = ready.graded.case.options.factuality.as_ref();
    let score = scores
        .and_then(|scores| scores.get(key))
        .and_then(Value::as_f64);
    let score = score.unwrap_or(*default);
    Ok(Verdict {
        is_pass: 0.0 < score,
        score,
        reason: told.clone().unwrap_or_else(|| (*words).to_owned()),
        returned: json!({"category": letter.to_string(), "reason": told}),
    })
}

fn read_category(reply: &Reply) -> Result<(char, Option<String>), String> {
    let wrong = "there is no JSON object with a `category` from A to E in it";
    if let Some(object) = object_with(&reply.text, &["category"]) {
        let category = object.get("category").and_then(Value::as_str);
        let letter = category.and_then(lone_letter).ok_or(wrong)?;
        return Ok((letter, reason(&object)));
    }
    let text = without_thoughts(&reply.text).trim();
    if let Some(letter) = lone_letter(text) {
        return Ok((letter, None));
    }
    // The older form: `(B) because`.
    let mut places = text.match_indices('(');
    let found = places.find_map(|(place, _)| {
        let rest = text.get(place + 1..)?;
        let (inside, behind) = rest.split_once(')')?;
        Some((lone_letter(inside)?, behind.trim()))
    });
    let (letter, behind) = found.ok_or(wrong)?;
    let has_words = behind.chars().any(char::is_alphanumeric);
    Ok((letter, has_words.then(|| behind.to_owned())))
}

fn lone_letter(text: &str) -> Option<char> {
    let mut letters = text.trim().chars();
    let letter = letters.next()?.to_ascii_uppercase();
    (letters.next().is_none() && ('A'..='E').contains(&letter)).then_some(letter)
}

/// `model-graded-closedqa`.
pub(super) async fn closed_qa(
    ready: &Ready<'_>,
    session: &mut Session<'_>,
) -> Result<Verdict, String> {
    let criterion = ready.needed_text()?;
    let question = Question {
        parts: vec![
            Part::data("Task", &["input"], ready.graded.prompt),
            Part::data("Submission", &["completion", "output"], ready.text.as_str()),
            Part::rule("Criterion", &["criteria"], criterion),
        ],
        vars: ready.graded.vars,
        shows_vars: true,
    };
    session
        .ask(CLOSED, ready.rubric_prompt, &question, read_yes_or_no)
        .await
}

fn read_yes_or_no(reply: &Reply) -> Result<Verdict, String> {
    let text = without_thoughts(&reply.text).trim();
    let last = text.split_whitespace().next_back().unwrap_or_default();
    let word: String = last.chars().filter(|c| c.is_alphanumeric()).collect();
    let is_pass = match word.to_ascii_lowercase().as_str() {
        "y" | "yes" => true,
        "n" | "no" => false,
        _ => return Err("its last line is neither Y nor N".to_owned()),
    };
    let said = text.strip_suffix(last).unwrap_or_default().trim();
    let decision = if is_pass {
        "the answer meets the criterion"
    } else {
        "the answer does not meet the criterion"
    };
    Ok(Verdict {
        is_pass,
        score: f64::from(u8::from(is_pass)),
        reason: if said.is_empty() {
            decision.to_owned()
        } else {
            format!("{decision}: {said}")
        },
        returned: text.into(),
    })
}
