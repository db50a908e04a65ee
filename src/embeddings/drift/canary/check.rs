//! A check: one request, and where that is not as before some more at once; what came of it is kept.

use crate::embeddings::drift::canary::hatch::{Asked, Texts, texts_of};
use crate::embeddings::drift::canary::kept::{Canary, CanaryAlarm, Check, Measured, Outcome};
use crate::embeddings::drift::canary::message::Found;
use crate::embeddings::drift::canary::rounds::{
    MOST_ROUNDS, ROUNDS, chance, change, nearest, noise, widest,
};
use crate::embeddings::drift::canary::{Canaries, CanaryStatus, level, message};
use crate::embeddings::drift::webhook::send_unsent;
use crate::embeddings::snapshots::{Error, blocking, stays};
use crate::embeddings::vault::Manifest;
use crate::embeddings::{Matrix, Rows as _};
use std::sync::Arc;

/// What a check needs.
struct Loaded {
    canary: Canary,
    manifest: Manifest,
    /// `None` when some were deleted.
    texts: Option<Texts>,
    normal: Vec<Matrix>,
}

impl Canaries {
    /// Checks a canary now.
    ///
    /// # Errors
    ///
    /// `NoCanary`, `CanaryBusy`; those of snapshots and of asking, which are kept as the canary's fault.
    pub async fn check(self: &Arc<Self>, name: &str) -> Result<CanaryStatus, Error> {
        let _place = self.claim(name)?;
        let looked = Box::pin(self.look(name)).await;
        if let Err(error) = &looked {
            let (room, of, fault) = (Arc::clone(self), name.to_owned(), error.to_string());
            let noted = blocking(move || {
                let now = room.now_ms();
                room.change(|all| {
                    let canary = all.found(&of)?;
                    canary.fault = Some(fault);
                    canary.due_ms = now.saturating_add(canary.settings.every_ms);
                    Ok(())
                })
            });
            // That there is no such canary is told by what failed before.
            let _ = noted.await;
        }
        looked?;
        send_unsent(self).await;
        let (room, of) = (Arc::clone(self), name.to_owned());
        blocking(move || room.status(&of)).await
    }

    async fn look(self: &Arc<Self>, name: &str) -> Result<(), Error> {
        let (room, of) = (Arc::clone(self), name.to_owned());
        let loaded = blocking(move || room.load(&of)).await?;
        let Some(texts) = loaded.texts else {
            tracing::warn!(
                canary = name,
                "texts were deleted: what is normal is measured anew"
            );
            let mut canary = Box::pin(self.hatch(loaded.canary.settings, loaded.manifest)).await?;
            canary.began_ms = loaded.canary.began_ms;
            canary.checks = loaded.canary.checks;
            canary.spent.add(loaded.canary.spent);
            self.put(name, canary).await?;
            let room = Arc::clone(self);
            return blocking(move || {
                room.tidy();
                Ok(())
            })
            .await;
        };
        let mut asked = Asked::new();
        self.ask(&loaded.manifest, &texts.texts, 1, &mut asked)
            .await?;
        let canary = loaded.canary;
        let far = asked
            .rounds
            .first()
            .and_then(|round| nearest(&loaded.normal, round));
        let far = far.map_or(f64::INFINITY, |(deviation, _)| deviation);
        let is_beyond = canary.normal.floor() < far;
        if is_beyond && far.is_finite() && canary.changed.is_none() {
            let more = ROUNDS - 1;
            self.ask(&loaded.manifest, &texts.texts, more, &mut asked)
                .await?;
        }
        let room = Arc::clone(self);
        let (manifest, normal) = (loaded.manifest, loaded.normal);
        blocking(move || room.judge(canary, &manifest, (&texts, &normal, asked))).await
    }

    /// Reads what a check needs. Blocks.
    fn load(&self, name: &str) -> Result<Loaded, Error> {
        let canary = self.all()?.found(name)?.clone();
        let manifest = self.snapshots.manifest(&canary.settings.snapshot)?;
        let snapshot = self.snapshots.vault().open_snapshot(&manifest.id)?;
        let texts = texts_of(&snapshot, &canary.normal.items)?;
        let normal = self.files.read(&canary.normal)?;
        Ok(Loaded {
            canary,
            manifest,
            texts,
            normal,
        })
    }

    /// Says what the rounds of a check came to, and keeps it. Blocks.
    fn judge(
        &self,
        mut canary: Canary,
        manifest: &Manifest,
        (texts, normal, asked): (&Texts, &[Matrix], Asked),
    ) -> Result<(), Error> {
        let now = self.now_ms();
        let round = asked.rounds.first().ok_or(Error::Stopping)?;
        let change = change(normal, round, canary.normal.floor());
        let is_beyond = change
            .deviation
            .is_none_or(|deviation| canary.normal.floor() < deviation);
        let p_value = chance(normal, &asked.rounds, canary.checks);
        let outcome = match (&canary.changed, is_beyond) {
            (None, false) => Outcome::Steady,
            (Some(_), false) => Outcome::Recovered,
            (Some(_), true) => Outcome::StillChanged,
            (None, true) if p_value.is_none_or(|p| p <= level(&canary.settings)) => {
                Outcome::Changed
            }
            (None, true) => Outcome::Noise,
        };
        let check = Check {
            at_ms: now,
            outcome,
            change,
            p_value,
            requests: asked.rounds.len(),
            model: asked.model.clone(),
        };
        canary.spent.add(asked.spent);
        canary.checks += 1;
        canary.fault = None;
        canary.due_ms = now.saturating_add(canary.settings.every_ms);
        let told = match outcome {
            Outcome::Changed => {
                let (name, model) = (&canary.settings.name, &canary.model);
                tracing::warn!(canary = name, model, "a model makes other vectors");
                let found = Found {
                    stays: self.found_again(manifest, texts, (normal, round))?,
                    is_of_snapshot: self.is_of_snapshot(&canary, manifest, texts, &asked.rounds)?,
                };
                canary.changed = Some(self.changed(&canary, &asked, now)?);
                Some(message::changed(&canary, &check, &found))
            }
            Outcome::Recovered => Some(message::recovered(&canary, &check)),
            Outcome::Steady | Outcome::Noise | Outcome::StillChanged => None,
        };
        if matches!(
            outcome,
            Outcome::Steady | Outcome::Noise | Outcome::Recovered
        ) {
            canary.normal_ms = now;
            canary.changed = None;
        }
        canary.last = Some(check.clone());
        self.keep(canary, told, check)
    }

