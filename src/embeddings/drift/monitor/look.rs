//! A look at a window: embed it, hold it against the reference, count what came of it.

use crate::domain::sha256_hex;
use crate::embeddings::distinct::LiveText;
use crate::embeddings::drift::monitor::kept::{Look, Monitor};
use crate::embeddings::drift::monitor::searched::Queries;
use crate::embeddings::drift::monitor::{Drift, Status, found, not_yet, sources};
use crate::embeddings::drift::webhook::send_unsent;
use crate::embeddings::drift::{
    Alarm, FEWEST, Finding, Group, Message, Standing, Told, examine, groups, message,
    permutations_for,
};
use crate::embeddings::geometry::two_sample::MOST_WINDOW;
use crate::embeddings::snapshots::{Error, Snapshots, SourceText, SpaceWish, blocking};
use crate::embeddings::space::Space;
use crate::embeddings::time::in_words;
use crate::embeddings::vault::Snapshot;
use crate::embeddings::{Matrix, Rows as _};
use std::collections::HashSet;
use std::sync::Arc;

/// How many texts are told by the other measure.
const OTHERS: usize = 5;
/// How many windows are kept, beside those of alarms.
const WINDOWS: usize = 10;

/// A snapshot in memory, at most [`MOST_WINDOW`] rows of it, without those that are no vectors.
pub(super) struct Loaded {
    pub(super) rows: Matrix,
    pub(super) texts: Vec<String>,
    times: Vec<i64>,
}

/// What a look showed.
struct Seen {
    finding: Finding,
    groups: Vec<Group>,
    others: Vec<String>,
    since_ms: i64,
}

impl Drift {
    /// Looks at what came since the last window.
    ///
    /// # Errors
    ///
    /// `NoMonitor`; `NotYet` when too few texts came, too little of the budget has accrued, or it is at work;
    /// those of snapshots.
    pub async fn run(self: &Arc<Self>, name: &str) -> Result<Status, Error> {
        let _place = self.claim(name)?;
        let looked = self.look(name).await;
        let fault = looked.as_ref().err();
        // What is only too early is no fault of the monitor.
        let fault = fault
            .filter(|error| !matches!(error, Error::NotYet { .. } | Error::NoMonitor { .. }))
            .map(ToString::to_string);
        let (room, of) = (Arc::clone(self), name.to_owned());
        let noted = blocking(move || {
            room.change(|book| {
                found(book, &of)?.fault = fault;
                Ok(())
            })
        });
        let noted = noted.await;
        looked?;
        noted?;
        send_unsent(self).await;
        let (room, of) = (Arc::clone(self), name.to_owned());
        blocking(move || room.status(&of)).await
    }

    async fn look(self: &Arc<Self>, name: &str) -> Result<(), Error> {
        let (room, of, now) = (Arc::clone(self), name.to_owned(), self.now_ms());
        let (monitor, texts) = blocking(move || {
            let monitor = found(&mut room.all()?, &of)?.clone();
            let texts = room.waiting(&monitor, now)?;
            Ok((monitor, texts))
        })
        .await?;
        ready(&monitor, &texts, now)?;
        let made = self
            .snapshot(&monitor.settings, "window", sources(&texts))
            .await?;
        let window = made.snapshot.ok_or(Error::Stopping)?.name();
        let queries = self.queries(&monitor, &window).await?;
        let (room, of) = (Arc::clone(self), window);
        blocking(move || room.judge(monitor, (&of, queries), &texts, now)).await
    }

