//! Overrides: a label made to mean another version past Git, for a time and for a reason. Git stays
//! the truth: an override is shown as drift until Git says the same, or its time is over.

use crate::domain::{
    AuditEvent, Audited, BundleHash, Caller, Clock, OverrideEnd, PromptKey, Selector, Timestamp,
};
use crate::prompts::error::Error;
use crate::prompts::registry::{Inner, Prompts, known, no_version};
use crate::prompts::releases::Noting;
use crate::prompts::releases::resolve::Resolver;
use crate::prompts::releases::table::{DEFAULT_LABEL, OverrideRoute, Route, Table, Version};
use crate::prompts::snapshot::Snapshot;
use serde::{Deserialize, Serialize};
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

/// Under which name they are kept.
const STATE: &str = "prompts.overrides";
/// The version of what is kept.
const VERSION: u32 = 1;
/// The longest an override may last: whoever needs longer has time for a commit.
const LONGEST: Duration = Duration::from_secs(30 * 24 * 3600);
/// How long to wait after a failure.
const TRY_AGAIN: Duration = Duration::from_secs(30);
/// The longest reason.
const MAX_REASON: usize = 500;

/// A label that means another version than Git says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Override {
    /// The label.
    pub label: String,
    /// The prompt.
    pub prompt: PromptKey,
    /// The version, as it was asked for.
    pub to: String,
    /// The version.
    pub hash: BundleHash,
    /// Why.
    pub reason: String,
    /// When it was set.
    pub created: Timestamp,
    /// Until when it is in force.
    pub expires: Timestamp,
}

/// What somebody wants to put in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewOverride {
    /// The label.
    pub label: String,
    /// The prompt.
    pub prompt: PromptKey,
    /// The version.
    pub to: Selector,
    /// How long.
    pub ttl: Duration,
    /// Why.
    pub reason: String,
}

/// Reads how long an override may last: `90s`, `30m`, `2h`, `7d`.
#[must_use]
pub fn parse_span(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let seconds: u64 = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return None,
    };
    let is_number = number.bytes().all(|byte| byte.is_ascii_digit());
    let number: u64 = number.parse().ok().filter(|_| is_number)?;
    number.checked_mul(seconds).map(Duration::from_secs)
}

#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    version: u32,
    overrides: Vec<Override>,
}

impl Override {
    fn is_of(&self, label: &str, prompt: &PromptKey) -> bool {
        self.label == label && self.prompt == *prompt
    }

    fn ended(&self, end: OverrideEnd) -> Audited {
        Audited::OverrideEnded {
            label: self.label.clone(),
            prompt: self.prompt.clone(),
            to: self.to.clone(),
            end,
        }
    }
}

/// Returns the overrides that were kept.
pub(super) fn kept(inner: &Inner) -> Result<Vec<Override>, Error> {
    let json = inner.archive.state(STATE).map_err(Error::Archive)?;
    let Some(json) = json else {
        return Ok(Vec::new());
    };
    let kept: Kept = serde_json::from_str(&json)
        .map_err(|error| Error::Archive(format!("the overrides cannot be read: {error}")))?;
    Ok(kept.overrides)
}

pub(super) fn keep(inner: &Inner, overrides: &[Override]) -> Result<(), Error> {
    let kept = Kept {
        version: VERSION,
        overrides: overrides.to_vec(),
    };
    let json = serde_json::to_string(&kept).map_err(|error| Error::Archive(error.to_string()))?;
    inner
        .archive
        .put_state(STATE, &json)
        .map_err(Error::Archive)
}

/// Lays `overrides` over what Git says; returns what happened to those that ended.
pub(super) fn lay_over(
    table: &mut Table,
    overrides: Vec<Override>,
    resolver: &mut Resolver<'_>,
    snapshot: &Snapshot,
    now: Timestamp,
) -> Vec<Audited> {
    let mut events = Vec::new();
    for over in overrides {
        let route = git_route(table, snapshot, &over.label, &over.prompt);
        if over.expires <= now {
            events.push(over.ended(OverrideEnd::Expired));
            continue;
        }
        if route
            .as_ref()
            .is_some_and(|route| route.is_only(over.hash, now))
        {
            events.push(over.ended(OverrideEnd::CaughtUp));
            continue;
        }
        let selector = Selector::Hash(over.hash.to_hex());
        match (route, resolver.version(&over.prompt, &selector)) {
            (Some(route), Ok(version)) => put(table, &over, route, version),
            (None, _) => {} // Shown as drift without effect: its prompt or label is gone.
            (_, Err(problem)) => {
                tracing::error!(label = over.label, prompt = %over.prompt, problem,
                    "an override has no effect");
            }
        }
        table.overrides.push(over);
    }
    events
}

