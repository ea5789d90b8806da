//! The timer of the clean-up.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use openapi::retention::RetentionCounts;
use sea_orm::DbErr;
use serde_json::{Value, json};
use tokio::sync::Mutex;
use uuid::Uuid;

use super::limits;
use super::run::Run;
use crate::core::Core;
use crate::journal::sql;
use crate::schedule::{Due, Next, Task};
use crate::scope::Scope;
use crate::services::audit::{self, Act, Actor};

/// The kind of the timer.
pub const KIND: &str = "retention";
/// Its key: there is one.
pub const KEY: &str = "all";
/// The word of the audit log for a clean-up that has deleted something.
pub const CLEANED: &str = "retention.clean";

/// How long one turn works.
const TURN: Duration = Duration::from_secs(2);
/// The wait of the first turn after a start, and of one after a fault of the archive.
const MINUTE_MS: i64 = 60_000;

/// The clean-up. One turn at a time on a node; on several, the timer sees to it.
#[derive(Default)]
pub struct Retention {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    run: Option<Run>,
    attempts_after: Uuid,
}

#[async_trait::async_trait]
impl Task for Retention {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn standing(&self, now: i64) -> Vec<(String, i64)> {
        vec![(KEY.to_owned(), now + MINUTE_MS)]
    }

    async fn run(&self, core: &Core, _: &Due) -> Result<Next, DbErr> {
        let mut state = self.state.lock().await;
        // Taken out: a fault of the database begins anew.
        let mut run = match state.run.take() {
            Some(run) => run,
            None => {
                let run = Run::plan(core, state.attempts_after).await?;
                note(core, &run, None).await?;
                run
            }
        };
        let begun = Instant::now();
        while run.step(core).await? {
            if begun.elapsed() > TURN {
                note(core, &run, None).await?;
                state.run = Some(run);
                return Ok(Next::At(core.clock.now_ms()));
            }
        }
        state.attempts_after = run.attempts_after;
        let now = core.clock.now_ms();
        note(core, &run, Some(now)).await?;
        tell_auditors(core, &run).await?;
        let wait = match run.error {
            Some(_) => 10,
            None => i64::from(core.settings.retention_minutes.max(1)),
        };
        Ok(Next::At(now + wait * MINUTE_MS))
    }
}

/// Writes how far it is, for people.
async fn note(core: &Core, run: &Run, finished: Option<i64>) -> Result<(), DbErr> {
    for (workspace, (counts, archived)) in &run.done {
        let deleted = serde_json::to_string(counts).unwrap_or_default();
        sql::execute(
            core.db.write(),
            "INSERT INTO retention_run (workspace_id, started_at, finished_at, deleted, archived, \
             error) SELECT id, $2, $3, $4, $5, $6 FROM workspace WHERE id = $1 \
             AND deleting_at IS NULL ON CONFLICT (workspace_id) DO UPDATE SET \
             started_at = excluded.started_at, finished_at = excluded.finished_at, \
             deleted = excluded.deleted, archived = excluded.archived, error = excluded.error",
            vec![
                (*workspace).into(),
                run.started_at.into(),
                finished.into(),
                deleted.into(),
                i64::try_from(*archived).unwrap_or(i64::MAX).into(),
                run.error.clone().into(),
            ],
        )
        .await?;
    }
    let all = run
        .done
        .values()
        .fold(RetentionCounts::default(), |sum, (counts, _)| {
            sum.and(counts)
        });
    if finished.is_some() && all != RetentionCounts::default() {
        tracing::info!(
            events = all.events,
            deliveries = all.deliveries,
            attempts = all.attempts,
            "A clean-up ended."
        );
    }
    Ok(())
}

/// Writes what has been deleted into the log of each workspace that had it. After a crash in the
/// middle of a run the counts of its first part are missing; the anchor of the log's chain is not.
async fn tell_auditors(core: &Core, run: &Run) -> Result<(), DbErr> {
    let by = Actor::system("retention");
    let kept: BTreeSet<Uuid> = limits::workspaces(&core.db)
        .await?
        .iter()
        .map(|limits| limits.workspace)
        .collect();
    for (workspace, (counts, archived)) in &run.done {
        // One that is being deleted is told nothing any more.
        if *counts == RetentionCounts::default() || !kept.contains(workspace) {
            continue;
        }
        let act = Act {
            action: CLEANED,
            kind: "retention",
            id: None,
            name: "retention",
            before: Value::Null,
            after: json!({ "deleted": counts, "archived_bytes": archived }),
        };
        let scope = Scope::granted(*workspace);
        audit::note(core.db.write(), &core.clock, scope, &by, act).await?;
    }
    Ok(())
}