    /// Holds the window against the reference and keeps what came of it. Blocks.
    fn judge(
        &self,
        mut monitor: Monitor,
        (window, queries): (&str, Option<Queries>),
        texts: &[LiveText],
        now: i64,
    ) -> Result<(), Error> {
        let name = monitor.settings.name.clone();
        let alpha = monitor
            .budget
            .spend(now)
            .ok_or_else(|| too_early(&monitor, now))?;
        let seen = self.see(&monitor, (window, queries), alpha)?;
        let standing = monitor.budget.count(seen.finding.p_value <= alpha);
        let text = message(&Message {
            subject: &monitor.settings.prompt,
            since: &in_words(seen.since_ms),
            finding: &seen.finding,
            standing,
            groups: &seen.groups,
            alarms_per_month: monitor.budget.alarms_per_month(),
            monitor: &name,
        });
        let look = Look {
            at_ms: now,
            alpha,
            finding: seen.finding,
            standing,
            groups: seen.groups,
            others: seen.others,
            window: window.to_owned(),
            span_ms: (
                texts.first().map_or(now, |text| text.at_ms),
                texts.last().map_or(now, |text| text.at_ms),
            ),
            text,
        };
        let alarm = (standing == Standing::Alarm).then(|| alarm_of(&monitor, &look));
        if alarm.is_some() {
            let p = look.finding.p_value;
            tracing::warn!(monitor = name, window, p, "traffic drifts");
        }
        monitor.looks += 1;
        monitor.read_until_ms = now;
        monitor.last = Some(look);
        let mut kept = HashSet::new();
        self.change(|book| {
            *found(book, &name)? = monitor;
            book.alarms.extend(alarm);
            kept = book
                .alarms
                .iter()
                .map(|alarm| alarm.window.clone())
                .collect();
            Ok(())
        })?;
        self.forget_windows(&name, &kept);
        Ok(())
    }

    /// Removes windows that are neither new nor an alarm's; their vectors go when garbage is collected.
    fn forget_windows(&self, name: &str, kept: &HashSet<String>) {
        let vault = self.snapshots.vault();
        let collection = format!("drift/{name}/window");
        let windows = vault.list(Some(&collection)).unwrap_or_default();
        let old = windows.len().saturating_sub(WINDOWS);
        for window in windows.into_iter().take(old) {
            let name = window.name();
            if kept.contains(&name) {
                continue;
            }
            let removed = name.parse().map(|name| vault.remove_snapshot(&name));
            if let Ok(Err(error)) = removed {
                tracing::warn!(window = name, %error, "an old window cannot be removed");
            }
        }
        self.snapshots.forget_names();
    }

    fn see(
        &self,
        monitor: &Monitor,
        (window, queries): (&str, Option<Queries>),
        alpha: f64,
    ) -> Result<Seen, Error> {
        let reference = load(&self.snapshots, &monitor.reference)?;
        let current = load(&self.snapshots, window)?;
        let seed = monitor.looks;
        let chance = (permutations_for(alpha), seed);
        let finding = examine(&reference.rows, &current.rows, chance).ok_or_else(|| {
            let problem = format!(
                "{} vectors of the window and {} of the reference cannot be held against each other",
                current.rows.len(),
                reference.rows.len()
            );
            let hint = "vectors must differ, be of one length and not zero; look at them with `snapshot show`";
            not_yet(&monitor.settings.name, problem, hint)
        })?;
        let region = finding.region.as_ref();
        let new = region.map(|region| region.rows.clone()).unwrap_or_default();
        let others = region
            .map(|region| region.others.clone())
            .unwrap_or_default();
        let told = |loaded| Told::from(loaded);
        let retrieval = queries.map(|queries| self.searched(monitor, &queries, &new));
        let finding = finding.with(retrieval.transpose()?.flatten());
        let groups = groups(told(&reference), told(&current), &new, seed);
        let times = new.iter().filter_map(|row| current.times.get(*row));
        let since_ms = times.min().or_else(|| current.times.iter().min());
        let others = others.iter().filter_map(|row| current.texts.get(*row));
        Ok(Seen {
            since_ms: since_ms.copied().unwrap_or_default(),
            others: others
                .take(OTHERS)
                .map(|text| crate::embeddings::drift::short(text))
                .collect(),
            groups,
            finding,
        })
    }

