//! The checks before a body is read.

use std::net::IpAddr;

use openapi::problem::Code;

use crate::auth::in_networks;
use crate::http::problem::ApiError;
use crate::limits::{Key, Limits, Rate};
use crate::snapshot::SourceConfig;

/// Enabled, address, rate, announced size; in this order.
///
/// # Errors
/// The first check that fails.
pub async fn check(
    source: &SourceConfig,
    limits: &Limits,
    address: IpAddr,
    announced: Option<usize>,
    limit: usize,
) -> Result<(), ApiError> {
    if !source.enabled {
        return Err(ApiError::new(Code::SourceDisabled));
    }
    if !source.allow_cidrs.is_empty() && !in_networks(address, &source.allow_cidrs) {
        return Err(ApiError::new(Code::AddressNotAllowed));
    }
    if let Some(rate) = source.rate_per_minute
        && let Err(wait) =
            Box::pin(limits.take(&Key::Source(source.id), Rate::per_minute(rate))).await
    {
        return Err(ApiError::new(Code::RateLimited).retry_after(wait.as_secs() + 1));
    }
    if announced.is_some_and(|size| size > limit) {
        return Err(ApiError::new(Code::BodyTooLarge));
    }
    Ok(())
}
