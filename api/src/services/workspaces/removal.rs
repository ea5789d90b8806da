//! Deleting a workspace with all that belongs to it.
//!
//! Invariant: one transaction shuts the workspace: nobody and no credential gets in, its sources are
//! gone from the addresses, its connections send nothing, its name is free, and a timer will delete
//! its rows. From then on there is no way back.
//!
//! The rows go in small pieces, off the way of events, the row of the workspace last. A node that has
//! not heard yet may accept a little more; so the last pass runs a minute after the first, and only
//! one that finds nothing ends the work. A crash repeats a piece, which then finds less.
//!
//! Files of the archive stay: they are outside the database, in a folder of the workspace's own.

use std::time::{Duration, Instant};

use entity::{connection, credential, invitation, member, source, workspace};
use openapi::problem::Code;
use openapi::workspaces::{RemoveWorkspace, WorkspaceRemoval};
use sea_orm::sea_query::Expr;
use sea_orm::{
    ColumnTrait as _, DbErr, EntityTrait as _, IntoActiveModel as _, QueryFilter as _,
    QueryOrder as _, Value,
};
use serde_json::json;
use uuid::Uuid;

use super::must_be_own;
use crate::auth::Caller;
use crate::core::Core;
use crate::http::problem::{ApiError, ApiResult};
use crate::journal::OPEN;
use crate::journal::sql::{self, Values};
use crate::retention::queries;
use crate::schedule::{self, Due, Next, Task};
use crate::scope::Scope;
use crate::services::audit::{self, Act, Actor};
use crate::services::change::Change;
use crate::services::validate::error;

/// The kind of its timers; the key is the id of the workspace.
const KIND: &str = "workspace_removal";
/// How long after the beginning the last pass is made: other nodes have heard of it by then.
const LAST_PASS_MS: i64 = 60_000;
/// Rows of one transaction.
const ROWS: i64 = 200;
/// Longest time of one piece.
const LONGEST: Duration = Duration::from_secs(1);
/// Rows of a kind that a preview counts at most.
const COUNTED: i64 = 100_000;

/// Tables whose rows have an id, with the condition that finds those of workspace `$1`, in the order
/// in which they go. Attempts go with their deliveries; those that stand alone are few.
const BY_ID: &[(&str, &str)] = &[
    ("delivery", "workspace_id = $1"),
    ("event", "workspace_id = $1"),
    ("refusal", "workspace_id = $1"),
    (
        "link",
        "connection_id IN (SELECT id FROM connection WHERE workspace_id = $1)",
    ),
    (
        "sandbox_record",
        "connection_id IN (SELECT id FROM connection WHERE workspace_id = $1)",
    ),
    ("rule_revision", "workspace_id = $1"),
    ("rule", "workspace_id = $1"),
    ("sealed_secret", "workspace_id = $1"),
    ("job", "workspace_id = $1"),
    ("audit", "workspace_id = $1"),
    ("maintenance_window", "workspace_id = $1"),
    ("role", "workspace_id = $1"),
    ("invitation", "workspace_id = $1"),
    ("registration", "workspace_id = $1"),
    ("mail", "workspace_id = $1"),
    ("attempt", "workspace_id = $1"),
];

/// What is left after those, a few rows each, with the condition. What hangs on a row comes first.
const REST: &[(&str, &str)] = &[
    (
        "source_beat",
        "source_id IN (SELECT id FROM source WHERE workspace_id = $1)",
    ),
    (
        "source_silence",
        "source_id IN (SELECT id FROM source WHERE workspace_id = $1)",
    ),
    (
        "credential_secret",
        "credential_id IN (SELECT id FROM credential WHERE workspace_id = $1)",
    ),
    ("breaker", "workspace_id = $1"),
    ("source", "workspace_id = $1"),
    ("connection", "workspace_id = $1"),
    ("credential", "workspace_id = $1"),
    ("archive_file", "workspace_id = $1"),
    ("retention", "workspace_id = $1"),
    ("retention_run", "workspace_id = $1"),
    ("maintenance_switch", "workspace_id = $1"),
    ("workspace_quota", "workspace_id = $1"),
    ("self_registration", "workspace_id = $1"),
    ("audit_chain", "workspace_id = $1"),
    ("member", "workspace_id = $1"),
];