    /// Takes the newest window as normal: reference and window together are the next reference. Where they
    /// are too many, some texts of the old reference make room.
    ///
    /// # Errors
    ///
    /// `NoMonitor`; `NotYet` without a window; `Invalid` when the reference keeps no texts; those of
    /// snapshots.
    pub async fn accept(self: &Arc<Self>, name: &str) -> Result<Status, Error> {
        let _place = self.claim(name)?;
        let (room, of) = (Arc::clone(self), name.to_owned());
        let (settings, texts) = blocking(move || {
            let monitor = found(&mut room.all()?, &of)?.clone();
            let texts = room.joined(&monitor)?;
            Ok((monitor.settings, texts))
        })
        .await?;
        let made = self.snapshot(&settings, "reference", texts).await?;
        let reference = made.snapshot.ok_or(Error::Stopping)?.name();
        let (room, of) = (Arc::clone(self), name.to_owned());
        blocking(move || {
            room.change(|book| {
                let monitor = found(book, &of)?;
                monitor.reference = reference;
                monitor.budget.forget();
                let alarms = book.alarms.iter_mut();
                for alarm in alarms.filter(|alarm| alarm.monitor == of) {
                    alarm.is_accepted = true;
                }
                Ok(())
            })?;
            room.status(&of)
        })
        .await
    }

    /// The texts of the next reference.
    fn joined(&self, monitor: &Monitor) -> Result<Vec<SourceText>, Error> {
        let name = &monitor.settings.name;
        let window = monitor.last.as_ref().map(|look| look.window.as_str());
        let window = window.ok_or_else(|| {
            not_yet(
                name,
                "it has not looked at any window",
                "look first: `drift run`",
            )
        })?;
        let new = all_texts(&self.snapshots, window)?;
        let mut known = all_texts(&self.snapshots, &monitor.reference)?;
        known.retain(|old| {
            new.iter()
                .all(|text| text.id != old.id && text.text != old.text)
        });
        // A draw that comes out the same every time.
        known.sort_by_cached_key(|text| sha256_hex(text.id.as_bytes()));
        known.truncate(MOST_WINDOW.saturating_sub(new.len()));
        known.extend(new);
        Ok(known)
    }
}

impl<'a> From<&'a Loaded> for Told<'a> {
    fn from(loaded: &'a Loaded) -> Self {
        Self {
            rows: &loaded.rows,
            texts: &loaded.texts,
        }
    }
}

fn alarm_of(monitor: &Monitor, look: &Look) -> Alarm {
    Alarm {
        monitor: monitor.settings.name.clone(),
        subject: monitor.settings.prompt.clone(),
        at_ms: look.at_ms,
        text: look.text.clone(),
        finding: look.finding.clone(),
        groups: look.groups.clone(),
        window: look.window.clone(),
        reference: monitor.reference.clone(),
        is_accepted: false,
        is_unsent: monitor.settings.webhook.is_some(),
    }
}

fn ready(monitor: &Monitor, texts: &[LiveText], now: i64) -> Result<(), Error> {
    if 0.0 < monitor.budget.wait_ms(now) {
        return Err(too_early(monitor, now));
    }
    if FEWEST <= texts.len() {
        return Ok(());
    }
    let problem = format!(
        "{} distinct texts came since {}, and a look takes {FEWEST}",
        texts.len(),
        in_words(monitor.read_until_ms)
    );
    let hint = "wait for more calls, or read more of them (`--sample`)";
    Err(not_yet(&monitor.settings.name, problem, hint))
}

fn too_early(monitor: &Monitor, now: i64) -> Error {
    let minutes = (monitor.budget.wait_ms(now) / 60_000.0).ceil();
    let problem = format!(
        "its budget of false alarms is spent; it accrues, and allows a look in {minutes} minutes"
    );
    let hint = "a larger budget (`--budget-alarms`) allows looks more often";
    not_yet(&monitor.settings.name, problem, hint)
}

