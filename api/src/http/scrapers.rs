//! Who reads the numbers.
//!
//! Credentials lie in the database. A token that it has confirmed of late may go on while it is away,
//! which is what the numbers are read for then: for nothing but them, and as the credential was when
//! it was last read, with its end, its networks and its scopes. Fails closed: the database itself has
//! to be away, for another fault says nothing about a revocation; and what this node has heard of a
//! change of the configuration ends it, as [`REMEMBERED_MS`] does.

use std::time::Duration;

use actix_web::HttpRequest;
use openapi::problem::Code;
use uuid::Uuid;

use crate::auth::{Authenticator, Permission};
use crate::core::Core;
use crate::http::problem::{ApiError, ApiResult};

/// How long it may take to find out who somebody is.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long the database may take to answer at all.
const PING: Duration = Duration::from_secs(1);
/// How long a token is good without the database, from when that was last asked.
const REMEMBERED_MS: i64 = 15 * 60_000;

/// The workspace of one who may read the numbers.
///
/// # Errors
/// 401 or 403; 503 for somebody who cannot be checked now and is not remembered.
pub async fn workspace(core: &Core, by: &Authenticator, req: &HttpRequest) -> ApiResult<Uuid> {
    let asked = by.caller_without_body(req, Permission::MetricsRead);
    let error = match tokio::time::timeout(PATIENCE, asked).await {
        Ok(Ok(caller)) => return Ok(caller.scope.workspace()),
        Ok(Err(error)) => error,
        Err(_elapsed) => ApiError::new(Code::Unavailable)
            .detail("Who asks cannot be checked now.")
            .retry_after(2),
    };
    // Hashes that wait for their turn end here too.
    if error.code != Code::Unavailable || answers(core).await {
        return Err(error);
    }
    by.remembered(req, Permission::MetricsRead, REMEMBERED_MS)
        .ok_or(error)
}

async fn answers(core: &Core) -> bool {
    matches!(tokio::time::timeout(PING, core.db.ping()).await, Ok(Ok(())))
}
