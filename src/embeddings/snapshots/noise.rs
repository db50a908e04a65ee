//! The provider's own noise: the same texts embedded again, held against the vectors that are kept.

use crate::embeddings::ask::Asker;
use crate::embeddings::compare::{kept_share, share_counts};
use crate::embeddings::rows::{Matrix, Rows as _};
use crate::embeddings::search::{Neighbour, Scan, nearest};
use crate::embeddings::snapshots::plan::count;
use crate::embeddings::snapshots::{Error, Snapshots, blocking, check_native};
use crate::embeddings::space::{Side, VectorKey};
use crate::embeddings::vault::{Manifest, NoiseFloor, Snapshot};
use rand::seq::index;
use std::sync::Arc;

/// How many texts are asked for together.
const BATCH: usize = 64;
/// How many of the nearest are held against each other.
const NEAREST: usize = 10;

/// Texts of a snapshot that are embedded again.
struct Drawn {
    rows: Vec<usize>,
    texts: Vec<String>,
    keys: Vec<VectorKey>,
}

impl Snapshots {
    /// Embeds `texts` random texts of a snapshot again, and keeps in its manifest what that showed.
    ///
    /// # Errors
    ///
    /// `Invalid` when the snapshot keeps no texts; those of asking; those of the vault.
    pub async fn measure_noise(
        self: &Arc<Self>,
        manifest: &Manifest,
        texts: usize,
    ) -> Result<Manifest, Error> {
        check_native(manifest)?;
        let (room, of) = (Arc::clone(self), manifest.clone());
        let (snapshot, drawn) = blocking(move || {
            let snapshot = room.vault.open_snapshot(&of.id)?;
            let drawn = draw(&snapshot, &of, texts)?;
            Ok((snapshot, drawn))
        })
        .await?;
        let name = manifest.name();
        let asker = Asker::new(Arc::clone(&self.proxy), manifest.space.clone(), name);
        let mut again = Vec::new();
        for batch in drawn.texts.chunks(BATCH) {
            let texts: Vec<&str> = batch.iter().map(String::as_str).collect();
            let embedded = asker.ask(Side::Document, &texts).await;
            let embedded = embedded.map_err(|failure| Box::new(failure.error))?;
            again.extend(embedded.vectors);
        }
        let (room, of) = (Arc::clone(self), manifest.clone());
        blocking(move || {
            let vectors = again.iter().map(Vec::as_slice);
            let rows: Vec<(VectorKey, &[f32])> = drawn.keys.iter().copied().zip(vectors).collect();
            let put = room
                .vault
                .put(&of.space_id, snapshot.dimensions(), of.precision, &rows)?;
            let kept = vectors_of(&snapshot, &drawn.rows)?;
            let again = Matrix::new(snapshot.dimensions(), again.concat()).unwrap_or_default();
            let (shares, top_1) = stays(&snapshot, &drawn.rows, [&kept, &again])?;
            let kept = kept_share(&shares, NEAREST);
            let noise = NoiseFloor {
                texts: count(drawn.rows.len()),
                overlap: kept.map_or(1.0, |kept| kept.value),
                interval: kept.map(|kept| [kept.interval.low, kept.interval.high]),
                counts: Some(share_counts(&shares)),
                top_1,
                max_deviation: f64::from(put.max_deviation),
                measured: room.clock.now(),
            };
            room.vault.set_noise(&of.id, &noise)?;
            room.forget_names();
            Ok(Manifest {
                noise: Some(noise),
                ..of
            })
        })
        .await
    }
}

fn draw(snapshot: &Snapshot, manifest: &Manifest, texts: usize) -> Result<Drawn, Error> {
    let all = snapshot.len();
    let mut rows = index::sample(&mut rand::rng(), all, texts.min(all)).into_vec();
    rows.sort_unstable();
    let mut drawn = Drawn {
        rows: Vec::new(),
        texts: Vec::new(),
        keys: Vec::new(),
    };
    for row in rows {
        let Some((text, hash)) = snapshot.text(row)?.zip(snapshot.text_hash(row)) else {
            let problem = "cannot be measured: the snapshot keeps no texts";
            return Err(Error::invalid("--noise", problem, None));
        };
        let key = VectorKey::new(&manifest.space, &manifest.space_id, Side::Document, hash);
        drawn.rows.push(row);
        drawn.texts.push(text);
        drawn.keys.push(key);
    }
    Ok(drawn)
}

/// The vectors that a snapshot keeps in these rows.
fn vectors_of(snapshot: &Snapshot, rows: &[usize]) -> Result<Matrix, Error> {
    let dimensions = snapshot.dimensions();
    let mut kept = vec![0.0; rows.len() * dimensions];
    for (row, into) in rows.iter().zip(kept.chunks_mut(dimensions.max(1))) {
        snapshot.read(*row, into)?;
    }
    Ok(Matrix::new(dimensions, kept).unwrap_or_default())
}

/// Returns the share of the rows nearest to the vectors of before that is nearest to those of after, text by
/// text, and the share of texts whose nearest stays. The texts are those of `rows`, none of which finds itself.
pub(in crate::embeddings) fn stays(
    snapshot: &Snapshot,
    rows: &[usize],
    [before, after]: [&Matrix; 2],
) -> Result<(Vec<f64>, f64), Error> {
    let itself = |query: usize, row: usize| rows.get(query) == Some(&row);
    let scan = Scan {
        skip: Some(&itself),
        ..Scan::new(NEAREST)
    };
    let before = nearest(snapshot, before, &scan)?;
    let after = nearest(snapshot, after, &scan)?;
    let pairs = || before.iter().zip(&after);
    let shares = pairs().map(|(before, after)| shared(before, after));
    let shares = shares.collect();
    let top = |found: &[Neighbour]| found.first().map(|found| found.row);
    let top_1 = mean(pairs().map(|(before, after)| f64::from(top(before) == top(after))));
    Ok((shares, top_1))
}

/// The share of `before` that is in `after` too; 1 where there is nothing.
fn shared(before: &[Neighbour], after: &[Neighbour]) -> f64 {
    let is_in = |found: &&Neighbour| after.iter().any(|other| other.row == found.row);
    if before.is_empty() {
        return 1.0;
    }
    mean(before.iter().map(|found| f64::from(is_in(&found))))
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
    if 0.0 < count { sum / count } else { 1.0 }
}
