//! A circuit breaker as a pure state machine; the time comes in as milliseconds.
//!
//! Invariant: while it is not closed, at most one call per probe interval is let through, and at
//! least one is let through in every interval in which somebody asks. A lost probe (one that
//! never reports) delays nothing beyond that interval. The state machine is memory only; who runs
//! it may write down that it is open and [`Breaker::trip`] it after a crash. Started closed, it
//! costs the upstream a few calls and loses nothing.

use serde::{Deserialize, Serialize};

/// When a breaker opens and how it probes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BreakerPolicy {
    /// Transient failures in a row that open it; 0 counts as 1.
    pub failures: u32,
    /// Milliseconds between probes while it is open, from 1 to 1000.
    pub probe_every_ms: u64,
}

impl Default for BreakerPolicy {
    fn default() -> Self {
        Self {
            failures: 5,
            probe_every_ms: 1000,
        }
    }
}

/// What a breaker looks like from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum BreakerState {
    /// Calls go through.
    Closed,
    /// Calls wait for the next probe.
    Open,
    /// A probe is under way.
    HalfOpen,
}

/// Whether a call may be made now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// Yes.
    Call,
    /// Yes, and its outcome decides about the breaker.
    Probe,
    /// No; ask again at this time (milliseconds on the caller's clock).
    Wait {
        /// When the next probe is due.
        until_ms: u64,
    },
}

/// The breaker of one connection.
#[derive(Debug, Clone)]
pub struct Breaker {
    policy: BreakerPolicy,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Closed { failures: u32 },
    Open { next_probe_ms: u64 },
    HalfOpen { next_probe_ms: u64 },
}

impl Breaker {
    /// A closed breaker.
    pub fn new(policy: BreakerPolicy) -> Self {
        Self {
            policy: BreakerPolicy {
                failures: policy.failures.max(1),
                probe_every_ms: policy.probe_every_ms.clamp(1, 1000),
            },
            state: State::Closed { failures: 0 },
        }
    }

    /// What it looks like now.
    pub const fn state(&self) -> BreakerState {
        match self.state {
            State::Closed { .. } => BreakerState::Closed,
            State::Open { .. } => BreakerState::Open,
            State::HalfOpen { .. } => BreakerState::HalfOpen,
        }
    }

    /// Asks for one call. A granted probe reports through [`Self::success`] or
    /// [`Self::transient_failure`]; if it never does, the next one is granted an interval later.
    pub fn admit(&mut self, now_ms: u64) -> Admission {
        match self.state {
            State::Closed { .. } => Admission::Call,
            State::Open { next_probe_ms } | State::HalfOpen { next_probe_ms } => {
                let latest = self.after(now_ms);
                // A clock that went back must not keep the breaker open.
                let due = next_probe_ms.min(latest);
                if now_ms >= due {
                    self.state = State::HalfOpen {
                        next_probe_ms: latest,
                    };
                    Admission::Probe
                } else {
                    if due != next_probe_ms {
                        self.set_next(due);
                    }
                    Admission::Wait { until_ms: due }
                }
            }
        }
    }

    /// A call reached the upstream and was answered, also with a permanent error: it closes.
    pub fn success(&mut self) {
        self.state = State::Closed { failures: 0 };
    }

    /// A call failed in a way that may pass; returns true if this opened the breaker.
    pub fn transient_failure(&mut self, now_ms: u64) -> bool {
        match self.state {
            State::Closed { failures } if failures + 1 < self.policy.failures => {
                self.state = State::Closed {
                    failures: failures + 1,
                };
                false
            }
            State::Closed { .. } => {
                self.state = State::Open {
                    next_probe_ms: self.after(now_ms),
                };
                true
            }
            // The next probe keeps its time: a slow failure must not stretch the interval.
            State::HalfOpen { next_probe_ms } | State::Open { next_probe_ms } => {
                self.state = State::Open { next_probe_ms };
                false
            }
        }
    }

    /// Milliseconds until a probe may be made; none while it is closed.
    pub fn until_probe(&self, now_ms: u64) -> Option<u64> {
        match self.state {
            State::Closed { .. } => None,
            State::Open { next_probe_ms } | State::HalfOpen { next_probe_ms } => {
                Some(next_probe_ms.min(self.after(now_ms)).saturating_sub(now_ms))
            }
        }
    }

    /// Somebody else saw the upstream fail: it opens, and the first probe is due at once.
    pub fn trip(&mut self, now_ms: u64) {
        if matches!(self.state, State::Closed { .. }) {
            self.state = State::Open {
                next_probe_ms: now_ms,
            };
        }
    }

    fn after(&self, now_ms: u64) -> u64 {
        now_ms.saturating_add(self.policy.probe_every_ms)
    }

    fn set_next(&mut self, next: u64) {
        match &mut self.state {
            State::Open { next_probe_ms } | State::HalfOpen { next_probe_ms } => {
                *next_probe_ms = next;
            }
            State::Closed { .. } => {}
        }
    }
}
