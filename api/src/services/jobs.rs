//! Reading and stopping jobs.

use entity::job;
use openapi::jobs::{Job, JobState};
use openapi::page::Page;
use openapi::problem::Code;
use sea_orm::{
    ColumnTrait as _, EntityTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _,
};
use serde_json::{Value, json};
use uuid::Uuid;

use super::audit::{self, Act, Actor};
use super::cursor::Window;
use crate::core::Core;
use crate::http::problem::{ApiError, ApiResult};
use crate::schedule::job as work;
use crate::scope::Scope;

/// Which jobs are wanted; everything that is given must hold.
#[derive(Clone, Debug, Default)]
pub struct JobFilter {
    /// Where they stand.
    pub state: Option<JobState>,
    /// What they do.
    pub kind: Option<String>,
}

/// The query of a page.
pub fn query(scope: Scope, filter: &JobFilter, window: Window) -> sea_orm::Select<job::Entity> {
    let mut query = job::Entity::find().filter(job::Column::WorkspaceId.eq(scope.workspace()));
    if let Some(state) = filter.state {
        query = query.filter(job::Column::State.eq(state.as_str()));
    }
    if let Some(kind) = &filter.kind {
        query = query.filter(job::Column::Kind.eq(kind));
    }
    if let Some(before) = window.before {
        query = query.filter(job::Column::Id.lt(before));
    }
    query.order_by_desc(job::Column::Id).limit(window.limit + 1)
}

/// Jobs, newest first.
///
/// # Errors
/// The database failed.
pub async fn list(
    core: &Core,
    scope: Scope,
    filter: JobFilter,
    window: Window,
) -> ApiResult<Page<Job>> {
    let rows = query(scope, &filter, window).all(core.db.read()).await?;
    Ok(window.page(rows, |row| row.id, work::to_wire))
}

/// One job.
///
/// # Errors
/// 404.
pub async fn get(core: &Core, scope: Scope, id: Uuid) -> ApiResult<Job> {
    job::Entity::find_by_id(id)
        .filter(job::Column::WorkspaceId.eq(scope.workspace()))
        .one(core.db.read())
        .await?
        .map(work::to_wire)
        .ok_or_else(ApiError::not_found)
}

/// Stops a job. What it has done stays done; the piece under way still ends.
///
/// # Errors
/// 404, 409 when it has ended.
pub async fn cancel(core: &Core, scope: Scope, by: &Actor, id: Uuid) -> ApiResult<Job> {
    let job = get(core, scope, id).await?;
    let txn = core.db.begin().await?;
    if !work::cancel(&txn, core, scope, id).await? {
        return Err(ApiError::new(Code::Conflict).detail("The job has ended."));
    }
    let act = Act {
        action: "job.cancel",
        kind: "job",
        id: Some(id),
        name: &job.kind,
        before: Value::Null,
        after: json!({ "done": job.done, "failed": job.failed, "total": job.total }),
    };
    audit::note(&txn, &core.clock, scope, by, act).await?;
    txn.commit().await?;
    work::tell(core, id).await;
    get(core, scope, id).await
}
