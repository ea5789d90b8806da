//! The checks before a body is read.

use std::net::IpAddr;

use openapi::problem::Code;

use super::Gates;
use crate::auth::in_networks;
use crate::http::problem::ApiError;
use crate::snapshot::SourceConfig;

/// Enabled, address, rate, announced size; in this order.
///
/// # Errors
/// The first check that fails.
pub fn check(
    source: &SourceConfig,
    gates: &Gates,
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
        && let Err(wait) = gates.pass(source.id, rate)
    {
        return Err(ApiError::new(Code::RateLimited).retry_after(wait.as_secs() + 1));
    }
    if announced.is_some_and(|size| size > limit) {
        return Err(ApiError::new(Code::BodyTooLarge));
    }
    Ok(())
}
