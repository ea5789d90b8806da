//! One clean-up, phase by phase, each from the oldest on.

mod across;
mod plan;
mod surplus;

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use entity::retention_run;
use openapi::retention::RetentionCounts;
use sea_orm::{ColumnTrait as _, DbErr, EntityTrait as _, QueryFilter as _};
use uuid::Uuid;

use self::across::Unchanged;
use super::archive::Archive;
use super::batch::{self, Gone, Place, Stopped, Target};
use super::limits::{self, Known, Limits, id_at};
use super::queries;
use super::size::{self, Written};
use crate::core::Core;
use crate::journal::sql;
use crate::schedule::Due;
use crate::snapshot::revision;

/// Rows of a batch: first, least, most.
const FIRST: usize = 100;
const LEAST: usize = 20;
const MOST: usize = 500;
/// Bytes of a batch for the archive, which are in memory as rows, lines and pieces; a row that is
/// larger by itself goes alone.
const MOST_BYTES: i64 = 8 << 20;
/// A batch that takes longer is made smaller, one that takes a third of it larger.
const LONG: Duration = Duration::from_millis(15);
/// The same for a batch with what is written to the archive.
const LONG_ALTOGETHER: Duration = Duration::from_secs(1);
/// The pause after a batch, in lengths of the batch, and its bounds.
const PAUSE: u32 = 3;
const SHORTEST: Duration = Duration::from_millis(5);
const LONGEST: Duration = Duration::from_millis(500);

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
    /// Closed links, or records of the sandbox, of all workspaces.
    Unchanged { kind: Unchanged, after: Uuid },
    /// Rows of a small table of a workspace.
    Rows {
        table: &'static str,
        workspace: Uuid,
        cut: i64,
    },
    /// Hourly counters.
    Stats { workspace: Uuid, cut: i64 },
    /// The oldest of all, until the database is small enough: so many bytes, once they are known.
    Size {
        left: Option<i64>,
        dead: i64,
        after: Uuid,
    },
    /// Free pages.
    GiveBack,
}

impl Phase {
    /// As it goes on after a fault in the middle of a batch, of which a part may be gone.
    fn after_fault(self) -> Self {
        match self {
            Self::Size { dead, after, .. } => Self::Size {
                left: None,
                dead,
                after,
            },
            other => other,
        }
    }
}

/// How far attempts were looked at: what was passed over goes with its delivery. That holds for the
/// limits by which it was looked at, by workspace: days of attempts, and of dead letters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Passed {
    after: Uuid,
    by: BTreeMap<Uuid, (u32, u32)>,
}

impl Passed {
    /// As far as it counts by these limits.
    fn by(self, known: &Known) -> Self {
        let by = known
            .workspaces
            .values()
            .map(|one| (one.workspace, (one.spec.attempts, one.spec.dead_letters)))
            .collect();
        let after = if self.by == by {
            self.after
        } else {
            Uuid::nil()
        };
        Self { after, by }
    }
}

/// What a step came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stepped {
    /// It did something.
    Worked,
    /// There was nothing to do in one place.
    Passed,
    /// The run has ended.
    Ended,
}

/// A clean-up under way.
pub struct Run {
    /// When it began.
    pub started_at: i64,
    /// What it has deleted, by workspace.
    pub done: BTreeMap<Uuid, (RetentionCounts, u64)>,
    /// Why some of it was not done.
    pub error: Option<String>,
    /// What whoever runs the server ought to know; nothing is tried again for it.
    pub notice: Option<String>,
    /// The claim or the lease of this server has ended.
    pub lost: bool,
    /// Where the attempts are, for the next run.
    pub passed: Passed,
    known: Known,
    /// When it was planned; limits count back from there.
    planned_at: i64,
    archive: Option<Archive>,
    /// The archive does not take anything. What is to go there stays.
    away: bool,
    phases: VecDeque<Phase>,
    batch: usize,
    /// How long the transactions of this step lasted, where that is not all of it.
    writing: Duration,
}

