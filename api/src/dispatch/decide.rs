//! What happens after an attempt.

use std::time::Duration;

use engine::retry::{Next, RetryPolicy};

use crate::connectors::Outcome;
use crate::journal::NewState;

/// What is known when an attempt ends.
#[derive(Clone, Copy, Debug)]
pub struct Situation {
    /// Now, in milliseconds since 1970.
    pub now: i64,
    /// Start of the first attempt.
    pub tried_at: i64,
    /// Attempts made, this one included.
    pub attempts: u32,
    /// Whether an earlier attempt may have reached the upstream.
    pub unsure: bool,
    /// From 0 to 1.
    pub random: f64,
}

/// Decides where the delivery goes.
pub fn decide(outcome: &Outcome, policy: &RetryPolicy, at: Situation) -> NewState {
    let again = |after: Option<Duration>, unsure: bool| {
        let elapsed = Duration::from_millis(u64::try_from(at.now - at.tried_at).unwrap_or(0));
        match policy.next(at.attempts, elapsed, at.random, after) {
            Next::After(wait) => NewState::Retrying {
                due_at: at
                    .now
                    .saturating_add(i64::try_from(wait.as_millis()).unwrap_or(i64::MAX)),
                unsure,
            },
            Next::GiveUp => NewState::Dead,
        }
    };
    match outcome {
        Outcome::Delivered { .. } => NewState::Delivered,
        Outcome::Retry { after, .. } | Outcome::RateLimited { after, .. } => {
            again(*after, at.unsure)
        }
        Outcome::Unknown(_) => again(None, true),
        Outcome::AuthFailed(_) => NewState::Paused,
        Outcome::Permanent(_) | Outcome::Gone(_) | Outcome::SchemaDrift(_) => NewState::Dead,
    }
}

/// Whether an outcome speaks for the upstream's health (`true`), against it (`false`), or neither.
pub const fn health(outcome: &Outcome) -> Option<bool> {
    match outcome {
        Outcome::Delivered { .. }
        | Outcome::Permanent(_)
        | Outcome::Gone(_)
        | Outcome::SchemaDrift(_) => Some(true),
        Outcome::Retry { .. } | Outcome::Unknown(_) => Some(false),
        Outcome::RateLimited { .. } | Outcome::AuthFailed(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connectors::{Effect, Fault};

    fn fault() -> Fault {
        Fault {
            code: "x".into(),
            message: "x".into(),
            status: None,
        }
    }

    fn at(elapsed: i64) -> Situation {
        Situation {
            now: 1_000_000 + elapsed,
            tried_at: 1_000_000,
            attempts: 1,
            unsure: false,
            random: 0.0,
        }
    }

    fn due(state: NewState) -> Option<(i64, bool)> {
        match state {
            NewState::Retrying { due_at, unsure } => Some((due_at, unsure)),
            _ => None,
        }
    }

    #[test]
    fn success_and_refusal_are_final() {
        let policy = RetryPolicy::default();
        let done = Outcome::Delivered {
            effect: Effect::Sent,
            record: None,
        };
        assert_eq!(decide(&done, &policy, at(0)), NewState::Delivered);
        for outcome in [
            Outcome::Permanent(fault()),
            Outcome::Gone(fault()),
            Outcome::SchemaDrift(fault()),
        ] {
            assert_eq!(decide(&outcome, &policy, at(0)), NewState::Dead);
        }
        assert_eq!(
            decide(&Outcome::AuthFailed(fault()), &policy, at(0)),
            NewState::Paused
        );
    }

    #[test]
    fn what_may_have_happened_is_looked_up_from_then_on() {
        let policy = RetryPolicy::default();
        let (_, unsure) =
            due(decide(&Outcome::Unknown(fault()), &policy, at(0))).unwrap_or((0, false));
        assert!(unsure);
        let later = Situation {
            unsure: true,
            ..at(10)
        };
        let retry = Outcome::Retry {
            after: None,
            fault: fault(),
        };
        assert!(due(decide(&retry, &policy, later)).is_some_and(|(_, unsure)| unsure));
    }

    #[test]
    fn the_upstream_s_wait_is_never_undercut_and_the_horizon_ends_it() {
        let policy = RetryPolicy::default();
        let wait = Duration::from_secs(120);
        let limited = Outcome::RateLimited {
            after: Some(wait),
            fault: fault(),
        };
        let (due_at, _) = due(decide(&limited, &policy, at(0))).unwrap_or_default();
        assert!(due_at >= 1_000_000 + 120_000);
        let day = i64::try_from(policy.horizon.as_millis()).unwrap_or(0);
        assert_eq!(decide(&limited, &policy, at(day)), NewState::Dead);
    }
}