/// Says of a space what makes it.
pub(super) fn wish_of(space: &Space) -> SpaceWish {
    SpaceWish {
        name: None,
        model: Some(space.model.clone()),
        revision: space.revision.clone(),
        dimensions: space.dimensions,
        truncate: space.truncated_to,
        normalise: Some(space.normalised),
        query_prefix: Some(space.query.prefix.clone()),
        document_prefix: Some(space.document.prefix.clone()),
        query_task: space.query.task.clone(),
        document_task: space.document.task.clone(),
        max_tokens: space.max_tokens,
    }
}

pub(super) fn load(room: &Snapshots, name: &str) -> Result<Loaded, Error> {
    let manifest = room.manifest(name)?;
    let snapshot = room.vault().open_snapshot(&manifest.id)?;
    load_some(&snapshot, |_| true)
}

/// Loads the rows that are wanted.
pub(super) fn load_some(
    snapshot: &Snapshot,
    is_wanted: impl Fn(usize) -> bool,
) -> Result<Loaded, Error> {
    let all = snapshot.load()?;
    let mut which: Vec<usize> = (0..all.len())
        .filter(|row| is_wanted(*row) && is_vector(&all, *row))
        .collect();
    if MOST_WINDOW < which.len() {
        which
            .sort_by_cached_key(|row| sha256_hex(snapshot.id(*row).unwrap_or_default().as_bytes()));
        which.truncate(MOST_WINDOW);
        which.sort_unstable();
    }
    let mut loaded = Loaded {
        rows: Matrix::default(),
        texts: Vec::with_capacity(which.len()),
        times: Vec::with_capacity(which.len()),
    };
    for row in &which {
        let text = snapshot.text(*row)?;
        loaded.texts.push(text.unwrap_or_default());
        let metadata = snapshot.metadata(*row)?;
        let at_ms = metadata.and_then(|metadata| metadata.get("at_ms")?.as_i64());
        loaded.times.push(at_ms.unwrap_or_default());
    }
    loaded.rows = crate::embeddings::drift::picked(&all, &which).unwrap_or_default();
    Ok(loaded)
}

fn is_vector(rows: &Matrix, row: usize) -> bool {
    rows.row(row).is_some_and(|row| {
        row.iter().all(|value| value.is_finite()) && row.iter().any(|value| 0.0 < value.abs())
    })
}

/// The texts of a snapshot as they came.
fn all_texts(room: &Snapshots, name: &str) -> Result<Vec<SourceText>, Error> {
    let manifest = room.manifest(name)?;
    let snapshot = room.vault().open_snapshot(&manifest.id)?;
    let mut texts = Vec::new();
    for row in 0..snapshot.len() {
        let Some(item) = snapshot.item(row)? else {
            continue;
        };
        let Some(text) = item.text else {
            let problem = "keeps no texts, so that no other reference can be made of it";
            let hint = "begin again with `--since` in place of `--reference`";
            return Err(Error::invalid(name, problem, Some(hint)));
        };
        texts.push(SourceText {
            id: item.id,
            text,
            metadata: item.metadata,
        });
    }
    Ok(texts)
}

#[cfg(test)]
mod tests {
    use super::wish_of;
    use crate::embeddings::snapshots::SpaceWish;

    #[test]
    fn a_space_is_said_whole() {
        let space = crate::embeddings::Space {
            model: "openai/m".to_owned(),
            revision: None,
            dimensions: Some(256),
            truncated_to: None,
            normalised: true,
            query: crate::embeddings::space::SideRule::default(),
            document: crate::embeddings::space::SideRule::default(),
            max_tokens: None,
            adapter: None,
        };
        let wish = wish_of(&space);
        assert_eq!(wish.model.as_deref(), Some("openai/m"));
        assert_eq!((wish.dimensions, wish.normalise), (Some(256), Some(true)));
        assert_ne!(wish, SpaceWish::default());
    }
}
