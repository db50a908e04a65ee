//! What a canary begins with: texts of its snapshot, drawn the same way every time, and rounds of their vectors.

use crate::domain::{PicoDollars, sha256_hex};
use crate::embeddings::ask::Asker;
use crate::embeddings::drift::canary::Canaries;
use crate::embeddings::drift::canary::kept::{Canary, Measured, Settings, Spent};
use crate::embeddings::drift::canary::rounds::{ROUNDS, noise, widest};
use crate::embeddings::snapshots::{Error, blocking};
use crate::embeddings::space::{Side, VectorKey};
use crate::embeddings::vault::{Manifest, Snapshot};
use crate::embeddings::{Matrix, Rows as _};
use std::collections::HashSet;
use std::sync::Arc;

/// Below this overlap a snapshot's measured noise is a finding of its own, and no floor.
const SOUND_OVERLAP: f64 = 0.98;

/// The texts of a canary, as their snapshot has them.
pub(super) struct Texts {
    pub(super) items: Vec<String>,
    pub(super) rows: Vec<usize>,
    pub(super) texts: Vec<String>,
}

/// Rounds that were asked for.
pub(super) struct Asked {
    pub(super) rounds: Vec<Matrix>,
    pub(super) model: Option<String>,
    pub(super) spent: Spent,
}

impl Asked {
    pub(super) const fn new() -> Self {
        Self {
            rounds: Vec::new(),
            model: None,
            spent: Spent {
                requests: 0,
                tokens: 0,
                cost: PicoDollars(0),
            },
        }
    }
}

impl Spent {
    pub(super) fn add(&mut self, other: Self) {
        self.requests += other.requests;
        self.tokens += other.tokens;
        self.cost = PicoDollars(self.cost.0.saturating_add(other.cost.0));
    }
}

impl Canaries {
    /// Draws the texts of a canary and measures what is normal.
    pub(super) async fn hatch(
        self: &Arc<Self>,
        settings: Settings,
        manifest: Manifest,
    ) -> Result<Canary, Error> {
        if manifest.space.adapter.is_some() {
            let problem = "has vectors that an adapter made, and no model makes such of texts";
            return Err(Error::invalid(&manifest.name(), problem, None));
        }
        let (room, of, many) = (Arc::clone(self), manifest.clone(), settings.texts);
        let texts = blocking(move || {
            let snapshot = room.snapshots.vault().open_snapshot(&of.id)?;
            draw(&snapshot, &of.name(), many)
        })
        .await?;
        let mut asked = Asked::new();
        self.ask(&manifest, &texts.texts, ROUNDS, &mut asked)
            .await?;
        let (room, now) = (Arc::clone(self), self.now_ms());
        blocking(move || {
            let from_snapshot = room.distance_of(&manifest, &texts, &asked.rounds)?;
            let sound = manifest
                .noise
                .as_ref()
                .filter(|noise| SOUND_OVERLAP <= noise.overlap);
            let normal = Measured {
                rounds: asked.rounds.len(),
                dimensions: asked.rounds.first().map_or(0, |round| round.dimensions()),
                sha256: room.files.write(&asked.rounds)?,
                own_noise: noise(&asked.rounds),
                snapshot_noise: sound.map(|noise| noise.max_deviation),
                snapshot_texts: sound.map(|noise| noise.texts),
                model: asked.model,
                at_ms: now,
                items: texts.items,
            };
            let most = widest(&asked.rounds).max(normal.floor());
            Ok(Canary {
                model: manifest.space.model,
                is_snapshot_older: most < from_snapshot,
                from_snapshot,
                changed: None,
                began_ms: now,
                due_ms: now.saturating_add(settings.every_ms),
                normal_ms: now,
                checks: 0,
                spent: asked.spent,
                last: None,
                fault: None,
                normal,
                settings,
            })
        })
        .await
    }