/// What would go.
///
/// # Errors
/// 404 for another workspace than that of the request; the database failed.
pub async fn preview(core: &Core, caller: &Caller, id: Uuid) -> ApiResult<WorkspaceRemoval> {
    must_be_own(caller, id)?;
    Ok(WorkspaceRemoval {
        events: count(core, id, "event", "TRUE").await?,
        deliveries: count(core, id, "delivery", "TRUE").await?,
        open_deliveries: count(core, id, "delivery", OPEN).await?,
        sources: count(core, id, "source", "TRUE").await?,
        rules: count(core, id, "rule", "TRUE").await?,
        connections: count(core, id, "connection", "TRUE").await?,
        credentials: count(core, id, "credential", "revoked_at IS NULL").await?,
        members: count(core, id, "member", "TRUE").await?,
        members_only_here: count(
            core,
            id,
            "member",
            "NOT EXISTS (SELECT 1 FROM member m WHERE m.user_id = member.user_id \
             AND m.workspace_id <> member.workspace_id)",
        )
        .await?,
    })
}

async fn count(core: &Core, id: Uuid, table: &str, which: &str) -> ApiResult<u64> {
    let query = format!(
        "SELECT COUNT(*) AS n FROM (SELECT 1 AS one FROM {table} WHERE workspace_id = $1 \
         AND {which} LIMIT {COUNTED}) AS found"
    );
    let rows = sql::rows(core.db.read(), query, vec![id.into()]).await?;
    let n: i64 = match rows.first() {
        Some(row) => row.try_get("", "n")?,
        None => 0,
    };
    Ok(u64::try_from(n).unwrap_or(0))
}

/// Shuts a workspace for good, and has its rows deleted in the background. The log of the first
/// workspace keeps who did it.
///
/// # Errors
/// 404 for another workspace than that of the request, 409 for the first one, 422 if the slug is
/// another.
pub async fn remove(
    core: &Core,
    caller: &Caller,
    id: Uuid,
    confirmed: RemoveWorkspace,
) -> ApiResult<()> {
    must_be_own(caller, id)?;
    let change = Change::begin(core).await?;
    let txn = &change.txn;
    let oldest = workspace::Entity::find()
        .order_by_asc(workspace::Column::CreatedAt)
        .order_by_asc(workspace::Column::Id)
        .one(txn)
        .await?;
    let row = workspace::Entity::find_by_id(id)
        .one(txn)
        .await?
        .ok_or_else(ApiError::not_found)?;
    let Some(first) = oldest.filter(|oldest| oldest.id != id) else {
        return Err(ApiError::new(Code::Conflict).detail(
            "The first workspace belongs to the installation: hooks without a workspace in their \
             address lead there. It can be renamed, not deleted.",
        ));
    };
    if confirmed.slug != row.slug {
        let text = "the slug of the workspace that is to be deleted";
        ApiError::refuse(vec![error("slug", "does_not_match", text)])?;
    }
    shut(&change, &row).await?;
    let act = Act {
        action: "workspace.delete",
        kind: "workspace",
        id: Some(id),
        name: &row.slug,
        before: json!({ "slug": row.slug, "name": row.name }),
        after: serde_json::Value::Null,
    };
    let by = Actor::of(caller);
    audit::note(txn, &core.clock, Scope::granted(first.id), &by, act).await?;
    schedule::set(txn, KIND, &id.to_string(), change.now).await?;
    change.commit().await
}

