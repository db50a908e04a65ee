//! Every form of every fixture: as text where text is the product, and held to the rules of its format.

mod html;

use super::{Line, Role, fixtures, json, junit, markdown, marker, page, plain, terminal};
use crate::embeddings::compare::report::{ComparisonReport, Fate, GateOutcome};
use crate::wire::testing;
use proptest::prelude::*;
use std::sync::LazyLock;

/// Fixtures whose texts people read in a snapshot; the hostile one is checked by rules.
fn readable() -> Vec<(&'static str, ComparisonReport)> {
    let mut all = fixtures::all();
    all.retain(|(name, _)| *name != "hostile");
    all
}

#[test]
fn terminals_show_what_decides_first() {
    for (name, report) in readable() {
        insta::assert_snapshot!(format!("terminal_{name}"), plain(&terminal(&report, 100)));
    }
    let narrow = plain(&terminal(&fixtures::undecided(), 60));
    insta::assert_snapshot!("terminal_narrow", narrow);
}

#[test]
fn lines_fit_their_terminal() {
    for (name, report) in fixtures::all() {
        for width in [0, 40, 72, 100, 200] {
            for line in terminal(&report, width) {
                let text = plain(std::slice::from_ref(&line));
                let longest = text.split(' ').map(|word| word.chars().count()).max();
                let room = width.max(40).max(longest.unwrap_or(0) + 8);
                assert!(
                    text.trim_end().chars().count() <= room,
                    "{name} {width}: {text}"
                );
                let is_clean = |c: char| !c.is_control() || c == '\n';
                assert!(
                    text.chars().all(is_clean) && text.lines().count() <= 1,
                    "{text:?}"
                );
            }
        }
    }
}

#[test]
fn roles_say_what_is_good_and_what_is_not() {
    let role_of = |lines: &[Line], words: &str| {
        let pieces = lines.iter().flat_map(|line| &line.pieces);
        let mut pieces = pieces.filter(|piece| piece.text.trim() == words);
        pieces.next().map(|piece| piece.role)
    };
    let lines = terminal(&fixtures::labelled(), 100);
    assert_eq!(role_of(&lines, "better"), Some(Role::Good));
    assert_eq!(role_of(&lines, "failed"), Some(Role::Bad));
    assert_eq!(role_of(&lines, "+0.058 [+0.045, +0.072]"), Some(Role::Good));
    let lines = terminal(&fixtures::undecided(), 100);
    assert_eq!(role_of(&lines, "cannot decide"), Some(Role::Doubtful));
    assert_eq!(
        role_of(&lines, "About 1940 more queries would decide."),
        Some(Role::Doubtful)
    );
    // An interval with 0 in it says nothing.
    let mut pieces = lines.iter().flat_map(|line| &line.pieces);
    assert!(pieces.all(|piece| !piece.text.contains("+0.012") || piece.role == Role::Plain));
}

#[test]
fn comments_say_what_counts() {
    for (name, report) in readable() {
        insta::assert_snapshot!(format!("markdown_{name}"), markdown(&report));
    }
}

#[test]
fn comments_keep_their_structure_and_their_limit() {
    for (name, report) in fixtures::all() {
        let text = markdown(&report);
        testing::markdown::check(&text).unwrap_or_else(|problem| panic!("{name}: {problem}"));
        assert!(text.len() <= 65_536, "{name}: {}", text.len());
    }
    let mut report = fixtures::labelled();
    report.figures.retain(|figure| figure.id != "label.lost");
    report.verdict.sentence = "<|`*@team\n".repeat(100_000);
    report.settings = vec![report.settings[0].clone(); 500];
    report.method.notes = vec!["|`".repeat(10_000); 500];
    for query in &mut report.queries {
        query.text = Some("`".repeat(5_000));
        (query.fate, query.id) = (Fate::Lost, "<!--".repeat(5_000));
        for hit in query.a.iter_mut().chain(&mut query.b) {
            hit.text = Some("</details>`|".repeat(1_000));
        }
    }
    let text = markdown(&report);
    testing::markdown::check(&text).unwrap();
    assert!(text.len() <= 65_536, "{}", text.len());
    assert!(
        text.contains("1100 of 1100 queries lose their answer") && text.contains("and 1088 more")
    );
}

