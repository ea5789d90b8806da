//! From what a provider says to an account here and its role.

use entity::{identity, member, user, workspace};
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, ConnectionTrait, EntityTrait as _, QueryFilter as _,
};
use serde_json::{Value, json};
use uuid::Uuid;

use super::provider::{Provider, Refused, Said};
use crate::auth::permissions_of;
use crate::core::Core;
use crate::http::problem::{ApiError, ApiResult};
use crate::ids;
use crate::mail::EmailAddress;
use crate::scope::Scope;
use crate::services::audit::{self, Act, Actor};

/// Longest name of a person, in characters.
const NAME: usize = 100;

/// The account of a person, with its role as the provider says; or why the person is refused.
pub(super) async fn settle(
    core: &Core,
    provider: &Provider,
    said: &Said,
) -> ApiResult<Result<user::Model, Refused>> {
    let email = said.email.as_deref().map(EmailAddress::parse);
    let Some(Ok(email)) = email else {
        return Ok(Err("the address is not verified"));
    };
    if !provider.takes(email.domain()) {
        return Ok(Err("the domain of the address is not allowed"));
    }
    if !provider.admits(said) {
        return Ok(Err("the person is in none of the organizations"));
    }
    let Some(role) = provider.role(said) else {
        return Ok(Err("no role fits"));
    };
    let home = workspace::Entity::find()
        .filter(workspace::Column::Slug.eq(&provider.workspace))
        .one(core.db.read())
        .await?;
    let Some(home) = home else {
        return Ok(Err("the workspace of the provider's entry does not exist"));
    };
    if permissions_of(core.db.read(), home.id, role)
        .await?
        .is_none()
    {
        return Ok(Err("the role of the provider's entry does not exist"));
    }
    let scope = Scope::granted(home.id);
    let by = Actor::system(&format!("provider {}", provider.name));
    let txn = core.db.begin().await?;
    let found = find_or_make(core, &txn, provider, said, &email).await?;
    let (user, how) = match found {
        Ok(found) => found,
        Err(reason) => return Ok(Err(reason)),
    };
    if user.disabled_at.is_some() {
        return Ok(Err("the account is switched off"));
    }
    if let Some(action) = how {
        let act = Act {
            action,
            kind: "person",
            id: Some(user.id),
            name: &user.email,
            before: Value::Null,
            after: json!({ "issuer": provider.issuer }),
        };
        audit::note(&txn, &core.clock, scope, &by, act).await?;
    }
    if let Some(before) = set_role(
        &txn,
        (home.id, user.id),
        role,
        provider,
        core.clock.now_ms(),
    )
    .await?
    {
        let act = Act {
            action: "member.role",
            kind: "person",
            id: Some(user.id),
            name: &user.email,
            before: before.map_or(Value::Null, |role| json!({ "role": role })),
            after: json!({ "role": role }),
        };
        audit::note(&txn, &core.clock, scope, &by, act).await?;
    }
    txn.commit().await?;
    Ok(Ok(user))
}

/// Writes why somebody who is known to the provider was refused.
pub(super) async fn note_refusal(
    core: &Core,
    provider: &Provider,
    reason: Refused,
) -> ApiResult<()> {
    let home = workspace::Entity::find()
        .filter(workspace::Column::Slug.eq(&provider.workspace))
        .one(core.db.read())
        .await?;
    let Some(home) = home else {
        return Ok(());
    };
    let act = Act {
        action: "provider.refused",
        kind: "provider",
        id: None,
        name: &provider.name,
        before: Value::Null,
        after: json!({ "reason": reason }),
    };
    let by = Actor::system(&format!("provider {}", provider.name));
    audit::note(
        core.db.write(),
        &core.clock,
        Scope::granted(home.id),
        &by,
        act,
    )
    .await?;
    Ok(())
}

