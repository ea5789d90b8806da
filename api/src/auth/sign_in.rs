//! People: signing in and out, and the callers that their sessions make.

use actix_web::HttpRequest;
use actix_web::http::{Method, header};
use engine::secret::constant_time_eq;
use entity::{member, user, workspace};
use openapi::problem::Code;
use sea_orm::{ColumnTrait as _, EntityTrait as _, QueryFilter as _, QueryOrder as _};
use uuid::Uuid;

use super::authenticator::{Authenticator, wanted_workspace};
use super::caller::{Actor, Caller, Means};
use super::permission::permissions_of;
use super::sessions::{self, COOKIE, CSRF_HEADER, SECURE_COOKIE, SignedIn};
use super::tries::{Tries, limiter_key};
use super::verify_password;
use crate::http::problem::{ApiError, ApiResult};
use crate::scope::Scope;

impl Authenticator {
    pub(super) async fn by_session(&self, req: &HttpRequest) -> ApiResult<Caller> {
        let signed_in = self.session(req).await?;
        self.meter_person(req, signed_in.user.id).await?;
        let memberships = self.memberships(signed_in.user.id).await?;
        let wanted = wanted_workspace(req)?;
        let chosen = memberships
            .into_iter()
            .find(|(w, _)| wanted.as_ref().is_none_or(|slug| *slug == w.slug));
        let Some((workspace, role)) = chosen else {
            return Err(match wanted {
                Some(_) => ApiError::not_found().detail("There is no such workspace."),
                None => ApiError::new(Code::ScopeMissing)
                    .detail("This account belongs to no workspace."),
            });
        };
        let permissions = permissions_of(self.core.db.read(), workspace.id, &role).await?;
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
                email: signed_in.user.email,
            },
            permissions: permissions.unwrap_or_default().into(),
            address: self.address(req),
            means,
        })
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

    /// The workspaces that a person may enter, oldest first, each with the role.
    ///
    /// # Errors
    /// The database failed.
    pub async fn memberships(&self, user: Uuid) -> ApiResult<Vec<(workspace::Model, String)>> {
        let roles = member::Entity::find()
            .filter(member::Column::UserId.eq(user))
            .all(self.core.db.read())
            .await?;
        let workspaces = workspace::Entity::find()
            .filter(workspace::Column::Id.is_in(roles.iter().map(|m| m.workspace_id)))
            .order_by_asc(workspace::Column::Id)
            .all(self.core.db.read())
            .await?;
        Ok(workspaces
            .into_iter()
            .filter_map(|w| {
                let role = roles.iter().find(|m| m.workspace_id == w.id)?.role.clone();
                Some((w, role))
            })
            .collect())
    }

    /// Signs a person in and returns the person and the token for the cookie. Unknown accounts and
    /// wrong passwords get the same answer after the same time.
    ///
    /// # Errors
    /// 401, or 429 after too many failures.
    pub async fn login(
        &self,
        req: &HttpRequest,
        email: &str,
        password: &str,
    ) -> ApiResult<(user::Model, String)> {
        let address = self.address(req);
        let email = email.trim().to_lowercase();
        let by_address = limiter_key(address);
        let by_account = super::digest(&email);
        let wait = self
            .wait(Tries::LoginsOfAddress, &by_address)
            .await
            .max(self.wait(Tries::LoginsOfAccount, &by_account).await);
        if let Some(seconds) = wait {
            return Err(ApiError::new(Code::RateLimited)
                .detail("Too many failed sign-ins; wait before the next.")
                .retry_after(seconds));
        }
        let found = user::Entity::find()
            .filter(user::Column::Email.eq(&email))
            .one(self.core.db.read())
            .await?;
        let hash = found.as_ref().map(|user| user.password_hash.as_str());
        let fits = verify_password(password, hash).await?;
        let Some(user) = found.filter(|_| fits) else {
            self.failed(Tries::LoginsOfAddress, &by_address).await;
            self.failed(Tries::LoginsOfAccount, &by_account).await;
            return Err(ApiError::new(Code::LoginFailed));
        };
        self.succeeded(Tries::LoginsOfAddress, &by_address).await;
        self.succeeded(Tries::LoginsOfAccount, &by_account).await;
        let agent = req
            .headers()
            .get(header::USER_AGENT)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        let token = sessions::start(&self.core, &user, address, agent).await?;
        Ok((user, token))
    }

    /// Ends a session.
    ///
    /// # Errors
    /// The database failed.
    pub async fn logout(&self, signed_in: &SignedIn) -> ApiResult<()> {
        Ok(sessions::end(&self.core, &signed_in.token_hash).await?)
    }
}

fn is_safe(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

/// The token of the session's cookie.
fn session_cookie(req: &HttpRequest) -> Option<String> {
    req.cookie(SECURE_COOKIE)
        .or_else(|| req.cookie(COOKIE))
        .map(|cookie| cookie.value().to_owned())
        .filter(|token| !token.is_empty() && token.len() <= 100)
}
