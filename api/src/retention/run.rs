//! One clean-up, phase by phase, each from the oldest on.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::{Duration, Instant};

use openapi::retention::RetentionCounts;
use sea_orm::DbErr;
use uuid::Uuid;

use super::archive::Archive;
use super::batch::{self, Gone, Stopped, Target};
use super::limits::{self, Limits, cut, dead_cut, id_at};
use super::{queries, size};
use crate::core::Core;
use crate::journal::sql::{self, Values};

/// Rows of a batch: first, least, most.
const FIRST: usize = 100;
const LEAST: usize = 20;
const MOST: usize = 500;
/// A batch that takes longer is made smaller, one that takes a third of it larger.
const LONG: Duration = Duration::from_millis(15);
/// The pause after a batch, in lengths of the batch, and its bounds.
const PAUSE: u32 = 3;
const SHORTEST: Duration = Duration::from_millis(5);
const LONGEST: Duration = Duration::from_millis(500);
/// What the size cap cleans down to, in hundredths of it.
const DOWN_TO: i64 = 95;

/// What is done, and how far it is.
#[derive(Clone, Debug)]
enum Phase {
    /// Events of a source.
    Events {
        source: Uuid,
        workspace: Uuid,
        before: Uuid,
        dead: i64,
        after: Uuid,
    },
    /// Finished deliveries of a workspace.
    Deliveries {
        workspace: Uuid,
        cut: i64,
        dead: i64,
        after: Uuid,
    },
    /// Attempts of all workspaces.
    Attempts { after: Uuid },
    /// Rows of a small table of a workspace.
    Rows {
        table: &'static str,
        workspace: Uuid,
        cut: i64,
    },
    /// Hourly counters.
    Stats { workspace: Uuid, cut: i64 },
    /// The oldest of all, until the database is small enough.
    Size { left: i64, dead: i64, after: Uuid },
    /// Free pages.
    GiveBack,
}

/// A clean-up under way.
pub struct Run {
    /// When it began.
    pub started_at: i64,
    /// What it has deleted, by workspace.
    pub done: BTreeMap<Uuid, (RetentionCounts, u64)>,
    /// Why it ended early.
    pub error: Option<String>,
    /// Where the attempts are, for the next run: what was passed over goes with its delivery.
    pub attempts_after: Uuid,
    limits: HashMap<Uuid, Limits>,
    archive: Option<Archive>,
    phases: VecDeque<Phase>,
    batch: usize,
}

impl Run {
    /// Plans a run.
    ///
    /// # Errors
    /// The database failed.
    pub async fn plan(core: &Core, attempts_after: Uuid) -> Result<Self, DbErr> {
        let db = &core.db;
        let now = core.clock.now_ms();
        let limits: HashMap<Uuid, Limits> = limits::workspaces(db)
            .await?
            .into_iter()
            .map(|limits| (limits.workspace, limits))
            .collect();
        let (archive, error) = match Archive::of(&core.settings) {
            Ok(archive) => (archive, None),
            // Nothing may go that the archive was to have.
            Err(error) => (None, Some(error.to_string())),
        };
        let mut run = Self {
            started_at: now,
            done: limits.keys().map(|id| (*id, Default::default())).collect(),
            error,
            attempts_after,
            limits,
            archive,
            phases: VecDeque::new(),
            batch: FIRST,
        };
        if run.error.is_none() {
            run.plan_events(core, now).await?;
            run.plan_rest(now);
            run.phases.push_back(Phase::Size {
                left: -1,
                dead: run.strictest_dead(now),
                after: Uuid::nil(),
            });
        }
        run.phases.push_back(Phase::GiveBack);
        Ok(run)
    }

