//! Figures of made-up runs.

use super::*;

#[test]
fn a_regression_is_told_in_figures() {
    let report = Made::pairs(28, 10, 300, vec![gate("pass", NOT_WORSE)]).report();
    let line = &report.metrics[0];
    assert_eq!(
        (line.metric.as_str(), line.unit.as_str(), line.cases),
        ("pass", "share", 300)
    );
    assert_eq!((line.regressed, line.improved), (28, 10));
    assert!((line.delta.unwrap().value + 0.06).abs() < 1e-12);
    assert_eq!(line.change.as_deref(), Some("regressed"));
    assert!((line.p_value.as_ref().unwrap().1 - 0.0051).abs() < 1e-4);
    assert!((line.detectable_drop.unwrap() - 0.057).abs() < 1e-3);
    assert!(
        report
            .summary
            .contains("−6.0 pp, 28 newly fail, 10 newly pass, McNemar exact p .0051"),
        "{}",
        report.summary
    );
    let named = report
        .metrics
        .iter()
        .find(|line| line.metric == "correct")
        .unwrap();
    assert_eq!(named.delta, line.delta);
    let slower = report
        .metrics
        .iter()
        .find(|line| line.metric == "latency_p95")
        .unwrap();
    assert!((slower.delta.unwrap().value - 1.1).abs() < 1e-9);
}

#[test]
fn repeats_are_averaged_and_clusters_widen() {
    let mut cases: Vec<Case> = (0..40).map(|index| case(&format!("c{index:02}"))).collect();
    let run = |cases: &[Case]| {
        let mut made = Made::new(true, cases, Vec::new());
        for (index, case) in cases.iter().enumerate() {
            for repeat in 0..4 {
                made.row(Side::Base, &case.id.0, mark(true));
                made.row(Side::Head, &case.id.0, mark(index % 4 != 0 || repeat != 0));
            }
        }
        made.report()
    };
    let report = run(&cases);
    let line = &report.metrics[0];
    assert!((line.head.value - (1.0 - 10.0 / 160.0)).abs() < 1e-12);
    assert_eq!(line.pass_hat_k, Some((4, 0.75)));
    assert_eq!(line.p_value.as_ref().unwrap().0, "sign flip, exact");
    let narrow = line.delta.unwrap();
    for (index, case) in cases.iter_mut().enumerate() {
        // The cases that are worse come from the same few documents.
        case.cluster = Some(format!(
            "d{}",
            if index % 4 == 0 { index % 8 } else { index }
        ));
    }
    let report = run(&cases);
    let wide = report.metrics[0].delta.unwrap();
    assert!(
        wide.low < narrow.low && narrow.high < wide.high,
        "{wide:?} {narrow:?}"
    );
}

#[test]
fn groups_are_compared_beyond_the_noise() {
    let mut cases = Vec::new();
    for pair in 0..60 {
        for group in ["ana", "bob"] {
            for is_control in [false, true] {
                cases.push(Case {
                    group: Some(GroupMember {
                        pair: format!("p{pair}"),
                        group: group.to_owned(),
                        is_control,
                    }),
                    ..case(&format!("{group}-{pair}-{is_control}"))
                });
            }
        }
    }
    let run = |unfair: usize| {
        let mut made = Made::new(
            false,
            &cases,
            vec![gate("pass", GateKind::MaxGap { max: 0.1 })],
        );
        for pair in 0..60 {
            for (group, is_worse) in [("ana", false), ("bob", pair < unfair)] {
                for is_control in [false, true] {
                    let id = format!("{group}-{pair}-{is_control}");
                    made.row(Side::Head, &id, mark(!is_worse));
                }
            }
        }
        made.report()
    };
    let fair = run(0);
    assert_eq!(fair.verdict, Verdict::Passed, "{:?}", fair.gates);
    let unfair = run(30);
    assert_eq!(unfair.verdict, Verdict::Failed);
    let GroupLine {
        flip_rate,
        noise,
        gap,
        impact_ratio,
        p_value,
        ..
    } = &unfair.groups[0];
    assert!((flip_rate.value - 0.5).abs() < 1e-12 && noise.unwrap().value == 0.0);
    assert!((gap.value - 0.5).abs() < 1e-12, "ana passes more");
    assert!((impact_ratio.unwrap() - 0.5).abs() < 1e-12 && p_value.unwrap() < 1e-6);
}

#[test]
fn slices_are_corrected_for_their_number() {
    let mut cases: Vec<Case> = (0..60).map(|index| case(&format!("c{index:02}"))).collect();
    for (index, case) in cases.iter_mut().enumerate() {
        let language = if index < 30 { "de" } else { "en" };
        case.slices
            .insert("language".to_owned(), language.to_owned());
    }
    let mut made = Made::new(true, &cases, Vec::new());
    for (index, case) in cases.iter().enumerate() {
        made.row(Side::Base, &case.id.0, Mark::Pass);
        made.row(Side::Head, &case.id.0, mark(10 <= index));
    }
    let report = made.report();
    let lines: Vec<(&str, u64)> = report
        .slices
        .iter()
        .map(|line| (line.slice.as_str(), line.line.regressed))
        .collect();
    assert_eq!(lines, [("language=de", 10), ("language=en", 0)]);
    let (_, raw) = report.slices[0].line.p_value.clone().unwrap();
    assert!((report.slices[0].adjusted_p.unwrap() - 2.0 * raw).abs() < 1e-12);
}

#[test]
fn a_baseline_is_compared_with_and_survives_its_file() {
    let mut made = Made::pairs(3, 12, 100, Vec::new());
    made.plan.sides.remove(0);
    made.rows.retain(|row| row.cell.side == Side::Head);
    for row in &mut made.rows {
        row.grade.mark = Mark::Pass;
    }
    let blessed = Baseline::of(&made.report()).unwrap();
    let text = blessed.to_text();
    assert_eq!(
        text.lines().filter(|line| line.contains("\"c0")).count(),
        100
    );
    let again = Baseline::parse(&text, "evals/baselines/support.json").unwrap();
    assert_eq!(again, blessed);
    made.rows[0].grade.mark = Mark::Fail;
    let rows = again
        .into_base(&mut made.plan, "evals/baselines/support.json")
        .unwrap();
    made.rows.extend(rows);
    let report = made.report();
    assert_eq!(report.verdict, Verdict::Failed);
    assert_eq!(report.changes[0].kind, "regressed");
    assert_eq!(report.sides[0].name, "evals/baselines/support.json");
    // Without grades there is nothing to bless.
    made.rows[1].grade.mark = Mark::Error;
    let error = Baseline::of(&made.report()).unwrap_err();
    assert_eq!(error, BaselineError::HasErrors { count: 1 });
    let other = text.replacen("\"version\": 1", "\"version\": 9", 1);
    let error = Baseline::parse(&other, "b.json").unwrap_err();
    assert_eq!(
        error.to_string(),
        "`b.json` is of layout 9, this program reads layout 1"
    );
}
