//! Figures that independent libraries computed.

use super::{Asked, Query, Relevant, Side, Target, find, quick, run};
use crate::embeddings::Matrix;
use crate::embeddings::compare::Settings;
use crate::embeddings::fixtures::{Fixture, assert_within};

#[test]
fn the_small_pair_has_its_reference_figures() {
    let fixture = Fixture::read("pairs_small.json");
    let a = Side::new("a@1", "a", fixture.matrix("/A"));
    let b = Side::new("b@1", "b", fixture.matrix("/B"));
    for k in [1, 5, 10] {
        let settings = Settings { k, ..quick() };
        let report = run(&a, &b, &Asked::default(), &settings).unwrap();
        let value = |id: String| find(&report, &id).estimate.value;
        let expected = |name: &str| fixture.number(&format!("/expected/knn_k{k}/{name}"));
        assert_within(
            value(format!("item.overlap@{k}")),
            expected("overlap_mean"),
            1e-12,
        );
        assert_within(
            value(format!("item.jaccard@{k}")),
            expected("jaccard_mean"),
            1e-12,
        );
        let corrected = value(format!("item.overlap@{k}.corrected"));
        assert_within(corrected, expected("overlap_chance_corrected"), 1e-12);
        assert_within(report.alignment.chance, expected("chance"), 1e-12);
        assert_within(
            value("item.top1".to_owned()),
            fixture.number("/expected/top1_agreement"),
            1e-12,
        );
        if k == 10 {
            assert_within(
                value("item.rbo".to_owned()),
                expected("rbo_p0.9_ext_mean"),
                1e-12,
            );
            let order = fixture.numbers("/expected/knn_k10/item_most_changed_first");
            let shown: Vec<String> = report
                .movers
                .iter()
                .take(order.len())
                .map(|item| item.id.clone())
                .collect();
            let least = report.movers[order.len() - 1].overlap;
            // Of equally changed items another may stand at the end.
            for place in order {
                let id = format!("item-{place}");
                let item = report.movers.iter().find(|item| item.id == id).unwrap();
                assert!(shown.contains(&id) || item.overlap <= least, "{id}");
            }
        }
    }
}

/// 64 real vectors: the last layer of a model, and its fourth.
#[test]
fn real_vectors_have_their_reference_figures() {
    let fixture = Fixture::read("real_minilm_64.json");
    let rows = |name: &str, dimensions: usize| {
        Matrix::new(dimensions, floats(fixture.text(name))).unwrap()
    };
    let a = Side::new("a@1", "a", rows("/a_b64", 48));
    let b = Side::new("b@1", "b", rows("/b_b64", 64));
    let report = run(&a, &b, &Asked::default(), &quick()).unwrap();
    let value = |id: &str| find(&report, id).estimate.value;
    let expected = |name: &str| fixture.number(&format!("/expected/{name}"));
    assert_within(
        value("item.overlap@10"),
        expected("k10/overlap_mean"),
        1e-12,
    );
    assert_within(value("item.overlap@5"), expected("k5/overlap_mean"), 1e-12);
    assert_within(value("item.top1"), expected("k10/top1"), 1e-12);
    assert_within(value("item.rbo"), expected("k10/rbo_ext_p0.9_mean"), 1e-9);
    assert_within(value("cka.debiased"), expected("cka_linear_debiased"), 1e-5);
    assert_within(
        value("procrustes"),
        expected("procrustes_similarity_nuclear"),
        1e-5,
    );
    assert_within(value("rsa"), expected("rsa_cosine_spearman"), 1e-5);
    // Related spaces score far above chance, which is near 0 where the score is without bias.
    for (id, least, most) in [
        ("cka.debiased", -0.02, 0.02),
        ("rsa", -0.02, 0.02),
        ("procrustes", 0.2, 0.8),
        ("ridge.a_to_b", 0.0, 0.0),
    ] {
        let chance = find(&report, id).chance.unwrap();
        assert!((least..=most).contains(&chance), "{id} {chance}");
        // A map between so few rows explains less than nothing of those it has not seen.
        assert!(id == "ridge.a_to_b" || chance < value(id), "{id} {chance}");
    }
    let told = "B's rows in 100 random orders among 64 items";
    assert!(report.method.notes.iter().any(|note| note.contains(told)));
}

