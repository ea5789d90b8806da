//! How much a workspace may have, and has.
//!
//! Invariant: what configures (sources, rules, …) is counted within the change that would add to it,
//! and changes wait for each other, so that a limit is never passed. A limit that is set below what
//! there is takes nothing away; it only lets nothing be added. Events are counted in memory, see
//! [`crate::quota`].

use entity::{connection, credential, member, rule, source, workspace_quota};
use openapi::problem::{Code, FieldError};
use openapi::quotas::{ChangeQuotas, QuotaSpec, QuotaUse, Usage};
use sea_orm::{
    ActiveModelTrait as _, ColumnTrait as _, ConnectionTrait, DbErr, EntityTrait as _,
    IntoActiveModel as _, PaginatorTrait as _, QueryFilter as _,
};
use serde_json::json;
use uuid::Uuid;

use super::audit::{self, Act, Actor};
use super::change::Change;
use super::validate::error;
use super::workspaces::must_be_own;
use crate::auth::Caller;
use crate::clock::from_ms;
use crate::core::Core;
use crate::http::extract::IfMatch;
use crate::http::problem::{ApiError, ApiResult};
use crate::quota;
use crate::scope::Scope;

/// Largest number that a limit can be: the console and JavaScript clients keep it exactly.
const MOST: u64 = 1_000_000_000_000;

/// What there can be too many of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted {
    /// Sources.
    Sources,
    /// Rules.
    Rules,
    /// Connections.
    Connections,
    /// Credentials that are not revoked.
    Credentials,
    /// Members.
    Members,
}

impl Counted {
    /// All of them, in the order of the documentation.
    pub const ALL: &'static [Counted] = &[
        Self::Sources,
        Self::Rules,
        Self::Connections,
        Self::Credentials,
        Self::Members,
    ];

    /// The word on the wire.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Sources => "sources",
            Self::Rules => "rules",
            Self::Connections => "connections",
            Self::Credentials => "credentials",
            Self::Members => "members",
        }
    }

    const fn limit(self, spec: &QuotaSpec) -> Option<u64> {
        match self {
            Self::Sources => spec.sources,
            Self::Rules => spec.rules,
            Self::Connections => spec.connections,
            Self::Credentials => spec.credentials,
            Self::Members => spec.members,
        }
    }

    async fn count(self, db: &impl ConnectionTrait, workspace: Uuid) -> Result<u64, DbErr> {
        match self {
            Self::Sources => {
                source::Entity::find()
                    .filter(source::Column::WorkspaceId.eq(workspace))
                    .count(db)
                    .await
            }
            Self::Rules => {
                rule::Entity::find()
                    .filter(rule::Column::WorkspaceId.eq(workspace))
                    .count(db)
                    .await
            }
            Self::Connections => {
                connection::Entity::find()
                    .filter(connection::Column::WorkspaceId.eq(workspace))
                    .count(db)
                    .await
            }
            Self::Credentials => {
                credential::Entity::find()
                    .filter(credential::Column::WorkspaceId.eq(workspace))
                    .filter(credential::Column::RevokedAt.is_null())
                    .count(db)
                    .await
            }
            Self::Members => {
                member::Entity::find()
                    .filter(member::Column::WorkspaceId.eq(workspace))
                    .count(db)
                    .await
            }
        }
    }
}

/// Refuses to add one more of something when the workspace has as many as it may. To be asked within
/// the change that adds it.
///
/// # Errors
/// 409.
pub async fn room_for(txn: &impl ConnectionTrait, scope: Scope, what: Counted) -> ApiResult<()> {
    let (spec, _) = load(txn, scope).await?;
    let Some(limit) = what.limit(&spec) else {
        return Ok(());
    };
    if what.count(txn, scope.workspace()).await? < limit {
        return Ok(());
    }
    let name = what.word();
    Err(ApiError::new(Code::QuotaExceeded).detail(format!(
        "The workspace may have {limit} {name}, and has them."
    )))
}

/// What of a workspace was within its limit before and is not any more: for a change that adds
/// several things at once. `before` is what [`counts`] said.
///
/// # Errors
/// The database failed.
pub async fn passed(
    txn: &impl ConnectionTrait,
    scope: Scope,
    before: &[u64],
) -> Result<Vec<FieldError>, DbErr> {
    let (spec, _) = load(txn, scope).await?;
    let now = counts(txn, scope).await?;
    let mut faults = Vec::new();
    for ((what, before), now) in Counted::ALL.iter().zip(before).zip(now) {
        if let Some(limit) = what.limit(&spec)
            && now > limit
            && now > *before
        {
            let text = format!("the workspace may have {limit} of them; there would be {now}");
            faults.push(error(what.word(), "quota_exceeded", text));
        }
    }
    Ok(faults)
}

/// How much there is of everything that is counted, in its order.
///
/// # Errors
/// The database failed.
pub async fn counts(db: &impl ConnectionTrait, scope: Scope) -> Result<Vec<u64>, DbErr> {
    let mut counts = Vec::new();
    for what in Counted::ALL {
        counts.push(what.count(db, scope.workspace()).await?);
    }
    Ok(counts)
}

