//! What a workspace asks of its people, and who may ask to join it.

use entity::{self_registration, workspace};
use openapi::people::{ChangeMemberPolicy, MemberPolicy, SelfRegistration};
use openapi::problem::{Code, FieldError};
use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveModelTrait as _, ColumnTrait as _, ConnectionTrait, DbErr, EntityTrait as _,
    IntoActiveModel as _, QueryFilter as _,
};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::post;
use super::rights::{OWNER, may_give};
use crate::auth::{Caller, permissions_of};
use crate::clock::Clock;
use crate::core::Core;
use crate::http::problem::{ApiError, ApiResult};
use crate::scope::Scope;
use crate::services::audit::{self, Act, Actor};
use crate::services::change::Change;
use crate::services::validate::error;

/// Domains that one workspace may name.
const MOST_DOMAINS: usize = 50;

/// What the workspace asks of its people.
///
/// # Errors
/// The database failed.
pub async fn policy(core: &Core, scope: Scope) -> ApiResult<MemberPolicy> {
    let found = load(core.db.read(), scope).await?;
    found.ok_or_else(ApiError::not_found)
}

/// The policy as it is stored; none: there is no such workspace.
///
/// # Errors
/// The database failed.
pub async fn load(db: &impl ConnectionTrait, scope: Scope) -> Result<Option<MemberPolicy>, DbErr> {
    let id = scope.workspace();
    let Some(row) = workspace::Entity::find_by_id(id).one(db).await? else {
        return Ok(None);
    };
    let own = self_registration::Entity::find_by_id(id).one(db).await?;
    Ok(Some(MemberPolicy {
        require_second_factor: row.require_second_factor,
        self_registration: own.map(to_wire).unwrap_or_default(),
    }))
}

/// A stored row. Domains that cannot be read let nobody ask.
pub(super) fn to_wire(row: self_registration::Model) -> SelfRegistration {
    SelfRegistration {
        enabled: row.enabled,
        email_domains: serde_json::from_str(&row.email_domains).unwrap_or_default(),
        role: row.role,
        automatic: row.automatic,
    }
}

/// Changes what the workspace asks of its people.
///
/// # Errors
/// 403 for a role that the caller may not hand out, 409 for self-registration without mail, 422 for
/// faults.
pub async fn change_policy(
    core: &Core,
    caller: &Caller,
    wanted: ChangeMemberPolicy,
) -> ApiResult<MemberPolicy> {
    let change = Change::begin(core).await?;
    let scope = caller.scope;
    let before = load(&change.txn, scope).await?;
    let before = before.ok_or_else(ApiError::not_found)?;
    let mut after = before.clone();
    if let Some(needed) = wanted.require_second_factor {
        after.require_second_factor = needed;
    }
    if let Some(own) = wanted.self_registration {
        after.self_registration = tidy(own);
        let own = &after.self_registration;
        ApiError::refuse(faults(own, ""))?;
        if own.enabled && *own != before.self_registration {
            may_give(&change.txn, caller, &own.role)
                .await
                .map_err(inside)?;
            if !post::can_send(core) {
                return Err(ApiError::new(Code::MailNotConfigured).detail(
                    "People register by a mailed link. Set smtp_host and mail_from first.",
                ));
            }
        }
    }
    let by = Actor::of(caller);
    write(&change.txn, &core.clock, scope, &by, (&before, &after)).await?;
    change.commit().await?;
    Ok(after)
}

/// The fault of a role, where the role stands.
fn inside(mut error: ApiError) -> ApiError {
    for fault in &mut error.errors {
        fault.field = "self_registration.role".to_owned();
    }
    error
}

/// Domains in lower case, each once.
pub fn tidy(mut own: SelfRegistration) -> SelfRegistration {
    for domain in &mut own.email_domains {
        *domain = domain.trim().trim_start_matches('@').to_lowercase();
    }
    own.email_domains.sort();
    own.email_domains.dedup();
    own
}