    /// Every source that has events, also one that was deleted.
    async fn plan_events(&mut self, core: &Core, now: i64) -> Result<(), DbErr> {
        let overrides = limits::overrides(&core.db).await?;
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
            let Some(limits) = self.limits.get(&workspace) else {
                continue;
            };
            let days = overrides.get(&source).copied();
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
        for limits in self.limits.values() {
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
        rest.push(Phase::Attempts {
            after: self.attempts_after,
        });
        self.phases.extend(rest);
    }

    /// Since when dead letters stay, whatever their workspace.
    fn strictest_dead(&self, now: i64) -> i64 {
        self.limits
            .values()
            .map(|l| dead_cut(l.spec.dead_letters, now))
            .min()
            .unwrap_or(i64::MIN)
    }

    /// Does one batch. False: the run has ended.
    ///
    /// # Errors
    /// The database failed.
    pub async fn step(&mut self, core: &Core) -> Result<bool, DbErr> {
        let Some(phase) = self.phases.pop_front() else {
            return Ok(false);
        };
        let begun = Instant::now();
        let stopped = match self.work(core, phase).await {
            Ok(Some(again)) => {
                self.phases.push_front(again);
                None
            }
            Ok(None) => None,
            Err(Stopped::Database(error)) => return Err(error),
            Err(Stopped::Archive(fault)) => Some(fault.to_string()),
        };
        if let Some(error) = stopped {
            tracing::warn!(%error, "Nothing is deleted: the archive does not take it.");
            self.error = Some(error);
            self.phases.clear();
            return Ok(false);
        }
        let took = begun.elapsed();
        self.batch = if took > LONG {
            (self.batch / 2).max(LEAST)
        } else if took < LONG / 3 {
            (self.batch * 2).min(MOST)
        } else {
            self.batch
        };
        tokio::time::sleep((took * PAUSE).clamp(SHORTEST, LONGEST)).await;
        Ok(!self.phases.is_empty())
    }

    fn target(&self, workspace: Uuid) -> Option<Target<'_>> {
        let limits = self.limits.get(&workspace)?;
        Some(Target {
            archive: self.archive.as_ref().filter(|_| limits.spec.archive)?,
            workspace,
            slug: &limits.slug,
        })
    }

    fn note(&mut self, workspace: Uuid, gone: Gone, table: &'static str) {
        let (counts, archived) = self.done.entry(workspace).or_default();
        counts.events += gone.events;
        counts.deliveries += gone.deliveries;
        counts.attempts += gone.attempts;
        match table {
            "refusal" => counts.refusals += gone.rows,
            "audit" => counts.audit += gone.rows,
            "job" => counts.jobs += gone.rows,
            "stat_hour" => counts.stats += gone.rows,
            _ => {}
        }
        *archived += gone.archived;
    }

    /// Does a batch of a phase; returns what is left of it.
    async fn work(&mut self, core: &Core, phase: Phase) -> Result<Option<Phase>, Stopped> {
        match phase {
            Phase::Events {
                source,
                workspace,
                before,
                dead,
                after,
            } => {
                let of = vec![
                    source.into(),
                    after.into(),
                    before.into(),
                    dead.into(),
                    self.rows(),
                ];
                let ids = ids(core, queries::events(), of).await?;
                let Some(last) = ids.last().copied() else {
                    return Ok(None);
                };
                let gone = batch::events(core, &ids, dead, self.target(workspace)).await?;
                self.note(workspace, gone, "event");
                Ok(Some(Phase::Events {
                    source,
                    workspace,
                    before,
                    dead,
                    after: last,
                }))
            }
            Phase::Deliveries {
                workspace,
                cut,
                dead,
                after,
            } => {
                let of = vec![
                    workspace.into(),
                    after.into(),
                    id_at(cut).into(),
                    cut.into(),
                    dead.into(),
                    self.rows(),
                ];
                let ids = ids(core, queries::deliveries(), of).await?;
                let Some(last) = ids.last().copied() else {
                    return Ok(None);
                };
                let gone = batch::deliveries(core, &ids, dead, self.target(workspace)).await?;
                self.note(workspace, gone, "delivery");
                Ok(Some(Phase::Deliveries {
                    workspace,
                    cut,
                    dead,
                    after: last,
                }))
            }
            Phase::Attempts { after } => self.attempts(core, after).await,
            Phase::Rows {
                table,
                workspace,
                cut,
            } => {
                let mut of = vec![workspace.into(), id_at(cut).into()];
                let query = match table {
                    "refusal" => queries::refusals(),
                    "audit" => queries::audit(),
                    _ => {
                        of.push(cut.into());
                        queries::jobs()
                    }
                };
                of.push(self.rows());
                let ids = ids(core, query, of).await?;
                if ids.is_empty() {
                    return Ok(None);
                }
                let gone = match table {
                    "audit" => batch::audit(core, &ids, self.target(workspace)).await?,
                    _ => batch::rows(core, table, &ids).await?,
                };
                // What is left of the audit log waits for a younger line before it in the chain.
                let stuck = table == "audit" && gone.rows == 0;
                self.note(workspace, gone, table);
                if stuck {
                    return Ok(None);
                }
                Ok(Some(Phase::Rows {
                    table,
                    workspace,
                    cut,
                }))
            }
            Phase::Stats { workspace, cut } => {
                let of = vec![workspace.into(), cut.into(), self.rows()];
                let rows = sql::execute(core.db.write(), queries::delete_stats(), of).await?;
                let gone = Gone {
                    rows,
                    ..Gone::default()
                };
                self.note(workspace, gone, "stat_hour");
                Ok((rows > 0).then_some(Phase::Stats { workspace, cut }))
            }
            Phase::Size { left, dead, after } => self.size(core, left, dead, after).await,
            Phase::GiveBack => Ok(size::give_back(&core.db).await?.then_some(Phase::GiveBack)),
        }
    }

