//! What is compared, and what is refused.

use super::{Asked, Side, clustered, find, head, labelled, noisy, quick, run};
use crate::embeddings::compare::report::VerdictKind;
use crate::embeddings::compare::{CompareError, Relevant, Settings, Target};
use crate::embeddings::{Error, Matrix, Span};

fn span(source: &str, start: u64, end: u64) -> Option<Span> {
    Some(Span {
        source: source.to_owned(),
        start,
        end,
    })
}

#[test]
fn everything_that_is_not_compared_is_counted() {
    let rows = clustered(40, 8, 8, 1);
    let mut values = rows.values().to_vec();
    values[..8].fill(0.0);
    values[8..16].iter_mut().for_each(|value| *value *= 3.0);
    let mut a = Side::new("docs@1", "old", Matrix::new(8, values).unwrap());
    let mut b = Side::new("docs@2", "new", head(&noisy(&rows, 0.1, 2), 38));
    a.ids[39] = "gone".to_owned();
    b.ids[5] = "new".to_owned();
    b.texts[6] = "another text".to_owned();
    a.texts[10] = a.texts[11].clone();
    b.texts[10] = a.texts[11].clone();
    a.facts.space.normalised = true;
    let report = run(&a, &b, &Asked::default(), &quick()).unwrap();
    let alignment = report.alignment;
    assert_eq!(alignment.compared, 35);
    assert_eq!(
        (alignment.only_a, alignment.only_b, alignment.changed_text),
        (3, 1, 1)
    );
    assert_eq!((alignment.zero, alignment.not_unit), ([1, 0], [1, 0]));
    a.facts.space.normalised = false;
    let unsaid = run(&a, &b, &Asked::default(), &quick()).unwrap();
    assert_eq!(unsaid.alignment.not_unit, [0, 0]);
    assert_eq!(alignment.duplicates, [2, 2]);
    assert!((alignment.chance - 10.0 / 34.0).abs() < 1e-12);
    assert!(!alignment.is_by_span);
    // Nobody's neighbour is an item that is not compared.
    let shown = report
        .movers
        .iter()
        .flat_map(|item| item.a.iter().chain(&item.b));
    assert!(shown.clone().count() > 100);
    for hit in shown {
        assert!(!["item-0", "item-5", "item-6", "gone", "new"].contains(&hit.id.as_str()));
    }
}

#[test]
fn other_orders_are_the_same_snapshot() {
    let rows = clustered(60, 8, 12, 1);
    let a = Side::new("docs@1", "old", rows.clone());
    let turned: Vec<f32> = rows.values().chunks(8).rev().flatten().copied().collect();
    let mut b = Side::new("docs@2", "new", Matrix::new(8, turned).unwrap());
    b.ids.reverse();
    b.texts.reverse();
    let report = run(&a, &b, &Asked::default(), &quick()).unwrap();
    assert!((find(&report, "item.overlap@10").estimate.value - 1.0).abs() < 1e-12);
    assert_eq!(report.verdict.kind, VerdictKind::Identical);
}

#[test]
fn what_has_nothing_in_common_is_refused() {
    let rows = clustered(20, 8, 4, 1);
    let a = Side::new("docs@1", "old", rows);
    let refused = |change: fn(&mut Side)| {
        let mut b = Side::new("faq@1", "new", clustered(20, 8, 4, 1));
        change(&mut b);
        let error = run(&a, &b, &Asked::default(), &quick()).unwrap_err();
        assert!(error.hint().is_none_or(|hint| !hint.is_empty()));
        (error.kind(), error.to_string())
    };
    let (kind, message) = refused(|b| b.ids.iter_mut().for_each(|id| id.push('x')));
    assert_eq!(kind, "nothing_to_compare");
    assert!(message.contains("`docs@1` and `faq@1`") && message.contains("0 items in both"));
    let (_, message) = refused(|b| b.texts.iter_mut().for_each(|text| text.push('x')));
    assert!(
        message.contains("20 items are in both, but with other texts"),
        "{message}"
    );
    let (kind, message) = refused(|b| _ = b.ids.pop());
    assert_eq!(kind, "invalid_request");
    assert!(message.contains("19 ids where 20 are needed"), "{message}");
}

