//! Each verdict, fired by a pair that deserves it.

use super::{Asked, Side, bare, changed, clustered, find, head, labelled, noisy, quick, run};
use crate::embeddings::Matrix;
use crate::embeddings::compare::report::{ComparisonReport, Fate, VerdictKind};
use crate::embeddings::compare::{
    Settings, Subject, compare, exit_code, judge_set, read_labels, share_counts,
};
use crate::embeddings::rows::Rows as _;
use std::ops::ControlFlow;

fn kinds(report: &ComparisonReport) -> Vec<VerdictKind> {
    report.findings.iter().map(|verdict| verdict.kind).collect()
}

fn compared(a: &Matrix, b: &Matrix, asked: &Asked) -> ComparisonReport {
    let a = Side::new("docs@1", "old", a.clone());
    let b = Side::new("docs@2", "new", b.clone());
    run(&a, &b, asked, &quick()).unwrap()
}

fn half_precision(rows: &Matrix) -> Matrix {
    let values = rows
        .values()
        .iter()
        .map(|value| half::f16::from_f32(*value).to_f32());
    Matrix::new(rows.dimensions(), values.collect()).unwrap()
}

#[test]
fn a_copy_in_half_precision_is_identical() {
    let rows = clustered(300, 24, 30, 1);
    let report = compared(&rows, &half_precision(&rows), &Asked::default());
    assert_eq!(
        kinds(&report),
        [VerdictKind::Identical],
        "{:?}",
        report.findings
    );
    assert!(
        report
            .verdict
            .rule
            .starts_with("identical: item.overlap@10")
    );
    assert!(find(&report, "cross.cosine").estimate.value > 0.999);
}

#[test]
fn more_noise_is_compatible_at_most() {
    let rows = clustered(300, 24, 30, 1);
    let report = compared(&rows, &noisy(&rows, 0.03, 2), &Asked::default());
    let found = kinds(&report);
    assert_eq!(found[0], VerdictKind::Compatible, "{:?}", report.findings);
    assert!(found.contains(&VerdictKind::UnknownDirection));
    assert!(!found.contains(&VerdictKind::MixedIndexForbidden));
}

#[test]
fn cut_vectors_change_and_nobody_says_for_the_better() {
    let rows = clustered(300, 24, 30, 1);
    let values: Vec<f32> = rows
        .values()
        .chunks(24)
        .flat_map(|row| row[..12].to_vec())
        .collect();
    let report = compared(&rows, &Matrix::new(12, values).unwrap(), &Asked::default());
    assert_eq!(
        kinds(&report),
        [
            VerdictKind::UnknownDirection,
            VerdictKind::MixedIndexForbidden
        ]
    );
    assert!(report.findings[1].rule.contains("the dimensions differ"));
    assert!(
        !report
            .figures
            .iter()
            .any(|figure| figure.id.starts_with("cross."))
    );
    let overlap = find(&report, "item.overlap@10");
    assert!((0.2..0.9).contains(&overlap.estimate.value), "{overlap:?}");
    assert!((overlap.chance.unwrap() - 10.0 / 299.0).abs() < 1e-12);
}

#[test]
fn vectors_of_nothing_are_called_broken() {
    let report = compared(
        &clustered(400, 16, 40, 1),
        &clustered(400, 16, 400, 2),
        &Asked::default(),
    );
    assert_eq!(report.verdict.kind, VerdictKind::UnknownDirection);
    let advice = report.verdict.advice.as_deref().unwrap();
    assert!(
        advice.contains("check ids, prefixes and normalisation"),
        "{advice}"
    );
    let corrected = find(&report, "item.overlap@10.corrected").estimate.value;
    assert!(corrected.abs() < 0.02, "{corrected}");
}

/// Items, what is asked for each of the first ones, and the same through worse eyes.
fn worlds() -> (Matrix, Matrix, [Matrix; 2]) {
    let sharp = clustered(200, 24, 200, 3);
    let blurred = noisy(&sharp, 1.2, 4);
    let queries = noisy(&head(&sharp, 120), 0.3, 5);
    let blurred_queries = noisy(&head(&blurred, 120), 1.2, 6);
    (sharp, blurred, [queries, blurred_queries])
}

#[test]
fn labels_say_better_and_worse() {
    let (sharp, blurred, [queries, blurred_queries]) = worlds();
    let answers: Vec<usize> = (0..120).collect();
    let asked = labelled(&answers, blurred_queries.clone(), queries.clone());
    let report = compared(&blurred, &sharp, &asked);
    assert_eq!(
        report.verdict.kind,
        VerdictKind::Better,
        "{:?}",
        report.verdict
    );
    let gained = find(&report, "label.gained").estimate.value;
    let lost = find(&report, "label.lost").estimate.value;
    assert!(gained > 10.0 && lost < gained, "{gained} {lost}");
    assert_eq!(report.queries.first().map(|query| query.fate), {
        let has_lost = report.queries.iter().any(|query| query.fate == Fate::Lost);
        Some(if has_lost { Fate::Lost } else { Fate::Gained })
    });
    let query = report
        .queries
        .iter()
        .find(|query| query.fate == Fate::Gained)
        .unwrap();
    assert!(
        query
            .b
            .iter()
            .any(|hit| hit.relevance > Some(0.0) && hit.text.is_some())
    );
    assert!(query.first_relevant.unwrap()[1].is_some_and(|rank| rank <= 10));

    let asked = labelled(&answers, queries, blurred_queries);
    let report = compared(&sharp, &blurred, &asked);
    assert_eq!(
        report.verdict.kind,
        VerdictKind::Worse,
        "{:?}",
        report.verdict
    );
    assert!(find(&report, "label.ndcg@10.delta").p_value.unwrap() < 0.05);
    assert!(find(&report, "label.map.delta").estimate.value < 0.0);
}

