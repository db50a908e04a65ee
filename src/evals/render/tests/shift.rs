//! What is said of outputs that lie apart, in each form for people.

use super::super::{comment, fixtures, json, page, shift};
use crate::evals::report::{Figure, RunReport};
use crate::evals::shift::{Distribution, MovedCase, Noise, SubjectShift};
use crate::wire::testing::{html, markdown};

/// The report of a change whose outputs were embedded.
fn report() -> RunReport {
    let mut report = fixtures::regression(12);
    report.output_shift = Some(Box::new(fixtures::output_shift()));
    report
}

#[test]
fn a_shift_is_told_in_sentences() {
    let whole = fixtures::output_shift();
    let calibrated = &whole.subjects[0];
    let usual = SubjectShift {
        noise: None,
        threshold: 0.9,
        is_calibrated: false,
        distribution: None,
        left_out: 0,
        ..calibrated.clone()
    };
    let quiet = SubjectShift {
        noise: calibrated.noise.map(|noise| Noise {
            beyond: Some(figure(0.002, -0.01, 0.014)),
            ..noise
        }),
        distribution: Some(Distribution {
            mmd: 0.0,
            p_value: 0.62,
            cases: 120,
        }),
        ..calibrated.clone()
    };
    let told = [calibrated, &usual, &quiet].map(|one| shift::sentences(&whole, one).join("\n"));
    for (told, wanted) in [
        (
            &told[0],
            "alike to 0.912 [0.880, 0.935] on average (cosine, 120 cases; 2 cases left out",
        ),
        (
            &told[0],
            "118 cases): head lies 0.058 [0.030, 0.080] further off.",
        ),
        (&told[0], "14 of 120 cases moved, 11.7 % [7.1, 18.6]"),
        (
            &told[0],
            "less than 0.931 (by base's own noise 5 % of the cases would).",
        ),
        (
            &told[0],
            "distributed otherwise (MMD, p = .0050, 120 cases).",
        ),
        (&told[0], "Changed, not worse"),
        (&told[1], "less than 0.900 (a usual figure"),
        (&told[2], "head lies no further off than that noise."),
        (
            &told[2],
            "No difference of the answers as a whole is seen (MMD, p = .620",
        ),
    ] {
        assert!(told.contains(wanted), "{wanted}: {told}");
    }
}

#[test]
fn every_form_has_it() {
    let report = report();
    let text = comment(&report);
    markdown::check(&text).unwrap();
    let (_, after) = text
        .split_once("<details><summary>How far outputs moved")
        .unwrap();
    let (inside, _) = after.split_once("</details>").unwrap();
    assert!(
        inside.contains("answer-003") && inside.contains("0.412"),
        "{inside}"
    );
    let text = page(&report);
    html::check(&text).unwrap();
    let (_, after) = text.split_once("<h2>How far outputs moved").unwrap();
    let (inside, _) = after.split_once("<h2>").unwrap();
    assert!(inside.contains("I cannot help with that."), "{inside}");
    let value: serde_json::Value = serde_json::from_str(&json(&report)).unwrap();
    assert_eq!(value["output_shift"]["subjects"][0]["moved"], 14);
    let again: RunReport = serde_json::from_str(&json(&report)).unwrap();
    assert_eq!(again, report);
}

/// Names and answers come from models and files.
#[test]
fn what_models_said_breaks_no_form() {
    let evil =
        "\u{1b}[31m</script><script>alert(1)</script> | `code` ```\n--> <!-- @team #1 \u{202e}";
    let mut report = fixtures::nasty();
    let mut whole = fixtures::output_shift();
    whole.model = evil.to_owned();
    whole.subjects[0].subject = evil.to_owned();
    whole.subjects[0].furthest = vec![
        MovedCase {
            case: evil.to_owned(),
            similarity: 0.1,
            base: evil.repeat(100),
            head: evil.to_owned(),
        };
        10
    ];
    report.output_shift = Some(Box::new(whole));
    markdown::check(&comment(&report)).unwrap();
    html::check(&page(&report)).unwrap();
}

const fn figure(value: f64, low: f64, high: f64) -> Figure {
    Figure {
        value,
        low: Some(low),
        high: Some(high),
    }
}
