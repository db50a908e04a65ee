//! What two snapshots give an adapter: the pairs it is fitted on, the queries it is judged by, and which
//! items of both are the same.

use crate::domain::sha256_hex;
use crate::embeddings::adapters::{
    self, Adapter, AdapterError, Asked, Found, Head, KindWish, Pairs, Role, Sides,
};
use crate::embeddings::compare::{Query, Target};
use crate::embeddings::rows::{Matrix, Rows as _};
use crate::embeddings::snapshots::adapting::{AdaptWish, kept};
use crate::embeddings::snapshots::comparison::{own_hashes, sent_hashes};
use crate::embeddings::snapshots::{Error, Snapshots, check_native};
use crate::embeddings::space::TextHash;
use crate::embeddings::vault::{Manifest, Snapshot};
use crate::stats::Random;
use std::collections::HashMap;

/// On how many pairs a map is fitted when nothing is said: more hardly help.
const PAIRS: usize = 4_000;
/// How many pairs it takes between versions of one model.
const LEAST_PAIRS: usize = 250;
/// How many it takes between models that have nothing to do with each other.
const LEAST_PAIRS_ACROSS: usize = 1_000;
/// The most queries that judge.
const MOST_QUERIES: usize = 1_000;
/// How many documents stand in for queries, at most.
const STAND_INS: usize = 400;

/// Two opened snapshots and what they have in common.
pub(super) struct Ground {
    pub(super) old: Manifest,
    pub(super) new: Manifest,
    of_old: Snapshot,
    of_new: Snapshot,
    /// Which new row has the id and the text of each old row; `usize::MAX` where none has.
    units: Vec<usize>,
    /// Such rows, old and new, that may be fitted on; in an order drawn by the seed.
    fitted: Vec<(usize, usize)>,
    /// Those that only judge, in such an order too.
    held_out: Vec<(usize, usize)>,
}

/// Queries, and what answers each, by the numbers of items.
pub(super) type Judging = (Vec<Query>, Vec<HashMap<usize, f64>>);

/// Puts a list into an order drawn by the seed.
pub(super) fn shuffle<T>(list: &mut [T], seed: u64) {
    let mut random = Random::from_seed(seed);
    for place in 0..list.len() {
        let other = place + random.below(list.len() - place);
        list.swap(place, other);
    }
}

/// Queries, and whether documents stand in for them.
pub(super) struct Judges {
    pub(super) asked: Asked,
    pub(super) is_stand_in: bool,
}

impl Ground {
    pub(super) fn open(room: &Snapshots, wish: &AdaptWish) -> Result<Self, Error> {
        let (old, new) = (room.manifest(&wish.old)?, room.manifest(&wish.new)?);
        check_native(&old)?;
        check_native(&new)?;
        if old.space_id == new.space_id {
            let (first, second) = (old.name(), new.name());
            return Err(kept(AdapterError::SameSpace { first, second }));
        }
        let of_old = room.vault.open_snapshot(&old.id)?;
        let of_new = room.vault.open_snapshot(&new.id)?;
        // Hashes are of what was sent: with other prefixes they say nothing of the texts themselves.
        let is_alike = old.space.document.prefix == new.space.document.prefix;
        let hashes = |snapshot: &Snapshot| {
            if is_alike {
                Ok(sent_hashes(snapshot))
            } else {
                own_hashes(snapshot)
            }
        };
        let (hashes_old, hashes_new) = (hashes(&of_old)?, hashes(&of_new)?);
        let same = |row: usize| {
            let unit = of_new.row_of(of_old.id(row)?)?;
            let text = hashes_old.get(row)?;
            (hashes_new.get(unit)? == text).then_some((row, unit, is_held_out(text)))
        };
        let mut units = vec![usize::MAX; of_old.len()];
        let (mut fitted, mut held_out) = (Vec::new(), Vec::new());
        for (row, unit, is_held_out) in (0..of_old.len()).filter_map(same) {
            if let Some(place) = units.get_mut(row) {
                *place = unit;
            }
            let list = if is_held_out {
                &mut held_out
            } else {
                &mut fitted
            };
            list.push((row, unit));
        }
        shuffle(&mut fitted, wish.seed());
        shuffle(&mut held_out, wish.seed());
        Ok(Self {
            old,
            new,
            of_old,
            of_new,
            units,
            fitted,
            held_out,
        })
    }

