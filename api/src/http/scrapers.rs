//! Who reads the numbers.
//!
//! Credentials lie in the database. Whoever has read the numbers of late may go on while it is away,
//! which is what they are read for then: by the same token, and for nothing but the numbers. A
//! token that the database refuses is forgotten at once; one that was revoked during an outage
//! ends with it, or with [`REMEMBERED`].

use std::collections::HashMap;
use std::time::{Duration, Instant};

use actix_web::HttpRequest;
use actix_web::http::header;
use openapi::problem::Code;
use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::auth::{Authenticator, Permission};
use crate::http::problem::{ApiError, ApiResult};

/// How long the database may take to say who somebody is.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long somebody is remembered.
const REMEMBERED: Duration = Duration::from_secs(3_600);
/// How many are.
const MOST: usize = 64;

/// Those who read the numbers, by the digest of their token. One per process, shared by the threads.
#[derive(Debug, Default)]
pub struct Scrapers(Mutex<HashMap<[u8; 32], Seen>>);

#[derive(Clone, Copy, Debug)]
struct Seen {
    workspace: Uuid,
    at: Instant,
}

impl Scrapers {
    /// The workspace of one who may read the numbers.
    ///
    /// # Errors
    /// 401 or 403; 503 for somebody who is not remembered while the database is away.
    pub async fn workspace(&self, by: &Authenticator, req: &HttpRequest) -> ApiResult<Uuid> {
        let token = req.headers().get(header::AUTHORIZATION);
        let digest: Option<[u8; 32]> = token.map(|token| Sha256::digest(token.as_bytes()).into());
        let asked = by.caller_without_body(req, Permission::MetricsRead);
        let found = match tokio::time::timeout(PATIENCE, asked).await {
            Ok(found) => found.map(|caller| caller.scope.workspace()),
            Err(_elapsed) => Err(ApiError::new(Code::Unavailable)
                .detail("The database cannot be used now.")
                .retry_after(2)),
        };
        match digest {
            Some(digest) => self.settle(digest, found, Instant::now()),
            None => found,
        }
    }

    fn settle(&self, digest: [u8; 32], found: ApiResult<Uuid>, now: Instant) -> ApiResult<Uuid> {
        let mut all = self.0.lock();
        all.retain(|_, seen| now.saturating_duration_since(seen.at) < REMEMBERED);
        match found {
            Ok(workspace) => {
                if all.len() < MOST || all.contains_key(&digest) {
                    all.insert(digest, Seen { workspace, at: now });
                }
                Ok(workspace)
            }
            Err(error) if error.code == Code::Unavailable => {
                all.get(&digest).map(|seen| seen.workspace).ok_or(error)
            }
            // Too many calls say nothing about the token.
            Err(error) if error.code == Code::RateLimited => Err(error),
            Err(error) => {
                all.remove(&digest);
                Err(error)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_was_let_in_may_stay_while_the_database_is_away() {
        let scrapers = Scrapers::default();
        let now = Instant::now();
        let (one, other, own) = ([1; 32], [2; 32], Uuid::from_u128(7));
        let away = || Err(ApiError::new(Code::Unavailable));
        assert!(
            scrapers.settle(one, away(), now).is_err(),
            "nobody knows it"
        );
        assert_eq!(scrapers.settle(one, Ok(own), now).unwrap(), own);
        assert_eq!(scrapers.settle(one, away(), now).unwrap(), own);
        assert!(scrapers.settle(other, away(), now).is_err());
        let late = now + REMEMBERED;
        assert!(scrapers.settle(one, away(), late).is_err(), "not for ever");
        scrapers.settle(one, Ok(own), now).unwrap();
        let refused = Err(ApiError::new(Code::Unauthenticated));
        assert!(scrapers.settle(one, refused, now).is_err());
        assert!(scrapers.settle(one, away(), now).is_err(), "it was revoked");
    }
}
