//! Adapters over constructed spaces: turns, noise, labels, the wrong way round, and files.

use super::{
    Adapter, AdapterError, Advice, Asked, Found, Head, JudgedBy, KindWish, Pairs, Role, Settings,
    Shelf, Sides, eval, fit,
};
use crate::embeddings::compare::Step;
use crate::embeddings::fixtures::{Fixture, assert_within};
use crate::embeddings::geometry::MapKind;
use crate::embeddings::ranking::overlap;
use crate::embeddings::search::{Scan, nearest};
use crate::embeddings::{Error, Matrix, Rows as _, Space};
use crate::stats::Random;
use std::collections::HashMap;
use std::fs;
use std::ops::ControlFlow;

/// How long vectors of the old model are; those of the new one have one more.
const D: usize = 6;
const ITEMS: usize = 300;
const QUERIES: usize = 60;

fn space(model: &str) -> Space {
    serde_json::from_value(serde_json::json!({ "model": model })).unwrap()
}

fn random_rows(count: usize, dimensions: usize, seed: u64) -> Matrix {
    let mut random = Random::from_seed(seed);
    let values = (0..count * dimensions).map(|_| to_f32(random.share() - 0.5));
    Matrix::new(dimensions, values.collect()).unwrap()
}

fn to_f32(value: f64) -> f32 {
    format!("{value:.6}").parse().unwrap()
}

/// Rows turned by 0.7 in the plane of every second pair of dimensions, moved around by one place, and
/// given one more dimension that says nothing.
fn turned(rows: &Matrix) -> Matrix {
    let (sin, cos) = 0.7_f32.sin_cos();
    let mut values = Vec::new();
    for row in rows.values().chunks_exact(D) {
        let mut row = row.to_vec();
        for pair in row.chunks_exact_mut(2) {
            let (x, y) = (pair[0], pair[1]);
            (pair[0], pair[1]) = (cos * x - sin * y, sin * x + cos * y);
        }
        row.rotate_left(1);
        values.extend(row);
        values.push(0.0);
    }
    Matrix::new(D + 1, values).unwrap()
}

/// A world: items and queries in two spaces.
struct World {
    old: Matrix,
    new: Matrix,
    units: Vec<usize>,
    asked: Asked,
}

impl World {
    fn new(new_of: impl Fn(&Matrix, u64) -> Matrix) -> Self {
        let (old, queries) = (random_rows(ITEMS, D, 1), random_rows(QUERIES, D, 2));
        Self {
            new: new_of(&old, 3),
            asked: Asked {
                new: new_of(&queries, 4),
                old: queries,
                grades: vec![HashMap::new(); QUERIES],
                own: vec![None; QUERIES],
            },
            old,
            units: (0..ITEMS).collect(),
        }
    }

    fn fit(&self, kind: KindWish, role: Role) -> Result<Found, Error> {
        let pairs = Pairs {
            old: self.old.clone(),
            new: self.new.clone(),
        };
        let sides = self.sides();
        fit(
            &pairs,
            &sides,
            &self.asked,
            settings(kind, role),
            &mut |_| ControlFlow::Continue(()),
        )
    }

    fn sides(&self) -> Sides<'_> {
        Sides {
            old: &self.old,
            new: &self.new,
            units: &self.units,
            threads: 1,
        }
    }

    /// The best answer of each model in turn is what somebody called right.
    fn labelled_by(mut self, is_new_right: bool) -> Self {
        let (base, queries) = if is_new_right {
            (&self.new, &self.asked.new)
        } else {
            (&self.old, &self.asked.old)
        };
        let found = nearest(base, queries, &Scan::new(1)).unwrap();
        let grades = found
            .into_iter()
            .map(|list| HashMap::from([(list[0].row, 1.0)]));
        self.asked.grades = grades.collect();
        self
    }
}

fn settings(kind: KindWish, role: Role) -> Settings {
    Settings {
        kind,
        role,
        seed: 1,
        k: 5,
        is_renormalised: true,
        are_queries_documents: false,
    }
}

