//! Trying the failed heads of lanes again that wait for a person.
//!
//! Nothing is made anew: each head stays the delivery it is, keeps its place and becomes due, as when
//! a person tries it again alone. So a piece that is begun twice finds fewer rows, and one that fails
//! again only counts as done; its lane waits as before.

use std::collections::BTreeMap;

use entity::{delivery, job};
use openapi::connections::RetryParked;
use openapi::deliveries::{DeadResult, State};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait as _, DbErr, EntityTrait as _, QueryFilter as _, Select};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use super::dead::AT_ONCE;
use super::piece::Progress;
use super::query::{count, newest, next};
use crate::core::Core;
use crate::http::problem::ApiResult;
use crate::journal::UNDER_WAY;
use crate::schedule::batches::{self, Found, MOST, ROWS};
use crate::schedule::job::{self as work, Params, Step, Worker};
use crate::scope::Scope;
use crate::services::actions::tell;
use crate::services::audit::{self, Act, Actor};
use crate::services::connections;

/// The kind of these jobs.
const RETRY: &str = "connections.retry_parked";

/// Whose heads, and of which cause.
#[derive(Debug, Serialize, Deserialize)]
struct Asked {
    connection_id: Uuid,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    error_code: Option<String>,
}

/// Failed heads of lanes that wait for a person, not of those that are being set aside. The word of the
/// state stands in the text: only so is the index over open rows used.
fn heads(scope: Scope, asked: &Asked) -> Select<delivery::Entity> {
    let query = delivery::Entity::find()
        .filter(delivery::Column::WorkspaceId.eq(scope.workspace()))
        .filter(delivery::Column::ConnectionId.eq(asked.connection_id))
        .filter(Expr::cust("state = 'parked'"))
        .filter(delivery::Column::DueAt.ne(UNDER_WAY))
        .filter(delivery::Column::LaneParked.eq(true))
        .filter(delivery::Column::Behind.eq(false));
    match &asked.error_code {
        Some(code) => query.filter(delivery::Column::ErrorCode.eq(code)),
        None => query,
    }
}

/// Tries all of them again, or those of a cause: a few at once, many as a job. The audit log has it
/// before anything is done.
///
/// # Errors
/// 404; the database failed.
pub async fn retry_heads(
    core: &Core,
    scope: Scope,
    by: &Actor,
    id: Uuid,
    filter: RetryParked,
) -> ApiResult<DeadResult> {
    let connection = connections::get(core, scope, id).await?;
    let asked = Asked {
        connection_id: id,
        error_code: filter.error_code,
    };
    let mut result = DeadResult {
        count: 0,
        failed: 0,
        reasons: BTreeMap::new(),
        job: None,
    };
    let query = heads(scope, &asked);
    let count = count(core, &query).await?;
    let Some(last) = newest(core, &query).await? else {
        return Ok(result);
    };
    let txn = core.db.begin().await?;
    let job = if count <= AT_ONCE {
        None
    } else {
        let params = Params {
            asked: &asked,
            last,
        };
        let params = serde_json::to_string(&params).unwrap_or_default();
        let who = by.name().to_owned();
        Some(work::start(&txn, core, scope, RETRY, params, count, who).await?)
    };
    let act = Act {
        action: RETRY,
        kind: "connection",
        id: Some(id),
        name: &connection.name,
        before: Value::Null,
        after: json!({
            "error_code": asked.error_code,
            "count": count,
            "job": job.as_ref().map(|job| job.id),
        }),
    };
    audit::note(&txn, &core.clock, scope, by, act).await?;
    txn.commit().await?;
    if let Some(job) = job {
        work::tell(core, job.id).await;
        result.count = u64::try_from(count).unwrap_or(0);
        result.job = Some(work::to_wire(job));
        return Ok(result);
    }
    let progress = batches::all(Progress::default(), |progress, _| {
        some(core, scope, &asked, last, progress)
    })
    .await?;
    result.count = u64::try_from(progress.done).unwrap_or(0);
    result.failed = u64::try_from(progress.failed).unwrap_or(0);
    result.reasons = progress.reasons;
    Ok(result)
}

/// Makes up to [`ROWS`] of them due in one statement.
async fn some(
    core: &Core,
    scope: Scope,
    asked: &Asked,
    last: Uuid,
    mut progress: Progress,
) -> Result<(Progress, Found), DbErr> {
    let rows = next(core, &heads(scope, asked), progress.after, last, ROWS).await?;
    let Some(newest) = rows.last().map(|row| row.id) else {
        return Ok((progress, Found::END));
    };
    let now = core.clock.now_ms();
    let updated = delivery::Entity::update_many()
        .col_expr(delivery::Column::State, Expr::val(State::Ready.as_str()))
        .col_expr(delivery::Column::LaneParked, Expr::val(false))
        // The time within which it is given up begins anew.
        .col_expr(delivery::Column::TriedAt, Expr::val(None::<i64>))
        .col_expr(delivery::Column::DueAt, Expr::val(now))
        .col_expr(delivery::Column::UpdatedAt, Expr::val(now))
        .filter(delivery::Column::Id.is_in(rows.iter().map(|row| row.id)))
        .filter(delivery::Column::State.eq(State::Parked.as_str()))
        .filter(delivery::Column::DueAt.ne(UNDER_WAY))
        .filter(delivery::Column::LaneParked.eq(true))
        .filter(delivery::Column::Behind.eq(false))
        .exec_with_returning(core.db.write())
        .await?;
    let looked = u64::try_from(rows.len()).unwrap_or(0);
    progress.after = newest;
    progress.done += i64::try_from(updated.len()).unwrap_or(0);
    let changed = i64::try_from(rows.len().saturating_sub(updated.len())).unwrap_or(0);
    // Somebody was quicker.
    progress.fail("changed", changed);
    core.dispatch.announce(asked.connection_id);
    for row in &updated {
        tell(core, row, State::Ready);
    }
    let ended = looked < ROWS;
    Ok((progress, Found { looked, ended }))
}

/// Does the pieces of these jobs.
#[derive(Debug)]
pub struct HeadsWorker;

#[async_trait::async_trait]
impl Worker for HeadsWorker {
    fn kind(&self) -> &'static str {
        RETRY
    }

    async fn step(&self, core: &Core, job: &job::Model) -> Result<Step, DbErr> {
        let Params { asked, last }: Params<Asked> = Params::read(job)?;
        let scope = Scope::granted(job.workspace_id);
        let progress: Progress = serde_json::from_str(&job.cursor).unwrap_or_default();
        let (progress, found) = batches::piece(progress, MOST, |progress, _| {
            some(core, scope, &asked, last, progress)
        })
        .await?;
        Ok(Step {
            done: progress.done,
            failed: progress.failed,
            cursor: serde_json::to_string(&progress).unwrap_or_default(),
            again: (!found.ended).then(|| core.clock.now_ms()),
        })
    }
}