/// Returns what Git says that `label` means for `key`.
pub(super) fn git_route(
    table: &Table,
    snapshot: &Snapshot,
    label: &str,
    key: &PromptKey,
) -> Option<Route> {
    let served = snapshot.get(key)?;
    match table.route(label, key) {
        Some(route) => Some(Route {
            over: None,
            ..Route::clone(route)
        }),
        None if !snapshot.has_releases && label == DEFAULT_LABEL => Some(Route::plain(Version {
            bundle: Arc::clone(&served.bundle),
            found: None,
        })),
        None => None,
    }
}

fn put(table: &mut Table, over: &Override, route: Route, version: Version) {
    let route = Route {
        over: Some(OverrideRoute {
            version,
            expires: over.expires,
        }),
        ..route
    };
    let routes = table.routes.entry(over.label.clone()).or_default();
    routes.insert(over.prompt.clone(), Arc::new(route));
}

impl Prompts {
    /// Puts a version in force past Git: at once, and after a restart too. Blocks.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidOverride`], and those of resolving.
    pub fn set_override(&self, wanted: NewOverride) -> Result<Override, Error> {
        self.ensure_loaded()?;
        if matches!(wanted.to, Selector::Number(_)) {
            // Whoever is in need does not wait for the background. Without Git, what is known counts.
            if let Err(error) = self.number_all() {
                tracing::warn!(%error, "an override is set while versions cannot be numbered");
            }
        }
        let inner = &self.inner;
        let _guard = inner.loading.lock().unwrap_or_else(PoisonError::into_inner);
        let snapshot = self.snapshot();
        let now = Clock::System.now();
        let over = check(inner, &snapshot, wanted, now)?;
        let git = git_route(&snapshot.releases, &snapshot, &over.label, &over.prompt);
        let from = git.map(|route| route.stable.name(&snapshot, &over.prompt));
        let mut all = kept(inner)?;
        let replaced = all
            .iter()
            .position(|it| it.is_of(&over.label, &over.prompt));
        let replaced = replaced.map(|place| all.remove(place));
        all.push(over.clone());
        keep(inner, &all)?;
        let mut events: Vec<Audited> = Vec::new();
        events.extend(replaced.map(|it| it.ended(OverrideEnd::Replaced)));
        events.push(Audited::OverrideSet {
            label: over.label.clone(),
            prompt: over.prompt.clone(),
            from: from.unwrap_or_default(),
            to: over.to.clone(),
            reason: over.reason.clone(),
            expires: over.expires,
        });
        self.lay_anew(&snapshot, events)?;
        Ok(over)
    }

    /// Takes an override back: Git is in force again at once. Blocks.
    ///
    /// # Errors
    ///
    /// [`Error::OverrideNotFound`], [`Error::Archive`].
    pub fn remove_override(&self, label: &str, prompt: &PromptKey) -> Result<Override, Error> {
        let inner = &self.inner;
        let _guard = inner.loading.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all = kept(inner)?;
        let place = all.iter().position(|over| over.is_of(label, prompt));
        let place = place.ok_or_else(|| Error::OverrideNotFound {
            label: label.to_owned(),
            name: prompt.to_string(),
        })?;
        let removed = all.remove(place);
        keep(inner, &all)?;
        let events = vec![removed.ended(OverrideEnd::Removed)];
        self.lay_anew(&self.snapshot(), events)?;
        Ok(removed)
    }

    /// Returns the overrides, the oldest first. Blocks.
    ///
    /// # Errors
    ///
    /// [`Error::Archive`].
    pub fn overrides(&self) -> Result<Vec<Override>, Error> {
        kept(&self.inner)
    }

