//! What an auditor asks for about a period, counted from the log.
//!
//! The lines are counted by the database, by word and actor; what they say in detail is in the log
//! itself, by the same period. That a report was made is a line of the log, too.

use entity::{audit, workspace};
use openapi::DateTime;
use openapi::audit::{AuditCount, ComplianceReport};
use openapi::problem::Code;
use openapi::retention::RetentionCounts;
use sea_orm::{
    ColumnTrait as _, EntityTrait as _, QueryFilter as _, QueryOrder as _, QueryResult,
    QuerySelect as _,
};
use serde_json::{Value, json};

use super::{Act, Actor, note, verification};
use crate::clock::from_ms;
use crate::core::Core;
use crate::http::problem::{ApiError, ApiResult};
use crate::journal::sql;
use crate::retention;
use crate::scope::Scope;
use crate::services::validate::error;
use crate::services::{credentials, people};

/// Kinds of lines that are counted at most: names of people who were refused are anybody's choice.
const KINDS: u64 = 1_000;
/// Clean-ups whose counts are summed at most: two years of one every half hour.
const CLEANUPS: u64 = 35_040;

/// What a line is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Area {
    Access,
    Secrets,
    Changes,
    Operations,
    Exports,
    Retention,
}

impl Area {
    /// By the stable word, and whether the line says that secrets were set.
    fn of(action: &str, secrets: bool) -> Self {
        if action.ends_with(".export") || action == "audit.report" {
            return Self::Exports;
        }
        // By hand, like what is done to deliveries; the configuration stays as it is.
        if action == "connection.resume" {
            return Self::Operations;
        }
        let subject = action.split('.').next().unwrap_or_default();
        match subject {
            "credential" | "keys" => Self::Secrets,
            "retention" => Self::Retention,
            "sign_in" | "sign_out" | "confirm" | "session" | "password" | "second_factor"
            | "passkey" | "member" | "invitation" | "account" | "user" | "role" | "provider"
            | "registration" | "recovery_codes" | "email" => Self::Access,
            "event" | "delivery" | "deliveries" | "dead_letters" | "lane" | "connections"
            | "job" | "mail" => Self::Operations,
            _ if secrets => Self::Secrets,
            _ => Self::Changes,
        }
    }
}

/// Makes the report of a period.
///
/// # Errors
/// 400 if it ends before it begins; the database failed.
pub async fn report(
    core: &Core,
    scope: Scope,
    by: &Actor,
    (from, to): (DateTime, DateTime),
) -> ApiResult<ComplianceReport> {
    if to <= from {
        let mut refused = ApiError::new(Code::InvalidParameter);
        refused.errors = vec![error(
            "to",
            "out_of_range",
            "after the beginning of the period",
        )];
        return Err(refused);
    }
    let db = core.db.read();
    let workspace = workspace::Entity::find_by_id(scope.workspace())
        .one(db)
        .await?
        .ok_or_else(ApiError::not_found)?;
    let log = verification(core, scope, None).await?;
    let oldest: Option<i64> = audit::Entity::find()
        .select_only()
        .column(audit::Column::At)
        .filter(audit::Column::WorkspaceId.eq(scope.workspace()))
        .order_by_asc(audit::Column::At)
        .into_tuple()
        .one(db)
        .await?;
    let gone = log.first_seq > 1;
    let mut report = ComplianceReport {
        workspace: workspace.slug,
        from,
        to,
        made_at: core.clock.now(),
        complete: !gone || oldest.is_some_and(|at| at <= from.timestamp_millis()),
        log,
        access: Vec::new(),
        secrets: Vec::new(),
        changes: Vec::new(),
        operations: Vec::new(),
        exports: Vec::new(),
        retention: Vec::new(),
        deleted: RetentionCounts::default(),
        limits: retention::load(db, scope).await?.0,
        more: false,
        members: people::members(core, scope).await?,
        credentials: credentials::list(core, scope).await?,
    };
    count(core, scope, &mut report).await?;
    report.deleted = deleted(core, scope, &report).await?;
    let act = Act {
        action: "audit.report",
        kind: "audit",
        id: None,
        name: "",
        before: Value::Null,
        after: json!({ "from": from, "to": to }),
    };
    note(core.db.write(), &core.clock, scope, by, act).await?;
    Ok(report)
}

