use chrono::{
    DateTime, Datelike, Days, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, Timelike, Utc,
};
use chrono_tz::Tz;
use engine::window::{Day, Schedule, Window};
use proptest::prelude::*;
use serde_json::json;

fn at(text: &str) -> DateTime<Utc> {
    DateTime::parse_from_rfc3339(text)
        .unwrap()
        .with_timezone(&Utc)
}

fn window(zone: &str, schedule: serde_json::Value) -> Window {
    let schedule: Schedule = serde_json::from_value(schedule).unwrap();
    Window::compile(zone, &schedule).unwrap()
}

fn nightly(zone: &str, start: &str, end: &str) -> Window {
    window(zone, json!({ "kind": "daily", "start": start, "end": end }))
}

#[test]
fn a_monday_night_covers_tuesday_morning_and_not_monday_morning() {
    let window = window(
        "Europe/Madrid",
        json!({ "kind": "weekly", "days": ["mon"], "start": "22:00", "end": "06:00" }),
    );
    // 23 November 2026 is a Monday; Madrid is one hour ahead.
    assert!(!window.is_open(at("2026-11-23T00:00:00Z")), "Monday 01:00");
    assert!(!window.is_open(at("2026-11-23T20:59:59Z")));
    assert!(
        window.is_open(at("2026-11-23T21:00:00Z")),
        "the start belongs to it"
    );
    assert!(window.is_open(at("2026-11-24T00:00:00Z")), "Tuesday 01:00");
    assert!(window.is_open(at("2026-11-24T04:59:59.999Z")));
    assert!(
        !window.is_open(at("2026-11-24T05:00:00Z")),
        "the end does not"
    );
    assert_eq!(
        window.open_until(at("2026-11-24T00:00:00Z")),
        Some(at("2026-11-24T05:00:00Z"))
    );
    assert_eq!(window.open_until(at("2026-11-24T05:00:00Z")), None);
    assert_eq!(
        window.next_opening(at("2026-11-23T22:00:00Z")),
        Some(at("2026-11-30T21:00:00Z"))
    );
    assert_eq!(
        window.local(at("2026-11-30T21:00:00Z")),
        "Mon 2026-11-30 22:00 CET"
    );
}

#[test]
fn spring_leaves_an_hour_out() {
    // 29 March 2026: 02:00 becomes 03:00 in Madrid, at 01:00 UTC.
    let from_within = nightly("Europe/Madrid", "02:30", "04:00");
    assert!(!from_within.is_open(at("2026-03-29T00:59:59Z")));
    assert!(from_within.is_open(at("2026-03-29T01:00:00Z")));
    assert_eq!(
        from_within.open_until(at("2026-03-29T01:00:00Z")),
        Some(at("2026-03-29T02:00:00Z"))
    );
    let into = nightly("Europe/Madrid", "01:00", "02:30");
    assert_eq!(
        into.open_until(at("2026-03-29T00:30:00Z")),
        Some(at("2026-03-29T01:00:00Z"))
    );
    let inside = nightly("Europe/Madrid", "02:15", "02:45");
    assert_eq!(
        inside.next_opening(at("2026-03-28T12:00:00Z")),
        Some(at("2026-03-30T00:15:00Z"))
    );
    let cron = window(
        "Europe/Madrid",
        json!({ "kind": "cron", "cron": "30 2 * * *", "minutes": 10 }),
    );
    assert_eq!(
        cron.next_opening(at("2026-03-28T12:00:00Z")),
        Some(at("2026-03-29T01:00:00Z"))
    );
}

