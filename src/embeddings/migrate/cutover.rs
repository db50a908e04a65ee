//! The cut-over: the snapshot of the new version is made of the newest of the old one, its gates are looked
//! at, and only then it is served.

use crate::embeddings::compare::report::GateOutcome;
use crate::embeddings::migrate::book::Migration;
use crate::embeddings::migrate::verbs::Taken;
use crate::embeddings::migrate::{MigrateError, MoveWish, State};
use crate::embeddings::snapshots::{CompareWish, Error, QuerySourceWish, Snapshots, blocking};
use crate::embeddings::vault::{Manifest, NewSnapshot, Source, SourceKind};
use std::sync::Arc;

impl Snapshots {
    /// Makes the snapshot of the new version, looks at its gates, and serves it.
    pub(super) async fn cut_over(
        self: &Arc<Self>,
        of: &Migration,
        wish: &MoveWish,
    ) -> Result<(), Error> {
        let (room, migration) = (Arc::clone(self), of.clone());
        let (base, sealed) = blocking(move || room.seal_new(&migration)).await?;
        let failed = self.failed_gates(of, &base, &sealed, wish).await?;
        if !failed.is_empty() && !wish.force {
            let snapshot = sealed.name();
            return Err(MigrateError::Gates { snapshot, failed }.into());
        }
        let (room, migration, by) = (Arc::clone(self), of.clone(), wish.by.clone());
        let is_dual = wish.is_dual;
        blocking(move || {
            // Whatever was added while gates were looked at would be lost to searches.
            if room.base(&migration)?.id != base.id {
                let (_, newest) = room.seal_new(&migration)?;
                return Err(MigrateError::Gates {
                    snapshot: newest.name(),
                    failed: vec![format!("`{}` is no longer the newest", base.name())],
                }
                .into());
            }
            room.take(
                &migration,
                &Taken {
                    to: State::Cutover,
                    by: by.as_deref(),
                    is_forced: !failed.is_empty(),
                    is_dual,
                    serving: Some(&sealed),
                },
            )
        })
        .await
    }

    /// Seals the new version of the newest snapshot of the old one. Blocks.
    pub(super) fn seal_new(&self, of: &Migration) -> Result<(Manifest, Manifest), Error> {
        let base = self.base(of)?;
        let items = self.items_in_new(of, &base)?;
        let prepared = self.reckon_texts(of, items, base.precision)?;
        let plan = prepared.plan;
        if 0 < plan.to_send {
            let (missing, total) = (plan.to_send, plan.unique);
            let base = base.name();
            return Err(MigrateError::Missing {
                missing,
                total,
                base,
            }
            .into());
        }
        let under_way = self.migration(&of.collection)?;
        let meter = under_way.meter;
        let sealed = self.vault.seal(&NewSnapshot {
            collection: of.collection.clone(),
            space: of.to_space.clone(),
            pipeline_id: base.pipeline_id.clone(),
            pipeline: base.pipeline.clone(),
            precision: base.precision,
            text_storage: base.text_storage,
            items: prepared.items,
            parent: Some(base.id.clone()),
            source: Source {
                kind: SourceKind::Snapshot,
                detail: Some(base.name()),
            },
            truncated: None,
            spent: meter.of_texts_since(&under_way.accounted, of.planned.is_some()),
            model_returned: None,
            created: self.clock.now(),
        })?;
        self.migrations.change(|kept| {
            if let Some(migration) = kept.by_id(&of.id) {
                migration.accounted = meter;
            }
            Ok(())
        })?;
        Ok((base, sealed.manifest))
    }

    /// Compares both versions, where gates are said or were said at the beginning; returns those that are
    /// not met.
    async fn failed_gates(
        self: &Arc<Self>,
        of: &Migration,
        base: &Manifest,
        sealed: &Manifest,
        wish: &MoveWish,
    ) -> Result<Vec<String>, Error> {
        let mut gates = of.gates.clone();
        gates.extend(
            wish.gates
                .iter()
                .filter(|gate| !of.gates.contains(gate))
                .cloned(),
        );
        if gates.is_empty() {
            return Ok(Vec::new());
        }
        let compared = self.compare(CompareWish {
            a: base.name(),
            b: sealed.name(),
            queries: wish.queries.clone(),
            labels: wish.labels.clone(),
            queries_from: match &wish.queries {
                Some(_) => QuerySourceWish::File,
                None => QuerySourceWish::Items,
            },
            gates,
            ..CompareWish::default()
        });
        let mut compared = compared.await?;
        while compared.progress.changed().await.is_ok() {}
        let report = match compared.end.get() {
            Some(Ok(report)) => report,
            Some(Err(error)) => {
                let told = error.told();
                return Err(Error::Invalid {
                    what: "gates".to_owned(),
                    problem: format!("cannot be looked at: {}", told.message),
                    hint: told.hint,
                });
            }
            None => return Err(Error::Stopping),
        };
        let failed = report.gates.iter();
        let failed = failed.filter(|gate| gate.outcome != GateOutcome::Passed);
        Ok(failed
            .map(|gate| format!("`{}`: {}", gate.gate, gate.reason))
            .collect())
    }
}