/// What is wrong with it, whatever the workspace.
pub fn faults(own: &SelfRegistration, at: &str) -> Vec<FieldError> {
    let mut faults = Vec::new();
    let place = |name: &str| format!("{at}self_registration.{name}");
    if own.enabled && own.email_domains.is_empty() {
        let text = "at least one domain of addresses";
        faults.push(error(&place("email_domains"), "required", text));
    }
    if own.email_domains.len() > MOST_DOMAINS {
        let text = format!("at most {MOST_DOMAINS} domains");
        faults.push(error(&place("email_domains"), "too_many", text));
    }
    if !own.email_domains.iter().all(|domain| is_domain(domain)) {
        let text = "domains of addresses, as example.com";
        faults.push(error(&place("email_domains"), "bad_domain", text));
    }
    if own.role == OWNER {
        let text = "an owner is made by an owner";
        faults.push(error(&place("role"), "not_allowed", text));
    }
    faults
}

fn is_domain(text: &str) -> bool {
    let part = |part: &str| {
        let letters = |c: char| c.is_alphanumeric() || c == '-';
        !part.is_empty() && part.chars().all(letters)
    };
    text.len() <= 253 && text.split('.').all(part)
}

/// Whether the role of a policy is there.
///
/// # Errors
/// The database failed.
pub async fn has_role(
    db: &impl ConnectionTrait,
    scope: Scope,
    own: &SelfRegistration,
) -> Result<bool, DbErr> {
    let found = permissions_of(db, scope.workspace(), &own.role).await?;
    Ok(found.is_some())
}

/// Writes what has changed, with its line in the audit log.
///
/// # Errors
/// The database failed.
pub async fn write(
    txn: &impl ConnectionTrait,
    clock: &Clock,
    scope: Scope,
    by: &Actor,
    (before, after): (&MemberPolicy, &MemberPolicy),
) -> Result<(), DbErr> {
    if before == after {
        return Ok(());
    }
    let id = scope.workspace();
    let (mut old, mut new) = (Map::new(), Map::new());
    if before.require_second_factor != after.require_second_factor {
        let needed = after.require_second_factor;
        workspace::Entity::update_many()
            .col_expr(workspace::Column::RequireSecondFactor, Expr::value(needed))
            .filter(workspace::Column::Id.eq(id))
            .exec(txn)
            .await?;
        old.insert("require_second_factor".to_owned(), json!(!needed));
        new.insert("require_second_factor".to_owned(), json!(needed));
    }
    if before.self_registration != after.self_registration {
        store(txn, id, &after.self_registration).await?;
        let shown = |own: &SelfRegistration| serde_json::to_value(own).unwrap_or_default();
        let key = "self_registration".to_owned();
        old.insert(key.clone(), shown(&before.self_registration));
        new.insert(key, shown(&after.self_registration));
    }
    let slug = workspace::Entity::find_by_id(id).one(txn).await?;
    let act = Act {
        action: "member.policy",
        kind: "workspace",
        id: Some(id),
        name: slug.as_ref().map_or("", |row| row.slug.as_str()),
        before: Value::Object(old),
        after: Value::Object(new),
    };
    audit::note(txn, clock, scope, by, act).await
}

async fn store(txn: &impl ConnectionTrait, id: Uuid, own: &SelfRegistration) -> Result<(), DbErr> {
    let row = self_registration::Model {
        workspace_id: id,
        enabled: own.enabled,
        email_domains: serde_json::json!(own.email_domains).to_string(),
        role: own.role.clone(),
        automatic: own.automatic,
    };
    let known = self_registration::Entity::find_by_id(id).one(txn).await?;
    let row = row.into_active_model().reset_all();
    if known.is_some() {
        self_registration::Entity::update(row).exec(txn).await?;
    } else {
        self_registration::Entity::insert(row)
            .exec_without_returning(txn)
            .await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(domains: &[&str]) -> SelfRegistration {
        tidy(SelfRegistration {
            enabled: true,
            email_domains: domains.iter().map(|&one| one.to_owned()).collect(),
            ..SelfRegistration::default()
        })
    }

    #[test]
    fn domains_are_domains() {
        assert!(faults(&of(&["Example.com", "@b.example"]), "").is_empty());
        assert_eq!(
            of(&["Example.com", "@example.com"]).email_domains,
            ["example.com"]
        );
        for bad in ["*", "a@b", "exa mple.com", ".com", "a..b", ""] {
            assert_eq!(faults(&of(&[bad]), "").len(), 1, "{bad}");
        }
        assert_eq!(faults(&of(&[]), "").len(), 1);
        let off = SelfRegistration::default();
        assert!(faults(&off, "").is_empty());
        let king = SelfRegistration {
            role: OWNER.to_owned(),
            ..off
        };
        assert_eq!(faults(&king, "")[0].field, "self_registration.role");
    }
}
