//! Callers who are people: their sessions, and what they may do in a workspace.

use actix_web::http::Method;
use actix_web::{FromRequest, HttpMessage as _, HttpRequest, dev::Payload};
use engine::secret::constant_time_eq;
use entity::{member, workspace};
use openapi::problem::Code;
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait as _, EntityTrait as _, QueryFilter as _, QueryOrder as _};
use std::future::{Ready, ready};
use std::net::IpAddr;
use uuid::Uuid;

use super::authenticator::{Authenticator, wanted_workspace};
use super::caller::{Actor, Caller, Means};
use super::permission::{Permission, permissions_of};
use super::sessions::{self, COOKIE, CSRF_HEADER, SECURE_COOKIE, SignedIn};
use crate::http::problem::{ApiError, ApiResult};
use crate::scope::Scope;
use crate::services::people::has_second_factor;

const MINUTE_MS: i64 = 60_000;

/// A person who is signed in, whatever the workspace: for what concerns the account only.
#[derive(Clone, Debug)]
pub struct Person {
    /// The session.
    pub signed_in: SignedIn,
    /// Where the request came from.
    pub address: IpAddr,
}

impl FromRequest for Person {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        // A route that forgot to say what it needs is closed.
        let person = req.extensions().get::<Person>().cloned();
        ready(person.ok_or_else(|| ApiError::new(Code::Unauthenticated)))
    }
}

impl Authenticator {
    pub(super) async fn by_session(&self, req: &HttpRequest) -> ApiResult<Caller> {
        let core = &self.core;
        let signed_in = self.session(req).await?;
        self.meter_person(req, signed_in.user.id).await?;
        let memberships = self.memberships(signed_in.user.id).await?;
        let wanted = wanted_workspace(req)?;
        let chosen = memberships
            .into_iter()
            .find(|(w, _)| wanted.as_ref().is_none_or(|slug| *slug == w.slug));
        let Some((workspace, member)) = chosen else {
            return Err(match wanted {
                Some(_) => ApiError::not_found().detail("There is no such workspace."),
                None => ApiError::new(Code::ScopeMissing)
                    .detail("This account belongs to no workspace."),
            });
        };
        let has_both = signed_in.strong || has_second_factor(&signed_in.user);
        if workspace.require_second_factor && !has_both {
            return Err(ApiError::new(Code::SecondFactorMissing)
                .detail("This workspace asks for a second factor; set one up in your profile."));
        }
        let now = core.clock.now_ms();
        if member.seen_at.is_none_or(|at| now - at >= MINUTE_MS) {
            member::Entity::update_many()
                .col_expr(member::Column::SeenAt, Expr::value(now))
                .filter(member::Column::WorkspaceId.eq(workspace.id))
                .filter(member::Column::UserId.eq(signed_in.user.id))
                .exec(core.db.write())
                .await?;
        }
        let permissions = permissions_of(core.db.read(), workspace.id, &member.role).await?;
        let means = Means {
            kind: "session",
            name: signed_in.user.email.clone(),
            slot: None,
            network: None,
            skew_seconds: None,
        };
        Ok(Caller {
            scope: Scope::granted(workspace.id),
            actor: Actor::Person {
                user_id: signed_in.user.id,
                email: signed_in.user.email.clone(),
            },
            permissions: permissions.unwrap_or_default().into(),
            address: self.address(req),
            means,
            session: Some(signed_in.into()),
        })
    }

    /// The person of a request, for what concerns the account.
    ///
    /// # Errors
    /// 401 without a living session, 403 without the token of a write.
    pub(super) async fn person(&self, req: &HttpRequest) -> ApiResult<Person> {
        Ok(Person {
            signed_in: self.session(req).await?,
            address: self.address(req),
        })
    }

    /// Refuses what is dangerous when the person showed who it is some time ago.
    ///
    /// # Errors
    /// 403.
    pub(super) fn must_be_fresh(&self, signed_in: &SignedIn) -> ApiResult<()> {
        let core = &self.core;
        let longest = i64::from(core.settings.confirm_minutes) * MINUTE_MS;
        // What a clock that was set says about it is left out.
        let since = core.clock.now_ms() - core.clock.steady(signed_in.proved_at);
        if since < longest {
            return Ok(());
        }
        Err(ApiError::new(Code::ReauthenticationRequired)
            .detail("Confirm with your password or a code, then do it again."))
    }

    /// The session of a request; a write must carry its token.
    ///
    /// # Errors
    /// 401 without a living session, 403 without the token.
    pub async fn session(&self, req: &HttpRequest) -> ApiResult<SignedIn> {
        let token = session_cookie(req).ok_or_else(|| ApiError::new(Code::Unauthenticated))?;
        let signed_in = sessions::find(&self.core, &token)
            .await?
            .ok_or_else(|| ApiError::new(Code::Unauthenticated))?;
        if !is_safe(req.method()) {
            let carried = req
                .headers()
                .get(CSRF_HEADER)
                .map_or(&[] as &[u8], |value| value.as_bytes());
            if !constant_time_eq(carried, signed_in.csrf_token.as_bytes()) {
                return Err(ApiError::new(Code::CsrfMissing)
                    .detail("Send the session's csrf_token as X-CSRF-Token."));
            }
        }
        Ok(signed_in)
    }

    /// Whether a caller whose request goes on for long may still do this. One with a credential is
    /// asked again with the next request only.
    ///
    /// # Errors
    /// The database failed.
    pub async fn still_may(&self, caller: &Caller, permission: Permission) -> ApiResult<bool> {
        let core = &self.core;
        let Some(signed_in) = &caller.session else {
            return Ok(true);
        };
        if !sessions::goes_on(core, &signed_in.token_hash).await? {
            return Ok(false);
        }
        let workspace = caller.scope.workspace();
        let member = member::Entity::find_by_id((workspace, signed_in.user.id))
            .one(core.db.read())
            .await?;
        let Some(member) = member.filter(|member| member.enabled) else {
            return Ok(false);
        };
        let permissions = permissions_of(core.db.read(), workspace, &member.role).await?;
        Ok(permissions.is_some_and(|all| all.contains(&permission)))
    }

    /// The workspaces that a person may enter, oldest first, each with the membership.
    ///
    /// # Errors
    /// The database failed.
    pub async fn memberships(
        &self,
        user: Uuid,
    ) -> ApiResult<Vec<(workspace::Model, member::Model)>> {
        let members = member::Entity::find()
            .filter(member::Column::UserId.eq(user))
            .filter(member::Column::Enabled.eq(true))
            .all(self.core.db.read())
            .await?;
        let workspaces = workspace::Entity::find()
            .filter(workspace::Column::Id.is_in(members.iter().map(|m| m.workspace_id)))
            .order_by_asc(workspace::Column::Id)
            .all(self.core.db.read())
            .await?;
        Ok(workspaces
            .into_iter()
            .filter_map(|w| {
                let member = members.iter().find(|m| m.workspace_id == w.id)?.clone();
                Some((w, member))
            })
            .collect())
    }
}

fn is_safe(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

/// The token of the session's cookie.
pub(super) fn session_cookie(req: &HttpRequest) -> Option<String> {
    req.cookie(SECURE_COOKIE)
        .or_else(|| req.cookie(COOKIE))
        .map(|cookie| cookie.value().to_owned())
        .filter(|token| !token.is_empty() && token.len() <= 100)
}