    pub(super) fn sides(&self) -> Sides<'_> {
        Sides {
            old: &self.of_old,
            new: &self.of_new,
            units: &self.units,
            threads: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        }
    }

    /// Returns the queries that judge, and what answers them. Where some have labels only those judge, and
    /// nothing is paid for the others.
    pub(super) fn judging(
        &self,
        queries: Vec<Query>,
        competing: Option<KindWish>,
    ) -> Result<Judging, Error> {
        if queries.is_empty() {
            return Ok(Judging::default());
        }
        let has_labels = queries.iter().any(|query| !query.relevant.is_empty());
        let mut judging = Judging::default();
        for query in queries {
            if judging.0.len() == MOST_QUERIES {
                break;
            }
            let grades = self.grades(&query)?;
            if !has_labels || grades.values().any(|grade| 0.0 < *grade) {
                judging.0.push(query);
                judging.1.push(grades);
            }
        }
        if judging.0.is_empty() {
            let both = format!("`{}` and `{}`", self.old.name(), self.new.name());
            let problem = format!("name no item that {both} have with the same text");
            let hint = "labels name items by their ids";
            return Err(Error::invalid("labels", problem, Some(hint)));
        }
        let enough = adapters::check_queries(judging.0.len(), competing);
        enough.map(|()| judging).map_err(Error::from)
    }

    /// What answers a query, by the numbers of items. Answers that not both sides have are nobody's fault.
    fn grades(&self, query: &Query) -> Result<HashMap<usize, f64>, Error> {
        let mut grades = HashMap::new();
        for relevant in &query.relevant {
            let Target::Item(id) = &relevant.target else {
                let problem = format!("of `{}` are places in sources", query.id);
                let hint = "name the items that answer it";
                return Err(Error::invalid("labels", problem, Some(hint)));
            };
            let row = self.of_old.row_of(id);
            let unit = row.and_then(|row| self.units.get(row).copied());
            let unit = unit.filter(|unit| *unit < self.of_new.len());
            grades.extend(unit.map(|unit| (unit, relevant.grade)));
        }
        Ok(grades)
    }

    /// Draws the pairs to fit on, with the hash of what they are.
    pub(super) fn drawn(&self, wish: &AdaptWish) -> Result<(Pairs, String), Error> {
        let wanted = wish.pairs.unwrap_or(PAIRS).min(self.fitted.len());
        let mut fitted = self.fitted.get(..wanted).unwrap_or_default().to_vec();
        let mut pairs = self.pairs(&fitted)?;
        usable(&mut fitted, &mut pairs);
        let least = if self.old.space.model == self.new.space.model {
            LEAST_PAIRS
        } else {
            LEAST_PAIRS_ACROSS
        };
        if let Some(wanted) = wish.pairs.filter(|wanted| *wanted < least) {
            let problem = format!("is {wanted}, and between these models it takes {least}");
            return Err(Error::invalid("pairs", problem, None));
        }
        if fitted.len() < least {
            return Err(kept(AdapterError::TooFewPairs {
                first: self.old.name(),
                second: self.new.name(),
                found: fitted.len(),
                least,
            }));
        }
        let hash = self.pairs_hash(&fitted);
        Ok((pairs, hash))
    }

    /// The queries, or documents in their place where there are none: nothing was fitted on those.
    pub(super) fn judges(&self, asked: Option<Asked>) -> Result<Judges, Error> {
        let is_stand_in = asked.is_none();
        let asked = match asked {
            Some(asked) => asked,
            None => self.stand_ins()?,
        };
        Ok(Judges { asked, is_stand_in })
    }

    fn pairs(&self, rows: &[(usize, usize)]) -> Result<Pairs, Error> {
        let old: Vec<usize> = rows.iter().map(|(old, _)| *old).collect();
        let new: Vec<usize> = rows.iter().map(|(_, new)| *new).collect();
        Ok(Pairs {
            old: in_order(&self.of_old, &old)?,
            new: in_order(&self.of_new, &new)?,
        })
    }

    fn stand_ins(&self) -> Result<Asked, Error> {
        let count = STAND_INS.min(self.held_out.len());
        let held = self.held_out.get(..count).unwrap_or_default();
        let Pairs { old, new } = self.pairs(held)?;
        Ok(Asked {
            old,
            new,
            grades: vec![HashMap::new(); held.len()],
            own: held.iter().map(|(_, new)| Some(*new)).collect(),
        })
    }

    fn pairs_hash(&self, rows: &[(usize, usize)]) -> String {
        let lines = rows.iter().filter_map(|(row, _)| {
            let (id, hash) = (self.of_old.id(*row)?, self.of_old.text_hash(*row)?);
            Some(format!("{id}\0{}\n", hash.to_hex()))
        });
        let mut lines: Vec<String> = lines.collect();
        lines.sort();
        sha256_hex(lines.concat().as_bytes())
    }

    pub(super) fn adapter(
        &self,
        wish: &AdaptWish,
        found: Found,
        pairs: &Pairs,
        pairs_hash: String,
    ) -> Adapter {
        let (from, to) = match wish.role {
            Role::Queries => (&self.new, &self.old),
            Role::Documents => (&self.old, &self.new),
        };
        let is_forced = wish.is_forced && found.judgement.refusal.is_some();
        let Found {
            map,
            judgement,
            score_map,
        } = found;
        let head = Head {
            role: wish.role,
            from_space: from.space_id.clone(),
            to_space: to.space_id.clone(),
            from: from.space.clone(),
            to: to.space.clone(),
            fitted_on: [self.old.name(), self.new.name()],
            pairs: pairs.old.len(),
            pairs_hash,
            seed: wish.seed(),
            judgement,
            score_map,
            is_forced,
            made_by: concat!("promptgate ", env!("CARGO_PKG_VERSION")).to_owned(),
            kind: map.kind(),
            lambda: map.lambda(),
            renormalise: map.is_renormalised(),
            is_half: map.is_half(),
            from_dimensions: map.from_dimensions(),
            to_dimensions: map.to_dimensions(),
        };
        Adapter::new(head, map)
    }
}

