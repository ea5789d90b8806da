//! The timer of the clean-up.

use std::time::{Duration, Instant};

use openapi::retention::RetentionCounts;
use sea_orm::DbErr;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use super::run::{Passed, Run, Stepped};
use crate::core::Core;
use crate::journal::sql;
use crate::schedule::{self, Due, Next, Task};
use crate::scope::Scope;
use crate::services::audit::{self, Act, Actor};

/// The kind of the timer.
pub const KIND: &str = "retention";
/// Its key: there is one.
pub const KEY: &str = "all";
/// The word of the audit log for a clean-up that has deleted something.
pub const CLEANED: &str = "retention.clean";

/// How long one turn deletes.
const TURN: Duration = Duration::from_secs(2);
/// How long it lasts with what it finds nothing in. A server that goes on where another had its turn
/// looks at all of that anew, and must come to where there is something.
const LONGEST_TURN: Duration = Duration::from_secs(10);
/// The wait of the first turn after a start.
const MINUTE_MS: i64 = 60_000;
/// Minutes after which a run is tried again for which the archive took nothing.
const AGAIN_MINUTES: i64 = 10;

/// The clean-up. One turn at a time on a node; on several, the timer sees to it.
#[derive(Default)]
pub struct Retention {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// What goes on, and the claim of its last turn.
    run: Option<(Run, i64)>,
    passed: Passed,
}

#[async_trait::async_trait]
impl Task for Retention {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn standing(&self, now: i64) -> Vec<(String, i64)> {
        vec![(KEY.to_owned(), now + MINUTE_MS)]
    }

    async fn run(&self, core: &Core, due: &Due) -> Result<Next, DbErr> {
        let turn = self.turn(core, due).await;
        if turn.is_err() {
            core.metrics.cleaned("database", 0);
        }
        turn
    }
}

impl Retention {
    async fn turn(&self, core: &Core, due: &Due) -> Result<Next, DbErr> {
        let mut state = self.state.lock().await;
        // Taken out: a fault of the database begins anew. So does a run that another server went on
        // with: its counts are in the database, and its place is an old one.
        let mut run = match state.run.take() {
            Some((run, fence)) if fence + 1 == due.fence() => run,
            _ => {
                let run = Run::plan(core, state.passed.clone()).await?;
                if !note(core, due, &run, None).await? {
                    return Ok(Next::At(core.clock.now_ms()));
                }
                run
            }
        };
        let begun = Instant::now();
        let mut worked = Duration::ZERO;
        loop {
            let step = Instant::now();
            match run.step(core, due).await {
                Ok(Stepped::Ended) => break,
                Ok(Stepped::Worked) => worked += step.elapsed(),
                Ok(Stepped::Passed) => {}
                Err(error) => {
                    // The next run goes on counting from what is in the database.
                    if let Err(second) = note(core, due, &run, None).await {
                        tracing::debug!(error = %second, "A clean-up could not be noted.");
                    }
                    return Err(error);
                }
            }
            if worked > TURN || begun.elapsed() > LONGEST_TURN {
                if !note(core, due, &run, None).await? {
                    return Ok(Next::At(core.clock.now_ms()));
                }
                state.run = Some((run, due.fence()));
                return Ok(Next::At(core.clock.now_ms()));
            }
        }
        let now = core.clock.now_ms();
        let finished = (!run.lost).then_some(now);
        if !note(core, due, &run, finished).await? || run.lost {
            // Who goes on says how it went.
            return Ok(Next::At(now));
        }
        state.passed.clone_from(&run.passed);
        let usual = i64::from(core.settings.retention_minutes.max(1));
        let (outcome, wait) = match run.error {
            Some(_) => ("archive", usual.min(AGAIN_MINUTES)),
            None => ("done", usual),
        };
        core.metrics.cleaned(outcome, now / 1_000);
        Ok(Next::At(now + wait * MINUTE_MS))
    }
}

/// Writes how far it is, for people, and of a run that has ended a line into the log of each workspace
/// that it deleted something of, in one transaction with its end: a crash in between leaves the others
/// unfinished, and the next run says what it was. False: the claim has ended, and another server
/// writes this.
///
/// After a crash the counts of one turn are missing; the anchor of the log's chain is not.
async fn note(core: &Core, due: &Due, run: &Run, finished: Option<i64>) -> Result<bool, DbErr> {
    // The size of it all is the first workspace's, which belongs to whoever runs the server.
    let snapshot = core.snapshots.current();
    let first = snapshot.first_workspace().map(|first| first.id);
    let by = Actor::system("retention");
    for (workspace, (counts, archived)) in &run.done {
        let notice = run.notice.clone().filter(|_| first == Some(*workspace));
        let said = match (run.error.clone(), notice) {
            (Some(error), Some(notice)) => Some(format!("{error}. {notice}")),
            (error, notice) => error.or(notice),
        };
        let deleted = serde_json::to_string(counts).unwrap_or_default();
        let txn = core.db.begin().await?;
        if !schedule::holds(&txn, due).await? {
            txn.rollback().await?;
            return Ok(false);
        }
        let written = sql::execute(
            &txn,
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
                said.into(),
            ],
        )
        .await?;
        // One that is being deleted is told nothing any more.
        if finished.is_some() && written > 0 && *counts != RetentionCounts::default() {
            let act = Act {
                action: CLEANED,
                kind: "retention",
                id: None,
                name: "retention",
                before: Value::Null,
                after: json!({ "deleted": counts, "archived_bytes": archived }),
            };
            let scope = Scope::granted(*workspace);
            audit::note(&txn, &core.clock, scope, &by, act).await?;
        }
        txn.commit().await?;
    }
    let all = run.deleted();
    if finished.is_some() && all != RetentionCounts::default() {
        tracing::info!(
            events = all.events,
            deliveries = all.deliveries,
            attempts = all.attempts,
            "A clean-up ended."
        );
    }
    Ok(true)
}
