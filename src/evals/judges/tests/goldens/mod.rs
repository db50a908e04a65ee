//! What promptfoo 0.121.20 made of the same answers of the same judge. Where we differ on purpose the row
//! says so, and what promptfoo says instead stands beside it.

mod choices;
mod contexts;
mod meanings;
mod rubrics;

use crate::evals::grade::Mark;
use crate::evals::judges::testing::{Desk, assertion};
use serde_json::{Value, json};

/// How a row compares with promptfoo's verdict.
enum Theirs {
    /// It is the same.
    Same,
    /// It was `(pass, score)`.
    Was(bool, f64),
}
use Theirs::Was;

/// Kind, value, threshold, what we say, what promptfoo said.
type Row = (&'static str, Value, Option<f64>, (Mark, f64), Theirs);

const PASS: Mark = Mark::Pass;
const FAIL: Mark = Mark::Fail;
const ERROR: (Mark, f64) = (Mark::Error, 0.0);

async fn hold(desk: &Desk, rows: Vec<Row>) {
    for (kind, value, threshold, (mark, score), theirs) in rows {
        let mut assertion = assertion(kind, value.clone());
        assertion.threshold = threshold;
        let grade = desk.decide(&assertion).await;
        let at = format!("{kind} {value} {threshold:?}: {grade:?}");
        assert_eq!(grade.mark, mark, "{at}");
        assert!((grade.score - score).abs() < 1e-6, "{at}");
        if let Was(pass, score) = theirs {
            let is_other = (mark == Mark::Pass) != pass
                || mark == Mark::Error
                || 1e-6 < (grade.score - score).abs();
            assert!(is_other, "the same as promptfoo's: {at}");
        }
    }
}

fn key(kind: &'static str, key: &str, ours: (Mark, f64), theirs: Theirs) -> Row {
    (
        kind,
        json!(format!("must be kind JUDGE:{key}")),
        None,
        ours,
        theirs,
    )
}
