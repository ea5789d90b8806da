//! From a request to a caller.

use std::net::IpAddr;
use std::sync::Arc;

use actix_web::http::{Method, header};
use actix_web::{FromRequest, HttpMessage as _, HttpRequest, dev::Payload};
use engine::secret::constant_time_eq;
use entity::{member, user, workspace};
use openapi::problem::Code;
use sea_orm::{ColumnTrait as _, EntityTrait as _, QueryFilter as _, QueryOrder as _};
use std::future::{Ready, ready};
use uuid::Uuid;

use super::credentials::Credentials;
use super::permission::{Permission, Role};
use super::sessions::{self, COOKIE, CSRF_HEADER, SECURE_COOKIE, SignedIn};
use super::{client_address, in_networks, verify_password};
use crate::core::Core;
use crate::http::problem::{ApiError, ApiResult};
use crate::limits::{Key, Rate};
use crate::scope::Scope;

/// Header that picks the workspace of a request.
pub const WORKSPACE_HEADER: &str = "x-workspace";

/// Who a request came from.
#[derive(Clone, Debug)]
pub enum Actor {
    /// A person with a session.
    Person {
        /// The person.
        user_id: Uuid,
        /// Address of the account.
        email: String,
    },
    /// A client with a credential.
    Credential {
        /// The credential.
        id: Uuid,
        /// Its public name.
        client_id: String,
    },
}

/// An authenticated caller who may do what the route needs. Only the authenticator makes one.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The workspace that the request acts in.
    pub scope: Scope,
    /// Who it is.
    pub actor: Actor,
    /// All that the caller may do in this workspace.
    pub permissions: Arc<[Permission]>,
    /// Where the request came from.
    pub address: IpAddr,
}

impl Caller {
    /// Refuses what this caller may not do, for what a route needs beside its own permission.
    ///
    /// # Errors
    /// 403.
    pub fn must(&self, permission: Permission) -> ApiResult<()> {
        if self.permissions.contains(&permission) {
            return Ok(());
        }
        Err(ApiError::new(Code::ScopeMissing)
            .detail(format!("This needs the scope {}.", permission.word())))
    }
}

impl FromRequest for Caller {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        // A route that forgot to say what it needs is closed.
        let caller = req.extensions().get::<Caller>().cloned();
        ready(caller.ok_or_else(|| ApiError::new(Code::Unauthenticated)))
    }
}

/// Finds out who asks. One per process, shared by the threads.
pub struct Authenticator {
    core: Core,
    credentials: Credentials,
}

/// Failures that somebody may make, on all nodes together.
#[derive(Clone, Copy)]
enum Tries {
    /// Sign-ins from an address.
    LoginsOfAddress,
    /// Sign-ins to an account.
    LoginsOfAccount,
    /// Bearer tokens from an address.
    BearersOfAddress,
}

impl Tries {
    fn rate(self) -> Rate {
        match self {
            Self::LoginsOfAddress => Rate::one_every(30, 10),
            Self::LoginsOfAccount => Rate::one_every(30, 20),
            Self::BearersOfAddress => Rate::one_every(5, 20),
        }
    }

    fn key(self, whose: &str) -> Key {
        let kind = match self {
            Self::LoginsOfAddress => "logins-of-address",
            Self::LoginsOfAccount => "logins-of-account",
            Self::BearersOfAddress => "bearers-of-address",
        };
        Key::Failures(kind, whose.to_owned())
    }
}

impl Authenticator {
    /// With empty caches.
    pub fn new(core: Core) -> Self {
        Self {
            core,
            credentials: Credentials::default(),
        }
    }

    /// Seconds until they may try again; none: now.
    async fn wait(&self, tries: Tries, whose: &str) -> Option<u64> {
        let limits = &self.core.limits;
        let wait = limits.wait(&tries.key(whose), tries.rate()).await?;
        Some(
            wait.as_millis()
                .div_ceil(1000)
                .try_into()
                .unwrap_or(u64::MAX),
        )
    }

    async fn failed(&self, tries: Tries, whose: &str) {
        let limits = &self.core.limits;
        limits.drain(&tries.key(whose), tries.rate()).await;
    }