    /// Attempts of finished deliveries, by the limits of their workspaces.
    async fn attempts(&mut self, core: &Core, after: Uuid) -> Result<Option<Phase>, Stopped> {
        let mut limits = Values::of(core.db.read());
        let mut cuts = Vec::new();
        for l in self.limits.values() {
            if let Some(cut) = cut(l.spec.attempts, self.started_at) {
                cuts.push(id_at(cut));
                limits.row([
                    l.workspace.into(),
                    id_at(cut).into(),
                    dead_cut(l.spec.dead_letters, self.started_at).into(),
                ]);
            }
        }
        let (Some(first), Some(last)) = (cuts.iter().min().copied(), cuts.iter().max().copied())
        else {
            return Ok(None);
        };
        let marks = (
            limits.single(after.into()),
            limits.single(last.into()),
            limits.single(self.rows()),
        );
        let query = queries::attempts(&limits.text, (&marks.0, &marks.1, &marks.2));
        let mut newest = None;
        let mut found: BTreeMap<Uuid, Vec<Uuid>> = BTreeMap::new();
        for row in sql::rows(core.db.read(), query, limits.values).await? {
            let id: Uuid = row.try_get("", "id")?;
            newest = Some(id);
            let workspace = row.try_get("", "workspace_id")?;
            found.entry(workspace).or_default().push(id);
        }
        let Some(newest) = newest else {
            // The next run need not look at what this one has passed over in every workspace.
            self.attempts_after = first;
            return Ok(None);
        };
        for (workspace, own) in found {
            let gone = batch::attempts(core, &own, self.target(workspace)).await?;
            self.note(workspace, gone, "attempt");
        }
        Ok(Some(Phase::Attempts { after: newest }))
    }

    /// Deletes the oldest events of all while the database is too large.
    async fn size(
        &mut self,
        core: &Core,
        left: i64,
        dead: i64,
        after: Uuid,
    ) -> Result<Option<Phase>, Stopped> {
        let left = if left < 0 { surplus(core).await? } else { left };
        if left == 0 {
            return Ok(None);
        }
        let most = i64::try_from(self.batch).unwrap_or(i64::MAX).min(left);
        let of = vec![after.into(), dead.into(), most.into()];
        let ids = ids(core, queries::oldest_events(), of).await?;
        let Some(last) = ids.last().copied() else {
            tracing::warn!(
                "The database is larger than it may be, and all that is left is needed."
            );
            return Ok(None);
        };
        let mut done = 0;
        for (workspace, own) in by_workspace(core, &ids).await? {
            let gone = batch::events(core, &own, dead, self.target(workspace)).await?;
            done += i64::try_from(gone.events).unwrap_or(0);
            self.note(workspace, gone, "event");
        }
        Ok(Some(Phase::Size {
            left: (left - done).max(0),
            dead,
            after: last,
        }))
    }

    fn rows(&self) -> sea_orm::Value {
        i64::try_from(self.batch).unwrap_or(i64::MAX).into()
    }
}

/// How many events have to go, so that the database is small enough.
async fn surplus(core: &Core) -> Result<i64, DbErr> {
    let cap = i64::try_from(core.settings.retention_max_mb).unwrap_or(0) << 20;
    if cap == 0 {
        return Ok(0);
    }
    let used = size::used(&core.db).await?;
    if used <= cap {
        return Ok(0);
    }
    let events = size::rows(&core.db, "event").await?;
    let over = used - cap / 100 * DOWN_TO;
    // With an event go its deliveries and attempts: each event stands for its part of all.
    let each = (used / events.max(1)).max(1);
    Ok((over / each + 1).min(events))
}

async fn by_workspace(core: &Core, ids: &[Uuid]) -> Result<BTreeMap<Uuid, Vec<Uuid>>, DbErr> {
    let mut marks = Values::of(core.db.read());
    for id in ids {
        marks.row([(*id).into()]);
    }
    let query = format!(
        "WITH v(id) AS (VALUES {}) SELECT e.id AS id, e.workspace_id AS workspace_id FROM v \
         JOIN event e ON e.id = v.id ORDER BY e.id",
        marks.text
    );
    let mut found: BTreeMap<Uuid, Vec<Uuid>> = BTreeMap::new();
    for row in sql::rows(core.db.read(), query, marks.values).await? {
        let workspace = row.try_get("", "workspace_id")?;
        found
            .entry(workspace)
            .or_default()
            .push(row.try_get("", "id")?);
    }
    Ok(found)
}

async fn ids(core: &Core, query: String, values: Vec<sea_orm::Value>) -> Result<Vec<Uuid>, DbErr> {
    sql::rows(core.db.read(), query, values)
        .await?
        .iter()
        .map(|row| row.try_get("", "id"))
        .collect()
}