    fn keep(&self, canary: Canary, told: Option<String>, check: Check) -> Result<(), Error> {
        let name = canary.settings.name.clone();
        let is_over = check.outcome == Outcome::Recovered;
        let is_unsent = canary.settings.webhook.is_some();
        self.change(|all| {
            *all.found(&name)? = canary;
            if is_over {
                close(&mut all.alarms, &name);
            }
            all.alarms.extend(told.map(|text| CanaryAlarm {
                canary: name,
                at_ms: check.at_ms,
                text,
                check,
                is_closed: is_over,
                is_unsent,
            }));
            Ok(())
        })?;
        if is_over {
            self.tidy();
        }
        Ok(())
    }

    /// Returns how much of what these texts found in their snapshot by what is normal they find still. Blocks.
    fn found_again(
        &self,
        manifest: &Manifest,
        texts: &Texts,
        (normal, round): (&[Matrix], &Matrix),
    ) -> Result<Option<message::Stays>, Error> {
        let snapshot = self.snapshots.vault().open_snapshot(&manifest.id)?;
        let Some((far, before)) = nearest(normal, round) else {
            return Ok(None);
        };
        if far.is_infinite() || snapshot.dimensions() != round.dimensions() {
            return Ok(None);
        }
        let (shares, same_first) = stays(&snapshot, &texts.rows, [before, round])?;
        let mean = shares.iter().sum::<f64>() / f64::max(shares.len() as f64, 1.0);
        Ok(Some((mean, same_first)))
    }

    /// Returns whether these rounds are what the snapshot keeps, though something else is normal. Blocks.
    fn is_of_snapshot(
        &self,
        canary: &Canary,
        manifest: &Manifest,
        texts: &Texts,
        rounds: &[Matrix],
    ) -> Result<bool, Error> {
        let dimensions = rounds.first().map(Matrix::dimensions);
        if dimensions != Some(canary.normal.dimensions) {
            return Ok(false);
        }
        let far = self.distance_of(manifest, texts, rounds)?;
        Ok(far <= widest(rounds).max(canary.normal.floor()))
    }

    /// Keeps the rounds that showed a change. Blocks.
    fn changed(&self, canary: &Canary, asked: &Asked, now: i64) -> Result<Measured, Error> {
        Ok(Measured {
            rounds: asked.rounds.len(),
            dimensions: asked.rounds.first().map_or(0, |round| round.dimensions()),
            sha256: self.files.write(&asked.rounds)?,
            own_noise: noise(&asked.rounds),
            model: asked.model.clone(),
            at_ms: now,
            ..canary.normal.clone()
        })
    }

    /// Takes the change that was seen as normal. With `is_also` what was normal stays so beside it: some
    /// providers answer from machines that are not alike. Blocks.
    ///
    /// # Errors
    ///
    /// `NoCanary`, `CanaryBusy`; `Invalid` when there is no change, or vectors have another length.
    pub fn accept(&self, name: &str, is_also: bool) -> Result<CanaryStatus, Error> {
        let _place = self.claim(name)?;
        let canary = self.all()?.found(name)?.clone();
        let Some(seen) = canary.changed else {
            let problem = "is a canary that sees no change";
            let hint = "`promptgate embeddings canary check` looks now";
            return Err(Error::invalid(name, problem, Some(hint)));
        };
        if seen.dimensions != canary.normal.dimensions {
            let problem = "sees vectors of another length, and those are of another space";
            let hint = "make a new snapshot, and begin a canary on that";
            return Err(Error::invalid(name, problem, Some(hint)));
        }
        let normal = if is_also {
            let mut rounds = self.files.read(&canary.normal)?;
            rounds.extend(self.files.read(&seen)?);
            let surplus = rounds.len().saturating_sub(MOST_ROUNDS);
            rounds.drain(..surplus);
            Measured {
                rounds: rounds.len(),
                sha256: self.files.write(&rounds)?,
                own_noise: noise(&rounds),
                ..seen
            }
        } else {
            seen
        };
        let now = self.now_ms();
        self.change(|all| {
            let canary = all.found(name)?;
            canary.normal = normal;
            canary.changed = None;
            canary.normal_ms = now;
            close(&mut all.alarms, name);
            Ok(())
        })?;
        self.tidy();
        self.status(name)
    }
}

fn close(alarms: &mut [CanaryAlarm], name: &str) {
    for alarm in alarms.iter_mut().filter(|alarm| alarm.canary == name) {
        alarm.is_closed = true;
    }
}
