//! Taking deleted rows out of an index, so that it is again one of all rows of its snapshot and holds nothing of
//! what went.
//!
//! Whoever was linked to a row that goes would lose a way. In its place come the nearest of those that the row
//! was linked to, as many as links were lost; links that stay are left as they are.

use crate::embeddings::search::graph::{Graph, Layer, Vectors};
use crate::embeddings::search::{Index, Neighbour};
use std::collections::BTreeSet;

impl Index {
    /// Returns the index without the rows that were deleted; those that stay have the numbers they have in the
    /// snapshot without them.
    #[must_use]
    pub fn shrunk(self) -> Self {
        let rows = self.vectors.lengths.len();
        let numbers = Numbers::of(rows, |row| !self.is_deleted(row));
        if numbers.left == rows {
            return self;
        }
        let layers = self.graph.layers.iter().enumerate();
        let layers = layers
            .map(|(height, layer)| mended(layer, 0 < height, &self.vectors, &numbers))
            .enumerate()
            .filter(|(height, layer)| *height == 0 || !layer.nodes.is_empty())
            .map(|(_, layer)| layer);
        let graph = Graph {
            entry: 0,
            layers: layers.collect(),
        };
        Self {
            settings: self.settings,
            vectors: without(&self.vectors, &numbers),
            graph: entered(graph, self.graph.entry, &numbers),
            deleted: vec![0; numbers.left.div_ceil(64)],
            gone: self.gone + rows - numbers.left,
            recall: self.recall,
        }
    }
}

/// The new numbers of rows.
struct Numbers {
    new: Vec<Option<u32>>,
    left: usize,
}

impl Numbers {
    fn of(rows: usize, stays: impl Fn(usize) -> bool) -> Self {
        let mut next = 0;
        let number = |row: usize| {
            stays(row).then(|| {
                next += 1;
                next - 1
            })
        };
        Self {
            new: (0..rows).map(number).collect(),
            left: next as usize,
        }
    }

    fn get(&self, row: u32) -> Option<u32> {
        self.new.get(row as usize).copied().flatten()
    }
}

/// Returns a layer without what goes. An upper one lists its rows.
fn mended(layer: &Layer, is_upper: bool, vectors: &Vectors, numbers: &Numbers) -> Layer {
    let mut left = Layer::default();
    for place in 0..layer.ends.len() {
        let row = if is_upper {
            layer.nodes.get(place).copied()
        } else {
            u32::try_from(place).ok()
        };
        let Some((row, number)) = row.and_then(|row| Some((row, numbers.get(row)?))) else {
            continue;
        };
        let links = layer.of_place(place);
        let stays = |link: &u32| numbers.get(*link).is_some();
        let mut kept: Vec<u32> = links.iter().copied().filter(stays).collect();
        if kept.len() < links.len() {
            let lost = links.len() - kept.len();
            let known: BTreeSet<u32> = kept.iter().copied().chain([row]).collect();
            let mut near = inherited(layer, links, numbers);
            near.retain(|link| !known.contains(link));
            kept.extend(nearest(vectors, row, near, lost));
        }
        if is_upper {
            left.nodes.push(number);
        }
        left.push(kept.into_iter().filter_map(|link| numbers.get(link)));
    }
    left
}

/// Returns the rows that stay to which those lead that go, also over several of them.
fn inherited(layer: &Layer, links: &[u32], numbers: &Numbers) -> Vec<u32> {
    let goes = |link: &u32| numbers.get(*link).is_none();
    let mut open: Vec<u32> = links.iter().copied().filter(goes).collect();
    let mut seen: BTreeSet<u32> = open.iter().copied().collect();
    let mut found = Vec::new();
    while let Some(gone) = open.pop() {
        for link in layer.of_row_or_place(gone) {
            if seen.insert(*link) {
                let list = if goes(link) { &mut open } else { &mut found };
                list.push(*link);
            }
        }
    }
    found
}

/// Returns the nearest `many` of some rows to a row.
fn nearest(vectors: &Vectors, row: u32, rows: Vec<u32>, many: usize) -> Vec<u32> {
    let Some(query) = vectors.prepare(vectors.row(row as usize)) else {
        return Vec::new();
    };
    let mut scored: Vec<(Neighbour, u32)> = rows
        .into_iter()
        .map(|link| (vectors.near(&query, link as usize), link))
        .collect();
    scored.sort_by(|one, other| one.0.rank(&other.0));
    scored
        .into_iter()
        .map(|(_, link)| link)
        .take(many)
        .collect()
}

fn without(vectors: &Vectors, numbers: &Numbers) -> Vectors {
    let stays = |row: &usize| numbers.new.get(*row).is_some_and(Option::is_some);
    let rows = (0..vectors.lengths.len()).filter(stays);
    let mut values = Vec::with_capacity(numbers.left * vectors.dimensions);
    let mut lengths = Vec::with_capacity(numbers.left);
    for row in rows {
        values.extend_from_slice(vectors.row(row));
        lengths.extend(vectors.lengths.get(row).copied());
    }
    Vectors {
        metric: vectors.metric,
        dimensions: vectors.dimensions,
        values,
        lengths,
    }
}

