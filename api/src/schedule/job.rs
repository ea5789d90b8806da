//! Jobs: long work in pieces, with progress that can be watched and a stop that is heard.
//!
//! Invariant: a job is a row and a timer of the kind `job` made in one transaction; each run of the
//! timer does one piece and writes how far it came, so a crash repeats one piece at most. Ended jobs
//! have no timer.

use std::collections::HashMap;
use std::sync::Arc;

use entity::job;
use openapi::jobs::{Job, JobState};
use openapi::stream::Message;
use sea_orm::{ActiveModelTrait as _, ActiveValue::Set, ConnectionTrait, DbErr, EntityTrait as _};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use uuid::Uuid;

use super::{Due, Next, Task, set};
use crate::clock::from_ms;
use crate::core::Core;
use crate::journal::sql;
use crate::scope::Scope;

/// The kind of the timers of jobs.
pub const TIMER: &str = "job";

/// What a job keeps: what was asked for, and the newest row that was there then.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Params<T> {
    /// What was asked for.
    #[serde(flatten)]
    pub asked: T,
    /// The newest row that is meant.
    pub last: Uuid,
}

impl<T: DeserializeOwned> Params<T> {
    /// Reads what a job keeps.
    ///
    /// # Errors
    /// It is not of this form.
    pub fn read(job: &job::Model) -> Result<Self, DbErr> {
        let mut all: serde_json::Map<String, Value> =
            serde_json::from_str(&job.params).map_err(unreadable)?;
        let last = all.remove("last").unwrap_or_default();
        Ok(Self {
            asked: serde_json::from_value(Value::Object(all)).map_err(unreadable)?,
            last: serde_json::from_value(last).map_err(unreadable)?,
        })
    }
}

fn unreadable(error: serde_json::Error) -> DbErr {
    DbErr::Custom(format!("the parameters of a job cannot be read: {error}"))
}

/// How far a piece brought a job.
#[derive(Clone, Debug, Default)]
pub struct Step {
    /// Things done by this piece.
    pub done: i64,
    /// Things of this piece that could not be done.
    pub failed: i64,
    /// Where the next piece goes on. Of a JSON object, the member `reasons` (how many by stable
    /// code) is shown as why things failed.
    pub cursor: String,
    /// When the next piece may begin, in milliseconds since 1970; none: the job is done.
    pub again: Option<i64>,
}

/// What does the work of one kind of job.
#[async_trait::async_trait]
pub trait Worker: Send + Sync + 'static {
    /// The kind of its jobs.
    fn kind(&self) -> &'static str;

    /// Does one piece: seconds, not minutes.
    ///
    /// # Errors
    /// The database failed; the piece is tried again later.
    async fn step(&self, core: &Core, job: &job::Model) -> Result<Step, DbErr>;
}

/// Starts a job within the caller's transaction; [`tell`] of it after the commit.
///
/// # Errors
/// A statement failed.
pub async fn start(
    txn: &impl ConnectionTrait,
    core: &Core,
    scope: Scope,
    kind: &str,
    params: String,
    total: i64,
    actor: String,
) -> Result<job::Model, DbErr> {
    let now = core.clock.now_ms();
    let row = job::ActiveModel {
        id: Set(crate::ids::new(&core.clock)),
        workspace_id: Set(scope.workspace()),
        kind: Set(kind.to_owned()),
        state: Set("running".to_owned()),
        params: Set(params),
        cursor: Set(String::new()),
        total: Set(total),
        done: Set(0),
        failed: Set(0),
        error: Set(None),
        actor: Set(actor),
        created_at: Set(now),
        updated_at: Set(now),
        finished_at: Set(None),
    }
    .insert(txn)
    .await?;
    set(txn, TIMER, &row.id.to_string(), now).await?;
    Ok(row)
}

/// Stops a job that runs. The piece under way still ends. Returns whether it ran.
///
/// # Errors
/// A statement failed.
pub async fn cancel(
    txn: &impl ConnectionTrait,
    core: &Core,
    scope: Scope,
    id: Uuid,
) -> Result<bool, DbErr> {
    let now = core.clock.now_ms();
    let query = "UPDATE job SET state = 'cancelled', updated_at = $3, finished_at = $3 \
                 WHERE id = $1 AND workspace_id = $2 AND state = 'running'";
    let values = vec![id.into(), scope.workspace().into(), now.into()];
    Ok(sql::execute(txn, query, values).await? > 0)
}