    /// Ends overrides when their time is over, until `shutdown` is cancelled.
    pub async fn end_overrides(&self, shutdown: CancellationToken) {
        loop {
            let now = Clock::System.now();
            let snapshot = self.snapshot();
            let next = snapshot
                .releases
                .overrides
                .iter()
                .map(|it| it.expires)
                .min();
            // Nobody waits for longer than a look at the clock of the system is worth.
            let pause = next.map_or(Duration::from_secs(3600), |at| {
                let micros = u64::try_from(at.0.saturating_sub(now.0)).unwrap_or(0);
                Duration::from_micros(micros).min(Duration::from_secs(60))
            });
            drop(snapshot);
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = self.inner.overridden.notified() => continue,
                () = tokio::time::sleep(pause) => {}
            }
            let prompts = self.clone();
            let problem = match spawn_blocking(move || prompts.end_expired()).await {
                Ok(Ok(())) => continue,
                Ok(Err(error)) => error.to_string(),
                Err(error) => error.to_string(),
            };
            // It has no effect any more, whoever knows it; only that it ended is not written down.
            tracing::error!(problem, "the end of an override could not be noted");
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(TRY_AGAIN) => {}
            }
        }
    }

    fn end_expired(&self) -> Result<(), Error> {
        let inner = &self.inner;
        let _guard = inner.loading.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Clock::System.now();
        let snapshot = self.snapshot();
        if snapshot
            .releases
            .overrides
            .iter()
            .all(|it| now < it.expires)
        {
            return Ok(());
        }
        self.lay_anew(&snapshot, Vec::new())
    }

    /// Serves `snapshot` with the overrides as they are kept now, and notes `events` and what ended.
    fn lay_anew(&self, snapshot: &Snapshot, mut events: Vec<Audited>) -> Result<(), Error> {
        let mut next = snapshot.clone();
        let inner = &self.inner;
        let table = snapshot.releases.without_overrides(snapshot.has_releases);
        let mut resolver = Resolver::new(inner, snapshot, &snapshot.releases);
        let (table, ended) = inner.laid_over(table, &mut resolver, snapshot)?;
        next.releases = table;
        inner.current.store(Arc::new(next));
        inner.overridden.notify_one();
        events.extend(ended);
        inner.note(events);
        Ok(())
    }

    /// Reads the files, where nobody did: for commands while no server runs. Blocks.
    ///
    /// # Errors
    ///
    /// As [`Prompts::open`].
    pub fn ensure_loaded(&self) -> Result<(), Error> {
        if self.snapshot().is_empty() {
            let loading = self.inner.loading.lock();
            let _loading = loading.unwrap_or_else(PoisonError::into_inner);
            self.load(Noting::Ends, &self.snapshot(), &mut None)?;
        }
        Ok(())
    }
}

impl Inner {
    /// Writes down what happened. A loss is an alarm, not a reason to serve something else.
    pub(in crate::prompts) fn note(&self, events: Vec<Audited>) {
        if events.is_empty() {
            return;
        }
        let now = Clock::System.now();
        let events = events.into_iter().map(|what| AuditEvent::now(now, what));
        let events: Vec<AuditEvent> = events.collect();
        if let Err(problem) = self.archive.note(&events) {
            let count = events.len();
            tracing::error!(count, problem, "what happened could not be written down");
        }
    }
}

fn check(
    inner: &Inner,
    snapshot: &Snapshot,
    wanted: NewOverride,
    now: Timestamp,
) -> Result<Override, Error> {
    let invalid = |problem: &str, hint: &str| Error::InvalidOverride {
        problem: problem.to_owned(),
        hint: hint.to_owned(),
    };
    let NewOverride {
        label,
        prompt,
        to,
        ttl,
        reason,
    } = wanted;
    let reason = reason.trim().to_owned();
    if reason.is_empty() || MAX_REASON < reason.chars().count() {
        let hint = "say in up to 500 characters why this cannot wait for a commit";
        return Err(invalid("an override needs a reason", hint));
    }
    if ttl.is_zero() || LONGEST < ttl {
        let hint = "say how long, from `1s` to `30d`; what should last belongs into releases.yaml";
        return Err(invalid("an override needs a time to live", hint));
    }
    let caller = Caller::local();
    known(snapshot, &prompt, &caller)?;
    let route = git_route(&snapshot.releases, snapshot, &label, &prompt)
        .ok_or_else(|| snapshot.no_label(&prompt, &label))?;
    if matches!(
        to,
        Selector::Default | Selector::Label(_) | Selector::PullRequest(_)
    ) {
        let hint = "write `latest`, `vN`, `sha-HEX` or `git:REF`";
        return Err(invalid("an override leads to a version", hint));
    }
    let mut resolver = Resolver::new(inner, snapshot, &snapshot.releases);
    let version = resolver
        .version(&prompt, &to)
        .map_err(|_| no_version(snapshot, &prompt, &to.to_string(), &caller))?;
    if route.is_only(version.hash(), now) {
        let problem = format!("label `{label}` of prompt `{prompt}` means that version already");
        return Err(invalid(
            &problem,
            "`prompts releases` shows what labels mean",
        ));
    }
    crate::prompts::archive::keep(inner.archive.as_ref(), &prompt, &version.bundle)?;
    let micros = i64::try_from(ttl.as_micros()).unwrap_or(i64::MAX);
    Ok(Override {
        to: version.name(snapshot, &prompt),
        hash: version.hash(),
        label,
        prompt,
        reason,
        created: now,
        expires: Timestamp(now.0.saturating_add(micros)),
    })
}