fn adapter(found: Found, role: Role) -> Adapter {
    let (from, to) = match role {
        Role::Queries => (space("p/new"), space("p/old")),
        Role::Documents => (space("p/old"), space("p/new")),
    };
    let head = Head {
        role,
        from_space: from.id(),
        to_space: to.id(),
        from,
        to,
        kind: found.map.kind(),
        lambda: None,
        renormalise: false,
        is_half: false,
        from_dimensions: 0,
        to_dimensions: 0,
        fitted_on: ["docs@1".to_owned(), "docs@2".to_owned()],
        pairs: ITEMS,
        pairs_hash: "0".repeat(64),
        seed: 1,
        judgement: found.judgement,
        score_map: found.score_map,
        is_forced: false,
        made_by: "promptgate".to_owned(),
    };
    Adapter::new(head, found.map)
}

#[test]
fn of_a_turn_the_bridge_is_a_reindex_in_both_directions() {
    let world = World::new(|rows, _| turned(rows));
    for role in [Role::Queries, Role::Documents] {
        for kind in [KindWish::Procrustes, KindWish::CentredProcrustes] {
            let found = world.fit(kind, role).unwrap();
            let judged = &found.judgement;
            assert!(
                judged.agreement.value > 0.98,
                "{role:?} {kind:?} {judged:?}"
            );
            assert!(judged.refusal.is_none());
            assert_eq!(judged.queries, QUERIES, "nothing had to be chosen");
            let ratio = judged.bridge_of_reindex.unwrap();
            assert!((ratio.value - 1.0).abs() < 0.02, "{ratio:?}");
            assert_eq!(judged.cascades.len(), 4);
            let last = judged.cascades[3];
            assert!(last.adapted.value > 0.99 && last.adapter_free.value > 0.99);
            assert_eq!(judged.learning.last().unwrap().pairs, ITEMS);
            let rises = found
                .score_map
                .is_sorted_by(|one, other| one.0 <= other.0 && one.1 <= other.1);
            assert!(rises && !found.score_map.is_empty());
        }
    }
}

#[test]
fn kinds_compete_on_other_queries_than_those_that_judge() {
    let world = World::new(|rows, _| turned(rows));
    let found = world.fit(KindWish::Auto, Role::Queries).unwrap();
    let tried = &found.judgement.tried;
    assert_eq!(tried.len(), 3);
    assert!(tried.is_sorted_by(|one, other| one.score >= other.score));
    assert_eq!(tried[0].kind, found.map.kind());
    assert_eq!(found.judgement.queries, QUERIES / 2);
    assert_eq!(found.judgement.judged_by, JudgedBy::NewAnswers);
}

#[test]
fn only_items_of_both_indexes_are_answers() {
    let mut world = World::new(|rows, _| turned(rows));
    // Only every second item has been embedded by the new model so far.
    let half = world.new.values().chunks_exact(D + 1).step_by(2).flatten();
    let half = Matrix::new(D + 1, half.copied().collect()).unwrap();
    world.units = (0..ITEMS)
        .map(|row| if row % 2 == 0 { row / 2 } else { usize::MAX })
        .collect();
    let old = world.old.values().chunks_exact(D).step_by(2).flatten();
    let pairs = Pairs {
        old: Matrix::new(D, old.copied().collect()).unwrap(),
        new: half.clone(),
    };
    let sides = Sides {
        new: &half,
        ..world.sides()
    };
    for role in [Role::Queries, Role::Documents] {
        let settings = settings(KindWish::Procrustes, role);
        let mut progress = |_| ControlFlow::Continue(());
        let found = fit(&pairs, &sides, &world.asked, settings, &mut progress).unwrap();
        let judged = found.judgement;
        assert_eq!((judged.items, judged.old_items), (ITEMS / 2, ITEMS));
        assert!(judged.agreement.value > 0.98, "{judged:?}");
        assert!(judged.status_quo.value > 0.98, "{judged:?}");
    }
}

