//! Jobs.

use actix_web::{get, post, web};
use openapi::jobs::{Job, JobState};
use openapi::page::Page;
use openapi::problem::Code;
use serde::Deserialize;
use utoipa::IntoParams;
use uuid::Uuid;

use crate::auth::{Caller, Permission, needs};
use crate::core::Core;
use crate::http::doc::{BadQuery, Conflict, Guarded, Missing};
use crate::http::extract::Query;
use crate::http::problem::{ApiError, ApiResult};
use crate::services::audit::Actor;
use crate::services::cursor::Window;
use crate::services::jobs::{self, JobFilter};

/// Which jobs.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct JobQuery {
    /// `running`, `done`, `failed` or `cancelled`.
    #[param(example = "running")]
    state: Option<String>,
    /// What they do.
    #[param(example = "dead_letters.replay")]
    kind: Option<String>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Rows of a page, 1 to 200; 50 when absent.
    #[param(minimum = 1, maximum = 200, example = 50)]
    limit: Option<u32>,
}

/// List jobs
#[utoipa::path(tag = "jobs", params(JobQuery), responses(
    (status = 200, description = "Jobs, newest first", body = Page<Job>), Guarded, BadQuery))]
#[get("/jobs", wrap = "needs(Permission::JobsRead)")]
pub async fn list_jobs(
    core: web::Data<Core>,
    caller: Caller,
    Query(query): Query<JobQuery>,
) -> ApiResult<web::Json<Page<Job>>> {
    let window = Window::parse(query.cursor.as_deref(), query.limit)?;
    let state = query.state.as_deref().map(|word| {
        JobState::parse(word).ok_or_else(|| {
            ApiError::new(Code::InvalidParameter).at(
                "state",
                "unknown_value",
                "One of running, done, failed, cancelled is expected.",
            )
        })
    });
    let filter = JobFilter {
        state: state.transpose()?,
        kind: query.kind,
    };
    Ok(web::Json(
        jobs::list(&core, caller.scope, filter, window).await?,
    ))
}

/// Read a job
///
/// Its progress is also told on the live stream.
#[utoipa::path(tag = "jobs", responses(
    (status = 200, description = "The job", body = Job), Guarded, Missing))]
#[get("/jobs/{id}", wrap = "needs(Permission::JobsRead)")]
pub async fn get_job(
    core: web::Data<Core>,
    caller: Caller,
    id: web::Path<Uuid>,
) -> ApiResult<web::Json<Job>> {
    Ok(web::Json(jobs::get(&core, caller.scope, *id).await?))
}

/// Cancel a job
///
/// What it has done stays done.
#[utoipa::path(tag = "jobs", responses(
    (status = 200, description = "Cancelled", body = Job), Guarded, Missing, Conflict))]
#[post("/jobs/{id}/cancel", wrap = "needs(Permission::JobsCancel)")]
pub async fn cancel_job(
    core: web::Data<Core>,
    caller: Caller,
    id: web::Path<Uuid>,
) -> ApiResult<web::Json<Job>> {
    let by = Actor::of(&caller);
    Ok(web::Json(
        jobs::cancel(&core, caller.scope, &by, *id).await?,
    ))
}
