//! Whether accepts wait for others that share their commit.
//!
//! A commit costs the processor nearly the same for one event as for eight, and so does waking the
//! threads that take part in it. Where many events come, each waits a few milliseconds for others;
//! where few come, or their senders wait for their answers before they send more, nobody waits.
//! `PostgreSQL` knows the same as `commit_delay` and `commit_siblings`.

use std::time::{Duration, Instant};

/// Accepts that must be expected in the longest wait to make it worth it.
const WORTH: f64 = 6.4;
/// How long an accept is remembered, on average, to know how many come.
const MEMORY: Duration = Duration::from_millis(50);
/// Waits in vain, one after the other, that are believed.
const BELIEVED: u32 = 2;
/// Commits that do not wait after that, twice as many each time, so often.
const REST: u32 = 64;
const DOUBLED: u32 = 4;

/// Who knows how many come.
#[derive(Debug)]
pub struct Company {
    most: Duration,
    /// Accepts that are company enough: a commit of more costs hardly less for each.
    enough: usize,
    /// Accepts, each counted less the longer ago it was.
    recent: f64,
    at: Option<Instant>,
    in_vain: u32,
    rest: u32,
}

impl Company {
    /// With the longest wait, none: nobody ever waits; and how many are company enough.
    pub const fn new(most: Duration, enough: usize) -> Self {
        Self {
            most,
            enough,
            recent: 0.0,
            at: None,
            in_vain: 0,
            rest: 0,
        }
    }

    /// Notes a commit with so many accepts.
    pub fn committed(&mut self, accepts: usize, now: Instant) {
        self.recent = self.recent(now) + f64::from(u32::try_from(accepts).unwrap_or(u32::MAX));
        self.at = Some(now);
        self.rest = self.rest.saturating_sub(1);
    }

    /// How many more it takes beside so many accepts.
    pub const fn wanted(&self, accepts: usize) -> usize {
        self.enough.saturating_sub(accepts)
    }

    /// How long the next commit, which has so many accepts by now, waits for others.
    pub fn patience(&self, accepts: usize, now: Instant) -> Option<Duration> {
        let expected = self.recent(now) / MEMORY.as_secs_f64() * self.most.as_secs_f64();
        let waits = accepts > 0 && self.wanted(accepts) > 0 && self.rest == 0 && expected >= WORTH;
        waits.then_some(self.most)
    }

    /// Learns from a wait, of which the last accept came at `latest`. Where nobody came in the second
    /// half of it, all who could come were there: they wait for their answers, as for this one.
    pub fn waited(&mut self, begun: Instant, latest: Instant, ended: Instant) {
        let whole = ended.saturating_duration_since(begun);
        let quiet = ended.saturating_duration_since(latest);
        if quiet * 2 < whole || whole < self.most {
            self.in_vain = 0;
            return;
        }
        self.in_vain = self.in_vain.saturating_add(1);
        if let Some(times) = self.in_vain.checked_sub(BELIEVED) {
            self.rest = REST << times.min(DOUBLED);
        }
    }

    fn recent(&self, now: Instant) -> f64 {
        let since = self.at.map(|at| now.saturating_duration_since(at));
        let faded = since.map_or(0.0, |since| -since.div_duration_f64(MEMORY));
        self.recent * faded.exp()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const COMMIT: Duration = Duration::from_micros(300);
    const MOST: Duration = Duration::from_millis(8);
    /// As on SQLite, and as on PostgreSQL.
    const ENOUGH: [usize; 2] = [8, 28];

    /// Events that come at these moments after the first, whatever becomes of them. Returns how many
    /// commits there were, and the longest that an event waited for one to begin.
    fn open(enough: usize, due: &[Duration]) -> (usize, Duration) {
        let zero = Instant::now();
        let mut company = Company::new(MOST, enough);
        let (mut now, mut taken, mut commits) = (Duration::ZERO, 0, 0);
        let mut longest = Duration::ZERO;
        while let Some(first) = due.get(taken) {
            now = now.max(*first);
            let here = |now: Duration| due.partition_point(|at| *at <= now);
            if let Some(most) = company.patience(here(now) - taken, zero + now) {
                let begun = now;
                let last = due.get(taken + enough - 1).copied();
                now = (begun + most).min(last.unwrap_or(Duration::MAX));
                let latest = due[here(now) - 1];
                company.waited(zero + begun, zero + latest, zero + now);
            }
            longest = longest.max(now - *first);
            let batch = here(now) - taken;
            now += COMMIT;
            company.committed(batch, zero + now);
            taken += batch;
            commits += 1;
        }
        (commits, longest)
    }

    /// So many senders, each of which sends again soon after it was answered: how long that many
    /// commits take.
    fn closed(enough: usize, senders: usize, commits: u32) -> Duration {
        let zero = Instant::now();
        let mut company = Company::new(MOST, enough);
        let mut now = zero;
        for _ in 0..commits {
            now += think();
            let begun = now;
            if let Some(most) = company.patience(senders, now) {
                now += most;
                company.waited(begun, begun, now);
            }
            now += COMMIT;
            company.committed(senders, now);
        }
        now - zero
    }

    const fn think() -> Duration {
        Duration::from_micros(100)
    }

    fn evenly(rate: u32, count: u32) -> Vec<Duration> {
        (0..count)
            .map(|n| Duration::from_secs(1) * n / rate)
            .collect()
    }

    #[test]
    fn a_thousand_a_second_share_commits() {
        for enough in ENOUGH {
            let (commits, _) = open(enough, &evenly(1_000, 5_000));
            assert!(commits < 834, "six in each at least: {commits}");
        }
    }

    #[test]
    fn where_few_come_nobody_waits() {
        let rates = [1, 50, 500].map(|rate| ENOUGH.map(|enough| (enough, rate)));
        for (enough, rate) in rates.into_iter().flatten() {
            let (commits, longest) = open(enough, &evenly(rate, 2_000));
            assert_eq!(
                (commits, longest),
                (2_000, Duration::ZERO),
                "{rate} a second"
            );
        }
    }

    #[test]
    fn senders_that_wait_for_their_answers_are_not_held_up() {
        for enough in ENOUGH {
            for senders in 1..enough {
                let commits = 5_000;
                let alone = (COMMIT + think()) * commits;
                let took = closed(enough, senders, commits);
                assert!(
                    took < alone * 110 / 100,
                    "{senders}: {took:?}, alone {alone:?}"
                );
            }
        }
    }

    proptest! {
        #[test]
        fn no_wait_is_longer_than_the_longest(
            enough in proptest::sample::select(ENOUGH.to_vec()),
            gaps in proptest::collection::vec(0_u64..4_000, 1..500),
        ) {
            let mut at = Duration::ZERO;
            let due: Vec<Duration> = gaps
                .into_iter()
                .map(|gap| {
                    at += Duration::from_micros(gap);
                    at
                })
                .collect();
            let (commits, longest) = open(enough, &due);
            prop_assert!(commits <= due.len());
            prop_assert!(longest <= MOST + COMMIT, "{longest:?}");
        }
    }
}