/// Takes away what lets anybody or anything in. A version that knows no deletion heeds it too.
async fn shut(change: &Change<'_>, row: &workspace::Model) -> Result<(), DbErr> {
    let txn = &change.txn;
    let mut shut = row.clone().into_active_model();
    // The slug is unique; this one no one can ask for.
    shut.slug = sea_orm::ActiveValue::Set(format!("~{}", row.id.simple()));
    shut.deleting_at = sea_orm::ActiveValue::Set(Some(change.now));
    workspace::Entity::update(shut).exec(txn).await?;
    member::Entity::delete_many()
        .filter(member::Column::WorkspaceId.eq(row.id))
        .exec(txn)
        .await?;
    invitation::Entity::delete_many()
        .filter(invitation::Column::WorkspaceId.eq(row.id))
        .exec(txn)
        .await?;
    source::Entity::update_many()
        .col_expr(source::Column::Enabled, Expr::value(false))
        .filter(source::Column::WorkspaceId.eq(row.id))
        .exec(txn)
        .await?;
    connection::Entity::update_many()
        .col_expr(connection::Column::Enabled, Expr::value(false))
        .filter(connection::Column::WorkspaceId.eq(row.id))
        .exec(txn)
        .await?;
    credential::Entity::update_many()
        .col_expr(credential::Column::Enabled, Expr::value(false))
        .col_expr(credential::Column::RevokedAt, Expr::value(change.now))
        .filter(credential::Column::WorkspaceId.eq(row.id))
        .filter(credential::Column::RevokedAt.is_null())
        .exec(txn)
        .await?;
    Ok(())
}

/// Deletes the rows of workspaces that were shut.
#[derive(Clone, Copy, Debug)]
pub struct Removal;

#[async_trait::async_trait]
impl Task for Removal {
    fn kind(&self) -> &'static str {
        KIND
    }

    async fn run(&self, core: &Core, due: &Due) -> Result<Next, DbErr> {
        let Ok(id) = due.key.parse::<Uuid>() else {
            return Ok(Next::Done);
        };
        let row = workspace::Entity::find_by_id(id)
            .one(core.db.read())
            .await?;
        let Some(since) = row.and_then(|row| row.deleting_at) else {
            return Ok(Next::Done);
        };
        let now = core.clock.now_ms();
        if !piece(core, id).await? {
            return Ok(Next::At(now));
        }
        if now < since + LAST_PASS_MS {
            return Ok(Next::At(since + LAST_PASS_MS));
        }
        let txn = core.db.begin().await?;
        for (table, which) in REST {
            let query = format!("DELETE FROM {table} WHERE {which}");
            sql::execute(&txn, query, vec![id.into()]).await?;
        }
        workspace::Entity::delete_by_id(id).exec(&txn).await?;
        txn.commit().await?;
        // Its chain of the audit log went with it; nodes forget the rest with the configuration.
        tracing::info!(workspace.id = %id, "The rows of a deleted workspace are gone.");
        Ok(Next::Done)
    }
}

/// Deletes rows for a while. Returns whether there were none left.
async fn piece(core: &Core, id: Uuid) -> Result<bool, DbErr> {
    let begun = Instant::now();
    for (table, which) in BY_ID {
        while some(core, id, table, which).await? {
            if begun.elapsed() > LONGEST {
                return Ok(false);
            }
        }
    }
    while counters(core, id).await? {
        if begun.elapsed() > LONGEST {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Deletes a few rows of a table. They are looked for beside the writer. Returns whether there may
/// be more.
async fn some(core: &Core, id: Uuid, table: &str, which: &str) -> Result<bool, DbErr> {
    let query = format!("SELECT id FROM {table} WHERE {which} LIMIT {ROWS}");
    let found = sql::rows(core.db.read(), query, vec![id.into()]).await?;
    if found.is_empty() {
        return Ok(false);
    }
    let mut ids = Values::of(core.db.read());
    for row in &found {
        ids.row([row.try_get::<Uuid>("", "id")?.into()]);
    }
    let txn = core.db.begin().await?;
    if table == "delivery" {
        let attempts = queries::delete_attempts_of(&ids.text);
        sql::execute(&txn, attempts, ids.values.clone()).await?;
    }
    let rows = queries::delete_rows(table, &ids.text);
    sql::execute(&txn, rows, ids.values).await?;
    txn.commit().await?;
    Ok(found.len() == usize::try_from(ROWS).unwrap_or(usize::MAX))
}

async fn counters(core: &Core, id: Uuid) -> Result<bool, DbErr> {
    let values: Vec<Value> = vec![id.into(), i64::MAX.into(), (ROWS * 10).into()];
    let gone = sql::execute(core.db.write(), queries::delete_stats(), values).await?;
    Ok(gone > 0)
}