#[test]
fn autumn_has_an_hour_twice() {
    // 25 October 2026: 03:00 becomes 02:00 in Madrid, at 01:00 UTC.
    let inside = nightly("Europe/Madrid", "02:15", "02:45");
    assert_eq!(
        inside.next_opening(at("2026-10-24T12:00:00Z")),
        Some(at("2026-10-25T00:15:00Z"))
    );
    assert!(
        inside.is_open(at("2026-10-25T00:50:00Z")),
        "it is not interrupted"
    );
    assert_eq!(
        inside.open_until(at("2026-10-25T00:20:00Z")),
        Some(at("2026-10-25T01:45:00Z"))
    );
    let before = nightly("Europe/Madrid", "01:00", "02:00");
    assert_eq!(
        before.open_until(at("2026-10-24T23:30:00Z")),
        Some(at("2026-10-25T00:00:00Z"))
    );
    let once = window(
        "Europe/Madrid",
        json!({ "kind": "cron", "cron": "30 2 * * *", "minutes": 10 }),
    );
    assert!(once.is_open(at("2026-10-25T00:30:00Z")));
    assert!(
        !once.is_open(at("2026-10-25T01:30:00Z")),
        "a fixed time counts once"
    );
    let hourly = window(
        "Europe/Madrid",
        json!({ "kind": "cron", "cron": "30 * * * *", "minutes": 10 }),
    );
    assert!(hourly.is_open(at("2026-10-25T00:30:00Z")));
    assert!(
        hourly.is_open(at("2026-10-25T01:30:00Z")),
        "every hour is every hour"
    );
}

#[test]
fn once_takes_local_times_and_moments() {
    let local =
        json!({ "kind": "once", "start": "2026-12-24T22:00", "end": "2026-12-25T06:00:00" });
    let moments = json!({ "kind": "once", "start": "2026-12-24T21:00:00Z", "end": "2026-12-25T06:00:00+01:00" });
    for schedule in [local, moments] {
        let window = window("Europe/Madrid", schedule);
        assert_eq!(
            window.next_opening(at("2026-12-01T00:00:00Z")),
            Some(at("2026-12-24T21:00:00Z"))
        );
        assert!(window.is_open(at("2026-12-25T04:59:59Z")));
        assert!(!window.is_open(at("2026-12-25T05:00:00Z")));
        assert_eq!(window.next_opening(at("2026-12-24T21:00:00Z")), None);
    }
}

#[test]
fn openings_that_touch_are_one_and_equal_times_are_the_whole_day() {
    let always = nightly("America/New_York", "08:00", "08:00");
    let now = at("2026-11-21T12:00:00Z");
    assert!(always.is_open(now));
    assert!(always.open_until(now).unwrap() > now + TimeDelta::days(30));
    assert_eq!(always.next_opening(now), None);
    let weekend = window(
        "UTC",
        json!({ "kind": "weekly", "days": ["sat", "sun"], "start": "00:00", "end": "00:00" }),
    );
    assert_eq!(
        weekend.open_until(at("2026-11-21T12:00:00Z")),
        Some(at("2026-11-23T00:00:00Z"))
    );
    let chain = window(
        "UTC",
        json!({ "kind": "cron", "cron": "0 22,23 * * fri", "minutes": 90 }),
    );
    assert_eq!(
        chain.open_until(at("2026-11-20T22:10:00Z")),
        Some(at("2026-11-21T00:30:00Z"))
    );
    let long = window(
        "UTC",
        json!({ "kind": "cron", "cron": "0 0 1 * *", "minutes": 10080 }),
    );
    assert_eq!(
        long.open_until(at("2026-12-07T23:59:59Z")),
        Some(at("2026-12-08T00:00:00Z"))
    );
}

#[test]
fn cron_knows_names_steps_and_both_kinds_of_days() {
    let opens = |cron: &str, after: &str| {
        window("UTC", json!({ "kind": "cron", "cron": cron, "minutes": 1 }))
            .next_opening(at(after))
            .unwrap()
    };
    let now = "2026-11-21T12:00:00Z";
    assert_eq!(opens("*/20 * * * *", now), at("2026-11-21T12:20:00Z"));
    assert_eq!(
        opens("5/30 9-17 * * MON-FRI", now),
        at("2026-11-23T09:05:00Z")
    );
    assert_eq!(opens("0 0 * * 7", now), at("2026-11-22T00:00:00Z"));
    assert_eq!(opens("0 0 24 dec *", now), at("2026-12-24T00:00:00Z"));
    assert_eq!(
        opens("0 0 1 * sun", now),
        at("2026-11-22T00:00:00Z"),
        "either kind of day is enough"
    );
    assert_eq!(opens("0 0 29 2 *", now), at("2028-02-29T00:00:00Z"));
}