/// Lets walks begin where they did; where that row went, at another one of the highest layer.
fn entered(graph: Graph, before: u32, numbers: &Numbers) -> Graph {
    let highest = graph.layers.last();
    let first = highest.and_then(|layer| layer.nodes.first().copied());
    let is_there = |row: &u32| {
        highest.is_some_and(|layer| layer.nodes.is_empty() || layer.nodes.contains(row))
    };
    let entry = numbers.get(before).filter(is_there).or(first);
    // In the lowest layer one that is linked leads on.
    let linked = || {
        let lowest = graph.layers.first()?;
        let row = (0..numbers.left).find(|row| lowest.has_links(*row))?;
        u32::try_from(row).ok()
    };
    Graph {
        entry: entry.or_else(linked).unwrap_or(0),
        ..graph
    }
}

#[cfg(test)]
mod tests {
    use crate::embeddings::search::samples::clustered;
    use crate::embeddings::search::{Built, Identity, Index, Scan, Settings, nearest};
    use crate::embeddings::{Matrix, Rows as _, SnapshotId, SpaceId};

    const WIDTH: usize = 12;

    fn built(base: &Matrix) -> Index {
        let settings = Settings {
            links: 8,
            effort: 40,
            least_rows: 10,
            ..Settings::default()
        };
        match Index::build(base, None, &settings).unwrap() {
            Built::Graph(index) => *index,
            Built::Exact(why) => panic!("no index: {why:?}"),
        }
    }

    /// The rows of a base but for some.
    fn left(base: &Matrix, goes: &dyn Fn(usize) -> bool) -> Matrix {
        let rows = base.values().chunks(WIDTH).enumerate();
        let rows = rows.filter(|(row, _)| !goes(*row));
        let values = rows.flat_map(|(_, row)| row.iter().copied());
        Matrix::new(WIDTH, values.collect()).unwrap()
    }

    fn recall(index: &Index, base: &Matrix, queries: &Matrix) -> f64 {
        let truth = nearest(base, queries, &Scan::new(10)).unwrap();
        let (mut hits, mut all) = (0.0, 0.0);
        for (query, truth) in queries.values().chunks(WIDTH).zip(truth) {
            let found = index.search(query, 10, 64, None).unwrap();
            for neighbour in truth {
                all += 1.0;
                hits += f64::from(u8::from(found.contains(&neighbour)));
            }
        }
        hits / all
    }

    #[test]
    fn what_is_left_is_found_under_its_new_number() {
        let (base, queries) = (clustered(600, WIDTH, 21), clustered(40, WIDTH, 22));
        let entry = built(&base).graph.entry as usize;
        let one = |row: usize| row == 17;
        let first = |row: usize| row == entry;
        let scattered = |row: usize| row % 7 == 3;
        let together = |row: usize| (100..190).contains(&row);
        let goes: [&dyn Fn(usize) -> bool; 4] = [&one, &first, &scattered, &together];
        for (case, goes) in goes.into_iter().enumerate() {
            let mut index = built(&base);
            (0..600)
                .filter(|row| goes(*row))
                .for_each(|row| index.delete(row));
            let index = index.shrunk();
            let rest = left(&base, goes);
            assert_eq!(index.len(), rest.len(), "case {case}");
            assert_eq!(index.in_memory().unwrap(), rest.values(), "case {case}");
            assert!(!index.is_worn_out());
            let found = recall(&index, &rest, &queries);
            assert!(found > 0.93, "case {case}: {found}");
            // Each row leads to itself.
            let near = rest.values().chunks(WIDTH).step_by(9).enumerate();
            let itself = near.filter(|(place, row)| {
                let found = index.search(row, 1, 64, None).unwrap();
                found.first().is_some_and(|found| found.row == place * 9)
            });
            assert!(itself.count() > 55 * rest.len() / 600, "case {case}");
        }
    }

    #[test]
    fn it_is_read_back_only_for_the_rows_that_are_left() {
        let base = clustered(200, WIDTH, 23);
        let mut index = built(&base);
        index.delete(5);
        index.delete(150);
        let index = index.shrunk();
        let rest = left(&base, &|row| row == 5 || row == 150);
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("index");
        let of = |items: &str| Identity {
            space: SpaceId("space-1".to_owned()),
            snapshot: SnapshotId("snap-1".to_owned()),
            items_left: items.to_owned(),
        };
        index.save(&path, &of("two")).unwrap();
        assert_eq!(Index::load(&path, &of("two"), &rest).unwrap(), index);
        assert!(Index::load(&path, &of(""), &rest).is_err(), "of other rows");
        assert!(Index::load(&path, &of("two"), &base).is_err());
    }

    #[test]
    fn with_every_fifth_row_gone_it_is_worn_out_and_made_anew() {
        let base = clustered(400, WIDTH, 24);
        let mut index = built(&base);
        for round in 0..4 {
            assert!(!index.is_worn_out(), "round {round}");
            for row in 0..20 {
                index.delete(row * 13);
            }
            index = index.shrunk();
        }
        assert!(index.is_worn_out());
        let anew = index.rebuild(None).unwrap();
        assert!(!anew.is_worn_out());
        assert_eq!(anew.len(), 320);
    }

    #[test]
    fn all_of_it_may_go() {
        let base = clustered(30, WIDTH, 25);
        let mut index = built(&base);
        (0..29).for_each(|row| index.delete(row));
        let index = index.shrunk();
        let last = &base.values()[29 * WIDTH..];
        let found = index.search(last, 3, 10, None).unwrap();
        assert_eq!(found.len(), 1);
        let mut none = index;
        none.delete(0);
        let none = none.shrunk();
        assert!(none.search(last, 3, 10, None).unwrap().is_empty());
    }
}
