//! From a request to a caller.

use std::net::IpAddr;
use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::http::header;
use actix_web::web::Bytes;
use engine::signature::{Claim, RequestSignature};
use openapi::problem::Code;
use uuid::Uuid;

use super::caller::Caller;
use super::client_address;
use super::credentials::Credentials;
use super::nonces::Nonces;
use super::permission::Permission;
use super::signed::{self, Signed};
use crate::core::Core;
use crate::http::problem::{ApiError, ApiResult};

/// Header that picks the workspace of a request.
pub const WORKSPACE_HEADER: &str = "x-workspace";

/// Parameter of a query that picks it, where there is no header.
pub const WORKSPACE_PARAMETER: &str = "workspace";

/// Finds out who asks. One per process, shared by the threads.
pub struct Authenticator {
    pub(super) core: Core,
    pub(super) credentials: Credentials,
    pub(super) nonces: Nonces,
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

    /// The workspace of a token that may do this, by what the database said of it at most `longest`
    /// milliseconds ago, for while it is away. None: who signs, who is not remembered, and who may
    /// not.
    pub fn remembered(
        &self,
        req: &HttpRequest,
        permission: Permission,
        longest: i64,
    ) -> Option<Uuid> {
        if !matches!(signed::signature(req), Ok(None)) {
            return None;
        }
        let token = bearer_token(req).ok()??;
        let now = self.core.clock.now_ms();
        let snapshot = self.core.snapshots.current();
        let known = self
            .credentials
            .remembered(&token, snapshot.revision, now, longest)?;
        known.network_of(self.address(req))?;
        if !known.permissions.contains(&permission) {
            return None;
        }
        if let Some(slug) = wanted_workspace(req).ok()? {
            snapshot
                .workspace(known.workspace)
                .filter(|own| own.slug == slug)?;
        }
        Some(known.workspace)
    }
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

/// The workspace that a query names: for what sends no headers, as a browser that follows the live
/// stream or a link.
fn workspace_parameter(query: &str) -> Option<String> {
    url::form_urlencoded::parse(query.as_bytes())
        .find(|(name, _)| name == WORKSPACE_PARAMETER)
        .map(|(_, slug)| slug.into_owned())
}

/// The slug of the workspace that the request names.
pub(super) fn wanted_workspace(req: &HttpRequest) -> ApiResult<Option<String>> {
    match req.headers().get(WORKSPACE_HEADER) {
        None => Ok(workspace_parameter(req.query_string())),
        Some(value) => match value.to_str() {
            Ok(slug) => Ok(Some(slug.trim().to_owned())),
            Err(_) => Err(ApiError::not_found().detail("There is no such workspace.")),
        },
    }
}