    /// Returns how far the vectors that a snapshot keeps are from those of a round, beyond what its precision
    /// loses. Blocks.
    pub(super) fn distance_of(
        &self,
        manifest: &Manifest,
        texts: &Texts,
        rounds: &[Matrix],
    ) -> Result<f64, Error> {
        let vault = self.snapshots.vault();
        let snapshot = vault.open_snapshot(&manifest.id)?;
        let round = rounds.first().ok_or(Error::Stopping)?;
        let each = texts.rows.iter().enumerate();
        let rows: Vec<(VectorKey, &[f32])> = each
            .filter_map(|(place, row)| {
                let hash = snapshot.text_hash(*row)?;
                let key = VectorKey::new(&manifest.space, &manifest.space_id, Side::Document, hash);
                Some((key, round.row(place)?))
            })
            .collect();
        let dimensions = snapshot.dimensions();
        let put = vault.put(&manifest.space_id, dimensions, manifest.precision, &rows)?;
        Ok(f64::from(put.max_deviation))
    }

    /// Asks for rounds, one request each, and adds them to those that were asked for.
    pub(super) async fn ask(
        &self,
        manifest: &Manifest,
        texts: &[String],
        count: usize,
        asked: &mut Asked,
    ) -> Result<(), Error> {
        let asker = Asker::new(
            Arc::clone(&self.proxy),
            manifest.space.clone(),
            manifest.name(),
        );
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        for _ in 0..count {
            let embedded = asker.ask(Side::Document, &texts).await;
            let embedded = embedded.map_err(|failure| Box::new(failure.error))?;
            asked.spent.add(Spent {
                requests: 1,
                tokens: embedded.tokens.unwrap_or(0),
                cost: embedded.cost.pico_usd.unwrap_or_default(),
            });
            let size = embedded.vectors.first().map_or(0, Vec::len);
            let round = Matrix::new(size, embedded.vectors.concat());
            let round = round.filter(|round| round.len() == texts.len());
            asked.rounds.push(round.ok_or_else(|| {
                let problem = "makes vectors of unlike lengths";
                Error::invalid(&manifest.space.model, problem, None)
            })?);
            asked.model = embedded.model;
        }
        Ok(())
    }
}

/// Draws items of unlike texts, the same ones every time.
fn draw(snapshot: &Snapshot, name: &str, many: usize) -> Result<Texts, Error> {
    let mut rows: Vec<usize> = (0..snapshot.len()).collect();
    rows.sort_by_cached_key(|row| sha256_hex(snapshot.id(*row).unwrap_or_default().as_bytes()));
    let mut seen = HashSet::new();
    let mut drawn = Texts {
        items: Vec::new(),
        rows: Vec::new(),
        texts: Vec::new(),
    };
    for row in rows {
        if drawn.rows.len() == many {
            break;
        }
        if snapshot
            .text_hash(row)
            .is_none_or(|hash| !seen.insert(hash))
        {
            continue;
        }
        let Some(text) = snapshot.text(row)? else {
            let problem = "keeps no texts, so that none can be embedded again";
            let hint = "name a snapshot that was made without `--hash-only`";
            return Err(Error::invalid(name, problem, Some(hint)));
        };
        drawn
            .items
            .push(snapshot.id(row).unwrap_or_default().to_owned());
        drawn.rows.push(row);
        drawn.texts.push(text);
    }
    if drawn.rows.is_empty() {
        return Err(Error::invalid(name, "has no items", None));
    }
    Ok(drawn)
}

/// Returns the texts of these items; `None` when one is there no more.
pub(super) fn texts_of(snapshot: &Snapshot, items: &[String]) -> Result<Option<Texts>, Error> {
    let mut found = Texts {
        items: items.to_vec(),
        rows: Vec::new(),
        texts: Vec::new(),
    };
    for item in items {
        let Some(row) = snapshot.row_of(item) else {
            return Ok(None);
        };
        let Some(text) = snapshot.text(row)? else {
            return Ok(None);
        };
        found.rows.push(row);
        found.texts.push(text);
    }
    Ok(Some(found))
}
