//! Figures that independent libraries computed.

use super::{Asked, Side, find, quick, run};
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
        assert_within(value(format!("item.overlap@{k}")), expected("overlap_mean"), 1e-12);
        assert_within(value(format!("item.jaccard@{k}")), expected("jaccard_mean"), 1e-12);
        let corrected = value(format!("item.overlap@{k}.corrected"));
        assert_within(corrected, expected("overlap_chance_corrected"), 1e-12);
        assert_within(report.alignment.chance, expected("chance"), 1e-12);
        assert_within(value("item.top1".to_owned()), fixture.number("/expected/top1_agreement"), 1e-12);
        if k == 10 {
            assert_within(value("item.rbo".to_owned()), expected("rbo_p0.9_ext_mean"), 1e-12);
            let order = fixture.numbers("/expected/knn_k10/item_most_changed_first");
            let shown: Vec<String> =
                report.movers.iter().take(order.len()).map(|item| item.id.clone()).collect();
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
    assert_within(value("item.overlap@10"), expected("k10/overlap_mean"), 1e-12);
    assert_within(value("item.overlap@5"), expected("k5/overlap_mean"), 1e-12);
    assert_within(value("item.top1"), expected("k10/top1"), 1e-12);
    assert_within(value("item.rbo"), expected("k10/rbo_ext_p0.9_mean"), 1e-9);
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
    floats.iter().map(|float| f32::from_le_bytes(*float)).collect()
}
