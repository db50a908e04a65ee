//! Snapshots: identity, numbers, reading, differences.

use crate::embeddings::item::Span;
use crate::embeddings::name::{Selector, SnapshotName};
use crate::embeddings::rows::Rows as _;
use crate::embeddings::vault::testing::{
    DIMENSIONS, Home, NOW, draft, key, near, space_id, vector,
};
use crate::embeddings::vault::{
    IndexFacts, Manifest, NoiseFloor, Precision, TextStorage, VaultError,
};
use serde_json::json;
use std::fs;

const TEXTS: [&str; 4] = ["alpha", "beta", "gamma", "delta"];

fn find(home: &Home, name: &str) -> Result<Manifest, VaultError> {
    let name: SnapshotName = name.parse().unwrap();
    home.vault.manifest(&name, &|collection, label| {
        (collection == "docs" && label == "production").then_some(Selector::Number(1))
    })
}

#[test]
fn the_identity_is_that_of_the_content_on_every_machine() {
    let home = Home::new();
    let sealed = home.seal("docs", &TEXTS);
    assert!(sealed.is_new);
    assert_eq!(sealed.manifest.name(), "docs@1");
    assert_eq!(
        sealed.manifest.id.0,
        "snap-532101a6994268c139b52bb56b6ed481953ec887cf70546fb6bf546ff88687bf"
    );
    home.reads(&sealed.manifest.id, &TEXTS);
    // Neither order nor time nor collection is in it.
    let mut again = draft("docs", &["delta", "gamma", "alpha", "beta"]);
    again.created.0 += 1;
    let same = home.vault.seal(&again).unwrap();
    assert!(!same.is_new);
    assert_eq!(same.manifest, sealed.manifest);
    let elsewhere = home.vault.seal(&draft("docs/copy", &TEXTS)).unwrap();
    assert!(elsewhere.is_new);
    assert_eq!(elsewhere.manifest.id, sealed.manifest.id);
    assert_eq!(elsewhere.manifest.name(), "docs/copy@1");
}

#[test]
fn whatever_is_held_changes_the_identity() {
    let home = Home::new();
    let mut ids = vec![home.seal("docs", &TEXTS).manifest.id];
    let mut seal = |change: &dyn Fn(&mut crate::embeddings::vault::NewSnapshot)| {
        let mut other = draft("docs", &TEXTS);
        change(&mut other);
        let sealed = home.vault.seal(&other).unwrap();
        assert!(sealed.is_new && !ids.contains(&sealed.manifest.id));
        ids.push(sealed.manifest.id.clone());
        assert_eq!(sealed.manifest.number, u32::try_from(ids.len()).unwrap());
    };
    seal(&|draft| draft.pipeline_id = "pipe-2".to_owned());
    seal(&|draft| draft.text_storage = TextStorage::HashOnly);
    seal(&|draft| draft.precision = Precision::Int8);
    seal(&|draft| draft.items.truncate(3));
    seal(&|draft| draft.items[0].item.id = "other".to_owned());
    seal(&|draft| draft.items[0].item.metadata = Some(json!({"b": 1, "a": [2]})));
    seal(&|draft| {
        draft.items[0].item.span = Some(Span {
            source: "book".to_owned(),
            start: 3,
            end: 8,
        });
    });
    assert!(home.problems().is_empty());
}

#[test]
fn numbers_go_up_and_a_revert_goes_back() {
    let home = Home::new();
    let first = home.seal("docs", &TEXTS).manifest;
    let second = home.seal("docs", &["alpha", "beta"]).manifest;
    assert_eq!(second.number, 2);
    assert_eq!(home.seal("docs", &TEXTS).manifest, first);
    let name: SnapshotName = "docs@2".parse().unwrap();
    assert_eq!(home.vault.remove_snapshot(&name).unwrap(), second);
    assert_eq!(home.seal("docs", &["alpha"]).manifest.number, 3);
    let name: SnapshotName = "docs@latest".parse().unwrap();
    assert!(home.vault.remove_snapshot(&name).is_err());
    let home = home.restart();
    let names: Vec<String> = home
        .vault
        .list(Some("docs"))
        .unwrap()
        .iter()
        .map(Manifest::name)
        .collect();
    assert_eq!(names, ["docs@1", "docs@3"]);
    assert_eq!(home.vault.list(None).unwrap().len(), 2);
    assert!(home.vault.list(Some("none")).unwrap().is_empty());
}

