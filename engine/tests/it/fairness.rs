use std::collections::HashMap;
use std::time::Duration;

use engine::guard::{GoneGuard, GuardPolicy, Judgement};
use engine::pace::Pace;
use proptest::prelude::*;

const MOST: usize = 16;

#[test]
fn too_many_halves_it_and_successes_bring_it_back_gradually() {
    let mut pace = Pace::default();
    assert_eq!(pace.concurrency(MOST), MOST);
    assert!(pace.too_many(1000, MOST));
    assert_eq!(pace.concurrency(MOST), 8);
    // The other calls of the same moment say the same thing.
    assert!(!pace.too_many(1100, MOST));
    assert_eq!(pace.concurrency(MOST), 8);
    assert!(pace.too_many(2000, 8));
    assert_eq!(pace.concurrency(MOST), 4);
    for _ in 0..4 {
        pace.success(MOST);
    }
    assert_eq!(pace.concurrency(MOST), 4, "a whole round gives one more");
    pace.success(MOST);
    assert_eq!(pace.concurrency(MOST), 5);
    for at in 3..20 {
        pace.too_many(at * 1000, 1);
    }
    assert_eq!(pace.concurrency(MOST), 1);
    let slow = pace.distance();
    assert!(slow > Duration::from_millis(500), "{slow:?}");
    assert!(
        slow < Duration::from_secs(1),
        "an upstream that is down is asked at least once a second, not every {slow:?}"
    );
    pace.success(MOST);
    assert!(pace.distance() < slow);
    pace.back_again();
    assert_eq!(
        (pace.concurrency(MOST), pace.distance()),
        (1, Duration::ZERO)
    );
}

#[derive(Debug, Clone, Copy)]
enum Answer {
    Fine,
    TooMany,
    Wait(u64),
}

fn answers() -> impl Strategy<Value = Vec<Answer>> {
    let answer = prop_oneof![
        4 => Just(Answer::Fine),
        1 => Just(Answer::TooMany),
        1 => (0_u64..2000).prop_map(Answer::Wait),
    ];
    prop::collection::vec(answer, 0..300)
}

proptest! {
    #[test]
    fn a_pace_stays_within_its_bounds(answers in answers(), most in 1_usize..100) {
        let mut pace = Pace::default();
        let mut now = 0;
        for answer in answers {
            let before = (pace.concurrency(most), pace.distance());
            match answer {
                Answer::Wait(ms) => now += ms,
                Answer::Fine => {
                    pace.success(most);
                    prop_assert!(pace.concurrency(most) >= before.0 && pace.distance() <= before.1);
                    prop_assert!(pace.concurrency(most) <= before.0 + 1, "it recovers gradually");
                }
                Answer::TooMany => {
                    pace.too_many(now, before.0);
                    prop_assert!(pace.concurrency(most) <= before.0 && pace.distance() >= before.1);
                }
            }
            prop_assert!((1..=most).contains(&pace.concurrency(most)));
            prop_assert!(pace.distance() <= Duration::from_secs(7));
            // Calls are kept apart only when there is one at a time.
            prop_assert!(pace.distance().is_zero() || pace.concurrency(most) == 1);
        }
        // However slow it had become: successes alone bring all of it back.
        for _ in 0..(8 + most * most) {
            pace.success(most);
        }
        prop_assert_eq!(pace.concurrency(most), most);
        prop_assert!(!pace.is_slowed());
    }

    /// The guard says what a naive count over the whole history says.
    #[test]
    fn a_guard_counts_records(
        outcomes in prop::collection::vec((0_u64..400, 0_u64..30, any::<bool>()), 0..200),
        records in 1_usize..12,
        share in prop_oneof![Just(0.0_f64), 0.0_f64..1.0],
    ) {
        let policy = GuardPolicy { records, share, window: Duration::from_secs(10) };
        let mut guard = GoneGuard::new(policy);
        let mut now = 0;
        let mut history: Vec<(u64, u64, bool)> = Vec::new();
        for (pause, record, gone) in outcomes {
            now += pause;
            history.push((now, record, gone));
            let newest: HashMap<u64, bool> = history
                .iter()
                .filter(|(at, ..)| now - at <= 10_000)
                .map(|(_, record, gone)| (*record, *gone))
                .collect();
            let lost = newest.values().filter(|gone| **gone).count();
            let mass = gone && lost >= records && lost as f64 >= share * newest.len() as f64;
            let expected = if mass { Judgement::Mass } else { Judgement::Single };
            prop_assert_eq!(guard.observe(now, record, gone), expected);
        }
    }
}

#[test]
fn one_record_that_is_gone_many_times_is_one_record() {
    let mut guard = GoneGuard::new(GuardPolicy::default());
    for at in 0..50 {
        assert_eq!(guard.observe(at, 7, true), Judgement::Single);
    }
    let mut judgement = Judgement::Single;
    for record in 100..110 {
        judgement = guard.observe(60, record, true);
    }
    assert_eq!(judgement, Judgement::Mass);
    guard.clear();
    assert_eq!(guard.observe(61, 1, true), Judgement::Single);
}

#[test]
fn deletions_among_much_other_work_are_deletions() {
    let mut guard = GoneGuard::new(GuardPolicy::default());
    for record in 0..60 {
        guard.observe(record, record, false);
    }
    for record in 100..150 {
        assert_eq!(guard.observe(record, record, true), Judgement::Single);
    }
}

#[test]
fn what_a_person_knows_to_be_gone_counts_no_more_until_it_is_seen() {
    let policy = GuardPolicy {
        share: 0.0,
        ..GuardPolicy::default()
    };
    let mut guard = GoneGuard::new(policy);
    let ask = |guard: &mut GoneGuard, at: u64, records: std::ops::Range<u64>| {
        records
            .map(|record| guard.observe(at, record, true))
            .any(|judgement| judgement == Judgement::Mass)
    };
    // Each that comes after the tenth is one too many, too: none slips through.
    assert!(ask(&mut guard, 0, 0..10));
    assert_eq!(guard.observe(1, 3, true), Judgement::Mass);
    assert!(!guard.is_believed(3));
    guard.believe();
    assert!((0..10).all(|record| guard.is_believed(record)));
    assert!(!guard.is_believed(100));
    assert!(!ask(&mut guard, 2, 0..10));
    assert!(!ask(&mut guard, 3, 100..109), "nine others are few");
    assert!(ask(&mut guard, 4, 109..110));
    // What came back and is lost once more is a matter of its own.
    guard.believe();
    for record in 0..10 {
        guard.observe(5, record, false);
        assert!(!guard.is_believed(record));
    }
    assert!(ask(&mut guard, 6, 0..10));
    guard.clear();
    assert!(
        ask(&mut guard, 7, 100..110),
        "a repair asks about all of them"
    );
}
