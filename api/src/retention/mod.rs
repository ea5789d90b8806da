//! Retention: what is old goes, in small batches beside the work.
//!
//! Invariant: nothing goes that is still needed. An event stays while a delivery of it is open, is
//! a dead letter within its own limit, or made the record of a link that is open; a delivery goes
//! with its event or before it, an attempt with its delivery or before it. What is needed is looked
//! up again in the transaction that deletes, which holds the rows and the claim of the timer. With an
//! archive, rows are on its disk or in its bucket before they are deleted: a crash between the two
//! writes them once more, into a piece of another name, and loses nothing.
//!
//! A timer does it, once over all nodes, a few seconds at a time. Each transaction takes so few rows
//! that it lasts some milliseconds, and a pause three times as long follows, so that accepts hardly
//! notice. Each batch goes by the limits as they are then. Failure: what cannot be archived is not
//! deleted; the rest is, the run says why, and is tried again. A crash loses the place in the run,
//! which begins anew and goes on counting.

pub mod archive;
mod batch;
mod limits;
pub mod queries;
mod run;
mod service;
mod size;
mod task;

use entity::retention;
use openapi::retention::RetentionSpec;
use sea_orm::{ConnectionTrait, DbErr, EntityTrait as _};

use crate::journal::sql;
use crate::scope::Scope;

pub use service::{change, preview, read, run_now, sizes};
pub use task::{CLEANED, KIND, Retention};

/// The limits of a workspace and their revision.
///
/// # Errors
/// The database failed.
pub async fn load(db: &impl ConnectionTrait, scope: Scope) -> Result<(RetentionSpec, i64), DbErr> {
    let row = retention::Entity::find_by_id(scope.workspace())
        .one(db)
        .await?;
    Ok(row.map_or_else(
        || (RetentionSpec::default(), 0),
        |row| {
            let spec = serde_json::from_str(&row.spec).unwrap_or_else(|error| {
                tracing::error!(%error, workspace.id = %row.workspace_id, "The limits of a workspace cannot be read; nothing of it is deleted.");
                forever()
            });
            (spec, row.revision)
        },
    ))
}

/// Writes the limits of a workspace; the revision grows.
///
/// # Errors
/// The statement failed.
pub async fn store(
    db: &impl ConnectionTrait,
    scope: Scope,
    spec: &RetentionSpec,
    now: i64,
) -> Result<(), DbErr> {
    let text = serde_json::to_string(spec).map_err(|error| DbErr::Custom(error.to_string()))?;
    sql::execute(
        db,
        "INSERT INTO retention (workspace_id, spec, revision, updated_at) VALUES ($1, $2, 1, $3) \
         ON CONFLICT (workspace_id) DO UPDATE SET spec = excluded.spec, \
         revision = retention.revision + 1, updated_at = excluded.updated_at",
        vec![scope.workspace().into(), text.into(), now.into()],
    )
    .await?;
    Ok(())
}

/// Limits by which nothing is deleted.
const fn forever() -> RetentionSpec {
    RetentionSpec {
        events: 0,
        deliveries: 0,
        attempts: 0,
        dead_letters: 0,
        refusals: 0,
        audit: 0,
        jobs: 0,
        stats: 0,
        links: 0,
        sandbox: 0,
        archive: true,
    }
}