#[test]
fn as_good_with_other_answers() {
    // Every answer is far from everything else, so both find it; what comes behind it is another.
    let rows = clustered(400, 24, 400, 3);
    let moved = noisy(&rows, 0.8, 8);
    let answers: Vec<usize> = (0..380).collect();
    let queries = noisy(&head(&rows, 380), 0.01, 9);
    let moved_queries = noisy(&head(&moved, 380), 0.01, 9);
    let asked = labelled(&answers, queries, moved_queries);
    let report = compared(&rows, &moved, &asked);
    assert_eq!(
        report.verdict.kind,
        VerdictKind::SameQuality,
        "{:?}",
        report.findings
    );
    assert!(kinds(&report).contains(&VerdictKind::NotWorthIt));
    assert!(find(&report, "query.overlap@10").estimate.value < 0.95);

    // The same from a handful of them: that all tie is no certainty.
    for count in [1, 10] {
        let asked = labelled(
            &answers[..count],
            head(&asked.a, count),
            head(&asked.b, count),
        );
        let a = Side::new("docs@1", "old", rows.clone());
        let b = Side::new("docs@2", "new", moved.clone());
        let settings = Settings {
            gates: ["ndcg@10 drop > 0.01", "recall@10 drop > 0.01"]
                .map(|gate| gate.parse().unwrap())
                .to_vec(),
            ..quick()
        };
        let report = run(&a, &b, &asked, &settings).unwrap();
        assert_eq!(
            kinds(&report),
            [VerdictKind::CannotDecide, VerdictKind::MixedIndexForbidden]
        );
        assert_eq!(exit_code(&report.gates), 2, "{:?}", report.gates);
        let figure = find(&report, "label.ndcg@10.delta");
        assert!(0.3 < figure.estimate.interval.high, "{figure:?}");
        assert!(figure.detectable.is_none_or(|least| 0.3 < least));
    }
}

/// The provider's own noise stands beside the histogram that was measured alike: over ten neighbours.
#[test]
fn a_histogram_stands_beside_that_of_noise() {
    let rows = clustered(60, 8, 20, 1);
    let side = Side::new("docs@1", "old", rows);
    let ids: Vec<&str> = side.ids.iter().map(String::as_str).collect();
    let pipeline = serde_json::json!({});
    let counts = share_counts(&[1.0, 1.0, 0.9]);
    let subject = Subject {
        ids: &ids,
        noise_counts: Some(&counts),
        ..bare(&side, &pipeline)
    };
    for (k, expected) in [(10, Some(counts.clone())), (5, None)] {
        let settings = Settings { k, ..quick() };
        let told = &mut |_| ControlFlow::Continue(());
        let report = compare([&subject, &subject], None, &settings, told).unwrap();
        assert_eq!(report.histograms[0].noise, expected);
    }
}

#[test]
fn lists_of_everything_say_nothing() {
    let a = Side::new("tiny@1", "old", clustered(9, 8, 9, 1));
    let b = Side::new("tiny@2", "new", clustered(9, 8, 9, 2));
    let settings = Settings {
        gates: vec!["item-overlap@8 < 0.95".parse().unwrap()],
        ..quick()
    };
    let report = run(&a, &b, &Asked::default(), &settings).unwrap();
    assert_eq!(
        kinds(&report),
        [VerdictKind::CannotDecide, VerdictKind::MixedIndexForbidden],
        "{:?}",
        report.findings
    );
    assert_eq!(exit_code(&report.gates), 2, "{:?}", report.gates);
}

/// Queries with one vector on both sides ask each side as it asks itself: nothing of the items' is in that.
#[test]
fn queries_that_did_not_change_prove_no_mixed_index() {
    let rows = clustered(300, 24, 300, 3);
    let moved = noisy(&rows, 0.6, 8);
    let queries = noisy(&head(&rows, 200), 0.3, 9);
    let answers: Vec<usize> = (0..200).collect();
    let asked = labelled(&answers, queries.clone(), queries);
    let report = compared(&rows, &moved, &asked);
    let crossing = find(&report, "cross.b_in_a.overlap@10");
    assert!(crossing.estimate.value > 0.999, "{crossing:?}");
    let found = kinds(&report);
    assert!(
        !found.contains(&VerdictKind::Compatible) && !found.contains(&VerdictKind::Identical),
        "{:?}",
        report.findings
    );
    assert!(found.contains(&VerdictKind::MixedIndexForbidden));
}