/// Tells who watches how far a job is. Watching is no part of the work: a failure is only logged.
pub async fn tell(core: &Core, id: Uuid) {
    match job::Entity::find_by_id(id).one(core.db.read()).await {
        Ok(Some(row)) => {
            let workspace = row.workspace_id;
            core.live.publish(workspace, Message::Job(to_wire(row)));
        }
        Ok(None) => {}
        Err(error) => tracing::warn!(%error, "The progress of a job could not be told."),
    }
}

/// A job as it is shown.
pub fn to_wire(row: job::Model) -> Job {
    let mut params: Value = serde_json::from_str(&row.params).unwrap_or_default();
    if let Some(ids) = params.get_mut("ids") {
        // There may be a thousand of them.
        *ids = ids.as_array().map_or(0, Vec::len).into();
    }
    let cursor: Value = serde_json::from_str(&row.cursor).unwrap_or_default();
    let reasons = cursor.get("reasons").cloned().unwrap_or_default();
    Job {
        id: row.id,
        kind: row.kind,
        state: JobState::parse(&row.state).unwrap_or(JobState::Failed),
        params,
        total: row.total,
        done: row.done,
        failed: row.failed,
        reasons: serde_json::from_value(reasons).unwrap_or_default(),
        error: row.error,
        actor: row.actor,
        created_at: from_ms(row.created_at),
        updated_at: from_ms(row.updated_at),
        finished_at: row.finished_at.map(from_ms),
    }
}

/// Runs the pieces of all jobs.
pub struct Jobs {
    workers: HashMap<&'static str, Arc<dyn Worker>>,
}

impl Jobs {
    /// With these workers; kinds are unique.
    pub fn new(workers: Vec<Arc<dyn Worker>>) -> Self {
        let workers = workers.into_iter().map(|w| (w.kind(), w)).collect();
        Self { workers }
    }
}

#[async_trait::async_trait]
impl Task for Jobs {
    fn kind(&self) -> &'static str {
        TIMER
    }

    async fn run(&self, core: &Core, due: &Due) -> Result<Next, DbErr> {
        let Ok(id) = Uuid::parse_str(&due.key) else {
            return Ok(Next::Done);
        };
        let Some(row) = job::Entity::find_by_id(id).one(core.db.read()).await? else {
            return Ok(Next::Done);
        };
        if row.state != "running" {
            return Ok(Next::Done);
        }
        let Some(worker) = self.workers.get(row.kind.as_str()) else {
            end(core, id, "failed", Some("This server has no such job.")).await?;
            tell(core, id).await;
            return Ok(Next::Done);
        };
        let step = worker.step(core, &row).await?;
        let now = core.clock.now_ms();
        sql::execute(
            core.db.write(),
            // There may be more to do than was known at the start.
            "UPDATE job SET done = done + $2, failed = failed + $3, cursor = $4, updated_at = $5, \
             total = CASE WHEN done + failed + $2 + $3 > total THEN done + failed + $2 + $3 \
             ELSE total END WHERE id = $1",
            vec![
                id.into(),
                step.done.into(),
                step.failed.into(),
                step.cursor.into(),
                now.into(),
            ],
        )
        .await?;
        let next = match step.again {
            Some(at) => Next::At(at),
            None => {
                end(core, id, "done", None).await?;
                Next::Done
            }
        };
        tell(core, id).await;
        Ok(next)
    }
}

async fn end(core: &Core, id: Uuid, state: &str, error: Option<&str>) -> Result<(), DbErr> {
    let now = core.clock.now_ms();
    sql::execute(
        core.db.write(),
        "UPDATE job SET state = $2, error = $3, updated_at = $4, finished_at = $4 \
         WHERE id = $1 AND state = 'running'",
        vec![id.into(), state.into(), error.into(), now.into()],
    )
    .await?;
    Ok(())
}