#[test]
fn faults_name_their_place() {
    let faults = |zone: &str, schedule: serde_json::Value| -> Vec<(String, &'static str)> {
        let schedule: Schedule = serde_json::from_value(schedule).unwrap();
        let found = Window::compile(zone, &schedule).unwrap_err();
        found.into_iter().map(|f| (f.at, f.code.as_str())).collect()
    };
    let daily = |start: &str| json!({ "kind": "daily", "start": start, "end": "06:00" });
    assert_eq!(
        faults("Europe/Nowhere", daily("22:00")),
        [("zone".into(), "unknown_zone")]
    );
    assert_eq!(
        faults("UTC", daily("24:00")),
        [("schedule.start".into(), "time_syntax")]
    );
    let none = json!({ "kind": "weekly", "days": [], "start": "1:00", "end": "x" });
    assert_eq!(
        faults("UTC", none),
        [
            ("schedule.days".into(), "empty"),
            ("schedule.end".into(), "time_syntax")
        ]
    );
    let backwards =
        json!({ "kind": "once", "start": "2026-12-25T00:00", "end": "2026-12-24T00:00" });
    assert_eq!(
        faults("UTC", backwards),
        [("schedule.end".into(), "conflict")]
    );
    for cron in [
        "",
        "* * * *",
        "60 * * * *",
        "*/0 * * * *",
        "5-1 * * * *",
        "0 0 31 2 *",
        "x * * * *",
        "1,, * * * *",
        "+1 * * * *",
    ] {
        let schedule = json!({ "kind": "cron", "cron": cron, "minutes": 1 });
        assert_eq!(
            faults("UTC", schedule),
            [("schedule.cron".into(), "cron_syntax")],
            "{cron}"
        );
    }
    let long = json!({ "kind": "cron", "cron": "* * * * *", "minutes": 10081 });
    assert_eq!(
        faults("UTC", long),
        [("schedule.minutes".into(), "too_many")]
    );
    let strange = json!({ "kind": "daily", "start": "01:00", "end": "02:00", "days": [] });
    assert!(serde_json::from_value::<Schedule>(strange).is_err());
}

const DAY: usize = 24 * 60;

/// Every minute around a day, as the zone's wall clock shows it.
struct Walk(Vec<(DateTime<Utc>, NaiveDateTime)>);

impl Walk {
    fn around(zone: Tz, date: NaiveDate) -> Self {
        let noon = date.and_hms_opt(12, 0, 0).unwrap().and_utc();
        let first = noon - TimeDelta::days(3);
        Self(
            (0..6 * 24 * 60_i64)
                .map(|n| first + TimeDelta::minutes(n))
                .map(|t| (t, t.with_timezone(&zone).naive_local()))
                .collect(),
        )
    }

    fn first_showing(&self, wall: NaiveDateTime) -> usize {
        self.0.iter().position(|(_, shown)| *shown >= wall).unwrap()
    }

    fn after_last_before(&self, wall: NaiveDateTime) -> usize {
        self.0.iter().rposition(|(_, shown)| *shown < wall).unwrap() + 1
    }

    /// The middle day as the window has it, against these minutes.
    fn compare(&self, window: &Window, open: &[bool]) -> Result<(), TestCaseError> {
        for n in 5 * DAY / 2..7 * DAY / 2 {
            let (moment, wall) = self.0[n];
            prop_assert_eq!(window.is_open(moment), open[n], "{} ({})", moment, wall);
            // The whole phase costs more; a few moments tell of it.
            if n % 97 != 0 {
                continue;
            }
            let phase = window.phase(moment);
            prop_assert_eq!(phase.open, open[n]);
            let ahead = open.iter().skip(n).position(|o| *o != open[n]);
            // Only what the walk still sees can be compared.
            if let Some(change) = ahead.map(|ahead| n + ahead).filter(|n| *n < 5 * DAY) {
                prop_assert_eq!(phase.until, Some(self.0[change].0));
            }
        }
        Ok(())
    }
}