/// Lists go as deep as there is room: of 300 items each query's list holds all.
#[test]
fn the_threshold_map_counts_all_that_passes() {
    let rows = clustered(300, 6, 30, 1);
    let moved = noisy(&rows, 0.3, 2);
    let answers: Vec<usize> = (0..40).collect();
    let asked = labelled(&answers, head(&rows, 40), head(&moved, 40));
    let report = compared(&rows, &moved, &asked);
    let passing = |base: &Matrix, queries: &Matrix, threshold: f64| {
        let vectors = |matrix: &Matrix| -> Vec<Vec<f32>> {
            matrix.values().chunks(6).map(<[f32]>::to_vec).collect()
        };
        let pairs = vectors(queries).into_iter().flat_map(|query| {
            let cosine = move |row: Vec<f32>| -> f32 {
                row.iter().zip(&query).map(|(one, other)| one * other).sum()
            };
            vectors(base).into_iter().map(cosine)
        });
        let passing = pairs.filter(|score| threshold <= f64::from(*score));
        passing.count() as f64 / 40.0
    };
    let lowest = report.thresholds.last().unwrap();
    assert!(100.0 < lowest.per_query, "{lowest:?}");
    for row in &report.thresholds {
        assert!(!row.has_more_unchanged && row.per_query <= 150.0);
        for (counted, base, queries) in [
            (row.per_query, &rows, &asked.a),
            (row.per_query_unchanged, &moved, &asked.b),
        ] {
            let all = passing(base, queries, row.a);
            assert!((counted - all).abs() < 0.06, "{row:?} {all}");
        }
    }
}

#[test]
fn few_labels_cannot_decide_and_say_how_many_would() {
    let (sharp, blurred, [queries, blurred_queries]) = worlds();
    let answers: Vec<usize> = (0..8).collect();
    let weak = noisy(&blurred, 0.3, 11);
    let asked = labelled(
        &answers,
        head(&blurred_queries, 8),
        head(&blurred_queries, 8),
    );
    let report = compared(&blurred, &weak, &asked);
    let _ = (sharp, queries);
    assert_eq!(
        report.verdict.kind,
        VerdictKind::CannotDecide,
        "{:?}",
        report.findings
    );
    assert!(
        report.verdict.more_queries.is_none_or(|more| more > 8),
        "{:?}",
        report.verdict
    );
    assert!(
        report.verdict.rule.contains("would have been seen"),
        "{}",
        report.verdict.rule
    );
}

#[test]
fn gates_decide_the_exit() {
    let rows = clustered(300, 24, 30, 1);
    let a = Side::new("docs@1", "old", rows.clone());
    let b = Side::new(
        "docs@2",
        "new",
        changed(&rows, |place, value| if place < 16 { value } else { 0.0 }),
    );
    let outcome = |gates: &[&str]| {
        let settings = Settings {
            gates: gates.iter().map(|gate| gate.parse().unwrap()).collect(),
            ..quick()
        };
        exit_code(&run(&a, &b, &Asked::default(), &settings).unwrap().gates)
    };
    assert_eq!(outcome(&["overlap@10 < 0.05", "top1-changed > 99%"]), 0);
    assert_eq!(outcome(&["overlap@10 < 0.99"]), 1);
    assert_eq!(outcome(&["overlap@10 < 0.05", "ndcg@10 drop > 0.01"]), 2);
    assert_eq!(outcome(&["space-mismatch", "noise-floor < 0.9"]), 1);
}

#[test]
fn the_same_comparison_has_the_same_bytes() {
    let (sharp, blurred, [queries, blurred_queries]) = worlds();
    let answers: Vec<usize> = (0..60).collect();
    let asked = labelled(&answers, head(&queries, 60), head(&blurred_queries, 60));
    let a = Side::new("docs@1", "old", sharp);
    let b = Side::new("docs@2", "new", blurred);
    let bytes = |threads: usize, seed: u64| {
        let settings = Settings {
            threads,
            seed,
            sampled_items: 50,
            ..quick()
        };
        serde_json::to_string(&run(&a, &b, &asked, &settings).unwrap()).unwrap()
    };
    let first = bytes(1, 1);
    let second = bytes(2, 1);
    assert!(first == second);
    assert!(first != bytes(2, 2));
    let read: ComparisonReport = serde_json::from_str(&first).unwrap();
    assert_eq!(read.verdict.kind, VerdictKind::Worse);

    let judged = judge_set(&read, 3);
    let lines: Vec<serde_json::Value> = judged
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert!(
        lines.len() > 30 && lines.iter().any(|line| line["grade"].is_null()),
        "{judged}"
    );
    assert!(
        lines
            .iter()
            .all(|line| line["text"].is_string() && line["query_text"].is_string())
    );
    let known = lines
        .iter()
        .filter(|line| line["grade"].is_number())
        .count();
    assert_eq!(read_labels(&judged).unwrap().len(), known);
}
