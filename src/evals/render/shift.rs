//! What all forms say of outputs that lie apart: sentences, and the cases that moved most.

use super::units::{chance, count, points, value};
use crate::evals::report::{Figure, RunReport};
use crate::evals::shift::{Noise, OutputShift, SubjectShift};

/// A p-value below this is called a difference.
const LEVEL: f64 = 0.05;

/// Returns the shifts of a report, with the subject's name where there are several.
pub fn of_report(report: &RunReport) -> impl Iterator<Item = (&OutputShift, &SubjectShift)> {
    let shift = report.output_shift.iter();
    shift.flat_map(|shift| {
        let subjects = shift.subjects.iter();
        subjects.map(move |subject| (shift.as_ref(), subject))
    })
}

/// Returns what a subject's shift comes to, a sentence each; the last says what it does not mean.
#[must_use]
pub fn sentences(shift: &OutputShift, subject: &SubjectShift) -> Vec<String> {
    let mut lines = vec![alike(subject)];
    lines.extend(subject.noise.as_ref().map(noise));
    lines.push(moved(subject));
    lines.extend(distribution(subject));
    let long = match shift.cut {
        0 => String::new(),
        cut => format!(", {cut} by their beginning only"),
    };
    let texts = count_of(shift.texts, "text");
    lines.push(format!("{texts} embedded by `{}`{long}.", shift.model));
    lines.push(
        "Changed, not worse: similarity tells how far answers moved, not whether they are better."
            .to_owned(),
    );
    lines
}

fn alike(subject: &SubjectShift) -> String {
    let left_out = match subject.left_out {
        0 => String::new(),
        left_out => format!(
            "; {} left out that have no answer on a side",
            count_of(left_out, "case")
        ),
    };
    format!(
        "Answers of base and head are alike to {} on average (cosine, {}{left_out}).",
        cosine(&subject.similarity),
        count_of(subject.cases, "case"),
    )
}

fn noise(noise: &Noise) -> String {
    let own = format!(
        "Base answered twice is alike to itself to {} ({})",
        cosine(&noise.similarity),
        count_of(noise.cases, "case")
    );
    match noise.beyond {
        Some(beyond) if beyond.low.is_some_and(|low| 0.0 < low) => {
            format!("{own}: head lies {} further off.", cosine(&beyond))
        }
        Some(_) => format!("{own}: head lies no further off than that noise."),
        None => format!("{own}."),
    }
}

fn moved(subject: &SubjectShift) -> String {
    let share = &subject.moved_share;
    let ends = match (share.low, share.high) {
        (Some(low), Some(high)) => {
            let end = |share: f64| points(share).trim_start_matches('+').to_owned();
            format!(" [{}, {}]", end(low), end(high))
        }
        _ => String::new(),
    };
    let why = if subject.is_calibrated {
        "by base's own noise 5 % of the cases would"
    } else {
        "a usual figure, for base's own noise is not known from 20 cases: `repeat: 2` measures it"
    };
    format!(
        "{} of {} moved, {}{ends}: they are alike to less than {:.3} ({why}).",
        subject.moved,
        count_of(subject.cases, "case"),
        value(share.value, "share"),
        subject.threshold,
    )
}

fn distribution(subject: &SubjectShift) -> Option<String> {
    let test = subject.distribution?;
    let what = if test.p_value < LEVEL {
        "The answers as a whole are distributed otherwise"
    } else {
        "No difference of the answers as a whole is seen"
    };
    let p = chance(test.p_value);
    let equals = if p.starts_with('<') { "" } else { "= " };
    Some(format!(
        "{what} (MMD, p {equals}{p}, {}).",
        count_of(test.cases, "case")
    ))
}

fn cosine(figure: &Figure) -> String {
    match (figure.low, figure.high) {
        (Some(low), Some(high)) => format!("{:.3} [{low:.3}, {high:.3}]", figure.value),
        _ => format!("{:.3}", figure.value),
    }
}

fn count_of(number: u64, what: &str) -> String {
    count(usize::try_from(number).unwrap_or(usize::MAX), what)
}
