//! Many records gone at once are no deletions: somebody took a permission away, or an upstream lost
//! its mind. A pure decision over the outcomes of one connection; the time comes in.
//!
//! Invariant: it trips only when at least [`GuardPolicy::records`] different records were reported
//! as gone within the window and they are at least [`GuardPolicy::share`] of all records that were
//! spoken of in it, not counting those that a person has been asked about and that are believed to be
//! gone. It remembers no more records than [`MOST`]. The state is memory only: after a crash it starts
//! empty, and needs that many records again.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;

/// Records that are remembered at most; older ones are forgotten first.
pub const MOST: usize = 1024;

/// When it trips.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GuardPolicy {
    /// Different records that are gone.
    pub records: usize,
    /// Their part of all records in the window, from 0 to 1.
    pub share: f64,
    /// How long an outcome counts.
    pub window: Duration,
}

impl Default for GuardPolicy {
    fn default() -> Self {
        Self {
            records: 10,
            share: 0.5,
            window: Duration::from_secs(600),
        }
    }
}

/// What a guard makes of an outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judgement {
    /// One record, and what was said of it.
    Single,
    /// Too many at once: stop and ask a person.
    Mass,
}

/// The guard of one connection.
#[derive(Debug, Clone)]
pub struct GoneGuard {
    policy: GuardPolicy,
    /// Outcomes in order: time and record.
    order: VecDeque<(u64, u64)>,
    /// The newest outcome of each record: time, and whether it was gone.
    records: HashMap<u64, (u64, bool)>,
    gone: usize,
    /// Gone with the knowledge of a person.
    believed: HashSet<u64>,
}

impl GoneGuard {
    /// An empty one.
    pub fn new(policy: GuardPolicy) -> Self {
        Self {
            policy: GuardPolicy {
                records: policy.records.clamp(1, MOST),
                ..policy
            },
            order: VecDeque::new(),
            records: HashMap::new(),
            gone: 0,
            believed: HashSet::new(),
        }
    }

    /// Notes that a call for this record (any number that stands for it) ended, and whether the
    /// record was gone.
    pub fn observe(&mut self, now_ms: u64, record: u64, gone: bool) -> Judgement {
        if gone && self.believed.contains(&record) {
            return Judgement::Single;
        }
        if !gone {
            self.believed.remove(&record);
            if self.gone == 0 && self.policy.share <= 0.0 {
                // However many are there: only those that are gone are counted.
                return Judgement::Single;
            }
        }
        self.forget(now_ms);
        if let Some((_, before)) = self.records.insert(record, (now_ms, gone)) {
            self.gone -= usize::from(before);
        }
        self.gone += usize::from(gone);
        self.order.push_back((now_ms, record));
        if gone && self.is_mass() {
            Judgement::Mass
        } else {
            Judgement::Single
        }
    }

    /// Whether a person knows that it is gone, and it was not seen since: whatever else is gone, it
    /// would be judged as [`Judgement::Single`].
    pub fn is_believed(&self, record: u64) -> bool {
        self.believed.contains(&record)
    }

    /// Starts anew: a person has looked at it.
    pub fn clear(&mut self) {
        *self = Self::new(self.policy);
    }

    /// Starts anew: a person has looked at it and knows of those that are gone. They do not count
    /// again until they were seen.
    pub fn believe(&mut self) {
        let mut believed = std::mem::take(&mut self.believed);
        let gone = self.records.iter().filter(|(_, (_, gone))| *gone);
        let gone: Vec<u64> = gone.map(|(record, _)| *record).collect();
        if believed.len() + gone.len() > MOST {
            believed.clear();
        }
        believed.extend(gone);
        self.clear();
        self.believed = believed;
    }

    fn is_mass(&self) -> bool {
        let count = |n: usize| f64::from(u32::try_from(n).unwrap_or(u32::MAX));
        self.gone >= self.policy.records
            && count(self.gone) >= self.policy.share * count(self.records.len())
    }

    fn forget(&mut self, now_ms: u64) {
        let window = u64::try_from(self.policy.window.as_millis()).unwrap_or(u64::MAX);
        while let Some((at, record)) = self.order.front().copied() {
            // A clock that went back forgets, too.
            let old = now_ms < at || now_ms - at > window;
            if !old && self.records.len() < MOST && self.order.len() < 4 * MOST {
                return;
            }
            self.order.pop_front();
            if let Some((newest, gone)) = self.records.get(&record).copied()
                && newest == at
            {
                self.records.remove(&record);
                self.gone -= usize::from(gone);
            }
        }
    }
}
