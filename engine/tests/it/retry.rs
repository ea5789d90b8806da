use engine::breaker::{Admission, Breaker, BreakerPolicy, BreakerState};
use engine::retry::{Next, RetryPolicy};
use proptest::prelude::*;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

fn policy() -> RetryPolicy {
    RetryPolicy {
        first: SECOND,
        factor: 2.0,
        max: 60 * SECOND,
        horizon: 1000 * SECOND,
        jitter: 0.5,
        ..RetryPolicy::default()
    }
}

#[test]
fn waits_double_up_to_the_longest_and_end_at_the_horizon() {
    let policy = policy();
    let after = |made, elapsed: u32, random, asked: Option<u32>| {
        policy.next(made, elapsed * SECOND, random, asked.map(|s| s * SECOND))
    };
    assert_eq!(after(1, 0, 0.0, None), Next::After(SECOND));
    assert_eq!(after(2, 1, 0.0, None), Next::After(2 * SECOND));
    assert_eq!(after(5, 20, 0.0, None), Next::After(16 * SECOND));
    assert_eq!(after(7, 99, 0.0, None), Next::After(60 * SECOND));
    assert_eq!(after(5, 20, 1.0, None), Next::After(8 * SECOND));
    assert_eq!(after(0, 0, 0.0, None), Next::After(SECOND));
    assert_eq!(after(9, 990, 0.0, None), Next::After(10 * SECOND));
    assert_eq!(after(9, 1000, 0.0, None), Next::GiveUp);
    assert_eq!(after(1, 0, 0.0, Some(120)), Next::After(120 * SECOND));
    assert_eq!(after(7, 0, 0.0, Some(5)), Next::After(60 * SECOND));
    assert_eq!(after(1, 900, 0.0, Some(101)), Next::GiveUp);
}

#[test]
fn listed_waits_come_one_after_the_other_and_then_it_ends() {
    let policy = RetryPolicy {
        waits: vec![5 * SECOND, 30 * SECOND, 5 * SECOND],
        jitter: 0.0,
        asked_max: 20 * SECOND,
        ..policy()
    };
    let after = |made, elapsed: u32, asked: Option<u32>| {
        policy.next(made, elapsed * SECOND, 0.5, asked.map(|s| s * SECOND))
    };
    assert_eq!(after(1, 0, None), Next::After(5 * SECOND));
    assert_eq!(after(2, 5, None), Next::After(30 * SECOND));
    assert_eq!(after(3, 35, Some(900)), Next::After(20 * SECOND));
    assert_eq!(after(4, 55, None), Next::GiveUp);
    assert_eq!(after(2, 999, None), Next::After(SECOND));
    assert_eq!(
        policy.ahead(1, Duration::ZERO, 9),
        [5 * SECOND, 35 * SECOND, 40 * SECOND]
    );
    assert_eq!(policy.ahead(2, 5 * SECOND, 1), [35 * SECOND]);
    let deaf = RetryPolicy {
        asked_max: Duration::ZERO,
        ..policy
    };
    assert_eq!(
        deaf.next(1, Duration::ZERO, 0.0, Some(90 * SECOND)),
        Next::After(5 * SECOND)
    );
}

proptest! {
    #[test]
    fn what_is_ahead_grows_up_to_the_horizon(made in 1_u32..50, elapsed in 0_u32..1200, count in 0_usize..20) {
        let policy = policy();
        let times = policy.ahead(made, elapsed * SECOND, count);
        prop_assert!(times.len() <= count);
        prop_assert!(times.is_sorted() && times.iter().all(|at| *at > elapsed * SECOND));
        prop_assert!(times.iter().all(|at| *at <= policy.horizon));
    }

    #[test]
    fn a_wait_stays_within_its_bounds(
        first in 0_u64..100_000,
        factor in prop_oneof![0.0_f64..10.0, Just(f64::NAN), Just(f64::INFINITY)],
        max in 0_u64..1_000_000,
        horizon in 0_u64..10_000_000,
        jitter in -1.0_f64..2.0,
        made in any::<u32>(),
        elapsed in 0_u64..10_000_000,
        random in prop_oneof![-1.0_f64..2.0, Just(f64::NAN)],
        asked in prop::option::of(0_u64..10_000_000),
    ) {
        let millis = Duration::from_millis;
        let policy = RetryPolicy {
            first: millis(first), factor, max: millis(max), horizon: millis(horizon), jitter,
            ..RetryPolicy::default()
        };
        let asked = asked.map(millis);
        match policy.next(made, millis(elapsed), random, asked) {
            Next::After(wait) => {
                prop_assert!(millis(elapsed) + wait <= policy.horizon);
                prop_assert!(wait <= policy.max.max(asked.unwrap_or_default()));
                prop_assert!(asked.is_none_or(|asked| wait >= asked));
            }
            Next::GiveUp => prop_assert!(
                millis(elapsed) >= policy.horizon
                    || asked.is_some_and(|asked| millis(elapsed) + asked > policy.horizon)
            ),
        }
    }

    /// The attempts of a delivery that always fails are finite, and the last falls on the horizon.
    #[test]
    fn attempts_fill_the_horizon(random in 0.0_f64..1.0) {
        let policy = RetryPolicy::default();
        let mut elapsed = Duration::ZERO;
        let mut made = 1;
        while let Next::After(wait) = policy.next(made, elapsed, random, None) {
            elapsed += wait;
            made += 1;
            prop_assert!(made < 1000);
        }
        prop_assert_eq!(elapsed, policy.horizon);
        prop_assert!(made > 50);
    }
}

