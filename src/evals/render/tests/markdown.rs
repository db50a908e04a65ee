//! Whether a comment keeps its structure and its limit, whatever is in it.

use super::super::{comment, fixtures, marker, summary};
use crate::wire::testing::markdown::check;

#[test]
fn comments_keep_their_structure_and_their_limit() {
    for (name, report) in fixtures::all() {
        for (text, limit) in [(comment(&report), 65_536), (summary(&report), 1_048_576)] {
            check(&text).unwrap_or_else(|problem| panic!("{name}: {problem}"));
            assert!(text.len() <= limit, "{name}: {}", text.len());
        }
    }
}

#[test]
fn huge_reports_lose_details_and_say_so() {
    let mut report = fixtures::regression(2_200);
    for change in &mut report.changes {
        change.head_output = Some("<|`\n".repeat(20_000));
    }
    report.summary = "*".repeat(1_000_000);
    report.warnings = vec!["_".repeat(100_000); 1_000];
    report.command = "`".repeat(100_000);
    for _ in 0..200 {
        let metric = report.metrics[0].clone();
        report.metrics.push(metric);
    }
    for (text, limit) in [(comment(&report), 65_536), (summary(&report), 1_048_576)] {
        assert!(text.len() <= limit, "{}", text.len());
        assert!(text.contains("left out, for want of room"), "{text}");
        check(&text).unwrap();
    }
}

#[test]
fn the_marker_is_one_line_that_nothing_ends() {
    for (suite, wanted) in [
        ("support/answer", "<!-- promptgate-evals:support/answer -->"),
        ("a--b-->c\nd", "<!-- promptgate-evals:a-b-c-d -->"),
        ("-", "<!-- promptgate-evals: -->"),
    ] {
        assert_eq!(marker(suite), wanted);
    }
    assert!(
        comment(&fixtures::head_only())
            .starts_with("<!-- promptgate-evals:support/greeting -->\n> [!TIP]\n")
    );
}
