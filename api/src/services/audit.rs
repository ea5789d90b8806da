//! What people and keys changed, before and after.
//!
//! Invariant: a line is written in the transaction of the change it tells of, through [`note`] and
//! nothing else, so that there is never one without the other; of what goes through the journal, it
//! is written before that is asked for. Secrets are masked before they come here; a line is never
//! changed.

mod export;
mod report;

use std::net::IpAddr;

use entity::audit;
use openapi::audit::{AuditBreak, AuditEntry, AuditVerification};
use openapi::page::Page;
use sea_orm::sea_query::{Expr, ExprTrait as _, Func, LikeExpr};
use sea_orm::{
    ColumnTrait as _, Condition, DbErr, EntityName as _, EntityTrait, IdenStatic as _,
    Iterable as _, ModelTrait, QueryFilter as _, QueryOrder as _, QuerySelect as _,
};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::cursor::Window;
use crate::auth;
use crate::chain;
use crate::clock::{Clock, from_ms};
use crate::core::Core;
use crate::db::Sql;
use crate::http::problem::{ApiError, ApiResult};
use crate::ids;
use crate::journal::sql;
use crate::mask;
use crate::request;
use crate::scope::Scope;

pub use export::{Form, export};
pub use report::report;

/// Columns that say nothing about what was changed.
const LEFT_OUT: &[&str] = &["workspace_id", "created_at", "updated_at"];

/// Who changes something.
#[derive(Clone, Debug)]
pub struct Actor {
    kind: &'static str,
    name: String,
    address: String,
}

impl Actor {
    /// The caller of a request.
    pub fn of(caller: &auth::Caller) -> Self {
        let (kind, name) = match &caller.actor {
            auth::Actor::Person { email, .. } => ("user", email.clone()),
            auth::Actor::Credential { client_id, .. } => ("credential", client_id.clone()),
        };
        Self {
            kind,
            name,
            address: caller.address.to_string(),
        }
    }

    /// A person who is about to sign in, or acts on the own account.
    pub fn person(email: &str, address: IpAddr) -> Self {
        Self {
            kind: "user",
            name: email.to_owned(),
            address: address.to_string(),
        }
    }

    /// A part of the server, or its command line.
    pub fn system(part: &str) -> Self {
        Self {
            kind: "system",
            name: part.to_owned(),
            address: String::new(),
        }
    }

    /// E-mail, client id or name of the part.
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// What was done to what.
#[derive(Clone, Debug)]
pub struct Act<'a> {
    /// Stable word, `rule.change`.
    pub action: &'static str,
    /// Kind of what was changed.
    pub kind: &'static str,
    /// Its id.
    pub id: Option<Uuid>,
    /// Its name.
    pub name: &'a str,
    /// As it was; null: there was nothing.
    pub before: Value,
    /// As it became; null: there is nothing.
    pub after: Value,
}

/// Writes a line. The one place that does.
///
/// # Errors
/// The statement failed.
pub async fn note(
    txn: &impl Sql,
    clock: &Clock,
    scope: Scope,
    by: &Actor,
    act: Act<'_>,
) -> Result<(), DbErr> {
    let row = audit::Model {
        id: ids::new(clock),
        workspace_id: scope.workspace(),
        at: clock.now_ms(),
        actor_kind: by.kind.to_owned(),
        actor: by.name.clone(),
        remote_addr: by.address.clone(),
        action: act.action.to_owned(),
        subject_kind: act.kind.to_owned(),
        subject_id: act.id,
        subject: act.name.to_owned(),
        before: act.before.to_string(),
        after: act.after.to_string(),
        request_id: request::id(),
        // It joins the chain soon.
        seq: None,
        hash: None,
    };
    sql::insert(txn, &[&row]).await
}

