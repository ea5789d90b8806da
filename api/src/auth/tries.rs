//! Failures, counted on all nodes together, so that guessing takes too long to be worth it.

use std::net::IpAddr;
use std::time::Duration;

use openapi::problem::Code;

use super::authenticator::Authenticator;
use crate::http::problem::{ApiError, ApiResult};
use crate::limits::{Key, Rate};

/// Failures that somebody may make, on all nodes together.
#[derive(Clone, Copy)]
pub(super) enum Tries {
    /// Sign-ins from an address.
    LoginsOfAddress,
    /// Sign-ins to an account.
    LoginsOfAccount,
    /// Tokens and signatures from an address.
    CredentialsOfAddress,
    /// Codes of a second factor from an address.
    CodesOfAddress,
    /// Codes of the second factor of an account.
    CodesOfAccount,
    /// Links from an address.
    LinksOfAddress,
    /// Links to a new password that an address asked for.
    ResetsOfAddress,
    /// Links to a new password that were asked for an account.
    ResetsOfAccount,
    /// Links to register with, or to a new address of an account, that an address asked for.
    AskedOfAddress,
    /// The same for an account to be.
    AskedOfAccount,
    /// Passwords from an address that were judged.
    JudgedOfAddress,
}

impl Tries {
    fn rate(self) -> Rate {
        match self {
            Self::LoginsOfAddress => Rate::one_every(30, 10),
            Self::LoginsOfAccount => Rate::one_every(30, 20),
            Self::CredentialsOfAddress => Rate::one_every(5, 20),
            Self::CodesOfAddress => Rate::one_every(60, 10),
            // Ten, then twelve an hour: half a million tries take five years.
            Self::CodesOfAccount => Rate::one_every(300, 10),
            Self::LinksOfAddress => Rate::one_every(30, 10),
            Self::ResetsOfAddress | Self::AskedOfAddress => Rate::one_every(60, 10),
            Self::ResetsOfAccount | Self::AskedOfAccount => Rate::one_every(600, 3),
            Self::JudgedOfAddress => Rate::one_every(1, 60),
        }
    }

    fn key(self, whose: &str) -> Key {
        let kind = match self {
            Self::LoginsOfAddress => "logins-of-address",
            Self::LoginsOfAccount => "logins-of-account",
            Self::CredentialsOfAddress => "credentials-of-address",
            Self::CodesOfAddress => "codes-of-address",
            Self::CodesOfAccount => "codes-of-account",
            Self::LinksOfAddress => "links-of-address",
            Self::ResetsOfAddress => "resets-of-address",
            Self::ResetsOfAccount => "resets-of-account",
            Self::AskedOfAddress => "asked-of-address",
            Self::AskedOfAccount => "asked-of-account",
            Self::JudgedOfAddress => "judged-of-address",
        };
        Key::Failures(kind, whose.to_owned())
    }
}

impl Authenticator {
    /// Takes one of the requests that may be made in a while.
    ///
    /// # Errors
    /// 429.
    pub(super) async fn take(&self, tries: Tries, whose: &str) -> ApiResult<()> {
        let limits = &self.core.limits;
        match limits.take(&tries.key(whose), tries.rate()).await {
            Ok(()) => Ok(()),
            Err(wait) => Err(too_many(seconds(wait))),
        }
    }

    /// Refuses while there were too many failures.
    ///
    /// # Errors
    /// 429.
    pub(super) async fn may_try(&self, tries: &[(Tries, &str)]) -> ApiResult<()> {
        let mut wait = None;
        for (tries, whose) in tries {
            wait = wait.max(self.wait(*tries, whose).await);
        }
        wait.map_or(Ok(()), |seconds| Err(too_many(seconds)))
    }

    /// Seconds until they may try again; none: now.
    pub(super) async fn wait(&self, tries: Tries, whose: &str) -> Option<u64> {
        let limits = &self.core.limits;
        let wait = limits.wait(&tries.key(whose), tries.rate()).await?;
        Some(seconds(wait))
    }

    pub(super) async fn failed(&self, tries: Tries, whose: &str) {
        let limits = &self.core.limits;
        limits.drain(&tries.key(whose), tries.rate()).await;
    }

    pub(super) async fn succeeded(&self, tries: Tries, whose: &str) {
        self.core.limits.fill(&tries.key(whose)).await;
    }
}

fn seconds(wait: Duration) -> u64 {
    wait.as_millis()
        .div_ceil(1000)
        .try_into()
        .unwrap_or(u64::MAX)
}

fn too_many(seconds: u64) -> ApiError {
    ApiError::new(Code::RateLimited)
        .detail("Too many tries; wait before the next.")
        .retry_after(seconds)
}

/// What failures are counted by: an address, or the network that an IPv6 customer gets.
pub(super) fn limiter_key(address: IpAddr) -> String {
    match address {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
    }
}
