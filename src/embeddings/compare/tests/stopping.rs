//! Stopping early, and being stopped.

use super::{Asked, Side, clustered, find, labelled, noisy, quick, run};
use crate::embeddings::compare::report::GateOutcome;
use crate::embeddings::compare::{Settings, Subject, compare};
use crate::embeddings::{Error, Matrix};
use std::ops::ControlFlow;

fn sides() -> (Side, Side) {
    let rows = clustered(500, 8, 50, 1);
    (
        Side::new("docs@1", "old", rows.clone()),
        Side::new("docs@2", "new", noisy(&rows, 0.4, 2)),
    )
}

#[test]
fn a_clear_gate_is_decided_by_the_first_questions() {
    let (a, b) = sides();
    let settings = |gate: &str| Settings {
        gates: vec![gate.parse().unwrap()],
        is_stopping_early: true,
        sampled_items: 500,
        ..quick()
    };
    let report = run(&a, &b, &Asked::default(), &settings("overlap@10 < 0.99")).unwrap();
    assert!(
        report.method.stopped_early,
        "{:?}",
        find(&report, "item.overlap@10")
    );
    assert!(report.method.sampled_items < 500);
    assert_eq!(report.gates[0].outcome, GateOutcome::Failed);
    assert!(
        report
            .method
            .notes
            .iter()
            .any(|note| note.contains("holds at every look"))
    );

    // A gate that looks at more than overlap wants everything.
    let report = run(&a, &b, &Asked::default(), &settings("top1-changed > 1%")).unwrap();
    assert!(!report.method.stopped_early);
    assert_eq!(report.method.sampled_items, 500);
}

#[test]
fn labels_are_not_thrown_away() {
    let (a, b) = sides();
    let rows = clustered(150, 8, 90, 1);
    let answers: Vec<usize> = (0..150).collect();
    let asked = labelled(&answers, rows.clone(), noisy(&rows, 0.4, 2));
    let settings = Settings {
        is_stopping_early: true,
        ..quick()
    };
    let report = run(&a, &b, &asked, &settings).unwrap();
    assert_eq!(
        (report.method.labelled, report.method.stopped_early),
        (150, false)
    );
}

#[test]
fn whoever_waits_no_more_stops_it() {
    let rows = Matrix::new(2, vec![1.0, 0.0, 0.0, 1.0, 0.6, 0.8]).unwrap();
    let side = Side::new("docs@1", "old", rows);
    let ids: Vec<&str> = side.ids.iter().map(String::as_str).collect();
    let pipeline = serde_json::json!({});
    let subject = Subject {
        ids: &ids,
        ..super::bare(&side, &pipeline)
    };
    let mut stages = Vec::new();
    let error = compare([&subject, &subject], None, &quick(), &mut |step| {
        stages.push(step.stage);
        if step.stage == "neighbours" {
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    });
    assert!(matches!(error, Err(Error::Compare(error)) if error.kind() == "stopped"));
    assert_eq!(stages, ["alignment", "neighbours"]);
}