#[test]
fn who_does_not_wait_gets_nothing() {
    let world = World::new(|rows, _| turned(rows));
    let pairs = Pairs {
        old: world.old.clone(),
        new: world.new.clone(),
    };
    let usual = settings(KindWish::Auto, Role::Queries);
    let mut stages = Vec::new();
    let mut progress = |step: Step| {
        stages.push(step.stage);
        if step.stage == "judging" {
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    };
    let stopped = fit(&pairs, &world.sides(), &world.asked, usual, &mut progress).unwrap_err();
    assert_eq!(stopped.kind(), "stopped");
    assert_eq!(stages, ["fitting", "fitting", "fitting", "judging"]);
}

#[test]
fn of_noise_nothing_is_kept() {
    let world = World::new(|rows, seed| random_rows(rows.len(), D, seed));
    let judged = world.fit(KindWish::Auto, Role::Queries).unwrap().judgement;
    assert!(judged.agreement.value < 0.2, "{judged:?}");
    assert!(judged.refusal.unwrap().contains("it takes 20 %"));
}

#[test]
fn labels_say_whether_to_keep_the_old_model() {
    let noisy = |rows: &Matrix, seed| {
        let noise = random_rows(rows.len(), D + 1, seed);
        let pairs = turned(rows)
            .into_values()
            .into_iter()
            .zip(noise.into_values());
        Matrix::new(
            D + 1,
            pairs.map(|(value, noise)| value + 0.8 * noise).collect(),
        )
        .unwrap()
    };
    let world = World::new(noisy).labelled_by(false);
    let judged = world
        .fit(KindWish::Procrustes, Role::Queries)
        .unwrap()
        .judgement;
    assert_eq!(judged.judged_by, JudgedBy::Labels);
    assert!(judged.status_quo.value > 0.99 && judged.bridge.value < 0.9);
    let advantage = judged.bridge_advantage.unwrap();
    assert!(advantage.value < 1.0 && advantage.interval.contains(advantage.value));
    assert_eq!(judged.advice, Advice::KeepOldModel);
    assert!(judged.verdict.starts_with("keep the old model for queries"));

    let world = World::new(noisy).labelled_by(true);
    let judged = world
        .fit(KindWish::Procrustes, Role::Queries)
        .unwrap()
        .judgement;
    assert!(judged.reindex.value > 0.99, "{judged:?}");
    assert!(judged.reindex_gain.interval.low > 0.0);
}

#[test]
fn too_few_queries_are_refused() {
    let mut world = World::new(|rows, _| turned(rows));
    world.asked = world.asked.part(&(0..19));
    let found = world.fit(KindWish::Ridge, Role::Queries);
    let Err(Error::Adapter(AdapterError::TooFewQueries {
        found: 19,
        least: 20,
    })) = found
    else {
        panic!("{found:?}");
    };
}

#[test]
fn an_adapter_knows_its_sides() {
    let world = World::new(|rows, _| turned(rows));
    let found = world.fit(KindWish::Procrustes, Role::Queries).unwrap();
    let adapter = adapter(found, Role::Queries);
    let (old, new) = (space("p/old"), space("p/new"));
    let mapped = adapter.map("docs@2", &new, &world.new).unwrap();
    assert_eq!((mapped.dimensions(), mapped.len()), (D, ITEMS));
    let wrong = adapter.map("docs@1", &old, &world.old).unwrap_err();
    assert_eq!(wrong.kind(), "adapter_wrong_direction");
    assert!(wrong.to_string().contains("are of `p/old`"), "{wrong}");
    let other = adapter
        .map("faq@1", &space("p/other"), &world.new)
        .unwrap_err();
    assert_eq!(other.kind(), "embedding_space_mismatch");
    let short = adapter.map("docs@2", &new, &world.old).unwrap_err();
    assert_eq!(short.kind(), "embedding_dimensions_conflict");
    for error in [wrong, other, short] {
        assert!(error.hint().is_some());
    }
    let own = adapter.space();
    assert_eq!((own.model.as_str(), adapter.asking()), ("p/old", &new));
    assert!(own.id() != old.id() && own.id() != new.id());
    assert_eq!(
        adapter.check("docs-adapted@1", &own).unwrap_err().kind(),
        "embedding_space_mismatch"
    );
}

#[test]
fn files_hold_what_was_fitted_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let shelf = Shelf::new(dir.path().join("adapters"));
    assert!(shelf.list().unwrap().adapters.is_empty());
    let world = World::new(|rows, _| turned(rows));
    let found = world.fit(KindWish::Auto, Role::Documents).unwrap();
    let adapter = adapter(found, Role::Documents);
    assert!(shelf.put(&adapter).unwrap() && !shelf.put(&adapter).unwrap());
    let read = shelf.find(adapter.id().get(..16).unwrap()).unwrap();
    assert_eq!(read, adapter, "it maps the same after it was kept");
    let sides = world.sides();
    let usual = settings(KindWish::Auto, Role::Documents);
    let (judged, _) = eval(read.linear(), &sides, &world.asked, usual).unwrap();
    assert_eq!(judged.queries, QUERIES);
    assert_eq!(
        shelf.find("adapter-000000").unwrap_err().kind(),
        "adapter_not_found"
    );
    assert_eq!(shelf.find("docs@1").unwrap_err().kind(), "invalid_request");

    let path = dir
        .path()
        .join("adapters")
        .join(format!("{}.adapter", adapter.id()));
    let whole = fs::read(&path).unwrap();
    for place in [0, 9, 40, whole.len() / 2, whole.len() - 1] {
        let mut bytes = whole.clone();
        bytes[place] ^= 1;
        let error = Adapter::from_bytes(&path, &bytes).unwrap_err();
        assert_eq!(error.kind(), "adapter_damaged", "{place}");
        assert!(Adapter::from_bytes(&path, &whole[..place]).is_err());
    }
    let mut later = whole.clone();
    later[7] = 2;
    let error = Adapter::from_bytes(&path, &later).unwrap_err();
    assert!(error.to_string().contains("has format 2"), "{error}");
    fs::write(&path, &whole[..100]).unwrap();
    let shelved = shelf.list().unwrap();
    assert!(shelved.adapters.is_empty());
    let [damaged] = &shelved.damaged[..] else {
        panic!("{shelved:?}");
    };
    assert!(damaged.to_string().contains(adapter.id()), "{damaged}");
    assert!(damaged.hint().unwrap().contains("adapter delete"));
    fs::write(&path, &whole).unwrap();
    shelf.remove(adapter.id()).unwrap();
    assert!(shelf.list().unwrap().adapters.is_empty());
}

