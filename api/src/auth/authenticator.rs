//! From a request to a caller.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use actix_web::http::{Method, header};
use actix_web::web::Bytes;
use actix_web::{FromRequest, HttpMessage as _, HttpRequest, dev::Payload};
use engine::secret::constant_time_eq;
use engine::signature::{Claim, RequestSignature};
use entity::{member, user, workspace};
use ipnet::IpNet;
use openapi::credentials::SecretSlot;
use openapi::problem::Code;
use sea_orm::{ColumnTrait as _, EntityTrait as _, QueryFilter as _, QueryOrder as _};
use std::future::{Ready, ready};
use uuid::Uuid;

use super::credentials::{Credentials, Proven};
use super::nonces::Nonces;
use super::permission::{Permission, Role};
use super::sessions::{self, COOKIE, CSRF_HEADER, SECURE_COOKIE, SignedIn};
use super::signed::{self, Signed};
use super::{client_address, verify_password};
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
    /// How it showed who it is.
    pub means: Means,
}

/// How a caller showed who it is.
#[derive(Clone, Debug)]
pub struct Means {
    /// `session`, `bearer` or `hmac`.
    pub kind: &'static str,
    /// E-mail of the person, or name of the credential.
    pub name: String,
    /// Which secret of the credential.
    pub slot: Option<SecretSlot>,
    /// The network of the credential's list that the address lies in.
    pub network: Option<IpNet>,
    /// Seconds that the clock here is ahead of the request's timestamp.
    pub skew_seconds: Option<i64>,
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
    nonces: Nonces,
}

/// Failures that somebody may make, on all nodes together.
#[derive(Clone, Copy)]
enum Tries {
    /// Sign-ins from an address.
    LoginsOfAddress,
    /// Sign-ins to an account.
    LoginsOfAccount,
    /// Tokens and signatures from an address.
    CredentialsOfAddress,
}

impl Tries {
    fn rate(self) -> Rate {
        match self {
            Self::LoginsOfAddress => Rate::one_every(30, 10),
            Self::LoginsOfAccount => Rate::one_every(30, 20),
            Self::CredentialsOfAddress => Rate::one_every(5, 20),
        }
    }

