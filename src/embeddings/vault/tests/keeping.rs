//! Keeping vectors and reading them back.

use crate::embeddings::vault::testing::{DIMENSIONS, Home, key, near, space_id, vector};
use crate::embeddings::vault::{DEVIATION_ALERT, Precision};
use crate::embeddings::{SpaceId, VectorKey};
use proptest::prelude::*;
use std::fs;

#[test]
fn a_vector_is_kept_once_and_survives_a_kill_and_a_restart() {
    let home = Home::new();
    assert!(!home.held(Precision::F16, "a"));
    assert!(
        !home.path("tables").exists(),
        "who only asks opens no database"
    );
    let put = home.put(Precision::F16, &["a", "b", "a"]);
    assert_eq!((put.written, put.known, put.deviating), (2, 1, 0));
    let put = home.put(Precision::F16, &["c", "b"]);
    assert_eq!((put.written, put.known), (1, 1));
    for home in [home.kill(), home.restart()] {
        let keys = ["a", "b", "c", "d"].map(key);
        let held = home.vault.held(&keys, Precision::F16).unwrap();
        assert_eq!(held, [true, true, true, false]);
        let vectors = home.vault.vectors(&keys).unwrap();
        near(vectors[2].as_deref().unwrap(), &vector("c"));
        assert_eq!(vectors[3], None);
        // What comes later is appended to the same file.
        home.put(Precision::F16, &["d"]);
        assert_eq!(home.segments().len(), 1);
        assert!(home.problems().is_empty());
    }
}

#[test]
fn a_finer_vector_serves_for_a_coarser_one_but_not_the_other_way() {
    let home = Home::new();
    home.put(Precision::F16, &["a"]);
    assert!(home.held(Precision::Int8, "a") && home.held(Precision::F16, "a"));
    assert!(!home.held(Precision::F32, "a"));
    assert_eq!(home.put(Precision::F32, &["a"]).written, 1);
    let vectors = home.vault.vectors(&[key("a")]).unwrap();
    assert_eq!(vectors[0].as_deref(), Some(vector("a").as_slice()));
}

#[test]
fn another_vector_of_the_same_text_is_noted_and_the_first_one_stays() {
    let home = Home::new();
    home.put(Precision::F16, &["a", "b"]);
    let mut other = vector("a");
    other[1] += 0.01;
    let mut slightly = vector("b");
    slightly[0] += 1e-5;
    let rows = [
        (key("a"), other.as_slice()),
        (key("b"), slightly.as_slice()),
    ];
    let put = home
        .vault
        .put(&space_id(), DIMENSIONS, Precision::F16, &rows)
        .unwrap();
    assert_eq!((put.written, put.known, put.deviating), (0, 2, 1));
    assert!((0.009..=0.01).contains(&put.max_deviation), "{put:?}");
    let seen = home.vault.deviations(&space_id()).unwrap();
    assert_eq!((seen.observed, seen.deviating), (2, 1));
    assert!(DEVIATION_ALERT < seen.max_deviation);
    assert_eq!(home.vault.deviation(&key("a")).unwrap().0, 1);
    let kept = home.vault.vectors(&[key("a")]).unwrap();
    near(kept[0].as_deref().unwrap(), &vector("a"));
    let home = home.restart();
    assert_eq!(home.vault.deviations(&space_id()).unwrap(), seen);
}

#[test]
fn what_cannot_be_kept_is_refused_and_nothing_of_it_is_kept() {
    let home = Home::new();
    let id = space_id();
    let good = vector("a");
    let cases: [(&[f32], Precision, &str); 5] = [
        (
            &[1.0, 2.0, f32::NAN, 0.0, 0.0],
            Precision::F32,
            "vector_not_finite",
        ),
        (
            &[f32::INFINITY, 0.0, 0.0, 0.0, 0.0],
            Precision::Int8,
            "vector_not_finite",
        ),
        (
            &[0.0, -70_000.0, 0.0, 0.0, 0.0],
            Precision::F16,
            "vector_not_representable",
        ),
        (
            &[1e-9, 0.0, 0.0, 0.0, 0.0],
            Precision::F16,
            "vector_not_representable",
        ),
        (&[1.0, 2.0], Precision::F16, "vector_dimensions"),
    ];
    for (bad, precision, kind) in cases {
        let rows = [(key("a"), good.as_slice()), (key("b"), bad)];
        let error = home
            .vault
            .put(&id, DIMENSIONS, precision, &rows)
            .unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(!home.held(Precision::Binary, "a"));
    }
    let rows = [(key("b"), [0.0_f32, -70_000.0, 0.0, 0.0, 0.0].as_slice())];
    let error = home
        .vault
        .put(&id, DIMENSIONS, Precision::F16, &rows)
        .unwrap_err();
    assert!(error.to_string().contains("-70000"), "{error}");
    assert!(error.hint().unwrap().contains("--precision f32"));
    home.vault
        .put(&id, DIMENSIONS, Precision::F32, &rows)
        .unwrap();
    // The space has vectors of five dimensions now.
    let short = [(key("c"), [1.0_f32, 2.0].as_slice())];
    let error = home.vault.put(&id, 2, Precision::F16, &short).unwrap_err();
    assert_eq!(error.kind(), "vector_dimensions");
    let nameless = SpaceId("../x".to_owned());
    let error = home
        .vault
        .put(&nameless, 2, Precision::F16, &short)
        .unwrap_err();
    assert_eq!(error.kind(), "invalid_request");
}