type Found = Result<(user::Model, Option<&'static str>), Refused>;

/// The account, and what was done to get it.
async fn find_or_make(
    core: &Core,
    txn: &impl ConnectionTrait,
    provider: &Provider,
    said: &Said,
    email: &EmailAddress,
) -> ApiResult<Found> {
    let now = core.clock.now_ms();
    let key = (provider.issuer.clone(), said.subject.clone());
    if let Some(known) = identity::Entity::find_by_id(key.clone()).one(txn).await? {
        let user = user::Entity::find_by_id(known.user_id).one(txn).await?;
        let Some(user) = user else {
            return Ok(Err("the account is gone"));
        };
        identity::Entity::update(identity::ActiveModel {
            issuer: Set(key.0),
            subject: Set(key.1),
            last_used_at: Set(now),
            ..Default::default()
        })
        .exec(txn)
        .await?;
        return Ok(Ok((user, None)));
    }
    let there = user::Entity::find()
        .filter(user::Column::Email.eq(email.as_str()))
        .one(txn)
        .await?;
    let (user, how) = match there {
        Some(_) if !provider.link_by_email => {
            return Ok(Err("an account has this address, and link_by_email is off"));
        }
        Some(user) => (user, "user.link"),
        None if !provider.create_accounts => {
            return Ok(Err("there is no account, and create_accounts is off"));
        }
        None => (make(core, txn, said, email).await?, "user.create"),
    };
    identity::Entity::insert(identity::ActiveModel {
        issuer: Set(key.0),
        subject: Set(key.1),
        user_id: Set(user.id),
        created_at: Set(now),
        last_used_at: Set(now),
    })
    .exec_without_returning(txn)
    .await?;
    Ok(Ok((user, Some(how))))
}

/// An account without a password.
async fn make(
    core: &Core,
    txn: &impl ConnectionTrait,
    said: &Said,
    email: &EmailAddress,
) -> ApiResult<user::Model> {
    let shown = said.name.as_deref().unwrap_or_default();
    let shown: String = shown
        .chars()
        .filter(|c| !c.is_control())
        .take(NAME)
        .collect();
    let name = match shown.trim() {
        "" => email.as_str().split('@').next().unwrap_or_default(),
        name => name,
    };
    let id = ids::new(&core.clock);
    user::Entity::insert(user::ActiveModel {
        id: Set(id),
        email: Set(email.as_str().to_owned()),
        name: Set(name.to_owned()),
        // No password fits.
        password_hash: Set(String::new()),
        created_at: Set(core.clock.now_ms()),
        ..Default::default()
    })
    .exec_without_returning(txn)
    .await?;
    let made = user::Entity::find_by_id(id).one(txn).await?;
    made.ok_or_else(|| ApiError::internal("provider", &"the account that was made is gone"))
}

/// Gives the person the role; returns the one before if it was another. An owner stays one: a
/// workspace must not lose its last by a claim.
async fn set_role(
    txn: &impl ConnectionTrait,
    (workspace, user): (Uuid, Uuid),
    role: &str,
    provider: &Provider,
    now: i64,
) -> ApiResult<Option<Option<String>>> {
    let row = member::Entity::find_by_id((workspace, user))
        .one(txn)
        .await?;
    match row {
        None => {
            member::Entity::insert(member::ActiveModel {
                workspace_id: Set(workspace),
                user_id: Set(user),
                role: Set(role.to_owned()),
                created_at: Set(now),
                ..Default::default()
            })
            .exec_without_returning(txn)
            .await?;
            Ok(Some(None))
        }
        Some(row) if row.role == role || row.role == "owner" || !provider.decides_roles() => {
            Ok(None)
        }
        Some(row) => {
            member::Entity::update(member::ActiveModel {
                workspace_id: Set(workspace),
                user_id: Set(user),
                role: Set(role.to_owned()),
                ..Default::default()
            })
            .exec(txn)
            .await?;
            Ok(Some(Some(row.role)))
        }
    }
}