    fn key(self, whose: &str) -> Key {
        let kind = match self {
            Self::LoginsOfAddress => "logins-of-address",
            Self::LoginsOfAccount => "logins-of-account",
            Self::CredentialsOfAddress => "credentials-of-address",
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
            nonces: Nonces::default(),
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

    /// How long the body of a signed request may take.
    pub(super) fn patience(&self) -> Duration {
        Duration::from_secs(self.core.settings.request_timeout_seconds.max(1))
    }

    /// What is checked of a signed request before its body is read; none: it is not signed.
    ///
    /// # Errors
    /// 400, 401, or 429 after too many failures.
    pub(super) async fn begin(&self, req: &HttpRequest) -> ApiResult<Option<RequestSignature>> {
        let Some(signature) = signed::signature(req)? else {
            return Ok(None);
        };
        signed::check_time(&signature, self.core.clock.now_ms())?;
        let plain = matches!(signature.claim, Claim::Plain { .. });
        if plain && req.uri().query().is_some() {
            return Err(ApiError::new(Code::SignatureInvalid)
                .detail("The plain form cannot sign a query string; send none."));
        }
        self.throttle(self.address(req)).await?;
        Ok(Some(signature))
    }

    /// The caller, if it may do this; without a permission, any caller who is known.
    ///
    /// # Errors
    /// 401, 403, or 404 for a workspace that is not the caller's.
    pub(super) async fn caller(
        &self,
        req: &HttpRequest,
        permission: Option<Permission>,
        signed: Option<&Signed>,
    ) -> ApiResult<Caller> {
        let caller = match (signed, bearer_token(req)?) {
            (Some(signed), _) => self.by_signature(req, signed).await?,
            (None, Some(token)) => self.by_bearer(req, &token).await?,
            (None, None) => self.by_session(req).await?,
        };
        if let Some(permission) = permission {
            caller.must(permission)?;
        }
        Ok(caller)
    }

    /// The caller of a request whose body nobody reads.
    ///
    /// # Errors
    /// Those of [`Authenticator::caller`].
    pub async fn caller_without_body(
        &self,
        req: &HttpRequest,
        permission: Permission,
    ) -> ApiResult<Caller> {
        let signed = self.begin(req).await?.map(|signature| Signed {
            signature,
            body: Bytes::new(),
        });
        self.caller(req, Some(permission), signed.as_ref()).await
    }

    async fn throttle(&self, address: IpAddr) -> ApiResult<()> {
        let key = limiter_key(address);
        match self.wait(Tries::CredentialsOfAddress, &key).await {
            Some(seconds) => Err(ApiError::new(Code::RateLimited).retry_after(seconds)),
            None => Ok(()),
        }
    }

    async fn by_bearer(&self, req: &HttpRequest, token: &str) -> ApiResult<Caller> {
        let address = self.address(req);
        self.throttle(address).await?;
        let Some(proven) = self.credentials.of_token(&self.core, token).await? else {
            let key = limiter_key(address);
            self.failed(Tries::CredentialsOfAddress, &key).await;
            return Err(ApiError::new(Code::Unauthenticated));
        };
        self.admit(req, address, proven, None).await
    }

    async fn by_signature(&self, req: &HttpRequest, signed: &Signed) -> ApiResult<Caller> {
        let address = self.address(req);
        let signature = &signed.signature;
        let request = signed.request(req);
        let found = self
            .credentials
            .of_signature(&self.core, signature, &request)
            .await?;
        let plain = matches!(signature.claim, Claim::Plain { .. });
        let Some(proven) = found.filter(|proven| proven.known.legacy || !plain) else {
            let key = limiter_key(address);
            self.failed(Tries::CredentialsOfAddress, &key).await;
            return Err(ApiError::new(Code::SignatureInvalid)
                .detail("No live secret of this client signed the request as it arrived."));
        };
        self.admit(req, address, proven, Some(signature)).await
    }

    /// What holds for a credential whose secret was proven: status, network, nonce, workspace.
    async fn admit(
        &self,
        req: &HttpRequest,
        address: IpAddr,
        proven: Proven,
        signature: Option<&RequestSignature>,
    ) -> ApiResult<Caller> {
        let (core, known) = (&self.core, &proven.known);
        let now = core.clock.now_ms();
        if !known.is_alive(now) {
            return Err(ApiError::new(Code::CredentialInactive)
                .detail("The credential is switched off, revoked, or its time is over."));
        }
        let Some(network) = known.network_of(address) else {
            return Err(ApiError::new(Code::AddressNotAllowed)
                .detail("The credential may not be used from this address."));
        };
        if let Some(signature) = signature {
            let key = signature.replay_key();
            match self.nonces.take(core, &known.client_id, &key).await {
                Ok(true) => {}
                Ok(false) => {
                    return Err(ApiError::new(Code::NonceReplayed)
                        .detail("Sign each request anew, with a nonce of its own."));
                }
                Err(error) => {
                    tracing::warn!(%error, "a signed request is refused");
                    return Err(ApiError::new(Code::Unavailable)
                        .detail("Signed requests cannot be checked now; sign anew and try again.")
                        .retry_after(1));
                }
            }
        }
        core.uses.used(known.id, proven.stored_in, now, address);
        if let Some(slug) = wanted_workspace(req)? {
            let own = workspace::Entity::find_by_id(known.workspace)
                .one(core.db.read())
                .await?;
            if own.is_none_or(|w| w.slug != slug) {
                return Err(ApiError::not_found().detail("There is no such workspace."));
            }
        }
        Ok(Caller {
            scope: Scope::granted(known.workspace),
            actor: Actor::Credential {
                id: known.id,
                client_id: known.client_id.clone(),
            },
            permissions: Arc::clone(&known.permissions),
            address,
            means: Means {
                kind: if signature.is_some() {
                    "hmac"
                } else {
                    "bearer"
                },
                name: known.name.clone(),
                slot: Some(proven.slot),
                network,
                skew_seconds: signature.map(|s| now.div_euclid(1000) - s.timestamp),
            },
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
            permissions: permissions.into(),
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