/// Two runs of 14 queries, which `ranx` and `trec_eval` have judged: each query's answers stand on a ray of
/// their own, so that its list is the run.
#[test]
fn labels_have_their_reference_figures() {
    let fixture = Fixture::read("retrieval_metrics.json");
    let (a, asked, b) = runs(&fixture);
    let report = run(&a, &b, &asked, &quick()).unwrap();
    assert_eq!(report.method.labelled, 14);
    for name in ["ndcg@10", "recall@10", "mrr@10"] {
        let found = find(&report, &format!("label.{name}.delta"));
        let sides = found.sides.unwrap();
        for (side, whose) in sides.into_iter().zip(["A", "B"]) {
            let means = fixture.map(&format!("/means/{whose}"));
            assert_within(side, means[name], 1e-9);
        }
        let paired = format!("/paired/{name}");
        let expected = fixture.number(&format!("{paired}/mean_diff_b_minus_a"));
        assert_within(found.estimate.value, expected, 1e-9);
        let counts =
            ["wins_b", "losses_b", "ties"].map(|count| fixture.whole(&format!("{paired}/{count}")));
        assert_eq!(
            found.win_loss_tie.unwrap().map(|count| count as u64),
            counts
        );
        let interval = fixture.numbers(&format!("{paired}/ci95_bootstrap_percentile_200k"));
        // A few hundred resamples are a little off; of 14 queries less is known than resamples of them say.
        let found = found.estimate.interval;
        assert!(found.low <= interval[0] + 0.04, "{name} {found:?}");
        assert!(interval[1] - 0.04 <= found.high, "{name} {found:?}");
        assert!(
            found.width() < interval[1] - interval[0] + 0.35,
            "{name} {found:?}"
        );
    }
    // Holm over five figures: the exact chances, times how many are left.
    let chances = ["ndcg@10", "recall@10", "mrr@10"].map(|name| {
        let id = format!("/paired/{name}/p_signflip_exact_two_sided");
        (name, fixture.number(&id))
    });
    for (name, exact) in chances {
        let adjusted = find(&report, &format!("label.{name}.delta"))
            .p_value
            .unwrap();
        assert!(
            exact <= adjusted && adjusted <= 5.0 * exact,
            "{name} {adjusted} {exact}"
        );
    }
}

/// The runs as snapshots and queries.
fn runs(fixture: &Fixture) -> (Side, Asked, Side) {
    let documents: Vec<String> = (0..30).map(|place| format!("d{place:02}")).collect();
    let queries: Vec<String> = (0..14).map(|place| format!("q{place:02}")).collect();
    let side = |name: &str, run: &str| {
        // Dimension q of a document says where query q ranks it; the last one makes it a unit vector.
        let scores: Vec<_> = queries
            .iter()
            .map(|query| fixture.map(&format!("/{run}/{query}")))
            .collect();
        let mut values = Vec::new();
        for document in &documents {
            let mut vector: Vec<f64> = scores
                .iter()
                .map(|scores| scores.get(document).map_or(-0.1, |score| score / 8.0))
                .collect();
            let square: f64 = vector.iter().map(|value| value * value).sum();
            vector.push((1.0 - square).sqrt());
            values.extend(super::unit(&vector));
        }
        let mut side = Side::new(name, name, Matrix::new(15, values).unwrap());
        side.ids.clone_from(&documents);
        side
    };
    let mut axes = vec![0.0; 14 * 15];
    axes.iter_mut().step_by(16).for_each(|value| *value = 1.0);
    let axes = Matrix::new(15, axes).unwrap();
    let list = queries.iter().map(|query| Query {
        id: query.clone(),
        text: None,
        relevant: fixture
            .map(&format!("/qrels/{query}"))
            .into_iter()
            .map(|(item, grade)| Relevant {
                target: Target::Item(item),
                grade,
            })
            .collect(),
        item: None,
    });
    let asked = Asked {
        list: list.collect(),
        a: axes.clone(),
        b: axes,
    };
    (side("a@1", "run_a"), asked, side("b@1", "run_b"))
}

/// Little-endian floats from base64.
fn floats(text: &str) -> Vec<f32> {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digit = |c: u8| DIGITS.iter().position(|digit| *digit == c);
    let digits: Vec<usize> = text.bytes().filter_map(digit).collect();
    let bytes = digits.chunks(4).flat_map(|four| {
        let bits = four.iter().fold(0, |bits, digit| bits << 6 | digit) << (6 * (4 - four.len()));
        let bytes = [bits >> 16, bits >> 8, bits].map(|byte| u8::try_from(byte & 0xFF).unwrap());
        bytes.into_iter().take(four.len() - 1)
    });
    let bytes: Vec<u8> = bytes.collect();
    let (floats, _) = bytes.as_chunks::<4>();
    floats
        .iter()
        .map(|float| f32::from_le_bytes(*float))
        .collect()
}