/// Days on which clocks change, and some on which they do not.
fn zone_and_day() -> impl Strategy<Value = (Tz, NaiveDate)> {
    let day = |y, m, d| NaiveDate::from_ymd_opt(y, m, d).unwrap();
    let known = prop::sample::select(vec![
        (Tz::Europe__Madrid, day(2026, 3, 29)),
        (Tz::Europe__Madrid, day(2026, 10, 25)),
        (Tz::America__New_York, day(2026, 3, 8)),
        (Tz::America__New_York, day(2026, 11, 1)),
        (Tz::Australia__Lord_Howe, day(2026, 4, 5)),
        (Tz::Australia__Lord_Howe, day(2026, 10, 4)),
        (Tz::America__Santiago, day(2026, 4, 5)),
        (Tz::America__Santiago, day(2026, 9, 6)),
        (Tz::Africa__Casablanca, day(2025, 2, 23)),
        (Tz::Pacific__Apia, day(2011, 12, 30)),
        (Tz::Asia__Kathmandu, day(2026, 5, 1)),
        (Tz::UTC, day(2026, 12, 31)),
    ]);
    (known, -1_i64..=1).prop_map(|((zone, date), off)| (zone, date + TimeDelta::days(off)))
}

/// Times, most of them in the small hours.
fn time() -> impl Strategy<Value = NaiveTime> {
    prop_oneof![3 => 0_u32..240, 1 => 0_u32..1440]
        .prop_map(|n| NaiveTime::from_hms_opt(n / 60, n % 60, 0).unwrap())
}

const DAYS: [Day; 7] = [
    Day::Mon,
    Day::Tue,
    Day::Wed,
    Day::Thu,
    Day::Fri,
    Day::Sat,
    Day::Sun,
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn weekly_windows_agree_with_a_walk_over_every_minute(
        (zone, date) in zone_and_day(),
        start in time(),
        end in time(),
        days in prop::collection::btree_set(0_usize..7, 1..=7),
    ) {
        let schedule = Schedule::Weekly {
            days: days.iter().map(|n| DAYS[*n]).collect(),
            start: start.format("%H:%M").to_string(),
            end: end.format("%H:%M").to_string(),
        };
        let window = Window::compile(zone.name(), &schedule).unwrap();
        let walk = Walk::around(zone, date);
        let mut open = vec![false; walk.0.len()];
        for off in -2_i64..=2 {
            let day = date + TimeDelta::days(off);
            if !days.contains(&(day.weekday().num_days_from_monday() as usize)) {
                continue;
            }
            let last = if end > start { day } else { day + Days::new(1) };
            let (from, to) = (walk.first_showing(day.and_time(start)), walk.after_last_before(last.and_time(end)));
            if from < to {
                open[from..to].fill(true);
            }
        }
        walk.compare(&window, &open)?;
    }

    #[test]
    fn cron_windows_agree_with_a_walk_over_every_minute(
        (zone, date) in zone_and_day(),
        minute in 0_u32..60,
        hour in prop::option::of(0_u32..5),
        length in 1_u32..600,
    ) {
        let hours = hour.map_or("*".to_owned(), |h| h.to_string());
        let schedule = Schedule::Cron { cron: format!("{minute} {hours} * * *"), minutes: length };
        let window = Window::compile(zone.name(), &schedule).unwrap();
        let walk = Walk::around(zone, date);
        let mut open = vec![false; walk.0.len()];
        let names = |wall: NaiveDateTime| wall.minute() == minute && hour.is_none_or(|h| wall.hour() == h);
        let mut latest = walk.0[0].1;
        for n in 1..walk.0.len() {
            let wall = walk.0[n].1;
            // What the clock jumps over counts now; what it shows again only if it names every hour.
            let mut fires = names(wall) && (wall > latest || hour.is_none());
            let mut skipped = latest + TimeDelta::minutes(1);
            while skipped < wall {
                fires |= names(skipped);
                skipped += TimeDelta::minutes(1);
            }
            latest = latest.max(wall);
            if fires {
                let to = (n + length as usize).min(open.len());
                open[n..to].fill(true);
            }
        }
        walk.compare(&window, &open)?;
    }
}