#[test]
fn a_comment_is_found_by_its_collections() {
    for (a, b, wanted) in [
        ("docs@1", "docs@2", "<!-- promptgate-embeddings:docs -->"),
        (
            "docs@1",
            "faq/de@1",
            "<!-- promptgate-embeddings:docs-faq/de -->",
        ),
        (
            "a--b-->c\nd",
            "x",
            "<!-- promptgate-embeddings:a-b-c-d-x -->",
        ),
    ] {
        assert_eq!(marker(a, b), wanted);
    }
}

#[test]
fn junit_is_what_test_servers_read() {
    for (name, report) in readable() {
        insta::assert_snapshot!(format!("junit_{name}"), junit(&report));
    }
    for (name, report) in fixtures::all() {
        let text = junit(&report);
        testing::xml::check(&text).unwrap_or_else(|problem| panic!("{name}: {problem}"));
        let of = |outcome| {
            report
                .gates
                .iter()
                .filter(|gate| gate.outcome == outcome)
                .count()
        };
        assert_eq!(
            text.matches("<failure ").count(),
            of(GateOutcome::Failed),
            "{name}"
        );
        assert!(
            of(GateOutcome::CannotDecide) <= text.matches("<skipped ").count(),
            "{name}"
        );
        assert_eq!(
            text.matches("<testcase ").count(),
            report.gates.len().max(1),
            "{name}"
        );
    }
}

#[test]
fn json_is_the_report() {
    for (name, report) in readable() {
        let text = json(&report);
        assert!(text.ends_with("}\n"), "{name}");
        let read: ComparisonReport = serde_json::from_str(&text).unwrap();
        // Reading a number may miss its last bit.
        assert_eq!(
            plain(&terminal(&read, 100)),
            plain(&terminal(&report, 100)),
            "{name}"
        );
        assert_eq!(
            (read.settings, read.gates, read.method),
            (report.settings, report.gates, report.method)
        );
        assert_eq!(read.projection.points.len(), report.projection.points.len());
    }
}

#[test]
fn the_same_report_gives_the_same_bytes() {
    let forms = |report: &ComparisonReport| {
        [
            json(report),
            markdown(report),
            junit(report),
            page(report),
            plain(&terminal(report, 80)),
        ]
    };
    assert!(forms(&fixtures::undecided()) == forms(&fixtures::undecided()));
}

#[test]
fn vectors_that_an_adapter_made_are_called_so() {
    let mut report = fixtures::small();
    report.b.space.adapter = Some("0123456789abcdef".repeat(4));
    let text = plain(&terminal(&report, 100));
    assert!(text.contains(" by adapter-0123456789ab,"), "{text}");
    assert!(!plain(&terminal(&fixtures::small(), 100)).contains("adapter"));
}

#[test]
fn what_cannot_be_decided_says_how_much_is_missing() {
    let report = fixtures::undecided();
    for text in [
        plain(&terminal(&report, 100)),
        markdown(&report),
        junit(&report),
        page(&report),
    ] {
        assert!(text.contains("cannot decide"), "{text}");
        assert!(
            text.contains("About 1940 more queries would decide."),
            "{text}"
        );
    }
}

#[test]
fn what_the_reason_says_is_not_said_again() {
    let mut report = fixtures::undecided();
    report.verdict.sentence =
        "60 cannot decide. About 1940 more labelled queries would decide.".to_owned();
    report.gates[0].reason = "both are open; about 1940 more queries would decide".to_owned();
    for text in [
        plain(&terminal(&report, 200)),
        markdown(&report),
        junit(&report),
        page(&report),
    ] {
        assert!(!text.contains("About 1940 more queries"), "{text}");
    }
}

