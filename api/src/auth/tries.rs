//! Failures, counted on all nodes together, so that guessing takes too long to be worth it.

use std::net::IpAddr;

use super::authenticator::Authenticator;
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
    /// Seconds until they may try again; none: now.
    pub(super) async fn wait(&self, tries: Tries, whose: &str) -> Option<u64> {
        let limits = &self.core.limits;
        let wait = limits.wait(&tries.key(whose), tries.rate()).await?;
        Some(
            wait.as_millis()
                .div_ceil(1000)
                .try_into()
                .unwrap_or(u64::MAX),
        )
    }

    pub(super) async fn failed(&self, tries: Tries, whose: &str) {
        let limits = &self.core.limits;
        limits.drain(&tries.key(whose), tries.rate()).await;
    }

    pub(super) async fn succeeded(&self, tries: Tries, whose: &str) {
        self.core.limits.fill(&tries.key(whose)).await;
    }
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
