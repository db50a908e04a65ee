//! Answers and the context they stand on: `context-recall`, `context-relevance`, `context-faithfulness`.
//! Each is a share.

use crate::evals::gateway::Reply;
use crate::evals::judges::instructions::{Instructions, Part, Question};
use crate::evals::judges::reading::{lines, sentences, without_thoughts};
use crate::evals::judges::ready::{Ready, transformed};
use crate::evals::judges::session::Session;
use crate::evals::judges::{EPSILON, Verdict};
use serde_json::{Value, json};
use std::collections::BTreeSet;

const RECALL: Instructions = Instructions {
    task: "You check which statements of a reference can be traced to a context. Take the reference sentence \
        by sentence. A sentence is attributed when the context says it or it follows from the context \
        alone; what is merely true elsewhere is not.",
    answer: "Write one line for each sentence of the reference: the sentence, in few words why, and at the end \
        of the line [Attributed] or [Not Attributed].",
};

const RELEVANCE: Instructions = Instructions {
    task: "You pick out of a context what is needed to answer a question. Copy sentences word for word, change \
        and add nothing. Leave out what only touches the subject.",
    answer: "Write each needed sentence on a line of its own and nothing else. When none helps, write \
        Insufficient Information.",
};

const STATEMENTS: Instructions = Instructions {
    task: "You take an answer to a question apart into the single statements of fact that it makes. Each \
        statement stands for itself: names in place of pronouns, one fact each. Judge nothing.",
    answer: "Write one statement on each line and nothing else.",
};

const FAITHFUL: Instructions = Instructions {
    task: "You check statements against a context, one after another. The verdict is Yes when the context says \
        the statement or it follows from the context alone, else No. What is merely true elsewhere is No.",
    answer: "Write one line for each statement with in few words why. Then write a last line that begins with \
        `Final verdict for each statement in order:` and lists Yes. or No. for each statement.",
};

/// The judge's words for a context that does not help.
const NOTHING: &str = "Insufficient Information";

/// `context-recall`: the share of the reference's sentences that the context holds.
pub(super) async fn recall(
    ready: &Ready<'_>,
    session: &mut Session<'_>,
) -> Result<Verdict, String> {
    let reference = ready.needed_text()?;
    let context = context(ready, Some(ready.graded.prompt)).await?;
    let question = Question {
        parts: vec![
            Part::data("Context", &["context"], context.join("\n\n")),
            Part::rule("Reference", &["groundTruth"], reference),
        ],
        vars: ready.graded.vars,
        shows_vars: false,
    };
    let read = |reply: &Reply| {
        let marks = attributions(&reply.text);
        if marks.is_empty() {
            return Err("no line ends with [Attributed] or [Not Attributed]".to_owned());
        }
        Ok((marks, reply.text.clone()))
    };
    let (marks, said) = session
        .ask(RECALL, ready.rubric_prompt, &question, read)
        .await?;
    let found = marks.iter().filter(|mark| **mark).count();
    let what = "of the reference's sentences are in the context";
    Ok(share(ready, (found, marks.len()), what, said.into()))
}

/// Whether each marked line is attributed.
fn attributions(text: &str) -> Vec<bool> {
    let lines = without_thoughts(text).lines().map(str::to_ascii_lowercase);
    lines
        .filter_map(|line| {
            if line.contains("[not attributed]") {
                Some(false)
            } else {
                line.contains("[attributed]").then_some(true)
            }
        })
        .collect()
}

/// `context-relevance`: the share of the context that the question needs.
pub(super) async fn relevance(
    ready: &Ready<'_>,
    session: &mut Session<'_>,
) -> Result<Verdict, String> {
    let query = ready.needed_var("query")?;
    let context = context(ready, None).await?;
    let question = Question {
        parts: vec![
            Part::data("Question", &["query"], query),
            Part::data("Context", &["context"], context.join("\n\n")),
        ],
        vars: ready.graded.vars,
        shows_vars: false,
    };
    let read = |reply: &Reply| match without_thoughts(&reply.text).trim() {
        "" => Err("it is empty".to_owned()),
        said => Ok(said.to_owned()),
    };
    let said = session
        .ask(RELEVANCE, ready.rubric_prompt, &question, read)
        .await?;
    let (units, is_cut) = match context.as_slice() {
        [whole] => (sentences(whole), 1 < lines(whole).len()),
        several => (several.iter().map(String::as_str).collect(), true),
    };
    let picked: BTreeSet<&str> = if said.contains(NOTHING) {
        BTreeSet::new()
    } else if is_cut {
        lines(&said).into_iter().collect()
    } else {
        sentences(&said).into_iter().collect()
    };
    let needed = picked.len().min(units.len());
    let what = "of the context's sentences are needed";
    let total = units.len();
    Ok(share(ready, (needed, total), what, said.clone().into()))
}