fn breaker(failures: u32) -> Breaker {
    Breaker::new(BreakerPolicy {
        failures,
        probe_every_ms: 1000,
    })
}

#[test]
fn a_breaker_opens_probes_and_closes() {
    let mut breaker = breaker(3);
    assert!(!breaker.transient_failure(0));
    assert!(!breaker.transient_failure(0));
    breaker.success();
    assert!(!breaker.transient_failure(10));
    assert!(!breaker.transient_failure(10));
    assert_eq!(breaker.admit(10), Admission::Call);
    assert!(breaker.transient_failure(10));
    assert_eq!(breaker.state(), BreakerState::Open);
    assert_eq!(breaker.admit(11), Admission::Wait { until_ms: 1010 });
    assert_eq!(breaker.admit(1010), Admission::Probe);
    assert_eq!(breaker.state(), BreakerState::HalfOpen);
    assert_eq!(breaker.admit(1500), Admission::Wait { until_ms: 2010 });
    // The probe is lost: the next one comes in time all the same.
    assert_eq!(breaker.admit(2010), Admission::Probe);
    assert!(!breaker.transient_failure(2500));
    assert_eq!(breaker.state(), BreakerState::Open);
    assert_eq!(breaker.admit(3010), Admission::Probe);
    breaker.success();
    assert_eq!(breaker.state(), BreakerState::Closed);
    assert_eq!(breaker.admit(3011), Admission::Call);
}

#[test]
fn a_tripped_breaker_probes_at_once() {
    let mut breaker = breaker(3);
    breaker.trip(50);
    assert_eq!(breaker.state(), BreakerState::Open);
    assert_eq!(breaker.admit(50), Admission::Probe);
    assert_eq!(breaker.admit(51), Admission::Wait { until_ms: 1050 });
    breaker.trip(60);
    assert_eq!(
        breaker.state(),
        BreakerState::HalfOpen,
        "it was open already"
    );
}

#[derive(Debug, Clone, Copy)]
enum Act {
    Wait(u64),
    Back(u64),
    Ask,
    Fail,
    Succeed,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => (0_u64..700).prop_map(Act::Wait),
        1 => (0_u64..5000).prop_map(Act::Back),
        6 => Just(Act::Ask),
        3 => Just(Act::Fail),
        1 => Just(Act::Succeed),
    ]
}

proptest! {
    /// Open or half open, one probe per interval and never a wait beyond it, whatever happens.
    #[test]
    fn probes_come_once_an_interval(acts in prop::collection::vec(act(), 0..200), failures in 0_u32..4) {
        let mut breaker = breaker(failures);
        let mut now = 1_000_000_u64;
        let mut last_probe: Option<u64> = None;
        let mut in_a_row = 0;
        for act in acts {
            match act {
                Act::Wait(ms) => now += ms,
                Act::Back(ms) => {
                    now -= ms;
                    last_probe = None;
                }
                Act::Ask => match breaker.admit(now) {
                    Admission::Call => prop_assert_eq!(breaker.state(), BreakerState::Closed),
                    Admission::Probe => {
                        prop_assert!(last_probe.is_none_or(|last| now >= last + 1000));
                        last_probe = Some(now);
                        prop_assert_eq!(breaker.state(), BreakerState::HalfOpen);
                    }
                    Admission::Wait { until_ms } => {
                        prop_assert!(until_ms > now && until_ms <= now + 1000);
                        prop_assert_eq!(breaker.clone().admit(until_ms), Admission::Probe);
                    }
                },
                Act::Fail => {
                    let closed = breaker.state() == BreakerState::Closed;
                    in_a_row += u32::from(closed);
                    let opened = breaker.transient_failure(now);
                    prop_assert_eq!(opened, closed && in_a_row >= failures.max(1));
                    if opened {
                        in_a_row = 0;
                    }
                }
                Act::Succeed => {
                    breaker.success();
                    last_probe = None;
                    in_a_row = 0;
                    prop_assert_eq!(breaker.state(), BreakerState::Closed);
                }
            }
        }
    }
}
