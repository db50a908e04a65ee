//! Releases: what labels mean. `releases.yaml` says it, in Git; overrides say otherwise for a time.
//!
//! The rules are held against the prompts before a snapshot is served, and every version they name is
//! compiled then: following a label costs a call two look-ups and, for a canary, one hash.

mod overrides;
mod parse;
mod resolve;
mod rules;
mod table;
mod tree;
mod view;

pub use overrides::{NewOverride, Override, parse_span};
pub use table::{Released, StickyKeys};
pub use view::{CanaryView, Drift, ReleaseView, ShadowView};

pub(super) use parse::{parse, point_in_time};
pub(super) use resolve::FILE;
pub(super) use rules::Releases;
pub(super) use table::{DEFAULT_LABEL, Table};

use crate::domain::{Audited, Clock};
use crate::prompts::error::Error;
use crate::prompts::numbering::Slice;
use crate::prompts::registry::{Inner, Mode};
use crate::prompts::snapshot::Snapshot;
use resolve::Resolver;
use std::collections::{BTreeMap, BTreeSet};

/// Under which name the rules that were last in force are kept, to tell moves across a restart.
const STATE: &str = "prompts.releases";

/// How much of a load is written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Noting {
    /// Everything: it is served from now on.
    All,
    /// Only which overrides ended: somebody looks, nobody serves.
    Ends,
}

type Words = BTreeMap<String, BTreeMap<String, String>>;

impl Inner {
    /// Makes the table of `snapshot` from the rules it brings and the overrides that are kept; returns
    /// it with the overrides that ended. Blocks.
    fn released(
        &self,
        snapshot: &Snapshot,
        previous: &Snapshot,
    ) -> Result<(Table, Vec<Audited>), Error> {
        let mut resolver = Resolver::new(self, snapshot, &previous.releases);
        let table = match &snapshot.releases.written {
            None => Table::default(),
            Some(written) => resolve::table(&mut resolver, written)
                .map_err(|problems| Error::LoadFailed { problems })?,
        };
        self.laid_over(table, &mut resolver, snapshot)
    }

    /// Lays the overrides that are kept over `table`; returns it with those that ended. Needs no Git:
    /// it is there for the day on which Git is not.
    fn laid_over(
        &self,
        mut table: Table,
        resolver: &mut Resolver<'_>,
        snapshot: &Snapshot,
    ) -> Result<(Table, Vec<Audited>), Error> {
        let kept = overrides::kept(self)?;
        let now = Clock::System.now();
        let events = overrides::lay_over(&mut table, kept, resolver, snapshot, now);
        if !events.is_empty() {
            overrides::keep(self, &table.overrides)?;
        }
        Ok((table, events))
    }

    /// Gives `snapshot` its table. Rules that do not hold refuse it; in lenient mode the rules of
    /// `previous` stay, if they still hold. Blocks.
    fn release(&self, snapshot: &mut Snapshot, previous: &Snapshot) -> Result<Vec<Audited>, Error> {
        let before = || previous.releases.written.clone();
        if snapshot.has_releases && snapshot.releases.written.is_none() {
            // The file has problems, and they are in the snapshot's list.
            snapshot.releases.written = before();
            if snapshot.releases.written.is_none() {
                let problems = snapshot.problems().to_vec();
                return Err(Error::LoadFailed { problems });
            }
        }
        let made = match self.released(snapshot, previous) {
            Err(Error::LoadFailed { problems })
                if self.config.mode == Mode::Lenient && before().is_some() =>
            {
                snapshot.add_problems(problems);
                snapshot.releases.written = before();
                self.released(snapshot, previous)
            }
            made => made,
        };
        let (table, ended) = made?;
        snapshot.releases = table;
        Ok(ended)
    }

    /// Numbers `snapshot`, which is to follow `previous`, and gives it its table; returns the overrides
    /// that ended. Blocks.
    pub(super) fn number_and_release(
        &self,
        snapshot: &mut Snapshot,
        previous: &Snapshot,
    ) -> Result<Vec<Audited>, Error> {
        // A label that names a number must lead somewhere before anybody follows it.
        let written = snapshot.releases.written.as_ref();
        let slice = match written.filter(|written| written.has_numbers()) {
            Some(_) => Slice::WHOLE,
            None => Slice::AT_ONCE,
        };
        let (source, archive) = (&self.config.source, self.archive.as_ref());
        let commit = snapshot.commit();
        self.numbering.follow(source, archive, commit, slice);
        self.release(snapshot, previous)
    }

    /// Writes down which labels moved with `snapshot`, and which overrides ended.
    pub(super) fn note_labels(&self, snapshot: &Snapshot, ended: Vec<Audited>, noting: Noting) {
        if noting == Noting::Ends {
            return self.note(ended);
        }
        let mut events = Vec::new();
        let now: Words = match &snapshot.releases.written {
            Some(written) => written.in_words(),
            None => Words::new(),
        };
        let before = self.last_rules();
        if before != now {
            events.extend(moves(&before, &now, snapshot));
            for place in snapshot.releases.guarded() {
                tracing::warn!(place, "a canary has a guard, and nothing evaluates it yet");
            }
            let json = serde_json::to_string(&now).unwrap_or_default();
            if let Err(problem) = self.archive.put_state(STATE, &json) {
                tracing::error!(problem, "the rules of labels could not be kept");
            }
        }
        events.extend(ended);
        self.note(events);
    }

    fn last_rules(&self) -> Words {
        let kept = self.archive.state(STATE).unwrap_or_default();
        kept.and_then(|json| serde_json::from_str(&json).ok())
            .unwrap_or_default()
    }
}

/// Returns an event for every rule that is new, gone or another.
fn moves(before: &Words, now: &Words, snapshot: &Snapshot) -> Vec<Audited> {
    let at = |words: &Words, label: &str, prompt: &str| {
        words
            .get(label)
            .and_then(|rules| rules.get(prompt))
            .cloned()
    };
    let places = before.iter().chain(now).flat_map(|(label, rules)| {
        let prompts = rules.keys();
        prompts.map(move |prompt| (label.clone(), prompt.clone()))
    });
    let places: BTreeSet<(String, String)> = places.collect();
    let moved = places.into_iter().filter_map(|(label, prompt)| {
        let (from, to) = (at(before, &label, &prompt), at(now, &label, &prompt));
        (from != to).then(|| Audited::LabelMoved {
            label,
            prompt,
            from,
            to,
            commit: snapshot.commit().map(str::to_owned),
            dirty: snapshot.has_dirty_releases,
        })
    });
    moved.collect()
}

#[cfg(test)]
mod tests;