/// A report lists some of its queries; how many lose their answer is a figure of all with labels.
#[test]
fn lost_answers_are_counted_of_all_queries() {
    let mut report = fixtures::labelled();
    report.queries.retain(|query| query.fate == Fate::Lost);
    report.queries.truncate(10);
    let missing = "none of them is among the 10 queries that this report lists";
    let lines = plain(&terminal(&report, 100));
    for (text, more) in [(lines, "and 29 more"), (markdown(&report), "and 27 more")] {
        for words in [
            "37 of 1100 queries lose their answer",
            "61 of 1100 queries gain an answer",
            missing,
            more,
        ] {
            assert!(text.contains(words), "{words}: {text}");
        }
    }
    assert!(page(&report).contains("37 lost, 61 gained, of 1100 queries"));
    report.method.labelled = 900;
    assert!(markdown(&report).contains("37 of 900 labelled queries lose their answer"));
}

#[test]
fn what_moved_is_told_in_few_lines() {
    let report = fixtures::unlabelled();
    let lines = plain(&terminal(&report, 100));
    let comment = markdown(&report);
    for (text, heads) in [
        (
            &lines,
            [
                "items whose neighbours changed most",
                "where it changed: clusters of A",
            ],
        ),
        (
            &comment,
            [
                "Items whose neighbours changed most",
                "Where it changed: clusters of A",
            ],
        ),
    ] {
        for head in heads {
            assert!(text.contains(head), "{head}: {text}");
        }
        assert!(
            text.contains(&report.clusters[0].words[..4].join(", ")),
            "{text}"
        );
    }
    // What did not move is not told of.
    let mut report = report;
    for item in &mut report.movers {
        (item.overlap, item.rbo) = (1.0, 1.0);
    }
    assert!(!plain(&terminal(&report, 100)).contains("neighbours changed most"));
    assert!(!markdown(&report).contains("neighbours changed most"));
}

static SMALL: LazyLock<ComparisonReport> = LazyLock::new(fixtures::small);

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Whatever a text is, it stays where it was put.
    #[test]
    fn no_text_leaves_its_place(text in "\\PC{0,40}|[<>&\"'`|\\\\\\[\\](){}*_~#@!\n\r\t\u{0}\u{202e}-]{0,40}", number in any::<f64>()) {
        let mut report = fixtures::empty();
        report.a.name.clone_from(&text);
        report.verdict.sentence.clone_from(&text);
        report.verdict.rule.clone_from(&text);
        report.method.notes = vec![text.clone()];
        let other = SMALL.clone();
        report.queries = other.queries.into_iter().take(1).collect();
        for query in &mut report.queries {
            query.fate = Fate::Lost;
            query.text = Some(text.clone());
            query.a[0].text = Some(text.clone());
            query.b[0].id.clone_from(&text);
            query.overlap = number;
        }
        report.figures = other.figures.into_iter().take(2).collect();
        for figure in &mut report.figures {
            figure.title.clone_from(&text);
            figure.estimate.value = number;
            figure.noise = Some(number);
        }
        report.thresholds = other.thresholds.into_iter().take(3).collect();
        report.thresholds[1].b = number;
        report.gates = fixtures::undecided_gate(&text);
        prop_assert_eq!(testing::html::check(&page(&report)), Ok(()));
        prop_assert_eq!(testing::xml::check(&junit(&report)), Ok(()));
        let comment = markdown(&report);
        prop_assert_eq!(testing::markdown::check(&comment), Ok(()));
        prop_assert!(!comment.contains("-0.00 ") && !page(&report).contains(">-0"));
        let lines = plain(&terminal(&report, 60));
        let is_obeyed = lines.chars().any(|c| c.is_control() && c != '\n');
        prop_assert!(!is_obeyed);
    }
}
