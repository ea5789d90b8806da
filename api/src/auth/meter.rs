//! How often somebody may call the API.
//!
//! Invariant: a request takes a token from the bucket of its caller, or, where nobody needs to sign
//! in, of its address, before anything is done for it. The buckets are those of all nodes. What is
//! left goes with the answer, as `RateLimit-Policy` and `RateLimit` of the tenth draft of the IETF's
//! rate limit headers.

use std::net::IpAddr;
use std::time::Duration;

use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage as _, HttpRequest, ResponseError as _, web};
use openapi::problem::Code;
use uuid::Uuid;

use super::authenticator::Authenticator;
use super::tries::limiter_key;
use crate::http::problem::{ApiError, ApiResult};
use crate::limits::{Key, Rate, Taken};

/// What a bucket had left when the request took from it; kept with the request until it is answered.
#[derive(Clone, Copy, Debug)]
pub struct Metered {
    policy: &'static str,
    rate: Rate,
    left: f64,
}

impl Metered {
    /// Adds the headers that tell of it.
    pub fn dress(self, headers: &mut HeaderMap) {
        let Self { policy, rate, left } = self;
        let window = (rate.burst / rate.per_second).ceil();
        let whole = ((rate.burst - left) / rate.per_second).ceil().max(0.0);
        let (quota, left) = (rate.burst.floor(), left.floor().max(0.0));
        for (name, value) in [
            (
                "ratelimit-policy",
                format!("\"{policy}\";q={quota};w={window}"),
            ),
            ("ratelimit", format!("\"{policy}\";r={left};t={whole}")),
        ] {
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.insert(HeaderName::from_static(name), value);
            }
        }
    }
}

impl Authenticator {
    /// Takes a token of a person; 0 a minute: there is no limit.
    ///
    /// # Errors
    /// 429.
    pub(super) async fn meter_person(&self, req: &HttpRequest, person: Uuid) -> ApiResult<()> {
        let rate = self.core.settings.api_rate_user;
        self.meter(req, "user", Key::Person(person), rate).await
    }

    /// Takes a token of a credential, by its own rate or else that of the settings.
    ///
    /// # Errors
    /// 429.
    pub(super) async fn meter_credential(
        &self,
        req: &HttpRequest,
        credential: Uuid,
        own: Option<u32>,
    ) -> ApiResult<()> {
        let rate = own.unwrap_or(self.core.settings.api_rate_credential);
        let key = Key::Credential(credential);
        self.meter(req, "credential", key, rate).await
    }

    /// Takes a token of an address, where nobody has to be signed in.
    async fn meter_address(&self, req: &HttpRequest, address: IpAddr) -> ApiResult<()> {
        let rate = self.core.settings.api_rate_address;
        let key = Key::Address(limiter_key(address));
        self.meter(req, "address", key, rate).await
    }

    async fn meter(
        &self,
        req: &HttpRequest,
        policy: &'static str,
        key: Key,
        per_minute: u32,
    ) -> ApiResult<()> {
        if per_minute == 0 {
            return Ok(());
        }
        let rate = Rate::per_minute(per_minute);
        let Taken { wait, left } = self.core.limits.take_some(&key, rate).await;
        req.extensions_mut().insert(Metered { policy, rate, left });
        let Some(wait) = wait else {
            return Ok(());
        };
        self.core.metrics.throttled(policy);
        Err(ApiError::new(Code::RateLimited)
            .detail("Wait as long as Retry-After says.")
            .retry_after(seconds(wait)))
    }
}

/// Whole seconds, at least one.
fn seconds(wait: Duration) -> u64 {
    let seconds = wait.as_millis().div_ceil(1000);
    u64::try_from(seconds).unwrap_or(u64::MAX).max(1)
}

/// Stands around the routes that are open to all.
pub async fn by_address<B: MessageBody + 'static>(
    req: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, Error> {
    let authenticator = req.app_data::<web::Data<Authenticator>>().cloned();
    let outcome = match authenticator {
        None => Err(ApiError::internal("authenticator", &"none is set up")),
        Some(authenticator) => {
            let address = authenticator.address(req.request());
            authenticator.meter_address(req.request(), address).await
        }
    };
    match outcome {
        Ok(()) => Ok(next.call(req).await?.map_into_left_body()),
        Err(error) => Ok(req
            .into_response(error.error_response())
            .map_into_right_body()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_headers_say_what_is_left_and_when_all_is() {
        let mut headers = HeaderMap::new();
        let rate = Rate::per_minute(600);
        let metered = Metered {
            policy: "user",
            rate,
            left: 57.4,
        };
        metered.dress(&mut headers);
        assert_eq!(
            headers.get("ratelimit-policy").unwrap(),
            "\"user\";q=60;w=6"
        );
        assert_eq!(headers.get("ratelimit").unwrap(), "\"user\";r=57;t=1");
    }

    #[test]
    fn a_wait_is_whole_seconds() {
        assert_eq!(seconds(Duration::from_millis(1)), 1);
        assert_eq!(seconds(Duration::from_millis(1001)), 2);
        assert_eq!(seconds(Duration::from_secs(60)), 60);
    }
}
