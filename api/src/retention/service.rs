//! What people ask and set.

use entity::{retention_run, source, timer};
use openapi::retention::{
    ChangeRetention, Retention, RetentionCounts, RetentionPreview, RetentionRun, SourceRetention,
    StorageSizes,
};
use sea_orm::{ColumnTrait as _, EntityTrait as _, QueryFilter as _, QueryOrder as _};
use serde_json::json;
use uuid::Uuid;

use super::archive::Archive;
use super::limits::{cut, dead_cut, id_at, link_days};
use super::{queries, size, task};
use crate::clock::from_ms;
use crate::core::Core;
use crate::http::extract::IfMatch;
use crate::http::problem::{ApiError, ApiResult};
use crate::journal::sql::{self, Values};
use crate::schedule;
use crate::scope::Scope;
use crate::services::audit::{self, Act, Actor};
use crate::services::change::Change;
use crate::services::validate::validate_retention;

/// Rows of a kind that a preview counts at most.
const COUNTED: i64 = 100_000;

/// Limits, and how the clean-up goes.
///
/// # Errors
/// The database failed.
pub async fn read(core: &Core, scope: Scope) -> ApiResult<Retention> {
    let db = core.db.read();
    let (days, revision) = super::load(db, scope).await?;
    let sources = source::Entity::find()
        .filter(source::Column::WorkspaceId.eq(scope.workspace()))
        .filter(source::Column::RetentionDays.is_not_null())
        .order_by_asc(source::Column::Slug)
        .all(db)
        .await?
        .into_iter()
        .filter_map(|row| {
            Some(SourceRetention {
                days: u32::try_from(row.retention_days?).ok()?,
                source: row.slug,
            })
        })
        .collect();
    let last_run = retention_run::Entity::find_by_id(scope.workspace())
        .one(db)
        .await?
        .map(|row| RetentionRun {
            started_at: from_ms(row.started_at),
            finished_at: row.finished_at.map(from_ms),
            deleted: serde_json::from_str(&row.deleted).unwrap_or_default(),
            archived_bytes: row.archived,
            error: row.error,
        });
    let next = timer::Entity::find_by_id((task::KIND.to_owned(), task::KEY.to_owned()))
        .one(db)
        .await?;
    Ok(Retention {
        days,
        sources,
        max_mb: Some(core.settings.retention_max_mb).filter(|mb| *mb > 0),
        archive: Archive::places(&core.settings),
        last_run,
        next_run_at: next.map(|row| from_ms(row.due_at)),
        revision,
    })
}

/// Changes the limits that were read at a revision.
///
/// # Errors
/// 412, 422.
pub async fn change(
    core: &Core,
    scope: Scope,
    by: &Actor,
    revision: IfMatch,
    wanted: ChangeRetention,
) -> ApiResult<Retention> {
    let change = Change::begin(core).await?;
    let (old, current) = super::load(&change.txn, scope).await?;
    revision.check(current)?;
    let days = wanted.on(&old);
    ApiError::refuse(validate_retention(&days))?;
    super::store(&change.txn, scope, &days, change.now).await?;
    let act = Act {
        action: "retention.change",
        kind: "retention",
        id: None,
        name: "retention",
        before: json!(old),
        after: json!(days),
    };
    audit::note(&change.txn, &core.clock, scope, by, act).await?;
    change.commit().await?;
    read(core, scope).await
}

/// Begins a clean-up as soon as the scheduler looks. One that is under way goes on; if it was just
/// about to end, another follows.
///
/// # Errors
/// The database failed.
pub async fn run_now(core: &Core) -> ApiResult<()> {
    let now = core.clock.now_ms();
    Ok(schedule::wish(core.db.write(), task::KIND, task::KEY, now).await?)
}

/// How much there is: all of it for the first workspace, which belongs to whoever runs the server,
/// and what they have themselves for the others.
///
/// # Errors
/// The database failed.
pub async fn sizes(core: &Core, scope: Scope) -> ApiResult<StorageSizes> {
    let snapshot = core.snapshots.current();
    let first = snapshot.first_workspace().map(|first| first.id);
    Ok(if first == Some(scope.workspace()) {
        size::sizes(&core.db, scope).await?
    } else {
        size::own_sizes(&core.db, scope).await?
    })
}