#[test]
fn zero_vectors_read_as_zero_at_every_precision() {
    let home = Home::new();
    for precision in Precision::ALL {
        let rows = [(key("zero"), [0.0_f32; DIMENSIONS].as_slice())];
        home.vault
            .put(&space_id(), DIMENSIONS, precision, &rows)
            .unwrap();
        let vectors = home.vault.vectors(&[key("zero")]).unwrap();
        assert_eq!(vectors[0].as_deref(), Some([0.0; DIMENSIONS].as_slice()));
    }
}

#[test]
fn a_damaged_vector_is_an_error_with_its_place_until_it_comes_again() {
    let home = Home::new();
    home.put(Precision::F16, &["a", "b"]);
    home.put(Precision::F16, &["c"]);
    let file = home.segments().remove(0);
    let mut bytes = fs::read(&file).unwrap();
    bytes[128 + 16 + 3] ^= 4;
    fs::write(&file, &bytes).unwrap();
    let error = home.vault.vectors(&[key("a")]).unwrap_err();
    assert_eq!(error.kind(), "embeddings_damaged");
    let text = error.to_string();
    assert!(
        text.contains("000001.seg") && text.contains("byte 128"),
        "{text}"
    );
    let problems = home.problems();
    assert_eq!(problems.len(), 1);
    assert!(
        problems[0].contains("its checksum does not hold"),
        "{problems:?}"
    );
    assert!(home.vault.vectors(&[key("c")]).unwrap()[0].is_some());
    let put = home.put(Precision::F16, &["a", "b", "c"]);
    assert_eq!((put.written, put.known), (2, 1));
    near(
        home.vault.vectors(&[key("a")]).unwrap()[0]
            .as_deref()
            .unwrap(),
        &vector("a"),
    );
}

#[test]
fn readers_go_on_while_vectors_are_appended() {
    let home = Home::with_segments_of(4096);
    let names: Vec<String> = (0..300).map(|n| format!("text {n}")).collect();
    let texts: Vec<&str> = names.iter().map(String::as_str).collect();
    let (first, rest) = texts.split_at(20);
    home.put(Precision::F16, first);
    let read_first = || {
        let keys: Vec<VectorKey> = first.iter().map(|text| key(text)).collect();
        let vectors = home.vault.vectors(&keys).unwrap();
        for (found, text) in vectors.iter().zip(first) {
            near(found.as_deref().unwrap(), &vector(text));
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| (0..20).for_each(|_| read_first()));
        }
        for texts in rest.chunks(7) {
            home.put(Precision::F16, texts);
        }
    });
    assert!(1 < home.segments().len());
    assert!(home.problems().is_empty());
    let keys: Vec<VectorKey> = texts.iter().map(|text| key(text)).collect();
    assert!(
        home.vault
            .vectors(&keys)
            .unwrap()
            .iter()
            .all(Option::is_some)
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// Whatever comes in whatever pieces is read back as its precision has it.
    #[test]
    fn what_is_put_is_read(
        rows in prop::collection::vec(prop::collection::vec(-3.0_f32..3.0, 9), 1..80),
        piece in 1_usize..30,
        code in 1_u8..5,
        is_restarted in any::<bool>(),
    ) {
        let precision = Precision::from_code(code).unwrap();
        let mut home = Home::with_segments_of(2000);
        let id = space_id();
        let keyed: Vec<(VectorKey, &[f32])> = rows
            .iter()
            .enumerate()
            .map(|(n, row)| (key(&n.to_string()), row.as_slice()))
            .collect();
        for rows in keyed.chunks(piece) {
            home.vault.put(&id, 9, precision, rows).unwrap();
        }
        if is_restarted {
            home = home.restart();
        }
        let keys: Vec<VectorKey> = keyed.iter().map(|(key, _)| *key).collect();
        let vectors = home.vault.vectors(&keys).unwrap();
        for (found, row) in vectors.iter().zip(&rows) {
            let mut bytes = Vec::new();
            let mut wanted = vec![0.0; 9];
            precision.encode(row, &mut bytes);
            precision.decode(&bytes, &mut wanted);
            prop_assert_eq!(found.as_ref(), Some(&wanted));
        }
        prop_assert_eq!(home.problems(), Vec::<String>::new());
    }
}

#[test]
fn places_are_the_same_read_whole_or_asked_for_one_by_one() {
    let home = Home::new();
    let texts: Vec<String> = (0..40).map(|number| format!("text {number}")).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    home.put(Precision::F16, &texts);
    home.put(Precision::Int8, &texts[..30]);
    home.put(Precision::F32, &texts[20..]);
    let mut keys: Vec<VectorKey> = texts.iter().map(|text| key(text)).collect();
    keys.extend([key("unknown"), keys[3], keys[3]]);
    let index = &home.vault.opened().unwrap().index;
    for precision in Precision::ALL {
        let whole = index.places(&keys, precision, 0).unwrap();
        assert_eq!(whole, index.places(&keys, precision, u64::MAX).unwrap());
        let found = whole.iter().flatten().count();
        let expected = match precision {
            Precision::F16 => 42,
            Precision::Int8 => 32,
            Precision::F32 => 20,
            Precision::Binary => 0,
        };
        assert_eq!(found, expected, "{precision}");
    }
}