#[test]
fn maps_have_their_reference_values() {
    let fixture = Fixture::read("adapter.json");
    let (x, y) = (fixture.matrix("/X"), fixture.matrix("/Y"));
    let first = |rows: &Matrix| {
        let values = rows.values()[..80 * rows.dimensions()].to_vec();
        Matrix::new(rows.dimensions(), values).unwrap()
    };
    let pairs = Pairs {
        old: first(&y),
        new: first(&x),
    };
    for (kind, name) in [
        (MapKind::Procrustes, "procrustes"),
        (MapKind::CentredProcrustes, "procrustes_centred"),
    ] {
        let plain = Settings {
            is_renormalised: false,
            ..settings(KindWish::Auto, Role::Queries)
        };
        let map = plain.fit(kind, &pairs, usize::MAX).unwrap();
        let held = x.values()[80 * x.dimensions()..].to_vec();
        let mapped = map
            .apply(&Matrix::new(x.dimensions(), held).unwrap())
            .unwrap();
        let expected = fixture.matrix(&format!("/predictions/{name}"));
        for (value, expected) in mapped.values().iter().zip(expected.values()) {
            // Coefficients are kept in 16 bits.
            assert_within((*value).into(), (*expected).into(), 5e-3);
        }
        let lists = [&mapped, &y].map(|queries| {
            let first = queries.len() - 20;
            let values = queries.values()[first * queries.dimensions()..].to_vec();
            let rows = Matrix::new(queries.dimensions(), values).unwrap();
            nearest(&y, &rows, &Scan::new(5)).unwrap()
        });
        let [ours, truth] = lists.map(|lists| {
            let rows = |list: &Vec<crate::embeddings::search::Neighbour>| {
                list.iter().map(|found| found.row).collect::<Vec<_>>()
            };
            lists.iter().map(rows).collect::<Vec<_>>()
        });
        let shares = ours.iter().zip(&truth).map(|(a, b)| overlap(a, b, 5));
        let mean = shares.sum::<f64>() / 20.0;
        // A neighbour may change, no more.
        assert_within(mean, fixture.number(&format!("/overlap5/{name}")), 0.011);
    }
}