/// The limits of a workspace and their revision; nobody has set any: none, at 0.
///
/// # Errors
/// The database failed.
pub async fn load(db: &impl ConnectionTrait, scope: Scope) -> Result<(QuotaSpec, i64), DbErr> {
    let row = workspace_quota::Entity::find_by_id(scope.workspace())
        .one(db)
        .await?;
    Ok(row.map_or((QuotaSpec::default(), 0), |row| {
        (spec_of(&row), row.revision)
    }))
}

/// What a row says. One that cannot be read limits nothing, and is told of in the log: a limit is no
/// lock.
pub fn spec_of(row: &workspace_quota::Model) -> QuotaSpec {
    serde_json::from_str(&row.spec).unwrap_or_else(|error| {
        tracing::error!(%error, workspace.id = %row.workspace_id, "The quotas of a workspace cannot be read.");
        QuotaSpec::default()
    })
}

/// What the workspace has and may have.
///
/// # Errors
/// 404 for another workspace than the caller's.
pub async fn usage(core: &Core, caller: &Caller, id: Uuid) -> ApiResult<Usage> {
    must_be_own(caller, id)?;
    let db = core.db.read();
    let scope = caller.scope;
    let (spec, revision) = load(db, scope).await?;
    let now = core.clock.now_ms();
    let events = quota::stored(db, &[id], now).await?;
    let mut quotas = vec![QuotaUse {
        what: "events_per_day".to_owned(),
        used: events.get(&id).copied().unwrap_or_default(),
        limit: spec.events_per_day,
    }];
    for (what, used) in Counted::ALL.iter().zip(counts(db, scope).await?) {
        quotas.push(QuotaUse {
            what: what.word().to_owned(),
            used,
            limit: what.limit(&spec),
        });
    }
    Ok(Usage {
        quotas,
        day_ends_at: from_ms(quota::day_end(now)),
        revision,
    })
}

/// Sets limits that were read at a revision.
///
/// # Errors
/// 404 for another workspace than the caller's, 412, 422.
pub async fn change(
    core: &Core,
    caller: &Caller,
    id: Uuid,
    revision: IfMatch,
    wanted: ChangeQuotas,
) -> ApiResult<Usage> {
    must_be_own(caller, id)?;
    let change = Change::begin(core).await?;
    let (before, current) = load(&change.txn, caller.scope).await?;
    revision.check(current)?;
    let after = QuotaSpec {
        events_per_day: wanted.events_per_day.unwrap_or(before.events_per_day),
        sources: wanted.sources.unwrap_or(before.sources),
        rules: wanted.rules.unwrap_or(before.rules),
        connections: wanted.connections.unwrap_or(before.connections),
        credentials: wanted.credentials.unwrap_or(before.credentials),
        members: wanted.members.unwrap_or(before.members),
    };
    ApiError::refuse(validate(&after))?;
    let by = Actor::of(caller);
    store(
        &change.txn,
        core,
        caller.scope,
        &by,
        (&before, current),
        &after,
    )
    .await?;
    change.commit().await?;
    usage(core, caller, id).await
}

/// The faults of limits.
pub fn validate(spec: &QuotaSpec) -> Vec<FieldError> {
    let mut faults = Vec::new();
    let mut check = |field: &str, value: Option<u64>| {
        if value.is_some_and(|n| n > MOST) {
            let text = format!("0 to {MOST}; absent: no limit");
            faults.push(error(field, "out_of_range", text));
        }
    };
    check("events_per_day", spec.events_per_day);
    for what in Counted::ALL {
        check(what.word(), what.limit(spec));
    }
    // Somebody has to be there to set another limit.
    if spec.members == Some(0) {
        faults.push(error("members", "out_of_range", "at least one"));
    }
    faults
}

async fn store(
    txn: &impl ConnectionTrait,
    core: &Core,
    scope: Scope,
    by: &Actor,
    before: (&QuotaSpec, i64),
    after: &QuotaSpec,
) -> ApiResult<()> {
    write(txn, scope, before.1, after, core.clock.now_ms()).await?;
    let act = act(scope, before.0, after);
    Ok(audit::note(txn, &core.clock, scope, by, act).await?)
}

/// What the audit log says of a change of limits.
pub fn act(scope: Scope, before: &QuotaSpec, after: &QuotaSpec) -> Act<'static> {
    Act {
        action: "workspace.quotas",
        kind: "workspace",
        id: Some(scope.workspace()),
        name: "quotas",
        before: json!(before),
        after: json!(after),
    }
}

/// Writes limits over those of a revision.
///
/// # Errors
/// The database failed.
pub async fn write(
    txn: &impl ConnectionTrait,
    scope: Scope,
    revision: i64,
    spec: &QuotaSpec,
    now: i64,
) -> Result<(), DbErr> {
    let row = workspace_quota::Model {
        workspace_id: scope.workspace(),
        spec: json!(spec).to_string(),
        revision: revision + 1,
        updated_at: now,
    };
    let row = row.into_active_model();
    if revision == 0 {
        workspace_quota::Entity::insert(row)
            .exec_without_returning(txn)
            .await?;
    } else {
        workspace_quota::Entity::update(row.reset_all())
            .exec(txn)
            .await?;
    }
    Ok(())
}