#[test]
fn names_lead_to_one_snapshot_or_to_an_error_with_choices() {
    let home = Home::new();
    let first = home.seal("docs", &TEXTS).manifest;
    let second = home.seal("docs", &["alpha"]).manifest;
    home.seal("faq", &["alpha"]);
    assert_eq!(find(&home, "docs").unwrap(), first);
    assert_eq!(find(&home, "docs@production").unwrap(), first);
    assert_eq!(find(&home, "docs@latest").unwrap(), second);
    assert_eq!(find(&home, "docs@v2").unwrap(), second);
    assert_eq!(find(&home, "faq").unwrap().name(), "faq@1");
    let prefix = second.id.0.get(..12).unwrap();
    assert_eq!(find(&home, &format!("docs@{prefix}")).unwrap(), second);
    for name in ["docs@3", "docs@staging", "none"] {
        assert_eq!(find(&home, name).unwrap_err().kind(), "snapshot_not_found");
    }
    let hint = find(&home, "docs@3").unwrap_err().hint().unwrap();
    assert_eq!(hint, "there are `docs@2`, `docs@1`");
}

#[test]
fn an_open_snapshot_has_ids_hashes_spans_and_texts() {
    let home = Home::new();
    let mut draft = draft("docs", &TEXTS);
    draft.items[1].item.span = Some(Span {
        source: "book".to_owned(),
        start: 3,
        end: 8,
    });
    draft.items[2].item.metadata = Some(json!({"page": 7}));
    home.put(Precision::F16, &TEXTS);
    let id = home.vault.seal(&draft).unwrap().manifest.id;
    let snapshot = home.vault.open_snapshot(&id).unwrap();
    assert_eq!((snapshot.len(), snapshot.dimensions()), (4, DIMENSIONS));
    assert_eq!(snapshot.row_of("gamma"), Some(2));
    assert_eq!(snapshot.row_of("omega"), None);
    assert_eq!(snapshot.text(3).unwrap().as_deref(), Some("delta"));
    assert_eq!(snapshot.text(4).unwrap(), None);
    assert_eq!(snapshot.span(0), None);
    assert_eq!(snapshot.span(1), draft.items[1].item.span);
    assert_eq!(snapshot.metadata(2).unwrap(), Some(json!({"page": 7})));
    assert_eq!(snapshot.text_hash(2), Some(draft.items[2].text_hash));
    assert_eq!(snapshot.keys().unwrap()[3], key("delta"));
    assert_eq!(
        snapshot.item(1).unwrap().as_ref(),
        Some(&draft.items[1].item)
    );
    let mut rows = [0.0; DIMENSIONS * 2];
    snapshot.read(1, &mut rows).unwrap();
    near(&rows[..DIMENSIONS], &vector("beta"));
    near(&rows[DIMENSIONS..], &vector("gamma"));
    assert!(snapshot.read(3, &mut rows).is_err());
    draft.text_storage = TextStorage::HashOnly;
    let id = home.vault.seal(&draft).unwrap().manifest.id;
    let snapshot = home.vault.open_snapshot(&id).unwrap();
    assert_eq!(snapshot.text(0).unwrap(), None);
    assert!(snapshot.canonical_hash(0).unwrap().is_some());
    let file = home.path(&format!("embeddings/items/{id}.items"));
    assert!(!String::from_utf8_lossy(&fs::read(file).unwrap()).contains("delta text"));
}

#[test]
fn many_items_are_read_in_parts() {
    let home = Home::with_segments_of(40_000);
    let names: Vec<String> = (0..5000)
        .map(|n| format!("text {n} {}", "x".repeat(n % 60)))
        .collect();
    let texts: Vec<&str> = names.iter().map(String::as_str).collect();
    let sealed = home.seal("docs", &texts);
    assert_eq!(sealed.manifest.items, 5000);
    home.reads(&sealed.manifest.id, &texts);
    let snapshot = home.vault.open_snapshot(&sealed.manifest.id).unwrap();
    for row in [0, 1, 999, 2500, 4095, 4096, 4999] {
        assert_eq!(snapshot.text(row).unwrap().as_deref(), Some(texts[row]));
        assert_eq!(snapshot.row_of(texts[row]), Some(row));
    }
    // In another order than they are kept in.
    let mut backwards = texts.clone();
    backwards.reverse();
    backwards.truncate(3000);
    let sealed = home.vault.seal(&draft("docs", &backwards)).unwrap();
    home.reads(&sealed.manifest.id, &backwards);
}

