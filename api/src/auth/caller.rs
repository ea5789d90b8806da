//! Who asks, once that is known.

use std::future::{Ready, ready};
use std::net::IpAddr;
use std::sync::Arc;

use actix_web::{FromRequest, HttpMessage as _, HttpRequest, dev::Payload};
use ipnet::IpNet;
use openapi::credentials::SecretSlot;
use openapi::problem::Code;
use uuid::Uuid;

use super::permission::Permission;
use super::sessions::SignedIn;
use crate::http::problem::{ApiError, ApiResult};
use crate::scope::Scope;

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
    /// The session of a person; a program has none.
    pub session: Option<Arc<SignedIn>>,
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