async fn count(core: &Core, scope: Scope, report: &mut ComplianceReport) -> ApiResult<()> {
    let query = format!(
        "SELECT action, actor_kind, actor, secrets, COUNT(*) AS n, MIN(at) AS first_at, \
         MAX(at) AS last_at FROM (SELECT action, actor_kind, actor, at, CASE WHEN after LIKE \
         '%\"secrets_changed\":%' THEN 1 ELSE 0 END AS secrets FROM audit \
         WHERE workspace_id = $1 AND at >= $2 AND at < $3) AS line \
         GROUP BY action, actor_kind, actor, secrets \
         ORDER BY n DESC, action, actor LIMIT {}",
        KINDS + 1
    );
    let of = vec![
        scope.workspace().into(),
        report.from.timestamp_millis().into(),
        report.to.timestamp_millis().into(),
    ];
    let rows = sql::rows(core.db.read(), query, of).await?;
    let most = usize::try_from(KINDS).unwrap_or(usize::MAX);
    report.more = rows.len() > most;
    for row in rows.iter().take(most) {
        let secrets: i32 = row.try_get("", "secrets")?;
        let counted = counted(row)?;
        match Area::of(&counted.action, secrets == 1) {
            Area::Access => &mut report.access,
            Area::Secrets => &mut report.secrets,
            Area::Changes => &mut report.changes,
            Area::Operations => &mut report.operations,
            Area::Exports => &mut report.exports,
            Area::Retention => &mut report.retention,
        }
        .push(counted);
    }
    Ok(())
}

fn counted(row: &QueryResult) -> ApiResult<AuditCount> {
    let n: i64 = row.try_get("", "n")?;
    Ok(AuditCount {
        action: row.try_get("", "action")?,
        actor_kind: row.try_get("", "actor_kind")?,
        actor: row.try_get("", "actor")?,
        count: u64::try_from(n).unwrap_or(0),
        first_at: from_ms(row.try_get("", "first_at")?),
        last_at: from_ms(row.try_get("", "last_at")?),
    })
}

/// The sum of what the clean-ups of the period deleted, from their lines.
async fn deleted(
    core: &Core,
    scope: Scope,
    report: &ComplianceReport,
) -> ApiResult<RetentionCounts> {
    let lines: Vec<String> = audit::Entity::find()
        .select_only()
        .column(audit::Column::After)
        .filter(audit::Column::WorkspaceId.eq(scope.workspace()))
        .filter(audit::Column::Action.eq(retention::CLEANED))
        .filter(audit::Column::At.gte(report.from.timestamp_millis()))
        .filter(audit::Column::At.lt(report.to.timestamp_millis()))
        .limit(CLEANUPS)
        .into_tuple()
        .all(core.db.read())
        .await?;
    Ok(lines
        .iter()
        .filter_map(|line| {
            serde_json::from_str::<Value>(line)
                .ok()?
                .get("deleted")
                .cloned()
        })
        .filter_map(|counts| serde_json::from_value::<RetentionCounts>(counts).ok())
        .fold(RetentionCounts::default(), |sum, counts| sum.and(&counts)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_about_what_its_word_says() {
        for (action, secrets, area) in [
            ("sign_in.refused", false, Area::Access),
            ("sign_in", false, Area::Access),
            ("member.role", false, Area::Access),
            ("credential.secret_add", false, Area::Secrets),
            ("source.change", true, Area::Secrets),
            ("source.change", false, Area::Changes),
            ("workspace.quotas", false, Area::Changes),
            ("dead_letters.replay", false, Area::Operations),
            ("connection.resume", false, Area::Operations),
            ("connection.change", false, Area::Changes),
            ("dead_letters.export", false, Area::Exports),
            ("retention.change", false, Area::Retention),
            (retention::CLEANED, false, Area::Retention),
        ] {
            assert_eq!(Area::of(action, secrets), area, "{action}");
        }
    }
}