    async fn succeeded(&self, tries: Tries, whose: &str) {
        self.core.limits.fill(&tries.key(whose)).await;
    }

    /// Where a request came from.
    pub fn address(&self, req: &HttpRequest) -> IpAddr {
        client_address(
            req.peer_addr(),
            req.headers(),
            &self.core.settings.trusted_proxies,
        )
    }

    /// The caller, if it may do this; without a permission, any caller who is known.
    ///
    /// # Errors
    /// 401, 403, or 404 for a workspace that is not the caller's.
    pub async fn caller(
        &self,
        req: &HttpRequest,
        permission: Option<Permission>,
    ) -> ApiResult<Caller> {
        let caller = match bearer_token(req)? {
            Some(token) => self.by_bearer(req, &token).await?,
            None => self.by_session(req).await?,
        };
        if let Some(permission) = permission {
            caller.must(permission)?;
        }
        Ok(caller)
    }

    async fn by_bearer(&self, req: &HttpRequest, token: &str) -> ApiResult<Caller> {
        let address = self.address(req);
        let key = limiter_key(address);
        if let Some(seconds) = self.wait(Tries::BearersOfAddress, &key).await {
            return Err(ApiError::new(Code::RateLimited).retry_after(seconds));
        }
        let Some(known) = self.credentials.verify(&self.core, token).await? else {
            self.failed(Tries::BearersOfAddress, &key).await;
            return Err(ApiError::new(Code::Unauthenticated));
        };
        if !in_networks(address, &known.networks) {
            return Err(ApiError::new(Code::AddressNotAllowed)
                .detail("The credential may not be used from this address."));
        }
        if let Some(slug) = wanted_workspace(req)? {
            let own = workspace::Entity::find_by_id(known.workspace)
                .one(self.core.db.read())
                .await?;
            if own.is_none_or(|w| w.slug != slug) {
                return Err(ApiError::not_found().detail("There is no such workspace."));
            }
        }
        Ok(Caller {
            scope: Scope::granted(known.workspace),
            actor: Actor::Credential {
                id: known.id,
                client_id: known.client_id,
            },
            permissions: known.permissions,
            address,
        })
    }

    async fn by_session(&self, req: &HttpRequest) -> ApiResult<Caller> {
        let signed_in = self.session(req).await?;
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
        let permissions = Role::parse(&role).map_or_else(Vec::new, Role::permissions);
        Ok(Caller {
            scope: Scope::granted(workspace.id),
            actor: Actor::Person {
                user_id: signed_in.user.id,
                email: signed_in.user.email,
            },
            permissions: permissions.into(),
            address: self.address(req),
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

/// What failures are counted by: an address, or the network that an IPv6 customer gets.
fn limiter_key(address: IpAddr) -> String {
    match address {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
    }
}

fn is_safe(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

/// The token of `Authorization: Bearer`; another scheme is refused, not passed over.
fn bearer_token(req: &HttpRequest) -> ApiResult<Option<String>> {
    let Some(value) = req.headers().get(header::AUTHORIZATION) else {
        return Ok(None);
    };
    let token = value.to_str().ok().and_then(|text| {
        let (scheme, token) = text.split_once(' ')?;
        scheme
            .eq_ignore_ascii_case("bearer")
            .then(|| token.trim().to_owned())
    });
    token
        .map(Some)
        .ok_or_else(|| ApiError::new(Code::Unauthenticated))
}

/// The token of the session's cookie.
fn session_cookie(req: &HttpRequest) -> Option<String> {
    req.cookie(SECURE_COOKIE)
        .or_else(|| req.cookie(COOKIE))
        .map(|cookie| cookie.value().to_owned())
        .filter(|token| !token.is_empty() && token.len() <= 100)
}

fn wanted_workspace(req: &HttpRequest) -> ApiResult<Option<String>> {
    match req.headers().get(WORKSPACE_HEADER) {
        None => Ok(None),
        Some(value) => match value.to_str() {
            Ok(slug) => Ok(Some(slug.trim().to_owned())),
            Err(_) => Err(ApiError::not_found().detail("There is no such workspace.")),
        },
    }
}
