//! What a clean-up is to do, by the limits that it knows.
//!
//! A plan is in memory only. After a crash or a change of the limits another is made, which goes
//! through what is still there.

use sea_orm::DbErr;
use uuid::Uuid;

use super::across::Unchanged;
use super::{Phase, Run};
use crate::core::Core;
use crate::journal::sql;
use crate::retention::limits::{cut, dead_cut, id_at};
use crate::retention::queries;

impl Run {
    /// Lays out the phases.
    pub(super) async fn lay_out(&mut self, core: &Core) -> Result<(), DbErr> {
        let now = self.planned_at;
        self.phases.clear();
        self.passed = std::mem::take(&mut self.passed).by(&self.known);
        for id in self.known.workspaces.keys() {
            self.done.entry(*id).or_default();
        }
        self.plan_events(core, now).await?;
        self.plan_rest(now);
        self.phases.push_back(Phase::Size {
            left: None,
            dead: self.strictest_dead(now),
            after: Uuid::nil(),
        });
        self.phases.push_back(Phase::GiveBack);
        self.leave_what_needs_the_archive();
        Ok(())
    }

    /// Every source that has events, also one that was deleted.
    async fn plan_events(&mut self, core: &Core, now: i64) -> Result<(), DbErr> {
        let mut after = Uuid::nil();
        loop {
            let found =
                sql::rows(core.db.read(), queries::next_source(), vec![after.into()]).await?;
            let Some(row) = found.first() else {
                return Ok(());
            };
            let source: Uuid = row.try_get("", "source_id")?;
            let workspace: Uuid = row.try_get("", "workspace_id")?;
            after = source;
            let Some(limits) = self.known.workspaces.get(&workspace) else {
                continue;
            };
            let days = self.known.sources.get(&source).copied();
            if let Some(before) = cut(days.unwrap_or(limits.spec.events), now) {
                self.phases.push_back(Phase::Events {
                    source,
                    workspace,
                    before: id_at(before),
                    dead: dead_cut(limits.spec.dead_letters, now),
                    after: Uuid::nil(),
                });
            }
        }
    }

    fn plan_rest(&mut self, now: i64) {
        let mut rest = Vec::new();
        for limits in self.known.workspaces.values() {
            let (workspace, spec) = (limits.workspace, &limits.spec);
            if let Some(cut) = cut(spec.deliveries, now) {
                rest.push(Phase::Deliveries {
                    workspace,
                    cut,
                    dead: dead_cut(spec.dead_letters, now),
                    after: Uuid::nil(),
                });
            }
            for (table, days) in [
                ("refusal", spec.refusals),
                ("audit", spec.audit),
                ("job", spec.jobs),
            ] {
                if let Some(cut) = cut(days, now) {
                    rest.push(Phase::Rows {
                        table,
                        workspace,
                        cut,
                    });
                }
            }
            if let Some(cut) = cut(spec.stats, now) {
                rest.push(Phase::Stats { workspace, cut });
            }
        }
        // Links first: the records of those that are gone are nobody's.
        for kind in [Unchanged::Links, Unchanged::Sandbox] {
            rest.push(Phase::Unchanged {
                kind,
                after: Uuid::nil(),
            });
        }
        rest.push(Phase::Attempts {
            after: self.passed.after,
        });
        self.phases.extend(rest);
    }

    /// Since when dead letters stay, whatever their workspace.
    fn strictest_dead(&self, now: i64) -> i64 {
        self.known
            .workspaces
            .values()
            .map(|l| dead_cut(l.spec.dead_letters, now))
            .min()
            .unwrap_or(i64::MIN)
    }
}