/// `context-faithfulness`: the share of the answer's statements that the context holds.
pub(super) async fn faithfulness(
    ready: &Ready<'_>,
    session: &mut Session<'_>,
) -> Result<Verdict, String> {
    let query = ready.needed_var("query")?;
    let context = context(ready, None).await?;
    let question = Question {
        parts: vec![
            Part::data("Question", &["question"], query),
            Part::data("Answer", &["answer", "output"], ready.text.as_str()),
        ],
        vars: ready.graded.vars,
        shows_vars: false,
    };
    let read = |reply: &Reply| {
        let statements = lines(without_thoughts(&reply.text))
            .into_iter()
            .map(str::to_owned);
        let statements: Vec<String> = statements.collect();
        (!statements.is_empty())
            .then_some(statements)
            .ok_or_else(|| "it is empty".to_owned())
    };
    let asked = session
        .ask(STATEMENTS, ready.phase("statements", 0), &question, read)
        .await;
    let statements = asked?;
    let question = Question {
        parts: vec![
            Part::data("Context", &["context"], context.join("\n\n")),
            Part::data("Statements", &["statements"], statements.join("\n")),
        ],
        vars: ready.graded.vars,
        shows_vars: false,
    };
    let read = |reply: &Reply| {
        let (held, all) =
            held(&reply.text).ok_or("there is no verdict for each statement in it")?;
        // What has no verdict is not held; a verdict too many is of nobody knows what.
        if statements.len() < all {
            let count = statements.len();
            return Err(format!(
                "there are {all} verdicts for {count} statements in it"
            ));
        }
        Ok((held, reply.text.clone()))
    };
    let asked = session
        .ask(FAITHFUL, ready.phase("verdicts", 1), &question, read)
        .await;
    let (held, said) = asked?;
    let returned = json!({"statements": statements, "verdicts": said});
    let what = "of the answer's statements are in the context";
    Ok(share(ready, (held, statements.len()), what, returned))
}

/// To how many statements the judge says yes, and how many verdicts there are: on its last line, or at the
/// end of each line. `None` when there are none.
fn held(text: &str) -> Option<(usize, usize)> {
    const LAST: &str = "final verdict for each statement in order:";
    let text = without_thoughts(text).to_lowercase();
    if let Some(place) = text.rfind(LAST) {
        let verdicts = text.get(place + LAST.len()..)?;
        let verdicts = verdicts.split(['.', ',', '\n', ' ']).map(str::trim);
        let verdicts: Vec<&str> = verdicts
            .filter(|word| matches!(*word, "yes" | "no"))
            .collect();
        let yes = verdicts.iter().filter(|word| **word == "yes").count();
        return (!verdicts.is_empty()).then_some((yes, verdicts.len()));
    }
    let count = |word: &str| text.matches(word).count();
    let (yes, no) = (count("verdict: yes"), count("verdict: no"));
    (0 < yes + no).then_some((yes, yes + no))
}

/// The context: what the assertion's script finds in the answer, else the variable `context`, a text or a
/// list of texts.
async fn context(ready: &Ready<'_>, otherwise: Option<&str>) -> Result<Vec<String>, String> {
    let found = match &ready.assertion.context_transform {
        Some(script) => {
            let found = transformed(script, &ready.output, ready.graded).await;
            found.map_err(|error| format!("`contextTransform`: {error}"))?
        }
        None => match ready.graded.vars.get("context") {
            Some(context) if !context.is_null() && context != "" => context.clone(),
            _ => otherwise.into(),
        },
    };
    let texts: Option<Vec<String>> = match found {
        Value::String(text) => Some(vec![text]),
        Value::Array(items) => {
            let texts = items.iter().map(|item| item.as_str().map(str::to_owned));
            texts.collect()
        }
        _ => None,
    };
    let texts = texts.map(|texts| {
        let texts = texts.into_iter().filter(|text| !text.trim().is_empty());
        texts.collect::<Vec<String>>()
    });
    texts.filter(|texts| !texts.is_empty()).ok_or_else(|| {
        "it needs a context: a variable `context` (text or a list of texts), or `contextTransform`"
            .to_owned()
    })
}

/// A share that passes from the threshold on, which is 0 when none is given.
fn share(ready: &Ready<'_>, (part, whole): (usize, usize), what: &str, returned: Value) -> Verdict {
    let fraction = |count: usize| u32::try_from(count).map_or(f64::from(u32::MAX), f64::from);
    let score = if whole == 0 {
        0.0
    } else {
        fraction(part) / fraction(whole)
    };
    let threshold = ready.assertion.threshold.unwrap_or(0.0);
    Verdict {
        is_pass: threshold - EPSILON <= score,
        score,
        reason: format!("{part} of {whole} {what}; {threshold} is wanted"),
        returned,
    }
}

#[cfg(test)]
mod tests {
    use super::{attributions, held};

    #[test]
    fn marks_are_read_line_by_line() {
        let text =
            "1. Paris is big. [Attributed]\n2. It is new. [Not Attributed]\nSo much for that.";
        assert_eq!(attributions(text), [true, false]);
        assert_eq!(attributions("nothing here"), Vec::<bool>::new());
    }

    #[test]
    fn verdicts_are_read_from_the_last_line_or_from_each() {
        for (text, expected) in [
            (
                "x\nFinal verdict for each statement in order: Yes. No.",
                Some((1, 2)),
            ),
            (
                "Final verdict for each statement in order: Yes, yes, No",
                Some((2, 3)),
            ),
            ("a Verdict: Yes.\nb Verdict: No.", Some((1, 2))),
            ("Final verdict for each statement in order:", None),
            ("hm", None),
        ] {
            assert_eq!(held(text), expected, "{text}");
        }
    }
}