/// Writes what became of a row of the configuration: made, changed or deleted. Of a change, only
/// the columns that differ are kept. `secrets` are the names of those that were set or removed.
///
/// # Errors
/// The statement failed.
pub async fn note_row<M: ModelTrait>(
    txn: &impl Sql,
    clock: &Clock,
    scope: Scope,
    by: &Actor,
    subject: (Uuid, &str),
    rows: (Option<&M>, Option<&M>),
    secrets: &[&str],
) -> Result<(), DbErr> {
    let (id, name) = subject;
    let (before, after) = rows;
    let table = M::Entity::default();
    let (kind, action) = words(table.table_name(), before.is_some(), after.is_some());
    let (mut old, mut new) = (before.map(shown), after.map(shown));
    if let (Some(old), Some(new)) = (&mut old, &mut new) {
        let same: Vec<String> = old
            .iter()
            .filter(|(column, value)| new.get(*column) == Some(value))
            .map(|(column, _)| column.clone())
            .collect();
        for column in same {
            old.remove(&column);
            new.remove(&column);
        }
    }
    if let (Some(new), false) = (&mut new, secrets.is_empty()) {
        new.insert("secrets_changed".to_owned(), secrets.into());
    }
    let act = Act {
        action,
        kind,
        id: Some(id),
        name,
        before: old.map_or(Value::Null, Value::Object),
        after: new.map_or(Value::Null, Value::Object),
    };
    note(txn, clock, scope, by, act).await
}

/// The words of a change of configuration.
fn words(table: &str, was: bool, is: bool) -> (&'static str, &'static str) {
    match (table, was, is) {
        ("rule", false, _) => ("rule", "rule.create"),
        ("rule", true, true) => ("rule", "rule.change"),
        ("rule", true, false) => ("rule", "rule.delete"),
        ("source", false, _) => ("source", "source.create"),
        ("source", true, true) => ("source", "source.change"),
        ("source", true, false) => ("source", "source.delete"),
        ("connection", false, _) => ("connection", "connection.create"),
        ("connection", true, true) => ("connection", "connection.change"),
        ("connection", true, false) => ("connection", "connection.delete"),
        ("maintenance_window", false, _) => ("maintenance", "maintenance.create"),
        ("maintenance_window", true, true) => ("maintenance", "maintenance.change"),
        ("maintenance_window", true, false) => ("maintenance", "maintenance.delete"),
        ("role", false, _) => ("role", "role.create"),
        ("role", true, true) => ("role", "role.change"),
        ("role", true, false) => ("role", "role.delete"),
        ("workspace", false, _) => ("workspace", "workspace.create"),
        ("workspace", true, true) => ("workspace", "workspace.rename"),
        ("maintenance_switch", ..) => ("maintenance", "maintenance.turn"),
        (_, false, _) => ("configuration", "configuration.create"),
        (_, true, true) => ("configuration", "configuration.change"),
        (_, true, false) => ("configuration", "configuration.delete"),
    }
}

/// A row for eyes: columns of JSON are opened, what looks like a secret is masked.
fn shown<M: ModelTrait>(row: &M) -> Map<String, Value> {
    type Column<M> = <<M as ModelTrait>::Entity as EntityTrait>::Column;
    let mut columns = Map::new();
    for column in Column::<M>::iter() {
        let name = column.as_str();
        if LEFT_OUT.contains(&name) {
            continue;
        }
        let value = sea_orm::sea_query::sea_value_to_json_value(&row.get(column));
        columns.insert(name.to_owned(), opened(value));
    }
    match mask::value(Value::Object(columns)) {
        Value::Object(columns) => columns,
        _ => Map::new(),
    }
}

fn opened(value: Value) -> Value {
    let Value::String(text) = &value else {
        return value;
    };
    if !text.starts_with(['{', '[']) {
        return value;
    }
    serde_json::from_str(text).unwrap_or(value)
}

/// Which lines are wanted; everything that is given must hold.
#[derive(Clone, Debug, Default)]
pub struct AuditFilter {
    /// The stable word.
    pub action: Option<String>,
    /// E-mail, client id or name of the part.
    pub actor: Option<String>,
    /// Kind of what was changed.
    pub kind: Option<String>,
    /// Id of what was changed.
    pub subject: Option<Uuid>,
    /// Words in its name, the action, or what it was before and after.
    pub text: Option<String>,
    /// Not before this moment, in milliseconds since 1970.
    pub from: Option<i64>,
    /// Before this moment.
    pub to: Option<i64>,
}

