//! Rules: firewall lines.

mod compare;
mod order;
mod restore;
mod revisions;
mod then;
mod write;

use entity::{rule, source};
use openapi::problem::FieldError;
use openapi::rules::Rule;
use sea_orm::{
    ColumnTrait as _, ConnectionTrait, EntityTrait as _, QueryFilter as _, QueryOrder as _,
};
use uuid::Uuid;

use super::names;
use super::sources::stored;
use super::validate::{Kinds, validate_rule, within};
use crate::clock::from_ms;
use crate::connectors::Registry;
use crate::core::Core;
use crate::http::problem::{ApiError, ApiResult};
use crate::scope::Scope;

pub use order::reorder;
pub use restore::restore;
pub use revisions::{catch_up, difference, query as revisions_query, record, revisions};
pub use then::{RulesThen, Unknown};
pub use write::{change, create, delete, duplicate};

/// All rules of the workspace in the order in which they are asked.
///
/// # Errors
/// The database failed.
pub async fn list(core: &Core, scope: Scope) -> ApiResult<Vec<Rule>> {
    let rows = rows(core.db.read(), scope).await?;
    to_wire(core, scope, rows).await
}

/// One rule.
///
/// # Errors
/// 404.
pub async fn get(core: &Core, scope: Scope, id: Uuid) -> ApiResult<Rule> {
    let row = find(core.db.read(), scope, id).await?;
    to_wire(core, scope, vec![row])
        .await?
        .pop()
        .ok_or_else(ApiError::not_found)
}

pub(super) async fn rows(db: &impl ConnectionTrait, scope: Scope) -> ApiResult<Vec<rule::Model>> {
    Ok(rule::Entity::find()
        .filter(rule::Column::WorkspaceId.eq(scope.workspace()))
        .order_by_asc(rule::Column::Priority)
        .order_by_asc(rule::Column::Seq)
        .all(db)
        .await?)
}

async fn find(db: &impl ConnectionTrait, scope: Scope, id: Uuid) -> ApiResult<rule::Model> {
    rule::Entity::find_by_id(id)
        .filter(rule::Column::WorkspaceId.eq(scope.workspace()))
        .one(db)
        .await?
        .ok_or_else(ApiError::not_found)
}

/// The id of a source by its slug.
///
/// # Errors
/// 422 at `source`.
pub(super) async fn source_id(
    db: &impl ConnectionTrait,
    scope: Scope,
    slug: Option<&str>,
) -> ApiResult<Option<Uuid>> {
    let Some(slug) = slug else { return Ok(None) };
    let row = source::Entity::find()
        .filter(source::Column::WorkspaceId.eq(scope.workspace()))
        .filter(source::Column::Slug.eq(slug))
        .one(db)
        .await?;
    row.map(|row| Some(row.id)).ok_or_else(|| {
        ApiError::invalid(
            "source",
            "unknown_source",
            "The workspace has no source of that slug.",
        )
    })
}

/// Why a saved rule is quarantined. A missing connector or field makes its deliveries fail, not the
/// rule; it is quarantined by what the engine cannot compile.
fn faults_of(registry: &Registry, kinds: &Kinds, row: &rule::Model) -> Vec<FieldError> {
    match serde_json::from_str(&row.spec) {
        Ok(spec) => within("spec", validate_rule(registry, kinds, &spec)),
        Err(_) => vec![crate::http::problem::field_error(
            "spec",
            "unreadable",
            "The stored rule cannot be read.",
        )],
    }
}

async fn to_wire(core: &Core, scope: Scope, rows: Vec<rule::Model>) -> ApiResult<Vec<Rule>> {
    let slugs = names::sources(core.db.read(), scope).await?;
    let kinds = names::kinds(core.db.read(), scope).await?;
    rows.into_iter()
        .map(|row| {
            let faults = faults_of(&core.registry, &kinds, &row);
            let validity = if faults.is_empty() {
                "valid"
            } else {
                "quarantined"
            };
            Ok(Rule {
                id: row.id,
                name: row.name,
                source: row.source_id.and_then(|id| slugs.get(&id).cloned()),
                priority: row.priority,
                enabled: row.enabled,
                spec: stored("rule.spec", &row.spec)?,
                validity: validity.to_owned(),
                faults,
                revision: row.revision,
                created_at: from_ms(row.created_at),
                updated_at: from_ms(row.updated_at),
            })
        })
        .collect()
}