#[test]
fn what_is_counted_is_in_the_manifest() {
    let home = Home::new();
    let long: Vec<f32> = vector("long").iter().map(|value| value * 2.0).collect();
    let rows = [
        (key("zero"), [0.0_f32; DIMENSIONS].as_slice()),
        (key("long"), long.as_slice()),
    ];
    home.vault
        .put(&space_id(), DIMENSIONS, Precision::F16, &rows)
        .unwrap();
    home.put(Precision::F16, &["unit"]);
    let mut draft = draft("docs", &["zero", "long", "unit", "again"]);
    draft.items[3].text_hash = draft.items[2].text_hash;
    draft.items[3].key = draft.items[2].key;
    draft.truncated = Some(2);
    let counts = home.vault.seal(&draft).unwrap().manifest.counts;
    assert_eq!((counts.zero, counts.not_unit, counts.duplicate), (1, 1, 1));
    assert_eq!(counts.truncated, Some(2));
}

#[test]
fn what_makes_no_snapshot_is_refused() {
    let home = Home::new();
    home.put(Precision::F16, &["a"]);
    let kind = |draft| home.vault.seal(&draft).unwrap_err().kind();
    assert_eq!(kind(draft("docs", &[])), "snapshot_empty");
    assert_eq!(kind(draft("docs", &["a", "b"])), "vectors_missing");
    assert_eq!(kind(draft("docs", &["a", "a"])), "item_duplicate");
    assert_eq!(kind(draft("../docs", &["a"])), "invalid_request");
    let mut finer = draft("docs", &["a"]);
    finer.precision = Precision::F32;
    assert_eq!(kind(finer), "vectors_missing");
    assert!(home.vault.list(None).unwrap().is_empty());
    let mut coarser = draft("docs", &["a"]);
    coarser.precision = Precision::Int8;
    let id = home.vault.seal(&coarser).unwrap().manifest.id;
    let matrix = home.vault.open_snapshot(&id).unwrap().load().unwrap();
    let wanted = vector("a");
    for (found, wanted) in matrix.row(0).unwrap().iter().zip(wanted) {
        assert!((found - wanted).abs() < 0.01);
    }
}

#[test]
fn differences_are_told_without_vectors() {
    let home = Home::new();
    let before = home
        .seal("docs", &["same", "gone", "changed", "form"])
        .manifest;
    let mut after = draft("docs", &["same", "new", "changed", "form"]);
    after.items[2].text_hash = crate::embeddings::TextHash::of("changed indeed");
    after.items[2].item.text = Some("changed indeed".to_owned());
    after.items[3].text_hash = crate::embeddings::TextHash::of("form\r\n");
    after.items[3].item.text = Some("form".to_owned());
    after.pipeline = json!({"chunker": "words"});
    after.pipeline_id = "pipe-2".to_owned();
    home.put(Precision::F16, &["new"]);
    let after = home.vault.seal(&after).unwrap().manifest;
    let segment = home.segments().remove(0);
    fs::write(segment, "no vector is read").unwrap();
    let diff = home.vault.diff(&before.id, &after.id).unwrap();
    assert_eq!(diff.unchanged, 1);
    assert_eq!(diff.added, ["new"]);
    assert_eq!(diff.removed, ["gone"]);
    assert_eq!(diff.changed_text, ["changed", "form"]);
    assert_eq!(diff.changed_form, ["form"]);
    assert_eq!(diff.settings.len(), 1);
    assert_eq!(diff.settings[0].setting, "pipeline.chunker");
}

#[test]
fn what_is_measured_later_is_added_to_the_manifest() {
    let home = Home::new();
    let id = home.seal("docs", &TEXTS).manifest.id;
    let noise = NoiseFloor {
        texts: 200,
        overlap: 0.9985,
        interval: Some([0.99, 1.0]),
        counts: Some(vec![0, 3, 197]),
        top_1: 0.999,
        max_deviation: 1e-4,
        measured: NOW,
    };
    let index = IndexFacts {
        kind: "hnsw".to_owned(),
        parameters: json!({"m": 16}),
        recall: 0.995,
        queries: 200,
    };
    home.vault.set_noise(&id, &noise).unwrap();
    home.vault.set_index(&id, Some(&index)).unwrap();
    let home = home.restart();
    let manifest = home.vault.manifest_of(&id).unwrap();
    assert_eq!(manifest.noise, Some(noise));
    assert_eq!(manifest.index, Some(index));
    assert_eq!(manifest.id, id);
}