/// The query of a page.
pub fn query(scope: Scope, filter: &AuditFilter, window: Window) -> sea_orm::Select<audit::Entity> {
    let mut query = audit::Entity::find().filter(audit::Column::WorkspaceId.eq(scope.workspace()));
    if let Some(action) = &filter.action {
        query = query.filter(audit::Column::Action.eq(action));
    }
    if let Some(actor) = &filter.actor {
        query = query.filter(audit::Column::Actor.eq(actor));
    }
    if let Some(kind) = &filter.kind {
        query = query.filter(audit::Column::SubjectKind.eq(kind));
    }
    if let Some(subject) = filter.subject {
        query = query.filter(audit::Column::SubjectId.eq(subject));
    }
    if let Some(text) = &filter.text {
        query = query.filter(mentions(text));
    }
    if let Some(from) = filter.from {
        query = query.filter(audit::Column::At.gte(from));
    }
    if let Some(to) = filter.to {
        query = query.filter(audit::Column::At.lt(to));
    }
    if let Some(before) = window.before {
        query = query.filter(audit::Column::Id.lt(before));
    }
    query
        .order_by_desc(audit::Column::Id)
        .limit(window.limit + 1)
}

/// The words stand somewhere, in whatever case.
fn mentions(text: &str) -> Condition {
    let escaped = text
        .to_lowercase()
        .replace('\\', "\\\\")
        .replace('%', "\\%")
        .replace('_', "\\_");
    let pattern = LikeExpr::new(format!("%{escaped}%")).escape('\\');
    [
        audit::Column::Subject,
        audit::Column::Action,
        audit::Column::Before,
        audit::Column::After,
    ]
    .into_iter()
    .fold(Condition::any(), |any, column| {
        any.add(Expr::expr(Func::lower(Expr::col(column))).like(pattern.clone()))
    })
}

/// Whether the chain of the workspace holds, and whether a line that was kept elsewhere is in it.
///
/// # Errors
/// The database failed.
pub async fn verification(
    core: &Core,
    scope: Scope,
    kept: Option<chain::Kept>,
) -> ApiResult<AuditVerification> {
    let (db, workspace) = (core.db.read(), scope.workspace());
    let mut report = chain::verify(db, workspace).await?;
    let known = match &kept {
        Some(kept) => Some(chain::compare(db, workspace, kept, &mut report).await?),
        None => None,
    };
    Ok(AuditVerification {
        known: known.map(|known| known.word().to_owned()),
        intact: report.broken.is_none(),
        checked: report.checked,
        waiting: report.waiting,
        first_seq: report.anchor_seq + 1,
        seq: report.seq,
        hash: report.hash,
        broken: report.broken.map(|broken| AuditBreak {
            seq: broken.seq,
            id: broken.id,
            what: broken.what.to_owned(),
        }),
    })
}

/// Lines of the log, newest first.
///
/// # Errors
/// The database failed.
pub async fn list(
    core: &Core,
    scope: Scope,
    filter: AuditFilter,
    window: Window,
) -> ApiResult<Page<AuditEntry>> {
    let rows = query(scope, &filter, window).all(core.db.read()).await?;
    let page = window.page(rows, |row| row.id, to_wire);
    Ok(Page {
        items: page.items.into_iter().collect::<ApiResult<_>>()?,
        next_cursor: page.next_cursor,
    })
}

fn to_wire(row: audit::Model) -> ApiResult<AuditEntry> {
    let read = |text: &str| {
        serde_json::from_str(text).map_err(|error| ApiError::internal("audit", &error))
    };
    Ok(AuditEntry {
        id: row.id,
        at: from_ms(row.at),
        actor_kind: row.actor_kind,
        actor: row.actor,
        remote_addr: row.remote_addr,
        request_id: row.request_id,
        seq: row.seq,
        hash: row.hash,
        action: row.action,
        subject_kind: row.subject_kind,
        subject_id: row.subject_id,
        subject: row.subject,
        before: read(&row.before)?,
        after: read(&row.after)?,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_row_is_opened_and_masked() {
        let row = entity::rule::Model {
            id: Uuid::nil(),
            workspace_id: Uuid::nil(),
            source_id: None,
            name: "a".to_owned(),
            priority: 10,
            seq: 1,
            enabled: true,
            spec: json!({"then": [{"headers": {"authorization": "Bearer x"}}]}).to_string(),
            revision: 1,
            created_at: 1,
            updated_at: 2,
        };
        let columns = shown(&row);
        assert_eq!(
            columns["spec"],
            json!({"then": [{"headers": {"authorization": mask::MASK}}]})
        );
        assert_eq!(columns["source_id"], Value::Null);
        assert_eq!(columns["priority"], json!(10));
        assert!(!columns.contains_key("updated_at"));
    }
}