/// What a clean-up by the limits of this workspace would delete now.
///
/// # Errors
/// The database failed.
pub async fn preview(core: &Core, scope: Scope) -> ApiResult<RetentionPreview> {
    let counter = Counter {
        core,
        workspace: scope.workspace(),
        now: core.clock.now_ms(),
    };
    let (spec, _) = super::load(core.db.read(), scope).await?;
    let mut would = RetentionCounts::default();
    let overrides = super::limits::overrides(&core.db).await?;
    let dead = dead_cut(spec.dead_letters, counter.now);
    for id in counter.sources().await? {
        let days = overrides.get(&id).copied().unwrap_or(spec.events);
        if let Some(before) = cut(days, counter.now) {
            let of = vec![
                id.into(),
                Uuid::nil().into(),
                id_at(before).into(),
                dead.into(),
                COUNTED.into(),
            ];
            would.events += counter.count(&queries::events(), of).await?;
        }
    }
    let workspace = || sea_orm::Value::from(scope.workspace());
    if let Some(cut) = cut(spec.deliveries, counter.now) {
        let of = vec![
            workspace(),
            Uuid::nil().into(),
            id_at(cut).into(),
            cut.into(),
            dead.into(),
            COUNTED.into(),
        ];
        would.deliveries = counter.count(&queries::deliveries(), of).await?;
    }
    if let Some(cut) = cut(spec.attempts, counter.now) {
        let mut limits = Values::of(core.db.read());
        limits.row([workspace(), id_at(cut).into(), dead.into()]);
        let marks = (
            limits.single(Uuid::nil().into()),
            limits.single(id_at(cut).into()),
            limits.single(COUNTED.into()),
        );
        let query = queries::attempts(&limits.text, (&marks.0, &marks.1, &marks.2));
        would.attempts = counter.count(&query, limits.values).await?;
    }
    would.links = counter.unchanged(link_days(&spec), queries::links).await?;
    would.sandbox = counter.unchanged(spec.sandbox, queries::sandbox).await?;
    let plain = |cut: i64| vec![workspace(), id_at(cut).into(), COUNTED.into()];
    if let Some(cut) = cut(spec.refusals, counter.now) {
        would.refusals = counter.count(&queries::refusals(), plain(cut)).await?;
    }
    if let Some(cut) = cut(spec.audit, counter.now) {
        would.audit = counter.count(&queries::audit(), plain(cut)).await?;
    }
    if let Some(cut) = cut(spec.jobs, counter.now) {
        let of = vec![workspace(), id_at(cut).into(), cut.into(), COUNTED.into()];
        would.jobs = counter.count(&queries::jobs(), of).await?;
    }
    if let Some(cut) = cut(spec.stats, counter.now) {
        let of = vec![workspace(), cut.into(), COUNTED.into()];
        let query = "SELECT hour FROM stat_hour WHERE workspace_id = $1 AND hour < $2 LIMIT $3";
        would.stats = counter.count(query, of).await?;
    }
    let most = u64::try_from(COUNTED).unwrap_or(0);
    let at_least = [
        would.events,
        would.deliveries,
        would.attempts,
        would.refusals,
        would.audit,
        would.jobs,
        would.stats,
        would.links,
        would.sandbox,
    ]
    .iter()
    .any(|n| *n >= most);
    Ok(RetentionPreview {
        would_delete: would,
        at_least,
    })
}

struct Counter<'a> {
    core: &'a Core,
    workspace: Uuid,
    now: i64,
}

impl Counter<'_> {
    /// How many rows a query with a limit yields.
    async fn count(&self, query: &str, values: Vec<sea_orm::Value>) -> ApiResult<u64> {
        // Marks with numbers keep their meaning inside.
        let query = format!("SELECT COUNT(*) AS n FROM ({query}) AS found");
        let rows = sql::rows(self.core.db.read(), query, values).await?;
        let n: i64 = match rows.first() {
            Some(row) => row.try_get("", "n")?,
            None => 0,
        };
        Ok(u64::try_from(n).unwrap_or(0))
    }

    /// How many rows nobody has changed for so many days.
    async fn unchanged(
        &self,
        days: u32,
        query: fn(&str, (&str, &str, &str)) -> String,
    ) -> ApiResult<u64> {
        let Some(cut) = cut(days, self.now) else {
            return Ok(0);
        };
        let mut limits = Values::of(self.core.db.read());
        limits.row([self.workspace.into(), cut.into()]);
        let marks = (
            limits.single(Uuid::nil().into()),
            limits.single(id_at(cut).into()),
            limits.single(COUNTED.into()),
        );
        let query = query(&limits.text, (&marks.0, &marks.1, &marks.2));
        self.count(&query, limits.values).await
    }

    /// Sources of the workspace that have events, deleted ones too.
    async fn sources(&self) -> ApiResult<Vec<Uuid>> {
        let mut all = Vec::new();
        let mut after = Uuid::nil();
        loop {
            let found = sql::rows(
                self.core.db.read(),
                queries::next_source(),
                vec![after.into()],
            )
            .await?;
            let Some(row) = found.first() else {
                return Ok(all);
            };
            after = row.try_get("", "source_id")?;
            let workspace: Uuid = row.try_get("", "workspace_id")?;
            if workspace == self.workspace {
                all.push(after);
            }
        }
    }
}
