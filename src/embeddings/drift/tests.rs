//! The detector on made-up traffic: how often it alarms when nothing happens, and when something does.

use super::{Kind, Message, Standing, Told, examine, groups, message, permutations_for};
use crate::embeddings::{Matrix, Rows as _};
use crate::stats::Random;

const SIZE: usize = 12;

fn normal(random: &mut Random) -> f64 {
    // Of twelve uniform values, less their mean.
    (0..12).map(|_| random.share()).sum::<f64>() - 6.0
}

/// Texts of four topics around their centres; `topic` beyond those is a new one.
fn row(random: &mut Random, topic: usize, spread: f64) -> Vec<f32> {
    (0..SIZE)
        .map(|axis| {
            let centre = if axis == topic { 1.0 } else { 0.0 };
            let value = centre + spread * normal(random);
            #[expect(clippy::cast_possible_truncation, reason = "made-up vectors")]
            let narrow = value as f32;
            narrow
        })
        .collect()
}

fn traffic(random: &mut Random, rows: usize, new: usize) -> Matrix {
    let mut values = Vec::new();
    for n in 0..rows {
        // The new ones stand between the others.
        let is_new = n * new / rows != (n + 1) * new / rows;
        let (topic, spread) = if is_new {
            (9, 0.05)
        } else {
            (random.below(4), 0.2)
        };
        values.extend(row(random, topic, spread));
    }
    Matrix::new(SIZE, values).unwrap()
}

#[test]
fn quiet_traffic_hits_no_more_often_than_it_may() {
    let mut random = Random::from_seed(1);
    let runs = 60_u32;
    let mut hits = 0;
    for seed in 0..u64::from(runs) {
        let reference = traffic(&mut random, 120, 0);
        let current = traffic(&mut random, 60, 0);
        let finding = examine(&reference, &current, (99, seed)).unwrap();
        hits += u32::from(finding.p_value <= 0.1);
    }
    // 6 are expected at most, and more than 12 have a chance of 0.003.
    assert!(hits <= 12, "{hits} of {runs}");
}

#[test]
fn a_new_topic_hits_and_its_own_rows_are_the_examples() {
    let mut random = Random::from_seed(2);
    for seed in 0..3 {
        let reference = traffic(&mut random, 300, 0);
        let current = traffic(&mut random, 200, 30);
        let finding = examine(&reference, &current, (199, seed)).unwrap();
        assert!(finding.p_value <= 0.02, "{finding:?}");
        assert!(3.0 < finding.centroid_deviations.unwrap());
        let region = finding.region.unwrap();
        let is_new = |row: &&usize| 0.8 < current.row(**row).unwrap()[9];
        let right = region.rows.iter().filter(is_new).count();
        assert!(9 * region.rows.len() <= 10 * right, "{right} of {region:?}");
        assert!(20 <= right);
        let share = region.share;
        assert!(share.interval.contains(30.0 / 200.0), "{share:?}");
    }
}

#[test]
fn scattered_oddities_hit_by_their_novelty() {
    let mut random = Random::from_seed(3);
    let reference = traffic(&mut random, 200, 0);
    let mut values = traffic(&mut random, 70, 0).into_values();
    for _ in 0..50 {
        values.extend(row(&mut random, 99, 0.6));
    }
    let current = Matrix::new(SIZE, values).unwrap();
    let finding = examine(&reference, &current, (199, 5)).unwrap();
    assert!(
        finding.p_novelty < 0.001 && 0.6 < finding.auc,
        "{finding:?}"
    );
    let region = finding.region.unwrap();
    assert_eq!(region.kind, Kind::Scattered);
    let right = region.rows.iter().filter(|row| 70 <= **row).count();
    assert!(9 * region.rows.len() <= 10 * right, "{right} of {region:?}");
}

#[test]
fn windows_that_cannot_be_judged_give_nothing() {
    let mut random = Random::from_seed(4);
    let (large, small) = (traffic(&mut random, 60, 0), traffic(&mut random, 30, 0));
    assert_eq!(examine(&large, &small, (99, 1)), None);
    let other = Matrix::new(4, vec![1.0; 240]).unwrap();
    assert_eq!(examine(&large, &other, (99, 1)), None);
    let zeros = Matrix::new(SIZE, vec![0.0; 60 * SIZE]).unwrap();
    assert_eq!(examine(&large, &zeros, (99, 1)), None);
    assert_eq!(permutations_for(0.05), 199);
    assert_eq!(permutations_for(0.001), 3_999);
}

#[test]
fn an_alarm_says_what_is_new() {
    let mut random = Random::from_seed(6);
    let reference = traffic(&mut random, 300, 0);
    let current = traffic(&mut random, 200, 30);
    let known: Vec<String> = (0..reference.len())
        .map(|n| {
            let row = reference.row(n).unwrap();
            let topic = (0..4).max_by(|a, b| row[*a].total_cmp(&row[*b])).unwrap();
            let words = [
                "refund order",
                "parcel late",
                "password reset",
                "invoice copy",
            ];
            format!("about my {} number {n}", words[topic])
        })
        .collect();
    let texts: Vec<String> = (0..current.len())
        .map(|n| {
            let is_new = 0.8 < current.row(n).unwrap()[9];
            let words = if is_new {
                "solar rebate"
            } else {
                "refund order"
            };
            format!("about my {words} item {n}")
        })
        .collect();
    let finding = examine(&reference, &current, (199, 1)).unwrap();
    let new = finding.region.as_ref().unwrap().rows.clone();
    let told = |rows, texts| Told { rows, texts };
    let found = groups(told(&reference, &known), told(&current, &texts), &new, 1);
    let first = found.first().unwrap();
    assert_eq!(first.words.get(..2).unwrap(), ["rebate", "solar"]);
    assert!(20 <= first.texts);
    assert!(first.examples.iter().all(|text| text.contains("solar")));
    let nearest = first.nearest.as_ref().unwrap();
    assert!(
        !nearest.words.is_empty() && nearest.similarity < 0.5,
        "{nearest:?}"
    );
    let told = |standing| {
        message(&Message {
            subject: "support/refund",
            since: "2026-01-02 14:20 UTC",
            finding: &finding,
            standing,
            groups: &found,
            alarms_per_month: 1.0,
            monitor: "support",
        })
    };
    insta::assert_snapshot!(told(Standing::Alarm));
    let suspected = told(Standing::Suspected);
    assert!(suspected.contains("New topic") && suspected.contains("no alarm"));
    let quiet = told(Standing::Quiet);
    assert!(quiet.starts_with("Nothing new in `support/refund`: 200 distinct texts"));
    assert!(
        !quiet.contains("New topic") && !quiet.contains("accept"),
        "{quiet}"
    );
}