impl Run {
    /// Plans a run. One that was not ended, by a server that is gone or that is slower, goes on in
    /// it: what it has deleted is counted with it.
    ///
    /// # Errors
    /// The database failed.
    pub async fn plan(core: &Core, passed: Passed) -> Result<Self, DbErr> {
        let now = core.clock.now_ms();
        let (archive, error) = match Archive::of(&core.settings) {
            Ok(archive) => (archive, None),
            // Nothing may go that the archive was to have.
            Err(error) => (None, Some(error.to_string())),
        };
        let mut run = Self {
            started_at: now,
            done: BTreeMap::new(),
            away: error.is_some(),
            error,
            notice: None,
            lost: false,
            passed,
            known: limits::known(&core.db).await?,
            planned_at: now,
            archive,
            phases: VecDeque::new(),
            batch: FIRST,
            writing: Duration::ZERO,
        };
        let unfinished = retention_run::Entity::find()
            .filter(retention_run::Column::FinishedAt.is_null())
            .all(core.db.read())
            .await?;
        for row in unfinished {
            run.started_at = run.started_at.min(row.started_at);
            let counts = serde_json::from_str(&row.deleted).unwrap_or_default();
            let archived = u64::try_from(row.archived).unwrap_or(0);
            run.done.insert(row.workspace_id, (counts, archived));
        }
        run.lay_out(core).await?;
        Ok(run)
    }

    /// Plans anew if the limits are no longer those that it was planned by.
    async fn keep_up(&mut self, core: &Core) -> Result<(), DbErr> {
        if revision(&core.db).await? == self.known.revision {
            return Ok(());
        }
        let known = limits::known(&core.db).await?;
        let same = known.says(&self.known);
        self.known = known;
        if !same {
            self.planned_at = core.clock.now_ms();
            self.lay_out(core).await?;
        }
        Ok(())
    }

    /// Does one batch, by the limits as they are now.
    ///
    /// # Errors
    /// The database failed.
    pub async fn step(&mut self, core: &Core, due: &Due) -> Result<Stepped, DbErr> {
        if !self.phases.is_empty() {
            self.keep_up(core).await?;
        }
        let Some(phase) = self.phases.pop_front() else {
            return Ok(Stepped::Ended);
        };
        let begun = Instant::now();
        let before = self.deleted();
        self.writing = Duration::ZERO;
        let mut passed = false;
        match self.work(core, due, phase.clone()).await {
            Ok(Some(again)) => self.phases.push_front(again),
            Ok(None) => passed = self.deleted() == before,
            Err(Stopped::Database(error)) => return Err(error),
            Err(Stopped::Archive(fault)) => {
                tracing::warn!(error = %fault, "The archive takes nothing; what is to go there stays.");
                self.error = Some(fault.to_string());
                self.away = true;
                // Others may have rows in it.
                self.phases.push_front(phase.after_fault());
                self.leave_what_needs_the_archive();
            }
            Err(Stopped::Lost) => {
                // Another server goes on, or this one does once its lease holds again.
                self.lost = true;
                self.phases.clear();
                return Ok(Stepped::Ended);
            }
        }
        if passed {
            return Ok(Stepped::Passed);
        }
        // What the archive takes keeps nobody waiting, and pieces are not to be small for it; but all
        // of a batch is in memory then.
        let all = begun.elapsed();
        let took = if self.writing.is_zero() {
            all
        } else {
            self.writing
        };
        self.batch = if took > LONG || all > LONG_ALTOGETHER {
            (self.batch / 2).max(LEAST)
        } else if took < LONG / 3 && all < LONG_ALTOGETHER / 3 {
            (self.batch * 2).min(MOST)
        } else {
            self.batch
        };
        tokio::time::sleep((took * PAUSE).clamp(SHORTEST, LONGEST)).await;
        Ok(Stepped::Worked)
    }

    /// What was deleted in all workspaces.
    pub fn deleted(&self) -> RetentionCounts {
        let each = self.done.values();
        each.fold(RetentionCounts::default(), |sum, (counts, _)| {
            sum.and(counts)
        })
    }

    /// Whether rows of a workspace are to go to an archive that takes nothing.
    fn must_wait(&self, workspace: Uuid) -> bool {
        let wants = |limits: &Limits| limits.spec.archive;
        self.away && self.known.workspaces.get(&workspace).is_some_and(wants)
    }

