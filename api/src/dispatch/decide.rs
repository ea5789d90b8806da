//! What happens after an attempt.

use std::time::Duration;

use engine::lane::OnFailure;
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
                wait_ms: i64::try_from(wait.as_millis()).unwrap_or(i64::MAX),
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

/// What the connection's lists of statuses make of an outcome.
pub fn by_status(outcome: Outcome, policy: &RetryPolicy) -> Outcome {
    let Some(status) = outcome.fault().and_then(|fault| fault.status) else {
        return outcome;
    };
    if policy.retried.contains(status) {
        return match outcome {
            Outcome::Permanent(fault)
            | Outcome::Gone(fault)
            | Outcome::SchemaDrift(fault)
            | Outcome::AuthFailed(fault) => Outcome::Retry { after: None, fault },
            other => other,
        };
    }
    if policy.permanent.contains(status)
        && let Some(fault) = outcome.fault().cloned()
    {
        return Outcome::Permanent(fault);
    }
    outcome
}

/// What the policy of the lane makes of a delivery that failed for good.
pub const fn in_lane(next: NewState, policy: OnFailure) -> NewState {
    match (next, policy) {
        (NewState::Dead, OnFailure::Park) => NewState::DeadWithLane,
        (NewState::Dead, OnFailure::Block) => NewState::Parked,
        (next, _) => next,
    }
}

/// Whether the same call may succeed later.
pub const fn may_pass(outcome: &Outcome) -> bool {
    matches!(
        outcome,
        Outcome::Retry { .. } | Outcome::RateLimited { .. } | Outcome::Unknown(_)
    )
}

/// The upstream said "too many", in this way or that.
pub fn is_too_many(outcome: &Outcome) -> bool {
    let status = outcome.fault().and_then(|fault| fault.status);
    matches!(outcome, Outcome::RateLimited { .. }) || matches!(status, Some(429 | 503))
}

/// How long the whole connection has to wait, as the upstream said.
pub fn asked(outcome: &Outcome, policy: &RetryPolicy) -> Option<Duration> {
    let after = match outcome {
        Outcome::RateLimited { after, .. } | Outcome::Retry { after, .. } => *after,
        _ => None,
    };
    let heard = after
        .map(|after| after.min(policy.asked_max))
        .filter(|wait| !wait.is_zero());
    match (heard, outcome) {
        (None, Outcome::RateLimited { .. }) => Some(Duration::from_secs(1)),
        (heard, _) => heard,
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

    fn waits(state: NewState) -> Option<(i64, bool)> {
        match state {
            NewState::Retrying { wait_ms, unsure } => Some((wait_ms, unsure)),
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
    fn listed_statuses_win_over_the_connector() {
        let with = |status| Fault {
            status: Some(status),
            ..fault()
        };
        let list = |word: &str| engine::status::Statuses::parse(&[word]).unwrap();
        let policy = RetryPolicy {
            permanent: list("5xx"),
            retried: list("404"),
            ..RetryPolicy::default()
        };
        let retry = Outcome::Retry {
            after: None,
            fault: with(500),
        };
        assert_eq!(by_status(retry, &policy), Outcome::Permanent(with(500)));
        let again = Outcome::Retry {
            after: None,
            fault: with(404),
        };
        assert_eq!(by_status(Outcome::Gone(with(404)), &policy), again);
        let other = Outcome::Permanent(with(400));
        assert_eq!(by_status(other.clone(), &policy), other);
        let silent = Outcome::Unknown(fault());
        assert_eq!(by_status(silent.clone(), &policy), silent);
    }

    #[test]
    fn only_a_failure_for_good_asks_the_lane_s_policy() {
        for policy in OnFailure::ALL {
            assert_eq!(in_lane(NewState::Delivered, *policy), NewState::Delivered);
            assert_eq!(in_lane(NewState::Paused, *policy), NewState::Paused);
        }
        assert_eq!(in_lane(NewState::Dead, OnFailure::Skip), NewState::Dead);
        assert_eq!(
            in_lane(NewState::Dead, OnFailure::Park),
            NewState::DeadWithLane
        );
        assert_eq!(in_lane(NewState::Dead, OnFailure::Block), NewState::Parked);
    }

    #[test]
    fn the_connection_waits_as_long_as_the_upstream_asked() {
        let policy = RetryPolicy {
            asked_max: Duration::from_secs(60),
            ..RetryPolicy::default()
        };
        let limited = |after| Outcome::RateLimited {
            after,
            fault: fault(),
        };
        let seconds = Duration::from_secs;
        assert_eq!(asked(&limited(Some(seconds(5))), &policy), Some(seconds(5)));
        assert_eq!(
            asked(&limited(Some(seconds(500))), &policy),
            Some(seconds(60))
        );
        assert_eq!(asked(&limited(None), &policy), Some(seconds(1)));
        let retry = |after| Outcome::Retry {
            after,
            fault: fault(),
        };
        assert_eq!(asked(&retry(Some(seconds(9))), &policy), Some(seconds(9)));
        assert_eq!(asked(&retry(None), &policy), None);
        let deaf = RetryPolicy {
            asked_max: Duration::ZERO,
            ..policy
        };
        assert_eq!(asked(&retry(Some(seconds(9))), &deaf), None);
    }

    #[test]
    fn what_may_have_happened_is_looked_up_from_then_on() {
        let policy = RetryPolicy::default();
        let (_, unsure) =
            waits(decide(&Outcome::Unknown(fault()), &policy, at(0))).unwrap_or((0, false));
        assert!(unsure);
        let later = Situation {
            unsure: true,
            ..at(10)
        };
        let retry = Outcome::Retry {
            after: None,
            fault: fault(),
        };
        assert!(waits(decide(&retry, &policy, later)).is_some_and(|(_, unsure)| unsure));
    }

    #[test]
    fn the_upstream_s_wait_is_never_undercut_and_the_horizon_ends_it() {
        let policy = RetryPolicy::default();
        let wait = Duration::from_secs(120);
        let limited = Outcome::RateLimited {
            after: Some(wait),
            fault: fault(),
        };
        let (wait_ms, _) = waits(decide(&limited, &policy, at(0))).unwrap_or_default();
        assert!(wait_ms >= 120_000);
        let day = i64::try_from(policy.horizon.as_millis()).unwrap_or(0);
        assert_eq!(decide(&limited, &policy, at(day)), NewState::Dead);
    }
}