#[test]
fn damaged_manifests_and_items_are_told() {
    let home = Home::new();
    let id = home.seal("docs", &TEXTS).manifest.id;
    home.seal("docs", &["alpha"]);
    let path = home.path("embeddings/snapshots/docs/2.json");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("\"f16\"", "\"f32\"")).unwrap();
    assert_eq!(home.vault.list(None).unwrap().len(), 1);
    // Its number is not given again.
    assert_eq!(home.seal("docs", &["beta"]).manifest.number, 3);
    let items = home.path(&format!("embeddings/items/{id}.items"));
    let good = fs::read(&items).unwrap();
    for at in (0..good.len()).step_by(7) {
        let mut bytes = good.clone();
        bytes[at] ^= 0x10;
        fs::write(&items, bytes).unwrap();
        let problems = home.problems();
        assert_eq!(problems.len(), 2, "byte {at}: {problems:?}");
    }
    fs::write(&items, good).unwrap();
    let problems = home.problems();
    assert_eq!(problems.len(), 1);
    assert!(problems[0].contains("2.json"), "{problems:?}");
    fs::write(&path, text.replace("\"format\": 1", "\"format\": 9")).unwrap();
    assert!(home.problems()[0].contains("format 9"));
}

#[test]
fn a_manifest_that_cannot_be_read_is_an_error_wherever_it_may_be_meant() {
    let home = Home::new();
    let first = home.seal("docs", &TEXTS).manifest;
    let second = home.seal("docs", &["alpha", "beta"]).manifest;
    let path = home.path("embeddings/snapshots/docs/2.json");
    let whole = fs::read_to_string(&path).unwrap();
    fs::write(&path, whole.replace("\"items\": 2", "\"items\": 3")).unwrap();
    let damaged = |error: VaultError| {
        assert_eq!(error.kind(), "embeddings_damaged", "{error}");
        assert!(error.to_string().contains("docs/2.json"), "{error}");
        assert!(error.hint().unwrap().contains("backup"), "{error}");
    };
    let hash = |manifest: &Manifest| {
        let digits: String = manifest.id.0.chars().take(17).collect();
        format!("docs@{digits}")
    };
    for name in ["docs@1", "docs@production", &hash(&first)] {
        assert_eq!(find(&home, name).unwrap(), first, "{name}");
    }
    for name in ["docs@2", "docs@latest", &hash(&second)] {
        damaged(find(&home, name).unwrap_err());
    }
    let latest: SnapshotName = "docs".parse().unwrap();
    damaged(home.vault.manifest(&latest, &|_, _| None).unwrap_err());
    damaged(home.vault.manifest_of(&second.id).unwrap_err());
    damaged(home.vault.newest("docs").unwrap_err());
    let is_first = |one: &Manifest| one.number == 1;
    damaged(home.vault.newest_that("docs", &is_first).unwrap_err());
    let of_first = [first.id];
    damaged(home.vault.delete_item(&of_first, "alpha", NOW).unwrap_err());
    assert!(!home.path("embeddings/erasing.json").exists());
    let (whole_ones, unreadable) = home.vault.survey(None).unwrap();
    assert_eq!((whole_ones.len(), unreadable.len()), (1, 1));
    let found = (unreadable[0].collection.as_str(), unreadable[0].number);
    assert_eq!(found, ("docs", 2));
    // A newer one that is whole is the newest again.
    let third = home.seal("docs", &["alpha"]).manifest;
    assert_eq!(third.number, 3);
    assert_eq!(find(&home, "docs@latest").unwrap(), third);
    fs::write(&path, whole).unwrap();
    assert_eq!(find(&home, "docs@2").unwrap(), second);
}

#[test]
fn a_label_that_leads_nowhere_says_where() {
    let home = Home::new();
    home.seal("docs", &TEXTS);
    let lead = |name: &str, target: Selector| {
        let name: SnapshotName = name.parse().unwrap();
        let error = home
            .vault
            .manifest(&name, &|_, _| Some(target.clone()))
            .unwrap_err();
        assert_eq!(error.kind(), "snapshot_not_found");
        format!("{error}; {}", error.hint().unwrap())
    };
    let told = "the label `docs@production` leads to `docs@9`, and there is no such snapshot; \
                mend `labels` of `[collections.docs]` in embeddings.toml; there are `docs@1`";
    assert_eq!(lead("docs@production", Selector::Number(9)), told);
    assert_eq!(lead("docs", Selector::Number(9)), told);
    let dir = home.path("embeddings");
    let check = |collection: &str, target: Selector| {
        super::super::check_target(&dir, collection, "production", &target)
    };
    assert!(check("docs", Selector::Number(1)).is_ok());
    assert!(check("docs", Selector::Latest).is_ok());
    assert!(check("docs", Selector::Number(9)).is_err());
    assert!(check("docs", Selector::Hash("snap-000000".to_owned())).is_err());
    assert!(
        check("none", Selector::Number(9)).is_ok(),
        "nothing is served there yet"
    );
}