    fn leave_what_needs_the_archive(&mut self) {
        let mut phases = std::mem::take(&mut self.phases);
        phases.retain(|phase| match phase {
            Phase::Events { workspace, .. }
            | Phase::Deliveries { workspace, .. }
            | Phase::Rows {
                table: "audit",
                workspace,
                ..
            } => !self.must_wait(*workspace),
            // That of the size says why it ends.
            _ => true,
        });
        self.phases = phases;
    }

    fn place<'a>(&'a self, core: &'a Core, due: &'a Due, workspace: Uuid) -> Place<'a> {
        Place {
            core,
            due,
            target: self.target(workspace),
        }
    }

    fn target(&self, workspace: Uuid) -> Option<Target<'_>> {
        let limits = self.known.workspaces.get(&workspace)?;
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
            "link" => counts.links += gone.rows,
            "sandbox_record" => counts.sandbox += gone.rows,
            _ => {}
        }
        *archived += gone.archived;
        self.writing += gone.writing;
    }

    /// Does a batch of a phase; returns what is left of it.
    async fn work(
        &mut self,
        core: &Core,
        due: &Due,
        phase: Phase,
    ) -> Result<Option<Phase>, Stopped> {
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
                let mut ids = ids(core, queries::events(), of).await?;
                let fit = self.fitting(core, Written::Events, &ids).await?;
                ids.truncate(fit);
                let Some(last) = ids.last().copied() else {
                    return Ok(None);
                };
                let gone = batch::events(self.place(core, due, workspace), &ids, dead).await?;
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
                let mut ids = ids(core, queries::deliveries(), of).await?;
                let fit = self.fitting(core, Written::Deliveries, &ids).await?;
                ids.truncate(fit);
                let Some(last) = ids.last().copied() else {
                    return Ok(None);
                };
                let gone = batch::deliveries(self.place(core, due, workspace), &ids, dead).await?;
                self.note(workspace, gone, "delivery");
                Ok(Some(Phase::Deliveries {
                    workspace,
                    cut,
                    dead,
                    after: last,
                }))
            }
            Phase::Unchanged { kind, after } => self.unchanged(core, kind, after).await,
            Phase::Attempts { after } => self.attempts(core, due, after).await,
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
                let mut ids = ids(core, query, of).await?;
                if ids.is_empty() {
                    return Ok(None);
                }
                if table == "audit" {
                    let fit = self.fitting(core, Written::Audit, &ids).await?;
                    ids.truncate(fit);
                }
                let gone = match table {
                    "audit" => batch::audit(self.place(core, due, workspace), &ids).await?,
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
            Phase::Size { left, dead, after } => self.size(core, due, left, dead, after).await,
            Phase::GiveBack => Ok(size::give_back(&core.db).await?.then_some(Phase::GiveBack)),
        }
    }

    /// How many rows of a batch, the first of it, the archive gets at once.
    async fn fitting(&self, core: &Core, what: Written, ids: &[Uuid]) -> Result<usize, DbErr> {
        if self.archive.is_none() || ids.len() < 2 {
            return Ok(ids.len());
        }
        let sizes = size::written(&core.db, what, ids).await?;
        let each = ids.iter().map(|id| sizes.get(id).copied().unwrap_or(0));
        Ok(within(each, MOST_BYTES))
    }

    fn rows(&self) -> sea_orm::Value {
        i64::try_from(self.batch).unwrap_or(i64::MAX).into()
    }
}

/// How many of the first are together no larger than that; one at least.
fn within(sizes: impl Iterator<Item = i64>, most: i64) -> usize {
    let mut all = 0_i64;
    sizes
        .enumerate()
        .take_while(|(n, size)| {
            all = all.saturating_add(*size);
            *n == 0 || all <= most
        })
        .count()
}

async fn ids(core: &Core, query: String, values: Vec<sea_orm::Value>) -> Result<Vec<Uuid>, DbErr> {
    sql::rows(core.db.read(), query, values)
        .await?
        .iter()
        .map(|row| row.try_get("", "id"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::within;

    #[test]
    fn a_batch_is_cut_by_its_bytes_and_never_empty() {
        let count = |sizes: &[i64]| within(sizes.iter().copied(), 10);
        assert_eq!(count(&[]), 0);
        assert_eq!(count(&[4, 6, 1]), 2);
        assert_eq!(count(&[11, 1]), 1);
        assert_eq!(count(&[1, i64::MAX, 1]), 1);
    }
}