/// Whether a text only ever judges. One in five does; it is told by the text itself, so that no judgement
/// of an adapter, however it is drawn, is by what the adapter was fitted on.
fn is_held_out(text: &TextHash) -> bool {
    text.0.last().is_some_and(|byte| byte % 5 == 0)
}

/// Reads rows in the order in which they are named.
fn in_order(snapshot: &Snapshot, rows: &[usize]) -> Result<Matrix, Error> {
    let mut sorted = rows.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    let found = adapters::gather(snapshot, &sorted)?;
    let places = rows.iter().filter_map(|row| sorted.binary_search(row).ok());
    let values = places.filter_map(|place| found.row(place)).flatten();
    Ok(Matrix::new(snapshot.dimensions(), values.copied().collect()).unwrap_or_default())
}

/// Leaves out pairs with a row that is zero or not finite: they say nothing of directions.
fn usable(rows: &mut Vec<(usize, usize)>, pairs: &mut Pairs) {
    let is_usable = |row: Option<&[f32]>| {
        row.is_some_and(|row| {
            row.iter().all(|value| value.is_finite()) && row.iter().any(|value| *value != 0.0)
        })
    };
    let kept: Vec<usize> = (0..rows.len())
        .filter(|place| is_usable(pairs.old.row(*place)) && is_usable(pairs.new.row(*place)))
        .collect();
    if kept.len() == rows.len() {
        return;
    }
    let pick = |matrix: &Matrix| {
        let values = kept.iter().filter_map(|place| matrix.row(*place)).flatten();
        Matrix::new(matrix.dimensions(), values.copied().collect()).unwrap_or_default()
    };
    *pairs = Pairs {
        old: pick(&pairs.old),
        new: pick(&pairs.new),
    };
    *rows = kept
        .iter()
        .filter_map(|place| rows.get(*place).copied())
        .collect();
}

#[cfg(test)]
mod tests {
    use super::is_held_out;
    use crate::embeddings::space::TextHash;

    #[test]
    fn a_fifth_of_texts_judges_and_always_the_same() {
        let texts: Vec<String> = (0..2_000).map(|n| format!("text {n}")).collect();
        let held = texts.iter().filter(|text| is_held_out(&TextHash::of(text)));
        let held = held.count();
        assert!((340..460).contains(&held), "{held}");
        assert!(is_held_out(&TextHash([5; 32])) && !is_held_out(&TextHash([6; 32])));
    }
}