#[test]
fn queries_must_fit() {
    let rows = clustered(20, 8, 4, 1);
    let (a, b) = (
        Side::new("docs@1", "old", rows.clone()),
        Side::new("docs@2", "new", rows.clone()),
    );
    let short = labelled(&[0, 1, 2], head(&rows, 2), head(&rows, 3));
    let error = run(&a, &b, &short, &quick()).unwrap_err();
    assert!(
        error.to_string().contains("2 vectors of queries where 3"),
        "{error}"
    );
    let narrow = labelled(&[0], Matrix::new(4, vec![1.0; 4]).unwrap(), head(&rows, 1));
    let error = run(&a, &b, &narrow, &quick()).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("4 dimensions of queries where 8"),
        "{error}"
    );
    for settings in [
        Settings { k: 0, ..quick() },
        Settings {
            margin: 0.0,
            ..quick()
        },
        Settings {
            confidence: 1.0,
            ..quick()
        },
        Settings {
            resamples: 1,
            ..quick()
        },
    ] {
        let error = run(&a, &b, &Asked::default(), &settings).unwrap_err();
        assert!(
            matches!(error, Error::Compare(CompareError::InvalidSetting { .. })),
            "{error}"
        );
    }
}

#[test]
fn items_that_ask_do_not_answer_themselves() {
    let rows = clustered(30, 8, 6, 1);
    let (a, b) = (
        Side::new("docs@1", "old", rows.clone()),
        Side::new("docs@2", "new", noisy(&rows, 0.2, 3)),
    );
    let mut asked = labelled(&[1, 2], head(&rows, 2), head(&b.rows, 2));
    asked.list[0].item = Some("item-0".to_owned());
    let report = run(&a, &b, &asked, &quick()).unwrap();
    for query in &report.queries {
        let is_own = query.a.iter().any(|hit| hit.id == "item-0");
        assert_eq!(is_own, query.id != "q0" && is_own, "{query:?}");
        assert!(query.id != "q1" || query.a[0].id == "item-1");
    }
}

/// Chunks of 100 bytes, and the halves of them.
fn chunked() -> (Side, Side, Matrix) {
    let rows = clustered(24, 8, 24, 1);
    let mut coarse = Side::new("docs@1", "one", rows.clone());
    coarse.spans = (0..24)
        .map(|row| span("book", row * 100, row * 100 + 100))
        .collect();
    let halves: Vec<f32> = rows
        .values()
        .chunks(8)
        .flat_map(|row| [row, row].concat())
        .collect();
    let mut fine = Side::new(
        "docs@2",
        "one",
        noisy(&Matrix::new(8, halves).unwrap(), 0.02, 2),
    );
    fine.spans = (0..48)
        .map(|row| span("book", row * 50, row * 50 + 50))
        .collect();
    fine.facts.pipeline_id = "pipe-2".to_owned();
    (coarse, fine, rows)
}

#[test]
fn other_chunks_are_matched_by_their_places() {
    let (coarse, fine, rows) = chunked();
    let mut asked = labelled(&[0; 12], head(&rows, 12), head(&rows, 12));
    for (query, start) in asked.list.iter_mut().zip((0_u64..).step_by(100)) {
        // A sentence of the chunk: it lies in the coarse chunk and in its first half.
        query.relevant = vec![Relevant {
            target: Target::Span(span("book", start + 10, start + 30).unwrap()),
            grade: 1.0,
        }];
    }
    for (a, b) in [(&coarse, &fine), (&fine, &coarse)] {
        let report = run(a, b, &asked, &quick()).unwrap();
        assert!(report.alignment.is_by_span);
        assert_eq!(
            (report.alignment.compared, report.alignment.only_a),
            (24, 0)
        );
        let top1 = find(&report, "query.top1").estimate.value;
        let overlap = find(&report, "query.overlap@5").estimate.value;
        assert!(
            (top1 - 1.0).abs() < 1e-12 && overlap > 0.9,
            "{top1} {overlap}"
        );
        let ndcg = find(&report, "label.ndcg@10.delta");
        assert!(
            ndcg.sides
                .unwrap()
                .iter()
                .all(|side| (side - 1.0).abs() < 1e-12)
        );
        assert!(
            !report
                .figures
                .iter()
                .any(|figure| figure.id.starts_with("item."))
        );
        let note = "48 chunks of `docs@2` are matched with 24 of `docs@1`";
        assert!(report.method.notes.iter().any(|found| found.contains(note)));
    }
    let error = run(&coarse, &fine, &Asked::default(), &quick()).unwrap_err();
    assert!(error.to_string().contains("chunked differently"), "{error}");
}

#[test]
fn chunks_of_other_sources_are_refused() {
    let (coarse, mut fine, rows) = chunked();
    fine.spans
        .iter_mut()
        .flatten()
        .for_each(|span| "other".clone_into(&mut span.source));
    let asked = labelled(&[0], head(&rows, 1), head(&rows, 1));
    let error = run(&coarse, &fine, &asked, &quick()).unwrap_err();
    assert!(
        error.to_string().contains("no chunk of the one lies where"),
        "{error}"
    );
}
